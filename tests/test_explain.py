"""Explanations, against the worked numbers of the domain: every scheme and outcome, whole sentences."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import commissions, models, money, orders
from s2b2c.commissions import Explanation
from s2b2c.commissions.explain import Audience
from s2b2c.orders import Refund, RefundedLine
from tests import factories

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
ZH = "方案 standard 第 2 版："
EN = "Plan standard, version 2: "

Member = tuple[int, str]
"""(rank, state)"""

LEVELS = {"level_bps": [1200, 300]}
DIFFERENTIAL = {"scheme": "differential", "tier_bps": [1500, 1200, 800], "same_tier_bps": 50, "depth": 4}
SPREAD = {"scheme": "spread", "depth": 3}


async def _explained(
    session: AsyncSession,
    rule: dict[str, Any],
    chain: list[int | Member],
    *,
    floor: int = 0,
    discount: int = 81,
    costs: tuple[int | None, ...] = (3500, 3900, 4200),
    refunded: int | None = None,
) -> list[Explanation]:
    """By position: 2 x 4990 - 81 = 9899, supply 5200, sold by the first of `chain`."""
    await factories.a_plan(session, rule, margin_floor_bps=floor, code="standard", version=2)
    above: models.Distributor | None = None
    for member in reversed(chain):
        rank, state = (member, "active") if isinstance(member, int) else member
        above = await factories.a_distributor(session, parent=above, rank=rank, state=state)
    variant = await factories.a_variant(session, supply_price=2600, tier_costs=costs)
    order = await factories.an_order(session, await factories.a_store(session, above), (variant, 2, 4990, discount))
    await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
    if refunded is not None:
        line = RefundedLine(1, amount=refunded)
        await orders.refund(session, [Refund(order.branch_id, order.id, "r", PAID_AT, [line])])
    rows = await session.execute(
        select(models.Commission.branch_id, models.Commission.line_id, models.Commission.position).order_by(
            models.Commission.position
        )
    )
    keys = [(branch_id, line_id, position) for branch_id, line_id, position in rows]
    found = await commissions.explanations(session, keys)
    return [found[key] for key in keys]


def _said(it: Explanation, audience: Audience = "beneficiary") -> tuple[str, str]:
    """What follows the plan, in both languages."""
    zh, en = (commissions.sentence(it, language, audience) for language in ("zh", "en"))
    assert (zh[: len(ZH)], en[: len(EN)]) == (ZH, EN)
    return zh[len(ZH) :], en[len(EN) :]


def test_percent_of_basis_points() -> None:
    shown = {0: "0%", 1: "0.01%", 50: "0.5%", 300: "3%", 1250: "12.5%", 1205: "12.05%", 10_000: "100%"}
    assert {bps: money.format_percent(bps) for bps in shown} == shown


async def test_levels_of_what_was_paid(session: AsyncSession) -> None:
    seller, parent = await _explained(session, LEVELS, [2, 1])
    assert _said(seller) == (
        "你是直接销售方，按实付 ¥98.99 的 12% 计佣，得 ¥11.87。",
        "as the seller you earn 12% of the ¥98.99 paid: ¥11.87.",
    )
    assert _said(parent) == (
        "你是销售方的第 1 级上级，按实付 ¥98.99 的 3% 计佣，得 ¥2.96。",
        "as number 1 above the seller you earn 3% of the ¥98.99 paid: ¥2.96.",
    )
    assert _said(parent, "finance") == (
        "受益人是销售方的第 1 级上级，按实付 ¥98.99 的 3% 计佣，得 ¥2.96。",
        "as number 1 above the seller the beneficiary earns 3% of the ¥98.99 paid: ¥2.96.",
    )
    assert (seller.scheme, seller.base, seller.base_amount, seller.rate_bps) == ("levels", "paid", 9899, 1200)
    assert (seller.supply, seller.margin, seller.available, seller.margin_floor_bps) == (5200, 4699, 4699, 0)
    assert (parent.position, parent.tier.rank, parent.tier.name, parent.beneficiary_state) == (1, 1, "层级1", "active")


async def test_refunds_so_far(session: AsyncSession) -> None:
    """1187 * 3300 // 9899 = 395, 296 * 3300 // 9899 = 98."""
    seller, parent = await _explained(session, LEVELS, [2, 1], refunded=3300)
    assert (seller.amount, seller.clawed_back, seller.net, seller.supply) == (1187, 395, 792, 5200)
    assert _said(seller) == (
        "你是直接销售方，按实付 ¥98.99 的 12% 计佣，得 ¥11.87；已因退款回收 ¥3.95，现为 ¥7.92。",
        "as the seller you earn 12% of the ¥98.99 paid: ¥11.87; refunds have taken back ¥3.95 of it, leaving ¥7.92.",
    )
    assert _said(parent, "finance") == (
        "受益人是销售方的第 1 级上级，按实付 ¥98.99 的 3% 计佣，得 ¥2.96；已因退款回收 ¥0.98，现为 ¥1.98。",
        "as number 1 above the seller the beneficiary earns 3% of the ¥98.99 paid: ¥2.96; refunds have taken back ¥0.98 of it, leaving ¥1.98.",
    )


