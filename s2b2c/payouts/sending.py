"""The worker's part: attempts are made, sent, looked up, confirmed and reversed, one call to Stripe at a time."""

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger
from s2b2c.db import AnyRow, Database
from s2b2c.models import Payout, PayoutAttempt
from s2b2c.payments import Declined, Gateway, GatewayError, SentTransfer, UnknownOutcome
from s2b2c.payouts import outcomes
from s2b2c.sql import statements

MOST_ATTEMPTS = 5
"""That the worker makes by itself, where Stripe answers with errors of its own."""
LEASE = timedelta(minutes=3)
"""Longer than any call takes, with its retries: before that nobody else takes the attempt."""
LOOK_AFTER = timedelta(seconds=15)
LOOK_AFTER_SPENT = timedelta(minutes=3)
"""After an answer that stays with the key: another request with it may still be under way."""

_log = logging.getLogger(__name__)


async def begin(session: AsyncSession, *, now: datetime, limit: int) -> int:
    """Make an attempt for each payout that waits and that nothing holds, or hold it; how many were looked at.

    Their money is in transit from here on. The caller commits before anything is asked of a rail.
    """
    await session.execute(statements("payouts")["free"])
    seen, made = (await session.execute(statements("payouts")["begin"], {"now": now, "limit": limit})).one()
    if made:
        await ledger.post_payouts(session, made, "payout", ("payable", "in_transit"), rail="stripe", at=now)
    return int(seen)


async def finish_runs(session: AsyncSession) -> int:
    """Runs of which nothing is on its way any more are paid; how many."""
    result = await session.execute(statements("payouts")["finish_runs"])
    assert isinstance(result, CursorResult)
    return result.rowcount


async def work(db: Database, gateway: Gateway, *, now: datetime) -> bool:
    """Take the next step of the attempt that has waited longest: one call, with no session open. False: none is due.

    A crash at any point is finished by calling this again, once the lease is over.
    """
    async with db.write() as session:
        claimed = await session.execute(statements("payouts")["claim"], {"now": now, "again_at": now + LEASE})
        step = claimed.one_or_none()
    if step is None:
        return False
    if step.step == "send":
        await _send(db, gateway, step, now)
    elif step.step == "reverse":
        await _reverse(db, gateway, step, now)
    else:
        await _look_up(db, gateway, step, now)
    return True


async def _send(db: Database, gateway: Gateway, step: AnyRow, now: datetime) -> None:
    try:
        reference = await gateway.create_transfer(
            step.destination, amount=step.amount, metadata=_metadata(step), key=step.key
        )
    except Declined as error:
        async with db.write() as session:
            await outcomes.failed(session, *await outcomes.locked(session, step.id), error.code, now)
        return
    except GatewayError as error:
        _log.warning("Payout %s: %s", step.payout_id, error)
        await _is_unknown(db, step, now, is_spent=isinstance(error, UnknownOutcome) and error.spent)
        return
    async with db.write() as session:
        await outcomes.sent(session, *await outcomes.locked(session, step.id), reference, now)


async def _is_unknown(db: Database, step: AnyRow, now: datetime, *, is_spent: bool) -> None:
    """Nobody knows whether it was sent: Stripe is looked up, and until then nothing is sent."""
    async with db.write() as session:
        payout, attempt = await outcomes.locked(session, step.id)
        if attempt.state in {"sending", "unknown"}:
            attempt.state = payout.state = "unknown"
            attempt.is_spent = attempt.is_spent or is_spent
            attempt.due_at = now + (LOOK_AFTER_SPENT if is_spent else LOOK_AFTER)


async def _look_up(db: Database, gateway: Gateway, step: AnyRow, now: datetime) -> None:
    try:
        found = await gateway.list_transfers(step.key)
    except GatewayError as error:
        _log.warning("Payout %s cannot be looked up: %s", step.payout_id, error)
        async with db.write() as session:
            _, attempt = await outcomes.locked(session, step.id)
            if attempt.next_step is not None:
                attempt.due_at = now + LOOK_AFTER
        return
    right = [it for it in found if it.amount == step.amount and it.account_id == step.destination]
    if len(found) > 1 or len(right) < len(found):
        _log.error("Payout %s: Stripe has %s transfers of it, %s right", step.payout_id, len(found), len(right))
    async with db.write() as session:
        payout, attempt = await outcomes.locked(session, step.id)
        await _apply(session, payout, attempt, right[0] if right else None, now, may_send=not found)


async def _apply(
    session: AsyncSession,
    payout: Payout,
    attempt: PayoutAttempt,
    found: SentTransfer | None,
    now: datetime,
    *,
    may_send: bool,
) -> None:
    """What Stripe has of an attempt, or that it has nothing."""
    if found is not None:
        await outcomes.sent(session, payout, attempt, found.id, now)
        await outcomes.confirmed(session, payout, attempt, now)
        if found.reversed == found.amount:
            _came_back_unasked(payout, now)
            await outcomes.came_back(session, payout, attempt, now)
        elif payout.reversal_asked_at is not None and attempt.state == "confirmed":
            attempt.next_step, attempt.due_at = "reverse", now
        elif attempt.state == "confirmed":
            attempt.next_step = attempt.due_at = None
    elif attempt.state in {"sending", "unknown"} and may_send:
        if attempt.is_spent:  # the key brings its error again: only another one can bring money
            again = attempt.number < MOST_ATTEMPTS
            await outcomes.failed(session, payout, attempt, "no_answer", now, again=again)
        else:
            attempt.next_step, attempt.due_at = "send", now
    elif attempt.next_step is not None:
        attempt.due_at = now + LOOK_AFTER_SPENT


def _came_back_unasked(payout: Payout, now: datetime) -> None:
    """Somebody has reversed it at Stripe itself."""
    if payout.reversal_asked_at is None:
        payout.reversal_asked_at, payout.reversal_reason = now, "reversed at Stripe"


async def _reverse(db: Database, gateway: Gateway, step: AnyRow, now: datetime) -> None:
    """Bring a transfer back. Stripe brings back no more than went, so every call may have a key of its own."""
    try:
        await gateway.reverse_transfer(
            step.reference, amount=step.amount, metadata=_metadata(step), key=f"{step.key}-reversal-{step.calls}"
        )
    except Declined as error:
        _log.error("Payout %s is not reversed: %s", step.payout_id, error)
        due_at, is_refused = now, True
    except GatewayError as error:
        _log.warning("Payout %s: %s", step.payout_id, error)
        due_at, is_refused = now + LOOK_AFTER, False
    else:
        due_at, is_refused = now, False
    async with db.write() as session:
        payout, attempt = await outcomes.locked(session, step.id)
        if attempt.state != "confirmed":
            return
        attempt.next_step, attempt.due_at = "look_up", due_at
        if is_refused:  # it may be asked for again; the look tells whether somebody else was faster
            payout.reversal_asked_at = payout.reversal_asked_by = payout.reversal_reason = None


def _metadata(step: Any) -> dict[str, str]:
    return {"payout_id": str(step.payout_id), "statement_id": str(step.statement_id)}
