"""Customers, events and webhook endpoints: what needs little more than to be kept."""

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from tests.stripe_fake.errors import StripeRefusal
from tests.stripe_fake.lists import Call, Operations, listing, retrieving
from tests.stripe_fake.schema import Json
from tests.stripe_fake.world import Account, fields_of

_EVENT_KINDS_OF_A_LIST = 20


def _create_customer(call: Call) -> Json:
    customer = call.account.add("customer", **fields_of("customer", call.params))
    call.account.emit("customer.created", customer)
    return customer


def _event_wanted(row: Json, params: Json) -> bool:
    if len(params.get("types", ())) > _EVENT_KINDS_OF_A_LIST:
        raise StripeRefusal(400, f"At most {_EVENT_KINDS_OF_A_LIST} types may be asked for", param="types")
    return (
        fnmatchcase(row["type"], params.get("type", "*"))
        and row["type"] in params.get("types", (row["type"],))
        and params.get("delivery_success", row["pending_webhooks"] == 0) == (row["pending_webhooks"] == 0)
    )


def add_endpoint(account: Account, url: str, secret: str, kinds: list[str], *, connect: bool | None) -> Json:
    """`connect`: events of connected accounts (True), of the platform (False), or both (None)."""
    endpoint = account.add("webhook_endpoint", enabled_events=kinds, url=url)
    account.aside[endpoint["id"]] = {"connect": connect, "secret": secret}
    return endpoint


def _create_endpoint(call: Call) -> Json:
    account, params = call.account, call.params
    if urlsplit(params["url"]).scheme not in {"http", "https"}:
        raise StripeRefusal(400, "Invalid URL: An explicit scheme (such as https) must be provided.", param="url")
    secret = account.world.new_id("whsec")
    connect = params.get("connect", False)
    endpoint = add_endpoint(account, params["url"], secret, params["enabled_events"], connect=connect)
    endpoint.update(fields_of("webhook_endpoint", params))
    return endpoint | {"secret": secret}


OPERATIONS: Operations = {
    "GET /v1/customers": listing("customer", "/v1/customers"),
    "GET /v1/events": listing("event", "/v1/events", _event_wanted),
    "GET /v1/events/{id}": retrieving("event", "id"),
    "GET /v1/webhook_endpoints": listing("webhook_endpoint", "/v1/webhook_endpoints"),
    "POST /v1/customers": _create_customer,
    "POST /v1/webhook_endpoints": _create_endpoint,
}
