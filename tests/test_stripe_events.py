"""What Stripe tells reaches the orders, once: in any order, any number of times, by any number of senders."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import audit, jobs, models, orders, payments, stripe_events, worker
from s2b2c.db import Database
from tests import factories, paying
from tests.databases import create_database, drop_database
from tests.stripe_fake import Fake, running

ORDERS = 17
SENDERS = 8

# Natural keys alone: ids are drawn, and times of receipt are ours.
_STATE = {
    "orders": "SELECT order_no, state, paid_at, upline FROM orders",
    "lines": "SELECT o.order_no, l.line_no, l.refunded, l.supply, l.commission, l.platform FROM order_lines l "
    "JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id",
    "commissions": "SELECT o.order_no, l.line_no, c.position, c.amount, c.outcome FROM commissions c "
    "JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id",
    "refunds": "SELECT coalesce(r.reference, 'back ' || of.reference), r.state, r.refunded_at, r.freight, l.quantity, l.amount, l.supply "
    "FROM refunds r JOIN refund_lines l ON l.branch_id = r.branch_id AND l.refund_id = r.id "
    "LEFT JOIN refunds of ON of.branch_id = r.branch_id AND of.id = r.reverses_id",
    "balances": "SELECT a.kind, a.rail, a.brand_id, a.distributor_id, (SELECT coalesce(sum(CASE WHEN credit_account_id = a.id THEN amount ELSE -amount END), 0) "
    "FROM transfers WHERE a.id IN (debit_account_id, credit_account_id)) FROM ledger_accounts a",
    "payments": "SELECT id, order_id, state, intent_id, session_id, succeeded_at FROM payments",
    "requests": "SELECT id, order_id, state, reference FROM refund_requests",
    "events": "SELECT id, type, handled_at IS NULL FROM stripe_events",
    "claims": "SELECT kind, name FROM claims",
}


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with running(Fake(seed=1)) as fake:
        yield fake


@pytest.fixture
async def gateway(fake: Fake) -> AsyncIterator[payments.Gateway]:
    gateway = paying.gateway_to(fake)
    yield gateway
    await gateway.close()


async def _state(db: Database) -> dict[str, list[str]]:
    async with db.snapshot() as session:
        return {
            name: sorted(str(tuple(row)) for row in await session.execute(text(query)))
            for name, query in _STATE.items()
        }


async def _handle_all(db: Database, *, limit: int) -> None:
    while True:
        async with db.write() as session:
            if not await stripe_events.handle_waiting(session, now=datetime.now(UTC), limit=limit):
                return


async def _a_paid_for_order(db: Database, gateway: payments.Gateway, fake: Fake, number: int) -> None:
    """Declined once and paid; a refund of ours, one by hand, and a dispute, some of which come to nothing."""
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order, method="checkout" if number % 3 == 0 else "intent")
    kept = await paying.row(db, payment_id)
    name = kept.session_id or kept.intent_id or ""
    fake.configure(refund_status="pending" if number % 2 else "succeeded")
    fake.decline(name)
    fake.pay(name)
    intent_id = fake.rows("payment_intent")[-1]["id"]
    await gateway.create_refund(intent_id, amount=1_000 + number, metadata={}, key=f"by hand {number}")
    dispute = fake.dispute(intent_id, 200)
    by_hand = fake.rows("refund")[-1]["id"]
    if number % 2:
        fake.finish_refund(by_hand, "failed" if number % 4 == 1 else "succeeded")
    fake.decide(dispute["id"], "won" if number % 3 else "lost")


async def _a_world(db: Database) -> None:
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        for rank in (1, 2, 3):
            await factories.a_tier(session, rank=rank)


async def _money_adds_up(session: AsyncSession) -> None:
    """The factories make a network without a history and orders without a claim; of money everything must hold."""
    ours = {"claims", "current_history"}
    assert [str(breach) for breach in await audit.audit(session) if breach.check not in ours] == []


async def test_a_storm_of_events_ends_as_one_told_in_order(
    db: Database, database_url: str, server_url: str, gateway: payments.Gateway, fake: Fake
) -> None:
    """Two hundred events, each one to seven times, shuffled, by eight senders, while two workers work on them."""
    await _a_world(db)
    for number in range(ORDERS):
        await _a_paid_for_order(db, gateway, fake, number)
    events = paying.all_events(fake)
    assert len(events) >= 200
    await db.close()
    name = f"{make_url(database_url).database}_storm"
    storm = Database(await create_database(server_url, name, template=str(make_url(database_url).database)))
    for event in sorted(events, key=lambda event: (event["created"], event["id"])):
        await paying.accepted(db, fake, event)
        await _handle_all(db, limit=1)
    await _handle_all(db, limit=1)
    dice = random.Random(7)
    many = [event for event in events for _ in range(dice.randint(1, 7))]
    dice.shuffle(many)
    sending = asyncio.Event()

    async def send(sender: int) -> None:
        for event in many[sender::SENDERS]:
            await paying.accepted(storm, fake, event)

    async def work() -> None:
        while not sending.is_set():
            await _handle_all(storm, limit=dice.randint(1, 30))
            await asyncio.sleep(0.01)

    workers = [asyncio.create_task(work()) for _ in range(2)]
    await asyncio.gather(*map(send, range(SENDERS)))
    sending.set()
    await asyncio.gather(*workers)
    await _handle_all(storm, limit=100)
    expected, found = await _state(db), await _state(storm)
    for table in _STATE:
        assert found[table] == expected[table], table
    assert len(found["events"]) == len(events)
    assert sum("'paid'" in order for order in found["orders"]) == ORDERS
    for either in (db, storm):
        async with either.snapshot() as session:
            await _money_adds_up(session)
    await storm.close()
    await drop_database(server_url, name)


async def _paid(db: Database, fake: Fake, gateway: payments.Gateway) -> tuple[paying.Placed, int]:
    await _a_world(db)
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order)
    fake.pay((await paying.row(db, payment_id)).intent_id or "")
    return order, payment_id


async def _accept_all(db: Database, fake: Fake) -> None:
    for event in paying.all_events(fake):
        await paying.accepted(db, fake, event)


async def _order(db: Database, order: paying.Placed) -> models.Order:
    async with db.read() as session:
        return await session.get_one(models.Order, order)


async def test_a_payment_that_comes_too_late_goes_back(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order, payment_id = await _paid(db, fake, gateway)
    async with db.write() as session:
        await orders.cancel(session, [(*order, datetime.now(UTC))])
    await _accept_all(db, fake)
    await _handle_all(db, limit=9)
    assert (await _order(db, order)).state == "cancelled"
    async with db.read() as session:
        assert await _jobs(session) == [("return_payment", {"branch_id": order.branch_id, "payment_id": payment_id})]
        assert await session.scalar(select(func.count()).select_from(models.Transfer)) == 0
    await payments.return_payment(db, branch_id=order.branch_id, payment_id=payment_id, gateway=gateway)
    assert [(refund["amount"], refund["status"]) for refund in fake.rows("refund")] == [(paying.TOTAL, "succeeded")]
    await _accept_all(db, fake)
    await _handle_all(db, limit=9)
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(models.Refund)) == 0, "the order never had it"


async def _jobs(session: AsyncSession) -> list[tuple[str, Any]]:
    rows = await session.execute(select(models.Job.entrypoint, models.Job.payload).order_by(models.Job.id))
    return [(name, json.loads(payload or b"null")) for name, payload in rows]


async def test_a_refund_by_hand_is_spread_over_goods_then_freight(
    db: Database, gateway: payments.Gateway, fake: Fake
) -> None:
    await _a_world(db)
    async with db.write() as session:
        store = await factories.a_store(session)
        variants = [await factories.a_variant(session) for _ in range(2)]
        row = await factories.an_order(session, store, (variants[0], 1, 4990, 0), (variants[1], 1, 3000, 1))
        row.freight = 500
        order = paying.Placed(row.branch_id, row.id)
    payment_id = await paying.opening(db, order, amount=4990 + 2999 + 500)
    await payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=payment_id)
    intent_id = (await paying.row(db, payment_id)).intent_id or ""
    fake.pay(intent_id)
    now = int(datetime.now(UTC).timestamp())
    for number, amount in enumerate((1000, 7000, 489), start=1):
        fake.set_clock(now + number)
        await gateway.create_refund(intent_id, amount=amount, metadata={}, key=f"by hand {number}")
    await _accept_all(db, fake)
    await _handle_all(db, limit=99)
    async with db.read() as session:
        rows = await session.execute(
            text(
                "SELECT r.id, l.line_no, x.amount, r.freight FROM refunds r JOIN refund_lines x ON x.refund_id = r.id "
                "JOIN order_lines l ON l.id = x.line_id UNION ALL SELECT id, 0, 0, freight FROM refunds "
                "WHERE id NOT IN (SELECT refund_id FROM refund_lines) ORDER BY 1, 2"
            )
        )
        # 1000 * 4990 // 7989 = 624; then 6989 are left of the goods: 4366 and 2623, and 11 of the freight; then 489 of it.
        told = [tuple(row)[1:] for row in rows]
        assert told == [(1, 624, 0), (2, 376, 0), (1, 4366, 11), (2, 2623, 11), (0, 0, 489)]
        kinds = await session.execute(
            text(
                "SELECT a.kind, sum(CASE WHEN t.credit_account_id = a.id THEN t.amount ELSE -t.amount END)::bigint "
                "FROM ledger_accounts a JOIN transfers t ON a.id IN (t.debit_account_id, t.credit_account_id) GROUP BY 1 ORDER BY 1"
            )
        )
        assert [tuple(row) for row in kinds] == [("clearing", 0), ("escrow", 0), ("revenue", 0)]
    async with db.snapshot() as session:
        await _money_adds_up(session)


async def test_one_event_that_does_not_go_through_holds_up_no_other(
    db: Database, gateway: payments.Gateway, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = await _paid(db, fake, gateway)
    second = await paying.a_placed_order(db)
    fake.pay((await paying.row(db, await paying.opened(db, gateway, second))).intent_id or "")
    await _accept_all(db, fake)
    pay = orders.pay

    async def stumbling(session: AsyncSession, paid: Any, *, rail: str) -> int:
        if any(order_id == first.order_id for _, order_id, _ in paid):
            raise RuntimeError("this one")
        return await pay(session, paid, rail=rail)

    monkeypatch.setattr(orders, "pay", stumbling)
    monkeypatch.setattr(worker, "_FIRST_RETRY", timedelta(0))
    stop = asyncio.Event()
    running_worker = asyncio.create_task(worker.run(db, every=timedelta(milliseconds=50), stop=stop))
    async with asyncio.timeout(60):
        while (await _order(db, second)).state != "paid":  # noqa: ASYNC110  another task pays it, by way of the database
            await asyncio.sleep(0.05)
        while True:
            async with db.read() as session:
                if held := await jobs.held(session, after=None, limit=9):
                    break
            await asyncio.sleep(0.05)
    assert [(job.name, job.error) for job in held] == [("handle_event", "RuntimeError")]
    assert (await _order(db, first)).state == "placed"
    monkeypatch.setattr(orders, "pay", pay)
    async with db.write() as session:
        await jobs.retry(session, held[0].id)
    async with asyncio.timeout(60):
        while (await _order(db, first)).state != "paid":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    stop.set()
    await running_worker


async def test_the_worker_expires_what_nobody_paid_and_ends_its_payment(
    db: Database, gateway: payments.Gateway, fake: Fake
) -> None:
    await _a_world(db)
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order)
    async with db.write() as session:
        row = await session.get_one(models.Order, order)
        row.due_at = datetime.now(UTC) - timedelta(seconds=1)
    async with db.write() as session:
        assert await worker.expire(session) == 1
    async with db.read() as session:
        assert await _jobs(session) == [("cancel_payment", {"branch_id": order.branch_id, "payment_id": payment_id})]
    await payments.cancel_payment(db, branch_id=order.branch_id, payment_id=payment_id, gateway=gateway)
    assert ([it["status"] for it in fake.rows("payment_intent")], (await _order(db, order)).state) == (
        ["canceled"],
        "cancelled",
    )
    async with db.write() as session:
        assert await worker.expire(session) == 0
