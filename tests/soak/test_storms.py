"""The long form of tests/test_crashes.py: a hundred kills, ten of PostgreSQL, and what dies with work in hand."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from s2b2c.db import Database, migrate
from tests import paying, storm
from tests.commands import start
from tests.rush import rush
from tests.shoppers import FATES
from tests.stripe_fake import Fake, running
from tests.test_crashes import Town, a_network, a_refund, an_order
from tests.test_worker import until

SEED = 20261122


async def test_a_hundred_kills_under_load(database_url: str, tmp_path: Path) -> None:
    """Orders expire after a minute here, so that also what nobody pays comes to its end."""
    dice = random.Random(SEED)
    expiring = {"S2B2C_PAY_MINUTES": "1"}
    async with storm.staged(database_url, tmp_path, seed=SEED, customers=8, is_short=False, **expiring) as stage:
        await storm.kill_in_turns(stage, 100, dice)
        await storm.calm(stage)
        await storm.check_logs(stage)
        assert set(await storm.check_books(stage)) == set(FATES)


async def test_postgresql_is_killed_ten_times_under_load(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    with storm.own_server() as (url, data):
        await migrate(url)
        async with storm.staged(url, tmp_path, seed=SEED, customers=8, is_short=False) as stage:
            await storm.kill_postgres(stage, data, 10, dice)
            await storm.calm(stage)
            await storm.check_logs(stage)
            assert set(await storm.check_books(stage)) == set(FATES)


async def test_1000_buyers_for_100_units(database_url: str) -> None:
    await rush(database_url, buyers=1_000, units=100, seed=SEED)


@pytest.fixture
async def town(db: Database, database_url: str) -> AsyncIterator[Town]:
    await a_network(db)
    async with running(Fake(seed=SEED)) as fake:
        gateway = paying.gateway_to(fake)
        yield Town(db, database_url, gateway, fake)
        await gateway.close()


@contextmanager
def a_worker(town: Town) -> Iterator[None]:
    """With the times that it has by itself; killed in the end."""
    key, base = town.fake.settings.api_key, town.fake.url
    process = start(town.url, "worker", S2B2C_STRIPE_API_KEY=key, S2B2C_STRIPE_API_BASE=base)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


async def test_the_job_of_a_killed_worker_is_done_in_time(town: Town) -> None:
    """The next one takes it for dead when nothing was heard of it for half a minute."""
    await a_refund(town)
    town.fake.fail("GET /v1/refunds", "timeout")

    async def is_at_work() -> bool:
        return any(it.template == "GET /v1/refunds" for it in town.fake.requests)

    with a_worker(town):
        await until(is_at_work)
    with a_worker(town):
        await in_time(town, "refund")


async def test_what_a_killed_server_left_opening_is_opened_in_time(town: Town) -> None:
    order = await an_order(town)
    with a_worker(town):
        await asyncio.sleep(5)  # it is at work, and has nothing to do
        await paying.opening(town.db, paying.Placed(order["branch_id"], order["order_id"]), amount=order["amount"])
        await in_time(town, "payment_intent")


async def in_time(town: Town, kind: str) -> None:
    """Until Stripe has such a thing."""
    ends = time.monotonic() + storm.STUCK_S
    while not town.fake.rows(kind):
        assert time.monotonic() < ends, f"no {kind} after {storm.STUCK_S} s"
        await asyncio.sleep(0.1)
    assert len(town.fake.rows(kind)) == 1
