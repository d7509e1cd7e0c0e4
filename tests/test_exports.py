"""The exported files, to the byte."""

import csv
import hashlib
import io
import subprocess
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import select, text

from s2b2c import exports, models, orders, payees, settlements
from s2b2c.db import Database
from s2b2c.exports import Exported, ExportError, Wanted, cells
from s2b2c.orders import Refund, RefundedLine
from s2b2c.payees import PayeeDetails
from tests import factories
from tests.commands import cli

PAID_AT = datetime(2026, 9, 1, 17, tzinfo=UTC)
COMPLETED_AT = datetime(2026, 9, 4, 5, tzinfo=UTC)
NOW = datetime(2026, 10, 1, tzinfo=UTC)

HEADINGS = (
    "收款方类型,收款方编号,收款方名称,结算单,订单号,支付时间,完成时间,到期时间,店铺,行号,商品,SKU,数量,实付（元）,上级位次,"
    "计佣基数（元）,比例（万分之）,金额（元）,金额（分）,说明"
)

OF_STATEMENTS = "应计（元）,退款收回（元）,调整（元）,代扣税款（元）,抵扣欠款（元）,净额（元）,上期结转（元）,应付（元）,结转下期（元）,新增欠款（元）"


async def _a_run(db: Database, *titles: str) -> int:
    """One settled order of 9899 per title."""
    await _some_orders(db, *titles)
    async with db.write() as session:
        settled = await settlements.settle(session, cutoff=NOW, now=NOW)
    assert settled is not None
    return settled.run_id


async def _some_orders(db: Database, *titles: str) -> None:
    """One completed order of 9899 per title: 1187 to the seller L1, 296 to its parent L2, 5200 to the brand 鲜宠."""
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        parent = await factories.a_distributor(session, rank=1)
        seller = await factories.a_distributor(session, parent=parent, rank=2)
        store = await factories.a_store(session, seller)
        store.slug = "wang"
        brand = await factories.a_brand(session, "鲜宠")
        for number, title in enumerate(titles, start=1):
            variant = await factories.a_variant(session, brand=brand, supply_price=2600)
            variant.sku = f"SKU{number}"
            (await session.get_one(models.Product, variant.product_id)).title = title
            order = await factories.an_order(session, store, (variant, 2, 4990, 81))
            order.order_no = f"NO{number}"
            await session.flush()
            await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
            await orders.complete(session, [(order.branch_id, order.id, COMPLETED_AT)], hold_days=7)
        seller.code, seller.name, parent.code, parent.name = "L1", "王姐", "L2", "华东"


