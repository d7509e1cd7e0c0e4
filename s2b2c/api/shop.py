"""The door of customers: what anybody may see of an open store."""

import strawberry

from s2b2c import models, stores
from s2b2c.api.context import Info
from s2b2c.api.types.stores import Storefront


@strawberry.type(description="What customers see.")
class ShopQuery:
    @strawberry.field(graphql_type=Storefront | None, description="An open store; null when there is none.")
    async def store(self, info: Info, slug: str) -> models.Store | None:
        async with info.context.db.read() as session:
            return await stores.open_store(session, slug)
