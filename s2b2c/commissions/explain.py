"""Why a commission is what it is: as data and in one sentence, for whoever earns it and for finance. Money in fen."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple

from sqlalchemy import BigInteger, and_, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow
from s2b2c.models import Claim, Distributor, Order, OrderLine, Plan, Store
from s2b2c.money import format_percent, format_yuan
from s2b2c.notices import Language
from s2b2c.sql import statements

Audience = Literal["beneficiary", "finance"]

ZeroReason = Literal["no_rate", "too_small", "not_above", "same_tier_given", "unknown_cost", "below_cost"]


class TierThen(NamedTuple):
    """The tier on which somebody stood as the order was paid."""

    id: int
    code: str
    rank: int
    name: str
    is_leader: bool


class Explanation(NamedTuple):
    """What a commission was reckoned from, as its row and the rule, line and order it names hold it.

    None is what the scheme has no use for, or what the reader must not learn.
    """

    plan_code: str
    plan_version: int
    margin_floor_bps: int | None
    rule_id: int
    scheme: str
    base: str | None
    base_amount: int | None
    """The base; of `fixed` what one unit gives, of `spread` what the goods brought (models.Commission)."""
    rate_bps: int | None
    tier_bps: int | None
    """`differential`: the rate of the tier itself."""
    below_bps: int | None
    """`differential`: the highest rate below, which is not earned again."""
    cost: int | None
    """`spread`: what all units cost the tier."""
    position: int
    skipped: int
    """How many blocked ones below left their place (compression)."""
    tier: TierThen
    beneficiary_state: str
    """As the order was paid."""
    quantity: int
    paid: int
    supply: int | None
    """Of the line as it was paid."""
    available: int | None
    """What the margin floor leaves for all commissions of the line."""
    uncapped_amount: int | None
    amount: int
    outcome: str
    clawed_back: int
    is_same_tier: bool
    """It is the bonus of the first that stands level with the highest below (平级奖)."""
    zero_reason: ZeroReason | None

    @property
    def net(self) -> int:
        return self.amount - self.clawed_back

    @property
    def margin(self) -> int | None:
        return None if self.supply is None else self.paid - self.supply


def explanation(row: Any) -> Explanation:
    """Of a row with the columns of `explanations.columns`."""
    is_same_tier = row.scheme == "differential" and row.tier_bps == row.below_bps and row.rate_bps > 0
    made: Mapping[str, Any] = {
        "tier": TierThen(row.tier_id, row.tier_code, row.tier_rank, row.tier_name, row.tier_is_leader),
        "is_same_tier": is_same_tier,
        "zero_reason": _zero_reason(row) if row.uncapped_amount == 0 else None,
    }
    return Explanation._make(made[name] if name in made else getattr(row, name) for name in Explanation._fields)


def _zero_reason(row: Any) -> ZeroReason:
    if row.scheme == "spread":
        if row.cost is None:
            return "unknown_cost"
        return "below_cost" if row.position == 0 else "not_above"
    if row.rate_bps:
        return "too_small"
    if row.scheme != "differential" or row.tier_bps == 0:
        return "no_rate"
    return "same_tier_given" if row.tier_bps == row.below_bps and row.same_tier_bps > 0 else "not_above"


def for_beneficiary(it: Explanation) -> Explanation:
    """What the beneficiary may know of it: nothing that tells a supply price (domain: Who sees what).

    A margin, or a rate of it beside the amount, would tell it. What the goods cost others is not shown either.
    """
    it = it._replace(margin_floor_bps=None, supply=None, available=None)
    if it.base == "margin":
        return it._replace(base_amount=None, rate_bps=None, tier_bps=None, below_bps=None, uncapped_amount=None)
    return it._replace(base_amount=None) if it.scheme == "spread" and it.position > 0 else it


_VOICES: Mapping[tuple[Language, Audience], Mapping[str, str]] = {
    ("zh", "beneficiary"): {"me": "你"},
    ("zh", "finance"): {"me": "受益人"},
    ("en", "beneficiary"): {"me": "you", "earn": "you earn", "own": "your own", "were": "were"},
    ("en", "finance"): {"me": "the beneficiary", "earn": "the beneficiary earns", "own": "its own", "were": "was"},
}
_STATES: Mapping[Language, Mapping[str, str]] = {
    "zh": {"suspended": "已停用", "eliminated": "已清退", "applied": "未通过申请", "rejected": "未通过申请"},
    "en": {"applied": "not approved", "rejected": "not approved"},
}
_WORDS: Mapping[Language, Mapping[str, str]] = {
    "zh": {
        "all": "方案 {plan} 第 {version} 版：{who}，{result}{refunds}。",
        "seller": "{me}是直接销售方",
        "above": "{me}是销售方的第 {position} 级上级",
        "skipped": "（不计 {skipped} 个停用或清退的）",
        "of_paid": "实付 {paid} ",
        "of_margin": "毛利 {base}（实付 {paid} 减供货 {supply}）",
        "levels": "按{of}的 {rate} 计佣",
        "fixed": "按每件固定额 {base} × {quantity} 计佣",
        "tier": "按{of}的 {rate} 计佣（层级「{tier}」的比例）",
        "step": "按{of}的 {rate} 计佣（层级「{tier}」的比例 {tier_rate} 减去下方最高的 {below}）",
        "bonus": "按{of}的 {rate} 计平级奖（层级「{tier}」的比例 {tier_rate} 与下方最高的相同）",
        "hidden": "按商品毛利计佣",
        "hidden_bonus": "按商品毛利计平级奖",
        "spread_seller": "按实付 {paid} 减自己的拿货价 {cost} 计佣",
        "spread_above": "按下方最低的拿货价 {base} 减自己的拿货价 {cost} 计佣",
        "spread_hidden": "按下方最低的拿货价减自己的拿货价 {cost} 计佣",
        "no_rate": "规则没有给这一级佣金",
        "no_tier_rate": "规则没有给层级「{tier}」比例",
        "too_small": "{what}，不足 1 分",
        "not_above": "层级「{tier}」的比例 {tier_rate} 不高于下方最高的 {below}",
        "not_above_hidden": "层级「{tier}」的比例不高于下方最高的",
        "same_tier_given": "层级「{tier}」的比例与下方最高的相同，平级奖每行只计一次",
        "unknown_cost": "层级「{tier}」没有拿货价",
        "below_cost": "实付 {paid} 不高于自己的拿货价 {cost}",
        "not_above_cost": "下方没有高于自己的拿货价 {cost} 的拿货价",
        "zero": "{why}，得 {amount}",
        "earned": "{what}，得 {amount}",
        "capped": "{what}，应得 {uncapped}，因平台毛利底线按比例下调为 {amount}",
        "capped_hidden": "{what}，因平台毛利底线按比例下调，得 {amount}",
        "capped_finance": "{what}，应得 {uncapped}，平台毛利底线 {floor} 下本行最多可分 {available}，按比例下调为 "
        "{amount}",
        "blocked": "{what}，应得 {uncapped}，但付款时{me}{state}，不计佣，归平台",
        "blocked_hidden": "{what}，但付款时{me}{state}，不计佣，归平台",
        "blocked_zero": "{why}，且付款时{me}{state}，得 {amount}",
        "refunds": "；已因退款回收 {taken}，现为 {net}",
    },
    "en": {
        "all": "Plan {plan}, version {version}: {who} {result}{refunds}.",
        "seller": "as the seller",
        "above": "as number {position} above the seller",
        "skipped": " (not counting {skipped} suspended or eliminated)",
        "of_paid": "the {paid} paid",
        "of_margin": "the margin of {base} ({paid} paid less {supply} supply)",
        "levels": "{rate} of {of}",
        "fixed": "a fixed {base} for each unit, times {quantity}",
        "tier": "{rate} of {of} (the rate of the tier {tier})",
        "step": "{rate} of {of} ({tier_rate}, the rate of the tier {tier}, less the highest below, {below})",
        "bonus": "a same-tier bonus of {rate} of {of} ({tier_rate}, the rate of the tier {tier}, is also the highest "
        "below)",
        "hidden": "a part of the margin of the goods",
        "hidden_bonus": "a same-tier bonus on the margin of the goods",
        "spread_seller": "the {paid} paid less {own} cost of {cost}",
        "spread_above": "the lowest cost below, {base}, less {own} cost of {cost}",
        "spread_hidden": "the lowest cost below less {own} cost of {cost}",
        "no_rate": "the rule gives nothing to this position",
        "no_tier_rate": "the rule has no rate for the tier {tier}",
        "too_small": "{what} is less than one fen",
        "not_above": "{tier_rate}, the rate of the tier {tier}, is not above the highest below, {below}",
        "not_above_hidden": "the rate of the tier {tier} is not above the highest below",
        "same_tier_given": "the rate of the tier {tier} is also the highest below and the one same-tier bonus of the "
        "line is given",
        "unknown_cost": "the tier {tier} has no cost",
        "below_cost": "the {paid} paid is not above {own} cost of {cost}",
        "not_above_cost": "no cost below is above {own} cost of {cost}",
        "zero": "{earn} nothing, since {why}",
        "earned": "{earn} {what}: {amount}",
        "capped": "{earn} {what}: {uncapped}, scaled down to {amount} because of the platform's margin floor",
        "capped_hidden": "{earn} {what}: {amount}, scaled down because of the platform's margin floor",
        "capped_finance": "{earn} {what}: {uncapped}, scaled down to {amount} because the platform's margin floor of "
        "{floor} leaves {available} for the commissions of the line",
        "blocked": "{me} would earn {what}: {uncapped}, but {were} {state} as the order was paid, so it stays with "
        "the platform",
        "blocked_hidden": "{me} would earn {what}, but {were} {state} as the order was paid, so it stays with "
        "the platform",
        "blocked_zero": "{earn} nothing, since {why} and {me} {were} {state} as the order was paid",
        "refunds": "; refunds have taken back {taken} of it, leaving {net}",
    },
}  # fmt: skip


def sentence(it: Explanation, language: Language, audience: Audience) -> str:
    """The explanation in one sentence; to the beneficiary without what it must not learn."""
    it = for_beneficiary(it) if audience == "beneficiary" else it
    words, shown = _WORDS[language], {**_VOICES[language, audience], **_shown(it, language)}

    def say(key: str) -> str:
        return words[key].format_map(shown)

    shown["of"] = say("of_margin" if it.base == "margin" and it.supply is not None else "of_paid")
    shown["what"] = say(_what(it))
    shown["why"] = say(_why(it)) if it.zero_reason else ""
    shown["who"] = say("above" if it.position else "seller") + (say("skipped") if it.skipped else "")
    shown["result"] = say(_result(it))
    shown["refunds"] = say("refunds") if it.clawed_back else ""
    return say("all")


def _shown(it: Explanation, language: Language) -> dict[str, str]:
    """What the words may name. Costs are of all units, and say of one what they are made of."""
    amounts = {
        "base": it.base_amount,
        "paid": it.paid,
        "supply": it.supply,
        "cost": it.cost,
        "uncapped": it.uncapped_amount,
        "available": it.available,
        "amount": it.amount,
        "taken": it.clawed_back,
        "net": it.net,
    }
    rates = {"rate": it.rate_bps, "tier_rate": it.tier_bps, "below": it.below_bps, "floor": it.margin_floor_bps}
    return {
        "plan": it.plan_code,
        "version": str(it.plan_version),
        "position": str(it.position),
        "skipped": str(it.skipped),
        "quantity": str(it.quantity),
        "tier": it.tier.name,
        "state": _STATES[language].get(it.beneficiary_state, it.beneficiary_state),
        **{name: "" if amount is None else f"¥{format_yuan(amount)}" for name, amount in amounts.items()},
        **{name: "" if rate is None else format_percent(rate) for name, rate in rates.items()},
    }


def _what(it: Explanation) -> str:
    if it.scheme == "fixed":
        return "fixed"
    if it.scheme == "spread":
        return "spread_seller" if it.position == 0 else "spread_hidden" if it.base_amount is None else "spread_above"
    if it.rate_bps is None:
        return "hidden_bonus" if it.is_same_tier else "hidden"
    if it.scheme == "levels":
        return "levels"
    return "bonus" if it.is_same_tier else "step" if it.below_bps else "tier"


def _why(it: Explanation) -> str:
    assert it.zero_reason is not None
    if it.zero_reason == "not_above" and it.scheme == "spread":
        return "not_above_cost"
    if it.zero_reason == "not_above" and it.tier_bps is None:
        return "not_above_hidden"
    return "no_tier_rate" if it.zero_reason == "no_rate" and it.scheme == "differential" else it.zero_reason


def _result(it: Explanation) -> str:
    if it.zero_reason:
        return "blocked_zero" if it.outcome == "blocked" else "zero"
    if it.outcome == "earned":
        return "earned"
    if it.uncapped_amount is None:
        return f"{it.outcome}_hidden"
    return "capped_finance" if it.outcome == "capped" and it.available is not None else it.outcome


CommissionKey = tuple[int, int, int]
"""(branch_id, line_id, position)"""


async def explanations(session: AsyncSession, keys: Sequence[CommissionKey]) -> dict[CommissionKey, Explanation]:
    """By the keys of commissions; those that are not there are left out."""
    branch_ids, line_ids, positions = map(list, zip(*keys, strict=True)) if keys else ([], [], [])
    rows = await session.execute(
        statements("explanations")["by_key"],
        {"branch_ids": branch_ids, "line_ids": line_ids, "positions": positions},
    )
    return {(row.branch_id, row.line_id, row.position): explanation(row) for row in rows}


_TOTALS = ("paid", "refunded", "supply", "commission", "platform")


async def explained_order(session: AsyncSession, order_no: str) -> AnyRow | None:
    """An order with what its lines add up to, in fen: supply + commission + platform = paid - refunded.

    A row of (branch_id, id, order_no, state, placed_at, paid_at, completed_at, matures_at, store, seller, plan_code,
    plan_version, paid, refunded, supply, commission, platform).
    """
    if not order_no.isprintable():
        return None  # no text in PostgreSQL holds a NUL or half a surrogate pair
    total = (
        select(*(cast(func.sum(getattr(OrderLine, name)), BigInteger).label(name) for name in _TOTALS))
        .where(OrderLine.branch_id == Order.branch_id, OrderLine.order_id == Order.id)
        .lateral()
    )
    query = (
        select(Order.branch_id, Order.id, Order.order_no, Order.state, Order.placed_at, Order.paid_at)
        .add_columns(Order.completed_at, Order.matures_at)
        .add_columns(Bundle("store", Store.id, Store.slug, Store.title, Store.region))
        .add_columns(Bundle("seller", Distributor.id, Distributor.code, Distributor.name))
        .add_columns(Plan.code.label("plan_code"), Plan.version.label("plan_version"), *total.c)
        .select_from(Claim)
        .join(Order, and_(Order.branch_id == Claim.branch_id, Order.id == Claim.event_id))
        .join(Store, Store.id == Order.store_id)
        .join(Distributor, Distributor.id == Order.seller_id)
        .outerjoin(Plan, Plan.id == Order.plan_id)
        .join(total, true())
        .where(Claim.kind == "order_no", Claim.name == order_no)
    )
    return (await session.execute(query)).one_or_none()


class LineCommission(NamedTuple):
    """What one position earns on a line, and what each refund took back of it.

    A clawback is a row of (reference, is_reversal, refunded_at, taken), in fen.
    """

    row: AnyRow
    explanation: Explanation
    clawbacks: Sequence[AnyRow]


class Line(NamedTuple):
    """A line of an order with every position that it pays, from the seller up, and every refund of it, in fen.

    A refund is a row of (reference, is_reversal, refunded_at, state, refunded_quantity, amount, returned_supply); a
    reversal has the reference of what it takes back.
    """

    row: AnyRow
    commissions: Sequence[LineCommission]
    refunds: Sequence[AnyRow]


async def explained_lines(
    session: AsyncSession, branch_id: int, order_id: int, *, after: int, limit: int
) -> Sequence[Line]:
    """The lines of an order behind the number `after`. Two statements: let them see one snapshot."""
    found = await session.execute(
        statements("explanations")["lines"],
        {"branch_id": branch_id, "order_id": order_id, "after": after, "limit": limit},
    )
    by_line = [list(rows) for _, rows in groupby(found, key=lambda row: row.line_no)]
    shares = await session.execute(
        statements("explanations")["of_lines"],
        {"branch_id": branch_id, "line_ids": [rows[0].id for rows in by_line]},
    )
    earned: dict[int, list[LineCommission]] = {}
    for _, same in groupby(shares, key=lambda row: row.id):
        first, *more = same
        clawbacks = [first, *more] if first.taken is not None else ()
        earned.setdefault(first.line_id, []).append(LineCommission(first, explanation(first), clawbacks))
    return [
        Line(rows[0], earned.get(rows[0].id, ()), rows if rows[0].reference is not None else ()) for rows in by_line
    ]
