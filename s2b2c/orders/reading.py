"""Orders as each of those sees them whom they concern: every list is found by whose it is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, and_, bindparam, case, cast, func, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c import privacy
from s2b2c.config import settings
from s2b2c.db import AnyRow, page
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.models import (
    Claim,
    Commission,
    Distributor,
    Order,
    OrderAddress,
    OrderLine,
    Payment,
    RefundLine,
    RefundRequest,
    ShipmentLine,
    Store,
    SupplyOrder,
)
from s2b2c.orders.placing import CartLine, check_lines
from s2b2c.orders.refunds import RefundedLine
from s2b2c.sealed import masked
from s2b2c.sql import statements

OrderKey = tuple[int, int]
"""(branch_id, id)"""


class Quote(NamedTuple):
    """What a cart would cost now, in fen: the goods that the store sells, and what their shipping costs.

    A line is a row of (line_no, variant_id, quantity, unit_price, in_stock, sku, options, product_title, image_url,
    problem); a problem is `not offered`, `other price` or `out of stock`.
    """

    lines: Sequence[AnyRow]
    goods: int
    freight: int
    opens_at: datetime | None = None
    """When the store is open next; None while it is."""


async def quote(
    session: AsyncSession, store_id: int, lines: Sequence[CartLine], *, customer_id: int | None, now: datetime
) -> Quote | None:
    """What these lines would cost a customer in a store, and what keeps them from being ordered; None without such an
    open store. `customer_id` is None for somebody unknown.

    Raises Refused(BadArgument) for lines that can never be right.
    """
    check_lines(lines)
    found = await session.execute(
        statements("reading")["quote"].columns(options=JSONB),
        {
            "store_id": store_id,
            "customer_id": customer_id,
            "now": now,
            "variant_ids": [line.variant_id for line in lines],
            "quantities": [line.quantity for line in lines],
            "prices": [line.unit_price for line in lines],
        },
    )
    rows = found.all()
    if not rows:
        return None
    goods = sum(row.quantity * row.unit_price for row in rows if row.unit_price is not None)
    free_from = settings().free_freight_from
    is_free = not goods or (free_from is not None and goods >= free_from)
    return Quote(rows, goods, 0 if is_free else settings().freight, rows[0].opens_at)


def _heads() -> Select[*tuple[Any, ...]]:
    """Orders with where they were bought and what their lines add up to, in fen; `total` is with freight."""
    total = (
        select(
            cast(func.sum(OrderLine.quantity * OrderLine.unit_price), BigInteger).label("goods"),
            cast(func.sum(OrderLine.discount), BigInteger).label("discount"),
            cast(func.sum(OrderLine.paid), BigInteger).label("paid"),
            cast(func.sum(OrderLine.refunded), BigInteger).label("refunded"),
        )
        .where(OrderLine.branch_id == Order.branch_id, OrderLine.order_id == Order.id)
        .lateral("total")
    )
    return (
        select(Order.branch_id, Order.id, Order.order_no, Order.state, Order.freight)
        .add_columns(Order.placed_at, Order.paid_at, Order.shipped_at, Order.received_at, Order.completed_at)
        .add_columns(Order.cancelled_at, Order.matures_at, Order.due_at)
        .add_columns(Bundle("store", Store.id, Store.slug, Store.title, Store.region))
        .add_columns(*total.c, (total.c.paid + Order.freight).label("total"))
        .select_from(Order)
        .join(Store, Store.id == Order.store_id)
        .join(total, true())
        .outerjoin(OrderAddress, and_(OrderAddress.branch_id == Order.branch_id, OrderAddress.order_id == Order.id))
    )


def _of_customer() -> Select[*tuple[Any, ...]]:
    """With the parameter `customer_id`."""
    request = (
        select(RefundRequest.amount, RefundRequest.state, RefundRequest.reason, RefundRequest.requested_at)
        .where(RefundRequest.branch_id == Order.branch_id, RefundRequest.order_id == Order.id)
        .order_by(RefundRequest.id.desc())
        .limit(1)
        .lateral("request")
    )
    return (
        _heads()
        .add_columns(
            Bundle("address", OrderAddress.recipient, OrderAddress.phone, OrderAddress.region, OrderAddress.street),
            Bundle("last_refund", *request.c),
        )
        .outerjoin(request, true())
        .where(Order.customer_id == bindparam("customer_id"))
    )


_ONE_OF_CUSTOMER = _of_customer().where(Order.branch_id == bindparam("branch_id"), Order.id == bindparam("id"))


async def orders_of_customer(
    session: AsyncSession, customer_id: int, *, state: str | None, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What a customer has ordered, in this state or in any, newest first; `after` is an (id,).

    Rows of (branch_id, id, order_no, state, freight, placed_at, paid_at, shipped_at, received_at, completed_at,
    cancelled_at, matures_at, due_at, store, goods, discount, paid, refunded, total, address, last_refund); the parts of
    the last two are None where there is none. Money is fen.
    """
    query = _of_customer()
    if state is not None:
        query = query.where(Order.state == state)
    query = page(query, (Order.id, "down"), after=after, limit=limit)
    return (await session.execute(query, {"customer_id": customer_id})).all()


