"""Customers: where they want their goods, whose customers they are, and what a seller may know of them."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, DateTime, Select, bindparam, cast, func, literal, select, text, true, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.db import AnyRow, page
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.models import Address, Binding, Order, OrderAddress, Product, Store
from s2b2c.network import lock_customer
from s2b2c.sealed import masked

MAX_ADDRESSES = 50
_MAX_LENGTHS = {"recipient": 50, "region": 100, "street": 200}
_PHONE = re.compile(r"\+?[0-9]{7,15}")


class NewAddress(NamedTuple):
    """Where a customer wants its goods, as it typed it."""

    recipient: str
    phone: str
    region: str
    street: str
    is_default: bool = False


async def addresses(
    session: AsyncSession, customer_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[Address]:
    """The addresses of a customer that it has not removed, the first one first; `after` is an (id,)."""
    query = select(Address).where(Address.customer_id == customer_id, Address.removed_at.is_(None))
    return (await session.scalars(page(query, (Address.id, "up"), after=after, limit=limit))).all()


async def save_address(
    session: AsyncSession, customer_id: int, address: NewAddress, *, address_id: int | None = None
) -> Address:
    """Keep a new address, or change one; an order that was placed keeps its own copy.

    The first address of a customer is its default, and at most one is. Raises Refused: BadArgument for what no parcel
    can be sent to, NotFound for an address that is not the customer's, WrongState for more than it may have.
    """
    values = _checked(address)._asdict()
    await lock_customer(session, customer_id)  # so that of two at once one sees the other
    parameters = {"customer_id": customer_id, "most": MAX_ADDRESSES, **values}
    saved: Address | None
    if address_id is None:
        saved = await session.scalar(select(Address).from_statement(_ADD), parameters)
        if saved is None:
            raise Refused(WrongState(f"You have {MAX_ADDRESSES} addresses: change one, or remove one first."))
    else:
        saved = await session.scalar(select(Address).from_statement(_CHANGE), {**parameters, "address_id": address_id})
        if saved is None:
            raise Refused(_NO_ADDRESS)
    return saved


async def remove_address(session: AsyncSession, customer_id: int, address_id: int, now: datetime) -> None:
    """Take an address out of a customer's list. Raises Refused(NotFound)."""
    removed = await session.scalar(
        update(Address)
        .where(Address.id == address_id, Address.customer_id == customer_id, Address.removed_at.is_(None))
        .values(removed_at=now, is_default=False)
        .returning(Address.id)
    )
    if removed is None:
        raise Refused(_NO_ADDRESS)


async def bound_to(session: AsyncSession, customer_id: int, now: datetime) -> AnyRow | None:
    """Whose customer it is, as a customer may know it: a row of (since, until, store), None when it is nobody's.

    The store is the distributor's oldest open one, its id None where it has none; `until` is None for ever.
    """
    store = (
        select(Store.id, Store.slug, Store.title, Store.region)
        .where(Store.distributor_id == Binding.distributor_id, Store.state == "open")
        .order_by(Store.id)
        .limit(1)
        .lateral()
    )
    query: Select[*tuple[Any, ...]] = (
        select(
            func.lower(Binding.during).label("since"),
            func.upper(Binding.during).label("until"),
            Bundle("store", *store.c),
        )
        .outerjoin(store, true())
        .where(Binding.customer_id == customer_id, Binding.during.contains(literal(now, DateTime(timezone=True))))
    )
    return (await session.execute(query)).one_or_none()


