"""Brands ship an order in parcels, the customer receives it, and it completes by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders
from s2b2c.config import settings
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from tests import factories

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
SHIPPED_AT = datetime(2026, 9, 2, 5, tzinfo=UTC)
DAY = timedelta(days=1)


class World:
    """A paid order: 3 of brand A's first variant and 2 of its second, 1 of brand B's."""

    def __init__(
        self, order: models.Order, variants: list[models.Variant], a: models.SupplyOrder, b: models.SupplyOrder
    ):
        self.order, self.variants, self.a, self.b = order, variants, a, b

    def parcel(self, number: str, **quantities: int) -> orders.Parcel:
        """Of brand A; a quantity is line1=2."""
        lines = {int(name.removeprefix("line")): units for name, units in quantities.items()}
        return orders.Parcel(self.a.branch_id, self.a.id, "顺丰", number, lines)


async def _paid(session: AsyncSession) -> World:
    await factories.a_plan(session, {"level_bps": [1200]})
    brand = await factories.a_brand(session)
    variants = [await factories.a_variant(session, brand=brand) for _ in range(2)] + [
        await factories.a_variant(session)
    ]
    store = await factories.a_store(session)
    order = await factories.an_order(
        session, store, *((variant, units, 4990, 0) for variant, units in zip(variants, (3, 2, 1), strict=True))
    )
    supply = []
    for brand_id in (brand.id, variants[2].brand_id):
        supply.append(models.SupplyOrder(branch_id=order.branch_id, order_id=order.id, brand_id=brand_id))
        session.add(supply[-1])
        await session.flush()
    assert await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import") == 1
    return World(order, variants, *supply)


async def _ship(session: AsyncSession, world: World, *parcels: orders.Parcel, now: datetime = SHIPPED_AT) -> int:
    return await orders.ship(session, parcels, brand_id=world.a.brand_id, now=now)


async def _ship_b(session: AsyncSession, world: World, *, now: datetime = SHIPPED_AT) -> int:
    parcel = orders.Parcel(world.b.branch_id, world.b.id, "圆通", "YT1")
    return await orders.ship(session, [parcel], brand_id=world.b.brand_id, now=now)


async def _state(session: AsyncSession, world: World) -> tuple[str, datetime | None, datetime | None]:
    await session.refresh(world.order)
    return world.order.state, world.order.shipped_at, world.order.due_at


async def _sent(session: AsyncSession) -> list[tuple[object, ...]]:
    rows = await session.execute(
        text(
            "SELECT p.tracking_no, l.line_no, c.quantity FROM shipments p "
            "JOIN shipment_lines c ON c.branch_id = p.branch_id AND c.shipment_id = p.id "
            "JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id ORDER BY p.id, l.line_no"
        )
    )
    return [tuple(row) for row in rows]


async def _refused(session: AsyncSession, world: World, *parcels: orders.Parcel) -> object:
    sent = await _sent(session)
    with pytest.raises(Refused) as refused:
        async with session.begin_nested():
            await _ship(session, world, *parcels)
    assert await _sent(session) == sent
    return refused.value.refusal


async def test_the_last_parcel_of_the_last_brand_ships_the_order(session: AsyncSession) -> None:
    world = await _paid(session)
    assert await _ship(session, world, world.parcel("SF1", line1=2)) == 1
    assert await _state(session, world) == ("paid", None, None)
    assert await _ship(session, world, world.parcel("SF2"), now=SHIPPED_AT + DAY) == 1
    assert await _sent(session) == [("SF1", 1, 2), ("SF2", 1, 1), ("SF2", 2, 2)]
    await session.refresh(world.a)
    assert (world.a.shipped_at, await _state(session, world)) == (SHIPPED_AT + DAY, ("paid", None, None))
    assert await _ship_b(session, world, now=SHIPPED_AT + 2 * DAY) == 1
    last = SHIPPED_AT + 2 * DAY
    assert await _state(session, world) == ("shipped", last, last + settings().receive_days * DAY)


async def test_a_parcel_told_again_changes_nothing(session: AsyncSession) -> None:
    world = await _paid(session)
    parcel = world.parcel("SF1", line1=2)
    assert [await _ship(session, world, parcel), await _ship(session, world, parcel)] == [1, 0]
    assert await _sent(session) == [("SF1", 1, 2)]
    await _ship(session, world, world.parcel("SF2"))
    assert await _ship(session, world, world.parcel("SF2")) == 0, "also when nothing is left to ship"


async def test_more_than_is_left_is_refused(session: AsyncSession) -> None:
    world = await _paid(session)
    await _ship(session, world, world.parcel("SF1", line1=2))
    for parcel in (world.parcel("SF2", line1=2), world.parcel("SF2", line1=1, line2=3), world.parcel("SF2", line3=1)):
        assert isinstance(await _refused(session, world, parcel), WrongState), "line 3 is another brand's"
    assert await _refused(session, world, world.parcel("SF2", line1=2)) == WrongState(
        "Parcel SF2: line 1 has 1 units left to ship, not 2."
    )


async def test_who_may_ship_and_what(session: AsyncSession) -> None:
    world = await _paid(session)
    theirs = orders.Parcel(world.b.branch_id, world.b.id, "顺丰", "SF1")
    assert isinstance(await _refused(session, world, theirs), NotFound)
    assert isinstance(await _refused(session, world, world.parcel("SF1", line1=0)), BadArgument)
    assert isinstance(await _refused(session, world, world.parcel("")), BadArgument)
    assert isinstance(await _refused(session, world, world.parcel("S\x00F")), BadArgument)
    assert isinstance(await _refused(session, world, world.parcel("SF1"), world.parcel("SF2")), BadArgument)
    assert isinstance(await _refused(session, world), BadArgument)


async def test_what_is_not_paid_is_not_shipped(session: AsyncSession) -> None:
    world = await _paid(session)
    unpaid = await factories.an_order(session, await factories.a_store(session), (world.variants[0], 1, 4990, 0))
    supply = models.SupplyOrder(branch_id=unpaid.branch_id, order_id=unpaid.id, brand_id=world.a.brand_id)
    session.add(supply)
    await session.flush()
    refusal = await _refused(session, world, orders.Parcel(supply.branch_id, supply.id, "顺丰", "SF1"))
    assert refusal == WrongState(f"Nothing of order {unpaid.order_no} waits to be shipped by you: it is placed.")


async def test_what_was_refunded_is_not_shipped(session: AsyncSession) -> None:
    world = await _paid(session)
    await _ship(session, world, world.parcel("SF1", line1=3))
    await _refund(session, world, orders.RefundedLine(2, quantity=1, goods_back=True), "one")
    assert isinstance(await _refused(session, world, world.parcel("SF2", line2=2)), WrongState)
    await _ship_b(session, world)
    assert (await _state(session, world))[0] == "paid", "one unit is left"
    await _refund(session, world, orders.RefundedLine(2, quantity=1, goods_back=True), "two")
    assert (await _state(session, world))[0] == "shipped", "nothing is left to ship"
    await session.refresh(world.a)
    assert world.a.shipped_at == SHIPPED_AT


async def test_an_order_that_was_refunded_whole_ships_nothing(session: AsyncSession) -> None:
    world = await _paid(session)
    for line_no in (1, 2, 3):
        await _refund(session, world, orders.RefundedLine(line_no, goods_back=True), f"all of {line_no}")
    assert (await _state(session, world))[0] == "paid"
    assert isinstance(await _refused(session, world, world.parcel("SF1")), WrongState)


async def _refund(session: AsyncSession, world: World, line: orders.RefundedLine, reference: str) -> None:
    refund = orders.Refund(world.order.branch_id, world.order.id, reference, SHIPPED_AT, [line])
    assert await orders.refund(session, [refund]) == 1


async def test_an_order_is_received_and_completes_by_itself(session: AsyncSession) -> None:
    world = await _paid(session)
    event = [(world.order.branch_id, world.order.id, SHIPPED_AT + DAY)]
    assert await orders.receive(session, event, complete_days=7) == 0, "it is not shipped"
    await _ship(session, world, world.parcel("SF1"))
    await _ship_b(session, world)
    assert [await orders.receive(session, event, complete_days=7) for _ in range(2)] == [1, 0]
    assert await _state(session, world) == ("received", SHIPPED_AT, SHIPPED_AT + 8 * DAY)
    early = SHIPPED_AT + 8 * DAY - timedelta(microseconds=1)
    assert await orders.complete_due(session, now=early, limit=9, hold_days=7) == 0
    assert await orders.complete_due(session, now=SHIPPED_AT + 9 * DAY, limit=9, hold_days=7) == 1
    await session.refresh(world.order)
    assert (world.order.state, world.order.received_at, world.order.completed_at, world.order.matures_at) == (
        "completed",
        SHIPPED_AT + DAY,
        SHIPPED_AT + 8 * DAY,
        SHIPPED_AT + 15 * DAY,
    )


async def test_what_nobody_says_has_arrived_is_received_by_itself(session: AsyncSession) -> None:
    world = await _paid(session)
    await _ship(session, world, world.parcel("SF1"))
    await _ship_b(session, world)
    due = SHIPPED_AT + settings().receive_days * DAY
    early = due - timedelta(microseconds=1)
    assert await orders.receive_due(session, now=early, limit=9, complete_days=7) == 0
    assert await orders.receive_due(session, now=due + DAY, limit=9, complete_days=7) == 1
    assert await _state(session, world) == ("received", SHIPPED_AT, due + 7 * DAY)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'cancelled'",
        "state = 'shipped'",
        "state = 'received', shipped_at = paid_at",
        "shipped_at = paid_at",
        "received_at = paid_at",
        "cancelled_at = paid_at",
        "due_at = paid_at",
        "freight = -1",
        "state = 'shipped', shipped_at = paid_at - interval '1 second'",
    ],
)
async def test_the_database_ties_a_state_to_its_times(session: AsyncSession, change: str) -> None:
    await _paid(session)
    with pytest.raises(IntegrityError, match="ck_orders_"):
        await session.execute(text(f"UPDATE orders SET {change}"))


async def test_a_step_never_lies_before_the_one_before_it(session: AsyncSession) -> None:
    world = await _paid(session)
    await _ship(session, world, world.parcel("SF1"), now=PAID_AT - DAY)
    await _ship_b(session, world, now=PAID_AT - DAY)
    assert (await _state(session, world))[1] == PAID_AT
    early = [(world.order.branch_id, world.order.id, PAID_AT - DAY)]
    assert await orders.receive(session, early, complete_days=7) == 1
    assert await orders.complete(session, early, hold_days=7) == 1
    await session.refresh(world.order)
    assert (world.order.received_at, world.order.completed_at) == (PAID_AT, PAID_AT)
    assert (await session.scalars(select(models.Shipment.shipped_at))).all() == [PAID_AT - DAY, PAID_AT - DAY]
