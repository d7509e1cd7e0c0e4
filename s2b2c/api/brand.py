"""The door of brands: a brand's own figures, never another's."""

from datetime import date
from typing import Annotated, Any

import strawberry

from s2b2c import stores
from s2b2c.accounts import Viewer
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.notices import Told
from s2b2c.api.types.stores import StoreOutput
from s2b2c.errors import BadArgument, Refused


@strawberry.type(description="What a brand sees of its own.")
class BrandQuery(Told):
    name: str

    @strawberry.field(
        graphql_type=Connection[StoreOutput],
        description="What each store sold of the brand (单店产值) from the day `from` up to, not with, the day `to`, "
        "in Asia/Shanghai; most output first.",
    )
    @staticmethod
    async def stores(
        root: strawberry.Parent[Viewer],
        info: Info,
        start: Annotated[date, strawberry.argument(name="from")],
        end: Annotated[date, strawberry.argument(name="to")],
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        if start >= end:
            raise Refused(BadArgument(f"from ({start}) must be before to ({end}), the first day that does not count."))
        assert root.brand_id is not None, "a brand's account has a brand"
        page = Page("store-output", first, after, key_length=2)
        async with info.context.db.read() as session:
            rows = await stores.output_of_brand(
                session, root.brand_id, start=start, end=end, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.output, row.store.id))
