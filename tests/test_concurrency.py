"""The same event many times at once, and many orders at once under one top distributor: exact, and nobody deadlocks."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger, orders, ranking
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.orders import OrderEvent, Refund, RefundedLine
from tests import factories
from tests.bench.world import Shape, found, place, recruit
from tests.databases import as_owner
from tests.test_worker import until

CONNECTIONS = 30
DONE_AT = datetime(2026, 2, 1, tzinfo=UTC)
REFUNDED_AT = datetime(2026, 2, 3, tzinfo=UTC)
CUTOFF = datetime(2026, 3, 1, tzinfo=UTC)

Step = Callable[[AsyncSession, OrderEvent], Awaitable[int]]


async def pay(session: AsyncSession, placed: OrderEvent) -> int:
    return await orders.pay(session, [placed], rail="import")


async def complete(session: AsyncSession, placed: OrderEvent) -> int:
    return await orders.complete(session, [(*placed[:2], DONE_AT)], hold_days=7)


async def refund(session: AsyncSession, placed: OrderEvent) -> int:
    """3300 fen of the first line, and the whole of the second with its goods."""
    lines = [RefundedLine(2, goods_back=True), RefundedLine(1, amount=3300)]
    return await orders.refund(session, [Refund(*placed[:2], f"refund of {placed[1]}", REFUNDED_AT, lines)])


_LINES = text("""
    SELECT l.order_id, l.refunded, l.supply, l.commission, l.platform, array_agg(c.amount ORDER BY c.position),
           array_agg(coalesce(b.amount, 0) ORDER BY c.position)
    FROM order_lines l
    JOIN commissions c ON c.branch_id = l.branch_id AND c.line_id = l.id
    LEFT JOIN clawbacks b ON b.branch_id = c.branch_id AND b.line_id = c.line_id AND b.position = c.position
    GROUP BY l.branch_id, l.id ORDER BY l.id
""")
_TRANSFERS = text("""
    SELECT coalesce(r.order_id, t.source_id), t.code, t.amount
    FROM transfers t
    LEFT JOIN refunds r ON t.source_type = 'refund' AND r.branch_id = t.branch_id AND r.id = t.source_id
    ORDER BY 1, t.code, t.amount
""")
SHARES = [1187, 296, 98]
PAID = [(0, 5200, 1581, 3118, SHARES, [0, 0, 0])] * 2, [("payment", 19798)]
"""What an order is then: of each line (refunded, supply, commission, platform, commissions, clawbacks); its transfers."""
REFUNDED = (
    [(3300, 5200, 1056, 343, SHARES, [395, 98, 32]), (9899, 0, 0, 0, SHARES, SHARES)],
    [("payment", 19798), ("refund", 13199)],
)


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[Database]:
    """With a connection for each of many."""
    database = Database(database_url, pool_size=CONNECTIONS)
    yield database
    await database.close()


async def a_world(db: Database, shape: Shape, number: int) -> list[OrderEvent]:
    """Placed orders, each with a line of either brand."""
    async with db.write() as session:
        await found(session, brands=2, products_each=1)
        await recruit(session, shape)
        return await place(session, number, lines=2)


async def at_once(db: Database, deliveries: Iterable[tuple[Step, OrderEvent]]) -> list[int]:
    """What each returns; as many at the same time as there are connections."""
    free = asyncio.Semaphore(CONNECTIONS)

    async def deliver(step: Step, placed: OrderEvent) -> int:
        async with free, db.write() as session:
            return await step(session, placed)

    return await asyncio.gather(*(deliver(step, placed) for step, placed in deliveries))


async def states(db: Database) -> dict[int, tuple[list[Any], list[Any]]]:
    """Of each order that was paid, as PAID; and all is as the audit wants it."""
    found: dict[int, tuple[list[Any], list[Any]]] = {}
    async with db.snapshot() as session:
        assert await audit(session) == []
        for kind, rows in enumerate((await session.execute(_LINES), await session.execute(_TRANSFERS))):
            for order_id, *row in rows:
                found.setdefault(order_id, ([], []))[kind].append(tuple(row))
    return found


async def test_64_deliveries_of_a_payment(crowd: Database) -> None:
    (placed,) = await a_world(crowd, Shape(1, 1, 1), 1)
    assert sorted(await at_once(crowd, [(pay, placed)] * 64)) == [0] * 63 + [1]
    assert await states(crowd) == {placed[1]: PAID}


async def test_64_deliveries_of_a_refund(crowd: Database) -> None:
    (placed,) = await a_world(crowd, Shape(1, 1, 1), 1)
    assert await at_once(crowd, [(pay, placed)]) == [1]
    assert sorted(await at_once(crowd, [(refund, placed)] * 64)) == [0] * 63 + [1]
    assert await states(crowd) == {placed[1]: REFUNDED}


async def test_a_payment_and_its_refund_at_the_same_time(crowd: Database) -> None:
    """Whichever comes first, and however often."""
    placed = await a_world(crowd, Shape(1, 1, 1), 20)
    drawn = random.Random(20)
    for it in placed:
        deliveries = [(pay, it), (refund, it)] * 4
        assert sorted(await at_once(crowd, drawn.sample(deliveries, 8))) == [0] * 6 + [1] * 2
    assert await states(crowd) == {order_id: REFUNDED for _, order_id, _ in placed}


@pytest.mark.parametrize(("first", "second"), [(pay, refund), (refund, pay)])
async def test_the_second_waits_for_the_first_and_sees_what_it_did(
    crowd: Database, database_url: str, first: Step, second: Step
) -> None:
    (placed,) = await a_world(crowd, Shape(1, 1, 1), 1)
    async with crowd.write() as session:
        assert await first(session, placed) == 1
        other = asyncio.create_task(at_once(crowd, [(second, placed)]))
        await until(lambda: are_waiting(database_url, 1))
    assert await other == [1]
    assert await states(crowd) == {placed[1]: REFUNDED}


async def are_waiting(database_url: str, number: int) -> bool:
    """Whether so many wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return await as_owner(database_url, waiting) == [(number,)]


