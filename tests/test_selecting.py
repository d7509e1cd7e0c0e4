"""The selection: what is found, in which order, by which marks, and when it is described and counted anew."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, models, orders
from s2b2c.catalogue import Sort, Wanted, words
from s2b2c.db import Database
from s2b2c.errors import BadArgument, Refused
from tests import factories

NOW = datetime(2026, 9, 15, 4, tzinfo=UTC)


async def a_product(session: AsyncSession, title: str, *, tags: tuple[str, ...] = (), **variant: Any) -> models.Variant:
    made = await factories.a_variant(session, **variant)
    await session.execute(
        update(models.Product)
        .where(models.Product.id == made.product_id)
        .values(title=title, tonalities=list(tags), created_at=NOW)
    )
    return made


async def found(
    session: AsyncSession,
    chooser: models.Distributor,
    wanted: Wanted = Wanted(),  # noqa: B008  it cannot change
    *,
    sort: Sort = "newest",
    after: tuple[int, ...] | None = None,
    limit: int = 100,
) -> list[str]:
    rows = await catalogue.on_offer(session, chooser.id, wanted, now=NOW, sort=sort, after=after, limit=limit)
    return [row.title for row in rows]


async def index(session: AsyncSession) -> None:
    while await catalogue.index_products(session):
        pass


async def test_titles_come_before_all_else_and_the_newest_first(session: AsyncSession) -> None:
    me = await factories.a_distributor(session)
    for title, category in [
        ("猫砂盆", "猫粮"),
        ("烘焙猫粮", "主食"),
        ("冻干猫粮", "主食"),
        ("粮桶，给猫", "用品"),
        ("茶", "茶"),
    ]:
        await a_product(session, title, category=category)
    await index(session)
    everything = ["冻干猫粮", "烘焙猫粮", "粮桶，给猫", "猫砂盆"]
    assert await found(session, me, Wanted("猫粮")) == everything
    seen: list[str] = []
    after: tuple[int, ...] | None = None
    for _ in everything:
        (row,) = await catalogue.on_offer(session, me.id, Wanted("猫粮"), now=NOW, sort="newest", after=after, limit=1)
        seen.append(row.title)
        after = row.key
    assert seen == everything
    assert await found(session, me, Wanted("猫粮"), after=after) == []


async def test_what_is_near_is_shown_where_nothing_matches(session: AsyncSession) -> None:
    me = await factories.a_distributor(session)
    for title in ("巴旦木仁", "巴旦公", "collagen 饮", "牛轧糖"):
        await a_product(session, title)
    await index(session)
    assert await found(session, me, Wanted("巴旦目")) == ["巴旦公", "巴旦木仁"]
    assert await found(session, me, Wanted("巴旦木")) == ["巴旦木仁"]
    for typed in ("collgen", "colagen", "collagenn", "colxagen", "COLLAGEN", "coll"):
        assert await found(session, me, Wanted(typed)) == ["collagen 饮"], typed
    for typed in ("coxxagen", "牛札", "巴", "！", "%", "'", "\\", "a & b", "!x", "x:*", "()", "<->"):
        assert await found(session, me, Wanted(typed)) == (["巴旦公", "巴旦木仁"] if typed == "巴" else []), typed


@pytest.mark.parametrize("typed", ["\0", "猫\ud800", "猫\x07"])
async def test_what_no_database_can_hold_finds_nothing(session: AsyncSession, typed: str) -> None:
    me = await factories.a_distributor(session)
    await a_product(session, "猫粮")
    await index(session)
    for wanted in (Wanted(typed), Wanted(category=typed), Wanted(tags=[typed])):
        assert await found(session, me, wanted) == []


async def test_a_search_may_be_so_long_and_no_longer(session: AsyncSession) -> None:
    me = await factories.a_distributor(session)
    await a_product(session, "字" * 100)
    await index(session)
    assert await found(session, me, Wanted("字" * 100)) == ["字" * 100]
    with pytest.raises(Refused) as refused:
        await found(session, me, Wanted("字" * 101))
    assert refused.value.refusal == BadArgument("search has 101 characters; at most 100 are read.")


async def test_every_filter(session: AsyncSession) -> None:
    """Of 4990 a tier that pays 3900 keeps 1090: 2184 bps."""
    me = await factories.a_distributor(session, rank=2)
    brand = await factories.a_brand(session, "山野")
    await a_product(session, "一", brand=brand, category="茶", tags=("清新", "it's"))
    await a_product(session, "二", price=5000, stock=0, tags=("清新",))
    other = await a_product(session, "三", price=30000, tier_costs=(3500, 30000))
    await a_product(session, "非", tier_costs=(3500,))
    await session.execute(
        update(models.Product).where(models.Product.id == other.product_id).values(created_at=NOW - timedelta(31))
    )
    await index(session)
    for wanted, titles in [
        (Wanted(), ["三", "二", "一"]),
        (Wanted(brand_id=brand.id), ["一"]),
        (Wanted("山野"), ["一"]),
        (Wanted(category="茶"), ["一"]),
        (Wanted(tags=["清新"]), ["二", "一"]),
        (Wanted(tags=["清新", "it's"]), ["一"]),
        (Wanted(price_tier="entry"), ["一"]),
        (Wanted(price_tier="value"), ["二"]),
        (Wanted(price_tier="premium"), ["三"]),
        (Wanted(price_from=4990, price_to=4999), ["一"]),
        (Wanted(price_from=4991), ["三", "二"]),
        (Wanted(price_to=5000), ["二", "一"]),
        (Wanted(margin_from_bps=0), ["三", "二", "一"]),
        (Wanted(margin_from_bps=2184), ["二", "一"]),
        (Wanted(margin_from_bps=2185), ["二"]),
        (Wanted(margin_from_bps=2201), []),
        (Wanted(margin_from_bps=10000), []),
        (Wanted(in_stock=True), ["三", "一"]),
        (Wanted(is_new=True), ["二", "一"]),
        (Wanted(sells_like_mine=True), []),
        (Wanted("清新", tags=["清新"], in_stock=True, is_new=True, margin_from_bps=1, price_to=4990), ["一"]),
    ]:
        by_price: list[tuple[Sort, list[str]]] = [
            ("price up", sorted(titles, key=["一", "二", "三"].index)),
            ("price down", sorted(titles, key=["三", "二", "一"].index)),
        ]
        assert await found(session, me, wanted) == titles, wanted
        for sort, expected in by_price:
            assert await found(session, me, wanted, sort=sort) == expected, (wanted, sort)


async def test_a_product_is_described_anew_when_it_is_marked(session: AsyncSession) -> None:
    me = await factories.a_distributor(session)
    made = await a_product(session, "旧名")
    await index(session)
    await session.execute(update(models.Product).where(models.Product.id == made.product_id).values(title="新名"))
    assert (await found(session, me, Wanted("旧")), await found(session, me, Wanted("新"))) == (["新名"], [])
    await factories.reprice(session, made.product_id, NOW, tier_costs=[4000])
    assert await catalogue.index_products(session) == 1
    assert await catalogue.index_products(session) == 0
    assert (await found(session, me, Wanted("旧")), await found(session, me, Wanted("新"))) == ([], ["新名"])
    row = (await session.scalars(select(models.SelectableProduct))).one()
    await session.refresh(row)
    assert (row.suggested_price, row.costs, row.listed_at) == (4990, [4000], NOW)
    await factories.reprice(session, made.product_id, NOW + timedelta(1), tier_costs=[None])
    await index(session)
    assert await session.scalar(select(func.count()).select_from(models.SelectableProduct)) == 0


async def test_two_workers_share_what_is_stale(db: Database) -> None:
    async with db.write() as session:
        await factories.a_tier(session)
        for number in range(30):
            await a_product(session, f"商品{number}")

    async def work() -> int:
        async with db.write() as session:
            return await catalogue.index_products(session, limit=10)

    assert sorted(await asyncio.gather(work(), work(), work(), work())) == [0, 10, 10, 10]
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(models.SelectableProduct)) == 30


async def test_cohorts_are_counted_once_an_hour(session: AsyncSession) -> None:
    """Of a tier and a region; what was refunded whole, sold long ago or in a closed store is not."""
    me = await factories.a_distributor(session, region="浙江")
    like_me = await factories.a_distributor(session, region="浙江")
    elsewhere = await factories.a_distributor(session, region="江苏")
    made = [await a_product(session, title) for title in "甲乙丙"]
    stores = [await factories.a_store(session, owner) for owner in (me, like_me, elsewhere, like_me)]
    await session.execute(update(models.Store).where(models.Store.id == stores[3].id).values(state="closed"))
    for store in stores:
        for position, variant in enumerate(made[:2], start=1):
            await factories.a_listing(session, store, variant.product_id, position=position)
    day = timedelta(days=1)
    for store, variant, quantity, paid_at in [
        (stores[1], made[1], 2, NOW - day),
        (stores[1], made[2], 3, NOW - 30 * day),
        (stores[0], made[2], 2, NOW - timedelta(seconds=1)),
        (stores[1], made[0], 7, NOW - 30 * day - timedelta(seconds=1)),
        (stores[2], made[0], 9, NOW - day),
        (stores[3], made[0], 9, NOW - day),
    ]:
        order = await factories.an_order(session, store, (variant, quantity, 4990, 0), placed_at=paid_at)
        await orders.pay(session, [(order.branch_id, order.id, paid_at)], rail="import")
    await index(session)
    assert await catalogue.count_cohorts(session, NOW) == 1
    rows = await catalogue.on_offer(session, me.id, Wanted(), now=NOW, sort="newest", after=None, limit=9)
    assert [(row.title, row.stores_like_mine, row.units_like_mine) for row in rows] == [
        ("丙", 0, 5),
        ("乙", 2, 2),
        ("甲", 2, 0),
    ]
    assert await found(session, me, sort="best selling") == ["丙", "乙"]
    assert await found(session, me, Wanted("乙"), sort="best selling") == ["乙"]
    assert await found(session, me, sort="best selling", after=(5, made[2].product_id)) == ["乙"]
    assert await found(session, me, Wanted(sells_like_mine=True), sort="price up") == ["乙", "丙"]
    assert await found(session, elsewhere, sort="best selling") == ["甲"]

    await session.execute(delete(models.Listing).where(models.Listing.product_id == made[0].product_id))
    assert await catalogue.count_cohorts(session, NOW + timedelta(minutes=59)) == 0
    assert await catalogue.count_cohorts(session, NOW + timedelta(hours=1)) == 1
    counted = await session.execute(
        select(models.CohortProduct.product_id, models.CohortProduct.stores, models.CohortProduct.units)
        .where(models.CohortProduct.region == "浙江")
        .order_by(models.CohortProduct.product_id)
    )
    assert [tuple(row) for row in counted] == [(made[1].product_id, 2, 2), (made[2].product_id, 0, 2)]


async def test_two_workers_count_once(db: Database) -> None:
    async def count() -> int:
        async with db.write() as session:
            return await catalogue.count_cohorts(session, NOW)

    assert sorted(await asyncio.gather(count(), count(), count())) == [0, 0, 1]


def test_what_a_product_is_found_by() -> None:
    product = words.Described(
        title="一口鲜猫条 15g×20",
        rest="RX07 猫 Ab'c\\d",
        brand_id=7,
        category="it's",
        tags=["活泼"],
        suggested_price=10_000,
        costs=[9_999, None, 5_500],
        listed_on=NOW.date(),
    )
    week = NOW.date().toordinal() // 7
    assert words.terms(product) == (
        "'15g':7A '20':9A '一':1A '口':2A '条':5A '猫':4A '鲜':3A "
        f"'ab' 'brand=7' 'c' 'category=it''s' 'd' 'margin1=0' 'margin3=9' 'price=middle' 'rx07' 'step=40' 'tag=活泼' "
        f"'week={week}'"
    )


@pytest.mark.parametrize(
    ("fen", "name"),
    [
        *((0, "entry"), (4999, "entry"), (5000, "value"), (9999, "value"), (10_000, "middle"), (29_999, "middle")),
        *((30_000, "premium"), (99_999, "premium"), (100_000, "luxury"), (10**12, "luxury")),
    ],
)
def test_price_tiers(fen: int, name: str) -> None:
    assert words.price_tier(fen) == name
