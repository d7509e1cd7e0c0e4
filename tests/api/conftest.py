from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import pytest

from s2b2c import catalogue, payments, ranking
from s2b2c.config import CHECKOUT
from s2b2c.db import Database
from tests import factories, imports, paying
from tests.api.client import Api, api_on
from tests.databases import create_database, drop_database
from tests.stripe_fake import Fake, running

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
"""Noon of a day in Shanghai: the clock of everything that happens to the sample network here."""


@pytest.fixture
async def api(db: Database) -> AsyncIterator[Api]:
    async with api_on(db) as api:
        yield api


@pytest.fixture(scope="session")
async def sample_template(server_url: str, template: str) -> AsyncIterator[str]:
    """The name of a database with seed/sample in it, ranked for October and settled up to November."""
    name = f"{template}_sample"
    db = Database(await create_database(server_url, name, template=template))
    for kind in imports.ORDER:
        report, _ = await imports.load(db, kind, CHECKOUT / "seed" / "sample" / f"{kind}.csv", now=NOW)
        assert report is not None
    for step in (catalogue.index_products, ranking.roll_up):
        while True:
            async with db.write() as session:
                if not await step(session):
                    break
    async with db.write() as session:
        await catalogue.count_cohorts(session, NOW)
    async with db.write() as session:
        policy = await ranking.in_force(session, now=datetime.now(UTC))
        await ranking.rank(session, start=date(2026, 10, 1), end=date(2026, 11, 1), policy=policy)
    async with db.write() as session:
        assert await factories.a_settlement(session, cutoff=datetime(2026, 10, 31, 16, tzinfo=UTC), now=NOW)
    await db.close()
    yield name
    await drop_database(server_url, name)


@pytest.fixture(scope="session")
async def sample(server_url: str, sample_template: str) -> AsyncIterator[Api]:
    """The sample network, for tests that only read."""
    name = f"{sample_template}_read"
    db = Database(await create_database(server_url, name, template=sample_template))
    async with api_on(db, clock=lambda: NOW) as api:
        yield api
    await db.close()
    await drop_database(server_url, name)


@pytest.fixture
async def own_sample(server_url: str, sample_template: str) -> AsyncIterator[Api]:
    """The sample network, for one test alone."""
    name = f"{sample_template}_own"
    db = Database(await create_database(server_url, name, template=sample_template))
    async with api_on(db, clock=lambda: NOW) as api:
        yield api
    await db.close()
    await drop_database(server_url, name)


@pytest.fixture
async def stripe(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fake]:
    """A stand-in for Stripe, which the app takes for the one of its settings."""
    async with running(Fake(seed=1)) as fake:
        gateway = paying.gateway_to(fake)
        monkeypatch.setattr(payments, "connect", lambda: gateway)
        yield fake
        await gateway.close()
