"""Where rails and we differ, how long already, and how that was settled."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import page
from s2b2c.errors import NotFound, Refused, WrongState, check_line
from s2b2c.models import RailBreak, RailReport

MAX_REASON_LENGTH = 500


async def breaks(
    session: AsyncSession, *, rail: str | None, open_only: bool, after: tuple[int, ...] | None, limit: int
) -> Sequence[RailBreak]:
    """The first one found first; of one rail, or of all. `after` is an (id,)."""
    query = select(RailBreak)
    if rail is not None:
        query = query.where(RailBreak.rail == rail)
    if open_only:
        query = query.where(RailBreak.resolved_at.is_(None))
    return (await session.scalars(page(query, (RailBreak.id.expression, "up"), after=after, limit=limit))).all()


async def rail_break(session: AsyncSession, break_id: int) -> RailBreak | None:
    return await session.get(RailBreak, break_id)


async def resolve(session: AsyncSession, break_id: int, reason: str, *, by: int | None, now: datetime) -> RailBreak:
    """Say that a break is settled, and why. It stays so until a report shows another difference of the same thing.

    Raises Refused: BadArgument, NotFound, and WrongState for one that is settled.
    """
    check_line("reason", reason, MAX_REASON_LENGTH)
    found = await session.get(RailBreak, break_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise Refused(NotFound("There is no such break: read them again."))
    if found.resolved_at is not None:
        raise Refused(WrongState("It is settled already: read it again."))
    found.resolved_at, found.resolved_by, found.reason = now, by, reason
    await session.flush()
    return found


async def reports(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[RailReport]:
    """Those that were read, newest first; `after` is an (id,)."""
    query = page(select(RailReport), (RailReport.id.expression, "down"), after=after, limit=limit)
    return (await session.scalars(query)).all()


def age_days(found: RailBreak, now: datetime) -> int:
    """Whole days since it happened."""
    return max((now - found.at).days, 0)
