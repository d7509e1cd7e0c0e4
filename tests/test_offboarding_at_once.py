"""Off-boarding beside all else: sessions, touches and orders in flight, moves and eliminations at once; and its audit."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, network, offboarding
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.errors import MakesCycle, NotFound, Refusal, Refused, WrongState
from s2b2c.network import Policy
from tests import factories
from tests.corruptions import Corruption, wrong
from tests.databases import as_owner
from tests.signing import PHONE, Door, door_to, refusal_of, signed_in
from tests.test_concurrency import are_waiting
from tests.test_network import _member, _operator
from tests.test_offboarding import GONE, WINDOW, a_world, eliminated, reinstated
from tests.test_worker import until

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
async def door(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    async with door_to(db, monkeypatch) as door:
        yield door


async def test_its_sessions_end_and_no_token_is_carried_on(door: Door) -> None:
    """Those that act as it; a session of the same person that acts as something else goes on."""
    async with door.db.write() as session:
        world = await a_world(session)
        person = await people.find_or_make(session, {"phone": PHONE}, door.now)
        mine = await account_of(session, "distributor", None, world.ids["x"])
        other = await account_of(session, "distributor", None, world.ids["a"])
        for account_id in (mine, other):
            await people.join(session, person, account_id)
    acting = await door.with_code(account_id=mine)
    beside = await door.with_code(account_id=other)
    door.later(minutes=2)
    async with door.db.write() as session:
        gone = await eliminated(session, world, at=door.now)
    assert gone.sessions == 1
    async with door.db.read() as session:
        ended = (await session.execute(select(models.Session.ended_at, models.Session.end_reason))).all()
    assert sorted(ended, key=str) == [(None, None), (door.now, "eliminated")]
    with pytest.raises(Refused, match="not signed in any more"):
        await door.viewer(acting.access_token)
    assert "session is over" in (await refusal_of(door.refresh(acting.refresh_token))).message
    assert (await door.viewer(beside.access_token)).distributor_id == world.ids["a"]
    assert isinstance(await refusal_of(door.refresh(beside.refresh_token, mine)), NotFound)
    signed_in(await door.refresh(beside.refresh_token))

    # It signs in anew to read what it is paid, and cannot carry that on.
    again = await door.with_code(account_id=mine)
    viewer = await door.viewer(again.access_token)
    assert (viewer.distributor_id, viewer.state) == (world.ids["x"], "eliminated")
    assert isinstance(await refusal_of(door.refresh(again.refresh_token)), NotFound)
    async with door.db.snapshot() as session:
        assert await audit(session) == []

    # Reinstated, it can.
    async with door.db.write() as session:
        await reinstated(session, world, at=door.now + DAY)
    turned = signed_in(await door.refresh(again.refresh_token))
    assert (await door.viewer(turned.access_token)).state == "active"


async def test_a_touch_in_flight_is_waited_for_and_found(db: Database, database_url: str) -> None:
    """A customer is bound to the store while it closes: to its owner before, and so handed over."""
    async with db.write() as session:
        world = await a_world(session)
        customer = await factories.a_customer(session)
        late = await factories.a_customer(session)
    slug = world.stores["x"].slug

    async def leave() -> models.Elimination:
        async with db.write() as session:
            return await eliminated(session, world)

    async def touch(customer_id: int) -> network.Touch:
        async with db.write() as session:
            return await network.touch(session, customer_id, slug, policy=WINDOW, now=GONE)

    async with db.write() as session:
        touched = await network.touch(session, customer.id, slug, policy=WINDOW, now=GONE)
        assert touched.seller_id == world.ids["x"]
        leaving = asyncio.create_task(leave())
        await until(lambda: are_waiting(database_url, 1))
        after = asyncio.create_task(touch(late.id))
        await until(lambda: are_waiting(database_url, 2))
    gone = await leaving
    assert gone.customers == 3
    assert (await after).seller_id == world.ids["top"], "it came later, and went on to the new home"
    async with db.snapshot() as session:
        held = await network.binding_of(session, customer.id, GONE + DAY)
        assert held is not None
        assert held.distributor_id == world.ids["top"]
        assert await audit(session) == []


def _is(refused: Refused, *kinds: type[Refusal]) -> bool:
    """False; raises it where it is refused for anything else."""
    if not isinstance(refused.refusal, kinds):
        raise refused
    return False


async def test_twice_at_once_is_done_once(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)

    async def run(what: str) -> bool:
        try:
            async with db.write() as session:
                await (eliminated if what == "out" else reinstated)(session, world)
        except Refused as refused:
            return _is(refused, WrongState)
        return True

    assert sorted(await asyncio.gather(*(run("out") for _ in range(4)))) == [False, False, False, True]
    assert sorted(await asyncio.gather(*(run("back") for _ in range(4)))) == [False, False, False, True]
    async with db.snapshot() as session:
        assert await session.scalar(select(func.count()).select_from(models.Elimination)) == 1
        assert await audit(session) == []


async def a_forest(db: Database, members: int, rng: random.Random) -> list[int]:
    """Members in a few branches, each with a store, half of them suspended; and their customers."""
    async with db.write() as session:
        ids: list[network.Standing] = []
        for n in range(members):
            parent = rng.choice(ids) if n >= 3 else None
            ids.append(await _member(session, f"M{n}", parent, now=NOW - 40 * DAY))
        for one in ids:
            await factories.a_store(session, await session.get_one(models.Distributor, one.id))
        await session.execute(
            text("""
                WITH customer AS (
                    INSERT INTO customers (ref)
                    SELECT 'k' || d.id || '-' || n FROM distributors d CROSS JOIN generate_series(1, 5) AS n
                    RETURNING id, ref
                )
                INSERT INTO bindings (customer_id, distributor_id, during, protected_until, policy)
                SELECT id, split_part(substr(ref, 2), '-', 1)::bigint, tstzrange(:since, :until), :since, 'window'
                FROM customer
            """),
            {"since": NOW - DAY, "until": NOW + 29 * DAY},
        )
    return [one.id for one in ids]


STEPS: dict[str, Callable[..., Awaitable[object]]] = {
    "suspend": network.suspend,
    "eliminate": offboarding.eliminate,
    "reinstate": offboarding.reinstate,
}


async def storm(db: Database, ids: list[int], steps: int, rng: random.Random, start: datetime = NOW) -> dict[str, int]:
    """So many moves, suspensions, eliminations, reinstatements and touches, twelve at a time: how many were done."""
    async with db.write() as session:
        operator = await _operator(session)
        slugs = list(await session.scalars(select(models.Store.slug)))
        customers = list(await session.scalars(select(models.Customer.id)))
    done = dict.fromkeys(("move", "touch", *STEPS), 0)
    turn = asyncio.Semaphore(12)

    async def one(n: int) -> None:
        what, who, other = rng.choice(list(done)), rng.choice(ids), rng.choice([*ids, None])
        customer, slug = rng.choice(customers), rng.choice(slugs)
        now = start + timedelta(seconds=n)
        async with turn:
            try:
                async with db.write() as session:
                    match what:
                        case "move":
                            await network.move(session, who, other, reason="同时", now=now, account_id=operator)
                        case "touch":
                            await network.touch(session, customer, slug, policy=Policy("window", 30, 0), now=now)
                        case _:
                            await STEPS[what](session, who, reason="同时", now=now, account_id=operator)
                done[what] += 1
            except Refused as refused:
                _is(refused, WrongState, MakesCycle, NotFound)

    await asyncio.gather(*(one(n) for n in range(steps)))
    return done


async def is_sound(session: AsyncSession) -> None:
    """No breach; nobody is above itself by the parents; every customer has one holder at most."""
    assert await audit(session) == []
    reached = text("""
        WITH RECURSIVE below AS (
            SELECT id FROM distributors WHERE parent_id IS NULL
            UNION ALL
            SELECT d.id FROM below JOIN distributors d ON d.parent_id = below.id
        )
        SELECT count(*) FROM below
    """)
    assert await session.scalar(reached) == await session.scalar(select(func.count()).select_from(models.Distributor))
    lost = text(
        "SELECT count(*) FROM distributors d JOIN eliminations e ON e.distributor_id = d.id "
        "WHERE (e.reinstated_at IS NULL) <> (d.state = 'eliminated') AND NOT EXISTS "
        "(SELECT FROM eliminations n WHERE n.distributor_id = d.id AND n.id > e.id)"
    )
    assert await session.scalar(lost) == 0


async def test_a_storm_leaves_the_tree_whole(db: Database) -> None:
    rng = random.Random(9)
    ids = await a_forest(db, 24, rng)
    done = await storm(db, ids, 160, rng)
    assert min(done.values()) > 0, done
    async with db.snapshot() as session:
        await is_sound(session)


CORRUPTIONS: dict[str, Corruption] = {
    "eliminated": wrong(
        ("distributors {x}", "distributors {x}", "distributors {x}"),
        "UPDATE distributors SET parent_id = {x}, ancestors = ARRAY[{b}, {x}, {mid}, {top}] WHERE id = {b}",
        "UPDATE distributor_history SET parent_id = {x} WHERE distributor_id = {b} AND upper_inf(during)",
        "UPDATE stores SET state = 'open' WHERE id = (SELECT min(store_id) FROM elimination_stores)",
        "UPDATE bindings SET during = tstzrange(lower(during), NULL) WHERE distributor_id = {x} AND customer_id = {c2} "
        "AND NOT EXISTS (SELECT FROM bindings b WHERE b.customer_id = {c2} AND b.id > bindings.id)",
    ),
    "eliminated_sessions": wrong(
        "sessions 99",
        "INSERT INTO people (id) VALUES (99)",
        "INSERT INTO accounts (id, role, distributor_id) VALUES (999, 'distributor', {x})",
        "INSERT INTO sessions (id, person_id, method, started_at, expires_at) "
        "VALUES (99, 99, 'code', '2026-10-11 03:58:59+00', '2027-01-01')",
        "INSERT INTO refresh_tokens (digest, session_id, account_id, expires_at) VALUES ('\\x01', 99, 999, '2027-01-01')",
    ),
    "eliminations": wrong(
        ("eliminations {elimination}",), "UPDATE eliminations SET downlines = 1 WHERE id = {elimination}"
    ),
}


@pytest.mark.parametrize("check", CORRUPTIONS)
async def test_each_side_corrupted_is_found_by_its_own_check(db: Database, database_url: str, check: str) -> None:
    async with db.write() as session:
        world = await a_world(session, has_home=False)  # so that no binding follows one that is stretched
        gone = await eliminated(session, world)
        assert await audit(session) == []
    names = {**world.ids, **world.customers, "elimination": gone.id}
    await as_owner(database_url, *(statement.format(**names) for statement in CORRUPTIONS[check].statements))
    async with db.snapshot() as session:
        found = {it.check: [key for key, _ in it.rows] for it in await audit(session)}
    assert found == {check: [row.format(**names) for row in CORRUPTIONS[check].rows]}


async def test_a_distributor_that_stands_eliminated_is_so(db: Database, database_url: str) -> None:
    async with db.write() as session:
        world = await a_world(session)
        gone = await eliminated(session, world)
    await as_owner(
        database_url,
        f"UPDATE distributors SET state = 'active' WHERE id = {world.ids['x']}",
        f"UPDATE distributor_history SET state = 'active' WHERE distributor_id = {world.ids['x']} AND upper_inf(during)",
    )
    async with db.snapshot() as session:
        (breach,) = await audit(session)
    assert breach.rows == ((f"eliminations {gone.id}", f"stands, but distributor {world.ids['x']} is active"),)


async def test_one_elimination_stands_at_a_time(session: AsyncSession) -> None:
    world = await a_world(session)
    await eliminated(session, world)
    with pytest.raises(IntegrityError, match="uq_eliminations_open"):
        await session.execute(
            text(
                "INSERT INTO eliminations (distributor_id, at, reason, account_id, state_before, pending, matured, debt) "
                "SELECT distributor_id, at, reason, account_id, state_before, 0, 0, 0 FROM eliminations"
            )
        )
