"""Brands ship what they owe of an order, in as many parcels as they like; the last one ships the order."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.config import settings
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.models import OrderBatch
from s2b2c.sql import statements


class Parcel(NamedTuple):
    """Units of the lines of a supply order, by line number; without any all that is left of it."""

    branch_id: int
    supply_order_id: int
    carrier: str
    tracking_no: str
    quantities: Mapping[int, int] = {}


async def ship(session: AsyncSession, parcels: Sequence[Parcel], *, brand_id: int, now: datetime) -> int:
    """Parcels that have left. Returns how many are new: one that is told again changes nothing.

    Raises Refused, and nothing of the call is done: NotFound for a supply order that is not this brand's, WrongState
    for one that is not paid or has not so many units left, BadArgument for what can never be right.
    """
    _check(parcels)
    asked = {
        "branch_ids": [it.branch_id for it in parcels],
        "supply_order_ids": [it.supply_order_id for it in parcels],
    }
    locked = (await session.execute(statements("shipping")["lock"], {**asked, "brand_id": brand_id})).all()
    found = {(row.branch_id, row.id): row for row in locked}
    if len(found) < len(parcels):
        raise Refused(NotFound("One of these supply orders is not yours, or not there."))
    labels = {"carriers": [it.carrier for it in parcels], "tracking_nos": [it.tracking_no for it in parcels]}
    known = {tuple(row) for row in await session.execute(statements("shipping")["known"], {**asked, **labels})}
    new = [it for it in parcels if (it.branch_id, it.supply_order_id) not in known]
    for it in new:
        row = found[it.branch_id, it.supply_order_id]
        if row.state != "paid" or row.shipped_at is not None:
            raise Refused(WrongState(f"Nothing of order {row.order_no} waits to be shipped by you: it is {row.state}."))
    if new:
        await _write(session, new, now)
        orders = {(it.branch_id, found[it.branch_id, it.supply_order_id].order_id) for it in new}
        await close(session, OrderBatch.of(sorted(orders)))
    return len(new)


async def _write(session: AsyncSession, parcels: Sequence[Parcel], now: datetime) -> None:
    named = [(n, *line) for n, it in enumerate(parcels, start=1) for line in it.quantities.items()]
    wrong = await session.execute(
        statements("shipping")["ship"],
        {
            "branch_ids": [it.branch_id for it in parcels],
            "supply_order_ids": [it.supply_order_id for it in parcels],
            "carriers": [it.carrier for it in parcels],
            "tracking_nos": [it.tracking_no for it in parcels],
            "ns": [n for n, _, _ in named],
            "line_nos": [line_no for _, line_no, _ in named],
            "quantities": [quantity for _, _, quantity in named],
            "now": now,
        },
    )
    for row in wrong:
        number = parcels[row.n - 1].tracking_no
        raise Refused(
            WrongState(f"Parcel {number}: line {row.line_no} has {row.units} units left to ship, not {row.quantity}.")
        )


async def close(session: AsyncSession, orders: OrderBatch) -> None:
    """Orders of which no unit is left to ship are shipped, with their last parcel: after a parcel, after a refund."""
    days = {"receive_days": settings().receive_days}
    await session.execute(statements("shipping")["close"], {**orders._asdict(), **days})


def _check(parcels: Sequence[Parcel]) -> None:
    """Raises Refused(BadArgument) for what can never be right."""
    if not 1 <= len(parcels) <= 100:
        raise Refused(BadArgument("Tell 1 to 100 parcels at once."))
    if len({(it.branch_id, it.supply_order_id) for it in parcels}) < len(parcels):
        raise Refused(BadArgument("Two parcels of one supply order: tell them one after the other."))
    for it in parcels:
        for what, value in (("carrier", it.carrier), ("tracking number", it.tracking_no)):
            if not 1 <= len(value) <= 64 or not value.isprintable() or value.isspace():
                raise Refused(BadArgument(f"The {what} must be 1 to 64 printable characters, not all of them blank."))
        for line_no, quantity in it.quantities.items():
            if quantity < 1:
                raise Refused(BadArgument(f"Parcel {it.tracking_no}, line {line_no}: {quantity} is not above 0."))
