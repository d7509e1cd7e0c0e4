"""The double-entry ledger: nothing else writes transfers. Amounts are fen and always positive."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, SQLColumnExpression, and_, cast, func, select, true, union_all
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle, aliased

from s2b2c.db import MAX_INT64, AnyRow, page
from s2b2c.models import Brand, Distributor, LedgerAccount, Order, OrderBatch, RefundBatch, Transfer
from s2b2c.sql import statements


async def post_payments(session: AsyncSession, orders: OrderBatch, *, rail: str) -> None:
    """What was paid for these orders goes from the clearing account of `rail` into escrow.

    Raises IntegrityError when one of them was posted before: each is paid once.
    """
    accounts = {
        "clearing": await _platform_account(session, "clearing", rail),
        "escrow": await _platform_account(session, "escrow"),
    }
    await session.execute(statements("ledger")["post_payments"], orders._asdict() | accounts)


async def post_completions(session: AsyncSession, orders: OrderBatch) -> None:
    """Escrow is split to brands (supply), distributors (commission) and the platform (revenue, subsidy when below 0).

    Raises IntegrityError when one of them was posted before: each is completed once.
    """
    await session.execute(statements("ledger")["open_accounts"], orders._asdict())
    accounts = {
        "escrow": await _platform_account(session, "escrow"),
        "revenue": await _platform_account(session, "revenue"),
    }
    await session.execute(statements("ledger")["post_completions"], orders._asdict() | accounts)


async def post_refunds(session: AsyncSession, refunds: RefundBatch) -> None:
    """What was refunded goes from escrow back to where the payment came from; a reversed refund the other way.

    Of a completed order escrow first gets back from brands, distributors and the platform what they give back.

    Raises IntegrityError when one of them was posted before: each is refunded once.
    """
    accounts = {
        "escrow": await _platform_account(session, "escrow"),
        "revenue": await _platform_account(session, "revenue"),
    }
    await session.execute(statements("ledger")["post_refunds"], refunds._asdict() | accounts)


async def balance(session: AsyncSession, account_id: int) -> int:
    """Credits minus debits of one account, in fen."""
    sides = union_all(
        select(Transfer.amount.label("amount")).where(Transfer.credit_account_id == account_id),
        select(-Transfer.amount).where(Transfer.debit_account_id == account_id),
    ).subquery()
    return int(await session.scalar(select(func.coalesce(func.sum(sides.c.amount), 0))) or 0)


class Sides(NamedTuple):
    """In fen."""

    debits: int
    credits: int


async def trial_balance(session: AsyncSession) -> Sides:
    """What stands on the debit and on the credit side of all accounts there are; equal, or the ledger is broken."""
    debits, credits_ = (
        select(cast(func.coalesce(func.sum(Transfer.amount), 0), BigInteger))
        .join(LedgerAccount, LedgerAccount.id == side)
        .scalar_subquery()
        for side in (Transfer.debit_account_id, Transfer.credit_account_id)
    )
    return Sides._make((await session.execute(select(debits, credits_))).one())


async def accounts(
    session: AsyncSession, *, kind: str | None, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Accounts, of one kind where it is named, with what they stand at; oldest first, `after` is an (id,).

    Rows of (id, kind, rail, owner, debits, credits, balance), in fen. `owner` is the name of a brand or a distributor,
    None of the platform; `balance` is credits minus debits.
    """
    wanted = select(LedgerAccount.id)
    if kind is not None:
        wanted = wanted.where(LedgerAccount.kind == kind)
    wanted = page(wanted, (LedgerAccount.id, "up"), after=after, limit=limit)
    return (await session.execute(_balances(wanted).order_by(LedgerAccount.id))).all()


async def account(session: AsyncSession, account_id: int) -> AnyRow | None:
    """A row as of `accounts`."""
    wanted = select(LedgerAccount.id).where(LedgerAccount.id == account_id)
    return (await session.execute(_balances(wanted))).one_or_none()


