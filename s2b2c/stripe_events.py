"""What Stripe's events do to orders: many at once, and one alone where the many do not go through."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import jobs, metrics, orders, payments
from s2b2c.db import Database
from s2b2c.errors import Refused
from s2b2c.models import OrderBatch, StripeEvent
from s2b2c.payments import Paid, Refunded

RAIL = "stripe"
_log = logging.getLogger(__name__)


async def handle_waiting(session: AsyncSession, *, now: datetime, limit: int) -> int:
    """Work on the oldest events that wait, all or none; returns how many."""
    events = await payments.waiting_events(session, now=now, limit=limit)
    if events:
        await _handle(session, events, now)
    return len(events)


async def set_apart(session: AsyncSession, *, now: datetime, limit: int) -> int:
    """Make a job of each of the oldest events that wait: one of them does not go through, and the others need not wait.

    Returns how many.
    """
    events = await payments.waiting_events(session, now=now, limit=limit)
    for event in events:
        await jobs.enqueue(
            session, handle_event.__name__, {"event_id": event.id}, dedupe_key=f"stripe_event-{event.id}"
        )
    return len(events)


async def handle_event(db: Database, *, event_id: str) -> None:
    """Work on one event that was set apart."""
    now = datetime.now(UTC)
    async with db.write() as session:
        if (event := await payments.lock_event(session, event_id)) is not None:
            await _handle(session, [event], now)


async def _handle(session: AsyncSession, events: Sequence[StripeEvent], now: datetime) -> None:
    told = await payments.digest(session, events)
    await _pay(session, told.paid)
    for refund in told.refunded:
        await _refund(session, refund)
    for reversal in told.reversed:
        try:
            await orders.reverse_refunds(session, [reversal])
        except Refused as refused:
            _log.warning("The end of a refund changes no order: %s", refused)
    for lost in told.not_returned:
        _log.error("Payment %s of branch %s did not arrive where it was sent back to", lost.payment_id, lost.branch_id)
    await payments.mark_handled(session, [event.id for event in events], now)


async def _pay(session: AsyncSession, paid: Sequence[Paid]) -> None:
    """The first payment of an order that waits for it pays it; any other goes back."""
    if not paid:
        return
    waiting = await orders.awaiting_payment(session, OrderBatch.of((it.branch_id, it.order_id) for it in paid))
    first: dict[tuple[int, int], Paid] = {}
    for it in paid:
        if (it.branch_id, it.order_id) in waiting:
            first.setdefault((it.branch_id, it.order_id), it)
    marked = await orders.pay(session, [(it.branch_id, it.order_id, it.paid_at) for it in first.values()], rail=RAIL)
    metrics.count_when_committed(session, metrics.PAYMENTS_MARKED, marked)
    late = [it for it in paid if first.get((it.branch_id, it.order_id)) is not it]
    await payments.to_return(session, [(it.branch_id, it.payment_id) for it in late])


async def _refund(session: AsyncSession, it: Refunded) -> None:
    """Money that went back counts, whatever else happened to the order: as asked for, else spread over its lines."""
    refund = orders.Refund(it.branch_id, it.order_id, it.reference, it.refunded_at, [])
    if it.lines:
        asked = refund._replace(lines=[orders.RefundedLine(**line) for line in it.lines])
        try:
            async with session.begin_nested():
                await orders.refund(session, [asked])
        except Refused as refused:
            _log.warning("Refund %s is spread over its order: %s", it.reference, refused)
        else:
            return
    spread = await orders.spread(session, refund, it.amount)
    if spread.lines or spread.freight:
        await orders.refund(session, [spread])
    if (over := it.amount - spread.freight - sum(line.amount or 0 for line in spread.lines)) > 0:
        _log.error("Refund %s: %s fen are more than its order has left", it.reference, over)
