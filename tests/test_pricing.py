"""Prices that change at once and at a time to come: all or nothing, once, and the listings follow."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from s2b2c import catalogue, models, notices
from s2b2c.catalogue import NewPrices
from s2b2c.db import Database
from s2b2c.errors import InvalidPrices, Refused
from tests import factories
from tests.snapshot import snapshot

NOW = datetime(2026, 9, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=7)


class Supply:
    """Two variants of a brand, each at 26.00 to 99.80 with 49.90 suggested; the first is listed at 49.90."""

    brand: int
    variants: list[models.Variant]
    tiers: list[int]

    async def made(self, db: Database) -> "Supply":
        async with db.write() as session:
            brand = await factories.a_brand(session)
            self.brand = brand.id
            self.tiers = [(await factories.a_tier(session, rank=rank)).id for rank in (1, 2, 3)]
            self.variants = [await factories.a_variant(session, brand=brand) for _ in range(2)]
            store = await factories.a_store(session, await factories.a_distributor(session, rank=2))
            await factories.a_listing(session, store, self.variants[0].product_id)
        return self

    def prices(self, number: int = 0, **changes: Any) -> NewPrices:
        costs = dict(zip(self.tiers, (3500, 3900, 4200), strict=True))
        return NewPrices(self.variants[number].id, 2600, 5500, 5000, 6000, costs)._replace(**changes)


async def spans(db: Database, variant: models.Variant) -> list[tuple[Any, ...]]:
    async with db.read() as session:
        query = select(models.Price).where(models.Price.variant_id == variant.id).order_by(models.Price.id)
        return [(it.during.lower, it.during.upper, it.min_price) for it in (await session.scalars(query)).all()]


async def states(db: Database) -> list[tuple[str, int]]:
    async with db.read() as session:
        query = select(models.ScheduledPrice).order_by(models.ScheduledPrice.id)
        return [(it.state, it.min_price) for it in (await session.scalars(query)).all()]


async def change(db: Database, supply: Supply, *prices: NewPrices, starts_at: datetime | None = None) -> Any:
    async with db.write() as session:
        return await catalogue.change_prices(
            session, supply.brand, prices, starts_at=starts_at, account_id=None, now=NOW
        )


async def apply(db: Database, now: datetime, limit: int = 100) -> int:
    async with db.write() as session:
        return await catalogue.apply_due_prices(session, now, limit=limit)


async def test_prices_change_at_once(db: Database) -> None:
    supply = await Supply().made(db)
    changed = await change(db, supply, supply.prices(0), supply.prices(1))
    assert (changed.listings, [it.state for it in changed.changes]) == (1, ["applied", "applied"])
    assert await spans(db, supply.variants[0]) == [(None, NOW, 2600), (NOW, None, 5000)]
    async with db.read() as session:
        assert await session.scalar(select(models.Listing.price)) == 5000
    # Again at the very same moment: the new span begins right behind.
    await change(db, supply, supply.prices(0, min_price=5100))
    after = NOW + timedelta(microseconds=1)
    assert (await spans(db, supply.variants[0]))[1:] == [(NOW, after, 5000), (after, None, 5100)]
    # The same prices once more change nothing.
    assert (await change(db, supply, supply.prices(0, min_price=5100))).listings == 0
    assert len(await spans(db, supply.variants[0])) == 3


async def test_prices_change_when_their_time_has_come(db: Database) -> None:
    supply = await Supply().made(db)
    await change(db, supply, supply.prices(0), supply.prices(1), starts_at=LATER)
    assert await spans(db, supply.variants[0]) == [(None, None, 2600)]
    assert await apply(db, LATER - timedelta(microseconds=1)) == 0
    late = LATER + timedelta(minutes=3)
    assert await apply(db, late) == 2
    assert await apply(db, late) == 0
    for variant in supply.variants:
        assert await spans(db, variant) == [(None, late, 2600), (late, None, 5000)]
    assert await states(db) == [("applied", 5000)] * 2
    async with db.read() as session:
        assert await session.scalar(select(models.Listing.price)) == 5000
        ((kind, facts),) = (await session.execute(select(models.Notice.kind, models.Notice.facts))).all()
        assert (kind, facts["old_price"], facts["new_price"]) == ("listing_clamped", 4990, 5000)


async def test_of_changes_for_one_moment_the_last_is_kept(db: Database) -> None:
    supply = await Supply().made(db)
    await change(db, supply, supply.prices(0), starts_at=LATER)
    await change(db, supply, supply.prices(0, min_price=5200), starts_at=LATER)
    assert await states(db) == [("cancelled", 5000), ("waiting", 5200)]


async def test_what_waited_long_is_applied_in_its_order(db: Database) -> None:
    supply = await Supply().made(db)
    for days, price in ((2, 5200), (1, 5100)):
        await change(db, supply, supply.prices(0, min_price=price), starts_at=NOW + timedelta(days=days))
    late = NOW + timedelta(days=9)
    assert [await apply(db, late), await apply(db, late), await apply(db, late)] == [1, 1, 0]
    assert [low for *_, low in await spans(db, supply.variants[0])] == [2600, 5100, 5200]


async def test_two_workers_apply_once(db: Database) -> None:
    supply = await Supply().made(db)
    await change(db, supply, supply.prices(0), supply.prices(1), starts_at=LATER)
    assert max(await asyncio.gather(*(apply(db, LATER) for _ in range(4)))) == 2
    assert len(await spans(db, supply.variants[0])) == 2
    assert await states(db) == [("applied", 5000)] * 2


async def test_of_what_is_delisted_nothing_is_changed_and_its_brand_is_told(db: Database) -> None:
    supply = await Supply().made(db)
    await change(db, supply, supply.prices(0), supply.prices(1), starts_at=LATER)
    async with db.write() as session:
        gone = models.Product.id == supply.variants[1].product_id
        await session.execute(update(models.Product).where(gone).values(state="delisted"))
    assert await apply(db, LATER) == 2
    assert await states(db) == [("applied", 5000), ("refused", 5000)]
    assert await spans(db, supply.variants[1]) == [(None, None, 2600)]
    async with db.read() as session:
        (told,) = (await session.scalars(select(models.Notice).where(models.Notice.brand_id == supply.brand))).all()
        sku = supply.variants[1].sku
        assert (
            notices.words(told.kind, told.facts, "zh")
            == f"SKU {sku} 原定 2026-09-08 08:00 的改价没有生效：商品已下架。"
        )
        assert notices.words(told.kind, told.facts, "en").endswith("were not applied: its product is delisted.")


async def test_a_change_is_taken_back_while_it_waits(db: Database) -> None:
    supply, other = await Supply().made(db), await Supply().made(db)
    changed = await change(db, supply, supply.prices(0), starts_at=LATER)
    ids = [it.id for it in changed.changes]
    before = await snapshot(db)
    with pytest.raises(Refused, match="price changes of yours"):
        async with db.write() as session:
            await catalogue.cancel_price_changes(session, other.brand, ids, now=NOW)
    assert await snapshot(db) == before
    async with db.write() as session:
        (cancelled,) = await catalogue.cancel_price_changes(session, supply.brand, ids, now=NOW)
        assert (cancelled.state, cancelled.done_at) == ("cancelled", NOW)
    with pytest.raises(Refused, match="still wait"):
        async with db.write() as session:
            await catalogue.cancel_price_changes(session, supply.brand, ids, now=NOW)
    assert await apply(db, LATER) == 0
    assert await spans(db, supply.variants[0]) == [(None, None, 2600)]


WRONG: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"supply_price": 5001}, [("supplyPrice", "is above minPrice"), *[(f"tierCosts:tier-{n}", "is below supplyPrice") for n in (1, 2, 3)]]),
    ({"suggested_price": 4999}, [("suggestedPrice", "is below minPrice")]),
    ({"suggested_price": 6001}, [("suggestedPrice", "is above maxPrice")]),
    ({"min_price": -1, "supply_price": -1}, [("supplyPrice", "is -1, but a price is 0 to 1000000000000 fen"), ("minPrice", "is -1, but a price is 0 to 1000000000000 fen")]),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "problems"), WRONG)
async def test_what_can_never_be_right_is_named(
    db: Database, wrong: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    supply = await Supply().made(db)
    before = await snapshot(db)
    with pytest.raises(Refused) as refused:
        await change(db, supply, supply.prices(0), supply.prices(1, **wrong))
    assert isinstance(refused.value.refusal, InvalidPrices)
    assert [(it.sku, it.field, it.message) for it in refused.value.refusal.problems] == [
        (supply.variants[1].sku, *problem) for problem in problems
    ]
    assert await snapshot(db) == before


async def test_a_lower_tier_never_pays_less(db: Database) -> None:
    supply = await Supply().made(db)
    costs = {supply.tiers[0]: 4000, supply.tiers[2]: 3999}
    with pytest.raises(Refused) as refused:
        await change(db, supply, supply.prices(0, tier_costs=costs))
    assert isinstance(refused.value.refusal, InvalidPrices)
    ((_, field, message),) = refused.value.refusal.problems
    assert (field, message) == ("tierCosts:tier-3", "is below the cost of the higher tier tier-1")


async def test_another_brands_variant_or_no_tier_is_not_found(db: Database) -> None:
    supply, other = await Supply().made(db), await Supply().made(db)
    before = await snapshot(db)
    for prices in (other.prices(0), supply.prices(0, tier_costs={10**9: 5000})):
        with pytest.raises(Refused) as refused:
            await change(db, supply, prices)
        assert refused.value.refusal.code == "NOT_FOUND"
    with pytest.raises(Refused, match="named twice"):
        await change(db, supply, supply.prices(0), supply.prices(0))
    with pytest.raises(Refused, match="731 days"):
        await change(db, supply, supply.prices(0), starts_at=NOW + timedelta(days=732))
    assert await snapshot(db) == before


async def test_what_was_and_what_will_be_in_pages(db: Database) -> None:
    supply = await Supply().made(db)
    await change(db, supply, supply.prices(0))
    for days, price in ((3, 5300), (2, 5200)):
        await change(db, supply, supply.prices(0, min_price=price), starts_at=NOW + timedelta(days=days))
    first, second = (variant.id for variant in supply.variants)
    async with db.read() as session:
        coming = await catalogue.upcoming_prices(
            session, [catalogue.PricesPage(first, None, 1), catalogue.PricesPage(second, None, 9)]
        )
        assert [[row.min_price for row in rows] for rows in coming] == [[5200], []]
        (more,) = await catalogue.upcoming_prices(session, [catalogue.PricesPage(first, coming[0][0].key, 9)])
        assert [row.min_price for row in more] == [5300]
        (past,) = await catalogue.price_history(session, [catalogue.PricesPage(first, None, 9)])
        assert [(row.starts, row.ends, row.min_price) for row in past] == [(NOW, None, 5000), (None, NOW, 2600)]
        (older,) = await catalogue.price_history(session, [catalogue.PricesPage(first, past[0].id, 9)])
        assert [row.min_price for row in older] == [2600]
