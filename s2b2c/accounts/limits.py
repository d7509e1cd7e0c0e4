"""How often somebody may try: kept in the database, so that it holds however many processes serve."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import crypto
from s2b2c.errors import Refused, TooManyRequests
from s2b2c.models import RateLimit


class Limit(NamedTuple):
    """At most `most` at once, and again one for every `span / most` that passes."""

    name: str
    most: int
    span: timedelta

    @property
    def step(self) -> timedelta:
        return self.span / self.most

    def key(self, whose: str) -> bytes:
        return crypto.keys().fingerprint("limit", self.name, whose)


GUESTS = Limit("guests of an address", 600, timedelta(hours=1))
"""Many phones share one address of a carrier."""
CODES_IN_A_ROW = Limit("codes in a row", 1, timedelta(minutes=1))
CODES = Limit("codes to a phone", 10, timedelta(days=1))
CODES_OF_ADDRESS = Limit("codes for an address", 60, timedelta(hours=1))
TRIES = Limit("tries for a phone", 10, timedelta(hours=1))
"""Of passwords and codes, right ones too; one that is right forgets them."""
TRIES_OF_ADDRESS = Limit("tries of an address", 300, timedelta(hours=1))
INVITATIONS = Limit("invitations of a person", 100, timedelta(days=1))


async def take(session: AsyncSession, now: datetime, *asked: tuple[Limit, str]) -> None:
    """Count one more for each of these limits, every one of another name, for whom it is asked.

    Raises Refused(TooManyRequests) where one is reached; then none is counted, since the transaction ends.
    """
    wanted = {limit.key(whose): limit for limit, whose in asked}
    values = {
        "now": now,
        "keys": list(wanted),
        "steps": [limit.step for limit in wanted.values()],
        "spans": [limit.span for limit in wanted.values()],
    }
    taken = set(await session.scalars(_TAKE, values))
    if len(taken) == len(wanted):
        return
    full = await session.execute(select(RateLimit.key, RateLimit.empty_at).where(RateLimit.key.in_(wanted)))
    waits = [empty_at + wanted[key].step - wanted[key].span - now for key, empty_at in full if key not in taken]
    seconds = max(1, -(-max(waits, default=timedelta()) // timedelta(seconds=1)))
    raise Refused(TooManyRequests(f"Too many tries: come back in {seconds} seconds.", seconds))


async def forget(session: AsyncSession, limit: Limit, whose: str) -> None:
    """Begin to count anew."""
    await session.execute(delete(RateLimit).where(RateLimit.key == limit.key(whose)))


# In the order of the keys, so that two at once cannot wait for each other.
_TAKE = text(
    """
    INSERT INTO rate_limits AS bucket (key, empty_at, span)
    SELECT asked.key, CAST(:now AS timestamptz) + asked.step, asked.span
    FROM unnest(CAST(:keys AS bytea[]), CAST(:steps AS interval[]), CAST(:spans AS interval[]))
         AS asked (key, step, span)
    ORDER BY asked.key
    ON CONFLICT (key) DO UPDATE
    SET empty_at = greatest(bucket.empty_at, :now) + (excluded.empty_at - :now), span = excluded.span
    WHERE greatest(bucket.empty_at, :now) + (excluded.empty_at - :now) <= :now + excluded.span
    RETURNING key
    """
)
