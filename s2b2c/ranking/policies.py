"""By which rules distributors are ranked, version by version, and who is let off for a time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Literal, Self

from sqlalchemy import Select, func, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, page
from s2b2c.errors import AlreadyTaken, BadArgument, NotFound, Refused, WrongState, check_line
from s2b2c.models import Distributor, RankingExemption, RankingPolicy
from s2b2c.models.ranking import METRICS
from s2b2c.ranking.metrics import VERSION

MAX_REASON_LENGTH = 500
MAX_EXEMPT_DAYS = 3660


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a policy says. Weights are basis points of the score, 10000 together.

    Raises Refused(BadArgument) for what can be no policy.
    """

    output_weight_bps: int = 4000
    orders_weight_bps: int = 1000
    customers_weight_bps: int = 1500
    repeat_weight_bps: int = 1000
    refund_weight_bps: int = 1000
    growth_weight_bps: int = 1000
    sell_through_weight_bps: int = 500
    cohort: Literal["tier_region", "tier"] = "tier_region"
    min_cohort: int = 5
    """Fewer that are compared have no tail, and fewer in a region are compared with the whole tier."""
    min_orders: int = 10
    """With fewer a rate is shrunk towards the mean of the cohort."""
    grace_days: int = 90
    """Who takes part for a shorter time is not ranked."""
    tail_bps: int = 1000
    strikes: int = 2
    """Periods in the tail, in a row, until a notice."""
    appeal_days: int = 7

    def __post_init__(self) -> None:
        weights = {name: getattr(self, name) for name in WEIGHTS}
        if any(weight < 0 for weight in weights.values()) or sum(weights.values()) != 10000:
            said = " + ".join(str(weight) for weight in weights.values())
            raise Refused(BadArgument(f"The weights must be 0 or more and 10000 together, but are {said}."))
        for name, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise Refused(BadArgument(f"{name} is {getattr(self, name)}, but must be {least} to {most}."))
        if self.cohort not in {"tier_region", "tier"}:
            raise Refused(BadArgument(f"cohort is {self.cohort!r}, but must be tier_region or tier."))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Of a mapping with these names, each a whole number but `cohort`. Raises Refused(BadArgument)."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(str(name) for name in set(document) - known):
            raise Refused(BadArgument(f"A policy has no {unknown[0][:40]!r}: it has {', '.join(sorted(known))}."))
        for name, value in document.items():
            if name != "cohort" and (isinstance(value, bool) or not isinstance(value, int)):
                raise Refused(BadArgument(f"{name} must be a whole number."))
        return cls(**document)


WEIGHTS = tuple(f"{metric}_weight_bps" for metric in METRICS)
_BOUNDS = {
    "min_cohort": (1, 1_000_000),
    "min_orders": (0, 1_000_000),
    "grace_days": (0, 36_500),
    "tail_bps": (0, 10_000),
    "strikes": (1, 100),
    "appeal_days": (1, 365),
}


async def draft(session: AsyncSession, code: str, terms: Terms, *, by: int | None, now: datetime) -> RankingPolicy:
    """The next version of the policy `code`, a draft. Raises Refused(BadArgument)."""
    check_line("code", code, 64)
    await _lock(session)
    newest = select(func.max(RankingPolicy.version)).where(RankingPolicy.code == code)
    policy = RankingPolicy(
        code=code,
        version=(await session.scalar(newest) or 0) + 1,
        metrics_version=VERSION,
        created_at=now,
        created_by=by,
        **asdict(terms),
    )
    session.add(policy)
    await session.flush()
    return policy


async def publish(session: AsyncSession, policy_id: int, *, by: int | None, now: datetime) -> RankingPolicy:
    """From now on runs go by this policy. Raises Refused(NotFound, WrongState)."""
    await _lock(session)
    policy = await session.get(RankingPolicy, policy_id, populate_existing=True)
    if policy is None:
        raise Refused(NotFound("There is no such ranking policy: choose one of the list of policies."))
    if policy.published_at is not None:
        raise Refused(WrongState("It is published already: draft a new version to go back to its terms."))
    newest = await session.scalar(select(func.max(RankingPolicy.published_at)))
    # By a clock that is behind it is still the last one.
    policy.published_at = now if newest is None else max(now, newest + timedelta(microseconds=1))
    policy.published_by = by
    await session.flush()
    return policy