async def _export(db: Database, run_id: int, out: Path, progress: Any = None, **options: Any) -> Exported:
    form: exports.Format = "xlsx" if out.suffix == ".xlsx" else "csv"
    wanted = Wanted("statement_detail", run_id, format=form, **options)
    async with db.snapshot() as session:
        return await exports.write_document(session, wanted, out=out, progress=progress)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _sheets(path: Path) -> list[list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(path)
    return [list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets]


async def test_csv(db: Database, tmp_path: Path) -> None:
    run_id = await _a_run(db, "鲜肉猫粮")
    out = tmp_path / "run.csv"
    seen: list[tuple[int, int]] = []
    exported = await _export(db, run_id, out, progress=lambda done, total: seen.append((done, total)))
    content = out.read_bytes()
    when = "2026-09-02 01:00:00,2026-09-04 13:00:00,2026-09-11 13:00:00,wang,1,鲜肉猫粮,SKU1,2,98.99"
    assert content.decode("utf-8").split("\n") == [
        f"\ufeff{HEADINGS}",
        f"分销商,L1,王姐,2,NO1,{when},0,98.99,1200,11.87,1187,已计佣",
        f"分销商,L2,华东,1,NO1,{when},1,98.99,300,2.96,296,已计佣",
        f"品牌,鲜宠,鲜宠,3,NO1,{when},,,,52.00,5200,供货款",
        "",
        f"控制合计,结算单数,行数,金额（元）,金额（分）,{OF_STATEMENTS}",
        "分销商,2,2,14.83,1483,14.83,0.00,0.00,0.00,0.00,14.83,0.00,14.83,0.00,0.00",
        "品牌,1,1,52.00,5200,52.00,0.00,0.00,0.00,0.00,52.00,0.00,52.00,0.00,0.00",
        "合计,3,3,66.83,6683,66.83,0.00,0.00,0.00,0.00,66.83,0.00,66.83,0.00,0.00",
        "",
    ]
    assert exported == Exported(out, hashlib.sha256(content).hexdigest(), 3, 6683)
    assert seen[-1] == (3, 3)
    checked = subprocess.run(["sha256sum", "-c", "run.csv.sha256"], cwd=tmp_path, capture_output=True, check=True)  # noqa: ASYNC221
    assert checked.stdout == b"run.csv: OK\n"
    assert _contents(tmp_path).keys() == {"run.csv", "run.csv.sha256"}


async def test_what_refunds_took_back(db: Database, tmp_path: Path) -> None:
    first = await _a_run(db, "鲜肉猫粮")
    later = datetime(2026, 11, 1, tzinfo=UTC)
    async with db.write() as session:
        await factories.a_closed_run(session, first, NOW)
        order = (await session.scalars(select(models.Order))).one()
        line = RefundedLine(1, quantity=1, goods_back=True)
        await orders.refund(session, [Refund(order.branch_id, order.id, "a", NOW, [line])])
        settled = await factories.a_settlement(session, cutoff=later, now=later)
    assert settled is not None
    out = tmp_path / "run.csv"
    await _export(db, settled.run_id, out)
    when = "2026-09-02 01:00:00,2026-09-04 13:00:00,2026-10-01 08:00:00,wang,1,鲜肉猫粮,SKU1,2,98.99"
    assert out.read_text("utf-8-sig").splitlines()[1:] == [
        f"分销商,L1,王姐,5,NO1,{when},0,,,-5.93,-593,退款回收佣金",
        f"分销商,L2,华东,4,NO1,{when},1,,,-1.47,-147,退款回收佣金",
        f"品牌,鲜宠,鲜宠,6,NO1,{when},,,,-26.00,-2600,退款退回供货款",
        "",
        f"控制合计,结算单数,行数,金额（元）,金额（分）,{OF_STATEMENTS}",
        "分销商,2,2,-7.40,-740,0.00,7.40,0.00,0.00,0.00,-7.40,0.00,0.00,0.00,7.40",
        "品牌,1,1,-26.00,-2600,0.00,26.00,0.00,0.00,0.00,-26.00,0.00,0.00,-26.00,0.00",
        "合计,3,3,-33.40,-3340,0.00,33.40,0.00,0.00,0.00,-33.40,0.00,0.00,-26.00,7.40",
    ]


async def test_xlsx_holds_the_same(db: Database, tmp_path: Path) -> None:
    run_id = await _a_run(db, "鲜肉猫粮")
    await _export(db, run_id, tmp_path / "run.xlsx", language="en")
    (sheet,) = _sheets(tmp_path / "run.xlsx")
    assert sheet[0][:4] == ("Payee kind", "Payee code", "Payee name", "Statement")
    when = ("2026-09-02 01:00:00", "2026-09-04 13:00:00", "2026-09-11 13:00:00")
    bought = (*when, "wang", 1, "鲜肉猫粮", "SKU1", 2, "98.99")
    none = (None,) * 5
    zero = "0.00"
    english = (
        *("Gross", "Clawbacks", "Adjustments", "Withheld", "Debt paid off", "Net", "Carried in", "Payout"),
        *("Carried out", "Debt added"),
    )

    def measured(amount: str) -> tuple[str, ...]:
        return (amount, zero, zero, zero, zero, amount, zero, amount, zero, zero)

    assert sheet[1:] == [
        ("Distributor", "L1", "王姐", 2, "NO1", *bought, 0, "98.99", 1200, "11.87", 1187, "earned"),
        ("Distributor", "L2", "华东", 1, "NO1", *bought, 1, "98.99", 300, "2.96", 296, "earned"),
        ("Brand", "鲜宠", "鲜宠", 3, "NO1", *bought, None, None, None, "52.00", 5200, "supply"),
        (None,) * 20,
        (
            *("Control totals", "Statements", "Lines", "Amount (yuan)", "Amount (fen)"),
            *(f"{name} (yuan)" for name in english),
            *none,
        ),
        ("Distributor", 2, 2, "14.83", 1483, *measured("14.83"), *none),
        ("Brand", 1, 1, "52.00", 5200, *measured("52.00"), *none),
        ("Total", 3, 3, "66.83", 6683, *measured("66.83"), *none),
    ]
    assert type(sheet[1][18]) is int


PERSON = PayeeDetails("王芳芳", "11010519491231002X", "招商银行", "6222021234567890128")
COMPANY = PayeeDetails("=鲜宠有限公司", "91350100M000100Y43", "工商银行", "1402027109600012345")


async def _payees(db: Database) -> None:
    """Of the seller and of the brand, not of the seller's parent."""
    async with db.write() as session:
        seller = (await session.scalars(select(models.Distributor).where(models.Distributor.code == "L1"))).one()
        brand = (await session.scalars(select(models.Brand))).one()
        account = models.Account(role="brand", brand_id=brand.id)
        session.add(account)
        await session.flush()
        for owner, details in (({"distributor_id": seller.id}, PERSON), ({"brand_id": brand.id}, COMPANY)):
            await payees.set_payee(session, details, **owner, account_id=account.id, now=NOW)


@pytest.mark.parametrize("name", ["run.csv", "run.xlsx"])
async def test_to_whom_it_is_paid_only_where_that_is_asked_for(
    db: Database, database_url: str, tmp_path: Path, name: str
) -> None:
    run_id = await _a_run(db, "鲜肉猫粮", "冻干")
    await _payees(db)
    command = ("export", "statement-detail", str(run_id), "--format", name[4:], "--out")
    for word, file in (("--no-payees", "without." + name[4:]), ("--payees", name)):
        assert "6 lines" in cli(database_url, *command, str(tmp_path / file), word)
    async with db.read() as session:
        read = (await session.scalars(select(models.PersonalRead).order_by(models.PersonalRead.id))).all()
    assert [(it.purpose, it.account_id, it.kinds) for it in read] == [
        ("payout", None, ["bank_account", "identity_number", "legal_name"])
    ] * 2, "of the file that holds them"
    assert [(it.distributor_id is None, it.brand_id is None) for it in read] in (
        [(True, False), (False, True)],
        [(False, True), (True, False)],
    )
    await _export(db, run_id, tmp_path / f"default.{name[4:]}")
    kept = _contents(tmp_path)
    assert kept[f"default.{name[4:]}"] == kept[f"without.{name[4:]}"]

    def rows(file: str) -> list[list[str | None]]:
        if name == "run.csv":
            with (tmp_path / file).open(encoding="utf-8-sig", newline="") as opened:
                return [[cell or None for cell in row] for row in csv.reader(opened)]
        (sheet,) = _sheets(tmp_path / file)
        return [[None if cell is None else str(cell) for cell in row] for row in sheet]

    plain, told = rows(f"without.{name[4:]}"), rows(name)
    assert [row[:20] for row in told] == plain
    company = [f"'{COMPANY[0]}" if name == "run.csv" else COMPANY[0], *COMPANY[1:]]
    added = [["收款人", "证件号码", "开户银行", "银行账号"], [*PERSON], [*PERSON], [], [], company, company]
    assert [[cell for cell in row[20:] if cell is not None] for row in told[:7]] == added
    assert not any(cell for row in told[7:] for cell in row[20:])


@pytest.mark.parametrize("name", ["run.csv", "run.xlsx"])
async def test_the_same_run_twice_is_the_same_bytes(
    db: Database, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await _a_run(db, "鲜肉猫粮", "冻干")
    await _export(db, run_id, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    async with db.write() as session:  # a row that was written again lies elsewhere in its table
        await session.execute(text("UPDATE order_lines SET refunded = refunded"))
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        await _export(db, run_id, tmp_path / name)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (tmp_path / name).read_bytes() == first


async def test_rows_follow_the_code_not_the_language(db: Database, tmp_path: Path) -> None:
    run_id = await _a_run(db, "a", "b")
    await _export(db, run_id, tmp_path / "run.csv")
    with (tmp_path / "run.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert [(row[1], row[4], row[14]) for row in rows[1:7]] == [
        ("L1", "NO1", "0"),
        ("L1", "NO2", "0"),
        ("L2", "NO1", "1"),
        ("L2", "NO2", "1"),
        ("鲜宠", "NO1", ""),
        ("鲜宠", "NO2", ""),
    ]


@pytest.mark.parametrize("start", [*"=+-@|%\t\r\n＝＋－＠", '"=', "'=", " =", "\u3000+"])
async def test_no_cell_is_a_formula(db: Database, tmp_path: Path, start: str) -> None:
    title = f'{start}HYPERLINK("http://example.com","x")'
    run_id = await _a_run(db, title)
    await _export(db, run_id, tmp_path / "run.csv")
    with (tmp_path / "run.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row[10] for row in list(csv.reader(file))[1:4]} == {f"'{title}"}
    await _export(db, run_id, tmp_path / "run.xlsx")
    book = openpyxl.load_workbook(tmp_path / "run.xlsx")
    assert {book.worksheets[0].cell(row, 11).data_type for row in (2, 3, 4)} <= {"s", "inlineStr"}
    assert b"<f>" not in zipfile.ZipFile(tmp_path / "run.xlsx").read("xl/worksheets/sheet1.xml")


async def test_a_title_cannot_break_the_sheet(db: Database, tmp_path: Path) -> None:
    """XlsxWriter takes a text that is wrapped in <r> for finished XML."""
    title = '<r></t></is></c><c r="A1"><v>1</v></c></r>'
    run_id = await _a_run(db, title, "a\x0bb & <c> ")
    await _export(db, run_id, tmp_path / "run.xlsx")
    (sheet,) = _sheets(tmp_path / "run.xlsx")
    assert sheet[1][10] == f"'{title}"
    assert sheet[2][10] == "a_x000B_b & <c> "


async def test_a_full_sheet_goes_on_in_the_next(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_SHEET_ROWS", 3)
    run_id = await _a_run(db, "a")
    await _export(db, run_id, tmp_path / "run.xlsx", language="en")
    first, second, third, *_ = _sheets(tmp_path / "run.xlsx")
    assert [row[0] for row in first] == ["Payee kind", "Distributor", "Distributor"]
    assert [row[0] for row in second] == ["Payee kind", "Brand"]  # and an empty row
    assert [row[0] for row in third] == ["Payee kind", "Control totals", "Distributor"]


async def test_a_text_too_long_for_a_cell_is_not_cut(db: Database, tmp_path: Path) -> None:
    run_id = await _a_run(db, "长" * 40_000)
    with pytest.raises(ExportError, match=r"^长{20}\.\.\. is longer than an XLSX cell can be; choose csv\.$"):
        await _export(db, run_id, tmp_path / "run.xlsx")
    assert _contents(tmp_path) == {}


async def test_gb18030(db: Database, tmp_path: Path) -> None:
    run_id = await _a_run(db, "𠮷野家 😀 ñ")
    await _export(db, run_id, tmp_path / "run.csv", encoding="gb18030")
    content = (tmp_path / "run.csv").read_bytes()
    assert content.startswith(HEADINGS.encode("gb18030"))
    rows = list(csv.reader(io.StringIO(content.decode("gb18030"), newline="")))
    assert rows[1][10] == "𠮷野家 😀 ñ"
    with pytest.raises(ExportError, match=r"^An XLSX file is always UTF-8"):
        await _export(db, run_id, tmp_path / "run.xlsx", encoding="gb18030")


async def test_what_cannot_be_written(db: Database, tmp_path: Path) -> None:
    run_id = await _a_run(db, "a")
    with pytest.raises(ExportError, match=r"^There is no settlement run 99\.$"):
        await _export(db, 99, tmp_path / "run.csv")
    with pytest.raises(ExportError, match=r"^Cannot write .*/no/run\.csv: No such file or directory\.$"):
        await _export(db, run_id, tmp_path / "no" / "run.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ExportError, match=r"^Cannot write .*/folder\.csv: Is a directory\.$"):
        await _export(db, run_id, tmp_path / "folder.csv")
    assert _contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["run.csv", "run.xlsx"])
async def test_a_broken_export_leaves_the_old_file(db: Database, tmp_path: Path, name: str) -> None:
    run_id = await _a_run(db, "a")
    await _export(db, run_id, tmp_path / name)
    before = _contents(tmp_path)

    def cut(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await _export(db, run_id, tmp_path / name, language="en", progress=cut)
    assert _contents(tmp_path) == before


async def test_a_run_that_does_not_tie_is_not_exported(db: Database, database_url: str, tmp_path: Path) -> None:
    run_id = await _a_run(db, "a")
    owner = Database(database_url)
    async with owner.write() as session:
        await session.execute(text("SET LOCAL ROLE NONE"))
        await session.execute(text("UPDATE transfers SET amount = amount - 1 WHERE code = 'supply'"))
    await owner.close()
    with pytest.raises(
        ExportError, match=r"^The statements do not tie to their lines and the ledger: see `s2b2c audit`\.$"
    ):
        await _export(db, run_id, tmp_path / "run.csv")
    assert _contents(tmp_path) == {}
