"""The six documents of settlement to the byte, by rows worked by hand; and the same from a restored dump elsewhere."""

import re
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import delete, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import backup, exports, models, payouts, settlements
from s2b2c.db import Database
from s2b2c.exports import Document, ExportError, Wanted
from s2b2c.exports.documents import LAYOUTS
from s2b2c.sql import statements
from tests import factories
from tests.commands import cli
from tests.databases import _on_server, drop_database, url_of
from tests.test_exports import COMPANY, HEADINGS, NOW, OF_STATEMENTS, PERSON, _contents, _payees, _some_orders

QUARTER = (date(2026, 10, 1), date(2027, 1, 1))
AUTUMN = (date(2026, 9, 1), date(2026, 11, 1))
WHEN = "2026-09-02 01:00:00,2026-09-04 13:00:00,2026-09-11 13:00:00,wang,1,鲜肉猫粮,SKU1,2,98.99"


async def _a_closed_run(db: Database) -> int:
    """The run of one order of 9899 fen, with 10000.00 yuan more for the seller L1, who is taxed, and 2.00 less for the
    brand; the seller and the brand have told their payees, L2 has not.

    L1 has 11.87 + 10000.00 = 10011.87; less 20 % and 5000.00 that is 3009.496, and 3 % of it 90.28488: 90.28 yuan.
    """
    await _some_orders(db, "鲜肉猫粮")
    await _payees(db)
    async with db.write() as session:
        seller = (await session.scalars(select(models.Distributor).where(models.Distributor.code == "L1"))).one()
        brand = (await session.scalars(select(models.Brand))).one()
        await settlements.set_policy(
            session, seller.id, "cn_labour_cumulative", starts_on=date(2026, 1, 1), by=None, now=NOW
        )
        on = {"dated": date(2026, 9, 20), "by": None, "now": NOW}
        await settlements.adjust(session, distributor_id=seller.id, amount=1_000_000, reason="奖励", **on)  # type: ignore[arg-type]
        await settlements.adjust(session, brand_id=brand.id, amount=-200, reason="短少", **on)  # type: ignore[arg-type]
        settled = await settlements.settle(session, cutoff=NOW, now=NOW)
        assert settled is not None
        await factories.a_closed_run(session, settled.run_id, NOW)
    return settled.run_id


async def _content(db: Database, document: Document, out: Path, **options: Any) -> list[str]:
    """The lines of the CSV file."""
    wanted = Wanted(document, **options)
    written = await exports.export_document(db, wanted, out=out / wanted.file_name, now=NOW)
    content = written.path.read_bytes()
    assert content.startswith("\ufeff".encode())
    return content.decode("utf-8-sig").split("\n")


async def test_statement_detail(db: Database, tmp_path: Path) -> None:
    run_id = await _a_closed_run(db)
    none = "," * 10
    assert await _content(db, "statement_detail", tmp_path, run_id=run_id) == [
        HEADINGS,
        f"分销商,L1,王姐,2,NO1,{WHEN},0,98.99,1200,11.87,1187,已计佣",
        f"分销商,L1,王姐,2,,,,2026-09-20 00:00:00{none}10000.00,1000000,调整：奖励",
        f"分销商,L2,华东,1,NO1,{WHEN},1,98.99,300,2.96,296,已计佣",
        f"品牌,鲜宠,鲜宠,3,NO1,{WHEN},,,,52.00,5200,供货款",
        f"品牌,鲜宠,鲜宠,3,,,,2026-09-20 00:00:00{none}-2.00,-200,调整：短少",
        "",
        f"控制合计,结算单数,行数,金额（元）,金额（分）,{OF_STATEMENTS}",
        "分销商,2,3,10014.83,1001483,14.83,0.00,10000.00,90.28,0.00,9924.55,0.00,9924.55,0.00,0.00",
        "品牌,1,2,50.00,5000,52.00,0.00,-2.00,0.00,0.00,50.00,0.00,50.00,0.00,0.00",
        "合计,3,5,10064.83,1006483,66.83,0.00,9998.00,90.28,0.00,9974.55,0.00,9974.55,0.00,0.00",
        "",
    ]


