"""Accrual of the real year under each scheme beside its floor, COPY of every row that it writes; and its simulation.

Payment writes new versions of orders and of the lines that earn something, commissions and transfers; completion new
versions of orders, and transfers. The floor loads the same rows, saved as binary, into the same tables of a database
beside it. The two take turns, a batch of orders each, so that what else the machine does hits both. The simulation of a
plan over the period it was in force must find what it paid.

`python -m tests.bench.accrual --sample` does it on seed/sample: quick, and too small for the ratios to mean anything.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from s2b2c import main_job, orders
from s2b2c.commissions.simulation import simulate
from s2b2c.config import settings, state_dir
from s2b2c.db import Base, Database, migrate
from s2b2c.imports import FOR_BULK, ORDERS_AT_ONCE, RAIL
from s2b2c.imports.kinds import KINDS
from s2b2c.models import Commission, Order, OrderLine, Transfer
from tests.bench.server import (
    SAMPLE,
    Owner,
    fresh_database,
    owner_of,
    real_year,
    run_alone,
    timed,
    told_progress,
)
from tests.databases import create_database, drop_database

DATABASE, FLOOR = "s2b2c_bench", "s2b2c_bench_floor"
OF_THE_YEAR = "levels (of the year)"
MOST_OF_THE_YEAR = 1.6
"""Times the floor that payment and completion together may take."""
MOST = 2.5
"""Times its floor that payment may take under any other plan."""
SIMULATION_MOST = 1.0
"""Times the payment of the same orders that simulating its plan may take."""


def _rule(scheme: str, depth: int, **numbers: object) -> dict[str, Any]:
    """A row of the table, for everything that is sold."""
    none: dict[str, object] = {"level_bps": [], "level_amounts": [], "tier_bps": [], "same_tier_bps": 0}
    return {"scheme": scheme, "base": "paid", "depth": depth, "compress": False, **none, **numbers}


PLANS = {
    "fixed": [_rule("fixed", 3, level_amounts=[20, 5, 2])],
    "differential": [_rule("differential", 3, tier_bps=[1200, 800, 500], same_tier_bps=50, compress=True)],
    "spread": [_rule("spread", 3)],
}
"""The rules that take the place of those of the year."""


class Part(NamedTuple):
    """The rows of a table that a step writes."""

    table: str
    which: str
    model: type[Base]
    of_batch: str
    """Those that the last batch wrote; $1 and $2 are its first and last order, $3 the last row there was before."""
    into: str
    """Where the floor loads them."""


STEPS = {
    "payment": (
        Part("orders", "true", Order, "id BETWEEN $1 AND $2", "orders"),
        Part("order_lines", "commission > 0", OrderLine, "order_id BETWEEN $1 AND $2", "order_lines"),
        Part("commissions", "true", Commission, "id > $3", "commissions"),
        Part("transfers", "code = 'payment'", Transfer, "id > $3", "transfers"),
    ),
    "completion": (
        Part("orders", "completed_at IS NOT NULL", Order, "id BETWEEN $1 AND $2", "completed"),
        Part("transfers", "code <> 'payment'", Transfer, "id > $3", "transfers"),
    ),
}

_UNPAID = (
    "TRUNCATE commissions, transfers, clawbacks, orders_to_add",
    "UPDATE order_lines SET commission = 0, platform = paid - refunded - supply",
    """UPDATE orders SET state = 'placed', paid_at = NULL, completed_at = NULL, matures_at = NULL,
       upline = NULL, upline_tiers = NULL, upline_states = NULL, plan_id = NULL""",
)
_EMPTY = """
    DROP TABLE IF EXISTS completed;
    TRUNCATE orders, transfers, orders_to_add CASCADE;
"""
_CLONE = """
    DO $$ BEGIN
        EXECUTE (SELECT format('CREATE TABLE completed (LIKE orders INCLUDING ALL) WITH (%s)', array_to_string(reloptions, ', '))
                 FROM pg_class WHERE oid = 'orders'::regclass);
        EXECUTE (SELECT string_agg('ALTER TABLE completed ADD ' || pg_get_constraintdef(oid), ';')
                 FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'f');
    END $$
