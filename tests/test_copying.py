"""Making stores like a model store: what comes along at which price, what stays, what is left out and who is told."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, models, stores
from s2b2c.accounts.viewer import account_of
from s2b2c.audit import audit
from s2b2c.catalogue import Rules
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.stores import Copied, Part, blocks
from tests import factories

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
ALL: set[Part] = {"decoration", "hours", "listings"}
PICTURE = "https://example.com/1.jpg"
HOURS = {"spans": [{"day": 1, "opens": "09:00", "closes": "12:00"}]}


class World:
    """A model on tier 1 with five products, and three stores: two of one owner on tier 3, one of another on tier 2.

    The products are, from the top: a pinned one with words; one that costs tier 3 more than the model asks; one that
    tier 3 has no cost for; one that its brand has withdrawn; and one that every store lists already, at 9000.
    """

    model: models.Store
    lower: list[models.Store]
    middle: models.Store
    products: list[int]
    account_id: int


async def a_world(session: AsyncSession) -> World:
    world = World()
    world.model = await factories.a_store(session, await factories.a_distributor(session, rank=1))
    world.model.is_model = True
    owner = await factories.a_distributor(session, rank=3)
    world.lower = [await factories.a_store(session, owner) for _ in range(2)]
    world.middle = await factories.a_store(session, await factories.a_distributor(session, rank=2))
    costs: list[tuple[int | None, ...]] = [(3500, 3900, 4200)] * 5
    costs[1], costs[2] = (3500, 3900, 6000), (3500, 3900, None)
    world.products = [(await factories.a_variant(session, tier_costs=it)).product_id for it in costs]
    pinned, *rest = world.products
    for position, product_id in enumerate([*rest, pinned], start=1):
        listing = await factories.a_listing(session, world.model, product_id, position=position, pitch=f"话{position}")
        listing.pinned = product_id == pinned
        listing.segments = ["new"] if product_id == pinned else []
    for store in (*world.lower, world.middle):
        await factories.a_listing(session, store, world.products[4], price=9000, position=7, pitch="自己的话")
    gone = update(models.Product).where(models.Product.id == world.products[3])
    await session.execute(gone.values(state="delisted"))
    world.account_id = await account_of(session, "operator")
    await stores.update_store(
        session,
        world.model.id,
        {
            "title": "标杆店",
            "persona": {"name": "店长"},
            "cover_url": PICTURE,
            "opening_hours": HOURS,
            "blocks": [
                {"type": "picks", "title": "精选", "products": world.products},
                {"type": "banner", "image_url": PICTURE, "product": world.products[2]},
                {"type": "countdown", "title": "限时", "ends_at": NOW, "products": [world.products[3]]},
            ],
        },
        distributor_id=world.model.distributor_id,
        account_id=world.account_id,
        now=NOW - timedelta(days=1),
    )
    return world


async def copy(
    session: AsyncSession, world: World, *targets: models.Store, parts: set[Part] = ALL, include_words: bool = False
) -> list[Copied | Refusal]:
    return await stores.copy_store(
        session,
        world.model.id,
        [store.id for store in targets],
        parts,
        account_id=world.account_id,
        now=NOW,
        include_words=include_words,
    )


async def shelf(session: AsyncSession, store: models.Store) -> list[tuple[object, ...]]:
    """(product_id, price, position, pitch, why), by position."""
    columns = (models.Listing.product_id, models.Listing.price, models.Listing.position, models.Listing.pitch)
    query = select(*columns, models.Listing.why).where(models.Listing.store_id == store.id)
    return [tuple(row) for row in await session.execute(query.order_by(models.Listing.position))]


async def test_the_whole_setup_of_a_model(session: AsyncSession) -> None:
    world = await a_world(session)
    pinned, dearer, costless, gone, own = world.products
    title = world.middle.title
    lower, _, middle = await copy(session, world, *world.lower, world.middle)
    assert isinstance(lower, Copied)
    assert isinstance(middle, Copied)
    assert lower[1:] == (True, 2, 1, 1, 1, None)
    assert middle[1:] == (True, 3, 1, 1, 0, None)
    kept = (own, 9000, 7, "自己的话", "selected")
    for store in world.lower:
        assert await shelf(session, store) == [
            kept,
            (pinned, 4990, 8, "", "copied"),
            (dearer, 6000, 9, "", "copied"),
        ]
    assert await shelf(session, world.middle) == [
        kept,
        (pinned, 4990, 8, "", "copied"),
        (dearer, 4990, 9, "", "copied"),
        (costless, 4990, 10, "", "copied"),
    ]
    copied = await session.get_one(models.Listing, (world.middle.id, pinned))
    assert (copied.segments, copied.pinned, copied.listed_at, copied.account_id) == (
        ["new"],
        False,
        NOW,
        world.account_id,
    )
    for store, shown in ((world.lower[0], [pinned, dearer, own]), (world.middle, [pinned, dearer, costless, own])):
        await session.refresh(store)
        assert store.blocks[0] == {"type": "picks", "title": "精选", "products": shown}
        assert store.blocks[1].get("product") == (costless if costless in shown else None)
        assert len(store.blocks) == 2
        assert store.opening_hours == world.model.opening_hours
        assert (store.cover_url, store.persona, store.why, store.changed_at) == (PICTURE, None, "copied", NOW)
    assert world.middle.title == title
    assert gone not in {row[0] for row in await shelf(session, world.middle)}
    assert [breach for breach in await audit(session) if breach.check in {"listing_prices", "store_spans"}] == []


async def test_owners_are_told_once(session: AsyncSession) -> None:
    world = await a_world(session)
    await copy(session, world, *world.lower, world.middle)
    told = select(models.Notice.distributor_id, models.Notice.facts).where(models.Notice.kind == "setup_copied")
    both = f"{world.lower[0].title}、{world.lower[1].title}"
    expected = [
        (world.lower[0].distributor_id, {"model": "标杆店", "stores": both, "products": 4}),
        (world.middle.distributor_id, {"model": "标杆店", "stores": world.middle.title, "products": 3}),
    ]
    assert sorted(map(tuple, await session.execute(told))) == expected
    again = await copy(session, world, *world.lower, world.middle)
    assert [it[1:] for it in again if isinstance(it, Copied)] == [
        (False, 0, 3, 1, 1, None),
        (False, 0, 3, 1, 1, None),
        (False, 0, 4, 1, 0, None),
    ]
    assert sorted(map(tuple, await session.execute(told))) == expected


async def test_parts_and_words(session: AsyncSession) -> None:
    world = await a_world(session)
    pinned, dearer, costless, gone, _ = world.products
    (listed,) = await copy(session, world, world.lower[0], parts={"listings"}, include_words=True)
    assert isinstance(listed, Copied)
    assert listed[1:] == (False, 2, 1, 1, 1, [(costless, "no_price_fits"), (gone, "not_on_offer")])
    assert [(row[0], row[3]) for row in await shelf(session, world.lower[0])][1:] == [(pinned, "话5"), (dearer, "话1")]
    (timed,) = await copy(session, world, world.lower[1], parts={"hours"})
    assert isinstance(timed, Copied)
    assert timed[1:] == (True, 0, 0, 0, 0, None)
    await session.refresh(world.lower[1])
    assert (world.lower[1].opening_hours, world.lower[1].blocks) == (world.model.opening_hours, [])
    assert len(await shelf(session, world.lower[1])) == 1
    (decorated,) = await copy(session, world, world.middle, parts={"decoration"})
    assert isinstance(decorated, Copied)
    await session.refresh(world.middle)
    assert world.middle.blocks == [
        {"type": "picks", "title": "精选", "products": [world.products[4]]},
        {"type": "banner", "image_url": PICTURE, "title": ""},
    ]


async def test_a_model_that_lists_nothing(session: AsyncSession) -> None:
    world = await a_world(session)
    bare = await factories.a_store(session)
    bare.is_model = True
    await session.flush()
    result = await stores.copy_store(session, bare.id, [world.middle.id], ALL, account_id=world.account_id, now=NOW)
    assert [it[1:] for it in result if isinstance(it, Copied)] == [(False, 0, 0, 0, 0, [])]


async def test_stores_that_cannot_change_say_so(session: AsyncSession) -> None:
    world = await a_world(session)
    world.lower[0].state = "closed"
    suspended = await factories.a_store(session, await factories.a_distributor(session, state="suspended"))
    await session.flush()
    result = await stores.copy_store(
        session,
        world.model.id,
        [world.lower[0].id, suspended.id, 10**9, world.lower[1].id],
        ALL,
        account_id=world.account_id,
        now=NOW,
    )
    assert result[:3] == [
        WrongState("The store is closed: it cannot be changed."),
        WrongState("The owner is suspended: only stores of active distributors change."),
        NotFound("There is no such store."),
    ]
    assert isinstance(result[3], Copied)
    assert len(await shelf(session, world.lower[0])) == 1
    assert await shelf(session, suspended) == []


async def test_words_that_a_brand_bans_are_not_copied(session: AsyncSession) -> None:
    """In the middle store and the lower ones a brand is listed, and comes with the listings, that bans 限时."""
    world = await a_world(session)
    brand = await session.get_one(models.Brand, (await session.get_one(models.Product, world.products[4])).brand_id)
    brand.name = "严选"
    await catalogue.set_rules(session, brand.id, Rules(("限时",)), account_id=None, now=NOW)
    bare = await factories.a_store(session, await factories.a_distributor(session, rank=3))
    banned = WrongState(
        "The model's decoration holds the word 限时, which 严选 bans in this store: "
        "copy the other parts alone, or let the model use other words."
    )
    assert await copy(session, world, world.middle, bare) == [banned, banned]
    assert await shelf(session, bare) == []
    result = await copy(session, world, world.middle, bare, parts={"decoration"})
    assert (result[0], isinstance(result[1], Copied)) == (banned, True)
    (hours,) = await copy(session, world, world.middle, parts={"hours"})
    assert isinstance(hours, Copied)
    assert hours.settings_changed
    with pytest.raises(Refused) as refused:
        await adopt(session, world, world.model.slug, world.middle, world.middle)
    assert refused.value.refusal == banned


async def test_only_a_model_is_copied(session: AsyncSession) -> None:
    world = await a_world(session)
    with pytest.raises(Refused) as twice:
        await copy(session, world, world.middle, world.middle)
    with pytest.raises(Refused) as itself:
        await copy(session, world, world.model)
    assert isinstance(twice.value.refusal, BadArgument)
    assert isinstance(itself.value.refusal, BadArgument)
    await stores.mark_model(session, world.model.id, is_model=False)
    with pytest.raises(Refused) as unmarked:
        await copy(session, world, world.middle)
    assert isinstance(unmarked.value.refusal, WrongState)
    with pytest.raises(Refused) as nothing:
        await stores.copy_store(session, 10**9, [world.middle.id], ALL, account_id=1, now=NOW)
    assert isinstance(nothing.value.refusal, NotFound)
    assert len(await shelf(session, world.middle)) == 1


async def test_marking_a_model(session: AsyncSession) -> None:
    store, closed = await factories.a_store(session), await factories.a_store(session)
    closed.state = "closed"
    await session.flush()
    await stores.mark_model(session, store.id, is_model=True)
    assert [it.id for it in await stores.model_stores(session, after=None, limit=10)] == [store.id]
    for key, refusal in ((closed.id, WrongState), (10**9, NotFound)):
        with pytest.raises(Refused) as refused:
            await stores.mark_model(session, key, is_model=True)
        assert isinstance(refused.value.refusal, refusal)
    await stores.mark_model(session, store.id, is_model=False)
    assert await stores.model_stores(session, after=None, limit=10) == []


async def adopt(session: AsyncSession, world: World, slug: str, store: models.Store, owner: models.Store) -> Copied:
    return await stores.adopt_setup(
        session, slug, store.id, ALL, distributor_id=owner.distributor_id, account_id=world.account_id, now=NOW
    )


async def test_an_owner_adopts_a_model_or_a_store_of_its_own(session: AsyncSession) -> None:
    world = await a_world(session)
    first, second = world.lower
    from_model = await adopt(session, world, world.model.slug, first, first)
    assert from_model[1:6] == (True, 2, 1, 1, 1)
    from_own = await adopt(session, world, first.slug, second, second)
    assert from_own[1:] == (True, 2, 1, 0, 0, [])
    await session.refresh(second)
    assert second.blocks == [
        {"type": "picks", "title": "精选", "products": [world.products[0], world.products[1], world.products[4]]},
        {"type": "banner", "image_url": PICTURE, "title": ""},
    ]
    assert not (await session.scalars(select(models.Notice).where(models.Notice.kind == "setup_copied"))).all()


async def test_what_an_owner_cannot_adopt(session: AsyncSession) -> None:
    world = await a_world(session)
    first, second = world.lower
    wrong = [
        (world.middle.slug, first, first, NotFound),  # another's, and no model
        ("nowhere", first, first, NotFound),
        ("\0", first, first, NotFound),
        (world.model.slug, world.middle, first, NotFound),  # into another's
        (first.slug, first, first, BadArgument),
    ]
    for slug, store, owner, refusal in wrong:
        with pytest.raises(Refused) as refused:
            await adopt(session, world, slug, store, owner)
        assert isinstance(refused.value.refusal, refusal), slug
    second.state = "closed"
    await session.flush()
    with pytest.raises(Refused) as closed:
        await adopt(session, world, first.slug, second, first)
    assert isinstance(closed.value.refusal, WrongState)
    assert [len(await shelf(session, store)) for store in (first, second, world.middle)] == [1, 1, 1]


async def test_the_same_statements_for_one_store_and_for_many(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)
    counted: list[int] = []
    sent: list[str] = []
    event.listen(db._engine.sync_engine, "before_cursor_execute", lambda *it: sent.append(it[2]))
    for targets in ([world.lower[0]], [world.lower[1], world.middle]):
        sent.clear()
        async with db.write() as session:
            await copy(session, world, *targets)
        counted.append(len(sent))
    assert counted == [7, 7]


async def test_copies_that_meet_list_each_product_once(db: Database) -> None:
    async with db.write() as session:
        world = await a_world(session)

    async def once(order: int) -> None:
        async with db.write() as session:
            await copy(session, world, *[world.lower[0], world.middle, world.lower[1]][::order])

    await asyncio.gather(*(once(order) for order in (1, -1) * 4))
    async with db.snapshot() as session:
        assert [len(await shelf(session, store)) for store in (*world.lower, world.middle)] == [3, 3, 4]
        assert len((await session.scalars(select(models.StoreHistory))).all()) == 4  # one each, and the model's own
        assert (
            len((await session.scalars(select(models.Notice).where(models.Notice.kind == "setup_copied"))).all()) == 2
        )
        assert blocks.read(world.model.blocks, 1)
        assert await session.scalar(text("SELECT count(*) FROM listings WHERE why = 'copied'")) == 7
