"""Whether Stripe's balance moved as our payments, refunds, returns and disputes say."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import PLAN_FOR_BULK, Database
from s2b2c.payments.gateway import Gateway, Movement, connected
from s2b2c.sql import statements

_MARGIN = timedelta(days=1)
COMPARED = frozenset(("charge", "refund", "refund_failure", "dispute", "dispute_reversal", "transfer"))


class Break(NamedTuple):
    """Where the two differ. Amounts are fen, above 0 what came in; None on the side where it is missing."""

    kind: str
    """`missing_here`, `missing_there` or `amount_differs`."""
    category: str
    """`charge`, `refund`, `refund_failure`, `return`, `dispute`, `dispute_reversal` or `transfer`."""
    reference: str
    """The PaymentIntent of a charge or a return, else the refund or the dispute."""
    ours: int | None
    theirs: int | None
    at: datetime
    age_days: int


class Report(NamedTuple):
    movements: int
    """Of Stripe's balance, in the period, of the kinds that are compared."""
    counts: Mapping[str, int]
    """Breaks by kind; none under a kind that has none."""
    breaks: list[Break]
    """The oldest first, as many as were asked for."""


async def reconcile(
    db: Database, gateway: Gateway | None, *, start: datetime, end: datetime, now: datetime, limit: int = 1_000
) -> Report:
    """The breaks between Stripe and us in `[start, end)`.

    What Stripe says is read page by page into a file, and only then compared: however long the period is, memory stays
    flat and no session waits for Stripe. Fees, reversals of transfers and payouts of our own are not compared. Raises
    GatewayError.
    """
    gateway = connected(gateway)
    with TemporaryFile("w+", encoding="utf-8") as spool:
        count, after, has_more = 0, None, True
        while has_more:
            page, has_more = await gateway.list_movements(start - _MARGIN, end + _MARGIN, after=after)
            for row in page:
                after = row.id
                if row.category in COMPARED:
                    count += start <= row.created_at < end
                    spool.write(f"{json.dumps(_staged(row))}\n")
        spool.seek(0)
        async with db.write() as session:
            return await _compare(session, spool, count, start=start, end=end, now=now, limit=limit)


def _staged(row: Movement) -> list[Any]:
    return list(staged(row.id, row.category, row.source, row.intent_id, row.amount, row.currency, row.created_at))


def staged(
    id_: str, category: str, source: str, intent_id: str | None, amount: int, currency: str, created_at: datetime
) -> tuple[Any, ...]:
    """A movement as `stage_breaks` takes it."""
    key = intent_id if category == "charge" else source
    return (id_, category, key or source, intent_id, amount, currency, int(created_at.timestamp()))


async def _compare(
    session: AsyncSession, spool: IO[str], count: int, *, start: datetime, end: datetime, now: datetime, limit: int
) -> Report:
    await stage_breaks(session, _records(spool), start=start, end=end)
    counts = await session.execute(text("SELECT kind, count(*) AS number FROM breaks GROUP BY kind ORDER BY kind"))
    rows = await session.execute(
        text('SELECT * FROM breaks ORDER BY at, category, reference COLLATE "C" LIMIT :limit'), {"limit": limit}
    )
    breaks = [Break._make((*row, max(now - row.at, timedelta(0)).days)) for row in rows]
    return Report(count, {row.kind: row.number for row in counts}, breaks)


async def stage_breaks(
    session: AsyncSession, movements: Iterable[tuple[Any, ...]], *, start: datetime, end: datetime
) -> None:
    """Put what differs in `[start, end)` into the temporary table `breaks`, until the end of the transaction.

    `movements` are what moved Stripe's balance, each as of `staged` and of a category of `COMPARED`; they are copied
    into the temporary table `movements` as they come, and what comes twice counts once.
    """
    await stage_tables(session)
    driver: Any = (await (await session.connection()).get_raw_connection()).driver_connection
    columns = ["id", "kind", "key", "intent_id", "amount", "currency", "created"]
    await driver.copy_records_to_table("movements", records=movements, columns=columns)
    await session.execute(text("ANALYZE movements"))
    await session.execute(PLAN_FOR_BULK)
    await session.execute(statements("payments")["staged_once"])
    await session.execute(statements("payments")["staged_returns"])
    await session.execute(statements("payments")["compare"], {"start": start, "end": end})


async def stage_tables(session: AsyncSession) -> None:
    for table in (
        "movements (id text, kind text, key text, intent_id text, amount bigint, currency text, created bigint)",
        "breaks (kind text, category text, reference text, ours bigint, theirs bigint, at timestamptz)",
    ):
        await session.execute(text(f"CREATE TEMPORARY TABLE {table} ON COMMIT DROP"))


def _records(spool: IO[str]) -> Iterator[tuple[Any, ...]]:
    for line in spool:
        yield tuple(json.loads(line))
