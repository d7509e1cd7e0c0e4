"""A settlement run as one CSV or XLSX file: every line of every statement, streamed; a catalogue as a CSV file that can
be imported again. Amounts are fen in, yuan out."""

import csv
import hashlib
import io
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import xlsxwriter
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from xlsxwriter.exceptions import XlsxFileError

from s2b2c.atomic import replacing
from s2b2c.db import PLAN_FOR_BULK, AnyRow
from s2b2c.models import Brand, SettlementRun, Tier, Variant
from s2b2c.money import format_yuan
from s2b2c.payees import PayeeDetails
from s2b2c.settlements import Progress, Totals
from s2b2c.sql import statements

Format = Literal["csv", "xlsx"]
Language = Literal["zh", "en"]
Encoding = Literal["utf-8", "gb18030"]

Cells = Sequence[str | int | None]
Write = Callable[[Iterable[Cells]], None]

_ROWS_PER_FETCH = 5_000
_SHEET_ROWS = 1_048_576


class ExportError(Exception):
    """Nothing was exported; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Exported:
    path: Path
    sha256: str
    distributors: Totals
    brands: Totals


@dataclass(frozen=True, slots=True)
class _Words:
    headings: Cells
    payee_headings: Cells
    """Of what an export holds only where it is asked for."""
    payees: dict[str, str]
    outcomes: dict[str, str]
    """Why an amount is what it is; "supply" is what a brand gets, "clawback" and "return" what refunds take back."""
    control: Cells
    total: str


_LANGUAGES = {
    "zh": _Words(
        headings=(
            "收款方类型", "收款方编号", "收款方名称", "结算单", "订单号", "支付时间", "完成时间", "到期时间", "店铺",
            "行号", "商品", "SKU", "数量", "实付（元）", "上级位次", "计佣基数（元）", "比例（万分之）", "金额（元）",
            "金额（分）", "说明",
        ),
        payee_headings=("收款人", "证件号码", "开户银行", "银行账号"),
        payees={"distributor": "分销商", "brand": "品牌"},
        outcomes={
            "earned": "已计佣", "zero": "不足一分", "capped": "受毛利底线限制", "blocked": "已停用，归平台",
            "clawback": "退款回收佣金", "supply": "供货款", "return": "退款退回供货款",
        },
        control=("控制合计", "结算单数", "行数", "金额（元）", "金额（分）"),
        total="合计",
    ),
    "en": _Words(
        headings=(
            "Payee kind", "Payee code", "Payee name", "Statement", "Order no", "Paid at", "Completed at", "Matures at",
            "Store", "Line", "Product", "SKU", "Quantity", "Paid (yuan)", "Position", "Base (yuan)", "Rate (bps)",
            "Amount (yuan)", "Amount (fen)", "Outcome",
        ),
        payee_headings=("Legal name", "Identity number", "Bank", "Bank account"),
        payees={"distributor": "Distributor", "brand": "Brand"},
        outcomes={
            "earned": "earned", "zero": "less than a fen", "capped": "capped by the margin floor",
            "blocked": "blocked, stays with the platform",
            "clawback": "taken back by a refund", "supply": "supply", "return": "taken back by a refund",
        },
        control=("Control totals", "Statements", "Lines", "Amount (yuan)", "Amount (fen)"),
        total="Total",
    ),
}  # fmt: skip


async def export_settlement(
    session: AsyncSession,
    run_id: int,
    *,
    format: Format,  # noqa: A002  what everybody calls it
    out: Path,
    language: Language = "zh",
    encoding: Encoding = "utf-8",
    payees: Mapping[int, PayeeDetails] | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a run to `out`, replacing it whole or not at all, and its SHA-256 beside it. The same run, the same bytes.

    `session` is a snapshot. Every amount stands in yuan, as text, and what is paid also in fen, as a number: what a
    spreadsheet adds up exactly. The foot holds the control totals of the rows written, equal to statements and ledger.
    `payees`, by statement, adds to each row to whom it is paid, in full: whoever reads them leaves a trail. `progress`
    counts rows. Raises ExportError.
    """
    if format == "xlsx" and encoding != "utf-8":
        raise ExportError("An XLSX file is always UTF-8; choose csv for GB18030.")
    run = await session.get(SettlementRun, run_id)
    if run is None:
        raise ExportError(f"There is no settlement run {run_id}.")
    words = _LANGUAGES[language]
    headings = words.headings if payees is None else (*words.headings, *words.payee_headings)
    try:
        with replacing(out) as file:
            if format == "csv":
                with _csv(file, encoding, headings) as write:
                    written = await _write(session, run_id, words, write, not_a_formula, payees, progress)
            else:
                with _xlsx(file, run.created_at, headings) as write:
                    written = await _write(session, run_id, words, write, _not_markup, payees, progress)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with replacing(out.with_name(f"{out.name}.sha256")) as file:
            file.write(f"{sha256}  {out.name}\n".encode())
    except (OSError, XlsxFileError) as error:
        raise ExportError(f"Cannot write {out}: {getattr(error, 'strerror', None) or error}.") from error
    return Exported(out, sha256, written["distributor"], written["brand"])


