"""Every invariant of the live data, as a query that names the rows which break it."""

from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import PLAN_FOR_BULK
from s2b2c.settlements import Progress
from s2b2c.sql import statements

_ROWS_NAMED = 20
_BY_KEY = {"selectable_products"}
"""Checks that ask for the price band of each product and tier: planned for bulk they join whole tables for each."""
_PLAN_BY_KEY = text("SELECT set_config('enable_nestloop', 'on', true)")


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant that does not hold: `description` says what should be, `rows` are (key, what is) of the first."""

    check: str
    description: str
    rows: tuple[tuple[str, str], ...]
    total: int

    def __str__(self) -> str:
        more = [f"  and {self.total - len(self.rows)} more"] if self.total > len(self.rows) else []
        return "\n".join(
            [f"{self.check}: {self.description}", *(f"  {key}: {wrong}" for key, wrong in self.rows), *more]
        )


async def audit(session: AsyncSession, progress: Progress | None = None) -> list[Breach]:
    """Run every check of sql/audit.sql in one snapshot; nothing is broken when nothing is returned."""
    checks = statements("audit")
    breaches = []
    for done, (name, query) in enumerate(checks.items(), start=1):
        await session.execute(_PLAN_BY_KEY if name in _BY_KEY else PLAN_FOR_BULK)
        breach = await _check(session, name, query)
        if breach is not None:
            breaches.append(breach)
        if progress is not None:
            progress(done, len(checks))
    return breaches


async def _check(session: AsyncSession, name: str, query: TextClause) -> Breach | None:
    rows: list[tuple[str, str]] = []
    total = 0
    result = await session.stream(query)
    async for key, wrong in result:
        total += 1
        if total <= _ROWS_NAMED:
            rows.append((key, wrong))
    description = query.text.strip().splitlines()[0].removeprefix("-- ")
    return Breach(name, description, tuple(rows), total) if total else None
