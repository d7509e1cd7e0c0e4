"""Columns of personal data: sealed on their way into the database, opened or masked on their way out."""

import re
from collections.abc import Callable
from typing import cast

from sqlalchemy import CheckConstraint, ColumnElement, Dialect, SQLColumnExpression, Text, type_coerce
from sqlalchemy.types import TypeDecorator

from s2b2c import crypto

# What `Keys.seal` writes: the name of a key and, in base64, 12 bytes of a nonce and at least 16 of a tag.
SEALED_FORM = (
    r"^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{4}){9,}"
    r"([A-Za-z0-9_-]{4}|[A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{2}==)$"
)


class Sealed(TypeDecorator[str]):
    """A text that PostgreSQL never sees, sealed as a `kind`. The same text is sealed anew each time, so no statement
    can search or sort by it. A masked one is read as others may see it."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: str, *, is_masked: bool = False) -> None:
        super().__init__()
        self.kind = kind
        self.is_masked = is_masked

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  the type's way
        return None if value is None else crypto.keys().seal(value, self.kind)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        plain = crypto.keys().open(value, self.kind)
        return _MASKS[self.kind](plain) if self.is_masked else plain


def masked(column: SQLColumnExpression[str]) -> ColumnElement[str]:
    """A sealed column as others than its owner may see it: in SQL the sealed text, masked when the row is read."""
    sealed = cast(ColumnElement[str], column).type
    assert isinstance(sealed, Sealed), "what is masked is sealed"
    return type_coerce(column, Sealed(sealed.kind, is_masked=True))


def is_sealed(column: str) -> CheckConstraint:
    """That a column holds nothing that is not sealed."""
    return CheckConstraint(f"{column} ~ '{SEALED_FORM}'", name=column)


def _name(plain: str) -> str:
    """The first character, and not even how many more there are."""
    return f"{plain[:1]}**"


def _number(first: int, last: int) -> Callable[[str], str]:
    """So many letters and digits at its ends; nothing at all where those are all that it has."""

    def mask(plain: str) -> str:
        shown = re.sub(r"[\W_]", "", plain)
        hidden = len(shown) - first - last
        return shown[:first] + "*" * hidden + shown[len(shown) - last :] if hidden > 0 else "*" * (first + last)

    return mask


_MASKS: dict[str, Callable[[str], str]] = {
    "recipient": _name,
    "phone": _number(3, 4),
    "legal_name": _name,
    "identity_number": _number(3, 4),
    "bank_account": _number(0, 4),
}
