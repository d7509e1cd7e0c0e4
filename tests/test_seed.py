"""The sample obeys every rule of seed/README.md, checked here apart; the adapter's rules give exact values."""

import csv
import re
from collections import Counter, defaultdict
from datetime import date, datetime
from pathlib import Path

import pytest

from seed import complete_journey, make_sample
from seed.complete_journey import Line, Prices, Product, Purchase, cents, median, priced, prices

SAMPLE = Path(make_sample.__file__).parent / "sample"
KINDS = ("tiers", "network", "catalogue", "stores", "listings", "plans", "orders")
Sample = dict[str, list[dict[str, str]]]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def fen(text: str) -> int:
    assert re.fullmatch(r"[0-9]+\.[0-9]{2}", text), text
    return int(text.replace(".", ""))


@pytest.fixture(scope="module")
def sample() -> Sample:
    return {kind: rows_of(SAMPLE / f"{kind}.csv") for kind in KINDS}


def test_sample_is_what_the_generator_writes(tmp_path: Path) -> None:
    make_sample.main(tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in SAMPLE.iterdir()}
    assert sorted(written) == sorted(f"{kind}.csv" for kind in KINDS)
    assert len(written["orders.csv"]) < 1_000_000


def test_sample_tiers_and_network(sample: Sample) -> None:
    tiers = {row["code"]: row for row in sample["tiers"]}
    assert [row["rank"] for row in sample["tiers"]] == ["1", "2", "3"]
    assert [row["is_leader"] for row in sample["tiers"]] == ["false", "false", "true"]
    people = {row["code"]: row for row in sample["network"]}
    assert len(people) == len(sample["network"]) == 52
    for row in people.values():
        above, steps = row, 0
        while above["parent_code"]:
            child, above, steps = above, people[above["parent_code"]], steps + 1
            assert steps < len(tiers)
            assert int(tiers[above["tier"]]["rank"]) < int(tiers[child["tier"]]["rank"])
            assert above["region"] == row["region"]
            assert above["joined_on"] < row["joined_on"]
        assert date.fromisoformat(row["joined_on"]) < date(2026, 11, 1)
    assert Counter(row["state"] for row in people.values()) == {"active": 50, "suspended": 1, "watch": 1}
    assert (
        len({row["region"] for row in people.values()}) == sum(not row["parent_code"] for row in people.values()) == 4
    )
    assert (
        sum(row["tier"] == "leader" and people[row["parent_code"]]["tier"] == "province" for row in people.values())
        == 1
    )


def test_sample_catalogue(sample: Sample) -> None:
    ladder = [f"tier_cost:{row['code']}" for row in sample["tiers"]]
    products: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in sample["catalogue"]:
        shared = tuple(row[column] for column in ("title", "category", "tags", "image_url"))
        assert products.setdefault((row["brand"], row["product_code"]), shared) == shared
        assert all(shared)
        supply, low, suggested, high = (fen(row[f"{kind}_price"]) for kind in ("supply", "min", "suggested", "max"))
        costs = [fen(row[column]) for column in ladder]
        assert [supply, *costs] == sorted([supply, *costs])
        assert 0 < supply <= low <= suggested <= high
        assert re.fullmatch(r"(调性|人群):[^:;]+(;(调性|人群):[^:;]+)*", row["tags"])
        assert re.fullmatch(r"[^=;]+=[^=;]+(;[^=;]+=[^=;]+)*", row["options"])
        assert int(row["stock"]) > 0
    assert len({(row["brand"], row["sku"]) for row in sample["catalogue"]}) == len(sample["catalogue"]) == 111
    assert len(products) == len({shared[0] for shared in products.values()}) == 66
    assert len({brand for brand, _ in products}) == 5


