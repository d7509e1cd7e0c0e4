"""Who applies, who invites and who decides, over GraphQL, on the sample network."""

from typing import Any

import pytest
from sqlalchemy import func, select

from s2b2c import models
from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.doors import OTHERS, WHO, signed_in
from tests.api.foreign import fingerprint
from tests.api.operations import check
from tests.api.shopping import Json, done

WEIGHTS = {"experienceBps": 3000, "audienceBps": 3000, "outputBps": 2000, "reviewBps": 2000}
TOLD = {
    "name": "王小明",
    "region": "杭州",
    "introduction": "做过三年社群团购。",
    "experienceMonths": 24,
    "audience": 800,
}
HOW = {**TOLD, "declaredOutput": 3_000_000, "agrees": True}


async def tiers(api: Api) -> list[str]:
    """Their ids, from the top."""
    async with api.db.read() as session:
        return [encode("tier", it) for it in await session.scalars(select(models.Tier.id).order_by(models.Tier.rank))]


async def a_seat(api: Api, operator: str, **how: Any) -> Json:
    new = {"tier": (await tiers(api))[-1], "region": "浙江", "places": 2, "weights": WEIGHTS, **how}
    return await done(api, "operator/OpenSeat", operator, input=new)


async def the_code(api: Api, operation: str, token: str | None, **variables: Any) -> str:
    """Of the refusal; nothing has changed."""
    before = await fingerprint(api)
    answer = await api.run(operation, token, **variables)
    assert await fingerprint(api) == before
    (found,) = answer["data"].values()
    return str(found["code"])


async def test_from_a_hole_to_a_distributor(own_sample: Api) -> None:
    api = own_sample
    operator, partner = await api.token("operator"), await api.token(**WHO["distributor"])
    person = await signed_in(api, "customer")
    await check(api, "operator/Vacancies", operator, statements=3, days=3660, first=5)
    new = {"tier": (await tiers(api))[-1], "region": "浙江", "places": 2, "weights": WEIGHTS, "needsCode": True}
    opened = await check(api, "operator/OpenSeat", operator, statements=4, input=new)
    seat = opened["data"]["openSeat"]["id"]
    equal = dict.fromkeys(WEIGHTS, 2500)
    await check(api, "operator/ChangeSeatWeights", operator, statements=5, most=5, seat=seat, weights=equal)
    await check(api, "shop/OpenSeats", statements=1)
    made = await check(api, "partner/MakeRecruitingCode", partner, statements=7, most=7, seat=seat, drawn={"code"})
    code = made["data"]["makeRecruitingCode"]
    assert await the_code(api, "shop/ApplyForSeat", person, input={**HOW, "seat": seat}) == "BAD_ARGUMENT"
    applied = await check(
        api, "shop/ApplyForSeat", person, statements=11, most=11, input={**HOW, "seat": seat, "code": code["code"]}
    )
    application = applied["data"]["applyForSeat"]["id"]
    assert await the_code(api, "shop/ApplyForSeat", person, input={**HOW, "seat": seat, "code": code["code"]}) == "ALREADY_TAKEN"  # fmt: skip
    await check(api, "partner/RecruitingCodes", partner, statements=2, drawn={"code"})
    await check(api, "operator/RecruitingCodes", operator, statements=2, drawn={"code"})
    await check(
        api, "operator/VerifyApplication", operator, statements=5, most=5, id=application, criterion="AUDIENCE",
        number=750, reason="群里数过",
    )  # fmt: skip
    await check(
        api, "operator/ReviewApplication", operator, statements=5, most=5, id=application, rating=80, comment="可靠"
    )
    await check(api, "operator/RankedApplications", operator, statements=3, seat=seat)
    await check(api, "operator/SeatApplications", operator, statements=2, state="SUBMITTED")
    await check(api, "operator/SeatApplication", operator, statements=4, id=application)
    async with api.db.read() as session:
        (read,) = await session.scalars(select(models.PersonalRead))
    assert (read.purpose, read.kinds, read.at) == ("recruiting", ["introduction", "legal_name", "region"], NOW)
    other = (await a_seat(api, operator))["id"]
    await check(
        api, "operator/MoveApplication", operator, statements=13, most=13, id=application, seat=other, reason="名额合并"
    )
    approval = {"application": application, "name": "王小明社群店", "code": "ZJ-NEW", "reason": "资质齐全"}
    approved = await check(api, "operator/ApproveApplication", operator, statements=22, most=22, input=approval)
    distributor = approved["data"]["approveApplication"]
    assert (distributor["state"], distributor["joinedOn"], distributor["parent"]["code"]) == (
        "ACTIVE", "2026-11-21", "ZJ-HZ",
    )  # fmt: skip
    await check(api, "shop/MyApplications", person, statements=2)
    await check(api, "operator/OnboardingOf", operator, statements=2, distributor=distributor["id"])
    newcomer = await api.token("distributor", distributor="ZJ-NEW")
    await check(api, "partner/Onboarding", newcomer, statements=2)
    done_so_far = (await api.run("partner/Onboarding", partner))["data"]["partner"]["onboarding"]
    assert [step["isDone"] for step in done_so_far] == [False, True, True, True]
    await check(api, "operator/Seats", operator, statements=2)
    full = await api.run("operator/Seats", operator, openOnly=True)
    assert [it["node"]["taken"] for it in full["data"]["operator"]["seats"]["edges"]] == [1, 0]
    assert await the_code(api, "operator/ApproveApplication", operator, input=approval) == "WRONG_STATE"


