"""How much anybody may ask, counted over all processes without asking the database each time.

Each process counts by itself and tells the database of every `AT_ONCE` requests, so that who asks little costs nothing.
A caller gets beyond a limit by less than `AT_ONCE` in each process.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from s2b2c.accounts import Limit, Viewer, take
from s2b2c.db import Database
from s2b2c.errors import Refused, TooManyRequests
from s2b2c.failures import is_database_away

AT_ONCE = 30
SPAN = timedelta(minutes=1)
MAX_CALLERS = 50_000
"""When more have asked, all are forgotten; the database knows who asks much."""


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Caller:
    since: datetime
    count: int = 0
    """Of requests since then that the database has not been told of."""
    refused_until: datetime = _LONG_AGO


class Rates:
    """Requests a minute, by person and by address. Less than `AT_ONCE` cannot be held."""

    def __init__(self, db: Database, *, of_person: int, of_address: int) -> None:
        self._db = db
        self._of_person = Limit("requests of a person", of_person // AT_ONCE, SPAN)
        self._of_address = Limit("requests of an address", of_address // AT_ONCE, SPAN)
        self._callers: dict[tuple[Limit, str], _Caller] = {}

    async def count_address(self, address: str, now: datetime) -> None:
        """One more request from there. Raises Refused(TooManyRequests)."""
        await self._count(self._of_address, address, now)

    async def count_person(self, viewer: Viewer, now: datetime) -> None:
        """One more request of whoever that is, in whatever role. Raises Refused(TooManyRequests)."""
        whose = f"account {viewer.account_id}" if viewer.person_id is None else f"person {viewer.person_id}"
        await self._count(self._of_person, whose, now)

    async def _count(self, limit: Limit, whose: str, now: datetime) -> None:
        if len(self._callers) > MAX_CALLERS:
            self._callers.clear()
        caller = self._callers.setdefault((limit, whose), _Caller(now))
        if now < caller.refused_until:
            seconds = -(-(caller.refused_until - now) // timedelta(seconds=1))
            raise Refused(TooManyRequests(f"Too many requests: come back in {seconds} seconds.", seconds))
        if now - caller.since >= SPAN:
            caller.since, caller.count = now, 0
        caller.count += 1
        if caller.count >= AT_ONCE:
            caller.count = 0
            await self._tell(limit, whose, caller, now)

    async def _tell(self, limit: Limit, whose: str, caller: _Caller, now: datetime) -> None:
        try:
            async with self._db.write() as session:
                await take(session, now, (limit, whose))
        except Refused as refused:
            if isinstance(refused.refusal, TooManyRequests):
                caller.refused_until = now + timedelta(seconds=refused.refusal.retry_after_s)
            raise
        except Exception as error:
            if not is_database_away(error):
                raise  # else what is asked for will notice by itself
