"""Prices and rules at the door of brands, what stores are refused by them, and who is shown what."""

from typing import Any

from s2b2c import catalogue, models
from s2b2c.api.types.ids import encode
from tests import factories
from tests.api.client import Api
from tests.api.test_partner import NOW, a_shop
from tests.snapshot import snapshot

FEN = {"supplyPrice": 2600, "suggestedPrice": 5000, "minPrice": 4000, "maxPrice": 6000}


async def test_every_refusal_of_prices(api: Api) -> None:
    async with api.db.write() as session:
        ours, theirs = [await factories.a_variant(session, brand=await factories.a_brand(session, n)) for n in "甲乙"]
        done = await factories.a_price_change(session, ours.id, NOW)
        done.state, done.done_at = "cancelled", NOW
        other = await factories.a_price_change(session, theirs.id, NOW)
    token = await api.token("brand", brand="甲")
    before = await snapshot(api.db)
    own: dict[str, Any] = {"variant": encode("variant", ours.id), **FEN, "tierCosts": []}
    tier = {"tier": encode("tier", 10**9), "cost": 5000}
    for changes, refusal in [
        ([{**own, "minPrice": 7000}], "InvalidPrices"),
        ([{**own, "variant": encode("variant", theirs.id)}], "NotFound"),
        ([{**own, "tierCosts": [tier]}], "NotFound"),
        ([{**own, "tierCosts": [tier, tier]}], "BadArgument"),
        ([own, own], "BadArgument"),
        ([], "BadArgument"),
    ]:
        answer = await api.run("brand/ChangePrices", token, changes=changes)
        assert answer["data"]["changePrices"]["__typename"] == refusal, answer
    no_zone = await api.run("brand/ChangePrices", token, changes=[own], startsAt="2026-12-01T00:00:00")
    assert no_zone["data"]["changePrices"]["__typename"] == "BadArgument"
    for id_, refusal in [
        (encode("price-change", done.id), "WrongState"),
        (encode("price-change", other.id), "NotFound"),
        ("?", "BadArgument"),
    ]:
        answer = await api.run("brand/CancelPriceChanges", token, ids=[id_])
        assert answer["data"]["cancelPriceChanges"]["__typename"] == refusal, answer
    assert await snapshot(api.db) == before


async def test_own_words_that_break_the_rules_are_refused_with_what_is_wrong(api: Api) -> None:
    shop = await a_shop(api, listed=1)
    for product_id, rules in zip(
        shop.products[:2], (catalogue.Rules(("最好",)), catalogue.Rules(disclosure="广告")), strict=True
    ):
        async with api.db.write() as session:
            brand_id = (await session.get_one(models.Product, product_id)).brand_id
            await catalogue.set_rules(session, brand_id, rules, account_id=None, now=NOW)
    before = await snapshot(api.db)
    listing = {"product": shop.product(0), "pitch": "最 好"}
    changed = await api.run("partner/UpdateListing", shop.token, store=shop.id, listing=listing)
    chosen = await api.run(
        "partner/SelectProduct", shop.token, store=shop.id, product={"product": shop.product(1), "pitch": "好"}
    )
    found = [changed["data"]["updateListing"], chosen["data"]["selectProduct"]]
    assert [(it["__typename"], it["rule"], it["text"]) for it in found] == [
        ("BreaksBrandRules", "BANNED_WORD", "最好"),
        ("BreaksBrandRules", "DISCLOSURE", "广告"),
    ]
    assert await snapshot(api.db) == before


async def test_a_shopper_is_shown_what_is_for_it(api: Api) -> None:
    """Whoever has no token is new; with one it takes a look at who that is where a listing has segments alone."""
    shop = await a_shop(api, listed=3)
    limits: list[dict[str, Any]] = [{"segments": ["BOUND"]}, {"segments": ["NEW"]}, {"regions": ["浙江"]}]
    listings = [{"product": shop.product(number), **limit} for number, limit in enumerate(limits)]
    await api.run("partner/UpdateListings", shop.token, store=shop.id, listings=listings)
    async with api.db.write() as session:
        customer = await factories.a_customer(session)
    token = await api.token("customer", customer=customer.ref)

    async def shown(token: str | None, region: str | None = None) -> tuple[list[str], int]:
        answer = await api.run("shop/Storefront", token, slug=shop.store.slug, region=region)
        edges = answer["data"]["shop"]["store"]["listings"]["edges"]
        return [edge["node"]["product"]["title"] for edge in edges], len(api.statements)

    assert await shown(None) == (["商品1"], 3)
    assert await shown(None, "浙江") == (["商品1", "商品2"], 3)
    assert await shown(token) == (["商品1"], 5)
    assert await shown("no token") == (["商品1"], 4)
    await api.run("shop/Visit", token, slug=shop.store.slug)
    assert await shown(token) == (["商品0", "商品1"], 5)
    plain = [{"product": shop.product(number), "segments": []} for number in range(2)]
    await api.run("partner/UpdateListings", shop.token, store=shop.id, listings=plain)
    assert await shown(token) == (["商品0", "商品1"], 3)
