"""Daily totals: each paid order is added once, on its day in Shanghai."""

import asyncio
from datetime import UTC, date, datetime

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders, ranking
from s2b2c.db import Database
from tests import factories

NOON = datetime(2025, 6, 1, 4, tzinfo=UTC)
"""In Shanghai."""

Line = tuple[models.Variant, int, int, int]

SELLERS = "SELECT branch_id, seller_id, day, orders, units, paid, refunded FROM daily_sellers ORDER BY 1, 2, 3"
BRANDS = (
    "SELECT branch_id, store_id, brand_id, day, orders, units, paid, refunded FROM daily_brands ORDER BY 1, 2, 3, 4"
)
SELLERS_FROM_LINES = """
    SELECT o.branch_id, o.seller_id, (o.paid_at AT TIME ZONE 'Asia/Shanghai')::date,
           count(DISTINCT o.id), sum(l.quantity), sum(l.paid), 0
    FROM orders o JOIN order_lines l ON (l.branch_id, l.order_id) = (o.branch_id, o.id)
    WHERE o.paid_at IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
BRANDS_FROM_LINES = """
    SELECT o.branch_id, o.store_id, l.brand_id, (o.paid_at AT TIME ZONE 'Asia/Shanghai')::date,
           count(DISTINCT o.id), sum(l.quantity), sum(l.paid), 0
    FROM orders o JOIN order_lines l ON (l.branch_id, l.order_id) = (o.branch_id, o.id)
    WHERE o.paid_at IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""


async def a_sale(
    session: AsyncSession,
    store: models.Store,
    *lines: Line,
    seller: models.Distributor | None = None,
    customer: models.Customer | None = None,
    paid_at: datetime = NOON,
) -> models.Order:
    """A paid order of the store, of the store's owner unless another seller is given."""
    order = await factories.an_order(session, store, *lines, customer=customer, placed_at=paid_at)
    if seller is None:
        seller = await session.get_one(models.Distributor, store.distributor_id)
    order.state, order.paid_at, order.seller_id = "paid", paid_at, seller.id
    order.upline, order.upline_tiers, order.upline_states = [seller.id], [seller.tier_id], [seller.state]
    await session.flush()
    return order


async def a_refund(session: AsyncSession, order: models.Order, amounts: dict[int, int], at: datetime = NOON) -> None:
    """What went back of lines, by their numbers: the rows alone, without the money."""
    lines = await session.scalars(select(models.OrderLine).where(models.OrderLine.order_id == order.id))
    ids = {line.line_no: line.id for line in lines}
    named = await session.scalar(select(func.count()).select_from(models.Refund))
    made = models.Refund(
        branch_id=order.branch_id, order_id=order.id, reference=f"r{named}", state="applied", refunded_at=at
    )
    session.add(made)
    await session.flush()
    for line_no, amount in amounts.items():
        keys = {"branch_id": order.branch_id, "refund_id": made.id, "line_id": ids[line_no]}
        session.add(models.RefundLine(**keys, quantity=0, amount=amount, supply=0))
    await session.flush()


async def rows(session: AsyncSession, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await session.execute(text(query))]


async def test_two_orders_of_one_day(session: AsyncSession) -> None:
    owner = await factories.a_distributor(session)
    store = await factories.a_store(session, owner)
    one, other = await factories.a_variant(session), await factories.a_variant(session)
    await a_sale(session, store, (one, 2, 4990, 81), (other, 1, 100, 0))
    await a_sale(session, store, (one, 1, 4990, 4990))  # paid 0, still an order
    placed = await factories.an_order(session, store, (one, 1, 1, 0))

    assert await ranking.roll_up(session) == 2
    assert await ranking.roll_up(session) == 0

    day = date(2025, 6, 1)
    assert await rows(session, SELLERS) == [(owner.branch_id, owner.id, day, 2, 4, 9999, 0)]
    assert await rows(session, BRANDS) == [
        (owner.branch_id, store.id, one.brand_id, day, 2, 3, 9899, 0),
        (owner.branch_id, store.id, other.brand_id, day, 1, 1, 100, 0),
    ]
    await session.refresh(placed)
    assert not placed.rolled_up


async def test_a_later_order_is_added_to_the_day(session: AsyncSession) -> None:
    owner = await factories.a_distributor(session)
    store = await factories.a_store(session, owner)
    variant = await factories.a_variant(session)
    for paid in (100, 20):
        await a_sale(session, store, (variant, 1, paid, 0))
        assert await ranking.roll_up(session) == 1
    day = date(2025, 6, 1)
    assert await rows(session, SELLERS) == [(owner.branch_id, owner.id, day, 2, 2, 120, 0)]
    assert await rows(session, BRANDS) == [(owner.branch_id, store.id, variant.brand_id, day, 2, 2, 120, 0)]


async def test_the_seller_is_not_the_store(session: AsyncSession) -> None:
    """Ranking follows the seller, a brand's output follows the store."""
    root = await factories.a_distributor(session)
    seller = await factories.a_distributor(session, parent=root, rank=2)
    store = await factories.a_store(session, root)
    variant = await factories.a_variant(session)
    await a_sale(session, store, (variant, 1, 100, 0), seller=seller)
    await ranking.roll_up(session)
    assert [row[1] for row in await rows(session, SELLERS)] == [seller.id]
    assert [row[1] for row in await rows(session, BRANDS)] == [store.id]