@asynccontextmanager
async def held_at(db: Database, database_url: str, table: str, column: str) -> AsyncIterator[None]:
    """As long as it lasts, whoever writes this column gets no further than the first row, and keeps that one locked."""
    await as_owner(
        database_url,
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END'",
        f"CREATE TRIGGER hold BEFORE UPDATE OF {column} ON {table} FOR EACH ROW EXECUTE FUNCTION hold()",
    )
    async with db.write() as gate:
        await gate.execute(text("SELECT pg_advisory_xact_lock(42)"))
        yield


async def settle(db: Database) -> bool:
    """Whether anything was due."""
    async with db.write() as session:
        return await factories.a_settlement(session, cutoff=CUTOFF, now=CUTOFF) is not None


@pytest.mark.parametrize("number", [0, 1])
async def test_a_settlement_and_a_refund_of_its_order(crowd: Database, database_url: str, number: int) -> None:
    """One may come by the ids of the lines, one by their brands, which run the other way in every other order."""
    placed = (await a_world(crowd, Shape(1, 1, 1), 2))[number]
    for step in (pay, complete):
        assert await at_once(crowd, [(step, placed)]) == [1]
    async with held_at(crowd, database_url, "order_lines", "statement_id"):
        settled = asyncio.create_task(settle(crowd))
        await until(lambda: are_waiting(database_url, 1))
        refunded = asyncio.create_task(at_once(crowd, [(refund, placed)]))
        await until(lambda: are_waiting(database_url, 2))
    assert await settled
    assert await refunded == [1]
    assert await settle(crowd)
    async with crowd.snapshot() as session:
        assert await audit(session) == []
        nets = text("SELECT sum(gross - clawbacks)::bigint FROM statements GROUP BY distributor_id, brand_id")
        assert sorted(await session.scalars(nets)) == [0, 66, 198, 792, 5200]


@pytest.mark.parametrize("first", [0, 1])
async def test_a_settlement_and_a_roll_up_of_its_refunds(crowd: Database, database_url: str, first: int) -> None:
    """Of two branches, refunded in this order."""
    placed = await a_world(crowd, Shape(2, 2, 2), 2)
    for step in (pay, complete):
        assert await at_once(crowd, [(step, it) for it in placed]) == [1, 1]
    await roll_up(crowd)
    for it in (placed[first], placed[1 - first]):
        assert await at_once(crowd, [(refund, it)]) == [1]
    async with held_at(crowd, database_url, "refunds", "run_id"):
        settled = asyncio.create_task(settle(crowd))
        await until(lambda: are_waiting(database_url, 1))
        rolled_up = asyncio.create_task(roll_up(crowd))
        await until(lambda: are_waiting(database_url, 2))
    assert await settled
    await rolled_up
    async with crowd.snapshot() as session:
        assert await audit(session) == []
        refunded = await session.scalars(text("SELECT refunded FROM daily_sellers WHERE refunded > 0"))
        assert refunded.all() == [13199, 13199]


async def roll_up(db: Database) -> None:
    while True:
        async with db.write() as session:
            if not await ranking.roll_up(session, limit=50):
                return


async def test_500_orders_at_once_under_one_top_distributor(crowd: Database, database_url: str) -> None:
    """Each of another seller. Meanwhile their totals are rolled up, checkpoints made and what is due is settled."""
    placed = await a_world(crowd, Shape(1, 25, 500), 500)
    for step in (pay, complete, refund):
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(keep_the_books(crowd, done))
            assert await at_once(crowd, [(step, it) for it in placed]) == [1] * 500
            done.set()
    await keep_the_books(crowd, done)

    # 2374 - 1582 to each seller, 592 - 394 for each of the 20 orders of a middle, 196 - 130 for each of 500 to the top.
    earned = Counter({792: 500, 20 * 198: 25, 500 * 66: 1})
    async with crowd.snapshot() as session:
        assert await audit(session) == []
        everything = await ledger.accounts(session, kind=None, after=None, limit=2000)
        settled = "SELECT sum(gross - clawbacks)::bigint FROM statements GROUP BY distributor_id, brand_id"
        statements = Counter(await session.scalars(text(settled)))
        rolled_up = await session.execute(text("SELECT sum(orders), sum(paid), sum(refunded) FROM daily_sellers"))
        assert tuple(rolled_up.one()) == (500, 500 * 19798, 500 * 13199)
    owed: Counter[str] = Counter()
    for row in everything:
        if row.kind in {"commission_payable", "debt"}:  # what is clawed back after it was settled is a debt
            owed[row.owner] += row.balance
    payable = Counter(owed.values())
    brands = Counter(row.balance for row in everything if row.kind == "brand_payable")
    others = {row.kind: row.balance for row in everything if not row.owner}
    assert payable == earned
    assert sum(brands.elements()) == 500 * 5200
    assert others == {"clearing": -500 * 6599, "escrow": 0, "revenue": 500 * 343}
    assert statements == earned + brands
    await crowd.close()
    assert await as_owner(
        database_url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ) == [(0,)]


async def keep_the_books(db: Database, done: asyncio.Event) -> None:
    """What a worker and finance do, over and over, and once more when all is done."""
    last = False
    while not last:
        last = done.is_set()
        await roll_up(db)
        for _ in range(2):
            async with db.write() as session:
                await ledger.checkpoint(session)
        async with db.snapshot() as session:
            debits, credits_ = await ledger.trial_balance(session)
            assert debits == credits_
        await settle(db)
