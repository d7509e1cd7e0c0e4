"""What logs look like, and whose request a line belongs to."""

import json
import logging
import traceback
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Form = Literal["json", "text"]


@dataclass(slots=True)
class Request:
    """A request that is being answered, and what it has cost so far. Nothing in it is personal."""

    id: str
    operation: str | None = None
    """Of our own documents the name, like "shop/Storefront"; of any other "other"."""
    account_id: int | None = None
    role: str | None = None
    outcome: str | None = None
    """A code of ours; None while all is well."""
    statements: int = 0


current: ContextVar[Request | None] = ContextVar("request", default=None)


def count_statement(*_: object) -> None:
    """One more statement for whoever is being answered; what several share counts for the first of them."""
    if (request := current.get()) is not None:
        request.statements += 1


def note_outcome(code: str) -> None:
    """What the request has come to: what broke on our side counts before anything else, then what came first."""
    request = current.get()
    if request is not None and (request.outcome is None or code in {"INTERNAL", "UNAVAILABLE"}):
        request.outcome = code


def write_to_stderr(form: Form) -> None:
    """What goes wrong; as JSON, which is for machines, also a line of each request."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(__package__).setLevel(logging.INFO if form == "json" else logging.WARNING)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class _Json(logging.Formatter):
    """One object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        return _ENCODER.encode(line | _facts(record))


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line, newline, rest = record.getMessage().partition("\n")
        facts = "".join(f" {name}={value}" for name, value in _facts(record).items())
        return f"{record.levelname}:{record.name}:{line}{facts}{newline}{rest}"


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What is known beside the message. Of an exception its kind and place: its words may hold anything."""
    facts: dict[str, Any] = {}
    if (request := current.get()) is not None:
        facts["request_id"] = request.id
    facts |= getattr(record, "facts", {})
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, place = record.exc_info
        facts["error"] = f"{kind.__name__}\n{''.join(traceback.format_tb(place))}"
    return facts
