"""A real server, a database migrated once by Alembic, and a clone of it for every test that commits."""

import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from zlib import crc32

import hypothesis
import pytest
from hypothesis import HealthCheck
from obstore.store import LocalStore
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import embedded, files
from s2b2c.config import settings, state_dir
from s2b2c.db import Database, migrate
from tests.databases import create_database, drop_database

_clones = count()
_MEMORY = Path("/dev/shm")  # noqa: S108  a folder of our own in it, which embedded.py makes sure of
_MEMORY_BYTES = 4 * 1024**3

_any = hypothesis.settings(
    deadline=None,
    # The session is shared by the examples; each rolls back what it wrote.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis.settings.register_profile("short", _any, max_examples=40)
hypothesis.settings.register_profile("soak", _any, max_examples=1_000)
hypothesis.settings.load_profile("short")


def _data_dir() -> Path:
    """In memory where there is room: a disk is what two thousand clones wait for."""
    with suppress(OSError):
        if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES:
            return _MEMORY / f"s2b2c-{os.getuid()}-{crc32(str(state_dir()).encode()):08x}" / "pg"
    return state_dir() / "test-pg"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the memory back, when nobody is at it: another run of this checkout, say."""
    folder = _data_dir().parent
    if hasattr(session.config, "workerinput") or folder.parent != _MEMORY or not folder.is_dir():
        return
    with suppress(OSError), (folder / "pg.users").open("rb") as users:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server on which this user may create databases and roles: the one in the environment, else our own."""
    if url := settings().database_url:
        yield url
    else:
        with embedded.server(_data_dir(), durable=False) as own:
            yield own


@pytest.fixture(scope="session")
async def template(server_url: str) -> AsyncIterator[str]:
    """The name of a migrated, empty database that nobody connects to."""
    name = f"s2b2c_test_{os.getpid()}"
    await migrate(await create_database(server_url, name))
    yield name
    await drop_database(server_url, name)


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
    yield await create_database(server_url, name, template=template)
    await drop_database(server_url, name)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Sessions in the app's role on a clone of the template."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where files are kept, of this test alone."""
    folder = tmp_path / "store"
    local = LocalStore(folder, mkdir=True)
    monkeypatch.setattr(files, "_store", lambda: local)
    return folder


@pytest.fixture(scope="session")
async def shared_db(server_url: str, template: str) -> AsyncIterator[Database]:
    name = f"{template}_shared"
    database = Database(await create_database(server_url, name, template=template))
    yield database
    await database.close()
    await drop_database(server_url, name)


@pytest.fixture
async def session(shared_db: Database) -> AsyncIterator[AsyncSession]:
    """A transaction that is rolled back after the test."""
    async with shared_db.write() as session:
        yield session
        await session.rollback()
