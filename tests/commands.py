"""Our commands as processes, and how to kill one in the middle."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c.db import Database
from tests.snapshot import snapshot

_RUNNING = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() AND position(:part IN query) > 0"
)


def start(url: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "s2b2c.cli", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"S2B2C_DATABASE_URL": url, "COLUMNS": "200", "PYTHONUTF8": "1"} | environment,
    )


def cli(url: str, *words: str, code: int = 0, typed: str | None = None, **environment: str) -> str:
    """What a command printed, stderr after stdout; it must end with `code` and without a traceback."""
    process = start(url, *words, **environment)
    said = "".join(process.communicate(typed, timeout=120))
    assert process.returncode == code, said
    assert "Traceback" not in said
    return said


async def kill_during(url: str, statement: str, *words: str, **environment: str) -> None:
    """SIGKILL a command while the server runs a statement with these words for it; TimeoutError when it never does."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with engine.connect() as connection:

            async def is_running() -> bool:
                return bool(await connection.scalar(_RUNNING, {"part": statement}))

            await kill_when(is_running, url, *words, **environment)
    finally:
        await engine.dispose()


async def kill_when(condition: Callable[[], Awaitable[bool]], url: str, *words: str, **environment: str) -> None:
    """SIGKILL a command as soon as this holds; TimeoutError when it never does."""
    process = start(url, *words, **environment)
    try:
        async with asyncio.timeout(60):
            while not await condition():  # noqa: ASYNC110  it sends no events
                await asyncio.sleep(0.002)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


async def snapshot_of(url: str) -> dict[str, list[str]]:
    db = Database(url)
    try:
        return await snapshot(db)
    finally:
        await db.close()
