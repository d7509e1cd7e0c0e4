"""Customers: guests, their addresses, the links they open, and what a distributor sees of those it has won."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import Range

from s2b2c import models
from s2b2c.api.shop import GUEST_LIFETIME
from s2b2c.api.types.ids import encode
from s2b2c.config import settings
from s2b2c.customers import MAX_ADDRESSES
from tests import factories
from tests.api.client import Api, api_on
from tests.api.shopping import HOME, Json, a_buyer, a_shop, done, nodes, paid, refuses

SOMETHING = encode("address", 10**9)


async def a_guest(api: Api) -> str:
    return str((await done(api, "shop/EnterAsGuest", None))["token"])


async def addresses(api: Api, token: str, **page: Any) -> list[Json]:
    return await nodes(api, "shop/Me", token, "shop", "me", "addresses", **page)


# Guests


async def test_a_guest_is_a_customer_of_its_own(api: Api) -> None:
    first, second = await a_guest(api), await a_guest(api)
    assert len(api.statements) == 3
    await done(api, "shop/SaveAddress", first, input=HOME)
    assert [it["recipient"] for it in await addresses(api, first)] == ["王小明"]
    assert await addresses(api, second) == []
    async with api.db.read() as session:
        accounts = (await session.scalars(select(models.Account))).all()
        customers = (await session.scalars(select(models.Customer))).all()
    assert [(it.role, it.customer_id) for it in accounts] == [("customer", it.id) for it in customers]
    refs = {it.ref for it in customers}
    assert len(refs) == 2
    assert all(ref.startswith("guest-") and len(ref) > 20 for ref in refs), "nobody guesses it"


async def test_a_guest_ends_with_its_token(api: Api) -> None:
    token = await a_guest(api)
    late = datetime.now(UTC) + GUEST_LIFETIME
    async with api_on(api.db, clock=lambda: late) as later:
        assert await later.code("{ shop { me { boundTo { since } } } }", token) == "UNAUTHENTICATED"


@pytest.mark.parametrize("role", ["distributor", "brand", "finance", "operator", None])
async def test_the_door_is_for_customers(api: Api, role: str | None) -> None:
    async with api.db.write() as session:
        brand, one = await factories.a_brand(session), await factories.a_distributor(session)
    named = {"brand": {"brand": brand.name}, "distributor": {"distributor": one.code}}
    token = None if role is None else await api.token(role, **named.get(role, {}))
    code = "UNAUTHENTICATED" if role is None else "FORBIDDEN"
    assert await api.code("{ shop { me { boundTo { since } } } }", token) == code
    order = encode("order", 1, 1)
    for operation, variables in (
        ("SaveAddress", {"input": HOME}),
        ("RemoveAddress", {"id": SOMETHING}),
        ("Visit", {"slug": "x"}),
        ("PlaceOrder", {"input": {"store": encode("store", 1), "lines": [], "address": SOMETHING, "token": "x"}}),
        ("PayOrder", {"order": order}),
        ("CancelOrder", {"order": order}),
        ("ConfirmReceipt", {"order": order}),
        ("RequestRefund", {"order": order, "lines": [], "reason": "x"}),
    ):
        answer = await api.run(f"shop/{operation}", token, **variables)
        assert answer["errors"][0]["extensions"]["code"] == code, operation


async def test_a_customers_token_opens_no_other_door(api: Api) -> None:
    token = await a_guest(api)
    for query in (
        "{ partner { orders { edges { cursor } } } }",
        "{ brand { supplyOrders { edges { cursor } } } }",
        '{ finance { payments(orderNo: "1") { edges { cursor } } } }',
        '{ operator { order(orderNo: "1") { id } } }',
        'mutation { share(store: "x") { __typename } }',
        "mutation { shipParcels(parcels: []) { __typename } }",
        'mutation { refundOrder(order: "x", lines: [], reason: "x") { __typename } }',
        'mutation { onboardPayouts(returnUrl: "x", refreshUrl: "x") { __typename } }',
    ):
        assert await api.code(query, token) == "FORBIDDEN", query


async def test_a_token_for_a_customer_that_was_imported(api: Api) -> None:
    async with api.db.write() as session:
        customer = await factories.a_customer(session)
    for _ in range(2):
        token = await api.token("customer", customer=customer.ref)
        assert await addresses(api, token) == []
    async with api.db.read() as session:
        (account,) = (await session.scalars(select(models.Account))).all()
    assert account.customer_id == customer.id


# Addresses


async def test_addresses_from_the_first_to_the_last(api: Api) -> None:
    token = await a_guest(api)
    first = await done(
        api, "shop/SaveAddress", token, input={**HOME, "recipient": " 王小明 ", "phone": "+86 138-0000-1234"}
    )
    assert len(api.statements) == 3, api.statements
    assert first == {"id": encode("address", 1), **HOME, "isDefault": True}, "the first is the default"
    second = await done(api, "shop/SaveAddress", token, input={**HOME, "street": "南京路2号"})
    third = await done(api, "shop/SaveAddress", token, input={**HOME, "street": "淮海路3号", "isDefault": True})
    assert [second["isDefault"], third["isDefault"]] == [False, True]
    assert await addresses(api, token) == [{**first, "isDefault": False}, second, third]
    assert len(api.statements) == 3, api.statements
    second = await done(api, "shop/SaveAddress", token, input={"id": second["id"], **HOME, "street": "南京路4号"})
    assert [it["isDefault"] for it in await addresses(api, token)] == [False, False, True], "as it was"
    changed = {"id": first["id"], **HOME, "phone": "02155556666", "isDefault": True}
    assert await done(api, "shop/SaveAddress", token, input=changed) == changed
    assert await addresses(api, token) == [changed, second, {**third, "isDefault": False}]
    assert await done(api, "shop/RemoveAddress", token, id=first["id"]) == {"id": first["id"]}
    assert len(api.statements) == 2, api.statements
    assert await addresses(api, token) == [second, {**third, "isDefault": False}], "nothing is the default now"
    assert await addresses(api, token, first=1) == [second]
    assert await addresses(api, token, first=1, after=encode("address", 2)) == [{**third, "isDefault": False}]
    await done(api, "shop/SaveAddress", token, input={"id": second["id"], **HOME, "isDefault": False})
    assert [it["isDefault"] for it in await addresses(api, token)] == [False, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipient": ""},
        {"recipient": " \t "},
        {"recipient": "长" * 51},
        {"recipient": "王\n明"},
        {"region": "\x01"},
        {"region": "长" * 101},
        {"street": "长" * 201},
        {"street": "\u202e"},
        {"phone": "123456"},
        {"phone": "1" * 16},
        {"phone": "１３８００００１２３４"},
        {"phone": "138-0000-1234 转 5"},
        {"phone": "+"},
        {"id": "nonsense"},
        {"id": encode("store", 1)},
    ],
)
async def test_what_no_parcel_can_be_sent_to(api: Api, wrong: dict[str, str]) -> None:
    await refuses(api, "BadArgument", "shop/SaveAddress", await a_guest(api), input={**HOME, **wrong})


async def test_an_address_of_somebody_else_or_of_nobody(api: Api) -> None:
    token, other = await a_guest(api), await a_guest(api)
    theirs = (await done(api, "shop/SaveAddress", other, input=HOME))["id"]
    gone = (await done(api, "shop/SaveAddress", token, input=HOME))["id"]
    await done(api, "shop/RemoveAddress", token, id=gone)
    await done(api, "shop/SaveAddress", token, input=HOME)
    for address in (theirs, gone, SOMETHING):
        await refuses(api, "NotFound", "shop/SaveAddress", token, input={"id": address, **HOME, "isDefault": True})
        await refuses(api, "NotFound", "shop/RemoveAddress", token, id=address)
    await refuses(api, "BadArgument", "shop/RemoveAddress", token, id="nonsense")


async def test_as_many_addresses_as_anybody_needs(api: Api) -> None:
    token = await a_guest(api)
    for _ in range(MAX_ADDRESSES):
        last = await done(api, "shop/SaveAddress", token, input=HOME)
    await refuses(api, "WrongState", "shop/SaveAddress", token, input={**HOME, "isDefault": True})
    await done(api, "shop/RemoveAddress", token, id=last["id"])
    assert "id" in await done(api, "shop/SaveAddress", token, input=HOME)


# Bindings


async def bound_to(api: Api, token: str) -> Any:
    return (await api.run("shop/Me", token))["data"]["shop"]["me"]["boundTo"]


async def test_a_visit_binds(api: Api) -> None:
    shop, token = await a_shop(api), await a_guest(api)
    assert await bound_to(api, token) is None
    assert await done(api, "shop/Visit", token, slug=shop.store.slug) == {"store": shop.id}
    assert len(api.statements) == 3, api.statements
    bound = await bound_to(api, token)
    since, until = (datetime.fromisoformat(bound[name]) for name in ("since", "until"))
    assert until - since == timedelta(days=30)
    assert bound["store"] == {"id": shop.id, "slug": shop.store.slug, "title": shop.store.title, "region": "华东"}
    async with api.db.write() as session:
        await session.execute(update(models.Store).values(state="closed"))
    assert (await bound_to(api, token))["store"] is None
    async with api.db.write() as session:
        await session.execute(update(models.Binding).values(during=Range(since, since + timedelta(microseconds=1))))
    assert await bound_to(api, token) is None


async def test_visits_to_what_is_not_there(api: Api) -> None:
    shop, token = await a_shop(api), await a_guest(api)
    async with api.db.write() as session:
        elsewhere = await factories.a_store(session)
        unlisted = await factories.a_variant(session)
    code = (await done(api, "partner/Share", await shop.seller(), store=shop.id))["code"]
    for wrong in (
        {"slug": "nowhere"},
        {"slug": "\x01"},
        {"slug": shop.store.slug, "share": "nobody's"},
        {"slug": shop.store.slug, "share": "\x01"},
        {"slug": elsewhere.slug, "share": code},
        {"slug": shop.store.slug, "product": encode("product", unlisted.product_id)},
    ):
        await refuses(api, "NotFound", "shop/Visit", token, **wrong)
    await refuses(api, "BadArgument", "shop/Visit", token, slug=shop.store.slug, product="nonsense")


async def test_a_link_says_who_shared_it(api: Api) -> None:
    """The one at the top shares the store below it, and wins who comes by its link."""
    shop, token = await a_shop(api), await a_guest(api)
    top = await api.token("distributor", distributor=shop.top.code)
    product = encode("product", shop.variants[0].product_id)
    shared = await done(api, "partner/Share", top, store=shop.id, product=product)
    assert len(api.statements) == 3, api.statements
    assert await done(api, "partner/Share", top, store=shop.id, product=product) == shared, "the same again"
    assert await done(api, "partner/Share", top, store=shop.id) != shared
    assert await done(api, "partner/Share", await shop.seller(), store=shop.id, product=product) != shared
    await done(api, "shop/Visit", token, slug=shop.store.slug, share=shared["code"])
    assert [len(await customers(api, top)), len(await customers(api, await shop.seller()))] == [1, 0]


async def test_what_is_not_shared(api: Api) -> None:
    shop = await a_shop(api)
    async with api.db.write() as session:
        stranger = await factories.a_distributor(session)
        unlisted = await factories.a_variant(session)
        closed = await factories.a_store(session, shop.owner)
        closed.state = "closed"
    token = await shop.seller()
    other = await api.token("distributor", distributor=stranger.code)
    product = encode("product", unlisted.product_id)
    await refuses(api, "NotFound", "partner/Share", token, store=encode("store", 10**9))
    await refuses(api, "NotFound", "partner/Share", token, store=encode("store", closed.id))
    await refuses(api, "NotFound", "partner/Share", token, store=shop.id, product=product)
    await refuses(api, "NotFound", "partner/Share", other, store=shop.id)
    await refuses(api, "BadArgument", "partner/Share", token, store="nonsense")
    await refuses(api, "BadArgument", "partner/Share", token, store=shop.id, product="nonsense")
    async with api.db.write() as session:
        suspended = models.Distributor.id == shop.owner.id
        await session.execute(update(models.Distributor).where(suspended).values(state="suspended"))
    await refuses(api, "WrongState", "partner/Share", token, store=shop.id)


async def customers(api: Api, token: str, **page: Any) -> list[Json]:
    return await nodes(api, "partner/Customers", token, "partner", "customers", **page)


async def test_a_distributor_sees_its_customers_by_the_ends_of_their_phones(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await a_shop(api)
    buyers = [await a_buyer(shop, phone=phone) for phone in ("13800001234", "13911112222", "02155556666", "5556666")]
    for buyer in buyers:
        await done(api, "shop/Visit", buyer.token, slug=shop.store.slug)
    seller = await shop.seller()
    assert [it["phone"] for it in await customers(api, seller)] == [None] * 4, "an address is no order"
    for buyer in buyers:
        await buyer.places()
    found = await customers(api, seller)
    assert len(api.statements) == 3, api.statements
    assert [it["phone"] for it in found] == ["*******", "021****6666", "139****2222", "138****1234"]
    await paid(api, await buyers[0].places(token="two", address=await _other_address(buyers[0].token, api)))
    assert [it["phone"] for it in await customers(api, seller)][-1] == "177****4321"
    assert await customers(api, seller, first=1) == found[:1]
    first = (await api.run("partner/Customers", seller, first=1))["data"]["partner"]["customers"]["pageInfo"]
    rest = await customers(api, seller, after=first["endCursor"])
    assert [it["id"] for it in rest] == [it["id"] for it in found[1:]]
    top = await api.token("distributor", distributor=shop.top.code)
    assert await customers(api, top) == []
    monkeypatch.setattr(settings(), "binding_policy", "last_touch")
    code = (await done(api, "partner/Share", top, store=shop.id))["code"]
    for buyer in buyers:
        await done(api, "shop/Visit", buyer.token, slug=shop.store.slug, share=code)
    assert await customers(api, seller) == []
    assert [it["phone"] for it in await customers(api, top)] == [None] * 4, "it has sold them nothing"


async def _other_address(token: str, api: Api) -> str:
    return str((await done(api, "shop/SaveAddress", token, input={**HOME, "phone": "17700004321"}))["id"])


async def test_both_see_the_evidence_of_a_refused_touch(api: Api) -> None:
    shop, token = await a_shop(api), await a_guest(api)
    async with api.db.write() as session:
        rival = await factories.a_store(session)
        await factories.a_listing(session, rival, shop.variants[0].product_id)
        rivals = await session.get_one(models.Distributor, rival.distributor_id)
    other = await api.token("distributor", distributor=rivals.code)
    product = encode("product", shop.variants[0].product_id)
    code = (await done(api, "partner/Share", other, store=encode("store", rival.id), product=product))["code"]
    await done(api, "shop/Visit", token, slug=shop.store.slug)
    await done(api, "shop/Visit", token, slug=rival.slug)
    await done(api, "shop/Visit", token, slug=rival.slug, share=code)
    async with api.db.read() as session:
        title = await session.scalar(
            select(models.Product.title).where(models.Product.id == shop.variants[0].product_id)
        )

    async def evidence(token: str, side: str, **page: Any) -> list[Json]:
        return await nodes(api, "partner/RefusedTouches", token, "partner", "refusedTouches", side=side, **page)

    seen = await evidence(other, "REFUSED")
    assert len(api.statements) == 3, api.statements
    assert [(it["store"]["slug"], it["productTitle"], it["shareCode"]) for it in seen] == [
        (rival.slug, title, code),
        (rival.slug, None, None),
    ]
    assert all(it["at"] < it["protectedUntil"] for it in seen)
    assert (seen[0]["sharedAt"] is None, seen[1]["sharedAt"] is None) == (False, True)
    assert await evidence(await shop.seller(), "HELD") == seen
    assert await evidence(other, "HELD") == await evidence(await shop.seller(), "REFUSED") == []
    assert await evidence(other, "REFUSED", first=1) == seen[:1]
    assert (await customers(api, await shop.seller()))[0]["id"] == seen[0]["customer"]
