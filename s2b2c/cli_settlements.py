"""The commands that close a period: `s2b2c settle --help`."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import cli_finance as finance
from s2b2c import main_job, settlements
from s2b2c.api.periods import check_day
from s2b2c.config import SHANGHAI
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused
from s2b2c.models import Brand, Dispute, Distributor, SettlementRun
from s2b2c.money import format_yuan

app = typer.Typer(no_args_is_help=True, help="Close a period (结算): make a draft, review it, approve or discard it.")


@app.command()
def run(
    context: typer.Context,
    until: Annotated[datetime, typer.Option(formats=finance.DAY, help="What matured before this day begins.")],
    pay_on: Annotated[datetime | None, typer.Option(formats=finance.DAY, help="The day of payment; today.")] = None,
    by: finance.By = None,
) -> None:
    """Put all that matured and stands in no statement into a draft, one statement for each payee."""

    async def work(db: Database) -> None:
        check_day("--until", until.date())
        check_day("--pay-on", pay_on and pay_on.date())
        with main_job.progress_bar(finance.err) as progress:
            async with db.write() as session:
                settled = await settlements.settle(
                    session,
                    cutoff=until.replace(tzinfo=SHANGHAI),
                    now=datetime.now(UTC),
                    pay_on=pay_on and pay_on.date(),
                    terms=settlements.usual_terms(),
                    by=await finance.acting(session, by),
                    progress=partial(progress, "settling"),
                )
        if settled is None:
            finance.say("Nothing matured that is not in a statement already.")
        else:
            await main_job.show_settlement(db, settled.run_id, finance.out)
            finance.say(f"Run {settled.run_id} is a draft: next is `s2b2c settle review {settled.run_id}`.")

    finance.run(context, work)


@app.command()
def review(context: typer.Context, run: int, by: finance.By = None) -> None:
    """Show a draft to its payees: they are told, and may dispute their statements until the run is approved."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            await settlements.review(session, run, now=datetime.now(UTC), by=await finance.acting(session, by))
        finance.say(f"Run {run} is reviewed: its payees see their statements, and somebody else approves it.")

    finance.run(context, work)


@app.command()
def approve(context: typer.Context, run: int, by: finance.By = None) -> None:
    """Close a reviewed run for good; who made it cannot. Disputed statements leave it, and come with the next."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            await settlements.approve(session, run, now=datetime.now(UTC), by=await finance.acting(session, by))
            disputed = select(func.count()).where(Dispute.run_id == run, Dispute.left_at.is_not(None))
            left = await session.scalar(disputed) or 0
        finance.say(f"Run {run} is approved and closed; {left:,} disputed statements come with the next one.")

    finance.run(context, work)


@app.command()
def discard(context: typer.Context, run: int, by: finance.By = None) -> None:
    """Give up a run that is not approved: all that stood in it waits for another one."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            await settlements.discard(session, run, now=datetime.now(UTC), by=await finance.acting(session, by))
        finance.say(f"Run {run} is discarded; what stood in it waits for another one.")

    finance.run(context, work)


@app.command()
def adjust(
    context: typer.Context,
    amount: Annotated[str, typer.Argument(help="In yuan, like 12.50; after -- also below 0: -- -12.50.")],
    dated: Annotated[datetime, typer.Option(formats=finance.DAY, help="The next run that closes this day pays it.")],
    reason: Annotated[str, typer.Option(help="Why, for its payee to read: 1 to 500 characters.")],
    distributor: Annotated[str | None, typer.Option(help="Code of the distributor it is for.")] = None,
    brand: Annotated[str | None, typer.Option(help="Name of the brand it is for.")] = None,
    by: finance.By = None,
) -> None:
    """Correct what a payee gets; closed runs stay as they are."""

    async def work(db: Database) -> None:
        check_day("--dated", dated.date())
        fen = finance.fen(amount)
        async with db.write() as session:
            made = await settlements.adjust(
                session,
                **await _owner(session, distributor, brand),
                amount=fen,
                dated=dated.date(),
                reason=reason,
                by=await finance.acting(session, by),
                now=datetime.now(UTC),
            )
        finance.say(
            f"Adjustment {made.id}: {format_yuan(made.amount)} yuan for {distributor or brand}, of {dated:%Y-%m-%d}."
        )

    finance.run(context, work)


