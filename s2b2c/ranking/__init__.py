"""Daily totals, the ranking of distributors among their like, and what follows for those in the tail."""

from s2b2c.ranking.foresight import ForeseenHit, ForeseenPeriod, Foresight, months, simulate
from s2b2c.ranking.metrics import METRICS, period
from s2b2c.ranking.policies import (
    Terms,
    draft,
    end_exemption,
    exempt,
    exemption,
    exemptions,
    in_force,
    policies,
    publish,
)
from s2b2c.ranking.process import Acted, act, answer_appeal, appeal, eliminate, not_ripe, plan, spare
from s2b2c.ranking.reading import Escape, case, cases, escapes, run, runs, scores, standings, steps_of
from s2b2c.ranking.rollups import roll_up
from s2b2c.ranking.scoring import Ranking, Standing, digest, rank, top_and_tail, verify

__all__ = [
    "METRICS",
    "Acted",
    "Escape",
    "ForeseenHit",
    "ForeseenPeriod",
    "Foresight",
    "Ranking",
    "Standing",
    "Terms",
    "act",
    "answer_appeal",
    "appeal",
    "case",
    "cases",
    "digest",
    "draft",
    "eliminate",
    "end_exemption",
    "escapes",
    "exempt",
    "exemption",
    "exemptions",
    "in_force",
    "months",
    "not_ripe",
    "period",
    "plan",
    "policies",
    "publish",
    "rank",
    "roll_up",
    "run",
    "runs",
    "scores",
    "simulate",
    "spare",
    "standings",
    "steps_of",
    "top_and_tail",
    "verify",
]
