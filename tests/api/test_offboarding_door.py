"""Who was eliminated, over GraphQL: what the operator reads and undoes, where links lead, and what access is left."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from s2b2c import models, network, offboarding, settlements
from s2b2c.accounts.viewer import account_of
from s2b2c.api.types.ids import encode
from s2b2c.audit import audit
from tests import factories
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.operations import check
from tests.api.test_operations_operator import _id
from tests.api.test_partner import a_shop

DAY = timedelta(days=1)


async def gone(api: Api, code: str = "ZJ-HZ") -> models.Elimination:
    """A city of the sample, eliminated the day before."""
    async with api.db.write() as session:
        account_id = await account_of(session, "operator")
        key = (await session.scalars(select(models.Distributor.id).where(models.Distributor.code == code))).one()
        await network.suspend(session, key, reason="核查", now=NOW - 3 * DAY, account_id=account_id)
        await session.flush()
        return await offboarding.eliminate(session, key, reason="连续末位", now=NOW - DAY, account_id=account_id)


async def test_what_an_operator_reads_and_undoes(own_sample: Api) -> None:
    token = await own_sample.token("operator")
    it = await gone(own_sample)
    key = encode("elimination", it.id)
    await check(own_sample, "operator/Eliminations", token, statements=2)
    page = await check(own_sample, "operator/Elimination", token, id=key, first=2, statements=4)
    moved = page["data"]["operator"]["elimination"]["movedDownlines"]
    assert moved["pageInfo"]["hasNextPage"] is True
    rest = {"id": key, "first": 100, "after": moved["pageInfo"]["endCursor"]}
    await check(own_sample, "operator/Elimination", token, **rest, statements=4, case="rest")
    async with own_sample.db.write() as session:
        settled = await settlements.settle(session, cutoff=NOW, now=NOW)
        assert settled is not None
    await check(own_sample, "operator/EliminationStatements", token, id=key, statements=3)
    back = {"id": await _id(own_sample, "ZJ-HZ"), "reason": "申诉成立"}
    await check(own_sample, "operator/ReinstateEliminatedDistributor", token, **back, statements=16, most=16)
    await check(own_sample, "operator/Eliminations", token, standingOnly=True, statements=2, case="undone")
    answer = await own_sample.run("operator/ReinstateEliminatedDistributor", token, **back)
    assert answer["data"]["reinstateEliminatedDistributor"] == {
        "__typename": "WrongState",
        "code": "WRONG_STATE",
        "message": "ZJ-HZ is active, not eliminated: there is nothing to undo.",
    }
    async with own_sample.db.snapshot() as session:
        assert await audit(session) == []


@pytest.mark.parametrize(
    ("id_", "reason", "code"),
    [
        (encode("distributor", 2**40), "x", "NOT_FOUND"),
        (encode("distributor", 1), " ", "BAD_ARGUMENT"),
        (encode("store", 1), "x", "BAD_ARGUMENT"),
    ],
)
async def test_what_cannot_be_undone(own_sample: Api, id_: str, reason: str, code: str) -> None:
    token = await own_sample.token("operator")
    answer = await own_sample.run("operator/ReinstateEliminatedDistributor", token, id=id_, reason=reason)
    assert answer["data"]["reinstateEliminatedDistributor"]["code"] == code
    missing = await own_sample.run("operator/Elimination", token, id=encode("elimination", 2**40))
    assert missing == {"data": {"operator": {"elimination": None}}}


async def test_links_of_a_closed_store_lead_on(own_sample: Api) -> None:
    """A visit to the closed store is one to the store of the new home."""
    async with own_sample.db.write() as session:
        owner = (await session.scalars(select(models.Distributor).where(models.Distributor.code == "ZJ-HZ"))).one()
        top = (await session.scalars(select(models.Distributor).where(models.Distributor.code == "ZJ"))).one()
        mine, theirs = await factories.a_store(session, owner), await factories.a_store(session, top)
        theirs.slug, mine.slug = "zhejiang", "closing"
    assert (await own_sample.run("shop/MovedTo", slug="closing"))["data"] == {"shop": {"movedTo": None}}
    await gone(own_sample)
    moved = await check(own_sample, "shop/MovedTo", slug="closing", statements=1)
    assert moved == {"data": {"shop": {"movedTo": "zhejiang"}}}
    customer = await own_sample.run("shop/EnterAsGuest")
    token = customer["data"]["enterAsGuest"]["token"]
    visited = await own_sample.run("shop/Visit", token, slug="closing")
    assert visited["data"]["visit"] == {"store": encode("store", theirs.id)}
    async with own_sample.db.read() as session:
        newest = (await session.scalars(select(models.Binding).order_by(models.Binding.id.desc()).limit(1))).one()
    assert newest.distributor_id == top.id


OPEN: dict[str, Any] = {
    "me { state }": {"me": {"state": "ELIMINATED"}},
    "unreadNotices": {"unreadNotices": 0},
    "notices { edges { cursor } }": {"notices": {"edges": []}},
    "statements { edges { cursor } }": {"statements": {"edges": []}},
    "disputes { edges { cursor } }": {"disputes": {"edges": []}},
    "payoutAccount { ready: __typename }": {"payoutAccount": None},
    "payee { legalName }": {"payee": None},
}


async def test_what_is_left_to_who_was_eliminated(api: Api) -> None:
    """It sees itself, what it is told and what it is paid, and may say where its money goes; nothing else."""
    shop = await a_shop(api, state="eliminated")
    for asked, told in OPEN.items():
        assert await api.ask(f"{{ partner {{ {asked} }} }}", shop.token) == {"data": {"partner": told}}, asked
    closed = [
        *("catalogue { edges { cursor } }", 'store(slug: "s") { id }', "stores { edges { cursor } }"),
        *("earnings { paid { amount } }", "customers { edges { cursor } }", "modelStores { edges { cursor } }"),
        *("orders { edges { cursor } }", 'team(from: "2026-10-01", to: "2026-11-01") { edges { cursor } }'),
        *(
            'node(id: "x") { id }',
            "refusedTouches(side: HELD) { edges { cursor } }",
            f'product(id: "{shop.product(0)}") {{ id }}',
        ),
        f'commission(id: "{encode("commission", 1, 1, 0)}") {{ id }}',
    ]
    for asked in closed:
        assert await api.code(f"{{ partner {{ {asked} }} }}", shop.token) == "FORBIDDEN", asked
    payee = {
        "legalName": "王小丽",
        "identityNumber": "11010519491231002X",
        "bankName": "工商银行",
        "bankAccount": "6222021234567890128",
    }
    answer = await api.run("partner/SetPayee", shop.token, input=payee)
    assert answer["data"]["setPayee"]["bankName"] == "工商银行", answer
    tried: dict[str, dict[str, Any]] = {
        "partner/SelectProduct": {"store": shop.id, "product": {"product": shop.product(0)}},
        "partner/Share": {"store": shop.id},
    }
    for operation, variables in tried.items():
        answer = await api.run(operation, shop.token, **variables)
        assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN"}, operation
    async with api.db.read() as session:
        assert await session.scalar(select(func.count()).select_from(models.ShareLink)) == 0
