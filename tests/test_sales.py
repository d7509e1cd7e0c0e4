"""What stores sold, by hand on a small world, and against an oracle that reads the raw orders."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders, output, ranking
from s2b2c.config import SHANGHAI
from s2b2c.db import AnyRow
from s2b2c.output import Scope
from tests import factories

SEPTEMBER = (date(2026, 9, 1), date(2026, 10, 1))
PAGE: dict[str, Any] = {"after": None, "limit": 100}


def at(month: int, day: int, hour: int = 12) -> datetime:
    """An hour in Shanghai."""
    return datetime(2026, month, day, hour, tzinfo=SHANGHAI)


class World(NamedTuple):
    brand: models.Brand
    other: models.Brand
    stores: dict[str, models.Store]
    products: dict[str, models.Variant]
    """`one` and `two` of the brand, `three` of the other."""

    def name(self, store_id: int) -> str:
        return next(name for name, store in self.stores.items() if store.id == store_id)

    def product(self, product_id: int) -> str:
        return next(name for name, variant in self.products.items() if variant.product_id == product_id)

    def scope(self, **chosen: Any) -> Scope:
        return Scope(*SEPTEMBER, **{"brand_id": self.brand.id, **chosen})


async def _sold(
    session: AsyncSession, store: models.Store, paid_at: datetime, *lines: tuple[models.Variant, int, int]
) -> models.Order:
    """A paid order; a line is (variant, quantity, unit price)."""
    order = await factories.an_order(session, store, *((*line, 0) for line in lines), placed_at=paid_at)
    await orders.pay(session, [(order.branch_id, order.id, paid_at)], rail="import")
    return order


async def _refunded(session: AsyncSession, order: models.Order, reference: str, when: datetime, **line: Any) -> None:
    await orders.refund(
        session, [orders.Refund(order.branch_id, order.id, reference, when, [orders.RefundedLine(1, **line)])]
    )


async def _listed(
    session: AsyncSession, store: models.Store, variant: models.Variant, listed_at: datetime, position: int
) -> models.Listing:
    listing = await factories.a_listing(session, store, variant.product_id, position=position)
    listing.listed_at = listed_at
    await session.flush()
    return listing


async def _removed(
    session: AsyncSession, store: models.Store, variant: models.Variant, since: datetime, until: datetime
) -> None:
    """It was listed there and no longer is."""
    session.add(
        models.ListingHistory(
            store_id=store.id,
            product_id=variant.product_id,
            since=since,
            until=until,
            price=4990,
            position=1,
            pitch="",
            pinned=False,
            regions=[],
            segments=[],
            why="selected",
            end_reason="removed",
        )
    )
    await session.flush()


@pytest.fixture
async def world(session: AsyncSession) -> World:
    return await a_world(session)


async def a_world(session: AsyncSession) -> World:
    """Two brands; stores a to e of the first tier in 华东, f of it in 华南, g and h of the second in 华北.

    In September, of the brand: a sells 1000 + 2 x 500 in one order and has 500 back that it sold in August; b sells 600
    that goes back whole in October; c sells 900 of which 300 go back in September; d lists and sells nothing; e sold
    400 in August and lists no more; f sells 700, and has taken the listing down on the 20th; g sells 100 and 5000 of the
    other brand in one order; h sells 50 that goes back whole on the next day.
    """
    brand, other = await factories.a_brand(session), await factories.a_brand(session)
    places = {**dict.fromkeys("abcde", ("华东", 1)), "f": ("华南", 1), **dict.fromkeys("gh", ("华北", 2))}
    stores = {
        name: await factories.a_store(session, await factories.a_distributor(session, region=region, rank=rank))
        for name, (region, rank) in places.items()
    }
    one, two = await factories.a_variant(session, brand=brand), await factories.a_variant(session, brand=brand)
    three = await factories.a_variant(session, brand=other)
    for position, (name, variant) in enumerate(
        [("a", one), ("a", two), ("b", one), ("c", one), ("c", two), ("d", one), ("d", two), ("g", one), ("g", three)]
    ):
        await _listed(session, stores[name], variant, at(8, 1 + position), position + 1)
    await _listed(session, stores["h"], one, at(10, 1, 0), 1)  # too late
    await _removed(session, stores["e"], one, at(6, 1), at(9, 1, 0))  # too early
    await _removed(session, stores["f"], one, at(7, 1), at(9, 20))
    old = await _sold(session, stores["a"], at(8, 20), (one, 1, 500))
    await _refunded(session, old, "a", at(9, 2))
    await _sold(session, stores["a"], at(9, 1, 0), (one, 1, 1000), (two, 2, 500))
    await _refunded(session, await _sold(session, stores["b"], at(9, 5), (one, 1, 600)), "b", at(10, 1, 0))
    await _refunded(session, await _sold(session, stores["c"], at(9, 7), (one, 3, 300)), "c", at(9, 30, 23), quantity=1)
    await _sold(session, stores["e"], at(8, 31, 23), (one, 1, 400))
    await _sold(session, stores["f"], at(9, 14), (one, 1, 700))
    await _sold(session, stores["g"], at(9, 20), (one, 1, 100), (three, 1, 5000))
    await _refunded(session, await _sold(session, stores["h"], at(9, 29), (two, 1, 50)), "h", at(9, 30))
    await _sold(session, stores["h"], at(10, 1, 0), (one, 1, 9999))
    while await ranking.roll_up(session):
        pass
    return World(brand, other, stores, {"one": one, "two": two, "three": three})


async def _stores(session: AsyncSession, world: World, scope: Scope, **options: Any) -> dict[str, AnyRow]:
    rows = await output.by_store(session, scope, **options, **PAGE)
    return {world.name(row.store.id): row for row in rows}


async def test_output_of_each_store(session: AsyncSession, world: World) -> None:
    """August and September are 31 and 30 days: the period before begins on August 2."""
    rows = await _stores(session, world, world.scope())
    assert {
        name: (row.output, row.orders, row.units, row.output_before, row.listings) for name, row in rows.items()
    } == {
        "a": (1500, 1, 3, 500, 2),
        "f": (700, 1, 1, 0, 1),
        "b": (600, 1, 1, 0, 1),
        "c": (600, 1, 3, 0, 2),
        "g": (100, 1, 1, 0, 1),
        "d": (0, 0, 0, 0, 2),
        "e": (0, 0, 0, 400, 0),
        "h": (0, 1, 1, 0, 0),
    }
    assert list(rows) == ["a", "f", "b", "c", "g", "d", "e", "h"]
    assert list(await _stores(session, world, world.scope(), least_first=True)) == list("dehgbcfa")
    assert {row.total for row in rows.values()} == {3500}
    assert {name: row.tier.rank for name, row in rows.items()} == {**dict.fromkeys("abcdef", 1), "g": 2, "h": 2}


async def test_place_in_the_cohort(session: AsyncSession, world: World) -> None:
    """Of the first tier, a to d in 华东 and f in 华南 are compared, since 4 are fewer than 5: 1500, 700, 600, 600, 0.
    e sold in the period before alone. Of the second tier there are g and h: 100 and 0."""
    rows = await _stores(session, world, world.scope())

    def place(name: str) -> Any:
        row = rows[name]
        return row.cohort_region, row.cohort_stores, row.cohort_output, row.median, row.place

    first, second = (None, 5, 3400, 600), (None, 2, 100, 0)
    assert {name: place(name) for name in rows if name != "e"} == {
        "a": (*first, 1),
        "f": (*first, 2),
        "b": (*first, 3),
        "c": (*first, 3),
        "d": (*first, 5),
        "g": (*second, 1),
        "h": (*second, 2),
    }
    assert not rows["e"].is_member
    await _listed(session, world.stores["e"], world.products["two"], at(9, 29), 7)
    rows = await _stores(session, world, world.scope())
    near = ("华东", 5, 2700, 600)
    assert {name: place(name) for name in rows} == {
        "a": (*near, 1),
        "b": (*near, 2),
        "c": (*near, 2),
        "d": (*near, 4),
        "e": (*near, 4),
        "f": (None, 6, 3400, 600, 2),
        "g": (*second, 1),
        "h": (*second, 2),
    }
    chosen = await _stores(session, world, world.scope(region="华东", tier_id=rows["a"].tier.id))
    assert {name: place(name) for name in chosen} == {name: place(name) for name in "abcde"}
    assert {row.total for row in chosen.values()} == {3500}
    assert list(await _stores(session, world, world.scope(store_id=world.stores["c"].id))) == ["c"]


async def test_output_of_regions_and_tiers(session: AsyncSession, world: World) -> None:
    def told(rows: Sequence[AnyRow], key: Callable[[AnyRow], Any]) -> Any:
        return [
            (key(row), row.stores, row.selling, row.output, row.orders, row.units, row.output_before, row.total)
            for row in rows
        ]

    regions = await output.by_region(session, world.scope(), **PAGE)
    assert told(regions, lambda row: row.region) == [
        ("华东", 4, 3, 2700, 3, 7, 900, 3500),
        ("华南", 1, 1, 700, 1, 1, 0, 3500),
        ("华北", 2, 2, 100, 2, 2, 0, 3500),
    ]
    tiers = await output.by_tier(session, world.scope(), **PAGE)
    assert told(tiers, lambda row: row.tier.rank) == [
        (1, 5, 4, 3400, 4, 8, 900, 3500),
        (2, 2, 2, 100, 2, 2, 0, 3500),
    ]
    north = await output.by_tier(session, world.scope(region="华北"), **PAGE)
    assert told(north, lambda row: row.tier.rank) == [(2, 2, 2, 100, 2, 2, 0, 100)]
    assert await output.by_tier(session, world.scope(region="\0"), **PAGE) == []


async def test_output_of_products(session: AsyncSession, world: World) -> None:
    """The order of a has both products and counts for both: 6 + 2 orders are more than the 6 of all stores... of `two`
    the one of h went back whole, so only a sold it. `one` was live in a, b, c, d, f and g."""

    async def told(scope: Scope, **options: Any) -> Any:
        rows = await output.by_product(session, scope, **options, **PAGE)
        return [
            (
                world.product(row.product.id),
                *(row.output, row.orders, row.units, row.output_before, row.trend, row.total),
                *(row.selling, row.listings, row.sold),
            )
            for row in rows
        ]

    one, two = ("one", 2500, 5, 7, 900, 1600, 3500, 4, 6, 4), ("two", 1000, 2, 3, 0, 1000, 3500, 1, 3, 1)
    assert await told(world.scope()) == [one, two]
    assert await told(world.scope(), least_first=True) == [two, one]
    product = world.products["two"].product_id
    assert await told(world.scope(product_id=product)) == [("two", 1000, 2, 3, 0, 1000, 1000, 1, 3, 1)]
    assert await told(world.scope(region="华北")) == [
        ("one", 100, 1, 1, 0, 100, 100, 1, 1, 1),
        ("two", 0, 1, 1, 0, 0, 100, 0, 0, 0),
    ]
    everything = await told(world.scope(brand_id=None))
    assert [row[0] for row in everything] == ["three", "one", "two"]
    assert everything[0][1:] == (5000, 1, 1, 0, 5000, 8500, 1, 1, 1)


async def test_stores_of_one_product(session: AsyncSession, world: World) -> None:
    rows = await _stores(session, world, world.scope(product_id=world.products["two"].product_id))
    assert {name: (row.output, row.orders, row.listings) for name, row in rows.items()} == {
        "a": (1000, 1, 1),
        "c": (0, 0, 1),
        "d": (0, 0, 1),
        "h": (0, 1, 0),
    }


async def test_output_of_periods_in_a_place(session: AsyncSession, world: World) -> None:
    async def told(by: output.Span, **chosen: Any) -> Any:
        rows = await output.by_period(session, world.scope(**chosen), by=by, **PAGE)
        return {row.start: (row.output, row.orders, row.units) for row in rows if any(row[3:])}

    assert await told("month") == {date(2026, 9, 1): (3500, 6, 10)}
    assert await told("month", region="华东") == {date(2026, 9, 1): (2700, 3, 7)}
    assert await told("month", product_id=world.products["two"].product_id) == {date(2026, 9, 1): (1000, 2, 3)}
    assert await told("day", store_id=world.stores["a"].id) == {
        date(2026, 9, 1): (2000, 1, 3),
        date(2026, 9, 2): (-500, 0, 0),
    }


async def test_how_output_is_spread(session: AsyncSession, world: World) -> None:
    """Seven stores: 1500, 700, 600, 600, 100, 0, 0. A fifth of seven is two, rounded up. Ten percent of them is one
    store, 25 two, 50 four, 75 six, and 90 all seven: each rounded up, from the least."""
    it = await output.spread(session, world.scope())
    assert (it.stores, it.selling, it.output, it.top_stores, it.top_output) == (7, 6, 3500, 2, 2200)
    assert it.points == [(10, 0), (25, 0), (50, 600), (75, 700), (90, 1500)]
    assert [(row.decile, row.stores, row.output, row.least, row.most) for row in it.deciles] == [
        (number, 1, value, value, value) for number, value in enumerate([1500, 700, 600, 600, 100, 0, 0], start=1)
    ]
    nobody = await output.spread(session, world.scope(store_id=0))
    assert nobody == output.Spread(0, 0, 0, [], 0, 0, [])


async def test_what_was_listed_and_did_not_sell(session: AsyncSession, world: World) -> None:
    """The sale of b was given back whole, though later: it kept none. h listed too late, e too early."""
    rows = await output.sell_through(session, world.scope(), least_first=True, **PAGE)
    assert [(world.name(row.store.id), row.listings, row.sold, row.bps) for row in rows] == [
        ("b", 1, 0, 0),
        ("d", 2, 0, 0),
        ("c", 2, 1, 5000),
        ("a", 2, 2, 10000),
        ("f", 1, 1, 10000),
        ("g", 1, 1, 10000),
    ]
    never = await output.never_sold(session, world.scope(), **PAGE)
    assert [
        (world.name(row.store.id), world.product(row.product.id), row.listed_at, row.removed_at) for row in never
    ] == [
        ("b", "one", at(8, 3), None),
        ("c", "two", at(8, 5), None),
        ("d", "one", at(8, 6), None),
        ("d", "two", at(8, 7), None),
    ]


async def test_a_listing_that_came_and_went(session: AsyncSession, world: World) -> None:
    """Of the last time that it was there in the period, from its first version on; what came after it does not count."""
    store, two = world.stores["f"], world.products["two"]
    await _removed(session, store, two, at(6, 1), at(7, 1))
    await _removed(session, store, two, at(9, 3), at(9, 9))
    changed = {"price": 4990, "position": 1, "pitch": "", "pinned": False, "regions": [], "segments": []}
    session.add(
        models.ListingHistory(
            store_id=store.id, product_id=two.product_id, since=at(9, 2), until=at(9, 3), why="selected", **changed
        )
    )
    await _removed(session, store, two, at(10, 1, 0), at(10, 9))
    await session.flush()
    never = await output.never_sold(session, world.scope(store_id=store.id), **PAGE)
    assert [(row.product.id, row.listed_at, row.removed_at) for row in never] == [(two.product_id, at(9, 2), at(9, 9))]
    row = (await output.sell_through(session, world.scope(store_id=store.id), **PAGE))[0]
    assert (row.listings, row.sold, row.bps) == (2, 1, 5000)
    after_both = world.scope(store_id=store.id)._replace(start=date(2026, 9, 21))
    assert await output.sell_through(session, after_both, **PAGE) == []


async def test_a_store_that_was_closed_lists_nothing(session: AsyncSession, world: World) -> None:
    """d was closed all September, f since the 15th."""
    for name, closed_at in (("d", at(9, 1, 0)), ("f", at(9, 15))):
        store = world.stores[name]
        kept = ("distributor_id", "title", "region", "blocks", "blocks_version", "why")
        as_it_was = {column: getattr(store, column) for column in kept}
        session.add(models.StoreHistory(store_id=store.id, since=at(1, 1), until=closed_at, state="open", **as_it_was))
        store.state, store.changed_at = "closed", closed_at
    await session.flush()
    rows = await output.sell_through(session, world.scope(), **PAGE)
    assert {world.name(row.store.id) for row in rows} == set("abcfg")
    assert set(await _stores(session, world, world.scope())) == set("abcefgh")


async def test_another_brand_has_no_part_in_it(session: AsyncSession, world: World) -> None:
    """A product of another brand, and a store that sells nothing of the brand."""
    theirs = world.scope(product_id=world.products["three"].product_id)
    page = (
        output.by_store,
        output.by_region,
        output.by_tier,
        output.by_product,
        output.sell_through,
        output.never_sold,
    )
    for read in page:
        assert await read(session, theirs, **PAGE) == [], read
    assert (await output.spread(session, theirs)).stores == 0
    assert all(not any(row[3:]) for row in await output.by_period(session, theirs, by="day", **PAGE))
    rows = await _stores(session, world, world.scope(brand_id=world.other.id))
    assert {name: (row.output, row.total) for name, row in rows.items()} == {"g": (5000, 5000)}
    rows = await _stores(session, world, world.scope(brand_id=None, store_id=world.stores["g"].id))
    assert [(row.output, row.total, row.orders, row.listings) for row in rows.values()] == [(5100, 8500, 2, 2)]
    unknown = world.scope(brand_id=None, product_id=world.products["three"].product_id)
    assert [row.output for row in await output.by_store(session, unknown, **PAGE)] == [5000]


Read = Callable[..., Awaitable[Sequence[AnyRow]]]
KEYS: list[tuple[Read, Callable[[AnyRow], tuple[int, ...]], dict[str, Any]]] = [
    (output.by_store, lambda row: (row.output, row.store.id), {}),
    (output.by_store, lambda row: (row.output, row.store.id), {"least_first": True}),
    (output.by_store, lambda row: (row.trend, row.store.id), {"sort": "trend"}),
    (output.by_region, lambda row: (row.output, row.first_store_id), {}),
    (output.by_tier, lambda row: (row.output, row.tier.id), {}),
    (output.by_product, lambda row: (row.output, row.product.id), {}),
    (output.by_product, lambda row: (row.output, row.product.id), {"least_first": True}),
    (output.sell_through, lambda row: (row.bps, row.store.id), {}),
    (output.sell_through, lambda row: (row.bps, row.store.id), {"least_first": True}),
    (output.never_sold, lambda row: (row.at, row.store.id, row.product.id), {}),
]


@pytest.mark.parametrize(("read", "key", "options"), KEYS)
async def test_pages_are_the_whole(
    session: AsyncSession, world: World, read: Read, key: Callable[[AnyRow], tuple[int, ...]], options: dict[str, Any]
) -> None:
    whole = [tuple(row) for row in await read(session, world.scope(), **options, **PAGE)]
    assert len(whole) > 1
    for limit in (1, 2, 3):
        seen: list[tuple[Any, ...]] = []
        after = None
        while rows := await read(session, world.scope(), **options, after=after, limit=limit):
            seen += map(tuple, rows)
            after = key(rows[-1])
        assert seen == whole, limit


async def test_an_oracle_that_reads_the_orders(session: AsyncSession) -> None:
    """Sixty orders of twelve stores, drawn by arithmetic, with refunds whole and in part on later days."""
    brands = [await factories.a_brand(session) for _ in range(2)]
    variants = [await factories.a_variant(session, brand=brands[number % 2]) for number in range(4)]
    stores = [
        await factories.a_store(
            session, await factories.a_distributor(session, region="东西"[number % 2], rank=1 + number % 3)
        )
        for number in range(12)
    ]
    for number in range(60):
        lines = {(number * 7 + step * 5) % 4: step + 1 for step in range(1 + number % 3)}
        order = await _sold(
            session,
            stores[number * number % 11],
            at(8, 5) + timedelta(hours=23 * number),
            *((variants[which], quantity, 100 + number) for which, quantity in lines.items()),
        )
        if number % 4 == 0:
            await _refunded(session, order, f"r{number}", at(8, 6) + timedelta(hours=25 * number))
        elif number % 4 == 1:
            await _refunded(session, order, f"r{number}", at(8, 6) + timedelta(hours=25 * number), amount=30)
    while await ranking.roll_up(session, limit=7):
        pass
    for brand in brands:
        sold: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        products: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        await _add_up(session, brand.id, sold, products)
        scope = Scope(*SEPTEMBER, brand.id)
        rows = await output.by_store(session, scope, **PAGE)
        assert {row.store.id: [row.output, row.orders, row.units, row.output_before] for row in rows} == sold
        assert len(sold) > 5
        rows = await output.by_product(session, scope, **PAGE)
        assert {row.product.id: [row.output, row.orders, row.units, row.output_before] for row in rows} == products
        (month,) = await output.by_period(session, scope, by="month", **PAGE)
        whole = [sum(numbers[which] for numbers in sold.values()) for which in range(3)]
        assert [month.output, month.orders, month.units] == whole


async def _add_up(
    session: AsyncSession, brand_id: int, sold: dict[int, list[int]], products: dict[int, list[int]]
) -> None:
    """[output, orders, units, output before] by store and by product, order by order and refund by refund."""

    def period(moment: datetime) -> int | None:
        day = moment.astimezone(SHANGHAI).date()
        return 0 if SEPTEMBER[0] <= day < SEPTEMBER[1] else 3 if date(2026, 8, 2) <= day < SEPTEMBER[0] else None

    all_orders = {order.id: order for order in await session.scalars(select(models.Order))}
    lines = {line.id: line for line in await session.scalars(select(models.OrderLine)) if line.brand_id == brand_id}
    seen: set[tuple[str, int, int]] = set()
    for line in lines.values():
        order = all_orders[line.order_id]
        assert order.paid_at is not None
        which = period(order.paid_at)
        for kind, numbers, key in (("store", sold, order.store_id), ("product", products, line.product_id)):
            if which is None:
                continue
            numbers[key][which] += line.paid
            if which == 0:
                numbers[key][1] += (kind, key, order.id) not in seen
                numbers[key][2] += line.quantity
                seen.add((kind, key, order.id))
    refunds = {refund.id: refund for refund in await session.scalars(select(models.Refund))}
    for part in await session.scalars(select(models.RefundLine)):
        if part.line_id in lines:
            line, refund = lines[part.line_id], refunds[part.refund_id]
            which = period(refund.refunded_at.astimezone(UTC))
            if which is not None:
                sold[all_orders[line.order_id].store_id][which] -= part.amount
                products[line.product_id][which] -= part.amount
