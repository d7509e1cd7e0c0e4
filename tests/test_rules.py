"""What a brand demands of every store: floors, banned words, disclosures; and whom a listing is shown to."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, models, notices, orders, stores
from s2b2c.audit import audit
from s2b2c.catalogue import Rules
from s2b2c.db import Database
from s2b2c.errors import BreaksBrandRules, Refused
from s2b2c.network import Policy
from s2b2c.orders import CartLine
from s2b2c.stores import Change, Choice, Shopper
from tests import factories
from tests.snapshot import snapshot
from tests.test_listing_history import HOUR, T0, a_shop, life


async def brand_of(session: AsyncSession, product_id: int) -> int:
    return (await session.get_one(models.Product, product_id)).brand_id


async def rule(session: AsyncSession, product_id: int, rules: Rules, now: datetime = T0) -> int:
    return await catalogue.set_rules(session, await brand_of(session, product_id), rules, account_id=None, now=now)


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ("全网最好的猫粮", "最好"),
        ("全网最 好的猫粮", "最好"),
        ("全网最\n好的猫粮", "最好"),
        ("the ＢＥＳＴ of all", "best"),
        ("Best", "best"),
        ("很好", None),
        ("", None),
    ],
)
async def test_a_banned_word_is_found_however_it_is_written(
    session: AsyncSession, words: str, word: str | None
) -> None:
    store, (one, *_), by = await a_shop(session)
    await rule(session, one, Rules(("最好", "best")))
    (answer,) = await stores.select_products(session, store.id, [Choice(one, pitch=words)], **by, now=T0)
    if word is None:
        assert isinstance(answer, stores.OwnListing)
    else:
        assert isinstance(answer, BreaksBrandRules)
        assert (answer.rule, answer.text) == ("banned_word", word)
        assert (await session.scalars(select(models.Listing))).all() == []


async def test_own_words_hold_the_disclosure_and_no_words_need_not(session: AsyncSession) -> None:
    store, (one, two, _), by = await a_shop(session)
    await rule(session, one, Rules(disclosure="本品不能代替药物"))
    choices = [Choice(one, pitch="好吃"), Choice(two, pitch="好吃")]
    refused, fine = await stores.select_products(session, store.id, choices, **by, now=T0)
    assert isinstance(refused, BreaksBrandRules)
    assert (refused.rule, refused.text) == ("disclosure", "本品不能代替药物")
    assert isinstance(fine, stores.OwnListing)
    (silent,) = await stores.select_products(session, store.id, [Choice(one)], **by, now=T0)
    assert isinstance(silent, stores.OwnListing)
    assert silent.disclosure == "本品不能代替药物"
    (said,) = await stores.update_listings(
        session, store.id, [Change(one, pitch="好吃。本品不能代替药物。")], **by, now=T0 + HOUR
    )
    assert isinstance(said, stores.OwnListing)
    (again,) = await stores.update_listings(session, store.id, [Change(one, pitch="好吃")], **by, now=T0 + HOUR)
    assert isinstance(again, BreaksBrandRules)
    rows = await stores.listings(session, store.id, Shopper(None, None, T0), after=None, limit=9)
    assert [(row.pitch, row.disclosure) for row in rows] == [
        ("好吃", None),
        ("好吃。本品不能代替药物。", "本品不能代替药物"),
    ]


async def test_new_rules_bring_all_stores_in_line_and_tell_each_owner_once(session: AsyncSession) -> None:
    """A floor of 95 % of 49.90 = 47.405, so 47.41: one listing is clamped, one loses its words, one stays."""
    store, (one, _, _), by = await a_shop(session)
    second, _, by_second = await a_shop(session, products=0)
    third, _, by_third = await a_shop(session, products=0)
    await stores.select_products(session, store.id, [Choice(one, 4600, "最好")], **by, now=T0)
    await stores.select_products(session, second.id, [Choice(one, 5000, "最好")], **by_second, now=T0)
    await stores.select_products(session, third.id, [Choice(one, 4741, "好")], **by_third, now=T0)
    assert await rule(session, one, Rules(("最好",), 9500), T0 + HOUR) == 2
    shown = (await session.execute(select(models.Listing.price, models.Listing.pitch, models.Listing.why))).all()
    assert sorted(map(tuple, shown)) == [(4741, "", "clamped"), (4741, "好", "selected"), (5000, "", "words_removed")]
    assert [(v.price, v.pitch) for v in await life(session, second.id, one)] == [(5000, ""), (5000, "最好")]
    told = (await session.scalars(select(models.Notice).order_by(models.Notice.distributor_id))).all()
    assert [(it.distributor_id, it.kind) for it in told] == [
        (store.distributor_id, "listings_fitted"),
        (second.distributor_id, "words_removed"),
    ]
    title = (await session.get_one(models.Product, one)).title
    assert notices.words(told[1].kind, told[1].facts, "zh") == (
        f"「{title}」在店铺「{second.title}」的自写文案已清空：不符合品牌的新规则。"
    )
    assert told[0].facts["emptied"] == told[0].facts["clamped"] == 1


async def test_the_audit_finds_a_price_below_the_floor(session: AsyncSession) -> None:
    """One that the band and the tier's cost allow."""
    store, (one, *_), by = await a_shop(session)
    await rule(session, one, Rules(floor_bps=10_000))
    (listing,) = await stores.select_products(session, store.id, [Choice(one)], **by, now=T0)
    assert isinstance(listing, stores.OwnListing)
    before = await audit(session)
    assert (listing.price, [breach for breach in before if breach.check == "listing_prices"]) == (4990, [])
    await session.execute(update(models.Listing).values(price=4989))
    (found,) = [breach for breach in await audit(session) if breach not in before]
    assert (found.check, [key for key, _ in found.rows]) == ("listing_prices", [f"listings {store.id}/{one}"])


