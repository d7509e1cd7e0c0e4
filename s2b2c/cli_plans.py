"""The commands for commission plans: `s2b2c plan --help`."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from s2b2c import main_job
from s2b2c.api.periods import check_period
from s2b2c.commissions import plans, simulation
from s2b2c.commissions.documents import write
from s2b2c.commissions.rationale import rationale
from s2b2c.config import SHANGHAI, settings
from s2b2c.db import Database
from s2b2c.errors import InvalidPlan, PlanProblem, Refused
from s2b2c.money import format_yuan
from s2b2c.notices import Language

T = TypeVar("T")
DAY = ["%Y-%m-%d"]

out = Console()
err = Console(stderr=True)
app = typer.Typer(
    no_args_is_help=True, help="Check, activate, compare, explain and simulate commission plans (分佣方案)."
)


def _run(context: typer.Context, work: Callable[[Database], Awaitable[T]], file: Path | None = None) -> T:
    """The result of `work`; what is wrong with a document is told line by line, and the command ends with 1.

    The command line above puts what runs `work` on an up-to-date database into the context.
    """
    run: Callable[[Callable[[Database], Awaitable[T]]], T] = context.obj
    try:
        return run(work)
    except Refused as error:
        if file is None or not isinstance(error.refusal, InvalidPlan):
            raise
        for problem in error.refusal.problems:
            err.print(f"{file.name}: {problem}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        problem = "is not UTF-8: save it as UTF-8"
    except OSError as error:
        problem = f"cannot be opened: {error.strerror}"
    raise Refused(InvalidPlan("The document cannot be read.", (PlanProblem("", problem),)))


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
def check(context: typer.Context, file: Path) -> None:
    """Look a plan document (YAML or JSON) over; nothing is saved. Every problem is named by its path."""

    async def work(db: Database) -> None:
        async with db.snapshot() as session:
            plan = await plans.check(session, _read(file))
            changes = await plans.diff_in_force(session, plan.document)
        most = settings().max_paid_positions
        _say(f"{file.name}: {len(plan.rules)} rule{'s' * (len(plan.rules) != 1)}, all right; nothing was saved")
        if plan.paid_positions > most:
            _say(
                f"It pays {plan.paid_positions} positions and the platform allows {most}: activating needs --override."
            )
        _tell(changes)

    _run(context, work, file)


@app.command()
def activate(
    context: typer.Context,
    file: Path,
    override: Annotated[
        str | None, typer.Option(help="Why it may pay further than S2B2C_MAX_PAID_POSITIONS; stays on record.")
    ] = None,
) -> None:
    """Save a plan document as the next version of its code and put it in force for its range: both or neither."""

    async def work(db: Database) -> None:
        now = datetime.now(UTC)
        async with db.write() as session:
            draft = await plans.save(session, await plans.check(session, _read(file)), now=now)
            plan = await plans.activate(session, draft.id, now=now, account_id=None, override_reason=override)
        assert plan.during.lower is not None, "a document says when its plan begins"
        start = plan.during.lower.astimezone(SHANGHAI)
        _say(f"{plan.code}@{plan.version} is active: in force from {start:%Y-%m-%d %H:%M} in Shanghai")

    _run(context, work, file)


@app.command()
def diff(
    context: typer.Context,
    file: Path,
    against: Annotated[
        str | None, typer.Option(help="CODE@VERSION or CODE; without it the plan in force as this one begins.")
    ] = None,
) -> None:
    """What a plan document says otherwise than a plan, rule by rule."""

    async def work(db: Database) -> None:
        async with db.snapshot() as session:
            document = (await plans.check(session, _read(file))).document
            if against is None:
                changes = await plans.diff_in_force(session, document)
            else:
                changes = plans.diff(await plans.named(session, against), document)
        _tell(changes)

    _run(context, work, file)


def _tell(changes: plans.Changes) -> None:
    if changes.against is None:
        _say("No plan is in force as it begins.")
    else:
        _say(f"Against {changes.against}:" if changes else f"It says what {changes.against} says.")
    if changes:
        _say(str(changes))


@app.command()
def show(context: typer.Context, plan: Annotated[str, typer.Argument(help="CODE or CODE@VERSION.")]) -> None:
    """Print a plan as a YAML document; saved again unchanged it stays the version it is."""

    async def work(db: Database) -> str:
        async with db.read() as session:
            return write((await plans.named(session, plan)).document)

    typer.echo(_run(context, work), nl=False)


@app.command("rationale")
def rationale_(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(help="FILE, CODE or CODE@VERSION.")],
    language: Annotated[Language, typer.Option()] = "zh",
    file: Annotated[Path | None, typer.Option("--out", help="Where to; without it to the screen.")] = None,
) -> None:
    """A plan in plain words, in Markdown: what each rule pays whom, with examples, and how far it pays."""
    document = Path(plan)
    is_file = document.is_file()

    async def work(db: Database) -> str:
        async with db.snapshot() as session:
            if is_file:
                return await rationale(session, (await plans.check(session, _read(document))).document, language)
            return await rationale(session, await plans.named(session, plan), language)

    text = _run(context, work, document)
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")
        _say(str(file))


@app.command()
def simulate(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(help="FILE, CODE or CODE@VERSION.")],
    start: Annotated[datetime, typer.Option("--from", formats=DAY, help="First day.")],
    end: Annotated[datetime, typer.Option("--to", formats=DAY, help="Day after the last.")],
    top: Annotated[int, typer.Option(min=0, help="How many winners and losers to name.")] = 10,
) -> None:
    """What a plan would have paid for the orders paid in a period, beside what was earned; nothing is written."""
    document = Path(plan)
    is_file = document.is_file()
    since, until = start.date(), end.date()
    check_period(since, until)

    async def work(db: Database) -> simulation.Simulation:
        with main_job.progress_bar(err) as progress:
            async with db.snapshot() as session:
                if is_file:
                    resolved = await plans.check(session, _read(document))
                    rules, margin_floor_bps = resolved.rules, resolved.document.margin_floor_bps
                else:
                    stored = (await plans.named(session, plan)).plan
                    rules, margin_floor_bps = await simulation.rules_of(session, stored.id), stored.margin_floor_bps
                return await simulation.simulate(
                    session,
                    rules,
                    margin_floor_bps,
                    start=since,
                    end=until,
                    top=top,
                    progress=partial(progress, "simulating"),
                )

    name = document.name if is_file else plan
    _show(f"Simulation 模拟 {escape(name)} {since} – {until}", _run(context, work, document))


_MONEY = ("actual\n实际", "simulated\n模拟", "difference\n差额")


def _show(title: str, simulated: simulation.Simulation) -> None:
    _say(
        f"{simulated.orders:,} orders, {simulated.lines:,} lines: paid {format_yuan(simulated.paid)}, "
        f"refunded {format_yuan(simulated.refunded)}, supply {format_yuan(simulated.supply)}"
    )
    table = main_job.empty_table(title, ("",), ("distributors\n分销商", *_MONEY))
    everybody = simulated.gaining + simulated.losing + simulated.unchanged
    table.add_row("commission 佣金", f"{everybody:,}", *_money(simulated.commission))
    table.add_row("platform 平台", "", *_money(simulated.platform))
    table.add_section()
    for it in simulated.tiers:
        table.add_row(escape(it.tier.name), f"{it.distributors:,}", *_money(it.commission))
    out.print(table)
    table = main_job.empty_table("", ("code\n编码", "name\n名称", "tier\n层级"), _MONEY)
    for changed in (simulated.winners, simulated.losers):
        for one in changed:
            table.add_row(*map(escape, (one.code, one.name, one.tier.name)), *_money(one.commission))
        table.add_section()
    if simulated.winners or simulated.losers:
        out.print(table)
    _say(f"{simulated.gaining:,} gain, {simulated.losing:,} lose, {simulated.unchanged:,} earn the same.")


def _money(outcome: simulation.Outcome) -> tuple[str, str, str]:
    return format_yuan(outcome.actual), format_yuan(outcome.simulated), format_yuan(outcome.difference)
