"""Commissions, clawbacks and the ledger against the oracle, to the fen: any network, plans, orders and refunds."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import orders
from s2b2c.db import Database
from tests.properties.order_oracle import Event, Order, Rows, balances
from tests.properties.worlds import ANEW, COMPLETED_AFTER, PAID_AFTER, SOAK, World, worlds
from tests.properties.written import differences, read, refund_of, write, write_orders

PARTS, CASES = (range(10), 20_000) if SOAK else (range(2), 1_000)
"""A case is an order with its lines, its chain, the rules of its plan and all its refunds: so many in each part."""
ORDERS = 45
"""In one world, at most."""


class Cases:
    """What was in the worlds of one part; the same case is counted once."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.counted: Counter[str] = Counter()

    def add(self, world: World) -> None:
        for order in world.orders:
            self.known.add(hash(repr((order.lines, order.upline, order.plan, order.events))))
        self.counted.update(features(world))


@pytest.fixture
def cases() -> Iterator[Cases]:
    """There must have been enough of them, and enough of everything."""
    cases = Cases()
    yield cases
    assert len(cases.known) >= CASES
    for what in ("levels", "fixed", "differential", "spread", "earned", "capped", "blocked", "compressed"):
        assert cases.counted[what] >= CASES // 40, what
    for what in ("refunded before payment", "refunded before completion", "refunded after it", "reversed"):
        assert cases.counted[what] >= CASES // 40, what


@pytest.mark.parametrize("part", PARTS)
@settings(max_examples=CASES // 37 + 10, backend=ANEW)
@given(world=worlds(most_orders=ORDERS))
async def test_equals_the_oracle(shared_db: Database, cases: Cases, part: int, world: World) -> None:
    expected = {key: value for order in world.orders for key, value in order.rows().items()}
    async with shared_db.write() as session:
        await lived(session, world)
        found = await read(session)
        await session.rollback()
    assert differences(expected, found) == {}
    money_adds_up(found)
    cases.add(world)


async def lived(session: AsyncSession, world: World) -> None:
    """All that happens to the orders of a world, each step for all of them at once; the last steps happen twice."""
    await write(session, world)
    await write_orders(session, world.orders)
    paid = [(order.branch, order.id, order.paid_at) for order in world.orders if order.paid_at]
    completed = [(order.branch, order.id, order.completed_at) for order in world.orders if order.completed_at]
    for number, happening in enumerate(world.rounds):
        if number == PAID_AFTER:
            assert await orders.pay(session, paid, rail="import") == len(paid)
        if number == COMPLETED_AFTER:
            assert await orders.complete(session, completed, hold_days=7) == len(completed)
        assert await _happens(session, happening) == len(happening)
    assert await orders.pay(session, paid, rail="import") == 0
    assert await orders.complete(session, completed, hold_days=7) == 0
    assert await _happens(session, world.rounds[-1]) == 0


async def _happens(session: AsyncSession, happening: list[tuple[Order, Event]]) -> int:
    refunds = [refund_of(order, event) for order, event in happening if event.asked]
    reversals = [(event.reference.removeprefix("-"), event.at) for _, event in happening if not event.asked]
    new = await orders.refund(session, refunds) if refunds else 0
    return new + (await orders.reverse_refunds(session, reversals) if reversals else 0)


def money_adds_up(found: Rows) -> None:
    """By the numbers of the database alone: no fen is lost, and of a share is taken share * refunded // paid."""
    taken: Counter[tuple[int, int, int]] = Counter()
    for key, value in found.items():
        if key[0] == "clawback":
            _, branch, line, _, position = key
            taken[branch, line, position] += value[0]
        elif key[0] == "line":
            paid, refunded, supply, commission, platform = value
            assert supply + commission + platform == paid - refunded
    for key, value in found.items():
        if key[0] == "commission":
            _, branch, line, position = key
            paid, refunded, *_ = found["line", branch, line]
            *_, share, _ = value
            assert taken[branch, line, position] == (share * refunded // paid if paid else 0)


def features(world: World) -> Iterator[str]:
    """What each case of a world is counted as."""
    for order in world.orders:
        shares = [share for state in order.states for share in state.shares]
        yield from {share.outcome for share in shares}
        for number in {share.rule for share in shares}:
            assert order.plan is not None
            yield order.plan.rules[number].scheme
            if order.plan.rules[number].compress and any(blocked(member.state) for member in order.upline[1:]):
                yield "compressed"
    for number, happening in enumerate(world.rounds):
        before = "payment" if number < PAID_AFTER else "completion" if number < COMPLETED_AFTER else None
        for order, event in happening:
            if order.completed_at is not None:
                refunded = f"refunded before {before}" if before else "refunded after it"
                yield refunded if event.asked else "reversed"


def blocked(state: str) -> bool:
    return state not in {"active", "watch"}


@settings(backend=ANEW)
@given(world=worlds(most_orders=8, twins=True))
async def test_the_order_of_arrival_makes_no_difference(shared_db: Database, world: World) -> None:
    """Twins get the same refunds, before and after their payment and completion, in two orders: they end alike."""
    async with shared_db.write() as session:
        await lived(session, world)
        found = await read(session)
        await session.rollback()
    for one, other in zip(world.orders[::2], world.orders[1::2], strict=True):
        assert end_of(one, found) == end_of(other, found)


def end_of(order: Order, found: Rows) -> object:
    """What there is in the end of an order: its lines, what was taken of each share, and the ledger."""
    lines = [found["line", order.branch, line_id] for line_id in order.line_ids]
    taken: Counter[tuple[int, int]] = Counter()
    transfers: Rows = {}
    for key, value in found.items():
        if key[0] == "clawback" and key[1] == order.branch and key[2] in order.line_ids:
            taken[order.line_ids.index(key[2]), key[4]] += value[0]
        elif key[0] == "transfer" and key[1] == order.branch and key[2] in {f"order {order.id}", *order.events}:
            transfers[key] = value
    return lines, taken, balances(transfers)
