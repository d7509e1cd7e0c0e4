"""Documents that finance asks for: the worker writes each into a file, and tells how far it is."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import exports, jobs, privacy
from s2b2c.bulk import write_export
from s2b2c.db import Database, page
from s2b2c.errors import BadArgument, NotFound, Refused
from s2b2c.exports import ExportError, Wanted
from s2b2c.imports import Progress
from s2b2c.models import FinanceExport, SettlementRun


async def start(
    session: AsyncSession, wanted: Wanted, *, account_id: int, person_id: int | None, now: datetime
) -> FinanceExport:
    """Have the worker write a document.

    Raises Refused: NotFound for a run that is not there, and BadArgument for a document that there cannot be.
    """
    try:
        exports.check(wanted)
    except ExportError as error:
        raise Refused(BadArgument(str(error))) from None
    if wanted.run_id is not None and not await session.scalar(
        select(exists().where(SettlementRun.id == wanted.run_id))
    ):
        raise Refused(NotFound("There is no such run: read the runs again."))
    it = FinanceExport(
        document=wanted.document,
        run_id=wanted.run_id,
        starts_on=wanted.start,
        ends_on=wanted.end,
        format=wanted.format,
        language=wanted.language,
        encoding=wanted.encoding,
        with_payees=wanted.with_payees,
        account_id=account_id,
        person_id=person_id,
        name=wanted.file_name,
        created_at=now,
    )
    session.add(it)
    await session.flush()
    await jobs.enqueue(session, write_finance_export.__name__, {"export_id": it.id})
    return it


async def all_exports(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[FinanceExport]:
    """What finance has asked for, newest first; `after` is an (id,)."""
    query = page(select(FinanceExport), (FinanceExport.id, "down"), after=after, limit=limit)
    return (await session.scalars(query)).all()


async def export(session: AsyncSession, export_id: int) -> FinanceExport | None:
    """One of them, whoever has asked for it."""
    return await session.get(FinanceExport, export_id)


async def write_finance_export(db: Database, *, export_id: int) -> None:
    """The job: written again it is the same, and so is its trail."""

    async def write(it: FinanceExport, out: Path, progress: Progress) -> exports.Exported:
        wanted = Wanted(
            it.document,  # type: ignore[arg-type]  # the table holds nothing else
            it.run_id,
            it.starts_on,
            it.ends_on,
            it.format,  # type: ignore[arg-type]
            it.language,  # type: ignore[arg-type]
            it.encoding,  # type: ignore[arg-type]
            it.with_payees,
        )
        return await exports.export_document(
            db,
            wanted,
            out=out,
            now=datetime.now(UTC),
            reader=privacy.Reader(it.account_id, it.person_id),
            progress=lambda done, total: progress("writing", done, total),
        )

    await write_export(db, FinanceExport, export_id, write, kind="finance_export")
