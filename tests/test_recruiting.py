"""Seats are filled by who is best among those that applied, and nobody pays or earns anything for it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from functools import partial
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, network, recruiting
from s2b2c.db import Database
from s2b2c.errors import AlreadyTaken, BadArgument, Refusal, Refused, WrongState
from tests import factories
from tests.recruits import (
    NOW,
    a_person,
    a_seat,
    a_world,
    apply,
    approve,
    findings,
    refusal,
    refused,
    told,
)

# Ranked


async def test_five_applications_with_a_tie_and_a_verified_number(session: AsyncSession) -> None:
    """By hand: of five, a share is 10000 x (2 x worse + equal) // 8.

    months 6, 24, 24, 36, 0 -> 2500, 6250, 6250, 10000, 0
    audience 500, 800 (900 was told), 800, 200, 900 -> 2500, 6250, 6250, 0, 10000
    output 100, 100, 100, 300, 500 -> 2500, 2500, 2500, 7500, 10000
    review 0 (none yet), 80, 80, 40, 100 -> 0, 6250, 6250, 2500, 10000
    x 3000, 3000, 2000, 2000 // 10000 -> 2000, 5500, 5500, 5000, 7000
    """
    world = await a_world(session)
    seat_id = await a_seat(session, world)
    numbers = [(6, 500, 100), (24, 900, 100), (24, 800, 100), (36, 200, 300), (0, 900, 500)]
    ids = []
    for number, (months, audience, output) in enumerate(numbers):
        new = told(number, months=months, audience=audience, output=output)
        at = NOW + timedelta(minutes=[9, 8, 7, 6, 5][number])  # the third came before the second
        ids.append(await apply(session, seat_id, await a_person(session, number), new, now=at))
    how: dict[str, Any] = {"account_id": world.account_id, "now": NOW + timedelta(hours=1)}
    await recruiting.verify(session, ids[1], "audience", 800, "群里数过", **how)
    for it, rating in zip(ids[1:], (80, 80, 40, 100), strict=True):
        await recruiting.review(session, it, rating, "面谈", **how)
    found = await recruiting.ranked(session, seat_id, after=None, limit=10)
    assert [(it.id, it.position, it.score) for it in found] == [
        (ids[4], 1, 7000), (ids[2], 2, 5500), (ids[1], 3, 5500), (ids[3], 4, 5000), (ids[0], 5, 2000),
    ]  # fmt: skip
    assert {(it.total, it.weights_version) for it in found} == {(5, 1)}
    assert [tuple(one) for one in found[2].criteria] == [
        ("experience_months", 24, False, 2, 6250, 3000),
        ("audience", 800, True, 2, 6250, 3000),
        ("declared_output", 100, False, 3, 2500, 2000),
        ("review", 80, True, 2, 6250, 2000),
    ]
    assert (found[2].row.legal_name, found[2].row.audience, found[2].row.verified_audience) == ("王**", 900, 800)
    assert not hasattr(found[2].row, "introduction")
    alone = await recruiting.standing(session, seat_id, ids[1])
    assert alone == found[2]
    pages: list[int] = []
    after = None
    while page := await recruiting.ranked(session, seat_id, after=after, limit=2):
        pages += [it.id for it in page]
        after = (page[-1].score, page[-1].submitted_us, page[-1].id)
    assert pages == [it.id for it in found]
    await recruiting.verify(session, ids[1], "audience", None, "数错了", **how)
    assert (await recruiting.ranked(session, seat_id, after=None, limit=1))[0].id == ids[4]
    again = await recruiting.standing(session, seat_id, ids[1])
    assert again is not None
    assert again.criteria[1][1:5] == (900, False, 1, 8750)
    kinds = [(it.kind, it.facts, it.reason) for it in await recruiting.events(session, ids[1])]
    assert kinds == [
        ("submitted", {"seat": seat_id}, None),
        ("verified", {"criterion": "audience", "value": 800}, "群里数过"),
        ("reviewed", {"criterion": "review", "value": 80}, "面谈"),
        ("verified", {"criterion": "audience", "value": None}, "数错了"),
    ]


async def test_one_alone_has_the_middle(session: AsyncSession) -> None:
    world = await a_world(session)
    seat_id = await a_seat(session, world)
    await apply(session, seat_id, await a_person(session))
    (it,) = await recruiting.ranked(session, seat_id, after=None, limit=5)
    assert (it.position, it.total, it.score, [one.share_bps for one in it.criteria]) == (1, 1, 5000, [5000] * 4)


# States


async def test_an_approval_makes_a_distributor_its_membership_and_takes_a_place(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)
        code = await recruiting.make_code(
            session, seat_id=None, distributor_id=world.inviter.id, account_id=world.account_id, now=NOW
        )
        seat_id = await a_seat(session, world, places=2, needs_code=True)
        person_id = await a_person(session)
        application_id = await apply(session, seat_id, person_id, code=code.code)
    async with db.write() as session:
        made = await approve(session, world, application_id)
    assert (made.code, made.name, made.state, made.region) == (
        f"{world.city.code}-{application_id:06}", "杭州新店", "active", "华东",
    )  # fmt: skip
    assert made.joined_on == date(2026, 11, 24), "days of grace begin on the day of the approval"
    assert made.ancestors == [made.id, world.inviter.id]
    async with db.read() as session:
        (application,) = await session.scalars(select(models.SeatApplication))
        assert (application.state, application.distributor_id, application.reason) == ("approved", made.id, "资质齐全")
        assert await session.scalar(select(models.Seat.taken)) == 1
        held = await session.scalars(
            select(models.Membership.role).where(models.Membership.person_id == person_id).order_by("role")
        )
        assert held.all() == ["customer", "distributor"]
        spans = await network.history(session, made.id, after=None, limit=9)
        assert [(it.state, it.start) for it in spans] == [
            ("active", NOW + timedelta(days=1)),
            ("applied", NOW + timedelta(days=1) - timedelta(microseconds=1)),
        ]
        steps = await recruiting.onboarding(session, made.id)
        assert [tuple(it) for it in steps] == [
            ("payee_told", False, None), ("store_open", False, None), ("first_listing", False, None),
            ("first_sale", False, None),
        ]  # fmt: skip
        (row,) = await recruiting.codes(session, distributor_id=world.inviter.id, after=None, limit=9)
        assert (row.code, row.applications) == (code.code, 1)
        last = (await recruiting.events(session, application_id))[-1]
        assert (last.kind, last.account_id, last.facts["score"], last.facts["position"]) == (
            "approved", world.account_id, 5000, 1,
        )  # fmt: skip
        notices = (await session.scalars(select(models.Notice.kind))).all()
    assert notices == ["application_approved"]
    assert await findings(db) == []


async def test_below_whom_a_recruit_stands(session: AsyncSession) -> None:
    """Whom the operator names, else the seat's, else who invited while it is active or on watch, else nobody."""
    world = await a_world(session)
    other = await factories.a_distributor(session, rank=1)
    below = await factories.a_distributor(session, rank=2, parent=world.inviter)
    found = []
    cases = ((None, "active", None), (None, "watch", None), (None, "suspended", None), (below, "active", None), (below, "active", other))  # fmt: skip
    for number, (seat_parent, state, named) in enumerate(cases):
        await session.execute(update(models.Distributor).values(state="active"))
        seat_id = await a_seat(session, world, parent_id=seat_parent.id if seat_parent else None)
        code = await recruiting.make_code(
            session, seat_id=seat_id, distributor_id=world.inviter.id, account_id=world.account_id, now=NOW
        )
        it = await apply(session, seat_id, await a_person(session, number), code=code.code)
        await session.execute(
            update(models.Distributor).where(models.Distributor.id == world.inviter.id).values(state=state)
        )
        made = await approve(session, world, it, parent_id=named.id if named else None)
        found.append(made.ancestors[1:])
    up = world.inviter.id
    assert found == [[up], [up], [], [below.id, up], [other.id]]


