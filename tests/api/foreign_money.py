"""Operations of settlement and off-boarding that take ids, and what the sample lacks for them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, offboarding, settlements
from s2b2c.accounts.viewer import account_of
from tests import factories
from tests.api.conftest import NOW

OWN = {
    "dispute": ("dispute", "SELECT min(id) FROM disputes"),
    "write_off": ("write-off", "SELECT min(id) FROM write_offs"),
    "proof": ("file", "SELECT min(id) FROM files WHERE kind = 'payout_proof'"),
    "rail_break": ("rail-break", "SELECT min(id) FROM rail_breaks"),
    "report": ("file", "SELECT min(id) FROM files WHERE kind = 'rail_report'"),
    "payout": ("payout", "SELECT min(id) FROM payouts"),
    "elimination": ("elimination", "SELECT min(id) FROM eliminations"),
    "left": ("distributor", "SELECT min(distributor_id) FROM eliminations"),
    "payee": ("distributor", "SELECT min(distributor_id) FROM statements"),
}
"""As in `foreign._OWN`."""


async def owed(session: AsyncSession) -> None:
    """A run under review, a dispute of a brand in it, debt that somebody asked to give up, and one who has left."""
    await factories.a_proof(session)
    await factories.a_proof(session, kind="rail_report")
    made = await settlements.settle(session, cutoff=NOW, now=NOW)
    assert made is not None
    await settlements.review(session, made.run_id, now=NOW, by=None)
    it = models.Statement
    of_brands = select(it).where(it.run_id == made.run_id, it.brand_id.is_not(None)).order_by(it.id)
    statement = (await session.scalars(of_brands.limit(1))).one()
    await settlements.dispute(session, statement.id, "少算", brand_id=statement.brand_id, by=None, now=NOW)
    owing = (await session.scalars(select(models.Distributor.id).limit(1))).one()
    session.add(models.WriteOff(distributor_id=owing, amount=1, reason="坏账", created_at=NOW))
    gone = await factories.a_distributor(session, state="suspended")
    operator = await account_of(session, "operator")
    await offboarding.eliminate(session, gone.id, reason="末位", now=NOW, account_id=operator)


def operations(own: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What is discarded at the end no other operation can read after it."""
    payee, fen = own["payee"], {"amount": 1, "reason": "测试"}
    taxed = {"distributor": payee, "policy": "NONE", "startsOn": "2026-11-01"}
    return {
        "partner/StatementReview": {"id": own["statement"]},
        "partner/DisputeStatement": {"id": own["statement"], "reason": "少算"},
        "partner/StatementPayment": {"id": own["statement"]},
        "brand/StatementPayment": {"id": own["supply"]},
        "brand/StatementReview": {"id": own["supply"]},
        "brand/DisputeStatement": {"id": own["supply"], "reason": "少算"},
        "operator/Elimination": {"id": own["elimination"]},
        "operator/EliminationStatements": {"id": own["elimination"]},
        "operator/ReinstateEliminatedDistributor": {"id": own["left"], "reason": "申诉成立"},
        "finance/Node": {"id": own["run"]},
        "finance/Run": {"id": own["run"], "payee": "BRAND"},
        "finance/Statement": {"id": own["statement"]},
        "finance/LedgerAccount": {"id": own["account"]},
        "finance/FinanceExport": {"id": own["finance_export"]},
        "finance/ExportRun": {"run": own["run"], "document": "STATEMENT_SUMMARY"},
        "finance/StatementReview": {"id": own["statement"]},
        "finance/Adjustments": {"payee": payee},
        "finance/IncomeOfYear": {"distributor": payee, "year": 2026},
        "finance/Adjust": {"input": {"payee": payee, "dated": "2026-11-01", **fen}},
        "finance/AskWriteOff": {"input": {"distributor": payee, **fen}},
        "finance/ApproveWriteOff": {"id": own["write_off"]},
        "finance/SetWithholding": {"input": taxed},
        "finance/SetDeduction": {"input": {"distributor": payee, "month": "2026-11-01", "amount": 1}},
        "finance/AnswerDispute": {"input": {"dispute": own["dispute"], "answer": "已核对"}},
        "finance/Payouts": {"run": own["run"]},
        "finance/Payout": {"id": own["payout"]},
        "finance/HoldPayout": {"id": own["payout"], "reason": "核对"},
        "finance/ReleasePayout": {"id": own["payout"]},
        "finance/ApprovePayout": {"id": own["payout"]},
        "finance/RetryPayout": {"id": own["payout"]},
        "finance/ReversePayout": {"id": own["payout"], "reason": "退回"},
        "finance/MarkPaidOutside": {
            "input": {"payout": own["payout"], "note": "现金", "reference": "1", "proof": own["proof"]}
        },
        "finance/ResolveBreak": {"id": own["rail_break"], "reason": "已核对"},
        "finance/ReadReport": {"rail": "BANK", "file": own["report"]},
        "finance/StartPayouts": {"run": own["run"], "rail": "BANK"},
        "finance/ReviewRun": {"id": own["run"]},
        "finance/ApproveRun": {"id": own["run"]},
        "finance/DiscardRun": {"id": own["run"]},
    }
