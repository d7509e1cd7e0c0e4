"""Which seats are not opened, which applications are not taken, and that refusing changes nothing."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, recruiting
from s2b2c.db import Database
from s2b2c.errors import AlreadyTaken, BadArgument, NotFound, TooManyRequests, WrongState
from s2b2c.recruiting import Weights
from tests import factories
from tests.recruits import (
    EVEN,
    NOW,
    a_person,
    a_seat,
    a_world,
    apply,
    approve,
    refusal,
    refused,
    told,
)

# Refused


@pytest.mark.parametrize(
    ("how", "told_"),
    [
        ({"places": 0}, "places"), ({"places": 1001}, "places"), ({"weights": Weights(1, 2, 3, 4)}, "weights"),
        ({"weights": Weights(-1, 10_001, 0, 0)}, "weights"), ({"region": " "}, "region"), ({"closes_at": NOW}, "closesAt"),
        ({"tier_id": 10**9}, "tier"), ({"parent_id": 10**9}, "stand above"),
    ],
)  # fmt: skip
async def test_no_such_seat_is_opened(db: Database, how: dict[str, Any], told_: str) -> None:
    async with db.write() as session:
        world = await a_world(session)
    told = await refused(db, lambda session: a_seat(session, world, **how))
    assert told_ in told.message
    assert isinstance(told, NotFound if told_ in {"tier", "stand above"} else BadArgument)


@pytest.mark.parametrize(
    "changes",
    [
        {"legal_name": ""}, {"legal_name": "x" * 51}, {"region": "\x00"}, {"introduction": ""}, {"introduction": "字" * 1001},
        {"introduction": "\x07"}, {"experience_months": -1}, {"experience_months": 1201}, {"audience": 10**9 + 1},
        {"declared_output": 10**15 + 1}, {"agrees": False},
    ],
)  # fmt: skip
async def test_no_such_application_is_taken(db: Database, changes: dict[str, Any]) -> None:
    async with db.write() as session:
        world = await a_world(session)
        seat_id, person_id = await a_seat(session, world), await a_person(session)
    new = told()._replace(**changes)
    assert isinstance(await refused(db, lambda session: apply(session, seat_id, person_id, new)), BadArgument)


async def test_when_nobody_can_apply(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)
        person_id = await a_person(session)
        seat_id = await a_seat(session, world, places=1, opens_at=NOW, closes_at=NOW + timedelta(days=1))
        closed = await a_seat(session, world)
        await recruiting.close_seat(session, closed, "够了", account_id=world.account_id, now=NOW)
    for at in (NOW - timedelta(seconds=1), NOW + timedelta(days=1)):
        told = await refused(db, partial(apply, seat_id=seat_id, person_id=person_id, now=at))
        assert told == WrongState("Nobody can apply for this seat now: read the open seats again.")
    assert isinstance(await refused(db, lambda session: apply(session, closed, person_id)), WrongState)
    assert isinstance(await refused(db, lambda session: apply(session, 10**9, person_id)), NotFound)
    assert isinstance(await refused(db, lambda session: apply(session, seat_id, 10**9)), NotFound)
    async with db.write() as session:
        it = await apply(session, seat_id, person_id)
    assert isinstance(await refused(db, lambda session: apply(session, seat_id, person_id)), AlreadyTaken)
    async with db.write() as session:
        await approve(session, world, it)
        later = await a_person(session, 1)
    assert isinstance(await refused(db, lambda session: apply(session, seat_id, later)), WrongState)
    weights = Weights(10_000, 0, 0, 0)
    for key in (closed, seat_id):
        assert isinstance(await refused(db, partial(recruiting.change_weights, seat_id=key, weights=weights)), WrongState)  # fmt: skip


async def test_weights_change_until_somebody_has_applied(session: AsyncSession) -> None:
    world = await a_world(session)
    seat_id = await a_seat(session, world)
    await recruiting.change_weights(session, seat_id, Weights(10_000, 0, 0, 0))
    row = await recruiting.seat_row(session, seat_id)
    assert row is not None
    assert (row.experience_bps, row.review_bps, row.weights_version, row.waiting) == (10_000, 0, 2, 0)
    await apply(session, seat_id, await a_person(session))
    assert isinstance(await refusal(recruiting.change_weights(session, seat_id, EVEN)), WrongState)


async def test_which_codes_lead_to_a_seat(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)
        stranger = await factories.a_distributor(session, rank=1)
        person_id = await a_person(session)
        below = await a_seat(session, world, parent_id=world.inviter.id, needs_code=True)
        above = await a_seat(session, world, tier_id=world.top.id)
        lower = await factories.a_distributor(session, rank=2, parent=world.inviter)

        async def code(distributor_id: int | None, seat_id: int | None = None) -> models.RecruitingCode:
            return await recruiting.make_code(
                session, seat_id=seat_id, distributor_id=distributor_id, account_id=world.account_id, now=NOW
            )

        own, platform, theirs, low = (
            await code(world.inviter.id), await code(None, below), await code(stranger.id), await code(lower.id),
        )  # fmt: skip
        for distributor_id, seat_id in ((stranger.id, below), (lower.id, above), (lower.id, 10**9)):
            assert isinstance(await refusal(code(distributor_id, seat_id)), NotFound)
    assert isinstance(await refused(db, lambda session: apply(session, below, person_id)), BadArgument)
    for seat_id, typed in ((below, theirs.code), (below, "x"), (below, "\x00"), (above, platform.code), (above, low.code), (below, low.code)):  # fmt: skip
        told = await refused(db, partial(apply, seat_id=seat_id, person_id=person_id, code=typed))
        assert told == NotFound("No code like this leads to this seat: ask whoever gave it to you.")
    how: dict[str, Any] = {"account_id": world.account_id, "now": NOW}
    assert isinstance(await refused(db, lambda session: recruiting.revoke_code(session, own.id, distributor_id=stranger.id, **how)), NotFound)  # fmt: skip
    async with db.write() as session:
        it = await apply(session, below, person_id, code=own.code)
        await recruiting.withdraw(session, person_id, it, **how)
        await recruiting.revoke_code(session, own.id, distributor_id=world.inviter.id, **how)
    assert isinstance(await refused(db, lambda session: apply(session, below, person_id, code=own.code)), NotFound)
    assert isinstance(await refused(db, lambda session: recruiting.revoke_code(session, own.id, distributor_id=None, **how)), WrongState)  # fmt: skip
    async with db.write() as session:
        await apply(session, below, person_id, code=platform.code)


async def test_how_often_somebody_invites_and_applies(session: AsyncSession) -> None:
    world = await a_world(session)
    for _ in range(50):
        await recruiting.make_code(session, seat_id=None, distributor_id=None, account_id=world.account_id, now=NOW)
    more = recruiting.make_code(session, seat_id=None, distributor_id=None, account_id=world.account_id, now=NOW)
    assert isinstance(await refusal(more), TooManyRequests)
    person_id = await a_person(session)
    for _ in range(20):
        await apply(session, await a_seat(session, world), person_id)
    assert isinstance(await refusal(apply(session, await a_seat(session, world), person_id)), TooManyRequests)


async def test_nobody_is_approved_below_who_takes_nobody(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)
        seat_id = await a_seat(session, world, parent_id=world.inviter.id)
        taken = await factories.a_distributor(session)
        it = await apply(session, seat_id, await a_person(session))
    assert isinstance(await refused(db, lambda session: approve(session, world, it, code=taken.code)), AlreadyTaken)
    assert isinstance(await refused(db, lambda session: approve(session, world, it, name=" ")), BadArgument)
    assert isinstance(await refused(db, lambda session: approve(session, world, 10**9)), NotFound)
    async with db.write() as session:
        await session.execute(update(models.Distributor).values(state="suspended"))
    assert isinstance(await refused(db, lambda session: approve(session, world, it)), WrongState)
    async with db.write() as session:
        await session.execute(update(models.Distributor).values(state="active"))
        await recruiting.close_seat(session, seat_id, "不招了", account_id=world.account_id, now=NOW)
    assert isinstance(await refused(db, lambda session: approve(session, world, it)), WrongState)
