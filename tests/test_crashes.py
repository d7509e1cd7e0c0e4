"""Killed around a call to Stripe, killed under load, its database killed: what was asked for happens once, and counts."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select, text

from s2b2c import ledger, models, orders, payments, stripe_events
from s2b2c.audit import audit
from s2b2c.db import Database, migrate
from tests import paying, storm
from tests.bench.world import Shape, found, place, recruit
from tests.crash import BEFORE, COMMITTED, DEEDS, POINTS, SENT, Arguments, run
from tests.rush import rush
from tests.stripe_fake import Fake, running

COST, BACK = 9_899, 3_300
"""Of an order, and what a refund of it sends back, in fen."""

Row = dict[str, Any]


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with running(Fake(seed=1)) as fake:
        yield fake


@pytest.fixture
async def gateway(fake: Fake) -> AsyncIterator[payments.Gateway]:
    gateway = paying.gateway_to(fake)
    yield gateway
    await gateway.close()


class Town(NamedTuple):
    db: Database
    url: str
    gateway: payments.Gateway
    fake: Fake

    async def run(self, name: str, arguments: Arguments, **more: Any) -> int | None:
        return await run(self.url, self.fake.url, self.fake.settings.api_key, name, arguments, **more)

    def asked(self, name: str) -> int:
        """How often Stripe was asked for this."""
        return sum(it.template == DEEDS[name].operation for it in self.fake.requests)

    async def hear(self) -> None:
        """Told of everything that has happened at Stripe."""
        for event in paying.all_events(self.fake):
            await paying.accepted(self.db, self.fake, event)
        while True:
            async with self.db.write() as session:
                if not await stripe_events.handle_waiting(session, now=datetime.now(UTC), limit=99):
                    return

    async def balances(self) -> dict[str, int]:
        """Of every kind of account, where it is not 0."""
        async with self.db.snapshot() as session:
            assert await audit(session) == []
            rows = await ledger.accounts(session, kind=None, after=None, limit=99)
        return {row.kind: row.balance for row in rows if row.balance}

    def moved(self) -> int:
        """What is left of what customers have paid, by Stripe's own book."""
        kinds = {"charge", "refund"}
        return sum(row["amount"] for row in self.fake.rows("balance_transaction") if row["type"] in kinds)


async def a_network(db: Database) -> None:
    async with db.write() as session:
        await found(session, brands=len(POINTS), products_each=1)
        await recruit(session, Shape(1, 1, 1))


@pytest.fixture
async def town(db: Database, database_url: str, gateway: payments.Gateway, fake: Fake) -> Town:
    await a_network(db)
    return Town(db, database_url, gateway, fake)


async def an_order(town: Town, _: int = 0) -> Row:
    async with town.db.write() as session:
        ((branch_id, order_id, _at),) = await place(session, 1)
    return {"branch_id": branch_id, "order_id": order_id, "amount": COST}


async def a_payment(town: Town, *, is_late: bool = False) -> tuple[paying.Placed, int]:
    """One that has succeeded, and of which we were told; too late where its order was cancelled before."""
    arguments = await an_order(town)
    order = paying.Placed(arguments["branch_id"], arguments["order_id"])
    payment_id = await paying.opening(town.db, order, amount=COST)
    await payments.finish_opening(town.db, town.gateway, branch_id=order.branch_id, payment_id=payment_id)
    town.fake.pay((await paying.row(town.db, payment_id)).intent_id or "")
    if is_late:
        async with town.db.write() as session:
            await orders.cancel(session, [(*order, datetime.now(UTC))])
    await town.hear()
    return order, payment_id


async def a_refund(town: Town, _: int = 0) -> Row:
    order, payment_id = await a_payment(town)
    return {"branch_id": order.branch_id, "refund_id": await paying.asked(town.db, order, payment_id, BACK)}


async def a_late_payment(town: Town, _: int = 0) -> Row:
    order, payment_id = await a_payment(town, is_late=True)
    return {"branch_id": order.branch_id, "payment_id": payment_id}


async def a_brand(town: Town, number: int = 0) -> Row:
    async with town.db.read() as session:
        brands = (await session.scalars(select(models.Brand.id).order_by(models.Brand.id))).all()
    return {"brand_id": brands[number]}


async def a_transfer(town: Town, number: int = 0) -> Row:
    if not town.fake.rows("account"):
        account = await town.gateway.create_account(metadata={}, key="the account")
        town.fake.set_capability(account.id, "transfers", "active")
    return {"account_id": town.fake.rows("account")[0]["id"], "amount": BACK, "key": f"payout {number}"}


class Kind(NamedTuple):
    prepare: Callable[[Town, int], Awaitable[Row]]
    makes: str
    """The kind of object at Stripe."""
    name: str
    """Of the argument that Stripe remembers beside it."""
    noted: str
    """Whether we have written down the outcome."""


KINDS = {
    "charge": Kind(
        an_order, "payment_intent", "order_id", "SELECT state <> 'opening' FROM payments WHERE order_id = :order_id"
    ),
    "refund": Kind(
        a_refund, "refund", "refund_id", "SELECT state <> 'sending' FROM refund_requests WHERE id = :refund_id"
    ),
    "return": Kind(
        a_late_payment, "refund", "payment_id", "SELECT returned_at IS NOT NULL FROM payments WHERE id = :payment_id"
    ),
    "account": Kind(
        a_brand, "account", "brand_id", "SELECT count(*) = 1 FROM stripe_accounts WHERE brand_id = :brand_id"
    ),
    "transfer": Kind(a_transfer, "transfer", "key", "SELECT false"),  # nobody writes one down yet
}


