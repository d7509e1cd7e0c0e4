"""The part of the door of brands about prices over time and the rules that stores keep."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from s2b2c import catalogue, errors
from s2b2c.api.access import BrandDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.errors import BadArgument, InvalidPrices, NotFound, WrongState
from s2b2c.api.types.ids import check_count, key_of, keys_of
from s2b2c.api.types.network import moment
from s2b2c.api.types.pricing import (
    BrandRules,
    BrandRulesInput,
    PastBrandRules,
    PriceChangesCancelled,
    PricesChanged,
    PricesInput,
    RulesSet,
)
from s2b2c.errors import Refused


@strawberry.type
class Rules:
    @strawberry.field(
        graphql_type=BrandRules | None, description="What stores that list your products must keep; null for nothing."
    )
    @staticmethod
    async def rules(info: Info) -> Any:
        brand_id = await info.context.brand_id()
        async with info.context.db.read() as session:
            return await catalogue.rules_of(session, brand_id)

    @strawberry.field(graphql_type=Connection[PastBrandRules], description="All rules that you have set, newest first.")
    @staticmethod
    async def rules_history(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("brand-rules", first, after, key_length=1)
        brand_id = await info.context.brand_id()
        async with info.context.db.read() as session:
            rows = await catalogue.rules_history(session, brand_id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))


@strawberry.type
class PricingMutation:
    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=Annotated[
            PricesChanged | InvalidPrices | NotFound | BadArgument, strawberry.union("ChangePricesResult")
        ],
        description="Give 1 to 500 variants other prices, all of them or none: at once, or at `startsAt` where that is "
        "to come. Listings outside their new band follow it, and their owners are told. A change that waits for the "
        "same variant and moment is replaced.",
    )
    async def change_prices(
        self, info: Info, changes: list[PricesInput], starts_at: datetime | None = None
    ) -> catalogue.PricesChanged:
        check_count("variant", changes)
        wanted = [_prices(change) for change in changes]
        brand_id, account_id = await info.context.brand_id(), (await info.context.viewer()).account_id
        async with info.context.db.write() as session:
            return await catalogue.change_prices(
                session,
                brand_id,
                wanted,
                starts_at=None if starts_at is None else moment(starts_at),
                account_id=account_id,
                now=info.context.clock(),
            )

    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=Annotated[
            PriceChangesCancelled | NotFound | WrongState | BadArgument, strawberry.union("CancelPriceChangesResult")
        ],
        description="Take back 1 to 500 changes that wait for their time: all of them or none.",
    )
    async def cancel_price_changes(self, info: Info, ids: list[strawberry.ID]) -> PriceChangesCancelled:
        keys = keys_of("price-change", ids)
        brand_id = await info.context.brand_id()
        async with info.context.db.write() as session:
            changes = await catalogue.cancel_price_changes(session, brand_id, keys, now=info.context.clock())
        return PriceChangesCancelled(changes=list(changes))  # type: ignore[arg-type]  # rows are shown as their types

    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=Annotated[RulesSet | BadArgument, strawberry.union("SetRulesResult")],
        description="Set what every store that lists your products must keep. Prices below the floor rise to it, own "
        "words that break the rules are emptied; each owner is told once.",
    )
    async def set_rules(self, info: Info, rules: BrandRulesInput) -> RulesSet:
        wanted = catalogue.Rules(rules.banned_words, rules.floor_bps, rules.disclosure)
        brand_id, account_id = await info.context.brand_id(), (await info.context.viewer()).account_id
        async with info.context.db.write() as session:
            listings = await catalogue.set_rules(
                session, brand_id, wanted, account_id=account_id, now=info.context.clock()
            )
            return RulesSet(listings=listings, rules=await catalogue.rules_of(session, brand_id))  # type: ignore[arg-type]  # a row is shown as its type


def _prices(change: PricesInput) -> catalogue.NewPrices:
    """Raises Refused(BadArgument)."""
    costs = {key_of("tier", cost.tier): cost.cost for cost in change.tier_costs}
    if len(costs) < len(change.tier_costs):
        raise Refused(errors.BadArgument("A tier is named twice: send the cost of each once."))
    return catalogue.NewPrices(
        key_of("variant", change.variant),
        change.supply_price,
        change.suggested_price,
        change.min_price,
        change.max_price,
        costs,
    )
