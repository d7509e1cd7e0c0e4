"""Settlement runs, the statements they write, and what belongs to a statement beside its lines."""

from datetime import date, datetime

from sqlalchemy import DDL, CheckConstraint, ForeignKey, Index, UniqueConstraint, event, func, text
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of

WITHHOLDING = ("none", "business", "cn_labour_cumulative")


class SettlementRun(Base):
    """Closes what matured before `cutoff` and stood in no statement yet.

    From `approved` on it is closed: the database refuses any change of what stands in it.
    """

    __tablename__ = "settlement_runs"
    __table_args__ = (
        one_of("state", "draft", "reviewed", "approved", "paying", "paid", "discarded"),
        CheckConstraint("minimum_payout >= 0", name="minimum_payout"),
        CheckConstraint("debt_offset_bps BETWEEN 0 AND 10000", name="debt_offset_bps"),
        one_of("months_rule", "income_months", "restart_after_gap"),
        CheckConstraint(
            "(reviewed_at IS NOT NULL) = (state IN ('reviewed', 'approved', 'paying', 'paid')) OR state = 'discarded'",
            name="reviewed",
        ),
        CheckConstraint("(approved_at IS NOT NULL) = (state IN ('approved', 'paying', 'paid'))", name="approved"),
        CheckConstraint("(discarded_at IS NOT NULL) = (state = 'discarded')", name="discarded"),
        CheckConstraint("approved_by <> created_by", name="two_people"),
    )

    id: Mapped[int] = key("settlement_runs")
    cutoff: Mapped[datetime]
    state: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    pay_on: Mapped[date]
    """The day on which its payouts leave: what they bring is income of that month, in Asia/Shanghai."""
    minimum_payout: Mapped[int] = mapped_column(server_default="0")
    debt_offset_bps: Mapped[int] = mapped_column(server_default="5000")
    months_rule: Mapped[str] = mapped_column(server_default="income_months")
    created_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """Who made it (a person); None where the command line did, as below."""
    reviewed_at: Mapped[datetime | None]
    reviewed_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    approved_at: Mapped[datetime | None]
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    discarded_at: Mapped[datetime | None]
    discarded_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class Statement(Base):
    """What one payee gets in one run: a distributor its commissions, a brand its supply."""

    __tablename__ = "statements"
    __table_args__ = (
        CheckConstraint("num_nonnulls(distributor_id, brand_id) = 1", name="payee"),
        UniqueConstraint("run_id", "distributor_id", "brand_id", postgresql_nulls_not_distinct=True),
        CheckConstraint("lines >= 0", name="lines"),
        CheckConstraint("withheld >= 0 AND (withheld = 0 OR withholding = 'cn_labour_cumulative')", name="withheld"),
        one_of("withholding", *WITHHOLDING),
        CheckConstraint("debt_offset BETWEEN 0 AND debt_in", name="debt_offset"),
        CheckConstraint("net = gross - clawbacks + adjustments - withheld - debt_offset", name="net"),
        CheckConstraint("payout >= 0 AND carry_in + net = payout + carry_out - debt_added", name="payout"),
        CheckConstraint("carry_out >= 0 OR brand_id IS NOT NULL", name="carry_out"),
        CheckConstraint(
            "debt_added >= 0 AND (debt_added = 0 OR (payout = 0 AND carry_out = 0 AND brand_id IS NULL))",
            name="debt_added",
        ),
        Index(None, "distributor_id", "id", postgresql_where=text("distributor_id IS NOT NULL")),
        Index(None, "brand_id", "id", postgresql_where=text("brand_id IS NOT NULL")),
    )

    id: Mapped[int] = key("statements")
    run_id: Mapped[int] = mapped_column(ForeignKey("settlement_runs.id"))
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    lines: Mapped[int]
    """Commissions and clawbacks of a distributor, order lines and returns of a brand; not its adjustments."""
    gross: Mapped[int]
    """The commissions, or the supply of the order lines."""
    clawbacks: Mapped[int] = mapped_column(server_default="0")
    """What refunds took back of commissions, or of supply."""
    adjustments: Mapped[int] = mapped_column(server_default="0")
    withheld: Mapped[int] = mapped_column(server_default="0")
    """Tax, by the policy `withholding`."""
    debt_in: Mapped[int] = mapped_column(server_default="0")
    debt_offset: Mapped[int] = mapped_column(server_default="0")
    """What of `debt_in` this statement pays off."""
    net: Mapped[int]
    carry_in: Mapped[int] = mapped_column(server_default="0")
    """What earlier statements carried forward; of a brand it may be below 0."""
    payout: Mapped[int]
    carry_out: Mapped[int] = mapped_column(server_default="0")
    debt_added: Mapped[int] = mapped_column(server_default="0")
    withholding: Mapped[str] = mapped_column(server_default="none")
    is_final: Mapped[bool] = mapped_column(server_default="false")
    """Its payee is out: what it comes to is paid, however little."""


class Adjustment(Base):
    """A correction of what a payee gets, dated, with its reason and who made it; below 0 it takes."""

    __tablename__ = "adjustments"
    __table_args__ = (
        CheckConstraint("num_nonnulls(distributor_id, brand_id) = 1", name="payee"),
        CheckConstraint("amount <> 0", name="amount"),
        CheckConstraint("reason <> ''", name="reason"),
        Index("ix_adjustments_open", "id", postgresql_where=text("statement_id IS NULL")),
        Index(None, "statement_id", postgresql_where=text("statement_id IS NOT NULL")),
        Index(None, "distributor_id", "id", postgresql_where=text("distributor_id IS NOT NULL")),
        Index(None, "brand_id", "id", postgresql_where=text("brand_id IS NOT NULL")),
    )

    id: Mapped[int] = key("adjustments")
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    amount: Mapped[int]
    dated: Mapped[date]
    reason: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    statement_id: Mapped[int | None] = mapped_column(ForeignKey("statements.id"))


