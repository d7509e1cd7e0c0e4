"""What a distributor does with its stores: choosing, changing, ordering, removing; and every refusal of it."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, models, stores
from s2b2c.api.types.ids import encode
from s2b2c.config import resource
from s2b2c.db import Database
from s2b2c.stores import Choice
from tests import factories
from tests.api.client import Api
from tests.snapshot import snapshot

NOW = datetime(2026, 9, 1, tzinfo=UTC)


class Shop(NamedTuple):
    """A store whose owner stands on tier 2, where a unit costs 3900; the band of every product is 4500 to 5990."""

    token: str
    owner: models.Distributor
    store: models.Store
    products: list[int]

    @property
    def id(self) -> str:
        return encode("store", self.store.id)

    def product(self, number: int) -> str:
        return encode("product", self.products[number])


async def a_product(session: AsyncSession, title: str = "猫粮") -> int:
    variant = await factories.a_variant(session, band=(4500, 5990))
    await session.execute(update(models.Product).where(models.Product.id == variant.product_id).values(title=title))
    return variant.product_id


async def a_shop(api: Api, *, products: int = 3, listed: int = 0, state: str = "active") -> Shop:
    async with api.db.write() as session:
        owner = await factories.a_distributor(session, rank=2, state=state)
        store = await factories.a_store(session, owner)
        ids = [await a_product(session, f"商品{number}") for number in range(products)]
        for position, product_id in enumerate(ids[:listed], start=1):
            await factories.a_listing(session, store, product_id, position=10 * position)
        await catalogue.index_products(session)
    return Shop(await api.token("distributor", distributor=owner.code), owner, store, ids)


async def shelf(db: Database, shop: Shop) -> list[tuple[int, int, int, str, bool]]:
    """(which product, price, position, pitch, pinned) in the order of the positions."""
    async with db.read() as session:
        rows = await session.scalars(
            select(models.Listing).where(models.Listing.store_id == shop.store.id).order_by(models.Listing.position)
        )
        return [(shop.products.index(row.product_id), row.price, row.position, row.pitch, row.pinned) for row in rows]


async def test_a_product_is_chosen_at_the_suggested_price(api: Api) -> None:
    shop = await a_shop(api, listed=1)
    answer = await api.run(
        "partner/SelectProduct", shop.token, store=shop.id, product={"product": shop.product(2), "pitch": "好吃\n真的"}
    )
    chosen = answer["data"]["selectProduct"]
    assert chosen["id"] == encode("listing", shop.store.id, shop.products[2])
    assert (chosen["price"]["amount"], chosen["pitch"], chosen["position"]) == (4990, "好吃\n真的", 11)
    assert chosen["product"]["title"] == "商品2"
    assert len(api.statements) == 4, api.statements
    assert await shelf(api.db, shop) == [(0, 4990, 10, "", False), (2, 4990, 11, "好吃\n真的", False)]


async def test_two_hundred_at_once_in_three_statements(api: Api) -> None:
    """Of 200, ten have a reason of each kind; the other 150 are done."""
    shop = await a_shop(api, products=200, listed=10)
    async with api.db.write() as session:
        await session.execute(
            update(models.Product).where(models.Product.id.in_(shop.products[10:20])).values(state="delisted")
        )
        for product_id in shop.products[20:30]:
            await factories.reprice(session, product_id, NOW, tier_costs=[3500])
    wanted: list[dict[str, Any]] = [{"product": shop.product(number)} for number in range(200)]
    for number in range(30, 40):
        wanted[number]["price"] = 4499 if number % 2 else 5991
    for number in range(40, 50):
        wanted[number]["product"] = encode("product", 10**12 + number)
    wanted[50]["price"], wanted[51]["price"] = 4500, 5990
    answer = await api.run("partner/SelectProducts", shop.token, store=shop.id, products=wanted)
    assert len(api.statements) == 3, api.statements
    results = answer["data"]["selectProducts"]["results"]
    codes = [result.get("code", "DONE") for result in results]
    reasons = ["ALREADY_TAKEN", "NOT_SELECTABLE", "NOT_SELECTABLE", "PRICE_OUT_OF_BAND", "NOT_FOUND"]
    assert codes == [reason for reason in reasons for _ in range(10)] + ["DONE"] * 150
    assert results[30] == {
        "__typename": "PriceOutOfBand",
        "code": "PRICE_OUT_OF_BAND",
        "message": "The price must lie in 45.00 to 59.90 yuan.",
        "lowestPrice": {"amount": 4500},
        "highestPrice": {"amount": 5990},
        "bound": "BAND",
    }
    assert [result["product"]["title"] for result in results[50:]] == [f"商品{number}" for number in range(50, 200)]
    after = await shelf(api.db, shop)
    assert [(row[0], row[2]) for row in after] == [
        *((number, 10 * number + 10) for number in range(10)),
        *((number, 51 + number) for number in range(50, 200)),
    ]
    assert [row[1] for row in after[10:13]] == [4500, 5990, 4990]


async def test_a_product_named_twice_is_chosen_once(api: Api) -> None:
    shop = await a_shop(api)
    wanted = [{"product": shop.product(1), "price": 4600}, {"product": shop.product(1), "price": 4700}]
    answer = await api.run("partner/SelectProducts", shop.token, store=shop.id, products=wanted)
    assert [result.get("code") for result in answer["data"]["selectProducts"]["results"]] == [None, "ALREADY_TAKEN"]
    assert await shelf(api.db, shop) == [(1, 4600, 1, "", False)]


async def test_the_owners_cost_is_a_lower_bound(api: Api) -> None:
    """A tier whose cost lies above the brand's lowest price may not sell below its cost."""
    shop = await a_shop(api)
    async with api.db.write() as session:
        await factories.reprice(session, shop.products[0], NOW, tier_costs=[4600, 4800])
    answer = await api.run(
        "partner/SelectProduct", shop.token, store=shop.id, product={"product": shop.product(0), "price": 4799}
    )
    assert answer["data"]["selectProduct"]["lowestPrice"] == {"amount": 4800}
    assert await shelf(api.db, shop) == []


