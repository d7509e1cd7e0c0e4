"""Passwords of staff, the first operator, and invitations."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import accounts, models
from s2b2c.accounts import SignedIn, Viewer, invitations, limits, passwords
from s2b2c.accounts.viewer import account_of
from s2b2c.db import Database
from s2b2c.errors import (
    BadArgument,
    NotFound,
    Refusal,
    TooManyRequests,
    Unauthenticated,
    WrongCredentials,
    WrongState,
)
from tests import factories
from tests.commands import cli
from tests.signing import OTHER_PHONE, PHONE, Door, door_to, refusal_of, signed_in

PASSWORD = "correct horse 电池"
CREATE = ("operator", "create", "--phone")


@pytest.fixture
async def door(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    async with door_to(db, monkeypatch) as door:
        yield door


async def sign_in(door: Door, password: str, phone: str = PHONE) -> SignedIn:
    return await accounts.with_password(door.db, phone, password, door.caller())


async def password_hash(db: Database) -> str | None:
    async with db.read() as session:
        return (await session.scalars(select(models.Person.password_hash))).one()


def test_the_hash_of_nobody_is_as_dear_as_a_real_one() -> None:
    hasher = passwords._HASHER.current_hasher
    assert not hasher.check_needs_rehash(passwords._NOBODYS)
    real, none = hasher.hash("x"), passwords._NOBODYS
    assert [len(part) for part in none.split("$")] == [len(part) for part in real.split("$")]
    assert real.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_time_does_not_tell_whether_there_is_a_password() -> None:
    known = await passwords.hashed(PASSWORD)

    async def took(password_hash: str | None) -> float:
        times = []
        for _ in range(7):
            begun = time.perf_counter()
            assert not await passwords.matches("another one", password_hash)
            times.append(time.perf_counter() - begun)
        return sorted(times)[1]

    ratio = await took(None) / await took(known)
    assert 0.5 < ratio < 2, ratio


@pytest.mark.parametrize(
    "password", ["", "123456789", "x" * 129, "aaabbbcccaaa", "correct\0horse", "correct\ud800horse"]
)
async def test_what_is_no_password(db: Database, password: str) -> None:
    refusal = await refusal_of(accounts.create_operator(db, PHONE, password, Door.now))
    assert isinstance(refusal, BadArgument)
    assert not password or password not in refusal.message
    async with db.read() as session:
        assert (await session.scalars(select(models.Person))).all() == []


async def test_the_first_operator_signs_in(door: Door) -> None:
    assert await accounts.create_operator(door.db, PHONE, PASSWORD, door.now)
    one = await sign_in(door, PASSWORD)
    viewer = await door.viewer(one.access_token)
    assert (viewer.role, [row.role for row in one.memberships]) == ("operator", ["operator"])
    stored = await password_hash(door.db)
    assert stored is not None
    assert stored.startswith("$argon2id$")
    assert await passwords.matches(PASSWORD, stored)


async def test_a_forgotten_password_is_replaced_at_the_command_line(door: Door) -> None:
    await accounts.create_operator(door.db, PHONE, PASSWORD, door.now)
    one = await sign_in(door, PASSWORD)
    assert not await accounts.create_operator(door.db, PHONE, "another horse", door.now)
    assert isinstance(await refusal_of(door.viewer(one.access_token)), Unauthenticated)
    assert isinstance(await refusal_of(sign_in(door, PASSWORD)), WrongCredentials)
    assert [row.role for row in (await sign_in(door, "another horse")).memberships] == ["operator"]


async def test_wrong_passwords_look_all_the_same(door: Door) -> None:
    await accounts.create_operator(door.db, PHONE, PASSWORD, door.now)
    await door.with_code(OTHER_PHONE)
    refusals = [
        await refusal_of(sign_in(door, password, phone))
        for password, phone in (
            ("wrong horse", PHONE),
            ("", PHONE),
            (PASSWORD + "\0", PHONE),
            ("\ud800", PHONE),
            ("x" * 100_000, PHONE),
            (PASSWORD, OTHER_PHONE),
            ("", OTHER_PHONE),
            (PASSWORD, "13700001111"),
            ("", "13700001111"),
        )
    ]
    assert set(refusals) == {WrongCredentials("No person with this phone has this password.")}


async def test_a_hundred_wrong_passwords_at_once_lock_out(door: Door) -> None:
    await accounts.create_operator(door.db, PHONE, PASSWORD, door.now)
    outcomes = await asyncio.gather(*(refusal_of(sign_in(door, f"wrong horse {n}")) for n in range(100)))
    assert Counter(map(type, outcomes)) == {WrongCredentials: 10, TooManyRequests: 90}
    assert isinstance(await refusal_of(sign_in(door, PASSWORD)), TooManyRequests)
    door.later(minutes=6)
    await sign_in(door, PASSWORD)
    assert Counter([type(await refusal_of(sign_in(door, "wrong horse"))) for _ in range(11)]) == {
        WrongCredentials: 10,
        TooManyRequests: 1,
    }, "a right one is a new beginning"


async def test_an_address_that_tries_many_phones_is_locked_out(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRIES_OF_ADDRESS", limits.TRIES_OF_ADDRESS._replace(most=20))
    outcomes = [await refusal_of(sign_in(door, "wrong horse", f"137{n:08}")) for n in range(22)]
    assert Counter(map(type, outcomes)) == {WrongCredentials: 20, TooManyRequests: 2}
    door.address = "203.0.113.8"
    assert isinstance(await refusal_of(sign_in(door, "wrong horse", "13700000021")), WrongCredentials)


async def test_another_password_ends_the_other_sessions(door: Door) -> None:
    await accounts.create_operator(door.db, PHONE, PASSWORD, door.now)
    here, there = await sign_in(door, PASSWORD), await sign_in(door, PASSWORD)
    me = await door.viewer(here.access_token)
    assert me.person_id is not None
    assert me.session_id is not None

    async def change(old: str, new: str) -> None:
        assert me.person_id is not None
        assert me.session_id is not None
        await accounts.change_password(door.db, me.person_id, me.session_id, old, new, door.caller())

    assert isinstance(await refusal_of(change(PASSWORD, "short")), BadArgument)
    assert isinstance(await refusal_of(change("wrong horse", "another horse")), WrongCredentials)
    await door.viewer(there.access_token)
    await change(PASSWORD, "another horse")
    await door.viewer(here.access_token)
    assert isinstance(await refusal_of(door.viewer(there.access_token)), Unauthenticated)
    assert isinstance(await refusal_of(door.refresh(there.refresh_token)), WrongCredentials)
    signed_in(await door.refresh(here.refresh_token))
    assert isinstance(await refusal_of(sign_in(door, PASSWORD)), WrongCredentials)
    await sign_in(door, "another horse")
    outcomes = [await refusal_of(change("wrong horse", "another horse")) for _ in range(11)]
    assert Counter(map(type, outcomes)) == {WrongCredentials: 10, TooManyRequests: 1}


async def test_a_password_that_changes_while_it_is_checked(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one is right when it is compared; by then it is too late."""
    await accounts.create_operator(door.db, PHONE, PASSWORD, door.now)
    compare = passwords.matches

    async def slowly(password: str, stored: str | None) -> bool:
        right = await compare(password, stored)
        await accounts.create_operator(door.db, PHONE, "another horse", door.now)
        return right

    monkeypatch.setattr(passwords, "matches", slowly)
    assert isinstance(await refusal_of(sign_in(door, PASSWORD)), WrongCredentials)
    async with door.db.read() as session:
        assert (await session.scalars(select(models.Session))).all() == []


