"""Jobs: effects outside the database, queued as part of the change that needs them, done by the worker.

The queue goes by the database's clock, in every process alike.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import page
from s2b2c.errors import NotFound, Refused, WrongState
from s2b2c.models import Job, JobLog


class JobFailed(Exception):
    """Why a job is held, in one line that an operator may read."""


class HeldJob(NamedTuple):
    id: int
    name: str
    payload: str
    """JSON."""
    error: str | None
    """The kind of error, with what it said where it is one of ours; None where the log was cleared."""
    attempts: int
    held_since: datetime


async def enqueue(
    session: AsyncSession,
    name: str,
    payload: Mapping[str, Any],
    *,
    dedupe_key: str | None = None,
    at: datetime | None = None,
) -> int | None:
    """Queue a job in the transaction of `session`, to run after it, or after `at`.

    `name` is one of the worker's jobs and `payload` its arguments: what an operator may see, so ids rather than
    people. Answers the job's id; None, and nothing is queued, while another with this `dedupe_key` waits or runs.
    """
    job = {
        "entrypoint": name,
        "payload": json.dumps(payload, ensure_ascii=False).encode(),
        "dedupe_key": dedupe_key,
        "execute_after": func.now() if at is None else at,
        "status": "queued",
        "priority": 0,
    }
    return await session.scalar(insert(Job).values(job).on_conflict_do_nothing().returning(Job.id))


async def held(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> list[HeldJob]:
    """Jobs that failed as often as they may and wait for somebody to look, newest first; `after` is an (id,)."""
    kind = JobLog.traceback["exception_type"].astext
    told = JobLog.traceback["exception_message"].astext
    error = (
        select(case((kind == JobFailed.__name__, told), else_=kind))  # what others say may hold anything
        .where(JobLog.job_id == Job.id, JobLog.status == "failed")
        .order_by(JobLog.created.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(
        Job.id, Job.entrypoint, func.convert_from(Job.payload, "UTF8"), error, Job.attempts + 1, Job.updated
    ).where(Job.status == "failed")
    return [
        HeldJob._make(row) for row in await session.execute(page(query, (Job.id, "down"), after=after, limit=limit))
    ]


async def retry(session: AsyncSession, job_id: int) -> None:
    """Let a held job run again, with as many attempts as a new one.

    Raises Refused: NotFound for one that is done or never was, WrongState for one that is not held, or whose work was
    queued anew since.
    """
    again = (
        update(Job)
        .where(Job.id == job_id, Job.status == "failed")
        .values(status="queued", attempts=0, execute_after=func.now(), updated=func.now())
        .returning(Job.id)
    )
    try:
        if await session.scalar(again) is not None:
            return
    except IntegrityError:
        raise Refused(
            WrongState("The work of this job was queued anew since it failed: see what comes of it.")
        ) from None
    if await session.scalar(select(Job.id).where(Job.id == job_id)) is None:
        raise Refused(NotFound("There is no such job, or it is done: read the held jobs again."))
    raise Refused(WrongState("This job is not held: it waits for its turn, or runs now."))


async def forget_logs(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete the oldest log rows from before this moment, as far as their jobs are done; returns how many."""
    oldest = (
        select(JobLog.id)
        .where(JobLog.created < before, ~select(Job.id).where(Job.id == JobLog.job_id).exists())
        .order_by(JobLog.created)
        .limit(limit)
    )
    gone = await session.scalars(delete(JobLog).where(JobLog.id.in_(oldest)).returning(JobLog.id))
    return len(gone.all())
