"""Applications as the platform judges them: ranked and explained, checked, approved once for each place."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c import network
from s2b2c.accounts import account_of, people
from s2b2c.accounts.sessions import MAX_MEMBERSHIPS
from s2b2c.db import AnyRow, page
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState, check_line
from s2b2c.models import (
    Account,
    Distributor,
    Membership,
    RecruitingCode,
    Seat,
    SeatApplication,
    SeatApplicationEvent,
    Tier,
)
from s2b2c.network import EARNING
from s2b2c.recruiting.applying import (
    check_alone,
    check_number,
    check_waits,
    lock_application,
    lock_person,
    record,
)
from s2b2c.recruiting.seats import lock_seat
from s2b2c.sealed import masked
from s2b2c.sql import statements

Verified = Literal["experience_months", "audience", "declared_output"]
VERIFIED: dict[str, str] = {
    "experience_months": "verified_experience_months",
    "audience": "verified_audience",
    "declared_output": "verified_output",
}
"""Which column holds what was found out of a number that somebody told of itself."""
MAX_REVIEW = 100
_NOT_COUNTED = {"after_score": None, "after_us": None, "after_id": None}


class Criterion(NamedTuple):
    """Of one criterion: what counts of an application, its place among all that wait, and what that is worth."""

    criterion: str
    value: int
    is_verified: bool
    rank: int
    share_bps: int
    weight_bps: int


class Ranked(NamedTuple):
    """An application that waits, as it stands among the `total` that do. `row` has the columns of `SeatApplication`,
    masked as in `application_row`."""

    id: int
    position: int
    total: int
    score: int
    weights_version: int
    criteria: list[Criterion]
    submitted_us: int
    row: AnyRow


async def ranked(session: AsyncSession, seat_id: int, *, after: tuple[int, ...] | None, limit: int) -> list[Ranked]:
    """Who waits for a seat, the best first: at most `limit` behind the key `after`, a (score, submitted_us, id).

    Of each criterion 10000 x (2 x worse + equal) // (2 x (n - 1)), alone 5000; the score is their weighted sum
    // 10000; of equal scores who came first. Two statements.
    """
    score, submitted_us, behind = after or (None, None, None)
    behind_it = {"after_score": score, "after_us": submitted_us, "after_id": behind}
    return await _ranked(session, {"seat_id": seat_id, "application_id": None, "limit": limit, **behind_it})


async def standing(session: AsyncSession, seat_id: int, application_id: int) -> Ranked | None:
    """How one application stands; None where it waits for this seat no more."""
    found = await _ranked(session, {"seat_id": seat_id, "application_id": application_id, "limit": 1, **_NOT_COUNTED})
    return found[0] if found else None


async def _ranked(session: AsyncSession, values: dict[str, Any]) -> list[Ranked]:
    places = (await session.execute(statements("recruiting")["ranked"], values)).all()
    query: Select[*tuple[Any, ...]] = select(*_masked()).where(SeatApplication.id.in_([place.id for place in places]))
    rows = {row.id: row for row in await session.execute(query)}
    return [
        Ranked(
            place.id,
            place.position,
            place.total,
            place.score,
            place.weights_version,
            [Criterion(**it) for it in place.criteria],
            place.submitted_us,
            rows[place.id],
        )
        for place in places
        if place.id in rows
    ]


def _masked() -> list[Any]:
    """The columns of `SeatApplication` as a list shows them: of what says who it is the first letter of the name."""
    name = masked(cast(Any, SeatApplication.legal_name)).label("legal_name")
    hidden = {"legal_name", "region", "introduction"}
    return [name, *(column for column in SeatApplication.__table__.columns if column.key not in hidden)]


async def applications(
    session: AsyncSession, *, seat_id: int | None, state: str | None, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Applications, newest first: masked rows, as of `application_row`; `after` is an (id,)."""
    query: Select[*tuple[Any, ...]] = select(*_masked())
    if seat_id is not None:
        query = query.where(SeatApplication.seat_id == seat_id)
    if state is not None:
        query = query.where(SeatApplication.state == state)
    return (await session.execute(page(query, (SeatApplication.id, "down"), after=after, limit=limit))).all()


async def application_row(session: AsyncSession, application_id: int) -> AnyRow:
    """The columns of `SeatApplication`, the name masked, without its region and its text."""
    query: Select[*tuple[Any, ...]] = select(*_masked()).where(SeatApplication.id == application_id)
    return (await session.execute(query)).one()


