"""Payouts: what is sent, when, by whom it may be decided, and what is never sent twice."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import commissions, ledger, models, payments, payouts, settlements
from s2b2c.audit import audit
from s2b2c.config import settings
from s2b2c.db import Database
from s2b2c.errors import Refused
from tests import factories, paying
from tests.stripe_fake import Fake, Settings, running
from tests.test_settlements import CUTOFF, NOW, _chain, _completed

AMOUNT = 1_187
"""Of the seller: 12 % of 9899."""
PARENT, BRAND = 296, 5_200
SEND, LOOK = "POST /v1/transfers", "GET /v1/transfers"
PROVEN = {"account_balances", "payouts", "payout_attempts", "payout_transfers", "paid_runs", "statement_chain"}
"""Checks of the audit; the orders of these tests are too short-lived for some others."""
LATER = NOW + timedelta(days=1)


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with running(Fake(Settings(checks_balance=False), seed=1)) as fake:
        yield fake


@pytest.fixture
async def gateway(fake: Fake) -> AsyncIterator[payments.Gateway]:
    gateway = paying.gateway_to(fake, read_s=0.5)
    yield gateway
    await gateway.close()


async def connect(session: AsyncSession, fake: Fake, **owner: int) -> str:
    """A connected account whose transfers are active, at the stand-in and with us."""
    with fake.lock:
        account_id: str = fake.world.connect(capabilities={"transfers": "active"})["id"]
    session.add(
        models.StripeAccount(
            id=account_id, transfers="active", payouts_enabled=True, details_submitted=True, changed_at=NOW, **owner
        )
    )
    await session.flush()
    return account_id


async def an_approved_run(session: AsyncSession, fake: Fake) -> int:
    """The worked example: 1187 to the seller, 296 to its parent, 5200 to the brand, each with an account."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store = await _chain(session)
    variant = await factories.a_variant(session, supply_price=2600)
    await _completed(session, store, variant)
    settled = await settlements.settle(session, cutoff=CUTOFF, now=NOW)
    assert settled is not None
    await factories.a_closed_run(session, settled.run_id, NOW)
    query = select(models.Statement).where(models.Statement.run_id == settled.run_id).order_by(models.Statement.id)
    for it in await session.scalars(query):
        if it.brand_id is None:
            await connect(session, fake, distributor_id=it.distributor_id or 0)
        else:
            await connect(session, fake, brand_id=it.brand_id)
    return settled.run_id


@pytest.fixture
async def run_id(db: Database, fake: Fake) -> int:
    async with db.write() as session:
        return await an_approved_run(session, fake)


async def started(db: Database, run_id: int, rail: str = "stripe", by: int | None = None) -> None:
    async with db.write() as session:
        await payouts.start(session, run_id, rail=rail, by=by, now=NOW)  # type: ignore[arg-type]  # one of the two


async def begun(db: Database, now: datetime = NOW) -> int:
    async with db.write() as session:
        return await payouts.begin(session, now=now, limit=100)


async def worked(db: Database, gateway: payments.Gateway, now: datetime = NOW) -> None:
    """Everything that is due at a moment."""
    while await payouts.work(db, gateway, now=now):
        pass


async def all_of(db: Database) -> dict[int, models.Payout]:
    """By amount."""
    async with db.read() as session:
        return {it.amount: it for it in await session.scalars(select(models.Payout))}


async def states(db: Database) -> dict[int, str]:
    return {amount: it.state for amount, it in (await all_of(db)).items()}


async def attempts(db: Database, amount: int = AMOUNT) -> list[models.PayoutAttempt]:
    query = (
        select(models.PayoutAttempt)
        .join(models.Payout, models.Payout.id == models.PayoutAttempt.payout_id)
        .where(models.Payout.amount == amount)
        .order_by(models.PayoutAttempt.number)
    )
    async with db.read() as session:
        return list(await session.scalars(query))


async def run_state(db: Database, run_id: int) -> str:
    async with db.write() as session:
        await payouts.finish_runs(session)
        return (await session.get_one(models.SettlementRun, run_id)).state


async def balances(db: Database) -> dict[str, int]:
    """By kind, with the rail of a clearing account; the audit finds nothing."""
    async with db.snapshot() as session:
        assert [breach for breach in await audit(session) if breach.check in PROVEN] == []
        rows = await ledger.accounts(session, kind=None, after=None, limit=99)
    sums: dict[str, int] = {}
    for row in rows:
        kind = f"clearing {row.rail}" if row.kind == "clearing" else row.kind
        sums[kind] = sums.get(kind, 0) + row.balance
    return {kind: balance for kind, balance in sums.items() if balance}


