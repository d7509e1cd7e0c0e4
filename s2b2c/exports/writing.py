"""A document from the database into a file: CSV by COPY, which formats in SQL, and XLSX from the same rows."""

import asyncio
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession
from xlsxwriter.exceptions import XlsxFileError

from s2b2c import privacy
from s2b2c.atomic import replacing
from s2b2c.config import SHANGHAI
from s2b2c.db import PLAN_FOR_BULK, Database
from s2b2c.exports.cells import Cells, CsvFile, Encoding, ExportError, Format, not_a_formula, xlsx
from s2b2c.exports.documents import (
    LAYOUTS,
    NAMES_NO_PAYEES,
    NEEDS_PAYEES,
    OF_A_PERIOD,
    OF_A_RUN,
    Document,
    Layout,
    Proved,
    prove,
)
from s2b2c.exports.words import WORDS, Language
from s2b2c.models import SettlementRun
from s2b2c.payees import payees_of_statements
from s2b2c.settlements import Progress
from s2b2c.sql import statements

if TYPE_CHECKING:
    from asyncpg import Connection, Record

_ROWS_PER_FETCH = 5_000
_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]
_CLOSED = ("approved", "paying", "paid")
Told = Callable[[int], None]
Proving = asyncio.Task[Proved]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document: of a run, or of the days from `start` up to, not with, `end`."""

    document: Document
    run_id: int | None = None
    start: date | None = None
    end: date | None = None
    format: Format = "csv"
    language: Language = "zh"
    encoding: Encoding = "utf-8"
    with_payees: bool = False
    """With to whom is paid, in full: whoever reads it leaves a trail."""

    @property
    def file_name(self) -> str:
        of = f"run-{self.run_id}" if self.run_id is not None else f"{self.start}-{self.end}"
        return f"{self.document.replace('_', '-')}-{of}.{self.format}"


@dataclass(frozen=True, slots=True)
class Exported:
    path: Path
    sha256: str
    rows: int
    """Without headings and foot."""
    amount: int
    """What its rows add up to, in fen."""


def check(wanted: Wanted) -> None:
    """Raises ExportError for a document that there cannot be."""
    name = wanted.document.replace("_", " ")
    if wanted.run_id is not None:
        if wanted.document not in OF_A_RUN:
            raise ExportError(f"The {name} is of a period, not of a run.")
    elif wanted.document not in OF_A_PERIOD:
        raise ExportError(f"The {name} is of one run, not of a period.")
    elif wanted.start is None or wanted.end is None or wanted.start >= wanted.end:
        raise ExportError("A period begins on a day and ends before a later one.")
    elif wanted.document == "withholding_report" and wanted.end != _quarter_end(wanted.start):
        raise ExportError("The withholding report is of a quarter: from the 1st of January, April, July or October on.")
    if wanted.format == "xlsx" and wanted.encoding != "utf-8":
        raise ExportError("An XLSX file is always UTF-8; choose csv for GB18030.")
    if wanted.document in NEEDS_PAYEES and not wanted.with_payees:
        raise ExportError(f"The {name} says to whom is paid: ask for it with payees.")
    if wanted.document in NAMES_NO_PAYEES and wanted.with_payees:
        raise ExportError(f"The {name} does not say to whom is paid: ask for it without payees.")


def _quarter_end(start: date) -> date | None:
    """The first day behind the quarter that begins on a day; None where none does."""
    if start.day != 1 or start.month % 3 != 1:
        return None
    return date(start.year + 1, 1, 1) if start.month == 10 else date(start.year, start.month + 3, 1)


async def export_document(
    db: Database,
    wanted: Wanted,
    *,
    out: Path,
    now: datetime,
    reader: privacy.Reader | None = None,
    progress: Progress | None = None,
) -> Exported:
    """As `write_document`. Where it holds payees, whose they are is on record before they are read: of the same
    snapshot, so of those and no others. `reader` is the command line where it is not given. Raises ExportError."""
    check(wanted)
    async with db.snapshot() as session, db.snapshot() as beside:
        snapshot = await session.scalar(text("SELECT pg_export_snapshot()"))
        if wanted.with_payees:
            run_ids = (await _parameters(session, wanted))["run_ids"]
            async with db.write() as writer:
                await writer.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
                await writer.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"))
                await _record_reads(writer, wanted, run_ids, reader or privacy.Reader(), now)
        await beside.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"))
        return await write_document(session, wanted, out=out, beside=beside, progress=progress)


async def _record_reads(
    session: AsyncSession, wanted: Wanted, run_ids: Sequence[int], reader: privacy.Reader, now: datetime
) -> None:
    await session.execute(
        statements("exports")["record_reads"],
        {
            "at": now,
            "account_id": reader.account_id,
            "reader_id": reader.person_id,
            "document": wanted.document,
            "run_ids": run_ids,
        },
    )


async def write_document(
    session: AsyncSession,
    wanted: Wanted,
    *,
    out: Path,
    beside: AsyncSession | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a document to `out`, replacing it whole or not at all, and its SHA-256 beside it. The same, the same bytes.

    `session` is a snapshot; whoever asks for payees has left a trail (see `export_document`). Its totals are proved by
    `beside`, a session of the same snapshot, while it is written, or before. Every amount stands in yuan, as text, and
    what the foot adds up also in fen, as a number. `progress` counts rows. Raises ExportError.
    """
    check(wanted)
    await session.execute(PLAN_FOR_BULK)
    parameters = await _parameters(session, wanted)
    proving = asyncio.create_task(_prove(beside or session, wanted, parameters))
    try:
        if beside is None:
            await proving
        return await _write(session, wanted, parameters, out, proving, progress or _nobody)
    finally:
        proving.cancel()
        await asyncio.gather(proving, return_exceptions=True)


