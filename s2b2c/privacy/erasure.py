"""A person is erased (PIPL Art. 47): nobody is known by its phone any more, and nothing says who bought or where.

Orders, what they paid and what was earned stay, under the ids of a customer whom nobody is.
"""

import secrets
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, exists, func, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.accounts import codes, limits, passwords, people, wechat
from s2b2c.accounts.signing_in import Caller, count_try, still_has_password
from s2b2c.accounts.viewer import Viewer
from s2b2c.crypto import keys
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongCredentials, WrongState
from s2b2c.models import (
    Account,
    Address,
    Customer,
    Identity,
    Invitation,
    Membership,
    OneTimeCode,
    Order,
    OrderAddress,
    OrderLine,
    Payee,
    Person,
    RateLimit,
    RefreshToken,
    Refund,
    RefundLine,
    RefundRequest,
    Session,
)
from s2b2c.models.privacy import KINDS
from s2b2c.network import lock_customers
from s2b2c.privacy.holdings import Holder, holder_of
from s2b2c.privacy.trail import Read, Reader, record
from s2b2c.sql import statements

BY_PHONE = (limits.TRIES, limits.CODES_IN_A_ROW, limits.CODES)


class Proof(NamedTuple):
    """That it is the person itself, now: its password, a code sent to its phone, or one of `wx.login()`."""

    password: str | None = None
    phone: str | None = None
    code: str | None = None
    wechat_code: str | None = None


class _Known(NamedTuple):
    """What a person is known by, with the phones in plain."""

    fingerprints: frozenset[bytes]
    phones: dict[bytes, str]


async def erase_me(db: Database, viewer: Viewer, proof: Proof, caller: Caller) -> Refusal | None:
    """Erase whoever asks, with a fresh proof that it is who it says. A refusal that is answered, not raised, is for a
    wrong code, which counts.

    Raises Refused as `erase` does, and: BadArgument, TooManyRequests, WrongCredentials, SignInOff.
    """
    person_id = viewer.person_id
    assert person_id is not None
    ways = (proof.password, proof.code, proof.wechat_code)
    if sum(way is not None for way in ways) != 1 or (proof.phone is None) != (proof.code is None):
        raise Refused(BadArgument("Prove who you are in one way: password, phone and code, or a code of WeChat."))
    phone = None if proof.phone is None else people.phone_of(proof.phone)
    await count_try(db, phone or f"person {person_id}", caller)
    reader = Reader(viewer.account_id, person_id)
    if proof.password is not None:
        async with db.read() as session:
            person = await session.get_one(Person, person_id)
        if not await passwords.matches(proof.password, person.password_hash):
            raise Refused(WrongCredentials("The password is wrong."))
        async with db.write() as session:
            await _lock(session, person_id)
            await still_has_password(session, person)
            await erase(session, person_id, reader=reader, at=caller.now)
        return None
    known_by = ("phone", phone or "")
    if proof.wechat_code is not None:
        known_by = ("openid", (await wechat.user_of(proof.wechat_code)).openid)
    async with db.write() as session:
        owner = await people.find(session, *known_by)
        if owner is None or owner.id != person_id:
            raise Refused(WrongCredentials("This phone, or this user of WeChat, is not you."))
        if phone is not None:
            refusal = await codes.redeem(session, phone, proof.code or "", caller.now)
            if refusal is not None:
                return refusal
        await erase(session, person_id, reader=reader, at=caller.now)
    return None


async def erase(session: AsyncSession, person_id: int, *, reader: Reader, at: datetime) -> None:
    """Take away all that says who a person is, and how it signs in; whoever comes with its phone is somebody new.

    Raises Refused: NotFound for a person who is not there any more, WrongState while something is on its way that it
    is needed for: an order, a refund, money for a distributor that it alone acts for.
    """
    known = await _lock(session, person_id)
    holder = await holder_of(session, person_id)
    if holder.customer_id is not None:
        await lock_customers(
            session, [holder.customer_id]
        )  # whoever orders or saves an address waits, and finds nobody
        await _check_orders(session, holder.customer_id)
    await _check_earnings(session, holder)
    await _forget_tries(session, person_id, known)
    await _forget_sessions(session, person_id)
    await session.execute(
        delete(Invitation).where(or_(Invitation.phone.in_(known.phones), Invitation.accepted_by == person_id))
    )
    await session.execute(delete(Identity).where(Identity.person_id == person_id))
    await session.execute(delete(Membership).where(Membership.person_id == person_id))
    await session.execute(
        delete(Payee).where(or_(Payee.distributor_id.in_(holder.distributor_ids), Payee.brand_id.in_(holder.brand_ids)))
    )
    await session.execute(statements("recruiting")["forget"], {"person_id": person_id, "now": at})
    await session.execute(update(Person).where(Person.id == person_id).values(password_hash=None))
    if holder.customer_id is not None:
        await _forget_customer(session, holder.customer_id, at)
    await record(session, reader, "erasure", [Read(KINDS, holder.customer_id, person_id)], at=at)


async def _lock(session: AsyncSession, person_id: int) -> _Known:
    """From here on nobody signs in as this person, and nothing is added to it. In the order of those who sign in: first
    what it is known by, then the person.

    Raises Refused: NotFound, or WrongState where it became known by something else in this moment.
    """
    before = await _known_by(session, person_id)
    await people.lock(session, before.fingerprints)
    await session.scalar(select(Person.id).where(Person.id == person_id).with_for_update())
    known = await _known_by(session, person_id)
    if not known.fingerprints:
        raise Refused(NotFound("There is no such person any more."))
    if known.fingerprints != before.fingerprints:
        raise Refused(WrongState("You have signed in in another way in this moment: try again."))
    return known