async def test_statement_summary(db: Database, tmp_path: Path) -> None:
    run_id = await _a_closed_run(db)
    of_run = f",{run_id},2026-10-01 08:00:00,2026-10-01,"
    assert await _content(db, "statement_summary", tmp_path, run_id=run_id) == [
        (
            "收款方类型,收款方编号,收款方名称,结算单,结算批次,截止时间,付款日,行数,应计（元）,退款收回（元）,调整（元）,代扣政策,代扣税款（元）,"
            "期初欠款（元）,抵扣欠款（元）,净额（元）,上期结转（元）,应付（元）,结转下期（元）,新增欠款（元）,应付（分）"
        ),
        f"分销商,L1,王姐,2{of_run}1,11.87,0.00,10000.00,劳务报酬累计预扣,90.28,0.00,0.00,9921.59,0.00,9921.59,0.00,0.00,992159",
        f"分销商,L2,华东,1{of_run}1,2.96,0.00,0.00,不代扣,0.00,0.00,0.00,2.96,0.00,2.96,0.00,0.00,296",
        f"品牌,鲜宠,鲜宠,3{of_run}1,52.00,0.00,-2.00,不代扣,0.00,0.00,0.00,50.00,0.00,50.00,0.00,0.00,5000",
        "",
        f"控制合计,结算单数,{OF_STATEMENTS},应付（分）",
        "分销商,2,14.83,0.00,10000.00,90.28,0.00,9924.55,0.00,9924.55,0.00,0.00,992455",
        "品牌,1,52.00,0.00,-2.00,0.00,0.00,50.00,0.00,50.00,0.00,0.00,5000",
        "合计,3,66.83,0.00,9998.00,90.28,0.00,9974.55,0.00,9974.55,0.00,0.00,997455",
        "",
    ]


async def _begun(db: Database, run_id: int) -> None:
    """The payouts of a run are told to the bank."""
    async with db.write() as session:
        await payouts.start(session, run_id, rail="bank", by=None, now=NOW)
    async with db.write() as session:
        assert await payouts.begin(session, now=NOW, limit=10) == 3


async def test_bank_batch(db: Database, tmp_path: Path) -> None:
    """L2 has told no account: its payout is held, and told to nobody. What the bank has answered is told no more."""
    run_id = await _a_closed_run(db)
    await _begun(db, run_id)
    expected = [
        "收款方类型,收款方编号,收款方名称,结算单,付款日,付款附言,金额（元）,金额（分）,收款人,证件号码,开户银行,银行账号",
        f"分销商,L1,王姐,2,2026-10-01,s2b2c-payout-2-1,9921.59,992159,{','.join(PERSON)}",
        f"品牌,鲜宠,鲜宠,3,2026-10-01,s2b2c-payout-3-1,50.00,5000,'{','.join(COMPANY)}",
        "",
        "控制合计,笔数,应付（元）,应付（分）",
        "合计,2,9971.59,997159",
        "未登记收款人,0,0.00,0",
        "",
    ]
    assert await _content(db, "bank_batch", tmp_path, run_id=run_id, with_payees=True) == expected
    async with db.write() as session:
        await payouts.report_bank(session, "s2b2c-payout-2-1", reference="B1", now=NOW)
        await session.execute(delete(models.Payee).where(models.Payee.brand_id.is_not(None)))
    assert await _content(db, "bank_batch", tmp_path, run_id=run_id, with_payees=True) == [
        expected[0],
        *expected[3:5],
        "合计,0,0.00,0",
        "未登记收款人,1,50.00,5000",
        "",
    ]


async def test_brand_payable(db: Database, tmp_path: Path) -> None:
    run_id = await _a_closed_run(db)
    expected = [
        (
            "品牌,品牌名称,结算批次,结算单,截止时间,付款日,订单数,件数,供货款（元）,退货退回（元）,调整（元）,净额（元）,上期结转（元）,"
            "应付（元）,结转下期（元）,应付（分）"
        ),
        f"鲜宠,鲜宠,{run_id},3,2026-10-01 08:00:00,2026-10-01,1,2,52.00,0.00,-2.00,50.00,0.00,50.00,0.00,5000",
        "",
        "控制合计,结算单数,应计（元）,退款收回（元）,调整（元）,净额（元）,上期结转（元）,应付（元）,结转下期（元）,应付（分）",
        "合计,1,52.00,0.00,-2.00,50.00,0.00,50.00,0.00,5000",
        "",
    ]
    assert await _content(db, "brand_payable", tmp_path, run_id=run_id) == expected
    assert await _content(db, "brand_payable", tmp_path, start=QUARTER[0], end=QUARTER[1]) == expected
    before = await _content(db, "brand_payable", tmp_path, start=date(2026, 9, 1), end=QUARTER[0])
    assert before[1:] == ["", expected[3], "合计,0,0.00,0.00,0.00,0.00,0.00,0.00,0.00,0", ""]


