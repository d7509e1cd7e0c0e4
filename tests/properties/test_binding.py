"""What touches do to many customers in one statement equals the rules told one by one, whatever comes when."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, network
from s2b2c.sql import statements
from tests import factories
from tests.properties.binding_oracle import DAY, Customer, Policy, Touch
from tests.properties.worlds import SOAK

START = datetime(2026, 1, 1, tzinfo=UTC)
DISTRIBUTORS = 3
CUSTOMERS = 5

TOUCHES = text(f"""
    WITH touch AS (
        SELECT customer_id, distributor_id, at, CAST(:store_id AS bigint) AS store_id,
               CAST(NULL AS bigint) AS product_id, share_link_id
        FROM unnest(CAST(:customer_ids AS bigint[]), CAST(:distributor_ids AS bigint[]), CAST(:times AS timestamptz[]),
                    CAST(:share_link_ids AS bigint[])) AS asked (customer_id, distributor_id, at, share_link_id)
    ),
    {statements("bindings")["touch"].text}
    SELECT customer_id, seller_id, outcome FROM touched
""")


class World(NamedTuple):
    store_id: int
    distributor_ids: list[int]
    share_link_ids: list[int]


@pytest.fixture
async def world(session: AsyncSession) -> World:
    """Made once for all examples."""
    owners = [await factories.a_distributor(session) for _ in range(DISTRIBUTORS)]
    store = await factories.a_store(session, owners[0])
    links = [models.ShareLink(code=str(owner.id), store_id=store.id, distributor_id=owner.id) for owner in owners]
    session.add_all(links)
    await session.flush()
    return World(store.id, [owner.id for owner in owners], [link.id for link in links])


class Round(NamedTuple):
    """What happens in one statement: to some customers, each so long after its touch before."""

    policy: Policy
    touches: dict[int, tuple[int, int, bool]]
    """Customer to (distributor, microseconds, by a share link)."""


steps = st.sampled_from([-DAY, -1, 0, 1, DAY - 1, DAY, DAY + 1, 2 * DAY - 1, 2 * DAY, 4 * DAY])
touches = st.tuples(st.integers(0, DISTRIBUTORS - 1), steps, st.booleans())
policies = st.builds(
    Policy, st.sampled_from(["window", "window", "first_touch", "last_touch"]), st.integers(1, 4), st.integers(0, 4)
)


@st.composite
def histories(draw: st.DrawFn) -> list[Round]:
    """The policy changes now and then."""
    few = draw(st.lists(policies, min_size=1, max_size=2))
    some = st.dictionaries(st.integers(0, CUSTOMERS - 1), touches, min_size=1)
    return draw(st.lists(st.builds(Round, st.sampled_from(few), some), min_size=1, max_size=10))


@settings(max_examples=2_000 if SOAK else 200)
@given(rounds=histories())
async def test_any_touches(session: AsyncSession, world: World, rounds: list[Round]) -> None:
    async with session.begin_nested():
        new = insert(models.Customer).values(
            [{"ref": func.concat("anybody-", func.nextval("customers_id_seq"))} for _ in range(CUSTOMERS)]
        )
        customer_ids = sorted(await session.scalars(new.returning(models.Customer.id)))
        oracles = [Customer() for _ in customer_ids]
        clocks = [0] * CUSTOMERS
        for one in rounds:
            told: dict[int, Touch] = {}
            for number, (distributor, step, by_link) in one.touches.items():
                clocks[number] += step
                told[number] = Touch(distributor, clocks[number], distributor if by_link else None)
            outcomes = {number: oracles[number].touch(one.policy, touch) for number, touch in told.items()}
            found = await _touch(session, world, one.policy, {customer_ids[n]: touch for n, touch in told.items()})
            assert found == {
                customer_ids[number]: (world.distributor_ids[oracles[number].seller()], outcome)
                for number, outcome in outcomes.items()
            }
        await _compare(session, world, dict(zip(customer_ids, oracles, strict=True)))


async def _touch(
    session: AsyncSession, world: World, policy: Policy, told: dict[int, Touch]
) -> dict[int, tuple[int, str]]:
    """(seller, outcome) of each customer."""
    rows = await session.execute(
        TOUCHES,
        {
            "store_id": world.store_id,
            "customer_ids": list(told),
            "distributor_ids": [world.distributor_ids[touch.distributor] for touch in told.values()],
            "times": [_time(touch.at) for touch in told.values()],
            "share_link_ids": [
                None if touch.link is None else world.share_link_ids[touch.link] for touch in told.values()
            ],
            **network.Policy(*policy).parameters(),
        },
    )
    return {customer_id: (seller_id, outcome) for customer_id, seller_id, outcome in rows}


async def _compare(session: AsyncSession, world: World, oracles: dict[int, Customer]) -> None:
    """Every row of these customers."""
    bindings = (
        await session.execute(
            select(
                models.Binding.customer_id,
                models.Binding.distributor_id,
                models.Binding.during,
                models.Binding.protected_until,
                models.Binding.policy,
                models.Binding.share_link_id,
                models.Binding.id,
            )
            .where(models.Binding.customer_id.in_(oracles))
            .order_by(models.Binding.customer_id, func.lower(models.Binding.during))
        )
    ).all()
    assert [tuple(row[:6]) for row in bindings] == [
        (
            customer_id,
            world.distributor_ids[span.distributor],
            Range(_time(span.begins), None if span.ends is None else _time(span.ends)),
            None if span.protected_until is None else _time(span.protected_until),
            span.policy,
            None if span.link is None else world.share_link_ids[span.link],
        )
        for customer_id, oracle in oracles.items()
        for span in oracle.spans
    ]
    ids = iter(row.id for row in bindings)
    binding_ids = {customer_id: [next(ids) for _ in oracle.spans] for customer_id, oracle in oracles.items()}
    refused = await session.execute(
        select(
            models.RefusedTouch.customer_id,
            models.RefusedTouch.distributor_id,
            models.RefusedTouch.at,
            models.RefusedTouch.binding_id,
            models.RefusedTouch.protected_until,
            models.RefusedTouch.share_link_id,
            models.RefusedTouch.store_id,
        )
        .where(models.RefusedTouch.customer_id.in_(oracles))
        .order_by(models.RefusedTouch.customer_id, models.RefusedTouch.id)
    )
    assert [tuple(row) for row in refused] == [
        (
            customer_id,
            world.distributor_ids[it.touch.distributor],
            _time(it.touch.at),
            binding_ids[customer_id][it.span],
            None if it.protected_until is None else _time(it.protected_until),
            None if it.touch.link is None else world.share_link_ids[it.touch.link],
            world.store_id,
        )
        for customer_id, oracle in oracles.items()
        for it in oracle.refused
    ]


def _time(microseconds: int) -> datetime:
    return START + timedelta(microseconds=microseconds)
