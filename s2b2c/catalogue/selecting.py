"""What a distributor may choose for its stores (选品)."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    cast,
    column,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, SortKey, page
from s2b2c.models import Brand, Distributor, Listing, Product, Store, Tier


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
