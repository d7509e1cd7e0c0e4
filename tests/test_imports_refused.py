"""What an import refuses: each kind of bad input is named by line, column and reason, and changes nothing."""

import codecs
from pathlib import Path

import pytest
from sqlalchemy import text

from s2b2c import catalogue, models
from s2b2c.db import Database
from tests import factories
from tests.imports import NOW, ORDER, WORLD, Rows, changed, load, load_world, write_csv
from tests.snapshot import snapshot

BAD: list[tuple[str, Rows, int, str, str]] = [
    ("tiers", changed("tiers", 1, rank="0"), 2, "rank", "is not a whole number from 1 to 100: '0'"),
    ("tiers", changed("tiers", 1, is_leader="ja"), 2, "is_leader", "is neither true nor false: 'ja'"),
    ("tiers", changed("tiers", 1, name=""), 2, "name", "is empty"),
    ("tiers", changed("tiers", 2, code="province"), 3, "code", "the same code stand on line 2"),
    ("tiers", changed("tiers", 2, rank="3"), 3, "rank", "leaves no tier of rank 2: ranks run from 1 without a gap"),
    ("network", changed("network", 1, tier="city"), 2, "tier", "there is no tier city"),
    (
        "network",
        changed("network", 1, parent_code="P9"),
        2,
        "parent_code",
        "there is no distributor P9, in this file or before it",
    ),
    (
        "network",
        changed("network", 2, parent_code="L1"),
        3,
        "parent_code",
        "the chain of parents leads round in a circle",
    ),
    (
        "network",
        changed("network", 1, parent_code="L1"),
        2,
        "parent_code",
        "the chain of parents leads round in a circle",
    ),
    ("network", changed("network", 2, code="L1"), 3, "code", "the same code stand on line 2"),
    ("network", changed("network", 1, joined_on="2027-01-01"), 2, "joined_on", "is in the future"),
    (
        "network",
        changed("network", 1, joined_on="2026-02-30"),
        2,
        "joined_on",
        "is not a date like 2026-09-01: '2026-02-30'",
    ),
    (
        *("network", changed("network", 1, state="fired"), 2, "state"),
        "is none of applied, rejected, active, watch, suspended, eliminated: 'fired'",
    ),
    (
        "network",
        changed("network", 1, name="林\n小雨"),
        2,
        "name",
        r"holds a line break or control character: '林\n小雨'",
    ),
    ("network", changed("network", 1, name="林\x00"), 2, "name", r"holds a line break or control character: '林\x00'"),
    ("catalogue", changed("catalogue", 1, supply_price="46.00"), 2, "supply_price", "is above min_price"),
    ("catalogue", changed("catalogue", 1, suggested_price="44.99"), 2, "suggested_price", "is below min_price"),
    ("catalogue", changed("catalogue", 1, suggested_price="60"), 2, "suggested_price", "is above max_price"),
    (
        *("catalogue", changed("catalogue", 1, supply_price="26.001"), 2, "supply_price"),
        "is not an amount in yuan with at most two decimals, like 49.90: '26.001'",
    ),
    (
        *("catalogue", changed("catalogue", 1, supply_price="-26"), 2, "supply_price"),
        "is not an amount in yuan with at most two decimals, like 49.90: '-26'",
    ),
    (
        *("catalogue", changed("catalogue", 1, supply_price="１２"), 2, "supply_price"),
        "is not an amount in yuan with at most two decimals, like 49.90: '１２'",
    ),
    (
        *("catalogue", changed("catalogue", 1, max_price="1e3"), 2, "max_price"),
        "is not an amount in yuan with at most two decimals, like 49.90: '1e3'",
    ),
    (
        "catalogue",
        changed("catalogue", 1, tier_cost_province="25.99"),
        2,
        "tier_cost:province",
        "is below supply_price",
    ),
    (
        *("catalogue", changed("catalogue", 1, tier_cost_leader="34.99"), 2, "tier_cost:leader"),
        "is below the cost of the higher tier province",
    ),
    ("catalogue", changed("catalogue", 2, sku="RX01-1"), 3, "sku", "the same brand and sku stand on line 2"),
    (
        *("catalogue", changed("catalogue", 2, title="别的"), 3, "title"),
        "differs from line 2, which has the same brand and product_code",
    ),
    (
        "catalogue",
        changed("catalogue", 2, tags=""),
        3,
        "tags",
        "differs from line 2, which has the same brand and product_code",
    ),
    ("catalogue", changed("catalogue", 1, stock="-1"), 2, "stock", "is not a whole number from 0 to 1000000000: '-1'"),
    (
        *("catalogue", changed("catalogue", 1, options="口味"), 2, "options"),
        "is not a list like 口味=鸡肉;规格=1.5kg with every name once: '口味'",
    ),
    (
        *("catalogue", changed("catalogue", 1, image_url="javascript:alert(1)"), 2, "image_url"),
        "is not a web address that begins with http:// or https://: 'javascript:alert(1)'",
    ),
    ("stores", changed("stores", 1, owner_code="L9"), 2, "owner_code", "there is no distributor L9"),
    (
        *("stores", changed("stores", 1, slug="小雨"), 2, "slug"),
        "is not a slug of at most 64 small letters, digits and single hyphens, like lin-xiaoyu: '小雨'",
    ),
    ("stores", [*WORLD["stores"], WORLD["stores"][1]], 3, "slug", "the same slug stand on line 2"),
    ("listings", changed("listings", 1, price="45.99"), 2, "price", "is below the band of sku RX01-2"),
    ("listings", changed("listings", 1, price="59.91"), 2, "price", "is above the band of sku RX01-1"),
    (
        "listings",
        changed("listings", 1, product_code="RX09"),
        2,
        "product_code",
        "brand 绒溪小厨 has no listed product RX09",
    ),
    ("listings", changed("listings", 1, store_slug="nobody"), 2, "store_slug", "there is no store nobody"),
    (
        "listings",
        [*WORLD["listings"], WORLD["listings"][1]],
        3,
        "position",
        "the same store_slug and position stand on line 2",
    ),
    (
        *("plans", changed("plans", 1, level_bps="1200/300/100"), 2, "level_bps"),
        "pays 3 positions and the platform allows 2: a shorter chain reduces risk under 禁止传销条例 Art. 7",
    ),
    (
        "plans",
        changed("plans", 1, level_bps="9000/2000"),
        2,
        "level_bps",
        "adds up to more than 10000 basis points: '9000/2000'",
    ),
    (
        *("plans", changed("plans", 1, level_bps="12%"), 2, "level_bps"),
        "is not a list of basis points from 0 to 10000, like 1200/300: '12%'",
    ),
    (
        *("plans", changed("plans", 1, product_code="RX01"), 2, "product_code"),
        "a rule is for a brand, a product (brand, product_code), a variant (brand, sku), a category, or for everything",
    ),
    ("plans", changed("plans", 1, brand="无名"), 2, "brand", "there is no brand 无名"),
    ("plans", changed("plans", 1, brand="绒溪小厨", sku="RX09"), 2, "sku", "brand 绒溪小厨 has no sku RX09"),
    ("orders", changed("orders", 1, quantity="-3"), 2, "quantity", "is not a whole number from 1 to 1000000: '-3'"),
    ("orders", changed("orders", 1, quantity="1.5"), 2, "quantity", "is not a whole number from 1 to 1000000: '1.5'"),
    ("orders", changed("orders", 3, paid_at="2026-12-01T00:00:00"), 4, "paid_at", "is in the future"),
    (
        *("orders", changed("orders", 3, paid_at="2026-09-01"), 4, "paid_at"),
        "is not a time like 2026-09-01T12:30:00 or 2026-09-01T12:30:00+08:00: '2026-09-01'",
    ),
    ("orders", changed("orders", 3, completed_at="2026-09-02T23:29:59"), 4, "completed_at", "is before paid_at"),
    ("orders", changed("orders", 3, completed_at="2026-12-01T00:00:00"), 4, "completed_at", "is in the future"),
    ("orders", changed("orders", 3, discount="49.91"), 4, "discount", "is more than quantity x unit_price"),
    ("orders", changed("orders", 3, sku="RX09"), 4, "sku", "brand 绒溪小厨 has no sku RX09"),
    ("orders", changed("orders", 3, store_slug="nobody"), 4, "store_slug", "there is no store nobody"),
    ("orders", changed("orders", 2, sku="RX01-1"), 3, "sku", "the same order_no and brand and sku stand on line 2"),
    (
        "orders",
        changed("orders", 2, customer_ref="kh-9"),
        3,
        "customer_ref",
        "differs from line 2, which has the same order_no",
    ),
    (
        "orders",
        changed("orders", 2, completed_at=""),
        3,
        "completed_at",
        "differs from line 2, which has the same order_no",
    ),
]


