"""The commands that close a period: `s2b2c settle --help`."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import main_job, settlements
from s2b2c.config import SHANGHAI
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused
from s2b2c.models import Brand, Distributor, SettlementRun
from s2b2c.money import format_yuan, parse_yuan

DAY = ["%Y-%m-%d"]
Run = Annotated[int, typer.Argument(help="The number of the run.")]

out = Console()
err = Console(stderr=True)
app = typer.Typer(
    no_args_is_help=True,
    help="Close a period (结算): make a draft, review it, approve or discard it.",
)


@app.command("run")
def settle(
    context: typer.Context,
    until: Annotated[datetime, typer.Option(formats=DAY, help="What matured before this day begins.")],
    pay_on: Annotated[
        datetime | None,
        typer.Option(formats=DAY, help="When it is paid out, today when left out."),
    ] = None,
) -> None:
    """Put everything that matured and stands in no statement into a draft."""

    async def work(db: Database) -> None:
        with main_job.progress_bar(err) as progress:
            async with db.write() as session:
                settled = await settlements.settle(
                    session,
                    cutoff=until.replace(tzinfo=SHANGHAI),
                    now=datetime.now(UTC),
                    pay_on=None if pay_on is None else pay_on.date(),
                    terms=settlements.usual_terms(),
                    progress=partial(progress, "settling"),
                )
        if settled is None:
            out.print("Nothing matured that is not in a statement already.")
        else:
            await main_job.show_settlement(db, settled.run_id, out)
            out.print(f"Run {settled.run_id} is a draft: review it next, or discard it.", highlight=False)

    context.obj(work)


@app.command()
def review(context: typer.Context, run: Run) -> None:
    """Show the statements of a draft to their payees."""
    _step(context, run, settlements.review)


@app.command()
def approve(context: typer.Context, run: Run) -> None:
    """Close a reviewed run for good, and post it to the ledger."""
    _step(context, run, settlements.approve)


@app.command()
def discard(context: typer.Context, run: Run) -> None:
    """Give up a run that is not approved: what stands in it waits for another one."""
    _step(context, run, settlements.discard)


@app.command()
def show(context: typer.Context, run: Run) -> None:
    """The greatest statements of a run, and the lines of the greatest one."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            found = await settlements.run(session, run)
        if found is None:
            raise Refused(NotFound(f"There is no run {run}."))
        out.print(
            f"Run {run}: {found.state}, until {found.cutoff.astimezone(SHANGHAI):%Y-%m-%d %H:%M}, "
            f"paid on {found.pay_on}",
            highlight=False,
        )
        if found.state != "discarded":
            await main_job.show_settlement(db, run, out)

    context.obj(work)


@app.command()
def adjust(
    context: typer.Context,
    amount: Annotated[str, typer.Argument(help="In yuan, like 12.50; after -- also below 0: -- -12.50.")],
    reason: Annotated[str, typer.Option(help="Why, for its payee to read.")],
    dated: Annotated[datetime, typer.Option(formats=DAY, help="The next run that closes this day pays it.")],
    distributor: Annotated[str | None, typer.Option(help="Its code.")] = None,
    brand: Annotated[str | None, typer.Option(help="Its name.")] = None,
) -> None:
    """Correct what a distributor or a brand gets; closed periods stay as they are."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            made = await settlements.adjust(
                session,
                **await _payee(session, distributor, brand),
                amount=_fen(amount),
                dated=dated.date(),
                reason=reason,
                by=None,
                now=datetime.now(UTC),
            )
        out.print(f"Adjustment {made.id}: {format_yuan(made.amount)} yuan for {distributor or brand}", highlight=False)

    context.obj(work)


def _step(context: typer.Context, run: int, step: Callable[..., Awaitable[SettlementRun]]) -> None:
    async def work(db: Database) -> None:
        async with db.write() as session:
            done = await step(session, run, now=datetime.now(UTC), by=None)
        out.print(f"Run {run} is {done.state}.", highlight=False)

    context.obj(work)


async def _payee(session: AsyncSession, distributor: str | None, brand: str | None) -> dict[str, int]:
    """Raises Refused: BadArgument, and NotFound."""
    if (distributor is None) == (brand is None):
        raise Refused(BadArgument("Name either a --distributor or a --brand."))
    query = (
        select(Brand.id).where(Brand.name == brand)
        if distributor is None
        else select(Distributor.id).where(Distributor.code == distributor)
    )
    found = await session.scalar(query)
    if found is None:
        raise Refused(NotFound(f"There is no {distributor or brand}."))
    return {"brand_id" if distributor is None else "distributor_id": found}


def _fen(yuan: str) -> int:
    """Raises Refused(BadArgument)."""
    sign, digits = (-1, yuan[1:]) if yuan.startswith("-") else (1, yuan)
    try:
        return sign * parse_yuan(digits)
    except ValueError as error:
        raise Refused(BadArgument(f"{yuan[:40]!r} {error}.")) from None
