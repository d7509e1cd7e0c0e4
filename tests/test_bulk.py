"""A brand's catalogue goes in and out as jobs: whole or not at all, also when they are done twice or die half-way."""

import asyncio
import csv
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import bulk, files, models
from s2b2c.accounts.viewer import account_of
from s2b2c.db import Database
from s2b2c.errors import NotFound, Refusal, Refused, WrongState
from s2b2c.imports import Problem, Report
from s2b2c.models import BulkRun
from tests.commands import kill_during
from tests.imports import WORLD, Rows, changed, load_world
from tests.snapshot import snapshot
from tests.test_files import NOW, content, pieces
from tests.test_jobs import _age, left, run_until_left

BRAND, OTHER = "绒溪小厨", "澄露原述"
HEADER = list(WORLD["catalogue"][0])
HEADINGS = {"zh": ["行", "列", "类别", "问题"], "en": ["Line", "Column", "Level", "Problem"]}

Whose = dict[str, int]


@pytest.fixture
async def whose(db: Database, store: Path, tmp_path: Path) -> Whose:
    """The brand of WORLD, whose catalogue is there, and its account."""
    assert store.name == "store"
    await load_world(db, tmp_path, until="listings")
    return await of(db, BRAND)


async def of(db: Database, name: str) -> Whose:
    async with db.write() as session:
        brand_id = (await session.scalars(select(models.Brand.id).where(models.Brand.name == name))).one()
        return {"brand_id": brand_id, "account_id": await account_of(session, "brand", brand_id)}


def as_csv(rows: Rows, encoding: str = "utf-8") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode(encoding)


async def uploaded(db: Database, whose: Whose, rows: Rows | bytes) -> models.File:
    body = rows if isinstance(rows, bytes) else as_csv(rows)
    return await files.save(db, pieces([body]), kind="catalogue", name="秋季.csv", now=NOW, **whose)


async def started(
    db: Database, whose: Whose, rows: Rows | bytes, *, dry_run: bool = False, language: bulk.Language = "zh"
) -> int:
    file = await uploaded(db, whose, rows)
    async with db.write() as session:
        run = await bulk.start_import(session, file_id=file.id, is_dry_run=dry_run, language=language, **whose)
    return run.id


async def imported(db: Database, whose: Whose, rows: Rows | bytes, **how: Any) -> BulkRun:
    run_id = await started(db, whose, rows, **how)
    await bulk.import_catalogue(db, run_id=run_id)
    await no_jobs(db)
    return await the_run(db, run_id)


async def no_jobs(db: Database) -> None:
    """What was done here the worker need not do."""
    async with db.write() as session:
        await session.execute(delete(models.Job))


async def the_run(db: Database, run_id: int) -> BulkRun:
    async with db.read() as session:
        return await session.get_one(BulkRun, run_id)


async def report_of(db: Database, run: BulkRun) -> list[list[str]]:
    async with db.read() as session:
        file = await session.get_one(models.File, run.report_file_id)
    assert (file.name, file.kind, file.brand_id) == ("秋季-report.csv", "import_report", run.brand_id)
    body = await content(file)
    assert body.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))


def counts(run: BulkRun) -> tuple[str, int, int, int, int]:
    return run.state, run.rows, run.inserted, run.updated, run.problems


async def rows_of(db: Database, statement: str) -> list[tuple[object, ...]]:
    async with db.read() as session:
        return [tuple(row) for row in await session.execute(text(statement))]


NEW = ["绒溪小厨", "RX02", "冻干零食", "零食", "", "RX02-1", "", "10", "20", "15", "30", "7", "", "11", "12"]


async def test_an_import_changes_what_it_says_and_new_products_are_drafts(db: Database, whose: Whose) -> None:
    run = await imported(db, whose, [*changed("catalogue", 1, title="新名", stock="5")[:2], NEW])
    assert run.finished_at is not None
    assert run.started_at is not None
    assert (run.report_file_id, run.warnings, run.name) == (None, 0, "秋季.csv")
    assert counts(run) == ("done", 2, 2, 2, 0)
    assert await rows_of(db, "SELECT code, title, state FROM products ORDER BY code") == [
        ("RX01", "烘焙猫粮", "listed"),
        ("RX02", "冻干零食", "draft"),
    ]
    assert await rows_of(db, "SELECT content, state FROM product_revisions") == [({"title": "新名"}, "draft")]
    assert await rows_of(db, "SELECT sku, stock FROM variants ORDER BY sku") == [
        ("RX01-1", 5), ("RX01-2", 50), ("RX02-1", 7),
    ]  # fmt: skip


