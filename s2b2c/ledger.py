"""The double-entry ledger: nothing else writes transfers. Amounts are fen and always positive."""

from sqlalchemy import func, select, union_all
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import LedgerAccount, OrderBatch, Transfer
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


async def balance(session: AsyncSession, account_id: int) -> int:
    """Credits minus debits of one account, in fen."""
    sides = union_all(
        select(Transfer.amount.label("amount")).where(Transfer.credit_account_id == account_id),
        select(-Transfer.amount).where(Transfer.debit_account_id == account_id),
    ).subquery()
    return int(await session.scalar(select(func.coalesce(func.sum(sides.c.amount), 0))) or 0)


async def _platform_account(session: AsyncSession, kind: str, rail: str | None = None) -> int:
    found = select(LedgerAccount.id).where(LedgerAccount.kind == kind, LedgerAccount.rail.is_not_distinct_from(rail))
    account_id = await session.scalar(found)
    if account_id is None:
        await session.execute(insert(LedgerAccount).values(kind=kind, rail=rail).on_conflict_do_nothing())
        account_id = (await session.scalars(found)).one()
    return account_id
