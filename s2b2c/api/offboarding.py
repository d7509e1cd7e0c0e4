"""Who was eliminated, for whoever runs the network, and undoing it; whether somebody is, is decided elsewhere."""

from typing import Annotated, Any

import strawberry

from s2b2c import offboarding
from s2b2c.api.access import OperatorDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.errors import BadArgument, NotFound, WrongState
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.offboarding import Elimination, EliminationDetail
from s2b2c.offboarding import Record


@strawberry.type
class Eliminations:
    """The fields of a door whose viewer sees who left the network."""

    @strawberry.field(
        graphql_type=Connection[Elimination],
        description="Who was eliminated (清退), newest first.",
    )
    @staticmethod
    async def eliminations(
        info: Info,
        standing_only: Annotated[  # noqa: FBT002  passed by name by the library
            bool, strawberry.argument(description="Without those who were reinstated.")
        ] = False,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("elimination", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await offboarding.list_eliminations(
                session, open_only=standing_only, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.elimination.id,))

    @strawberry.field(graphql_type=EliminationDetail | None, description="One elimination; null when there is none.")
    @staticmethod
    async def elimination(info: Info, id: strawberry.ID) -> Record | None:  # noqa: A002  the argument's name
        key = key_of("elimination", id)
        async with info.context.db.read() as session:
            return await offboarding.elimination(session, key)


@strawberry.type
class OffboardingMutation:
    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            Elimination | BadArgument | NotFound | WrongState, strawberry.union("ReinstateEliminatedDistributorResult")
        ],
        description="Undo the elimination of a distributor: it is active, its stores open, and it has the downlines "
        "and customers again that nobody has moved since. It is told the reason.",
    )
    async def reinstate_eliminated_distributor(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  the argument's name
        reason: str,
    ) -> Record | None:
        viewer = await info.context.viewer()
        key = key_of("distributor", id)
        async with info.context.db.write() as session:
            undone = await offboarding.reinstate(
                session,
                key,
                reason=reason,
                now=info.context.clock(),
                account_id=viewer.account_id,
                person_id=viewer.person_id,
            )
            return await offboarding.elimination(session, undone.id)
