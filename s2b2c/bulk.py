"""Bulk edits: a brand takes its catalogue out as a file and in again, as jobs that tell how far they are."""

import asyncio
import csv
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeVar

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c import files, jobs
from s2b2c.config import SHANGHAI
from s2b2c.db import Database, page
from s2b2c.errors import Refused, WrongState
from s2b2c.exports import ExportError, not_a_formula
from s2b2c.exports import export_catalogue as write_catalogue
from s2b2c.imports import ImportRefused, Problem, Progress, import_file
from s2b2c.models import Account, Brand, BulkRun, FinanceExport, RailReport, SalesExport

Kind = Literal["import", "export"]
Language = Literal["zh", "en"]
Run = BulkRun | FinanceExport | RailReport | SalesExport
"""Work with progress that others read."""

MAX_REPORTED = 100_000
"""Problems that a report lists; how many more there are stands below."""
_TOLD_EVERY_S = 0.5


class _Words(NamedTuple):
    headings: Sequence[str]
    error: str
    warning: str
    more: str


_LANGUAGES: Mapping[str, _Words] = {
    "zh": _Words(("行", "列", "类别", "问题"), "错误", "提醒", "另有 {} 个问题未列出"),
    "en": _Words(("Line", "Column", "Level", "Problem"), "error", "warning", "{} more problems are not listed"),
}


async def start_import(
    session: AsyncSession, *, file_id: int, brand_id: int, account_id: int, is_dry_run: bool, language: Language
) -> BulkRun:
    """Have the worker import a catalogue that the brand has uploaded, or only check it.

    Raises Refused: NotFound for a file that is not there or not the brand's; WrongState while another import waits or
    runs.
    """
    file = await files.find(session, file_id, brand_id=brand_id, kind="catalogue")
    run = BulkRun(
        kind="import",
        brand_id=brand_id,
        account_id=account_id,
        name=file.name,
        file_id=file.id,
        is_dry_run=is_dry_run,
        language=language,
    )
    return await _start(session, run, import_catalogue.__name__)


async def start_export(
    session: AsyncSession, *, brand_id: int, account_id: int, with_stock: bool, now: datetime
) -> BulkRun:
    """Have the worker write the catalogue of a brand into a file.

    Raises Refused(WrongState) while another export waits or runs.
    """
    name = f"catalogue-{now.astimezone(SHANGHAI):%Y-%m-%d}.csv"
    run = BulkRun(kind="export", brand_id=brand_id, account_id=account_id, name=name, with_stock=with_stock)
    return await _start(session, run, export_catalogue.__name__)


async def _start(session: AsyncSession, run: BulkRun, job: str) -> BulkRun:
    session.add(run)
    await session.flush()
    dedupe_key = f"{job} {run.brand_id}"
    if await jobs.enqueue(session, job, {"run_id": run.id}, dedupe_key=dedupe_key) is None:
        raise Refused(WrongState(f"Another {run.kind} of yours waits or runs: wait for its end."))
    return run


