"""What goes wrong on demand."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import cycle

KINDS = {
    "429": "refused by the rate limiter, with Retry-After; nothing done, nothing saved",
    "503": "not reached; nothing done, nothing saved",
    "500": "nothing done; saved under the idempotency key",
    "500_after": "done, but answered and saved as an error",
    "timeout": "nothing done, and never an answer",
    "reset_before": "nothing done, and the connection is cut",
    "reset_after": "done and saved, then the connection is cut before the answer",
    "slow": "done and answered after some seconds; the idempotency key is in use until then",
    "insufficient_funds": "refused as a transfer or payout that the balance does not cover",
}


@dataclass
class Fault:
    match: str
    how: str
    times: int
    seconds: float


@dataclass
class Weather:
    """So many of a hundred requests that match go wrong, in one of these ways after the other."""

    match: str
    hows: Iterator[str]
    percent: int
    dice: random.Random


class Faults:
    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._weather: list[Weather] = []
        self.struck: Counter[tuple[str, str]] = Counter()
        """How often each fault was taken, by the template of the request and the kind."""

    def add(self, match: str, how: str, times: int, seconds: float) -> None:
        """`match` is a method and path template such as `POST /v1/refunds/{refund}`; `*` stands for anything."""
        _check(how)
        self._waiting.append(Fault(match, how, times, seconds))

    def add_weather(self, match: str, hows: Sequence[str], percent: int, seed: int) -> None:
        """Until it is cleared; what `add` was told comes first."""
        for how in hows:
            _check(how)
        self._weather.append(Weather(match, cycle(hows), percent, random.Random(seed)))

    def clear(self) -> None:
        self._waiting.clear()
        self._weather.clear()

    def take(self, template: str) -> Fault | None:
        """The oldest fault for this request, used up once, else what the weather brings."""
        fault = self._next(template)
        if fault is not None:
            self.struck[template, fault.how] += 1
        return fault

    def _next(self, template: str) -> Fault | None:
        for fault in self._waiting:
            if fault.times > 0 and fnmatchcase(template, fault.match):
                fault.times -= 1
                return fault
        for weather in self._weather:
            if fnmatchcase(template, weather.match) and weather.dice.randrange(100) < weather.percent:
                return Fault(weather.match, next(weather.hows), 0, 0.0)
        return None


def _check(how: str) -> None:
    if how not in KINDS:
        raise ValueError(f"{how} is none of {', '.join(KINDS)}")
