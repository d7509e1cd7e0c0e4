"""Customers, for whoever runs the network and helps them: who it is, never where it lives."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import crypto
from s2b2c.accounts.people import fingerprint, phone_of
from s2b2c.db import AnyRow
from s2b2c.errors import BadArgument, Refused
from s2b2c.models import Account, Address, Claim, Customer, Identity, Membership, Order
from s2b2c.privacy.trail import Read, Reader, record

MIN_REASON, MAX_REASON = 10, 200


class Wanted(NamedTuple):
    """How a customer is named: by exactly one of these."""

    id: int | None = None
    ref: str | None = None
    phone: str | None = None
    order_no: str | None = None


class Found(NamedTuple):
    id: int
    ref: str
    created_at: datetime
    erased_at: datetime | None
    phones: Sequence[str]
    """That it signs in with."""
    addresses: Sequence[AnyRow]
    """Rows of (recipient, phone), of those that it has not removed: 50 at most."""


async def look_up(session: AsyncSession, wanted: Wanted, *, reader: Reader, reason: str, at: datetime) -> Found | None:
    """A customer, with what tells who it is; None when there is none. What is found is written into the trail.

    Raises Refused(BadArgument) for a phone that is none, a reason too short to be one, and nothing or several asked.
    """
    told = reason.strip()
    if not MIN_REASON <= len(told) <= MAX_REASON or not told.isprintable():
        raise Refused(BadArgument(f"The reason must be {MIN_REASON} to {MAX_REASON} printable characters: say why."))
    phones: Select[*tuple[Any, ...]] = (
        select(func.array_agg(aggregate_order_by(Identity.sealed, Identity.created_at, Identity.fingerprint)))
        .join(Membership, Membership.person_id == Identity.person_id)
        .join(Account, Account.id == Membership.account_id)
        .where(Account.customer_id == Customer.id, Identity.kind == "phone")
        .correlate(Customer)
    )
    row = (
        await session.execute(select(Customer, phones.scalar_subquery().label("phones")).where(_named(wanted)))
    ).one_or_none()
    if row is None:
        return None
    customer, sealed = row
    addresses = (
        await session.execute(
            select(Address.recipient, Address.phone)
            .where(Address.customer_id == customer.id, Address.removed_at.is_(None))
            .order_by(Address.id)
        )
    ).all()
    opened = [crypto.keys().open(one, "phone") for one in sealed or ()]
    kinds = {"phone"} if opened or addresses else set()
    kinds |= {"recipient"} if addresses else set()
    await record(session, reader, "support", [Read(kinds, customer_id=customer.id)], at=at, reason=told)
    return Found(customer.id, customer.ref, customer.created_at, customer.erased_at, opened, addresses)


def _named(wanted: Wanted) -> ColumnElement[bool]:
    """Raises Refused(BadArgument)."""
    if sum(one is not None for one in wanted) != 1:
        raise Refused(BadArgument("Name the customer by its id, its ref, its phone or one of its orders: by one."))
    if wanted.phone is not None:
        account = (
            select(Account.customer_id)
            .join(Membership, Membership.account_id == Account.id)
            .join(Identity, Identity.person_id == Membership.person_id)
            .where(Membership.role == "customer", Identity.fingerprint == fingerprint("phone", phone_of(wanted.phone)))
        )
        return Customer.id == account.scalar_subquery()
    typed = wanted.ref if wanted.ref is not None else wanted.order_no
    if typed is None:
        return Customer.id == wanted.id
    if not typed.isprintable():  # no text in PostgreSQL holds a NUL or half a surrogate pair
        raise Refused(BadArgument("This holds a character that no reference and no order number has."))
    if wanted.ref is not None:
        return Customer.ref == typed
    order = (
        select(Order.customer_id)
        .join(Claim, (Claim.branch_id == Order.branch_id) & (Claim.event_id == Order.id))
        .where(Claim.kind == "order_no", Claim.name == typed)
    )
    return Customer.id == order.scalar_subquery()
