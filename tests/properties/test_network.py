"""The tree in SQL equals a dict of parents, whatever moves are tried, and so does its past."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, network
from s2b2c.errors import MakesCycle, Refused, WrongState
from tests import factories

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SIZE = 15

Parents = dict[int, int | None]


@dataclass
class Oracle:
    """Distributors are numbered from 0; those of no state here are active."""

    parents: Parents
    states: dict[int, str]
    past: list[Parents] = field(default_factory=list)
    """The parents right after each minute."""

    def ancestors(self, number: int, parents: Parents | None = None) -> list[int]:
        parents = self.parents if parents is None else parents
        parent = parents[number]
        return [number] if parent is None else [number, *self.ancestors(parent, parents)]

    def refusal(self, mover: int, parent: int | None) -> type | None:
        if self.states.get(mover) in {"rejected", "eliminated"}:
            return WrongState
        if parent is not None:
            if mover in self.ancestors(parent):
                return MakesCycle
            if self.states.get(parent, "active") not in {"active", "watch"}:
                return WrongState
        return WrongState if self.parents[mover] == parent else None


@st.composite
def networks(draw: st.DrawFn) -> Oracle:
    parents: Parents = {0: None}
    for number in range(1, SIZE):
        parents[number] = draw(st.none() | st.integers(0, number - 1))
    states = draw(st.dictionaries(st.integers(0, SIZE - 1), st.sampled_from(models.network.STATES), max_size=4))
    return Oracle(parents, states)


numbers = st.integers(0, SIZE - 1)


@given(oracle=networks(), moves=st.lists(st.tuples(numbers, st.none() | numbers), max_size=12))
async def test_any_moves(session: AsyncSession, oracle: Oracle, moves: list[tuple[int, int | None]]) -> None:
    async with session.begin_nested() as example:
        keys, account_id = await _written(session, oracle)
        oracle.past.append(dict(oracle.parents))
        for minute, (mover, parent) in enumerate(moves, start=1):
            await _try(session, oracle, keys, mover, parent, now=START + minute * MINUTE, account_id=account_id)
            oracle.past.append(dict(oracle.parents))
        await _compare_past(session, oracle, keys)
        await example.rollback()


async def _written(session: AsyncSession, oracle: Oracle) -> tuple[list[int], int]:
    """The network with a history since START; the keys of the distributors, and of an account."""
    tier = await factories.a_tier(session)
    account = models.Account(role="operator")
    session.add(account)
    await session.flush()
    keys = [
        int(key)
        for key in await session.scalars(text(f"SELECT nextval('distributors_id_seq') FROM generate_series(1, {SIZE})"))
    ]
    await session.execute(
        insert(models.Distributor),
        [
            {
                "id": keys[number],
                "code": f"D{keys[number]}",
                "name": f"分销商{number}",
                "tier_id": tier.id,
                "parent_id": None if parent is None else keys[parent],
                "ancestors": [keys[above] for above in oracle.ancestors(number)],
                "region": "华东",
                "joined_on": START.date(),
                "state": oracle.states.get(number, "active"),
            }
            for number, parent in oracle.parents.items()
        ],
    )
    await session.execute(
        text(
            "INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state) "
            "SELECT id, tstzrange(:start, NULL), parent_id, tier_id, state FROM distributors"
        ),
        {"start": START},
    )
    return keys, account.id


async def _try(
    session: AsyncSession,
    oracle: Oracle,
    keys: list[int],
    mover: int,
    parent: int | None,
    *,
    now: datetime,
    account_id: int,
) -> None:
    """One move, refused exactly when the oracle says so; afterwards everybody stands where the oracle has it."""
    expected = oracle.refusal(mover, parent)
    parent_key = None if parent is None else keys[parent]
    preview = await network.preview_move(session, keys[mover], parent_key)
    assert preview is not None
    assert (preview.refusal and type(preview.refusal)) == expected
    assert preview.members == sum(mover in oracle.ancestors(number) for number in range(SIZE))
    branch = oracle.ancestors(mover)[-1]
    refused: type | None = None
    try:
        moved = await network.move(session, keys[mover], parent_key, reason="试", now=now, account_id=account_id)
    except Refused as error:
        refused = type(error.refusal)
    else:
        oracle.parents[mover] = parent
        above = [keys[number] for number in oracle.ancestors(mover)]
        assert moved.ancestors == above
        assert [one.id for one in preview.new_upline] == above[1:]
        assert preview.changes_branch == (oracle.ancestors(mover)[-1] != branch)
    assert refused is expected
    rows = await session.execute(
        select(models.Distributor.id, models.Distributor.parent_id, models.Distributor.ancestors)
    )
    assert sorted(rows.all()) == [
        (keys[number], None if above is None else keys[above], [keys[one] for one in oracle.ancestors(number)])
        for number, above in oracle.parents.items()
    ]


async def _compare_past(session: AsyncSession, oracle: Oracle, keys: list[int]) -> None:
    moments = [
        (minute, START + minute * MINUTE + later)
        for minute in range(len(oracle.past))
        for later in (timedelta(), MINUTE - timedelta(microseconds=1))
    ]
    found = await network.uplines_at(session, [(key, at) for key in keys for _, at in moments])
    told = {at_key: [(one.position, one.id) for one in members] for at_key, members in found.items()}
    assert told == {
        (keys[number], at): [
            (position, keys[above])
            for position, above in enumerate(oracle.ancestors(number, oracle.past[minute]))
            if position
        ]
        for number in range(SIZE)
        for minute, at in moments
    }
    before = START - timedelta(microseconds=1)
    assert await network.uplines_at(session, [(key, before) for key in keys]) == {}
