"""Sessions: refresh tokens that work once, what a stolen one does, and how a session ends."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import IntegrityError

from s2b2c import accounts, models
from s2b2c.accounts import SignedIn, people
from s2b2c.accounts.sessions import ACCESS_LIFETIME, REFRESH_LIFETIME, SESSION_LIFETIME
from s2b2c.accounts.viewer import account_of
from s2b2c.db import Database
from s2b2c.errors import NotFound, Refused, Unauthenticated, WrongCredentials, WrongState
from tests import factories
from tests.signing import OTHER_PHONE, PHONE, SECRET, START, Door, door_to, refusal_of, signed_in


@pytest.fixture
async def door(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    async with door_to(db, monkeypatch) as door:
        yield door


async def a_distributor(door: Door, phone: str, *, brand: bool = False) -> list[int]:
    """A person who is a distributor and may be staff of a brand: the ids of its accounts."""
    async with door.db.write() as session:
        person_id = await people.find_or_make(session, {"phone": phone}, door.now)
        distributor = await factories.a_distributor(session)
        held = [await account_of(session, "distributor", None, distributor.id)]
        if brand:
            held.append(await account_of(session, "brand", (await factories.a_brand(session, "有名")).id))
        for account_id in held:
            await people.join(session, person_id, account_id)
    return held


async def is_refused(door: Door, token: str | None) -> bool:
    try:
        await door.viewer(token)
    except Refused as refused:
        return isinstance(refused.refusal, Unauthenticated)
    return False


async def test_a_session_goes_on_with_one_token_after_the_other(door: Door) -> None:
    first = await door.with_code()
    viewer = await door.viewer(first.access_token)
    assert (viewer.role, viewer.session_id is None, viewer.person_id is None) == ("customer", False, False)
    assert first.access_token_expires_at == door.now + ACCESS_LIFETIME
    door.later(minutes=15)
    assert await is_refused(door, first.access_token), "it lives for 15 minutes, its last one not included"
    second = signed_in(await door.refresh(first.refresh_token))
    assert await door.viewer(second.access_token) == viewer
    assert len({first.refresh_token, second.refresh_token}) == 2
    third = signed_in(await door.refresh(second.refresh_token))
    assert await door.viewer(third.access_token) == viewer
    async with door.db.read() as session:
        rows = (await session.scalars(select(models.RefreshToken))).all()
    assert Counter(row.session_id for row in rows) == {viewer.session_id: 3}
    assert [row.used_at is None for row in rows].count(True) == 1


async def test_a_token_that_comes_twice_ends_the_family(door: Door) -> None:
    first = await door.with_code()
    elsewhere = await door.with_code()
    second = signed_in(await door.refresh(first.refresh_token))
    third = signed_in(await door.refresh(second.refresh_token))
    assert "used before" in (await refusal_of(door.refresh(first.refresh_token))).message
    for one in (first, second, third):
        assert isinstance(await refusal_of(door.refresh(one.refresh_token)), WrongCredentials)
        assert await is_refused(door, one.access_token), "at once, not when it expires"
    assert not await is_refused(door, elsewhere.access_token), "another session is another family"
    signed_in(await door.refresh(elsewhere.refresh_token))
    async with door.db.read() as session:
        reasons = (await session.scalars(select(models.Session.end_reason).order_by(models.Session.id))).all()
    assert reasons == ["token_reused", None]


async def test_of_twenty_at_once_one_gets_through_and_the_family_ends(door: Door) -> None:
    first = await door.with_code()
    outcomes = await asyncio.gather(*(door.refresh(first.refresh_token) for _ in range(20)))
    assert Counter(type(it) for it in outcomes) == {SignedIn: 1, WrongCredentials: 19}
    (winner,) = [it for it in outcomes if isinstance(it, SignedIn)]
    assert await is_refused(door, winner.access_token)
    assert isinstance(await refusal_of(door.refresh(winner.refresh_token)), WrongCredentials)
    async with door.db.read() as session:
        assert len((await session.scalars(select(models.RefreshToken))).all()) == 2


async def test_a_session_that_is_not_used_ends_and_one_that_is_too(door: Door) -> None:
    one = await door.with_code()
    door.later(seconds=REFRESH_LIFETIME.total_seconds())
    refusal = await refusal_of(door.refresh(one.refresh_token))
    assert isinstance(refusal, WrongCredentials)
    assert "sign in again" in refusal.message
    other = await door.with_code()
    began = door.now
    while door.now + timedelta(days=29) < began + SESSION_LIFETIME:
        door.later(days=29)
        other = signed_in(await door.refresh(other.refresh_token))
    door.now = began + SESSION_LIFETIME - timedelta(seconds=1)
    other = signed_in(await door.refresh(other.refresh_token))
    door.later(seconds=1)
    assert isinstance(await refusal_of(door.refresh(other.refresh_token)), WrongCredentials)
    async with door.db.read() as session:
        reasons = (await session.scalars(select(models.Session.end_reason))).all()
    assert reasons == [None, None], "too old is not stolen"


@pytest.mark.parametrize("token", ["", "x", "\0", "\ud800", "９" * 5000, "eyJ.a.b"])
async def test_what_is_no_refresh_token(door: Door, token: str) -> None:
    one = await door.with_code()
    assert isinstance(await refusal_of(door.refresh(token)), WrongCredentials)
    assert one.access_token is not None
    assert isinstance(await refusal_of(door.refresh(one.access_token)), WrongCredentials)
    signed_in(await door.refresh(one.refresh_token))


async def test_signing_out_here_and_everywhere(door: Door) -> None:
    one, two, three = [await door.with_code() for _ in range(3)]
    other = await door.with_code(OTHER_PHONE)
    viewer = await door.viewer(one.access_token)

    async def end(**whose: int | None) -> int:
        async with door.db.write() as session:
            return await accounts.end(session, door.now, "signed_out", **whose)

    assert await end(session_id=viewer.session_id) == 1
    assert await end(session_id=viewer.session_id) == 0
    assert [await is_refused(door, it.access_token) for it in (one, two, three)] == [True, False, False]
    assert isinstance(await refusal_of(door.refresh(one.refresh_token)), WrongCredentials)
    assert await end(person_id=viewer.person_id) == 2
    for it in (one, two, three):
        assert await is_refused(door, it.access_token)
        assert isinstance(await refusal_of(door.refresh(it.refresh_token)), WrongCredentials)
    assert not await is_refused(door, other.access_token)


async def test_a_token_is_for_one_membership(door: Door) -> None:
    """Both a distributor and staff: a code opens the one, a password both."""
    distributor, brand = await a_distributor(door, PHONE, brand=True)
    by_code = await door.with_code()
    assert [(row.account_id, row.role) for row in by_code.memberships] == [(distributor, "distributor")]
    assert (await door.viewer(by_code.access_token)).account_id == distributor, "the only one"
    assert isinstance(await refusal_of(door.refresh(by_code.refresh_token, brand)), NotFound)
    by_code = signed_in(await door.refresh(by_code.refresh_token))
    await accounts.create_operator(door.db, PHONE, "correct horse", door.now)
    chosen = await accounts.with_password(door.db, PHONE, "correct horse", door.caller(account_id=brand))
    assert (await door.viewer(chosen.access_token)).name == "有名"
    open_ = await accounts.with_password(door.db, PHONE, "correct horse", door.caller())
    assert (open_.access_token, open_.membership) == (None, None)
    assert [row.role for row in open_.memberships] == ["distributor", "brand", "operator"]
    held = [row.account_id for row in open_.memberships]
    turn = open_
    for account_id, role in zip(held, ("distributor", "brand", "operator"), strict=True):
        turn = signed_in(await door.refresh(turn.refresh_token, account_id))
        viewer = await door.viewer(turn.access_token)
        assert (viewer.account_id, viewer.role) == (account_id, role)
        turn = signed_in(await door.refresh(turn.refresh_token))
        assert (await door.viewer(turn.access_token)).account_id == account_id, "it stays the one that was chosen"
    assert isinstance(await refusal_of(door.refresh(turn.refresh_token, 10**9)), NotFound)
    signed_in(await door.refresh(turn.refresh_token))
    assert isinstance(
        await refusal_of(accounts.with_password(door.db, PHONE, "correct horse", door.caller(account_id=10**9))),
        NotFound,
    )


async def test_a_membership_that_is_taken_away_is_gone_at_once(door: Door, database_url: str) -> None:
    held = await a_distributor(door, PHONE)
    one = await door.with_code()
    owner = Database(database_url)
    async with owner.write() as session:
        await session.execute(text("SET ROLE NONE"))
        await session.execute(text("DELETE FROM memberships"))
    await owner.close()
    assert await is_refused(door, one.access_token)
    assert isinstance(await refusal_of(door.refresh(one.refresh_token)), NotFound)
    async with door.db.write() as session:
        (person_id,) = (await session.scalars(select(models.Person.id))).all()
        await people.join(session, person_id, held[0])
    signed_in(await door.refresh(one.refresh_token))


async def test_staff_without_anything_else_cannot_enter_with_a_code(door: Door) -> None:
    await accounts.create_operator(door.db, PHONE, "correct horse", door.now)
    code = await door.code()
    refusal = await refusal_of(accounts.with_code(door.db, PHONE, code, door.caller()))
    assert isinstance(refusal, WrongState)
    assert "password" in refusal.message
    async with door.db.read() as session:
        assert (await session.scalars(select(models.Session))).all() == []


async def test_a_token_of_one_session_does_not_open_another_account(door: Door) -> None:
    """Signed by us, but for an account that its person does not hold."""
    await a_distributor(door, OTHER_PHONE)
    mine, theirs = await door.with_code(), await door.with_code(OTHER_PHONE)
    me, they = await door.viewer(mine.access_token), await door.viewer(theirs.access_token)
    from_both = accounts.tokens.Claims(they.account_id, me.session_id)
    token = accounts.tokens.signed(from_both, SECRET, now=door.now, lifetime=ACCESS_LIFETIME)
    assert await is_refused(door, token)


async def test_nothing_secret_is_stored_or_shown(door: Door) -> None:
    one = await door.with_code()
    shown = repr(one)
    assert "customer" in shown
    async with door.db.read() as session:
        rows = ""
        for table in models.Session.metadata.tables:
            rows += str((await session.scalars(text(f"SELECT to_jsonb(t) FROM {table} t"))).all())
    code = door.fake.sent_to(f"+86{PHONE}")
    for secret in (one.refresh_token, one.access_token, PHONE, f'"{code}"', SECRET):
        assert secret is not None
        assert secret not in rows
        assert secret not in shown


async def test_one_person_is_one_customer(db: Database) -> None:
    """The database says so, whatever the code does."""
    async with db.write() as session:
        accounts_ = [await accounts.viewer.new_customer(session) for _ in range(2)]
        owners = [await people.find_or_make(session, {"phone": f"1380000000{n}"}, START) for n in range(2)]
        await people.join(session, owners[0], accounts_[0])
    for person_id, account_id, constraint in (
        (owners[0], accounts_[1], "uq_memberships_person"),
        (owners[1], accounts_[0], "uq_memberships_customer"),
    ):
        with pytest.raises(IntegrityError, match=constraint):
            async with db.write() as session:
                session.add(models.Membership(person_id=person_id, account_id=account_id, role="customer"))
    with pytest.raises(IntegrityError, match="fk_memberships_account_id_role"):
        async with db.write() as session:
            session.add(models.Membership(person_id=owners[1], account_id=accounts_[1], role="operator"))


async def test_what_is_over_for_long_is_cleared(door: Door) -> None:
    """A month later; until then nothing, and never a session that goes on."""
    ended, stays = await door.with_code(), await door.with_code()
    begun = door.now
    viewer = await door.viewer(ended.access_token)
    async with door.db.write() as session:
        await accounts.end(session, begun, "signed_out", session_id=viewer.session_id)

    async def forget(limit: int = 100) -> int:
        async with door.db.write() as session:
            return await accounts.forget(session, door.now, limit=limit)

    async def left() -> list[int]:
        async with door.db.read() as session:
            counted = (models.Session, models.RefreshToken, models.OneTimeCode, models.RateLimit)
            return [len((await session.execute(select(it))).all()) for it in counted]

    assert await forget() == 0
    assert await left() == [2, 2, 1, 4]
    door.now = begun + timedelta(days=29)
    stays = signed_in(await door.refresh(stays.refresh_token))
    assert await forget() == 5
    assert await left() == [2, 3, 0, 0]
    door.now = begun + timedelta(days=31)
    assert await forget() == 1
    assert await left() == [1, 2, 0, 0]
    signed_in(await door.refresh(stays.refresh_token))


async def test_the_viewer_is_one_statement(door: Door) -> None:
    one = await door.with_code()
    seen: list[str] = []
    engine = door.db._engine.sync_engine

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    await door.viewer(one.access_token)
    event.remove(engine, "before_cursor_execute", note)
    assert len(seen) == 1
