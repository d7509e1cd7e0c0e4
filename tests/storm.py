"""The whole system as processes under load, some of which are killed, and what must hold when the storm is over."""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import embedded
from s2b2c.api.types.ids import decode, encode
from s2b2c.audit import audit
from s2b2c.config import CHECKOUT
from s2b2c.db import Database
from s2b2c.models import OrderAddress
from s2b2c.processes import PARENT
from tests import shoppers
from tests.bench.world import Shape, found, recruit
from tests.commands import cli
from tests.stripe_fake import Fake, running

STUCK_S = 60
"""Nothing that waits for us may wait for longer."""
_PATIENCE_S = 120
"""For what depends on this machine alone."""
STOCK = 1_000_000
"""Of each variant, when a storm begins."""
CARD = "4242424242424242"
"""What customers pay with at the stand-in."""
_SECRET = "the secret of the storm, 32 characters and more"
_FASTER = (
    "from datetime import timedelta; from s2b2c import cli; cli.ROLLUPS_EVERY = timedelta(seconds=0.5); cli.main()"
)

_SHELVES = text(
    """
    WITH stock AS (
        UPDATE variants SET stock = :stock
    )
    INSERT INTO listings (store_id, product_id, price, position, pitch)
    SELECT s.id, p.id, 4990, row_number() OVER (PARTITION BY s.id ORDER BY p.id), '' FROM stores s CROSS JOIN products p
    """
)
_WAITS = text(
    """
    SELECT what, extract(epoch FROM clock_timestamp() - since)::float AS waits_s
    FROM (
        SELECT format('event %s, %s', id, type) AS what, received_at AS since FROM stripe_events WHERE handled_at IS NULL
        UNION ALL
        SELECT format('job %s, %s, %s, tried %s times', id, entrypoint, status, attempts), greatest(created, execute_after)
        FROM pgqueuer
        UNION ALL
        SELECT format('refund request %s, %s', id, state), requested_at
        FROM refund_requests WHERE state IN ('sending', 'sent')
        UNION ALL
        SELECT format('order %s, to be paid until %s', id, due_at), due_at
        FROM orders WHERE state = 'placed' AND due_at < clock_timestamp()
        UNION ALL
        SELECT format('payment %s, %s of order %s, %s', p.id, p.state, o.id, o.state),
               CASE p.state WHEN 'opening' THEN p.created_at WHEN 'open' THEN o.cancelled_at ELSE p.succeeded_at END
        FROM payments p JOIN orders o ON o.branch_id = p.branch_id AND o.id = p.order_id
        WHERE CASE o.state WHEN 'placed' THEN p.state = 'opening'
                           WHEN 'cancelled' THEN p.state <> 'cancelled' AND p.returned_at IS NULL END
    ) AS waiting
    ORDER BY waits_s DESC
    """
)
_PEOPLE = select(OrderAddress.recipient, OrderAddress.phone, OrderAddress.street)
_ORDERS = text(
    """
    SELECT o.branch_id, o.id, o.state,
           CASE WHEN o.paid_at IS NULL THEN 0 ELSE o.freight + sum(l.paid - l.refunded) END::bigint AS kept
    FROM orders o JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    GROUP BY o.branch_id, o.id
    """
)
_TAKEN = text(
    """
    SELECT (SELECT count(*) * :stock - sum(stock) FROM variants)::bigint = sum(l.quantity)::bigint
    FROM order_lines l JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id AND o.state <> 'cancelled'
    """
)
_CLEARING = text(
    """
    SELECT coalesce(sum(CASE WHEN a.id = t.debit_account_id THEN t.amount ELSE -t.amount END), 0)::bigint
    FROM ledger_accounts a JOIN transfers t ON a.id IN (t.debit_account_id, t.credit_account_id)
    WHERE a.kind = 'clearing' AND a.rail = 'stripe'
    """
)


