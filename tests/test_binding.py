"""Whose customer a customer is: the three policies, share links, and many touches at once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, network
from s2b2c.config import Settings
from s2b2c.db import Database
from s2b2c.network import Outcome, Policy
from tests import factories
from tests.databases import as_owner
from tests.test_concurrency import are_waiting
from tests.test_worker import until

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
CONNECTIONS = 16

FIRST = Policy("first_touch", 30, 7)
LAST = Policy("last_touch", 30, 7)
WINDOW = Policy("window", 30, 7)


class Street(NamedTuple):
    """Two stores of one branch, and somebody who goes from one to the other."""

    a: models.Store
    b: models.Store
    customer_id: int

    async def opens(
        self, session: AsyncSession, store: models.Store, after: timedelta, policy: Policy = WINDOW, **link: Any
    ) -> Outcome:
        touched = await network.touch(session, self.customer_id, store.slug, policy=policy, now=NOON + after, **link)
        assert touched.store_id == store.id
        held = await network.binding_history(session, self.customer_id, after=None, limit=1)
        assert touched.seller_id == held[0].distributor_id
        return touched.outcome

    async def spans(self, session: AsyncSession) -> list[tuple[str, Any, Any, Any, str]]:
        """(store, since, until, protected until, policy) of each binding, the first one first, times from noon on."""
        whose = {self.a.distributor_id: "A", self.b.distributor_id: "B"}
        return [
            (
                whose[it.distributor_id],
                _from_noon(it.during.lower),
                _from_noon(it.during.upper),
                _from_noon(it.protected_until),
                it.policy,
            )
            for it in reversed(await network.binding_history(session, self.customer_id, after=None, limit=1000))
        ]

    async def refused(self, session: AsyncSession) -> list[tuple[Any, Any]]:
        """(at, protected until) of each touch of B that was refused for A, the first one first."""
        rows = await network.refusals(session, self.b.distributor_id, "refused", after=None, limit=100)
        assert {row.holder_id for row in rows} <= {self.a.distributor_id}
        return [(_from_noon(row.at), _from_noon(row.protected_until)) for row in reversed(rows)]


def _from_noon(at: datetime | None) -> timedelta | None:
    return None if at is None else at - NOON


async def a_street(session: AsyncSession) -> Street:
    root = await factories.a_distributor(session)
    a, b = [await factories.a_store(session, await factories.a_distributor(session, parent=root)) for _ in "AB"]
    return Street(a, b, (await factories.a_customer(session)).id)


@pytest.fixture
async def street(session: AsyncSession) -> Street:
    return await a_street(session)


async def test_a_window_of_30_days_with_7_protected(session: AsyncSession, street: Street) -> None:
    """The rule's own numbers."""
    a, b, _ = street
    assert await street.opens(session, a, 0 * DAY) == "bound"
    first = await network.binding_of(session, street.customer_id, NOON)
    assert first is not None
    assert first.during == Range(NOON, NOON + 30 * DAY)
    assert await street.opens(session, b, 7 * DAY - SECOND) == "refused"
    assert await street.opens(session, b, 7 * DAY) == "taken_over"
    assert await street.opens(session, a, 8 * DAY) == "refused"
    assert await street.opens(session, a, 37 * DAY) == "bound"
    assert await street.spans(session) == [
        ("A", 0 * DAY, 7 * DAY, 7 * DAY, "window"),
        ("B", 7 * DAY, 37 * DAY, 14 * DAY, "window"),
        ("A", 37 * DAY, 67 * DAY, 44 * DAY, "window"),
    ]
    assert await street.refused(session) == [(7 * DAY - SECOND, 7 * DAY)]
    assert await network.binding_of(session, street.customer_id, NOON) is first
    assert first.during == Range(NOON, NOON + 7 * DAY)


