"""What a policy would have done: a dry run over past periods, before anybody is judged by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.errors import BadArgument, Refused
from s2b2c.models import RankingPolicy
from s2b2c.ranking import scoring
from s2b2c.sql import statements

MAX_PERIODS = 36


class ForeseenPeriod(NamedTuple):
    """Days [start, end); `returned` of the `in_tail_before` are in the tail again, `fallen` of `in_tail` stood above
    the median of their cohort in the period before."""

    start: date
    end: date
    ranked: int
    in_tail: int
    let_off: int
    noticed: int
    in_tail_before: int
    returned: int
    fallen: int


class ForeseenHit(NamedTuple):
    """Somebody who would have got a notice; `period` counts from 1."""

    id: int
    code: str
    name: str
    period: int
    periods_in_tail: int
    was_above_median: bool
    """In any of the periods."""


@dataclass(frozen=True)
class Foresight:
    """`hits_above_median` of the `hits` stood above the median of their cohort in some period."""

    periods: list[ForeseenPeriod]
    hits: int
    hits_above_median: int
    shown: list[ForeseenHit]

    @property
    def stability_bps(self) -> int | None:
        """The share of a tail that is in the tail of the next period again, over all periods; None without a tail."""
        before = sum(period.in_tail_before for period in self.periods)
        return 10000 * sum(period.returned for period in self.periods) // before if before else None


def months(until: date, count: int) -> list[tuple[date, date]]:
    """The last `count` calendar months that are over on the day `until`, in order. Raises Refused(BadArgument)."""
    if not 1 <= count <= MAX_PERIODS:
        raise Refused(BadArgument(f"{count} periods: ask for 1 to {MAX_PERIODS}."))
    last = until.year * 12 + until.month - 1
    if last - count < 12:
        raise Refused(BadArgument(f"There are no {count} months before {until}."))
    return [(_month(number), _month(number + 1)) for number in range(last - count, last)]


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


async def simulate(
    session: AsyncSession, policy: RankingPolicy, periods: Sequence[tuple[date, date]], *, shown: int = 20
) -> Foresight:
    """Rank these periods, in order, as `rank` does, and count what it would have led to; nothing is kept.

    Nobody leaves between the periods, and what was decided in truth is no part of it. Needs a transaction that can
    write (`Database.write()`): the scores lie in a table of its own until it ends. Raises Refused(BadArgument,
    PeriodOpen).
    """
    if not 1 <= len(periods) <= MAX_PERIODS:
        raise Refused(BadArgument(f"{len(periods)} periods: ask for 1 to {MAX_PERIODS}."))
    if any(later[0] < earlier[1] for earlier, later in pairwise(periods)):
        raise Refused(BadArgument("The periods overlap, or do not come in order."))
    for statement in ("dry_scores", "dry_scores_emptied"):
        await session.execute(statements("ranking")[statement])
    for number, (start, end) in enumerate(periods, start=1):
        days = scoring.period_days(start, end)
        await scoring.check_ready(session, days)
        await scoring.measure(session, "measure", policy_id=policy.id, **days)
        await session.execute(statements("ranking")["foresee"], {"run_id": number, "policy_id": policy.id})
    found = {
        row.n: row[1:]
        for row in await session.execute(statements("tail")["foreseen_periods"], {"strikes": policy.strikes})
    }
    # One row at least: each tells how many there are.
    asked = {"strikes": policy.strikes, "shown": max(shown, 1)}
    hits = (await session.execute(statements("tail")["foreseen_hits"], asked)).all()
    return Foresight(
        [
            ForeseenPeriod(start, end, *found.get(number, (0,) * 7))
            for number, (start, end) in enumerate(periods, start=1)
        ],
        hits[0].hits if hits else 0,
        hits[0].hits_above_median if hits else 0,
        [ForeseenHit(*row[:6]) for row in hits[:shown]],
    )
