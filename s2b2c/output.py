"""What was sold (产值): of a brand by each store, and by each branch of the network.

Output is paid minus refunded and, like orders and units, comes from the daily totals; days are days in Asia/Shanghai.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Select,
    SQLColumnExpression,
    cast,
    func,
    null,
    select,
    text,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, page
from s2b2c.models import DailyBrand, Distributor, Listing, Product, Store, Tier


async def by_store(
    session: AsyncSession,
    brand_id: int,
    *,
    start: date,
    end: date,
    region: str | None = None,
    tier_id: int | None = None,
    sort: Literal["output", "orders", "units", "trend"] = "output",
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """What each store sold of a brand in [start, end), greatest first; `after` is a (what is sorted by, store_id).

    Rows of (store, output, orders, units, output_before, trend, total), of every store with anything to tell in the
    period or in the equally long one right before. Money in fen: `output_before` is of the period before, `trend` what
    was gained since, `total` the output of all stores, also of those that `region` and the tier of the owner leave out.
    """
    before = date.fromordinal(max(1, 2 * start.toordinal() - end.toordinal()))
    now, earlier = DailyBrand.day >= start, DailyBrand.day < start

    def total(column: SQLColumnExpression[int], when: ColumnElement[bool]) -> ColumnElement[int]:
        return cast(func.coalesce(func.sum(column).filter(when), 0), BigInteger)

    output = DailyBrand.paid - DailyBrand.refunded
    sold = (
        select(
            DailyBrand.store_id,
            total(output, now).label("output"),
            total(DailyBrand.orders, now).label("orders"),
            total(DailyBrand.units, now).label("units"),
            total(output, earlier).label("output_before"),
            cast(func.sum(total(output, now)).over(), BigInteger).label("total"),
        )
        .where(DailyBrand.brand_id == brand_id, DailyBrand.day >= before, DailyBrand.day < end)
        .group_by(DailyBrand.store_id)
        .subquery("sold")
    )
    sorts: dict[str, SQLColumnExpression[int]] = {
        "output": sold.c.output,
        "orders": sold.c.orders,
        "units": sold.c.units,
        "trend": sold.c.output - sold.c.output_before,
    }
    query: Select[*tuple[Any, ...]] = select(
        Bundle("store", Store.id, Store.slug, Store.title, Store.region),
        sold.c.output,
        sold.c.orders,
        sold.c.units,
        sold.c.output_before,
        sorts["trend"].label("trend"),
        sold.c.total,
    ).join(Store, Store.id == sold.c.store_id)
    if region is not None:
        if not region.isprintable():  # no text in PostgreSQL holds a NUL or half a surrogate pair
            return []
        query = query.where(Store.region == region)
    if tier_id is not None:
        query = query.join(Distributor, Distributor.id == Store.distributor_id).where(Distributor.tier_id == tier_id)
    return (await session.execute(page(query, (sorts[sort], "down"), (Store.id, "up"), after=after, limit=limit))).all()


class PeriodOutput(NamedTuple):
    """`start` is the first day of the calendar's period; of it the days [since, until) count. `output` is in fen."""

    start: date
    since: date
    until: date
    output: int
    orders: int
    units: int


_BY_PERIOD = text("""
    WITH period AS (
        SELECT first AS start, greatest(first, CAST(:start AS date)) AS since,
               least((first + CAST('1 ' || :by AS interval))::date, CAST(:end AS date)) AS until
        FROM generate_series(
            date_trunc(:by, CAST(:start AS date)::timestamp), CAST(:end AS date) - interval '1 day',
            CAST('1 ' || :by AS interval)
        ) AS time
        CROSS JOIN LATERAL CAST(time AS date) AS first
        WHERE first - DATE '0001-01-01' + 1 > CAST(:after AS bigint)
        ORDER BY first
        LIMIT :limit
    )
    SELECT period.start, since, until, coalesce(sum(paid - refunded), 0)::bigint AS output,
           coalesce(sum(orders), 0)::bigint AS orders, coalesce(sum(units), 0)::bigint AS units
    FROM period
    LEFT JOIN daily_brands ON brand_id = :brand_id AND day >= since AND day < until
    GROUP BY period.start, since, until
    ORDER BY period.start
""")


