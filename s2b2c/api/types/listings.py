"""What stores showed on a day, and the lives of listings."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c.api.context import Info
from s2b2c.api.types.catalogue import Product
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import ChangedBy
from s2b2c.api.types.stores import Segment


@strawberry.enum(description="How a listing became what it was.")
class ListingWhy(Enum):
    IMPORTED = strawberry.enum_value("imported", description="A file said so.")
    SELECTED = strawberry.enum_value("selected", description="It was chosen (选品).")
    CHANGED = strawberry.enum_value("changed", description="Its price, words, pin or visibility were changed.")
    REORDERED = strawberry.enum_value("reordered", description="It got another place on the shelf.")
    COPIED = strawberry.enum_value("copied", description="It was copied from another store.")
    CLAMPED = strawberry.enum_value("clamped", description="Its band, its cost or the brand's floor moved the price.")
    WORDS_REMOVED = strawberry.enum_value("words_removed", description="Its words broke the brand's new rules.")


@strawberry.enum(description="Why a listing left its store.")
class ListingEnd(Enum):
    REMOVED = strawberry.enum_value("removed", description="Taken out by its owner.")
    NO_PRICE_FITS = strawberry.enum_value(
        "no_price_fits", description="No price fitted its band and its cost any more."
    )
    PRODUCT_WITHDRAWN = strawberry.enum_value("product_withdrawn", description="The product was withdrawn.")


@strawberry.type
class _Version:
    since: datetime = strawberry.field(description="When it became so.")
    until: datetime | None = strawberry.field(description="When that ended; null while it is so.")
    price: Money
    position: Int64
    pitch: str
    pinned: bool = strawberry.field(description="Shown before all that were not (置顶).")
    regions: list[str] = strawberry.field(description="Of the shoppers it was shown to; all when empty.")
    segments: list[Segment] = strawberry.field(description="Of the customers it was sold to; all when empty.")
    why: ListingWhy = strawberry.field(description="Why it became so.")

    @strawberry.field(graphql_type=ChangedBy | None, description="Who made it so; null where a file or a rule did.")
    @staticmethod
    async def by(root: strawberry.Parent[Any], info: Info) -> Any:
        return None if root.account_id is None else await info.context.load.accounts.load(root.account_id)


@strawberry.type(description="A listing as it was at a moment.")
class PastListing(_Version):
    product: Product = strawberry.field(description="As it is called now.")


@strawberry.type(description="What a listing was for a time.")
class ListingVersion(_Version):
    end_reason: ListingEnd | None = strawberry.field(
        description="Why it left the store at `until`; null where it was changed, or still is so."
    )

    @strawberry.field(graphql_type=ChangedBy | None, description="Who took it out of the store; null where nobody did.")
    @staticmethod
    async def ended_by(root: strawberry.Parent[Any], info: Info) -> Any:
        return None if root.ended_by is None else await info.context.load.accounts.load(root.ended_by)
