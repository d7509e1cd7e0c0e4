"""The operations of ordering, shipping and paying on the sample network, at every door."""

from datetime import timedelta
from typing import Any

from s2b2c import stripe_events
from s2b2c.api.types.ids import encode
from tests import paying
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.operations import check
from tests.api.shopping import COMPANY, PERSON, Json
from tests.api.test_paying import BACK, VISIT, jobs_done
from tests.stripe_fake import Fake

SELLER = "ZJ-HZ"
STORE = "hangzhou"
HOME = {"recipient": "王小明", "phone": "+86 138 0000 1234", "region": "浙江省 杭州市 西湖区", "street": "文三路1号"}
DRAWN = {"token", "clientSecret", "url", "intentId", "reference", "code", "shareCode"}
STRIPE_BREAKS: dict[str, Any] = {"from": "2026-11-20", "to": "2026-11-22"}


async def told(api: Api, fake: Fake) -> None:
    for event in paying.all_events(fake):
        await paying.accepted(api.db, fake, event)
    async with api.db.write() as session:
        await stripe_events.handle_waiting(session, now=NOW, limit=100)


async def _seller(api: Api, code: str = SELLER) -> str:
    return await api.token("distributor", distributor=code)


async def _cart(api: Api) -> tuple[list[Json], list[str]]:
    """Two of the first thing that the store shows and one of another brand's, and the names of both brands."""
    answer = await api.run("shop/Storefront", slug=STORE, first=100)
    by_brand: dict[str, str] = {}
    for edge in answer["data"]["shop"]["store"]["listings"]["edges"]:
        for variant in edge["node"]["variants"]:
            if variant["inStock"]:
                by_brand.setdefault(edge["node"]["product"]["brand"]["name"], variant["id"])
    (first, one), (second, other), *_ = by_brand.items()
    return [{"variant": one, "quantity": 2}, {"variant": other, "quantity": 1}], [first, second]


async def _guest(api: Api) -> tuple[str, str]:
    """The token of a new customer, and its address."""
    token = (await api.run("shop/EnterAsGuest"))["data"]["enterAsGuest"]["token"]
    saved = await api.run("shop/SaveAddress", token, input=HOME)
    return token, saved["data"]["saveAddress"]["id"]


async def _order(api: Api, token: str, address: str, name: str = "one") -> Json:
    lines, _ = await _cart(api)
    wanted = {"store": encode("store", 1), "lines": lines, "address": address, "token": name}
    placed: Json = (await api.run("shop/PlaceOrder", token, input=wanted))["data"]["placeOrder"]
    return placed


async def _paid(api: Api, stripe: Fake, token: str, order: Json) -> None:
    stripe.set_clock(int(NOW.timestamp()))
    opened = await api.run("shop/PayOrder", token, order=order["id"])
    stripe.pay(opened["data"]["payOrder"]["clientSecret"])
    await told(api, stripe)


async def test_a_customer_that_was_imported(sample: Api) -> None:
    token = await sample.token("customer", customer="kh-32001")
    await check(sample, "shop/Me", token, statements=3, case="imported")
    found = await check(sample, "shop/Orders", token, first=2, lines=1, statements=3)
    (newest, *_) = found["data"]["shop"]["me"]["orders"]["edges"]
    answer = await sample.run("shop/Orders", token, first=100)
    assert len(sample.statements) == 3
    assert len(answer["data"]["shop"]["me"]["orders"]["edges"]) > 2
    await check(sample, "shop/Orders", token, state="CANCELLED", statements=2, case="none")
    await check(sample, "shop/Order", token, id=newest["node"]["id"], statements=4, case="imported")


async def test_the_orders_of_a_sellers_customers(sample: Api) -> None:
    token = await _seller(sample)
    await check(sample, "partner/Orders", token, first=2, lines=2, statements=4)
    answer = await sample.run("partner/Orders", token, first=100)
    assert len(answer["data"]["partner"]["orders"]["edges"]) > 50
    assert len(sample.statements) == 4


