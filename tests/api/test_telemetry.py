"""What an operation costs is told once, in the log and to Prometheus, and nothing that is anybody's."""

import asyncio
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from sqlalchemy import insert, make_url, text

from s2b2c import jobs, logs, metrics, models, orders, stripe_events
from s2b2c.api.telemetry import _names
from s2b2c.app import Webhook
from s2b2c.config import resource
from s2b2c.db import Database
from tests import paying
from tests.api.client import Api, api_on
from tests.api.shopping import a_buyer, a_shop
from tests.api.test_stripe_endpoint import _post
from tests.stripe_fake import Fake
from tests.test_webhooks import GOOD, NOW, SECRET

Json = dict[str, Any]
LOGGER = "s2b2c.api.telemetry"


class Told:
    """What was told of each request since the last look."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def take(self) -> list[Json]:
        records = [record for record in self._caplog.records if record.name == LOGGER]
        self._caplog.clear()
        facts: list[Json] = [getattr(record, "facts") for record in records]  # noqa: B009  a record has no such attribute
        for each in facts:
            assert 0 < each.pop("ms") < 60_000
        return facts


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Told]:
    with caplog.at_level(logging.INFO, LOGGER):
        yield Told(caplog)


def _line(operation: str, outcome: str = "OK", status: int | None = 200, **more: Any) -> Json:
    nobody = {"account_id": None, "role": None, "statements": 0}
    return {"operation": operation, "outcome": outcome, "status": status, **nobody, **more}


def _sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"s2b2c_{name}", labels) or 0


async def _account(db: Database, role: str) -> int:
    async with db.read() as session:
        (account_id,) = await session.scalars(text("SELECT id FROM accounts WHERE role = :role"), {"role": role})
        return int(account_id)


async def test_every_operation_of_ours_is_told_by_its_name(api: Api, told: Told) -> None:
    files = (resource("graphql") / "operations").rglob("*.graphql")
    shop = await a_shop(api)
    told.take()
    await api.run("shop/Storefront", slug=shop.store.slug)
    assert told.take() == [_line("shop/Storefront", statements=len(api.statements))]
    assert len(api.statements) > 0
    await api.run("partner/Me", await shop.seller())
    sent = len(api.statements)
    account_id = await _account(api.db, "distributor")
    assert told.take() == [_line("partner/Me", statements=sent, account_id=account_id, role="distributor")]
    as_brands_do = {"partner/MarkNoticesRead", "partner/DisputeStatement"}
    assert {*_names().values()} == {f"{path.parent.name}/{path.stem}" for path in files} - as_brands_do


async def test_what_clients_make_up_is_told_by_no_name(api: Api, told: Told) -> None:
    """Nor is anything else of what they send."""
    for number in range(20):
        await api.ask(
            f"query Zhang13800001234n{number}($a: String!) {{ shop {{ store(slug: $a) {{ title }} }} }}", a="王"
        )
    assert told.take() == [_line("other", statements=1)] * 20
    assert "Zhang" not in generate_latest(metrics.REGISTRY).decode()


async def test_what_came_of_it_is_a_code(api: Api, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    customer: Json = {"account_id": await _account(api.db, "customer"), "role": "customer"}
    told.take()
    await api.code("{ partner { me { name } } }")
    await api.code("{ nothing }")
    await api.code("{")
    await api.run("partner/Me", buyer.token)
    await buyer.places(shop.line(0, 101))
    refused = [
        _line("other", "UNAUTHENTICATED"),
        _line("other", "BAD_REQUEST"),
        _line("other", "BAD_REQUEST"),
        _line("partner/Me", "FORBIDDEN", statements=1, **customer),
        _line("shop/PlaceOrder", "OUT_OF_STOCK", statements=len(api.statements), **customer),
    ]
    assert told.take() == refused

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(orders, "place", broken)
    assert (await api.run("shop/PlaceOrder", buyer.token, input=_cart(shop.id, buyer.address)))["errors"]
    assert told.take() == [_line("shop/PlaceOrder", "INTERNAL", statements=1, **customer)]


def _cart(store: str, address: str) -> Json:
    return {"store": store, "lines": [], "address": address, "token": "two"}


async def test_what_never_becomes_an_operation_is_told_by_its_status(api: Api, told: Told) -> None:
    large = await api.http.post("/graphql", content=b" " * 10_000_000, headers={"content-type": "application/json"})
    wrong = await api.http.post("/graphql", content=b"[", headers={"content-type": "application/json"})
    assert [large.status_code, wrong.status_code] == [413, 400]
    assert told.take() == [_line("other", "HTTP_413", 413), _line("other", "HTTP_400", 400)]
    for path in ("/health", "/ready", "/nowhere"):
        await api.http.get(path)
    assert (await api.http.get("/graphql", headers={"accept": "text/html"})).status_code == 200
    assert told.take() == []


async def test_who_does_not_wait_is_told_so(api: Api, told: Told) -> None:
    """No answer began."""
    asked = asyncio.Event()

    async def never() -> Json:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_: object) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/graphql", "raw_path": b"/graphql", "query_string": b""}
    scope |= {"headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http"}
    scope |= {"server": ("test", 80), "client": ("127.0.0.1", 1), "root_path": ""}
    app = api.http._transport.app  # type: ignore[attr-defined]  # an ASGITransport
    task = asyncio.create_task(app(scope, never, send))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told.take() == [_line("other", "DISCONNECTED", None)]


async def test_webhooks_are_told_as_operations_are(db: Database, told: Told) -> None:
    (body, signature), webhook = next(iter(GOOD.values())), Webhook([SECRET], livemode=False)
    before = _sample("operations_total", operation="stripe/events", outcome="OK")
    await _post(db, body, signature, webhook)
    await _post(db, body, "forged", webhook)
    await _post(db, body, signature, None)
    assert told.take() == [
        _line("stripe/events", statements=1),
        _line("stripe/events", "HTTP_400", 400),
        _line("stripe/events", "HTTP_503", 503),
    ]
    assert _sample("operations_total", operation="stripe/events", outcome="OK") == before + 1


async def test_requests_at_the_same_time_count_their_own(api: Api, told: Told) -> None:
    shop = await a_shop(api)
    token = await shop.seller()
    asked: list[tuple[str, str | None, Json]] = [
        ("shop/Storefront", None, {"slug": slug}) for slug in (shop.store.slug, "no-such-store")
    ]
    asked += [("partner/Me", token, {})]
    told.take()
    for operation, given, variables in asked:
        await api.run(operation, given, **variables)
    alone = told.take()
    assert [line["statements"] for line in alone] == [3, 1, 3]
    await asyncio.gather(*(api.run(operation, given, **variables) for operation, given, variables in asked * 5))
    together = told.take()
    assert [together.count(line) for line in alone] == [5, 5, 5]
    assert len(together) == 15


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0123456789abcdef", True),
        ("1-5759e988-bd862e3fe1be46a994272793", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("13800001234", False),
        ("0123456789abcde\u00e9", False),
        ('0123456789abcdef"}', False),
        ("0123456789 abcdef", False),
        ("", False),
    ],
)
async def test_a_sane_request_id_is_kept_and_any_other_is_made(api: Api, given: str, *, kept: bool) -> None:
    answer = await api.http.get("/health", headers={b"X-Request-Id": given.encode()})
    (found,) = answer.headers.get_list("x-request-id")
    assert (found == given) is kept
    assert kept or re.fullmatch("[0-9a-f]{32}", found)


async def test_what_is_logged_meanwhile_names_the_request(database_url: str) -> None:
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(logs._Text().format(record))

    handler = Handler()
    logging.getLogger("s2b2c").addHandler(handler)
    gone = Database(make_url(database_url).set(database="nowhere").render_as_string(hide_password=False))
    async with api_on(gone) as api:
        body = {"query": "mutation { enterAsGuest { __typename } }"}
        for number in range(2):
            await api.http.post("/graphql", json=body, headers={"X-Request-Id": f"0123456789abcdef{number}"})
    await gone.close()
    logging.getLogger("s2b2c").removeHandler(handler)
    assert [line.split("\n")[0] for line in lines] == [
        f"ERROR:s2b2c.api.schema:at ['enterAsGuest']: InvalidCatalogNameError request_id=0123456789abcdef{number}"
        for number in range(2)
    ]


async def test_prometheus_is_told_of_operations(api: Api) -> None:
    shop = await a_shop(api)
    counted = {"operation": "shop/Storefront"}
    names = ("operation_seconds_count", "operation_statements_count", "operation_statements_sum")
    before = [_sample("operations_total", outcome="OK", **counted), *(_sample(name, **counted) for name in names)]
    await api.run("shop/Storefront", slug=shop.store.slug)
    after = [_sample("operations_total", outcome="OK", **counted), *(_sample(name, **counted) for name in names)]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1, len(api.statements)]


async def test_orders_count_once_and_payments_when_they_are_kept(db: Database, stripe: Fake) -> None:
    async with api_on(db) as api:
        shop = await a_shop(api)
        buyer = await a_buyer(shop)
        placed, marked = _sample("orders_placed_total"), _sample("payments_marked_total")
        order = (await buyer.places())["id"]
        assert (await buyer.places())["id"] == order
        await buyer.places(shop.line(0, 101), token="refused")
        assert _sample("orders_placed_total") == placed + 1
        await api.run("shop/PayOrder", buyer.token, order=order)
    stripe.pay(stripe.rows("payment_intent")[-1]["id"])
    for event in paying.all_events(stripe):
        await paying.accepted(db, stripe, event)
    with pytest.raises(ZeroDivisionError):
        async with db.write() as session:
            assert await stripe_events.handle_waiting(session, now=NOW, limit=100) > 0
            raise ZeroDivisionError
    assert _sample("payments_marked_total") == marked
    async with db.write() as session:
        await stripe_events.handle_waiting(session, now=NOW, limit=100)
        async with session.begin_nested():
            await session.execute(text("SELECT 1"))
    assert _sample("payments_marked_total") == marked + 1


async def _scraped(db: Database) -> dict[str, float]:
    scraped = metrics._Scraped({"work": db})
    families = await asyncio.to_thread(lambda: [*scraped.collect()])
    return {
        ":".join((sample.name.removeprefix("s2b2c_"), *sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_what_waits_is_looked_up_when_somebody_asks(db: Database) -> None:
    async with db.write() as session:
        for number in range(4):
            received_at = text(f"clock_timestamp() - interval '{number} hours'")
            row = {"id": f"evt_{number}", "type": "refund.updated", "created_at": NOW, "payload": {}}
            row |= {"handled_at": NOW if number == 3 else None}
            await session.execute(insert(models.StripeEvent).values(**row, received_at=received_at))
        for status, count in (("queued", 3), ("picked", 1), ("failed", 2)):
            for _ in range(count):
                job_id = await jobs.enqueue(session, "work", {})
                await session.execute(
                    text("UPDATE pgqueuer SET status = CAST(:status AS pgqueuer_status) WHERE id = :id"),
                    {"status": status, "id": job_id},
                )
    async with db.read() as session:
        await session.execute(text("SELECT 1"))
        found = await _scraped(db)
    assert 7200 <= found.pop("oldest_event_seconds") < 7260
    assert 0 < found.pop("database_seconds") < 2
    assert found == {
        "pool_connections_used:work": 1,
        "pool_connections_max:work": 10,
        "database_up": 1,
        "events_waiting": 3,
        "jobs:queued": 3,
        "jobs:running": 1,
        "jobs:held": 2,
    }


async def test_a_database_that_is_away_or_slow_is_told_in_time(
    db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_PATIENCE", timedelta(seconds=0.3))
    owner = Database(database_url)
    async with owner.write() as session:
        await session.execute(text("RESET ROLE"))
        await session.execute(text("LOCK TABLE pgqueuer"))
        slow = await _scraped(db)
    await owner.close()
    gone = Database(make_url(database_url).set(database="nowhere").render_as_string(hide_password=False))
    away = await _scraped(gone)
    expected = {"pool_connections_used:work": 0, "pool_connections_max:work": 10, "database_up": 0}
    assert (slow, away) == (expected, expected)
