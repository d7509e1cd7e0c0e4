"""Off-boarding: the tree, the stores, the links, the customers and the money before and after, and the way back."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, network, notices, offboarding, orders, stores
from s2b2c.audit import audit
from s2b2c.config import Settings
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.network import Policy
from tests import factories
from tests.test_network import _member, _operator

DAY = timedelta(days=1)
JOINED = datetime(2026, 9, 1, 4, tzinfo=UTC)
TOUCHED = datetime(2026, 10, 1, 4, tzinfo=UTC)
GONE = datetime(2026, 10, 11, 4, tzinfo=UTC)
BACK = GONE + 5 * DAY
INSTANT = timedelta(microseconds=1)
WINDOW = Policy("window", 30, 7)
FIRST = Policy("first_touch", 30, 7)
REASON, APPEAL = "连续三期末位", "申诉成立"


class World(NamedTuple):
    """top > mid (suspended) > x (suspended), and a (with a1 below) and b (suspended) below x."""

    ids: dict[str, int]
    stores: dict[str, models.Store]
    customers: dict[str, int]
    operator: int

    def name_of(self, key: int | None) -> str | None:
        return next((name for name, one in self.ids.items() if one == key), None)


async def a_world(session: AsyncSession, *, has_home: bool = True) -> World:
    operator = await _operator(session)
    top = await _member(session, "TOP", now=JOINED)
    mid = await _member(session, "MID", top, rank=2, now=JOINED)
    x = await _member(session, "X", mid, rank=3, now=JOINED)
    a = await _member(session, "A", x, rank=3, now=JOINED)
    a1 = await _member(session, "A1", a, rank=3, now=JOINED)
    b = await _member(session, "B", x, rank=3, now=JOINED)
    ids = {"top": top.id, "mid": mid.id, "x": x.id, "a": a.id, "a1": a1.id, "b": b.id}
    shops = {}
    for name in ("x", "x2", "top", "a"):
        owner = await session.get_one(models.Distributor, ids[name[:1] if name[0] == "x" else name])
        shops[name] = await factories.a_store(session, owner)
    shops["x2"].state = "closed"  # by hand, long ago
    await session.flush()
    customers = {name: (await factories.a_customer(session)).id for name in ("c1", "c2", "c3")}
    await network.touch(session, customers["c1"], shops["x"].slug, policy=WINDOW, now=TOUCHED)
    await network.touch(session, customers["c2"], shops["x"].slug, policy=FIRST, now=TOUCHED)
    await network.touch(session, customers["c3"], shops["a"].slug, policy=WINDOW, now=TOUCHED)
    for one in ("b", "x", "mid") if has_home else ("b", "x", "mid", "top"):
        await network.suspend(session, ids[one], reason="核查", now=TOUCHED + DAY, account_id=operator)
    return World(ids, shops, customers, operator)


async def eliminated(session: AsyncSession, world: World, who: str = "x", at: datetime = GONE) -> models.Elimination:
    return await offboarding.eliminate(session, world.ids[who], reason=REASON, now=at, account_id=world.operator)


async def reinstated(session: AsyncSession, world: World, who: str = "x", at: datetime = BACK) -> models.Elimination:
    return await offboarding.reinstate(session, world.ids[who], reason=APPEAL, now=at, account_id=world.operator)


async def tree(session: AsyncSession, world: World) -> dict[str | None, tuple[Any, ...]]:
    """State, parent and ancestors of each, by name."""
    rows = await session.scalars(
        select(models.Distributor).where(models.Distributor.id.in_(world.ids.values())),
        execution_options={"populate_existing": True},
    )
    return {
        world.name_of(row.id): (
            row.state,
            world.name_of(row.parent_id),
            "<".join(world.name_of(key) or "?" for key in row.ancestors),
        )
        for row in rows
    }


async def holders(session: AsyncSession, world: World, at: datetime) -> dict[str, tuple[Any, ...] | None]:
    """Of each customer whose it is at a moment: (name, since, until, protected until, policy)."""
    found: dict[str, tuple[Any, ...] | None] = {}
    for name, key in world.customers.items():
        it = await network.binding_of(session, key, at)
        found[name] = (
            None
            if it is None
            else (*(world.name_of(it.distributor_id), it.during.lower, it.during.upper, it.protected_until, it.policy),)
        )
    return found


async def told(session: AsyncSession, distributor_id: int, language: notices.Language = "zh") -> list[str]:
    """Since the elimination."""
    rows = await session.scalars(
        select(models.Notice)
        .where(models.Notice.distributor_id == distributor_id, models.Notice.created_at >= GONE)
        .order_by(models.Notice.id)
    )
    return [notices.words(row.kind, row.facts, language) for row in rows]


async def rows_of(session: AsyncSession, *tables: str) -> list[object]:
    found: list[object] = []
    for table in tables or (
        *("distributors", "distributor_history", "stores", "store_history", "bindings", "notices", "sessions"),
        *("eliminations", "elimination_moves", "elimination_stores", "elimination_bindings", "transfers"),
    ):
        found += (await session.scalars(text(f"SELECT to_jsonb(t) FROM {table} t ORDER BY t::text"))).all()
    return found


BEFORE = {
    "top": ("active", None, "top"),
    "mid": ("suspended", "top", "mid<top"),
    "x": ("suspended", "mid", "x<mid<top"),
    "a": ("active", "x", "a<x<mid<top"),
    "a1": ("active", "a", "a1<a<x<mid<top"),
    "b": ("suspended", "x", "b<x<mid<top"),
}
OUT = {
    **BEFORE,
    "x": ("eliminated", "mid", "x<mid<top"),
    "a": ("active", "top", "a<top"),
    "a1": ("active", "a", "a1<a<top"),
    "b": ("suspended", "top", "b<top"),
}
HELD = {
    "c1": ("x", TOUCHED, TOUCHED + 30 * DAY, TOUCHED + 7 * DAY, "window"),
    "c2": ("x", TOUCHED, None, None, "first_touch"),
    "c3": ("a", TOUCHED, TOUCHED + 30 * DAY, TOUCHED + 7 * DAY, "window"),
}


async def test_everything_goes_to_the_nearest_upline_that_earns_and_comes_back(session: AsyncSession) -> None:
    world = await a_world(session)
    assert await tree(session, world) == BEFORE
    assert await holders(session, world, GONE) == HELD
    gone = await eliminated(session, world)
    assert (gone.at, gone.state_before, gone.home_id, gone.reason) == (GONE, "suspended", world.ids["top"], REASON)
    assert (gone.members, gone.downlines, gone.customers, gone.stores, gone.sessions) == (3, 2, 2, 1, 0)
    assert (gone.pending, gone.matured, gone.debt, gone.reinstated_at) == (0, 0, 0, None)
    assert await tree(session, world) == OUT
    assert await holders(session, world, GONE) == {
        "c1": ("top", GONE, TOUCHED + 30 * DAY, TOUCHED + 7 * DAY, "window"),
        "c2": ("top", GONE, None, None, "first_touch"),
        "c3": HELD["c3"],
    }
    assert await holders(session, world, GONE - INSTANT) == {
        "c1": ("x", TOUCHED, GONE, TOUCHED + 7 * DAY, "window"),
        "c2": ("x", TOUCHED, GONE, None, "first_touch"),
        "c3": HELD["c3"],
    }
    assert "".join(await told(session, world.ids["x"])) == (
        "你已退出分销网络：连续三期末位。店铺已关闭（1 家），2 位顾客与 2 位下级已转给TOP 店主；未结佣金 0.00 元仍会结算支付。"
        "你仍可登录查看通知、结算单与打款，并填写收款信息。"
    )
    assert await told(session, world.ids["top"], "en") == [
        "X 店主 has left the network: 2 customers and 2 downlines of it are yours now."
    ]
    for one in ("a", "b"):
        assert await told(session, world.ids[one]) == [
            "你的上级由 X 店主 变更为 TOP 店主：上级已退出网络 (upline eliminated)"
        ]
    assert await told(session, world.ids["a1"]) == []
    assert await audit(session) == []

    back = await reinstated(session, world)
    assert (back.id, back.reinstated_at, back.reinstated_by, back.reinstate_reason) == (
        *(gone.id, BACK, world.operator, APPEAL),
    )
    assert await tree(session, world) == {**BEFORE, "x": ("active", "mid", "x<mid<top")}
    assert await holders(session, world, BACK) == {
        "c1": ("x", BACK, TOUCHED + 30 * DAY, TOUCHED + 7 * DAY, "window"),
        "c2": ("x", BACK, None, None, "first_touch"),
        "c3": HELD["c3"],
    }
    assert (await told(session, world.ids["x"], "en"))[-1] == (
        "You are active again: 申诉成立. 1 of your stores are open, 2 customers and 2 downlines are yours again. "
        "Sign in anew."
    )
    assert (await told(session, world.ids["b"]))[1:] == [
        "你的上级由 TOP 店主 变更为 X 店主：上级已恢复 (upline reinstated)"
    ]
    assert await audit(session) == []


async def test_the_past_stays_as_it_was(session: AsyncSession) -> None:
    world = await a_world(session)
    await eliminated(session, world)
    await reinstated(session, world)
    moments = (GONE - INSTANT, GONE, BACK - INSTANT, BACK)
    uplines = await network.uplines_at(session, [(world.ids["a1"], at) for at in moments])
    assert [[world.name_of(it.id) for it in uplines[world.ids["a1"], at]] for at in moments] == [
        ["a", "x", "mid", "top"],
        ["a", "top"],
        ["a", "top"],
        ["a", "x", "mid", "top"],
    ]
    spans = [
        (row.start, row.end, row.state, row.reason, row.by.id)
        for row in await network.history(session, world.ids["x"], after=None, limit=3)
    ]
    assert spans == [
        (BACK, None, "active", APPEAL, world.operator),
        (GONE, BACK, "eliminated", REASON, world.operator),
        (TOUCHED + DAY, GONE, "suspended", "核查", world.operator),
    ]
    shop = world.stores["x"]
    shown = await stores.stores_at(session, [(shop.id, at) for at in moments])
    assert [(shown[shop.id, at].state, shown[shop.id, at].why, shown[shop.id, at].since) for at in moments] == [
        ("open", "imported", None),
        ("closed", "eliminated", GONE),
        ("closed", "eliminated", GONE),
        ("open", "reinstated", BACK),
    ]
    assert shown[shop.id, GONE].account_id == world.operator


async def test_links_to_a_closed_store_lead_to_its_customers_new_home(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await a_world(session)
    x, top, variant = world.stores["x"], world.stores["top"], await factories.a_variant(session)
    await factories.a_listing(session, x, variant.product_id)
    of_a = await network.share(session, x.id, world.ids["a"], product_id=variant.product_id, now=TOUCHED)
    await session.execute(
        update(models.Distributor).where(models.Distributor.id == world.ids["x"]).values(state="watch")
    )
    of_x = await network.share(session, x.id, world.ids["x"], now=TOUCHED)
    assert await network.moved_to(session, x.slug) is None
    await eliminated(session, world)
    assert await network.moved_to(session, x.slug) == top.slug
    assert await network.moved_to(session, world.stores["x2"].slug) is None  # it was closed in another way
    assert await network.moved_to(session, "no-such-store\0") is None
    assert await stores.open_store(session, x.slug) is None

    async def opens(**link: Any) -> tuple[int, str | None]:
        """The store that somebody new comes to, and whose customer it is then."""
        customer = await factories.a_customer(session)
        touched = await network.touch(session, customer.id, x.slug, policy=WINDOW, now=GONE + DAY, **link)
        return touched.store_id, world.name_of(touched.seller_id)

    assert await opens() == (top.id, "top")
    assert await opens(product_id=variant.product_id) == (top.id, "top")
    assert await opens(share_code=of_x.code) == (top.id, "top")
    assert await opens(share_code=of_a.code) == (top.id, "a")
    with pytest.raises(Refused, match="no such share link"):
        await opens(share_code="other")

    # The new home leaves too: on to the platform's own store, where one is named.
    await network.suspend(session, world.ids["top"], reason="核查", now=GONE + DAY, account_id=world.operator)
    later = await eliminated(session, world, "top", GONE + 2 * DAY)
    assert (later.home_id, later.downlines) == (None, 3)  # mid, a and b
    assert await network.moved_to(session, x.slug) is None
    with pytest.raises(Refused) as refused:
        await opens()
    assert refused.value.refusal == NotFound("There is no such store, or it is closed: look for another one.")
    house = await factories.a_store(session)
    monkeypatch.setattr("s2b2c.network.binding.settings", lambda: Settings(house_store=house.slug))
    assert [await network.moved_to(session, it.slug) for it in (x, top)] == [house.slug, house.slug]
    assert (await opens())[0] == house.id
    house.state = "closed"
    await session.flush()
    assert await network.moved_to(session, x.slug) is None

    # Reinstated, each leads home again.
    await reinstated(session, world, "top")
    assert await network.moved_to(session, x.slug) == top.slug
    await reinstated(session, world, "x", BACK + DAY)
    assert await network.moved_to(session, x.slug) is None
    assert await opens() == (x.id, "x")


async def test_nobody_orders_in_a_closed_store(session: AsyncSession) -> None:
    world = await a_world(session)
    variant = await factories.a_variant(session)
    await factories.a_listing(session, world.stores["x"], variant.product_id)
    customer = await session.get_one(models.Customer, world.customers["c1"])
    address = await factories.an_address(session, customer)
    await eliminated(session, world)
    before = await rows_of(session)
    cart = orders.Cart(customer.id, world.stores["x"].id, "t", [orders.CartLine(variant.id, 1)], address.id)
    assert await orders.place(session, [cart], policy=WINDOW, now=GONE + DAY) == [
        NotFound("There is no such open store.")
    ]
    assert await rows_of(session) == before


async def test_without_an_upline_that_earns_customers_are_free_and_downlines_roots(session: AsyncSession) -> None:
    world = await a_world(session, has_home=False)
    gone = await eliminated(session, world)
    assert (gone.home_id, gone.members, gone.downlines, gone.customers) == (None, 3, 2, 2)
    found = await tree(session, world)
    assert {name: found[name] for name in ("x", "a", "a1", "b")} == {
        "x": ("eliminated", "mid", "x<mid<top"),
        "a": ("active", None, "a"),
        "a1": ("active", "a", "a1<a"),
        "b": ("suspended", None, "b"),
    }
    assert await holders(session, world, GONE) == {"c1": None, "c2": None, "c3": HELD["c3"]}
    assert await told(session, world.ids["a"], "en") == [
        "Your upline has changed from X 店主 to the platform: 上级已退出网络 (upline eliminated)"
    ]
    assert await audit(session) == []
    # c2 is won by another one meanwhile, c1 by nobody; and then again when the time of its binding is over.
    await network.touch(session, world.customers["c2"], world.stores["a"].slug, policy=WINDOW, now=GONE + DAY)
    await reinstated(session, world)
    assert await holders(session, world, BACK) == {
        "c1": ("x", BACK, TOUCHED + 30 * DAY, TOUCHED + 7 * DAY, "window"),
        "c2": ("a", GONE + DAY, GONE + 31 * DAY, GONE + 8 * DAY, "window"),
        "c3": HELD["c3"],
    }
    found = await tree(session, world)
    assert found["a1"] == ("active", "a", "a1<a<x<mid<top")
    await network.suspend(session, world.ids["x"], reason="再查", now=BACK + DAY, account_id=world.operator)
    again = await eliminated(session, world, at=BACK + 2 * DAY)
    assert (again.id > gone.id, again.downlines, again.customers, again.stores) == (True, 2, 1, 1)
    late = TOUCHED + 40 * DAY
    await reinstated(session, world, at=late)
    assert (await holders(session, world, late))["c1"] is None
    assert await audit(session) == []


async def test_what_was_moved_since_stays_where_it_is(session: AsyncSession) -> None:
    world = await a_world(session)
    gone = await eliminated(session, world)
    ids, operator = world.ids, world.operator
    # b goes elsewhere and returns; mid with x below goes below a, so that a cannot come back without a cycle.
    for parent, days in ((ids["a1"], 1), (ids["top"], 2)):
        await network.move(session, ids["b"], parent, reason="调整", now=GONE + days * DAY, account_id=operator)
    await network.move(session, ids["mid"], ids["a"], reason="调整", now=GONE + 3 * DAY, account_id=operator)
    # Its own binding of c1 ended by a touch; c2 is still as it was left; a store was sold to somebody else.
    await network.touch(session, world.customers["c1"], world.stores["a"].slug, policy=WINDOW, now=GONE + DAY)
    await session.execute(
        update(models.Store).where(models.Store.id == world.stores["x"].id).values(distributor_id=ids["top"])
    )
    await reinstated(session, world)
    assert await tree(session, world) == {
        "top": ("active", None, "top"),
        "a": ("active", "top", "a<top"),
        "a1": ("active", "a", "a1<a<top"),
        "b": ("suspended", "top", "b<top"),
        "mid": ("suspended", "a", "mid<a<top"),
        "x": ("active", "mid", "x<mid<a<top"),
    }
    assert await holders(session, world, BACK) == {
        "c1": ("a", GONE + DAY, GONE + 31 * DAY, GONE + 8 * DAY, "window"),
        "c2": ("x", BACK, None, None, "first_touch"),
        "c3": HELD["c3"],
    }
    shop = await session.get_one(models.Store, world.stores["x"].id, populate_existing=True)
    assert (shop.state, shop.why) == ("closed", "eliminated")
    said = await offboarding.document(session, gone.id, BACK)
    assert [(it.code, it.is_back, it.parent.code) for it in said.downlines] == [
        ("A", False, "TOP"),
        ("B", False, "TOP"),
    ]
    assert said.customers_back == 1
    assert await audit(session) == []


async def test_a_customer_that_was_erased_or_whose_owner_prolonged_it(session: AsyncSession) -> None:
    """The home's own touch prolongs what it took over; the one it was taken from gets what is left of that."""
    world = await a_world(session)
    await eliminated(session, world)
    await network.touch(session, world.customers["c1"], world.stores["top"].slug, policy=WINDOW, now=GONE + DAY)
    await session.execute(
        update(models.Customer).where(models.Customer.id == world.customers["c2"]).values(erased_at=GONE + DAY)
    )
    await reinstated(session, world)
    found = await holders(session, world, BACK)
    assert found["c1"] == ("x", BACK, GONE + 31 * DAY, GONE + 8 * DAY, "window")
    assert found["c2"] == ("top", GONE, None, None, "first_touch")


