"""The operations of whoever runs the network, on the sample network."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from s2b2c import audit, models, network
from s2b2c.api.types.ids import encode
from s2b2c.config import CHECKOUT
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.operations import check


async def _id(api: Api, code: str) -> str:
    async with api.db.read() as session:
        key = await session.scalar(select(models.Distributor.id).where(models.Distributor.code == code))
    assert key is not None
    return encode("distributor", key)


async def test_the_tiers(sample: Api) -> None:
    token = await sample.token("operator")
    await check(sample, "operator/Tiers", token, statements=2)
    await sample.run("operator/Tiers", token, first=1)
    assert len(sample.statements) == 2


@pytest.mark.parametrize(
    ("case", "variables"),
    [
        ("first", {"first": 3}),
        ("watch", {"state": "WATCH"}),
        ("suspended", {"state": "SUSPENDED", "tier": encode("tier", 3), "region": "浙江"}),
        ("search", {"search": "js-s", "first": 2}),
    ],
)
async def test_the_distributors(sample: Api, case: str, variables: dict[str, Any]) -> None:
    token = await sample.token("operator")
    await check(sample, "operator/Distributors", token, statements=2, case=case, **variables)
    await sample.run("operator/Distributors", token, **{**variables, "first": 100})
    assert len(sample.statements) == 2


async def test_one_distributor(sample: Api) -> None:
    token = await sample.token("operator")
    leader, at = await _id(sample, "GD-SZX-04"), "2026-01-01T00:00:00+08:00"
    await check(sample, "operator/Distributor", token, id=leader, at=at, statements=4)
    await sample.run("operator/Distributor", token, id=leader, at=at, first=1)
    assert len(sample.statements) == 4


async def test_a_preview_of_a_move(sample: Api) -> None:
    token = await sample.token("operator")
    city, province = await _id(sample, "GD-SZX"), await _id(sample, "ZJ")
    await check(
        sample, "operator/MovePreview", token, distributor=city, parent=province, statements=3, case="to-a-province"
    )
    leader = await _id(sample, "GD-SZX-04")
    await check(
        sample, "operator/MovePreview", token, distributor=city, parent=leader, statements=3, case="in-a-circle"
    )


async def test_the_brands(sample: Api) -> None:
    token = await sample.token("operator")
    await check(sample, "operator/Brands", token, statements=2)
    await sample.run("operator/Brands", token, first=1)
    assert len(sample.statements) == 2


async def test_the_stores(sample: Api) -> None:
    token = await sample.token("operator")
    await check(sample, "operator/Stores", token, first=3, statements=2, case="first")
    await check(sample, "operator/Stores", token, search="xiao", first=2, statements=2, case="search")
    answer = await sample.run("operator/Stores", token, first=100)
    assert len(answer["data"]["operator"]["stores"]["edges"]) == 45
    assert len(sample.statements) == 2


async def test_the_plans(sample: Api) -> None:
    token = await sample.token("operator")
    await check(sample, "operator/Plans", token, statements=3)
    await sample.run("operator/Plans", token, first=1, rules=100)
    assert len(sample.statements) == 3


async def test_one_plan(sample: Api) -> None:
    token = await sample.token("operator")
    first = await check(sample, "operator/Plan", token, id=encode("plan", 1), first=1, statements=3, case="first")
    after = first["data"]["operator"]["plan"]["rules"]["pageInfo"]["endCursor"]
    await check(sample, "operator/Plan", token, id=encode("plan", 1), first=100, after=after, statements=3, case="rest")


async def test_a_plan_from_its_document_to_force(own_sample: Api) -> None:
    token = await own_sample.token("operator")
    document = (CHECKOUT / "seed" / "plans" / "standard.yaml").read_text(encoding="utf-8")
    await check(own_sample, "operator/PlanCheck", token, document=document, statements=4, case="right")
    wrong = document.replace("[1200, 300]", "[1200, 30000]").replace("RX01", "RX99").replace("500  ", "5%  ")
    await check(own_sample, "operator/PlanCheck", token, document=wrong, statements=1, case="wrong")
    unknown = document.replace("RX01", "RX99").replace("檐角日常", "檐角")
    await check(own_sample, "operator/PlanCheck", token, document=unknown, statements=2, case="unknown")
    saved = await check(own_sample, "operator/SavePlan", token, document=document, statements=4)
    plan = saved["data"]["savePlan"]["id"]
    assert (await own_sample.run("operator/SavePlan", token, document=document)) == saved
    assert len(own_sample.statements) == 3
    await check(own_sample, "operator/PlanText", token, id=plan, statements=3)
    await check(own_sample, "operator/PlanRationale", token, id=plan, statements=4, case="draft")
    await check(own_sample, "operator/ActivatePlan", token, id=plan, statements=4)
    await check(own_sample, "operator/PlanRationale", token, id=plan, language="EN", statements=4, case="active")
    listed = await own_sample.run("operator/Plans", token)
    assert [
        (edge["node"]["code"], edge["node"]["from"], edge["node"]["to"])
        for edge in listed["data"]["operator"]["plans"]["edges"]
    ] == [
        ("标准", "2026-11-30T16:00:00+00:00", None),
        ("2026 标准方案", "2025-12-31T16:00:00+00:00", "2026-11-30T16:00:00+00:00"),
    ]
    assert len(own_sample.statements) == 4
    async with own_sample.db.snapshot() as session:
        assert await audit.audit(session) == []


@pytest.mark.parametrize("name", ["tiers", "spread"])
async def test_a_plan_simulated(sample: Api, name: str) -> None:
    token = await sample.token("operator")
    document = (CHECKOUT / "seed" / "plans" / f"{name}.yaml").read_text(encoding="utf-8")
    period: dict[str, Any] = {"document": document, "from": "2026-10-01", "to": "2026-11-01"}
    await check(sample, "operator/SimulatePlan", token, **period, top=3, statements=4, case=name)
    await sample.run("operator/SimulatePlan", token, **period, top=100)
    assert len(sample.statements) == 4


async def test_what_cannot_be_simulated(sample: Api) -> None:
    token = await sample.token("operator")
    document = (CHECKOUT / "seed" / "plans" / "tiers.yaml").read_text(encoding="utf-8")
    wrong = document.replace("province:", "county:")
    month: dict[str, Any] = {"from": "2026-10-01", "to": "2026-11-01"}
    await check(sample, "operator/SimulatePlan", token, document=wrong, **month, statements=2, case="unknown")
    quarter: dict[str, Any] = {"from": "2026-08-01", "to": "2026-11-01"}
    await check(sample, "operator/SimulatePlan", token, document=document, **quarter, statements=1, case="too-long")


async def test_joining_being_suspended_and_reinstated(own_sample: Api) -> None:
    token = await own_sample.token("operator")
    applied = await check(
        own_sample,
        "operator/ApplyDistributor",
        token,
        input={
            "code": "ZJ-HZ-06",
            "name": "苏晚",
            "tier": encode("tier", 3),
            "parent": await _id(own_sample, "ZJ-HZ"),
            "region": "浙江",
        },
        statements=4,
    )
    newcomer = applied["data"]["applyDistributor"]["id"]
    assert newcomer == await _id(own_sample, "ZJ-HZ-06")
    leader = await _id(own_sample, "ZJ-HZ-01")
    await check(own_sample, "operator/SuspendDistributor", token, id=leader, reason="刷单", statements=4)
    held = await _id(own_sample, "ZJ-NB-03")
    await check(own_sample, "operator/ReinstateDistributor", token, id=held, reason="申诉成立", statements=4)
    async with own_sample.db.snapshot() as session:
        assert await audit.audit(session) == []


async def test_applications_answered(own_sample: Api) -> None:
    token = await own_sample.token("operator")
    async with own_sample.db.write() as session:
        viewer = (await session.scalars(select(models.Account.id).where(models.Account.role == "operator"))).one()
        parent = (await session.scalars(select(models.Distributor).where(models.Distributor.code == "ZJ-HZ"))).one()
        for code in ("ZJ-HZ-06", "ZJ-HZ-07"):
            await network.apply(
                session,
                code=code,
                name=f"新人 {code[-1]}",
                tier_id=3,
                parent_id=parent.id,
                region="浙江",
                now=NOW - timedelta(days=2),
                account_id=viewer,
            )
    await check(own_sample, "operator/ApproveDistributor", token, id=await _id(own_sample, "ZJ-HZ-06"), statements=4)
    await check(
        own_sample,
        "operator/RejectDistributor",
        token,
        id=await _id(own_sample, "ZJ-HZ-07"),
        reason="资料不全",
        statements=4,
    )


async def test_a_move(own_sample: Api) -> None:
    token = await own_sample.token("operator")
    city, province = await _id(own_sample, "GD-SZX"), await _id(own_sample, "ZJ")
    await check(
        own_sample,
        "operator/MoveDistributor",
        token,
        id=city,
        parent=province,
        reason="区域调整",
        statements=4,
    )
    told = await own_sample.run(
        "partner/Notices", await own_sample.token("distributor", distributor="GD-SZX"), unreadOnly=True
    )
    texts = [edge["node"]["text"] for edge in told["data"]["partner"]["notices"]["edges"]]
    assert "你的上级由 梁启航 变更为 周砚秋：区域调整" in texts
    leader = await _id(own_sample, "GD-SZX-04")
    answer = await own_sample.run("operator/Distributor", token, id=leader, at="2026-11-01T00:00:00Z")
    one = answer["data"]["operator"]["distributor"]
    assert [above["code"] for above in one["upline"]] == ["GD-SZX", "ZJ"]
    assert [above["code"] for above in one["uplineAt"]] == ["GD-SZX", "GD"]
    async with own_sample.db.snapshot() as session:
        assert await audit.audit(session) == []


async def test_what_any_store_showed(sample: Api) -> None:
    token = await sample.token("operator")
    store = encode("store", 1)
    await check(sample, "operator/StoreShelf", token, store=store, at="2026-11-21T12:00:00Z", first=2, statements=2)
    nothing = await sample.run("operator/StoreShelf", token, store=encode("store", 10**9), at="2026-11-21T12:00:00Z")
    assert nothing["data"]["operator"]["storeShelf"]["edges"] == []
