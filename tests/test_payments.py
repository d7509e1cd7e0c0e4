"""Payments at Stripe, over real HTTP to a stand-in: every call and its errors, opening, ending, crashes between."""

import ast
import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select, update

from s2b2c import config, models, payments
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.models import OrderBatch
from s2b2c.payments import gateway as gateway_module
from s2b2c.payments import opening as opening_module
from tests import paying
from tests.stripe_fake import Fake, running

NOW = datetime.now(UTC)
ADDRESSES = {"success_url": "https://shop.example/thanks", "cancel_url": "https://shop.example/cart"}


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with running() as fake:
        yield fake


@pytest.fixture
async def gateway(fake: Fake) -> AsyncIterator[payments.Gateway]:
    gateway = paying.gateway_to(fake)
    yield gateway
    await gateway.close()


async def _every_call(gateway: payments.Gateway, fake: Fake) -> None:
    mine = {"branch_id": "1", "payment_id": "2"}
    paid = await gateway.create_intent(amount=100, description="订单 1", metadata=mine, key="a")
    other = await gateway.create_intent(amount=200, description="订单 2", metadata=mine, key="b")
    assert (await gateway.retrieve_intent(paid.id)) == paid
    assert (await gateway.cancel_intent(other.id, key="c")).status == "canceled"
    page = await gateway.create_checkout(
        amount=300, name="订单 3", expires_at=NOW + timedelta(hours=1), metadata=mine, key="d", **ADDRESSES
    )
    assert (page.status, page.intent_id) == ("open", None)
    assert (await gateway.retrieve_checkout(page.id)) == page
    assert (await gateway.expire_checkout(page.id, key="e")).status == "expired"
    fake.pay(paid.id)
    sent = await gateway.create_refund(paid.id, amount=40, metadata=mine, key="f")
    assert (sent.status, sent.amount, sent.metadata) == ("succeeded", 40, mine)
    assert await gateway.list_refunds(paid.id) == [sent]
    account = await gateway.create_account(metadata={"brand_id": "1"}, key="g")
    assert (account.transfers, account.payouts_enabled, account.details_submitted) == ("inactive", False, False)
    assert (
        await gateway.create_account_link(account.id, return_url="https://a.example", refresh_url="https://b.example")
    ).startswith("http")
    fake.set_capability(account.id, "transfers", "active")
    assert (await gateway.retrieve_account(account.id)).transfers == "active"
    transfer_id = await gateway.create_transfer(account.id, amount=50, metadata=mine, key="h")
    assert await gateway.list_transfers("another") == []
    assert await gateway.list_transfers("h") == [payments.SentTransfer(transfer_id, account.id, 50, 0)]
    assert (await gateway.reverse_transfer(transfer_id, amount=50, metadata=mine, key="i")).startswith("trr_")
    assert await gateway.list_transfers("h") == [payments.SentTransfer(transfer_id, account.id, 50, 50)]
    moved = await gateway.list_movements(NOW - timedelta(days=1), NOW + timedelta(days=1), after=None)
    assert [(row.category, row.amount, row.currency, row.intent_id) for row in moved.rows] == [
        ("transfer_reversal", 50, "cny", None),
        ("transfer", -50, "cny", None),
        ("refund", -40, "cny", paid.id),
        ("charge", 100, "cny", paid.id),
    ]


async def test_every_call_passes_the_schema(gateway: payments.Gateway, fake: Fake) -> None:
    """The stand-in refuses what Stripe's schema does not allow; a call that is not made here fails the test."""
    await _every_call(gateway, fake)
    assert {f"{asked.method} {asked.template.partition(' ')[2]}" for asked in fake.requests} == set(
        gateway_module.CALLS.values()
    )
    assert {asked.status for asked in fake.requests} == {200}
    assert {asked.headers["stripe-version"] for asked in fake.requests} == {gateway_module.API_VERSION}
    posts = [asked for asked in fake.requests if asked.method == "POST"]
    assert all(asked.headers["idempotency-key"] for asked in posts)


def test_no_call_is_made_beside_those() -> None:
    """Each public method makes exactly one call of Stripe's library and is registered with it."""
    tree = ast.parse(inspect.getsource(gateway_module))
    methods = {
        node.name: sum(isinstance(it, ast.Attribute) and it.attr.endswith("_async") for it in ast.walk(node))
        for body in tree.body
        if isinstance(body, ast.ClassDef) and body.name == "Gateway"
        for node in body.body
        if isinstance(node, ast.AsyncFunctionDef) and node.name != "close"
    }
    assert methods == dict.fromkeys(gateway_module.CALLS, 1)
    everywhere = sum(isinstance(it, ast.Attribute) and it.attr.endswith("_async") for it in ast.walk(tree))
    assert everywhere == len(methods) + 1  # close_async