async def test_a_window_ends_by_itself(session: AsyncSession, street: Street) -> None:
    """Also where it is protected to its end, and beyond."""
    whole = Policy("window", 30, 40)
    assert await street.opens(session, street.a, 0 * DAY, whole) == "bound"
    assert await street.opens(session, street.b, 30 * DAY - INSTANT, whole) == "refused"
    holder = await network.binding_of(session, street.customer_id, NOON + 30 * DAY - INSTANT)
    assert holder is not None
    assert holder.distributor_id == street.a.distributor_id
    assert await network.binding_of(session, street.customer_id, NOON + 30 * DAY) is None
    assert await network.binding_of(session, street.customer_id, NOON - INSTANT) is None
    assert await street.opens(session, street.b, 30 * DAY, whole) == "bound"


async def test_the_owners_touch_restarts_both_spans_of_a_window(session: AsyncSession, street: Street) -> None:
    assert await street.opens(session, street.a, 0 * DAY) == "bound"
    assert await street.opens(session, street.a, 5 * DAY) == "kept"
    assert await street.spans(session) == [("A", 0 * DAY, 35 * DAY, 12 * DAY, "window")]
    assert await street.opens(session, street.b, 12 * DAY - INSTANT) == "refused"
    assert await street.opens(session, street.a, 34 * DAY) == "kept"
    assert await street.spans(session) == [("A", 0 * DAY, 64 * DAY, 41 * DAY, "window")]
    assert await street.opens(session, street.b, 41 * DAY) == "taken_over"
    assert await street.refused(session) == [(12 * DAY - INSTANT, 12 * DAY)]


async def test_a_window_without_protection(session: AsyncSession, street: Street) -> None:
    bare = Policy("window", 1, 0)
    assert await street.opens(session, street.a, 0 * DAY, bare) == "bound"
    assert await street.opens(session, street.b, SECOND, bare) == "taken_over"
    assert await street.opens(session, street.a, DAY + SECOND - INSTANT, bare) == "taken_over"
    assert await street.opens(session, street.b, 2 * DAY + SECOND, bare) == "bound"


async def test_the_first_touch_is_never_replaced(session: AsyncSession, street: Street) -> None:
    assert await street.opens(session, street.a, 0 * DAY, FIRST) == "bound"
    assert await street.opens(session, street.b, INSTANT, FIRST) == "refused"
    assert await street.opens(session, street.a, 50 * DAY, FIRST) == "kept"
    assert await street.opens(session, street.b, 5000 * DAY, FIRST) == "refused"
    assert await street.spans(session) == [("A", 0 * DAY, None, None, "first_touch")]
    assert await street.refused(session) == [(INSTANT, None), (5000 * DAY, None)]


async def test_the_last_touch_replaces(session: AsyncSession, street: Street) -> None:
    assert await street.opens(session, street.a, 0 * DAY, LAST) == "bound"
    assert await street.opens(session, street.a, 1 * DAY, LAST) == "kept"
    assert await street.opens(session, street.b, 2 * DAY, LAST) == "taken_over"
    assert await street.opens(session, street.a, 2 * DAY + INSTANT, LAST) == "taken_over"
    assert await street.spans(session) == [
        ("A", 0 * DAY, 2 * DAY, None, "last_touch"),
        ("B", 2 * DAY, 2 * DAY + INSTANT, None, "last_touch"),
        ("A", 2 * DAY + INSTANT, None, None, "last_touch"),
    ]
    assert await street.refused(session) == []


async def test_touches_at_the_same_instant_count_in_the_order_in_which_they_come(
    session: AsyncSession, street: Street
) -> None:
    a, b, _ = street
    came = [await street.opens(session, store, 0 * DAY, LAST) for store in (a, b, b, a)]
    assert came == ["bound", "taken_over", "kept", "taken_over"]
    assert await street.spans(session) == [
        ("A", 0 * DAY, INSTANT, None, "last_touch"),
        ("B", INSTANT, 2 * INSTANT, None, "last_touch"),
        ("A", 2 * INSTANT, None, None, "last_touch"),
    ]