@dataclass
class Stage:
    url: str
    """Of the database, as its owner."""
    db: Database
    fake: Fake
    folder: Path
    told: shoppers.Told
    environment: dict[str, str]
    is_short: bool
    """The worker makes its rounds every half a second, and a minute goes by at a word."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    takes_s: float = 0
    """From the start of `serve` to its first answer."""
    disturbed_at: float = 0
    """When the last of the kills was."""

    def start(self, name: str) -> None:
        if name == "customers":
            call = ["-m", "tests.shoppers", json.dumps(asdict(self.told))]
        else:
            call = ["-c", _FASTER, name] if self.is_short else ["-m", "s2b2c.cli", name]
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *call],
                cwd=CHECKOUT,
                env=os.environ | self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def stop(self) -> Path:
        return Path(self.told.stop)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def kill(self, name: str) -> None:
        self.check_alive(name)
        self.processes[name].kill()
        self.end(name)
        self.disturbed_at = time.monotonic()

    def check_alive(self, *names: str) -> None:
        for name in names:
            code = self.processes[name].poll()
            assert code is None, f"{name} ended by itself with {code}: {self.tail(name)}\n{self.tail('serve')}"

    def tail(self, name: str) -> str:
        return self.log(name).read_text("utf-8", errors="replace")[-2_000:]

    def end(self, name: str) -> int:
        """The exit code of one that is told to end, or has."""
        process = self.processes[name]
        process.terminate()
        try:
            return process.wait(_PATIENCE_S)
        finally:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    async def until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        ends = time.monotonic() + _PATIENCE_S
        while not await condition():
            if time.monotonic() > ends:
                logs = "".join(f"\n--- {name}\n{self.tail(name)}" for name in self.processes)
                raise AssertionError(f"{what}: not after {_PATIENCE_S} s{logs}")
            await asyncio.sleep(0.1)

    async def is_served(self) -> bool:
        self.check_alive("serve")
        try:
            async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
                return (await http.get(f"{self.told.shop}/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def waiting(self) -> list[tuple[str, float]]:
        """What waits for us and for how many seconds, the longest first."""
        async with self.db.read() as session:
            return [(row.what, row.waits_s) for row in await session.execute(_WAITS)]

    async def have_a_minute_go_by(self) -> None:
        """For all that waits until somebody must be dead, or does not come back."""
        async with self.db.write() as session:
            await session.execute(text("UPDATE pgqueuer SET heartbeat = heartbeat - interval '1 minute'"))
            await session.execute(
                text("UPDATE payments SET created_at = created_at - interval '1 minute' WHERE state = 'opening'")
            )


async def a_market(session: AsyncSession) -> tuple[Sequence[int], Sequence[int]]:
    """The ids of stores, and of the variants that each of them sells; of four brands."""
    await found(session, brands=4, products_each=2)
    await recruit(session, Shape(1, 2, 4))
    await session.execute(_SHELVES, {"stock": STOCK})
    stores = await session.scalars(text("SELECT id FROM stores ORDER BY id"))
    variants = await session.scalars(text("SELECT id FROM variants ORDER BY id"))
    return stores.all(), variants.all()


@contextmanager
def own_server() -> Iterator[tuple[str, Path]]:
    """The URL and the data of an embedded server that nobody else uses, in a folder that any user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="s2b2c-storm-"))
    try:
        folder.chmod(0o755)
        with embedded.server(folder / "pg") as url:
            yield url, folder / "pg"
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def staged(
    url: str, folder: Path, *, seed: int, customers: int, is_short: bool, **settings: str
) -> AsyncIterator[Stage]:
    """On this database, migrated and empty: a network with stores, `serve`, `worker`, Stripe, and customers who buy."""
    sys.stderr.write(f"the seed of this storm: {seed}\n")
    db = Database(url)
    async with db.write() as session:
        stores, variants = await a_market(session)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    shop = f"http://127.0.0.1:{port}"
    fake = Fake(seed=seed, retry_after_s=(0.5,) * 10_000)
    async with running(fake, webhook=f"{shop}/stripe/events"):
        told = shoppers.Told(
            shop,
            fake.url,
            str(folder / "journal"),
            str(folder / "stop"),
            [encode("store", it) for it in stores],
            [encode("variant", it) for it in variants],
            customers,
            seed,
        )
        environment = {
            "S2B2C_DATABASE_URL": url,
            "S2B2C_PORT": f"{port}",
            "S2B2C_ADDRESS_REQUESTS": "1000000000",
            "S2B2C_TOKEN_SECRET": _SECRET,
            "S2B2C_STRIPE_API_KEY": fake.settings.api_key,
            "S2B2C_STRIPE_WEBHOOK_SECRET": fake.secret,
            "S2B2C_STRIPE_API_BASE": fake.url,
            "S2B2C_LOG": "json",
            PARENT: f"{os.getpid()}",
            **settings,
        }
        stage = Stage(url, db, fake, folder, told, environment, is_short)
        try:
            began = time.monotonic()
            for name in ("serve", "worker", "customers"):
                stage.start(name)
            await stage.until("serve answers", stage.is_served)
            stage.takes_s = time.monotonic() - began
            yield stage
        finally:
            for process in stage.processes.values():
                process.kill()
            for name in stage.processes:
                stage.end(name)
            await db.close()


