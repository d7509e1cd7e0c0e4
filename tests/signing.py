"""People to test with: keys of the tests, a stand-in for WeChat and SMS in the settings, and short ways to sign in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from s2b2c import accounts
from s2b2c.accounts import Caller, SignedIn, codes, wechat
from s2b2c.config import Settings
from s2b2c.db import Database
from s2b2c.errors import Refusal, Refused
from tests.wechat_fake import Fake, running

SECRET = "the secret of the tests, 32 characters and more"
START = datetime(2026, 11, 21, 4, tzinfo=UTC)
PHONE, OTHER_PHONE = "13800001234", "13911112222"


def point_at(fake: Fake, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    """Have codes and WeChat logins go to the stand-in."""
    given = Settings(
        sms_url=fake.sms_url,
        wechat_app_id=fake.app_id,
        wechat_app_secret=SecretStr(fake.app_secret),
        wechat_api_base=fake.url,
        **more,
    )
    for module in (codes, wechat):
        monkeypatch.setattr(module, "settings", lambda: given)


@dataclass
class Door:
    """Signing in at a database, at a time that a test moves on."""

    db: Database
    fake: Fake
    now: datetime = START
    address: str = "203.0.113.7"

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def caller(self, *, account_id: int | None = None, guest_token: str | None = None) -> Caller:
        return Caller(self.address, self.now, SECRET, account_id, guest_token)

    async def code(self, phone: str = PHONE) -> str:
        """A new code for a phone, a minute later."""
        self.later(minutes=1)
        await accounts.request_code(self.db, phone, self.caller())
        return self.fake.sent_to(f"+86{phone}")

    async def with_code(self, phone: str = PHONE, **how: Any) -> SignedIn:
        code = await self.code(phone)
        return signed_in(await accounts.with_code(self.db, phone, code, self.caller(**how)))

    async def refresh(self, token: str, account_id: int | None = None) -> SignedIn | Refusal:
        async with self.db.write() as session:
            return await accounts.refresh(session, token, account_id=account_id, secret=SECRET, now=self.now)

    async def viewer(self, token: str | None) -> accounts.Viewer:
        assert token is not None
        async with self.db.read() as session:
            return await accounts.viewer_of(session, token, SECRET, self.now)


def signed_in(outcome: SignedIn | Refusal) -> SignedIn:
    assert isinstance(outcome, SignedIn), outcome
    return outcome


async def refusal_of(work: Any) -> Refusal:
    """What is refused, whether it is raised or answered."""
    try:
        outcome = await work
    except Refused as refused:
        return refused.refusal
    assert isinstance(outcome, Refusal), outcome
    return outcome


@asynccontextmanager
async def door_to(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    async with running() as fake:
        point_at(fake, monkeypatch)
        yield Door(db, fake)
