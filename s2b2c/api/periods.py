"""Spans of days in the arguments of a field: from the first day that counts up to the first that does not."""

from datetime import date
from typing import Annotated

import strawberry

from s2b2c.errors import BadArgument, Refused

From = Annotated[date, strawberry.argument(name="from", description="The first day that counts, in Asia/Shanghai.")]
To = Annotated[date, strawberry.argument(name="to", description="The first day that does not count.")]

YEAR = 366
TEN_YEARS = 3653


def check_period(start: date, end: date, *, most_days: int | None = None) -> None:
    """Raises Refused(BadArgument). The database takes the ends of the calendar for infinity, so they are no dates."""
    if start >= end:
        raise Refused(BadArgument(f"from ({start}) must be before to ({end}), the first day that does not count."))
    if start.year < 1900 or end.year > 2999:
        raise Refused(BadArgument(f"from ({start}) and to ({end}) must lie in the years 1900 to 2999."))
    if most_days is not None and (end - start).days > most_days:
        raise Refused(BadArgument(f"From {start} to {end} are more than {most_days} days; ask for less at once."))


def check_day(name: str, day: date | None) -> None:
    """Raises Refused(BadArgument) for a day that `check_period` would not take."""
    if day is not None and not 1900 <= day.year <= 2999:
        raise Refused(BadArgument(f"{name} is {day}, but must lie in the years 1900 to 2999."))
