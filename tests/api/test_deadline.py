"""An operation that takes too long is stopped, and so is what the database does for it."""

import asyncio
import time
from collections.abc import Sequence
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import QueuePool

from s2b2c import accounts, models, network, orders, stores
from s2b2c.api import limits
from s2b2c.config import Settings, settings
from tests.api.client import Api
from tests.api.shopping import a_buyer, a_shop

SLEEP = text("SELECT pg_sleep(30)")
STOPPED = {
    "message": "The operation took longer than 0.9 seconds and was stopped. Ask for less; where it changes something, "
    "look first whether it did.",
    "extensions": {"code": "DEADLINE_EXCEEDED"},
}
AT_WORK = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND (query LIKE '%pg_sleep%' AND state = 'active' OR state LIKE 'idle in transaction%')"
)


@pytest.fixture(autouse=True)
def a_short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "operation_seconds", 0.9)


async def _is_stopped(api: Api, answer: Any) -> None:
    """With nothing left of it: no statement, no transaction, no connection that is not back in its pool."""
    assert answer == {"errors": [STOPPED]}
    ends = time.monotonic() + 5
    async with api.db.read() as session:
        while await session.scalar(AT_WORK):
            assert time.monotonic() < ends, "the database still works on it"
            await asyncio.sleep(0.01)
    pool = api.db._engine.sync_engine.pool
    assert isinstance(pool, QueuePool)
    while pool.checkedout():
        assert time.monotonic() < ends, "a connection is not back"
        await asyncio.sleep(0.01)


async def test_a_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(session: AsyncSession, slug: str) -> None:
        await session.execute(SLEEP)

    monkeypatch.setattr(stores, "open_store", slow)
    for _ in range(12):  # more often than there are connections
        await _is_stopped(api, await api.run("shop/Storefront", slug="here"))


async def test_reads_at_the_same_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than there are connections: some of them wait for one when their time is over."""

    async def slow(session: AsyncSession, slug: str) -> None:
        await session.execute(SLEEP)

    monkeypatch.setattr(stores, "open_store", slow)
    many = "{ shop {" + " ".join(f'a{number}: store(slug: "") {{ id }}' for number in range(25)) + "} }"
    await _is_stopped(api, await api.ask(many))


async def test_a_loader(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its batch is a task of its own."""

    async def slow(session: AsyncSession, keys: Sequence[tuple[int, int]]) -> None:
        await session.execute(SLEEP)

    shop = await a_shop(api)
    monkeypatch.setattr(stores, "variants", slow)
    await _is_stopped(api, await api.run("shop/Storefront", slug=shop.store.slug))


async def test_who_is_asking(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked up in a task of its own."""

    async def slow(session: AsyncSession, *_: Any) -> None:
        await session.execute(SLEEP)

    monkeypatch.setattr(accounts, "viewer_of", slow)
    await _is_stopped(api, await api.run("shop/Me", "a token"))


async def test_a_change(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has written is not there afterwards."""
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    touch = network.touch

    async def slow(session: AsyncSession, *arguments: Any, **more: Any) -> None:
        await touch(session, *arguments, **more)
        assert await session.scalar(select(func.count()).select_from(models.Binding)) == 1
        await session.execute(SLEEP)

    monkeypatch.setattr(network, "touch", slow)
    await _is_stopped(api, await api.run("shop/Visit", buyer.token, slug=shop.store.slug))
    async with api.db.read() as session:
        assert await session.scalar(select(func.count()).select_from(models.Binding)) == 0


async def test_orders_of_others_are_placed_all_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many carts wait for one transaction, started by a request that is stopped meanwhile."""
    shop = await a_shop(api)
    buyers = [await a_buyer(shop) for _ in range(6)]
    place, batches = orders.place, []
    seconds = ContextVar("seconds", default=10.0)
    monkeypatch.setattr(limits, "settings", lambda: SimpleNamespace(operation_seconds=seconds.get()))

    async def slow(session: AsyncSession, carts: Sequence[orders.Cart], **more: Any) -> Any:
        batches.append([cart.customer_id for cart in carts])
        await session.execute(text("SELECT pg_sleep(1.2)"))
        return await place(session, carts, **more)

    async def asks(number: int) -> Any:
        seconds.set(0.9 if number % 2 == 0 else 10)
        cart = {"store": shop.id, "lines": [shop.line(0)], "address": buyers[number].address, "token": "one"}
        return await api.run("shop/PlaceOrder", buyers[number].token, input=cart)

    # With connections open and statements compiled, everybody is in a batch long before anybody is stopped.
    await asyncio.gather(*(api.run("shop/Me", buyer.token) for buyer in buyers))
    monkeypatch.setattr(orders, "place", slow)
    answers = await asyncio.gather(*map(asks, range(6)))
    assert [answer.get("errors") for answer in answers] == [[STOPPED], None] * 3
    numbers: set[str] = set()
    async with asyncio.timeout(20):  # nobody waits for the last batch, if those in it were all stopped
        while len(numbers) < 6:
            async with api.db.read() as session:
                numbers = set((await session.scalars(select(models.Order.order_no))).all())
    monkeypatch.setattr(orders, "place", place)
    assert sum(map(len, batches)) == 6
    assert max(map(len, batches)) > 1, "who stopped waiting is placed with others"
    assert {answer["data"]["placeOrder"]["orderNo"] for answer in answers[1::2]} < numbers
    assert {(await buyer.places(shop.line(0)))["orderNo"] for buyer in buyers} == numbers, "asked again, it is the same"


def test_ten_seconds_are_given() -> None:
    assert Settings.model_fields["operation_seconds"].default == 10
