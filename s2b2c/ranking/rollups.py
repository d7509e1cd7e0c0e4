"""Daily totals, kept up by adding each order and each refund once."""

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import RefundBatch
from s2b2c.sql import statements


async def roll_up(session: AsyncSession, limit: int = 10_000) -> int:
    """Add up to `limit` paid orders, and as many refunds, each once, to the daily totals; how many.

    What is added is marked by the same transaction, so nothing is counted twice or missed, wherever it breaks off. A
    total is of one branch, and a branch is added up by one worker at a time, up to the end of its transaction: another
    one takes other branches meanwhile, or waits, so it is called once in a transaction. Refunds come after their
    orders. 0 means that nothing is left but what somebody holds now.
    """
    added = await _in_free_lanes(session, limit)
    if isinstance(added, int):
        return added
    await session.execute(statements("ranking")["wait_for_lane"], {"lane": added.held})
    again = await _in_free_lanes(session, limit)
    return again if isinstance(again, int) else 0


class _Held(NamedTuple):
    """Others have all that there is to add; one of their lanes."""

    held: int


async def _in_free_lanes(session: AsyncSession, limit: int) -> int | _Held:
    """What can be added in lanes that nobody has. Who has a lane waits for no other, so nobody deadlocks."""
    lanes = (await session.execute(statements("ranking")["waiting"])).all()
    taken = added = 0
    for lane, branch_ids in lanes:
        if added < limit and await session.scalar(statements("ranking")["take_lane"], {"lane": lane}):
            taken += 1
            added += await _add(session, branch_ids, limit - added)
    return _Held(lanes[0].lane) if lanes and not taken else added


async def _add(session: AsyncSession, branch_ids: list[int], limit: int) -> int:
    batch = {"branch_ids": branch_ids, "limit": limit}
    added: int = (await session.scalars(statements("ranking")["add_orders"], batch)).one()
    refunds = RefundBatch.of(await session.execute(statements("ranking")["take_refunds"], batch))
    if refunds.refund_ids:
        for step in ("keep", "add_refunds"):
            await session.execute(statements("ranking")[step], refunds._asdict())
    return added + len(refunds.refund_ids)