"""
_NEW_RULES = """
    INSERT INTO rules (plan_id, scheme, base, level_bps, level_amounts, tier_bps, same_tier_bps, depth, compress)
    SELECT (SELECT id FROM plans), scheme, base, level_bps, level_amounts, tier_bps, same_tier_bps, depth, compress
    FROM jsonb_populate_recordset(NULL::rules, $1)
"""
_THESE_RULES = """
    SELECT p.margin_floor_bps, jsonb_agg(to_jsonb(r) || '{"plan_id": 0}' ORDER BY r.id) AS rules
    FROM plans p JOIN rules r ON r.plan_id = p.id GROUP BY p.id
"""
_PERIOD = """
    SELECT min((paid_at AT TIME ZONE 'Asia/Shanghai')::date) AS start, max((paid_at AT TIME ZONE 'Asia/Shanghai')::date) + 1 AS end
    FROM orders
"""
_ALONE = """
    SELECT count(*) = 0 FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_WRITES = """
    SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname
"""


class Event(NamedTuple):
    branch_id: int
    order_id: int
    paid_at: datetime
    completed_at: datetime | None


class Rows(NamedTuple):
    """How many there are, and a hash of all they say but the ids they got."""

    number: int
    fingerprint: int


class Step(NamedTuple):
    """One step under one plan; its floor too in seconds."""

    plan: str
    name: str
    rows: int
    seconds: float
    floor: float


class Simulated(NamedTuple):
    plan: str
    orders: int
    payment: float
    """In seconds, as the simulation."""
    seconds: float


class Ground(NamedTuple):
    """The imported orders and what happened to each; the database of the floor; and a folder for saved rows."""

    owner: Owner
    floor: Owner
    url: str
    folder: Path
    events: Sequence[Event]
    imported: list[Rows]


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    steps: list[Step] = []
    simulations: list[Simulated] = []
    async with _imported(server_url, SAMPLE if sample else real_year()) as ground:
        for plan in (OF_THE_YEAR, *PLANS):
            if plan in PLANS:
                await ground.owner.execute("DELETE FROM rules")
                await ground.owner.execute(_NEW_RULES, json.dumps(PLANS[plan]))
            await _reset(ground)
            taken = [await _take(ground, plan, name) for name in (STEPS if plan == OF_THE_YEAR else ("payment",))]
            if plan == OF_THE_YEAR and await _all(ground.owner) != ground.imported:
                raise SystemExit("accrual wrote other rows than the import")
            steps += taken
            simulations.append(await _simulate(ground, plan, taken[0].seconds))
    for name in (DATABASE, FLOOR):
        await drop_database(server_url, name)
    return [*_show(steps), *_show_simulations(simulations)]


@asynccontextmanager
async def _imported(server_url: str, folder: Path) -> AsyncIterator[Ground]:
    url = await fresh_database(server_url, DATABASE)
    await migrate(url)
    db = Database(url, reuse_plans=False)
    with timed("import"), told_progress() as progress:
        for kind in KINDS:
            await main_job.import_path(db, kind, folder / f"{kind}.csv", Console(stderr=True), progress)
    await db.close()
    with timed("the database of the floor"):
        await drop_database(server_url, FLOOR)
        floor_url = await create_database(server_url, FLOOR, template=DATABASE)
    state_dir().mkdir(parents=True, exist_ok=True)
    async with owner_of(url) as owner, owner_of(floor_url) as floor:
        events = await owner.fetch("SELECT branch_id, id, paid_at, completed_at FROM orders ORDER BY id")
        imported = await _all(owner)
        with tempfile.TemporaryDirectory(dir=state_dir()) as place:  # not in /tmp, which may be memory
            ground = Ground(owner, floor, url, Path(place), [Event(*row) for row in events], imported)
            for statement in _UNPAID:
                await owner.execute(statement)
            for table in ("orders", "order_lines"):
                await _copy_out(ground, f"SELECT * FROM {table} ORDER BY id", f"unpaid {table}")
            yield ground


