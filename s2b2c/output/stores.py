"""What each store sold, and its place among its like."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import BigInteger, Select, SQLColumnExpression, and_, case, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle, aliased

from s2b2c.db import AnyRow, SortKey, page
from s2b2c.models import Store, Tier
from s2b2c.output.scope import MIN_COHORT, Scope, in_region, members

Sort = Literal["output", "orders", "units", "trend"]
STORE: Bundle[Any] = Bundle("store", Store.id, Store.slug, Store.title, Store.region)
TIER: Bundle[Any] = Bundle("tier", Tier.id, Tier.code, Tier.rank, Tier.name, Tier.is_leader)


async def by_store(
    session: AsyncSession,
    scope: Scope,
    *,
    sort: Sort = "output",
    least_first: bool = False,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """What each store sold, the top first or the tail; `after` is a (what is sorted by, store_id).

    Rows of (store, tier, output, orders, units, output_before, trend, total, listings, is_member, cohort_region,
    cohort_stores, cohort_output, median, place), of every store with a sale or a refund in the period or in the equally
    long one right before, and of every store that listed something in it, also in vain. Money in fen: `output_before`
    is of the period before, `trend` what was gained since, `total` the output of all stores, also of those that the
    scope leaves out. Where no product is asked for, an order counts once for each brand in it.

    Compared are those with a sale or a refund in the period itself, and those that listed something: a tier of owners
    in the region of the store with `MIN_COHORT` or more of them, else the whole tier, those of large regions included
    (`cohort_region` is NULL). `place` is 1 + those with more output, `median` the lower one.
    """
    query, keys = stores(scope, sort=sort, least_first=least_first)
    return (await session.execute(page(query, *keys, after=after, limit=limit))).all()


def stores(
    scope: Scope, *, sort: Sort = "output", least_first: bool = False
) -> tuple[Select[*tuple[Any, ...]], Sequence[SortKey]]:
    """All the rows of `by_store`, and what they are sorted by."""
    everyone = members(scope.anywhere)
    of_all = everyone.c
    placed = select(
        *of_all,
        func.rank()
        .over(partition_by=(of_all.is_member, of_all.tier_id, of_all.region), order_by=of_all.output.desc())
        .label("place_in_region"),
        func.rank()
        .over(partition_by=(of_all.is_member, of_all.tier_id), order_by=of_all.output.desc())
        .label("place_in_tier"),
        cast(func.sum(of_all.output).over(), BigInteger).label("total"),
    ).subquery("placed")
    cohorts = (
        select(
            of_all.tier_id,
            of_all.region,
            func.count().label("stores"),
            cast(func.sum(of_all.output), BigInteger).label("output"),
            func.percentile_disc(0.5).within_group(of_all.output).label("median"),
        )
        .where(of_all.is_member)
        .group_by(func.grouping_sets(tuple_(of_all.tier_id, of_all.region), tuple_(of_all.tier_id)))
        .cte("cohorts")
    )
    near, whole = aliased(cohorts, name="near"), aliased(cohorts, name="whole")
    is_near = near.c.stores >= MIN_COHORT

    def of_cohort(name: str) -> SQLColumnExpression[Any]:
        return case((is_near, near.c[name]), else_=whole.c[name])

    it = placed.c
    sorts: dict[Sort, SQLColumnExpression[int]] = {
        "output": it.output,
        "orders": it.orders,
        "units": it.units,
        "trend": it.output - it.output_before,
    }
    query: Select[*tuple[Any, ...]] = (
        select(
            STORE,
            TIER,
            *(it[name] for name in ("output", "orders", "units", "output_before", "total", "listings", "is_member")),
            sorts["trend"].label("trend"),
            case((is_near, near.c.region)).label("cohort_region"),
            of_cohort("stores").label("cohort_stores"),
            of_cohort("output").label("cohort_output"),
            of_cohort("median").label("median"),
            case((is_near, it.place_in_region), else_=it.place_in_tier).label("place"),
        )
        .select_from(placed)
        .join(Store, Store.id == it.store_id)
        .join(Tier, Tier.id == it.tier_id)
        .outerjoin(near, and_(it.is_member, near.c.tier_id == it.tier_id, near.c.region == it.region))
        .outerjoin(whole, and_(it.is_member, whole.c.tier_id == it.tier_id, whole.c.region.is_(None)))
    )
    if scope.store_id is not None:
        query = query.where(it.store_id == scope.store_id)
    if scope.region is not None:
        query = query.where(in_region(scope.region))
    if scope.tier_id is not None:
        query = query.where(it.tier_id == scope.tier_id)
    return query, ((sorts[sort], "up" if least_first else "down"), (it.store_id, "up"))
