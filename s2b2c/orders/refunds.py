"""Refunds: what goes back to the customer, and what everybody gives back for it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import commissions, ledger, models
from s2b2c.errors import AlreadyTaken, BadArgument, NotFound, Refused, WrongState
from s2b2c.models import OrderBatch, RefundBatch
from s2b2c.orders.shipping import close
from s2b2c.sql import statements


class RefundedLine(NamedTuple):
    """What goes back to the customer of one line: some units, an amount in fen, or (neither named) all that is left."""

    line_no: int
    quantity: int | None = None
    amount: int | None = None
    goods_back: bool = False
    """The units were not shipped, or came back: the brand gives back their supply."""
    brand_amount: int = 0
    """Of an amount: what the brand bears, in fen, since it is the brand's fault."""


class Refund(NamedTuple):
    """`reference` is what whoever asks calls it; never used for another one. `freight` is fen of shipping."""

    branch_id: int
    order_id: int
    reference: str
    refunded_at: datetime
    lines: Sequence[RefundedLine]
    freight: int = 0


async def refund(session: AsyncSession, refunds: Sequence[Refund]) -> int:
    """Succeeded refunds, in any state of their orders: commissions, brand and platform give back their parts.

    Of `u` units, `done` before: `paid * (done + u) // quantity - paid * done // quantity`, at most what is left, and
    all that is left with the last unit. A refund that comes before the payment waits for it; the payment still freezes
    and accrues the whole. Returns how many are new: a reference that arrives again changes nothing.

    Raises Refused, and nothing of the call is done: NotFound for an order or a line that is not there, BadArgument for
    numbers that can never be right, WrongState for more than is left or a cancelled order, AlreadyTaken for a reference
    of another order.
    """
    for it in refunds:
        _check(it)
    orders = {(it.branch_id, it.order_id) for it in refunds}
    found = await session.execute(statements("refunds")["lock"], OrderBatch.of(sorted(orders))._asdict())
    states = {(row.branch_id, row.id): row.state for row in found}
    for it in refunds:
        if (state := states.get((it.branch_id, it.order_id))) is None:
            raise Refused(NotFound(f"There is no order for refund {it.reference}."))
        if state == "cancelled":
            raise Refused(WrongState(f"The order of refund {it.reference} was cancelled before it was paid."))
    names = {"names": [it.reference for it in refunds], "branch_ids": [it.branch_id for it in refunds]}
    claimed = await session.execute(statements("refunds")["claim"], names)
    ids = {row.name: row.event_id for row in claimed}
    new: dict[int, Refund] = {}
    for it in refunds:
        if it.reference in ids:
            new.setdefault(ids[it.reference], it)
    if new:
        await _record(session, new)
    await _refuse_other_orders(session, [it for it in refunds if new.get(ids.get(it.reference, 0)) is not it])
    return len(new)


def _check(refund: Refund) -> None:
    """Raises Refused(BadArgument) for what can never be right."""
    where = f"Refund {refund.reference}"
    if refund.freight < 0:
        raise Refused(BadArgument(f"{where}: freight is 0 or more."))
    if not refund.lines and not refund.freight:
        raise Refused(BadArgument(f"{where} has no line."))
    if len({line.line_no for line in refund.lines}) < len(refund.lines):
        raise Refused(BadArgument(f"{where} names a line twice."))
    for line in refund.lines:
        at = f"{where}, line {line.line_no}"
        if line.quantity is not None and line.amount is not None:
            raise Refused(BadArgument(f"{at}: name units or an amount, not both."))
        for number in (line.quantity, line.amount):
            if number is not None and number <= 0:
                raise Refused(BadArgument(f"{at}: {number} is not above 0."))
        if line.brand_amount < 0 or (line.brand_amount and line.amount is None):
            raise Refused(BadArgument(f"{at}: what a brand bears is 0 or more, and goes with an amount."))


async def _refuse_other_orders(session: AsyncSession, again: Sequence[Refund]) -> None:
    """Raises Refused(AlreadyTaken) when one of the references that came before stands for another order."""
    if not again:
        return
    known = await session.execute(
        select(models.Refund.reference, models.Refund.branch_id, models.Refund.order_id)
        .join(
            models.Claim,
            (models.Claim.branch_id == models.Refund.branch_id) & (models.Claim.event_id == models.Refund.id),
        )
        .where(models.Claim.kind == "refund", models.Claim.name.in_([it.reference for it in again]))
    )
    orders = {reference: (branch_id, order_id) for reference, branch_id, order_id in known}
    for it in again:
        if orders.get(it.reference, (it.branch_id, it.order_id)) != (it.branch_id, it.order_id):
            raise Refused(AlreadyTaken(f"The reference {it.reference} is of a refund of another order."))


