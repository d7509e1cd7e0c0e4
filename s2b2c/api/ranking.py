"""Ranking and tail elimination at the door of the operator, and what a distributor sees of its own."""

from datetime import date
from typing import Any

import strawberry

from s2b2c import models, ranking
from s2b2c.api.access import OperatorDoor, PartnerDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.periods import From, To, check_day, check_period
from s2b2c.api.settling import person_of
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.ranking import (
    ActOnRankingResult,
    AnswerAppealResult,
    AppealResult,
    DraftRankingPolicyResult,
    EliminateDistributorResult,
    EndExemptionResult,
    ExemptDistributorResult,
    ExemptInput,
    FullRankingRun,
    FullStanding,
    FullTailCase,
    OwnStanding,
    OwnTailCase,
    PlanImprovementResult,
    PlanOwnImprovementResult,
    PublishRankingPolicyResult,
    RankingActedOn,
    RankingExemption,
    RankingForesight,
    RankingPolicy,
    RankingPolicyInput,
    RankingRun,
    RankPeriodResult,
    SpareDistributorResult,
    TailCaseState,
)
from s2b2c.config import SHANGHAI
from s2b2c.db import AnyRow
from s2b2c.errors import BadArgument, NotFound, Refused

SIMULATED_MONTHS = 12
SIMULATED_SHOWN = 100


def _terms(said: RankingPolicyInput) -> ranking.Terms:
    """Raises Refused(BadArgument)."""
    weights = {f"{it.metric.value}_weight_bps": int(it.weight_bps) for it in said.weights}
    if len(weights) < len(said.weights):
        raise Refused(BadArgument("A policy weighs each metric once."))
    none = {f"{metric.name}_weight_bps": 0 for metric in ranking.METRICS}
    return ranking.Terms(
        **(none | weights),
        cohort=said.cohort.value,
        min_cohort=int(said.min_cohort),
        min_orders=int(said.min_orders),
        grace_days=int(said.grace_days),
        tail_bps=int(said.tail_bps),
        strikes=int(said.strikes),
        appeal_days=int(said.appeal_days),
    )