async def _known_by(session: AsyncSession, person_id: int) -> _Known:
    rows = (await session.scalars(select(Identity).where(Identity.person_id == person_id))).all()
    phones = {row.fingerprint: keys().open(row.sealed, row.kind) for row in rows if row.kind == "phone"}
    return _Known(frozenset(row.fingerprint for row in rows), phones)


async def _check_orders(session: AsyncSession, customer_id: int) -> None:
    """Raises Refused(WrongState)."""
    back = (
        select(func.coalesce(func.sum(RefundLine.quantity), 0))
        .where(RefundLine.branch_id == OrderLine.branch_id, RefundLine.line_id == OrderLine.id)
        .correlate(OrderLine)
        .scalar_subquery()
    )
    of_order = (OrderLine.branch_id == Order.branch_id) & (OrderLine.order_id == Order.id)
    # What cost nothing is refunded by its units.
    is_kept = or_(OrderLine.refunded < OrderLine.paid, (OrderLine.paid == 0) & (OrderLine.quantity > back))
    under_way = Order.state.in_(("paid", "shipped", "received")) & exists().where(of_order, is_kept).correlate(Order)
    order_no = await session.scalar(
        select(Order.order_no)
        .where(Order.customer_id == customer_id, or_(Order.state == "placed", under_way))
        .order_by(Order.id)
        .limit(1)
    )
    if order_no is not None:
        raise Refused(WrongState(f"Order {order_no} is under way: wait until it is completed, or cancel it."))
    asked, waiting = (
        exists().where(its.branch_id == Order.branch_id, its.order_id == Order.id, is_open).correlate(Order)
        for its, is_open in (
            (RefundRequest, RefundRequest.state.in_(("sending", "sent"))),
            (Refund, Refund.state == "waiting"),
        )
    )
    order_no = await session.scalar(
        select(Order.order_no).where(Order.customer_id == customer_id, or_(asked, waiting)).order_by(Order.id).limit(1)
    )
    if order_no is not None:
        raise Refused(WrongState(f"A refund of order {order_no} is on its way: wait until it has arrived or failed."))


async def _check_earnings(session: AsyncSession, holder: Holder) -> None:
    """Raises Refused(WrongState)."""
    code = await session.scalar(_OWED, {"distributor_ids": list(holder.distributor_ids)})
    if code is not None:
        raise Refused(
            WrongState(f"Commissions of {code} are not paid out, and you alone act for it: wait until they are.")
        )


async def _forget_tries(session: AsyncSession, person_id: int, known: _Known) -> None:
    """Whoever tries in this moment is not waited for: it may wait for us."""
    buckets = [limit.key(phone) for phone in known.phones.values() for limit in BY_PHONE]
    buckets += [limit.key(f"person {person_id}") for limit in (limits.TRIES, limits.INVITATIONS)]
    for key, wanted in ((RateLimit.key, buckets), (OneTimeCode.phone, list(known.phones))):
        free = select(key).where(key.in_(wanted)).with_for_update(skip_locked=True)
        await session.execute(delete(key.class_).where(key.in_(free)))


async def _forget_sessions(session: AsyncSession, person_id: int) -> None:
    """First the tokens, as whoever goes on with one takes it first."""
    sessions = select(Session.id).where(Session.person_id == person_id)
    await session.execute(delete(RefreshToken).where(RefreshToken.session_id.in_(sessions)))
    await session.execute(delete(Session).where(Session.person_id == person_id))


async def _forget_customer(session: AsyncSession, customer_id: int, at: datetime) -> None:
    orders = select(Order.branch_id, Order.id).where(Order.customer_id == customer_id)
    accounts = select(Account.id).where(Account.customer_id == customer_id)
    await session.execute(delete(Address).where(Address.customer_id == customer_id))
    await session.execute(delete(OrderAddress).where(tuple_(OrderAddress.branch_id, OrderAddress.order_id).in_(orders)))
    await session.execute(
        update(RefundRequest)
        .where(tuple_(RefundRequest.branch_id, RefundRequest.order_id).in_(orders))
        .where(RefundRequest.account_id.in_(accounts))
        .values(reason="")
    )
    await session.execute(
        update(Customer)
        .where(Customer.id == customer_id)
        .values(ref=f"erased-{secrets.token_urlsafe(16)}", erased_at=at)
    )


# What is settled and not paid out, and what is not settled yet, of each distributor.
_OWED = text(
    """
    SELECT d.code
    FROM distributors d
    WHERE d.id = ANY (CAST(:distributor_ids AS bigint[]))
      AND coalesce((SELECT sum(s.net) FROM statements s JOIN settlement_runs r ON r.id = s.run_id
                    WHERE s.distributor_id = d.id AND r.state <> 'paid'), 0)
        + coalesce((SELECT sum(amount) FROM commissions WHERE distributor_id = d.id AND statement_id IS NULL), 0)
        - coalesce((SELECT sum(amount) FROM clawbacks WHERE distributor_id = d.id AND statement_id IS NULL), 0) > 0
    ORDER BY d.id
    LIMIT 1
    """
)
