"""The stand-in and its HTTP server: a thread and a loop of its own, so that a test may block while it is asked.

What it answers is WeChat's: JSON as text/plain, always with status 200, an `errcode` where it refuses.
"""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

APP_ID = "wx0123456789abcdef"
APP_SECRET = "0123456789abcdef0123456789abcdef"
_TOLD = {
    -1: "system error",
    40013: "invalid appid",
    40029: "invalid code",
    40125: "invalid appsecret",
    40163: "code been used",
    40226: "code blocked",
    45011: "api minute-quota reach limit  mustslower  retry next minute",
}


class User(NamedTuple):
    openid: str
    unionid: str | None = None


class Message(NamedTuple):
    """What the SMS gateway was asked to send."""

    phone: str
    code: str
    minutes: int
    authorization: str | None


@dataclass
class Fake:
    """`url` is WeChat's, `sms_url` the gateway's; both are known while it runs."""

    app_id: str = APP_ID
    app_secret: str = APP_SECRET
    url: str = ""
    messages: list[Message] = field(default_factory=list)
    asked: int = 0
    """How often WeChat was asked."""
    trouble: Callable[[], Response] | int | None = None
    """What WeChat answers instead: an error code, or a response of one's own."""
    hangs: bool = False
    """Nobody gets an answer."""
    sms_status: int = 200
    _users: dict[str, User | None] = field(default_factory=dict)

    @property
    def sms_url(self) -> str:
        return f"{self.url}/sms"

    def code_for(self, user: User) -> str:
        """What `wx.login()` would give this user."""
        code = f"0a1b2c3d4e5f6g7h8i9j{len(self._users):012}"
        self._users[code] = user
        return code

    def sent_to(self, phone: str) -> str:
        """The newest code for a phone, as the gateway writes it: with a +."""
        return next(one.code for one in reversed(self.messages) if one.phone == phone)

    async def session(self, request: Request) -> Response:
        self.asked += 1
        asked = request.query_params
        if self.hangs:
            await asyncio.sleep(60)
        if callable(self.trouble):
            return self.trouble()
        if self.trouble is not None:
            return _refused(self.trouble)
        if asked.get("appid") != self.app_id or asked.get("grant_type") != "authorization_code":
            return _refused(40013)
        if asked.get("secret") != self.app_secret:
            return _refused(40125)
        code = asked.get("js_code", "")
        if code not in self._users:
            return _refused(40029)
        user, self._users[code] = self._users[code], None
        if user is None:
            return _refused(40163)
        told = {"session_key": "tiihtNczf5v6AKRyjwEUhQ==", "openid": user.openid}
        return _plain(told if user.unionid is None else {**told, "unionid": user.unionid})

    async def send(self, request: Request) -> Response:
        if self.hangs:
            await asyncio.sleep(60)
        told = await request.json()
        if self.sms_status < 300:
            self.messages.append(Message(**told, authorization=request.headers.get("authorization")))
        return JSONResponse({}, self.sms_status)

    async def show(self, _: Request) -> Response:
        """What was sent, newest last."""
        return JSONResponse([{"phone": one.phone, "code": one.code} for one in self.messages])

    async def log_in(self, request: Request) -> Response:
        """A code for the user of this openid, as `wx.login()` gives it in the app."""
        asked = request.query_params
        user = User(request.path_params["openid"], asked.get("unionid"))
        return JSONResponse({"code": self.code_for(user)})


def _plain(told: object) -> Response:
    return PlainTextResponse(json.dumps(told))


def _refused(code: int) -> Response:
    return _plain({"errcode": code, "errmsg": f"{_TOLD[code]} rid: 65c1a2b3-1a2b3c4d-5e6f7a8b"})


class _Uvicorn(uvicorn.Server):
    """Tells when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def running(fake: Fake | None = None, *, port: int = 0) -> AsyncIterator[Fake]:
    """A stand-in that answers at `fake.url` and `fake.sms_url`."""
    fake = fake or Fake()
    listener = socket.create_server(("127.0.0.1", port))
    fake.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    routes = [
        Route("/sns/jscode2session", fake.session),
        Route("/sms", fake.send, methods=["POST"]),
        Route("/_fake/sms", fake.show),
        Route("/_fake/login/{openid}", fake.log_in),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes),
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = _Uvicorn(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    await asyncio.to_thread(server.ready.wait, 10)
    try:
        yield fake
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join)
        listener.close()
