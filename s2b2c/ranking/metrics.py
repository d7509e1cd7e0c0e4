"""What is measured: one definition for each metric, and what it says to the person it judges.

A definition never changes: another formula is another `VERSION`, which policies name and so every run. All metrics are
of a distributor's own orders (as the seller), never of its downline's; days are days in Asia/Shanghai. What sums up the
days in SQL is `measured` in sql/ranking.sql.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from s2b2c.models import RankingPolicy, RankingScore
from s2b2c.money import format_percent, format_yuan

VERSION = 1

Language = Literal["zh", "en"]


def output(score: RankingScore) -> int:
    """paid - refunded, in fen: paid on the day of payment, refunds on the day they succeed."""
    return score.output


def orders(score: RankingScore) -> int:
    """Orders that were paid in the period and are not wholly refunded; a whole refund takes them from their own day."""
    return score.orders


def customers(score: RankingScore) -> int:
    """The distinct customers of these orders."""
    return score.customers


def repeat(score: RankingScore) -> int | None:
    """10000 * (customers with two of these orders or more) // customers; none without a customer."""
    return 10000 * score.repeat_customers // score.customers if score.customers else None


def refund(score: RankingScore) -> int | None:
    """10000 * refunded // paid, lower is better; none where nothing was paid."""
    return 10000 * score.refunded // score.paid if score.paid else None


def growth(score: RankingScore) -> int | None:
    """10000 * (output - output_before) // output_before, of the period right before of equal length; none where that
    was not above 0."""
    before = score.output_before
    return 10000 * (score.output - before) // before if before > 0 else None


def sell_through(score: RankingScore) -> int | None:
    """10000 * listings_sold // listings: of those in its stores on a day of the period, those with one of these orders;
    none without a listing."""
    return 10000 * score.listings_sold // score.listings if score.listings else None


@dataclass(frozen=True)
class Metric:
    """`own` is the raw number, `name` the prefix of its columns; `says` takes the columns of a score and `own`."""

    name: str
    own: Callable[[RankingScore], int | None]
    is_rate: bool
    labels: Mapping[Language, str]
    says: Mapping[Language, str]


METRICS = (
    Metric("output", output, False, {"zh": "产值", "en": "output"}, {  # noqa: FBT003  a row of a table
        "zh": "成交 {paid} 元，退款 {refunded} 元，产值 {output} 元",
        "en": "{paid} yuan were paid and {refunded} refunded: an output of {output}",
    }),
    Metric("orders", orders, False, {"zh": "订单数", "en": "orders"}, {  # noqa: FBT003
        "zh": "{orders} 单（全额退款的不计）",
        "en": "{orders} orders, without those that were wholly refunded",
    }),
    Metric("customers", customers, False, {"zh": "活跃客户", "en": "active customers"}, {  # noqa: FBT003
        "zh": "{customers} 位客户下过单",
        "en": "{customers} customers ordered",
    }),
    Metric("repeat", repeat, True, {"zh": "复购率", "en": "repeat rate"}, {  # noqa: FBT003
        "zh": "{customers} 位客户中有 {repeat_customers} 位下单两次或以上",
        "en": "{repeat_customers} of {customers} customers ordered twice or more",
    }),
    Metric("refund", refund, True, {"zh": "退款率（越低越好）", "en": "refund rate (lower is better)"}, {  # noqa: FBT003
        "zh": "成交 {paid} 元，退款 {refunded} 元",
        "en": "{refunded} of {paid} yuan were refunded",
    }),
    Metric("growth", growth, True, {"zh": "增长率", "en": "growth"}, {  # noqa: FBT003
        "zh": "产值由上期 {output_before} 元变为 {output} 元",
        "en": "from an output of {output_before} yuan in the period before to {output}",
    }),
    Metric("sell_through", sell_through, True, {"zh": "动销率", "en": "sell-through"}, {  # noqa: FBT003
        "zh": "在售 {listings} 件商品中有 {listings_sold} 件成交",
        "en": "{listings_sold} of {listings} listed products sold",
    }),
)  # fmt: skip

_RATE: Mapping[Language, str] = {"zh": "，即 {own}", "en": ", {own}"}
_NONE: Mapping[Language, str] = {"zh": "，无从计算，按同组均值计", "en": ": no rate, so the mean of the cohort counts"}
_SHRUNK: Mapping[Language, str] = {
    "zh": "；订单不足 {min_orders} 单，按比例靠向同组均值",
    "en": "; with fewer than {min_orders} orders it is drawn to the mean of the cohort",
}
_COUNTED: Mapping[Language, str] = {"zh": "，计为 {value}", "en": " and counts as {value}"}
_PLACE: Mapping[Language, str] = {
    "zh": "{label}：{said}。{compared} 人中列第 {place}，得 {share}/10000，权重 {weight}。",
    "en": "{label}: {said}. Place {place} of {compared}, {share} of 10000, weight {weight}.",
}
_MONEY = ("paid", "refunded", "output", "output_before")
_COUNTS = ("orders", "customers", "repeat_customers", "listings", "listings_sold")


def period(start: date, end: date) -> str:
    """ "2025-06-01 – 2025-06-30" of [start, end)."""
    return f"{start} – {end - timedelta(days=1)}"


def sentence(
    metric: Metric, score: RankingScore, policy: RankingPolicy, language: Language, *, shows_mean: bool
) -> str:
    """What a metric says to the person, ending with its place, its share of 10000 and its weight.

    What a rate was drawn to tells what others sold, so a distributor is told that it was, and not to what.
    """
    facts: dict[str, Any] = {name: format_yuan(getattr(score, name)) for name in _MONEY}
    facts |= {name: getattr(score, name) for name in _COUNTS}
    said = metric.says[language].format(**facts)
    if metric.is_rate:
        own = metric.own(score)
        if own is None:
            said += _NONE[language]
        else:
            said += _RATE[language].format(own=format_percent(own))
            if score.orders < policy.min_orders:
                said += _SHRUNK[language].format(min_orders=policy.min_orders)
                if shows_mean:
                    said += _COUNTED[language].format(value=format_percent(getattr(score, f"{metric.name}_bps")))
    return _PLACE[language].format(
        label=metric.labels[language],
        said=said,
        compared=score.compared,
        place=getattr(score, f"{metric.name}_place"),
        share=getattr(score, f"{metric.name}_share_bps"),
        weight=format_percent(getattr(policy, f"{metric.name}_weight_bps")),
    )
