"""Brands' supply: products, variants, and their prices over time."""

from datetime import datetime
from typing import Any

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
    __table_args__ = (CheckConstraint("jsonb_typeof(persona) = 'object'", name="persona"),)

    id: Mapped[int] = key("brands")
    name: Mapped[str] = mapped_column(unique=True)
    catalogue_sha256: Mapped[str | None]
    """Of the last catalogue file applied: the same file again must not bring back stock sold since."""
    persona: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """As `stores.Persona`: shown beside that of a store's owner (双 IP)."""


class Product(Base):
    """An SPU. Only a listed one can be selected."""

    __tablename__ = "products"
    __table_args__ = (
        UniqueConstraint("brand_id", "code"),
        UniqueConstraint("id", "brand_id"),
        one_of("state", "draft", "in_review", "listed", "delisted"),
        CheckConstraint(
            "cardinality(more_images) <= 8 AND (image_url IS NOT NULL OR more_images = '{}')", name="more_images"
        ),
        CheckConstraint("char_length(description) <= 5000", name="description"),
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
    more_images: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    """The addresses of the pictures behind the first one, which is `image_url`."""
    description: Mapped[str] = mapped_column(server_default="")


class Variant(Base):
    """An SKU: what is sold and counted."""

    __tablename__ = "variants"
    __table_args__ = (
        ForeignKeyConstraint(["product_id", "brand_id"], ["products.id", "products.brand_id"]),
        UniqueConstraint("brand_id", "sku"),
        Index("ix_variants_product_id", "product_id"),
        CheckConstraint("stock >= 0", name="stock"),
        CheckConstraint("allotted BETWEEN 0 AND stock", name="allotted"),
    )

    id: Mapped[int] = key("variants")
    product_id: Mapped[int]
    brand_id: Mapped[int]
    sku: Mapped[str]
    options: Mapped[dict[str, str]] = mapped_column(JSONB)
    stock: Mapped[int]
    """All units that are left, those that are set aside included."""
    allotted: Mapped[int] = mapped_column(server_default="0")
    """Of them those that are set aside: what its allotments add up to."""


class Allotment(Base):
    """Units of a variant that are set aside for one store, or for the stores of a region.

    A store may sell what is free, its region's and its own; an order takes its own first, then its region's, then what
    is free, and gives back to where it took from. A store that moves takes its own along and finds those of its new
    region. Whoever writes one holds the row of its variant; an allotment that gets another number gets another id, so
    that what comes back of the old one is free.
    """

    __tablename__ = "allotments"
    __table_args__ = (
        UniqueConstraint("variant_id", "store_id", "region", postgresql_nulls_not_distinct=True),
        CheckConstraint("num_nonnulls(store_id, region) = 1", name="whose"),
        CheckConstraint("quantity >= 0", name="quantity"),
    )

    id: Mapped[int] = key("allotments")
    variant_id: Mapped[int] = mapped_column(ForeignKey("variants.id"))
    store_id: Mapped[int | None] = mapped_column(ForeignKey("stores.id"))
    region: Mapped[str | None]
    quantity: Mapped[int]
    """What is left of it."""
    updated_at: Mapped[datetime]
    """When the brand last said how many; orders do not touch it."""
    updated_by: Mapped[int] = mapped_column(ForeignKey("accounts.id"))


SET_ASIDE = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION set_aside(variant bigint, store bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce((SELECT a.quantity FROM allotments a WHERE a.variant_id = variant AND a.store_id = store), 0)
        + coalesce((SELECT a.quantity FROM stores s JOIN allotments a ON a.variant_id = variant AND a.store_id IS NULL
                                                                       AND a.region = s.region
                    WHERE s.id = store), 0)
    """
)
"""Units of a variant that are set aside for a store and for its region."""

SELLABLE = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION sellable(stock bigint, allotted bigint, variant bigint, store bigint) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN allotted = 0 THEN stock ELSE stock - allotted + set_aside(variant, store) END
    """
)
"""Units of a variant that a store may sell. It is apart from `set_aside` so that PostgreSQL inlines it: where nothing
is set aside nothing is looked up."""

event.listen(Allotment.__table__, "after_create", SET_ASIDE)
event.listen(Allotment.__table__, "after_create", SELLABLE)


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


class BrandRules(Base):
    """What every store that lists products of a brand must keep. No row: nothing."""

    __tablename__ = "brand_rules"
    __table_args__ = (CheckConstraint("floor_bps BETWEEN 1 AND 10000", name="floor_bps"),)

    brand_id: Mapped[int] = mapped_column(ForeignKey("brands.id"), primary_key=True)
    banned_words: Mapped[list[str]]
    """What no pitch may hold, as `banned_word` reads it."""
    floor_bps: Mapped[int | None]
    """No store asks less than this share of the suggested price."""
    disclosure: Mapped[str]
    """What own words must hold word for word; may be empty."""
    updated_at: Mapped[datetime]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))


