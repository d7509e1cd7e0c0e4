"""All that we hold of a person (PIPL Art. 45), page by page: however much it is, a page of it is in memory."""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import crypto
from s2b2c.atomic import replacing
from s2b2c.db import Database, page
from s2b2c.models import (
    Account,
    Address,
    Binding,
    Brand,
    Customer,
    Distributor,
    Identity,
    Invitation,
    Membership,
    Order,
    OrderAddress,
    OrderLine,
    Payee,
    Person,
    PersonalRead,
    Product,
    RefundRequest,
    RefusedTouch,
    Seat,
    SeatApplication,
    Session,
    Store,
    Variant,
)
from s2b2c.models.privacy import KINDS
from s2b2c.privacy.trail import Read, Reader, record

_AT_ONCE = 500

Facts: TypeAlias = dict[str, Any]
Numbered: TypeAlias = list[tuple[int, Facts]]


class Holder(NamedTuple):
    """Whose data it is: a person, the customer that it is, and the distributors and brands that it alone acts for."""

    person_id: int
    customer_id: int | None
    distributor_ids: Sequence[int]
    brand_ids: Sequence[int]


class Record(NamedTuple):
    """Something that we hold; `place` is (section, id), in which order it comes."""

    kind: str
    place: tuple[int, int]
    facts: Facts
    shows: frozenset[str]
    """Which of `models.privacy.KINDS` stand in it."""


async def holder_of(session: AsyncSession, person_id: int) -> Holder:
    others = (
        select(Membership.person_id)
        .where(Membership.account_id == Account.id, Membership.person_id != person_id)
        .correlate(Account)
    )
    held = (
        await session.execute(
            select(Account.customer_id, Account.distributor_id, Account.brand_id, others.exists().label("is_shared"))
            .join(Membership, Membership.account_id == Account.id)
            .where(Membership.person_id == person_id)
            .order_by(Account.id)
        )
    ).all()
    customer_id = next((row.customer_id for row in held if row.customer_id is not None), None)
    alone = [row for row in held if not row.is_shared]
    return Holder(
        person_id,
        customer_id,
        [row.distributor_id for row in alone if row.distributor_id is not None],
        [row.brand_id for row in alone if row.brand_id is not None],
    )


async def holdings(session: AsyncSession, holder: Holder, *, after: tuple[int, ...] | None, limit: int) -> list[Record]:
    """What we hold of somebody, `limit` records behind the place `after`."""
    start, behind = after or (0, 0)
    found: list[Record] = []
    for section, (kind, held) in enumerate(_SECTIONS.items()):
        if section < start or len(found) == limit:
            continue
        rows = await held(session, holder, behind if section == start else 0, limit - len(found))
        found += [Record(kind, (section, number), facts, _shown(facts)) for number, facts in rows]
    return found


async def write_holdings(db: Database, person_id: int, out: Path, *, reader: Reader, at: datetime) -> int:
    """Write all of it into one JSON file, which its owner alone may read: how many records. The file takes its place
    once it stands in the trail that somebody has it. Raises OSError."""
    count, kinds, after = 0, set[str](), None
    with replacing(out, mode=0o600) as file:
        async with db.write() as session:
            holder = await holder_of(session, person_id)
            file.write(f'{{"at": "{at.isoformat()}", "records": ['.encode())
            while found := await holdings(session, holder, after=after, limit=_AT_ONCE):
                for it in found:
                    text = as_json({"record": it.kind} | it.facts)
                    file.write(f"{',' if count else ''}\n{text}".encode())
                    count += 1
                    kinds |= it.shows
                after = found[-1].place
            file.write(b"\n]}\n")
            await record(session, reader, "export", [Read(kinds, holder.customer_id, person_id)], at=at)
    return count


def as_json(facts: Facts) -> str:
    return json.dumps(facts, ensure_ascii=False, default=datetime.isoformat)


def _shown(facts: Facts) -> frozenset[str]:
    address = facts.get("address") or {}
    named = {*facts, *address, facts.get("kind")}
    return frozenset(named & set(KINDS))


