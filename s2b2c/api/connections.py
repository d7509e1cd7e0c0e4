"""Lists in pages: Relay connections whose cursors are the sort key of a row, so that a page stays right while rows come
and go before it."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import strawberry

from s2b2c.api.types.ids import decode, encode
from s2b2c.errors import BadArgument, Refused

DEFAULT_FIRST = 24
MAX_FIRST = 100

Row = TypeVar("Row")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether rows come behind it.")
    has_previous_page: bool = strawberry.field(description="Whether it does not begin at the beginning.")
    start_cursor: str | None = strawberry.field(description="Of its first row; null where it has none.")
    end_cursor: str | None = strawberry.field(
        description="Of its last row: what `after` takes for the next page; null where it has none."
    )


@strawberry.type(description="A row of a list, and where it stands there.")
class Edge(Generic[Row]):
    cursor: str = strawberry.field(description="Opaque; what `after` of this list takes.")
    node: Row = strawberry.field(description="The row itself.")


@strawberry.type(description="A page of a list (Relay): `first` rows behind the cursor `after`.")
class Connection(Generic[Row]):
    edges: list[Edge[Row]] = strawberry.field(description="In the order of the list.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.")


class Page:
    """The part of a list that a client asks for: `limit` rows behind the key `after`, one more than it will get."""

    def __init__(self, kind: str, first: int, after: str | None, *, key_length: int) -> None:
        """`kind` names the list in its cursors. Raises Refused(BadArgument)."""
        if not 0 <= first <= MAX_FIRST:
            raise Refused(BadArgument(f"first is {first}, but a page has 0 to {MAX_FIRST} rows."))
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
