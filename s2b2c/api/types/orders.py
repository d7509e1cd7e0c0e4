"""Orders, as customers, sellers, brands and whoever runs the network see them."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

import strawberry

from s2b2c import orders
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.catalogue import Option, options
from s2b2c.api.types.explanations import OrderState
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import decode, encode
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import DistributorName
from s2b2c.api.types.nodes import BrandNode, CustomerNode, PartnerNode
from s2b2c.api.types.payments import Payment, RefundRequest, RefundRequestState, id_in_branch
from s2b2c.api.types.stores import Store
from s2b2c.errors import BadArgument, Refused
from s2b2c.orders import OrderKey, Part


def order_key(text: str, kind: str = "order") -> OrderKey:
    """The key behind an id that a client sent, of an order or of another event. Raises Refused(BadArgument)."""
    try:
        branch_id, order_id = decode(kind, text, length=2)
    except ValueError:
        raise Refused(BadArgument(f"{text[:40]!r} is no id of this kind: {kind}.")) from None
    return branch_id, order_id


@strawberry.input(description="Units of a variant in a cart.")
class CartLineInput:
    variant: strawberry.ID
    quantity: Int64
    unit_price: Int64 | None = strawberry.field(
        default=None, description="What the customer was shown, in fen; an order at another price is refused."
    )


@strawberry.enum(description="What keeps a line of a cart from being ordered.")
class CartProblem(Enum):
    NOT_ON_OFFER = strawberry.enum_value("not offered", description="The store does not sell it, or not any more.")
    PRICE_CHANGED = strawberry.enum_value("other price", description="It costs another price than was shown.")
    OUT_OF_STOCK = strawberry.enum_value("out of stock", description="Fewer units are left than are asked for.")


@strawberry.type(description="A line of a cart. What the store does not sell has only a number, units and a problem.")
class CartLine:
    line_no: Int64
    variant: strawberry.ID = computed(lambda row: encode("variant", row.variant_id))
    product_title: str | None
    image_url: str | None
    sku: str | None
    options: list[Option] = computed(lambda row: options(row) if row.options is not None else [])
    quantity: Int64
    unit_price: Money | None = strawberry.field(description="What one costs in this store now.")
    amount: Money | None = computed(
        lambda row: None if row.unit_price is None else row.quantity * row.unit_price, description="Of all units."
    )
    in_stock: Int64 = computed(lambda row: row.in_stock or 0, description="Units that are left.")
    problem: CartProblem | None = strawberry.field(
        description="What keeps it from being ordered; null when nothing does."
    )


@strawberry.type(description="What a cart would cost now. Nothing is kept, and nothing is reserved.")
class Cart:
    lines: Sequence[CartLine] = strawberry.field(description="As they were asked for, at most 100.")
    goods: Money = strawberry.field(description="Of the lines that the store sells.")
    freight: Money
    total: Money = computed(lambda it: it.goods + it.freight, description="goods + freight.")
    can_be_ordered: bool = computed(
        lambda it: it.opens_at is None and all(line.problem is None for line in it.lines),
        description="Whether no line has a problem, and the store is open.",
    )
    opens_at: datetime | None = strawberry.field(description="When the store is open next; null while it is.")


@strawberry.type(description="How many units of an order line are in a parcel.")
class ParcelContent:
    line_no: Int64
    quantity: Int64


@strawberry.type(description="A parcel that has left.")
class Parcel:
    carrier: str
    tracking_no: str
    shipped_at: datetime
    contents: list[ParcelContent] = computed(
        lambda row: [
            ParcelContent(line_no=line_no, quantity=quantity)
            for line_no, quantity in zip(row.line_nos, row.quantities, strict=True)
        ],
        description="What is inside, in the order of the lines.",
    )


@strawberry.type(description="A line of an order, as its customer and its seller see it.")
class OrderLine:
    line_no: Int64
    product_title: str
    image_url: str | None
    sku: str
    options: list[Option] = computed(options)
    quantity: Int64
    unit_price: Money
    discount: Money
    paid: Money = strawberry.field(description="quantity x unitPrice - discount.")
    refunded: Money
    refunded_units: Int64
    shipped_units: Int64


@strawberry.type(description="A line of an order, as its brand ships it.")
class SupplyOrderLine:
    line_no: Int64 = strawberry.field(description="Its number in the whole order.")
    product_title: str
    sku: str
    options: list[Option] = computed(options)
    quantity: Int64 = strawberry.field(description="Units that were bought.")
    refunded_units: Int64
    shipped_units: Int64
    units_to_ship: Int64 = strawberry.field(description="Units that are left to ship.")


@strawberry.type(description="A line of an order, in full.")
class FullOrderLine(OrderLine):
    brand_name: str
    supply_price: Money = strawberry.field(description="Of one unit (供货价).")
    supply: Money = strawberry.field(description="What the brand is owed for the line, net of returns (供货价).")
    units_to_ship: Int64 = strawberry.field(description="Units that are left to ship.")


def _part(row: Any, page: Page) -> Part:
    """The part of an order that a page shows: of a supply order what is its brand's, else all."""
    (after,) = page.after or (0,)
    if hasattr(row, "brand_id"):
        return Part(row.branch_id, row.order_id, row.brand_id, after, page.limit)
    return Part(row.branch_id, row.id, None, after, page.limit)


