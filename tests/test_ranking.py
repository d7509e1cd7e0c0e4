"""The ranking, with numbers worked out by hand."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, ranking
from s2b2c.db import Database
from s2b2c.errors import BadArgument, PeriodOpen, Refusal, Refused
from tests import factories
from tests.test_rollups import NOON, a_refund, a_sale

START, END = date(2025, 6, 1), date(2025, 7, 1)
LONG_AGO = date(2024, 1, 1)
IN_MAY = datetime(2025, 5, 20, 4, tzinfo=UTC)
LISTED = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


async def a_policy(session: AsyncSession, **terms: int) -> models.RankingPolicy:
    """All weight on output, cohorts of one, no shrinkage, no grace and no tail, but for what is given."""
    if not any(term.endswith("weight_bps") for term in terms):
        terms["output_weight_bps"] = 10000
    columns = {f"{metric}_weight_bps": 0 for metric in models.ranking.METRICS}
    columns |= {"min_cohort": 1, "min_orders": 0, "grace_days": 0, "tail_bps": 0} | terms
    count = await session.scalar(select(func.count()).select_from(models.RankingPolicy))
    policy = models.RankingPolicy(code=f"policy-{count}", **columns)
    session.add(policy)
    await session.flush()
    return policy


async def a_seller(
    session: AsyncSession,
    *paid: int,
    region: str = "华东",
    rank: int = 1,
    state: str = "active",
    joined_on: date = LONG_AGO,
    customer: models.Customer | None = None,
    at: datetime = NOON,
    with_history: bool = True,
) -> models.Distributor:
    """A distributor with one order per amount, each of a customer of its own unless one is given."""
    seller = await factories.a_distributor(
        session, region=region, rank=rank, state=state, joined_on=joined_on, with_history=with_history
    )
    await sell(session, seller, *paid, customer=customer, at=at)
    return seller


async def sell(
    session: AsyncSession,
    seller: models.Distributor,
    *paid: int,
    customer: models.Customer | None = None,
    at: datetime = NOON,
) -> list[models.Order]:
    if not paid:
        return []
    store = await factories.a_store(session, seller)
    variant = await factories.a_variant(session)
    return [await a_sale(session, store, (variant, 1, amount, 0), customer=customer, paid_at=at) for amount in paid]


async def refund(session: AsyncSession, seller: models.Distributor, amount: int) -> None:
    """What the daily totals will hold after a refund."""
    day = models.DailySeller
    await session.execute(update(day).where(day.seller_id == seller.id).values(refunded=day.refunded + amount))


async def refund_line(session: AsyncSession, paid: int) -> None:
    """All of the one line of this amount goes back."""
    line = (await session.scalars(select(models.OrderLine).where(models.OrderLine.paid == paid))).one()
    order = await session.get_one(models.Order, (line.branch_id, line.order_id))
    await a_refund(session, order, {line.line_no: paid})


async def spans(session: AsyncSession, distributor: models.Distributor, *begun: tuple[str, datetime]) -> None:
    """Its history: a state from a time on, up to the next one."""
    for (state, start), end in zip(begun, [*(start for _, start in begun[1:]), None], strict=True):
        places = {"parent_id": distributor.parent_id, "tier_id": distributor.tier_id, "state": state}
        session.add(models.DistributorHistory(distributor_id=distributor.id, during=Range(start, end), **places))
    await session.flush()


async def scores(
    session: AsyncSession, policy: models.RankingPolicy, start: date = START, end: date = END
) -> dict[int, models.RankingScore]:
    """The frozen rows of a run over all that was paid, by distributor."""
    await ranking.roll_up(session)
    run = await ranking.rank(session, start=start, end=end, policy=policy)
    rows = select(models.RankingScore).where(models.RankingScore.run_id == run.run_id)
    found = await session.scalars(rows.order_by(models.RankingScore.distributor_id))
    by_distributor = {score.distributor_id: score for score in found}
    assert run.ranked == len(by_distributor)
    assert run.in_tail == sum(score.in_tail for score in by_distributor.values())
    return by_distributor


async def test_shares_of_5_3_3_1(session: AsyncSession) -> None:
    sellers = [await a_seller(session, amount) for amount in (300, 100, 500, 300)]
    found = await scores(session, await a_policy(session))
    assert [found[seller.id].output for seller in sellers] == [300, 100, 500, 300]
    assert [found[seller.id].output_share_bps for seller in sellers] == [5000, 0, 10000, 5000]
    assert [found[seller.id].score for seller in sellers] == [5000, 0, 10000, 5000]
    assert [found[seller.id].rank for seller in sellers] == [2, 4, 1, 3]  # a tie breaks on output, then on id
    assert {(score.region, score.members, score.compared) for score in found.values()} == {("华东", 4, 4)}


async def test_a_tie_of_scores_breaks_on_output(session: AsyncSession) -> None:
    small, large = await a_seller(session, 100), await a_seller(session, 200)
    found = await scores(session, await a_policy(session, orders_weight_bps=10000))
    assert [(found[seller.id].score, found[seller.id].rank) for seller in (small, large)] == [(5000, 2), (5000, 1)]


async def test_the_score_is_the_floored_weighted_sum(session: AsyncSession) -> None:
    """Shares of 6666 in output (of four, 2 worse) and 10000 in orders: 6666 * 3333 + 10000 * 6667 over 10000."""
    await a_seller(session, 500)
    seller = await a_seller(session, 200, 200)
    await a_seller(session, 300)
    await a_seller(session, 100)
    found = await scores(session, await a_policy(session, output_weight_bps=3333, orders_weight_bps=6667))
    score = found[seller.id]
    assert (score.output_share_bps, score.orders_share_bps, score.score) == (6666, 10000, 8888)


async def test_alone_in_its_cohort(session: AsyncSession) -> None:
    seller = await a_seller(session, 100)
    score = (await scores(session, await a_policy(session, min_cohort=2, tail_bps=10000)))[seller.id]
    assert (score.region, score.members, score.compared) == (None, 1, 1)
    assert (score.score, score.rank, score.in_tail) == (5000, 1, False)
    assert {getattr(score, f"{metric}_share_bps") for metric in models.ranking.METRICS} == {5000}


async def test_few_orders_are_shrunk_to_the_mean(session: AsyncSession) -> None:
    """Own 5000 with 2 orders of 10, mean 500: 1400."""
    few = await a_seller(session, 100, 100)
    one = await a_seller(session, 1800)
    none = await a_seller(session)
    await ranking.roll_up(session)
    await refund(session, few, 100)
    found = await scores(session, await a_policy(session, min_orders=10, refund_weight_bps=10000))
    assert [found[seller.id].refund_bps for seller in (few, one, none)] == [1400, 450, 500]
    assert [found[seller.id].refund_share_bps for seller in (few, one, none)] == [0, 10000, 5000]  # lower is better
    assert [found[seller.id].output for seller in (few, one, none)] == [100, 1800, 0]
    raw = (await scores(session, await a_policy(session, min_orders=2)))[few.id]
    assert (raw.refund_bps, raw.paid, raw.refunded) == (5000, 200, 100)


async def test_repeat_customers(session: AsyncSession) -> None:
    """One of three customers came twice; customers of another seller are not one's own."""
    regular = await factories.a_customer(session)
    seller = await a_seller(session, 10, 20)
    await sell(session, seller, 30, 40, customer=regular)
    other = await a_seller(session, 5, customer=regular)
    found = await scores(session, await a_policy(session))
    score = found[seller.id]
    assert (score.orders, score.customers, score.repeat_customers, score.repeat_bps) == (4, 3, 1, 3333)
    assert (found[other.id].orders, found[other.id].customers, found[other.id].repeat_bps) == (1, 1, 0)


