"""Opaque names: the ids and the cursors that clients hold and send back."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from s2b2c.api.types.fields import computed
from s2b2c.db import MAX_INT64
from s2b2c.errors import BadArgument, Refused

MAX_LENGTH = 200
MAX_ITEMS = 500


def encode(kind: str, *key: int) -> str:
    return urlsafe_b64encode(":".join([kind, *map(str, key)]).encode()).decode()


def parts(text: str) -> tuple[str, tuple[int, ...]]:
    """The kind and the integers behind a name. Raises ValueError for any text `encode` did not write."""
    if len(text) > MAX_LENGTH:
        raise ValueError("too long")
    kind, *numbers = urlsafe_b64decode(text.encode("ascii")).decode("ascii").split(":")
    key = tuple(map(int, numbers))
    if not key or encode(kind, *key) != text:
        raise ValueError("not a name")
    if any(abs(number) > MAX_INT64 for number in key):
        raise ValueError("out of range")
    return kind, key


def decode(kind: str, text: str, *, length: int) -> tuple[int, ...]:
    """The `length` integers behind a name of this kind. Raises ValueError for any other text."""
    given, key = parts(text)
    if given != kind or len(key) != length:
        raise ValueError(f"not a {kind}")
    return key


def key_of(kind: str, text: str) -> int:
    """The key behind an id that a client sent. Raises Refused(BadArgument)."""
    try:
        (key,) = decode(kind, text, length=1)
    except ValueError:
        raise Refused(BadArgument(f"{text[:40]!r} is not the id of a {kind}.")) from None
    return key


def check_count(kind: str, items: Sequence[object]) -> None:
    """Raises Refused(BadArgument)."""
    if not 1 <= len(items) <= MAX_ITEMS:
        raise Refused(BadArgument(f"Of a {kind} {len(items)} were sent, but one request takes 1 to {MAX_ITEMS}."))


def keys_of(kind: str, texts: Sequence[str]) -> list[int]:
    """The keys behind 1 to MAX_ITEMS ids. Raises Refused(BadArgument)."""
    check_count(kind, texts)
    return [key_of(kind, text) for text in texts]


def id_of(kind: str) -> Any:
    """The field `id` of a row: opaque, and different for every kind of thing."""
    return computed(lambda row: encode(kind, row.id))