async def test_a_rejection_is_told_with_its_reason_and_is_for_good(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)
        seat_id = await a_seat(session, world)
        person_id = await a_person(session)
        it = await apply(session, seat_id, person_id)
        await recruiting.reject(session, it, "经验不足", account_id=world.account_id, now=NOW)
        (mine,) = await recruiting.own_applications(session, person_id, after=None, limit=9)
        assert (mine.state, mine.reason, mine.decided_at, mine.legal_name) == ("rejected", "经验不足", NOW, "王0")
        assert await recruiting.ranked(session, seat_id, after=None, limit=9) == []
    how: dict[str, Any] = {"account_id": world.account_id, "now": NOW}
    for work in (
        lambda session: approve(session, world, it),
        lambda session: recruiting.reject(session, it, "再次", **how),
        lambda session: recruiting.withdraw(session, person_id, it, **how),
        lambda session: recruiting.review(session, it, 1, "晚了", **how),
        lambda session: recruiting.verify(session, it, "audience", 1, "晚了", **how),
        lambda session: recruiting.move_application(session, it, seat_id, "晚了", **how),
    ):
        assert await refused(db, work) == WrongState("The application is rejected: only one that waits can be changed.")
    async with db.write() as session:
        again = await apply(session, seat_id, person_id)
        await recruiting.withdraw(session, person_id, again, **how)
        assert [row.state for row in await recruiting.own_applications(session, person_id, after=None, limit=9)] == [
            "withdrawn",
            "rejected",
        ]
    assert await findings(db) == []


