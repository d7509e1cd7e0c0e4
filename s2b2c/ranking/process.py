"""Tail elimination (末位淘汰) with due process: watch, notice, appeal, and what a person decides.

A run strikes nobody by itself: a person acts on it. Strikes live in the open case of a distributor, and without one
there are none. Every step is kept for good, with who took it, and told to whom it concerns.
"""

from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import network, offboarding
from s2b2c.errors import NotFound, Refused, WrongState, check_line
from s2b2c.models import RankingPolicy, RankingRun, TailCase, TailStep
from s2b2c.ranking import scoring
from s2b2c.ranking.metrics import METRICS
from s2b2c.sql import statements

MAX_LENGTH = 2000
"""Of what is said in a case."""

_DECISIONS = {
    "appealed": ("appealed", None),
    "upheld": ("appeal_upheld", "appeal_upheld"),
    "rejected": ("appeal_rejected", "appeal_rejected"),
    "spared": ("spared", "ranking_spared"),
    "eliminated": ("eliminated", None),
}
"""The step that leads to a state, and the notice that tells it; offboarding tells of an elimination itself."""


class Acted(NamedTuple):
    """How many were struck, how many of them got their notice with it, how many cases or watches ended."""

    struck: int
    noticed: int
    cleared: int


async def act(session: AsyncSession, run_id: int, *, by: int | None, account_id: int | None, now: datetime) -> Acted:
    """Take the strikes and the clearings of a run, once and for good; the run never changes again.

    In the tail: one strike more, from active to watch, told what to improve; with the last strike of the policy, a
    notice, and an appeal window from now on. Ranked and not in the tail: the case is closed with whatever waits in it,
    from watch to active. Let off, without a tail, not ranked: strikes stay. Who has left or was suspended since is not
    struck. Raises Refused: NotFound, and WrongState where the run was acted on, went by a draft, or lies before the end
    of one that was acted on (strikes are of periods in a row).
    """
    await network.lock_tree(session)
    run = await scoring.lock_run(session, run_id)
    if run.acted_at is not None:
        raise Refused(WrongState("This run was acted on already."))
    policy = await session.get(RankingPolicy, run.policy_id, populate_existing=True)
    assert policy is not None
    if policy.published_at is None:
        raise Refused(WrongState("This run goes by a draft: rank the period again by the policy in force."))
    last = await session.scalar(select(func.max(func.upper(RankingRun.period))).where(RankingRun.acted_at.is_not(None)))
    if last is not None and _first_day(run) < last:
        raise Refused(WrongState(f"A run up to {last} was acted on already: strikes are of later periods, in order."))
    facts = {"run_id": run_id, "by": by, "account_id": account_id, "now": now}
    labels = {language: [metric.labels[language] for metric in METRICS] for language in ("zh", "en")}
    struck, noticed = (await session.execute(statements("tail")["strike"], facts | labels)).one()
    cleared = await session.scalar(statements("tail")["clear"], facts)
    run.digest, run.acted_at, run.acted_by = await scoring.digest(session, run_id), now, by
    await session.flush()
    return Acted(struck, noticed, cleared or 0)


def _first_day(run: RankingRun) -> date:
    assert run.period.lower is not None
    return run.period.lower


async def appeal(
    session: AsyncSession, case_id: int, words: str, *, distributor_id: int, by: int | None, now: datetime
) -> TailCase:
    """Say against a notice why one should stay: once, from its delivery on, before `appeal_until`.

    Raises Refused: BadArgument, NotFound for a case of somebody else, WrongState.
    """
    check_line("words", words, MAX_LENGTH)
    case = await _locked(session, case_id, distributor_id)
    if case.state == "watch":
        raise Refused(WrongState("There is no notice to appeal against: you are watched, and strikes can still clear."))
    if case.state != "noticed":
        raise Refused(WrongState(f"The case is {case.state}: there is one appeal against a notice."))
    assert case.appeal_until is not None
    if now >= case.appeal_until:
        raise Refused(WrongState(f"The time to appeal ended at {case.appeal_until.isoformat()}."))
    return await _decide(session, case, "appealed", words, by=by, account_id=None, now=now)


async def answer_appeal(
    session: AsyncSession,
    case_id: int,
    reason: str,
    *,
    upheld: bool,
    by: int | None,
    account_id: int | None,
    now: datetime,
) -> TailCase:
    """Upheld, the case is closed, its strikes are gone, its person is active; rejected, it waits for a decision.

    Raises Refused: BadArgument, NotFound, WrongState.
    """
    check_line("reason", reason, MAX_LENGTH)
    await network.lock_tree(session)
    case = await _locked(session, case_id)
    if case.state != "appealed":
        raise Refused(WrongState(f"The case is {case.state}: no appeal waits for an answer."))
    state = "upheld" if upheld else "rejected"
    return await _decide(session, case, state, reason, by=by, account_id=account_id, now=now)