async def test_a_day_begins_at_midnight_in_shanghai(session: AsyncSession) -> None:
    store = await factories.a_store(session)
    variant = await factories.a_variant(session)
    await a_sale(session, store, (variant, 1, 1, 0), paid_at=datetime(2025, 5, 31, 15, 59, 59, 999_999, UTC))
    await a_sale(session, store, (variant, 1, 10, 0), paid_at=datetime(2025, 5, 31, 16, tzinfo=UTC))
    await ranking.roll_up(session)
    assert [(row[2], row[5]) for row in await rows(session, SELLERS)] == [
        (date(2025, 5, 31), 1),
        (date(2025, 6, 1), 10),
    ]
    assert [(row[3], row[6]) for row in await rows(session, BRANDS)] == [(date(2025, 5, 31), 1), (date(2025, 6, 1), 10)]


async def a_busy_network(session: AsyncSession) -> None:
    """Two branches, three stores, 45 orders over three days."""
    roots = [await factories.a_distributor(session) for _ in range(2)]
    stores = [await factories.a_store(session, owner) for owner in (*roots, roots[0])]
    variants = [await factories.a_variant(session) for _ in range(3)]
    for number in range(45):
        lines = [(variant, 1 + number % 2, 100 + number, number % 3) for variant in variants[: 1 + number % 3]]
        await a_sale(session, stores[number % 3], *lines, paid_at=NOON.replace(day=1 + number % 5 % 3))


async def test_batches_add_up_to_the_lines(session: AsyncSession) -> None:
    await a_busy_network(session)
    assert [await ranking.roll_up(session, limit=20) for _ in range(4)] == [20, 20, 5, 0]
    assert await rows(session, SELLERS) == await rows(session, SELLERS_FROM_LINES)
    assert await rows(session, BRANDS) == await rows(session, BRANDS_FROM_LINES)


async def test_two_workers_share_the_orders(db: Database) -> None:
    """The second takes what the first has not locked, and waits for it where they add to the same totals."""
    async with db.write() as session:
        await a_busy_network(session)

    async def second() -> int:
        async with db.write() as session:
            return await ranking.roll_up(session, limit=30)

    async with db.write() as session:
        assert await ranking.roll_up(session, limit=20) == 20
        other = asyncio.create_task(second())
        done, _ = await asyncio.wait([other], timeout=0.3)
        assert not done
    assert await other == 25
    async with db.read() as session:
        assert await rows(session, SELLERS) == await rows(session, SELLERS_FROM_LINES)
        assert await rows(session, BRANDS) == await rows(session, BRANDS_FROM_LINES)


async def test_many_workers_never_count_twice(db: Database) -> None:
    async with db.write() as session:
        await a_busy_network(session)

    async def work() -> int:
        total = 0
        while True:
            async with db.write() as session:
                count = await ranking.roll_up(session, limit=2)
            if not count:
                return total
            total += count

    assert sum(await asyncio.gather(*(work() for _ in range(6)))) == 45
    async with db.read() as session:
        assert await rows(session, SELLERS) == await rows(session, SELLERS_FROM_LINES)
        assert await rows(session, BRANDS) == await rows(session, BRANDS_FROM_LINES)


async def test_a_crash_leaves_nothing_done(db: Database) -> None:
    async with db.write() as session:
        await a_busy_network(session)
    async with db.write() as session:
        assert await ranking.roll_up(session) == 45
        await session.rollback()
    async with db.write() as session:
        assert await rows(session, SELLERS) == []
        assert await ranking.roll_up(session) == 45
        assert await rows(session, SELLERS) == await rows(session, SELLERS_FROM_LINES)


async def test_refunds_stand_on_the_day_they_succeed_and_a_reversal_takes_them_from_it(session: AsyncSession) -> None:
    owner = await factories.a_distributor(session)
    store = await factories.a_store(session, owner)
    one, other = await factories.a_variant(session), await factories.a_variant(session)
    order = await factories.an_order(session, store, (one, 2, 4990, 81), (other, 1, 100, 0), placed_at=NOON)
    waiting = orders.Refund(order.branch_id, order.id, "a", NOON, [orders.RefundedLine(1, amount=300)])
    await orders.refund(session, [waiting])
    assert await ranking.roll_up(session) == 0
    await orders.pay(session, [(order.branch_id, order.id, NOON)], rail="import")
    later = datetime(2025, 6, 2, 17, tzinfo=UTC)  # the third of June in Shanghai
    whole = [orders.RefundedLine(1), orders.RefundedLine(2)]
    await orders.refund(session, [orders.Refund(order.branch_id, order.id, "b", later, whole)])
    assert await ranking.roll_up(session) == 3
    assert await ranking.roll_up(session) == 0
    first, third = date(2025, 6, 1), date(2025, 6, 3)
    assert await rows(session, SELLERS) == [
        (owner.branch_id, owner.id, first, 1, 3, 9999, 300),
        (owner.branch_id, owner.id, third, 0, 0, 0, 9699),
    ]
    await orders.reverse_refunds(session, [("b", datetime(2025, 6, 9, tzinfo=UTC))])
    assert await ranking.roll_up(session) == 1
    assert await rows(session, BRANDS) == [
        (owner.branch_id, store.id, one.brand_id, first, 1, 2, 9899, 300),
        (owner.branch_id, store.id, one.brand_id, third, 0, 0, 0, 0),
        (owner.branch_id, store.id, other.brand_id, first, 1, 1, 100, 0),
        (owner.branch_id, store.id, other.brand_id, third, 0, 0, 0, 0),
    ]
