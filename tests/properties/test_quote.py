"""What a distributor is told on the selection page that it would earn is what it then earns, for every network, plan and price."""

from hypothesis import given, settings
from hypothesis import strategies as st

from s2b2c import catalogue, commissions, orders
from s2b2c.catalogue import Wanted
from s2b2c.db import Database
from tests.properties.worlds import ANEW, DAY, PRODUCTS, START, VARIANTS, World, pay, place, worlds
from tests.properties.written import differences, read, write, write_orders, write_prices


@settings(backend=ANEW)
@given(world=worlds(most_orders=0), day=st.integers(0, 3), share=st.integers(0, 10_000))
async def test_what_i_earn_is_the_commission_of_an_order_then_paid(
    shared_db: Database, world: World, day: int, share: int
) -> None:
    """Everybody asks for every product, at the suggested price and at one inside the band, and then sells it so."""
    now = START + day * DAY
    variants = {variant.id: variant for variant in world.variants}
    told: dict[tuple[int, int], int] = {}
    async with shared_db.write() as session:
        await write(session, world)
        await write_prices(session, world)
        assert await catalogue.index_products(session) == len(PRODUCTS)
        for seller in world.distributors:
            bands = {product: band for product in PRODUCTS if (band := band_of(world, seller, product))}
            page = await catalogue.on_offer(
                session, seller, Wanted(), now=now, sort="newest", after=None, limit=len(PRODUCTS)
            )
            assert {row.id: (row.lowest_price, row.highest_price) for row in page} == bands
            asked: list[tuple[int, int | None]] = [(product, None) for product in PRODUCTS]
            asked += [(product, low + (high - low) * share // 10_000) for product, (low, high) in bands.items()]
            offers = await commissions.quote(session, seller, asked, now)
            assert offers.keys() == {(product, price) for product, price in asked if product in bands}
            for (product, price), offered in offers.items():
                assert [offer.id for offer in offered] == [key for key, of in VARIANTS.items() if of == product]
                suggested = {row.suggested_price for row in page if row.id == product}
                assert {offer.price for offer in offered} == (suggested if price is None else {price})
                order = place(world, seller, [world.line(variants[it.id], 1, it.price, 0) for it in offered])
                pay(world, order, now)
                told |= {(order.branch, key): it.earning for key, it in zip(order.line_ids, offered, strict=True)}
        await write_orders(session, world.orders)
        await orders.pay(session, [(order.branch, order.id, now) for order in world.orders], rail="import")
        found = await read(session)
        await session.rollback()
    assert differences({key: row for order in world.orders for key, row in order.rows().items()}, found) == {}
    for line, earning in told.items():
        *_, earned, _ = found.get(("commission", *line, 0), (0, ""))
        assert earning == earned


def band_of(world: World, seller: int, product: int) -> tuple[int, int] | None:
    """The lowest and the highest price at which the seller can sell all variants of a product."""
    rank = world.distributors[seller].rank
    variants = [variant for variant in world.variants if VARIANTS[variant.id] == product]
    costs = [cost for variant in variants if (cost := variant.costs[rank - 1]) is not None]
    lowest = max([*costs, *(variant.band[0] for variant in variants)])
    highest = min(variant.band[2] for variant in variants)
    return (lowest, highest) if len(costs) == len(variants) and lowest <= highest else None
