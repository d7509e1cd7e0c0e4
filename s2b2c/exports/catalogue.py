"""A catalogue as a CSV file that can be imported again."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.atomic import replacing
from s2b2c.db import PLAN_FOR_BULK, AnyRow
from s2b2c.exports.cells import Cells, Encoding, ExportError, Write
from s2b2c.models import Brand, Tier, Variant
from s2b2c.money import format_yuan
from s2b2c.settlements import Progress
from s2b2c.sql import statements

_ROWS_PER_FETCH = 5_000

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


@contextmanager
def _csv(file: io.BufferedRandom, encoding: str, headings: Cells) -> Iterator[Write]:
    """Excel takes a file without a byte order mark for the local encoding, which in China is GB18030."""
    text = io.TextIOWrapper(file, "utf-8-sig" if encoding == "utf-8" else encoding, newline="")
    writer = csv.writer(text)
    writer.writerow(headings)
    yield writer.writerows
    text.detach()
