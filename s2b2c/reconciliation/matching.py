"""A report of a rail is read, matched with what we have, and where the two differ is kept."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import payments, payouts
from s2b2c.db import AnyRow, Database
from s2b2c.errors import BadArgument, Refused
from s2b2c.models import RailBreak, RailReport
from s2b2c.reconciliation import reading
from s2b2c.sql import statements

_ANSWERS_AT_ONCE = 500
_LONGEST = timedelta(days=366)
Progress = Callable[[int, int], None]
"""(done, total), in rows"""


class Read(NamedTuple):
    """What became of a report."""

    report_id: int
    rows: int
    open_breaks: int
    """Of this rail, whatever report showed them."""


async def read_stripe(
    db: Database, path: Path, *, start: datetime, end: datetime, by: int | None, now: datetime
) -> Read:
    """Match Stripe's itemised balance report of `[start, end)` with our payments, refunds, disputes and payouts.

    The same report again keeps what there is, and closes what agrees by now. All or nothing.

    Raises Refused(BadArgument) with the line and the column of what is wrong.
    """
    check_period(start, end)
    source = await asyncio.to_thread(reading.inspect, path)
    counted = _Counted(reading.movements(source))
    async with db.write() as session:
        await _one_at_a_time(session)
        await payments.stage_breaks(session, counted.staged(), start=start, end=end)
        report_id = await _keep_report(
            session, "stripe", path, source.sha256, counted.rows, by, now, starts_at=start, ends_at=end
        )
        await session.execute(statements("reconciliation")["keep_breaks"], {"rail": "stripe", "report_id": report_id})
        await session.execute(statements("reconciliation")["close_breaks"], {"now": now, "report_id": report_id})
        return Read(report_id, counted.rows, await _open(session, "stripe"))


def check_period(start: datetime, end: datetime) -> None:
    """Raises Refused(BadArgument)."""
    if not start < end <= start + _LONGEST:
        raise Refused(BadArgument("A period begins on a day, and ends after it, at most 366 days later."))


class _Counted:
    """The rows of a report that are compared, as `payments.stage_breaks` takes them."""

    def __init__(self, movements: Iterable[reading.Movement]) -> None:
        self._movements = movements
        self.rows = 0

    def staged(self) -> Iterator[tuple[Any, ...]]:
        for it in self._movements:
            self.rows += 1
            if it.category in payments.COMPARED:
                yield payments.staged(
                    it.id, it.category, it.source, it.intent_id, it.amount, it.currency, it.created_at
                )


async def read_bank(
    db: Database, path: Path, *, by: int | None, now: datetime, progress: Progress | None = None
) -> Read:
    """Take in what a bank says of the lines of our batch: paid, or not. What contradicts us is kept as a break.

    Nothing is taken of a file that cannot be read to its end. It is taken in pieces, each whole or not at all: the same
    file again goes on where it broke off, and changes nothing once it is done.

    Raises Refused(BadArgument) with the line and the column of what is wrong.
    """
    source = await asyncio.to_thread(reading.inspect, path)
    total = await asyncio.to_thread(lambda: sum(1 for _ in reading.answers(source)))
    async with db.write() as session:
        report_id = await _keep_report(session, "bank", path, source.sha256, total, by, now, state="running")
    runs: set[int] = set()
    done = 0
    answers = reading.answers(source)
    while piece := tuple(islice(answers, _ANSWERS_AT_ONCE)):
        async with db.write() as session:
            await _one_at_a_time(session)
            runs |= await _take(session, piece, report_id, now)
        done += len(piece)
        if progress is not None:
            progress(done, total)
    async with db.write() as session:
        await _one_at_a_time(session)
        await payments.stage_tables(session)
        await session.execute(statements("reconciliation")["unanswered"], {"run_ids": sorted(runs), "now": now})
        await session.execute(statements("reconciliation")["keep_breaks"], {"rail": "bank", "report_id": report_id})
        await session.execute(update(RailReport).where(RailReport.id == report_id).values(state="done"))
        return Read(report_id, total, await _open(session, "bank"))


async def _take(session: AsyncSession, piece: tuple[reading.Answer, ...], report_id: int, now: datetime) -> set[int]:
    """The runs that these answers are about."""
    keys = [it.key for it in piece]
    found = {row.key: row for row in await session.execute(statements("reconciliation")["answered"], {"keys": keys})}
    await payments.stage_tables(session)
    taken: dict[str, reading.Answer] = {}
    broken: set[str] = set()
    for it in piece:
        ours = found.get(it.key)
        kind = await _taken(session, it, ours, taken.get(it.key), now)
        if kind is None:
            taken[it.key] = it
        elif it.key not in broken:
            broken.add(it.key)
            sides = {"ours": None if ours is None else -ours.amount, "theirs": -it.amount}
            await session.execute(_ADD_BREAK, {"kind": kind, "reference": it.key, "at": now, **sides})
    await session.execute(statements("reconciliation")["keep_breaks"], {"rail": "bank", "report_id": report_id})
    closing = {"now": now, "report_id": report_id, "keys": sorted(taken.keys() - broken)}
    await session.execute(statements("reconciliation")["close_answered"], closing)
    return {row.run_id for row in found.values()}


_ADD_BREAK = text(
    """
    INSERT INTO breaks (kind, category, reference, ours, theirs, at)
    VALUES (:kind, 'payout', :reference, CAST(:ours AS bigint), :theirs, :at)
    """
)


async def _taken(
    session: AsyncSession, it: reading.Answer, ours: AnyRow | None, before: reading.Answer | None, now: datetime
) -> str | None:
    """What differs, None where it was taken; `before` is what the same piece has said of it already."""
    if ours is None:
        return "missing_here"
    if ours.amount != it.amount:
        return "amount_differs"
    is_paid, reference = ours.state in {"confirmed", "reversed"}, ours.reference
    if before is not None:
        is_paid, reference = before.is_paid, before.reference or it.key
    elif ours.state == "sending":
        failure = None if it.is_paid else it.reason.strip() or "no reason told"
        await payouts.report_bank(session, it.key, reference=it.reference or it.key, failure=failure, now=now)
        return None
    if is_paid != it.is_paid:
        return "state_differs"
    return "duplicate" if is_paid and reference != (it.reference or it.key) else None


async def _one_at_a_time(session: AsyncSession) -> None:
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('s2b2c.reconcile', 0))"))


async def _keep_report(
    session: AsyncSession,
    rail: str,
    path: Path,
    sha256: str,
    rows: int,
    by: int | None,
    now: datetime,
    *,
    state: str = "done",
    **period: datetime,
) -> int:
    said = {"rows": rows, "state": state, "problem": None, "read_at": now, "read_by": by, **period}
    kept = insert(RailReport).values(rail=rail, name=path.name[:200], sha256=sha256, **said)
    kept = kept.on_conflict_do_update(index_elements=["rail", "sha256"], set_=said)
    return (await session.scalars(kept.returning(RailReport.id))).one()


async def _open(session: AsyncSession, rail: str) -> int:
    open_ = select(func.count()).where(RailBreak.rail == rail, RailBreak.resolved_at.is_(None))
    return await session.scalar(open_) or 0