def test_sample_stores_and_listings(sample: Sample) -> None:
    people = {row["code"]: row for row in sample["network"]}
    stores = {row["slug"]: people[row["owner_code"]] for row in sample["stores"]}
    owners = Counter(row["owner_code"] for row in sample["stores"])
    assert len(stores) == len({row["title"] for row in sample["stores"]}) == len(owners) == len(sample["stores"]) == 45
    assert all(owners[code] == 1 for code, row in people.items() if row["tier"] == "leader")
    assert all(row["region"] == stores[row["slug"]]["region"] for row in sample["stores"])
    variants = defaultdict(list)
    for row in sample["catalogue"]:
        variants[row["brand"], row["product_code"]].append(row)
    shelves = defaultdict(list)
    for row in sample["listings"]:
        price, cost = fen(row["price"]), f"tier_cost:{stores[row['store_slug']]['tier']}"
        for variant in variants[row["brand"], row["product_code"]]:
            assert fen(variant["min_price"]) <= price <= fen(variant["max_price"])
            assert price >= fen(variant[cost])
        assert row["pitch"]
        shelves[row["store_slug"]].append(row)
    assert set(shelves) == set(stores)
    for shelf in shelves.values():
        assert 24 <= len(shelf) <= 40
        assert sorted(int(row["position"]) for row in shelf) == list(range(1, len(shelf) + 1))
        assert len({(row["brand"], row["product_code"]) for row in shelf}) == len(shelf)
    assert len({row["price"] for row in sample["listings"] if row["product_code"] == "RX01"}) > 10


def test_sample_plans(sample: Sample) -> None:
    codes = {(row["brand"], row["product_code"]) for row in sample["catalogue"]}
    targets = {(row["brand"], row["product_code"], row["sku"], row["category"]) for row in sample["plans"]}
    assert len(targets) == len(sample["plans"]) == 3
    for row in sample["plans"]:
        assert (row["plan"], row["effective_from"], row["margin_floor_bps"]) == ("2026 标准方案", "2026-01-01", "500")
        assert (row["scheme"], row["sku"], row["category"]) == ("levels", "", "")
        assert row["base"] in {"paid", "margin"}
        rates = [int(rate) for rate in row["level_bps"].split("/")]
        assert len(rates) <= 2
        assert sum(rates) <= 10000
        assert not row["brand"] or any(row["brand"] == brand for brand, _ in codes)
        assert not row["product_code"] or (row["brand"], row["product_code"]) in codes


def test_sample_orders(sample: Sample) -> None:
    owners = {row["code"]: row for row in sample["network"]}
    stores = {row["slug"]: owners[row["owner_code"]] for row in sample["stores"]}
    products = {(row["brand"], row["sku"]): row["product_code"] for row in sample["catalogue"]}
    shelf = {(row["store_slug"], row["brand"], row["product_code"]): row["price"] for row in sample["listings"]}
    orders: dict[str, tuple[str, ...]] = {}
    lines = Counter((row["order_no"], row["brand"], row["sku"]) for row in sample["orders"])
    assert set(lines.values()) == {1}
    for row in sample["orders"]:
        head = tuple(row[column] for column in ("store_slug", "customer_ref", "paid_at", "completed_at"))
        assert orders.setdefault(row["order_no"], head) == head
        product = products[row["brand"], row["sku"]]
        assert row["unit_price"] == shelf[row["store_slug"], row["brand"], product]
        gross = int(row["quantity"]) * fen(row["unit_price"])
        assert int(row["quantity"]) >= 1
        assert 0 <= fen(row["discount"]) <= gross
    for store, _, paid_at, completed_at in orders.values():
        paid = datetime.fromisoformat(paid_at)
        assert "2026-08-01" <= paid_at < "2026-11-01"
        assert paid.date() > date.fromisoformat(stores[store]["joined_on"])
        if completed_at:
            assert 3 <= (datetime.fromisoformat(completed_at) - paid).days <= 10
            assert completed_at < "2026-11-10"
        else:
            assert paid_at >= "2026-10-28"
    assert len(orders) == 3500


def test_sample_is_worth_ranking(sample: Sample) -> None:
    """Stores that differ, some that sell nothing, regulars, discounts, busy weekends, and every month."""
    orders = {row["order_no"]: row for row in sample["orders"]}
    sold = Counter(row["store_slug"] for row in orders.values())
    assert len({row["slug"] for row in sample["stores"]} - set(sold)) == 3
    assert max(sold.values()) > 10 * min(sold.values())
    visits = Counter(row["customer_ref"] for row in orders.values())
    assert sum(times > 1 for times in visits.values()) > len(visits) // 2
    shops = defaultdict(set)
    for row in orders.values():
        shops[row["customer_ref"]].add(row["store_slug"])
    assert 20 < sum(len(seen) > 1 for seen in shops.values()) < len(shops) // 10
    assert 500 < sum(row["discount"] != "0.00" for row in sample["orders"]) < len(sample["orders"]) // 2
    assert 10 < sum(not row["completed_at"] for row in orders.values()) < 100
    assert set(Counter(row["order_no"] for row in sample["orders"]).values()) == {1, 2, 3, 4}
    days = Counter(row["paid_at"][:10] for row in orders.values())
    assert {day[:7] for day in days} == {"2026-08", "2026-09", "2026-10"}
    weekend = [count for day, count in days.items() if date.fromisoformat(day).weekday() >= 5]
    assert sum(weekend) * (len(days) - len(weekend)) > 1.3 * (len(orders) - sum(weekend)) * len(weekend)
    suspended = [row for row in orders.values() if row["store_slug"] == "zhiqiang"]
    assert max(row["paid_at"] for row in suspended) < "2026-09-01"


