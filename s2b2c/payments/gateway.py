"""Stripe as far as it is used here: one method for each call, errors of our own, and nothing that a log may not hold.

The only module that imports Stripe's library.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar
from uuid import uuid4

import aiohttp
import stripe
from stripe import _util as stripe_logging

from s2b2c.config import settings

API_VERSION = "2026-08-26.dahlia"
CURRENCY = "cny"

_TIMEOUT = aiohttp.ClientTimeout(sock_connect=5, sock_read=20)
_RETRIES = 2
_PAGE = 100
_MOST_KEYS = 3

P = ParamSpec("P")
T = TypeVar("T")
Metadata = Mapping[str, str]

stripe.enable_telemetry = False
# They tell addresses at INFO and bodies at DEBUG; the variable STRIPE_LOG would print those beside every logger.
for _name in ("stripe", "aiohttp"):
    logging.getLogger(_name).setLevel(logging.WARNING)
stripe_logging.STRIPE_LOG = None


class GatewayError(Exception):
    """A call to Stripe that came to nothing. The message holds no secret and nothing of the request."""


class Declined(GatewayError):
    """Stripe has understood, and says no: asking for the same again brings the same."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Stripe refused this ({code}).")
        self.code = code


class Unreachable(GatewayError):
    """Nothing was done: ask again later."""


class UnknownOutcome(GatewayError):
    """Whether it was done is open: ask again with the same key, or look for what it makes."""

    def __init__(self, message: str, *, spent: bool = False) -> None:
        super().__init__(message)
        self.spent = spent
        """The key brings this answer and no other for a day."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A PaymentIntent; amounts are fen."""

    id: str
    status: str
    amount: int
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A session of the hosted Checkout; none of its fields but the address is a secret."""

    id: str
    status: str
    intent_id: str | None
    url: str | None = field(repr=False)


class SentRefund(NamedTuple):
    id: str
    status: str
    amount: int
    metadata: Metadata

    @property
    def is_dead(self) -> bool:
        return self.status in {"failed", "canceled"}


class SentTransfer(NamedTuple):
    """Money that went to a connected account; `reversed` fen of it came back."""

    id: str
    account_id: str
    amount: int
    reversed: int


class Connected(NamedTuple):
    """A connected account. `transfers` is `active`, `pending` or `inactive`."""

    id: str
    created_at: datetime
    transfers: str
    payouts_enabled: bool
    details_submitted: bool


class Movement(NamedTuple):
    """A balance transaction; `amount` > 0 came in. `source` is what moved it, `intent_id` the payment behind that."""

    id: str
    category: str
    amount: int
    currency: str
    source: str
    intent_id: str | None
    created_at: datetime


class Movements(NamedTuple):
    rows: list[Movement]
    has_more: bool


CALLS: dict[str, str] = {}
"""What each method of `Gateway` asks of Stripe; the tests hold every one of them against Stripe's schema."""


def _call(operation: str) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Marks the method of `Gateway` that makes this call, and makes its errors ours."""

    def mark(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        CALLS[method.__name__] = operation

        @wraps(method)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await method(*args, **kwargs)
            except stripe.StripeError as error:
                raise _ours(error, changes=operation.startswith("POST ")) from None

        return call

    return mark


def _ours(error: stripe.StripeError, *, changes: bool) -> GatewayError:
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return Unreachable("Stripe does not accept our key for this: check S2B2C_STRIPE_API_KEY.")
    if isinstance(error, stripe.RateLimitError):
        return Unreachable("Stripe has too much to do: try again in a minute.")
    if isinstance(error, stripe.IdempotencyError):
        return UnknownOutcome("Stripe knows this key from another request.", spent=True)
    if isinstance(error, stripe.InvalidRequestError | stripe.CardError):
        # The text of a refusal may repeat what was sent.
        known = error.code and re.fullmatch(r"[a-z0-9_]{1,60}", error.code)
        return Declined(error.code if known and error.code else "invalid_request")
    if not changes:
        return Unreachable("Stripe does not answer: try again in a minute.")
    replayed = error.headers is not None and error.headers.get("idempotent-replayed") == "true"
    return UnknownOutcome("Stripe gave no clear answer: try again in a minute.", spent=replayed)


async def once(make: Callable[[str], Awaitable[T]], key: str) -> T:
    """What `make` makes under an idempotency key of Stripe's, however often this is called with the same.

    Stripe keeps an error of its own under the key and answers it for a day. The next of a fixed row of keys then takes
    its place, so `make` looks first for what may be there already, wherever two of them would do harm.
    """
    for number in range(1, _MOST_KEYS):
        try:
            return await make(f"{key}-{number}")
        except UnknownOutcome as error:
            if not error.spent:
                raise
    return await make(f"{key}-{_MOST_KEYS}")


class _Http(stripe.HTTPClient):
    """The library's own client for aiohttp lets those errors through that come while an answer is read."""

    name = "aiohttp"

    def __init__(self, timeout: aiohttp.ClientTimeout) -> None:
        super().__init__()
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            async with self._opened().request(method, url, headers=headers, data=post_data) as response:
                return await response.read(), response.status, response.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            raise stripe.APIConnectionError(type(error).__name__, should_retry=True) from None  # type: ignore[no-untyped-call]

    def _opened(self) -> aiohttp.ClientSession:
        """Opened by the first request: it belongs to the loop that runs then."""
        if self._session is None:
            tls = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=stripe.ca_bundle_path))
            self._session = aiohttp.ClientSession(connector=tls, timeout=self._timeout, trust_env=True)
        return self._session

    def sleep_async(self, secs: float) -> Awaitable[None]:
        return asyncio.sleep(secs)

    async def close_async(self) -> None:
        if self._session is not None:
            await self._session.close()