def test_the_command(database_url: str) -> None:
    done = cli(database_url, *CREATE, PHONE, typed=f"{PASSWORD}\n")
    assert done == "The operator was made.\n"
    assert cli(database_url, *CREATE, "+86 138 0000 1234", typed=f"{PASSWORD}x\n") == (
        "This person is an operator and has this password now.\n"
    )
    said = cli(database_url, *CREATE, PHONE, typed="short\n", code=1)
    assert said == "s2b2c: A password must have 10 to 128 printable characters.\n"
    assert "mobile phone" in cli(database_url, *CREATE, "1", typed=f"{PASSWORD}\n", code=1)


# Invitations


async def a_viewer(session: AsyncSession, role: str, brand: models.Brand | None = None) -> Viewer:
    brand_id = brand.id if brand else None
    return Viewer(await account_of(session, role, brand_id), role, brand_id)


async def invited(door: Door, role: str, *, by: str = "operator", phone: str = PHONE) -> str:
    """The token of an invitation to a role, of a brand or distributor where it has one."""
    async with door.db.write() as session:
        brand = await factories.a_brand(session, "有名") if "brand" in {role, by} else None
        distributor = await factories.a_distributor(session) if role == "distributor" else None
        invitation = await accounts.invite(
            session,
            await a_viewer(session, by, brand if by == "brand" else None),
            phone,
            role=role,
            brand_id=brand.id if brand else None,
            distributor_id=distributor.id if distributor else None,
            now=door.now,
        )
    assert invitation.expires_at == door.now + timedelta(days=7)
    assert invitation.token not in repr(invitation)
    return invitation.token


