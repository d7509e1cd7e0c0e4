"""What rails report of the money that went through them, and where they and we differ (对账)."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of

REPORTING_RAILS = ("stripe", "bank")


class RailReport(Base):
    """A file of a rail that was read. Nothing of it is kept but where it differs."""

    __tablename__ = "rail_reports"
    __table_args__ = (
        one_of("rail", *REPORTING_RAILS),
        CheckConstraint(
            "num_nonnulls(starts_at, ends_at) = CASE rail WHEN 'stripe' THEN 2 ELSE 0 END",
            name="period",
        ),
        one_of("state", "waiting", "running", "done", "refused", "failed"),
        CheckConstraint("(state = 'refused') = (problem IS NOT NULL)", name="problem"),
        CheckConstraint("0 <= done AND done <= total", name="done"),
        UniqueConstraint("rail", "sha256"),
        Index(None, "file_id"),
    )

    id: Mapped[int] = key("rail_reports")
    rail: Mapped[str]
    name: Mapped[str]
    sha256: Mapped[str]
    starts_at: Mapped[datetime | None]
    """Of Stripe's: of what period it is."""
    ends_at: Mapped[datetime | None]
    file_id: Mapped[int | None] = mapped_column(ForeignKey("files.id", ondelete="SET NULL"))
    """Of one that was uploaded, while it is kept."""
    state: Mapped[str]
    step: Mapped[str] = mapped_column(server_default=text("''"))
    done: Mapped[int] = mapped_column(server_default=text("0"))
    """Of the step at work, out of `total`."""
    total: Mapped[int] = mapped_column(server_default=text("0"))
    rows: Mapped[int] = mapped_column(server_default=text("0"))
    problem: Mapped[str | None]
    """Why it cannot be read."""
    read_at: Mapped[datetime]
    """When it was asked for last."""
    read_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class RailBreak(Base):
    """One thing of which a rail and we say different. Amounts are fen, above 0 what came in."""

    __tablename__ = "rail_breaks"
    __table_args__ = (
        one_of("rail", *REPORTING_RAILS),
        one_of("kind", "missing_here", "missing_there", "amount_differs", "state_differs", "duplicate"),
        CheckConstraint("reference <> ''", name="reference"),
        CheckConstraint(
            "(kind = 'missing_here') = (ours IS NULL) AND (kind = 'missing_there') = (theirs IS NULL)", name="sides"
        ),
        CheckConstraint(
            "num_nonnulls(reason, closed_by_report_id) = CASE WHEN resolved_at IS NULL THEN 0 ELSE 1 END",
            name="resolved",
        ),
        CheckConstraint("reason <> ''", name="reason"),
        CheckConstraint("resolved_by IS NULL OR reason IS NOT NULL", name="resolved_by"),
        UniqueConstraint("rail", "category", "reference"),
        Index("ix_rail_breaks_open", "at", "id", postgresql_where=text("resolved_at IS NULL")),
    )

    id: Mapped[int] = key("rail_breaks")
    rail: Mapped[str]
    kind: Mapped[str]
    category: Mapped[str]
    """What it is: a charge, a refund, a transfer and so on of Stripe's; a payout by bank."""
    reference: Mapped[str]
    """What the rail calls it; of a payout by bank the key of the attempt."""
    ours: Mapped[int | None]
    theirs: Mapped[int | None]
    at: Mapped[datetime]
    """When it happened, by whoever has it: it counts its age from here."""
    report_id: Mapped[int] = mapped_column(ForeignKey("rail_reports.id"))
    """The newest that shows it."""
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    reason: Mapped[str | None]
    """Why somebody said that it is settled."""
    closed_by_report_id: Mapped[int | None] = mapped_column(ForeignKey("rail_reports.id"))
    """Or the report by which the two agree."""
