"""Revisions of products, and the platform's reviews of them."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, errors, models
from s2b2c.catalogue import FieldDiff, ReviewsPage, Revision
from s2b2c.errors import Refused
from s2b2c.models import Notice, Product, ProductEvent
from tests import factories
from tests.test_products import CONTENT, NOW, a_draft


class World(NamedTuple):
    session: AsyncSession
    product: Product
    staff: int
    """The account of the brand."""
    operator: int

    def by(self, minutes: int = 0) -> dict[str, Any]:
        """What a step of the brand's takes."""
        now = NOW + timedelta(minutes=minutes)
        return {"brand_id": self.product.brand_id, "now": now, "account_id": self.staff}

    def answers(self, minutes: int = 0) -> dict[str, Any]:
        return {"now": NOW + timedelta(minutes=minutes), "account_id": self.operator}

    async def revise(self, minutes: int = 0, **changes: Any) -> None:
        await catalogue.revise(self.session, self.product.id, changes, **self.by(minutes))

    async def submit(self, minutes: int = 1) -> int:
        """The id of the revision that is in review."""
        await catalogue.submit(self.session, self.product.id, **self.by(minutes))
        return (await self.revision()).id

    async def revision(self) -> Revision:
        return (await catalogue.open_revisions(self.session, [self.product.id]))[self.product.id]

    async def past(self, after: int | None = None, limit: int = 10) -> list[Revision]:
        page = ReviewsPage(self.product.id, None if after is None else (after,), limit)
        (found,) = await catalogue.past_revisions(self.session, [page])
        return list(found)

    async def events(self) -> list[str]:
        query = select(ProductEvent.kind).where(ProductEvent.product_id == self.product.id).order_by(ProductEvent.id)
        return list(await self.session.scalars(query))

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        query = select(Notice).where(Notice.brand_id == self.product.brand_id).order_by(Notice.id)
        return [(it.kind, it.facts) for it in await self.session.scalars(query)]


@pytest.fixture
async def world(session: AsyncSession) -> World:
    product = await a_draft(session)
    query = select(models.Account.id).where(models.Account.brand_id == product.brand_id)
    return World(session, product, (await session.scalars(query)).one(), await factories.an_account(session))


async def refused(step: Any) -> type[errors.Refusal]:
    with pytest.raises(Refused) as told:
        await step
    return type(told.value.refusal)


async def test_a_new_product_is_reviewed_and_listed(world: World) -> None:
    await world.revise(title="新标题")
    assert world.product.title == "新标题"  # nobody else sees it yet
    revision_id = await world.submit()
    assert world.product.state == "in_review"
    (waiting,) = await catalogue.in_review(world.session, after=None, limit=10)
    assert (waiting.id, waiting.product.code, waiting.diff[0]) == (
        revision_id,
        "P-1",
        FieldDiff("title", None, ["新标题"]),
    )
    await catalogue.approve(world.session, revision_id, **world.answers(2))
    assert (world.product.state, world.product.title) == ("listed", "新标题")
    assert world.product.more_images == [CONTENT["images"][1]]
    assert await world.events() == ["created", "submitted", "approved", "listed"]
    assert await world.told() == [("product_approved", {"product": "新标题"})]
    (past,) = await world.past()
    assert (past.state, past.reason, past.diff[0]) == ("approved", None, FieldDiff("title", None, ["新标题"]))
    assert await catalogue.open_revisions(world.session, [world.product.id]) == {}
    assert await catalogue.in_review(world.session, after=None, limit=10) == []


async def test_what_is_rejected_goes_back_to_the_brand(world: World) -> None:
    revision_id = await world.submit()
    await catalogue.reject(world.session, revision_id, "图片不清", **world.answers(2))
    assert world.product.state == "draft"
    draft = await world.revision()
    assert (draft.state, len(draft.diff)) == ("draft", 6)
    assert draft.id > revision_id
    assert [(it.id, it.state, it.reason) for it in await world.past()] == [(revision_id, "rejected", "图片不清")]
    assert await world.told() == [("product_rejected", {"product": "冻干猫粮", "reason": "图片不清"})]
    await world.revise(3, images=["https://img.example/9.jpg"])
    await catalogue.approve(world.session, await world.submit(4), **world.answers(5))
    assert (world.product.image_url, world.product.more_images) == ("https://img.example/9.jpg", [])


async def _listed(world: World) -> None:
    await catalogue.approve(world.session, await world.submit(), **world.answers(2))


