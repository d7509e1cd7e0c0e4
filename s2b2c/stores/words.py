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
    session: AsyncSession, store_ids: Sequence[int], texts: Sequence[str], *, product_ids: Sequence[int] = ()
) -> dict[int, list[BrokenRule]]:
    """The banned words in texts of stores, like their titles: of each store that may not say them all.

    By the brands that it lists, and by those of these products; one word of each text and brand.
    """
    found = await session.execute(
        statements("stores")["broken_rules"],
        {"store_ids": list(store_ids), "texts": list(texts), "product_ids": list(product_ids)},
    )
    broken: dict[int, list[BrokenRule]] = {}
    for row in found:
        broken.setdefault(row.store_id, []).append(BrokenRule(row.n - 1, row.brand, row.word))
    return broken
