"""Money and 64-bit integers."""

from typing import NewType

import strawberry

from s2b2c.api.types.fields import computed
from s2b2c.db import MAX_INT64

Int64 = NewType("Int64", int)


def _int64(value: object) -> int:
    """Raises ValueError for anything but an integer of 64 bits; true and 1.0 are none."""
    if type(value) is not int or not -MAX_INT64 - 1 <= value <= MAX_INT64:
        raise ValueError(f"Int64 cannot represent {value!r}: it must be an integer of 64 bits.")
    return value


INT64 = strawberry.scalar(
    name="Int64", description="An integer of 64 bits, as a JSON number.", serialize=_int64, parse_value=_int64
)


@strawberry.type(description="An exact amount of money.")
class Money:
    """In Python it is the amount itself: a resolver returns an int."""

    amount: Int64 = computed(lambda amount: amount, description="In fen (分): 4990 is 49.90 yuan.")
    currency: str = computed(lambda _: "CNY", description="ISO 4217.")
