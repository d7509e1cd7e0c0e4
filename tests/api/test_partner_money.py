"""What a distributor earns, what its branches sell, and what it is told."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from s2b2c import catalogue, commissions, models, orders
from s2b2c.api.types.ids import encode
from s2b2c.db import AnyRow, Database
from tests import factories
from tests.api.client import Api
from tests.api.test_partner import NOW, a_shop, shelf
from tests.snapshot import snapshot


async def test_the_owner_is_told_of_a_clamp_and_of_a_withdrawal(api: Api) -> None:
    shop = await a_shop(api, listed=2)
    async with api.db.write() as session:
        await factories.reprice(session, shop.products[0], NOW, min_price=5500, suggested_price=5600)
        await factories.reprice(session, shop.products[1], NOW, tier_costs=[3500])
        await session.execute(text("CREATE TEMP TABLE touched ON COMMIT DROP AS SELECT id AS product_id FROM products"))
        assert await catalogue.fit_listings(session, NOW) == 2
    assert await shelf(api.db, shop) == [(0, 5500, 10, "", False)]
    title = shop.store.title
    answer = await api.run("partner/Notices", shop.token)
    assert answer["data"]["partner"]["unreadNotices"] == 1
    (edge,) = answer["data"]["partner"]["notices"]["edges"]
    assert (edge["node"]["kind"], edge["node"]["text"]) == (
        "LISTINGS_FITTED",
        (
            "限价、拿货价或品牌规则有变：改价 1 件，下架 1 件，清空文案 0 件。"
            f"其中：「商品0」（{title}）49.90 → 55.00 元；「商品1」（{title}）下架。"
        ),
    )
    english = await api.run("partner/Notices", shop.token, language="EN", first=1)
    (edge,) = english["data"]["partner"]["notices"]["edges"]
    assert edge["node"]["text"] == (
        "Bands, costs or rules have moved: 1 repriced, 1 withdrawn, 0 without their words. "
        f"Among them: “商品0” ({title}) 49.90 → 55.00 yuan; “商品1” ({title}) withdrawn."
    )


async def test_the_owner_is_told_of_one_listing_by_itself(api: Api) -> None:
    """A clamp, and then a withdrawal, of one product in one store."""
    shop = await a_shop(api, products=1, listed=1)
    title = shop.store.title
    told: list[tuple[str, str]] = []
    changes: list[dict[str, object]] = [{"min_price": 5500, "suggested_price": 5600}, {"tier_costs": [3500]}]
    for days, change in enumerate(changes):
        at = NOW + timedelta(days=days)
        async with api.db.write() as session:
            await factories.reprice(session, shop.products[0], at, **change)
            await session.execute(
                text("CREATE TEMP TABLE touched ON COMMIT DROP AS SELECT id AS product_id FROM products")
            )
            assert await catalogue.fit_listings(session, at) == 1
        answer = await api.run("partner/Notices", shop.token, first=1)
        (edge,) = answer["data"]["partner"]["notices"]["edges"]
        told.append((edge["node"]["kind"], edge["node"]["text"]))
    assert told == [
        ("LISTING_CLAMPED", f"「商品0」在店铺「{title}」的售价由 49.90 元改为 55.00 元：限价或你的拿货价有变。"),
        (
            "LISTING_WITHDRAWN",
            f"「商品0」（55.00 元）已从店铺「{title}」下架：限价或你的拿货价有变，没有可用的售价。",
        ),
    ]


async def test_notices_are_marked_as_read_by_whom_they_are_for(api: Api) -> None:
    ours, theirs = await a_shop(api), await a_shop(api)
    async with api.db.write() as session:
        notices = [
            models.Notice(distributor_id=shop.owner.id, kind="suspended", facts={"reason": "?"}, created_at=NOW)
            for shop in (ours, ours, theirs)
        ]
        session.add_all(notices)
    ids = [encode("notice", notice.id) for notice in notices]
    answer = await api.run("partner/MarkNoticesRead", ours.token, ids=[ids[0]])
    (read,) = answer["data"]["markNoticesRead"]["notices"]
    assert len(api.statements) == 2, api.statements
    again = await api.run("partner/MarkNoticesRead", ours.token, ids=[ids[0]])
    assert again["data"]["markNoticesRead"]["notices"] == [read]
    before = await snapshot(api.db)
    for wrong, refusal in [([ids[1], ids[2]], "NotFound"), ([], "BadArgument"), (["x"], "BadArgument")]:
        refused = await api.run("partner/MarkNoticesRead", ours.token, ids=wrong)
        assert refused["data"]["markNoticesRead"]["__typename"] == refusal
    assert await snapshot(api.db) == before
    left = await api.run("partner/Notices", ours.token, unreadOnly=True)
    assert [edge["node"]["id"] for edge in left["data"]["partner"]["notices"]["edges"]] == [ids[1]]


async def test_each_fen_stands_in_one_place(api: Api) -> None:
    """Four orders of one share of 598 (4990 * 12 %) each: not completed, in its hold, matured, in a statement."""
    async with api.db.write() as session:
        owner = await factories.a_distributor(session)
        store = await factories.a_store(session, owner)
        variant = await factories.a_variant(session)
        await factories.a_plan(session, {"level_bps": [1200]})
        made = [await factories.an_order(session, store, (variant, 1, 4990, 0), placed_at=NOW) for _ in range(4)]
        await orders.pay(session, [(order.branch_id, order.id, NOW) for order in made], rail="import")
        done = [
            (order.branch_id, order.id, NOW + timedelta(days=day))
            for order, day in zip(made[1:], (9, 2, 1), strict=True)
        ]
        await orders.complete(session, done, hold_days=7)
        run = models.SettlementRun(cutoff=NOW + timedelta(days=9), state="draft", pay_on=NOW.date())
        session.add(run)
        await session.flush()
        statement = models.Statement(run_id=run.id, distributor_id=owner.id, lines=1, gross=598, net=598, payout=598)
        session.add(statement)
        await session.flush()
        line = select(models.OrderLine.id).where(models.OrderLine.order_id == made[3].id).scalar_subquery()
        await session.execute(
            update(models.Commission).where(models.Commission.line_id == line).values(statement_id=statement.id)
        )
    async with api.db.read() as session:
        earnings = await commissions.earnings(session, owner.id, NOW + timedelta(days=10))
        assert earnings == commissions.Earnings(pending=1196, available=598, in_statement=598, paid=0)
        lines = await commissions.earnings_by_line(
            session, owner.id, now=NOW + timedelta(days=10), after=None, limit=10
        )
        assert [(row.order_no, row.state, row.amount) for row in lines] == [
            (made[2].order_no, "available", 598),
            (made[1].order_no, "pending", 598),
            (made[0].order_no, "pending", 598),
            (made[3].order_no, "in_statement", 598),
        ]
        paged: list[AnyRow] = []
        after = None
        while page := await commissions.earnings_by_line(
            session, owner.id, now=NOW + timedelta(days=10), after=after, limit=1
        ):
            paged += page
            after = (page[0].place, page[0].id)
        assert paged == list(lines)
        (day,) = await commissions.earnings_by_day(
            session, owner.id, start=NOW.date(), end=NOW.date() + timedelta(days=1), after=None, limit=10
        )
        assert tuple(day) == (NOW.date(), 2392, 4)
        nobody = await factories.a_distributor(session)
    assert await _earnings_of(api.db, nobody.id) == commissions.Earnings(0, 0, 0, 0)


async def test_refunds_are_taken_off_where_the_commission_stands(api: Api) -> None:
    """Of the share of 598 in 4990 a refund of 1000 takes back 119 (598 * 1000 // 4990), which leaves 479."""
    later = NOW + timedelta(days=10)
    async with api.db.write() as session:
        owner = await factories.a_distributor(session)
        store = await factories.a_store(session, owner)
        variant = await factories.a_variant(session)
        await factories.a_plan(session, {"level_bps": [1200]})
        made = [await factories.an_order(session, store, (variant, 1, 4990, 0), placed_at=NOW) for _ in range(4)]
        await orders.pay(session, [(order.branch_id, order.id, NOW) for order in made], rail="import")
        done = [
            (order.branch_id, order.id, NOW + timedelta(days=day))
            for order, day in zip(made[1:], (9, 2, 1), strict=True)
        ]
        await orders.complete(session, done, hold_days=7)
    async with api.db.write() as session:
        assert await factories.a_settlement(session, cutoff=NOW + timedelta(days=8, hours=1), now=later)
    assert await _earnings_of(api.db, owner.id, later) == commissions.Earnings(1196, 598, 598, 0)
    for order in made:
        await _refund(api.db, order, 1000, later)
    assert await _earnings_of(api.db, owner.id, later) == commissions.Earnings(2 * 479, 479 - 119, 598, 0)
    async with api.db.read() as session:
        days = await commissions.earnings_by_day(
            session, owner.id, start=NOW.date(), end=NOW.date() + timedelta(days=1), after=None, limit=10
        )
        assert [tuple(day) for day in days] == [(NOW.date(), 4 * 479, 4)]
        lines = await commissions.earnings_by_line(session, owner.id, now=later, after=None, limit=10)
        assert [(row.order_no, row.state, row.amount, row.clawed_back) for row in lines] == [
            (made[2].order_no, "available", 598, 119),
            (made[1].order_no, "pending", 598, 119),
            (made[0].order_no, "pending", 598, 119),
            (made[3].order_no, "in_statement", 598, 119),
        ]
    async with api.db.write() as session:
        cutoff = later + timedelta(hours=1)
        assert await factories.a_settlement(session, cutoff=cutoff, now=cutoff)
    assert await _earnings_of(api.db, owner.id, later) == commissions.Earnings(2 * 479, 0, 2 * 479, 0)
    async with api.db.write() as session:
        await orders.reverse_refunds(session, [(f"refund of {made[3].order_no}", later)])
    assert await _earnings_of(api.db, owner.id, later) == commissions.Earnings(2 * 479, 119, 2 * 479, 0)


async def test_all_of_it_taken_back(api: Api) -> None:
    async with api.db.write() as session:
        store = await factories.a_store(session)
        await factories.a_plan(session, {"level_bps": [1200]})
        variant = await factories.a_variant(session)
        order = await factories.an_order(session, store, (variant, 1, 4990, 0), placed_at=NOW)
        await orders.pay(session, [(order.branch_id, order.id, NOW)], rail="import")
        owner = await session.get_one(models.Distributor, store.distributor_id)
    await _refund(api.db, order, 4990, NOW)
    token = await api.token("distributor", distributor=owner.code)
    day = {"from": NOW.date().isoformat(), "to": (NOW.date() + timedelta(days=1)).isoformat()}
    earnings = (await api.run("partner/Earnings", token, **day))["data"]["partner"]["earnings"]
    assert earnings["pending"]["amount"] == 0
    assert [edge["node"]["amount"]["amount"] for edge in earnings["byDay"]["edges"]] == [0]
    ((line,),) = ([edge["node"] for edge in earnings["byOrder"]["edges"]],)
    assert [line[name]["amount"] for name in ("amount", "clawedBack", "net")] == [598, 598, 0]


async def _refund(db: Database, order: models.Order, amount: int, at: datetime) -> None:
    async with db.write() as session:
        line = orders.RefundedLine(1, amount=amount)
        refund = orders.Refund(order.branch_id, order.id, f"refund of {order.order_no}", at, [line])
        assert await orders.refund(session, [refund]) == 1


async def test_a_commission_is_told_to_its_beneficiary_alone(api: Api) -> None:
    async with api.db.write() as session:
        top = await factories.a_distributor(session)
        seller = await factories.a_distributor(session, parent=top)
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        variant = await factories.a_variant(session)
        store = await factories.a_store(session, seller)
        order = await factories.an_order(session, store, (variant, 1, 4990, 0), placed_at=NOW)
        await orders.pay(session, [(order.branch_id, order.id, NOW)], rail="import")
        rows = await session.execute(
            select(models.Commission.distributor_id).add_columns(
                models.Commission.branch_id, models.Commission.line_id, models.Commission.position
            )
        )
        ids = {distributor_id: encode("commission", *key) for distributor_id, *key in rows}
    query = "query($id: ID!) { partner { commission(id: $id) { id amount { amount } explanation { sentence } } } }"
    for whose, other, amount in ((seller, top, 598), (top, seller, 149)):
        token = await api.token("distributor", distributor=whose.code)
        found = (await api.ask(query, token, id=ids[whose.id]))["data"]["partner"]["commission"]
        assert (found["id"], found["amount"]) == (ids[whose.id], {"amount": amount})
        assert len(api.statements) == 2, api.statements
        for none in (ids[other.id], encode("commission", top.id, 10**9, 0)):
            assert (await api.ask(query, token, id=none))["data"] == {"partner": {"commission": None}}
        for wrong in ("", "1", encode("commission", 1), encode("store", 1, 1)):
            assert await api.code(query, token, id=wrong) == "BAD_ARGUMENT"


async def _earnings_of(db: Database, distributor_id: int, now: datetime = NOW) -> commissions.Earnings:
    async with db.read() as session:
        return await commissions.earnings(session, distributor_id, now)


async def test_a_team_is_one_total_for_each_branch(api: Api) -> None:
    async with api.db.write() as session:
        top = await factories.a_distributor(session, rank=1)
        left = await factories.a_distributor(session, parent=top, rank=2)
        right = await factories.a_distributor(session, parent=top, rank=2)
        below = await factories.a_distributor(session, parent=left, rank=3, state="suspended")
        await factories.a_distributor(session, parent=left, rank=3, state="applied")
        other = await factories.a_distributor(session, rank=2)
        for seller, day, paid, refunded in [
            (top, 1, 9000, 0), (left, 1, 1000, 100), (below, 2, 500, 0), (below, 3, 7000, 0), (right, 2, 1400, 0), (other, 1, 5, 0),
        ]:  # fmt: skip
            session.add(
                models.DailySeller(
                    branch_id=seller.branch_id,
                    seller_id=seller.id,
                    day=datetime(2026, 9, day, tzinfo=UTC).date(),
                    orders=1,
                    units=1,
                    paid=paid,
                    refunded=refunded,
                    kept=1,
                )
            )
    token = await api.token("distributor", distributor=top.code)
    period = {"from": "2026-09-01", "to": "2026-09-03"}
    answer = await api.run("partner/Team", token, **period)
    nodes = [edge["node"] for edge in answer["data"]["partner"]["team"]["edges"]]
    assert [
        (node["distributor"]["code"], node["members"], node["output"]["amount"], node["orders"]) for node in nodes
    ] == [
        (left.code, 2, 1400, 2),
        (right.code, 1, 1400, 1),
    ]
    first = await api.run("partner/Team", token, first=1, **period)
    after = first["data"]["partner"]["team"]["pageInfo"]["endCursor"]
    rest = await api.run("partner/Team", token, first=1, after=after, **period)
    assert rest["data"]["partner"]["team"]["edges"] == answer["data"]["partner"]["team"]["edges"][1:]
    for wrong in [
        {"from": "2026-09-01", "to": "2026-09-01"},
        {"from": "2025-01-01", "to": "2026-09-01"},
        {"from": "0001-01-01", "to": "0001-02-01"},
    ]:
        (error,) = (await api.run("partner/Team", token, **wrong))["errors"]
        assert error["extensions"] == {"code": "BAD_ARGUMENT"}


@pytest.mark.parametrize("state", ["applied", "rejected"])
async def test_an_applicant_sees_itself_and_its_notices(api: Api, state: str) -> None:
    shop = await a_shop(api, state=state)
    answer = await api.run("partner/Me", shop.token)
    assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN"}  # its stores
    me = await api.ask("{ partner { me { state } unreadNotices } }", shop.token)
    assert me == {"data": {"partner": {"me": {"state": state.upper()}, "unreadNotices": 0}}}
    for closed in ["catalogue { edges { cursor } }", 'store(slug: "s") { id }', "earnings { paid { amount } }"]:
        assert await api.code(f"{{ partner {{ {closed} }} }}", shop.token) == "FORBIDDEN"
    product = {"product": shop.product(0)}
    answer = await api.run("partner/SelectProduct", shop.token, store=shop.id, product=product)
    assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN"}
    assert await shelf(api.db, shop) == []


async def test_nobody_else_enters_the_door_of_partners(api: Api) -> None:
    finance_token = await api.token("finance")
    assert await api.code("{ partner { unreadNotices } }", finance_token) == "FORBIDDEN"
    assert await api.code("{ partner { unreadNotices } }") == "UNAUTHENTICATED"
