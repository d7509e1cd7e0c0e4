"""Sessions: who has signed in, and the tokens it goes on with.

A refresh token is used once: it is marked and replaced in one guarded statement. One that comes a second time was
stolen, or its answer was; nobody can tell which of the two holds the newer one, so the session ends for both.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import crypto
from s2b2c.accounts.tokens import Claims, signed
from s2b2c.db import AnyRow
from s2b2c.errors import NotFound, Refusal, Refused, WrongCredentials, WrongState
from s2b2c.models import Account, Brand, Distributor, Membership, RefreshToken, Session

ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=30)
"""Whoever comes back later signs in again."""
SESSION_LIFETIME = timedelta(days=180)
MAX_MEMBERSHIPS = 50

Method: TypeAlias = Literal["password", "code", "wechat"]
STAFF = ("brand", "finance", "operator")
"""Roles that a password alone opens: who steals a phone number is not an operator."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session with its newest tokens; a row of `memberships` has (account_id, role, name, state)."""

    refresh_token: str = field(repr=False)
    memberships: Sequence[AnyRow]
    membership: AnyRow | None
    """The one that is acted for; None where there are several and none is chosen."""
    access_token: str | None = field(repr=False)
    access_token_expires_at: datetime | None


async def start(
    session: AsyncSession, person_id: int, *, method: Method, account_id: int | None, secret: str, now: datetime
) -> SignedIn:
    """A new session of a person that has proved who it is, for one of its memberships: the chosen or the only one.

    Raises Refused: NotFound for a membership that is not its own or that this method does not open, WrongState where it
    opens none.
    """
    held = await memberships(session, person_id, method)
    if not held:
        raise Refused(WrongState("You hold nothing that can be entered this way: sign in with phone and password."))
    chosen = account_id if account_id is not None else held[0].account_id if len(held) == 1 else None
    if chosen is not None and chosen not in {row.account_id for row in held}:
        raise Refused(NO_MEMBERSHIP)
    refresh_token = secrets.token_urlsafe(32)
    session_id = (
        await session.scalars(
            _START,
            {
                "person_id": person_id,
                "method": method,
                "account_id": chosen,
                "digest": crypto.digest(refresh_token),
                "now": now,
                "session_ends": now + SESSION_LIFETIME,
                "token_ends": now + REFRESH_LIFETIME,
            },
        )
    ).one()
    return _signed_in(session_id, held, chosen, refresh_token, secret, now)


async def refresh(
    session: AsyncSession, refresh_token: str, *, account_id: int | None, secret: str, now: datetime
) -> SignedIn | Refusal:
    """New tokens for an old refresh token, for another membership where one is chosen.

    What is answered instead: WrongCredentials for one that is unknown, has expired or was used before, and then the
    session has ended; NotFound for a membership that the session does not open, or that of a distributor that was
    eliminated: it signs in for as long as one access token lasts. Commit whatever it answers.
    """
    new = secrets.token_urlsafe(32)
    values = {
        "digest": crypto.digest(refresh_token),
        "new": crypto.digest(new),
        "account_id": account_id,
        "now": now,
        "token_ends": now + REFRESH_LIFETIME,
        "staff": list(STAFF),
    }
    if (turned := (await session.execute(_TURN, values)).one_or_none()) is not None:
        held = await memberships(session, turned.person_id, turned.method)
        return _signed_in(turned.session_id, held, turned.account_id, new, secret, now)
    known = (
        await session.execute(
            select(RefreshToken.used_at, RefreshToken.session_id, RefreshToken.expires_at, Session.ended_at)
            .join(Session, Session.id == RefreshToken.session_id)
            .where(RefreshToken.digest == values["digest"])
        )
    ).one_or_none()
    if known is None or known.ended_at is not None:
        return _SIGN_IN_AGAIN
    if known.used_at is not None:
        await end(session, now, "token_reused", session_id=known.session_id)
        return WrongCredentials("This token was used before, so the session has ended for everybody: sign in again.")
    return NO_MEMBERSHIP if known.expires_at > now else _SIGN_IN_AGAIN


