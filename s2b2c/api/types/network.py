"""Tiers and distributors."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, ClassVar

import strawberry

from s2b2c import network
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.brands import Brand
from s2b2c.api.types.errors import Error, done
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.nodes import OperatorNode
from s2b2c.api.types.storefronts import StoreThen
from s2b2c.api.types.stores import Store, StoreState
from s2b2c.errors import BadArgument, Refused


@strawberry.type(description="A named rank of distributor (层级).")
class Tier:
    id: strawberry.ID = id_of("tier")
    code: str
    rank: Int64 = strawberry.field(description="1 at the top.")
    name: str
    is_leader: bool = strawberry.field(description="Its distributors are group leaders (团长).")


@strawberry.type(description="A distributor (分销商), named.")
class DistributorName:
    id: strawberry.ID = id_of("distributor")
    code: str
    name: str


@strawberry.enum(description="What a distributor has come to. Active and watch earn.")
class DistributorState(Enum):
    APPLIED = "applied"
    REJECTED = "rejected"
    ACTIVE = "active"
    WATCH = "watch"
    SUSPENDED = "suspended"
    ELIMINATED = "eliminated"


@strawberry.type(description="A tier, and how many stand on it.")
class TierInUse(Tier):
    distributors: Int64 = strawberry.field(description="Those who are active or on watch.")


@strawberry.type(description="Who stands above a distributor (上级).")
class UplineMember(DistributorName):
    position: Int64 = strawberry.field(description="1 is the parent, 2 the parent's parent.")
    tier: Tier
    state: DistributorState


@strawberry.type(description="A distributor (分销商) and where it stands in the tree.")
class Distributor(DistributorName):
    is_type_of: ClassVar[Any] = classmethod(done)

    state: DistributorState
    tier: Tier
    region: str
    joined_on: date = strawberry.field(description="The day of its approval, before that of its application.")
    parent: DistributorName | None
    members: Int64 = strawberry.field(description="Everybody below it, in any state.")
    stores: Int64 = strawberry.field(description="How many it owns, open or closed.")


@strawberry.type(description="Who is signed in with which role.")
class ChangedBy:
    id: strawberry.ID = id_of("account")
    role: str = strawberry.field(description="What it may do here: customer, distributor, brand, finance or operator.")


@strawberry.type(description="A span of time in which parent, tier and state of a distributor stayed as they were.")
class DistributorSpan:
    start: datetime = strawberry.field(name="from", description="When it began.")
    end: datetime | None = strawberry.field(name="to", description="Null when it goes on.")
    parent: DistributorName | None
    tier: Tier
    state: DistributorState
    reason: str | None
    by: ChangedBy | None = strawberry.field(description="Who began it; null when it was imported.")


@strawberry.type(description="A distributor with its past.")
class DistributorDetail(Distributor, OperatorNode):
    id: strawberry.ID = id_of("distributor")

    @strawberry.field(
        graphql_type=list[UplineMember], description="Who stands above it, nearest first; nobody above a branch's root."
    )
    @staticmethod
    async def upline(root: strawberry.Parent[network.Standing], info: Info) -> Sequence[network.UplineMember]:
        return await info.context.load.uplines.load((root.id, info.context.clock())) or ()

    @strawberry.field(
        graphql_type=list[UplineMember] | None,
        description="Who stood above it at that time, in their states of then; null before its application.",
    )
    @staticmethod
    async def upline_at(
        root: strawberry.Parent[network.Standing], info: Info, at: datetime
    ) -> Sequence[network.UplineMember] | None:
        return await info.context.load.uplines.load((root.id, moment(at)))

    @strawberry.field(graphql_type=Connection[DistributorSpan], description="What it has been, newest first.")
    @staticmethod
    async def history(
        root: strawberry.Parent[network.Standing], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("distributor-history", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await network.history(session, root.id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))


def moment(at: datetime) -> datetime:
    """Raises Refused(BadArgument) for a time that is none, or that no calendar in UTC holds."""
    try:
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except OverflowError:
        pass
    raise Refused(BadArgument(f"{at.isoformat()} is no moment: send a time with its zone, like 2026-11-01T00:00:00Z."))


@strawberry.enum(description="What somebody who moves a distributor should know, and may want all the same.")
class MoveWarning(Enum):
    PARENT_BELOW = strawberry.enum_value("parent_below", description="The new parent stands on a lower tier.")
    ORDERS_PLACED = strawberry.enum_value("orders_placed", description="Orders wait for payment.")


@strawberry.type(description="What a move would change. The counts are of all who would move, itself among them.")
class MovePreview:
    members: Int64 = strawberry.field(description="Everybody who would move.")
    active_members: Int64 = strawberry.field(description="Those who are active or on watch.")
    stores: Int64 = strawberry.field(description="How many they own.")
    orders_placed: Int64 = strawberry.field(
        description="Orders of theirs that wait for payment: they keep their branch, but get the new upline when paid."
    )
    old_upline: list[UplineMember] = strawberry.field(description="Who stands above it now, nearest first.")
    new_upline: list[UplineMember] = strawberry.field(description="Nobody where the move would be refused.")
    changes_branch: bool = strawberry.field(description="Whether it would belong to another branch (分支).")
    warnings: list[MoveWarning] = strawberry.field(description="What may be wanted all the same.")
    refusal: Error | None = strawberry.field(description="Why the move would be refused, if it would.")


@strawberry.type(description="A brand, and what of it is on offer.")
class BrandInUse(Brand, OperatorNode):
    id: strawberry.ID = id_of("brand")
    products: Int64 = strawberry.field(description="Those that are listed.")
    stores: Int64 = strawberry.field(description="Open stores that show one of them.")


@strawberry.type(description="A store, its owner, and how much it shows.")
class StoreInUse(Store, OperatorNode):
    id: strawberry.ID = id_of("store")
    state: StoreState
    is_model: bool = strawberry.field(description="Whether others may copy it (标杆店).")
    owner: DistributorName = strawberry.field(description="Whose store it is.")
    listings: Int64


@strawberry.type(
    description="What a store was at a moment, and who made it so. The products of its blocks are shown as they are in "
    "the store now."
)
class FullStoreThen(StoreThen):
    state: StoreState

    @strawberry.field(graphql_type=ChangedBy | None, description="Who made it so; null when it was imported.")
    @staticmethod
    async def by(root: strawberry.Parent[Any], info: Info) -> Any:
        return None if root.account_id is None else await info.context.load.accounts.load(root.account_id)
