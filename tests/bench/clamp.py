"""A new band for one product in 100,000 stores of 20,000 owners, beside a bare UPDATE of the same prices.

The change clamps every listing in one statement, which also keeps what each was and tells each owner once. Its floor, in
a copy of the same database, writes the new price and nothing else. The two take turns.

`python -m tests.bench.clamp --sample` does it with a hundredth.
"""

import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue
from s2b2c.catalogue import NewPrices
from s2b2c.db import Database, migrate
from s2b2c.stores import listings_at
from tests import factories
from tests.bench.server import fresh_database, owner_of, run_alone, timed
from tests.databases import create_database, drop_database

STORES, OWNERS = 100_000, 20_000
DATABASE, FLOOR = "s2b2c_bench_clamp", "s2b2c_bench_clamp_floor"
MOST = 8.0
"""Times its floor: beside each new price it writes a row of history under two indexes and four foreign keys."""
ROUNDS = 3
T0 = datetime(2026, 1, 1, tzinfo=UTC)
PRICE, HIGHEST = 5900, 5200

_WORLD = text("""
    WITH owner AS (
        INSERT INTO distributors (id, code, name, tier_id, ancestors, region, joined_on, state)
        SELECT id, 'D' || id, 'Distributor ' || id, :tier_id, ARRAY[id], '', '2026-01-01', 'active'
        FROM (SELECT nextval('distributors_id_seq') AS id FROM generate_series(1, :owners)) AS drawn
        RETURNING id
    ), store AS (
        INSERT INTO stores (slug, distributor_id, title, region)
        SELECT 's' || id || '-' || n, id, 'Store ' || id, '' FROM owner CROSS JOIN generate_series(1, :each) AS n
        RETURNING id
    )
    INSERT INTO listings (store_id, product_id, price, position, pitch, listed_at)
    SELECT id, :product_id, :price, 1, '', :at FROM store
""")


class Round(NamedTuple):
    """In seconds."""

    change: float
    floor: float


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    part = 100 if sample else 1
    stores, owners = STORES // part, OWNERS // part
    rounds = [await _round(server_url, stores, owners) for _ in range(ROUNDS)]
    for name in (DATABASE, FLOOR):
        await drop_database(server_url, name)
    return _show(stores, rounds)


async def _round(server_url: str, stores: int, owners: int) -> Round:
    url = await fresh_database(server_url, DATABASE)
    await migrate(url)
    db = Database(url)
    with timed("the stores"):
        async with db.write() as session:
            tiers = {(await factories.a_tier(session, rank=rank)).id: 3500 + 400 * rank for rank in (1, 2, 3)}
            variant = await factories.a_variant(session, band=(4500, 5990))
            world = {"tier_id": min(tiers), "owners": owners, "each": stores // owners, "price": PRICE}
            await session.execute(_WORLD, {**world, "product_id": variant.product_id, "at": T0})
    await db.close()
    async with owner_of(url) as owner:
        await owner.execute("VACUUM ANALYZE")
    await drop_database(server_url, FLOOR)
    floor_url = await create_database(server_url, FLOOR, template=DATABASE)
    async with owner_of(floor_url) as owner:
        began = time.monotonic()
        await owner.execute(f"UPDATE listings SET price = {HIGHEST}")
        floor = time.monotonic() - began
    db = Database(url)
    prices = NewPrices(variant.id, 2600, 5000, 4000, HIGHEST, tiers)
    async with db.write() as session:
        sent = await _noted(session)
        began = time.monotonic()
        changed = await catalogue.change_prices(
            session, variant.brand_id, [prices], starts_at=None, account_id=None, now=T0 + timedelta(days=1)
        )
    seconds = time.monotonic() - began
    await _check(db, stores, owners, changed.listings, sent)
    await db.close()
    return Round(seconds, floor)


async def _noted(session: AsyncSession) -> list[str]:
    """The statements that write listings from now on."""
    sent: list[str] = []

    def note(*called: Any) -> None:
        if any(f"{verb} listings" in called[2] for verb in ("UPDATE", "DELETE FROM")):
            sent.append(called[2])

    event.listen((await session.connection()).sync_connection, "before_cursor_execute", note)
    return sent


async def _check(db: Database, stores: int, owners: int, changed: int, sent: Sequence[str]) -> None:
    """SystemExit unless all were clamped by one statement, each owner was told once, and history answers."""
    async with db.read() as session:
        told = await session.scalar(text("SELECT count(*) FROM notices"))
        told_to = await session.scalar(text("SELECT count(DISTINCT distributor_id) FROM notices"))
        store_id = await session.scalar(text("SELECT max(id) FROM stores"))
        assert store_id is not None
        moment = T0 + timedelta(days=1)
        ((before,), (after,)) = [
            await listings_at(session, store_id, at, after=None, limit=2)
            for at in (moment - timedelta(microseconds=1), moment)
        ]
    found = (changed, len(sent), told, told_to, before.price, after.price, after.why)
    if found != (stores, 1, owners, owners, PRICE, HIGHEST, "clamped"):
        raise SystemExit(f"listings, statements, notices, owners, before, after, why: {found}")


def _show(stores: int, rounds: Sequence[Round]) -> list[str]:
    """Print the table; what took more than it may."""
    change, floor = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = change / floor
    table = Table(title="A new band beside a bare UPDATE of the same prices")
    for heading in ("listings", "seconds", "floor seconds", "ratio", "at most"):
        table.add_column(heading, justify="right")
    table.add_row(f"{stores:,}", f"{change:.2f}", f"{floor:.2f}", f"{ratio:.1f}", str(MOST))
    Console().print(table)
    return [f"clamp: {ratio:.1f} times its floor, more than {MOST}"] if ratio > MOST else []


if __name__ == "__main__":
    run_alone(bench, __doc__)