async def _prove(session: AsyncSession, wanted: Wanted, parameters: Mapping[str, Any]) -> Proved:
    await session.execute(PLAN_FOR_BULK)
    names = ("start", "end") if wanted.document == "ledger_journal" else ("run_ids",)
    return await prove(session, wanted.document, {name: parameters[name] for name in names}, WORDS[wanted.language])


async def _write(
    session: AsyncSession,
    wanted: Wanted,
    parameters: Mapping[str, Any],
    out: Path,
    proving: Proving,
    progress: Progress,
) -> Exported:
    words = WORDS[wanted.language]
    headings = list(words.headings[wanted.document])
    if wanted.with_payees:
        headings += words.payee_headings[: LAYOUTS[wanted.document].shown]

    def told(done: int) -> None:
        """Nothing of the file is worth writing once it is known that its totals do not tie."""
        if proving.done():
            progress(min(done, proving.result().rows), proving.result().rows)

    try:
        with replacing(out) as file:
            into = _write_xlsx if wanted.format == "xlsx" else _write_csv
            sha256 = await into(session, wanted, parameters, file, headings, proving, told)
        with replacing(out.with_name(f"{out.name}.sha256")) as file:
            file.write(f"{sha256}  {out.name}\n".encode())
    except (OSError, XlsxFileError) as error:
        raise ExportError(f"Cannot write {out}: {getattr(error, 'strerror', None) or error}.") from error
    proved = await proving
    return Exported(out, sha256, proved.rows, proved.amount)


async def _parameters(session: AsyncSession, wanted: Wanted) -> dict[str, Any]:
    """What the statements of a document are called with. Raises ExportError where there is nothing to tell of."""
    if wanted.run_id is not None:
        run = await session.get(SettlementRun, wanted.run_id)
        if run is None:
            raise ExportError(f"There is no settlement run {wanted.run_id}.")
        if run.state == "discarded":
            raise ExportError(f"Run {run.id} was discarded: nothing stands in it.")
        if wanted.document == "bank_batch" and run.state not in _CLOSED:
            raise ExportError(f"Run {run.id} is {run.state}: nothing is paid before it is approved.")
        return {"run_ids": [run.id], "created": run.created_at}
    assert wanted.start is not None
    assert wanted.end is not None
    days = {"start": wanted.start, "end": wanted.end}
    run_ids = list(await session.scalars(statements("exports")["runs_of_period"], days))
    first, last = (datetime.combine(day, time(), SHANGHAI) for day in (wanted.start, wanted.end))
    period = f"{wanted.start} – {wanted.end - timedelta(days=1)}"
    return {"run_ids": run_ids, "start": first, "end": last, "period": period, "created": first}


