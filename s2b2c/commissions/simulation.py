"""What other rules would have paid: any plan over any past period, beside what was really earned."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from heapq import nsmallest
from typing import Any, NamedTuple, Self

from sqlalchemy import BigInteger, DateTime, and_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.config import SHANGHAI
from s2b2c.errors import BadArgument, Refused
from s2b2c.models import Distributor, Rule, Tier
from s2b2c.sql import statements

ORDERS_AT_ONCE = 5_000

# Written into the statement: a plan for any span knows nothing of how much there is in this one.
_SPAN_OF = (
    bindparam("start", type_=DateTime(timezone=True), literal_execute=True),
    bindparam("end", type_=DateTime(timezone=True), literal_execute=True),
    bindparam("orders", type_=BigInteger, literal_execute=True),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Fen as they came, and as the simulated rules would have made them."""

    actual: int = 0
    simulated: int = 0

    def __add__(self, other: Self) -> "Outcome":
        return Outcome(self.actual + other.actual, self.simulated + other.simulated)

    @property
    def difference(self) -> int:
        return self.simulated - self.actual


class TierOutcome(NamedTuple):
    """What those earn who stood on a tier as the orders were paid."""

    tier: Tier
    distributors: int
    commission: Outcome


class DistributorOutcome(NamedTuple):
    id: int
    code: str
    name: str
    tier: Tier
    """Where it stands now."""
    commission: Outcome


class Simulation(NamedTuple):
    """The orders paid in a period. Money is fen, less what refunds have taken back of it to date."""

    orders: int
    lines: int
    paid: int
    refunded: int
    supply: int
    commission: Outcome
    tiers: list[TierOutcome]
    """From the top, those that had a share, be it 0, in one of the orders."""
    gaining: int
    """How many distributors would have earned more."""
    losing: int
    unchanged: int
    """Those who had a share, and would have earned as much."""
    winners: list[DistributorOutcome]
    """The largest gain first."""
    losers: list[DistributorOutcome]
    """The largest loss first."""

    @property
    def platform(self) -> Outcome:
        """What is left to the platform: paid - refunded - supply - commission."""
        rest = self.paid - self.refunded - self.supply
        return Outcome(rest - self.commission.actual, rest - self.commission.simulated)


async def simulate(
    session: AsyncSession,
    rules: Sequence[Mapping[str, Any]],
    margin_floor_bps: int,
    *,
    start: date,
    end: date,
    top: int = 10,
    most_orders: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Simulation:
    """What `rules` would have paid for the orders paid in [start, end), beside what was earned on them.

    `rules` are rows of the table, of plan 0. They meet the frozen chains and costs of the orders, also of those that no
    plan paid, in the statement that accrues; shares are less clawbacks to date, matured or not (domain: Simulation).
    Nothing is written. `top` bounds winners and losers; `progress` hears how many days are done.

    The session is a snapshot, and may be stopped at any time. A period is walked in spans of ORDERS_AT_ONCE orders, and
    what is kept is one sum for each distributor; with `most_orders` it is one statement.

    Raises Refused(BadArgument) for a period with more than `most_orders`.
    """
    assert start < end, "a period has days"
    totals: dict[str, int] = defaultdict(int)
    shares: dict[tuple[int, int], Outcome] = defaultdict(Outcome)
    days = (end - start).days
    since, until = (datetime.combine(day, time.min, SHANGHAI) for day in (start, end))
    parameters = {
        "end": until,
        "orders": ORDERS_AT_ONCE if most_orders is None else most_orders + 1,
        "margin_floor_bps": margin_floor_bps,
        "rules": json.dumps(rules, ensure_ascii=False),
    }
    statement = statements("simulation")["span"].bindparams(*_SPAN_OF)
    while since < until:
        span = (await session.execute(statement, {**parameters, "start": since})).one()
        if most_orders is not None and span.orders > most_orders:
            raise Refused(
                BadArgument(
                    f"More than {most_orders} orders were paid from {start} to {end}: ask for fewer days, or use the "
                    "command line, `s2b2c plan simulate`."
                )
            )
        for name in ("orders", "lines", "paid", "refunded", "supply"):
            totals[name] += getattr(span, name)
        for distributor_id, tier_id, actual, simulated in zip(
            span.distributor_ids, span.tier_ids, span.actual, span.simulated, strict=True
        ):
            shares[distributor_id, tier_id] += Outcome(actual, simulated)
        since = until if span.orders < parameters["orders"] else span.last_paid_at + timedelta(microseconds=1)
        if progress is not None:
            progress((since.astimezone(SHANGHAI).date() - start).days, days)
    return await _told(session, totals, shares, top)


async def rules_of(session: AsyncSession, plan_id: int) -> list[dict[str, Any]]:
    """The rules of a stored plan, as `simulate` takes them."""
    rules = await session.execute(select(Rule.__table__).where(Rule.plan_id == plan_id))
    return [{**rule, "plan_id": 0} for rule in rules.mappings()]


async def _told(
    session: AsyncSession, totals: Mapping[str, int], shares: Mapping[tuple[int, int], Outcome], top: int
) -> Simulation:
    """`shares` are by (distributor_id, tier_id)."""
    by_distributor: dict[int, Outcome] = defaultdict(Outcome)
    by_tier: dict[int, list[Outcome]] = defaultdict(list)
    for (distributor_id, tier_id), share in shares.items():
        by_distributor[distributor_id] += share
        by_tier[tier_id].append(share)
    gains = [(-it.difference, key) for key, it in by_distributor.items() if it.difference > 0]
    losses = [(it.difference, key) for key, it in by_distributor.items() if it.difference < 0]
    winners, losers = ([key for _, key in nsmallest(top, differences)] for differences in (gains, losses))
    rows = await session.execute(
        select(Tier, Distributor.id, Distributor.code, Distributor.name)
        .outerjoin(Distributor, and_(Distributor.tier_id == Tier.id, Distributor.id.in_(winners + losers)))
        .order_by(Tier.rank)
    )
    tiers: dict[int, Tier] = {}
    named: dict[int, DistributorOutcome] = {}
    for tier, key, code, name in rows:
        tiers[tier.id] = tier
        if key is not None:
            named[key] = DistributorOutcome(key, code, name, tier, by_distributor[key])
    return Simulation(
        **totals,
        commission=sum(by_distributor.values(), Outcome()),
        tiers=[
            TierOutcome(tier, len(by_tier[key]), sum(by_tier[key], Outcome()))
            for key, tier in tiers.items()
            if key in by_tier
        ],
        gaining=len(gains),
        losing=len(losses),
        unchanged=len(by_distributor) - len(gains) - len(losses),
        winners=[named[key] for key in winners],
        losers=[named[key] for key in losers],
    )
