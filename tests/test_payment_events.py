"""What events mean: told once, whatever came twice, late or in the wrong order, and nothing ever goes back."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import models, payments
from s2b2c.db import Database
from tests import factories, paying
from tests.stripe_fake import Fake, running

Json = dict[str, Any]
NOTHING = payments.Digest()


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with running() as fake:
        yield fake


@pytest.fixture
async def gateway(fake: Fake) -> AsyncIterator[payments.Gateway]:
    gateway = paying.gateway_to(fake)
    yield gateway
    await gateway.close()


def _at(event: Json) -> datetime:
    return datetime.fromtimestamp(event["created"], UTC)


def _of(fake: Fake, kind: str) -> Json:
    [event] = [event for event in fake.rows("event") if event["type"] == kind]
    return event


@pytest.mark.parametrize("method", ["intent", "checkout"])
async def test_a_success_is_told_once(db: Database, gateway: payments.Gateway, fake: Fake, method: str) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order, method=method)
    kept = await paying.row(db, payment_id)
    fake.pay(kept.intent_id or kept.session_id or "")
    success = _of(fake, "payment_intent.succeeded")
    at = max(_at(success), kept.created_at)  # Stripe's moment has no parts of a second
    assert asdict(await paying.told(db, fake)) == asdict(payments.Digest(paid=[payments.Paid(*order, at, payment_id)]))
    kept = await paying.row(db, payment_id)
    assert (kept.state, kept.succeeded_at, kept.intent_id) == ("succeeded", at, success["data"]["object"]["id"])
    assert await paying.told(db, fake) == NOTHING
    assert await paying.told(db, fake, [success | {"id": "evt_again"}]) == NOTHING
    async with db.read() as session:
        assert await session.scalar(select(func.count()).where(models.StripeEvent.handled_at.is_(None))) == 0
        claim = await session.get_one(models.Claim, ("payment_intent", kept.intent_id))
        assert (claim.branch_id, claim.event_id) == (order.branch_id, payment_id)


async def test_a_success_before_we_know_what_stripe_made(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    """As after a crash between the call and its outcome: Stripe tells us what we told it to remember."""
    order = await paying.a_placed_order(db)
    payment_id = await paying.opening(db, order)
    metadata = {"branch_id": str(order.branch_id), "order_id": str(order.order_id), "payment_id": str(payment_id)}
    intent = await gateway.create_intent(amount=paying.TOTAL, description="", metadata=metadata, key="a")
    fake.pay(intent.id)
    digest = await paying.told(db, fake)
    assert [it.payment_id for it in digest.paid] == [payment_id]
    kept = await paying.row(db, payment_id)
    assert (kept.state, kept.intent_id) == ("succeeded", intent.id)


async def test_a_cancelled_payment_that_was_paid_all_the_same(
    db: Database, gateway: payments.Gateway, fake: Fake
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order)
    intent_id = (await paying.row(db, payment_id)).intent_id or ""
    fake.pay(intent_id)
    async with db.write() as session:
        await session.execute(text("UPDATE payments SET state = 'cancelled'"))
    assert len((await paying.told(db, fake)).paid) == 1
    late = _of(fake, "payment_intent.created") | {"id": "evt_late", "type": "payment_intent.canceled"}
    assert await paying.told(db, fake, [late]) == NOTHING
    assert (await paying.row(db, payment_id)).state == "succeeded"


@pytest.mark.parametrize("change", [{"amount_received": 9_979}, {"currency": "usd"}, {"amount_received": None}])
async def test_another_amount_pays_nothing(db: Database, gateway: payments.Gateway, fake: Fake, change: Json) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order)
    fake.pay((await paying.row(db, payment_id)).intent_id or "")
    success = _of(fake, "payment_intent.succeeded")
    success["data"]["object"] |= change
    assert await paying.told(db, fake, [success]) == NOTHING
    assert (await paying.row(db, payment_id)).state == "open"


@pytest.mark.parametrize("about", [
    {"id": "pi_stranger"},
    {"id": "pi_stranger", "metadata": {}},
    {"id": "pi_stranger", "metadata": {"branch_id": "1", "payment_id": "999999999"}},
    {"id": "pi_stranger", "metadata": {"branch_id": "９", "payment_id": "1.5"}},
    {"id": "pi_stranger", "metadata": {"branch_id": "9" * 30, "payment_id": "9223372036854775808"}},
    {"id": "pi_stranger", "metadata": ["branch_id"]},
    {"id": ["pi_stranger"], "metadata": {"branch_id": 1, "payment_id": 1}},
    {},
])  # fmt: skip
async def test_what_is_nobodys_is_passed_over(db: Database, fake: Fake, about: Json) -> None:
    kinds = ["payment_intent.succeeded", "checkout.session.expired", "account.updated", "refund.failed", "a.new.kind"]
    events = [
        {"id": f"evt_{n}", "object": "event", "type": kind, "created": 1, "livemode": False, "data": {"object": about}}
        for n, kind in enumerate(kinds)
    ]
    assert await paying.told(db, fake, events) == NOTHING


async def test_a_try_that_failed_and_pages_that_expired(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    first, second = [await paying.a_placed_order(db) for _ in range(2)]
    payment_id = await paying.opened(db, gateway, first)
    page_id = await paying.opened(db, gateway, second, method="checkout")
    fake.decline((await paying.row(db, payment_id)).intent_id or "")
    session_id = (await paying.row(db, page_id)).session_id or ""
    fake.decline(session_id)
    fake.expire(session_id)
    digest = await paying.told(db, fake)
    assert digest.tries_failed == [payments.Ended(*first, payment_id)]
    assert digest.cancelled == [payments.Ended(*second, page_id)]
    assert ((await paying.row(db, payment_id)).state, (await paying.row(db, page_id)).state) == ("open", "cancelled")
    fake.pay((await paying.row(db, payment_id)).intent_id or "")
    late = _of(fake, "checkout.session.expired") | {"id": "evt_late"}
    assert (await paying.told(db, fake, [late])) == NOTHING
    assert [it.payment_id for it in (await paying.told(db, fake)).paid] == [payment_id]


async def test_a_page_that_nobody_saw_ends_nothing(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    """Of a try that was cut off: the customer pays on another page of the same payment."""
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order, method="checkout")
    metadata = fake.rows("checkout.session")[0]["metadata"]
    lost = await gateway.create_checkout(
        amount=paying.TOTAL, name="订单", success_url="https://a.example", cancel_url="https://b.example",
        expires_at=datetime.now(UTC) + timedelta(hours=1), metadata=metadata, key="lost",
    )  # fmt: skip
    fake.expire(lost.id)
    assert await paying.told(db, fake) == NOTHING
    assert (await paying.row(db, payment_id)).state == "open"


# Refunds and disputes


async def _refunded(
    db: Database, gateway: payments.Gateway, fake: Fake, amount: int = 3_300
) -> tuple[paying.Placed, int, int]:
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    refund_id = await paying.asked(db, order, payment_id, amount)
    await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    return order, payment_id, refund_id


async def test_our_refund(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order, payment_id, refund_id = await _refunded(db, gateway, fake)
    [sent] = fake.rows("refund")
    kept = await paying.request(db, refund_id)
    assert (kept.state, kept.reference, sent["amount"]) == ("sent", sent["id"], 3_300)
    at, lines = _at(_of(fake, "refund.created")), [{"line_no": 1, "amount": 3_300}]
    digest = await paying.told(db, fake)
    assert digest.refunded == [payments.Refunded(*order, payment_id, sent["id"], 3_300, at, refund_id, lines)]
    assert (digest.reversed, digest.refunds_failed) == ([], [])
    assert (await paying.request(db, refund_id)).state == "succeeded"
    fake.finish_refund(sent["id"], "failed")
    digest = await paying.told(db, fake)
    assert digest.reversed == [(sent["id"], _at(_of(fake, "refund.failed")))]
    assert digest.refunds_failed == [payments.FailedRefund(*order, refund_id)]
    assert digest.refunded == []
    assert (await paying.request(db, refund_id)).state == "failed"
    assert await paying.told(db, fake, [_of(fake, "refund.created") | {"id": "evt_late"}]) == NOTHING
    assert (await paying.request(db, refund_id)).state == "failed"


async def test_two_workers_at_one_refund(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    """The one that has its failure waits for the one that has its success."""
    await _refunded(db, gateway, fake)
    [sent] = fake.rows("refund")
    fake.finish_refund(sent["id"], "failed")
    await paying.accepted(db, fake, _of(fake, "refund.created"))
    async with db.write() as session:
        now = datetime.now(UTC)
        [success] = await payments.waiting_events(session, now=now, limit=10)
        digest = await payments.digest(session, [success])
        assert [it.reference for it in digest.refunded] == [sent["id"]]
        second = asyncio.create_task(paying.told(db, fake, [_of(fake, "refund.failed")]))
        await asyncio.sleep(0.3)
        assert not second.done()
        await paying.count(session, digest)
        await payments.mark_handled(session, [success.id], now)
    digest = await second
    assert (digest.refunded, [name for name, _ in digest.reversed]) == ([], [sent["id"]])


async def test_a_refund_that_takes_its_time(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    """It counts when it has succeeded, not when it was made, nor when something else of it changes."""
    fake.configure(refund_status="pending")
    now = int(datetime.now(UTC).timestamp())
    *_, refund_id = await _refunded(db, gateway, fake)
    [sent] = fake.rows("refund")
    assert await paying.told(db, fake) == NOTHING
    assert (await paying.request(db, refund_id)).state == "sent"
    fake.set_clock(now + 200)
    fake.finish_refund(sent["id"], "succeeded")
    done = _of(fake, "refund.updated")
    noted = done | {
        "id": "evt_noted",
        "created": now + 100,
        "data": done["data"] | {"previous_attributes": {"metadata": {}}},
    }
    assert await paying.told(db, fake, [noted]) == NOTHING
    digest = await paying.told(db, fake, [done])
    assert [(it.refund_id, it.refunded_at) for it in digest.refunded] == [
        (refund_id, datetime.fromtimestamp(now + 200, UTC))
    ]
    assert (await paying.request(db, refund_id)).state == "succeeded"


async def test_a_pending_refund_that_fails(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    fake.configure(refund_status="pending")
    order, _, refund_id = await _refunded(db, gateway, fake)
    fake.finish_refund(fake.rows("refund")[0]["id"], "failed")
    digest = await paying.told(db, fake)
    assert (digest.refunded, digest.reversed) == ([], [])
    assert digest.refunds_failed == [payments.FailedRefund(*order, refund_id)]


async def test_a_refund_is_told_before_we_know_that_it_was_sent(
    db: Database, gateway: payments.Gateway, fake: Fake
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    refund_id = await paying.asked(db, order, payment_id, 100)
    fake.fail("POST /v1/refunds", "reset_after")
    with pytest.raises(payments.UnknownOutcome):
        await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    assert [it.refund_id for it in (await paying.told(db, fake)).refunded] == [refund_id]
    kept = await paying.request(db, refund_id)
    assert (kept.state, kept.reference) == ("succeeded", fake.rows("refund")[0]["id"])
    asked = len(fake.requests)
    await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    assert len(fake.requests) == asked


async def test_a_refund_made_in_the_dashboard(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    intent_id = (await paying.row(db, payment_id)).intent_id or ""
    sent = await gateway.create_refund(intent_id, amount=500, metadata={}, key="by hand")
    at = _at(_of(fake, "refund.created"))
    digest = await paying.told(db, fake)
    assert digest.refunded == [payments.Refunded(*order, payment_id, sent.id, 500, at, None, None)]


async def test_a_dispute_won(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    dispute = fake.dispute((await paying.row(db, payment_id)).intent_id or "", 4_000)
    at = _at(_of(fake, "charge.dispute.funds_withdrawn"))
    digest = await paying.told(db, fake)
    assert digest.refunded == [payments.Refunded(*order, payment_id, dispute["id"], 4_000, at, None, None)]
    fake.decide(dispute["id"], "won")
    digest = await paying.told(db, fake)
    assert digest == payments.Digest(reversed=[(dispute["id"], _at(_of(fake, "charge.dispute.funds_reinstated")))])


async def test_a_refund_before_its_payment(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    """Of a page of Stripe's, whose PaymentIntent we do not know yet: it waits until we do."""
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order, method="checkout")
    session_id = (await paying.row(db, payment_id)).session_id or ""
    fake.pay(session_id)
    intent_id = fake.rows("payment_intent")[0]["id"]
    await gateway.create_refund(intent_id, amount=500, metadata={}, key="by hand")
    dispute = fake.dispute(intent_id, 100)
    refunds = [event for event in fake.rows("event") if event["type"].startswith(("refund.", "charge.dispute."))]
    assert await paying.told(db, fake, refunds) == NOTHING
    digest = await paying.told(db, fake)
    assert [it.payment_id for it in digest.paid] == [payment_id]
    assert sorted(it.amount for it in digest.refunded) == [100, 500]
    assert dispute["id"] in {it.reference for it in digest.refunded}


