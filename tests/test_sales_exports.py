"""What stores sold, as files: by hand to the byte, read back, and never another brand's rows."""

import csv
import hashlib
from datetime import date
from pathlib import Path
from typing import Any, get_args

import openpyxl
import pytest
from sqlalchemy import text

from s2b2c import exports, models
from s2b2c.db import Database
from s2b2c.exports import ExportError, SalesReport, SalesWanted, SalesWritten
from s2b2c.money import format_yuan
from s2b2c.output import Scope
from tests.commands import cli
from tests.test_sales import SEPTEMBER, World, a_world

STORE_HEADINGS = (
    "店铺,店铺名称,地区,店主层级,产值（元）,产值（分）,订单数,件数,产值占比（万分之）,上期产值（元）,增长（万分之）,选品数,"
    "同组地区,同组店铺数,同组名次,同组平均（元）,同组中位数（元）"
)
REPORTS: tuple[SalesReport, ...] = get_args(SalesReport)


@pytest.fixture
async def world(db: Database) -> World:
    """With names and codes that stand in the files."""
    async with db.write() as session:
        world = await a_world(session)
        for name, store in world.stores.items():
            store.slug, store.title = f"s-{name}", f"店{name}"
        world.brand.name = "麦垛山野"
        for name, variant in world.products.items():
            product = await session.get_one(models.Product, variant.product_id)
            product.code, product.title = f"P-{name}", f"商品{name}"
    return world


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def _written(db: Database, wanted: SalesWanted, out: Path) -> SalesWritten:
    async with db.snapshot() as session:
        return await exports.write_sales(session, wanted, out=out / wanted.file_name)


async def _lines(db: Database, out: Path, report: SalesReport, scope: Scope, **options: Any) -> list[str]:
    written = await _written(db, SalesWanted(report, scope, **options), out)
    content = written.path.read_bytes()
    assert content.startswith("\ufeff".encode())
    assert hashlib.sha256(content).hexdigest() == written.sha256
    assert written.path.with_name(f"{written.path.name}.sha256").read_text() == (
        f"{written.sha256}  {written.path.name}\n"
    )
    return content.decode("utf-8-sig").split("\n")


async def test_stores_to_the_byte(db: Database, world: World, tmp_path: Path) -> None:
    assert await _lines(db, tmp_path, "stores", world.scope()) == [
        STORE_HEADINGS,
        "s-a,店a,华东,层级1,15.00,1500,1,3,4285,5.00,20000,2,全层级,5,1,6.80,6.00",
        "s-f,店f,华南,层级1,7.00,700,1,1,2000,0.00,,1,全层级,5,2,6.80,6.00",
        "s-b,店b,华东,层级1,6.00,600,1,1,1714,0.00,,1,全层级,5,3,6.80,6.00",
        "s-c,店c,华东,层级1,6.00,600,1,3,1714,0.00,,2,全层级,5,3,6.80,6.00",
        "s-g,店g,华北,层级2,1.00,100,1,1,285,0.00,,1,全层级,2,1,0.50,0.00",
        "s-d,店d,华东,层级1,0.00,0,0,0,0,0.00,,2,全层级,5,5,6.80,6.00",
        "s-e,店e,华东,层级1,0.00,0,0,0,0,4.00,-10000,0,,,,,",
        "s-h,店h,华北,层级2,0.00,0,1,1,0,0.00,,0,全层级,2,2,0.50,0.00",
        "",
        "合计,行数,产值（元）,产值（分）",
        ",8,35.00,3500",
        "",
    ]


