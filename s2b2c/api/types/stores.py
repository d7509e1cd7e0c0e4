"""Stores and what they show."""

from typing import Any

import strawberry

from s2b2c import models, stores
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.catalogue import Product, Variant
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.money import Int64, Money


@strawberry.type(description="A store (小店).")
class Store:
    id: strawberry.ID = id_of("store")
    slug: str
    title: str
    region: str


def _listing_id(root: strawberry.Parent[Any]) -> strawberry.ID:
    return strawberry.ID(encode("listing", root.store_id, root.product_id))


@strawberry.type(description="A product in a store (选品), at that store's price and in its owner's words.")
class Listing:
    id: strawberry.ID = strawberry.field(resolver=_listing_id)
    price: Money
    pitch: str
    position: Int64
    product: Product

    @strawberry.field(graphql_type=list[Variant], description="What can be chosen in this store.")
    @staticmethod
    async def variants(root: strawberry.Parent[Any], info: Info) -> Any:
        return await info.context.load.variants.load((root.store_id, root.product_id))


@strawberry.type(description="An open store, as its customers see it.")
class Storefront(Store):
    @strawberry.field(graphql_type=Connection[Listing], description="In the order of the owner's choosing.")
    @staticmethod
    async def listings(
        root: strawberry.Parent[models.Store], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("listing", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await stores.listings(session, root.id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.position,))


@strawberry.type(description="What a store sold of one brand.")
class StoreOutput:
    store: Store
    output: Money = strawberry.field(description="Paid minus refunded (产值).")
    orders: Int64
    units: Int64
