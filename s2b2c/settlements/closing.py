"""Close a period: everything that matured goes into exactly one statement of whoever it is owed to. Amounts are fen.

A draft reserves what it takes, and discarding it frees that again. Reviewed, its statements are shown to their payees.
Approved, by somebody else than who made it, it is closed for good: the database refuses whatever would change it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import CursorResult, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import jobs, ledger
from s2b2c.config import SHANGHAI, settings
from s2b2c.db import PLAN_FOR_BULK
from s2b2c.errors import BadArgument, NotFound, PeriodOpen, Refused, WrongState
from s2b2c.models import SettlementRun
from s2b2c.settlements.reading import Progress, Totals
from s2b2c.sql import statements

OPEN = ("draft", "reviewed")
_ORDERS_PER_BATCH = 40_000
_FURTHEST = timedelta(days=62)


async def one_at_a_time(session: AsyncSession) -> None:
    """Until the end of the transaction nobody else makes, closes or discards a run, or gives up a debt."""
    await session.execute(_ONE_AT_A_TIME)


async def open_run(session: AsyncSession) -> int | None:
    """The run that is neither approved nor discarded; there is one at most, since each rests on those before it."""
    run_id: int | None = await session.scalar(select(SettlementRun.id).where(SettlementRun.state.in_(OPEN)).limit(1))
    return run_id


# Two runs at once would both find the same orders, then wait for each other's rows in whatever order they reach them.
# The lock ends with the transaction, however that ends; the run that waited looks for its orders only after it.
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('s2b2c.settle', 0))")


@dataclass(frozen=True, slots=True)
class Settled:
    run_id: int
    orders: int
    distributors: Totals
    brands: Totals


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run goes by: the least that is paid out in fen, the most of the gross that pays off debt, and which months
    count for tax (see `withholding`)."""

    minimum_payout: int = 0
    debt_offset_bps: int = 5000
    months_rule: Literal["income_months", "restart_after_gap"] = "income_months"


USUAL = Terms()


def usual_terms() -> Terms:
    """Those of the settings."""
    own = settings()
    return Terms(own.minimum_payout, own.debt_offset_bps, own.withholding_months)


async def settle(
    session: AsyncSession,
    *,
    cutoff: datetime,
    now: datetime,
    pay_on: date | None = None,
    terms: Terms = USUAL,
    by: int | None = None,
    progress: Progress | None = None,
) -> Settled | None:
    """Put all that matured before `cutoff` and stands in no statement into a draft run: one statement per payee.

    Commissions of nothing are put there too, so that each is explained. What refunds took back matures at the later of
    the order's maturity and the refund. None, and no run, when there is nothing. It is paid on `pay_on`, the day of
    `now` where that is not given. `progress` counts orders.

    Raises Refused(PeriodOpen) when the cutoff lies after `now`, Refused(BadArgument) for a day before the
    cutoff or far ahead, and Refused(WrongState) while another run is neither approved nor discarded.
    """
    if cutoff > now:
        raise Refused(
            PeriodOpen(f"The cutoff {cutoff.isoformat()} lies in the future; what matures until then is not known.")
        )
    today = now.astimezone(SHANGHAI).date()
    pay_on = pay_on or today
    if pay_on < cutoff.astimezone(SHANGHAI).date() or pay_on > today + _FURTHEST:
        raise Refused(BadArgument(f"payOn is {pay_on}, but must lie from the cutoff on, at most 62 days ahead."))
    await one_at_a_time(session)
    await session.execute(PLAN_FOR_BULK)
    orders, refunds, adjustments = await _find_due(session, cutoff)
    if not orders and not refunds and not adjustments:
        return None
    if (other := await open_run(session)) is not None:
        raise Refused(WrongState(f"Run {other} is not approved yet: approve it or discard it first."))
    run = SettlementRun(cutoff=cutoff, state="draft", created_at=now, pay_on=pay_on, created_by=by, **asdict(terms))
    session.add(run)
    await session.flush()
    distributors = await _open(session, "open_distributor_statements", run.id)
    brands = await _open(session, "open_brand_statements", run.id)
    place = {"run_id": run.id}
    commissions = await _write(session, "settle_clawbacks", place)
    lines = await _write(session, "settle_returns", place)
    assert await _write(session, "settle_refunds", place) == refunds
    assert await _write(session, "settle_adjustments", place) == adjustments
    for batch, first in enumerate(range(0, orders, _ORDERS_PER_BATCH)):
        place["batch"] = batch
        commissions += await _write(session, "settle_commissions", place)
        lines += await _write(session, "settle_lines", place)
        if progress is not None:
            progress(min(first + _ORDERS_PER_BATCH, orders), orders)
    assert (commissions, lines) == (distributors.lines, brands.lines)
    return Settled(run.id, orders, distributors, brands)


