"""What the prices of a variant must be together, whoever sets them; `prices` in the database checks the same."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow
from s2b2c.errors import InvalidPrices, NotFound, PriceProblem, Refused
from s2b2c.models import Tier
from s2b2c.money import MAX_AMOUNT


class Prices(Protocol):
    """Fen of one unit; a tier without a cost cannot sell the variant."""

    @property
    def supply_price(self) -> int: ...
    @property
    def suggested_price(self) -> int: ...
    @property
    def min_price(self) -> int: ...
    @property
    def max_price(self) -> int: ...
    @property
    def tier_costs(self) -> Mapping[int, int]:
        """By tier_id."""
        ...


async def tiers_by_rank(session: AsyncSession) -> Sequence[AnyRow]:
    """Rows of (id, code, rank, name, is_leader): what the tier costs of a price stand for, by rank."""
    found = await session.execute(select(Tier.id, Tier.code, Tier.rank, Tier.name, Tier.is_leader).order_by(Tier.rank))
    return found.all()


async def check_prices(session: AsyncSession, wanted: Iterable[tuple[str, Prices]]) -> list[list[int | None]]:
    """The tier costs of the prices of each SKU by rank, None where a tier has none.

    Raises Refused(NotFound) for a tier that is none, and Refused(InvalidPrices) with all that can never be right.
    """
    tiers = await tiers_by_rank(session)
    ids = {tier.id for tier in tiers}
    ranks = max((tier.rank for tier in tiers), default=0)
    problems: list[PriceProblem] = []
    costs: list[list[int | None]] = []
    for sku, prices in wanted:
        if not set(prices.tier_costs) <= ids:
            raise Refused(NotFound(f"SKU {sku}: there is no such tier, read the tiers again."))
        problems += (PriceProblem(sku, field, message) for field, message in _problems(prices, tiers))
        by_rank: list[int | None] = [None] * ranks
        for tier in tiers:
            by_rank[tier.rank - 1] = prices.tier_costs.get(tier.id)
        costs.append(by_rank)
    if problems:
        raise Refused(
            InvalidPrices(f"{len(problems)} of the prices can never be right: mend them all.", tuple(problems))
        )
    return costs


def _problems(prices: Prices, tiers: Sequence[AnyRow]) -> Iterator[tuple[str, str]]:
    costs = {f"tierCosts:{tier.code}": prices.tier_costs[tier.id] for tier in tiers if tier.id in prices.tier_costs}
    amounts = {
        "supplyPrice": prices.supply_price,
        "suggestedPrice": prices.suggested_price,
        "minPrice": prices.min_price,
        "maxPrice": prices.max_price,
        **costs,
    }
    for field, amount in amounts.items():
        if not 0 <= amount <= MAX_AMOUNT:
            yield field, f"is {amount}, but a price is 0 to {MAX_AMOUNT} fen"
    if prices.supply_price > prices.min_price:
        yield "supplyPrice", "is above minPrice"
    if prices.suggested_price < prices.min_price:
        yield "suggestedPrice", "is below minPrice"
    if prices.suggested_price > prices.max_price:
        yield "suggestedPrice", "is above maxPrice"
    for field, cost in costs.items():
        if cost < prices.supply_price:
            yield field, "is below supplyPrice"
    for above, below in pairwise(costs):
        if costs[below] < costs[above]:
            yield below, f"is below the cost of the higher tier {above.partition(':')[2]}"