@pytest.mark.parametrize("policy", [FIRST, WINDOW])
async def test_of_two_at_the_same_instant_one_is_refused(session: AsyncSession, street: Street, policy: Policy) -> None:
    a, b, _ = street
    came = [await street.opens(session, store, 0 * DAY, policy) for store in (a, b, a)]
    assert came == ["bound", "refused", "kept"]
    until_ = (30 * DAY, 7 * DAY) if policy is WINDOW else (None, None)
    assert await street.spans(session) == [("A", 0 * DAY, *until_, policy.name)]


@pytest.mark.parametrize(
    ("policy", "outcome", "spans"),
    [
        (FIRST, "refused", [("A", 0 * DAY, None, None, "first_touch")]),
        (WINDOW, "refused", [("A", 0 * DAY, 30 * DAY, 7 * DAY, "window")]),
        (LAST, "taken_over", [("A", 0 * DAY, INSTANT, None, "last_touch"), ("B", INSTANT, None, None, "last_touch")]),
        (
            Policy("window", 30, 0),
            "taken_over",
            [("A", 0 * DAY, INSTANT, 0 * DAY, "window"), ("B", INSTANT, INSTANT + 30 * DAY, INSTANT, "window")],
        ),
    ],
)
async def test_a_clock_that_is_behind_changes_nothing_in_the_past(
    session: AsyncSession, street: Street, policy: Policy, outcome: str, spans: list[object]
) -> None:
    """B comes after A, but says that it is a day before; then A itself says so, which changes nothing either."""
    assert await street.opens(session, street.a, 0 * DAY, policy) == "bound"
    assert await street.opens(session, street.b, -DAY, policy) == outcome
    assert await street.spans(session) == spans
    owner = street.b if outcome == "taken_over" else street.a
    assert await street.opens(session, owner, -DAY, policy) == "kept"
    assert await street.spans(session) == spans


async def test_the_policy_in_force_decides_over_an_older_first_touch(session: AsyncSession, street: Street) -> None:
    """It has no protection under `window`, until its owner's next touch."""
    assert await street.opens(session, street.a, 0 * DAY, FIRST) == "bound"
    assert await street.opens(session, street.a, 10 * DAY, WINDOW) == "kept"
    assert await street.opens(session, street.b, 17 * DAY - INSTANT, WINDOW) == "refused"
    assert await street.opens(session, street.b, 17 * DAY, WINDOW) == "taken_over"
    assert await street.spans(session) == [
        ("A", 0 * DAY, 10 * DAY, None, "first_touch"),
        ("A", 10 * DAY, 17 * DAY, 17 * DAY, "window"),
        ("B", 17 * DAY, 47 * DAY, 24 * DAY, "window"),
    ]


@pytest.mark.parametrize("before", [FIRST, LAST])
async def test_what_was_never_protected_is_taken_over(session: AsyncSession, street: Street, before: Policy) -> None:
    assert await street.opens(session, street.a, 0 * DAY, before) == "bound"
    assert await street.opens(session, street.b, SECOND, WINDOW) == "taken_over"
    assert await street.spans(session) == [
        ("A", 0 * DAY, SECOND, None, before.name),
        ("B", SECOND, SECOND + 30 * DAY, SECOND + 7 * DAY, "window"),
    ]


async def test_the_policy_in_force_decides_over_an_older_window(session: AsyncSession, street: Street) -> None:
    """`first_touch` keeps it beyond its protection, but not beyond its end; nobody's touch prolongs it."""
    assert await street.opens(session, street.a, 0 * DAY, WINDOW) == "bound"
    assert await street.opens(session, street.b, DAY, FIRST) == "refused"
    assert await street.opens(session, street.a, 20 * DAY, FIRST) == "kept"
    assert await street.opens(session, street.b, 30 * DAY - INSTANT, FIRST) == "refused"
    assert await street.opens(session, street.b, 30 * DAY, FIRST) == "bound"
    assert await street.spans(session) == [
        ("A", 0 * DAY, 30 * DAY, 7 * DAY, "window"),
        ("B", 30 * DAY, None, None, "first_touch"),
    ]
    assert await street.refused(session) == [(DAY, None), (30 * DAY - INSTANT, None)]