async def test_levels_of_the_margin(session: AsyncSession) -> None:
    """4699 * 12 % = 563: the beneficiary learns neither of the two."""
    seller, _ = await _explained(session, {**LEVELS, "base": "margin"}, [2, 1], refunded=9899)
    assert _said(seller) == (
        "你是直接销售方，按商品毛利计佣，得 ¥5.63；已因退款回收 ¥5.63，现为 ¥0.00。",
        "as the seller you earn a part of the margin of the goods: ¥5.63; refunds have taken back ¥5.63 of it, leaving ¥0.00.",
    )
    assert _said(seller, "finance") == (
        "受益人是直接销售方，按毛利 ¥46.99（实付 ¥98.99 减供货 ¥52.00）的 12% 计佣，得 ¥5.63；已因退款回收 ¥5.63，现为 ¥0.00。",
        "as the seller the beneficiary earns 12% of the margin of ¥46.99 (¥98.99 paid less ¥52.00 supply): ¥5.63; refunds have taken back ¥5.63 of it, leaving ¥0.00.",
    )
    assert (seller.base, seller.base_amount, seller.rate_bps, seller.supply) == ("margin", 4699, 1200, 5200)
    told = commissions.for_beneficiary(seller)
    assert (told.base, told.paid, told.amount, told.clawed_back) == ("margin", 9899, 563, 563)
    hidden = (told.base_amount, told.rate_bps, told.uncapped_amount, told.supply, told.margin, told.available)
    assert {*hidden, told.margin_floor_bps} == {None}


@pytest.mark.parametrize(
    ("base", "zh", "en"),
    [
        ("paid", "按实付 ¥98.99 的 0.01% 计佣", "0.01% of the ¥98.99 paid"),
        ("margin", "按商品毛利计佣", "a part of the margin of the goods"),
    ],
)
async def test_less_than_one_fen(session: AsyncSession, base: str, zh: str, en: str) -> None:
    (seller,) = await _explained(session, {"level_bps": [1], "base": base}, [1])
    assert (seller.amount, seller.outcome, seller.zero_reason) == (0, "zero", "too_small")
    assert _said(seller) == (
        f"你是直接销售方，{zh}，不足 1 分，得 ¥0.00。",
        f"as the seller you earn nothing, since {en} is less than one fen.",
    )


async def test_fixed_amounts(session: AsyncSession) -> None:
    seller, parent, top = await _explained(session, {"scheme": "fixed", "level_amounts": [500, 0, 125]}, [3, 2, 1])
    assert [(it.base, it.base_amount, it.rate_bps, it.amount) for it in (seller, parent, top)] == [
        (None, 500, None, 1000),
        (None, 0, None, 0),
        (None, 125, None, 250),
    ]
    assert _said(seller) == (
        "你是直接销售方，按每件固定额 ¥5.00 × 2 计佣，得 ¥10.00。",
        "as the seller you earn a fixed ¥5.00 for each unit, times 2: ¥10.00.",
    )
    assert parent.zero_reason == "no_rate"
    assert _said(parent) == (
        "你是销售方的第 1 级上级，规则没有给这一级佣金，得 ¥0.00。",
        "as number 1 above the seller you earn nothing, since the rule gives nothing to this position.",
    )
    assert _said(top, "finance") == (
        "受益人是销售方的第 2 级上级，按每件固定额 ¥1.25 × 2 计佣，得 ¥2.50。",
        "as number 2 above the seller the beneficiary earns a fixed ¥1.25 for each unit, times 2: ¥2.50.",
    )


