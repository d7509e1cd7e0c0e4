"""What a store shows, to its customers and to its owner."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, SortKey, page
from s2b2c.models import Brand, BrandRules, Distributor, Listing, Price, Product, Store, Tier, Variant

_SHELF: tuple[SortKey, ...] = ((case((Listing.pinned, 0), else_=1), "up"), (Listing.position, "up"))
"""Pinned ones first, then the owner's order; a position is unique in its store."""


async def open_store(session: AsyncSession, slug: str) -> Store | None:
    if not slug.isprintable():  # no text in PostgreSQL holds a NUL or half a surrogate pair
        return None
    return await session.scalar(select(Store).where(Store.slug == slug, Store.state == "open"))


async def open_store_by_id(session: AsyncSession, store_id: int) -> Store | None:
    return await session.scalar(select(Store).where(Store.id == store_id, Store.state == "open"))


async def own_store(session: AsyncSession, distributor_id: int, slug: str) -> Store | None:
    """A store of this distributor, open or closed."""
    if not slug.isprintable():
        return None
    return await session.scalar(select(Store).where(Store.slug == slug, Store.distributor_id == distributor_id))


async def own_stores(
    session: AsyncSession, distributor_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[Store]:
    """The stores of a distributor, oldest first; `after` is an (id,)."""
    query = select(Store).where(Store.distributor_id == distributor_id)
    return (await session.scalars(page(query, (Store.id, "up"), after=after, limit=limit))).all()


class Shopper(NamedTuple):
    """Who looks at a store, when and from where: None is somebody or somewhere unknown."""

    customer_id: int | None
    region: str | None
    now: datetime
    segments_count: bool = True
    """False shows what is limited to segments, whoever it is."""


async def listings(
    session: AsyncSession, store_id: int, shopper: Shopper, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What a customer sees of a store in the owner's order; `after` is `shelf_key` of a row.

    Rows of (store_id, product_id, price in fen, position, pitch, pinned, regions, segments, listed_at, disclosure,
    product), a product with its brand.
    """
    query = _shelf(store_id).where(*_SHOWN, *_visible(shopper))
    return (await session.execute(page(query, *_SHELF, after=after, limit=limit))).all()


async def listing(session: AsyncSession, store_id: int, product_id: int, shopper: Shopper) -> AnyRow | None:
    """What a customer sees of one product in a store: a row like those of `listings`."""
    query = _shelf(store_id).where(*_SHOWN, *_visible(shopper), Listing.product_id == product_id)
    return (await session.execute(query)).one_or_none()


async def own_listings(
    session: AsyncSession, store_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """All listings of a store, shown to customers or not, else as `listings`."""
    return (await session.execute(page(_shelf(store_id), *_SHELF, after=after, limit=limit))).all()


async def shown(
    session: AsyncSession, listed: Sequence[tuple[int, int]], shopper: Shopper
) -> dict[tuple[int, int], AnyRow]:
    """What a customer sees of these (store_id, product_id): rows like those of `listings`, of those that are shown."""
    query = _rows().where(*_SHOWN, *_visible(shopper), tuple_(Listing.store_id, Listing.product_id).in_(listed))
    return {(row.store_id, row.product_id): row for row in await session.execute(query)}


def shelf_key(row: Any) -> tuple[int, int]:
    return (0 if row.pinned else 1, row.position)


def _visible(shopper: Shopper) -> tuple[ColumnElement[bool], ...]:
    # Of a region that no text in PostgreSQL can name nobody is.
    region = shopper.region if shopper.region is not None and shopper.region.isprintable() else None
    return (
        or_(func.cardinality(Listing.regions) == 0, literal(region, Text) == any_(Listing.regions)),
        or_(
            literal(not shopper.segments_count),
            func.cardinality(Listing.segments) == 0,
            func.is_shown_to(Listing.segments, shopper.customer_id, Store.distributor_id, shopper.now),
        ),
    )


_SHOWN = (Store.state == "open", Product.state == "listed")


def _shelf(store_id: int) -> Select[*tuple[Any, ...]]:
    return _rows().where(Listing.store_id == store_id)


def _rows() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Listing.store_id,
            Listing.product_id,
            Listing.price,
            Listing.position,
            Listing.pitch,
            Listing.pinned,
            Listing.regions,
            Listing.segments,
            Listing.listed_at,
            func.nullif(BrandRules.disclosure, "").label("disclosure"),
            Bundle(
                "product",
                Product.id,
                Product.title,
                Product.category,
                Product.tonalities,
                Product.audiences,
                Product.image_url,
                Product.state,
                Bundle("brand", Brand.id, Brand.name),
            ),
        )
        .join(Store, Store.id == Listing.store_id)
        .join(Product, Product.id == Listing.product_id)
        .join(Brand, Brand.id == Product.brand_id)
        .outerjoin(BrandRules, BrandRules.brand_id == Product.brand_id)
    )


async def variants(session: AsyncSession, listed: Sequence[tuple[int, int]]) -> dict[tuple[int, int], list[AnyRow]]:
    """The variants that the owner of a store may sell, by (store_id, product_id): those with a cost for its tier.

    Rows of (id, sku, options, in_stock), in stock as far as this store may sell.
    """
    wanted = (
        func.unnest(
            cast([store_id for store_id, _ in listed], ARRAY(BigInteger)),
            cast([product_id for _, product_id in listed], ARRAY(BigInteger)),
        )
        .table_valued("store_id", "product_id", name="wanted")
        .render_derived()
    )
    rows = await session.execute(
        select(
            wanted.c.store_id,
            wanted.c.product_id,
            Bundle(
                "variant",
                Variant.id,
                Variant.sku,
                Variant.options,
                (func.sellable(Variant.stock, Variant.allotted, Variant.id, Store.id) > 0).label("in_stock"),
            ),
        )
        .join(Store, Store.id == wanted.c.store_id)
        .join(Distributor, Distributor.id == Store.distributor_id)
        .join(Tier, Tier.id == Distributor.tier_id)
        .join(Variant, Variant.product_id == wanted.c.product_id)
        .join(Price, and_(Price.variant_id == Variant.id, func.upper_inf(Price.during)))
        .where(Price.tier_costs[Tier.rank].is_not(None))
        .order_by(Variant.id)
    )
    found: dict[tuple[int, int], list[AnyRow]] = defaultdict(list)
    for store_id, product_id, variant in rows:
        found[store_id, product_id].append(variant)
    return found
