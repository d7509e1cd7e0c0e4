"""The files of rails, row by row, whatever their language: of each only the columns that we go by are read."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from s2b2c import money
from s2b2c.errors import BadArgument, Refused
from s2b2c.imports import files

_NAME = re.compile(r"[\x21-\x7e]{1,255}")
_MAX_TEXT = 500
Cell = Callable[[str], Any]


class Movement(NamedTuple):
    """A row of Stripe's itemised balance report. Amounts are in the smallest unit, above 0 what came in."""

    id: str
    category: str
    source: str
    intent_id: str | None
    amount: int
    currency: str
    created_at: datetime


class Answer(NamedTuple):
    """What a bank says of one line of our batch."""

    key: str
    is_paid: bool
    amount: int
    reference: str
    reason: str


def _name(cell: str) -> str:
    if not _NAME.fullmatch(cell):
        raise ValueError("is not a name of 1 to 255 plain characters")
    return cell


def _maybe(cell: str) -> str | None:
    return _name(cell) if cell else None


def _text(cell: str) -> str:
    if len(cell) > _MAX_TEXT or not cell.isprintable():
        raise ValueError("is longer than 500 characters, or holds some that cannot be printed")
    return cell


def _moment(cell: str) -> datetime:
    """Stripe writes UTC."""
    try:
        read = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("is not a time like 2026-09-01 12:30:00") from None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read


def _is_paid(cell: str) -> bool:
    words = {"成功": True, "paid": True, "success": True, "失败": False, "failed": False}
    if cell.lower() not in words:
        raise ValueError(f"is none of {', '.join(words)}")
    return words[cell.lower()]


_STRIPE: Mapping[str, tuple[tuple[str, ...], Cell]] = {
    "id": (("balance_transaction_id",), _name),
    "category": (("reporting_category",), _name),
    "source": (("source_id",), _maybe),
    "intent_id": (("payment_intent_id",), _maybe),
    "amount": (("gross",), money.parse_signed_yuan),
    "currency": (("currency",), _name),
    "created_at": (("created_utc",), _moment),
}
"""By field: what its column is called, and how a cell is read. https://docs.stripe.com/reports/report-types/balance"""
_BANK: Mapping[str, tuple[tuple[str, ...], Cell]] = {
    "key": (("付款附言", "reference"), _name),
    "is_paid": (("付款结果", "result"), _is_paid),
    "amount": (("金额（元）", "amount (yuan)"), money.parse_signed_yuan),
    "reference": (("银行流水号", "bank reference"), _text),
    "reason": (("失败原因", "reason"), _text),
}


def movements(source: files.Source) -> Iterator[Movement]:
    """The rows of Stripe's report. Raises Refused(BadArgument) with the line and the column."""
    for values in _rows(source, _STRIPE):
        yield Movement(**values | {"source": values["source"] or values["id"]})


def answers(source: files.Source) -> Iterator[Answer]:
    """The rows of a bank's return file. Raises Refused(BadArgument) with the line and the column."""
    for values in _rows(source, _BANK):
        yield Answer(**values)


def inspect(path: Path) -> files.Source:
    """Raises Refused(BadArgument)."""
    try:
        return files.inspect(path)
    except files.BadFile as error:
        raise _bad(path, error.line, "", error.reason) from None


def _rows(source: files.Source, columns: Mapping[str, tuple[tuple[str, ...], Cell]]) -> Iterator[dict[str, Any]]:
    rows = files.rows(source, lambda _: None)
    line = 1
    try:
        places = _places(source.path, next(rows, (1, []))[1], columns)
        for line, row in rows:
            yield {
                name: _read(source.path, line, row, place, heading, cell)
                for (name, (_, cell)), (place, heading) in zip(columns.items(), places, strict=True)
            }
    except files.BadFile as error:
        raise _bad(source.path, error.line, "", error.reason) from None


def _places(
    path: Path, header: list[str], columns: Mapping[str, tuple[tuple[str, ...], Cell]]
) -> list[tuple[int, str]]:
    found = [cell.lower() for cell in header]
    places = []
    for names, _ in columns.values():
        place = next((found.index(name) for name in names if name in found), None)
        if place is None:
            raise _bad(path, 1, names[0], f"the column is missing; the file needs {_needed(columns)}")
        places.append((place, header[place]))
    return places


def _needed(columns: Mapping[str, tuple[tuple[str, ...], Cell]]) -> str:
    return ", ".join(" or ".join(names) for names, _ in columns.values())


def _read(path: Path, line: int, row: list[str], place: int, heading: str, cell: Cell) -> Any:
    if place >= len(row):
        raise _bad(path, line, heading, "the row ends before it")
    try:
        return cell(row[place])
    except ValueError as error:
        raise _bad(path, line, heading, f"{row[place][:40]!r} {error}") from None


def _bad(path: Path, line: int, column: str, reason: str) -> Refused:
    where = f"{path.name}, line {line}{f', column {column}' if column else ''}"
    return Refused(BadArgument(f"{where}: {reason}. Nothing of the file was taken."))
