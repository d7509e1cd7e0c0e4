"""Storefronts and what they show."""

from datetime import datetime
from typing import Any

from sqlalchemy import DDL, CheckConstraint, ForeignKey, Index, UniqueConstraint, event, false, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of
from s2b2c.models.customers import Binding
from s2b2c.models.orders import Order

SLUG = r"[a-z0-9]+(-[a-z0-9]+)*"
"""How a store is called in links: at most 64 characters."""
_WHY_SO = ("imported", "created", "edited", "copied", "eliminated", "reinstated")


class Store(Base):
    """One distributor's storefront (小店); as it is since `changed_at`, or since nobody knows when."""

    __tablename__ = "stores"
    __table_args__ = (
        one_of("state", "open", "closed"),
        CheckConstraint("jsonb_typeof(persona) = 'object'", name="persona"),
        CheckConstraint("jsonb_typeof(blocks) = 'array'", name="blocks"),
        CheckConstraint("jsonb_typeof(opening_hours) = 'object'", name="opening_hours"),
        one_of("why", *_WHY_SO),
        Index(None, "id", postgresql_where=text("is_model")),
    )

    id: Mapped[int] = key("stores")
    slug: Mapped[str] = mapped_column(unique=True)
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"), index=True)
    title: Mapped[str]
    region: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="open")
    persona: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """As `stores.Persona`."""
    cover_url: Mapped[str | None]
    blocks: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'"))
    """As `stores.blocks` wrote them, in its version `blocks_version`."""
    blocks_version: Mapped[int] = mapped_column(server_default="1")
    opening_hours: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """As `stores.OpeningHours`, in minutes of the day; NULL is always open."""
    is_model: Mapped[bool] = mapped_column(server_default=false())
    """Whether others may copy it (标杆)."""
    changed_at: Mapped[datetime | None]
    why: Mapped[str] = mapped_column(server_default="imported")
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    """Who made it what it is; nobody where an import did."""


OPENS_AT = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION opens_at(opening_hours jsonb, at timestamp with time zone) RETURNS timestamp with time zone
        LANGUAGE sql STABLE PARALLEL SAFE
        RETURN CASE WHEN opening_hours IS NULL THEN at ELSE (
            SELECT min(greatest((d.day + make_interval(mins => span.opens)) AT TIME ZONE 'Asia/Shanghai', at))
            FROM generate_series(0, 7 + 7 * jsonb_array_length(opening_hours -> 'closed_days')) AS n
            CROSS JOIN LATERAL (SELECT (at AT TIME ZONE 'Asia/Shanghai')::date + n AS day) AS d
            JOIN jsonb_to_recordset(opening_hours -> 'spans') AS span (day integer, opens integer, closes integer)
                ON span.day = extract(isodow FROM d.day)
            WHERE NOT opening_hours -> 'closed_days' ? to_char(d.day, 'YYYY-MM-DD')
              AND (d.day + make_interval(mins => span.closes)) AT TIME ZONE 'Asia/Shanghai' > at) END
    """
)
"""From this moment on, when a store with these hours is open first: the moment itself where it is open then."""

event.listen(Store.__table__, "after_create", OPENS_AT)


class StoreHistory(Base):
    """What a store was from `since`, -infinity where nobody knows, up to `until`."""

    __tablename__ = "store_history"
    __table_args__ = (CheckConstraint("since < until", name="until"), one_of("why", *_WHY_SO))

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    title: Mapped[str]
    region: Mapped[str]
    state: Mapped[str]
    persona: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    cover_url: Mapped[str | None]
    blocks: Mapped[list[Any]] = mapped_column(JSONB)
    blocks_version: Mapped[int]
    opening_hours: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    why: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))


_WHY = ("imported", "selected", "changed", "reordered", "copied", "clamped", "words_removed")
_SEGMENTS = "segments <@ ARRAY['new', 'returning', 'bound']"


class Listing(Base):
    """One product in one store (选品), at that store's price; as it is since `changed_at`, or else `listed_at`."""

    __tablename__ = "listings"
    __table_args__ = (
        UniqueConstraint("store_id", "position", deferrable=True, initially="IMMEDIATE"),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("position >= 1", name="position"),
        CheckConstraint(_SEGMENTS, name="segments"),
        CheckConstraint("changed_at > listed_at", name="changed_at"),
        one_of("why", *_WHY),
    )

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True, index=True)
    price: Mapped[int]
    position: Mapped[int]
    pitch: Mapped[str]
    listed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    pinned: Mapped[bool] = mapped_column(server_default=false())
    """Shown before all that are not; among themselves both follow `position`."""
    regions: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    """Shown to customers of these alone; to all where it is empty, as with segments."""
    segments: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    changed_at: Mapped[datetime | None]
    why: Mapped[str] = mapped_column(server_default="selected")
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    """Who made it what it is; nobody where an import or a new band did."""


class ListingHistory(Base):
    """What a listing was from `since` up to `until`; `end_reason` where it left the store then, else it was changed."""

    __tablename__ = "listing_history"
    __table_args__ = (
        CheckConstraint("since < until", name="until"),
        one_of("why", *_WHY),
        one_of("end_reason", "removed", "no_price_fits", "product_withdrawn"),
        Index(None, "store_id", "until"),
        Index("ix_listing_history_removed", "product_id", "until", postgresql_where=text("end_reason IS NOT NULL")),
    )

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    price: Mapped[int]
    position: Mapped[int]
    pitch: Mapped[str]
    pinned: Mapped[bool]
    regions: Mapped[list[str]]
    segments: Mapped[list[str]]
    why: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    end_reason: Mapped[str | None]
    ended_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))


IS_SHOWN_TO = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION is_shown_to(segments text[], customer bigint, owner bigint, at timestamp with time zone)
        RETURNS boolean
        LANGUAGE sql STABLE PARALLEL SAFE
        RETURN segments = '{}'
            OR 'bound' = ANY (segments)
               AND EXISTS (SELECT FROM bindings b WHERE b.customer_id = customer AND b.distributor_id = owner
                       AND b.during @> at)
            OR segments && ARRAY['new', 'returning']
               AND CASE WHEN EXISTS (SELECT FROM orders o WHERE o.customer_id = customer AND o.paid_at IS NOT NULL)
                        THEN 'returning' ELSE 'new' END = ANY (segments)
    """
)
"""Whether a listing with these segments is for this customer in a store of this owner; NULL is somebody unknown."""

for needed in (Binding, Order):
    Base.metadata.tables["listings"].add_is_dependent_on(Base.metadata.tables[needed.__tablename__])
event.listen(Listing.__table__, "after_create", IS_SHOWN_TO)
