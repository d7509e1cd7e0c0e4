"""The steps of an order. Each takes many orders at once, and an order that cannot take it stays as it is."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import commissions, ledger
from s2b2c.models import Order, OrderBatch, RefundBatch
from s2b2c.orders.refunds import apply
from s2b2c.sql import statements

OrderEvent = tuple[int, int, datetime]
"""(branch_id, id) of an order, and when it happened."""


async def pay(session: AsyncSession, payments: Sequence[OrderEvent], *, rail: str) -> int:
    """Paid orders: upline and plan are frozen, commissions written, and the whole of `paid` posted to escrow.

    Refunds that came before their payment follow it. Returns how many were paid now; a payment that arrives again
    changes nothing.
    """
    paid = await _move(session, "pay", payments)
    if paid.order_ids:
        await commissions.accrue(session, paid)
        await ledger.post_payments(session, paid, rail=rail)
        await apply(session, await session.execute(statements("refunds")["release"], paid._asdict()))
    return len(paid.order_ids)


async def awaiting_payment(session: AsyncSession, batch: OrderBatch) -> set[tuple[int, int]]:
    """Those of these orders that can be paid; the caller has locked them."""
    rows = await session.execute(
        select(Order.branch_id, Order.id).where(
            tuple_(Order.branch_id, Order.id).in_(zip(*batch, strict=True)), Order.state == "placed"
        )
    )
    return {(branch_id, order_id) for branch_id, order_id in rows}


async def complete(session: AsyncSession, completions: Sequence[OrderEvent], *, hold_days: int) -> int:
    """Completed orders: escrow is split, and commissions mature `hold_days` x 86400 s after completion.

    Returns how many were completed now; a completion that arrives again changes nothing.
    """
    completed = await _move(session, "complete", completions, hold_days=hold_days)
    if completed.order_ids:
        await ledger.post_completions(session, completed)
        refunds = RefundBatch.of(await session.execute(statements("refunds")["of_orders"], completed._asdict()))
        if refunds.refund_ids:
            await ledger.post_returns(session, refunds)
    return len(completed.order_ids)


async def receive(session: AsyncSession, receipts: Sequence[OrderEvent], *, complete_days: int) -> int:
    """Shipped orders that have arrived; they complete by themselves `complete_days` x 86400 s later.

    Returns how many were received now; a receipt that arrives again changes nothing.
    """
    return len((await _move(session, "receive", receipts, complete_days=complete_days)).order_ids)


async def cancel(session: AsyncSession, cancellations: Sequence[OrderEvent]) -> OrderBatch:
    """Orders that nobody paid for: their stock is free again. Returns those that were cancelled now."""
    return await _move(session, "cancel", cancellations)


async def expire(session: AsyncSession, *, now: datetime, limit: int) -> OrderBatch:
    """Cancel orders that nobody paid for in time."""
    late = await _due(session, "placed", now, limit)
    return await cancel(session, [(branch_id, order_id, now) for branch_id, order_id, _ in late])


async def receive_due(session: AsyncSession, *, now: datetime, limit: int, complete_days: int) -> int:
    """Orders that were shipped so long ago that they count as received, each from then on."""
    return await receive(session, await _due(session, "shipped", now, limit), complete_days=complete_days)


async def complete_due(session: AsyncSession, *, now: datetime, limit: int, hold_days: int) -> int:
    """Complete orders that were received so long ago that they stay as they are, each from then on."""
    return await complete(session, await _due(session, "received", now, limit), hold_days=hold_days)


async def _due(session: AsyncSession, state: str, now: datetime, limit: int) -> list[OrderEvent]:
    """Orders in this state whose next step is due, and since when; none that somebody else is working on."""
    rows = await session.execute(statements("orders")["due"], {"state": state, "now": now, "limit": limit})
    return [(branch_id, order_id, at) for branch_id, order_id, at in rows]


async def _move(session: AsyncSession, step: str, events: Sequence[OrderEvent], **parameters: int) -> OrderBatch:
    waiting = OrderBatch.of((branch_id, order_id) for branch_id, order_id, _ in events)
    times = [time for _, _, time in events]
    moved = await session.execute(statements("orders")[step], {**waiting._asdict(), "times": times, **parameters})
    return OrderBatch.of((branch_id, order_id) for branch_id, order_id in moved)
