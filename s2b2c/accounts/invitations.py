"""How somebody comes to hold a membership, by a token that works once, for whoever answers at the phone; and how one
ends."""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import CTE, BigInteger, DateTime, Text, delete, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c import crypto
from s2b2c.accounts import codes, limits, passwords, people, sessions
from s2b2c.accounts.sessions import MAX_MEMBERSHIPS, STAFF, SignedIn
from s2b2c.accounts.signing_in import Caller, count_try, start, still_has_password
from s2b2c.accounts.viewer import Viewer, account_of
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongCredentials, WrongState
from s2b2c.models import (
    Account,
    Brand,
    Distributor,
    Invitation,
    Membership,
    Person,
    RefreshToken,
    SeatApplication,
    SeatApplicationEvent,
    Session,
)

LIFETIME = timedelta(days=7)


class Invited(NamedTuple):
    """What the inviter hands on. The token is stored nowhere."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Invited(expires_at={self.expires_at})"


async def invite(
    session: AsyncSession,
    viewer: Viewer,
    typed_phone: str,
    *,
    role: str,
    brand_id: int | None = None,
    distributor_id: int | None = None,
    now: datetime,
) -> Invited:
    """Invite a phone to a role: an operator to any but customer, a brand to its own staff.

    Raises Refused: BadArgument, NotFound, TooManyRequests.
    """
    phone = people.phone_of(typed_phone)
    brand_id = _checked(viewer, role, brand_id, distributor_id)
    whose = f"person {viewer.person_id}" if viewer.person_id is not None else f"account {viewer.account_id}"
    await limits.take(session, now, (limits.INVITATIONS, whose))
    for model, key in ((Brand, brand_id), (Distributor, distributor_id)):
        if key is not None and await session.scalar(select(model.id).where(model.id == key)) is None:
            raise Refused(NotFound(f"There is no such {role}."))
    token = secrets.token_urlsafe(32)
    invitation = Invitation(
        digest=crypto.digest(token),
        phone=people.fingerprint("phone", phone),
        account_id=await account_of(session, role, brand_id, distributor_id),
        invited_by=viewer.account_id,
        inviter_id=viewer.person_id,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    session.add(invitation)
    await session.flush()
    return Invited(token, invitation.expires_at)


async def accept(
    db: Database, token: str, typed_phone: str, code: str, password: str | None, caller: Caller
) -> SignedIn | Refusal:
    """Join what the token invites to, and sign in there. The code was sent to the invited phone.

    Staff needs a password: it becomes the person's if it has none or if an operator invites (so a forgotten one is
    replaced), and then its other sessions end; else it must be the one it has.
    Raises Refused: BadArgument, TooManyRequests, WrongCredentials, NotFound, WrongState.
    """
    phone = people.phone_of(typed_phone)
    await count_try(db, phone, caller)
    async with db.read() as session:
        invited = await _open_invitation(session, token, phone, caller.now)
        person = await people.find(session, "phone", phone)
    is_staff = invited.role in STAFF
    sets_password = is_staff and (invited.by == "operator" or person is None or person.password_hash is None)
    password_hash = None
    if is_staff and password is None:
        raise Refused(BadArgument("Staff needs a password: say one."))
    if sets_password:
        passwords.check(password or "")
        password_hash = await passwords.hashed(password or "")
    elif is_staff and person and not await passwords.matches(password or "", person.password_hash):
        raise Refused(WrongCredentials("You have a password, and it is another one."))
    async with db.write() as session:
        if (refusal := await codes.redeem(session, phone, code, caller.now)) is not None:
            return refusal
        await limits.forget(session, limits.TRIES, phone)
        person_id = await people.find_or_make(session, {"phone": phone}, caller.now)
        if person is not None:
            await still_has_password(session, person)
        await _use_up(session, token, person_id, caller.now)
        await people.join(session, person_id, invited.account_id)
        if sets_password:
            await session.execute(update(Person).where(Person.id == person_id).values(password_hash=password_hash))
            await sessions.end(session, caller.now, "password_changed", person_id=person_id)
        as_invited = caller._replace(account_id=invited.account_id)
        return await start(session, person_id, "password" if is_staff else "code", as_invited)


async def remove_member(
    session: AsyncSession,
    viewer: Viewer,
    typed_phone: str,
    *,
    role: str,
    brand_id: int | None = None,
    distributor_id: int | None = None,
    now: datetime,
) -> int:
    """Take a role from whoever has this phone: an operator any but customer, a brand one of its own staff. It acts as
    that no more from this moment on. How many of its sessions that ended.

    Raises Refused: BadArgument, also for oneself, so that somebody is left; NotFound for who has no such role.
    """
    phone = people.phone_of(typed_phone)
    brand_id = _checked(viewer, role, brand_id, distributor_id)
    person = await people.find(session, "phone", phone)
    if person is not None and person.id == viewer.person_id:
        raise Refused(BadArgument("Nobody removes itself: ask another one."))
    account_id = await session.scalar(
        delete(Membership)
        .where(
            Membership.person_id == (person and person.id),
            Membership.account_id == Account.id,
            Account.role == role,
            Account.brand_id.is_not_distinct_from(brand_id),
            Account.distributor_id.is_not_distinct_from(distributor_id),
        )
        .returning(Account.id)
    )
    if person is None or account_id is None:
        raise Refused(NotFound("Nobody with this phone has this role."))
    acting = select(RefreshToken.session_id).where(
        RefreshToken.account_id == account_id, RefreshToken.used_at.is_(None)
    )
    ended = (
        update(Session)
        .where(Session.person_id == person.id, Session.ended_at.is_(None), Session.id.in_(acting))
        .values(ended_at=now, end_reason="removed")
        .returning(Session.id)
        .cte("ended")
    )
    query = select(ended.c.id)
    if distributor_id is not None:
        query = query.add_cte(_on_record(person.id, distributor_id, viewer.account_id, now))
    return len((await session.scalars(query)).all())


def _on_record(person_id: int, distributor_id: int, account_id: int, now: datetime) -> CTE:
    """Where a person was approved as this distributor its application says that it acts for it no more."""
    approved = select(
        SeatApplication.id,
        literal("member_removed", Text),
        literal(now, DateTime(timezone=True)),
        literal(account_id, BigInteger),
        literal({}, JSONB),
    ).where(SeatApplication.person_id == person_id, SeatApplication.distributor_id == distributor_id)
    columns = ["application_id", "kind", "at", "account_id", "facts"]
    return insert(SeatApplicationEvent).from_select(columns, approved).cte("on_record")


def _checked(viewer: Viewer, role: str, brand_id: int | None, distributor_id: int | None) -> int | None:
    """The brand that is meant. Raises Refused(BadArgument) for a role that the viewer does not give or take."""
    if viewer.role == "brand":
        if role != "brand" or distributor_id is not None or brand_id not in {None, viewer.brand_id}:
            raise Refused(BadArgument("A brand has a say in its own staff alone."))
        brand_id = viewer.brand_id
    if (brand_id is not None) != (role == "brand") or (distributor_id is not None) != (role == "distributor"):
        raise Refused(BadArgument("Say the brand for the role brand, the distributor for the role distributor."))
    return brand_id


class _Open(NamedTuple):
    account_id: int
    role: str
    by: str


async def _open_invitation(session: AsyncSession, token: str, phone: str, now: datetime) -> _Open:
    """What a token invites this phone to, and the role of who invites. Raises Refused(NotFound)."""
    inviter = aliased(Account)
    found = (
        await session.execute(
            select(Account.id, Account.role, inviter.role)
            .join(Invitation, Invitation.account_id == Account.id)
            .join(inviter, inviter.id == Invitation.invited_by)
            .where(
                Invitation.digest == crypto.digest(token),
                Invitation.phone == people.fingerprint("phone", phone),
                Invitation.accepted_at.is_(None),
                Invitation.expires_at > now,
            )
        )
    ).one_or_none()
    if found is None:
        raise Refused(NotFound("No invitation of this phone has this token, or it was used or is too old."))
    return _Open(*found)


async def _use_up(session: AsyncSession, token: str, person_id: int, now: datetime) -> None:
    used = await session.scalar(
        update(Invitation)
        .where(Invitation.digest == crypto.digest(token), Invitation.accepted_at.is_(None))
        .values(accepted_at=now, accepted_by=person_id)
        .returning(Invitation.account_id)
    )
    if used is None:
        raise Refused(NotFound("Somebody has accepted this invitation in this moment."))
    held = await session.scalar(select(func.count()).where(Membership.person_id == person_id))
    if held is not None and held >= MAX_MEMBERSHIPS:
        raise Refused(WrongState(f"You hold {MAX_MEMBERSHIPS} memberships, more than anybody needs."))
