"""What happens by itself: each scan looks for what is due and handles it in batches; the queue hands out the jobs."""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from pgqueuer.core.qm import QueueManager
from pgqueuer.db import AsyncpgDriver
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.models import Job as Picked
from pgqueuer.queries import Queries
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import (
    accounts,
    bulk,
    catalogue,
    exports,
    files,
    finance_exports,
    jobs,
    ledger,
    orders,
    payments,
    payouts,
    ranking,
    reconciliation,
    sales_exports,
    stripe_events,
)
from s2b2c.config import settings, state_dir
from s2b2c.db import Database
from s2b2c.failures import is_database_away, kind_of
from s2b2c.jobs import JobFailed

_log = logging.getLogger(__name__)

Scan = Callable[[AsyncSession], Awaitable[int]]
"""Handles one batch of what is due and says how large it was; 0 when nothing is left."""

Job = Callable[..., Awaitable[None]]
"""An effect outside the database, called with the `Database` and, by name, with what its payload holds.

A worker that dies leaves open how far it came, so a job runs again: doing it twice must be the same as once.
"""


async def export_settlement(db: Database, *, run_id: int) -> None:
    """Put the file of a settlement run, and its SHA-256, where finance finds it."""
    out = state_dir() / "exports" / f"settlement-{run_id}.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    await exports.export_document(db, exports.Wanted("statement_detail", run_id), out=out, now=_now())


async def expire(session: AsyncSession) -> int:
    """Orders that nobody paid for in time, and what they have in hand at Stripe."""
    expired = await orders.expire(session, now=_now(), limit=_ORDERS_AT_ONCE)
    if expired.order_ids:
        await payments.cancel_payments(session, expired)
    return len(expired.order_ids)


async def receive(session: AsyncSession) -> int:
    """Orders that were shipped long ago."""
    days = settings().complete_days
    return await orders.receive_due(session, now=_now(), limit=_ORDERS_AT_ONCE, complete_days=days)


async def complete(session: AsyncSession) -> int:
    """Orders that were received long ago."""
    return await orders.complete_due(session, now=_now(), limit=_ORDERS_AT_ONCE, hold_days=settings().hold_days)


async def apply_prices(session: AsyncSession) -> int:
    """Prices whose time has come, and the listings that follow them."""
    return await catalogue.apply_due_prices(session, _now(), limit=_PRICES_AT_ONCE)


async def open_payments(session: AsyncSession) -> int:
    """What was not opened at Stripe at once."""
    return await payments.left_opening(session, now=_now())


async def count_cohorts(session: AsyncSession) -> int:
    """What the stores of each tier and region list and sell, as those who choose see it."""
    return await catalogue.count_cohorts(session, _now())


async def forget_events(session: AsyncSession) -> int:
    """Events of Stripe that were handled long ago."""
    before = _now() - timedelta(days=settings().event_days)
    return await payments.forget_events(session, before=before, limit=_FORGOTTEN_AT_ONCE)


async def forget_job_logs(session: AsyncSession) -> int:
    """What became of jobs that were done long ago."""
    before = _now() - timedelta(days=settings().job_log_days)
    return await jobs.forget_logs(session, before=before, limit=_FORGOTTEN_AT_ONCE)


async def forget_files(session: AsyncSession) -> int:
    """Files that are kept no longer."""
    return await files.forget(session, now=_now(), limit=_FILES_AT_ONCE)


async def forget_sign_ins(session: AsyncSession) -> int:
    """Sessions, invitations, codes and counts that nothing can be done with any more."""
    return await accounts.forget(session, _now(), limit=_FORGOTTEN_AT_ONCE)


async def begin_payouts(session: AsyncSession) -> int:
    """Payouts that nothing holds."""
    return await payouts.begin(session, now=_now(), limit=_PAYOUTS_AT_ONCE)


def _now() -> datetime:
    return datetime.now(UTC)


_SCANS: tuple[Scan, ...] = (
    expire,
    receive,
    complete,
    apply_prices,
    open_payments,
    catalogue.index_products,
    count_cohorts,
    ranking.roll_up,
    begin_payouts,
    payouts.finish_runs,
    ledger.checkpoint,
    forget_events,
    forget_job_logs,
    forget_sign_ins,
    forget_files,
)
_JOBS: tuple[Job, ...] = (
    export_settlement,
    stripe_events.handle_event,
    payments.open_at_stripe,
    payments.cancel_payment,
    payments.send_refund,
    payments.return_payment,
    bulk.import_catalogue,
    bulk.export_catalogue,
    finance_exports.write_finance_export,
    sales_exports.write_sales_export,
    reconciliation.read_rail_report,
)
_ONE_AT_A_TIME: frozenset[Job] = frozenset(
    (
        bulk.import_catalogue,
        bulk.export_catalogue,
        finance_exports.write_finance_export,
        sales_exports.write_sales_export,
        reconciliation.read_rail_report,
    )
)
"""What takes minutes, so that it never takes up all that are done at once."""


_ORDERS_AT_ONCE = 200
_PRICES_AT_ONCE = 500
_EVENTS_AT_ONCE = 200
_PAYOUTS_AT_ONCE = 5_000
_FORGOTTEN_AT_ONCE = 1_000
_FILES_AT_ONCE = 100
_PAYOUTS_EVERY = timedelta(seconds=1)
_EVENTS_EVERY = timedelta(milliseconds=250)

_JOBS_AT_ONCE = 4
_JOBS_EVERY = timedelta(seconds=2)
_ATTEMPTS = 5
_FIRST_RETRY = timedelta(seconds=10)
_AGAIN = "it is tried again"


