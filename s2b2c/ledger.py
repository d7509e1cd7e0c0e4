"""The double-entry ledger: nothing else writes transfers. Amounts are fen and always positive."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

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
from s2b2c.models import (
    Adjustment,
    Brand,
    Distributor,
    LedgerAccount,
    LedgerCheckpoint,
    LedgerHorizon,
    Order,
    OrderBatch,
    Refund,
    RefundBatch,
    Transfer,
    WriteOff,
)
from s2b2c.sql import statements

PLATFORM_BRANCH = 0
"""Events that belong to no branch of the network."""


async def post_payments(session: AsyncSession, orders: OrderBatch, *, rail: str) -> None:
    """What was paid for these orders goes from the clearing account of `rail` to escrow, their freight to revenue.

    Raises IntegrityError when one of them was posted before: each is paid once.
    """
    posting = statements("ledger")["post_payments"], orders._asdict() | {"rail": rail}
    if not await session.scalar(*posting):  # the first payment on this rail
        await _platform_accounts(session, "clearing", "escrow", "revenue", rail=rail)
        await session.execute(*posting)


async def post_completions(session: AsyncSession, orders: OrderBatch) -> None:
    """What was paid is split to brands (supply), distributors (commission) and the platform (revenue, or a subsidy).

    What refunds took back before the completion follows by `post_returns`.

    Raises IntegrityError when one of them was posted before: each is completed once.
    """
    await session.execute(statements("ledger")["open_accounts"], orders._asdict())
    accounts = await _platform_accounts(session, "escrow", "revenue")
    await session.execute(statements("ledger")["post_completions"], orders._asdict() | accounts)


async def post_refunds(session: AsyncSession, refunds: RefundBatch) -> None:
    """What was refunded goes from escrow, its freight from revenue, to where the payment came from; a reversal back.

    Raises IntegrityError when one of them was posted before: each is refunded once.
    """
    accounts = await _platform_accounts(session, "escrow", "revenue")
    await session.execute(statements("ledger")["post_refunds"], refunds._asdict() | accounts)


async def post_returns(session: AsyncSession, refunds: RefundBatch) -> None:
    """Of completed orders brands, distributors and the platform give back to escrow what refunds take from them.

    Raises IntegrityError when one of them was posted before: each gives back once.
    """
    accounts = await _platform_accounts(session, "escrow", "revenue")
    await session.execute(statements("ledger")["post_returns"], refunds._asdict() | accounts)


async def post_adjustment(session: AsyncSession, adjustment: Adjustment) -> None:
    """What a payee gets more comes from revenue, what it gets less goes there.

    Raises IntegrityError when it was posted before.
    """
    owner = {"distributor_id": adjustment.distributor_id, "brand_id": adjustment.brand_id}
    kind = "commission_payable" if adjustment.brand_id is None else "brand_payable"
    payable = await _account_of(session, kind, **owner)
    revenue = (await _platform_accounts(session, "revenue"))["revenue"]
    sides = (revenue, payable) if adjustment.amount > 0 else (payable, revenue)
    await _post(
        session, "adjustment", adjustment.id, "adjustment", sides, abs(adjustment.amount), adjustment.created_at
    )


async def post_write_off(session: AsyncSession, write_off: WriteOff) -> None:
    """A debt that is given up is a loss of the platform's. Raises IntegrityError when it was posted before."""
    debt = await _account_of(session, "debt", distributor_id=write_off.distributor_id)
    loss = (await _platform_accounts(session, "write_off"))["write_off"]
    assert write_off.approved_at is not None, "it is approved"
    await _post(session, "write_off", write_off.id, "write_off", (loss, debt), write_off.amount, write_off.approved_at)


async def post_statements(session: AsyncSession, run_id: int, *, at: datetime) -> None:
    """What the statements of a run withhold, add to debts and pay off of debts.

    Raises IntegrityError when it was posted before.
    """
    await session.execute(statements("ledger")["open_statement_accounts"], {"run_id": run_id})
    await session.execute(statements("ledger")["post_statements"], {"run_id": run_id, "at": at})


Side = Literal["payable", "in_transit", "clearing"]


async def post_payouts(
    session: AsyncSession, attempt_ids: Sequence[int], code: str, sides: tuple[Side, Side], *, rail: str, at: datetime
) -> None:
    """What these attempts to pay out move, from the first of the sides to the second.

    Raises IntegrityError when one of them was posted before: each moves once.
    """
    ours = await _platform_accounts(session, "in_transit", "clearing", rail=rail)
    debit, credit = sides
    await session.execute(
        statements("ledger")["post_payouts"],
        {
            "attempt_ids": list(attempt_ids),
            "code": code,
            "debit": debit,
            "credit": credit,
            "account_id": ours.get(debit),
            "other_account_id": ours.get(credit),
            "at": at,
        },
    )


async def _account_of(
    session: AsyncSession, kind: str, *, distributor_id: int | None = None, brand_id: int | None = None
) -> int:
    """The account of an owner, made where it is missing."""
    owner = {"kind": kind, "distributor_id": distributor_id, "brand_id": brand_id}
    await session.execute(insert(LedgerAccount).values(owner).on_conflict_do_nothing())
    found: int | None = await session.scalar(select(LedgerAccount.id).filter_by(**owner))
    assert found is not None, "it was made"
    return found


