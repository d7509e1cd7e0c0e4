"""Plan documents through the operator's door, and the examples in seed/plans."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from s2b2c.api.types.ids import encode
from s2b2c.commissions import plans
from s2b2c.config import CHECKOUT
from s2b2c.db import Database
from tests import factories
from tests.api.client import Api
from tests.api.conftest import NOW

DAY = "2999-01-01"
GOOD = f"plan: p\nfrom: {DAY}\nrules:\n  - scheme: levels\n    level_bps: [1200, 300]\n"
FAR = f"plan: far\nfrom: {DAY}\nrules:\n  - scheme: spread\n    depth: 3\n"
EXAMPLES = sorted((CHECKOUT / "seed" / "plans").glob("*.yaml"))


async def _rows(db: Database) -> Sequence[Any]:
    async with db.read() as session:
        found: list[Any] = []
        for table in ("plans", "rules"):
            found += (await session.scalars(text(f"SELECT to_jsonb(t) FROM {table} t ORDER BY id"))).all()
    return found


async def _save(api: Api, token: str, document: str) -> Any:
    answer = await api.run("operator/SavePlan", token, document=document)
    assert "errors" not in answer, answer
    return answer["data"]["savePlan"]


async def _activate(api: Api, token: str, plan_id: str, reason: str | None = None) -> Any:
    answer = await api.run("operator/ActivatePlan", token, id=plan_id, overrideReason=reason)
    assert "errors" not in answer, answer
    return answer["data"]["activatePlan"]


@pytest.mark.parametrize("role", ["finance", "brand", "distributor"])
async def test_the_door_is_for_the_operator(api: Api, role: str) -> None:
    async with api.db.write() as session:
        brand, one = await factories.a_brand(session), await factories.a_distributor(session)
        draft = await factories.a_plan(session, {"level_bps": [1]}, state="draft")
    token = await api.token(
        role,
        brand=brand.name if role == "brand" else None,
        distributor=one.code if role == "distributor" else None,
    )
    before = await _rows(api.db)
    cases: dict[str, dict[str, Any]] = {
        "SavePlan": {"document": GOOD},
        "ActivatePlan": {"id": encode("plan", draft.id)},
        "PlanCheck": {"document": GOOD},
    }
    for operation, variables in cases.items():
        answer = await api.run(f"operator/{operation}", token, **variables)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", operation
    assert await _rows(api.db) == before


async def test_every_refusal_changes_nothing(api: Api) -> None:
    token = await api.token("operator")
    active = (await _save(api, token, GOOD))["id"]
    assert (await _activate(api, token, active))["state"] == "ACTIVE"
    far = (await _save(api, token, FAR.replace(DAY, "2999-02-01")))["id"]
    late = (await _save(api, token, GOOD.replace("plan: p", "plan: q")))["id"]
    before = await _rows(api.db)

    refused = await _save(api, token, "plan: p\nrules:\n  - {brand: 无名, scheme: spread, depth: 0}\n")
    assert refused == {
        "__typename": "InvalidPlan",
        "code": "INVALID_PLAN",
        "message": "The plan has 2 problems; nothing was changed.",
        "problems": [
            {"path": "rules[0].depth", "message": "must be a whole number from 1 to 100"},
            {"path": "from", "message": "is missing"},
        ],
    }
    refused = await _save(api, token, GOOD + "  - {brand: 无名, scheme: spread, depth: 1}\n")
    assert refused["problems"] == [{"path": "rules[1].brand", "message": "there is no brand 无名"}]
    cases: list[tuple[str, str | None, str]] = [
        ("x", None, "BadArgument"),
        (far, " ", "BadArgument"),
        (late, "because", "BadArgument"),
        (encode("plan", 2**40), None, "NotFound"),
        (active, None, "WrongState"),
        (late, None, "WrongState"),
        (far, None, "PaysTooFar"),
    ]
    for plan_id, reason, expected in cases:
        refused = await _activate(api, token, plan_id, reason)
        assert refused["__typename"] == expected, (plan_id, reason)
    assert (refused["paidPositions"], refused["maxPaidPositions"]) == (3, 2)
    assert await _rows(api.db) == before


async def test_a_save_that_comes_too_late_is_refused(api: Api) -> None:
    """Its version was taken after it had looked which one is the newest."""
    token = await api.token("operator")
    async with api.db.write() as first:
        await plans.save(first, await plans.check(first, GOOD), now=NOW)
        late = asyncio.create_task(_save(api, token, GOOD.replace("1200", "1100")))
        await asyncio.sleep(0.3)
        assert not late.done()
    refused = await late
    assert refused["__typename"] == "WrongState"
    assert [row["margin_floor_bps"] for row in await _rows(api.db) if "code" in row] == [0]


async def test_a_document_looked_over(api: Api) -> None:
    token = await api.token("operator")
    before = await _rows(api.db)

    async def checked(document: str) -> Any:
        answer = await api.run("operator/PlanCheck", token, document=document, language="EN")
        assert "errors" not in answer, answer
        return answer["data"]["operator"]["planCheck"]

    right = await checked(FAR)
    assert (right["problems"], right["paidPositions"], right["maxPaidPositions"]) == ([], 3, 2)
    assert len(api.statements) == 4  # who asks, the names, the examples, the plan in force
    assert "- Upline 2: 8.00 yuan\n" in right["rationale"]
    assert "Beyond the setting" in right["rationale"]
    assert right["changes"] == {
        "against": None,
        "header": [
            {"field": "plan", "before": None, "after": "far"},
            {"field": "from", "before": None, "after": DAY},
            {"field": "margin_floor_bps", "before": None, "after": "0"},
        ],
        "rules": [
            {
                "kind": "ADDED",
                "scope": "everything",
                "fields": [
                    {"field": "scheme", "before": None, "after": "spread"},
                    {"field": "depth", "before": None, "after": "3"},
                ],
            }
        ],
    }
    wrong = await checked("plan: [")
    assert (len(wrong["problems"]), wrong["maxPaidPositions"]) == (1, 2)
    assert [wrong[name] for name in ("paidPositions", "rationale", "changes")] == [None] * 3
    assert len(api.statements) == 1
    assert await _rows(api.db) == before


async def test_the_numbers_of_every_scheme(api: Api) -> None:
    async with api.db.write() as session:
        for rank in (1, 2, 3):
            await factories.a_tier(session, rank=rank)
        await factories.a_variant(session, category="猫粮", brand=await factories.a_brand(session, "绒溪小厨"))
        await factories.a_variant(session, category="狗粮")
    token = await api.token("operator")
    document = GOOD + (
        "  - {category: 猫粮, scheme: fixed, level_amounts: [500, 100], compress: true}\n"
        "  - {category: 狗粮, scheme: differential, base: margin, tier_bps: {tier-3: 800, tier-1: 1500, tier-2: 0},"
        " same_tier_bps: 50, depth: 4}\n"
        "  - {brand: 绒溪小厨, scheme: spread, depth: 3}\n"
    )
    plan = await _save(api, token, document)
    assert (plan["version"], plan["state"], plan["paidPositions"], plan["to"]) == (1, "DRAFT", 4, None)
    answer = await api.run("operator/Plan", token, id=plan["id"])
    names = ("scheme", "base", "levelBps", "levelAmounts", "tierBps", "sameTierBps", "depth", "compress")
    rules = [edge["node"] for edge in answer["data"]["operator"]["plan"]["rules"]["edges"]]
    fen = [{"amount": amount, "currency": "CNY"} for amount in (500, 100)]
    rates = [{"tier": "tier-1", "bps": 1500}, {"tier": "tier-3", "bps": 800}]
    assert [tuple(rule[name] for name in names) for rule in rules] == [
        ("LEVELS", "PAID", [1200, 300], [], [], 0, 2, False),
        ("FIXED", None, [], fen, [], 0, 2, True),
        ("DIFFERENTIAL", "MARGIN", [], [], rates, 50, 4, False),
        ("SPREAD", None, [], [], [], 0, 3, False),
    ]
    written = await api.run("operator/PlanText", token, id=plan["id"])
    again = await _save(api, token, written["data"]["operator"]["plan"]["document"])
    assert again["id"] == plan["id"]


async def test_who_put_it_in_force(api: Api) -> None:
    token = await api.token("operator")
    plan = await _save(api, token, FAR)
    done = await _activate(api, token, plan["id"], "试点")
    assert (done["state"], done["from"]) == ("ACTIVE", "2998-12-31T16:00:00+00:00")
    assert (done["activation"]["maxPaidPositions"], done["activation"]["overrideReason"]) == (2, "试点")
    answer = await api.run("operator/Plans", token)
    assert len(api.statements) == 4
    (edge,) = answer["data"]["operator"]["plans"]["edges"]
    assert edge["node"]["activation"]["by"]["role"] == "operator"
    told = await api.run("operator/PlanRationale", token, id=plan["id"], language="EN")
    assert "by operator (account " in told["data"]["operator"]["plan"]["rationale"]
    assert len(api.statements) == 4


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
async def test_an_example_is_right_on_the_sample(own_sample: Api, file: Path) -> None:
    token = await own_sample.token("operator")
    document = file.read_text(encoding="utf-8")  # noqa: ASYNC240  a page of text
    reason = "试点" if file.stem == "tiers" else None
    plan = await _save(own_sample, token, document)
    assert (plan["__typename"], plan["version"]) == ("Plan", 1), plan
    done = await _activate(own_sample, token, plan["id"], reason)
    if done["__typename"] == "WrongState":  # it lasts a month: the standing plan is to go on after it
        assert "would go on after `to`, 2027-02-01" in done["message"]
        async with own_sample.db.write() as session:
            standing = await plans.named(session, "2026 标准方案")
        text_ = (await own_sample.run("operator/PlanText", token, id=encode("plan", standing.plan.id)))["data"]
        later = text_["operator"]["plan"]["document"].replace("from: 2026-01-01", "from: 2027-02-01")
        assert (await _activate(own_sample, token, (await _save(own_sample, token, later))["id"]))["version"] == 2
        done = await _activate(own_sample, token, plan["id"], reason)
    assert (done["state"], done["activation"]["overrideReason"]) == ("ACTIVE", reason)


def test_there_are_three_examples() -> None:
    assert [file.stem for file in EXAMPLES] == ["spread", "standard", "tiers"]
