"""The canonical CSV files: the columns of each kind, and what must hold between the rows of one file."""

from dataclasses import dataclass, field

from s2b2c.imports import cells
from s2b2c.imports.cells import Column

CODE = Column(cells.text(64))
NAME = Column(cells.text(200))
AMOUNT = Column(cells.amount, "bigint")


@dataclass(frozen=True)
class Kind:
    """`unique`: columns that name a row once in a file. `agree`: per group of columns those that must be the same."""

    columns: dict[str, Column]
    unique: tuple[tuple[str, ...], ...]
    agree: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)


KINDS: dict[str, Kind] = {
    "tiers": Kind(
        columns={
            "code": CODE,
            "rank": Column(cells.whole(1, 100), "bigint"),
            "name": NAME,
            "is_leader": Column(cells.yes_no, "boolean"),
        },
        unique=(("code",), ("rank",)),
    ),
    "network": Kind(
        columns={
            "code": CODE,
            "name": NAME,
            "tier": CODE,
            "parent_code": Column(cells.text(64), optional=True),
            "region": NAME,
            "joined_on": Column(cells.day, "date"),
            "state": Column(cells.state),
        },
        unique=(("code",),),
    ),
    "catalogue": Kind(
        columns={
            "brand": NAME,
            "product_code": CODE,
            "title": NAME,
            "category": NAME,
            "tags": Column(cells.tags, optional=True),
            "sku": CODE,
            "options": Column(cells.options, optional=True),
            "supply_price": AMOUNT,
            "suggested_price": AMOUNT,
            "min_price": AMOUNT,
            "max_price": AMOUNT,
            "stock": Column(cells.whole(0, 10**9), "bigint", optional=True),
            "image_url": Column(cells.url, optional=True),
        },
        unique=(("brand", "sku"),),
        agree={("brand", "product_code"): ("title", "category", "tags", "image_url")},
    ),
    "stores": Kind(
        columns={"slug": Column(cells.slug), "owner_code": CODE, "title": NAME, "region": NAME},
        unique=(("slug",),),
    ),
    "listings": Kind(
        columns={
            "store_slug": CODE,
            "brand": NAME,
            "product_code": CODE,
            "price": AMOUNT,
            "position": Column(cells.whole(1, 10**9), "bigint"),
            "pitch": Column(cells.text(2000, multiline=True), optional=True),
        },
        unique=(("store_slug", "brand", "product_code"), ("store_slug", "position")),
    ),
    "plans": Kind(
        columns={
            "plan": CODE,
            "effective_from": Column(cells.day, "date"),
            "margin_floor_bps": Column(cells.whole(0, 10000), "bigint"),
            "brand": Column(cells.text(200), optional=True),
            "product_code": Column(cells.text(64), optional=True),
            "sku": Column(cells.text(64), optional=True),
            "category": Column(cells.text(200), optional=True),
            "scheme": Column(cells.choice("levels")),
            "base": Column(cells.choice("paid", "margin")),
            "level_bps": Column(cells.rates, "bigint[]"),
        },
        unique=(("plan", "brand", "product_code", "sku", "category"),),
        agree={("plan",): ("effective_from", "margin_floor_bps")},
    ),
    "orders": Kind(
        columns={
            "order_no": CODE,
            "store_slug": CODE,
            "customer_ref": NAME,
            "paid_at": Column(cells.moment, "timestamptz"),
            "completed_at": Column(cells.moment, "timestamptz", optional=True),
            "brand": NAME,
            "sku": CODE,
            "quantity": Column(cells.whole(1, cells.MAX_QUANTITY), "bigint"),
            "unit_price": AMOUNT,
            "discount": AMOUNT,
        },
        unique=(("order_no", "brand", "sku"),),
        agree={("order_no",): ("store_slug", "customer_ref", "paid_at", "completed_at")},
    ),
}
