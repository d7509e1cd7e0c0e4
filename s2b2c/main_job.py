"""The main job from a folder of canonical CSV files to ranking, settlement and its export, told in tables."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import get_args

from rich import box
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from sqlalchemy import exists, func, select

from s2b2c import catalogue, exports, ranking, settlements
from s2b2c.config import SHANGHAI
from s2b2c.db import Base, Database
from s2b2c.exports import Format, Wanted
from s2b2c.imports import Problem, Progress, Report, import_file
from s2b2c.imports.kinds import KINDS
from s2b2c.models import Distributor, Listing, Order, Plan, Product, RankingRun, SettlementRun, Store, Tier
from s2b2c.money import format_percent, format_yuan

SHOWN = 5
_ROWS: dict[str, type[Base]] = {
    "tiers": Tier,
    "network": Distributor,
    "catalogue": Product,
    "stores": Store,
    "listings": Listing,
    "plans": Plan,
    "orders": Order,
}
"""What the files of each kind become."""
_OUTCOMES = {"tail": "×", "let_off": "豁免", "clear": "", "no_tail": "–"}


@dataclass(frozen=True)
class Job:
    """What to import, the days `[start, end)` to rank and to settle, and where the exports go."""

    folder: Path
    start: date
    end: date
    exports: Path
    formats: tuple[Format, ...] = get_args(Format)


@contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """A bar for the step at work; nothing where the console is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")

        def show(step: str, done: int, total: int) -> None:
            bar.update(task, description=step, completed=done, total=max(total, 1))

        yield show


async def run(db: Database, job: Job, console: Console, progress: Progress) -> None:
    """Do the whole job; what was done before is found done, and what people have changed since stays.

    Raises ImportRefused when a file is not right.
    """
    for kind in KINDS:
        path = job.folder / f"{kind}.csv"
        async with db.read() as session:
            is_there = await session.scalar(select(exists().select_from(_ROWS[kind])))
        if is_there:
            done = f"{path.name}: imported before"
        else:
            done = told(path, await import_path(db, kind, path, console, progress))
        console.print(done, highlight=False, soft_wrap=True)
    await index_products(db, progress)
    await roll_up(db, progress)
    progress("ranking", 0, 1)
    run_id = await _ranked(db, job)
    async with db.read() as session:
        top, tail = await ranking.top_and_tail(session, run_id, SHOWN)
    show_ranking(console, job.start, job.end, top, tail)
    settled = await _settled(db, datetime.combine(job.end, datetime.min.time(), SHANGHAI), progress)
    if settled is not None:
        await show_settlement(db, settled, console)
        for form in job.formats:
            wanted = Wanted("statement_detail", settled, format=form)
            await export(db, wanted, job.exports / f"settlement-{settled}.{form}", console, progress)


async def import_path(
    db: Database, kind: str, path: Path, console: Console, progress: Progress, *, dry_run: bool = False
) -> Report:
    """One file in one transaction. Each problem is printed with file, line and column. Raises ImportRefused."""

    def tell(problem: Problem) -> None:
        where = f"{path.name}:{problem.line}: " + (f"{problem.column}: " if problem.column else "")
        note = "warning: " if problem.is_warning else ""
        console.print(f"{where}{note}{problem.reason}", markup=False, highlight=False, soft_wrap=True)

    async with db.write() as session:
        return await import_file(
            session, kind, path, now=datetime.now(SHANGHAI), tell=tell, progress=progress, dry_run=dry_run
        )


def told(path: Path, report: Report, *, dry_run: bool = False) -> str:
    """One line on what an import did."""
    if dry_run:
        return f"{path.name}: {report.rows:,} rows, all of them right; nothing was written"
    return f"{path.name}: {report.rows:,} rows, {report.inserted:,} new, {report.updated:,} changed"


async def index_products(db: Database, progress: Progress) -> None:
    """Let the products be found by those who choose, one transaction per batch."""
    done = 0
    while True:
        async with db.write() as session:
            more = await catalogue.index_products(session)
        if not more:
            return
        done += more
        progress("words of the catalogue", done, done)


async def roll_up(db: Database, progress: Progress) -> None:
    """Bring the daily totals up to date, one transaction per batch, two of them at once."""
    done = 0

    async def add() -> None:
        nonlocal done
        while True:
            async with db.write() as session:
                more = await ranking.roll_up(session)
            if not more:
                return
            done += more
            progress("daily totals", done, done)

    await asyncio.gather(add(), add())


async def _ranked(db: Database, job: Job) -> int:
    async with db.write() as session:
        known = select(RankingRun.id).where(
            func.lower(RankingRun.period) == job.start, func.upper(RankingRun.period) == job.end
        )
        run_id = await session.scalar(known)
        if run_id is None:
            policy = await ranking.in_force(session, now=datetime.now(UTC))
            run_id = (await ranking.rank(session, start=job.start, end=job.end, policy=policy)).run_id
    assert run_id is not None
    return run_id


