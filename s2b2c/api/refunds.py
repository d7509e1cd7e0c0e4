"""Money that is to go back: asked for in the same way at the doors of customers and of whoever runs the network."""

from collections.abc import Sequence

from s2b2c import models, orders, payments
from s2b2c.api.context import Info
from s2b2c.errors import BadArgument, Refused
from s2b2c.orders import OrderKey, RefundedLine

MAX_REASON_LENGTH = 500


async def ask_refund(
    info: Info, key: OrderKey, lines: Sequence[RefundedLine], reason: str, *, customer_id: int | None = None
) -> models.RefundRequest:
    """Have these lines refunded. Raises Refused as `orders.refund_amount` and `payments.ask_refund`."""
    if not reason.strip() or len(reason) > MAX_REASON_LENGTH or not reason.isprintable():
        raise Refused(BadArgument(f"The reason must be 1 to {MAX_REASON_LENGTH} printable characters."))
    branch_id, order_id = key
    viewer = await info.context.viewer()
    async with info.context.db.write() as session:
        found = await orders.refund_amount(session, key, lines, customer_id=customer_id)
        return await payments.ask_refund(
            session,
            branch_id=branch_id,
            order_id=order_id,
            payment_id=found.payment_id,
            lines=[line._asdict() for line in found.lines],
            amount=found.amount,
            reason=reason,
            account_id=viewer.account_id,
            now=info.context.clock(),
        )
