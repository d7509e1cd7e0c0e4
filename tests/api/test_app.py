"""The app as the network sees it."""

import asyncio
import logging
import re

import httpx
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import app
from s2b2c.app import Webhook, create_app
from s2b2c.db import Database, revisions
from tests import factories
from tests.api.client import SECRET, Api, api_on
from tests.serving import serving
from tests.stripe_fake import Fake


async def test_the_explorer_needs_no_other_server(api: Api) -> None:
    response = await api.http.get("/graphql", headers={"Accept": "text/html"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.findall(r"https?:|//[a-z]", response.text)
    for attribute in re.findall(r'(?:src|href)="([^"]*)"', response.text):
        assert attribute.startswith("data:")
    assert "query Storefront(" in response.text
    assert "query StoreOutput(" in response.text


async def test_the_explorer_may_run_its_own_script_only(api: Api) -> None:
    response = await api.http.get("/graphql", headers={"Accept": "text/html"})
    policy = dict(rule.split(" ", 1) for rule in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
    assert not re.findall(r"\son\w+=|style=", response.text)


async def _ready(api: Api) -> tuple[int, str]:
    response = await api.http.get("/ready")
    assert response.json()["payments"] == "off"
    return response.status_code, response.json()["database"]


async def test_ready_is_one_statement(api: Api) -> None:
    assert await _ready(api) == (200, "ready")
    assert api.statements == ["SELECT version_num FROM alembic_version"]


async def test_ready_with_payments(db: Database, stripe: Fake) -> None:
    async with api_on(db) as api:
        assert (await api.http.get("/ready")).json() == {"database": "ready", "payments": "on"}


async def test_alive_without_a_database_and_not_ready(database_url: str) -> None:
    gone = Database(make_url(database_url).set(database="nowhere").render_as_string(hide_password=False))
    async with api_on(gone) as api:
        alive = await api.http.get("/health")
        assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
        assert api.statements == []
        assert await _ready(api) == (503, "no answer")
    await gone.close()


async def test_a_database_that_is_slow_is_not_waited_for(
    api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_READY_WITHIN_S", 0.2)
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE alembic_version"))
        assert await _ready(api) == (503, "no answer")
    await engine.dispose()
    assert await _ready(api) == (200, "ready")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (f"UPDATE alembic_version SET version_num = '{revisions()[1]}'", (503, "not migrated")),
        ("UPDATE alembic_version SET version_num = 'of-a-newer-program'", (200, "ready")),
        ("DELETE FROM alembic_version", (503, "not migrated")),
        ("DROP TABLE alembic_version", (503, "not migrated")),
    ],
)
async def test_only_a_database_that_is_migrated_is_ready(
    api: Api, database_url: str, statement: str, said: tuple[int, str]
) -> None:
    """Where a newer program has migrated it, this one goes on until it is replaced."""
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
    assert await _ready(api) == said


async def test_over_real_http(db: Database) -> None:
    async with db.write() as session:
        store = await factories.a_store(session)
    query = "query($slug: String!) { shop { store(slug: $slug) { title } } }"
    async with (
        serving(create_app(db, token_secret=SECRET)) as address,
        httpx.AsyncClient(base_url=address, trust_env=False) as http,
    ):
        answer = await http.post("/graphql", json={"query": query, "variables": {"slug": store.slug}})
        health = await http.get("/health")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json() == {"data": {"shop": {"store": {"title": store.title}}}}
    assert store.title in answer.text, "UTF-8 on the wire, not escapes"
    assert health.json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/graphql", "/stripe/events"])
async def test_who_leaves_in_the_middle_of_a_question_breaks_nothing(
    db: Database, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Real HTTP: the head of a question and half of its body, and nobody any more."""
    async with serving(create_app(db, token_secret=SECRET, webhook=Webhook(["whsec_x"], livemode=False))) as address:
        head = f"POST {path} HTTP/1.1\r\nHost: s2b2c\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        for body in ("", '{"query":'):
            _, writer = await asyncio.open_connection("127.0.0.1", make_url(address).port)
            writer.write((head + body).encode())
            await writer.drain()
            await asyncio.sleep(0.1)  # so that the server waits for the rest
            writer.close()
            await writer.wait_closed()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
