"""The commission rules once more, slowly: one line at a time, in plain Python, from the written rules alone.

Nothing here is shared with the code it is compared with. Money is integers of fen, rates are integers of basis points,
`//` floors. A formula is written the way it is read, not the way it is fast.

Where the rules are silent:

- A line with no category (or brand, ...), None, is matched by no rule of that scope.
- Rows exist for positions that exist: a chain shorter than the depth gives fewer rows, a depth of 0 gives none.
- A member is blocked when it is neither active nor watch, whatever its state is called.
- "Zero" is about the number before scaling; a number that scaling makes 0 is capped.
- Units have no money of their own beyond what is left of the line, and the refund of the last ones takes all of it.
- Units may be refunded when no money is left: they bring back goods and 0 fen. Nothing at all left is refused.
- Goods that come back with a refund of an amount only count for nothing: there are no units to count.
- What is marked the brand's fault may exceed the refunded amount, but not the supply that is left.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, assert_never

Scope = Literal["variant", "product", "category", "brand", "everything"]
Scheme = Literal["levels", "fixed", "differential", "spread"]
Base = Literal["paid", "margin"]
Outcome = Literal["earned", "zero", "capped", "blocked"]

SCOPES: tuple[Scope, ...] = ("variant", "product", "category", "brand", "everything")
"""The most specific first."""


@dataclass(frozen=True)
class Rule:
    """One rule of a plan; only the numbers of its own scheme matter."""

    scope: Scope
    target: Hashable | None
    scheme: Scheme
    base: Base
    level_bps: tuple[int, ...] = ()
    level_amounts: tuple[int, ...] = ()
    tier_bps: Mapping[Hashable, int] = field(default_factory=dict)
    same_tier_bps: int = 0
    depth: int = 0
    compress: bool = False


@dataclass(frozen=True)
class Plan:
    """The rules in the order of their ids, oldest first."""

    rules: tuple[Rule, ...]
    margin_floor_bps: int = 0


class Member(NamedTuple):
    """One member of the upline as it was when the order was paid."""

    name: Hashable
    tier: Hashable
    state: str


@dataclass(frozen=True)
class Line:
    """One order line; `supply_price` and `tier_costs` are of one unit, a tier that is missing is unknown."""

    variant: Hashable
    product: Hashable
    category: Hashable
    brand: Hashable
    quantity: int
    unit_price: int
    discount: int
    supply_price: int
    tier_costs: Mapping[Hashable, int]

    @property
    def paid(self) -> int:
        """What the customer paid for the line."""
        return self.quantity * self.unit_price - self.discount

    @property
    def supply(self) -> int:
        """What the brand is owed for the line."""
        return self.quantity * self.supply_price


class Share(NamedTuple):
    """The row of one position of the (compressed) chain."""

    position: int
    name: Hashable
    tier: Hashable
    rule: int
    base_amount: int | None
    rate_bps: int | None
    uncapped: int
    amount: int
    outcome: Outcome


class Refund(NamedTuple):
    """A refund of `quantity` units, or of an `amount` only, or, with neither, of all that is left."""

    quantity: int | None = None
    amount: int | None = None
    goods_back: bool = False
    brand_amount: int = 0


class Effect(NamedTuple):
    """What one refund moves; `clawed` is what it takes from each share. A reversal has the opposite signs."""

    amount: int
    units: int
    supply_back: int
    clawed: list[int]


class Number(NamedTuple):
    """What a scheme gives to one position, before blocking and scaling."""

    base_amount: int | None
    rate_bps: int | None
    uncapped: int


# Which rule


def matches(rule: Rule, line: Line) -> bool:
    """Does the rule name this line?"""
    named: Hashable | None
    match rule.scope:
        case "variant":
            named = line.variant
        case "product":
            named = line.product
        case "category":
            named = line.category
        case "brand":
            named = line.brand
        case "everything":
            return True
        case _:
            assert_never(rule.scope)
    return named is not None and named == rule.target


def applicable(plan: Plan, line: Line) -> int | None:
    """The index of the one rule that applies: the most specific, of these the newest."""
    for scope in SCOPES:
        found: int | None = None
        for index, rule in enumerate(plan.rules):
            if rule.scope == scope and matches(rule, line):
                found = index
        if found is not None:
            return found
    return None


# Who is in the chain


def earning(member: Member) -> bool:
    """Active means active or watch."""
    return member.state in {"active", "watch"}


def last_non_zero(numbers: Sequence[int]) -> int:
    """The last non-zero index + 1."""
    depth = 0
    for index, number in enumerate(numbers):
        if number != 0:
            depth = index + 1
    return depth


def depth_of(rule: Rule) -> int:
    """How many positions have a row: from the numbers for levels and fixed, written for the others."""
    match rule.scheme:
        case "levels":
            return last_non_zero(rule.level_bps)
        case "fixed":
            return last_non_zero(rule.level_amounts)
        case "differential" | "spread":
            return rule.depth
        case _:
            assert_never(rule.scheme)


def chain_of(rule: Rule, upline: Sequence[Member]) -> list[Member]:
    """Blocked ancestors dropped if the rule compresses, then cut to the depth. The seller is never dropped."""
    chain: list[Member] = []
    for raw_position, member in enumerate(upline):
        dropped = rule.compress and raw_position > 0 and not earning(member)
        if not dropped:
            chain.append(member)
    return chain[: depth_of(rule)]


# What each scheme gives


def base_of(rule: Rule, line: Line) -> int:
    """Paid, or the margin floored at 0."""
    match rule.base:
        case "paid":
            return line.paid
        case "margin":
            return max(0, line.paid - line.supply)
        case _:
            assert_never(rule.base)


def levels(rule: Rule, chain: Sequence[Member], line: Line) -> list[Number]:
    """A rate for each position."""
    base = base_of(rule, line)
    return [Number(base, rule.level_bps[k], base * rule.level_bps[k] // 10000) for k in range(len(chain))]


def fixed(rule: Rule, chain: Sequence[Member], line: Line) -> list[Number]:
    """An amount a unit for each position."""
    return [Number(None, None, line.quantity * rule.level_amounts[k]) for k in range(len(chain))]


def differential(rule: Rule, chain: Sequence[Member], line: Line) -> list[Number]:
    """What a position's rate is above all rates below it; once a line a bonus for the first equal to the highest."""
    base = base_of(rule, line)
    rates = [rule.tier_bps.get(member.tier, 0) for member in chain]
    bonus_position: int | None = None
    for k in range(1, len(rates)):
        if bonus_position is None and rates[k] > 0 and rates[k] == max(rates[:k]):
            bonus_position = k
    numbers: list[Number] = []
    for k in range(len(rates)):
        highest_below = max(rates[:k], default=0)
        applied = rule.same_tier_bps if k == bonus_position else max(0, rates[k] - highest_below)
        numbers.append(Number(base, applied, base * applied // 10000))
    return numbers


def spread(chain: Sequence[Member], line: Line) -> list[Number]:
    """What a position's cost is below the lowest known cost under it; the seller starts from what was paid."""
    costs: list[int | None] = []
    for member in chain:
        unit_cost = line.tier_costs.get(member.tier)
        costs.append(None if unit_cost is None else line.quantity * unit_cost)
    numbers: list[Number] = []
    for k, cost in enumerate(costs):
        known_below = [below for below in costs[:k] if below is not None]
        if cost is None:
            step = 0
        elif k == 0:
            step = max(0, line.paid - cost)
        elif known_below:
            step = max(0, min(known_below) - cost)
        else:
            step = 0
        numbers.append(Number(None, None, step))
    return numbers


def numbers_of(rule: Rule, chain: Sequence[Member], line: Line) -> list[Number]:
    """The number of every position, the blocked ones too."""
    match rule.scheme:
        case "levels":
            return levels(rule, chain, line)
        case "fixed":
            return fixed(rule, chain, line)
        case "differential":
            return differential(rule, chain, line)
        case "spread":
            return spread(chain, line)
        case _:
            assert_never(rule.scheme)


# What is paid out


def available(line: Line, floor_bps: int) -> int:
    """The most that the commissions of the line may come to."""
    kept = line.paid * floor_bps // 10000
    if kept * 10000 < line.paid * floor_bps:
        kept += 1
    return max(0, line.paid - line.supply - kept)


def shares(plan: Plan | None, upline: Sequence[Member], line: Line) -> list[Share]:
    """One row for every position up to the depth; position 0 of the raw `upline` is the seller."""
    if plan is None:
        return []
    index = applicable(plan, line)
    if index is None:
        return []
    rule = plan.rules[index]
    chain = chain_of(rule, upline)
    numbers = numbers_of(rule, chain, line)

    total = 0
    for member, number in zip(chain, numbers, strict=True):
        if earning(member):
            total += number.uncapped
    room = available(line, plan.margin_floor_bps)
    scaled = total > room

    rows: list[Share] = []
    for position, (member, number) in enumerate(zip(chain, numbers, strict=True)):
        amount = number.uncapped
        outcome: Outcome = "earned"
        if not earning(member):
            amount = 0
            outcome = "blocked"
        elif number.uncapped == 0:
            outcome = "zero"
        elif scaled:
            amount = number.uncapped * room // total
            outcome = "capped"
        rows.append(
            Share(
                position=position,
                name=member.name,
                tier=member.tier,
                rule=index,
                base_amount=number.base_amount,
                rate_bps=number.rate_bps,
                uncapped=number.uncapped,
                amount=amount,
                outcome=outcome,
            )
        )
    return rows


# What refunds take back


@dataclass
class LineState:
    """Where the money of one line stands. `refund` and `reverse` change it in place, or raise and leave it alone."""

    line: Line
    shares: list[Share]
    paid: int
    refunded: int
    units: int
    supply: int
    clawed: list[int]
    platform: int

    @classmethod
    def start(cls, line: Line, shares: Sequence[Share]) -> "LineState":
        """The line as it was paid."""
        state = cls(
            line=line,
            shares=list(shares),
            paid=line.paid,
            refunded=0,
            units=0,
            supply=line.supply,
            clawed=[0 for _ in shares],
            platform=line.paid - line.supply - sum(share.amount for share in shares),
        )
        state.check()
        return state

    @property
    def left(self) -> int:
        """The money that is not refunded."""
        return self.paid - self.refunded

    @property
    def units_left(self) -> int:
        """The units that are not refunded."""
        return self.line.quantity - self.units

    @property
    def net_shares(self) -> list[int]:
        """Each share after clawbacks."""
        return [share.amount - taken for share, taken in zip(self.shares, self.clawed, strict=True)]

    def money_of(self, units: int) -> int:
        """What the next units are worth: at most what is left, and all of it for the last ones."""
        if units == self.units_left:
            return self.left
        before = self.paid * self.units // self.line.quantity
        after = self.paid * (self.units + units) // self.line.quantity
        return min(after - before, self.left)

    def clawbacks(self, refunded: int) -> list[int]:
        """Target minus taken so far, for each share, once `refunded` is the money of all refunds."""
        taken: list[int] = []
        for share, so_far in zip(self.shares, self.clawed, strict=True):
            target = share.amount * refunded // self.paid if self.paid > 0 else 0
            taken.append(target - so_far)
        return taken

    def refund(self, refund: Refund) -> Effect:
        """Refund a part of the line, or all that is left. Changes the state; ValueError if it cannot be."""
        if refund.quantity is not None and refund.amount is not None:
            raise ValueError("units or an amount, not both")
        if refund.brand_amount < 0:
            raise ValueError("what the brand gives back is negative")
        if refund.amount is not None:
            effect = self._refund_of_amount(refund.amount, refund.brand_amount)
        elif refund.brand_amount != 0:
            raise ValueError("the brand's fault is marked on a refund of an amount only")
        elif refund.quantity is not None:
            effect = self._refund_of_units(refund.quantity, goods_back=refund.goods_back)
        else:
            effect = self._refund_of_the_rest(goods_back=refund.goods_back)
        self._apply(effect)
        return effect

    def reverse(self, effect: Effect) -> Effect:
        """Undo the money, units and supply of an earlier refund; each share goes to its target by the same formula.

        Changes the state; ValueError if no such refund can be standing.
        """
        if effect.amount < 0 or effect.units < 0 or effect.supply_back < 0:
            raise ValueError("only a refund is reversed")
        if effect.amount > self.refunded or effect.units > self.units:
            raise ValueError("more than was refunded")
        if effect.supply_back > self.line.supply - self.supply:
            raise ValueError("more than the brand gave back")
        opposite = Effect(
            amount=-effect.amount,
            units=-effect.units,
            supply_back=-effect.supply_back,
            clawed=self.clawbacks(self.refunded - effect.amount),
        )
        self._apply(opposite)
        return opposite

    def check(self) -> None:
        """Everything that holds at any time."""
        assert self.supply + sum(self.net_shares) + self.platform == self.paid - self.refunded
        assert 0 <= self.refunded <= self.paid
        assert 0 <= self.units <= self.line.quantity
        assert 0 <= self.supply <= self.line.supply
        for share, net in zip(self.shares, self.net_shares, strict=True):
            assert 0 <= net <= share.amount
            # Never below its exact proportion, and less than 1 fen above it.
            if self.paid > 0:
                assert 0 <= net * self.paid - share.amount * self.left < self.paid
            else:
                assert net == 0

    def _refund_of_amount(self, amount: int, brand_amount: int) -> Effect:
        if amount <= 0:
            raise ValueError("an amount is above 0")
        if amount > self.left:
            raise ValueError("more money than is left")
        if brand_amount > self.supply:
            raise ValueError("more than is left of what the brand is owed")
        return Effect(amount=amount, units=0, supply_back=brand_amount, clawed=self.clawbacks(self.refunded + amount))

    def _refund_of_units(self, units: int, *, goods_back: bool) -> Effect:
        if units <= 0:
            raise ValueError("a quantity is above 0")
        if units > self.units_left:
            raise ValueError("more units than are left")
        money = self.money_of(units)
        supply_back = min(units * self.line.supply_price, self.supply) if goods_back else 0
        return Effect(amount=money, units=units, supply_back=supply_back, clawed=self.clawbacks(self.refunded + money))

    def _refund_of_the_rest(self, *, goods_back: bool) -> Effect:
        if self.units_left > 0:
            return self._refund_of_units(self.units_left, goods_back=goods_back)
        if self.left > 0:
            return self._refund_of_amount(self.left, brand_amount=0)
        raise ValueError("nothing is left")

    def _apply(self, effect: Effect) -> None:
        self.refunded += effect.amount
        self.units += effect.units
        self.supply -= effect.supply_back
        self.clawed = [so_far + taken for so_far, taken in zip(self.clawed, effect.clawed, strict=True)]
        # The platform pays the customer and is given back by the brand and by every share.
        self.platform += effect.supply_back + sum(effect.clawed) - effect.amount
        self.check()