def test_nobody_else_knows_stripe() -> None:
    using = [
        path.name
        for path in config.PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "stripe" for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "stripe")
    ]
    assert set(using) == {"gateway.py"}


async def _caught(gateway: payments.Gateway) -> payments.GatewayError:
    with pytest.raises(payments.GatewayError) as caught:
        await gateway.create_intent(amount=100, description="订单 1", metadata={}, key="a")
    return caught.value


async def test_errors_are_ours(gateway: payments.Gateway, fake: Fake) -> None:
    fake.fail("POST /v1/payment_intents", "429")
    assert isinstance(await _caught(gateway), payments.Unreachable)
    for how in ("503", "reset_before", "reset_after"):
        fake.fail("POST /v1/payment_intents", how)
        error = await _caught(gateway)
        assert isinstance(error, payments.UnknownOutcome)
        assert not error.spent
    fake.fail("GET /v1/payment_intents/{intent}", "503")
    with pytest.raises(payments.Unreachable):
        await gateway.retrieve_intent("pi_1")
    with pytest.raises(payments.Declined) as declined:
        await gateway.retrieve_intent("pi_secret_number")
    assert declined.value.code == "resource_missing"
    assert str(declined.value) == "Stripe refused this (resource_missing)."
    with pytest.raises(payments.Declined):
        await gateway.create_intent(amount=0, description="", metadata={}, key="b")
    with pytest.raises(payments.UnknownOutcome) as mismatch:
        await gateway.create_intent(amount=7, description="", metadata={}, key="a")
    assert mismatch.value.spent
    stranger = paying.gateway_to(fake, key="sk_test_wrong")
    assert isinstance(await _caught(stranger), payments.Unreachable)
    assert "sk_test" not in str(await _caught(stranger))
    await stranger.close()


async def test_a_silent_stripe_is_waited_for_so_long(fake: Fake) -> None:
    gateway = paying.gateway_to(fake, read_s=0.2)
    fake.fail("POST /v1/payment_intents", "timeout")
    assert isinstance(await _caught(gateway), payments.UnknownOutcome)
    await gateway.close()


async def test_the_library_tries_again_with_the_same_key(fake: Fake) -> None:
    gateway = paying.gateway_to(fake, retries=2)
    fake.fail("POST /v1/payment_intents", "reset_after")
    intent = await gateway.create_intent(amount=100, description="", metadata={}, key="a")
    assert [it["id"] for it in fake.rows("payment_intent")] == [intent.id]
    assert [asked.replayed for asked in fake.requests] == [False, True]
    await gateway.close()


def test_the_gateway_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    config.settings.cache_clear()
    monkeypatch.delenv("S2B2C_STRIPE_API_KEY", raising=False)
    assert payments.connect() is None
    with pytest.raises(payments.Unreachable, match="S2B2C_STRIPE_API_KEY"):
        gateway_module.connected(None)
    for key, livemode in (("sk_test_1", False), ("sk_live_1", True), ("rk_live_1", True)):
        config.settings.cache_clear()
        monkeypatch.setenv("S2B2C_STRIPE_API_KEY", key)
        gateway = payments.connect()
        assert gateway is not None
        assert gateway.livemode is livemode
        assert payments.connect() is gateway
    config.settings.cache_clear()


async def test_no_secret_in_logs_or_representations(
    db: Database,
    gateway: payments.Gateway,
    fake: Fake,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with caplog.at_level(logging.DEBUG):
        order = await paying.a_placed_order(db)
        payment_id = await paying.opened(db, gateway, order)
        made = await payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=payment_id)
        await _every_call(gateway, fake)
    intent = await gateway.retrieve_intent((await paying.row(db, payment_id)).intent_id or "")
    seen = caplog.text + "".join(capfd.readouterr()) + repr(made) + repr(intent)
    assert "_secret_" in (made.client_secret or "")
    assert "secret" not in seen
    assert "sk_test" not in seen
    assert "whsec" not in seen


# Opening