async def _write(
    session: AsyncSession,
    run_id: int,
    words: _Words,
    write: Write,
    safe: Callable[[str], str],
    payees: Mapping[int, PayeeDetails] | None,
    progress: Progress | None,
) -> dict[str, Totals]:
    """All lines and the foot. Raises ExportError when they do not tie to the statements and to the ledger."""
    await session.execute(PLAN_FOR_BULK)
    control = (await session.execute(statements("exports")["control_totals"], {"run_id": run_id})).all()
    expected = sum(row.lines for row in control)
    paid_to = {statement: tuple(map(safe, details)) for statement, details in (payees or {}).items()}
    done = 0
    written = {}
    for payee, count, *totals in control:
        lines = gross = clawbacks = 0
        async for rows in _lines(session, run_id, payee):
            write((*_cells(words.payees[payee], row, words.outcomes, safe), *paid_to.get(row[2], ())) for row in rows)
            lines += len(rows)
            gross += sum(amount for *_, amount, outcome in rows if outcome not in _TAKEN_BACK)
            clawbacks -= sum(amount for *_, amount, outcome in rows if outcome in _TAKEN_BACK)
            if progress is not None:
                progress(done + lines, expected)
        if totals != [lines, gross, clawbacks, gross - clawbacks]:
            raise ExportError(f"Run {run_id} does not tie to its statements and the ledger: see `s2b2c audit`.")
        written[payee] = Totals(count, lines, gross, clawbacks)
        done += lines
    write(_foot(written, words))
    return written


async def _lines(session: AsyncSession, run_id: int, payee: str) -> AsyncIterator[Sequence[Sequence[Any]]]:
    result = await session.stream(
        statements("exports")[f"{payee}_lines"], {"run_id": run_id}, execution_options={"yield_per": _ROWS_PER_FETCH}
    )
    async for rows in result.partitions(_ROWS_PER_FETCH):
        yield rows


_TAKEN_BACK = ("clawback", "return")


def _cells(payee: str, row: Sequence[Any], outcomes: dict[str, str], safe: Callable[[str], str]) -> Cells:
    (code, name, statement_id, order_no, paid_at, completed_at, matures_at, store, line_no, product, sku,
     quantity, paid, position, base, rate, amount, outcome) = row  # fmt: skip
    return (
        payee,
        safe(code),
        safe(name),
        statement_id,
        safe(order_no),
        paid_at,
        completed_at,
        matures_at,
        safe(store),
        line_no,
        safe(product),
        safe(sku),
        quantity,
        format_yuan(paid),
        position,
        None if base is None else format_yuan(base),
        rate,
        format_yuan(amount),
        amount,
        outcomes[outcome],
    )


def _foot(written: dict[str, Totals], words: _Words) -> Iterator[Cells]:
    yield ()
    yield words.control
    total = Totals(*map(sum, zip(*written.values(), strict=True)))
    for label, totals in [*((words.payees[payee], totals) for payee, totals in written.items()), (words.total, total)]:
        net = totals.gross - totals.clawbacks
        yield label, totals.statements, totals.lines, format_yuan(net), net


_CATALOGUE = (
    *("brand", "product_code", "title", "category", "tags", "sku", "options", "supply_price", "suggested_price"),
    *("min_price", "max_price", "stock", "image_url"),
)
"""The columns that an import reads, before those of the tiers."""


