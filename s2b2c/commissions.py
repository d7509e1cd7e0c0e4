"""What each position of an upline earns on an order line."""

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import OrderBatch
from s2b2c.sql import statements


async def accrue(session: AsyncSession, orders: OrderBatch) -> None:
    """Write the commissions of orders that were just paid, and their total into each line (fen, domain: Commissions).

    A line follows the most specific rule of its order's plan (variant > product > category > brand > everything), then
    the newest. A share is `base * rate_bps // 10000`; where the shares of a line would leave the platform less than the
    plan's margin floor they are scaled down, and say so. Without a plan or a rule all stays with the platform.

    Raises IntegrityError for an order accrued before.
    """
    await session.execute(statements("commissions")["accrue"], orders._asdict())
    await session.execute(statements("commissions")["total_lines"], orders._asdict())
