"""What each position of an upline earns on an order line."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import OrderBatch, RefundBatch
from s2b2c.sql import statements


async def accrue(session: AsyncSession, orders: OrderBatch) -> None:
    """Write the commissions of orders that were just paid, and their total into each line (fen, domain: Commissions).

    A line follows the most specific rule of its order's plan (variant > product > category > brand > everything), then
    the newest. A share is `base * rate_bps // 10000`; where the shares of a line would leave the platform less than the
    plan's margin floor they are scaled down, and say so. Without a plan or a rule all stays with the platform.

    Raises IntegrityError for an order accrued before.
    """
    await session.execute(statements("commissions")["accrue"], orders._asdict())


async def claw_back(session: AsyncSession, refunds: RefundBatch) -> None:
    """Write what refunds take back of the commissions of their lines, before they are counted in the lines.

    `target = share * refunded so far // paid`, and a refund takes back the target less what was taken before it: after
    a full refund in any number of parts nothing is left. A reversed refund gives back by the same formula.
    """
    await session.execute(statements("commissions")["claw_back"], refunds._asdict())


class Offer(NamedTuple):
    """A variant as one seller may sell it. Prices, cost and earning are fen of one unit."""

    id: int
    sku: str
    options: dict[str, str]
    in_stock: bool
    cost: int
    """What it costs the tier of the seller (拿货价)."""
    lowest_price: int
    highest_price: int
    suggested_price: int
    price: int
    """What was asked for it."""
    earning: int
    """The commission of the seller when a customer pays that price."""


async def quote(
    session: AsyncSession, distributor_id: int, asked: Sequence[tuple[int, int | None]], now: datetime
) -> dict[tuple[int, int | None], list[Offer]]:
    """What a distributor may sell of some products, and would earn: by the very statement that accrues a paid order.

    `asked` are (product_id, price); without a price the suggested one that fits the band is taken. A product that the
    distributor cannot sell is not in the answer.
    """
    rows = await session.execute(
        statements("commissions")["quote"],
        {
            "distributor_id": distributor_id,
            "now": now,
            "product_ids": [product_id for product_id, _ in asked],
            "prices": [price for _, price in asked],
        },
    )
    offers: dict[tuple[int, int | None], list[Offer]] = defaultdict(list)
    for n, *offer in rows:
        offers[asked[n - 1]].append(Offer._make(offer))
    return offers