async def test_opening_is_idempotent(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opening(db, order)
    assert await paying.opening(db, order) == payment_id
    assert (await paying.row(db, payment_id)).state == "opening"
    first = await payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=payment_id)
    again = await payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=payment_id)
    assert first == again
    [intent] = fake.rows("payment_intent")
    assert (intent["amount"], intent["currency"], intent["client_secret"]) == (9_980, "cny", first.client_secret)
    assert intent["automatic_payment_methods"]["enabled"] is True
    assert intent["metadata"] == {
        "branch_id": str(order.branch_id),
        "order_id": str(order.order_id),
        "payment_id": str(payment_id),
    }
    kept = await paying.row(db, payment_id)
    assert (kept.state, kept.intent_id, kept.session_id) == ("open", intent["id"], None)
    assert fake.requests[0].headers["idempotency-key"] == f"s2b2c-payment-{order.branch_id}-{payment_id}-1"
    async with db.read() as session:
        claim = await session.get_one(models.Claim, ("payment_intent", intent["id"]))
        assert (claim.branch_id, claim.event_id) == (order.branch_id, payment_id)


async def test_a_hosted_checkout(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opening(db, order, method="checkout")
    finish = partial(payments.finish_opening, db, gateway, branch_id=order.branch_id, payment_id=payment_id)
    await _refuses(BadArgument, finish())
    first = await finish(success_url=ADDRESSES["success_url"], cancel_url=ADDRESSES["cancel_url"])
    again = await finish()
    assert first == again
    [page] = fake.rows("checkout.session")
    kept = await paying.row(db, payment_id)
    assert (kept.state, kept.intent_id, kept.session_id) == ("open", None, page["id"])
    assert (first.url, first.client_secret) == (page["url"], None)
    assert (page["amount_total"], page["currency"]) == (9_980, "cny")
    assert page["expires_at"] == int((kept.created_at + timedelta(hours=1)).timestamp())


async def _refuses(kind: type[Refusal], asking: Any) -> None:
    with pytest.raises(Refused) as refused:
        await asking
    assert type(refused.value.refusal) is kind


async def test_what_is_not_opened(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    await _refuses(BadArgument, paying.opening(db, order, amount=0))
    await _refuses(BadArgument, paying.opening(db, order, method="cash"))
    payment_id = await paying.opening(db, order)
    await _refuses(WrongState, paying.opening(db, order, amount=1))
    await _refuses(WrongState, paying.opening(db, order, method="checkout"))
    await _refuses(NotFound, payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=10**9))
    async with db.write() as session:
        cancelled = {"state": "cancelled", "cancelled_at": NOW}
        await session.execute(update(models.Order).values(cancelled))
    await _refuses(WrongState, payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=payment_id))
    await payments.open_at_stripe(db, branch_id=order.branch_id, payment_id=payment_id, gateway=gateway)
    assert fake.requests == []


async def test_what_stripe_does_not_take_ends_and_another_may_be_opened(
    db: Database, gateway: payments.Gateway, fake: Fake
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opening(db, order, amount=10**9)
    await _refuses(WrongState, payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=payment_id))
    assert (await paying.row(db, payment_id)).state == "cancelled"
    assert await paying.opening(db, order) != payment_id


@pytest.mark.parametrize("how", ["429", "503", "reset_before", "reset_after", "500"])
async def test_whatever_fails_one_intent_is_made(db: Database, gateway: payments.Gateway, fake: Fake, how: str) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opening(db, order)
    fake.fail("POST /v1/payment_intents", how)
    with pytest.raises(payments.GatewayError):
        await payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=payment_id)
    assert (await paying.row(db, payment_id)).state == "opening"
    await payments.open_at_stripe(db, branch_id=order.branch_id, payment_id=payment_id, gateway=gateway)
    [intent] = fake.rows("payment_intent")
    kept = await paying.row(db, payment_id)
    assert (kept.state, kept.intent_id) == ("open", intent["id"])


async def test_a_customer_who_taps_twice(db: Database, fake: Fake) -> None:
    gateway = paying.gateway_to(fake, retries=2)
    order = await paying.a_placed_order(db)
    payment_id = await paying.opening(db, order)
    fake.fail("POST /v1/payment_intents", "slow", seconds=0.3)
    tap = partial(payments.finish_opening, db, gateway, branch_id=order.branch_id, payment_id=payment_id)
    first, second = await asyncio.gather(tap(), tap())
    assert first == second
    assert len(fake.rows("payment_intent")) == 1
    assert 409 in {asked.status for asked in fake.requests}
    await gateway.close()


