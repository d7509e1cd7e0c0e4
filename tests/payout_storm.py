"""A period is closed and paid out while everybody of finance does everything at once, workers race, and Stripe fails.

The short and the long form differ in numbers alone, and in the long one worker processes are killed meanwhile.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders, payouts, settlements
from s2b2c.audit import audit
from s2b2c.config import CHECKOUT
from s2b2c.db import AnyRow, Database
from s2b2c.errors import Refused
from s2b2c.processes import PARENT
from tests import paying
from tests.bench.world import Shape, found, place, recruit
from tests.stripe_fake import Fake, Settings, running
from tests.test_closing import somebody
from tests.test_payouts import LOOK, SEND, connect

LINE = 1_187 + 296 + 98 + 5_200
"""What every order brings: to its seller, the two above it, and the brand. Fen."""
LIMIT = 1_187
"""Above it a second person approves: everything but a seller's single order."""
CUTOFF = datetime(2026, 10, 1, tzinfo=UTC)
PERCENT = 20
"""Of the requests to Stripe fail."""
SENDING = ("429", "500", "timeout", "reset_before", "reset_after", "500_after", "503", "insufficient_funds")
LOOKING = ("429", "500", "timeout", "reset_before", "503")
_HOLDS, _DISCARDS = 5, 1
"""That a person makes at most: else there is no end."""


class Size(NamedTuple):
    shape: Shape
    brands: int
    orders: int
    users: int
    workers: int
    kills: int = 0
    """Of worker processes."""
    processes: int = 0

    @property
    def payees(self) -> int:
        return sum(self.shape) + self.brands


@dataclass
class Story:
    db: Database
    url: str
    fake: Fake
    size: Size
    people: list[int]
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """Of the workers and of finance. It stands still as long as there is anything to do."""
    is_over: bool = False
    has_processes: bool = False
    """Whose clock nobody can move."""
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    killed: int = 0
    is_started: asyncio.Event = field(default_factory=asyncio.Event)


async def a_period(session: AsyncSession, size: Size) -> None:
    """Completed orders of every seller and brand, all matured long ago."""
    await found(session, brands=size.brands, products_each=1)
    await recruit(session, size.shape)
    placed = await place(session, size.orders)
    hour = timedelta(hours=1)
    await orders.pay(session, [(branch, order, at + hour) for branch, order, at in placed], rail="import")
    await orders.complete(session, [(branch, order, at + 2 * hour) for branch, order, at in placed], hold_days=7)


@asynccontextmanager
async def staged(url: str, size: Size, *, seed: int) -> AsyncIterator[Story]:
    """A period, its payees with accounts at Stripe, and the people of finance, on this database, migrated and empty."""
    sys.stderr.write(f"the seed of this storm: {seed}\n")
    db = Database(url)
    async with running(Fake(Settings(checks_balance=False), seed=seed)) as fake:
        try:
            async with db.write() as session:
                await a_period(session, size)
                for distributor_id in await session.scalars(select(models.Distributor.id)):
                    await connect(session, fake, distributor_id=distributor_id)
                for brand_id in await session.scalars(select(models.Brand.id)):
                    await connect(session, fake, brand_id=brand_id)
                people = [await somebody(session) for _ in range(size.users)]
            fake.fail_often(SEND, SENDING, percent=PERCENT, seed=seed)
            fake.fail_often(LOOK, LOOKING, percent=PERCENT, seed=seed + 1)
            yield Story(db, url, fake, size, people)
        finally:
            await db.close()


async def play(story: Story, *, seed: int, patience_s: float) -> None:
    """All at once, until everything is paid; TimeoutError where it never is."""
    story.has_processes = story.size.processes > 0
    together = asyncio.Barrier(story.size.workers)
    async with asyncio.timeout(patience_s), asyncio.TaskGroup() as group:
        for number, person in enumerate(story.people):
            group.create_task(_finance(story, person, random.Random(seed + number)))
        for _ in range(story.size.workers):
            group.create_task(_worker(story, together))
        if story.has_processes:
            group.create_task(_processes(story, random.Random(seed)))


# Finance


