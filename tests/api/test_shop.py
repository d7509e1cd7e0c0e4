"""What customers see of a store."""

from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models
from s2b2c.api.types.ids import encode
from s2b2c.db import Database
from tests import factories
from tests.api.client import Api

TITLES = """query($slug: String!, $first: Int! = 2, $after: String) { shop { store(slug: $slug) {
  listings(first: $first, after: $after) { edges { node { product { title } } } pageInfo {
    hasNextPage hasPreviousPage startCursor endCursor } } } } }"""


async def _product(session: AsyncSession, title: str, *, state: str = "listed") -> models.Product:
    variant = await factories.a_variant(session)
    product = await session.get_one(models.Product, variant.product_id)
    product.title, product.state = title, state
    await session.flush()
    return product


async def _shelf(db: Database, *titles: str) -> models.Store:
    """A store with these products at the positions 10, 20, 30, ..."""
    async with db.write() as session:
        store = await factories.a_store(session)
        for number, title in enumerate(titles, start=1):
            product = await _product(session, title)
            await factories.a_listing(session, store, product.id, position=10 * number)
    return store


def _titles(answer: Any) -> list[str]:
    return [edge["node"]["product"]["title"] for edge in answer["data"]["shop"]["store"]["listings"]["edges"]]


def _page_info(answer: Any) -> Any:
    return answer["data"]["shop"]["store"]["listings"]["pageInfo"]


async def test_the_storefront_in_full(api: Api) -> None:
    async with api.db.write() as session:
        brand = await factories.a_brand(session, "绒溪小厨")
        variant = await factories.a_variant(session, brand=brand, category="猫粮", stock=1)
        variant.sku, variant.options = "RX01-1", {"口味": "鸡肉", "规格": "1.5kg"}
        product = await session.get_one(models.Product, variant.product_id)
        product.title, product.image_url = "鲜肉烘焙猫粮", "https://images.example.com/rx01.jpg"
        product.tonalities, product.audiences = ["天然"], ["成猫", "幼猫"]
        sold_out = await factories.a_variant(session, product=product, stock=0)
        sold_out.sku = "RX01-2"
        store = await factories.a_store(session)
        store.slug, store.title, store.region = "hangzhou", "杭城严选小仓", "浙江"
        await factories.a_listing(session, store, product.id, price=12890, position=3, pitch="自己家猫也吃")
    answer = await api.run("shop/Storefront", slug="hangzhou")
    assert answer == {
        "data": {
            "shop": {
                "store": {
                    "id": encode("store", store.id),
                    "slug": "hangzhou",
                    "title": "杭城严选小仓",
                    "region": "浙江",
                    "listings": {
                        "edges": [
                            {
                                "cursor": encode("listing", 1, 3),
                                "node": {
                                    "id": encode("listing", store.id, product.id),
                                    "price": {"amount": 12890, "currency": "CNY"},
                                    "pitch": "自己家猫也吃",
                                    "disclosure": None,
                                    "position": 3,
                                    "product": {
                                        "id": encode("product", product.id),
                                        "title": "鲜肉烘焙猫粮",
                                        "category": "猫粮",
                                        "tonalities": ["天然"],
                                        "audiences": ["成猫", "幼猫"],
                                        "imageUrl": "https://images.example.com/rx01.jpg",
                                        "brand": {"id": encode("brand", brand.id), "name": "绒溪小厨"},
                                    },
                                    "variants": [
                                        {
                                            "id": encode("variant", variant.id),
                                            "sku": "RX01-1",
                                            "options": [
                                                {"name": "口味", "value": "鸡肉"},
                                                {"name": "规格", "value": "1.5kg"},
                                            ],
                                            "inStock": True,
                                        },
                                        {
                                            "id": encode("variant", sold_out.id),
                                            "sku": "RX01-2",
                                            "options": [],
                                            "inStock": False,
                                        },
                                    ],
                                },
                            }
                        ],
                        "pageInfo": {"hasNextPage": False, "endCursor": encode("listing", 1, 3)},
                    },
                }
            }
        }
    }


@pytest.mark.parametrize("listed", [1, 24, 100])
async def test_three_statements_however_many_listings(api: Api, listed: int) -> None:
    async with api.db.write() as session:
        store = await factories.a_store(session)
        for position in range(1, listed + 1):
            variant = await factories.a_variant(session)
            await factories.a_variant(session, product=await session.get_one(models.Product, variant.product_id))
            await factories.a_listing(session, store, variant.product_id, position=position)
    answer = await api.run("shop/Storefront", slug=store.slug, first=listed)
    edges = answer["data"]["shop"]["store"]["listings"]["edges"]
    assert [len(edge["node"]["variants"]) for edge in edges] == [2] * listed
    assert len(api.statements) == 3, api.statements