class Dispute(Base):
    """What a payee has against its statement of a reviewed run, and what finance says to that.

    Open or accepted as the run is approved, its statement leaves the run (`left_at`), and all of it waits for the next.
    """

    __tablename__ = "disputes"
    __table_args__ = (
        CheckConstraint("num_nonnulls(distributor_id, brand_id) = 1", name="payee"),
        CheckConstraint("reason <> ''", name="reason"),
        one_of("outcome", "accepted", "rejected"),
        CheckConstraint(
            "num_nonnulls(outcome, answer, answered_at) = CASE WHEN outcome IS NULL THEN 0 ELSE 3 END", name="answered"
        ),
        CheckConstraint("answer <> ''", name="answer"),
        CheckConstraint("answered_by IS NULL OR outcome IS NOT NULL", name="answered_by"),
        CheckConstraint("(outcome IS NOT DISTINCT FROM 'accepted') = (adjustment_id IS NOT NULL)", name="adjustment"),
        UniqueConstraint("run_id", "distributor_id", "brand_id", postgresql_nulls_not_distinct=True),
        UniqueConstraint("adjustment_id"),
        Index("ix_disputes_waiting", "id", postgresql_where=text("outcome IS NULL")),
        Index(None, "statement_id", postgresql_where=text("statement_id IS NOT NULL")),
        Index(None, "distributor_id", "id", postgresql_where=text("distributor_id IS NOT NULL")),
        Index(None, "brand_id", "id", postgresql_where=text("brand_id IS NOT NULL")),
    )

    id: Mapped[int] = key("disputes")
    run_id: Mapped[int] = mapped_column(ForeignKey("settlement_runs.id"))
    statement_id: Mapped[int | None] = mapped_column(ForeignKey("statements.id", ondelete="SET NULL"))
    """None once it has left the run, or the run was discarded."""
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    reason: Mapped[str]
    opened_at: Mapped[datetime]
    opened_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    outcome: Mapped[str | None]
    answer: Mapped[str | None]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    adjustment_id: Mapped[int | None] = mapped_column(ForeignKey("adjustments.id"))
    left_at: Mapped[datetime | None]


class WriteOff(Base):
    """Debt of a distributor that is given up, once somebody else has approved it."""

    __tablename__ = "write_offs"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("reason <> ''", name="reason"),
        CheckConstraint("(approved_at IS NULL) = (approved_by IS NULL)", name="approved"),
        CheckConstraint("approved_by <> created_by", name="two_people"),
        Index(None, "distributor_id"),
    )

    id: Mapped[int] = key("write_offs")
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    amount: Mapped[int]
    reason: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    approved_at: Mapped[datetime | None]
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class WithholdingPolicy(Base):
    """How tax is withheld from a distributor from a day on; of two for the same day the later one counts."""

    __tablename__ = "withholding_policies"
    __table_args__ = (one_of("policy", *WITHHOLDING), Index(None, "distributor_id", "starts_on", "id"))

    id: Mapped[int] = key("withholding_policies")
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    policy: Mapped[str]
    starts_on: Mapped[date]
    set_at: Mapped[datetime]
    set_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class TaxDeduction(Base):
    """What else a person may deduct in a month, beside the 5000.00 yuan that everybody may."""

    __tablename__ = "tax_deductions"
    __table_args__ = (
        CheckConstraint("extract(day FROM month) = 1", name="month"),
        CheckConstraint("amount >= 0", name="amount"),
    )

    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"), primary_key=True, autoincrement=False)
    month: Mapped[date] = mapped_column(primary_key=True)
    """Its first day."""
    amount: Mapped[int]
    set_at: Mapped[datetime]
    set_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class TaxBracket(Base):
    """The rate on cumulative taxable income above `above` fen, less `quick_deduction`, from a day on."""

    __tablename__ = "tax_brackets"
    __table_args__ = (
        CheckConstraint("above >= 0", name="above"),
        CheckConstraint("rate_bps BETWEEN 0 AND 10000", name="rate_bps"),
        CheckConstraint("quick_deduction >= 0", name="quick_deduction"),
    )

    starts_on: Mapped[date] = mapped_column(primary_key=True)
    above: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rate_bps: Mapped[int]
    quick_deduction: Mapped[int]


LABOUR_TAX = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION labour_tax(income bigint, deductions bigint, on_day date) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce((
        SELECT div((4 * income::numeric - 5 * deductions) * b.rate_bps - 50000 * b.quick_deduction::numeric + 25000,
                   50000)
        FROM tax_brackets b
        WHERE b.starts_on = (SELECT max(starts_on) FROM tax_brackets WHERE starts_on <= on_day)
          AND 4 * income::numeric - 5 * deductions > 5 * b.above::numeric
        ORDER BY b.above DESC
        LIMIT 1
    ), 0)::bigint
    """
)
"""The tax on cumulative income less 20 % and deductions, in fen, half up: `settlements.withholding` has its source.
In fifths of a fen of taxable income, so in integers alone."""

event.listen(TaxBracket.__table__, "after_create", LABOUR_TAX)