@strawberry.type
class Rankings:
    """What the operator reads of rankings."""

    @strawberry.field(graphql_type=Connection[RankingPolicy], description="By which is ranked, newest first.")
    @staticmethod
    async def ranking_policies(
        info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[models.RankingPolicy]:
        page = Page("ranking-policy", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await ranking.policies(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=Connection[RankingRun], description="Rankings (排名), newest first.")
    @staticmethod
    async def ranking_runs(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("ranking-run", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await ranking.runs(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.RankingRun.id,))

    @strawberry.field(graphql_type=FullRankingRun | None, description="One ranking (排名); null when there is none.")
    @staticmethod
    async def ranking_run(info: Info, id: strawberry.ID) -> AnyRow | None:  # noqa: A002  the argument's name
        key = key_of("ranking-run", id)
        async with info.context.db.read() as session:
            return await ranking.run(session, key)

    @strawberry.field(
        graphql_type=Connection[FullStanding],
        description="What a distributor came to, period by period, newest first; also by runs nobody has acted on.",
    )
    @staticmethod
    async def standings(
        info: Info, distributor: strawberry.ID, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        return await _standings(info, key_of("distributor", distributor), first, after, acted_on_only=False)

    @strawberry.field(
        graphql_type=Connection[FullTailCase],
        description="Who stands in the tail (末位), and what came of it, newest first; of one state, or of one "
        "distributor, where that is asked for.",
    )
    @staticmethod
    async def tail_cases(
        info: Info,
        state: TailCaseState | None = None,
        distributor: strawberry.ID | None = None,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("tail-case", first, after, key_length=1)
        key = None if distributor is None else key_of("distributor", distributor)
        async with info.context.db.read() as session:
            rows = await ranking.cases(
                session,
                states=None if state is None else [state.value],
                distributor_id=key,
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, lambda row: (row.TailCase.id,))

    @strawberry.field(
        graphql_type=Connection[RankingExemption],
        description="Who is let off (豁免), newest first; or one distributor's.",
    )
    @staticmethod
    async def ranking_exemptions(
        info: Info, distributor: strawberry.ID | None = None, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("ranking-exemption", first, after, key_length=1)
        key = None if distributor is None else key_of("distributor", distributor)
        async with info.context.db.read() as session:
            rows = await ranking.exemptions(session, distributor_id=key, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=RankingForesight,
        description="What a policy, a draft or not, would have done over the last 1 to 12 calendar months before the "
        "day `until` (today): nothing is kept, nobody is struck. Of the hits at most 100 are shown. `s2b2c rank "
        "simulate` takes more.",
    )
    @staticmethod
    async def simulate_ranking(
        info: Info, policy: strawberry.ID, months: int = 3, until: date | None = None, top: int = 20
    ) -> ranking.Foresight:
        key = key_of("ranking-policy", policy)
        check_day("until", until)
        if not 1 <= months <= SIMULATED_MONTHS or not 0 <= top <= SIMULATED_SHOWN:
            raise Refused(
                BadArgument(
                    f"months must be 1 to {SIMULATED_MONTHS}, top 0 to {SIMULATED_SHOWN}: they are {months}, {top}."
                )
            )
        periods = ranking.months(until or info.context.clock().astimezone(SHANGHAI).date(), months)
        async with info.context.db.write() as session:
            found = await session.get(models.RankingPolicy, key)
            if found is None:
                raise Refused(NotFound("There is no such ranking policy: choose one of the list of policies."))
            return await ranking.simulate(session, found, periods, shown=top)


async def _standings(
    info: Info, distributor_id: int, first: int, after: str | None, *, acted_on_only: bool
) -> Connection[Any]:
    page = Page("standing-of", first, after, key_length=2)
    async with info.context.db.read() as session:
        rows = await ranking.standings(
            session, distributor_id, acted_on_only=acted_on_only, after=page.after, limit=page.limit
        )
    return page.connection(
        rows, lambda row: (row.RankingRun.period.lower.toordinal() - date.min.toordinal(), row.RankingRun.id)
    )


@strawberry.type
class OwnRanking:
    """What a distributor reads of its own ranking: its place and the size of its cohort, no figure of anybody else."""

    @strawberry.field(
        graphql_type=Connection[OwnStanding],
        description="Your place (排名) among your like, period by period, newest first, and what made it.",
    )
    @staticmethod
    async def standings(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        return await _standings(info, await info.context.distributor_id(), first, after, acted_on_only=True)

    @strawberry.field(
        graphql_type=Connection[OwnTailCase],
        description="What came of your places in the tail (末位): strikes, notices, appeals, newest first.",
    )
    @staticmethod
    async def tail_cases(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("tail-case", first, after, key_length=1)
        mine = await info.context.distributor_id()
        async with info.context.db.read() as session:
            rows = await ranking.cases(session, distributor_id=mine, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.TailCase.id,))


@strawberry.type
class OwnTailMutation:
    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=AppealResult,
        description="Say against a notice of yours why you should stay (申诉): once, in 1 to 2000 characters, in time.",
    )
    async def appeal(self, info: Info, case: strawberry.ID, words: str) -> AnyRow:
        key, mine = key_of("tail-case", case), await info.context.distributor_id()
        by = (await info.context.viewer()).person_id
        async with info.context.db.write() as session:
            await ranking.appeal(session, key, words, distributor_id=mine, by=by, now=info.context.clock())
            return await ranking.case(session, key)

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=PlanOwnImprovementResult,
        description="Write down what you will do to get better, while a case of yours is open; the platform reads it.",
    )
    async def plan_own_improvement(self, info: Info, case: strawberry.ID, words: str) -> AnyRow:
        key, mine = key_of("tail-case", case), await info.context.distributor_id()
        by = (await info.context.viewer()).person_id
        async with info.context.db.write() as session:
            await ranking.plan(session, key, words, distributor_id=mine, by=by, now=info.context.clock())
            return await ranking.case(session, key)


@strawberry.type
class RankingMutation:
    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=DraftRankingPolicyResult,
        description="A new version of a policy, a draft: simulateRanking tells what it would have done.",
    )
    async def draft_ranking_policy(self, info: Info, input: RankingPolicyInput) -> models.RankingPolicy:  # noqa: A002  the argument's name
        by, terms = await person_of(info, "write a policy"), _terms(input)
        async with info.context.db.write() as session:
            return await ranking.draft(session, input.code, terms, by=by, now=info.context.clock())

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=PublishRankingPolicyResult,
        description="From now on is ranked by this policy.",
    )
    async def publish_ranking_policy(self, info: Info, id: strawberry.ID) -> models.RankingPolicy:  # noqa: A002
        by, key = await person_of(info, "publish a policy"), key_of("ranking-policy", id)
        async with info.context.db.write() as session:
            return await ranking.publish(session, key, by=by, now=info.context.clock())

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=RankPeriodResult,
        description="Rank the days from `from` up to, not with, `to` by the policy in force, and freeze every number; "
        "the same period again replaces it until it is acted on. Nobody is struck or told.",
    )
    async def rank_period(self, info: Info, start: From, end: To) -> AnyRow | None:
        check_period(start, end)
        by = await person_of(info, "rank")
        async with info.context.db.write() as session:
            policy = await ranking.in_force(session, now=info.context.clock())
            made = await ranking.rank(session, start=start, end=end, policy=policy, shown=0, by=by)
            assert made.run_id is not None
            return await ranking.run(session, made.run_id)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=ActOnRankingResult,
        description="Take what a ranking leads to, for good: strikes and watch, notices with the last strike, and the "
        "end of cases of those who have left the tail. Each is told.",
    )
    async def act_on_ranking(self, info: Info, run: strawberry.ID) -> RankingActedOn:
        by, key = await person_of(info, "act on a ranking"), key_of("ranking-run", run)
        account_id = (await info.context.viewer()).account_id
        async with info.context.db.write() as session:
            acted = await ranking.act(session, key, by=by, account_id=account_id, now=info.context.clock())
            row: Any = await ranking.run(session, key)
        return RankingActedOn(
            run=row, struck=Int64(acted.struck), noticed=Int64(acted.noticed), cleared=Int64(acted.cleared)
        )

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=ExemptDistributorResult,
        description="Let a distributor off (豁免) in a tail place of any period with one of these days.",
    )
    async def exempt_distributor(self, info: Info, input: ExemptInput) -> AnyRow:  # noqa: A002
        by, key = await person_of(info, "exempt somebody"), key_of("distributor", input.distributor)
        check_day("start", input.start)
        check_day("end", input.end)
        async with info.context.db.write() as session:
            made = await ranking.exempt(
                session,
                key,
                start=input.start,
                end=input.end,
                reason=input.reason,
                by=by,
                now=info.context.clock(),
            )
            return await ranking.exemption(session, made.id)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=EndExemptionResult,
        description="An exemption does not count from the day `on`, instead of a later one.",
    )
    async def end_exemption(self, info: Info, id: strawberry.ID, on: date) -> AnyRow:  # noqa: A002
        by, key = await person_of(info, "end an exemption"), key_of("ranking-exemption", id)
        check_day("on", on)
        async with info.context.db.write() as session:
            await ranking.end_exemption(session, key, on=on, by=by, now=info.context.clock())
            return await ranking.exemption(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=PlanImprovementResult,
        description="Write down with a distributor what shall get better and how, while its case is open; it is told.",
    )
    async def plan_improvement(self, info: Info, case: strawberry.ID, words: str) -> AnyRow:
        by, key = await person_of(info, "plan"), key_of("tail-case", case)
        async with info.context.db.write() as session:
            await ranking.plan(session, key, words, by=by, now=info.context.clock())
            return await ranking.case(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=AnswerAppealResult,
        description="Answer an appeal (申诉), once; its distributor is told. Upheld, its strikes are gone.",
    )
    async def answer_appeal(self, info: Info, case: strawberry.ID, upheld: bool, reason: str) -> AnyRow:  # noqa: FBT001  by name
        by, key = await person_of(info, "answer an appeal"), key_of("tail-case", case)
        who = {"by": by, "account_id": (await info.context.viewer()).account_id}
        async with info.context.db.write() as session:
            await ranking.answer_appeal(session, key, reason, upheld=upheld, **who, now=info.context.clock())
            return await ranking.case(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=SpareDistributorResult,
        description="Decide after a notice that a distributor stays: its strikes are gone. It is told the reason.",
    )
    async def spare_distributor(self, info: Info, case: strawberry.ID, reason: str) -> AnyRow:
        by, key = await person_of(info, "decide"), key_of("tail-case", case)
        who = {"by": by, "account_id": (await info.context.viewer()).account_id}
        async with info.context.db.write() as session:
            await ranking.spare(session, key, reason, **who, now=info.context.clock())
            return await ranking.case(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=EliminateDistributorResult,
        description="Decide that a distributor goes (淘汰), after its time to appeal or its rejected appeal: its "
        "stores close, its customers and downlines move up, its access ends; what it earned is paid. See elimination.",
    )
    async def eliminate_distributor(self, info: Info, case: strawberry.ID, reason: str) -> AnyRow:
        by, key = await person_of(info, "decide"), key_of("tail-case", case)
        account_id = (await info.context.viewer()).account_id
        async with info.context.db.write() as session:
            await ranking.eliminate(session, key, reason, by=by, account_id=account_id, now=info.context.clock())
            return await ranking.case(session, key)
