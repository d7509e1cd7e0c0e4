"""What tests of payments share: a stand-in for Stripe and a gateway to it, an order to pay, and events told to us."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, payments
from s2b2c.db import Database
from tests import factories
from tests.stripe_fake import Fake

Json = dict[str, Any]
TOTAL = 9_980


class Placed(NamedTuple):
    branch_id: int
    order_id: int


def gateway_to(fake: Fake, *, key: str = "sk_test_fake", retries: int = 0, read_s: float = 5) -> payments.Gateway:
    return payments.Gateway(
        key, fake.url, timeout=aiohttp.ClientTimeout(sock_connect=1, sock_read=read_s), retries=retries
    )


async def a_placed_order(db: Database) -> Placed:
    """Of two units for 4990 fen each."""
    async with db.write() as session:
        store = await factories.a_store(session)
        order = await factories.an_order(session, store, (await factories.a_variant(session), 2, 4990, 0))
        return Placed(order.branch_id, order.id)


async def opening(db: Database, order: Placed, *, method: str = "intent", amount: int = TOTAL) -> int:
    """The id of its payment in hand."""
    async with db.write() as session:
        return await payments.open_payment(
            session, **order._asdict(), amount=amount, method=method, now=datetime.now(UTC)
        )


async def opened(db: Database, gateway: payments.Gateway, order: Placed, *, method: str = "intent") -> int:
    payment_id = await opening(db, order, method=method)
    urls = {"success_url": "https://shop.example/thanks", "cancel_url": "https://shop.example/cart"}
    await payments.finish_opening(
        db, gateway, branch_id=order.branch_id, payment_id=payment_id, **(urls if method == "checkout" else {})
    )
    return payment_id


async def paid(db: Database, gateway: payments.Gateway, fake: Fake, order: Placed) -> int:
    """The id of a payment that has succeeded, and of which we were told."""
    payment_id = await opened(db, gateway, order)
    fake.pay((await row(db, payment_id)).intent_id or "")
    await told(db, fake)
    return payment_id


async def row(db: Database, payment_id: int) -> models.Payment:
    async with db.read() as session:
        return (await session.scalars(select(models.Payment).where(models.Payment.id == payment_id))).one()


async def request(db: Database, refund_id: int) -> models.RefundRequest:
    async with db.read() as session:
        wanted = select(models.RefundRequest).where(models.RefundRequest.id == refund_id)
        return (await session.scalars(wanted)).one()


async def asked(db: Database, order: Placed, payment_id: int, amount: int) -> int:
    """The id of a request for a refund, not sent yet."""
    async with db.write() as session:
        operator = await session.scalar(select(models.Account).where(models.Account.role == "operator"))
        if operator is None:
            operator = models.Account(role="operator")
            session.add(operator)
            await session.flush()
        made = await payments.ask_refund(
            session,
            **order._asdict(),
            payment_id=payment_id,
            lines=[{"line_no": 1, "amount": amount}],
            amount=amount,
            reason="一件破损",
            account_id=operator.id,
            now=datetime.now(UTC),
        )
        return made.id


async def accepted(db: Database, fake: Fake, event: Json) -> str | None:
    body = json.dumps(event, ensure_ascii=False).encode()
    async with db.write() as session:
        return await payments.accept(
            session, body, fake.sign(body), secrets=[fake.secret], livemode=False, now=datetime.now(UTC)
        )


async def told(db: Database, fake: Fake, events: Sequence[Json] | None = None, *, batch: int = 100) -> payments.Digest:
    """Accept these events, or all there are, and digest what waits, as the worker does."""
    for event in events if events is not None else all_events(fake):
        await accepted(db, fake, event)
    whole = payments.Digest()
    while True:
        async with db.write() as session:
            now = datetime.now(UTC)
            waiting = await payments.waiting_events(session, now=now, limit=batch)
            if not waiting:
                return whole
            part = await payments.digest(session, waiting)
            await count(session, part)
            await payments.mark_handled(session, [event.id for event in waiting], now)
        for field in fields(whole):
            getattr(whole, field.name).extend(getattr(part, field.name))


async def count(session: AsyncSession, part: payments.Digest) -> None:
    """What an order keeps of a refund that it has taken."""
    for it in part.refunded:
        claim = {"kind": "refund", "name": it.reference, "branch_id": it.branch_id, "event_id": it.order_id}
        await session.execute(insert(models.Claim).values(claim).on_conflict_do_nothing())


def all_events(fake: Fake) -> list[Json]:
    return [event for account in fake.state() for event in fake.rows("event", account)]
