"""Orders are paid at Stripe and refunded; every refusal of both."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import audit, models, orders, payments, stripe_events
from s2b2c.api.types.ids import decode, encode
from s2b2c.errors import Refusal, Refused, WrongState
from s2b2c.orders import RefundedLine
from tests import factories, paying
from tests.api import shopping
from tests.api.client import Api
from tests.api.shopping import Buyer, Json, a_buyer, a_shop, done, key_of_order, nodes, refuses
from tests.stripe_fake import Fake

BACK = {"successUrl": "https://shop.example/thanks", "cancelUrl": "https://shop.example/cart"}
VISIT = {"returnUrl": "https://shop.example/done", "refreshUrl": "https://shop.example/again"}


async def told(api: Api, fake: Fake) -> None:
    """Stripe has told what has happened, and the worker has worked on it."""
    for event in paying.all_events(fake):
        await paying.accepted(api.db, fake, event)
    async with api.db.write() as session:
        await stripe_events.handle_waiting(session, now=datetime.now(UTC), limit=100)


async def jobs_done(api: Api, name: str) -> int:
    """Do the jobs of this name that wait, as the worker does; returns how many."""
    async with api.db.write() as session:
        waiting = (await session.scalars(select(models.Job).where(models.Job.entrypoint == name))).all()
        for job in waiting:
            await session.delete(job)
    for job in waiting:
        assert job.payload is not None
        await getattr(payments, name)(api.db, gateway=payments.connect(), **json.loads(job.payload))
    return len(waiting)


async def pays(api: Api, fake: Fake, buyer: Buyer, order: Json) -> None:
    opened = await done(api, "shop/PayOrder", buyer.token, order=order["id"])
    fake.pay(opened["clientSecret"])
    await told(api, fake)


async def own(buyer: Buyer, order: Json) -> Any:
    answer = await buyer.shop.api.run("shop/Order", buyer.token, id=order["id"])
    return answer["data"]["shop"]["me"]["order"]


async def payment_rows(api: Api) -> Sequence[models.Payment]:
    async with api.db.read() as session:
        return (await session.scalars(select(models.Payment).order_by(models.Payment.id))).all()


async def is_sound(api: Api) -> None:
    async with api.db.snapshot() as session:
        found = [str(breach) for breach in await audit.audit(session) if breach.check != "current_history"]
    assert found == [], "the factories give distributors no history, but of money everything holds"


# Paying


async def test_an_order_is_paid(stripe: Fake, api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places()
    opened = await done(api, "shop/PayOrder", buyer.token, order=order["id"])
    assert len(api.statements) == 5, api.statements
    (intent,) = stripe.rows("payment_intent")
    assert (intent["amount"], opened) == (12980, {"clientSecret": intent["client_secret"], "url": None})
    assert await done(api, "shop/PayOrder", buyer.token, order=order["id"]) == opened, "the same however often"
    assert len(api.statements) == 5, api.statements
    stripe.pay(opened["clientSecret"])
    await told(api, stripe)
    seen = await own(buyer, order)
    assert (seen["state"], seen["paidAt"] is None, seen["payBefore"]) == ("PAID", False, None)
    for door, token in (("operator", await api.token("operator")), ("finance", await api.token("finance"))):
        operation, *path = ("operator/OrderMoney", "operator", "order", "payments")
        if door == "finance":
            operation, *path = ("finance/Payments", "finance", "payments")
        (payment,) = await nodes(api, operation, token, *path, orderNo=order["orderNo"])
        assert len(api.statements) == (4 if door == "operator" else 2), api.statements
        assert (payment["state"], payment["method"], payment["amount"]["amount"], payment["intentId"]) == (
            "SUCCEEDED",
            "INTENT",
            12980,
            intent["id"],
        )
    await refuses(api, "WrongState", "shop/PayOrder", buyer.token, order=order["id"])
    await is_sound(api)


async def test_an_order_is_paid_on_a_page_of_stripes(stripe: Fake, api: Api) -> None:
    buyer = await a_buyer(await a_shop(api))
    order = await buyer.places()
    wanted = {"order": order["id"], "method": "CHECKOUT"}
    opened = await done(api, "shop/PayOrder", buyer.token, **wanted, **BACK)
    assert len(api.statements) == 5, api.statements
    (page,) = stripe.rows("checkout.session")
    assert opened == {"clientSecret": None, "url": page["url"]}
    assert (page["success_url"], page["cancel_url"]) == (BACK["successUrl"], BACK["cancelUrl"])
    stripe.pay(page["id"])
    await told(api, stripe)
    assert (await own(buyer, order))["state"] == "PAID"
    await is_sound(api)


async def test_who_pays_in_another_way_waits_until_the_first_has_ended(stripe: Fake, api: Api) -> None:
    buyer = await a_buyer(await a_shop(api))
    order = await buyer.places()
    await done(api, "shop/PayOrder", buyer.token, order=order["id"])
    wanted = {"order": order["id"], "method": "CHECKOUT", **BACK}
    for _ in range(2):
        answer = await done(api, "shop/PayOrder", buyer.token, **wanted)
        assert answer["__typename"] == "WrongState"
    assert await jobs_done(api, "cancel_payment") == 1
    assert [it["status"] for it in stripe.rows("payment_intent")] == ["canceled"]
    assert (await done(api, "shop/PayOrder", buyer.token, **wanted))["url"] is not None
    assert [(it.method, it.state) for it in await payment_rows(api)] == [("intent", "cancelled"), ("checkout", "open")]


async def test_what_is_not_paid(stripe: Fake, api: Api) -> None:
    shop = await a_shop(api)
    buyer, other = await a_buyer(shop), await a_buyer(shop)
    order = await buyer.places()
    for kind, token, wrong in (
        ("NotFound", other.token, {}),
        ("NotFound", buyer.token, {"order": encode("order", 1, 10**9)}),
        ("BadArgument", buyer.token, {"order": "nonsense"}),
        ("BadArgument", buyer.token, {"method": "CHECKOUT"}),
        ("BadArgument", buyer.token, {"method": "CHECKOUT", **BACK, "successUrl": "javascript:alert(1)"}),
        ("BadArgument", buyer.token, {"method": "CHECKOUT", **BACK, "cancelUrl": "https://"}),
        ("BadArgument", buyer.token, {"method": "CHECKOUT", **BACK, "cancelUrl": f"https://a.example/{'x' * 2000}"}),
        ("BadArgument", buyer.token, {"method": "CHECKOUT", **BACK, "cancelUrl": "https://店.example/"}),
        ("BadArgument", buyer.token, {"method": "CHECKOUT", **BACK, "cancelUrl": "https://a.example/\n"}),
    ):
        await refuses(api, kind, "shop/PayOrder", token, **{"order": order["id"], **wrong})
    await shopping.grow_old(api, timedelta(hours=1))
    await refuses(api, "WrongState", "shop/PayOrder", buyer.token, order=order["id"])
    await done(api, "shop/CancelOrder", buyer.token, order=order["id"])
    await refuses(api, "WrongState", "shop/PayOrder", buyer.token, order=order["id"])
    assert stripe.requests == []


async def test_without_a_key_nothing_is_paid_and_it_says_why(api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places()
    answer = await refuses(api, "PaymentsOff", "shop/PayOrder", buyer.token, order=order["id"])
    assert (answer["code"], "S2B2C_STRIPE_API_KEY" in answer["message"]) == ("PAYMENTS_OFF", True)
    for door, token in (("partner", await shop.seller()), ("brand", await shop.brand(0))):
        await refuses(api, "PaymentsOff", f"{door}/OnboardPayouts", token, **VISIT)
    day = {"from": "2026-11-01", "to": "2026-11-02"}
    answer = await api.run("finance/StripeBreaks", await api.token("finance"), **day)
    assert answer["data"]["finance"]["stripeBreaks"]["__typename"] == "PaymentsOff"


@pytest.mark.parametrize("how", ["429", "503", "reset_before", "reset_after"])
async def test_where_stripe_cannot_be_reached_it_is_asked_again(stripe: Fake, api: Api, how: str) -> None:
    buyer = await a_buyer(await a_shop(api))
    order = await buyer.places()
    stripe.fail("POST /v1/payment_intents", how)
    answer = await done(api, "shop/PayOrder", buyer.token, order=order["id"])
    assert (answer["__typename"], "again" in answer["message"]) == ("PaymentsOff", True)
    opened = await done(api, "shop/PayOrder", buyer.token, order=order["id"])
    (intent,) = stripe.rows("payment_intent")
    assert opened["clientSecret"] == intent["client_secret"]


# Refunds


async def requests(api: Api) -> Sequence[models.RefundRequest]:
    async with api.db.read() as session:
        return (await session.scalars(select(models.RefundRequest).order_by(models.RefundRequest.id))).all()


async def arrives(api: Api, stripe: Fake) -> None:
    """The refund that was asked for is sent, and Stripe tells that it has succeeded."""
    assert await jobs_done(api, "send_refund") == 1
    await told(api, stripe)


async def test_a_customer_has_a_unit_refunded_that_was_not_shipped(stripe: Fake, api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places()
    await pays(api, stripe, buyer, order)
    wanted = {"order": order["id"], "lines": [{"lineNo": 1, "quantity": 1}], "reason": "多买了"}
    asked = await done(api, "shop/RequestRefund", buyer.token, **wanted)
    assert len(api.statements) == 6, api.statements
    assert asked == {
        "id": encode("refund-request", *decode("refund-request", asked["id"], length=2)),
        "amount": {"amount": 4990, "currency": "CNY"},
        "state": "SENDING",
    }
    (request,) = await requests(api)
    assert request.lines == [{"line_no": 1, "quantity": 1, "amount": None, "goods_back": True, "brand_amount": 0}]
    seen = (await own(buyer, order))["lastRefund"]
    assert (seen["amount"]["amount"], seen["state"], seen["reason"]) == (4990, "SENDING", "多买了")
    await refuses(api, "WrongState", "shop/RequestRefund", buyer.token, **wanted)
    await arrives(api, stripe)
    seen = await own(buyer, order)
    assert (seen["refunded"]["amount"], seen["lastRefund"]["state"], seen["state"]) == (4990, "SUCCEEDED", "PAID")
    async with api.db.read() as session:
        line = (await session.scalars(select(models.OrderLine).where(models.OrderLine.line_no == 1))).one()
    assert (line.refunded, line.supply) == (4990, 1000), "the brand gives its part back"
    rest = {**wanted, "lines": [{"lineNo": 1}, {"lineNo": 2}]}
    assert (await done(api, "shop/RequestRefund", buyer.token, **rest))["amount"]["amount"] == 4990 + 3000
    await arrives(api, stripe)
    assert (await own(buyer, order))["refunded"]["amount"] == 12980
    await refuses(api, "WrongState", "shop/RequestRefund", buyer.token, **rest)
    found = await nodes(
        api,
        "operator/OrderMoney",
        await api.token("operator"),
        "operator",
        "order",
        "refunds",
        orderNo=order["orderNo"],
    )
    assert len(api.statements) == 4, api.statements
    assert [(it["amount"]["amount"], it["state"], it["reason"]) for it in found] == [
        (4990, "SUCCEEDED", "多买了"),
        (7990, "SUCCEEDED", "多买了"),
    ]
    assert all(it["reference"].startswith("re_") for it in found)
    await is_sound(api)


async def test_what_a_customer_cannot_have_refunded(stripe: Fake, api: Api) -> None:
    shop = await a_shop(api)
    buyer, other = await a_buyer(shop), await a_buyer(shop)
    order = await buyer.places()
    wanted = {"order": order["id"], "lines": [{"lineNo": 1, "quantity": 1}], "reason": "多买了"}

    async def refused(kind: str, token: str = buyer.token, **wrong: object) -> None:
        await refuses(api, kind, "shop/RequestRefund", token, **{**wanted, **wrong})

    await refused("WrongState")
    async with api.db.write() as session:
        await shopping.pay(session, order)
    await refused("WrongState")  # not through Stripe
    order = await buyer.places(shop.line(0, 2), shop.line(1), token="two")
    await pays(api, stripe, buyer, order)
    wanted["order"] = order["id"]
    await refused("NotFound", other.token)
    await refused("NotFound", order=encode("order", 10**9, 1))
    await refused("NotFound", lines=[{"lineNo": 3}])
    await refused("BadArgument", order="nonsense")
    await refused("BadArgument", lines=[])
    await refused("BadArgument", lines=[{"lineNo": 1, "quantity": 0}])
    await refused("BadArgument", lines=[{"lineNo": 1}, {"lineNo": 1, "quantity": 1}])
    for reason in ("", "  ", "\x01", "长" * 501):
        await refused("BadArgument", reason=reason)
    await refused("WrongState", lines=[{"lineNo": 1, "quantity": 3}])
    await refused("WrongState", lines=[{"lineNo": 2, "quantity": 2**62}])
    third = await buyer.places(shop.line(0), token="three")
    await pays(api, stripe, buyer, third)
    async with api.db.write() as session:
        await orders.complete(session, [(*key_of_order(third), datetime.now(UTC))], hold_days=7)
    await refused("WrongState", order=third["id"], lines=[{"lineNo": 1}])
    mine = (await shopping.supply_orders(shop, 1))[-1]
    await shopping.ships(shop, 1, {"supplyOrder": mine["id"], "carrier": "顺丰", "trackingNo": "SF1"})
    await refused("WrongState")


async def test_the_operator_refunds_whatever_has_come_of_the_order(stripe: Fake, api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places()
    await pays(api, stripe, buyer, order)
    await shopping.ships_all(shop, 0, 1)
    await done(api, "shop/ConfirmReceipt", buyer.token, order=order["id"])
    token = await api.token("operator")
    wanted = {"order": order["id"], "reason": "破损"}
    lines: list[Json] = [
        {"lineNo": 1, "amount": 990, "brandAmount": 500},
        {"lineNo": 2, "quantity": 1, "goodsBack": True},
    ]
    asked = await done(api, "operator/RefundOrder", token, **wanted, lines=lines)
    assert len(api.statements) == 6, api.statements
    assert (asked["amount"]["amount"], asked["state"]) == (3990, "SENDING")
    await arrives(api, stripe)
    async with api.db.read() as session:
        found = (await session.scalars(select(models.OrderLine).order_by(models.OrderLine.line_no))).all()
        account = (await session.scalars(select(models.Account).where(models.Account.role == "operator"))).one()
    assert [(it.refunded, it.supply) for it in found] == [(990, 1500), (3000, 0)]
    assert [it.account_id for it in await requests(api)] == [account.id]
    async with api.db.write() as session:
        at = (await session.scalars(select(models.Order.received_at))).one()
        assert at is not None
        await orders.complete(session, [(*key_of_order(order), at)], hold_days=7)
    asked = await done(api, "operator/RefundOrder", token, **wanted, lines=[{"lineNo": 1}])
    assert asked["amount"]["amount"] == 9980 - 990
    await arrives(api, stripe)
    assert (await own(buyer, order))["refunded"]["amount"] == 12980
    await is_sound(api)


async def test_what_the_operator_cannot_refund(stripe: Fake, api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places()
    token = await api.token("operator")

    async def refused(kind: str, *lines: Json, reason: str = "破损", name: str | None = None) -> None:
        name = name or order["id"]
        await refuses(api, kind, "operator/RefundOrder", token, order=name, lines=list(lines), reason=reason)

    await refused("WrongState", {"lineNo": 1})
    await pays(api, stripe, buyer, order)
    await refused("NotFound", {"lineNo": 1}, name=encode("order", 1, 10**9))
    await refused("BadArgument", {"lineNo": 1}, name=buyer.address)
    await refused("NotFound", {"lineNo": 3})
    await refused("BadArgument")
    await refused("BadArgument", {"lineNo": 1}, reason="")
    for wrong in (
        {"quantity": 1, "amount": 1},
        {"quantity": -1},
        {"amount": 0},
        {"amount": 1, "brandAmount": -1},
        {"quantity": 1, "brandAmount": 1},
        {"brandAmount": 1},
    ):
        await refused("BadArgument", {"lineNo": 1, **wrong})
    for wrong in ({"amount": 9981}, {"quantity": 3}, {"amount": 3000, "brandAmount": 2001}, {"amount": 2**62}):
        await refused("WrongState", {"lineNo": 1, **wrong})
    for role in ("finance", None):
        other = role and await api.token(role)
        answer = await api.run("operator/RefundOrder", other, order=order["id"], lines=[{"lineNo": 1}], reason="x")
        assert answer["errors"][0]["extensions"]["code"] == ("FORBIDDEN" if role else "UNAUTHENTICATED")
    await done(api, "operator/RefundOrder", token, order=order["id"], lines=[{"lineNo": 2}], reason="破损")
    await refused("WrongState", {"lineNo": 1})


async def test_what_cost_nothing_brings_nothing_back(stripe: Fake, api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    async with api.db.write() as session:
        gift = await factories.a_variant(session, supply_price=0, price=0, tier_costs=(0, 0, 0))
        await factories.a_listing(session, shop.store, gift.product_id, price=0, position=9)
    order = await buyer.places(shop.line(0), {"variant": encode("variant", gift.id), "quantity": 1})
    await pays(api, stripe, buyer, order)
    wanted = {"order": order["id"], "lines": [{"lineNo": 2}], "reason": "不要了"}
    await refuses(api, "BadArgument", "shop/RequestRefund", buyer.token, **wanted)
    both = await done(api, "shop/RequestRefund", buyer.token, **{**wanted, "lines": [{"lineNo": 1}, {"lineNo": 2}]})
    assert both["amount"]["amount"] == 4990


ASKED: list[RefundedLine] = [
    RefundedLine(1, quantity=1),
    RefundedLine(1, amount=1000),
    RefundedLine(1, quantity=1, goods_back=True),
    RefundedLine(1, amount=1, brand_amount=1),
    RefundedLine(1, quantity=2),
    RefundedLine(1, amount=2000, brand_amount=100),
    RefundedLine(1, amount=99_999),
    RefundedLine(1, quantity=4),
    RefundedLine(1),
    RefundedLine(1),
]


async def a_paid_order(session: AsyncSession) -> tuple[orders.OrderKey, datetime, int]:
    """Its key, when it was paid, and the id of the payment: three units for 9899 fen."""
    store = await factories.a_store(session)
    variant = await factories.a_variant(session, supply_price=1000)
    order = await factories.an_order(session, store, (variant, 3, 3333, 100))
    at = order.placed_at
    await orders.pay(session, [(order.branch_id, order.id, at)], rail="stripe")
    payment = models.Payment(
        branch_id=order.branch_id,
        order_id=order.id,
        method="intent",
        amount=9899,
        state="succeeded",
        intent_id="pi_1",
        created_at=at,
        succeeded_at=at,
    )
    session.add(payment)
    await session.flush()
    return (order.branch_id, order.id), at, payment.id


@pytest.mark.parametrize(
    "steps", [(0, 1, 2, 3, 4, 6, 7, 8, 9), (1, 5, 4, 2, 0, 8), (4, 1, 0, 2, 7, 8), (5, 5, 5, 8, 9)]
)
async def test_what_will_go_back_is_what_then_goes_back(session: AsyncSession, steps: tuple[int, ...]) -> None:
    """Refund after refund, what is asked for is refused or comes to the same as what is recorded."""
    key, at, payment_id = await a_paid_order(session)
    for number, step in enumerate(steps):
        before = await _refunded(session)
        refund = orders.Refund(*key, f"R{number}", at, [ASKED[step]])
        if isinstance(found := await _found(session, key, ASKED[step]), orders.Refundable):
            assert found.payment_id == payment_id
            await orders.refund(session, [refund._replace(lines=found.lines)])
            assert await _refunded(session) - before == found.amount > 0
            continue
        with pytest.raises(Refused) as refused:
            async with session.begin_nested():
                await orders.refund(session, [refund])
        assert type(refused.value.refusal) is type(found)
    assert await _refunded(session) > 0


async def test_the_last_unit_takes_all_that_is_left(session: AsyncSession) -> None:
    """A unit went for less, since little was left; then what had been refunded before it came back to us."""
    key, at, _ = await a_paid_order(session)
    for name, line in (("R1", RefundedLine(1, amount=9000)), ("R2", RefundedLine(1, quantity=1))):
        await orders.refund(session, [orders.Refund(*key, name, at, [line])])
    await orders.reverse_refunds(session, [("R1", at)])
    session.expire_all()
    assert await _refunded(session) == 899
    found = await orders.refund_amount(session, key, [RefundedLine(1, quantity=2)])
    assert found.amount == 9000
    await orders.refund(session, [orders.Refund(*key, "R3", at, found.lines)])
    assert await _refunded(session) == 9899


@pytest.mark.parametrize("state", ["sending", "sent"])
async def test_nothing_is_counted_while_a_refund_is_on_its_way(session: AsyncSession, state: str) -> None:
    key, at, payment_id = await a_paid_order(session)
    request = models.RefundRequest(
        branch_id=key[0],
        order_id=key[1],
        payment_id=payment_id,
        lines=[{"line_no": 1, "amount": 1}],
        amount=1,
        reason="破损",
        state=state,
        account_id=1,
        requested_at=at,
    )
    session.add(request)
    await session.flush()
    assert isinstance(await _found(session, key, RefundedLine(1)), WrongState)
    request.state = "failed"
    await session.flush()
    assert isinstance(await _found(session, key, RefundedLine(1)), orders.Refundable)


async def _found(session: AsyncSession, key: orders.OrderKey, line: RefundedLine) -> orders.Refundable | Refusal:
    try:
        return await orders.refund_amount(session, key, [line])
    except Refused as refused:
        return refused.refusal


async def _refunded(session: AsyncSession) -> int:
    return (await session.scalars(select(models.OrderLine.refunded))).one()
