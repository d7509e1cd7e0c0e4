"""What somebody is told: the same at the doors of partners and of brands."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, notices
from s2b2c.accounts import Viewer
from s2b2c.api.access import NoticeDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.errors import BadArgument, NotFound
from s2b2c.api.types.ids import keys_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.nodes import Key, Shown, only
from s2b2c.api.types.notices import Notice


def told(*, distributor_id: int | None = None, brand_id: int | None = None) -> Shown:
    """What `node` shows of the notices of one distributor or of one brand."""

    async def read(session: AsyncSession, key: Key) -> models.Notice | None:
        mine = partial(notices.notices, session, distributor_id=distributor_id, brand_id=brand_id, unread_only=False)
        row: models.Notice | None = await only(mine, key, step=-1)
        return row

    return Shown(Notice, read)


@strawberry.type
class Told:
    """The fields of a door whose viewer is told something."""

    @strawberry.field(graphql_type=Connection[Notice], description="What you were told, newest first.")
    @staticmethod
    async def notices(
        root: strawberry.Parent[Viewer],
        info: Info,
        unread_only: bool = False,  # noqa: FBT001, FBT002  passed by name by the library
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[models.Notice]:
        page = Page("notice", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await notices.notices(
                session,
                distributor_id=root.distributor_id,
                brand_id=root.brand_id,
                unread_only=unread_only,
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(description="How many notices you have not read yet.")
    @staticmethod
    async def unread_notices(root: strawberry.Parent[Viewer], info: Info) -> Int64:
        async with info.context.db.read() as session:
            return Int64(await notices.unread(session, distributor_id=root.distributor_id, brand_id=root.brand_id))


@strawberry.type(description="Notices that are read now.")
class NoticesRead:
    notices: Sequence[models.Notice] = strawberry.field(
        graphql_type=list[Notice], description="Those that were named, as they stand."
    )


@strawberry.type
class NoticeMutation:
    @strawberry.mutation(
        permission_classes=[NoticeDoor],
        graphql_type=Annotated[NoticesRead | NotFound | BadArgument, strawberry.union("MarkNoticesReadResult")],
        description="Mark up to 500 of your notices as read; one read before stays as it is.",
    )
    async def mark_notices_read(self, info: Info, ids: list[strawberry.ID]) -> NoticesRead:
        viewer = await info.context.viewer()
        keys = keys_of("notice", ids)
        async with info.context.db.write() as session:
            marked = await notices.mark_read(
                session,
                keys,
                distributor_id=viewer.distributor_id,
                brand_id=viewer.brand_id,
                now=info.context.clock(),
            )
        return NoticesRead(notices=marked)
