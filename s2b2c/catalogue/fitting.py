"""Listings follow the bands of what they list."""

from datetime import datetime

from sqlalchemy import (
    CursorResult,
)
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.sql import statements


async def fit_listings(session: AsyncSession, now: datetime) -> int:
    """Bring the listings of the products in the temporary table `touched` back inside their bands.

    A price outside the band moves to the nearest one inside; a listing that no price fits, or whose owner's tier has no
    cost any more, leaves its store. Their owners are told. Returns how many listings changed.
    """
    await session.execute(statements("catalogue")["mark_stale"])
    await session.execute(statements("catalogue")["lock_stores"])
    await session.execute(statements("catalogue")["find_bands"])
    changed = 0
    for name in ("withdraw_listings", "clamp_listings"):
        told = await session.execute(statements("catalogue")[name], {"now": now})
        assert isinstance(told, CursorResult)
        changed += told.rowcount
    return changed
