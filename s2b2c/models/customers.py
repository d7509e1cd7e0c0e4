"""Customers, where they want their goods, and whose customers they are."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, false, func, text
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of
from s2b2c.sealed import Sealed, is_sealed

POLICIES = ("first_touch", "last_touch", "window")


class Customer(Base):
    """A buyer (消费者), known by the reference of the system it came from."""

    __tablename__ = "customers"

    id: Mapped[int] = key("customers")
    ref: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    erased_at: Mapped[datetime | None]
    """When the person went; nobody is this customer any more."""


class Address(Base):
    """Where a customer wants its goods. An order keeps its own copy, sealed as it is here."""

    __tablename__ = "addresses"
    __table_args__ = (
        CheckConstraint("NOT is_default OR removed_at IS NULL", name="default"),
        *map(is_sealed, ("recipient", "phone", "region", "street")),
        Index("uq_addresses_default", "customer_id", unique=True, postgresql_where=text("is_default")),
    )

    id: Mapped[int] = key("addresses")
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    recipient: Mapped[str] = mapped_column(Sealed("recipient"))
    phone: Mapped[str] = mapped_column(Sealed("phone"))
    region: Mapped[str] = mapped_column(Sealed("region"))
    street: Mapped[str] = mapped_column(Sealed("street"))
    is_default: Mapped[bool] = mapped_column(server_default=false())
    removed_at: Mapped[datetime | None]


class ShareLink(Base):
    """A link to a store, or to a product in it, that says who shared it."""

    __tablename__ = "share_links"
    __table_args__ = (UniqueConstraint("store_id", "product_id", "distributor_id", postgresql_nulls_not_distinct=True),)

    id: Mapped[int] = key("share_links")
    code: Mapped[str] = mapped_column(unique=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"))
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"))
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Binding(Base):
    """A customer belongs to a distributor for a time (锁客); it ends by itself, or where another one takes over."""

    __tablename__ = "bindings"
    __table_args__ = (
        one_of("policy", *POLICIES),
        CheckConstraint("NOT isempty(during) AND NOT lower_inf(during)", name="during"),
        CheckConstraint("(policy = 'window') = (protected_until IS NOT NULL)", name="protected_until"),
        ExcludeConstraint(("customer_id", "="), ("during", "&&"), name="ex_bindings_during", using="gist"),
        Index(None, "distributor_id", "id"),
    )

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), primary_key=True, autoincrement=False)
    id: Mapped[int] = key("bindings")
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    protected_until: Mapped[datetime | None]
    """Before it nobody takes the customer over."""
    policy: Mapped[str]
    share_link_id: Mapped[int | None] = mapped_column(ForeignKey("share_links.id"))
    """What led the customer to the touch that began it."""


class RefusedTouch(Base):
    """A touch that took nobody over, since the customer belonged to somebody else: the evidence when they argue."""

    __tablename__ = "refused_touches"
    __table_args__ = (
        ForeignKeyConstraint(["binding_id", "customer_id"], ["bindings.id", "bindings.customer_id"]),
        CheckConstraint("at < protected_until", name="protected_until"),
        Index(None, "distributor_id", "id"),
        Index(None, "binding_id", "customer_id"),
    )

    customer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("refused_touches")
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    binding_id: Mapped[int]
    at: Mapped[datetime]
    protected_until: Mapped[datetime | None]
    """As it stood then; none under `first_touch`, which protects for ever."""
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"))
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"))
    share_link_id: Mapped[int | None] = mapped_column(ForeignKey("share_links.id"))
