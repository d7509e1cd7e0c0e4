"""Those who mean no good are answered fast, by a server that serves the others meanwhile."""

import asyncio
import socket
import statistics
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress
from itertools import count, cycle
from urllib.parse import urlsplit

import httpx
import pytest

from s2b2c.db import Database
from tests import factories
from tests.api.client import SECRET
from tests.commands import start
from tests.hostile import HTTP, REQUESTS, Hostile

TRIES = 3
ROUNDS = 7
MOST_TIMES = 20
QUERIES = 600
_PATIENCE_S = 60
_PIECE = 64 * 1024
_READ_S = 0.01
"""Until the server has read a piece, or has heard enough."""
_TYPENAME = Hostile("", b'{"query": "{ __typename }"}')
_STOREFRONT = """{ shop { store(slug: "%s") { title listings(first: 24) { edges { node {
  price { amount } product { title brand { name } } variants { sku inStock } } } } } } }"""
_numbers = count()


@pytest.fixture
async def server(db: Database, database_url: str) -> AsyncIterator[str]:
    """The address of `serve`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"S2B2C_PORT": f"{port}", "S2B2C_TOKEN_SECRET": SECRET, "S2B2C_ADDRESS_REQUESTS": "1000000000"}
    process = start(database_url, "serve", **settings)
    said = asyncio.create_task(asyncio.to_thread(process.communicate))  # as it is said, so that it never has to wait
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(_PATIENCE_S), httpx.AsyncClient(trust_env=False) as http:
            while not await _is_served(http, url):  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.2)
        yield url
    finally:
        process.terminate()
        told = "".join(await asyncio.wait_for(said, _PATIENCE_S))
    assert "Traceback" not in told


async def _is_served(http: httpx.AsyncClient, url: str) -> bool:
    with suppress(httpx.TransportError):
        return (await http.get(f"{url}/health")).status_code == 200
    return False


async def test_each_is_answered_in_no_time(server: str) -> None:
    """Those that were not are asked again, as this machine may have been at other work."""
    slow: Mapping[str, float] = dict.fromkeys(REQUESTS, 0.0)
    for _ in range(TRIES):
        slow = {name: times for name, times in (await _times(server, slow)).items() if times > MOST_TIMES}
    assert slow == {}


async def _times(server: str, names: Collection[str]) -> dict[str, float]:
    """How many times as long as `{__typename}` each takes, by the medians."""
    took: dict[str, list[float]] = {name: [] for name in names}
    typename = []
    for _ in range(ROUNDS):
        for name in names:
            status, seconds = await _ask(server, _TYPENAME)
            assert status == 200
            typename.append(seconds)
            status, seconds = await _ask(server, _new(REQUESTS[name]))
            assert status < 500, name
            took[name].append(seconds)
    return {name: statistics.median(all_) / statistics.median(typename) for name, all_ in took.items()}


async def test_a_query_beside_them(server: str, db: Database) -> None:
    async with db.write() as session:
        store = await factories.a_store(session)
        for position in range(1, 11):
            variant = await factories.a_variant(session)
            await factories.a_listing(session, store, variant.product_id, position=position)
    query = {"query": _STOREFRONT % store.slug}
    async with httpx.AsyncClient(base_url=server, trust_env=False) as http:
        await _latency(http, query)
        alone = await _latency(http, query)
        over = asyncio.Event()
        attack = asyncio.create_task(_attack(server, over))
        beside = await _latency(http, query)
        over.set()
        sent = await attack
    assert sent > len(REQUESTS)
    assert beside <= 2 * alone, f"{beside * 1000:.1f} ms, and {alone * 1000:.1f} ms without them"


async def _latency(http: httpx.AsyncClient, query: dict[str, str]) -> float:
    """The median, in seconds."""
    took = []
    for _ in range(QUERIES):
        began = time.perf_counter()
        answer = (await http.post("/graphql", json=query)).json()
        took.append(time.perf_counter() - began)
        assert len(answer["data"]["shop"]["store"]["listings"]["edges"]) == 10
    return statistics.median(took)


async def _attack(server: str, over: asyncio.Event) -> int:
    """One after the other, as fast as they are answered, until it is over; how many that were."""
    sent = 0
    for hostile in cycle(REQUESTS.values()):
        if over.is_set():
            break
        await _ask(server, _new(hostile))
        sent += 1
    return sent


def _new(hostile: Hostile) -> Hostile:
    """With a comment that no document before had: what is known already takes no time."""
    if hostile.outcome == HTTP:
        return hostile
    comment = b'{"query": "#%d\\n' % next(_numbers)
    return hostile._replace(body=hostile.body.replace(b'{"query": "', comment, 1))


async def _ask(server: str, hostile: Hostile) -> tuple[int, float]:
    """(status, seconds from the last byte, for which the server has to wait, to the end of its answer).

    It may answer before that, when it has heard enough.
    """
    address = urlsplit(server)
    headers = {"host": address.netloc, "content-length": len(hostile.body), "connection": "close", **hostile.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    pieces = [f"{hostile.method} {hostile.path} HTTP/1.1\r\n{head}\r\n".encode()]
    pieces += [hostile.body[begin : begin + _PIECE] for begin in range(0, len(hostile.body), _PIECE)]
    pieces[-1:] = [pieces[-1][:-1], pieces[-1][-1:]]
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    answer = asyncio.create_task(_all_of(reader))
    for piece in pieces[:-1]:
        if not answer.done():
            writer.write(piece)
            await asyncio.sleep(_READ_S)
    began = time.perf_counter()
    if not answer.done():
        writer.write(pieces[-1])
    told = await answer
    took = time.perf_counter() - began
    writer.close()
    return int(told.split()[1]), took


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    told = b""
    with suppress(ConnectionError):  # it does not listen to the end of what is too long
        while piece := await reader.read(_PIECE):
            told += piece
    return told
