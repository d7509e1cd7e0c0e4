"""What a distributor may choose for its stores (选品)."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.catalogue import words
from s2b2c.config import SHANGHAI
from s2b2c.db import MAX_INT64, AnyRow
from s2b2c.errors import BadArgument, Refused
from s2b2c.sql import statements

NEW_DAYS = 30


class BrandName(NamedTuple):
    id: int
    name: str


class OnOffer(NamedTuple):
    """A product that a distributor may choose; prices in fen hold for every variant.

    Stores like mine are the open ones of active distributors of the same tier and region (同组), as they were counted
    last: how many list it, and the units they sold in 30 days.
    """

    id: int
    title: str
    category: str
    tonalities: list[str]
    audiences: list[str]
    image_url: str | None
    brand: BrandName
    lowest_price: int
    highest_price: int
    suggested_price: int
    price_tier: str
    stores_like_mine: int
    units_like_mine: int
    in_my_stores: int
    key: tuple[int, int]
    """Where it stands in its list: what `after` takes."""


class Wanted(NamedTuple):
    """What a search of the catalogue asks for; None asks for nothing.

    Prices, in fen, and `margin_from_bps`, the part of a price that is left over the distributor's own cost, are of the
    brand's suggested price.
    """

    search: str | None = None
    brand_id: int | None = None
    category: str | None = None
    tags: Sequence[str] = ()
    price_tier: str | None = None
    price_from: int | None = None
    price_to: int | None = None
    margin_from_bps: int | None = None
    in_stock: bool = False
    is_new: bool = False
    """Listed in the last 30 days."""
    sells_like_mine: bool = False
    """Sold in the last 30 days by stores like mine."""


Sort = Literal["newest", "price up", "price down", "best selling"]


async def on_offer(
    session: AsyncSession,
    distributor_id: int,
    wanted: Wanted,
    *,
    now: datetime,
    sort: Sort,
    after: tuple[int, ...] | None,
    limit: int,
) -> list[OnOffer]:
    """What a distributor may choose for its stores: listed products that some price fits for its tier.

    `after` is the `key` of a row. Of the newest those with all words in their titles come first, then those with all
    characters anywhere; where nothing matches, what differs by one character. Raises Refused(BadArgument).
    """
    asked = _asked(wanted, now)
    if asked is None:
        return []
    value, product_id = after or _BEFORE_ALL[sort]
    parameters: dict[str, Any] = {
        "distributor_id": distributor_id,
        "margin_steps": None if wanted.margin_from_bps is None else words.margin_steps(wanted.margin_from_bps),
        "margin_from_bps": wanted.margin_from_bps,
        "price_from": wanted.price_from,
        "price_to": wanted.price_to,
        "listed_since": now - timedelta(NEW_DAYS) if wanted.is_new else None,
        "in_stock": wanted.in_stock,
        "selling": wanted.sells_like_mine,
        "after_id": product_id,
        "limit": limit,
    }
    has_terms = asked.anywhere is not None or wanted.margin_from_bps is not None
    match sort:
        case "newest" if not has_terms:
            block = "newest"
        case "newest":
            block = "matching"
            parameters |= {"queries": asked.best, "near": asked.near, "after_place": value}
        case "best selling":
            block = "best_selling"
            parameters |= {"query": asked.anywhere, "after_price": value}
        case _ if not has_terms:
            block = "cheapest" if sort == "price up" else "dearest"
            parameters |= {"after_price": value}
        case _:
            block = "matching_by_price"
            steps = words.price_marks(wanted.price_from, wanted.price_to)
            parameters |= {
                "query": asked.anywhere,
                "near": asked.near,
                "way": 1 if sort == "price up" else -1,
                "steps": steps if sort == "price up" else steps[::-1],
                "after_price": value,
                "after_place": 1,
            }
    rows = await session.execute(statements("selecting")[block], parameters)
    return [_row(row, row.place if sort == "newest" else row.price) for row in rows]


async def one_on_offer(session: AsyncSession, distributor_id: int, product_id: int) -> OnOffer | None:
    """A row like those of `on_offer`; None where the distributor cannot choose the product."""
    parameters = {"distributor_id": distributor_id, "product_id": product_id, "margin_steps": None}
    row = (await session.execute(statements("selecting")["one"], parameters)).one_or_none()
    return None if row is None else _row(row, 0)


_BEFORE_ALL: dict[Sort, tuple[int, ...]] = {
    "newest": (1, MAX_INT64),
    "price up": (-1, 0),
    "price down": (MAX_INT64, MAX_INT64),
    "best selling": (MAX_INT64, MAX_INT64),
}
_FEW_STEPS = 24
"""So many marks of prices are looked up at once; a wider span of prices is no help in finding products."""


class _Asked(NamedTuple):
    """Texts of tsqueries; None for what any product matches."""

    best: list[str | None]
    """One after the other."""
    anywhere: str | None
    near: str | None


def _asked(wanted: Wanted, now: datetime) -> _Asked | None:
    """None for what no product matches. Raises Refused(BadArgument)."""
    searched = wanted.search or ""
    if not all(map(_is_text, (searched, wanted.category or "", *wanted.tags))):
        return None
    if len(searched) > words.MAX_SEARCH_LENGTH:
        raise Refused(
            BadArgument(f"search has {len(searched)} characters; at most {words.MAX_SEARCH_LENGTH} are read.")
        )
    marks = list(_marks(wanted, now))
    if not searched.strip():
        return _Asked([words.all_of(marks)], words.all_of(marks), None)
    search = words.search(searched)
    if search is None:
        return None
    return _Asked(
        [words.all_of([search.titled, *marks]), words.all_of([search.anywhere, f"!({search.titled})", *marks])],
        words.all_of([search.anywhere, *marks]),
        search.near and words.all_of([search.near, *marks]),
    )


def _marks(wanted: Wanted, now: datetime) -> Iterator[str]:
    if wanted.brand_id is not None:
        yield words.any_of([words.brand_mark(wanted.brand_id)])
    if wanted.category is not None:
        yield words.any_of([words.category_mark(wanted.category)])
    for tag in wanted.tags:
        yield words.any_of([words.tag_mark(tag)])
    if wanted.price_tier is not None:
        yield words.any_of([words.price_tier_mark(wanted.price_tier)])
    if wanted.is_new:
        today = now.astimezone(SHANGHAI).date()
        yield words.any_of(words.week_marks(today - timedelta(NEW_DAYS), today))
    if wanted.price_from is not None or wanted.price_to is not None:
        steps = words.price_marks(wanted.price_from, wanted.price_to)
        if len(steps) <= _FEW_STEPS:
            yield words.any_of(steps)


def _is_text(text: str) -> bool:
    """No text in PostgreSQL holds a NUL or half a surrogate pair."""
    return all(letter.isprintable() or letter.isspace() for letter in text)


def _row(row: AnyRow, place: int) -> OnOffer:
    return OnOffer(
        row.id,
        row.title,
        row.category,
        row.tonalities,
        row.audiences,
        row.image_url,
        BrandName(row.brand_id, row.brand),
        row.lowest_price,
        row.highest_price,
        row.suggested_price,
        words.price_tier(row.suggested_price),
        row.stores_like_mine,
        row.units_like_mine,
        row.in_my_stores,
        (place, row.id),
    )