async def by_period(
    session: AsyncSession,
    brand_id: int,
    *,
    start: date,
    end: date,
    by: Literal["day", "week", "month"],
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """What all stores together sold of a brand by day, week (from Monday) or month of [start, end), in order of time.

    Rows of (start, since, until, output in fen, orders, units), zeros where nothing was sold: `start` is the first day
    of the period in the calendar, [since, until) are the days of it that count. `after` is (the ordinal of a start,).
    """
    return (
        await session.execute(
            _BY_PERIOD,
            {
                "brand_id": brand_id,
                "start": start,
                "end": end,
                "by": by,
                "after": after[0] if after is not None else 0,
                "limit": limit,
            },
        )
    ).all()


async def stores_without_sales(
    session: AsyncSession, brand_id: int, *, start: date, end: date, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Open stores that list a brand since before `end` and sold none of it in [start, end); `after` is a (store_id,).

    Rows of (store, listings, listed_since): how many listed products of the brand, and since when the oldest. A refund
    of an earlier sale is no sale.
    """
    midnight = func.timezone("Asia/Shanghai", cast(end, DateTime))
    listed = (
        select(Listing.store_id, Listing.listed_at)
        .join(Product, Product.id == Listing.product_id)
        .where(Product.brand_id == brand_id, Product.state == "listed", Listing.listed_at < midnight)
    )
    sold = select(DailyBrand.store_id, null()).where(
        DailyBrand.brand_id == brand_id, DailyBrand.day >= start, DailyBrand.day < end, DailyBrand.orders > 0
    )
    # Counted side by side. As two sets with an anti join between them, the planner takes a page for so easily filled
    # that it compares all stores with all stores.
    either = union_all(listed, sold).subquery()
    silent = (
        select(
            either.c.store_id,
            func.count(either.c.listed_at).label("listings"),
            func.min(either.c.listed_at).label("listed_since"),
        )
        .group_by(either.c.store_id)
        .having(func.count() == func.count(either.c.listed_at))
        .subquery()
    )
    query: Select[*tuple[Any, ...]] = (
        select(
            Bundle("store", Store.id, Store.slug, Store.title, Store.region), silent.c.listings, silent.c.listed_since
        )
        .join(silent, silent.c.store_id == Store.id)
        .where(Store.state == "open")
    )
    return (await session.execute(page(query, (silent.c.store_id, "up"), after=after, limit=limit))).all()


# The direct downline that a member stands below is in its ancestors right before the one who asks.
_BY_BRANCH = text(
    """
    WITH member AS (
        SELECT d.id, d.ancestors[cardinality(d.ancestors) - cardinality(top.ancestors)] AS child_id
        FROM distributors top JOIN distributors d ON d.ancestors @> ARRAY[top.id] AND d.id <> top.id
        WHERE top.id = :distributor_id AND d.state NOT IN ('applied', 'rejected')
    ), branch AS (
        SELECT member.child_id, count(*) AS members,
               coalesce(sum(sold.output), 0)::bigint AS output, coalesce(sum(sold.orders), 0)::bigint AS orders
        FROM member
        CROSS JOIN LATERAL (
            SELECT sum(s.paid - s.refunded) AS output, sum(s.orders) AS orders
            FROM daily_sellers s
            WHERE s.seller_id = member.id AND s.day >= CAST(:start AS date) AND s.day < CAST(:end AS date)
        ) AS sold
        GROUP BY member.child_id
    )
    SELECT d.id, d.code, d.name, d.state, t.id AS tier_id, t.code AS tier_code, t.rank AS tier_rank,
           t.name AS tier_name, t.is_leader, branch.members, branch.output, branch.orders
    FROM branch JOIN distributors d ON d.id = branch.child_id JOIN tiers t ON t.id = d.tier_id
    WHERE CAST(:last_output AS bigint) IS NULL OR (-branch.output, d.id) > (-:last_output, CAST(:last_id AS bigint))
    ORDER BY branch.output DESC, d.id
    LIMIT :limit
    """
)


class Downline(NamedTuple):
    id: int
    code: str
    name: str


class BranchOutput(NamedTuple):
    """A direct downline, and the total of it with everybody below it. Output is fen."""

    distributor: Downline
    tier: Tier
    state: str
    members: int
    output: int
    orders: int


async def by_branch(
    session: AsyncSession, distributor_id: int, *, start: date, end: date, after: tuple[int, ...] | None, limit: int
) -> Sequence[BranchOutput]:
    """What the branches right below a distributor sold in [start, end), most output first; `after` is an (output, id).

    Members are those who were ever approved. One total for each branch is all that an upline may see (domain: 11).
    """
    last_output, last_id = after or (None, None)
    rows = await session.execute(
        _BY_BRANCH,
        {
            "distributor_id": distributor_id,
            "start": start,
            "end": end,
            "last_output": last_output,
            "last_id": last_id,
            "limit": limit,
        },
    )
    return [
        BranchOutput(
            Downline(row.id, row.code, row.name),
            Tier(id=row.tier_id, code=row.tier_code, rank=row.tier_rank, name=row.tier_name, is_leader=row.is_leader),
            row.state,
            row.members,
            row.output,
            row.orders,
        )
        for row in rows
    ]
