"""The import of a catalogue of a million variants beside its floor, COPY of the very same rows into the same tables.

50 brands sell 250,000 products in four variants each, to three tiers. The file is imported by a process of its own, which
tells its time and its memory, until every product can be searched for: that of a tenth of the file shows that neither grows with it. The floor loads the rows that the
import wrote, saved as binary, into the same tables, with every index and constraint, of a database beside it. The same
file again, and one that changes every price, are imported too.

`python -m tests.bench.catalogue --sample` does it on a hundredth: quick, and too small for the ratio to mean anything.
"""

import asyncio
import csv
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from s2b2c.catalogue import index_products
from s2b2c.config import CHECKOUT, state_dir
from s2b2c.db import Database, migrate
from s2b2c.imports import import_file
from s2b2c.money import format_yuan
from tests import factories
from tests.bench.server import fresh_database, owner_of, run_alone, timed
from tests.databases import create_database, drop_database

DATABASE, FLOOR, SMALL = "s2b2c_bench", "s2b2c_bench_floor", "s2b2c_bench_small"
VARIANTS = 1_000_000
OF_A_PRODUCT = 4
BRANDS = 50
TIERS = ("tier-1", "tier-2", "tier-3")
TABLES = ("products", "variants", "prices")
MOST = 4.0
"""Times its floor that the import may take."""
MOST_GROWTH_MIB = 64
"""More memory that Python may take for a file that is ten times as long."""

_HEADER = (
    *("brand", "product_code", "title", "category", "tags", "sku", "options", "supply_price", "suggested_price"),
    *("min_price", "max_price", "stock", "image_url", *(f"tier_cost:{code}" for code in TIERS)),
)
_NAMES = ("绒溪", "山岚", "木禾", "青舟", "云栖", "麦田", "知夏", "竹里", "海屿", "晨露")
_KINDS = {
    "猫粮": ("鲜肉烘焙", "冻干双拼", "低敏三文鱼"),
    "面霜": ("积雪草舒缓", "烟酰胺亮肤", "神经酰胺屏障"),
    "挂耳咖啡": ("云南小粒", "埃塞水洗", "深烘拼配"),
    "童鞋": ("软底学步", "透气网面", "加绒短靴"),
    "保温杯": ("316不锈钢", "钛内胆", "轻量随手"),
}
_TONALITIES = ("天然", "轻奢", "国潮", "极简", "治愈")
_AUDIENCES = ("成猫", "敏感肌", "上班族", "宝妈", "学生")
_OPTIONS = ("规格=小份;颜色=月白", "规格=中份;颜色=黛青", "规格=大份;颜色=藕荷", "规格=家庭装;颜色=鸦青")


class Imported(NamedTuple):
    """What the process that imported a file told of itself."""

    changes: int
    seconds: float
    memory_mib: int


class Measured(NamedTuple):
    """One import; its floor in seconds where it has one."""

    what: str
    variants: int
    imported: Imported
    floor: float | None = None


