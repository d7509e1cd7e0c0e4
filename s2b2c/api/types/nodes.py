"""Things that are read on their own by their id (Relay), at the door that shows them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.api.context import Info
from s2b2c.api.types.errors import done
from s2b2c.api.types.ids import parts
from s2b2c.db import MAX_INT64
from s2b2c.errors import BadArgument, Refused


@strawberry.interface(description="What the field `node` of a door reads again by its id (Relay).")
class Node:
    """Of the types of a door that share an id one is a node, the fullest: the id leads to it, and to no other.

    The same id is another type at each door, so `node` is a field of each door, not of the whole schema, and each door
    has a kind of node of its own: the schema says what can be read where, and a token decides no more than who enters.
    """

    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID

    @classmethod
    def resolve_type(cls, row: object, info: Any, _: object) -> str:
        return str(info.context.node_types[id(row)])


@strawberry.interface(description="What `shop.node` reads.")
class ShopNode(Node):
    """What anybody may see."""


@strawberry.interface(description="What `shop.me.node` reads.")
class CustomerNode(Node):
    """A customer's own."""


@strawberry.interface(description="What `partner.node` reads.")
class PartnerNode(Node):
    """A distributor's own, and what it may choose."""


@strawberry.interface(description="What `brand.node` reads.")
class BrandNode(Node):
    """A brand's own."""


@strawberry.interface(description="What `finance.node` reads.")
class FinanceNode(Node):
    """All money."""


@strawberry.interface(description="What `operator.node` reads.")
class OperatorNode(Node):
    """Whatever the network is run with."""


Key = tuple[int, ...]


class Shown(NamedTuple):
    """What a door shows its viewer under the ids of one kind: as which type, and how a key is read; None is nothing."""

    as_type: type
    read: Callable[[AsyncSession, Any], Awaitable[Any]]
    key_length: int = 1
    is_recorded: bool = False
    """Whether what is read is written into the trail of personal data."""


async def read_node(info: Info, id_: str, shown: Mapping[str, Shown]) -> Any:
    """The row behind an id, None where the door shows nothing under it; `shown` is by kind. Raises Refused(BadArgument)
    for a text that is no id."""
    try:
        kind, key = parts(id_)
    except ValueError:
        raise Refused(BadArgument(f"{id_[:40]!r} is no id: send what a field `id` said.")) from None
    it = shown.get(kind)
    if it is None or len(key) != it.key_length:
        return None
    async with info.context.db.write() if it.is_recorded else info.context.db.read() as session:
        row = await it.read(session, key)
    if row is not None:
        info.context.node_types[id(row)] = it.as_type.__name__
    return row


async def only(page: Callable[..., Awaitable[Sequence[Any]]], key: Key, *, step: int) -> Any:
    """The row with this id of a list by id: the page of one behind the id before. `step` is 1 where ids go up, else -1.

    So what a viewer reads by id is what its list shows, by the same statement.
    """
    *branch, number = key
    if not 0 < number < MAX_INT64:
        return None
    rows = await page(after=(number - step,), limit=1)
    return next((row for row in rows if row.id == number and (not branch or [row.branch_id] == branch)), None)
