"""Commission plans and their rules."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.brands import Brand
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.settlements import CommissionBase, CommissionScheme
from s2b2c.db import AnyRow
from s2b2c.directory import RulesPage


@strawberry.enum(description="What a plan has come to.")
class PlanState(Enum):
    DRAFT = "draft"
    ACTIVE = "active"


@strawberry.enum(description="What a rule is for. Of all that fit a line the first in this order applies.")
class RuleScope(Enum):
    VARIANT = "variant"
    PRODUCT = "product"
    CATEGORY = "category"
    BRAND = "brand"
    EVERYTHING = "everything"


def _scope(row: Any) -> RuleScope:
    if row.variant_id is not None:
        return RuleScope.VARIANT
    if row.product_id is not None:
        return RuleScope.PRODUCT
    if row.category is not None:
        return RuleScope.CATEGORY
    return RuleScope.EVERYTHING if row.brand_id is None else RuleScope.BRAND


@strawberry.type(description="What one scope pays.")
class Rule:
    id: strawberry.ID = id_of("rule")
    scope: RuleScope = computed(_scope)
    brand: Brand | None = strawberry.field(description="Of a rule for a brand, or the brand of its product or variant.")
    category: str | None
    product: str | None = strawberry.field(description="The title of its product, or of the product of its variant.")
    sku: str | None
    scheme: CommissionScheme
    base: CommissionBase
    level_bps: list[Int64] = strawberry.field(description="The rate of each position, the seller's first.")


@strawberry.type(description="A commission plan (分佣方案).")
class Plan:
    id: strawberry.ID = id_of("plan")
    code: str
    state: PlanState
    start: datetime | None = strawberry.field(name="from", description="Null when it has been in force since ever.")
    end: datetime | None = strawberry.field(name="to", description="Null when it has no end.")
    margin_floor_bps: Int64 = strawberry.field(description="The part of what is paid that the platform keeps at least.")

    @strawberry.field(graphql_type=Connection[Rule], description="In the order they were written.")
    @staticmethod
    async def rules(
        root: strawberry.Parent[AnyRow], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("rule", first, after, key_length=1)
        (last,) = page.after or (0,)
        rows = await info.context.load.rules.load(RulesPage(root.id, last, page.limit))
        return page.connection(rows, lambda row: (row.id,))