async def run(db: Database, *, every: timedelta, stop: asyncio.Event, events: Database | None = None) -> None:
    """Run every scan to its end and every job that waits, then again `every` so often, until `stop` is set.

    The batch and the jobs in hand are finished first. A scan that fails is logged and tried again in the next round; a
    job is tried again later and later, then held. No failure ends the worker, nor does a database that goes away for a
    time. `events` is for Stripe's events, which come a few at a time.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(_scan(db, every, stop))
        group.create_task(_work(db, every, stop))
        group.create_task(_handle_events(events or db, stop))
        group.create_task(_pay_out(db, stop))


async def _scan(db: Database, every: timedelta, stop: asyncio.Event) -> None:
    while not stop.is_set():
        for scan in _SCANS:
            await _run_to_end(db, scan, stop)
        await _wait(every, stop)


async def _run_to_end(db: Database, scan: Scan, stop: asyncio.Event) -> None:
    """One transaction per batch, until nothing is due."""
    try:
        while not stop.is_set():
            async with db.write() as session:
                if not await scan(session):
                    return
    except Exception as error:  # noqa: BLE001  whatever it is, the worker goes on
        _tell(scan.__name__, error)


async def _handle_events(db: Database, stop: asyncio.Event) -> None:
    """Work on Stripe's events as they come; where a batch does not go through, each becomes a job of its own."""
    take = stripe_events.handle_waiting
    while not stop.is_set():
        try:
            async with db.write() as session:
                taken = await take(session, now=_now(), limit=_EVENTS_AT_ONCE)
        except Exception as error:  # noqa: BLE001  whatever it is, the worker goes on
            _tell(take.__name__, error)
            taken = 0
            if not is_database_away(error):  # else it is no event's fault
                take = stripe_events.set_apart
        else:
            take = stripe_events.handle_waiting
        if not taken:
            await _wait(_EVENTS_EVERY, stop)


async def _pay_out(db: Database, stop: asyncio.Event) -> None:
    """Send payouts, one call to Stripe at a time and so many a second; without a key of Stripe they wait."""
    pause = timedelta(seconds=1 / settings().payouts_per_second)
    while not stop.is_set():
        gateway, worked = payments.connect(), False
        try:
            worked = gateway is not None and await payouts.work(db, gateway, now=_now())
        except Exception as error:  # noqa: BLE001  whatever it is, the worker goes on
            _tell(payouts.work.__name__, error)
        await _wait(pause if worked else _PAYOUTS_EVERY, stop)


async def _work(db: Database, every: timedelta, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await _hand_out(db, every, stop)
        except Exception as error:  # noqa: BLE001  whatever it is, the worker goes on
            _tell("the queue", error)
            await _wait(min(every, _JOBS_EVERY), stop)


class _Queue(QueueManager):
    async def verify_structure(self) -> None:
        """The migrations vouch for it, and leave out what is not used here."""


async def _hand_out(db: Database, every: timedelta, stop: asyncio.Event) -> None:
    """Run the jobs that wait, over one connection of our own, until `stop` is set."""
    async with db.read() as session:
        connection = await session.connection()
        try:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            queue = _Queue(Queries(AsyncpgDriver(raw)))
            queue.shutdown = stop
            for job in _JOBS:
                limit = 1 if job in _ONE_AT_A_TIME else 0
                registered = queue.entrypoint(
                    job.__name__, on_failure="hold", accepts_context=False, concurrency_limit=limit
                )
                registered(_entrypoint(db, job))
            await queue.run(
                dequeue_timeout=min(every, _JOBS_EVERY),
                batch_size=_JOBS_AT_ONCE // 2,
                max_concurrent_tasks=_JOBS_AT_ONCE,
                log_aggregation_interval=timedelta(0),
            )
        finally:
            await connection.invalidate()  # it listens, or is dead: nothing for the pool


def _entrypoint(db: Database, job: Job) -> Callable[[Picked], Awaitable[None]]:
    async def attempt(picked: Picked) -> None:
        try:
            await job(db, **json.loads(picked.payload or b"{}"))
        except asyncio.CancelledError:
            # pgqueuer would take it off the queue, and nobody would ever do it.
            raise RetryRequested(reason="interrupted") from None
        except Exception as error:  # noqa: BLE001  whatever it is, the worker goes on
            last = picked.attempts + 1 >= _ATTEMPTS
            failure = _tell(job.__name__, error, "it is held" if last else _AGAIN)
        else:
            return
        # Raised here, so that pgqueuer's log holds this line alone, not the error with its values.
        if last:
            raise JobFailed(failure)
        jitter = random.uniform(0.5, 1.5)  # noqa: S311  nobody guesses it
        raise RetryRequested(_FIRST_RETRY * 2**picked.attempts * jitter, failure)

    return attempt


def _tell(name: str, error: Exception, outcome: str = _AGAIN) -> str:
    """Log a failure, and answer what may be told of it: only our own errors have messages without values."""
    kind = kind_of(error)
    _log.error("%s failed (%s), %s", name, kind, outcome)
    _log.debug("Where %s failed", name, exc_info=error)
    return f"{kind}: {error}" if type(error).__module__.startswith(f"{__package__}.") else kind


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


# It logs every failure with its traceback, and so with values; where a job of ours failed is told above.
logging.getLogger("pgqueuer").addFilter(_without_traceback)


async def _wait(every: timedelta, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(every.total_seconds()):
            await stop.wait()