async def test_the_last_touch_heeds_no_older_protection(session: AsyncSession, street: Street) -> None:
    assert await street.opens(session, street.a, 0 * DAY, WINDOW) == "bound"
    assert await street.opens(session, street.a, DAY, LAST) == "kept"
    assert await street.opens(session, street.b, 2 * DAY, LAST) == "taken_over"
    assert await street.spans(session) == [
        ("A", 0 * DAY, 2 * DAY, 7 * DAY, "window"),
        ("B", 2 * DAY, None, None, "last_touch"),
    ]


async def test_other_days_count_from_the_next_touch(session: AsyncSession, street: Street) -> None:
    shorter = Policy("window", 10, 2)
    assert await street.opens(session, street.a, 0 * DAY, WINDOW) == "bound"
    assert await street.opens(session, street.b, 3 * DAY, shorter) == "refused"
    assert await street.opens(session, street.a, 4 * DAY, shorter) == "kept"
    assert await street.spans(session) == [("A", 0 * DAY, 14 * DAY, 6 * DAY, "window")]
    assert await street.opens(session, street.b, 6 * DAY, shorter) == "taken_over"


def test_the_policy_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Settings(binding_policy="first_touch", binding_days=9, binding_protection_days=4)
    monkeypatch.setattr("s2b2c.network.binding.settings", lambda: ours)
    assert Policy.of_settings() == ("first_touch", 9, 4)
    assert Policy.of_settings().parameters() == {"policy": "first_touch", "binding_days": 9, "protection_days": 4}


async def test_the_database_holds_one_binding_at_a_time(session: AsyncSession, street: Street) -> None:
    def direct(begins: timedelta, ends: timedelta | None) -> models.Binding:
        span = Range(NOON + begins, None if ends is None else NOON + ends)
        return models.Binding(
            customer_id=street.customer_id, distributor_id=street.b.distributor_id, during=span, policy="last_touch"
        )

    assert await street.opens(session, street.a, 0 * DAY) == "bound"
    for begins, ends in ((30 * DAY - INSTANT, None), (-DAY, INSTANT), (DAY, 2 * DAY), (-DAY, None)):
        with pytest.raises(IntegrityError, match="ex_bindings_during"):
            async with session.begin_nested():
                session.add(direct(begins, ends))
    session.add_all([direct(30 * DAY, None), direct(-DAY, 0 * DAY)])
    await session.flush()


async def test_ones_own_customers(session: AsyncSession, street: Street) -> None:
    a, b, first = street
    others = [(await factories.a_customer(session)).id for _ in range(4)]
    for customer_id, after, policy in (
        (first, 0 * DAY, WINDOW),
        (others[0], DAY, FIRST),
        (others[1], 2 * DAY, WINDOW),
        (others[2], 3 * DAY, LAST),
        (others[3], 35 * DAY, WINDOW),
    ):
        await network.touch(session, customer_id, a.slug, policy=policy, now=NOON + after)
    await network.touch(session, others[2], b.slug, policy=LAST, now=NOON + 29 * DAY)

    async def seen(distributor_id: int, after: timedelta) -> list[tuple[Any, ...]]:
        """Page by page, each of two."""
        found: list[tuple[Any, ...]] = []
        last: tuple[int, ...] | None = None
        while page := await network.own_customers(session, distributor_id, now=NOON + after, after=last, limit=2):
            found += [(row.customer_id, *map(_from_noon, row[2:])) for row in page]
            last = (page[-1].id,)
        return found

    assert await seen(a.distributor_id, 30 * DAY) == [
        (others[1], 2 * DAY, 32 * DAY, 9 * DAY),
        (others[0], DAY, None, None),
    ]
    assert await seen(a.distributor_id, 30 * DAY - INSTANT) == [
        (others[1], 2 * DAY, 32 * DAY, 9 * DAY),
        (others[0], DAY, None, None),
        (first, 0 * DAY, 30 * DAY, 7 * DAY),
    ]
    assert await seen(b.distributor_id, 30 * DAY) == [(others[2], 29 * DAY, None, None)]
    assert await seen(b.distributor_id, 0 * DAY) == []


