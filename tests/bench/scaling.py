"""What the payment of an order costs, the more orders there are already, and the more distributors.

Worlds of one line for each order and uplines of three. Their history is paid and completed by the statements that serve
an import; then further orders are paid as by an import, and one by one. The worlds take turns, so that what else the
machine does hits all of them. `python -m tests.bench.scaling --sample` does it with a hundredth.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from s2b2c import orders
from s2b2c.config import settings
from s2b2c.db import Database, migrate
from s2b2c.imports import FOR_BULK, ORDERS_AT_ONCE, RAIL
from s2b2c.orders import OrderEvent
from tests.bench.server import fresh_database, owner_of, run_alone, timed
from tests.bench.world import Shape, found, place, recruit
from tests.databases import create_database, drop_database

MOST = 1.2
"""Times the cost in the cheapest world that it may be in another one of its row."""
DISTRIBUTORS = (1_000, 10_000, 100_000)
ORDERS = (10_000, 100_000, 1_000_000)
BATCH = 5_000
ROUNDS = 9
"""In each, every world pays one batch and as many single orders."""
SINGLES = 100


class World(NamedTuple):
    distributors: int
    orders: int

    @property
    def database(self) -> str:
        return f"s2b2c_bench_{self.distributors}_{self.orders}"

    @property
    def shape(self) -> Shape:
        """About ten sellers for each middle, and ten of those for each top."""
        tops, middles = max(1, self.distributors // 111), max(1, self.distributors // 11)
        return Shape(tops, middles, self.distributors - tops - middles)


class Costs(NamedTuple):
    """Microseconds of an order in each batch, and of each single one."""

    bulk: list[float]
    single: list[float]


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    part = 100 if sample else 1
    few, some, many = (number // part for number in DISTRIBUTORS)
    sizes = [number // part for number in ORDERS]
    more_orders = [World(some, number) for number in sizes]
    more_distributors = [World(few, sizes[1]), World(some, sizes[1]), World(many, sizes[1])]
    urls = await _grow(server_url, more_orders)
    for world in (more_distributors[0], more_distributors[2]):
        urls |= await _grow(server_url, [world])
    costs = await _measure(urls, BATCH // part, SINGLES // (10 if sample else 1))
    for world in costs:
        await drop_database(server_url, world.database)
    rows = [("the more orders there are", more_orders), ("the more distributors", more_distributors)]
    return [broken for title, worlds in rows for broken in _show(title, [(it, costs[it]) for it in worlds])]


async def _grow(server_url: str, worlds: Sequence[World]) -> dict[World, str]:
    """The URL of each; they have the same distributors, and each goes on from the one before."""
    urls: dict[World, str] = {}
    before: World | None = None
    for world in worlds:
        with timed(f"a world of {world.distributors:,} distributors and {world.orders:,} orders"):
            if before is None:
                url = await fresh_database(server_url, world.database)
                await migrate(url)
            else:
                await drop_database(server_url, world.database)
                url = await create_database(server_url, world.database, template=before.database)
            db = Database(url, reuse_plans=False)
            if before is None:
                async with db.write() as session:
                    await found(session)
                    await recruit(session, world.shape)
            await _vacuum(url)
            await _live(db, world.orders - (before.orders if before else 0))
            await db.close()
        urls[world], before = url, world
    return urls


async def _live(db: Database, number: int) -> None:
    """So many orders are placed, paid and completed."""
    for first in range(0, number, ORDERS_AT_ONCE):
        async with db.write() as session:
            await session.execute(FOR_BULK)
            placed = await place(session, min(ORDERS_AT_ONCE, number - first))
            await orders.pay(session, placed, rail=RAIL)
            done = [(branch_id, order_id, at + timedelta(days=5)) for branch_id, order_id, at in placed]
            await orders.complete(session, done, hold_days=settings().hold_days)


async def _vacuum(url: str) -> None:
    """So that autovacuum finds nothing to do while the clock runs."""
    async with owner_of(url) as owner:
        await owner.execute("VACUUM ANALYZE")


async def _measure(urls: Mapping[World, str], batch: int, singles: int) -> dict[World, Costs]:
    importing = {world: Database(url, pool_size=1, reuse_plans=False) for world, url in urls.items()}
    serving = {world: Database(url, pool_size=1, by_key=True) for world, url in urls.items()}
    waiting: dict[World, list[OrderEvent]] = {}
    for world, db in importing.items():
        with timed(f"orders to pay, of {world.distributors:,} distributors beside {world.orders:,} orders"):
            async with db.write() as session:
                waiting[world] = await place(session, (ROUNDS + 1) * (batch + singles))
            await _vacuum(urls[world])
    costs = {world: Costs([], []) for world in urls}
    for number in range(ROUNDS + 1):
        for world in urls:
            due, waiting[world] = waiting[world][: batch + singles], waiting[world][batch + singles :]
            bulk = await _pay(importing[world], due[:batch], bulk=True)
            single = [await _pay(serving[world], [it], bulk=False) for it in due[batch:]]
            if number > 0:  # the first warms up
                costs[world].bulk.append(bulk)
                costs[world].single.extend(single)
    for db in (*importing.values(), *serving.values()):
        await db.close()
    return costs


async def _pay(db: Database, due: Sequence[OrderEvent], *, bulk: bool) -> float:
    """Microseconds for each of them."""
    began = time.monotonic()
    async with db.write() as session:
        if bulk:
            await session.execute(FOR_BULK)
        paid = await orders.pay(session, due, rail=RAIL)
    assert paid == len(due)
    return (time.monotonic() - began) * 1e6 / len(due)


def _show(title: str, costs: Sequence[tuple[World, Costs]]) -> list[str]:
    """Print the table; what costs more than it may."""
    table = Table(title=f"Payment, {title}: microseconds of an order, and times the least (at most {MOST})")
    for heading in ("distributors", "orders there", "as an import", "", "one by one", ""):
        table.add_column(heading, justify="right")
    medians = [(statistics.median(it.bulk), statistics.median(it.single)) for _, it in costs]
    least = [min(column) for column in zip(*medians, strict=True)]
    broken = []
    for (world, _), cost in zip(costs, medians, strict=True):
        ratios = [mine / best for mine, best in zip(cost, least, strict=True)]
        numbers = (f"{mine:,.0f}" for mine in cost)
        cells = [cell for pair in zip(numbers, (f"{ratio:.2f}" for ratio in ratios), strict=True) for cell in pair]
        table.add_row(f"{world.distributors:,}", f"{world.orders:,}", *cells)
        for way, ratio in zip(("as an import", "one by one"), ratios, strict=True):
            if ratio > MOST:
                broken.append(
                    f"scaling, {world.distributors:,} distributors and {world.orders:,} orders, {way}: {ratio:.2f}"
                )
    Console().print(table)
    return broken


if __name__ == "__main__":
    run_alone(bench, __doc__)
