"""The FastAPI app: /graphql with its explorer, Stripe's events, and /health."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple, Self

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from sqlalchemy import text
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection
from strawberry.fastapi import GraphQLRouter
from strawberry.http import GraphQLHTTPResponse, process_result
from strawberry.types import ExecutionResult

from s2b2c import payments
from s2b2c.api import explorer
from s2b2c.api.context import Context
from s2b2c.api.limits import MAX_BODY_BYTES
from s2b2c.api.placing import Placing
from s2b2c.api.schema import published, schema
from s2b2c.config import settings
from s2b2c.db import Database
from s2b2c.errors import Refused
from s2b2c.failures import kind_of, told

logger = logging.getLogger(__name__)


class Webhook(NamedTuple):
    """What Stripe may sign its events with, and whether they are about real money."""

    secrets: Sequence[str]
    livemode: bool

    @classmethod
    def of_settings(cls) -> Self | None:
        """None where no secret is set."""
        secret, key = settings().stripe_webhook_secret, settings().stripe_api_key
        if secret is None:
            return None
        return cls([secret.get_secret_value()], key is not None and "_live_" in key.get_secret_value())


def create_app(
    database: Database,
    *,
    token_secret: str,
    gateway: payments.Gateway | None = None,
    webhook: Webhook | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FastAPI:
    """The app on this database. It closes it, and the gateway, when it stops.

    Without a gateway it takes no payments; without `webhook` it believes nobody to be Stripe.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await database.close()
        if gateway is not None:
            await gateway.close()

    placing = Placing(database, clock)

    async def context(connection: HTTPConnection) -> Context:
        return Context(
            database,
            clock=clock,
            secret=token_secret,
            authorization=connection.headers.get("authorization"),
            gateway=gateway,
            placing=placing,
        )

    app = FastAPI(title="s2b2c", lifespan=lifespan, openapi_url=None)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_BYTES)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.include_router(
        _GraphQL(
            schema,
            path="/graphql",
            context_getter=context,
            allow_queries_via_get=False,
            subscription_protocols=(),
        )
    )

    @app.get("/health")
    async def health() -> Response:
        try:
            async with database.read() as session:
                await session.execute(text("SELECT 1"))
        except Exception as error:  # noqa: BLE001  whatever it is, there is no database
            logger.warning("the database does not answer (%s)", kind_of(error))
            return JSONResponse({"status": "no database"}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.post("/stripe/events")
    async def stripe_events(request: Request) -> Response:
        """Store what Stripe tells; the worker works on it. Whatever is stored, also before, is answered 200."""
        if webhook is None:
            return JSONResponse({"error": "No S2B2C_STRIPE_WEBHOOK_SECRET is set."}, status_code=503)
        return await _store_event(request, database, webhook, clock())

    return app


async def _gone(_: Request, __: Exception) -> Response:
    """Whoever asked did not wait for the end of its own question: nothing broke."""
    return Response(status_code=499)


async def _store_event(request: Request, database: Database, webhook: Webhook, now: datetime) -> Response:
    body, signature = await request.body(), request.headers.get("stripe-signature", "")
    try:
        async with database.write() as session:
            await payments.accept(session, body, signature, **webhook._asdict(), now=now)
    except Refused as refused:
        return JSONResponse({"error": refused.refusal.message}, status_code=400)
    except Exception as error:  # noqa: BLE001  whatever it is, Stripe tells it again
        logger.error("an event of Stripe is not stored: %s", told(error))  # noqa: TRY400  that tells messages too
        return JSONResponse({"error": "The event could not be stored: send it again."}, status_code=503)
    return JSONResponse({"received": True})


class _GraphQL(GraphQLRouter[Context, None]):
    """The library's router, with our explorer, our words for errors, and UTF-8 on the wire."""

    _explorer = explorer.page()

    async def render_graphql_ide(self, request: Request) -> HTMLResponse:  # noqa: ARG002
        html, headers = self._explorer
        return HTMLResponse(html, headers=headers)

    def decode_json(self, data: str | bytes) -> object:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise HTTPException(400, "The body must be one JSON object with a query.")
        return value

    def encode_json(self, data: object) -> bytes:
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:  # noqa: ARG002
        if result.errors:
            result.errors = [published(error) for error in result.errors]
        return process_result(result)
