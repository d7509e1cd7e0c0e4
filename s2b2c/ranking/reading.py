"""Runs, standings and cases to be shown, and what a score lacked."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Date, Select, and_, cast, func, literal_column, or_, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c.db import AnyRow, page
from s2b2c.models import Distributor, RankingPolicy, RankingRun, RankingScore, TailCase, TailStep, Tier
from s2b2c.ranking.metrics import METRICS

_FIRST_DAY = literal_column("DATE '0001-01-01'", Date)


class Escape(NamedTuple):
    """This place in this metric, all else as it was, would have been enough to stand before the tail."""

    metric: str
    place: int


async def runs(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[AnyRow]:
    """Rows of (run, policy), newest first; `after` is an (id,)."""
    query: Select[*tuple[Any, ...]] = select(RankingRun, RankingPolicy).join(
        RankingPolicy, RankingPolicy.id == RankingRun.policy_id
    )
    return (await session.execute(page(query, (RankingRun.id, "down"), after=after, limit=limit))).all()


async def run(session: AsyncSession, run_id: int) -> AnyRow | None:
    """A row as of `runs`; None when there is none."""
    found = await runs(session, after=(run_id + 1,), limit=1)
    return next((row for row in found if row.RankingRun.id == run_id), None)


async def scores(
    session: AsyncSession,
    run_id: int,
    *,
    outcome: str | None = None,
    tier_id: int | None = None,
    region: str | None = None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """Rows of (score, run, policy, tier, distributor, last_safe), best first; `after` is (score, output, its id).

    `region` is where they are, whatever they are compared with; `last_safe` the score of the last of their cohort
    before the tail, None where it has no such.
    """
    query = _scores().where(RankingScore.run_id == run_id)
    if outcome is not None:
        query = query.where(RankingScore.outcome == outcome)
    if tier_id is not None:
        query = query.where(RankingScore.tier_id == tier_id)
    if region is not None:
        if not region.isprintable():  # no text in PostgreSQL holds a NUL or half a surrogate pair
            return []
        query = query.where(RankingScore.home_region == region)
    ordered = page(
        query,
        (RankingScore.score, "down"),
        (RankingScore.output, "down"),
        (RankingScore.distributor_id, "up"),
        after=after,
        limit=limit,
    )
    return (await session.execute(ordered)).all()


async def standings(
    session: AsyncSession,
    distributor_id: int,
    *,
    acted_on_only: bool,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """What one distributor came to, period by period, newest first; `after` is (days from 0001-01-01 to its start, id).

    Rows as of `scores`. What was not acted on can still change: a distributor is shown the rest.
    """
    query = _scores().where(RankingScore.distributor_id == distributor_id)
    if acted_on_only:
        query = query.where(RankingRun.acted_at.is_not(None))
    # Not date.min as a parameter: asyncpg sends that as -infinity.
    day = cast(type_coerce(func.lower(RankingRun.period), Date) - _FIRST_DAY, BigInteger)
    ordered = page(query, (day, "down"), (RankingRun.id, "down"), after=after, limit=limit)
    return (await session.execute(ordered)).all()


def _scores() -> Select[*tuple[Any, ...]]:
    safe = aliased(RankingScore)
    is_of_cohort = or_(safe.region == RankingScore.region, and_(safe.region.is_(None), RankingScore.region.is_(None)))
    last = RankingScore.members - func.div(RankingScore.members * RankingPolicy.tail_bps, 10000)
    return (
        select(RankingScore, RankingRun, RankingPolicy, Tier, Distributor, safe.score.label("last_safe"))
        .join(RankingRun, RankingRun.id == RankingScore.run_id)
        .join(RankingPolicy, RankingPolicy.id == RankingRun.policy_id)
        .join(Tier, Tier.id == RankingScore.tier_id)
        .join(Distributor, Distributor.id == RankingScore.distributor_id)
        .outerjoin(
            safe,
            (safe.run_id == RankingScore.run_id)
            & (safe.tier_id == RankingScore.tier_id)
            & is_of_cohort
            & (safe.rank == last),
        )
    )


def escapes(row: AnyRow) -> list[Escape]:
    """What it would have taken to leave the tail, of a row of `scores`: nothing outside a tail place.

    One metric at a time, those that weigh most first, where even the first place in it would not do: not there. A place
    without ties has the share 10000 * (n - place) // (n - 1) of n compared; the score must be above the last safe one.
    """
    score, policy = row.RankingScore, row.RankingPolicy
    if score.outcome not in {"tail", "let_off"} or row.last_safe is None:
        return []
    weights = {metric.name: getattr(policy, f"{metric.name}_weight_bps") for metric in METRICS}
    shares = {metric.name: getattr(score, f"{metric.name}_share_bps") for metric in METRICS}
    total = sum(weight * shares[name] for name, weight in weights.items())
    found = []
    for name in sorted(weights, key=lambda name: -weights[name]):
        weight, others = weights[name], score.compared - 1
        if not weight or not others:
            continue
        missing = (row.last_safe + 1) * 10000 - (total - weight * shares[name])
        share = -(-missing // weight)
        # The last place with at least this share: 10000 * worse // others >= share.
        worse = -(-share * others // 10000)
        if 0 <= worse <= others:
            found.append(Escape(name, score.compared - worse))
    return found


async def cases(
    session: AsyncSession,
    *,
    states: Sequence[str] | None = None,
    distributor_id: int | None = None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """Rows of (case, distributor), newest first; `after` is an (id,)."""
    query: Select[*tuple[Any, ...]] = (
        select(TailCase, Distributor)
        .join(Distributor, Distributor.id == TailCase.distributor_id)
        .execution_options(populate_existing=True)  # what changes them goes round the session
    )
    if states is not None:
        query = query.where(TailCase.state.in_(states))
    if distributor_id is not None:
        query = query.where(TailCase.distributor_id == distributor_id)
    return (await session.execute(page(query, (TailCase.id, "down"), after=after, limit=limit))).all()


async def case(session: AsyncSession, case_id: int) -> AnyRow:
    """A row as of `cases`, of one that is there."""
    (row,) = await cases(session, after=(case_id + 1,), limit=1)
    assert row.TailCase.id == case_id
    return row


async def steps_of(session: AsyncSession, case_ids: Sequence[int]) -> dict[int, list[AnyRow]]:
    """Rows of (step, start, end), the first step first, by case; the period of the run that took it, if one did."""
    query: Select[*tuple[Any, ...]] = (
        select(
            TailStep,
            func.lower(RankingRun.period).label("start"),
            func.upper(RankingRun.period).label("end"),
        )
        .outerjoin(RankingRun, RankingRun.id == TailStep.run_id)
        .where(TailStep.case_id.in_(case_ids))
        .order_by(TailStep.case_id, TailStep.id)
    )
    found: dict[int, list[AnyRow]] = defaultdict(list)
    for row in await session.execute(query):
        found[row.TailStep.case_id].append(row)
    return found
