"""Checkpoints of the ledger: right whatever commits when, and nothing behind them is read."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger, models, orders, worker
from s2b2c.db import Database
from tests import factories
from tests.databases import as_owner
from tests.properties.test_ledger import (
    Post,
    Writers,
    check,
    checkpoints,
    checkpoints_to_the_end,
    horizon,
    last_id,
    post,
)
from tests.test_ledger import _a_world, _all
from tests.test_worker import SOON, stopped, until

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
DONE_AT = datetime(2026, 9, 6, 5, tzinfo=UTC)


class Ledger(NamedTuple):
    """Two accounts, and a transfer of 100 from the first to the second that is checkpointed."""

    db: Database
    one: int
    two: int
    settled_id: int

    async def post(self, session: AsyncSession, amount: int) -> int:
        """From the first to the second; the id."""
        return await post(session, self.one, self.two, amount)

    async def posted(self, amount: int) -> int:
        async with self.db.write() as session:
            return await self.post(session, amount)

    async def stands_at(self, amount: int) -> None:
        async with self.db.snapshot() as reader:
            await check(reader)
            assert await ledger.balance(reader, self.two) == amount
            assert await ledger.balance(reader, self.one) == -amount

    async def rows(self, table: str) -> list[tuple[Any, ...]]:
        async with self.db.read() as session:
            return [tuple(row) for row in await session.execute(text(f"SELECT * FROM {table} ORDER BY 1"))]


@pytest.fixture
async def moved(db: Database) -> Ledger:
    async with db.write() as session:
        one, two = models.LedgerAccount(kind="clearing", rail="import"), models.LedgerAccount(kind="escrow")
        session.add_all([one, two])
        await session.flush()
        first_id = await post(session, one.id, two.id, 100)
    await checkpoints_to_the_end(db)
    return Ledger(db, one.id, two.id, first_id)


async def test_no_transfer_no_horizon(db: Database) -> None:
    await checkpoints(db)
    async with db.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM ledger_horizon")) == 0


async def test_checkpoints_of_two_orders(db: Database) -> None:
    async with db.write() as session:
        await _a_world(session)
    async with db.snapshot() as reader:
        before = await _all(reader)
    async with db.write() as session:
        assert await ledger.checkpoint(session) == 0  # notes
    assert await horizon(db) == 0
    async with db.write() as session:
        assert await ledger.checkpoint(session) == 6  # and adds
    assert await horizon(db) == await last_id(db) == 6
    await checkpoints(db)
    async with db.snapshot() as reader:
        await check(reader)
        assert await _all(reader) == before
        kept = await reader.execute(text("SELECT account_id, debits, credits FROM ledger_checkpoints ORDER BY 1"))
        assert [tuple(row) for row in kept] == [(row.id, row.debits, row.credits) for row in before]
        assert sorted(row.balance for row in before) == [-19798, 296, 1187, 3216, 5200, 9899]


async def test_what_comes_later_is_added_to_the_checkpoint(moved: Ledger) -> None:
    assert await moved.rows("ledger_checkpoints") == [(moved.one, 100, 0), (moved.two, 0, 100)]
    await moved.posted(7)
    await moved.stands_at(107)
    async with moved.db.write() as session:
        await post(session, moved.two, moved.one, 30)
        assert await ledger.balance(session, moved.two) == 77
    await moved.stands_at(77)
    await checkpoints_to_the_end(moved.db)
    assert await moved.rows("ledger_checkpoints") == [(moved.one, 107, 30), (moved.two, 30, 107)]
    await moved.stands_at(77)


@pytest.mark.parametrize("committed", [True, False])
async def test_the_horizon_waits_for_an_open_order(db: Database, *, committed: bool) -> None:
    """The first order is paid in a transaction that stays open, the second is paid and completed meanwhile."""
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        store = await factories.a_store(session)
        variant = await factories.a_variant(session, supply_price=2600)
        low, high = [await factories.an_order(session, store, (variant, 2, 4990, 81)) for _ in range(2)]
        for kind in ("clearing", "escrow", "revenue"):
            session.add(models.LedgerAccount(kind=kind, rail="import" if kind == "clearing" else None))
    async with db.write() as slow:
        assert await orders.pay(slow, [(low.branch_id, low.id, PAID_AT)], rail="import") == 1
        for _ in range(3):
            await checkpoints(db)
        async with db.write() as session:
            assert await orders.pay(session, [(high.branch_id, high.id, PAID_AT)], rail="import") == 1
            await orders.complete(session, [(high.branch_id, high.id, DONE_AT)], hold_days=7)
        for _ in range(3):
            await checkpoints(db)
            async with db.snapshot() as reader:
                await check(reader)
                assert await ledger.trial_balance(reader) == (19798, 19798)
            assert await horizon(db) == 0
        if not committed:
            await slow.rollback()
    await checkpoints_to_the_end(db)
    async with db.snapshot() as reader:
        await check(reader)
        (escrow,) = await _all(reader, "escrow")
        assert (escrow.debits, escrow.credits) == (9899, 19798 if committed else 9899)


async def test_an_id_that_is_drawn_and_not_written_yet(moved: Ledger, database_url: str) -> None:
    """The transaction has written nothing at all: it is held up between its first id and the row."""
    await as_owner(
        database_url,
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END'",
        "CREATE TRIGGER hold BEFORE INSERT ON transfers FOR EACH ROW WHEN (NEW.amount = 5) EXECUTE FUNCTION hold()",
    )
    async with moved.db.write() as gate:
        await gate.execute(text("SELECT pg_advisory_xact_lock(42)"))
        held = asyncio.create_task(moved.posted(5))
        await until(lambda: _is_held(moved.db))
        drawn = await last_id(moved.db)
        assert drawn == moved.settled_id + 1
        assert await moved.posted(10) == drawn + 1
        for _ in range(3):
            await checkpoints(moved.db)
            await moved.stands_at(110)
        assert await horizon(moved.db) < drawn
    assert await held == drawn
    await moved.stands_at(115)
    await checkpoints_to_the_end(moved.db)
    await moved.stands_at(115)


async def _is_held(db: Database) -> bool:
    async with db.read() as session:
        waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted)"
        return bool(await session.scalar(text(waiting)))


async def test_who_has_posted_may_make_checkpoints(moved: Ledger) -> None:
    """Of others; what it has posted itself waits for its end."""
    await moved.posted(10)
    await checkpoints(moved.db)
    async with moved.db.write() as session:
        own_id = await moved.post(session, 5)
        for passed in (1, 0, 0):
            assert await ledger.checkpoint(session) == passed
        assert await session.scalar(text("SELECT through_id FROM ledger_horizon")) == own_id - 1
        await check(session)
    await moved.stands_at(115)
    await checkpoints_to_the_end(moved.db)
    await moved.stands_at(115)


async def test_others_hold_nothing_back(moved: Ledger, other_database_url: str) -> None:
    """Who writes other tables, or the transfers of another database, or reads these."""
    other = Database(other_database_url)
    async with moved.db.write() as session, moved.db.snapshot() as reader, other.write() as elsewhere:
        session.add(models.LedgerAccount(kind="revenue"))
        await session.flush()
        await check(reader)
        await post(elsewhere, 1, 2, 3)
        await moved.posted(10)
        await checkpoints_to_the_end(moved.db)
    await other.close()
    await moved.stands_at(110)


async def test_a_snapshot_makes_no_checkpoint(moved: Ledger) -> None:
    """It would not see who committed since it was taken."""
    await moved.posted(10)
    await checkpoints(moved.db)
    async with moved.db.write() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        assert await ledger.checkpoint(session) == 0
    assert await horizon(moved.db) == moved.settled_id


@pytest.mark.parametrize("kept", [True, False])
async def test_a_savepoint_is_waited_for_as_long_as_it_may_be_committed(moved: Ledger, *, kept: bool) -> None:
    async with moved.db.write() as slow:
        async with slow.begin_nested() as savepoint:
            await moved.post(slow, 5)
            if not kept:
                await savepoint.rollback()
        for _ in range(3):
            await moved.posted(10)
            await checkpoints(moved.db)
        assert (await horizon(moved.db) == moved.settled_id) is kept
        assert await ledger.balance(slow, moved.two) == (135 if kept else 130)
        await moved.stands_at(130)
    await moved.stands_at(135 if kept else 130)
    await checkpoints_to_the_end(moved.db)
    await moved.stands_at(135 if kept else 130)


async def test_a_horizon_is_reached_while_others_come_and_go(moved: Ledger) -> None:
    """Some of those who were there are always there in the next round, but nobody for ever."""
    running = Writers(moved.db, [moved.one, moved.two])
    for writer in range(8):
        await running.run(Post(writer, 0, 1, 1))
        await running.end(writer - 2, committed=True)
        await checkpoints(moved.db)
    reached = await horizon(moved.db)
    for writer in (6, 7):
        await running.end(writer, committed=True)
    assert moved.settled_id < reached < await last_id(moved.db) - 1
    await moved.stands_at(108)


async def test_ids_that_nobody_kept_are_passed(moved: Ledger) -> None:
    async with moved.db.write() as session:
        await moved.post(session, 5)
        await session.rollback()
    await checkpoints_to_the_end(moved.db)
    assert await horizon(moved.db) == moved.settled_id + 1
    await moved.stands_at(100)


async def test_long_work_comes_in_batches_and_goes_on_where_it_was(
    moved: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_IDS_PER_BATCH", 2)
    for _ in range(5):
        await moved.posted(10)
    await checkpoints(moved.db)
    async with moved.db.write() as session:
        assert await ledger.checkpoint(session) == 2
    async with moved.db.write() as session:
        assert await ledger.checkpoint(session) == 2
        await session.rollback()  # killed
    assert await horizon(moved.db) == moved.settled_id + 2
    await moved.stands_at(150)
    for passed in (2, 1, 0):
        async with moved.db.write() as session:
            assert await ledger.checkpoint(session) == passed
        await moved.stands_at(150)
    assert await horizon(moved.db) == moved.settled_id + 5


async def test_one_at_a_time(moved: Ledger) -> None:
    await moved.posted(10)
    await checkpoints(moved.db)
    async with asyncio.timeout(20), moved.db.write() as first:
        assert await ledger.checkpoint(first) == 1
        async with moved.db.write() as second:
            assert await ledger.checkpoint(second) == 0
    await moved.stands_at(110)
    assert await moved.rows("ledger_checkpoints") == [(moved.one, 110, 0), (moved.two, 0, 110)]


async def _checkpoint(db: Database, before: int, act: Callable[[], Awaitable[object]]) -> None:
    """One call, in which something happens right before its statement of this number."""
    numbers = count()
    async with db.write() as session:
        execute = session.execute

        async def interrupted(*args: Any, **kwargs: Any) -> Any:
            if next(numbers) == before:
                await act()
            return await execute(*args, **kwargs)

        session.execute = interrupted  # type: ignore[method-assign]
        await ledger.checkpoint(session)


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("before", range(4))
async def test_between_the_statements_of_a_checkpoint_others_begin_and_end(
    moved: Ledger, before: int, *, noted: bool
) -> None:
    """One posts and stays, one that was there ends, and one does both; with a horizon to reach, or one to note."""
    running = Writers(moved.db, [moved.one, moved.two])
    if noted:
        await moved.posted(10)
        await checkpoints(moved.db)
    await running.run(Post(0, 0, 1, 3))

    async def act() -> None:
        await running.run(Post(1, 0, 1, 4))
        await moved.posted(20)
        await running.end(0, committed=True)

    await _checkpoint(moved.db, before, act)
    for _ in range(3):
        await checkpoints(moved.db)
        await moved.stands_at(123 + 10 * noted)
    await running.end(1, committed=True)
    await checkpoints_to_the_end(moved.db)
    await moved.stands_at(127 + 10 * noted)


@pytest.mark.parametrize("running", [True, False])
async def test_a_copy_on_another_server_goes_on(moved: Ledger, database_url: str, *, running: bool) -> None:
    """Who was waited for there is nobody here, or by chance somebody."""
    await moved.posted(10)
    await checkpoints(moved.db)
    async with moved.db.write() as slow:
        await moved.post(slow, 5)
        name = "SELECT virtualtransaction FROM pg_locks WHERE pid = pg_backend_pid() LIMIT 1"
        named = await slow.scalar(text(name)) if running else "9999/4711"
        await as_owner(database_url, f"UPDATE ledger_horizon SET waits_for = ARRAY['{named}']")
        for _ in range(3):
            await checkpoints(moved.db)
            await moved.stands_at(110)
        assert await horizon(moved.db) == moved.settled_id + (not running)
    await moved.stands_at(115)
    await checkpoints_to_the_end(moved.db)
    await moved.stands_at(115)


async def test_the_worker_makes_them(moved: Ledger) -> None:
    last = await moved.posted(10)
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(moved.db, every=SOON, stop=stop))

    async def reached() -> bool:
        return await horizon(moved.db) == last

    await until(reached)
    await stopped(task, stop)
    await moved.stands_at(110)


async def test_the_sequence_hands_out_one_id_after_the_other(db: Database) -> None:
    """In stacks, a session would keep some for later."""
    async with db.read() as session:
        cached = "SELECT cache_size, increment_by, cycle FROM pg_sequences WHERE sequencename = 'transfers_id_seq'"
        assert tuple((await session.execute(text(cached))).one()) == (1, 1, False)


MANY = 50_000
Read = Callable[[AsyncSession, int], Awaitable[object]]
_READS: list[tuple[Read, int]] = [
    (ledger.balance, 4),
    (ledger.account, 4),
    (lambda session, _: ledger.accounts(session, kind=None, after=None, limit=100), 8),
    (lambda session, _: ledger.trial_balance(session), 8),
]
"""Each, and what it reads of four later transfers: those of one account, or both sides of them all."""


@pytest.mark.parametrize("analyzed", [True, False])
async def test_what_a_checkpoint_holds_is_not_read(moved: Ledger, database_url: str, *, analyzed: bool) -> None:
    """Both accounts are in every transfer there is; how many those are makes no difference."""
    await as_owner(
        database_url,
        "ALTER TABLE transfers SET (autovacuum_enabled = off)",
        "INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at) "
        f"SELECT 1, 'order', -n, 'payment', {moved.one}, {moved.two}, 1, now() FROM generate_series(1, {MANY}) AS n",
        *(["ANALYZE transfers"] if analyzed else []),
    )
    await checkpoints_to_the_end(moved.db)
    async with moved.db.write() as session:
        for debit, credit in [(moved.one, moved.two), (moved.two, moved.one)] * 2:
            await post(session, debit, credit, 7)
    await moved.stands_at(100 + MANY)
    for read, later in _READS:
        rows, blocks = await _read_of_transfers(moved, read)
        assert rows == later
        assert blocks <= 12  # of the table, which has hundreds, and its indexes


async def _read_of_transfers(moved: Ledger, read: Read) -> tuple[int, int]:
    """Rows and blocks that the one statement of `read` touches in the table of transfers."""
    sent: list[tuple[str, Any]] = []
    engine = moved.db._engine.sync_engine
    listen = ("before_cursor_execute", lambda *args: sent.append((args[2], args[3])))
    async with moved.db.read() as session:
        event.listen(engine, *listen)
        await read(session, moved.two)
        event.remove(engine, *listen)
        ((statement, parameters),) = sent
        connection = await session.connection()
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        (explained,) = (await connection.exec_driver_sql(explain, parameters)).scalar_one()
    scans = [node for node in _nodes(explained["Plan"]) if node.get("Relation Name") == "transfers"]
    counted = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    rows = sum(node.get(rows, 0) * node["Actual Loops"] for node in scans for rows in counted)
    blocks = sum(node[kind] for node in scans for kind in ("Shared Hit Blocks", "Shared Read Blocks"))
    return round(rows), blocks


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", []) for node in _nodes(below))]
