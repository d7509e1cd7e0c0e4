"""What somebody does with its own data, and who takes a role from whom, over GraphQL."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from s2b2c import accounts, models
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.api.types.ids import encode
from tests import factories
from tests.api.client import Api
from tests.api.operations import check
from tests.api.shopping import HOME, Json, a_shop, done, refuses, written
from tests.api.test_sign_in import PASSWORD, a_code, forget_limits, with_code
from tests.signing import OTHER_PHONE, PHONE, point_at
from tests.wechat_fake import Fake, running

REASON = "the customer asks where the parcel is"


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fake]:
    async with running() as fake:
        point_at(fake, monkeypatch)
        yield fake


async def on_record(api: Api) -> list[tuple[str, list[str]]]:
    async with api.db.read() as session:
        rows = await session.scalars(select(models.PersonalRead).order_by(models.PersonalRead.id))
        return [(row.purpose, row.kinds) for row in rows]


# The operations, on the sample network


async def test_every_operation_on_the_sample(own_sample: Api, fake: Fake) -> None:
    api = own_sample
    token = (await with_code(api, fake))["accessToken"]
    await done(api, "shop/SaveAddress", token, input=HOME)
    operator = await api.token("operator")
    found = await check(
        api, "operator/Customer", operator, statements=4, drawn={"ref", "createdAt"}, reason=REASON, phone=PHONE
    )
    customer = found["data"]["operator"]["customer"]["id"]
    await check(api, "operator/Customer", operator, statements=2, case="none", reason=REASON, ref="nobody")
    await check(api, "operator/PersonalReads", operator, statements=3, customer=customer)
    await check(api, "account/ExportMyData", token, statements=16, most=16, drawn={"json"})
    await api.run("operator/PersonalReads", operator, first=100)
    assert len(api.statements) == 3
    await check(
        api, "account/EraseMe", token, statements=28, most=28, proof={"phone": PHONE, "code": await a_code(api, fake)}
    )
    async with api.db.write() as session:
        distributor = await account_of(session, "distributor", None, 3)
        await people.join(session, await people.find_or_make(session, {"phone": PHONE}, datetime.now(UTC)), distributor)
    member = {"phone": PHONE, "role": "DISTRIBUTOR", "distributor": encode("distributor", 3)}
    await check(api, "account/RemoveMember", operator, statements=4, input=member)


# Exported


async def test_all_that_is_held_comes_page_by_page(api: Api, fake: Fake) -> None:
    token = (await with_code(api, fake))["accessToken"]
    await done(api, "shop/SaveAddress", token, input=HOME)
    found: list[Json] = []
    after = None
    for _ in range(20):
        page = await done(api, "account/ExportMyData", token, first=2, after=after)
        assert len(page["edges"]) <= 2
        found += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert [it["kind"] for it in found] == [
        "person",
        "identity",
        "membership",
        "session",
        "address",
        "read",
        "read",
        "read",
    ]
    held = {it["kind"]: json.loads(it["json"]) for it in found}
    assert (held["identity"]["kind"], held["identity"]["value"]) == ("phone", PHONE)
    assert {name: held["address"][name] for name in HOME} == HOME
    assert await on_record(api) == [
        ("export", ["phone"]),
        ("export", []),
        ("export", ["phone", "recipient", "region", "street"]),
        ("export", []),
    ]
    for wrong in ({"first": 101}, {"after": "x"}, {"after": encode("my-data", 1)}):
        answer = await api.run("account/ExportMyData", token, **wrong)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_ARGUMENT"]
    assert len(await on_record(api)) == 4


# Erased


async def test_erasing_oneself_is_refused(api: Api, fake: Fake) -> None:
    token = (await with_code(api, fake))["accessToken"]
    await refuses(api, "BadArgument", "account/EraseMe", token, proof={})
    await refuses(api, "BadArgument", "account/EraseMe", token, proof={"phone": "1", "code": "1"})

    async def tells(**proof: str) -> Json:
        before = [row for row in await written(api) if not row.startswith(("rate_limits ", "one_time_codes "))]
        told = await done(api, "account/EraseMe", token, proof=proof)
        after = [row for row in await written(api) if not row.startswith(("rate_limits ", "one_time_codes "))]
        assert after == before, "only that somebody has tried is counted"
        return told

    assert (await tells(password="wrong horse"))["__typename"] == "WrongCredentials"
    code = await a_code(api, fake)
    assert (await tells(phone=PHONE, code="x"))["__typename"] == "WrongCredentials"
    assert (await tells(phone=OTHER_PHONE, code=code))["__typename"] == "WrongCredentials"
    assert (await tells(wechatCode="x"))["__typename"] == "WrongCredentials"
    fake.trouble = -1
    assert (await tells(wechatCode="x"))["__typename"] == "SignInOff"
    shop = await a_shop(api)
    address = (await done(api, "shop/SaveAddress", token, input=HOME))["id"]
    wanted = {"store": shop.id, "lines": [shop.line(0)], "address": address, "token": "one"}
    order = await done(api, "shop/PlaceOrder", token, input=wanted)
    told = await tells(phone=PHONE, code=code)
    assert told["__typename"] == "WrongState"
    assert told["message"] == f"Order {order['orderNo']} is under way: wait until it is completed, or cancel it."
    assert [await tells(password="x") for _ in range(11)][-1]["code"] == "TOO_MANY_REQUESTS"
    await forget_limits(api)
    await done(api, "shop/CancelOrder", token, order=order["id"])
    assert set(await done(api, "account/EraseMe", token, proof={"phone": PHONE, "code": code})) == {"at"}
    assert await api.code("{ shop { me { boundTo { since } } } }", token) == "UNAUTHENTICATED"
    operator = await api.token("operator")
    answer = await api.run("operator/Customer", operator, reason=REASON, orderNo=order["orderNo"])
    gone = answer["data"]["operator"]["customer"]
    assert (gone["phones"], gone["contacts"], gone["erasedAt"] is None) == ([], [], False)
    assert (await api.run("operator/Customer", operator, reason=REASON, phone=PHONE))["data"]["operator"][
        "customer"
    ] is None


# A role is taken


async def a_member(api: Api, phone: str, role: str, **of: Any) -> None:
    """With a password."""
    await accounts.create_operator(api.db, phone, PASSWORD, datetime.now(UTC))
    async with api.db.write() as session:
        person_id = await accounts.person_of(session, phone)
        await people.join(
            session, person_id, await account_of(session, role, of.get("brand_id"), of.get("distributor_id"))
        )


async def signs_in(api: Api, phone: str, role: str) -> Json:
    await forget_limits(api)
    one = await done(api, "account/SignInWithPassword", None, phone=phone, password=PASSWORD)
    (chosen,) = [it["id"] for it in one["memberships"] if it["role"] == role]
    return await done(api, "account/RefreshSession", None, refreshToken=one["refreshToken"], membership=chosen)


async def test_who_is_removed_acts_as_that_no_more(api: Api) -> None:
    await a_member(api, PHONE, "finance")
    as_finance, as_operator = await signs_in(api, PHONE, "FINANCE"), await signs_in(api, PHONE, "OPERATOR")
    operator = await api.token("operator")
    wanted = {"phone": f"+86{PHONE}", "role": "FINANCE"}
    assert await done(api, "account/RemoveMember", operator, input=wanted) == {"sessions": 1}
    ask = "{{ {0} {{ {1} {{ edges {{ cursor }} }} }} }}"
    assert await api.code(ask.format("finance", "runs"), as_finance["accessToken"]) == "UNAUTHENTICATED"
    assert "errors" not in await api.ask(ask.format("operator", "tiers"), as_operator["accessToken"])
    for one in (as_finance, as_operator):
        again = await done(api, "account/RefreshSession", None, refreshToken=one["refreshToken"])
        assert again.get("__typename") == ("WrongCredentials" if one is as_finance else None)
    async with api.db.read() as session:
        ended = await session.scalars(select(models.Session.end_reason).order_by(models.Session.id))
        assert ended.all() == ["removed", None]
    await refuses(api, "NotFound", "account/RemoveMember", operator, input=wanted)


async def test_removing_is_refused(api: Api) -> None:
    async with api.db.write() as session:
        ours, theirs = await factories.a_brand(session), await factories.a_brand(session)
    await a_member(api, PHONE, "brand", brand_id=ours.id)
    await a_member(api, OTHER_PHONE, "brand", brand_id=theirs.id)
    operator, brand = await api.token("operator"), await api.token("brand", brand=ours.name)
    remove = "account/RemoveMember"
    for kind, token, wrong in (
        ("BadArgument", operator, {"phone": "1", "role": "FINANCE"}),
        ("BadArgument", operator, {"phone": PHONE, "role": "CUSTOMER"}),
        ("BadArgument", operator, {"phone": PHONE, "role": "BRAND"}),
        ("NotFound", operator, {"phone": PHONE, "role": "BRAND", "brand": encode("brand", theirs.id)}),
        ("NotFound", operator, {"phone": "13700001111", "role": "OPERATOR"}),
        ("BadArgument", brand, {"phone": PHONE, "role": "OPERATOR"}),
        ("BadArgument", brand, {"phone": OTHER_PHONE, "role": "BRAND", "brand": encode("brand", theirs.id)}),
        ("NotFound", brand, {"phone": OTHER_PHONE, "role": "BRAND"}),
    ):
        await refuses(api, kind, remove, token, input=wrong)
    oneself = (await signs_in(api, PHONE, "OPERATOR"))["accessToken"]
    told = await refuses(api, "BadArgument", remove, oneself, input={"phone": PHONE, "role": "OPERATOR"})
    assert told["message"] == "Nobody removes itself: ask another one."
    assert await done(api, remove, brand, input={"phone": PHONE, "role": "BRAND"}) == {"sessions": 0}
