"""Seats: places that are to be filled, and where somebody is missing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c.db import AnyRow, page
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState, check_line
from s2b2c.models import Distributor, Seat, SeatApplication, Tier
from s2b2c.network import EARNING
from s2b2c.sql import statements

MAX_PLACES = 1_000
MAX_DAYS = 3_660


class Weights(NamedTuple):
    """How much each criterion counts, in basis points; together 10000."""

    experience_bps: int
    audience_bps: int
    output_bps: int
    review_bps: int


class NewSeat(NamedTuple):
    """Places to fill. Without a time of closing it is open until somebody closes it."""

    tier_id: int
    region: str
    places: int
    weights: Weights
    opens_at: datetime
    closes_at: datetime | None = None
    parent_id: int | None = None
    needs_code: bool = False


async def open_seat(session: AsyncSession, new: NewSeat, *, account_id: int, now: datetime) -> Seat:
    """Let people apply for places on a tier in a region.

    Raises Refused: BadArgument, NotFound for a tier or a parent that is not there, WrongState for a parent that takes
    nobody.
    """
    check_line("region", new.region, 200)
    _check_weights(new.weights)
    if not 1 <= new.places <= MAX_PLACES:
        raise Refused(BadArgument(f"places must be 1 to {MAX_PLACES}."))
    if new.closes_at is not None and new.closes_at <= max(new.opens_at, now):
        raise Refused(BadArgument("closesAt must be after opensAt, and not be over."))
    if await session.scalar(select(Tier.id).where(Tier.id == new.tier_id)) is None:
        raise Refused(NotFound("There is no such tier: choose one of the list of tiers."))
    if new.parent_id is not None:
        parent = await session.get(Distributor, new.parent_id, populate_existing=True)
        if parent is None:
            raise Refused(NotFound("There is no such distributor to stand above it: choose one of the list."))
        if parent.state not in EARNING:
            raise Refused(WrongState(f"{parent.code} is {parent.state}: nobody joins below it. Choose another one."))
    values = new._asdict()
    weights = values.pop("weights")
    seat = Seat(**values, **weights._asdict(), created_at=now, created_by=account_id)
    session.add(seat)
    await session.flush()
    return seat


async def change_weights(session: AsyncSession, seat_id: int, weights: Weights) -> None:
    """Compare by other weights, a version more; once somebody has applied they stay as they are.

    Raises Refused: BadArgument, NotFound, WrongState.
    """
    _check_weights(weights)
    seat = await lock_seat(session, seat_id)
    if seat.closed_at is not None:
        raise Refused(_CLOSED)
    applied = select(SeatApplication.id).where(SeatApplication.seat_id == seat_id).limit(1)
    if await session.scalar(applied) is not None:
        raise Refused(WrongState("Somebody has applied by these weights, so they stay: open another seat instead."))
    await session.execute(
        update(Seat)
        .where(Seat.id == seat_id)
        .values(**weights._asdict(), weights_version=Seat.weights_version + 1)
        .execution_options(synchronize_session=False)
    )


async def close_seat(session: AsyncSession, seat_id: int, reason: str, *, account_id: int, now: datetime) -> None:
    """Nobody applies for it or is approved on it any more; who waits can be moved or rejected.

    Raises Refused: BadArgument, NotFound, WrongState.
    """
    check_line("reason", reason, 200)
    seat = await lock_seat(session, seat_id)
    if seat.closed_at is not None:
        raise Refused(_CLOSED)
    await session.execute(
        update(Seat)
        .where(Seat.id == seat_id)
        .values(closed_at=now, closed_by=account_id, close_reason=reason)
        .execution_options(synchronize_session=False)
    )


async def lock_seat(session: AsyncSession, seat_id: int, *, shared: bool = False) -> Seat:
    """The seat as it is now. Until the end of the transaction nobody else takes a place of it, changes its weights or
    closes it; `shared` keeps out who does that alone. Raises Refused(NotFound)."""
    query = (
        select(Seat)
        .where(Seat.id == seat_id)
        .with_for_update(read=shared, key_share=not shared)
        .execution_options(populate_existing=True)
    )
    seat = await session.scalar(query)
    if seat is None:
        raise Refused(NO_SEAT)
    return seat


async def seat_row(session: AsyncSession, seat_id: int) -> AnyRow | None:
    """A row as of `seats`."""
    return (await session.execute(_seats().where(Seat.id == seat_id))).one_or_none()


async def seats(
    session: AsyncSession, *, open_only: bool, now: datetime, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Seats, newest first: rows of the columns of `Seat`, `tier`, `parent` and how many are `waiting`; `after` is an
    (id,)."""
    query = _seats()
    if open_only:
        query = query.where(is_open(now))
    return (await session.execute(page(query, (Seat.id, "down"), after=after, limit=limit))).all()


class Vacancy(NamedTuple):
    """A tier and region where somebody is missing, and how many stand there, have gone, can join, and wait."""

    tier: Tier
    region: str
    active: int
    gone: int
    open_places: int
    waiting: int
    key: tuple[int, int, int]


async def vacancies(
    session: AsyncSession, *, days: int, now: datetime, after: tuple[int, ...] | None, limit: int
) -> list[Vacancy]:
    """Where somebody is missing, by tier and region, most gone first; `after` is the key of one. Two statements.

    `gone` are those whom the last `days` suspended or eliminated and who are so still. Raises Refused(BadArgument).
    """
    if not 1 <= days <= MAX_DAYS:
        raise Refused(BadArgument(f"days must be 1 to {MAX_DAYS}."))
    gone, tier_id, region = after or (None, None, None)
    values = {"after_gone": gone, "after_tier": tier_id, "after_region": region}
    found = await session.execute(
        statements("recruiting")["vacancies"],
        {"since": now - timedelta(days=days), "now": now, "limit": limit, **values},
    )
    rows = found.all()
    tiers = {it.id: it for it in await session.scalars(select(Tier).where(Tier.id.in_({row.tier_id for row in rows})))}
    return [
        Vacancy(
            tiers[row.tier_id],
            row.region,
            row.active,
            row.gone,
            row.open_places,
            row.waiting,
            (row.gone, row.tier_id, row.region_key),
        )
        for row in rows
    ]


def is_open(now: datetime) -> ColumnElement[bool]:
    """That somebody may apply: not closed, in its period, and a place is left."""
    return and_(
        Seat.closed_at.is_(None),
        Seat.opens_at <= now,
        or_(Seat.closes_at.is_(None), Seat.closes_at > now),
        Seat.taken < Seat.places,
    )


def _seats() -> Select[*tuple[Any, ...]]:
    tier, parent = aliased(Tier, name="tier"), aliased(Distributor, name="parent")
    waiting = (
        select(func.count())
        .where(SeatApplication.seat_id == Seat.id, SeatApplication.state == "submitted")
        .correlate(Seat)
        .scalar_subquery()
    )
    return (
        select(*Seat.__table__.columns, tier, parent, waiting.label("waiting"))
        .join(tier, tier.id == Seat.tier_id)
        .outerjoin(parent, parent.id == Seat.parent_id)
    )


def _check_weights(weights: Weights) -> None:
    if min(weights) < 0 or sum(weights) != 10_000:
        raise Refused(
            BadArgument(f"The weights are {sum(weights)} basis points together, but must be 0 or more, and 10000.")
        )


NO_SEAT = NotFound("There is no such seat: read the seats again.")
_CLOSED = WrongState("The seat is closed already.")
