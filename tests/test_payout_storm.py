"""Finance, workers and faults all at once; two workers at the same payouts; a worker that wakes up too late."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import payments, payouts
from s2b2c.config import settings
from s2b2c.db import Database
from s2b2c.errors import Refused
from s2b2c.payouts.sending import LEASE
from s2b2c.sql import statements
from tests import payout_storm
from tests.bench.world import Shape
from tests.stripe_fake import Fake
from tests.test_closing import somebody
from tests.test_payouts import (
    ALL_SENT,
    AMOUNT,
    BRAND,
    PARENT,
    SEND,
    all_of,
    attempts,
    balances,
    begun,
    fake,
    gateway,
    run_id,
    started,
    states,
    transferred,
    worked,
)
from tests.test_settlements import NOW

__all__ = ["fake", "gateway", "run_id"]

SIZE = payout_storm.Size(Shape(1, 5, 30), brands=4, orders=50, users=3, workers=3)
SEED = 20261123


async def test_a_storm(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "payout_limit", payout_storm.LIMIT)
    async with payout_storm.staged(database_url, SIZE, seed=SEED) as story:
        await payout_storm.play(story, seed=SEED, patience_s=60)
        await payout_storm.check(story)


async def once(db: Database, deed: Callable[[AsyncSession, int], Awaitable[object]], people: list[int]) -> None:
    """All of them ask for the same at once: one gets it, and the others are told that it is so already."""

    async def one(person: int) -> str:
        try:
            async with db.write() as session:
                await deed(session, person)
        except Refused as refused:
            return type(refused.refusal).__name__
        return "done"

    assert sorted(await asyncio.gather(*map(one, people))) == [*["WrongState"] * (len(people) - 1), "done"]


async def test_what_ten_people_decide_at_once_is_decided_once(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "payout_limit", PARENT - 1)
    async with db.write() as session:
        first, *people = [await somebody(session) for _ in range(11)]
    await once(db, lambda s, by: payouts.start(s, run_id, rail="stripe", by=by, now=NOW), [first] * 10)
    for payout in (await all_of(db)).values():

        async def approve(session: AsyncSession, by: int, payout_id: int = payout.id) -> None:
            await payouts.approve(session, payout_id, by=by, now=NOW)

        await once(db, approve, people)
    payout_id = (await all_of(db))[PARENT].id
    fake.fail(SEND, "insufficient_funds")
    await begun(db)
    await worked(db, gateway)
    assert await states(db) == {PARENT: "failed", AMOUNT: "confirmed", BRAND: "confirmed"}
    await once(db, lambda s, _: payouts.retry(s, payout_id), people)
    async with db.write() as session:
        await payouts.hold(session, payout_id, "等一等", by=None)
    await once(db, lambda s, _: payouts.release(s, payout_id), people)
    await begun(db)
    await worked(db, gateway)
    await once(db, lambda s, by: payouts.reverse(s, payout_id, "付错人", by=by, now=NOW), people)
    await worked(db, gateway)
    assert transferred(fake) == [(PARENT, PARENT), (AMOUNT, 0), (BRAND, 0)]
    assert (await balances(db))["commission_payable"] == PARENT


async def test_two_workers_never_take_the_same_attempt(db: Database, run_id: int) -> None:
    """Neither while one is at it, nor after that until its lease is over."""
    await started(db, run_id)
    await begun(db)

    async def claim(session: AsyncSession, now: datetime = NOW) -> tuple[int, str] | None:
        found = await session.execute(statements("payouts")["claim"], {"now": now, "again_at": now + LEASE})
        step = found.one_or_none()
        return step and (step.amount, step.step)

    async with asyncio.timeout(20), db.write() as one, db.write() as two:
        assert [await claim(one), await claim(two), await claim(one), await claim(two)] == [
            (PARENT, "send"),
            (AMOUNT, "send"),
            (BRAND, "send"),
            None,
        ]
    almost = NOW + LEASE - timedelta(milliseconds=1)
    async with asyncio.timeout(20), db.write() as one, db.write() as two:
        assert [await claim(one, almost), await claim(two, almost)] == [None, None]
        assert [await claim(one, NOW + LEASE), await claim(two, NOW + LEASE)] == [
            (PARENT, "look_up"),
            (AMOUNT, "look_up"),
        ]
        await one.rollback()
        assert await claim(two, NOW + LEASE) == (PARENT, "look_up")  # who had it has died


async def test_two_workers_begin_each_payout_once(db: Database, run_id: int) -> None:
    await started(db, run_id)
    async with db.write() as session:  # whoever is the first ever makes the account, and others wait for that
        assert await payouts.begin(session, now=NOW, limit=1) == 1
    async with asyncio.timeout(20), db.write() as one, db.write() as two:
        assert await payouts.begin(one, now=NOW, limit=1) == 1
        assert await payouts.begin(two, now=NOW, limit=9) == 1
        assert await payouts.begin(two, now=NOW, limit=9) == 0
    assert [len(await attempts(db, amount)) for amount in (PARENT, AMOUNT, BRAND)] == [1, 1, 1]
    assert (await balances(db))["in_transit"] == PARENT + AMOUNT + BRAND


class Sleeper:
    """A worker's way to Stripe; the worker falls asleep with its first transfer in hand, until it is woken."""

    def __init__(self, gateway: payments.Gateway) -> None:
        self.asleep, self.awake = asyncio.Event(), asyncio.Event()
        self._gateway = gateway

    async def create_transfer(self, *asked: Any, **more: Any) -> str:
        self.asleep.set()
        await self.awake.wait()
        return await self._gateway.create_transfer(*asked, **more)


