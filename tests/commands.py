"""Our commands as processes, and how to kill one in the middle."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c.db import Database
from tests.snapshot import snapshot

_RUNNING = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() AND position(:part IN query) > 0"
)


_ALWAYS = {"COLUMNS": "200", "PYTHONUTF8": "1"}


def start(url: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "s2b2c.cli", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | _ALWAYS | {"S2B2C_DATABASE_URL": url} | environment,
    )


def cli(url: str, *words: str, code: int = 0, typed: str | None = None, **environment: str) -> str:
    """What a command printed, stderr after stdout; it must end with `code` and without a traceback.

    Its process is forked from one that has imported the command line: most of the time of a short command goes there.
    """
    everything = os.environ | _ALWAYS | {"S2B2C_DATABASE_URL": url} | environment
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stdin").write_text(typed or "", encoding="utf-8")
        process = _forking().Process(target=_command, args=(words, everything, folder, Path.cwd()))
        process.start()
        process.join(120)
        process.kill()
        said = "".join((folder / stream).read_text(encoding="utf-8") for stream in ("stdout", "stderr"))
    assert process.exitcode == code, said
    assert "Traceback" not in said
    return said


@cache
def _forking() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["s2b2c.cli", __name__])
    os.environ |= _ALWAYS  # the server of forks takes its own from here
    return context


def _command(words: tuple[str, ...], environment: dict[str, str], folder: Path, cwd: Path) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = (folder / name).open("r" if number == 0 else "w", encoding="utf-8")
        os.dup2(stream.fileno(), number)
        setattr(sys, name, stream)
    sys.argv = ["s2b2c", *words]
    from s2b2c.cli import main  # noqa: PLC0415  imported already where this is forked from, and not wanted elsewhere

    main()


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
