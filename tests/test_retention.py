"""What was handled long ago is forgotten in batches; what still waits, and why a job is held, is not."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import jobs, models, payments, worker
from s2b2c.db import Database

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
BEFORE = NOW - timedelta(days=90)
SECOND = timedelta(seconds=1)


def _event(name: str, handled_at: datetime | None, received_at: datetime = BEFORE - 9 * SECOND) -> models.StripeEvent:
    return models.StripeEvent(
        id=name,
        type="refund.updated",
        account=None,
        created_at=received_at,
        received_at=received_at,
        handled_at=handled_at,
        payload={},
    )


async def _events(session: AsyncSession) -> list[str]:
    return [*await session.scalars(select(models.StripeEvent.id).order_by(models.StripeEvent.id))]


async def _logs(session: AsyncSession) -> list[tuple[int, datetime]]:
    rows = await session.execute(select(models.JobLog.job_id, models.JobLog.created).order_by(models.JobLog.id))
    return [(row.job_id, row.created) for row in rows]


async def test_events_go_the_oldest_first_and_by_when_they_were_handled(session: AsyncSession) -> None:
    session.add_all(
        [
            _event("evt_late", BEFORE),
            _event("evt_b", BEFORE - SECOND),
            _event("evt_a", BEFORE - 3 * SECOND),
            _event("evt_c", BEFORE - 2 * SECOND),
            _event("evt_waits", None),
        ]
    )
    await session.flush()
    assert await payments.forget_events(session, before=BEFORE, limit=2) == 2
    assert await _events(session) == ["evt_b", "evt_late", "evt_waits"]
    assert await payments.forget_events(session, before=BEFORE, limit=2) == 1
    assert await payments.forget_events(session, before=BEFORE, limit=2) == 0
    assert await _events(session) == ["evt_late", "evt_waits"]


async def test_two_workers_forget_different_events(db: Database) -> None:
    async with db.write() as session:
        session.add_all([_event(f"evt_{number}", BEFORE - SECOND) for number in range(4)])
    async with db.write() as one, db.write() as other:
        assert await payments.forget_events(one, before=BEFORE, limit=3) == 3
        assert await payments.forget_events(other, before=BEFORE, limit=3) == 1


async def _a_job(session: AsyncSession, status: str | None, *logged: datetime) -> int:
    """The id of a job, None for one that is done, with a log row for each of these times."""
    job_id = await jobs.enqueue(session, "work", {})
    assert job_id is not None
    for at in logged:
        await session.execute(
            insert(models.JobLog).values(
                created=at, job_id=job_id, status=status or "successful", priority=0, entrypoint="work"
            )
        )
    if status is None:
        await session.execute(text("DELETE FROM pgqueuer WHERE id = :id"), {"id": job_id})
    else:
        await session.execute(
            text("UPDATE pgqueuer SET status = CAST(:status AS pgqueuer_status) WHERE id = :id"),
            {"status": status, "id": job_id},
        )
    return job_id


async def test_logs_of_jobs_go_and_those_that_are_not_done_keep_theirs(session: AsyncSession) -> None:
    old, older = BEFORE - SECOND, BEFORE - 2 * SECOND
    held = await _a_job(session, "failed", older, old)
    waits = await _a_job(session, "queued", older)
    done = await _a_job(session, None, older, old, BEFORE)
    await _a_job(session, None, older)
    assert await jobs.forget_logs(session, before=BEFORE, limit=2) == 2
    assert await _logs(session) == [(held, older), (held, old), (waits, older), (done, old), (done, BEFORE)]
    assert await jobs.forget_logs(session, before=BEFORE, limit=2) == 1
    assert await jobs.forget_logs(session, before=BEFORE, limit=2) == 0
    assert await _logs(session) == [(held, older), (held, old), (waits, older), (done, BEFORE)]


async def test_the_worker_keeps_for_as_long_as_the_settings_say(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_now", lambda: NOW)
    monkeypatch.setattr(worker, "_FORGOTTEN_AT_ONCE", 1)
    kept, logged = NOW - timedelta(days=90), NOW - timedelta(days=30)
    async with db.write() as session:
        session.add_all([_event("evt_kept", kept), _event("evt_1", kept - SECOND), _event("evt_2", kept - SECOND)])
        job_id = await _a_job(session, None, logged, logged - SECOND)
        emptied = {b"kept": NOW, b"1": NOW - SECOND, b"2": NOW - SECOND}
        session.add_all(models.RateLimit(key=key, empty_at=at, span=SECOND) for key, at in emptied.items())
    for scan, batches in ((worker.forget_events, 2), (worker.forget_job_logs, 1), (worker.forget_sign_ins, 2)):
        assert scan in worker._SCANS
        for left in [*range(batches, 0, -1), 0]:
            async with db.write() as session:
                assert await scan(session) == min(left, 1)
    async with db.read() as session:
        assert await _events(session) == ["evt_kept"]
        assert await _logs(session) == [(job_id, logged)]
        assert (await session.scalars(select(models.RateLimit.key))).all() == [b"kept"]


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (
            "SELECT FROM stripe_events WHERE handled_at < now() ORDER BY handled_at LIMIT 9",
            "ix_stripe_events_handled_at",
        ),
        ("SELECT FROM pgqueuer_log WHERE created < now() ORDER BY created LIMIT 9", "ix_pgqueuer_log_created"),
    ],
)
async def test_the_oldest_are_found_by_an_index(session: AsyncSession, statement: str, index: str) -> None:
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    plan = "\n".join(await session.scalars(text(f"EXPLAIN {statement}")))
    assert f"using {index}" in plan
    assert "Sort" not in plan
