"""What a brand supplies, and what it is owed."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range

from s2b2c import models, orders
from s2b2c.db import Database
from tests import factories
from tests.api.client import Api

PRODUCTS = """query($search: String, $state: ProductState, $first: Int! = 24, $after: String) { brand {
  products(search: $search, state: $state, first: $first, after: $after) {
    edges { node { code listedIn state variants { sku stock inStock supplyPrice { amount }
      tierCosts { tier { rank } cost { amount } } } } } pageInfo { hasNextPage endCursor } } } }"""


def _codes(answer: Any) -> list[str]:
    return [edge["node"]["code"] for edge in answer["data"]["brand"]["products"]["edges"]]


async def _brand(db: Database, name: str) -> models.Brand:
    async with db.write() as session:
        return await factories.a_brand(session, name)


async def _products(db: Database, brand: models.Brand, *products: tuple[str, str, str, str]) -> None:
    """(code, title, state, SKU) of each, in the order they were made."""
    async with db.write() as session:
        for code, title, state, sku in products:
            variant = await factories.a_variant(session, brand=brand)
            product = await session.get_one(models.Product, variant.product_id)
            product.code, product.title, product.state, variant.sku = code, title, state, sku


async def test_own_products_are_found(api: Api) -> None:
    ours, theirs = await _brand(api.db, "我们"), await _brand(api.db, "他们")
    await _products(
        api.db,
        ours,
        ("A1", "烘焙猫粮", "listed", "SKU-one"),
        ("A2", "Cat 50% off", "draft", "SKU_two"),
        ("b3", "ÉTÉ\\x", "delisted", "z"),
        ("C4", "猫砂", "in_review", "SKU-猫"),
    )
    await _products(api.db, theirs, ("A1", "烘焙猫粮", "listed", "SKU-one"))
    token = await api.token("brand", brand="我们")

    async def found(search: str | None = None, state: str | None = None) -> str:
        return " ".join(_codes(await api.ask(PRODUCTS, token, search=search, state=state)))

    assert await found() == await found("") == await found(" \t　") == "C4 b3 A2 A1"
    assert await found("猫") == await found(" 猫　") == "C4 A1"  # in a SKU and a title
    assert await found("sku") == "C4 A2 A1"
    assert await found("SKU_") == await found("cAT") == await found("%") == "A2"
    assert await found("a") == "A2 A1"
    assert await found("B3") == await found("été\\X") == "b3"
    assert await found("_one") == await found("/") == await found("a\x01") == ""
    for state, code in [("LISTED", "A1"), ("DRAFT", "A2"), ("DELISTED", "b3"), ("IN_REVIEW", "C4")]:
        assert await found(state=state) == code
    assert await found("猫", "LISTED") == "A1"
    assert await api.code(PRODUCTS, token, state="gone") == "BAD_REQUEST"


async def test_a_product_in_full(api: Api) -> None:
    """Two of three stores that list it are open; the second variant sold out, and since this year no tier has a cost
    for it."""
    brand = await _brand(api.db, "一")
    async with api.db.write() as session:
        first = await factories.a_variant(session, brand=brand, tier_costs=(3500, None, 4200))
        product = await session.get_one(models.Product, first.product_id)
        second = await factories.a_variant(session, product=product, supply_price=1900, tier_costs=(), stock=0)
        price = (await session.scalars(select(models.Price).where(models.Price.variant_id == second.id))).one()
        price.during = Range(datetime(2026, 1, 1, tzinfo=UTC), None)
        await session.flush()
        session.add(
            models.Price(
                variant_id=second.id,
                during=Range(None, datetime(2026, 1, 1, tzinfo=UTC)),
                supply_price=1,
                suggested_price=1,
                min_price=1,
                max_price=1,
                tier_costs=[1, 1, 1],
            )
        )
        for rank in (1, 2, 3):
            await factories.a_tier(session, rank=rank)
        for state in ("open", "closed", "open"):
            store = await factories.a_store(session)
            store.state = state
            await factories.a_listing(session, store, product.id)
    token = await api.token("brand", brand="一")
    answer = await api.ask(PRODUCTS, token)
    assert len(api.statements) == 3, api.statements  # the account, the page, its variants
    (edge,) = answer["data"]["brand"]["products"]["edges"]
    assert edge["node"] == {
        "code": product.code,
        "listedIn": 2,
        "state": "LISTED",
        "variants": [
            {
                "sku": first.sku,
                "stock": 100,
                "inStock": True,
                "supplyPrice": {"amount": 2600},
                "tierCosts": [
                    {"tier": {"rank": 1}, "cost": {"amount": 3500}},
                    {"tier": {"rank": 3}, "cost": {"amount": 4200}},
                ],
            },
            {"sku": second.sku, "stock": 0, "inStock": False, "supplyPrice": {"amount": 1900}, "tierCosts": []},
        ],
    }


async def test_product_pages_stay_right_while_products_come_and_go(api: Api) -> None:
    brand = await _brand(api.db, "一")
    await _products(api.db, brand, *((f"P{n}", f"商品{n}", "listed", f"S{n}") for n in range(5)))
    token = await api.token("brand", brand="一")
    page = await api.ask(PRODUCTS, token, first=2, state="LISTED")
    assert _codes(page) == ["P4", "P3"]
    await _products(api.db, brand, ("P9", "新", "listed", "S9"))
    async with api.db.write() as session:
        for code in ["P3", "P1"]:  # the one at the cursor, and one behind it
            found = select(models.Product).where(models.Product.code == code)
            (await session.scalars(found)).one().state = "delisted"
    cursor = page["data"]["brand"]["products"]["pageInfo"]["endCursor"]
    assert _codes(await api.ask(PRODUCTS, token, state="LISTED", after=cursor)) == ["P2", "P0"]


async def test_what_it_is_owed_is_its_own(api: Api) -> None:
    await _brand(api.db, "我们")
    async with api.db.write() as session:
        store, variant = await factories.a_store(session), await factories.a_variant(session)
        theirs = await session.get_one(models.Brand, variant.brand_id)
        order = await factories.an_order(session, store, (variant, 3, 4990, 0))
        await orders.pay(session, [(order.branch_id, order.id, order.placed_at)], rail="test")
        await factories.a_listing(session, store, variant.product_id)
    query = """{ brand { payable { balance { amount } pending { amount } }
      storesWithoutSales(from: "2026-09-01", to: "2999-01-01") { edges { node { listings } } } } }"""
    answers = {
        name: (await api.ask(query, await api.token("brand", brand=name)))["data"] for name in ["我们", theirs.name]
    }
    assert answers["我们"] == {
        "brand": {"payable": {"balance": {"amount": 0}, "pending": {"amount": 0}}, "storesWithoutSales": {"edges": []}}
    }
    assert answers[theirs.name] == {
        "brand": {
            "payable": {"balance": {"amount": 0}, "pending": {"amount": 7800}},
            "storesWithoutSales": {"edges": [{"node": {"listings": 1}}]},  # its sale is in no daily total yet
        }
    }
