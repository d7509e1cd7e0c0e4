"""What of signing in is kept, and for how long."""

from datetime import datetime, timedelta

from sqlalchemy import delete, or_
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import Invitation, OneTimeCode, RateLimit, Session

RETENTION = timedelta(days=30)
"""How long it can be looked up when and why a session ended, and who was invited and did not come."""


async def clear(session: AsyncSession, now: datetime) -> int:
    """Delete sessions (with their tokens) and unused invitations that were over a while ago, codes that have expired
    and buckets that are empty: how many rows. None of the tokens could still be used, or used a second time.
    """
    before = now - RETENTION
    cleared = 0
    for old in (
        delete(Session).where(or_(Session.ended_at < before, Session.expires_at < before)).returning(Session.id),
        delete(Invitation)
        .where(Invitation.accepted_at.is_(None), Invitation.expires_at < before)
        .returning(Invitation.account_id),
        delete(OneTimeCode).where(OneTimeCode.expires_at < now).returning(OneTimeCode.tries),
        delete(RateLimit).where(RateLimit.empty_at < now).returning(RateLimit.span),
    ):
        cleared += len((await session.execute(old)).all())
    return cleared
