"""Daily totals, kept up by adding each order and each refund once."""

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import RefundBatch
from s2b2c.sql import statements


async def roll_up(session: AsyncSession, limit: int = 10_000) -> int:
    """Add up to `limit` paid orders, and as many refunds, each once, to the daily totals; how many.

    What is added is marked by the same transaction, so nothing is counted twice or missed, wherever it breaks off. One
    worker adds at a time, up to the end of its transaction; others wait. Refunds come after their orders. 0 means that
    nothing is left but what somebody holds now.
    """
    await session.execute(statements("ranking")["lock"])
    added: int = (await session.scalars(statements("ranking")["add_orders"], {"limit": limit})).one()
    refunds = RefundBatch.of(await session.execute(statements("ranking")["take_refunds"], {"limit": limit}))
    if refunds.refund_ids:
        for step in ("keep", "add_refunds"):
            await session.execute(statements("ranking")[step], refunds._asdict())
    return added + len(refunds.refund_ids)