async def end(
    session: AsyncSession,
    now: datetime,
    reason: str,
    *,
    session_id: int | None = None,
    person_id: int | None = None,
    but: int | None = None,
) -> int:
    """How many sessions this ended: one, or all of a person `but` one. Their tokens stand for nobody from now on."""
    ended = update(Session).where(Session.ended_at.is_(None)).values(ended_at=now, end_reason=reason)
    if session_id is not None:
        ended = ended.where(Session.id == session_id)
    if person_id is not None:
        ended = ended.where(Session.person_id == person_id, Session.id.is_distinct_from(but))
    assert session_id is not None or person_id is not None, "somebody's sessions"
    return len((await session.scalars(ended.returning(Session.id))).all())


async def memberships(session: AsyncSession, person_id: int, method: str) -> Sequence[AnyRow]:
    """What a person that has signed in this way may act as: rows of (account_id, role, name, state), oldest first."""
    query = (
        select(
            Membership.account_id,
            Membership.role,
            func.coalesce(Brand.name, Distributor.name).label("name"),
            Distributor.state,
        )
        .join(Account, Account.id == Membership.account_id)
        .outerjoin(Brand, Brand.id == Account.brand_id)
        .outerjoin(Distributor, Distributor.id == Account.distributor_id)
        .where(Membership.person_id == person_id)
        .order_by(Membership.created_at, Membership.account_id)
        .limit(MAX_MEMBERSHIPS)
    )
    if method != "password":
        query = query.where(Membership.role.not_in(STAFF))
    return (await session.execute(query)).all()


def _signed_in(
    session_id: int, held: Sequence[AnyRow], account_id: int | None, refresh_token: str, secret: str, now: datetime
) -> SignedIn:
    chosen = next((row for row in held if row.account_id == account_id), None)
    if chosen is None:
        return SignedIn(refresh_token, held, None, None, None)
    token = signed(Claims(chosen.account_id, session_id), secret, now=now, lifetime=ACCESS_LIFETIME)
    return SignedIn(refresh_token, held, chosen, token, now + ACCESS_LIFETIME)


NO_MEMBERSHIP = NotFound("You hold no such membership, it needs another way to sign in, or its access has ended.")
_SIGN_IN_AGAIN = WrongCredentials("This token is not one of ours, or its session is over: sign in again.")

_START = text(
    """
    WITH started AS (
        INSERT INTO sessions (person_id, method, started_at, expires_at)
        VALUES (:person_id, :method, :now, :session_ends)
        RETURNING id
    )
    INSERT INTO refresh_tokens (session_id, account_id, digest, expires_at)
    SELECT id, :account_id, :digest, :token_ends FROM started
    RETURNING session_id
    """
)
_TURN = text(
    """
    WITH used AS (
        UPDATE refresh_tokens old
        SET used_at = :now
        FROM sessions s
        WHERE old.digest = :digest AND old.used_at IS NULL AND old.expires_at > :now
          AND s.id = old.session_id AND s.ended_at IS NULL AND s.expires_at > :now
          AND (coalesce(CAST(:account_id AS bigint), old.account_id) IS NULL OR EXISTS (
              SELECT FROM memberships m
              JOIN accounts a ON a.id = m.account_id
              LEFT JOIN distributors d ON d.id = a.distributor_id
              WHERE d.state IS DISTINCT FROM 'eliminated' AND m.person_id = s.person_id
                AND m.account_id = coalesce(CAST(:account_id AS bigint), old.account_id)
                AND (s.method = 'password' OR m.role <> ALL (CAST(:staff AS text[])))))
        RETURNING old.session_id, coalesce(CAST(:account_id AS bigint), old.account_id) AS account_id,
                  s.person_id, s.method, least(:token_ends, s.expires_at) AS expires_at
    ), turned AS (
        INSERT INTO refresh_tokens (session_id, account_id, digest, expires_at)
        SELECT session_id, account_id, :new, expires_at FROM used
    )
    SELECT session_id, account_id, person_id, method FROM used
    """
)
