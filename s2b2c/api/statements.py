"""What somebody is paid: the same at the doors of partners and of brands."""

from typing import Any

import strawberry

from s2b2c import settlements
from s2b2c.accounts import Viewer
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.settlements import Statement


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