@app.command()
def disputes(
    context: typer.Context,
    everyone: Annotated[bool, typer.Option("--all", help="Also those that are answered.")] = False,  # noqa: FBT002
) -> None:
    """What payees have against their statements, the first that came first; at most 100."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            found = await settlements.disputes(session, waiting_only=not everyone, after=None, limit=finance.SHOWN)
        for it in found:
            finance.say(f"Dispute {it.id}: run {it.run.id}, {it.code} {it.name}, {it.outcome or 'waits'}: {it.reason}")
        if not found:
            finance.say("No dispute waits for an answer.")

    finance.run(context, work)


@app.command()
def answer(
    context: typer.Context,
    dispute: Annotated[int, typer.Argument(help="The number of the dispute.")],
    said: Annotated[str, typer.Argument(metavar="ANSWER", help="Its payee reads it: 1 to 500 characters.")],
    amount: Annotated[str | None, typer.Option(help="Accept it with so many yuan; rejected when left out.")] = None,
    dated: Annotated[datetime | None, typer.Option(formats=finance.DAY, help="Of the adjustment; today.")] = None,
    by: finance.By = None,
) -> None:
    """Answer a dispute: rejected, or accepted with an adjustment."""

    async def work(db: Database) -> None:
        check_day("--dated", dated and dated.date())
        fen = None if amount is None else finance.fen(amount)
        async with db.write() as session:
            done = await settlements.answer(
                session,
                dispute,
                said,
                amount=fen,
                dated=dated and dated.date(),
                by=await finance.acting(session, by),
                now=datetime.now(UTC),
            )
        finance.say(f"Dispute {dispute} is {done.outcome}.")

    finance.run(context, work)


@app.command()
def debts(context: typer.Context) -> None:
    """Who owes what, and what of it somebody asked to give up (核销); at most 100 of each."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            owed = await settlements.debts(session, after=None, limit=finance.SHOWN)
            asked = await settlements.write_offs(session, waiting_only=True, after=None, limit=finance.SHOWN)
        for debt in owed:
            finance.say(f"{debt.distributor.code} {debt.distributor.name} owes {format_yuan(debt.amount)} yuan")
        for it in asked:
            finance.say(f"Write-off {it.id} waits: {it.distributor.code}, {format_yuan(it.amount)} yuan: {it.reason}")
        if not owed:
            finance.say("Nobody owes anything.")

    finance.run(context, work)


@app.command("write-off")
def write_off(
    context: typer.Context,
    distributor: Annotated[str, typer.Argument(help="Its code.")],
    amount: Annotated[str, typer.Argument(help="In yuan, no more than it owes.")],
    reason: Annotated[str, typer.Option(help="1 to 500 characters.")],
    by: finance.By = None,
) -> None:
    """Ask that a debt be given up; nothing changes until somebody else approves."""

    async def work(db: Database) -> None:
        fen = finance.fen(amount)
        async with db.write() as session:
            owner = (await _owner(session, distributor, None))["distributor_id"]
            made = await settlements.write_off(
                session, owner, fen, reason, by=await finance.acting(session, by), now=datetime.now(UTC)
            )
        finance.say(
            f"Write-off {made.id} waits for somebody else: `s2b2c settle approve-write-off {made.id} --as PHONE`."
        )

    finance.run(context, work)


