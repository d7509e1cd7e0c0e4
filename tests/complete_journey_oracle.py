"""What the main job must find in the real year: one pass over the retailer's own rows, sharing nothing with the program.

The five rules for dirty rows are written here again from their description, and commissions are worked out line by line
in plain integers. Only prices, the network and the plan come from the generated files, since the adapter invents them.
Amounts are fen.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

UNKNOWN = "unknown"
_EARNING = ("active", "watch")


class Sale(NamedTuple):
    """A row of the retailer's transactions, as it is; money in yuan."""

    basket_id: int
    store_id: int
    product_id: int
    quantity: int
    sales_value: float
    retail_disc: float
    coupon_match_disc: float


class Line(NamedTuple):
    """A sale by the five rules. `paid` = `quantity` x `unit_price` - `discount`."""

    brand: str
    quantity: int
    unit_price: int
    discount: int
    paid: int


class Item(NamedTuple):
    product_code: str
    category: str
    supply_price: int


class Rule(NamedTuple):
    base: str
    level_bps: tuple[int, ...]


@dataclass(frozen=True)
class World:
    """What the adapter invents around the sales.

    `items` by (brand, sku); `rules` by what they are for, as `_scopes` names it; `uplines` by store, the owner first, None
    where a position may not earn.
    """

    items: Mapping[tuple[str, str], Item]
    rules: Mapping[tuple[str, ...], Rule]
    floor_bps: int
    uplines: Mapping[str, tuple[str | None, ...]]


@dataclass
class BrandTotals:
    units: int = 0
    paid: int = 0
    supply: int = 0


@dataclass
class Totals:
    """`earned` by distributor; `shares` counts the positions paid or looked at, `capped` the lines cut by the floor."""

    orders: int = 0
    lines: int = 0
    shares: int = 0
    capped: int = 0
    brands: dict[str, BrandTotals] = field(default_factory=lambda: defaultdict(BrandTotals))
    earned: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def paid(self) -> int:
        return sum(brand.paid for brand in self.brands.values())

    @property
    def supply(self) -> int:
        return sum(brand.supply for brand in self.brands.values())

    @property
    def commission(self) -> int:
        return sum(self.earned.values())

    @property
    def platform(self) -> int:
        return self.paid - self.supply - self.commission


def tally(sales: Iterable[Sale], manufacturers: Mapping[int, int], world: World) -> Totals:
    """All sales by the rules. `manufacturers` is the retailer's product table: product -> manufacturer."""
    totals = Totals()
    baskets: set[int] = set()
    for sale in sales:
        line = line_of(sale, manufacturers)
        item = world.items[line.brand, str(sale.product_id)]
        upline = world.uplines[f"store-{sale.store_id}"]
        supply = line.quantity * item.supply_price
        brand = totals.brands[line.brand]
        brand.units += line.quantity
        brand.paid += line.paid
        brand.supply += supply
        for scope in _scopes(line.brand, str(sale.product_id), item):
            if rule := world.rules.get(scope):
                uncapped, shares = shares_of(rule, line.paid, supply, world.floor_bps, upline)
                totals.shares += len(shares)
                totals.capped += shares != uncapped
                for code, share in zip(upline, shares, strict=False):
                    if code is not None:
                        totals.earned[code] += share
                break
        baskets.add(sale.basket_id)
        totals.lines += 1
    totals.orders = len(baskets)
    return totals


def line_of(sale: Sale, manufacturers: Mapping[int, int]) -> Line:
    """One sale by the five rules. The fifth, that the lines dated 2018 stay, is that no date is looked at."""
    manufacturer = manufacturers.get(sale.product_id)
    paid = cents(sale.sales_value)
    gross = paid + cents(sale.retail_disc) + cents(sale.coupon_match_disc)
    quantity = max(sale.quantity, 1)
    if gross <= quantity:  # a cent or less a unit: it was sold by weight or volume
        quantity = 1
    unit_price = -(-gross // quantity)
    return Line(
        UNKNOWN if manufacturer is None else f"manufacturer {manufacturer}",
        quantity,
        unit_price,
        quantity * unit_price - paid,
        paid,
    )


def shares_of(
    rule: Rule, paid: int, supply: int, floor_bps: int, upline: tuple[str | None, ...]
) -> tuple[list[int], list[int]]:
    """The shares of a line by position, as the rule gives them and as the margin floor leaves them."""
    base = paid if rule.base == "paid" else max(0, paid - supply)
    uncapped = [0 if code is None else base * bps // 10000 for bps, code in zip(rule.level_bps, upline, strict=False)]
    total = sum(uncapped)
    available = max(0, paid - supply - -(-paid * floor_bps // 10000))
    if total <= available:
        return uncapped, uncapped
    return uncapped, [share * available // total for share in uncapped]


def cents(yuan: float) -> int:
    """The table keeps cents as binary fractions: the nearest one is meant, and must be near."""
    nearest = round(yuan * 100)
    assert abs(yuan * 100 - nearest) < 1e-6
    return nearest


def read_world(folder: Path) -> World:
    items = {
        (row["brand"], row["sku"]): Item(row["product_code"], row["category"], _fen(row["supply_price"]))
        for row in _rows(folder / "catalogue.csv")
    }
    plan = list(_rows(folder / "plans.csv"))
    (floor_bps,) = {int(row["margin_floor_bps"]) for row in plan}
    return World(items, {_scope(row): _rule(row) for row in plan}, floor_bps, _uplines(folder))


def _uplines(folder: Path) -> dict[str, tuple[str | None, ...]]:
    network = {row["code"]: row for row in _rows(folder / "network.csv")}
    uplines = {}
    for store in _rows(folder / "stores.csv"):
        upline: list[str | None] = []
        code = store["owner_code"]
        while code:
            upline.append(code if network[code]["state"] in _EARNING else None)
            code = network[code]["parent_code"]
        uplines[store["slug"]] = tuple(upline)
    return uplines


def _scopes(brand: str, sku: str, item: Item) -> Iterator[tuple[str, ...]]:
    """What a rule for this line may be for, the most specific first."""
    yield "variant", brand, sku
    yield "product", brand, item.product_code
    yield "category", item.category
    yield "brand", brand
    yield ("everything",)


def _scope(row: Mapping[str, str]) -> tuple[str, ...]:
    if row["sku"]:
        return "variant", row["brand"], row["sku"]
    if row["product_code"]:
        return "product", row["brand"], row["product_code"]
    if row["category"]:
        return "category", row["category"]
    return ("brand", row["brand"]) if row["brand"] else ("everything",)


def _rule(row: Mapping[str, str]) -> Rule:
    assert row["scheme"] == "levels"
    return Rule(row["base"], tuple(int(bps) for bps in row["level_bps"].split("/")))


def _fen(amount: str) -> int:
    yuan, _, fen = amount.partition(".")
    return int(yuan) * 100 + int(fen.ljust(2, "0"))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)
