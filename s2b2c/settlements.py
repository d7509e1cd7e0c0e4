"""Close a period: everything that matured goes into exactly one statement of whoever it is owed to. Amounts are fen."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    CursorResult,
    FromClause,
    Result,
    Select,
    and_,
    case,
    cast,
    func,
    null,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle, aliased, join

from s2b2c import jobs
from s2b2c.db import PLAN_FOR_BULK, AnyRow, page
from s2b2c.errors import PeriodOpen, Refused
from s2b2c.models import (
    Brand,
    Commission,
    Distributor,
    Order,
    OrderLine,
    Product,
    Rule,
    SettlementRun,
    Statement,
    Store,
    Variant,
)
from s2b2c.sql import statements

PayeeKind = Literal["distributor", "brand"]

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

    Commissions of nothing are put there too, so that each is explained. Every payee is told. None, and no run, when
    there is nothing. `progress` counts orders. Raises Refused(PeriodOpen) when the cutoff lies after `now`.
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
    await _write(session, "tell_payees", {"run_id": run.id})
    commissions = lines = 0
    for batch, first in enumerate(range(0, orders, _ORDERS_PER_BATCH)):
        place = {"run_id": run.id, "batch": batch}
        commissions += await _write(session, "settle_commissions", place)
        lines += await _write(session, "settle_lines", place)
        if progress is not None:
            progress(min(first + _ORDERS_PER_BATCH, orders), orders)
    assert (commissions, lines) == (distributors.lines, brands.lines)
    await jobs.enqueue(session, "export_settlement", {"run_id": run.id})
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


async def runs(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[AnyRow]:
    """Settlement runs, newest first; `after` is an (id,).

    Rows of (id, cutoff, state, created_at, distributors, brands), the last two of (statements, lines, gross in fen).
    """
    return (await session.execute(page(_runs(), (SettlementRun.id, "down"), after=after, limit=limit))).all()


async def run(session: AsyncSession, run_id: int) -> AnyRow | None:
    """A row as of `runs`."""
    return (await session.execute(_runs().where(SettlementRun.id == run_id))).one_or_none()


_RUN = (SettlementRun.id, SettlementRun.cutoff, SettlementRun.state, SettlementRun.created_at)


def _runs() -> Select[*tuple[Any, ...]]:
    of_distributors, of_brands = (
        select(
            func.count().label("statements"),
            cast(func.coalesce(func.sum(Statement.lines), 0), BigInteger).label("lines"),
            cast(func.coalesce(func.sum(Statement.gross), 0), BigInteger).label("gross"),
        )
        .where(Statement.run_id == SettlementRun.id, of_kind)
        .lateral()
        for of_kind in (Statement.distributor_id.is_not(None), Statement.distributor_id.is_(None))
    )
    return (
        select(*_RUN, Bundle("distributors", *of_distributors.c), Bundle("brands", *of_brands.c))
        .select_from(SettlementRun)
        .join(of_distributors, true())
        .join(of_brands, true())
    )


async def statements_of(
    session: AsyncSession,
    *,
    distributor_id: int | None = None,
    brand_id: int | None = None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """What one distributor or one brand got in each run, newest first; `after` is a (run_id,).

    Rows of (id, distributor_id, payee, code, name, lines, gross in fen, run): `payee` is "distributor" or "brand",
    `code` of a brand is its name, `lines` are commissions of a distributor or order lines of a brand.
    """
    query = _statements().where(_to(distributor_id, brand_id))
    # By runs, of which there are few: the key of statements finds a payee in a run.
    return (await session.execute(page(query, (SettlementRun.id, "down"), after=after, limit=limit))).all()


async def statement(
    session: AsyncSession, statement_id: int, *, distributor_id: int | None = None, brand_id: int | None = None
) -> AnyRow | None:
    """A row as of `statements_of`: of this distributor or this brand, of anybody where neither is named."""
    query = _statements().where(Statement.id == statement_id)
    if distributor_id is not None or brand_id is not None:
        query = query.where(_to(distributor_id, brand_id))
    return (await session.execute(query)).one_or_none()


class StatementsPage(NamedTuple):
    """Some statements of a run; `after` is a (gross, id)."""

    run_id: int
    payee: PayeeKind
    after: tuple[int, ...] | None
    limit: int


async def statements_of_runs(session: AsyncSession, pages: Sequence[StatementsPage]) -> list[Sequence[AnyRow]]:
    """For each page at least `limit` statements where there are so many, greatest first; rows as of `statements_of`."""
    asked = (
        func.unnest(
            _numbers(it.run_id for it in pages),
            cast([it.payee == "distributor" for it in pages], ARRAY(Boolean)),
            _numbers(it.after[0] if it.after else None for it in pages),
            _numbers(it.after[1] if it.after else None for it in pages),
        )
        .table_valued("run_id", "of_distributor", "gross", "id", with_ordinality="n", name="asked")
        .render_derived()
    )
    behind = or_(
        asked.c.id.is_(None),
        Statement.gross < asked.c.gross,
        and_(Statement.gross == asked.c.gross, Statement.id > asked.c.id),
    )
    found = aliased(
        Statement,
        select(Statement)
        .where(
            Statement.run_id == asked.c.run_id,
            Statement.distributor_id.is_not(None) == asked.c.of_distributor,
            behind,
        )
        .order_by(Statement.gross.desc(), Statement.id)
        .limit(max(it.limit for it in pages))
        .lateral("found"),
    )
    query = _statements(found, join(asked, found, true())).add_columns(asked.c.n)
    return _by_page(await session.execute(query.order_by(asked.c.n, found.gross.desc(), found.id)), len(pages))


async def statement_rows(session: AsyncSession, run_id: int, *, payee: PayeeKind, limit: int = 20) -> Sequence[AnyRow]:
    """The greatest statements of a run for one kind of payee; rows as of `statements_of`."""
    (rows,) = await statements_of_runs(session, [StatementsPage(run_id, payee, None, limit)])
    return rows


def _statements(statement: type[Statement] = Statement, source: FromClause | None = None) -> Select[*tuple[Any, ...]]:
    return (
        select(
            statement.id,
            statement.distributor_id,
            case((statement.brand_id.is_(None), "distributor"), else_="brand").label("payee"),
            func.coalesce(Distributor.code, Brand.name).label("code"),
            func.coalesce(Distributor.name, Brand.name).label("name"),
            statement.lines,
            statement.gross,
            Bundle("run", *_RUN),
        )
        .select_from(statement if source is None else source)
        .join(SettlementRun, SettlementRun.id == statement.run_id)
        .outerjoin(Distributor, Distributor.id == statement.distributor_id)
        .outerjoin(Brand, Brand.id == statement.brand_id)
    )


def _to(distributor_id: int | None, brand_id: int | None) -> ColumnElement[bool]:
    if distributor_id is None:  # both columns, as the key of statements has them
        return and_(Statement.distributor_id.is_(None), Statement.brand_id == brand_id)
    return Statement.distributor_id == distributor_id


class LinesPage(NamedTuple):
    """Some lines of a statement; `after` is an (id,)."""

    statement_id: int
    distributor_id: int | None
    """Whose statement it is; None of a brand's."""
    after: tuple[int, ...] | None
    limit: int


