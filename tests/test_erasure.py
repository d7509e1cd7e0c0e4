"""Who is erased is gone, whatever happens at the same time; what was bought and earned stays."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from s2b2c import accounts, customers, models, network, orders, privacy
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused, Unauthenticated, WrongCredentials, WrongState
from s2b2c.privacy import Proof, Reader
from tests import factories
from tests.lives import (
    HOME,
    POLICY,
    SECRETS,
    Known,
    a_customer,
    a_full_life,
    a_guest,
    a_shelf,
    breaches,
    erase,
    place,
    rows,
    steps,
)
from tests.signing import OTHER_PHONE, PHONE, Door, door_to, refusal_of, signed_in
from tests.wechat_fake import User


@pytest.fixture
async def door(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    async with door_to(db, monkeypatch) as door:
        yield door


async def refuses(door: Door, who: Known, told: str) -> None:
    before = await rows(door.db)
    with pytest.raises(Refused, match=told) as refused:
        await erase(door, who)
    assert isinstance(refused.value.refusal, WrongState)
    assert await rows(door.db) == before


# Erased


async def test_whoever_is_erased_is_gone_and_money_stays(door: Door) -> None:
    _, who = await a_full_life(door)
    await door.code()
    before, broken = await rows(door.db), await breaches(door.db)
    kept = {
        "orders",
        "order_lines",
        "transfers",
        "commissions",
        "claims",
        "bindings",
        "accounts",
        "supply_orders",
        "payments",
    }
    await erase(door, who)
    after = await rows(door.db)
    assert {table: after[table] for table in kept} == {table: before[table] for table in kept}
    gone = ("identities", "memberships", "sessions", "refresh_tokens", "one_time_codes", "invitations", "addresses")
    assert {table: after[table] for table in (*gone, "order_addresses")} == {
        table: [] for table in (*gone, "order_addresses")
    }
    assert [secret for secret in SECRETS if secret in str(after)] == []
    async with door.db.read() as session:
        customer = await session.get_one(models.Customer, who.customer_id)
        assert customer.ref.startswith("erased-")
        assert customer.erased_at == door.now
        assert (await session.scalars(select(models.RefundRequest.reason))).all() == [""]
        buckets = await session.scalars(select(models.RateLimit.key))
        taken = {limit.key(PHONE) for limit in privacy.erasure.BY_PHONE}
        assert set(buckets) & taken == set()
        (row,) = await session.scalars(select(models.PersonalRead))
    assert (row.purpose, row.account_id, row.person_id, row.customer_id) == (
        "erasure",
        None,
        who.person_id,
        who.customer_id,
    )
    assert await breaches(door.db) == broken


async def test_the_same_phone_is_somebody_new_who_sees_nothing_of_before(door: Door) -> None:
    shelf = await a_shelf(door.db)
    guest = await a_guest(door)
    who = await a_customer(door, guest_token=guest)
    await steps(door, await place(door, shelf, who), "completed")
    await erase(door, who)
    for token in (who.access_token, guest):
        with pytest.raises(Refused) as refused:
            await door.viewer(token)
        assert isinstance(refused.value.refusal, Unauthenticated)
    assert isinstance(await refusal_of(door.refresh(who.refresh_token)), WrongCredentials)
    again = await door.code()
    with_guest = accounts.with_code(door.db, PHONE, again, door.caller(guest_token=guest))
    assert isinstance(await refusal_of(with_guest), WrongCredentials), "what it was as a guest is nobody's any more"
    new = await door.viewer((await door.with_code()).access_token)
    assert (new.person_id, new.customer_id) != (who.person_id, who.customer_id)
    assert new.customer_id not in {None, who.customer_id}
    async with door.db.read() as session:
        assert new.customer_id is not None
        found = await orders.orders_of_customer(session, new.customer_id, state=None, after=None, limit=9)
        assert list(found) == []


async def test_nothing_is_done_for_an_erased_customer(door: Door) -> None:
    shelf = await a_shelf(door.db)
    who = await a_customer(door)
    await erase(door, who)
    assert isinstance(await place(door, shelf, who), NotFound)
    for work in (
        lambda session: customers.save_address(session, who.customer_id, HOME),
        lambda session: network.touch(session, who.customer_id, shelf.store.slug, policy=POLICY, now=door.now),
    ):
        with pytest.raises(Refused, match="no such customer"):
            async with door.db.write() as session:
                await work(session)
    with pytest.raises(Refused, match="no such person any more"):
        await erase(door, who)


async def test_staff_is_erased_and_its_colleagues_stay(door: Door) -> None:
    async with door.db.write() as session:
        finance = await account_of(session, "finance")
        for phone in (PHONE, OTHER_PHONE):
            await people.join(session, await people.find_or_make(session, {"phone": phone}, door.now), finance)
        person_id = await accounts.person_of(session, PHONE)
    async with door.db.write() as session:
        await privacy.erase(session, person_id, reader=Reader(), at=door.now)
    async with door.db.read() as session:
        assert (await session.scalars(select(models.Membership.role))).all() == ["finance"]
        assert await accounts.person_of(session, OTHER_PHONE) != person_id
        with pytest.raises(Refused, match="Nobody is known by this phone"):
            await accounts.person_of(session, PHONE)


# Refused


@pytest.mark.parametrize("state", ["placed", "paid", "shipped", "received", "half refunded"])
async def test_an_order_under_way_is_waited_for(door: Door, state: str) -> None:
    shelf = await a_shelf(door.db)
    who = await a_customer(door)
    placed = await place(door, shelf, who)
    if state != "placed":
        await steps(door, placed, state)
    await refuses(door, who, f"Order {placed.order_no} is under way")


@pytest.mark.parametrize("state", ["cancelled", "completed", "refunded"])
async def test_one_that_is_over_is_not_waited_for(door: Door, state: str) -> None:
    shelf = await a_shelf(door.db)
    who = await a_customer(door)
    await steps(door, await place(door, shelf, who), state)
    broken = await breaches(door.db)
    await erase(door, who)
    assert await breaches(door.db) == broken


@pytest.mark.parametrize("state", ["sending", "sent"])
async def test_a_refund_on_its_way_is_waited_for(door: Door, state: str) -> None:
    _, who = await a_full_life(door)
    async with door.db.write() as session:
        await session.execute(update(models.RefundRequest).values(state=state))
    await refuses(door, who, "A refund of order .* is on its way")


async def test_a_refund_that_came_before_its_payment_is_waited_for(door: Door) -> None:
    _, who = await a_full_life(door)
    async with door.db.write() as session:
        order = (await session.scalars(select(models.Order).where(models.Order.state == "cancelled"))).one()
        session.add(
            models.Refund(
                branch_id=order.branch_id, order_id=order.id, reference="w", state="waiting", refunded_at=door.now
            )
        )
    await refuses(door, who, "is on its way")


@pytest.mark.parametrize("stage", ["pending", "in a statement"])
async def test_money_of_a_distributor_is_waited_for_by_the_one_who_acts_for_it(door: Door, stage: str) -> None:
    shelf = await a_shelf(door.db)
    buyer = await a_customer(door, OTHER_PHONE)
    await steps(door, await place(door, shelf, buyer), "completed")
    if stage == "in a statement":
        async with door.db.write() as session:
            later = door.now + timedelta(days=60)
            assert await factories.a_settlement(session, cutoff=later, now=later)
    async with door.db.write() as session:
        held = await account_of(session, "distributor", None, shelf.owner.id)
        person_id = await people.find_or_make(session, {"phone": PHONE}, door.now)
        await people.join(session, person_id, held)
    who = Known(accounts.Viewer(held, "distributor"), 0, person_id, "", "", 0)
    await refuses(door, who, f"Commissions of {shelf.owner.code} are not paid out")
    async with door.db.write() as session:  # once somebody else acts for it too, nobody waits
        await people.join(session, await people.find_or_make(session, {"phone": "13700001111"}, door.now), held)
    await erase(door, who)


# At once


async def settled(*work: Awaitable[Any]) -> list[Any]:
    return list(await asyncio.gather(*work, return_exceptions=True))


async def test_erased_twice_at_once(door: Door) -> None:
    who = await a_customer(door)
    outcomes = await settled(*(erase(door, who) for _ in range(5)))
    refused = [it.refusal for it in outcomes if isinstance(it, Refused)]
    assert [it for it in outcomes if it is None] == [None]
    assert len(refused) == 4
    assert {type(it) for it in refused} == {NotFound}
    async with door.db.read() as session:
        assert len((await session.scalars(select(models.PersonalRead))).all()) == 1


async def test_erased_while_it_orders(door: Door) -> None:
    """It is refused for the order, or the order is: never an order of somebody who is gone."""
    shelf = await a_shelf(door.db)
    seen = set()
    for number in range(12):
        who = await a_customer(door, f"137000000{number:02}")
        work = [place(door, shelf, who), erase(door, who)]
        placed, erased = await settled(*(work if number % 2 else reversed(work)))
        placed, erased = (placed, erased) if number % 2 else (erased, placed)
        if isinstance(placed, orders.Placed):
            assert isinstance(erased, Refused)
            assert isinstance(erased.refusal, WrongState)
        else:
            assert isinstance(placed, NotFound)
            assert erased is None
        seen.add(type(placed))
        async with door.db.read() as session:
            gone = await session.scalar(select(models.Customer.erased_at).where(models.Customer.id == who.customer_id))
            its = select(models.Order.id).where(models.Order.customer_id == who.customer_id)
            assert (gone is None) == (len((await session.scalars(its)).all()) == 1)


async def test_erased_while_it_saves_an_address(door: Door) -> None:
    for number in range(8):
        who = await a_customer(door, f"137000000{number:02}")

        async def save(who: Known = who) -> None:
            async with door.db.write() as session:
                await customers.save_address(session, who.customer_id, HOME)

        outcomes = await settled(save(), erase(door, who))
        assert outcomes[1] is None
    async with door.db.read() as session:
        assert (await session.scalars(select(models.Address.id))).all() == []


async def person_of(door: Door, token: str) -> int | None:
    """None where the token stands for nobody any more."""
    try:
        return (await door.viewer(token)).person_id
    except Refused:
        return None


async def test_erased_while_it_signs_in(door: Door) -> None:
    """Whoever signs in is the one of before and signed out again, or somebody new: never the one who is gone."""
    for number in range(12):
        phone = f"137000000{number:02}"
        who = await a_customer(door, phone)
        code = await door.code(phone)
        work = [accounts.with_code(door.db, phone, code, door.caller()), erase(door, who)]
        outcomes = await settled(*(work if number % 2 else reversed(work)))
        one, erased = outcomes if number % 2 else reversed(outcomes)
        assert erased is None
        async with door.db.read() as session:
            left = await session.scalars(select(models.Session.id).where(models.Session.person_id == who.person_id))
            assert left.all() == []
            held = await session.scalars(
                select(models.Membership.account_id).where(models.Membership.person_id == who.person_id)
            )
            assert held.all() == []
        if isinstance(one, accounts.SignedIn) and one.access_token is not None:
            assert await person_of(door, one.access_token) != who.person_id
        else:
            assert isinstance(one, WrongCredentials), one


async def test_erased_while_its_session_goes_on(door: Door) -> None:
    for number in range(12):
        who = await a_customer(door, f"137000000{number:02}")
        turned, erased = await settled(door.refresh(who.refresh_token), erase(door, who))
        assert erased is None
        assert isinstance(turned, accounts.SignedIn | WrongCredentials)
    async with door.db.read() as session:
        assert (await session.scalars(select(models.RefreshToken.digest))).all() == []
        assert (await session.scalars(select(models.Session.id))).all() == []


# By oneself, with a proof


async def erase_me(door: Door, who: Known, **proof: str) -> Any:
    return await privacy.erase_me(door.db, who.viewer, Proof(**proof), door.caller())


async def test_one_erases_oneself_with_a_code(door: Door) -> None:
    who, other = await a_customer(door), await a_customer(door, OTHER_PHONE)
    code = await door.code()
    assert isinstance(
        await erase_me(door, who, phone=PHONE, code="000000" if code != "000000" else "1"), WrongCredentials
    )
    theirs = await door.code(OTHER_PHONE)
    assert "is not you" in (await refusal_of(erase_me(door, who, phone=OTHER_PHONE, code=theirs))).message
    assert await erase_me(door, who, phone=f"+86 {PHONE}", code=code) is None
    async with door.db.read() as session:
        (row,) = await session.scalars(select(models.PersonalRead))
        assert (await session.scalars(select(models.Identity.person_id))).all() == [other.person_id]
    assert (row.account_id, row.reader_id, row.person_id) == (who.viewer.account_id, who.person_id, who.person_id)


async def test_one_erases_oneself_with_a_password(door: Door) -> None:
    await accounts.create_operator(door.db, PHONE, "correct horse", door.now)
    one = await accounts.with_password(door.db, PHONE, "correct horse", door.caller())
    viewer = await door.viewer(one.access_token)
    wrong, right = Proof(password="wrong horse"), Proof(password="correct horse")
    assert isinstance(await refusal_of(privacy.erase_me(door.db, viewer, wrong, door.caller())), WrongCredentials)
    both = await settled(*(privacy.erase_me(door.db, viewer, right, door.caller()) for _ in range(2)))
    assert [it for it in both if it is None] == [None]
    (late,) = [it.refusal for it in both if isinstance(it, Refused)]
    assert isinstance(late, NotFound | WrongCredentials)
    with pytest.raises(Refused, match="No person with this phone has this password"):
        await accounts.with_password(door.db, PHONE, "correct horse", door.caller())


async def test_one_erases_oneself_in_the_mini_app(door: Door) -> None:
    from_wechat = [door.fake.code_for(User(name)) for name in ("o-1", "o-2", "o-1")]
    one = signed_in(await accounts.with_wechat(door.db, from_wechat[0], door.caller()))
    who = await door.viewer(one.access_token)
    stranger = privacy.erase_me(door.db, who, Proof(wechat_code=from_wechat[1]), door.caller())
    assert "is not you" in (await refusal_of(stranger)).message
    assert await privacy.erase_me(door.db, who, Proof(wechat_code=from_wechat[2]), door.caller()) is None


@pytest.mark.parametrize(
    "proof",
    [{}, {"phone": PHONE}, {"code": "1"}, {"password": "x", "wechat_code": "y"}, {"phone": PHONE, "wechat_code": "y"}],
)
async def test_a_proof_that_is_none(door: Door, proof: dict[str, str]) -> None:
    who = await a_customer(door)
    before = await rows(door.db)
    assert isinstance(await refusal_of(erase_me(door, who, **proof)), BadArgument)
    assert await rows(door.db) == before


async def test_a_code_is_good_again_where_it_was_refused(door: Door) -> None:
    """Nothing has changed, but that somebody has tried."""
    shelf = await a_shelf(door.db)
    who = await a_customer(door)
    placed = await place(door, shelf, who)
    code = await door.code()
    before = await rows(door.db)
    assert isinstance(await refusal_of(erase_me(door, who, phone=PHONE, code=code)), WrongState)
    after = await rows(door.db)
    assert {name for name in after if after[name] != before[name]} <= {"rate_limits"}
    await steps(door, placed, "cancelled")
    assert await erase_me(door, who, phone=PHONE, code=code) is None
