"""A customer at the door of shops: a cart, an order, its cancellation, its receipt; and every refusal of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from s2b2c import models
from s2b2c.api.types.ids import encode
from s2b2c.config import settings
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
    ships_all,
)

NOWHERE = encode("variant", 10**9)


@pytest.fixture
def freight(monkeypatch: pytest.MonkeyPatch) -> None:
    """800 fen below 10000 fen of goods."""
    monkeypatch.setattr(settings(), "freight", 800)
    monkeypatch.setattr(settings(), "free_freight_from", 10_000)


async def cart(shop: Shop, *lines: Json) -> Any:
    return (await shop.api.run("shop/Cart", None, store=shop.id, lines=list(lines)))["data"]["shop"]["cart"]


async def stock(shop: Shop) -> list[int]:
    async with shop.api.db.read() as session:
        return list(await session.scalars(select(models.Variant.stock).order_by(models.Variant.id)))


async def own_orders(buyer: Buyer, **variables: object) -> list[Json]:
    return await nodes(buyer.shop.api, "shop/Orders", buyer.token, "shop", "me", "orders", **variables)


async def own_order(buyer: Buyer, order: Json) -> Any:
    answer = await buyer.shop.api.run("shop/Order", buyer.token, id=order["id"])
    return answer["data"]["shop"]["me"]["order"]


# The cart


async def test_what_a_cart_costs(api: Api, freight: None) -> None:
    shop = await a_shop(api, stock=3)
    found = await cart(shop, shop.line(0, 2), shop.line(2, unitPrice=1500))
    assert len(api.statements) == 1
    assert [it["unitPrice"]["amount"] for it in found["lines"]] == [4990, 1500]
    assert [(it["lineNo"], it["quantity"], it["inStock"], it["problem"]) for it in found["lines"]] == [
        (1, 2, 3, None),
        (2, 1, 3, None),
    ]
    assert [found[name]["amount"] for name in ("goods", "freight", "total")] == [11480, 0, 11480]
    assert found["canBeOrdered"] is True
    found = await cart(shop, shop.line(0, 2))
    assert [found[name]["amount"] for name in ("goods", "freight", "total")] == [9980, 800, 10780]
    async with api.db.write() as session:
        await session.execute(update(models.Store).values(state="closed"))
    assert await cart(shop, shop.line(0)) is None
    assert (await api.run("shop/Cart", None, store=encode("store", 10**9), lines=[shop.line(0)])) == {
        "data": {"shop": {"cart": None}}
    }


async def test_what_a_cart_cannot_have(api: Api, freight: None) -> None:
    """Nothing is told of what the store does not sell, and nothing of it is counted."""
    shop = await a_shop(api, stock=3)
    async with api.db.write() as session:
        delisted = await _listed(session, shop, 10, state="delisted")
        no_cost = await _listed(session, shop, 11, tier_costs=(1100, None, 1300))
        elsewhere = await factories.a_variant(session)
    hidden = [{"variant": encode("variant", it.id), "quantity": 1} for it in (delisted, no_cost, elsewhere)]
    wanted = [shop.line(0, 4), shop.line(1, unitPrice=2999), shop.line(2), *hidden, {"variant": NOWHERE, "quantity": 2}]
    found = await cart(shop, *wanted)
    problems = ["OUT_OF_STOCK", "PRICE_CHANGED", None] + ["NOT_ON_OFFER"] * 4
    assert [it["problem"] for it in found["lines"]] == problems
    for line, asked in list(zip(found["lines"], wanted, strict=True))[3:]:
        shown = {"lineNo": line["lineNo"], **asked, "inStock": 0, "options": [], "problem": "NOT_ON_OFFER"}
        assert line == {**dict.fromkeys(line), **shown}
    goods = 4 * 4990 + 3000 + 1500
    assert [found[name]["amount"] for name in ("goods", "freight", "total")] == [goods, 0, goods]
    assert found["canBeOrdered"] is False
    found = await cart(shop, *hidden)
    assert [found[name]["amount"] for name in ("goods", "freight", "total")] == [0, 0, 0]


async def _listed(
    session: Any, shop: Shop, position: int, *, state: str = "listed", tier_costs: Any = (1100, 1200, 1300)
) -> models.Variant:
    variant = await factories.a_variant(session, supply_price=1000, tier_costs=tier_costs)
    await factories.a_listing(session, shop.store, variant.product_id, position=position)
    (await session.get_one(models.Product, variant.product_id)).state = state
    return variant


async def test_a_cart_is_judged_as_an_order_is(api: Api, freight: None) -> None:
    """What the cart finds wrong is what keeps it from being an order, and what it costs is what the order costs."""
    shop = await a_shop(api, stock=3)
    buyer = await a_buyer(shop)
    kinds = {"NOT_ON_OFFER": "NotOnOffer", "PRICE_CHANGED": "PriceChanged", "OUT_OF_STOCK": "OutOfStock"}
    for number, lines in enumerate(
        [
            [shop.line(0, 3)],
            [shop.line(0, 4)],
            [shop.line(1, 2, unitPrice=3001), shop.line(2)],
            [shop.line(1, 4, unitPrice=3000), shop.line(2)],
            [{"variant": NOWHERE, "quantity": 4}, shop.line(1, 4)],
            [shop.line(1), shop.line(2, 3)],
        ]
    ):
        found = await cart(shop, *lines)
        answer = await buyer.places(*lines, token=str(number))
        if found["canBeOrdered"]:
            assert [answer[name] for name in ("total", "freight")] == [found["total"], found["freight"]]
            continue
        wrong = {kinds[it["problem"]] for it in found["lines"] if it["problem"]}
        assert answer["__typename"] in wrong
        of_kind = [it for it in found["lines"] if it["problem"] and kinds[it["problem"]] == answer["__typename"]]
        assert [it["lineNo"] for it in answer["lines"]] == [it["lineNo"] for it in of_kind]
        assert [it["unitPrice"]["amount"] for it in answer["lines"]] == [
            it["unitPrice"]["amount"] if it["unitPrice"] else 0 for it in of_kind
        ]


BAD_LINES: list[list[tuple[int, int]]] = [
    [],
    [(0, 0)],
    [(0, -1)],
    [(0, 10_001)],
    [(0, 1), (1, 1), (0, 2)],
    [(0, 1)] * 101,
]


@pytest.mark.parametrize("lines", BAD_LINES)
async def test_lines_that_can_never_be_right(api: Api, lines: list[tuple[int, int]]) -> None:
    shop = await a_shop(api)
    wanted = [shop.line(number, quantity) for number, quantity in lines]
    answer = await api.run("shop/Cart", None, store=shop.id, lines=wanted)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_ARGUMENT"]
    buyer = await a_buyer(shop)
    order = {"store": shop.id, "lines": wanted, "address": buyer.address, "token": "x"}
    await refuses(api, "BadArgument", "shop/PlaceOrder", buyer.token, input=order)


async def test_a_cart_of_nonsense(api: Api) -> None:
    shop = await a_shop(api)
    for wrong in (
        {"store": "nonsense", "lines": [shop.line(0)]},
        {"store": shop.id, "lines": [{"variant": shop.id, "quantity": 1}]},
    ):
        answer = await api.run("shop/Cart", None, **wrong)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_ARGUMENT"]


# The order


async def test_an_order_is_what_was_in_the_cart(api: Api, freight: None) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places(shop.line(0), shop.line(2, 2))
    assert len(api.statements) == 5, api.statements
    amounts = {name: order[name]["amount"] for name in ("goods", "discount", "paid", "freight", "total", "refunded")}
    assert amounts == {"goods": 7990, "discount": 0, "paid": 7990, "freight": 800, "total": 8790, "refunded": 0}
    assert (order["state"], order["store"]["slug"]) == ("PLACED", shop.store.slug)
    placed, before = (datetime.fromisoformat(order[name]) for name in ("placedAt", "payBefore"))
    assert before - placed == timedelta(minutes=settings().pay_minutes)
    assert order["address"] == HOME
    assert order["lastRefund"] is None
    assert await stock(shop) == [99, 100, 98]
    seen = await own_order(buyer, order)
    assert len(api.statements) == 4, api.statements
    assert {name: seen[name] for name in order} == order
    lines = [edge["node"] for edge in seen["lines"]["edges"]]
    assert [(it["lineNo"], it["quantity"], it["unitPrice"]["amount"], it["paid"]["amount"]) for it in lines] == [
        (1, 1, 4990, 4990),
        (2, 2, 1500, 3000),
    ]
    assert await own_orders(buyer) == [{**order, "lines": seen["lines"]}]
    assert len(api.statements) == 3, api.statements


async def test_the_same_token_is_the_same_order(api: Api) -> None:
    shop = await a_shop(api)
    buyer, other = await a_buyer(shop), await a_buyer(shop)
    order = await buyer.places()
    assert await buyer.places() == order
    assert await buyer.places(shop.line(2)) == order, "what the token stands for was decided before"
    assert await stock(shop) == [98, 99, 100]
    assert (await buyer.places(token="two"))["id"] != order["id"]
    assert (await other.places())["id"] != order["id"], "a token is its customer's own"
    assert [len(await own_orders(it)) for it in (buyer, other)] == [2, 1]


async def test_an_order_keeps_its_address(api: Api) -> None:
    buyer = await a_buyer(await a_shop(api))
    order = await buyer.places()
    moved = {"recipient": "李四", "phone": "13911112222", "region": "北京市", "street": "长安街1号"}
    await done(api, "shop/SaveAddress", buyer.token, input={"id": buyer.address, **moved})
    await done(api, "shop/RemoveAddress", buyer.token, id=buyer.address)
    assert (await own_order(buyer, order))["address"] == order["address"]


async def test_an_order_over_a_link_is_of_who_shared_it(api: Api) -> None:
    shop = await a_shop(api)
    top = await api.token("distributor", distributor=shop.top.code)
    code = (await done(api, "partner/Share", top, store=shop.id))["code"]
    order = await (await a_buyer(shop)).places(share=code)
    assert [it["id"] for it in await nodes(api, "partner/Orders", top, "partner", "orders")] == [order["id"]]
    unknown = await (await a_buyer(shop)).places(share="nobody's")
    sold = await nodes(api, "partner/Orders", await shop.seller(), "partner", "orders")
    assert [it["id"] for it in sold] == [unknown["id"]], "a broken link keeps nobody from buying"


async def test_what_keeps_a_cart_from_being_an_order(api: Api) -> None:
    shop = await a_shop(api, stock=3)
    buyer, other = await a_buyer(shop), await a_buyer(shop)
    gone = await a_buyer(shop)
    await done(api, "shop/RemoveAddress", gone.token, id=gone.address)
    async with api.db.write() as session:
        closed = await factories.a_store(session)
        closed.state = "closed"
    order = {"store": shop.id, "lines": [shop.line(0)], "address": buyer.address, "token": "x"}
    for kind, wrong in (
        ("NotFound", {"store": encode("store", 10**9)}),
        ("NotFound", {"store": encode("store", closed.id)}),
        ("NotFound", {"address": other.address}),
        ("NotFound", {"address": encode("address", 10**9)}),
        ("BadArgument", {"store": "nonsense"}),
        ("BadArgument", {"address": shop.id}),
        ("BadArgument", {"lines": [{"variant": shop.id, "quantity": 1}]}),
        ("BadArgument", {"token": ""}),
        ("BadArgument", {"token": "长" * 65}),
        ("BadArgument", {"token": "\x01"}),
        ("BadArgument", {"share": "\x01"}),
    ):
        await refuses(api, kind, "shop/PlaceOrder", buyer.token, input={**order, **wrong})
    await refuses(api, "NotFound", "shop/PlaceOrder", gone.token, input={**order, "address": gone.address})
    lines: dict[str, tuple[Json, Json]] = {
        "NotOnOffer": ({"variant": NOWHERE, "quantity": 1}, {"inStock": 0, "unitPrice": {"amount": 0}}),
        "PriceChanged": (shop.line(1, unitPrice=2999), {"inStock": 3, "unitPrice": {"amount": 3000}}),
        "OutOfStock": (shop.line(1, 4), {"inStock": 3, "unitPrice": {"amount": 3000}}),
    }
    for kind, (line, problem) in lines.items():
        wanted = {**order, "lines": [shop.line(0), line]}
        answer = await refuses(api, kind, "shop/PlaceOrder", buyer.token, input=wanted)
        assert answer["lines"] == [{"lineNo": 2, **problem}]
        assert answer["message"].startswith("Line 2: ")


async def test_orders_by_state_and_in_pages(api: Api) -> None:
    shop = await a_shop(api)
    buyer, other = await a_buyer(shop), await a_buyer(shop)
    placed = [await buyer.places(token=str(number)) for number in range(4)]
    theirs = await other.places()
    await paid(api, placed[1])
    await paid(api, placed[2])
    await done(api, "shop/CancelOrder", buyer.token, order=placed[3]["id"])
    ids = [it["id"] for it in placed]
    assert [it["id"] for it in await own_orders(buyer)] == ids[::-1]
    assert len(api.statements) == 3, api.statements
    for state, expected in (("PLACED", ids[:1]), ("PAID", ids[2:0:-1]), ("CANCELLED", ids[3:]), ("COMPLETED", [])):
        assert [it["id"] for it in await own_orders(buyer, state=state)] == expected
    page = (await api.run("shop/Orders", buyer.token, first=3))["data"]["shop"]["me"]["orders"]
    assert [edge["node"]["id"] for edge in page["edges"]] == ids[:0:-1]
    assert page["pageInfo"]["hasNextPage"]
    assert [it["id"] for it in await own_orders(buyer, after=page["pageInfo"]["endCursor"])] == ids[:1]
    assert await own_order(buyer, theirs) is None
    assert await own_order(buyer, {"id": encode("order", 10**9, 1)}) is None


# Its cancellation and its receipt


async def test_a_cancelled_order_gives_its_stock_back(api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places()
    branch_id, order_id = key_of_order(order)
    async with api.db.write() as session:
        session.add(
            models.Payment(
                branch_id=branch_id,
                order_id=order_id,
                method="intent",
                amount=12980,
                state="open",
                intent_id="pi_1",
                created_at=datetime.now(UTC),
            )
        )
    cancelled = await done(api, "shop/CancelOrder", buyer.token, order=order["id"])
    assert len(api.statements) == 6, api.statements
    assert cancelled == {**order, "state": "CANCELLED", "cancelledAt": cancelled["cancelledAt"], "payBefore": None}
    assert cancelled["cancelledAt"] > order["placedAt"]
    assert await stock(shop) == [100, 100, 100]
    async with api.db.read() as session:
        (job,) = (await session.scalars(select(models.Job))).all()
    assert job.entrypoint == "cancel_payment", "what it has in hand at Stripe ends too"
    await refuses(api, "WrongState", "shop/CancelOrder", buyer.token, order=order["id"])


async def test_only_what_is_not_paid_is_cancelled(api: Api) -> None:
    shop = await a_shop(api)
    buyer, other = await a_buyer(shop), await a_buyer(shop)
    order = await buyer.places()
    await refuses(api, "NotFound", "shop/CancelOrder", other.token, order=order["id"])
    await refuses(api, "NotFound", "shop/CancelOrder", buyer.token, order=encode("order", 10**9, 1))
    await refuses(api, "BadArgument", "shop/CancelOrder", buyer.token, order="nonsense")
    await paid(api, order)
    await refuses(api, "WrongState", "shop/CancelOrder", buyer.token, order=order["id"])


async def test_an_order_is_received_once_all_of_it_has_left(api: Api) -> None:
    shop = await a_shop(api)
    buyer, other = await a_buyer(shop), await a_buyer(shop)
    order = await buyer.places()

    async def refused(kind: str, token: str = buyer.token, name: str = order["id"]) -> None:
        await refuses(api, kind, "shop/ConfirmReceipt", token, order=name)

    await refused("WrongState")
    await paid(api, order)
    await ships_all(shop, 0)
    await refused("WrongState")
    await ships_all(shop, 1)
    await refused("NotFound", other.token)
    await refused("NotFound", name=encode("order", 1, 10**9))
    await refused("BadArgument", name=buyer.address)
    received = await done(api, "shop/ConfirmReceipt", buyer.token, order=order["id"])
    assert len(api.statements) == 4, api.statements
    assert (received["state"], received["receivedAt"] > received["shippedAt"]) == ("RECEIVED", True)
    assert received["payBefore"] is None, "what is due next is no payment"
    async with api.db.read() as session:
        row = (await session.scalars(select(models.Order).where(models.Order.id == key_of_order(order)[1]))).one()
    assert row.due_at is not None
    assert row.received_at is not None
    assert row.due_at - row.received_at == timedelta(days=settings().complete_days)
    await refused("WrongState")
