"""What stores showed on a day, and why: every change keeps what a listing was; a band moves them all at once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, models, stores
from s2b2c.catalogue import NewPrices
from s2b2c.db import Database
from s2b2c.stores import Change, Choice, LifePage
from tests import factories

T0 = datetime(2026, 9, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def a_shop(session: AsyncSession, *, products: int = 3) -> tuple[models.Store, list[int], dict[str, Any]]:
    """A store of tier 2, what can be chosen for it at 45.00 to 59.90, and who changes it."""
    owner = await factories.a_distributor(session, rank=2)
    store = await factories.a_store(session, owner)
    ids = [(await factories.a_variant(session, band=(4500, 5990))).product_id for _ in range(products)]
    account = models.Account(role="distributor", distributor_id=owner.id)
    session.add(account)
    await session.flush()
    return store, ids, {"distributor_id": owner.id, "account_id": account.id}


async def shelf_at(session: AsyncSession, store_id: int, at: datetime) -> list[tuple[Any, ...]]:
    rows = await stores.listings_at(session, store_id, at, after=None, limit=100)
    return [(row.product_id, row.price, row.position, row.pitch, row.why) for row in rows]


async def life(session: AsyncSession, store_id: int, product_id: int, limit: int = 100) -> Sequence[Any]:
    (rows,) = await stores.listing_versions(session, [LifePage(store_id, product_id, None, limit)])
    return rows


async def test_each_change_keeps_what_was(session: AsyncSession) -> None:
    store, (one, two, _), by = await a_shop(session)
    await stores.select_products(session, store.id, [Choice(one, 4600, "甲"), Choice(two)], **by, now=T0)
    await stores.update_listings(session, store.id, [Change(one, price=4700)], **by, now=T0 + HOUR)
    await stores.reorder_listings(session, store.id, [two], behind=None, **by, now=T0 + 2 * HOUR)
    await stores.remove_listings(session, store.id, [one], **by, now=T0 + 3 * HOUR)
    assert await shelf_at(session, store.id, T0 - HOUR) == []
    assert await shelf_at(session, store.id, T0) == [(one, 4600, 1, "甲", "selected"), (two, 4990, 2, "", "selected")]
    assert await shelf_at(session, store.id, T0 + HOUR) == [
        (one, 4700, 1, "甲", "changed"),
        (two, 4990, 2, "", "selected"),
    ]
    assert await shelf_at(session, store.id, T0 + 2 * HOUR) == [
        (two, 4990, 1, "", "reordered"),
        (one, 4700, 2, "甲", "reordered"),
    ]
    assert await shelf_at(session, store.id, T0 + 3 * HOUR) == [(two, 4990, 1, "", "reordered")]
    versions = await life(session, store.id, one)
    assert [(v.since, v.until, v.price, v.position, v.why, v.end_reason) for v in versions] == [
        (T0 + 2 * HOUR, T0 + 3 * HOUR, 4700, 2, "reordered", "removed"),
        (T0 + HOUR, T0 + 2 * HOUR, 4700, 1, "changed", None),
        (T0, T0 + HOUR, 4600, 1, "selected", None),
    ]
    assert [v.account_id for v in versions] == [by["account_id"]] * 3
    assert [v.ended_by for v in versions] == [by["account_id"], None, None]


async def test_a_change_to_the_same_or_at_the_same_moment_keeps_nothing(session: AsyncSession) -> None:
    store, (one, two, _), by = await a_shop(session)
    await stores.select_products(session, store.id, [Choice(one, 4600), Choice(two)], **by, now=T0)
    await stores.update_listings(session, store.id, [Change(one, price=4700, pitch="乙")], **by, now=T0)
    same = Change(one, price=4700, pitch="乙", pinned=False, regions=[], segments=[])
    (answer,) = await stores.update_listings(session, store.id, [same], **by, now=T0 + HOUR)
    assert isinstance(answer, stores.OwnListing)
    assert (answer.price, answer.pitch) == (4700, "乙")
    await stores.reorder_listings(session, store.id, [one], behind=None, **by, now=T0 + HOUR)
    # A server whose clock is behind changes it, and keeps no span that ends before it began.
    await stores.update_listings(session, store.id, [Change(two, price=5000)], **by, now=T0 - HOUR)
    assert (await session.scalars(select(models.ListingHistory))).all() == []
    listings = (await session.scalars(select(models.Listing).order_by(models.Listing.position))).all()
    assert [(it.price, it.listed_at, it.changed_at, it.why) for it in listings] == [
        (4700, T0, None, "changed"),
        (5000, T0, None, "changed"),
    ]


async def test_what_is_refused_keeps_nothing(session: AsyncSession) -> None:
    store, (one, _, _), by = await a_shop(session)
    await stores.select_products(session, store.id, [Choice(one)], **by, now=T0)
    (refusal,) = await stores.update_listings(session, store.id, [Change(one, price=1)], **by, now=T0 + HOUR)
    assert getattr(refusal, "code", None) == "PRICE_OUT_OF_BAND"
    assert len(await life(session, store.id, one)) == 1


async def test_a_product_that_comes_back_begins_where_it_left_at_the_earliest(session: AsyncSession) -> None:
    store, (one, _, _), by = await a_shop(session)
    await stores.select_products(session, store.id, [Choice(one)], **by, now=T0)
    await stores.remove_listings(session, store.id, [one], **by, now=T0 + 2 * HOUR)
    await stores.select_products(session, store.id, [Choice(one)], **by, now=T0 + HOUR)
    versions = await life(session, store.id, one)
    assert [(v.since, v.until) for v in versions] == [(T0 + 2 * HOUR, None), (T0, T0 + 2 * HOUR)]


async def test_the_shelf_of_then_in_pages(session: AsyncSession) -> None:
    """Pinned ones first, then by position, as they were; the pages join without a gap."""
    store, ids, by = await a_shop(session, products=5)
    await stores.select_products(session, store.id, [Choice(id_) for id_ in ids], **by, now=T0)
    await stores.update_listings(session, store.id, [Change(ids[3], pinned=True)], **by, now=T0 + HOUR)
    await stores.remove_listings(session, store.id, ids[:2], **by, now=T0 + 2 * HOUR)
    seen: list[int] = []
    after = None
    while rows := await stores.listings_at(session, store.id, T0 + HOUR, after=after, limit=2):
        seen += [row.product_id for row in rows]
        after = stores.past_shelf_key(rows[-1])
    assert seen == [ids[3], ids[0], ids[1], ids[2], ids[4]]


async def test_the_lives_of_many_listings_in_pages(session: AsyncSession) -> None:
    store, (one, two, three), by = await a_shop(session)
    await stores.select_products(session, store.id, [Choice(one), Choice(two)], **by, now=T0)
    for hour, price in enumerate((4600, 4700, 4800), start=1):
        await stores.update_listings(session, store.id, [Change(one, price=price)], **by, now=T0 + hour * HOUR)
    newest = await life(session, store.id, one, 2)
    assert [row.price for row in newest] == [4800, 4700]
    pages = [
        LifePage(store.id, one, newest[-1].key, 9),
        LifePage(store.id, two, None, 9),
        LifePage(store.id, three, None, 9),
    ]
    found = await stores.listing_versions(session, pages)
    assert [[row.price for row in rows] for rows in found] == [[4600, 4990], [4990], []]


async def counted(session: AsyncSession) -> list[str]:
    """The statements that write listings from now on."""
    sent: list[str] = []
    connection = await session.connection()

    def note(*called: Any) -> None:
        if any(f"{verb} listings" in called[2] for verb in ("UPDATE", "DELETE FROM")):
            sent.append(called[2])

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    return sent


OWNERS, STORES_EACH = 20, 10
_WORLD = text("""
    WITH store AS (
        INSERT INTO stores (slug, distributor_id, title, region)
        SELECT 's' || d.id || '-' || n, d.id, 'Store ' || n, '' FROM distributors d CROSS JOIN generate_series(1, :each) AS n
        RETURNING id, slug
    )
    INSERT INTO listings (store_id, product_id, price, position, pitch, listed_at)
    SELECT id, :product_id, CASE right(slug, 1)::int % 2 WHEN 0 THEN 4990 ELSE 5900 END, 1, '', :at FROM store
