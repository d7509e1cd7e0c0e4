"""What each position of an upline earns on an order line."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import MAX_INT64, AnyRow
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


class Earnings(NamedTuple):
    """Where the commissions of a distributor stand, in fen: each fen in exactly one place."""

    pending: int
    """Of paid orders whose hold is not over."""
    available: int
    """Matured, and in no statement yet."""
    in_statement: int
    paid: int


async def earnings(session: AsyncSession, distributor_id: int, now: datetime) -> Earnings:
    rows = await session.execute(statements("commissions")["earnings"], {"distributor_id": distributor_id, "now": now})
    return Earnings._make(rows.one())


async def earnings_by_day(
    session: AsyncSession, distributor_id: int, *, start: date, end: date, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What a distributor earned on the orders paid in [start, end), newest day first; `after` is a (day's ordinal,).

    Rows of (day, amount in fen, orders), of the days on which there was something to earn.
    """
    parameters = {
        "distributor_id": distributor_id,
        "start": start,
        "end": end,
        "before": end if after is None else date.fromordinal(min(max(after[0], 1), date.max.toordinal())),
        "limit": limit,
    }
    return (await session.execute(statements("commissions")["earnings_by_day"], parameters)).all()


async def earnings_by_line(
    session: AsyncSession, distributor_id: int, *, now: datetime, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Each order line in which a distributor has a share, newest first; `after` is a (place, id)."""
    place, last = after or (MAX_INT64, MAX_INT64)
    parameters = {"distributor_id": distributor_id, "now": now, "place": place, "id": last, "limit": limit}
    return (await session.execute(statements("commissions")["earnings_by_line"], parameters)).all()
