"""Checkout sessions: a page of this stand-in where the customer pays."""

from tests.stripe_fake import payments
from tests.stripe_fake.errors import StripeRefusal, not_covered
from tests.stripe_fake.lists import Call, Operations, listing, retrieving
from tests.stripe_fake.schema import Json
from tests.stripe_fake.world import DAY_S, Account, World, fields_of

_SHORTEST_S, _LONGEST_S = 1_800, DAY_S


def _create(call: Call) -> Json:
    account, params = call.account, call.params
    if params.get("mode", "payment") != "payment":
        raise not_covered("this mode", "mode")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise not_covered("this ui_mode", "ui_mode")
    for name in ("mode", "line_items", "success_url"):
        if not params.get(name):
            raise StripeRefusal(400, f"Missing required param: {name}.", code="parameter_missing", param=name)
    if "customer" in params:
        account.find("customer", params["customer"], param="customer", status=400)
    items = [_item(account, place, item) for place, item in enumerate(params["line_items"])]
    currencies = {item["currency"] for item in items}
    if len(currencies) > 1:
        raise StripeRefusal(400, "All line items must have the same currency.", param="line_items")
    total = sum(item["amount_total"] for item in items)
    payments.check_amount(total)
    session = account.add(
        "checkout.session",
        **fields_of("checkout.session", params)
        | {"amount_subtotal": total, "amount_total": total, "currency": currencies.pop()}
        | {"expires_at": _expires_at(account.world, params)},
    )
    session["url"] = f"{account.world.url}/pay/{session['id']}"
    account.aside[session["id"]] = {"intent": params.get("payment_intent_data", {}), "line_items": items}
    return session


def _item(account: Account, place: int, item: Json) -> Json:
    where = f"line_items[{place}]"
    price, quantity = item.get("price_data"), item.get("quantity", 1)
    if price is None:
        raise not_covered("stored prices", f"{where}[price]")
    if "unit_amount" not in price:
        raise not_covered("prices without unit_amount", f"{where}[price_data]")
    if price["unit_amount"] < 0 or quantity < 1:
        raise StripeRefusal(400, "A line item needs an amount and a quantity.", param=where)
    payments.check_currency(price["currency"])
    total = price["unit_amount"] * quantity
    return {
        "id": account.world.new_id("li"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": price["currency"],
        "description": price.get("product_data", {}).get("name"),
        "quantity": quantity,
    }


def _expires_at(world: World, params: Json) -> int:
    now = world.now()
    expires_at: int = params.get("expires_at", now + _LONGEST_S)
    if not now + _SHORTEST_S <= expires_at <= now + _LONGEST_S:
        told = "The expires_at timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise StripeRefusal(400, told, param="expires_at")
    return expires_at


def complete(account: Account, session: Json) -> Json:
    """The customer pays on the page."""
    intent = _intent(account, session)
    payments.pay(account, intent)
    session.update(
        customer_details={"address": None, "email": session["customer_email"] or "customer@example.com", "name": None},
        payment_status="paid",
        status="complete",
        url=None,
    )
    account.emit("checkout.session.completed", session)
    return session


def decline(account: Account, session: Json, *, code: str, decline_code: str) -> Json:
    """The bank says no; the page stays open for another card."""
    payments.decline(account, _intent(account, session), code=code, decline_code=decline_code)
    return session


def _intent(account: Account, session: Json) -> Json:
    """The PaymentIntent of a session; it is not made before the customer first tries to pay."""
    if session["status"] != "open":
        raise _not_open(session, "paid")
    if session["payment_intent"] is None:
        amounts = {"amount": session["amount_total"], "currency": session["currency"]}
        known = {"customer": session["customer"]} if session["customer"] else {}
        intent = payments.create_intent(account, amounts | known | account.aside[session["id"]]["intent"])
        session["payment_intent"] = intent["id"]
    return account.find("payment_intent", session["payment_intent"])


def expire(account: Account, session: Json) -> Json:
    if session["status"] != "open":
        raise _not_open(session, "expired")
    session.update(status="expired", url=None)
    account.emit("checkout.session.expired", session)
    return session


def expire_due(world: World) -> None:
    """What Stripe does by itself as time goes by."""
    now = world.now()
    for account in world.accounts.values():
        for session in account.objects["checkout.session"].values():
            if session["status"] == "open" and session["expires_at"] <= now:
                expire(account, session)


def _not_open(session: Json, deed: str) -> StripeRefusal:
    told = f"Only an open Checkout Session can be {deed}; this one has a status of {session['status']}."
    return StripeRefusal(400, told, param="session")


def _expire(call: Call) -> Json:
    return expire(call.account, call.account.find("checkout.session", call.path["session"], param="session"))


def _wanted(row: Json, params: Json) -> bool:
    wanted = dict(params)
    details = wanted.pop("customer_details", None)
    same_email = details is None or (row["customer_details"] or {}).get("email") == details["email"]
    return same_email and all(row.get(name) == value for name, value in wanted.items())


OPERATIONS: Operations = {
    "GET /v1/checkout/sessions": listing("checkout.session", "/v1/checkout/sessions", _wanted),
    "GET /v1/checkout/sessions/{session}": retrieving("checkout.session", "session"),
    "POST /v1/checkout/sessions": _create,
    "POST /v1/checkout/sessions/{session}/expire": _expire,
}
