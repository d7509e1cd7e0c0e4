"""The door of distributors and group leaders: their own stores, what they may choose, what they earn."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, TypedDict, TypeVar

import strawberry

from s2b2c import catalogue, commissions, directory, models, network, orders, output, settlements, stores
from s2b2c.accounts import Viewer
from s2b2c.api.access import PartnerDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.notices import Told, told
from s2b2c.api.payouts import PaidOut
from s2b2c.api.periods import YEAR, From, To, check_period
from s2b2c.api.ranking import OwnRanking
from s2b2c.api.recruiting import Inviting
from s2b2c.api.statements import Statements
from s2b2c.api.storefronts import ModelStores
from s2b2c.api.types.customers import BoundCustomer, RefusedTouch, ShareLink, TouchSide
from s2b2c.api.types.earnings import Earnings, LineEarning, TeamBranch
from s2b2c.api.types.errors import BadArgument, NotFound, WrongState
from s2b2c.api.types.explanations import OrderState, commission_key
from s2b2c.api.types.ids import check_count, key_of, keys_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.network import Distributor
from s2b2c.api.types.nodes import PartnerNode, Shown, only, read_node
from s2b2c.api.types.orders import SoldOrder
from s2b2c.api.types.selection import (
    CatalogueProduct,
    CatalogueSort,
    ListingChange,
    ListingsRemoved,
    ListingsUpdated,
    OwnStore,
    PriceTier,
    ProductChoice,
    ProductsSelected,
    RemoveListingResult,
    RemoveListingsResult,
    ReorderListingsResult,
    SelectProductResult,
    SelectProductsResult,
    UpdateListingResult,
    UpdateListingsResult,
)
from s2b2c.api.types.settlements import Statement
from s2b2c.catalogue import OnOffer
from s2b2c.db import AnyRow
from s2b2c.errors import Refusal, Refused
from s2b2c.stores import Change, Choice, OwnListing

Done = TypeVar("Done")


@strawberry.type(description="What a distributor sees of its own.")
class PartnerQuery(Told, Statements, PaidOut, ModelStores, OwnRanking, Inviting):
    @strawberry.field(
        graphql_type=PartnerNode | None,
        description="Anything of yours, or a product that you may choose, by its id; null when there is none.",
    )
    @staticmethod
    async def node(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        mine, now = await info.context.distributor_id(), info.context.clock()
        return await read_node(
            info,
            id,
            {
                "store": Shown(
                    OwnStore, lambda session, key: only(partial(stores.own_stores, session, mine), key, step=1)
                ),
                "product": Shown(CatalogueProduct, lambda session, key: catalogue.one_on_offer(session, mine, *key)),
                "order": Shown(
                    SoldOrder,
                    lambda session, key: only(
                        partial(orders.orders_of_seller, session, mine, state=None), key, step=-1
                    ),
                    key_length=2,
                ),
                "commission": Shown(
                    LineEarning, lambda session, key: commissions.earnings_of(session, mine, key, now), key_length=3
                ),
                "statement": Shown(
                    Statement, lambda session, key: settlements.statement(session, *key, distributor_id=mine)
                ),
                "notice": told(distributor_id=mine),
            },
        )

    @strawberry.field(graphql_type=Distributor, description="Where you stand in the network.")
    @staticmethod
    async def me(root: strawberry.Parent[Viewer], info: Info) -> network.Standing | None:
        assert root.distributor_id is not None, "a distributor's account has a distributor"
        async with info.context.db.read() as session:
            return await directory.distributor(session, root.distributor_id)

    @strawberry.field(
        graphql_type=Connection[CatalogueProduct],
        description="What you may choose for your stores (选品). Of a search the newest come first of those with all "
        "its words in their titles, then of those with all its characters in titles, codes, SKUs, options, categories, "
        "tags or names of brands; where there are none, of those that lack one character or word. Prices are the "
        "brands' suggested ones.",
    )
    @staticmethod
    async def catalogue(
        info: Info,
        search: str | None = None,
        brand: strawberry.ID | None = None,
        category: str | None = None,
        tags: list[str] | None = None,
        price_tier: PriceTier | None = None,
        price_from: Int64 | None = None,
        price_to: Int64 | None = None,
        margin_from_bps: int | None = None,
        *,
        in_stock: bool = False,
        is_new: bool = False,
        sells_like_mine: bool = False,
        sort: CatalogueSort = CatalogueSort.NEWEST,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page(f"catalogue-{sort.name}", first, after, key_length=2)
        wanted = catalogue.Wanted(
            search,
            None if brand is None else key_of("brand", brand),
            category,
            tags or (),
            price_tier and price_tier.value,
            price_from,
            price_to,
            margin_from_bps,
            in_stock,
            is_new,
            sells_like_mine,
        )
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            rows = await catalogue.on_offer(
                session,
                distributor_id,
                wanted,
                now=info.context.clock(),
                sort=sort.value,
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, lambda row: row.key)

    @strawberry.field(
        graphql_type=CatalogueProduct | None,
        description="One product of the catalogue; null when you cannot choose it.",
    )
    @staticmethod
    async def product(info: Info, id: strawberry.ID) -> OnOffer | None:  # noqa: A002  the name of the argument
        product_id = key_of("product", id)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            return await catalogue.one_on_offer(session, distributor_id, product_id)

    @strawberry.field(graphql_type=OwnStore | None, description="A store of yours; null when you have none like this.")
    @staticmethod
    async def store(info: Info, slug: str) -> models.Store | None:
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            return await stores.own_store(session, distributor_id, slug)

    @strawberry.field(graphql_type=Connection[OwnStore], description="Your stores, the first one first.")
    @staticmethod
    async def stores(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("own-store", first, after, key_length=1)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            rows = await stores.own_stores(session, distributor_id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=Earnings, description="What you earn, and where the money stands.")
    @staticmethod
    async def earnings(info: Info) -> commissions.Earnings:
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            return await commissions.earnings(session, distributor_id, info.context.clock())

    @strawberry.field(
        graphql_type=LineEarning | None, description="One of your commissions (佣金); null when it is none."
    )
    @staticmethod
    async def commission(info: Info, id: strawberry.ID) -> AnyRow | None:  # noqa: A002
        key = commission_key(id)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            return await commissions.earnings_of(session, distributor_id, key, info.context.clock())

    @strawberry.field(
        graphql_type=Connection[TeamBranch],
        description="What your branches sold from the day `from` up to, not with, the day `to`: one total for each "
        "direct downline with everybody below it, most output first.",
    )
    @staticmethod
    async def team(
        info: Info, start: From, end: To, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        check_period(start, end, most_days=YEAR)
        page = Page("team", first, after, key_length=2)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            rows = await output.by_branch(
                session, distributor_id, start=start, end=end, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.output, row.distributor.id))

    @strawberry.field(graphql_type=Connection[SoldOrder], description="What your customers ordered, newest first.")
    @staticmethod
    async def orders(
        info: Info, state: OrderState | None = None, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("sold-order", first, after, key_length=1)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            rows = await orders.orders_of_seller(
                session, distributor_id, state=state and state.value, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[BoundCustomer], description="Your customers now (锁客), whom you won last first."
    )
    @staticmethod
    async def customers(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("bound-customer", first, after, key_length=1)
        distributor_id, now = await info.context.distributor_id(), info.context.clock()
        async with info.context.db.read() as session:
            rows = await network.own_customers(session, distributor_id, now=now, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[RefusedTouch],
        description="The evidence of customers whom two wanted: links that were opened and took nobody over, newest "
        "first.",
    )
    @staticmethod
    async def refused_touches(
        info: Info, side: TouchSide = TouchSide.REFUSED, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page(f"refused-touch-{side.value}", first, after, key_length=1)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            rows = await network.refusals(session, distributor_id, side.value, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))


@strawberry.type
class PartnerMutation:
    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=Annotated[ShareLink | NotFound | WrongState | BadArgument, strawberry.union("ShareResult")],
        description="Get the code of a link to a store of your branch (分支), or to a product in it: who opens it may "
        "become your customer (锁客).",
    )
    async def share(self, info: Info, store: strawberry.ID, product: strawberry.ID | None = None) -> models.ShareLink:
        store_id = key_of("store", store)
        product_id = None if product is None else key_of("product", product)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.write() as session:
            return await network.share(
                session, store_id, distributor_id, product_id=product_id, now=info.context.clock()
            )

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=SelectProductResult,
        description="Choose a product for a store (选品); it comes behind all others.",
    )
    async def select_product(self, info: Info, store: strawberry.ID, product: ProductChoice) -> OwnListing:
        return _only(await _select(info, store, [product]))

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=SelectProductsResult,
        description="Choose 1 to 500 products at once. What cannot be chosen says why; the rest are in the store.",
    )
    async def select_products(
        self, info: Info, store: strawberry.ID, products: list[ProductChoice]
    ) -> ProductsSelected:
        return ProductsSelected(results=await _select(info, store, products))

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=UpdateListingResult,
        description="Change price, words, pin or visibility of a listing.",
    )
    async def update_listing(self, info: Info, store: strawberry.ID, listing: ListingChange) -> OwnListing:
        return _only(await _update(info, store, [listing]))

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=UpdateListingsResult,
        description="Change 1 to 500 listings at once. What cannot be changed says why; the rest are changed.",
    )
    async def update_listings(self, info: Info, store: strawberry.ID, listings: list[ListingChange]) -> ListingsUpdated:
        return ListingsUpdated(results=await _update(info, store, listings))

    @strawberry.mutation(
        permission_classes=[PartnerDoor], graphql_type=RemoveListingResult, description="Take a product out of a store."
    )
    async def remove_listing(self, info: Info, store: strawberry.ID, product: strawberry.ID) -> int:
        return _only(await _remove(info, store, [product]))

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=RemoveListingsResult,
        description="Take 1 to 500 products out of a store. What was not there says so; the rest are gone.",
    )
    async def remove_listings(self, info: Info, store: strawberry.ID, products: list[strawberry.ID]) -> ListingsRemoved:
        return ListingsRemoved(results=await _remove(info, store, products))

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=ReorderListingsResult,
        description="Put the listings of 1 to 500 products, in this order, right behind the one of the product "
        "`behind`, or before all others. Pinned ones stay before those that are not.",
    )
    async def reorder_listings(
        self, info: Info, store: strawberry.ID, products: list[strawberry.ID], behind: strawberry.ID | None = None
    ) -> AnyRow:
        store_id, product_ids = key_of("store", store), keys_of("product", products)
        anchor = None if behind is None else key_of("product", behind)
        by = await _changer(info)
        async with info.context.db.write() as session:
            return await stores.reorder_listings(session, store_id, product_ids, behind=anchor, **by)


async def _select(info: Info, store: strawberry.ID, products: list[ProductChoice]) -> list[OwnListing | Refusal]:
    check_count("product", products)
    store_id = key_of("store", store)
    choices = [
        Choice(
            key_of("product", choice.product),
            choice.price,
            choice.pitch,
            choice.regions,
            [str(segment.value) for segment in choice.segments],
        )
        for choice in products
    ]
    by = await _changer(info)
    async with info.context.db.write() as session:
        return await stores.select_products(session, store_id, choices, **by)


async def _update(info: Info, store: strawberry.ID, listings: list[ListingChange]) -> list[OwnListing | Refusal]:
    check_count("listing", listings)
    store_id = key_of("store", store)
    changes = [
        Change(
            key_of("product", change.product),
            change.price,
            change.pitch,
            change.pinned,
            change.regions,
            None if change.segments is None else [str(segment.value) for segment in change.segments],
        )
        for change in listings
    ]
    by = await _changer(info)
    async with info.context.db.write() as session:
        return await stores.update_listings(session, store_id, changes, **by)


async def _remove(info: Info, store: strawberry.ID, products: list[strawberry.ID]) -> list[int | Refusal]:
    store_id, product_ids = key_of("store", store), keys_of("product", products)
    by = await _changer(info)
    async with info.context.db.write() as session:
        return await stores.remove_listings(session, store_id, product_ids, **by)


class _Changer(TypedDict):
    distributor_id: int
    account_id: int
    now: datetime


async def _changer(info: Info) -> _Changer:
    """Whose stores are changed, by whom, and when."""
    return {
        "distributor_id": await info.context.distributor_id(),
        "account_id": (await info.context.viewer()).account_id,
        "now": info.context.clock(),
    }


def _only(results: list[Done | Refusal]) -> Done:
    """What became of the one that was asked for. Raises Refused."""
    (result,) = results
    if isinstance(result, Refusal):
        raise Refused(result)
    return result
