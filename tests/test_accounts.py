"""Tokens: who is issued one, and whom one stands for."""

import asyncio
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import accounts
from s2b2c.accounts import Viewer, issue_token, viewer_of
from s2b2c.config import Settings
from s2b2c.db import Database
from s2b2c.errors import BadArgument, Refused, Unauthenticated
from s2b2c.models import Account
from tests import factories

SECRET = "a secret of the tests with enough characters"
HOUR = timedelta(hours=1)


async def test_a_token_stands_for_its_account(session: AsyncSession) -> None:
    brand = await factories.a_brand(session)
    distributor = await factories.a_distributor(session)
    now = datetime.now(UTC)
    of_brand = await issue_token(session, role="brand", brand=brand.name, secret=SECRET, lifetime=HOUR)
    viewer = await viewer_of(session, of_brand, SECRET, now)
    assert viewer == Viewer(viewer.account_id, "brand", brand.id, None, brand.name)
    of_distributor = await issue_token(
        session, role="distributor", distributor=distributor.code, secret=SECRET, lifetime=HOUR
    )
    viewer = await viewer_of(session, of_distributor, SECRET, now)
    assert viewer == Viewer(viewer.account_id, "distributor", None, distributor.id, distributor.name, "active")
    of_finance = await issue_token(session, role="finance", secret=SECRET, lifetime=HOUR)
    viewer = await viewer_of(session, of_finance, SECRET, now)
    assert viewer == Viewer(viewer.account_id, "finance", None, None)


async def test_the_claims(session: AsyncSession) -> None:
    token = await issue_token(session, role="operator", secret=SECRET, lifetime=HOUR)
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    viewer = await viewer_of(session, token, SECRET, datetime.now(UTC))
    assert set(claims) == {"iss", "sub", "iat", "exp"}
    assert (claims["iss"], claims["sub"]) == ("s2b2c", str(viewer.account_id))
    assert claims["exp"] - claims["iat"] == 3600


async def test_a_token_ends_with_its_last_second(session: AsyncSession) -> None:
    token = await issue_token(session, role="finance", secret=SECRET, lifetime=HOUR)
    expires = datetime.fromtimestamp(jwt.decode(token, SECRET, algorithms=["HS256"])["exp"], UTC)
    await viewer_of(session, token, SECRET, expires - timedelta(microseconds=1))
    with pytest.raises(Refused, match="has expired") as refused:
        await viewer_of(session, token, SECRET, expires)
    assert isinstance(refused.value.refusal, Unauthenticated)


async def test_one_account_however_many_tokens(db: Database) -> None:
    async def issue() -> str:
        async with db.write() as session:
            return await issue_token(session, role="finance", secret=SECRET, lifetime=HOUR)

    tokens = await asyncio.gather(*(issue() for _ in range(8)))
    async with db.read() as session:
        viewers = {await viewer_of(session, token, SECRET, datetime.now(UTC)) for token in tokens}
        assert len(viewers) == 1
        assert await session.scalar(select(func.count()).select_from(Account)) == 1


@pytest.mark.parametrize(
    ("role", "brand", "distributor", "message"),
    [
        ("brand", None, None, "does not go with this"),
        ("brand", "有名", "D0001", "does not go with this"),
        ("finance", "有名", None, "does not go with this"),
        ("operator", None, "D0001", "does not go with this"),
        ("distributor", None, None, "does not go with this"),
        ("king", None, None, "There is no role king"),
        ("brand", "无名", None, "No brand is named 无名"),
        ("distributor", None, "无名", "No distributor has the code 无名"),
    ],
)
async def test_who_gets_no_token(
    session: AsyncSession, role: str, brand: str | None, distributor: str | None, message: str
) -> None:
    with pytest.raises(Refused, match=message) as refused:
        await issue_token(session, role=role, brand=brand, distributor=distributor, secret=SECRET, lifetime=HOUR)
    assert isinstance(refused.value.refusal, BadArgument)
    assert await session.scalar(select(func.count()).select_from(Account)) == 0


def test_the_secret_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "settings", lambda: Settings(token_secret=None))
    monkeypatch.setattr(accounts, "state_dir", lambda: tmp_path / "new" / "state")
    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(lambda _: accounts.token_secret(), range(64)))
    (secret,) = secrets
    assert len(secret) >= accounts.MIN_SECRET_LENGTH
    (file,) = (tmp_path / "new" / "state").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert accounts.token_secret() == secret


def test_the_setting_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "state_dir", lambda: tmp_path)
    monkeypatch.setattr(accounts, "settings", lambda: Settings(token_secret=SecretStr(SECRET)))
    assert accounts.token_secret() == SECRET
    monkeypatch.setattr(accounts, "settings", lambda: Settings(token_secret=SecretStr("short")))
    with pytest.raises(ValueError, match="at least 32 characters") as error:
        accounts.token_secret()
    assert "short" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
