"""The double-entry ledger: nothing else writes transfers. Amounts are fen and always positive."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    SQLColumnExpression,
    and_,
    cast,
    func,
    literal,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle, aliased

from s2b2c.db import MAX_INT64, AnyRow, page
from s2b2c.models import Brand, Distributor, LedgerAccount, Order, OrderBatch, RefundBatch, Transfer
from s2b2c.models.ledger import LedgerCheckpoint, LedgerHorizon
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
    """What was paid is split to brands (supply), distributors (commission) and the platform (revenue, or a subsidy).

    What refunds took back before the completion follows by `post_returns`.

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

    Raises IntegrityError when one of them was posted before: each is refunded once.
    """
    escrow = {"escrow": await _platform_account(session, "escrow")}
    await session.execute(statements("ledger")["post_refunds"], refunds._asdict() | escrow)


async def post_returns(session: AsyncSession, refunds: RefundBatch) -> None:
    """Of completed orders brands, distributors and the platform give back to escrow what refunds take from them.

    Raises IntegrityError when one of them was posted before: each gives back once.
    """
    accounts = {
        "escrow": await _platform_account(session, "escrow"),
        "revenue": await _platform_account(session, "revenue"),
    }
    await session.execute(statements("ledger")["post_returns"], refunds._asdict() | accounts)


async def balance(session: AsyncSession, account_id: int) -> int:
    """Credits minus debits of one account, in fen; 0 of one that is not there."""
    row = await account(session, account_id)
    return int(row.balance) if row else 0


class Sides(NamedTuple):
    """In fen."""

    debits: int
    credits: int


async def trial_balance(session: AsyncSession) -> Sides:
    """What stands on the debit and on the credit side of all accounts there are; equal, or the ledger is broken."""
    totals = []
    for before, account_id in (
        (LedgerCheckpoint.debits, Transfer.debit_account_id),
        (LedgerCheckpoint.credits, Transfer.credit_account_id),
    ):
        later = select(Transfer.amount).join(LedgerAccount, LedgerAccount.id == account_id).where(_later())
        part = union_all(select(before.label("amount")), later).subquery()
        totals.append(select(_total(part.c.amount)).scalar_subquery())
    return Sides._make((await session.execute(select(*totals))).one())


def _total(amount: SQLColumnExpression[int]) -> SQLColumnExpression[int]:
    return cast(func.coalesce(func.sum(amount), 0), BigInteger)


def _later() -> ColumnElement[bool]:
    """The transfers that no checkpoint holds. In the statement that reads the checkpoints, so of the same snapshot."""
    horizon = func.coalesce(select(LedgerHorizon.through_id).scalar_subquery(), 0)
    # The upper end is always met. Of an open range whose end it does not know the planner expects a third of all rows,
    # and reads the whole table; of a closed one it expects few, and goes by an index.
    return and_(Transfer.id > horizon, Transfer.id <= MAX_INT64)


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
    ours = wanted.subquery("ours")
    none = literal(0, literal_execute=True)
    parts = (
        select(LedgerCheckpoint.debits, LedgerCheckpoint.credits).where(LedgerCheckpoint.account_id == ours.c.id),
        select(Transfer.amount, none).where(Transfer.debit_account_id == ours.c.id, _later()),
        select(none, Transfer.amount).where(Transfer.credit_account_id == ours.c.id, _later()),
    )
    part = union_all(*(it.correlate(ours) for it in parts)).subquery("part")
    stood = select(_total(part.c.debits).label("debits"), _total(part.c.credits).label("credits")).lateral("stood")
    return (
        select(*_named(LedgerAccount))
        .add_columns(stood.c.debits, stood.c.credits, (stood.c.credits - stood.c.debits).label("balance"))
        .join(ours, ours.c.id == LedgerAccount.id)
        .join(stood, true())
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


_IDS_PER_BATCH = 100_000

# `last_id` is NULL where this transaction has its number already. The function reads it under the lock of the sequence;
# SELECT from the sequence might see the value that is logged ahead.
_LOOK = text("""
    SELECT pg_try_advisory_xact_lock(hashtextextended('s2b2c.checkpoint', 0)) AS is_alone,
           CASE WHEN pg_current_xact_id_if_assigned() IS NULL
                THEN pg_sequence_last_value('transfers_id_seq') END AS last_id
