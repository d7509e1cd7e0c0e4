"""What people are told."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of


class Notice(Base):
    """One thing that one distributor or one brand is told; `facts` fill the words of its kind."""

    __tablename__ = "notices"
    __table_args__ = (
        one_of(
            "kind",
            "application_approved",
            "application_rejected",
            "moved",
            "suspended",
            "reinstated",
            "eliminated",
            "took_over",
            "elimination_undone",
            "listing_clamped",
            "listing_withdrawn",
            "listings_fitted",
            "words_removed",
            "price_change_refused",
            "setup_copied",
            "product_approved",
            "product_rejected",
            "product_withdrawn",
            "product_delisted",
            "product_relisted",
            "statement_ready",
            "dispute_accepted",
            "dispute_rejected",
            "statement_postponed",
            "statement_discarded",
            "ranking_watched",
            "ranking_noticed",
            "ranking_cleared",
            "appeal_upheld",
            "appeal_rejected",
            "ranking_spared",
            "improvement_planned",
        ),
        CheckConstraint("num_nonnulls(distributor_id, brand_id) = 1", name="recipient"),
        CheckConstraint("read_at >= created_at", name="read_at"),
        Index(None, "distributor_id", "id", postgresql_where=text("distributor_id IS NOT NULL")),
        Index(None, "brand_id", "id", postgresql_where=text("brand_id IS NOT NULL")),
    )

    id: Mapped[int] = key("notices")
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    kind: Mapped[str]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    read_at: Mapped[datetime | None]
