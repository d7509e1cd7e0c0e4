"""Whoever gets webhooks: keeps what came, and answers as it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple


class Received(NamedTuple):
    payload: bytes
    signature: str


class Receiver:
    def __init__(self) -> None:
        self.url = ""
        self.received: list[Received] = []
        self.statuses: list[int] = []
        """What the next deliveries are answered; 200 when there are none left."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head)}
                payload = await reader.readexactly(int(headers["content-length"]))
                self.received.append(Received(payload, headers["stripe-signature"]))
                status = self.statuses.pop(0) if self.statuses else 200
                writer.write(f"HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
    try:
        yield receiver
    finally:
        server.close()
