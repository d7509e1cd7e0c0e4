"""Ranking 100,000 distributors beside counting the rollups that it reads; and a day's increment beside reading its lines.

A year of daily totals is written as it would have been added up. The ranking is of one month; its floor is `count(*)` over
the three tables of totals that it reads, whole. It is made again, and again after every table that it reads was written
anew in another order: the digest of its rows must stay the same. The increment adds a day of orders that nobody has added,
as the main job does, two batches of other branches at once; its floor is reading these lines with their orders, as a program does that adds them up itself: rows, through the driver.
What COPY of the same takes is told beside it.

`python -m tests.bench.ranking --sample` does it on a small network: quick, and too small for the ratios to mean anything.
"""

import time
from datetime import UTC, date, datetime
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from s2b2c import main_job, orders, ranking
from s2b2c.db import Database, migrate
from tests.bench import world
from tests.bench.server import Owner, fresh_database, owner_of, run_alone, timed
from tests.databases import drop_database

DATABASE = "s2b2c_bench_ranking"
MOST_RANKING = 6.0
"""Times the floor that a ranking may take."""
MOST_INCREMENT = 2.0
"""Times the floor that a day's increment may take."""
ROUNDS = 5
START, END = date(2026, 9, 1), date(2026, 10, 1)
DAY = date(2026, 10, 20)

# Every fourth day or so each sells something: about 91 days and 137 orders a year, each of another customer.
_YEAR = """
    INSERT INTO daily_sellers (branch_id, seller_id, day, orders, units, paid, refunded, kept)
    SELECT branch_id, id, day, n, 2 * n, 9899 * n + h % 5000, CASE WHEN h % 20 = 0 THEN 9899 ELSE 0 END, n
    FROM sold;
    INSERT INTO daily_customers (branch_id, day, seller_id, customer_id, kept)
    SELECT branch_id, day, id, id * 20 + (h + customer) % 20, 1
    FROM sold CROSS JOIN generate_series(1, n) AS customer;
    INSERT INTO daily_products (branch_id, day, store_id, product_id, brand_id, orders, kept, units, paid, refunded)
    SELECT DISTINCT ON (branch_id, day, store_id, product.id)
           branch_id, day, store_id, product.id, product.brand_id, 1, 1, 2, 9899, 0
    FROM sold
    CROSS JOIN generate_series(1, n) AS line
    JOIN (SELECT row_number() OVER (ORDER BY id) - 1 AS n, id, brand_id FROM products) AS product
        ON product.n = (h / 7 + line) % 12;
"""
_SOLD = """
    CREATE TEMPORARY TABLE sold AS
    SELECT d.branch_id, d.id, s.id AS store_id, day.day, 1 + h.h / 10 % 2 AS n, h.h
    FROM distributors d
    JOIN stores s ON s.distributor_id = d.id
    CROSS JOIN (SELECT DATE '2025-10-01' + n AS day, n FROM generate_series(0, 364) AS n) AS day
    CROSS JOIN LATERAL (SELECT (hashint8(d.id * 1000 + day.n)::bigint & 2147483647) AS h) AS h
    WHERE h.h % 4 = 0
    ORDER BY day.day, h.h
"""
_LISTINGS = """
    INSERT INTO listings (store_id, product_id, price, position, pitch, listed_at)
    SELECT s.id, p.id, 4990, p.n, '', '2026-02-01'
    FROM stores s CROSS JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM products ORDER BY id LIMIT 10) AS p
"""
_READ = ("daily_sellers", "daily_customers", "daily_products")
_ORDERS = {
    "daily_sellers": "(seller_id * 7919 % 100003), day",
    "daily_customers": "(customer_id * 7919 % 100003), day",
    "daily_products": "product_id DESC, day",
    "distributors": "(id * 7919 % 100003)",
    "distributor_history": "distributor_id DESC",
    "stores": "(distributor_id * 31 % 10007)",
    "listings": "product_id DESC, store_id",
}
"""What it reads, and another order of each."""
_LINES = f"""
    SELECT o.*, l.* FROM orders o JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    WHERE o.paid_at >= '{DAY}'::timestamp AT TIME ZONE 'Asia/Shanghai'
      AND o.paid_at < '{DAY}'::timestamp AT TIME ZONE 'Asia/Shanghai' + interval '1 day'
"""
_NOT_ADDED = f"""
    INSERT INTO orders_to_add SELECT branch_id, id FROM orders WHERE paid_at IS NOT NULL;
    DELETE FROM daily_sellers WHERE day = '{DAY}';
    DELETE FROM daily_customers WHERE day = '{DAY}';
    DELETE FROM daily_brands WHERE day = '{DAY}';
    DELETE FROM daily_products WHERE day = '{DAY}';
"""
_AGGREGATE = f"""
    SELECT seller_id, store_id, brand_id, product_id, customer_id, count(*), sum(quantity), sum(line.paid)
    FROM (SELECT o.seller_id, o.store_id, o.customer_id, l.brand_id, l.product_id, l.quantity, l.paid {_LINES[_LINES.index("FROM") :]}) AS line
    GROUP BY 1, 2, 3, 4, 5
"""


class Measured(NamedTuple):
    """In seconds."""

    name: str
    took: float
    floor: float
    most: float

    @property
    def ratio(self) -> float:
        return self.took / self.floor


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    url = await fresh_database(server_url, DATABASE)
    await migrate(url)
    db = Database(url, reuse_plans=False)
    try:
        async with owner_of(url) as owner:
            await _found(db, owner, sample=sample)
            measured = [await _rank(db, owner), await _increment(db, owner, sample=sample)]
    finally:
        await db.close()
        await drop_database(server_url, DATABASE)
    return _show(measured)