async def application(session: AsyncSession, application_id: int) -> AnyRow | None:
    """An application in plain, whose reading the caller puts on record: the columns of `SeatApplication`, `tier`,
    `seat`, `inviter` (None where the platform invited or nobody did), and the person's `customer_id`."""
    seat, tier = aliased(Seat, name="seat"), aliased(Tier, name="tier")
    inviter = aliased(Distributor, name="inviter")
    customer = (
        select(Account.customer_id)
        .join(Membership, Membership.account_id == Account.id)
        .where(Membership.person_id == SeatApplication.person_id, Membership.role == "customer")
        .correlate(SeatApplication)
        .scalar_subquery()
    )
    query: Select[*tuple[Any, ...]] = (
        select(*SeatApplication.__table__.columns, seat, tier, inviter, customer.label("customer_id"))
        .join(seat, seat.id == SeatApplication.seat_id)
        .join(tier, tier.id == seat.tier_id)
        .outerjoin(RecruitingCode, RecruitingCode.id == SeatApplication.code_id)
        .outerjoin(inviter, inviter.id == RecruitingCode.distributor_id)
        .where(SeatApplication.id == application_id)
        .execution_options(populate_existing=True)
    )
    return (await session.execute(query)).one_or_none()


async def events(session: AsyncSession, application_id: int) -> Sequence[AnyRow]:
    """What was done with an application, the first first, at most the last 200: rows of the columns of
    `SeatApplicationEvent` and `by`, the account that did it."""
    by = aliased(Account, name="by")
    query: Select[*tuple[Any, ...]] = (
        select(*SeatApplicationEvent.__table__.columns, by)
        .outerjoin(by, by.id == SeatApplicationEvent.account_id)
        .where(SeatApplicationEvent.application_id == application_id)
        .order_by(SeatApplicationEvent.id.desc())
        .limit(200)
    )
    return list(reversed((await session.execute(query)).all()))


async def verify(
    session: AsyncSession,
    application_id: int,
    criterion: Verified,
    number: int | None,
    reason: str,
    *,
    account_id: int,
    now: datetime,
) -> None:
    """Put what was found out beside what was declared: it counts instead. None takes it away again.

    Raises Refused: BadArgument, NotFound, WrongState.
    """
    check_line("reason", reason, 200)
    if number is not None:
        check_number(criterion, number)
    await _change(
        session,
        application_id,
        {VERIFIED[criterion]: number},
        "verified",
        {"criterion": criterion, "value": number},
        reason,
        account_id=account_id,
        now=now,
    )


async def review(
    session: AsyncSession, application_id: int, rating: int, comment: str, *, account_id: int, now: datetime
) -> None:
    """What a person of the platform thinks of it, 0 to 100; the newest counts.

    Raises Refused: BadArgument, NotFound, WrongState.
    """
    check_line("comment", comment, 200)
    if not 0 <= rating <= MAX_REVIEW:
        raise Refused(BadArgument(f"rating must be 0 to {MAX_REVIEW}."))
    facts = {"criterion": "review", "value": rating}
    await _change(
        session, application_id, {"review": rating}, "reviewed", facts, comment, account_id=account_id, now=now
    )


async def reject(session: AsyncSession, application_id: int, reason: str, *, account_id: int, now: datetime) -> None:
    """submitted -> rejected; the person reads the reason. Raises Refused: BadArgument, NotFound, WrongState."""
    check_line("reason", reason, 200)
    values = {"state": "rejected", "decided_at": now, "reason": reason}
    await _change(session, application_id, values, "rejected", None, reason, account_id=account_id, now=now)


