"""Storefronts and what they show."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, false, func
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of


class Store(Base):
    """One distributor's storefront (小店)."""

    __tablename__ = "stores"
    __table_args__ = (one_of("state", "open", "closed"),)

    id: Mapped[int] = key("stores")
    slug: Mapped[str] = mapped_column(unique=True)
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"), index=True)
    title: Mapped[str]
    region: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="open")


class Listing(Base):
    """One product in one store (选品), at that store's price."""

    __tablename__ = "listings"
    __table_args__ = (
        UniqueConstraint("store_id", "position", deferrable=True, initially="IMMEDIATE"),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("position >= 1", name="position"),
    )

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True, index=True)
    price: Mapped[int]
    position: Mapped[int]
    pitch: Mapped[str]
    listed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    pinned: Mapped[bool] = mapped_column(server_default=false())
    """Shown before all that are not; among themselves both follow `position`."""
