"""A brand sets stock aside at its door, and customers and distributors see what is left for their stores."""

import asyncio
from typing import Any

from sqlalchemy import text

from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.operations import check
from tests.api.shopping import Buyer, Json, Shop, a_buyer, a_shop, done, refuses

REGION = "华东"


def _aside(shop: Shop, number: int, quantity: int, **whose: str) -> Json:
    return {"variant": shop.line(number)["variant"], "quantity": quantity, **whose}


async def _sets(shop: Shop, *allotments: Json) -> list[Json]:
    payload = await done(shop.api, "brand/SetAllotments", await shop.brand(0), allotments=list(allotments))
    variants: list[Json] = payload["variants"]
    return variants


async def test_what_is_set_aside_is_told_and_kept(api: Api) -> None:
    shop = await a_shop(api, stock=10)
    (variant,) = await _sets(shop, _aside(shop, 0, 3, store=shop.id), _aside(shop, 0, 4, region=REGION))
    assert len(api.statements) == 6, api.statements  # the account, two locks, the change, the variants, the allotments
    assert (variant["stock"], variant["allotted"], variant["free"]) == (10, 7, 3)
    rows = [edge["node"] for edge in variant["allotments"]["edges"]]
    assert [(row["store"] and row["store"]["id"], row["region"], row["quantity"]) for row in rows] == [
        (shop.id, None, 3),
        (None, REGION, 4),
    ]
    buyer = await a_buyer(shop)
    await buyer.places(shop.line(0, 8))
    answer = await api.run("brand/Allotments", await shop.brand(0))
    assert len(api.statements) == 4, api.statements
    (product,) = [edge["node"] for edge in answer["data"]["brand"]["products"]["edges"]]
    (variant,) = product["variants"]
    assert (variant["stock"], variant["allotted"], variant["free"]) == (2, 0, 2)
    assert [edge["node"]["quantity"] for edge in variant["allotments"]["edges"]] == [0, 0]
    (variant,) = await _sets(shop, _aside(shop, 0, 0, store=shop.id))
    assert [edge["node"]["region"] for edge in variant["allotments"]["edges"]] == [REGION]