async def test_a_level_without_a_rate(session: AsyncSession) -> None:
    seller, _ = await _explained(session, {"level_bps": [0, 300]}, [2, 1])
    assert _said(seller, "finance") == (
        "受益人是直接销售方，规则没有给这一级佣金，得 ¥0.00。",
        "as the seller the beneficiary earns nothing, since the rule gives nothing to this position.",
    )


async def test_differential_with_the_bonus_of_the_same_tier(session: AsyncSession) -> None:
    """Tiers at 800, 1200, 1200, 1500: 791, 395, 49 and 296."""
    found = await _explained(session, DIFFERENTIAL, [3, 2, 2, 1])
    assert [(it.rate_bps, it.tier_bps, it.below_bps, it.is_same_tier, it.amount) for it in found] == [
        (800, 800, None, False, 791),
        (400, 1200, 800, False, 395),
        (50, 1200, 1200, True, 49),
        (300, 1500, 1200, False, 296),
    ]
    assert [_said(it) for it in found[:3]] == [
        (
            "你是直接销售方，按实付 ¥98.99 的 8% 计佣（层级「层级3」的比例），得 ¥7.91。",
            "as the seller you earn 8% of the ¥98.99 paid (the rate of the tier 层级3): ¥7.91.",
        ),
        (
            "你是销售方的第 1 级上级，按实付 ¥98.99 的 4% 计佣（层级「层级2」的比例 12% 减去下方最高的 8%），得 ¥3.95。",
            "as number 1 above the seller you earn 4% of the ¥98.99 paid (12%, the rate of the tier 层级2, less the highest below, 8%): ¥3.95.",
        ),
        (
            "你是销售方的第 2 级上级，按实付 ¥98.99 的 0.5% 计平级奖（层级「层级2」的比例 12% 与下方最高的相同），得 ¥0.49。",
            "as number 2 above the seller you earn a same-tier bonus of 0.5% of the ¥98.99 paid (12%, the rate of the tier 层级2, is also the highest below): ¥0.49.",
        ),
    ]
    assert _said(found[3], "finance") == (
        "受益人是销售方的第 3 级上级，按实付 ¥98.99 的 3% 计佣（层级「层级1」的比例 15% 减去下方最高的 12%），得 ¥2.96。",
        "as number 3 above the seller the beneficiary earns 3% of the ¥98.99 paid (15%, the rate of the tier 层级1, less the highest below, 12%): ¥2.96.",
    )


async def test_differential_of_the_margin(session: AsyncSession) -> None:
    """4699 at 8 %, 4 % and 0.5 %: 375, 187 and 23. Rates of a margin beside amounts would tell it."""
    found = await _explained(session, {**DIFFERENTIAL, "base": "margin"}, [3, 2, 2, 2])
    assert [it.amount for it in found] == [375, 187, 23, 0]
    assert [_said(it) for it in found] == [
        (
            "你是直接销售方，按商品毛利计佣，得 ¥3.75。",
            "as the seller you earn a part of the margin of the goods: ¥3.75.",
        ),
        (
            "你是销售方的第 1 级上级，按商品毛利计佣，得 ¥1.87。",
            "as number 1 above the seller you earn a part of the margin of the goods: ¥1.87.",
        ),
        (
            "你是销售方的第 2 级上级，按商品毛利计平级奖，得 ¥0.23。",
            "as number 2 above the seller you earn a same-tier bonus on the margin of the goods: ¥0.23.",
        ),
        (
            "你是销售方的第 3 级上级，层级「层级2」的比例与下方最高的相同，平级奖每行只计一次，得 ¥0.00。",
            "as number 3 above the seller you earn nothing, since the rate of the tier 层级2 is also the highest below and the one same-tier bonus of the line is given.",
        ),
    ]
    told = commissions.for_beneficiary(found[1])
    assert (told.rate_bps, told.tier_bps, told.below_bps, told.base_amount) == (None, None, None, None)
    assert _said(found[2], "finance") == (
        "受益人是销售方的第 2 级上级，按毛利 ¥46.99（实付 ¥98.99 减供货 ¥52.00）的 0.5% 计平级奖（层级「层级2」的比例 12% 与下方最高的相同），得 ¥0.23。",
        "as number 2 above the seller the beneficiary earns a same-tier bonus of 0.5% of the margin of ¥46.99 (¥98.99 paid less ¥52.00 supply) (12%, the rate of the tier 层级2, is also the highest below): ¥0.23.",
    )


