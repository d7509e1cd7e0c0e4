"""What stores sold, at the doors of brands and of the operator."""

from typing import Any

import pytest
from sqlalchemy import text

from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.operations import check

OCTOBER: dict[str, Any] = {"from": "2026-10-01", "to": "2026-11-01"}
LISTS = [
    ("SalesByStore", "stores", {"first": 3}),
    ("SalesByRegion", "regions", {"first": 2}),
    ("SalesByTier", "tiers", {}),
    ("SalesByProduct", "products", {"first": 2}),
    ("SalesByPeriod", "periods", {"by": "WEEK"}),
    ("SellThrough", "sellThrough", {"first": 3}),
    ("NeverSold", "neverSold", {"first": 3}),
]
OPERATIONS = [*LISTS, ("SalesDistribution", "distribution", {})]


async def _id(sample: Api, kind: str, query: str) -> str:
    async with sample.db.read() as session:
        return encode(kind, await session.scalar(text(query)))


async def _of_brand(sample: Api) -> str:
    return await sample.token("brand", brand="绒溪小厨")


@pytest.mark.parametrize(("operation", "field", "variables"), OPERATIONS)
@pytest.mark.parametrize("door", ["brand", "operator"])
async def test_what_stores_sold(sample: Api, door: str, operation: str, field: str, variables: dict[str, Any]) -> None:
    """The account and the page: two statements, however many rows."""
    token = await (_of_brand(sample) if door == "brand" else sample.token("operator"))
    await check(sample, f"{door}/{operation}", token, **OCTOBER, **variables, statements=2)
    if "first" in variables:
        await sample.run(f"{door}/{operation}", token, **OCTOBER, first=100)
        assert len(sample.statements) == 2


async def test_the_tail(sample: Api) -> None:
    """The stores that listed in vain come first."""
    token = await _of_brand(sample)
    tail: dict[str, Any] = {**OCTOBER, "leastFirst": True, "first": 3}
    await check(sample, "brand/SalesByStore", token, case="tail", **tail, statements=2)
    everything = await sample.run("brand/SalesByStore", token, **{**tail, "first": 100})
    outputs = [edge["node"]["output"]["amount"] for edge in everything["data"]["brand"]["sales"]["stores"]["edges"]]
    assert outputs == sorted(outputs)
    assert outputs.count(0) > 0


async def test_all_of_it_is_the_same_money(sample: Api) -> None:
    """Stores, regions, tiers, products and months of a brand each add up to the distribution's whole."""
    token = await _of_brand(sample)
    whole = (await sample.run("brand/SalesDistribution", token, **OCTOBER))["data"]["brand"]["sales"]["distribution"]
    assert whole["output"]["amount"] > 0
    for operation, field, _ in LISTS[:5]:
        answer = await sample.run(f"brand/{operation}", token, **OCTOBER, first=100)
        nodes = [edge["node"] for edge in answer["data"]["brand"]["sales"][field]["edges"]]
        assert sum(node["output"]["amount"] for node in nodes) == whole["output"]["amount"], operation
    assert sum(decile["output"]["amount"] for decile in whole["deciles"]) == whole["output"]["amount"]
    assert sum(decile["stores"] for decile in whole["deciles"]) == whole["stores"]


async def test_the_operator_sees_what_a_brand_sees_of_its_own(sample: Api) -> None:
    mine = await _of_brand(sample)
    brand = await _id(sample, "brand", "SELECT id FROM brands WHERE name = '绒溪小厨'")
    operator = await sample.token("operator")
    for operation, field, _ in OPERATIONS:
        ours = await sample.run(f"operator/{operation}", operator, **OCTOBER, brand=brand)
        theirs = await sample.run(f"brand/{operation}", mine, **OCTOBER)
        assert ours["data"]["operator"]["sales"][field] == theirs["data"]["brand"]["sales"][field]


async def test_another_brands_product_is_nothing(sample: Api) -> None:
    token = await _of_brand(sample)
    theirs = await _id(
        sample,
        "product",
        "SELECT product_id FROM daily_products p JOIN brands b ON b.id = p.brand_id WHERE b.name <> '绒溪小厨' LIMIT 1",
    )
    for operation, field, _ in LISTS:
        answer = await sample.run(f"brand/{operation}", token, **OCTOBER, product=theirs)
        edges = answer["data"]["brand"]["sales"][field]["edges"]
        assert all(edge["node"]["output"]["amount"] == 0 for edge in edges) if field == "periods" else edges == []
    answer = await sample.run("brand/SalesDistribution", token, **OCTOBER, product=theirs)
    assert answer["data"]["brand"]["sales"]["distribution"]["stores"] == 0
    found = await sample.run("operator/SalesByStore", await sample.token("operator"), **OCTOBER, product=theirs)
    assert found["data"]["operator"]["sales"]["stores"]["edges"] != []


async def test_nobody_else_sees_it(sample: Api) -> None:
    """A distributor sees nothing of it, and a brand and the operator enter by their own doors alone."""
    tokens = {
        "distributor": await sample.token("distributor", distributor="GD-SZX-04"),
        "finance": await sample.token("finance"),
        "brand": await _of_brand(sample),
        "operator": await sample.token("operator"),
        "nobody": None,
    }
    for door in ("brand", "operator"):
        for role, token in tokens.items():
            if role == door:
                continue
            for operation, _, _ in OPERATIONS:
                answer = await sample.run(f"{door}/{operation}", token, **OCTOBER)
                assert answer["data"] is None
                code = "UNAUTHENTICATED" if token is None else "FORBIDDEN"
                assert [error["extensions"] for error in answer["errors"]] == [{"code": code}]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"from": "2026-10-01", "to": "2026-10-01"}, "from (2026-10-01) must be before to"),
        ({"from": "2010-01-01", "to": "2026-10-01"}, "are more than 3653 days"),
        ({**OCTOBER, "first": 101}, "a page has 0 to 100 rows"),
        ({**OCTOBER, "after": "nonsense"}, "after is not a cursor of this list"),
        ({**OCTOBER, "product": "nonsense"}, "product"),
    ],
)
async def test_what_cannot_be_asked(sample: Api, variables: dict[str, Any], message: str) -> None:
    answer = await sample.run("brand/SalesByStore", await _of_brand(sample), **variables)
    assert message in answer["errors"][0]["message"]
