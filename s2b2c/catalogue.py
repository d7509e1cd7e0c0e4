"""Brands' supply: products, prices, stock."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CursorResult,
    Select,
    Text,
    and_,
    any_,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, SortKey, page
from s2b2c.models import Brand, Distributor, Listing, Price, Product, Store, Tier, Variant
from s2b2c.sql import statements


async def fit_listings(session: AsyncSession, now: datetime) -> int:
    """Bring the listings of the products in the temporary table `touched` back inside their bands.

    A price outside the band moves to the nearest one inside; a listing that no price fits, or whose owner's tier has no
    cost any more, leaves its store. Their owners are told. Returns how many listings changed.
    """
    await session.execute(statements("catalogue")["lock_stores"])
    await session.execute(statements("catalogue")["find_bands"])
    changed = 0
    for name in ("withdraw_listings", "clamp_listings"):
        told = await session.execute(statements("catalogue")[name], {"now": now})
        assert isinstance(told, CursorResult)
        changed += told.rowcount
    return changed


async def products_of_brand(
    session: AsyncSession,
    brand_id: int,
    *,
    search: str | None = None,
    state: str | None = None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """What a brand supplies, newest first; `after` is an (id,).

    Rows of a product and `listed_in`, the number of open stores that list it. `search` is part of its title or code or
    of a SKU of it, whatever the case.
    """
    query = select(Product).where(Product.brand_id == brand_id)
    if search is not None and (searched := search.strip()):
        if not searched.isprintable():  # no text in PostgreSQL holds a NUL or half a surrogate pair
            return []
        sku = select(Variant.id).where(
            Variant.product_id == Product.id, Variant.sku.icontains(searched, autoescape=True)
        )
        query = query.where(
            or_(
                Product.title.icontains(searched, autoescape=True),
                Product.code.icontains(searched, autoescape=True),
                sku.exists(),
            )
        )
    if state is not None:
        query = query.where(Product.state == state)
    shown = page(query, (Product.id, "down"), after=after, limit=limit).cte("shown")
    listed = (
        select(Listing.product_id, func.count().label("stores"))
        .join(Store, Store.id == Listing.store_id)
        .where(Listing.product_id.in_(select(shown.c.id)), Store.state == "open")
        .group_by(Listing.product_id)
        .subquery()
    )
    rows = await session.execute(
        select(shown, func.coalesce(listed.c.stores, 0).label("listed_in"))
        .outerjoin(listed, listed.c.product_id == shown.c.id)
        .order_by(shown.c.id.desc())
    )
    return rows.all()


class TierCost(NamedTuple):
    """What one unit costs a distributor of the tier, in fen."""

    tier: AnyRow
    cost: int


class SupplyVariant(NamedTuple):
    """A variant as its brand sees it, at the prices of today in fen; a tier without a cost cannot sell it."""

    id: int
    sku: str
    options: dict[str, str]
    in_stock: bool
    stock: int
    supply_price: int
    suggested_price: int
    min_price: int
    max_price: int
    tier_costs: Sequence[TierCost]


async def supply_variants(session: AsyncSession, product_ids: Sequence[int]) -> dict[int, list[SupplyVariant]]:
    """The variants of these products by product_id; whoever asks has made sure that he may see what supply costs."""
    rows = await session.execute(
        select(
            Variant.product_id,
            Bundle(
                "variant",
                Variant.id,
                Variant.sku,
                Variant.options,
                (Variant.stock > 0).label("in_stock"),
                Variant.stock,
                Price.supply_price,
                Price.suggested_price,
                Price.min_price,
                Price.max_price,
            ),
            Bundle("tier", Tier.id, Tier.code, Tier.rank, Tier.name, Tier.is_leader),
            Price.tier_costs[Tier.rank].label("cost"),
        )
        .join(Price, and_(Price.variant_id == Variant.id, func.upper_inf(Price.during)))
        .outerjoin(Tier, Price.tier_costs[Tier.rank].is_not(None))
        .where(Variant.product_id == any_(literal(list(product_ids), ARRAY(BigInteger))))
        .order_by(Variant.id, Tier.rank)
    )
    found: dict[int, list[SupplyVariant]] = defaultdict(list)
    for (product_id, variant), tiers in groupby(rows, key=lambda row: (row.product_id, row.variant)):
        costs = [TierCost(row.tier, row.cost) for row in tiers if row.cost is not None]
        found[product_id].append(SupplyVariant._make((*variant, costs)))
    return found


class Wanted(NamedTuple):
    """What a search of the catalogue asks for; None asks for nothing. Prices are fen of the suggested price."""

    search: str | None = None
    brand_id: int | None = None
    category: str | None = None
    tags: Sequence[str] = ()
    price_from: int | None = None
    price_to: int | None = None


Sort = Literal["newest", "price up", "price down"]


async def on_offer(
    session: AsyncSession,
    distributor_id: int,
    wanted: Wanted,
    *,
    sort: Sort,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """What a distributor may choose for its stores: listed products that some price fits for its tier.

    `after` is (id,) of the newest, else (suggested price, id). Rows of (id, title, category, tonalities, audiences,
    image_url, brand, lowest_price, highest_price, suggested_price, in_my_stores); prices hold for every variant.
    """
    words = (wanted.search or "").split()
    if not all(map(str.isprintable, (*words, wanted.category or "", *wanted.tags))):
        return ()  # no text in PostgreSQL holds a NUL or half a surrogate pair
    query, suggested_price = _offered(distributor_id)
    for word in words:
        query = query.where(or_(*(text.icontains(word, autoescape=True) for text in _SEARCHED)))
    if wanted.brand_id is not None:
        query = query.where(Product.brand_id == wanted.brand_id)
    if wanted.category is not None:
        query = query.where(Product.category == wanted.category)
    if wanted.tags:
        tags = func.array_cat(Product.tonalities, Product.audiences, type_=ARRAY(Text))
        query = query.where(tags.contains(cast(list(wanted.tags), ARRAY(Text))))
    if wanted.price_from is not None:
        query = query.where(suggested_price >= wanted.price_from)
    if wanted.price_to is not None:
        query = query.where(suggested_price <= wanted.price_to)
    order: dict[Sort, tuple[SortKey, ...]] = {
        "newest": ((Product.id, "down"),),
        "price up": ((suggested_price, "up"), (Product.id, "up")),
        "price down": ((suggested_price, "down"), (Product.id, "down")),
    }
    return (await session.execute(page(query, *order[sort], after=after, limit=limit))).all()


async def one_on_offer(session: AsyncSession, distributor_id: int, product_id: int) -> AnyRow | None:
    """A row like those of `on_offer`."""
    query, _ = _offered(distributor_id)
    return (await session.execute(query.where(Product.id == product_id))).one_or_none()


_SEARCHED = (Product.title, Product.code, Product.category, Brand.name)


def _offered(distributor_id: int) -> tuple[Select[*tuple[Any, ...]], ColumnElement[int]]:
    band = (
        func.price_band(Product.id, Tier.rank)
        .table_valued(
            column("lowest_price", BigInteger),
            column("highest_price", BigInteger),
            column("suggested_price", BigInteger),
        )
        .lateral("band")
    )
    in_my_stores = (
        select(func.count())
        .select_from(Listing)
        .join(Store, Store.id == Listing.store_id)
        .where(Store.distributor_id == distributor_id, Listing.product_id == Product.id)
        .scalar_subquery()
    )
    query: Select[*tuple[Any, ...]] = (
        select(
            Product.id,
            Product.title,
            Product.category,
            Product.tonalities,
            Product.audiences,
            Product.image_url,
            Bundle("brand", Brand.id, Brand.name),
            band.c.lowest_price,
            band.c.highest_price,
            band.c.suggested_price,
            in_my_stores.label("in_my_stores"),
        )
        .join(Brand, Brand.id == Product.brand_id)
        .join(Distributor, Distributor.id == distributor_id)
        .join(Tier, Tier.id == Distributor.tier_id)
        .join(band, true())
        .where(Product.state == "listed")
    )
    return query, band.c.suggested_price
