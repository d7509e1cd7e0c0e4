"""What the audit finds wrong with rankings and their tails, on a run that was acted on."""

from datetime import UTC, date, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, ranking
from tests.corruptions import Corruption, wrong

ACTED_AT = datetime(2026, 10, 2, 5, tzinfo=UTC)
TERMS = ranking.Terms(min_cohort=1, tail_bps=10_000, grace_days=0)

RANKING = {
    "ranking_digests": wrong("ranking_runs {ranked}", "UPDATE ranking_runs SET digest = '\\x00' WHERE id = {ranked}"),
    "ranking_names": wrong(
        "ranking_scores {unacted}/{seller}",
        "UPDATE ranking_scores SET tier_id = 999 WHERE run_id = {unacted} AND distributor_id = {seller}",
    ),
    "tail_cases": wrong("tail_cases {case}", "UPDATE tail_cases SET strikes = 2"),
}
MORE: list[tuple[str, Corruption]] = [
    *(
        ("ranking_digests", wrong("ranking_runs {ranked}", statement))
        for statement in (
            "UPDATE ranking_scores SET listings = listings + 1 WHERE run_id = {ranked} AND distributor_id = {top}",
            "UPDATE ranking_runs SET ranked = 2 WHERE id = {ranked}",
            "UPDATE ranking_runs SET in_tail = 2 WHERE id = {ranked}",
        )
    ),
    ("ranking_digests", wrong("ranking_runs {unacted}", "UPDATE ranking_runs SET ranked = 9 WHERE id = {unacted}")),
    (
        "ranking_names",
        wrong(
            "ranking_scores {unacted}/999999",
            "UPDATE ranking_scores SET distributor_id = 999999 WHERE run_id = {unacted} AND distributor_id = {seller}",
        ),
    ),
    (
        "ranking_names",
        wrong(
            (
                "ranking_scores {unacted}/{top}",
                "ranking_scores {unacted}/{parent}",
                "ranking_scores {unacted}/{seller}",
            ),
            "DELETE FROM ranking_runs WHERE id = {unacted}",
        ),
    ),
    *(
        ("tail_cases", wrong("tail_cases {case}", statement))
        for statement in (
            "DELETE FROM tail_steps",
            "UPDATE tail_steps SET kind = 'struck'",
            "UPDATE tail_steps SET strikes = 2",
            "UPDATE tail_steps SET at = at + interval '1 s'",
            "UPDATE tail_steps SET run_id = {unacted}",
            "UPDATE tail_cases SET opened_run_id = {unacted}",
            "UPDATE tail_cases SET last_run_id = {unacted}",
            "UPDATE tail_cases SET opened_at = opened_at - interval '1 s'",
            "UPDATE tail_cases SET state = 'noticed', noticed_at = opened_at, appeal_until = opened_at + interval '1 day'",
            "UPDATE tail_cases SET state = 'cleared', closed_at = opened_at",
            "INSERT INTO tail_steps (case_id, kind, at, strikes) SELECT case_id, 'cleared', at, 0 FROM tail_steps",
            "INSERT INTO tail_steps (case_id, kind, at, run_id, strikes) SELECT case_id, 'struck', at, run_id, 2 FROM tail_steps",
        )
    ),
]
"""(check, corruption): the other ways to break them."""


async def ranked(session: AsyncSession, seller: int, *exempt: int) -> dict[str, int]:
    """September is acted on, October is ranked alone; in the tail stands the seller, as the others are exempt."""
    drafted = await ranking.draft(session, "p", TERMS, by=None, now=ACTED_AT)
    policy = await ranking.publish(session, drafted.id, by=None, now=ACTED_AT)
    months = (date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 1))
    for one in exempt:
        await ranking.exempt(session, one, start=months[0], end=months[2], reason="产假", by=None, now=ACTED_AT)
    made = await ranking.rank(session, start=months[0], end=months[1], policy=policy)
    after = await ranking.rank(session, start=months[1], end=months[2], policy=policy)
    assert made.run_id is not None
    assert after.run_id is not None
    acted = await ranking.act(session, made.run_id, by=None, account_id=None, now=ACTED_AT)
    assert acted == ranking.Acted(struck=1, noticed=0, cleared=0)
    case = (await session.scalars(select(models.TailCase))).one()
    assert case.distributor_id == seller
    return {"ranked": made.run_id, "unacted": after.run_id, "case": case.id}