async def test_an_imported_order_for_those_who_run_things(sample: Api) -> None:
    number: dict[str, Any] = {"orderNo": "SO26103103489"}
    operator, finance = await sample.token("operator"), await sample.token("finance")
    await check(sample, "operator/Order", operator, **number, statements=4, case="imported")
    await check(sample, "operator/OrderMoney", operator, **number, statements=4, case="imported")
    await check(sample, "finance/Payments", finance, **number, statements=2, case="imported")


async def test_becoming_a_customer(own_sample: Api) -> None:
    entered = await check(own_sample, "shop/EnterAsGuest", statements=3, drawn=DRAWN)
    token = entered["data"]["enterAsGuest"]["token"]
    saved = await check(own_sample, "shop/SaveAddress", token, input=HOME, statements=3)
    shared = await check(
        own_sample, "partner/Share", await _seller(own_sample), store=encode("store", 1), statements=3, drawn=DRAWN
    )
    code = shared["data"]["share"]["code"]
    await check(own_sample, "shop/Visit", token, slug=STORE, share=code, statements=3)
    await check(own_sample, "shop/Me", token, statements=3)
    address = saved["data"]["saveAddress"]["id"]
    for number in range(3):
        await own_sample.run("shop/SaveAddress", token, input={**HOME, "street": f"文三路{number}号"})
    await own_sample.run("shop/Me", token, first=100)
    assert len(own_sample.statements) == 3
    await check(own_sample, "shop/RemoveAddress", token, id=address, statements=2)


async def test_customers_and_those_that_two_wanted(own_sample: Api) -> None:
    seller, rival = await _seller(own_sample), await _seller(own_sample, "ZJ-HZ-01")
    slug = (await own_sample.run("partner/Me", rival))["data"]["partner"]["stores"]["edges"][0]["node"]["slug"]
    for number in range(3):
        token, address = await _guest(own_sample)
        await _order(own_sample, token, address)
        for _ in range(number):
            await own_sample.run("shop/Visit", token, slug=slug)
    for side, who in (("REFUSED", rival), ("HELD", seller)):
        await check(own_sample, "partner/RefusedTouches", who, side=side, first=2, statements=3, case=side.lower())
        await own_sample.run("partner/RefusedTouches", who, side=side, first=100)
        assert len(own_sample.statements) == 3
    await check(own_sample, "partner/Customers", seller, first=2, statements=3)
    await own_sample.run("partner/Customers", seller, first=100)
    assert len(own_sample.statements) == 3


async def test_from_the_cart_to_the_order(own_sample: Api) -> None:
    token, address = await _guest(own_sample)
    lines, _ = await _cart(own_sample)
    await check(own_sample, "shop/Cart", None, store=encode("store", 1), lines=lines, statements=1)
    wanted = {"store": encode("store", 1), "lines": lines, "address": address, "token": "one"}
    placed = await check(own_sample, "shop/PlaceOrder", token, input=wanted, statements=5, most=5)
    short = {**wanted, "token": "two", "lines": [{**lines[0], "quantity": 9999}]}
    await check(own_sample, "shop/PlaceOrder", token, input=short, statements=4, case="out-of-stock")
    order = placed["data"]["placeOrder"]["id"]
    await check(own_sample, "shop/CancelOrder", token, order=order, statements=5, most=5)


async def test_paid_on_a_page_of_stripes(stripe: Fake, own_sample: Api) -> None:
    token, address = await _guest(own_sample)
    order = await _order(own_sample, token, address)
    stripe.set_clock(int(NOW.timestamp()))
    wanted = {"order": order["id"], "method": "CHECKOUT", **BACK}
    await check(own_sample, "shop/PayOrder", token, **wanted, statements=5, most=5, drawn=DRAWN, case="checkout")


