"""Jobs are queued with the change that needs them, run at least once, and are held when nothing helps."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.models import Job as Picked
from pgqueuer.queries import Queries
from sqlalchemy import func, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import exports, jobs, models, worker
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from tests import factories
from tests.commands import kill_during
from tests.test_exports import NOW, _a_run
from tests.test_worker import SOON, _allow_connections, stopped, until

SECRET = "secret-of-the-payload"


class Work:
    """A job of the tests: what it was given, and what it does then."""

    def __init__(self, does: Callable[[Any], None] = lambda _: None) -> None:
        self.given: list[Any] = []
        self.does = does

    async def work(self, db: Database, *, thing: Any) -> None:
        self.given.append(thing)
        async with db.read() as session:
            await session.execute(select(1))
        self.does(thing)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """The only job of the workers of a test; tried again at once."""
    work = Work()
    monkeypatch.setattr(worker, "_JOBS", (work.work,))
    monkeypatch.setattr(worker, "_FIRST_RETRY", timedelta(0))
    return work


def fail(thing: Any) -> None:
    raise ValueError(thing)


async def queue(db: Database, name: str = "work", **payload: Any) -> int:
    async with db.write() as session:
        job_id = await jobs.enqueue(session, name, payload)
    assert job_id is not None
    return job_id


async def left(db: Database) -> list[tuple[int, str]]:
    """(id, status) of every job that is not done."""
    async with db.read() as session:
        rows = await session.execute(select(models.Job.id, models.Job.status).order_by(models.Job.id))
        return [(job_id, status) for job_id, status in rows]


async def held(db: Database, after: tuple[int, ...] | None = None, limit: int = 10) -> list[jobs.HeldJob]:
    async with db.read() as session:
        return await jobs.held(session, after=after, limit=limit)


async def retry(db: Database, job_id: int) -> None:
    async with db.write() as session:
        await jobs.retry(session, job_id)


async def refused(db: Database, job_id: int) -> object:
    """The kind of refusal of a retry, which changed nothing."""
    before = await left(db)
    with pytest.raises(Refused) as caught:
        await retry(db, job_id)
    assert await left(db) == before
    return type(caught.value.refusal)


async def until_left(db: Database, expected: list[tuple[int, str]]) -> None:
    async def so() -> bool:
        return await left(db) == expected

    await until(so)


async def run_until_left(db: Database, expected: list[tuple[int, str]]) -> None:
    """Run a worker until these jobs and no others are left, in these states."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(db, every=SOON, stop=stop))
    await until_left(db, expected)
    await stopped(task, stop)


async def test_a_job_goes_with_the_transaction_it_came_first_in(db: Database, work: Work) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.write() as session:
            assert await jobs.enqueue(session, "work", {"thing": 1})
            raise ZeroDivisionError
    assert await left(db) == []
    await queue(db, thing=2)
    await run_until_left(db, [])
    assert work.given == [2]


async def test_the_payload_arrives_as_it_was_given(db: Database, work: Work) -> None:
    thing: Mapping[str, Any] = {
        "id": 2**62,
        "名": '王姐\'s "店" \\ 😀',
        "list": [1, None, True, {"a": ""}],
        "nul": "\0",
    }
    await queue(db, thing=thing)
    async with db.read() as session:
        stored = await session.scalar(select(models.Job.payload))
    assert stored == json.dumps({"thing": thing}, ensure_ascii=False).encode()
    await run_until_left(db, [])
    assert work.given == [thing]


async def test_two_workers_run_each_job_once(db: Database, database_url: str, work: Work) -> None:
    async with db.write() as session:
        for thing in range(40):
            await jobs.enqueue(session, "work", {"thing": thing})
    other = Database(database_url)
    stop = asyncio.Event()
    workers = [asyncio.create_task(worker.run(own, every=SOON, stop=stop)) for own in (db, other)]
    await until_left(db, [])
    for task in workers:
        await stopped(task, stop)
    await other.close()
    assert sorted(work.given) == list(range(40))
    async with db.read() as session:
        owners = await session.scalars(
            select(func.count()).where(models.JobLog.status == "picked").group_by(models.JobLog.job_id)
        )
    assert owners.all() == [1] * 40


