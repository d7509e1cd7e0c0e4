"""The look of stores on the sample network, at every door."""

import json
from datetime import timedelta
from typing import Any

from jsonschema import Draft202012Validator

from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.doors import WHO
from tests.api.operations import check
from tests.api.shopping import Json, done

STORE = encode("store", 1)
PICTURE = "https://example.com/1.jpg"
BEFORE = "2026-10-01T00:00:00Z"


async def _token(api: Api, role: str) -> str:
    return await api.token(**WHO[role])


async def _shelf(api: Api, slug: str = "hangzhou") -> list[str]:
    """The ids of the products that a store shows."""
    answer = await api.run("shop/Storefront", slug=slug, first=100)
    return [edge["node"]["product"]["id"] for edge in answer["data"]["shop"]["store"]["listings"]["edges"]]


def _decoration(first: str, second: str) -> list[Json]:
    return [
        {"banner": {"imageUrl": PICTURE, "title": "双十二", "product": first}},
        {"picks": {"title": "精选", "products": [second, first]}},
        {"story": {"title": "开店的故事", "text": "第一行\n第二行", "pictureUrl": PICTURE}},
        {
            "grid": {
                "columns": 2,
                "items": [{"imageUrl": PICTURE, "product": first}, {"imageUrl": PICTURE, "product": second}],
            }
        },
        {"countdown": {"title": "限时", "endsAt": "2026-12-12T00:00:00+08:00", "products": [second]}},
    ]


async def _setup(api: Api) -> Json:
    first, second, *_ = await _shelf(api)
    return {
        "title": "杭城严选",
        "persona": {"name": "阿杭", "avatarUrl": PICTURE, "story": "在杭州开店十年"},
        "coverUrl": PICTURE,
        "blocks": _decoration(first, second),
        "openingHours": {
            "spans": [{"day": day, "opens": "14:00", "closes": "22:30"} for day in range(1, 8)],
            "closedDays": ["2026-11-21"],
        },
    }


async def test_a_store_is_dressed(own_sample: Api) -> None:
    api, mine = own_sample, await _token(own_sample, "distributor")
    setup = await _setup(api)
    await check(api, "partner/UpdateStore", mine, store=STORE, input=setup, statements=7, most=7)
    await check(api, "partner/StoreSetup", mine, slug="hangzhou", statements=4)
    shown = await check(api, "shop/Decoration", slug="hangzhou", statements=3)
    store = shown["data"]["shop"]["store"]
    assert (store["isOpenNow"], store["opensAt"]) == (False, "2026-11-22T06:00:00+00:00")
    await check(api, "partner/StoreAt", mine, slug="hangzhou", at=BEFORE, statements=3)
    await check(api, "operator/StoreAt", await _token(api, "operator"), slug="hangzhou", statements=4)


async def test_a_newcomer_opens_a_store(own_sample: Api) -> None:
    api, mine = own_sample, await _token(own_sample, "distributor")
    wanted = {"slug": "hangzhou-2", "title": "杭城二店"}
    await check(api, "partner/CreateStore", mine, input=wanted, statements=4)
    picked = {"product": (await _shelf(api))[0]}
    mine_now = await api.run("partner/StoreSetup", mine, slug="hangzhou-2")
    store = mine_now["data"]["partner"]["store"]["id"]
    await done(api, "partner/SelectProduct", mine, store=store, product=picked)
    assert await _shelf(api, "hangzhou-2") == [picked["product"]]


async def test_a_store_that_dresses_in_nothing(sample: Api) -> None:
    await check(sample, "shop/Decoration", slug="hangzhou", case="bare", statements=1)


async def test_who_speaks_for_a_product(own_sample: Api) -> None:
    api, brand = own_sample, await _token(own_sample, "brand")
    persona = {"name": "绒溪", "avatarUrl": PICTURE, "story": "只做猫粮"}
    await check(api, "brand/SetPersona", brand, persona=persona, statements=2)
    await check(api, "brand/Persona", brand, statements=2)
    answer = await api.run("shop/Storefront", slug="hangzhou", first=100)
    nodes = [edge["node"]["product"] for edge in answer["data"]["shop"]["store"]["listings"]["edges"]]
    product = next(node["id"] for node in nodes if node["brand"]["name"] == WHO["brand"]["brand"])
    await check(api, "shop/Personas", slug="hangzhou", id=product, statements=3)
    await check(api, "partner/BrandPersona", await _token(api, "distributor"), id=product, statements=3)
    assert await done(api, "brand/SetPersona", brand, persona=None) == {"persona": None}