async def test_an_order_from_payment_to_receipt(stripe: Fake, own_sample: Api) -> None:
    token, address = await _guest(own_sample)
    _, brands = await _cart(own_sample)
    order = await _order(own_sample, token, address)
    stripe.set_clock(int(NOW.timestamp()))
    opened = await check(own_sample, "shop/PayOrder", token, order=order["id"], statements=5, most=5, drawn=DRAWN)
    stripe.pay(opened["data"]["payOrder"]["clientSecret"])
    await told(own_sample, stripe)
    asked = {"order": order["id"], "lines": [{"lineNo": 1, "quantity": 1}], "reason": "多买了"}
    await check(own_sample, "shop/RequestRefund", token, **asked, statements=6, most=6)
    assert await jobs_done(own_sample, "send_refund") == 1
    await told(own_sample, stripe)
    for number, brand in enumerate(brands):
        maker = await own_sample.token("brand", brand=brand)
        waiting = await check(own_sample, "brand/SupplyOrders", maker, statements=4, case=f"brand-{number + 1}")
        (edge,) = waiting["data"]["brand"]["supplyOrders"]["edges"]
        parcel = {"supplyOrder": edge["node"]["id"], "carrier": "顺丰", "trackingNo": f"SF{number}"}
        await check(
            own_sample, "brand/ShipParcels", maker, parcels=[parcel], statements=5, most=5, case=f"brand-{number + 1}"
        )
    await check(own_sample, "brand/SupplyOrders", maker, state="SHIPPED", statements=4, case="shipped")
    await check(own_sample, "shop/Order", token, id=order["id"], statements=4)
    await check(own_sample, "shop/ConfirmReceipt", token, order=order["id"], statements=4)
    operator = await own_sample.token("operator")
    number_: dict[str, Any] = {"orderNo": order["orderNo"]}
    refund = {"order": order["id"], "lines": [{"lineNo": 2, "amount": 100, "brandAmount": 50}], "reason": "破损"}
    await check(own_sample, "operator/RefundOrder", operator, **refund, statements=6, most=6)
    await check(own_sample, "operator/Order", operator, **number_, statements=4)
    await check(own_sample, "operator/OrderMoney", operator, **number_, statements=4, drawn=DRAWN)
    finance = await own_sample.token("finance")
    await check(own_sample, "finance/Payments", finance, **number_, statements=2, drawn=DRAWN)
    await check(own_sample, "finance/StripeBreaks", finance, **STRIPE_BREAKS, statements=10, most=10)


async def test_many_supply_orders(stripe: Fake, own_sample: Api) -> None:
    token, address = await _guest(own_sample)
    _, (brand, _) = await _cart(own_sample)
    for number in range(3):
        await _paid(own_sample, stripe, token, await _order(own_sample, token, address, str(number)))
    maker = await own_sample.token("brand", brand=brand)
    counts: list[tuple[int, int]] = []
    for first in (1, 100):
        answer: Any = await own_sample.run("brand/SupplyOrders", maker, first=first)
        counts.append((len(answer["data"]["brand"]["supplyOrders"]["edges"]), len(own_sample.statements)))
    assert counts == [(1, 4), (3, 4)]


async def test_stripe_breaks_without_stripe(sample: Api) -> None:
    finance = await sample.token("finance")
    await check(sample, "finance/StripeBreaks", finance, **STRIPE_BREAKS, statements=1, case="off")


async def test_where_the_money_goes(stripe: Fake, own_sample: Api) -> None:
    stripe.set_clock(int((NOW - timedelta(days=1)).timestamp()))
    brand = await own_sample.token("brand", brand="澄露原述")
    for door, token in (("partner", await _seller(own_sample)), ("brand", brand)):
        await check(own_sample, f"{door}/PayoutAccount", token, statements=2, case="none")
        await check(own_sample, f"{door}/OnboardPayouts", token, **VISIT, statements=5, most=5, drawn=DRAWN)
        await check(own_sample, f"{door}/PayoutAccount", token, statements=2)


async def test_to_whom_the_money_goes(own_sample: Api) -> None:
    brand = await own_sample.token("brand", brand="澄露原述")
    for door, token, payee in (("partner", await _seller(own_sample), PERSON), ("brand", brand, COMPANY)):
        await check(own_sample, f"{door}/Payee", token, statements=2, case="none")
        await check(own_sample, f"{door}/SetPayee", token, input=payee, statements=2)
        await check(own_sample, f"{door}/Payee", token, statements=2)
