"""Supply prices in what customers and distributors are sent: every operation of theirs, every number in the answer."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import select, text

from s2b2c import models, money, orders, ranking, recruiting, settlements
from s2b2c.api.types.ids import encode
from s2b2c.config import resource
from tests import factories
from tests.api.client import Api
from tests.api.shopping import HOME, PERSON, Json, a_buyer, a_shop, done, paid, ships_all, supply_orders
from tests.recruits import a_seat, a_world
from tests.stripe_fake import Fake

PAID_AT = datetime(2026, 9, 1, 4, tzinfo=UTC)
LATER = datetime(2026, 9, 20, tzinfo=UTC)
SUPPLY, COST, PRICE = 700_000_003, 800_000_007, 900_000_001
PERIOD = {"from": "2026-09-01", "to": "2026-10-01"}


def _numbers(value: Any) -> Iterator[int]:
    """Every number; of a text each that it names in yuan."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, str):
        yield from (money.parse_yuan(amount) for amount in re.findall(r"\d{1,10}\.\d\d(?!\d)", value))
    elif type(value) is int:
        yield value


def _of_customers(
    store: models.Store,
    variants: list[models.Variant],
    order: models.Order,
    waiting: models.Order,
    address: models.Address,
) -> dict[str, dict[str, Any]]:
    """Every operation of a customer's, in an order in which each comes to something; the first variant is listed."""
    shelf, product = encode("store", store.id), encode("product", variants[0].product_id)
    cart = [{"variant": encode("variant", it.id), "quantity": 1} for it in variants]
    bought, unpaid = (encode("order", it.branch_id, it.id) for it in (order, waiting))
    home = encode("address", address.id)
    return {
        "shop/Storefront": {"slug": store.slug},
        "shop/Product": {"slug": store.slug, "id": product},
        "shop/EnterAsGuest": {},
        "shop/SaveAddress": {"input": HOME},
        "shop/Me": {},
        "shop/Visit": {"slug": store.slug},
        "shop/Cart": {"store": shelf, "lines": cart},
        "shop/PlaceOrder": {"input": {"store": shelf, "lines": cart[:1], "address": home, "token": "one"}},
        "shop/Orders": {},
        "shop/Order": {"id": bought},
        "shop/Node": {"id": encode("listing", store.id, variants[0].product_id)},
        "shop/OwnNode": {"id": bought},
        "shop/Labels": {},
        "shop/ConfirmReceipt": {"order": bought},
        "shop/RequestRefund": {"order": bought, "lines": [{"lineNo": 1}], "reason": "不要了"},
        "shop/PayOrder": {"order": unpaid},
        "shop/CancelOrder": {"order": unpaid},
        "shop/RemoveAddress": {"id": home},
    }


def _of_distributors(
    store: models.Store, variants: list[models.Variant], share: models.Commission, statement: int, notice: int
) -> dict[str, dict[str, Any]]:
    """Every operation of a distributor's, as those of a customer."""
    shelf = encode("store", store.id)
    product, other = (encode("product", it.product_id) for it in variants)
    return {
        "partner/Me": {},
        "partner/Catalogue": {},
        "partner/Product": {"id": product, "price": PRICE},
        "partner/Store": {"slug": store.slug},
        "partner/Earnings": PERIOD,
        "partner/Commission": {"id": encode("commission", share.branch_id, share.line_id, share.position)},
        "partner/Node": {"id": encode("commission", share.branch_id, share.line_id, share.position)},
        "partner/Team": PERIOD,
        "partner/Notices": {},
        "partner/Statements": {},
        "partner/Statement": {"id": encode("statement", statement)},
        "partner/DisputeStatement": {"id": encode("statement", statement), "reason": "少算"},
        "partner/StatementReview": {"id": encode("statement", statement)},
        "partner/StatementPayment": {"id": encode("statement", statement)},
        "partner/Disputes": {},
        "partner/SelectProduct": {"store": shelf, "product": {"product": other}},
        "partner/SelectProducts": {"store": shelf, "products": [{"product": product}]},
        "partner/UpdateListing": {"store": shelf, "listing": {"product": product, "price": 1}},
        "partner/UpdateListings": {"store": shelf, "listings": [{"product": product, "price": PRICE}]},
        "partner/ReorderListings": {"store": shelf, "products": [product]},
        "partner/RemoveListing": {"store": shelf, "product": product},
        "partner/RemoveListings": {"store": shelf, "products": [product]},
        "partner/MarkNoticesRead": {"ids": [encode("notice", notice)]},
        "partner/Orders": {},
        "partner/Customers": {},
        "partner/RefusedTouches": {},
        "partner/Share": {"store": shelf},
        "partner/PayoutAccount": {},
        "partner/OnboardPayouts": {"returnUrl": "https://shop.example", "refreshUrl": "https://shop.example"},
        "partner/Shelf": {"slug": store.slug, "at": "2999-01-01T00:00:00Z"},
        "partner/ListingHistory": {"slug": store.slug},
        "partner/Payee": {},
        "partner/SetPayee": {"input": PERSON},
    }


