"""A product that is withdrawn: what becomes of listings, carts and unpaid orders, and of whoever comes just then."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, errors, models, orders, stores
from s2b2c.audit import audit
from s2b2c.catalogue import Reach
from s2b2c.db import Database
from s2b2c.errors import Refused
from s2b2c.network import Policy
from s2b2c.orders import Cart, CartLine
from tests import factories

LISTED_AT = datetime(2026, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


async def a_listed(session: AsyncSession, store: models.Store, variant: models.Variant, **more: Any) -> models.Listing:
    listing = await factories.a_listing(session, store, variant.product_id, **more)
    listing.listed_at = LISTED_AT
    await session.flush()
    return listing


async def test_it_leaves_all_stores_and_each_owner_is_told_once(session: AsyncSession) -> None:
    variant, other = await factories.a_variant(session), await factories.a_variant(session)
    product = await session.get_one(models.Product, variant.product_id)
    one, two = await factories.a_distributor(session), await factories.a_distributor(session)
    shops = [await factories.a_store(session, owner) for owner in (one, one, two)]
    for shop in shops:
        await a_listed(session, shop, variant, price=5000, pitch="好")
        await a_listed(session, shop, other, position=2)
    listing = await session.get_one(models.Listing, (shops[0].id, product.id))
    listing.changed_at, listing.why = NOW - timedelta(days=1), "changed"
    fresh = await session.get_one(models.Listing, (shops[2].id, product.id))
    fresh.listed_at = NOW
    await session.flush()
    account_id = await factories.an_account(session)
    assert await catalogue.reach(session, product.id, brand_id=product.brand_id) == Reach(3, 2)
    assert await catalogue.reach(session, product.id, brand_id=other.brand_id) is None
    left = await catalogue.withdraw(session, product.id, "停产", brand_id=None, now=NOW, account_id=account_id)
    assert left == Reach(3, 2)
    assert product.state == "delisted"
    kept = await session.scalars(select(models.Listing.product_id))
    assert kept.all() == [other.product_id] * 3
    history = (await session.scalars(select(models.ListingHistory).order_by(models.ListingHistory.store_id))).all()
    assert [
        (it.store_id, it.since, it.until, it.price, it.pitch, it.why, it.end_reason, it.ended_by) for it in history
    ] == [
        (shops[0].id, NOW - timedelta(days=1), NOW, 5000, "好", "changed", "product_withdrawn", account_id),
        (shops[1].id, LISTED_AT, NOW, 5000, "好", "selected", "product_withdrawn", account_id),
    ]
    told = (await session.scalars(select(models.Notice).order_by(models.Notice.id))).all()
    facts = {"product": product.title, "reason": "停产"}
    assert [(it.distributor_id, it.brand_id, it.kind, it.facts) for it in told] == [
        (one.id, None, "product_withdrawn", {**facts, "stores": 2}),
        (two.id, None, "product_withdrawn", {**facts, "stores": 1}),
        (None, product.brand_id, "product_delisted", facts),
    ]
    assert await catalogue.reach(session, product.id, brand_id=None) == Reach(0, 0)


async def test_what_is_in_review_goes_back_to_the_brand(session: AsyncSession) -> None:
    """So no approval lists it again against the wish of whoever withdrew it."""
    variant = await factories.a_variant(session)
    product = await session.get_one(models.Product, variant.product_id)
    account_id = await factories.an_account(session, "brand", brand_id=product.brand_id)
    by: dict[str, Any] = {"brand_id": product.brand_id, "now": NOW, "account_id": account_id}
    await catalogue.revise(session, product.id, {"title": "新"}, **by)
    await catalogue.submit(session, product.id, **by)
    waiting = (await catalogue.open_revisions(session, [product.id]))[product.id]
    await catalogue.withdraw(session, product.id, "停产", **by)
    with pytest.raises(Refused) as refused:
        await catalogue.approve(session, waiting.id, now=NOW, account_id=account_id)
    assert isinstance(refused.value.refusal, errors.WrongState)
    assert (product.state, (await catalogue.open_revisions(session, [product.id]))[product.id].state) == (
        "delisted",
        "draft",
    )
    await catalogue.submit(session, product.id, **by)
    again = (await catalogue.open_revisions(session, [product.id]))[product.id]
    await catalogue.approve(session, again.id, now=NOW, account_id=account_id)
    assert (product.state, product.title) == ("listed", "新")


@pytest.mark.parametrize("by_whom", ["brand", "operator"])
async def test_who_withdrew_it_lists_it_again(session: AsyncSession, by_whom: str) -> None:
    variant = await factories.a_variant(session)
    product = await session.get_one(models.Product, variant.product_id)
    brand: dict[str, Any] = {
        "brand_id": product.brand_id,
        "now": NOW,
        "account_id": await factories.an_account(session, "brand", brand_id=product.brand_id),
    }
    operator: dict[str, Any] = {"brand_id": None, "now": NOW, "account_id": await factories.an_account(session)}
    own, other = (brand, operator) if by_whom == "brand" else (operator, brand)
    await _refuses(catalogue.relist(session, product.id, **own))
    await _withdraw(session, product.id, own)
    await _refuses(catalogue.withdraw(session, product.id, "停产", **own))
    await _refuses(catalogue.relist(session, product.id, **other))
    assert product.state == "delisted"
    await catalogue.relist(session, product.id, **own)
    assert product.state == "listed"
    kinds = (await session.scalars(select(models.Notice.kind).order_by(models.Notice.id))).all()
    assert kinds == ([] if by_whom == "brand" else ["product_delisted", "product_relisted"])


async def test_what_the_platform_withdrew_is_submitted_as_it_is(session: AsyncSession) -> None:
    variant = await factories.a_variant(session)
    product = await session.get_one(models.Product, variant.product_id)
    staff = await factories.an_account(session, "brand", brand_id=product.brand_id)
    operator: dict[str, Any] = {"now": NOW, "account_id": await factories.an_account(session)}
    await _withdraw(session, product.id, {"brand_id": None, **operator})
    await catalogue.submit(session, product.id, brand_id=product.brand_id, now=NOW, account_id=staff)
    waiting = (await catalogue.open_revisions(session, [product.id]))[product.id]
    assert (waiting.state, waiting.diff) == ("in_review", [])
    await catalogue.reject(session, waiting.id, "还不行", **operator)
    assert await catalogue.open_revisions(session, [product.id]) == {}
    assert product.state == "delisted"
    await catalogue.submit(session, product.id, brand_id=product.brand_id, now=NOW, account_id=staff)
    again = (await catalogue.open_revisions(session, [product.id]))[product.id]
    await catalogue.approve(session, again.id, **operator)
    assert product.state == "listed"


async def _withdraw(session: AsyncSession, product_id: int, by: dict[str, Any]) -> None:
    await catalogue.withdraw(session, product_id, "停产", **by)
    await catalogue.record(session, product_id, "withdrawn", now=NOW, account_id=by["account_id"], reason="停产")


async def _refuses(step: Any) -> None:
    with pytest.raises(Refused) as refused:
        await step
    assert isinstance(refused.value.refusal, errors.WrongState)


class _Market:
    """A store that lists a product, and customers who order it."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def set_up(self) -> None:
        async with self.db.write() as session:
            await factories.a_plan(session, {"level_bps": [1200]})
            await session.execute(
                text(
                    "INSERT INTO distributor_history (distributor_id, during, tier_id, state) SELECT 0, '(,)', 0, '' WHERE false"
                )
            )
            self.store = await factories.a_store(session)
            self.variant = await factories.a_variant(session, stock=100)
            self.other = await factories.a_variant(session, stock=100)
            for position, variant in enumerate((self.variant, self.other), start=1):
                await a_listed(session, self.store, variant, position=position)
            self.account_id = await factories.an_account(session)
            self.carts = []
            for number in range(12):
                customer = await factories.a_customer(session)
                address = await factories.an_address(session, customer)
                lines = [CartLine(self.variant.id, 2), CartLine(self.other.id, 1)]
                self.carts.append(Cart(customer.id, self.store.id, f"cart {number}", lines, address.id))

    async def place(self, session: AsyncSession, number: int) -> orders.Placed | errors.Refusal:
        (done,) = await orders.place(session, [self.carts[number]], policy=Policy.of_settings(), now=NOW)
        return done

    async def withdraw(self, session: AsyncSession) -> orders.Unpaid:
        product_id = self.variant.product_id
        await catalogue.withdraw(session, product_id, "停产", brand_id=None, now=NOW, account_id=self.account_id)
        unpaid = await orders.cancel_withdrawn(session, product_id, NOW)
        await catalogue.record(session, product_id, "withdrawn", now=NOW, account_id=self.account_id, reason="停产")
        return unpaid

    async def stock(self) -> list[int]:
        async with self.db.read() as session:
            return list(await session.scalars(select(models.Variant.stock).order_by(models.Variant.id)))

    async def states(self) -> list[str]:
        async with self.db.read() as session:
            return list(await session.scalars(select(models.Order.state).order_by(models.Order.id)))