async def test_one_key_is_one_job_while_it_waits(db: Database, work: Work) -> None:
    async with db.write() as session:
        assert await jobs.enqueue(session, "work", {"thing": 1}, dedupe_key="a")
        assert await jobs.enqueue(session, "work", {"thing": 2}, dedupe_key="a") is None
        assert await jobs.enqueue(session, "work", {"thing": 3}, dedupe_key="b")
    async with db.write() as session:
        assert await jobs.enqueue(session, "work", {"thing": 4}, dedupe_key="a") is None
    await run_until_left(db, [])
    assert sorted(work.given) == [1, 3]
    async with db.write() as session:
        assert await jobs.enqueue(session, "work", {"thing": 5}, dedupe_key="a")


async def test_a_job_for_later_waits(db: Database, work: Work) -> None:
    async with db.write() as session:
        later = await jobs.enqueue(session, "work", {"thing": 1}, at=datetime.now(UTC) + timedelta(hours=1))
        soon = await jobs.enqueue(session, "work", {"thing": 2}, at=datetime.now(UTC) + timedelta(milliseconds=200))
    assert (later, soon) != (None, None)
    assert later is not None
    await run_until_left(db, [(later, "queued")])
    assert work.given == [2]


async def test_a_job_that_fails_is_held_and_runs_again_when_retried(
    db: Database, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on. Neither the log nor what the operator reads holds a value of the error."""

    work.does = lambda thing: None if thing == "fine" else fail(thing)
    bad = await queue(db, thing=SECRET)
    await queue(db, thing="fine")
    before = datetime.now(UTC) - timedelta(seconds=5)
    await run_until_left(db, [(bad, "failed")])
    assert sorted(work.given) == ["fine", *[SECRET] * 5]
    (job,) = await held(db)
    assert job._replace(held_since=before) == jobs.HeldJob(
        bad, "work", json.dumps({"thing": SECRET}), "ValueError", 5, before
    )
    assert before < job.held_since < datetime.now(UTC) + timedelta(seconds=5)
    async with db.read() as session:
        assert SECRET not in str((await session.execute(select(models.JobLog.traceback))).all())
    told = [record.getMessage() for record in caplog.records if record.name == "s2b2c.worker"]
    assert told == ["work failed (ValueError), it is tried again"] * 4 + ["work failed (ValueError), it is held"]
    assert SECRET not in caplog.text
    assert "Traceback" not in caplog.text

    work.does = lambda _: None
    await retry(db, bad)
    assert await held(db) == []
    await run_until_left(db, [])
    assert work.given.count(SECRET) == 6
    assert await refused(db, bad) is NotFound


async def test_our_own_errors_say_what_is_wrong(db: Database, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Exception] = [
        exports.ExportError("There is no settlement run 7."),
        Refused(BadArgument("first is 0, but a page has 1 to 100 rows.")),
        OSError(28, SECRET),
    ]

    def fail_by(thing: int) -> None:
        raise errors[thing]

    monkeypatch.setattr(worker, "_ATTEMPTS", 1)
    work.does = fail_by
    ids = [await queue(db, thing=number) for number in range(3)]
    ids.append(await queue(db, wrong_argument=1))
    await run_until_left(db, [(job_id, "failed") for job_id in ids])
    assert [(job.id, job.error, job.attempts) for job in await held(db)] == [
        (ids[3], "TypeError", 1),
        (ids[2], "OSError", 1),
        (ids[1], "Refused: first is 0, but a page has 1 to 100 rows.", 1),
        (ids[0], "ExportError: There is no settlement run 7.", 1),
    ]
    assert [job.id for job in await held(db, limit=2)] == [ids[3], ids[2]]
    await retry(db, ids[2])
    assert [job.id for job in await held(db, after=(ids[2],), limit=2)] == [ids[1], ids[0]]


async def test_the_second_failure_is_the_one_shown(db: Database, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_ATTEMPTS", 1)
    job_id = await queue(db, thing=1)
    for error in (ValueError, KeyError):

        def fail_by(_: Any, kind: type[Exception] = error) -> None:
            raise kind

        work.does = fail_by
        await run_until_left(db, [(job_id, "failed")])
        assert [job.error for job in await held(db)] == [error.__name__]
        await retry(db, job_id)


async def test_only_a_held_job_is_retried(db: Database, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_ATTEMPTS", 1)
    work.does = fail
    assert await refused(db, 2**40) is NotFound
    async with db.write() as session:
        first = await jobs.enqueue(session, "work", {"thing": 1}, dedupe_key="a")
    assert first is not None
    assert await refused(db, first) is WrongState
    await run_until_left(db, [(first, "failed")])
    async with db.write() as session:
        second = await jobs.enqueue(session, "work", {"thing": 2}, dedupe_key="a")
    assert second is not None
    assert await refused(db, first) is WrongState
    assert [job.id for job in await held(db)] == [first]
    work.does = lambda _: None
    await run_until_left(db, [(first, "failed")])
    await retry(db, first)
    await run_until_left(db, [])


@pytest.mark.parametrize(("attempts", "shortest", "longest"), [(0, 5, 15), (1, 10, 30), (2, 20, 60), (3, 40, 120)])
async def test_each_attempt_waits_longer(db: Database, attempts: int, shortest: int, longest: int) -> None:
    """And not for the same time as another that failed with it."""
    attempt = worker._entrypoint(db, Work(fail).work)
    now = datetime.now(UTC)
    picked = Picked.model_validate(
        dict.fromkeys(("created", "updated", "heartbeat", "execute_after"), now)
        | dict.fromkeys(("queue_manager_id", "headers"))
        | {"id": 1, "priority": 0, "status": "picked", "entrypoint": "work"}
        | {"payload": b'{"thing": 1}', "attempts": attempts}
    )
    delays = set()
    for _ in range(5):
        with pytest.raises(RetryRequested, match=r"^ValueError$") as caught:
            await attempt(picked)
        delays.add(caught.value.delay)
    assert len(delays) == 5
    assert timedelta(seconds=shortest) <= min(delays) <= max(delays) <= timedelta(seconds=longest)


async def test_the_job_in_hand_is_finished(db: Database, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()
    done = []

    async def slow(_: Database, *, thing: int) -> None:
        stop.set()
        await asyncio.sleep(0.3)
        done.append(thing)

    monkeypatch.setattr(worker, "_JOBS", (slow,))
    await queue(db, "slow", thing=1)
    await worker.run(db, every=SOON, stop=stop)
    assert done == [1]
    assert await left(db) == []


async def test_an_interrupted_job_runs_again(db: Database, work: Work) -> None:
    """pgqueuer on its own takes a cancelled job off the queue."""

    def interrupt(_: Any) -> None:
        if len(work.given) == 1:
            raise asyncio.CancelledError

    work.does = interrupt
    await queue(db, thing=1)
    await run_until_left(db, [])
    assert work.given == [1, 1]


async def _age(db: Database) -> None:
    """As if nothing had been heard of the jobs at work for a minute."""
    async with db.write() as session:
        await session.execute(text("UPDATE pgqueuer SET heartbeat = heartbeat - interval '1 minute'"))


async def test_what_a_killed_worker_had_in_hand_is_done_by_the_next(
    db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await _a_run(db, "鲜肉猫粮")
    async with db.write() as session:
        await session.execute(text("DELETE FROM pgqueuer"))
    job_id = await queue(db, "export_settlement", run_id=run_id)
    owner = create_async_engine(database_url, poolclass=NullPool)
    async with owner.begin() as connection:
        await connection.execute(text("LOCK TABLE settlement_runs IN ACCESS EXCLUSIVE MODE"))
        await kill_during(database_url, "FROM settlement_runs", "worker")
    await owner.dispose()
    assert await left(db) == [(job_id, "picked")]

    monkeypatch.setattr(worker, "state_dir", lambda: tmp_path)
    out = tmp_path / "exports" / f"settlement-{run_id}.csv"
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(db, every=SOON, stop=stop))
    await asyncio.sleep(0.2)
    assert not out.exists()  # for all it knows the other one is still at it
    await _age(db)
    await until_left(db, [])
    await stopped(task, stop)
    async with db.snapshot() as session:
        wanted = exports.Wanted("statement_detail", run_id)
        expected = await exports.write_document(session, wanted, out=tmp_path / "expected.csv")
    assert out.read_bytes() == expected.path.read_bytes()
    assert out.with_name(f"{out.name}.sha256").read_text("utf-8") == f"{expected.sha256}  {out.name}\n"
    assert len(list(out.parent.iterdir())) == 2


async def test_jobs_outlive_a_database_that_goes_away(
    db: Database,
    database_url: str,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The one in hand too, whose end cannot be noted then: it is done again."""
    gate = asyncio.Event()

    async def gated(db: Database, *, thing: Any) -> None:
        await gate.wait()
        await work.work(db, thing=thing)

    monkeypatch.setattr(worker, "_JOBS", (gated,))
    first = await queue(db, "gated", thing=1)
    own = Database(database_url)
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(own, every=SOON, stop=stop))
    await until_left(db, [(first, "picked")])
    await db.close()
    await _allow_connections(database_url, allowed=False)
    gate.set()

    async def noticed() -> bool:
        return sum(record.getMessage().startswith("the queue failed") for record in caplog.records) >= 3

    await until(noticed)
    assert not task.done()
    await _allow_connections(database_url, allowed=True)

    second = await queue(db, "gated", thing=2)
    await until_left(db, [(first, "picked")])
    await _age(db)
    await until_left(db, [])
    await stopped(task, stop)
    await own.close()
    assert first < second
    assert work.given == [1, 2, 1]
    assert "Traceback" not in caplog.text


