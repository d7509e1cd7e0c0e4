"""People who sign in."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of


class Account(Base):
    """One role of one person or team: which door it may enter, and for whom."""

    __tablename__ = "accounts"
    __table_args__ = (
        one_of("role", "customer", "distributor", "brand", "finance", "operator"),
        CheckConstraint("(role = 'brand') = (brand_id IS NOT NULL)", name="brand"),
        CheckConstraint("(role = 'distributor') = (distributor_id IS NOT NULL)", name="distributor"),
        CheckConstraint("(role = 'customer') = (customer_id IS NOT NULL)", name="customer"),
        UniqueConstraint("role", "brand_id", "distributor_id", "customer_id", postgresql_nulls_not_distinct=True),
    )

    id: Mapped[int] = key("accounts")
    role: Mapped[str]
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"))