_WHY = ("position", "rule_id", "base_amount", "rate_bps", "uncapped_amount", "outcome")
"""What explains a commission."""


async def lines(session: AsyncSession, pages: Sequence[LinesPage]) -> list[Sequence[AnyRow]]:
    """For each page at least `limit` lines where there are so many, by id: a commission, or a brand's order line.

    Rows of (id, order_no, line_no, paid_at, completed_at, matures_at, store, product_title, sku, quantity, paid,
    position, scheme, base, base_amount, rate_bps, uncapped_amount, amount, outcome). Of a brand's line `amount` is its
    supply, and what explains a commission is None.
    """
    asked = (
        func.unnest(
            _numbers(it.statement_id for it in pages),
            _numbers(it.distributor_id for it in pages),
            _numbers(it.after[0] if it.after else 0 for it in pages),
        )
        .table_valued("statement_id", "distributor_id", "after", with_ordinality="n", name="asked")
        .render_derived()
    )
    limit = max(it.limit for it in pages)
    # OFFSET 0: first what is in the statement, then its first ids; else the planner may walk all ids there are.
    of_distributor = (
        select(Commission)
        .where(Commission.distributor_id == asked.c.distributor_id, Commission.statement_id == asked.c.statement_id)
        .where(Commission.id > asked.c.after)
        .correlate(asked)
        .offset(0)
        .subquery()
    )
    of_brand = (
        select(OrderLine)
        .where(asked.c.distributor_id.is_(None), OrderLine.statement_id == asked.c.statement_id)
        .where(OrderLine.id > asked.c.after)
        .correlate(asked)
        .offset(0)
        .subquery()
    )
    earned = select(of_distributor).order_by(of_distributor.c.id).limit(limit).lateral("earned")
    owed = select(of_brand).order_by(of_brand.c.id).limit(limit).lateral("owed")
    part = union_all(
        select(asked.c.n, earned.c.id, earned.c.branch_id, earned.c.line_id, earned.c.amount)
        .add_columns(*(earned.c[name] for name in _WHY))
        .join(earned, true()),
        select(asked.c.n, owed.c.id, owed.c.branch_id, owed.c.id, owed.c.supply)
        .add_columns(*(null() for _ in _WHY))
        .join(owed, true()),
    ).subquery("part")
    query = (
        select(part, OrderLine.line_no, OrderLine.quantity, OrderLine.paid)
        .add_columns(Order.order_no, Order.paid_at, Order.completed_at, Order.matures_at)
        .add_columns(Bundle("store", Store.id, Store.slug, Store.title, Store.region))
        .add_columns(Product.title.label("product_title"), Variant.sku, Rule.scheme, Rule.base)
        .join(OrderLine, and_(OrderLine.branch_id == part.c.branch_id, OrderLine.id == part.c.line_id))
        .join(Order, and_(Order.branch_id == OrderLine.branch_id, Order.id == OrderLine.order_id))
        .join(Store, Store.id == Order.store_id)
        .join(Product, Product.id == OrderLine.product_id)
        .join(Variant, Variant.id == OrderLine.variant_id)
        .outerjoin(Rule, Rule.id == part.c.rule_id)
        .order_by(part.c.n, part.c.id)
    )
    return _by_page(await session.execute(query), len(pages))


