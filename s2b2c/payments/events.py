"""What Stripe tells us: believed only with its signature, stored once, worked on later."""

import hmac
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeAlias

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.errors import BadArgument, Refused
from s2b2c.models import StripeAccount, StripeEvent
from s2b2c.sql import statements

MAX_BYTES = 262_144
_MAX_HEADER = 2_048
_TOLERANCE = timedelta(minutes=5)
_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}")
_TYPE = re.compile(r"[a-z0-9_]{1,60}(\.[a-z0-9_]{1,60}){1,5}")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_YEAR_9999 = 253_370_764_800

Object: TypeAlias = dict[str, Any]

# All that `digest` reads of what an event is about, with what we told Stripe to remember. Nothing else is stored: the
# rest is names, addresses, phones and banks of customers and payees, which Stripe keeps for us.
_KEPT = (
    "id", "payment_intent", "currency", "amount", "amount_received", "status", "payouts_enabled", "details_submitted",
)  # fmt: skip
_KEPT_WITHIN = {
    "metadata": ("branch_id", "order_id", "payment_id", "refund_id", "return"),
    "capabilities": ("transfers",),
}


async def accept(
    session: AsyncSession, body: bytes, signature: str, *, secrets: Sequence[str], livemode: bool, now: datetime
) -> str | None:
    """Store an event that Stripe has signed with one of `secrets`; answers its id, None where it was stored before.

    Raises Refused(BadArgument), and nothing is stored: for what is too large, not signed, signed more than five minutes
    from now on either side, not an event, of the other mode, or about a connected account that is none of ours.
    """
    if len(body) > MAX_BYTES:
        raise _refused("it is larger than any event")
    _check_signature(body, signature, secrets, now)
    event = _read(body)
    created_at = _check_event(event, livemode=livemode, now=now)
    account = event.get("account")
    if account is not None:
        known = isinstance(account, str) and _is_text(account)
        if not known or await session.get(StripeAccount, account) is None:
            raise _refused("it is about an account that is none of ours")
    new: str | None = await session.scalar(
        statements("payments")["store"],
        {
            "id": event["id"],
            "type": event["type"],
            "account": account,
            "created_at": created_at,
            "now": now,
            "payload": json.dumps(_kept(event["data"]), ensure_ascii=False),
        },
    )
    return new


def _refused(why: str) -> Refused:
    return Refused(BadArgument(f"This is no event of Stripe's for us: {why}."))


def _check_signature(body: bytes, header: str, secrets: Sequence[str], now: datetime) -> None:
    stamps, given = [], []
    for part in header[:_MAX_HEADER].split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            stamps.append(value)
        elif name == "v1":
            given.append(value.encode(errors="surrogatepass"))
    if len(stamps) != 1 or not re.fullmatch(r"[0-9]{1,12}", stamps[0]) or not given:
        raise _refused("it is not signed")
    signed = stamps[0].encode() + b"." + body
    right = [hmac.new(secret.encode(), signed, sha256).hexdigest().encode() for secret in secrets if secret]
    # Every pair is compared, so that the time tells nothing.
    if not sum(hmac.compare_digest(ours, theirs) for ours in right for theirs in given):
        raise _refused("the signature is not right")
    if abs(now.timestamp() - int(stamps[0])) > _TOLERANCE.total_seconds():
        raise _refused("it was signed too long ago, or a clock is wrong")


def _read(body: bytes) -> Object:
    """The event, when PostgreSQL could store all of it."""
    try:
        event = json.loads(body.decode())
        whole = json.dumps(event, ensure_ascii=False, allow_nan=False)
        whole.encode()
    except (ValueError, RecursionError):
        raise _refused("it cannot be read") from None
    if not isinstance(event, dict):
        raise _refused("it is not an object")
    if _NUL.search(whole):
        raise _refused("it holds a character that no text has")
    return event


def _check_event(event: Object, *, livemode: bool, now: datetime) -> datetime:
    """When it happened."""
    created, data = event.get("created"), event.get("data")
    if event.get("object") != "event":
        raise _refused("it is something else")
    if not (isinstance(event.get("id"), str) and _ID.fullmatch(event["id"])):
        raise _refused("it has no id")
    if not (isinstance(event.get("type"), str) and _TYPE.fullmatch(event["type"])):
        raise _refused("it has no type")
    if type(created) is not int or not 0 < created < _YEAR_9999:
        raise _refused("it does not say when it happened")
    if created > (now + _TOLERANCE).timestamp():
        raise _refused("it has not happened yet")
    if not (isinstance(data, dict) and isinstance(data.get("object"), dict)):
        raise _refused("it does not say what it is about")
    if event.get("livemode") is not livemode:
        raise _refused("it is of the other mode, test or live")
    return datetime.fromtimestamp(created, UTC)


def _kept(data: Object) -> Object:
    """What is stored of the data of an event."""
    it, previous = data["object"], data.get("previous_attributes")
    within = {name: _of(it[name], names) for name, names in _KEPT_WITHIN.items() if isinstance(it.get(name), dict)}
    kept: Object = {"object": _of(it, _KEPT) | within}
    if isinstance(previous, dict):
        kept["previous_attributes"] = _of(previous, ("status",))
    return {"data": kept}


def _of(it: Object, names: Sequence[str]) -> Object:
    return {name: it[name] for name in names if name in it and not isinstance(it[name], dict | list)}


def _is_text(value: str) -> bool:
    return value.isascii() and value.isprintable()


async def waiting_events(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[StripeEvent]:
    """The oldest events that nobody has handled, locked: what another worker holds is left to it.

    One about a refund or a dispute of a payment that is not known yet waits for the payment, a day at most.
    """
    return (
        await session.scalars(
            select(StripeEvent).from_statement(statements("payments")["waiting"]), {"now": now, "limit": limit}
        )
    ).all()


async def lock_event(session: AsyncSession, event_id: str) -> StripeEvent | None:
    """An event that was set apart, locked; None once it is handled."""
    wanted = select(StripeEvent).where(StripeEvent.id == event_id, StripeEvent.handled_at.is_(None)).with_for_update()
    event: StripeEvent | None = await session.scalar(wanted)
    return event


async def mark_handled(session: AsyncSession, ids: Sequence[str], now: datetime) -> None:
    """These events were worked on, in the same transaction."""
    await session.execute(
        update(StripeEvent).where(StripeEvent.id.in_(ids), StripeEvent.handled_at.is_(None)).values(handled_at=now)
    )


async def forget_events(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete the oldest events that were handled before this moment; returns how many.

    What they said stands in payments, refunds and claims. They are asked only for what came in the wrong order, and
    Stripe sends nothing again after 30 days.
    """
    oldest = (
        select(StripeEvent.id)
        .where(StripeEvent.handled_at < before)
        .order_by(StripeEvent.handled_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = await session.scalars(delete(StripeEvent).where(StripeEvent.id.in_(oldest)).returning(StripeEvent.id))
    return len(gone.all())
