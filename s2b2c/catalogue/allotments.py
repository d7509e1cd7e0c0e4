"""Stock that a brand sets aside for regions and for stores."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.models import Product, Variant
from s2b2c.sql import statements

MAX_QUANTITY = 1_000_000_000
MAX_REGION_LENGTH = 200


class Aside(NamedTuple):
    """Units of a variant for a region or for one store (one of the two is None); 0 units: nothing any more."""

    variant_id: int
    store_id: int | None
    region: str | None
    quantity: int


class Allotment(NamedTuple):
    """What is left of units that are set aside, and for whom: a row of (id, slug, title, region), or a region."""

    id: int
    store: "NamedStore | None"
    region: str | None
    quantity: int
    updated_at: datetime


class NamedStore(NamedTuple):
    id: int
    slug: str
    title: str
    region: str


async def set_allotments(
    session: AsyncSession, brand_id: int, wanted: Sequence[Aside], *, account_id: int, now: datetime
) -> list[int]:
    """Say of which units of a brand's variants how many are set aside from now on, all of it or nothing.

    A number is what is left of it then, whatever was sold before; the same number again changes nothing. What comes
    back of an order that was placed before a number changed is free. Returns the products of the variants.

    Raises Refused: BadArgument for what can never be right and for a region that nobody is in, NotFound for a variant
    that is not the brand's and a store that is not open, WrongState where more would be set aside than there is. To
    take away what there is, 0 units, its store may be closed and its region empty.
    """
    _check(wanted)
    variant_ids = sorted({it.variant_id for it in wanted})
    own = select(Variant.product_id).where(Variant.id.in_(variant_ids), Variant.brand_id == brand_id)
    product_ids = await session.scalars(
        select(Product.id).where(Product.id.in_(own)).order_by(Product.id).with_for_update(read=True)
    )
    products = list(product_ids)
    await session.execute(
        select(Variant.id)
        .where(Variant.id.in_(variant_ids), Variant.brand_id == brand_id)
        .order_by(Variant.id)
        .with_for_update(key_share=True)
    )
    refused = await session.execute(
        statements("allotments")["set"],
        {
            "brand_id": brand_id,
            "variant_ids": [it.variant_id for it in wanted],
            "store_ids": [it.store_id for it in wanted],
            "regions": [it.region for it in wanted],
            "quantities": [it.quantity for it in wanted],
            "account_id": account_id,
            "now": now,
        },
    )
    if wrong := refused.first():
        raise Refused(_refusal(wrong, wanted[wrong.n - 1]))
    return products


def _check(wanted: Sequence[Aside]) -> None:
    """Raises Refused(BadArgument) for what can never be right."""
    for number, it in enumerate(wanted, start=1):
        where = f"Allotment {number}"
        if (it.store_id is None) == (it.region is None):
            raise Refused(BadArgument(f"{where}: name a region or a store, one of the two."))
        if not 0 <= it.quantity <= MAX_QUANTITY:
            raise Refused(BadArgument(f"{where}: {it.quantity} units; it is 0 to {MAX_QUANTITY}."))
        if it.region is not None and not (1 <= len(it.region) <= MAX_REGION_LENGTH and it.region.isprintable()):
            raise Refused(BadArgument(f"{where}: a region is 1 to {MAX_REGION_LENGTH} printable characters."))
    if len({it[:3] for it in wanted}) < len(wanted):
        raise Refused(BadArgument("A variant is set aside twice for the same region or store: say it once."))


def _refusal(row: AnyRow, asked: Aside) -> Refusal:
    where = f"Allotment {row.n}"
    if row.refusal == "no variant":
        return NotFound(f"{where}: there is no such variant of yours.")
    if row.refusal == "no store":
        return NotFound(f"{where}, SKU {row.sku}: there is no such open store.")
    if row.refusal == "no region":
        return BadArgument(f"{where}, SKU {row.sku}: no store and no distributor is in the region {asked.region}.")
    return WrongState(
        f"{where}, SKU {row.sku}: {row.wanted} units would be set aside, and {row.stock} are left. Set fewer aside."
    )


class AllotmentsPage(NamedTuple):
    """Some of what is set aside of a variant; `after` is an id, 0 before the first."""

    variant_id: int
    after: int
    limit: int


async def allotments(session: AsyncSession, pages: Sequence[AllotmentsPage]) -> list[list[Allotment]]:
    """For each page what is set aside, by id: the number that was changed last comes last.

    Whoever asks has made sure whose the variants are.
    """
    rows = await session.execute(
        statements("allotments")["of_variants"],
        {
            "variant_ids": [it.variant_id for it in pages],
            "afters": [it.after for it in pages],
            "limits": [it.limit for it in pages],
        },
    )
    found: list[list[Allotment]] = [[] for _ in pages]
    for row in rows:
        store = None if row.store_id is None else NamedStore(row.store_id, row.slug, row.title, row.store_region)
        found[row.n - 1].append(Allotment(row.id, store, row.region, row.quantity, row.updated_at))
    return found
