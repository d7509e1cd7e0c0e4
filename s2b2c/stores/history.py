"""What a store showed on a day, what became of each listing, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, case, func, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, page
from s2b2c.models import Brand, Listing, ListingHistory, Product
from s2b2c.sql import statements


async def listings_at(
    session: AsyncSession, store_id: int, at: datetime, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """The shelf of a store as it was at `at`, in its order then; `after` is `past_shelf_key` of a row.

    Rows of (product_id, since, until, price in fen, position, pitch, pinned, regions, segments, why, account_id,
    product): what each listing was from `since` up to `until`, which is None where it still is. Product and brand are
    named as they are called now.
    """
    shelf = union_all(_now(store_id, at), _before(store_id, at)).subquery("shelf")
    query: Select[*tuple[Any, ...]] = (
        select(
            *shelf.c,
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
        .join(Product, Product.id == shelf.c.product_id)
        .join(Brand, Brand.id == Product.brand_id)
    )
    order = page(
        query,
        (case((shelf.c.pinned, 0), else_=1), "up"),
        (shelf.c.position, "up"),
        (shelf.c.product_id, "up"),
        after=after,
        limit=limit,
    )
    return (await session.execute(order)).all()


def past_shelf_key(row: Any) -> tuple[int, int, int]:
    return (0 if row.pinned else 1, row.position, row.product_id)


_SAME = ("price", "position", "pitch", "pinned", "regions", "segments", "why", "account_id")


def _now(store_id: int, at: datetime) -> Select[*tuple[Any, ...]]:
    since = func.coalesce(Listing.changed_at, Listing.listed_at)
    return select(
        Listing.product_id,
        since.label("since"),
        null().label("until"),
        *(getattr(Listing, name) for name in _SAME),
    ).where(Listing.store_id == store_id, since <= at)


def _before(store_id: int, at: datetime) -> Select[*tuple[Any, ...]]:
    return select(
        ListingHistory.product_id,
        ListingHistory.since,
        ListingHistory.until,
        *(getattr(ListingHistory, name) for name in _SAME),
    ).where(ListingHistory.store_id == store_id, ListingHistory.until > at, ListingHistory.since <= at)


class LifePage(NamedTuple):
    """Which versions of a listing: `limit` of them before the one whose key is `after`, or the newest."""

    store_id: int
    product_id: int
    after: int | None
    limit: int


async def listing_versions(session: AsyncSession, pages: Sequence[LifePage]) -> list[list[AnyRow]]:
    """For each page what the listing was, newest first, as it still is among them; `key` of a row is its place.

    Rows of (since, until, price in fen, position, pitch, pinned, regions, segments, why, account_id, end_reason,
    ended_by, key). `end_reason` says why it left the store at `until`, where it did.
    """
    found: list[list[AnyRow]] = [[] for _ in pages]
    rows = await session.execute(
        statements("stores")["lives"],
        {
            "store_ids": [it.store_id for it in pages],
            "product_ids": [it.product_id for it in pages],
            "afters": [it.after for it in pages],
            "limits": [it.limit for it in pages],
        },
    )
    for row in rows:
        found[row.n - 1].append(row)
    return found
