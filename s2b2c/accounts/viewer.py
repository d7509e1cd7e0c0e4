"""Who is asking: the account that a token stands for."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, bindparam, func, null, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.accounts.tokens import Claims, claims_of, signed
from s2b2c.errors import BadArgument, Refused, Unauthenticated
from s2b2c.models import Account, Brand, Customer, Distributor, Membership, Session


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is asking: one role, of a brand, a distributor or a customer where the role has one, and that one's name."""

    account_id: int
    role: str
    brand_id: int | None = None
    distributor_id: int | None = None
    name: str | None = None
    state: str | None = None
    """Of the distributor."""
    customer_id: int | None = None
    session_id: int | None = None
    """None for a guest, and for a token of the command line."""
    person_id: int | None = None


_NAMED_BY = {"brand": "brand", "distributor": "distributor", "customer": "customer", "finance": None, "operator": None}
"""What a token of each role names."""


async def issue_token(
    session: AsyncSession,
    *,
    role: str,
    brand: str | None = None,
    distributor: str | None = None,
    customer: str | None = None,
    secret: str,
    lifetime: timedelta,
) -> str:
    """A signed token for the account of this role, made when it is not there yet.

    `brand` is a name and belongs to the role brand, `distributor` is a code and belongs to the role distributor,
    `customer` is a reference and belongs to the role customer. Raises Refused(BadArgument).
    """
    named = {"brand": brand, "distributor": distributor, "customer": customer}
    if role not in _NAMED_BY:
        raise Refused(BadArgument(f"There is no role {role}: it is one of {', '.join(_NAMED_BY)}."))
    if {name for name, value in named.items() if value is not None} != {_NAMED_BY[role]} - {None}:
        raise Refused(
            BadArgument(
                f"The role {role} does not go with this: a brand's token names a brand, a distributor's token names a "
                "distributor, a customer's token names a customer, any other token names none."
            )
        )
    brand_id = distributor_id = customer_id = None
    if brand is not None:
        brand_id = await session.scalar(select(Brand.id).where(Brand.name == brand))
        if brand_id is None:
            raise Refused(BadArgument(f"No brand is named {brand}."))
    if distributor is not None:
        distributor_id = await session.scalar(select(Distributor.id).where(Distributor.code == distributor))
        if distributor_id is None:
            raise Refused(BadArgument(f"No distributor has the code {distributor}."))
    if customer is not None:
        customer_id = await session.scalar(select(Customer.id).where(Customer.ref == customer))
        if customer_id is None:
            raise Refused(BadArgument(f"No customer has the reference {customer}."))
    account_id = await account_of(session, role, brand_id, distributor_id, customer_id)
    return signed(Claims(account_id), secret, now=datetime.now(UTC), lifetime=lifetime)


async def guest(session: AsyncSession, secret: str, now: datetime, lifetime: timedelta) -> str:
    """A token for a customer whom nobody knows yet, made with its account; whoever holds it is that customer, until
    somebody signs in with it and is that customer from then on."""
    account_id = await new_customer(session)
    return signed(Claims(account_id, is_guest=True), secret, now=now, lifetime=lifetime)


async def new_customer(session: AsyncSession) -> int:
    """The account of a customer that was not there before."""
    customer = Customer(ref=f"guest-{secrets.token_urlsafe(16)}")
    session.add(customer)
    await session.flush()
    account = Account(role="customer", customer_id=customer.id)
    session.add(account)
    await session.flush()
    return account.id


async def account_of(
    session: AsyncSession,
    role: str,
    brand_id: int | None = None,
    distributor_id: int | None = None,
    customer_id: int | None = None,
) -> int:
    """The account of a role, made when it is not there yet."""
    whose = {"brand_id": brand_id, "distributor_id": distributor_id, "customer_id": customer_id}
    made: int | None = await session.scalar(
        insert(Account).values(role=role, **whose).on_conflict_do_nothing().returning(Account.id)
    )
    if made is not None:
        return made
    return (
        await session.scalars(
            select(Account.id).where(
                Account.role == role,
                *(getattr(Account, column).is_not_distinct_from(value) for column, value in whose.items()),
            )
        )
    ).one()


def _viewer(session_id: Any, person_id: Any) -> Select[*tuple[Any, ...]]:
    columns: list[Any] = [
        Account.id,
        Account.role,
        Account.brand_id,
        Account.distributor_id,
        func.coalesce(Brand.name, Distributor.name),
        Distributor.state,
        Account.customer_id,
        session_id,
        person_id,
    ]
    return (
        select(*columns)
        .outerjoin(Brand, Brand.id == Account.brand_id)
        .outerjoin(Distributor, Distributor.id == Account.distributor_id)
        .where(Account.id == bindparam("account_id"))
    )


# Built once: every request asks one of them.
IS_ERASED = select(Customer.id).where(Customer.id == Account.customer_id, Customer.erased_at.is_not(None)).exists()
_NAMED = _viewer(null(), null()).where(~IS_ERASED)
_GUEST = _NAMED.where(~select(Membership.person_id).where(Membership.account_id == Account.id).exists())
_SIGNED_IN = (
    _viewer(Session.id, Session.person_id)
    .join(Session, Session.id == bindparam("session_id"))
    .join(Membership, (Membership.person_id == Session.person_id) & (Membership.account_id == Account.id))
    .where(Session.ended_at.is_(None))
)


async def viewer_of(session: AsyncSession, token: str, secret: str, now: datetime) -> Viewer:
    """The account a token was issued for; one whose session or membership has ended stands for nobody.

    Raises Refused(Unauthenticated).
    """
    claims = claims_of(token, secret, now)
    query = _GUEST if claims.is_guest else _NAMED if claims.session_id is None else _SIGNED_IN
    found = await session.execute(query, {"account_id": claims.account_id, "session_id": claims.session_id})
    if (row := found.one_or_none()) is None:
        raise Refused(Unauthenticated("Whom this token was issued for is not signed in any more: sign in again."))
    return Viewer(*row)
