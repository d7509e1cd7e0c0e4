"""Signing in, step by step. Each takes the database, not a session: what is slow or outside is done between
transactions, and a try that failed is counted although it is refused."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.accounts import codes, limits, passwords, people, sessions, wechat
from s2b2c.accounts.sessions import SignedIn
from s2b2c.accounts.viewer import account_of
from s2b2c.db import Database
from s2b2c.errors import Refusal, Refused, WrongCredentials
from s2b2c.models import Person


class Caller(NamedTuple):
    """Who wants in: from where, when, and as which membership or as the later self of which guest."""

    address: str
    now: datetime
    secret: str
    account_id: int | None = None
    guest_token: str | None = None


async def request_code(db: Database, typed_phone: str, caller: Caller) -> None:
    """Have a code sent to a phone, whether anybody is known by it or not. Raises Refused: BadArgument,
    TooManyRequests, SignInOff."""
    phone = people.phone_of(typed_phone)
    async with db.write() as session:
        await limits.take(
            session,
            caller.now,
            (limits.CODES_IN_A_ROW, phone),
            (limits.CODES, phone),
            (limits.CODES_OF_ADDRESS, caller.address),
        )
        code = await codes.draw(session, phone, caller.now)
    await codes.send(phone, code)


async def with_code(db: Database, typed_phone: str, code: str, caller: Caller) -> SignedIn | Refusal:
    """Sign in with the code that was sent to a phone; whom nobody knows becomes a customer.

    Raises Refused: BadArgument, TooManyRequests, WrongCredentials, NotFound, WrongState.
    """
    phone = people.phone_of(typed_phone)
    await count_try(db, phone, caller)
    async with db.write() as session:
        guest_id = await _guest(session, caller)
        if (refusal := await codes.redeem(session, phone, code, caller.now)) is not None:
            return refusal
        await limits.forget(session, limits.TRIES, phone)
        person_id = await people.find_or_make(session, {"phone": phone}, caller.now)
        await people.be_customer(session, person_id, guest_id)
        return await start(session, person_id, "code", caller)


async def with_password(db: Database, typed_phone: str, password: str, caller: Caller) -> SignedIn:
    """Sign in with phone and password. Raises Refused: BadArgument, TooManyRequests, WrongCredentials, NotFound."""
    phone = people.phone_of(typed_phone)
    await count_try(db, phone, caller)
    async with db.read() as session:
        person = await people.find(session, "phone", phone)
    if not await passwords.matches(password, person.password_hash if person else None) or person is None:
        raise Refused(WrongCredentials("No person with this phone has this password."))
    async with db.write() as session:
        await still_has_password(session, person)
        await limits.forget(session, limits.TRIES, phone)
        return await start(session, person.id, "password", caller)


async def with_wechat(db: Database, code: str, caller: Caller) -> SignedIn:
    """Sign in as the user that a code of `wx.login()` was made for; whom nobody knows becomes a customer.

    Raises Refused: TooManyRequests, WrongCredentials, SignInOff, NotFound, WrongState.
    """
    async with db.write() as session:
        await limits.take(session, caller.now, (limits.TRIES_OF_ADDRESS, caller.address))
        await _guest(session, caller)
    user = await wechat.user_of(code)
    known_by = {"openid": user.openid} | ({} if user.unionid is None else {"unionid": user.unionid})
    async with db.write() as session:
        guest_id = await _guest(session, caller)
        person_id = await people.find_or_make(session, known_by, caller.now)
        await people.be_customer(session, person_id, guest_id)
        return await start(session, person_id, "wechat", caller)


async def change_password(db: Database, person_id: int, session_id: int, old: str, new: str, caller: Caller) -> None:
    """Give a person another password, and end its other sessions. Raises Refused: BadArgument, TooManyRequests,
    WrongCredentials."""
    passwords.check(new)
    await count_try(db, f"person {person_id}", caller)
    async with db.read() as session:
        person = await session.get_one(Person, person_id)
    if not await passwords.matches(old, person.password_hash):
        raise Refused(WrongCredentials("The old password is wrong."))
    password_hash = await passwords.hashed(new)
    async with db.write() as session:
        await still_has_password(session, person)
        await session.execute(update(Person).where(Person.id == person_id).values(password_hash=password_hash))
        await sessions.end(session, caller.now, "password_changed", person_id=person_id, but=session_id)
        await limits.forget(session, limits.TRIES, f"person {person_id}")


async def create_operator(db: Database, typed_phone: str, password: str, now: datetime) -> bool:
    """Make whoever has this phone an operator with this password, from the command line: the first one, or one that has
    forgotten its password. True if nobody was known by the phone. Raises Refused(BadArgument)."""
    phone = people.phone_of(typed_phone)
    passwords.check(password)
    password_hash = await passwords.hashed(password)
    async with db.write() as session:
        is_new = await people.find(session, "phone", phone) is None
        person_id = await people.find_or_make(session, {"phone": phone}, now)
        await session.execute(update(Person).where(Person.id == person_id).values(password_hash=password_hash))
        await people.join(session, person_id, await account_of(session, "operator"))
        await sessions.end(session, now, "password_changed", person_id=person_id)
        await limits.forget(session, limits.TRIES, phone)
    return is_new


async def count_try(db: Database, whose: str, caller: Caller) -> None:
    """Counted and committed before it is looked at: of a hundred at once, ten are looked at.
    Raises Refused(TooManyRequests)."""
    async with db.write() as session:
        await limits.take(session, caller.now, (limits.TRIES, whose), (limits.TRIES_OF_ADDRESS, caller.address))


async def still_has_password(session: AsyncSession, person: Person) -> None:
    """The password that was checked a moment ago is the person's yet; until this transaction ends it stays so.
    Raises Refused(WrongCredentials)."""
    now_has = await session.scalar(select(Person.password_hash).where(Person.id == person.id).with_for_update())
    if now_has != person.password_hash:
        raise Refused(WrongCredentials("The password was changed in this moment: sign in again."))


async def _guest(session: AsyncSession, caller: Caller) -> int | None:
    if caller.guest_token is None:
        return None
    return await people.guest_of(session, caller.guest_token, caller.secret, caller.now)


async def start(session: AsyncSession, person_id: int, method: sessions.Method, caller: Caller) -> SignedIn:
    return await sessions.start(
        session, person_id, method=method, account_id=caller.account_id, secret=caller.secret, now=caller.now
    )
