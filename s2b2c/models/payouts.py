"""What is paid out of each statement, and every attempt to send it."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of

RAILS = ("stripe", "bank", "outside")


class Payout(Base):
    """The money of one statement on its way to its payee: one for a statement, whatever becomes of it."""

    __tablename__ = "payouts"
    __table_args__ = (
        CheckConstraint("num_nonnulls(distributor_id, brand_id) = 1", name="payee"),
        CheckConstraint("amount > 0", name="amount"),
        one_of("rail", *RAILS),
        one_of("state", "pending", "sending", "unknown", "sent", "confirmed", "failed", "reversed"),
        one_of("hold", "suspended", "no_account", "person"),
        CheckConstraint("hold IS NULL OR state IN ('pending', 'failed')", name="held"),
        CheckConstraint("(hold_reason <> '') IS TRUE = (hold IS NOT NULL AND hold = 'person')", name="hold_reason"),
        CheckConstraint("held_by IS NULL OR hold IS NOT NULL AND hold = 'person'", name="held_by"),
        CheckConstraint(
            "state IN ('pending', 'failed') OR NOT needs_approval OR approved_at IS NOT NULL", name="approved"
        ),
        CheckConstraint("approved_by <> created_by", name="two_people"),
        CheckConstraint("(sent_at IS NOT NULL) = (state IN ('sent', 'confirmed', 'reversed'))", name="sent"),
        CheckConstraint("(confirmed_at IS NOT NULL) = (state IN ('confirmed', 'reversed'))", name="confirmed"),
        CheckConstraint("(reversed_at IS NOT NULL) = (state = 'reversed')", name="reversed"),
        CheckConstraint(
            "num_nulls(reversal_reason, reversal_asked_at) IN (0, 2)"
            " AND (reversal_asked_at IS NULL OR state IN ('confirmed', 'reversed'))"
            " AND (reversal_asked_at IS NOT NULL OR state <> 'reversed')",
            name="reversal",
        ),
        CheckConstraint("rail <> 'outside' OR (note <> '') IS TRUE", name="note"),
        Index(None, "run_id", "id"),
        Index("ix_payouts_pending", "id", postgresql_where=text("state = 'pending'")),
        Index("ix_payouts_unfinished", "run_id", postgresql_where=text("state NOT IN ('confirmed', 'reversed')")),
    )

    id: Mapped[int] = key("payouts")
    run_id: Mapped[int] = mapped_column(ForeignKey("settlement_runs.id"))
    statement_id: Mapped[int] = mapped_column(ForeignKey("statements.id"), unique=True)
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    amount: Mapped[int]
    rail: Mapped[str]
    state: Mapped[str]
    hold: Mapped[str | None]
    """Why it waits: its payee is suspended, has no account that the rail can pay into, or a person said so."""
    hold_reason: Mapped[str | None]
    needs_approval: Mapped[bool]
    created_at: Mapped[datetime]
    created_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """Who started the payouts of the run (a person); None where the command line did, as below."""
    approved_at: Mapped[datetime | None]
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    reversal_reason: Mapped[str | None]
    reversal_asked_at: Mapped[datetime | None]
    reversal_asked_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    reversed_at: Mapped[datetime | None]
    note: Mapped[str | None]
    """How it was paid, where that was outside."""
    held_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class PayoutAttempt(Base):
    """One try to send a payout, under a key that is committed before anything is asked of the rail."""

    __tablename__ = "payout_attempts"
    __table_args__ = (
        UniqueConstraint("payout_id", "number"),
        CheckConstraint("number >= 1", name="number"),
        one_of("rail", *RAILS),
        one_of("state", "sending", "unknown", "sent", "confirmed", "failed", "reversed"),
        one_of("next_step", "send", "look_up", "reverse"),
        CheckConstraint(
            "num_nulls(next_step, due_at) IN (0, 2) AND (next_step IS NULL OR rail = 'stripe')"
            " AND (next_step IS NULL OR state IN ('sending', 'unknown', 'sent', 'confirmed'))"
            " AND (next_step IS NOT NULL OR rail <> 'stripe' OR state IN ('confirmed', 'failed', 'reversed'))",
            name="due",
        ),
        CheckConstraint("(rail = 'stripe') = (destination IS NOT NULL)", name="destination"),
        CheckConstraint("reference IS NOT NULL OR state NOT IN ('sent', 'confirmed', 'reversed')", name="reference"),
        CheckConstraint("(sent_at IS NOT NULL) = (state IN ('sent', 'confirmed', 'reversed'))", name="sent"),
        CheckConstraint("(confirmed_at IS NOT NULL) = (state IN ('confirmed', 'reversed'))", name="confirmed"),
        CheckConstraint(
            "num_nulls(failed_at, failure) IN (0, 2) AND (failed_at IS NOT NULL) = (state = 'failed')", name="failed"
        ),
        CheckConstraint("(reversed_at IS NOT NULL) = (state = 'reversed')", name="reversed"),
        CheckConstraint("(rail = 'outside') = (proof_file_id IS NOT NULL)", name="proof"),
        Index(None, "proof_file_id", postgresql_where=text("proof_file_id IS NOT NULL")),
        Index("ix_payout_attempts_alive", "payout_id", unique=True, postgresql_where=text("state <> 'failed'")),
        Index(None, "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    id: Mapped[int] = key("payout_attempts")
    payout_id: Mapped[int] = mapped_column(ForeignKey("payouts.id"))
    number: Mapped[int]
    key: Mapped[str] = mapped_column(unique=True)
    rail: Mapped[str]
    state: Mapped[str]
    destination: Mapped[str | None]
    """The connected account."""
    reference: Mapped[str | None]
    """What the rail calls it: the transfer at Stripe, the line of the bank's file."""
    next_step: Mapped[str | None]
    """What is asked of Stripe next, from `due_at` on; it is `look_up` from before a call on that changes anything."""
    due_at: Mapped[datetime | None]
    calls: Mapped[int] = mapped_column(server_default="0")
    is_spent: Mapped[bool] = mapped_column(server_default="false")
    """Stripe keeps an error under the key: the same key brings nothing else."""
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    failure: Mapped[str | None]
    reversed_at: Mapped[datetime | None]
    proof_file_id: Mapped[int | None] = mapped_column(ForeignKey("files.id"))
    """What proves that it was paid outside: a file that is kept for good."""
    created_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """Who paid it outside; None for the worker's own, and where the command line did."""