async def kill_in_turns(stage: Stage, number: int, dice: random.Random) -> None:
    """The three processes, each started again at once; also while they start."""
    names = ("serve", "worker", "customers")
    longest_s = (1 if stage.is_short else 2) * stage.takes_s
    for turn in range(number):
        await asyncio.sleep(dice.uniform(0, longest_s))
        stage.kill(names[turn % 3])
        stage.start(names[turn % 3])


async def kill_postgres(stage: Stage, data: Path, number: int, dice: random.Random) -> None:
    """And start it again; nobody starts our processes again."""
    ours = dict(stage.processes)
    cluster = embedded._place(data)
    for turn in range(number):
        await asyncio.sleep(dice.uniform(0.5, 2))
        os.kill(int((data / "postmaster.pid").read_text().split("\n", 1)[0]), signal.SIGKILL)
        await stage.until("PostgreSQL is dead", partial(_is_silent, cluster))
        await asyncio.sleep(dice.uniform(0, 1))
        await asyncio.to_thread(embedded._start, cluster, durable=True)
        stage.disturbed_at = time.monotonic()
        await stage.until(f"serve answers after PostgreSQL was killed {turn + 1} times", stage.is_served)
    stage.check_alive(*ours)
    assert stage.processes == ours
    await stage.db.close()  # its connections are dead


async def _is_silent(cluster: embedded._Cluster) -> bool:
    return not embedded._listens(cluster)


async def calm(stage: Stage) -> None:
    """The customers end what they are at, and all that waits is done in time."""
    stage.stop.touch()
    await stage.until("the customers end what they are at", lambda: _has_ended(stage, "customers"))
    assert stage.processes["customers"].returncode == 0, stage.tail("customers")
    await stage.until("Stripe tells all it has to tell", lambda: _is_told(stage.fake))
    if stage.is_short:
        await stage.have_a_minute_go_by()
    while waiting := await stage.waiting():
        undisturbed_s = time.monotonic() - stage.disturbed_at
        if stuck := [f"{what}: {waits_s:.1f} s" for what, waits_s in waiting if min(waits_s, undisturbed_s) > STUCK_S]:
            what = "\n".join(stuck[:20])
            raise AssertionError(f"stuck for more than {STUCK_S} s:\n{what}\n--- worker\n{stage.tail('worker')}")
        stage.check_alive("serve", "worker")
        await asyncio.sleep(0.2)
    for name in ("worker", "serve"):
        assert (code := stage.end(name)) in {0, 128 + signal.SIGTERM}, f"{name}: {code}: {stage.tail(name)}"


async def _has_ended(stage: Stage, name: str) -> bool:
    return stage.processes[name].poll() is not None


async def _is_told(fake: Fake) -> bool:
    try:
        async with asyncio.timeout(0.5):
            await fake.settled()
    except TimeoutError:
        return False
    return True