""")


async def test_a_band_moves_two_hundred_listings_in_one_statement(db: Database) -> None:
    """Half of 200 listings cost 49.90 and half 59.00; the new band is 40.00 to 52.00, so that 100 move."""
    async with db.write() as session:
        variant = await factories.a_variant(session, band=(4500, 5990))
        for _ in range(OWNERS):
            await factories.a_distributor(session, rank=2)
        await factories.a_tier(session, rank=1)
        await factories.a_tier(session, rank=3)
        await session.execute(_WORLD, {"each": STORES_EACH, "product_id": variant.product_id, "at": T0})
        costs = {tier.id: 3500 + 400 * (tier.rank - 1) for tier in (await session.scalars(select(models.Tier))).all()}
    prices = NewPrices(variant.id, 2600, 5000, 4000, 5200, costs)
    async with db.write() as session:
        sent = await counted(session)
        changed = await catalogue.change_prices(
            session, variant.brand_id, [prices], starts_at=None, account_id=None, now=T0 + HOUR
        )
        assert (changed.listings, len(sent)) == (100, 1)
    async with db.read() as session:
        told = (await session.scalars(select(models.Notice).order_by(models.Notice.distributor_id))).all()
        assert len({notice.distributor_id for notice in told}) == len(told) == OWNERS
        assert {(notice.kind, notice.facts["clamped"], notice.facts["withdrawn"]) for notice in told} == {
            ("listings_fitted", 5, 0)
        }
        assert [len(notice.facts["first"]) for notice in told] == [3] * OWNERS
        for store_id, slug in (await session.execute(select(models.Store.id, models.Store.slug))).all():
            old = 4990 if int(slug[-1]) % 2 == 0 else 5900
            ((_, before, *_),) = await shelf_at(session, store_id, T0 + HOUR - timedelta(microseconds=1))
            ((_, after, *_, why),) = await shelf_at(session, store_id, T0 + HOUR)
            assert (before, after, why) == (old, min(old, 5200), "selected" if old == 4990 else "clamped")


async def test_what_no_price_fits_leaves_and_is_on_record(db: Database) -> None:
    async with db.write() as session:
        store, (one, _, _), by = await a_shop(session)
        await stores.select_products(session, store.id, [Choice(one, 5000, "丙")], **by, now=T0)
        await factories.reprice(session, one, T0 + HOUR, tier_costs=[3500])
        await session.execute(text(f"CREATE TEMP TABLE touched ON COMMIT DROP AS SELECT {one} AS product_id"))
        assert await catalogue.fit_listings(session, T0 + HOUR) == 1
        (version,) = await life(session, store.id, one)
        assert (version.since, version.until, version.price, version.pitch) == (T0, T0 + HOUR, 5000, "丙")
        assert (version.end_reason, version.ended_by) == ("no_price_fits", None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tier_costs": [3500]}, "no_cost_for_your_tier"),
        ({"tier_costs": [3500, 6000]}, "no_price_fits"),
    ],
)
async def test_why_a_product_cannot_be_chosen(session: AsyncSession, changes: dict[str, Any], reason: str) -> None:
    store, (one, _, _), by = await a_shop(session)
    await factories.reprice(session, one, T0, **changes)
    (refusal,) = await stores.select_products(session, store.id, [Choice(one)], **by, now=T0)
    assert getattr(refusal, "reason", None) == reason


async def test_a_product_that_is_delisted_or_empty_cannot_be_chosen(session: AsyncSession) -> None:
    store, (one, _, _), by = await a_shop(session)
    product = await session.get_one(models.Product, one)
    product.state = "delisted"
    empty = models.Product(
        brand_id=product.brand_id, code="E", title="?", category="?", tonalities=[], audiences=[], state="listed"
    )
    session.add(empty)
    await session.flush()
    refusals = await stores.select_products(session, store.id, [Choice(one), Choice(empty.id)], **by, now=T0)
    assert [getattr(it, "reason", None) for it in refusals] == ["not_listed", "nothing_to_sell"]


async def test_what_bounds_a_price(session: AsyncSession) -> None:
    """A band from 45.00, a cost of 46.00, a floor of 92.5 % of 49.90 = 46.1575, so 46.16."""
    store, (banded, costly, floored), by = await a_shop(session)
    await factories.reprice(session, costly, T0, tier_costs=[3500, 4600])
    brand_id = (await session.get_one(models.Product, floored)).brand_id
    await catalogue.set_rules(session, brand_id, catalogue.Rules(floor_bps=9250), account_id=None, now=T0)
    choices = [Choice(banded, 4499), Choice(costly, 4599), Choice(floored, 4615), Choice(floored, 5991)]
    refusals = await stores.select_products(session, store.id, choices[:3], **by, now=T0)
    refusals += await stores.select_products(session, store.id, choices[3:], **by, now=T0)
    assert [(getattr(it, "bound", None), getattr(it, "lowest_price", None)) for it in refusals] == [
        ("band", 4500),
        ("cost", 4600),
        ("floor", 4616),
        ("band", 4616),
    ]
    assert (await session.scalars(select(models.Listing))).all() == []


async def test_two_stores_show_one_product_as_they_like_and_a_third_may_not(session: AsyncSession) -> None:
    first, (one, two, _), by = await a_shop(session)
    second, _, by_second = await a_shop(session, products=0)
    upper = await factories.a_store(session, await factories.a_distributor(session, rank=3))
    await factories.reprice(session, one, T0, tier_costs=[3500, 3900])
    await stores.select_products(session, first.id, [Choice(one, 4600, "甲"), Choice(two)], **by, now=T0)
    await stores.select_products(session, second.id, [Choice(two), Choice(one, 5990, "乙")], **by_second, now=T0)
    (refusal,) = await stores.select_products(
        session, upper.id, [Choice(one)], distributor_id=upper.distributor_id, account_id=None, now=T0
    )
    assert getattr(refusal, "reason", None) == "no_cost_for_your_tier"
    assert await shelf_at(session, first.id, T0) == [(one, 4600, 1, "甲", "selected"), (two, 4990, 2, "", "selected")]
    assert await shelf_at(session, second.id, T0) == [(two, 4990, 1, "", "selected"), (one, 5990, 2, "乙", "selected")]
