"""The steps of an order and what they post, also twice, at once, and with nothing to post."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger, models, orders
from s2b2c.db import Database
from tests import factories

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
DONE_AT = datetime(2026, 9, 6, 5, tzinfo=UTC)


async def _pay(session: AsyncSession, *placed: models.Order) -> int:
    return await orders.pay(session, [(order.branch_id, order.id, PAID_AT) for order in placed], rail="import")


async def _complete(session: AsyncSession, *paid: models.Order) -> int:
    return await orders.complete(session, [(order.branch_id, order.id, DONE_AT) for order in paid], hold_days=7)


async def _balances(session: AsyncSession) -> dict[str, int]:
    accounts = (await session.scalars(select(models.LedgerAccount))).all()
    totals: dict[str, int] = {}
    for account in accounts:
        totals[account.kind] = totals.get(account.kind, 0) + await ledger.balance(session, account.id)
    return {kind: total for kind, total in totals.items() if total}


async def _worked_example(session: AsyncSession) -> models.Order:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    parent = await factories.a_distributor(session, rank=1)
    seller = await factories.a_distributor(session, parent=parent, rank=2)
    variant = await factories.a_variant(session, supply_price=2600)
    return await factories.an_order(session, await factories.a_store(session, seller), (variant, 2, 4990, 81))


async def test_payment_goes_to_escrow_and_completion_splits_it(session: AsyncSession) -> None:
    order = await _worked_example(session)
    assert await _pay(session, order) == 1
    assert await _balances(session) == {"clearing": -9899, "escrow": 9899}
    assert await _complete(session, order) == 1
    assert await _balances(session) == {
        "clearing": -9899,
        "brand_payable": 5200,
        "commission_payable": 1483,
        "revenue": 3216,
    }


async def test_each_step_twice_changes_nothing(session: AsyncSession) -> None:
    order = await _worked_example(session)
    assert [await _pay(session, order), await _pay(session, order)] == [1, 0]
    assert [await _complete(session, order), await _complete(session, order)] == [1, 0]
    assert (await _balances(session))["commission_payable"] == 1483
    assert await session.scalar(text("SELECT count(*) FROM transfers")) == 5


async def test_an_order_that_is_not_paid_cannot_be_completed(session: AsyncSession) -> None:
    assert await _complete(session, await _worked_example(session)) == 0
    assert await _balances(session) == {}


async def test_payment_freezes_upline_tiers_states_and_plan(session: AsyncSession) -> None:
    order = await _worked_example(session)
    await _pay(session, order)
    frozen = (await session.scalars(select(models.Order).execution_options(populate_existing=True))).one()
    seller = await session.get_one(models.Distributor, order.seller_id)
    plan = (await session.scalars(select(models.Plan))).one()
    ranks = [(await session.get_one(models.Tier, tier_id)).rank for tier_id in frozen.upline_tiers or ()]
    assert (frozen.upline, ranks, frozen.upline_states) == (seller.ancestors, [2, 1], ["active", "active"])
    assert (frozen.plan_id, frozen.state, frozen.paid_at) == (plan.id, "paid", PAID_AT)


async def test_completion_starts_the_hold(session: AsyncSession) -> None:
    order = await _worked_example(session)
    await _pay(session, order)
    await _complete(session, order)
    done = (await session.scalars(select(models.Order).execution_options(populate_existing=True))).one()
    assert (done.completed_at, done.matures_at) == (DONE_AT, DONE_AT + timedelta(seconds=7 * 86400))


async def test_a_loss_is_paid_in_by_the_platform(session: AsyncSession) -> None:
    variant = await factories.a_variant(session, supply_price=2600)
    order = await factories.an_order(session, await factories.a_store(session), (variant, 1, 2000, 0))
    await _pay(session, order)
    await _complete(session, order)
    assert await _balances(session) == {
        "clearing": -2000,
        "brand_payable": 2600,
        "revenue": -600,
    }
    assert (await session.scalars(text("SELECT code FROM transfers ORDER BY id"))).all() == [
        "payment",
        "subsidy",
        "supply",
    ]


async def test_zero_posts_nothing(session: AsyncSession) -> None:
    variant = await factories.a_variant(session, supply_price=0)
    order = await factories.an_order(session, await factories.a_store(session), (variant, 1, 100, 100))
    assert await _pay(session, order) + await _complete(session, order) == 2
    assert await session.scalar(text("SELECT count(*) FROM transfers")) == 0


async def test_many_orders_at_once_are_the_same_as_one_by_one(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200]})
    stores = [await factories.a_store(session) for _ in range(2)]
    variants = [await factories.a_variant(session) for _ in range(2)]
    placed = [
        await factories.an_order(session, store, *((v, 1, 4990, 0) for v in variants))
        for store in stores
        for _ in range(3)
    ]
    assert await _pay(session, *placed[:4]) == 4
    assert [await _pay(session, order) for order in placed[4:]] == [1, 1]
    assert await _complete(session, *placed) == 6
    assert await _balances(session) == {
        "clearing": -6 * 9980,
        "brand_payable": 12 * 2600,
        "commission_payable": 12 * 598,
        "revenue": 12 * (4990 - 2600 - 598),
    }
    transfers = await session.execute(text("SELECT code, count(*) AS n FROM transfers GROUP BY code"))
    assert {row.code: row.n for row in transfers} == {"payment": 6, "supply": 12, "commission": 6, "revenue": 6}


async def test_posting_a_completion_again_is_refused_by_the_database(session: AsyncSession) -> None:
    order = await _worked_example(session)
    await _pay(session, order)
    await _complete(session, order)
    with pytest.raises(IntegrityError):
        async with session.begin_nested():
            await ledger.post_completions(session, models.OrderBatch([order.branch_id], [order.id]))


async def test_a_payment_that_arrives_twice_at_the_same_time_counts_once(db: Database) -> None:
    async with db.write() as session:
        order = await _worked_example(session)

    async def arrive() -> int:
        async with db.write() as session:
            return await _pay(session, order)

    assert sorted(await asyncio.gather(*(arrive() for _ in range(5)))) == [0, 0, 0, 0, 1]
    async with db.read() as session:
        assert await _balances(session) == {"clearing": -9899, "escrow": 9899}


async def test_orders_of_one_upline_are_paid_side_by_side(db: Database) -> None:
    """No row that every order must update: two open transactions of the same seller do not wait for one another."""
    async with db.write() as session:
        first = await _worked_example(session)
        store = await session.get_one(models.Store, first.store_id)
        variant = (await session.scalars(select(models.Variant))).one()
        second = await factories.an_order(session, store, (variant, 1, 4990, 0))
        await factories.an_order(session, store, (variant, 1, 4990, 0))
        warm_up = await factories.an_order(session, store, (variant, 1, 4990, 0))
        await _pay(session, warm_up)
        await _complete(session, warm_up)
    async with db.write() as one, db.write() as other:
        await other.execute(text("SET LOCAL lock_timeout = '5s'"))
        assert [await _pay(one, first), await _pay(other, second)] == [1, 1]
        assert [await _complete(one, first), await _complete(other, second)] == [1, 1]
