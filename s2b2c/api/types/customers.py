"""Customers: their addresses and orders, and whose customers they are."""

from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any, ClassVar, cast

import strawberry

from s2b2c import customers, orders
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.explanations import OrderState
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.nodes import CustomerNode, Shown, only, read_node
from s2b2c.api.types.orders import Order, order_key
from s2b2c.api.types.stores import Store
from s2b2c.db import AnyRow


@strawberry.type(description="Where you want your goods.")
class Address(CustomerNode):
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("address")
    recipient: str
    phone: str
    region: str
    street: str
    is_default: bool = strawberry.field(description="What a new order is sent to unless it says otherwise.")


@strawberry.input(description="Where you want your goods.")
class SaveAddressInput:
    id: strawberry.ID | None = strawberry.field(default=None, description="The one to change; a new one when left out.")
    recipient: str = strawberry.field(description="1 to 50 characters.")
    phone: str = strawberry.field(description="7 to 15 digits; of another country with a + before them.")
    region: str = strawberry.field(description="Province, city and district: 1 to 100 characters.")
    street: str = strawberry.field(description="1 to 200 characters.")
    is_default: bool = strawberry.field(default=False, description="The first address is the default in any case.")


@strawberry.type(description="An address that is removed; orders that were placed keep theirs.")
class AddressRemoved:
    id: strawberry.ID


@strawberry.type(description="Whose customer you are (锁客).")
class BoundTo:
    since: datetime
    until: datetime | None = strawberry.field(description="Null for ever.")
    store: Store | None = computed(
        lambda row: row.store if row.store.id is not None else None, description="Null while it has no open one."
    )


@strawberry.type(description="You, as a customer (消费者).")
class Customer:
    @strawberry.field(
        graphql_type=CustomerNode | None, description="An order or an address of yours by its id; null when it is none."
    )
    @staticmethod
    async def node(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        mine = await info.context.customer_id()
        return await read_node(
            info,
            id,
            {
                "order": Shown(Order, lambda session, key: orders.order_of_customer(session, mine, key), key_length=2),
                "address": Shown(
                    Address, lambda session, key: only(partial(customers.addresses, session, mine), key, step=1)
                ),
            },
        )

    @strawberry.field(graphql_type=Connection[Address], description="The first one first.")
    @staticmethod
    async def addresses(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("address", first, after, key_length=1)
        customer_id = await info.context.customer_id()
        async with info.context.db.read() as session:
            rows = await customers.addresses(session, customer_id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=Connection[Order], description="What you have ordered, newest first.")
    @staticmethod
    async def orders(
        info: Info, state: OrderState | None = None, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("order-newest", first, after, key_length=1)
        customer_id = await info.context.customer_id()
        async with info.context.db.read() as session:
            rows = await orders.orders_of_customer(
                session, customer_id, state=state and state.value, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=Order | None, description="One of your orders; null when it is none.")
    @staticmethod
    async def order(info: Info, id: strawberry.ID) -> AnyRow | None:  # noqa: A002  the argument's name
        key = order_key(id)
        customer_id = await info.context.customer_id()
        async with info.context.db.read() as session:
            return await orders.order_of_customer(session, customer_id, key)

    @strawberry.field(graphql_type=BoundTo | None, description="Whose customer you are (锁客); null for nobody's.")
    @staticmethod
    async def bound_to(info: Info) -> AnyRow | None:
        customer_id = await info.context.customer_id()
        async with info.context.db.read() as session:
            return await customers.bound_to(session, customer_id, info.context.clock())


@strawberry.type(description="A customer of yours (锁客).")
class BoundCustomer:
    id: strawberry.ID = computed(lambda row: encode("customer", row.customer_id))
    since: datetime
    until: datetime | None = strawberry.field(description="When it is free unless it comes back; null for ever.")
    protected_until: datetime | None = strawberry.field(
        description="Before it nobody takes it over; null where a policy without days holds."
    )

    @strawberry.field(
        description="The first 3 and the last 4 digits, of its newest order with you; null before the first."
    )
    @staticmethod
    async def phone(root: strawberry.Parent[Any], info: Info) -> str | None:
        distributor_id = await info.context.distributor_id()
        return await info.context.load.masked_phones.load((distributor_id, root.customer_id))


@strawberry.enum(
    description="Whose a refused touch was: yours, by somebody else's customer, or somebody else's, by yours, whom you "
    "held."
)
class TouchSide(Enum):
    REFUSED = "refused"
    HELD = "held"


@strawberry.type(description="A link that was opened and took no customer over, since it was protected: the evidence.")
class RefusedTouch:
    id: strawberry.ID = id_of("refused-touch")
    customer: strawberry.ID = computed(lambda row: encode("customer", row.customer_id))
    at: datetime = strawberry.field(description="When the link was opened.")
    protected_until: datetime | None = strawberry.field(
        description="As it stood then; null where the first touch protects for ever."
    )
    share_code: str | None = strawberry.field(description="Of the share link that was opened.")
    shared_at: datetime | None = strawberry.field(description="When that link was made; null where none was opened.")

    @strawberry.field(graphql_type=Store, description="Where the link led.")
    @staticmethod
    async def store(root: strawberry.Parent[Any], info: Info) -> Any:
        return (await info.context.load.touched_places.load((root.store_id, root.product_id))).store

    @strawberry.field(description="What it led to there, where it was a product.")
    @staticmethod
    async def product_title(root: strawberry.Parent[Any], info: Info) -> str | None:
        place = await info.context.load.touched_places.load((root.store_id, root.product_id))
        return cast(str | None, place.product_title)


@strawberry.type(description="A link that says who shared it.")
class ShareLink:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    code: str = strawberry.field(description="The same whenever you share the same.")
