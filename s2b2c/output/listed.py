"""What was listed, and what of it sold."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    cast,
    extract,
    func,
    null,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, SortKey, page
from s2b2c.models import Brand, DailyBrand, DailyProduct, Distributor, Listing, Product, Store, Tier
from s2b2c.output.scope import Scope, in_places, midnight, of_supply, pairs, total
from s2b2c.output.stores import STORE, TIER

PRODUCT: Bundle[Any] = Bundle("product", Product.id, Product.code, Product.title, Product.brand_id)


async def by_product(
    session: AsyncSession, scope: Scope, *, least_first: bool = False, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What the chosen stores sold of each product, and how many of those that listed it sold it.

    Rows of (product, brand_name, output, orders, units, output_before, trend, total, selling, listings, sold), the top
    first or the tail; `after` is an (output, product_id). Of every product with a sale or a refund in the period or the
    one before, or a live listing. `orders` are those with the product in them: an order with two products counts for
    both, so they do not add up to a store's orders. `selling` stores kept a sale of it; of its `listings`, live at some
    time of the period in stores that were open, `sold` had one. Money in fen.
    """
    query, keys = products(scope, least_first=least_first)
    return (await session.execute(page(query, *keys, after=after, limit=limit))).all()


def products(scope: Scope, *, least_first: bool = False) -> tuple[Select[*tuple[Any, ...]], Sequence[SortKey]]:
    """All the rows of `by_product`, and what they are sorted by."""
    pair = pairs(scope).c
    counts = (
        select(pair.product_id, func.count().filter(pair.is_kept).label("selling"), *_listings(pair))
        .group_by(pair.product_id)
        .subquery("counts")
    )
    sold = _sold(scope)
    output = func.coalesce(sold.c.output, 0)
    either = (
        select(
            func.coalesce(counts.c.product_id, sold.c.product_id).label("product_id"),
            output.label("output"),
            *(func.coalesce(sold.c[name], 0).label(name) for name in ("orders", "units", "output_before")),
            *(func.coalesce(counts.c[name], 0).label(name) for name in ("selling", "listings", "sold")),
            cast(func.sum(output).over(), BigInteger).label("total"),
        )
        .select_from(sold.join(counts, counts.c.product_id == sold.c.product_id, full=True))
        .subquery("either")
    )
    it = either.c
    names = ("output", "orders", "units", "output_before", "total", "selling", "listings", "sold")
    query: Select[*tuple[Any, ...]] = (
        select(
            PRODUCT,
            Brand.name.label("brand_name"),
            *(it[name] for name in names),
            (it.output - it.output_before).label("trend"),
        )
        .select_from(either)
        .join(Product, Product.id == it.product_id)
        .join(Brand, Brand.id == Product.brand_id)
    )
    return query, ((it.output, "up" if least_first else "down"), (it.product_id, "up"))


def _sold(scope: Scope) -> Subquery:
    table, now = DailyProduct, DailyProduct.day >= scope.start
    output = table.paid - table.refunded
    query: Select[*tuple[Any, ...]] = select(
        table.product_id,
        total(output, now).label("output"),
        total(table.orders, now).label("orders"),
        total(table.units, now).label("units"),
        total(output, table.day < scope.start).label("output_before"),
    ).where(table.day >= scope.before, table.day < scope.end, *of_supply(scope, table))
    return in_places(query, table.store_id, scope).group_by(table.product_id).subquery("sold_products")


def _listings(pair: Any) -> Sequence[ColumnElement[int]]:
    """How many `listings` were live in the period, and how many of them `sold`."""
    return (
        func.count().filter(pair.is_listed).label("listings"),
        func.count().filter(pair.is_listed, pair.is_kept).label("sold"),
    )


