"""What brands propose for their products, what the platform said to it, and what became of each product."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of


class ProductRevision(Base):
    """What a brand wants its product to say: of title, category, tonalities, audiences, images and description those
    that it has touched.

    Once submitted it never changes, so what the platform approves is what it looked at; taken back, it is at an end and
    its content goes on in a new draft.
    """

    __tablename__ = "product_revisions"
    __table_args__ = (
        one_of("state", "draft", "in_review", "approved", "rejected", "withdrawn"),
        CheckConstraint("(submitted_at IS NULL) = (state = 'draft')", name="submitted_at"),
        CheckConstraint("(reviewed_at IS NULL) = (state NOT IN ('approved', 'rejected'))", name="reviewed_at"),
        CheckConstraint("(base IS NULL) = (state IN ('draft', 'in_review'))", name="base"),
        CheckConstraint("(reason IS NULL) = (state <> 'rejected')", name="reason"),
        CheckConstraint("num_nulls(submitted_at, submitted_by) IN (0, 2)", name="submitted_by"),
        CheckConstraint("num_nulls(reviewed_at, reviewed_by) IN (0, 2)", name="reviewed_by"),
        CheckConstraint("created_at <= submitted_at AND submitted_at <= reviewed_at", name="times"),
        Index(None, "product_id", "id"),
        Index(
            "uq_product_revisions_open",
            "product_id",
            unique=True,
            postgresql_where=text("state IN ('draft', 'in_review')"),
        ),
        Index("ix_product_revisions_in_review", "submitted_at", postgresql_where=text("state = 'in_review'")),
    )

    id: Mapped[int] = key("product_revisions")
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    base: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """What was live as it came to its end: what the content differs from."""
    state: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    submitted_at: Mapped[datetime | None]
    submitted_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    reviewed_at: Mapped[datetime | None]
    reviewed_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    reason: Mapped[str | None]
    """Why it was rejected."""


class ProductEvent(Base):
    """Something that became of a product, and who did it; `facts` count what it reached."""

    __tablename__ = "product_events"
    __table_args__ = (
        one_of("kind", "created", "submitted", "taken_back", "approved", "rejected", "listed", "withdrawn"),
        Index(None, "product_id", "id"),
    )

    id: Mapped[int] = key("product_events")
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    at: Mapped[datetime]
    kind: Mapped[str]
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    reason: Mapped[str | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
