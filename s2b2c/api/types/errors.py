"""What a mutation answers when it is refused: a member of its union for each kind of refusal."""

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar, dataclass_transform

import strawberry
from strawberry.schema import ExceptionHandler
from strawberry.types.field import StrawberryField
from strawberry.types.union import StrawberryUnion

from s2b2c import errors, logs
from s2b2c.api.types.money import Int64, Money
from s2b2c.errors import Refusal, Refused


@strawberry.interface(description="Why something was not done. Nothing has changed.")
class Error:
    code: str = strawberry.field(description="Stable, for programs.")
    message: str = strawberry.field(description="What was refused, and what to do.")


_TYPES: dict[type[Refusal], type] = {}

ErrorType = TypeVar("ErrorType", bound=type)


@dataclass_transform(kw_only_default=True)
def _of(refusal: type[Refusal]) -> Callable[[ErrorType], ErrorType]:
    """The GraphQL type that a refusal is shown as; its rows are the refusals themselves."""

    def typed(cls: ErrorType) -> ErrorType:
        cls.is_type_of = classmethod(lambda _, row, __: isinstance(row, refusal))  # type: ignore[attr-defined]  # read by the library
        _TYPES[refusal] = strawberry.type(cls, description=cls.__doc__)
        return cls

    return typed


@_of(errors.BadArgument)
class BadArgument(Error):
    """A value that can never be right."""


@_of(errors.NotFound)
class NotFound(Error):
    """What was named is not there."""


@_of(errors.WrongState)
class WrongState(Error):
    """It is there, but what it has come to does not allow this."""


@_of(errors.PeriodOpen)
class PeriodOpen(Error):
    """A period that is not over."""


@_of(errors.AlreadyTaken)
class AlreadyTaken(Error):
    """There is one already."""


@strawberry.enum(description="Why no store of an owner can show a product.")
class NotSelectableReason(Enum):
    NOT_LISTED = strawberry.enum_value("not_listed", description="The brand does not offer it now.")
    NOTHING_TO_SELL = strawberry.enum_value("nothing_to_sell", description="It has no variant.")
    NO_COST_FOR_YOUR_TIER = strawberry.enum_value(
        "no_cost_for_your_tier", description="A variant has no cost (拿货价) for the owner's tier."
    )
    NO_PRICE_FITS = strawberry.enum_value(
        "no_price_fits", description="No price lies in every band and above every cost."
    )


@_of(errors.NotSelectable)
class NotSelectable(Error):
    """No store of this owner can show the product."""

    reason: NotSelectableReason = strawberry.field(description="Why not.")


@strawberry.enum(description="What a price breaks.")
class PriceBound(Enum):
    BAND = strawberry.enum_value("band", description="The brand's band (限价).")
    COST = strawberry.enum_value("cost", description="What it costs the owner (拿货价).")
    FLOOR = strawberry.enum_value("floor", description="The floor of the brand's rules.")


@_of(errors.PriceOutOfBand)
class PriceOutOfBand(Error):
    """A price outside the brand's band (限价), below its floor, or below what the product costs the owner."""

    lowest_price: Money
    highest_price: Money
    bound: PriceBound | None = strawberry.field(
        description="What the price breaks; null where only a preview was asked for."
    )


@strawberry.enum(description="A rule of a brand for what stores say about its products.")
class WordsRule(Enum):
    BANNED_WORD = strawberry.enum_value("banned_word", description="They hold a word that it bans.")
    DISCLOSURE = strawberry.enum_value("disclosure", description="They lack a text that it demands.")


@_of(errors.BreaksBrandRules)
class BreaksBrandRules(Error):
    """Own words that break a rule of the brand."""

    rule: WordsRule = strawberry.field(description="Which rule.")
    text: str = strawberry.field(description="The word that is banned, or the text that is missing.")


@strawberry.type(description="What is wrong with the new prices of a variant.")
class PriceProblem:
    sku: str
    field: str = strawberry.field(
        description="Like `minPrice`, or `tierCosts` with the code of the tier behind a colon."
    )
    message: str = strawberry.field(description="What is wrong with it.")


@_of(errors.InvalidPrices)
class InvalidPrices(Error):
    """Prices that can never be right together; none of the request was changed."""

    problems: list[PriceProblem] = strawberry.field(description="All that were found.")


@strawberry.type(description="A line of a cart that keeps it from being an order.")
class LineProblem:
    line_no: Int64 = strawberry.field(description="Its place in the cart, from 1.")
    in_stock: Int64 = strawberry.field(description="Units that are left.")
    unit_price: Money = strawberry.field(description="What one costs now; 0 where the store does not sell it.")


@_of(errors.NotOnOffer)
class NotOnOffer(Error):
    """Lines that the store does not sell, or not any more."""

    lines: list[LineProblem]


@_of(errors.PriceChanged)
class PriceChanged(Error):
    """Lines that cost another price than the customer was shown."""

    lines: list[LineProblem]


@_of(errors.OutOfStock)
class OutOfStock(Error):
    """Lines with fewer units left than were asked for."""

    lines: list[LineProblem]


@_of(errors.PaymentsOff)
class PaymentsOff(Error):
    """Nothing can be paid, refunded or paid out now."""


@_of(errors.MakesCycle)
class MakesCycle(Error):
    """A distributor would stand above itself."""


@strawberry.type(description="What is wrong with a plan document.")
class PlanProblem:
    path: str = strawberry.field(
        description='Like `rules[2].tier_bps.city`; "line 3, column 7" where the text cannot be read; "" for the whole.'
    )
    message: str


@_of(errors.InvalidPlan)
class InvalidPlan(Error):
    """A plan document that cannot be read, says what no plan may, or names what is not there."""

    problems: list[PlanProblem] = strawberry.field(description="All that were found.")


@_of(errors.PaysTooFar)
class PaysTooFar(Error):
    """A plan that pays a longer chain than the platform allows, and nobody overrode that in writing."""

    paid_positions: Int64 = strawberry.field(description="The longest chain that the plan pays.")
    max_paid_positions: Int64 = strawberry.field(description="The longest that the platform allows.")


@_of(errors.WrongCredentials)
class WrongCredentials(Error):
    """A password, a code or a token that opens nothing. Which part of it was wrong is not told."""


@_of(errors.TooManyRequests)
class TooManyRequests(Error):
    """Asked too often by this phone, address or person."""

    retry_after_s: int = strawberry.field(description="Seconds until the same may be asked again.")


@_of(errors.SignInOff)
class SignInOff(Error):
    """Nobody signs in this way now."""


def done(cls: type, row: object, info: object) -> bool:  # noqa: ARG001  the library's signature
    """The `is_type_of` of what a mutation answers when it is not refused."""
    return not isinstance(row, Refusal)


class _Told(ExceptionHandler[Refused]):
    """A refusal as a member of the field's union, where it is one; else it stays a top-level error.

    Of several handlers for one exception the library asks only the first that fits the field, so each decides for all.
    """

    def __init__(self, error_type: type) -> None:
        self.error_type = error_type

    def handle(self, exception: Refused, *, field: StrawberryField, info: Any) -> Refusal | None:  # noqa: ARG002
        members = field.type.types if isinstance(field.type, StrawberryUnion) else ()
        if _TYPES.get(type(exception.refusal)) not in members:
            return None
        logs.note_outcome(exception.refusal.code)
        return exception.refusal


HANDLERS = tuple(map(_Told, _TYPES.values()))
