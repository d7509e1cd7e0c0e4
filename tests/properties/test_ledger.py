"""Balances by checkpoint equal plain sums at every moment, in whatever order transactions begin, commit and roll back."""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger, models
from s2b2c.db import Database

WRITERS = 3
ACCOUNTS = 4
_sources = count(1)

_POST = text(
    "INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at) "
    "VALUES (1, 'order', :source_id, 'payment', :debit, :credit, :amount, now()) RETURNING id"
)
_PLAIN = text(
    "SELECT a.id, coalesce(d.amount, 0)::bigint, coalesce(c.amount, 0)::bigint FROM ledger_accounts a "
    "LEFT JOIN (SELECT debit_account_id AS id, sum(amount) AS amount FROM transfers GROUP BY 1) AS d USING (id) "
    "LEFT JOIN (SELECT credit_account_id AS id, sum(amount) AS amount FROM transfers GROUP BY 1) AS c USING (id) "
    "ORDER BY a.id"
)


async def post(session: AsyncSession, debit: int, credit: int, amount: int) -> int:
    """The id."""
    where = {"source_id": next(_sources), "debit": debit, "credit": credit}
    return int((await session.scalars(_POST, {**where, "amount": amount})).one())


async def check(session: AsyncSession) -> None:
    """Of one snapshot: by checkpoint and by hand every account stands at the same, and so does the whole."""
    plain = [tuple(row) for row in await session.execute(_PLAIN)]
    read = await ledger.accounts(session, kind=None, after=None, limit=2 * ACCOUNTS)
    assert [(row.id, row.debits, row.credits) for row in read] == plain
    assert [row.balance for row in read] == [credits_ - debits for _, debits, credits_ in plain]
    assert await ledger.trial_balance(session) == (sum(row[1] for row in plain), sum(row[2] for row in plain))


async def horizon(db: Database) -> int:
    async with db.read() as session:
        return await session.scalar(text("SELECT through_id FROM ledger_horizon")) or 0


async def last_id(db: Database) -> int:
    """The last one drawn, whatever came of it."""
    async with db.read() as session:
        return (
            await session.scalar(text("SELECT last_value FROM pg_sequences WHERE sequencename = 'transfers_id_seq'"))
            or 0
        )


async def checkpoints(db: Database) -> None:
    """A round of the worker."""
    while True:
        async with db.write() as session:
            if not await ledger.checkpoint(session):
                return


async def checkpoints_to_the_end(db: Database) -> None:
    """Two rounds: one goes as far as it may and notes where all ends, one goes there. Nobody may post meanwhile."""
    for _ in range(2):
        await checkpoints(db)
    assert await horizon(db) == await last_id(db)


@pytest.fixture
async def accounts(db: Database) -> list[int]:
    async with db.write() as session:
        made = [models.LedgerAccount(kind="clearing", rail=f"rail {n}") for n in range(ACCOUNTS)]
        session.add_all(made)
        await session.flush()
        return [account.id for account in made]


class Post(NamedTuple):
    """By one of the writers, in the transaction that it has open, or a new one."""

    writer: int
    debit: int
    credit: int
    amount: int


class Savepoint(NamedTuple):
    """Posts in one, and keeps it or not."""

    writer: int
    posts: list[Post]
    kept: bool


class End(NamedTuple):
    writer: int
    committed: bool


class Checkpoint(NamedTuple):
    times: int


Step = Post | Savepoint | End | Checkpoint

writers = st.integers(0, WRITERS - 1)
pairs = st.lists(st.integers(0, ACCOUNTS - 1), min_size=2, max_size=2, unique=True)
posts = st.builds(
    lambda writer, pair, amount: Post(writer, pair[0], pair[1], amount), writers, pairs, st.integers(1, 10**12)
)
steps = st.lists(
    st.one_of(
        posts,
        st.builds(Savepoint, writers, st.lists(posts, max_size=2), st.booleans()),
        st.builds(End, writers, st.booleans()),
        st.builds(Checkpoint, st.integers(1, 3)),
    ),
    min_size=5,
    max_size=30,
)


