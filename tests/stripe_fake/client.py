"""Stripe's own library as the tests use it, and short ways to ask and to look."""

import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stripe

from tests.stripe_fake import Fake


@asynccontextmanager
async def client_of(url: str, key: str = "sk_test_fake", timeout_s: float = 5) -> AsyncIterator[stripe.StripeClient]:
    http = stripe.HTTPXClient(timeout=timeout_s, verify_ssl_certs=False)
    yield stripe.StripeClient(key, base_addresses={"api": url}, http_client=http, max_network_retries=0)
    await http.close_async()  # type: ignore[no-untyped-call]


async def ask(client: stripe.StripeClient, method: str, path: str, /, key: str | None = None, **params: Any) -> Any:
    """What the library's own types would not let through, or name too long."""
    options = {"idempotency_key": key} if key else {}
    return json.loads((await client.raw_request_async(method, path, **params, **options)).body)


async def an_intent(client: stripe.StripeClient, amount: int = 10_000, **params: Any) -> str:
    intent = await ask(client, "post", "/v1/payment_intents", amount=amount, currency="cny", **params)
    return str(intent["id"])


async def refused(asking: Awaitable[object]) -> tuple[int | None, str | None, str | None]:
    """Status, code and parameter of a refusal."""
    with pytest.raises(stripe.StripeError) as caught:
        await asking
    error = json.loads(caught.value.http_body or "{}").get("error", {})
    return caught.value.http_status, error.get("code"), error.get("param")


def kinds(fake: Fake, account: str = "") -> list[str]:
    return [event["type"] for event in fake.rows("event", account)]


def movements(fake: Fake, account: str = "") -> list[tuple[str, str, int, int, int]]:
    """Type, reporting category, amount, fee and net."""
    rows = fake.rows("balance_transaction", account)
    return [(row["type"], row["reporting_category"], row["amount"], row["fee"], row["net"]) for row in rows]


async def an_account(fake: Fake, client: stripe.StripeClient) -> str:
    """Its key; transfers to it are allowed."""
    account = await ask(client, "post", "/v1/accounts", country="CN", capabilities={"transfers": {"requested": True}})
    fake.set_capability(account["id"], "transfers", "active")
    return str(account["id"])
