"""Brands' supply: products, variants, and their prices over time."""

from datetime import datetime

from sqlalchemy import (
    DDL,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from s2b2c.db import Base, key, one_of


class Brand(Base):
    """A supplier (品牌方)."""

    __tablename__ = "brands"

    id: Mapped[int] = key("brands")
    name: Mapped[str] = mapped_column(unique=True)
    catalogue_sha256: Mapped[str | None]
    """Of the last catalogue file applied: the same file again must not bring back stock sold since."""


class Product(Base):
    """An SPU. Only a listed one can be selected."""

    __tablename__ = "products"
    __table_args__ = (
        UniqueConstraint("brand_id", "code"),
        UniqueConstraint("id", "brand_id"),
        one_of("state", "draft", "in_review", "listed", "delisted"),
    )

    id: Mapped[int] = key("products")
    brand_id: Mapped[int] = mapped_column(ForeignKey("brands.id"))
    code: Mapped[str]
    title: Mapped[str]
    category: Mapped[str]
    tonalities: Mapped[list[str]]
    audiences: Mapped[list[str]]
    image_url: Mapped[str | None]
    state: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Variant(Base):
    """An SKU: what is sold and counted."""

    __tablename__ = "variants"
    __table_args__ = (
        ForeignKeyConstraint(["product_id", "brand_id"], ["products.id", "products.brand_id"]),
        UniqueConstraint("brand_id", "sku"),
        Index("ix_variants_product_id", "product_id"),
        CheckConstraint("stock >= 0", name="stock"),
    )

    id: Mapped[int] = key("variants")
    product_id: Mapped[int]
    brand_id: Mapped[int]
    sku: Mapped[str]
    options: Mapped[dict[str, str]] = mapped_column(JSONB)
    stock: Mapped[int]


class Price(Base):
    """What a variant costs and may cost during a span of time; the first span of a variant has no beginning.

    `tier_costs` holds the cost (拿货价) of the tier of rank k at index k, NULL where that tier cannot sell it.
    """

    __tablename__ = "prices"
    __table_args__ = (
        CheckConstraint("0 <= supply_price AND supply_price <= min_price", name="supply_price"),
        CheckConstraint("min_price <= suggested_price AND suggested_price <= max_price", name="band"),
        CheckConstraint("costs_in_order(supply_price, tier_costs)", name="tier_costs"),
        CheckConstraint("NOT isempty(during)", name="during"),
        ExcludeConstraint(("variant_id", "="), ("during", "&&"), name="ex_prices_during", using="gist"),
        Index("uq_prices_current", "variant_id", unique=True, postgresql_where=text("upper_inf(during)")),
    )

    id: Mapped[int] = key("prices")
    variant_id: Mapped[int] = mapped_column(ForeignKey("variants.id"))
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    supply_price: Mapped[int]
    suggested_price: Mapped[int]
    min_price: Mapped[int]
    max_price: Mapped[int]
    tier_costs: Mapped[list[int | None]] = mapped_column(ARRAY(BigInteger))


COSTS_IN_ORDER = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION costs_in_order(supply bigint, costs bigint[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(bool_and(cost >= supply AND cost >= coalesce(above, supply)), true)
            FROM (SELECT cost, max(cost) OVER (ORDER BY rank ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS above
                  FROM unnest(costs) WITH ORDINALITY AS tier (cost, rank)) AS ranked)
    """
)
"""Supply price <= every tier cost, and a higher tier never costs more than a lower one (a CHECK holds no subquery)."""

event.listen(Price.__table__, "before_create", COSTS_IN_ORDER)

PRICE_BAND = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION price_band(product bigint, tier_rank bigint)
        RETURNS TABLE (lowest_price bigint, highest_price bigint, suggested_price bigint)
        LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
        BEGIN ATOMIC
            SELECT lowest, highest, least(greatest(suggested, lowest), highest)
            FROM (SELECT CASE WHEN bool_and(p.tier_costs[tier_rank] IS NOT NULL)
                              THEN max(greatest(p.min_price, p.tier_costs[tier_rank])) END AS lowest,
                         min(p.max_price) AS highest, max(p.suggested_price) AS suggested
                  FROM variants v JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
                  WHERE v.product_id = product) AS all_variants
            WHERE lowest <= highest; END
    """
)
"""What a store whose owner stands on this tier may ask for a product: one price for all variants, inside every band and
not below what any of them costs the owner. No row where there is no such price, or a variant without a cost."""

event.listen(Price.__table__, "after_create", PRICE_BAND)