async def masked_phones(session: AsyncSession, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """By (distributor_id, customer_id): the masked phone of the newest order that the one sold the other."""
    asked = _asked("distributor_id", "customer_id", pairs)
    newest = (
        select(masked(OrderAddress.phone).label("phone"))
        .join(Order, (Order.branch_id == OrderAddress.branch_id) & (Order.id == OrderAddress.order_id))
        .where(Order.seller_id == asked.c.distributor_id, Order.customer_id == asked.c.customer_id)
        .order_by(Order.id.desc())
        .limit(1)
        .lateral()
    )
    rows = await session.execute(
        select(asked.c.distributor_id, asked.c.customer_id, newest.c.phone).select_from(asked).join(newest, true())
    )
    return {(distributor_id, customer_id): phone for distributor_id, customer_id, phone in rows}


async def touched_places(
    session: AsyncSession, places: Sequence[tuple[int, int | None]]
) -> dict[tuple[int, int | None], AnyRow]:
    """By (store_id, product_id or None): a row of (store, product_title), where a link led to."""
    asked = _asked("store_id", "product_id", places)
    rows = await session.execute(
        select(
            asked.c.store_id,
            asked.c.product_id,
            Bundle("store", Store.id, Store.slug, Store.title, Store.region),
            Product.title.label("product_title"),
        )
        .select_from(asked)
        .join(Store, Store.id == asked.c.store_id)
        .outerjoin(Product, Product.id == asked.c.product_id)
    )
    return {(row.store_id, row.product_id): row for row in rows}


def _asked(first: str, second: str, pairs: Sequence[tuple[int, int | None]]) -> Any:
    """These pairs as a table of two columns."""
    return (
        func.unnest(
            cast([one for one, _ in pairs], ARRAY(BigInteger)), cast([other for _, other in pairs], ARRAY(BigInteger))
        )
        .table_valued(first, second, name="asked")
        .render_derived()
    )


def _checked(address: NewAddress) -> NewAddress:
    """The address without blanks at its ends, its phone in digits. Raises Refused(BadArgument)."""
    found: dict[str, str] = {}
    for name, most in _MAX_LENGTHS.items():
        value = getattr(address, name).strip()
        if not 1 <= len(value) <= most or not value.isprintable():
            raise Refused(BadArgument(f"The {name} must be 1 to {most} printable characters."))
        found[name] = value
    phone = re.sub(r"[ \-]", "", address.phone).removeprefix("+86")
    if not _PHONE.fullmatch(phone):
        raise Refused(BadArgument("The phone must be 7 to 15 digits, with a + before them for one of another country."))
    return NewAddress(**found, phone=phone, is_default=address.is_default)


_NO_ADDRESS = NotFound("There is no such address of yours: read your addresses again.")

_SEALED = [bindparam(name, type_=Address.__table__.c[name].type) for name in ("recipient", "phone", "region", "street")]
_COLUMNS = Address.__table__.columns

# The default that there was is gone before the new one is tested against it: nothing is written before `cleared` is
# counted.
_ADD = (
    text(
        """
    WITH kept AS (
        SELECT count(*) AS number FROM addresses WHERE customer_id = :customer_id AND removed_at IS NULL
    ), cleared AS (
        UPDATE addresses SET is_default = false
        WHERE customer_id = :customer_id AND is_default AND :is_default AND (SELECT number FROM kept) < :most
        RETURNING id
    ), counted AS (
        SELECT count(*) AS number FROM cleared
    )
    INSERT INTO addresses (customer_id, recipient, phone, region, street, is_default)
    SELECT :customer_id, :recipient, :phone, :region, :street, CAST(:is_default AS boolean) OR kept.number = 0
    FROM kept CROSS JOIN counted
    WHERE kept.number < :most
    RETURNING *
    """
    )
    .bindparams(*_SEALED)
    .columns(*_COLUMNS)
)
_CHANGE = (
    text(
        """
    WITH own AS (
        SELECT id FROM addresses WHERE id = :address_id AND customer_id = :customer_id AND removed_at IS NULL
    ), cleared AS (
        UPDATE addresses SET is_default = false
        WHERE customer_id = :customer_id AND is_default AND :is_default AND id <> :address_id
          AND EXISTS (SELECT FROM own)
        RETURNING id
    ), counted AS (
        SELECT count(*) AS number FROM cleared
    )
    UPDATE addresses a
    SET recipient = :recipient, phone = :phone, region = :region, street = :street,
        is_default = :is_default
    FROM own CROSS JOIN counted
    WHERE a.id = own.id
    RETURNING a.*
    """
    )
    .bindparams(*_SEALED)
    .columns(*_COLUMNS)
)