class Gateway:
    """The calls we make to Stripe. Raises Declined, Unreachable or UnknownOutcome, and nothing else."""

    def __init__(
        self, api_key: str, base: str, *, timeout: aiohttp.ClientTimeout = _TIMEOUT, retries: int = _RETRIES
    ) -> None:
        self.livemode = "_live_" in api_key
        self._http = _Http(timeout)
        client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": base},
            http_client=self._http,
            max_network_retries=retries,
        )
        self._v1 = client.v1

    async def close(self) -> None:
        await self._http.close_async()

    @_call("POST /v1/payment_intents")
    async def create_intent(self, *, amount: int, description: str, metadata: Metadata, key: str) -> Intent:
        intent = await self._v1.payment_intents.create_async(
            {
                "amount": amount,
                "currency": CURRENCY,
                "automatic_payment_methods": {"enabled": True},
                "description": description,
                "metadata": dict(metadata),
            },
            {"idempotency_key": key},
        )
        return _intent(intent)

    @_call("GET /v1/payment_intents/{intent}")
    async def retrieve_intent(self, intent_id: str) -> Intent:
        return _intent(await self._v1.payment_intents.retrieve_async(intent_id))

    @_call("POST /v1/payment_intents/{intent}/cancel")
    async def cancel_intent(self, intent_id: str, *, key: str) -> Intent:
        options: stripe.RequestOptions = {"idempotency_key": key}
        return _intent(
            await self._v1.payment_intents.cancel_async(intent_id, {"cancellation_reason": "abandoned"}, options)
        )

    @_call("POST /v1/checkout/sessions")
    async def create_checkout(
        self,
        *,
        amount: int,
        name: str,
        success_url: str,
        cancel_url: str,
        expires_at: datetime,
        metadata: Metadata,
        key: str,
    ) -> Checkout:
        session = await self._v1.checkout.sessions.create_async(
            {
                "mode": "payment",
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {"currency": CURRENCY, "unit_amount": amount, "product_data": {"name": name}},
                    }
                ],
                "success_url": success_url,
                "cancel_url": cancel_url,
                "expires_at": int(expires_at.timestamp()),
                "metadata": dict(metadata),
                "payment_intent_data": {"description": name, "metadata": dict(metadata)},
            },
            {"idempotency_key": key},
        )
        return _checkout(session)

    @_call("GET /v1/checkout/sessions/{session}")
    async def retrieve_checkout(self, session_id: str) -> Checkout:
        return _checkout(await self._v1.checkout.sessions.retrieve_async(session_id))

    @_call("POST /v1/checkout/sessions/{session}/expire")
    async def expire_checkout(self, session_id: str, *, key: str) -> Checkout:
        return _checkout(await self._v1.checkout.sessions.expire_async(session_id, {}, {"idempotency_key": key}))

    @_call("POST /v1/refunds")
    async def create_refund(self, intent_id: str, *, amount: int, metadata: Metadata, key: str) -> SentRefund:
        refund = await self._v1.refunds.create_async(
            {
                "payment_intent": intent_id,
                "amount": amount,
                "reason": "requested_by_customer",
                "metadata": dict(metadata),
            },
            {"idempotency_key": key},
        )
        return _refund(refund)

    @_call("GET /v1/refunds")
    async def list_refunds(self, intent_id: str) -> list[SentRefund]:
        """The newest hundred of a payment: more than anybody makes."""
        return [
            _refund(it)
            for it in (await self._v1.refunds.list_async({"payment_intent": intent_id, "limit": _PAGE})).data
        ]

    @_call("POST /v1/accounts")
    async def create_account(self, *, metadata: Metadata, key: str) -> Connected:
        """One that gets its money from us, and shows Stripe alone who it is: its people do that on Stripe's pages."""
        account = await self._v1.accounts.create_async(
            {
                "controller": {
                    "fees": {"payer": "application"},
                    "losses": {"payments": "application"},
                    "requirement_collection": "stripe",
                    "stripe_dashboard": {"type": "express"},
                },
                "capabilities": {"transfers": {"requested": True}},
                "metadata": dict(metadata),
            },
            {"idempotency_key": key},
        )
        return _connected(account)

    @_call("GET /v1/accounts/{account}")
    async def retrieve_account(self, account_id: str) -> Connected:
        return _connected(await self._v1.accounts.retrieve_async(account_id))

    @_call("POST /v1/account_links")
    async def create_account_link(self, account_id: str, *, return_url: str, refresh_url: str) -> str:
        """The address to send the account's people to. It works once, so no two may share a key."""
        link = await self._v1.account_links.create_async(
            {
                "account": account_id,
                "type": "account_onboarding",
                "return_url": return_url,
                "refresh_url": refresh_url,
            },
            {"idempotency_key": f"s2b2c-link-{uuid4()}"},
        )
        return link.url

    @_call("POST /v1/transfers")
    async def create_transfer(self, account_id: str, *, amount: int, metadata: Metadata, key: str) -> str:
        """Money from our balance to that of a connected account; answers the transfer's id. Its group is the key."""
        transfer = await self._v1.transfers.create_async(
            {
                "amount": amount,
                "currency": CURRENCY,
                "destination": account_id,
                "transfer_group": key,
                "metadata": dict(metadata),
            },
            {"idempotency_key": key},
        )
        return transfer.id

    @_call("GET /v1/transfers")
    async def list_transfers(self, group: str) -> list[SentTransfer]:
        """The newest hundred of a group, which is the key they were sent with: more than anybody makes."""
        found = await self._v1.transfers.list_async({"transfer_group": group, "limit": _PAGE})
        return [_transfer(it) for it in found.data]

    @_call("POST /v1/transfers/{id}/reversals")
    async def reverse_transfer(self, transfer_id: str, *, amount: int, metadata: Metadata, key: str) -> str:
        """Bring back `amount` fen of a transfer; answers the reversal's id. Stripe brings back no more than went."""
        reversal = await self._v1.transfers.reversals.create_async(
            transfer_id, {"amount": amount, "metadata": dict(metadata)}, {"idempotency_key": key}
        )
        return reversal.id

    @_call("GET /v1/balance_transactions")
    async def list_movements(self, start: datetime, end: datetime, *, after: str | None) -> Movements:
        """A page of what moved our balance in `[start, end)`, newest first; `after` is the last of the page before."""
        page = await self._v1.balance_transactions.list_async(
            {
                "created": {"gte": _seconds(start), "lt": _seconds(end)},
                "limit": _PAGE,
                "expand": ["data.source"],
                **({"starting_after": after} if after else {}),
            }
        )
        return Movements([_movement(it) for it in page.data], page.has_more)


