"""From a cart to an order: priced as the store shows it, stock taken, its seller found, all at once or not at all."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.config import settings
from s2b2c.errors import BadArgument, LineProblem, NotFound, NotOnOffer, OutOfStock, PriceChanged, Refused
from s2b2c.models import Store
from s2b2c.network import Policy, lock_customer
from s2b2c.orders.steps import pay
from s2b2c.sql import statements

MAX_LINES = 100
MAX_QUANTITY = 10_000
FREE = "free"
"""The rail of orders that cost nothing."""


class CartLine(NamedTuple):
    """Units of a variant; `unit_price` is what the customer was shown in fen, None where nobody was shown anything."""

    variant_id: int
    quantity: int
    unit_price: int | None = None


class Cart(NamedTuple):
    """What a customer orders in a store. `token` is the customer's own word for this order, never used for another."""

    customer_id: int
    store_id: int
    token: str
    lines: Sequence[CartLine]
    address_id: int
    share_code: str | None = None
    coupon: int = 0
    """Fen off the goods, at most all they cost."""


class Placed(NamedTuple):
    """The key of an order, and all that it costs in fen, freight included."""

    branch_id: int
    id: int
    order_no: str
    amount: int


async def place(session: AsyncSession, cart: Cart, *, policy: Policy, now: datetime) -> Placed:
    """Place an order: prices, costs and seller are frozen, stock is taken until it is paid, cancelled or expires.

    A coupon is spread over the lines by cumulative floor. The same token again gives the same order and changes
    nothing. What costs nothing is paid at once.

    Raises Refused, and nothing is done: BadArgument for numbers that can never be right, NotFound for a store that is
    not open or an address that is not the customer's, and NotOnOffer, PriceChanged or OutOfStock with every such line.
    """
    _check(cart)
    await lock_customer(session, cart.customer_id)
    config = settings()
    rows = (
        await session.execute(
            statements("placing")["place"],
            {
                **cart._asdict(),
                **policy.parameters(),
                "token": _name(cart),
                "variant_ids": [line.variant_id for line in cart.lines],
                "quantities": [line.quantity for line in cart.lines],
                "prices": [line.unit_price for line in cart.lines],
                "freight": config.freight,
                "goods_from": config.free_freight_from,
                "pay_minutes": config.pay_minutes,
                "now": now,
            },
        )
    ).all()
    if not rows:
        return await _placed_before(session, cart)
    _refuse(rows)
    placed = Placed(rows[0].branch_id, rows[0].id, rows[0].order_no, rows[0].amount)
    if placed.amount == 0:
        await pay(session, [(placed.branch_id, placed.id, now)], rail=FREE)
    return placed


def _name(cart: Cart) -> str:
    return f"{cart.customer_id}:{cart.token}"


def check_lines(lines: Sequence[CartLine]) -> None:
    """Raises Refused(BadArgument) for lines that can never be right, whatever the store sells."""
    if not lines:
        raise Refused(BadArgument("The cart is empty."))
    if len(lines) > MAX_LINES:
        raise Refused(BadArgument(f"An order has at most {MAX_LINES} lines; this cart has {len(lines)}."))
    if len({line.variant_id for line in lines}) < len(lines):
        raise Refused(BadArgument("The cart names a variant twice: add the units up."))
    for number, line in enumerate(lines, start=1):
        if not 1 <= line.quantity <= MAX_QUANTITY:
            raise Refused(BadArgument(f"Line {number}: {line.quantity} units; it is 1 to {MAX_QUANTITY}."))


def _check(cart: Cart) -> None:
    """Raises Refused(BadArgument) for what can never be right."""
    check_lines(cart.lines)
    if not 1 <= len(cart.token) <= 64 or not cart.token.isprintable():
        raise Refused(BadArgument("The token must be 1 to 64 printable characters."))
    if cart.coupon < 0:
        raise Refused(BadArgument("A coupon is 0 or more."))


def _refuse(rows: Sequence[Any]) -> None:
    """Raises Refused with the lines that keep a cart from being an order."""
    problems: dict[str, list[LineProblem]] = {}
    for row in rows:
        if row.refusal:
            problems.setdefault(row.refusal, []).append(LineProblem(row.line_no, row.stock or 0, row.unit_price or 0))
    if lines := problems.get("not offered"):
        raise Refused(NotOnOffer(f"{_lines(lines)}: the store does not sell it any more. Take it out.", tuple(lines)))
    if lines := problems.get("other price"):
        raise Refused(PriceChanged(f"{_lines(lines)}: the price has changed. Look at it again.", tuple(lines)))
    if lines := problems.get("out of stock"):
        raise Refused(OutOfStock(f"{_lines(lines)}: fewer are left than asked for. Take fewer.", tuple(lines)))


def _lines(problems: Sequence[LineProblem]) -> str:
    return f"Line{'s' * (len(problems) > 1)} {', '.join(str(it.line_no) for it in problems)}"


async def _placed_before(session: AsyncSession, cart: Cart) -> Placed:
    """The order that this token stands for. Raises Refused(NotFound) when it stands for none."""
    found = await session.execute(_OF_TOKEN, {"token": _name(cart)})
    if (row := found.one_or_none()) is not None:
        return Placed(*row)
    store = await session.scalar(select(Store.id).where(Store.id == cart.store_id, Store.state == "open"))
    if store is None:
        raise Refused(NotFound("There is no such open store."))
    raise Refused(NotFound("There is no such address of yours: save it first."))


_OF_TOKEN = text(
    """
    SELECT o.branch_id, o.id, o.order_no, (sum(l.paid) + o.freight)::bigint
    FROM claims c
    JOIN orders o ON o.branch_id = c.branch_id AND o.id = c.event_id
    JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    WHERE c.kind = 'order_token' AND c.name = :token
    GROUP BY o.branch_id, o.id
    """
)