async def test_the_other_reports_to_the_byte(db: Database, world: World, tmp_path: Path) -> None:
    figures = "Output (CNY),Output (fen),Orders,Units,Share (bps),Output before (CNY),Growth (bps)"
    foot = ["", "Total,Rows,Output (CNY),Output (fen)"]

    async def lines(report: SalesReport) -> list[str]:
        return await _lines(db, tmp_path, report, world.scope(), language="en")

    assert await lines("regions") == [
        f"Region,Stores,Selling stores,{figures}",
        "华东,4,3,27.00,2700,3,7,7714,9.00,20000",
        "华南,1,1,7.00,700,1,1,2000,0.00,",
        "华北,2,2,1.00,100,2,2,285,0.00,",
        *(*foot, ",3,35.00,3500", ""),
    ]
    assert await lines("tiers") == [
        f"Owner's tier,Stores,Selling stores,{figures}",
        "层级1,5,4,34.00,3400,4,8,9714,9.00,27777",
        "层级2,2,2,1.00,100,2,2,285,0.00,",
        *(*foot, ",2,35.00,3500", ""),
    ]
    assert await lines("products") == [
        f"Brand,Product code,Product,{figures},Selling stores,Listings,Sold,Sell-through (bps)",
        "麦垛山野,P-one,商品one,25.00,2500,5,7,7142,9.00,17777,4,6,4,6666",
        "麦垛山野,P-two,商品two,10.00,1000,2,3,2857,0.00,,1,3,1,3333",
        *(*foot, ",2,35.00,3500", ""),
    ]
    assert await lines("months") == [
        "Start,Counts from,Counts to (excluded),Output (CNY),Output (fen),Orders,Units",
        "2026-09-01,2026-09-01,2026-10-01,35.00,3500,6,10",
        *(*foot, ",1,35.00,3500", ""),
    ]
    assert (await lines("distribution"))[:3] == [
        "Decile,Stores,Output (CNY),Output (fen),Least (CNY),Most (CNY)",
        "1,1,15.00,1500,15.00,15.00",
        "2,1,7.00,700,7.00,7.00",
    ]
    assert await lines("sell-through") == [
        "Store,Title,Region,Owner's tier,Listings,Sold,Sell-through (bps)",
        "s-b,店b,华东,层级1,1,0,0",
        "s-d,店d,华东,层级1,2,0,0",
        "s-c,店c,华东,层级1,2,1,5000",
        "s-a,店a,华东,层级1,2,2,10000",
        "s-f,店f,华南,层级1,1,1,10000",
        "s-g,店g,华北,层级2,1,1,10000",
        *("", "Total,Rows,Listings,Sold", ",6,9,5", ""),
    ]
    assert await lines("never-sold") == [
        "Store,Title,Region,Product code,Product,Listed at,Removed at",
        "s-b,店b,华东,P-one,商品one,2026-08-03 12:00:00,",
        "s-c,店c,华东,P-two,商品two,2026-08-05 12:00:00,",
        "s-d,店d,华东,P-one,商品one,2026-08-06 12:00:00,",
        "s-d,店d,华东,P-two,商品two,2026-08-07 12:00:00,",
        *("", "Total,Rows", ",4", ""),
    ]


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_read_back_it_adds_up(
    db: Database, world: World, tmp_path: Path, report: SalesReport, form: exports.Format
) -> None:
    """The fen of the rows are those of the foot; and a second time it is the same to the byte."""
    wanted = SalesWanted(report, world.scope(), form)
    written = await _written(db, wanted, tmp_path)
    content = written.path.read_bytes()
    if form == "csv":
        lines: list[list[Any]] = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    else:
        sheet = openpyxl.load_workbook(written.path).active
        assert sheet is not None
        lines = [list(row) for row in sheet.iter_rows(values_only=True)]
    *rows, _, head, foot = lines
    assert head[0] == "合计"
    assert int(foot[1]) == len(rows) - 1 == written.rows
    if written.output is not None:
        fen, yuan = rows[0].index("产值（分）"), rows[0].index("产值（元）")
        amounts = [int(row[fen] or 0) for row in rows[1:]]
        assert sum(amounts) == int(foot[3]) == written.output == 3500
        assert [row[yuan] for row in rows[1:]] == [format_yuan(amount) for amount in amounts]
    again = await _written(db, wanted, tmp_path)
    assert (again, again.path.read_bytes()) == (written, content)


async def test_a_brands_file_holds_its_own_rows(db: Database, world: World, tmp_path: Path) -> None:
    async with db.write() as session:
        other = await session.get_one(models.Brand, world.other.id)
        other.name = "不可见的品牌"
    for report in REPORTS:
        content = "\n".join(await _lines(db, tmp_path, report, world.scope()))
        assert not any(
            theirs in content for theirs in ("P-three", "商品three", "不可见", "5000,", "51.00", "50.00,5000")
        )
    assert any("P-three" in line for line in await _lines(db, tmp_path, "products", world.scope(brand_id=None)))