@dataclass
class Transaction:
    session: AsyncSession
    stack: AsyncExitStack
    first_id: int | None = None
    """The lowest that it may commit."""


class Writers:
    """Transactions of several connections, each open for as long as a run wants it."""

    def __init__(self, db: Database, accounts: list[int]) -> None:
        self.db = db
        self.accounts = accounts
        self.open: dict[int, Transaction] = {}

    async def transaction(self, writer: int) -> Transaction:
        if writer not in self.open:
            stack = AsyncExitStack()
            self.open[writer] = Transaction(await stack.enter_async_context(self.db.write()), stack)
        return self.open[writer]

    async def post(self, transaction: Transaction, it: Post) -> int:
        return await post(transaction.session, self.accounts[it.debit], self.accounts[it.credit], it.amount)

    async def end(self, writer: int, *, committed: bool) -> None:
        if writer in self.open:
            transaction = self.open.pop(writer)
            if not committed:
                await transaction.session.rollback()
            await transaction.stack.aclose()

    async def run(self, step: Step) -> None:
        match step:
            case Post():
                transaction = await self.transaction(step.writer)
                id_ = await self.post(transaction, step)
                transaction.first_id = transaction.first_id or id_
            case Savepoint():
                transaction = await self.transaction(step.writer)
                async with transaction.session.begin_nested() as savepoint:
                    ids = [await self.post(transaction, it) for it in step.posts]
                    if not step.kept:
                        await savepoint.rollback()
                if step.kept and ids:
                    transaction.first_id = transaction.first_id or ids[0]
            case End():
                await self.end(step.writer, committed=step.committed)
            case Checkpoint():
                for _ in range(step.times):
                    await checkpoints(self.db)


@given(taken=steps)
async def test_balances_by_checkpoint_are_plain_sums_after_every_step(
    db: Database, accounts: list[int], taken: list[Step]
) -> None:
    running = Writers(db, accounts)
    try:
        for step in taken:
            await running.run(step)
            async with db.snapshot() as reader:
                await check(reader)
            reached = await horizon(db)
            for transaction in running.open.values():
                await check(transaction.session)  # it sees what it wrote itself too
                assert transaction.first_id is None or reached < transaction.first_id
    finally:
        for writer in range(WRITERS):
            await running.end(writer, committed=True)
    await checkpoints_to_the_end(db)
    async with db.snapshot() as reader:
        await check(reader)


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_posts_and_checkpoints(db: Database, accounts: list[int], seed: int) -> None:
    """At once: some post, some check in snapshots that stay open for a while, two make checkpoints."""
    posting = True

    async def poster(draw: random.Random) -> None:
        for _ in range(60):
            async with db.write() as session:
                for _ in range(draw.randint(1, 3)):
                    debit, credit = draw.sample(accounts, 2)
                    await post(session, debit, credit, draw.randint(1, 1000))
                    await asyncio.sleep(draw.choice((0, 0, 0.001, 0.01)))
                if draw.random() < 0.2:
                    await session.rollback()

    async def checker(draw: random.Random) -> None:
        while posting:
            async with db.snapshot() as reader:
                await check(reader)
                await asyncio.sleep(draw.choice((0, 0.01)))
                await check(reader)

    async def checkpointer() -> None:
        while posting:
            await checkpoints(db)

    async with asyncio.TaskGroup() as others:
        for n in range(2):
            others.create_task(checker(random.Random(seed * 100 + n)))
            others.create_task(checkpointer())
        async with asyncio.TaskGroup() as posters:
            for n in range(5):
                posters.create_task(poster(random.Random(seed * 100 + 10 + n)))
        assert await horizon(db) > 0
        posting = False
    await checkpoints_to_the_end(db)
    async with db.snapshot() as reader:
        await check(reader)