class Crash(Exception):
    pass


def crashing(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> Callable[[], None]:
    """The next call of this function ends the process; what is answered undoes that."""

    async def crash(*_: object, **__: object) -> None:
        raise Crash

    kept = getattr(module, name)
    monkeypatch.setattr(module, name, crash)
    return lambda: monkeypatch.setattr(module, name, kept)


@pytest.mark.parametrize("method", ["intent", "checkout"])
async def test_a_crash_before_the_outcome_is_kept(
    db: Database, gateway: payments.Gateway, fake: Fake, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    order = await paying.a_placed_order(db)
    restart = crashing(monkeypatch, opening_module, "_keep")
    with pytest.raises(Crash):
        await paying.opened(db, gateway, order, method=method)
    restart()
    payment_id = await paying.opened(db, gateway, order, method=method)
    assert (await paying.row(db, payment_id)).state == "open"
    assert len(fake.rows("payment_intent") + fake.rows("checkout.session")) == 1


async def test_what_a_crash_left_is_queued_for_some_minutes(db: Database) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opening(db, order)
    made_at = (await paying.row(db, payment_id)).created_at
    for after, queued in ((29, 0), (30, 1), (40, 0), (601, 0)):
        async with db.write() as session:
            assert await payments.left_opening(session, now=made_at + timedelta(seconds=after)) == queued
    async with db.read() as session:
        job = (await session.scalars(select(models.Job))).one()
        assert (job.entrypoint, job.payload) == (
            "open_at_stripe",
            f'{{"branch_id": {order.branch_id}, "payment_id": {payment_id}}}'.encode(),
        )


# Ending


async def _cancel(db: Database, gateway: payments.Gateway, order: paying.Placed, payment_id: int) -> str:
    await payments.cancel_payment(db, branch_id=order.branch_id, payment_id=payment_id, gateway=gateway)
    return (await paying.row(db, payment_id)).state


@pytest.mark.parametrize(("method", "kind", "status"), [
    ("intent", "payment_intent", "canceled"),
    ("checkout", "checkout.session", "expired"),
])  # fmt: skip
async def test_an_open_payment_is_cancelled_at_stripe(
    db: Database, gateway: payments.Gateway, fake: Fake, method: str, kind: str, status: str
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order, method=method)
    async with db.write() as session:
        orders = OrderBatch.of([order])
        assert await payments.cancel_payments(session, orders) == 1
        assert await payments.cancel_payments(session, orders) == 0
        assert await session.scalar(select(func.count()).select_from(models.Job)) == 1
    fake.fail("POST *", "reset_after")
    with pytest.raises(payments.UnknownOutcome):
        await _cancel(db, gateway, order, payment_id)
    assert await _cancel(db, gateway, order, payment_id) == "cancelled"
    assert fake.rows(kind)[0]["status"] == status
    asked = len(fake.requests)
    assert await _cancel(db, gateway, order, payment_id) == "cancelled"
    assert len(fake.requests) == asked


@pytest.mark.parametrize("method", ["intent", "checkout"])
async def test_a_payment_made_meanwhile_is_not_lost(
    db: Database, gateway: payments.Gateway, fake: Fake, method: str
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order, method=method)
    kept = await paying.row(db, payment_id)
    fake.pay(kept.intent_id or kept.session_id or "")
    assert await _cancel(db, gateway, order, payment_id) == "open"
    await _refuses(WrongState, payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=payment_id))
    digest = await paying.told(db, fake)
    assert [(*it[:2], it.payment_id) for it in digest.paid] == [(*order, payment_id)]
    assert (await paying.row(db, payment_id)).state == "succeeded"
    assert await _cancel(db, gateway, order, payment_id) == "succeeded"


async def test_one_cancelled_while_it_is_opened_is_cancelled_at_stripe_too(
    db: Database, gateway: payments.Gateway, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opening(db, order)
    made = gateway.create_intent

    async def meanwhile(**asked: Any) -> gateway_module.Intent:
        intent = await made(**asked)
        assert await _cancel(db, gateway, order, payment_id) == "cancelled"
        return intent

    monkeypatch.setattr(gateway, "create_intent", meanwhile)
    await _refuses(WrongState, payments.finish_opening(db, gateway, branch_id=order.branch_id, payment_id=payment_id))
    assert [it["status"] for it in fake.rows("payment_intent")] == ["canceled"]
    assert (await paying.row(db, payment_id)).state == "cancelled"
