"""The life of an order. Every step takes many orders at once and is the same for one and for a million."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import commissions, ledger
from s2b2c.models import OrderBatch
from s2b2c.sql import statements

OrderEvent = tuple[int, int, datetime]
"""(branch_id, id) of an order, and when it happened."""


async def pay(session: AsyncSession, payments: Sequence[OrderEvent], *, rail: str) -> int:
    """Paid orders: upline and plan are frozen, commissions written, and the whole of `paid` posted to escrow.

    Returns how many were paid now; a payment that arrives again changes nothing.
    """
    paid = await _move(session, "pay", payments)
    if paid.order_ids:
        await commissions.accrue(session, paid)
        await ledger.post_payments(session, paid, rail=rail)
    return len(paid.order_ids)


async def complete(session: AsyncSession, completions: Sequence[OrderEvent], *, hold_days: int) -> int:
    """Completed orders: escrow is split, and commissions mature `hold_days` x 86400 s after completion.

    Returns how many were completed now; a completion that arrives again changes nothing.
    """
    completed = await _move(session, "complete", completions, hold_days=hold_days)
    if completed.order_ids:
        await ledger.post_completions(session, completed)
    return len(completed.order_ids)


async def _move(session: AsyncSession, step: str, events: Sequence[OrderEvent], **parameters: int) -> OrderBatch:
    waiting = OrderBatch.of((branch_id, order_id) for branch_id, order_id, _ in events)
    times = [time for _, _, time in events]
    moved = await session.execute(statements("orders")[step], {**waiting._asdict(), "times": times, **parameters})
    return OrderBatch.of((branch_id, order_id) for branch_id, order_id in moved)
