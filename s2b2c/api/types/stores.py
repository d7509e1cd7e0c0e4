"""Stores and what they show."""

from collections.abc import Awaitable, Callable, Sequence
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
from s2b2c.api.types.storefronts import OpenNow, StoreSetup


@strawberry.enum(description="What a store has come to.")
class StoreState(Enum):
    OPEN = "open"
    CLOSED = "closed"


@strawberry.enum(description="Kinds of customers that a listing may be limited to.")
class Segment(Enum):
    NEW = strawberry.enum_value("new", description="Has paid for nothing yet; whoever is not signed in is one.")
    RETURNING = strawberry.enum_value("returning", description="Has paid for an order.")
    BOUND = strawberry.enum_value("bound", description="Belongs to the store's owner now (锁客).")


DISCLOSURE = "What the brand demands that stores say with it; null where it demands nothing."


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
    disclosure: str | None = strawberry.field(description=DISCLOSURE)
    position: Int64
    product: Product

    @strawberry.field(graphql_type=list[Variant], description="What can be chosen in this store.")
    @staticmethod
    async def variants(root: strawberry.Parent[Any], info: Info) -> Any:
        return await info.context.load.variants.load((root.store_id, root.product_id))


async def seen(info: Info, region: str | None, read: Callable[[stores.Shopper], Awaitable[Any]]) -> Any:
    """What the viewer sees of a listing or of many. Who that is, is looked up where it matters alone."""
    shopper = stores.Shopper(None, region, info.context.clock())
    if not info.context.has_token:
        return await read(shopper)
    found = await read(shopper._replace(segments_count=False))
    rows = found if isinstance(found, Sequence) else [found]
    if not any(getattr(row, "segments", None) for row in rows):
        return found
    return await read(shopper._replace(customer_id=await info.context.shopper_id()))


@strawberry.type(description="An open store, as its customers see it.")
class Storefront(Store, StoreSetup, OpenNow, ShopNode):
    id: strawberry.ID = id_of("store")

    @strawberry.field(
        graphql_type=Connection[Listing],
        description="What you may see, pinned ones first, then in the owner's order. Listings that are limited to "
        "regions are shown where `region` is one of them, those for some customers to these.",
    )
    @staticmethod
    async def listings(
        root: strawberry.Parent[models.Store],
        info: Info,
        region: str | None = None,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("listing", first, after, key_length=2)

        async def read(shopper: stores.Shopper) -> Any:
            async with info.context.db.read() as session:
                return await stores.listings(session, root.id, shopper, after=page.after, limit=page.limit)

        return page.connection(await seen(info, region, read), stores.shelf_key)

    @strawberry.field(
        graphql_type=Listing | None, description="One product here; null when the store does not show it to you."
    )
    @staticmethod
    async def product(
        root: strawberry.Parent[models.Store],
        info: Info,
        id: strawberry.ID,  # noqa: A002  the argument's name
        region: str | None = None,
    ) -> Any:
        product_id = key_of("product", id)

        async def read(shopper: stores.Shopper) -> Any:
            async with info.context.db.read() as session:
                return await stores.listing(session, root.id, product_id, shopper)

        return await seen(info, region, read)
