"""What people decide about payouts: to start, approve, hold, try again, bring back, or pay them outside."""

from datetime import datetime
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger
from s2b2c.config import settings
from s2b2c.errors import NotFound, Refused, WrongState, check_line
from s2b2c.models import File, Payout, PayoutAttempt, SettlementRun
from s2b2c.payouts import outcomes
from s2b2c.sql import statements

MAX_TEXT_LENGTH = 500


async def start(
    session: AsyncSession, run_id: int, *, rail: Literal["stripe", "bank"], by: int | None, now: datetime
) -> SettlementRun:
    """Have what the statements of an approved run pay out sent by `rail`: one payout each, of `payout` fen.

    Those above the setting `payout_limit` wait for the approval of somebody else than `by`. A run that pays nothing out
    is paid at once. Raises Refused: NotFound, and WrongState for a run that is not approved, or started already.
    """
    run = await session.get(SettlementRun, run_id, with_for_update=True, populate_existing=True)
    if run is None:
        raise Refused(NotFound("There is no such run: read the runs again."))
    if run.state != "approved":
        raise Refused(WrongState(f"The run is {run.state}, but only an approved one is paid out: read it again."))
    asked = {"run_id": run_id, "rail": rail, "most": settings().payout_limit, "now": now, "by": by}
    await session.execute(statements("payouts")["open_payouts"], asked)
    left = await session.scalar(select(func.count()).select_from(Payout).where(Payout.run_id == run_id))
    run.state = "paying" if left else "paid"
    await session.flush()
    return run


async def approve(session: AsyncSession, payout_id: int, *, by: int | None, now: datetime) -> Payout:
    """Let a payout above the limit be sent.

    Raises Refused: NotFound, and WrongState where it needs no approval, has it, or `by` has started the payouts.
    """
    payout = await _locked(session, payout_id)
    if not payout.needs_approval or payout.approved_at is not None:
        raise Refused(WrongState("This payout waits for no approval: read it again."))
    if by is not None and by == payout.created_by:
        raise Refused(WrongState("Who started the payouts cannot approve this one: ask somebody else."))
    payout.approved_at, payout.approved_by = now, by
    await session.flush()
    return payout


async def hold(session: AsyncSession, payout_id: int, reason: str, *, by: int | None) -> Payout:
    """Keep a payout back, until it is released.

    Raises Refused: BadArgument, NotFound, and WrongState once it is on its way.
    """
    check_line("reason", reason, MAX_TEXT_LENGTH)
    payout = await _locked(session, payout_id, "pending", "failed")
    payout.hold, payout.hold_reason, payout.held_by = "person", reason, by
    await session.flush()
    return payout


async def release(session: AsyncSession, payout_id: int) -> Payout:
    """Let a payout go that a person held. Raises Refused: NotFound, and WrongState where no person holds it."""
    payout = await _locked(session, payout_id)
    if payout.hold != "person":
        raise Refused(WrongState("Nobody holds this payout back: what its payee lacks, its payee must mend."))
    payout.hold = payout.hold_reason = payout.held_by = None
    await session.flush()
    return payout


async def retry(session: AsyncSession, payout_id: int, *, rail: Literal["stripe", "bank"] | None = None) -> Payout:
    """Try a failed payout again, by another rail where one is named. The worker makes the attempt.

    Raises Refused: NotFound, and WrongState for one that has not failed.
    """
    payout = await _locked(session, payout_id, "failed")
    payout.state, payout.rail = "pending", rail or payout.rail
    await session.flush()
    return payout


async def reverse(session: AsyncSession, payout_id: int, reason: str, *, by: int | None, now: datetime) -> Payout:
    """Bring a confirmed payout back: Stripe is asked by the worker, what a bank or somebody else returned is noted.

    What comes back is owed to the payee again. Raises Refused: BadArgument, NotFound, and WrongState for one that is
    not confirmed, or whose reversal is asked for already.
    """
    check_line("reason", reason, MAX_TEXT_LENGTH)
    payout = await _locked(session, payout_id, "confirmed")
    if payout.reversal_asked_at is not None:
        raise Refused(WrongState("Its reversal is on its way: wait for it."))
    attempt = await _alive(session, payout)
    payout.reversal_reason, payout.reversal_asked_at, payout.reversal_asked_by = reason, now, by
    if attempt.rail == "stripe":
        attempt.next_step, attempt.due_at = "reverse", now
        await session.flush()
    else:
        await outcomes.came_back(session, payout, attempt, now)
    return payout


