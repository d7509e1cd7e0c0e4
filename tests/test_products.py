"""Products that brands make, their variants, prices and stock."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, errors, models
from s2b2c.catalogue import NewVariant, StockChange, StockLevel
from s2b2c.db import Database
from s2b2c.errors import Refused
from tests import factories

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CONTENT: dict[str, Any] = {
    "title": "冻干猫粮",
    "category": "猫粮",
    "tonalities": ["天然"],
    "audiences": ["幼猫", "挑食"],
    "images": ["https://img.example/1.jpg", "https://img.example/2.jpg"],
    "description": "第一行\n第二行",
}


async def a_new_variant(session: AsyncSession, sku: str = "A-1", **changes: Any) -> NewVariant:
    """One that fits the tiers of rank 1, 2 and 3."""
    ids = [(await factories.a_tier(session, rank=rank)).id for rank in (1, 2, 3)]
    variant = NewVariant(
        sku, {"口味": "鸡肉"}, 10, 2600, 4990, 4000, 6000, dict(zip(ids, (3000, 3500, 3500), strict=True))
    )
    return variant._replace(**changes)


async def a_draft(session: AsyncSession, **changes: Any) -> models.Product:
    brand = await factories.a_brand(session)
    account_id = await factories.an_account(session, "brand", brand_id=brand.id)
    key = await catalogue.create_product(
        session,
        brand.id,
        "P-1",
        {**CONTENT, **changes},
        [await a_new_variant(session)],
        now=NOW,
        account_id=account_id,
    )
    return await session.get_one(models.Product, key)


async def test_a_product_is_made_as_a_draft(session: AsyncSession) -> None:
    product = await a_draft(session)
    assert (product.state, product.code, product.title) == ("draft", "P-1", "冻干猫粮")
    assert (product.image_url, product.more_images) == ("https://img.example/1.jpg", ["https://img.example/2.jpg"])
    (variants,) = (await catalogue.supply_variants(session, [product.id])).values()
    assert [(it.sku, it.options, it.stock, it.supply_price, it.max_price) for it in variants] == [
        ("A-1", {"口味": "鸡肉"}, 10, 2600, 6000)
    ]
    assert [(cost.tier.rank, cost.cost) for cost in variants[0].tier_costs] == [(1, 3000), (2, 3500), (3, 3500)]
    (price,) = (await session.scalars(select(models.Price).where(models.Price.variant_id == variants[0].id))).all()
    assert (price.during.lower, price.during.upper) == (None, None)
    revision = (await catalogue.open_revisions(session, [product.id]))[product.id]
    assert revision.state == "draft"
    assert [(it.field, it.before, it.after) for it in revision.diff] == [
        ("title", None, ["冻干猫粮"]),
        ("category", None, ["猫粮"]),
        ("tonalities", None, ["天然"]),
        ("audiences", None, ["幼猫", "挑食"]),
        ("images", None, CONTENT["images"]),
        ("description", None, ["第一行\n第二行"]),
    ]


async def test_costs_are_as_long_as_the_tiers_are_many(session: AsyncSession) -> None:
    """As an import writes them: the same prices from a file are no new prices."""
    upper = await factories.a_tier(session, rank=1)
    variant = await a_new_variant(session, tier_costs={upper.id: 3000})
    product = await a_draft(session)
    added = variant._replace(sku="A-2")
    await catalogue.add_variants(session, product.id, [added], brand_id=product.brand_id, now=NOW)
    query = select(models.Price.tier_costs).join(models.Variant, models.Variant.id == models.Price.variant_id)
    costs = (await session.scalars(query.where(models.Variant.sku == "A-2"))).one()
    ranks = max((await session.scalars(select(models.Tier.rank))).all())
    assert costs == [3000] + [None] * (ranks - 1)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("title", " ", "title must be 1 to 200 printable characters"),
        ("title", "x" * 201, "title must be"),
        ("category", "\x00", "category must be"),
        ("tonalities", ["天然;有机"], "tonalities [0] must be"),
        ("audiences", ["幼猫", "幼猫"], "audiences name something twice"),
        ("audiences", [str(n) for n in range(21)], "audiences are 21"),
        ("images", [f"https://img.example/{n}" for n in range(10)], "images are 10"),
        ("images", ["https://img.example/1", "javascript:alert(1)"], "images [1] is not a web address"),
        ("images", ["https://[half"], "images [0] is not a web address"),
        ("images", ["https:///nowhere"], "images [0] is not a web address"),
        ("description", "x" * 5001, "description has 5001 characters"),
        ("description", "\ud800", "description holds a character"),
    ],
)
async def test_content_that_can_never_be_right(session: AsyncSession, field: str, value: Any, told: str) -> None:
    with pytest.raises(Refused) as refused:
        await a_draft(session, **{field: value})
    assert isinstance(refused.value.refusal, errors.BadArgument)
    assert refused.value.refusal.message.startswith(told)
    assert (await session.scalars(select(models.Product))).all() == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"stock": -1}, "SKU A-2: stock -1 is not 0 to 1000000000 units."),
        ({"options": {"规格=": "大"}}, "SKU A-2: the option 规格= holds"),
        ({"options": {"规格": ""}}, "SKU A-2: the option 规格 must be"),
        ({"sku": "A" * 65}, "sku must be 1 to 64 printable characters"),
    ],
)
async def test_variants_that_can_never_be_right(session: AsyncSession, changes: dict[str, Any], told: str) -> None:
    product = await a_draft(session)
    refusal = await refused_variant(session, product, await a_new_variant(session, **{"sku": "A-2", **changes}))
    assert isinstance(refusal, errors.BadArgument)
    assert refusal.message.startswith(told)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"supply_price": 4001, "costs": (4001, 4001, 4001)}, [("supplyPrice", "is above minPrice")]),
        ({"suggested_price": 3999}, [("suggestedPrice", "is below minPrice")]),
        ({"max_price": 4989}, [("suggestedPrice", "is above maxPrice")]),
        ({"supply_price": -1}, [("supplyPrice", "is -1, but a price is 0 to 1000000000000 fen")]),
        ({"costs": (2599, 3500, 3500)}, [("tierCosts:tier-1", "is below supplyPrice")]),
        ({"costs": (3600, 3500, 3650)}, [("tierCosts:tier-2", "is below the cost of the higher tier tier-1")]),
        (
            {"supply_price": 4001, "max_price": 1, "costs": (4001, 4001, 4001)},
            [("supplyPrice", "is above minPrice"), ("suggestedPrice", "is above maxPrice")],
        ),
    ],
)
async def test_prices_that_can_never_be_right(
    session: AsyncSession, changes: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    product = await a_draft(session)
    costs = changes.pop("costs", None)
    variant = await a_new_variant(session, **{"sku": "A-2", **changes})
    if costs:
        variant = variant._replace(tier_costs=dict(zip(variant.tier_costs, costs, strict=True)))
    refusal = await refused_variant(session, product, variant)
    assert isinstance(refusal, errors.InvalidPrices)
    assert list(refusal.problems) == [("A-2", *problem) for problem in problems]


async def refused_variant(
    session: AsyncSession, product: models.Product, variant: catalogue.NewVariant
) -> errors.Refusal:
    """Why the variant is not made; nothing was."""
    with pytest.raises(Refused) as refused:
        await catalogue.add_variants(session, product.id, [variant], brand_id=product.brand_id, now=NOW)
    assert len((await catalogue.supply_variants(session, [product.id]))[product.id]) == 1
    return refused.value.refusal


async def test_codes_and_skus_are_used_once(session: AsyncSession) -> None:
    product = await a_draft(session)
    variant = await a_new_variant(session)
    account_id = await factories.an_account(session)
    with pytest.raises(Refused, match="a product with the code P-1 already"):
        await catalogue.create_product(
            session, product.brand_id, "P-1", CONTENT, [variant], now=NOW, account_id=account_id
        )
    with pytest.raises(Refused, match="these SKUs already: A-1"):
        await catalogue.add_variants(session, product.id, [variant], brand_id=product.brand_id, now=NOW)
    with pytest.raises(Refused, match="A SKU is named twice"):
        await catalogue.add_variants(
            session, product.id, [variant._replace(sku="B")] * 2, brand_id=product.brand_id, now=NOW
        )
    with pytest.raises(Refused, match="no such tier"):
        unknown = variant._replace(sku="C", tier_costs={999_999: 3000})
        await catalogue.add_variants(session, product.id, [unknown], brand_id=product.brand_id, now=NOW)
    other = await factories.a_brand(session)
    with pytest.raises(Refused, match="no such product"):
        await catalogue.add_variants(session, product.id, [variant], brand_id=other.id, now=NOW)


async def test_listings_follow_a_new_variant(session: AsyncSession) -> None:
    """One is clamped into the band of the new variant, one leaves its store: the tier of its owner has no cost for it."""
    first = await factories.a_variant(session)
    upper = await factories.a_store(session, await factories.a_distributor(session, rank=1))
    lower = await factories.a_store(session, await factories.a_distributor(session, rank=3))
    for store in (upper, lower):
        await factories.a_listing(session, store, first.product_id, price=4990)
    variant = await a_new_variant(session, "NEW", min_price=5500, suggested_price=5500)
    only_top = variant._replace(tier_costs=dict([next(iter(variant.tier_costs.items()))]))
    await catalogue.add_variants(session, first.product_id, [only_top], brand_id=first.brand_id, now=NOW)
    listings = await session.execute(select(models.Listing.store_id, models.Listing.price))
    assert [tuple(row) for row in listings] == [(upper.id, 5500)]
    notices = await session.scalars(select(models.Notice.kind).order_by(models.Notice.kind))
    assert notices.all() == ["listing_clamped", "listing_withdrawn"]


async def test_stock_is_counted_or_comes(session: AsyncSession) -> None:
    first = await factories.a_variant(session, stock=10)
    brand = await session.get_one(models.Brand, first.brand_id)
    more = [await factories.a_variant(session, brand=brand, stock=10) for _ in range(4)]
    foreign = await factories.a_variant(session, stock=10)
    changes = [
        StockChange(more[3].id, None, 10**9, None),
        StockChange(first.id, 7, None, 10),
        StockChange(more[0].id, None, 5, None),
        StockChange(more[1].id, None, -11, None),
        StockChange(foreign.id, 7, None, None),
        StockChange(more[2].id, 7, None, 9),
    ]
    done = await catalogue.set_stock(session, changes, brand_id=brand.id)
    assert [it if isinstance(it, StockLevel) else it.code for it in done] == [
        "WRONG_STATE",
        StockLevel(first.id, first.sku, 7),
        StockLevel(more[0].id, more[0].sku, 15),
        "WRONG_STATE",
        "NOT_FOUND",
        "WRONG_STATE",
    ]
    stocks = await session.scalars(select(models.Variant.stock).order_by(models.Variant.id))
    assert stocks.all() == [7, 15, 10, 10, 10, 10]


@pytest.mark.parametrize(("stock", "add"), [(None, None), (1, 1), (-1, None), (10**9 + 1, None), (None, -(10**9) - 1)])
async def test_stock_that_can_never_be_right(session: AsyncSession, stock: int | None, add: int | None) -> None:
    variant = await factories.a_variant(session)
    with pytest.raises(Refused) as refused:
        await catalogue.set_stock(session, [StockChange(variant.id, stock, add, None)], brand_id=variant.brand_id)
    assert isinstance(refused.value.refusal, errors.BadArgument)
    twice = [StockChange(variant.id, 1, None, None)] * 2
    with pytest.raises(Refused, match="named twice"):
        await catalogue.set_stock(session, twice, brand_id=variant.brand_id)


async def test_goods_come_from_many_sides_at_once(db: Database) -> None:
    """Each addition counts; of ten counts that saw the same units one is taken."""
    async with db.write() as session:
        variant = await factories.a_variant(session, stock=100)

    async def change(stock: int | None, add: int | None, seen: int | None) -> bool:
        async with db.write() as session:
            wanted = [StockChange(variant.id, stock, add, seen)]
            (done,) = await catalogue.set_stock(session, wanted, brand_id=variant.brand_id)
        return isinstance(done, StockLevel)

    assert all(await asyncio.gather(*(change(None, 1, None) for _ in range(10))))
    assert sum(await asyncio.gather(*(change(50, None, 110) for _ in range(10)))) == 1
    async with db.read() as session:
        assert await session.scalar(select(models.Variant.stock)) == 50
