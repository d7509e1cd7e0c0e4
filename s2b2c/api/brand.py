"""The door of brands: a brand's own figures, never another's."""

from functools import partial
from typing import Annotated, Any

import strawberry

from s2b2c import catalogue, errors, orders, output, privacy, settlements
from s2b2c.api.access import BrandDoor
from s2b2c.api.asked import asked
from s2b2c.api.brand_products import OwnProducts
from s2b2c.api.bulk import BulkEdits, edited
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.notices import Told, told
from s2b2c.api.payouts import PaidOut
from s2b2c.api.periods import TEN_YEARS, From, To, check_period
from s2b2c.api.pricing import Rules
from s2b2c.api.privacy import reader_of
from s2b2c.api.reviews import Withdrawals
from s2b2c.api.sales import BrandSales, scope_of
from s2b2c.api.sales_exports import SalesExports, exported
from s2b2c.api.statements import Statements
from s2b2c.api.storefronts import BrandPersona
from s2b2c.api.types.errors import BadArgument, NotFound, WrongState
from s2b2c.api.types.nodes import BrandNode, Shown, only, read_node
from s2b2c.api.types.orders import ParcelInput, ParcelsShipped, SupplyOrder, SupplyOrderState, order_key
from s2b2c.api.types.output import PeriodOutput, Span, StoreOutput, StoreSort, StoreWithoutSales
from s2b2c.api.types.settlements import Statement
from s2b2c.api.types.supply import Payable, ProductState, SupplyProduct
from s2b2c.errors import Refused


