"""Close a period: everything that matured goes into exactly one statement of whoever it is owed to. Amounts are fen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import CursorResult, case, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import PLAN_FOR_BULK
from s2b2c.errors import PeriodOpen, Refused
from s2b2c.models import Brand, Distributor, SettlementRun, Statement
from s2b2c.sql import statements

_ORDERS_PER_BATCH = 40_000

# Two runs at once would both find the same orders, then wait for each other's rows in whatever order they reach them.
# The lock ends with the transaction, however that ends; the run that waited looks for its orders only after it.
_ONE_RUN_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('s2b2c.settle', 0))")

Progress = Callable[[int, int], None]
"""(done, total)"""


class Totals(NamedTuple):
    """`lines` are commissions of distributors, or order lines of brands."""

    statements: int
    lines: int
    gross: int


@dataclass(frozen=True, slots=True)
class Settled:
    run_id: int
    orders: int
    distributors: Totals
    brands: Totals


async def settle(
    session: AsyncSession, *, cutoff: datetime, now: datetime, progress: Progress | None = None
) -> Settled | None:
    """Put all that matured before `cutoff` and stands in no statement into a draft run: one statement per payee.

    Commissions of nothing are put there too, so that each is explained. None, and no run, when there is nothing.
    `progress` counts orders. Raises Refused(PeriodOpen) when the cutoff lies after `now`.
    """
    if cutoff > now:
        raise Refused(
            PeriodOpen(f"The cutoff {cutoff.isoformat()} lies in the future; what matures until then is not known.")
        )
    await session.execute(_ONE_RUN_AT_A_TIME)
    await session.execute(PLAN_FOR_BULK)
    orders = await _find_due(session, cutoff)
    if not orders:
        return None
    run = SettlementRun(cutoff=cutoff, state="draft", created_at=now)
    session.add(run)
    await session.flush()
    distributors = await _open(session, "open_distributor_statements", run.id)
    brands = await _open(session, "open_brand_statements", run.id)
    commissions = lines = 0
    for batch, first in enumerate(range(0, orders, _ORDERS_PER_BATCH)):
        place = {"run_id": run.id, "batch": batch}
        commissions += await _write(session, "settle_commissions", place)
        lines += await _write(session, "settle_lines", place)
        if progress is not None:
            progress(min(first + _ORDERS_PER_BATCH, orders), orders)
    assert (commissions, lines) == (distributors.lines, brands.lines)
    return Settled(run.id, orders, distributors, brands)


async def _find_due(session: AsyncSession, cutoff: datetime) -> int:
    """Note which orders this run takes: one that comes in while it works must not slip into half of it."""
    await session.execute(statements("settlements")["open_due"])
    await session.execute(text("TRUNCATE due"))
    orders = await _write(session, "find_due", {"cutoff": cutoff, "batch_size": _ORDERS_PER_BATCH})
    await session.execute(text("ANALYZE due"))
    return orders


async def _open(session: AsyncSession, name: str, run_id: int) -> Totals:
    return Totals._make((await session.execute(statements("settlements")[name], {"run_id": run_id})).one())


async def _write(session: AsyncSession, name: str, parameters: Mapping[str, object]) -> int:
    result = await session.execute(statements("settlements")[name], parameters)
    assert isinstance(result, CursorResult)
    return result.rowcount


class StatementRow(NamedTuple):
    """`code` of a brand is its name. `lines` are commissions of a distributor, or order lines of a brand."""

    id: int
    payee: str
    """"distributor" or "brand"."""
    code: str
    name: str
    lines: int
    gross: int


async def statement_rows(
    session: AsyncSession, run_id: int, *, payee: Literal["distributor", "brand"], limit: int = 20
) -> Sequence[StatementRow]:
    """The greatest statements of a run for one kind of payee."""
    rows = await session.execute(
        select(
            Statement.id,
            case((Statement.brand_id.is_(None), "distributor"), else_="brand"),
            func.coalesce(Distributor.code, Brand.name),
            func.coalesce(Distributor.name, Brand.name),
            Statement.lines,
            Statement.gross,
        )
        .outerjoin(Distributor, Distributor.id == Statement.distributor_id)
        .outerjoin(Brand, Brand.id == Statement.brand_id)
        .where(Statement.run_id == run_id, (Statement.brand_id.is_(None)) == (payee == "distributor"))
        .order_by(Statement.gross.desc(), Statement.id)
        .limit(limit)
    )
    return [StatementRow._make(row) for row in rows]


class StatementLine(NamedTuple):
    """What one statement pays. Of a brand's line `amount` is its supply, and what explains a commission is None."""

    order_no: str
    line_no: int
    product: str
    position: int | None
    base_amount: int | None
    rate_bps: int | None
    amount: int
    outcome: str | None


async def statement_lines(session: AsyncSession, statement_id: int, *, limit: int = 20) -> Sequence[StatementLine]:
    """The first lines of a statement, in the order of its export."""
    rows = await session.execute(
        statements("settlements")["statement_lines"], {"statement_id": statement_id, "limit": limit}
    )
    return [StatementLine._make(row) for row in rows]
