"""Customers who order at the same time: together, each with what came of its own cart."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders
from s2b2c.api.placing import LANES, LINES_AT_ONCE, Placing
from s2b2c.db import Database
from s2b2c.errors import NotFound, NotOnOffer, OutOfStock, Refused
from tests import factories
from tests.databases import cut_off

NOW = datetime(2026, 9, 1, 4, tzinfo=UTC)


@pytest.fixture
async def carts(db: Database) -> list[orders.Cart]:
    """Of 100 customers, each one unit of what there are 60 of."""
    async with db.write() as session:
        await factories.a_tier(session)
        seller = await factories.a_distributor(session)
        store = await factories.a_store(session, seller)
        variant = await factories.a_variant(session, stock=60)
        await factories.a_listing(session, store, variant.product_id)
        made = []
        for _ in range(100):
            customer = await factories.a_customer(session)
            address = await factories.an_address(session, customer)
            lines = [orders.CartLine(variant.id, 1)]
            made.append(orders.Cart(customer.id, store.id, "one", lines, address.id))
    return made


@pytest.fixture
def batches(database_url: str, monkeypatch: pytest.MonkeyPatch) -> list[list[orders.Cart]]:
    """What is placed together."""
    seen = []
    place = orders.place

    async def watched(session: AsyncSession, carts: Sequence[orders.Cart], **more: Any) -> Any:
        seen.append(list(carts))
        if any(cart.token == "broken" for cart in carts):
            await session.execute(text("SELECT 1 / 0"))
        if any(cart.token == "killer" for cart in carts):
            await cut_off(database_url, session)
        return await place(session, carts, **more)

    monkeypatch.setattr(orders, "place", watched)
    return seen


async def _count(db: Database) -> int:
    async with db.read() as session:
        return await session.scalar(select(func.count()).select_from(models.Order)) or 0


async def test_whoever_comes_meanwhile_goes_together(
    db: Database, carts: list[orders.Cart], batches: list[list[orders.Cart]]
) -> None:
    placing = Placing(db, lambda: NOW)
    outcomes = await asyncio.gather(*map(placing.place, carts), return_exceptions=True)
    placed = [outcome for outcome in outcomes if isinstance(outcome, orders.Placed)]
    refused = [outcome.refusal for outcome in outcomes if isinstance(outcome, Refused)]
    assert len({it.id for it in placed}) == 60 == await _count(db)
    assert [type(refusal) for refusal in refused] == [OutOfStock] * 40
    sizes = sorted(map(len, batches))
    assert sum(sizes) == 100
    assert len(sizes) <= LANES + 1


async def test_no_batch_is_too_large(db: Database, carts: list[orders.Cart], batches: list[list[orders.Cart]]) -> None:
    placing = Placing(db, lambda: NOW)
    there_are_none = [orders.CartLine(variant_id, 1) for variant_id in range(10**9, 10**9 + 99)]
    wanted = [cart._replace(lines=[*cart.lines, *there_are_none]) for cart in carts[:7]]
    outcomes = await asyncio.gather(*map(placing.place, wanted), return_exceptions=True)
    assert all(isinstance(it, Refused) and isinstance(it.refusal, NotOnOffer) for it in outcomes)
    assert [len(batch) for batch in batches] == [LINES_AT_ONCE // 100] * 3 + [1]
    assert await _count(db) == 0


async def test_customers_who_come_one_after_the_other_are_all_served(db: Database, carts: list[orders.Cart]) -> None:
    """Each orders again as soon as it is served, so some come at the very moment at which nobody is left."""
    placing = Placing(db, lambda: NOW)
    async with db.write() as session:
        await session.execute(update(models.Variant).values(stock=10_000))

    async def buy(cart: orders.Cart) -> None:
        for number in range(40):
            await placing.place(cart._replace(token=f"{number}"))

    async with asyncio.timeout(60):
        await asyncio.gather(*map(buy, carts[:4]))
    assert await _count(db) == 160


async def test_one_customer_at_a_time(db: Database, carts: list[orders.Cart], batches: list[list[orders.Cart]]) -> None:
    """The same token at the same time is one order, another token another one."""
    placing = Placing(db, lambda: NOW)
    wanted = [carts[0]._replace(token=token) for token in ("a", "b", "a", "c", "a", "b")]
    outcomes = await asyncio.gather(*map(placing.place, wanted))
    assert outcomes[0] == outcomes[2] == outcomes[4]
    assert outcomes[1] == outcomes[5]
    assert await _count(db) == 3
    assert all(len(batch) == 1 for batch in batches)


async def test_nobody_fails_for_what_another_one_brought(
    db: Database, carts: list[orders.Cart], batches: list[list[orders.Cart]]
) -> None:
    placing = Placing(db, lambda: NOW)
    wanted = carts[:10]
    wanted[7] = wanted[7]._replace(token="broken")
    wanted[8] = wanted[8]._replace(store_id=999_999)
    outcomes = await asyncio.gather(*map(placing.place, wanted), return_exceptions=True)
    assert [isinstance(outcome, orders.Placed) for outcome in outcomes] == [True] * 7 + [False, False, True]
    assert "division by zero" in str(outcomes[7])
    assert isinstance(outcomes[8], Refused)
    assert isinstance(outcomes[8].refusal, NotFound)
    assert await _count(db) == 8


async def test_a_connection_that_dies_fails_whoever_was_on_it(
    db: Database, carts: list[orders.Cart], batches: list[list[orders.Cart]]
) -> None:
    """Nothing of them is done, and the next ones are served."""
    placing = Placing(db, lambda: NOW)
    wanted = [carts[0]._replace(token="killer"), *carts[1:5]]
    outcomes = await asyncio.gather(*map(placing.place, wanted), return_exceptions=True)
    failed = sum(isinstance(outcome, Exception) for outcome in outcomes)
    assert isinstance(outcomes[0], Exception)
    assert await _count(db) == 5 - failed
    again = [cart._replace(token="two") for cart in wanted]
    await asyncio.gather(*map(placing.place, again))
    assert await _count(db) == 10 - failed


async def test_who_does_not_wait_any_longer(
    db: Database, carts: list[orders.Cart], batches: list[list[orders.Cart]]
) -> None:
    """What it asked for is done, and nobody else is held up."""
    placing = Placing(db, lambda: NOW)
    tasks = [asyncio.create_task(placing.place(cart)) for cart in carts[:6]]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[5].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(it, orders.Placed) for it in outcomes] == [False, True, True, True, True, False]
    assert await placing.place(carts[6])
    assert await _count(db) == 7
