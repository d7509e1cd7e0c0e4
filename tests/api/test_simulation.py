"""Simulation through the operator's door: what it refuses, and that nothing changes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from s2b2c import models, orders
from s2b2c.api import operator
from tests import factories
from tests.api.client import Api
from tests.snapshot import snapshot

PLAN = "plan: p\nfrom: 2999-01-01\nrules:\n  - scheme: levels\n    level_bps: [2000]\n"
SEPTEMBER = {"from": "2026-09-01", "to": "2026-10-01"}
PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)


async def _two_orders(api: Api) -> models.Distributor:
    """Each of 9899, on which the seller earned 1187 and its parent 296. Returns the parent."""
    async with api.db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        parent = await factories.a_distributor(session)
        seller = await factories.a_distributor(session, parent=parent, rank=2)
        store, variant = await factories.a_store(session, seller), await factories.a_variant(session)
        for _ in range(2):
            order = await factories.an_order(session, store, (variant, 2, 4990, 81))
            assert await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import") == 1
    return parent


async def _simulate(api: Api, token: str, document: str = PLAN, **variables: Any) -> Any:
    answer = await api.run("operator/SimulatePlan", token, document=document, **{**SEPTEMBER, **variables})
    assert "errors" not in answer, answer
    return answer["data"]["operator"]["simulatePlan"]


async def test_beside_what_was_earned(api: Api) -> None:
    parent = await _two_orders(api)
    token = await api.token("operator")
    before = await snapshot(api.db)
    found = await _simulate(api, token)
    assert (found["orders"], found["lines"], found["paid"]["amount"]) == (2, 2, 19798)
    numbers = {name: [part["amount"] for part in found[name].values()] for name in ("commission", "platform")}
    assert numbers == {"commission": [2966, 3958, 992], "platform": [6432, 5440, -992]}
    assert (found["gaining"], found["losing"], found["unchanged"]) == (1, 1, 0)
    assert [(it["code"], it["commission"]["difference"]["amount"]) for it in found["losers"]] == [(parent.code, -592)]
    assert len(api.statements) == 4
    assert await snapshot(api.db) == before


async def test_no_orders(api: Api) -> None:
    found = await _simulate(api, await api.token("operator"))
    nothing = {"amount": 0, "currency": "CNY"}
    assert found["commission"] == {"actual": nothing, "simulated": nothing, "difference": nothing}
    assert [found[name] for name in ("orders", "tiers", "gaining", "losing", "unchanged", "winners", "losers")] == [
        *(0, [], 0, 0, 0, [], [])
    ]


async def test_what_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await _two_orders(api)
    token = await api.token("operator")
    before = await snapshot(api.db)
    limits: dict[str, dict[str, Any]] = {
        "to (2026-09-01)": {"to": "2026-09-01"},
        "years 1900 to 2999": {"to": "9999-12-31"},
        "more than 31 days": {"to": "2026-10-03"},
        "top is 0": {"top": 0},
        "top is 101": {"top": 101},
    }
    for words, variables in limits.items():
        found = await _simulate(api, token, **variables)
        assert found["__typename"] == "BadArgument"
        assert words in found["message"]
        assert len(api.statements) == 1
    assert (await _simulate(api, token, to="2026-10-02", top=100))["orders"] == 2
    monkeypatch.setattr(operator, "SIMULATED_ORDERS", 2)
    assert (await _simulate(api, token))["orders"] == 2
    monkeypatch.setattr(operator, "SIMULATED_ORDERS", 1)
    found = await _simulate(api, token)
    assert found["__typename"] == "BadArgument"
    assert "More than 1 orders were paid" in found["message"]
    assert "`s2b2c plan simulate`" in found["message"]
    found = await _simulate(api, token, PLAN.replace("levels", "steps"))
    assert found["__typename"] == "InvalidPlan"
    assert [problem["path"] for problem in found["problems"]] == ["rules[0].scheme"]
    assert await snapshot(api.db) == before


@pytest.mark.parametrize("role", ["finance", "brand", "distributor"])
async def test_the_door_is_for_the_operator(api: Api, role: str) -> None:
    async with api.db.write() as session:
        brand = await factories.a_brand(session)
        one = await factories.a_distributor(session)
    token = await api.token(
        role,
        brand=brand.name if role == "brand" else None,
        distributor=one.code if role == "distributor" else None,
    )
    answer = await api.run("operator/SimulatePlan", token, document=PLAN, **SEPTEMBER)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert len(api.statements) == 1
