"""What a brand demands of every store that lists its products."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.catalogue.fitting import fit_listings
from s2b2c.db import page
from s2b2c.errors import BadArgument, Refused
from s2b2c.models import BrandRules, BrandRulesHistory
from s2b2c.sql import statements

MAX_BANNED_WORDS = 200
MAX_WORD_LENGTH = 50
MAX_DISCLOSURE_LENGTH = 500


class Rules(NamedTuple):
    """Words that no pitch may hold; the least share of the suggested price that a store may ask, None for any; the text
    that own words must hold, or ""."""

    banned_words: Sequence[str] = ()
    floor_bps: int | None = None
    disclosure: str = ""


async def rules_of(session: AsyncSession, brand_id: int) -> BrandRules | None:
    return await session.get(BrandRules, brand_id, populate_existing=True)


async def rules_history(
    session: AsyncSession, brand_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[BrandRulesHistory]:
    """All rules that a brand has set, newest first; `after` is an (id,)."""
    query = select(BrandRulesHistory).where(BrandRulesHistory.brand_id == brand_id)
    return (await session.scalars(page(query, (BrandRulesHistory.id, "down"), after=after, limit=limit))).all()


async def set_rules(
    session: AsyncSession, brand_id: int, rules: Rules, *, account_id: int | None, now: datetime
) -> int:
    """Put these in the place of the rules of a brand, and bring all stores in line: how many listings changed.

    Prices below the floor rise to it, or the listing leaves its store where none fits; own words that break the rules
    are emptied. The rules that are in force already change nothing. Raises Refused(BadArgument).
    """
    banned = list(dict.fromkeys(word.strip() for word in rules.banned_words))
    _check(banned, rules)
    if rules.disclosure and (word := await session.scalar(select(func.banned_word(rules.disclosure, banned)))):
        raise Refused(BadArgument(f"The disclosure holds {word!r}, which these rules ban: no words could hold both."))
    await session.execute(statements("pricing")["lock_products_of_brand"], {"brand_id": brand_id})
    changed = await session.scalar(
        statements("pricing")["set_rules"],
        {
            "brand_id": brand_id,
            "banned_words": banned,
            "floor_bps": rules.floor_bps,
            "disclosure": rules.disclosure,
            "account_id": account_id,
            "now": now,
        },
    )
    if changed is None:
        return 0
    await session.execute(statements("pricing")["touch_products_of_brand"], {"brand_id": brand_id})
    return await fit_listings(session, now)


def _check(banned: Sequence[str], rules: Rules) -> None:
    if len(banned) > MAX_BANNED_WORDS:
        raise Refused(BadArgument(f"bannedWords has {len(banned)} words; at most {MAX_BANNED_WORDS} are kept."))
    for word in banned:
        if not 0 < len(word) <= MAX_WORD_LENGTH or not word.isprintable():
            raise Refused(
                BadArgument(
                    f"{word[:60]!r} cannot be banned: send 1 to {MAX_WORD_LENGTH} characters that can be printed."
                )
            )
    if rules.floor_bps is not None and not 1 <= rules.floor_bps <= 10_000:
        raise Refused(BadArgument(f"floorBps is {rules.floor_bps}, but a share is 1 to 10000; null for none."))
    if len(rules.disclosure) > MAX_DISCLOSURE_LENGTH or not rules.disclosure.replace("\n", "").isprintable():
        raise Refused(
            BadArgument(f"The disclosure must be at most {MAX_DISCLOSURE_LENGTH} characters that can be printed.")
        )
    if rules.disclosure != rules.disclosure.strip():
        raise Refused(BadArgument("The disclosure begins or ends with a blank: send it without."))