SINGLE = [
    ("NotFound", {"store": encode("store", 10**9)}),
    ("NotFound", {"product": {"product": encode("product", 10**9)}}),
    ("AlreadyTaken", {"number": 0}),
    ("PriceOutOfBand", {"price": 6000}),
    ("PriceOutOfBand", {"price": -(2**63)}),
    ("NotSelectable", {"state": "delisted"}),
    ("NotFound", {"state": "in_review"}),
    ("BadArgument", {"pitch": "a\x01b"}),
    ("BadArgument", {"pitch": "长" * 2001}),
    ("BadArgument", {"store": "nonsense"}),
    ("BadArgument", {"product": {"product": encode("brand", 1)}}),
    ("WrongState", {"close": True}),
    ("WrongState", {"owner": "suspended"}),
]


@pytest.mark.parametrize(("refusal", "how"), SINGLE)
async def test_choosing_is_refused(api: Api, refusal: str, how: dict[str, Any]) -> None:
    shop = await a_shop(api, listed=1)
    async with api.db.write() as session:
        if "state" in how:
            await session.execute(
                update(models.Product).where(models.Product.id == shop.products[1]).values(state=how["state"])
            )
        if "close" in how:
            await session.execute(update(models.Store).values(state="closed"))
        if "owner" in how:
            await session.execute(update(models.Distributor).values(state=how["owner"]))
    before = await snapshot(api.db)
    given: dict[str, Any] = {name: how[name] for name in ("price", "pitch") if name in how}
    wanted: dict[str, Any] = {"product": shop.product(how.get("number", 1)), **given}
    answer = await api.run(
        "partner/SelectProduct", shop.token, store=how.get("store", shop.id), product=how.get("product", wanted)
    )
    assert answer["data"]["selectProduct"]["__typename"] == refusal, answer
    assert await snapshot(api.db) == before


