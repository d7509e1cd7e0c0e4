"""What became of an attempt: its state, that of its payout, and the ledger, all at once and each once."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger
from s2b2c.models import Payout, PayoutAttempt


async def locked(session: AsyncSession, attempt_id: int) -> tuple[Payout, PayoutAttempt]:
    """An attempt and its payout, locked until the end of the transaction: whoever decides locks the payout first."""
    payout_id = select(PayoutAttempt.payout_id).where(PayoutAttempt.id == attempt_id).scalar_subquery()
    query = select(Payout).where(Payout.id == payout_id).with_for_update(key_share=True)
    payout = (await session.scalars(query.execution_options(populate_existing=True))).one()
    attempt = await session.get_one(PayoutAttempt, attempt_id, with_for_update=True, populate_existing=True)
    return payout, attempt


async def alive(session: AsyncSession, payout_id: int) -> PayoutAttempt | None:
    """The attempt that has not failed; at most one."""
    query = select(PayoutAttempt).where(PayoutAttempt.payout_id == payout_id, PayoutAttempt.state != "failed")
    return (await session.scalars(query)).one_or_none()


async def sent(session: AsyncSession, payout: Payout, attempt: PayoutAttempt, reference: str, now: datetime) -> None:
    """The rail has taken it."""
    if attempt.state not in {"sending", "unknown"}:
        return
    attempt.state = payout.state = "sent"
    attempt.reference = reference
    attempt.sent_at = payout.sent_at = max(now, attempt.created_at)
    if attempt.rail == "stripe":
        attempt.next_step, attempt.due_at = "look_up", now
    await session.flush()


async def confirmed(session: AsyncSession, payout: Payout, attempt: PayoutAttempt, now: datetime) -> None:
    """It has left our balance for good: in transit -> clearing."""
    if attempt.state != "sent":
        return
    assert attempt.sent_at is not None
    at = max(now, attempt.sent_at)
    attempt.state = payout.state = "confirmed"
    attempt.confirmed_at = payout.confirmed_at = at
    attempt.next_step = attempt.due_at = None
    await session.flush()
    await ledger.post_payouts(
        session, [attempt.id], "payout_sent", ("in_transit", "clearing"), rail=attempt.rail, at=at
    )


async def failed(
    session: AsyncSession, payout: Payout, attempt: PayoutAttempt, failure: str, now: datetime, *, again: bool = False
) -> None:
    """Nothing has moved: in transit -> payable. `again` lets the worker make another attempt by itself."""
    if attempt.state not in {"sending", "unknown"}:
        return
    at = max(now, attempt.created_at)
    attempt.state, attempt.failed_at, attempt.failure = "failed", at, failure
    attempt.next_step = attempt.due_at = None
    payout.state = "pending" if again else "failed"
    await session.flush()
    await ledger.post_payouts(
        session, [attempt.id], "payout_returned", ("in_transit", "payable"), rail=attempt.rail, at=at
    )


async def came_back(session: AsyncSession, payout: Payout, attempt: PayoutAttempt, now: datetime) -> None:
    """What was confirmed is with us again: clearing -> payable."""
    if attempt.state != "confirmed":
        return
    assert attempt.confirmed_at is not None
    at = max(now, attempt.confirmed_at)
    attempt.state = payout.state = "reversed"
    attempt.reversed_at = payout.reversed_at = at
    attempt.next_step = attempt.due_at = None
    await session.flush()
    await ledger.post_payouts(
        session, [attempt.id], "payout_returned", ("clearing", "payable"), rail=attempt.rail, at=at
    )