async def test_what_is_refused_changes_nothing(session: AsyncSession) -> None:
    world = await a_world(session)
    imported = await factories.a_distributor(session, state="eliminated")
    waiting = await _member(session, "W", now=JOINED, approved=False)
    before = await rows_of(session)

    async def refusal(call: Any, key: int, reason: str = REASON) -> object:
        with pytest.raises(Refused) as caught:
            await call(session, key, reason=reason, now=GONE, account_id=world.operator)
        assert await rows_of(session) == before
        return caught.value.refusal

    nobody = NotFound("There is no such distributor: choose one of the list of distributors.")
    for call in (offboarding.eliminate, offboarding.reinstate):
        assert await refusal(call, 2**40) == nobody
        for reason in ("", " \t", "x" * 201, "a\0"):
            assert await refusal(call, world.ids["x"], reason) == BadArgument(
                "reason must be 1 to 200 printable characters, not all of them blank."
            )
    only = "only one that is watch or suspended can be eliminated."
    assert await refusal(offboarding.eliminate, world.ids["a"]) == WrongState(f"A is active; {only}")
    assert await refusal(offboarding.eliminate, waiting.id) == WrongState(f"W is applied; {only}")
    assert await refusal(offboarding.eliminate, imported.id) == WrongState(f"{imported.code} is eliminated; {only}")
    assert await refusal(offboarding.reinstate, world.ids["x"]) == WrongState(
        "X is suspended, not eliminated: there is nothing to undo."
    )
    assert await refusal(offboarding.reinstate, imported.id) == WrongState(
        f"{imported.code} was imported as eliminated: there is no record that could be undone."
    )
    with pytest.raises(Refused, match=r"GONE|no such elimination"):
        await offboarding.document(session, 2**40, GONE)
    with pytest.raises(Refused, match="No distributor with the code A was ever eliminated"):
        await offboarding.newest_of(session, "A")


