"""The FastAPI app: /graphql with its explorer, and /health."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from sqlalchemy import text
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import HTTPConnection
from strawberry.fastapi import GraphQLRouter
from strawberry.http import GraphQLHTTPResponse, process_result
from strawberry.types import ExecutionResult

from s2b2c.api import explorer
from s2b2c.api.context import Context
from s2b2c.api.limits import MAX_BODY_BYTES
from s2b2c.api.schema import published, schema
from s2b2c.db import Database

logger = logging.getLogger(__name__)


def create_app(
    database: Database, *, token_secret: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> FastAPI:
    """The app on this database, which it closes when it stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await database.close()

    async def context(connection: HTTPConnection) -> Context:
        return Context(
            database, clock=clock, secret=token_secret, authorization=connection.headers.get("authorization")
        )

    app = FastAPI(title="s2b2c", lifespan=lifespan, openapi_url=None)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_BYTES)
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
        except Exception:
            logger.warning("the database does not answer", exc_info=True)
            return JSONResponse({"status": "no database"}, status_code=503)
        return JSONResponse({"status": "ok"})

    return app


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