@pytest.fixture
async def market(db: Database) -> _Market:
    market = _Market(db)
    await market.set_up()
    return market


async def test_unpaid_orders_are_cancelled_and_paid_ones_stay(market: _Market) -> None:
    async with market.db.write() as session:
        placed = [await market.place(session, number) for number in range(3)]
        assert all(isinstance(it, orders.Placed) for it in placed)
        first = placed[0]
        assert isinstance(first, orders.Placed)
        await orders.pay(session, [(first.branch_id, first.id, NOW)], rail="import")
        assert (await orders.unpaid_with(session, market.variant.product_id)).amount == 2 * 2 * 4990
    assert await market.stock() == [94, 97]
    async with market.db.write() as session:
        unpaid = await market.withdraw(session)
    assert (len(unpaid.orders.order_ids), unpaid.amount) == (2, 2 * 2 * 4990)
    assert await market.states() == ["paid", "cancelled", "cancelled"]
    assert await market.stock() == [98, 99]
    async with market.db.write() as session:
        late = await market.place(session, 4)
    assert isinstance(late, errors.NotOnOffer)
    assert [line.line_no for line in late.lines] == [1]


async def _waits(task: "asyncio.Task[Any]", db: Database) -> None:
    """Until the task waits for a lock."""
    query = text(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()"
    )
    for _ in range(500):
        async with db.read() as session:
            if await session.scalar(query):
                return
        assert not task.done(), task
        await asyncio.sleep(0.01)
    raise AssertionError("it does not wait")