async def _found(db: Database, owner: Owner, *, sample: bool) -> None:
    regions, shape = (2, world.Shape(1, 4, 100)) if sample else (20, world.Shape(4, 46, 4950))
    with timed("the network"):
        async with db.write() as session:
            await world.found(session)
            for region in range(regions):
                await world.recruit(session, shape, region=f"region {region}")
    with timed("a year of daily totals"):
        await owner.execute(_LISTINGS)
        await owner.execute(_SOLD)
        await owner.execute(_YEAR)
        await owner.execute("VACUUM ANALYZE")
    counts = [f"{await owner.fetchval(f'SELECT count(*) FROM {table}'):,} {table}" for table in _ORDERS]
    print(", ".join(counts), flush=True)


async def _rank(db: Database, owner: Owner) -> Measured:
    async with db.write() as session:
        policy = await ranking.in_force(session, now=datetime.now(UTC))
    digests, took, floor = set(), [], []
    for number in range(ROUNDS):
        if number == ROUNDS - 2:
            with timed("the same in another order"):
                await _reorder(owner)
        began = time.perf_counter()
        for table in _READ:
            await owner.fetchval(f"SELECT count(*) FROM {table}")
        floor.append(time.perf_counter() - began)
        await owner.execute("TRUNCATE ranking_scores, ranking_runs CASCADE")
        began = time.perf_counter()
        async with db.write() as session:
            run = await ranking.rank(session, start=START, end=END, policy=policy, shown=0)
        took.append(time.perf_counter() - began)
        assert run.run_id is not None
        async with db.read() as session:
            digests.add(await ranking.digest(session, run.run_id))
            if number == 0:
                print(f"{run.ranked:,} ranked, {run.in_tail:,} in the tail", flush=True)
    if len(digests) != 1:
        raise SystemExit(f"the same ranking came out in {len(digests)} ways")
    print("  ".join(f"{one:.2f}/{two:.2f}" for one, two in zip(took, floor, strict=True)), flush=True)
    return Measured(f"ranking, {run.ranked:,}", sorted(took)[ROUNDS // 2], sorted(floor)[ROUNDS // 2], MOST_RANKING)


async def _reorder(owner: Owner) -> None:
    """Other rows stand first in every table: those of the last owners, days or products."""
    for table, columns in _ORDERS.items():
        await owner.execute(f"CREATE INDEX other ON {table} ({columns})")
        await owner.execute(f"CLUSTER {table} USING other")
        await owner.execute("DROP INDEX other")
    await owner.execute("VACUUM ANALYZE")


async def _increment(db: Database, owner: Owner, *, sample: bool) -> Measured:
    number = 500 if sample else 5_000
    with timed("a day of orders"):
        for region in range(2 if sample else 20):
            async with db.write() as session:
                placed = await world.place(session, number, region=f"region {region}", lines=2)
            async with db.write() as session:
                noon = datetime(DAY.year, DAY.month, DAY.day, 4, tzinfo=UTC)
                paid = [(branch_id, order_id, max(noon, at)) for branch_id, order_id, at in placed]
                await orders.pay(session, paid, rail="import")
        await owner.execute("VACUUM ANALYZE orders, order_lines")
    took, floor = [], []
    for _ in range(3):
        await owner.execute("TRUNCATE orders_to_add")
        await owner.execute(_NOT_ADDED)
        floor.append(await _read(owner))
        began = time.perf_counter()
        await main_job.roll_up(db, lambda *_: None)
        took.append(time.perf_counter() - began)
    began = time.perf_counter()
    await owner.execute(f"SELECT count(*) FROM ({_AGGREGATE}) AS x")
    aggregated = time.perf_counter() - began
    print("  ".join(f"{one:.2f}/{two:.2f}" for one, two in zip(took, floor, strict=True)), flush=True)
    print(f"COPY of these lines: {await _copy(owner):.2f} s, an aggregate of them: {aggregated:.2f} s", flush=True)
    added = await owner.fetchval(f"SELECT sum(orders)::bigint FROM daily_sellers WHERE day = '{DAY}'")
    return Measured(f"increment, {added:,} orders of two lines", sorted(took)[1], sorted(floor)[1], MOST_INCREMENT)


async def _read(owner: Owner) -> float:
    began = time.perf_counter()
    number = 0
    async with owner.transaction():
        async for _ in owner.cursor(_LINES, prefetch=10_000):
            number += 1
    return time.perf_counter() - began


async def _copy(owner: Owner) -> float:
    async def nowhere(data: bytes) -> None:
        pass

    began = time.perf_counter()
    await owner.copy_from_query(_LINES, output=nowhere)
    return time.perf_counter() - began


def _show(measured: list[Measured]) -> list[str]:
    table = Table("what", "s", "floor s", "ratio", "at most")
    for it in measured:
        table.add_row(it.name, f"{it.took:.2f}", f"{it.floor:.2f}", f"{it.ratio:.2f}", f"{it.most:g}")
    Console().print(table)
    return [f"{it.name}: {it.ratio:.2f} times its floor, {it.most:g} at most" for it in measured if it.ratio > it.most]


if __name__ == "__main__":
    run_alone(bench, __doc__)
