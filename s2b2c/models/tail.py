"""The cases of those in the tail of a ranking, step by step."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of

OPEN = ("watch", "noticed", "appealed", "rejected")
CLOSED = ("upheld", "spared", "cleared", "eliminated")


class TailCase(Base):
    """From the first strike until it is closed: whoever has no open case has no strikes.

    watch -> noticed, with the last strike -> appealed -> rejected or upheld; a person's decision ends it: spared or
    eliminated. Leaving the tail clears it from any of the open states.
    """

    __tablename__ = "tail_cases"
    __table_args__ = (
        one_of("state", *OPEN, *CLOSED),
        CheckConstraint("strikes >= 1", name="strikes"),
        CheckConstraint(
            "(closed_at IS NOT NULL) = (state IN ('upheld', 'spared', 'cleared', 'eliminated'))", name="closed"
        ),
        CheckConstraint("(noticed_at IS NULL) = (appeal_until IS NULL) AND noticed_at < appeal_until", name="notice"),
        CheckConstraint("noticed_at IS NOT NULL OR state IN ('watch', 'cleared')", name="noticed"),
        Index("uq_tail_cases_open", "distributor_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index(None, "distributor_id", "id"),
        Index(None, "state", "id"),
    )

    id: Mapped[int] = key("tail_cases")
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    state: Mapped[str]
    strikes: Mapped[int]
    """As they stand, or stood when it was closed."""
    opened_run_id: Mapped[int] = mapped_column(ForeignKey("ranking_runs.id"))
    last_run_id: Mapped[int] = mapped_column(ForeignKey("ranking_runs.id"))
    """That struck last."""
    opened_at: Mapped[datetime]
    noticed_at: Mapped[datetime | None]
    """When the notice lay in the inbox of the person: delivered."""
    appeal_until: Mapped[datetime | None]
    """An appeal comes before it."""
    closed_at: Mapped[datetime | None]


class TailStep(Base):
    """One thing that happened in a case, for good: when, by whom, in which run, and what was said."""

    __tablename__ = "tail_steps"
    __table_args__ = (
        one_of(
            "kind",
            "watched",
            "struck",
            "noticed",
            "planned",
            "appealed",
            "appeal_upheld",
            "appeal_rejected",
            "spared",
            "cleared",
            "eliminated",
        ),
        Index(None, "case_id", "id"),
    )

    id: Mapped[int] = key("tail_steps")
    case_id: Mapped[int] = mapped_column(ForeignKey("tail_cases.id"))
    kind: Mapped[str]
    at: Mapped[datetime]
    run_id: Mapped[int | None] = mapped_column(ForeignKey("ranking_runs.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """Who did it; None where the command line, or a token that names nobody, did."""
    strikes: Mapped[int]
    said: Mapped[str | None]
