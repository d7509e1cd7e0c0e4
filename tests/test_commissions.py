"""What each position earns, against the worked numbers of the domain; and that it stays so whatever changes later."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import commissions, models, network, orders
from tests import factories

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
LATER = datetime(2026, 9, 2, 5, tzinfo=UTC)

Share = tuple[int, int, int, str]
"""(position, uncapped amount, amount, outcome)"""

LADDER = {"scheme": "differential", "tier_bps": [1500, 1200, 800], "same_tier_bps": 50, "depth": 4}
"""The tiers of rank 1, 2 and 3 at these rates."""
SPREAD = {"scheme": "spread", "depth": 3}


async def _a_seller(session: AsyncSession, *ranks: int, blocked: Sequence[int] = ()) -> models.Distributor:
    """With an upline; both are given from the seller upwards."""
    seller = None
    for position, rank in reversed(list(enumerate(ranks))):
        state = "suspended" if position in blocked else "active"
        seller = await factories.a_distributor(session, parent=seller, rank=rank, state=state)
    assert seller is not None
    return seller


async def _order_by(
    session: AsyncSession,
    seller: models.Distributor,
    *,
    discount: int = 81,
    tier_costs: tuple[int | None, ...] = (3500, 3900, 4200),
) -> models.Order:
    """Quantity 2 at 4990 less 81, so 9899 paid; supply price 2600, so a margin of 4699."""
    variant = await factories.a_variant(session, supply_price=2600, tier_costs=tier_costs)
    return await factories.an_order(session, await factories.a_store(session, seller), (variant, 2, 4990, discount))


async def _order_of_9899(
    session: AsyncSession, seller_state: str = "active", parent_state: str = "active"
) -> models.Order:
    top = await factories.a_distributor(session, rank=1)
    parent = await factories.a_distributor(session, parent=top, rank=2, state=parent_state)
    return await _order_by(session, await factories.a_distributor(session, parent=parent, rank=3, state=seller_state))


async def _pay(session: AsyncSession, order: models.Order, at: datetime = PAID_AT) -> list[Share]:
    assert await orders.pay(session, [(order.branch_id, order.id, at)], rail="import") == 1
    return [(row.position, row.uncapped_amount, row.amount, row.outcome) for row in await _rows(session, order)]


async def _rows(session: AsyncSession, order: models.Order) -> Sequence[models.Commission]:
    rows = await session.scalars(
        select(models.Commission)
        .join(models.OrderLine, models.OrderLine.id == models.Commission.line_id)
        .where(models.OrderLine.order_id == order.id)
        .order_by(models.OrderLine.line_no, models.Commission.position)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def _amounts(session: AsyncSession, order: models.Order, at: datetime = PAID_AT) -> list[int]:
    return [amount for _, _, amount, _ in await _pay(session, order, at)]


async def _line(session: AsyncSession, order: models.Order) -> models.OrderLine:
    lines = await session.scalars(
        select(models.OrderLine)
        .where(models.OrderLine.order_id == order.id)
        .execution_options(populate_existing=True)
        .order_by(models.OrderLine.line_no)
    )
    return lines.one()


@pytest.mark.parametrize(
    ("rule", "ranks", "blocked", "amounts", "platform"),
    [
        ({"level_bps": [1200, 300]}, (3, 2), (), [1187, 296], 3216),
        ({"level_bps": [1200, 300], "base": "margin"}, (3, 2), (), [563, 140], 3996),
        ({"level_bps": [1200, 300, 100]}, (3, 2, 1), (1,), [1187, 0, 98], 3414),
        ({"level_bps": [1200, 300, 100], "compress": True}, (3, 2, 1), (1,), [1187, 296], 3216),
        # An amount for each of the two units.
        ({"scheme": "fixed", "level_amounts": [500, 150]}, (3, 2), (), [1000, 300], 3399),
        ({"scheme": "fixed", "level_amounts": [500, 150, 9]}, (3, 2, 1), (1,), [1000, 0, 18], 3681),
        ({"scheme": "fixed", "level_amounts": [500, 150], "compress": True}, (3, 2, 1), (1,), [1000, 300], 3399),
        # What a tier has above the highest below it; once a line a bonus for the first that is level with that.
        (LADDER, (3, 2, 2, 1), (), [791, 395, 49, 296], 3168),
        (LADDER, (3, 3, 2, 2), (), [791, 49, 395, 0], 3464),
        (LADDER, (2, 3, 2), (), [1187, 0, 49], 3463),
        (LADDER | {"base": "margin"}, (3, 2, 2), (), [375, 187, 23], 4114),
        # A blocked one counts in the highest rate below (1500 - 1200), and uses up the bonus.
        (LADDER, (3, 2, 1), (1,), [791, 0, 296], 3612),
        (LADDER, (2, 2, 2), (1,), [1187, 0, 0], 3512),
        (LADDER | {"compress": True}, (2, 2, 2), (1,), [1187, 49], 3463),
        # Compressed first, then cut to the depth.
        (LADDER | {"depth": 2}, (3, 2, 1), (1,), [791, 0], 3908),
        (LADDER | {"depth": 2, "compress": True}, (3, 2, 1), (1,), [791, 692], 3216),
        # A tier that the rule does not name has a rate of 0, and being level with that is no bonus.
        (LADDER | {"tier_bps": [1500]}, (3, 2, 1), (), [0, 0, 1484], 3215),
        # What the costs of two units fall from one to the next: 8400, 7800, 7000.
        (SPREAD, (3, 2, 1), (), [1499, 600, 800], 1800),
        (SPREAD, (3, 2, 1), (1,), [1499, 0, 800], 2400),
        (SPREAD | {"compress": True}, (3, 2, 1), (1,), [1499, 1400], 1800),
        (SPREAD, (3, 2, 1), (0,), [0, 600, 800], 3299),
        # A dearer one above earns nothing and leaves the lowest cost where it was.
        (SPREAD, (2, 3, 1), (), [2099, 0, 800], 1800),
    ],
)
async def test_shares_of_9899(
    session: AsyncSession,
    rule: dict[str, Any],
    ranks: tuple[int, ...],
    blocked: tuple[int, ...],
    amounts: list[int],
    platform: int,
) -> None:
    await factories.a_plan(session, rule)
    order = await _order_by(session, await _a_seller(session, *ranks, blocked=blocked))
    assert await _amounts(session, order) == amounts
    line = await _line(session, order)
    assert (line.paid, line.supply, line.commission, line.platform) == (9899, 5200, sum(amounts), platform)


async def test_an_unknown_cost_earns_nothing_and_leaves_the_lowest_alone(session: AsyncSession) -> None:
    await factories.a_plan(session, SPREAD)
    seller = await _a_seller(session, 3, 2, 1)
    order = await _order_by(session, seller, tier_costs=(3500, None, 4200))
    assert await _amounts(session, order) == [1499, 0, 1400]
    unknown = await _order_by(session, seller, tier_costs=(3500, 3900))
    assert await _pay(session, unknown) == [(0, 0, 0, "zero"), (1, 0, 0, "zero"), (2, 800, 800, "earned")]


async def test_a_discount_below_the_cost_of_the_seller_leaves_the_steps_above(session: AsyncSession) -> None:
    await factories.a_plan(session, SPREAD)
    order = await _order_by(session, await _a_seller(session, 3, 2, 1), discount=1980)
    assert await _pay(session, order) == [(0, 0, 0, "zero"), (1, 600, 600, "earned"), (2, 800, 800, "earned")]
    line = await _line(session, order)
    assert (line.paid, line.platform) == (8000, 1400)


async def test_the_rows_of_each_scheme_say_what_they_were_reckoned_from(session: AsyncSession) -> None:
    """(base amount, rate, highest rate below)"""
    seller = await _a_seller(session, 3, 2, 2)
    plan = await factories.a_plan(session, LADDER)
    for rule, expected in (
        ({}, [(9899, 800, None), (9899, 400, 800), (9899, 50, 1200)]),
        (SPREAD, [(9899, None, None), (8400, None, None), (7800, None, None)]),
        ({"scheme": "fixed", "level_amounts": [500, 150]}, [(500, None, None), (150, None, None)]),
    ):
        order = await _order_by(session, seller)
        line = await _line(session, order)
        if rule:
            written = {"base": "paid", "depth": 2, **rule, "plan_id": plan.id, "product_id": line.product_id}
            session.add(models.Rule(**written))
            await session.flush()
        await _pay(session, order)
        rows = await _rows(session, order)
        assert [(row.base_amount, row.rate_bps, row.below_bps) for row in rows] == expected


@pytest.mark.parametrize(
    ("level_amounts", "blocked", "shares", "platform"),
    [
        # 8000 would be paid of 4699: 4000 * 4699 / 8000 = 2349.5.
        ([2000, 2000], (), [(4000, 2349, "capped"), (4000, 2349, "capped")], 1),
        # Only one of them counts, and fits.
        ([2000, 2000], (1,), [(4000, 4000, "earned"), (4000, 0, "blocked")], 699),
        # 5000 of 4699 though 2000 are blocked: 2819.4 and 1879.6.
        ([1500, 1000, 1000], (1,), [(3000, 2819, "capped"), (2000, 0, "blocked"), (2000, 1879, "capped")], 1),
        # A zero among those that are scaled is a zero; what is scaled to nothing is capped.
        ([5000, 0, 1], (), [(10000, 4698, "capped"), (0, 0, "zero"), (2, 0, "capped")], 1),
        # Exactly what there is.
        ([2349], (), [(4698, 4698, "earned")], 1),
    ],
)
async def test_shares_that_the_margin_cannot_hold(
    session: AsyncSession,
    level_amounts: list[int],
    blocked: tuple[int, ...],
    shares: list[tuple[int, int, str]],
    platform: int,
) -> None:
    await factories.a_plan(session, {"scheme": "fixed", "level_amounts": level_amounts})
    order = await _order_by(session, await _a_seller(session, 3, 2, 1, blocked=blocked))
    assert await _pay(session, order) == [(position, *share) for position, share in enumerate(shares)]
    assert (await _line(session, order)).platform == platform


@pytest.mark.parametrize(
    ("floor_bps", "amount"),
    [(1, 4698), (100, 4600), (4000, 739), (4745, 1), (4746, 0), (10_000, 0)],
)
async def test_the_floor_is_rounded_up(session: AsyncSession, floor_bps: int, amount: int) -> None:
    """0.9899 to 1, 98.99 to 99, 3959.6 to 3960, 4697.08 to 4698, 4698.07 to 4699."""
    await factories.a_plan(session, {"level_bps": [10_000]}, margin_floor_bps=floor_bps)
    order = await _order_by(session, await _a_seller(session, 1))
    assert await _pay(session, order) == [(0, 9899, amount, "capped")]


async def test_the_margin_floor_scales_the_shares(session: AsyncSession) -> None:
    """Floor 4000: available 9899 - 5200 - 3960 = 739 of 1483."""
    await factories.a_plan(session, {"level_bps": [1200, 300]}, margin_floor_bps=4000)
    order = await _order_of_9899(session)
    assert await _pay(session, order) == [(0, 1187, 591, "capped"), (1, 296, 147, "capped")]
    assert (await _line(session, order)).platform == 3961
    assert [await _refund(session, order, amount) for amount in (3300, 6599)] == [[197, 49], [394, 98]]


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


async def _refund(session: AsyncSession, order: models.Order, amount: int) -> list[int]:
    """What a refund of this much takes back, by position."""
    line = orders.RefundedLine(1, amount=amount)
    reference = f"{order.order_no} {await session.scalar(text('SELECT count(*) FROM refunds'))}"
    assert await orders.refund(session, [orders.Refund(order.branch_id, order.id, reference, LATER, [line])]) == 1
    taken = await session.scalars(
        select(models.Clawback.amount)
        .join(models.Refund, models.Refund.id == models.Clawback.refund_id)
        .where(models.Refund.reference == reference)
        .order_by(models.Clawback.position)
    )
    return list(taken)


async def _move_it(session: AsyncSession, seller: models.Distributor) -> None:
    account = models.Account(role="operator")
    session.add(account)
    await session.flush()
    top = seller.ancestors[-1]
    await network.move(session, seller.id, top, reason="调整", now=LATER, account_id=account.id)


async def _promote_it(session: AsyncSession, seller: models.Distributor) -> None:
    seller.tier_id = (await factories.a_tier(session, rank=2)).id
    await session.flush()
    await session.refresh(seller)


async def _suspend_its_parent(session: AsyncSession, seller: models.Distributor) -> None:
    (await session.get_one(models.Distributor, seller.parent_id)).state = "suspended"
    await session.flush()


async def _activate_another_plan(session: AsyncSession, _seller: models.Distributor) -> None:
    (await session.scalars(select(models.Plan))).one().during = Range(None, LATER)
    await session.flush()
    await factories.a_plan(session, {"level_bps": [1000]}, margin_floor_bps=1000, during=Range(LATER, None))


@pytest.mark.parametrize(
    ("change", "from_now_on"),
    [
        (_move_it, [791, 692]),
        (_promote_it, [1187, 49, 0, 296]),
        (_suspend_its_parent, [791, 0, 49, 296]),
        (_activate_another_plan, [989]),
    ],
)
async def test_what_was_earned_stays_and_is_taken_back_by_its_own_shares(
    session: AsyncSession, change: Callable[[AsyncSession, models.Distributor], Awaitable[None]], from_now_on: list[int]
) -> None:
    """Of 791, 395, 49 and 296 the refund of 3300 takes 263.7, 131.7, 16.3 and 98.7; the rest takes what is left."""
    await factories.a_plan(session, LADDER)
    seller = await _a_seller(session, 3, 2, 2, 1)
    order = await _order_by(session, seller)
    assert await _amounts(session, order) == [791, 395, 49, 296]
    before = await _written(session)
    await change(session, seller)
    assert await _written(session) == before
    later = await _order_by(session, seller)
    assert await _amounts(session, later, LATER) == from_now_on
    assert await _refund(session, order, 3300) == [263, 131, 16, 98]
    assert await orders.complete(session, [(order.branch_id, order.id, LATER)], hold_days=7) == 1
    assert await _refund(session, order, 6599) == [528, 264, 33, 198]
    assert (await _line(session, order)).commission == 0
    assert (await _written(session))[:4] == before


async def _written(session: AsyncSession) -> Sequence[object]:
    """Every column of every commission."""
    return (await session.execute(text("SELECT c::text FROM commissions c ORDER BY id"))).all()