async def _person(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    if after or not limit:
        return []
    person = await session.get_one(Person, holder.person_id)
    customer = None if holder.customer_id is None else await session.get_one(Customer, holder.customer_id)
    return [
        (
            1,
            {
                "since": person.created_at,
                "has_password": person.password_hash is not None,
                "customer_ref": customer and customer.ref,
                "customer_since": customer and customer.created_at,
            },
        )
    ]


async def _identities(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    query = (
        select(Identity)
        .where(Identity.person_id == holder.person_id)
        .order_by(Identity.created_at, Identity.fingerprint)
    )
    rows = (await session.scalars(query.offset(after).limit(limit))).all()
    return [
        (number, {"kind": it.kind, "value": crypto.keys().open(it.sealed, it.kind), "since": it.created_at})
        for number, it in enumerate(rows, start=after + 1)
    ]


async def _memberships(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    name = func.coalesce(Brand.name, Distributor.name).label("name")
    query: Select[*tuple[Any, ...]] = (
        select(Membership.role, name, Membership.created_at.label("since"))
        .join(Account, Account.id == Membership.account_id)
        .outerjoin(Brand, Brand.id == Account.brand_id)
        .outerjoin(Distributor, Distributor.id == Account.distributor_id)
        .where(Membership.person_id == holder.person_id)
    )
    return await _rows(session, query, Membership.account_id, after, limit)


async def _sessions(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    query: Select[*tuple[Any, ...]] = select(
        Session.method, Session.started_at, Session.expires_at, Session.ended_at, Session.end_reason
    ).where(Session.person_id == holder.person_id)
    return await _rows(session, query, Session.id, after, limit)


async def _invitations(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    phones = select(Identity.fingerprint).where(Identity.person_id == holder.person_id, Identity.kind == "phone")
    query = (
        select(Account.role, Invitation.created_at, Invitation.expires_at, Invitation.accepted_at)
        .join(Account, Account.id == Invitation.account_id)
        .where(or_(Invitation.phone.in_(phones), Invitation.accepted_by == holder.person_id))
        .order_by(Invitation.created_at, Invitation.digest)
    )
    rows = (await session.execute(query.offset(after).limit(limit))).mappings()
    return [(number, dict(row)) for number, row in enumerate(rows, start=after + 1)]


async def _addresses(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    query: Select[*tuple[Any, ...]] = (
        select(Address.recipient, Address.phone, Address.region, Address.street)
        .add_columns(Address.is_default, Address.removed_at)
        .where(Address.customer_id == holder.customer_id)
    )
    return await _rows(session, query, Address.id, after, limit)


async def _orders(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    query: Select[*tuple[Any, ...]] = (
        select(Order.id, Order.order_no, Order.state, Store.slug.label("store"), Order.freight)
        .add_columns(Order.placed_at, Order.paid_at, Order.shipped_at, Order.received_at)
        .add_columns(Order.completed_at, Order.cancelled_at)
        .add_columns(OrderAddress.recipient, OrderAddress.phone, OrderAddress.region, OrderAddress.street)
        .join(Store, Store.id == Order.store_id)
        .outerjoin(OrderAddress, _same_order(OrderAddress))
        .where(Order.customer_id == holder.customer_id)
    )
    found = await session.execute(page(query, (Order.id, "up"), after=(after,), limit=limit))
    rows = [dict(row) for row in found.mappings()]
    if not rows:
        return []
    # The ids of orders are of one sequence, so they name an order without its branch.
    chosen = and_(Order.customer_id == holder.customer_id, Order.id.in_([row["id"] for row in rows]))
    lines = await _of_orders(
        session,
        select(Order.id, OrderLine.line_no, Product.title, Variant.sku, OrderLine.quantity, OrderLine.unit_price)
        .add_columns(OrderLine.discount, OrderLine.paid, OrderLine.refunded)
        .join(OrderLine, _same_order(OrderLine))
        .join(Variant, Variant.id == OrderLine.variant_id)
        .join(Product, Product.id == OrderLine.product_id)
        .where(chosen)
        .order_by(Order.id, OrderLine.line_no),
    )
    refunds = await _of_orders(
        session,
        select(Order.id, RefundRequest.amount, RefundRequest.state, RefundRequest.reason, RefundRequest.requested_at)
        .join(RefundRequest, _same_order(RefundRequest))
        .where(chosen)
        .order_by(Order.id, RefundRequest.id),
    )
    held = []
    for row in rows:
        number = row.pop("id")
        address = {name: row.pop(name) for name in ("recipient", "phone", "region", "street")}
        row["address"] = address if address["street"] is not None else None
        held.append((number, row | {"lines": lines[number], "refunds": refunds[number]}))
    return held


def _same_order(other: Any) -> ColumnElement[bool]:
    return and_(other.branch_id == Order.branch_id, other.order_id == Order.id)


async def _of_orders(session: AsyncSession, query: Select[*tuple[Any, ...]]) -> dict[int, list[Facts]]:
    """The other columns of rows, by the id of their order, which is the first."""
    found: dict[int, list[Facts]] = defaultdict(list)
    for row in (await session.execute(query)).mappings():
        facts = dict(row)
        found[facts.pop("id")].append(facts)
    return found


async def _bindings(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    query: Select[*tuple[Any, ...]] = (
        select(Distributor.code.label("distributor"), Binding.policy, Binding.protected_until)
        .add_columns(func.lower(Binding.during).label("since"), func.upper(Binding.during).label("until"))
        .join(Distributor, Distributor.id == Binding.distributor_id)
        .where(Binding.customer_id == holder.customer_id)
    )
    return await _rows(session, query, Binding.id, after, limit)


async def _refused_touches(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    query: Select[*tuple[Any, ...]] = (
        select(RefusedTouch.at, Store.slug.label("store"))
        .join(Store, Store.id == RefusedTouch.store_id)
        .where(RefusedTouch.customer_id == holder.customer_id)
    )
    return await _rows(session, query, RefusedTouch.id, after, limit)


async def _payees(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    query: Select[*tuple[Any, ...]] = select(
        Payee.legal_name, Payee.identity_number, Payee.bank_name, Payee.bank_account, Payee.updated_at
    ).where(or_(Payee.distributor_id.in_(holder.distributor_ids), Payee.brand_id.in_(holder.brand_ids)))
    return await _rows(session, query, Payee.id, after, limit)


async def _applications(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    """What it told of itself to become a distributor, what was found out of it, and what came of that."""
    it = SeatApplication
    query: Select[*tuple[Any, ...]] = (
        select(it.legal_name, it.region, it.introduction, it.experience_months, it.audience, it.declared_output)
        .add_columns(it.verified_experience_months, it.verified_audience, it.verified_output, it.review, it.state)
        .add_columns(it.submitted_at, it.decided_at, it.reason, Seat.region.label("seat_region"))
        .join(Seat, Seat.id == it.seat_id)
        .where(it.person_id == holder.person_id)
    )
    return await _rows(session, query, it.id, after, limit)


async def _reads(session: AsyncSession, holder: Holder, after: int, limit: int) -> Numbered:
    """Who looked: in which role, not as whom."""
    query: Select[*tuple[Any, ...]] = (
        select(PersonalRead.at, Account.role, PersonalRead.purpose, PersonalRead.kinds)
        .outerjoin(Account, Account.id == PersonalRead.account_id)
        .where(
            or_(
                PersonalRead.person_id == holder.person_id,
                PersonalRead.customer_id == holder.customer_id,
                PersonalRead.distributor_id.in_(holder.distributor_ids),
            )
        )
    )
    return await _rows(session, query, PersonalRead.id, after, limit)


async def _rows(
    session: AsyncSession, query: Select[*tuple[Any, ...]], number: Any, after: int, limit: int
) -> Numbered:
    """Rows behind a number, without it."""
    rows = await session.execute(
        page(query.add_columns(number.label("n")), (number, "up"), after=(after,), limit=limit)
    )
    held = [dict(row) for row in rows.mappings()]
    return [(facts.pop("n"), facts) for facts in held]


_SECTIONS: dict[str, Callable[[AsyncSession, Holder, int, int], Awaitable[Numbered]]] = {
    "person": _person,
    "identity": _identities,
    "membership": _memberships,
    "session": _sessions,
    "invitation": _invitations,
    "address": _addresses,
    "order": _orders,
    "binding": _bindings,
    "refused_touch": _refused_touches,
    "payee": _payees,
    "read": _reads,
    "application": _applications,
}
"""By what a record is of, in the order in which they come: places of records stand in cursors."""
