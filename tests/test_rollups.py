"""Daily totals: each paid order is added once, on its day in Shanghai."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders, ranking
from s2b2c.audit import audit
from s2b2c.db import Database
from tests import factories
from tests.databases import as_owner

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
    session.add(models.OrderToAdd(branch_id=order.branch_id, order_id=order.id))
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
    await orders.pay(session, [(placed.branch_id, placed.id, NOON)], rail="import")
    assert await ranking.roll_up(session) == 1


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
    """The second waits for the first, and takes what it left."""
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


async def test_two_workers_add_other_branches_at_once(db: Database) -> None:
    async with db.write() as session:
        owners: dict[int, models.Distributor] = {}
        while len(owners) < 2:  # of two lanes
            owner = await factories.a_distributor(session)
            lane = await session.scalar(select(func.hashint8(owner.branch_id).op("&")(7)))
            owners.setdefault(lane or 0, owner)
        variant = await factories.a_variant(session)
        for owner in owners.values():
            store = await factories.a_store(session, owner)
            for _ in range(3):
                await a_sale(session, store, (variant, 1, 100, 0))
    async with db.write() as first, db.write() as second:
        assert await ranking.roll_up(first, limit=2) == 2
        async with asyncio.timeout(10):
            assert await ranking.roll_up(second) == 3
    async with db.write() as session:
        assert await ranking.roll_up(session) == 1
    async with db.read() as session:
        assert await rows(session, SELLERS) == await rows(session, SELLERS_FROM_LINES)


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


PRODUCTS = """
    SELECT store_id, product_id, day, orders, kept, units, paid, refunded FROM daily_products ORDER BY day, product_id
