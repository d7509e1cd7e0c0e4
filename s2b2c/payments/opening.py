"""A payment from the wish to have an order paid to the page where the customer pays, and its end without one.

First what we want is committed, then Stripe is asked with no session open, then what it made is committed. Whatever
comes between, the same is asked again with the same key.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import jobs
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.models import OrderBatch, Payment
from s2b2c.payments.gateway import Checkout, Declined, Gateway, Intent, connected, once
from s2b2c.sql import statements

_log = logging.getLogger(__name__)

IN_HAND = ("opening", "open")
_NO_LONGER = "This payment is over: read the order again, and pay it anew if it still waits."

_STARTED_AFTER = timedelta(seconds=30)
_GIVEN_UP_AFTER = timedelta(minutes=10)
# Stripe takes between 30 minutes and a day, counted from when it makes the page, which may be a while after us.
_SHORTEST_PAGE = timedelta(hours=1)
_LONGEST_PAGE = timedelta(hours=23)


@dataclass(frozen=True, slots=True)
class Opened:
    """What the customer needs to pay: the secret of a PaymentIntent, or the address of a page. Neither is kept."""

    payment_id: int
    client_secret: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)


async def open_payment(
    session: AsyncSession, *, branch_id: int, order_id: int, amount: int, method: str, now: datetime
) -> int:
    """The id of the payment in hand of an order, made where there is none; `finish_opening` makes it one of Stripe's.

    `amount` is fen, freight included, and `method` is `intent` (our own page) or `checkout` (a page of Stripe's).
    Raises Refused: BadArgument for nothing to pay or another method, WrongState while a payment of another amount or
    method is in hand: `cancel_payments` ends it.
    """
    if amount <= 0:
        raise Refused(BadArgument("There is nothing to pay."))
    if method not in {"intent", "checkout"}:
        raise Refused(BadArgument("A payment is made by `intent` or by `checkout`."))
    made: int | None = await session.scalar(
        statements("payments")["open"],
        {"branch_id": branch_id, "order_id": order_id, "method": method, "amount": amount, "now": now},
    )
    if made is not None:
        return made
    in_hand = await session.scalar(
        select(Payment).where(Payment.branch_id == branch_id, Payment.order_id == order_id, Payment.state.in_(IN_HAND))
    )
    if in_hand is None or (in_hand.amount, in_hand.method) != (amount, method):
        raise Refused(WrongState("Another payment of this order is in hand: pay that one, or cancel it first."))
    return in_hand.id


async def finish_opening(
    db: Database,
    gateway: Gateway | None,
    *,
    branch_id: int,
    payment_id: int,
    success_url: str | None = None,
    cancel_url: str | None = None,
) -> Opened:
    """What the customer needs to pay, made at Stripe the first time and fetched from there ever after.

    The addresses are where a hosted Checkout sends the customer afterwards. Raises Refused: NotFound, or WrongState for
    a payment that is over, was paid, or that Stripe does not take; GatewayError where Stripe cannot be reached.
    """
    gateway = connected(gateway)
    async with db.read() as session:
        payment = await _payment(session, branch_id, payment_id)
    if payment.state not in IN_HAND or payment.order_state != "placed":
        raise Refused(WrongState(_NO_LONGER))
    try:
        if payment.state == "open":
            return await _fetched(gateway, payment)
        made = await _made(gateway, payment, success_url, cancel_url)
    except Declined as error:
        if payment.state == "opening":  # Stripe keeps its no under our key: the next payment has another
            async with db.write() as session:
                await _end(session, payment, was="opening")
        raise Refused(WrongState(f"Stripe does not take this payment ({error.code}).")) from None
    async with db.write() as session:
        state = await _keep(session, payment, made)
    if state == "cancelled":
        await _cancel_at_stripe(gateway, payment, made)
        raise Refused(WrongState(_NO_LONGER))
    return _opened(payment, made)


async def open_at_stripe(db: Database, *, branch_id: int, payment_id: int, gateway: Gateway | None = None) -> None:
    """Finish opening what a crash left behind. A hosted Checkout waits for its customer to come back with addresses."""
    async with db.read() as session:
        payment = await _payment(session, branch_id, payment_id)
    if payment.state == "opening" and payment.method == "intent" and payment.order_state == "placed":
        try:
            await finish_opening(db, gateway, branch_id=branch_id, payment_id=payment_id)
        except Refused as refused:
            _log.warning("Payment %s of branch %s was not opened: %s", payment_id, branch_id, refused)


async def left_opening(session: AsyncSession, *, now: datetime, limit: int = 100) -> int:
    """Queue `open_at_stripe` for what was not opened at once; returns how many are queued anew.

    Not for ever: what Stripe does not open within minutes waits for its customer, or for the end of its order.
    """
    left = await session.execute(
        select(Payment.branch_id, Payment.id)
        .where(
            Payment.state == "opening",
            Payment.method == "intent",
            Payment.created_at > now - _GIVEN_UP_AFTER,
            Payment.created_at <= now - _STARTED_AFTER,
        )
        .order_by(Payment.branch_id, Payment.id)
        .limit(limit)
    )
    return await _enqueue(session, "open_at_stripe", [(branch_id, payment_id) for branch_id, payment_id in left])


async def cancel_payments(session: AsyncSession, orders: OrderBatch) -> int:
    """Queue the end of what these orders have in hand, which are cancelled or expired, or want another payment."""
    found = await session.execute(statements("payments")["in_hand"], orders._asdict())
    return await _enqueue(session, "cancel_payment", [(row.branch_id, row.id) for row in found])


async def cancel_payment(db: Database, *, branch_id: int, payment_id: int, gateway: Gateway | None = None) -> None:
    """End a payment at Stripe and here. One that the customer has paid meanwhile is left to the event that says so."""
    async with db.write() as session:
        payment = await _payment(session, branch_id, payment_id)
        if payment.state == "opening":  # nobody but whoever opens it knows what Stripe made, and ends it then
            await _end(session, payment, was="opening")
            return
    if payment.state == "open" and await _cancel_at_stripe(connected(gateway), payment, None):
        async with db.write() as session:
            await _end(session, payment, was="open")


class _Payment(NamedTuple):
    """A payment as it was read, with what is to be known of its order."""

    branch_id: int
    id: int
    order_id: int
    method: str
    amount: int
    state: str
    intent_id: str | None
    session_id: str | None
    created_at: datetime
    order_no: str
    order_state: str
    due_at: datetime | None


async def _payment(session: AsyncSession, branch_id: int, payment_id: int) -> _Payment:
    found = await session.execute(statements("payments")["find"], {"branch_id": branch_id, "payment_id": payment_id})
    if (row := found.one_or_none()) is None:
        raise Refused(NotFound("There is no such payment."))
    return _Payment._make(row)


async def _made(
    gateway: Gateway, payment: _Payment, success_url: str | None, cancel_url: str | None
) -> Intent | Checkout:
    key = f"s2b2c-payment-{payment.branch_id}-{payment.id}"
    metadata = {
        "branch_id": str(payment.branch_id),
        "order_id": str(payment.order_id),
        "payment_id": str(payment.id),
    }
    name = f"订单 {payment.order_no}"
    if payment.method == "intent":
        return await once(
            lambda key: gateway.create_intent(amount=payment.amount, description=name, metadata=metadata, key=key), key
        )
    if not success_url or not cancel_url:
        raise Refused(BadArgument("A hosted Checkout needs the addresses to come back to."))
    shortest, longest = payment.created_at + _SHORTEST_PAGE, payment.created_at + _LONGEST_PAGE
    expires_at = min(max(payment.due_at or shortest, shortest), longest)
    # Nobody has seen the page of a try that was cut off, so other addresses may make another page.
    addresses = sha256(f"{success_url} {cancel_url}".encode()).hexdigest()[:16]
    return await once(
        lambda key: gateway.create_checkout(
            amount=payment.amount,
            name=name,
            success_url=success_url,
            cancel_url=cancel_url,
            expires_at=expires_at,
            metadata=metadata,
            key=key,
        ),
        f"{key}-{addresses}",
    )


async def _fetched(gateway: Gateway, payment: _Payment) -> Opened:
    """Raises Refused(WrongState) when the customer has paid, or Stripe has ended it."""
    if payment.method == "checkout":
        assert payment.session_id is not None
        page = await gateway.retrieve_checkout(payment.session_id)
        if page.status == "open":
            return _opened(payment, page)
    else:
        assert payment.intent_id is not None
        intent = await gateway.retrieve_intent(payment.intent_id)
        if intent.status not in {"succeeded", "canceled", "processing"}:
            return _opened(payment, intent)
    raise Refused(WrongState("This payment was made, or is over: read the order again in a moment."))


def _opened(payment: _Payment, made: Intent | Checkout) -> Opened:
    if isinstance(made, Checkout):
        return Opened(payment.id, url=made.url)
    return Opened(payment.id, client_secret=made.client_secret)


async def _keep(session: AsyncSession, payment: _Payment, made: Intent | Checkout) -> str:
    """Write down what Stripe made, and answer the state that the payment is in now."""
    state: str | None = await session.scalar(
        statements("payments")["keep"],
        {
            "branch_id": payment.branch_id,
            "payment_id": payment.id,
            "intent_id": made.intent_id if isinstance(made, Checkout) else made.id,
            "session_id": made.id if isinstance(made, Checkout) else None,
        },
    )
    assert state is not None
    return state


async def _cancel_at_stripe(gateway: Gateway, payment: _Payment, made: Intent | Checkout | None) -> bool:
    """Whether it is over there; if not, its customer has paid or is about to."""
    session_id = made.id if isinstance(made, Checkout) else payment.session_id
    intent_id = made.id if isinstance(made, Intent) else payment.intent_id
    key = f"{payment.branch_id}-{payment.id}"
    try:
        if session_id is not None:
            page = await once(lambda key: gateway.expire_checkout(session_id, key=key), f"s2b2c-expire-{key}")
            return page.status == "expired"
        assert intent_id is not None
        intent = await once(lambda key: gateway.cancel_intent(intent_id, key=key), f"s2b2c-cancel-{key}")
    except Declined:
        if session_id is not None:
            return (await gateway.retrieve_checkout(session_id)).status == "expired"
        assert intent_id is not None
        intent = await gateway.retrieve_intent(intent_id)
    return intent.status == "canceled"


async def _end(session: AsyncSession, payment: _Payment, *, was: str) -> None:
    await session.execute(
        update(Payment)
        .where(Payment.branch_id == payment.branch_id, Payment.id == payment.id, Payment.state == was)
        .values(state="cancelled")
    )


async def _enqueue(session: AsyncSession, name: str, payments: Sequence[tuple[int, int]]) -> int:
    """Queue a job for each of a few payments; returns how many did not wait already."""
    queued = 0
    for branch_id, payment_id in payments:
        payload = {"branch_id": branch_id, "payment_id": payment_id}
        job_id = await jobs.enqueue(session, name, payload, dedupe_key=f"{name}-{branch_id}-{payment_id}")
        queued += job_id is not None
    return queued
