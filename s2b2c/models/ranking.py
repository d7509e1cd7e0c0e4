"""Ranking policies, and the frozen result of each run."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import DATERANGE, Range
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key

METRICS = ("output", "orders", "customers", "repeat", "refund", "growth", "sell_through")
"""What is compared. The first three are sums and counts; the other four are rates, shrunk where the orders are few."""


class RankingPolicy(Base):
    """The weights of the metrics (basis points of the score) and the terms of the tail. Immutable."""

    __tablename__ = "ranking_policies"
    __table_args__ = (
        CheckConstraint(
            " + ".join(f"{metric}_weight_bps" for metric in METRICS) + " = 10000",
            name="weights",
        ),
        CheckConstraint(
            " AND ".join(f"{metric}_weight_bps >= 0" for metric in METRICS),
            name="weights_not_negative",
        ),
        CheckConstraint("min_cohort >= 1 AND min_orders >= 0 AND grace_days BETWEEN 0 AND 36500", name="fairness"),
        CheckConstraint("tail_bps BETWEEN 0 AND 10000", name="tail_bps"),
    )

    id: Mapped[int] = key("ranking_policies")
    code: Mapped[str] = mapped_column(unique=True)
    output_weight_bps: Mapped[int]
    orders_weight_bps: Mapped[int]
    customers_weight_bps: Mapped[int]
    repeat_weight_bps: Mapped[int]
    refund_weight_bps: Mapped[int]
    growth_weight_bps: Mapped[int]
    sell_through_weight_bps: Mapped[int]
    min_cohort: Mapped[int]
    min_orders: Mapped[int]
    grace_days: Mapped[int]
    tail_bps: Mapped[int]


class RankingRun(Base):
    """One period `[from, to)` ranked under one policy. The same period again replaces it; others may overlap it."""

    __tablename__ = "ranking_runs"
    __table_args__ = (
        CheckConstraint("NOT isempty(period) AND NOT lower_inf(period) AND NOT upper_inf(period)", name="period"),
    )

    id: Mapped[int] = key("ranking_runs")
    policy_id: Mapped[int] = mapped_column(ForeignKey("ranking_policies.id"))
    period: Mapped[Range[date]] = mapped_column(DATERANGE, unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RankingScore(Base):
    """Every number that made one distributor's score. Rates, shares and score in basis points, money in fen.

    The cohort is `tier_id` with `region`, or the whole tier where `region` is NULL. `members` are ranked in it,
    `compared` counts the comparators too. The rates stand as they were compared, after shrinkage; the counts give the
    raw ones, and with the other rows of the run the means they were shrunk to.
    """

    __tablename__ = "ranking_scores"
    __table_args__ = (
        UniqueConstraint("run_id", "tier_id", "region", "rank", postgresql_nulls_not_distinct=True),
        CheckConstraint("rank BETWEEN 1 AND members AND members <= compared", name="rank"),
        CheckConstraint("output = paid - refunded", name="output"),
        CheckConstraint("repeat_customers <= customers AND customers <= orders", name="customers"),
        CheckConstraint("listings_sold <= listings", name="listings"),
        CheckConstraint(" AND ".join(f"{metric}_share_bps BETWEEN 0 AND 10000" for metric in METRICS), name="shares"),
        CheckConstraint("score BETWEEN 0 AND 10000", name="score"),
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("ranking_runs.id"), primary_key=True)
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"), primary_key=True)
    tier_id: Mapped[int] = mapped_column(ForeignKey("tiers.id"))
    region: Mapped[str | None]
    members: Mapped[int]
    compared: Mapped[int]
    paid: Mapped[int]
    refunded: Mapped[int]
    output: Mapped[int]
    output_before: Mapped[int]
    """Of the period before, of equal length."""
    orders: Mapped[int]
    customers: Mapped[int]
    repeat_customers: Mapped[int]
    listings: Mapped[int]
    listings_sold: Mapped[int]
    repeat_bps: Mapped[int]
    refund_bps: Mapped[int]
    growth_bps: Mapped[int]
    sell_through_bps: Mapped[int]
    output_share_bps: Mapped[int]
    orders_share_bps: Mapped[int]
    customers_share_bps: Mapped[int]
    repeat_share_bps: Mapped[int]
    refund_share_bps: Mapped[int]
    growth_share_bps: Mapped[int]
    sell_through_share_bps: Mapped[int]
    score: Mapped[int]
    rank: Mapped[int]
    """1 is the best member of the cohort."""
    in_tail: Mapped[bool]
