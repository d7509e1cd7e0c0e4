"""From a cart to an order, and back when nobody pays: stock, prices, the seller, and what is refused."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders
from s2b2c.config import settings
from s2b2c.db import Database
from s2b2c.errors import BadArgument, LineProblem, NotFound, NotOnOffer, OutOfStock, PriceChanged, Refusal, Refused
from s2b2c.network import Policy
from tests import factories

NOW = datetime(2026, 9, 1, 4, tzinfo=UTC)
WINDOW = Policy("window", 30, 7)


class Shop(NamedTuple):
    store: models.Store
    seller: models.Distributor
    variants: Sequence[models.Variant]
    customer: models.Customer
    address: models.Address

    def cart(self, *lines: tuple[int, int], token: str = "one", **changes: object) -> orders.Cart:  # noqa: S107  no password
        """Lines are (number of the variant, units)."""
        chosen = [orders.CartLine(self.variants[number].id, quantity) for number, quantity in lines]
        cart = orders.Cart(self.customer.id, self.store.id, token, chosen, self.address.id)
        return cart._replace(**changes)  # type: ignore[arg-type]  # what differs


async def _shop(session: AsyncSession, *, stocks: Sequence[int] = (100, 100, 100)) -> Shop:
    """A store on tier 2 with a variant of each of three brands, at 4990, 3000 and 1 fen."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    for rank in (1, 2, 3):
        await factories.a_tier(session, rank=rank)
    top = await factories.a_distributor(session, rank=1)
    seller = await factories.a_distributor(session, rank=2, parent=top)
    store = await factories.a_store(session, seller)
    variants = []
    for position, (stock, price) in enumerate(zip(stocks, (4990, 3000, 1), strict=True), start=1):
        supply = min(2600, price)
        variant = await factories.a_variant(
            session, stock=stock, supply_price=supply, price=price, tier_costs=(supply, supply, supply)
        )
        await factories.a_listing(session, store, variant.product_id, price=price, position=position)
        variants.append(variant)
    customer = await factories.a_customer(session)
    return Shop(store, seller, variants, customer, await factories.an_address(session, customer))


async def _place(session: AsyncSession, cart: orders.Cart, *, now: datetime = NOW) -> orders.Placed:
    (outcome,) = await orders.place(session, [cart], policy=WINDOW, now=now)
    if not isinstance(outcome, orders.Placed):
        raise Refused(outcome)
    return outcome


async def _stock(session: AsyncSession, shop: Shop) -> list[int]:
    rows = await session.execute(
        select(models.Variant.id, models.Variant.stock).where(models.Variant.id.in_([it.id for it in shop.variants]))
    )
    stock = {row.id: row.stock for row in rows}
    return [stock[it.id] for it in shop.variants]


async def _rows(session: AsyncSession) -> dict[str, int]:
    tables = ("orders", "order_lines", "supply_orders", "order_addresses", "claims", "bindings", "refused_touches")
    return {table: await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in tables}


async def test_an_order_freezes_prices_costs_and_seller_and_takes_its_stock(session: AsyncSession) -> None:
    shop = await _shop(session)
    placed = await _place(session, shop.cart((0, 2), (1, 1)))
    assert placed.amount == 2 * 4990 + 3000
    order = await session.get_one(models.Order, (placed.branch_id, placed.id))
    assert (order.state, order.store_id, order.seller_id, order.branch_id, order.freight) == (
        "placed",
        shop.store.id,
        shop.seller.id,
        shop.seller.branch_id,
        0,
    )
    assert order.order_no == placed.order_no == f"260901{placed.id:010}"
    assert (order.placed_at, order.due_at) == (NOW, NOW + timedelta(minutes=settings().pay_minutes))
    lines = (
        await session.execute(
            text(
                "SELECT line_no, variant_id, quantity, unit_price, discount, paid, supply_price, tier_costs, supply, platform "
                "FROM order_lines ORDER BY line_no"
            )
        )
    ).all()
    assert [tuple(line) for line in lines] == [
        (1, shop.variants[0].id, 2, 4990, 0, 9980, 2600, [2600, 2600, 2600], 5200, 4780),
        (2, shop.variants[1].id, 1, 3000, 0, 3000, 2600, [2600, 2600, 2600], 2600, 400),
    ]
    brands = (await session.scalars(select(models.SupplyOrder.brand_id).order_by(models.SupplyOrder.brand_id))).all()
    assert brands == sorted(it.brand_id for it in shop.variants[:2])
    sent_to = (await session.scalars(select(models.OrderAddress))).one()
    assert (sent_to.recipient, sent_to.phone) == ("王小明", "13800001234")
    assert await _stock(session, shop) == [98, 99, 100]
    assert await _rows(session) == {
        "orders": 1,
        "order_lines": 2,
        "supply_orders": 2,
        "order_addresses": 1,
        "claims": 2,
        "bindings": 1,
        "refused_touches": 0,
    }