@pytest.mark.parametrize("how", [None, "500", "500_after", "reset_after"])
async def test_a_worker_that_wakes_up_too_late_sends_nothing_twice(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int, how: str | None
) -> None:
    """Others took its attempt for lost, and have sent it by now, under its key or another one."""
    await started(db, run_id)
    await begun(db)
    sleeper = Sleeper(gateway)
    late = asyncio.create_task(payouts.work(db, cast("payments.Gateway", sleeper), now=NOW))
    await sleeper.asleep.wait()
    await worked(db, gateway)
    assert await states(db) == {PARENT: "sending", AMOUNT: "confirmed", BRAND: "confirmed"}
    if how is not None:
        fake.fail(SEND, how)
    for hours in range(1, 5):
        await worked(db, gateway, NOW + timedelta(hours=hours))
        await begun(db, NOW + timedelta(hours=hours))
    assert set((await states(db)).values()) == {"confirmed"}
    sleeper.awake.set()
    assert await late
    await worked(db, gateway, NOW + timedelta(days=1))
    assert set((await states(db)).values()) == {"confirmed"}
    assert len(await attempts(db, PARENT)) == (2 if how == "500" else 1)
    assert transferred(fake) == ALL_SENT
    await balances(db)


async def test_stripe_answers_a_key_as_it_did_before(fake: Fake, gateway: payments.Gateway, run_id: int) -> None:
    """The stand-in, too: also where the first answer was lost, and nothing else under that key."""
    account = fake.rows("account")[0]["id"]
    fake.fail(SEND, "reset_after")
    with pytest.raises(payments.UnknownOutcome):
        await gateway.create_transfer(account, amount=7, metadata={}, key="k")
    (made,) = fake.rows("transfer")
    for _ in range(2):
        assert await gateway.create_transfer(account, amount=7, metadata={}, key="k") == made["id"]
    for amount, metadata in ((8, {}), (7, {"payout_id": "1"})):
        with pytest.raises(payments.UnknownOutcome, match="another request") as caught:
            await gateway.create_transfer(account, amount=amount, metadata=metadata, key="k")
        assert caught.value.spent
    assert fake.rows("transfer") == [made]