async def test_the_same_rules_again_change_nothing_and_all_stay_on_record(db: Database) -> None:
    async with db.write() as session:
        _, (one, *_), _ = await a_shop(session)
        brand_id = await brand_of(session, one)
    for hours, rules in enumerate([Rules(("a",)), Rules(("a",)), Rules(("b", "b ")), Rules()]):
        async with db.write() as session:
            now = T0 + hours * HOUR
            assert await catalogue.set_rules(session, brand_id, rules, account_id=None, now=now) == 0
    async with db.read() as session:
        history = await catalogue.rules_history(session, brand_id, after=None, limit=9)
        assert [(it.banned_words, it.set_at) for it in history] == [
            ([], T0 + 3 * HOUR),
            (["b"], T0 + 2 * HOUR),
            (["a"], T0),
        ]
        current = await catalogue.rules_of(session, brand_id)
        assert current is not None
        assert (current.banned_words, current.floor_bps, current.disclosure) == ([], None, "")
        assert [it.id for it in await catalogue.rules_history(session, brand_id, after=(history[0].id,), limit=1)] == [
            history[1].id
        ]


@pytest.mark.parametrize(
    "rules",
    [
        Rules(("",)),
        Rules(("x" * 51,)),
        Rules(("a\0",)),
        Rules(tuple(map(str, range(201)))),
        Rules(floor_bps=0),
        Rules(floor_bps=10_001),
        Rules(disclosure="x" * 501),
        Rules(disclosure="a\ud800"),
        Rules(disclosure=" a"),
        Rules(("best",), disclosure="the BEST"),
    ],
)
async def test_rules_that_can_never_be_right(db: Database, rules: Rules) -> None:
    async with db.write() as session:
        _, (one, *_), _ = await a_shop(session)
    before = await snapshot(db)
    with pytest.raises(Refused) as refused:
        async with db.write() as session:
            await rule(session, one, rules)
    assert refused.value.refusal.code == "BAD_ARGUMENT"
    assert await snapshot(db) == before


async def test_choosing_waits_for_rules_in_the_making(db: Database) -> None:
    async with db.write() as session:
        store, (one, *_), by = await a_shop(session)

    async def choose() -> Any:
        async with db.write() as session:
            return await stores.select_products(session, store.id, [Choice(one, 4600)], **by, now=T0)

    async with db.write() as session:
        await rule(session, one, Rules(floor_bps=10_000))
        choosing = asyncio.create_task(choose())
        await asyncio.sleep(0.2)
        assert not choosing.done()
    (refusal,) = await choosing
    assert (refusal.code, refusal.bound, refusal.lowest_price) == ("PRICE_OUT_OF_BAND", "floor", 4990)


async def test_texts_of_a_store_are_checked_against_the_brands_it_lists(session: AsyncSession) -> None:
    store, (one, two, _), by = await a_shop(session)
    await stores.select_products(session, store.id, [Choice(one)], **by, now=T0)
    await rule(session, one, Rules(("最好",)))
    await session.execute(update(models.Brand).where(models.Brand.id == await brand_of(session, one)).values(name="甲"))
    bare = (await factories.a_store(session)).id
    texts = ["好", "最 好的店", ""]
    assert await stores.check_words(session, [bare, store.id], texts) == {
        store.id: [stores.BrokenRule(1, "甲", "最好")]
    }
    assert await stores.check_words(session, [store.id], []) == {}
    assert await stores.check_words(session, [bare], ["最好"], product_ids=[two]) == {}
    assert await stores.check_words(session, [bare], ["好", "最好"], product_ids=[one, two]) == {
        bare: [stores.BrokenRule(1, "甲", "最好")]
    }