async def _settled(db: Database, cutoff: datetime, progress: Progress) -> int | None:
    """A new run, its statements shown to their payees; the newest one where nothing is to be settled, or one waits."""
    now = datetime.now(SHANGHAI)
    async with db.write() as session:
        if await settlements.open_run(session) is None:
            terms = settlements.usual_terms()
            made = await settlements.settle(
                session, cutoff=cutoff, now=now, terms=terms, progress=partial(progress, "settling")
            )
            if made is not None:
                await settlements.review(session, made.run_id, now=now, by=None)
                return made.run_id
        return await session.scalar(select(func.max(SettlementRun.id)).where(SettlementRun.state != "discarded"))


async def export(db: Database, wanted: Wanted, out: Path, console: Console, progress: Progress) -> None:
    """Write one file and say where it is. Raises ExportError."""
    out.parent.mkdir(parents=True, exist_ok=True)
    written = await exports.export_document(
        db, wanted, out=out, now=datetime.now(UTC), progress=partial(progress, f"writing {wanted.format}")
    )
    console.print(f"{out} ({written.rows:,} lines, sha256 {written.sha256})", highlight=False, soft_wrap=True)


def show_ranking(
    console: Console,
    start: date,
    end: date,
    top: Sequence[ranking.Standing],
    tail: Sequence[ranking.Standing],
) -> None:
    texts = ("code\n编码", "name\n名称", "tier\n层级", "region\n区域")
    table = empty_table(
        f"Ranking 排名 {start} – {end}", texts, ("output\n产值", "orders\n订单", "score\n得分", "rank\n名次")
    )
    table.add_column("tail\n末位")
    for standings in (top, tail):
        for it in standings:
            place = f"{it.rank}/{it.members}"
            cells = (it.code, it.name, it.tier, it.region or "–", format_yuan(it.output), str(it.orders), str(it.score))
            table.add_row(*cells, place, _OUTCOMES[it.outcome])
        table.add_section()
    console.print(table)


def show_foresight(console: Console, title: str, foresight: ranking.Foresight) -> None:
    """What a policy would have done, period by period, and who would have got a notice."""
    numbers = ("ranked\n参评", "tail\n末位", "let off\n豁免", "notices\n通知", "again\n再次末位", "fallen\n原居前半")
    table = empty_table(title, ("period\n期间",), numbers)
    for it in foresight.periods:
        again = f"{it.returned}/{it.in_tail_before}"
        counts = (it.ranked, it.in_tail, it.let_off, it.noticed, again, it.fallen)
        table.add_row(ranking.period(it.start, it.end), *map(str, counts))
    console.print(table)
    stability = "–" if foresight.stability_bps is None else format_percent(foresight.stability_bps)
    console.print(
        f"{foresight.hits} would have got a notice, {foresight.hits_above_median} of them once above the median; "
        f"{stability} of a tail stand in the next one again",
        highlight=False,
    )
    for hit in foresight.shown:
        above = ", once above the median" if hit.was_above_median else ""
        start, end = foresight.periods[hit.period - 1][:2]
        told = f"  {hit.code} {hit.name}: {ranking.period(start, end)}, {hit.periods_in_tail} times in the tail{above}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)


async def show_settlement(db: Database, run_id: int, console: Console) -> None:
    """The greatest statements of a run, and the first lines of the greatest one of a distributor."""
    async with db.read() as session:
        distributors = await settlements.statement_rows(session, run_id, payee="distributor", limit=SHOWN)
        brands = await settlements.statement_rows(session, run_id, payee="brand", limit=SHOWN)
        chosen = next(iter((*distributors, *brands)), None)
        if chosen is None:  # discarded, or all of it disputed
            console.print("No statement stands in it.", highlight=False)
            return
        lines = await settlements.statement_lines(session, chosen.id, limit=SHOWN)
    texts = ("statement\n结算单", "payee\n收款方", "code\n编码", "name\n名称")
    table = empty_table(f"Settlement 结算 {run_id}", texts, ("lines\n明细", "net\n应结"))
    for row in (*distributors, *brands):
        net = format_yuan(row.net)
        table.add_row(str(row.id), row.payee, row.code, row.name, f"{row.lines:,}", net)
    console.print(table)
    title = f"Statement 结算单 {chosen.id}: {chosen.name}, {format_yuan(chosen.net)}"
    numbers = ("position\n级次", "base\n基数", "rate bps\n比例", "amount\n金额")
    table = empty_table(title, ("order\n订单", "product\n商品"), numbers)
    table.add_column("outcome\n结果")
    for line in lines:
        base = "" if line.base_amount is None else format_yuan(line.base_amount)
        explained = ("" if line.position is None else str(line.position), base, str(line.rate_bps or ""))
        number = f"{line.order_no}-{line.line_no}"
        table.add_row(number, line.product, *explained, format_yuan(line.amount), line.outcome or "")
    console.print(table)


def empty_table(title: str, texts: Iterable[str], numbers: Iterable[str]) -> Table:
    """A table that shows every digit on a terminal of 80 columns; only names are folded."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in texts:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
