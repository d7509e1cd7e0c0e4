"""What somebody is paid: the same at the doors of partners and of brands."""

from typing import Any

import strawberry

from s2b2c import settlements
from s2b2c.accounts import Viewer
from s2b2c.api.access import PayoutDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.settlements import Dispute, Statement
from s2b2c.api.types.settling import DisputeStatementResult
from s2b2c.db import AnyRow


def _payee(viewer: Viewer) -> dict[str, int | None]:
    """Neither of the two would mean everybody's."""
    assert (viewer.distributor_id is None) != (viewer.brand_id is None)
    return {"distributor_id": viewer.distributor_id, "brand_id": viewer.brand_id}


@strawberry.type
class Statements:
    """The fields of a door whose viewer gets statements."""

    @strawberry.field(graphql_type=Connection[Statement], description="Your statements (结算单), newest first.")
    @staticmethod
    async def statements(
        root: strawberry.Parent[Viewer], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("statement-newest", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await settlements.statements_of(session, **_payee(root), after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.run.id,))

    @strawberry.field(graphql_type=Statement | None, description="One of your statements; null when it is none.")
    @staticmethod
    async def statement(root: strawberry.Parent[Viewer], info: Info, id: strawberry.ID) -> Any:  # noqa: A002
        async with info.context.db.read() as session:
            return await settlements.statement(session, key_of("statement", id), **_payee(root))

    @strawberry.field(graphql_type=Connection[Dispute], description="What you have against statements, newest first.")
    @staticmethod
    async def disputes(
        root: strawberry.Parent[Viewer], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("dispute-newest", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await settlements.own_disputes(session, **_payee(root), after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))


@strawberry.type
class StatementMutation:
    @strawberry.mutation(
        permission_classes=[PayoutDoor],
        graphql_type=DisputeStatementResult,
        description="Say what is wrong with a statement of yours (异议), once, while its run is under review. Until "
        "finance has rejected it, the statement is not paid with its run, but comes with the next.",
    )
    async def dispute_statement(self, info: Info, id: strawberry.ID, reason: str) -> AnyRow:  # noqa: A002
        viewer = await info.context.payee()
        key = key_of("statement", id)
        async with info.context.db.write() as session:
            return await settlements.dispute(
                session, key, reason, **_payee(viewer), by=viewer.person_id, now=info.context.clock()
            )
