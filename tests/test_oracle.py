"""The oracle of the real year, on rows small enough to work out by hand."""

from pathlib import Path

import pytest

from tests.complete_journey_oracle import BrandTotals, Line, Rule, Sale, line_of, read_world, shares_of, tally

_FILES = {
    "catalogue": """\
brand,product_code,title,category,tags,sku,options,supply_price,suggested_price,min_price,max_price,stock,image_url
manufacturer 2,11,Ice,ICE,,11,,26.00,49.90,45.00,59.90,,
manufacturer 69,12,Bread,BREAD,,12,,0.95,1.59,1.27,2.38,,
manufacturer 69,13,Petrol,FUEL,,13,,30,50.00,40.00,60.00,,
unknown,14,?,UNKNOWN,,14,,0.9,1.59,1.27,2.38,,
""",
    "network": """\
code,name,tier,parent_code,region,joined_on,state
region-1,R,region,,East,2016-12-01,active
district-1,D,district,region-1,East,2016-12-01,watch
leader-5,L,leader,district-1,East,2016-12-01,active
leader-6,M,leader,district-1,East,2016-12-01,suspended
""",
    "stores": "slug,owner_code,title,region\nstore-5,leader-5,Five,East\nstore-6,leader-6,Six,East\n",
    "plans": """\
plan,effective_from,margin_floor_bps,brand,product_code,sku,category,scheme,base,level_bps
year,2016-01-01,500,,,,,levels,paid,1200/300
year,2016-01-01,500,manufacturer 69,,,,levels,margin,3000/800
year,2016-01-01,500,manufacturer 69,13,,,levels,paid,1500
""",
}
_MANUFACTURERS = {11: 2, 12: 69, 13: 69}


@pytest.mark.parametrize(
    ("sale", "line"),
    [
        # 98.99 paid of 98.99 + 0.80 + 0.01: two at 49.90, and 0.81 is discount
        (Sale(1, 5, 11, 2, 98.99, 0.80, 0.01), Line("manufacturer 2", 2, 4990, 81, 9899)),
        # 10.00 for three: rounded up to 3.34 each, so that the 2 fen too much are discount
        (Sale(1, 5, 12, 3, 10.0, 0.0, 0.0), Line("manufacturer 69", 3, 334, 2, 1000)),
        # no quantity
        (Sale(1, 5, 11, 0, 49.90, 0.0, 0.0), Line("manufacturer 2", 1, 4990, 0, 4990)),
        # volume in thousandths: 20.00 for 15000 is less than a cent a unit, and exactly a cent is not more
        (Sale(1, 5, 13, 15000, 20.0, 0.0, 0.0), Line("manufacturer 69", 1, 2000, 0, 2000)),
        (Sale(1, 5, 13, 2000, 19.0, 1.0, 0.0), Line("manufacturer 69", 1, 2000, 100, 1900)),
        (Sale(1, 5, 13, 1999, 20.0, 0.0, 0.0), Line("manufacturer 69", 1999, 2, 1998, 2000)),
        # nothing paid, of a product that the table does not have
        (Sale(1, 5, 14, 4, 0.0, 0.0, 0.0), Line("unknown", 1, 0, 0, 0)),
    ],
)
def test_a_sale_becomes_a_line(sale: Sale, line: Line) -> None:
    assert line_of(sale, _MANUFACTURERS) == line
    assert line.paid == line.quantity * line.unit_price - line.discount


def test_shares_are_floored_then_cut_to_what_the_floor_leaves() -> None:
    chain = ("a", "b", "c")
    assert shares_of(Rule("paid", (1200, 300)), 9899, 5200, 0, chain) == ([1187, 296], [1187, 296])
    assert shares_of(Rule("margin", (1200, 300)), 9899, 5200, 0, chain) == ([563, 140], [563, 140])
    # 9899 - 8600 - ceil(494.95) = 804 are left for 1483
    assert shares_of(Rule("paid", (1200, 300)), 9899, 8600, 500, chain) == ([1187, 296], [643, 160])
    assert shares_of(Rule("paid", (1200, 300)), 100, 200, 0, chain) == ([12, 3], [0, 0])
    assert shares_of(Rule("margin", (1200, 300)), 100, 200, 0, chain) == ([0, 0], [0, 0])
    assert shares_of(Rule("paid", (1200, 300)), 9899, 5200, 0, (None, "b")) == ([0, 296], [0, 296])
    assert shares_of(Rule("paid", (1200, 300)), 9899, 5200, 0, ("a",)) == ([1187], [1187])


def test_a_year_of_six_sales(tmp_path: Path) -> None:
    for name, rows in _FILES.items():
        (tmp_path / f"{name}.csv").write_text(rows, encoding="utf-8")
    sales = [
        Sale(1, 5, 11, 2, 98.99, 0.80, 0.01),  # everything: 1187, 296
        Sale(1, 5, 12, 3, 10.0, 0.0, 0.0),  # the brand: 30 % and 8 % of 1000 - 285
        Sale(2, 5, 13, 15000, 20.0, 0.0, 0.0),  # the product: supply 3000 leaves nothing of 300
        Sale(3, 6, 11, 0, 49.90, 0.0, 0.0),  # the seller is suspended: 149 for the one above
        Sale(4, 5, 14, 1, 1.00, 0.0, 0.0),  # 12 and 3 of 100, but 100 - 90 - 5 leaves 5: 4 and 1
        Sale(4, 5, 11, 1, 0.0, 0.0, 0.0),
    ]
    totals = tally(sales, _MANUFACTURERS, read_world(tmp_path))
    assert (totals.orders, totals.lines, totals.shares, totals.capped) == (4, 6, 11, 2)
    assert totals.brands == {
        "manufacturer 2": BrandTotals(4, 9899 + 4990, 4 * 2600),
        "manufacturer 69": BrandTotals(4, 1000 + 2000, 3 * 95 + 3000),
        "unknown": BrandTotals(1, 100, 90),
    }
    assert totals.earned == {"leader-5": 1187 + 214 + 4, "district-1": 296 + 57 + 149 + 1}
    assert (totals.paid, totals.supply, totals.commission) == (17989, 13775, 1908)
    assert totals.platform == 17989 - 13775 - 1908
