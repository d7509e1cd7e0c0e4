"""What it would have taken to leave the tail, and what a policy would have done: by hand, and for any cohort."""

from datetime import date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, ranking
from s2b2c.errors import BadArgument, PeriodOpen, Refused
from s2b2c.ranking import Escape, ForeseenHit, ForeseenPeriod, scoring
from s2b2c.ranking.policies import WEIGHTS
from s2b2c.sql import statements
from tests.test_ranking import sell
from tests.test_tail import (
    ACTED_AT,
    AUGUST,
    JULY,
    JUNE,
    PERIODS,
    SEPTEMBER,
    TERMS,
    World,
    act,
    everything,
    rank,
    three_months,
)

NAMES = models.ranking.METRICS


async def rows_of(session: AsyncSession, world: World, run_id: int) -> dict[int, Any]:
    """The rows of a run as they are shown, by the numbers of the people."""
    numbers = {person.id: number for number, person in enumerate(world.people, start=1)}
    found = await ranking.scores(session, run_id, after=None, limit=100)
    return {numbers[row.RankingScore.distributor_id]: row for row in found}


async def test_what_it_takes_to_leave_the_tail(session: AsyncSession) -> None:
    """June: 10 is the last of eleven before it, with 2800. 9 has 0.6 * 2000; it lacks 2801 - 1200 = 1601.

    By output: 0.6 * share >= 2801 is a share of 4669, so 5 of 10 must be worse. By orders or refunds, which weigh 0.2:
    a share of 8005, and 9 must be worse. 11 (0.2 * 5500 twice) needs 0.6 * share >= 601: 2 are worse; or a share of
    5500 + 3005: 9 are.
    """
    world = await three_months(session)
    run_id, _ = await rank(session, world, *PERIODS[0])
    found = {number: ranking.escapes(row) for number, row in (await rows_of(session, world, run_id)).items()}
    assert found == {
        **{number: [] for number in (1, 2, 3, 4, 5, 6, 7, 8, 10)},
        9: [Escape("output", 6), Escape("orders", 2), Escape("refund", 2)],
        11: [Escape("output", 9), Escape("orders", 2), Escape("refund", 2)],
    }


@pytest.mark.parametrize(("output", "outcome"), [(2001, "clear"), (2000, "tail")])
async def test_at_that_place_it_does_leave_it(session: AsyncSession, output: int, outcome: str) -> None:
    """The frozen rows scored again, with an output of 9 between 5 (2400) and 6 and 7 (2000): place 6; or with theirs."""
    world = await three_months(session)
    run_id, _ = await rank(session, world, *PERIODS[0])
    nine = {"run_id": run_id, "id": world.people[8].id, "output": output}
    await session.execute(text("SET LOCAL ROLE NONE"))
    await session.execute(
        text("UPDATE ranking_scores SET output = :output, paid = :output + refunded WHERE run_id = :run_id AND distributor_id = :id"),
        nine,
    )  # fmt: skip
    await scoring.measure(session, "measure_frozen", run_id=run_id)
    await session.execute(statements("ranking")["dry_scores"])
    # Its rate of refunds is drawn to another mean now, and stays the worst.
    await session.execute(statements("ranking")["foresee"], {"run_id": 1, "policy_id": world.policy.id})
    query = text("SELECT output_place, outcome FROM pg_temp.dry_scores WHERE distributor_id = :id")
    assert tuple((await session.execute(query, nine)).one()) == (6, outcome)


async def test_a_tail_of_everybody_cannot_be_left(session: AsyncSession) -> None:
    world = await three_months(session)
    terms = ranking.Terms(**{**_terms(), "tail_bps": 10_000})
    policy = await ranking.draft(session, "三期", terms, by=None, now=ACTED_AT)
    run = await ranking.rank(session, start=JUNE, end=JULY, policy=policy)
    assert run.run_id is not None
    rows = await rows_of(session, world, run.run_id)
    assert {row.RankingScore.outcome for row in rows.values()} == {"tail", "let_off"}
    assert [ranking.escapes(row) for row in rows.values()] == [[]] * 11


def _terms() -> dict[str, Any]:
    return {name: getattr(TERMS, name) for name in TERMS.__dataclass_fields__}


Cohort = list[dict[str, int]]
"""For each the order of its values in each metric: 0 is the worst, none twice."""