def _of_rankings(case: int) -> dict[str, dict[str, Any]]:
    """Every operation of a distributor's about its places in rankings, as those of a customer."""
    said = {"case": encode("tail-case", case), "words": "仓库被淹"}
    return {
        "partner/Standings": {},
        "partner/TailCases": {},
        "partner/PlanOwnImprovement": said,
        "partner/Appeal": said,
    }


async def a_case(api: Api, owner: models.Distributor) -> int:
    """The id of the case of who got a notice for a place in September: all that sold are the tail."""
    terms, now = ranking.Terms(min_cohort=1, tail_bps=10_000, strikes=1), datetime.now(UTC)
    async with api.db.write() as session:
        await ranking.roll_up(session)
        policy = await ranking.draft(session, "p", terms, by=None, now=now)
        await ranking.publish(session, policy.id, by=None, now=now)
        run = await ranking.rank(session, start=date(2026, 9, 1), end=date(2026, 10, 1), policy=policy)
        assert run.run_id is not None
        await ranking.act(session, run.run_id, by=None, account_id=None, now=now)
        of = models.TailCase.distributor_id == owner.id
        return (await session.scalars(select(models.TailCase.id).where(of))).one()


def _of_storefronts(store: models.Store, other: models.Store, variant: models.Variant) -> dict[str, dict[str, Any]]:
    """Every operation about the look of stores, as those of a customer."""
    shelf, product = encode("store", store.id), encode("product", variant.product_id)
    parts = ["DECORATION", "HOURS", "LISTINGS"]
    picture = {"imageUrl": "https://shop.example/1.jpg", "product": product}
    decoration = [{"banner": picture}, {"grid": {"columns": 2, "items": [picture]}}]
    return {
        "partner/CreateStore": {"input": {"slug": f"{store.slug}-2", "title": "店"}},
        "partner/UpdateStore": {"store": shelf, "input": {"blocks": decoration}},
        "partner/AdoptSetup": {"slug": store.slug, "store": encode("store", other.id), "parts": parts},
        "partner/StoreSetup": {"slug": store.slug},
        "partner/StoreAt": {"slug": store.slug, "at": LATER.isoformat()},
        "partner/ModelStores": {},
        "partner/BlockSchema": {},
        "partner/BrandPersona": {"id": product},
        "shop/Decoration": {"slug": store.slug},
        "shop/MovedTo": {"slug": store.slug},
        "shop/Personas": {"slug": store.slug, "id": product},
    }


def _of_recruiting(seat_id: int) -> dict[str, dict[str, Any]]:
    """Every operation of who applies or invites, as those of a customer."""
    seat, nothing = encode("seat", seat_id), encode("seat-application", 1)
    told = {"name": "李四", "region": "杭州", "introduction": "好", "experienceMonths": 1, "audience": 1}
    return {
        "shop/OpenSeats": {},
        "shop/ApplyForSeat": {"input": {"seat": seat, **told, "declaredOutput": 1, "agrees": True}},
        "shop/MyApplications": {},
        "shop/WithdrawApplication": {"id": nothing},
        "partner/MakeRecruitingCode": {"seat": seat},
        "partner/RecruitingCodes": {},
        "partner/RevokeRecruitingCode": {"id": encode("recruiting-code", 1)},
        "partner/Onboarding": {},
    }