async def test_what_is_said_of_a_live_product_waits_for_the_review(db: Database, whose: Whose) -> None:
    image = "https://images.example.com/new.jpg"
    await imported(db, whose, changed("catalogue", 1, title="新名", image_url=image)[:2])
    run = await imported(db, whose, changed("catalogue", 1, category="零食", image_url=image)[:2])
    assert counts(run) == ("done", 1, 0, 1, 0)
    proposed = {"title": "新名", "category": "零食", "images": [image]}
    assert await rows_of(db, "SELECT content, state FROM product_revisions") == [(proposed, "draft")]
    async with db.write() as session:
        await session.execute(
            text(
                "UPDATE product_revisions SET state = 'in_review', submitted_at = created_at, submitted_by = created_by"
            )
        )
    before = await snapshot(db)
    run = await imported(db, whose, changed("catalogue", 1, title="又一个名字")[:2])
    assert counts(run) == ("refused", 0, 0, 0, 1)
    reason = "product RX01 is in review: take it back first, or leave its words as they are"
    assert await report_of(db, run) == [HEADINGS["zh"], ["2", "", "错误", reason]]
    assert await snapshot(db) == before
    run = await imported(db, whose, changed("catalogue", 1, stock="9")[:2])
    assert counts(run) == ("done", 1, 0, 1, 0)


async def test_done_twice_is_done_once(db: Database, whose: Whose) -> None:
    run_id = await started(db, whose, [HEADER, NEW])
    await bulk.import_catalogue(db, run_id=run_id)
    await no_jobs(db)
    before, run = await snapshot(db), await the_run(db, run_id)
    await bulk.import_catalogue(db, run_id=run_id)
    assert await snapshot(db) == before
    again = await the_run(db, run_id)
    assert (counts(again), again.finished_at) == (counts(run), run.finished_at)
    other = await imported(db, whose, [HEADER, NEW])
    assert counts(other) == ("done", 1, 0, 0, 0)
    assert await snapshot(db) == before


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_what_is_refused_has_a_report(db: Database, whose: Whose, language: bulk.Language) -> None:
    before = await snapshot(db)
    rows = changed("catalogue", 1, supply_price="99.99", title="=HYPERLINK(1)")
    rows.append([*NEW[:7], "=1+1", *NEW[8:]])
    run = await imported(db, whose, rows, language=language)
    assert counts(run) == ("refused", 0, 0, 0, 5)
    error = {"zh": "错误", "en": "error"}[language]
    agree = "differs from line 2, which has the same brand and product_code"
    assert await report_of(db, run) == [
        HEADINGS[language],
        ["2", "supply_price", error, "is above min_price"],
        ["2", "tier_cost:leader", error, "is below supply_price"],
        ["2", "tier_cost:province", error, "is below supply_price"],
        ["3", "title", error, agree],
        ["4", "supply_price", error, "is not an amount in yuan with at most two decimals, like 49.90: '=1+1'"],
    ]
    assert await snapshot(db) == before


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the file has no header row"),
        (b"\x00\xff\xff\xff", "the text is neither UTF-8 nor GB18030"),
        (b"\xff\xfea\x00", "the file is UTF-16: save it as CSV in UTF-8 or GB18030"),
    ],
)
async def test_what_is_no_table_is_refused(db: Database, whose: Whose, body: bytes, reason: str) -> None:
    run = await imported(db, whose, body)
    assert (run.state, run.problems >= 1) == ("refused", True)
    assert (await report_of(db, run))[1] == ["1", "", "错误", reason]


async def test_a_cell_of_the_header_that_would_run_is_guarded_in_the_report(db: Database, whose: Whose) -> None:
    run = await imported(db, whose, [[*HEADER, "=cmd()"]])
    (_, problem) = await report_of(db, run)
    assert problem[:3] == ["1", "'=cmd()", "错误"]


async def test_another_brand_is_refused_and_nothing_is_told_of_it(db: Database, whose: Whose, tmp_path: Path) -> None:
    """Not even whether it has such an article: that it is another product's would say so."""
    stranger = await _another_brand(db)
    before = await snapshot(db)
    row = WORLD["catalogue"][1]
    theirs = [BRAND, "ELSE", *row[2:]]
    unknown = ["谁也不是", *row[1:]]
    run = await imported(db, stranger, [HEADER, theirs, unknown])
    reason = "is not yours: you may import your own catalogue alone"
    assert (await report_of(db, run))[1:] == [["2", "brand", "错误", reason], ["3", "brand", "错误", reason]]
    assert await snapshot(db) == before


async def _another_brand(db: Database) -> Whose:
    async with db.write() as session:
        session.add(models.Brand(name=OTHER))
    return await of(db, OTHER)


