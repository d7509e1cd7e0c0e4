"""PaymentIntents, and the charges that paying or failing to pay them makes."""

from typing import Any

from tests.stripe_fake.errors import StripeRefusal, not_covered
from tests.stripe_fake.lists import Call, Operations, listing, retrieving
from tests.stripe_fake.schema import Json
from tests.stripe_fake.world import DAY_S, Account, change, fields_of

_MOST = 99_999_999
_DECLINED_CARDS = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
}
_OPEN = {"requires_payment_method", "requires_confirmation", "requires_action"}
_NOT_COVERED = ("transfer_data", "application_fee_amount", "on_behalf_of", "payment_method_data", "confirmation_token")
_DESCRIPTIVE = {"description", "expand", "metadata", "receipt_email", "shipping", "transfer_group"}
"""What may still be changed when an intent is paid or canceled."""


def create_intent(account: Account, params: Json) -> Json:
    """A PaymentIntent that waits for a payment method or, where it is given one, for confirmation."""
    _check(account, params)
    intent = account.add("payment_intent", **fields_of("payment_intent", params))
    intent["client_secret"] = f"{intent['id']}_secret_{account.world.new_id('x')[2:]}"
    if intent["payment_method"]:
        intent["status"] = "requires_confirmation"
    if "payment_method_types" not in params:
        intent["automatic_payment_methods"] = {"allow_redirects": "always", "enabled": True}
    account.emit("payment_intent.created", intent)
    return intent


def _check(account: Account, params: Json) -> None:
    for name in _NOT_COVERED:
        if name in params:
            raise not_covered(name, name)
    if params.get("capture_method") == "manual":
        raise not_covered("manual capture", "capture_method")
    if "currency" in params:
        check_currency(params["currency"])
    if "amount" in params:
        check_amount(params["amount"])
    if "customer" in params:
        account.find("customer", params["customer"], param="customer", status=400)


def check_amount(amount: int) -> None:
    if amount < 1:
        told = "This value must be greater than or equal to 1."
        raise StripeRefusal(400, told, code="parameter_invalid_integer", param="amount")
    if amount > _MOST:
        raise StripeRefusal(400, f"The amount can be {_MOST} at most", code="amount_too_large", param="amount")


def check_currency(currency: str) -> None:
    if not (len(currency) == 3 and currency.isascii() and currency.islower()):
        raise StripeRefusal(400, f"Invalid currency: {currency}", param="currency")


def pay(account: Account, intent: Json) -> Json:
    """The customer pays: a charge, its movement of the balance, and the intent is `succeeded`."""
    check_open(intent, "pay")
    settings = account.world.settings
    amount = intent["amount"]
    charge = _charge(account, intent, amount_captured=amount, captured=True, paid=True, status="succeeded")
    fee = (amount * settings.fee_bps + 5_000) // 10_000 + settings.fee_fixed_fen
    available_on = account.world.now() + settings.available_after_days * DAY_S
    charge["balance_transaction"] = account.book("charge", amount, charge, fee=fee, available_on=available_on)["id"]
    intent.update(
        amount_received=amount,
        last_payment_error=None,
        latest_charge=charge["id"],
        payment_method=charge["payment_method"],
        status="succeeded",
    )
    account.emit("charge.succeeded", charge)
    account.emit("payment_intent.succeeded", intent)
    return intent


def decline(account: Account, intent: Json, *, code: str, decline_code: str) -> StripeRefusal:
    """The bank says no: a failed charge, and the intent waits for another payment method; returns what to answer."""
    check_open(intent, "pay")
    told = "Your card was declined."
    outcome = {"network_status": "declined_by_network", "reason": decline_code, "type": "issuer_declined"}
    charge = _charge(account, intent, failure_code=code, failure_message=told, paid=False, status="failed")
    charge["outcome"] = charge["outcome"] | outcome
    error = {"charge": charge["id"], "code": code, "decline_code": decline_code, "message": told, "type": "card_error"}
    intent.update(
        last_payment_error=error,
        latest_charge=charge["id"],
        payment_method=None,
        status="requires_payment_method",
    )
    account.emit("charge.failed", charge)
    account.emit("payment_intent.payment_failed", intent)
    more = {"charge": charge["id"], "decline_code": decline_code, "payment_intent": account.shown(intent)}
    return StripeRefusal(402, told, kind="card_error", code=code, **more)


def _charge(account: Account, intent: Json, **fields: Any) -> Json:
    same = ("amount", "currency", "customer", "description", "receipt_email", "shipping", "transfer_group")
    return account.add(
        "charge",
        **{name: intent[name] for name in same},
        metadata=dict(intent["metadata"]),
        payment_intent=intent["id"],
        payment_method=intent["payment_method"] or account.world.new_id("pm"),
        **fields,
    )


def check_open(intent: Json, deed: str) -> None:
    if intent["status"] not in _OPEN:
        raise unexpected_state(intent, deed)


def unexpected_state(intent: Json, deed: str) -> StripeRefusal:
    told = f"You cannot {deed} this PaymentIntent because it has a status of {intent['status']}."
    return StripeRefusal(400, told, code="payment_intent_unexpected_state", payment_intent=dict(intent))


def _found(call: Call) -> Json:
    return call.account.find("payment_intent", call.path["intent"], param="intent")


def _create(call: Call) -> Json:
    intent = create_intent(call.account, call.params)
    return _confirmed(call.account, intent) if call.params.get("confirm") else intent


def _update(call: Call) -> Json:
    intent = _found(call)
    if not call.params.keys() <= _DESCRIPTIVE:
        check_open(intent, "update")
    _check(call.account, call.params)
    change(intent, call.params)
    if intent["status"] in _OPEN:
        intent["status"] = "requires_confirmation" if intent["payment_method"] else "requires_payment_method"
    return intent


def _confirm(call: Call) -> Json:
    intent = _found(call)
    check_open(intent, "confirm")
    _check(call.account, call.params)
    change(intent, call.params)
    return _confirmed(call.account, intent)


def _confirmed(account: Account, intent: Json) -> Json:
    method = intent["payment_method"]
    if method is None:
        told = "You cannot confirm this PaymentIntent because it is missing a payment method."
        raise StripeRefusal(400, told, code="payment_intent_unexpected_state", payment_intent=dict(intent))
    if method in _DECLINED_CARDS:
        code, decline_code = _DECLINED_CARDS[method]
        raise decline(account, intent, code=code, decline_code=decline_code)
    return pay(account, intent)


def _cancel(call: Call) -> Json:
    intent = _found(call)
    check_open(intent, "cancel")
    intent.update(
        canceled_at=call.account.world.now(),
        cancellation_reason=call.params.get("cancellation_reason"),
        status="canceled",
    )
    call.account.emit("payment_intent.canceled", intent)
    return intent


def _capture(call: Call) -> Json:
    raise unexpected_state(_found(call), "capture")


OPERATIONS: Operations = {
    "GET /v1/charges": listing("charge", "/v1/charges"),
    "GET /v1/charges/{charge}": retrieving("charge", "charge"),
    "GET /v1/payment_intents": listing("payment_intent", "/v1/payment_intents"),
    "GET /v1/payment_intents/{intent}": retrieving("payment_intent", "intent"),
    "POST /v1/payment_intents": _create,
    "POST /v1/payment_intents/{intent}": _update,
    "POST /v1/payment_intents/{intent}/cancel": _cancel,
    "POST /v1/payment_intents/{intent}/capture": _capture,
    "POST /v1/payment_intents/{intent}/confirm": _confirm,
}
