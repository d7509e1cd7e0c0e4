"""The commands that pay out: `s2b2c pay --help`. The worker sends; these decide."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from s2b2c import cli_finance as finance
from s2b2c import files, payouts
from s2b2c.accounts import account_of
from s2b2c.config import settings
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused
from s2b2c.models import Payout
from s2b2c.money import format_yuan

app = typer.Typer(no_args_is_help=True, help="Pay out what closed runs owe (打款): by Stripe, by bank, or outside.")

Run = Annotated[int, typer.Argument(help="The number of the run.")]
Id = Annotated[int, typer.Argument(metavar="PAYOUT", help="The number of the payout.")]
Reason = Annotated[str, typer.Option(help="1 to 500 characters.")]
Rail = Literal["stripe", "bank"]

_NEEDS = {"failed": "failed", "unknown": "no answer for over an hour"}


@app.command()
def start(
    context: typer.Context,
    run: Run,
    rail: Annotated[Rail, typer.Option(help="By what: transfers of Stripe, or a file for your bank.")],
    by: finance.By = None,
) -> None:
    """Have what an approved run pays out sent: one payout for each statement."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            person = await finance.acting(session, by)
            done = await payouts.start(session, run, rail=rail, by=person, now=datetime.now(UTC))
        finance.say(f"Run {run} is {done.state}: `s2b2c worker` sends, `s2b2c pay show {run}` tells how far it is.")

    finance.run(context, work)


@app.command()
def show(context: typer.Context, run: Run) -> None:
    """What the payouts of a run have come to, and those that need somebody; at most 100."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            totals = (await payouts.totals_of(session, [run])).get(run, [])
            waiting = await payouts.waiting(session, run, now=datetime.now(UTC), limit=finance.SHOWN)
        for total in totals:
            finance.say(f"{total.state}: {total.payouts:,} payouts, {format_yuan(total.amount)} yuan")
        for it in waiting:
            why = it.hold_reason or it.hold or _NEEDS.get(it.state, "waits for a second person")
            finance.say(f"Payout {it.id}: {it.code} {it.name}, {format_yuan(it.amount)} yuan by {it.rail}: {why}")
        if not totals:
            finance.say(f"Run {run} has no payouts.")

    finance.run(context, work)


@app.command()
def approve(context: typer.Context, payout: Id, by: finance.By = None) -> None:
    """Let a payout above the limit be sent; who started the payouts of the run cannot."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            person = await finance.acting(session, by)
            await payouts.approve(session, payout, by=person, now=datetime.now(UTC))
        finance.say(f"Payout {payout} is approved.")

    finance.run(context, work)


@app.command()
def hold(context: typer.Context, payout: Id, reason: Reason, by: finance.By = None) -> None:
    """Keep a payout back, until it is released."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            person = await finance.acting(session, by)
            done = await payouts.hold(session, payout, reason, by=person)
        finance.say(f"Payout {payout} is {done.state}, held back.")

    finance.run(context, work)


@app.command()
def release(context: typer.Context, payout: Id) -> None:
    """Let a payout go that somebody holds back."""
    _decide(context, payout, payouts.release)


@app.command()
def retry(
    context: typer.Context,
    payout: Id,
    rail: Annotated[Rail | None, typer.Option(help="Another one than before.")] = None,
) -> None:
    """Try a failed payout again."""
    _decide(context, payout, payouts.retry, rail=rail)


@app.command()
def reverse(context: typer.Context, payout: Id, reason: Reason, by: finance.By = None) -> None:
    """Bring a confirmed payout back; it is owed to its payee again."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            person = await finance.acting(session, by)
            done = await payouts.reverse(session, payout, reason, by=person, now=datetime.now(UTC))
        is_back = done.state == "reversed"
        finance.say(f"Payout {payout} is {done.state}{'' if is_back else '; its reversal is asked for'}.")

    finance.run(context, work)


@app.command()
def outside(
    context: typer.Context,
    payout: Id,
    note: Annotated[str, typer.Option(help="How it was paid: 1 to 500 characters.")],
    reference: Annotated[str, typer.Option(help="What the payment is called in the proof.")],
    proof: Annotated[Path, typer.Option(help="A PDF, PNG or JPEG; it is kept.")],
    by: finance.By = None,
) -> None:
    """Note that a payout was made by other means, with a file that proves it."""

    async def work(db: Database) -> None:
        now = datetime.now(UTC)
        async with db.write() as session:
            if await payouts.payout(session, payout) is None:
                raise Refused(NotFound("There is no such payout: read them again."))
            person = await finance.acting(session, by)
            account_id = await account_of(session, "finance")
        try:
            pieces = files.proof(proof.name, files.pieces_of(proof))
            file = await files.save(
                *(db, pieces),
                kind="payout_proof",
                name=files.check_name(proof.name),
                brand_id=None,
                account_id=account_id,
                now=now,
                most=settings().upload_mib * 1024 * 1024,
            )
        except files.TooLarge:
            raise Refused(BadArgument(f"{proof} is larger than {settings().upload_mib} MiB.")) from None
        except OSError as error:
            raise Refused(BadArgument(f"Cannot read {proof}: {error.strerror}.")) from None
        async with db.write() as session:
            await payouts.mark_paid_outside(
                session, payout, note=note, reference=reference, proof_file_id=file.id, by=person, now=now
            )
        finance.say(f"Payout {payout} is paid; its proof has SHA-256 {file.sha256}.")

    finance.run(context, work)


def _decide(context: typer.Context, payout: int, decide: Callable[..., Awaitable[Payout]], **said: Any) -> None:
    async def work(db: Database) -> None:
        async with db.write() as session:
            done = await decide(session, payout, **said)
        finance.say(f"Payout {payout} is {done.state}.")

    finance.run(context, work)
