"""Who was eliminated, what that moved, and what came back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import strawberry

from s2b2c import offboarding
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.errors import done
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import ChangedBy, DistributorName, DistributorState
from s2b2c.api.types.settlements import RunState
from s2b2c.api.types.stores import Store
from s2b2c.db import AnyRow
from s2b2c.offboarding import Record


def _of(name: str, description: str | None = None) -> Any:
    """A field of the elimination itself."""
    return computed(lambda row: getattr(row.elimination, name), description=description)


@strawberry.type(description="A store that an elimination closed.")
class ClosedStore(Store):
    is_open: bool = strawberry.field(description="It was opened again.")
    moved_to: str | None = strawberry.field(description="The slug to which its links lead now; null for nowhere.")


@strawberry.type(description="A direct downline that an elimination moved, with everybody below it.")
class MovedDownline(DistributorName):
    state: DistributorState
    parent: DistributorName | None = strawberry.field(description="Who stands above it now; null above a root.")
    is_back: bool = strawberry.field(description="Reinstating moved it back.")


@strawberry.type(description="A statement that pays what an eliminated distributor has earned.")
class EliminationStatement:
    id: strawberry.ID = id_of("statement")
    cutoff: datetime = strawberry.field(description="The first moment that is not in it.")
    state: RunState = strawberry.field(description="Of its run.")
    net: Money = strawberry.field(description="What it comes to, before what was carried into it.")
    payout: Money = strawberry.field(description="What is paid out of it.")
    is_final: bool = strawberry.field(description="It is paid whatever the minimum is.")


@strawberry.type(
    description="A distributor left the network (清退). Its counts and amounts are those of that moment; it is undone "
    "where `reinstatedAt` is not null."
)
class Elimination:
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = computed(lambda row: encode("elimination", row.elimination.id))
    distributor: DistributorName = strawberry.field(description="Who left.")
    at: datetime = _of("at", "Since when.")
    reason: str = _of("reason", "Why, as it was told.")
    by: ChangedBy = strawberry.field(description="Who decided.")
    state_before: DistributorState = _of("state_before", "Watch or suspended.")
    home: DistributorName | None = strawberry.field(
        description="Whose its customers and direct downlines are since: the nearest upline that earned; null for none."
    )
    members: Int64 = _of("members", "Everybody below it.")
    downlines: Int64 = _of("downlines", "Those right below it.")
    customers: Int64 = _of("customers", "Those bound to it.")
    stores: Int64 = _of("stores", "Those that were open.")
    sessions: Int64 = _of("sessions", "Those that were ended.")
    pending: Money = _of("pending", "Commissions whose hold was not over. They are paid when it is.")
    matured: Money = _of("matured", "Commissions that had matured and were in no statement. They are paid.")
    debt: Money = _of("debt", "What it owed.")
    reinstated_at: datetime | None = _of("reinstated_at", "Null while it stands.")
    reinstate_reason: str | None = _of("reinstate_reason", "Why it was undone; null while it stands.")
    reinstated_by: ChangedBy | None = computed(lambda row: row.undone_by, description="Null while it stands.")


@strawberry.type(description="All that an elimination was, and what has become of it since.")
class EliminationDetail(Elimination):
    @strawberry.field(graphql_type=list[ClosedStore], description="The stores that it closed.")
    @staticmethod
    async def closed_stores(root: strawberry.Parent[Record], info: Info) -> Sequence[offboarding.ClosedStore]:
        async with info.context.db.read() as session:
            return await offboarding.closed_stores(session, root.elimination.id)

    @strawberry.field(graphql_type=Connection[MovedDownline], description="Whom it moved, first come first.")
    @staticmethod
    async def moved_downlines(
        root: strawberry.Parent[Record], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("elimination-downline", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await offboarding.downlines(session, root.elimination.id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=list[EliminationStatement],
        description="Its statements since, and those that were under review then, oldest first.",
    )
    @staticmethod
    async def statements(root: strawberry.Parent[Record], info: Info) -> Sequence[AnyRow]:
        async with info.context.db.read() as session:
            return await offboarding.statements_since(session, root.elimination.id)
