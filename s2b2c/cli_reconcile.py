"""The commands that match what rails report with what we have: `s2b2c reconcile --help`."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from s2b2c import cli_finance as finance
from s2b2c import main_job, reconciliation
from s2b2c.config import SHANGHAI
from s2b2c.db import Database
from s2b2c.money import format_yuan

app = typer.Typer(no_args_is_help=True, help="Match what rails report with what we have (对账).")

File = Annotated[Path, typer.Argument(help="CSV in UTF-8 or GB18030.")]


@app.command()
def stripe(
    context: typer.Context,
    file: File,
    start: Annotated[datetime, typer.Option("--from", formats=finance.DAY, help="The first day of the report.")],
    end: Annotated[datetime, typer.Option("--until", formats=finance.DAY, help="The first day that is not in it.")],
    by: finance.By = None,
) -> None:
    """Read Stripe's itemised balance report; the days are those of Asia/Shanghai."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            person = await finance.acting(session, by)
        period = {"start": start.replace(tzinfo=SHANGHAI), "end": end.replace(tzinfo=SHANGHAI)}
        _tell(await reconciliation.read_stripe(db, file, **period, by=person, now=datetime.now(UTC)), file)

    finance.run(context, work)


@app.command()
def bank(context: typer.Context, file: File, by: finance.By = None) -> None:
    """Read what the bank says of our batch: payouts are paid, or failed."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            person = await finance.acting(session, by)
        with main_job.progress_bar(finance.err) as progress:
            read = await reconciliation.read_bank(
                db, file, by=person, now=datetime.now(UTC), progress=partial(progress, "reading")
            )
        _tell(read, file)

    finance.run(context, work)


def _tell(read: reconciliation.Read, file: Path) -> None:
    finance.say(f"{file.name}: {read.rows:,} rows; {read.open_breaks:,} breaks are open: `s2b2c reconcile breaks`.")


@app.command()
def breaks(
    context: typer.Context,
    rail: Annotated[Literal["stripe", "bank"] | None, typer.Option(help="Of one rail; of both when left out.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are settled.")] = False,  # noqa: FBT002
) -> None:
    """Where a rail and we differ, and for how long already; at most 100."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            found = await reconciliation.breaks(
                session, rail=rail, open_only=not everything, after=None, limit=finance.SHOWN
            )
        now = datetime.now(UTC)
        for it in found:
            sides = " and ".join(
                f"{who} {'nothing' if amount is None else format_yuan(amount)}"
                for who, amount in (("we have", it.ours), ("they have", it.theirs))
            )
            settled = f"; settled: {it.reason or 'a later report agrees'}" if it.resolved_at else ""
            finance.say(
                f"Break {it.id}: {it.rail} {it.category} {it.reference}, {it.kind.replace('_', ' ')}, {sides}, "
                f"{reconciliation.age_days(it, now)} days old{settled}"
            )
        if not found:
            finance.say("No break is open.")

    finance.run(context, work)


@app.command()
def resolve(
    context: typer.Context,
    break_id: Annotated[int, typer.Argument(metavar="BREAK", help="The number of the break.")],
    reason: Annotated[str, typer.Option(help="How it was settled: 1 to 500 characters.")],
    by: finance.By = None,
) -> None:
    """Say that a break is settled, and why."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            person = await finance.acting(session, by)
            await reconciliation.resolve(session, break_id, reason, by=person, now=datetime.now(UTC))
        finance.say(f"Break {break_id} is settled.")

    finance.run(context, work)