async def test_growth_is_floored_below_zero_too(session: AsyncSession) -> None:
    """300 to 200 is -3333.3; where nothing was before, the mean of all: 400 from 300, +3333.3."""
    falling, new = await a_seller(session, 200), await a_seller(session, 200)
    await sell(session, falling, 300, at=IN_MAY)
    await sell(session, falling, 999, at=datetime(2025, 4, 1, tzinfo=UTC))  # before the 30 days before
    found = await scores(session, await a_policy(session))
    assert (found[falling.id].output_before, found[falling.id].growth_bps) == (300, -3334)
    assert (found[new.id].output_before, found[new.id].growth_bps) == (0, 3333)
    # One order of three: (-3334 + 2 * 3333) // 3.
    shrunk = await scores(session, await a_policy(session, min_orders=3))
    assert shrunk[falling.id].growth_bps == 1110


async def test_the_mean_of_growth_is_floored_below_zero_too(session: AsyncSession) -> None:
    """200 from 300, all in all."""
    falling, new = await a_seller(session, 100), await a_seller(session, 100)
    await sell(session, falling, 300, at=IN_MAY)
    found = await scores(session, await a_policy(session))
    assert [found[seller.id].growth_bps for seller in (falling, new)] == [-6667, -3334]


async def test_no_growth_from_below_zero(session: AsyncSession) -> None:
    """More was refunded than paid in the period before: no denominator, for the one and for the mean."""
    seller = await a_seller(session, 100, at=IN_MAY)
    await ranking.roll_up(session)
    await refund(session, seller, 300)
    await sell(session, seller, 100)
    score = (await scores(session, await a_policy(session)))[seller.id]
    assert (score.output, score.output_before, score.growth_bps) == (100, -200, 0)