@pytest.mark.parametrize(("chain", "amounts"), [([3, 3, 2, 2], [791, 49, 395, 0]), ([2, 3, 2], [1187, 0, 49])])
async def test_the_bonus_of_the_same_tier_is_given_once(
    session: AsyncSession, chain: list[int | Member], amounts: list[int]
) -> None:
    found = await _explained(session, DIFFERENTIAL, chain)
    assert [it.amount for it in found] == amounts
    assert [it.is_same_tier for it in found] == [amount == 49 for amount in amounts]
    (none,) = [it for it in found if it.amount == 0]
    assert none.zero_reason == ("not_above" if none.tier_bps == 800 else "same_tier_given")


@pytest.mark.parametrize(
    ("base", "zh", "en"),
    [
        (
            "paid",
            "层级「层级3」的比例 8% 不高于下方最高的 12%",
            "8%, the rate of the tier 层级3, is not above the highest below, 12%",
        ),
        (
            "margin",
            "层级「层级3」的比例不高于下方最高的",
            "the rate of the tier 层级3 is not above the highest below",
        ),
    ],
)
async def test_a_rate_not_above_the_one_below(session: AsyncSession, base: str, zh: str, en: str) -> None:
    _, parent, _ = await _explained(session, {**DIFFERENTIAL, "base": base}, [2, 3, 2])
    assert _said(parent) == (
        f"你是销售方的第 1 级上级，{zh}，得 ¥0.00。",
        f"as number 1 above the seller you earn nothing, since {en}.",
    )


async def test_level_with_the_one_below_where_there_is_no_bonus(session: AsyncSession) -> None:
    _, parent = await _explained(session, {**DIFFERENTIAL, "same_tier_bps": 0}, [2, 2])
    assert (parent.zero_reason, parent.is_same_tier) == ("not_above", False)


async def test_a_tier_without_a_rate(session: AsyncSession) -> None:
    seller, parent = await _explained(session, {**DIFFERENTIAL, "tier_bps": [1500]}, [2, 1])
    assert (seller.tier_bps, seller.zero_reason) == (0, "no_rate")
    assert _said(seller) == (
        "你是直接销售方，规则没有给层级「层级2」比例，得 ¥0.00。",
        "as the seller you earn nothing, since the rule has no rate for the tier 层级2.",
    )
    assert _said(parent)[1] == (
        "as number 1 above the seller you earn 15% of the ¥98.99 paid (the rate of the tier 层级1): ¥14.84."
    )


async def test_spread(session: AsyncSession) -> None:
    """Costs of two units 8400, 7800, 7000: 1499, 600, 800."""
    found = await _explained(session, SPREAD, [3, 2, 1])
    assert [(it.base, it.base_amount, it.rate_bps, it.cost, it.amount) for it in found] == [
        (None, 9899, None, 8400, 1499),
        (None, 8400, None, 7800, 600),
        (None, 7800, None, 7000, 800),
    ]
    assert _said(found[0]) == (
        "你是直接销售方，按实付 ¥98.99 减自己的拿货价 ¥84.00 计佣，得 ¥14.99。",
        "as the seller you earn the ¥98.99 paid less your own cost of ¥84.00: ¥14.99.",
    )
    assert _said(found[1]) == (
        "你是销售方的第 1 级上级，按下方最低的拿货价减自己的拿货价 ¥78.00 计佣，得 ¥6.00。",
        "as number 1 above the seller you earn the lowest cost below less your own cost of ¥78.00: ¥6.00.",
    )
    assert _said(found[1], "finance") == (
        "受益人是销售方的第 1 级上级，按下方最低的拿货价 ¥84.00 减自己的拿货价 ¥78.00 计佣，得 ¥6.00。",
        "as number 1 above the seller the beneficiary earns the lowest cost below, ¥84.00, less its own cost of ¥78.00: ¥6.00.",
    )
    told = [commissions.for_beneficiary(it) for it in found]
    assert [(it.base_amount, it.cost) for it in told] == [(9899, 8400), (None, 7800), (None, 7000)]


async def test_spread_without_a_cost(session: AsyncSession) -> None:
    _, parent, top = await _explained(session, SPREAD, [3, 2, 1], costs=(3500, None, 4200))
    assert (parent.cost, parent.amount, parent.zero_reason, top.amount) == (None, 0, "unknown_cost", 1400)
    assert _said(parent) == (
        "你是销售方的第 1 级上级，层级「层级2」没有拿货价，得 ¥0.00。",
        "as number 1 above the seller you earn nothing, since the tier 层级2 has no cost.",
    )


