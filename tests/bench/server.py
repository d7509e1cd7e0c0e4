"""What the benchmarks share: a fresh database, the real year as import files, and seconds told step by step."""

import argparse
import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import make_url

from s2b2c import embedded, imports
from s2b2c.config import CHECKOUT, settings, state_dir
from s2b2c.imports.kinds import KINDS
from tests.databases import create_database, drop_database

ADAPTER = CHECKOUT / "seed" / "complete_journey.py"
SAMPLE = CHECKOUT / "seed" / "sample"
_TOLD_FROM_S = 1.0

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A bare connection as whoever owns the tables."""

Bench = Callable[[str, bool], Coroutine[Any, Any, list[str]]]
"""Measures on the server of a URL, on little data if so told, and prints tables; answers which limits were broken."""


@contextmanager
def server() -> Iterator[str]:
    """The URL, as somebody who may create databases, of the server in the settings, else of our own."""
    given = settings().owner_database_url or settings().database_url
    with nullcontext(given) if given else embedded.server(state_dir() / "pg") as url:
        assert url is not None
        yield url


def run_alone(bench: Bench, told: str | None) -> None:
    """The command line of one benchmark; exits non-zero when a limit was broken."""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true", help="on little data, and without limits")
    sample = parser.parse_args().sample
    with server() as url:
        broken = asyncio.run(bench(url, sample))
    if broken and not sample:
        sys.exit("\n".join(broken))


@asynccontextmanager
async def owner_of(url: str) -> AsyncIterator[Owner]:
    owner = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        yield owner
    finally:
        await owner.close()


async def fresh_database(server_url: str, name: str) -> str:
    """The URL, as the owner, of an empty database of this name; one that is there is dropped."""
    await drop_database(server_url, name)
    return await create_database(server_url, name)


def real_year() -> Path:
    """The folder of import files that the adapter makes, by the adapter when it is missing or older than it."""
    folder = state_dir() / "complete-journey"
    files = [folder / f"{kind}.csv" for kind in KINDS]
    if all(file.is_file() and file.stat().st_mtime >= ADAPTER.stat().st_mtime for file in files):
        print(f"{folder} is up to date")
        return folder
    fresh = folder.with_name(f"{folder.name}.new")
    for left in (fresh, folder):
        shutil.rmtree(left, ignore_errors=True)
    # A process of its own, so that its memory does not count as the program's.
    with timed("adapter"):
        made = subprocess.run([sys.executable, ADAPTER, fresh], check=False, cwd=CHECKOUT)
    if made.returncode:
        raise SystemExit(f"{ADAPTER.name} failed; it needs what seed/requirements.lock lists")
    return fresh.rename(folder)


@contextmanager
def timed(step: str) -> Iterator[None]:
    print(f"{step} ...", flush=True)
    began = time.monotonic()
    yield
    print(f"{step}: {time.monotonic() - began:.1f} s", flush=True)


@contextmanager
def told_progress() -> Iterator[imports.Progress]:
    """A bar for the step at work where there is a terminal; each step of a second or more leaves a line.

    A step lasts until another one reports: what never reports is counted in the step before it.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")
        at_work, since = "", time.monotonic()

        def show(step: str, done: int, total: int) -> None:
            nonlocal at_work, since
            bar.update(task, description=step, completed=done, total=max(total, 1))
            if step != at_work:
                seconds = time.monotonic() - since
                if at_work and seconds >= _TOLD_FROM_S:
                    print(f"    {at_work}: {seconds:.1f} s", flush=True)
                at_work, since = step, time.monotonic()

        yield show
        show("", 0, 0)
