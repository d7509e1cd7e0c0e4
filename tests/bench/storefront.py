"""The page of a storefront over HTTP, beside its floor: one asyncpg query whose rows are written as JSON by hand.

Both are served by uvicorn in a process of their own, hold one connection per request in hand, answer the very same
bytes of data, and take turns, so that what else the machine does hits both.
"""

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg
import uvicorn
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from s2b2c import main_job
from s2b2c.app import create_app
from s2b2c.config import resource
from s2b2c.db import Database, migrate
from s2b2c.imports.kinds import KINDS
from tests.bench.server import SAMPLE, fresh_database, run_alone, timed, told_progress
from tests.databases import drop_database

DATABASE = "s2b2c_bench_storefront"
SLUG = "hangzhou"
FIRST = 24
CONNECTIONS = 8
ROUNDS = 3
SECONDS = 5.0

_PAGE = """
    SELECT s.id AS store_id, s.slug, s.title AS store_title, s.region, l.price, l.pitch, l.position, l.pinned,
           p.id AS product_id, p.title, p.category, p.tonalities, p.audiences, p.image_url, b.id AS brand_id,
           b.name AS brand,
           (SELECT json_agg(json_build_array(v.id, v.sku, v.options, v.stock > 0) ORDER BY v.id)
            FROM variants v JOIN prices x ON x.variant_id = v.id AND upper_inf(x.during)
            WHERE v.product_id = p.id AND x.tier_costs[t.rank] IS NOT NULL) AS variants
    FROM stores s
    JOIN distributors d ON d.id = s.distributor_id
    JOIN tiers t ON t.id = d.tier_id
    JOIN listings l ON l.store_id = s.id
    JOIN products p ON p.id = l.product_id
    JOIN brands b ON b.id = p.brand_id
    WHERE s.slug = $1 AND s.state = 'open' AND p.state = 'listed'
    ORDER BY NOT l.pinned, l.position
    LIMIT $2
"""


def _id(kind: str, *key: int) -> str:
    return urlsafe_b64encode(":".join([kind, *map(str, key)]).encode()).decode()


def _node(row: Any) -> dict[str, Any]:
    return {
        "id": _id("listing", row["store_id"], row["product_id"]),
        "price": {"amount": row["price"], "currency": "CNY"},
        "pitch": row["pitch"],
        "position": row["position"],
        "product": {
            "id": _id("product", row["product_id"]),
            "title": row["title"],
            "category": row["category"],
            "tonalities": row["tonalities"],
            "audiences": row["audiences"],
            "imageUrl": row["image_url"],
            "brand": {"id": _id("brand", row["brand_id"]), "name": row["brand"]},
        },
        "variants": [
            {
                "id": _id("variant", id_),
                "sku": sku,
                "options": [{"name": name, "value": value} for name, value in options.items()],
                "inStock": in_stock,
            }
            for id_, sku, options, in_stock in json.loads(row["variants"] or "[]")
        ],
    }


def floor_page(rows: list[Any]) -> dict[str, Any]:
    """What the operation shop/Storefront answers, from the rows of `_PAGE`."""
    shown = rows[:FIRST]
    cursors = [_id("listing", 0 if row["pinned"] else 1, row["position"]) for row in shown]
    store = {
        "id": _id("store", rows[0]["store_id"]),
        "slug": rows[0]["slug"],
        "title": rows[0]["store_title"],
        "region": rows[0]["region"],
        "listings": {
            "edges": [{"cursor": cursor, "node": _node(row)} for cursor, row in zip(cursors, shown, strict=True)],
            "pageInfo": {"hasNextPage": len(rows) > FIRST, "endCursor": cursors[-1]},
        },
    }
    return {"data": {"shop": {"store": store}}}


class Floor:
    """The least that could answer: no GraphQL, no ORM, no layers."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._pool: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            with suppress(asyncio.CancelledError):
                await receive()
            return
        if self._pool is None:
            self._pool = await asyncpg.create_pool(self._url, min_size=CONNECTIONS, max_size=CONNECTIONS)
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        rows = await self._pool.fetch(_PAGE, SLUG, FIRST + 1)
        body = json.dumps(floor_page(rows), ensure_ascii=False).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def serve(what: str, url: str, port: int) -> None:
    app: Any = create_app(Database(url, pool_size=CONNECTIONS), token_secret="x" * 32) if what == "app" else Floor(url)
    uvicorn.run(app, port=port, log_config=None, access_log=False)


@contextmanager
def serving(what: str, url: str) -> Iterator[int]:
    """The port of a process that serves the app or the floor."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen([sys.executable, "-m", "tests.bench.storefront", what, url, str(port)])
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if child.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the {what} does not serve") from None
                time.sleep(0.1)
        yield port
    finally:
        child.terminate()
        child.wait()


def _request() -> bytes:
    query = (resource("graphql") / "operations" / "shop" / "Storefront.graphql").read_text(encoding="utf-8")
    body = json.dumps({"query": query, "variables": {"slug": SLUG, "first": FIRST}}).encode()
    head = f"POST /graphql HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    assert head.startswith(b"http/1.1 200"), head
    return await reader.readexactly(length)


async def _load(port: int, seconds: float) -> tuple[float, bytes]:
    """(requests a second, one of the answers)."""
    request = _request()
    until = time.monotonic() + seconds
    answered, answer = 0, b""

    async def client() -> None:
        nonlocal answered, answer
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < until:
            answer = await _one(reader, writer, request)
            answered += 1
        writer.close()

    began = time.monotonic()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return answered / (time.monotonic() - began), answer


async def _prepare(url: str) -> None:
    await migrate(url)
    db = Database(url)
    with timed("import of the sample"), told_progress() as progress:
        for kind in KINDS:
            await main_job.import_path(db, kind, SAMPLE / f"{kind}.csv", Console(stderr=True), progress)
    await db.close()


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    url = await fresh_database(server_url, DATABASE)
    await _prepare(url)
    rates: dict[str, list[float]] = {"app": [], "floor": []}
    with serving("app", url) as app, serving("floor", url) as floor:
        ports = {"app": app, "floor": floor}
        answers = {what: json.loads((await _load(port, 1.0))[1]) for what, port in ports.items()}  # and warm
        if answers["app"] != answers["floor"]:
            raise SystemExit("the floor answers something else than the app")
        for _ in range(ROUNDS):
            for what, port in ports.items():
                rates[what].append((await _load(port, SECONDS / 5 if sample else SECONDS))[0])
    await drop_database(server_url, DATABASE)
    _show(rates)
    return []


def _show(rates: dict[str, list[float]]) -> None:
    table = Table(title=f"A storefront page of {FIRST}, {CONNECTIONS} connections, requests a second")
    table.add_column("")
    for number in range(1, ROUNDS + 1):
        table.add_column(f"round {number}", justify="right")
    table.add_column("median", justify="right")
    for what, each in rates.items():
        table.add_row(what, *(f"{rate:,.0f}" for rate in each), f"{statistics.median(each):,.0f}")
    table.add_section()
    ratio = statistics.median(rates["floor"]) / statistics.median(rates["app"])
    table.add_row("floor / app", *[""] * ROUNDS, f"{ratio:.2f}")
    Console().print(table)


def main() -> None:
    if len(sys.argv) == 4:
        serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
        return
    run_alone(bench, __doc__)


if __name__ == "__main__":
    main()
