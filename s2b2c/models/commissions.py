"""Commission plans, what each position of an upline earned, and what refunds took back of it."""

from datetime import datetime

from sqlalchemy import (
    DDL,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    event,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, number, one_of

MAX_DEPTH = 100
MAX_LEVEL_AMOUNT = 10**12


def _each(column: str, most: int) -> str:
    """Every element lies between 0 and `most`."""
    return f"0 <= ALL ({column}) AND {most} >= ALL ({column}) AND array_position({column}, NULL) IS NULL"


class Plan(Base):
    """A set of rules in force during a span of time, immutable once active but for its end.

    A draft that is changed is saved as the next version of its code.
    """

    __tablename__ = "plans"
    __table_args__ = (
        UniqueConstraint("code", "version"),
        one_of("state", "draft", "active"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("margin_floor_bps BETWEEN 0 AND 10000", name="margin_floor_bps"),
        CheckConstraint("NOT isempty(during)", name="during"),
        CheckConstraint("(state = 'active') = (activated_at IS NOT NULL)", name="activated_at"),
        CheckConstraint("(state = 'active') = (max_paid_positions IS NOT NULL)", name="max_paid_positions"),
        CheckConstraint(
            "paid_positions <= max_paid_positions OR max_paid_positions IS NULL OR coalesce(override_reason, '') <> ''",
            name="override_reason",
        ),
        ExcludeConstraint(("during", "&&"), name="ex_plans_during", using="gist", where=text("state = 'active'")),
    )

    id: Mapped[int] = key("plans")
    code: Mapped[str]
    state: Mapped[str]
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    margin_floor_bps: Mapped[int]
    """The part of `paid` that the platform keeps at least."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(server_default="1")
    paid_positions: Mapped[int]
    """The longest chain that one of its rules pays."""
    activated_at: Mapped[datetime | None]
    activated_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    """None: by the command line or an import."""
    max_paid_positions: Mapped[int | None]
    """What the platform allowed as it was activated."""
    override_reason: Mapped[str | None]
    """Why it was activated though it pays further."""


class Rule(Base):
    """What one scope pays: a variant, a product, a category, a brand, or (all four empty) everything.

    Each scheme has its own numbers; those of the others are empty.
    """

    __tablename__ = "rules"
    __table_args__ = (
        one_of("scheme", "levels", "fixed", "differential", "spread"),
        one_of("base", "paid", "margin"),
        CheckConstraint("num_nonnulls(variant_id, product_id, category, brand_id) <= 1", name="scope"),
        CheckConstraint(_each("level_bps", 10_000), name="level_bps"),
        CheckConstraint(_each("level_amounts", MAX_LEVEL_AMOUNT), name="level_amounts"),
        CheckConstraint(_each("tier_bps", 10_000), name="tier_bps"),
        CheckConstraint("same_tier_bps BETWEEN 0 AND 10000", name="same_tier_bps"),
        CheckConstraint(
            "CASE scheme WHEN 'levels' THEN depth = cardinality(level_bps) AND (depth = 0 OR level_bps[depth] > 0) "
            "WHEN 'fixed' THEN depth = cardinality(level_amounts) AND (depth = 0 OR level_amounts[depth] > 0) "
            f"ELSE depth BETWEEN 1 AND {MAX_DEPTH} END",
            name="depth",
        ),
        CheckConstraint(
            "(scheme = 'levels' OR level_bps = '{}') AND (scheme = 'fixed' OR level_amounts = '{}') "
            "AND (scheme = 'differential' OR (tier_bps = '{}' AND same_tier_bps = 0))",
            name="numbers",
        ),
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
    """What `levels` and `differential` take rates of."""
    level_bps: Mapped[list[int]] = mapped_column(server_default="{}")
    """`levels`: the rate of position k at index k + 1; the last one is above 0."""
    level_amounts: Mapped[list[int]] = mapped_column(server_default="{}")
    """`fixed`: fen for each unit to position k at index k + 1; the last one is above 0."""
    tier_bps: Mapped[list[int]] = mapped_column(server_default="{}")
    """`differential`: the rate of the tier of rank k at index k."""
    same_tier_bps: Mapped[int] = mapped_column(server_default="0")
    """`differential`: the rate of the first that stands level with the highest below it (平级奖)."""
    depth: Mapped[int]
    """How many positions it pays at most."""
    compress: Mapped[bool] = mapped_column(server_default=false())
    """Whether blocked ancestors leave their place to the next (紧缩)."""


class Commission(Base):
    """The share of one position in one order line, with what explains it.

    `uncapped_amount` is what the rule gives; `amount` is what is owed after the margin floor, 0 to a blocked position.
    What it was reckoned from is in `base_amount`: the base of the rule (`levels`, `differential`), what one unit gives
    (`fixed`), or what the goods brought the position (`spread`: `paid` to the seller, the lowest cost below to others).
    """

    __tablename__ = "commissions"
    __table_args__ = (
        ForeignKeyConstraint(["branch_id", "line_id"], ["order_lines.branch_id", "order_lines.id"]),
        # The one index that a line is found by: of two the planner takes the wrong one where it knows nothing of the
        # table yet, in the middle of its first load.
        PrimaryKeyConstraint("branch_id", "line_id", "position"),
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

    branch_id: Mapped[int]
    id: Mapped[int] = number("commissions")
    line_id: Mapped[int]
    position: Mapped[int]
    distributor_id: Mapped[int]
    tier_id: Mapped[int]
    rule_id: Mapped[int]
    base_amount: Mapped[int]
    rate_bps: Mapped[int | None]
    """Of `base_amount`, where the scheme has rates."""
    uncapped_amount: Mapped[int]
    amount: Mapped[int]
    outcome: Mapped[str]
    statement_id: Mapped[int | None]
    below_bps: Mapped[int | None]
    """`differential`: the highest rate below this position, which it does not earn again."""


class Clawback(Base):
    """What a refund takes back of a commission (佣金回收); below 0 where a reversed refund gives back.

    It matures at the later of its commission's maturity and the refund.
    """

    __tablename__ = "clawbacks"
    __table_args__ = (
        ForeignKeyConstraint(
            ["branch_id", "refund_id", "line_id"],
            ["refund_lines.branch_id", "refund_lines.refund_id", "refund_lines.line_id"],
        ),
        ForeignKeyConstraint(
            ["branch_id", "line_id", "position"],
            ["commissions.branch_id", "commissions.line_id", "commissions.position"],
        ),
        PrimaryKeyConstraint("branch_id", "refund_id", "line_id", "position"),
        Index(None, "branch_id", "line_id"),
        CheckConstraint("amount <> 0", name="amount"),
        Index(None, "distributor_id", "statement_id"),
    )

    branch_id: Mapped[int]
    id: Mapped[int] = number("clawbacks")
    refund_id: Mapped[int]
    line_id: Mapped[int]
    position: Mapped[int]
    distributor_id: Mapped[int]
    amount: Mapped[int]
    statement_id: Mapped[int | None]


CLAWED = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION clawed(share bigint, refunded bigint, paid bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN paid = 0 THEN 0 ELSE div(share::numeric * refunded, paid)::bigint END
    """
)
"""How much of a share is taken back once so much of what was paid is refunded; all of it after the whole."""

event.listen(Clawback.__table__, "before_create", CLAWED)