async def test_anothers_store_is_not_found(api: Api) -> None:
    ours, theirs = await a_shop(api), await a_shop(api, listed=2)
    before = await snapshot(api.db)
    one, many = {"product": theirs.product(0)}, [{"product": theirs.product(2)}]
    refused = [
        await api.run("partner/SelectProduct", ours.token, store=theirs.id, product=one),
        await api.run("partner/SelectProducts", ours.token, store=theirs.id, products=many),
        await api.run("partner/UpdateListing", ours.token, store=theirs.id, listing=one),
        await api.run("partner/UpdateListings", ours.token, store=theirs.id, listings=many),
        await api.run("partner/RemoveListing", ours.token, store=theirs.id, product=theirs.product(0)),
        await api.run("partner/RemoveListings", ours.token, store=theirs.id, products=[theirs.product(0)]),
        await api.run("partner/ReorderListings", ours.token, store=theirs.id, products=[theirs.product(1)]),
    ]
    assert [next(iter(answer["data"].values()))["__typename"] for answer in refused] == ["NotFound"] * 7
    assert await snapshot(api.db) == before
    assert await api.run("partner/Store", ours.token, slug=theirs.store.slug) == {"data": {"partner": {"store": None}}}


async def test_a_listing_is_changed(api: Api) -> None:
    shop = await a_shop(api, listed=2)
    listing = {"product": shop.product(1), "price": 5990, "pitch": "新话", "pinned": True}
    answer = await api.run("partner/UpdateListing", shop.token, store=shop.id, listing=listing)
    changed = answer["data"]["updateListing"]
    assert (changed["price"]["amount"], changed["pitch"], changed["pinned"]) == (5990, "新话", True)
    assert len(api.statements) == 3, api.statements
    await api.run("partner/UpdateListing", shop.token, store=shop.id, listing={"product": shop.product(1)})
    assert await shelf(api.db, shop) == [(0, 4990, 10, "", False), (1, 5990, 20, "新话", True)]


async def test_many_listings_are_changed_and_the_rest_say_why(api: Api) -> None:
    shop = await a_shop(api, products=4, listed=3)
    async with api.db.write() as session:
        await factories.reprice(session, shop.products[2], NOW, tier_costs=[3500])
    changes = [
        {"product": shop.product(0), "price": 4499},
        {"product": shop.product(1), "price": 4501},
        {"product": shop.product(2), "price": 5000},
        {"product": shop.product(3), "pitch": "?"},
    ]
    answer = await api.run("partner/UpdateListings", shop.token, store=shop.id, listings=changes)
    assert [result.get("code") for result in answer["data"]["updateListings"]["results"]] == [
        "PRICE_OUT_OF_BAND",
        None,
        "NOT_SELECTABLE",
        "NOT_FOUND",
    ]
    assert len(api.statements) == 3, api.statements
    assert [row[:2] for row in await shelf(api.db, shop)] == [(0, 4990), (1, 4501), (2, 4990)]


@pytest.mark.parametrize(
    ("refusal", "listing"),
    [
        ("NotFound", {"number": 2}),
        ("PriceOutOfBand", {"number": 0, "price": 1}),
        ("NotSelectable", {"number": 1, "price": 5000}),
        ("BadArgument", {"number": 0, "pitch": "\u202e"}),
    ],
)
async def test_a_change_is_refused(api: Api, refusal: str, listing: dict[str, Any]) -> None:
    shop = await a_shop(api, listed=2)
    async with api.db.write() as session:
        await factories.reprice(session, shop.products[1], NOW, tier_costs=[3500])
    before = await snapshot(api.db)
    change = {**listing, "product": shop.product(listing["number"])}
    del change["number"]
    answer = await api.run("partner/UpdateListing", shop.token, store=shop.id, listing=change)
    assert answer["data"]["updateListing"]["__typename"] == refusal
    assert await snapshot(api.db) == before


