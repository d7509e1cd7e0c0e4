"""How much a person and an address may ask, over all processes."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from s2b2c import accounts, models
from s2b2c.api.rates import AT_ONCE, Rates
from s2b2c.app import create_app
from s2b2c.db import Database
from tests.api.client import SECRET, Api
from tests.api.shopping import a_buyer, a_shop

TYPENAME = {"query": "{ __typename }"}
ME = {"query": "{ shop { me { __typename } } }"}
MANY = 1_000_000


class Clock:
    now = datetime(2026, 11, 22, 4, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def _server(
    db: Database, clock: Clock, address: str = "203.0.113.7", *, of_person: int = MANY, of_address: int = MANY
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(db, token_secret=SECRET, rates=Rates(db, of_person=of_person, of_address=of_address), clock=clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://test") as it:
        yield it


async def _buckets(db: Database) -> list[Any]:
    async with db.read() as session:
        return [*await session.scalars(select(models.RateLimit.empty_at))]


async def test_an_address_waits_and_goes_on(db: Database) -> None:
    """90 a minute: 30 are told each time, of which three go in at once, and one again every 20 seconds."""
    clock = Clock()
    async with _server(db, clock, of_address=90) as http, _server(db, clock, "203.0.113.8", of_address=90) as other:
        for number in range(AT_ONCE - 1):
            assert (await http.post("/graphql", json=TYPENAME)).status_code == 200, number
        assert await _buckets(db) == [], "who asks little costs the database nothing"
        statuses = Counter([(await http.post("/graphql", json=TYPENAME)).status_code for _ in range(91)])
        assert statuses == {200: 90, 429: 1}
        assert await _buckets(db) == [clock.now + timedelta(minutes=1)]
        for accept in ("application/json", "application/graphql-response+json"):
            refused = await http.post("/graphql", json=TYPENAME, headers={"Accept": accept})
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "20")
            (error,) = refused.json()["errors"]
            assert error == {
                "message": "Too many requests: come back in 20 seconds.",
                "extensions": {"code": "TOO_MANY_REQUESTS"},
            }
        assert (await other.post("/graphql", json=TYPENAME)).status_code == 200
        clock.now += timedelta(seconds=19)
        assert (await http.post("/graphql", json=TYPENAME)).headers["retry-after"] == "1"
        clock.now += timedelta(seconds=1)
        assert Counter([(await http.post("/graphql", json=TYPENAME)).status_code for _ in range(60)]) == {
            200: 59,
            429: 1,
        }


async def test_whatever_is_asked_counts(db: Database) -> None:
    """Also what is refused for another reason, and what a cache asks for."""
    async with _server(db, Clock(), of_address=30) as http:
        for number in range(59):
            match number % 3:
                case 0:
                    answer = await http.get("/graphql")
                case 1:
                    answer = await http.post("/graphql", content=b"[")
                case _:
                    answer = await http.post("/graphql", json=ME)
            assert answer.status_code != 429, number
        assert (await http.get("/graphql")).status_code == 429
        assert (await http.get("/health")).status_code == 200


async def test_processes_share_a_limit(db: Database, database_url: str) -> None:
    """Each may be further by less than what it tells at once."""
    clock, other_db = Clock(), Database(database_url)
    async with _server(db, clock, of_address=120) as one, _server(other_db, clock, of_address=120) as other:
        statuses = [(await (one, other)[n % 2].post("/graphql", json=TYPENAME)).status_code for n in range(400)]
    assert statuses.count(200) == 120 + 2 * (AT_ONCE - 1)
    assert set(statuses[200:]) == {429}
    await other_db.close()


async def test_a_person_is_one_wherever_it_is(api: Api) -> None:
    shop, clock = await a_shop(api), Clock()
    clock.now = datetime.now(UTC)
    buyer, somebody = await a_buyer(shop), await a_buyer(shop)
    both = (_server(api.db, clock, of_person=60), _server(api.db, clock, "203.0.113.9", of_person=60))
    async with both[0] as here, both[1] as there:

        async def ask(http: httpx.AsyncClient, token: str) -> str:
            answer = await http.post("/graphql", json=ME, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200
            errors = answer.json().get("errors")
            return str(errors[0]["extensions"]["code"]) if errors else "OK"

        told = Counter([await ask((here, there)[n % 2], buyer.token) for n in range(200)])
        assert told == {"OK": 60 + 2 * (AT_ONCE - 1), "TOO_MANY_REQUESTS": 82}
        assert await ask(here, somebody.token) == "OK"


async def test_a_database_that_is_away_counts_nothing(database_url: str) -> None:
    gone = Database("postgresql+asyncpg://nobody@127.0.0.1:1/nowhere")
    async with _server(gone, Clock(), of_address=30) as http:
        assert {(await http.post("/graphql", json=TYPENAME)).status_code for _ in range(100)} == {200}
    await gone.close()


async def test_of_very_many_callers_the_database_knows(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2b2c.api.rates.MAX_CALLERS", 3)
    rates, now = Rates(db, of_person=30, of_address=30), Clock.now
    for number in range(40):
        await rates.count_address(f"2001:db8::{number}", now)
        assert len(rates._callers) <= 4
    viewer = accounts.Viewer(1, "operator")
    for _ in range(AT_ONCE):
        await rates.count_person(viewer, now)
    assert await _buckets(db) == [now + timedelta(minutes=1)]
