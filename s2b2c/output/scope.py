"""Whose sales are asked for, where and when, and what every answer is put together from."""

from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    DateTime,
    Select,
    SQLColumnExpression,
    Subquery,
    case,
    cast,
    exists,
    false,
    func,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import InstrumentedAttribute, aliased

from s2b2c.models import (
    DailyBrand,
    DailyProduct,
    Distributor,
    Listing,
    ListingHistory,
    Product,
    Store,
    StoreHistory,
)

MIN_COHORT = 5
"""Fewer stores of a tier and region than these are compared with the whole tier."""


class Scope(NamedTuple):
    """Sales in the days [start, end): of one brand or of all, of one product, in one store, in one region, of owners
    of one tier; None leaves a choice open. A store that changed hands counts for who owns it now."""

    start: date
    end: date
    brand_id: int | None = None
    product_id: int | None = None
    store_id: int | None = None
    region: str | None = None
    tier_id: int | None = None

    @property
    def before(self) -> date:
        """The first day of the equally long period right before."""
        return date.fromordinal(max(1, 2 * self.start.toordinal() - self.end.toordinal()))

    @property
    def anywhere(self) -> "Scope":
        """The same in all stores: what the chosen ones are compared with."""
        return self._replace(store_id=None, region=None, tier_id=None)

    @property
    def is_everywhere(self) -> bool:
        return self.store_id is None and self.region is None and self.tier_id is None


