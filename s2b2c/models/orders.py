"""Orders and their lines, how they are shipped, refunds.

Events (orders, lines, commissions, transfers) have foreign keys to one another, but name plans, rules, tiers, uplines,
variants, ledger accounts and statements without one: a foreign key locks the row that it names, so every order would
write to the rows that all orders share, and checking them took half of the accrual of a year. The app cannot delete
such a row, and `audit` proves that each one named is there.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, Self

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from s2b2c.db import Base, key, number, one_of
from s2b2c.sealed import Sealed, is_sealed


class Claim(Base):
    """A name from outside that may be used once, and the event it led to; it outlives every move of branches."""

    __tablename__ = "claims"
    __table_args__ = (one_of("kind", "order_no", "order_token", "refund", "payment_intent"),)

    kind: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    branch_id: Mapped[int]
    event_id: Mapped[int]


class Order(Base):
    """An order in the branch it was born in.

    Payment freezes `upline` (position 0, the seller, first) with the tier and state of each member, and the plan in
    force.
    """

    __tablename__ = "orders"
    __table_args__ = (
        one_of("state", "placed", "paid", "shipped", "received", "completed", "cancelled"),
        CheckConstraint("(paid_at IS NULL) = (state IN ('placed', 'cancelled'))", name="paid_at"),
        CheckConstraint("(completed_at IS NULL) = (state <> 'completed')", name="completed_at"),
        CheckConstraint("(completed_at IS NULL) = (matures_at IS NULL)", name="matures_at"),
        CheckConstraint(
            "placed_at <= paid_at AND paid_at <= completed_at AND completed_at <= matures_at", name="times"
        ),
        CheckConstraint(
            "CASE WHEN paid_at IS NULL THEN num_nonnulls(upline, upline_tiers, upline_states, plan_id) = 0 "
            "ELSE num_nulls(upline, upline_tiers, upline_states) = 0 AND upline[1] = seller_id "
            "AND cardinality(upline_tiers) = cardinality(upline) "
            "AND cardinality(upline_states) = cardinality(upline) END",
            name="upline",
        ),
        CheckConstraint("freight >= 0", name="freight"),
        CheckConstraint("(cancelled_at IS NULL) = (state <> 'cancelled')", name="cancelled_at"),
        CheckConstraint(
            "CASE WHEN state IN ('shipped', 'received') THEN shipped_at IS NOT NULL "
            "ELSE shipped_at IS NULL OR state = 'completed' END",
            name="shipped_at",
        ),
        CheckConstraint(
            "CASE state WHEN 'received' THEN received_at IS NOT NULL "
            "WHEN 'completed' THEN (received_at IS NULL) = (shipped_at IS NULL) ELSE received_at IS NULL END",
            name="received_at",
        ),
        CheckConstraint(
            "placed_at <= cancelled_at AND paid_at <= shipped_at AND shipped_at <= received_at "
            "AND received_at <= completed_at",
            name="times_between",
        ),
        CheckConstraint("due_at IS NULL OR state IN ('placed', 'shipped', 'received')", name="due_at"),
        Index("ix_orders_paid_at", "paid_at"),
        Index("ix_orders_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(None, "customer_id", "id"),
        Index(None, "seller_id", "id"),
        Index("ix_orders_placed", "placed_at", postgresql_where=text("state = 'placed'")),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("orders")
    order_no: Mapped[str]
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    seller_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    state: Mapped[str]
    placed_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    matures_at: Mapped[datetime | None]
    upline: Mapped[list[int] | None]
    upline_tiers: Mapped[list[int] | None]
    upline_states: Mapped[list[str] | None]
    plan_id: Mapped[int | None]
    freight: Mapped[int] = mapped_column(server_default="0")
    """What the customer pays for shipping, beside the lines."""
    shipped_at: Mapped[datetime | None]
    """Both this and `received_at` are unknown of an order that was imported."""
    received_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    """When the worker takes the next step: what is not paid expires, what was shipped is received, then completed."""


class OrderBatch(NamedTuple):
    """Keys of many orders, as the two arrays that set-based statements take."""

    branch_ids: list[int]
    order_ids: list[int]

    @classmethod
    def of(cls, keys: Iterable[tuple[int, int]]) -> Self:
        pairs = list(keys)
        return cls([branch_id for branch_id, _ in pairs], [order_id for _, order_id in pairs])


class OrderToAdd(Base):
    """A paid order that no daily total holds yet: it comes with its payment, and goes as it is added."""

    __tablename__ = "orders_to_add"

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    order_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class OrderLine(Base):
    """One variant of an order. Its money always adds up: supply + commission + platform = paid - refunded."""

    __tablename__ = "order_lines"
    __table_args__ = (
        ForeignKeyConstraint(["branch_id", "order_id"], ["orders.branch_id", "orders.id"]),
        UniqueConstraint("branch_id", "order_id", "line_no"),
        CheckConstraint("line_no >= 1", name="line_no"),
        CheckConstraint("quantity >= 1", name="quantity"),
        CheckConstraint("unit_price >= 0", name="unit_price"),
        CheckConstraint("discount >= 0", name="discount"),
        CheckConstraint("paid = quantity * unit_price - discount AND paid >= 0", name="paid"),
        CheckConstraint("supply >= 0 AND supply <= quantity * supply_price", name="supply"),
        CheckConstraint("refunded BETWEEN 0 AND paid", name="refunded"),
        CheckConstraint("commission >= 0", name="commission"),
        CheckConstraint("supply + commission + platform = paid - refunded", name="adds_up"),
        Index("ix_order_lines_statement_id", "statement_id", postgresql_where=text("statement_id IS NOT NULL")),
        Index("ix_order_lines_unsettled", "branch_id", "order_id", postgresql_where=text("statement_id IS NULL")),
        {"postgresql_with": {"fillfactor": "50"}},  # payment writes the commission into most lines
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("order_lines")
    order_id: Mapped[int]
    line_no: Mapped[int]
    brand_id: Mapped[int]
    product_id: Mapped[int]
    variant_id: Mapped[int]
    quantity: Mapped[int]
    unit_price: Mapped[int]
    discount: Mapped[int]
    paid: Mapped[int]
    refunded: Mapped[int] = mapped_column(server_default="0")
    supply_price: Mapped[int]
    """Of one unit, as the order was placed; never shown to distributors or customers."""
    tier_costs: Mapped[list[int | None]] = mapped_column(ARRAY(BigInteger))
    supply: Mapped[int]
    commission: Mapped[int] = mapped_column(server_default="0")
    platform: Mapped[int]
    statement_id: Mapped[int | None]
    """The brand statement that pays `supply`."""


class LineAllotment(Base):
    """Units of a line that came out of an allotment, and go back there unless somebody pays; the others were free.

    Whoever paid keeps the row: where units came from is on record. The allotment may be gone since.
    """

    __tablename__ = "line_allotments"
    __table_args__ = (
        PrimaryKeyConstraint("branch_id", "order_id", "line_no", "allotment_id"),
        ForeignKeyConstraint(
            ["branch_id", "order_id", "line_no"],
            ["order_lines.branch_id", "order_lines.order_id", "order_lines.line_no"],
        ),
        CheckConstraint("quantity >= 1", name="quantity"),
    )

    branch_id: Mapped[int]
    order_id: Mapped[int]
    line_no: Mapped[int]
    allotment_id: Mapped[int]
    quantity: Mapped[int]


class OrderAddress(Base):
    """Where an order goes, as it was when it was placed."""

    __tablename__ = "order_addresses"
    __table_args__ = (
        PrimaryKeyConstraint("branch_id", "order_id"),
        ForeignKeyConstraint(["branch_id", "order_id"], ["orders.branch_id", "orders.id"]),
        *map(is_sealed, ("recipient", "phone", "region", "street")),
    )

    branch_id: Mapped[int]
    order_id: Mapped[int]
    recipient: Mapped[str] = mapped_column(Sealed("recipient"))
    phone: Mapped[str] = mapped_column(Sealed("phone"))
    region: Mapped[str] = mapped_column(Sealed("region"))
    street: Mapped[str] = mapped_column(Sealed("street"))


class SupplyOrder(Base):
    """What one brand ships of an order (一件代发)."""

    __tablename__ = "supply_orders"
    __table_args__ = (
        ForeignKeyConstraint(["branch_id", "order_id"], ["orders.branch_id", "orders.id"]),
        UniqueConstraint("branch_id", "order_id", "brand_id"),
        Index("ix_supply_orders_brand_id", "brand_id", "id"),
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("supply_orders")
    order_id: Mapped[int]
    brand_id: Mapped[int]
    shipped_at: Mapped[datetime | None]
    """When the last unit that was not refunded before left."""


class Shipment(Base):
    """A parcel of a supply order."""

    __tablename__ = "shipments"
    __table_args__ = (
        ForeignKeyConstraint(["branch_id", "supply_order_id"], ["supply_orders.branch_id", "supply_orders.id"]),
        UniqueConstraint("branch_id", "supply_order_id", "carrier", "tracking_no"),
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("shipments")
    supply_order_id: Mapped[int]
    carrier: Mapped[str]
    tracking_no: Mapped[str]
    shipped_at: Mapped[datetime]


class ShipmentLine(Base):
    """How many units of a line are in a parcel."""

    __tablename__ = "shipment_lines"
    __table_args__ = (
        PrimaryKeyConstraint("branch_id", "shipment_id", "line_id"),
        ForeignKeyConstraint(["branch_id", "shipment_id"], ["shipments.branch_id", "shipments.id"]),
        ForeignKeyConstraint(["branch_id", "line_id"], ["order_lines.branch_id", "order_lines.id"]),
        CheckConstraint("quantity >= 1", name="quantity"),
        Index(None, "branch_id", "line_id"),
    )

    branch_id: Mapped[int]
    shipment_id: Mapped[int]
    line_id: Mapped[int]
    quantity: Mapped[int]


class Refund(Base):
    """Money that went back to the customer of an order, or (`reverses_id`) a refund that was taken back itself.

    One that came before the payment it belongs to waits for it.
    """

    __tablename__ = "refunds"
    __table_args__ = (
        ForeignKeyConstraint(["branch_id", "order_id"], ["orders.branch_id", "orders.id"]),
        ForeignKeyConstraint(["branch_id", "reverses_id"], ["refunds.branch_id", "refunds.id"]),
        UniqueConstraint("branch_id", "reverses_id"),
        one_of("state", "waiting", "applied"),
        CheckConstraint("(reference IS NULL) = (reverses_id IS NOT NULL)", name="reference"),
        Index(None, "branch_id", "order_id"),
        Index("ix_refunds_waiting", "branch_id", "order_id", postgresql_where=text("state = 'waiting'")),
        Index("ix_refunds_unsettled", "branch_id", "id", postgresql_where=text("run_id IS NULL AND state = 'applied'")),
        Index(
            "ix_refunds_not_rolled_up",
            "branch_id",
            "id",
            postgresql_where=text("NOT rolled_up AND state = 'applied'"),
        ),
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("refunds")
    order_id: Mapped[int]
    reference: Mapped[str | None]
    """What whoever asked for it calls it; never used twice."""
    reverses_id: Mapped[int | None]
    state: Mapped[str]
    refunded_at: Mapped[datetime]
    rolled_up: Mapped[bool] = mapped_column(server_default=false())
    run_id: Mapped[int | None]
    """The settlement run in which all that it takes back stands."""
    freight: Mapped[int] = mapped_column(server_default="0")
    """What of it was paid for shipping, beside the lines; of a reversal the negative of its refund's."""


