"""The worker runs until it is told to stop, whatever happens to its scans and its database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import models, ranking, worker
from s2b2c.db import Database
from tests import factories
from tests.test_rollups import a_sale

SOON = timedelta(milliseconds=20)


async def some_sales(db: Database, count: int) -> None:
    async with db.write() as session:
        store = await factories.a_store(session)
        variant = await factories.a_variant(session)
        for _ in range(count):
            await a_sale(session, store, (variant, 1, 100, 0))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110  what is waited for happens in the database
            await asyncio.sleep(0.02)


async def until_rolled_up(db: Database) -> None:
    async def nothing_left() -> bool:
        async with db.read() as session:
            placed, added = select(func.count(models.Order.id)), select(func.sum(models.DailySeller.orders))
            return await session.scalar(placed) == (await session.scalar(added) or 0)

    await until(nothing_left)


async def until_logged(caplog: pytest.LogCaptureFixture, count: int) -> None:
    async def enough() -> bool:
        return len(caplog.records) >= count

    await until(enough)


async def stopped(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    stop.set()
    async with asyncio.timeout(20):
        await task


async def test_it_rolls_up_what_comes_until_stopped(db: Database) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(db, every=SOON, stop=stop))
    for _ in range(2):
        await some_sales(db, 3)
        await until_rolled_up(db)
    await stopped(task, stop)
    await some_sales(db, 1)
    await asyncio.sleep(0.1)
    async with db.read() as session:
        assert await session.scalar(select(func.sum(models.DailySeller.paid))) == 600


async def test_stopping_does_not_wait_for_the_next_round(db: Database) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(db, every=timedelta(days=1), stop=stop))
    await asyncio.sleep(0.1)
    assert not task.done()
    await stopped(task, stop)


async def test_the_batch_in_hand_is_finished(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next one is not begun."""
    await some_sales(db, 3)
    stop = asyncio.Event()

    async def slow(session: AsyncSession) -> int:
        stop.set()
        await session.execute(text("SELECT pg_sleep(0.1)"))
        return await ranking.roll_up(session, limit=2)

    monkeypatch.setattr(worker, "_SCANS", (slow,))
    await worker.run(db, every=SOON, stop=stop)
    async with db.read() as session:
        assert await session.scalar(select(func.sum(models.DailySeller.orders))) == 2


async def test_a_failing_scan_is_tried_again(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Others run all the same, and the log holds neither the statement nor its values."""
    stop = asyncio.Event()

    async def failing(session: AsyncSession) -> int:
        return len((await session.execute(text("SELECT 1 / :secret"), {"secret": 0})).all())

    monkeypatch.setattr(worker, "_SCANS", (failing, ranking.roll_up))
    await some_sales(db, 1)
    with caplog.at_level(logging.INFO, "s2b2c"):
        task = asyncio.create_task(worker.run(db, every=SOON, stop=stop))
        await until_rolled_up(db)
        await until_logged(caplog, 3)
        await stopped(task, stop)
    assert {record.getMessage() for record in caplog.records} == {
        "failing failed (DivisionByZeroError), it is tried again"
    }
    assert all(record.exc_info is None for record in caplog.records)


async def _allow_connections(database_url: str, *, allowed: bool) -> None:
    url = make_url(database_url)
    engine = create_async_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text(f"ALTER DATABASE {url.database} WITH ALLOW_CONNECTIONS {allowed}"))
        await connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": url.database}
        )
    await engine.dispose()


async def test_the_database_goes_away_and_comes_back(
    db: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    stop = asyncio.Event()
    await some_sales(db, 1)
    own = Database(database_url)
    task = asyncio.create_task(worker.run(own, every=SOON, stop=stop))
    await until_rolled_up(db)

    await _allow_connections(database_url, allowed=False)
    await until_logged(caplog, 3)
    assert not task.done()
    await _allow_connections(database_url, allowed=True)

    await db.close()
    await some_sales(db, 2)
    await until_rolled_up(db)
    await stopped(task, stop)
    await own.close()
    async with db.read() as session:
        assert await session.scalar(select(func.sum(models.DailySeller.orders))) == 3