async def _change(
    session: AsyncSession,
    application_id: int,
    values: dict[str, Any],
    kind: str,
    facts: dict[str, Any] | None,
    reason: str | None,
    *,
    account_id: int,
    now: datetime,
) -> None:
    """Change one that waits; without `facts` how it stood is put on record."""
    found = await session.scalar(lock_application(application_id))
    if found is None:
        raise Refused(NO_APPLICATION)
    check_waits(found)
    if facts is None:
        facts = await _stood(session, found.seat_id, application_id)
    await session.execute(
        update(SeatApplication)
        .where(SeatApplication.id == application_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    record(session, application_id, kind, facts, account_id=account_id, now=now, reason=reason)
    await session.flush()


async def _stood(session: AsyncSession, seat_id: int, application_id: int) -> dict[str, Any]:
    """Where it stood among those that waited, and by which version of the weights."""
    it = await standing(session, seat_id, application_id)
    assert it is not None, "one that waits is ranked"
    return {
        "score": it.score,
        "position": it.position,
        "total": it.total,
        "weights_version": it.weights_version,
        "criteria": [one._asdict() for one in it.criteria],
    }


async def move_application(
    session: AsyncSession, application_id: int, seat_id: int, reason: str, *, account_id: int, now: datetime
) -> None:
    """Let one that waits wait for another seat of the same tier and region, as of when it was submitted.

    Raises Refused: BadArgument, NotFound, AlreadyTaken where its person waits there already, WrongState for an
    application that was decided and for a seat that is closed, full, or elsewhere.
    """
    check_line("reason", reason, 200)
    before = await _look(session, application_id)
    await lock_person(session, before.person_id)
    locked = {key: await lock_seat(session, key) for key in sorted({before.seat_id, seat_id})}
    found = await _still(session, application_id, before)
    old, new = locked[before.seat_id], locked[seat_id]
    if new.id == old.id:
        raise Refused(WrongState("It waits for this seat already."))
    if (new.tier_id, new.region) != (old.tier_id, old.region):
        raise Refused(WrongState("The other seat is of another tier or region: its person must apply for that itself."))
    if new.closed_at is not None or new.taken >= new.places:
        raise Refused(WrongState("The other seat is closed, or all its places are taken: choose another one."))
    await check_alone(session, found.person_id, seat_id)
    facts = {"from_seat": old.id, "to_seat": new.id, **await _stood(session, old.id, application_id)}
    await session.execute(
        update(SeatApplication)
        .where(SeatApplication.id == application_id)
        .values(seat_id=seat_id)
        .execution_options(synchronize_session=False)
    )
    record(session, application_id, "moved", facts, account_id=account_id, now=now, reason=reason)
    await session.flush()


class Approval(NamedTuple):
    """How everybody calls the new distributor, and below whom it stands. Without a code it gets one; without a parent
    that follows from the seat and the code it applied with."""

    name: str
    code: str | None = None
    parent_id: int | None = None


async def approve(
    session: AsyncSession,
    application_id: int,
    approval: Approval,
    *,
    reason: str,
    account_id: int,
    now: datetime,
) -> network.Standing:
    """Give a place of the seat to an application: its person acts for a new distributor from now on, active at once.

    It stands below the parent that is named, else the seat's, else who invited while that one is active or on watch,
    else nobody. A place is taken once: whoever comes for the last one at the same time is refused.
    Raises Refused: BadArgument, NotFound, AlreadyTaken for a code that is a distributor's, WrongState where it was
    decided, the seat is closed or full, or its parent takes nobody.
    """
    check_line("reason", reason, 200)
    before = await _look(session, application_id)
    await lock_person(session, before.person_id)
    seat = await lock_seat(session, before.seat_id)
    found = await _still(session, application_id, before)
    if seat.closed_at is not None:
        raise Refused(WrongState("The seat is closed: move the application to an open one."))
    if seat.taken >= seat.places:
        raise Refused(WrongState("All places of the seat are taken: move the application to another one."))
    held = await session.scalar(select(func.count()).where(Membership.person_id == found.person_id))
    if held is not None and held >= MAX_MEMBERSHIPS:
        raise Refused(WrongState(f"The person holds {MAX_MEMBERSHIPS} memberships, more than anybody needs."))
    facts = await _stood(session, seat.id, application_id)
    tier = await session.get_one(Tier, seat.tier_id)
    applied = await network.apply(
        session,
        code=approval.code or f"{tier.code}-{application_id:06}",
        name=approval.name,
        tier_id=seat.tier_id,
        parent_id=await _parent(session, approval, seat, found),
        region=seat.region,
        now=now - timedelta(microseconds=1),  # a span of history has a length, also of who is approved at once
        account_id=account_id,
    )
    approved = await network.approve(session, applied.id, now=now, account_id=account_id)
    acts_as = await account_of(session, "distributor", None, applied.id)
    await people.join(session, found.person_id, acts_as)
    await session.execute(
        update(Seat).where(Seat.id == seat.id).values(taken=Seat.taken + 1).execution_options(synchronize_session=False)
    )
    await session.execute(
        update(SeatApplication)
        .where(SeatApplication.id == application_id)
        .values(state="approved", decided_at=now, reason=reason, distributor_id=applied.id)
        .execution_options(synchronize_session=False)
    )
    record(session, application_id, "approved", facts, account_id=account_id, now=now, reason=reason)
    await session.flush()
    return approved


async def _parent(session: AsyncSession, approval: Approval, seat: Seat, found: SeatApplication) -> int | None:
    if approval.parent_id is not None or seat.parent_id is not None:
        return approval.parent_id or seat.parent_id
    inviter = (
        select(Distributor.id)
        .join(RecruitingCode, RecruitingCode.distributor_id == Distributor.id)
        .where(RecruitingCode.id == found.code_id, Distributor.state.in_(EARNING))
    )
    return await session.scalar(inviter)


class _Before(NamedTuple):
    person_id: int
    seat_id: int


async def _look(session: AsyncSession, application_id: int) -> _Before:
    """Which person and seat are to be locked first. Raises Refused(NotFound)."""
    query = select(SeatApplication.person_id, SeatApplication.seat_id).where(SeatApplication.id == application_id)
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise Refused(NO_APPLICATION)
    return _Before(*found)


async def _still(session: AsyncSession, application_id: int, before: _Before) -> SeatApplication:
    """The application, locked after its person and its seat. Raises Refused(WrongState) where it waits no more, or was
    moved in this moment."""
    found = cast(SeatApplication, await session.scalar(lock_application(application_id)))
    check_waits(found)
    if (found.person_id, found.seat_id) != before:
        raise Refused(WrongState("The application was moved in this moment: look again, then try again."))
    return found


NO_APPLICATION = NotFound("There is no such application: read the applications again.")
