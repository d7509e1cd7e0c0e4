"""What runs and statements hold, and what is owed. Amounts are fen."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Result,
    Select,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle, aliased, join

from s2b2c.db import MAX_INT64, AnyRow, page
from s2b2c.models import (
    Brand,
    Distributor,
    SettlementRun,
    Statement,
)
from s2b2c.sql import statements

PayeeKind = Literal["distributor", "brand"]

Progress = Callable[[int, int], None]
"""(done, total)"""


class Totals(NamedTuple):
    """`lines` are commissions and clawbacks of distributors, or order lines and returns of brands. Money in fen."""

    statements: int
    lines: int
    gross: int
    clawbacks: int


async def runs(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[AnyRow]:
    """Settlement runs, newest first; `after` is an (id,).

    Rows of (id, cutoff, state, when and by whom it was made, reviewed, approved and discarded, distributors, brands),
    the last two of the number of statements and the sums of their amounts.
    """
    return (await session.execute(page(_runs(), (SettlementRun.id, "down"), after=after, limit=limit))).all()


async def run(session: AsyncSession, run_id: int) -> AnyRow | None:
    """A row as of `runs`."""
    return (await session.execute(_runs().where(SettlementRun.id == run_id))).one_or_none()


RUN = (
    SettlementRun.id,
    SettlementRun.cutoff,
    SettlementRun.state,
    SettlementRun.created_at,
    SettlementRun.pay_on,
    SettlementRun.created_by,
    SettlementRun.reviewed_at,
    SettlementRun.reviewed_by,
    SettlementRun.approved_at,
    SettlementRun.approved_by,
    SettlementRun.discarded_at,
    SettlementRun.discarded_by,
)
_AMOUNTS = (
    *("lines", "gross", "clawbacks", "adjustments", "withheld", "debt_in", "debt_offset", "net", "carry_in", "payout"),
    *("carry_out", "debt_added", "withholding", "is_final"),
)

_SUMMED = ("lines", "gross", "clawbacks", "adjustments", "withheld", "debt_offset", "payout", "carry_out", "debt_added")


def _runs() -> Select[*tuple[Any, ...]]:
    of_distributors, of_brands = (
        select(
            func.count().label("statements"),
            *(cast(func.coalesce(func.sum(getattr(Statement, name)), 0), BigInteger).label(name) for name in _SUMMED),
        )
        .where(Statement.run_id == SettlementRun.id, of_kind)
        .lateral()
        for of_kind in (Statement.distributor_id.is_not(None), Statement.distributor_id.is_(None))
    )
    return (
        select(*RUN, Bundle("distributors", *of_distributors.c), Bundle("brands", *of_brands.c))
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
    """What one distributor or one brand got in each run that is no draft, newest first; `after` is a (run_id,).

    Rows of (id, distributor_id, payee, code, name, the amounts of `Statement`, run): `payee` is "distributor" or
    "brand", `code` of a brand is its name, `lines` are as in `Totals`. Money in fen.
    """
    query = _statements().where(_to(distributor_id, brand_id), SettlementRun.state != "draft")
    # By runs, of which there are few: the key of statements finds a payee in a run.
    return (await session.execute(page(query, (SettlementRun.id, "down"), after=after, limit=limit))).all()


async def statement(
    session: AsyncSession, statement_id: int, *, distributor_id: int | None = None, brand_id: int | None = None
) -> AnyRow | None:
    """A row as of `statements_of`: of this distributor or this brand, of anybody where neither is named."""
    query = _statements().where(Statement.id == statement_id)
    if distributor_id is not None or brand_id is not None:
        query = query.where(_to(distributor_id, brand_id), SettlementRun.state != "draft")
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
            *(getattr(statement, name) for name in _AMOUNTS),
            Bundle("run", *RUN),
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
    """Some lines of a statement; `after` is a (part, id)."""

    statement_id: int
    distributor_id: int | None
    """Whose statement it is; None of a brand's."""
    after: tuple[int, ...] | None
    limit: int


