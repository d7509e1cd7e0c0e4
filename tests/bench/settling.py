"""Settlement of the real year in one run beside its floor: COPY of every row that it writes, with the same constraints.

A run writes itself, its statements, and new versions of all lines, commissions, returns and clawbacks that it takes. The
floor loads the same rows, saved as binary, into the same tables of a database beside it.

`python -m tests.bench.settling --sample` does it on seed/sample: quick, and too small for the ratio to mean anything.
"""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from s2b2c import main_job, settlements
from s2b2c.config import state_dir
from s2b2c.db import Database, migrate
from s2b2c.imports.kinds import KINDS
from tests.bench.server import SAMPLE, fresh_database, owner_of, real_year, run_alone, timed, told_progress
from tests.databases import create_database, drop_database

DATABASE, FLOOR = "s2b2c_bench_settling", "s2b2c_bench_settling_floor"
MOST = 2.0
_TABLES = {
    "settlement_runs": "true",
    "statements": "true",
    "order_lines": "statement_id IS NOT NULL",
    "commissions": "statement_id IS NOT NULL",
    "refunds": "run_id IS NOT NULL",
    "refund_lines": "statement_id IS NOT NULL",
    "clawbacks": "statement_id IS NOT NULL",
}
"""What is written, in the order of the foreign keys; and of which rows."""


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    url = await fresh_database(server_url, DATABASE)
    await migrate(url)
    folder = SAMPLE if sample else real_year()
    db = Database(url, reuse_plans=False)
    with timed("import"), told_progress() as progress:
        for kind in KINDS:
            await main_job.import_path(db, kind, folder / f"{kind}.csv", Console(stderr=True), progress)
    await db.close()
    await drop_database(server_url, FLOOR)
    floor_url = await create_database(server_url, FLOOR, template=DATABASE)
    async with owner_of(url) as owner:
        await owner.execute("VACUUM ANALYZE")
        await owner.execute("CHECKPOINT")
    seconds, lines = await _settle(url)
    state_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state_dir()) as place:  # not in /tmp, which may be memory
        rows, floor = await _floor(url, floor_url, Path(place) / "rows")
    for name in (DATABASE, FLOOR):
        await drop_database(server_url, name)
    return _show(lines, rows, seconds, floor)


async def _settle(url: str) -> tuple[float, int]:
    """The seconds that one run over everything takes, and how many lines its statements have."""
    db = Database(url, reuse_plans=False)
    now = datetime.now(UTC)
    with timed("settle"), told_progress() as progress:
        began = time.monotonic()
        async with db.write() as session:
            settled = await settlements.settle(
                session, cutoff=now, now=now, progress=lambda done, total: progress("settling", done, total)
            )
        seconds = time.monotonic() - began
    await db.close()
    assert settled is not None
    return seconds, settled.distributors.lines + settled.brands.lines


async def _floor(url: str, floor_url: str, file: Path) -> tuple[int, float]:
    """How many rows the run wrote, and the seconds that COPY takes for them. SystemExit when it loads other rows."""
    rows, seconds = 0, 0.0
    async with owner_of(url) as owner, owner_of(floor_url) as floor:
        await floor.execute("TRUNCATE order_lines, refunds CASCADE")
        await floor.execute("CHECKPOINT")
        with timed("the floor"):
            for table, which in _TABLES.items():
                await owner.copy_from_query(f"SELECT * FROM {table} WHERE {which}", output=file, format="binary")
                began = time.monotonic()
                await floor.copy_to_table(table, source=file, format="binary")
                seconds += time.monotonic() - began
                count = f"SELECT count(*), sum(hash_record_extended(t, 0)::numeric) FROM {table} AS t WHERE {which}"
                written, loaded = await owner.fetchrow(count), await floor.fetchrow(count)
                if written != loaded or written is None:
                    raise SystemExit(f"the run and its floor wrote different {table}")
                rows += written[0]
    return rows, seconds


def _show(lines: int, rows: int, seconds: float, floor: float) -> list[str]:
    """Print the table; what took more than it may."""
    table = Table(title="Settlement in one run beside COPY of every row it writes")
    for heading in ("lines", "rows written", "seconds", "floor seconds", "ratio", "at most"):
        table.add_column(heading, justify="right")
    ratio = seconds / floor
    table.add_row(f"{lines:,}", f"{rows:,}", f"{seconds:.1f}", f"{floor:.1f}", f"{ratio:.2f}", f"{MOST}")
    Console().print(table)
    return [f"settlement: {ratio:.2f} times its floor, more than {MOST}"] if ratio > MOST else []


if __name__ == "__main__":
    run_alone(bench, __doc__)