async def test_what_cannot_be_right_is_refused_as_a_whole(api: Api) -> None:
    shop = await a_shop(api, listed=2)
    before = await snapshot(api.db)
    twice = [{"product": shop.product(0), "price": 4600}, {"product": shop.product(0), "price": 4700}]
    many = [shop.product(0)] * 501
    refused = [
        await api.run("partner/SelectProducts", shop.token, store=shop.id, products=[]),
        await api.run("partner/SelectProducts", shop.token, store=shop.id, products=[{"product": id_} for id_ in many]),
        await api.run("partner/UpdateListings", shop.token, store=shop.id, listings=twice),
        await api.run("partner/UpdateListings", shop.token, store=shop.id, listings=[]),
        await api.run("partner/RemoveListing", shop.token, store=shop.id, product="?"),
        await api.run("partner/RemoveListings", shop.token, store=shop.id, products=many),
        await api.run("partner/ReorderListings", shop.token, store=shop.id, products=[shop.product(0)] * 2),
        await api.run(
            "partner/ReorderListings", shop.token, store=shop.id, products=[shop.product(0)], behind=shop.product(0)
        ),
    ]
    assert [next(iter(answer["data"].values()))["__typename"] for answer in refused] == ["BadArgument"] * 8
    assert await snapshot(api.db) == before


async def test_a_closed_store_or_a_suspended_owner_changes_nothing(api: Api) -> None:
    closed, idle = await a_shop(api, listed=2), await a_shop(api, listed=2)
    async with api.db.write() as session:
        await session.execute(update(models.Store).where(models.Store.id == closed.store.id).values(state="closed"))
        await session.execute(
            update(models.Distributor).where(models.Distributor.id == idle.owner.id).values(state="suspended")
        )
    before = await snapshot(api.db)
    for shop in (closed, idle):
        change = {"product": shop.product(0), "price": 4600}
        refused = [
            await api.run("partner/SelectProducts", shop.token, store=shop.id, products=[{"product": shop.product(2)}]),
            await api.run("partner/UpdateListing", shop.token, store=shop.id, listing=change),
            await api.run("partner/UpdateListings", shop.token, store=shop.id, listings=[change]),
            await api.run("partner/RemoveListing", shop.token, store=shop.id, product=shop.product(0)),
            await api.run("partner/RemoveListings", shop.token, store=shop.id, products=[shop.product(0)]),
            await api.run("partner/ReorderListings", shop.token, store=shop.id, products=[shop.product(1)]),
        ]
        assert [next(iter(answer["data"].values()))["__typename"] for answer in refused] == ["WrongState"] * 6
    assert await snapshot(api.db) == before


async def test_removing(api: Api) -> None:
    shop = await a_shop(api, listed=3)
    one = await api.run("partner/RemoveListing", shop.token, store=shop.id, product=shop.product(1))
    assert one["data"]["removeListing"] == {"product": shop.product(1)}
    assert len(api.statements) == 3, api.statements
    products = [shop.product(0), shop.product(1)]
    many = await api.run("partner/RemoveListings", shop.token, store=shop.id, products=products)
    gone, missing = many["data"]["removeListings"]["results"]
    assert gone == {"product": shop.product(0)}
    assert missing["__typename"] == "NotFound"
    assert len(api.statements) == 3, api.statements
    assert await shelf(api.db, shop) == [(2, 4990, 30, "", False)]
    again = await api.run("partner/RemoveListing", shop.token, store=shop.id, product=shop.product(1))
    assert again["data"]["removeListing"]["__typename"] == "NotFound"


