"""What any store showed on a day: for whoever runs the network."""

from datetime import datetime
from typing import Any

import strawberry

from s2b2c import stores
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.listings import PastListing
from s2b2c.api.types.network import moment


@strawberry.type
class Shelves:
    @strawberry.field(
        graphql_type=Connection[PastListing],
        description="What a store showed at a moment, in the order of then, and why; nothing where it is no store.",
    )
    @staticmethod
    async def store_shelf(
        info: Info, store: strawberry.ID, at: datetime, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("past-listing", first, after, key_length=3)
        store_id = key_of("store", store)
        async with info.context.db.read() as session:
            rows = await stores.listings_at(session, store_id, moment(at), after=page.after, limit=page.limit)
        return page.connection(rows, stores.past_shelf_key)
