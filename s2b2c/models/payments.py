"""What Stripe is asked for and what it tells: payments, refunds on their way, events, connected accounts."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of


class Payment(Base):
    """An attempt to have an order paid: first what we want, then what Stripe made of it.

    `opening` until Stripe has answered, `open` until the customer has paid; one at a time for each order.
    """

    __tablename__ = "payments"
    __table_args__ = (
        ForeignKeyConstraint(["branch_id", "order_id"], ["orders.branch_id", "orders.id"]),
        UniqueConstraint("branch_id", "intent_id"),
        one_of("method", "intent", "checkout"),
        one_of("state", "opening", "open", "succeeded", "cancelled"),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint(
            "state NOT IN ('open', 'succeeded') OR num_nonnulls(intent_id, session_id) > 0", name="intent_id"
        ),
        CheckConstraint("(succeeded_at IS NULL) = (state <> 'succeeded')", name="succeeded_at"),
        CheckConstraint("succeeded_at <= returned_at OR returned_at IS NULL", name="returned_at"),
        Index(
            "uq_payments_in_hand",
            "branch_id",
            "order_id",
            unique=True,
            postgresql_where=text("state IN ('opening', 'open')"),
        ),
        Index(None, "branch_id", "order_id"),
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("payments")
    order_id: Mapped[int]
    method: Mapped[str]
    amount: Mapped[int]
    """All that the order costs, freight included."""
    state: Mapped[str]
    intent_id: Mapped[str | None]
    session_id: Mapped[str | None]
    """Of a hosted Checkout, which makes its PaymentIntent when it likes."""
    created_at: Mapped[datetime]
    succeeded_at: Mapped[datetime | None]
    returned_at: Mapped[datetime | None]
    """When the whole went back, since the order could not take it any more."""


class RefundRequest(Base):
    """Money to send back to a customer: first what was asked for, then what Stripe made of it; one at a time."""

    __tablename__ = "refund_requests"
    __table_args__ = (
        ForeignKeyConstraint(["branch_id", "order_id"], ["orders.branch_id", "orders.id"]),
        ForeignKeyConstraint(["branch_id", "payment_id"], ["payments.branch_id", "payments.id"]),
        one_of("state", "sending", "sent", "succeeded", "failed"),
        CheckConstraint("amount > 0", name="amount"),
        Index(
            "uq_refund_requests_in_hand",
            "branch_id",
            "order_id",
            unique=True,
            postgresql_where=text("state IN ('sending', 'sent')"),
        ),
        Index(None, "branch_id", "order_id"),
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("refund_requests")
    order_id: Mapped[int]
    payment_id: Mapped[int]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """What to refund of each line, as `orders.refund` takes it."""
    amount: Mapped[int]
    reason: Mapped[str]
    state: Mapped[str]
    reference: Mapped[str | None]
    """What Stripe calls it."""
    account_id: Mapped[int]
    """Who asked for it."""
    requested_at: Mapped[datetime]


class StripeEvent(Base):
    """What Stripe told us, kept before it is worked on: of its payload what we go by, and nothing personal."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        Index("ix_stripe_events_waiting", "received_at", postgresql_where=text("handled_at IS NULL")),
        Index("ix_stripe_events_handled_at", "handled_at", postgresql_where=text("handled_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    account: Mapped[str | None]
    created_at: Mapped[datetime]
    received_at: Mapped[datetime]
    handled_at: Mapped[datetime | None]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)


class StripeAccount(Base):
    """The connected account to which a brand or a distributor has its money sent."""

    __tablename__ = "stripe_accounts"
    __table_args__ = (
        CheckConstraint("num_nonnulls(brand_id, distributor_id) = 1", name="owner"),
        one_of("transfers", "inactive", "pending", "active"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"), unique=True)
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"), unique=True)
    transfers: Mapped[str]
    """The capability that a payout needs."""
    payouts_enabled: Mapped[bool]
    details_submitted: Mapped[bool]
    changed_at: Mapped[datetime]
    """When Stripe said so; what it said earlier comes too late."""
