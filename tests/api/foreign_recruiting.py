"""Operations of recruiting that take ids, and what the sample lacks for them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models
from s2b2c import recruiting as recruits
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from tests import factories
from tests.api.conftest import NOW

NOT_BELOW = "parent_id IS NOT NULL AND :me <> ALL (SELECT unnest(ancestors) FROM distributors WHERE id = parent_id)"
"""Which seats a distributor may not invite to; those of the sample are of no higher tier than its own."""
SEATS = {
    "seat": ("seat", "SELECT min(id) FROM seats"),
    "other_seat": ("seat", "SELECT min(id) FROM seats WHERE id > (SELECT min(id) FROM seats)"),
    "application": ("seat-application", "SELECT min(id) FROM seat_applications"),
    "recruiting_code": ("recruiting-code", "SELECT min(id) FROM recruiting_codes WHERE distributor_id = :distributor"),
}
"""As in `foreign._OWN`."""


async def recruited(session: AsyncSession, distributor_id: int) -> None:
    """Two seats, the third below a stranger; somebody applied for the first with a code of the distributor."""
    account_id = await account_of(session, "operator")
    how: dict[str, Any] = {"account_id": account_id, "now": NOW}
    tier_id = (await session.scalars(select(models.Tier.id).order_by(models.Tier.rank.desc()).limit(1))).one()
    stranger = await factories.a_distributor(session)
    seats = []
    for parent_id in (None, None, stranger.id):
        new = recruits.NewSeat(
            tier_id, "浙江", 2, recruits.Weights(2500, 2500, 2500, 2500), NOW - timedelta(days=1), parent_id=parent_id
        )
        seats.append((await recruits.open_seat(session, new, **how)).id)
    own = await recruits.make_code(session, seat_id=None, distributor_id=distributor_id, **how)
    await recruits.make_code(session, seat_id=None, distributor_id=stranger.id, **how)
    person_id = await people.find_or_make(session, {"phone": "13700007777"}, NOW)
    await people.be_customer(session, person_id, None)
    told = recruits.NewApplication("李四", "杭州", "做过社群团购。", 12, 300, 500_000, agrees=True)
    await recruits.submit(session, person_id, seats[0], told, code=own.code, **how)


def recruiting(own: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The application is approved at the end, and its seat closed."""
    seat, other, application, code = (own[it] for it in ("seat", "other_seat", "application", "recruiting_code"))
    weights = {"experienceBps": 10_000, "audienceBps": 0, "outputBps": 0, "reviewBps": 0}
    new = {"tier": own["tier"], "region": "浙江", "places": 1, "weights": weights, "parent": own["parent"]}
    told = {"name": "李四", "region": "杭州", "introduction": "好", "experienceMonths": 1, "audience": 1}
    why = {"reason": "测试"}
    return {
        "shop/ApplyForSeat": {"input": {"seat": seat, **told, "declaredOutput": 1, "agrees": True}},
        "shop/WithdrawApplication": {"id": application},
        "partner/MakeRecruitingCode": {"seat": seat},
        "partner/RevokeRecruitingCode": {"id": code},
        "operator/MakePlatformCode": {"seat": seat},
        "operator/RevokeAnyCode": {"id": code},
        "operator/OnboardingOf": {"distributor": own["parent"]},
        "operator/OpenSeat": {"input": new},
        "operator/ChangeSeatWeights": {"seat": other, "weights": weights},
        "operator/RankedApplications": {"seat": seat},
        "operator/SeatApplications": {"seat": seat},
        "operator/SeatApplication": {"id": application},
        "operator/VerifyApplication": {"id": application, "criterion": "AUDIENCE", "number": 2, **why},
        "operator/ReviewApplication": {"id": application, "rating": 50, "comment": "可以"},
        "operator/MoveApplication": {"id": application, "seat": other, **why},
        "operator/ApproveApplication": {
            "input": {"application": application, "name": "新店", "parent": own["parent"], **why}
        },
        "operator/RejectApplication": {"id": application, **why},
        "operator/CloseSeat": {"seat": seat, **why},
    }