async def refused(db: Database, what: object) -> str:
    """The message of a refusal, which has changed nothing."""
    before = await everything(db)
    with pytest.raises(Refused) as caught:
        async with db.write() as session:
            await what(session)  # type: ignore[operator]  # a lambda
    assert await everything(db) == before
    return str(caught.value)


def outside(payout_id: int, reference: str = "收据 7") -> Callable[[AsyncSession], Awaitable[models.Payout]]:
    async def paid(session: AsyncSession) -> models.Payout:
        proof = await factories.a_proof(session)
        return await payouts.mark_paid_outside(
            session, payout_id, note="现金", reference=reference, proof_file_id=proof, by=None, now=NOW
        )

    return paid


async def everything(db: Database) -> list[str]:
    async with db.read() as session:
        return list(
            await session.scalars(
                text(
                    "SELECT to_jsonb(p)::text FROM payouts p UNION ALL SELECT to_jsonb(t)::text FROM payout_attempts t "
                    "UNION ALL SELECT to_jsonb(x)::text FROM transfers x UNION ALL SELECT to_jsonb(r)::text "
                    "FROM settlement_runs r ORDER BY 1"
                )
            )
        )


def transferred(fake: Fake) -> list[tuple[int, int]]:
    """(amount, reversed) of every transfer at Stripe."""
    return sorted((row["amount"], row["amount_reversed"]) for row in fake.rows("transfer"))


ALL_SENT = [(PARENT, 0), (AMOUNT, 0), (BRAND, 0)]


async def test_a_run_is_paid_out(db: Database, fake: Fake, gateway: payments.Gateway, run_id: int) -> None:
    await started(db, run_id)
    assert await states(db) == {AMOUNT: "pending", PARENT: "pending", BRAND: "pending"}
    assert await run_state(db, run_id) == "paying"
    assert await begun(db) == 3
    assert await balances(db) == {
        "clearing import": -9_899,
        "in_transit": 6_683,
        "revenue": 3_216,
    }
    await worked(db, gateway)
    assert set((await states(db)).values()) == {"confirmed"}
    assert transferred(fake) == ALL_SENT
    assert await balances(db) == {"clearing import": -9_899, "clearing stripe": 6_683, "revenue": 3_216}
    assert await run_state(db, run_id) == "paid"
    assert await begun(db) == 0


async def test_earnings_and_payables_follow_what_was_paid(db: Database, gateway: payments.Gateway, run_id: int) -> None:
    await started(db, run_id)
    rows = await all_of(db)
    seller, brand = rows[AMOUNT].distributor_id or 0, rows[BRAND].brand_id or 0

    async def seen() -> tuple[int, int, int, int]:
        async with db.read() as session:
            earned = await commissions.earnings(session, seller, LATER)
            owed = await settlements.payable(session, brand)
        assert owed.balance == owed.in_statements + owed.not_in_statement
        return earned.in_statement, earned.paid, owed.balance, owed.in_statements

    assert await seen() == (AMOUNT, 0, BRAND, BRAND)
    await begun(db)
    assert await seen() == (AMOUNT, 0, 0, 0)
    await worked(db, gateway)
    assert await seen() == (0, AMOUNT, 0, 0)


@pytest.mark.parametrize(
    ("how", "sends"), [("429", 2), ("503", 2), ("timeout", 2), ("reset_before", 2), ("reset_after", 1)]
)
async def test_no_answer_is_looked_up_before_it_is_sent_again(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int, how: str, sends: int
) -> None:
    """Under the same key."""
    await started(db, run_id)
    await begun(db)
    fake.fail(SEND, how, times=3)
    await worked(db, gateway)
    assert set((await states(db)).values()) == {"unknown"}
    assert (await balances(db))["in_transit"] == 6_683
    await worked(db, gateway, LATER)
    assert set((await states(db)).values()) == {"confirmed"}
    assert transferred(fake) == ALL_SENT
    key = (await attempts(db))[0].key
    asked = [
        it.template
        for it in fake.requests
        if it.headers.get("idempotency-key") == key or it.params.get("transfer_group") == key
    ]
    assert asked[:2] == [SEND, LOOK]
    assert asked.count(SEND) == sends
    assert len(await attempts(db)) == 1
    await balances(db)


