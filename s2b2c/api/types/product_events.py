"""The record of what became of a product."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c import catalogue
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import ChangedBy


@strawberry.enum(description="What became of a product.")
class ProductEventKind(Enum):
    CREATED = "created"
    SUBMITTED = "submitted"
    TAKEN_BACK = "taken_back"
    APPROVED = "approved"
    REJECTED = "rejected"
    LISTED = "listed"
    WITHDRAWN = "withdrawn"


@strawberry.type(description="What taking a product off the market (撤架) reached.")
class Withdrawn:
    stores: Int64 = strawberry.field(description="Stores whose listing of it ended.")
    distributors: Int64 = strawberry.field(description="Owners of these, who were told.")
    orders: Int64 = strawberry.field(description="Orders that waited for payment and were cancelled.")
    amount: Money = strawberry.field(description="What its own lines in these orders cost.")


@strawberry.type(description="Something that became of a product.")
class ProductEvent:
    at: datetime = strawberry.field(description="When that was.")
    kind: ProductEventKind
    reason: str | None = strawberry.field(description="Why it was rejected or withdrawn; else null.")

    @strawberry.field(description="What a withdrawal reached; null of anything else.")
    @staticmethod
    def withdrawn(root: strawberry.Parent[Any]) -> Withdrawn | None:
        return Withdrawn(**root.facts) if root.kind == "withdrawn" else None

    @strawberry.field(graphql_type=ChangedBy, description="Who did it.")
    @staticmethod
    async def by(root: strawberry.Parent[Any], info: Info) -> Any:
        return await info.context.load.accounts.load(root.account_id)


@strawberry.type
class HasEvents:
    @strawberry.field(graphql_type=Connection[ProductEvent], description="What became of it, newest first.")
    @staticmethod
    async def events(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("product-event", first, after, key_length=1)
        wanted = catalogue.EventsPage(root.id, page.after[0] if page.after else None, page.limit)
        rows = await info.context.load.product_events.load(wanted)
        return page.connection(rows, lambda row: (row.id,))
