"""What a distributor is told it would earn is what it then earns, for every plan, chain and price."""

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from s2b2c import commissions, models, orders
from s2b2c.db import Database
from tests import factories
from tests.properties.test_commissions import PAID_AT, Case, a_world, cases


@given(case=cases, places=st.lists(st.integers(0, 10_000), min_size=2, max_size=2))
async def test_what_i_earn_is_the_commission_of_an_order_then_paid(
    shared_db: Database, case: Case, places: list[int]
) -> None:
    async with shared_db.write() as session:
        seller, variants = await a_world(session, case)
        products = [variant.product_id for variant in variants]
        suggested = await commissions.quote(session, seller.id, [(product, None) for product in products], PAID_AT)
        asked: list[tuple[int, int | None]] = []
        for product, place in zip(products, places, strict=True):
            (offer,) = suggested[product, None]
            assert offer.price == offer.suggested_price
            asked.append((product, offer.lowest_price + (offer.highest_price - offer.lowest_price) * place // 10_000))
        quoted = await commissions.quote(session, seller.id, asked, PAID_AT)
        told = {key: offer for prices in (suggested, quoted) for key, (offer,) in prices.items()}
        assert len(told) == 4
        store = await factories.a_store(session, seller)
        for (product, _), offer in told.items():
            variant = variants[products.index(product)]
            assert offer.id == variant.id
            order = await factories.an_order(session, store, (variant, 1, offer.price, 0))
            await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
            earned = await session.scalar(
                select(func.coalesce(func.sum(models.Commission.amount), 0))
                .join(models.OrderLine, models.OrderLine.id == models.Commission.line_id)
                .where(models.OrderLine.order_id == order.id, models.Commission.distributor_id == seller.id)
            )
            assert offer.earning == earned
        await session.rollback()
