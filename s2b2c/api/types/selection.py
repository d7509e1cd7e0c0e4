"""What a distributor may choose for its stores, what it has chosen, and what it would earn."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, NamedTuple

import strawberry

from s2b2c import commissions, models, stores
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.catalogue import Option, Product, options
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.listings import ListingVersion, PastListing
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import moment
from s2b2c.api.types.nodes import PartnerNode
from s2b2c.api.types.storefronts import StoreSetup, StoreThen
from s2b2c.api.types.stores import DISCLOSURE, Segment, Store, StoreState, listing_id
from s2b2c.errors import PriceOutOfBand, Refused


@strawberry.type(description="A variant as you may sell it. Amounts are of one unit.")
class OfferedVariant:
    id: strawberry.ID = id_of("variant")
    sku: str
    options: list[Option] = computed(options)
    in_stock: bool
    cost: Money = strawberry.field(description="What it costs your tier (拿货价).")
    lowest_price: Money = strawberry.field(description="You may not sell it for less (限价).")
    highest_price: Money
    suggested_price: Money
    price: Money = strawberry.field(description="The price that is asked for it.")
    earning: Money = strawberry.field(description="Your commission when a customer pays this price today (预计佣金).")


@strawberry.enum(description="The order of what is on offer.")
class CatalogueSort(Enum):
    NEWEST = "newest"
    PRICE_UP = "price up"
    PRICE_DOWN = "price down"
    BEST_SELLING = "best selling"


@strawberry.enum(description="How dear a product is (价格带), by its suggested price.")
class PriceTier(Enum):
    ENTRY = "entry"
    VALUE = "value"
    MIDDLE = "middle"
    PREMIUM = "premium"
    LUXURY = "luxury"


class _Range(NamedTuple):
    lowest: int
    highest: int


@strawberry.type(description="What differs between the variants of a product.")
class MoneyRange:
    lowest: Money = strawberry.field(description="Of the variant of which it is least.")
    highest: Money = strawberry.field(description="Of the variant of which it is most.")


@strawberry.type(description="A product that you may choose for your stores (选品). Its prices fit every variant.")
class CatalogueProduct(Product, PartnerNode):
    id: strawberry.ID = id_of("product")
    lowest_price: Money
    highest_price: Money
    suggested_price: Money = strawberry.field(description="The suggested price, as far as your band allows it.")
    price_tier: PriceTier = computed(
        lambda row: PriceTier(row.price_tier), description="Which prices the suggested one is among (价格带)."
    )
    in_my_stores: Int64 = strawberry.field(description="How many of your stores list it.")
    stores_like_mine: Int64 = strawberry.field(
        description="How many open stores list it whose owners are of your tier and region (同组), yours among them; "
        "counted every hour."
    )
    units_like_mine: Int64 = strawberry.field(
        description="Units that these stores sold in 30 days; counted every hour."
    )

    @strawberry.field(graphql_type=MoneyRange, description="What one unit costs your tier (拿货价).")
    @staticmethod
    async def cost(root: strawberry.Parent[Any], info: Info) -> _Range:
        return _range([offer.cost for offer in await _offers(root, info)])

    @strawberry.field(
        graphql_type=MoneyRange,
        description="Your commission when a customer pays `suggestedPrice` for one unit today (预计佣金).",
    )
    @staticmethod
    async def earning(root: strawberry.Parent[Any], info: Info) -> _Range:
        return _range([offer.earning for offer in await _offers(root, info)])

    @strawberry.field(
        graphql_type=list[OfferedVariant],
        description="What you could sell, at the suggested price or at one of your own, and what you would earn.",
    )
    @staticmethod
    async def variants(root: strawberry.Parent[Any], info: Info, price: Int64 | None = None) -> Any:
        if price is not None and not root.lowest_price <= price <= root.highest_price:
            raise Refused(
                PriceOutOfBand("No store of yours may ask this price.", root.lowest_price, root.highest_price)
            )
        distributor_id = await info.context.distributor_id()
        return await info.context.load.offers.load((distributor_id, root.id, price))


async def _offers(root: Any, info: Info) -> Sequence[commissions.Offer]:
    return await info.context.load.offers.load((await info.context.distributor_id(), root.id, None))


def _range(amounts: list[int]) -> _Range:
    return _Range(min(amounts), max(amounts))


@strawberry.type(description="A product in one of your stores (选品), as you see it.")
class OwnListing:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = computed(listing_id)
    price: Money
    pitch: str
    position: Int64
    pinned: bool = strawberry.field(description="Shown before all that are not (置顶).")
    regions: list[str] = strawberry.field(description="Of the shoppers it is shown to; all when empty.")
    segments: list[Segment] = strawberry.field(description="Of the customers it is sold to; all when empty.")
    disclosure: str | None = strawberry.field(description=DISCLOSURE)
    listed_at: datetime = strawberry.field(description="When it was chosen (上架).")
    is_shown: bool = computed(
        lambda row: row.product.state == "listed", description="False while the brand does not offer it."
    )
    product: Product

    @strawberry.field(graphql_type=Connection[ListingVersion], description="What it was, newest first: from now back.")
    @staticmethod
    async def history(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("listing-version", first, after, key_length=1)
        wanted = stores.LifePage(root.store_id, root.product_id, page.after[0] if page.after else None, page.limit)
        rows = await info.context.load.listing_versions.load(wanted)
        return page.connection(rows, lambda row: (row.key,))

    @strawberry.field(
        graphql_type=list[OfferedVariant], description="What is sold, and what you earn at the listing's price."
    )
    @staticmethod
    async def variants(root: strawberry.Parent[Any], info: Info) -> Any:
        distributor_id = await info.context.distributor_id()
        return await info.context.load.offers.load((distributor_id, root.product_id, root.price))


@strawberry.type(description="A store of yours.")
class OwnStore(Store, StoreSetup, PartnerNode):
    id: strawberry.ID = id_of("store")
    state: StoreState
    is_model: bool = strawberry.field(description="Whether others may copy it (标杆店).")

    @strawberry.field(
        graphql_type=StoreThen | None,
        description="What it showed at a moment, and why; null before there was one.",
    )
    @staticmethod
    async def at(root: strawberry.Parent[models.Store], info: Info, at: datetime) -> Any:
        return await info.context.load.stores_at.load((root.id, moment(at)))

    @strawberry.field(
        graphql_type=Connection[OwnListing], description="Pinned ones first, then in the order of your choosing."
    )
    @staticmethod
    async def listings(
        root: strawberry.Parent[models.Store], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("own-listing", first, after, key_length=2)
        async with info.context.db.read() as session:
            rows = await stores.own_listings(session, root.id, after=page.after, limit=page.limit)
        return page.connection(rows, stores.shelf_key)

    @strawberry.field(
        graphql_type=Connection[PastListing], description="What it showed at a moment, in the order of then, and why."
    )
    @staticmethod
    async def shelf(
        root: strawberry.Parent[models.Store],
        info: Info,
        at: datetime,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("past-listing", first, after, key_length=3)
        async with info.context.db.read() as session:
            rows = await stores.listings_at(session, root.id, moment(at), after=page.after, limit=page.limit)
        return page.connection(rows, stores.past_shelf_key)


@strawberry.input(description="A product to choose for a store.")
class ProductChoice:
    product: strawberry.ID = strawberry.field(description="The `id` of the product.")
    price: Int64 | None = strawberry.field(default=None, description="In fen; the suggested price when left out.")
    pitch: str = strawberry.field(default="", description="Your own words.")
    regions: list[str] = strawberry.field(
        default_factory=list, description="Of the shoppers it is shown to; all when empty."
    )
    segments: list[Segment] = strawberry.field(
        default_factory=list, description="Of the customers it is sold to; all when empty."
    )


@strawberry.input(description="What shall be different about a listing; what is left out stays.")
class ListingChange:
    product: strawberry.ID = strawberry.field(description="The `id` of the product.")
    price: Int64 | None = strawberry.field(default=None, description="In fen.")
    pitch: str | None = None
    pinned: bool | None = strawberry.field(
        default=None, description="Whether it is shown before all that are not (置顶)."
    )
    regions: list[str] | None = strawberry.field(
        default=None, description="Of the shoppers it is shown to; all when empty."
    )
    segments: list[Segment] | None = strawberry.field(
        default=None, description="Of the customers it is sold to; all when empty."
    )


@strawberry.type(description="A product that a store no longer shows.")
class ListingRemoved:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    product: strawberry.ID = computed(
        lambda product_id: encode("product", product_id), description="The `id` of the product."
    )


SelectProductResult = Annotated[
    OwnListing
    | errors.NotFound
    | errors.AlreadyTaken
    | errors.NotSelectable
    | errors.PriceOutOfBand
    | errors.BreaksBrandRules
    | errors.WrongState
    | errors.BadArgument,
    strawberry.union("SelectProductResult"),
]
UpdateListingResult = Annotated[
    OwnListing
    | errors.NotFound
    | errors.NotSelectable
    | errors.PriceOutOfBand
    | errors.BreaksBrandRules
    | errors.WrongState
    | errors.BadArgument,
    strawberry.union("UpdateListingResult"),
]
RemoveListingResult = Annotated[
    ListingRemoved | errors.NotFound | errors.WrongState | errors.BadArgument,
    strawberry.union("RemoveListingResult"),
]


@strawberry.type(description="What became of each choice, in the order of the request.")
class ProductsSelected:
    results: list[Any] = strawberry.field(graphql_type=list[SelectProductResult])


@strawberry.type(description="What became of each change, in the order of the request.")
class ListingsUpdated:
    results: list[Any] = strawberry.field(graphql_type=list[UpdateListingResult])


@strawberry.type(description="What became of each product, in the order of the request.")
class ListingsRemoved:
    results: list[Any] = strawberry.field(graphql_type=list[RemoveListingResult])


SelectProductsResult = Annotated[
    ProductsSelected | errors.NotFound | errors.WrongState | errors.BadArgument,
    strawberry.union("SelectProductsResult"),
]
UpdateListingsResult = Annotated[
    ListingsUpdated | errors.NotFound | errors.WrongState | errors.BadArgument,
    strawberry.union("UpdateListingsResult"),
]
RemoveListingsResult = Annotated[
    ListingsRemoved | errors.NotFound | errors.WrongState | errors.BadArgument,
    strawberry.union("RemoveListingsResult"),
]
ReorderListingsResult = Annotated[
    OwnStore | errors.NotFound | errors.WrongState | errors.BadArgument,
    strawberry.union("ReorderListingsResult"),
]