def scored(cohort: Cohort, weights: dict[str, int]) -> list[int]:
    """Domain 11, without ties: a share is 10000 * worse // (n - 1)."""
    others = len(cohort) - 1
    shares = [{name: 10000 * one[name] // others for name in NAMES} for one in cohort]
    return [sum(weights[name] * one[name] for name in NAMES) // 10000 for one in shares]


def order(scores: list[int], cohort: Cohort) -> list[int]:
    """The numbers of all, best first: by score, output, number."""
    return sorted(range(len(scores)), key=lambda one: (-scores[one], -cohort[one]["output"], one))


def placed(cohort: Cohort, one: int, name: str, place: int) -> Cohort:
    """One comes to a place in a metric, and those between move by one."""
    line = sorted((it for it in range(len(cohort)) if it != one), key=lambda it: -cohort[it][name])
    line.insert(place - 1, one)
    return [{**it, name: len(cohort) - 1 - line.index(number)} for number, it in enumerate(cohort)]


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[Cohort, dict[str, int], int]:
    """With the weights, and the size of the tail."""
    count = draw(st.integers(2, 12))
    lines = {name: draw(st.permutations(range(count))) for name in NAMES}
    cuts = sorted(draw(st.lists(st.integers(0, 10000), min_size=6, max_size=6)))
    weights = {name: high - low for name, low, high in zip(NAMES, [0, *cuts], [*cuts, 10000], strict=True)}
    cohort = [{name: line[one] for name, line in lines.items()} for one in range(count)]
    return cohort, weights, draw(st.integers(1, count - 1))


@given(cohorts())
def test_without_ties_an_escape_leaves_the_tail_and_no_lower_place_is_surely_enough(
    drawn: tuple[Cohort, dict[str, int], int],
) -> None:
    cohort, weights, tail = drawn
    scores = scored(cohort, weights)
    ranks = order(scores, cohort)
    safe, hit = scores[ranks[-tail - 1]], ranks[-tail:]
    policy = SimpleNamespace(**{f"{name}_weight_bps": weight for name, weight in weights.items()})
    others = len(cohort) - 1
    for one in hit:
        shares = {f"{name}_share_bps": 10000 * cohort[one][name] // others for name in NAMES}
        score = SimpleNamespace(outcome="tail", compared=len(cohort), **shares)
        row: Any = SimpleNamespace(RankingScore=score, RankingPolicy=policy, last_safe=safe)
        found = {it.metric: it.place for it in ranking.escapes(row)}
        assert [weights[name] for name in found] == sorted((weights[name] for name in found), reverse=True)
        for name in NAMES:
            place = found.get(name)
            if place is not None:
                after = placed(cohort, one, name, place)
                assert one not in order(scored(after, weights), after)[-tail:]
            below = 1 if place is None else place + 1
            if below <= len(cohort):
                assert scored(placed(cohort, one, name, below), weights)[one] <= safe


async def test_three_months_foreseen(session: AsyncSession) -> None:
    """By the tails of `test_twelve_distributors_over_three_periods`: 9, then 8 and 9, then 9 and 12.

    9 is noticed in July; 8 stood 8th of 11, and 12 was 2nd of 12 the month before it fell. Of the three in a tail that
    has a next one (9, 8, 9) two are in that again.
    """
    world = await three_months(session)
    nine, eight, twelve = (world.people[number - 1] for number in (9, 8, 12))
    months = ranking.months(SEPTEMBER, 3)
    assert months == [*PERIODS]
    found = await ranking.simulate(session, world.policy, months)
    assert found.periods == [
        ForeseenPeriod(JUNE, JULY, 11, 1, 1, 0, 0, 0, 0),
        ForeseenPeriod(JULY, AUGUST, 12, 2, 0, 1, 1, 1, 0),
        ForeseenPeriod(AUGUST, SEPTEMBER, 12, 2, 0, 0, 2, 1, 1),
    ]
    hit = ForeseenHit(nine.id, nine.code, nine.name, 2, 3, was_above_median=False)
    assert (found.hits, found.hits_above_median, found.shown) == (1, 0, [hit])
    assert found.stability_bps == 6666
    assert await ranking.simulate(session, world.policy, months) == found

    once = ranking.Terms(**{**_terms(), "strikes": 1})
    draft = await ranking.draft(session, "三期", once, by=None, now=ACTED_AT)
    harder = await ranking.simulate(session, draft, months, shown=2)
    assert [it.noticed for it in harder.periods] == [1, 1, 1]
    assert (harder.hits, harder.hits_above_median, harder.stability_bps) == (3, 1, 6666)
    assert harder.shown == [
        ForeseenHit(nine.id, nine.code, nine.name, 1, 3, was_above_median=False),
        ForeseenHit(eight.id, eight.code, eight.name, 2, 1, was_above_median=False),
    ]
    assert (await ranking.simulate(session, draft, months)).shown[2] == ForeseenHit(
        twelve.id, twelve.code, twelve.name, 3, 1, was_above_median=True
    )
    counted = await ranking.simulate(session, draft, months, shown=0)
    assert (counted.hits, counted.hits_above_median, counted.shown) == (3, 1, [])


async def test_foresight_keeps_nothing_and_heeds_no_decision(session: AsyncSession) -> None:
    """What was acted on, and that 9 was spared, changes nothing of it; and it changes nothing."""
    world = await three_months(session)
    before = await ranking.simulate(session, world.policy, PERIODS)
    for start, end in PERIODS[:2]:
        run_id, _ = await rank(session, world, start, end)
        await act(session, world, run_id)
    of = models.TailCase.distributor_id == world.people[8].id
    case_id = (await session.scalars(select(models.TailCase.id).where(of))).one()
    await ranking.spare(session, case_id, "留", by=world.by, account_id=world.account_id, now=ACTED_AT)
    kept = await everything(session)
    scores = await session.scalar(text("SELECT count(*) FROM ranking_scores"))
    assert await ranking.simulate(session, world.policy, PERIODS) == before
    assert await everything(session) == kept
    assert await session.scalar(text("SELECT count(*) FROM ranking_scores")) == scores == 23


async def test_without_anybody_in_a_tail(session: AsyncSession) -> None:
    """And nobody at all in January of the year before: all have been there for 29 days."""
    await three_months(session)
    terms = ranking.Terms(**{**_terms(), "tail_bps": 0})
    draft = await ranking.draft(session, "三期", terms, by=None, now=ACTED_AT)
    found = await ranking.simulate(session, draft, [(date(2024, 1, 1), date(2024, 1, 30)), *PERIODS])
    assert [(it.ranked, it.in_tail) for it in found.periods] == [(0, 0), (11, 0), (12, 0), (12, 0)]
    assert (found.hits, found.stability_bps, found.shown) == (0, None, [])


async def test_strikes_are_of_a_row_also_when_foreseen(session: AsyncSession) -> None:
    """8 is in the tail of July and again in a second July week; August between them is clear: no notice."""
    world = await three_months(session)
    noon = datetime.fromisoformat("2025-09-15T04:00:00+00:00")
    for number, person in enumerate(world.people, start=1):
        await sell(session, person, *(50,) * 4 if number == 8 else (1000 + number,) * 4, at=noon)
    await ranking.roll_up(session)
    october = date(2025, 10, 1)
    found = await ranking.simulate(session, world.policy, [*PERIODS, (SEPTEMBER, october)])
    assert found.periods[3].noticed == 0
    assert [hit.code for hit in found.shown] == [world.people[8].code]
    apart = await ranking.simulate(session, world.policy, [PERIODS[1], (SEPTEMBER, october)])
    assert world.people[7].code in [hit.code for hit in apart.shown]


async def _refused(session: AsyncSession, periods: list[tuple[date, date]]) -> Any:
    policy = await ranking.in_force(session, now=ACTED_AT)
    with pytest.raises(Refused) as refused:
        await ranking.simulate(session, policy, periods)
    return refused.value.refusal


async def test_periods_that_are_not_simulated(session: AsyncSession) -> None:
    july, august = PERIODS[1:]
    assert await _refused(session, []) == BadArgument("0 periods: ask for 1 to 36.")
    assert await _refused(session, [july] * 37) == BadArgument("37 periods: ask for 1 to 36.")
    overlap = BadArgument("The periods overlap, or do not come in order.")
    assert await _refused(session, [august, july]) == overlap
    assert await _refused(session, [july, july]) == overlap
    assert isinstance(await _refused(session, [(JUNE, JUNE)]), BadArgument)
    assert isinstance(await _refused(session, [(JUNE, date(2999, 1, 1))]), PeriodOpen)


def test_the_months_before_a_day() -> None:
    assert ranking.months(date(2025, 9, 30), 1) == [(AUGUST, SEPTEMBER)]
    assert ranking.months(date(2026, 1, 1), 2) == [
        (date(2025, 11, 1), date(2025, 12, 1)),
        (date(2025, 12, 1), date(2026, 1, 1)),
    ]
    assert ranking.months(date(1, 3, 1), 2) == [(date(1, 1, 1), date(1, 2, 1)), (date(1, 2, 1), date(1, 3, 1))]
    for day, count, message in (
        (SEPTEMBER, 0, "0 periods: ask for 1 to 36."),
        (SEPTEMBER, 37, "37 periods: ask for 1 to 36."),
        (date(1, 3, 1), 3, "There are no 3 months before 0001-03-01."),
    ):
        with pytest.raises(Refused) as refused:
            ranking.months(day, count)
        assert refused.value.refusal == BadArgument(message)


def test_the_metrics_of_a_policy_are_those_that_are_measured() -> None:
    assert tuple(f"{metric.name}_weight_bps" for metric in ranking.METRICS) == WEIGHTS