async def _reset(ground: Ground) -> None:
    """All orders wait for their payment, and the floor is empty."""
    with timed("back to the state before payment"):
        await ground.owner.execute(_EMPTY)
        for table in ("orders", "order_lines"):
            await ground.owner.copy_to_table(table, source=ground.folder / f"unpaid {table}", format="binary")
        await ground.owner.execute("VACUUM ANALYZE orders, order_lines")
        await ground.floor.execute(_EMPTY)
        await ground.floor.execute(_CLONE)
        await ground.owner.execute("CHECKPOINT")  # nothing is left to write from before


async def _take(ground: Ground, plan: str, name: str) -> Step:
    """All orders take a step, and after each batch the floor loads what it wrote.

    SystemExit when there is anything else in the floor then.
    """
    db = Database(ground.url, reuse_plans=False)
    seconds = floor = 0.0
    with timed(f"{plan}: {name}, and its floor"):
        for first in range(0, len(ground.events), ORDERS_AT_ONCE):
            batch = ground.events[first : first + ORDERS_AT_ONCE]
            before = [await ground.owner.fetchval(f"SELECT coalesce(max(id), 0) FROM {it.table}") for it in STEPS[name]]
            seconds += await _step(db, name, batch)
            for part, last in zip(STEPS[name], before, strict=True):
                floor += await _load(ground, part, (batch[0].order_id, batch[-1].order_id, last))
    await db.close()
    written = [await _rows(ground.owner, part, part.table) for part in STEPS[name]]
    loaded = [await _rows(ground.floor, part, part.into) for part in STEPS[name]]
    if written != loaded:
        raise SystemExit(f"{name} and its floor wrote different rows: {written}, {loaded}")
    return Step(plan, name, sum(rows.number for rows in written), seconds, floor)


async def _step(db: Database, name: str, batch: Sequence[Event]) -> float:
    """The seconds it takes these orders, as an import has them take it."""
    began = time.monotonic()
    async with db.write() as session:
        await session.execute(FOR_BULK)
        if name == "payment":
            await orders.pay(session, [(it.branch_id, it.order_id, it.paid_at) for it in batch], rail=RAIL)
        else:
            done = [(it.branch_id, it.order_id, it.completed_at) for it in batch if it.completed_at]
            await orders.complete(session, done, hold_days=settings().hold_days)
    return time.monotonic() - began


async def _load(ground: Ground, part: Part, batch: tuple[int, int, int]) -> float:
    """The seconds that COPY takes for what the batch wrote of this part."""
    if part.model is OrderLine:  # commissions of nothing need the lines that did not change
        await _copy(ground, part, f"NOT ({part.which})", batch)
    return await _copy(ground, part, part.which, batch)


async def _copy(ground: Ground, part: Part, which: str, batch: tuple[int, int, int]) -> float:
    numbered = {f"${number}": str(value) for number, value in enumerate(batch, start=1)}
    of_batch = " ".join(numbered.get(word, word) for word in part.of_batch.split())
    await _copy_out(ground, f"SELECT * FROM {part.table} WHERE {of_batch} AND {which} ORDER BY id", "of a batch")
    began = time.monotonic()
    await ground.floor.copy_to_table(part.into, source=ground.folder / "of a batch", format="binary")
    return time.monotonic() - began


async def _copy_out(ground: Ground, query: str, name: str) -> None:
    await ground.owner.copy_from_query(query, output=ground.folder / name, format="binary")


async def _rows(owner: Owner, part: Part, table: str) -> Rows:
    drawn = {"id"} if part.model in (Commission, Transfer) else set()
    columns = ", ".join(c.name for c in part.model.__table__.columns if c.name not in drawn)
    row = await owner.fetchrow(
        f"SELECT count(*), coalesce(sum(hash_record_extended(ROW({columns}), 0)::numeric), 0) FROM {table} WHERE {part.which}"
    )
    assert row is not None
    return Rows(*map(int, row))


