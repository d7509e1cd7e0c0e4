"""People: what each is known by, and what each may act as."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import BigInteger, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import crypto
from s2b2c.accounts import sessions
from s2b2c.accounts.tokens import claims_of
from s2b2c.accounts.viewer import IS_ERASED, new_customer
from s2b2c.errors import BadArgument, NotFound, Refused, WrongCredentials
from s2b2c.models import Account, Identity, Membership, Person
from s2b2c.sql import statements

_PHONE = re.compile(r"1[3-9][0-9]{9}|\+(?!86)[1-9][0-9]{6,14}", re.ASCII)


def phone_of(typed: str) -> str:
    """A mobile phone as it is known here: 11 digits, or + and digits abroad. Raises Refused(BadArgument)."""
    phone = re.sub(r"[ \-]", "", typed[:40])
    phone = re.sub(r"^(\+|00)86", "", phone)
    if not _PHONE.fullmatch(phone):
        raise Refused(
            BadArgument("The phone must be a mobile phone: 11 digits, or + and digits for one of another country.")
        )
    return phone


def fingerprint(kind: str, value: str) -> bytes:
    return crypto.keys().fingerprint(kind, value)


async def find(session: AsyncSession, kind: str, value: str) -> Person | None:
    return await session.scalar(
        select(Person)
        .join(Identity, Identity.person_id == Person.id)
        .where(Identity.fingerprint == fingerprint(kind, value))
    )


async def person_of(session: AsyncSession, typed_phone: str) -> int:
    """The id of whoever is known by a phone. Raises Refused: BadArgument, NotFound."""
    person = await find(session, "phone", phone_of(typed_phone))
    if person is None:
        raise Refused(NotFound("Nobody is known by this phone."))
    return person.id


async def lock(session: AsyncSession, fingerprints: Collection[bytes]) -> None:
    """Whoever comes with one of these identities waits until this transaction ends, whether somebody has it or not."""
    await session.execute(_ONE_AT_A_TIME, {"fingerprints": list(fingerprints)})


async def find_or_make(session: AsyncSession, known_by: Mapping[str, str], now: datetime) -> int:
    """The id of the person with these identities (kind: value), made when nobody has them; it has all of them then.

    Where they are two people's so far, as WeChat tells late that two ids are one person, the two become one. Only where
    each is a customer, or the later one has a password, they stay two, and the first kind says who it is.
    """
    prints = {fingerprint(kind, value): (kind, value) for kind, value in known_by.items()}
    await lock(session, prints)
    owners: dict[bytes, int] = {
        row.fingerprint: row.person_id
        for row in await session.execute(
            select(Identity.fingerprint, Identity.person_id).where(Identity.fingerprint.in_(prints))
        )
    }
    found = list(dict.fromkeys(owners[one] for one in prints if one in owners))
    if not found:
        person = Person()
        session.add(person)
        await session.flush()
        found = [person.id]
    elif len(found) == 2 and await _merge(session, min(found), max(found), now):
        found = [min(found)]
    values = [
        {"fingerprint": one, "kind": kind, "person_id": found[0], "sealed": crypto.keys().seal(value, kind)}
        for one, (kind, value) in prints.items()
        if one not in owners
    ]
    if values:
        await session.execute(insert(Identity).values(values))
    return found[0]


async def _merge(session: AsyncSession, into: int, person_id: int, now: datetime) -> bool:
    """Give all that a person has to an older one, unless that would lose or open something."""
    people = (
        await session.scalars(
            select(Person).where(Person.id.in_((into, person_id))).order_by(Person.id).with_for_update()
        )
    ).all()
    customers = select(Membership.person_id).where(
        Membership.person_id.in_((into, person_id)), Membership.role == "customer"
    )
    if people[1].password_hash is not None or len((await session.scalars(customers)).all()) == 2:
        return False
    await sessions.end(session, now, "merged", person_id=person_id)
    await session.execute(_MOVE_MEMBERSHIPS, {"into": into, "person_id": person_id})
    await session.execute(update(Identity).where(Identity.person_id == person_id).values(person_id=into))
    whose = {"into": into, "person_id": person_id}
    await session.execute(statements("recruiting")["withdraw_twins"], {**whose, "now": now})
    await session.execute(statements("recruiting")["change_person"], whose)
    return True


async def join(session: AsyncSession, person_id: int, account_id: int) -> None:
    """A person may act as this account from now on; if it may already, nothing happens."""
    role = select(literal(person_id, BigInteger), Account.id, Account.role).where(Account.id == account_id)
    await session.execute(
        insert(Membership).from_select(["person_id", "account_id", "role"], role).on_conflict_do_nothing()
    )


async def be_customer(session: AsyncSession, person_id: int, guest_account_id: int | None) -> None:
    """Make a person the customer that it was as a guest; without a guest, a new one if it holds nothing at all.

    Whoever is a customer already stays that one, and the guest stays a guest.
    """
    await session.scalar(select(Person.id).where(Person.id == person_id).with_for_update())  # two would make two
    held = (await session.scalars(select(Membership.role).where(Membership.person_id == person_id))).all()
    if guest_account_id is not None and "customer" not in held:
        await join(session, person_id, guest_account_id)
        held = (await session.scalars(select(Membership.role).where(Membership.person_id == person_id))).all()
    if not held:
        await join(session, person_id, await new_customer(session))


async def guest_of(session: AsyncSession, token: str, secret: str, now: datetime) -> int:
    """The account of the guest whose token this is. Raises Refused(WrongCredentials)."""
    refused = Refused(WrongCredentials("This is no guest's token, or the guest has signed in already: leave it out."))
    try:
        claims = claims_of(token, secret, now)
    except Refused:
        raise refused from None
    is_free = select(Account.id).where(
        Account.id == claims.account_id,
        ~select(Membership.person_id).where(Membership.account_id == Account.id).exists(),
        ~IS_ERASED,
    )
    if not claims.is_guest or await session.scalar(is_free) is None:
        raise refused
    return claims.account_id


_ONE_AT_A_TIME = text(
    """
    SELECT pg_advisory_xact_lock(place)
    FROM (SELECT ('x' || encode(substring(one FROM 1 FOR 8), 'hex'))::bit(64)::bigint AS place
          FROM unnest(CAST(:fingerprints AS bytea[])) AS one ORDER BY 1) AS places
    """
)
_MOVE_MEMBERSHIPS = text(
    """
    UPDATE memberships m SET person_id = :into
    WHERE m.person_id = :person_id
      AND NOT EXISTS (SELECT FROM memberships has WHERE has.person_id = :into AND has.account_id = m.account_id)
    """
)