class User(NamedTuple):
    story: Story
    person: int
    dice: random.Random
    made: Counter[str]

    async def act(self, name: str, do: Callable[[AsyncSession], Awaitable[object]]) -> None:
        """In a transaction of its own, as a door does it."""
        try:
            async with self.story.db.write() as session:
                if await do(session) is None:
                    return
        except Refused as refusal:
            self.story.refused[f"{name}: {type(refusal.refusal).__name__}"] += 1
        else:
            self.story.done[name] += 1
            self.made[name] += 1
            if name == "start":
                self.story.is_started.set()

    async def newest_run(self) -> int:
        async with self.story.db.read() as session:
            return await session.scalar(select(func.max(models.SettlementRun.id))) or 0

    async def some(self, condition: str) -> list[int]:
        """A few payouts that are so at this moment; others see the same."""
        async with self.story.db.read() as session:
            ids = (await session.scalars(text(f"SELECT id FROM payouts WHERE {condition} ORDER BY id"))).all()
        return self.dice.sample(ids, min(len(ids), 4))


async def _settle(user: User) -> None:
    await user.act("settle", partial(settlements.settle, cutoff=CUTOFF, now=user.story.now, by=user.person))


async def _review(user: User) -> None:
    run_id = await user.newest_run()
    await user.act("review", partial(settlements.review, run_id=run_id, now=user.story.now, by=user.person))


async def _approve_run(user: User) -> None:
    run_id = await user.newest_run()
    await user.act("approve run", partial(settlements.approve, run_id=run_id, now=user.story.now, by=user.person))


async def _discard(user: User) -> None:
    if user.made["discard"] < _DISCARDS:
        run_id = await user.newest_run()
        await user.act("discard", partial(settlements.discard, run_id=run_id, now=user.story.now, by=user.person))


async def _start(user: User) -> None:
    run_id = await user.newest_run()
    await user.act("start", partial(payouts.start, run_id=run_id, rail="stripe", now=user.story.now, by=user.person))


async def _approve(user: User) -> None:
    for it in await user.some("needs_approval AND approved_at IS NULL"):
        await user.act("approve", partial(payouts.approve, payout_id=it, by=user.person, now=user.story.now))


async def _retry(user: User) -> None:
    for it in await user.some("state = 'failed'"):
        await user.act("retry", partial(payouts.retry, payout_id=it))


async def _hold(user: User) -> None:
    if user.made["hold"] < _HOLDS:
        for it in (await user.some("state IN ('pending', 'failed') AND hold IS NULL"))[:1]:
            await user.act("hold", partial(payouts.hold, payout_id=it, reason="等一等", by=user.person))


async def _release(user: User) -> None:
    for it in await user.some("hold = 'person'"):
        await user.act("release", partial(payouts.release, payout_id=it))


_DEEDS = (_settle, _review, _approve_run, _discard, _start, _approve, _approve, _retry, _hold, _release)


async def _finance(story: Story, person: int, dice: random.Random) -> None:
    user = User(story, person, dice, Counter())
    while not story.is_over:
        await dice.choice(_DEEDS)(user)
        await asyncio.sleep(dice.uniform(0, 0.02))


# Workers


async def _worker(story: Story, together: asyncio.Barrier) -> None:
    """One of those that share the database; it has a way to Stripe of its own."""
    gateway = paying.gateway_to(story.fake, read_s=0.3)
    try:
        while not story.is_over:
            async with story.db.write() as session:
                await payouts.begin(session, now=_now(story), limit=9)
            while await payouts.work(story.db, gateway, now=_now(story)):
                if story.has_processes:
                    await asyncio.sleep(0.3)  # the processes are to have something to do, too
            async with story.db.write() as session:
                await payouts.finish_runs(session)
            # Time goes on only while nobody has a call in hand: a lease is longer than any call.
            if await together.wait() == 0:
                await _have_time_go_by(story)
            await together.wait()
    finally:
        await gateway.close()


def _now(story: Story) -> datetime:
    return datetime.now(UTC) if story.has_processes else story.now


async def _have_time_go_by(story: Story) -> None:
    """Until the next attempt is due; the story is over when a run is paid."""
    await asyncio.sleep(0.01)
    async with story.db.read() as session:
        due_at = await session.scalar(select(func.min(models.PayoutAttempt.due_at)))
        is_paid = await session.scalar(select(func.count()).where(models.SettlementRun.state == "paid"))
    if not story.has_processes:
        story.now = max(story.now, due_at or story.now)
        story.is_over = bool(is_paid)


async def _processes(story: Story, dice: random.Random) -> None:
    """`s2b2c worker` several times, one of which is killed and started again, and again."""
    alive = [_start_process(story) for _ in range(story.size.processes)]
    try:
        await story.is_started.wait()
        for turn in range(story.size.kills):
            await asyncio.sleep(dice.uniform(0.5, 3))
            number = turn % len(alive)
            assert alive[number].poll() is None, f"a worker ended by itself with {alive[number].poll()}"
            await asyncio.to_thread(_kill, alive[number])
            story.killed += 1
            alive[number] = _start_process(story)
    finally:
        for process in alive:
            _kill(process)
        story.now = max(story.now, datetime.now(UTC))
        story.has_processes = False


