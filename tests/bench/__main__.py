"""`make bench`: accrual of the real year beside its floor, COPY of the same rows into the same tables.

`python -m tests.bench --sample` does it on seed/sample: quick, and too small for the ratio to mean anything.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

import asyncpg
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from s2b2c import main_job, orders
from s2b2c.config import settings, state_dir
from s2b2c.db import Base, Database, migrate
from s2b2c.imports import FOR_BULK, ORDERS_AT_ONCE, RAIL
from s2b2c.imports.kinds import KINDS
from s2b2c.models import Commission, Transfer
from tests.bench.server import SAMPLE, fresh_database, real_year, server, timed, told_progress
from tests.databases import drop_database

DATABASE = "s2b2c_bench"
MOST = 3
"""Times the floor that accrual may take."""

_WRITTEN = {
    "commissions": ("commissions", "true"),
    "payments": ("transfers", "code = 'payment'"),
    "completions": ("transfers", "code <> 'payment'"),
}
"""What the timed steps write: the table, and which rows of it."""
_STEPS = {"payment": ("commissions", "payments"), "completion": ("completions",)}
"""What each timed step writes."""
_COLUMNS: dict[str, type[Base]] = {"commissions": Commission, "transfers": Transfer}

_RESET = (
    "TRUNCATE commissions, transfers",
    "UPDATE order_lines SET commission = 0, platform = paid - refunded - supply",
    """UPDATE orders SET state = 'placed', paid_at = NULL, completed_at = NULL, matures_at = NULL,
       upline = NULL, upline_tiers = NULL, upline_states = NULL, plan_id = NULL""",
    "VACUUM FULL ANALYZE orders, order_lines",
)

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Event(NamedTuple):
    branch_id: int
    order_id: int
    paid_at: datetime
    completed_at: datetime | None


class Rows(NamedTuple):
    """How many there are, their amounts in fen, and a hash of all they say but their ids."""

    number: int
    amount: int
    fingerprint: int


Seconds = dict[str, float]


async def bench(server_url: str, folder: Path) -> tuple[dict[str, Rows], Seconds, Seconds]:
    """What accrual writes, its seconds by step, and those of the floor."""
    url = await fresh_database(server_url, DATABASE)
    await migrate(url)
    db = Database(url)
    owner: Owner = await asyncpg.connect(
        make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    try:
        with timed("import"), told_progress() as progress:
            for kind in KINDS:
                await main_job.import_path(db, kind, folder / f"{kind}.csv", Console(stderr=True), progress)
        events = [
            Event(*row)
            for row in await owner.fetch("SELECT branch_id, id, paid_at, completed_at FROM orders ORDER BY id")
        ]
        state_dir().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=state_dir()) as place:  # not in /tmp, which may be memory
            expected = await _save(owner, Path(place))
            accrual = await _timed(owner, "accrual", _accrual(db, events))
            await _assert_same(owner, expected, "accrual")
            floor = await _timed(owner, "floor", _floor(owner, Path(place)))
            await _assert_same(owner, expected, "COPY")
    finally:
        await owner.close()
        await db.close()
    await drop_database(server_url, DATABASE)
    return expected, accrual, floor


async def _timed(owner: Owner, what: str, steps: dict[str, Callable[[], Awaitable[None]]]) -> Seconds:
    """The seconds of each step, from the state before payment and with nothing left to write from before."""
    with timed("back to the state before payment"):
        for statement in _RESET:
            await owner.execute(statement)
    seconds = {}
    for step, work in steps.items():
        await owner.execute("CHECKPOINT")
        with timed(f"{what} of {step}"):
            began = time.monotonic()
            await work()
            seconds[step] = time.monotonic() - began
    return seconds


def _accrual(db: Database, events: Sequence[Event]) -> dict[str, Callable[[], Awaitable[None]]]:
    batches = [events[first : first + ORDERS_AT_ONCE] for first in range(0, len(events), ORDERS_AT_ONCE)]

    async def pay() -> None:
        for batch in batches:
            async with db.write() as session:
                await session.execute(FOR_BULK)
                await orders.pay(session, [(e.branch_id, e.order_id, e.paid_at) for e in batch], rail=RAIL)

    async def complete() -> None:
        for batch in batches:
            completions = [(e.branch_id, e.order_id, e.completed_at) for e in batch if e.completed_at]
            async with db.write() as session:
                await session.execute(FOR_BULK)
                await orders.complete(session, completions, hold_days=settings().hold_days)

    return {"payment": pay, "completion": complete}


def _floor(owner: Owner, place: Path) -> dict[str, Callable[[], Awaitable[None]]]:
    def copy(step: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            for what in _STEPS[step]:
                await owner.copy_to_table(_WRITTEN[what][0], source=place / what, format="binary")

        return work

    return {step: copy(step) for step in _STEPS}


async def _save(owner: Owner, place: Path) -> dict[str, Rows]:
    for what, (table, which) in _WRITTEN.items():
        await owner.copy_from_query(f"SELECT * FROM {table} WHERE {which}", output=place / what, format="binary")
    return await _rows(owner)


async def _rows(owner: Owner) -> dict[str, Rows]:
    found = {}
    for what, (table, which) in _WRITTEN.items():
        columns = ", ".join(c.name for c in _COLUMNS[table].__table__.columns if c.name != "id")
        record = await owner.fetchrow(
            f"SELECT count(*), coalesce(sum(amount), 0)::bigint, "
            f"coalesce(sum(hash_record_extended(ROW({columns}), 0)::numeric), 0) FROM {table} WHERE {which}"
        )
        assert record is not None
        found[what] = Rows(*map(int, record))
    return found


async def _assert_same(owner: Owner, expected: dict[str, Rows], what: str) -> None:
    found = await _rows(owner)
    if found != expected:
        raise SystemExit(f"{what} wrote other rows than the import: {found}, not {expected}")


def show(written: dict[str, Rows], accrual: Seconds, floor: Seconds) -> float:
    """Print the table; the ratio of the totals."""
    table = Table(title="Accrual beside COPY of the rows it writes")
    table.add_column("step")
    for heading in ("rows written", "seconds", "floor seconds", "ratio"):
        table.add_column(heading, justify="right")
    counts = {step: sum(written[what].number for what in parts) for step, parts in _STEPS.items()}
    for step, count in counts.items():
        _add(table, step, count, accrual[step], floor[step])
    table.add_section()
    ratio = _add(table, "total", sum(counts.values()), sum(accrual.values()), sum(floor.values()))
    Console().print(table)
    return ratio


def _add(table: Table, step: str, count: int, seconds: float, floor: float) -> float:
    table.add_row(step, f"{count:,}", f"{seconds:.2f}", f"{floor:.2f}", f"{seconds / floor:.2f}")
    return seconds / floor


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--sample", action="store_true", help="on seed/sample, without a limit")
    sample = parser.parse_args().sample
    folder = SAMPLE if sample else real_year()
    with server() as url:
        ratio = show(*asyncio.run(bench(url, folder)))
    if ratio > MOST and not sample:
        sys.exit(f"accrual takes {ratio:.2f} times its floor, more than {MOST}")


if __name__ == "__main__":
    main()
