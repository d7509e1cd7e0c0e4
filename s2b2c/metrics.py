"""What Prometheus is told, on a port of its own: who may ask is decided where that port can be reached.

A token would be one more secret, on the port that the whole world sees.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from s2b2c.db import Database

REGISTRY = CollectorRegistry()
OPERATIONS = Counter(
    "s2b2c_operations", "Operations of GraphQL, and events of Stripe.", ["operation", "outcome"], registry=REGISTRY
)
OPERATION_SECONDS = Histogram(
    "s2b2c_operation_seconds",
    "From the head of a request to the end of its answer.",
    ["operation"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
OPERATION_STATEMENTS = Histogram(
    "s2b2c_operation_statements",
    "SQL statements that an operation sent.",
    ["operation"],
    buckets=(0, 1, 2, 3, 4, 6, 8, 16),
    registry=REGISTRY,
)
ORDERS_PLACED = Counter("s2b2c_orders_placed", "Carts that became orders.", registry=REGISTRY)
PAYMENTS_MARKED = Counter("s2b2c_payments_marked", "Orders marked paid.", registry=REGISTRY)
ProcessCollector(registry=REGISTRY)

_PATIENCE = timedelta(seconds=2)
_WAITING = text(
    """
    SELECT events.waiting, coalesce(extract(epoch FROM clock_timestamp() - events.since), 0)::float AS age_s,
           jobs.queued, jobs.running, jobs.held
    FROM (SELECT count(*) AS waiting, min(received_at) AS since FROM stripe_events WHERE handled_at IS NULL) AS events,
         (SELECT count(*) FILTER (WHERE status = 'queued') AS queued,
                 count(*) FILTER (WHERE status = 'picked') AS running,
                 count(*) FILTER (WHERE status = 'failed') AS held FROM pgqueuer) AS jobs
    """
)


def count_when_committed(session: AsyncSession, counter: Counter, number: int) -> None:
    """What the transaction of `session` has done counts when it commits; a session has one transaction."""

    def count(committed: Session) -> None:
        if not committed.in_nested_transaction():
            counter.inc(number)

    event.listen(session.sync_session, "after_commit", count)


def serve(host: str, port: int, pools: Mapping[str, Database]) -> None:
    """Answer `/metrics` from a thread until the process ends; `pools` are what it works with. Raises OSError."""
    collector = _Scraped(pools)
    start_http_server(port, host, REGISTRY)
    REGISTRY.register(collector)


class _Waits(NamedTuple):
    """What one statement tells."""

    events: int
    oldest_event_s: float
    queued: int
    running: int
    held: int


class _Scraped(Collector):
    """What is looked up when somebody asks: over a connection of its own, for the pools may be what is exhausted."""

    def __init__(self, pools: Mapping[str, Database]) -> None:
        self._pools = pools
        self._url = next(iter(pools.values())).url

    def describe(self) -> Iterator[Metric]:
        """Nothing: it would be asked when it is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        used = GaugeMetricFamily("s2b2c_pool_connections_used", "Connections that are at work.", labels=["pool"])
        size = GaugeMetricFamily("s2b2c_pool_connections_max", "Connections that a pool has at most.", labels=["pool"])
        for name, pool in self._pools.items():
            used.add_metric([name], pool.connections.used)
            size.add_metric([name], pool.connections.most)
        yield from (used, size)
        began = time.perf_counter()
        try:
            waits = asyncio.run(self._waits())
        except Exception:  # noqa: BLE001  whatever it is, it is what is told here
            yield GaugeMetricFamily("s2b2c_database_up", "Whether the database answers in time.", 0)
            return
        yield GaugeMetricFamily("s2b2c_database_up", "Whether the database answers in time.", 1)
        took_s = time.perf_counter() - began
        yield GaugeMetricFamily("s2b2c_database_seconds", "What connecting and asking for these took.", took_s)
        yield GaugeMetricFamily("s2b2c_events_waiting", "Events of Stripe that wait for the worker.", waits.events)
        yield GaugeMetricFamily(
            "s2b2c_oldest_event_seconds", "How long the oldest of them has waited.", waits.oldest_event_s
        )
        jobs = GaugeMetricFamily("s2b2c_jobs", "Jobs that are not done; a held one waits for you.", labels=["state"])
        for state in ("queued", "running", "held"):
            jobs.add_metric([state], getattr(waits, state))
        yield jobs

    async def _waits(self) -> _Waits:
        db = Database(self._url, statement_timeout=_PATIENCE, pool_size=1)
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()), db.read() as session:
                return _Waits._make((await session.execute(_WAITING)).one())
        finally:
            await db.close()
