"""Imports: what they write, that they write it once, and what is refused."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from s2b2c.commissions import plans
from s2b2c.db import Database
from s2b2c.imports import Report
from tests.imports import NOW, ORDER, WORLD, Rows, changed, load, load_world, write_csv
from tests.snapshot import snapshot


async def _rows(db: Database, statement: str) -> list[tuple[object, ...]]:
    async with db.read() as session:
        return [tuple(row) for row in await session.execute(text(statement))]


async def test_the_world_stands_as_its_files_say(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path)
    assert await _rows(
        db, "SELECT code, parent_id IS NULL, cardinality(ancestors), state FROM distributors ORDER BY code"
    ) == [("L1", False, 2, "active"), ("P1", True, 1, "active")]
    assert await _rows(db, "SELECT title, category, tonalities, audiences, state FROM products") == [
        ("烘焙猫粮", "猫粮", ["天然"], ["成猫"], "listed")
    ]
    assert await _rows(
        db,
        "SELECT sku, supply_price, min_price, suggested_price, max_price, tier_costs, stock FROM prices JOIN variants v ON v.id = variant_id ORDER BY sku",
    ) == [
        ("RX01-1", 2600, 4500, 4990, 5990, [3500, 4200], 100),
        ("RX01-2", 2700, 4600, 4990, 5990, [3600, 4300], 50),
    ]
    assert await _rows(db, "SELECT price, position, pitch FROM listings") == [(4990, 1, "自家猫在吃")]
    assert await _rows(db, "SELECT order_no, state FROM orders ORDER BY order_no") == [
        ("A1", "completed"),
        ("A2", "paid"),
    ]
    assert await _rows(
        db,
        "SELECT order_no, line_no, paid, l.supply, commission, platform FROM order_lines l JOIN orders o ON o.id = order_id ORDER BY 1, 2",
    ) == [
        ("A1", 1, 9899, 5200, 1483, 3216),
        ("A1", 2, 4990, 2700, 598 + 149, 1543),
        ("A2", 1, 4990, 2600, 598 + 149, 1643),
    ]
    assert await _rows(
        db,
        "SELECT order_no, code, amount FROM transfers JOIN orders o ON o.id = source_id ORDER BY order_no, code, amount",
    ) == [
        *(("A1", "commission", 296 + 149), ("A1", "commission", 1187 + 598), ("A1", "payment", 14889)),
        *(("A1", "revenue", 3216 + 1543), ("A1", "supply", 7900), ("A2", "payment", 4990)),
    ]
    assert await _rows(db, "SELECT matures_at - completed_at FROM orders WHERE order_no = 'A1'") == [
        (timedelta(days=7),)
    ]


async def test_everything_twice_changes_nothing(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path)
    before = await snapshot(db)
    for kind in ORDER:
        report, _ = await load(db, kind, tmp_path / f"{kind}.csv")
        assert report == Report(rows=len(WORLD[kind]) - 1)
    assert await snapshot(db) == before


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
async def test_excel_writes_other_encodings(db: Database, tmp_path: Path, encoding: str) -> None:
    for kind in ORDER:
        report, problems = await load(db, kind, write_csv(tmp_path / f"{kind}.csv", WORLD[kind], encoding))
        assert (report is not None, problems) == (True, [])
    assert await _rows(db, "SELECT name FROM brands") == [("绒溪小厨",)]


async def test_a_dry_run_writes_nothing(db: Database, tmp_path: Path) -> None:
    before = await snapshot(db)
    report, problems = await load(db, "tiers", write_csv(tmp_path / "tiers.csv", WORLD["tiers"]), dry_run=True)
    assert (report, problems) == (Report(rows=2), [])
    assert await snapshot(db) == before


async def test_columns_in_any_order_blank_lines_and_line_breaks_in_a_pitch(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="stores")
    path = tmp_path / "listings.csv"
    path.write_bytes(
        'pitch,position,price,product_code,brand,store_slug\r\n\r\n"第一行\n第二行",3, 49.90 ,RX01,绒溪小厨,xiaoyu\r\n'.encode()
    )
    assert (await load(db, "listings", path))[1] == []
    assert await _rows(db, "SELECT price, position, pitch FROM listings") == [(4990, 3, "第一行\n第二行")]


async def test_a_parent_below_its_child_is_a_warning(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="tiers")
    rows = changed("network", 1, tier="province")
    rows[2][2] = "leader"
    report, problems = await load(db, "network", write_csv(tmp_path / "network.csv", rows))
    assert problems == [(2, "parent_code", "P1 stands on a lower tier than L1", True)]
    assert report == Report(rows=2, inserted=2, warnings=1)


async def test_a_move_takes_the_branch_along_and_is_remembered(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="network")
    header = WORLD["network"][0]
    more = [
        header,
        ["P2", "新", "province", "", "江苏", "2026-03-01", "active"],
        ["M", "中", "leader", "L1", "浙江", "2026-03-01", "active"],
    ]
    await load(db, "network", write_csv(tmp_path / "more.csv", more))
    moved = [header, ["L1", "林小雨", "leader", "P2", "浙江", "2026-02-01", "watch"]]
    report, _ = await load(db, "network", write_csv(tmp_path / "moved.csv", moved), now=NOW + timedelta(days=1))
    assert report == Report(rows=1, updated=2)
    assert await _rows(
        db,
        "SELECT d.code, ARRAY(SELECT a.code FROM unnest(d.ancestors) WITH ORDINALITY AS u (id, n) JOIN distributors a USING (id) ORDER BY n), "
        "b.code FROM distributors d JOIN distributors b ON b.id = d.branch_id ORDER BY d.code",
    ) == [("L1", ["L1", "P2"], "P2"), ("M", ["M", "L1", "P2"], "P2"), ("P1", ["P1"], "P1"), ("P2", ["P2"], "P2")]
    assert await _rows(
        db,
        "SELECT p.code, h.state, upper(during) = '2026-11-02T00:00Z' FROM distributor_history h JOIN distributors d ON d.id = h.distributor_id "
        "JOIN distributors p ON p.id = h.parent_id WHERE d.code = 'L1' ORDER BY lower(during)",
    ) == [("P1", "active", True), ("P2", "watch", None)]


async def test_a_state_that_cannot_follow_is_refused(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="network")
    _, problems = await load(db, "network", write_csv(tmp_path / "n.csv", changed("network", 1, state="eliminated")))
    assert problems == [(2, "state", "L1 is active, which cannot become eliminated", False)]


async def test_a_cycle_through_rows_that_are_not_in_the_file_is_refused(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="network")
    rows = [WORLD["network"][0], ["P1", "周砚秋", "province", "L1", "浙江", "2026-01-01", "active"]]
    _, problems = await load(db, "network", write_csv(tmp_path / "n.csv", rows))
    assert (2, "parent_code", "the chain of parents leads round in a circle", False) in problems


async def test_new_prices_are_a_new_span_and_old_orders_keep_theirs(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path)
    rows = changed("catalogue", 1, supply_price="28.00", max_price="48.00", suggested_price="47")
    report, _ = await load(db, "catalogue", write_csv(tmp_path / "new.csv", rows))
    assert report == Report(rows=2, updated=2)  # one price, and the listing that was clamped
    assert await _rows(
        db,
        "SELECT supply_price, lower(during), upper(during) FROM prices JOIN variants v ON v.id = variant_id WHERE sku = 'RX01-1' ORDER BY during",
    ) == [
        (2600, None, NOW),
        (2800, NOW, None),
    ]
    assert await _rows(db, "SELECT price FROM listings") == [(4800,)]
    assert await _rows(
        db,
        "SELECT DISTINCT l.supply_price FROM order_lines l JOIN variants v ON v.id = variant_id WHERE sku = 'RX01-1'",
    ) == [(2600,)]


async def test_a_file_knows_the_first_picture_alone(db: Database, tmp_path: Path) -> None:
    """Those behind it stay, each once, while there is a first one."""
    await load_world(db, tmp_path)
    pictures = "SELECT image_url, more_images FROM products WHERE code = 'RX01'"
    behind = text("UPDATE products SET more_images = '{https://a/2,https://a/3}' WHERE code = 'RX01'")
    async with db.write() as session:
        await session.execute(behind)
    for image_url, found in (("https://a/3", ("https://a/3", ["https://a/2"])), ("", (None, []))):
        place = list(WORLD["catalogue"][0]).index("image_url")
        head, *rows = (list(row) for row in WORLD["catalogue"])
        rows = [[*row[:place], image_url, *row[place + 1 :]] for row in rows]
        report, _ = await load(db, "catalogue", write_csv(tmp_path / "pictures.csv", [head, *rows]))
        assert report == Report(rows=2, updated=1)
        assert await _rows(db, pictures) == [found]


async def test_a_listing_that_no_price_fits_leaves_the_store(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path)
    rows = changed("catalogue", 1, tier_cost_leader="")
    await load(db, "catalogue", write_csv(tmp_path / "new.csv", rows))
    assert await _rows(db, "SELECT count(*) FROM listings") == [(0,)]


async def test_a_new_tier_or_owner_brings_its_own_costs(db: Database, tmp_path: Path) -> None:
    """The leader pays 42.00 and 43.00, the province 35.00 and 36.00: below either no listing may stand."""
    await load_world(db, tmp_path)
    rows = [WORLD["stores"][0], ["xiaoyu", "P1", "小雨的店", "浙江"]]
    assert (await load(db, "stores", write_csv(tmp_path / "s.csv", rows)))[0] == Report(rows=1, updated=1)
    low = changed("catalogue", 1, min_price="36.00")
    low[2][low[0].index("min_price")] = "36.00"
    await load(db, "catalogue", write_csv(tmp_path / "c.csv", low))
    await load(db, "listings", write_csv(tmp_path / "l.csv", changed("listings", 1, price="36.00")))
    assert await _rows(db, "SELECT price FROM listings") == [(3600,)]
    report, _ = await load(db, "network", write_csv(tmp_path / "n.csv", changed("network", 2, tier="leader")))
    assert report == Report(rows=2, updated=2)  # the distributor, and the listing of its store
    assert await _rows(db, "SELECT price FROM listings") == [(4300,)]


async def test_a_file_applied_last_does_not_bring_back_sold_stock(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="catalogue")
    async with db.write() as session:
        await session.execute(text("UPDATE variants SET stock = stock - 10"))
    assert (await load(db, "catalogue", tmp_path / "catalogue.csv"))[0] == Report(rows=2)
    assert await _rows(db, "SELECT stock FROM variants ORDER BY sku") == [(90,), (40,)]
    other = changed("catalogue", 1, stock="")
    await load(db, "catalogue", write_csv(tmp_path / "other.csv", other))
    assert await _rows(db, "SELECT stock FROM variants ORDER BY sku") == [(90,), (50,)]


async def test_a_sku_cannot_move_to_another_product(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="catalogue")
    _, problems = await load(
        db, "catalogue", write_csv(tmp_path / "c.csv", changed("catalogue", 2, product_code="RX02"))
    )
    assert problems == [(3, "sku", "belongs to product RX01", False)]


async def test_positions_can_be_swapped_but_not_shared(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="stores")
    more = [*WORLD["catalogue"], [*changed("catalogue", 1, product_code="RX02", sku="RX02-1")[1]]]
    await load(db, "catalogue", write_csv(tmp_path / "more.csv", more))
    first, second = (
        [["xiaoyu", "绒溪小厨", code, "49.90", str(n), ""] for code, n in zip(("RX01", "RX02"), order, strict=True)]
        for order in ((1, 2), (2, 1))
    )
    header = WORLD["listings"][0]
    await load(db, "listings", write_csv(tmp_path / "l.csv", [header, *first]))
    assert (await load(db, "listings", write_csv(tmp_path / "l.csv", [header, *second])))[0] == Report(
        rows=2, updated=2
    )
    _, problems = await load(db, "listings", write_csv(tmp_path / "l.csv", [header, first[0]]))
    assert problems == [(2, "position", "position 1 of the store belongs to product RX02", False)]


async def test_an_active_plan_cannot_change_and_the_next_takes_over(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="plans")
    _, problems = await load(db, "plans", write_csv(tmp_path / "p.csv", changed("plans", 1, level_bps="1000")))
    assert problems == [(2, "plan", "plan 标准 is active and cannot change: give the new one a code of its own", False)]
    _, problems = await load(
        db, "plans", write_csv(tmp_path / "p.csv", changed("plans", 1, plan="更早", effective_from="2025-01-01"))
    )
    assert [(problem.column, problem.line) for problem in problems] == [("effective_from", 2)]
    later = changed("plans", 1, plan="新", effective_from="2026-10-01", level_bps="1000/0")
    assert (await load(db, "plans", write_csv(tmp_path / "p.csv", later)))[0] == Report(rows=1, inserted=2, updated=1)
    assert await _rows(
        db, "SELECT p.code, level_bps, upper(during) IS NULL FROM plans p JOIN rules ON plan_id = p.id ORDER BY p.id"
    ) == [
        ("标准", [1200, 300], False),
        ("新", [1000], True),
    ]


async def test_a_file_knows_the_first_version_of_a_plan_alone(db: Database, tmp_path: Path) -> None:
    """A later version, be it without rules, neither makes the file wrong nor gets rules of it."""
    await load_world(db, tmp_path, until="plans")
    document = "plan: 标准\nfrom: 2026-12-01\nrules: []"
    async with db.write() as session:
        assert (await plans.save(session, await plans.check(session, document), now=NOW)).version == 2
    before = await snapshot(db)
    assert (await load(db, "plans", tmp_path / "plans.csv"))[0] == Report(rows=1)
    assert await snapshot(db) == before


async def test_a_later_file_completes_an_order(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path)
    rows = changed("orders", 3, completed_at="2026-09-20T08:00:00")
    assert (await load(db, "orders", write_csv(tmp_path / "o.csv", rows)))[0] == Report(rows=3, updated=1)
    assert (
        await _rows(db, "SELECT state, completed_at AT TIME ZONE 'Asia/Shanghai' FROM orders WHERE order_no = 'A2'")
        != []
    )
    assert await _rows(
        db,
        "SELECT code, amount FROM transfers JOIN orders o ON o.id = source_id WHERE order_no = 'A2' ORDER BY code, amount",
    ) == [
        *(("commission", 149), ("commission", 598), ("payment", 4990), ("revenue", 1643), ("supply", 2600)),
    ]


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        (changed("orders", 2, quantity="2"), 3, "order A1 was imported before with other lines"),
        (
            [row for number, row in enumerate(WORLD["orders"]) if number != 2],
            2,
            "order A1 was imported before with other lines",
        ),
        (
            changed("orders", 3, customer_ref="kh-7"),
            4,
            "order A2 was imported before with another store, customer or time",
        ),
    ],
)
async def test_an_order_that_is_here_never_changes(
    db: Database, tmp_path: Path, rows: Rows, line: int, reason: str
) -> None:
    await load_world(db, tmp_path)
    before = await snapshot(db)
    report, problems = await load(db, "orders", write_csv(tmp_path / "o.csv", rows))
    assert report is None
    assert (line, "order_no", reason, False) in problems
    assert await snapshot(db) == before


async def test_the_same_orders_after_their_owner_moved_to_another_branch(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path)
    moved = changed("network", 1, parent_code="")
    await load(db, "network", write_csv(tmp_path / "n.csv", moved), now=NOW + timedelta(days=1))
    before = await snapshot(db)
    assert (await load(db, "orders", tmp_path / "orders.csv"))[0] == Report(rows=3)
    assert await snapshot(db) == before


async def test_a_past_price_may_lie_outside_todays_band(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="plans")
    assert (await load(db, "orders", write_csv(tmp_path / "o.csv", changed("orders", 3, unit_price="9.90"))))[1] == []