async def test_the_tables_are_those_of_pgqueuer(database_url: str) -> None:
    """All that its own upgrade would do here is what the migration leaves out; a new release shows what it adds."""
    place = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(place)
    try:
        plan = await Queries.from_asyncpg_connection(connection).plan_upgrade()
    finally:
        await connection.close()
    found = [re.match(r"CREATE (?:UNIQUE )?(\w+) (\w+)", statement) for statement in plan.statements]
    assert {match.groups() if match else None for match in found} == {
        ("FUNCTION", "fn_pgqueuer_changed"),  # a NOTIFY for every change of a row,
        ("TRIGGER", "tg_pgqueuer_changed"),  # where the worker asks in its own time
        ("TABLE", "pgqueuer_schedules"),  # scans go by what is due
        ("TABLE", "pgqueuer_statistics"),
        ("INDEX", "pgqueuer_statistics_unique_count"),
        ("INDEX", "pgqueuer_log_created"),  # these serve reports
        ("INDEX", "pgqueuer_log_not_aggregated"),
        ("INDEX", "pgqueuer_log_status"),
        ("INDEX", "pgqueuer_priority_id_id1_idx"),  # and these no statement that runs here
        ("INDEX", "pgqueuer_updated_id_id1_idx"),
    }
    (note,) = plan.notes
    assert note.startswith("pgqueuer_log.id is serial")  # never an identity: Citus cannot distribute those


async def test_a_settlement_asks_for_its_file(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "state_dir", lambda: tmp_path)
    run_id = await _a_run(db, "鲜肉猫粮")
    async with db.write() as session:
        await factories.a_closed_run(session, run_id, NOW)
    await run_until_left(db, [])
    files = sorted(path.name for path in (tmp_path / "exports").iterdir())
    assert files == [f"settlement-{run_id}.csv", f"settlement-{run_id}.csv.sha256"]
