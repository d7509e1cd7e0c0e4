"""Applications are personal data; the audit finds whatever does not fit; nothing can be paid for joining."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from graphql import build_schema, get_named_type, is_input_object_type, is_object_type
from sqlalchemy import select, text

from s2b2c import accounts, models, recruiting
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.api.schema import sdl
from s2b2c.audit import audit
from s2b2c.db import Database
from tests.corruptions import RECRUITING
from tests.lives import Known, a_customer, erase, rows
from tests.recruits import NOW, World, a_person, a_seat, a_world, apply, approve, findings
from tests.signing import PHONE, Door, door_to
from tests.test_holdings import all_of

TOLD = ("王0", "杭州", "做过三年社群团购", "经验不足")


@pytest.fixture
async def door(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    async with door_to(db, monkeypatch) as door:
        yield door


async def three(db: Database, person_id: int) -> tuple[World, list[int]]:
    """What one person applied for: it was rejected, it waits, it was approved."""
    async with db.write() as session:
        world = await a_world(session)
        ids = [await apply(session, await a_seat(session, world), person_id) for _ in range(3)]
        await recruiting.reject(session, ids[0], "经验不足", account_id=world.account_id, now=NOW)
        await recruiting.review(session, ids[1], 70, "经验不足", account_id=world.account_id, now=NOW)
        await approve(session, world, ids[2])
    return world, ids


async def test_applications_are_held_and_go_with_the_person(door: Door) -> None:
    who = await a_customer(door)
    _, ids = await three(door.db, who.person_id)
    held = [it for it in await all_of(door, who, limit=2) if it.kind == "application"]
    assert [(it.facts["legal_name"], it.facts["region"], it.facts["state"], it.facts["reason"]) for it in held] == [
        ("王0", "杭州", "rejected", "经验不足"), ("王0", "杭州", "submitted", None), ("王0", "杭州", "approved", "资质齐全"),
    ]  # fmt: skip
    assert held[1].facts["introduction"] == "做过三年社群团购。\n有仓库。"
    assert {it.shows for it in held} == {frozenset({"legal_name", "region", "introduction"})}
    assert [it for it in TOLD[:3] if it in str((await rows(door.db))["seat_applications"])] == [], "all of it is sealed"
    await erase(door, who)
    after = await rows(door.db)
    assert [it for it in TOLD if it in str((after["seat_applications"], after["seat_application_events"]))] == []
    async with door.db.read() as session:
        left = await session.scalars(select(models.SeatApplication).order_by(models.SeatApplication.id))
        assert [(it.state, it.legal_name, it.region, it.introduction, it.reason) for it in left] == [
            ("rejected", None, None, None, ""), ("withdrawn", None, None, None, None), ("approved", None, None, None, ""),
        ]  # fmt: skip
        last = (await recruiting.events(session, ids[1]))[-1]
        assert (last.kind, last.by, last.at) == ("withdrawn", None, door.now)
        row = await recruiting.application_row(session, ids[2])
        assert (row.legal_name, row.audience) == (None, 300)
    assert await findings(door.db) == []


async def test_two_people_who_become_one_wait_once(door: Door) -> None:
    """Of what both wait for on one seat the later is withdrawn; all the rest is the older one's."""
    async with door.db.write() as session:
        world = await a_world(session)
        seats = [await a_seat(session, world) for _ in range(3)]
        old = await people.find_or_make(session, {"openid": "app:o-1"}, NOW)
        new = await people.find_or_make(session, {"unionid": "u-1"}, NOW)
        for person_id in (old, new):
            await people.join(session, person_id, await account_of(session, "operator"))
        ids = [
            await apply(session, seat_id, person_id)
            for seat_id, person_id in (
                (seats[0], new),
                (seats[0], old),
                (seats[1], new),
                (seats[2], old),
                (seats[2], new),
            )
        ]
        await approve(session, world, ids[4])
        assert await people.find_or_make(session, {"openid": "app:o-1", "unionid": "u-1"}, door.now) == old
    async with door.db.read() as session:
        found = await session.scalars(select(models.SeatApplication).order_by(models.SeatApplication.id))
        assert [(it.id, it.person_id, it.state) for it in found] == [
            (ids[0], old, "submitted"), (ids[1], old, "withdrawn"), (ids[2], old, "submitted"), (ids[3], old, "withdrawn"),
            (ids[4], old, "approved"),
        ]  # fmt: skip
    assert await findings(door.db) == []