def _numbers(values: Iterable[int | None]) -> ColumnElement[Any]:
    return cast(list(values), ARRAY(BigInteger))


def _by_page(rows: Result[*tuple[Any, ...]], pages: int) -> list[Sequence[AnyRow]]:
    found: list[list[AnyRow]] = [[] for _ in range(pages)]
    for row in rows:
        found[row.n - 1].append(row)
    return list(found)


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


class Payable(NamedTuple):
    """In fen. `balance`, of the ledger, is `in_statements` + `not_in_statement`; `pending` comes on top of it."""

    balance: int
    in_statements: int
    not_in_statement: int
    pending: int


# One statement, so one snapshot. What is open is found by the index of lines in no statement, which stays short; the
# statements by their run, since a brand has at most one in each.
_PAYABLE = text("""
    SELECT (
        SELECT coalesce(sum(part.amount), 0)::bigint
        FROM ledger_accounts a
        CROSS JOIN LATERAL (
            SELECT amount FROM transfers WHERE credit_account_id = a.id
            UNION ALL
            SELECT -amount FROM transfers WHERE debit_account_id = a.id
        ) AS part
        WHERE a.kind = 'brand_payable' AND a.brand_id = :brand_id
    ) AS balance, (
        SELECT coalesce(sum(s.gross), 0)::bigint
        FROM settlement_runs r
        JOIN statements s ON s.run_id = r.id AND s.distributor_id IS NULL AND s.brand_id = :brand_id
    ) AS in_statements, completed, pending
    FROM (
        SELECT coalesce(sum(l.supply) FILTER (WHERE o.completed_at IS NOT NULL), 0)::bigint AS completed,
               coalesce(sum(l.supply) FILTER (WHERE o.completed_at IS NULL), 0)::bigint AS pending
        FROM order_lines l
        JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
        WHERE l.brand_id = :brand_id AND l.statement_id IS NULL AND o.paid_at IS NOT NULL
    ) AS open
""")


async def payable(session: AsyncSession, brand_id: int) -> Payable:
    """What the platform owes a brand: for completed orders (`balance`), and once the other paid ones are completed."""
    return Payable._make((await session.execute(_PAYABLE, {"brand_id": brand_id})).one())
