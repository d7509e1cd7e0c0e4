"""The shelf of a store: how its owner chooses, prices, words and orders what it shows (选品)."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow
from s2b2c.errors import (
    AlreadyTaken,
    BadArgument,
    BreaksBrandRules,
    NotFound,
    NotSelectable,
    PriceBound,
    PriceOutOfBand,
    Refusal,
    Refused,
    WrongState,
)
from s2b2c.money import format_yuan
from s2b2c.sql import statements

MAX_PITCH_LENGTH = 2000
MAX_REGIONS = 50
MAX_REGION_LENGTH = 200


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
    regions: list[str]
    segments: list[str]
    listed_at: datetime
    disclosure: str | None
    product: ListedProduct


class Choice(NamedTuple):
    """A product for a store; without a price the suggested one, as far as the band allows it.

    Where there are regions or segments, only customers there, or of one of these kinds, are shown it.
    """

    product_id: int
    price: int | None = None
    pitch: str = ""
    regions: Sequence[str] = ()
    segments: Sequence[str] = ()


class Change(NamedTuple):
    """What shall be different about a listing; None leaves it as it is."""

    product_id: int
    price: int | None = None
    pitch: str | None = None
    pinned: bool | None = None
    regions: Sequence[str] | None = None
    segments: Sequence[str] | None = None


async def select_products(
    session: AsyncSession,
    store_id: int,
    choices: Sequence[Choice],
    *,
    distributor_id: int,
    account_id: int | None,
    now: datetime,
) -> list[OwnListing | Refusal]:
    """Put products behind the others in a store, all that can be: for each choice its listing, or why not.

    Raises Refused(NotFound) when the store is not of this distributor, Refused(WrongState) when the store is closed or
    its owner may not sell, Refused(BadArgument) for a pitch or a region that cannot be stored.
    """
    products = [choice.product_id for choice in choices]
    words = {
        "pitches": [_pitch(choice.pitch) for choice in choices],
        "regions": [_regions(choice.regions) for choice in choices],
        "segments": [_segments(choice.segments) for choice in choices],
    }
    store = await lock_shelf(session, store_id, distributor_id, products)
    rows = await session.execute(
        statements("stores")["select_products"],
        {
            "store_id": store_id,
            "tier_rank": store.tier_rank,
            "account_id": account_id,
            "now": now,
            "product_ids": products,
            "prices": [choice.price for choice in choices],
            **words,
        },
    )
    return [_judged(row) for row in rows]


async def update_listings(
    session: AsyncSession,
    store_id: int,
    changes: Sequence[Change],
    *,
    distributor_id: int,
    account_id: int | None,
    now: datetime,
) -> list[OwnListing | Refusal]:
    """Change price, words, pins and visibility of listings, all that can be: for each change the listing, or why not.

    What each was stays on record. Raises as `select_products`, and Refused(BadArgument) when a product is named twice.
    """
    products = [change.product_id for change in changes]
    if len(set(products)) < len(products):
        raise Refused(BadArgument("A product is named twice: send each listing once, with all that changes."))
    words = {
        "pitches": [None if change.pitch is None else _pitch(change.pitch) for change in changes],
        "regions": [None if change.regions is None else _regions(change.regions) for change in changes],
        "segments": [None if change.segments is None else _segments(change.segments) for change in changes],
    }
    store = await lock_shelf(session, store_id, distributor_id, products)
    rows = await session.execute(
        statements("stores")["update_listings"],
        {
            "store_id": store_id,
            "tier_rank": store.tier_rank,
            "account_id": account_id,
            "now": now,
            "product_ids": products,
            "prices": [change.price for change in changes],
            "pins": [change.pinned for change in changes],
            **words,
        },
    )
    return [_judged(row) for row in rows]


async def remove_listings(
    session: AsyncSession,
    store_id: int,
    product_ids: Sequence[int],
    *,
    distributor_id: int,
    account_id: int | None,
    now: datetime,
) -> list[int | Refusal]:
    """Take products out of a store: for each its id, or why not. What they were stays on record.

    Raises as `select_products`.
    """
    await lock_shelf(session, store_id, distributor_id, [])
    removed = set(
        await session.scalars(
            statements("stores")["remove_listings"],
            {"store_id": store_id, "product_ids": list(product_ids), "account_id": account_id, "now": now},
        )
    )
    return [product_id if product_id in removed else _not_shown() for product_id in product_ids]


async def reorder_listings(
    session: AsyncSession,
    store_id: int,
    product_ids: Sequence[int],
    *,
    behind: int | None,
    distributor_id: int,
    account_id: int | None,
    now: datetime,
) -> AnyRow:
    """Put listings in this order right behind the one of the product `behind`, or before all others.

    Where each listing stood stays on record. Returns the store. Raises as `select_products`, Refused(NotFound) when the
    store does not show one of them, and Refused(BadArgument) when a product is named twice.
    """
    if len({*product_ids, behind}) < len(product_ids) + 1:
        raise Refused(BadArgument("A product is named twice: send each once, and put them behind another one."))
    store = await lock_shelf(session, store_id, distributor_id, [])
    found, anchored = (
        await session.execute(
            statements("stores")["reorder_listings"],
            {
                "store_id": store_id,
                "product_ids": list(product_ids),
                "after": behind,
                "account_id": account_id,
                "now": now,
            },
        )
    ).one()
    if found < len(product_ids) or not anchored:
        raise Refused(_not_shown())
    return store


async def lock_shelf(session: AsyncSession, store_id: int, distributor_id: int, product_ids: list[int]) -> AnyRow:
    store = (
        await session.execute(
            statements("stores")["lock_shelf"].columns(persona=JSONB, blocks=JSONB, opening_hours=JSONB),
            {"store_id": store_id, "distributor_id": distributor_id, "product_ids": product_ids},
        )
    ).one_or_none()
    if store is None:
        raise Refused(NotFound("You have no such store: read your stores again."))
    if store.state != "open":
        raise Refused(WrongState("The store is closed: it cannot be changed."))
    check_may_change(store.owner_state)
    return store


def check_may_change(state: str) -> None:
    """Raises Refused(WrongState) for a distributor in this state."""
    if state not in {"active", "watch"}:
        raise Refused(WrongState(f"You are {state}: only active distributors may change their stores."))


def _pitch(text: str) -> str:
    if len(text) > MAX_PITCH_LENGTH:
        raise Refused(BadArgument(f"A pitch has {len(text)} characters; at most {MAX_PITCH_LENGTH} are kept."))
    if not text.replace("\n", "").isprintable():
        raise Refused(BadArgument("A pitch holds a character that cannot be printed: send plain text."))
    return text


def _regions(names: Sequence[str]) -> str:
    """As JSON: PostgreSQL unnests no arrays of arrays."""
    names = list(dict.fromkeys(names))
    if len(names) > MAX_REGIONS:
        raise Refused(BadArgument(f"A listing is limited to {len(names)} regions; at most {MAX_REGIONS} are kept."))
    for name in names:
        if not 0 < len(name.strip()) <= len(name) <= MAX_REGION_LENGTH or not name.isprintable():
            raise Refused(
                BadArgument(
                    f"{name[:40]!r} is no region: send 1 to {MAX_REGION_LENGTH} characters that can be printed."
                )
            )
    return json.dumps(names)


def _segments(names: Sequence[str]) -> str:
    return json.dumps(list(dict.fromkeys(names)))


def _judged(row: Any) -> OwnListing | Refusal:
    match row.refusal:
        case "no product":
            return NotFound("There is no such product: search the catalogue again.")
        case "not shown":
            return _not_shown()
        case "taken":
            return AlreadyTaken("The store shows this product already: change its listing instead.")
        case "not listed":
            return NotSelectable("The brand does not offer this product now: choose another one.", "not_listed")
        case "not selectable":
            return _not_selectable(row)
        case "out of band":
            return _out_of_band(row)
        case "banned word":
            message = f"The brand bans the word {row.banned_word!r} in the words of a store: say it without."
            return BreaksBrandRules(message, "banned_word", row.banned_word)
        case "no disclosure":
            message = f"Own words about this product must hold this text of its brand, word for word: {row.demanded}"
            return BreaksBrandRules(message, "disclosure", row.demanded)
    return OwnListing(
        row.store_id,
        row.product_id,
        row.price,
        row.position,
        row.pitch,
        row.pinned,
        row.regions,
        row.segments,
        row.listed_at,
        row.disclosure,
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


def _not_selectable(row: Any) -> NotSelectable:
    if not row.variants:
        return NotSelectable("Nothing of this product is sold yet: choose another one.", "nothing_to_sell")
    if row.lacks_cost:
        return NotSelectable(
            "The brand has set no cost (拿货价) for your tier: only other tiers can sell this product.",
            "no_cost_for_your_tier",
        )
    return NotSelectable(
        "No price fits the bands of all its variants and what they cost you: ask the brand to move them.",
        "no_price_fits",
    )


def _out_of_band(row: Any) -> PriceOutOfBand:
    band = f"{format_yuan(row.lowest_price)} to {format_yuan(row.highest_price)} yuan"
    bound: PriceBound = "band"
    if row.asked_price < row.lowest_price:
        if row.tier_cost == row.lowest_price:
            bound = "cost"
        elif row.min_price < row.lowest_price:
            bound = "floor"
    return PriceOutOfBand(f"The price must lie in {band}{_BOUNDS[bound]}.", row.lowest_price, row.highest_price, bound)


_BOUNDS: Mapping[PriceBound, str] = {
    "band": "",
    "cost": ": it costs you no less",
    "floor": ": the brand lets no store ask less",
}


def _not_shown() -> NotFound:
    return NotFound("The store does not show this product: read its listings again.")
