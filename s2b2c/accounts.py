"""People, their tokens, and who is asking."""

import os
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.config import settings, state_dir
from s2b2c.errors import BadArgument, Refused, Unauthenticated
from s2b2c.models import Account, Brand, Customer, Distributor

ISSUER = "s2b2c"
ALGORITHM = "HS256"
MIN_SECRET_LENGTH = 32
MAX_TOKEN_LENGTH = 4096


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
    account_id = await _account(session, role, brand_id, distributor_id, customer_id)
    return _signed(account_id, secret, lifetime)


async def guest(session: AsyncSession, secret: str, lifetime: timedelta) -> str:
    """A token for a customer whom nobody knows yet, made with its account; whoever holds it is that customer."""
    customer = Customer(ref=f"guest-{secrets.token_urlsafe(16)}")
    session.add(customer)
    await session.flush()
    account = Account(role="customer", customer_id=customer.id)
    session.add(account)
    await session.flush()
    return _signed(account.id, secret, lifetime)


def _signed(account_id: int, secret: str, lifetime: timedelta) -> str:
    now = datetime.now(UTC)
    return jwt.encode(
        {"iss": ISSUER, "sub": str(account_id), "iat": now, "exp": now + lifetime}, secret, algorithm=ALGORITHM
    )


async def _account(
    session: AsyncSession, role: str, brand_id: int | None, distributor_id: int | None, customer_id: int | None
) -> int:
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


_VIEWER = (  # built once: every request asks it
    select(
        Account.id,
        Account.role,
        Account.brand_id,
        Account.distributor_id,
        func.coalesce(Brand.name, Distributor.name),
        Distributor.state,
        Account.customer_id,
    )
    .outerjoin(Brand, Brand.id == Account.brand_id)
    .outerjoin(Distributor, Distributor.id == Account.distributor_id)
    .where(Account.id == bindparam("account_id"))
)


async def viewer_of(session: AsyncSession, token: str, secret: str, now: datetime) -> Viewer:
    """The account a token was issued for. Raises Refused(Unauthenticated)."""
    found = await session.execute(_VIEWER, {"account_id": _account_id(token, secret, now)})
    if (row := found.one_or_none()) is None:
        raise _not_ours()
    return Viewer(*row)


def _account_id(token: str, secret: str, now: datetime) -> int:
    if len(token) > MAX_TOKEN_LENGTH:
        raise _not_ours()
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            # The caller's clock decides below, not this machine's.
            options={"require": ["iss", "sub", "iat", "exp"], "verify_exp": False, "verify_iat": False},
        )
        account_id, expires = int(claims["sub"]), int(claims["exp"])
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
        raise _not_ours() from None
    if now.timestamp() >= expires:
        raise Refused(Unauthenticated("The token has expired: get a new one with `s2b2c token`."))
    return account_id


def _not_ours() -> Refused:
    return Refused(Unauthenticated("The token was not issued here: get one with `s2b2c token`."))


def token_secret() -> str:
    """What signs the tokens: the setting, or a random one made once and kept, readable by its owner only.

    Raises ValueError when the setting is too short to be a secret.
    """
    if given := settings().token_secret:
        if len(given.get_secret_value()) < MIN_SECRET_LENGTH:
            raise ValueError(f"S2B2C_TOKEN_SECRET must have at least {MIN_SECRET_LENGTH} characters")
        return given.get_secret_value()
    path = state_dir() / "token_secret"
    if not path.is_file():
        _keep(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def _keep(path: Path, secret: str) -> None:
    """Write the file whole or not at all: of two processes the first one's secret stays, and both read that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