async def runs(
    session: AsyncSession, brand_id: int, kind: Kind, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[BulkRun]:
    """What a brand took in or out, newest first; `after` is an (id,)."""
    mine = select(BulkRun).where(BulkRun.brand_id == brand_id, BulkRun.kind == kind)
    return (await session.scalars(page(mine, (BulkRun.id, "down"), after=after, limit=limit))).all()


async def import_catalogue(db: Database, *, run_id: int) -> None:
    """The job of an import: its file goes in whole, with the end of its run, or not at all."""
    if (run := await _begin(db, run_id)) is None:
        return
    with TemporaryDirectory() as place:
        path = Path(place) / "catalogue.csv"
        async with failing(db, run):
            await _fetch(db, run, path)
            with _Report(Path(place) / "report.csv", _LANGUAGES[run.language or "zh"]) as report:
                try:
                    await _import(db, run, path, report)
                except ImportRefused as refused:
                    report_id = await _save_report(db, run, report)
                    counts = {"problems": refused.problems, "warnings": report.warnings}
                    async with db.write() as session:
                        await _finish(session, run, state="refused", report_file_id=report_id, **counts)


async def export_catalogue(db: Database, *, run_id: int) -> None:
    """The job of an export: the file is there with the end of its run."""
    if (run := await _begin(db, run_id)) is None:
        return
    with TemporaryDirectory() as place:
        path = Path(place) / "catalogue.csv"
        async with failing(db, run):
            async with told(db, run) as progress, db.snapshot() as session:
                brand = await _brand(session, run)
                rows = await write_catalogue(
                    session,
                    brand,
                    out=path,
                    with_stock=bool(run.with_stock),
                    progress=lambda done, total: progress("writing", done, total),
                )
            file_id = await _save(db, run, path, kind="catalogue_export", name=run.name)
            async with db.write() as session:
                await _finish(session, run, state="done", file_id=file_id, rows=rows)


async def _begin(db: Database, run_id: int) -> BulkRun | None:
    """The run, at work from now on; None where it is over, or where a newer one of the brand has taken its place."""
    newer = aliased(BulkRun)
    superseded = select(newer.id).where(
        newer.brand_id == BulkRun.brand_id, newer.kind == BulkRun.kind, newer.id > BulkRun.id
    )
    begun = (
        update(BulkRun)
        .where(BulkRun.id == run_id, BulkRun.state.in_(["waiting", "running", "failed"]), ~superseded.exists())
        .values(state="running", step="", done=0, total=0, started_at=_now())
        .returning(BulkRun)
    )
    async with db.write() as session:
        return await session.scalar(begun)


async def _fetch(db: Database, run: BulkRun, path: Path) -> None:
    async with db.read() as session:
        file = await files.find(session, run.file_id or 0, brand_id=run.brand_id)
    await files.fetch(file, path)


async def _import(db: Database, run: BulkRun, path: Path, report: "_Report") -> None:
    """Raises ImportRefused, and then nothing is written but the report."""
    async with db.write() as session:
        async with told(db, run) as progress:
            brand = await _brand(session, run)
            done = await import_file(
                session,
                "catalogue",
                path,
                now=_now(),
                tell=report.tell,
                progress=progress,
                dry_run=bool(run.is_dry_run),
                brand=brand,
                proposed_by=run.account_id,
            )
        report_id = await _save_report(db, run, report) if done.warnings else None
        counts = {"rows": done.rows, "inserted": done.inserted, "updated": done.updated, "warnings": done.warnings}
        await _finish(session, run, state="done", report_file_id=report_id, **counts)


async def _brand(session: AsyncSession, run: BulkRun) -> str:
    return (await session.scalars(select(Brand.name).where(Brand.id == run.brand_id))).one()


async def _finish(session: AsyncSession, run: BulkRun, **values: Any) -> None:
    over = {"finished_at": _now(), "step": "", "done": 0, "total": 0}
    await session.execute(update(BulkRun).where(BulkRun.id == run.id).values(over | values))


class Written(Protocol):
    """A file that was exported."""

    @property
    def path(self) -> Path: ...
    @property
    def rows(self) -> int: ...
    @property
    def sha256(self) -> str: ...


Export = TypeVar("Export", FinanceExport, SalesExport)


async def write_export(
    db: Database,
    of: type[Export],
    export_id: int,
    write: Callable[[Export, Path, Progress], Awaitable[Written]],
    *,
    kind: str,
) -> None:
    """The job of an export that somebody waits for: its file, as `write` makes it, is there with the end of it.

    What raises ExportError is refused and says why.
    """
    begun = (
        update(of)
        .where(of.id == export_id, of.state.in_(["waiting", "running", "failed"]))
        .values(state="running", step="", done=0, total=0, started_at=_now())
        .returning(of)
    )
    async with db.write() as session:
        it = await session.scalar(begun)
    if it is None:
        return

    async def finish(state: str, **values: object) -> None:
        over = {"state": state, "finished_at": _now(), "step": "", "done": 0, "total": 0}
        async with db.write() as session:
            await session.execute(update(of).where(of.id == export_id).values(over | values))

    with TemporaryDirectory() as place:
        async with failing(db, it):
            try:
                async with told(db, it) as progress:
                    written = await write(it, Path(place) / it.name, progress)
            except ExportError as error:
                await finish("refused", problem=str(error))
                return
            async with db.read() as session:
                of_brand = await session.scalar(select(Account.brand_id).where(Account.id == it.account_id))
            file = await files.save(
                db,
                files.pieces_of(written.path),
                kind=kind,
                name=it.name,
                brand_id=of_brand,
                account_id=it.account_id,
                now=_now(),
            )
            await finish("done", file_id=file.id, rows=written.rows, sha256=written.sha256)


@asynccontextmanager
async def failing(db: Database, run: Run) -> AsyncIterator[None]:
    """Whatever breaks inside is told of the run, which is not over: the job is tried again."""
    try:
        yield
    except BaseException as error:
        state = "failed" if isinstance(error, Exception) else "waiting"
        with suppress(Exception):  # the database may be what broke
            async with db.write() as session:
                of = type(run)
                unfinished = update(of).where(of.id == run.id, of.state == "running")
                await session.execute(unfinished.values(state=state))
        raise


@asynccontextmanager
async def told(db: Database, run: Run) -> AsyncIterator[Progress]:
    """Progress that others can read meanwhile, though the work is one transaction: it is told beside it."""
    latest, of = ("", 0, 0), type(run)

    def note(step: str, done: int, total: int) -> None:
        nonlocal latest
        latest = (step, min(done, total), total)

    async def tell() -> None:
        last = latest
        while True:
            await asyncio.sleep(_TOLD_EVERY_S)
            if latest == last:
                continue
            last = latest
            step, done, total = last
            running = update(of).where(of.id == run.id, of.state == "running")
            with suppress(Exception):  # no reason to break off the work
                async with db.write() as session:
                    await session.execute(running.values(step=step, done=done, total=total))

    teller = asyncio.create_task(tell())
    try:
        yield note
    finally:
        teller.cancel()
        await asyncio.wait([teller])


async def _save_report(db: Database, run: BulkRun, report: "_Report") -> int:
    report.end()
    return await _save(db, run, report.path, kind="import_report", name=f"{Path(run.name).stem}-report.csv")


async def _save(db: Database, run: BulkRun, path: Path, *, kind: str, name: str) -> int:
    file = await files.save(
        db,
        files.pieces_of(path),
        kind=kind,
        name=name,
        brand_id=run.brand_id,
        account_id=run.account_id,
        now=_now(),
    )
    return file.id


class _Report:
    """The problems of an import as a CSV file that Excel opens, as they are told."""

    def __init__(self, path: Path, words: _Words) -> None:
        self.path = path
        self.warnings = 0
        self._told = 0
        self._words = words

    def __enter__(self) -> Self:
        self._file = self.path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(self._words.headings)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def tell(self, problem: Problem) -> None:
        self._told += 1
        self.warnings += problem.is_warning
        if self._told <= MAX_REPORTED:
            level = self._words.warning if problem.is_warning else self._words.error
            cells = (problem.column, level, problem.reason)
            self._writer.writerow((problem.line, *map(not_a_formula, cells)))

    def end(self) -> None:
        """The file is complete."""
        if self._told > MAX_REPORTED:
            self._writer.writerow(("", "", "", self._words.more.format(self._told - MAX_REPORTED)))
        self._file.close()


def _now() -> datetime:
    return datetime.now(UTC)
