"""The look, the words and the hours of a store: what may be said, what was before, and when it is open."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, stores
from s2b2c.accounts.viewer import account_of
from s2b2c.config import SHANGHAI
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.stores import blocks
from s2b2c.stores.hours import MIDNIGHT
from tests import factories, imports

MONDAY = datetime(2026, 11, 23, 4, tzinfo=UTC)
"""Noon in Shanghai."""
PICTURE = "https://example.com/1.jpg"
Given = dict[str, Any]


UNKNOWN = stores.Shopper(None, None, datetime(2026, 11, 23, 4, tzinfo=UTC))


async def a_shop(session: AsyncSession) -> tuple[models.Store, int, list[int]]:
    """A store, the account of its owner, and two products that it lists."""
    store = await factories.a_store(session)
    products = [(await factories.a_variant(session)).product_id for _ in range(2)]
    for position, product_id in enumerate(products, start=1):
        await factories.a_listing(session, store, product_id, position=position)
    return store, await account_of(session, "distributor", None, store.distributor_id), products


async def edit(
    session: AsyncSession, store: models.Store, account_id: int, given: Given, now: datetime = MONDAY
) -> models.Store:
    return await stores.update_store(
        session, store.id, given, distributor_id=store.distributor_id, account_id=account_id, now=now
    )


def every_block(first: int, second: int) -> list[Given]:
    return [
        {"type": "banner", "image_url": PICTURE, "title": "新品", "product": first},
        {"type": "picks", "title": "精选", "products": [second, first]},
        {"type": "story", "title": "开店的故事", "text": "第一行\n第二行"},
        {"type": "grid", "columns": 2, "items": [{"image_url": PICTURE, "product": second}]},
        {"type": "countdown", "title": "限时", "ends_at": "2026-12-01T00:00:00+08:00", "products": [first]},
    ]


async def test_what_is_given_changes_and_the_rest_stays(session: AsyncSession) -> None:
    store, account_id, (first, second) = await a_shop(session)
    title = store.title
    await edit(session, store, account_id, {"persona": {"name": "晓棠", "story": "养了九年猫"}, "cover_url": PICTURE})
    changed = await edit(
        session, store, account_id, {"blocks": every_block(first, second)}, MONDAY + timedelta(hours=1)
    )
    assert (changed.title, changed.cover_url, changed.why, changed.account_id) == (title, PICTURE, "edited", account_id)
    assert changed.persona == {"name": "晓棠", "avatar_url": None, "story": "养了九年猫"}
    assert changed.changed_at == MONDAY + timedelta(hours=1)
    assert changed.blocks_version == 1
    assert changed.blocks == [
        {"type": "banner", "image_url": PICTURE, "title": "新品", "product": first},
        {"type": "picks", "title": "精选", "products": [second, first]},
        {"type": "story", "title": "开店的故事", "text": "第一行\n第二行"},
        {"type": "grid", "columns": 2, "items": [{"image_url": PICTURE, "product": second}]},
        {"type": "countdown", "title": "限时", "ends_at": "2026-11-30T16:00:00Z", "products": [first]},
    ]
    assert blocks.written(blocks.read(changed.blocks, 1)) == changed.blocks
    cleared = await edit(session, store, account_id, {"persona": None, "cover_url": None}, MONDAY + timedelta(hours=2))
    assert (cleared.persona, cleared.cover_url, len(cleared.blocks)) == (None, None, 5)


async def test_what_a_store_was_is_kept(session: AsyncSession) -> None:
    store, account_id, _ = await a_shop(session)
    title, hour = store.title, timedelta(hours=1)
    await edit(session, store, account_id, {"title": "第二个名字"})
    await edit(session, store, account_id, {"title": "第二个名字"}, MONDAY + hour)  # changes nothing
    await edit(session, store, account_id, {"title": "第三个名字"}, MONDAY + 2 * hour)
    await edit(session, store, account_id, {"title": "最后的名字"}, MONDAY + 2 * hour)  # the third lasted no time
    await edit(session, store, account_id, {"region": "浙江"}, MONDAY + hour)  # by a clock that goes back
    moments = [MONDAY - 1000 * hour, MONDAY - timedelta(microseconds=1), MONDAY, MONDAY + hour, MONDAY + 2 * hour]
    found = await stores.stores_at(session, [(store.id, at) for at in moments])
    assert [found[store.id, at].title for at in moments] == [title, title, "第二个名字", "第二个名字", "最后的名字"]
    rows = [found[store.id, at] for at in moments]
    assert [(row.since, row.until, row.why, row.account_id) for row in rows[1:]] == [
        (None, MONDAY, "imported", None),
        (MONDAY, MONDAY + 2 * hour, "edited", account_id),
        (MONDAY, MONDAY + 2 * hour, "edited", account_id),
        (MONDAY + 2 * hour, None, "edited", account_id),
    ]
    assert (await session.scalar(select(func.count()).select_from(models.StoreHistory))) == 2
    now = await stores.store_at(session, store.slug, MONDAY + 3 * hour)
    assert now is not None
    assert (now.title, now.region, now.blocks, now.persona) == ("最后的名字", "浙江", [], None)
    assert await stores.store_at(session, "nowhere", MONDAY) is None
    assert await stores.store_at(session, "\0", MONDAY) is None


ITEM = {"image_url": PICTURE, "product": 1}
GRID = {"type": "grid", "columns": 2, "items": [ITEM]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"title": ""}, "title: String should have at least 1 character."),
        ({"title": None}, "title: Input should be a valid string."),
        ({"title": "长" * 61}, "title: String should have at most 60 characters."),
        ({"title": " "}, "title: a text is empty or holds a character that cannot be printed."),
        ({"region": "浙\0江"}, "region: a text is empty or holds a character that cannot be printed."),
        ({"slug": "other"}, "slug: Extra inputs are not permitted."),
        ({"cover_url": "javascript:alert(1)"}, "coverUrl: String should match pattern '^https?://[!-~]+$'."),
        (
            {"persona": {"name": "王\u202e"}},
            "persona.name: a text is empty or holds a character that cannot be printed.",
        ),
        (
            {"persona": {"name": "王\ud800"}},
            "persona.name: Input should be a valid string, unable to parse raw data as a unicode string.",
        ),
        (
            {"persona": {"name": "王", "story": "x" * 2001}},
            "persona.story: String should have at most 2000 characters.",
        ),
        ({"blocks": None}, "blocks: Input should be a valid list."),
        (
            {"blocks": [{"type": "film"}]},
            "blocks[0]: Input tag 'film' found using 'type' does not match any of the expected tags: 'banner', 'picks', 'story', 'grid', 'countdown'.",
        ),
        (
            {"blocks": [{"type": "story", "title": "a", "text": "b"}] * 21},
            "blocks: List should have at most 20 items after validation, not 21.",
        ),
        (
            {"blocks": [GRID, {**GRID, "items": [ITEM, {**ITEM, "image_url": "x"}]}]},
            "blocks[1].grid.items[1].imageUrl: String should match pattern '^https?://[!-~]+$'.",
        ),
        ({"blocks": [{**GRID, "columns": 5}]}, "blocks[0].grid.columns: Input should be 2, 3 or 4."),
        (
            {"blocks": [{"type": "picks", "title": "a", "products": [1, 1]}]},
            "blocks[0].picks.products: a product is named twice: name each once.",
        ),
        (
            {"blocks": [{"type": "picks", "title": "a", "products": []}]},
            "blocks[0].picks.products: List should have at least 1 item after validation, not 0.",
        ),
        (
            {"blocks": [{"type": "story", "title": "a", "text": "b\x07"}]},
            "blocks[0].story.text: a text is empty or holds a character that cannot be printed.",
        ),
        (
            {
                "blocks": [
                    {
                        "type": "countdown",
                        "title": "a",
                        "ends_at": datetime.fromisoformat("2026-12-01T00:00:00"),
                        "products": [1],
                    }
                ]
            },
            "blocks[0].countdown.endsAt: Input should have timezone info.",
        ),
        (
            {"opening_hours": {"spans": [{"day": 8, "opens": "09:00", "closes": "22:00"}]}},
            "openingHours.spans[0].day: Input should be less than or equal to 7.",
        ),
        (
            {"opening_hours": {"spans": [{"day": 1, "opens": "9:00", "closes": "22:00"}]}},
            "openingHours.spans[0].opens: '9:00' is no time of the day: write it like 09:00, at most 24:00.",
        ),
        (
            {"opening_hours": {"spans": [{"day": 1, "opens": "09:00", "closes": "24:01"}]}},
            "openingHours.spans[0].closes: '24:01' is no time of the day: write it like 09:00, at most 24:00.",
        ),
        (
            {"opening_hours": {"spans": [{"day": 1, "opens": "22:00", "closes": "02:00"}]}},
            "openingHours.spans[0]: a span closes after it opens; one over midnight is two, up to 24:00 and from 00:00.",
        ),
        (
            {
                "opening_hours": {
                    "spans": [
                        {"day": 1, "opens": "12:00", "closes": "14:00"},
                        {"day": 1, "opens": "09:00", "closes": "12:01"},
                    ]
                }
            },
            "openingHours: two spans of day 1 overlap: make them one, or part them.",
        ),
        (
            {"opening_hours": {"spans": [], "closed_days": ["2026-10-01"] * 61}},
            "openingHours.closedDays: List should have at most 60 items after validation, not 61.",
        ),
    ],
)
async def test_what_cannot_be_is_refused_with_its_path(session: AsyncSession, given: Given, message: str) -> None:
    store, account_id, _ = await a_shop(session)
    assert await _refused(session, store, account_id, {"cover_url": PICTURE, **given}) == BadArgument(message)


async def _refused(session: AsyncSession, store: models.Store, account_id: int, given: Given) -> Refusal:
    """Why it was; and nothing has changed."""
    before = await _rows(session)
    with pytest.raises(Refused) as refused:
        await edit(session, store, account_id, given)
    assert await _rows(session) == before
    return refused.value.refusal


async def _rows(session: AsyncSession) -> Sequence[str]:
    rows = "SELECT to_jsonb(t)::text FROM {} t ORDER BY 1"
    return [row for table in ("stores", "store_history") for row in await session.scalars(text(rows.format(table)))]


async def test_a_block_holds_what_the_store_lists(session: AsyncSession) -> None:
    store, account_id, (first, second) = await a_shop(session)
    other = (await factories.a_variant(session)).product_id
    given = {"blocks": [*every_block(first, second), {"type": "picks", "title": "更多", "products": [first, other]}]}
    assert await _refused(session, store, account_id, given) == NotFound(
        "blocks[5].picks.products[1]: the store does not list this product. Choose it first, or take it out."
    )


async def test_only_the_owner_of_an_open_store_changes_it(session: AsyncSession) -> None:
    store, account_id, _ = await a_shop(session)
    stranger = await factories.a_distributor(session)
    with pytest.raises(Refused) as refused:
        await stores.update_store(
            session, store.id, {"title": "别人的"}, distributor_id=stranger.id, account_id=account_id, now=MONDAY
        )
    assert refused.value.refusal == NotFound("You have no such store: read your stores again.")
    store.state = "closed"
    await session.flush()
    assert isinstance(await _refused(session, store, account_id, {"title": "关了"}), WrongState)


def test_an_older_version_is_brought_up_to_the_newest() -> None:
    """By a version that never was: its stories had a heading."""

    def headed(block: Given) -> Given:
        return {("title" if name == "heading" else name): value for name, value in block.items()}

    old = [{"type": "story", "heading": "旧", "text": "话"}]
    assert blocks.read(old, 0, {0: headed}) == [blocks.Story(title="旧", text="话")]


def test_blocks_keep_the_products_that_are_shown() -> None:
    every = blocks.read(every_block(1, 2), 1)
    assert blocks.only_with(every, {1, 2}) == every
    assert blocks.written(blocks.only_with(every, {2})) == [
        {"type": "banner", "image_url": PICTURE, "title": "新品"},
        {"type": "picks", "title": "精选", "products": [2]},
        {"type": "story", "title": "开店的故事", "text": "第一行\n第二行"},
        {"type": "grid", "columns": 2, "items": [{"image_url": PICTURE, "product": 2}]},
    ]
    assert [block.type for block in blocks.only_with(every, set())] == ["banner", "story"]


def at(day: int, time: str) -> datetime:
    """A moment of November or, from day 31 on, of December 2026."""
    hours, minutes = map(int, time.split(":"))
    return datetime(2026, 11, 1, tzinfo=SHANGHAI) + timedelta(days=day - 1, hours=hours, minutes=minutes)


WEEK = {
    "spans": [
        {"day": 6, "opens": "10:00", "closes": "24:00"},
        {"day": 7, "opens": "00:00", "closes": "02:00"},
        {"day": 1, "opens": "14:00", "closes": "18:30"},
        {"day": 1, "opens": "09:00", "closes": "12:00"},
    ],
    "closed_days": ["2026-11-28", "2026-11-28", "2026-12-07"],
}


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        (at(23, "09:00"), at(23, "09:00")),
        (at(23, "11:59"), at(23, "11:59")),
        (at(23, "12:00"), at(23, "14:00")),
        (at(23, "18:30"), at(29, "00:00")),  # Saturday the 28th is closed
        (at(29, "01:59"), at(29, "01:59")),
        (at(29, "02:00"), at(30, "09:00")),
        (at(35, "23:59"), at(35, "23:59")),  # Saturday, December 5
        (at(35, "09:59"), at(35, "10:00")),
        (at(36, "02:00"), at(42, "10:00")),  # Monday the 7th is closed
    ],
)
async def test_when_a_store_opens(session: AsyncSession, now: datetime, opens: datetime) -> None:
    store, account_id, _ = await a_shop(session)
    changed = await edit(session, store, account_id, {"opening_hours": WEEK})
    assert changed.opening_hours is not None
    assert [tuple(span.values()) for span in changed.opening_hours["spans"]] == [
        (1, 540, 720), (1, 840, 1110), (6, 600, MIDNIGHT), (7, 0, 120),
    ]  # fmt: skip
    assert changed.opening_hours["closed_days"] == ["2026-11-28", "2026-12-07"]
    assert await stores.opening(session, [store.id], now) == {store.id: opens}


async def test_a_store_without_hours_is_always_open(session: AsyncSession) -> None:
    store, account_id, _ = await a_shop(session)
    assert await stores.opening(session, [store.id], MONDAY) == {store.id: MONDAY}
    changed = await edit(session, store, account_id, {"opening_hours": {"spans": []}})
    assert (changed.opening_hours, changed.changed_at) == (None, None)
    mondays = [(at(23, "00:00") + timedelta(weeks=n)).date().isoformat() for n in range(60)]
    only_mondays = {"spans": [{"day": 1, "opens": "00:00", "closes": "24:00"}], "closed_days": mondays}
    await edit(session, store, account_id, {"opening_hours": only_mondays})
    assert await stores.opening(session, [store.id], MONDAY) == {store.id: at(23, "00:00") + timedelta(weeks=60)}
    holiday = {"spans": [], "closed_days": ["2026-11-23"]}
    await edit(session, store, account_id, {"opening_hours": holiday}, MONDAY + timedelta(hours=1))
    assert await stores.opening(session, [store.id], MONDAY) == {store.id: at(24, "00:00")}


async def test_a_brand_tells_of_itself(session: AsyncSession) -> None:
    brand, other = await factories.a_brand(session), await factories.a_brand(session)
    told = await stores.set_persona(session, brand.id, {"name": "绒溪", "avatar_url": PICTURE})
    assert told == stores.Persona(name="绒溪", avatar_url=PICTURE)
    kept = {"name": "绒溪", "avatar_url": PICTURE, "story": ""}
    assert await stores.personas(session, [brand.id, other.id]) == {brand.id: kept, other.id: None}
    for wrong in ({"name": ""}, {"name": "绒\0溪"}, {"name": "绒溪", "avatar_url": "ftp://x"}):
        with pytest.raises(Refused):
            await stores.set_persona(session, brand.id, wrong)
    assert await stores.personas(session, [brand.id]) == {brand.id: kept}
    assert await stores.set_persona(session, brand.id, None) is None
    assert await stores.personas(session, [brand.id]) == {brand.id: None}


async def test_what_leaves_the_store_leaves_its_blocks(session: AsyncSession) -> None:
    store, _, (first, second) = await a_shop(session)
    wanted = [(store.id, first), (store.id, second)]
    assert set(await stores.shown(session, wanted, UNKNOWN)) == set(wanted)
    await session.execute(update(models.Product).where(models.Product.id == first).values(state="delisted"))
    assert set(await stores.shown(session, wanted, UNKNOWN)) == {(store.id, second)}
    await session.execute(update(models.Listing).values(regions=["浙江"]))
    assert await stores.shown(session, wanted, UNKNOWN) == {}


async def test_an_import_keeps_what_a_store_was(db: Database, tmp_path: Path) -> None:
    await imports.load_world(db, tmp_path, until="stores")
    renamed = imports.write_csv(tmp_path / "renamed.csv", imports.changed("stores", 1, title="新名字"))
    for hours in (0, 1):  # the second time it changes nothing
        report, _ = await imports.load(db, "stores", renamed, now=MONDAY + timedelta(hours=hours))
        assert report is not None
        assert report.updated == 1 - hours
    async with db.read() as session:
        slug = imports.WORLD["stores"][1][0]
        before, after = [await stores.store_at(session, slug, MONDAY + timedelta(hours=n)) for n in (-1, 1)]
        assert before is not None
        assert after is not None
        assert (before.since, before.until, before.why) == (None, MONDAY, "imported")
        assert (after.title, after.since, after.until, after.why) == ("新名字", MONDAY, None, "imported")
        assert before.title != "新名字"
        assert (await session.scalar(select(func.count()).select_from(models.StoreHistory))) == 1
