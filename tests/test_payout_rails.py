"""Payouts by bank, which reports later, and outside, which a file proves."""

from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from s2b2c import files, models, payments, payouts
from s2b2c.db import Database
from tests import factories
from tests.stripe_fake import Fake
from tests.test_payouts import (
    AMOUNT,
    BRAND,
    LATER,
    PARENT,
    SEND,
    all_of,
    attempts,
    balances,
    begun,
    fake,
    gateway,
    outside,
    refused,
    run_id,
    run_state,
    started,
    states,
    transferred,
    worked,
)
from tests.test_settlements import NOW

__all__ = ["fake", "gateway", "run_id"]


async def test_the_bank_reports(db: Database, fake: Fake, gateway: payments.Gateway, run_id: int) -> None:
    await started(db, run_id, rail="bank")
    await begun(db)
    async with db.write() as session:
        assert set(await session.scalars(select(models.Payout.hold))) == {"no_account"}, "nobody has said where to"
        await factories.payees_told(session)
    await begun(db)
    await worked(db, gateway)
    assert set((await states(db)).values()) == {"sending"}
    assert transferred(fake) == []
    keys = {amount: (await attempts(db, amount))[0].key for amount in (AMOUNT, PARENT, BRAND)}

    async def report(amount: int, failure: str | None = None) -> None:
        async with db.write() as session:
            await payouts.report_bank(session, keys[amount], reference="行 1", failure=failure, now=LATER)

    for _ in range(2):  # the same file, read twice
        await report(AMOUNT)
        await report(PARENT, "户名不符")
    assert await states(db) == {AMOUNT: "confirmed", PARENT: "failed", BRAND: "sending"}
    for what, key, failure in (("reported", keys[AMOUNT], "退"), ("No payout", "nobody's", None)):
        again = partial(payouts.report_bank, key=key, reference="1", failure=failure, now=LATER)
        assert what in await refused(db, again)
    payout_id = (await all_of(db))[PARENT].id
    async with db.write() as session:
        await payouts.retry(session, payout_id, rail="stripe")
    await begun(db, LATER)
    await worked(db, gateway, LATER)
    assert transferred(fake) == [(PARENT, 0)]
    await report(BRAND)
    assert await run_state(db, run_id) == "paid"
    assert await balances(db) == {
        "clearing import": -9_899,
        "clearing bank": 6_387,
        "clearing stripe": 296,
        "revenue": 3_216,
    }
    async with db.write() as session:
        await payouts.reverse(session, (await all_of(db))[BRAND].id, "退回", by=None, now=LATER)
    assert (await balances(db))["brand_payable"] == BRAND


async def test_paid_outside(db: Database, fake: Fake, gateway: payments.Gateway, run_id: int) -> None:
    await started(db, run_id)
    payout_id = (await all_of(db))[AMOUNT].id
    assert "reference" in await refused(db, outside(payout_id, ""))
    async with db.write() as session:
        await outside(payout_id)(session)
    twice = outside(payout_id)
    assert "must be pending or failed" in await refused(db, twice)
    await begun(db)
    await worked(db, gateway)
    assert transferred(fake) == [(PARENT, 0), (BRAND, 0)]
    assert await run_state(db, run_id) == "paid"
    assert (await balances(db))["clearing outside"] == AMOUNT


async def test_a_payout_that_stays_unknown_needs_somebody(
    db: Database, fake: Fake, gateway: payments.Gateway, run_id: int
) -> None:
    await started(db, run_id)
    await begun(db)
    fake.fail(SEND, "500", times=3)
    await worked(db, gateway)
    assert set((await states(db)).values()) == {"unknown"}

    async def needing(now: datetime) -> list[int]:
        async with db.read() as session:
            return [it.amount for it in await payouts.waiting(session, run_id, now=now, limit=10)]

    assert await needing(NOW + timedelta(hours=1)) == []
    over_an_hour = NOW + timedelta(hours=1, seconds=1)
    assert sorted(await needing(over_an_hour)) == [PARENT, AMOUNT, BRAND]
    await worked(db, gateway, over_an_hour)  # nothing is there: it is sent under the same key, which keeps its error
    await worked(db, gateway, over_an_hour + timedelta(hours=1))
    assert set((await states(db)).values()) == {"pending"}
    assert await needing(over_an_hour + timedelta(hours=2)) == []


async def test_what_proves_a_payout_is_kept(db: Database, run_id: int) -> None:
    await started(db, run_id)
    payout_id = (await all_of(db))[AMOUNT].id
    async with db.write() as session:
        other = await factories.a_proof(session, kind="finance_export")
    for wrong in (other, 999_999):
        what = partial(
            payouts.mark_paid_outside,
            payout_id=payout_id,
            note="现金",
            reference="1",
            proof_file_id=wrong,
            by=None,
            now=NOW,
        )
        assert "no such proof" in await refused(db, what)
    async with db.write() as session:
        await outside(payout_id)(session)
        unused = await factories.a_proof(session)
    (attempt,) = await attempts(db)
    much_later = NOW + timedelta(days=3_650)
    async with db.write() as session:
        assert await files.forget(session, now=much_later, limit=10) == 2
        assert set(await session.scalars(select(models.File.id))) == {attempt.proof_file_id}
    assert attempt.proof_file_id not in {None, unused, other}
    for column, value in (("rail", "bank"), ("proof_file_id", None)):
        with pytest.raises(IntegrityError, match="ck_payout_attempts_proof"):
            async with db.write() as session:
                (made,) = await session.scalars(select(models.PayoutAttempt))
                await session.execute(text("SET LOCAL ROLE NONE"))
                setattr(made, column, value)
