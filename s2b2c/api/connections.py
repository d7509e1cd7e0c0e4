"""Lists in pages: Relay connections whose cursors are the sort key of a row, so that a page stays right while rows come
and go before it."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import strawberry

from s2b2c.api.types.ids import decode, encode
from s2b2c.errors import BadArgument, Refused

DEFAULT_FIRST = 24
MAX_FIRST = 100

Node = TypeVar("Node")


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class Edge(Generic[Node]):
    cursor: str
    node: Node


@strawberry.type
class Connection(Generic[Node]):
    edges: list[Edge[Node]]
    page_info: PageInfo


class Page:
    """The part of a list that a client asks for: `limit` rows behind the key `after`, one more than it will get."""

    def __init__(self, kind: str, first: int, after: str | None, *, key_length: int) -> None:
        """`kind` names the list in its cursors. Raises Refused(BadArgument)."""
        if not 1 <= first <= MAX_FIRST:
            raise Refused(BadArgument(f"first is {first}, but a page has 1 to {MAX_FIRST} rows."))
        self._kind = kind
        self._first = first
        self.limit = first + 1
        self.after: tuple[int, ...] | None = None
        if after is not None:
            try:
                self.after = decode(kind, after, length=key_length)
            except ValueError:
                raise Refused(
                    BadArgument("after is not a cursor of this list: send an endCursor of it, or leave it out.")
                ) from None

    def connection(self, rows: Sequence[Any], key: Callable[[Any], tuple[int, ...]]) -> Connection[Any]:
        edges = [Edge(cursor=encode(self._kind, *key(row)), node=row) for row in rows[: self._first]]
        return Connection(
            edges=edges,
            page_info=PageInfo(
                has_next_page=len(rows) > self._first,
                has_previous_page=self.after is not None,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )
