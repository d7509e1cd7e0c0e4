"""Listings follow the bands of what they list, and the rules of its brands."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.sql import statements


async def fit_listings(session: AsyncSession, now: datetime) -> int:
    """Bring the listings of the products in the temporary table `touched` back inside their bands and rules.

    A price outside the band moves to the nearest one inside; a listing that no price fits, or whose owner's tier has no
    cost any more, leaves its store; own words that break the rules are emptied. What each was stays on record, and each
    owner is told once. Returns how many listings changed.
    """
    await session.execute(statements("catalogue")["mark_stale"])
    await session.execute(statements("catalogue")["lock_stores"])
    return await session.scalar(statements("catalogue")["fit_listings"], {"now": now}) or 0
