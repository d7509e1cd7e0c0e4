"""The door of brands: a brand's own figures, never another's."""

from datetime import date, timedelta
from typing import Annotated, Any

import strawberry

from s2b2c import catalogue, output, settlements
from s2b2c.accounts import Viewer
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.notices import Told
from s2b2c.api.statements import Statements
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.output import PeriodOutput, Span, StoreOutput, StoreSort, StoreWithoutSales
from s2b2c.api.types.supply import Payable, ProductState, SupplyProduct
from s2b2c.errors import BadArgument, Refused

From = Annotated[date, strawberry.argument(name="from", description="The first day that counts, in Asia/Shanghai.")]
To = Annotated[date, strawberry.argument(name="to", description="The first day that does not count.")]

_TEN_YEARS = timedelta(days=3653)


def _brand_id(viewer: Viewer) -> int:
    assert viewer.brand_id is not None, "a brand's account has a brand"
    return viewer.brand_id


def _check_period(start: date, end: date) -> None:
    """Raises Refused(BadArgument). The database takes the ends of the calendar for infinity, so they are no dates."""
    if start >= end:
        raise Refused(BadArgument(f"from ({start}) must be before to ({end}), the first day that does not count."))
    if start.year < 1900 or end.year > 2999:
        raise Refused(BadArgument(f"from ({start}) and to ({end}) must lie in the years 1900 to 2999."))


@strawberry.type(description="What a brand sees of its own.")
class BrandQuery(Told, Statements):
    name: str

    @strawberry.field(
        graphql_type=Connection[SupplyProduct],
        description="What you supply, newest first. `search` is part of a title, of a code or of a SKU.",
    )
    @staticmethod
    async def products(
        root: strawberry.Parent[Viewer],
        info: Info,
        search: str | None = None,
        state: ProductState | None = None,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("supply", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await catalogue.products_of_brand(
                session,
                _brand_id(root),
                search=search,
                state=None if state is None else state.value,
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[StoreOutput],
        description="What each store sold of the brand (单店产值) from the day `from` up to, not with, the day `to`: "
        "every store with a sale or a refund then or in the equally long period right before. `region` and `tier`, of "
        "the owner, choose the stores that are shown; shares are of all stores.",
    )
    @staticmethod
    async def stores(
        root: strawberry.Parent[Viewer],
        info: Info,
        start: From,
        end: To,
        region: str | None = None,
        tier: strawberry.ID | None = None,
        sort: StoreSort = StoreSort.OUTPUT,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        _check_period(start, end)
        page = Page(f"store-{sort.value}", first, after, key_length=2)
        async with info.context.db.read() as session:
            rows = await output.by_store(
                session,
                _brand_id(root),
                start=start,
                end=end,
                region=region,
                tier_id=None if tier is None else key_of("tier", tier),
                sort=sort.value,
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, lambda row: (getattr(row, sort.value), row.store.id))

    @strawberry.field(
        graphql_type=Connection[PeriodOutput],
        description="What all stores together sold of the brand (产值) by day, week or month, in order of time, over "
        "at most ten years; periods without a sale are there.",
    )
    @staticmethod
    async def output(
        root: strawberry.Parent[Viewer],
        info: Info,
        start: From,
        end: To,
        by: Span,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        _check_period(start, end)
        if end - start > _TEN_YEARS:
            raise Refused(BadArgument(f"From {start} to {end} is more than ten years; ask for less at once."))
        page = Page(f"output-{by.value}", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await output.by_period(
                session, _brand_id(root), start=start, end=end, by=by.value, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.start.toordinal(),))

    @strawberry.field(
        graphql_type=Connection[StoreWithoutSales],
        description="Open stores that list products of the brand since before `to`, and sold none of its products from "
        "`from` up to, not with, `to`.",
    )
    @staticmethod
    async def stores_without_sales(
        root: strawberry.Parent[Viewer],
        info: Info,
        start: From,
        end: To,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        _check_period(start, end)
        page = Page("store-without-sales", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await output.stores_without_sales(
                session, _brand_id(root), start=start, end=end, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.store.id,))

    @strawberry.field(graphql_type=Payable, description="What the platform owes you.")
    @staticmethod
    async def payable(root: strawberry.Parent[Viewer], info: Info) -> Any:
        async with info.context.db.read() as session:
            return await settlements.payable(session, _brand_id(root))