def _balances(wanted: Select[int]) -> Select[*tuple[Any, ...]]:
    ours = wanted.cte("ours")
    debited, credited = (
        select(side.label("id"), cast(func.sum(Transfer.amount), BigInteger).label("amount"))
        .where(side.in_(select(ours.c.id)))
        .group_by(side)
        .subquery()
        for side in (Transfer.debit_account_id, Transfer.credit_account_id)
    )
    debits, credits_ = func.coalesce(debited.c.amount, 0), func.coalesce(credited.c.amount, 0)
    return (
        select(*_named(LedgerAccount))
        .add_columns(debits.label("debits"), credits_.label("credits"), (credits_ - debits).label("balance"))
        .join(ours, ours.c.id == LedgerAccount.id)
        .outerjoin(debited, debited.c.id == LedgerAccount.id)
        .outerjoin(credited, credited.c.id == LedgerAccount.id)
    )


def _named(account: type[LedgerAccount]) -> Sequence[SQLColumnExpression[Any]]:
    """(id, kind, rail, owner)"""
    owner = func.coalesce(
        select(Brand.name).where(Brand.id == account.brand_id).scalar_subquery(),
        select(Distributor.name).where(Distributor.id == account.distributor_id).scalar_subquery(),
    )
    return account.id, account.kind, account.rail, owner.label("owner")


class TransfersPage(NamedTuple):
    """Some transfers of an account; `after` is an (id,)."""

    account_id: int
    after: tuple[int, ...] | None
    limit: int


async def transfers(session: AsyncSession, pages: Sequence[TransfersPage]) -> list[Sequence[AnyRow]]:
    """For each page at least `limit` transfers where there are so many, from or to the account, newest first.

    Rows of (id, code, amount in fen, posted_at, order_no, debit_account, credit_account), the last two of
    (id, kind, rail, owner).
    """
    asked = (
        func.unnest(
            cast([it.account_id for it in pages], ARRAY(BigInteger)),
            cast([it.after[0] if it.after else MAX_INT64 for it in pages], ARRAY(BigInteger)),
        )
        .table_valued("account_id", "after", with_ordinality="n", name="asked")
        .render_derived()
    )
    limit = max(it.limit for it in pages)
    sides = union_all(  # each by its own index, so that a page of an account of millions reads no more than a page
        *(
            select(Transfer)
            .where(side == asked.c.account_id, Transfer.id < asked.c.after)
            .order_by(Transfer.id.desc())
            .limit(limit)
            for side in (Transfer.debit_account_id, Transfer.credit_account_id)
        )
    )
    moved = sides.order_by(sides.selected_columns.id.desc()).limit(limit).lateral("moved")
    debited, credited = aliased(LedgerAccount), aliased(LedgerAccount)
    rows = await session.execute(
        select(asked.c.n, moved.c.id, moved.c.code, moved.c.amount, moved.c.posted_at, Order.order_no)
        .add_columns(Bundle("debit_account", *_named(debited)), Bundle("credit_account", *_named(credited)))
        .select_from(asked)
        .join(moved, true())
        .join(debited, debited.id == moved.c.debit_account_id)
        .join(credited, credited.id == moved.c.credit_account_id)
        .join(Order, and_(Order.branch_id == moved.c.branch_id, Order.id == moved.c.source_id))
        .order_by(asked.c.n, moved.c.id.desc())
    )
    found: list[list[AnyRow]] = [[] for _ in pages]
    for row in rows:
        found[row.n - 1].append(row)
    return list(found)


async def _platform_account(session: AsyncSession, kind: str, rail: str | None = None) -> int:
    found = select(LedgerAccount.id).where(LedgerAccount.kind == kind, LedgerAccount.rail.is_not_distinct_from(rail))
    account_id = await session.scalar(found)
    if account_id is None:
        await session.execute(insert(LedgerAccount).values(kind=kind, rail=rail).on_conflict_do_nothing())
        account_id = (await session.scalars(found)).one()
    return account_id
