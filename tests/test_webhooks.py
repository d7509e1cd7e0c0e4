"""What comes in as an event of Stripe's: believed only when all of it is right, stored once."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, payments
from s2b2c.errors import BadArgument, Refused
from tests import factories

NOW = datetime(2026, 11, 20, 4, 0, 30, 250_000, tzinfo=UTC)
STAMP = int(NOW.timestamp())
SECRET = "whsec_ours"


def _event(**changes: object) -> dict[str, Any]:
    """Changes name fields; None under a name leaves the field out."""
    event = {
        "id": "evt_1Qz",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": STAMP - 5,
        "livemode": False,
        "api_version": "2020-08-27",
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 1099, "description": "茶“好” 🍵"}},
    } | changes
    return {name: value for name, value in event.items() if value is not None}


def _body(event: object) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


def _v1(body: bytes, *, stamp: int | str = STAMP, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def _signed(body: bytes, *, stamp: int | str = STAMP, secret: str = SECRET) -> tuple[bytes, str]:
    return body, f"t={stamp},v1={_v1(body, stamp=stamp, secret=secret)}"


async def _accept(
    session: AsyncSession, body: bytes, signature: str, *, secrets: tuple[str, ...] = (SECRET,), livemode: bool = False
) -> str | None:
    return await payments.accept(session, body, signature, secrets=secrets, livemode=livemode, now=NOW)


async def _stored(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(models.StripeEvent)) or 0


async def test_an_event_is_stored_once(session: AsyncSession) -> None:
    body, signature = _signed(_body(_event()))
    assert await _accept(session, body, signature) == "evt_1Qz"
    assert await _accept(session, body, signature) is None
    event = await session.get_one(models.StripeEvent, "evt_1Qz")
    assert (event.type, event.account) == ("payment_intent.succeeded", None)
    assert (event.created_at, event.received_at, event.handled_at) == (
        datetime.fromtimestamp(STAMP - 5, UTC), NOW, None,
    )  # fmt: skip
    assert event.payload == {"data": {"object": {"id": "pi_1", "amount": 1099}}}
    assert await _stored(session) == 1


GOOD: dict[str, tuple[bytes, str]] = {
    "signed at the far end of the past": _signed(_body(_event()), stamp=STAMP - 299),
    "signed at the far end of the future": _signed(_body(_event()), stamp=STAMP + 300),
    "any of several signatures": (_body(_event()), f"t={STAMP},v1={'0' * 64},v1={_v1(_body(_event()))},v0=abc"),
    "spaces between": (_body(_event()), f"t={STAMP}, v1={_v1(_body(_event()))}"),
    "the other secret": _signed(_body(_event()), secret="whsec_before"),
    "numbers as they are": _signed(_body(_event(data={"object": {"rate": "1.10", "many": 10**30, "part": 0.5}}))),
    "a text that looks like an escape": _signed(_body(_event(data={"object": {"path": "C:\\u0000"}}))),
    "no connected account": _signed(_body(_event() | {"account": None})),
    "a name in Unicode escapes": _signed(json.dumps(_event()).encode()),
}


@pytest.mark.parametrize("name", GOOD)
async def test_what_is_right_is_taken(session: AsyncSession, name: str) -> None:
    body, signature = GOOD[name]
    assert await _accept(session, body, signature, secrets=(SECRET, "whsec_before")) == "evt_1Qz"
    stored = await session.get_one(models.StripeEvent, "evt_1Qz")
    it = json.loads(body)["data"]["object"]
    assert stored.payload == {"data": {"object": {name: it[name] for name in ("id", "amount") if name in it}}}


async def test_nobody_is_kept_of_an_event(session: AsyncSession) -> None:
    """Of what Stripe tells of customers and payees only that stays by which we go."""
    person = {
        "name": "王小明",
        "phone": "13800001234",
        "email": "wang@example.com",
        "address": {"line1": "世纪大道1号"},
    }
    kept = {
        "id": "cs_1", "payment_intent": "pi_1", "currency": "cny", "amount": 1099, "amount_received": 1099,
        "status": "complete", "payouts_enabled": True, "details_submitted": False,
    }  # fmt: skip
    ours = {"branch_id": "1", "order_id": "2", "payment_id": "3", "refund_id": "4", "return": "5"}
    data = {
        "object": {
            **kept,
            "customer_details": person,
            "shipping": person,
            "individual": person,
            "external_accounts": {"data": [{"last4": "0128", "account_holder_name": "王小明"}]},
            "metadata": {**ours, "note": "13800001234"},
            "capabilities": {"transfers": "active", "cash": person},
        },
        "previous_attributes": {"status": "open", "customer_details": person},
    }
    body, signature = _signed(_body(_event(data=data)))
    await _accept(session, body, signature)
    stored = await session.get_one(models.StripeEvent, "evt_1Qz")
    assert stored.payload == {
        "data": {
            "object": {**kept, "metadata": ours, "capabilities": {"transfers": "active"}},
            "previous_attributes": {"status": "open"},
        }
    }


async def test_an_account_that_is_ours(session: AsyncSession) -> None:
    brand = await factories.a_brand(session)
    session.add(
        models.StripeAccount(
            id="acct_1", brand_id=brand.id, transfers="inactive", payouts_enabled=False, details_submitted=False,
            changed_at=NOW,
        )
    )  # fmt: skip
    await session.flush()
    body, signature = _signed(_body(_event(account="acct_1", type="account.updated")))
    assert await _accept(session, body, signature) == "evt_1Qz"
    assert (await session.get_one(models.StripeEvent, "evt_1Qz")).account == "acct_1"


RIGHT = _body(_event())
V1 = _v1(RIGHT)

UNSIGNED = {
    "no header": "",
    "no stamp": f"v1={V1}",
    "two stamps": f"t={STAMP},t={STAMP},v1={V1}",
    "no v1": f"t={STAMP}",
    "v0 alone": f"t={STAMP},v0={V1}",
    "a stamp that is no number": _signed(RIGHT, stamp="now")[1],
    "a stamp with a sign": _signed(RIGHT, stamp=f"+{STAMP}")[1],
    "a stamp in other digits": _signed(RIGHT, stamp="１７９５１４８０３０")[1],
    "a huge stamp": _signed(RIGHT, stamp="9" * 400)[1],
    "a header without end": f"t={STAMP}," + "v0=a," * 1_000 + f"v1={V1}",
}
FORGED = {
    "an empty v1": (RIGHT, f"t={STAMP},v1="),
    "another secret": _signed(RIGHT, secret="whsec_theirs"),
    "signed without a secret": _signed(RIGHT, secret=""),
    "the signature of another body": (RIGHT, f"t={STAMP},v1={_v1(_body(_event(id='evt_2')))}"),
    "the signature of another moment": (RIGHT, f"t={STAMP},v1={_v1(RIGHT, stamp=STAMP - 1)}"),
    "an altered body": (RIGHT.replace(b"1099", b"9999"), f"t={STAMP},v1={V1}"),
    "a truncated body": (RIGHT[:-1], f"t={STAMP},v1={V1}"),
    "a longer body": (RIGHT + b" ", f"t={STAMP},v1={V1}"),
    "a signature in upper case": (RIGHT, f"t={STAMP},v1={V1.upper()}"),
    "a short signature": (RIGHT, f"t={STAMP},v1={V1[:-1]}"),
    "a signature that is not hexadecimal": (RIGHT, f"t={STAMP},v1={'z' * 64}"),
    "a signature that is not ASCII": (RIGHT, f"t={STAMP},v1={'é' * 64}"),
    "half a surrogate pair for a signature": (RIGHT, f"t={STAMP},v1=\ud800"),
}
LATE = {
    "signed too long ago": _signed(RIGHT, stamp=STAMP - 300),
    "signed in the future": _signed(RIGHT, stamp=STAMP + 301),
}
UNREADABLE = {
    "empty": b"",
    "no JSON": b"{",
    "a form": b"id=evt_1&object=event",
    "deep": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "NaN": RIGHT.replace(b"1099", b"NaN"),
    "infinite": RIGHT.replace(b"1099", b"1e999"),
    "a number without end": RIGHT.replace(b"1099", b"9" * 5_000),
    "NUL as it is": RIGHT.replace(b"pi_1", b"pi\x001"),
    "half a surrogate pair": RIGHT.replace(b"pi_1", b"pi\\ud8001"),
    "not UTF-8": RIGHT.replace(b"pi_1", b"pi\xff1"),
    "UTF-16": RIGHT.decode().encode("utf-16"),
}
NO_TEXT = {
    "NUL, escaped": RIGHT.replace(b"pi_1", b"pi\\u00001"),
    "NUL in a name": RIGHT.replace(b"amount", b"am\\u0000ount"),
    "NUL behind a backslash": RIGHT.replace(b"pi_1", b"pi\\\\\\u0000"),
}
NO_OBJECT = {"an array": _body([_event()]), "a text": b'"event"', "null": b"null"}
CHANGED: dict[str, dict[str, dict[str, object]]] = {
    "it is larger than any event": {"too large": {"padding": "x" * 262_144}},
    "it is of the other mode, test or live": {
        "of the other mode": {"livemode": True},
        "of no mode": {"livemode": None},
        "of a mode in words": {"livemode": "false"},
    },
    "it is something else": {"another object": {"object": "v2.core.event"}, "no object": {"object": None}},
    "it has no id": {
        "no id": {"id": None},
        "a number for an id": {"id": 1},
        "an id of something else": {"id": "pi_1"},
        "an id with a space": {"id": "evt_1 "},
        "an id without end": {"id": "evt_" + "1" * 300},
    },
    "it has no type": {
        "no type": {"type": None},
        "a list for a type": {"type": ["payment_intent.succeeded"]},
        "a type in capitals": {"type": "Payment_Intent.Succeeded"},
    },
    "it does not say when it happened": {
        "no moment": {"created": None},
        "a negative moment": {"created": -1},
        "a moment that is true": {"created": True},
        "a part of a moment": {"created": STAMP + 0.5},
        "a moment in words": {"created": str(STAMP)},
        "a moment past all calendars": {"created": 10**15},
    },
    "it has not happened yet": {"not happened yet": {"created": STAMP + 301}},
    "it does not say what it is about": {
        "no data": {"data": None},
        "a list for data": {"data": []},
        "data without an object": {"data": {}},
        "an id for an object": {"data": {"object": "pi_1"}},
    },
    "it is about an account that is none of ours": {
        "an unknown account": {"account": "acct_stranger"},
        "a number for an account": {"account": 1},
        "an empty account": {"account": ""},
        "an account with a line break": {"account": "acct_1\n"},
    },
}
WRONG: dict[str, tuple[bytes, str, str]] = {
    **{name: (RIGHT, header, "it is not signed") for name, header in UNSIGNED.items()},
    **{name: (*signed, "the signature is not right") for name, signed in FORGED.items()},
    **{name: (*signed, "it was signed too long ago, or a clock is wrong") for name, signed in LATE.items()},
    **{name: (*_signed(body), "it cannot be read") for name, body in UNREADABLE.items()},
    **{name: (*_signed(body), "it holds a character that no text has") for name, body in NO_TEXT.items()},
    **{name: (*_signed(body), "it is not an object") for name, body in NO_OBJECT.items()},
    **{
        name: (*_signed(_body(_event(**changes))), reason)
        for reason, events in CHANGED.items()
        for name, changes in events.items()
    },
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_forged_or_damaged_is_refused(session: AsyncSession, name: str) -> None:
    before = await _stored(session)
    body, signature, reason = WRONG[name]
    with pytest.raises(Refused) as refused:
        await _accept(session, body, signature)
    assert refused.value.refusal == BadArgument(f"This is no event of Stripe's for us: {reason}.")
    assert refused.value.__cause__ is None
    assert await _stored(session) == before


async def test_live_and_test_are_kept_apart(session: AsyncSession) -> None:
    live = _signed(_body(_event(livemode=True)))
    assert await _accept(session, *live, livemode=True) == "evt_1Qz"
    with pytest.raises(Refused):
        await _accept(session, *_signed(_body(_event(id="evt_2"))), livemode=True)


async def test_without_a_secret_nothing_is_believed(session: AsyncSession) -> None:
    for secrets in ((), ("",)):
        with pytest.raises(Refused):
            await _accept(session, *_signed(RIGHT, secret=""), secrets=secrets)


@pytest.mark.parametrize(
    "damage", [lambda body: body[: len(body) // 2], lambda body: body[::-1], lambda body: body[1:]]
)
async def test_what_lies_in_any_byte(session: AsyncSession, damage: Callable[[bytes], bytes]) -> None:
    """Signed by somebody who knows the secret and damaged all the same: refused in words, never with an error."""
    with pytest.raises(Refused):
        await _accept(session, *_signed(damage(RIGHT)))


async def test_waiting_events(session: AsyncSession) -> None:
    """By the time they were made, then by id; handled ones do not come again."""
    for key, seconds in (("b", 1), ("a", 1), ("c", 0)):
        await _accept(session, *_signed(_body(_event(id=f"evt_{key}", created=STAMP + seconds))))
    waiting = await payments.waiting_events(session, now=NOW, limit=10)
    assert [event.id for event in waiting] == ["evt_c", "evt_a", "evt_b"]
    assert [event.id for event in await payments.waiting_events(session, now=NOW, limit=1)] == ["evt_c"]
    await payments.mark_handled(session, ["evt_c", "evt_a"], NOW)
    await payments.mark_handled(session, ["evt_c"], NOW + timedelta(hours=1))
    assert [event.id for event in await payments.waiting_events(session, now=NOW, limit=10)] == ["evt_b"]
    session.expire_all()
    assert (await session.get_one(models.StripeEvent, "evt_c")).handled_at == NOW


@pytest.mark.parametrize("kind", ["refund.created", "charge.dispute.funds_withdrawn"])
async def test_events_about_a_payment_wait_for_it_a_day(session: AsyncSession, kind: str) -> None:
    about = {"object": {"id": "re_1", "payment_intent": "pi_stranger"}}
    await _accept(session, *_signed(_body(_event(type=kind, data=about))))
    for later, count in ((0, 0), (86_400, 0), (86_401, 1)):
        now = NOW + timedelta(seconds=later)
        assert len(await payments.waiting_events(session, now=now, limit=10)) == count
    session.add(models.Claim(kind="payment_intent", name="pi_stranger", branch_id=1, event_id=1))
    await session.flush()
    assert len(await payments.waiting_events(session, now=NOW, limit=10)) == 1