async def test_sold_below_the_cost_of_the_seller(session: AsyncSession) -> None:
    """Paid 8000: the seller gets nothing, the uplines keep their steps."""
    found = await _explained(session, SPREAD, [3, 2, 1], discount=1980)
    assert [it.amount for it in found] == [0, 600, 800]
    assert _said(found[0], "finance") == (
        "受益人是直接销售方，实付 ¥80.00 不高于自己的拿货价 ¥84.00，得 ¥0.00。",
        "as the seller the beneficiary earns nothing, since the ¥80.00 paid is not above its own cost of ¥84.00.",
    )


@pytest.mark.parametrize(("costs", "chain"), [((3500, 3900, 4200), [2, 2]), ((3500, None, None), [3, 1])])
async def test_no_cost_below_is_above_ones_own(
    session: AsyncSession, costs: tuple[int | None, ...], chain: list[int | Member]
) -> None:
    """The same tier twice, and a seller whose cost nobody knows."""
    _, parent = await _explained(session, SPREAD, chain, costs=costs)
    assert (parent.amount, parent.zero_reason) == (0, "not_above")
    own = f"¥{money.format_yuan(parent.cost or 0)}"
    assert own in {"¥78.00", "¥70.00"}
    assert _said(parent) == (
        f"你是销售方的第 1 级上级，下方没有高于自己的拿货价 {own} 的拿货价，得 ¥0.00。",
        f"as number 1 above the seller you earn nothing, since no cost below is above your own cost of {own}.",
    )


async def test_capped_by_the_margin_floor(session: AsyncSession) -> None:
    """Floor 4000: 739 of 1483, so 591 and 147; refunding 3300 takes 197 and 49."""
    _, parent = await _explained(session, LEVELS, [2, 1], floor=4000, refunded=3300)
    assert (parent.uncapped_amount, parent.amount, parent.available, parent.net) == (296, 147, 739, 98)
    assert _said(parent) == (
        "你是销售方的第 1 级上级，按实付 ¥98.99 的 3% 计佣，应得 ¥2.96，因平台毛利底线按比例下调为 ¥1.47；已因退款回收 ¥0.49，现为 ¥0.98。",
        "as number 1 above the seller you earn 3% of the ¥98.99 paid: ¥2.96, scaled down to ¥1.47 because of the platform's margin floor; refunds have taken back ¥0.49 of it, leaving ¥0.98.",
    )
    assert _said(parent, "finance") == (
        "受益人是销售方的第 1 级上级，按实付 ¥98.99 的 3% 计佣，应得 ¥2.96，平台毛利底线 40% 下本行最多可分 ¥7.39，按比例下调为 ¥1.47；已因退款回收 ¥0.49，现为 ¥0.98。",
        "as number 1 above the seller the beneficiary earns 3% of the ¥98.99 paid: ¥2.96, scaled down to ¥1.47 because the platform's margin floor of 40% leaves ¥7.39 for the commissions of the line; refunds have taken back ¥0.49 of it, leaving ¥0.98.",
    )


async def test_a_capped_part_of_the_margin(session: AsyncSession) -> None:
    """Floor 4200 leaves 9899 - 5200 - 4158 = 541 of 563 + 140: 433 of 563."""
    seller, _ = await _explained(session, {**LEVELS, "base": "margin"}, [2, 1], floor=4200)
    assert (seller.uncapped_amount, seller.amount, seller.available) == (563, 433, 541)
    assert _said(seller) == (
        "你是直接销售方，按商品毛利计佣，因平台毛利底线按比例下调，得 ¥4.33。",
        "as the seller you earn a part of the margin of the goods: ¥4.33, scaled down because of the platform's margin floor.",
    )
    assert _said(seller, "finance") == (
        "受益人是直接销售方，按毛利 ¥46.99（实付 ¥98.99 减供货 ¥52.00）的 12% 计佣，应得 ¥5.63，平台毛利底线 42% 下本行最多可分 ¥5.41，按比例下调为 ¥4.33。",
        "as the seller the beneficiary earns 12% of the margin of ¥46.99 (¥98.99 paid less ¥52.00 supply): ¥5.63, scaled down to ¥4.33 because the platform's margin floor of 42% leaves ¥5.41 for the commissions of the line.",
    )