async def a_customer_who(session: AsyncSession, store: models.Store, *, paid: bool, bound: bool) -> int:
    customer = await factories.a_customer(session)
    if paid:
        order = await factories.an_order(session, store, customer=customer, placed_at=T0 - 2 * HOUR)
        order.paid_at, order.state = T0 - HOUR, "paid"
        order.upline, order.upline_tiers, order.upline_states = [store.distributor_id], [1], ["active"]
    if bound:
        session.add(
            models.Binding(
                customer_id=customer.id,
                distributor_id=store.distributor_id,
                during=Range(T0 - HOUR, T0 + HOUR),
                policy="first_touch",
            )
        )
    await session.flush()
    return customer.id


async def test_a_listing_is_for_some_customers(session: AsyncSession) -> None:
    store, ids, by = await a_shop(session, products=4)
    segments: list[list[str]] = [[], ["new"], ["returning"], ["bound"]]
    choices = [Choice(id_, segments=names) for id_, names in zip(ids, segments, strict=True)]
    await stores.select_products(session, store.id, choices, **by, now=T0)

    async def shown(customer_id: int | None, now: datetime = T0) -> list[int]:
        shopper = Shopper(customer_id, None, now)
        rows = await stores.listings(session, store.id, shopper, after=None, limit=9)
        for number, id_ in enumerate(ids):
            alone = await stores.listing(session, store.id, id_, shopper)
            assert (alone is not None) == (number in [ids.index(row.product_id) for row in rows])
        return [ids.index(row.product_id) for row in rows]

    assert await shown(None) == [0, 1]
    assert await shown(await a_customer_who(session, store, paid=False, bound=False)) == [0, 1]
    assert await shown(await a_customer_who(session, store, paid=True, bound=False)) == [0, 2]
    both = await a_customer_who(session, store, paid=True, bound=True)
    assert await shown(both) == [0, 2, 3]
    assert await shown(both, T0 + HOUR) == [0, 2]


async def test_what_is_not_for_a_customer_is_not_sold_to_it(session: AsyncSession) -> None:
    store, (one, two, _), by = await a_shop(session)
    await stores.select_products(session, store.id, [Choice(one, segments=["bound"]), Choice(two)], **by, now=T0)
    variants = [
        (await session.scalars(select(models.Variant.id).where(models.Variant.product_id == id_))).one()
        for id_ in (one, two)
    ]
    lines = [CartLine(variant, 1, 4990) for variant in variants]
    for bound, problem in ((False, "not offered"), (True, None)):
        customer_id = await a_customer_who(session, store, paid=False, bound=bound)
        quote = await orders.quote(session, store.id, lines, customer_id=customer_id, now=T0)
        assert quote is not None
        assert [line.problem for line in quote.lines] == [problem, None]
        address = await factories.an_address(session, await session.get_one(models.Customer, customer_id))
        cart = orders.Cart(customer_id, store.id, f"t{bound}", lines, address.id, None)
        (placed,) = await orders.place(session, [cart], policy=Policy("first_touch", 30, 7), now=T0)
        assert isinstance(placed, orders.Placed) == bound, placed


async def test_a_listing_is_for_some_regions(session: AsyncSession) -> None:
    store, (one, two, _), by = await a_shop(session)
    await stores.select_products(
        session, store.id, [Choice(one, regions=["浙江", "上海", "浙江"]), Choice(two)], **by, now=T0
    )
    for region, shown in (("浙江", [one, two]), ("北京", [two]), (None, [two]), ("\0", [two])):
        rows = await stores.listings(session, store.id, Shopper(None, region, T0), after=None, limit=9)
        assert [row.product_id for row in rows] == shown
    (changed,) = await stores.update_listings(session, store.id, [Change(one, regions=[])], **by, now=T0 + HOUR)
    assert isinstance(changed, stores.OwnListing)
    assert [v.regions for v in await life(session, store.id, one)] == [[], ["浙江", "上海"]]


@pytest.mark.parametrize("regions", [[""], [" "], ["x" * 201], ["a\0"], [str(number) for number in range(51)]])
async def test_regions_that_are_none(session: AsyncSession, regions: list[str]) -> None:
    store, (one, *_), by = await a_shop(session)
    with pytest.raises(Refused) as refused:
        await stores.select_products(session, store.id, [Choice(one, regions=regions)], **by, now=T0)
    assert refused.value.refusal.code == "BAD_ARGUMENT"