async def test_withholding_report(db: Database, tmp_path: Path) -> None:
    await _a_closed_run(db)
    period = "2026-10-01 – 2026-12-31"
    options = {"start": QUARTER[0], "end": QUARTER[1], "with_payees": True}
    assert await _content(db, "withholding_report", tmp_path, **options) == [
        (
            "平台内编号,平台内名称,所属期,末次结算单,结算单数,代扣政策,收入总额（元）,退款金额（元）,调整（元）,收入净额（元）,代扣税款（元）,"
            "收入净额（分）,代扣税款（分）,收款人,证件号码"
        ),
        f"L1,王姐,{period},2,1,劳务报酬累计预扣,11.87,0.00,10000.00,10011.87,90.28,1001187,9028,{','.join(PERSON[:2])}",
        f"L2,华东,{period},1,1,不代扣,2.96,0.00,0.00,2.96,0.00,296,0",
        "",
        "控制合计,人数,行数,收入净额（元）,代扣税款（元）,收入净额（分）,代扣税款（分）",
        "合计,2,2,10014.83,90.28,1001483,9028",
        "未登记收款人,1,1,2.96,0.00,296,0",
        "",
    ]


async def test_ledger_journal(db: Database, tmp_path: Path) -> None:
    """9899 are paid: 5200 to the brand, 1187 and 296 to distributors, 3216 to the platform. Then the corrections, and the
    tax."""
    await _a_closed_run(db)
    async with db.read() as session:
        branch = await session.scalar(select(models.Order.branch_id))
    rows = await _content(db, "ledger_journal", tmp_path, start=AUTUMN[0], end=AUTUMN[1])
    paid, done = "2026-09-02 01:00:00", "2026-09-04 13:00:00"
    closed = "2026-10-01 08:00:00"
    assert rows == [
        "时间,分支,凭证号,业务,来源,来源编号,借方科目,借方对象,贷方科目,贷方对象,金额（元）,金额（分）",
        f"{paid},{branch},1,收款,订单,NO1,支付通道 import,,待结算,,98.99,9899",
        f"{done},{branch},2,佣金,订单,NO1,待结算,,应付佣金,L2 华东,2.96,296",
        f"{done},{branch},3,佣金,订单,NO1,待结算,,应付佣金,L1 王姐,11.87,1187",
        f"{done},{branch},4,平台收入,订单,NO1,待结算,,平台收入,,32.16,3216",
        f"{done},{branch},5,供货款,订单,NO1,待结算,,应付品牌,鲜宠,52.00,5200",
        f"{closed},0,6,调整,调整单,1,平台收入,,应付佣金,L1 王姐,10000.00,1000000",
        f"{closed},0,7,调整,调整单,2,应付品牌,鲜宠,平台收入,,2.00,200",
        f"{closed},0,8,代扣税款,结算单,2,应付佣金,L1 王姐,应交税款,,90.28,9028",
        "",
        "控制合计,笔数,金额（元）,金额（分）",
        "调整,2,10002.00,1000200",
        "佣金,2,14.83,1483",
        "收款,1,98.99,9899",
        "平台收入,1,32.16,3216",
        "供货款,1,52.00,5200",
        "代扣税款,1,90.28,9028",
        "合计,8,10290.26,1029026",
        "",
    ]


ALL: list[tuple[Document, dict[str, Any]]] = [
    ("statement_detail", {"run_id": 1}),
    ("statement_detail", {"run_id": 1, "with_payees": True, "language": "en"}),
    ("statement_summary", {"run_id": 1, "encoding": "gb18030"}),
    ("bank_batch", {"run_id": 1, "with_payees": True}),
    ("brand_payable", {"run_id": 1, "language": "en"}),
    ("withholding_report", {"start": QUARTER[0], "end": QUARTER[1], "with_payees": True}),
    ("ledger_journal", {"start": AUTUMN[0], "end": AUTUMN[1]}),
]