async def export_catalogue(
    session: AsyncSession,
    brand: str,
    *,
    out: Path,
    with_stock: bool = False,
    encoding: Encoding = "utf-8",
    progress: Progress | None = None,
) -> int:
    """Write what a brand supplies to `out` as a CSV file that an import reads; replaces it whole or not at all.

    Imported as it is, it changes nothing. Without stock, what is sold in the meantime is not put back. A text that
    begins like a formula has an apostrophe before it, which the import takes off. `session` is a snapshot; `progress`
    counts rows. Returns how many there are. Raises ExportError.
    """
    brand_id = await session.scalar(select(Brand.id).where(Brand.name == brand))
    if brand_id is None:
        raise ExportError(f"No brand is named {brand}.")
    tiers = (await session.execute(select(Tier.rank, Tier.code).order_by(Tier.rank))).all()
    headings = (*_CATALOGUE, *(f"tier_cost:{tier.code}" for tier in tiers))
    total = await session.scalar(select(func.count()).where(Variant.brand_id == brand_id)) or 0
    done = 0
    await session.execute(PLAN_FOR_BULK)
    supply = await session.stream(
        statements("exports")["catalogue"], {"brand_id": brand_id}, execution_options={"yield_per": _ROWS_PER_FETCH}
    )
    try:
        with replacing(out) as file, _csv(file, encoding, headings) as write:
            async for rows in supply.partitions(_ROWS_PER_FETCH):
                write(_supply_cells(brand, row, [tier.rank for tier in tiers], with_stock=with_stock) for row in rows)
                done += len(rows)
                if progress is not None:
                    progress(done, total)
    except OSError as error:
        raise ExportError(f"Cannot write {out}: {error.strerror}.") from error
    return done


def _supply_cells(brand: str, row: AnyRow, ranks: Sequence[int], *, with_stock: bool) -> Cells:
    tags = [f"调性:{word}" for word in row.tonalities] + [f"人群:{word}" for word in row.audiences]
    texts = (brand, row.code, row.title, row.category, ";".join(tags), row.sku)
    costs = dict(enumerate(row.tier_costs, start=1))
    return (
        *map(_guarded, texts),
        _guarded(";".join(f"{name}={value}" for name, value in row.options.items())),
        *map(format_yuan, (row.supply_price, row.suggested_price, row.min_price, row.max_price)),
        row.stock if with_stock else None,
        row.image_url,
        *(None if costs.get(rank) is None else format_yuan(costs[rank]) for rank in ranks),
    )


_GUARDED = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def _guarded(text: str) -> str:
    """Like `not_a_formula`, and an import can tell: it takes one apostrophe off again."""
    return f"'{text}" if _GUARDED.match(text) else text


_FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")


def not_a_formula(text: str) -> str:
    """A spreadsheet runs a CSV cell that starts like a formula, quoted or not; after an apostrophe it is text."""
    return f"'{text}" if text[:1] in _FORMULA_STARTS else text


def _not_markup(text: str) -> str:
    """XlsxWriter copies a text in these tags into the file as XML, where it could break or change the sheet."""
    return f"'{text}" if text.startswith("<r>") and text.endswith("</r>") else text


@contextmanager
def _csv(file: io.BufferedRandom, encoding: str, headings: Cells) -> Iterator[Write]:
    """Excel takes a file without a byte order mark for the local encoding, which in China is GB18030."""
    text = io.TextIOWrapper(file, "utf-8-sig" if encoding == "utf-8" else encoding, newline="")
    writer = csv.writer(text)
    writer.writerow(headings)
    yield writer.writerows
    text.detach()


@contextmanager
def _xlsx(file: io.BufferedRandom, created_at: datetime, headings: Cells) -> Iterator[Write]:
    """Rows go to disk as they come, and on to the next sheet where one is full. All texts are written as texts."""
    with tempfile.TemporaryDirectory() as scratch:
        book = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": scratch})
        book.use_zip64()
        book.set_properties({"created": created_at})
        sheet, used = book.add_worksheet(), 0

        def write(rows: Iterable[Cells]) -> None:
            nonlocal sheet, used
            for cells in rows:
                if used == _SHEET_ROWS:
                    sheet, used = book.add_worksheet(), 0
                    write([headings])
                for column, cell in enumerate(cells):
                    if isinstance(cell, str):
                        if sheet.write_string(used, column, cell):
                            raise ExportError(f"{cell[:20]}... is longer than an XLSX cell can be; choose csv.")
                    elif cell is not None:
                        sheet.write_number(used, column, cell)
                used += 1

        write([headings])
        try:
            yield write
        finally:  # also closes the files of its sheets
            book.close()