@pytest.mark.parametrize(
    ("dollars", "whole"),
    [(0.0, 0), (0.01, 1), (1.1, 110), (0.29, 29), (4.35, 435), (840.0, 84000), (1.005 + 0.005, 101)],
)
def test_cents(dollars: float, whole: int) -> None:
    assert cents(dollars) == whole


def test_cents_refuses_part_of_a_cent() -> None:
    for dollars in (0.015, 1.001, 0.010001):
        with pytest.raises(ValueError, match="not a whole number of cents"):
            cents(dollars)


@pytest.mark.parametrize(
    ("quantity", "paid", "gross", "line"),
    [
        (1, 50, 50, Line(1, 50, 0, "")),
        (1, 99, 109, Line(1, 109, 10, "")),
        (3, 100, 100, Line(3, 34, 2, "")),  # ceil(33.3...), and the two cents too many are discount
        (2, 9899, 9980, Line(2, 4990, 81, "")),
        (0, 150, 170, Line(1, 170, 20, "zero")),
        (0, 0, 0, Line(1, 0, 0, "zero")),
        (9000, 2300, 2500, Line(1, 2500, 200, "weight")),  # a tank of petrol
        (100, 100, 100, Line(1, 100, 0, "weight")),  # a cent a unit
        (100, 101, 101, Line(100, 2, 99, "")),  # more than a cent a unit
        (2, 0, 0, Line(1, 0, 0, "weight")),
        (1, 1, 1, Line(1, 1, 0, "")),
        (1, 0, 0, Line(1, 0, 0, "")),
        (4, 0, 399, Line(4, 100, 400, "")),
    ],
)
def test_priced(quantity: int, paid: int, gross: int, line: Line) -> None:
    assert priced(quantity, paid, gross) == line
    assert line.quantity * line.unit_price - line.discount == paid


@pytest.mark.parametrize(("quantity", "paid", "gross"), [(-1, 10, 10), (1, -1, 10), (1, 11, 10)])
def test_priced_refuses(quantity: int, paid: int, gross: int) -> None:
    with pytest.raises(ValueError, match="a line of quantity"):
        priced(quantity, paid, gross)


def test_prices() -> None:
    assert prices(349) == Prices(209, (244, 261, 279), 279, 349, 523)
    assert prices(1) == Prices(0, (0, 0, 0), 1, 1, 1)
    for suggested in range(1, 2000):
        price = prices(suggested)
        assert [price.supply, *price.costs] == sorted([price.supply, *price.costs])
        assert max(1, price.supply, *price.costs) <= price.low <= price.suggested <= price.high


def test_median() -> None:
    assert [median([5]), median([9, 1]), median([3, 1, 2]), median([4, 1, 3, 2])] == [5, 1, 2, 2]


def test_product_titles_are_never_empty() -> None:
    assert complete_journey.product((2, "GROCERY", "National", "FRZN ICE", "ICE - CRUSHED/CUBED", "22 LB")) == Product(
        "manufacturer 2", "ICE - CRUSHED/CUBED 22 LB", "FRZN ICE", "调性:national"
    )
    assert complete_journey.product((69, "MISCELLANEOUS", "Private", None, None, None)) == Product(
        "manufacturer 69", "MISCELLANEOUS", "MISCELLANEOUS", "调性:private"
    )
    assert complete_journey.product((69, "PASTRY", "Private", "BREAD", None, "1 LB")).title == "BREAD 1 LB"


def a_table() -> dict[int, Product]:
    return {
        10: Product("manufacturer 1", "MILK", "DAIRY", ""),
        11: Product("manufacturer 1", "CREAM", "DAIRY", ""),
        12: Product("manufacturer 2", "PENCIL", "OFFICE", ""),
    }


def a_year() -> list[Purchase]:
    new_year, later = datetime.fromisoformat("2017-01-01T11:53:26"), datetime.fromisoformat("2018-01-01T00:30:00")
    return [
        Purchase(900, 330, 1, 10, 1, 99, 109, new_year),
        Purchase(900, 330, 1, 99, 3, 100, 100, new_year),
        Purchase(901, 4, 2, 10, 0, 150, 150, later),
    ]


