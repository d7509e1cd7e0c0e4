"""What goes wrong on demand."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

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


class Faults:
    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, match: str, how: str, times: int, seconds: float) -> None:
        """`match` is a method and path template such as `POST /v1/refunds/{refund}`; `*` stands for anything."""
        if how not in KINDS:
            raise ValueError(f"{how} is none of {', '.join(KINDS)}")
        self._waiting.append(Fault(match, how, times, seconds))

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, template: str) -> Fault | None:
        """The oldest fault for this request, used up once."""
        for fault in self._waiting:
            if fault.times > 0 and fnmatchcase(template, fault.match):
                fault.times -= 1
                return fault
        return None
