"""The audit finds every payout that is not what its statement, its attempts and the ledger say."""

import pytest
from sqlalchemy import text

from s2b2c import payments
from s2b2c.audit import audit
from s2b2c.db import Database
from tests.test_payouts import (
    AMOUNT,
    PROVEN,
    all_of,
    attempts,
    begun,
    fake,
    gateway,
    run_id,
    run_state,
    started,
    worked,
)

__all__ = ["fake", "gateway", "run_id"]

CORRUPTIONS = {
    "payouts": ("statements {statement}", "UPDATE payouts SET brand_id = 1, distributor_id = NULL WHERE id = {payout}"),
    "payout_attempts": (
        "payouts {payout}",
        "UPDATE payout_attempts SET sent_at = sent_at - interval '1 second' WHERE payout_id = {payout}",
    ),
    "payout_transfers": (
        "payout_attempts {attempt}",
        "UPDATE transfers SET source_id = 999999 WHERE source_id = {attempt} AND code = 'payout_sent'",
    ),
    "paid_runs": (
        "settlement_runs {run}",
        "UPDATE payouts SET state = 'failed', sent_at = NULL, confirmed_at = NULL WHERE id = {payout}",
    ),
}
"""By check: the row that it names, and what the owner of the schema does; others may find it too."""


@pytest.mark.parametrize("check", CORRUPTIONS)
async def test_a_corrupted_payout_is_named(db: Database, gateway: payments.Gateway, run_id: int, check: str) -> None:
    await started(db, run_id)
    await begun(db)
    await worked(db, gateway)
    assert await run_state(db, run_id) == "paid"
    payout = (await all_of(db))[AMOUNT]
    attempt = (await attempts(db))[0]
    names = {"payout": payout.id, "statement": payout.statement_id, "attempt": attempt.id, "run": run_id}
    row, *statements = CORRUPTIONS[check]
    async with db.snapshot() as session:
        assert [breach for breach in await audit(session) if breach.check in PROVEN] == []
    async with db.write() as session:
        await session.execute(text("SET LOCAL ROLE NONE"))
        for statement in statements:
            await session.execute(text(statement.format(**names)))
        found = {breach.check: {key for key, _ in breach.rows} for breach in await audit(session)}
        assert row.format(**names) in found[check]
        await session.rollback()
