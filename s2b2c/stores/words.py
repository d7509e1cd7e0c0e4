"""Whether what a store says keeps the rules of the brands whose products it lists."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.sql import statements


class BrokenRule(NamedTuple):
    """A text that holds a word which a brand bans; `number` is its place among the texts, from 0."""

    number: int
    brand: str
    word: str


async def check_words(
    session: AsyncSession, store_id: int, texts: Sequence[str], *, brand_ids: Sequence[int] = ()
) -> list[BrokenRule]:
    """The banned words in texts of a store, like its title: by the brands it lists, and by these. One of each brand."""
    found = await session.execute(
        statements("stores")["broken_rules"],
        {"store_id": store_id, "texts": list(texts), "brand_ids": list(brand_ids)},
    )
    return [BrokenRule(row.n - 1, row.brand, row.word) for row in found]
