"""The rule of units set aside, told one order after the other."""

from dataclasses import dataclass, field
from typing import NamedTuple

Whose = int | str
"""The number of a store, or a region."""


@dataclass
class Pool:
    quantity: int


class Taken(NamedTuple):
    variant: int
    pool: Pool | None
    """None: out of what was free."""
    quantity: int


@dataclass
class Shop:
    """`free` units of each variant, and what is set aside of it."""

    free: list[int]
    regions: list[str]
    """Of each store, today."""
    aside: list[dict[Whose, Pool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.aside = [{} for _ in self.free]

    def set(self, wanted: dict[tuple[int, Whose], int]) -> bool:
        """Whether there is enough of every variant for all of it."""
        left = list(self.free)
        for (variant, whose), quantity in wanted.items():
            old = self.aside[variant].get(whose)
            left[variant] += (old.quantity if old else 0) - quantity
        if any(now < 0 and now < before for now, before in zip(left, self.free, strict=True)):
            return False
        for (variant, whose), quantity in wanted.items():
            old = self.aside[variant].get(whose)
            if quantity == 0:
                self.aside[variant].pop(whose, None)
            elif old is None or old.quantity != quantity:
                self.aside[variant][whose] = Pool(quantity)
        self.free = left
        return True

    def order(self, store: int, lines: dict[int, int]) -> list[Taken] | None:
        """What it takes of each pool; None where there is too little of anything."""
        taken: list[Taken] = []
        for variant, wanted in lines.items():
            rest = wanted
            for whose in (store, self.regions[store]):
                pool = self.aside[variant].get(whose)
                if pool is not None and (part := min(rest, pool.quantity)):
                    taken.append(Taken(variant, pool, part))
                    rest -= part
            if rest > self.free[variant]:
                return None
            if rest:
                taken.append(Taken(variant, None, rest))
        for it in taken:
            self._add(it, -it.quantity)
        return taken

    def give_back(self, taken: list[Taken]) -> None:
        """To the pools that are still what they were, else to what is free."""
        for it in taken:
            self._add(it, it.quantity)

    def _add(self, it: Taken, quantity: int) -> None:
        if it.pool is not None and any(it.pool is pool for pool in self.aside[it.variant].values()):
            it.pool.quantity += quantity
        else:
            self.free[it.variant] += quantity