def _start_process(story: Story) -> subprocess.Popen[bytes]:
    environment = {
        "S2B2C_DATABASE_URL": story.url,
        "S2B2C_STRIPE_API_KEY": story.fake.settings.api_key,
        "S2B2C_STRIPE_API_BASE": story.fake.url,
        "PYTHONUTF8": "1",
        PARENT: f"{os.getpid()}",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "s2b2c.cli", "worker"],
        cwd=CHECKOUT,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


# What must hold

_LINES = text(
    """
    SELECT count(*) AS lines, count(s.id) AS held, count(DISTINCT s.id) AS statements
    FROM (
        SELECT c.statement_id FROM commissions c UNION ALL SELECT l.statement_id FROM order_lines l
    ) AS line
    LEFT JOIN statements s ON s.id = line.statement_id
    """
)
_STATEMENTS = text("SELECT sum(lines)::bigint AS lines, sum(payout)::bigint AS payout, count(*) FROM statements")
_PAID = text(
    """
    SELECT p.id, p.amount, p.state, s.payout, t.key, t.reference, t.destination, a.id AS account
    FROM statements s
    LEFT JOIN payouts p ON p.statement_id = s.id
    LEFT JOIN payout_attempts t ON t.payout_id = p.id AND t.state <> 'failed'
    LEFT JOIN stripe_accounts a ON a.distributor_id = s.distributor_id OR a.brand_id = s.brand_id
    WHERE s.payout > 0
    """
)
_MOVED = text(
    """
    SELECT sum(CASE WHEN a.kind IN ('commission_payable', 'brand_payable') THEN x.amount * side.sign ELSE 0 END)::bigint AS gave,
           sum(CASE a.kind WHEN 'in_transit' THEN x.amount * side.sign ELSE 0 END)::bigint AS in_transit,
           sum(CASE a.rail WHEN 'stripe' THEN -x.amount * side.sign ELSE 0 END)::bigint AS sent
    FROM transfers x
    CROSS JOIN LATERAL (VALUES (x.debit_account_id, 1), (x.credit_account_id, -1)) AS side (account_id, sign)
    JOIN ledger_accounts a ON a.id = side.account_id
    WHERE x.source_type = 'payout'
    """
)


async def check(story: Story) -> None:
    """Every commission in one statement, one payout for each, one transfer for each of them, and all sums are equal."""
    size, total = story.size, story.size.orders * LINE
    assert story.done["settle"] - story.done["discard"] == 1
    assert (story.done["approve run"], story.done["start"], story.killed) == (1, 1, size.kills)
    async with story.db.snapshot() as session:
        lines = (await session.execute(_LINES)).one()
        assert tuple(lines) == (4 * size.orders, 4 * size.orders, size.payees)
        assert tuple((await session.execute(_STATEMENTS)).one()) == (4 * size.orders, total, size.payees)
        paid = (await session.execute(_PAID)).all()
        moved = (await session.execute(_MOVED)).one()
        assert [str(breach) for breach in await audit(session)] == []
    assert len(paid) == len({it.id for it in paid}) == size.payees
    assert {(it.state, it.amount == it.payout) for it in paid} == {("confirmed", True)}
    assert tuple(moved) == (total, 0, total)
    _check_stripe(story, paid, total)


def _check_stripe(story: Story, paid: Sequence[AnyRow], total: int) -> None:
    made = {
        (int(it["metadata"]["payout_id"]), it["id"], it["transfer_group"], it["amount"], it["destination"])
        for it in story.fake.rows("transfer")
    }
    assert len(story.fake.rows("transfer")) == len(paid), "a payout was sent twice, or not at all"
    assert made == {(it.id, it.reference, it.key, it.amount, it.account) for it in paid}
    assert {it["amount_reversed"] for it in story.fake.rows("transfer")} == {0}
    assert sum(it["amount"] for it in story.fake.rows("balance_transaction") if it["type"] == "transfer") == -total
    struck = story.fake.faults.struck
    asked = Counter(it.template for it in story.fake.requests)
    for template, hows in ((SEND, SENDING), (LOOK, LOOKING)):
        assert {how for it, how in struck if it == template} == set(hows), "some fault never came"
        came = sum(times for (it, _), times in struck.items() if it == template)
        sys.stderr.write(f"{template}: {asked[template]} requests, {came} of them failed\n")
    sys.stderr.write(f"done: {dict(story.done)}\nrefused: {dict(story.refused)}\nkilled: {story.killed}\n")
