"""Accrual, against the worked numbers of the domain."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import commissions, models, orders
from tests import factories

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)

Share = tuple[int, int, int, str]
"""(position, uncapped amount, amount, outcome)"""


async def _order_of_9899(
    session: AsyncSession, seller_state: str = "active", parent_state: str = "active"
) -> models.Order:
    """Quantity 2 at 4990 less 81; supply price 2600; three positions."""
    top = await factories.a_distributor(session, rank=1)
    parent = await factories.a_distributor(session, parent=top, rank=2, state=parent_state)
    seller = await factories.a_distributor(session, parent=parent, rank=3, state=seller_state)
    variant = await factories.a_variant(session, supply_price=2600)
    return await factories.an_order(session, await factories.a_store(session, seller), (variant, 2, 4990, 81))


async def _pay(session: AsyncSession, order: models.Order) -> list[Share]:
    assert await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import") == 1
    rows = await session.scalars(
        select(models.Commission)
        .join(models.OrderLine, models.OrderLine.id == models.Commission.line_id)
        .where(models.OrderLine.order_id == order.id)
        .order_by(models.OrderLine.line_no, models.Commission.position)
    )
    return [(row.position, row.uncapped_amount, row.amount, row.outcome) for row in rows]


async def _line(session: AsyncSession, order: models.Order) -> models.OrderLine:
    lines = await session.scalars(
        select(models.OrderLine)
        .where(models.OrderLine.order_id == order.id)
        .execution_options(populate_existing=True)
        .order_by(models.OrderLine.line_no)
    )
    return lines.one()


@pytest.mark.parametrize(
    ("base", "shares", "platform"),
    [("paid", [1187, 296], 3216), ("margin", [563, 140], 3996)],
)
async def test_levels_of_the_worked_example(session: AsyncSession, base: str, shares: list[int], platform: int) -> None:
    await factories.a_plan(session, {"base": base, "level_bps": [1200, 300]})
    order = await _order_of_9899(session)
    assert await _pay(session, order) == [(k, share, share, "earned") for k, share in enumerate(shares)]
    line = await _line(session, order)
    assert (line.paid, line.supply, line.commission, line.platform) == (9899, 5200, sum(shares), platform)


async def test_the_margin_floor_scales_the_shares(session: AsyncSession) -> None:
    """Floor 4000: available 9899 - 5200 - 3960 = 739 of 1483."""
    await factories.a_plan(session, {"level_bps": [1200, 300]}, margin_floor_bps=4000)
    order = await _order_of_9899(session)
    assert await _pay(session, order) == [(0, 1187, 591, "capped"), (1, 296, 147, "capped")]
    assert (await _line(session, order)).platform == 3961


async def test_without_a_floor_the_platform_never_goes_below_nothing(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [5000, 4000]})
    order = await _order_of_9899(session)
    assert await _pay(session, order) == [(0, 4949, 2610, "capped"), (1, 3959, 2088, "capped")]
    assert (await _line(session, order)).platform == 1


async def test_sold_below_supply_everybody_gets_nothing(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200]})
    seller = await factories.a_distributor(session)
    variant = await factories.a_variant(session, supply_price=2600)
    order = await factories.an_order(session, await factories.a_store(session, seller), (variant, 2, 2000, 0))
    assert await _pay(session, order) == [(0, 480, 0, "capped")]
    assert (await _line(session, order)).platform == -1200


async def test_a_blocked_position_keeps_its_place_and_the_platform_its_share(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300, 100]})
    order = await _order_of_9899(session, parent_state="suspended")
    assert await _pay(session, order) == [(0, 1187, 1187, "earned"), (1, 296, 0, "blocked"), (2, 98, 98, "earned")]
    assert (await _line(session, order)).platform == 9899 - 5200 - 1187 - 98


async def test_a_blocked_seller_earns_nothing_and_watch_earns(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    order = await _order_of_9899(session, seller_state="eliminated", parent_state="watch")
    assert await _pay(session, order) == [(0, 1187, 0, "blocked"), (1, 296, 296, "earned")]


async def test_a_chain_shorter_than_the_rule_leaves_the_rest_to_the_platform(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    variant = await factories.a_variant(session, supply_price=2600)
    order = await factories.an_order(session, await factories.a_store(session), (variant, 2, 4990, 81))
    assert await _pay(session, order) == [(0, 1187, 1187, "earned")]


async def test_a_rate_that_floors_to_nothing_is_a_row_of_its_own(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [0, 300]})
    assert await _pay(session, await _order_of_9899(session)) == [(0, 0, 0, "zero"), (1, 296, 296, "earned")]


async def test_the_most_specific_rule_then_the_newest_applies(session: AsyncSession) -> None:
    """Rates 100 for everything up to 500 for the variant; of two for the variant the newer one."""
    seller = await factories.a_distributor(session)
    store = await factories.a_store(session, seller)
    brand = await factories.a_brand(session)
    chosen = await factories.a_variant(session, brand=brand, category="猫粮")
    product = await session.get_one(models.Product, chosen.product_id)
    sibling = await factories.a_variant(session, product=product)
    same_category = await factories.a_variant(session, category="猫粮")
    same_brand = await factories.a_variant(session, brand=brand, category="狗粮")
    other = await factories.a_variant(session)
    await factories.a_plan(
        session,
        {"variant_id": chosen.id, "level_bps": [9000]},
        {"variant_id": chosen.id, "level_bps": [500]},
        {"product_id": chosen.product_id, "level_bps": [400]},
        {"category": "猫粮", "level_bps": [300]},
        {"brand_id": brand.id, "level_bps": [200]},
        {"level_bps": [100]},
    )
    lines = [(variant, 1, 10000, 0) for variant in (chosen, sibling, same_category, same_brand, other)]
    order = await factories.an_order(session, store, *lines)
    assert [amount for _, _, amount, _ in await _pay(session, order)] == [500, 400, 300, 200, 100]


async def test_a_zero_rate_rule_stops_the_search(session: AsyncSession) -> None:
    order = await _order_of_9899(session)
    line = await _line(session, order)
    await factories.a_plan(session, {"level_bps": [1200]}, {"product_id": line.product_id, "level_bps": []})
    assert await _pay(session, order) == []
    assert (await _line(session, order)).platform == 4699


async def test_without_a_plan_all_stays_with_the_platform(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200]}, state="draft")
    order = await _order_of_9899(session)
    assert await _pay(session, order) == []
    assert (await _line(session, order)).platform == 4699


async def test_a_row_carries_what_explains_it(session: AsyncSession) -> None:
    plan = await factories.a_plan(session, {"level_bps": [1200, 300]})
    order = await _order_of_9899(session)
    await _pay(session, order)
    second = (await session.scalars(select(models.Commission).where(models.Commission.position == 1))).one()
    rule = await session.get_one(models.Rule, second.rule_id)
    tier = await session.get_one(models.Tier, second.tier_id)
    assert (rule.plan_id, rule.scheme, rule.base, tier.rank) == (plan.id, "levels", "paid", 2)
    assert (second.base_amount, second.rate_bps, second.amount) == (9899, 300, 296)


async def test_accruing_twice_is_refused_by_the_database(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    order = await _order_of_9899(session)
    await _pay(session, order)
    with pytest.raises(IntegrityError):
        async with session.begin_nested():
            await commissions.accrue(session, models.OrderBatch([order.branch_id], [order.id]))


async def test_amounts_near_the_limit_do_not_overflow(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [10000]})
    variant = await factories.a_variant(session, supply_price=1)
    order = await factories.an_order(session, await factories.a_store(session), (variant, 1_000_000, 10**12, 0))
    assert await _pay(session, order) == [(0, 10**18, 10**18 - 10**6, "capped")]


async def test_the_database_refuses_an_active_plan_that_pays_further_without_a_reason(session: AsyncSession) -> None:
    plan = await factories.a_plan(session, {"level_bps": [1200, 300, 100]})
    for reason in ("NULL", "''"):
        with pytest.raises(IntegrityError, match="ck_plans_override_reason"):
            async with session.begin_nested():
                await session.execute(text(f"UPDATE plans SET max_paid_positions = 2, override_reason = {reason}"))
    await session.execute(text("UPDATE plans SET max_paid_positions = 2, override_reason = '试点'"))
    assert plan.paid_positions == 3
