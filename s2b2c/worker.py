"""The jobs that come by time: each scan looks for what is due and handles it in batches."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ranking
from s2b2c.db import Database

_log = logging.getLogger(__name__)

Scan = Callable[[AsyncSession], Awaitable[int]]
"""Handles one batch of what is due and says how large it was; 0 when nothing is left."""

_SCANS: tuple[Scan, ...] = (ranking.roll_up,)


async def run(db: Database, *, every: timedelta, stop: asyncio.Event) -> None:
    """Run every scan to its end, then again `every` so often, until `stop` is set; the batch in hand is finished first.

    A scan that fails is logged and tried again in the next round: no failure ends the worker, nor does a database that
    goes away for a time.
    """
    while not stop.is_set():
        for scan in _SCANS:
            await _run_to_end(db, scan, stop)
        with suppress(TimeoutError):
            async with asyncio.timeout(every.total_seconds()):
                await stop.wait()


async def _run_to_end(db: Database, scan: Scan, stop: asyncio.Event) -> None:
    """One transaction per batch, until nothing is due."""
    try:
        while not stop.is_set():
            async with db.write() as session:
                if not await scan(session):
                    return
    except Exception as error:  # noqa: BLE001  whatever it is, the worker goes on
        # The message of a database error holds the statement and its values, so only its kind is for every log.
        cause = error.driver_exception if isinstance(error, DBAPIError) else error
        _log.error("%s failed (%s), it is tried again", scan.__name__, type(cause).__name__)
        _log.debug("Where %s failed", scan.__name__, exc_info=True)
