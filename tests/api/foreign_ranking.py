"""What `foreign` lacks of rankings: cases of the tail, an exemption and a draft, and every operation that takes the id of one."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, ranking
from tests.api.conftest import NOW
from tests.api.doors import OTHERS, WHO

KINDS: dict[str, tuple[str, Mapping[str, str]]] = {
    "tail-case": ("SELECT id FROM tail_cases", {"partner": "distributor_id <> :me", "operator": "false"}),
    "ranking-run": ("SELECT id FROM ranking_runs", {"operator": "false"}),
    "ranking-policy": ("SELECT id FROM ranking_policies", {"operator": "false"}),
    "ranking-exemption": ("SELECT id FROM ranking_exemptions", {"operator": "false"}),
}
"""As in `foreign.KINDS`."""
OWN = {
    "case": ("tail-case", "SELECT id FROM tail_cases WHERE distributor_id = :distributor"),
    "ranking_run": ("ranking-run", "SELECT min(id) FROM ranking_runs"),
    "ranking_policy": ("ranking-policy", "SELECT max(id) FROM ranking_policies"),
    "exemption": ("ranking-exemption", "SELECT min(id) FROM ranking_exemptions"),
}
"""As in `foreign._OWN`."""


async def judged(session: AsyncSession) -> None:
    """Who stands at the door, and a stranger, have got their notice; a policy is a draft, and somebody is exempt."""
    run_id = (await session.scalars(select(models.RankingRun.id))).one()
    for who in (WHO, OTHERS):
        of = select(models.Distributor.id).where(models.Distributor.code == who["distributor"]["distributor"])
        case = models.TailCase(
            distributor_id=(await session.scalars(of)).one(),
            state="noticed",
            strikes=2,
            opened_run_id=run_id,
            last_run_id=run_id,
            opened_at=NOW,
            noticed_at=NOW,
            appeal_until=NOW + timedelta(days=7),
        )
        session.add(case)
        await session.flush()
        session.add(models.TailStep(case_id=case.id, kind="noticed", at=NOW, run_id=run_id, strikes=2))
    await ranking.draft(session, "default", ranking.Terms(), by=None, now=NOW)
    days = {"start": date(2026, 11, 1), "end": date(2026, 12, 1)}
    await ranking.exempt(session, case.distributor_id, **days, reason="产假", by=None, now=NOW)


def operations(own: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    case, why = {"case": own["case"]}, {"reason": "测试"}
    exempt = {"distributor": own["distributor"], "start": "2026-11-01", "end": "2026-12-01", **why}
    return {
        "partner/Appeal": {**case, "words": "仓库被淹"},
        "partner/PlanOwnImprovement": {**case, "words": "每周直播"},
        "operator/RankingRun": {"id": own["ranking_run"], "tier": own["tier"]},
        "operator/Standings": {"distributor": own["distributor"]},
        "operator/TailCases": {"distributor": own["distributor"]},
        "operator/RankingExemptions": {"distributor": own["distributor"]},
        "operator/SimulateRanking": {"policy": own["ranking_policy"], "months": 1, "until": "2026-11-01"},
        "operator/PublishRankingPolicy": {"id": own["ranking_policy"]},
        "operator/ActOnRanking": {"run": own["ranking_run"]},
        "operator/ExemptDistributor": {"input": exempt},
        "operator/EndExemption": {"id": own["exemption"], "on": "2026-11-15"},
        "operator/PlanImprovement": {**case, "words": "配一名导师"},
        "operator/AnswerAppeal": {**case, "upheld": False, **why},
        "operator/SpareDistributor": {**case, **why},
        "operator/EliminateDistributor": {**case, **why},
    }
