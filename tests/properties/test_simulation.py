"""Simulation against what really happens: any rules over any orders and refunds, as if they had been in force."""

from collections import defaultdict
from dataclasses import replace
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.commissions import simulation
from s2b2c.commissions.simulation import Outcome, Simulation, rules_of, simulate
from s2b2c.db import Database
from tests.properties.oracle import Plan
from tests.properties.test_commissions import lived
from tests.properties.worlds import SOAK, World, Written, a_plan, worlds
from tests.properties.written import rule_rows

FIRST, SECOND, FOURTH, AFTER = (date(2026, 9, day) for day in (1, 2, 4, 5))
"""All orders are paid at the first moment of a day; the plan changes with the second, and on the fourth there is none."""

Net = dict[tuple[int, int], int]
"""What is left of the commissions by (distributor_id, tier_id)."""

_NET = text("""
    SELECT c.distributor_id, c.tier_id, sum(c.amount - coalesce(back.amount, 0))::bigint
    FROM commissions c
    LEFT JOIN (SELECT branch_id, line_id, position, sum(amount) AS amount FROM clawbacks GROUP BY 1, 2, 3) AS back
        USING (branch_id, line_id, position)
    GROUP BY c.distributor_id, c.tier_id
""")
_TOTALS = text("""
    SELECT count(DISTINCT (o.branch_id, o.id)), count(*), coalesce(sum(l.paid), 0)::bigint,
           coalesce(sum(l.refunded), 0)::bigint, coalesce(sum(l.supply), 0)::bigint,
           coalesce(sum(l.commission), 0)::bigint, coalesce(sum(l.platform), 0)::bigint
    FROM orders o JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    WHERE o.paid_at IS NOT NULL
""")


async def _net(session: AsyncSession) -> Net:
    return {(distributor, tier): amount for distributor, tier, amount in await session.execute(_NET)}


def _expected(actual: Net, simulated: Net) -> tuple[dict[int, Outcome], dict[int, tuple[int, Outcome]]]:
    """By distributor, and by tier with how many stood on it."""
    people: dict[int, Outcome] = defaultdict(Outcome)
    tiers: dict[int, tuple[int, Outcome]] = {}
    for key in actual.keys() | simulated.keys():
        outcome = Outcome(actual.get(key, 0), simulated.get(key, 0))
        people[key[0]] += outcome
        count, before = tiers.get(key[1], (0, Outcome()))
        tiers[key[1]] = (count + 1, before + outcome)
    return people, tiers


def _says(found: Simulation, actual: Net, simulated: Net) -> None:
    people, tiers = _expected(actual, simulated)
    ranked = sorted(people, key=lambda key: (-abs(people[key].difference), key))
    winners = [(key, people[key]) for key in ranked if people[key].difference > 0]
    losers = [(key, people[key]) for key in ranked if people[key].difference < 0]
    assert [(it.id, it.commission) for it in found.winners] == winners
    assert [(it.id, it.commission) for it in found.losers] == losers
    assert (found.gaining, found.losing) == (len(winners), len(losers))
    assert found.unchanged == len(people) - len(winners) - len(losers)
    assert {it.tier.id: (it.distributors, it.commission) for it in found.tiers} == tiers
    assert [it.tier.rank for it in found.tiers] == sorted(it.tier.rank for it in found.tiers)
    assert found.commission == sum(people.values(), Outcome())


@st.composite
def worlds_and_plans(draw: st.DrawFn) -> tuple[World, Plan]:
    world = draw(worlds(most_orders=20))
    return world, a_plan(draw, world.ranks)


@settings(max_examples=1_000 if SOAK else 25)
@given(drawn=worlds_and_plans(), at_once=st.sampled_from([1, 3, 100]))
async def test_equals_what_the_plan_would_have_paid(
    shared_db: Database, drawn: tuple[World, Plan], at_once: int
) -> None:
    world, plan = drawn
    other = Written(61, None, None, plan, 71)
    async with shared_db.write() as session:
        await lived(session, replace(world, plans=[other]))
        would, totals = await _net(session), (await session.execute(_TOTALS)).one()
        await session.rollback()
    rules = [{**row, "plan_id": 0} for row in rule_rows(other, world.ranks)]
    async with shared_db.write() as session:
        await lived(session, world)
        did, really = await _net(session), (await session.execute(_TOTALS)).one()
        usual, simulation.ORDERS_AT_ONCE = simulation.ORDERS_AT_ONCE, at_once
        try:
            found = await simulate(session, rules, plan.margin_floor_bps, start=FIRST, end=AFTER, top=100)
        finally:
            simulation.ORDERS_AT_ONCE = usual
        _says(found, did, would)
        await session.rollback()
    assert found[:5] == really[:5] == totals[:5]
    assert (found.commission, found.platform) == (Outcome(really[5], totals[5]), Outcome(really[6], totals[6]))


@settings(max_examples=500 if SOAK else 15)
@given(world=worlds(most_orders=20))
async def test_the_plan_in_force_gives_what_was_earned(shared_db: Database, world: World) -> None:
    async with shared_db.write() as session:
        await lived(session, world)
        for written in world.plans:
            start, end = (FIRST, SECOND) if written.since is None else (SECOND, FOURTH)
            floor = written.plan.margin_floor_bps
            found = await simulate(session, await rules_of(session, written.id), floor, start=start, end=end)
            assert found.commission.difference == found.platform.difference == 0
            assert (found.gaining, found.losing, found.winners, found.losers) == (0, 0, [], [])
            assert all(it.commission.difference == 0 for it in found.tiers)
        await session.rollback()
