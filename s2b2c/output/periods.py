"""What was sold day by day, week by week or month by month."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from sqlalchemy import Date, DateTime, Interval, Select, and_, cast, column, func, literal, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow, page
from s2b2c.models import Distributor, Store
from s2b2c.output.scope import Scope, of_supply, places, table_of, total

Span = Literal["day", "week", "month"]


class PeriodOutput(NamedTuple):
    """`start` is the first day of the calendar's period; of it the days [since, until) count. `output` is in fen."""

    start: date
    since: date
    until: date
    output: int
    orders: int
    units: int


async def by_period(
    session: AsyncSession, scope: Scope, *, by: Span, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What the chosen stores together sold by day, week (from Monday) or month, in order of time.

    Rows of (start, since, until, output in fen, orders, units), zeros where nothing was sold: `start` is the first day
    of the period in the calendar, [since, until) are the days of it that count. `after` is (the ordinal of a start,).
    Where no product is asked for, an order counts once for each brand in it.
    """
    return (await session.execute(periods(scope, by=by, after=after, limit=limit))).all()


def periods(
    scope: Scope, *, by: Span, after: tuple[int, ...] | None = None, limit: int | None = None
) -> Select[*tuple[Any, ...]]:
    """The rows of `by_period`; all of them where no limit is given."""
    one = cast(literal(f"1 {by}"), Interval)
    first_of = func.date_trunc(by, cast(literal(scope.start), DateTime))
    times = func.generate_series(first_of, cast(literal(scope.end), Date) - cast(literal("1 day"), Interval), one)
    time = select(cast(times.column_valued("time"), Date).label("first")).subquery("time")
    first = time.c.first
    ordinal = first - literal_column("DATE '0001-01-01'", Date) + 1
    calendar: Select[*tuple[Any, ...]] = select(
        first.label("start"),
        func.greatest(first, cast(literal(scope.start), Date)).label("since"),
        func.least(cast(first + one, Date), cast(literal(scope.end), Date)).label("until"),
    )
    calendar = page(calendar, (ordinal, "up"), after=after, limit=limit)
    period = calendar.cte("period")
    table = table_of(scope)
    days = select(
        table.day,
        total(table.paid - table.refunded).label("output"),
        total(table.orders).label("orders"),
        total(table.units).label("units"),
    ).where(
        table.day >= select(func.min(period.c.since)).scalar_subquery(),
        table.day < select(func.max(period.c.until)).scalar_subquery(),
        *of_supply(scope, table),
    )
    if not scope.is_everywhere:
        days = (
            days.join(Store, Store.id == table.store_id)
            .join(Distributor, Distributor.id == Store.distributor_id)
            .where(*places(scope))
        )
    day = days.group_by(table.day).subquery("by_day")
    return (
        select(
            period.c.start,
            period.c.since,
            period.c.until,
            *(total(day.c[name]).label(name) for name in ("output", "orders", "units")),
        )
        .select_from(period.outerjoin(day, and_(day.c.day >= period.c.since, day.c.day < period.c.until)))
        .group_by(period.c.start, period.c.since, period.c.until)
        .order_by(column("start"))
    )
