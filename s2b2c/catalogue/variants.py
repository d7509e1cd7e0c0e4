"""Variants with their first prices, and their stock."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.catalogue.fitting import fit_listings
from s2b2c.catalogue.locking import lock_product
from s2b2c.catalogue.prices import check_prices
from s2b2c.errors import AlreadyTaken, BadArgument, NotFound, Refusal, Refused, WrongState, check_line
from s2b2c.models import Brand
from s2b2c.sql import statements

MAX_STOCK = 10**9
_MAX_OPTIONS = 10
_MAX_OPTION_LENGTH = 80
_SKUS_TOLD = 20


class NewVariant(NamedTuple):
    """A variant to be made. Prices are fen of one unit, `tier_costs` by tier_id."""

    sku: str
    options: Mapping[str, str]
    stock: int
    supply_price: int
    suggested_price: int
    min_price: int
    max_price: int
    tier_costs: Mapping[int, int]


class StockChange(NamedTuple):
    """Either `stock`, the units that can be sold from now on, or `add`, units that come (or, below 0, go).

    With `seen` the change holds for that number of units alone: what was sold since it was read is not brought back.
    """

    variant_id: int
    stock: int | None
    add: int | None
    seen: int | None


class StockLevel(NamedTuple):
    id: int
    sku: str
    stock: int


async def add_variants(
    session: AsyncSession, product_id: int, variants: Sequence[NewVariant], *, brand_id: int, now: datetime
) -> None:
    """More variants of a product, in any state of it; they are sold at once where it is listed.

    A listing whose price does not fit them is brought back into the band, or leaves its store, and its owner is told.
    Raises Refused: NotFound for a product that is not the brand's or a tier that is not there, BadArgument,
    InvalidPrices, and AlreadyTaken for a SKU that the brand has already.
    """
    await lock_brand(session, brand_id)
    product = await lock_product(session, product_id, brand_id=brand_id)
    await insert_variants(session, product_id, variants, brand_id=brand_id)
    if product.state == "listed":
        await session.execute(text("CREATE TEMP TABLE touched (product_id bigint) ON COMMIT DROP"))
        await session.execute(text("INSERT INTO touched VALUES (:product_id)"), {"product_id": product_id})
        await fit_listings(session, now)


async def lock_brand(session: AsyncSession, brand_id: int) -> None:
    """Nobody else gives the brand products or variants until the end: two who want the same codes wait in one row."""
    await session.execute(select(Brand.id).where(Brand.id == brand_id).with_for_update(key_share=True))


async def insert_variants(
    session: AsyncSession, product_id: int, variants: Sequence[NewVariant], *, brand_id: int
) -> None:
    """Raises Refused as `add_variants`; the caller has locked the brand."""
    for variant in variants:
        _check_names(variant)
        if not 0 <= variant.stock <= MAX_STOCK:
            raise Refused(BadArgument(f"SKU {variant.sku}: stock {variant.stock} is not 0 to {MAX_STOCK} units."))
    if len({variant.sku for variant in variants}) < len(variants):
        raise Refused(BadArgument("A SKU is named twice: send each variant once."))
    costs = await check_prices(session, ((variant.sku, variant) for variant in variants))
    rows = [
        {**variant._asdict(), "n": number, "options": dict(variant.options), "tier_costs": by_rank}
        for number, (variant, by_rank) in enumerate(zip(variants, costs, strict=True))
    ]
    taken = await session.scalars(
        statements("products")["insert_variants"],
        {"product_id": product_id, "brand_id": brand_id, "variants": json.dumps(rows)},
    )
    if skus := taken.all():
        raise Refused(AlreadyTaken(f"You have these SKUs already: {', '.join(skus[:_SKUS_TOLD])}. Choose others."))


async def set_stock(
    session: AsyncSession, changes: Sequence[StockChange], *, brand_id: int
) -> list[StockLevel | Refusal]:
    """Change how many units can be sold, all that can be: for each change what is left now, or why it was not made.

    Units of orders, paid or not, are out of the stock already. Raises Refused(BadArgument) when a variant is named
    twice, or with anything but one of `stock` and `add`.
    """
    if len({change.variant_id for change in changes}) < len(changes):
        raise Refused(BadArgument("A variant is named twice: send each once."))
    for change in changes:
        if (change.stock is None) == (change.add is None):
            raise Refused(BadArgument("Send either `stock`, what is left, or `add`, what has come."))
        if not 0 <= (change.stock or 0) <= MAX_STOCK or abs(change.add or 0) > MAX_STOCK:
            raise Refused(BadArgument(f"Of a variant there are 0 to {MAX_STOCK} units."))
    rows = await session.execute(
        statements("products")["set_stock"],
        {
            "brand_id": brand_id,
            "variant_ids": [change.variant_id for change in changes],
            "stocks": [change.stock for change in changes],
            "adds": [change.add for change in changes],
            "seen": [change.seen for change in changes],
            "most": MAX_STOCK,
        },
    )
    return [_level(row) for row in rows]


def _level(row: Any) -> StockLevel | Refusal:
    match row.refusal:
        case "no variant":
            return NotFound("You supply no such variant: read your products again.")
        case "changed":
            return WrongState(f"SKU {row.sku} has {row.was} units now, not what you had seen: look again.")
        case "out of range":
            return WrongState(f"SKU {row.sku} has {row.was} units now: there are 0 to {MAX_STOCK}.")
        case "set aside":
            return WrongState(f"SKU {row.sku}: {row.stock} is below the {row.allotted} units set aside.")
    return StockLevel(row.id, row.sku, row.stock)


def _check_names(variant: NewVariant) -> None:
    check_line("sku", variant.sku, 64)
    if len(variant.options) > _MAX_OPTIONS:
        raise Refused(BadArgument(f"SKU {variant.sku}: a variant has at most {_MAX_OPTIONS} options."))
    for name, value in variant.options.items():
        check_line(f"SKU {variant.sku}: the name of an option", name, _MAX_OPTION_LENGTH)
        check_line(f"SKU {variant.sku}: the option {name}", value, _MAX_OPTION_LENGTH)
        # What files write as 口味=鸡肉;规格=1.5kg comes back in as it went out.
        if ";" in name + value or "=" in name:
            raise Refused(BadArgument(f"SKU {variant.sku}: the option {name} holds a semicolon or an equals sign."))