async def test_what_ends_without_a_distributor(own_sample: Api) -> None:
    api = own_sample
    operator, partner = await api.token("operator"), await api.token(**WHO["distributor"])
    person = await signed_in(api, "customer")
    seat = (await a_seat(api, operator))["id"]
    for operation, how in (
        ("operator/RejectApplication", {"reason": "经验不足"}),
        ("shop/WithdrawApplication", {}),
    ):
        applied = await done(api, "shop/ApplyForSeat", person, input={**HOW, "seat": seat})
        token, statements = (operator, 7) if how else (person, 5)
        await check(api, operation, token, statements=statements, most=statements, id=applied["id"], **how)
    await check(api, "operator/CloseSeat", operator, statements=4, seat=seat, reason="不再招募")
    assert (await api.run("shop/OpenSeats"))["data"]["shop"]["openSeats"]["edges"] == []
    assert await the_code(api, "shop/ApplyForSeat", person, input={**HOW, "seat": seat}) == "WRONG_STATE"
    made = await done(api, "partner/MakeRecruitingCode", partner)
    revoked = await check(api, "partner/RevokeRecruitingCode", partner, statements=4, id=made["id"], drawn={"code"})
    assert revoked["data"]["revokeRecruitingCode"]["revokedAt"] == NOW.isoformat()
    made = await check(api, "operator/MakePlatformCode", operator, statements=4, drawn={"code"})
    code = made["data"]["makePlatformCode"]["id"]
    assert await the_code(api, "partner/RevokeRecruitingCode", partner, id=code) == "NOT_FOUND"
    await check(api, "operator/RevokeAnyCode", operator, statements=4, id=code, drawn={"code"})
    for name in ("ChangeSeatWeights", "CloseSeat"):
        told = {"weights": WEIGHTS} if name == "ChangeSeatWeights" else {"reason": "再次"}
        assert await the_code(api, f"operator/{name}", operator, seat=seat, **told) == "WRONG_STATE"


async def test_a_guest_cannot_apply_and_strangers_see_nothing(own_sample: Api) -> None:
    api = own_sample
    operator, person = await api.token("operator"), await signed_in(api, "customer")
    seat = (await a_seat(api, operator))["id"]
    application = (await done(api, "shop/ApplyForSeat", person, input={**HOW, "seat": seat}))["id"]
    guest = (await done(api, "shop/EnterAsGuest", None))["token"]
    assert await the_code(api, "shop/ApplyForSeat", guest, input={**HOW, "seat": seat}) == "WRONG_STATE"
    assert await the_code(api, "shop/WithdrawApplication", guest, id=application) == "WRONG_STATE"
    other = await a_stranger(api)
    assert await the_code(api, "shop/WithdrawApplication", other, id=application) == "NOT_FOUND"
    for token in (guest, other):
        mine = await api.run("shop/MyApplications", token)
        assert mine["data"]["shop"]["myApplications"]["edges"] == []
    strangers = await api.token(**OTHERS["distributor"])
    assert (await api.run("partner/RecruitingCodes", strangers))["data"]["partner"]["recruitingCodes"]["edges"] == []
    for role in ("distributor", "brand", "finance", "customer"):
        answer = await api.run("operator/SeatApplication", await api.token(**WHO[role]), id=application)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"], role
    async with api.db.read() as session:
        assert await session.scalar(select(func.count()).select_from(models.PersonalRead)) == 0


async def a_stranger(api: Api) -> str:
    """The token of another customer that has signed in."""
    before = WHO["customer"]
    WHO["customer"] = OTHERS["customer"]
    try:
        return await signed_in(api, "customer")
    finally:
        WHO["customer"] = before


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"places": 0}, "BAD_ARGUMENT"), ({"weights": {**WEIGHTS, "reviewBps": 1999}}, "BAD_ARGUMENT"),
        ({"tier": encode("tier", 999)}, "NOT_FOUND"), ({"parent": encode("distributor", 999)}, "NOT_FOUND"),
        ({"closesAt": "2026-11-20T00:00:00Z"}, "BAD_ARGUMENT"),
    ],
)  # fmt: skip
async def test_seats_that_are_not_opened(own_sample: Api, how: Json, code: str) -> None:
    operator = await own_sample.token("operator")
    new = {"tier": (await tiers(own_sample))[-1], "region": "浙江", "places": 2, "weights": WEIGHTS, **how}
    assert await the_code(own_sample, "operator/OpenSeat", operator, input=new) == code