async def so_far(town: Town, name: str, arguments: Row) -> tuple[int, bool]:
    """How many of it Stripe has made, and whether we have noted so."""
    kind = KINDS[name]
    wanted = str(arguments[kind.name])
    made = sum(row["metadata"].get(kind.name) == wanted for row in town.fake.rows(kind.makes))
    async with town.db.read() as session:
        return made, bool(await session.scalar(text(kind.noted), arguments))


async def states(
    town: Town, table: type[models.Order | models.Payment | models.RefundRequest | models.Refund]
) -> set[str]:
    async with town.db.read() as session:
        return set(await session.scalars(select(table.state)))


async def charged(town: Town) -> None:
    for intent in town.fake.rows("payment_intent"):
        town.fake.pay(intent["id"])
    await town.hear()
    assert [row["amount"] for row in town.fake.rows("charge")] == [COST] * len(POINTS)
    assert (await states(town, models.Order), await states(town, models.Payment)) == ({"paid"}, {"succeeded"})
    left = len(POINTS) * COST
    assert (await town.balances(), town.moved()) == ({"clearing": -left, "escrow": left}, left)


async def refunded(town: Town) -> None:
    await town.hear()
    assert [row["amount"] for row in town.fake.rows("refund")] == [BACK] * len(POINTS)
    assert (await states(town, models.RefundRequest), await states(town, models.Refund)) == ({"succeeded"}, {"applied"})
    left = len(POINTS) * (COST - BACK)
    assert (await town.balances(), town.moved()) == ({"clearing": -left, "escrow": left}, left)


async def returned(town: Town) -> None:
    await town.hear()
    assert [row["amount"] for row in town.fake.rows("refund")] == [COST] * len(POINTS)
    assert (await states(town, models.Order), await states(town, models.Refund)) == ({"cancelled"}, set())
    assert (await town.balances(), town.moved()) == ({}, 0)


async def onboarded(town: Town) -> None:
    known = {row["id"] for row in town.fake.rows("account")}
    assert len(known) == len(POINTS)
    async with town.db.read() as session:
        assert set(await session.scalars(select(models.StripeAccount.id))) == known


async def transferred(town: Town) -> None:
    assert [row["amount"] for row in town.fake.rows("transfer")] == [BACK] * len(POINTS)
    sent = [row["amount"] for row in town.fake.rows("balance_transaction") if row["type"] == "transfer"]
    assert sent == [-BACK] * len(POINTS)


@pytest.mark.parametrize(
    ("name", "in_the_end"),
    [
        ("charge", charged),
        ("refund", refunded),
        ("return", returned),
        ("account", onboarded),
        ("transfer", transferred),
    ],
)
async def test_killed_at_each_point_around_a_call_and_run_again(
    town: Town, name: str, in_the_end: Callable[[Town], Awaitable[None]]
) -> None:
    for number, point in enumerate(POINTS):
        arguments = await KINDS[name].prepare(town, number)
        before = town.asked(name)
        if point == SENT:
            town.fake.fail(DEEDS[name].operation, "timeout")
        is_sent = partial(lambda before: town.asked(name) > before, before) if point == SENT else None
        assert await town.run(name, arguments, point=point, until=is_sent) == -signal.SIGKILL, point
        assert town.asked(name) - before == (point != BEFORE), point
        made, noted = point not in {BEFORE, SENT}, point == COMMITTED and name != "transfer"
        assert await so_far(town, name, arguments) == (made, noted), point
        assert await town.run(name, arguments) == 0, point
        assert await so_far(town, name, arguments) == (1, name != "transfer"), point
    await in_the_end(town)


async def test_killed_while_stripe_is_still_at_it(town: Town) -> None:
    """The next one asks for the same before Stripe is done."""

    wanted = {name: await KINDS[name].prepare(town, 0) for name in ("charge", "refund", "account", "transfer")}

    async def crash(name: str) -> None:
        before = town.asked(name)
        town.fake.fail(DEEDS[name].operation, "slow", seconds=1)
        assert await town.run(name, wanted[name], until=lambda: town.asked(name) > before) == -signal.SIGKILL, name
        assert await town.run(name, wanted[name]) == 0, name
        assert await so_far(town, name, wanted[name]) == (1, name != "transfer"), name

    await asyncio.gather(*map(crash, wanted))


async def test_a_storm_of_kills(database_url: str, tmp_path: Path) -> None:
    async with storm.staged(database_url, tmp_path, seed=1, customers=8, is_short=True) as stage:
        await storm.kill_in_turns(stage, 6, random.Random(1))
        await storm.calm(stage)
        await storm.check_logs(stage)
        assert (await storm.check_books(stage))["paid"] > 0


async def test_postgresql_is_killed_under_load(tmp_path: Path) -> None:
    with storm.own_server() as (url, data):
        await migrate(url)
        async with storm.staged(url, tmp_path, seed=2, customers=8, is_short=True) as stage:
            await storm.kill_postgres(stage, data, 2, random.Random(2))
            await storm.calm(stage)
            await storm.check_logs(stage)
            assert (await storm.check_books(stage))["paid"] > 0


async def test_many_buyers_for_few_units(database_url: str) -> None:
    await rush(database_url, buyers=100, units=10, seed=1)


def test_what_leaks_into_a_log_is_found(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    log.write_text("all is well\nsent to 13800001234 in a hurry\nTraceback (most recent call last):\n  here\n", "utf-8")
    assert storm.leaks(log, {"13800001234", "no such thing"}) == [
        "sent to 13800001234 in a hurry",
        "Traceback (most recent call last):",
    ]
