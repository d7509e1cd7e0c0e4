"""A real server, a database migrated once by Alembic, and a clone of it for every test that commits."""

import os
from collections.abc import AsyncIterator, Iterator
from itertools import count

import hypothesis
import pytest
from hypothesis import HealthCheck
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import embedded
from s2b2c.config import settings, state_dir
from s2b2c.db import Database, migrate

_clones = count()

_any = hypothesis.settings(
    deadline=None,
    # The session is shared by the examples; each rolls back what it wrote.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis.settings.register_profile("short", _any, max_examples=40)
hypothesis.settings.register_profile("soak", _any, max_examples=1_000)
hypothesis.settings.load_profile("short")


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server on which this user may create databases and roles: the one in the environment, else our own."""
    if url := settings().database_url:
        yield url
    else:
        with embedded.server(state_dir() / "test-pg", durable=False) as own:
            yield own


async def _on_server(url: str, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def _database(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
async def template(server_url: str) -> AsyncIterator[str]:
    """The name of a migrated, empty database that nobody connects to."""
    name = f"s2b2c_test_{os.getpid()}"
    await _on_server(server_url, f"CREATE DATABASE {name}")
    await migrate(_database(server_url, name))
    yield name
    await _on_server(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def other_database_url(server_url: str, template: str) -> AsyncIterator[str]:
    """A second clone, to compare the first with."""
    async for url in _clone(server_url, template):
        yield url


@pytest.fixture
async def database_url(server_url: str, template: str) -> AsyncIterator[str]:
    """The URL, as the owner, of a clone of the template."""
    async for url in _clone(server_url, template):
        yield url


async def _clone(server_url: str, template: str) -> AsyncIterator[str]:
    name = f"{template}_{next(_clones)}"
    await _on_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _database(server_url, name)
    await _on_server(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Sessions in the app's role on a clone of the template."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture(scope="session")
async def shared_db(server_url: str, template: str) -> AsyncIterator[Database]:
    name = f"{template}_shared"
    await _on_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    database = Database(_database(server_url, name))
    yield database
    await database.close()
    await _on_server(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def session(shared_db: Database) -> AsyncIterator[AsyncSession]:
    """A transaction that is rolled back after the test."""
    async with shared_db.write() as session:
        yield session
        await session.rollback()