async def _post(
    session: AsyncSession,
    source_type: str,
    source_id: int,
    code: str,
    sides: tuple[int, int],
    amount: int,
    at: datetime,
) -> None:
    """One transfer of the platform's own, from the first account to the second."""
    session.add(
        Transfer(
            branch_id=PLATFORM_BRANCH,
            source_type=source_type,
            source_id=source_id,
            code=code,
            debit_account_id=sides[0],
            credit_account_id=sides[1],
            amount=amount,
            posted_at=at,
        )
    )
    await session.flush()


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

    Rows of (id, code, amount in fen, posted_at, source_type, source_id, order_no, debit_account, credit_account), the
    last two of (id, kind, rail, owner). `order_no` is "" where no order moved it.
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
        select(
            asked.c.n,
            moved.c.id,
            moved.c.code,
            moved.c.amount,
            moved.c.posted_at,
            moved.c.source_type,
            moved.c.source_id,
            func.coalesce(Order.order_no, "").label("order_no"),
        )
        .add_columns(Bundle("debit_account", *_named(debited)), Bundle("credit_account", *_named(credited)))
        .select_from(asked)
        .join(moved, true())
        .join(debited, debited.id == moved.c.debit_account_id)
        .join(credited, credited.id == moved.c.credit_account_id)
        .outerjoin(
            Refund,
            and_(
                moved.c.source_type == "refund", Refund.branch_id == moved.c.branch_id, Refund.id == moved.c.source_id
            ),
        )
        .outerjoin(
            Order,
            and_(
                moved.c.source_type.in_(("order", "refund")),
                Order.branch_id == moved.c.branch_id,
                Order.id == func.coalesce(Refund.order_id, moved.c.source_id),
            ),
        )
        .order_by(asked.c.n, moved.c.id.desc())
    )
    found: list[list[AnyRow]] = [[] for _ in pages]
    for row in rows:
        found[row.n - 1].append(row)
    return list(found)


_IDS_PER_BATCH = 100_000

# The function reads it under the lock of the sequence: SELECT from the sequence might see the value logged ahead.
_BEGIN = text("""
    SELECT pg_try_advisory_xact_lock(hashtextextended('s2b2c.checkpoint', 0))
               AND current_setting('transaction_isolation') = 'read committed' AS may,
           coalesce(pg_sequence_last_value('transfers_id_seq'), 0) AS last_id
""")

# Who has written transfers and has not ended. pg_locks is no matter of snapshots: it says how things stand right now.
_WRITERS = text("""
    SELECT virtualtransaction FROM pg_locks
    WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation = 'transfers'::regclass AND mode = 'RowExclusiveLock' AND granted
""")

_NOTE = text("""
    INSERT INTO ledger_horizon (through_id, pending_id, waits_for) VALUES (0, :last_id, :writers)
    ON CONFLICT (id) DO UPDATE SET pending_id = excluded.pending_id, waits_for = excluded.waits_for
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


async def checkpoint(session: AsyncSession) -> int:
    """Add transfers that are there for good to the checkpoints of their accounts: how many ids were passed, or 0.

    Needs READ COMMITTED, else it does nothing, nor while another one is at it.

    A transfer may be committed after one with a higher id, so the horizon moves in two steps, a call apart. First the
    last id drawn is noted, then (in this order) who has written transfers and not ended. An id is drawn within the
    INSERT, which locks the table before (in a mode that hinders nobody) and until its transaction ends; so whoever
    holds an id up to the noted one, written or not, is among those, or has ended. A lock goes after the transaction is
    seen to have ended. So when later none of those holds its lock any more, the next statement sees all that was
    committed of these ids, and nothing else can turn up there. Until then all balances are right; they only read more.

    A transaction that posts and stays open, such as an import, holds the horizon back, and nothing else does. After a
    crash, or in a copy on another server, the names noted are nobody's, or by chance somebody's who is waited for in
    vain; what was open then is gone. Only the owner can break this: by ids that an INSERT or COPY is given instead of
    drawing them, or by a sequence that hands them out in stacks (CACHE).
    """
    may, last_id = (await session.execute(_BEGIN)).one()
    if not may:
        return 0
    writers = set((await session.execute(_WRITERS)).scalars())
    horizon = (await session.execute(select(LedgerHorizon.__table__))).one_or_none()
    if horizon is None or horizon.through_id == horizon.pending_id:
        if last_id > (horizon.pending_id if horizon else 0):
            await session.execute(_NOTE, {"last_id": last_id, "writers": list(writers)})
        return 0
    # One that was prepared since it was noted (PREPARE TRANSACTION) is now called -1/...
    if writers.intersection(horizon.waits_for) or any(name.startswith("-1/") for name in writers):
        return 0
    to_id = min(horizon.pending_id, horizon.through_id + _IDS_PER_BATCH)
    await session.execute(_ADD, {"from_id": horizon.through_id, "to_id": to_id})
    return int(to_id - horizon.through_id)


async def _platform_accounts(session: AsyncSession, *kinds: str, rail: str | None = None) -> dict[str, int]:
    """The platform's accounts of these kinds, made where they are missing; `rail` is of the clearing account."""
    ours = {"kinds": list(kinds), "rail": rail}
    found = {row.kind: row.id for row in await session.execute(_PLATFORM_ACCOUNTS, ours)}
    if len(found) < len(kinds):
        missing = [{"kind": kind, "rail": rail if kind == "clearing" else None} for kind in kinds if kind not in found]
        await session.execute(insert(LedgerAccount).values(missing).on_conflict_do_nothing())
        found = {row.kind: row.id for row in await session.execute(_PLATFORM_ACCOUNTS, ours)}
    return found


_PLATFORM_ACCOUNTS = text(
    """
    SELECT kind, id FROM ledger_accounts
    WHERE kind = ANY(CAST(:kinds AS text[])) AND brand_id IS NULL AND distributor_id IS NULL
      AND rail IS NOT DISTINCT FROM CASE kind WHEN 'clearing' THEN CAST(:rail AS text) END
    """
)
