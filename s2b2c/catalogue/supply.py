"""What a brand supplies, as the brand itself sees it."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    and_,
    any_,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, page
from s2b2c.models import Brand, Listing, Price, Product, Store, Tier, Variant


async def products_of_brand(
    session: AsyncSession,
    brand_id: int | None,
    *,
    search: str | None = None,
    state: str | None = None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """What a brand supplies, or any where `brand_id` is None, newest first; `after` is an (id,).

    Rows of a product, its `brand` and `listed_in`, the number of open stores that list it. `search` is part of its
    title or code or of a SKU of it, whatever the case.
    """
    query = select(Product)
    if brand_id is not None:
        query = query.where(Product.brand_id == brand_id)
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
        select(shown, Bundle("brand", Brand.id, Brand.name), func.coalesce(listed.c.stores, 0).label("listed_in"))
        .join(Brand, Brand.id == shown.c.brand_id)
        .outerjoin(listed, listed.c.product_id == shown.c.id)
        .order_by(shown.c.id.desc())
    )
    return rows.all()


async def product_of_brand(session: AsyncSession, brand_id: int | None, product_id: int) -> AnyRow | None:
    """A row like those of `products_of_brand`."""
    rows = await products_of_brand(session, brand_id, after=(product_id + 1,), limit=1)
    return next((row for row in rows if row.id == product_id), None)


async def details(session: AsyncSession, product_ids: Sequence[int]) -> dict[int, AnyRow]:
    """What products tell where they are looked at: rows of (id, image_url, more_images, description) by id."""
    rows = await session.execute(
        select(Product.id, Product.image_url, Product.more_images, Product.description).where(
            Product.id == any_(literal(list(product_ids), ARRAY(BigInteger)))
        )
    )
    return {row.id: row for row in rows}


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
    """All units that are left."""
    allotted: int
    """Of them those that are set aside for regions and stores."""
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
                Variant.allotted,
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
