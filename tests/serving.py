"""The app behind a real server, on a port of loopback: in this process, or as `s2b2c serve`."""

import asyncio
import re
import socket
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from tests.commands import start


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Its address, as http://127.0.0.1:PORT."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@contextmanager
def processes(url: str, count: int, **environment: str) -> Iterator[list[str]]:
    """The addresses of so many `s2b2c serve` on one database, and what they wrote is looked through at the end."""
    ports = []
    for _ in range(count):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports.append(probe.getsockname()[1])
    processes = [start(url, "serve", S2B2C_PORT=str(port), **environment) for port in ports]
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    try:
        for address in addresses:
            _wait(address)
        yield addresses
    finally:
        for process in processes:
            process.terminate()
        said = "".join("".join(process.communicate(timeout=60)) for process in processes)
    assert "Traceback" not in said
    assert not re.search(r"\b(\d{6}|1[3-9]\d{9})\b", said), said


def _wait(address: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310  our own address
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("it does not serve")
