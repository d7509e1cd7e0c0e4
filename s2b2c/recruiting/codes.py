"""Codes to apply with (邀请码). A code says who invited, and nothing more: recruiting pays nobody anything."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c.accounts import Limit, take
from s2b2c.db import AnyRow, page
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.models import Distributor, RecruitingCode, Seat, SeatApplication, Tier
from s2b2c.network import EARNING

CODE_BYTES = 8
CODES = Limit("recruiting codes of an account", 50, timedelta(days=1))


async def make_code(
    session: AsyncSession, *, seat_id: int | None, distributor_id: int | None, account_id: int, now: datetime
) -> RecruitingCode:
    """A new code, of a distributor or of the platform, for one seat or for any.

    Raises Refused: NotFound for a seat that is not there, or that is no place below the distributor, WrongState for
    one that was closed and for a distributor that may not sell, TooManyRequests.
    """
    await take(session, now, (CODES, f"account {account_id}"))
    inviter = None
    if distributor_id is not None:
        inviter = await session.get_one(Distributor, distributor_id, populate_existing=True)
        if inviter.state not in EARNING:
            raise Refused(WrongState(f"You are {inviter.state}: only active distributors may invite."))
    if seat_id is not None:
        seat = await session.get(Seat, seat_id, populate_existing=True)
        if seat is None or not await may_invite(session, inviter, seat):
            raise Refused(NotFound("There is no such seat that you may invite to: read the open seats again."))
        if seat.closed_at is not None:
            raise Refused(WrongState("The seat is closed: nobody can apply for it."))
    code = RecruitingCode(
        code=secrets.token_urlsafe(CODE_BYTES),
        seat_id=seat_id,
        distributor_id=distributor_id,
        created_at=now,
        created_by=account_id,
    )
    session.add(code)
    await session.flush()
    return code


async def revoke_code(
    session: AsyncSession, code_id: int, *, distributor_id: int | None, account_id: int, now: datetime
) -> None:
    """Nobody applies with it any more; who has applied is not touched. A distributor revokes its own, the platform any.

    Raises Refused: NotFound, WrongState.
    """
    query = select(RecruitingCode).where(RecruitingCode.id == code_id)
    if distributor_id is not None:
        query = query.where(RecruitingCode.distributor_id == distributor_id)
    code = await session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))
    if code is None:
        raise Refused(NotFound("There is no such code of yours: read your codes again."))
    if code.revoked_at is not None:
        raise Refused(WrongState("The code was revoked already."))
    await session.execute(
        update(RecruitingCode)
        .where(RecruitingCode.id == code_id)
        .values(revoked_at=now, revoked_by=account_id)
        .execution_options(synchronize_session=False)
    )


async def codes(
    session: AsyncSession, *, distributor_id: int | None, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """The codes of a distributor, or all there are, newest first: rows as of `code_row`; `after` is an (id,)."""
    query = _codes()
    if distributor_id is not None:
        query = query.where(RecruitingCode.distributor_id == distributor_id)
    return (await session.execute(page(query, (RecruitingCode.id, "down"), after=after, limit=limit))).all()


async def code_row(session: AsyncSession, code_id: int) -> AnyRow:
    """A row of the columns of `RecruitingCode`, its `distributor`, and how many `applications` came by it."""
    return (await session.execute(_codes().where(RecruitingCode.id == code_id))).one()


async def code_for(session: AsyncSession, typed: str | None, seat: Seat) -> int | None:
    """The id of the code with which somebody applies for a seat; None where it needs none and none was said.

    Raises Refused: BadArgument where the seat needs one, NotFound for one that is not of this seat, is revoked, or is
    of a distributor that may not invite to it; which of these is not told.
    """
    if typed is None:
        if seat.needs_code:
            raise Refused(BadArgument("Only who was invited can apply for this seat: say your code."))
        return None
    found = None
    if typed.isprintable():
        query: Select[*tuple[Any, ...]] = (
            select(RecruitingCode, Distributor)
            .outerjoin(Distributor, Distributor.id == RecruitingCode.distributor_id)
            .where(
                RecruitingCode.code == typed,
                RecruitingCode.revoked_at.is_(None),
                or_(RecruitingCode.seat_id.is_(None), RecruitingCode.seat_id == seat.id),
            )
            .execution_options(populate_existing=True)
        )
        found = (await session.execute(query)).one_or_none()
    if found is not None:
        code, inviter = found
        if inviter is None or (inviter.state in EARNING and await may_invite(session, inviter, seat)):
            return int(code.id)
    raise Refused(NotFound("No code like this leads to this seat: ask whoever gave it to you."))


async def may_invite(session: AsyncSession, inviter: Distributor | None, seat: Seat) -> bool:
    """Whether a place on the seat is one below this distributor: below its parent where it has one, else below itself,
    and on no higher tier. The platform invites to any."""
    if inviter is None:
        return True
    tier, own, parent = aliased(Tier), aliased(Tier), aliased(Distributor)
    row = (
        await session.execute(
            select(tier.rank, own.rank, parent.ancestors)
            .select_from(tier)
            .join(own, own.id == inviter.tier_id)
            .outerjoin(parent, parent.id == seat.parent_id)
            .where(tier.id == seat.tier_id)
        )
    ).one()
    rank, own_rank, ancestors = row
    return bool(rank >= own_rank and (seat.parent_id is None or inviter.id in ancestors))


def _codes() -> Select[*tuple[Any, ...]]:
    applied = (
        select(func.count())
        .where(SeatApplication.code_id == RecruitingCode.id)
        .correlate(RecruitingCode)
        .scalar_subquery()
    )
    distributor = aliased(Distributor, name="distributor")
    return select(*RecruitingCode.__table__.columns, distributor, applied.label("applications")).outerjoin(
        distributor, distributor.id == RecruitingCode.distributor_id
    )