async def test_who_waits_for_a_full_seat_is_moved_to_another_one(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)
        full, open_, elsewhere = (
            await a_seat(session, world, places=1),
            await a_seat(session, world),
            await a_seat(session, world, region="华南"),
        )
        first, second = [await apply(session, full, await a_person(session, number)) for number in range(2)]
        await approve(session, world, first)
    how: dict[str, Any] = {"account_id": world.account_id, "now": NOW + timedelta(days=2)}
    assert await refused(db, lambda session: approve(session, world, second)) == WrongState(
        "All places of the seat are taken: move the application to another one."
    )
    for seat_id, message in ((elsewhere, "tier or region"), (full, "waits for this seat already")):
        told = await refused(
            db, partial(recruiting.move_application, application_id=second, seat_id=seat_id, reason="下一批", **how)
        )
        assert isinstance(told, WrongState)
        assert message in told.message
    async with db.write() as session:
        (left,) = await recruiting.ranked(session, full, after=None, limit=9)
        assert left.id == second
        await recruiting.move_application(session, second, open_, "下一批", **how)
        assert [it.id for it in await recruiting.ranked(session, open_, after=None, limit=9)] == [second]
        last = (await recruiting.events(session, second))[-1]
        assert (last.kind, last.facts["from_seat"], last.facts["to_seat"], last.facts["score"]) == (
            "moved",
            full,
            open_,
            5000,
        )
        await approve(session, world, second, name="二店")
    assert await findings(db) == []


# At once


async def test_twenty_approvals_at_once_take_three_places(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)
        seat_id = await a_seat(session, world, places=3)
        ids = [await apply(session, seat_id, await a_person(session, number)) for number in range(20)]

    async def one(it: int) -> Refusal | None:
        try:
            async with db.write() as session:
                await approve(session, world, it, name=f"新店{it}")
        except Refused as refused:
            return refused.refusal
        return None

    outcomes = await asyncio.gather(*map(one, ids))
    assert outcomes.count(None) == 3
    assert {str(it) for it in outcomes if it is not None} == {
        str(WrongState("All places of the seat are taken: move the application to another one."))
    }
    async with db.read() as session:
        states = await session.execute(
            select(models.SeatApplication.state, func.count()).group_by(models.SeatApplication.state).order_by("state")
        )
        assert [tuple(it) for it in states] == [("approved", 3), ("submitted", 17)]
        assert await session.scalar(select(func.count()).select_from(models.Distributor)) == 4
        assert await session.scalar(select(models.Seat.taken)) == 3
    assert await findings(db) == []


async def test_one_person_applying_and_being_moved_at_once_waits_once(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)
        seats = [await a_seat(session, world) for _ in range(2)]
        person_id = await a_person(session)
        it = await apply(session, seats[0], person_id)
    how: dict[str, Any] = {"account_id": world.account_id, "now": NOW}

    async def tried(work: Callable[[AsyncSession], Awaitable[Any]]) -> Refusal | None:
        try:
            async with db.write() as session:
                await work(session)
        except Refused as refused:
            return refused.refusal
        return None

    outcomes = await asyncio.gather(
        *(tried(lambda session: apply(session, seats[1], person_id)) for _ in range(5)),
        *(tried(lambda session: recruiting.move_application(session, it, seats[1], "挪", **how)) for _ in range(5)),
    )
    assert outcomes.count(None) == 1
    assert {type(it) for it in outcomes if it is not None} <= {AlreadyTaken, WrongState}
    async with db.read() as session:
        waiting = select(func.count()).where(
            models.SeatApplication.seat_id == seats[1], models.SeatApplication.state == "submitted"
        )
        assert await session.scalar(waiting) == 1


# Vacancies


async def test_where_somebody_is_missing(session: AsyncSession) -> None:
    world = await a_world(session)
    for region, state, days in (
        ("华东", "eliminated", 5), ("华东", "suspended", 80), ("华东", "eliminated", 95), ("华南", "suspended", 1),
        ("华南", "active", 1), ("华北", "active", 9),
    ):  # fmt: skip
        it = await factories.a_distributor(session, rank=2, state=state, region=region)
        span = {"id": it.id, "tier": it.tier_id, "state": state, "at": NOW - timedelta(days=days)}
        await session.execute(
            text(
                "INSERT INTO distributor_history (distributor_id, during, tier_id, state) "
                "VALUES (:id, tstzrange(:at, NULL), :tier, :state)"
            ),
            span,
        )
    seat_id = await a_seat(session, world, places=4)
    await a_seat(session, world, places=9, opens_at=NOW + timedelta(days=1))
    await a_seat(session, world, places=2, region="西南")
    await approve(session, world, await apply(session, seat_id, await a_person(session)))
    await apply(session, seat_id, await a_person(session, 1))
    found = await recruiting.vacancies(session, days=90, now=NOW, after=None, limit=10)
    assert [(it.region, it.active, it.gone, it.open_places, it.waiting) for it in found] == [
        ("华东", 1, 2, 3, 1), ("华南", 1, 1, 0, 0), ("西南", 0, 0, 2, 0),
    ]  # fmt: skip
    behind = await recruiting.vacancies(session, days=90, now=NOW, after=found[0].key, limit=10)
    assert [it.region for it in behind] == ["华南", "西南"]
    assert isinstance(await refusal(recruiting.vacancies(session, days=0, now=NOW, after=None, limit=1)), BadArgument)