async def test_what_was_refused_page_by_page(session: AsyncSession, street: Street) -> None:
    await street.opens(session, street.a, 0 * DAY)
    for number in range(5):
        assert await street.opens(session, street.b, number * SECOND) == "refused"
    for side, who in (("held", street.a), ("refused", street.b)):
        assert side in {"held", "refused"}
        times, last = [], None
        while page := await network.refusals(session, who.distributor_id, side, after=last, limit=2):  # type: ignore[arg-type]
            times += [_from_noon(row.at) for row in page]
            last = (page[-1].id,)
        assert times == [number * SECOND for number in (4, 3, 2, 1, 0)]


async def test_a_touch_takes_two_statements(db: Database) -> None:
    async with db.write() as session:
        street = await a_street(session)
    sent: list[str] = []
    event.listen(db._engine.sync_engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    async with db.write() as session:
        await network.touch(session, street.customer_id, street.a.slug, policy=WINDOW, now=NOON)
    assert len(sent) == 2


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[Database]:
    """With a connection for each of many."""
    database = Database(database_url, pool_size=CONNECTIONS)
    yield database
    await database.close()


@pytest.mark.parametrize("policy", [FIRST, LAST, WINDOW, Policy("window", 30, 0)])
async def test_16_at_once(crowd: Database, database_url: str, policy: Policy) -> None:
    """Each leads one customer to a store of its own, six times, by a clock that is a little ahead or behind."""
    async with crowd.write() as session:
        stores = [await factories.a_store(session) for _ in range(CONNECTIONS)]
        customer_id = (await factories.a_customer(session)).id
    drawn = random.Random(16)
    outcomes: Counter[Outcome] = Counter()

    async def lead(store: models.Store) -> None:
        for _ in range(6):
            now = NOON + drawn.randrange(3) * INSTANT
            async with crowd.write() as session:
                touched = await network.touch(session, customer_id, store.slug, policy=policy, now=now)
                assert (touched.seller_id == store.distributor_id) == (touched.outcome != "refused")
            outcomes[touched.outcome] += 1

    await asyncio.gather(*map(lead, stores))
    async with crowd.read() as session:
        *older, last = reversed(await network.binding_history(session, customer_id, after=None, limit=1000))
        refused = await session.scalar(select(func.count()).select_from(models.RefusedTouch))
    assert outcomes["bound"] == 1
    assert outcomes["taken_over"] == len(older)
    assert outcomes["refused"] == refused
    assert sum(outcomes.values()) == 16 * 6
    assert [it.during.upper for it in older] == [it.during.lower for it in [*older, last][1:]]
    if policy.name == "last_touch" or policy.protection_days == 0:
        assert refused == 0
        assert len(older) >= 15
    else:
        assert older == []
        assert outcomes["kept"] == 5  # of the store that was the first
    await crowd.close()
    assert await as_owner(
        database_url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ) == [(0,)]


async def test_the_second_waits_for_the_first_and_sees_what_it_did(db: Database, database_url: str) -> None:
    async with db.write() as session:
        street = await a_street(session)

    async def second() -> Outcome:
        async with db.write() as session:
            return await street.opens(session, street.b, SECOND)

    async with db.write() as session:
        assert await street.opens(session, street.a, 0 * DAY) == "bound"
        waiting = asyncio.create_task(second())
        await until(lambda: are_waiting(database_url, 1))
    assert await waiting == "refused"