@pytest.mark.parametrize("level_bps", [[1200, 300], [6000, 3900]])
async def test_no_supply_price_reaches_a_customer_or_a_distributor(
    api: Api, stripe: Fake, level_bps: list[int]
) -> None:
    """Nor what follows from it: the line's supply, its margin, a rate of it, and the platform's part.

    The higher rates break the floor: what the rule gives before the cap would tell the margin too.
    """
    async with api.db.write() as session:
        top = await factories.a_distributor(session)
        owner = await factories.a_distributor(session, parent=top, with_history=True)
        store = await factories.a_store(session, owner)
        other = await factories.a_store(session, owner)
        variant = await factories.a_variant(session, supply_price=SUPPLY, price=PRICE, tier_costs=(COST,))
        unlisted = await factories.a_variant(session, supply_price=SUPPLY, price=PRICE, tier_costs=(COST,))
        await factories.a_listing(session, store, variant.product_id, price=PRICE)
        await factories.a_plan(session, {"level_bps": level_bps, "base": "margin"}, margin_floor_bps=1000)
        customer = await factories.a_customer(session)
        address = await factories.an_address(session, customer)
        order = await factories.an_order(session, store, (variant, 2, PRICE, 0), customer=customer, placed_at=PAID_AT)
        waiting = await factories.an_order(session, store, (variant, 2, PRICE, 0), customer=customer)
        await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
        await orders.complete(session, [(order.branch_id, order.id, PAID_AT)], hold_days=7)
        settled = await settlements.settle(session, cutoff=LATER, now=LATER)
        assert settled is not None
        await settlements.review(session, settled.run_id, now=LATER, by=None)
        seat_id = await a_seat(session, await a_world(session), weights=recruiting.Weights(2501, 2499, 2501, 2499))
    async with api.db.read() as session:
        line = (await session.scalars(select(models.OrderLine).where(models.OrderLine.order_id == order.id))).one()
        statement = (
            await session.scalars(select(models.Statement.id).where(models.Statement.distributor_id == owner.id))
        ).one()
        notice = (await session.scalars(select(models.Notice.id).where(models.Notice.distributor_id == owner.id))).one()
        share = (await session.scalars(select(models.Commission).where(models.Commission.position == 0))).one()
    assert share.outcome == ("earned" if level_bps == [1200, 300] else "capped")
    secrets = {SUPPLY, line.supply, PRICE - SUPPLY, line.paid - line.supply, line.platform, *level_bps, line.commission}
    if share.outcome == "capped":
        secrets.add(share.uncapped_amount)
    asked: dict[str, dict[str, Any]] = {
        **_of_storefronts(store, other, variant),
        **_of_recruiting(seat_id),
        **_of_customers(store, [variant, unlisted], order, waiting, address),
        **_of_distributors(store, [variant, unlisted], share, statement, notice),
        **_of_rankings(await a_case(api, owner)),
    }
    folder = resource("graphql") / "operations"
    theirs = {f"{door}/{file.stem}" for door in ("shop", "partner") for file in folder.glob(f"{door}/*.graphql")}
    assert set(asked) == theirs
    tokens = {
        "partner": await api.token("distributor", distributor=owner.code),
        "shop": await api.token("customer", customer=customer.ref),
    }
    seen: set[int] = set()
    for operation, variables in asked.items():
        answer = await api.run(operation, tokens[operation.partition("/")[0]], **variables)
        assert "errors" not in answer, operation
        numbers = set(_numbers(answer))
        assert not numbers & secrets, operation
        seen |= numbers
    assert {PRICE, COST, 2 * PRICE, share.amount} <= seen


SECRET = (HOME["phone"], HOME["recipient"])
"""What names the customer: neither its seller nor any brand is told; whoever runs the network is, on record."""
MASKED = "138****1234"


