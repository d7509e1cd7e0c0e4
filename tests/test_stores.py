"""What a store shows, below the API."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, stores
from s2b2c.accounts.viewer import account_of
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.errors import AlreadyTaken, BadArgument, Refused, WrongState
from tests import factories
from tests.databases import as_owner

NOW = datetime(2026, 9, 1, tzinfo=UTC)
ANYBODY = stores.Shopper(None, None, datetime(2026, 9, 1, tzinfo=UTC))


async def test_an_open_store_by_its_slug(session: AsyncSession) -> None:
    store = await factories.a_store(session)
    assert await stores.open_store(session, store.slug) is store
    store.state = "closed"
    await session.flush()
    assert await stores.open_store(session, store.slug) is None
    assert await stores.open_store(session, "\0") is None


async def test_a_closed_store_shows_nothing(session: AsyncSession) -> None:
    store = await factories.a_store(session)
    variant = await factories.a_variant(session)
    await factories.a_listing(session, store, variant.product_id)
    assert len(await stores.listings(session, store.id, ANYBODY, after=None, limit=10)) == 1
    store.state = "closed"
    await session.flush()
    assert await stores.listings(session, store.id, ANYBODY, after=None, limit=10) == []


async def test_variants_of_many_stores_at_once(session: AsyncSession) -> None:
    """The same product in two stores whose owners stand on different tiers."""
    upper = await factories.a_store(session, await factories.a_distributor(session, rank=1))
    lower = await factories.a_store(session, await factories.a_distributor(session, rank=3))
    both = await factories.a_variant(session, tier_costs=(3500, 3900, 4200), stock=0)
    product = await session.get_one(models.Product, both.product_id)
    upper_only = await factories.a_variant(session, product=product, tier_costs=(3500, None, None))
    other = await factories.a_variant(session)
    wanted = [(upper.id, product.id), (lower.id, product.id), (lower.id, other.product_id), (lower.id, 0)]
    found = await stores.variants(session, wanted)
    assert {key: [(row.id, row.in_stock) for row in rows] for key, rows in found.items()} == {
        (upper.id, product.id): [(both.id, False), (upper_only.id, True)],
        (lower.id, product.id): [(both.id, False)],
        (lower.id, other.product_id): [(other.id, True)],
    }
    assert await stores.variants(session, []) == {}


async def _create(session: AsyncSession, owner: models.Distributor, slug: str, **more: str) -> models.Store:
    account_id = await account_of(session, "distributor", distributor_id=owner.id)
    given = {"slug": slug, "title": "阿杭的店", **more}
    return await stores.create_store(session, given, distributor_id=owner.id, account_id=account_id, now=NOW)


async def test_a_store_of_ones_own(session: AsyncSession) -> None:
    owner = await factories.a_distributor(session)
    made = await _create(session, owner, "a-hang-2")
    assert (made.slug, made.title, made.region, made.state) == ("a-hang-2", "阿杭的店", owner.region, "open")
    assert (await _create(session, owner, "a-hang-3", region="苏州")).region == "苏州"
    assert await stores.open_store(session, "a-hang-2") is made
    assert await stores.store_at(session, "a-hang-2", NOW - timedelta(seconds=1)) is None
    shown = await stores.store_at(session, "a-hang-2", NOW)
    assert shown is not None
    assert (shown.title, shown.since, shown.why, shown.account_id) == ("阿杭的店", NOW, "created", made.account_id)


async def test_what_a_store_of_ones_own_was(database_url: str, db: Database) -> None:
    """One as it was opened, one changed in the same moment, one a day later, and one that came from a file."""
    async with db.write() as session:
        someone = await factories.a_distributor(session)
        imported = await factories.a_store(session, someone)
        made = [imported, *[await _create(session, someone, f"a-hang-{number}") for number in (2, 3, 4)]]
        account_id = await account_of(session, "distributor", distributor_id=someone.id)
        for store, now in ((made[2], NOW), (made[3], NOW + timedelta(days=1)), (imported, NOW)):
            await stores.update_store(
                session, store.id, {"title": "新名字"}, distributor_id=someone.id, account_id=account_id, now=now
            )
    said = "SELECT why FROM stores ORDER BY id", "SELECT store_id, why FROM store_history ORDER BY store_id"
    expected = [
        [("edited",), ("created",), ("created",), ("edited",)],
        [(imported.id, "imported"), (made[3].id, "created")],
    ]
    assert [await as_owner(database_url, query) for query in said] == expected
    async with db.snapshot() as session:
        assert [it for it in await audit(session) if it.check == "store_spans"] == []
    migration = Path(__file__).parent.parent / "migrations" / "versions" / "0048_stores_created.sql"
    before = [f"UPDATE {table} SET why = 'edited' WHERE why = 'created'" for table in ("stores", "store_history")]
    await as_owner(database_url, *before, *migration.read_text(encoding="utf-8").split(";\n\n"))
    assert [await as_owner(database_url, query) for query in said] == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"slug": "A-Hang"}, "slug: String should match pattern"),
        ({"slug": "a--hang"}, "slug: String should match pattern"),
        ({"slug": "a-hang\n"}, "slug: String should match pattern"),
        ({"slug": "a" * 65}, "slug: String should have at most 64 characters."),
        ({"title": ""}, "title: String should have at least 1 character."),
        ({"title": "   "}, "title: a text is empty or holds a character that cannot be printed."),
        ({"region": "浙\0江"}, "region: a text is empty or holds a character that cannot be printed."),
    ],
)
async def test_a_store_that_cannot_be(session: AsyncSession, given: dict[str, Any], message: str) -> None:
    owner = await factories.a_distributor(session)
    with pytest.raises(Refused) as refused:
        await _create(session, owner, **{"slug": "fine", **given})
    assert isinstance(refused.value.refusal, BadArgument)
    assert refused.value.refusal.message.startswith(message)
    assert await session.scalar(select(func.count()).select_from(models.Store)) == 0


@pytest.mark.parametrize("state", ["applied", "suspended", "eliminated", "rejected"])
async def test_who_may_not_sell_opens_no_store(session: AsyncSession, state: str) -> None:
    owner = await factories.a_distributor(session)
    await session.execute(update(models.Distributor).values(state=state))
    with pytest.raises(Refused) as refused:
        await _create(session, owner, "fine")
    assert refused.value.refusal == WrongState(f"You are {state}: only active distributors may change their stores.")


async def test_nobody_has_more_than_twenty_stores(session: AsyncSession) -> None:
    owner = await factories.a_distributor(session)
    for number in range(20):
        (await _create(session, owner, f"shop-{number}")).state = "closed"
    with pytest.raises(Refused) as refused:
        await _create(session, owner, "one-more")
    assert refused.value.refusal == WrongState("You have 20 stores, closed ones included: nobody has more.")
    await _create(session, await factories.a_distributor(session), "one-more")


async def test_two_who_choose_the_same_slug(db: Database) -> None:
    async with db.write() as session:
        owners = [await factories.a_distributor(session) for _ in range(4)]

    async def create(owner: models.Distributor) -> object:
        try:
            async with db.write() as session:
                return (await _create(session, owner, "lin-xiaoyu")).slug
        except Refused as refused:
            return refused.refusal

    said = await asyncio.gather(*map(create, owners))
    assert said.count("lin-xiaoyu") == 1
    assert said.count(AlreadyTaken("Another store is called lin-xiaoyu: choose another slug.")) == 3