async def test_a_model_is_copied(own_sample: Api) -> None:
    api, mine, operator = own_sample, await _token(own_sample, "distributor"), await _token(own_sample, "operator")
    await done(api, "partner/UpdateStore", mine, store=STORE, input=await _setup(api))
    await check(api, "operator/MarkModelStore", operator, store=STORE, statements=3)
    await check(api, "partner/ModelStores", await api.token("distributor", distributor="ZJ-WZ"), statements=2)
    targets = [encode("store", number) for number in (2, 3)]
    parts = ["DECORATION", "HOURS", "LISTINGS"]
    await check(api, "operator/CopyStore", operator, model=STORE, stores=targets, parts=parts, statements=8, most=8)
    again = await done(api, "operator/CopyStore", operator, model=STORE, stores=targets, parts=parts)
    assert [(it["settingsChanged"], it["added"]) for it in again["results"]] == [(False, 0)] * 2
    theirs = await api.token("distributor", distributor="ZJ-HZ-01")
    await check(
        api,
        "partner/AdoptSetup",
        theirs,
        slug="hangzhou",
        store=encode("store", 8),
        parts=parts,
        includeWords=True,
        statements=8,
        most=8,
    )
    notices = await api.run("partner/Notices", await api.token("distributor", distributor="ZJ-WZ"))
    newest = notices["data"]["partner"]["notices"]["edges"][0]["node"]
    assert newest["kind"] == "SETUP_COPIED"
    assert "「杭城严选」" in newest["text"]


async def test_the_schema_of_blocks(sample: Api) -> None:
    answer = await check(sample, "partner/BlockSchema", await _token(sample, "distributor"), statements=1)
    told = answer["data"]["partner"]["blockSchema"]
    assert told["version"] == 1
    schema: dict[str, Any] = json.loads(told["json"])
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    fine = _decoration(encode("product", 1), encode("product", 2))
    assert list(validator.iter_errors(fine)) == []
    mistakes: list[list[Json]] = [
        [{**fine[0], **fine[1]}],
        [{"film": {}}],
        [{"picks": {"title": "精选", "products": []}}],
        [{"story": {"title": "长" * 61, "text": "话"}}],
        [{"banner": {"imageUrl": "ftp://x"}}],
        fine * 5,
    ]
    assert [list(validator.iter_errors(wrong)) != [] for wrong in mistakes] == [True] * 6


async def test_a_cart_tells_when_the_store_opens(own_sample: Api) -> None:
    api, mine = own_sample, await _token(own_sample, "distributor")
    answer = await api.run("shop/Storefront", slug="hangzhou", first=100)
    edges = answer["data"]["shop"]["store"]["listings"]["edges"]
    variant = next(it["id"] for edge in edges for it in edge["node"]["variants"] if it["inStock"])
    lines = [{"variant": variant, "quantity": 1}]
    tomorrow = (NOW + timedelta(days=1)).isoformat()
    hours = {"spans": [], "closedDays": ["2026-11-21"]}
    await done(api, "partner/UpdateStore", mine, store=STORE, input={"openingHours": hours})
    cart = (await api.run("shop/Cart", store=STORE, lines=lines))["data"]["shop"]["cart"]
    assert (cart["canBeOrdered"], cart["opensAt"][:13], tomorrow[:10]) == (False, "2026-11-21T16", "2026-11-22")
    await done(api, "partner/UpdateStore", mine, store=STORE, input={"openingHours": None})
    cart = (await api.run("shop/Cart", store=STORE, lines=lines))["data"]["shop"]["cart"]
    assert (cart["canBeOrdered"], cart["opensAt"]) == (True, None)
