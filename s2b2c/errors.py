"""Refused, and every refusal a client can get.

A message says what was refused and what to do about it; it never holds a secret or a table's name.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Refusal:
    code: ClassVar[str]

    message: str


@dataclass(frozen=True, slots=True)
class BadArgument(Refusal):
    """A value that can never be right, whoever asks and whenever."""

    code = "BAD_ARGUMENT"


@dataclass(frozen=True, slots=True)
class Unauthenticated(Refusal):
    """Nobody is known to be asking: no token, or one that is expired or not ours."""

    code = "UNAUTHENTICATED"


@dataclass(frozen=True, slots=True)
class Forbidden(Refusal):
    """Somebody we know, at a door that is not theirs."""

    code = "FORBIDDEN"


@dataclass(frozen=True, slots=True)
class PeriodOpen(Refusal):
    """A period that is not over, or orders of it that are not in the daily totals yet."""

    code = "PERIOD_OPEN"


class Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
