"""What stores sold (产值), for a brand of its own products and for the operator of all: one shape, behind two doors."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import strawberry

from s2b2c import output
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.periods import TEN_YEARS, From, To, check_period
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.output import (
    Distribution,
    PeriodOutput,
    ProductOutput,
    RegionOutput,
    SellThrough,
    Span,
    StoreOutput,
    StoreSort,
    TierOutput,
    UnsoldListing,
)
from s2b2c.db import AnyRow
from s2b2c.output import Scope

OfBrand = Annotated[strawberry.ID | None, strawberry.argument(description="Only this brand.")]
Product = Annotated[strawberry.ID | None, strawberry.argument(description="Only this product.")]
InStore = Annotated[strawberry.ID | None, strawberry.argument(description="Only what this store sold.")]
Region = Annotated[str | None, strawberry.argument(description="Only stores of this region.")]
Tier = Annotated[strawberry.ID | None, strawberry.argument(description="Only stores whose owner stands on this tier.")]
LeastFirst = Annotated[bool, strawberry.argument(description="From the tail up, instead of from the top down.")]

Read = Callable[..., Awaitable[Sequence[AnyRow]]]


def scope_of(
    start: From,
    end: To,
    *,
    brand_id: int | None,
    product: str | None = None,
    store: str | None = None,
    region: str | None = None,
    tier: str | None = None,
    most_days: int | None = TEN_YEARS,
) -> Scope:
    """Raises Refused(BadArgument)."""
    check_period(start, end, most_days=most_days)
    return Scope(
        start,
        end,
        brand_id,
        None if product is None else key_of("product", product),
        None if store is None else key_of("store", store),
        region,
        None if tier is None else key_of("tier", tier),
    )


@strawberry.type(
    description="What stores sold (产值) in a period: of the brand, product, store, region and tier that were chosen. "
    "Where no product is chosen, an order counts once for each brand in it."
)
class Sales:
    scope: strawberry.Private[Scope]

    async def _page(
        self, info: Info, page: Page, read: Read, key: Callable[[Any], tuple[int, ...]], **options: Any
    ) -> Connection[Any]:
        async with info.context.db.read() as session:
            rows = await read(session, self.scope, **options, after=page.after, limit=page.limit)
        return page.connection(rows, key)

    @strawberry.field(
        graphql_type=Connection[StoreOutput],
        description="By store (单店产值): those with a sale or a refund then or in the equally long period right "
        "before, and those that listed something, also in vain. Shares and cohorts are of all stores.",
    )
    async def stores(
        self,
        info: Info,
        sort: StoreSort = StoreSort.OUTPUT,
        least_first: LeastFirst = False,  # noqa: FBT002  passed by name by the library
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page(f"sales-store-{sort.value}-{least_first}", first, after, key_length=2)
        return await self._page(
            info,
            page,
            output.by_store,
            lambda row: (getattr(row, sort.value), row.store.id),
            sort=sort.value,
            least_first=least_first,
        )

    @strawberry.field(graphql_type=Connection[RegionOutput], description="By the region of the store, most first.")
    async def regions(self, info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("sales-region", first, after, key_length=2)
        return await self._page(info, page, output.by_region, lambda row: (row.output, row.first_store_id))

    @strawberry.field(graphql_type=Connection[TierOutput], description="By the tier of the owner (层级), most first.")
    async def tiers(self, info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("sales-tier", first, after, key_length=2)
        return await self._page(info, page, output.by_tier, lambda row: (row.output, row.tier.id))

    @strawberry.field(
        graphql_type=Connection[ProductOutput],
        description="By product: those with a sale or a refund then or in the equally long period right before, and "
        "those that some store listed. An order with two products counts for both, so orders do not add up.",
    )
    async def products(
        self,
        info: Info,
        least_first: LeastFirst = False,  # noqa: FBT002
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page(f"sales-product-{least_first}", first, after, key_length=2)
        return await self._page(
            info, page, output.by_product, lambda row: (row.output, row.product.id), least_first=least_first
        )

    @strawberry.field(
        graphql_type=Connection[PeriodOutput],
        description="By day, week or month, in order of time; periods without a sale are there.",
    )
    async def periods(
        self, info: Info, by: Span, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page(f"sales-{by.value}", first, after, key_length=1)
        return await self._page(info, page, output.by_period, lambda row: (row.start.toordinal(),), by=by.value)

    @strawberry.field(
        graphql_type=Distribution,
        description="How output is spread over the stores that had a sale or a refund, or listed something.",
    )
    async def distribution(self, info: Info) -> Any:
        async with info.context.db.read() as session:
            return await output.spread(session, self.scope)

    @strawberry.field(
        graphql_type=Connection[SellThrough],
        description="How much of what each store listed was sold (动销率), of the stores that listed something.",
    )
    async def sell_through(
        self,
        info: Info,
        least_first: LeastFirst = True,  # noqa: FBT002
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page(f"sales-sell-through-{least_first}", first, after, key_length=2)
        return await self._page(
            info, page, output.sell_through, lambda row: (row.bps, row.store.id), least_first=least_first
        )

    @strawberry.field(
        graphql_type=Connection[UnsoldListing],
        description="Listings live in the period that sold nothing in it which was kept, the longest listed first.",
    )
    async def never_sold(self, info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("sales-never-sold", first, after, key_length=3)
        return await self._page(info, page, output.never_sold, lambda row: (row.at, row.store.id, row.product.id))


@strawberry.type
class BrandSales:
    """The field of the door of brands."""

    @strawberry.field(
        graphql_type=Sales,
        description="What stores sold of your products (产值) from the day `from` up to, not with, the day `to`.",
    )
    @staticmethod
    async def sales(
        info: Info,
        start: From,
        end: To,
        product: Product = None,
        store: InStore = None,
        region: Region = None,
        tier: Tier = None,
    ) -> Sales:
        brand_id = await info.context.brand_id()
        return Sales(
            scope=scope_of(start, end, brand_id=brand_id, product=product, store=store, region=region, tier=tier)
        )


@strawberry.type
class AllSales:
    """The field of the door of the operator."""

    @strawberry.field(
        graphql_type=Sales,
        description="What stores sold (产值) of all brands, or of one, from the day `from` up to, not with, the day "
        "`to`.",
    )
    @staticmethod
    async def sales(
        info: Info,  # noqa: ARG004  every field of a door takes it
        start: From,
        end: To,
        brand: OfBrand = None,
        product: Product = None,
        store: InStore = None,
        region: Region = None,
        tier: Tier = None,
    ) -> Sales:
        brand_id = None if brand is None else key_of("brand", brand)
        return Sales(
            scope=scope_of(start, end, brand_id=brand_id, product=product, store=store, region=region, tier=tier)
        )
