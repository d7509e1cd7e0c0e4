"""Applications as the person makes them: for itself, of its own accord, at no cost."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c.accounts import Limit, take
from s2b2c.db import AnyRow, page
from s2b2c.errors import AlreadyTaken, BadArgument, NotFound, Refused, WrongState, check_line
from s2b2c.models import Membership, Person, Seat, SeatApplication, SeatApplicationEvent, Tier
from s2b2c.models.recruiting import MAX_FEN
from s2b2c.recruiting.codes import code_for
from s2b2c.recruiting.seats import lock_seat

MAX_INTRODUCTION = 1_000
MOST = {"experience_months": 1_200, "audience": 10**9, "declared_output": MAX_FEN}
"""The numbers that somebody tells of itself, and how large each may be."""
APPLICATIONS = Limit("applications of a person", 20, timedelta(days=1))


class NewApplication(NamedTuple):
    """What somebody tells of itself; `declared_output` is fen in a month."""

    legal_name: str
    region: str
    introduction: str
    experience_months: int
    audience: int
    declared_output: int
    agrees: bool
    """That the platform keeps and reads this."""


async def submit(
    session: AsyncSession,
    person_id: int,
    seat_id: int,
    new: NewApplication,
    *,
    code: str | None = None,
    account_id: int,
    now: datetime,
) -> int:
    """Apply for a place on a seat: the id of the application.

    Raises Refused: BadArgument, NotFound for a seat or a code that is not there, WrongState for a seat that nobody can
    apply for now, AlreadyTaken where an application of this person waits there or was approved, TooManyRequests.
    """
    _check(new)
    await take(session, now, (APPLICATIONS, f"person {person_id}"))
    await lock_person(session, person_id)
    seat = await lock_seat(session, seat_id, shared=True)  # its weights do not change under who applies
    if seat.closed_at is not None or now < seat.opens_at or (seat.closes_at is not None and now >= seat.closes_at):
        raise Refused(WrongState("Nobody can apply for this seat now: read the open seats again."))
    if seat.taken >= seat.places:
        raise Refused(WrongState("All places of this seat are taken: read the open seats again."))
    code_id = await code_for(session, code, seat)
    await check_alone(session, person_id, seat_id)
    values = new._asdict()
    del values["agrees"]
    application = SeatApplication(
        seat_id=seat_id, person_id=person_id, code_id=code_id, state="submitted", submitted_at=now, **values
    )
    session.add(application)
    await session.flush()
    record(session, application.id, "submitted", {"seat": seat_id}, account_id=account_id, now=now)
    await session.flush()
    return application.id


async def withdraw(
    session: AsyncSession, person_id: int, application_id: int, *, account_id: int, now: datetime
) -> None:
    """Take an application of one's own back. Raises Refused: NotFound, WrongState where it was decided."""
    query = lock_application(application_id).where(SeatApplication.person_id == person_id)
    application = await session.scalar(query)
    if application is None:
        raise Refused(NotFound("You have no such application: read your applications again."))
    check_waits(application)
    await session.execute(
        update(SeatApplication)
        .where(SeatApplication.id == application_id)
        .values(state="withdrawn", decided_at=now)
        .execution_options(synchronize_session=False)
    )
    record(session, application_id, "withdrawn", {}, account_id=account_id, now=now)
    await session.flush()


async def own_applications(
    session: AsyncSession, person_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What a person has applied for, newest first: rows as of `own_application`; `after` is an (id,)."""
    query = _own(person_id)
    return (await session.execute(page(query, (SeatApplication.id, "down"), after=after, limit=limit))).all()


async def own_application(session: AsyncSession, person_id: int, application_id: int) -> AnyRow:
    """A row of the columns of `SeatApplication`, its text in plain, and `seat` and `tier`."""
    return (await session.execute(_own(person_id).where(SeatApplication.id == application_id))).one()


def _own(person_id: int) -> Select[*tuple[Any, ...]]:
    seat, tier = aliased(Seat, name="seat"), aliased(Tier, name="tier")
    return (
        select(*SeatApplication.__table__.columns, seat, tier)
        .join(seat, seat.id == SeatApplication.seat_id)
        .join(tier, tier.id == seat.tier_id)
        .where(SeatApplication.person_id == person_id)
        .execution_options(populate_existing=True)
    )


async def lock_person(session: AsyncSession, person_id: int) -> None:
    """Before seats and applications: nobody else applies or is erased as this person until the transaction ends.

    Raises Refused(NotFound) for one that was erased meanwhile.
    """
    await session.scalar(select(Person.id).where(Person.id == person_id).with_for_update())
    holds = select(Membership.person_id).where(Membership.person_id == person_id).limit(1)
    if await session.scalar(holds) is None:
        raise Refused(NotFound("There is no such person any more: sign in again."))


def lock_application(application_id: int) -> Select[SeatApplication]:
    return (
        select(SeatApplication)
        .where(SeatApplication.id == application_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def check_waits(application: SeatApplication) -> None:
    """Raises Refused(WrongState) for an application that was decided or withdrawn."""
    if application.state != "submitted":
        raise Refused(WrongState(f"The application is {application.state}: only one that waits can be changed."))


async def check_alone(session: AsyncSession, person_id: int, seat_id: int) -> None:
    """Raises Refused(AlreadyTaken) where the person waits for this seat or has a place on it; it is locked."""
    taken = select(SeatApplication.id).where(
        SeatApplication.person_id == person_id,
        SeatApplication.seat_id == seat_id,
        SeatApplication.state.in_(("submitted", "approved")),
    )
    if await session.scalar(taken) is not None:
        raise Refused(AlreadyTaken("There is an application of this person for this seat already."))


def record(
    session: AsyncSession,
    application_id: int,
    kind: str,
    facts: dict[str, Any],
    *,
    account_id: int,
    now: datetime,
    reason: str | None = None,
) -> None:
    """Write down what was done with an application, by whom and when."""
    session.add(
        SeatApplicationEvent(
            application_id=application_id, kind=kind, at=now, account_id=account_id, facts=facts, reason=reason
        )
    )


def check_number(criterion: str, number: int) -> None:
    """Raises Refused(BadArgument)."""
    if not 0 <= number <= MOST[criterion]:
        raise Refused(BadArgument(f"{criterion} must be 0 to {MOST[criterion]}."))


def _check(new: NewApplication) -> None:
    if not new.agrees:
        raise Refused(
            BadArgument("Agree that the platform keeps and reads what you tell of yourself, or do not apply.")
        )
    check_line("name", new.legal_name, 50)
    check_line("region", new.region, 100)
    text = new.introduction
    if not text.strip() or len(text) > MAX_INTRODUCTION or not text.replace("\n", "").isprintable():
        raise Refused(BadArgument(f"introduction must be 1 to {MAX_INTRODUCTION} printable characters."))
    for criterion in MOST:
        check_number(criterion, getattr(new, criterion))
