"""Orders a second the whole way: placed and paid over HTTP and GraphQL, told by Stripe's stand-in, and marked by the worker.

Sixteen customers at once ask `serve` for an order of two lines, then for what pays it, and pay at the stand-in; whoever
has paid orders again. An order counts when the worker has marked it paid. Everything runs on this machine.
`python -m tests.bench.checkout --sample` does it for three seconds.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import aiohttp
import httpx
from rich.console import Console
from sqlalchemy import text

from s2b2c import accounts, payments
from s2b2c.api.types.ids import encode
from s2b2c.config import resource
from s2b2c.db import AnyRow, Database
from tests.bench import ordering
from tests.bench.server import run_alone, timed
from tests.commands import start
from tests.databases import drop_database
from tests.stripe_fake import Fake, running

LEAST = 60
"""Orders a second."""
AT_ONCE = 16
SECONDS = 30
WARM_S = 3
_PATIENCE_S = 60
_SECRET = "the secret of the benchmark, 32 characters and more"
_PAID = text("SELECT count(*) FROM orders WHERE paid_at IS NOT NULL")
_REFS = text("SELECT id, ref FROM customers")


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    url = await ordering.world(server_url)
    fake = Fake(seed=1)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        shop = f"http://127.0.0.1:{probe.getsockname()[1]}"
    db = Database(url)
    fake.add_webhook(f"{shop}/stripe/events", events=list(payments.EVENTS))
    async with running(fake), _system(url, shop, fake):
        customers = [Customer(shop, fake.url, it, await _token(db, it)) for it in (await _shops(db))[:AT_ONCE]]
        with timed("orders over HTTP"):
            rate = await _rate(db, customers, 3 if sample else SECONDS)
        for customer in customers:
            await customer.leave()
    await db.close()
    await drop_database(server_url, ordering.DATABASE)
    Console().print(f"{rate:,.1f} orders a second by {AT_ONCE} customers over HTTP, at least {LEAST}")
    return [f"checkout: {rate:.1f} orders a second, fewer than {LEAST}"] if rate < LEAST else []


class Customer:
    def __init__(self, shop: str, stripe: str, cart: AnyRow, token: str) -> None:
        self._http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, raise_for_status=True)
        self._shop = shop
        self._stripe = stripe
        self._cart = cart

    async def buy(self, turn: int) -> None:
        variants = self._cart.variant_ids
        chosen = [variants[(turn + step) % len(variants)] for step in (0, 1)]
        cart = {
            "store": encode("store", self._cart.store_id),
            "address": encode("address", self._cart.address_id),
            "token": f"{turn}",
            "lines": [{"variant": encode("variant", it), "quantity": 2} for it in chosen],
        }
        order = await self._ask("PlaceOrder", input=cart)
        opened = await self._ask("PayOrder", order=order["id"])
        async with self._http.post(f"{self._stripe}/_fake/pay", json={"key": opened["clientSecret"]}) as paid:
            await paid.read()

    async def leave(self) -> None:
        await self._http.close()

    async def _ask(self, operation: str, **variables: object) -> Any:
        asked = {"query": _document(operation), "variables": variables}
        async with self._http.post(f"{self._shop}/graphql", json=asked) as response:
            answer = await response.json()
        (payload,) = answer["data"].values()
        return payload


@cache
def _document(operation: str) -> str:
    return (resource("graphql") / "operations" / "shop" / f"{operation}.graphql").read_text("utf-8")


async def _rate(db: Database, customers: Sequence[Customer], seconds: float) -> float:
    """Orders marked paid in this time, a second, when all have warmed up."""
    ends = time.monotonic() + WARM_S + seconds

    async def live(customer: Customer) -> None:
        turn = 0
        while time.monotonic() < ends:
            await customer.buy(turn)
            turn += 1

    buying = asyncio.gather(*map(live, customers))
    await asyncio.sleep(WARM_S)
    before, began = await _paid(db), time.monotonic()
    await asyncio.sleep(ends - time.monotonic())
    after, ended = await _paid(db), time.monotonic()
    await buying
    return (after - before) / (ended - began)


async def _paid(db: Database) -> int:
    async with db.read() as session:
        return await session.scalar(_PAID) or 0


async def _shops(db: Database) -> Sequence[AnyRow]:
    async with db.read() as session:
        return (await session.execute(ordering.CARTS)).all()


async def _token(db: Database, shop: AnyRow) -> str:
    async with db.write() as session:
        refs = {row.id: row.ref for row in await session.execute(_REFS)}
        ref = refs[shop.customer_id]
        lifetime = timedelta(hours=1)
        return await accounts.issue_token(session, role="customer", customer=ref, secret=_SECRET, lifetime=lifetime)


@asynccontextmanager
async def _system(url: str, shop: str, fake: Fake) -> AsyncIterator[None]:
    """`serve` and `worker`, which take this stand-in for Stripe."""
    environment = {
        "S2B2C_PORT": shop.rpartition(":")[2],
        "S2B2C_ADDRESS_REQUESTS": "1000000000",  # everybody of ours comes from one address
        "S2B2C_TOKEN_SECRET": _SECRET,
        "S2B2C_STRIPE_API_KEY": fake.settings.api_key,
        "S2B2C_STRIPE_WEBHOOK_SECRET": fake.secret,
        "S2B2C_STRIPE_API_BASE": fake.url,
    }
    processes = [start(url, name, **environment) for name in ("serve", "worker")]
    try:
        async with asyncio.timeout(_PATIENCE_S), httpx.AsyncClient() as http:
            while not await _is_served(http, shop):  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.2)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.communicate, timeout=_PATIENCE_S)


async def _is_served(http: httpx.AsyncClient, shop: str) -> bool:
    try:
        return (await http.get(f"{shop}/ready")).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    run_alone(bench, __doc__)
