"""One-time codes: how they are sent, how long and how often they work, and what a hundred guesses at once come to."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientTimeout
from sqlalchemy import select, text

from s2b2c import accounts, models
from s2b2c.accounts import SignedIn, codes, limits
from s2b2c.config import Settings
from s2b2c.db import Database
from s2b2c.errors import BadArgument, Refusal, Refused, SignInOff, TooManyRequests, WrongCredentials
from tests.signing import OTHER_PHONE, PHONE, Door, door_to, point_at, refusal_of, signed_in
from tests.wechat_fake import running


@pytest.fixture
async def door(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    async with door_to(db, monkeypatch) as door:
        yield door


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


async def test_a_stranger_becomes_a_customer_and_stays_that_one(door: Door) -> None:
    first, again = await door.with_code(), await door.with_code()
    viewer = await door.viewer(first.access_token)
    assert viewer.customer_id is not None
    assert [(row.role, row.name, row.state) for row in first.memberships] == [("customer", None, None)]
    assert (await door.viewer(again.access_token)).customer_id == viewer.customer_id
    other = await door.viewer((await door.with_code(OTHER_PHONE)).access_token)
    assert other.customer_id != viewer.customer_id


@pytest.mark.parametrize("typed", ["+86 138-0000-1234", "008613800001234", " 138 0000 1234 ", "+8613800001234"])
async def test_however_it_is_typed_it_is_the_same_phone(door: Door, typed: str) -> None:
    await accounts.request_code(door.db, typed, door.caller())
    (sent,) = door.fake.messages
    assert (sent.phone, sent.minutes, sent.authorization) == ("+8613800001234", 5, None)
    assert len(sent.code) == 6
    assert sent.code.isdigit()
    signed_in(await accounts.with_code(door.db, PHONE, sent.code, door.caller()))


@pytest.mark.parametrize(
    "typed",
    [
        *("", "12345678901", "1380000123", "138000012345", "１３８００００１２３４", "02155556666"),
        *("+", "+8612345678901", "+1234567890123456", "+86+8613800001234", "\0", "\ud800", "1" * 100_000),
    ],
)
async def test_what_is_no_mobile_phone(door: Door, typed: str) -> None:
    for work in (
        accounts.request_code(door.db, typed, door.caller()),
        accounts.with_code(door.db, typed, "123456", door.caller()),
        accounts.with_password(door.db, typed, "correct horse", door.caller()),
    ):
        assert isinstance(await refusal_of(work), BadArgument)
    assert door.fake.messages == []


async def test_a_phone_of_another_country(door: Door) -> None:
    await accounts.request_code(door.db, "+44 7700 900123", door.caller())
    assert door.fake.messages[0].phone == "+447700900123"


async def test_a_code_works_once(door: Door) -> None:
    code = await door.code()
    signed_in(await accounts.with_code(door.db, PHONE, code, door.caller()))
    assert "ask for a new one" in (await refusal_of(accounts.with_code(door.db, PHONE, code, door.caller()))).message


async def test_of_twenty_at_once_with_the_right_code_one_gets_in(door: Door) -> None:
    code = await door.code()
    tries = (codes_redeemed(door, code) for _ in range(20))
    assert Counter(await asyncio.gather(*tries)) == {True: 1, False: 19}


async def codes_redeemed(door: Door, code: str) -> bool:
    async with door.db.write() as session:
        return await codes.redeem(session, PHONE, code, door.now) is None


async def test_a_code_works_for_five_minutes_and_only_the_newest(door: Door) -> None:
    code = await door.code()
    door.later(minutes=5)
    assert not await codes_redeemed(door, code)
    door.later(seconds=-0.001)
    assert await codes_redeemed(door, code)
    old = await door.code()
    new = await door.code()
    while new == old:
        new = await door.code()
    assert not await codes_redeemed(door, old)
    assert await codes_redeemed(door, new)


async def test_a_code_is_for_its_phone(door: Door) -> None:
    code = await door.code()
    other = await door.code(OTHER_PHONE)
    while other == code:
        other = await door.code(OTHER_PHONE)
    assert isinstance(await refusal_of(accounts.with_code(door.db, OTHER_PHONE, code, door.caller())), WrongCredentials)
    signed_in(await accounts.with_code(door.db, PHONE, code, door.caller()))


@pytest.mark.parametrize("typed", ["", "12345", "１２３４５６", "\0", "\ud800", "1" * 100_000])
async def test_what_is_no_code(door: Door, typed: str) -> None:
    await door.code()
    assert isinstance(await refusal_of(accounts.with_code(door.db, PHONE, typed, door.caller())), WrongCredentials)


async def test_a_hundred_wrong_codes_at_once_lock_out(door: Door) -> None:
    """Five are compared, five more find the code spent, ninety are not looked at; then the right one is worth nothing."""
    code = await door.code()
    guesses = [f"{(int(code) + n) % 10**6:06}" for n in range(1, 101)]
    outcomes = await asyncio.gather(
        *(refusal_of(accounts.with_code(door.db, PHONE, g, door.caller())) for g in guesses)
    )
    assert Counter((type(it), it.message.startswith("The code is wrong")) for it in outcomes) == {
        (WrongCredentials, True): 5,
        (WrongCredentials, False): 5,
        (TooManyRequests, False): 90,
    }
    async with door.db.read() as session:
        assert [(it.tries, it.used_at) for it in await session.scalars(select(models.OneTimeCode))] == [(5, None)]
        assert (await session.scalars(select(models.Session))).all() == []
    assert not await codes_redeemed(door, code), "also where nothing is limited"
    locked = await refusal_of(accounts.with_code(door.db, PHONE, code, door.caller()))
    assert isinstance(locked, TooManyRequests)
    assert locked.retry_after_s == 360, "ten an hour"
    new = await door.code()
    assert isinstance(await refusal_of(accounts.with_code(door.db, PHONE, new, door.caller())), TooManyRequests)
    signed_in_elsewhere = await door.with_code(OTHER_PHONE)
    assert signed_in_elsewhere.access_token is not None, "another phone is not locked"
    door.later(seconds=360 - 180)
    await door.with_code()
    assert isinstance((await wrong_tries(door, 10))[-1], WrongCredentials), "a right one is a new beginning"


async def wrong_tries(door: Door, number: int) -> list[SignedIn | Refusal]:
    code = await door.code()
    return [await accounts.with_code(door.db, PHONE, wrong(code), door.caller()) for _ in range(number)]


async def test_the_right_code_is_tried_fifth_but_not_sixth(door: Door) -> None:
    for number, works in ((4, True), (5, False)):
        code = await door.code()
        for _ in range(number):
            assert not await codes_redeemed(door, wrong(code))
        assert await codes_redeemed(door, code) is works


async def test_how_many_codes_are_sent(door: Door) -> None:
    async def ask(phone: str = PHONE) -> int:
        """Seconds to wait; 0 if it was sent."""
        try:
            await accounts.request_code(door.db, phone, door.caller())
        except Refused as refused:
            return getattr(refused.refusal, "retry_after_s", -1)
        return 0

    assert [await ask(), await ask()] == [0, 60]
    door.later(seconds=59)
    assert await ask() == 1
    assert await ask(OTHER_PHONE) == 0
    door.later(seconds=1)
    for _ in range(9):
        assert await ask() == 0
        door.later(minutes=1)
    assert await ask() == 24 * 360 - 10 * 60, "ten a day, one every 2.4 hours"
    assert len(door.fake.messages) == 11


async def test_how_many_codes_an_address_has_sent(door: Door) -> None:
    outcomes = await asyncio.gather(
        *(accounts.request_code(door.db, f"139{n:08}", door.caller()) for n in range(70)), return_exceptions=True
    )
    assert Counter(it is None for it in outcomes) == {True: 60, False: 10}
    assert len(door.fake.messages) == 60
    door.address = "203.0.113.8"
    await accounts.request_code(door.db, "13900000069", door.caller())


async def test_limits_hold_however_many_ask_at_once(db: Database, database_url: str) -> None:
    """Two pools, as of two processes; half of what came is let in again after half of the time."""
    other = Database(database_url)
    limit = limits.Limit("of a test", 10, limits.TRIES.span)
    now = Door.now

    async def take(one: Database) -> bool:
        try:
            async with one.write() as session:
                await limits.take(session, now, (limit, "x"), (limits.GUESTS, "x"))
        except Refused:
            return False
        return True

    both = [(db, other)[n % 2] for n in range(60)]
    assert (await asyncio.gather(*map(take, both))).count(True) == 10
    now += limit.span / 2
    assert (await asyncio.gather(*map(take, both))).count(True) == 5
    async with db.read() as session:
        spent = await session.scalar(
            select(models.RateLimit.empty_at).where(models.RateLimit.key == limits.GUESTS.key("x"))
        )
    assert spent == now + 5 * limits.GUESTS.step, "what was refused by one limit is not counted by the other"
    await other.close()


async def test_the_gateway_is_told_who_asks(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(door.fake, monkeypatch, sms_token="t0ken")
    await door.code()
    assert door.fake.messages[0].authorization == "Bearer t0ken"


@pytest.mark.parametrize("trouble", ["status", "hangs", "gone", "nonsense"])
async def test_a_gateway_that_does_not_send(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    monkeypatch.setattr(codes, "_TIMEOUT", ClientTimeout(total=0.2))
    door.fake.sms_status, door.fake.hangs = (500 if trouble == "status" else 200), trouble == "hangs"
    if trouble in {"gone", "nonsense"}:
        url = "http://127.0.0.1:1/sms?key=s3cret" if trouble == "gone" else "nonsense?key=s3cret"
        monkeypatch.setattr(codes, "settings", lambda: Settings(sms_url=url))
    assert isinstance(await refusal_of(accounts.request_code(door.db, PHONE, door.caller())), SignInOff)
    (record,) = [it for it in caplog.records if it.name.startswith("s2b2c")]
    assert "did not take a code" in record.getMessage()
    assert "s3cret" not in caplog.text
    assert PHONE not in caplog.text


async def test_without_a_gateway_nobody_is_sent_anything(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "settings", lambda: Settings(sms_url=None))
    assert "S2B2C_SMS_URL" in (await refusal_of(accounts.request_code(door.db, PHONE, door.caller()))).message


async def test_no_code_is_in_a_log_or_in_the_database(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with door_to(db, monkeypatch) as door:
            code = await door.code()
            await accounts.with_code(door.db, PHONE, wrong(code), door.caller())
            one = signed_in(await accounts.with_code(door.db, PHONE, code, door.caller()))
    ours = [it.getMessage() for it in caplog.records if it.name.split(".")[0] in {"s2b2c", "aiohttp", "sqlalchemy"}]
    for secret in (code, PHONE, one.refresh_token):
        assert not any(secret in line for line in ours)
    async with db.read() as session:
        stored = json.dumps((await session.scalars(text("SELECT to_jsonb(c) FROM one_time_codes c"))).all())
    assert code not in stored
    assert PHONE not in stored


async def test_the_stand_in_starts_and_stops() -> None:
    async with running() as one, running() as two:
        assert one.url != two.url
