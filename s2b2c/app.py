"""The FastAPI app: /graphql with its explorer, files, Stripe's events, /health and /ready."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route

from s2b2c import payments
from s2b2c.api import documents, files
from s2b2c.api.caller import address_of
from s2b2c.api.context import Context
from s2b2c.api.http import GraphQL
from s2b2c.api.limits import MAX_BODY_BYTES
from s2b2c.api.placing import Placing
from s2b2c.api.rates import Rates
from s2b2c.api.schema import schema
from s2b2c.api.telemetry import Telemetry
from s2b2c.config import settings
from s2b2c.db import Database, is_usable
from s2b2c.errors import Refused
from s2b2c.failures import kind_of, told

logger = logging.getLogger(__name__)

_READY_WITHIN_S = 3


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
    trusted_only: bool = False,
    rates: Rates | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FastAPI:
    """The app on this database. It closes it, and the gateway, when it stops.

    Without a gateway it takes no payments; without `webhook` it believes nobody to be Stripe; with `trusted_only` it
    runs no other documents than graphql/operations; without `rates` anybody may ask as much as they like.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await database.close()
        if gateway is not None:
            await gateway.close()

    placing = Placing(database, clock)

    def context(request: Request) -> Context:
        return Context(
            database,
            clock=clock,
            secret=token_secret,
            authorization=request.headers.get("authorization"),
            address=address_of(request),
            gateway=gateway,
            placing=placing,
            rates=rates,
        )

    async def health(_: Request) -> Response:
        """The process is alive: who restarts it asks here, and a database that is away is no reason to."""
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        """It can serve: who sends it requests asks here."""
        state = await _state_of(database)
        payments_are = "off" if gateway is None else "on"
        return JSONResponse({"database": state, "payments": payments_are}, 200 if state == "ready" else 503)

    async def stripe_events(request: Request) -> Response:
        """Store what Stripe tells; the worker works on it. Whatever is stored, also before, is answered 200."""
        if webhook is None:
            return JSONResponse({"error": "No S2B2C_STRIPE_WEBHOOK_SECRET is set."}, status_code=503)
        return await _store_event(request, database, webhook, clock())

    graphql = GraphQL(schema, context, documents.load(schema), trusted_only=trusted_only)
    routes: list[BaseRoute] = [
        Route("/graphql", graphql),
        Route("/health", health),
        Route("/ready", ready),
        Route("/stripe/events", stripe_events, methods=["POST"], max_body_size=MAX_BODY_BYTES),
        *files.routes(context),
    ]
    gone: dict[int | type[Exception], Any] = {ClientDisconnect: _gone}
    return FastAPI(
        title="s2b2c",
        lifespan=lifespan,
        openapi_url=None,
        routes=routes,
        middleware=[Middleware(Telemetry)],
        exception_handlers=gone,
    )


async def _gone(_: Request, __: Exception) -> Response:
    """Whoever asked did not wait for the end of its own question: nothing broke."""
    return Response(status_code=499)


async def _state_of(database: Database) -> str:
    try:
        async with asyncio.timeout(_READY_WITHIN_S), database.read() as session:
            return "ready" if await is_usable(session) else "not migrated"
    except Exception as error:  # noqa: BLE001  whatever it is, there is no database
        logger.warning("the database does not answer (%s)", kind_of(error))
        return "no answer"


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