def _rows(variants: int, raised: int) -> Iterator[Sequence[str]]:
    """The rows of a catalogue, always the same; every price `raised` by so many fen."""
    dice = random.Random(20_261_101)
    for product in range(variants // OF_A_PRODUCT):
        number = product % BRANDS
        brand = f"{_NAMES[number % len(_NAMES)]}{number // len(_NAMES) + 1}号"
        category = dice.choice(list(_KINDS))
        title = f"{brand}{dice.choice(_KINDS[category])}{category} {dice.randrange(1, 500)}号升级款"
        tags = f"调性:{dice.choice(_TONALITIES)};人群:{dice.choice(_AUDIENCES)}"
        supply = dice.randrange(500, 20_000)
        for variant in range(OF_A_PRODUCT):
            cost = supply + 50 * variant + raised
            prices = (cost, cost * 2, cost * 17 // 10, cost * 24 // 10)
            costs = (cost * 12 // 10, cost * 13 // 10, cost * 14 // 10)
            yield (
                *(brand, f"P{product:07}", title, category, tags, f"P{product:07}-{variant + 1}", _OPTIONS[variant]),
                *map(format_yuan, prices),
                str(dice.randrange(5_000)),
                f"https://images.example.com/{product % 997}/{product:07}.jpg",
                *map(format_yuan, costs),
            )


def _write(path: Path, variants: int, *, raised: int = 0) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADER)
        writer.writerows(_rows(variants, raised))
    return path


def _with_empty_line(path: Path, out: Path) -> Path:
    shutil.copy(path, out)
    with out.open("ab") as file:
        file.write(b"\r\n")
    return out


async def _import(url: str, path: Path) -> Imported:
    db = Database(url, reuse_plans=False)
    problems: list[object] = []
    began = time.monotonic()
    async with db.write() as session:
        report = await import_file(session, "catalogue", path, now=datetime.now(UTC), tell=problems.append)
    more = 1
    while more:
        async with db.write() as session:
            more = await index_products(session)
    seconds = time.monotonic() - began
    await db.close()
    return Imported(report.inserted + report.updated, seconds, _peak_mib())


def _peak_mib() -> int:
    """The most memory that this process has had. What Linux calls maxrss begins with that of whoever started it."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 * 1024)
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    return int(peak) // 1024


def _import_apart(url: str, path: Path) -> Imported:
    command = [sys.executable, "-m", "tests.bench.catalogue", url, str(path)]
    with timed(path.stem):
        told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=CHECKOUT)
    return Imported(*json.loads(told.stdout))


async def _with_tiers(url: str) -> str:
    await migrate(url)
    db = Database(url)
    async with db.write() as session:
        for rank in range(1, len(TIERS) + 1):
            await factories.a_tier(session, rank=rank)
    await db.close()
    return url


async def _floor(url: str, floor_url: str, folder: Path) -> float:
    """The seconds that COPY takes for what the import wrote. SystemExit when other rows are there then."""
    seconds = 0.0
    async with owner_of(url) as owner, owner_of(floor_url) as floor:
        await owner.copy_from_table("brands", output=folder / "rows", format="binary")
        await floor.copy_to_table("brands", source=folder / "rows", format="binary")
        for table in TABLES:
            query = f"SELECT * FROM {table} ORDER BY id"
            await owner.copy_from_query(query, output=folder / "rows", format="binary")
            began = time.monotonic()
            await floor.copy_to_table(table, source=folder / "rows", format="binary")
            seconds += time.monotonic() - began
            count = f"SELECT count(*), sum(hash_record_extended(t, 0)::numeric) FROM {table} AS t"
            if await owner.fetchrow(count) != await floor.fetchrow(count):
                raise SystemExit(f"the import and its floor wrote different {table}")
    return seconds


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    variants = VARIANTS // 100 if sample else VARIANTS
    url = await _with_tiers(await fresh_database(server_url, DATABASE))
    for name in (FLOOR, SMALL):
        await drop_database(server_url, name)
    floor_url, small_url = [await create_database(server_url, name, template=DATABASE) for name in (FLOOR, SMALL)]
    state_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state_dir()) as place:  # not in /tmp, which may be memory
        folder = Path(place)
        with timed("writing the files"):
            tenth = _write(folder / "a tenth.csv", variants // 10)
            whole = _write(folder / "the whole.csv", variants)
            # The same file again is passed over by its hash, so this one has a line more, which is empty.
            again = _with_empty_line(whole, folder / "the same again.csv")
            raised = _write(folder / "every price raised.csv", variants, raised=100)
        small = _import_apart(small_url, tenth)
        large = _import_apart(url, whole)
        with timed("the floor"):
            floor = await _floor(url, floor_url, folder)
        measured = [
            Measured(tenth.stem, variants // 10, small),
            Measured(whole.stem, variants, large, floor),
            Measured(again.stem, variants, _import_apart(url, again)),
            Measured(raised.stem, variants, _import_apart(url, raised)),
        ]
    for name in (DATABASE, FLOOR, SMALL):
        await drop_database(server_url, name)
    return _show(measured)


def _show(measured: Sequence[Measured]) -> list[str]:
    """Print the table; what took more than it may."""
    table = Table(title="Import of a catalogue beside COPY of every row it writes")
    table.add_column("file")
    for heading in ("variants", "rows written", "seconds", "MiB", "floor seconds", "ratio", "at most"):
        table.add_column(heading, justify="right")
    broken = []
    for it in measured:
        changes, seconds, memory = it.imported
        ratio = seconds / it.floor if it.floor else None
        beside = ("", "", "") if it.floor is None else (f"{it.floor:.1f}", f"{ratio:.2f}", f"{MOST}")
        table.add_row(it.what, f"{it.variants:,}", f"{changes:,}", f"{seconds:.1f}", f"{memory}", *beside)
        if ratio is not None and ratio > MOST:
            broken.append(f"import of a catalogue: {ratio:.2f} times its floor, more than {MOST}")
    Console().print(table)
    growth = measured[1].imported.memory_mib - measured[0].imported.memory_mib
    if growth > MOST_GROWTH_MIB:
        broken.append(f"import of a catalogue: {growth} MiB more for ten times the rows, more than {MOST_GROWTH_MIB}")
    return broken


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(asyncio.run(_import(sys.argv[1], Path(sys.argv[2])))))
        return
    run_alone(bench, __doc__)


if __name__ == "__main__":
    main()
