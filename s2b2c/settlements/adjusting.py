"""What people decide about money that is owed: corrections of what a payee gets, and debts that are given up."""

from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState, check_line
from s2b2c.models import Adjustment, Brand, Distributor, Statement, WriteOff
from s2b2c.money import MAX_AMOUNT
from s2b2c.settlements.closing import one_at_a_time, open_run

MAX_REASON_LENGTH = 500


async def adjust(
    session: AsyncSession,
    *,
    distributor_id: int | None = None,
    brand_id: int | None = None,
    amount: int,
    dated: date,
    reason: str,
    by: int | None,
    now: datetime,
) -> Adjustment:
    """Correct what a payee gets by `amount` fen, below 0 to take it; the next run that closes the day `dated` pays it.

    The platform bears it, or gains it. Closed periods stay as they are. Raises Refused: BadArgument, and NotFound.
    """
    _check(amount, reason)
    payee = Distributor if brand_id is None else Brand
    if await session.scalar(select(payee.id).where(payee.id == (brand_id or distributor_id))) is None:
        raise Refused(NotFound("There is no such payee."))
    made = Adjustment(
        distributor_id=distributor_id,
        brand_id=brand_id,
        amount=amount,
        dated=dated,
        reason=reason,
        created_at=now,
        created_by=by,
    )
    session.add(made)
    await session.flush()
    await ledger.post_adjustment(session, made)
    return made


async def write_off(
    session: AsyncSession, distributor_id: int, amount: int, reason: str, *, by: int | None, now: datetime
) -> WriteOff:
    """Ask that `amount` fen of the debt of a distributor be given up; nothing changes until somebody else approves.

    Raises Refused: BadArgument, NotFound, and WrongState when it owes less.
    """
    _check(amount, reason)
    if amount < 0:
        raise Refused(BadArgument(f"amount is {amount}, but a debt is above 0."))
    owed = await _lock_debt(session, distributor_id)
    if amount > owed:
        raise Refused(WrongState(f"It owes {owed} fen, less than {amount}."))
    made = WriteOff(distributor_id=distributor_id, amount=amount, reason=reason, created_at=now, created_by=by)
    session.add(made)
    await session.flush()
    return made


async def approve_write_off(session: AsyncSession, write_off_id: int, *, by: int, now: datetime) -> WriteOff:
    """Give up a debt, and post it.

    Raises Refused: NotFound, and WrongState when it is approved already, who approves has asked for it, less is owed by
    now, or a run that is not approved yet rests on the debt.
    """
    found = await session.get(WriteOff, write_off_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise Refused(NotFound("There is no such write-off: read them again."))
    if found.approved_at is not None:
        raise Refused(WrongState("It is approved already."))
    if found.created_by == by:
        raise Refused(WrongState("Who asked for a write-off cannot approve it: ask somebody else."))
    owed = await _lock_debt(session, found.distributor_id)
    if (run := await open_run(session)) is not None:
        raise Refused(WrongState(f"Run {run} is not approved yet and rests on the debts: approve or discard it first."))
    if found.amount > owed:
        raise Refused(WrongState(f"It owes {owed} fen by now, less than {found.amount}."))
    found.approved_at, found.approved_by = now, by
    await session.flush()
    await ledger.post_write_off(session, found)
    return found


async def debt(session: AsyncSession, distributor_id: int) -> int:
    """What a distributor owes by its statements, in fen; a run that is not approved yet is among them."""
    statements = select(func.coalesce(func.sum(Statement.debt_added - Statement.debt_offset), 0)).where(
        Statement.distributor_id == distributor_id
    )
    given_up = select(func.coalesce(func.sum(WriteOff.amount), 0)).where(
        WriteOff.distributor_id == distributor_id, WriteOff.approved_at.is_not(None)
    )
    return int(await session.scalar(select(statements.scalar_subquery() - given_up.scalar_subquery())) or 0)


async def _lock_debt(session: AsyncSession, distributor_id: int) -> int:
    """What a distributor owes, until the end of the transaction. Raises Refused(NotFound, WrongState)."""
    query = select(Distributor.id).where(Distributor.id == distributor_id).with_for_update(key_share=True)
    if await session.scalar(query) is None:
        raise Refused(NotFound("There is no such distributor."))
    await one_at_a_time(session)
    return await debt(session, distributor_id)


def _check(amount: int, reason: str) -> None:
    if amount == 0 or abs(amount) > MAX_AMOUNT:
        raise Refused(BadArgument(f"amount is {amount}, but must be up to {MAX_AMOUNT} fen, and not 0."))
    check_line("reason", reason, MAX_REASON_LENGTH)