async def _find_due(session: AsyncSession, cutoff: datetime) -> tuple[int, int, int]:
    """Note which orders, refunds and adjustments this run takes: none that comes meanwhile may slip into half of it."""
    for name in ("open_due", "open_due_refunds", "open_due_adjustments"):
        await session.execute(statements("settlements")[name])
    await session.execute(text("TRUNCATE due, due_refunds, due_adjustments"))
    orders = await _write(session, "find_due", {"cutoff": cutoff, "batch_size": _ORDERS_PER_BATCH})
    refunds = await _write(session, "find_due_refunds", {"cutoff": cutoff})
    adjustments = await _write(session, "find_due_adjustments", {"cutoff": cutoff})
    await session.execute(text("ANALYZE due, due_refunds, due_adjustments"))
    return orders, refunds, adjustments


async def _open(session: AsyncSession, name: str, run_id: int) -> Totals:
    return Totals._make((await session.execute(statements("settlements")[name], {"run_id": run_id})).one())


async def _write(session: AsyncSession, name: str, parameters: Mapping[str, object]) -> int:
    result = await session.execute(statements("settlements")[name], parameters)
    assert isinstance(result, CursorResult)
    return result.rowcount


async def review(session: AsyncSession, run_id: int, *, now: datetime, by: int | None) -> SettlementRun:
    """Show the statements of a draft to their payees: every one is told, and may dispute its own until the approval.

    Raises Refused: NotFound, and WrongState for a run that is no draft.
    """
    run = await _locked(session, run_id, "draft")
    run.state, run.reviewed_at, run.reviewed_by = "reviewed", max(now, run.created_at), by
    await session.flush()
    await _write(session, "tell_payees", {"run_id": run_id})
    await jobs.enqueue(session, "export_settlement", {"run_id": run_id})
    return run


async def approve(session: AsyncSession, run_id: int, *, now: datetime, by: int | None) -> SettlementRun:
    """Close a reviewed run for good: tax, debts and what pays them off are posted to the ledger.

    A statement whose dispute is open or accepted leaves the run; what stood in it waits for the next one, and its payee
    is told. Raises Refused: NotFound, and WrongState for a run that is not reviewed, or that who approves has made.
    """
    run = await _locked(session, run_id, "reviewed")
    if by is not None and by == run.created_by:
        raise Refused(WrongState("Who made a run cannot approve it: ask somebody else."))
    at = max(now, run.created_at)
    await _free(session, run_id, "find_disputed", "tell_postponed", at)
    run.state, run.approved_at, run.approved_by = "approved", at, by
    await session.flush()
    await ledger.post_statements(session, run_id, at=at)
    return run


async def discard(session: AsyncSession, run_id: int, *, now: datetime, by: int | None) -> SettlementRun:
    """Give up a run that is not approved: all that stood in it waits for another run, and its statements are gone.

    Payees who had been shown theirs are told. Raises Refused: NotFound, and WrongState for a run that is closed or
    discarded already.
    """
    run = await _locked(session, run_id, *OPEN)
    await session.execute(PLAN_FOR_BULK)
    await _free(session, run_id, "find_leaving", "tell_discarded", max(now, run.created_at))
    run.state, run.discarded_at, run.discarded_by = "discarded", now, by
    await session.flush()
    return run


async def _free(session: AsyncSession, run_id: int, found_by: str, told_by: str, now: datetime) -> None:
    """Some statements of a run are gone, and what stood in them is in none."""
    await session.execute(statements("settlements")["open_leaving"])
    await session.execute(text("TRUNCATE leaving"))
    place = {"run_id": run_id, "now": now} if found_by == "find_disputed" else {"run_id": run_id}
    if not await _write(session, found_by, place):
        return
    await session.execute(text("ANALYZE leaving"))
    await _write(session, told_by, {"now": now})
    for name in ("commissions", "clawbacks", "lines", "returns", "adjustments"):
        await _write(session, f"free_{name}", {})
    await _write(session, "free_refunds", {"run_id": run_id})
    await _write(session, "free_statements", {})


async def _locked(session: AsyncSession, run_id: int, *states: str) -> SettlementRun:
    await one_at_a_time(session)
    run = await session.get(SettlementRun, run_id, with_for_update=True, populate_existing=True)
    if run is None:
        raise Refused(NotFound("There is no such run: read the runs again."))
    if run.state not in states:
        raise Refused(WrongState(f"The run is {run.state}, not {' or '.join(states)}: read it again."))
    return run
