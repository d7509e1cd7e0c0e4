"""When a store is open: weekly spans in Asia/Shanghai, less closed days. `opens_at` in the database reads them."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import Store

MIDNIGHT = 24 * 60
MAX_SPANS = 50
MAX_CLOSED_DAYS = 60


def _minutes(clock: object) -> object:
    """`HH:MM`, up to 24:00, as minutes of the day; what is read back from the database is minutes already."""
    if not isinstance(clock, str):
        return clock
    hours, _, minutes = clock.partition(":")
    digits = len(clock) == 5 and clock.isascii() and hours.isdigit() and minutes.isdigit()
    if not digits or int(minutes) > 59 or int(hours) * 60 + int(minutes) > MIDNIGHT:
        raise ValueError(f"{clock[:10]!r} is no time of the day: write it like 09:00, at most 24:00")
    return int(hours) * 60 + int(minutes)


Minute = Annotated[int, BeforeValidator(_minutes), Field(ge=0, le=MIDNIGHT)]
Day = Annotated[date, PlainSerializer(date.isoformat)]


class OpenSpan(BaseModel):
    """From `opens` up to, not with, `closes`, in minutes of a day of the week: 1 is Monday."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    day: Annotated[int, Field(ge=1, le=7)]
    opens: Minute
    closes: Minute

    @model_validator(mode="after")
    def _lasts(self) -> "OpenSpan":
        if self.opens >= self.closes:
            raise ValueError("a span closes after it opens; one over midnight is two, up to 24:00 and from 00:00")
        return self


_WHOLE_WEEK = [OpenSpan(day=day, opens=0, closes=MIDNIGHT) for day in range(1, 8)]


class OpeningHours(BaseModel):
    """The spans of a week, none of them over another, in their order; closed days are whole days."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    spans: Annotated[list[OpenSpan], Field(max_length=MAX_SPANS)]
    closed_days: Annotated[list[Day], Field(max_length=MAX_CLOSED_DAYS)] = []

    @model_validator(mode="before")
    @classmethod
    def _of_no_spans(cls, given: object) -> object:
        """Without a span it is open all week, but for the closed days."""
        if isinstance(given, dict) and given.get("spans") == []:
            return {**given, "spans": _WHOLE_WEEK}
        return given

    @model_validator(mode="after")
    def _in_order(self) -> "OpeningHours":
        spans = sorted(self.spans, key=lambda span: (span.day, span.opens))
        for earlier, later in pairwise(spans):
            if earlier.day == later.day and later.opens < earlier.closes:
                raise ValueError(f"two spans of day {later.day} overlap: make them one, or part them")
        self.spans[:] = spans
        self.closed_days[:] = sorted(set(self.closed_days))
        return self

    @property
    def is_always(self) -> bool:
        return self.spans == _WHOLE_WEEK and not self.closed_days


async def opening(session: AsyncSession, store_ids: Sequence[int], now: datetime) -> dict[int, datetime]:
    """When each of these stores is open next: `now` where it is open."""
    query = select(Store.id, func.opens_at(Store.opening_hours, now).label("at")).where(Store.id.in_(store_ids))
    return {row.id: row.at for row in await session.execute(query)}


def clock(minute: int) -> str:
    """A minute of the day as people write it: 540 is 09:00."""
    return f"{minute // 60:02}:{minute % 60:02}"