async def test_a_dry_run_writes_nothing(db: Database, whose: Whose) -> None:
    before = await snapshot(db)
    run = await imported(db, whose, [HEADER, NEW], dry_run=True)
    assert counts(run) == ("done", 1, 0, 0, 0)
    assert await snapshot(db) == before


async def test_a_report_lists_so_many_and_says_how_many_more(
    db: Database, whose: Whose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_REPORTED", 3)
    bad = [[*NEW[:5], f"RX02-{number}", *NEW[6:11], "-1", *NEW[12:]] for number in range(5)]
    run = await imported(db, whose, [HEADER, *bad])
    told = await report_of(db, run)
    assert run.problems == 5
    assert [row[:2] for row in told[1:]] == [["2", "stock"], ["3", "stock"], ["4", "stock"], ["", ""]]
    assert told[4][2:] == ["", "另有 2 个问题未列出"]


def instead_of_the_import(monkeypatch: pytest.MonkeyPatch, does: Callable[..., Any]) -> None:
    monkeypatch.setattr(bulk, "import_file", does)


async def test_warnings_are_reported_and_keep_nothing_out(
    db: Database, whose: Whose, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def warns(*_: Any, tell: Callable[[Problem], None], **__: Any) -> Report:
        tell(Problem(2, "title", "is rather long", is_warning=True))
        return Report(rows=1, inserted=1, warnings=1)

    instead_of_the_import(monkeypatch, warns)
    run = await imported(db, whose, [HEADER, NEW], language="en")
    assert (counts(run), run.warnings) == (("done", 1, 1, 0, 0), 1)
    assert (await report_of(db, run))[1:] == [["2", "title", "warning", "is rather long"]]


async def test_what_breaks_has_failed_and_goes_through_the_next_time(
    db: Database, whose: Whose, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(session: AsyncSession, *_: Any, **__: Any) -> Report:
        await session.execute(update(models.Product).values(title="half"))
        raise OSError("no space left")

    before = await snapshot(db)
    with monkeypatch.context() as broken:
        instead_of_the_import(broken, breaks)
        run_id = await started(db, whose, [HEADER, NEW])
        with pytest.raises(OSError, match="no space left"):
            await bulk.import_catalogue(db, run_id=run_id)
    assert (await the_run(db, run_id)).state == "failed"
    assert await snapshot(db) == before
    await bulk.import_catalogue(db, run_id=run_id)
    assert counts(await the_run(db, run_id)) == ("done", 1, 2, 0, 0)


async def test_an_import_that_is_stopped_waits_again(
    db: Database, whose: Whose, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def waits(*_: Any, **__: Any) -> Report:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    with monkeypatch.context() as slow:
        instead_of_the_import(slow, waits)
        run_id = await started(db, whose, [HEADER, NEW])
        task = asyncio.create_task(bulk.import_catalogue(db, run_id=run_id))
        await begun.wait()
        assert (await the_run(db, run_id)).state == "running"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await the_run(db, run_id)).state == "waiting"


async def test_a_run_whose_worker_died_runs_again(db: Database, whose: Whose) -> None:
    run_id = await started(db, whose, [HEADER, NEW])
    async with db.write() as session:
        dead = {"state": "running", "step": "check cost", "done": 3, "total": 9, "started_at": NOW}
        await session.execute(update(BulkRun).values(dead))
    await bulk.import_catalogue(db, run_id=run_id)
    assert counts(await the_run(db, run_id)) == ("done", 1, 2, 0, 0)


async def test_an_old_import_does_not_come_after_a_newer_one(db: Database, whose: Whose) -> None:
    """An operator lets a job run again that was held: what the brand has imported since stands."""
    old = await started(db, whose, changed("catalogue", 1, stock="1"))
    async with db.write() as session:
        await session.execute(update(BulkRun).values(state="failed"))
        await session.execute(update(models.Job).values(status="failed"))
    await imported(db, whose, changed("catalogue", 1, stock="2"))
    before = await snapshot(db)
    await bulk.import_catalogue(db, run_id=old)
    assert (await the_run(db, old)).state == "failed"
    assert await snapshot(db) == before


async def test_progress_is_seen_meanwhile(db: Database, whose: Whose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_TOLD_EVERY_S", 0.01)
    seen = []

    async def until(run_id: int, step: str) -> None:
        async with asyncio.timeout(10):
            while (run := await the_run(db, run_id)).step != step:  # noqa: ASYNC110  it happens in the database
                await asyncio.sleep(0.01)
        seen.append((run.state, run.step, run.done, run.total))

    async def slow(session: AsyncSession, *_: Any, progress: Callable[[str, int, int], None], **__: Any) -> Report:
        await session.execute(text("SELECT 1"))
        for step in ("reading", "check cost"):
            progress(step, 30, 20)
            await until(run_id, step)
        return Report()

    instead_of_the_import(monkeypatch, slow)
    run_id = await started(db, whose, [HEADER])
    await bulk.import_catalogue(db, run_id=run_id)
    assert seen == [("running", "reading", 20, 20), ("running", "check cost", 20, 20)]


async def refusal(db: Database, start: Callable[[AsyncSession], Any]) -> Refusal:
    before = await rows_of(db, "SELECT id FROM bulk_runs"), await left(db)
    with pytest.raises(Refused) as caught:
        async with db.write() as session:
            await start(session)
    assert (await rows_of(db, "SELECT id FROM bulk_runs"), await left(db)) == before
    return caught.value.refusal


async def test_one_import_of_a_brand_at_a_time(db: Database, whose: Whose) -> None:
    file = await uploaded(db, whose, [HEADER, NEW])
    how: dict[str, Any] = {"file_id": file.id, "is_dry_run": True, "language": "en", **whose}
    run_id = await started(db, whose, [HEADER, NEW])
    assert isinstance(await refusal(db, partial(bulk.start_import, **how)), WrongState)
    stranger = await _another_brand(db)
    await started(db, stranger, [HEADER])
    async with db.write() as session:
        await bulk.start_export(session, with_stock=False, now=NOW, **whose)
    out: dict[str, Any] = {"with_stock": True, "now": NOW, **whose}
    assert isinstance(await refusal(db, partial(bulk.start_export, **out)), WrongState)
    await run_until_left(db, [])
    states = await rows_of(db, "SELECT kind, state FROM bulk_runs ORDER BY id")
    assert states == [("import", "done"), ("import", "done"), ("export", "done")]
    assert (await the_run(db, run_id)).inserted == 2
    async with db.write() as session:
        assert (await bulk.start_import(session, **how)).state == "waiting"


async def test_two_at_once_are_one(db: Database, whose: Whose) -> None:
    file = await uploaded(db, whose, [HEADER, NEW])

    async def one() -> object:
        try:
            async with db.write() as session:
                return await bulk.start_import(session, file_id=file.id, is_dry_run=False, language="zh", **whose)
        except Refused as refused:
            return refused.refusal

    outcomes = await asyncio.gather(*(one() for _ in range(5)))
    assert sorted(type(it).__name__ for it in outcomes) == ["BulkRun", *["WrongState"] * 4]
    assert len(await left(db)) == 1


async def test_only_a_catalogue_of_ones_own_is_imported(db: Database, whose: Whose) -> None:
    stranger = await _another_brand(db)
    theirs = await uploaded(db, whose, [HEADER])
    run = await files.save(db, pieces([b"a"]), kind="import_report", name="a.csv", now=NOW, **stranger)
    for file_id in (theirs.id, run.id, 999_999):
        how: dict[str, Any] = {"file_id": file_id, "is_dry_run": False, "language": "zh", **stranger}
        assert isinstance(await refusal(db, partial(bulk.start_import, **how)), NotFound)


async def test_runs_on_pages_newest_first(db: Database, whose: Whose) -> None:
    ids = [(await imported(db, whose, [HEADER, NEW], dry_run=True)).id for _ in range(3)]
    async with db.read() as session:
        first = await bulk.runs(session, whose["brand_id"], "import", after=None, limit=2)
        rest = await bulk.runs(session, whose["brand_id"], "import", after=(first[-1].id,), limit=2)
        assert [run.id for run in (*first, *rest)] == ids[::-1]
        assert await bulk.runs(session, whose["brand_id"], "export", after=None, limit=2) == []
        assert await bulk.runs(session, whose["brand_id"] + 1, "import", after=None, limit=2) == []


async def test_what_a_killed_worker_had_in_hand_is_done_by_the_next(
    db: Database, database_url: str, whose: Whose, store: Path
) -> None:
    run_id = await started(db, whose, [HEADER, NEW])
    before = await snapshot(db)
    owner = create_async_engine(database_url, poolclass=NullPool)
    async with owner.begin() as connection:
        await connection.execute(text("LOCK TABLE products IN EXCLUSIVE MODE"))
        await kill_during(
            database_url, "(SELECT brand_id, code FROM described)", "worker", S2B2C_FILES_URL=store.as_uri()
        )
    await owner.dispose()
    assert (await the_run(db, run_id)).state == "running"
    assert await snapshot(db) == before
    await _age(db)
    await run_until_left(db, [])
    assert counts(await the_run(db, run_id)) == ("done", 1, 2, 0, 0)