class BrandRulesHistory(Base):
    """Every set of rules that a brand has made, as it was set."""

    __tablename__ = "brand_rules_history"
    __table_args__ = (Index(None, "brand_id", "id"),)

    id: Mapped[int] = key("brand_rules_history")
    brand_id: Mapped[int] = mapped_column(ForeignKey("brands.id"))
    banned_words: Mapped[list[str]]
    floor_bps: Mapped[int | None]
    disclosure: Mapped[str]
    set_at: Mapped[datetime]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))


class ScheduledPrice(Base):
    """The prices that a variant gets at a time to come, and what became of them."""

    __tablename__ = "scheduled_prices"
    __table_args__ = (
        CheckConstraint("0 <= supply_price AND supply_price <= min_price", name="supply_price"),
        CheckConstraint("min_price <= suggested_price AND suggested_price <= max_price", name="band"),
        CheckConstraint("costs_in_order(supply_price, tier_costs)", name="tier_costs"),
        one_of("state", "waiting", "applied", "cancelled", "refused"),
        one_of("refusal", "product_delisted"),
        CheckConstraint("(state = 'waiting') = (done_at IS NULL)", name="done_at"),
        CheckConstraint("(state = 'refused') = (refusal IS NOT NULL)", name="refused"),
        Index(
            "uq_scheduled_prices_waiting",
            "variant_id",
            "starts_at",
            unique=True,
            postgresql_where=text("state = 'waiting'"),
        ),
        Index("ix_scheduled_prices_due", "starts_at", "id", postgresql_where=text("state = 'waiting'")),
    )

    id: Mapped[int] = key("scheduled_prices")
    variant_id: Mapped[int] = mapped_column(ForeignKey("variants.id"))
    starts_at: Mapped[datetime]
    supply_price: Mapped[int]
    suggested_price: Mapped[int]
    min_price: Mapped[int]
    max_price: Mapped[int]
    tier_costs: Mapped[list[int | None]] = mapped_column(ARRAY(BigInteger))
    state: Mapped[str] = mapped_column(server_default="waiting")
    refusal: Mapped[str | None]
    """Why it was not applied when its time had come."""
    created_at: Mapped[datetime]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    done_at: Mapped[datetime | None]


PLAIN_WORDS = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION plain_words(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(regexp_replace(normalize(words, NFKC), '[\\s\\u00AD\\u200B-\\u200D\\u2060\\uFEFF]', '', 'g'))
    """
)
"""How words are compared: compatible characters and cases are one, and blanks are nothing."""

BANNED_WORD = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION banned_word(words text, banned text[]) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT word FROM (SELECT plain_words(words) AS said OFFSET 0) AS plain,
                             unnest(banned) WITH ORDINALITY AS list (word, n)
            WHERE words <> '' AND strpos(said, plain_words(word)) > 0 ORDER BY n LIMIT 1)
    """
)
"""The first of the banned words that a text holds."""

FLOOR_PRICE = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION floor_price(suggested bigint, floor_bps bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN div(suggested::numeric * floor_bps + 9999, 10000)::bigint
    """
)
"""The least that a brand's rules let a store ask: the share of the suggested price, rounded up."""

for function in (PLAIN_WORDS, BANNED_WORD, FLOOR_PRICE):
    event.listen(BrandRules.__table__, "before_create", function)

PRICE_BAND = DDL(  # type: ignore[no-untyped-call]  # DDL carries no types
    """
    CREATE FUNCTION price_band(product bigint, tier_rank bigint)
        RETURNS TABLE (lowest_price bigint, highest_price bigint, suggested_price bigint)
        LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
        BEGIN ATOMIC
            SELECT lowest, highest, least(greatest(suggested, lowest), highest)
            FROM (SELECT CASE WHEN bool_and(p.tier_costs[tier_rank] IS NOT NULL)
                              THEN max(greatest(p.min_price, p.tier_costs[tier_rank],
                                                floor_price(p.suggested_price, r.floor_bps))) END AS lowest,
                         min(p.max_price) AS highest, max(p.suggested_price) AS suggested
                  FROM variants v JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
                  LEFT JOIN brand_rules r ON r.brand_id = v.brand_id
                  WHERE v.product_id = product) AS all_variants
            WHERE lowest <= highest; END
    """
)
"""What a store whose owner stands on this tier may ask for a product: one price for all variants, inside every band,
not below what any of them costs the owner, nor below the floor of the brand's rules. No row where there is no such
price, or a variant without a cost."""

_tables = Base.metadata.tables
_tables["prices"].add_is_dependent_on(_tables["brand_rules"])
_tables["scheduled_prices"].add_is_dependent_on(_tables["prices"])
event.listen(Price.__table__, "after_create", PRICE_BAND)
