"""Due process, with a cohort worked out by hand."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, network, offboarding, ranking
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.ranking import Acted, Terms
from tests import factories
from tests.test_ranking import LONG_AGO, refund, sell

JUNE, JULY, AUGUST, SEPTEMBER = (date(2025, month, 1) for month in (6, 7, 8, 9))
PERIODS = ((JUNE, JULY), (JULY, AUGUST), (AUGUST, SEPTEMBER))
TERMS = Terms(
    output_weight_bps=6000,
    orders_weight_bps=2000,
    customers_weight_bps=0,
    repeat_weight_bps=0,
    refund_weight_bps=2000,
    growth_weight_bps=0,
    sell_through_weight_bps=0,
    min_cohort=5,
    min_orders=4,
    grace_days=30,
    tail_bps=2000,
    strikes=2,
    appeal_days=7,
)
FOURS = (1000, 900, 800, 700, 600, 500, 500, 400, None, 200, 100, None)
"""The price of each of the four orders that most of the twelve sell in a period."""
ACTED_AT = datetime(2025, 9, 2, 4, tzinfo=UTC)
DAY = timedelta(days=1)


_SELL_MORE = {"zh": "产值、订单数", "en": "output, orders"}
TOLD_NINE = [
    ("ranking_watched", {"period": "2025-06-01 – 2025-06-30", "rank": 11, "members": 11, "strikes": 1}),
    (
        "ranking_noticed",
        {"period": "2025-07-01 – 2025-07-31", "rank": 12, "members": 12, "strikes": 2, "until": "2025-09-10 12:00"},
    ),
    ("ranking_watched", {"period": "2025-08-01 – 2025-08-31", "rank": 11, "members": 12, "strikes": 3}),
]
"""What number 9 is told in the three months: where it stood, and the two metrics that cost it most (weight x what lacks
to 10000)."""
for _, _facts in TOLD_NINE:
    _facts |= {"limit": 2, "improve": _SELL_MORE}


@dataclass
class World:
    people: list[models.Distributor]
    policy: models.RankingPolicy
    by: int
    account_id: int

    def keys(self, *numbers: int) -> list[int]:
        return [self.people[number - 1].id for number in numbers]


async def a_person(session: AsyncSession) -> int:
    person = models.Person()
    session.add(person)
    await session.flush()
    return person.id


async def a_world(session: AsyncSession, count: int = 12) -> World:
    """Number 12 joined in the middle of June."""
    people = [
        await factories.a_distributor(
            session, joined_on=date(2025, 6, 15) if number == 12 else LONG_AGO, with_history=True
        )
        for number in range(1, count + 1)
    ]
    by, account_id = await a_person(session), await factories.an_account(session)
    drafted = await ranking.draft(session, "三期", TERMS, by=by, now=ACTED_AT)
    return World(people, await ranking.publish(session, drafted.id, by=by, now=ACTED_AT), by, account_id)


async def sell_month(session: AsyncSession, world: World, start: date, **other: tuple[int, ...]) -> None:
    """Four orders each, as in FOURS, but for those (`d9`, ...) who sold something else."""
    noon = datetime(start.year, start.month, 15, 4, tzinfo=UTC)
    for number, (person, price) in enumerate(zip(world.people, FOURS, strict=False), start=1):
        sold = other.get(f"d{number}", () if price is None else (price,) * 4)
        await sell(session, person, *sold, at=noon)
    await ranking.roll_up(session)


async def rank(session: AsyncSession, world: World, start: date, end: date) -> tuple[int, dict[int, Any]]:
    """A run, and its rows by the numbers of the people."""
    run = await ranking.rank(session, start=start, end=end, policy=world.policy)
    assert run.run_id is not None
    found = await session.scalars(select(models.RankingScore).where(models.RankingScore.run_id == run.run_id))
    numbers = {person.id: number for number, person in enumerate(world.people, start=1)}
    return run.run_id, {numbers[score.distributor_id]: score for score in found}


async def act(session: AsyncSession, world: World, run_id: int, *, days: int = 0) -> Acted:
    return await ranking.act(session, run_id, by=world.by, account_id=world.account_id, now=ACTED_AT + days * DAY)


async def states(session: AsyncSession, world: World) -> list[str]:
    found = {row.id: row.state for row in await session.execute(text("SELECT id, state FROM distributors"))}
    return [found[person.id] for person in world.people]


async def cases(session: AsyncSession, world: World) -> dict[int, list[tuple[str, int]]]:
    """(state, strikes) of the cases of each that has any, in order, by the numbers of the people."""
    numbers = {person.id: number for number, person in enumerate(world.people, start=1)}
    found: dict[int, list[tuple[str, int]]] = {}
    rows = await session.execute(text("SELECT distributor_id, state, strikes FROM tail_cases ORDER BY id"))
    for key, state, strikes in rows:
        found.setdefault(numbers[key], []).append((state, strikes))
    return found


async def told(session: AsyncSession, person: models.Distributor) -> list[tuple[str, dict[str, Any]]]:
    rows = await session.execute(
        text("SELECT kind, facts FROM notices WHERE distributor_id = :key ORDER BY id"), {"key": person.id}
    )
    return [(kind, facts) for kind, facts in rows]


async def steps(session: AsyncSession, person: models.Distributor) -> list[tuple[str, int]]:
    rows = await session.execute(
        text(
            "SELECT s.kind, s.strikes FROM tail_steps s JOIN tail_cases c ON c.id = s.case_id "
            "WHERE c.distributor_id = :key ORDER BY s.id"
        ),
        {"key": person.id},
    )
    return [(kind, strikes) for kind, strikes in rows]


async def three_months(session: AsyncSession) -> World:
    """June: 9 sells once, a third of it goes back; 11 is exempt until July is over. July: 8 sells little, 12 is ranked.
    August: 8 is back, 12 sells nothing."""
    world = await a_world(session)
    await ranking.exempt(session, world.people[10].id, start=JUNE, end=AUGUST, reason="产假", by=world.by, now=ACTED_AT)
    await sell_month(session, world, JUNE, d9=(1500,), d12=(1000,) * 4)
    await refund(session, world.people[8], 500)
    await sell_month(session, world, JULY, d8=(50,) * 4, d9=(300,), d12=(1000,) * 4)
    await sell_month(session, world, AUGUST, d9=(300,))
    return world


async def test_twelve_distributors_over_three_periods(session: AsyncSession) -> None:
    world = await three_months(session)

    # June: eleven, as 12 has been there for 16 days. 24300 paid, 500 refunded: a mean of 205; 9 has 3333 of one order of
    # four: (3333 + 3 * 205) // 4 = 987. Shares are 500 * (2 * worse + equal); a score is 0.6 * share + 2200 but for 9,
    # who is last in orders and refunds. 6 and 7 tie in all, and go by their ids. Two places are the tail: 11 is let off.
    june, scores = await rank(session, world, *PERIODS[0])
    assert sorted(scores) == list(range(1, 12))
    assert [scores[n].score for n in range(1, 12)] == [
        *(8200, 7600, 7000, 6400, 5800, 4900, 4900, 4000, 1200, 2800, 2200)
    ]
    assert [scores[n].rank for n in range(1, 12)] == [1, 2, 3, 4, 5, 6, 7, 8, 11, 9, 10]
    assert [scores[n].outcome for n in range(1, 12)] == [*["clear"] * 8, "tail", "clear", "let_off"]
    nine = scores[9]
    assert (nine.refund_bps, nine.refund_mean_bps, nine.refund_share_bps, nine.refund_place) == (987, 205, 0, 11)
    assert (nine.output_share_bps, nine.output_place, nine.orders_place, nine.compared) == (2000, 9, 11, 11)
    assert [(scores[n].output_share_bps, scores[n].output_place) for n in (6, 7)] == [(4500, 6), (4500, 6)]
    assert await act(session, world, june) == Acted(struck=1, noticed=0, cleared=0)
    assert await cases(session, world) == {9: [("watch", 1)]}

    # July: twelve, so 12 * 2000 // 10000 = 2 are the tail, and a share is 10000 * (2 * worse + equal) // 22. Orders: 5454,
    # and 0 of 9; no refund at all: 5000. 1 and 12 tie. 11 stands before the tail, so nobody is let off.
    july, scores = await rank(session, world, *PERIODS[1])
    assert [scores[n].score for n in range(1, 13)] == [
        *(7817, 6999, 6454, 5908, 5363, 4544, 4544, 2090, 1545, 3727, 3181, 7817)
    ]
    assert [scores[n].rank for n in range(1, 13)] == [1, 3, 4, 5, 6, 7, 8, 11, 12, 9, 10, 2]
    assert sorted(n for n in scores if scores[n].outcome != "clear") == [8, 9]
    assert await act(session, world, july, days=1) == Acted(struck=2, noticed=1, cleared=0)
    assert await cases(session, world) == {9: [("noticed", 2)], 8: [("watch", 1)]}

    # August: 11 is exempt no more, and stands before the tail. 8 is clear of it.
    august, scores = await rank(session, world, *PERIODS[2])
    assert [scores[n].score for n in range(1, 13)] == [
        *(8181, 7635, 7090, 6545, 5999, 5181, 5181, 4363, 1727, 3818, 3272, 1000)
    ]
    assert [scores[n].rank for n in range(1, 13)] == [*range(1, 9), 11, 9, 10, 12]
    assert sorted(n for n in scores if scores[n].outcome == "tail") == [9, 12]
    assert await act(session, world, august, days=2) == Acted(struck=2, noticed=0, cleared=1)
    assert await cases(session, world) == {9: [("noticed", 3)], 8: [("cleared", 1)], 12: [("watch", 1)]}
    assert await states(session, world) == ["active"] * 8 + ["watch", "active", "active", "watch"]
    assert await steps(session, world.people[8]) == [("watched", 1), ("noticed", 2), ("struck", 3)]
    assert await steps(session, world.people[7]) == [("watched", 1), ("cleared", 0)]

    assert await told(session, world.people[8]) == TOLD_NINE
    assert [kind for kind, _ in await told(session, world.people[7])] == ["ranking_watched", "ranking_cleared"]
    assert await told(session, world.people[10]) == []

    # Frozen: each run follows from its numbers, and its digest from its rows.
    for run_id in (june, july, august):
        assert await ranking.verify(session, run_id) == 0
        run = await session.get_one(models.RankingRun, run_id, populate_existing=True)
        assert run.digest == await ranking.digest(session, run_id)


async def test_strikes_stay_while_let_off_not_ranked_or_without_a_tail(session: AsyncSession) -> None:
    """tail, tail, -, tail, clear, tail -> 1, 2, 2, 3, 0, 1 (domain 11): what is not a word of the run changes nothing."""
    world = await a_world(session, 11)
    eleven = world.people[10]
    months = [date(2025, month, 1) for month in range(1, 8)]
    found = []
    for start, end in pairwise(months):
        number = start.month
        await sell_month(session, world, start, **({"d11": (5000,) * 4} if number == 5 else {}), d9=(300,) * 4)
        if number == 3:
            await ranking.exempt(session, eleven.id, start=start, end=end, reason="病假", by=None, now=ACTED_AT)
        run_id, scores = await rank(session, world, start, end)
        assert scores[11].outcome == {3: "let_off", 5: "clear"}.get(number, "tail")
        await act(session, world, run_id, days=number)
        found.append([strikes for state, strikes in (await cases(session, world))[11] if state != "cleared"])
    assert found == [[1], [2], [2], [3], [], [1]]


async def refusal(session: AsyncSession, *args: Any, **facts: Any) -> Refusal:
    """Of a call that must change nothing."""
    call, *rest = args
    before = await everything(session)
    with pytest.raises(Refused) as refused:
        await call(session, *rest, **facts)
    assert await everything(session) == before
    return refused.value.refusal


async def everything(session: AsyncSession) -> list[Any]:
    await session.flush()
    return [
        (await session.execute(text(f"SELECT x::text FROM {table} x ORDER BY 1"))).all()
        for table in ("tail_cases", "tail_steps", "notices", "distributors", "distributor_history", "ranking_runs")
    ]


async def a_noticed_case(session: AsyncSession, world: World) -> int:
    """Of number 9, noticed a day after ACTED_AT: it can appeal from then on for seven days."""
    for days, (start, end) in enumerate(PERIODS[:2]):
        run_id, _ = await rank(session, world, start, end)
        await act(session, world, run_id, days=days)
    found = select(models.TailCase.id).where(models.TailCase.distributor_id == world.people[8].id)
    return (await session.scalars(found)).one()


async def test_appeals_are_within_their_days(session: AsyncSession) -> None:
    world = await three_months(session)
    june, _ = await rank(session, world, *PERIODS[0])
    await act(session, world, june)
    nine: dict[str, Any] = {"distributor_id": world.people[8].id, "by": None}
    case_id = (await session.scalars(select(models.TailCase.id))).one()
    early = await refusal(session, ranking.appeal, case_id, "仓库被淹", **nine, now=ACTED_AT)
    assert early == WrongState("There is no notice to appeal against: you are watched, and strikes can still clear.")
    july, _ = await rank(session, world, *PERIODS[1])
    await act(session, world, july, days=1)
    until = ACTED_AT + 8 * DAY
    late = await refusal(session, ranking.appeal, case_id, "仓库被淹", **nine, now=until)
    assert late == WrongState(f"The time to appeal ended at {until.isoformat()}.")
    stranger = {"distributor_id": world.people[0].id, "by": None}
    other = await refusal(session, ranking.appeal, case_id, "仓库被淹", **stranger, now=ACTED_AT + DAY)
    assert other == NotFound("There is no such case: read the cases again.")
    empty = await refusal(session, ranking.appeal, case_id, " ", **nine, now=ACTED_AT + DAY)
    assert isinstance(empty, BadArgument)
    case = await ranking.appeal(session, case_id, "仓库被淹", **nine, now=until - timedelta(microseconds=1))
    assert (case.state, case.closed_at) == ("appealed", None)
    again = await refusal(session, ranking.appeal, case_id, "仓库被淹", **nine, now=ACTED_AT + DAY)
    assert again == WrongState("The case is appealed: there is one appeal against a notice.")


async def test_an_upheld_appeal_takes_the_strikes(session: AsyncSession) -> None:
    world = await three_months(session)
    case_id = await a_noticed_case(session, world)
    who: dict[str, Any] = {"by": world.by, "account_id": world.account_id, "now": ACTED_AT + 3 * DAY}
    none = await refusal(session, ranking.answer_appeal, case_id, "不成立", upheld=False, **who)
    assert none == WrongState("The case is noticed: no appeal waits for an answer.")
    await ranking.appeal(
        session, case_id, "仓库被淹", distributor_id=world.people[8].id, by=None, now=ACTED_AT + 2 * DAY
    )
    blocked = await refusal(session, ranking.eliminate, case_id, "末位", **who)
    assert blocked == WrongState("An appeal waits for its answer: answer it first.")
    assert isinstance(await refusal(session, ranking.spare, case_id, "留", **who), WrongState)
    case = await ranking.answer_appeal(session, case_id, "情况属实", upheld=True, **who)
    assert (case.state, case.closed_at) == ("upheld", ACTED_AT + 3 * DAY)
    assert (await states(session, world))[8] == "active"
    assert await steps(session, world.people[8]) == [
        *(("watched", 1), ("noticed", 2), ("appealed", 2), ("appeal_upheld", 0))
    ]
    assert (await told(session, world.people[8]))[-1] == ("appeal_upheld", {"reason": "情况属实"})
    august, _ = await rank(session, world, *PERIODS[2])
    await act(session, world, august, days=4)
    assert (await cases(session, world))[9] == [("upheld", 2), ("watch", 1)]  # it begins again


async def test_nobody_is_eliminated_before_its_time_to_appeal_is_over(session: AsyncSession) -> None:
    world = await three_months(session)
    june, _ = await rank(session, world, *PERIODS[0])
    await act(session, world, june)
    case_id = (await session.scalars(select(models.TailCase.id))).one()
    who: dict[str, Any] = {"by": world.by, "account_id": world.account_id}
    watch = await refusal(session, ranking.eliminate, case_id, "末位", **who, now=ACTED_AT + 99 * DAY)
    assert watch == WrongState("There was no notice yet: only repeated strikes lead to one.")
    assert isinstance(await refusal(session, ranking.spare, case_id, "留", **who, now=ACTED_AT), WrongState)
    july, _ = await rank(session, world, *PERIODS[1])
    await act(session, world, july, days=1)
    until = ACTED_AT + 8 * DAY
    early = await refusal(session, ranking.eliminate, case_id, "末位", **who, now=until - timedelta(microseconds=1))
    assert early == WrongState(f"It can be appealed against until {until.isoformat()}: decide after that.")
    case = await ranking.spare(session, case_id, "新区域，再观察", **who, now=until)
    assert case.state == "spared"
    assert (await states(session, world))[8] == "active"
    assert (await told(session, world.people[8]))[-1] == ("ranking_spared", {"reason": "新区域，再观察"})
    assert isinstance(await refusal(session, ranking.eliminate, case_id, "末位", **who, now=until), WrongState)


@pytest.mark.parametrize("appealed", [False, True])
async def test_a_person_decides_that_it_goes(session: AsyncSession, appealed: bool) -> None:  # noqa: FBT001  a case
    """After its time to appeal, or after its appeal was rejected; also when it was suspended and back meanwhile."""
    world = await three_months(session)
    case_id = await a_noticed_case(session, world)
    nine = world.people[8]
    who: dict[str, Any] = {"by": world.by, "account_id": world.account_id}
    at = ACTED_AT + 8 * DAY
    if appealed:
        at = ACTED_AT + 4 * DAY
        await ranking.appeal(session, case_id, "仓库被淹", distributor_id=nine.id, by=None, now=ACTED_AT + 2 * DAY)
        await ranking.answer_appeal(session, case_id, "无凭证", upheld=False, **who, now=ACTED_AT + 3 * DAY)
    else:
        account_id = world.account_id
        await network.suspend(session, nine.id, reason="查账", now=at - 2 * DAY, account_id=account_id)
        await network.reinstate(session, nine.id, reason="已查清", now=at - DAY, account_id=account_id)
    case = await ranking.eliminate(session, case_id, "连续末位", **who, now=at)
    assert (case.state, case.closed_at, case.strikes) == ("eliminated", at, 2)
    assert (await states(session, world))[8] == "eliminated"
    assert (await steps(session, nine))[-1] == ("eliminated", 2)
    record = (await session.scalars(select(models.Elimination))).one()
    assert (record.distributor_id, record.person_id, record.reason) == (nine.id, world.by, "连续末位")
    assert (await told(session, nine))[-1][0] == "eliminated"
    assert isinstance(await refusal(session, ranking.eliminate, case_id, "再来", **who, now=at + DAY), WrongState)
    # Reinstated, it is new again: it has no case, and is not ranked before its days of grace are over.
    await offboarding.reinstate(session, nine.id, reason="复核", now=at + DAY, account_id=world.account_id)
    assert (await states(session, world))[8] == "active"
    august, scores = await rank(session, world, *PERIODS[2])
    assert 9 in scores  # August was over before it left
    assert (await act(session, world, august, days=20)).struck == 1
    assert (await cases(session, world))[9] == [("eliminated", 2)]


async def test_leaving_the_tail_withdraws_a_notice_and_its_appeal(session: AsyncSession) -> None:
    world = await three_months(session)
    case_id = await a_noticed_case(session, world)
    await ranking.appeal(
        session, case_id, "仓库被淹", distributor_id=world.people[8].id, by=None, now=ACTED_AT + 2 * DAY
    )
    await sell(session, world.people[8], 9000, 9000, 9000, 9000, at=datetime(2025, 8, 20, 4, tzinfo=UTC))
    await ranking.roll_up(session)
    august, _ = await rank(session, world, *PERIODS[2])
    assert (await act(session, world, august, days=3)).cleared == 2  # and 8, who was watched
    assert (await cases(session, world))[9] == [("cleared", 2)]
    assert (await states(session, world))[8] == "active"
    who: dict[str, Any] = {"by": world.by, "account_id": world.account_id, "now": ACTED_AT + 99 * DAY}
    closed = await refusal(session, ranking.eliminate, case_id, "末位", **who)
    assert closed == WrongState("The case is closed: cleared.")
    assert isinstance(await refusal(session, ranking.answer_appeal, case_id, "好", upheld=True, **who), WrongState)


async def test_a_plan_to_get_better(session: AsyncSession) -> None:
    world = await three_months(session)
    case_id = await a_noticed_case(session, world)
    nine = world.people[8].id
    own = await ranking.plan(session, case_id, "每周直播两次", distributor_id=nine, by=None, now=ACTED_AT + 2 * DAY)
    assert (own.kind, own.strikes, own.said) == ("planned", 2, "每周直播两次")
    assert [kind for kind, _ in await told(session, world.people[8])] == ["ranking_watched", "ranking_noticed"]
    await ranking.plan(session, case_id, "配一名导师", by=world.by, now=ACTED_AT + 3 * DAY)
    assert (await told(session, world.people[8]))[-1] == ("improvement_planned", {"reason": "配一名导师"})
    other = {"distributor_id": world.people[0].id, "by": None, "now": ACTED_AT}
    assert isinstance(await refusal(session, ranking.plan, case_id, "…", **other), NotFound)


async def test_runs_are_acted_on_once_and_in_order(session: AsyncSession) -> None:
    world = await three_months(session)
    june, _ = await rank(session, world, *PERIODS[0])
    july, _ = await rank(session, world, *PERIODS[1])
    week = (await ranking.rank(session, start=JULY, end=JULY + 7 * DAY, policy=world.policy)).run_id
    drafted = await ranking.draft(session, "三期", Terms(), by=None, now=ACTED_AT)
    august = (await ranking.rank(session, start=AUGUST, end=SEPTEMBER, policy=drafted)).run_id
    await act(session, world, july)
    who: dict[str, Any] = {"by": None, "account_id": world.account_id, "now": ACTED_AT + DAY}
    assert await refusal(session, ranking.act, july, **who) == WrongState("This run was acted on already.")
    for early in (june, week):
        assert await refusal(session, ranking.act, early, **who) == WrongState(
            "A run up to 2025-08-01 was acted on already: strikes are of later periods, in order."
        )
    assert await refusal(session, ranking.act, august, **who) == WrongState(
        "This run goes by a draft: rank the period again by the policy in force."
    )
    assert isinstance(await refusal(session, ranking.act, 10**9, **who), NotFound)
    frozen = await refusal(session, ranking.rank, start=JULY, end=AUGUST, policy=world.policy)
    assert frozen == WrongState(
        f"Run {july} of this period was acted on, and stays as it is: simulate a policy instead."
    )


async def test_who_was_suspended_since_is_not_struck(session: AsyncSession) -> None:
    world = await three_months(session)
    june, _ = await rank(session, world, *PERIODS[0])
    await session.execute(
        text("UPDATE distributors SET state = 'suspended' WHERE id = :key"), {"key": world.people[8].id}
    )
    assert await act(session, world, june) == Acted(0, 0, 0)
    assert await cases(session, world) == {}
