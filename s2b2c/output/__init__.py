"""What was sold (产值): by store, region, tier, product and period, how it is spread, and what was listed in vain.

Output is paid minus refunded and, like orders and units, comes from the daily totals; days are days in Asia/Shanghai.
"""

from s2b2c.output.branches import BranchOutput, by_branch
from s2b2c.output.groups import Spread, by_region, by_tier, regions, spread, tiers
from s2b2c.output.listed import (
    by_product,
    listed_and_sold,
    never_sold,
    products,
    sell_through,
    selling,
    stores_without_sales,
    unsold,
)
from s2b2c.output.periods import PeriodOutput, Span, by_period, periods
from s2b2c.output.scope import MIN_COHORT, Scope, sum_of_days
from s2b2c.output.stores import Sort, by_store, stores

__all__ = [
    "MIN_COHORT",
    "BranchOutput",
    "PeriodOutput",
    "Scope",
    "Sort",
    "Span",
    "Spread",
    "by_branch",
    "by_period",
    "by_product",
    "by_region",
    "by_store",
    "by_tier",
    "listed_and_sold",
    "never_sold",
    "periods",
    "products",
    "regions",
    "sell_through",
    "selling",
    "spread",
    "stores",
    "stores_without_sales",
    "sum_of_days",
    "tiers",
    "unsold",
]
