"""Money that goes back: what was asked for, and what no order could take. Both look before they send."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import jobs
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.models import Payment, RefundRequest
from s2b2c.payments.gateway import Declined, Gateway, Metadata, SentRefund, connected, once

_log = logging.getLogger(__name__)


async def ask_refund(
    session: AsyncSession,
    *,
    branch_id: int,
    order_id: int,
    payment_id: int,
    lines: Sequence[dict[str, Any]],
    amount: int,
    reason: str,
    account_id: int,
    now: datetime,
) -> RefundRequest:
    """Have `amount` fen of a payment sent back to its customer; `lines` say of what, as `orders.refund` takes them.

    The order changes when Stripe says that the refund has succeeded. Raises Refused: BadArgument for nothing to send
    back, NotFound for no such payment of this order, WrongState for one that has not succeeded or went back as a whole,
    for more than is left of it, and while another refund of the order is on its way.
    """
    if amount <= 0:
        raise Refused(BadArgument("There is nothing to refund."))
    payment = await session.scalar(
        select(Payment).where(Payment.branch_id == branch_id, Payment.id == payment_id, Payment.order_id == order_id)
    )
    if payment is None:
        raise Refused(NotFound("The order has no such payment."))
    if payment.state != "succeeded" or payment.returned_at is not None:
        raise Refused(WrongState("This payment has brought no money that could go back."))
    made: RefundRequest | None = await session.scalar(
        insert(RefundRequest)
        .values(
            branch_id=branch_id,
            order_id=order_id,
            payment_id=payment_id,
            lines=list(lines),
            amount=amount,
            reason=reason,
            state="sending",
            account_id=account_id,
            requested_at=now,
        )
        .on_conflict_do_nothing(
            index_elements=["branch_id", "order_id"], index_where=text("state IN ('sending', 'sent')")
        )
        .returning(RefundRequest)
    )
    if made is None:
        raise Refused(WrongState("A refund of this order is on its way: wait until it has arrived or failed."))
    asked = await session.scalar(
        select(func.sum(RefundRequest.amount)).where(
            RefundRequest.branch_id == branch_id,
            RefundRequest.order_id == order_id,
            RefundRequest.payment_id == payment_id,
            RefundRequest.state != "failed",
        )
    )
    if (left := payment.amount - int(asked or 0)) < 0:
        raise Refused(WrongState(f"More than is left of this payment: {left + amount} fen."))
    payload = {"branch_id": branch_id, "refund_id": made.id}
    await jobs.enqueue(session, "send_refund", payload, dedupe_key=f"send_refund-{branch_id}-{made.id}")
    return made


async def send_refund(db: Database, *, branch_id: int, refund_id: int, gateway: Gateway | None = None) -> None:
    """Have Stripe send what was asked for: an event tells whether it arrives. What Stripe refuses has failed."""
    async with db.read() as session:
        row = (
            await session.execute(
                select(RefundRequest, Payment.intent_id)
                .join(
                    Payment,
                    (Payment.branch_id == RefundRequest.branch_id) & (Payment.id == RefundRequest.payment_id),
                )
                .where(RefundRequest.branch_id == branch_id, RefundRequest.id == refund_id)
            )
        ).one_or_none()
    if row is None or row.RefundRequest.state != "sending":
        return
    request: RefundRequest = row.RefundRequest
    metadata = {
        "branch_id": str(branch_id),
        "order_id": str(request.order_id),
        "payment_id": str(request.payment_id),
        "refund_id": str(refund_id),
    }
    outcome: dict[str, Any]
    try:
        sent = await _sent(
            connected(gateway), row.intent_id, request.amount, metadata, f"s2b2c-refund-{branch_id}-{refund_id}"
        )
        outcome = {"state": "sent", "reference": sent.id}
    except Declined as error:
        _log.warning("Refund %s of branch %s: %s", refund_id, branch_id, error)
        outcome = {"state": "failed"}
    async with db.write() as session:
        await session.execute(
            update(RefundRequest)
            .where(
                RefundRequest.branch_id == branch_id,
                RefundRequest.id == refund_id,
                RefundRequest.state == "sending",  # the event may have been faster
            )
            .values(**outcome)
        )


async def to_return(session: AsyncSession, payments: Sequence[tuple[int, int]]) -> None:
    """Queue the return of these payments, (branch_id, id): they have succeeded, and no order could take them."""
    for branch_id, payment_id in payments:
        payload = {"branch_id": branch_id, "payment_id": payment_id}
        await jobs.enqueue(session, "return_payment", payload, dedupe_key=f"return_payment-{branch_id}-{payment_id}")


async def return_payment(db: Database, *, branch_id: int, payment_id: int, gateway: Gateway | None = None) -> None:
    """Send back all that is left of a payment. Raises GatewayError where Stripe refuses: somebody must look."""
    async with db.read() as session:
        payment = await session.scalar(select(Payment).where(Payment.branch_id == branch_id, Payment.id == payment_id))
    if payment is None or payment.state != "succeeded" or payment.returned_at is not None:
        return
    assert payment.intent_id is not None
    gateway = connected(gateway)
    known = await gateway.list_refunds(payment.intent_id)
    left = payment.amount - sum(refund.amount for refund in known if not refund.is_dead)
    if left > 0:
        metadata = {
            "branch_id": str(branch_id),
            "order_id": str(payment.order_id),
            "payment_id": str(payment_id),
            "return": str(1 + sum("return" in refund.metadata for refund in known)),
        }
        key = f"s2b2c-return-{branch_id}-{payment_id}-{metadata['return']}"
        await _sent(gateway, payment.intent_id, left, metadata, key)
    async with db.write() as session:
        await session.execute(
            update(Payment)
            .where(Payment.branch_id == branch_id, Payment.id == payment_id, Payment.returned_at.is_(None))
            .values(returned_at=func.greatest(Payment.succeeded_at, func.now()))
        )


async def _sent(gateway: Gateway, intent_id: str, amount: int, metadata: Metadata, key: str) -> SentRefund:
    """The refund with these metadata, made where there is none: Stripe forgets keys, and never what it has sent."""

    async def make(key: str) -> SentRefund:
        for refund in await gateway.list_refunds(intent_id):
            if refund.metadata == metadata:
                return refund
        return await gateway.create_refund(intent_id, amount=amount, metadata=metadata, key=key)

    return await once(make, key)
