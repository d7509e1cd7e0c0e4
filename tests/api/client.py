"""A client of the whole app, through ASGI, that counts what reaches the database."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import event

from s2b2c import accounts, payments
from s2b2c.app import create_app
from s2b2c.config import resource
from s2b2c.db import Database

SECRET = "the secret of the tests, 32 characters and more"


@dataclass
class Api:
    db: Database
    http: httpx.AsyncClient
    statements: list[str] = field(default_factory=list)
    """What the app sent to the database during the last `ask`; BEGIN and the like are none of them."""

    async def ask(self, query: str, token: str | None = None, **variables: Any) -> Any:
        """The decoded answer."""
        self.statements.clear()
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        response = await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def run(self, operation: str, token: str | None = None, **variables: Any) -> Any:
        """The answer to one of graphql/operations, like "shop/Storefront"."""
        file = resource("graphql") / "operations" / f"{operation}.graphql"
        return await self.ask(file.read_text(encoding="utf-8"), token, **variables)

    async def code(self, query: str, token: str | None = None, **variables: Any) -> str:
        """The code of the one error that the answer is."""
        (error,) = (await self.ask(query, token, **variables))["errors"]
        assert set(error["extensions"]) == {"code"}
        return str(error["extensions"]["code"])

    async def token(
        self, role: str, *, brand: str | None = None, distributor: str | None = None, customer: str | None = None
    ) -> str:
        named = {"brand": brand, "distributor": distributor, "customer": customer}
        async with self.db.write() as session:
            return await accounts.issue_token(session, role=role, **named, secret=SECRET, lifetime=timedelta(hours=1))


@asynccontextmanager
async def api_on(db: Database, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> AsyncIterator[Api]:
    """A fixture `stripe` that was there before is what its payments go through."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    transport = httpx.ASGITransport(create_app(db, token_secret=SECRET, gateway=payments.connect(), clock=clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        api = Api(db, http)

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            api.statements.append(statement)

        engine = db._engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        yield api
        event.remove(engine, "before_cursor_execute", note)
