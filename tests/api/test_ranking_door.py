"""Ranking at the doors of the operator and of a distributor: each operation on the sample network."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from s2b2c import models, ranking
from s2b2c.api.types.ids import decode, encode
from s2b2c.db import MAX_INT64
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.operations import check
from tests.api.shopping import Json
from tests.api.test_settling import distributor_id, refusal, staff
from tests.snapshot import snapshot

WEIGHTS = {"OUTPUT": 6000, "ORDERS": 2000, "REFUND": 1000, "GROWTH": 1000}
POLICY: Json = {
    "code": "末位",
    "weights": [{"metric": metric, "weightBps": weight} for metric, weight in WEIGHTS.items()],
    "minCohort": 4,
    "minOrders": 4,
    "graceDays": 30,
    "tailBps": 2500,
}
"""As in TERMS."""
TERMS = ranking.Terms(
    output_weight_bps=6000,
    orders_weight_bps=2000,
    customers_weight_bps=0,
    repeat_weight_bps=0,
    refund_weight_bps=1000,
    growth_weight_bps=1000,
    sell_through_weight_bps=0,
    min_cohort=4,
    min_orders=4,
    grace_days=30,
    tail_bps=2500,
)
AUGUST, SEPTEMBER, OCTOBER, NOVEMBER = (date(2026, month, 1) for month in (8, 9, 10, 11))
FIRST: Json = {"from": "2026-08-01", "to": "2026-09-01"}
DRAWN = {"createdAt", "publishedAt"}
NOBODY = "This token names nobody: sign in as yourself to {}."


async def test_a_policy_is_drafted_and_published(own_sample: Api) -> None:
    api, operator = own_sample, await staff(own_sample, "operator")
    made = await check(api, "operator/DraftRankingPolicy", operator, input=POLICY, statements=4, drawn=DRAWN)
    draft = made["data"]["draftRankingPolicy"]["id"]
    await check(*(api, "operator/PublishRankingPolicy", operator), id=draft, statements=5, most=5, drawn=DRAWN)
    shown = await check(api, "operator/RankingPolicies", operator, first=1, statements=2, drawn=DRAWN)
    again = (await api.run("operator/DraftRankingPolicy", operator, input=POLICY))["data"]["draftRankingPolicy"]
    assert (again["version"], again["publishedAt"]) == (2, None)
    page = shown["data"]["operator"]["rankingPolicies"]["pageInfo"]
    behind = await api.run("operator/RankingPolicies", operator, after=page["endCursor"])
    assert [it["node"]["code"] for it in behind["data"]["operator"]["rankingPolicies"]["edges"]] == ["default"]

    before = await snapshot(api.db)
    twice = refusal(await api.run("operator/PublishRankingPolicy", operator, id=draft))
    assert twice == ("WRONG_STATE", "It is published already: draft a new version to go back to its terms.")
    none = refusal(await api.run("operator/PublishRankingPolicy", operator, id=encode("ranking-policy", 999)))
    assert none == ("NOT_FOUND", "There is no such ranking policy: choose one of the list of policies.")
    weights = POLICY["weights"]
    for wrong, message in (
        ({"weights": weights[:3]}, "The weights must be 0 or more and 10000 together, but are 6000 + 2000 + 0 + 0 + 1000 + 0 + 0."),
        ({"weights": [*weights, weights[0]]}, "A policy weighs each metric once."),
        ({"code": ""}, "code must be 1 to 64 printable characters."),
        ({"tailBps": 10001}, "tail_bps is 10001, but must be 0 to 10000."),
        ({"strikes": 0}, "strikes is 0, but must be 1 to 100."),
        ({"appealDays": 366}, "appeal_days is 366, but must be 1 to 365."),
        ({"minCohort": 0}, "min_cohort is 0, but must be 1 to 1000000."),
    ):  # fmt: skip
        said = refusal(await api.run("operator/DraftRankingPolicy", operator, input={**POLICY, **wrong}))
        assert said == ("BAD_ARGUMENT", message)
    assert await snapshot(api.db) == before


async def in_force(api: Api) -> models.RankingPolicy:
    async with api.db.write() as session:
        drafted = await ranking.draft(session, "末位", TERMS, by=None, now=NOW)
        return await ranking.publish(session, drafted.id, by=None, now=NOW)


async def test_a_period_is_ranked_and_acted_on(own_sample: Api) -> None:
    api, operator = own_sample, await staff(own_sample, "operator")
    await in_force(api)
    made = await check(api, "operator/RankPeriod", operator, **FIRST, statements=16, most=16, drawn=DRAWN)
    run = made["data"]["rankPeriod"]["id"]
    again = (await api.run("operator/RankPeriod", operator, **FIRST))["data"]["rankPeriod"]
    assert again["id"] != run
    run = again["id"]
    await check(api, "operator/RankingRuns", operator, statements=2, drawn=DRAWN)
    page = await check(api, "operator/RankingRun", operator, id=run, first=2, statements=3, drawn=DRAWN)
    cursor = page["data"]["operator"]["rankingRun"]["standings"]["pageInfo"]["endCursor"]
    behind = await api.run("operator/RankingRun", operator, id=run, after=cursor, first=1)
    assert len(behind["data"]["operator"]["rankingRun"]["standings"]["edges"]) == 1
    asked: Json = {"id": run, "outcome": "TAIL", "tier": encode("tier", 3), "region": "浙江"}
    tail = await check(api, "operator/RankingRun", operator, **asked, case="tail", statements=3, drawn=DRAWN)
    nodes = [it["node"] for it in tail["data"]["operator"]["rankingRun"]["standings"]["edges"]]
    assert {(it["outcome"], it["tier"]["id"]) for it in nodes} == {("TAIL", asked["tier"])}
    one = nodes[0]["distributor"]["id"]
    await check(api, "operator/Standings", operator, distributor=one, statements=2)
    nobody = await api.run("operator/RankingRun", operator, id=encode("ranking-run", 999))
    assert nobody == {"data": {"operator": {"rankingRun": None}}}

    before = await snapshot(api.db)
    for wrong, code in (
        ({"from": "2026-11-01", "to": "2026-12-01"}, "PERIOD_OPEN"),
        ({"from": "2026-10-01", "to": "2026-10-01"}, "BAD_ARGUMENT"),
        ({"from": "0001-01-01", "to": "2026-10-01"}, "BAD_ARGUMENT"),
    ):
        assert refusal(await api.run("operator/RankPeriod", operator, **wrong))[0] == code
    none = refusal(await api.run("operator/ActOnRanking", operator, run=encode("ranking-run", 999)))
    assert none == ("NOT_FOUND", "There is no such ranking run: it was ranked again, or never. Read the runs again.")
    assert await snapshot(api.db) == before

    await check(api, "operator/ActOnRanking", operator, run=run, statements=11, most=11, drawn=DRAWN)
    before = await snapshot(api.db)
    twice = refusal(await api.run("operator/ActOnRanking", operator, run=run))
    assert twice == ("WRONG_STATE", "This run was acted on already.")
    frozen = refusal(await api.run("operator/RankPeriod", operator, **FIRST))
    number = decode("ranking-run", run, length=1)[0]
    assert frozen == (
        "WRONG_STATE",
        f"Run {number} of this period was acted on, and stays as it is: simulate a policy instead.",
    )
    assert await snapshot(api.db) == before


async def test_a_run_by_a_draft_is_not_acted_on(own_sample: Api) -> None:
    async with own_sample.db.write() as session:
        drafted = await ranking.draft(session, "末位", TERMS, by=None, now=NOW)
        run = await ranking.rank(session, start=AUGUST, end=SEPTEMBER, policy=drafted)
    assert run.run_id is not None
    operator, before = await staff(own_sample, "operator"), await snapshot(own_sample.db)
    said = refusal(await own_sample.run("operator/ActOnRanking", operator, run=encode("ranking-run", run.run_id)))
    assert said == ("WRONG_STATE", "This run goes by a draft: rank the period again by the policy in force.")
    assert {name: rows for name, rows in (await snapshot(own_sample.db)).items() if rows != before[name]} == {}


async def judged(api: Api) -> str:
    """The code of the first that got its notice at NOW: August and September are acted on, October is not."""
    policy = await in_force(api)
    async with api.db.write() as session:
        for start, end in ((AUGUST, SEPTEMBER), (SEPTEMBER, OCTOBER)):
            made = await ranking.rank(session, start=start, end=end, policy=policy)
            assert made.run_id is not None
            await ranking.act(session, made.run_id, by=None, account_id=None, now=NOW)
        noticed = (
            select(models.Distributor.code)
            .join(models.TailCase, models.TailCase.distributor_id == models.Distributor.id)
            .where(models.TailCase.state == "noticed")
            .order_by(models.TailCase.id)
        )
        return (await session.scalars(noticed.limit(1))).one()


async def test_a_case_from_its_notice_to_a_decision(own_sample: Api) -> None:
    api, code = own_sample, await judged(own_sample)
    operator, own = await staff(api, "operator"), await staff(api, "distributor", distributor=code)
    mine = encode("distributor", await distributor_id(api, code))
    shown = await check(api, "operator/TailCases", operator, distributor=mine, statements=3)
    ((edge,),) = [shown["data"]["operator"]["tailCases"]["edges"]]
    case = {"case": edge["node"]["id"]}
    seen = await check(api, "partner/TailCases", own, statements=3)
    assert [it["node"]["id"] for it in seen["data"]["partner"]["tailCases"]["edges"]] == [case["case"]]
    standings = await check(api, "partner/Standings", own, statements=2)
    starts = [it["node"]["start"] for it in standings["data"]["partner"]["standings"]["edges"]]
    assert starts == ["2026-09-01", "2026-08-01"]
    behind = [standings["data"]["partner"]["standings"]["edges"][0]["cursor"]]
    behind += [encode("standing-of", *it) for it in ((MAX_INT64, MAX_INT64), (-MAX_INT64, 1))]
    pages = [(await api.run("partner/Standings", own, first=1, after=it))["data"]["partner"] for it in behind]
    shown_then = [[it["node"]["start"] for it in page["standings"]["edges"]] for page in pages]
    assert shown_then == [["2026-08-01"], ["2026-09-01"], []]
    told = await check(api, "partner/Notices", own, first=2, statements=3, case="tail", drawn={"createdAt"})
    kinds = [it["node"]["kind"] for it in told["data"]["partner"]["notices"]["edges"]]
    assert kinds == ["RANKING_NOTICED", "RANKING_WATCHED"]

    await check(api, "partner/PlanOwnImprovement", own, given=case, words="每周直播两次", statements=5, most=5)
    early = refusal(await api.run("operator/AnswerAppeal", operator, **case, upheld=True, reason="好"))
    assert early == ("WRONG_STATE", "The case is noticed: no appeal waits for an answer.")
    gone = refusal(await api.run("operator/EliminateDistributor", operator, **case, reason="末位"))
    assert gone == ("WRONG_STATE", "It can be appealed against until 2026-11-28T04:00:00+00:00: decide after that.")
    await check(api, "partner/Appeal", own, given=case, words="仓库被淹", statements=6, most=6)
    again = refusal(await api.run("partner/Appeal", own, **case, words="再来"))
    assert again == ("WRONG_STATE", "The case is appealed: there is one appeal against a notice.")
    waits = "An appeal waits for its answer: answer it first."
    assert refusal(await api.run("operator/EliminateDistributor", operator, **case, reason="末位"))[1] == waits
    spared = refusal(await api.run("operator/SpareDistributor", operator, **case, reason="留"))
    assert spared == ("WRONG_STATE", "The case is appealed: nothing is to be decided about it now.")
    await check(api, "operator/PlanImprovement", operator, given=case, words="配一名导师", statements=6, most=6)
    wrong: Json = {"upheld": False, "reason": "证据不足"}
    done = await check(api, "operator/AnswerAppeal", operator, given=case, **wrong, statements=7, most=7)
    assert done["data"]["answerAppeal"]["canBeEliminated"] is True
    assert refusal(await api.run("operator/AnswerAppeal", operator, **case, **wrong))[0] == "WRONG_STATE"
    await check(api, "operator/SpareDistributor", operator, given=case, reason="新区域，再观察", statements=7, most=7)
    closed = refusal(await api.run("operator/EliminateDistributor", operator, **case, reason="末位"))
    assert closed == ("WRONG_STATE", "The case is closed: spared.")
    for operation, token, words in (
        ("partner/PlanOwnImprovement", own, {"words": "晚了"}),
        ("operator/PlanImprovement", operator, {"words": "晚了"}),
        ("operator/SpareDistributor", operator, {"reason": "晚了"}),
        ("partner/Appeal", own, {"words": "晚了"}),
    ):
        assert refusal(await api.run(operation, token, **case, **words))[0] == "WRONG_STATE"
    told = await api.run("partner/Notices", own, first=3)
    assert [it["node"]["text"] for it in told["data"]["partner"]["notices"]["edges"]] == [
        "平台决定不淘汰，末位记录已清除：新区域，再观察",
        "你的申诉未被采纳，平台将决定是否淘汰：证据不足",
        "平台为你制定了改进计划：配一名导师",
    ]
    waiting = await api.run("operator/TailCases", operator, state="SPARED")
    assert [it["node"]["id"] for it in waiting["data"]["operator"]["tailCases"]["edges"]] == [case["case"]]


async def test_an_appeal_that_is_upheld(own_sample: Api) -> None:
    api, code = own_sample, await judged(own_sample)
    operator, own = await staff(api, "operator"), await staff(api, "distributor", distributor=code)
    case = await case_of(api, code)
    await api.run("partner/Appeal", own, case=case, words="仓库被淹")
    said = {"case": case, "upheld": True, "reason": "情况属实"}
    done = await check(api, "operator/AnswerAppeal", operator, given=said, statements=7, most=7, case="upheld")
    assert done["data"]["answerAppeal"]["state"] == "UPHELD"
    async with api.db.read() as session:
        state = select(models.Distributor.state).where(models.Distributor.code == code)
        assert await session.scalar(state) == "active"


async def test_somebody_is_eliminated_after_its_days_to_appeal(own_sample: Api) -> None:
    api, code = own_sample, await judged(own_sample)
    operator, case = await staff(api, "operator"), {"case": await case_of(api, code)}
    async with api.db.write() as session:
        past = {"noticed_at": NOW - timedelta(days=7), "appeal_until": NOW}
        await session.execute(update(models.TailCase).values(past))
    done = await check(
        api, "operator/EliminateDistributor", operator, given=case, reason="末位", statements=22, most=22
    )
    assert done["data"]["eliminateDistributor"]["state"] == "ELIMINATED"
    again = refusal(await api.run("operator/EliminateDistributor", operator, **case, reason="末位"))
    assert again == ("WRONG_STATE", "The case is closed: eliminated.")


async def case_of(api: Api, code: str) -> str:
    async with api.db.read() as session:
        of = models.TailCase.distributor_id == await distributor_id(api, code)
        return encode("tail-case", (await session.scalars(select(models.TailCase.id).where(of))).one())


async def test_an_appeal_comes_in_time_and_in_words(own_sample: Api) -> None:
    api, code = own_sample, await judged(own_sample)
    own, case = await staff(api, "distributor", distributor=code), await case_of(api, code)
    for words in ("", " ", "x" * 2001, "一\n二"):
        for operation in ("partner/Appeal", "partner/PlanOwnImprovement"):
            answer = await api.run(operation, own, case=case, words=words)
            assert refusal(answer)[0] == "BAD_ARGUMENT", words
    operator = await staff(api, "operator")
    for operation, given in DECISIONS.items():
        empty = {name: "" if name in {"words", "reason"} else it for name, it in given.items()}
        assert refusal(await api.run(f"operator/{operation}", operator, case=case, **empty))[0] == "BAD_ARGUMENT"
    async with api.db.write() as session:
        past = {"noticed_at": NOW - timedelta(days=7), "appeal_until": NOW}
        await session.execute(update(models.TailCase).values(past))
    before = await snapshot(api.db)
    late = refusal(await api.run("partner/Appeal", own, case=case, words="仓库被淹"))
    assert late == ("WRONG_STATE", "The time to appeal ended at 2026-11-21T04:00:00+00:00.")
    assert await snapshot(api.db) == before


DECISIONS: dict[str, Json] = {
    "PlanImprovement": {"words": "配一名导师"},
    "AnswerAppeal": {"upheld": True, "reason": "情况属实"},
    "SpareDistributor": {"reason": "留"},
    "EliminateDistributor": {"reason": "末位"},
}


async def test_cases_of_others_and_of_nobody_are_not_there(own_sample: Api) -> None:
    """And stay as they are."""
    api, code = own_sample, await judged(own_sample)
    case, nothing = await case_of(api, code), encode("tail-case", 999)
    stranger, operator = await staff(api, "distributor", distributor="ZJ"), await staff(api, "operator")
    before = await snapshot(api.db)
    none = ("NOT_FOUND", "There is no such case: read the cases again.")
    for id_ in (case, nothing):
        for operation in ("partner/Appeal", "partner/PlanOwnImprovement"):
            assert refusal(await api.run(operation, stranger, case=id_, words="仓库被淹")) == none
    for operation, given in DECISIONS.items():
        assert refusal(await api.run(f"operator/{operation}", operator, case=nothing, **given)) == none
    assert await api.run("partner/TailCases", stranger) == empty("tailCases")
    assert await snapshot(api.db) == before


def empty(name: str) -> Any:
    return {"data": {"partner": {name: {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}}}}


async def test_a_run_that_nobody_acted_on_is_not_shown_to_those_in_it(own_sample: Api) -> None:
    """October is ranked on the sample: the operator sees it, a distributor does not."""
    own, operator = await staff(own_sample, "distributor"), await staff(own_sample, "operator")
    assert await own_sample.run("partner/Standings", own) == empty("standings")
    mine = encode("distributor", await distributor_id(own_sample, "ZJ-HZ"))
    seen = (await own_sample.run("operator/Standings", operator, distributor=mine))["data"]["operator"]["standings"]
    assert [it["node"]["start"] for it in seen["edges"]] == ["2026-10-01"]


async def test_exemptions(own_sample: Api) -> None:
    api, operator = own_sample, await staff(own_sample, "operator")
    wanted = {
        "distributor": encode("distributor", await distributor_id(api, "ZJ-HZ")),
        "start": "2026-10-01",
        "end": "2026-12-01",
        "reason": "产假",
    }
    made = await check(api, "operator/ExemptDistributor", operator, input=wanted, statements=6, most=6)
    exemption = made["data"]["exemptDistributor"]["id"]
    before = await snapshot(api.db)
    for wrong, code in (
        ({"start": "2026-11-30", "end": "2026-12-31"}, "ALREADY_TAKEN"),
        ({"end": "2026-10-01"}, "BAD_ARGUMENT"),
        ({"end": "2036-11-01"}, "BAD_ARGUMENT"),
        ({"start": "0001-01-01"}, "BAD_ARGUMENT"),
        ({"reason": ""}, "BAD_ARGUMENT"),
        ({"distributor": encode("distributor", 999)}, "NOT_FOUND"),
    ):
        assert refusal(await api.run("operator/ExemptDistributor", operator, input={**wanted, **wrong}))[0] == code
    for on, code in (("2026-10-01", "BAD_ARGUMENT"), ("2026-12-01", "BAD_ARGUMENT"), ("0001-01-01", "BAD_ARGUMENT")):
        assert refusal(await api.run("operator/EndExemption", operator, id=exemption, on=on))[0] == code
    none = await api.run("operator/EndExemption", operator, id=encode("ranking-exemption", 999), on="2026-11-01")
    assert refusal(none) == ("NOT_FOUND", "There is no such exemption: read the exemptions again.")
    assert await snapshot(api.db) == before
    await check(api, "operator/EndExemption", operator, id=exemption, on="2026-11-15", statements=4)
    await api.run("operator/ExemptDistributor", operator, input={**wanted, "start": "2026-11-15"})
    await check(api, "operator/RankingExemptions", operator, distributor=wanted["distributor"], statements=2)
    others = encode("distributor", await distributor_id(api, "ZJ"))
    rows = (await api.run("operator/RankingExemptions", operator, distributor=others))["data"]["operator"]
    assert rows["rankingExemptions"]["edges"] == []


async def test_what_a_policy_would_have_done(own_sample: Api) -> None:
    api, operator = own_sample, await staff(own_sample, "operator")
    async with api.db.write() as session:
        drafted = await ranking.draft(session, "末位", TERMS, by=None, now=NOW)
    asked: Json = {"policy": encode("ranking-policy", drafted.id), "months": 3, "top": 2}
    before = await snapshot(api.db)
    await check(api, "operator/SimulateRanking", operator, **asked, statements=21, most=21)
    for wrong, code in (
        ({"months": 0}, "BAD_ARGUMENT"),
        ({"months": 13}, "BAD_ARGUMENT"),
        ({"top": 101}, "BAD_ARGUMENT"),
        ({"top": -1}, "BAD_ARGUMENT"),
        ({"until": "0001-02-01"}, "BAD_ARGUMENT"),
        ({"until": "2027-01-01"}, "PERIOD_OPEN"),
        ({"policy": encode("ranking-policy", 999)}, "NOT_FOUND"),
    ):
        (error,) = (await api.run("operator/SimulateRanking", operator, **asked | wrong))["errors"]
        assert error["extensions"]["code"] == code, wrong
    assert await snapshot(api.db) == before


@pytest.mark.parametrize(
    ("operation", "variables", "to_do"),
    [
        ("DraftRankingPolicy", {"input": POLICY}, "write a policy"),
        ("PublishRankingPolicy", {"id": encode("ranking-policy", 1)}, "publish a policy"),
        ("RankPeriod", FIRST, "rank"),
        ("ActOnRanking", {"run": encode("ranking-run", 1)}, "act on a ranking"),
        (
            "ExemptDistributor",
            {
                "input": {
                    "distributor": encode("distributor", 1),
                    "start": "2026-10-01",
                    "end": "2026-11-01",
                    "reason": "产假",
                }
            },
            "exempt somebody",
        ),
        ("EndExemption", {"id": encode("ranking-exemption", 1), "on": "2026-10-15"}, "end an exemption"),
        ("PlanImprovement", DECISIONS["PlanImprovement"] | {"case": encode("tail-case", 1)}, "plan"),
        ("AnswerAppeal", DECISIONS["AnswerAppeal"] | {"case": encode("tail-case", 1)}, "answer an appeal"),
        ("SpareDistributor", DECISIONS["SpareDistributor"] | {"case": encode("tail-case", 1)}, "decide"),
        ("EliminateDistributor", DECISIONS["EliminateDistributor"] | {"case": encode("tail-case", 1)}, "decide"),
    ],
)
async def test_a_token_of_nobody_decides_nothing(sample: Api, operation: str, variables: Json, to_do: str) -> None:
    answer = await sample.run(f"operator/{operation}", await sample.token("operator"), **variables)
    assert refusal(answer) == ("WRONG_STATE", NOBODY.format(to_do))
    assert len(sample.statements) == 1