@pytest.mark.parametrize(
    ("kind", "rows", "line", "column", "reason"), BAD, ids=[f"{bad[0]}-{bad[3]}-{i}" for i, bad in enumerate(BAD)]
)
async def test_a_bad_row_is_named_and_nothing_is_written(
    db: Database, tmp_path: Path, kind: str, rows: Rows, line: int, column: str, reason: str
) -> None:
    if kind != ORDER[0]:
        await load_world(db, tmp_path, until=ORDER[ORDER.index(kind) - 1])
    before = await snapshot(db)
    path = write_csv(tmp_path / "bad.csv", rows)
    dry = await load(db, kind, path, dry_run=True)
    assert (line, column, reason, False) in dry[1]
    assert await load(db, kind, path) == dry
    assert dry[0] is None
    assert await snapshot(db) == before


HEADER = ",".join(WORLD["tiers"][0])
UNREADABLE: list[tuple[str, bytes, int, str, str]] = [
    ("nothing at all", b"", 1, "", "the file has no header row"),
    ("latin-1", HEADER.encode() + b"\nprovince,1,\xe9\xff\xff,false\n", 2, "", "the text is neither UTF-8 nor GB18030"),
    (
        "UTF-16",
        codecs.BOM_UTF16_LE + HEADER.encode("utf-16-le"),
        1,
        "",
        "the file is UTF-16: save it as CSV in UTF-8 or GB18030",
    ),
    ("a missing column", b"code,rank,name\nx,1,y\n", 1, "is_leader", "the column is missing"),
    (
        *("a column too many", f"{HEADER},colour\n".encode(), 1, "colour"),
        "there is no such column; the columns are code, rank, name, is_leader",
    ),
    ("a column twice", f"{HEADER},code\n".encode(), 1, "code", "the column appears twice"),
    ("a cell too few", f"{HEADER}\nprovince,1,省\n".encode(), 2, "", "has 3 cells where the header has 4"),
    ("a cell too many", f"{HEADER}\nprovince,1,省,false,x\n".encode(), 2, "", "has 5 cells where the header has 4"),
    (
        *("an open quote", f'{HEADER}\ncity,1,市,false\n"province,1,省,false\n'.encode(), 3, ""),
        "the row that starts here is not CSV: unexpected end of data; is a quote left open?",
    ),
    (
        *("a quote inside", f'{HEADER}\nprovince,1,"省"级,false\n'.encode(), 2, ""),
        "the row that starts here is not CSV: ',' expected after '\"'; is a quote left open?",
    ),
    (
        *("10 MB in one cell", HEADER.encode() + b"\nprovince,1," + b"x" * 10_000_000 + b",false\n", 2, ""),
        "the line is longer than 1048576 characters",
    ),
    (
        *("200 kB in one cell", HEADER.encode() + b"\nprovince,1," + b"x" * 200_000 + b",false\n", 2, ""),
        "the row that starts here is not CSV: field larger than field limit (131072); is a quote left open?",
    ),
    (
        "300 characters",
        HEADER.encode() + b"\nprovince,1," + b"x" * 300 + b",false\n",
        2,
        "name",
        f"is longer than 200 characters: '{'x' * 40}…'",
    ),
]