async def test_a_key_that_keeps_an_error_gives_way_to_another_attempt(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int
) -> None:
    await started(db, run_id)
    await begun(db)
    fake.fail(SEND, "500", times=3)
    await worked(db, gateway)
    await worked(db, gateway, LATER)  # nothing is there, so it is sent again, and the key brings its error again
    assert set((await states(db)).values()) == {"unknown"}
    await worked(db, gateway, LATER + timedelta(hours=1))
    assert set((await states(db)).values()) == {"pending"}
    await begun(db, LATER + timedelta(hours=1))
    await worked(db, gateway, LATER + timedelta(hours=1))
    assert set((await states(db)).values()) == {"confirmed"}
    assert [(it.number, it.state, it.failure) for it in await attempts(db)] == [
        (1, "failed", "no_answer"),
        (2, "confirmed", None),
    ]
    assert transferred(fake) == ALL_SENT
    await balances(db)


async def test_a_key_that_keeps_an_error_may_have_sent_all_the_same(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int
) -> None:
    await started(db, run_id)
    await begun(db)
    fake.fail(SEND, "500_after", times=3)
    await worked(db, gateway)
    await worked(db, gateway, LATER)
    assert set((await states(db)).values()) == {"confirmed"}
    assert len(await attempts(db)) == 1
    assert transferred(fake) == ALL_SENT
    await balances(db)


async def test_a_refusal_fails_and_is_tried_again(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int
) -> None:
    await started(db, run_id)
    await begun(db)
    fake.fail(SEND, "insufficient_funds", times=3)
    await worked(db, gateway)
    assert set((await states(db)).values()) == {"failed"}
    assert (await attempts(db))[0].failure == "balance_insufficient"
    assert "in_transit" not in await balances(db)
    assert await run_state(db, run_id) == "paying"
    payout_id = (await all_of(db))[AMOUNT].id
    async with db.write() as session:
        await payouts.retry(session, payout_id)
    assert "must be failed" in await refused(db, lambda session: payouts.retry(session, payout_id))
    await begun(db)
    await worked(db, gateway)
    assert await states(db) == {AMOUNT: "confirmed", PARENT: "failed", BRAND: "failed"}
    assert [it.key for it in await attempts(db)] == [f"s2b2c-payout-{payout_id}-{number}" for number in (1, 2)]
    assert transferred(fake) == [(AMOUNT, 0)]
    await balances(db)


async def test_what_a_payee_lacks_holds_its_payout(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int
) -> None:
    """Somebody eliminated is paid in full."""
    await started(db, run_id)
    rows = await all_of(db)
    seller, parent, brand = rows[AMOUNT].distributor_id, rows[PARENT].distributor_id, rows[BRAND].brand_id

    async def become(state: str, transfers: str) -> None:
        async with db.write() as session:
            await session.execute(text("UPDATE distributors SET state = :s WHERE id = :id"), {"s": state, "id": seller})
            await session.execute(
                text("UPDATE stripe_accounts SET transfers = :t WHERE brand_id = :id"), {"t": transfers, "id": brand}
            )

    async with db.write() as session:
        await session.execute(text("UPDATE distributors SET state = 'eliminated' WHERE id = :id"), {"id": parent})
    await become("suspended", "pending")
    await begun(db)
    await worked(db, gateway)
    assert {amount: (it.state, it.hold) for amount, it in (await all_of(db)).items()} == {
        AMOUNT: ("pending", "suspended"),
        PARENT: ("confirmed", None),
        BRAND: ("pending", "no_account"),
    }
    assert transferred(fake) == [(PARENT, 0)]
    assert "Nobody holds" in await refused(db, lambda session: payouts.release(session, rows[AMOUNT].id))
    await become("active", "active")
    await begun(db)
    await worked(db, gateway)
    assert transferred(fake) == ALL_SENT
    assert await run_state(db, run_id) == "paid"
    await balances(db)


async def test_a_person_holds_and_releases(db: Database, fake: Fake, gateway: payments.Gateway, run_id: int) -> None:
    await started(db, run_id)
    payout_id = (await all_of(db))[AMOUNT].id
    assert "reason must be" in await refused(db, lambda session: payouts.hold(session, payout_id, " ", by=None))
    async with db.write() as session:
        await payouts.hold(session, payout_id, "等法院", by=None)
    await begun(db)
    await worked(db, gateway)
    assert transferred(fake) == [(PARENT, 0), (BRAND, 0)]
    assert "holds this payout" in await refused(db, outside(payout_id))
    async with db.write() as session:
        await payouts.release(session, payout_id)
    await begun(db)
    await worked(db, gateway)
    assert transferred(fake) == ALL_SENT
    assert "must be pending or failed" in await refused(
        db, lambda session: payouts.hold(session, payout_id, "晚了", by=None)
    )
    await balances(db)


