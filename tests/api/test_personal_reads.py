"""The trail at the doors: whoever sees personal data of others unmasked stands in it, and nobody else does."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text

from s2b2c import models
from s2b2c.api.types.ids import encode
from s2b2c.db import Database
from tests.api.client import Api, api_on
from tests.api.shopping import (
    HOME,
    Buyer,
    Json,
    Shop,
    a_buyer,
    a_shop,
    key_of_order,
    paid,
    ships_all,
    supply_orders,
)
from tests.databases import as_owner

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
REASON = "the customer asks where the parcel is"
SUPPLY = (
    """query($first: Int! = 24) { brand { supplyOrders(state: ALL, first: $first) { edges { node { SHOWN } } } } }"""
)
CUSTOMER = """query($reason: String!, $id: ID, $ref: String, $phone: String, $orderNo: String) { operator {
  customer(reason: $reason, id: $id, ref: $ref, phone: $phone, orderNo: $orderNo) {
    id ref phones contacts { recipient phone } } } }"""


@pytest.fixture
async def api(db: Database) -> AsyncIterator[Api]:
    async with api_on(db, clock=lambda: NOW) as api:
        yield api


async def trail(api: Api) -> list[models.PersonalRead]:
    async with api.db.read() as session:
        return list(await session.scalars(select(models.PersonalRead).order_by(models.PersonalRead.id)))


async def an_order(api: Api) -> tuple[Shop, Buyer, Json]:
    """One that is paid, and whose two brands have yet to ship."""
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places()
    await paid(api, order)
    return shop, buyer, order


async def facts(api: Api, order: Json) -> tuple[int, int, int]:
    """(customer_id, branch_id, order_id)"""
    async with api.db.read() as session:
        row = await session.get_one(models.Order, key_of_order(order))
    return row.customer_id, row.branch_id, row.id


# A brand's labels


async def test_a_label_that_is_seen_stands_in_the_trail(api: Api) -> None:
    shop, _, order = await an_order(api)
    (label,) = await supply_orders(shop, 0)
    assert label["label"] == {
        "recipient": "王**",
        "phone": "138****1234",
        "region": HOME["region"],
        "street": HOME["street"],
    }
    assert len(api.statements) <= 4
    (row,) = await trail(api)
    customer_id, branch_id, order_id = await facts(api, order)
    async with api.db.read() as session:
        account = await session.scalar(select(models.Account.id).where(models.Account.brand_id == shop.brands[0].id))
    assert (row.at, row.account_id, row.reader_id, row.purpose, row.reason) == (NOW, account, None, "shipping", None)
    assert (row.kinds, row.customer_id) == (["region", "street"], customer_id)
    assert (row.branch_id, row.order_id) == (branch_id, order_id)
    assert (row.person_id, row.distributor_id, row.brand_id) == (None, None, None)
    await supply_orders(shop, 0)
    assert len(await trail(api)) == 2, "each look"


@pytest.mark.parametrize(
    ("shown", "kinds"),
    [
        ("id label { recipient phone }", None),
        ("id isToShip shippedAt", None),
        ("id label { recipient region }", ["region"]),
        ("region", ["region"]),
        ("r: region label { s: street }", ["region", "street"]),
        ("...on SupplyOrder { label { ...on OrderAddress { street } } }", ["street"]),
        ("id region @skip(if: true) label @include(if: false) { street }", None),
        ("id region @include(if: true)", ["region"]),
    ],
)
async def test_what_is_masked_or_not_asked_for_is_not_in_the_trail(
    api: Api, shown: str, kinds: list[str] | None
) -> None:
    shop, _, _ = await an_order(api)
    answer = await api.ask(SUPPLY.replace("SHOWN", shown), await shop.brand(0))
    assert len(answer["data"]["brand"]["supplyOrders"]["edges"]) == 1
    assert [row.kinds for row in await trail(api)] == ([] if kinds is None else [kinds])


async def test_a_row_that_is_not_shown_is_not_in_the_trail(api: Api) -> None:
    """The page is one longer than what is shown, so that it can say whether there is more."""
    shop, buyer, first = await an_order(api)
    second = await buyer.places(token="two")
    await paid(api, second)
    token = await shop.brand(0)
    for size, seen in ((0, []), (1, [second]), (24, [second, second, first])):
        answer = await api.ask(SUPPLY.replace("SHOWN", "region"), token, first=size)
        assert len(answer["data"]["brand"]["supplyOrders"]["edges"]) == min(size, 2)
        assert sorted(row.order_id or 0 for row in await trail(api)) == sorted(key_of_order(it)[1] for it in seen)


async def test_once_it_has_left_its_region_alone_is_seen(api: Api) -> None:
    shop, _, _ = await an_order(api)
    await ships_all(shop, 0)
    before = len(await trail(api))
    (label,) = await supply_orders(shop, 0, state="ALL")
    assert (label["label"], label["region"]) == (None, HOME["region"])
    assert [row.kinds for row in (await trail(api))[before:]] == [["region"]]


async def test_a_supply_order_by_its_id(api: Api) -> None:
    shop, _, _ = await an_order(api)
    (mine,), (other,) = await supply_orders(shop, 0), await supply_orders(shop, 1)
    before = len(await trail(api))
    query = "query($id: ID!) { brand { node(id: $id) { id ...on SupplyOrder { region label { street } } } } }"
    token = await shop.brand(0)
    answer = await api.ask(query, token, id=mine["id"])
    assert answer["data"]["brand"]["node"]["label"] == {"street": HOME["street"]}
    assert len(api.statements) == 2
    assert [row.kinds for row in (await trail(api))[before:]] == [["region", "street"]]
    assert (await api.ask(query, token, id=other["id"]))["data"]["brand"]["node"] is None
    assert (await api.ask(query, token, id=encode("product", shop.variants[0].product_id)))["data"]["brand"]["node"]
    await api.run("brand/Node", token, id=mine["id"])
    assert len(await trail(api)) == before + 1


async def test_of_an_order_without_an_address_nothing_is_seen(api: Api) -> None:
    shop, _, _ = await an_order(api)
    async with api.db.write() as session:
        await session.execute(text("DELETE FROM order_addresses"))
    (label,) = await supply_orders(shop, 0)
    assert (label["label"], label["region"]) == (None, None)
    assert await trail(api) == []


@pytest.mark.parametrize("door", ["brand", "node", "order", "customer"])
async def test_a_read_that_cannot_be_recorded_shows_nothing(api: Api, door: str) -> None:
    shop, _, order = await an_order(api)
    (mine,) = await supply_orders(shop, 0)
    await as_owner(api.db.url, "REVOKE INSERT ON personal_reads FROM s2b2c_app")
    node = "query($id: ID!) { brand { node(id: $id) { id ...on SupplyOrder { region } } } }"
    if door == "brand":
        answer = await api.run("brand/SupplyOrders", await shop.brand(0))
    elif door == "node":
        answer = await api.ask(node, await shop.brand(0), id=mine["id"])
    elif door == "order":
        answer = await api.run("operator/Order", await api.token("operator"), orderNo=order["orderNo"])
    else:
        wanted = {"reason": REASON, "orderNo": order["orderNo"]}
        answer = await api.run("operator/Customer", await api.token("operator"), **wanted)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INTERNAL"]
    assert HOME["region"] not in str(answer)
    assert HOME["phone"] not in str(answer)


async def test_whose_it_is_reads_it_without_a_trail(api: Api) -> None:
    shop, buyer, order = await an_order(api)
    for operation, variables in (("Order", {"id": order["id"]}), ("Orders", {}), ("Me", {})):
        assert HOME["street"] in str(await api.run(f"shop/{operation}", buyer.token, **variables))
    seller = await shop.seller()
    for operation in ("Orders", "Customers"):
        assert "138****1234" in str(await api.run(f"partner/{operation}", seller))
    await api.run("finance/Order", await api.token("finance"), orderNo=order["orderNo"])
    assert await trail(api) == []


async def test_the_app_can_forget_nothing(api: Api) -> None:
    """Nor make a row that is about nobody."""
    for statement in (
        "INSERT INTO personal_reads (at, purpose, kinds) VALUES (now(), 'export', '{}')",
        "INSERT INTO personal_reads (at, purpose, kinds, customer_id) VALUES (now(), 'support', '{}', 1)",
        "INSERT INTO personal_reads (at, purpose, kinds, customer_id) VALUES (now(), 'export', '{shoe_size}', 1)",
        "INSERT INTO personal_reads (at, purpose, kinds, customer_id, order_id) VALUES (now(), 'order', '{}', 1, 1)",
    ):
        with pytest.raises(Exception, match="violates check constraint"):
            async with api.db.write() as session:
                await session.execute(text(statement))


# Whoever runs the network


async def test_an_order_at_the_operators_door(api: Api) -> None:
    _, _, order = await an_order(api)
    operator = await api.token("operator")
    await api.ask(
        "query($no: String!) { operator { order(orderNo: $no) { phone total { amount } } } }",
        operator,
        no=order["orderNo"],
    )
    assert await trail(api) == []
    answer = await api.run("operator/Order", operator, orderNo=order["orderNo"])
    assert answer["data"]["operator"]["order"]["region"] == HOME["region"]
    assert len(api.statements) == 4
    (row,) = await trail(api)
    assert (row.purpose, row.kinds, (row.customer_id, row.branch_id, row.order_id)) == (
        "order",
        ["region"],
        await facts(api, order),
    )


async def test_a_customer_is_looked_up_with_a_reason(api: Api) -> None:
    _, _, order = await an_order(api)
    customer_id, _, _ = await facts(api, order)
    async with api.db.write() as session:
        customer = await session.get_one(models.Customer, customer_id)
    operator = await api.token("operator")
    found = {
        "id": encode("customer", customer_id),
        "ref": customer.ref,
        "phones": [],
        "contacts": [{"recipient": HOME["recipient"], "phone": HOME["phone"]}],
    }
    for named in ({"id": found["id"]}, {"ref": customer.ref}, {"orderNo": order["orderNo"]}):
        answer = await api.ask(CUSTOMER, operator, reason=f"  {REASON} ", **named)
        assert answer["data"]["operator"]["customer"] == found
        assert len(api.statements) == 4
    rows = await trail(api)
    assert [(row.purpose, row.reason, row.kinds, row.customer_id) for row in rows] == [
        ("support", REASON, ["phone", "recipient"], customer_id)
    ] * 3
    for named in ({"id": encode("customer", 10**9)}, {"ref": "nobody"}, {"orderNo": "1"}, {"phone": "13900000000"}):
        assert (await api.ask(CUSTOMER, operator, reason=REASON, **named))["data"]["operator"] == {"customer": None}
    assert len(await trail(api)) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": "too short", "ref": "x"},
        {"reason": " " * 20, "ref": "x"},
        {"reason": "x" * 201, "ref": "x"},
        {"reason": "a\u202eb which is long enough", "ref": "x"},
        {"reason": REASON},
        {"reason": REASON, "ref": "x", "orderNo": "1"},
        {"reason": REASON, "phone": "1"},
        {"reason": REASON, "id": "x"},
        {"reason": REASON, "ref": "\x01"},
        {"reason": REASON, "orderNo": "\x01"},
    ],
)
async def test_a_look_that_says_too_little_is_refused(api: Api, wrong: Json) -> None:
    await an_order(api)
    assert await api.code(CUSTOMER, await api.token("operator"), **wrong) == "BAD_ARGUMENT"
    assert await trail(api) == []


async def test_the_trail_is_told_newest_first(api: Api) -> None:
    shop, _, order = await an_order(api)
    await supply_orders(shop, 0)
    other = await a_buyer(shop)
    second = await other.places()
    await paid(api, second)
    operator = await api.token("operator")
    for one in (second, order):
        await api.run("operator/Customer", operator, reason=REASON, orderNo=one["orderNo"])

    async def told(**variables: Any) -> list[Json]:
        answer = await api.run("operator/PersonalReads", operator, **variables)
        assert len(api.statements) in {2, 3}
        return [edge["node"] for edge in answer["data"]["operator"]["personalReads"]["edges"]]

    everything = await told()
    assert [(it["purpose"], it["by"]["role"], it["reason"]) for it in everything] == [
        ("SUPPORT", "operator", REASON),
        ("SUPPORT", "operator", REASON),
        ("SHIPPING", "brand", None),
    ]
    assert everything[2] == {
        "id": encode("personal-read", 1),
        "at": NOW.isoformat(),
        "by": {"id": everything[2]["by"]["id"], "role": "brand"},
        "reader": None,
        "purpose": "SHIPPING",
        "reason": None,
        "kinds": ["REGION", "STREET"],
        "customer": encode("customer", (await facts(api, order))[0]),
        "order": order["id"],
    }
    customer = encode("customer", (await facts(api, second))[0])
    assert await told(customer=customer) == everything[1:2]
    assert await told(first=1) == everything[:1]
    for role in ("finance", "brand"):
        token = await api.token("finance") if role == "finance" else await shop.brand(0)
        assert await api.code("{ operator { personalReads { edges { cursor } } } }", token) == "FORBIDDEN"
