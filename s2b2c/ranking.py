"""Daily totals, and the ranking of distributors among their like."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models
from s2b2c.errors import BadArgument, PeriodOpen, Refused
from s2b2c.models import OrderBatch, RefundBatch
from s2b2c.sql import statements

_DEFAULT = {
    "code": "default",
    "output_weight_bps": 4000,
    "orders_weight_bps": 1000,
    "customers_weight_bps": 1500,
    "repeat_weight_bps": 1000,
    "refund_weight_bps": 1000,
    "growth_weight_bps": 1000,
    "sell_through_weight_bps": 500,
    "min_cohort": 5,
    "min_orders": 10,
    "grace_days": 90,
    "tail_bps": 1000,
}


class Standing(NamedTuple):
    """One distributor's place in a run, to be shown."""

    code: str
    name: str
    tier: str
    region: str | None
    """Of the cohort; None where the cohort is the whole tier."""
    output: int
    """Fen."""
    orders: int
    score: int
    """Basis points."""
    rank: int
    """Among `members`."""
    members: int
    in_tail: bool


@dataclass(frozen=True)
class Ranking:
    """What a run found. `run_id` is None after a dry run."""

    run_id: int | None
    ranked: int
    in_tail: int
    top: list[Standing]
    tail: list[Standing]


async def roll_up(session: AsyncSession, limit: int = 10_000) -> int:
    """Add up to `limit` paid orders and refunds, each once, to the daily totals of sellers and brands; how many.

    One call per transaction: the totals stay locked until it ends, in an order that holds within one call only.
    0 means that nothing is left but what another worker has in hand.
    """
    batch = OrderBatch.of(await session.execute(statements("ranking")["take"], {"limit": limit}))
    if batch.order_ids:
        for step in ("add_sellers", "add_brands", "mark"):
            await session.execute(statements("ranking")[step], batch._asdict())
    refunds = RefundBatch.of(await session.execute(statements("ranking")["take_refunds"], {"limit": limit}))
    if refunds.refund_ids:
        for step in ("add_seller_refunds", "add_brand_refunds", "mark_refunds"):
            await session.execute(statements("ranking")[step], refunds._asdict())
    return len(batch.order_ids) + len(refunds.refund_ids)


async def default_policy(session: AsyncSession) -> models.RankingPolicy:
    """The policy "default", made when it is not there yet.

    Output weighs 40 %, active customers 15 %, orders, repeat rate, refund rate and growth 10 % each, sell-through 5 %.
    A cohort has 5 distributors or more, rates count in full from 10 orders on, the first 90 days are free, and the
    tail is the last tenth.
    """
    await session.execute(upsert(models.RankingPolicy).values(_DEFAULT).on_conflict_do_nothing(index_elements=["code"]))
    named = select(models.RankingPolicy).where(models.RankingPolicy.code == _DEFAULT["code"])
    return (await session.scalars(named)).one()


async def rank(
    session: AsyncSession,
    *,
    start: date,
    end: date,
    policy: models.RankingPolicy,
    dry_run: bool = False,
    shown: int = 10,
) -> Ranking:
    """Score and rank the distributors over the days `[start, end)` in Shanghai, and freeze every number of it.

    The same period again replaces its run; a dry run leaves everything as it was. Needs a transaction of its own
    (`Database.write()`). `shown` is the length of `top` and `tail` in the result. Raises Refused: BadArgument where the
    period has no day, PeriodOpen where it is not over, or `roll_up` has not added all its orders yet, or all of the
    period before, which growth needs.

    Who is ranked: state active or watch, joined (or reinstated) `grace_days` or more before `end`. The others are in
    nobody's cohort. State, tier and region are today's.

    Metrics, of own orders only: output and refund rate come from the daily totals; orders, active and repeat customers
    from the orders paid in the period and not wholly refunded by now; sell-through from the listings made before `end`.
    Repeat, refund, growth and sell-through are rates: with fewer orders than `min_orders` each is shrunk towards the
    mean of all it is compared with, so who sold nothing stands at the mean in these four, and last in the others.
    Growth has no denominator where the output of the period before is not above 0. Every quotient is floored, also that
    of a negative growth (-0.5 becomes -1).

    Cohorts: a tier in a region with `min_cohort` or more of the ranked is a cohort. The others of the tier are members
    of one cohort, the whole tier: shares and means are over all the ranked of the tier (`compared`), but those of large
    regions have their result in their own cohort. Rank 1 to `members` and the tail count the members alone: the tail is
    the last `members * tail_bps // 10000` of them, nobody where fewer than `min_cohort` are compared.
    """
    if start >= end:
        raise Refused(BadArgument(f"The period from {start} to {end} has no day."))
    days = {"before": start - min(end - start, start - date.min), "start": start, "end": end}
    await _check_ready(session, days)
    async with session.begin_nested() as savepoint:
        run_id = await _replace_run(session, Range(start, end), policy)
        await session.execute(statements("ranking")["score"], {"run_id": run_id, "policy_id": policy.id, **days})
        counts = select(func.count(), func.count().filter(models.RankingScore.in_tail)).where(
            models.RankingScore.run_id == run_id
        )
        ranked, in_tail = (await session.execute(counts)).one()
        top, tail = await top_and_tail(session, run_id, shown)
        if dry_run:
            await savepoint.rollback()
    return Ranking(None if dry_run else run_id, ranked, in_tail, top, tail)


async def _check_ready(session: AsyncSession, days: dict[str, date]) -> None:
    today, missing = (await session.execute(statements("ranking")["readiness"], days)).one()
    if days["end"] > today:
        raise Refused(PeriodOpen(f"The period to {days['end']} is not over yet: today in Shanghai is {today}."))
    if missing:
        raise Refused(PeriodOpen(f"{missing} orders of the period or the one before are not in the daily totals yet."))


async def _replace_run(session: AsyncSession, period: Range[date], policy: models.RankingPolicy) -> int:
    """The id of a new, empty run in the place of the one with this period, if any."""
    # Two that rank one period at once come one after the other, else the second would fail on the unique period.
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('ranking_runs'))"))
    replaced = select(models.RankingRun.id).where(models.RankingRun.period == period)
    await session.execute(delete(models.RankingScore).where(models.RankingScore.run_id.in_(replaced)))
    await session.execute(delete(models.RankingRun).where(models.RankingRun.period == period))
    run = insert(models.RankingRun).values(policy_id=policy.id, period=period).returning(models.RankingRun.id)
    return (await session.scalars(run)).one()


async def top_and_tail(session: AsyncSession, run_id: int, n: int) -> tuple[list[Standing], list[Standing]]:
    """The `n` best scores of a run, and the `n` lowest of those in a tail, both from the better to the worse."""
    score = models.RankingScore
    rows = (
        select(
            models.Distributor.code,
            models.Distributor.name,
            models.Tier.name,
            score.region,
            score.output,
            score.orders,
            score.score,
            score.rank,
            score.members,
            score.in_tail,
        )
        .join(models.Distributor, models.Distributor.id == score.distributor_id)
        .join(models.Tier, models.Tier.id == score.tier_id)
        .where(score.run_id == run_id)
        .limit(n)
    )
    top = await session.execute(rows.order_by(score.score.desc(), score.output.desc(), score.distributor_id))
    tail = await session.execute(
        rows.where(score.in_tail).order_by(score.score, score.output, score.distributor_id.desc())
    )
    return [Standing._make(row) for row in top], [Standing._make(row) for row in tail][::-1]