@pytest.mark.parametrize(
    ("content", "line", "column", "reason"), [bad[1:] for bad in UNREADABLE], ids=[bad[0] for bad in UNREADABLE]
)
async def test_an_unreadable_file_is_refused(
    db: Database, tmp_path: Path, content: bytes, line: int, column: str, reason: str
) -> None:
    path = tmp_path / "tiers.csv"
    path.write_bytes(content)
    report, problems = await load(db, "tiers", path)
    assert (report, problems[0]) == (None, (line, column, reason, False))
    async with db.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM tiers")) == 0


@pytest.mark.parametrize("held_by", ["prices", "plans"])
async def test_a_rank_that_prices_or_plans_count_on_cannot_change(db: Database, tmp_path: Path, held_by: str) -> None:
    """Both hold numbers of tiers by rank. Without either, ranks may be swapped."""
    swapped = [WORLD["tiers"][0], ["province", "2", "省级代理", "false"], ["leader", "1", "团长", "true"]]
    await load_world(db, tmp_path, until="catalogue" if held_by == "prices" else "tiers")
    if held_by == "plans":
        report, _ = await load(db, "tiers", write_csv(tmp_path / "tiers.csv", swapped))
        assert report is not None
        assert (await load(db, "tiers", write_csv(tmp_path / "tiers.csv", WORLD["tiers"])))[0] is not None
        async with db.write() as session:
            await factories.a_plan(session, {"scheme": "spread", "depth": 2})
            assert (await load(db, "tiers", tmp_path / "tiers.csv", dry_run=True))[0] is not None
            await factories.a_plan(session, {"scheme": "differential", "tier_bps": [9], "depth": 2}, state="draft")
    before = await snapshot(db)
    report, problems = await load(db, "tiers", write_csv(tmp_path / "tiers.csv", swapped))
    said = "and prices and plans hold its numbers by rank: it cannot change"
    assert [(problem.line, problem.column, problem.reason) for problem in problems] == [
        (2, "rank", f"tier province has rank 1, {said}"),
        (3, "rank", f"tier leader has rank 2, {said}"),
    ]
    assert report is None
    assert await snapshot(db) == before