async def test_no_denominator_in_the_whole_cohort(session: AsyncSession) -> None:
    seller = await a_seller(session)
    score = (await scores(session, await a_policy(session, min_orders=10)))[seller.id]
    assert (score.repeat_bps, score.refund_bps, score.growth_bps, score.sell_through_bps) == (0, 0, 0, 0)


async def test_sell_through(session: AsyncSession) -> None:
    """Of three listings made in time one sold here; another sold in somebody else's store; a fourth came later."""
    owner, other = await a_seller(session), await a_seller(session)
    store, elsewhere = await factories.a_store(session, owner), await factories.a_store(session, other)
    variants = [await factories.a_variant(session) for _ in range(4)]
    midnight = datetime(2025, 6, 30, 16, tzinfo=UTC)
    for position, variant in enumerate(variants, start=1):
        listing = await factories.a_listing(session, store, variant.product_id, position=position)
        listing.listed_at = midnight if position == 4 else midnight - timedelta(microseconds=1)
    await a_sale(session, store, (variants[0], 1, 100, 0), (variants[0], 1, 100, 0), seller=other)
    await a_sale(session, elsewhere, (variants[1], 1, 100, 0), seller=owner)
    await a_sale(session, store, (variants[2], 1, 100, 0), paid_at=IN_MAY)
    await a_sale(session, store, (variants[3], 1, 100, 0))
    found = await scores(session, await a_policy(session))
    score = found[owner.id]
    assert (score.listings, score.listings_sold, score.sell_through_bps) == (3, 1, 3333)
    assert (found[other.id].listings, found[other.id].sell_through_bps) == (0, 3333)  # the mean
    assert (found[owner.id].output, found[other.id].output) == (200, 200)  # the seller's, not the store's


async def test_a_gift_is_sold_and_a_refunded_line_is_not(session: AsyncSession) -> None:
    owner = await a_seller(session)
    store = await factories.a_store(session, owner)
    gift, kept, returned = [await factories.a_variant(session) for _ in range(3)]
    for position, variant in enumerate((gift, kept, returned), start=1):
        (await factories.a_listing(session, store, variant.product_id, position=position)).listed_at = LISTED
    await a_sale(session, store, (gift, 1, 0, 0), (kept, 1, 100, 0), (returned, 1, 200, 0))
    await refund_line(session, 200)
    score = (await scores(session, await a_policy(session)))[owner.id]
    assert (score.orders, score.listings, score.listings_sold, score.sell_through_bps) == (1, 3, 2, 6666)


