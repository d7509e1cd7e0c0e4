"""Ranking policies, who is exempt, and the frozen result of each run."""

from datetime import date, datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    LargeBinary,
    PrimaryKeyConstraint,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import DATERANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of

METRICS = ("output", "orders", "customers", "repeat", "refund", "growth", "sell_through")
"""What is compared. The first three are sums and counts; the other four are rates, shrunk where the orders are few."""
RATES = METRICS[3:]


class RankingPolicy(Base):
    """The weights of the metrics (basis points of the score) and the terms of the tail. A change is a new version."""

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
        CheckConstraint("strikes BETWEEN 1 AND 100 AND appeal_days BETWEEN 1 AND 365", name="process"),
        one_of("cohort", "tier_region", "tier"),
        UniqueConstraint("code", "version"),
        CheckConstraint("published_by IS NULL OR published_at IS NOT NULL", name="published"),
    )

    id: Mapped[int] = key("ranking_policies")
    code: Mapped[str]
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
    version: Mapped[int] = mapped_column(server_default="1")
    """1, 2, ... of its code."""
    metrics_version: Mapped[int] = mapped_column(server_default="1")
    """Of the definitions in `ranking.metrics`."""
    cohort: Mapped[str] = mapped_column(server_default="tier_region")
    """Who is compared with whom: a tier in a region, or always the whole tier."""
    strikes: Mapped[int] = mapped_column(server_default="2")
    """Periods in the tail, in a row, until a notice."""
    appeal_days: Mapped[int] = mapped_column(server_default="7")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    published_at: Mapped[datetime | None]
    """Of all policies the one that was published last is in force; None is a draft."""
    published_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class RankingExemption(Base):
    """Why somebody is let off when it stands in the tail of a period that has a day of these `[from, to)`."""

    __tablename__ = "ranking_exemptions"
    __table_args__ = (
        CheckConstraint("NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)", name="during"),
        ExcludeConstraint(("distributor_id", "="), ("during", "&&"), name="ex_ranking_exemptions_during", using="gist"),
    )

    id: Mapped[int] = key("ranking_exemptions")
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    during: Mapped[Range[date]] = mapped_column(DATERANGE)
    reason: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    ended_at: Mapped[datetime | None]
    """When somebody gave it an earlier end."""
    ended_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class RankingRun(Base):
    """One period `[from, to)` ranked under one policy. The same period again replaces it, until it is acted on.

    Runs of other periods may overlap it; those that are acted on do not, or a day would strike twice.
    """

    __tablename__ = "ranking_runs"
    __table_args__ = (
        CheckConstraint("NOT isempty(period) AND NOT lower_inf(period) AND NOT upper_inf(period)", name="period"),
        ExcludeConstraint(
            ("period", "&&"),
            name="ex_ranking_runs_acted_on",
            using="gist",
            where=text("acted_at IS NOT NULL"),
        ),
        CheckConstraint("(digest IS NULL) = (acted_at IS NULL)", name="digest"),
        CheckConstraint("acted_by IS NULL OR acted_at IS NOT NULL", name="acted"),
    )

    id: Mapped[int] = key("ranking_runs")
    policy_id: Mapped[int] = mapped_column(ForeignKey("ranking_policies.id"))
    period: Mapped[Range[date]] = mapped_column(DATERANGE, unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """Who ranked (a person); None where the command line did, as below."""
    ranked: Mapped[int] = mapped_column(server_default="0")
    in_tail: Mapped[int] = mapped_column(server_default="0")
    digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """SHA-256 of its rows when it was acted on: they never change again."""
    acted_at: Mapped[datetime | None]
    acted_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class RankingScore(Base):
    """Every number that made one distributor's score. Rates, shares and score in basis points, money in fen.

    The cohort is `tier_id` with `region`, or the whole tier where `region` is NULL. `members` are ranked in it,
    `compared` counts the comparators too. The rates stand as they were compared, shrunk towards the means; the counts
    give the raw ones. A place counts those compared who are better, and oneself. Runs, distributors and tiers are named
    without foreign keys, as by orders: checking them took a fifth of a run, and `audit` does.
    """

    __tablename__ = "ranking_scores"
    __table_args__ = (
        PrimaryKeyConstraint("distributor_id", "run_id"),
        UniqueConstraint("run_id", "tier_id", "region", "rank", postgresql_nulls_not_distinct=True),
        CheckConstraint("rank BETWEEN 1 AND members AND members <= compared", name="rank"),
        CheckConstraint("output = paid - refunded", name="output"),
        CheckConstraint("repeat_customers <= customers AND customers <= orders", name="customers"),
        CheckConstraint("listings_sold <= listings", name="listings"),
        CheckConstraint(" AND ".join(f"{metric}_share_bps BETWEEN 0 AND 10000" for metric in METRICS), name="shares"),
        CheckConstraint("score BETWEEN 0 AND 10000", name="score"),
        CheckConstraint(" AND ".join(f"{metric}_place BETWEEN 1 AND compared" for metric in METRICS), name="places"),
        CheckConstraint("region IS NULL OR region = home_region", name="region"),
        one_of("outcome", "clear", "tail", "let_off", "no_tail"),
        CheckConstraint("(outcome = 'let_off') = (exemption_id IS NOT NULL)", name="exemption"),
    )

    run_id: Mapped[int]
    distributor_id: Mapped[int]
    tier_id: Mapped[int]
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
    home_region: Mapped[str]
    repeat_mean_bps: Mapped[int]
    """What the rates are shrunk to: of all that are compared, pooled."""
    refund_mean_bps: Mapped[int]
    growth_mean_bps: Mapped[int]
    sell_through_mean_bps: Mapped[int]
    output_place: Mapped[int]
    orders_place: Mapped[int]
    customers_place: Mapped[int]
    repeat_place: Mapped[int]
    refund_place: Mapped[int]
    growth_place: Mapped[int]
    sell_through_place: Mapped[int]
    outcome: Mapped[str]
    """`let_off` is a tail place of somebody exempted, `no_tail` a cohort too small to have one."""
    exemption_id: Mapped[int | None] = mapped_column(ForeignKey("ranking_exemptions.id"))

    @property
    def in_tail(self) -> bool:
        return self.outcome == "tail"
