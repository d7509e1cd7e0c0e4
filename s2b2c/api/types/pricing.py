"""Prices over time, and the rules of a brand. Supply prices are here: for brands, finance and the operator alone."""

from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

import strawberry

from s2b2c import catalogue
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import ChangedBy, Tier


@strawberry.enum(description="What a change of prices has come to.")
class PriceChangeState(Enum):
    WAITING = strawberry.enum_value("waiting", description="Its time is to come.")
    APPLIED = strawberry.enum_value("applied", description="The variant got these prices.")
    CANCELLED = strawberry.enum_value("cancelled", description="Taken back, or replaced by another for that moment.")
    REFUSED = strawberry.enum_value("refused", description="Its time came, and it could not be applied.")


@strawberry.enum(description="Why a change of prices was not applied.")
class PriceChangeRefusal(Enum):
    PRODUCT_DELISTED = strawberry.enum_value("product_delisted", description="The product had been withdrawn.")


@strawberry.type(description="What one unit costs a distributor of a tier (拿货价).")
class TierCost:
    tier: Tier
    cost: Money = strawberry.field(description="Of one unit.")


@strawberry.type
class _Prices:
    supply_price: Money = strawberry.field(description="What the platform owes the brand for one unit (供货价).")
    suggested_price: Money
    min_price: Money = strawberry.field(description="The least a store may ask (限价).")
    max_price: Money = strawberry.field(description="The most a store may ask (限价).")

    @strawberry.field(
        graphql_type=list[TierCost],
        description="From the highest tier down; a tier that is not among them cannot sell the variant.",
    )
    @staticmethod
    async def tier_costs(root: strawberry.Parent[Any], info: Info) -> list[catalogue.TierCost]:
        tiers = await info.context.load.tiers.load(None)
        return [
            catalogue.TierCost(tier, root.tier_costs[tier.rank - 1])
            for tier in tiers
            if tier.rank <= len(root.tier_costs) and root.tier_costs[tier.rank - 1] is not None
        ]


@strawberry.type(description="The prices of a variant for a span of time.")
class PriceSpan(_Prices):
    since: datetime | None = computed(lambda row: row.starts, description="Null where it was so from the beginning.")
    until: datetime | None = computed(lambda row: row.ends, description="Null while it is so.")


@strawberry.type(description="Other prices for a variant, at once or at a time to come.")
class PriceChange(_Prices):
    id: strawberry.ID = id_of("price-change")
    starts_at: datetime = strawberry.field(description="From then on; the worker applies it within moments.")
    state: PriceChangeState
    refusal: PriceChangeRefusal | None = strawberry.field(description="Why it was not applied; null otherwise.")
    created_at: datetime
    done_at: datetime | None = strawberry.field(description="When it was applied, taken back or refused; null before.")

    @strawberry.field(graphql_type=ChangedBy | None, description="Who asked for it; null where a file did.")
    @staticmethod
    async def by(root: strawberry.Parent[Any], info: Info) -> Any:
        return None if root.account_id is None else await info.context.load.accounts.load(root.account_id)


@strawberry.input(description="What one unit shall cost a distributor of a tier (拿货价).")
class TierCostInput:
    tier: strawberry.ID = strawberry.field(description="The `id` of the tier.")
    cost: Int64 = strawberry.field(description="In fen.")


@strawberry.input(description="The new prices of a variant, all of them, in fen.")
class PricesInput:
    variant: strawberry.ID = strawberry.field(description="The `id` of the variant.")
    supply_price: Int64 = strawberry.field(description="What the platform owes you for one unit (供货价).")
    suggested_price: Int64
    min_price: Int64 = strawberry.field(description="The least a store may ask (限价).")
    max_price: Int64 = strawberry.field(description="The most a store may ask (限价).")
    tier_costs: list[TierCostInput] = strawberry.field(description="A tier that is left out cannot sell it.")


@strawberry.type(description="What became of changes of prices, in the order of the request.")
class PricesChanged:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    changes: list[PriceChange] = strawberry.field(description="One for each variant.")
    listings: Int64 = strawberry.field(description="How many listings followed at once; 0 where the time is to come.")


@strawberry.type(description="Changes of prices that were taken back.")
class PriceChangesCancelled:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    changes: list[PriceChange] = strawberry.field(description="In the order of the request.")


@strawberry.type
class _Rules:
    banned_words: list[str] = strawberry.field(
        description="What no own words may hold, whatever their case and width, and the blanks between them."
    )
    floor_bps: Int64 | None = strawberry.field(
        description="No store may ask less than this share of the suggested price, in basis points; null for any."
    )
    disclosure: str = strawberry.field(description="What own words must hold word for word, and stores always show.")

    @strawberry.field(graphql_type=ChangedBy | None, description="Who set them; null where nobody is known.")
    @staticmethod
    async def by(root: strawberry.Parent[Any], info: Info) -> Any:
        return None if root.account_id is None else await info.context.load.accounts.load(root.account_id)


@strawberry.type(description="What every store that lists your products must keep.")
class BrandRules(_Rules):
    updated_at: datetime = strawberry.field(description="When they were set.")


@strawberry.type(description="Rules as they were set once.")
class PastBrandRules(_Rules):
    set_at: datetime = strawberry.field(description="When that was.")


@strawberry.input(description="What every store that lists your products must keep: all of it, in place of what was.")
class BrandRulesInput:
    banned_words: list[str] = strawberry.field(default_factory=list, description="Up to 200 of at most 50 characters.")
    floor_bps: Int64 | None = strawberry.field(default=None, description="1 to 10000; null for none.")
    disclosure: str = strawberry.field(default="", description="At most 500 characters.")


@strawberry.type(description="Rules that are in force, and what followed from them.")
class RulesSet:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    listings: Int64 = strawberry.field(description="How many listings were changed, or left their stores.")
    rules: BrandRules = strawberry.field(description="What stores must keep now.")
