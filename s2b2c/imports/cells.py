"""One cell of a CSV file: its value, or a ValueError that says what is wrong with it."""

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from s2b2c import money
from s2b2c.config import SHANGHAI
from s2b2c.models.network import STATES
from s2b2c.models.stores import SLUG

MAX_QUANTITY = 1_000_000

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SLUG = re.compile(SLUG)
_URL = re.compile(r"https?://[^\s\"'<>\\]+")
_WHOLE = re.compile(r"\d{1,10}")
_TAG_KINDS = {"调性": "tonality", "tonality": "tonality", "人群": "audience", "audience": "audience"}

Cell = Callable[[str], object]


class Column(NamedTuple):
    """How a column is read and staged. `optional`: the column may be missing and its cells empty (then NULL)."""

    cell: Cell
    sql_type: str = "text"
    optional: bool = False


def text(limit: int, *, multiline: bool = False) -> Cell:
    unwanted = _CONTROL_BUT_BREAKS if multiline else _CONTROL

    def read(cell: str) -> str:
        if len(cell) > limit:
            raise ValueError(f"is longer than {limit} characters")
        if unwanted.search(cell):
            raise ValueError("holds a line break or control character")
        return cell

    return read


def slug(cell: str) -> str:
    if len(cell) > 64 or not _SLUG.fullmatch(cell):
        raise ValueError("is not a slug of at most 64 small letters, digits and single hyphens, like lin-xiaoyu")
    return cell


def url(cell: str) -> str:
    if len(cell) > 2000 or not _URL.fullmatch(cell):
        raise ValueError("is not a web address that begins with http:// or https://")
    return cell


@lru_cache(65536)
def amount(cell: str) -> int:
    return money.parse_yuan(cell)


def whole(least: int, most: int) -> Cell:
    @lru_cache(65536)
    def read(cell: str) -> int:
        if not (_WHOLE.fullmatch(cell) and cell.isascii() and least <= int(cell) <= most):
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(cell)

    return read


def yes_no(cell: str) -> bool:
    if cell not in {"true", "false"}:
        raise ValueError("is neither true nor false")
    return cell == "true"


@lru_cache(65536)
def day(cell: str) -> date:
    try:
        if len(cell) == 10:
            return date.fromisoformat(cell)
    except ValueError:
        pass
    raise ValueError("is not a date like 2026-09-01")


@lru_cache(65536)
def moment(cell: str) -> datetime:
    """A point in time; in Asia/Shanghai where no offset stands."""
    try:
        if len(cell) > 10 and cell[10] in "T ":
            read = datetime.fromisoformat(cell)
            return read if read.tzinfo else read.replace(tzinfo=SHANGHAI)
    except ValueError:
        pass
    raise ValueError("is not a time like 2026-09-01T12:30:00 or 2026-09-01T12:30:00+08:00")


def choice(*values: str) -> Cell:
    def read(cell: str) -> str:
        if cell not in values:
            raise ValueError(f"is none of {', '.join(values)}")
        return cell

    return read


state = choice(*STATES)


def tags(cell: str) -> str:
    """JSON of `调性:天然;人群:幼猫`: the words of each kind, each once, in order."""
    words: dict[str, dict[str, None]] = {"tonality": {}, "audience": {}}
    for part in filter(None, map(str.strip, cell.split(";"))):
        name, colon, word = part.partition(":")
        if not colon or name not in _TAG_KINDS or not 0 < len(word) <= 40 or _CONTROL.search(word):
            raise ValueError("is not a list like 调性:天然;人群:幼猫 (kinds: 调性 or tonality, 人群 or audience)")
        words[_TAG_KINDS[name]][word] = None
    return json.dumps({kind: list(found) for kind, found in words.items()}, ensure_ascii=False)


def options(cell: str) -> str:
    """JSON of `口味=鸡肉;规格=1.5kg`."""
    values: dict[str, str] = {}
    for part in filter(None, map(str.strip, cell.split(";"))):
        name, equals, value = part.partition("=")
        if not (equals and name and value) or name in values or len(part) > 80 or _CONTROL.search(part):
            raise ValueError("is not a list like 口味=鸡肉;规格=1.5kg with every name once")
        values[name] = value
    return json.dumps(values, ensure_ascii=False)


def rates(cell: str) -> list[int]:
    """Basis points of position 0, 1, ... from `1200/300`, without zeros at the end; "0" pays nobody."""
    read = whole(0, 10000)
    try:
        found = [int(str(read(part))) for part in cell.split("/")]
    except ValueError:
        raise ValueError("is not a list of basis points from 0 to 10000, like 1200/300") from None
    if sum(found) > 10000:
        raise ValueError("adds up to more than 10000 basis points")
    while found and found[-1] == 0:
        found.pop()
    return found
