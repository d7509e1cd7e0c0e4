"""Many buyers for few units, all at the same time."""

import asyncio
import random
import sys
from datetime import UTC, datetime

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import ledger, models, orders
from s2b2c.api.placing import Placing
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.errors import OutOfStock, Refused
from tests.factories import at_home
from tests.storm import STOCK, a_market

CONNECTIONS = 24
SERVERS = 4
"""Each places together what comes to it at the same time."""
_PATIENCE_S = 300

_BUYERS = text(
    """
    WITH customer AS (
        INSERT INTO customers (ref) SELECT 'buyer ' || n FROM generate_series(1, CAST(:buyers AS bigint)) AS n RETURNING id
    )
    INSERT INTO addresses (customer_id, recipient, phone, region, street)
    SELECT id, :recipient, :phone, :region, :street FROM customer
    RETURNING customer_id, id
    """
).bindparams(*at_home())
_STOCK = text(
    """
    SELECT v.id, v.stock, coalesce(sum(l.quantity), 0)::bigint AS bought
    FROM variants v LEFT JOIN order_lines l ON l.variant_id = v.id
    GROUP BY v.id
    """
)


async def rush(url: str, *, buyers: int, units: int, seed: int) -> None:
    """Each buyer wants one of the few and some of what there is plenty of, named in any order, in any of the stores."""
    sys.stderr.write(f"the seed of this rush: {seed}\n")
    dice = random.Random(seed)
    db = Database(url, pool_size=CONNECTIONS)
    async with db.write() as session:
        stores, variants = await a_market(session)
        await session.execute(update(models.Variant).where(models.Variant.id == variants[0]).values(stock=units))
        people = (await session.execute(_BUYERS, {"buyers": buyers})).all()
    carts = []
    for customer_id, address_id in people:
        lines = [orders.CartLine(variants[0], 1)]
        lines += [orders.CartLine(it, dice.randint(1, 3)) for it in dice.sample(variants[1:], dice.randint(1, 2))]
        dice.shuffle(lines)
        carts.append(orders.Cart(customer_id, dice.choice(stores), "one", lines, address_id))
    async with asyncio.timeout(_PATIENCE_S):
        doors = [Placing(db, lambda: datetime.now(UTC)) for _ in range(SERVERS)]
        buys = (_buy(dice.choice(doors), cart) for cart in carts)
        placed = [it for it in await asyncio.gather(*buys) if it is not None]
        assert len(placed) == units
        await _check_stock(db, variants[0], units)
        await asyncio.gather(*(_pay(db, it) for it in placed))
    await _check_ledger(db, sum(it.amount for it in placed))
    await db.close()
    assert await _deadlocks(url) == 0


async def _buy(door: Placing, cart: orders.Cart) -> orders.Placed | None:
    try:
        return await door.place(cart)
    except Refused as refused:
        if isinstance(refused.refusal, OutOfStock):
            return None
        raise


async def _pay(db: Database, placed: orders.Placed) -> None:
    async with db.write() as session:
        paid = [(placed.branch_id, placed.id, datetime.now(UTC))]
        assert await orders.pay(session, paid, rail="import") == 1


async def _check_stock(db: Database, scarce: int, units: int) -> None:
    async with db.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM orders")) == units
        rows = await session.execute(_STOCK)
    left = {row.id: (row.stock, row.bought) for row in rows}
    assert left.pop(scarce) == (0, units)
    assert {stock + bought for stock, bought in left.values()} == {STOCK}


async def _check_ledger(db: Database, amount: int) -> None:
    async with db.snapshot() as session:
        assert await audit(session) == []
        rows = await ledger.accounts(session, kind=None, after=None, limit=99)
    assert {row.kind: row.balance for row in rows if row.balance} == {"clearing": -amount, "escrow": amount}


async def _deadlocks(url: str) -> int:
    """Of a database that was new, and that nobody else is connected to: each tells what it counted when it leaves."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        count = await connection.scalar(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    await engine.dispose()
    return int(count or 0)