async def test_a_capped_spread(session: AsyncSession) -> None:
    """739 of 2899: 382 of 1499 and 152 of 600."""
    found = await _explained(session, SPREAD, [3, 2, 1], floor=4000)
    assert [it.amount for it in found] == [382, 152, 203]
    assert _said(found[1]) == (
        "你是销售方的第 1 级上级，按下方最低的拿货价减自己的拿货价 ¥78.00 计佣，应得 ¥6.00，因平台毛利底线按比例下调为 ¥1.52。",
        "as number 1 above the seller you earn the lowest cost below less your own cost of ¥78.00: ¥6.00, scaled down to ¥1.52 because of the platform's margin floor.",
    )


async def test_blocked(session: AsyncSession) -> None:
    rule = {"level_bps": [1200, 300, 0, 100]}
    found = await _explained(session, rule, [(4, "suspended"), (3, "eliminated"), (2, "suspended"), 1])
    assert [(it.outcome, it.amount, it.uncapped_amount) for it in found] == [
        ("blocked", 0, 1187),
        ("blocked", 0, 296),
        ("blocked", 0, 0),
        ("earned", 98, 98),
    ]
    assert _said(found[0]) == (
        "你是直接销售方，按实付 ¥98.99 的 12% 计佣，应得 ¥11.87，但付款时你已停用，不计佣，归平台。",
        "as the seller you would earn 12% of the ¥98.99 paid: ¥11.87, but were suspended as the order was paid, so it stays with the platform.",
    )
    assert _said(found[1], "finance") == (
        "受益人是销售方的第 1 级上级，按实付 ¥98.99 的 3% 计佣，应得 ¥2.96，但付款时受益人已清退，不计佣，归平台。",
        "as number 1 above the seller the beneficiary would earn 3% of the ¥98.99 paid: ¥2.96, but was eliminated as the order was paid, so it stays with the platform.",
    )
    assert _said(found[2]) == (
        "你是销售方的第 2 级上级，规则没有给这一级佣金，且付款时你已停用，得 ¥0.00。",
        "as number 2 above the seller you earn nothing, since the rule gives nothing to this position and you were suspended as the order was paid.",
    )
    assert [(it.zero_reason, it.skipped) for it in found] == [(None, 0), (None, 0), ("no_rate", 0), (None, 0)]


async def test_blocked_from_a_part_of_the_margin(session: AsyncSession) -> None:
    (seller,) = await _explained(session, {"level_bps": [1200], "base": "margin"}, [(1, "suspended")])
    assert _said(seller) == (
        "你是直接销售方，按商品毛利计佣，但付款时你已停用，不计佣，归平台。",
        "as the seller you would earn a part of the margin of the goods, but were suspended as the order was paid, so it stays with the platform.",
    )


async def test_those_who_left_their_place(session: AsyncSession) -> None:
    """Levels 1200/300 compressed: 1187 and 296, to the one two above."""
    seller, top = await _explained(session, {**LEVELS, "compress": True}, [3, (2, "suspended"), 1])
    assert (seller.skipped, top.skipped, top.position, top.amount, top.tier.rank) == (0, 1, 1, 296, 1)
    assert _said(top) == (
        "你是销售方的第 1 级上级（不计 1 个停用或清退的），按实付 ¥98.99 的 3% 计佣，得 ¥2.96。",
        "as number 1 above the seller (not counting 1 suspended or eliminated) you earn 3% of the ¥98.99 paid: ¥2.96.",
    )


async def test_moving_up_later_changes_no_explanation(session: AsyncSession) -> None:
    """Tier and state are those of the payment."""
    before = await _explained(session, DIFFERENTIAL, [3, 2])
    found_keys = await session.execute(
        select(models.Commission.branch_id, models.Commission.line_id, models.Commission.position)
    )
    keys = [(branch_id, line_id, position) for branch_id, line_id, position in found_keys]
    top = await factories.a_tier(session, rank=1)
    for distributor in (await session.scalars(select(models.Distributor))).all():
        distributor.tier_id, distributor.state = top.id, "suspended"
    await session.flush()
    found = await commissions.explanations(session, keys)
    assert sorted(found.values(), key=lambda it: it.position) == before
    assert await commissions.explanations(session, [(keys[0][0], keys[0][1], 10**9)]) == {}
