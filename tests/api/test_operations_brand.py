"""The operations of brands on the sample network."""

from typing import Any

import pytest
from sqlalchemy import text

from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.operations import check

OCTOBER: dict[str, Any] = {"from": "2026-10-01", "to": "2026-11-01"}


async def _token(sample: Api) -> str:
    return await sample.token("brand", brand="绒溪小厨")


async def test_what_it_supplies(sample: Api) -> None:
    token = await _token(sample)
    await check(sample, "brand/Products", token, first=2, statements=3)  # the account, the page, its variants
    await check(sample, "brand/Products", token, case="search", search="rx0", state="LISTED", first=1, statements=3)
    await sample.run("brand/Products", token, first=100)
    assert len(sample.statements) == 3
    await sample.run("brand/Products", token, search="no such product")
    assert len(sample.statements) == 2  # there are no variants to ask for


async def test_what_each_store_sold(sample: Api) -> None:
    token = await _token(sample)
    await check(sample, "brand/StoreOutput", token, **OCTOBER, first=2, statements=2)
    await check(sample, "brand/StoreOutput", token, case="trend", **OCTOBER, sort="TREND", first=2, statements=2)
    tier = await _tier(sample, "city")
    await check(
        sample,
        "brand/StoreOutput",
        token,
        case="cities",
        **OCTOBER,
        region="浙江",
        tier=tier,
        sort="UNITS",
        statements=2,
    )
    await sample.run("brand/StoreOutput", token, **OCTOBER, first=100)
    assert len(sample.statements) == 2


async def _tier(sample: Api, code: str) -> str:
    async with sample.db.read() as session:
        return encode("tier", await session.scalar(text("SELECT id FROM tiers WHERE code = :code"), {"code": code}))


async def test_what_all_stores_sold(sample: Api) -> None:
    token = await _token(sample)
    await check(sample, "brand/Output", token, **OCTOBER, first=3, statements=2)
    await check(sample, "brand/Output", token, case="weeks", **OCTOBER, by="WEEK", statements=2)
    year: dict[str, Any] = {"from": "2026-01-01", "to": "2027-01-01"}
    await check(sample, "brand/Output", token, case="months", **year, by="MONTH", statements=2)
    await sample.run("brand/Output", token, **year, first=100)
    assert len(sample.statements) == 2


async def test_stores_that_list_and_do_not_sell(sample: Api) -> None:
    token = await _token(sample)
    week: dict[str, Any] = {"from": "2026-10-05", "to": "2026-10-12"}
    await check(sample, "brand/StoresWithoutSales", token, **week, first=2, statements=2)
    await sample.run("brand/StoresWithoutSales", token, **week, first=100)
    assert len(sample.statements) == 2


BRANDS = ["绒溪小厨", "麦垛山野", "澄露原述", "雾岭一盏", "檐角日常"]


async def test_what_it_is_owed(sample: Api) -> None:
    await check(sample, "brand/Payable", await _token(sample), statements=2)


@pytest.mark.parametrize("brand", BRANDS)
async def test_the_ledger_is_what_stands_in_statements_and_what_does_not(sample: Api, brand: str) -> None:
    answer = await sample.run("brand/Payable", await sample.token("brand", brand=brand))
    owed = {name: amount["amount"] for name, amount in answer["data"]["brand"]["payable"].items()}
    assert min(owed.values()) > 0
    assert owed["balance"] == owed["inStatements"] + owed["notInStatement"]


async def test_what_it_was_told(sample: Api) -> None:
    token = await _token(sample)
    await check(sample, "brand/Notices", token, statements=3)
    await check(sample, "brand/Notices", token, case="en", language="EN", unreadOnly=True, first=1, statements=3)


async def test_it_has_read_it(own_sample: Api) -> None:
    token = await _token(own_sample)
    answer = await own_sample.run("brand/Notices", token)
    (edge,) = answer["data"]["brand"]["notices"]["edges"]
    await check(own_sample, "brand/MarkNoticesRead", token, ids=[edge["node"]["id"]], statements=2)


async def test_shares_and_sums_agree_with_one_another(sample: Api) -> None:
    """The stores of a month add up to the month, and to no more than the whole."""
    token = await _token(sample)
    stores = (await sample.run("brand/StoreOutput", token, **OCTOBER, first=100))["data"]["brand"]["stores"]
    months = (await sample.run("brand/Output", token, **OCTOBER, by="MONTH"))["data"]["brand"]["output"]
    nodes: list[Any] = [edge["node"] for edge in stores["edges"]]
    assert not stores["pageInfo"]["hasNextPage"]
    (month,) = (edge["node"] for edge in months["edges"])
    for name in ["orders", "units"]:
        assert sum(node[name] for node in nodes) == month[name]
    assert sum(node["output"]["amount"] for node in nodes) == month["output"]["amount"]
    assert 10_000 - len(nodes) < sum(node["shareBps"] for node in nodes) <= 10_000


async def test_prices_and_rules_over_time(own_sample: Api) -> None:
    token = await _token(own_sample)
    answer = await own_sample.run("brand/Products", token, first=1)
    (edge,) = answer["data"]["brand"]["products"]["edges"]
    (variant, *_) = edge["node"]["variants"]
    async with own_sample.db.read() as session:
        tiers = (await session.scalars(text("SELECT id FROM tiers ORDER BY rank LIMIT 2"))).all()
    fen = {"supplyPrice": 100, "suggestedPrice": 30000, "minPrice": 29000, "maxPrice": 31000}
    costs = [{"tier": encode("tier", tier), "cost": 5000 + tier} for tier in tiers]
    change = {"variant": variant["id"], **fen, "tierCosts": costs}
    drawn = {"createdAt", "doneAt", "startsAt", "since", "until"}
    at_once = await check(
        own_sample, "brand/ChangePrices", token, changes=[change], statements=15, most=15, drawn=drawn
    )
    assert at_once["data"]["changePrices"]["changes"][0]["state"] == "APPLIED"
    later = await check(
        own_sample,
        "brand/ChangePrices",
        token,
        case="later",
        changes=[change],
        startsAt="2026-12-01T00:00:00+08:00",
        statements=8,
        most=8,
    )
    (waiting,) = later["data"]["changePrices"]["changes"]
    assert waiting["state"] == "WAITING"
    wrong = {**change, "minPrice": 99, "tierCosts": [costs[0], {**costs[1], "cost": 1}]}
    await check(own_sample, "brand/ChangePrices", token, case="wrong", changes=[wrong], statements=4)
    sku = variant["sku"]
    await check(own_sample, "brand/Prices", token, search=sku, statements=7, most=7, drawn=drawn)
    await own_sample.run("brand/Prices", token, first=20)
    assert len(own_sample.statements) == 7
    await check(own_sample, "brand/CancelPriceChanges", token, ids=[waiting["id"]], statements=6, most=6)


async def test_rules(own_sample: Api) -> None:
    token = await _token(own_sample)
    await check(own_sample, "brand/Rules", token, case="none", statements=3)
    rules = {"bannedWords": ["最好", "包治"], "floorBps": 9500, "disclosure": "广告"}
    await check(own_sample, "brand/SetRules", token, rules=rules, statements=10, most=10)
    assert (await own_sample.run("brand/SetRules", token, rules=rules))["data"]["setRules"]["listings"] == 0
    await check(own_sample, "brand/Rules", token, statements=4)
    wrong = await check(
        own_sample,
        "brand/SetRules",
        token,
        case="wrong",
        rules={"disclosure": "最 好", "bannedWords": ["最好"]},
        statements=2,
    )
    assert wrong["data"]["setRules"]["__typename"] == "BadArgument"
