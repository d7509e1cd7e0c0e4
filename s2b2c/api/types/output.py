"""What stores sold of a brand."""

from datetime import date, datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c.api.types.fields import computed
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.stores import Store


@strawberry.enum(description="What the stores of a brand are sorted by: most first.")
class StoreSort(Enum):
    OUTPUT = "output"
    ORDERS = "orders"
    UNITS = "units"
    TREND = strawberry.enum_value("trend", description="What the output gained, in money, since the period before.")


@strawberry.enum(description="Periods of the calendar in Asia/Shanghai.")
class Span(Enum):
    DAY = "day"
    WEEK = strawberry.enum_value("week", description="From Monday.")
    MONTH = "month"


def _share(row: Any) -> int | None:
    return 10_000 * row.output // row.total if row.total > 0 else None


def _growth(row: Any) -> int | None:
    return 10_000 * row.trend // row.output_before if row.output_before > 0 else None


@strawberry.type(description="What a store sold of one brand in a period.")
class StoreOutput:
    store: Store = strawberry.field(description="Which sold it.")
    output: Money = strawberry.field(description="Paid minus refunded (产值); below 0 where refunds outweigh sales.")
    orders: Int64
    units: Int64
    share_bps: Int64 | None = computed(
        _share,
        description="Its share of the brand's output in all stores, in basis points, floored: a negative output has a "
        "negative share, and all together are at most 10000. Null when the whole is not above 0.",
    )
    output_before: Money = strawberry.field(description="Its output in the equally long period right before.")
    growth_bps: Int64 | None = computed(
        _growth,
        description="Output against outputBefore, in basis points, floored. Null when there was none above 0.",
    )


@strawberry.type(description="What all stores together sold of one brand in one day, week or month.")
class PeriodOutput:
    start: date = strawberry.field(description="The first day of the day, week or month, for its label.")
    since: date = strawberry.field(
        name="from", description="The first day that counts: later than `start` where the first period is cut."
    )
    until: date = strawberry.field(name="to", description="The first day that does not count.")
    output: Money = strawberry.field(description="Paid minus refunded (产值).")
    orders: Int64
    units: Int64


@strawberry.type(description="A store that lists products of one brand and sold none of them.")
class StoreWithoutSales:
    store: Store = strawberry.field(description="Which lists them.")
    listings: Int64 = strawberry.field(description="How many listed products of the brand it shows (选品).")
    listed_since: datetime = strawberry.field(description="When it began to list the oldest of them.")
