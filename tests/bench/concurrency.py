"""Throughput of live payments whose uplines share their top distributor, beside those that share nobody.

Both kinds write the same rows. Several processes with two connections each pay one order after the other, then complete
them in the same way; the kinds take turns, so that what else the machine does hits both.
`python -m tests.bench.concurrency --sample` does it with a tenth of the orders.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context

from rich.console import Console
from rich.table import Table

from s2b2c import orders
from s2b2c.config import settings
from s2b2c.db import Database, migrate
from s2b2c.imports import RAIL
from s2b2c.orders import OrderEvent
from tests.bench.server import fresh_database, owner_of, run_alone, timed
from tests.bench.world import Shape, found, place, recruit
from tests.databases import drop_database

DATABASE = "s2b2c_bench_concurrency"
LEAST = 0.9
"""Of the throughput without a common ancestor."""
SELLERS = 200
SHAPES = {"one in common": Shape(1, 20, SELLERS), "none in common": Shape(SELLERS, SELLERS, SELLERS)}
PROCESSES, CONNECTIONS = 4, 2
"""Connections of each process."""
ROUNDS = 7
ORDERS = 1_000
"""Of either kind in each round."""


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    number = ORDERS // 10 if sample else ORDERS
    url = await fresh_database(server_url, DATABASE)
    await migrate(url)
    waiting = await _placed(url, (ROUNDS + 1) * number)
    rates: dict[str, list[float]] = {kind: [] for kind in SHAPES}
    with timed("payments and completions"), ProcessPoolExecutor(PROCESSES, get_context("spawn")) as processes:
        for first in range(0, (ROUNDS + 1) * number, number):
            for kind, placed in waiting.items():
                due = placed[first : first + number]
                shares = [due[process::PROCESSES] for process in range(PROCESSES)]
                spans = await asyncio.gather(
                    *(asyncio.get_running_loop().run_in_executor(processes, _work, url, share) for share in shares)
                )
                if first > 0:  # the first round warms up
                    rates[kind].append(number / (max(end for _, end in spans) - min(begin for begin, _ in spans)))
    await drop_database(server_url, DATABASE)
    return _show(rates)


async def _placed(url: str, number: int) -> dict[str, list[OrderEvent]]:
    """So many orders of either kind, of each seller as many."""
    db = Database(url)
    async with db.write() as session:
        await found(session)
        for kind, shape in SHAPES.items():
            await recruit(session, shape, region=kind)
        placed = {kind: await place(session, number, region=kind) for kind in SHAPES}
    await db.close()
    async with owner_of(url) as owner:
        await owner.execute("VACUUM ANALYZE")
    return placed


def _work(url: str, due: Sequence[OrderEvent]) -> tuple[float, float]:
    """When this process began to pay, and when it had completed all; the clock is the same in all of them."""
    return asyncio.run(_pay_and_complete(url, due))


async def _pay_and_complete(url: str, due: Sequence[OrderEvent]) -> tuple[float, float]:
    db = Database(url, pool_size=CONNECTIONS)

    async def pay(connection: int) -> None:
        for it in due[connection::CONNECTIONS]:
            async with db.write() as session:
                assert await orders.pay(session, [it], rail=RAIL) == 1

    async def complete(connection: int) -> None:
        for branch_id, order_id, paid_at in due[connection::CONNECTIONS]:
            async with db.write() as session:
                done = (branch_id, order_id, paid_at + timedelta(days=5))
                assert await orders.complete(session, [done], hold_days=settings().hold_days) == 1

    began = time.monotonic()
    for step in (pay, complete):
        await asyncio.gather(*(step(connection) for connection in range(CONNECTIONS)))
    ended = time.monotonic()
    await db.close()
    return began, ended


def _show(rates: dict[str, list[float]]) -> list[str]:
    """Print the table; whether the throughput is less than it must be."""
    table = Table(title=f"Orders paid and completed one by one over {PROCESSES * CONNECTIONS} connections, a second")
    table.add_column("ancestors")
    for heading in (*rates, "ratio"):
        table.add_column(heading, justify="right")
    common, none = rates.values()
    for number, pair in enumerate(zip(common, none, strict=True), start=1):
        table.add_row(f"round {number}", *(f"{rate:,.1f}" for rate in pair), f"{pair[0] / pair[1]:.2f}")
    table.add_section()
    medians = [statistics.median(each) for each in (common, none)]
    ratio = medians[0] / medians[1]
    table.add_row("median", *(f"{rate:,.1f}" for rate in medians), f"{ratio:.2f}, at least {LEAST}")
    Console().print(table)
    return [f"concurrency: {ratio:.2f} of the throughput without a common ancestor"] if ratio < LEAST else []


if __name__ == "__main__":
    run_alone(bench, __doc__)
