"""What a client asks of a field: what is not asked for is not shown, and so was not read."""

from collections.abc import Sequence
from typing import Any

from strawberry.types.nodes import SelectedField, Selection

from s2b2c.api.context import Info


def asked(info: Info, *path: str) -> set[str]:
    """The names of the fields that are asked for at this path below the field that is resolved."""
    found = list(_fields(info.selected_fields))
    for name in path:
        found = [inner for field in found for inner in _fields(field.selections) if inner.name == name]
    return {inner.name for field in found for inner in _fields(field.selections)}


def _fields(selections: Sequence[Selection]) -> Sequence[SelectedField]:
    """Also those in fragments, but none that a directive leaves out."""
    found: list[SelectedField] = []
    for it in selections:
        if _is_left_out(it.directives):
            continue
        found += [it] if isinstance(it, SelectedField) else _fields(it.selections)
    return found


def _is_left_out(directives: dict[str, dict[str, Any]]) -> bool:
    return directives.get("skip", {}).get("if") is True or directives.get("include", {}).get("if") is False
