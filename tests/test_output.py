"""What stores sold of a brand, below the API."""

from datetime import UTC, date, datetime
from typing import Any, Literal

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, output
from s2b2c.output import Scope
from tests import factories

OCTOBER = datetime(2026, 9, 30, 16, tzinfo=UTC)
SEPTEMBER: dict[str, Any] = {"start": date(2026, 9, 1), "end": date(2026, 10, 1)}


async def _day(
    session: AsyncSession,
    brand: models.Brand,
    store: models.Store,
    day: date,
    paid: int,
    refunded: int = 0,
    *,
    orders: int = 1,
    units: int = 2,
    branch_id: int = 1,
) -> None:
    session.add(
        models.DailyBrand(
            branch_id=branch_id,
            store_id=store.id,
            brand_id=brand.id,
            day=day,
            orders=orders,
            units=units,
            paid=paid,
            refunded=refunded,
        )
    )
    await session.flush()


async def test_output_adds_up_the_days_and_branches_of_a_store(session: AsyncSession) -> None:
    """An owner that moved leaves the store's sales in two branches."""
    brand = await factories.a_brand(session)
    store = await factories.a_store(session)
    await _day(session, brand, store, date(2026, 9, 1), 100, units=3, branch_id=1)
    await _day(session, brand, store, date(2026, 9, 1), 50, 20, units=3, branch_id=2)
    await _day(session, brand, store, date(2026, 9, 2), 7, units=3)
    await _day(session, brand, store, date(2026, 9, 3), 1000)
    (row,) = await output.by_store(session, Scope(date(2026, 9, 1), date(2026, 9, 3), brand.id), after=None, limit=10)
    assert (row.store.id, row.store.slug, row.output, row.orders, row.units) == (store.id, store.slug, 137, 3, 9)
    assert (row.output_before, row.trend, row.total) == (0, 137, 137)


async def test_the_period_before_is_as_long_and_right_before(session: AsyncSession) -> None:
    brand = await factories.a_brand(session)
    store = await factories.a_store(session)
    for day, paid in [(28, 1), (29, 20), (31, 300)]:  # three days from September on: August 29 to 31 come before
        await _day(session, brand, store, date(2026, 8, day), paid)
    await _day(session, brand, store, date(2026, 9, 3), 4000, 500)
    (row,) = await output.by_store(session, Scope(date(2026, 9, 1), date(2026, 9, 4), brand.id), after=None, limit=10)
    assert (row.output, row.output_before, row.trend) == (3500, 320, 3180)


Sort = Literal["output", "orders", "units", "trend"]
SORTED: list[tuple[Sort, list[tuple[str, int]]]] = [
    ("output", [("a", 500), ("b", 300), ("c", 300), ("d", 0), ("e", -40)]),
    ("orders", [("c", 9), ("a", 1), ("b", 1), ("d", 0), ("e", 0)]),
    ("units", [("b", 8), ("a", 2), ("c", 2), ("d", 0), ("e", 0)]),
    ("trend", [("c", 300), ("b", 299), ("e", -40), ("d", -70), ("a", -100)]),
]


@pytest.mark.parametrize(("sort", "expected"), SORTED)
async def test_sorts_and_their_pages(session: AsyncSession, sort: Sort, expected: list[tuple[str, int]]) -> None:
    """a shrinks, b and c sell as much as each other, d sold only before, e has only a refund."""
    brand = await factories.a_brand(session)
    stores = {name: await factories.a_store(session) for name in "abcde"}
    august, september = date(2026, 8, 20), date(2026, 9, 20)
    await _day(session, brand, stores["a"], august, 600)
    await _day(session, brand, stores["a"], september, 500)
    await _day(session, brand, stores["b"], august, 1)
    await _day(session, brand, stores["b"], september, 300, units=8)
    await _day(session, brand, stores["c"], september, 300, orders=9)
    await _day(session, brand, stores["d"], august, 70)
    await _day(session, brand, stores["e"], september, 0, 40, orders=0, units=0)
    await _day(session, await factories.a_brand(session), stores["e"], september, 9999)
    names = {store.id: name for name, store in stores.items()}
    for limit in range(1, 6):
        seen: list[tuple[str, int]] = []
        after: tuple[int, ...] | None = None
        while rows := await output.by_store(
            session, Scope(**SEPTEMBER, brand_id=brand.id), sort=sort, after=after, limit=limit
        ):
            seen += [(names[row.store.id], getattr(row, sort)) for row in rows]
            after = (getattr(rows[-1], sort), rows[-1].store.id)
            assert {row.total for row in rows} == {1060}
        assert seen == expected, limit