async def accept(door: Door, token: str, password: str | None = None, phone: str = PHONE) -> SignedIn | Refusal:
    code = await door.code(phone)
    return await accounts.accept(door.db, token, phone, code, password, door.caller())


@pytest.mark.parametrize(("role", "by"), [("finance", "operator"), ("operator", "operator"), ("brand", "brand")])
async def test_staff_is_invited_and_has_a_password_from_then_on(door: Door, role: str, by: str) -> None:
    one = signed_in(await accept(door, await invited(door, role, by=by), PASSWORD))
    viewer = await door.viewer(one.access_token)
    assert (viewer.role, viewer.name) == (role, "有名" if role == "brand" else None)
    again = await sign_in(door, PASSWORD)
    assert (await door.viewer(again.access_token)).account_id == viewer.account_id


async def test_a_distributor_is_invited_and_needs_none(door: Door) -> None:
    one = signed_in(await accept(door, await invited(door, "distributor")))
    assert (await door.viewer(one.access_token)).role == "distributor"
    assert [row.role for row in (await door.with_code()).memberships] == ["distributor"]
    assert await password_hash(door.db) is None


async def test_an_invitation_works_once_for_its_phone_and_for_seven_days(door: Door) -> None:
    token = await invited(door, "distributor")
    for wrong, phone in ((token, OTHER_PHONE), ("", PHONE), ("\ud800", PHONE), (token + "x", PHONE)):
        assert isinstance(await refusal_of(accept(door, wrong, phone=phone)), NotFound)
    code = await door.code()
    bad = f"{(int(code) + 1) % 10**6:06}"
    assert isinstance(
        await refusal_of(accounts.accept(door.db, token, PHONE, bad, None, door.caller())), WrongCredentials
    )
    signed_in(await accept(door, token))
    assert isinstance(await refusal_of(accept(door, token)), NotFound)
    late = await invited(door, "finance")
    door.later(days=7, minutes=-1)
    assert isinstance(await refusal_of(accept(door, late, PASSWORD)), NotFound)
    async with door.db.read() as session:
        held = (await session.scalars(select(models.Membership.role))).all()
        stored = str((await session.scalars(text("SELECT to_jsonb(i) FROM invitations i"))).all())
    assert held == ["distributor"]
    assert token not in stored
    assert PHONE not in stored


async def test_twenty_that_accept_at_once_are_one(door: Door) -> None:
    token = await invited(door, "distributor")
    code = await door.code()
    async with door.db.write() as session:
        await session.execute(text("UPDATE one_time_codes SET tries = -100"))
    outcomes = await asyncio.gather(
        *(accounts.accept(door.db, token, PHONE, code, None, door.caller()) for _ in range(8)), return_exceptions=True
    )
    assert [type(it) for it in outcomes].count(SignedIn) == 1
    async with door.db.read() as session:
        assert len((await session.scalars(select(models.Membership))).all()) == 1


