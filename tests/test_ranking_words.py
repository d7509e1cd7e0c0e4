"""What each metric says to the person it judges, in both languages."""

from datetime import date
from typing import Any

import pytest

from s2b2c import models
from s2b2c.ranking.metrics import METRICS, Language, period, sentence

BY_NAME = {metric.name: metric for metric in METRICS}
SAID: dict[str, tuple[str, str]] = {
    "output": (
        "产值：成交 1200.00 元，退款 300.00 元，产值 900.00 元。41 人中列第 3，得 9268/10000，权重 50%。",
        "output: 1200.00 yuan were paid and 300.00 refunded: an output of 900.00. Place 3 of 41, 9268 of 10000, weight 50%.",
    ),
    "orders": (
        "订单数：12 单（全额退款的不计）。41 人中列第 4，得 9250/10000，权重 10%。",
        "orders: 12 orders, without those that were wholly refunded. Place 4 of 41, 9250 of 10000, weight 10%.",
    ),
    "customers": (
        "活跃客户：9 位客户下过单。41 人中列第 5，得 9000/10000，权重 10%。",
        "active customers: 9 customers ordered. Place 5 of 41, 9000 of 10000, weight 10%.",
    ),
    "repeat": (
        "复购率：9 位客户中有 2 位下单两次或以上，即 22.22%。41 人中列第 6，得 8750/10000，权重 12.5%。",
        "repeat rate: 2 of 9 customers ordered twice or more, 22.22%. Place 6 of 41, 8750 of 10000, weight 12.5%.",
    ),
    "refund": (
        "退款率（越低越好）：成交 1200.00 元，退款 300.00 元，即 25%。41 人中列第 41，得 0/10000，权重 10%。",
        "refund rate (lower is better): 300.00 of 1200.00 yuan were refunded, 25%. Place 41 of 41, 0 of 10000, weight 10%.",
    ),
    "growth": (
        "增长率：产值由上期 1000.00 元变为 900.00 元，即 -10%。41 人中列第 20，得 5250/10000，权重 5%。",
        (
            "growth: from an output of 1000.00 yuan in the period before to 900.00, -10%. Place 20 of 41, 5250 of "
            "10000, weight 5%."
        ),
    ),
    "sell_through": (
        "动销率：在售 8 件商品中有 5 件成交，即 62.5%。41 人中列第 1，得 10000/10000，权重 2.5%。",
        "sell-through: 5 of 8 listed products sold, 62.5%. Place 1 of 41, 10000 of 10000, weight 2.5%.",
    ),
}


def a_policy(**other: Any) -> models.RankingPolicy:
    weights = {"output": 5000, "orders": 1000, "customers": 1000, "repeat": 1250, "refund": 1000, "growth": 500}
    weights["sell_through"] = 250
    columns = {f"{name}_weight_bps": weight for name, weight in weights.items()}
    return models.RankingPolicy(**columns, min_orders=10, **other)


def a_score(**other: Any) -> models.RankingScore:
    """Of 41, with 12 orders: no rate is shrunk."""
    places = {"output": 3, "orders": 4, "customers": 5, "repeat": 6, "refund": 41, "growth": 20, "sell_through": 1}
    shares = {"output": 9268, "orders": 9250, "customers": 9000, "repeat": 8750, "refund": 0, "growth": 5250}
    shares["sell_through"] = 10000
    columns: dict[str, Any] = {f"{name}_place": place for name, place in places.items()}
    columns |= {f"{name}_share_bps": share for name, share in shares.items()}
    columns |= {"paid": 120000, "refunded": 30000, "output": 90000, "output_before": 100000, "orders": 12}
    columns |= {"customers": 9, "repeat_customers": 2, "listings": 8, "listings_sold": 5, "compared": 41}
    return models.RankingScore(**columns | other)


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("shows_mean", [False, True])
def test_what_a_metric_says(name: str, shows_mean: bool) -> None:  # noqa: FBT001
    languages: tuple[Language, Language] = ("zh", "en")
    for language, said in zip(languages, SAID[name], strict=True):
        assert sentence(BY_NAME[name], a_score(), a_policy(), language, shows_mean=shows_mean) == said