async def _all(owner: Owner) -> list[Rows]:
    parts = {part.table: part for part in STEPS["payment"]}
    return [await _rows(owner, part._replace(which="true"), table) for table, part in parts.items()]


async def _simulate(ground: Ground, plan: str, payment: float) -> Simulated:
    """The plan in force over all it paid. SystemExit when it finds anything else, or writes a row."""
    await ground.owner.execute("ANALYZE orders, order_lines, commissions")
    rules = await ground.owner.fetchrow(_THESE_RULES)
    period = await ground.owner.fetchrow(_PERIOD)
    assert rules is not None
    assert period is not None
    before = await _writes(ground.owner)
    db = Database(ground.url, reuse_plans=False)
    with timed(f"{plan}: simulation"):
        began = time.monotonic()
        async with db.snapshot() as session:
            found = await simulate(
                session, json.loads(rules["rules"]), rules["margin_floor_bps"], start=period["start"], end=period["end"]
            )
        seconds = time.monotonic() - began
    await db.close()
    if await _writes(ground.owner) != before:
        raise SystemExit("the simulation wrote a row")
    if found.commission.difference or found.gaining or found.losing or found.orders != len(ground.events):
        raise SystemExit(f"the simulation of {plan} found {found.commission}, and what it paid is {found}")
    return Simulated(plan, found.orders, payment, seconds)


async def _writes(owner: Owner) -> list[tuple[Any, ...]]:
    """Of each table the rows ever inserted, updated and deleted, and those that are there."""
    while not await owner.fetchval(_ALONE):  # who goes away reports what it did  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    tables = await owner.fetch(_WRITES)
    return [(*row, await owner.fetchval(f"SELECT count(*) FROM {row['relname']}")) for row in tables]


def _show(steps: Sequence[Step]) -> list[str]:
    """Print the table; what took more than it may."""
    table = Table(title="Accrual beside COPY of every row it writes")
    for heading in ("plan", "step"):
        table.add_column(heading)
    for heading in ("rows written", "seconds", "floor seconds", "ratio", "at most"):
        table.add_column(heading, justify="right")
    year = [step for step in steps if step.plan == OF_THE_YEAR]
    total = Step(OF_THE_YEAR, "both", *(sum(column) for column in zip(*(step[2:] for step in year), strict=True)))
    others = [step for step in steps if step.plan != OF_THE_YEAR]
    broken = []
    for step, most in (*((it, None) for it in year), (total, MOST_OF_THE_YEAR), *((it, MOST) for it in others)):
        ratio = step.seconds / step.floor
        numbers = (f"{step.rows:,}", f"{step.seconds:.2f}", f"{step.floor:.2f}", f"{ratio:.2f}")
        table.add_row(step.plan, step.name, *numbers, str(most or ""), end_section=step is total)
        if most is not None and ratio > most:
            broken.append(f"accrual, {step.plan}: {ratio:.2f} times its floor, more than {most}")
    Console().print(table)
    return broken


def _show_simulations(simulations: Sequence[Simulated]) -> list[str]:
    table = Table(title="Simulation of the plan over all it paid, beside the payment")
    table.add_column("plan")
    for heading in ("orders", "payment seconds", "simulation seconds", "ratio", "at most"):
        table.add_column(heading, justify="right")
    broken = []
    for it in simulations:
        ratio = it.seconds / it.payment
        numbers = (f"{it.orders:,}", f"{it.payment:.2f}", f"{it.seconds:.2f}", f"{ratio:.2f}")
        table.add_row(it.plan, *numbers, str(SIMULATION_MOST))
        if ratio > SIMULATION_MOST:
            broken.append(f"simulation, {it.plan}: {ratio:.2f} times the payment, more than {SIMULATION_MOST}")
    Console().print(table)
    return broken


if __name__ == "__main__":
    run_alone(bench, __doc__)