def _asked(order: Json, supply_order: str) -> dict[str, dict[str, Any]]:
    """Every operation that may show an order, or what became of it."""
    number = {"orderNo": order["orderNo"]}
    parcel = {"supplyOrder": supply_order, "carrier": "顺丰", "trackingNo": "SF9"}
    return {
        "shop/Me": {},
        "shop/Orders": {},
        "shop/Order": {"id": order["id"]},
        "shop/PayOrder": {"order": order["id"]},
        "shop/CancelOrder": {"order": order["id"]},
        "shop/ConfirmReceipt": {"order": order["id"]},
        "shop/RequestRefund": {"order": order["id"], "lines": [{"lineNo": 1}], "reason": "不要了"},
        "partner/Orders": {},
        "partner/Customers": {},
        "partner/RefusedTouches": {"side": "HELD"},
        "partner/PayoutAccount": {},
        "partner/Payee": {},
        "brand/SupplyOrders": {"state": "ALL"},
        "brand/ShipParcels": {"parcels": [parcel]},
        "brand/PayoutAccount": {},
        "brand/Payee": {},
        "finance/Payments": number,
        "finance/Order": number,
        "operator/OrderMoney": number,
        "operator/Order": number,
        "operator/Customer": {**number, "reason": "to see who that is"},
        "operator/PersonalReads": {},
        "operator/RefundOrder": {"order": order["id"], "lines": [{"lineNo": 9}], "reason": "破损"},
    }


@pytest.mark.parametrize("is_shipped", [False, True])
async def test_whose_an_order_is_only_those_learn_who_must(stripe: Fake, api: Api, is_shipped: bool) -> None:  # noqa: FBT001
    """Everybody asks for it at every door; of what comes back it is known who may see what of it."""
    shop = await a_shop(api)
    buyer, other = await a_buyer(shop), await a_buyer(shop, recipient="李四", phone="13911112222", street="长安街2号")
    order = await buyer.places()
    await paid(api, order)
    (mine,) = await supply_orders(shop, 0)
    if is_shipped:
        await ships_all(shop, 0, 1)
    async with api.db.write() as session:
        stranger = await factories.a_distributor(session)
    brands = [await shop.brand(number) for number in range(3)]
    viewers = {
        "nobody": None,
        "its customer": buyer.token,
        "another customer": other.token,
        "its seller": await shop.seller(),
        "who stands above": await api.token("distributor", distributor=shop.top.code),
        "another distributor": await api.token("distributor", distributor=stranger.code),
        "its brand": brands[0],
        "another brand": brands[2],
        "finance": await api.token("finance"),
        "operator": await api.token("operator"),
    }
    shown = {"number": (order["orderNo"],), "masked": (MASKED,), "name": SECRET, "street": (HOME["street"],)}
    saw: dict[str, set[str]] = {what: set() for what in shown}
    for who, token in viewers.items():
        for operation, variables in _asked(order, mine["id"]).items():
            if who == "its brand" and operation == "brand/ShipParcels":
                continue  # it may, and that would close its label
            if who == "its customer" and operation not in {"shop/Order", "shop/Orders"}:
                continue
            told = json.dumps((await api.run(operation, token, **variables))["data"], ensure_ascii=False)
            for what, texts in shown.items():
                if any(one in told for one in texts):
                    saw[what].add(who)
    assert saw["number"] == {"its customer", "its seller", "its brand", "finance", "operator"}
    label = set() if is_shipped else {"its brand"}
    assert saw["masked"] == {"its seller", "operator"} | label
    assert saw["name"] == {"its customer", "operator"}
    assert saw["street"] == {"its customer"} | label
    seen = await done(api, "shop/Visit", other.token, slug=shop.store.slug)
    assert set(seen) == {"store"}


async def test_no_secret_of_a_payment_is_kept_or_told_to_others(stripe: Fake, api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    order = await buyer.places()
    secret = (await done(api, "shop/PayOrder", buyer.token, order=order["id"]))["clientSecret"]
    assert secret is not None
    for operation, token in (
        ("operator/OrderMoney", await api.token("operator")),
        ("finance/Payments", await api.token("finance")),
    ):
        assert secret not in json.dumps(await api.run(operation, token, orderNo=order["orderNo"]))
    async with api.db.read() as session:
        rows = await session.scalars(text("SELECT to_jsonb(p)::text FROM payments p"))
        assert [row for row in rows if secret in row] == []
