"""Tokens: who is issued one, and whom one stands for."""

import asyncio
import base64
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, OKPKey
from joserfc.jws import JWSRegistry
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import accounts, crypto
from s2b2c.accounts import Viewer, issue_token, tokens, viewer_of
from s2b2c.accounts.tokens import Claims, claims_of, signed
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
    claims = jwt.decode(token, OctKey.import_key(SECRET)).claims
    viewer = await viewer_of(session, token, SECRET, datetime.now(UTC))
    assert set(claims) == {"iss", "sub", "iat", "exp"}
    assert (claims["iss"], claims["sub"]) == ("s2b2c", str(viewer.account_id))
    assert claims["exp"] - claims["iat"] == 3600


async def test_a_token_ends_with_its_last_second(session: AsyncSession) -> None:
    token = await issue_token(session, role="finance", secret=SECRET, lifetime=HOUR)
    expires = datetime.fromtimestamp(jwt.decode(token, OctKey.import_key(SECRET)).claims["exp"], UTC)
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
    monkeypatch.setattr(tokens, "settings", lambda: Settings(token_secret=None))
    monkeypatch.setattr(crypto, "state_dir", lambda: tmp_path / "new" / "state")
    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(lambda _: accounts.token_secret(), range(64)))
    (secret,) = secrets
    assert len(secret) >= accounts.MIN_SECRET_LENGTH
    (file,) = (tmp_path / "new" / "state").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert accounts.token_secret() == secret


def test_the_setting_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto, "state_dir", lambda: tmp_path)
    monkeypatch.setattr(tokens, "settings", lambda: Settings(token_secret=SecretStr(SECRET)))
    assert accounts.token_secret() == SECRET
    monkeypatch.setattr(tokens, "settings", lambda: Settings(token_secret=SecretStr("short")))
    with pytest.raises(ValueError, match="at least 32 characters") as error:
        accounts.token_secret()
    assert "short" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


# Keys

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)


def a_set(*keys: OctKey | OKPKey) -> str:
    """As S2B2C_TOKEN_SECRET has it."""
    return json.dumps({"keys": [key.as_dict(private=True) for key in keys]})


def test_keys_rotate() -> None:
    """The new key comes first, the old one stays until its tokens have expired, then it goes."""
    old = OKPKey.generate_key("Ed25519", {"kid": "2026-10"})
    new = OKPKey.generate_key("Ed25519", {"kid": "2026-11"})
    before = signed(Claims(7, 8), a_set(old), now=NOW, lifetime=HOUR)
    after = signed(Claims(7, 8), a_set(new, old), now=NOW, lifetime=HOUR)
    for token, name in ((before, "2026-10"), (after, "2026-11")):
        assert claims_of(token, a_set(new, old), NOW) == Claims(7, 8)
        registry = JWSRegistry(algorithms=["Ed25519"])
        assert jwt.decode(token, KeySet([old, new]), registry=registry).header == {
            "typ": "JWT",
            "alg": "Ed25519",
            "kid": name,
        }
    assert claims_of(after, a_set(new), NOW) == Claims(7, 8)
    with pytest.raises(Refused, match="not issued here"):
        claims_of(before, a_set(new), NOW)


def test_from_a_secret_to_keys_and_what_only_verifies() -> None:
    secret = OctKey.import_key(SECRET, {"kid": "secret"})
    new = OKPKey.generate_key("Ed25519", {"kid": "new"})
    plain = signed(Claims(7, is_guest=True), SECRET, now=NOW, lifetime=HOUR)
    assert claims_of(plain, a_set(new, secret), NOW) == Claims(7, None, is_guest=True)
    public = json.dumps({"keys": [secret.as_dict(), new.as_dict(private=False)]})
    assert claims_of(signed(Claims(9), a_set(new), now=NOW, lifetime=HOUR), public, NOW) == Claims(9)


def test_nothing_signs_with_what_everybody_knows() -> None:
    """The public half of a key as a secret, no algorithm, an unknown key, no key named where there are several."""
    first, second = (OKPKey.generate_key("Ed25519", {"kid": kid}) for kid in ("a", "b"))
    said = {"iss": "s2b2c", "sub": "1", "iat": 0, "exp": 2**40}
    public = OctKey.import_key(str(first.as_dict(private=False)["x"]))
    anything = JWSRegistry(algorithms=["HS256", "Ed25519"])
    for header, key in (
        ({"alg": "HS256", "kid": "a"}, public),
        ({"alg": "Ed25519", "kid": "c"}, first),
        ({"alg": "Ed25519"}, first),
        ({"alg": "Ed25519", "kid": "b"}, first),
    ):
        token = jwt.encode(header, said, key, registry=anything)
        with pytest.raises(Refused, match="not issued here"):
            claims_of(token, a_set(first, second), NOW)
    good = jwt.encode({"alg": "Ed25519", "kid": "a"}, said, first, registry=anything)
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","kid":"a"}').decode().rstrip("=")
    for token in (f"{unsigned}.{good.split('.')[1]}.", f"{unsigned}.{'.'.join(good.split('.')[1:])}"):
        with pytest.raises(Refused, match="not issued here"):
            claims_of(token, a_set(first, second), NOW)
    assert claims_of(good, a_set(first, second), NOW) == Claims(1)


@pytest.mark.parametrize("missing", ["iss", "sub", "iat", "exp"])
def test_a_token_says_everything(missing: str) -> None:
    said = {"iss": "s2b2c", "sub": "1", "iat": 0, "exp": 2**40}
    for wrong in ({missing: None}, {missing: "x"}, {missing: [1]}):
        token = jwt.encode({"alg": "HS256"}, {**said, **wrong}, OctKey.import_key(SECRET))
        with pytest.raises(Refused, match="not issued here"):
            claims_of(token, SECRET, NOW)
    del said[missing]
    with pytest.raises(Refused, match="not issued here"):
        claims_of(jwt.encode({"alg": "HS256"}, said, OctKey.import_key(SECRET)), SECRET, NOW)


def test_a_clock_that_is_ahead_issues_tokens_that_are_good_elsewhere() -> None:
    token = signed(Claims(7), SECRET, now=NOW + timedelta(minutes=2), lifetime=timedelta(minutes=15))
    assert claims_of(token, SECRET, NOW) == Claims(7)
    assert claims_of(token, SECRET, NOW + timedelta(minutes=16, seconds=59)) == Claims(7)
    with pytest.raises(Refused, match="has expired"):
        claims_of(token, SECRET, NOW + timedelta(minutes=17))


def test_what_is_no_key_set(monkeypatch: pytest.MonkeyPatch) -> None:
    weak, other = OctKey.import_key("x" * 31, {"kid": "weak"}), OKPKey.generate_key("X25519")
    half = {"keys": [OKPKey.generate_key("Ed25519").as_dict(private=False)]}
    for given, told in (
        ("{}", "a secret or a JSON Web Key Set"),
        ("{" + "x" * 40, "a secret or a JSON Web Key Set"),
        ('{"keys": []}', "a secret or a JSON Web Key Set"),
        ('{"keys": [{"kty": "oct"}]}', "a secret or a JSON Web Key Set"),
        (a_set(weak), "32 bytes or more"),
        (a_set(other), "an Ed25519 key"),
        (json.dumps(half), "must be able to sign"),
    ):
        monkeypatch.setattr(tokens, "settings", lambda given=given: Settings(token_secret=SecretStr(given)))
        with pytest.raises(ValueError, match=told) as error:
            accounts.token_secret()
        assert given not in str(error.value)
