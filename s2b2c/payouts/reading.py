"""What is seen of payouts."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import page
from s2b2c.models import Payout


async def of_run(session: AsyncSession, run_id: int, *, after: tuple[int, ...] | None, limit: int) -> Sequence[Payout]:
    """The payouts of a run, the first one first; `after` is an (id,)."""
    query = page(select(Payout).where(Payout.run_id == run_id), (Payout.id.expression, "up"), after=after, limit=limit)
    return (await session.scalars(query)).all()


async def payout(session: AsyncSession, payout_id: int) -> Payout | None:
    return await session.get(Payout, payout_id)


async def payouts_of_statements(session: AsyncSession, statement_ids: Sequence[int]) -> dict[int, Payout]:
    """By statement, where it has a payout."""
    found = await session.scalars(select(Payout).where(Payout.statement_id.in_(statement_ids)))
    return {it.statement_id: it for it in found}