async def test_a_wholly_refunded_order_is_none(session: AsyncSession) -> None:
    seller = await a_seller(session, 100, 200, 0)
    await refund_line(session, 100)
    score = (await scores(session, await a_policy(session)))[seller.id]
    assert (score.orders, score.customers) == (2, 2)


async def test_the_period_is_half_open_in_shanghai(session: AsyncSession) -> None:
    seller = await a_seller(session)
    first, last = datetime(2025, 5, 31, 16, tzinfo=UTC), datetime(2025, 6, 30, 15, 59, 59, tzinfo=UTC)
    for amount, at in enumerate((first - timedelta(seconds=1), first, last, last + timedelta(seconds=1))):
        await sell(session, seller, 10**amount, at=at)
    score = (await scores(session, await a_policy(session)))[seller.id]
    assert (score.output, score.output_before, score.orders, score.customers) == (110, 1, 2, 2)


async def test_small_regions_are_compared_with_the_tier(session: AsyncSession) -> None:
    """Three in the east (500, 400, 100) are a cohort; two in the west (300, 200) are compared with all five."""
    east = [await a_seller(session, amount) for amount in (500, 400, 100)]
    west = [await a_seller(session, amount, region="西部") for amount in (300, 200)]
    other_tier = await a_seller(session, 999, region="西部", rank=2)
    await ranking.roll_up(session)
    await refund(session, east[2], 100)
    found = await scores(session, await a_policy(session, min_cohort=3, tail_bps=5000, min_orders=2))

    assert [(found[one.id].region, found[one.id].members, found[one.id].compared) for one in east] == [
        ("华东", 3, 3)
    ] * 3
    assert [(found[one.id].region, found[one.id].members, found[one.id].compared) for one in west] == [(None, 2, 5)] * 2
    assert [found[one.id].score for one in east] == [10000, 5000, 0]
    assert [found[one.id].score for one in west] == [5000, 2500]
    assert [found[one.id].rank for one in (*east, *west)] == [1, 2, 3, 1, 2]
    # The tail of each is 1: the last of the members, though a comparator is worse.
    assert [found[one.id].in_tail for one in (*east, *west)] == [False, False, True, False, True]
    # Means: 100 of 1000 refunded in the east, 100 of 1500 in the tier; one order of two.
    assert [found[one.id].refund_bps for one in (*east, *west)] == [500, 500, 5500, 333, 333]
    alone = found[other_tier.id]
    assert (alone.region, alone.compared, alone.score, alone.in_tail) == (None, 1, 5000, False)


async def test_who_is_ranked(session: AsyncSession) -> None:
    """90 days from 2 April to 1 July; the others are not in the cohort either."""
    day = END - timedelta(days=90)
    ranked = [await a_seller(session, 100, joined_on=day), await a_seller(session, 100, state="watch")]
    await a_seller(session, 100, joined_on=day + timedelta(days=1))
    for state in ("applied", "rejected", "suspended", "eliminated"):
        await a_seller(session, 100, state=state)
    midnight = datetime(2025, 4, 1, 16, tzinfo=UTC)
    for back_at in (midnight, midnight + timedelta(seconds=1)):
        reinstated = await a_seller(session, 100, with_history=False)
        await spans(session, reinstated, ("active", NOON - YEAR), ("eliminated", LISTED), ("active", back_at))
        ranked.append(reinstated)
    found = await scores(session, await a_policy(session, grace_days=90))
    assert sorted(found) == [one.id for one in ranked[:3]]
    assert {score.compared for score in found.values()} == {3}