@strawberry.type(description="What a brand sees of its own.")
class BrandQuery(
    Told, Statements, PaidOut, Rules, BrandPersona, BulkEdits, OwnProducts, Withdrawals, BrandSales, SalesExports
):
    name: str = strawberry.field(description="Yours, as everybody sees it.")

    @strawberry.field(graphql_type=BrandNode | None, description="Anything of yours by its id; null when it is none.")
    @staticmethod
    async def node(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        mine, look = await info.context.brand_id(), await _look(info)
        return await read_node(
            info,
            id,
            {
                "product": Shown(
                    SupplyProduct,
                    lambda session, key: only(
                        partial(catalogue.products_of_brand, session, mine, search=None, state=None), key, step=-1
                    ),
                ),
                "supply-order": Shown(
                    SupplyOrder,
                    lambda session, key: orders.supply_order(session, mine, key, look=look),
                    key_length=2,
                    is_recorded=look is not None,
                ),
                "statement": Shown(Statement, lambda session, key: settlements.statement(session, *key, brand_id=mine)),
                "notice": told(brand_id=mine),
                **edited(mine),
                **exported((await info.context.viewer()).account_id),
            },
        )

    @strawberry.field(
        graphql_type=Connection[SupplyProduct],
        description="What you supply, newest first. `search` is part of a title, of a code or of a SKU.",
    )
    @staticmethod
    async def products(
        info: Info,
        search: str | None = None,
        state: ProductState | None = None,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("supply", first, after, key_length=1)
        brand_id = await info.context.brand_id()
        async with info.context.db.read() as session:
            rows = await catalogue.products_of_brand(
                session,
                brand_id,
                search=search,
                state=None if state is None else state.value,
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[StoreOutput],
        description="What each store sold of the brand (单店产值) from the day `from` up to, not with, the day `to`: "
        "every store with a sale or a refund then or in the equally long period right before, and every store that "
        "listed something, also in vain. `region` and `tier`, of the owner, choose the stores that are shown; shares "
        "are of all stores.",
    )
    @staticmethod
    async def stores(
        info: Info,
        start: From,
        end: To,
        region: str | None = None,
        tier: strawberry.ID | None = None,
        sort: StoreSort = StoreSort.OUTPUT,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        check_period(start, end)
        page = Page(f"store-{sort.value}", first, after, key_length=2)
        brand_id = await info.context.brand_id()
        scope = scope_of(start, end, brand_id=brand_id, region=region, tier=tier, most_days=None)
        async with info.context.db.read() as session:
            rows = await output.by_store(
                session,
                scope,
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
        info: Info,
        start: From,
        end: To,
        by: Span,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        check_period(start, end, most_days=TEN_YEARS)
        page = Page(f"output-{by.value}", first, after, key_length=1)
        brand_id = await info.context.brand_id()
        async with info.context.db.read() as session:
            rows = await output.by_period(
                session, scope_of(start, end, brand_id=brand_id), by=by.value, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.start.toordinal(),))

    @strawberry.field(
        graphql_type=Connection[StoreWithoutSales],
        description="Open stores that list products of the brand since before `to`, and sold none of its products from "
        "`from` up to, not with, `to`.",
    )
    @staticmethod
    async def stores_without_sales(
        info: Info,
        start: From,
        end: To,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        check_period(start, end)
        page = Page("store-without-sales", first, after, key_length=1)
        brand_id = await info.context.brand_id()
        async with info.context.db.read() as session:
            rows = await output.stores_without_sales(
                session, brand_id, start=start, end=end, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.store.id,))

    @strawberry.field(graphql_type=Payable, description="What the platform owes you.")
    @staticmethod
    async def payable(info: Info) -> Any:
        brand_id = await info.context.brand_id()
        async with info.context.db.read() as session:
            return await settlements.payable(session, brand_id)

    @strawberry.field(
        graphql_type=Connection[SupplyOrder],
        description="What you ship (一件代发): your lines of orders that were paid. What waits to be shipped comes the "
        "oldest first, all else the newest first. A look at where it goes is on record.",
    )
    @staticmethod
    async def supply_orders(
        info: Info,
        state: SupplyOrderState = SupplyOrderState.TO_SHIP,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page(f"supply-order-{state.value}", first, after, key_length=1)
        brand_id = await info.context.brand_id()
        look = await _look(info, "edges", "node")
        async with info.context.db.read() if look is None else info.context.db.write() as session:
            rows = await orders.supply_orders(
                session, brand_id, state.value, after=page.after, limit=page.limit, look=look
            )
        return page.connection(rows, lambda row: (row.id,))


async def _look(info: Info, *path: str) -> privacy.Look | None:
    """What is seen of where supply orders go that are asked for at this path; None where it is nothing."""
    kinds, on_label = asked(info, *path) & {"region"}, asked(info, *path, "label") & {"region", "street"}
    if not kinds and not on_label:
        return None
    return privacy.Look(reader_of(await info.context.viewer()), info.context.clock(), kinds, on_label)


@strawberry.type
class BrandMutation:
    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=Annotated[
            ParcelsShipped | NotFound | WrongState | BadArgument, strawberry.union("ShipParcelsResult")
        ],
        description="Tell that 1 to 100 parcels have left, at most one of a supply order: all of them or none. With "
        "its last parcel an order is shipped; one that was told before changes nothing.",
    )
    async def ship_parcels(self, info: Info, parcels: list[ParcelInput]) -> int:
        told = [_parcel(parcel) for parcel in parcels]
        brand_id = await info.context.brand_id()
        async with info.context.db.write() as session:
            return await orders.ship(session, told, brand_id=brand_id, now=info.context.clock())


def _parcel(parcel: ParcelInput) -> orders.Parcel:
    """Raises Refused(BadArgument)."""
    lines = parcel.lines or []
    quantities = {int(line.line_no): int(line.quantity) for line in lines}
    if len(quantities) < len(lines) or (parcel.lines is not None and not lines):
        raise Refused(errors.BadArgument("A parcel names each line once, and at least one; or leave its lines out."))
    return orders.Parcel(
        *order_key(parcel.supply_order, "supply-order"), parcel.carrier, parcel.tracking_no, quantities
    )