async def test_an_order_that_came_first_is_found(market: _Market) -> None:
    async def withdraw() -> orders.Unpaid:
        async with market.db.write() as session:
            return await market.withdraw(session)

    async with market.db.write() as session:
        assert isinstance(await market.place(session, 0), orders.Placed)
        task = asyncio.create_task(withdraw())
        await _waits(task, market.db)
    assert len((await task).orders.order_ids) == 1
    assert await market.states() == ["cancelled"]
    assert await market.stock() == [100, 100]


async def test_an_order_that_comes_later_is_refused(market: _Market) -> None:
    async def place() -> orders.Placed | errors.Refusal:
        async with market.db.write() as session:
            return await market.place(session, 0)

    async with market.db.write() as session:
        await market.withdraw(session)
        task = asyncio.create_task(place())
        await _waits(task, market.db)
    assert isinstance(await task, errors.NotOnOffer)
    assert await market.states() == []


async def test_whoever_selects_it_meanwhile_is_refused(market: _Market) -> None:
    async with market.db.write() as session:
        store = await factories.a_store(session)

    async def choose() -> Any:
        async with market.db.write() as session:
            wanted = [stores.Choice(market.variant.product_id)]
            (done,) = await stores.select_products(
                session, store.id, wanted, distributor_id=store.distributor_id, account_id=None, now=NOW
            )
            return done

    async with market.db.write() as session:
        await market.withdraw(session)
        task = asyncio.create_task(choose())
        await _waits(task, market.db)
    assert isinstance(await task, errors.NotSelectable)


async def test_many_order_pay_and_cancel_while_it_is_withdrawn(market: _Market) -> None:
    """Nobody deadlocks, and afterwards no order waits to be paid for it."""
    started = asyncio.Event()

    async def live(number: int) -> None:
        async with market.db.write() as session:
            placed = await market.place(session, number)
        started.set()
        if isinstance(placed, orders.Placed):
            event = [(placed.branch_id, placed.id, NOW)]
            async with market.db.write() as session:
                if number % 3 == 0:
                    await orders.pay(session, event, rail="import")
                elif number % 3 == 1:
                    await orders.cancel(session, event)

    async def withdraw() -> None:
        await started.wait()
        async with market.db.write() as session:
            await market.withdraw(session)

    await asyncio.gather(*map(live, range(12)), withdraw())
    states = await market.states()
    assert set(states) <= {"paid", "cancelled"}
    bought = states.count("paid")
    assert await market.stock() == [100 - 2 * bought, 100 - bought]
    async with market.db.snapshot() as session:
        found = {it.check for it in await audit(session)}
    assert not found & {"withdrawn_products", "product_reviews", "listing_products", "lines_add_up"}
