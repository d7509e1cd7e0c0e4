"""Units set aside: whatever is set, ordered, cancelled and moved, the pools are those of the rule told one by one."""

from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import config, models, orders
from s2b2c.errors import Refused
from tests.allotting import EAST, NORTH, NOW, Pools, World, a_world, place
from tests.properties.allotment_oracle import Shop, Taken, Whose
from tests.properties.worlds import SOAK

STOCKS = (12, 6)
STORES = (EAST, EAST, NORTH)
AT_FIRST: dict[tuple[int, Whose], int] = {(0, 0): 3, (0, EAST): 3, (0, NORTH): 2, (1, 0): 2, (1, EAST): 2}

variants = st.integers(0, len(STOCKS) - 1)
stores = st.integers(0, len(STORES) - 1)
regions = st.sampled_from([EAST, NORTH])
latest = st.sets(st.integers(0, 4), max_size=2)


class Round(NamedTuple):
    """One after the other: the brand sets units aside, carts come together, and some of the latest orders end."""

    moved: tuple[int, str] | None
    aside: dict[tuple[int, Whose], int]
    carts: list[tuple[int, dict[int, int]]]
    paid: set[int]
    """Counted back from the last one."""
    cancelled: set[int]


lines = st.dictionaries(variants, st.integers(1, 4), min_size=1)
rounds = st.builds(
    Round,
    moved=st.none() | st.tuples(stores, regions),
    aside=st.dictionaries(st.tuples(variants, st.sampled_from([0, 1, EAST, NORTH])), st.integers(0, 4), max_size=3),
    carts=st.lists(st.tuples(stores, lines), min_size=1, max_size=4),
    paid=latest,
    cancelled=latest,
)


@pytest.fixture
async def world(session: AsyncSession) -> World:
    """Made once for all examples."""
    return await a_world(session, *STOCKS, regions=STORES)


@settings(max_examples=1_000 if SOAK else 40)
@given(history=st.lists(rounds, min_size=2, max_size=6))
async def test_any_history(session: AsyncSession, world: World, history: list[Round]) -> None:
    async with session.begin_nested() as example:
        for store, region in zip(world.stores, STORES, strict=True):
            store.region = region
        await session.flush()
        told = Told(session, world)
        await told.set_aside(AT_FIRST)
        for one in history:
            if one.moved is not None:
                await told.move(*one.moved)
            await told.set_aside(one.aside)
            await told.order(one.carts)
            await told.pay(one.paid)
            await told.cancel(one.cancelled)
        await told.expire()
        await example.rollback()


class Told:
    """To the oracle and to us alike; whatever is told, both say the same."""

    def __init__(self, session: AsyncSession, world: World) -> None:
        self.session, self.world = session, world
        self.shop = Shop(list(STOCKS), list(STORES))
        self.placed: list[tuple[orders.Placed, list[Taken]]] = []
        self.open: set[int] = set()

    async def move(self, store: int, region: str) -> None:
        self.shop.regions[store] = self.world.stores[store].region = region
        await self.session.flush()

    async def set_aside(self, wanted: dict[tuple[int, Whose], int]) -> None:
        fits = self.shop.set(wanted)
        try:
            async with self.session.begin_nested():
                await self.world.set(self.session, *((*key, units) for key, units in wanted.items()))
        except Refused:
            assert not fits
        else:
            assert fits
        await self.compare()

    async def order(self, carts: list[tuple[int, dict[int, int]]]) -> None:
        asked = [await self.world.cart(self.session, store, *lines.items()) for store, lines in carts]
        for (store, lines), outcome in zip(carts, await place(self.session, *asked), strict=True):
            taken = self.shop.order(store, lines)
            assert isinstance(outcome, orders.Placed) == (taken is not None)
            if isinstance(outcome, orders.Placed) and taken is not None:
                self.open.add(len(self.placed))
                self.placed.append((outcome, taken))
        await self.compare()

    def latest(self, back: set[int]) -> set[int]:
        """The numbers of the orders that nobody paid for among these."""
        return self.open & {len(self.placed) - 1 - it for it in back}

    async def pay(self, back: set[int]) -> None:
        for number in self.latest(back):
            self.open.remove(number)
            paid, _ = self.placed[number]
            assert await orders.pay(self.session, [(paid.branch_id, paid.id, NOW)], rail="import") == 1

    async def cancel(self, back: set[int]) -> None:
        numbers = self.latest(back)
        asked = [(self.placed[number][0].branch_id, self.placed[number][0].id, NOW) for number in numbers]
        await self.gave_back(numbers, await orders.cancel(self.session, asked))

    async def expire(self) -> None:
        late = NOW + timedelta(minutes=config.settings().pay_minutes)
        await self.gave_back(set(self.open), await orders.expire(self.session, now=late, limit=1000))

    async def gave_back(self, numbers: set[int], cancelled: models.OrderBatch) -> None:
        assert sorted(cancelled.order_ids) == sorted(self.placed[number][0].id for number in numbers)
        for number in numbers:
            self.shop.give_back(self.placed[number][1])
        self.open -= numbers
        await self.compare()

    async def compare(self) -> None:
        for variant, aside in enumerate(self.shop.aside):
            stores = {whose: pool.quantity for whose, pool in aside.items() if isinstance(whose, int)}
            of_regions = {whose: pool.quantity for whose, pool in aside.items() if isinstance(whose, str)}
            stock = self.shop.free[variant] + sum(pool.quantity for pool in aside.values())
            assert await self.world.pools(self.session, variant) == Pools(stock, stores, of_regions)
