"""Ranking: what counts, where somebody stands and why, and the cases of those in the tail."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, NamedTuple

import strawberry

from s2b2c import ranking
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.errors import done
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of, key_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.network import DistributorName, Tier
from s2b2c.api.types.notices import Language
from s2b2c.api.types.settlements import person
from s2b2c.ranking.metrics import Metric as Definition
from s2b2c.ranking.metrics import sentence


@strawberry.enum(description="What distributors are ranked by: of their own orders, never of their downline's.")
class Metric(Enum):
    OUTPUT = "output"
    ORDERS = "orders"
    CUSTOMERS = "customers"
    REPEAT = "repeat"
    REFUND = "refund"
    GROWTH = "growth"
    SELL_THROUGH = "sell_through"


@strawberry.enum(description="What a place in a ranking leads to.")
class RankingOutcome(Enum):
    CLEAR = "clear"
    TAIL = "tail"
    LET_OFF = "let_off"
    NO_TAIL = "no_tail"


@strawberry.enum(description="Who is compared with whom.")
class RankingCohort(Enum):
    TIER_REGION = "tier_region"
    TIER = "tier"


@strawberry.enum(description="What a case of the tail has come to; the last four are its end.")
class TailCaseState(Enum):
    WATCH = "watch"
    NOTICED = "noticed"
    APPEALED = "appealed"
    REJECTED = "rejected"
    UPHELD = "upheld"
    SPARED = "spared"
    CLEARED = "cleared"
    ELIMINATED = "eliminated"


@strawberry.enum(description="One thing that happened in a case.")
class TailStepKind(Enum):
    WATCHED = "watched"
    STRUCK = "struck"
    NOTICED = "noticed"
    PLANNED = "planned"
    APPEALED = "appealed"
    APPEAL_UPHELD = "appeal_upheld"
    APPEAL_REJECTED = "appeal_rejected"
    SPARED = "spared"
    CLEARED = "cleared"
    ELIMINATED = "eliminated"


class _MetricOf(NamedTuple):
    """A metric of a row of `ranking.scores`."""

    metric: Definition
    row: Any
    shows_means: bool


def _column(name: str) -> Any:
    """The column of this metric in the score."""
    return lambda it: getattr(it.row.RankingScore, f"{it.metric.name}_{name}")


def _counted(it: _MetricOf) -> int:
    column = f"{it.metric.name}_bps" if it.metric.is_rate else it.metric.name
    value: int = getattr(it.row.RankingScore, column)
    return value


def _mean(it: _MetricOf) -> int | None:
    value: int | None = getattr(it.row.RankingScore, f"{it.metric.name}_mean_bps", None)
    return value


def _sentence(root: strawberry.Parent[Any], language: Language = Language.ZH) -> str:
    return sentence(
        root.metric, root.row.RankingScore, root.row.RankingPolicy, language.value, shows_mean=root.shows_means
    )


@strawberry.type
class MetricHead:
    metric: Metric = computed(lambda it: Metric(it.metric.name), description="Which one.")
    own: Int64 | None = computed(
        lambda it: it.metric.own(it.row.RankingScore), description="The number itself; null where there is no rate."
    )
    place: Int64 = computed(_column("place"), description="1 and as many as are better, of those compared.")
    share_bps: Int64 = computed(
        _column("share_bps"), description="How many of the others it beats, ties by half, in basis points."
    )
    weight_bps: Int64 = computed(
        lambda it: getattr(it.row.RankingPolicy, f"{it.metric.name}_weight_bps"),
        description="Of the score, in basis points.",
    )
    sentence: str = strawberry.field(resolver=_sentence, description="All of it in words.")


@strawberry.type(description="What one metric adds to your score.")
class OwnMetric(MetricHead):
    pass


@strawberry.type(description="What one metric adds to a score.")
class FullMetric(MetricHead):
    counted: Int64 = computed(_counted, description="As it was compared: a rate of few orders is drawn to the mean.")
    mean_bps: Int64 | None = computed(_mean, description="Of a rate: of all that are compared, pooled.")


@strawberry.type(description="This place in this metric, all else as it was, would have been out of the tail.")
class TailEscape:
    metric: Metric = computed(lambda it: Metric(it.metric), description="Which one.")
    place: Int64 = strawberry.field(description="Of those compared.")


def _period(name: str) -> Any:
    return lambda row: getattr(row.RankingRun.period, name)


def _of_score(name: str) -> Any:
    return lambda row: getattr(row.RankingScore, name)


def _metrics(*, shows_means: bool) -> Any:
    return lambda row: [_MetricOf(metric, row, shows_means) for metric in ranking.METRICS]


@strawberry.type
class StandingHead:
    start: date = computed(_period("lower"), description="The first day of the period.")
    end: date = computed(_period("upper"), description="The first day behind it.")
    rank: Int64 = computed(_of_score("rank"), description="1 is the best of the cohort.")
    members: Int64 = computed(_of_score("members"), description="How many are ranked in the cohort.")
    compared: Int64 = computed(
        _of_score("compared"), description="How many the numbers were compared with, oneself included."
    )
    score: Int64 = computed(_of_score("score"), description="The weighted sum of the shares, of 10000.")
    outcome: RankingOutcome = computed(
        lambda row: RankingOutcome(row.RankingScore.outcome), description="To what it led."
    )
    to_leave_tail: list[TailEscape] = computed(
        ranking.escapes, description="Each alone would have done; empty outside the tail, or where nothing alone would."
    )


@strawberry.type(description="Your place in a ranking that was acted on, and what made it.")
class OwnStanding(StandingHead):
    tier: Tier = computed(lambda row: row.Tier, description="Of the cohort.")
    region: str | None = computed(_of_score("region"), description="Of the cohort; null where it is the whole tier.")
    metrics: list[OwnMetric] = computed(_metrics(shows_means=False), description="Each, in the same order always.")


@strawberry.type(description="A distributor's place in a ranking, and what made it.")
class FullStanding(StandingHead):
    distributor: DistributorName = computed(lambda row: row.Distributor, description="Whose.")
    tier: Tier = computed(lambda row: row.Tier, description="Of the cohort.")
    region: str | None = computed(_of_score("region"), description="Of the cohort; null where it is the whole tier.")
    metrics: list[FullMetric] = computed(_metrics(shows_means=True), description="Each, in the same order always.")


@strawberry.type(description="The weight of a metric in the score.")
class MetricWeight:
    metric: Metric = computed(lambda pair: pair[0], description="Which one.")
    weight_bps: Int64 = computed(lambda pair: pair[1], description="In basis points, 10000 all together.")


@strawberry.type(description="By which rules distributors are ranked, and what follows in the tail.")
class RankingPolicy:
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = id_of("ranking-policy")
    code: str
    version: Int64 = strawberry.field(description="1, 2, ... of its code.")
    metrics_version: Int64 = strawberry.field(description="Of the definitions of the metrics.")
    weights: list[MetricWeight] = computed(
        lambda row: [(it, getattr(row, f"{it.value}_weight_bps")) for it in Metric], description="Of each metric."
    )
    cohort: RankingCohort = strawberry.field(description="Who is compared with whom.")
    min_cohort: Int64 = strawberry.field(description="Fewer than this have no tail.")
    min_orders: Int64 = strawberry.field(description="With fewer, rates are drawn to the mean of the cohort.")
    grace_days: Int64 = strawberry.field(description="Who takes part for a shorter time is not ranked.")
    tail_bps: Int64 = strawberry.field(description="The share of a cohort that is its tail, in basis points.")
    strikes: Int64 = strawberry.field(description="Times in the tail, in a row, until a notice.")
    appeal_days: Int64 = strawberry.field(description="From the notice on.")
    created_at: datetime
    created_by: strawberry.ID | None = person("created_by")
    published_at: datetime | None = strawberry.field(description="The one published last is in force; null is a draft.")
    published_by: strawberry.ID | None = person("published_by")


@strawberry.type
class RankingRunHead:
    id: strawberry.ID = computed(lambda row: encode("ranking-run", row.RankingRun.id))
    start: date = computed(_period("lower"), description="The first day of the period.")
    end: date = computed(_period("upper"), description="The first day behind it.")
    policy: RankingPolicy = computed(lambda row: row.RankingPolicy, description="By which it ranks.")
    ranked: Int64 = computed(lambda row: row.RankingRun.ranked, description="How many were.")
    in_tail: Int64 = computed(
        lambda row: row.RankingRun.in_tail, description="How many stand there, those let off aside."
    )
    created_at: datetime = computed(lambda row: row.RankingRun.created_at)
    created_by: strawberry.ID | None = computed(
        lambda row: _person(row.RankingRun.created_by), description="Null where the command line did it."
    )
    acted_at: datetime | None = computed(
        lambda row: row.RankingRun.acted_at,
        description="From then on it never changes; null before.",
    )
    acted_by: strawberry.ID | None = computed(
        lambda row: _person(row.RankingRun.acted_by), description="Null where the command line did it."
    )
    digest: str | None = computed(
        lambda row: row.RankingRun.digest and row.RankingRun.digest.hex(),
        description="SHA-256 of its rows as it was acted on.",
    )


def _person(key: int | None) -> str | None:
    return None if key is None else encode("person", key)


@strawberry.type(description="A period ranked by a policy.")
class RankingRun(RankingRunHead):
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = computed(lambda row: encode("ranking-run", row.RankingRun.id))


@strawberry.type(description="A period ranked by a policy, with its rows.")
class FullRankingRun(RankingRunHead):
    @strawberry.field(
        graphql_type=Connection[FullStanding], description="Best first. `region` is where they are, of any cohort."
    )
    @staticmethod
    async def standings(
        root: strawberry.Parent[Any],
        info: Info,
        outcome: RankingOutcome | None = None,
        tier: strawberry.ID | None = None,
        region: str | None = None,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("standing", first, after, key_length=3)
        tier_id = None if tier is None else key_of("tier", tier)
        async with info.context.db.read() as session:
            rows = await ranking.scores(
                session,
                root.RankingRun.id,
                outcome=outcome and outcome.value,
                tier_id=tier_id,
                region=region,
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, _score_key)


def _score_key(row: Any) -> tuple[int, ...]:
    score = row.RankingScore
    return score.score, score.output, score.distributor_id


@strawberry.type
class TailStepHead:
    kind: TailStepKind = computed(lambda row: TailStepKind(row.TailStep.kind))
    at: datetime = computed(lambda row: row.TailStep.at, description="When.")
    strikes: Int64 = computed(lambda row: row.TailStep.strikes, description="As they stood after it.")
    said: str | None = computed(lambda row: row.TailStep.said, description="In the words of who took it.")
    start: date | None = computed(
        lambda row: row.start, description="Of the period whose ranking took it; null for a person."
    )
    end: date | None = computed(lambda row: row.end, description="The first day behind that period.")


@strawberry.type(description="One thing that happened in your case.")
class OwnTailStep(TailStepHead):
    pass


@strawberry.type(description="One thing that happened in a case.")
class FullTailStep(TailStepHead):
    by: strawberry.ID | None = computed(
        lambda row: _person(row.TailStep.person_id), description="Who took it; null where no person is known."
    )


async def _steps(case: Any, info: Info) -> Sequence[Any]:
    return await info.context.load.tail_steps.load(case.TailCase.id)


def _of_case(name: str) -> Any:
    return lambda row: getattr(row.TailCase, name)


@strawberry.type
class TailCaseHead:
    id: strawberry.ID = computed(lambda row: encode("tail-case", row.TailCase.id))
    state: TailCaseState = computed(lambda row: TailCaseState(row.TailCase.state))
    strikes: Int64 = computed(_of_case("strikes"), description="As they stand, or stood at its end.")
    opened_at: datetime = computed(_of_case("opened_at"), description="When the first strike came.")
    noticed_at: datetime | None = computed(_of_case("noticed_at"), description="Null while there is no notice.")
    appeal_until: datetime | None = computed(
        _of_case("appeal_until"), description="An appeal comes before it; null while there is no notice."
    )
    closed_at: datetime | None = computed(_of_case("closed_at"), description="Null while it is open.")


@strawberry.type(description="Your case: from the first strike until you have left the tail, or a person has decided.")
class OwnTailCase(TailCaseHead):
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = computed(lambda row: encode("tail-case", row.TailCase.id))

    @strawberry.field(graphql_type=list[OwnTailStep], description="What happened, the first step first.")
    @staticmethod
    async def steps(root: strawberry.Parent[Any], info: Info) -> Sequence[Any]:
        return await _steps(root, info)


@strawberry.type(description="A case of the tail: from the first strike until it is cleared, or a person has decided.")
class FullTailCase(TailCaseHead):
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = computed(lambda row: encode("tail-case", row.TailCase.id))
    distributor: DistributorName = computed(lambda row: row.Distributor, description="Whose.")

    @strawberry.field(
        description="Whether a person may decide so now: the time to appeal is over, or the appeal rejected."
    )
    @staticmethod
    def can_be_eliminated(root: strawberry.Parent[Any], info: Info) -> bool:
        return ranking.not_ripe(root.TailCase, info.context.clock()) is None

    @strawberry.field(graphql_type=list[FullTailStep], description="What happened, the first step first.")
    @staticmethod
    async def steps(root: strawberry.Parent[Any], info: Info) -> Sequence[Any]:
        return await _steps(root, info)


@strawberry.type(description="Why somebody is let off from a tail place, and for which periods.")
class RankingExemption:
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = id_of("ranking-exemption")
    distributor: DistributorName = strawberry.field(description="Who.")
    start: date = strawberry.field(description="Periods with a day from this one on.")
    end: date = strawberry.field(description="The first day that does not count.")
    reason: str
    created_at: datetime
    created_by: strawberry.ID | None = person("created_by")
    ended_at: datetime | None = strawberry.field(description="When somebody gave it an earlier end; null as a rule.")
    ended_by: strawberry.ID | None = person("ended_by")


@strawberry.type(description="What acting on a run did.")
class RankingActedOn:
    is_type_of: ClassVar[Any] = classmethod(done)

    run: RankingRun = strawberry.field(description="As it stands, for good.")
    struck: Int64 = strawberry.field(description="How many got a strike.")
    noticed: Int64 = strawberry.field(description="How many of them got their notice with it.")
    cleared: Int64 = strawberry.field(description="How many cases or watches ended.")


@strawberry.type(description="What a policy would have done in a period.")
class ForeseenPeriod:
    start: date = strawberry.field(description="Its first day.")
    end: date = strawberry.field(description="The first day behind it.")
    ranked: Int64 = strawberry.field(description="How many.")
    in_tail: Int64 = strawberry.field(description="How many stood there, those let off aside.")
    let_off: Int64 = strawberry.field(description="In a tail place, and exempt.")
    noticed: Int64 = strawberry.field(description="How many would have got a notice.")
    in_tail_before: Int64 = strawberry.field(description="How many were in the tail of the period before.")
    returned: Int64 = strawberry.field(description="How many of those are in it again: a steady tail is no accident.")
    fallen: Int64 = strawberry.field(description="How many in the tail were above the median in the period before.")


@strawberry.type(description="Somebody who would have got a notice.")
class ForeseenHit(DistributorName):
    period: Int64 = strawberry.field(description="In which of the periods, from 1.")
    periods_in_tail: Int64 = strawberry.field(description="In how many of them it stood in the tail.")
    was_above_median: bool = strawberry.field(description="In any of them.")


@strawberry.type(description="What a policy would have done over past periods; nobody is judged by it.")
class RankingForesight:
    is_type_of: ClassVar[Any] = classmethod(done)

    periods: list[ForeseenPeriod] = strawberry.field(description="In order of time.")
    hits: Int64 = strawberry.field(description="How many would have got a notice.")
    hits_above_median: Int64 = strawberry.field(description="How many of them stood above the median in some period.")
    stability_bps: Int64 | None = strawberry.field(
        description="The share of a tail that is in the next one again, in basis points; null without a tail."
    )
    shown: list[ForeseenHit] = strawberry.field(description="The first of those who would have got a notice.")


@strawberry.input(description="The weight of a metric in the score.")
class MetricWeightInput:
    metric: Metric = strawberry.field(description="Each at most once; one that is left out weighs nothing.")
    weight_bps: Int64 = strawberry.field(description="In basis points, 10000 all together.")


@strawberry.input(description="A new version of a policy.")
class RankingPolicyInput:
    code: str = strawberry.field(description="1 to 64 characters; the versions of a code count from 1.")
    weights: list[MetricWeightInput] = strawberry.field(description="Of the metrics.")
    cohort: RankingCohort = strawberry.field(default=RankingCohort.TIER_REGION, description="Who is compared.")
    min_cohort: Int64 = strawberry.field(default=Int64(5), description="Fewer than this have no tail.")
    min_orders: Int64 = strawberry.field(default=Int64(10), description="With fewer, rates are drawn to the mean.")
    grace_days: Int64 = strawberry.field(default=Int64(90), description="Newer ones are not ranked.")
    tail_bps: Int64 = strawberry.field(default=Int64(1000), description="The share of a cohort that is its tail.")
    strikes: Int64 = strawberry.field(default=Int64(2), description="Times in the tail until a notice, 1 to 100.")
    appeal_days: Int64 = strawberry.field(default=Int64(7), description="From the notice on, 1 to 365.")


@strawberry.input(description="Whom to let off, and for which periods.")
class ExemptInput:
    distributor: strawberry.ID = strawberry.field(description="Its `id`.")
    start: date = strawberry.field(description="Periods with a day from this one on.")
    end: date = strawberry.field(description="The first day that does not count; at most ten years later.")
    reason: str


def _union(name: str, *members: Any) -> Any:
    made: Any = members[0]
    for member in members[1:]:
        made = made | member
    return Annotated[made, strawberry.union(name)]


_REFUSALS = (errors.BadArgument, errors.NotFound, errors.WrongState)
DraftRankingPolicyResult = _union("DraftRankingPolicyResult", RankingPolicy, errors.BadArgument, errors.WrongState)
PublishRankingPolicyResult = _union("PublishRankingPolicyResult", RankingPolicy, *_REFUSALS)
RankPeriodResult = _union("RankPeriodResult", RankingRun, *_REFUSALS, errors.PeriodOpen)
ActOnRankingResult = _union("ActOnRankingResult", RankingActedOn, *_REFUSALS)
ExemptDistributorResult = _union("ExemptDistributorResult", RankingExemption, *_REFUSALS, errors.AlreadyTaken)
EndExemptionResult = _union("EndExemptionResult", RankingExemption, *_REFUSALS)
AppealResult = _union("AppealResult", OwnTailCase, *_REFUSALS)
PlanOwnImprovementResult = _union("PlanOwnImprovementResult", OwnTailCase, *_REFUSALS)
PlanImprovementResult = _union("PlanImprovementResult", FullTailCase, *_REFUSALS)
AnswerAppealResult = _union("AnswerAppealResult", FullTailCase, *_REFUSALS)
SpareDistributorResult = _union("SpareDistributorResult", FullTailCase, *_REFUSALS)
EliminateDistributorResult = _union("EliminateDistributorResult", FullTailCase, *_REFUSALS)