"""
KEPT = "SELECT day, kept FROM daily_sellers WHERE orders > 0"
CUSTOMERS = "SELECT customer_id, day, kept FROM daily_customers ORDER BY customer_id"
FIRST, THIRD, FOURTH = date(2025, 6, 1), date(2025, 6, 3), date(2025, 6, 4)


async def _three_orders(session: AsyncSession) -> tuple[models.Store, list[models.Order]]:
    """On the first of June a customer buys two of a product and one of another, then one for nothing; another buys two."""
    store = await factories.a_store(session)
    one, other = await factories.a_variant(session), await factories.a_variant(session)
    loyal, new = await factories.a_customer(session), await factories.a_customer(session)
    made = [
        await factories.an_order(
            session, store, (one, 2, 4990, 81), (other, 1, 100, 0), customer=loyal, placed_at=NOON
        ),
        await factories.an_order(session, store, (one, 1, 4990, 4990), customer=loyal, placed_at=NOON),
        await factories.an_order(session, store, (other, 2, 100, 0), customer=new, placed_at=NOON),
    ]
    await orders.pay(session, [(order.branch_id, order.id, NOON) for order in made], rail="import")
    return store, made


async def _refund(session: AsyncSession, order: models.Order, reference: str, day: date, *lines: int) -> None:
    at = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
    back = [orders.RefundedLine(line) for line in lines]
    await orders.refund(session, [orders.Refund(order.branch_id, order.id, reference, at, back)])


async def test_products_customers_and_what_is_kept_of_them(session: AsyncSession) -> None:
    store, (first, free, second) = await _three_orders(session)
    one, other = (line.product_id for line in (await session.scalars(select(models.OrderLine).limit(2))).all())
    sold = [(store.id, one, FIRST, 2, 2, 3, 9899, 0), (store.id, other, FIRST, 2, 2, 3, 300, 0)]
    loyal, new = first.customer_id, second.customer_id
    assert free.customer_id == loyal
    assert await ranking.roll_up(session) == 3
    assert await rows(session, PRODUCTS) == sold
    assert await rows(session, CUSTOMERS) == [(loyal, FIRST, 2), (new, FIRST, 1)]
    assert await rows(session, KEPT) == [(FIRST, 3)]

    await _refund(session, first, "a", THIRD, 2)  # the other product of it stays sold
    assert await ranking.roll_up(session) == 1
    sold[1] = (store.id, other, FIRST, 2, 1, 3, 300, 0)
    assert await rows(session, PRODUCTS) == [*sold, (store.id, other, THIRD, 0, 0, 0, 0, 100)]
    assert await rows(session, CUSTOMERS) == [(loyal, FIRST, 2), (new, FIRST, 1)]
    assert await rows(session, KEPT) == [(FIRST, 3)]

    await _refund(session, first, "b", FOURTH, 1)  # now all of it
    await _refund(session, second, "c", THIRD, 1)
    assert await ranking.roll_up(session) == 2
    sold = [(store.id, one, FIRST, 2, 1, 3, 9899, 0), (store.id, other, FIRST, 2, 0, 3, 300, 0)]
    back = [(store.id, other, THIRD, 0, 0, 0, 0, 300), (store.id, one, FOURTH, 0, 0, 0, 0, 9899)]
    assert await rows(session, PRODUCTS) == [*sold, *back]
    assert await rows(session, CUSTOMERS) == [(loyal, FIRST, 1), (new, FIRST, 0)]
    assert await rows(session, KEPT) == [(FIRST, 1)]

    await orders.reverse_refunds(session, [("a", NOON)])
    assert await ranking.roll_up(session) == 1
    sold[1], back[0] = (store.id, other, FIRST, 2, 1, 3, 300, 0), (store.id, other, THIRD, 0, 0, 0, 0, 200)
    assert await rows(session, PRODUCTS) == [*sold, *back]
    assert await rows(session, CUSTOMERS) == [(loyal, FIRST, 2), (new, FIRST, 0)]
    assert await rows(session, KEPT) == [(FIRST, 2)]


async def test_what_was_added_before_there_were_products_comes_along(database_url: str, db: Database) -> None:
    """The migration fills the new totals with what adding up anew would; a refund before its order waits for it."""
    async with db.write() as session:
        _, (first, _, second) = await _three_orders(session)
        await _refund(session, first, "a", THIRD, 1, 2)
        await _refund(session, second, "b", THIRD, 1)
        await ranking.roll_up(session)
    totals = ("daily_sellers", "daily_brands", "daily_products", "daily_customers")
    every = {table: f"SELECT * FROM {table} ORDER BY {table}" for table in totals}
    async with db.snapshot() as session:
        expected = {table: await rows(session, query) for table, query in every.items()}
        assert [it for it in await audit(session) if it.check in totals] == []
    migrations = Path(__file__).parent.parent / "migrations" / "versions"
    rollups, to_add = (
        (migrations / name).read_text(encoding="utf-8") for name in ("0035_rollups.sql", "0047_orders_to_add.sql")
    )
    await as_owner(
        database_url,
        "DROP TABLE daily_products, daily_customers",
        "ALTER TABLE daily_sellers DROP COLUMN kept",
        # The last order is not added yet, its refund is.
        "ALTER TABLE orders ADD COLUMN rolled_up boolean NOT NULL DEFAULT true",
        "UPDATE orders SET rolled_up = false WHERE id = (SELECT max(id) FROM orders)",
        "UPDATE daily_sellers SET orders = 2, units = 4, paid = 9999 WHERE orders > 0",
        "UPDATE daily_brands SET orders = 1, units = 1, paid = 100 WHERE orders > 0 AND paid = 300",
        *rollups.split(";\n\n"),
        "ALTER TABLE daily_products DROP CONSTRAINT pk_daily_products, "
        "ADD PRIMARY KEY (brand_id, day, store_id, product_id, branch_id)",
        "DROP TABLE orders_to_add",
        *to_add.split(";\n\n"),
    )
    async with db.write() as session:
        assert await ranking.roll_up(session) == 2
    async with db.read() as session:
        assert {table: await rows(session, query) for table, query in every.items()} == expected