async def test_what_is_live_stays_until_it_is_approved(world: World) -> None:
    """Of a revision what differs is shown, and what else changed meanwhile is kept."""
    await _listed(world)
    await world.revise(3, description="", tonalities=["天然"], images=[])
    revision_id = await world.submit(4)
    assert (await world.revision()).diff == [
        FieldDiff("images", CONTENT["images"], []),
        FieldDiff("description", [CONTENT["description"]], []),
    ]
    assert (world.product.state, world.product.description) == ("listed", CONTENT["description"])
    world.product.title = "从文件来的标题"
    await catalogue.approve(world.session, revision_id, **world.answers(5))
    assert (world.product.title, world.product.description) == ("从文件来的标题", "")
    assert (world.product.image_url, world.product.more_images) == (None, [])
    assert (await world.events())[-2:] == ["submitted", "approved"]
    # What was live then stays on record.
    world.product.description = "later"
    await world.session.flush()
    assert (await world.past(limit=1))[0].diff[1].before == [CONTENT["description"]]


async def test_a_revision_that_was_taken_back_cannot_be_approved(world: World) -> None:
    """Not even after it was submitted again: that is another one, which nobody has looked at."""
    revision_id = await world.submit()
    await catalogue.take_back(world.session, world.product.id, **world.by(2))
    assert world.product.state == "draft"
    assert await refused(catalogue.approve(world.session, revision_id, **world.answers(3))) is errors.WrongState
    await world.revise(3, title="另一个")
    again = await world.submit(4)
    for step in (
        catalogue.approve(world.session, revision_id, **world.answers(5)),
        catalogue.reject(world.session, revision_id, "不", **world.answers(5)),
    ):
        assert await refused(step) is errors.WrongState
    assert world.product.state == "in_review"
    await catalogue.approve(world.session, again, **world.answers(5))
    assert world.product.title == "另一个"
    assert await refused(catalogue.approve(world.session, again, **world.answers(6))) is errors.WrongState
    assert [it.state for it in await world.past()] == ["approved", "withdrawn"]
    assert [it.id for it in await world.past(after=again)] == [revision_id]


async def test_steps_that_cannot_be_taken(world: World) -> None:
    session, key = world.session, world.product.id
    assert await refused(catalogue.take_back(session, key, **world.by())) is errors.WrongState
    revision_id = await world.submit()
    assert await refused(catalogue.submit(session, key, **world.by())) is errors.WrongState
    assert await refused(world.revise(title="x")) is errors.WrongState
    assert await refused(catalogue.reject(session, revision_id, " ", **world.answers())) is errors.BadArgument
    assert await refused(catalogue.reject(session, 0, "不", **world.answers())) is errors.NotFound
    await catalogue.approve(session, revision_id, **world.answers(2))
    assert await refused(catalogue.submit(session, key, **world.by(3))) is errors.WrongState
    await world.revise(3, title=CONTENT["title"])  # as it is
    assert await refused(catalogue.submit(session, key, **world.by(4))) is errors.WrongState
    assert await refused(world.revise()) is errors.BadArgument
    assert await refused(world.revise(title="\x01")) is errors.BadArgument
    other = {**world.by(), "brand_id": (await factories.a_brand(session)).id}
    for step in (
        catalogue.submit(session, key, **other),
        catalogue.take_back(session, key, **other),
        catalogue.revise(session, key, {"title": "x"}, **other),
    ):
        assert await refused(step) is errors.NotFound


async def test_what_has_waited_longest_comes_first(session: AsyncSession) -> None:
    worlds = []
    for _ in range(3):
        product = await a_draft(session)
        query = select(models.Account.id).where(models.Account.brand_id == product.brand_id)
        worlds.append(World(session, product, (await session.scalars(query)).one(), 0))
    ids = [await worlds[n].submit(minutes) for n, minutes in ((2, 5), (0, 7), (1, 7))]
    first = await catalogue.in_review(session, after=None, limit=2)
    assert [it.id for it in first] == [ids[0], ids[1]]
    rest = await catalogue.in_review(session, after=catalogue.review_key(first[-1]), limit=2)
    assert [it.id for it in rest] == [ids[2]]
    assert catalogue.review_key(rest[0]) == (int(datetime(2026, 11, 1, 0, 7, tzinfo=UTC).timestamp()) * 10**6, ids[2])


async def test_pages_of_the_same_product_are_told_apart(world: World) -> None:
    ids = []
    for minutes in range(1, 7, 2):
        ids.append(await world.submit(minutes))
        await catalogue.take_back(world.session, world.product.id, **world.by(minutes + 1))
    other = await a_draft(world.session)
    pages = [
        ReviewsPage(world.product.id, None, 2),
        ReviewsPage(other.id, None, 3),
        ReviewsPage(world.product.id, (ids[1],), 3),
    ]
    found = await catalogue.past_revisions(world.session, pages)
    assert [[it.id for it in revisions] for revisions in found] == [[ids[2], ids[1]], [], [ids[0]]]