async def test_staff_says_a_password_and_the_one_it_has(door: Door) -> None:
    """A brand cannot replace it; an operator can, and then other sessions end."""
    by_brand = await invited(door, "brand", by="brand")
    assert isinstance(await refusal_of(accept(door, by_brand)), BadArgument)
    assert isinstance(await refusal_of(accept(door, by_brand, "short")), BadArgument)
    await accounts.create_operator(door.db, PHONE, PASSWORD, door.now)
    before = await sign_in(door, PASSWORD)
    assert isinstance(await refusal_of(accept(door, by_brand, "another horse")), WrongCredentials)
    one = signed_in(await accept(door, by_brand, PASSWORD))
    assert (await door.viewer(one.access_token)).role == "brand"
    await door.viewer((await sign_in_as_operator(door, PASSWORD)).access_token)
    by_operator = await invited(door, "finance")
    two = signed_in(await accept(door, by_operator, "another horse"))
    assert (await door.viewer(two.access_token)).role == "finance"
    for ended in (before, one):
        assert isinstance(await refusal_of(door.refresh(ended.refresh_token)), WrongCredentials)
    assert isinstance(await refusal_of(sign_in(door, PASSWORD)), WrongCredentials)
    assert sorted(row.role for row in two.memberships) == ["brand", "finance", "operator"]


async def sign_in_as_operator(door: Door, password: str) -> SignedIn:
    async with door.db.read() as session:
        account_id = await session.scalar(select(models.Account.id).where(models.Account.role == "operator"))
    return await accounts.with_password(door.db, PHONE, password, door.caller(account_id=account_id))


async def test_whom_nobody_may_invite(door: Door) -> None:
    async with door.db.write() as session:
        brand, other = await factories.a_brand(session), await factories.a_brand(session)
        distributor = await factories.a_distributor(session)
        of_brand, operator = await a_viewer(session, "brand", brand), await a_viewer(session, "operator")
    for viewer, role, brand_id, distributor_id, refusal in (
        (of_brand, "finance", None, None, BadArgument),
        (of_brand, "operator", brand.id, None, BadArgument),
        (of_brand, "brand", other.id, None, BadArgument),
        (of_brand, "distributor", None, distributor.id, BadArgument),
        (operator, "brand", None, None, BadArgument),
        (operator, "finance", brand.id, None, BadArgument),
        (operator, "brand", brand.id, distributor.id, BadArgument),
        (operator, "distributor", None, 10**9, NotFound),
        (operator, "brand", 10**9, None, NotFound),
    ):
        async with door.db.write() as session:
            work = accounts.invite(
                session,
                viewer,
                PHONE,
                role=role,
                brand_id=brand_id,
                distributor_id=distributor_id,
                now=door.now,
            )
            assert isinstance(await refusal_of(work), refusal), (viewer.role, role)
    async with door.db.read() as session:
        assert (await session.scalars(select(models.Invitation))).all() == []


async def test_nobody_holds_more_than_anybody_needs(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MAX_MEMBERSHIPS", 1)
    signed_in(await accept(door, await invited(door, "distributor")))
    assert isinstance(await refusal_of(accept(door, await invited(door, "distributor"))), WrongState)
    async with door.db.read() as session:
        assert len((await session.scalars(select(models.Membership))).all()) == 1


async def test_a_hundred_invitations_a_day(door: Door) -> None:
    async with door.db.write() as session:
        await session.execute(text("SELECT 1"))
        viewer = await a_viewer(session, "operator")
        for n in range(100):
            await accounts.invite(session, viewer, f"137{n:08}", role="finance", now=door.now)
    async with door.db.write() as session:
        work = accounts.invite(session, viewer, PHONE, role="finance", now=door.now)
        assert isinstance(await refusal_of(work), TooManyRequests)
