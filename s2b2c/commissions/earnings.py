"""Where the commissions of a distributor stand, and what made them up."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.commissions.explain import CommissionKey
from s2b2c.db import MAX_INT64, AnyRow
from s2b2c.sql import statements


class Earnings(NamedTuple):
    """Where the commissions of a distributor stand, net of what refunds took back: each fen in exactly one place.

    Below 0 where a refund took back what had been settled before.
    """

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

    Rows of (day, amount in fen net of all refunds to date, orders), of the days on which there was something to earn.
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
    """Each order line in which a distributor has a share, newest first; `after` is a (place, id).

    Rows of (place, branch_id, id, order_no, line_no, paid_at, matures_at, store_slug, store_title, product_title, sku,
    state) with the columns of `explanations.columns`.
    """
    place, last = after or (MAX_INT64, MAX_INT64)
    parameters = {"distributor_id": distributor_id, "now": now, "place": place, "id": last, "limit": limit}
    return (await session.execute(statements("commissions")["earnings_by_line"], parameters)).all()


async def earnings_of(session: AsyncSession, distributor_id: int, key: CommissionKey, now: datetime) -> AnyRow | None:
    """A row as of `earnings_by_line`; None when this distributor has no such commission."""
    branch_id, line_id, position = key
    parameters = {
        "distributor_id": distributor_id,
        "branch_id": branch_id,
        "line_id": line_id,
        "position": position,
        "now": now,
    }
    return (await session.execute(statements("commissions")["earnings_of"], parameters)).one_or_none()
