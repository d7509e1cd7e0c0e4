"""People: WeChat's users, guests who sign in, and two that turn out to be one."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientTimeout
from pydantic import SecretStr
from sqlalchemy import select
from starlette.responses import PlainTextResponse, Response

from s2b2c import accounts, crypto, models
from s2b2c.accounts import people, wechat
from s2b2c.config import Settings
from s2b2c.db import Database
from s2b2c.errors import Refused, SignInOff, TooManyRequests, Unauthenticated, WrongCredentials, WrongState
from tests.signing import OTHER_PHONE, PHONE, SECRET, Door, door_to, refusal_of, signed_in
from tests.wechat_fake import APP_SECRET, User


@pytest.fixture
async def door(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    async with door_to(db, monkeypatch) as door:
        yield door


async def with_wechat(door: Door, openid: str, unionid: str | None = None, **how: str) -> accounts.Viewer:
    code = door.fake.code_for(User(openid, unionid))
    one = await accounts.with_wechat(door.db, code, door.caller(guest_token=how.get("guest_token")))
    return await door.viewer(one.access_token)


async def a_guest(door: Door) -> str:
    async with door.db.write() as session:
        return await accounts.guest(session, SECRET, door.now, accounts.sessions.SESSION_LIFETIME)


async def identities(db: Database) -> dict[str, set[int]]:
    """The people behind each kind of identity, by what it is."""
    async with db.read() as session:
        rows = (await session.scalars(select(models.Identity))).all()
    found: dict[str, set[int]] = {}
    for row in rows:
        found.setdefault(crypto.keys().open(row.sealed, row.kind), set()).add(row.person_id)
    return found


# WeChat


async def test_a_user_of_wechat_becomes_a_customer_and_stays_that_one(door: Door) -> None:
    first = await with_wechat(door, "o-1", "u-1")
    assert first.customer_id is not None
    assert await with_wechat(door, "o-1", "u-1") == accounts.Viewer(
        first.account_id, "customer", customer_id=first.customer_id, session_id=2, person_id=first.person_id
    )
    assert (await with_wechat(door, "o-2", "u-2")).person_id != first.person_id
    assert set(await identities(door.db)) == {f"{door.fake.app_id}:o-1", f"{door.fake.app_id}:o-2", "u-1", "u-2"}


async def test_a_unionid_that_comes_later_is_added(door: Door) -> None:
    first = await with_wechat(door, "o-1")
    assert (await with_wechat(door, "o-1", "u-1")).person_id == first.person_id
    assert (await with_wechat(door, "o-of-another-app", "u-1")).person_id == first.person_id
    assert len(await identities(door.db)) == 3


async def test_twenty_logins_of_a_new_user_at_once_make_one_person(door: Door) -> None:
    viewers = await asyncio.gather(*(with_wechat(door, "o-1", "u-1") for _ in range(20)))
    assert len({viewer.person_id for viewer in viewers}) == 1
    async with door.db.read() as session:
        assert len((await session.scalars(select(models.Person))).all()) == 1
        assert len((await session.scalars(select(models.Membership))).all()) == 1


async def test_two_people_that_a_unionid_joins_become_one(door: Door) -> None:
    """The one is a customer; the other holds nothing that both cannot keep."""
    customer = await with_wechat(door, "o-1", "u-1")
    async with door.db.write() as session:
        other = await people.find_or_make(session, {"openid": f"{door.fake.app_id}:o-2", "phone": PHONE}, door.now)
        await people.join(session, other, await accounts.viewer.account_of(session, "operator"))
    joined = await with_wechat(door, "o-2", "u-1")
    assert joined.person_id == customer.person_id
    async with door.db.read() as session:
        held = (await session.scalars(select(models.Membership).order_by(models.Membership.role))).all()
    assert [(it.person_id, it.role) for it in held] == [
        (customer.person_id, "customer"),
        (customer.person_id, "operator"),
    ]
    assert set().union(*(await identities(door.db)).values()) == {customer.person_id}


async def test_two_customers_stay_two(door: Door) -> None:
    """What either has bought stays where it is."""
    first, second = await with_wechat(door, "o-1", "u-1"), await with_wechat(door, "o-2")
    assert (await with_wechat(door, "o-2", "u-1")).person_id == second.person_id
    assert (await with_wechat(door, "o-1", "u-1")).person_id == first.person_id
    assert len(set().union(*(await identities(door.db)).values())) == 2


async def test_somebody_with_a_password_is_not_given_to_another(door: Door) -> None:
    await with_wechat(door, "o-1", "u-1")
    await accounts.create_operator(door.db, PHONE, "correct horse", door.now)
    async with door.db.write() as session:
        operator = await people.find_or_make(session, {"phone": PHONE, "openid": f"{door.fake.app_id}:o-2"}, door.now)
    assert isinstance(await refusal_of(with_wechat(door, "o-2", "u-1")), WrongState)
    assert (await identities(door.db))[f"{door.fake.app_id}:o-2"] == {operator}


@pytest.mark.parametrize(
    ("trouble", "refusal", "told"),
    [
        (40029, WrongCredentials, "call wx.login()"),
        (40163, WrongCredentials, "call wx.login()"),
        (40226, WrongCredentials, "blocked"),
        (45011, TooManyRequests, "come back in a minute"),
        (-1, SignInOff, "does not answer"),
        (40013, SignInOff, "does not answer"),
        (lambda: Response(status_code=502), SignInOff, "does not answer"),
        (lambda: PlainTextResponse("<html>"), SignInOff, "does not answer"),
        (lambda: PlainTextResponse("[]"), SignInOff, "does not answer"),
        (lambda: PlainTextResponse("{}"), SignInOff, "does not answer"),
        (lambda: PlainTextResponse('{"errcode": []}'), SignInOff, "does not answer"),
        (lambda: PlainTextResponse('{"openid": 7}'), SignInOff, "does not answer"),
    ],
)
async def test_wechat_says_no(
    door: Door, caplog: pytest.LogCaptureFixture, trouble: int, refusal: type, told: str
) -> None:
    door.fake.trouble = trouble
    with caplog.at_level(logging.DEBUG):
        refused = await refusal_of(accounts.with_wechat(door.db, "any", door.caller()))
    assert isinstance(refused, refusal)
    assert told in refused.message
    assert APP_SECRET not in "".join(
        it.getMessage() for it in caplog.records if it.name.startswith(("s2b2c", "aiohttp"))
    )
    assert await identities(door.db) == {}


async def test_wechat_hangs_or_is_gone(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wechat, "_TIMEOUT", ClientTimeout(total=0.2))
    door.fake.hangs = True
    assert isinstance(await refusal_of(accounts.with_wechat(door.db, "any", door.caller())), SignInOff)
    away = Settings(
        wechat_app_id=door.fake.app_id,
        wechat_app_secret=SecretStr(APP_SECRET),
        wechat_api_base="http://127.0.0.1:1",
    )
    monkeypatch.setattr(wechat, "settings", lambda: away)
    assert isinstance(await refusal_of(accounts.with_wechat(door.db, "any", door.caller())), SignInOff)
    assert [it.getMessage().split("(")[1] for it in caplog.records if it.name == "s2b2c.accounts.wechat"] == [
        "TimeoutError)",
        "ClientConnectorError)",
    ]
    assert APP_SECRET not in caplog.text


async def test_a_code_of_wechat_works_once_and_nonsense_is_not_asked(door: Door) -> None:
    code = door.fake.code_for(User("o-1"))
    await accounts.with_wechat(door.db, code, door.caller())
    assert isinstance(await refusal_of(accounts.with_wechat(door.db, code, door.caller())), WrongCredentials)
    asked = door.fake.asked
    for nonsense in ("", "\0", "\ud800", "x" * 129):
        assert isinstance(await refusal_of(accounts.with_wechat(door.db, nonsense, door.caller())), WrongCredentials)
    assert door.fake.asked == asked


async def test_without_wechat_nobody_signs_in_with_it(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wechat, "settings", lambda: Settings(wechat_app_id=None))
    refusal = await refusal_of(accounts.with_wechat(door.db, "any", door.caller()))
    assert isinstance(refusal, SignInOff)
    assert "S2B2C_WECHAT_APP_ID" in refusal.message


# Guests


@pytest.mark.parametrize("way", ["code", "wechat"])
async def test_a_guest_that_signs_in_stays_the_same_customer(door: Door, way: str) -> None:
    token = await a_guest(door)
    guest = await door.viewer(token)
    if way == "code":
        viewer = await door.viewer((await door.with_code(guest_token=token)).access_token)
    else:
        viewer = await with_wechat(door, "o-1", guest_token=token)
    assert (viewer.customer_id, viewer.account_id) == (guest.customer_id, guest.account_id)
    with pytest.raises(Refused, match="not signed in any more") as refused:
        await door.viewer(token)
    assert isinstance(refused.value.refusal, Unauthenticated), "signing out must end it"
    async with door.db.read() as session:
        assert len((await session.scalars(select(models.Customer))).all()) == 1


async def test_who_is_a_customer_already_stays_that_one(door: Door) -> None:
    mine = await door.viewer((await door.with_code()).access_token)
    token = await a_guest(door)
    assert (await door.viewer((await door.with_code(guest_token=token)).access_token)).customer_id == mine.customer_id
    assert (await door.viewer(token)).customer_id != mine.customer_id, "the guest stays a guest"


async def test_staff_becomes_a_customer_only_as_a_guest(door: Door) -> None:
    async with door.db.write() as session:
        person_id = await people.find_or_make(session, {"phone": PHONE}, door.now)
        await people.join(session, person_id, await accounts.viewer.account_of(session, "finance"))
    code = await door.code()
    assert "password" in (await refusal_of(accounts.with_code(door.db, PHONE, code, door.caller()))).message
    signed = await door.with_code(guest_token=await a_guest(door))
    assert [row.role for row in signed.memberships] == ["customer"]


async def test_what_is_no_guest(door: Door) -> None:
    """The code is not used up by it."""
    token = await a_guest(door)
    mine = await door.with_code(guest_token=token)
    async with door.db.write() as session:
        customer = models.Customer(ref="kh-1")
        session.add(customer)
        await session.flush()
        named = await accounts.issue_token(
            session, role="customer", customer="kh-1", secret=SECRET, lifetime=accounts.sessions.SESSION_LIFETIME
        )
    code = await door.code(OTHER_PHONE)
    for wrong in (token, mine.access_token, named, "", "nonsense", "\ud800"):
        assert wrong is not None
        work = accounts.with_code(door.db, OTHER_PHONE, code, door.caller(guest_token=wrong))
        assert isinstance(await refusal_of(work), WrongCredentials)
    asked = door.fake.asked
    work = accounts.with_wechat(door.db, door.fake.code_for(User("o")), door.caller(guest_token=token))
    assert isinstance(await refusal_of(work), WrongCredentials)
    assert door.fake.asked == asked
    signed_in(await accounts.with_code(door.db, OTHER_PHONE, code, door.caller()))


async def test_two_that_come_as_one_guest_are_two(door: Door) -> None:
    token = await a_guest(door)
    code, other = await door.code(), await door.code(OTHER_PHONE)
    outcomes = await asyncio.gather(
        accounts.with_code(door.db, PHONE, code, door.caller(guest_token=token)),
        accounts.with_code(door.db, OTHER_PHONE, other, door.caller(guest_token=token)),
        return_exceptions=True,
    )
    customers = {
        (await door.viewer(it.access_token)).customer_id for it in outcomes if isinstance(it, accounts.SignedIn)
    }
    refused = [it for it in outcomes if isinstance(it, Refused)]
    assert len(customers) + len(refused) == 2, "each is a customer of its own, or is told to leave the guest out"
