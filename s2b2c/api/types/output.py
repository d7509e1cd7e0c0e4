"""What stores sold of a brand."""

from datetime import date, datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import Tier
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


_MEMBERS = "Those with a sale or a refund in the period, or that listed something."


def _share(row: Any) -> int | None:
    return 10_000 * row.output // row.total if row.total > 0 else None


def _growth(row: Any) -> int | None:
    return 10_000 * row.trend // row.output_before if row.output_before > 0 else None


@strawberry.type(description="The stores that a store is compared with (同组), itself included.")
class StoreCohort:
    region: str | None = computed(
        lambda row: row.cohort_region,
        description="Of a tier in one region; null for the whole tier, where fewer than 5 stores are in the region.",
    )
    stores: Int64 = computed(
        lambda row: row.cohort_stores, description="How many had a sale or a refund in the period, or listed something."
    )
    rank: Int64 = computed(lambda row: row.place, description="1 is the most output; those with as much share a rank.")
    mean: Money = computed(lambda row: row.cohort_output // row.cohort_stores, description="Of output, floored.")
    median: Money = computed(lambda row: row.median, description="Of output; of two in the middle the lower one.")


@strawberry.type(description="What was sold in a period, and in the equally long one right before.")
class _Output:
    output: Money = strawberry.field(description="Paid minus refunded (产值); below 0 where refunds outweigh sales.")
    orders: Int64
    units: Int64
    share_bps: Int64 | None = computed(
        _share,
        description="Its share of the output of all, in basis points, floored: a negative output has a negative share, "
        "and all together are at most 10000. Null when the whole is not above 0.",
    )
    output_before: Money = strawberry.field(description="Its output in the equally long period right before.")
    growth_bps: Int64 | None = computed(
        _growth,
        description="Output against outputBefore, in basis points, floored. Null when there was none above 0.",
    )


@strawberry.type(description="What a store sold in a period.")
class StoreOutput(_Output):
    store: Store = strawberry.field(description="Which sold it.")
    tier: Tier = strawberry.field(description="Of its owner.")
    listings: Int64 = strawberry.field(description="How many products it listed at some time of the period (选品).")
    cohort: StoreCohort | None = computed(
        lambda row: row if row.is_member else None,
        description="Its place among its like; null where it sold before the period and listed nothing in it.",
    )


@strawberry.type
class _Together(_Output):
    stores: Int64 = strawberry.field(description=_MEMBERS)
    selling_stores: Int64 = computed(lambda row: row.selling, description="Those with an order in the period.")


@strawberry.type(description="What the stores of a region sold in a period.")
class RegionOutput(_Together):
    region: str


@strawberry.type(description="What the stores of a tier (层级) sold in a period.")
class TierOutput(_Together):
    tier: Tier


def _sold_bps(row: Any) -> int | None:
    return 10_000 * row.sold // row.listings if row.listings else None


@strawberry.type(description="A product, named.")
class ProductName:
    id: strawberry.ID = id_of("product")
    code: str
    title: str


@strawberry.type
class _Sold:
    listings: Int64 = strawberry.field(description="Live at some time of the period, in stores that were open (选品).")
    sold: Int64 = strawberry.field(description="How many of the listings had a sale that was not wholly refunded.")


@strawberry.type(description="What stores sold of a product in a period.")
class ProductOutput(_Output, _Sold):
    product: ProductName
    brand_name: str
    selling_stores: Int64 = computed(
        lambda row: row.selling, description="Those with a sale that was not wholly refunded."
    )
    sold_bps: Int64 | None = computed(
        _sold_bps, description="Listings that sold (动销率), in basis points, floored; null without a listing."
    )


@strawberry.type(description="How much of what a store listed was sold (动销率).")
class SellThrough(_Sold):
    store: Store = strawberry.field(description="Which listed it.")
    tier: Tier = strawberry.field(description="Of its owner.")
    sold_bps: Int64 = computed(lambda row: row.bps, description="Listings that sold, in basis points, floored.")


@strawberry.type(description="A listing that was live in a period and sold nothing in it that was kept.")
class UnsoldListing:
    store: Store = strawberry.field(description="Which lists it.")
    product: ProductName
    listed_at: datetime = strawberry.field(description="When it began to list it.")
    removed_at: datetime | None = strawberry.field(description="When it listed it no more; null while it does.")


@strawberry.type(description="The least output that a percentage of the stores do not exceed.")
class OutputPercentile:
    percent: Int64 = computed(lambda pair: pair[0], description="50 is the median.")
    output: Money = computed(lambda pair: pair[1], description="Of one of the stores.")


@strawberry.type(description="A tenth of the stores.")
class OutputDecile:
    decile: Int64 = strawberry.field(description="1 has the most output.")
    stores: Int64 = strawberry.field(description="As many as in the others, or one more in the first ones.")
    output: Money = strawberry.field(description="Of all of them together.")
    least: Money = strawberry.field(description="Of one store.")
    most: Money = strawberry.field(description="Of one store.")


@strawberry.type(description="How output is spread over stores.")
class Distribution:
    stores: Int64 = strawberry.field(description=_MEMBERS)
    selling_stores: Int64 = computed(lambda row: row.selling, description="Those with an order in the period.")
    output: Money = strawberry.field(description="Of all of them together.")
    percentiles: list[OutputPercentile] = computed(
        lambda row: row.points, description="Of 10, 25, 50, 75 and 90 percent; none without a store."
    )
    deciles: list[OutputDecile] = strawberry.field(
        description="The best first; those with as much output by their age. Fewer than ten with fewer stores."
    )
    top_stores: Int64 = strawberry.field(description="A fifth of the stores, rounded up: those with the most output.")
    top_output: Money = strawberry.field(description="Of these together.")
    top_bps: Int64 | None = computed(
        lambda row: 10_000 * row.top_output // row.output if row.output > 0 else None,
        description="Their share of the whole output, in basis points, floored; above 10000 where refunds outweigh "
        "sales in others. Null when the whole is not above 0.",
    )


@strawberry.type(description="What stores together sold in one day, week or month.")
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