class RefundBatch(NamedTuple):
    """Keys of many refunds, as the two arrays that set-based statements take."""

    branch_ids: list[int]
    refund_ids: list[int]

    @classmethod
    def of(cls, keys: Iterable[tuple[int, int]]) -> Self:
        pairs = list(keys)
        return cls([branch_id for branch_id, _ in pairs], [refund_id for _, refund_id in pairs])


class RefundLine(Base):
    """What a refund gives back of one order line; of a reversal all three are the negatives of its refund's."""

    __tablename__ = "refund_lines"
    __table_args__ = (
        PrimaryKeyConstraint("branch_id", "refund_id", "line_id"),
        ForeignKeyConstraint(["branch_id", "refund_id"], ["refunds.branch_id", "refunds.id"]),
        ForeignKeyConstraint(["branch_id", "line_id"], ["order_lines.branch_id", "order_lines.id"]),
        CheckConstraint(
            "(quantity >= 0 AND amount >= 0 AND supply >= 0) OR (quantity <= 0 AND amount <= 0 AND supply <= 0)",
            name="one_way",
        ),
        CheckConstraint("quantity <> 0 OR amount <> 0", name="something"),
        Index(None, "branch_id", "line_id"),
        Index("ix_refund_lines_statement_id", "statement_id", postgresql_where=text("statement_id IS NOT NULL")),
        Index(
            "ix_refund_lines_unsettled",
            "branch_id",
            "refund_id",
            postgresql_where=text("statement_id IS NULL AND supply <> 0"),
        ),
    )

    branch_id: Mapped[int]
    id: Mapped[int] = number("refund_lines")
    refund_id: Mapped[int]
    line_id: Mapped[int]
    quantity: Mapped[int]
    """Units; 0 where only an amount was refunded."""
    amount: Mapped[int]
    supply: Mapped[int]
    """What the brand gives back of its supply."""
    statement_id: Mapped[int | None]
    """The brand statement that takes `supply` back."""
