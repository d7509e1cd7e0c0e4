"""A brand ships what is paid, and the seller follows its customers' orders; what each sees, and every refusal."""

from typing import Any

import pytest
from sqlalchemy import select

from s2b2c import models, orders
from s2b2c.api.types.ids import encode
from tests import factories
from tests.api.client import Api
from tests.api.shopping import (
    HOME,
    Buyer,
    Json,
    Shop,
    a_buyer,
    a_shop,
    done,
    key_of_order,
    nodes,
    paid,
    refuses,
    ships,
    ships_all,
    supply_orders,
)

LABEL = HOME | {"recipient": "王**", "phone": "138****1234"}


async def a_paid_order(shop: Shop, *lines: Json, name: str = "one") -> tuple[Buyer, Json]:
    """Two of the first brand's, and one of the second's, where nothing else is said."""
    buyer = await a_buyer(shop)
    order = await buyer.places(*lines, token=name)
    await paid(shop.api, order)
    return buyer, order


async def refund(shop: Shop, order: Json, reference: str, *lines: orders.RefundedLine) -> None:
    branch_id, order_id = key_of_order(order)
    async with shop.api.db.write() as session:
        at = await session.scalar(select(models.Order.paid_at).where(models.Order.id == order_id))
        assert at is not None
        assert await orders.refund(session, [orders.Refund(branch_id, order_id, reference, at, lines)]) == 1


def units(supply_order: Json) -> list[tuple[int, int, int, int, int]]:
    """(line, bought, refunded, shipped, left)"""
    names = ("lineNo", "quantity", "refundedUnits", "shippedUnits", "unitsToShip")
    found = [edge["node"] for edge in supply_order["lines"]["edges"]]
    return [(line[names[0]], line[names[1]], line[names[2]], line[names[3]], line[names[4]]) for line in found]


