"""The balance of an account, its movements, and the payouts that empty it."""

from collections import Counter
from typing import Any

from tests.stripe_fake.connect import no_funds
from tests.stripe_fake.errors import StripeRefusal
from tests.stripe_fake.lists import Call, Operations, listing, page, retrieving
from tests.stripe_fake.payments import check_amount, check_currency
from tests.stripe_fake.schema import Json
from tests.stripe_fake.world import DAY_S, Account, change, fields_of

_ARRIVES_AFTER_DAYS = 2


def _balance(call: Call) -> Json:
    now = call.account.world.now()
    sums = {"available": Counter({"cny": 0}), "pending": Counter({"cny": 0})}
    for row in call.account.objects["balance_transaction"].values():
        sums["available" if row["available_on"] <= now else "pending"][row["currency"]] += row["net"]
    shown = {
        name: [{"amount": sum_, "currency": currency, "source_types": {"card": sum_}} for currency, sum_ in by.items()]
        for name, by in sums.items()
    }
    return {"object": "balance", "livemode": False} | shown


def _movements(call: Call) -> Json:
    account = call.account
    if "payout" not in call.params:
        return page(call, list(account.objects["balance_transaction"].values()), "/v1/balance_transactions")
    payout = account.find("payout", call.params["payout"], param="payout", status=400)
    if not payout["automatic"]:
        told = "Balance transaction history can only be filtered on automatic payouts, not on manual ones."
        raise StripeRefusal(400, told, param="payout")
    rows = [account.find("balance_transaction", key) for key in account.aside[payout["id"]]]
    others = {name: value for name, value in call.params.items() if name != "payout"}
    return page(call._replace(params=others), rows, "/v1/balance_transactions")


def _create_payout(call: Call) -> Json:
    account, params = call.account, call.params
    check_amount(params["amount"])
    check_currency(params["currency"])
    if account.world.settings.checks_balance and params["amount"] > account.available(params["currency"]):
        raise no_funds()
    return _payout(account, **fields_of("payout", params))


def pay_out(account: Account, currency: str) -> Json:
    """An automatic payout of all that is available and in no such payout yet."""
    now, movements = account.world.now(), account.objects["balance_transaction"]
    paid_out = {key for payout in account.objects["payout"] for key in account.aside.get(payout, ())}
    rows = [
        row
        for key, row in movements.items()
        if row["available_on"] <= now and row["currency"] == currency and key not in paid_out
    ]
    amount = sum(row["net"] for row in rows)
    if amount < 1:
        raise no_funds()
    payout = _payout(account, amount=amount, automatic=True, currency=currency, reconciliation_status="completed")
    account.aside[payout["id"]] = [*(row["id"] for row in rows), payout["balance_transaction"]]
    return payout


def _payout(account: Account, **fields: Any) -> Json:
    arrives_on = account.world.now() + _ARRIVES_AFTER_DAYS * DAY_S
    blank: Json = {"arrival_date": arrives_on, "destination": "ba_stand_in"}
    payout = account.add("payout", **blank | fields)
    payout["balance_transaction"] = account.book("payout", -payout["amount"], payout)["id"]
    account.emit("payout.created", payout)
    return payout


def finish_payout(account: Account, payout: Json, status: str) -> Json:
    """The bank takes it (`paid`) or sends it back (`failed`)."""
    if (payout["status"], status) not in {("pending", "paid"), ("pending", "failed"), ("paid", "failed")}:
        raise StripeRefusal(400, f"A payout that is {payout['status']} does not become {status}.", param="status")
    was, payout["status"] = payout["status"], status
    if status == "failed":
        back = account.book("payout_failure", payout["amount"], payout, category="payout_reversal")
        payout.update(failure_balance_transaction=back["id"], failure_code="account_closed")
    account.emit(f"payout.{status}", payout, status=was)
    return payout


def _update_payout(call: Call) -> Json:
    payout = call.account.find("payout", call.path["payout"])
    if was := change(payout, call.params):
        call.account.emit("payout.updated", payout, **was)
    return payout


OPERATIONS: Operations = {
    "GET /v1/balance": _balance,
    "GET /v1/balance_transactions": _movements,
    "GET /v1/payouts": listing("payout", "/v1/payouts"),
    "GET /v1/payouts/{payout}": retrieving("payout", "payout"),
    "POST /v1/payouts": _create_payout,
    "POST /v1/payouts/{payout}": _update_payout,
}