def total(column: SQLColumnExpression[Any], when: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    added = func.sum(column)
    return cast(func.coalesce(added if when is None else added.filter(when), 0), BigInteger)


def midnight(day: date) -> ColumnElement[Any]:
    return func.timezone("Asia/Shanghai", cast(day, DateTime))


Table = type[DailyBrand] | type[DailyProduct]


def of_supply(scope: Scope, table: Table) -> list[ColumnElement[bool]]:
    """What rows of the daily totals are of the brand and the product that are asked for.

    The brand of a product is looked up where it is not given, for the index leads with it; where both are given and do
    not go together there is no such row.
    """
    chosen: list[ColumnElement[bool]] = []
    if scope.brand_id is not None:
        chosen.append(table.brand_id == scope.brand_id)
    if scope.product_id is not None:
        assert table is DailyProduct
        chosen.append(DailyProduct.product_id == scope.product_id)
        if scope.brand_id is None:
            brand = select(Product.brand_id).where(Product.id == scope.product_id)
            chosen.append(DailyProduct.brand_id == brand.scalar_subquery())
    return chosen


def table_of(scope: Scope) -> Table:
    """Orders are counted for each brand, or for each product where one is asked for."""
    return DailyBrand if scope.product_id is None else DailyProduct


def places(scope: Scope) -> list[ColumnElement[bool]]:
    """Which stores are chosen, where Store is joined with its owner as Distributor."""
    chosen: list[ColumnElement[bool]] = []
    if scope.store_id is not None:
        chosen.append(Store.id == scope.store_id)
    if scope.region is not None:
        chosen.append(in_region(scope.region))
    if scope.tier_id is not None:
        chosen.append(Distributor.tier_id == scope.tier_id)
    return chosen


def in_region(region: str) -> ColumnElement[bool]:
    """No text in PostgreSQL holds a NUL or half a surrogate pair: there is no such region."""
    return Store.region == region if region.isprintable() else false()


def was_open(scope: Scope) -> ColumnElement[bool]:
    """Whether a store was open at some time of the period, as far as is known."""
    past = exists().where(
        StoreHistory.store_id == Store.id,
        StoreHistory.state == "open",
        StoreHistory.since < midnight(scope.end),
        StoreHistory.until > midnight(scope.start),
    )
    return or_(Store.state == "open", past)


def live(scope: Scope, *, with_since: bool = False) -> Subquery:
    """Listings that were there at some time of the period, one row each, in any store, open or not.

    Rows of (store_id, product_id), and `with_since` of (listed_at, removed_at) as well: `removed_at` is NULL while it
    is still listed. Of one that was listed more than once, both are of the last time.
    """
    start, end = midnight(scope.start), midnight(scope.end)
    gone, earlier, ended = aliased(ListingHistory), aliased(ListingHistory), aliased(ListingHistory)
    current = aliased(Listing)
    before = exists().where(
        ended.store_id == gone.store_id,
        ended.product_id == gone.product_id,
        ended.end_reason.is_not(None),
        ended.until < gone.until,
        ended.until > earlier.since,
    )
    since = (
        select(func.min(earlier.since))
        .where(
            earlier.store_id == gone.store_id,
            earlier.product_id == gone.product_id,
            earlier.until <= gone.until,
            ~before.correlate(gone, earlier),
        )
        .correlate(gone)
        .scalar_subquery()
    )
    removed = (
        select(
            gone.store_id,
            gone.product_id,
            *((since.label("listed_at"), gone.until.label("removed_at")) if with_since else ()),
        )
        .ext(distinct_on(gone.store_id, gone.product_id))
        .where(
            gone.end_reason.is_not(None),
            gone.until > start,
            or_(gone.since < end, since < end),
            ~exists().where(
                current.store_id == gone.store_id, current.product_id == gone.product_id, current.listed_at < end
            ),
            *_of_listing(scope, gone.product_id),
        )
        .order_by(gone.store_id, gone.product_id, gone.until.desc())
    )
    never = cast(null(), DateTime(timezone=True)).label("removed_at")
    moments = (Listing.listed_at, never) if with_since else ()
    still: Select[*tuple[Any, ...]] = select(Listing.store_id, Listing.product_id, *moments).where(
        Listing.listed_at < end, *_of_listing(scope, Listing.product_id)
    )
    return union_all(still, removed.subquery().select()).subquery("live")


def _of_listing(scope: Scope, product_id: InstrumentedAttribute[int]) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = []
    if scope.product_id is not None:
        chosen.append(product_id == scope.product_id)
    if scope.brand_id is not None:
        chosen.append(product_id.in_(select(Product.id).where(Product.brand_id == scope.brand_id)))
    return chosen


def pairs(scope: Scope, *, with_since: bool = False) -> Subquery:
    """Each product in each chosen store that listed it or sold it in the period.

    Rows of (store_id, product_id, is_listed, is_kept), and `with_since` of (listed_at, removed_at) as well. `is_listed`
    in a store that was open; `is_kept` where it has a sale in the period that was not wholly refunded. Listings and
    sales are put side by side and counted once: between them as two sets the planner, which knows nothing of how many
    there are, takes a loop for cheap and compares all with all.
    """
    table, alive = DailyProduct, live(scope, with_since=with_since)
    moments = ("listed_at", "removed_at") if with_since else ()
    listed: Select[*tuple[Any, ...]] = select(
        alive.c.store_id,
        alive.c.product_id,
        true().label("is_listed"),
        false().label("is_kept"),
        *(alive.c[name] for name in moments),
    )
    sold: Select[*tuple[Any, ...]] = select(
        table.store_id, table.product_id, false(), true(), *(cast(null(), DateTime(timezone=True)) for _ in moments)
    ).where(table.day >= scope.start, table.day < scope.end, table.kept > 0, *of_supply(scope, table))
    it = (
        union_all(in_places(listed, alive.c.store_id, scope, was_open(scope)), in_places(sold, table.store_id, scope))
        .subquery("either")
        .c
    )
    return (
        select(
            it.store_id,
            it.product_id,
            *(func.bool_or(it[name]).label(name) for name in ("is_listed", "is_kept")),
            *(func.max(it[name]).label(name) for name in moments),
        )
        .group_by(it.store_id, it.product_id)
        .subquery("pairs")
    )


def sum_of_days(scope: Scope) -> Select[*tuple[Any, ...]]:
    """One row (output,) in fen, of the daily totals alone: what stores, regions, products or periods must come to."""
    table = table_of(scope)
    days = select(total(table.paid - table.refunded).label("output")).where(
        table.day >= scope.start, table.day < scope.end, *of_supply(scope, table)
    )
    return in_places(days, table.store_id, scope)


def in_places(
    query: Select[*tuple[Any, ...]], store_id: SQLColumnExpression[int], scope: Scope, *more: ColumnElement[bool]
) -> Select[*tuple[Any, ...]]:
    if scope.is_everywhere and not more:
        return query
    query = query.join(Store, Store.id == store_id)
    if scope.tier_id is not None:
        query = query.join(Distributor, Distributor.id == Store.distributor_id)
    return query.where(*places(scope), *more)


def members(scope: Scope) -> CTE:
    """The chosen stores that have anything to tell: totals of the period or the one before, or listings live in it.

    Rows of (store_id, region, tier_id, output, orders, units, output_before, listings, is_member); a member sold, was
    given something back, or listed something in the period itself. What a store lists that was closed all the time
    does not count.
    """
    table = table_of(scope)
    now, output = table.day >= scope.start, table.paid - table.refunded
    sold = (
        select(
            table.store_id,
            total(output, now).label("output"),
            total(table.orders, now).label("orders"),
            total(table.units, now).label("units"),
            total(output, table.day < scope.start).label("output_before"),
            func.bool_or(now).label("is_now"),
        )
        .where(table.day >= scope.before, table.day < scope.end, *of_supply(scope, table))
        .group_by(table.store_id)
        .subquery("sold")
    )
    alive = live(scope)
    listed = select(alive.c.store_id, func.count().label("listings")).group_by(alive.c.store_id).subquery("listed")
    listings = case((was_open(scope), func.coalesce(listed.c.listings, 0)), else_=0)
    return (
        select(
            Store.id.label("store_id"),
            Store.region,
            Distributor.tier_id,
            *(func.coalesce(sold.c[name], 0).label(name) for name in ("output", "orders", "units", "output_before")),
            listings.label("listings"),
            or_(func.coalesce(sold.c.is_now, false()), listings > 0).label("is_member"),
        )
        .select_from(sold.join(listed, listed.c.store_id == sold.c.store_id, full=True))
        .join(Store, Store.id == func.coalesce(sold.c.store_id, listed.c.store_id))
        .join(Distributor, Distributor.id == Store.distributor_id)
        .where(or_(sold.c.store_id.is_not(None), listings > 0), *places(scope))
        .cte("members")
    )
