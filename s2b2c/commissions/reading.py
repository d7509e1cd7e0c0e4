"""The text of a plan document, in YAML or JSON, as plain values; and where in it each of them stands.

No value is made but those that a plan can hold: no alias, no tag, no date of YAML's own.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import yaml

from s2b2c.errors import InvalidPlan, PlanProblem, Refused

MAX_BYTES = 256 * 1024
MAX_NESTING = 6

Path: TypeAlias = tuple[str | int, ...]
Problem: TypeAlias = tuple[Path, str]


@dataclass
class Places:
    """Where each path stands in the text, to tell problems in the order of the document."""

    begins: dict[Path, int] = field(default_factory=dict)
    ends: dict[Path, int] = field(default_factory=dict)

    def of(self, path: Path) -> tuple[int, int]:
        """What is missing comes last in what it is missing from."""
        if path in self.begins:
            return self.begins[path], 0
        while path and path not in self.ends:
            path = path[:-1]
        return self.ends.get(path, 0), 1


def read(text: str) -> tuple[dict[str, Any], Places, list[Problem]]:
    """What a YAML or (from `{` on) a JSON text says, where, and the keys in it that cannot be read.

    Raises Refused(InvalidPlan) where it cannot be read at all, or is no mapping.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        _unreadable("", f"the document is longer than {MAX_BYTES // 1024} KiB")
    text = text.removeprefix("\ufeff")
    places, problems = Places(), list[Problem]()
    raw = _plain(_json(text) if text.lstrip().startswith("{") else _yaml(text), (), places, problems)
    if not isinstance(raw, dict):
        _unreadable("", "the document must be a mapping with the keys plan, from and rules")
    return raw, places, problems


def refuse(places: Places, problems: Iterable[Problem]) -> None:
    """Raises Refused(InvalidPlan) with all problems in the order of the document, when there is one."""
    told = dict.fromkeys(sorted(problems, key=lambda problem: (places.of(problem[0]), problem[1])))
    if told:
        many = "1 problem" if len(told) == 1 else f"{len(told)} problems"
        raise Refused(
            InvalidPlan(
                f"The plan has {many}; nothing was changed.",
                tuple(PlanProblem(_path(path), message) for path, message in told),
            )
        )


def shown(value: object) -> str:
    """Something somebody typed, in a message: short, and without what no terminal or database can hold."""
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= 60 else f"{text[:60]}…"
    return text if text.isprintable() and text else ascii(text)


class _Pairs(list[tuple[object, object]]):
    """A mapping as it was written, also when a key stands twice."""


_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times as fast where PyYAML has it


def _unreadable(path: str, message: str) -> NoReturn:
    raise Refused(InvalidPlan("The document cannot be read.", (PlanProblem(path, message),)))


def _whole_number(digits: str) -> int | float:
    """Longer ones are out of every range; Python would refuse to read them."""
    return int(digits) if len(digits) <= 20 else float("inf")


def _json(text: str) -> object:
    try:
        return json.loads(
            text,
            object_pairs_hook=_Pairs,
            parse_int=_whole_number,
            parse_float=lambda _: float("nan"),
            parse_constant=lambda _: float("nan"),
        )
    except json.JSONDecodeError as error:
        _unreadable(f"line {error.lineno}, column {error.colno}", f"is no JSON: {error.msg}")
    except RecursionError:
        _too_deep("")


def _too_deep(path: str) -> NoReturn:
    _unreadable(path, f"lists and mappings stand in one another, more than {MAX_NESTING} deep")


def _yaml(text: str) -> object:
    events = iter(yaml.parse(text, Loader=_LOADER))
    try:
        next(events)  # the beginning of the stream
        if isinstance(next(events), yaml.StreamEndEvent):
            _unreadable("", "the document is empty")
        value = _node(events, next(events), 1)
        next(events)  # the end of the document
        if not isinstance(event := next(events), yaml.StreamEndEvent):
            _unreadable(_place(event.start_mark), "a second document begins; a file holds one plan")
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        _unreadable(_place(mark) if mark else "", f"is no YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, OverflowError):  # letters that no text may hold, and escapes of them
        _unreadable("", "the document is no YAML: it holds letters that no text may hold")
    return value


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _node(events: Iterator[Any], event: Any, nesting: int) -> object:
    if event.anchor is not None:  # also of an alias
        _unreadable(_place(event.start_mark), "anchors (&) and aliases (*) are not read; write it out")
    if event.tag is not None:
        _unreadable(_place(event.start_mark), f"tags like {shown(event.tag)} are not read")
    if nesting > MAX_NESTING:
        _too_deep(_place(event.start_mark))
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value) if event.implicit[0] else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_node(events, event, nesting + 1))
        return items
    pairs = _Pairs()
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _node(events, event, nesting + 1)
        pairs.append((key, _node(events, next(events), nesting + 1)))
    return pairs


def _scalar(text: str) -> object:
    """What stands without quotes, as YAML 1.2 reads it: `no` and `1:30` are text. No plan holds a number like 1.5."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return _whole_number(text)
    return float("nan") if _FLOAT.fullmatch(text) else text


def _plain(value: object, path: Path, places: Places, problems: list[Problem]) -> Any:
    """The value with its mappings as dicts; where each part stands; the keys that stand twice or are no text."""
    if len(path) >= MAX_NESTING:
        _too_deep(_path(path))
    places.begins[path] = len(places.begins)
    _whole_letters(value, path)
    plain: Any = value
    if isinstance(value, _Pairs):
        plain = {}
        for key, inner in value:
            _whole_letters(key, path)
            if not isinstance(key, str):
                problems.append((path, f"has the key {shown(key)}: put keys that look like numbers in quotes"))
            elif key in plain:
                problems.append(((*path, key), "stands here twice"))
            else:
                plain[key] = _plain(inner, (*path, key), places, problems)
    elif isinstance(value, list):
        plain = [_plain(inner, (*path, number), places, problems) for number, inner in enumerate(value)]
    places.ends[path] = len(places.begins) - 1
    return plain


def _whole_letters(value: object, path: Path) -> None:
    if isinstance(value, str) and _SURROGATE.search(value):
        _unreadable(_path(path), "holds half of a letter, which no text may hold")


_SURROGATE = re.compile("[\ud800-\udfff]")


def _path(path: Path) -> str:
    """`rules[2].tier_bps.city`"""
    parts = (f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path)
    return "".join(parts).removeprefix(".")
