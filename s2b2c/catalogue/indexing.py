"""What the selection is made from: products described anew when they changed, and counts of the cohorts."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.catalogue import words
from s2b2c.db import BY_KEY
from s2b2c.models import StaleProduct
from s2b2c.sql import statements

SOLD_DAYS = 30
COUNT_EVERY = timedelta(hours=1)


async def mark_stale(session: AsyncSession, product_id: int) -> None:
    """A product changed: it is described anew soon."""
    await session.execute(insert(StaleProduct).values(product_id=product_id).on_conflict_do_nothing())


# Right after an import the planner knows nothing of the new rows, and would read whole tables for each product.
_BY_KEY = text(f"SELECT {BY_KEY}")


async def index_products(session: AsyncSession, limit: int = 5_000) -> int:
    """Describe anew the next products that changed, for those who search; how many there were, 0 when none are left."""
    blocks = statements("selecting")
    stale = (await session.scalars(blocks["take_stale"], {"limit": limit})).all()
    if stale:
        await session.execute(_BY_KEY)
        rows = (await session.execute(blocks["describe"], {"product_ids": stale})).all()
        await session.execute(
            blocks["keep"],
            {
                "product_ids": stale,
                "ids": [row.id for row in rows],
                "terms": [
                    words.terms(
                        words.Described(
                            row.title,
                            row.rest,
                            row.brand_id,
                            row.category,
                            row.tags,
                            row.suggested_price,
                            row.costs,
                            row.listed_on,
                        )
                    )
                    for row in rows
                ],
                "suggested_prices": [row.suggested_price for row in rows],
                "costs": [_array(row.costs) for row in rows],
                "listed_at": [row.listed_at for row in rows],
            },
        )
    return len(stale)


async def count_cohorts(session: AsyncSession, now: datetime) -> int:
    """Count once an hour what the stores of each cohort list and sell; 0 when it is not time yet."""
    blocks = statements("selecting")
    due = await session.scalar(blocks["counted"], {"now": now, "before": now - COUNT_EVERY})
    if due is None:
        return 0
    await session.execute(blocks["count_cohorts"], {"now": now, "since": now - timedelta(SOLD_DAYS)})
    return 1


def _array(costs: list[int | None]) -> str:
    """The text of an array: arrays of arrays cannot be unnested."""
    return "{" + ",".join("NULL" if cost is None else str(cost) for cost in costs) + "}"