@pytest.mark.parametrize(("members", "tail"), [(9, 0), (10, 1), (19, 1), (20, 2)])
async def test_the_size_of_the_tail(session: AsyncSession, members: int, tail: int) -> None:
    sellers = [await a_seller(session) for _ in range(members)]
    found = await scores(session, await a_policy(session, tail_bps=1000, min_cohort=5))
    assert [found[seller.id].in_tail for seller in sellers] == [False] * (members - tail) + [True] * tail


async def test_a_tier_below_min_cohort_has_no_tail(session: AsyncSession) -> None:
    for _ in range(4):
        await a_seller(session, 100)
    found = await scores(session, await a_policy(session, tail_bps=10000, min_cohort=5))
    assert [(score.rank, score.in_tail) for score in found.values()] == [(rank, False) for rank in range(1, 5)]
    found = await scores(session, await a_policy(session, tail_bps=10000, min_cohort=4))
    assert [score.in_tail for score in found.values()] == [True] * 4


async def everything(session: AsyncSession) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    runs, rows = models.RankingRun.__table__, models.RankingScore.__table__
    return (
        [tuple(row) for row in await session.execute(select(runs).order_by(*runs.primary_key))],
        [tuple(row) for row in await session.execute(select(rows).order_by(*rows.primary_key))],
    )


async def test_ranking_a_period_again_replaces_it(session: AsyncSession) -> None:
    seller = await a_seller(session, 100)
    policy = await a_policy(session)
    await ranking.roll_up(session)
    week = await ranking.rank(session, start=START, end=START + timedelta(days=7), policy=policy)  # overlaps
    first = await ranking.rank(session, start=START, end=END, policy=policy)
    await sell(session, seller, 50)
    await ranking.roll_up(session)
    second = await ranking.rank(session, start=START, end=END, policy=await a_policy(session, orders_weight_bps=10000))
    assert first.run_id != second.run_id
    runs, rows = await everything(session)
    assert [run[0] for run in runs] == [week.run_id, second.run_id]
    assert [(row[0], row[8]) for row in rows] == [(week.run_id, 100), (second.run_id, 150)]


async def test_a_dry_run_writes_nothing(session: AsyncSession) -> None:
    for amount in (300, 200, 100):
        await a_seller(session, amount)
    policy = await a_policy(session, tail_bps=4000)
    await ranking.roll_up(session)
    dry = await ranking.rank(session, start=START, end=END, policy=policy, dry_run=True)
    assert await everything(session) == ([], [])
    wet = await ranking.rank(session, start=START, end=END, policy=policy)
    frozen = await everything(session)
    assert dry.run_id is None
    assert wet.run_id is not None
    assert (dry.ranked, dry.in_tail, dry.top, dry.tail) == (wet.ranked, wet.in_tail, wet.top, wet.tail)
    assert await ranking.rank(session, start=START, end=END, policy=policy, dry_run=True) == dry
    assert await everything(session) == frozen


async def test_top_and_tail(session: AsyncSession) -> None:
    sellers = [await a_seller(session, amount) for amount in (300, 100, 200, 400)]
    policy = await a_policy(session, tail_bps=5000)
    await ranking.roll_up(session)
    run = await ranking.rank(session, start=START, end=END, policy=policy, shown=1)
    assert run.run_id is not None
    best, _, third, last = [sellers[index] for index in (3, 0, 2, 1)]
    tier = (await factories.a_tier(session)).name
    expected = [
        ranking.Standing(best.code, best.name, tier, "华东", 400, 1, 10000, 1, 4, "clear"),
        ranking.Standing(third.code, third.name, tier, "华东", 200, 1, 3333, 3, 4, "tail"),
        ranking.Standing(last.code, last.name, tier, "华东", 100, 1, 0, 4, 4, "tail"),
    ]
    assert run.top == expected[:1]
    assert run.tail == expected[2:]
    top, tail = await ranking.top_and_tail(session, run.run_id, 10)
    assert [standing.rank for standing in top] == [1, 2, 3, 4]
    assert tail == expected[1:]