async def report_bank(
    session: AsyncSession, key: str, *, reference: str, failure: str | None = None, now: datetime
) -> Payout:
    """What the bank says of an attempt, by its key: paid, or `failure`. Saying the same again changes nothing.

    Raises Refused: BadArgument, NotFound for no such attempt by bank, and WrongState where it said otherwise before.
    """
    check_line("reference", reference, MAX_TEXT_LENGTH)
    if failure is not None:
        check_line("failure", failure, MAX_TEXT_LENGTH)
    attempt_id = await session.scalar(
        select(PayoutAttempt.id).where(PayoutAttempt.key == key, PayoutAttempt.rail == "bank")
    )
    if attempt_id is None:
        raise Refused(NotFound("No payout was sent to the bank under this key."))
    payout, attempt = await outcomes.locked(session, attempt_id)
    if failure is None and attempt.state in {"sending", "confirmed"}:
        await outcomes.sent(session, payout, attempt, reference, now)
        await outcomes.confirmed(session, payout, attempt, now)
    elif failure is not None and attempt.state in {"sending", "failed"}:
        await outcomes.failed(session, payout, attempt, failure, now)
    else:
        raise Refused(WrongState(f"The bank reported this payout before: it is {attempt.state}."))
    return payout


async def mark_paid_outside(
    session: AsyncSession,
    payout_id: int,
    *,
    note: str,
    reference: str,
    proof_file_id: int,
    by: int | None,
    now: datetime,
) -> Payout:
    """Note that a payout was made by other means: `note` says how, and a file that was uploaded proves it, by what the
    payment is called there (`reference`).

    Raises Refused: BadArgument, NotFound, and WrongState for one that is on its way or paid, that a person holds, or
    that waits for an approval.
    """
    proof = select(File.id).where(File.id == proof_file_id, File.kind == "payout_proof", File.sha256.is_not(None))
    if await session.scalar(proof.with_for_update(key_share=True, read=True)) is None:
        raise Refused(NotFound("There is no such proof, or it is not kept any more: upload it again."))
    check_line("note", note, MAX_TEXT_LENGTH)
    check_line("reference", reference, MAX_TEXT_LENGTH)
    payout = await _locked(session, payout_id, "pending", "failed")
    if payout.hold == "person":
        raise Refused(WrongState("Somebody holds this payout back: release it first."))
    if payout.needs_approval and payout.approved_at is None:
        raise Refused(WrongState("This payout waits for the approval of a second person."))
    query = select(func.coalesce(func.max(PayoutAttempt.number), 0)).where(PayoutAttempt.payout_id == payout_id)
    number = (await session.scalars(query)).one() + 1
    payout.rail, payout.note, payout.state, payout.hold = "outside", note, "sending", None
    key = f"s2b2c-payout-{payout_id}-{number}"
    attempt = PayoutAttempt(
        payout_id=payout_id,
        number=number,
        key=key,
        rail="outside",
        state="sending",
        created_at=now,
        proof_file_id=proof_file_id,
        created_by=by,
    )
    session.add(attempt)
    await session.flush()
    await ledger.post_payouts(session, [attempt.id], "payout", ("payable", "in_transit"), rail="outside", at=now)
    await outcomes.sent(session, payout, attempt, reference, now)
    await outcomes.confirmed(session, payout, attempt, now)
    return payout


async def _locked(session: AsyncSession, payout_id: int, *states: str) -> Payout:
    query = select(Payout).where(Payout.id == payout_id).with_for_update(key_share=True)
    payout = (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()
    if payout is None:
        raise Refused(NotFound("There is no such payout: read them again."))
    if states and payout.state not in states:
        raise Refused(WrongState(f"The payout is {payout.state}, but must be {' or '.join(states)}: read it again."))
    return payout


async def _alive(session: AsyncSession, payout: Payout) -> PayoutAttempt:
    attempt = await outcomes.alive(session, payout.id)
    assert attempt is not None, "it is confirmed"
    return attempt
