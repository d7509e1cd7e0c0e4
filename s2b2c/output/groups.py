"""What the stores of a region or of a tier sold together, and how output is spread over stores."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow, SortKey, page
from s2b2c.models import Tier
from s2b2c.output.scope import Scope, members, total
from s2b2c.output.stores import TIER

POINTS_PERCENT = (10, 25, 50, 75, 90)


async def by_region(
    session: AsyncSession, scope: Scope, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What the chosen stores of each region sold, most output first; `after` is an (output, first_store_id).

    Rows of (region, first_store_id, stores, selling, output, orders, units, output_before, trend, total): `stores` sold
    or listed something in the period, `selling` have an order in it. Money in fen; `total` is of all the rows.
    """
    query, keys = regions(scope)
    return (await session.execute(page(query, *keys, after=after, limit=limit))).all()


async def by_tier(
    session: AsyncSession, scope: Scope, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """As `by_region`, for the tiers of the owners; `after` is an (output, tier_id)."""
    query, keys = tiers(scope)
    return (await session.execute(page(query, *keys, after=after, limit=limit))).all()


def regions(scope: Scope) -> tuple[Select[*tuple[Any, ...]], Sequence[SortKey]]:
    """All the rows of `by_region`, and what they are sorted by."""
    group = _grouped(scope, "region").c
    query: Select[*tuple[Any, ...]] = select(*group, (group.output - group.output_before).label("trend"))
    return query, ((group.output, "down"), (group.first_store_id, "up"))


def tiers(scope: Scope) -> tuple[Select[*tuple[Any, ...]], Sequence[SortKey]]:
    """All the rows of `by_tier`, and what they are sorted by."""
    grouped = _grouped(scope, "tier_id")
    group = grouped.c
    query: Select[*tuple[Any, ...]] = (
        select(TIER, *group, (group.output - group.output_before).label("trend"))
        .select_from(grouped)
        .join(Tier, Tier.id == group.tier_id)
    )
    return query, ((group.output, "down"), (group.tier_id, "up"))


def _grouped(scope: Scope, by: str) -> Any:
    of = members(scope).c
    added = {name: total(of[name]) for name in ("output", "orders", "units", "output_before")}
    return (
        select(
            of[by],
            func.min(of.store_id).label("first_store_id"),
            func.count().filter(of.is_member).label("stores"),
            func.count().filter(of.orders > 0).label("selling"),
            *(value.label(name) for name, value in added.items()),
            cast(func.sum(added["output"]).over(), BigInteger).label("total"),
        )
        .group_by(of[by])
        .subquery("grouped")
    )


class Spread(NamedTuple):
    """How output is spread over stores that sold or listed something. Money in fen."""

    stores: int
    selling: int
    """With an order in the period."""
    output: int
    points: Sequence[tuple[int, int]]
    """Pairs of (percent, output): the least output that this many percent of the stores do not exceed."""
    top_stores: int
    """A fifth of the stores, rounded up."""
    top_output: int
    deciles: Sequence[AnyRow]
    """Rows of (decile, stores, output, least, most), the best first: the stores by output and then id, in ten parts as
    equal as can be, the first ones larger. Fewer stores make fewer parts."""


async def spread(session: AsyncSession, scope: Scope) -> Spread:
    """The distribution of output over the chosen stores; those that listed in vain are in it with 0."""
    of = members(scope).c
    best_first = (of.output.desc(), of.store_id)
    place = (
        select(
            of.output,
            of.orders,
            func.ntile(10).over(order_by=best_first).label("decile"),
            func.row_number().over(order_by=best_first).label("place"),
            func.count().over().label("n"),
        )
        .where(of.is_member)
        .subquery("placed")
    ).c
    is_top = place.place <= (place.n + 4) // 5
    rows = (
        await session.execute(
            select(
                place.decile,
                func.count().label("stores"),
                func.count().filter(place.orders > 0).label("selling"),
                total(place.output).label("output"),
                func.min(place.output).label("least"),
                func.max(place.output).label("most"),
                func.count().filter(is_top).label("top_stores"),
                total(place.output, is_top).label("top_output"),
                *(
                    func.min(place.output)
                    .filter(100 * (place.n + 1 - place.place) >= percent * place.n)
                    .label(f"p{percent}")
                    for percent in POINTS_PERCENT
                ),
            )
            .group_by(func.grouping_sets(tuple_(place.decile), tuple_()))
            .order_by(place.decile)
        )
    ).all()
    *deciles, whole = rows
    points = [(percent, getattr(whole, f"p{percent}")) for percent in POINTS_PERCENT] if whole.stores else []
    return Spread(whole.stores, whole.selling, whole.output, points, whole.top_stores, whole.top_output, deciles)