@app.command("approve-write-off")
def approve_write_off(
    context: typer.Context,
    write_off: Annotated[int, typer.Argument(help="The number of the write-off.")],
    by: Annotated[str, typer.Option("--as", help="The phone of who approves, one of finance.")],
) -> None:
    """Give up a debt for good, which somebody else has asked for."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            person = await finance.acting(session, by)
            assert person is not None
            done = await settlements.approve_write_off(session, write_off, by=person, now=datetime.now(UTC))
        finance.say(f"Write-off {done.id}: {format_yuan(done.amount)} yuan are given up.")

    finance.run(context, work)


@app.command()
def withholding(
    context: typer.Context,
    distributor: Annotated[str, typer.Argument(help="Its code.")],
    policy: Annotated[settlements.Policy, typer.Argument(help="How tax is withheld.")],
    starts_on: Annotated[datetime, typer.Option("--from", formats=finance.DAY, help="What is paid from this day on.")],
    by: finance.By = None,
) -> None:
    """Say how tax is withheld from a distributor (代扣); what it was stays on record."""

    async def work(db: Database) -> None:
        check_day("--from", starts_on.date())
        async with db.write() as session:
            owner = (await _owner(session, distributor, None))["distributor_id"]
            person = await finance.acting(session, by)
            await settlements.set_policy(
                session, owner, policy, starts_on=starts_on.date(), by=person, now=datetime.now(UTC)
            )
        finance.say(f"Tax of {distributor} from {starts_on:%Y-%m-%d} on: {policy}.")

    finance.run(context, work)


@app.command()
def deduction(
    context: typer.Context,
    distributor: Annotated[str, typer.Argument(help="Its code.")],
    month: Annotated[datetime, typer.Argument(formats=["%Y-%m"], help="Like 2026-11.")],
    amount: Annotated[str, typer.Argument(help="In yuan.")],
    by: finance.By = None,
) -> None:
    """Say what a person may deduct in a month, beside the 5,000 yuan that everybody may."""

    async def work(db: Database) -> None:
        check_day("MONTH", month.date())
        fen = finance.fen(amount)
        async with db.write() as session:
            owner = (await _owner(session, distributor, None))["distributor_id"]
            person = await finance.acting(session, by)
            await settlements.set_deduction(session, owner, month.date(), fen, by=person, now=datetime.now(UTC))
        finance.say(f"{distributor} may deduct {format_yuan(fen)} yuan in {month:%Y-%m}.")

    finance.run(context, work)


async def _owner(session: AsyncSession, distributor: str | None, brand: str | None) -> dict[str, int]:
    """Raises Refused: BadArgument, NotFound."""
    if (distributor is None) == (brand is None):
        raise Refused(BadArgument("Name one payee, by --distributor or by --brand."))
    if distributor is not None:
        found = await session.scalar(select(Distributor.id).where(Distributor.code == distributor))
    else:
        found = await session.scalar(select(Brand.id).where(Brand.name == brand))
    if found is None:
        raise Refused(NotFound(f"There is no such payee: {distributor or brand}."))
    return {"brand_id" if distributor is None else "distributor_id": found}


@app.command()
def show(context: typer.Context, run: int) -> None:
    """What a run has come to: its state, its greatest statements, and the first lines of one."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            found = await session.get(SettlementRun, run)
        if found is None:
            raise Refused(NotFound(f"There is no settlement run {run}."))
        cutoff = found.cutoff.astimezone(SHANGHAI)
        finance.say(
            f"Run {run}: {found.state}, all that matured before {cutoff:%Y-%m-%d %H:%M}, paid on {found.pay_on}"
        )
        for did, at, person in (
            ("made", found.created_at, found.created_by),
            ("reviewed", found.reviewed_at, found.reviewed_by),
            ("approved", found.approved_at, found.approved_by),
            ("discarded", found.discarded_at, found.discarded_by),
        ):
            if at is not None:
                who = "the command line" if person is None else f"person {person}"
                finance.say(f"  {did} {at.astimezone(SHANGHAI):%Y-%m-%d %H:%M} by {who}")
        await main_job.show_settlement(db, run, finance.out)

    finance.run(context, work)