async def sell_through(
    session: AsyncSession, scope: Scope, *, least_first: bool = False, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """How much of what each store listed was sold (动销率), the most first or the least; `after` is (bps, store_id).

    Rows of (store, tier, listings, sold, bps): of the listings live at some time of the period, in a store that was
    open, those with a sale that was not wholly refunded; bps are basis points, floored.
    """
    query, keys = selling(scope, least_first=least_first)
    return (await session.execute(page(query, *keys, after=after, limit=limit))).all()


def selling(scope: Scope, *, least_first: bool = False) -> tuple[Select[*tuple[Any, ...]], Sequence[SortKey]]:
    """All the rows of `sell_through`, and what they are sorted by."""
    pair = pairs(scope).c
    listed = select(pair.store_id, *_listings(pair)).where(pair.is_listed).group_by(pair.store_id).subquery("listed")
    bps = 10_000 * listed.c.sold // listed.c.listings
    query: Select[*tuple[Any, ...]] = (
        select(STORE, TIER, listed.c.listings, listed.c.sold, bps.label("bps"))
        .select_from(listed)
        .join(Store, Store.id == listed.c.store_id)
        .join(Distributor, Distributor.id == Store.distributor_id)
        .join(Tier, Tier.id == Distributor.tier_id)
    )
    return query, ((bps, "up" if least_first else "down"), (listed.c.store_id, "up"))


def listed_and_sold(scope: Scope) -> Select[*tuple[Any, ...]]:
    """One row (listings, sold): of all the stores of `sell_through` together; the others are those of `never_sold`."""
    return select(*_listings(pairs(scope).c))


async def never_sold(
    session: AsyncSession, scope: Scope, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Listings live in the period without a sale in it that was kept, the longest listed first.

    Rows of (store, product, listed_at, removed_at, at): `removed_at` is None while it is listed, `at` is `listed_at` in
    microseconds since 1970; `after` is an (at, store_id, product_id).
    """
    query, keys = unsold(scope)
    return (await session.execute(page(query, *keys, after=after, limit=limit))).all()


def unsold(scope: Scope) -> tuple[Select[*tuple[Any, ...]], Sequence[SortKey]]:
    """All the rows of `never_sold`, and what they are sorted by."""
    silent = pairs(scope, with_since=True)
    it = silent.c
    at: ColumnElement[int] = cast(extract("epoch", it.listed_at) * 1_000_000, BigInteger)
    query: Select[*tuple[Any, ...]] = (
        select(STORE, PRODUCT, it.listed_at, it.removed_at, at.label("at"))
        .select_from(silent)
        .join(Store, Store.id == it.store_id)
        .join(Product, Product.id == it.product_id)
        .where(it.is_listed, ~it.is_kept)
    )
    return query, ((at, "up"), (it.store_id, "up"), (it.product_id, "up"))


async def stores_without_sales(
    session: AsyncSession, brand_id: int, *, start: date, end: date, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Open stores that list a brand since before `end` and sold none of it in [start, end); `after` is a (store_id,).

    Rows of (store, listings, listed_since): how many listed products of the brand, and since when the oldest. A refund
    of an earlier sale is no sale.
    """
    listed = (
        select(Listing.store_id, Listing.listed_at)
        .join(Product, Product.id == Listing.product_id)
        .where(Product.brand_id == brand_id, Product.state == "listed", Listing.listed_at < midnight(end))
    )
    sold = select(DailyBrand.store_id, null()).where(
        DailyBrand.brand_id == brand_id, DailyBrand.day >= start, DailyBrand.day < end, DailyBrand.orders > 0
    )
    # Counted side by side. As two sets with an anti join between them, the planner takes a page for so easily filled
    # that it compares all stores with all stores.
    either = union_all(listed, sold).subquery()
    silent = (
        select(
            either.c.store_id,
            func.count(either.c.listed_at).label("listings"),
            func.min(either.c.listed_at).label("listed_since"),
        )
        .group_by(either.c.store_id)
        .having(func.count() == func.count(either.c.listed_at))
        .subquery()
    )
    query: Select[*tuple[Any, ...]] = (
        select(STORE, silent.c.listings, silent.c.listed_since)
        .join(silent, silent.c.store_id == Store.id)
        .where(Store.state == "open")
    )
    return (await session.execute(page(query, (silent.c.store_id, "up"), after=after, limit=limit))).all()
