"""Answers that are none: a connection that is cut, and one that stays open in silence."""

import asyncio
import socket
import struct
from typing import ClassVar, TypeAlias

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_CLOSE_AT_ONCE = struct.pack("ii", 1, 0)


_Addresses: TypeAlias = tuple[tuple[str, int], tuple[str, int]]
"""Of the client and of the server."""


class Wire(H11Protocol):
    """The server's side of a connection, found again by its two addresses."""

    transports: ClassVar[dict[_Addresses, asyncio.Transport]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does it only for sockets that were made with the protocol's number; without it an answer takes 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transports[_addresses(transport)] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del self.transports[_addresses(self.transport)]
        super().connection_lost(exc)


def _addresses(transport: asyncio.Transport) -> _Addresses:
    return transport.get_extra_info("peername"), transport.get_extra_info("sockname")


def cut_all(server: tuple[str, int]) -> None:
    """Cuts every connection to this address."""
    for (_, local), transport in list(Wire.transports.items()):
        if local == server:
            transport.abort()


class Silence(Response):
    """Nothing, for as long as the client waits."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        while (await receive())["type"] != "http.disconnect":
            pass


class Reset(Silence):
    """The connection is cut at once, so that the client reads a reset and not an end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = Wire.transports[tuple(scope["client"]), tuple(scope["server"])]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_AT_ONCE)
        transport.abort()
        await super().__call__(scope, receive, send)
