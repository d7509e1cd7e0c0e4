"""A report that was uploaded: the worker reads it, and tells how far it is."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import files, jobs
from s2b2c.bulk import failing, told
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused
from s2b2c.models import File, RailReport
from s2b2c.reconciliation.matching import check_period, read_bank, read_stripe

Rail = Literal["stripe", "bank"]


async def ask(
    session: AsyncSession,
    rail: Rail,
    file_id: int,
    *,
    start: datetime | None,
    end: datetime | None,
    by: int | None,
    now: datetime,
) -> RailReport:
    """Have the worker read a report that was uploaded; of Stripe's `[start, end)` is its period.

    Raises Refused: NotFound for a file that is not there, BadArgument for a period that there cannot be.
    """
    if rail == "stripe":
        if start is None or end is None:
            raise Refused(BadArgument("Stripe's report is of a period: say from and to."))
        check_period(start, end)
    elif start is not None or end is not None:
        raise Refused(BadArgument("A bank's file is of no period: leave from and to out."))
    wanted = select(File).where(File.id == file_id, File.kind == "rail_report", File.sha256.is_not(None))
    file = await session.scalar(wanted)
    if file is None:
        raise Refused(NotFound("There is no such report, or it is not kept any more: upload it again."))
    said: dict[str, Any] = {
        "starts_at": start,
        "ends_at": end,
        "file_id": file_id,
        "read_at": now,
        "read_by": by,
        "state": "waiting",
        "problem": None,
        "step": "",
        "done": 0,
        "total": 0,
    }
    kept = insert(RailReport).values(rail=rail, name=file.name, sha256=file.sha256, **said)
    kept = kept.on_conflict_do_update(index_elements=["rail", "sha256"], set_=said)
    it = (await session.scalars(kept.returning(RailReport), execution_options={"populate_existing": True})).one()
    await jobs.enqueue(session, read_rail_report.__name__, {"report_id": it.id}, dedupe_key=f"rail_report {it.id}")
    return it


async def read_rail_report(db: Database, *, report_id: int) -> None:
    """The job: what the report says is taken in, with the end of it, or it is refused with the reason."""
    begun = (
        update(RailReport)
        .where(RailReport.id == report_id, RailReport.state.in_(["waiting", "running", "failed"]))
        .values(state="running", step="", done=0, total=0)
        .returning(RailReport)
    )
    async with db.write() as session:
        it = await session.scalar(begun)
        file = None if it is None or it.file_id is None else await session.get(File, it.file_id)
    if it is None:
        return
    with TemporaryDirectory() as place:
        async with failing(db, it):
            try:
                await _read(db, it, file, Path(place) / "report.csv")
            except Refused as refused:
                await _finish(db, it, state="refused", problem=refused.refusal.message)
            else:
                await _finish(db, it, state="done")


async def _read(db: Database, it: RailReport, file: File | None, path: Path) -> None:
    """Raises Refused."""
    if file is None:
        raise Refused(NotFound("It is not kept any more: upload it again."))
    await files.fetch(file, path)
    now = datetime.now(UTC)
    if it.rail == "bank":
        async with told(db, it) as progress:
            await read_bank(
                db, path, by=it.read_by, now=now, progress=lambda done, total: progress("reading", done, total)
            )
    else:
        assert it.starts_at is not None
        assert it.ends_at is not None
        await read_stripe(db, path, start=it.starts_at, end=it.ends_at, by=it.read_by, now=now)


async def _finish(db: Database, it: RailReport, **values: object) -> None:
    over = {"step": "", "done": 0, "total": 0}
    async with db.write() as session:
        await session.execute(update(RailReport).where(RailReport.id == it.id).values(over | values))
