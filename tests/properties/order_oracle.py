"""What a whole order comes to: each row and each transfer, from the written rules and the oracle of lines alone."""

from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from tests.properties.oracle import Effect, Line, LineState, Member, Plan, Refund, shares

Account = tuple[str, int]
"""A kind and whose it is; 0 is the platform."""

Rows = dict[tuple[Any, ...], tuple[Any, ...]]
"""What is written, by the name of its table and its key."""

CLEARING: Account = ("clearing", 0)
ESCROW: Account = ("escrow", 0)
REVENUE: Account = ("revenue", 0)


class Event(NamedTuple):
    """A refund by the numbers of its lines, or (with none) the reversal of the one called so but for the "-"."""

    reference: str
    at: datetime
    asked: Mapping[int, Refund]


@dataclass
class Order:
    """The lines are numbered from 1. Each step changes what it should and nothing more, or raises ValueError."""

    branch: int
    id: int
    seller: int
    line_ids: list[int]
    lines: list[Line]
    placed_at: datetime
    paid_at: datetime | None = None
    completed_at: datetime | None = None
    plan: Plan | None = None
    first_rule: int = 0
    """The id of the first rule of the plan; the others follow it."""
    upline: Sequence[Member] = ()
    events: dict[str, Event] = field(default_factory=dict)
    effects: dict[str, dict[int, Effect]] = field(default_factory=dict, repr=False)
    states: list[LineState] = field(default_factory=list, repr=False)
    transfers: Rows = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._begin()

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001  as Hypothesis calls it
        """What was drawn, and not what follows from it."""
        when = f"paid_at={self.paid_at}, completed_at={self.completed_at}"
        drawn = (*self.upline, *self.lines, *self.events.values())
        printer.text("\n    ".join([f"Order({self.branch}, {self.id}, {when},", *map(repr, drawn)]) + ")")

    def pay(self, at: datetime, upline: Sequence[Member], plan: Plan | None, first_rule: int) -> None:
        """Upline and plan are frozen, all that was paid is posted, and what came before follows."""
        assert self.paid_at is None
        self.paid_at, self.upline, self.plan, self.first_rule = at, upline, plan, first_rule
        waiting = list(self.events.values())
        self.events, self.effects = {}, {}
        self._begin()
        self._post(f"order {self.id}", "payment", CLEARING, ESCROW, sum(line.paid for line in self.lines), at)
        for event in waiting:
            self.happen(event)

    def complete(self, at: datetime) -> None:
        """What was paid is split as if nothing had been refunded; then each refund there was takes back its part."""
        assert self.paid_at is not None
        assert self.completed_at is None
        self.completed_at = at
        supply: dict[Account, int] = {}
        earned: dict[Account, int] = {}
        for line, state in zip(self.lines, self.states, strict=True):
            _add(supply, ("brand_payable", line.brand), line.supply)
            for share in state.shares:
                _add(earned, ("commission_payable", share.name), share.amount)
        source = f"order {self.id}"
        for code, parts in (("supply", supply), ("commission", earned)):
            for account, amount in parts.items():
                self._post(source, code, ESCROW, account, amount, at)
        platform = sum(line.paid for line in self.lines) - sum(supply.values()) - sum(earned.values())
        self._post(source, "revenue" if platform > 0 else "subsidy", ESCROW, REVENUE, platform, at)
        for event in self.events.values():
            self._post_returns(event)

    def happen(self, event: Event) -> None:
        """A refund or a reversal; the same one again changes nothing."""
        if event.reference in self.events:
            return
        states = [copy(state) for state in self.states]
        if event.asked:
            effects = {number: states[number - 1].refund(part) for number, part in event.asked.items()}
        else:
            undone = self.effects[event.reference.removeprefix("-")]
            effects = {number: states[number - 1].reverse(effect) for number, effect in undone.items()}
        self.states = states
        self.events[event.reference], self.effects[event.reference] = event, effects
        if self.paid_at is not None:
            amount = sum(effect.amount for effect in effects.values())
            self._post(event.reference, "refund", ESCROW, CLEARING, amount, event.at)
        if self.completed_at is not None:
            self._post_returns(event)

    def rows(self) -> Rows:
        """All there should be of this order; what a refund does to others than its lines only once it is paid."""
        rows: Rows = dict(self.transfers)
        paid = self.paid_at is not None
        for line_id, line, state in zip(self.line_ids, self.lines, self.states, strict=True):
            moved = (state.refunded, state.supply, sum(state.net_shares), state.platform)
            placed = (0, line.supply, 0, line.paid - line.supply)
            rows["line", self.branch, line_id] = (line.paid, *(moved if paid else placed))
            for share in state.shares:
                rows["commission", self.branch, line_id, share.position] = (
                    *(share.name, share.tier, self.first_rule + share.rule, share.base_amount, share.rate_bps),
                    *(share.uncapped, share.amount, share.outcome),
                )
        for reference, effects in self.effects.items():
            for number, effect in effects.items():
                key = (self.branch, self.line_ids[number - 1], reference)
                rows["refund", *key] = (effect.units, effect.amount, effect.supply_back)
                for position, amount in enumerate(effect.clawed):
                    if amount:
                        rows["clawback", *key, position] = (amount,)
        return rows

    def _begin(self) -> None:
        """The states of the lines when they are paid; before that they say what there is to be refunded."""
        paid = self.paid_at is not None
        self.states = [
            LineState.start(line, shares(self.plan, self.upline, line) if paid else []) for line in self.lines
        ]

    def _post_returns(self, event: Event) -> None:
        assert self.completed_at is not None
        at = max(event.at, self.completed_at)
        effects = self.effects[event.reference]
        supply: dict[Account, int] = {}
        clawed: dict[Account, int] = {}
        for number, effect in effects.items():
            _add(supply, ("brand_payable", self.lines[number - 1].brand), effect.supply_back)
            for share, amount in zip(self.states[number - 1].shares, effect.clawed, strict=True):
                _add(clawed, ("commission_payable", share.name), amount)
        for code, parts in (("supply_return", supply), ("clawback", clawed)):
            for account, part in parts.items():
                self._post(event.reference, code, account, ESCROW, part, at)
        refunded = sum(effect.amount for effect in effects.values())
        revenue = refunded - sum(supply.values()) - sum(clawed.values())
        self._post(event.reference, "revenue_return", REVENUE, ESCROW, revenue, at)

    def _post(self, source: str, code: str, debit: Account, credit: Account, amount: int, at: datetime) -> None:
        """Below 0 the other way, and 0 not at all."""
        if amount < 0:
            debit, credit = credit, debit
        if amount:
            self.transfers["transfer", self.branch, source, code, debit, credit] = (abs(amount), at)


def _add(parts: dict[Account, int], account: tuple[str, Hashable], amount: int) -> None:
    kind, owner = account
    assert isinstance(owner, int)
    parts[kind, owner] = parts.get((kind, owner), 0) + amount


def balances(transfers: Rows) -> dict[Account, int]:
    """Credits minus debits of each account that does not stand at 0."""
    totals: dict[Account, int] = {}
    for (*_, debit, credit), (amount, _) in transfers.items():
        totals[debit] = totals.get(debit, 0) - amount
        totals[credit] = totals.get(credit, 0) + amount
    return {account: total for account, total in totals.items() if total}
