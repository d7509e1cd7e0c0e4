"""The door of customers: what anybody may see of an open store, and what a customer does there."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import strawberry

from s2b2c import accounts, customers, errors, models, network, orders, payments, stores
from s2b2c.accounts import Viewer
from s2b2c.api.access import CustomerDoor, Shopper
from s2b2c.api.context import Info
from s2b2c.api.recruiting import OpenSeats
from s2b2c.api.refunds import ask_refund
from s2b2c.api.types.customers import Address, AddressRemoved, Customer, SaveAddressInput
from s2b2c.api.types.errors import (
    BadArgument,
    NotFound,
    NotOnOffer,
    OutOfStock,
    PaymentsOff,
    PriceChanged,
    WrongState,
)
from s2b2c.api.types.ids import encode, key_of
from s2b2c.api.types.labels import LABELS, EnumLabels
from s2b2c.api.types.nodes import ShopNode, Shown, read_node
from s2b2c.api.types.orders import (
    Cart,
    CartLineInput,
    Order,
    PlaceOrderInput,
    RefundAsked,
    RefundLineInput,
    order_key,
)
from s2b2c.api.types.payments import PaymentMethod, PaymentOpened, check_url
from s2b2c.api.types.stores import Listing, Storefront, seen
from s2b2c.config import settings
from s2b2c.db import AnyRow
from s2b2c.errors import Refused
from s2b2c.models import OrderBatch
from s2b2c.orders import CartLine, OrderKey, RefundedLine

GUEST_LIFETIME = timedelta(days=90)
"""How long a guest stays the same customer: longer than an order and its refunds take."""


@strawberry.type(description="What customers see.")
class ShopQuery(OpenSeats):
    @strawberry.field(graphql_type=Storefront | None, description="An open store; null when there is none.")
    async def store(self, info: Info, slug: str) -> models.Store | None:
        async with info.context.db.read() as session:
            return await stores.open_store(session, slug)

    @strawberry.field(
        description="Where the links of a closed store lead, as the slug of an open one: who takes its customers since "
        "its owner left. Null for a store that is open, that leads nowhere or that is not there.",
    )
    async def moved_to(self, info: Info, slug: str) -> str | None:
        async with info.context.db.read() as session:
            return await network.moved_to(session, slug)

    @strawberry.field(
        graphql_type=Cart | None,
        description="What these lines would cost in a store now, and what keeps them from being ordered; null when "
        "there is no such open store.",
    )
    async def cart(self, info: Info, store: strawberry.ID, lines: list[CartLineInput]) -> orders.Quote | None:
        store_id, wanted = key_of("store", store), _cart_lines(lines)
        customer_id = await info.context.shopper_id()
        async with info.context.db.read() as session:
            return await orders.quote(session, store_id, wanted, customer_id=customer_id, now=info.context.clock())

    @strawberry.field(
        graphql_type=ShopNode | None,
        description="An open store, or a product in one, by its id; null for none.",
    )
    @staticmethod
    async def node(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        async def read(shopper: stores.Shopper) -> Any:
            return await read_node(
                info,
                id,
                {
                    "store": Shown(Storefront, lambda session, key: stores.open_store_by_id(session, *key)),
                    "listing": Shown(
                        Listing, lambda session, key: stores.listing(session, key[0], key[1], shopper), key_length=2
                    ),
                },
            )

        return await seen(info, None, read)

    @strawberry.field(
        graphql_type=list[EnumLabels],
        description="What a screen calls the values of every enum, at every door: the same for all, so read it once.",
    )
    def enums(self) -> list[tuple[str, Mapping[str, tuple[str, str]]]]:
        return list(LABELS.items())

    @strawberry.field(permission_classes=[CustomerDoor], graphql_type=Customer, description="You: a customer's token.")
    async def me(self, info: Info) -> Viewer:
        return await info.context.viewer()


def _cart_lines(lines: Sequence[CartLineInput]) -> list[CartLine]:
    return [CartLine(key_of("variant", line.variant), line.quantity, line.unit_price) for line in lines]


@strawberry.type(description="A new customer whom nobody knows yet.")
class GuestResult:
    token: str = strawberry.field(
        description="Send it as Authorization: Bearer <token>; whoever holds it is you, until you sign in with it."
    )


@strawberry.type(description="A visit to a store.")
class Visited:
    store: strawberry.ID = strawberry.field(
        description="The `id` of the store: another one where yours has closed and leads on; see `movedTo`."
    )


@strawberry.type
class ShopMutation:
    @strawberry.mutation(permission_classes=[Shopper], description="Become a customer without signing in.")
    async def enter_as_guest(self, info: Info) -> GuestResult:
        context, now = info.context, info.context.clock()
        async with context.db.write() as session:
            await accounts.take(session, now, (accounts.GUESTS, context.address))
            return GuestResult(token=await accounts.guest(session, context.secret, now, GUEST_LIFETIME))

    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=Annotated[Address | NotFound | WrongState | BadArgument, strawberry.union("SaveAddressResult")],
        description="Keep a new address, or change one. Orders that were placed keep theirs.",
    )
    async def save_address(self, info: Info, input: SaveAddressInput) -> models.Address:  # noqa: A002  the argument's name
        address_id = None if input.id is None else key_of("address", input.id)
        address = customers.NewAddress(input.recipient, input.phone, input.region, input.street, input.is_default)
        customer_id = await info.context.customer_id()
        async with info.context.db.write() as session:
            return await customers.save_address(session, customer_id, address, address_id=address_id)

    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=Annotated[AddressRemoved | NotFound | BadArgument, strawberry.union("RemoveAddressResult")],
        description="Take an address out of your list.",
    )
    async def remove_address(self, info: Info, id: strawberry.ID) -> AddressRemoved:  # noqa: A002  the argument's name
        address_id = key_of("address", id)
        customer_id = await info.context.customer_id()
        async with info.context.db.write() as session:
            await customers.remove_address(session, customer_id, address_id, info.context.clock())
        return AddressRemoved(id=id)

    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=Annotated[Visited | NotFound | BadArgument, strawberry.union("VisitResult")],
        description="Tell that you opened a link to a store, or to a product in it: whoever shared it, or the store's "
        "owner, may win you as a customer (锁客).",
    )
    async def visit(
        self, info: Info, slug: str, product: strawberry.ID | None = None, share: str | None = None
    ) -> Visited:
        product_id = None if product is None else key_of("product", product)
        customer_id = await info.context.customer_id()
        async with info.context.db.write() as session:
            touch = await network.touch(
                session,
                customer_id,
                slug,
                product_id=product_id,
                share_code=share,
                policy=network.Policy.of_settings(),
                now=info.context.clock(),
            )
        return Visited(store=strawberry.ID(encode("store", touch.store_id)))

    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=Annotated[
            Order | NotFound | WrongState | BadArgument | NotOnOffer | PriceChanged | OutOfStock,
            strawberry.union("PlaceOrderResult"),
        ],
        description="Order in a store: prices are frozen and stock is reserved until it is paid, cancelled or expires. "
        "All of it or nothing; the same token again is the same order.",
    )
    async def place_order(self, info: Info, input: PlaceOrderInput) -> AnyRow | None:  # noqa: A002  the argument's name
        if input.share is not None and not input.share.isprintable():
            raise Refused(errors.BadArgument("The share code holds a character that no code has."))
        customer_id = await info.context.customer_id()
        cart = orders.Cart(
            customer_id,
            key_of("store", input.store),
            input.token,
            _cart_lines(input.lines),
            key_of("address", input.address),
            input.share,
        )
        placed = await info.context.placing.place(cart)
        async with info.context.db.read() as session:
            return await orders.order_of_customer(session, customer_id, (placed.branch_id, placed.id))

    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=Annotated[
            PaymentOpened | NotFound | WrongState | BadArgument | PaymentsOff, strawberry.union("PayOrderResult")
        ],
        description="Get what your page needs to have an order paid, the same however often you ask. CHECKOUT needs "
        "the addresses that Stripe's page leads back to. Another method than before ends the payment in hand first.",
    )
    async def pay_order(
        self,
        info: Info,
        order: strawberry.ID,
        method: PaymentMethod = PaymentMethod.INTENT,
        success_url: str | None = None,
        cancel_url: str | None = None,
    ) -> payments.Opened:
        key = order_key(order)
        if method is PaymentMethod.CHECKOUT:
            check_url("successUrl", success_url)
            check_url("cancelUrl", cancel_url)
        with info.context.stripe() as gateway:
            return await payments.finish_opening(
                info.context.db,
                gateway,
                branch_id=key[0],
                payment_id=await _payment_in_hand(info, key, method),
                success_url=success_url,
                cancel_url=cancel_url,
            )

    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=Annotated[Order | NotFound | WrongState | BadArgument, strawberry.union("CancelOrderResult")],
        description="Cancel an order that is not paid yet; its stock is free again.",
    )
    async def cancel_order(self, info: Info, order: strawberry.ID) -> AnyRow | None:
        key = order_key(order)
        customer_id = await info.context.customer_id()
        async with info.context.db.write() as session:
            await orders.own_order(session, customer_id, key)
            cancelled = await orders.cancel(session, [(*key, info.context.clock())])
            if not cancelled.order_ids:
                raise Refused(
                    errors.WrongState("Only an order that is not paid yet can be cancelled: ask for a refund instead.")
                )
            await payments.cancel_payments(session, cancelled)
            return await orders.order_of_customer(session, customer_id, key)

    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=Annotated[Order | NotFound | WrongState | BadArgument, strawberry.union("ConfirmReceiptResult")],
        description="Tell that all parcels of an order have arrived.",
    )
    async def confirm_receipt(self, info: Info, order: strawberry.ID) -> AnyRow | None:
        key = order_key(order)
        customer_id = await info.context.customer_id()
        async with info.context.db.write() as session:
            await orders.own_order(session, customer_id, key)
            receipt = [(*key, info.context.clock())]
            if not await orders.receive(session, receipt, complete_days=settings().complete_days):
                raise Refused(errors.WrongState("Only an order whose parcels have all left can be received, once."))
            return await orders.order_of_customer(session, customer_id, key)

    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=Annotated[
            RefundAsked | NotFound | WrongState | BadArgument, strawberry.union("RequestRefundResult")
        ],
        description="Have lines of an order refunded of which nothing was shipped yet. Freight stays paid.",
    )
    async def request_refund(
        self, info: Info, order: strawberry.ID, lines: list[RefundLineInput], reason: str
    ) -> models.RefundRequest:
        customer_id = await info.context.customer_id()
        wanted = [RefundedLine(line.line_no, quantity=line.quantity, goods_back=True) for line in lines]
        return await ask_refund(info, order_key(order), wanted, reason, customer_id=customer_id)


async def _payment_in_hand(info: Info, key: OrderKey, method: PaymentMethod) -> int:
    """The id of the payment of an order, committed before Stripe is asked. Raises Refused."""
    branch_id, order_id = key
    customer_id, now = await info.context.customer_id(), info.context.clock()
    async with info.context.db.write() as session:
        amount = await orders.to_pay(session, customer_id, key, now)
        try:
            payment_id = await payments.open_payment(
                session, branch_id=branch_id, order_id=order_id, amount=amount, method=method.value, now=now
            )
        except Refused:
            await payments.cancel_payments(session, OrderBatch.of([key]))
        else:
            return payment_id
    raise Refused(errors.WrongState("Another way to pay this order was in hand and ends now: try again in a moment."))
