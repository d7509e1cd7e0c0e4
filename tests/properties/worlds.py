"""Worlds to test commissions in: a network, a catalogue, plans, and orders with their refunds.

The oracle runs along while a world is drawn, so that each refund is one that can be had. What is drawn are small
integers, of which 0 stands for nothing (no rule, no order, no refund): a world that fails shrinks to what matters.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

from tests.properties.oracle import SCOPES, Base, Line, LineState, Member, Plan, Refund, Rule, Scheme
from tests.properties.order_oracle import Event, Order

ANEW = "anew"
"""Draws every example anew. The usual backend makes four of five out of the one before, by copying a part of it to another
place: of a world that is so large nearly all orders would be those of the world before."""
AVAILABLE_PROVIDERS[ANEW] = HypothesisProvider

SOAK = settings.get_current_profile_name() == "soak"
START = datetime(2026, 8, 31, 16, tzinfo=UTC)
DAY = timedelta(days=1)

ROUNDS = 6
PAID_AFTER = 2
COMPLETED_AFTER = 4
"""Rounds of refunds before the payment, and before the completion, of all orders."""

SCHEMES: tuple[Scheme, ...] = ("levels", "fixed", "differential", "spread")
BASES: tuple[Base, ...] = ("paid", "margin")
STATES = ("active", "active", "active", "active", "watch", "suspended", "eliminated", "applied")
BRANDS = (1, 2)
PRODUCTS = {11: (1, "猫粮"), 12: (1, "狗粮"), 13: (2, "猫粮"), 14: (2, "狗粮")}
"""Brand and category of each."""
VARIANTS = {21: 11, 22: 11, 23: 12, 24: 13, 25: 13, 26: 14}
"""The product of each."""
TARGETS: dict[str, tuple[Hashable, ...]] = {
    "variant": tuple(VARIANTS),
    "product": tuple(PRODUCTS),
    "category": ("猫粮", "狗粮"),
    "brand": BRANDS,
    "everything": (None,),
}

FLAG = st.booleans()
UP_TO = [st.integers(0, most) for most in range(31)]
BPS = st.integers(0, 10_000)
RATE = st.integers(0, 1_500)
FEN = st.integers(0, 300)
PRICE = st.integers(1, 100_000)
HUGE = st.integers(1, 10**12)


Drawn = TypeVar("Drawn")


class Draw(Protocol):
    """What a composite strategy draws with, or a step of a machine."""

    def __call__(self, strategy: st.SearchStrategy[Drawn], label: object = ...) -> Drawn: ...


class Variant(NamedTuple):
    """`costs` by rank, None where that tier cannot sell it; the band is (lowest, suggested, highest)."""

    id: int
    supply_price: int
    costs: tuple[int | None, ...]
    band: tuple[int, int, int]


class Distributor(NamedTuple):
    id: int
    ancestors: tuple[int, ...]
    rank: int
    state: str


class Written(NamedTuple):
    """A plan in force from `since` until before `until`; None is the beginning or the end of time."""

    id: int
    since: datetime | None
    until: datetime | None
    plan: Plan
    first_rule: int
    """The id of its first rule; the others follow it."""


@dataclass
class World:
    ranks: int
    variants: list[Variant]
    distributors: dict[int, Distributor]
    plans: list[Written]
    orders: list[Order]
    rounds: list[list[tuple[Order, Event]]]
    """What is refunded and reversed in each, in this order."""

    def upline(self, distributor_id: int) -> list[Member]:
        members = (self.distributors[above] for above in self.distributors[distributor_id].ancestors)
        return [Member(member.id, tier_id(member.rank), member.state) for member in members]

    def plan_at(self, at: datetime) -> Written | None:
        for written in self.plans:
            if (written.since is None or written.since <= at) and (written.until is None or at < written.until):
                return written
        return None

    def add_plan(self, plan: Plan, since: datetime | None, until: datetime | None) -> Written:
        rules_before = sum(len(written.plan.rules) for written in self.plans)
        written = Written(61 + len(self.plans), since, until, plan, 71 + rules_before)
        self.plans.append(written)
        return written

    def line(self, variant: Variant, quantity: int, unit_price: int, discount: int) -> Line:
        product = VARIANTS[variant.id]
        brand, category = PRODUCTS[product]
        costs: dict[Hashable, int] = {
            tier_id(rank): cost for rank, cost in enumerate(variant.costs, start=1) if cost is not None
        }
        return Line(variant.id, product, category, brand, quantity, unit_price, discount, variant.supply_price, costs)


def tier_id(rank: int) -> int:
    """Ids run against the ranks: one taken for the other is found."""
    return 50 - rank


# What is drawn


def a_variant(draw: Draw, number: int, ranks: int) -> Variant:
    size = draw(UP_TO[9])
    supply = draw(FEN if size < 2 else HUGE if size == 9 else PRICE)
    costs: list[int | None] = []
    cost = supply
    for _ in range(ranks):
        step = draw(UP_TO[8])
        cost = min(10**12, cost + step * (supply // 10 + 1))
        costs.append(None if step == 8 else cost)
    lowest = min(10**12, supply + supply * draw(UP_TO[5]) // 10)
    suggested = min(10**12, lowest + lowest * draw(UP_TO[10]) // 7)
    return Variant(number, supply, tuple(costs), (lowest, suggested, min(10**12, suggested * (1 + draw(UP_TO[2])))))


def _network(draw: Draw, ranks: int, size: int) -> dict[int, Distributor]:
    """Mostly deep: many stand right below the one drawn before."""
    members: list[Distributor] = []
    for number in range(size):
        step = draw(UP_TO[5])
        parent = (
            None if step == 0 or not members else members[number // 2 if step == 5 else max(0, number - 1 - step // 4)]
        )
        key = 31 + number
        ancestors = (key, *(parent.ancestors if parent else ()))
        members.append(Distributor(key, ancestors, 1 + draw(UP_TO[ranks - 1]), STATES[draw(UP_TO[7])]))
    return {member.id: member for member in members}


@st.composite
def rules(draw: st.DrawFn, ranks: int) -> Rule | None:
    if not draw(UP_TO[3]):
        return None
    scope = SCOPES[4 - draw(UP_TO[4])]
    target = TARGETS[scope][draw(UP_TO[len(TARGETS[scope]) - 1])]
    scheme, base, compress = SCHEMES[draw(UP_TO[3])], BASES[draw(FLAG)], draw(FLAG)
    if scheme == "levels":
        rates = _trimmed([draw(RATE) for _ in range(draw(UP_TO[5]))])
        return Rule(scope, target, scheme, base, level_bps=rates, compress=compress)
    if scheme == "fixed":
        unit = (1, 1, 1, 7, 101, 10**7)[draw(UP_TO[5])]
        amounts = _trimmed([unit * draw(FEN) for _ in range(draw(UP_TO[5]))])
        return Rule(scope, target, scheme, base, level_amounts=amounts, compress=compress)
    depth = 1 + draw(UP_TO[5])
    if scheme == "spread":
        return Rule(scope, target, scheme, base, depth=depth, compress=compress)
    ladder = (0, draw(RATE), draw(RATE), draw(BPS))  # few rates, so that many stand level
    tier_bps: dict[Hashable, int] = {tier_id(rank): ladder[draw(UP_TO[3])] for rank in range(1, ranks + 1)}
    return Rule(
        scope, target, scheme, base, tier_bps=tier_bps, same_tier_bps=draw(RATE), depth=depth, compress=compress
    )


RULES = [rules(ranks) for ranks in range(5)]


def _trimmed(numbers: list[int]) -> tuple[int, ...]:
    while numbers and numbers[-1] == 0:
        numbers = numbers[:-1]
    return tuple(numbers)


def a_plan(draw: Draw, ranks: int) -> Plan:
    drawn = [draw(RULES[ranks]) for _ in range(7)]
    floor = (0, 0, 0, 0, 0, draw(BPS) // 2, draw(BPS) // 2, 10_000)[draw(UP_TO[7])]
    return Plan(tuple(rule for rule in drawn if rule is not None), floor)


@st.composite
def worlds(draw: st.DrawFn, *, most_orders: int, twins: bool = False) -> World:
    """Orders that are placed, refunded, paid, refunded, completed, refunded; one in ten never gets so far.

    With `twins` each is followed by another one of the same lines, which gets the same refunds in another order and at
    other times; nothing is reversed then, since what a unit brings depends on how many went before it.
    """
    ranks = 1 + draw(UP_TO[3])
    catalogue = [a_variant(draw, number, ranks) for number in VARIANTS]
    world = World(ranks, catalogue, _network(draw, ranks, 2 + draw(UP_TO[10])), [], [], [[] for _ in range(ROUNDS)])
    for since, until in ((None, START + DAY), (START + DAY, START + 3 * DAY)):  # then there is none
        if draw(UP_TO[9]):
            world.add_plan(a_plan(draw, ranks), since, until)
    for _ in range(most_orders):
        order = draw(an_order(world, reversals=not twins))
        if order is not None and twins:
            _add_twin(draw, world, order)
    return world


def a_line(draw: Draw, world: World, *, most: int = 10**6) -> Line:
    variant = world.variants[draw(UP_TO[5])]
    quantity = 1 + draw(UP_TO[12])
    quantity = most if quantity == 13 else quantity
    share = draw(BPS)  # of the supply price; mostly on top of it
    share += 0 if draw(UP_TO[7]) == 7 else 10_000
    unit_price = min(10**12, variant.supply_price * share // 6_000 + draw(FEN))
    gross = quantity * unit_price
    discount = (0, 0, gross * draw(BPS) // 10_000, min(gross, 81))[draw(UP_TO[3])]
    return world.line(variant, quantity, unit_price, discount)


@st.composite
def an_order(draw: Draw, world: World, *, reversals: bool) -> Order | None:
    """Put into the world with all that happens to it."""
    if not draw(UP_TO[15]):
        return None
    seller = list(world.distributors)[-1 - draw(UP_TO[len(world.distributors) - 1])]
    order = place(world, seller, [a_line(draw, world) for _ in range(1 + draw(UP_TO[2]))])
    # At the first moment of a day, at which one plan may end and the next begin.
    day, fate = draw(UP_TO[3]), draw(UP_TO[9]) if reversals else 0
    for number in range(ROUNDS):
        if number == PAID_AFTER and fate < 9:
            pay(world, order, START + day * DAY)
        if number == COMPLETED_AFTER and fate < 8:
            order.complete(order.placed_at + 10 * DAY)
        for _ in range(draw(UP_TO[12]) // 6):  # mostly none or one, seldom two in one call
            event = an_event(draw, order, order.placed_at + (1 + 3 * number) * DAY, reversals=reversals)
            if event is None:
                break
            order.happen(event)
            world.rounds[number].append((order, event))
            if not event.asked:  # in a round reversals come last
                break
    return order


def place(world: World, seller: int, ordered: Sequence[Line], at: datetime = START - DAY) -> Order:
    """Orders and lines are numbered in their branch: a join that forgets the branch is found."""
    branch = world.distributors[seller].ancestors[-1]
    of_branch = [order for order in world.orders if order.branch == branch]
    first_line = 1 + sum(len(order.lines) for order in of_branch)
    line_ids = list(range(first_line, first_line + len(ordered)))
    order = Order(branch, 1 + len(of_branch), seller, line_ids, list(ordered), at)
    world.orders.append(order)
    return order


def pay(world: World, order: Order, at: datetime) -> None:
    in_force = world.plan_at(at)
    plan, first_rule = (in_force.plan, in_force.first_rule) if in_force else (None, 0)
    order.pay(at, world.upline(order.seller), plan, first_rule)


def an_event(draw: Draw, order: Order, at: datetime, *, reversals: bool) -> Event | None:
    """A refund of some lines, or the reversal of an earlier one; None where nothing is left."""
    name = f"{order.branch}.{order.id}.{len(order.events)}"
    standing = [event for event in order.events.values() if event.asked and f"-{event.reference}" not in order.events]
    if draw(UP_TO[4]) == 4 and reversals and standing:
        return Event(f"-{standing[draw(UP_TO[len(standing) - 1])].reference}", at, {})
    chosen = 1 + draw(UP_TO[6]) % (2 ** len(order.lines) - 1)
    asked: dict[int, Refund] = {}
    for line_no, state in enumerate(order.states, start=1):
        if chosen >> (line_no - 1) & 1 and (part := _part(draw, state)) is not None:
            asked[line_no] = part
    return Event(name, at, asked) if asked else None


def _part(draw: Draw, state: LineState) -> Refund | None:
    """What may be refunded of a line: some units, an amount, or all that is left."""
    if not state.left and not state.units_left:
        return None
    kind, share, goods_back = draw(UP_TO[4]), draw(BPS), draw(FLAG)
    if kind == 0:
        return Refund(goods_back=goods_back)
    if state.left and (kind > 2 or not state.units_left):
        brand_amount = state.supply * draw(UP_TO[6]) // 6 if goods_back else 0
        return Refund(amount=1 + (state.left - 1) * share // 10_000, brand_amount=brand_amount)
    if state.units_left:
        return Refund(quantity=1 + (state.units_left - 1) * share // 10_000, goods_back=goods_back)
    return None


def _add_twin(draw: Draw, world: World, order: Order) -> None:
    """The refunds come in an order of their own; in that of the first where the lines have not so much at once."""
    drawn = [(draw(UP_TO[ROUNDS - 1]), event) for event in order.events.values()]
    shuffled = sorted(drawn, key=lambda one: one[0])
    in_order = list(zip(sorted(number for number, _ in drawn), order.events.values(), strict=True))
    for arrivals in (shuffled, in_order):
        twin = place(world, order.seller, order.lines)
        try:
            happened = _lived(world, order, twin, arrivals)
        except ValueError:
            world.orders.pop()
            continue
        for number, event in happened:
            world.rounds[number].append((twin, event))
        return


def _lived(world: World, order: Order, twin: Order, arrivals: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
    happened: list[tuple[int, Event]] = []
    assert order.paid_at is not None
    for number in range(ROUNDS):
        if number == PAID_AFTER:
            pay(world, twin, order.paid_at)
        if number == COMPLETED_AFTER:
            twin.complete(twin.placed_at + 10 * DAY)
        for came_in, event in arrivals:
            if came_in == number:
                renamed = event._replace(reference=f"{event.reference} of {twin.id}")
                twin.happen(renamed)
                happened.append((number, renamed))
    return happened