async def test_a_brand_ships_its_lines_alone(api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places(shop.line(1), shop.line(0, 3), shop.line(2))
    assert await supply_orders(shop, 0, state="ALL") == [], "nobody ships what is not paid"
    await paid(api, order)
    (mine,) = await supply_orders(shop, 0)
    assert len(api.statements) == 4, api.statements
    assert units(mine) == [(2, 3, 0, 0, 3)]
    assert (mine["orderNo"], mine["orderState"], mine["isToShip"]) == (order["orderNo"], "PAID", True)
    assert (mine["store"]["slug"], mine["region"], mine["label"]) == (shop.store.slug, HOME["region"], LABEL)
    parcel = {"supplyOrder": mine["id"], "carrier": "顺丰", "trackingNo": "SF1"}
    assert await ships(shop, 0, {**parcel, "lines": [{"lineNo": 2, "quantity": 2}]}) == {"shipped": 1}
    assert len(api.statements) == 5, api.statements
    (mine,) = await supply_orders(shop, 0)
    assert units(mine) == [(2, 3, 0, 2, 1)]
    assert mine["label"] == LABEL, "a unit is left to ship"
    (inside,) = [edge["node"] for edge in mine["parcels"]["edges"]]
    assert (inside["carrier"], inside["trackingNo"], inside["contents"]) == (
        "顺丰",
        "SF1",
        [{"lineNo": 2, "quantity": 2}],
    )
    assert await ships(shop, 0, {**parcel, "trackingNo": "SF2"}) == {"shipped": 1}
    assert await ships(shop, 0, {**parcel, "trackingNo": "SF2"}) == {"shipped": 0}, "told again"
    assert await supply_orders(shop, 0) == []
    (mine,) = await supply_orders(shop, 0, state="SHIPPED")
    assert (units(mine), mine["label"], mine["region"]) == ([(2, 3, 0, 3, 0)], None, HOME["region"])
    assert (mine["isToShip"], mine["orderState"], mine["shippedAt"] is None) == (False, "PAID", False)
    (theirs,) = await supply_orders(shop, 1)
    assert (units(theirs), theirs["parcels"]["edges"]) == ([(1, 1, 0, 0, 1)], []), "another brand's parcels are its own"


async def test_several_parcels_at_once_or_none(api: Api) -> None:
    shop = await a_shop(api)
    for number in range(3):
        await a_paid_order(shop, name=str(number))
    waiting = await supply_orders(shop, 0)
    assert len(api.statements) == 4, api.statements
    assert [it["orderNo"] for it in waiting] == sorted(it["orderNo"] for it in waiting), "the oldest first"
    parcels = [{"supplyOrder": it["id"], "carrier": "圆通", "trackingNo": f"YT{it['orderNo']}"} for it in waiting]
    wrong = {**parcels[2], "lines": [{"lineNo": 1, "quantity": 3}]}
    await refuses(api, "WrongState", "brand/ShipParcels", await shop.brand(0), parcels=[*parcels[:2], wrong])
    assert await ships(shop, 0, *parcels) == {"shipped": 3}
    assert len(api.statements) == 5, api.statements
    left = await supply_orders(shop, 0, state="SHIPPED")
    assert [it["id"] for it in left] == [it["id"] for it in waiting[::-1]], "the newest first"
    assert [it["id"] for it in await supply_orders(shop, 0, state="SHIPPED", first=1)] == [waiting[2]["id"]]
    page = (await api.run("brand/SupplyOrders", await shop.brand(0), state="ALL", first=2))["data"]["brand"]
    after = page["supplyOrders"]["pageInfo"]["endCursor"]
    assert [it["id"] for it in await supply_orders(shop, 0, state="ALL", after=after)] == [waiting[0]["id"]]
    first = (await api.run("brand/SupplyOrders", await shop.brand(1), first=2))["data"]["brand"]["supplyOrders"]
    rest = await supply_orders(shop, 1, after=first["pageInfo"]["endCursor"])
    assert [edge["node"]["orderNo"] for edge in first["edges"]] + [it["orderNo"] for it in rest] == [
        it["orderNo"] for it in waiting
    ]


async def test_what_was_refunded_before_it_left_is_not_shipped(api: Api) -> None:
    shop = await a_shop(api)
    _, order = await a_paid_order(shop)
    await refund(shop, order, "R1", orders.RefundedLine(1, quantity=1, goods_back=True))
    (mine,) = await supply_orders(shop, 0)
    assert units(mine) == [(1, 2, 1, 0, 1)]
    await refund(shop, order, "R2", orders.RefundedLine(1, quantity=1, goods_back=True))
    assert await supply_orders(shop, 0) == await supply_orders(shop, 0, state="SHIPPED") == []
    (mine,) = await supply_orders(shop, 0, state="ALL")
    assert (units(mine), mine["label"], mine["isToShip"]) == ([(1, 2, 2, 0, 0)], None, False)
    (theirs,) = await supply_orders(shop, 1)
    assert theirs["label"] == LABEL


async def test_no_label_once_the_order_is_over(api: Api) -> None:
    """An order may complete without parcels of ours."""
    shop = await a_shop(api)
    _, order = await a_paid_order(shop)
    async with api.db.write() as session:
        row = (await session.scalars(select(models.Order))).one()
        assert row.paid_at is not None
        await orders.complete(session, [(*key_of_order(order), row.paid_at)], hold_days=7)
    assert await supply_orders(shop, 0) == []
    (mine,) = await supply_orders(shop, 0, state="ALL")
    assert (mine["orderState"], mine["label"], units(mine)) == ("COMPLETED", None, [(1, 2, 0, 0, 0)])


PARCEL = {"carrier": "顺丰", "trackingNo": "SF1"}
WRONG: list[tuple[str, Any]] = [
    ("BadArgument", []),
    ("BadArgument", [{"supplyOrder": "nonsense"}]),
    ("BadArgument", [{"supplyOrder": encode("order", 1, 1)}]),
    ("BadArgument", [{"carrier": ""}]),
    ("BadArgument", [{"carrier": "\x01"}]),
    ("BadArgument", [{"trackingNo": "   "}]),
    ("BadArgument", [{"trackingNo": "9" * 65}]),
    ("BadArgument", [{"lines": []}]),
    ("BadArgument", [{"lines": [{"lineNo": 1, "quantity": 0}]}]),
    ("BadArgument", [{"lines": [{"lineNo": 1, "quantity": 1}, {"lineNo": 1, "quantity": 1}]}]),
    ("BadArgument", [{}, {"trackingNo": "SF2"}]),
    ("BadArgument", [{}] * 101),
    ("NotFound", [{"supplyOrder": encode("supply-order", 1, 10**9)}]),
    ("WrongState", [{"lines": [{"lineNo": 1, "quantity": 3}]}]),
    ("WrongState", [{"lines": [{"lineNo": 2, "quantity": 1}]}]),
    ("WrongState", [{"lines": [{"lineNo": 2**62, "quantity": 2**62}]}]),
]


async def test_parcels_that_are_refused(api: Api) -> None:
    shop = await a_shop(api)
    buyer, _ = await a_paid_order(shop)
    (mine,) = await supply_orders(shop, 0)
    token = await shop.brand(0)
    for kind, wrong in WRONG:
        parcels = [{"supplyOrder": mine["id"], **PARCEL, **parcel} for parcel in wrong]
        await refuses(api, kind, "brand/ShipParcels", token, parcels=parcels)
    parcel = {"supplyOrder": mine["id"], **PARCEL}
    await refuses(api, "NotFound", "brand/ShipParcels", await shop.brand(1), parcels=[parcel])
    await buyer.places(token="two")
    async with api.db.read() as session:
        newest = await session.scalar(
            select(models.SupplyOrder.id)
            .where(models.SupplyOrder.brand_id == shop.brands[0].id)
            .order_by(models.SupplyOrder.id.desc())
            .limit(1)
        )
    assert newest is not None
    unpaid = {**parcel, "supplyOrder": encode("supply-order", shop.owner.branch_id, newest)}
    await refuses(api, "WrongState", "brand/ShipParcels", token, parcels=[unpaid])
    await ships(shop, 0, parcel)
    await refuses(api, "WrongState", "brand/ShipParcels", token, parcels=[{**parcel, "trackingNo": "SF2"}])


@pytest.mark.parametrize("role", ["distributor", "finance", "operator", None])
async def test_the_door_is_for_brands(api: Api, role: str | None) -> None:
    async with api.db.write() as session:
        one = await factories.a_distributor(session)
    token = role and await api.token(role, **({"distributor": one.code} if role == "distributor" else {}))
    code = "FORBIDDEN" if role else "UNAUTHENTICATED"
    assert await api.code("mutation { shipParcels(parcels: []) { __typename } }", token) == code
    assert await api.code("{ brand { supplyOrders { edges { cursor } } } }", token) == code


# The seller


async def sold(shop: Shop, **variables: object) -> list[Json]:
    return await nodes(shop.api, "partner/Orders", await shop.seller(), "partner", "orders", **variables)


async def test_a_seller_follows_an_order(api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places()
    (mine,) = await sold(shop)
    assert len(api.statements) == 4, api.statements
    assert (mine["state"], mine["phone"], mine["commission"]["amount"]) == ("PLACED", "138****1234", 0)
    assert (mine["orderNo"], mine["total"]["amount"]) == (order["orderNo"], 12980)
    await paid(api, order)
    (mine,) = await sold(shop)
    assert mine["commission"] == {"amount": 1197 + 360, "currency": "CNY"}, "12 % of 99.80 and of 30.00, line by line"
    await ships_all(shop, 0)
    await refund(shop, order, "R1", orders.RefundedLine(1, quantity=1), orders.RefundedLine(2, quantity=1))
    (mine,) = await sold(shop)
    lines = [edge["node"] for edge in mine["lines"]["edges"]]
    assert [(it["quantity"], it["refundedUnits"], it["shippedUnits"], it["refunded"]["amount"]) for it in lines] == [
        (2, 1, 2, 4990),
        (1, 1, 0, 3000),
    ]
    assert (mine["refunded"]["amount"], mine["state"]) == (7990, "SHIPPED"), "nothing is left to ship"
    assert mine["commission"]["amount"] == 1197 - 1197 * 4990 // 9980
    assert [edge["node"]["trackingNo"] for edge in mine["parcels"]["edges"]] == [f"SF{order['orderNo']}-0"]
    await done(api, "shop/ConfirmReceipt", buyer.token, order=order["id"])
    assert [it["state"] for it in await sold(shop)] == ["RECEIVED"]


async def test_a_seller_sees_its_own_orders_alone(api: Api) -> None:
    """Not those of its downline, nor those that somebody else's customers made in its store."""
    shop = await a_shop(api)
    placed = [await (await a_buyer(shop)).places() for _ in range(4)]
    await paid(api, placed[1])
    async with api.db.write() as session:
        below = await factories.a_distributor(session, rank=3, parent=shop.owner)
        store = await factories.a_store(session, below)
        await factories.a_listing(session, store, shop.variants[0].product_id)
    theirs = await (await a_buyer(shop)).places(shop.line(0), store=encode("store", store.id))
    assert theirs["state"] == "PLACED"
    ids = [it["id"] for it in placed]
    assert [it["id"] for it in await sold(shop)] == ids[::-1]
    assert len(api.statements) == 4, api.statements
    assert [it["id"] for it in await sold(shop, state="PAID")] == ids[1:2]
    page = (await api.run("partner/Orders", await shop.seller(), first=3))["data"]["partner"]["orders"]
    assert [it["id"] for it in await sold(shop, after=page["pageInfo"]["endCursor"])] == ids[:1]
    for code, seen in ((shop.top.code, []), (below.code, [theirs["id"]])):
        token = await api.token("distributor", distributor=code)
        assert [it["id"] for it in await nodes(api, "partner/Orders", token, "partner", "orders")] == seen
    loyal = await a_buyer(shop)
    await done(api, "shop/Visit", loyal.token, slug=store.slug)
    order = await loyal.places()
    assert order["store"]["slug"] == shop.store.slug
    assert order["id"] not in [it["id"] for it in await sold(shop)]


async def test_a_suspended_seller_earns_nothing(api: Api) -> None:
    shop = await a_shop(api)
    order = await (await a_buyer(shop)).places()
    async with api.db.write() as session:
        (await session.get_one(models.Distributor, shop.owner.id)).state = "suspended"
    await paid(api, order)
    assert [it["commission"]["amount"] for it in await sold(shop)] == [0]


async def test_the_operator_sees_the_whole_life(api: Api) -> None:
    shop = await a_shop(api)
    _, order = await a_paid_order(shop)
    await ships_all(shop, 1)
    token = await api.token("operator")
    answer = await api.run("operator/Order", token, orderNo=order["orderNo"])
    assert len(api.statements) == 4, api.statements
    found = answer["data"]["operator"]["order"]
    assert (found["id"], found["seller"]["code"], found["phone"], found["region"]) == (
        order["id"],
        shop.owner.code,
        "138****1234",
        HOME["region"],
    )
    lines = [edge["node"] for edge in found["lines"]["edges"]]
    assert [
        (it["brandName"], it["supply"]["amount"], it["supplyPrice"]["amount"], it["unitsToShip"]) for it in lines
    ] == [
        (shop.brands[0].name, 2000, 1000, 2),
        (shop.brands[1].name, 1000, 1000, 0),
    ]
    assert [edge["node"]["contents"] for edge in found["parcels"]["edges"]] == [[{"lineNo": 2, "quantity": 1}]]
    for none in ("", "nonsense", "\x01"):
        answer = await api.run("operator/Order", token, orderNo=none)
        assert answer == {"data": {"operator": {"order": None}}}