async def test_region_and_tier_choose_what_is_shown(session: AsyncSession) -> None:
    brand = await factories.a_brand(session)
    stores = {
        (region, rank): await factories.a_store(
            session, await factories.a_distributor(session, region=region, rank=rank)
        )
        for region in ["浙江", "江苏"]
        for rank in [1, 2]
    }
    for number, store in enumerate(stores.values()):
        await _day(session, brand, store, date(2026, 9, 5), 10**number)
    second = (await factories.a_tier(session, rank=2)).id

    async def shown(**chosen: Any) -> list[tuple[int, int]]:
        rows = await output.by_store(session, Scope(**SEPTEMBER, brand_id=brand.id, **chosen), after=None, limit=10)
        return [(row.output, row.total) for row in rows]

    assert await shown() == [(1000, 1111), (100, 1111), (10, 1111), (1, 1111)]
    assert await shown(region="浙江") == [(10, 1111), (1, 1111)]
    assert await shown(tier_id=second) == [(1000, 1111), (10, 1111)]
    assert await shown(region="江苏", tier_id=second) == [(1000, 1111)]
    assert await shown(region="浙") == await shown(region="\0") == await shown(region="\ud800") == []
    assert await shown(tier_id=0) == []


async def test_periods_without_a_sale_are_there(session: AsyncSession) -> None:
    """Two stores, two branches; weeks begin on Monday (2026-08-31 is one), and both ends are cut."""
    brand = await factories.a_brand(session)
    one, other = await factories.a_store(session), await factories.a_store(session)
    await _day(session, brand, one, date(2026, 9, 1), 9999)
    await _day(session, brand, one, date(2026, 9, 2), 100)
    await _day(session, brand, other, date(2026, 9, 6), 50, 80, units=5)
    await _day(session, brand, other, date(2026, 9, 6), 7, branch_id=2, orders=0, units=0)
    await _day(session, brand, one, date(2026, 9, 16), 1000)
    await _day(session, brand, one, date(2026, 9, 17), 9999)
    await _day(session, await factories.a_brand(session), one, date(2026, 9, 3), 9999)
    span: dict[str, Any] = {"start": date(2026, 9, 2), "end": date(2026, 9, 17)}

    async def periods(by: Literal["day", "week", "month"], after: date | None = None, limit: int = 100) -> Any:
        key = None if after is None else (after.toordinal(),)
        rows = await output.by_period(session, Scope(**span, brand_id=brand.id), by=by, after=key, limit=limit)
        return [tuple(row) for row in rows]

    weeks = [
        (date(2026, 8, 31), date(2026, 9, 2), date(2026, 9, 7), 77, 2, 7),
        (date(2026, 9, 7), date(2026, 9, 7), date(2026, 9, 14), 0, 0, 0),
        (date(2026, 9, 14), date(2026, 9, 14), date(2026, 9, 17), 1000, 1, 2),
    ]
    assert await periods("week") == weeks
    assert await periods("week", limit=2) == weeks[:2]
    assert await periods("week", after=date(2026, 8, 31), limit=1) == weeks[1:2]
    assert await periods("week", after=date(2026, 9, 14)) == []
    assert await periods("month") == [(date(2026, 9, 1), date(2026, 9, 2), date(2026, 9, 17), 1077, 3, 9)]
    days = await periods("day")
    assert [day[0] for day in days] == [date(2026, 9, day) for day in range(2, 17)]
    assert {day[0].day: day[3:] for day in days if any(day[3:])} == {
        2: (100, 1, 2),
        6: (-23, 1, 5),
        16: (1000, 1, 2),
    }
    assert all((day[1], day[2]) == (day[0], date.fromordinal(day[0].toordinal() + 1)) for day in days)
    assert await periods("day", after=date(2026, 9, 15)) == days[-1:]


