"""Who sees what of rankings and their tails: rows as those of `access_matrix`."""

from tests.api.access_matrix import Secret

_HEAD = "start end rank members compared score outcome toLeaveTail tier region metrics"
_CASE = "id state strikes openedAt noticedAt appealUntil closedAt steps"
_METRIC = "metric own place shareBps weightBps sentence"
_STEP = "kind at strikes said start end"
_RUN = "id start end policy ranked inTail createdAt createdBy actedAt actedBy digest"

RANKING: dict[str, dict[str, str]] = {
    "distributor operator": {
        "TailEscape": "metric place",
    },
    "distributor": {
        "PartnerQuery": "standings tailCases",
        "OwnStanding": _HEAD,
        "OwnMetric": _METRIC,
        "OwnTailCase": _CASE,
        "OwnTailStep": _STEP,
        "Mutation": "appeal planOwnImprovement",
    },
    "operator": {
        "OperatorQuery": (
            "rankingPolicies rankingRuns rankingRun standings tailCases rankingExemptions simulateRanking"
        ),
        "RankingPolicy": (
            "id code version metricsVersion weights cohort minCohort minOrders graceDays tailBps strikes appealDays "
            "createdAt createdBy publishedAt publishedBy"
        ),
        "MetricWeight": "metric weightBps",
        "RankingRun": _RUN,
        "FullRankingRun": f"{_RUN} standings",
        "FullStanding": f"{_HEAD} distributor",
        "FullMetric": f"{_METRIC} counted meanBps",
        "FullTailCase": f"{_CASE} distributor canBeEliminated",
        "FullTailStep": f"{_STEP} by",
        "RankingExemption": "id distributor start end reason createdAt createdBy endedAt endedBy",
        "RankingActedOn": "run struck noticed cleared",
        "RankingForesight": "periods hits hitsAboveMedian stabilityBps shown",
        "ForeseenPeriod": "start end ranked inTail letOff noticed inTailBefore returned fallen",
        "ForeseenHit": "id code name period periodsInTail wasAboveMedian",
        "Mutation": (
            "draftRankingPolicy publishRankingPolicy rankPeriod actOnRanking exemptDistributor endExemption "
            "planImprovement answerAppeal spareDistributor eliminateDistributor"
        ),
    },
}

RANKING_SECRETS: dict[str, Secret] = {
    "where somebody stands and why: of a distributor its own": Secret(
        "distributor",
        "PartnerQuery.standings PartnerQuery.tailCases OwnStanding.rank OwnStanding.score OwnStanding.metrics "
        "OwnMetric.own OwnMetric.sentence OwnTailStep.said",
    ),
    "where others stand, and what tells their figures": Secret(
        "operator",
        "OperatorQuery.rankingRun OperatorQuery.rankingRuns OperatorQuery.standings OperatorQuery.tailCases "
        "OperatorQuery.simulateRanking FullRankingRun.standings FullStanding.distributor FullStanding.score "
        "FullMetric.own FullMetric.counted FullMetric.meanBps FullMetric.sentence RankingRun.ranked RankingRun.inTail",
    ),
    "why somebody is let off, and who decided": Secret(
        "operator", "OperatorQuery.rankingExemptions RankingExemption.reason FullTailStep.by FullTailStep.said"
    ),
}