async def _all(db: Database, folder: Path) -> dict[str, bytes]:
    """Every document in every format."""
    folder.mkdir()  # noqa: ASYNC240
    for number, (document, options) in enumerate(ALL):
        for form in ("csv", "xlsx"):
            more: dict[str, Any] = {"format": form} | ({} if form == "csv" else {"encoding": "utf-8"})
            wanted = Wanted(document, **options | more)
            await exports.export_document(db, wanted, out=folder / f"{number}.{form}", now=NOW)
    return _contents(folder)


@pytest.fixture
async def elsewhere(server_url: str, database_url: str) -> AsyncIterator[str]:
    """An empty database of another collation: by pinyin where the server can, else by code of another locale. One entry
    is there in any build."""
    owner = Database(database_url)
    async with owner.read() as session:
        has_icu = await session.scalar(text("SELECT count(*) > 9 FROM pg_collation WHERE collprovider = 'i'"))
        locale = await session.scalar(text("SELECT datcollate FROM pg_database WHERE datname = current_database()"))
    await owner.close()
    other = "LOCALE_PROVIDER icu ICU_LOCALE 'zh-u-co-pinyin'" if has_icu else f"LOCALE '{_OTHER[locale == 'C']}'"
    name = f"{make_url(database_url).database}_elsewhere"
    await _on_server(server_url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {other}")
    yield url_of(server_url, name)
    await drop_database(server_url, name)


_OTHER = ("C", "C.UTF-8")


async def test_the_same_bytes_from_a_restored_dump_that_sorts_otherwise(
    db: Database, database_url: str, elsewhere: str, tmp_path: Path
) -> None:
    assert await _a_closed_run(db) == 1
    async with db.write() as session:
        await _odd_names(session)
    first = await _all(db, tmp_path / "first")
    assert len(first) == 4 * len(ALL)
    assert await _all(db, tmp_path / "again") == first
    await backup.write(database_url, tmp_path / "all.zip")
    await backup.restore(elsewhere, tmp_path / "all.zip", replace=True)
    other = Database(elsewhere)
    collations = []
    for database in (db, other):
        async with database.read() as session:
            of = text("SELECT datlocprovider, datcollate FROM pg_database WHERE datname = current_database()")
            collations.append((await session.execute(of)).one())
    assert collations[0] != collations[1]
    assert await _all(other, tmp_path / "other") == first
    await other.close()


async def _odd_names(session: AsyncSession) -> None:
    """Codes whose order depends on who sorts them."""
    for number, distributor in enumerate((await session.scalars(select(models.Distributor))).all()):
        distributor.code = ("L10", "l9")[number]
        distributor.name = ("张\n三", '="王",ñ')[number]


def test_no_document_sorts_texts_as_the_database_does() -> None:
    """Whatever the collation of the server that runs the tests, the words after ORDER BY say how texts are sorted."""
    for document, _ in ALL:
        query = statements("exports")[document].text
        order = query[query.rindex("ORDER BY") :]
        left = re.sub(r'(coalesce\([^)]*\)|[\w.]+) COLLATE "C"', "", order)
        assert not re.search(r"\b(code|name|order_no|withholding)\b", left), document


async def test_xlsx_adds_up_to_its_foot(db: Database, tmp_path: Path) -> None:
    assert await _a_closed_run(db) == 1
    sums = {
        "statement_detail": 1_006_483,
        "statement_summary": 997_455,
        "brand_payable": 5_000,
        "ledger_journal": 1_029_026,
    }
    for document, options in ALL:
        wanted = Wanted(document, **options | {"format": "xlsx", "encoding": "utf-8"})
        written = await exports.export_document(db, wanted, out=tmp_path / "x.xlsx", now=NOW)
        (sheet,) = openpyxl.load_workbook(tmp_path / "x.xlsx").worksheets
        rows = list(sheet.iter_rows(values_only=True))
        last = LAYOUTS[document].fen
        amounts = [row[last] for row in rows[1 : rows.index((None,) * len(rows[0]))]]
        assert sum(amounts) == written.amount  # type: ignore[arg-type]  # all of them numbers
        assert len(amounts) == written.rows
        assert written.amount == sums.get(document, written.amount)


@pytest.mark.parametrize(
    ("broken", "document"),
    [
        ("UPDATE transfers SET amount = amount + 1 WHERE code = 'commission'", "statement_detail"),
        ("UPDATE transfers SET amount = amount + 1 WHERE code = 'withholding'", "statement_summary"),
        ("UPDATE transfers SET amount = amount - 1 WHERE code = 'payout'", "bank_batch"),
        ("UPDATE transfers SET amount = amount + 1 WHERE code = 'supply'", "brand_payable"),
        ("DELETE FROM transfers WHERE code = 'withholding'", "withholding_report"),
        ("UPDATE adjustments SET amount = amount + 1", "statement_summary"),
    ],
)
async def test_what_does_not_tie_to_the_ledger_is_not_written(
    db: Database, database_url: str, tmp_path: Path, broken: str, document: Document
) -> None:
    run_id = await _a_closed_run(db)
    await _begun(db, run_id)
    owner = Database(database_url)
    async with owner.write() as session:
        for statement in ("SET LOCAL ROLE NONE", "SET LOCAL session_replication_role = replica", broken):
            await session.execute(text(statement))
    await owner.close()
    of: dict[str, Any] = {"run_id": run_id}
    if document == "withholding_report":
        of = {"start": QUARTER[0], "end": QUARTER[1]}
    wanted = Wanted(document, **of, with_payees=True)
    with pytest.raises(ExportError, match=r"^The (statements|payouts) do not tie to .* the ledger: see `s2b2c audit`"):
        await exports.export_document(db, wanted, out=tmp_path / "x.csv", now=NOW)
    assert _contents(tmp_path) == {}


async def test_a_journal_without_an_account_is_not_written(db: Database, database_url: str, tmp_path: Path) -> None:
    await _a_closed_run(db)
    owner = Database(database_url)
    async with owner.write() as session:
        await session.execute(text("SET LOCAL ROLE NONE"))
        await session.execute(text("DELETE FROM ledger_accounts WHERE kind = 'tax_payable'"))
    await owner.close()
    forms: tuple[exports.Format, ...] = ("csv", "xlsx")
    for form in forms:
        wanted = Wanted("ledger_journal", start=AUTUMN[0], end=AUTUMN[1], format=form)
        with pytest.raises(ExportError, match=r"^The ledger journal does not come to its totals"):
            await exports.export_document(db, wanted, out=tmp_path / "x", now=NOW)
    assert _contents(tmp_path) == {}


async def test_who_is_read_is_on_record_once_for_each_document(db: Database, tmp_path: Path) -> None:
    """A bank batch reads those that are paid, the report of a quarter distributors alone."""
    run_id = await _a_closed_run(db)
    await _begun(db, run_id)
    found = []
    for wanted in (
        Wanted("bank_batch", run_id, with_payees=True),
        Wanted("withholding_report", start=QUARTER[0], end=QUARTER[1], with_payees=True),
        Wanted("statement_summary", run_id, with_payees=True),
        Wanted("statement_summary", run_id),
    ):
        await exports.export_document(db, wanted, out=tmp_path / "x.csv", now=NOW)
        async with db.read() as session:
            it = models.PersonalRead
            query = select(it.distributor_id.is_not(None), it.purpose, it.at).order_by(it.id)
            found.append([tuple(row) for row in await session.execute(query)])
    own, its = (True, "payout", NOW), (False, "payout", NOW)
    assert found == [[own, its], [own, its, own], [own, its, own, own, its], [own, its, own, own, its]]


def test_the_command_line_writes_each(database_url: str, tmp_path: Path) -> None:
    period = ("--from", "2026-10-01", "--until", "2027-01-01")
    for name, options in {
        "statement-detail": period,
        "statement-summary": period,
        "brand-payable": period,
        "withholding-report": (*period, "--payees"),
        "ledger-journal": (*period, "--format", "xlsx"),
    }.items():
        assert "0 lines" in cli(database_url, "export", name, *options, "--out", str(tmp_path / name))
    for arguments, why in (
        (("bank-batch", "1"), "The bank batch says to whom is paid: ask for it with payees."),
        (("bank-batch", "1", "--payees"), "There is no settlement run 1."),
        (("statement-detail",), "A period begins on a day and ends before a later one."),
        (("ledger-journal", "--from", "2026-10-02", "--until", "2026-10-02"), "A period begins on a day"),
    ):
        assert why in cli(database_url, "export", *arguments, "--out", str(tmp_path / "x"), code=1)
    assert not (tmp_path / "x").exists()