async def test_a_clock_that_is_behind(session: AsyncSession) -> None:
    """Whatever began last is what it follows, a microsecond later; no span is empty and none overlaps."""
    world = await a_world(session)
    gone = await eliminated(session, world, at=JOINED)
    assert gone.at == TOUCHED + DAY + INSTANT  # right after the suspensions
    back = await reinstated(session, world, at=JOINED)
    assert back.reinstated_at == gone.at + INSTANT
    assert await holders(session, world, back.reinstated_at) == {
        "c1": ("x", back.reinstated_at, TOUCHED + 30 * DAY, TOUCHED + 7 * DAY, "window"),
        "c2": ("x", back.reinstated_at, None, None, "first_touch"),
        "c3": HELD["c3"],
    }
    assert await tree(session, world) == {**BEFORE, "x": ("active", "mid", "x<mid<top")}
    assert await audit(session) == []


async def test_the_document_says_it_all(session: AsyncSession) -> None:
    world = await a_world(session)
    gone = await eliminated(session, world)
    assert await offboarding.newest_of(session, "X") == gone.id
    said = await offboarding.document(session, gone.id, GONE)
    it = said.record
    assert (it.elimination.id, it.distributor.code, it.home and it.home.code) == (gone.id, "X", "TOP")
    assert (it.by.id, it.by.role, it.undone_by) == (world.operator, "operator", None)
    shop, top = world.stores["x"], world.stores["top"]
    assert said.stores == [(shop.id, shop.slug, shop.title, shop.region, False, top.slug)]
    assert [(it.code, it.state, it.is_back, it.parent.code) for it in said.downlines] == [
        ("A", "active", False, "TOP"),
        ("B", "suspended", False, "TOP"),
    ]
    assert (said.customers_back, said.open, list(said.statements)) == (0, (0, 0, 0, 0), [])
    await reinstated(session, world)
    said = await offboarding.document(session, gone.id, BACK)
    assert said.stores == [(shop.id, shop.slug, shop.title, shop.region, True, None)]
    assert [(it.is_back, it.parent.code) for it in said.downlines] == [(True, "X"), (True, "X")]
    assert (said.customers_back, said.record.undone_by and said.record.undone_by.id) == (2, world.operator)
    rows = await offboarding.list_eliminations(session, after=None, limit=10)
    assert [(it.elimination.id, it.distributor.code, it.home and it.home.code) for it in rows] == [
        (gone.id, "X", "TOP")
    ]
    assert await offboarding.list_eliminations(session, open_only=True, after=None, limit=10) == []
    assert await offboarding.list_eliminations(session, after=(gone.id,), limit=10) == []
