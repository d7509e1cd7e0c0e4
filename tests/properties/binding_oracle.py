"""Whose customer somebody is, from the written rules alone: one customer, one touch after the other, in microseconds."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

DAY = 86_400 * 10**6

Outcome = Literal["bound", "kept", "taken_over", "refused"]


class Policy(NamedTuple):
    name: Literal["first_touch", "last_touch", "window"]
    days: int
    protection_days: int


class Touch(NamedTuple):
    distributor: int
    at: int
    link: int | None = None


@dataclass
class Span:
    distributor: int
    begins: int
    ends: int | None
    protected_until: int | None
    policy: str
    link: int | None


class RefusedTouch(NamedTuple):
    touch: Touch
    span: int
    """The number of the span that stood against it."""
    protected_until: int | None


@dataclass
class Customer:
    spans: list[Span] = field(default_factory=list)
    refused: list[RefusedTouch] = field(default_factory=list)

    def seller(self) -> int:
        """Whose customer it was when it was last looked at."""
        return self.spans[-1].distributor

    def touch(self, policy: Policy, touch: Touch) -> Outcome:
        """A touch told late, by a clock that is behind, counts as if it had come when the last span began."""
        if not self.spans or _is_over(self.spans[-1], touch.at):
            self._begin(policy, touch, touch.at)
            return "bound"
        held = self.spans[-1]
        counts_at = max(touch.at, held.begins)
        if touch.distributor == held.distributor:
            if policy.name == "window":
                self._restart(policy, touch, counts_at)
            return "kept"
        if policy.name == "first_touch":
            self.refused.append(RefusedTouch(touch, len(self.spans) - 1, None))
            return "refused"
        if policy.name == "window" and held.protected_until is not None and counts_at < held.protected_until:
            self.refused.append(RefusedTouch(touch, len(self.spans) - 1, held.protected_until))
            return "refused"
        self._take_over(policy, touch, counts_at)
        return "taken_over"

    def _restart(self, policy: Policy, touch: Touch, at: int) -> None:
        held = self.spans[-1]
        if held.policy == "window":
            held.ends, held.protected_until = at + policy.days * DAY, at + policy.protection_days * DAY
        else:
            self._take_over(policy, touch, at)

    def _take_over(self, policy: Policy, touch: Touch, at: int) -> None:
        """No span is empty: one that ends has stood for a microsecond at least."""
        held = self.spans[-1]
        held.ends = max(at, held.begins + 1)
        self._begin(policy, touch, held.ends)

    def _begin(self, policy: Policy, touch: Touch, at: int) -> None:
        ends = protected_until = None
        if policy.name == "window":
            ends, protected_until = at + policy.days * DAY, at + policy.protection_days * DAY
        self.spans.append(Span(touch.distributor, at, ends, protected_until, policy.name, touch.link))


def _is_over(span: Span, at: int) -> bool:
    return span.ends is not None and span.ends <= at
