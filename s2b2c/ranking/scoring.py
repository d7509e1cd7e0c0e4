"""The ranking of distributors among their like: one period, one policy, every number of it frozen."""

from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.errors import BadArgument, NotFound, PeriodOpen, Refused, WrongState
from s2b2c.models import Distributor, RankingPolicy, RankingRun, RankingScore, Tier
from s2b2c.sql import statements


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
    outcome: str


@dataclass(frozen=True)
class Ranking:
    """What a run found. `run_id` is None after a dry run."""

    run_id: int | None
    ranked: int
    in_tail: int
    top: list[Standing]
    tail: list[Standing]


async def rank(
    session: AsyncSession,
    *,
    start: date,
    end: date,
    policy: RankingPolicy,
    dry_run: bool = False,
    shown: int = 10,
    by: int | None = None,
) -> Ranking:
    """Score and rank the distributors over the days `[start, end)` in Shanghai, and freeze every number of it.

    The same period again replaces its run, until it is acted on; a dry run leaves everything as it was. Needs a
    transaction of its own (`Database.write()`). `shown` is the length of `top` and `tail` in the result; `by` is the
    person who ranks. Raises Refused: BadArgument where the period has no day, PeriodOpen where it is not over, or
    `roll_up` has not added all its orders yet, or all of the period before, which growth needs, WrongState where the
    run of this period was acted on.

    Who is ranked: state active or watch, joined (or reinstated) `grace_days` or more before `end`. The others are in
    nobody's cohort.

    Metrics are those of `ranking.metrics`. Repeat, refund, growth and sell-through are rates: with fewer orders than
    `min_orders` each is shrunk towards the mean of all it is compared with, so who sold nothing stands at the mean in
    these four, and last in the others. Growth has no denominator where the output of the period before is not above 0.
    Every quotient is floored, also that of a negative growth (-0.5 becomes -1).

    Cohorts: a tier in a region with `min_cohort` or more of the ranked is a cohort. The others of the tier are members
    of one cohort, the whole tier: shares and means are over all the ranked of the tier (`compared`), but those of large
    regions have their result in their own cohort. Rank 1 to `members` and the tail count the members alone: the tail is
    the last `members * tail_bps // 10000` of them, nobody where fewer than `min_cohort` are compared. Whoever is exempt
    on a day of the period is let off from a tail place, and nobody takes it.
    """
    days = period_days(start, end)
    await check_ready(session, days)
    async with session.begin_nested() as savepoint:
        run_id = await _replace_run(session, Range(start, end), policy, by)
        await measure(session, "measure", policy_id=policy.id, **days)
        await session.execute(statements("ranking")["score"], {"run_id": run_id, "policy_id": policy.id})
        ranked, in_tail = (await session.execute(statements("ranking")["count"], {"run_id": run_id})).one()
        top, tail = await top_and_tail(session, run_id, shown)
        if dry_run:
            await savepoint.rollback()
    return Ranking(None if dry_run else run_id, ranked, in_tail, top, tail)


async def measure(session: AsyncSession, statement: str, **of: Any) -> None:
    """The raw numbers of a period, or of a run, in the table `measured` of this transaction."""
    for step in ("memory", "forget"):
        await session.execute(statements("ranking")[step])
    await session.execute(statements("ranking")[statement], of)


def period_days(start: date, end: date) -> dict[str, date]:
    """A period and the first day of the one before, of equal length. Raises Refused(BadArgument)."""
    if start >= end:
        raise Refused(BadArgument(f"The period from {start} to {end} has no day."))
    return {"before": start - min(end - start, start - date.min), "start": start, "end": end}


async def check_ready(session: AsyncSession, days: dict[str, date]) -> None:
    """Raises Refused(PeriodOpen) where the daily totals do not hold the whole period yet."""
    today, missing = (await session.execute(statements("ranking")["readiness"], days)).one()
    if days["end"] > today:
        raise Refused(PeriodOpen(f"The period to {days['end']} is not over yet: today in Shanghai is {today}."))
    if missing:
        raise Refused(PeriodOpen(f"{missing} orders of the period or the one before are not in the daily totals yet."))


async def lock_runs(session: AsyncSession) -> None:
    """Two that rank or act on one period at once come one after the other, else the second would meet half a run."""
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('ranking_runs'))"))


async def _replace_run(session: AsyncSession, period: Range[date], policy: RankingPolicy, by: int | None) -> int:
    """The id of a new, empty run in the place of the one with this period, if any."""
    await lock_runs(session)
    found = (
        await session.execute(select(RankingRun.id, RankingRun.acted_at).where(RankingRun.period == period))
    ).one_or_none()
    if found is not None:
        if found.acted_at is not None:
            raise Refused(
                WrongState(
                    f"Run {found.id} of this period was acted on, and stays as it is: simulate a policy instead."
                )
            )
        await session.execute(delete(RankingScore).where(RankingScore.run_id == found.id))
        await session.execute(delete(RankingRun).where(RankingRun.id == found.id))
    run = insert(RankingRun).values(policy_id=policy.id, period=period, created_by=by).returning(RankingRun.id)
    return (await session.scalars(run)).one()


async def top_and_tail(session: AsyncSession, run_id: int, n: int) -> tuple[list[Standing], list[Standing]]:
    """The `n` best scores of a run, and the `n` lowest of those in a tail, both from the better to the worse."""
    rows = (
        select(
            Distributor.code,
            Distributor.name,
            Tier.name,
            RankingScore.region,
            RankingScore.output,
            RankingScore.orders,
            RankingScore.score,
            RankingScore.rank,
            RankingScore.members,
            RankingScore.outcome,
        )
        .join(Distributor, Distributor.id == RankingScore.distributor_id)
        .join(Tier, Tier.id == RankingScore.tier_id)
        .where(RankingScore.run_id == run_id)
        .limit(n)
    )
    top = await session.execute(
        rows.order_by(RankingScore.score.desc(), RankingScore.output.desc(), RankingScore.distributor_id)
    )
    tail = await session.execute(
        rows.where(RankingScore.outcome == "tail").order_by(
            RankingScore.score, RankingScore.output, RankingScore.distributor_id.desc()
        )
    )
    return [Standing._make(row) for row in top], [Standing._make(row) for row in tail][::-1]


async def verify(session: AsyncSession, run_id: int) -> int:
    """Score a run again from its raw numbers and its policy: how many rows differ, 0 where it is right.

    Raises Refused(NotFound).
    """
    run = await session.get(RankingRun, run_id)
    if run is None:
        raise Refused(NotFound("There is no such ranking run: choose one of the list of runs."))
    await measure(session, "measure_frozen", run_id=run_id)
    keys = {"run_id": run_id, "policy_id": run.policy_id}
    differing: int = (await session.scalars(statements("ranking")["differs"], keys)).one()
    return differing


async def digest(session: AsyncSession, run_id: int) -> bytes:
    """SHA-256 over the rows of a run in the order of their distributors, whatever the order they lie in."""
    found: bytes = (await session.scalars(statements("ranking")["digest"], {"run_id": run_id})).one()
    return found


async def lock_run(session: AsyncSession, run_id: int) -> RankingRun:
    """A run that nobody ranks again or acts on meanwhile. Raises Refused(NotFound)."""
    await lock_runs(session)
    run = await session.get(RankingRun, run_id, populate_existing=True)
    if run is None:
        raise Refused(NotFound("There is no such ranking run: it was ranked again, or never. Read the runs again."))
    return run