async def _lines(root: Any, info: Info, first: int, after: str | None) -> Connection[Any]:
    page = Page("order-line", first, after, key_length=1)
    rows = await info.context.load.order_lines.load(_part(root, page))
    return page.connection(rows, lambda row: (row.line_no,))


@strawberry.type
class Shipped:
    """The field of an order, or of a part of one, that is sent in parcels."""

    @strawberry.field(graphql_type=Connection[Parcel], description="As they left.")
    @staticmethod
    async def parcels(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("parcel", first, after, key_length=1)
        rows = await info.context.load.parcels.load(_part(root, page))
        return page.connection(rows, lambda row: (row.id,))


@strawberry.type
class OrderHead(Shipped):
    """What everybody may know of an order whom it concerns."""

    id: strawberry.ID = id_in_branch("order")
    order_no: str
    state: OrderState
    store: Store = strawberry.field(description="Where it was bought.")
    placed_at: datetime
    paid_at: datetime | None
    shipped_at: datetime | None = strawberry.field(description="When its last parcel left.")
    received_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    goods: Money = strawberry.field(description="quantity x unitPrice of all lines.")
    discount: Money
    paid: Money = strawberry.field(description="goods - discount: what the lines cost, without freight.")
    freight: Money
    total: Money = strawberry.field(description="paid + freight: what the customer pays.")
    refunded: Money


@strawberry.type
class WithLines:
    @strawberry.field(graphql_type=Connection[OrderLine], description="As they were ordered.")
    @staticmethod
    async def lines(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        return await _lines(root, info, first, after)


@strawberry.type(description="Where an order goes, as it was when it was placed.")
class OrderAddress:
    recipient: str = strawberry.field(description="Who takes the parcel in; masked on a label.")
    phone: str = strawberry.field(description="In full; masked on a label.")
    region: str
    street: str


@strawberry.type(description="The last refund that was asked for of an order.")
class LastRefund:
    amount: Money
    state: RefundRequestState
    reason: str
    requested_at: datetime


def _given(bundle: Any) -> Any:
    """None where all parts of an outer join are."""
    return bundle if any(part is not None for part in bundle) else None


@strawberry.type(description="An order, as its customer sees it.")
class Order(OrderHead, WithLines, CustomerNode):
    id: strawberry.ID = id_in_branch("order")
    pay_before: datetime | None = computed(
        lambda row: row.due_at if row.state == "placed" else None, description="When it expires unless it is paid."
    )
    address: OrderAddress | None = computed(
        lambda row: _given(row.address), description="Null of an order that was made elsewhere."
    )
    last_refund: LastRefund | None = computed(
        lambda row: _given(row.last_refund), description="Null while none was asked for."
    )


@strawberry.type(description="An order of one of your customers.")
class SoldOrder(OrderHead, WithLines, PartnerNode):
    id: strawberry.ID = id_in_branch("order")
    phone: str | None = strawberry.field(description="Of the customer: the first 3 and the last 4 digits.")
    commission: Money = strawberry.field(
        description="What you earn as its seller (佣金), less what refunds took back; 0 until it is paid."
    )


@strawberry.enum(
    description="Which supply orders: paid ones with units left to ship, those that left, or all that were paid."
)
class SupplyOrderState(Enum):
    TO_SHIP = "to_ship"
    SHIPPED = "shipped"
    ALL = "all"


@strawberry.type(
    description="What you ship of an order (一件代发). Where to you learn while it is paid and units are left to ship."
)
class SupplyOrder(Shipped, BrandNode):
    id: strawberry.ID = id_in_branch("supply-order")
    order_no: str
    order_state: OrderState = computed(lambda row: row.state, description="Of the whole order.")
    store: Store = strawberry.field(description="Where it was bought.")
    paid_at: datetime
    shipped_at: datetime | None = strawberry.field(description="When your last parcel left.")
    is_to_ship: bool = strawberry.field(description="Whether it is paid and units are left to ship.")
    region: str | None = strawberry.field(description="Where it goes.")
    label: OrderAddress | None = computed(
        lambda row: _given(row.label),
        description="What the parcel says (隐私面单), name and phone masked; null once nothing is left to ship.",
    )

    @strawberry.field(graphql_type=Connection[SupplyOrderLine], description="Yours alone, as they were ordered.")
    @staticmethod
    async def lines(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        return await _lines(root, info, first, after)


@strawberry.type(description="An order with its whole life.")
class OrderLife(OrderHead):
    due_at: datetime | None = strawberry.field(
        description="When it takes the next step by itself: expires, counts as received, or completes."
    )
    matures_at: datetime | None = strawberry.field(description="When its commissions become payable.")
    seller: DistributorName = strawberry.field(description="Whose customer bought it.")
    customer: strawberry.ID = computed(lambda row: encode("customer", row.customer_id))
    phone: str | None = strawberry.field(description="The first 3 and the last 4 digits.")
    region: str | None = strawberry.field(description="Where it goes.")

    @strawberry.field(graphql_type=Connection[FullOrderLine], description="As they were ordered.")
    @staticmethod
    async def lines(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        return await _lines(root, info, first, after)

    @strawberry.field(graphql_type=Connection[Payment], description="Attempts to have it paid, the first one first.")
    @staticmethod
    async def payments(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("payment", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await orders.payments_of_order(
                session, (root.branch_id, root.id), after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[RefundRequest], description="Refunds that were asked for, the first one first."
    )
    @staticmethod
    async def refunds(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("refund-request", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await orders.refunds_of_order(session, (root.branch_id, root.id), after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))


@strawberry.input(description="A line of an order that a customer wants refunded.")
class RefundLineInput:
    line_no: Int64
    quantity: Int64 | None = strawberry.field(default=None, description="Units; all that are left when left out.")


@strawberry.input(description="What to refund of a line: units, an amount, or, with neither, all that is left of it.")
class AnyRefundLineInput:
    line_no: Int64
    quantity: Int64 | None = strawberry.field(default=None, description="Units, with what was paid for them.")
    amount: Int64 | None = strawberry.field(default=None, description="In fen.")
    goods_back: bool = strawberry.field(
        default=False,
        description="The units were not shipped, or came back: the brand gives back what it got for them.",
    )
    brand_amount: Int64 = strawberry.field(
        default=Int64(0), description="Of an amount: the fen that the brand bears, since it is the brand's fault."
    )


@strawberry.input(description="What a customer orders in a store.")
class PlaceOrderInput:
    store: strawberry.ID = strawberry.field(description="The `id` of the store.")
    lines: list[CartLineInput] = strawberry.field(description="1 to 100, no variant twice.")
    address: strawberry.ID = strawberry.field(description="One of the customer's.")
    token: str = strawberry.field(
        description="The client's own word for this order, 1 to 64 characters: the same again is the same order."
    )
    share: str | None = strawberry.field(default=None, description="The code of the share link that led here.")


@strawberry.input(description="A parcel that has left.")
class ParcelInput:
    supply_order: strawberry.ID = strawberry.field(description="The `id` of the supply order.")
    carrier: str = strawberry.field(description="1 to 64 characters.")
    tracking_no: str = strawberry.field(description="1 to 64 characters.")
    lines: list["ParcelLineInput"] | None = strawberry.field(
        default=None, description="What is inside; all that is left of the supply order when left out."
    )


@strawberry.input(description="Units of an order line in a parcel.")
class ParcelLineInput:
    line_no: Int64
    quantity: Int64


@strawberry.type(description="Parcels that were told.")
class ParcelsShipped:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    shipped: Int64 = computed(lambda count: count, description="How many are new; one that is told again is not.")


@strawberry.type(description="A refund that is on its way; the order changes when it has arrived.")
class RefundAsked:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_in_branch("refund-request")
    amount: Money
    state: RefundRequestState