@pytest.mark.parametrize(
    ("moved", "behind", "order"),
    [
        ([4], None, [4, 0, 1, 2, 3]),
        ([0], 4, [1, 2, 3, 4, 0]),
        ([3, 1], 4, [0, 2, 4, 3, 1]),
        ([4, 0], 2, [1, 2, 4, 0, 3]),
        ([0, 1, 2, 3, 4], None, [0, 1, 2, 3, 4]),
        ([4, 3, 2, 1, 0], None, [4, 3, 2, 1, 0]),
    ],
)
async def test_reordering(api: Api, moved: list[int], behind: int | None, order: list[int]) -> None:
    shop = await a_shop(api, products=5, listed=5)
    answer = await api.run(
        "partner/ReorderListings",
        shop.token,
        store=shop.id,
        products=[shop.product(number) for number in moved],
        behind=None if behind is None else shop.product(behind),
    )
    edges = answer["data"]["reorderListings"]["listings"]["edges"]
    assert [edge["node"]["product"]["title"] for edge in edges] == [f"商品{number}" for number in order]
    assert len(api.statements) == 4, api.statements
    assert [(row[0], row[2]) for row in await shelf(api.db, shop)] == list(zip(order, range(10, 60, 10), strict=True))


async def test_reordering_what_is_not_there_changes_nothing(api: Api) -> None:
    shop = await a_shop(api, products=4, listed=3)
    before = await snapshot(api.db)
    for products, behind in [([3], None), ([2, 3], 0), ([2], 3)]:
        answer = await api.run(
            "partner/ReorderListings",
            shop.token,
            store=shop.id,
            products=[shop.product(number) for number in products],
            behind=None if behind is None else shop.product(behind),
        )
        assert answer["data"]["reorderListings"]["__typename"] == "NotFound"
    assert await snapshot(api.db) == before


