"""Seats, people who apply for them, and the short ways to do that."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import audit, models, network, recruiting
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.db import Database
from s2b2c.errors import Refusal, Refused
from s2b2c.recruiting import Approval, NewApplication, NewSeat, Weights
from tests import factories
from tests.lives import rows

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
EVEN = Weights(3000, 3000, 2000, 2000)


class World(NamedTuple):
    """An operator, a tier of provinces and one of cities, and a distributor on the first."""

    account_id: int
    top: models.Tier
    city: models.Tier
    inviter: models.Distributor


async def a_world(session: AsyncSession) -> World:
    account_id = await account_of(session, "operator")
    top, city = await factories.a_tier(session, rank=1), await factories.a_tier(session, rank=2)
    return World(account_id, top, city, await factories.a_distributor(session, rank=1))


async def a_seat(session: AsyncSession, world: World, *, places: int = 3, weights: Weights = EVEN, **how: Any) -> int:
    new = NewSeat(
        **{"tier_id": world.city.id, "region": "华东", "opens_at": NOW, **how}, places=places, weights=weights
    )
    return (await recruiting.open_seat(session, new, account_id=world.account_id, now=NOW)).id


async def a_person(session: AsyncSession, number: int = 0) -> int:
    """The id of a customer who is known by a phone."""
    person_id = await people.find_or_make(session, {"phone": f"138{number:08}"}, NOW)
    await people.be_customer(session, person_id, None)
    return person_id


def told(number: int = 0, *, months: int = 12, audience: int = 300, output: int = 500_000) -> NewApplication:
    return NewApplication(f"王{number}", "杭州", "做过三年社群团购。\n有仓库。", months, audience, output, agrees=True)


async def apply(
    session: AsyncSession, seat_id: int, person_id: int, new: NewApplication | None = None, **how: Any
) -> int:
    return await recruiting.submit(
        session,
        person_id,
        seat_id,
        new or told(),
        **{"account_id": await account_of(session, "operator"), "now": NOW, **how},
    )


async def approve(session: AsyncSession, world: World, application_id: int, **how: Any) -> network.Standing:
    return await recruiting.approve(
        session,
        application_id,
        Approval(**{"name": "杭州新店", **how}),
        reason="资质齐全",
        account_id=world.account_id,
        now=NOW + timedelta(days=1),
    )


async def refusal(work: Awaitable[Any]) -> Refusal:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.refusal


async def refused(db: Database, work: Callable[[AsyncSession], Awaitable[Any]]) -> Refusal:
    """What is refused, and that nothing has changed."""
    before = await rows(db)
    with pytest.raises(Refused) as it:
        async with db.write() as session:
            await work(session)
    assert await rows(db) == before
    return it.value.refusal


async def findings(db: Database) -> list[str]:
    async with db.snapshot() as session:
        return [
            str(it)
            for it in await audit.audit(session)
            if it.check in {"seat_places", "approved_applications", "application_events"}
        ]