async def test_the_same_token_again_is_the_same_order(session: AsyncSession) -> None:
    shop = await _shop(session)
    first = await _place(session, shop.cart((0, 2)))
    rows = await _rows(session)
    assert await _place(session, shop.cart((0, 2))) == first
    assert await _place(session, shop.cart((1, 5))) == first, "what the token stands for was decided before"
    assert (await _rows(session), await _stock(session, shop)) == (rows, [98, 100, 100])
    other = await _place(session, shop.cart((0, 2), token="two"))
    assert other.id != first.id


async def test_a_token_is_its_customers_own(session: AsyncSession) -> None:
    shop = await _shop(session)
    first = await _place(session, shop.cart((0, 1)))
    customer = await factories.a_customer(session)
    address = await factories.an_address(session, customer)
    second = await _place(session, shop.cart((0, 1), customer_id=customer.id, address_id=address.id))
    assert second.id != first.id


async def test_the_seller_is_whose_customer_it_is(session: AsyncSession) -> None:
    shop = await _shop(session)
    holder = await factories.a_distributor(session, rank=1)
    session.add(
        models.Binding(
            customer_id=shop.customer.id,
            distributor_id=holder.id,
            during=Range(NOW - timedelta(days=1), NOW + timedelta(days=29)),
            protected_until=NOW + timedelta(days=6),
            policy="window",
        )
    )
    await session.flush()
    placed = await _place(session, shop.cart((0, 1)))
    order = await session.get_one(models.Order, (placed.branch_id, placed.id))
    assert (order.seller_id, order.branch_id, order.store_id) == (holder.id, holder.branch_id, shop.store.id)
    refused = (await session.scalars(select(models.RefusedTouch))).one()
    assert (refused.distributor_id, refused.store_id, refused.at) == (shop.seller.id, shop.store.id, NOW)


async def test_one_line_short_of_stock_and_nothing_is_done(session: AsyncSession) -> None:
    shop = await _shop(session, stocks=(5, 1, 100))
    before = await _rows(session)
    with pytest.raises(Refused) as refused:
        await _place(session, shop.cart((0, 5), (1, 2), (2, 1)))
    assert isinstance(refused.value.refusal, OutOfStock)
    assert [tuple(it) for it in refused.value.refusal.lines] == [(2, 1, 3000)]
    assert (await _rows(session), await _stock(session, shop)) == (before, [5, 1, 100])
    await _place(session, shop.cart((0, 5), (1, 1)))
    assert await _stock(session, shop) == [0, 0, 100]


@pytest.mark.parametrize("quantity", [0, -1, 10_001])
async def test_units_that_can_never_be_right(session: AsyncSession, quantity: int) -> None:
    shop = await _shop(session)
    with pytest.raises(Refused) as refused:
        await _place(session, shop.cart((0, quantity)))
    assert isinstance(refused.value.refusal, BadArgument)


async def test_what_is_not_on_offer_or_costs_another_price(session: AsyncSession) -> None:
    shop = await _shop(session)
    before = await _rows(session)
    elsewhere = await factories.a_variant(session)
    line = orders.CartLine(elsewhere.id, 1)
    with pytest.raises(Refused) as refused:
        await _place(session, shop.cart(lines=[line]))
    assert refused.value.refusal == NotOnOffer(
        "Line 1: the store does not sell it any more. Take it out.", (LineProblem(1, 0, 0),)
    )
    with pytest.raises(Refused) as refused:
        await _place(session, shop.cart(lines=[orders.CartLine(999_999, 1)]))
    assert isinstance(refused.value.refusal, NotOnOffer)
    seen = orders.CartLine(shop.variants[0].id, 1, unit_price=4980)
    with pytest.raises(Refused) as refused:
        await _place(session, shop.cart(lines=[seen]))
    assert isinstance(refused.value.refusal, PriceChanged)
    assert [tuple(it) for it in refused.value.refusal.lines] == [(1, 100, 4990)]
    assert await _rows(session) == before
    await _place(session, shop.cart(lines=[seen._replace(unit_price=4990)]))


