"""A worker that dies at any step of a payout, a command that dies while it closes a period: the next one ends it once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import models, payments, payouts, settlements
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.payouts.sending import LEASE
from tests import factories
from tests.commands import kill_during, kill_when
from tests.snapshot import snapshot
from tests.stripe_fake import Fake
from tests.test_payouts import (
    ALL_SENT,
    AMOUNT,
    BRAND,
    LOOK,
    PARENT,
    PROVEN,
    SEND,
    all_of,
    attempts,
    balances,
    begun,
    fake,
    gateway,
    run_id,
    run_state,
    started,
    states,
    transferred,
    worked,
)
from tests.test_settlements import CUTOFF, NOW, _chain, _completed

__all__ = ["fake", "gateway", "run_id"]

REVERSE = "POST /v1/transfers/{id}/reversals"
NOTE = "WHERE payouts.id = (SELECT payout_attempts.payout_id"
"""Of the statement by which the outcome of every call is written down."""
PAYOUTS = "SELECT FROM payouts FOR UPDATE"
ATTEMPTS = "LOCK TABLE payout_attempts IN EXCLUSIVE MODE"
SETTLED = [(1, 296, 296), (1, 1_187, 1_187), (1, 5_200, 5_200)]
"""(lines, gross, payout) of the worked example."""


class Scene(NamedTuple):
    db: Database
    url: str
    fake: Fake
    gateway: payments.Gateway


async def hold_others(db: Database) -> list[int]:
    """All but the one that the worker is to have in hand; their ids."""
    async with db.write() as session:
        others = (await session.scalars(select(models.Payout.id).where(models.Payout.amount != PARENT))).all()
        for payout_id in others:
            await payouts.hold(session, payout_id, "等一等", by=None)
        return list(others)


@pytest.fixture
def scene(db: Database, database_url: str, fake: Fake, gateway: payments.Gateway) -> Scene:
    return Scene(db, database_url, fake, gateway)


@asynccontextmanager
async def held(url: str, statement: str | None) -> AsyncIterator[None]:
    """What this statement locks stays locked within; in the end whoever died in it has left the server."""
    engine = create_async_engine(url, poolclass=NullPool)
    others = text(
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    try:
        async with engine.connect() as watch:
            async with engine.begin() as connection:
                known = set(await watch.scalars(others)) - {await connection.scalar(text("SELECT pg_backend_pid()"))}
                if statement is not None:
                    await connection.execute(text(statement))
                yield
            async with asyncio.timeout(20):
                while set(await watch.scalars(others)) - known:
                    await watch.rollback()  # what a transaction has seen of the activity does not change
                    await asyncio.sleep(0.01)
    finally:
        await engine.dispose()


async def nothing(_: Scene) -> None:
    pass


async def begin(scene: Scene) -> None:
    await begun(scene.db)


async def send(scene: Scene) -> None:
    """It was sent; its confirmation is due."""
    await begin(scene)
    assert await payouts.work(scene.db, scene.gateway, now=NOW)


async def lose_the_answer(scene: Scene) -> None:
    scene.fake.fail(SEND, "reset_after")
    await send(scene)


async def never_arrive(scene: Scene) -> None:
    scene.fake.fail(SEND, "reset_before")
    await send(scene)


async def ask_back(scene: Scene) -> None:
    """It is confirmed, and is to come back."""
    await begin(scene)
    await worked(scene.db, scene.gateway)
    payout_id = (await all_of(scene.db))[PARENT].id
    async with scene.db.write() as session:
        await payouts.reverse(session, payout_id, "付错人", by=None, now=NOW)


async def bring_back(scene: Scene) -> None:
    """Stripe has brought it back; that it did is to be looked up."""
    await ask_back(scene)
    assert await payouts.work(scene.db, scene.gateway, now=NOW)


class Kill(NamedTuple):
    before: Callable[[Scene], Awaitable[None]]
    at: str
    """A request that Stripe leaves without an answer, or words of a statement that waits for a lock."""
    lock: str | None
    left: tuple[str, str | None, int, int]
    """Of the payout: its state, the next step of its attempt, transfers at Stripe, and what of them came back."""


KILLS = {
    "before its attempt is committed": Kill(nothing, "WITH waiting AS", ATTEMPTS, ("pending", None, 0, 0)),
    "when the attempt is begun": Kill(begin, "UPDATE payout_attempts t", ATTEMPTS, ("sending", "send", 0, 0)),
    "while Stripe is asked": Kill(begin, SEND, None, ("sending", "look_up", 0, 0)),
    "when it was made and not noted": Kill(begin, NOTE, PAYOUTS, ("sending", "look_up", 1, 0)),
    "between sent and confirmed": Kill(send, LOOK, None, ("sent", "look_up", 1, 0)),
    "when it was found and not noted": Kill(send, NOTE, PAYOUTS, ("sent", "look_up", 1, 0)),
    "while an unknown one is looked up": Kill(lose_the_answer, LOOK, None, ("unknown", "look_up", 1, 0)),
    "when an unknown one was found": Kill(lose_the_answer, NOTE, PAYOUTS, ("unknown", "look_up", 1, 0)),
    "when an unknown one was not found": Kill(never_arrive, NOTE, PAYOUTS, ("unknown", "look_up", 0, 0)),
    "while a reversal is asked for": Kill(ask_back, REVERSE, None, ("confirmed", "look_up", 1, 0)),
    "when a reversal was made and not noted": Kill(ask_back, NOTE, PAYOUTS, ("confirmed", "look_up", 1, PARENT)),
    "while a reversal is looked up": Kill(bring_back, LOOK, None, ("confirmed", "look_up", 1, PARENT)),
    "when a reversal was found and not noted": Kill(bring_back, NOTE, PAYOUTS, ("confirmed", "look_up", 1, PARENT)),
}


async def the_one(scene: Scene) -> tuple[str, str | None, int, int]:
    """As `Kill.left`."""
    query = (
        select(models.Payout, models.PayoutAttempt.next_step)
        .outerjoin(models.PayoutAttempt, models.PayoutAttempt.payout_id == models.Payout.id)
        .where(models.Payout.amount == PARENT)
    )
    async with scene.db.read() as session:
        payout, next_step = (await session.execute(query)).one()
    made = [it for it in scene.fake.rows("transfer") if it["metadata"]["payout_id"] == str(payout.id)]
    came_back = sum(it["amount_reversed"] for it in made)
    return payout.state, next_step, len(made), came_back


async def killed_at(scene: Scene, kill: Kill) -> None:
    """A worker of its own, killed at this point."""
    stripe = {"S2B2C_STRIPE_API_KEY": scene.fake.settings.api_key, "S2B2C_STRIPE_API_BASE": scene.fake.url}
    async with held(scene.url, kill.lock):
        if kill.lock is not None:
            await kill_during(scene.url, kill.at, "worker", **stripe)
            return
        scene.fake.fail(kill.at, "timeout")
        asked = len(scene.fake.requests)

        async def is_asked() -> bool:
            return any(it.template == kill.at for it in scene.fake.requests[asked:])

        await kill_when(is_asked, scene.url, "worker", **stripe)


SHORT = (
    *("when the attempt is begun", "when it was made and not noted", "between sent and confirmed"),
    *("when an unknown one was found", "when a reversal was made and not noted"),
)
"""Of `KILLS`: the others die in a soak."""


@pytest.mark.parametrize("name", SHORT)
async def test_a_worker_dies_and_the_next_one_goes_on(scene: Scene, run_id: int, name: str) -> None:
    await dies_and_the_next_goes_on(scene, run_id, KILLS[name])


async def dies_and_the_next_goes_on(scene: Scene, run_id: int, kill: Kill) -> None:
    await started(scene.db, run_id)
    others = await hold_others(scene.db)
    await kill.before(scene)
    await killed_at(scene, kill)
    assert await the_one(scene) == kill.left

    now, asked = datetime.now(UTC), len(scene.fake.requests)
    if kill.left[1] == "look_up":  # its worker may be alive as yet: nobody else takes what it has in hand
        assert not await payouts.work(scene.db, scene.gateway, now=now + LEASE / 2)
        assert len(scene.fake.requests) == asked
    async with scene.db.write() as session:
        for payout_id in others:
            await payouts.release(session, payout_id)
    await begun(scene.db, now + 2 * LEASE)
    await worked(scene.db, scene.gateway, now + 2 * LEASE)

    is_back = kill.before in {ask_back, bring_back}
    assert await states(scene.db) == {
        PARENT: "reversed" if is_back else "confirmed",
        AMOUNT: "confirmed",
        BRAND: "confirmed",
    }
    assert transferred(scene.fake) == [(PARENT, PARENT * is_back), *ALL_SENT[1:]]
    assert [len(await attempts(scene.db, amount)) for amount in (PARENT, AMOUNT, BRAND)] == [1, 1, 1]
    assert await run_state(scene.db, run_id) == "paid"
    assert await balances(scene.db) == {
        "clearing import": -9_899,
        "clearing stripe": 6_683 - PARENT * is_back,
        "revenue": 3_216,
        **({"commission_payable": PARENT} if is_back else {}),
    }


CLOSING = {
    "what is due is found": ("run", "orders", "ACCESS EXCLUSIVE", "INSERT INTO due (branch_id"),
    "statements are opened": ("run", "statements", "EXCLUSIVE", "WITH run AS ("),
    "commissions are taken": ("run", "commissions", "EXCLUSIVE", "UPDATE commissions c"),
    "lines are taken": ("run", "order_lines", "EXCLUSIVE", "UPDATE order_lines l"),
    "payees are told": ("review", "notices", "EXCLUSIVE", "INSERT INTO notices"),
    "the export is queued": ("review", "pgqueuer", "EXCLUSIVE", "INSERT INTO pgqueuer"),
    "the ledger is written": ("approve", "transfers", "EXCLUSIVE", "INSERT INTO transfers"),
    "what was taken is freed": ("discard", "order_lines", "EXCLUSIVE", "UPDATE order_lines l"),
    "statements are thrown away": ("discard", "statements", "EXCLUSIVE", "DELETE FROM statements"),
}
"""The command, the table that somebody has locked, and how, and words of the statement that waits for it."""
BEFORE = {"run": (), "review": ("run",), "approve": ("run", "review"), "discard": ("run",)}
"""What was done until then."""


async def close(db: Database, command: str) -> None:
    """One step of it, as the command takes it."""
    async with db.write() as session:
        if command == "run":
            assert await settlements.settle(session, cutoff=CUTOFF, now=NOW) is not None
        else:
            await getattr(settlements, command)(session, await settlements.open_run(session), now=NOW, by=None)


SHORT_CLOSING = ("commissions are taken", "the ledger is written", "what was taken is freed")
"""Of `CLOSING`, as above."""


@pytest.mark.parametrize("name", SHORT_CLOSING)
async def test_closing_dies_and_is_done_again(db: Database, database_url: str, name: str) -> None:
    await closing_dies_and_is_done_again(db, database_url, name)


async def closing_dies_and_is_done_again(db: Database, database_url: str, name: str) -> None:
    """Nothing of it is half done; the same step again takes it as if nothing had been."""
    command, table, mode, statement = CLOSING[name]
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        await _completed(session, await _chain(session), await factories.a_variant(session, supply_price=2600))
    for step in BEFORE[command]:
        await close(db, step)
    before = await snapshot(db)
    words = ("--until", "2026-10-01") if command == "run" else ("1",)
    async with held(database_url, f"LOCK TABLE {table} IN {mode} MODE"):
        await kill_during(database_url, statement, "settle", command, *words)
    assert await snapshot(db) == before
    await close(db, command)
    if command == "discard":
        async with db.read() as session:
            assert (await session.scalars(select(models.Statement))).all() == []
        await close(db, "run")
    async with db.snapshot() as session:
        found = await session.scalars(select(models.Statement).order_by(models.Statement.gross))
        assert [(it.lines, it.gross, it.payout) for it in found] == SETTLED
        run = (
            await session.scalars(select(models.SettlementRun).where(models.SettlementRun.state != "discarded"))
        ).one()
        assert run.state == {"review": "reviewed", "approve": "approved"}.get(command, "draft")
        assert [breach for breach in await audit(session) if breach.check in PROVEN] == []