async def test_a_missing_file_and_a_folder_are_refused(db: Database, tmp_path: Path) -> None:
    assert (await load(db, "tiers", tmp_path / "no.csv"))[1] == [
        (1, "", "cannot be opened: No such file or directory", False)
    ]
    assert (await load(db, "tiers", tmp_path))[1] == [(1, "", "cannot be opened: Is a directory", False)]


async def test_every_problem_is_told_in_the_order_of_lines(db: Database, tmp_path: Path) -> None:
    rows = [WORLD["tiers"][0], ["a", "x", "", "true"], ["b", "1", "乙", "maybe"], ["b", "2", "丙", "true"]]
    _, problems = await load(db, "tiers", write_csv(tmp_path / "tiers.csv", rows))
    assert [(problem.line, problem.column) for problem in problems] == [(2, "name"), (2, "rank"), (3, "is_leader")]


async def test_a_tier_column_that_is_missing_or_unknown(db: Database, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="network")
    rows = [[cell.replace("tier_cost:leader", "tier_cost:city") for cell in row] for row in WORLD["catalogue"]]
    _, problems = await load(db, "catalogue", write_csv(tmp_path / "bad.csv", rows))
    assert [(problem.line, problem.column, problem.reason.partition(";")[0]) for problem in problems] == [
        (1, "tier_cost:leader", "the column is missing"),
        (1, "tier_cost:city", "there is no such tier"),
    ]


async def test_stock_below_what_is_set_aside_is_refused(db: Database, tmp_path: Path) -> None:
    """But what was applied last is passed over, and an order that gives back after the check does not break the file."""
    await load_world(db, tmp_path, until="stores")
    async with db.write() as session:
        brand_id = await session.scalar(text("SELECT id FROM brands"))
        assert brand_id is not None
        account = models.Account(role="brand", brand_id=brand_id)
        session.add(account)
        await session.flush()
        ids = (await session.scalars(text("SELECT id FROM variants ORDER BY sku"))).all()
        asides = [catalogue.Aside(ids[0], None, "浙江", 30), catalogue.Aside(ids[1], None, "浙江", 50)]
        await catalogue.set_allotments(session, brand_id, asides, account_id=account.id, now=NOW)
    before = await snapshot(db)
    report, problems = await load(db, "catalogue", write_csv(tmp_path / "c.csv", changed("catalogue", 1, stock="29")))
    assert report is None
    assert problems == [(2, "stock", "is below the 30 units set aside for regions and stores", False)]
    assert await snapshot(db) == before
    report, _ = await load(db, "catalogue", write_csv(tmp_path / "c.csv", changed("catalogue", 1, stock="30")))
    assert report is not None
    assert report.updated == 1
    async with db.write() as session:
        await session.execute(text("UPDATE variants SET stock = stock + 5, allotted = allotted + 5"))
        await session.execute(text("UPDATE allotments SET quantity = quantity + 5"))
    assert (await load(db, "catalogue", tmp_path / "c.csv"))[0] is not None
    async with db.read() as session:
        rows = await session.execute(text("SELECT stock, allotted FROM variants ORDER BY sku"))
        assert [tuple(row) for row in rows] == [(35, 35), (55, 55)]
