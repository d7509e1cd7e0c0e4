"""Units set aside for regions and stores: who may sell which, and that nobody sells one twice."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, commissions, models, orders, stores
from s2b2c.catalogue import AllotmentsPage, Aside
from s2b2c.config import settings
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, OutOfStock, Refusal, Refused, WrongState
from tests import factories
from tests.allotting import EAST, NORTH, NOW, WINDOW, Pools, World, a_world, place, sources
from tests.databases import as_owner
from tests.test_worker import until


async def _buy(session: AsyncSession, world: World, store: int, *lines: tuple[int, int]) -> orders.Placed | int:
    (outcome,) = await place(session, await world.cart(session, store, *lines))
    return outcome


async def _bought(session: AsyncSession, world: World, store: int, *lines: tuple[int, int]) -> orders.Placed:
    placed = await _buy(session, world, store, *lines)
    assert isinstance(placed, orders.Placed)
    return placed


async def test_an_order_takes_its_stores_units_first_then_its_regions_then_free_ones(session: AsyncSession) -> None:
    world = await a_world(session, 20)
    await world.set(session, (0, 0, 3), (0, EAST, 5), (0, NORTH, 4))
    assert await world.pools(session) == Pools(20, {0: 3}, {EAST: 5, NORTH: 4})  # 8 are free
    first = await _bought(session, world, 0, (0, 2))
    assert (await world.pools(session), await sources(session, first)) == (
        Pools(18, {0: 1}, {EAST: 5, NORTH: 4}),
        [(1, 2)],
    )
    second = await _bought(session, world, 0, (0, 4))
    assert (await world.pools(session), await sources(session, second)) == (
        Pools(14, {0: 0}, {EAST: 2, NORTH: 4}),
        [(1, 1), (1, 3)],
    )
    third = await _bought(session, world, 0, (0, 7))
    assert (await world.pools(session), await sources(session, third)) == (
        Pools(7, {0: 0}, {EAST: 0, NORTH: 4}),
        [(1, 2)],
    )
    fourth = await _bought(session, world, 1, (0, 3))
    assert (await world.pools(session), await sources(session, fourth)) == (
        Pools(4, {0: 0}, {EAST: 0, NORTH: 4}),
        [],
    )
    assert await _buy(session, world, 0, (0, 1)) == 0, "what is left is the north's"
    assert await _buy(session, world, 2, (0, 5)) == 4
    assert await world.pools(session) == Pools(4, {0: 0}, {EAST: 0, NORTH: 4})
    await _bought(session, world, 2, (0, 4))
    assert await world.pools(session) == Pools(0, {0: 0}, {EAST: 0, NORTH: 0})


async def test_one_short_line_and_nothing_is_taken_of_any_pool(session: AsyncSession) -> None:
    world = await a_world(session, 10, 10)
    await world.set(session, (0, 0, 3), (1, NORTH, 8))
    before = [await world.pools(session, number) for number in (0, 1)]
    assert await _buy(session, world, 0, (0, 4), (1, 3)) == 2
    assert [await world.pools(session, number) for number in (0, 1)] == before
    assert await session.scalar(text("SELECT count(*) FROM orders")) == 0


async def test_carts_together_come_to_what_they_come_to_one_by_one(session: AsyncSession) -> None:
    world = await a_world(session, 10, 4, 100)
    await world.set(session, (0, 0, 3), (0, EAST, 2), (1, 1, 2))  # 5 and 2 are free
    asked: list[tuple[int, list[tuple[int, int]]]] = [
        (0, [(0, 2), (2, 1)]),  # 2 own
        (1, [(0, 3), (1, 1)]),  # the region's 2 and a free one; its own 1
        (0, [(0, 6)]),  # 1 own, 4 free: one too many
        (2, [(1, 3)]),  # 2 are free
        (0, [(0, 5), (1, 2)]),  # 1 own and 4 free, 2 free
        (2, [(2, 1)]),
        (1, [(1, 1), (0, 1)]),  # its own last one, but nothing is left of the other
        (1, [(1, 1)]),
    ]
    carts = [await world.cart(session, store, *lines) for store, lines in asked]
    outcomes = await place(session, *carts)
    placed = [it if isinstance(it, int) else await sources(session, it) for it in outcomes]
    assert placed == [[(1, 2)], [(1, 2), (2, 1)], 5, 2, [(1, 1)], [], 0, [(1, 1)]]
    assert await world.pools(session, 0) == Pools(0, {0: 0}, {EAST: 0})
    assert await world.pools(session, 1) == Pools(0, {1: 0}, {})
    assert await world.pools(session, 2) == Pools(98, {}, {})


async def test_a_cart_that_is_too_late_takes_nothing_from_those_behind_it(session: AsyncSession) -> None:
    """The second finds nothing of the other variant any more, so its store's two units are the third's."""
    world = await a_world(session, 6, 5)
    await world.set(session, (0, 0, 2), (1, NORTH, 1))
    carts = [
        await world.cart(session, 2, (1, 5)),
        await world.cart(session, 0, (0, 2), (1, 1)),
        await world.cart(session, 0, (0, 2)),
    ]
    _, late, last = await place(session, *carts)
    assert late == 0
    assert isinstance(last, orders.Placed)
    assert await sources(session, last) == [(1, 2)]
    assert await world.pools(session) == Pools(4, {0: 0}, {})


async def test_what_nobody_paid_for_goes_back_to_where_it_came_from(session: AsyncSession) -> None:
    world = await a_world(session, 20)
    await world.set(session, (0, 0, 3), (0, EAST, 5))
    placed = [await _bought(session, world, 0, (0, 5)), await _bought(session, world, 0, (0, 6))]
    assert await world.pools(session) == Pools(9, {0: 0}, {EAST: 0})
    first, second = [(it.branch_id, it.id, NOW) for it in placed]
    await orders.cancel(session, [second])
    assert await world.pools(session) == Pools(15, {0: 0}, {EAST: 3})
    await orders.cancel(session, [second])
    late = NOW + timedelta(minutes=settings().pay_minutes)
    assert await orders.expire(session, now=late, limit=9) == ([first[0]], [first[1]])
    assert await world.pools(session) == Pools(20, {0: 3}, {EAST: 5})


async def test_of_several_orders_at_once_each_gives_back(session: AsyncSession) -> None:
    world = await a_world(session, 20, 20)
    await world.set(session, (0, 0, 4), (0, EAST, 4), (1, NORTH, 4))
    carts = [await world.cart(session, store, (0, 3), (1, 1)) for store in (0, 0, 1, 2)]
    placed = [it for it in await place(session, *carts) if isinstance(it, orders.Placed)]
    assert await world.pools(session, 0) == Pools(8, {0: 0}, {EAST: 0})
    await orders.cancel(session, [(it.branch_id, it.id, NOW) for it in placed])
    assert await world.pools(session, 0) == Pools(20, {0: 4}, {EAST: 4})
    assert await world.pools(session, 1) == Pools(20, {}, {NORTH: 4})


async def test_what_is_paid_and_refunded_gives_nothing_back(session: AsyncSession) -> None:
    """As without allotments: refunded goods are not for sale again until the brand says so."""
    world = await a_world(session, 20)
    await world.set(session, (0, 0, 3))
    placed = await _bought(session, world, 0, (0, 2))
    key = (placed.branch_id, placed.id, NOW)
    assert await orders.pay(session, [key], rail="import") == 1
    assert await orders.cancel(session, [key]) == ([], [])
    back = orders.RefundedLine(1, goods_back=True)
    assert await orders.refund(session, [orders.Refund(*key[:2], "back", NOW, [back])]) == 1
    assert await world.pools(session) == Pools(18, {0: 1}, {})
    assert await sources(session, placed) == [(1, 2)], "where they came from stays on record"


@pytest.mark.parametrize(("quantity", "left"), [(0, {}), (7, {0: 7}), (2, {0: 2})])
async def test_what_comes_back_to_a_changed_allotment_is_free(
    session: AsyncSession, quantity: int, left: dict[int, int]
) -> None:
    """Also when it is changed back."""
    world = await a_world(session, 20)
    await world.set(session, (0, 0, 3), (0, EAST, 1))
    placed = await _bought(session, world, 0, (0, 4))
    await world.set(session, (0, 0, 5))
    await world.set(session, (0, 0, quantity))
    await orders.cancel(session, [(placed.branch_id, placed.id, NOW)])
    assert await world.pools(session) == Pools(20, left, {EAST: 1})


async def test_the_same_number_again_changes_nothing(session: AsyncSession) -> None:
    world = await a_world(session, 20)
    await world.set(session, (0, 0, 3), (0, EAST, 2))
    rows = text("SELECT id, quantity, updated_at FROM allotments ORDER BY id")
    before = (await session.execute(rows)).all()
    await world.set(session, (0, 0, 3), (0, EAST, 2), now=NOW + timedelta(days=1))
    assert (await session.execute(rows)).all() == before
    placed = await _bought(session, world, 0, (0, 2))
    await world.set(session, (0, 0, 1), (0, NORTH, 0))
    await orders.cancel(session, [(placed.branch_id, placed.id, NOW)])
    assert await world.pools(session) == Pools(20, {0: 3}, {EAST: 2})


async def test_a_store_that_moves_keeps_its_own_and_sells_its_new_regions(session: AsyncSession) -> None:
    world = await a_world(session, 12)
    await world.set(session, (0, 0, 3), (0, EAST, 4), (0, NORTH, 5))
    placed = await _bought(session, world, 0, (0, 5))  # 3 own, 2 of the east
    world.stores[0].region = NORTH
    await session.flush()
    assert await _buy(session, world, 0, (0, 6)) == 5
    await orders.cancel(session, [(placed.branch_id, placed.id, NOW)])
    assert await world.pools(session) == Pools(12, {0: 3}, {EAST: 4, NORTH: 5}), "the east gets its own back"
    await _bought(session, world, 0, (0, 8))
    assert await world.pools(session) == Pools(4, {0: 0}, {EAST: 4, NORTH: 0})


async def test_what_stores_show_is_what_they_can_sell(session: AsyncSession) -> None:
    world = await a_world(session, 5, 5)
    await world.set(session, (0, 0, 2), (0, NORTH, 3))
    product = world.variants[0].product_id
    for store, left in ((0, 2), (1, 0), (2, 3)):
        cart = [orders.CartLine(world.variants[number].id, 3) for number in (0, 1)]
        quote = await orders.quote(session, world.stores[store].id, cart, customer_id=None, now=NOW)
        assert quote is not None
        assert [(it.in_stock, it.problem) for it in quote.lines] == [
            (left, None if left >= 3 else "out of stock"),
            (5, None),
        ]
        shown = await stores.variants(session, [(world.stores[store].id, product)])
        assert [it.in_stock for it in shown[world.stores[store].id, product]] == [left > 0]
        offers = await commissions.quote(session, world.stores[store].distributor_id, [(product, None)], NOW)
        assert [it.in_stock for it in offers[product, None]] == [left > 0]
    # Who has another store in the north can sell there.
    owner = await session.get_one(models.Distributor, world.stores[1].distributor_id)
    (await factories.a_store(session, owner)).region = NORTH
    await session.flush()
    offers = await commissions.quote(session, owner.id, [(product, None)], NOW)
    assert [it.in_stock for it in offers[product, None]] == [True]


async def _refused(session: AsyncSession, world: World, *asides: Aside) -> Refusal:
    """Why; and nothing has changed."""
    rows = text("SELECT id, quantity FROM allotments ORDER BY id")
    before = (await session.execute(rows)).all(), await world.pools(session), await world.pools(session, 1)
    with pytest.raises(Refused) as refused:
        await catalogue.set_allotments(session, world.brand_id, asides, account_id=world.account_id, now=NOW)
    after = (await session.execute(rows)).all(), await world.pools(session), await world.pools(session, 1)
    assert after == before
    return refused.value.refusal


async def test_no_more_is_set_aside_than_there_is(session: AsyncSession) -> None:
    world = await a_world(session, 10, 10)
    await world.set(session, (0, 0, 4), (0, EAST, 4))
    sku = world.variants[0].sku
    refusal = await _refused(session, world, world.aside(1, 0, 10), world.aside(0, NORTH, 3))
    assert refusal == WrongState(
        f"Allotment 2, SKU {sku}: 11 units would be set aside, and 10 are left. Set fewer aside."
    )
    refusal = await _refused(session, world, world.aside(0, EAST, 0), world.aside(0, 0, 8), world.aside(0, NORTH, 3))
    assert isinstance(refusal, WrongState)
    await world.set(session, (0, NORTH, 3), (0, 0, 3))
    assert await world.pools(session) == Pools(10, {0: 3}, {EAST: 4, NORTH: 3})
    await world.set(session, (0, EAST, 0), (0, 0, 7), (0, NORTH, 3))
    assert await world.pools(session) == Pools(10, {0: 7}, {NORTH: 3})


async def test_what_cannot_be_set_aside(session: AsyncSession) -> None:
    world = await a_world(session, 10, 10)
    good = world.aside(0, EAST, 1)
    for bad, kind, words in (
        (good._replace(store_id=world.stores[0].id), BadArgument, "Allotment 2: name a region or a store"),
        (good._replace(region=None), BadArgument, "Allotment 2: name a region or a store"),
        (good._replace(region=NORTH, quantity=-1), BadArgument, "Allotment 2: -1 units; it is 0 to 1000000000."),
        (good._replace(region=NORTH, quantity=10**9 + 1), BadArgument, "Allotment 2: 1000000001 units"),
        (good._replace(region=""), BadArgument, "Allotment 2: a region is 1 to 200 printable"),
        (good._replace(region="北" * 201), BadArgument, "Allotment 2: a region is 1 to 200 printable"),
        (good._replace(region="华\x00东"), BadArgument, "Allotment 2: a region is 1 to 200 printable"),
        (good._replace(region="华\ud800东"), BadArgument, "Allotment 2: a region is 1 to 200 printable"),
        (good, BadArgument, "A variant is set aside twice for the same region or store"),
        (good._replace(region="华冬"), BadArgument, "no store and no distributor is in the region 华冬."),
        (good._replace(variant_id=10**9), NotFound, "Allotment 2: there is no such variant of yours."),
        (world.aside(0, 0, 1)._replace(store_id=10**9), NotFound, "there is no such open store."),
        (world.aside(0, 0, 0)._replace(store_id=10**9), NotFound, "there is no such open store."),
    ):
        refusal = await _refused(session, world, good, bad)
        assert (type(refusal), words in refusal.message) == (kind, True), refusal


async def test_another_brands_variant_is_none(session: AsyncSession) -> None:
    world = await a_world(session, 10, 10)
    other = await factories.a_variant(session)
    refusal = await _refused(session, world, Aside(other.id, None, EAST, 1))
    assert refusal == NotFound("Allotment 1: there is no such variant of yours.")


async def test_a_region_of_a_distributor_alone_is_one(session: AsyncSession) -> None:
    world = await a_world(session, 10)
    await world.set(session, (0, "总部", 4))
    assert await world.pools(session) == Pools(10, {}, {"总部": 4})
    assert await _buy(session, world, 0, (0, 7)) == 6


async def test_of_a_closed_store_it_can_only_be_taken_away(session: AsyncSession) -> None:
    world = await a_world(session, 10, 10)
    await world.set(session, (0, 0, 4), (1, 0, 1))
    world.stores[0].state = "closed"
    await session.flush()
    assert isinstance(await _refused(session, world, world.aside(0, 0, 3)), NotFound)
    await world.set(session, (0, 0, 0))
    assert await world.pools(session) == Pools(10, {}, {})


async def test_a_page_of_what_is_set_aside(session: AsyncSession) -> None:
    world = await a_world(session, 10, 10, 10)
    await world.set(session, (0, 0, 4), (0, EAST, 1), (0, NORTH, 2), (1, 2, 5))
    ids = [world.variants[number].id for number in (0, 1, 2)]
    first, other, none = await catalogue.allotments(session, [AllotmentsPage(it, 0, 2) for it in ids])
    assert [(it.store and it.store.id, it.region, it.quantity) for it in first] == [
        (world.stores[0].id, None, 4),
        (None, EAST, 1),
    ]
    assert [(it.store and it.store.slug, it.updated_at) for it in other] == [(world.stores[2].slug, NOW)]
    assert none == []
    ((last,),) = await catalogue.allotments(session, [AllotmentsPage(ids[0], first[-1].id, 2)])
    assert (last.region, last.quantity) == (NORTH, 2)


async def test_the_stock_of_a_variant_never_falls_below_what_is_set_aside(session: AsyncSession) -> None:
    world = await a_world(session, 10)
    await world.set(session, (0, 0, 4))
    with pytest.raises(IntegrityError, match="ck_variants_allotted"):
        await session.execute(text("UPDATE variants SET stock = 3 WHERE allotted = 4"))


async def _units_sold(session: AsyncSession) -> dict[tuple[int, int | None, str | None], int]:
    """By the store that sold them and the allotment they came from."""
    rows = await session.execute(
        text("""
            SELECT o.store_id, a.store_id, a.region, sum(p.quantity)::bigint
            FROM line_allotments p JOIN allotments a ON a.id = p.allotment_id
            JOIN orders o ON o.branch_id = p.branch_id AND o.id = p.order_id
            WHERE o.state <> 'cancelled' GROUP BY 1, 2, 3
        """)
    )
    return {(seller, store_id, region): units for seller, store_id, region, units in rows}


async def test_the_last_units_of_every_pool_are_sold_once(db: Database) -> None:
    """120 buyers, 40 in each of three stores, alone and together, for 60 units; some think better of it."""
    async with db.write() as session:
        world = await a_world(session, 60)
        await world.set(session, (0, 0, 10), (0, EAST, 15), (0, NORTH, 10))
        carts = [await world.cart(session, number % 3, (0, 1)) for number in range(120)]
    ordered: list[orders.Placed] = []

    async def buy(some: Sequence[orders.Cart]) -> None:
        async with db.write() as session:
            ordered.extend(it for it in await place(session, *some) if isinstance(it, orders.Placed))

    async def think_better() -> None:
        await asyncio.sleep(0)
        async with db.write() as session:
            await orders.cancel(session, [(it.branch_id, it.id, NOW) for it in ordered[-3:]])

    await asyncio.gather(
        *(buy(carts[n : n + 6]) for n in range(0, 60, 6)),
        *(buy([cart]) for cart in carts[60:]),
        *(think_better() for _ in range(5)),
    )
    async with db.write() as session:
        more = [await world.cart(session, number % 3, (0, 1)) for number in range(120)]
    await asyncio.gather(*(buy(more[n : n + 7]) for n in range(0, 120, 7)))
    async with db.read() as session:
        assert await world.pools(session) == Pools(0, {0: 0}, {EAST: 0, NORTH: 0})
        sold = await _units_sold(session)
        live = "SELECT count(*) FROM orders WHERE state = 'placed'"
        assert await session.scalar(text(live)) == 60
    own, second, north = (store.id for store in world.stores)
    assert sold[own, own, None] == 10
    assert sold.get((own, None, EAST), 0) + sold.get((second, None, EAST), 0) == 15
    assert sold[north, None, NORTH] == 10
    assert sum(sold.values()) == 35


async def test_who_waits_for_the_stock_sees_what_was_set_aside_meanwhile(db: Database, database_url: str) -> None:
    """Of ten, four are left to the east; then all ten are of the store that waits for them."""
    async with db.write() as session:
        world = await a_world(session, 10)
        first, second = [await world.cart(session, *wanted) for wanted in ((1, (0, 5)), (0, (0, 10)))]

    async def buy_while(cart: orders.Cart, *asides: tuple[int, int | str, int]) -> orders.Placed | Refusal:
        async def buy() -> orders.Placed | Refusal:
            async with db.write() as other:
                (outcome,) = await orders.place(other, [cart], policy=WINDOW, now=NOW)
            return outcome

        async with db.write() as session:
            await world.set(session, *asides)
            waiting = asyncio.create_task(buy())
            await until(lambda: _is_waiting(database_url))
        return await waiting

    refusal = await buy_while(first, (0, NORTH, 6))
    assert isinstance(refusal, OutOfStock)
    assert [it.in_stock for it in refusal.lines] == [4]
    assert isinstance(await buy_while(second, (0, NORTH, 0), (0, 0, 10)), orders.Placed)
    async with db.read() as session:
        assert await world.pools(session) == Pools(0, {0: 0}, {})


async def _is_waiting(database_url: str) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return await as_owner(database_url, waiting) == [(1,)]


@pytest.mark.parametrize("quantity", [0, 5])
async def test_who_gives_back_waits_for_who_sets_aside(db: Database, database_url: str, quantity: int) -> None:
    """And what comes back to an allotment that was changed meanwhile is free."""
    async with db.write() as session:
        world = await a_world(session, 10)
        await world.set(session, (0, 0, 3))
        placed = await _bought(session, world, 0, (0, 4))

    async def cancel() -> None:
        async with db.write() as other:
            await orders.cancel(other, [(placed.branch_id, placed.id, NOW)])

    async with db.write() as session:
        await world.set(session, (0, 0, quantity))
        waiting = asyncio.create_task(cancel())
        await until(lambda: _is_waiting(database_url))
    await waiting
    async with db.read() as session:
        assert await world.pools(session) == Pools(10, {0: quantity} if quantity else {}, {})


async def test_what_is_set_aside_waits_for_orders(db: Database, database_url: str) -> None:
    async with db.write() as session:
        world = await a_world(session, 10)
        cart = await world.cart(session, 0, (0, 6))

    async def set_aside() -> Refusal | None:
        try:
            async with db.write() as other:
                await world.set(other, (0, EAST, 5))
        except Refused as refused:
            return refused.refusal
        return None

    async with db.write() as session:
        await place(session, cart)
        waiting = asyncio.create_task(set_aside())
        await until(lambda: _is_waiting(database_url))
    refusal = await waiting
    assert refusal is not None
    assert "5 units would be set aside, and 4 are left" in refusal.message
    async with db.read() as session:
        assert await world.pools(session) == Pools(4, {}, {})


async def test_nothing_is_looked_up_where_nothing_is_set_aside(session: AsyncSession) -> None:
    """`sellable` is inlined: the plan of a shelf calls `set_aside` alone, and that only behind its condition."""
    await a_world(session, 10)
    sellable = func.sellable(models.Variant.stock, models.Variant.allotted, models.Variant.id, 1)
    explained = await session.execute(
        text("EXPLAIN VERBOSE " + str(select(sellable).compile(compile_kwargs={"literal_binds": True})))
    )
    plan = "\n".join(explained.scalars())
    assert "sellable(" not in plan
    assert "CASE WHEN (allotted = 0) THEN stock ELSE" in plan.replace("variants.", "")