def test_every_metric_is_said() -> None:
    assert list(SAID) == list(BY_NAME) == list(models.ranking.METRICS)


def test_few_orders_are_told_and_the_mean_only_to_the_operator() -> None:
    """9 orders of 10: the operator also reads as what it counts."""
    score, repeat = a_score(orders=9, repeat_bps=2341, growth_bps=-1234), BY_NAME["repeat"]
    zh = "复购率：9 位客户中有 2 位下单两次或以上，即 22.22%；订单不足 10 单，按比例靠向同组均值"
    place = "。41 人中列第 6，得 8750/10000，权重 12.5%。"
    assert sentence(repeat, score, a_policy(), "zh", shows_mean=False) == zh + place
    assert sentence(repeat, score, a_policy(), "zh", shows_mean=True) == f"{zh}，计为 23.41%{place}"
    en = "growth: from an output of 1000.00 yuan in the period before to 900.00, -10%; with fewer than 10 orders it is drawn to "
    en += "the mean of the cohort"
    behind = ". Place 20 of 41, 5250 of 10000, weight 5%."
    assert sentence(BY_NAME["growth"], score, a_policy(), "en", shows_mean=False) == en + behind
    assert (
        sentence(BY_NAME["growth"], score, a_policy(), "en", shows_mean=True) == f"{en} and counts as -12.34%{behind}"
    )
    orders = "orders: 9 orders, without those that were wholly refunded. Place 4 of 41, 9250 of 10000, weight 10%."
    assert sentence(BY_NAME["orders"], score, a_policy(), "en", shows_mean=True) == orders


@pytest.mark.parametrize(
    ("name", "other", "zh", "en"),
    [
        (
            "repeat",
            {"customers": 0, "repeat_customers": 0},
            "复购率：0 位客户中有 0 位下单两次或以上",
            "repeat rate: 0 of 0 customers ordered twice or more",
        ),
        (
            "refund",
            {"paid": 0, "refunded": 0},
            "退款率（越低越好）：成交 0.00 元，退款 0.00 元",
            "refund rate (lower is better): 0.00 of 0.00 yuan were refunded",
        ),
        (
            "growth",
            {"output_before": -200, "output": -100},
            "增长率：产值由上期 -2.00 元变为 -1.00 元",
            "growth: from an output of -2.00 yuan in the period before to -1.00",
        ),
        (
            "sell_through",
            {"listings": 0, "listings_sold": 0},
            "动销率：在售 0 件商品中有 0 件成交",
            "sell-through: 0 of 0 listed products sold",
        ),
    ],
)
def test_without_a_rate_the_mean_counts(name: str, other: dict[str, int], zh: str, en: str) -> None:
    """It is not told, to nobody: what it is the operator reads beside it."""
    score = a_score(orders=0, **other)
    assert BY_NAME[name].own(score) is None
    for shows_mean in (False, True):
        said = [sentence(BY_NAME[name], score, a_policy(), it, shows_mean=shows_mean) for it in ("zh", "en")]
        assert said[0].startswith(f"{zh}，无从计算，按同组均值计。41 人中列第 ")
        assert said[1].startswith(f"{en}: no rate, so the mean of the cohort counts. Place ")


def test_a_rate_of_less_than_a_percent() -> None:
    """-0.5 of a basis point is floored to -1, of which "-0.01%" is told."""
    score = a_score(output=199_999, output_before=200_000)
    assert BY_NAME["growth"].own(score) == -1
    assert "即 -0.01%。" in sentence(BY_NAME["growth"], score, a_policy(), "zh", shows_mean=False)


def test_a_period_is_told_by_its_last_day() -> None:
    assert period(date(2025, 6, 1), date(2025, 7, 1)) == "2025-06-01 – 2025-06-30"
