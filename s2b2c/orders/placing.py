"""From carts to orders: priced as the store shows it, stock taken, its seller found, all at once or not at all."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import metrics
from s2b2c.config import SHANGHAI, settings
from s2b2c.db import AnyRow
from s2b2c.errors import (
    BadArgument,
    LineProblem,
    NotFound,
    NotOnOffer,
    OutOfStock,
    PriceChanged,
    Refusal,
    Refused,
    WrongState,
)
from s2b2c.models import OrderBatch
from s2b2c.network import NO_CUSTOMER, Policy, lock_customers
from s2b2c.orders.steps import pay
from s2b2c.orders.withdrawn import keep_out_withdrawals
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


async def place(
    session: AsyncSession, carts: Sequence[Cart], *, policy: Policy, now: datetime
) -> list[Placed | Refusal]:
    """Place orders of different customers: of each cart the order it has become, or why it has not, in their order.

    Prices, costs and seller are frozen, stock is taken until the order is paid, cancelled or expires. A coupon is
    spread over the lines by cumulative floor. The same token again gives the same order and changes nothing. What
    costs nothing is paid at once. Units come out of what is set aside for the store first, then for its region, then
    out of what is free.

    A cart that is refused changes nothing: BadArgument for numbers that can never be right, NotFound for a customer who
    is not there, a store that is not open or an address that is not the customer's, WrongState outside the store's
    opening hours, and NotOnOffer, PriceChanged or
    OutOfStock with every such line. Carts earlier in the row are served first.
    """
    outcomes: dict[int, Placed | Refusal] = {}
    waiting: dict[int, Cart] = {}
    await keep_out_withdrawals(session)
    known = await lock_customers(session, [cart.customer_id for cart in carts])
    for n, cart in enumerate(carts):
        if refusal := _wrong(cart) or (None if cart.customer_id in known else NO_CUSTOMER):
            outcomes[n] = refusal
        else:
            waiting[n] = cart
    block = "place"
    while waiting:
        judged = await _judge(session, block, list(waiting.values()), policy, now)
        block = "place_aside"
        decided = {n: outcome for n, outcome in zip(waiting, judged, strict=True) if outcome is not None}
        outcomes |= decided
        waiting = {n: cart for n, cart in waiting.items() if n not in decided}
    free = [(it.branch_id, it.id, now) for it in outcomes.values() if isinstance(it, Placed) and it.amount == 0]
    if free:
        await pay(session, free, rail=FREE)
    return [outcomes[n] for n in range(len(carts))]


async def _judge(
    session: AsyncSession, block: str, carts: Sequence[Cart], policy: Policy, now: datetime
) -> list[Placed | Refusal | None]:
    """Of each cart its order or its refusal; None where those before it may leave too little, and may not, and where
    the block leaves it to the next one."""
    lines = [(n, line_no, line) for n, cart in enumerate(carts, 1) for line_no, line in enumerate(cart.lines, 1)]
    config = settings()
    rows = await session.execute(
        statements("placing")[block],
        {
            **policy.parameters(),
            "customer_ids": [cart.customer_id for cart in carts],
            "store_ids": [cart.store_id for cart in carts],
            "address_ids": [cart.address_id for cart in carts],
            "tokens": [f"{cart.customer_id}:{cart.token}" for cart in carts],
            "share_codes": [cart.share_code for cart in carts],
            "coupons": [cart.coupon for cart in carts],
            "ns": [n for n, _, _ in lines],
            "line_nos": [line_no for _, line_no, _ in lines],
            "variant_ids": [line.variant_id for _, _, line in lines],
            "quantities": [line.quantity for _, _, line in lines],
            "prices": [line.unit_price for _, _, line in lines],
            "freight": config.freight,
            "goods_from": config.free_freight_from,
            "pay_minutes": config.pay_minutes,
            "now": now,
        },
    )
    judged = [list(of_cart) for _, of_cart in groupby(rows, lambda row: row.n)]
    before = await _placed_before(session, [of_cart[0] for of_cart in judged if of_cart[0].placed_id is not None])
    outcomes = [before.get(of_cart[0].placed_id) or _outcome(of_cart) for of_cart in judged]
    placed = sum(isinstance(outcome, Placed) for outcome in outcomes) - len(before)
    metrics.count_when_committed(session, metrics.ORDERS_PLACED, placed)
    return outcomes


def check_lines(lines: Sequence[CartLine]) -> None:
    """Raises Refused(BadArgument) for lines that can never be right, whatever the store sells."""
    if wrong := _wrong_lines(lines):
        raise Refused(wrong)


def _wrong_lines(lines: Sequence[CartLine]) -> BadArgument | None:
    if not lines:
        return BadArgument("The cart is empty.")
    if len(lines) > MAX_LINES:
        return BadArgument(f"An order has at most {MAX_LINES} lines; this cart has {len(lines)}.")
    if len({line.variant_id for line in lines}) < len(lines):
        return BadArgument("The cart names a variant twice: add the units up.")
    for number, line in enumerate(lines, start=1):
        if not 1 <= line.quantity <= MAX_QUANTITY:
            return BadArgument(f"Line {number}: {line.quantity} units; it is 1 to {MAX_QUANTITY}.")
    return None


def _wrong(cart: Cart) -> BadArgument | None:
    """What can never be right about it."""
    if not 1 <= len(cart.token) <= 64 or not cart.token.isprintable():
        return BadArgument("The token must be 1 to 64 printable characters.")
    if cart.coupon < 0:
        return BadArgument("A coupon is 0 or more.")
    return _wrong_lines(cart.lines)


def _outcome(rows: Sequence[AnyRow]) -> Placed | Refusal | None:
    """What has become of the cart that these are the lines of."""
    if rows[0].cart_refusal == "not open":
        opens_at = rows[0].opens_at.astimezone(SHANGHAI)
        return WrongState(f"The store is not open now: order from {opens_at:%Y-%m-%d %H:%M} on (Asia/Shanghai).")
    if rows[0].cart_refusal is not None:
        return _NO_STORE if rows[0].cart_refusal == "no store" else _NO_ADDRESS
    problems: dict[str, list[LineProblem]] = {}
    for row in rows:
        if row.refusal:
            problems.setdefault(row.refusal, []).append(LineProblem(row.line_no, row.stock or 0, row.unit_price or 0))
    if lines := problems.get("not offered"):
        return NotOnOffer(f"{_lines(lines)}: the store does not sell it any more. Take it out.", tuple(lines))
    if lines := problems.get("other price"):
        return PriceChanged(f"{_lines(lines)}: the price has changed. Look at it again.", tuple(lines))
    if lines := problems.get("out of stock"):
        return OutOfStock(f"{_lines(lines)}: fewer are left than asked for. Take fewer.", tuple(lines))
    return None if rows[0].id is None else Placed(rows[0].branch_id, rows[0].id, rows[0].order_no, rows[0].amount)


def _lines(problems: Sequence[LineProblem]) -> str:
    return f"Line{'s' * (len(problems) > 1)} {', '.join(str(it.line_no) for it in problems)}"


async def _placed_before(session: AsyncSession, rows: Sequence[AnyRow]) -> dict[int, Placed]:
    """The orders that tokens stand for already, by their ids."""
    if not rows:
        return {}
    orders = OrderBatch.of((row.placed_branch_id, row.placed_id) for row in rows)
    found = await session.execute(statements("placing")["placed_before"], orders._asdict())
    return {row.id: Placed(*row) for row in found}


_NO_STORE = NotFound("There is no such open store.")
_NO_ADDRESS = NotFound("There is no such address of yours: save it first.")