async def order_of_customer(session: AsyncSession, customer_id: int, key: OrderKey) -> AnyRow | None:
    """A row as of `orders_of_customer`; None when the customer has no such order."""
    return (await session.execute(_ONE_OF_CUSTOMER, _own(customer_id, key))).one_or_none()


async def orders_of_seller(
    session: AsyncSession, distributor_id: int, *, state: str | None, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What the customers of a distributor have ordered, newest first; `after` is an (id,).

    Rows as of `orders_of_customer` without address and refund, but with (phone, commission): masked, None where the
    order has no address; what the distributor earns as the seller, net of refunds, in fen.
    """
    commission = (
        select(
            func.sum(
                Commission.amount - func.clawed(Commission.amount, OrderLine.refunded, OrderLine.paid, type_=BigInteger)
            )
        )
        .join(OrderLine, and_(OrderLine.branch_id == Commission.branch_id, OrderLine.id == Commission.line_id))
        .where(
            OrderLine.branch_id == Order.branch_id,
            OrderLine.order_id == Order.id,
            Commission.position == 0,
        )
        .correlate(Order)
        .scalar_subquery()
    )
    query = (
        _heads()
        .add_columns(masked(OrderAddress.phone).label("phone"))
        .add_columns(cast(func.coalesce(commission, 0), BigInteger).label("commission"))
        .where(Order.seller_id == distributor_id)
    )
    if state is not None:
        query = query.where(Order.state == state)
    return (await session.execute(page(query, (Order.id, "down"), after=after, limit=limit))).all()


async def order_by_number(session: AsyncSession, order_no: str, *, look: privacy.Look | None = None) -> AnyRow | None:
    """An order for whoever runs the network: a row as of `orders_of_customer` without the refund, its phone masked, and
    with (customer_id, seller), a seller with its code and name. A `look` is written into the trail."""
    if not order_no.isprintable():
        return None  # no text in PostgreSQL holds a NUL or half a surrogate pair
    query = (
        _heads()
        .add_columns(Order.customer_id, Bundle("seller", Distributor.id, Distributor.code, Distributor.name))
        .add_columns(masked(OrderAddress.phone).label("phone"), OrderAddress.region.label("region"))
        .join(Distributor, Distributor.id == Order.seller_id)
        .join(Claim, and_(Claim.branch_id == Order.branch_id, Claim.event_id == Order.id))
        .where(Claim.kind == "order_no", Claim.name == order_no)
    )
    if look is not None:
        kinds = case((_HAS_ADDRESS, privacy.those(look.kinds)), else_=privacy.those(()))
        query = privacy.read(query, look, "order", kinds)
    return (await session.execute(query)).one_or_none()


_HAS_ADDRESS = OrderAddress.order_id.is_not(None)

_REFUNDED = (
    select(func.coalesce(func.sum(RefundLine.quantity), 0))
    .where(RefundLine.branch_id == OrderLine.branch_id, RefundLine.line_id == OrderLine.id)
    .correlate(OrderLine)
    .scalar_subquery()
)
_SENT = (
    select(func.coalesce(func.sum(ShipmentLine.quantity), 0))
    .where(ShipmentLine.branch_id == OrderLine.branch_id, ShipmentLine.line_id == OrderLine.id)
    .correlate(OrderLine)
    .scalar_subquery()
)
_TO_SHIP: ColumnElement[bool] = and_(
    Order.state == "paid",
    SupplyOrder.shipped_at.is_(None),
    select(OrderLine.id)
    .where(
        OrderLine.branch_id == SupplyOrder.branch_id,
        OrderLine.order_id == SupplyOrder.order_id,
        OrderLine.brand_id == SupplyOrder.brand_id,
        OrderLine.quantity > _REFUNDED + _SENT,
    )
    .correlate(SupplyOrder)
    .exists(),
)


async def supply_orders(
    session: AsyncSession,
    brand_id: int,
    state: Literal["to_ship", "shipped", "all"],
    *,
    after: tuple[int, ...] | None,
    limit: int,
    look: privacy.Look | None = None,
) -> Sequence[AnyRow]:
    """What a brand ships (一件代发), of orders that were paid; `after` is an (id,).

    What waits comes oldest first, all else newest first. Rows of (branch_id, id, order_id, brand_id, order_no, state,
    paid_at, shipped_at, is_to_ship, store, region, label); the parts of the label, (recipient, phone, region, street),
    are None unless something waits to be shipped, and never say who the customer is (隐私面单). A `look` at all but the
    last row, which says that there is more, is written into the trail.
    """
    query = _supply(brand_id)
    if state == "to_ship":
        query = query.where(_TO_SHIP)
    elif state == "shipped":
        query = query.where(SupplyOrder.shipped_at.is_not(None))
    way: Literal["up", "down"] = "up" if state == "to_ship" else "down"
    query = page(query, (SupplyOrder.id, way), after=after, limit=limit)
    if look is not None:
        query = _read(query, look, shown=limit - 1)
    return (await session.execute(query)).all()


async def supply_order(
    session: AsyncSession, brand_id: int, key: OrderKey, *, look: privacy.Look | None = None
) -> AnyRow | None:
    """A row as of `supply_orders`, by its own key; None when the brand has no such one. A `look` is written into the
    trail."""
    query = _supply(brand_id).where(SupplyOrder.branch_id == key[0], SupplyOrder.id == key[1])
    if look is not None:
        query = _read(query, look)
    return (await session.execute(query)).one_or_none()


def _read(query: Select[*tuple[Any, ...]], look: privacy.Look, *, shown: int | None = None) -> Select[*tuple[Any, ...]]:
    with_label = privacy.those({*look.kinds, *look.on_label})
    kinds = case(
        (and_(_HAS_ADDRESS, _TO_SHIP), with_label), (_HAS_ADDRESS, privacy.those(look.kinds)), else_=privacy.those(())
    )
    return privacy.read(query, look, "shipping", kinds, shown=shown)


def _supply(brand_id: int) -> Select[*tuple[Any, ...]]:
    shown = {
        "recipient": masked(OrderAddress.recipient),
        "phone": masked(OrderAddress.phone),
        "region": OrderAddress.region,
        "street": OrderAddress.street,
    }
    parts = (case((and_(_TO_SHIP, _HAS_ADDRESS), part)).label(name) for name, part in shown.items())
    return (
        select(SupplyOrder.branch_id, SupplyOrder.id, SupplyOrder.order_id, SupplyOrder.brand_id, Order.order_no)
        .add_columns(Order.state, Order.paid_at, SupplyOrder.shipped_at, _TO_SHIP.label("is_to_ship"))
        .add_columns(Bundle("store", Store.id, Store.slug, Store.title, Store.region))
        .add_columns(OrderAddress.region.label("region"), Bundle("label", *parts))
        .select_from(SupplyOrder)
        .join(Order, and_(Order.branch_id == SupplyOrder.branch_id, Order.id == SupplyOrder.order_id))
        .join(Store, Store.id == Order.store_id)
        .outerjoin(OrderAddress, and_(OrderAddress.branch_id == Order.branch_id, OrderAddress.order_id == Order.id))
        .where(SupplyOrder.brand_id == brand_id, Order.paid_at.is_not(None))
    )


class Part(NamedTuple):
    """Which rows of an order, of one brand or of all: `limit` of them behind the key `after`; 0 is before the first."""

    branch_id: int
    order_id: int
    brand_id: int | None
    after: int
    limit: int


async def lines(session: AsyncSession, parts: Sequence[Part]) -> list[list[AnyRow]]:
    """For each part the lines of its order; `after` is a line number.

    Rows of (line_no, quantity, unit_price, discount, paid, refunded, supply_price, supply, sku, options, product_title,
    image_url, brand_name, refunded_units, shipped_units, units_to_ship). Money is fen.
    """
    rows = await session.execute(statements("reading")["lines"].columns(options=JSONB), _parameters(parts))
    return _by_part(rows.all(), parts)


async def parcels(session: AsyncSession, parts: Sequence[Part]) -> list[list[AnyRow]]:
    """For each part the parcels of its order as they left; `after` is an id.

    Rows of (id, carrier, tracking_no, shipped_at, line_nos, quantities): what is inside, line by line.
    """
    rows = await session.execute(statements("reading")["parcels"], _parameters(parts))
    return _by_part(rows.all(), parts)


def _parameters(parts: Sequence[Part]) -> dict[str, list[int | None]]:
    names = ("branch_ids", "order_ids", "brand_ids", "afters", "limits")
    return dict(zip(names, map(list, zip(*parts, strict=True)), strict=True))


def _by_part(rows: Sequence[AnyRow], parts: Sequence[Part]) -> list[list[AnyRow]]:
    found: list[list[AnyRow]] = [[] for _ in parts]
    for row in rows:
        found[row.n - 1].append(row)
    return found


async def payments_of_order(
    session: AsyncSession, key: OrderKey, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[Payment]:
    """The attempts to have an order paid, the first one first; `after` is an (id,)."""
    query = select(Payment).where(Payment.branch_id == key[0], Payment.order_id == key[1])
    return (await session.scalars(page(query, (Payment.id, "up"), after=after, limit=limit))).all()


async def payments_of_number(
    session: AsyncSession, order_no: str, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[Payment]:
    """As `payments_of_order`, by the number of the order; none where there is no such order."""
    if not order_no.isprintable():
        return []  # no text in PostgreSQL holds a NUL or half a surrogate pair
    query = (
        select(Payment)
        .join(Claim, and_(Claim.branch_id == Payment.branch_id, Claim.event_id == Payment.order_id))
        .where(Claim.kind == "order_no", Claim.name == order_no)
    )
    return (await session.scalars(page(query, (Payment.id, "up"), after=after, limit=limit))).all()


async def refunds_of_order(
    session: AsyncSession, key: OrderKey, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[RefundRequest]:
    """What was asked to be sent back of an order, the first one first; `after` is an (id,)."""
    query = select(RefundRequest).where(RefundRequest.branch_id == key[0], RefundRequest.order_id == key[1])
    return (await session.scalars(page(query, (RefundRequest.id, "up"), after=after, limit=limit))).all()


async def own_order(session: AsyncSession, customer_id: int, key: OrderKey) -> AnyRow:
    """An order of a customer as it stands: a row of (state, due_at, total in fen). Raises Refused(NotFound)."""
    found = await session.execute(statements("reading")["own_order"], _own(customer_id, key))
    if (row := found.one_or_none()) is None:
        raise Refused(_NO_ORDER)
    return row


def _own(customer_id: int, key: OrderKey) -> dict[str, int]:
    branch_id, order_id = key
    return {"customer_id": customer_id, "branch_id": branch_id, "id": order_id}


async def to_pay(session: AsyncSession, customer_id: int, key: OrderKey, now: datetime) -> int:
    """Fen that a customer still owes for an order, freight included.

    Raises Refused: NotFound, or WrongState for one that was paid or cancelled, or whose time to be paid is over.
    """
    order = await own_order(session, customer_id, key)
    if order.state != "placed":
        raise Refused(WrongState(f"This order is {order.state}: there is nothing to pay."))
    if order.due_at is not None and order.due_at <= now:
        raise Refused(WrongState("The time to pay this order is over: order again."))
    return int(order.total)


class Refundable(NamedTuple):
    """What can be sent back of an order: of which payment, how many fen, and of which lines."""

    payment_id: int
    amount: int
    lines: Sequence[RefundedLine]


async def refund_amount(
    session: AsyncSession, key: OrderKey, asked: Sequence[RefundedLine], *, customer_id: int | None = None
) -> Refundable:
    """What `refund` will give back for these lines, as the order stands; nothing is written.

    A line that names neither units nor an amount is all that is left of it, and names its units in the answer. With a
    `customer_id` the order must be that customer's, and nothing of it shipped.

    Raises Refused: BadArgument for numbers that can never be right, NotFound for an order or a line that is not there,
    WrongState for an order that was not paid, or not through Stripe, for one of which a refund is on its way, and for
    more than is left.
    """
    _check_lines(asked)
    branch_id, order_id = key
    found = await session.execute(
        statements("reading")["refundable"],
        {
            "branch_id": branch_id,
            "order_id": order_id,
            "customer_id": customer_id,
            "line_nos": [line.line_no for line in asked],
        },
    )
    rows = found.all()
    if not rows:
        raise Refused(_NO_ORDER)
    order = rows[0]
    if order.state in {"placed", "cancelled"}:
        raise Refused(WrongState(f"This order is {order.state}: nothing was paid that could go back."))
    if customer_id is not None and (order.is_shipped or order.state != "paid"):
        raise Refused(WrongState("The order was shipped, or a part of it: ask the store about a refund."))
    if order.payment_id is None:
        raise Refused(WrongState("The order was not paid through Stripe, so nothing can be sent back that way."))
    if order.is_in_hand:
        raise Refused(WrongState("A refund of this order is on its way: wait until it has arrived or failed."))
    parts = [_part(line, row) for line, row in zip(asked, rows, strict=True)]
    return Refundable(order.payment_id, sum(amount for _, amount in parts), [line for line, _ in parts])


def _part(line: RefundedLine, row: AnyRow) -> tuple[RefundedLine, int]:
    """A line with its units named, and the fen that it is worth: the rule of the block `record_lines`."""
    if row.units is None:
        raise Refused(NotFound(f"The order has no line {line.line_no}: read it again."))
    if line.quantity is None and line.amount is None:
        line = line._replace(quantity=row.units - row.units_before)
    units_after = min(row.units, row.units_before + (line.quantity or 0))
    if row.units_before < row.units == units_after:
        worth = row.paid - row.amount_before
    elif line.amount is not None:
        worth = min(line.amount, row.paid - row.amount_before)
    else:
        due = row.paid * units_after // row.units - row.paid * row.units_before // row.units
        worth = min(due, row.paid - row.amount_before)
    supply_left = row.units * row.supply_price - row.supply_before
    is_too_much = (
        units_after - row.units_before < (line.quantity or 0)
        or worth < (line.amount or 0)
        or supply_left < line.brand_amount
    )
    if is_too_much or (units_after == row.units_before and not worth):
        left = f"{row.units - row.units_before} units and {row.paid - row.amount_before} fen"
        raise Refused(WrongState(f"Line {line.line_no}: more than is left, which is {left}."))
    return line, worth


def _check_lines(lines: Sequence[RefundedLine]) -> None:
    """Raises Refused(BadArgument) for what can never be right."""
    if not 1 <= len(lines) <= 100:
        raise Refused(BadArgument("Name 1 to 100 lines of the order."))
    if len({line.line_no for line in lines}) < len(lines):
        raise Refused(BadArgument("A line is named twice."))
    for line in lines:
        if line.quantity is not None and line.amount is not None:
            raise Refused(BadArgument(f"Line {line.line_no}: name units or an amount, not both."))
        if (line.quantity is not None and line.quantity <= 0) or (line.amount is not None and line.amount <= 0):
            raise Refused(BadArgument(f"Line {line.line_no}: what goes back is above 0."))
        if line.brand_amount < 0 or (line.brand_amount and line.amount is None):
            raise Refused(
                BadArgument(f"Line {line.line_no}: what a brand bears is 0 or more, and goes with an amount.")
            )


_NO_ORDER = NotFound("There is no such order, or it is not yours: read your orders again.")
