"""The audit finds every case that is not what its steps say, and every run that is not what its rows say."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import audit, models, ranking
from tests.corruptions import Corruption
from tests.ranking_corruptions import MORE
from tests.test_audit import _a_world
from tests.test_ranking import sell
from tests.test_tail import ACTED_AT, DAY, PERIODS, act, rank, three_months


@pytest.mark.parametrize(("check", "corruption"), MORE)
async def test_a_corrupted_ranking_is_named(session: AsyncSession, check: str, corruption: Corruption) -> None:
    names = await _a_world(session)
    await session.execute(text("SET LOCAL ROLE NONE"))
    for statement in corruption.statements:
        await session.execute(text(statement.format(**names)))
    found = {breach.check: sorted(key for key, _ in breach.rows) for breach in await audit.audit(session)}
    assert found == {check: sorted(row.format(**names) for row in corruption.rows)}


async def breaches(session: AsyncSession) -> list[audit.Breach]:
    """Of rankings alone: this world was made without histories."""
    return [it for it in await audit.audit(session) if it.check in {"ranking_digests", "ranking_names", "tail_cases"}]


@pytest.mark.parametrize("end", ["upheld", "spared", "eliminated", "cleared"])
async def test_every_way_that_a_case_goes_is_clean(session: AsyncSession, end: str) -> None:
    """Watched, noticed, planned for, appealed, struck again while the appeal waits, and an end."""
    world = await three_months(session)
    who: dict[str, Any] = {"by": world.by, "account_id": world.account_id}
    nine: dict[str, Any] = {"distributor_id": world.people[8].id, "by": None, "now": ACTED_AT + DAY}
    case_id = 0
    for days, (start, stop) in enumerate(PERIODS):
        if days == 2 and end == "cleared":
            await sell(session, world.people[8], *(9000,) * 4, at=datetime(2025, 8, 20, 4, tzinfo=UTC))
            await ranking.roll_up(session)
        run_id, _ = await rank(session, world, start, stop)
        await act(session, world, run_id, days=days)
        assert await breaches(session) == []
        if days == 1:
            of = models.TailCase.distributor_id == world.people[8].id
            case_id = (await session.scalars(select(models.TailCase.id).where(of))).one()
            await ranking.plan(session, case_id, "每周直播两次", **nine)
            await ranking.appeal(session, case_id, "仓库被淹", **nine)
    now = ACTED_AT + 5 * DAY
    if end != "cleared":
        await ranking.answer_appeal(session, case_id, "…", upheld=end == "upheld", **who, now=now)
        assert await breaches(session) == []
    if end == "spared":
        await ranking.spare(session, case_id, "留", **who, now=now)
    elif end == "eliminated":
        await ranking.eliminate(session, case_id, "末位", **who, now=now)
    case = await session.get_one(models.TailCase, case_id, populate_existing=True)
    assert (case.state, case.strikes) == (end, 2 if end == "cleared" else 3)
    assert await breaches(session) == []
