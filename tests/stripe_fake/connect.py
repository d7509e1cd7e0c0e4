"""Connected accounts, what they may do, and the money that the platform transfers to them."""

from typing import Any

from tests.stripe_fake.errors import StripeRefusal
from tests.stripe_fake.lists import Call, Operations, listing, page, retrieving
from tests.stripe_fake.payments import check_amount, check_currency
from tests.stripe_fake.schema import Json
from tests.stripe_fake.world import Account, World, change, fields_of

_LINK_LASTS_S = 300
_STATUSES = {"active", "inactive", "pending"}


def _create_account(call: Call) -> Json:
    world, params = call.account.world, call.params
    fields = fields_of("account", params)
    if "controller" in params:
        fields |= {"controller": {"type": "application"} | params["controller"], "type": params.get("type", "none")}
    account = world.connect(**fields | {"capabilities": _requested(world, {}, params)})
    account["external_accounts"]["url"] = f"/v1/accounts/{account['id']}/external_accounts"
    return account


def _requested(world: World, has: Json, params: Json) -> Json:
    """What the account can do; a capability that is asked for starts as the settings say."""
    wanted = params.get("capabilities", {})
    kept = {name: status for name, status in has.items() if wanted.get(name, {}).get("requested", True)}
    asked = [name for name, how in wanted.items() if how.get("requested") and name not in kept]
    return kept | dict.fromkeys(asked, world.settings.capability_status)


def _account(call: Call) -> Json:
    world = call.account.world
    world.account(call.path["account"])
    return world.platform.find("account", call.path["account"])


def _update_account(call: Call) -> Json:
    account, world = _account(call), call.account.world
    now_has = {"capabilities": _requested(world, account["capabilities"], call.params)}
    business = account["business_profile"] | call.params.get("business_profile", {})
    if was := change(account, call.params | now_has | {"business_profile": business}):
        world.account(account["id"]).emit("account.updated", account, **was)
    return account


def _delete_account(call: Call) -> Json:
    account, world = _account(call), call.account.world
    del world.platform.objects["account"][account["id"]]
    del world.accounts[account["id"]]
    return {"id": account["id"], "object": "account", "deleted": True}


def set_capability(world: World, key: str, name: str, status: str) -> Json:
    """What Stripe decides once it knows enough, or too little, about the people behind an account."""
    if status not in _STATUSES:
        raise StripeRefusal(400, f"A capability is one of {', '.join(sorted(_STATUSES))}", param="status")
    account = world.platform.find("account", key)
    was = account["capabilities"]
    account["capabilities"] = was | {name: status}
    able = "active" in account["capabilities"].values()
    account.update(
        charges_enabled=account["capabilities"].get("card_payments") == "active",
        details_submitted=account["details_submitted"] or able,
        payouts_enabled=able,
    )
    account["requirements"] = account["requirements"] | {"disabled_reason": None if able else "requirements.past_due"}
    world.account(key).emit("account.updated", account, capabilities=was)
    return account


def _create_link(call: Call) -> Json:
    world, params = call.account.world, call.params
    world.account(params["account"])
    for name in ("refresh_url", "return_url"):
        if name not in params:
            raise StripeRefusal(400, f"Missing required param: {name}.", code="parameter_missing", param=name)
    world.platform.aside[params["account"]] = {"return_url": params["return_url"]}
    return {
        "object": "account_link",
        "created": world.now(),
        "expires_at": world.now() + _LINK_LASTS_S,
        "url": f"{world.url}/onboard/{params['account']}",
    }


def no_funds() -> StripeRefusal:
    return StripeRefusal(400, "There are insufficient available funds in the account.", code="balance_insufficient")


def _create_transfer(call: Call) -> Json:
    account, params = call.account, call.params
    source = _source(account, params)
    if "amount" not in params and source is None:
        raise StripeRefusal(400, "Missing required param: amount.", code="parameter_missing", param="amount")
    amount: int = (params if "amount" in params or source is None else source)["amount"]
    check_amount(amount)
    check_currency(params["currency"])
    if source and _transferred(account, source) + amount > source["amount"]:
        raise StripeRefusal(400, "The source_transaction does not have that much left to transfer.", param="amount")
    destination = _destination(account.world, params["destination"])
    if source is None and account.world.settings.checks_balance and amount > account.available(params["currency"]):
        raise no_funds()
    transfer = account.add("transfer", **fields_of("transfer", params) | {"amount": amount})
    transfer["reversals"]["url"] = f"/v1/transfers/{transfer['id']}/reversals"
    if source and transfer["transfer_group"] is None:
        transfer["transfer_group"] = source["transfer_group"] or f"group_{source['payment_intent'] or source['id']}"
    available_on = _available_on(account, source)
    transfer["balance_transaction"] = account.book("transfer", -amount, transfer, available_on=available_on)["id"]
    transfer["destination_payment"] = _payment(destination, transfer, available_on)["id"]
    account.emit("transfer.created", transfer)
    return transfer