async def test_a_page_of_allotments(api: Api) -> None:
    shop = await a_shop(api, stock=10)
    await _sets(shop, _aside(shop, 0, 3, store=shop.id), _aside(shop, 0, 4, region=REGION))
    query = (
        "query($after: String) { brand { products { edges { node { variants { allotments(first: 1, after: $after) "
        "{ edges { node { quantity } } pageInfo { hasNextPage endCursor } } } } } } } }"
    )
    after, seen = None, []
    while True:
        answer = await api.ask(query, await shop.brand(0), after=after)
        page = answer["data"]["brand"]["products"]["edges"][0]["node"]["variants"][0]["allotments"]
        seen += [edge["node"]["quantity"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert seen == [3, 4]


async def test_every_refusal(api: Api) -> None:
    shop = await a_shop(api, stock=10)
    token = await shop.brand(0)

    async def refused(kind: str, *allotments: Json) -> str:
        payload = await refuses(api, kind, "brand/SetAllotments", token, allotments=list(allotments))
        return str(payload["message"])

    good = _aside(shop, 0, 1, region=REGION)
    await refused("BadArgument")
    await refused("BadArgument", *([good] * 501))
    assert "is set aside twice" in await refused("BadArgument", good, good)
    assert "is not the id of a variant" in await refused("BadArgument", {**good, "variant": shop.id})
    assert "is not the id of a store" in await refused("BadArgument", _aside(shop, 0, 1, store=good["variant"]))
    assert "name a region or a store" in await refused("BadArgument", {**good, "store": shop.id})
    assert "name a region or a store" in await refused("BadArgument", _aside(shop, 0, 1))
    assert "in the region 华冬" in await refused("BadArgument", {**good, "region": "华冬"})
    assert "printable" in await refused("BadArgument", {**good, "region": "华\n东"})
    assert "-1 units" in await refused("BadArgument", {**good, "quantity": -1})
    foreign = await refused("NotFound", _aside(shop, 1, 1, region=REGION))
    assert foreign == await refused("NotFound", {**good, "variant": encode("variant", 10**9)})
    closed = await refused("NotFound", _aside(shop, 0, 1, store=encode("store", 10**9)))
    async with api.db.write() as session:
        await session.execute(text("UPDATE stores SET state = 'closed'"))
    assert closed == await refused("NotFound", _aside(shop, 0, 1, store=shop.id))
    wrong = await refused("WrongState", _aside(shop, 0, 11, region=REGION))
    sku = shop.variants[0].sku
    assert wrong == f"Allotment 1, SKU {sku}: 11 units would be set aside, and 10 are left. Set fewer aside."


async def _sees(shop: Shop, slug: str) -> list[bool]:
    """What a store shows of the variants."""
    query = (
        "query($slug: String!) { shop { store(slug: $slug) { listings { edges { node { variants { inStock } } } } } } }"
    )
    answer = await shop.api.ask(query, slug=slug)
    edges = answer["data"]["shop"]["store"]["listings"]["edges"]
    return [edge["node"]["variants"][0]["inStock"] for edge in edges]


async def test_a_store_shows_and_sells_what_is_left_for_it(api: Api) -> None:
    shop = await a_shop(api, stock=10)
    async with api.db.write() as session:
        await session.execute(
            text("INSERT INTO stores (slug, distributor_id, title, region) VALUES ('north', :id, '北店', '华北')"),
            {"id": shop.owner.id},
        )
    await _sets(shop, _aside(shop, 0, 10, region="华北"))
    assert await _sees(shop, shop.store.slug) == [False, True, True]
    buyer = await a_buyer(shop)
    lines = [shop.line(0), shop.line(1)]
    cart: Any = await api.run("shop/Cart", None, store=shop.id, lines=lines)
    shown = cart["data"]["shop"]["cart"]
    assert [(line["inStock"], line["problem"]) for line in shown["lines"]] == [(0, "OUT_OF_STOCK"), (10, None)]
    refusal = await buyer.places(*lines)
    assert refusal["__typename"] == "OutOfStock"
    assert [(line["lineNo"], line["inStock"]) for line in refusal["lines"]] == [(1, 0)]
    await _sets(shop, _aside(shop, 0, 9, region="华北"))
    assert await _sees(shop, shop.store.slug) == [True, True, True]
    order = await buyer.places(*lines)
    assert order["state"] == "PLACED"
    await done(api, "shop/CancelOrder", buyer.token, order=order["id"])
    assert await _sees(shop, shop.store.slug) == [True, True, True]


async def test_customers_of_one_door_at_once(api: Api) -> None:
    """30 who order together, through the door: of eight units two are set aside for somebody else."""
    shop = await a_shop(api, stock=8)
    await _sets(shop, _aside(shop, 0, 3, store=shop.id), _aside(shop, 0, 2, region="华东"))
    async with api.db.write() as session:
        await session.execute(text("UPDATE stores SET region = '华北'"))
    buyers = [await a_buyer(shop) for _ in range(30)]

    async def buy(buyer: Buyer) -> str:
        return str((await buyer.places(shop.line(0))).get("__typename"))

    answers = sorted(await asyncio.gather(*map(buy, buyers)))
    assert answers == ["None"] * 6 + ["OutOfStock"] * 24
    async with api.db.read() as session:
        assert (await session.execute(text("SELECT stock, allotted FROM variants ORDER BY id LIMIT 1"))).one() == (2, 2)


async def test_a_brand_of_the_sample_sets_aside(own_sample: Api) -> None:
    token = await own_sample.token("brand", brand="绒溪小厨")
    async with own_sample.db.read() as session:
        found = "SELECT v.id FROM variants v JOIN brands b ON b.id = v.brand_id WHERE b.name = '绒溪小厨' ORDER BY v.id"
        variant = encode("variant", await session.scalar(text(found)))
        store = encode("store", await session.scalar(text("SELECT id FROM stores WHERE slug = 'hangzhou'")))
    asides = [
        {"variant": variant, "store": store, "quantity": 5},
        {"variant": variant, "region": "浙江", "quantity": 8},
    ]
    await check(
        own_sample,
        "brand/SetAllotments",
        token,
        allotments=asides,
        statements=6,
        most=6,
        drawn=("updatedAt", "endCursor"),
    )
    await check(
        own_sample, "brand/Allotments", token, search="rx01", first=1, statements=4, drawn=("updatedAt", "endCursor")
    )