async def test_whoever_is_taken_off_the_distributor_is_on_record(door: Door) -> None:
    who: Known = await a_customer(door)
    world, ids = await three(door.db, who.person_id)
    async with door.db.write() as session:
        distributor_id = await session.scalar(
            select(models.SeatApplication.distributor_id).where(models.SeatApplication.id == ids[2])
        )
        operator = accounts.Viewer(world.account_id, "operator")
        await accounts.remove_member(
            session, operator, PHONE, role="distributor", distributor_id=distributor_id, now=door.now
        )
        last = (await recruiting.events(session, ids[2]))[-1]
        assert (last.kind, last.account_id, last.at) == ("member_removed", world.account_id, door.now)
    assert await findings(door.db) == []


@pytest.mark.parametrize("check", RECRUITING)
async def test_a_corruption_is_named(db: Database, check: str) -> None:
    async with db.write() as session:
        person_id = await a_person(session)
    _, ids = await three(db, person_id)
    assert await findings(db) == []
    async with db.write() as session:
        seat_id = await session.scalar(
            select(models.SeatApplication.seat_id).where(models.SeatApplication.id == ids[2])
        )
        names = {"seat": seat_id, "rejected": ids[0], "waiting": ids[1], "approved": ids[2], "person": person_id}
        await session.execute(text("SET LOCAL ROLE NONE"))
        for statement in RECRUITING[check].statements:
            await session.execute(text(statement.format(**names)))
        found = {breach.check: {key for key, _ in breach.rows} for breach in await audit(session)}
        assert {row.format(**names) for row in RECRUITING[check].rows} <= found[check]
        await session.rollback()


# Joining costs nothing, recruiting pays nothing

PAID = re.compile(r"fee|reward|bonus|deposit|price|prize|commission|amount|bounty|cost|paid|recruits", re.IGNORECASE)


def test_there_is_no_place_for_a_fee_or_a_reward() -> None:
    """Neither in a table nor in what the doors take or tell (domain 3): a count of who came by a code is no metric."""
    tables: tuple[Any, ...] = (models.Seat, models.RecruitingCode, models.SeatApplication, models.SeatApplicationEvent)
    columns = {f"{it.__tablename__}.{column.key}" for it in tables for column in it.__table__.columns}
    assert len(columns) > 40
    assert {name for name in columns if PAID.search(name.partition(".")[2])} == set()
    schema = build_schema(sdl())
    names: set[str] = set()
    for type_ in schema.type_map.values():
        is_ours = re.search(r"Seat|Recruiting|Application|Onboarding|Vacancy", type_.name) is not None
        if is_ours and (is_object_type(type_) or is_input_object_type(type_)):
            names |= {f"{type_.name}.{field}" for field in type_.fields}
    assert schema.mutation_type is not None
    ours = re.compile(r"[sS]eat|Recruiting|Application|Code$")
    for name, field in schema.mutation_type.fields.items():
        if ours.search(name):
            names |= {f"{name}.{argument}" for argument in field.args}
    assert {"ApplyForSeatInput.declaredOutput", "openSeat.input"} <= names
    assert {name for name in names if PAID.search(name.partition(".")[2])} == set()
    money = {
        f"{type_.name}.{name}"
        for type_ in schema.type_map.values()
        if is_object_type(type_)
        for name, field in type_.fields.items()
        if f"{type_.name}.{name}" in names and get_named_type(field.type).name == "Money"
    }
    assert money == {
        "OwnApplication.declaredOutput", "SeatApplication.declaredOutput", "SeatApplication.verifiedOutput",
        "SeatApplicationDetail.declaredOutput", "SeatApplicationDetail.verifiedOutput",
    }  # fmt: skip


async def test_recruits_are_no_metric_of_the_ranking(db: Database) -> None:
    async with db.snapshot() as session:
        columns: Any = await session.scalars(
            text("SELECT attname FROM pg_attribute WHERE attrelid = 'ranking_scores'::regclass AND attnum > 0")
        )
        assert [it for it in columns if re.search("recruit|seat|appli|member_|invite", it)] == []
