"""Jobs that failed: the operator sees them and lets them run again."""

from typing import Annotated, Any

import strawberry

from s2b2c import jobs
from s2b2c.api.access import OperatorDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.errors import BadArgument, NotFound, WrongState
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.jobs import HeldJob


@strawberry.type
class HeldJobs:
    """The field of a door that looks after the jobs."""

    @strawberry.field(
        graphql_type=Connection[HeldJob],
        description="Jobs that failed as often as they may, newest first; they run again when you retry them.",
    )
    @staticmethod
    async def held_jobs(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("held-job", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await jobs.held(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))


@strawberry.type(description="A job that was held and waits for its turn again.")
class JobRetried:
    id: strawberry.ID


@strawberry.type
class JobMutation:
    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[JobRetried | NotFound | WrongState | BadArgument, strawberry.union("RetryJobResult")],
        description="Let a held job run again, with as many attempts as a new one.",
    )
    async def retry_job(self, info: Info, id: strawberry.ID) -> JobRetried:  # noqa: A002  the argument's name
        key = key_of("job", id)
        async with info.context.db.write() as session:
            await jobs.retry(session, key)
        return JobRetried(id=id)
