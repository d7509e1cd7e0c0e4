"""A process that does one thing with Stripe, and dies at a point of it: what a SIGKILL leaves is the test's to look at.

The points are built in from outside, around the methods of the gateway and the transactions; the product knows none.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Any, NamedTuple

import aiohttp
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import payments
from s2b2c.db import Database
from s2b2c.payments import Gateway

BEFORE, SENT, UNREAD, UNCOMMITTED, COMMITTED = POINTS = ("before", "sent", "unread", "uncommitted", "committed")
"""Of a call to Stripe: not made yet; made, and Stripe is silent (whoever started the process kills it then); done, with
nothing read of the answer; read, and not committed; committed."""

_PATIENCE_S = 60
_RETURN_URL, _REFRESH_URL = "https://shop.example/done", "https://shop.example/again"

Arguments = Mapping[str, Any]


class Deed(NamedTuple):
    """What the process does, by which method of the gateway, and Stripe's name of that."""

    do: Callable[..., Awaitable[object]]
    call: str
    operation: str


async def _open(db: Database, gateway: Gateway, branch_id: int, order_id: int, amount: int) -> None:
    async with db.write() as session:
        payment_id = await payments.open_payment(
            session, branch_id=branch_id, order_id=order_id, amount=amount, method="intent", now=datetime.now(UTC)
        )
    await payments.finish_opening(db, gateway, branch_id=branch_id, payment_id=payment_id)


async def _refund(db: Database, gateway: Gateway, branch_id: int, refund_id: int) -> None:
    await payments.send_refund(db, branch_id=branch_id, refund_id=refund_id, gateway=gateway)


async def _return(db: Database, gateway: Gateway, branch_id: int, payment_id: int) -> None:
    await payments.return_payment(db, branch_id=branch_id, payment_id=payment_id, gateway=gateway)


async def _onboard(db: Database, gateway: Gateway, brand_id: int) -> None:
    await payments.onboard(db, gateway, brand_id=brand_id, return_url=_RETURN_URL, refresh_url=_REFRESH_URL)


async def _transfer(db: Database, gateway: Gateway, account_id: str, amount: int, key: str) -> None:
    await gateway.create_transfer(account_id, amount=amount, metadata={"key": key}, key=key)
    async with db.write():
        pass  # whoever asks for it would note it here


DEEDS = {
    "charge": Deed(_open, "create_intent", "POST /v1/payment_intents"),
    "refund": Deed(_refund, "create_refund", "POST /v1/refunds"),
    "return": Deed(_return, "create_refund", "POST /v1/refunds"),
    "account": Deed(_onboard, "create_account", "POST /v1/accounts"),
    "transfer": Deed(_transfer, "create_transfer", "POST /v1/transfers"),
}


class _Mortal(Database):
    """Dies in, or right after, the first transaction that follows the call."""

    def __init__(self, url: str, point: str | None) -> None:
        super().__init__(url)
        self.point = point
        self.called = False

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        async with super().write() as session:
            yield session
            if self.called and self.point == UNCOMMITTED:
                _die()
        if self.called and self.point == COMMITTED:
            _die()


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(db: _Mortal, gateway: Gateway, call: str) -> None:
    method = getattr(gateway, call)

    async def mortal(*args: object, **more: object) -> Any:
        if db.point == BEFORE:
            _die()
        if db.point == UNREAD:  # the head of the answer is there, and nothing of the body is read
            aiohttp.ClientResponse.read = _die  # type: ignore[assignment, method-assign]  # it never returns
        done = await method(*args, **more)
        db.called = True
        return done

    setattr(gateway, call, mortal)


async def _act(url: str, base: str, key: str, name: str, arguments: Arguments, point: str | None) -> None:
    db, gateway, deed = _Mortal(url, point), Gateway(key, base), DEEDS[name]
    if point is not None:
        _arm(db, gateway, deed.call)
    try:
        await deed.do(db, gateway, **arguments)
    finally:
        await gateway.close()
        await db.close()


def _run(url: str, base: str, key: str, name: str, arguments: Arguments, point: str | None) -> None:
    asyncio.run(_act(url, base, key, name, arguments, point))


_processes = get_context("forkserver")
_processes.set_forkserver_preload(["s2b2c.payments"])


async def run(
    url: str,
    base: str,
    key: str,
    name: str,
    arguments: Arguments,
    *,
    point: str | None = None,
    until: Callable[[], bool] | None = None,
) -> int | None:
    """The exit code of a process of its own that does this, up to `point`; it is killed as soon as `until` says so."""
    process = _processes.Process(
        target=_run, args=(url, base, key, name, dict(arguments), point), name=f"{name} {point}"
    )
    process.start()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while process.is_alive():
                if until is not None and until():
                    process.kill()
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{process.name}: neither done nor dead after {_PATIENCE_S} s") from None
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
    return process.exitcode