async def check_logs(stage: Stage) -> None:
    """Of what nobody but its owner may know nothing stands in them, nor a traceback."""
    told = [line["token"] for line in shoppers.read(Path(stage.told.journal)) if line["what"] == "entered"]
    secrets = [it["client_secret"] for it in stage.fake.rows("payment_intent")]
    async with stage.db.read() as session:
        people = [*await session.scalars(text("SELECT ref FROM customers"))]
        people += {it for row in await session.execute(_PEOPLE) for it in row}
    assert told
    assert secrets
    assert len(people) > len(told), "nobody has an address"
    hidden = {*told, *secrets, *people, _SECRET, stage.fake.settings.api_key, stage.fake.secret, CARD}
    for name in ("serve", "worker"):
        assert leaks(stage.log(name), hidden) == []


def leaks(log: Path, hidden: Collection[str]) -> list[str]:
    """The lines that hold what is hidden, or begin a traceback."""
    lines = log.read_text("utf-8").splitlines()
    return [line for line in lines if "Traceback (most" in line or any(it in line for it in hidden)]


async def check_books(stage: Stage) -> Counter[str]:
    """Stripe, we and the customers agree on every order to the fen. How many orders of each fate there were."""
    if not stage.is_short:
        assert "Every invariant holds." in await asyncio.to_thread(cli, stage.url, "audit")
    async with stage.db.snapshot() as session:
        assert [str(breach) for breach in await audit(session)] == []
        orders = {(row.branch_id, row.id): row for row in await session.execute(_ORDERS)}
        assert await session.scalar(_TAKEN, {"stock": STOCK}), "the stock is not what the orders have left"
        requests = (await session.execute(text("SELECT id, state, amount FROM refund_requests ORDER BY id"))).all()
        clearing = await session.scalar(_CLEARING)
    kept, intents = _kept_at_stripe(stage.fake)
    assert max(intents.values()) == 1, "a payment has been made twice at Stripe"
    assert {key: row.kept for key, row in orders.items() if row.kept} == {key: fen for key, fen in kept.items() if fen}
    assert clearing == sum(kept.values())
    ours = [it for it in stage.fake.rows("refund") if "refund_id" in it["metadata"]]
    sent = sorted((int(it["metadata"]["refund_id"]), "succeeded", it["amount"]) for it in ours)
    assert sent == [tuple(row) for row in requests]
    return _check_customers(stage, orders)


def _kept_at_stripe(fake: Fake) -> tuple[dict[tuple[int, int], int], Counter[str]]:
    """What Stripe has of each order's money, and how often it has made each payment."""
    intents = {it["id"]: it for it in fake.rows("payment_intent")}
    kept: dict[tuple[int, int], int] = {}
    for intent in intents.values():
        key = (int(intent["metadata"]["branch_id"]), int(intent["metadata"]["order_id"]))
        kept[key] = kept.get(key, 0) + intent["amount_received"]
    for refund in fake.rows("refund"):
        metadata = intents[refund["payment_intent"]]["metadata"]
        kept[int(metadata["branch_id"]), int(metadata["order_id"])] -= refund["amount"]
    return kept, Counter(it["metadata"]["payment_id"] for it in intents.values())


def _check_customers(stage: Stage, orders: dict[tuple[int, int], Any]) -> Counter[str]:
    """Every order that a customer knows of is there, once, and none that no customer knows of."""
    carts: dict[tuple[int, int], tuple[str, str]] = {}
    paid: set[str] = set()
    for line in shoppers.read(Path(stage.told.journal)):
        if line["what"] == "placed":
            cart, order = (line["customer"], line["number"]), (line["order"], line["fate"])
            assert carts.setdefault(cart, order) == order, f"{cart} has become two orders"
        elif line["what"] == "paid":
            paid.add(line["order"])
    known = {_key(order): (fate, order in paid) for order, fate in carts.values()}
    assert known.keys() == orders.keys()
    # Where orders expire soon, the news of a payment may come after that: then its money went back.
    good = {"paid", "cancelled"} if "S2B2C_PAY_MINUTES" in stage.environment else {"paid"}
    for key, (fate, was_paid) in known.items():
        if was_paid and fate in {"paid", "refunded"}:
            assert orders[key].state in good, f"{key}, which its customer has paid, is {orders[key].state}"
    return Counter(fate for fate, _ in known.values())


def _key(order: str) -> tuple[int, int]:
    branch_id, order_id = decode("order", order, length=2)
    return branch_id, order_id
