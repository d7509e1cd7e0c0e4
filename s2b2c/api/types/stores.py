"""Stores and what they show."""

from enum import Enum
from typing import Any

import strawberry

from s2b2c import models, stores
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.catalogue import Product, Variant
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of, key_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.nodes import ShopNode


@strawberry.enum(description="What a store has come to.")
class StoreState(Enum):
    OPEN = "open"
    CLOSED = "closed"


@strawberry.type(description="A distributor's storefront (店铺), named.")
class Store:
    id: strawberry.ID = id_of("store")
    slug: str
    title: str
    region: str


def listing_id(row: Any) -> str:
    return encode("listing", row.store_id, row.product_id)


@strawberry.type(description="A product in a store (选品), at that store's price and in its owner's words.")
class Listing(ShopNode):
    id: strawberry.ID = computed(listing_id)
    price: Money
    pitch: str
    position: Int64
    product: Product

    @strawberry.field(graphql_type=list[Variant], description="What can be chosen in this store.")
    @staticmethod
    async def variants(root: strawberry.Parent[Any], info: Info) -> Any:
        return await info.context.load.variants.load((root.store_id, root.product_id))


@strawberry.type(description="An open store, as its customers see it.")
class Storefront(Store, ShopNode):
    id: strawberry.ID = id_of("store")

    @strawberry.field(graphql_type=Connection[Listing], description="Pinned ones first, then in the owner's order.")
    @staticmethod
    async def listings(
        root: strawberry.Parent[models.Store], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("listing", first, after, key_length=2)
        async with info.context.db.read() as session:
            rows = await stores.listings(session, root.id, after=page.after, limit=page.limit)
        return page.connection(rows, stores.shelf_key)

    @strawberry.field(
        graphql_type=Listing | None, description="One product here; null when the store does not show it."
    )
    @staticmethod
    async def product(root: strawberry.Parent[models.Store], info: Info, id: strawberry.ID) -> Any:  # noqa: A002
        product_id = key_of("product", id)
        async with info.context.db.read() as session:
            return await stores.listing(session, root.id, product_id)
