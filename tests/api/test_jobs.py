"""The operator sees what jobs are held and why, and lets them run again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update

from s2b2c import jobs, models
from s2b2c.api.types.ids import encode
from s2b2c.db import Database
from tests.api.client import Api
from tests.api.operations import check

HELD_SINCE = datetime(2026, 11, 20, 4, tzinfo=UTC)


async def some_held(db: Database, count: int) -> list[int]:
    """The ids of `count` jobs that are held; one more waits."""
    async with db.write() as session:
        ids = [await jobs.enqueue(session, "export_settlement", {"run_id": run}) for run in range(count + 1)]
        held = [job_id for job_id in ids[:-1] if job_id is not None]
        await session.execute(
            update(models.Job).where(models.Job.id.in_(held)).values(status="failed", attempts=4, updated=HELD_SINCE)
        )
        why = {"exception_type": "JobFailed", "exception_message": "ExportError: Cannot write.", "traceback": "File x"}
        log = {"status": "failed", "priority": 0, "entrypoint": "export_settlement", "traceback": why}
        await session.execute(insert(models.JobLog), [log | {"job_id": job_id} for job_id in held])
    return held


async def states(db: Database) -> Sequence[Any]:
    async with db.read() as session:
        return (await session.execute(select(models.Job.id, models.Job.status).order_by(models.Job.id))).all()


async def test_held_jobs_in_pages(api: Api) -> None:
    token = await api.token("operator")
    held = await some_held(api.db, 3)
    first = (await api.run("operator/HeldJobs", token, first=2))["data"]["operator"]["heldJobs"]
    assert len(api.statements) == 2
    assert [edge["node"] for edge in first["edges"]] == [
        {
            "id": encode("job", held[run]),
            "name": "export_settlement",
            "payload": f'{{"run_id": {run}}}',
            "error": "ExportError: Cannot write.",
            "attempts": 5,
            "heldSince": HELD_SINCE.isoformat(),
        }
        for run in (2, 1)
    ]
    assert first["pageInfo"]["hasNextPage"] is True
    after = first["pageInfo"]["endCursor"]
    rest = (await api.run("operator/HeldJobs", token, first=100, after=after))["data"]["operator"]["heldJobs"]
    assert len(api.statements) == 2
    assert [edge["node"]["id"] for edge in rest["edges"]] == [encode("job", held[0])]
    assert rest["pageInfo"]["hasNextPage"] is False


async def test_a_held_job_is_let_run_again(api: Api) -> None:
    token = await api.token("operator")
    (held,) = await some_held(api.db, 1)
    answer = await api.run("operator/RetryJob", token, id=encode("job", held))
    assert answer == {"data": {"retryJob": {"__typename": "JobRetried", "id": encode("job", held)}}}
    assert len(api.statements) == 2
    assert [status for _, status in await states(api.db)] == ["queued", "queued"]


async def test_each_refusal_changes_nothing(api: Api) -> None:
    token = await api.token("operator")
    (held,) = await some_held(api.db, 1)
    before = await states(api.db)
    for wrong, refusal in [
        (encode("job", held + 1), "WrongState"),
        (encode("job", 10**9), "NotFound"),
        (encode("store", held), "BadArgument"),
    ]:
        answer = await api.run("operator/RetryJob", token, id=wrong)
        assert answer["data"]["retryJob"]["__typename"] == refusal
        assert len(api.statements) <= 3
    for role in ("finance", None):
        other = await api.token(role) if role else None
        answer = await api.run("operator/RetryJob", other, id=encode("job", held))
        assert answer["errors"][0]["extensions"]["code"] == ("FORBIDDEN" if role else "UNAUTHENTICATED")
    assert await states(api.db) == before


async def test_the_operations_on_the_sample(own_sample: Api) -> None:
    token = await own_sample.token("operator")
    held = await some_held(own_sample.db, 1)
    await check(own_sample, "operator/HeldJobs", token, statements=2)
    await check(own_sample, "operator/RetryJob", token, id=encode("job", held[0]), statements=2)
