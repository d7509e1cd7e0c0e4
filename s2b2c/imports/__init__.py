"""CSV in: COPY into a staging table, checks by row, then set-based SQL; all or nothing per file.

`sql/import_<kind>.sql` is run from top to bottom. What a block does is the first word of its name: `check` and `warn`
find rows (line, column, reason), `resolve` and `then` prepare, `insert` and `update` are counted. The file is refused
after the last check; `batch` and `late` blocks are the steps of an order import.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, network, orders
from s2b2c.config import settings
from s2b2c.imports import files
from s2b2c.imports.kinds import KINDS
from s2b2c.imports.staging import BadHeader, stage
from s2b2c.sql import statements

_PROBLEMS = text(
    """
    SELECT line, column_name, reason, is_warning FROM problems
    ORDER BY line, column_name COLLATE "C", reason COLLATE "C"
    """
)

FOR_BULK = text(
    """
    SELECT set_config('work_mem', '128MB', true), set_config('random_page_cost', '1.1', true),
           set_config('enable_bitmapscan', 'off', true)
    """
)
"""How an import works: what it sorts and joins stays in memory, and so is what it looks up, a row or two each time."""

ORDERS_AT_ONCE = 5_000
RAIL = "import"

Progress = Callable[[str, int, int], None]
"""Told the step at work, how much of it is done, and of how much."""


def _unseen(step: str, done: int, total: int) -> None:
    """Nobody is watching."""


class Problem(NamedTuple):
    """What is wrong where. `column` is "" when it is the whole row; a warning does not stop the import."""

    line: int
    column: str
    reason: str
    is_warning: bool = False


@dataclass
class Report:
    """What an import did: rows of the file, and rows of the database made and changed."""

    rows: int = 0
    inserted: int = 0
    updated: int = 0
    warnings: int = 0


class ImportRefused(Exception):
    """The file was not imported; every problem has been told."""

    def __init__(self, problems: int, path: Path) -> None:
        super().__init__(f"{path.name}: {problems} problem{'s' * (problems != 1)}, nothing was imported")
        self.problems = problems


async def import_file(
    session: AsyncSession,
    kind: str,
    path: Path,
    *,
    now: datetime,
    tell: Callable[[Problem], None],
    progress: Progress = _unseen,
    dry_run: bool = False,
    brand: str | None = None,
    proposed_by: int | None = None,
) -> Report:
    """Import one canonical CSV file of `kind` in the session's transaction; the same file again changes nothing.

    `tell` hears of every problem, in the order of lines. Raises ImportRefused after the last one; the caller rolls
    back. A dry run ends after the checks. A catalogue may be held to one `brand`, by its name. Where an
    account proposes it (`proposed_by`), new products are drafts, and what is said of others waits for a review.
    """
    report = Report()
    # Imports wait for one another: two of the same file would both find their rows missing.
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('s2b2c.imports'))"))
    await session.execute(FOR_BULK)
    try:
        source = await asyncio.to_thread(files.inspect, path)
        read = 0

        def advance(more: int) -> None:
            nonlocal read
            read += more
            progress("reading", read, source.size)

        report.rows = await stage(session, KINDS[kind], source, advance)
    except BadHeader as error:
        for column, reason in error.problems:
            tell(Problem(1, column, reason))
        raise ImportRefused(len(error.problems), path) from None
    except files.BadFile as error:
        tell(Problem(error.line, "", error.reason))
        raise ImportRefused(1, path) from None
    parameters = {
        "now": now,
        "sha256": source.sha256,
        "max_paid_positions": settings().max_paid_positions,
        "brand": brand,
        "proposed_by": proposed_by,
    }
    if kind in {"network", "stores"}:  # nobody is eliminated between the checks and what they are about
        await network.lock_tree(session)
    blocks = statements(f"import_{kind}")
    last_check = max(number for number, name in enumerate(blocks) if name.startswith(("check", "warn")))
    for number, (name, block) in enumerate(blocks.items()):
        progress(name.replace("_", " "), number, len(blocks))
        await _run(session, name, block, parameters, report)
        if number == last_check:
            await _refuse_problems(session, path, report, tell)
            if dry_run:
                return report
    if kind in {"network", "catalogue", "stores"}:
        report.updated += await catalogue.fit_listings(session, now)
    if kind == "orders":
        await _take_orders(session, report, progress)
    return report


async def _run(
    session: AsyncSession, name: str, block: TextClause, parameters: dict[str, object], report: Report
) -> None:
    match name.partition("_")[0]:
        case "check" | "warn" as action:
            found = f"SELECT {action == 'warn'}, found.* FROM ({block.text}) AS found"  # noqa: S608  our own blocks
            await session.execute(
                text(f"INSERT INTO problems (is_warning, line, column_name, reason) {found}"), parameters
            )
        case "resolve" | "then":
            await session.execute(block, parameters)
            if made := re.search(r"^CREATE TEMP TABLE (\w+)", block.text, flags=re.MULTILINE):
                await session.execute(text(f"ANALYZE {made[1]}"))
        case "insert":
            report.inserted += await _count(session, block, parameters)
        case "update":
            report.updated += await _count(session, block, parameters)


async def _count(session: AsyncSession, block: TextClause, parameters: Mapping[str, object]) -> int:
    return cast("CursorResult[Any]", await session.execute(block, parameters)).rowcount


async def _refuse_problems(session: AsyncSession, path: Path, report: Report, tell: Callable[[Problem], None]) -> None:
    found = await session.stream(_PROBLEMS)
    problems = 0
    async for row in found:
        problem = Problem(*row)
        tell(problem)
        problems += not problem.is_warning
        report.warnings += problem.is_warning
    if problems:
        raise ImportRefused(problems, path)


async def _take_orders(session: AsyncSession, report: Report, progress: Progress) -> None:
    """New orders are placed, paid and completed a batch at a time, by the statements that serve a single one."""
    blocks = statements("import_orders")
    total = await session.scalar(text("SELECT count(*) FROM fresh")) or 0
    for first in range(0, total, ORDERS_AT_ONCE):
        progress("placing, paying and completing orders", first, total)
        batch = {"first": first, "last": first + ORDERS_AT_ONCE}
        await session.execute(blocks["batch_claims"], batch)
        for name in ("batch_orders", "batch_lines"):
            report.inserted += await _count(session, blocks[name], batch)
        events = (await session.execute(blocks["batch_events"], batch)).all()
        await orders.pay(session, [(e.branch_id, e.id, e.paid_at) for e in events], rail=RAIL)
        await _complete(session, [(e.branch_id, e.id, e.completed_at) for e in events if e.completed_at])
    late = (await session.execute(blocks["late_completions"])).all()
    for first in range(0, len(late), ORDERS_AT_ONCE):
        batch_of_late = late[first : first + ORDERS_AT_ONCE]
        report.updated += await _complete(session, [(e.branch_id, e.id, e.completed_at) for e in batch_of_late])


async def _complete(session: AsyncSession, completions: list[orders.OrderEvent]) -> int:
    return await orders.complete(session, completions, hold_days=settings().hold_days)