def _query(wanted: Wanted, parameters: Mapping[str, Any]) -> str:
    """The statement of a document with its parameters in it: COPY takes none. None of them is anybody's text."""
    values: dict[str, object] = {
        "words": json.dumps(WORDS[wanted.language].codes, ensure_ascii=False),
        "guarded": wanted.format == "csv",
        "run_ids": "{" + ",".join(map(str, parameters["run_ids"])) + "}",
        "period": parameters.get("period"),
        **{name: parameters[name].isoformat() for name in ("start", "end") if name in parameters},
    }
    statement = statements("exports")[wanted.document]
    bound = statement.bindparams(
        *(bindparam(name, values[name]) for name in statement.compile().params),
    )
    return str(bound.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def _nobody(done: int, total: int) -> None:
    """Is told how far a document is."""


async def _write_csv(
    session: AsyncSession,
    wanted: Wanted,
    parameters: Mapping[str, Any],
    file: io.BufferedRandom,
    headings: Cells,
    proving: Proving,
    told: Told,
) -> str:
    """Payees are sealed, and PostgreSQL cannot open them: a file that holds them is put together here, row by row."""
    out = CsvFile(file, wanted.encoding)
    out.write_rows([headings])
    if wanted.with_payees:
        await _write_rows(session, wanted, parameters, out.write_rows, proving, told)
    else:
        done = 0

        async def write(piece: bytes) -> None:
            nonlocal done
            out.write(piece)
            done += piece.count(b"\n")
            told(done)

        copied = await (await _raw(session)).copy_from_query(_query(wanted, parameters), output=write, format="csv")
        if copied != f"COPY {(await proving).rows}":
            raise _broken(wanted)
    out.write_rows((await proving).foot)
    return out.sha256


async def _write_xlsx(
    session: AsyncSession,
    wanted: Wanted,
    parameters: Mapping[str, Any],
    file: io.BufferedRandom,
    headings: Cells,
    proving: Proving,
    told: Told,
) -> str:
    with xlsx(file, parameters["created"].astimezone(UTC), headings) as write:
        await _write_rows(session, wanted, parameters, write, proving, told)
        write((await proving).foot)
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


async def _write_rows(
    session: AsyncSession,
    wanted: Wanted,
    parameters: Mapping[str, Any],
    write: Callable[[Iterable[Cells]], None],
    proving: Proving,
    told: Told,
) -> None:
    """Raises ExportError when they do not come to what was proved."""
    layout = LAYOUTS[wanted.document]
    cursor = await (await _raw(session)).cursor(_query(wanted, parameters))
    done = amount = 0
    while rows := await cursor.fetch(_ROWS_PER_FETCH):
        write(await _with_payees(session, wanted, layout, rows) if wanted.with_payees else map(tuple, rows))
        done += len(rows)
        amount += sum(row[layout.fen] for row in rows)
        told(done)
    proved = await proving
    if (done, amount) != (proved.rows, proved.amount):
        raise _broken(wanted)


async def _with_payees(session: AsyncSession, wanted: Wanted, layout: Layout, rows: "Sequence[Record]") -> list[Cells]:
    assert layout.statement is not None
    safe = not_a_formula if wanted.format == "csv" else str
    found = await payees_of_statements(session, {row[layout.statement] for row in rows})
    paid_to = {statement: tuple(map(safe, details[: layout.shown])) for statement, details in found.items()}
    return [(*row, *paid_to.get(row[layout.statement], ())) for row in rows]


def _broken(wanted: Wanted) -> ExportError:
    return ExportError(f"The {wanted.document.replace('_', ' ')} does not come to its totals: see `s2b2c audit`.")


async def _raw(session: AsyncSession) -> "Connection[Record]":
    """The connection of the session as asyncpg has it, in the transaction that is under way."""
    raw = (await (await session.connection()).get_raw_connection()).driver_connection
    assert raw is not None
    connection: Connection[Record] = raw
    return connection