def test_small_year(tmp_path: Path) -> None:
    counts = complete_journey.convert(a_year(), a_table(), tmp_path)
    assert (tmp_path / "orders.csv").read_text(encoding="utf-8").splitlines()[1:] == [
        "1,store-330,household-900,2017-01-01T11:53:26,2017-01-04T11:53:26,manufacturer 1,10,1,1.09,0.10",
        "1,store-330,household-900,2017-01-01T11:53:26,2017-01-04T11:53:26,unknown,99,3,0.34,0.02",
        "2,store-4,household-901,2018-01-01T00:30:00,2018-01-04T00:30:00,manufacturer 1,10,1,1.50,0.00",
    ]
    catalogue = {row["sku"]: row for row in rows_of(tmp_path / "catalogue.csv")}
    # Never sold: 11 has the price of its category, 12 the one of everything (the lower median of 109 and 34).
    assert {sku: row["suggested_price"] for sku, row in catalogue.items()} == {
        "10": "1.09", "11": "1.09", "12": "0.34", "99": "0.34",
    }  # fmt: skip
    assert (catalogue["99"]["brand"], catalogue["99"]["title"]) == ("unknown", "product 99")
    assert [(row["store_slug"], row["product_code"], row["price"]) for row in rows_of(tmp_path / "listings.csv")] == [
        ("store-4", "10", "1.50"), ("store-330", "99", "0.34"), ("store-330", "10", "1.09"),
    ]  # fmt: skip
    assert [(row["brand"], row["product_code"], row["base"]) for row in rows_of(tmp_path / "plans.csv")] == [
        ("", "", "paid"), ("manufacturer 1", "", "margin"), ("manufacturer 1", "10", "paid"),
    ]  # fmt: skip
    assert [row["code"] for row in rows_of(tmp_path / "network.csv")] == [
        "region-1", "district-1", "leader-4", "leader-330",
    ]  # fmt: skip
    assert {what: count for what, count in counts.items() if not what.startswith("rows of")} == {
        "lines": 3,
        "paid, cents": 349,
        "orders": 2,
        "brands": 3,
        "lines with a discount": 2,
        "lines with quantity 0, made 1": 1,
        "lines by weight or volume, made quantity 1": 0,
        "lines with nothing paid": 0,
        "lines dated 2018": 1,
        "lines of products missing from the table": 1,
        "products missing from the table": 1,
        "products never sold, priced by their category": 1,
        "products never sold, priced by all": 1,
        "listings with a price clamped into the band": 0,
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{kind}.csv" for kind in KINDS)


def test_listing_price_is_clamped(tmp_path: Path) -> None:
    at = datetime.fromisoformat("2017-01-01")
    paid = [100, 100, 100, 20, 100, 900]
    year = [Purchase(1, 4 + index // 4, index, 10, 1, one, one, at) for index, one in enumerate(paid)]
    counts = complete_journey.convert(year, a_table(), tmp_path)
    assert [row["price"] for row in rows_of(tmp_path / "listings.csv")] == ["0.80", "1.50"]
    assert counts["listings with a price clamped into the band"] == 2


def test_broken_baskets_are_refused(tmp_path: Path) -> None:
    first, second, third = a_year()
    for year, words in [
        ([first, third, second], "do not stand together"),
        ([first, first], "has product 10 twice"),
        ([first, second._replace(store=5)], "disagrees with itself"),
    ]:
        with pytest.raises(ValueError, match=words):
            complete_journey.convert(year, a_table(), tmp_path)
        assert not (tmp_path / "orders.csv").exists()


def test_tree_above_the_stores() -> None:
    rows = list(complete_journey.network_rows(list(range(1, 92))))
    assert Counter(row[2] for row in rows) == {"region": 2, "district": 10, "leader": 91}
    parents = {row[0]: row[3] for row in rows}
    assert (parents["leader-80"], parents["district-8"]) == ("district-8", "region-1")
    assert (parents["leader-81"], parents["district-9"]) == ("district-9", "region-2")
    assert [row[3] for row in complete_journey.store_rows(list(range(1, 92)))][79:81] == ["Region 1", "Region 2"]


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete_journey, "PACKAGE", "no_such_package")
    with pytest.raises(SystemExit, match=r"s2b2c\[real\]"):
        next(complete_journey.read("products", "product_id"))