def _seconds(at: datetime) -> int:
    """The first whole second that is not before `at`: Stripe's stamps have no smaller parts."""
    return -int(-at.timestamp() // 1)


def _intent(it: stripe.PaymentIntent) -> Intent:
    return Intent(it.id, it.status, it.amount, it.client_secret or "")


def _checkout(it: stripe.checkout.Session) -> Checkout:
    intent = it.payment_intent
    return Checkout(it.id, it.status or "", intent.id if isinstance(intent, stripe.PaymentIntent) else intent, it.url)


def _refund(it: stripe.Refund) -> SentRefund:
    return SentRefund(it.id, it.status or "", it.amount, it.metadata.to_dict() if it.metadata else {})


def _transfer(it: stripe.Transfer) -> SentTransfer:
    account = it.destination
    return SentTransfer(
        it.id, account.id if isinstance(account, stripe.Account) else account or "", it.amount, it.amount_reversed
    )


def _connected(it: stripe.Account) -> Connected:
    capabilities = it.capabilities.to_dict() if it.capabilities else {}
    return Connected(
        it.id,
        datetime.fromtimestamp(it.created or 0, UTC),
        capabilities.get("transfers", "inactive"),
        bool(it.payouts_enabled),
        bool(it.details_submitted),
    )


def _movement(it: stripe.BalanceTransaction) -> Movement:
    row = it.to_dict()
    source = row["source"] if isinstance(row["source"], dict) else {"id": row["source"] or ""}
    return Movement(
        row["id"],
        row["reporting_category"],
        row["amount"],
        row["currency"],
        source["id"],
        source.get("payment_intent"),
        datetime.fromtimestamp(row["created"], UTC),
    )


def connect() -> Gateway | None:
    """The gateway of the settings, one for the process; None where no key is set."""
    key = settings().stripe_api_key
    return _shared(key.get_secret_value(), settings().stripe_api_base) if key else None


@cache
def _shared(api_key: str, base: str) -> Gateway:
    return Gateway(api_key, base)


def connected(gateway: Gateway | None) -> Gateway:
    """The one that is given, else that of the settings. Raises Unreachable where there is none."""
    if found := gateway or connect():
        return found
    raise Unreachable("Nothing is paid or refunded without a key of Stripe: set S2B2C_STRIPE_API_KEY.")
