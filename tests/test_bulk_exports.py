"""A catalogue that goes out as a file is the one that comes in again, whatever stands in it and whoever saved it."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s2b2c import bulk, files, models
from s2b2c.db import Database
from tests.snapshot import snapshot
from tests.test_bulk import (
    BRAND,
    HEADER,
    NEW,
    OTHER,
    Whose,
    _another_brand,
    as_csv,
    counts,
    imported,
    no_jobs,
    rows_of,
    the_run,
    whose,
)
from tests.test_files import NOW, content

__all__ = ["whose"]


async def exported(db: Database, whose: Whose, *, with_stock: bool = False, now: datetime = NOW) -> bytes:
    async with db.write() as session:
        run = await bulk.start_export(session, with_stock=with_stock, now=now, **whose)
    await bulk.export_catalogue(db, run_id=run.id)
    run = await the_run(db, run.id)
    assert (run.state, run.rows) == ("done", (await rows_of(db, "SELECT count(*) FROM variants"))[0][0])
    async with db.write() as session:
        file = await files.find(session, run.file_id or 0, brand_id=whose["brand_id"], kind="catalogue_export")
    await no_jobs(db)
    assert file.name == run.name
    return await content(file)


async def test_an_export_is_named_by_the_day_in_shanghai(db: Database, whose: Whose) -> None:
    await exported(db, whose, now=datetime(2026, 11, 20, 16, tzinfo=UTC))
    await exported(db, whose, now=datetime(2026, 11, 20, 16, tzinfo=UTC) - timedelta(seconds=1))
    names = await rows_of(db, "SELECT name FROM bulk_runs ORDER BY id")
    assert names == [("catalogue-2026-11-21.csv",), ("catalogue-2026-11-20.csv",)]


@pytest.mark.parametrize("how", [{}, {"with_stock": True}])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "gb18030"])
async def test_an_export_read_back_changes_nothing(
    db: Database, whose: Whose, how: dict[str, Any], encoding: str
) -> None:
    """Also when Excel saved it again in the encoding of China."""
    before = await snapshot(db)
    body = await exported(db, whose, **how)
    run = await imported(db, whose, body.decode("utf-8-sig").encode(encoding))
    assert counts(run) == ("done", 2, 0, 0, 0)
    assert await snapshot(db) | {"brands": []} == before | {"brands": []}  # which know the file that was imported last


async def test_an_export_is_what_an_import_reads_with_whatever_a_spreadsheet_would_run(
    db: Database, whose: Whose
) -> None:
    hostile = [
        *(BRAND, "-9", "=cmd|' /C calc'!A0", "＋类", '人群:@x;调性:天然,"新"', "'=1", "@a=1;'-b=2"),
        *("10", "20", "15", "30", "7", "https://images.example.com/=1.jpg?a=1,2", "", "12"),
    ]
    odd = [BRAND, "'9", "'零食", "''=x", "", "+1", "", "10", "20", "15", "30", "0", "", "11", ""]
    assert counts(await imported(db, whose, [HEADER, hostile, odd])) == ("done", 2, 4, 0, 0)
    assert await rows_of(db, "SELECT code, category FROM products ORDER BY id OFFSET 1") == [
        ("-9", "＋类"),
        ("'9", "'=x"),
    ]
    before = await snapshot(db)
    rows = list(csv.reader(io.StringIO((await exported(db, whose, with_stock=True)).decode("utf-8-sig"), newline="")))
    assert rows[0] == HEADER
    assert rows[3] == [
        *(BRAND, "'-9", "'=cmd|' /C calc'!A0", "'＋类", '调性:天然,"新";人群:@x', "'=1", "'@a=1;'-b=2"),
        *("10.00", "20.00", "15.00", "30.00", "7", "https://images.example.com/=1.jpg?a=1,2", "", "12.00"),
    ]
    assert rows[4] == [
        *(BRAND, "'9", "'零食", "''=x", "", "'+1", "", "10.00", "20.00", "15.00", "30.00", "0", "", "11.00", ""),
    ]
    assert counts(await imported(db, whose, as_csv(rows))) == ("done", 4, 0, 0, 0)
    assert await snapshot(db) | {"brands": []} == before | {"brands": []}


async def test_an_export_after_there_is_a_lower_tier_changes_nothing(db: Database, whose: Whose) -> None:
    async with db.write() as session:
        session.add(models.Tier(code="city", rank=3, name="市级", is_leader=False))
    body = await exported(db, whose)
    assert body.decode("utf-8-sig").splitlines()[1].endswith(",35.00,42.00,")
    assert counts(await imported(db, whose, body)) == ("done", 2, 0, 0, 0)
    with_cost = body.replace(b",42.00,", b",42.00,44.00")
    assert counts(await imported(db, whose, with_cost)) == ("done", 2, 0, 1, 0)
    assert await rows_of(
        db, "SELECT tier_costs FROM prices WHERE NOT upper_inf(during) OR cardinality(tier_costs) = 3 ORDER BY id"
    ) == [([3500, 4200],), ([3500, 4200, 4400],)]


async def test_stock_is_left_out_unless_asked_for(db: Database, whose: Whose) -> None:
    def stock(body: bytes) -> list[str]:
        return [row["stock"] for row in csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""))]

    assert stock(await exported(db, whose)) == ["", ""]
    assert stock(await exported(db, whose, with_stock=True)) == ["100", "50"]


async def test_an_export_holds_only_ones_own(db: Database, whose: Whose) -> None:
    stranger = await _another_brand(db)
    await imported(db, stranger, [HEADER, [OTHER, *NEW[1:]]])
    async with db.write() as session:
        run = await bulk.start_export(session, with_stock=False, now=NOW, **stranger)
    await bulk.export_catalogue(db, run_id=run.id)
    run = await the_run(db, run.id)
    async with db.read() as session:
        file = await files.find(session, run.file_id or 0, brand_id=stranger["brand_id"])
    lines = (await content(file)).decode("utf-8-sig").splitlines()
    assert [line.split(",")[:2] for line in lines] == [["brand", "product_code"], [OTHER, "RX02"]]
    assert (run.rows, run.state) == (1, "done")


async def test_an_export_that_breaks_has_failed(db: Database, whose: Whose, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_: Any, **__: Any) -> int:
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(bulk, "write_catalogue", breaks)
        async with db.write() as session:
            run_id = (await bulk.start_export(session, with_stock=False, now=NOW, **whose)).id
        with pytest.raises(OSError, match="no space left"):
            await bulk.export_catalogue(db, run_id=run_id)
    assert ((await the_run(db, run_id)).state, await rows_of(db, "SELECT id FROM files")) == ("failed", [])
    await bulk.export_catalogue(db, run_id=run_id)
    assert (await the_run(db, run_id)).state == "done"