async def test_cells_that_begin_like_formulas(db: Database, world: World, tmp_path: Path) -> None:
    async with db.write() as session:
        store = await session.get_one(models.Store, world.stores["a"].id)
        store.title, store.region = "=HYPERLINK(1)", "@华东"
        product = await session.get_one(models.Product, world.products["one"].product_id)
        product.title = "+1"
    lines = await _lines(db, tmp_path, "stores", world.scope())
    assert lines[1].startswith("s-a,'=HYPERLINK(1),'@华东,")
    assert (await _lines(db, tmp_path, "regions", world.scope()))[1].startswith("'@华东,1,1,15.00")
    assert (await _lines(db, tmp_path, "products", world.scope()))[1].startswith("麦垛山野,P-one,'+1,")


async def test_as_excel_in_china_reads_it(db: Database, world: World, tmp_path: Path) -> None:
    written = await _written(db, SalesWanted("regions", world.scope(), encoding="gb18030"), tmp_path)
    assert written.path.read_bytes().decode("gb18030").startswith("地区,店铺数,有订单店铺数,产值（元）")


async def test_totals_that_do_not_tie_make_no_file(db: Database, world: World, tmp_path: Path) -> None:
    async with db.write() as session:
        await session.execute(text("UPDATE daily_brands SET paid = paid + 1 WHERE day = '2026-09-14'"))
    with pytest.raises(ExportError, match="The products do not come to the daily totals"):
        await _lines(db, tmp_path, "products", world.scope())
    assert _files(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scope": Scope(date(2026, 9, 1), date(2026, 9, 1))}, "A period begins on a day and ends before a later one."),
        ({"form": "xlsx", "encoding": "gb18030"}, "An XLSX file is always UTF-8; choose csv for GB18030."),
    ],
)
async def test_what_cannot_be_written(db: Database, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    wanted = SalesWanted(
        "stores",
        options.get("scope", Scope(*SEPTEMBER)),
        options.get("form", "csv"),
        "zh",
        options.get("encoding", "utf-8"),
    )
    with pytest.raises(ExportError) as refused:
        await _written(db, wanted, tmp_path)
    assert str(refused.value) == message
    assert _files(tmp_path) == []


async def test_the_command(database_url: str, db: Database, world: World, tmp_path: Path) -> None:
    days = ("--from", "2026-09-01", "--until", "2026-10-01")
    first, second = tmp_path / "1" / "stores.csv", tmp_path / "stores.csv"
    named = ("--brand", "麦垛山野", "--product", "P-two", "--region", "华东")
    said = cli(database_url, "export", "sales", "stores", *days, *named, "--out", str(first))
    assert said == f"{first} (3 rows, sha256 {hashlib.sha256(first.read_bytes()).hexdigest()})\n"
    cli(database_url, "export", "sales", "stores", *days, *named, "--out", str(second))
    assert first.read_bytes() == second.read_bytes()
    assert [line.split(",")[0] for line in first.read_text("utf-8-sig").splitlines()] == (
        ["店铺", "s-a", "s-c", "s-d", "", "合计", ""]
    )
    whole = tmp_path / "all.csv"
    cli(database_url, "export", "sales", "products", *days, "--out", str(whole), "--language", "en")
    assert whole.read_text("utf-8-sig").endswith("\nTotal,Rows,Output (CNY),Output (fen)\n,3,85.00,8500\n")
    for wrong, message in [
        (("--product", "P-two"), "A code is unique within its brand: name the brand as well."),
        (("--brand", "无"), "No brand is called 无."),
        (("--brand", "麦垛山野", "--product", "P-three"), "No product of the brand is called P-three."),
        (("--store", "nowhere"), "No store is called nowhere."),
        (("--tier", "nowhere"), "No tier is called nowhere."),
    ]:
        out = tmp_path / "none" / "none.csv"
        assert cli(database_url, "export", "sales", "stores", *days, *wrong, "--out", str(out), code=1) == (
            f"s2b2c: {message}\n"
        )
        assert not out.exists()
