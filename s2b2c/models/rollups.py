"""Daily totals, kept up by adding each order and each refund once; a day is a day in Asia/Shanghai.

They name only what orders and lines name, which have the foreign keys; checking those again took 45 % of adding up.
In their keys the day comes early, so that a day is added at few places; what brands ask is found by them too.
`paid`, `orders` and `kept` stand on the day of payment, `refunded` on the day the refund succeeds; a reversed refund is
taken from that day again. `kept` are the orders that are not wholly refunded. Money in fen.
"""

from datetime import date

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base

_NOT_NEGATIVE = "orders >= 0 AND units >= 0 AND paid >= 0"


class DailySeller(Base):
    """What a distributor sold on a day, in whichever store."""

    __tablename__ = "daily_sellers"
    __table_args__ = (
        CheckConstraint(_NOT_NEGATIVE, name="not_negative"),
        CheckConstraint("kept BETWEEN 0 AND orders", name="kept"),
        PrimaryKeyConstraint("branch_id", "day", "seller_id"),
        Index("ix_daily_sellers_day", "day", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
        Index(None, "seller_id", "day"),
    )

    branch_id: Mapped[int]
    seller_id: Mapped[int]
    day: Mapped[date]
    orders: Mapped[int]
    units: Mapped[int]
    paid: Mapped[int]
    refunded: Mapped[int]
    kept: Mapped[int]


class DailyBrand(Base):
    """What a store sold of a brand on a day."""

    __tablename__ = "daily_brands"
    __table_args__ = (
        CheckConstraint(_NOT_NEGATIVE, name="not_negative"),
        PrimaryKeyConstraint("brand_id", "day", "store_id", "branch_id"),
    )

    branch_id: Mapped[int]
    store_id: Mapped[int]
    brand_id: Mapped[int]
    day: Mapped[date]
    orders: Mapped[int]
    units: Mapped[int]
    paid: Mapped[int]
    refunded: Mapped[int]


class DailyProduct(Base):
    """What a store sold of a product on a day; an order with several products stands in each of them.

    `kept` are the kept orders in which a line of the product is not wholly refunded.
    """

    __tablename__ = "daily_products"
    __table_args__ = (
        CheckConstraint(_NOT_NEGATIVE, name="not_negative"),
        CheckConstraint("kept BETWEEN 0 AND orders", name="kept"),
        PrimaryKeyConstraint("brand_id", "day", "store_id", "product_id", "branch_id"),
        Index("ix_daily_products_day", "day", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    )

    branch_id: Mapped[int]
    day: Mapped[date]
    store_id: Mapped[int]
    product_id: Mapped[int]
    brand_id: Mapped[int]
    orders: Mapped[int]
    kept: Mapped[int]
    units: Mapped[int]
    paid: Mapped[int]
    refunded: Mapped[int]


class DailyCustomer(Base):
    """How many kept orders a customer has with a seller on a day, 0 where all of them were wholly refunded."""

    __tablename__ = "daily_customers"
    __table_args__ = (
        CheckConstraint("kept >= 0", name="kept"),
        Index("ix_daily_customers_day", "day", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    seller_id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(primary_key=True)
    kept: Mapped[int]
