"""Storefronts: what a store shows, and what it sold."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, ColumnElement, Row, Select, SQLColumnExpression, and_, cast, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.models import Brand, DailyBrand, Distributor, Listing, Price, Product, Store, Tier, Variant

AnyRow: TypeAlias = Row[*tuple[Any, ...]]


async def open_store(session: AsyncSession, slug: str) -> Store | None:
    if not slug.isprintable():  # no text in PostgreSQL holds a NUL or half a surrogate pair
        return None
    return await session.scalar(select(Store).where(Store.slug == slug, Store.state == "open"))


async def listings(
    session: AsyncSession, store_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What customers see of a store in the owner's order; `after` is a (position,).

    Rows of (store_id, product_id, price in fen, position, pitch, product), a product with its brand.
    """
    query: Select[*tuple[Any, ...]] = (
        select(
            Listing.store_id,
            Listing.product_id,
            Listing.price,
            Listing.position,
            Listing.pitch,
            Bundle(
                "product",
                Product.id,
                Product.title,
                Product.category,
                Product.tonalities,
                Product.audiences,
                Product.image_url,
                Bundle("brand", Brand.id, Brand.name),
            ),
        )
        .join(Store, Store.id == Listing.store_id)
        .join(Product, Product.id == Listing.product_id)
        .join(Brand, Brand.id == Product.brand_id)
        .where(Listing.store_id == store_id, Store.state == "open", Product.state == "listed")
        .order_by(Listing.position)  # unique in its store
        .limit(limit)
    )
    if after is not None:
        (last_position,) = after
        query = query.where(Listing.position > last_position)
    return (await session.execute(query)).all()


async def variants(session: AsyncSession, listed: Sequence[tuple[int, int]]) -> dict[tuple[int, int], list[AnyRow]]:
    """The variants that the owner of a store may sell, by (store_id, product_id): those with a cost for its tier.

    Rows of (id, sku, options, in_stock).
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
            Bundle("variant", Variant.id, Variant.sku, Variant.options, (Variant.stock > 0).label("in_stock")),
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


async def output_of_brand(
    session: AsyncSession, brand_id: int, *, start: date, end: date, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What each store sold of a brand in [start, end), most output first; `after` is an (output, store_id).

    Rows of (store, output in fen, orders, units), of stores with anything to tell. Output is paid minus refunded.
    """

    def total(column: SQLColumnExpression[int]) -> ColumnElement[int]:
        return cast(func.sum(column), BigInteger)

    output = total(DailyBrand.paid - DailyBrand.refunded)
    query: Select[*tuple[Any, ...]] = (
        select(
            Bundle("store", Store.id, Store.slug, Store.title, Store.region),
            output.label("output"),
            total(DailyBrand.orders).label("orders"),
            total(DailyBrand.units).label("units"),
        )
        .join(Store, Store.id == DailyBrand.store_id)
        .where(DailyBrand.brand_id == brand_id, DailyBrand.day >= start, DailyBrand.day < end)
        .group_by(Store.id)
        .order_by(output.desc(), Store.id)
        .limit(limit)
    )
    if after is not None:
        last_output, last_store_id = after
        query = query.having(or_(output < last_output, and_(output == last_output, Store.id > last_store_id)))
    return (await session.execute(query)).all()
