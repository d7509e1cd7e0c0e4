"""Prices over time: changed at once or at a time to come, by one implementation."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import BigInteger

from s2b2c.catalogue.fitting import fit_listings
from s2b2c.catalogue.prices import check_prices
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.models import ScheduledPrice, Variant
from s2b2c.sql import statements

FURTHEST = timedelta(days=731)


class NewPrices(NamedTuple):
    """The prices of a variant in fen; a tier without a cost cannot sell it."""

    variant_id: int
    supply_price: int
    suggested_price: int
    min_price: int
    max_price: int
    tier_costs: Mapping[int, int]
    """By tier_id."""


class PricesChanged(NamedTuple):
    """The changes in the order of the request, and how many listings followed at once."""

    changes: Sequence[ScheduledPrice]
    listings: int


async def change_prices(
    session: AsyncSession,
    brand_id: int,
    changes: Sequence[NewPrices],
    *,
    starts_at: datetime | None,
    account_id: int | None,
    now: datetime,
) -> PricesChanged:
    """Give variants other prices, all or none: at once, or at `starts_at` where that is to come.

    A change that waits for the same variant and moment is replaced. Raises Refused(NotFound) for a variant that is not
    of the brand or a tier that is none, Refused(InvalidPrices) for all that can never be right, and
    Refused(BadArgument).
    """
    variant_ids = [change.variant_id for change in changes]
    if len(set(variant_ids)) < len(variant_ids):
        raise Refused(BadArgument("A variant is named twice: send all its prices once."))
    starts_at = now if starts_at is None else max(starts_at, now)
    if starts_at > now + FURTHEST:
        raise Refused(BadArgument(f"startsAt lies more than {FURTHEST.days} days ahead: choose a nearer time."))
    at_once = starts_at == now
    if at_once:
        await session.execute(statements("pricing")["lock_products"], {"variant_ids": variant_ids})
    costs = await _checked(session, brand_id, changes)
    if not at_once:
        replaced = {"variant_ids": variant_ids, "starts_at": starts_at, "now": now}
        await session.execute(statements("pricing")["replace_changes"], replaced)
    written = await session.scalars(
        statements("pricing")["write_changes"],
        {
            "at_once": at_once,
            "starts_at": starts_at,
            "now": now,
            "account_id": account_id,
            "variant_ids": variant_ids,
            "supply_prices": [change.supply_price for change in changes],
            "suggested_prices": [change.suggested_price for change in changes],
            "min_prices": [change.min_price for change in changes],
            "max_prices": [change.max_price for change in changes],
            "tier_costs": [_array(cost) for cost in costs],
        },
    )
    ids = written.all()
    listings = await _apply(session, ids, now) if at_once else 0
    return PricesChanged(await _changes(session, ids), listings)


async def cancel_price_changes(
    session: AsyncSession, brand_id: int, ids: Sequence[int], *, now: datetime
) -> Sequence[ScheduledPrice]:
    """Take back changes that wait, all or none.

    Raises Refused(NotFound) when one is not of the brand, Refused(WrongState) when one does not wait any more.
    """
    found = await session.execute(statements("pricing")["lock_changes"], {"ids": list(ids), "brand_id": brand_id})
    states = [row.state for row in found]
    if len(states) < len(set(ids)):
        raise Refused(NotFound("Not all of these are price changes of yours: read your variants again."))
    if any(state != "waiting" for state in states):
        raise Refused(WrongState("Not all of these still wait: what was applied is changed by new prices."))
    await session.execute(statements("pricing")["cancel_changes"], {"ids": list(ids), "now": now})
    return await _changes(session, ids)


async def apply_due_prices(session: AsyncSession, now: datetime, *, limit: int) -> int:
    """Apply a batch of the changes whose time has come; returns how many were handled, 0 when none is left.

    Another worker that is at it keeps this one from it. The brand of a product that is delisted is told that nothing
    was changed.
    """
    due = (await session.execute(statements("pricing")["find_due"], {"now": now, "limit": limit})).all()
    if not due:
        return 0
    await session.execute(statements("pricing")["lock_products"], {"variant_ids": [row.variant_id for row in due]})
    taken = await session.scalars(statements("pricing")["take_due"], {"ids": [row.id for row in due], "now": now})
    await _apply(session, taken.all(), now)
    return len(due)


async def _apply(session: AsyncSession, ids: Sequence[int], now: datetime) -> int:
    """Close the prices of now, open the new ones, and let the listings follow: how many did."""
    await session.execute(statements("pricing")["priced"], {"ids": list(ids)})
    await session.execute(statements("catalogue")["close_prices"], {"now": now})
    await session.execute(statements("catalogue")["open_prices"])
    await session.execute(statements("catalogue")["touch"])
    return await fit_listings(session, now)


async def _changes(session: AsyncSession, ids: Sequence[int]) -> Sequence[ScheduledPrice]:
    wanted = bindparam("ids", list(ids), ARRAY(BigInteger))
    found = await session.scalars(
        select(ScheduledPrice).where(ScheduledPrice.id == wanted.any_()).execution_options(populate_existing=True)
    )
    by_id = {change.id: change for change in found}
    return [by_id[id_] for id_ in dict.fromkeys(ids)]


async def _checked(session: AsyncSession, brand_id: int, changes: Sequence[NewPrices]) -> list[list[int | None]]:
    """The tier costs of each change by rank. Raises Refused."""
    ids = [change.variant_id for change in changes]
    found = await session.execute(
        select(Variant.id, Variant.sku).where(Variant.brand_id == brand_id, Variant.id.in_(ids))
    )
    skus = {row.id: row.sku for row in found}
    if len(skus) < len(ids):
        raise Refused(NotFound("Not all of these are variants of yours: read your products again."))
    return await check_prices(session, ((skus[change.variant_id], change) for change in changes))


def _array(costs: Sequence[int | None]) -> str:
    """As PostgreSQL writes it: it unnests no arrays of arrays."""
    return "{" + ",".join("NULL" if cost is None else str(cost) for cost in costs) + "}"


class PricesPage(NamedTuple):
    """Which prices of a variant: `limit` of them behind the one whose key is `after`, or the first."""

    variant_id: int
    after: int | None
    limit: int


async def upcoming_prices(session: AsyncSession, pages: Sequence[PricesPage]) -> list[list[Any]]:
    """What waits for each variant, the earliest first: rows of a change, and `key`, its place."""
    return await _pages(session, "upcoming", pages)


async def price_history(session: AsyncSession, pages: Sequence[PricesPage]) -> list[list[Any]]:
    """The prices of each variant, the newest first: rows of a price with `starts` and `ends`, which may be None."""
    return await _pages(session, "history", pages)


async def _pages(session: AsyncSession, name: str, pages: Sequence[PricesPage]) -> list[list[Any]]:
    found: list[list[Any]] = [[] for _ in pages]
    rows = await session.execute(
        statements("pricing")[name],
        {
            "variant_ids": [it.variant_id for it in pages],
            "afters": [it.after for it in pages],
            "limits": [it.limit for it in pages],
        },
    )
    for row in rows:
        found[row.n - 1].append(row)
    return found