async def _lock(session: AsyncSession) -> None:
    # Two who draft at once would take the same number, and two who publish at once the same moment.
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('ranking_policies'))"))


def _published() -> Select[RankingPolicy]:
    return (
        select(RankingPolicy)
        .where(RankingPolicy.published_at.is_not(None))
        .order_by(RankingPolicy.published_at.desc(), RankingPolicy.id.desc())
        .limit(1)
    )


async def in_force(session: AsyncSession, *, now: datetime) -> RankingPolicy:
    """What was published last; where nothing ever was, the policy "default" with the usual `Terms`, made now."""
    if (policy := await session.scalar(_published())) is not None:
        return policy
    await _lock(session)
    if (policy := await session.scalar(_published())) is not None:
        return policy
    made = await draft(session, "default", Terms(), by=None, now=now)
    return await publish(session, made.id, by=None, now=now)


async def policies(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[RankingPolicy]:
    """Newest first; `after` is an (id,)."""
    return (
        await session.scalars(page(select(RankingPolicy), (RankingPolicy.id, "down"), after=after, limit=limit))
    ).all()


async def exempt(
    session: AsyncSession,
    distributor_id: int,
    *,
    start: date,
    end: date,
    reason: str,
    by: int | None,
    now: datetime,
) -> RankingExemption:
    """Let a distributor off whenever it stands in the tail of a period with a day of [start, end).

    Runs that were acted on stay as they are. Raises Refused: BadArgument, NotFound, and AlreadyTaken where it is exempt
    on one of these days already.
    """
    check_line("reason", reason, MAX_REASON_LENGTH)
    if not 1 <= (end - start).days <= MAX_EXEMPT_DAYS:
        raise Refused(BadArgument(f"From {start} to {end} is not 1 to {MAX_EXEMPT_DAYS} days."))
    if await session.get(Distributor, distributor_id) is None:
        raise Refused(NotFound("There is no such distributor: choose one of the list of distributors."))
    made = RankingExemption(
        distributor_id=distributor_id, during=Range(start, end), reason=reason, created_at=now, created_by=by
    )
    try:
        async with session.begin_nested():
            session.add(made)
            await session.flush()
    except IntegrityError as error:
        if "ex_ranking_exemptions_during" not in str(error.orig):
            raise
        raise Refused(AlreadyTaken("It is exempt on some of these days already: end that exemption first.")) from None
    return made


async def end_exemption(
    session: AsyncSession, exemption_id: int, *, on: date, by: int | None, now: datetime
) -> RankingExemption:
    """It ends before the day `on` instead of later. Raises Refused(NotFound, BadArgument)."""
    found = await session.get(RankingExemption, exemption_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise Refused(NotFound("There is no such exemption: read the exemptions again."))
    start, end = found.during.lower, found.during.upper
    assert start is not None
    assert end is not None
    if not start < on < end:
        raise Refused(BadArgument(f"{on} is not within the exemption, from {start} to {end}: it cannot end there."))
    found.during, found.ended_at, found.ended_by = Range(start, on), now, by
    await session.flush()
    return found


async def exemption(session: AsyncSession, exemption_id: int) -> AnyRow:
    """A row as of `exemptions`, of one that is there."""
    (row,) = await exemptions(session, after=(exemption_id + 1,), limit=1)
    return row


async def exemptions(
    session: AsyncSession, *, distributor_id: int | None = None, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Of all, or of one distributor, newest first; `after` is an (id,).

    Rows of (id, distributor, start, end, reason, created_at, created_by, ended_at, ended_by).
    """
    query: Select[*tuple[Any, ...]] = select(
        RankingExemption.id,
        Bundle("distributor", Distributor.id, Distributor.code, Distributor.name),
        func.lower(RankingExemption.during).label("start"),
        func.upper(RankingExemption.during).label("end"),
        RankingExemption.reason,
        RankingExemption.created_at,
        RankingExemption.created_by,
        RankingExemption.ended_at,
        RankingExemption.ended_by,
    ).join(Distributor, Distributor.id == RankingExemption.distributor_id)
    if distributor_id is not None:
        query = query.where(RankingExemption.distributor_id == distributor_id)
    return (await session.execute(page(query, (RankingExemption.id, "down"), after=after, limit=limit))).all()
