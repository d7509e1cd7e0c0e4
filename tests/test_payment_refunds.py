"""Money that goes back, connected accounts, and whether Stripe's balance moved as we say."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from s2b2c import models, payments
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.payments import gateway as gateway_module
from tests import factories, paying
from tests.stripe_fake import Fake, running

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
TROUBLE = ["429", "503", "500", "500_after", "reset_before", "reset_after"]


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with running() as fake:
        yield fake


@pytest.fixture
async def gateway(fake: Fake) -> AsyncIterator[payments.Gateway]:
    gateway = paying.gateway_to(fake)
    yield gateway
    await gateway.close()


async def _refuses(kind: type[Refusal], asking: Any) -> None:
    with pytest.raises(Refused) as refused:
        await asking
    assert type(refused.value.refusal) is kind


async def _jobs(db: Database) -> list[tuple[str, bytes | None]]:
    async with db.read() as session:
        return [
            (job.entrypoint, job.payload) for job in await session.scalars(select(models.Job).order_by(models.Job.id))
        ]


# Refunds


async def test_asking_for_refunds(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order)
    await _refuses(BadArgument, paying.asked(db, order, payment_id, 0))
    await _refuses(NotFound, paying.asked(db, order, payment_id + 1, 1))
    await _refuses(WrongState, paying.asked(db, order, payment_id, 1))
    fake.pay((await paying.row(db, payment_id)).intent_id or "")
    await paying.told(db, fake)
    await _refuses(WrongState, paying.asked(db, order, payment_id, paying.TOTAL + 1))
    assert await _jobs(db) == []
    first = await paying.asked(db, order, payment_id, 9_000)
    await _refuses(WrongState, paying.asked(db, order, payment_id, 1))
    assert await _jobs(db) == [("send_refund", f'{{"branch_id": {order.branch_id}, "refund_id": {first}}}'.encode())]
    await payments.send_refund(db, branch_id=order.branch_id, refund_id=first, gateway=gateway)
    await _refuses(WrongState, paying.asked(db, order, payment_id, 1))
    await paying.told(db, fake)
    await _refuses(WrongState, paying.asked(db, order, payment_id, 981))
    second = await paying.asked(db, order, payment_id, 980)
    await payments.send_refund(db, branch_id=order.branch_id, refund_id=second, gateway=gateway)
    assert [it["amount"] for it in fake.rows("refund")] == [9_000, 980]
    assert fake.rows("refund")[0]["metadata"] == {
        "branch_id": str(order.branch_id),
        "order_id": str(order.order_id),
        "payment_id": str(payment_id),
        "refund_id": str(first),
    }


@pytest.mark.parametrize("how", TROUBLE)
async def test_whatever_fails_one_refund_is_sent(db: Database, gateway: payments.Gateway, fake: Fake, how: str) -> None:
    order = await paying.a_placed_order(db)
    refund_id = await paying.asked(db, order, await paying.paid(db, gateway, fake, order), 500)
    fake.fail("POST /v1/refunds", how)
    with pytest.raises(payments.GatewayError):
        await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    assert (await paying.request(db, refund_id)).state == "sending"
    for _ in range(2):
        await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    [sent] = fake.rows("refund")
    kept = await paying.request(db, refund_id)
    assert (kept.state, kept.reference) == ("sent", sent["id"])


async def test_a_refund_found_again_when_stripe_has_forgotten_the_key(
    db: Database, gateway: payments.Gateway, fake: Fake
) -> None:
    order = await paying.a_placed_order(db)
    refund_id = await paying.asked(db, order, await paying.paid(db, gateway, fake, order), 500)
    fake.fail("POST /v1/refunds", "reset_after")
    with pytest.raises(payments.UnknownOutcome):
        await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    fake.set_clock(int((NOW + 2 * DAY).timestamp()))
    await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    assert len(fake.rows("refund")) == 1
    assert (await paying.request(db, refund_id)).state == "sent"


async def test_a_refund_that_stripe_refuses_has_failed(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    refund_id = await paying.asked(db, order, payment_id, 500)
    fake.dispute((await paying.row(db, payment_id)).intent_id or "")
    await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    assert (await paying.request(db, refund_id)).state == "failed"
    assert fake.rows("refund") == []
    await paying.asked(db, order, payment_id, 500)


async def test_a_key_that_is_not_accepted_fails_no_refund(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    refund_id = await paying.asked(db, order, await paying.paid(db, gateway, fake, order), 500)
    fake.configure(api_key="sk_test_new")
    with pytest.raises(payments.Unreachable):
        await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    assert (await paying.request(db, refund_id)).state == "sending"


# What no order could take


async def _return(db: Database, gateway: payments.Gateway, order: paying.Placed, payment_id: int) -> None:
    await payments.return_payment(db, branch_id=order.branch_id, payment_id=payment_id, gateway=gateway)


@pytest.mark.parametrize("how", TROUBLE)
async def test_whatever_fails_a_payment_is_returned_once(
    db: Database, gateway: payments.Gateway, fake: Fake, how: str
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    async with db.write() as session:
        for _ in range(2):
            await payments.to_return(session, [(order.branch_id, payment_id)])
    payload = f'{{"branch_id": {order.branch_id}, "payment_id": {payment_id}}}'.encode()
    assert await _jobs(db) == [("return_payment", payload)]
    fake.fail("POST /v1/refunds", how)
    with pytest.raises(payments.GatewayError):
        await _return(db, gateway, order, payment_id)
    assert (await paying.row(db, payment_id)).returned_at is None
    for _ in range(2):
        await _return(db, gateway, order, payment_id)
    assert [it["amount"] for it in fake.rows("refund")] == [paying.TOTAL]
    assert (await paying.row(db, payment_id)).returned_at is not None
    digest = await paying.told(db, fake)
    assert digest == payments.Digest()
    await _refuses(WrongState, paying.asked(db, order, payment_id, 1))


async def test_a_return_that_failed_is_sent_again(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    await gateway.create_refund((await paying.row(db, payment_id)).intent_id or "", amount=80, metadata={}, key="a")
    await _return(db, gateway, order, payment_id)
    fake.finish_refund(fake.rows("refund")[1]["id"], "failed")
    digest = await paying.told(db, fake)
    assert digest.not_returned == [payments.Ended(*order, payment_id)]
    assert (await paying.row(db, payment_id)).returned_at is None
    await _return(db, gateway, order, payment_id)
    assert [(it["amount"], it["status"]) for it in fake.rows("refund")] == [
        (80, "succeeded"), (9_900, "failed"), (9_900, "succeeded"),
    ]  # fmt: skip
    assert (await paying.row(db, payment_id)).returned_at is not None


async def test_a_return_that_stripe_refuses_is_not_forgotten(
    db: Database, gateway: payments.Gateway, fake: Fake
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    fake.dispute((await paying.row(db, payment_id)).intent_id or "")
    with pytest.raises(payments.Declined) as declined:
        await _return(db, gateway, order, payment_id)
    assert declined.value.code == "charge_disputed"
    assert (await paying.row(db, payment_id)).returned_at is None


async def test_only_what_has_succeeded_is_returned(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order)
    asked = len(fake.requests)
    await _return(db, gateway, order, payment_id)
    assert (await paying.row(db, payment_id)).returned_at is None
    assert len(fake.requests) == asked


# Connected accounts

_PAGES: dict[str, Any] = {"return_url": "https://shop.example/back", "refresh_url": "https://shop.example/again"}


@pytest.mark.parametrize("whose", ["brand_id", "distributor_id"])
async def test_onboarding(db: Database, gateway: payments.Gateway, fake: Fake, whose: str) -> None:
    async with db.write() as session:
        owner = await (factories.a_brand(session) if whose == "brand_id" else factories.a_distributor(session))
    who: dict[str, Any] = {whose: owner.id}
    first = await payments.onboard(db, gateway, **who, **_PAGES)
    second = await payments.onboard(db, gateway, **who, **_PAGES)
    [account] = fake.rows("account")
    assert first.endswith(account["id"])
    assert second.endswith(account["id"])
    assert account["metadata"] == {whose: str(owner.id)}
    assert account["controller"]["stripe_dashboard"] == {"type": "express"}
    keys = {asked.headers["idempotency-key"] for asked in fake.requests if asked.path == "/v1/account_links"}
    assert len(keys) == 2
    async with db.read() as session:
        kept = await payments.account_of(session, **who)
        assert await payments.account_of(session, **{whose: owner.id + 1}) is None
    assert kept is not None
    assert (kept.id, kept.transfers, kept.payouts_enabled) == (account["id"], "inactive", False)
    fake.set_capability(account["id"], "transfers", "active")
    changed = await payments.refresh_account(db, gateway, account_id=kept.id, now=NOW + timedelta(hours=1))
    assert changed is not None
    assert (changed.transfers, changed.payouts_enabled, changed.details_submitted) == ("active", True, True)


@pytest.mark.parametrize("how", ["reset_before", "reset_after", "500"])
async def test_whatever_fails_one_account_is_made(
    db: Database, gateway: payments.Gateway, fake: Fake, how: str
) -> None:
    async with db.write() as session:
        brand = await factories.a_brand(session)
    fake.fail("POST /v1/accounts", how)
    with pytest.raises(payments.UnknownOutcome):
        await payments.onboard(db, gateway, brand_id=brand.id, **_PAGES)
    await payments.onboard(db, gateway, brand_id=brand.id, **_PAGES)
    assert len(fake.rows("account")) == 1


async def test_nobody_is_onboarded(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    await _refuses(NotFound, payments.onboard(db, gateway, brand_id=10**9, **_PAGES))
    await _refuses(NotFound, payments.onboard(db, gateway, distributor_id=10**9, **_PAGES))
    assert fake.requests == []


async def test_an_account_crash(
    db: Database, gateway: payments.Gateway, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made at Stripe, not kept here: the same one is found again."""
    async with db.write() as session:
        brand = await factories.a_brand(session)
    made = gateway.create_account

    async def crash(**asked: Any) -> None:
        await made(**asked)
        raise RuntimeError

    monkeypatch.setattr(gateway, "create_account", crash)
    with pytest.raises(RuntimeError):
        await payments.onboard(db, gateway, brand_id=brand.id, **_PAGES)
    monkeypatch.setattr(gateway, "create_account", made)
    await payments.onboard(db, gateway, brand_id=brand.id, **_PAGES)
    assert len(fake.rows("account")) == 1


