"""From the selection page to the commission of an order: what a distributor is told it would earn is what it earns."""

from typing import Any

import pytest
from sqlalchemy import select

from s2b2c import catalogue, models
from s2b2c.api.types.ids import encode
from tests import factories
from tests.api.client import Api
from tests.api.shopping import Shop, a_buyer, done, key_of_order, nodes, pay

PRICE = 4990
SCHEMES: dict[str, tuple[dict[str, Any], int, int]] = {
    "levels": ({"level_bps": [1200, 300]}, 0, 598),
    "levels of the margin": ({"base": "margin", "level_bps": [1200, 300]}, 0, 286),
    "fixed": ({"scheme": "fixed", "level_amounts": [317, 100]}, 0, 317),
    "differential": ({"scheme": "differential", "tier_bps": [1500, 800, 0], "same_tier_bps": 50, "depth": 2}, 0, 399),
    "spread": ({"scheme": "spread", "depth": 2}, 0, 1090),
    "capped": ({"level_bps": [3000, 3000]}, 4000, 197),
}
"""A rule, the platform's floor, and what the seller earns on one unit of 4990, supplied at 2600, that costs it 3900.

4990 x 12 % = 598.8; 2390 x 12 % = 286.8; 317; 4990 x 8 % = 399.2; 4990 - 3900 = 1090; and of 4990 - 2600 - 1996 = 394,
which two shares of 1497 have to share, 1497 x 394 // 2994 = 197.
"""


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_what_i_earn_is_the_commission(api: Api, scheme: str) -> None:
    rule, floor_bps, expected = SCHEMES[scheme]
    async with api.db.write() as session:
        for rank in (1, 2, 3):
            await factories.a_tier(session, rank=rank)
        await factories.a_plan(session, rule, margin_floor_bps=floor_bps)
        top = await factories.a_distributor(session)
        owner = await factories.a_distributor(session, rank=2, parent=top)
        store = await factories.a_store(session, owner)
        variant = await factories.a_variant(session, supply_price=2600, price=PRICE, tier_costs=(3500, 3900, 4200))
        await catalogue.index_products(session)
        brand = await session.get_one(models.Brand, variant.brand_id)
    shop = Shop(api, top, owner, store, [brand], [variant])
    seller = await shop.seller()
    (offered,) = await nodes(api, "partner/Catalogue", seller, "partner", "catalogue")
    assert len(api.statements) == 3
    assert offered["suggestedPrice"] == {"amount": PRICE}
    assert offered["cost"] == {"lowest": {"amount": 3900}, "highest": {"amount": 3900}}
    assert offered["earning"] == {"lowest": {"amount": expected}, "highest": {"amount": expected}}

    await done(api, "partner/SelectProduct", seller, store=shop.id, product={"product": offered["id"]})
    line = {"variant": encode("variant", variant.id), "quantity": 1, "unitPrice": PRICE}
    order = await (await a_buyer(shop)).places(line)
    async with api.db.write() as session:
        await pay(session, order)
    _, order_id = key_of_order(order)
    async with api.db.read() as session:
        query = (
            select(models.Commission.amount)
            .join(models.OrderLine, models.OrderLine.id == models.Commission.line_id)
            .where(models.OrderLine.order_id == order_id, models.Commission.distributor_id == owner.id)
        )
        assert (await session.scalars(query)).all() == [expected]
