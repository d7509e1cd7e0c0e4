"""What an operation costs is told: a line in the log and the numbers of Prometheus, for each."""

import logging
import re
import secrets
import time
from collections.abc import Iterator
from functools import cache

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from strawberry.extensions import SchemaExtension

from s2b2c import logs, metrics
from s2b2c.api import documents

OTHER = "other"
HEADER = "x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9._-]{16,64}")
"""Of a load balancer or a tracer; what is shorter than that is no id, and may be anybody's number."""
_WEBHOOKS = {"/stripe/events": "stripe/events"}

_log = logging.getLogger(__name__)


@cache
def _names() -> dict[str, str]:
    """Our own documents by their text; of two alike, the first. What clients call theirs is told nowhere."""
    return {text: name for name, text in reversed([*documents.texts().items()])}


class Named(SchemaExtension):
    """Knows an operation of ours by its document."""

    def on_operation(self) -> Iterator[None]:
        if (request := logs.current.get()) is not None:
            request.operation = _names().get(self.execution_context.query or "", OTHER)
        yield


class Telemetry:
    """Gives each request its id, X-Request-Id, and tells what became of operations and webhooks, and at what cost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        _names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        given = next((value for name, value in scope["headers"] if name == HEADER.encode()), b"")
        request = logs.Request(given.decode() if _SANE.fullmatch(given) else secrets.token_hex(16))
        status: int | None = None

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request.id
            await send(message)

        before = logs.current.set(request)
        try:
            await self._app(scope, receive, send_named)
        except Exception:
            status = status or 500
            raise
        finally:
            request.operation = _WEBHOOKS.get(scope["path"], request.operation)
            if request.operation is None and scope["path"] == "/graphql" and (status is None or status >= 400):
                request.operation = OTHER
            if request.operation is not None:
                _tell(request, request.operation, status, time.perf_counter() - began)
            logs.current.reset(before)


def _tell(request: logs.Request, operation: str, status: int | None, took_s: float) -> None:
    ended = "DISCONNECTED" if status is None else "OK" if status < 400 else f"HTTP_{status}"
    outcome = request.outcome or ended
    metrics.OPERATIONS.labels(operation, outcome).inc()
    metrics.OPERATION_SECONDS.labels(operation).observe(took_s)
    metrics.OPERATION_STATEMENTS.labels(operation).observe(request.statements)
    facts = {
        "operation": operation,
        "account_id": request.account_id,
        "role": request.role,
        "ms": round(took_s * 1000, 1),
        "statements": request.statements,
        "outcome": outcome,
        "status": status,
    }
    _log.info("answered", extra={"facts": facts})