""")

# A number from the future is that of another server, from which this database was copied.
_HORIZON = text("""
    SELECT through_id, pending_id, pg_snapshot_xmin(pg_current_snapshot()) > pending_xid AS is_reached,
           pending_xid >= pg_snapshot_xmax(pg_current_snapshot()) AS is_foreign
    FROM ledger_horizon
""")

_ADD = text("""
    WITH moved AS (
        UPDATE ledger_horizon SET through_id = :to_id
    )
    INSERT INTO ledger_checkpoints (account_id, debits, credits)
    SELECT side.account_id, sum(side.debits)::bigint, sum(side.credits)::bigint
    FROM transfers t
    CROSS JOIN LATERAL (
        VALUES (t.debit_account_id, t.amount, 0), (t.credit_account_id, 0, t.amount)
    ) AS side (account_id, debits, credits)
    WHERE t.id > :from_id AND t.id <= :to_id
    GROUP BY side.account_id
    ON CONFLICT (account_id) DO UPDATE
    SET debits = ledger_checkpoints.debits + excluded.debits, credits = ledger_checkpoints.credits + excluded.credits
""")

_NOTE = text("""
    INSERT INTO ledger_horizon (through_id, pending_id, pending_xid) VALUES (0, :last_id, pg_current_xact_id())
    ON CONFLICT (id) DO UPDATE SET pending_id = excluded.pending_id, pending_xid = excluded.pending_xid
""")


async def checkpoint(session: AsyncSession) -> int:
    """Add transfers that are there for good to the checkpoints of their accounts: how many ids were passed, or 0.

    Needs a transaction of its own: in one that has written before it finds no new horizon. While another one is at it,
    it does nothing.

    A transfer may be committed after one with a higher id, so the horizon moves in two steps. First the last id drawn
    is noted, then (in this order) the number of our transaction. Who holds an id up to that one drew it before, and had
    a number before it drew (the default of `transfers.id` sees to it): a lower one than ours. In a later call, when no
    transaction with a number up to ours runs any more, nothing can turn up at these ids: what was committed is seen,
    the rest is gone. Until then all balances are right; they only read more.

    So a transaction that writes and stays open, anywhere on the server, holds the horizon back; savepoints and prepared
    transactions count with it. In a copy on another server no number means anything, and none does harm: what was open
    as it was copied is not in it, and one that would never be reached is noted again. Only the owner can break this:
    by ids that the sequence did not give, or with a sequence that gives them out in stacks (CACHE).
    """
    is_alone, last_id = (await session.execute(_LOOK)).one()
    if not is_alone:
        return 0
    horizon = (await session.execute(_HORIZON)).one_or_none()
    through_id, pending_id, is_reached, is_foreign = horizon or (0, 0, True, False)
    to_id = min(pending_id, through_id + _IDS_PER_BATCH)
    if is_reached and to_id > through_id:
        await session.execute(_ADD, {"from_id": through_id, "to_id": to_id})
        return int(to_id - through_id)
    if last_id is not None and last_id > pending_id if through_id == pending_id else is_foreign:
        await session.execute(_NOTE, {"last_id": last_id})
    return 0


async def _platform_account(session: AsyncSession, kind: str, rail: str | None = None) -> int:
    found = select(LedgerAccount.id).where(LedgerAccount.kind == kind, LedgerAccount.rail.is_not_distinct_from(rail))
    account_id = await session.scalar(found)
    if account_id is None:
        await session.execute(insert(LedgerAccount).values(kind=kind, rail=rail).on_conflict_do_nothing())
        account_id = (await session.scalars(found)).one()
    return account_id
