"""What finance looks up beside statements: adjustments, debts and their write-offs, income for the tax office."""

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, FromClause, Select, case, cast, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle, aliased, join

from s2b2c.db import AnyRow, page
from s2b2c.errors import BadArgument, Refused
from s2b2c.models import Adjustment, Brand, Distributor, WriteOff
from s2b2c.sql import statements

FIRST_YEAR, LAST_YEAR = 2000, 9998


class Owner(NamedTuple):
    """One distributor or one brand; neither is anybody."""

    distributor_id: int | None = None
    brand_id: int | None = None


async def adjustments(
    session: AsyncSession, owner: Owner, *, open_only: bool, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Adjustments, newest first; `after` is an (id,), `open_only` those that are in no statement yet.

    Rows of (id, amount in fen, dated, reason, created_at, created_by, statement_id, payee, payee_id, code, name).
    """
    query = _adjustments()
    if owner.distributor_id is not None:
        query = query.where(Adjustment.distributor_id == owner.distributor_id)
    if owner.brand_id is not None:
        query = query.where(Adjustment.brand_id == owner.brand_id)
    if open_only:
        query = query.where(Adjustment.statement_id.is_(None))
    return (await session.execute(page(query, (Adjustment.id, "down"), after=after, limit=limit))).all()


async def adjustment(session: AsyncSession, adjustment_id: int) -> AnyRow:
    """A row as of `adjustments`."""
    return (await session.execute(_adjustments().where(Adjustment.id == adjustment_id))).one()


class AdjustmentsPage(NamedTuple):
    """Some adjustments of a statement; `after` is an (id,)."""

    statement_id: int
    after: tuple[int, ...] | None
    limit: int


async def adjustments_of(session: AsyncSession, pages: Sequence[AdjustmentsPage]) -> list[Sequence[AnyRow]]:
    """For each page at most as many rows as the longest page asks for, oldest first; rows as of `adjustments`."""
    asked = (
        func.unnest(
            cast([it.statement_id for it in pages], ARRAY(BigInteger)),
            cast([it.after[0] if it.after else 0 for it in pages], ARRAY(BigInteger)),
        )
        .table_valued("statement_id", "after", with_ordinality="n", name="asked")
        .render_derived()
    )
    found = aliased(
        Adjustment,
        select(Adjustment)
        .where(Adjustment.statement_id == asked.c.statement_id, Adjustment.id > asked.c.after)
        .order_by(Adjustment.id)
        .limit(max(it.limit for it in pages))
        .lateral("found"),
    )
    query = _adjustments(found, join(asked, found, true())).add_columns(asked.c.n).order_by(asked.c.n, found.id)
    by_page: list[list[AnyRow]] = [[] for _ in pages]
    for row in await session.execute(query):
        by_page[row.n - 1].append(row)
    return list(by_page)


def _adjustments(
    adjustment: type[Adjustment] = Adjustment, source: FromClause | None = None
) -> Select[*tuple[Any, ...]]:
    return (
        select(
            *(adjustment.id, adjustment.amount, adjustment.dated, adjustment.reason, adjustment.created_at),
            *(adjustment.created_by, adjustment.statement_id),
            case((adjustment.brand_id.is_(None), "distributor"), else_="brand").label("payee"),
            func.coalesce(adjustment.distributor_id, adjustment.brand_id).label("payee_id"),
            func.coalesce(Distributor.code, Brand.name).label("code"),
            func.coalesce(Distributor.name, Brand.name).label("name"),
        )
        .select_from(adjustment if source is None else source)
        .outerjoin(Distributor, Distributor.id == adjustment.distributor_id)
        .outerjoin(Brand, Brand.id == adjustment.brand_id)
    )


async def write_offs(
    session: AsyncSession, *, waiting_only: bool, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Debts that somebody asked to give up, newest first; `after` is an (id,).

    Rows of (id, amount in fen, reason, created_at, created_by, approved_at, approved_by, distributor).
    """
    query = _write_offs()
    if waiting_only:
        query = query.where(WriteOff.approved_at.is_(None))
    return (await session.execute(page(query, (WriteOff.id, "down"), after=after, limit=limit))).all()


async def write_off_row(session: AsyncSession, write_off_id: int) -> AnyRow:
    """A row as of `write_offs`."""
    return (await session.execute(_write_offs().where(WriteOff.id == write_off_id))).one()


def _write_offs() -> Select[*tuple[Any, ...]]:
    return select(
        *(WriteOff.id, WriteOff.amount, WriteOff.reason, WriteOff.created_at, WriteOff.created_by),
        *(WriteOff.approved_at, WriteOff.approved_by),
        Bundle("distributor", Distributor.id, Distributor.code, Distributor.name),
    ).join(Distributor, Distributor.id == WriteOff.distributor_id)


class Named(NamedTuple):
    id: int
    code: str
    name: str


class Debt(NamedTuple):
    distributor: Named
    amount: int
    """In fen, above 0."""


async def debts(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[Debt]:
    """What distributors owe by closed runs, by their ids; `after` is a (distributor_id,)."""
    rows = await session.execute(
        statements("settlements")["debts"], {"after": after[0] if after else 0, "limit": limit}
    )
    return [Debt(Named(row.id, row.code, row.name), row.amount) for row in rows]


class Income(NamedTuple):
    """What a person got by this platform in a time: gross less clawbacks, with adjustments; in fen."""

    distributor: Named
    withholding: str
    """The policy of its newest statement then."""
    income: int
    withheld: int


async def income_of_quarter(
    session: AsyncSession, year: int, quarter: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[Income]:
    """By person what a quarter of a year brought it by closed runs, by their day of payment; `after` is a
    (distributor_id,). What the platform reports (State Council Decree 810). Raises Refused(BadArgument)."""
    _check_year(year)
    if not 1 <= quarter <= 4:
        raise Refused(BadArgument(f"quarter is {quarter}, but must be 1 to 4."))
    first = date(year, 3 * quarter - 2, 1)
    until = date(year + quarter // 4, 3 * quarter % 12 + 1, 1)
    asked = {"first": first, "until": until, "after": after[0] if after else 0, "limit": limit}
    rows = await session.execute(statements("settlements")["income_of_quarter"], asked)
    return [Income(Named(row.id, row.code, row.name), row.withholding, row.income, row.withheld) for row in rows]


class MonthIncome(NamedTuple):
    """In fen; the last two are of the year up to this month."""

    month: date
    income: int
    withheld: int
    income_so_far: int
    withheld_so_far: int


async def income_of_year(session: AsyncSession, distributor_id: int, year: int) -> Sequence[MonthIncome]:
    """What a person got and was withheld by closed runs, month by month of their days of payment; months without any
    are left out. Raises Refused(BadArgument)."""
    _check_year(year)
    rows = await session.execute(
        statements("settlements")["income_of_year"],
        {"distributor_id": distributor_id, "first": date(year, 1, 1), "until": date(year + 1, 1, 1)},
    )
    return [MonthIncome._make(row) for row in rows]


def _check_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise Refused(BadArgument(f"year is {year}, but must be {FIRST_YEAR} to {LAST_YEAR}."))