async def test_no_such_store_is_null(api: Api) -> None:
    for slug in ["nowhere", "", "空店", "a\x01b", "'; --"]:
        assert await api.run("shop/Storefront", slug=slug) == {"data": {"shop": {"store": None}}}, slug


async def test_a_closed_store_is_null(api: Api) -> None:
    store = await _shelf(api.db, "猫粮")
    async with api.db.write() as session:
        await session.execute(update(models.Store).where(models.Store.id == store.id).values(state="closed"))
    assert await api.run("shop/Storefront", slug=store.slug) == {"data": {"shop": {"store": None}}}


async def test_only_listed_products_are_shown(api: Api) -> None:
    store = await _shelf(api.db, "在售")
    async with api.db.write() as session:
        for number, state in enumerate(["draft", "in_review", "delisted"], start=2):
            product = await _product(session, state, state=state)
            await factories.a_listing(session, store, product.id, position=10 * number)
    assert _titles(await api.ask(TITLES, slug=store.slug, first=24)) == ["在售"]


async def test_a_variant_without_a_cost_for_the_owners_tier_is_not_sold_here(api: Api) -> None:
    async with api.db.write() as session:
        store = await factories.a_store(session, await factories.a_distributor(session, rank=2))
        sold = await factories.a_variant(session, tier_costs=(3500, 3900, 4200))
        product = await session.get_one(models.Product, sold.product_id)
        await factories.a_variant(session, product=product, tier_costs=(3500, None, 4200))
        await factories.a_variant(session, product=product, tier_costs=(3500,))
        await factories.a_listing(session, store, product.id)
    answer = await api.run("shop/Storefront", slug=store.slug)
    (edge,) = answer["data"]["shop"]["store"]["listings"]["edges"]
    assert [variant["sku"] for variant in edge["node"]["variants"]] == [sold.sku]


async def test_the_owners_order_in_pages(api: Api) -> None:
    store = await _shelf(api.db, "一", "二", "三", "四", "五")
    first = await api.ask(TITLES, slug=store.slug)
    assert _titles(first) == ["一", "二"]
    assert _page_info(first) == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": encode("listing", 1, 10),
        "endCursor": encode("listing", 1, 20),
    }
    second = await api.ask(TITLES, slug=store.slug, after=_page_info(first)["endCursor"])
    assert _titles(second) == ["三", "四"]
    third = await api.ask(TITLES, slug=store.slug, after=_page_info(second)["endCursor"])
    assert _titles(third) == ["五"]
    assert _page_info(third) == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": encode("listing", 1, 50),
        "endCursor": encode("listing", 1, 50),
    }
    behind = await api.ask(TITLES, slug=store.slug, after=_page_info(third)["endCursor"])
    assert _titles(behind) == []
    assert _page_info(behind) == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": None,
    }


async def test_pages_stay_right_while_listings_come_and_go(api: Api) -> None:
    store = await _shelf(api.db, "一", "二", "三", "四")
    cursor = _page_info(await api.ask(TITLES, slug=store.slug))["endCursor"]
    async with api.db.write() as session:
        in_store = models.Listing.store_id == store.id
        await session.execute(delete(models.Listing).where(in_store, models.Listing.position.in_([20, 40])))
        for title, position in [("插在前面", 5), ("插在后面", 25)]:
            product = await _product(session, title)
            await factories.a_listing(session, store, product.id, position=position)
    assert _titles(await api.ask(TITLES, slug=store.slug, after=cursor)) == ["插在后面", "三"]


async def test_a_page_has_at_most_100_rows(api: Api) -> None:
    store = await _shelf(api.db, "一")
    for first in [101, -1]:
        assert await api.ask(TITLES, slug=store.slug, first=first) == {
            "data": {"shop": {"store": None}},
            "errors": [
                {
                    "message": f"first is {first}, but a page has 0 to 100 rows.",
                    "locations": [{"line": 2, "column": 3}],
                    "path": ["shop", "store", "listings"],
                    "extensions": {"code": "BAD_ARGUMENT"},
                }
            ],
        }


async def test_a_cursor_of_something_else_is_refused(api: Api) -> None:
    store = await _shelf(api.db, "一")
    for cursor in [
        "",
        "garbage",
        "垃圾",
        "====",
        "A" * 300,
        "bGlzdGluZzoxOjE=\n",
        encode("listing"),
        encode("listing", 1),
        encode("listing", 1, 2, 3),
        encode("listing", 1, 2**63),
        encode("store-output", 1, 2),
        encode("product", 1),
        "bGlzdGluZzoxOjFfMA==",  # listing:1:1_0
    ]:
        assert await api.code(TITLES, slug=store.slug, after=cursor) == "BAD_ARGUMENT", cursor
