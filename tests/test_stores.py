"""What a store shows, below the API."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, stores
from tests import factories

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
