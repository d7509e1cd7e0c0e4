"""GraphQL over HTTP as `s2b2c serve` does it, and the schema as a file."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn

from s2b2c import accounts, payments
from s2b2c.api import documents, schema
from s2b2c.api.rates import Rates
from s2b2c.app import Webhook, create_app
from s2b2c.config import resource, settings
from s2b2c.db import Database

BACKSTOP = timedelta(seconds=5)
"""How long after the deadline of its operation the database itself ends a statement; the command line has none."""


def write_schema() -> Iterator[Path]:
    """Write graphql/schema.graphql and graphql/operations.json, and tell where each is."""
    folder = resource("graphql")
    for name, text in {"operations.json": documents.as_json(), "schema.graphql": schema.sdl()}.items():
        (folder / name).write_text(text, encoding="utf-8")
        yield folder / name


def database(url: str) -> Database:
    """Of the server: what takes longer than an operation may is ended."""
    return Database(url, statement_timeout=timedelta(seconds=settings().operation_seconds) + BACKSTOP)


def serve(database: Database) -> None:
    """Until it is told to end."""
    api = create_app(
        database,
        token_secret=accounts.token_secret(),
        gateway=payments.connect(),
        webhook=Webhook.of_settings(),
        trusted_only=settings().documents == "trusted",
        rates=Rates(database, of_person=settings().person_requests, of_address=settings().address_requests),
    )
    options: dict[str, Any] = {
        "log_config": None,  # its own log would be told in another form, and hold what stands in addresses
        "log_level": "warning",
        "access_log": False,
        "proxy_headers": False,  # S2B2C_TRUSTED_PROXIES says who is believed: it would believe all of this machine
    }
    uvicorn.run(api, host=settings().host, port=settings().port, **options)