# Reconciliation


async def _reconciled(
    db: Database, gateway: payments.Gateway, *, start: datetime = NOW - DAY, end: datetime = NOW + DAY, limit: int = 100
) -> payments.Report:
    return await payments.reconcile(
        db, gateway, start=start, end=end, now=NOW + 3 * DAY + timedelta(hours=1), limit=limit
    )


async def test_what_agrees(
    db: Database, gateway: payments.Gateway, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charges, refunds that arrived or failed, returns, in pages of two; a transfer of nobody's payout is a break."""
    monkeypatch.setattr(gateway_module, "_PAGE", 2)
    for n, amount in enumerate((100, 200, 300)):
        order = await paying.a_placed_order(db)
        payment_id = await paying.paid(db, gateway, fake, order)
        refund_id = await paying.asked(db, order, payment_id, amount)
        await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
        if n == 1:
            fake.finish_refund(fake.rows("refund")[-1]["id"], "failed")
        await paying.told(db, fake)
    await _return(db, gateway, order, payment_id)
    account = await gateway.create_account(metadata={}, key="a")
    fake.set_capability(account.id, "transfers", "active")
    await gateway.create_transfer(account.id, amount=1, metadata={}, key="b")
    asked = len(fake.requests)
    report = await _reconciled(db, gateway)
    (transfer,) = fake.rows("transfer")
    assert (report.movements, report.counts) == (9, {"missing_here": 1})
    assert [it[:5] for it in report.breaks] == [("missing_here", "transfer", transfer["id"], None, -1)]
    assert len(fake.requests) - asked == 5


async def test_the_breaks(db: Database, gateway: payments.Gateway, fake: Fake) -> None:
    # Two that Stripe does not know, one of them outside the period
    async with db.write() as session:
        for order, name, days in [(await paying.a_placed_order(db), f"pi_{n}", n) for n in (0, 4)]:
            at = NOW - days * DAY
            session.add(
                models.Payment(
                    branch_id=order.branch_id, order_id=order.order_id, method="intent", amount=700, state="succeeded",
                    intent_id=name, created_at=at, succeeded_at=at,
                )
            )  # fmt: skip
    # One that we do not know, and a refund of it
    theirs = await gateway.create_intent(amount=800, description="", metadata={}, key="a")
    fake.pay(theirs.id)
    back = await gateway.create_refund(theirs.id, amount=30, metadata={}, key="b")
    # One of which we have another amount, and a dispute that nobody told us of
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    intent_id = (await paying.row(db, payment_id)).intent_id or ""
    async with db.write() as session:
        await session.execute(text("UPDATE payments SET amount = 9981 WHERE id = :id"), {"id": payment_id})
    dispute = fake.dispute(intent_id, 40)
    report = await _reconciled(db, gateway)
    assert report.movements == 4
    assert report.counts == {"amount_differs": 1, "missing_here": 3, "missing_there": 1}
    assert {it[:5] for it in report.breaks} == {
        ("amount_differs", "charge", intent_id, 9_981, 9_980),
        ("missing_here", "charge", theirs.id, None, 800),
        ("missing_here", "refund", back.id, None, -30),
        ("missing_here", "dispute", dispute["id"], None, -40),
        ("missing_there", "charge", "pi_0", 700, None),
    }
    assert {it.age_days for it in report.breaks} == {3}
    assert report.breaks == sorted(report.breaks, key=lambda it: (it.at, it.category))
    first = await _reconciled(db, gateway, limit=2)
    assert (first.counts, first.breaks) == (report.counts, report.breaks[:2])
    nothing = await _reconciled(db, gateway, start=NOW - 9 * DAY, end=NOW - 5 * DAY)
    assert nothing == payments.Report(0, {}, [])


async def test_a_moment_on_the_other_side_of_a_boundary_is_no_break(
    db: Database, gateway: payments.Gateway, fake: Fake
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.opened(db, gateway, order)
    fake.set_clock(int(NOW.timestamp()) + 10)
    fake.pay((await paying.row(db, payment_id)).intent_id or "")
    fake.set_clock()
    [success] = [event for event in fake.rows("event") if event["type"] == "payment_intent.succeeded"]
    await paying.told(db, fake, [success | {"created": success["created"] + 2}])
    boundary = datetime.fromtimestamp(success["created"] + 1, UTC)
    assert await _reconciled(db, gateway, end=boundary) == payments.Report(1, {}, [])
    assert await _reconciled(db, gateway, start=boundary) == payments.Report(0, {}, [])


async def test_disputes_and_refunds_by_hand_are_compared_with_what_orders_count(
    db: Database, gateway: payments.Gateway, fake: Fake
) -> None:
    order = await paying.a_placed_order(db)
    payment_id = await paying.paid(db, gateway, fake, order)
    intent_id = (await paying.row(db, payment_id)).intent_id or ""
    by_hand = await gateway.create_refund(intent_id, amount=500, metadata={}, key="by hand")
    dispute = fake.dispute(intent_id, 400)
    fake.decide(dispute["id"], "won")
    async with db.write() as session:
        line = (await session.scalars(select(models.OrderLine))).one()
        for reference, amount in ((by_hand.id, 500), (dispute["id"], 399)):
            refund = models.Refund(
                branch_id=order.branch_id,
                order_id=order.order_id,
                reference=reference,
                state="waiting",
                refunded_at=NOW,
            )
            session.add(refund)
            await session.flush()
            session.add(
                models.RefundLine(
                    branch_id=order.branch_id, refund_id=refund.id, line_id=line.id, quantity=0, amount=amount, supply=0
                )
            )
        session.add(
            models.Refund(
                branch_id=order.branch_id,
                order_id=order.order_id,
                reverses_id=refund.id,
                state="waiting",
                refunded_at=NOW,
            )
        )
    assert {it[:5] for it in (await _reconciled(db, gateway)).breaks} == {
        ("amount_differs", "dispute", dispute["id"], -399, -400),
        ("amount_differs", "dispute_reversal", dispute["id"], 399, 400),
    }


async def test_no_session_waits_for_stripe(
    db: Database, gateway: payments.Gateway, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever calls Stripe has no connection of the pool in its hands."""
    order = await paying.a_placed_order(db)
    open_sessions: list[int] = []
    made = gateway_module._Http.request_async

    async def watched(*asked: Any, **more: Any) -> Any:
        open_sessions.append(db._engine.pool.checkedout())  # type: ignore[attr-defined]
        return await made(*asked, **more)

    monkeypatch.setattr(gateway_module._Http, "request_async", watched)
    payment_id = await paying.paid(db, gateway, fake, order)
    refund_id = await paying.asked(db, order, payment_id, 500)
    await payments.send_refund(db, branch_id=order.branch_id, refund_id=refund_id, gateway=gateway)
    await _return(db, gateway, order, payment_id)
    async with db.write() as session:
        brand = await factories.a_brand(session)
    await payments.onboard(db, gateway, brand_id=brand.id, **_PAGES)
    await payments.refresh_account(db, gateway, account_id=fake.rows("account")[0]["id"], now=NOW)
    await _reconciled(db, gateway)
    other = await paying.a_placed_order(db)
    other_id = await paying.opened(db, gateway, other)
    await payments.cancel_payment(db, branch_id=other.branch_id, payment_id=other_id, gateway=gateway)
    assert len(open_sessions) > 8
    assert set(open_sessions) == {0}
