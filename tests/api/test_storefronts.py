"""The look of stores at their doors: every refusal of every mutation, and orders outside the opening hours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s2b2c import models
from s2b2c.api.types.ids import encode
from s2b2c.config import SHANGHAI
from tests import factories
from tests.api.client import Api
from tests.api.shopping import Json, Shop, a_buyer, a_shop, done, refuses

PICTURE = "https://example.com/1.jpg"
NOWHERE = encode("store", 10**9)


async def _close(shop: Shop) -> None:
    async with shop.api.db.write() as session:
        (await session.get_one(models.Store, shop.store.id)).state = "closed"


async def _mark(shop: Shop) -> None:
    async with shop.api.db.write() as session:
        (await session.get_one(models.Store, shop.store.id)).is_model = True


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"picks": {"title": "", "products": []}}, "blocks[0].picks.title: String should have at least 1 character."),
        ({"banner": {"imageUrl": "x"}}, "blocks[0].banner.imageUrl: String should match pattern '^https?://[!-~]+$'."),
        ({"grid": {"columns": 7, "items": []}}, "blocks[0].grid.columns: Input should be 2, 3 or 4."),
        (
            {"countdown": {"title": "a", "endsAt": "0001-01-01T00:00:00+14:00", "products": []}},
            "blocks[0].countdown.endsAt: no calendar in UTC holds this time.",
        ),
    ],
)
async def test_a_block_that_cannot_be(api: Api, block: Json, message: str) -> None:
    shop = await a_shop(api)
    given = {"store": shop.id, "input": {"blocks": [block]}}
    refused = await refuses(api, "BadArgument", "partner/UpdateStore", await shop.seller(), **given)
    assert refused["message"] == message


async def test_a_block_is_of_one_kind(api: Api) -> None:
    shop = await a_shop(api)
    both = {"story": {"title": "a", "text": "b"}, "banner": {"imageUrl": PICTURE}}
    answer = await api.run("partner/UpdateStore", await shop.seller(), store=shop.id, input={"blocks": [both]})
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_REQUEST"]


async def test_updating_is_refused(api: Api) -> None:
    shop = await a_shop(api)
    seller = await shop.seller()
    unlisted = encode("product", 10**9)
    picks = {"blocks": [{"picks": {"title": "精选", "products": [unlisted]}}]}
    await refuses(api, "NotFound", "partner/UpdateStore", seller, store=shop.id, input=picks)
    await refuses(api, "NotFound", "partner/UpdateStore", seller, store=NOWHERE, input={"title": "店"})
    await _close(shop)
    await refuses(api, "WrongState", "partner/UpdateStore", seller, store=shop.id, input={"title": "店"})


async def test_opening_a_store_is_refused(api: Api) -> None:
    shop = await a_shop(api)
    seller = await shop.seller()
    wanted = {"slug": shop.store.slug, "title": "又一家"}
    await refuses(api, "AlreadyTaken", "partner/CreateStore", seller, input=wanted)
    await refuses(api, "BadArgument", "partner/CreateStore", seller, input={**wanted, "slug": "No"})
    async with api.db.write() as session:
        (await session.get_one(models.Distributor, shop.owner.id)).state = "suspended"
    await refuses(api, "WrongState", "partner/CreateStore", seller, input={**wanted, "slug": "another"})


async def test_copying_is_refused(api: Api) -> None:
    shop = await a_shop(api)
    seller, operator = await shop.seller(), await api.token("operator")
    async with api.db.write() as session:
        other = await factories.a_store(session)
        mine = await factories.a_store(session, shop.owner)
    theirs = encode("store", other.id)
    adopting: dict[str, Any] = {"store": shop.id, "parts": ["LISTINGS"]}
    await refuses(api, "NotFound", "partner/AdoptSetup", seller, slug=other.slug, **adopting)
    await refuses(api, "BadArgument", "partner/AdoptSetup", seller, slug=shop.store.slug, **adopting)
    copying: dict[str, Any] = {"model": shop.id, "parts": ["LISTINGS"]}
    await refuses(api, "WrongState", "operator/CopyStore", operator, stores=[theirs], **copying)
    await refuses(api, "NotFound", "operator/CopyStore", operator, model=NOWHERE, stores=[theirs], parts=["HOURS"])
    await refuses(api, "NotFound", "operator/MarkModelStore", operator, store=NOWHERE)
    await _mark(shop)
    for stores in ([theirs, theirs], [shop.id], []):
        await refuses(api, "BadArgument", "operator/CopyStore", operator, stores=stores, **copying)
    missing = await done(api, "operator/CopyStore", operator, stores=[NOWHERE], **copying)
    assert [it["__typename"] for it in missing["results"]] == ["NotFound"]
    await refuses(api, "BadArgument", "operator/MarkModelStore", operator, store="nothing")
    await _close(shop)
    await refuses(api, "WrongState", "partner/AdoptSetup", seller, slug=mine.slug, **adopting)
    await refuses(api, "WrongState", "operator/MarkModelStore", operator, store=shop.id)
    closed = await done(api, "operator/CopyStore", operator, model=shop.id, stores=[theirs], parts=["HOURS"])
    assert closed["__typename"] == "WrongState"


async def test_a_persona_that_cannot_be(api: Api) -> None:
    shop = await a_shop(api)
    wrong = {"name": "绒溪", "avatarUrl": "javascript:1"}
    refused = await refuses(api, "BadArgument", "brand/SetPersona", await shop.brand(0), persona=wrong)
    assert refused["message"] == "persona.avatarUrl: String should match pattern '^https?://[!-~]+$'."


async def test_orders_wait_for_the_opening_hours(api: Api) -> None:
    """One that was placed before is still answered by its token."""
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    placed = await buyer.places()
    today = datetime.now(UTC).astimezone(SHANGHAI).date()
    closed = [(today + timedelta(days=days)).isoformat() for days in range(3)]
    hours = {"openingHours": {"spans": [], "closedDays": closed}}
    await done(api, "partner/UpdateStore", await shop.seller(), store=shop.id, input=hours)
    wanted = {"store": shop.id, "lines": [shop.line(0)], "address": buyer.address, "token": "two"}
    refused = await refuses(api, "WrongState", "shop/PlaceOrder", buyer.token, input=wanted)
    opens = today + timedelta(days=3)
    assert refused["message"] == f"The store is not open now: order from {opens} 00:00 on (Asia/Shanghai)."
    assert (await buyer.places())["id"] == placed["id"]
    await done(api, "partner/UpdateStore", await shop.seller(), store=shop.id, input={"openingHours": None})
    assert (await buyer.places(token="two"))["state"] == "PLACED"
