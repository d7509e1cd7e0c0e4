"""Commission plans, and what each position of an upline earned."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of


class Plan(Base):
    """A set of rules in force during a span of time, immutable once active but for its end."""

    __tablename__ = "plans"
    __table_args__ = (
        one_of("state", "draft", "active"),
        CheckConstraint("margin_floor_bps BETWEEN 0 AND 10000", name="margin_floor_bps"),
        CheckConstraint("NOT isempty(during)", name="during"),
        ExcludeConstraint(("during", "&&"), name="ex_plans_during", using="gist", where=text("state = 'active'")),
    )

    id: Mapped[int] = key("plans")
    code: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    margin_floor_bps: Mapped[int]
    """The part of `paid` that the platform keeps at least."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Rule(Base):
    """What one scope pays: a variant, a product, a category, a brand, or (all four empty) everything."""

    __tablename__ = "rules"
    __table_args__ = (
        one_of("scheme", "levels"),
        one_of("base", "paid", "margin"),
        CheckConstraint("num_nonnulls(variant_id, product_id, category, brand_id) <= 1", name="scope"),
        CheckConstraint(
            "0 <= ALL (level_bps) AND 10000 >= ALL (level_bps) AND array_position(level_bps, NULL) IS NULL",
            name="level_bps",
        ),
        CheckConstraint("level_bps = '{}' OR level_bps[cardinality(level_bps)] > 0", name="depth"),
        Index("ix_rules_plan_id", "plan_id"),
    )

    id: Mapped[int] = key("rules")
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    variant_id: Mapped[int | None] = mapped_column(ForeignKey("variants.id"))
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"))
    category: Mapped[str | None]
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    scheme: Mapped[str]
    base: Mapped[str]
    level_bps: Mapped[list[int]]
    """Rate of position k at index k + 1; the last one is above 0, so its length is the depth of the rule."""


class Commission(Base):
    """The share of one position in one order line, with what explains it.

    `uncapped_amount` is what the rule gives; `amount` is what is owed after the margin floor, 0 to a blocked position.
    """

    __tablename__ = "commissions"
    __table_args__ = (
        ForeignKeyConstraint(["branch_id", "line_id"], ["order_lines.branch_id", "order_lines.id"]),
        UniqueConstraint("branch_id", "line_id", "position"),
        one_of("outcome", "earned", "zero", "capped", "blocked"),
        CheckConstraint("position >= 0", name="position"),
        CheckConstraint("uncapped_amount >= 0 AND amount BETWEEN 0 AND uncapped_amount", name="amount"),
        CheckConstraint(
            "CASE outcome WHEN 'earned' THEN amount = uncapped_amount AND amount > 0 "
            "WHEN 'zero' THEN uncapped_amount = 0 WHEN 'capped' THEN amount < uncapped_amount ELSE amount = 0 END",
            name="explained",
        ),
        # Without the id: equal keys take little room, and a year of accrual and settlement writes millions of them.
        Index(None, "distributor_id", "statement_id"),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("commissions")
    line_id: Mapped[int]
    position: Mapped[int]
    distributor_id: Mapped[int]
    tier_id: Mapped[int]
    rule_id: Mapped[int]
    base_amount: Mapped[int]
    rate_bps: Mapped[int]
    uncapped_amount: Mapped[int]
    amount: Mapped[int]
    outcome: Mapped[str]
    statement_id: Mapped[int | None]
