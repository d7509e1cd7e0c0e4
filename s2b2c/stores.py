"""Storefronts: what a store shows, and how its owner chooses it."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, and_, case, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, SortKey, page
from s2b2c.errors import (
    AlreadyTaken,
    BadArgument,
    NotFound,
    NotSelectable,
    PriceOutOfBand,
    Refusal,
    Refused,
    WrongState,
)
from s2b2c.models import Brand, Distributor, Listing, Price, Product, Store, Tier, Variant
from s2b2c.money import format_yuan
from s2b2c.sql import statements

MAX_PITCH_LENGTH = 2000

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


async def listings(
    session: AsyncSession, store_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What customers see of a store in the owner's order; `after` is `shelf_key` of a row.

    Rows of (store_id, product_id, price in fen, position, pitch, pinned, listed_at, product), a product with its brand.
    """
    query = _shelf(store_id).where(*_SHOWN)
    return (await session.execute(page(query, *_SHELF, after=after, limit=limit))).all()


async def listing(session: AsyncSession, store_id: int, product_id: int) -> AnyRow | None:
    """What customers see of one product in a store: a row like those of `listings`."""
    query = _shelf(store_id).where(*_SHOWN, Listing.product_id == product_id)
    return (await session.execute(query)).one_or_none()


async def own_listings(
    session: AsyncSession, store_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """All listings of a store, shown to customers or not, else as `listings`."""
    return (await session.execute(page(_shelf(store_id), *_SHELF, after=after, limit=limit))).all()


def shelf_key(row: Any) -> tuple[int, int]:
    return (0 if row.pinned else 1, row.position)


_SHOWN = (Store.state == "open", Product.state == "listed")


def _shelf(store_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Listing.store_id,
            Listing.product_id,
            Listing.price,
            Listing.position,
            Listing.pitch,
            Listing.pinned,
            Listing.listed_at,
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
        .where(Listing.store_id == store_id)
    )


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


class BrandName(NamedTuple):
    id: int
    name: str


class ListedProduct(NamedTuple):
    id: int
    title: str
    category: str
    tonalities: list[str]
    audiences: list[str]
    image_url: str | None
    state: str
    brand: BrandName


class OwnListing(NamedTuple):
    """A listing as its owner has just changed it."""

    store_id: int
    product_id: int
    price: int
    position: int
    pitch: str
    pinned: bool
    listed_at: datetime
    product: ListedProduct


class Choice(NamedTuple):
    """A product for a store; without a price the suggested one, as far as the band allows it."""

    product_id: int
    price: int | None = None
    pitch: str = ""


class Change(NamedTuple):
    """What shall be different about a listing; None leaves it as it is."""

    product_id: int
    price: int | None = None
    pitch: str | None = None
    pinned: bool | None = None


async def select_products(
    session: AsyncSession, store_id: int, choices: Sequence[Choice], *, distributor_id: int, now: datetime
) -> list[OwnListing | Refusal]:
    """Put products behind the others in a store, all that can be: for each choice its listing, or why not.

    Raises Refused(NotFound) when the store is not of this distributor, Refused(WrongState) when the store is closed or
    its owner may not sell, Refused(BadArgument) for a pitch that cannot be stored.
    """
    products = [choice.product_id for choice in choices]
    pitches = [_pitch(choice.pitch) for choice in choices]
    store = await _lock_shelf(session, store_id, distributor_id, products)
    rows = await session.execute(
        statements("stores")["select_products"],
        {
            "store_id": store_id,
            "tier_rank": store.tier_rank,
            "now": now,
            "product_ids": products,
            "prices": [choice.price for choice in choices],
            "pitches": pitches,
        },
    )
    return [_judged(row) for row in rows]


async def update_listings(
    session: AsyncSession, store_id: int, changes: Sequence[Change], *, distributor_id: int
) -> list[OwnListing | Refusal]:
    """Change price, words and pins of listings, all that can be: for each change the listing, or why not.

    Raises as `select_products`, and Refused(BadArgument) when a product is named twice.
    """
    products = [change.product_id for change in changes]
    if len(set(products)) < len(products):
        raise Refused(BadArgument("A product is named twice: send each listing once, with all that changes."))
    pitches = [None if change.pitch is None else _pitch(change.pitch) for change in changes]
    store = await _lock_shelf(session, store_id, distributor_id, products)
    rows = await session.execute(
        statements("stores")["update_listings"],
        {
            "store_id": store_id,
            "tier_rank": store.tier_rank,
            "product_ids": products,
            "prices": [change.price for change in changes],
            "pitches": pitches,
            "pins": [change.pinned for change in changes],
        },
    )
    return [_judged(row) for row in rows]


async def remove_listings(
    session: AsyncSession, store_id: int, product_ids: Sequence[int], *, distributor_id: int
) -> list[int | Refusal]:
    """Take products out of a store: for each its id, or why not. Raises as `select_products`."""
    await _lock_shelf(session, store_id, distributor_id, [])
    removed = set(
        await session.scalars(
            statements("stores")["remove_listings"], {"store_id": store_id, "product_ids": list(product_ids)}
        )
    )
    return [product_id if product_id in removed else _not_shown() for product_id in product_ids]


async def reorder_listings(
    session: AsyncSession, store_id: int, product_ids: Sequence[int], *, behind: int | None, distributor_id: int
) -> AnyRow:
    """Put listings in this order right behind the one of the product `behind`, or before all others.

    Returns the store. Raises as `select_products`, Refused(NotFound) when the store does not show one of them, and
    Refused(BadArgument) when a product is named twice.
    """
    if len({*product_ids, behind}) < len(product_ids) + 1:
        raise Refused(BadArgument("A product is named twice: send each once, and put them behind another one."))
    store = await _lock_shelf(session, store_id, distributor_id, [])
    found, anchored = (
        await session.execute(
            statements("stores")["reorder_listings"],
            {"store_id": store_id, "product_ids": list(product_ids), "after": behind},
        )
    ).one()
    if found < len(product_ids) or not anchored:
        raise Refused(_not_shown())
    return store


async def _lock_shelf(session: AsyncSession, store_id: int, distributor_id: int, product_ids: list[int]) -> AnyRow:
    store = (
        await session.execute(
            statements("stores")["lock_shelf"],
            {"store_id": store_id, "distributor_id": distributor_id, "product_ids": product_ids},
        )
    ).one_or_none()
    if store is None:
        raise Refused(NotFound("You have no such store: read your stores again."))
    if store.state != "open":
        raise Refused(WrongState("The store is closed: it cannot be changed."))
    if store.owner_state not in {"active", "watch"}:
        raise Refused(WrongState(f"You are {store.owner_state}: only active distributors may change their stores."))
    return store


def _pitch(text: str) -> str:
    if len(text) > MAX_PITCH_LENGTH:
        raise Refused(BadArgument(f"A pitch has {len(text)} characters; at most {MAX_PITCH_LENGTH} are kept."))
    if not text.replace("\n", "").isprintable():
        raise Refused(BadArgument("A pitch holds a character that cannot be printed: send plain text."))
    return text


def _judged(row: Any) -> OwnListing | Refusal:
    match row.refusal:
        case "no product":
            return NotFound("There is no such product: search the catalogue again.")
        case "not shown":
            return _not_shown()
        case "taken":
            return AlreadyTaken("The store shows this product already: change its listing instead.")
        case "not selectable":
            return NotSelectable("The product is not on offer, or has no price that fits your tier.")
        case "out of band":
            band = f"{format_yuan(row.lowest_price)} to {format_yuan(row.highest_price)} yuan"
            return PriceOutOfBand(f"The price must lie in {band}.", row.lowest_price, row.highest_price)
    return OwnListing(
        row.store_id,
        row.product_id,
        row.price,
        row.position,
        row.pitch,
        row.pinned,
        row.listed_at,
        ListedProduct(
            row.product_id,
            row.title,
            row.category,
            row.tonalities,
            row.audiences,
            row.image_url,
            row.product_state,
            BrandName(row.brand_id, row.brand),
        ),
    )


def _not_shown() -> NotFound:
    return NotFound("The store does not show this product: read its listings again.")
