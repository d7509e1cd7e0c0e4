"""The shelf of a store: how its owner chooses, prices, words and orders what it shows (选品)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow
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
from s2b2c.money import format_yuan
from s2b2c.sql import statements

MAX_PITCH_LENGTH = 2000


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
