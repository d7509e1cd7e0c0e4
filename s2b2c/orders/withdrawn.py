"""Orders that wait for payment and hold a product that is withdrawn."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import OrderBatch
from s2b2c.orders.steps import cancel
from s2b2c.sql import statements

_KEY = "hashtext('s2b2c.withdrawal')"
_WAIT = text(f"SELECT pg_advisory_xact_lock({_KEY})")
_KEEP_OUT = text(f"SELECT pg_advisory_xact_lock_shared({_KEY})")


class Unpaid(NamedTuple):
    """Orders, and what their lines of one product cost in fen."""

    orders: OrderBatch
    amount: int


async def keep_out_withdrawals(session: AsyncSession) -> None:
    """Until the end of the transaction no withdrawal looks for orders; one that is at it is waited for.

    It is a statement of its own, before the one that places: that one then sees what a withdrawal has done.
    """
    await session.execute(_KEEP_OUT)


async def unpaid_with(session: AsyncSession, product_id: int) -> Unpaid:
    """The orders with this product that wait for payment."""
    rows = (await session.execute(statements("orders")["unpaid_with"], {"product_id": product_id})).all()
    return Unpaid(OrderBatch.of((row.branch_id, row.id) for row in rows), sum(row.amount for row in rows))


async def cancel_withdrawn(session: AsyncSession, product_id: int, now: datetime) -> Unpaid:
    """Cancel the orders with this product that wait for payment, whatever else is in them; paid ones stay.

    The product is not on offer any more, in this transaction: whoever places an order now is waited for and its order
    found, and whoever comes later waits and sees that.
    """
    await session.execute(_WAIT)
    rows = (await session.execute(statements("orders")["unpaid_with"], {"product_id": product_id})).all()
    cancelled = await cancel(session, [(row.branch_id, row.id, now) for row in rows])
    keys = set(zip(*cancelled, strict=True))
    return Unpaid(cancelled, sum(row.amount for row in rows if (row.branch_id, row.id) in keys))