async def _record(session: AsyncSession, new: dict[int, Refund]) -> None:
    """Write refunds by their ids, and what those of paid orders do."""
    heads = {
        "branch_ids": [it.branch_id for it in new.values()],
        "ids": list(new),
        "order_ids": [it.order_id for it in new.values()],
        "names": [it.reference for it in new.values()],
        "times": [it.refunded_at for it in new.values()],
        "freights": [it.freight for it in new.values()],
    }
    recorded = (await session.execute(statements("refunds")["record"], heads)).all()
    lines = [(refund_id, it, line) for refund_id, it in new.items() for line in it.lines]
    asked = {
        "branch_ids": [it.branch_id for _, it, _ in lines],
        "ids": [refund_id for refund_id, _, _ in lines],
        "order_ids": [it.order_id for _, it, _ in lines],
        "line_nos": [line.line_no for _, _, line in lines],
        "quantities": [line.quantity for _, _, line in lines],
        "amounts": [line.amount for _, _, line in lines],
        "goods_back": [line.goods_back for _, _, line in lines],
        "brand_amounts": [line.brand_amount for _, _, line in lines],
    }
    for wrong in await session.execute(statements("refunds")["record_lines"], asked):
        where = f"Refund {new[wrong.refund_id].reference}, line {wrong.line_no}"
        if wrong.is_unknown:
            raise Refused(NotFound(f"{where}: the order has no such line."))
        left = f"{wrong.units_left} units, {wrong.amount_left} fen and {wrong.supply_left} fen of supply"
        raise Refused(WrongState(f"{where}: more than is left. Before this call: {left}."))
    if any(it.freight for it in new.values()):
        orders = {(it.branch_id, it.order_id) for it in new.values()}
        for wrong in await session.execute(statements("refunds")["freight_left"], OrderBatch.of(orders)._asdict()):
            where = next(
                it.reference for it in new.values() if (it.branch_id, it.order_id) == (wrong.branch_id, wrong.id)
            )
            raise Refused(WrongState(f"Refund {where}: {wrong.over} fen of freight more than was paid and is left."))
    await apply(session, ((row.branch_id, row.id) for row in recorded if row.state == "applied"))
    await close(session, OrderBatch.of(sorted({(it.branch_id, it.order_id) for it in new.values()})))


async def spread(session: AsyncSession, refund: Refund, amount: int) -> Refund:
    """This refund with the fen that went back and that nobody said of what: over the lines by cumulative floor of what
    is left of each, then over freight, as far as any is left. The caller has locked the order.
    """
    rows = await session.execute(statements("refunds")["left"], OrderBatch.of([refund[:2]])._asdict())
    left = [(line_no, fen) for line_no, fen in rows]
    freight = sum(fen for line_no, fen in left if line_no == 0)
    goods = [(line_no, fen) for line_no, fen in left if line_no > 0 and fen > 0]
    whole = sum(fen for _, fen in goods)
    of_goods = min(amount, whole)
    lines, up_to = [], 0
    for line_no, fen in goods:
        part = of_goods * (up_to + fen) // whole - of_goods * up_to // whole
        up_to += fen
        if part:
            lines.append(RefundedLine(line_no, amount=part))
    return refund._replace(lines=lines, freight=min(amount - of_goods, freight))


async def reverse_refunds(session: AsyncSession, reversals: Sequence[tuple[str, datetime]]) -> int:
    """Refunds that did not hold (sent back by the bank, a dispute won), by reference: all is as if they had not been.

    Returns how many are new: a reversal that arrives again changes nothing. Raises Refused(NotFound) for a reference
    that no refund has, and nothing of the call is done.
    """
    claims = await session.execute(
        select(models.Claim.name, models.Refund.branch_id, models.Refund.id, models.Refund.order_id)
        .join(
            models.Refund,
            (models.Claim.branch_id == models.Refund.branch_id) & (models.Claim.event_id == models.Refund.id),
        )
        .where(models.Claim.kind == "refund", models.Claim.name.in_([reference for reference, _ in reversals]))
    )
    known = {name: key for name, *key in claims}
    for reference, _ in reversals:
        if reference not in known:
            raise Refused(NotFound(f"There is no refund {reference}."))
    orders = sorted({(branch_id, order_id) for branch_id, _, order_id in known.values()})
    await session.execute(statements("refunds")["lock"], OrderBatch.of(orders)._asdict())
    asked = {
        "branch_ids": [known[reference][0] for reference, _ in reversals],
        "ids": [known[reference][1] for reference, _ in reversals],
        "times": [time for _, time in reversals],
    }
    new = (await session.execute(statements("refunds")["reverse"], asked)).all()
    if new:
        batch = RefundBatch.of((row.branch_id, row.id) for row in new)
        await session.execute(statements("refunds")["reverse_lines"], batch._asdict())
        await apply(session, ((row.branch_id, row.id) for row in new if row.state == "applied"))
    return len(new)


async def apply(session: AsyncSession, refunds: Iterable[tuple[int, int]]) -> None:
    """What refunds of paid orders do: to the commissions, the lines and the ledger."""
    batch = RefundBatch.of(refunds)
    if not batch.refund_ids:
        return
    await commissions.claw_back(session, batch)
    await session.execute(statements("refunds")["total_lines"], batch._asdict())
    await ledger.post_refunds(session, batch)
    await ledger.post_returns(session, batch)
