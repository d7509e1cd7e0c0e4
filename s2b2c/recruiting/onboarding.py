"""What a new distributor has to do until it earns, and what of it is done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.sql import statements

Step = Literal["payee_told", "store_open", "first_listing", "first_sale"]


class OnboardingStep(NamedTuple):
    """`at` is None while it is not done, and where nobody knows when it was."""

    step: Step
    is_done: bool
    at: datetime | None


async def onboarding(session: AsyncSession, distributor_id: int) -> Sequence[OnboardingStep]:
    """What a distributor has done of what a newcomer has to do, in that order: told where its money goes, opened a
    store, chosen a product, sold something. Nothing is ticked off by hand: the facts themselves say so."""
    rows = await session.execute(statements("recruiting")["onboarding"], {"distributor_id": distributor_id})
    return [OnboardingStep(*row) for row in rows]
