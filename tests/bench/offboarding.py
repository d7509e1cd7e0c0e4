"""Eliminating a distributor with 500 downlines, 10,000 customers and 10,000 open commissions, and reinstating it.

Each is one transaction, to its commit. The network stands among 20,000 other customers and 1,000 other distributors, so
that no index is small. Half of the commissions have matured. No fen moves: the balances of the ledger are compared.

`python -m tests.bench.offboarding --sample` does it with a tenth.
"""

import statistics
import time
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from s2b2c import network, offboarding, orders
from s2b2c.db import Database, migrate
from tests.bench import world
from tests.bench.server import fresh_database, owner_of, run_alone, timed
from tests.databases import drop_database
from tests.factories import an_account

DATABASE = "s2b2c_bench_offboarding"
DOWNLINES, CUSTOMERS, ORDERS = 500, 10_000, 10_000
MOST_S = 2.0
ROUNDS = 3
PAID = datetime(2026, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)

_CUSTOMERS = text("""
    WITH customer AS (
        INSERT INTO customers (ref)
        SELECT :name || n FROM generate_series(1, CAST(:number AS bigint)) AS n RETURNING id
    )
    INSERT INTO bindings (customer_id, distributor_id, during, protected_until, policy)
    SELECT id, :distributor_id, tstzrange(:since, CAST(:since AS timestamptz) + interval '90 days'),
           CAST(:since AS timestamptz) + interval '7 days', 'window'
    FROM customer
""")
_BALANCES = text(
    "SELECT account_id, sum(amount) FROM (SELECT debit_account_id, -amount FROM transfers UNION ALL "
    "SELECT credit_account_id, amount FROM transfers) AS side (account_id, amount) GROUP BY 1 ORDER BY 1"
)


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    part = 10 if sample else 1
    url = await fresh_database(server_url, DATABASE)
    await migrate(url)
    db = Database(url)
    with timed("the network"):
        leaver, operator = await _found(db, part)
    async with owner_of(url) as owner:
        await owner.execute("VACUUM ANALYZE")
    found = [await _round(db, leaver, operator, part, number) for number in range(ROUNDS)]
    await db.close()
    await drop_database(server_url, DATABASE)
    out, back = (statistics.median(column) for column in zip(*found, strict=True))
    table = Table(title="Off-boarding and reinstating, each in one transaction")
    for heading in ("downlines", "customers", "open commissions", "eliminate s", "reinstate s", "at most s"):
        table.add_column(heading, justify="right")
    numbers = (f"{number // part:,}" for number in (DOWNLINES, CUSTOMERS, ORDERS))
    table.add_row(*numbers, f"{out:.2f}", f"{back:.2f}", str(MOST_S))
    Console().print(table)
    return [f"offboarding: {out:.2f} s, more than {MOST_S}"] if out > MOST_S else []


async def _found(db: Database, part: int) -> tuple[int, int]:
    """The ids of who leaves, and of the operator's account."""
    async with db.write() as session:
        await world.found(session, brands=5)
        await world.recruit(session, world.Shape(1, 1, DOWNLINES // part), region="here")
        await world.recruit(session, world.Shape(10, 100, 890), region="elsewhere")
        leaver: int = (
            await session.execute(
                text(
                    "SELECT d.id FROM distributors d JOIN tiers ON tiers.id = tier_id WHERE rank = 2 AND region = 'here'"
                )
            )
        ).scalar_one()
        other: int = (
            await session.execute(text("SELECT min(id) FROM distributors WHERE region = 'elsewhere'"))
        ).scalar_one()
        since = NOW - timedelta(days=20)
        for name, who, number in (("mine", leaver, CUSTOMERS // part), ("other", other, 2 * CUSTOMERS // part)):
            await session.execute(_CUSTOMERS, {"name": name, "distributor_id": who, "number": number, "since": since})
        await session.execute(
            text("INSERT INTO stores (slug, distributor_id, title, region) VALUES ('leaver', :id, 'Leaver', 'here')"),
            {"id": leaver},
        )
        operator = await an_account(session)
        placed = [(branch, key, PAID) for branch, key, _ in await world.place(session, ORDERS // part, region="here")]
        await orders.pay(session, placed, rail="stripe")
        await orders.complete(session, placed[::2], hold_days=15)
    return leaver, operator


async def _round(db: Database, leaver: int, operator: int, part: int, number: int) -> tuple[float, float]:
    """The seconds that each takes. SystemExit when it did not do what it should."""
    async with db.write() as session:
        before = (await session.execute(_BALANCES)).all()
        now = NOW + timedelta(minutes=number)
        await network.suspend(session, leaver, reason="待清退", now=now, account_id=operator)
    began = time.monotonic()
    async with db.write() as session:
        gone = await offboarding.eliminate(session, leaver, reason="末位", now=now, account_id=operator)
    out = time.monotonic() - began
    began = time.monotonic()
    async with db.write() as session:
        await offboarding.reinstate(session, leaver, reason="申诉成立", now=now, account_id=operator)
    back = time.monotonic() - began
    half = ORDERS // part // 2 * 296
    async with db.read() as session:
        mine = (
            await session.execute(
                text("SELECT count(*) FROM bindings WHERE distributor_id = :id AND during @> CAST(:at AS timestamptz)"),
                {"id": leaver, "at": now + timedelta(seconds=1)},
            )
        ).scalar_one()
        below = (
            await session.execute(text("SELECT count(*) FROM distributors WHERE parent_id = :id"), {"id": leaver})
        ).scalar_one()
        after = (await session.execute(_BALANCES)).all()
    told = (gone.downlines, gone.customers, gone.matured, gone.pending, mine, below, before == after)
    if told != (DOWNLINES // part, CUSTOMERS // part, half, half, CUSTOMERS // part, DOWNLINES // part, True):
        raise SystemExit(f"downlines, customers, matured, pending, back, below, balances: {told}")
    return out, back


if __name__ == "__main__":
    run_alone(bench, __doc__)
