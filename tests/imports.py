"""The canonical files of a small network, to import in tests: written from lists of rows."""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from s2b2c.db import Database
from s2b2c.imports import ImportRefused, Problem, Report, import_file

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ORDER = ("tiers", "network", "catalogue", "stores", "listings", "plans", "orders")

Rows = Sequence[Sequence[str]]

WORLD: Mapping[str, Rows] = {
    "tiers": [
        ["code", "rank", "name", "is_leader"],
        ["province", "1", "省级代理", "false"],
        ["leader", "2", "团长", "true"],
    ],
    "network": [
        ["code", "name", "tier", "parent_code", "region", "joined_on", "state"],
        ["L1", "林小雨", "leader", "P1", "浙江", "2026-02-01", "active"],
        ["P1", "周砚秋", "province", "", "浙江", "2026-01-01", "active"],
    ],
    "catalogue": [
        [
            *(
                "brand",
                "product_code",
                "title",
                "category",
                "tags",
                "sku",
                "options",
                "supply_price",
                "suggested_price",
            ),
            *("min_price", "max_price", "stock", "image_url", "tier_cost:province", "tier_cost:leader"),
        ],
        [
            *("绒溪小厨", "RX01", "烘焙猫粮", "猫粮", "调性:天然;人群:成猫", "RX01-1", "口味=鸡肉", "26.00", "49.90"),
            *("45.00", "59.90", "100", "https://images.example.com/1.jpg", "35.00", "42.00"),
        ],
        [
            *("绒溪小厨", "RX01", "烘焙猫粮", "猫粮", "调性:天然;人群:成猫", "RX01-2", "口味=三文鱼", "27.00", "49.90"),
            *("46.00", "59.90", "50", "https://images.example.com/1.jpg", "36.00", "43.00"),
        ],
    ],
    "stores": [["slug", "owner_code", "title", "region"], ["xiaoyu", "L1", "小雨的店", "浙江"]],
    "listings": [
        ["store_slug", "brand", "product_code", "price", "position", "pitch"],
        ["xiaoyu", "绒溪小厨", "RX01", "49.90", "1", "自家猫在吃"],
    ],
    "plans": [
        [
            *(
                "plan",
                "effective_from",
                "margin_floor_bps",
                "brand",
                "product_code",
                "sku",
                "category",
                "scheme",
                "base",
            ),
            "level_bps",
        ],
        ["标准", "2026-01-01", "0", "", "", "", "", "levels", "paid", "1200/300"],
    ],
    "orders": [
        [
            *("order_no", "store_slug", "customer_ref", "paid_at", "completed_at", "brand", "sku", "quantity"),
            *("unit_price", "discount"),
        ],
        [
            *("A1", "xiaoyu", "kh-1", "2026-09-01T12:00:00", "2026-09-05T12:00:00", "绒溪小厨", "RX01-1", "2"),
            *("49.90", "0.81"),
        ],
        ["A1", "xiaoyu", "kh-1", "2026-09-01T12:00:00", "2026-09-05T12:00:00", "绒溪小厨", "RX01-2", "1", "49.90", "0"],
        ["A2", "xiaoyu", "kh-2", "2026-09-02T23:30:00", "", "绒溪小厨", "RX01-1", "1", "49.90", "0.00"],
    ],
}


def write_csv(path: Path, rows: Rows, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows(rows)
    return path


async def load(
    db: Database, kind: str, path: Path, *, dry_run: bool = False, now: datetime = NOW
) -> tuple[Report | None, list[Problem]]:
    """The report (None: refused and rolled back) and every problem told."""
    problems: list[Problem] = []
    try:
        async with db.write() as session:
            report = await import_file(session, kind, path, now=now, tell=problems.append, dry_run=dry_run)
    except ImportRefused as error:
        assert error.problems == sum(not problem.is_warning for problem in problems)  # noqa: PT017  every one was told
        return None, problems
    return report, problems


async def load_world(db: Database, folder: Path, *, until: str = "orders") -> None:
    """Import the files of WORLD up to and including one kind."""
    for kind in ORDER[: ORDER.index(until) + 1]:
        report, problems = await load(db, kind, write_csv(folder / f"{kind}.csv", WORLD[kind]))
        assert report is not None
        assert problems == []


def changed(kind: str, row: int, **cells: str) -> list[list[str]]:
    """The rows of a WORLD file with some cells of one row (1 is the first after the header) replaced.

    A tier cost is named `tier_cost_<code>`.
    """
    rows = [list(cells_of_row) for cells_of_row in WORLD[kind]]
    for name, value in cells.items():
        rows[row][rows[0].index(name.replace("tier_cost_", "tier_cost:"))] = value
    return rows
