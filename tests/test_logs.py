"""The two forms of a line in the log, and what neither of them holds."""

import json
import logging
import sys
from datetime import UTC, datetime

import pytest

from s2b2c import logs

SECRET = "what is nobody's business"
AT = datetime(2026, 11, 22, 8, 30, 15, 250_000, tzinfo=UTC)


def _record(message: str, *args: object, facts: dict[str, object] | None = None) -> logging.LogRecord:
    record = logging.LogRecord("s2b2c.here", logging.WARNING, __file__, 1, message, args, None)
    record.created = AT.timestamp()
    if facts is not None:
        record.facts = facts
    return record


def _break(secret: str) -> None:
    raise ValueError(secret)


def _of_what_broke() -> logging.LogRecord:
    record = _record("it broke")
    try:
        _break(SECRET)
    except ValueError:
        record.exc_info = sys.exc_info()
    return record


def test_json_is_one_object_on_one_line() -> None:
    line = logs._Json().format(_record("two\n%s", "行", facts={"ms": 1.5, "role": None}))
    assert "\n" not in line
    assert "行" in line
    assert json.loads(line) == {
        "at": "2026-11-22T08:30:15.250+00:00",
        "level": "WARNING",
        "logger": "s2b2c.here",
        "message": "two\n行",
        "ms": 1.5,
        "role": None,
    }


def test_text_is_for_people() -> None:
    assert logs._Text().format(_record("%s is away", "it")) == "WARNING:s2b2c.here:it is away"
    assert logs._Text().format(_record("x\ny", facts={"ms": 1.5})) == "WARNING:s2b2c.here:x ms=1.5\ny"


@pytest.mark.parametrize("form", [logs._Json(), logs._Text()])
def test_of_an_exception_its_kind_and_its_place_are_told(form: logging.Formatter) -> None:
    line = form.format(_of_what_broke())
    assert "ValueError" in line
    assert "_of_what_broke" in line
    assert SECRET not in line
    assert "Traceback" not in line


def test_a_line_names_the_request_that_it_belongs_to() -> None:
    before = logs.current.set(logs.Request("0123456789abcdef"))
    assert json.loads(logs._Json().format(_record("x")))["request_id"] == "0123456789abcdef"
    assert logs._Text().format(_record("x")) == "WARNING:s2b2c.here:x request_id=0123456789abcdef"
    logs.current.reset(before)
    assert "request_id" not in logs._Json().format(_record("x"))


def test_what_broke_counts_before_what_was_refused() -> None:
    logs.note_outcome("NOBODY_ASKED")
    request = logs.Request("0123456789abcdef")
    before = logs.current.set(request)
    seen = []
    for code in ("FORBIDDEN", "NOT_FOUND", "INTERNAL", "BAD_REQUEST"):
        logs.note_outcome(code)
        seen.append(request.outcome)
    logs.current.reset(before)
    assert seen == ["FORBIDDEN", "FORBIDDEN", "INTERNAL", "INTERNAL"]
