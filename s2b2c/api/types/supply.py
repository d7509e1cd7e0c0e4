"""What a brand supplies and is owed. Supply prices are here: for brands, finance and the operator alone."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c import catalogue
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.catalogue import Variant, images
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.nodes import BrandNode
from s2b2c.api.types.pricing import PriceChange, PriceSpan, TierCost
from s2b2c.api.types.product_events import HasEvents
from s2b2c.api.types.revisions import ProductRevision
from s2b2c.api.types.stores import Store


@strawberry.enum(description="What a product has come to. Only a listed one can be selected.")
class ProductState(Enum):
    DRAFT = "draft"
    IN_REVIEW = "in_review"
    LISTED = "listed"
    DELISTED = "delisted"


@strawberry.type(description="Units of a variant that are set aside for one store, or for all stores of a region.")
class Allotment:
    store: Store | None = strawberry.field(description="Which alone may sell them; null where it is a region.")
    region: str | None = strawberry.field(description="Whose stores may sell them; null where it is one store.")
    quantity: Int64 = strawberry.field(description="Units that are left of it.")
    updated_at: datetime = strawberry.field(description="When you last said how many; orders do not change it.")


@strawberry.type(description="A variant (SKU) as its brand sees it, at the prices of today.")
class SupplyVariant(Variant):
    stock: Int64 = strawberry.field(description="Units that are left, those that are set aside included.")
    allotted: Int64 = strawberry.field(description="Of the stock, units that are set aside for regions and stores.")
    free: Int64 = computed(lambda row: row.stock - row.allotted, description="Of the stock, what any store may sell.")
    supply_price: Money = strawberry.field(description="What the platform owes the brand for one unit (供货价).")
    suggested_price: Money
    min_price: Money = strawberry.field(description="The least a store may ask (限价).")
    max_price: Money = strawberry.field(description="The most a store may ask (限价).")
    tier_costs: list[TierCost] = strawberry.field(
        description="From the highest tier down; a tier that is not among them cannot sell the variant."
    )

    @strawberry.field(
        graphql_type=Connection[Allotment],
        description="What is set aside of the stock; the number that was set last comes last.",
    )
    @staticmethod
    async def allotments(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("allotment", first, after, key_length=1)
        (behind,) = page.after or (0,)
        wanted = catalogue.AllotmentsPage(root.id, behind, page.limit)
        rows = await info.context.load.allotments.load(wanted)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=Connection[PriceChange], description="What waits for its time, the earliest first.")
    @staticmethod
    async def upcoming_prices(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("upcoming-price", first, after, key_length=1)
        rows = await info.context.load.upcoming_prices.load(_page(root.id, page))
        return page.connection(rows, lambda row: (row.key,))

    @strawberry.field(graphql_type=Connection[PriceSpan], description="What it cost, newest first: from today back.")
    @staticmethod
    async def price_history(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("price-span", first, after, key_length=1)
        rows = await info.context.load.price_history.load(_page(root.id, page))
        return page.connection(rows, lambda row: (row.id,))


def _page(variant_id: int, page: Page) -> catalogue.PricesPage:
    return catalogue.PricesPage(variant_id, page.after[0] if page.after else None, page.limit)


@strawberry.type(description="A product (SPU) as its brand sees it.")
class SupplyProduct(BrandNode, HasEvents):
    id: strawberry.ID = id_of("product")
    code: str
    title: str
    category: str
    tonalities: list[str] = strawberry.field(description="调性")
    audiences: list[str] = strawberry.field(description="人群")
    image_url: str | None
    state: ProductState
    listed_in: Int64 = strawberry.field(description="How many open stores list it (选品).")
    images: list[str] = computed(images)
    description: str

    @strawberry.field(graphql_type=list[SupplyVariant], description="In the order they were made.")
    @staticmethod
    async def variants(root: strawberry.Parent[Any], info: Info) -> list[catalogue.SupplyVariant]:
        return list(await info.context.load.supply_variants.load(root.id))

    @strawberry.field(
        graphql_type=ProductRevision | None,
        description="What it shall say, as a draft or in review; null where nothing is to change.",
    )
    @staticmethod
    async def revision(root: strawberry.Parent[Any], info: Info) -> catalogue.Revision | None:
        return await info.context.load.open_revisions.load(root.id)

    @strawberry.field(
        graphql_type=Connection[ProductRevision], description="The revisions that are over, newest first."
    )
    @staticmethod
    async def reviews(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("review", first, after, key_length=1)
        rows = await info.context.load.past_revisions.load(catalogue.ReviewsPage(root.id, page.after, page.limit))
        return page.connection(rows, lambda row: (row.id,))


@strawberry.type(description="What the platform owes a brand for its supply. balance = inStatements + notInStatement.")
class Payable:
    balance: Money = strawberry.field(description="Owed now, by the ledger: for completed orders.")
    in_statements: Money = strawberry.field(description="Of it in statements (结算单) of settlement runs.")
    not_in_statement: Money = strawberry.field(description="Of it in no statement yet.")
    pending: Money = strawberry.field(
        description="Not owed yet: for orders that are paid and not completed, whose money is in escrow."
    )
