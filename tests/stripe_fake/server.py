"""The HTTP server: a thread and a loop of its own, so that a test may block while it is asked."""

import asyncio
import inspect
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.stripe_fake import gateway, pages
from tests.stripe_fake.errors import StripeRefusal
from tests.stripe_fake.fake import CONTROLS, Fake
from tests.stripe_fake.wire import Wire, cut_all

_LAST_REQUESTS_S = 1
_METHODS = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
Endpoint: TypeAlias = Callable[[Fake, Request], Awaitable[Response]]


async def _control(fake: Fake, request: Request) -> Response:
    """Calls a method of the stand-in with the arguments in the JSON body."""
    name = request.path_params["name"]
    if name == "help":
        return JSONResponse({name: str(inspect.signature(getattr(fake, name))) for name in CONTROLS})
    if name not in CONTROLS:
        return JSONResponse({"error": f"{name} is none of {', '.join(CONTROLS)}"}, 404)
    try:
        arguments = json.loads(await request.body() or "{}")
        result = getattr(fake, name)(**arguments)
        if inspect.isawaitable(result):
            result = await result
    except StripeRefusal as refusal:
        return JSONResponse({"error": refusal.error}, refusal.status)
    except (TypeError, ValueError) as error:
        return JSONResponse({"error": str(error)}, 400)
    return JSONResponse(_plain(result))


def _plain(result: Any) -> Any:
    """Named tuples as objects: JSON would make lists of them."""
    if isinstance(result, list):
        return [row._asdict() if hasattr(row, "_asdict") else row for row in result]
    return result


def _app(fake: Fake) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        fake.loop = asyncio.get_running_loop()
        deliveries = asyncio.create_task(fake.webhooks.run())
        yield
        deliveries.cancel()
        await asyncio.gather(deliveries, return_exceptions=True)

    def route(path: str, endpoint: Endpoint, methods: list[str]) -> Route:
        return Route(path, partial(endpoint, fake), methods=methods)

    routes = [
        route("/_fake/{name}", _control, ["GET", "POST"]),
        route("/pay/{key}", pages.payment, ["GET", "POST"]),
        route("/onboard/{account}", pages.onboarding, ["GET", "POST"]),
        route("/{path:path}", gateway.serve, _METHODS),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class _Uvicorn(uvicorn.Server):
    """Tells when it is ready, and stops when it is told to: uvicorn looks ten times a second, and a test cannot wait."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.told_to_stop = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self.ready.set()
        await self.told_to_stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        if tasks := self.server_state.tasks:
            await asyncio.wait(tasks, timeout=_LAST_REQUESTS_S)
        await self.lifespan.shutdown()


class Server:
    """Serves a stand-in on loopback between `start` and `stop`."""

    def __init__(self, fake: Fake, port: int = 0) -> None:
        self._fake = fake
        self._socket = socket.create_server(("127.0.0.1", port))
        self._address: tuple[str, int] = self._socket.getsockname()
        fake.world.url = f"http://127.0.0.1:{self._address[1]}"
        config = uvicorn.Config(
            _app(fake),
            http=Wire,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            date_header=False,
        )
        self._server = _Uvicorn(config)
        self._thread = threading.Thread(target=self._run, name="stripe stand-in", daemon=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            self._server.ready.set()

    def start(self) -> None:
        self._thread.start()
        self._server.ready.wait()
        if not self._thread.is_alive():
            raise RuntimeError("the stand-in did not start")

    def stop(self) -> None:
        """Cuts what is still open: a client that waits for ever must not hold up the end of a test."""

        def stop() -> None:
            cut_all(self._address)
            self._server.told_to_stop.set()

        if self._fake.loop is not None and self._thread.is_alive():
            self._fake.loop.call_soon_threadsafe(stop)
        self._thread.join()


@asynccontextmanager
async def running(fake: Fake | None = None, *, port: int = 0, webhook: str | None = None) -> AsyncIterator[Fake]:
    """A stand-in that answers at `fake.url` and sends its events to `webhook`, signed with `fake.secret`."""
    fake = fake or Fake()
    if webhook is not None:
        fake.add_webhook(webhook)
    server = Server(fake, port)
    await asyncio.to_thread(server.start)
    try:
        yield fake
    finally:
        await asyncio.to_thread(server.stop)
