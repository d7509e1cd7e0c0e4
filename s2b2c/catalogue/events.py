"""What became of a product, who did it, and why."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow
from s2b2c.models import ProductEvent
from s2b2c.sql import statements


async def record(
    session: AsyncSession,
    product_id: int,
    kind: str,
    *,
    now: datetime,
    account_id: int,
    reason: str | None = None,
    facts: Mapping[str, int] | None = None,
) -> None:
    await session.execute(
        insert(ProductEvent).values(
            product_id=product_id, at=now, kind=kind, account_id=account_id, reason=reason, facts=dict(facts or {})
        )
    )


class EventsPage(NamedTuple):
    """Some of the events of a product: `limit` of them before the one whose id is `before`, or the newest."""

    product_id: int
    before: int | None
    limit: int


async def product_events(session: AsyncSession, pages: Sequence[EventsPage]) -> list[list[AnyRow]]:
    """For each page its events, newest first: rows of (id, at, kind, reason, facts, account_id)."""
    rows = await session.execute(
        statements("products")["events"].columns(facts=JSONB),
        {
            "product_ids": [it.product_id for it in pages],
            "befores": [it.before for it in pages],
            "limits": [it.limit for it in pages],
        },
    )
    found: list[list[AnyRow]] = [[] for _ in pages]
    for row in rows:
        found[row.n - 1].append(row)
    return found
