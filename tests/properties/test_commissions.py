"""Accrual against brute force: any plan, any chain, any line; every row, and the totals of the line."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders
from s2b2c.db import Database
from tests import factories

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)


class Rule(NamedTuple):
    scope: str
    base: str
    level_bps: list[int]


class Line(NamedTuple):
    product: int
    quantity: int
    unit_price: int
    discount: int


class Case(NamedTuple):
    states: list[str]
    """Of the seller and those above it."""
    supply_prices: list[int]
    """Of two products: the first is of brand and category one, the second of two."""
    rules: list[Rule]
    floor_bps: int
    lines: list[Line]


def _trimmed(rates: list[int]) -> list[int]:
    return _trimmed(rates[:-1]) if rates and rates[-1] == 0 else rates


rates = st.lists(st.integers(0, 3000) | st.just(0), max_size=3).map(_trimmed)
rules = st.builds(
    Rule,
    st.sampled_from(["variant", "product", "category", "brand", "all"]),
    st.sampled_from(["paid", "margin"]),
    rates,
)
money = st.integers(0, 300) | st.integers(0, 10**7) | st.integers(0, 10**12)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    quantity, unit_price = draw(st.integers(1, 9) | st.just(10**6)), draw(money)
    gross = quantity * unit_price
    return Line(draw(st.integers(0, 1)), quantity, unit_price, draw(st.integers(0, gross) | st.just(0)))


cases = st.builds(
    Case,
    states=st.lists(st.sampled_from(["active", "active", "watch", "suspended", "eliminated"]), min_size=1, max_size=4),
    supply_prices=st.lists(money, min_size=2, max_size=2),
    rules=st.lists(rules, max_size=6),
    floor_bps=st.integers(0, 10000) | st.sampled_from([0, 10000]),
    lines=st.lists(lines(), min_size=1, max_size=4),
)

Share = tuple[int, int, int, str]
"""(position, uncapped amount, amount, outcome)"""


def by_hand(case: Case, line: Line) -> list[Share]:
    """The shares of a line, one after the other, as the domain tells them. Every rule but "all" is for product 0."""
    paid = line.quantity * line.unit_price - line.discount
    supply = line.quantity * case.supply_prices[line.product]
    fitting = [rule for rule in case.rules if rule.scope == "all" or line.product == 0]
    order = ["all", "brand", "category", "product", "variant"]
    ranked = sorted(enumerate(fitting), key=lambda numbered: (order.index(numbered[1].scope), numbered[0]))
    if not ranked:
        return []
    rule = ranked[-1][1]
    base = paid if rule.base == "paid" else max(0, paid - supply)
    chain = list(zip(rule.level_bps, case.states, strict=False))
    full = [base * rate // 10000 for rate, _ in chain]
    blocked = [state not in {"active", "watch"} for _, state in chain]
    total = sum(amount for amount, gone in zip(full, blocked, strict=True) if not gone)
    available = max(0, paid - supply - -(-paid * case.floor_bps // 10000))
    shares: list[Share] = []
    for position, (amount, gone) in enumerate(zip(full, blocked, strict=True)):
        if gone:
            shares.append((position, amount, 0, "blocked"))
        elif amount == 0:
            shares.append((position, 0, 0, "zero"))
        elif total > available:
            shares.append((position, amount, amount * available // total, "capped"))
        else:
            shares.append((position, amount, amount, "earned"))
    return shares


async def a_world(session: AsyncSession, case: Case) -> tuple[models.Distributor, list[models.Variant]]:
    """The seller with its upline, and the two variants, under the plan of the case."""
    seller = await factories.a_distributor(session, state=case.states[-1])
    for state in reversed(case.states[:-1]):
        seller = await factories.a_distributor(session, parent=seller, state=state)
    variants = [
        await factories.a_variant(
            session, supply_price=supply, price=max(supply, 1), tier_costs=(supply,), category=f"类{number}"
        )
        for number, supply in enumerate(case.supply_prices)
    ]
    first = variants[0]
    scopes: dict[str, dict[str, object]] = {
        "variant": {"variant_id": first.id},
        "product": {"product_id": first.product_id},
        "category": {"category": "类0"},
        "brand": {"brand_id": first.brand_id},
        "all": {},
    }
    written = [{**scopes[rule.scope], "base": rule.base, "level_bps": rule.level_bps} for rule in case.rules]
    await factories.a_plan(session, *written, margin_floor_bps=case.floor_bps)
    return seller, variants


async def _write(session: AsyncSession, case: Case) -> models.Order:
    seller, variants = await a_world(session, case)
    placed = [(variants[line.product], line.quantity, line.unit_price, line.discount) for line in case.lines]
    return await factories.an_order(session, await factories.a_store(session, seller), *placed)


async def _read(session: AsyncSession, line: models.OrderLine) -> Sequence[Share]:
    found = await session.scalars(
        select(models.Commission).where(models.Commission.line_id == line.id).order_by(models.Commission.position)
    )
    return [(row.position, row.uncapped_amount, row.amount, row.outcome) for row in found]


@given(case=cases)
async def test_equals_counting(shared_db: Database, case: Case) -> None:
    async with shared_db.write() as session:
        order = await _write(session, case)
        await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
        stored = await session.scalars(
            select(models.OrderLine)
            .where(models.OrderLine.order_id == order.id)
            .order_by(models.OrderLine.line_no)
            .execution_options(populate_existing=True)
        )
        for line, row in zip(case.lines, stored, strict=True):
            expected = by_hand(case, line)
            assert await _read(session, row) == expected
            assert row.commission == sum(amount for _, _, amount, _ in expected)
            assert row.supply + row.commission + row.platform == row.paid
        await session.rollback()
