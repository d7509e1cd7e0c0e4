"""The operations of distributors on the sample network."""

from typing import Any

import pytest

from s2b2c import models, orders
from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.operations import check

CITY = "ZJ-HZ"
SEPTEMBER: dict[str, Any] = {"from": "2026-09-01", "to": "2026-10-01"}


async def _as(api: Api, code: str = CITY) -> str:
    return await api.token("distributor", distributor=code)


async def test_me(sample: Api) -> None:
    await check(sample, "partner/Me", await _as(sample), statements=3)


@pytest.mark.parametrize(
    ("case", "variables"),
    [
        ("newest", {}),
        ("search", {"search": "猫粮 rx"}),
        ("filtered", {"category": "猫粮", "tags": ["天然", "成猫"], "priceFrom": 10000, "priceTo": 20000}),
        ("brand", {"brand": encode("brand", 2), "sort": "PRICE_DOWN"}),
        ("cheapest", {"sort": "PRICE_UP"}),
        ("cheapest-match", {"sort": "PRICE_UP", "search": "茶", "priceTier": "VALUE", "marginFromBps": 3000}),
        ("in-fashion", {"inStock": True, "sellsLikeMine": True, "priceFrom": 5000, "priceTo": 20000}),
        ("best-selling", {"sort": "BEST_SELLING", "brand": encode("brand", 1)}),
    ],
)
async def test_the_catalogue(sample: Api, case: str, variables: dict[str, Any]) -> None:
    token = await _as(sample)
    await check(sample, "partner/Catalogue", token, statements=3, case=case, first=2, **variables)
    answer = await sample.run("partner/Catalogue", token, first=100, **variables)
    assert "errors" not in answer
    assert len(sample.statements) == 3


async def test_one_product(sample: Api) -> None:
    await check(sample, "partner/Product", await _as(sample), id=encode("product", 1), price=12000, statements=4)


async def test_a_store_of_ones_own(sample: Api) -> None:
    token = await _as(sample)
    await check(sample, "partner/Store", token, slug="hangzhou", first=2, statements=4)
    answer = await sample.run("partner/Store", token, slug="hangzhou", first=100)
    assert len(answer["data"]["partner"]["store"]["listings"]["edges"]) > 20
    assert len(sample.statements) == 4


async def test_earnings(sample: Api) -> None:
    token = await _as(sample)
    await check(sample, "partner/Earnings", token, days=2, first=3, statements=4, **SEPTEMBER)
    await sample.run("partner/Earnings", token, days=100, first=100, **SEPTEMBER)
    assert len(sample.statements) == 4


async def _earnings(api: Api, token: str) -> list[Any]:
    answer = await api.run("partner/Earnings", token, first=100, **SEPTEMBER)
    return [edge["node"] for edge in answer["data"]["partner"]["earnings"]["byOrder"]["edges"]]


@pytest.mark.parametrize(
    ("case", "language", "amount", "words"),
    [
        ("paid", "ZH", 1000, "按实付"),
        ("margin", "ZH", None, "按商品毛利"),
        ("margin-in-english", "EN", 700, "按商品毛利"),
    ],
)
async def test_a_commission_explained(
    own_sample: Api, case: str, language: str, amount: int | None, words: str
) -> None:
    """The newest of this kind, after a refund of some or all of it."""
    token = await _as(own_sample)
    before = next(node for node in await _earnings(own_sample, token) if words in node["explanation"]["sentence"])
    async with own_sample.db.write() as session:
        claim = await session.get_one(models.Claim, ("order_no", before["orderNo"]))
        line = orders.RefundedLine(before["lineNo"], amount=amount)
        refund = orders.Refund(claim.branch_id, claim.event_id, "R1", NOW, [line])
        assert await orders.refund(session, [refund]) == 1
    answer = await check(
        own_sample, "partner/Commission", token, id=before["id"], language=language, case=case, statements=2
    )
    found = answer["data"]["partner"]["commission"]
    paid, share = before["paid"]["amount"], before["amount"]["amount"]
    back = share * (paid if amount is None else amount) // paid
    assert [found[name]["amount"] for name in ("amount", "clawedBack", "net")] == [share, back, share - back]
    (after,) = [node for node in await _earnings(own_sample, token) if node["id"] == before["id"]]
    assert [after[name]["amount"] for name in ("amount", "clawedBack", "net")] == [share, back, share - back]