async def test_months_of_all_lengths(session: AsyncSession) -> None:
    brand = await factories.a_brand(session)
    rows = await output.by_period(
        session, Scope(date(2028, 1, 31), date(2028, 4, 1), brand.id), by="month", after=None, limit=9
    )
    assert [(row.start, row.since, row.until) for row in rows] == [
        (date(2028, 1, 1), date(2028, 1, 31), date(2028, 2, 1)),
        (date(2028, 2, 1), date(2028, 2, 1), date(2028, 3, 1)),
        (date(2028, 3, 1), date(2028, 3, 1), date(2028, 4, 1)),
    ]


async def test_stores_that_list_and_do_not_sell(session: AsyncSession) -> None:
    brand = await factories.a_brand(session)
    first = await factories.a_variant(session, brand=brand)
    second = await factories.a_variant(session, brand=brand)
    gone = await factories.a_variant(session, brand=brand)
    (await session.get_one(models.Product, gone.product_id)).state = "delisted"
    theirs = await factories.a_variant(session)
    names = ("silent", "sells", "sold before", "only refunds", "closed", "lists late", "lists gone", "lists theirs")
    stores = {name: await factories.a_store(session) for name in names}
    stores["closed"].state = "closed"
    before = datetime(2026, 9, 30, 15, 59, 59, tzinfo=UTC)
    for name, variant, listed_at in [
        *((name, first, before) for name in ("sells", "sold before", "only refunds", "closed")),
        ("silent", first, before),
        ("silent", second, datetime(2026, 5, 1, tzinfo=UTC)),
        ("silent", gone, datetime(2026, 4, 1, tzinfo=UTC)),
        ("silent", theirs, datetime(2026, 4, 1, tzinfo=UTC)),
        ("sold before", second, OCTOBER),
        ("lists late", first, OCTOBER),
        ("lists gone", gone, before),
        ("lists theirs", theirs, before),
    ]:
        position = 1 + variant.product_id - first.product_id
        listing = await factories.a_listing(session, stores[name], variant.product_id, position=position)
        listing.listed_at = listed_at
    await _day(session, brand, stores["sells"], date(2026, 9, 30), 0)  # for nothing, but an order
    await _day(session, brand, stores["sold before"], date(2026, 8, 31), 100)
    await _day(session, brand, stores["only refunds"], date(2026, 9, 1), 0, 70, orders=0, units=0)
    other = await session.get_one(models.Brand, theirs.brand_id)
    await _day(session, other, stores["silent"], date(2026, 9, 5), 5000)

    async def found(after: models.Store | None = None, limit: int = 10) -> list[tuple[int, int, datetime]]:
        key = None if after is None else (after.id,)
        rows = await output.stores_without_sales(session, brand.id, **SEPTEMBER, after=key, limit=limit)
        return [(row.store.id, row.listings, row.listed_since) for row in rows]

    expected = [
        (stores["silent"].id, 2, datetime(2026, 5, 1, tzinfo=UTC)),
        (stores["sold before"].id, 1, before),
        (stores["only refunds"].id, 1, before),
    ]
    assert await found() == expected
    assert await found(limit=1) == expected[:1]
    assert await found(after=stores["silent"], limit=1) == expected[1:2]
    assert await found(after=stores["only refunds"]) == []