async def test_above_the_limit_a_second_person_approves(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "payout_limit", AMOUNT)  # what is at the limit needs nobody
    async with db.write() as session:
        first, second = models.Person(), models.Person()
        session.add_all((first, second))
        await session.flush()
        one, two = first.id, second.id
    await started(db, run_id, by=one)
    rows = await all_of(db)
    assert {amount: it.needs_approval for amount, it in rows.items()} == {AMOUNT: False, PARENT: False, BRAND: True}
    await begun(db)
    await worked(db, gateway)
    assert transferred(fake) == [(PARENT, 0), (AMOUNT, 0)]
    large, small = rows[BRAND].id, rows[AMOUNT].id
    assert "second person" in await refused(db, outside(large))
    assert "ask somebody else" in await refused(db, lambda session: payouts.approve(session, large, by=one, now=NOW))
    assert "no approval" in await refused(db, lambda session: payouts.approve(session, small, by=two, now=NOW))
    async with db.write() as session:
        await payouts.approve(session, large, by=two, now=NOW)
    assert "no approval" in await refused(db, lambda session: payouts.approve(session, large, by=two, now=NOW))
    await begun(db)
    await worked(db, gateway)
    assert transferred(fake) == ALL_SENT
    await balances(db)


@pytest.mark.parametrize("how", [None, "429", "500", "500_after", "timeout", "reset_before", "reset_after"])
async def test_a_confirmed_transfer_is_reversed_once(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int, how: str | None
) -> None:
    await started(db, run_id)
    await begun(db)
    await worked(db, gateway)
    assert await run_state(db, run_id) == "paid"
    payout_id = (await all_of(db))[AMOUNT].id
    if how is not None:
        fake.fail("POST /v1/transfers/*/reversals", how)
    async with db.write() as session:
        await payouts.reverse(session, payout_id, "付错人", by=None, now=NOW)
    again = lambda session: payouts.reverse(session, payout_id, "再来", by=None, now=NOW)  # noqa: E731
    assert "on its way" in await refused(db, again)
    await worked(db, gateway)
    await worked(db, gateway, LATER)
    assert (await states(db))[AMOUNT] == "reversed"
    assert transferred(fake) == [(PARENT, 0), (AMOUNT, AMOUNT), (BRAND, 0)]
    assert await balances(db) == {
        "clearing import": -9_899,
        "clearing stripe": 5_496,
        "commission_payable": AMOUNT,
        "revenue": 3_216,
    }
    assert "must be confirmed" in await refused(db, again)


async def test_a_reversal_that_stripe_refuses_leaves_the_payout_confirmed(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int
) -> None:
    await started(db, run_id)
    await begun(db)
    await worked(db, gateway)
    payout_id = (await all_of(db))[AMOUNT].id
    fake.configure(checks_balance=True)
    fake.fail("POST /v1/transfers/*/reversals", "insufficient_funds")
    async with db.write() as session:
        await payouts.reverse(session, payout_id, "付错人", by=None, now=NOW)
    await worked(db, gateway, LATER)
    found = (await all_of(db))[AMOUNT]
    assert (found.state, found.reversal_asked_at, found.reversal_reason) == ("confirmed", None, None)
    assert [(it.next_step, it.due_at) for it in await attempts(db)] == [(None, None)]
    assert transferred(fake) == ALL_SENT
    await balances(db)


async def test_only_an_approved_run_is_started_and_once(db: Database, run_id: int) -> None:
    nobody = lambda session: payouts.start(session, 999_999, rail="stripe", by=None, now=NOW)  # noqa: E731
    assert "no such run" in await refused(db, nobody)
    again = lambda session: payouts.start(session, run_id, rail="stripe", by=None, now=NOW)  # noqa: E731
    await started(db, run_id)
    assert "only an approved one" in await refused(db, again)
    for what in (payouts.release, payouts.retry):
        assert "no such payout" in await refused(db, lambda session, what=what: what(session, 999_999))


async def test_the_database_refuses_a_second_payout_and_a_second_attempt(db: Database, run_id: int) -> None:
    await started(db, run_id)
    await begun(db)
    for table, other in (("payouts", {}), ("payout_attempts", {"number": 2, "key": "other"})):
        copy = text(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(t, CAST(:other AS jsonb))).* FROM {table} t LIMIT 1"
        )
        with pytest.raises(IntegrityError, match="duplicate key"):
            async with db.write() as session:
                await session.execute(copy, {"other": json.dumps({"id": 999_999} | other)})