async def test_team(sample: Api) -> None:
    token = await _as(sample, "ZJ")
    await check(sample, "partner/Team", token, first=2, statements=2, **SEPTEMBER)
    await sample.run("partner/Team", token, first=100, **SEPTEMBER)
    assert len(sample.statements) == 2


async def _offered(api: Api, token: str, count: int) -> list[str]:
    """The ids of products that no store of this distributor shows."""
    answer = await api.run("partner/Catalogue", token, first=100)
    nodes = [edge["node"] for edge in answer["data"]["partner"]["catalogue"]["edges"]]
    return [node["id"] for node in nodes if not node["inMyStores"]][:count]


async def _shown(api: Api, token: str, count: int) -> list[str]:
    answer = await api.run("partner/Store", token, slug="hangzhou", first=count)
    return [edge["node"]["product"]["id"] for edge in answer["data"]["partner"]["store"]["listings"]["edges"]]


async def test_choosing(own_sample: Api) -> None:
    token = await _as(own_sample)
    store = encode("store", 1)
    one, *more = await _offered(own_sample, token, 4)
    await check(
        own_sample, "partner/SelectProduct", token, store=store, product={"product": one, "pitch": "试过"}, statements=4
    )
    wanted: list[dict[str, Any]] = [{"product": product} for product in (one, *more)]
    wanted[1] |= {"price": 1}
    await check(own_sample, "partner/SelectProducts", token, store=store, products=wanted, statements=3)


async def test_changing(own_sample: Api) -> None:
    token = await _as(own_sample)
    store = encode("store", 1)
    first, second, third = await _shown(own_sample, token, 3)
    changed = {"product": third, "pinned": True, "pitch": "置顶"}
    await check(own_sample, "partner/UpdateListing", token, store=store, listing=changed, statements=3)
    changes = [{"product": first, "price": 1}, {"product": second, "pitch": ""}]
    await check(own_sample, "partner/UpdateListings", token, store=store, listings=changes, statements=3)
    await check(
        own_sample,
        "partner/ReorderListings",
        token,
        store=store,
        products=[second],
        behind=third,
        first=3,
        statements=4,
    )


async def test_removing(own_sample: Api) -> None:
    token = await _as(own_sample)
    store = encode("store", 1)
    first, second = await _shown(own_sample, token, 2)
    await check(own_sample, "partner/RemoveListing", token, store=store, product=first, statements=3)
    await check(own_sample, "partner/RemoveListings", token, store=store, products=[first, second], statements=3)


async def test_notices(own_sample: Api) -> None:
    token = await _as(own_sample)
    answer = await check(own_sample, "partner/Notices", token, statements=3)
    (edge,) = answer["data"]["partner"]["notices"]["edges"]
    await check(own_sample, "partner/MarkNoticesRead", token, ids=[edge["node"]["id"]], statements=2)


async def test_what_a_store_showed(own_sample: Api) -> None:
    token = await _as(own_sample)
    first, second = await _shown(own_sample, token, 2)
    changed = {"product": first, "pitch": "新话"}
    await own_sample.run("partner/UpdateListing", token, store=encode("store", 1), listing=changed)
    await own_sample.run("partner/RemoveListing", token, store=encode("store", 1), product=second)
    now = "2026-11-21T12:00:00+08:00"
    before = await check(
        own_sample,
        "partner/Shelf",
        token,
        case="before",
        slug="hangzhou",
        at="2026-11-21T03:59:59Z",
        first=2,
        statements=3,
    )
    after = await check(own_sample, "partner/Shelf", token, slug="hangzhou", at=now, first=2, statements=4)
    shown = [
        [edge["node"]["product"]["id"] for edge in answer["data"]["partner"]["store"]["shelf"]["edges"]]
        for answer in (before, after)
    ]
    assert shown[0] == [first, second]
    assert shown[1][0] == first
    assert shown[1][1] != second
    await check(own_sample, "partner/ListingHistory", token, slug="hangzhou", first=2, statements=5, most=5)
    await own_sample.run("partner/ListingHistory", token, slug="hangzhou", first=20, versions=20)
    assert len(own_sample.statements) == 5
    no_zone = await own_sample.run("partner/Shelf", token, slug="hangzhou", at="2026-11-21T12:00:00")
    assert no_zone["errors"][0]["extensions"]["code"] == "BAD_ARGUMENT"