async def spare(
    session: AsyncSession, case_id: int, reason: str, *, by: int | None, account_id: int | None, now: datetime
) -> TailCase:
    """Decide not to eliminate: the case is closed, its strikes are gone and its person is active.

    Raises Refused: BadArgument, NotFound, WrongState before the notice, while an appeal waits, and once it is closed.
    """
    check_line("reason", reason, MAX_LENGTH)
    await network.lock_tree(session)
    case = await _locked(session, case_id)
    if case.state not in {"noticed", "rejected"}:
        raise Refused(WrongState(f"The case is {case.state}: nothing is to be decided about it now."))
    return await _decide(session, case, "spared", reason, by=by, account_id=account_id, now=now)


async def eliminate(
    session: AsyncSession, case_id: int, reason: str, *, by: int, account_id: int, now: datetime
) -> TailCase:
    """Decide to eliminate; `offboarding.eliminate` does all of it in this transaction. `by` is the person who decides.

    Raises Refused: BadArgument, NotFound, WrongState while there is no notice, while it can be appealed against, while
    an appeal waits for its answer, and once the case is closed.
    """
    network.check_text("reason", reason, 200)
    await network.lock_tree(session)
    case = await _locked(session, case_id)
    if (refusal := not_ripe(case, now)) is not None:
        raise Refused(refusal)
    # Whoever was suspended during its case came back active, not on watch.
    watch = {"case_id": case.id, "account_id": account_id, "now": now}
    await session.execute(statements("tail")["watch_again"], watch)
    await offboarding.eliminate(
        session, case.distributor_id, reason=reason, now=now, account_id=account_id, person_id=by
    )
    return await _decide(session, case, "eliminated", reason, by=by, account_id=account_id, now=now)


def not_ripe(case: TailCase, now: datetime) -> WrongState | None:
    """Why a case cannot end in an elimination yet, or any more."""
    if case.state == "rejected":
        return None
    if case.state == "noticed":
        assert case.appeal_until is not None
        if now >= case.appeal_until:
            return None
        return WrongState(f"It can be appealed against until {case.appeal_until.isoformat()}: decide after that.")
    if case.state == "appealed":
        return WrongState("An appeal waits for its answer: answer it first.")
    if case.state == "watch":
        return WrongState("There was no notice yet: only repeated strikes lead to one.")
    return WrongState(f"The case is closed: {case.state}.")


async def plan(
    session: AsyncSession,
    case_id: int,
    words: str,
    *,
    distributor_id: int | None = None,
    by: int | None,
    now: datetime,
) -> TailStep:
    """Write down what shall get better and how, while a case is open: the person itself, or the platform with it.

    Whoever is planned for by somebody else is told. Raises Refused: BadArgument, NotFound, WrongState.
    """
    check_line("words", words, MAX_LENGTH)
    case = await _locked(session, case_id, distributor_id)
    if case.closed_at is not None:
        raise Refused(WrongState(f"The case is closed: {case.state}."))
    step = TailStep(case_id=case.id, kind="planned", at=now, person_id=by, strikes=case.strikes, said=words)
    session.add(step)
    await session.flush()
    if distributor_id is None:
        await session.execute(
            statements("tail")["tell_planned"], {"distributor_id": case.distributor_id, "said": words, "now": now}
        )
    return step


async def _locked(session: AsyncSession, case_id: int, distributor_id: int | None = None) -> TailCase:
    case = await session.get(TailCase, case_id, with_for_update=True, populate_existing=True)
    if case is None or distributor_id not in {None, case.distributor_id}:
        raise Refused(NotFound("There is no such case: read the cases again."))
    return case


async def _decide(
    session: AsyncSession,
    case: TailCase,
    state: str,
    said: str,
    *,
    by: int | None,
    account_id: int | None,
    now: datetime,
) -> TailCase:
    kind, notice = _DECISIONS[state]
    facts: dict[str, Any] = {"case_id": case.id, "state": state, "kind": kind, "notice": notice, "said": said}
    facts |= {"reactivates": state in {"upheld", "spared"}, "by": by, "account_id": account_id, "now": now}
    await session.execute(statements("tail")["decide"], facts)
    await session.refresh(case)
    return case