async def _today(session: AsyncSession) -> date:
    today = await session.scalar(select(func.timezone("Asia/Shanghai", func.now())))
    assert isinstance(today, datetime)
    return today.date()


async def _refusal(session: AsyncSession, start: date, end: date) -> Refusal:
    before = await everything(session)
    policy = await a_policy(session)
    with pytest.raises(Refused) as refused:
        await ranking.rank(session, start=start, end=end, policy=policy)
    assert await everything(session) == before
    return refused.value.refusal


async def test_periods_that_are_refused(session: AsyncSession) -> None:
    await a_seller(session, 100)
    await ranking.roll_up(session)
    await ranking.rank(session, start=START, end=END, policy=await a_policy(session))
    assert await _refusal(session, END, END) == BadArgument("The period from 2025-07-01 to 2025-07-01 has no day.")
    assert isinstance(await _refusal(session, END, START), BadArgument)
    today = await _today(session)
    tomorrow = today + timedelta(days=1)
    assert await _refusal(session, today, tomorrow) == PeriodOpen(
        f"The period to {tomorrow} is not over yet: today in Shanghai is {today}."
    )
    assert (await ranking.rank(session, start=START, end=today, policy=await a_policy(session))).ranked == 1
    assert (await ranking.rank(session, start=date.min, end=today, policy=await a_policy(session))).ranked == 1


async def test_orders_that_are_not_rolled_up_yet(session: AsyncSession) -> None:
    """Those of the period and of the one before it count; what is older or later does not matter."""
    seller = await a_seller(session)
    before, after = datetime(2025, 5, 1, 15, 59, 59, tzinfo=UTC), datetime(2025, 6, 30, 16, tzinfo=UTC)
    await sell(session, seller, 100, at=before)
    await sell(session, seller, 100, at=after)
    policy = await a_policy(session)
    assert (await ranking.rank(session, start=START, end=END, policy=policy)).ranked == 1
    await sell(session, seller, 100, at=before + timedelta(seconds=1))
    await sell(session, seller, 100, at=after - timedelta(seconds=1))
    assert await _refusal(session, START, END) == PeriodOpen(
        "2 orders of the period or the one before are not in the daily totals yet."
    )


async def test_two_at_once_leave_one_run(db: Database) -> None:
    async with db.write() as session:
        await a_seller(session, 100)
        policy = await a_policy(session)
        await ranking.roll_up(session)

    async def rank() -> ranking.Ranking:
        async with db.write() as session:
            return await ranking.rank(session, start=START, end=END, policy=policy)

    await asyncio.gather(*(rank() for _ in range(4)))
    async with db.read() as session:
        runs, rows = await everything(session)
    assert (len(runs), len(rows)) == (1, 1)


async def test_the_default_policy(session: AsyncSession) -> None:
    policy = await ranking.in_force(session, now=NOON)
    again = await ranking.in_force(session, now=NOON)
    assert (policy.id, policy.code, policy.version, policy.published_at) == (again.id, "default", 1, NOON)
    assert sum(getattr(policy, f"{metric}_weight_bps") for metric in models.ranking.METRICS) == 10000
    assert (policy.min_cohort, policy.min_orders, policy.grace_days, policy.tail_bps) == (5, 10, 90, 1000)


@pytest.mark.parametrize(
    "terms",
    [
        {"output_weight_bps": 9999},
        {"output_weight_bps": 10001},
        {"output_weight_bps": 11000, "orders_weight_bps": -1000},
        {"min_cohort": 0},
        {"min_orders": -1},
        {"grace_days": -1},
        {"tail_bps": 10001},
    ],
)
async def test_policies_the_database_refuses(session: AsyncSession, terms: dict[str, int]) -> None:
    with pytest.raises(IntegrityError):
        await a_policy(session, **terms)