def _source(account: Account, params: Json) -> Json | None:
    if "source_transaction" not in params:
        return None
    return account.find("charge", params["source_transaction"], param="source_transaction", status=400)


def _transferred(account: Account, source: Json) -> int:
    transfers = account.objects["transfer"].values()
    return sum(row["amount"] - row["amount_reversed"] for row in transfers if row["source_transaction"] == source["id"])


def _available_on(account: Account, source: Json | None) -> int | None:
    """What comes out of a charge moves when its money is there."""
    if source is None or source["balance_transaction"] is None:
        return None
    available_on: int = account.find("balance_transaction", source["balance_transaction"])["available_on"]
    return max(available_on, account.world.now())


def _destination(world: World, key: str) -> Account:
    if key not in world.platform.objects["account"]:
        raise StripeRefusal(400, f"No such destination: '{key}'", code="resource_missing", param="destination")
    if world.platform.find("account", key)["capabilities"].get("transfers") != "active":
        told = "Your destination account needs the capability `transfers` to be active."
        raise StripeRefusal(400, told, code="insufficient_capabilities_for_transfer")
    return world.account(key)


def _payment(destination: Account, transfer: Json, available_on: int | None) -> Json:
    """The transfer as the account that gets it sees it."""
    payment = destination.add(
        "charge",
        prefix="py",
        amount=transfer["amount"],
        amount_captured=transfer["amount"],
        captured=True,
        currency=transfer["currency"],
        paid=True,
        payment_method_details=None,
        source_transfer=transfer["id"],
        status="succeeded",
    )
    movement = destination.book("payment", payment["amount"], payment, category="charge", available_on=available_on)
    payment["balance_transaction"] = movement["id"]
    return payment


def _reverse(call: Call) -> Json:
    account, params = call.account, call.params
    transfer = account.find("transfer", call.path["id"])
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = params.get("amount", left)
    if left == 0:
        raise StripeRefusal(400, f"Transfer {transfer['id']} is already fully reversed.")
    check_amount(amount)
    if amount > left:
        told = f"Transfer reversal amount ({amount}) is greater than unreversed amount on transfer ({left})"
        raise StripeRefusal(400, told, param="amount")
    destination = account.world.account(transfer["destination"])
    if account.world.settings.checks_balance and amount > destination.available(transfer["currency"]):
        raise no_funds()
    fields = fields_of("transfer_reversal", params) | {"amount": amount, "currency": transfer["currency"]}
    reversal = account.add("transfer_reversal", **fields | {"transfer": transfer["id"]})
    movement = account.book("transfer_refund", amount, reversal, category="transfer_reversal")
    reversal["balance_transaction"] = movement["id"]
    reversal["destination_payment_refund"] = _give_back(destination, transfer, amount)["id"]
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    transfer["reversals"]["data"].insert(0, account.shown(reversal))
    account.emit("transfer.reversed", transfer)
    return reversal


def _give_back(destination: Account, transfer: Json, amount: int) -> Json:
    payment = destination.find("charge", transfer["destination_payment"])
    payment["amount_refunded"] += amount
    payment["refunded"] = payment["amount_refunded"] == payment["amount"]
    refund = destination.add("refund", amount=amount, charge=payment["id"], currency=payment["currency"], prefix="pyr")
    movement = destination.book("payment_refund", -amount, refund, category="refund")
    refund["balance_transaction"] = movement["id"]
    return refund


def _reversals(call: Call) -> Json:
    key = call.account.find("transfer", call.path["id"])["id"]
    rows = [row for row in call.account.objects["transfer_reversal"].values() if row["transfer"] == key]
    return page(call, rows, f"/v1/transfers/{key}/reversals")


def _update_transfer(call: Call) -> Json:
    transfer = call.account.find("transfer", call.path["transfer"])
    if was := change(transfer, call.params):
        call.account.emit("transfer.updated", transfer, **was)
    return transfer


def onboarded(world: World, key: str) -> Any:
    """The person went through the pages of an account link; answers where to send them, if anywhere."""
    for name in world.platform.find("account", key)["capabilities"]:
        set_capability(world, key, name, "active")
    return world.platform.aside.get(key, {}).get("return_url")


OPERATIONS: Operations = {
    "DELETE /v1/accounts/{account}": _delete_account,
    "GET /v1/accounts": listing("account", "/v1/accounts"),
    "GET /v1/accounts/{account}": _account,
    "GET /v1/transfers": listing("transfer", "/v1/transfers"),
    "GET /v1/transfers/{id}/reversals": _reversals,
    "GET /v1/transfers/{transfer}": retrieving("transfer", "transfer"),
    "POST /v1/account_links": _create_link,
    "POST /v1/accounts": _create_account,
    "POST /v1/accounts/{account}": _update_account,
    "POST /v1/transfers": _create_transfer,
    "POST /v1/transfers/{id}/reversals": _reverse,
    "POST /v1/transfers/{transfer}": _update_transfer,
}