async def test_a_closed_store_and_somebody_elses_address(session: AsyncSession) -> None:
    shop = await _shop(session)
    other = await factories.an_address(session, await factories.a_customer(session))
    before = await _rows(session)
    with pytest.raises(Refused) as refused:
        await _place(session, shop.cart((0, 1), address_id=other.id))
    assert isinstance(refused.value.refusal, NotFound)
    assert "address" in refused.value.refusal.message
    shop.store.state = "closed"
    await session.flush()
    with pytest.raises(Refused) as refused:
        await _place(session, shop.cart((0, 1)))
    assert isinstance(refused.value.refusal, NotFound)
    assert "store" in refused.value.refusal.message
    assert await _rows(session) == before


async def test_a_coupon_is_spread_by_cumulative_floor(session: AsyncSession) -> None:
    shop = await _shop(session)
    placed = await _place(session, shop.cart((0, 1), (1, 1), (2, 9), coupon=1000))
    # Of 7999: 1000 * 4990 // 7999 = 623, 1000 * 7990 // 7999 = 998, and all of it.
    assert (await _discounts(session, placed), placed.amount) == ([623, 375, 2], 6999)


@pytest.mark.parametrize("coupon", [0, 1, 2, 7, 3333, 7998, 7999, 8000, 10**12])
async def test_the_parts_of_a_coupon_add_up(session: AsyncSession, coupon: int) -> None:
    shop = await _shop(session)
    placed = await _place(session, shop.cart((2, 9), (0, 1), (1, 1), coupon=coupon))
    whole = min(coupon, 7999)
    upto = [whole * gross // 7999 for gross in (0, 9, 4999, 7999)]
    assert await _discounts(session, placed) == [after - before for before, after in pairwise(upto)]
    assert placed.amount == 7999 - whole


async def _discounts(session: AsyncSession, placed: orders.Placed) -> list[int]:
    of_order = (models.OrderLine.branch_id == placed.branch_id) & (models.OrderLine.order_id == placed.id)
    discounts = select(models.OrderLine.discount).where(of_order).order_by(models.OrderLine.line_no)
    return list((await session.scalars(discounts)).all())


async def test_an_order_that_costs_nothing_is_paid_at_once(session: AsyncSession) -> None:
    shop = await _shop(session)
    placed = await _place(session, shop.cart((2, 1), coupon=1))
    order = await session.get_one(models.Order, (placed.branch_id, placed.id))
    assert (placed.amount, order.state, order.paid_at) == (0, "paid", NOW)


async def test_what_is_cancelled_gives_its_stock_back_once(session: AsyncSession) -> None:
    shop = await _shop(session)
    first, second = [await _place(session, shop.cart((0, 2), (1, 1), token=token)) for token in ("a", "b")]
    assert await orders.pay(session, [(second.branch_id, second.id, NOW)], rail="import") == 1
    asked = [(it.branch_id, it.id, NOW + timedelta(minutes=1)) for it in (first, second)]
    assert await orders.cancel(session, asked) == ([first.branch_id], [first.id])
    assert await _stock(session, shop) == [98, 99, 100]
    assert await orders.cancel(session, asked) == ([], [])
    assert await orders.pay(session, [(first.branch_id, first.id, NOW)], rail="import") == 0
    assert await _stock(session, shop) == [98, 99, 100]
    order = await session.get_one(models.Order, (first.branch_id, first.id))
    assert (order.state, order.cancelled_at, order.due_at) == ("cancelled", NOW + timedelta(minutes=1), None)


async def _carts(session: AsyncSession, shop: Shop, *wanted: Sequence[tuple[int, int]]) -> list[orders.Cart]:
    """Of as many customers."""
    carts = []
    for lines in wanted:
        customer = await factories.a_customer(session)
        address = await factories.an_address(session, customer)
        carts.append(shop.cart(*lines, customer_id=customer.id, address_id=address.id))
    return carts


async def test_carts_together_come_each_to_what_it_comes_to_alone(session: AsyncSession) -> None:
    shop = await _shop(session, stocks=(100, 10, 100))
    good, more, short, dear, far, lost, gone, bad, again = await _carts(session, shop, *([[(0, 1), (2, 1)]] * 9))
    before = await _place(session, again)
    carts = [
        good,
        short._replace(lines=[orders.CartLine(shop.variants[1].id, 11)]),
        dear._replace(lines=[orders.CartLine(shop.variants[0].id, 1, 4989)]),
        far._replace(store_id=999_999),
        lost._replace(address_id=good.address_id),
        gone._replace(customer_id=999_999),
        bad._replace(token=""),
        again,
        more._replace(lines=[orders.CartLine(shop.variants[1].id, 10)]),
    ]
    outcomes = await orders.place(session, carts, policy=WINDOW, now=NOW)
    first, last = outcomes[0], outcomes[-1]
    assert isinstance(first, orders.Placed)
    assert isinstance(last, orders.Placed)
    assert (first.amount, last.amount) == (4991 + settings().freight, 30000)
    assert outcomes[1:-1] == [
        OutOfStock("Line 1: fewer are left than asked for. Take fewer.", (LineProblem(1, 10, 3000),)),
        PriceChanged("Line 1: the price has changed. Look at it again.", (LineProblem(1, 99, 4990),)),
        NotFound("There is no such open store."),
        NotFound("There is no such address of yours: save it first."),
        NotFound("There is no such customer: sign in again."),
        BadArgument("The token must be 1 to 64 printable characters."),
        before,
    ]
    assert await _stock(session, shop) == [98, 0, 98]
    assert await _rows(session) == {
        "orders": 3,
        "order_lines": 5,
        "supply_orders": 5,
        "order_addresses": 3,
        "claims": 6,
        "bindings": 3,
        "refused_touches": 0,
    }


async def test_of_carts_together_the_first_get_what_is_left(session: AsyncSession) -> None:
    """The second is too late for the first variant, so the third gets all of what the second wanted besides."""
    shop = await _shop(session, stocks=(3, 2, 100))
    carts = await _carts(session, shop, [(0, 2)], [(0, 2), (1, 1)], [(1, 2)], [(0, 1), (2, 1)], [(0, 1)])
    outcomes = await orders.place(session, carts, policy=WINDOW, now=NOW)
    assert [type(outcome) for outcome in outcomes] == [
        orders.Placed,
        OutOfStock,
        orders.Placed,
        orders.Placed,
        OutOfStock,
    ]
    assert outcomes[1] == OutOfStock("Line 1: fewer are left than asked for. Take fewer.", (LineProblem(1, 1, 4990),))
    assert await _stock(session, shop) == [0, 0, 99]


async def test_what_costs_nothing_is_paid_at_once_also_together(session: AsyncSession) -> None:
    shop = await _shop(session)
    free, cheap, also_free = await _carts(session, shop, [(0, 3)], [(2, 1)], [(1, 1)])
    carts = [free._replace(coupon=10**9), cheap, also_free._replace(coupon=3000)]
    outcomes = await orders.place(session, carts, policy=WINDOW, now=NOW)
    states = []
    for outcome in outcomes:
        assert isinstance(outcome, orders.Placed)
        order = await session.get_one(models.Order, (outcome.branch_id, outcome.id))
        states.append((outcome.amount, order.state))
    assert states == [(0, "paid"), (1, "placed"), (0, "paid")]


async def test_what_nobody_paid_for_expires(db: Database) -> None:
    async with db.write() as session:
        shop = await _shop(session)
        first, second = [await _place(session, shop.cart((it, 1), token=str(it))) for it in (0, 1)]
    late = NOW + timedelta(minutes=settings().pay_minutes)
    async with db.write() as session:
        assert await orders.expire(session, now=late - timedelta(seconds=1), limit=9) == ([], [])
    async with db.write() as holder, db.write() as session:
        assert await orders.expire(holder, now=late, limit=1) == ([first.branch_id], [first.id])
        # The first is in somebody's hands, and nobody waits for it.
        assert await orders.expire(session, now=late, limit=9) == ([second.branch_id], [second.id])


async def test_the_last_units_are_sold_once(db: Database) -> None:
    """100 buyers of one to three variants each, in any order, for 30 units of each."""
    async with db.write() as session:
        shop = await _shop(session, stocks=(30, 30, 30))
        buyers = [await factories.a_customer(session) for _ in range(100)]
        addresses = [await factories.an_address(session, buyer) for buyer in buyers]

    async def buy(number: int) -> Refusal | None:
        chosen = [[0], [1, 0], [2, 1, 0], [0, 2]][number % 4]
        cart = shop.cart(*((it, 1) for it in chosen), customer_id=buyers[number].id, address_id=addresses[number].id)
        try:
            async with db.write() as session:
                await _place(session, cart)
        except Refused as refused:
            return refused.refusal
        return None

    refusals = [refusal for refusal in await asyncio.gather(*map(buy, range(100))) if refusal is not None]
    assert {type(refusal) for refusal in refusals} == {OutOfStock}
    async with db.read() as session:
        left = await _stock(session, shop)
        rows = await session.execute(
            text("SELECT variant_id, sum(quantity)::bigint AS units FROM order_lines GROUP BY 1")
        )
        sold = {row.variant_id: row.units for row in rows}
        assert await session.scalar(text("SELECT count(*) FROM orders")) == 100 - len(refusals)
    assert [units + sold.get(it.id, 0) for units, it in zip(left, shop.variants, strict=True)] == [30, 30, 30]
    assert left[0] == 0, "everybody wants the first"
    assert sold[shop.variants[0].id] == 30
