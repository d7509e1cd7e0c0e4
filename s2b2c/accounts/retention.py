"""What of signing in is kept, and for how long."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import Base
from s2b2c.models import Invitation, OneTimeCode, RateLimit, Session

RETENTION = timedelta(days=30)
"""How long it can be looked up when and why a session ended, and who was invited and did not come."""

_ROW: ColumnElement[object] = literal_column("ctid")


async def forget(session: AsyncSession, now: datetime, *, limit: int) -> int:
    """Delete sessions (with their tokens) and unused invitations that were over a while ago, codes that have expired
    and buckets that are empty, at most `limit` of each: how many rows.

    None of the tokens could still be used, or used a second time.
    """
    before = now - RETENTION
    old: dict[type[Base], ColumnElement[bool]] = {
        Session: or_(Session.ended_at < before, Session.expires_at < before),
        Invitation: Invitation.accepted_at.is_(None) & (Invitation.expires_at < before),
        OneTimeCode: OneTimeCode.expires_at < now,
        RateLimit: RateLimit.empty_at < now,
    }
    gone = 0
    for table, is_old in old.items():
        some = select(_ROW).select_from(table).where(is_old).limit(limit).with_for_update(skip_locked=True)
        gone += len((await session.execute(delete(table).where(_ROW.in_(some)).returning(_ROW))).all())
    return gone
