"""Refused, and every refusal a client can get.

A message says what was refused and what to do about it; it never holds a secret or a table's name.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Refusal:
    code: ClassVar[str]

    message: str


class BadArgument(Refusal):
    """A value that can never be right, whoever asks and whenever."""

    code = "BAD_ARGUMENT"


class Unauthenticated(Refusal):
    """Nobody is known to be asking: no token, or one that is expired or not ours."""

    code = "UNAUTHENTICATED"


class Forbidden(Refusal):
    """Somebody we know, at a door that is not theirs."""

    code = "FORBIDDEN"


class PeriodOpen(Refusal):
    """A period that is not over, or orders of it that are not in the daily totals yet."""

    code = "PERIOD_OPEN"


class NotFound(Refusal):
    """What was named is not there, or is nobody's business of who asks."""

    code = "NOT_FOUND"


class WrongState(Refusal):
    """It is there, but what it has come to does not allow this."""

    code = "WRONG_STATE"


class AlreadyTaken(Refusal):
    """There is one already."""

    code = "ALREADY_TAKEN"


WhyNotSelectable = Literal["not_listed", "nothing_to_sell", "no_cost_for_your_tier", "no_price_fits"]


@dataclass(frozen=True, slots=True)
class NotSelectable(Refusal):
    """No store of this owner can show the product."""

    code = "NOT_SELECTABLE"

    reason: WhyNotSelectable


PriceBound = Literal["band", "cost", "floor"]


@dataclass(frozen=True, slots=True)
class PriceOutOfBand(Refusal):
    """A price that the brand's band, the owner's cost or the brand's floor does not allow; in fen."""

    code = "PRICE_OUT_OF_BAND"

    lowest_price: int
    highest_price: int
    bound: PriceBound | None = None
    """What the price breaks, where that is known."""


@dataclass(frozen=True, slots=True)
class BreaksBrandRules(Refusal):
    """Own words that hold a word which the brand bans, or lack the text that it demands: `text` is that."""

    code = "BREAKS_BRAND_RULES"

    rule: Literal["banned_word", "disclosure"]
    text: str


class PriceProblem(NamedTuple):
    """What is wrong with one field of a price change; `field` is like `min_price` or `tier_cost:city`."""

    sku: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class InvalidPrices(Refusal):
    """Prices that can never be right together."""

    code = "INVALID_PRICES"

    problems: tuple[PriceProblem, ...]


class LineProblem(NamedTuple):
    """A line of a cart, by its number from 1: how many units are left, and what one costs now in fen."""

    line_no: int
    in_stock: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class NotOnOffer(Refusal):
    """Lines that the store does not sell, or not any more."""

    code = "NOT_ON_OFFER"

    lines: tuple[LineProblem, ...]


@dataclass(frozen=True, slots=True)
class PriceChanged(Refusal):
    """Lines that cost another price than the customer was shown."""

    code = "PRICE_CHANGED"

    lines: tuple[LineProblem, ...]


@dataclass(frozen=True, slots=True)
class OutOfStock(Refusal):
    """Lines with fewer units left than were asked for."""

    code = "OUT_OF_STOCK"

    lines: tuple[LineProblem, ...]


class PaymentsOff(Refusal):
    """Nothing can be paid, refunded or paid out now: no key of Stripe is set, or Stripe does not answer."""

    code = "PAYMENTS_OFF"


class MakesCycle(Refusal):
    """A distributor would stand above itself."""

    code = "MAKES_CYCLE"


class PlanProblem(NamedTuple):
    """What is wrong with a plan document. `path` is like `rules[2].tier_bps.city`, or "line 3, column 7" where the text
    cannot be read, or "" when it is the whole."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class InvalidPlan(Refusal):
    """A plan document that cannot be read, says what no plan may, or names what is not there."""

    code = "INVALID_PLAN"

    problems: tuple[PlanProblem, ...]


@dataclass(frozen=True, slots=True)
class PaysTooFar(Refusal):
    """A plan that pays a longer chain than the platform allows, and nobody overrode that in writing."""

    code = "PAYS_TOO_FAR"

    paid_positions: int
    max_paid_positions: int


class WrongCredentials(Refusal):
    """A password, a code or a token that opens nothing. Which part of it was wrong is not told."""

    code = "WRONG_CREDENTIALS"


@dataclass(frozen=True, slots=True)
class TooManyRequests(Refusal):
    """Asked too often by this phone, address or person: the same may be asked again later."""

    code = "TOO_MANY_REQUESTS"

    retry_after_s: int


class SignInOff(Refusal):
    """Nobody signs in this way now: it is not set up, or who is asked for it does not answer."""

    code = "SIGN_IN_OFF"


class Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def check_line(what: str, text: str, most: int) -> None:
    """Raises Refused(BadArgument) for anything but 1 to `most` printable characters, spaces around them aside."""
    if not text.strip() or len(text) > most or not text.isprintable():
        raise Refused(BadArgument(f"{what} must be 1 to {most} printable characters."))
