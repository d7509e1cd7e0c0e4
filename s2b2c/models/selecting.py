"""What distributors choose from: made from products, prices and sales, and made again when these change."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from s2b2c.db import Base

STRETCH = 32_768


class SelectableProduct(Base):
    """A listed product with a price that some tier can sell it at, as it is searched for. Money in fen.

    One index answers every search: a page is read one stretch of ids after the other, the newest first, and each
    stretch is cut out of the index. So a page costs about the same however many products match.
    """

    __tablename__ = "selectable_products"
    __table_args__ = (
        Index("ix_selectable_products_terms", "stretch", "terms", postgresql_using="gin"),
        Index(None, "suggested_price", "product_id"),
    )

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    stretch: Mapped[int] = mapped_column(Computed(f"product_id / {STRETCH}", persisted=True))
    terms: Mapped[str] = mapped_column(TSVECTOR)
    """Its words, and marks like `brand=7`: see `catalogue.words`."""
    suggested_price: Mapped[int]
    """The highest of a variant, as far as all variants may be sold at it."""
    costs: Mapped[list[int | None]] = mapped_column(ARRAY(BigInteger))
    """What the dearest variant costs each tier, by rank; NULL where the tier cannot choose the product."""
    listed_at: Mapped[datetime]


class StaleProduct(Base):
    """A product that changed since its row in `selectable_products` was made."""

    __tablename__ = "stale_products"

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)


class CohortProduct(Base):
    """How a product does among the stores of a cohort (同组): the owners are of one tier and one region."""

    __tablename__ = "cohort_products"
    __table_args__ = (
        Index("ix_cohort_products_units", "tier_id", "region", text("units DESC"), text("product_id DESC")),
    )

    tier_id: Mapped[int] = mapped_column(ForeignKey("tiers.id"), primary_key=True)
    region: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    stores: Mapped[int]
    """Open stores that list it."""
    units: Mapped[int]
    """Sold in the last 30 days, of order lines that were not refunded whole."""


class CohortCount(Base):
    """When `cohort_products` was counted last: one row, none before the first time."""

    __tablename__ = "cohort_counts"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, server_default="1")
    counted_at: Mapped[datetime]
