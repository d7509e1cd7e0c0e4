"""What stores sold as CSV or XLSX: the rows that the doors show page by page, all of them, with totals that tie."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from xlsxwriter.exceptions import XlsxFileError

from s2b2c import output
from s2b2c.atomic import replacing
from s2b2c.config import SHANGHAI
from s2b2c.db import PLAN_FOR_BULK, AnyRow, SortKey
from s2b2c.exports.cells import Cells, CsvFile, Encoding, ExportError, Format, Write, not_a_formula, xlsx
from s2b2c.exports.words import Language
from s2b2c.models import Brand, Product, Store, Tier
from s2b2c.money import format_yuan
from s2b2c.output import Scope

SalesReport = Literal[
    "stores", "regions", "tiers", "products", "days", "weeks", "months", "distribution", "sell-through", "never-sold"
]
_ROWS_PER_FETCH = 5_000
_FIGURES = "产值（元）,产值（分）,订单数,件数,产值占比（万分之）,上期产值（元）,增长（万分之）"
_FIGURES_EN = "Output (CNY),Output (fen),Orders,Units,Share (bps),Output before (CNY),Growth (bps)"
_PERIOD, _PERIOD_EN = (
    "起始日,计入自,计入至（不含）,产值（元）,产值（分）,订单数,件数",
    "Start,Counts from,Counts to (excluded),Output (CNY),Output (fen),Orders,Units",
)

_HEADINGS: Mapping[Language, Mapping[SalesReport, str]] = {
    "zh": {
        "stores": f"店铺,店铺名称,地区,店主层级,{_FIGURES},选品数,"
        "同组地区,同组店铺数,同组名次,同组平均（元）,同组中位数（元）",
        "regions": f"地区,店铺数,有订单店铺数,{_FIGURES}",
        "tiers": f"店主层级,店铺数,有订单店铺数,{_FIGURES}",
        "products": f"品牌,商品编码,商品,{_FIGURES},动销店铺数,选品数,动销选品数,动销率（万分之）",
        "days": _PERIOD,
        "weeks": _PERIOD,
        "months": _PERIOD,
        "distribution": "十分位,店铺数,产值（元）,产值（分）,最低（元）,最高（元）",
        "sell-through": "店铺,店铺名称,地区,店主层级,选品数,动销选品数,动销率（万分之）",
        "never-sold": "店铺,店铺名称,地区,商品编码,商品,上架时间,下架时间",
    },
    "en": {
        "stores": f"Store,Title,Region,Owner's tier,{_FIGURES_EN},Listings,Cohort region,Cohort stores,Cohort rank,"
        "Cohort mean (CNY),Cohort median (CNY)",
        "regions": f"Region,Stores,Selling stores,{_FIGURES_EN}",
        "tiers": f"Owner's tier,Stores,Selling stores,{_FIGURES_EN}",
        "products": f"Brand,Product code,Product,{_FIGURES_EN},Selling stores,Listings,Sold,Sell-through (bps)",
        "days": _PERIOD_EN,
        "weeks": _PERIOD_EN,
        "months": _PERIOD_EN,
        "distribution": "Decile,Stores,Output (CNY),Output (fen),Least (CNY),Most (CNY)",
        "sell-through": "Store,Title,Region,Owner's tier,Listings,Sold,Sell-through (bps)",
        "never-sold": "Store,Title,Region,Product code,Product,Listed at,Removed at",
    },
}
_FEET: Mapping[Language, Mapping[str, Cells]] = {
    "zh": {
        "output": ("合计", "行数", "产值（元）", "产值（分）"),
        "sell-through": ("合计", "行数", "选品数", "动销选品数"),
        "never-sold": ("合计", "行数"),
        "whole": ("全层级",),
    },
    "en": {
        "output": ("Total", "Rows", "Output (CNY)", "Output (fen)"),
        "sell-through": ("Total", "Rows", "Listings", "Sold"),
        "never-sold": ("Total", "Rows"),
        "whole": ("whole tier",),
    },
}


@dataclass(frozen=True, slots=True)
class SalesWanted:
    """A report of what stores sold, in the days and places of `scope`."""

    report: SalesReport
    scope: Scope
    format: Format = "csv"
    language: Language = "zh"
    encoding: Encoding = "utf-8"

    @property
    def file_name(self) -> str:
        return f"{self.report}-{self.scope.start}-{self.scope.end}.{self.format}"

    def safe(self, *texts: str | None) -> Cells:
        """Cells of what people wrote; amounts may begin with a minus and stay as they are."""
        return tuple(text and not_a_formula(text) for text in texts) if self.format == "csv" else texts


@dataclass(frozen=True, slots=True)
class SalesWritten:
    path: Path
    sha256: str
    rows: int
    """Without headings and foot."""
    output: int | None
    """What the rows add up to, in fen; None where they hold no money."""


def check_sales(wanted: SalesWanted) -> None:
    """Raises ExportError for a file that there cannot be."""
    if wanted.scope.start >= wanted.scope.end:
        raise ExportError("A period begins on a day and ends before a later one.")
    if wanted.format == "xlsx" and wanted.encoding != "utf-8":
        raise ExportError("An XLSX file is always UTF-8; choose csv for GB18030.")


async def named_scope(
    session: AsyncSession,
    days: Scope,
    *,
    brand: str | None = None,
    product: str | None = None,
    store: str | None = None,
    tier: str | None = None,
) -> Scope:
    """The scope of `days` with what people name: a brand's name, a product's code, a store's slug, a tier's code.

    Raises ExportError for what is not there, and for a product without its brand, for two may share a code.
    """
    if product is not None and brand is None:
        raise ExportError("A code is unique within its brand: name the brand as well.")
    brand_id = await _found(session, select(Brand.id).where(Brand.name == brand), "brand", brand)
    of_brand = select(Product.id).where(Product.code == product, Product.brand_id == brand_id)
    return days._replace(
        brand_id=brand_id,
        product_id=await _found(session, of_brand, "product of the brand", product),
        store_id=await _found(session, select(Store.id).where(Store.slug == store), "store", store),
        tier_id=await _found(session, select(Tier.id).where(Tier.code == tier), "tier", tier),
    )


async def _found(session: AsyncSession, query: Select[int], what: str, name: str | None) -> int | None:
    if name is None:
        return None
    key = await session.scalar(query)
    if key is None:
        raise ExportError(f"No {what} is called {name[:60]}.")
    return key


async def write_sales(
    session: AsyncSession, wanted: SalesWanted, *, out: Path, progress: Callable[[int], None] | None = None
) -> SalesWritten:
    """Write a report to `out`, replacing it whole or not at all, and its SHA-256 beside it. The same, the same bytes.

    `session` is a snapshot. Amounts stand in yuan, as text, and the output also in fen, as a number; shares and growth
    in basis points. Of output the foot is the sum of the rows, and the same as that of the daily totals; else nothing
    is written. A brand's file holds its own products alone, as its scope does. `progress` is told how many rows are
    written. Raises ExportError.
    """
    check_sales(wanted)
    await session.execute(PLAN_FOR_BULK)
    expected = await _expected(session, wanted)
    told = progress or (lambda _: None)
    headings = _HEADINGS[wanted.language][wanted.report].split(",")
    written = _Sums(wanted)
    try:
        with replacing(out) as file:
            if wanted.format == "xlsx":
                created_at = datetime.combine(wanted.scope.start, time(), SHANGHAI).astimezone(UTC)
                with xlsx(file, created_at, headings) as write:
                    await _write_rows(session, wanted, write, written, expected, told)
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            else:
                document = CsvFile(file, wanted.encoding)
                document.write_rows([headings])
                await _write_rows(session, wanted, document.write_rows, written, expected, told)
                sha256 = document.sha256
        with replacing(out.with_name(f"{out.name}.sha256")) as file:
            file.write(f"{sha256}  {out.name}\n".encode())
    except (OSError, XlsxFileError) as error:
        raise ExportError(f"Cannot write {out}: {getattr(error, 'strerror', None) or error}.") from error
    return SalesWritten(out, sha256, written.rows, written.output if written.has_output else None)


class _Sums:
    """What the rows that were written come to."""

    def __init__(self, wanted: SalesWanted) -> None:
        self.rows = self.output = self.listings = self.sold = 0
        self.has_output = wanted.report not in {"sell-through", "never-sold"}

    def add(self, row: Any) -> None:
        self.rows += 1
        if self.has_output:
            self.output += row.output
        elif hasattr(row, "sold"):
            self.listings += row.listings
            self.sold += row.sold

    def ties(self, expected: AnyRow, report: SalesReport) -> bool:
        if self.has_output:
            return bool(self.output == expected.output)
        if report == "never-sold":
            return bool(self.rows == expected.listings - expected.sold)
        return (self.listings, self.sold) == (expected.listings, expected.sold)

    def foot(self, wanted: SalesWanted) -> list[Cells]:
        feet = _FEET[wanted.language]
        if self.has_output:
            return [(), feet["output"], (None, self.rows, format_yuan(self.output), self.output)]
        if wanted.report == "never-sold":
            return [(), feet["never-sold"], (None, self.rows)]
        return [(), feet["sell-through"], (None, self.rows, self.listings, self.sold)]


async def _expected(session: AsyncSession, wanted: SalesWanted) -> AnyRow:
    """What the daily totals and the listings come to, counted in another way than the rows are."""
    of: Callable[[Scope], Select[*tuple[Any, ...]]] = (
        output.listed_and_sold if wanted.report in {"sell-through", "never-sold"} else output.sum_of_days
    )
    return (await session.execute(of(wanted.scope))).one()


async def _write_rows(
    session: AsyncSession,
    wanted: SalesWanted,
    write: Write,
    written: _Sums,
    expected: AnyRow,
    progress: Callable[[int], None],
) -> None:
    """Raises ExportError, and then no file is there, when the rows do not come to what was expected."""

    def cells(rows: Iterable[Any]) -> Iterable[Cells]:
        for row in rows:
            written.add(row)
            yield _CELLS[wanted.report](row, wanted)

    async for rows in _rows(session, wanted):
        write(cells(rows))
        progress(written.rows)
    if not written.ties(expected, wanted.report):
        raise ExportError(f"The {wanted.report} do not come to the daily totals: see `s2b2c audit`.")
    write(written.foot(wanted))


async def _rows(session: AsyncSession, wanted: SalesWanted) -> AsyncIterator[Sequence[Any]]:
    if wanted.report == "distribution":
        yield (await output.spread(session, wanted.scope)).deciles
        return
    stream = await session.stream(_query(wanted), execution_options={"yield_per": _ROWS_PER_FETCH})
    async for rows in stream.partitions(_ROWS_PER_FETCH):
        yield rows


def _query(wanted: SalesWanted) -> Select[*tuple[Any, ...]]:
    scope = wanted.scope
    match wanted.report:
        case "days":
            return output.periods(scope, by="day")
        case "weeks":
            return output.periods(scope, by="week")
        case "months":
            return output.periods(scope, by="month")
        case "stores":
            return _sorted(*output.stores(scope))
        case "regions":
            return _sorted(*output.regions(scope))
        case "tiers":
            return _sorted(*output.tiers(scope))
        case "products":
            return _sorted(*output.products(scope))
        case "sell-through":
            return _sorted(*output.selling(scope, least_first=True))
        case _:
            return _sorted(*output.unsold(scope))


def _sorted(query: Select[*tuple[Any, ...]], keys: Sequence[SortKey]) -> Select[*tuple[Any, ...]]:
    return query.order_by(*(column.desc() if way == "down" else column for column, way in keys))


def _figures(row: Any) -> Cells:
    return (
        *(format_yuan(row.output), row.output, row.orders, row.units),
        10_000 * row.output // row.total if row.total > 0 else None,
        format_yuan(row.output_before),
        10_000 * row.trend // row.output_before if row.output_before > 0 else None,
    )


def _store(row: Any, wanted: SalesWanted) -> Cells:
    return wanted.safe(row.store.slug, row.store.title, row.store.region)


def _of_store(row: Any, wanted: SalesWanted) -> Cells:
    cohort: Cells = (None,) * 5
    if row.is_member:
        (whole,) = _FEET[wanted.language]["whole"]
        mean = row.cohort_output // row.cohort_stores
        place = (row.cohort_stores, row.place, format_yuan(mean), format_yuan(row.median))
        cohort = (*wanted.safe(row.cohort_region or str(whole)), *place)
    return (*_store(row, wanted), *wanted.safe(row.tier.name), *_figures(row), row.listings, *cohort)


def _of_product(row: Any, wanted: SalesWanted) -> Cells:
    bps = 10_000 * row.sold // row.listings if row.listings else None
    named = wanted.safe(row.brand_name, row.product.code, row.product.title)
    return (*named, *_figures(row), row.selling, row.listings, row.sold, bps)


def _of_period(row: Any, _: SalesWanted) -> Cells:
    days = map(str, (row.start, row.since, row.until))
    return (*days, format_yuan(row.output), row.output, row.orders, row.units)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"


_CELLS: Mapping[SalesReport, Callable[[Any, SalesWanted], Cells]] = {
    "stores": _of_store,
    "regions": lambda row, wanted: (*wanted.safe(row.region), row.stores, row.selling, *_figures(row)),
    "tiers": lambda row, wanted: (*wanted.safe(row.tier.name), row.stores, row.selling, *_figures(row)),
    "products": _of_product,
    "days": _of_period,
    "weeks": _of_period,
    "months": _of_period,
    "distribution": lambda row, _: (
        *(row.decile, row.stores, format_yuan(row.output), row.output),
        *(format_yuan(row.least), format_yuan(row.most)),
    ),
    "sell-through": lambda row, wanted: (
        *(*_store(row, wanted), *wanted.safe(row.tier.name)),
        *(row.listings, row.sold, row.bps),
    ),
    "never-sold": lambda row, wanted: (
        *(*_store(row, wanted), *wanted.safe(row.product.code, row.product.title)),
        *(_moment(row.listed_at), _moment(row.removed_at)),
    ),
}
