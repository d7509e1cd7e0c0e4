"""Trusted documents: what the front ends ask, known by the SHA-256 of its text.

The id of a document is `sha256:` and the hash, in lower-case hex, of the bytes of its file in `graphql/operations`,
with its comment and its last newline, as the appendix on persisted documents of GraphQL over HTTP has it.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache

import strawberry
from graphql import GraphQLError, OperationType

from s2b2c.api.limits import read
from s2b2c.config import resource


class Document(str):
    """The text of a trusted document. Any other document is a plain string."""

    __slots__ = ("public",)

    public: bool
    """It only reads, at the door of customers: then a GET may ask for it, and a cache may keep what it is told."""


def named() -> dict[str, str]:
    """The id of each file, by its name as in "shop/Storefront": the text of graphql/operations.json."""
    return {name: _id_of(text) for name, text in texts().items()}


def as_json() -> str:
    """The text of graphql/operations.json, where a front end looks up the ids of its documents."""
    return json.dumps(named(), indent=2) + "\n"


@cache
def load(schema: strawberry.Schema) -> Mapping[str, Document]:
    """Every document by its id. Raises ValueError, with the file, for one that this schema could not run."""
    return {_id_of(text): _document(schema, name, text) for name, text in texts().items()}


def _document(schema: strawberry.Schema, name: str, text: str) -> Document:
    try:
        parsed = read(schema._schema, text)  # noqa: SLF001  strawberry has no other way to it
        if parsed.errors:
            raise parsed.errors[0]
        (operation,) = parsed.operations
    except (GraphQLError, ValueError) as error:
        raise ValueError(f"graphql/operations/{name}.graphql is no document of one operation: {error}") from None
    document = Document(text)
    document.public = operation.operation is OperationType.QUERY and name.startswith("shop/")
    return document


def _id_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@cache
def texts() -> Mapping[str, str]:
    """The text of each file, by its name."""
    folder = resource("graphql") / "operations"
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file.read_bytes().decode()
        for file in sorted(folder.rglob("*.graphql"))
    }
