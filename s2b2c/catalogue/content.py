"""What a product says of itself: the rules of each field, and how a revision differs from what is live."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from s2b2c.errors import BadArgument, Refused

Field = Literal["title", "category", "tonalities", "audiences", "images", "description"]

MAX_IMAGES = 9
MAX_DESCRIPTION_LENGTH = 5000
_MAX_WORDS = 20
_MAX_WORD_LENGTH = 40
_MAX_LINE_LENGTH = 200
_MAX_ADDRESS_LENGTH = 2000
_NO_ADDRESS = frozenset("\"'<>\\")


class FieldDiff(NamedTuple):
    """A field of which a revision says something else; `before` is None of a product that was never live."""

    field: Field
    before: Sequence[str] | None
    after: Sequence[str]


def diff(content: Mapping[str, Any], base: Mapping[str, Any]) -> list[FieldDiff]:
    """How the content of a revision differs from `base`, in the order of the fields; a text is one, or none."""
    found = []
    for field in get_args(Field):
        if field not in content or content[field] == base.get(field):
            continue
        before, after = (_texts(base[field]) if field in base else None), _texts(content[field])
        if before or after:
            found.append(FieldDiff(field, before, after))
    return found


def check_content(content: Mapping[str, Any]) -> None:
    """Raises Refused(BadArgument) that names the field and what is wrong with it."""
    for field, value in content.items():
        for problem in _problems(field, value):
            raise Refused(BadArgument(f"{field} {problem}."))


def _problems(field: str, value: Any) -> Iterator[str]:
    if field == "description":
        if len(value) > MAX_DESCRIPTION_LENGTH:
            yield f"has {len(value)} characters, but at most {MAX_DESCRIPTION_LENGTH} are kept: shorten it"
        if not value.replace("\n", "").isprintable():
            yield "holds a character that cannot be printed: send plain text"
    elif field == "images":
        if len(value) > MAX_IMAGES:
            yield f"are {len(value)}, but a product has at most {MAX_IMAGES}: leave some out"
        yield from (f"[{n}] {wrong}" for n, address in enumerate(value) if (wrong := _wrong_address(address)))
        yield from _twice(value)
    elif field in {"tonalities", "audiences"}:
        if len(value) > _MAX_WORDS:
            yield f"are {len(value)}, but a product has at most {_MAX_WORDS}: leave some out"
        for n, word in enumerate(value):
            if not word.strip() or len(word) > _MAX_WORD_LENGTH or not word.isprintable() or ";" in word:
                yield f"[{n}] must be 1 to {_MAX_WORD_LENGTH} printable characters without a semicolon"
        yield from _twice(value)
    elif not value.strip() or len(value) > _MAX_LINE_LENGTH or not value.isprintable():
        yield f"must be 1 to {_MAX_LINE_LENGTH} printable characters"


def _wrong_address(address: str) -> str | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    fine = parts.scheme in {"http", "https"} and parts.netloc and address.isprintable() and " " not in address
    if not fine or _NO_ADDRESS & set(address) or len(address) > _MAX_ADDRESS_LENGTH:
        return "is not a web address that begins with http:// or https://"
    return None


def _twice(values: Sequence[str]) -> Iterator[str]:
    if len(set(values)) < len(values):
        yield "name something twice: send each once"


def _texts(value: str | Sequence[str]) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return list(value)
