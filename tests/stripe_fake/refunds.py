"""Refunds, which the customer's bank may still fail, and disputes, which the customer opens at the bank."""

from tests.stripe_fake.errors import StripeRefusal, not_covered
from tests.stripe_fake.lists import Call, Operations, listing, retrieving
from tests.stripe_fake.schema import Json
from tests.stripe_fake.world import DAY_S, Account, change, fields_of

_EVIDENCE_DAYS = 9
_UNREFUNDABLE = {"needs_response", "under_review", "lost"}


def _create(call: Call) -> Json:
    account, params = call.account, call.params
    charge = _charge(account, params)
    for name in ("refund_application_fee", "reverse_transfer", "origin"):
        if params.get(name):
            raise not_covered(name, name)
    amount = _amount(account, charge, params)
    refund = account.add(
        "refund",
        **fields_of("refund", params)
        | {"amount": amount, "charge": charge["id"], "payment_intent": charge["payment_intent"]}
        | {"currency": charge["currency"], "status": account.world.settings.refund_status},
    )
    refund["balance_transaction"] = account.book("refund", -amount, refund)["id"]
    _returned(charge, amount)
    account.emit("refund.created", refund)
    account.emit("charge.refunded", charge)
    return refund


def _charge(account: Account, params: Json) -> Json:
    if "charge" in params:
        return account.find("charge", params["charge"], param="charge", status=400)
    if "payment_intent" not in params:
        raise StripeRefusal(400, "One of the following params should be provided: payment_intent or charge.")
    intent = account.find("payment_intent", params["payment_intent"], param="payment_intent", status=400)
    if intent["latest_charge"] is None:
        raise StripeRefusal(400, f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
    return account.find("charge", intent["latest_charge"])


def _amount(account: Account, charge: Json, params: Json) -> int:
    """What to refund, in fen; all that is left where the request does not say."""
    left: int = charge["amount_captured"] - charge["amount_refunded"]
    disputes = account.objects["dispute"].values()
    if charge["status"] != "succeeded":
        raise StripeRefusal(400, f"Charge {charge['id']} has not been paid.", code="charge_not_refundable")
    if left == 0:
        raise StripeRefusal(400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if any(dispute["charge"] == charge["id"] and dispute["status"] in _UNREFUNDABLE for dispute in disputes):
        raise StripeRefusal(400, f"Charge {charge['id']} has been charged back.", code="charge_disputed")
    amount: int = params.get("amount", left)
    if amount < 1:
        told = "This value must be greater than or equal to 1."
        raise StripeRefusal(400, told, code="parameter_invalid_integer", param="amount")
    if amount > left:
        told = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise StripeRefusal(400, told, param="amount")
    return amount


def _returned(charge: Json, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]


def finish(account: Account, refund: Json, status: str, reason: str) -> Json:
    """A pending refund succeeds or fails; one that succeeded may fail later, and what failed goes back into the balance."""
    was = refund["status"]
    if (was, status) not in {("pending", "succeeded"), ("pending", "failed"), ("succeeded", "failed")}:
        raise StripeRefusal(400, f"A refund that is {was} does not become {status}.", param="status")
    refund["status"] = status
    if status == "failed":
        back = account.book("refund_failure", refund["amount"], refund)
        refund.update(failure_balance_transaction=back["id"], failure_reason=reason)
        _returned(account.find("charge", refund["charge"]), -refund["amount"])
        account.emit("refund.failed", refund, status=was)
    account.emit("refund.updated", refund, status=was)
    account.emit("charge.refund.updated", refund, status=was)
    return refund


def _update(call: Call) -> Json:
    refund = call.account.find("refund", call.path["refund"])
    if was := change(refund, call.params):
        call.account.emit("refund.updated", refund, **was)
    return refund


def dispute(account: Account, charge: Json, amount: int | None, reason: str) -> Json:
    """The bank takes the money back, and a fee, until the dispute is decided."""
    if charge["status"] != "succeeded" or charge["disputed"]:
        raise StripeRefusal(400, f"Charge {charge['id']} cannot be disputed (again).", param="charge")
    now = account.world.now()
    opened = account.add(
        "dispute",
        amount=charge["amount"] if amount is None else amount,
        charge=charge["id"],
        currency=charge["currency"],
        payment_intent=charge["payment_intent"],
        reason=reason,
    )
    opened["evidence_details"]["due_by"] = now + _EVIDENCE_DAYS * DAY_S
    fee = account.world.settings.dispute_fee_fen
    taken = account.book("adjustment", -opened["amount"], opened, category="dispute", fee=fee)
    opened["balance_transactions"].append(account.shown(taken))
    charge["disputed"] = True
    account.emit("charge.dispute.created", opened)
    account.emit("charge.dispute.funds_withdrawn", opened)
    return opened


def decide(account: Account, opened: Json, status: str) -> Json:
    """`won`: the amount comes back, the fee does not; `lost`: nothing does."""
    if opened["status"] not in {"needs_response", "under_review"} or status not in {"won", "lost"}:
        raise StripeRefusal(400, f"A dispute that is {opened['status']} does not become {status}.", param="status")
    was, opened["status"] = opened["status"], status
    if status == "won":
        back = account.book("adjustment", opened["amount"], opened, category="dispute_reversal")
        opened["balance_transactions"].append(account.shown(back))
        account.emit("charge.dispute.funds_reinstated", opened)
    account.emit("charge.dispute.closed", opened, status=was)
    return opened


OPERATIONS: Operations = {
    "GET /v1/disputes": listing("dispute", "/v1/disputes"),
    "GET /v1/refunds": listing("refund", "/v1/refunds"),
    "GET /v1/refunds/{refund}": retrieving("refund", "refund"),
    "POST /v1/refunds": _create,
    "POST /v1/refunds/{refund}": _update,
}
