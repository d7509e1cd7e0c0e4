"""Supply prices in what customers and distributors are sent: every operation of theirs, every number in the answer."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from s2b2c import models, money, orders, settlements
from s2b2c.api.types.ids import encode
from s2b2c.config import resource
from tests import factories
from tests.api.client import Api

PAID_AT = datetime(2026, 9, 1, 4, tzinfo=UTC)
LATER = datetime(2026, 9, 20, tzinfo=UTC)
SUPPLY, COST, PRICE = 700_000_003, 800_000_007, 900_000_001
PERIOD = {"from": "2026-09-01", "to": "2026-10-01"}


def _numbers(value: Any) -> Iterator[int]:
    """Every number; of a text each that it names in yuan."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, str):
        yield from (money.parse_yuan(amount) for amount in re.findall(r"\d{1,10}\.\d\d(?!\d)", value))
    elif type(value) is int:
        yield value


@pytest.mark.parametrize("level_bps", [[1200, 300], [6000, 3900]])
async def test_no_supply_price_reaches_a_customer_or_a_distributor(api: Api, level_bps: list[int]) -> None:
    """Nor what follows from it: the line's supply, its margin, a rate of it, and the platform's part.

    The higher rates break the floor: what the rule gives before the cap would tell the margin too.
    """
    async with api.db.write() as session:
        owner = await factories.a_distributor(session, parent=await factories.a_distributor(session))
        store = await factories.a_store(session, owner)
        variant = await factories.a_variant(session, supply_price=SUPPLY, price=PRICE, tier_costs=(COST,))
        unlisted = await factories.a_variant(session, supply_price=SUPPLY, price=PRICE, tier_costs=(COST,))
        await factories.a_listing(session, store, variant.product_id, price=PRICE)
        await factories.a_plan(session, {"level_bps": level_bps, "base": "margin"}, margin_floor_bps=1000)
        order = await factories.an_order(session, store, (variant, 2, PRICE, 0), placed_at=PAID_AT)
        await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
        await orders.complete(session, [(order.branch_id, order.id, PAID_AT)], hold_days=7)
        assert await settlements.settle(session, cutoff=LATER, now=LATER)
    async with api.db.read() as session:
        line = (await session.scalars(select(models.OrderLine))).one()
        statement = (
            await session.scalars(select(models.Statement.id).where(models.Statement.distributor_id == owner.id))
        ).one()
        notice = (await session.scalars(select(models.Notice.id).where(models.Notice.distributor_id == owner.id))).one()
        share = (await session.scalars(select(models.Commission).where(models.Commission.position == 0))).one()
    assert share.outcome == ("earned" if level_bps == [1200, 300] else "capped")
    secrets = {SUPPLY, line.supply, PRICE - SUPPLY, line.paid - line.supply, line.platform, *level_bps, line.commission}
    if share.outcome == "capped":
        secrets.add(share.uncapped_amount)
    shelf, product = encode("store", store.id), encode("product", variant.product_id)
    asked: dict[str, dict[str, Any]] = {
        "shop/Storefront": {"slug": store.slug},
        "shop/Product": {"slug": store.slug, "id": product},
        "partner/Me": {},
        "partner/Catalogue": {},
        "partner/Product": {"id": product, "price": PRICE},
        "partner/Store": {"slug": store.slug},
        "partner/Earnings": PERIOD,
        "partner/Commission": {"id": encode("commission", share.branch_id, share.line_id, share.position)},
        "partner/Team": PERIOD,
        "partner/Notices": {},
        "partner/Statements": {},
        "partner/Statement": {"id": encode("statement", statement)},
        "partner/SelectProduct": {"store": shelf, "product": {"product": encode("product", unlisted.product_id)}},
        "partner/SelectProducts": {"store": shelf, "products": [{"product": product}]},
        "partner/UpdateListing": {"store": shelf, "listing": {"product": product, "price": 1}},
        "partner/UpdateListings": {"store": shelf, "listings": [{"product": product, "price": PRICE}]},
        "partner/ReorderListings": {"store": shelf, "products": [product]},
        "partner/RemoveListing": {"store": shelf, "product": product},
        "partner/RemoveListings": {"store": shelf, "products": [product]},
        "partner/MarkNoticesRead": {"ids": [encode("notice", notice)]},
    }
    folder = resource("graphql") / "operations"
    theirs = {f"{door}/{file.stem}" for door in ("shop", "partner") for file in folder.glob(f"{door}/*.graphql")}
    assert set(asked) == theirs
    token = await api.token("distributor", distributor=owner.code)
    seen: set[int] = set()
    for operation, variables in asked.items():
        answer = await api.run(operation, token, **variables)
        assert "errors" not in answer, operation
        numbers = set(_numbers(answer))
        assert not numbers & secrets, operation
        seen |= numbers
    assert {PRICE, COST, 2 * PRICE, share.amount} <= seen
