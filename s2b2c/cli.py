"""The command line: `s2b2c --help`."""

import asyncio
import importlib
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal, TypeVar

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from sqlalchemy.exc import DBAPIError

from s2b2c import (
    accounts,
    audit,
    backup,
    cli_accounts,
    cli_exports,
    cli_network,
    cli_payouts,
    cli_plans,
    cli_ranking,
    cli_reconcile,
    cli_settlements,
    crypto,
    embedded,
    exports,
    imports,
    logs,
    main_job,
    metrics,
    payments,
    processes,
    resealing,
    worker,
)
from s2b2c.config import CHECKOUT, settings, state_dir
from s2b2c.db import Database, MigrationError, check_current, migrate
from s2b2c.errors import Refused
from s2b2c.processes import CommandError

ROLLUPS_EVERY = timedelta(seconds=15)
T = TypeVar("T")
Kind = Literal["tiers", "network", "catalogue", "stores", "listings", "plans", "orders"]
Role = Literal["distributor", "brand", "finance", "operator"]

out = Console()
err = Console(stderr=True)
app = typer.Typer(
    help="s2b2c: supply, storefronts, orders, commissions, ranking and settlement of tiered distributors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_exports.app, name="export")
app.add_typer(cli_network.app, name="network")
app.add_typer(cli_plans.app, name="plan")
app.add_typer(cli_ranking.app, name="rank")
app.add_typer(cli_settlements.app, name="settle")
app.add_typer(cli_payouts.app, name="pay")
app.add_typer(cli_reconcile.app, name="reconcile")
app.add_typer(cli_accounts.app, name="operator")
app.add_typer(cli_accounts.person_app, name="person")


def main() -> None:
    """Run a command. What the user can mend is one line on stderr; the rest is one line and a traceback in a file."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started deaf to it
    try:
        app(obj=_run)
    except (
        *(CommandError, MigrationError, embedded.EmbeddedServerError, Refused, imports.ImportRefused),
        *(exports.ExportError, backup.BackupError, crypto.SealError),
    ) as error:
        sys.exit(f"s2b2c: {error}")
    except ValidationError as error:
        sys.exit("\n".join(f"s2b2c: S2B2C_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()))
    except KeyboardInterrupt:
        sys.exit(130)
    except (DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        sys.exit(f"s2b2c: the database or a file failed: {cause} (details in {_keep_traceback()})")
    except Exception as error:  # noqa: BLE001  no traceback reaches a user
        sys.exit(f"s2b2c: unexpected {type(error).__name__}; details in {_keep_traceback()}")


def _keep_traceback() -> Path:
    path = state_dir() / "error.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(traceback.format_exc(), encoding="utf-8")
    return path


@contextmanager
def _server() -> Iterator[str]:
    """The URL of the database in the settings, else of our own server for as long as the block runs."""
    if url := settings().database_url:
        yield url
    else:
        with embedded.server(state_dir() / "pg") as own:
            yield own


def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    """The result of `work` on an up-to-date database. Raises CommandError when it is not migrated."""

    async def run(url: str) -> T:
        await check_current(settings().owner_database_url or url)
        return await _on(url, work)

    with _server() as url:
        return uvloop.run(run(url))


async def _on(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(url, reuse_plans=False)
    try:
        return await work(database)
    finally:
        await database.close()


@app.command("import")
def import_(
    kind: Kind,
    files: list[Path],
    dry_run: Annotated[bool, typer.Option(help="Check everything, write nothing.")] = False,
) -> None:
    """Import canonical CSV files (seed/README.md says how they look): all or nothing per file."""

    async def work(db: Database) -> None:
        refused = 0
        for path in files:
            try:
                with main_job.progress_bar(err) as progress:
                    report = await main_job.import_path(db, kind, path, err, progress, dry_run=dry_run)
            except imports.ImportRefused as error:
                refused += 1
                err.print(str(error), markup=False, highlight=False, soft_wrap=True)
            else:
                out.print(main_job.told(path, report, dry_run=dry_run), highlight=False, soft_wrap=True)
        with main_job.progress_bar(err) as progress:
            await main_job.index_products(db, progress)
        if refused:
            raise CommandError(f"{refused} of {len(files)} files refused")

    _run(work)


@cli_exports.app.command("catalogue")
def export_catalogue(
    brand: Annotated[str, typer.Option(help="Name of the brand.")],
    file: Annotated[Path, typer.Option("--out", help="Where to.")],
    with_stock: Annotated[bool, typer.Option(help="With the units that are left.")] = False,
    encoding: Annotated[exports.Encoding, typer.Option()] = "utf-8",
) -> None:
    """What a brand supplies, as a file that `s2b2c import catalogue` reads."""

    async def work(db: Database) -> None:
        with main_job.progress_bar(err) as progress:
            async with db.snapshot() as session:
                rows = await exports.export_catalogue(
                    session,
                    brand,
                    out=file,
                    with_stock=with_stock,
                    encoding=encoding,
                    progress=partial(progress, "writing"),
                )
        out.print(f"{file} ({rows:,} variants)", highlight=False, soft_wrap=True)

    _run(work)


@app.command("audit")
def audit_() -> None:
    """Check every invariant on the live data; exits with 1 and names the rows when one is broken."""

    async def work(db: Database) -> None:
        with main_job.progress_bar(err) as progress:
            async with db.snapshot() as session:
                breaches = await audit.audit(session, progress=partial(progress, "checking"))
        for breach in breaches:
            out.print(f"{breach}", markup=False, highlight=False, soft_wrap=True)
        if breaches:
            raise CommandError(f"{len(breaches)} invariants are broken")
        out.print("Every invariant holds.")

    _run(work)


@app.command("backup")
def backup_(file: Path) -> None:
    """Write everything in the database into one file, as it is at one moment; the system may go on meanwhile."""
    with _server() as url, main_job.progress_bar(err) as progress:
        owner_url = settings().owner_database_url or url
        written = uvloop.run(backup.write(owner_url, file, partial(progress, "writing")))
    out.print(f"{file}: {written.rows:,} rows, revision {written.revision}", highlight=False, soft_wrap=True)


@app.command()
def restore(
    file: Path,
    replace: Annotated[bool, typer.Option(help="Replace what is in the database.")] = False,
) -> None:
    """Put a backup into an empty database, migrate it, and audit it: exits with 1 when an invariant is broken."""
    with _server() as url:
        with main_job.progress_bar(err) as progress:
            owner_url = settings().owner_database_url or url
            put = uvloop.run(backup.restore(owner_url, file, replace=replace, progress=partial(progress, "restoring")))
        out.print(f"{file}: {put.rows:,} rows of {put.made_at:%Y-%m-%d %H:%M} UTC are back", highlight=False)
        audit_()


@app.command()
def reseal() -> None:
    """Bring all personal data under the first of S2B2C_DATA_KEYS; the system may go on meanwhile, and so may this."""
    with _server() as url, main_job.progress_bar(err) as progress:
        owner_url = settings().owner_database_url or url
        uvloop.run(check_current(owner_url))
        done = uvloop.run(resealing.reseal(owner_url, partial(progress, "sealing")))
    out.print(f"{done.rows:,} rows are under the first key now.", highlight=False)
    if done.left:
        raise CommandError(
            f"{done.left:,} rows came under an old key meanwhile: give all servers the new one, and go on"
        )


@app.command()
def token(
    role: Role,
    brand: Annotated[str | None, typer.Option(help="Name of the brand, for the role brand.")] = None,
    distributor: Annotated[str | None, typer.Option(help="Code, for the role distributor.")] = None,
    days: Annotated[int, typer.Option(min=1, max=30)] = 1,
) -> None:
    """Print a signed development token: `Authorization: Bearer <token>`."""

    async def work(db: Database) -> str:
        async with db.write() as session:
            return await accounts.issue_token(
                session,
                role=role,
                brand=brand,
                distributor=distributor,
                secret=accounts.token_secret(),
                lifetime=timedelta(days=days),
            )

    sys.stdout.write(_run(work) + "\n")


@app.command("migrate")
def migrate_() -> None:
    """Bring the database to the newest migration, as the owner of the schema."""
    with _server() as url:
        asyncio.run(migrate(settings().owner_database_url or url))
    out.print("The database is up to date.")


@app.command("schema")
def schema_() -> None:
    """Write graphql/schema.graphql from the code, and graphql/operations.json from the operations."""
    for path in _serving().write_schema():
        out.print(str(path), soft_wrap=True)


@app.command()
def serve() -> None:
    """Serve GraphQL on S2B2C_HOST and S2B2C_PORT."""
    logs.write_to_stderr(settings().log)
    processes.end_with_parent()
    crypto.keys()  # made now or never: not by two requests at once, and not by the first customer
    serving = _serving()
    with _server() as url:
        database = serving.database(url)
        _tell_prometheus(settings().metrics_port, serve=database)
        serving.serve(database)


def _serving() -> ModuleType:
    """Only two commands need the schema, and building it takes longer than most of the others do."""
    return importlib.import_module("s2b2c.serving")


@app.command("worker")
def worker_() -> None:
    """Run what happens by itself: the daily totals, and the jobs that wait."""
    logs.write_to_stderr(settings().log)
    processes.end_with_parent()

    async def work(db: Database) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        events = Database(db.url, pool_size=2, by_key=True)
        port = settings().metrics_port
        _tell_prometheus(port and port + 1, worker=db, events=events)
        try:
            await worker.run(db, every=ROLLUPS_EVERY, stop=stop, events=events)
        finally:
            await events.close()
            if (gateway := payments.connect()) is not None:
                await gateway.close()

    _run(work)


def _tell_prometheus(port: int | None, **pools: Database) -> None:
    if port is not None:
        try:
            metrics.serve(settings().host, port, pools)
        except OSError as error:
            raise CommandError(
                f"cannot serve metrics on {settings().host}:{port} ({error.strerror}): set S2B2C_METRICS_PORT"
            ) from None


@app.command()
def up() -> None:
    """The whole system: migrate, run the main job on the sample network, then serve with a worker, until Ctrl-C."""
    host, port = settings().host, settings().port
    processes.refuse_busy_port(host, port)
    with _server() as url:
        asyncio.run(migrate(settings().owner_database_url or url))
        sample = CHECKOUT / "seed" / "sample"
        if sample.is_dir():
            job = main_job.Job(sample, date(2026, 8, 1), date(2026, 11, 1), state_dir() / "exports")
            asyncio.run(_main_job(url, job))
        with (
            processes.stripe(host, port) as stripe,
            processes.sign_in() as sign_in,
            processes.children(stripe | sign_in | {"S2B2C_DATABASE_URL": url}, "serve", "worker") as children,
        ):
            processes.wait_until_served(host, port, children)
            if stripe:
                out.print(
                    f"No S2B2C_STRIPE_API_KEY is set: payments go to a stand-in at {stripe['S2B2C_STRIPE_API_BASE']}",
                    soft_wrap=True,
                )
            if sign_in:
                out.print(
                    f"No S2B2C_SMS_URL is set: codes are shown at {sign_in['S2B2C_WECHAT_API_BASE']}/_fake/sms",
                    soft_wrap=True,
                )
            out.print(
                f"GraphQL and its explorer: http://{host}:{port}/graphql (Ctrl-C ends everything)", soft_wrap=True
            )
            while all(child.poll() is None for child in children):
                time.sleep(0.2)
            raise CommandError("a part of the system ended by itself; see above")


async def _main_job(url: str, job: main_job.Job) -> None:
    async def work(db: Database) -> None:
        with main_job.progress_bar(err) as progress:
            await main_job.run(db, job, out, progress)

    await _on(url, work)


if __name__ == "__main__":
    main()
