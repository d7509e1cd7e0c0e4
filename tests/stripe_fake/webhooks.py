"""Events on their way: signed as Stripe signs, at once or held back, in order or not, and again when they fail."""

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections import deque
from fnmatch import fnmatchcase
from typing import NamedTuple

import httpx

from tests.stripe_fake.schema import Json
from tests.stripe_fake.world import World

_TIMEOUT_S = 10
_AT_ONCE = 8
ORDERS = ("given", "reversed", "shuffled")


class Delivery(NamedTuple):
    """One event for one endpoint."""

    event: Json
    endpoint: str
    attempt: int = 1


class Attempt(NamedTuple):
    """What became of one try; the status is None when there was no answer."""

    event: str
    kind: str
    endpoint: str
    attempt: int
    status: int | None


def sign(payload: bytes, secret: str, at: int) -> str:
    """The value of the header Stripe-Signature; `at` in seconds since the epoch."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (at, payload), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Webhooks:
    """`put` may be called from any thread; all else happens in the loop of the server."""

    def __init__(self, world: World, retry_after_s: tuple[float, ...]) -> None:
        self.held = False
        self.attempts: list[Attempt] = []
        self._world = world
        self._retry_after_s = retry_after_s
        self._queue: deque[Delivery] = deque()
        self._under_way = 0
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._http: httpx.AsyncClient
        self._loop: asyncio.AbstractEventLoop | None = None

    def put(self, event: Json) -> None:
        deliveries = self._deliveries(event)
        event["pending_webhooks"] = len(deliveries)
        self._queue.extend(deliveries)
        self.wake()

    def wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def _deliveries(self, event: Json) -> list[Delivery]:
        platform = self._world.platform
        wanted = []
        for endpoint in platform.objects["webhook_endpoint"].values():
            connect = platform.aside[endpoint["id"]]["connect"]
            of_this_side = connect is None or connect == ("account" in event)
            if of_this_side and any(fnmatchcase(event["type"], kind) for kind in endpoint["enabled_events"]):
                wanted.append(Delivery(event, endpoint["id"]))
        return wanted

    async def run(self) -> None:
        """Delivers what is not held, a few at once as Stripe does, until it is canceled."""
        self._loop = asyncio.get_running_loop()
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as self._http, asyncio.TaskGroup() as lanes:
            for _ in range(_AT_ONCE):
                lanes.create_task(self._deliver_waiting())

    async def _deliver_waiting(self) -> None:
        while True:
            while self._queue and not self.held:
                await self._send(self._queue.popleft())
            await self._wake.wait()
            self._wake.clear()

    async def _send(self, delivery: Delivery) -> Attempt:
        self._under_way += 1
        event = delivery.event
        endpoint = self._world.platform.objects["webhook_endpoint"][delivery.endpoint]
        payload = json.dumps(event, indent=2, ensure_ascii=False).encode()
        secret = self._world.platform.aside[delivery.endpoint]["secret"]
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(payload, secret, int(time.time())),
            "User-Agent": "Stripe/1.0 (stand-in)",
        }
        try:
            status = (await self._http.post(endpoint["url"], content=payload, headers=headers)).status_code
        except (httpx.HTTPError, httpx.InvalidURL):
            status = None
        attempt = Attempt(event["id"], event["type"], endpoint["url"], delivery.attempt, status)
        self.attempts.append(attempt)
        if status is not None and 200 <= status < 300:
            event["pending_webhooks"] = max(event["pending_webhooks"] - 1, 0)
        elif delivery.attempt <= len(self._retry_after_s):
            self._later(delivery)
        self._under_way -= 1
        async with self._changed:
            self._changed.notify_all()
        return attempt

    def _later(self, delivery: Delivery) -> None:
        def again() -> None:
            self._under_way -= 1
            self._queue.append(delivery._replace(attempt=delivery.attempt + 1))
            self._wake.set()

        self._under_way += 1
        asyncio.get_running_loop().call_later(self._retry_after_s[delivery.attempt - 1], again)

    async def deliver(self, *, order: str, times: int, seed: int, together: bool) -> list[Attempt]:
        """Sends what is held, each event `times` times; `together`: without waiting for one before the next."""
        if order not in ORDERS:
            raise ValueError(f"{order} is none of {', '.join(ORDERS)}")
        held = [self._queue.popleft() for _ in range(len(self._queue))]
        batch = [delivery for delivery in held for _ in range(times)]
        if order == "reversed":
            batch.reverse()
        if order == "shuffled":
            random.Random(seed).shuffle(batch)
        return await self._send_all(batch, together=together)

    async def redeliver(self, event: Json, times: int) -> list[Attempt]:
        return await self._send_all(self._deliveries(event) * times, together=False)

    async def _send_all(self, batch: list[Delivery], *, together: bool) -> list[Attempt]:
        if together:
            return list(await asyncio.gather(*map(self._send, batch)))
        return [await self._send(delivery) for delivery in batch]

    async def settled(self) -> None:
        """Waits until nothing is on its way, tries after a failure included; what is held stays."""

        def quiet() -> bool:
            return not self._under_way and (self.held or not self._queue)

        self.wake()
        async with self._changed:
            await self._changed.wait_for(quiet)
