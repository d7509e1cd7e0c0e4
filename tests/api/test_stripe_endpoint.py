"""Stripe's events over HTTP: what is right is stored and answered 200 at once, what is not is answered 400 in a line."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, payments
from s2b2c.app import Webhook, create_app
from s2b2c.db import Database
from tests.test_webhooks import GOOD, NOW, SECRET, WRONG

PATH = "/stripe/events"


async def _post(db: Database, body: bytes, signature: str | None, webhook: Webhook | None) -> httpx.Response:
    app = create_app(db, token_secret="x" * 32, webhook=webhook, clock=lambda: NOW)
    headers: dict[bytes, bytes] = (
        {} if signature is None else {b"stripe-signature": signature.encode(errors="surrogatepass")}
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://s2b2c") as client:
        return await client.post(PATH, content=body, headers=headers)


@pytest.fixture
async def stored(db: Database) -> AsyncIterator[Database]:
    """A database in which nothing is stored afterwards."""
    yield db
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(models.StripeEvent)) == 0


async def test_what_is_right_is_stored_once(db: Database) -> None:
    (body, signature), webhook = next(iter(GOOD.values())), Webhook([SECRET], livemode=False)
    for _ in range(2):
        answer = await _post(db, body, signature, webhook)
        assert (answer.status_code, answer.json()) == (200, {"received": True})
    async with db.read() as session:
        (event,) = (await session.scalars(select(models.StripeEvent))).all()
    assert (event.received_at, event.handled_at) == (NOW, None)
    assert event.created_at > NOW - timedelta(days=1)


async def test_every_forged_or_damaged_event_is_answered_400(stored: Database) -> None:
    assert len(WRONG) >= 30
    for name, (body, signature, _) in WRONG.items():
        answer = await _post(stored, body, signature, Webhook([SECRET], livemode=False))
        assert answer.status_code == 400, name
        (error,) = answer.json().values()
        assert "\n" not in error, name
        assert "Traceback" not in error, name
        assert len(error) < 200, name


async def test_without_a_signature_or_a_secret(stored: Database) -> None:
    body, signature = next(iter(GOOD.values()))
    assert (await _post(stored, body, None, Webhook([SECRET], livemode=False))).status_code == 400
    answer = await _post(stored, body, signature, None)
    assert (answer.status_code, answer.json()) == (503, {"error": "No S2B2C_STRIPE_WEBHOOK_SECRET is set."})


async def test_an_event_that_cannot_be_stored_is_to_be_sent_again(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says where it broke, and nothing of what the event holds."""

    async def broken(session: AsyncSession, body: bytes, *rest: object, **more: object) -> None:
        raise RuntimeError(body.decode())

    monkeypatch.setattr(payments, "accept", broken)
    body, signature = next(iter(GOOD.values()))
    answer = await _post(db, body, signature, Webhook([SECRET], livemode=False))
    assert (answer.status_code, answer.json()) == (503, {"error": "The event could not be stored: send it again."})
    (record,) = caplog.records
    assert record.getMessage().startswith("an event of Stripe is not stored: RuntimeError\n")
    assert body.decode() not in caplog.text