async def lines(session: AsyncSession, pages: Sequence[LinesPage]) -> list[Sequence[AnyRow]]:
    """For each page at most `limit` lines, by (part, id): commissions, then clawbacks; order lines, then returns.

    Rows of (part, kind, id, order_no, line_no, paid_at, completed_at, matures_at, refunded_at, store_id, slug, title,
    region, product_title, sku, quantity, paid, amount, position, scheme, base, base_amount, rate_bps, uncapped_amount,
    outcome). `kind` is "commission", "clawback", "supply" or "return", `amount` what the line adds to the statement in
    fen: below 0 what a refund takes back. What explains a commission is None of a brand's line.
    """
    rows = await session.execute(
        statements("settlements")["lines"],
        {
            "statement_ids": [it.statement_id for it in pages],
            "distributor_ids": [it.distributor_id for it in pages],
            "parts": [it.after[0] if it.after else 0 for it in pages],
            "ids": [it.after[1] if it.after else 0 for it in pages],
            "limit": max(it.limit for it in pages),
        },
    )
    return _by_page(rows, len(pages))


def _numbers(values: Iterable[int | None]) -> ColumnElement[Any]:
    return cast(list(values), ARRAY(BigInteger))


def _by_page(rows: Result[*tuple[Any, ...]], pages: int) -> list[Sequence[AnyRow]]:
    found: list[list[AnyRow]] = [[] for _ in range(pages)]
    for row in rows:
        found[row.n - 1].append(row)
    return list(found)


class StatementLine(NamedTuple):
    """A line of a statement; of a brand's what explains a commission is None, and `outcome` too but for a return."""

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


# One statement, so one snapshot. What is open is found by the indexes of lines and returns in no statement, which stay
# short; the statements by their run, since a brand has at most one in each. The balance is its checkpoint and what came
# after (`ledger.balance`); `last` is no bound, but without one the planner expects a third of all transfers.
_PAYABLE = text("""
    SELECT (
        SELECT coalesce(sum(part.amount), 0)::bigint
        FROM ledger_accounts a
        CROSS JOIN LATERAL (
            SELECT credits - debits FROM ledger_checkpoints WHERE account_id = a.id
            UNION ALL
            SELECT amount FROM transfers
            WHERE credit_account_id = a.id AND id > coalesce((SELECT through_id FROM ledger_horizon), 0) AND id <= :last
            UNION ALL
            SELECT -amount FROM transfers
            WHERE debit_account_id = a.id AND id > coalesce((SELECT through_id FROM ledger_horizon), 0) AND id <= :last
        ) AS part (amount)
        WHERE a.kind = 'brand_payable' AND a.brand_id = :brand_id
    ) AS balance, (
        SELECT coalesce(sum(s.net - coalesce(p.amount, 0)), 0)::bigint
        FROM settlement_runs r
        JOIN statements s ON s.run_id = r.id AND s.distributor_id IS NULL AND s.brand_id = :brand_id
        LEFT JOIN payouts p ON p.statement_id = s.id AND p.state IN ('sending', 'unknown', 'sent', 'confirmed')
    ) AS in_statements, sold.completed - returned.completed + adjusted.amount, sold.pending - returned.pending
    FROM (
        SELECT coalesce(sum(l.quantity * l.supply_price) FILTER (WHERE o.completed_at IS NOT NULL), 0)::bigint
                   AS completed,
               coalesce(sum(l.quantity * l.supply_price) FILTER (WHERE o.completed_at IS NULL), 0)::bigint AS pending
        FROM order_lines l
        JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
        WHERE l.brand_id = :brand_id AND l.statement_id IS NULL AND o.paid_at IS NOT NULL
    ) AS sold
    CROSS JOIN (
        SELECT coalesce(sum(r.supply) FILTER (WHERE o.completed_at IS NOT NULL), 0)::bigint AS completed,
               coalesce(sum(r.supply) FILTER (WHERE o.completed_at IS NULL), 0)::bigint AS pending
        FROM refund_lines r
        JOIN order_lines l ON l.branch_id = r.branch_id AND l.id = r.line_id
        JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
        WHERE l.brand_id = :brand_id AND r.statement_id IS NULL AND r.supply <> 0 AND o.paid_at IS NOT NULL
    ) AS returned
    CROSS JOIN (
        SELECT coalesce(sum(amount), 0)::bigint AS amount
        FROM adjustments
        WHERE brand_id = :brand_id AND statement_id IS NULL
    ) AS adjusted
""")


async def payable(session: AsyncSession, brand_id: int) -> Payable:
    """What the platform owes a brand: for completed orders (`balance`), and once the other paid ones are completed."""
    return Payable._make((await session.execute(_PAYABLE, {"brand_id": brand_id, "last": MAX_INT64})).one())
