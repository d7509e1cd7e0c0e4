"""The look, the words and the hours of a store, now and before; and what copying them to others did."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, ClassVar

import strawberry

from s2b2c import stores
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.blocks import StoreBlock, StoreBlockInput, shown
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode
from s2b2c.api.types.money import Int64
from s2b2c.api.types.personas import Persona, PersonaInput, persona
from s2b2c.stores import hours


@strawberry.type(description="A span of a week in which a store is open, in Asia/Shanghai.")
class OpenSpan:
    day: Int64 = strawberry.field(description="1 is Monday, 7 is Sunday.")
    opens: str = computed(lambda span: hours.clock(span.opens), description="Like 09:00.")
    closes: str = computed(lambda span: hours.clock(span.closes), description="Like 22:00, at most 24:00.")


@strawberry.type(description="When a store is open (营业时间), in Asia/Shanghai.")
class OpeningHours:
    spans: list[OpenSpan] = strawberry.field(description="Of every week, in order.")
    closed_days: list[date] = strawberry.field(description="Days on which it is closed all day.")


@strawberry.type
class StoreSetup:
    """What a store looks like, of a row with its settings."""

    persona: Persona | None = computed(persona, description="Of its owner (店主 IP); null where it tells nothing.")
    cover_url: str | None = strawberry.field(description="Of the picture at the top; null without one.")
    blocks: list[StoreBlock] = computed(shown, description="Its decoration (装修), from the top: at most 20.")
    opening_hours: OpeningHours | None = computed(
        lambda row: None if row.opening_hours is None else stores.OpeningHours(**row.opening_hours),
        description="Null where it is always open.",
    )


@strawberry.type
class OpenNow:
    """Whether a store takes orders at this moment."""

    @strawberry.field(description="Whether orders are taken now.")
    @staticmethod
    async def is_open_now(root: strawberry.Parent[Any], info: Info) -> bool:
        return await _opening(root, info) is None

    @strawberry.field(description="When it is open next; null while it is.")
    @staticmethod
    async def opens_at(root: strawberry.Parent[Any], info: Info) -> datetime | None:
        return await _opening(root, info)


async def _opening(root: Any, info: Info) -> datetime | None:
    if root.opening_hours is None:
        return None
    at, now = await info.context.load.openings.load(root.id)
    return at if at > now else None


@strawberry.enum(description="Why a store became what it is.")
class StoreChange(Enum):
    IMPORTED = "imported"
    CREATED = "created"
    EDITED = "edited"
    COPIED = "copied"
    ELIMINATED = "eliminated"
    REINSTATED = "reinstated"


@strawberry.type(
    description="What a store was at a moment. The products of its blocks are shown as they are in the store now."
)
class StoreThen(StoreSetup):
    title: str
    region: str
    since: datetime | None = strawberry.field(description="Null where nobody knows: it was imported like this.")
    until: datetime | None = strawberry.field(description="Null where it is like this now.")
    why: StoreChange


@strawberry.enum(description="What of a store is copied (标杆复制).")
class StorePart(Enum):
    DECORATION = "decoration"
    HOURS = "hours"
    LISTINGS = "listings"


@strawberry.enum(description="Why a product was not copied.")
class LeftOutReason(Enum):
    NOT_ON_OFFER = "not_on_offer"
    NO_PRICE_FITS = "no_price_fits"


@strawberry.type(description="A product of the model that a store could not list.")
class LeftOut:
    product: strawberry.ID = computed(lambda row: encode("product", row[0]), description="The `id` of the product.")
    reason: LeftOutReason = computed(lambda row: row[1], description="Why.")


@strawberry.type(description="What copying a model store did to another one.")
class SetupCopied:
    is_type_of: ClassVar[Any] = classmethod(lambda _, row, __: isinstance(row, stores.Copied))

    store: strawberry.ID = computed(lambda row: encode("store", row.store.id), description="The `id` of the store.")
    settings_changed: bool = strawberry.field(description="Whether its decoration or its hours were something else.")
    added: Int64 = strawberry.field(description="Products of the model that it lists now, behind its own.")
    kept: Int64 = strawberry.field(description="Products of the model that it listed already: as they were.")
    not_on_offer: Int64 = strawberry.field(description="Products left out since their brand offers them no more.")
    no_price_fits: Int64 = strawberry.field(description="Products left out since no price fits the tier.")
    left_out: list[LeftOut] | None = strawberry.field(
        description="Which were left out, in the model's order; null of one among several stores."
    )


CopyToStoreResult = Annotated[SetupCopied | errors.NotFound | errors.WrongState, strawberry.union("CopyToStoreResult")]


@strawberry.type(description="What became of each store, in the order of the request.")
class StoresCopied:
    results: Sequence[Any] = strawberry.field(graphql_type=list[CopyToStoreResult])


@strawberry.type(description="The form of the blocks of a store, for whoever makes an editor.")
class BlockSchema:
    version: Int64 = strawberry.field(description="Which version blocks are written in.")
    json: str = strawberry.field(description="A JSON schema of `UpdateStoreInput.blocks`.")


@strawberry.input(description="A span of a week, in Asia/Shanghai.")
class OpenSpanInput:
    day: Int64 = strawberry.field(description="1 is Monday, 7 is Sunday.")
    opens: str = strawberry.field(description="Like 09:00.")
    closes: str = strawberry.field(description="Like 22:00, after it opens, at most 24:00.")


@strawberry.input(description="When a store is open, in Asia/Shanghai.")
class OpeningHoursInput:
    spans: list[OpenSpanInput] = strawberry.field(
        description="At most 50, none over another; without one it is open all week."
    )
    closed_days: list[date] = strawberry.field(
        default_factory=list, description="At most 60 days on which it is closed all day."
    )


@strawberry.input(description="A store before it is there.")
class CreateStoreInput:
    slug: str = strawberry.field(
        description="What its links say, for good: at most 64 small letters, digits and single hyphens: lin-xiaoyu."
    )
    title: str = strawberry.field(description="1 to 60 characters.")
    region: str | None = strawberry.field(default=None, description="1 to 60 characters; without it, yours.")


@strawberry.input(description="What shall be different about a store. What is left out stays.")
class UpdateStoreInput:
    title: str | None = strawberry.field(default=strawberry.UNSET, description="1 to 60 characters.")
    region: str | None = strawberry.field(default=strawberry.UNSET, description="1 to 60 characters.")
    persona: PersonaInput | None = strawberry.field(
        default=strawberry.UNSET, description="Yours (店主 IP); null for none."
    )
    cover_url: str | None = strawberry.field(
        default=strawberry.UNSET, description="An address that begins with https://; null for none."
    )
    blocks: list[StoreBlockInput] | None = strawberry.field(
        default=strawberry.UNSET, description="All of its decoration (装修), from the top: at most 20 blocks."
    )
    opening_hours: OpeningHoursInput | None = strawberry.field(
        default=strawberry.UNSET, description="Null for always open."
    )