# Accounts


async def _account(db: Database, fake: Fake, gateway: payments.Gateway) -> str:
    async with db.write() as session:
        brand = await factories.a_brand(session)
    await payments.onboard(
        db, gateway, brand_id=brand.id, return_url="https://a.example", refresh_url="https://b.example"
    )
    return str(fake.rows("account")[0]["id"])


async def _state(db: Database, account_id: str) -> tuple[str, bool, bool]:
    async with db.read() as session:
        account = await session.get_one(models.StripeAccount, account_id)
        return account.transfers, account.payouts_enabled, account.details_submitted


async def test_the_newest_word_on_an_account_wins(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    now = int(datetime.now(UTC).timestamp())
    fake.set_clock(now)
    account_id = await _account(db, fake, gateway)
    assert await _state(db, account_id) == ("inactive", False, False)
    for later, status in ((10, "pending"), (20, "active"), (20, "pending"), (30, "inactive")):
        fake.set_clock(now + later)
        fake.set_capability(account_id, "transfers", status)
    pending, active, behind, inactive = fake.rows("event", account_id)
    assert (await paying.told(db, fake, [active])).accounts == [account_id]
    assert await _state(db, account_id) == ("active", True, True)
    assert (await paying.told(db, fake, [pending, behind, active])).accounts == []
    assert await _state(db, account_id) == ("active", True, True)
    assert (await paying.told(db, fake, [inactive])).accounts == [account_id]
    assert await _state(db, account_id) == ("inactive", False, True)


async def test_an_account_does_not_speak_for_another(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    account_id = await _account(db, fake, gateway)
    await _account(db, fake, gateway)
    fake.set_capability(account_id, "transfers", "active")
    [event] = fake.rows("event", account_id)
    event["account"] = fake.rows("account")[1]["id"]
    assert await paying.told(db, fake, [event]) == NOTHING
    assert await _state(db, account_id) == ("inactive", False, False)


async def test_what_an_account_sells_by_itself_is_not_ours(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    """Even where it says what we tell Stripe to remember."""
    account_id = await _account(db, fake, gateway)
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order)
    fake.pay((await paying.row(db, payment_id)).intent_id or "")
    success = _of(fake, "payment_intent.succeeded") | {"account": account_id}
    assert await paying.told(db, fake, [success]) == NOTHING
    assert (await paying.row(db, payment_id)).state == "open"


# All of it in any order

_TABLES = {
    "payments": "branch_id, id, order_id, state, intent_id, session_id, succeeded_at",
    "refund_requests": "branch_id, id, state, reference",
    "claims": "kind, name, branch_id, event_id",
    "stripe_accounts": "id, transfers, payouts_enabled, details_submitted, changed_at",
    "stripe_events": "id, type, account, created_at, handled_at IS NULL",
}


async def _all(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    async with db.snapshot() as session:
        return {
            table: sorted(map(tuple, await session.execute(text(f"SELECT {columns} FROM {table}"))), key=str)
            for table, columns in _TABLES.items()
        }


async def _a_busy_day(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    """Payments of both kinds, refunds that arrive, fail, or fail after all, disputes lost and won, an account."""
    now = int(datetime.now(UTC).timestamp())
    account_id = await _account(db, fake, gateway)
    for n in range(6):
        fake.set_clock(now + 10 * n)
        fake.configure(refund_status="pending" if n % 2 else "succeeded")
        fake.set_capability(account_id, "transfers", ["pending", "active", "inactive"][n % 3])
        order = await paying.a_placed_order(db)
        payment_id = await paying.opened(db, gateway, order, method="checkout" if n % 3 == 0 else "intent")
        kept = await paying.row(db, payment_id)
        name = kept.session_id or kept.intent_id or ""
        fake.decline(name)
        fake.pay(name)
        intent_id = fake.rows("payment_intent")[-1]["id"]
        async with db.write() as session:  # as if we had been told, so that a refund can be asked for
            await session.execute(
                text("UPDATE payments SET state = 'succeeded', intent_id = :intent, succeeded_at = created_at WHERE id = :id"),
                {"id": payment_id, "intent": intent_id},
            )  # fmt: skip
        refund_id = await paying.asked(db, order, payment_id, 1_000 + n)
        await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
        await gateway.create_refund(intent_id, amount=50 + n, metadata={}, key=f"by hand {n}")
        ours, by_hand = [it["id"] for it in fake.rows("refund")][-2:]
        dispute = fake.dispute(intent_id, 200)
        fake.set_clock(now + 10 * n + 5)
        if n % 2:
            fake.finish_refund(ours, "succeeded" if n != 5 else "failed")
            fake.finish_refund(by_hand, "failed")
        if n in {2, 3}:
            fake.finish_refund(ours, "failed")
        fake.decide(dispute["id"], "won" if n < 3 else "lost")
    async with db.write() as session:
        await session.execute(
            text("UPDATE payments SET state = 'open', succeeded_at = NULL, intent_id = CASE method WHEN 'intent' THEN intent_id END")
        )  # fmt: skip
        await session.execute(text("UPDATE refund_requests SET state = 'sending', reference = NULL"))


async def test_any_order_ends_alike(db: Database, database_url: str, gateway: payments.Gateway, fake: Fake) -> None:
    """Each event one to seven times, shuffled, in batches of any size: as in order, once."""
    await _a_busy_day(db, gateway, fake)
    events = sorted(paying.all_events(fake), key=lambda event: (event["created"], event["id"]))
    owner = create_async_engine(database_url, poolclass=NullPool)
    await _save(owner)
    in_order = await paying.told(db, fake, events, batch=1)
    end = await _all(db)
    assert len(events) > 80
    # Of 6 refunds of ours one never succeeded and two failed after all; of 6 by hand three never succeeded; 6 disputes.
    assert (len(in_order.paid), len(in_order.refunded), len(in_order.reversed)) == (6, 5 + 3 + 6, 2 + 3)
    assert len(in_order.refunds_failed) == 3
    for seed in range(4):
        dice = random.Random(seed)
        many = [event for event in events for _ in range(dice.randint(1, 7))]
        dice.shuffle(many)
        await _restore(owner)
        whole = payments.Digest()
        for at in range(0, len(many), 40):
            part = await paying.told(db, fake, many[at : at + 40], batch=dice.randint(1, 30))
            for name in asdict(whole):
                getattr(whole, name).extend(getattr(part, name))
        assert await _all(db) == end
        for name in ("paid", "refunded", "reversed", "refunds_failed", "cancelled"):
            assert sorted(getattr(whole, name), key=str) == sorted(getattr(in_order, name), key=str), name
    await owner.dispose()


async def _save(owner: AsyncEngine) -> None:
    async with owner.begin() as connection:
        for table in _TABLES:
            await connection.execute(text(f"CREATE TABLE saved_{table} AS TABLE {table}"))


async def _restore(owner: AsyncEngine) -> None:
    async with owner.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in _TABLES:
            await connection.execute(text(f"DELETE FROM {table}"))
            await connection.execute(text(f"INSERT INTO {table} TABLE saved_{table}"))


def test_the_readme_names_the_events_that_mean_something() -> None:
    readme = Path("README.md").read_text("utf-8")
    (named,) = re.findall(r"these events, and no others, sent to\n`/stripe/events`: (.*?)\. Without", readme, re.DOTALL)
    assert sorted(re.findall(r"`(.*?)`", named)) == sorted(payments.EVENTS)