async def test_pinned_ones_come_first_for_everybody(api: Api) -> None:
    shop = await a_shop(api, products=4, listed=4)
    for number in (2, 1):
        await api.run(
            "partner/UpdateListing",
            shop.token,
            store=shop.id,
            listing={"product": shop.product(number), "pinned": True},
        )
    seen: list[str] = []
    after = None
    for _ in range(4):
        answer = await api.run("shop/Storefront", slug=shop.store.slug, first=1, after=after)
        page = answer["data"]["shop"]["store"]["listings"]
        seen += [edge["node"]["product"]["title"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
    assert seen == ["商品1", "商品2", "商品0", "商品3"]
    own = await api.run("partner/Store", shop.token, slug=shop.store.slug)
    edges = own["data"]["partner"]["store"]["listings"]["edges"]
    assert [edge["node"]["product"]["title"] for edge in edges] == seen


async def test_the_owner_sees_what_customers_do_not(api: Api) -> None:
    shop = await a_shop(api, listed=2)
    async with api.db.write() as session:
        await session.execute(
            update(models.Product).where(models.Product.id == shop.products[0]).values(state="delisted")
        )
    own = await api.run("partner/Store", shop.token, slug=shop.store.slug)
    edges = own["data"]["partner"]["store"]["listings"]["edges"]
    assert [edge["node"]["isShown"] for edge in edges] == [False, True]
    for number, shown in [(0, False), (1, True), (2, False)]:
        answer = await api.run("shop/Product", slug=shop.store.slug, id=shop.product(number))
        assert (answer["data"]["shop"]["store"]["product"] is not None) is shown


async def test_the_catalogue_holds_what_can_be_chosen(api: Api) -> None:
    shop = await a_shop(api, products=4, listed=1)
    async with api.db.write() as session:
        await session.execute(
            update(models.Product).where(models.Product.id == shop.products[1]).values(state="in_review")
        )
        await factories.reprice(session, shop.products[2], NOW, tier_costs=[3500])
    answer = await api.run("partner/Catalogue", shop.token)
    nodes = [edge["node"] for edge in answer["data"]["partner"]["catalogue"]["edges"]]
    assert [(node["title"], node["inMyStores"]) for node in nodes] == [("商品3", 0), ("商品0", 1)]
    for number in (1, 2):
        hidden = await api.run("partner/Product", shop.token, id=shop.product(number))
        assert hidden == {"data": {"partner": {"product": None}}}


@pytest.mark.parametrize(
    ("wanted", "titles"),
    [
        ({"search": "  品3\u3000商 "}, ["商品3"]),
        ({"search": "品3 品2"}, []),
        ({"search": "%"}, []),
        ({"search": "_"}, []),
        ({"search": "\\"}, []),
        ({"search": "a\x01b"}, []),
        ({"category": "\x01"}, []),
        ({"tags": ["\x01"]}, []),
        ({"tags": []}, ["商品3", "商品2"]),
        ({"search": "", "category": "零食", "priceFrom": 4990, "priceTo": 4990}, ["商品3", "商品2"]),
        ({"priceFrom": 4991}, []),
        ({"priceTo": 4989}, []),
    ],
)
async def test_a_search_is_words_and_nothing_else(api: Api, wanted: dict[str, Any], titles: list[str]) -> None:
    shop = await a_shop(api, products=4)
    query = (resource("graphql") / "operations/partner/Catalogue.graphql").read_text(encoding="utf-8")
    response = await api.http.post(
        "/graphql",
        content=json.dumps({"query": query, "variables": {**wanted, "first": 2}}),
        headers={"Authorization": f"Bearer {shop.token}", "Content-Type": "application/json"},
    )
    edges = response.json()["data"]["partner"]["catalogue"]["edges"]
    assert [edge["node"]["title"] for edge in edges] == titles


async def test_a_price_of_ones_own_lies_in_the_band(api: Api) -> None:
    shop = await a_shop(api)
    answer = await api.run("partner/Product", shop.token, id=shop.product(0), price=5991)
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "PRICE_OUT_OF_BAND"}


async def test_two_who_choose_at_once_get_places_of_their_own(api: Api) -> None:
    shop = await a_shop(api, products=40)
    halves = [[{"product": shop.product(number)} for number in range(part, 40, 2)] for part in (0, 1)]
    both = await asyncio.gather(
        *(api.run("partner/SelectProducts", shop.token, store=shop.id, products=half) for half in halves)
    )
    assert all("code" not in result for answer in both for result in answer["data"]["selectProducts"]["results"])
    after = await shelf(api.db, shop)
    assert sorted(row[0] for row in after) == list(range(40))
    assert [row[2] for row in after] == list(range(1, 41))


async def test_a_band_that_moves_meanwhile_is_kept(api: Api) -> None:
    """The brand's new price is not committed yet: whoever chooses the product waits for it."""
    shop = await a_shop(api)
    async with api.db.write() as session:
        await session.execute(
            select(models.Product.id).where(models.Product.id == shop.products[0]).with_for_update(key_share=True)
        )
        await factories.reprice(session, shop.products[0], NOW, min_price=5000, suggested_price=5500)
        choosing = asyncio.create_task(
            api.run(
                "partner/SelectProduct", shop.token, store=shop.id, product={"product": shop.product(0), "price": 4990}
            )
        )
        await asyncio.sleep(0.3)
        assert not choosing.done()
    answer = await choosing
    assert answer["data"]["selectProduct"]["lowestPrice"] == {"amount": 5000}
    assert await shelf(api.db, shop) == []


async def test_a_listing_of_a_store_can_be_gone_while_it_is_chosen_again(db: Database) -> None:
    """Removed and chosen again, a product comes behind all others."""
    async with db.write() as session:
        owner = await factories.a_distributor(session, rank=2)
        store = await factories.a_store(session, owner)
        ids = [await a_product(session) for _ in range(2)]
        for _ in range(2):
            await stores.select_products(
                session, store.id, [Choice(id_) for id_ in ids], distributor_id=owner.id, account_id=None, now=NOW
            )
            await stores.remove_listings(session, store.id, ids[:1], distributor_id=owner.id, account_id=None, now=NOW)
        (listing,) = await stores.select_products(
            session, store.id, [Choice(ids[0])], distributor_id=owner.id, account_id=None, now=NOW
        )
        assert isinstance(listing, stores.OwnListing)
        assert listing.position == 3
        assert await session.scalar(select(func.count()).select_from(models.Listing)) == 2
        await session.execute(delete(models.Listing))
