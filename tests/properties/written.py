"""How a drawn world is written into the database, whole tables at once, and how what became of it is read back."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders
from s2b2c.db import Base
from tests.properties.oracle import Plan, Rule
from tests.properties.order_oracle import Event, Order, Rows
from tests.properties.worlds import BRANDS, PRODUCTS, START, VARIANTS, Distributor, World, Written, tier_id

SCOPE_COLUMNS = {"variant": "variant_id", "product": "product_id", "category": "category", "brand": "brand_id"}


def rule_rows(written: Written, ranks: int) -> list[dict[str, Any]]:
    rows = []
    for number, rule in enumerate(written.plan.rules):
        depths = {"levels": len(rule.level_bps), "fixed": len(rule.level_amounts)}
        row = {
            **dict.fromkeys(SCOPE_COLUMNS.values()),
            "id": written.first_rule + number,
            "plan_id": written.id,
            "scheme": rule.scheme,
            "base": rule.base,
            "level_bps": list(rule.level_bps),
            "level_amounts": list(rule.level_amounts),
            "tier_bps": [rule.tier_bps[tier_id(rank)] for rank in range(1, ranks + 1)] if rule.tier_bps else [],
            "same_tier_bps": rule.same_tier_bps,
            "depth": depths.get(rule.scheme, rule.depth),
            "compress": rule.compress,
        }
        if rule.scope != "everything":
            row[SCOPE_COLUMNS[rule.scope]] = rule.target
        rows.append(row)
    return rows


def plan_row(written: Written, ranks: int, *, state: str = "active") -> dict[str, Any]:
    active = state == "active"
    return {
        "id": written.id,
        "code": f"plan-{written.id}",
        "state": state,
        "during": Range(written.since, written.until),
        "margin_floor_bps": written.plan.margin_floor_bps,
        "paid_positions": max((row["depth"] for row in rule_rows(written, ranks)), default=0),
        "activated_at": START if active else None,
        "max_paid_positions": 100 if active else None,
    }


_DRAFT = Written(60, None, None, Plan((Rule("everything", None, "levels", "paid", level_bps=(10_000,)),)), 70)
"""Never in force, whatever it says."""


async def write(session: AsyncSession, world: World) -> None:
    """All but the orders."""
    ranks = world.ranks
    tables: Mapping[type[Base], list[dict[str, Any]]] = {
        models.Tier: [
            {"id": tier_id(rank), "code": f"tier-{rank}", "rank": rank, "name": f"层级{rank}", "is_leader": False}
            for rank in range(1, ranks + 1)
        ],
        models.Distributor: [_distributor_row(member) for member in world.distributors.values()],
        models.Store: [
            {"id": key, "slug": f"store-{key}", "distributor_id": key, "title": f"小店{key}", "region": "华东"}
            for key in world.distributors
        ],
        models.Customer: [{"id": 1, "ref": "customer-1"}],
        models.Brand: [{"id": key, "name": f"品牌{key}"} for key in BRANDS],
        models.Product: [_product_row(key, *what) for key, what in PRODUCTS.items()],
        models.Variant: [
            {
                "id": variant.id,
                "product_id": VARIANTS[variant.id],
                "brand_id": PRODUCTS[VARIANTS[variant.id]][0],
                "sku": f"S{variant.id}",
                "options": {},
                "stock": 0,
            }
            for variant in world.variants
        ],
        models.Plan: [
            plan_row(_DRAFT, ranks, state="draft"),
            *(plan_row(written, ranks) for written in world.plans),
        ],
        models.Rule: [row for written in (_DRAFT, *world.plans) for row in rule_rows(written, ranks)],
    }
    for model, rows in tables.items():
        await session.execute(insert(model), rows)


def _distributor_row(member: Distributor) -> dict[str, Any]:
    return {
        "id": member.id,
        "code": f"D{member.id}",
        "name": f"分销商{member.id}",
        "tier_id": tier_id(member.rank),
        "parent_id": member.ancestors[1] if len(member.ancestors) > 1 else None,
        "ancestors": list(member.ancestors),
        "region": "华东",
        "joined_on": date(2026, 1, 1),
        "state": member.state,
    }


def _product_row(key: int, brand: int, category: str) -> dict[str, Any]:
    return {
        "id": key,
        "brand_id": brand,
        "code": f"P{key}",
        "title": f"商品{key}",
        "category": category,
        "tonalities": [],
        "audiences": [],
        "state": "listed",
    }


async def write_plan(session: AsyncSession, written: Written, ranks: int) -> None:
    await session.execute(insert(models.Plan), [plan_row(written, ranks)])
    if rows := rule_rows(written, ranks):
        await session.execute(insert(models.Rule), rows)


async def write_prices(session: AsyncSession, world: World) -> None:
    """What the variants cost since ever; orders that are drawn bring prices of their own."""
    rows = []
    for variant in world.variants:
        lowest, suggested, highest = variant.band
        band = {"min_price": lowest, "suggested_price": suggested, "max_price": highest}
        costs = {"supply_price": variant.supply_price, "tier_costs": list(variant.costs)}
        rows.append({"variant_id": variant.id, "during": Range(None, None), **band, **costs})
    await session.execute(insert(models.Price), rows)
    await session.execute(insert(models.StaleProduct), [{"product_id": product} for product in PRODUCTS])


async def write_orders(session: AsyncSession, placed: Sequence[Order]) -> None:
    """As they are placed."""
    heads = [
        {
            "branch_id": order.branch,
            "id": order.id,
            "order_no": f"O{order.branch}-{order.id}",
            "store_id": order.seller,
            "customer_id": 1,
            "seller_id": order.seller,
            "state": "placed",
            "placed_at": order.placed_at,
        }
        for order in placed
    ]
    if heads:
        await session.execute(insert(models.Order), heads)
        await session.execute(insert(models.OrderLine), [row for order in placed for row in _line_rows(order)])


def _line_rows(order: Order) -> list[dict[str, Any]]:
    rows = []
    for line_no, (key, line) in enumerate(zip(order.line_ids, order.lines, strict=True), start=1):
        ranks = max((50 - tier for tier in line.tier_costs if isinstance(tier, int)), default=0)
        rows.append(
            {
                "branch_id": order.branch,
                "id": key,
                "order_id": order.id,
                "line_no": line_no,
                "brand_id": line.brand,
                "product_id": line.product,
                "variant_id": line.variant,
                "quantity": line.quantity,
                "unit_price": line.unit_price,
                "discount": line.discount,
                "paid": line.paid,
                "supply_price": line.supply_price,
                "tier_costs": [line.tier_costs.get(tier_id(rank)) for rank in range(1, ranks + 1)],
                "supply": line.supply,
                "platform": line.paid - line.supply,
            }
        )
    return rows


def refund_of(order: Order, event: Event) -> orders.Refund:
    """The refund as it is asked for."""
    lines = [orders.RefundedLine(line_no, *part) for line_no, part in event.asked.items()]
    return orders.Refund(order.branch, order.id, event.reference, event.at, lines)


_READ = {
    "refunds": text("SELECT branch_id, id, reference, reverses_id FROM refunds ORDER BY id"),
    "accounts": text("SELECT id, kind, coalesce(brand_id, distributor_id, 0) FROM ledger_accounts"),
    "lines": text("SELECT branch_id, id, paid, refunded, supply, commission, platform FROM order_lines"),
    "commissions": text("""
        SELECT branch_id, line_id, position, distributor_id, tier_id, rule_id,
               CASE WHEN scheme IN ('levels', 'differential') THEN base_amount END, rate_bps, uncapped_amount, amount, outcome
        FROM commissions c JOIN rules r ON r.id = c.rule_id
    """),
    "refund_lines": text("SELECT branch_id, line_id, refund_id, quantity, amount, supply FROM refund_lines"),
    "clawbacks": text("SELECT branch_id, line_id, position, refund_id, distributor_id, amount FROM clawbacks"),
    "transfers": text("""
        SELECT branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at FROM transfers
    """),
}


async def read(session: AsyncSession) -> Rows:
    """All that is written of all orders, as the oracle of orders has it."""
    tables = {name: (await session.execute(query)).all() for name, query in _READ.items()}
    found: Rows = {}

    def add(key: tuple[Hashable, ...], value: tuple[object, ...]) -> None:
        assert key not in found
        found[key] = value

    sources: dict[tuple[int, str, int], str] = {}
    for branch, key, reference, undone in tables["refunds"]:
        sources[branch, "refund", key] = reference or f"-{sources[branch, 'refund', undone]}"
    for branch, line, *value in tables["lines"]:
        add(("line", branch, line), tuple(value))
    for branch, line, position, *value in tables["commissions"]:
        add(("commission", branch, line, position), tuple(value))
    for branch, line, key, *value in tables["refund_lines"]:
        add(("refund", branch, line, sources[branch, "refund", key]), tuple(value))
    for branch, line, position, key, distributor, amount in tables["clawbacks"]:
        assert found["commission", branch, line, position][0] == distributor
        add(("clawback", branch, line, sources[branch, "refund", key], position), (amount,))
    accounts = {key: (kind, owner) for key, kind, owner in tables["accounts"]}
    for branch, kind, key, code, debit, credit, *value in tables["transfers"]:
        source = sources.get((branch, kind, key), f"{kind} {key}")
        add(("transfer", branch, source, code, accounts[debit], accounts[credit]), tuple(value))
    return found


def differences(expected: Rows, found: Rows) -> dict[tuple[Hashable, ...], tuple[object, object]]:
    """Where the two are not the same: (expected, found)."""
    return {
        key: (expected.get(key), found.get(key))
        for key in expected.keys() | found.keys()
        if expected.get(key) != found.get(key)
    }
