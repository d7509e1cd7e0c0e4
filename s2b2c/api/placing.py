"""The orders that several customers place at the same time, in one transaction: two round trips for all of them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from s2b2c import network, orders
from s2b2c.db import Database
from s2b2c.errors import Refusal, Refused
from s2b2c.failures import is_database_away

LANES = 2
"""Transactions under way at once; what comes meanwhile goes with the next one."""
LINES_AT_ONCE = 200
"""Of all carts of a transaction: their lines are held against one another."""

_Waiting = tuple[orders.Cart, asyncio.Future[orders.Placed | Refusal]]


class Placing:
    """Places carts together as far as none waits for that. It takes one for each process."""

    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._lanes: set[asyncio.Task[None]] = set()

    async def place(self, cart: orders.Cart) -> orders.Placed:
        """As `orders.place`. Who does not wait for it any more may find the order placed all the same.

        Raises Refused.
        """
        future: asyncio.Future[orders.Placed | Refusal] = asyncio.get_running_loop().create_future()
        self._waiting.append((cart, future))
        if len(self._lanes) < LANES:
            self._lanes.add(asyncio.create_task(self._run()))
        outcome = await future
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        return outcome

    async def _run(self) -> None:
        lane = asyncio.current_task()
        assert lane is not None
        while batch := self._next():
            await self._place(batch)
        self._lanes.remove(lane)  # at once: whoever comes from now on starts another one

    def _next(self) -> Sequence[_Waiting]:
        """Those who have waited longest, of each customer one cart."""
        batch: dict[int, _Waiting] = {}
        lines = 0
        for waiting in self._waiting:
            lines += len(waiting[0].lines)
            if lines <= LINES_AT_ONCE or not batch:
                batch.setdefault(waiting[0].customer_id, waiting)
        self._waiting = [it for it in self._waiting if batch.get(it[0].customer_id) is not it]
        return list(batch.values())

    async def _place(self, batch: Sequence[_Waiting]) -> None:
        carts = [cart for cart, _ in batch]
        try:
            async with self._db.write() as session:
                policy = network.Policy.of_settings()
                outcomes = await orders.place(session, carts, policy=policy, now=self._clock())
        except Exception as error:  # noqa: BLE001  whatever it is, it is for those who wait
            await self._fail(batch, error)
        else:
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)

    async def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Nobody fails for what another one brought."""
        for waiting in batch:
            if len(batch) > 1 and not is_database_away(error):
                await self._place([waiting])
            elif not waiting[1].done():
                waiting[1].set_exception(error)
