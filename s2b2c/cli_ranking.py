"""The commands that rank distributors, and what follows for those in the tail: `s2b2c rank --help`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import cli_finance as console
from s2b2c import main_job, ranking
from s2b2c.accounts import account_of
from s2b2c.api.periods import check_day
from s2b2c.config import SHANGHAI
from s2b2c.db import AnyRow, Database
from s2b2c.errors import BadArgument, NotFound, Refused
from s2b2c.models import Distributor, RankingPolicy, TailCase
from s2b2c.money import format_percent
from s2b2c.notices import Language
from s2b2c.ranking.metrics import sentence

app = typer.Typer(
    no_args_is_help=True,
    help="Rank distributors (排名), act on it, decide about the tail (末位淘汰) with due process.",
)
say = console.say

From = Annotated[datetime, typer.Option("--from", formats=console.DAY, help="First day.")]
To = Annotated[datetime, typer.Option("--to", formats=console.DAY, help="Day after the last.")]
By = Annotated[str | None, typer.Option("--as", help="The phone of who acts, an operator; the command line itself.")]


async def _who(session: AsyncSession, phone: str | None) -> dict[str, Any]:
    """The person who acts, None for the command line, and the account of operators."""
    by = await console.acting(session, phone, "operator")
    return {"by": by, "account_id": await account_of(session, "operator"), "now": datetime.now(UTC)}


async def _distributor(session: AsyncSession, code: str) -> int:
    found = await session.scalar(select(Distributor.id).where(Distributor.code == code))
    if found is None:
        raise Refused(NotFound(f"There is no distributor with the code {code[:64]!r}."))
    return found


async def _policy(session: AsyncSession, policy_id: int | None) -> RankingPolicy:
    if policy_id is None:
        return await ranking.in_force(session, now=datetime.now(UTC))
    found = await session.get(RankingPolicy, policy_id)
    if found is None:
        raise Refused(NotFound("There is no such ranking policy: `s2b2c rank policies` lists them."))
    return found


@app.command()
def run(
    context: typer.Context,
    start: From,
    end: To,
    dry_run: Annotated[bool, typer.Option(help="Show the ranking, keep nothing.")] = False,  # noqa: FBT002  a flag
    by: By = None,
) -> None:
    """Rank the distributors over a period and freeze it; the same period again replaces it, until it is acted on."""

    async def work(db: Database) -> None:
        for name, day in (("--from", start.date()), ("--to", end.date())):
            check_day(name, day)
        with main_job.progress_bar(console.err) as progress:
            await main_job.roll_up(db, progress)
        async with db.write() as session:
            who = await console.acting(session, by, "operator")
            policy = await _policy(session, None)
            made = await ranking.rank(
                session, start=start.date(), end=end.date(), policy=policy, dry_run=dry_run, by=who
            )
        main_job.show_ranking(console.out, start.date(), end.date(), made.top, made.tail)
        kept = "nothing was kept" if made.run_id is None else f"run {made.run_id}"
        say(f"{made.ranked} ranked, {made.in_tail} in the tail, {kept}")

    console.run(context, work)


@app.command("list")
def list_(context: typer.Context) -> None:
    """The newest rankings."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            rows = await ranking.runs(session, after=None, limit=console.SHOWN)
        for row in rows:
            it = row.RankingRun
            acted = "not acted on" if it.acted_at is None else f"acted on {_time(it.acted_at)}"
            counts = f"{it.ranked} ranked, {it.in_tail} in the tail"
            say(f"{it.id}  {_period(it)}  {row.RankingPolicy.code} {row.RankingPolicy.version}  {counts}  {acted}")

    console.run(context, work)


def _period(run: Any) -> str:
    return ranking.period(run.period.lower, run.period.upper)


def _time(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"


@app.command()
def show(context: typer.Context, run: int) -> None:
    """The best of a ranking, and the last of its tail."""

    async def work(db: Database) -> None:
        async with db.read() as session:
            row = await ranking.run(session, run)
            if row is None:
                raise Refused(NotFound("There is no such ranking: `s2b2c rank list` lists them."))
            top, tail = await ranking.top_and_tail(session, run, 10)
        period = row.RankingRun.period
        main_job.show_ranking(console.out, period.lower, period.upper, top, tail)

    console.run(context, work)


@app.command()
def verify(context: typer.Context, run: int) -> None:
    """Score a ranking again from its frozen numbers: it must come out the same."""

    async def work(db: Database) -> int:
        async with db.write() as session:
            return await ranking.verify(session, run)

    if differing := console.run(context, work):
        say(f"Run {run}: {differing} rows differ.")
        raise typer.Exit(1)
    say(f"Run {run} follows from its numbers and its policy, every row.")


@app.command()
def act(context: typer.Context, run: int, by: By = None) -> None:
    """Take what a ranking leads to, for good: strikes and watch, notices, and the end of cases. Each is told."""

    async def work(db: Database) -> ranking.Acted:
        async with db.write() as session:
            return await ranking.act(session, run, **await _who(session, by))

    acted = console.run(context, work)
    say(f"Run {run}: {acted.struck} struck, {acted.noticed} of them with a notice, {acted.cleared} cleared.")


@app.command()
def policies(context: typer.Context) -> None:
    """By which is ranked, newest first."""

    async def work(db: Database) -> Sequence[RankingPolicy]:
        async with db.read() as session:
            return await ranking.policies(session, after=None, limit=console.SHOWN)

    for it in console.run(context, work):
        state = "a draft" if it.published_at is None else f"published {_time(it.published_at)}"
        terms = f"tail {format_percent(it.tail_bps)}, strikes {it.strikes}, appeal {it.appeal_days} days"
        say(f"{it.id}  {it.code} {it.version}  {terms}  {state}")


@app.command()
def draft(context: typer.Context, code: str, file: Path, by: By = None) -> None:
    """A new version of a policy from a YAML file of terms, like `tail_bps: 1000`; what is left out is as usual."""

    async def work(db: Database) -> RankingPolicy:
        terms = ranking.Terms.of(_document(file))
        async with db.write() as session:
            who = await console.acting(session, by, "operator")
            return await ranking.draft(session, code, terms, by=who, now=datetime.now(UTC))

    made = console.run(context, work)
    say(f"Policy {made.id} is {made.code} {made.version}, a draft: next is `s2b2c rank simulate --policy {made.id}`.")


def _document(file: Path) -> dict[str, Any]:
    """Raises Refused(BadArgument)."""
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refused(BadArgument(f"{file.name} cannot be read as YAML: {type(error).__name__}.")) from None
    if not isinstance(read, dict):
        raise Refused(BadArgument(f"{file.name} must hold terms, one in a line, like `tail_bps: 1000`."))
    return read


@app.command()
def publish(context: typer.Context, policy: int, by: By = None) -> None:
    """From now on is ranked by this policy."""

    async def work(db: Database) -> RankingPolicy:
        async with db.write() as session:
            who = await console.acting(session, by, "operator")
            return await ranking.publish(session, policy, by=who, now=datetime.now(UTC))

    made = console.run(context, work)
    say(f"{made.code} {made.version} is in force.")


@app.command()
def simulate(
    context: typer.Context,
    policy: Annotated[int | None, typer.Option(help="A draft or another one; the one in force.")] = None,
    months: Annotated[int, typer.Option(help="How many calendar months.")] = 3,
    until: Annotated[datetime | None, typer.Option(formats=console.DAY, help="Months that are over by then.")] = None,
) -> None:
    """What a policy would have done over the last months; nothing is kept, nobody is struck."""

    async def work(db: Database) -> None:
        last = until.date() if until else datetime.now(SHANGHAI).date()
        check_day("--until", last)
        with main_job.progress_bar(console.err) as progress:
            await main_job.roll_up(db, progress)
        async with db.write() as session:
            chosen = await _policy(session, policy)
            foresight = await ranking.simulate(session, chosen, ranking.months(last, months))
        main_job.show_foresight(console.out, f"Dry run 试算: {chosen.code} {chosen.version}", foresight)

    console.run(context, work)


@app.command()
def explain(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="Of the distributor.")],
    language: Annotated[Language, typer.Option(help="zh or en.")] = "zh",
) -> None:
    """Where a distributor stood in its newest rankings, what made it, and what would have been out of the tail."""

    async def work(db: Database) -> Sequence[AnyRow]:
        async with db.read() as session:
            key = await _distributor(session, code)
            return await ranking.standings(session, key, acted_on_only=False, after=None, limit=12)

    for row in console.run(context, work):
        it = row.RankingScore
        cohort = f"{row.Tier.name} {it.region or '–'}"
        say(f"{_period(row.RankingRun)}  {cohort}: {it.rank}/{it.members}, {it.score}/10000, {it.outcome}")
        for metric in ranking.METRICS:
            say("  " + sentence(metric, it, row.RankingPolicy, language, shows_mean=True))
        for escape in ranking.escapes(row):
            label = next(metric.labels[language] for metric in ranking.METRICS if metric.name == escape.metric)
            say(f"  {'可离开末位' if language == 'zh' else 'would do'}: {label} {escape.place}/{it.compared}")


@app.command()
def cases(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only of this state, like noticed.")] = None,
) -> None:
    """Cases of the tail, newest first, and what happened in each."""

    async def work(db: Database) -> tuple[Sequence[AnyRow], dict[int, list[AnyRow]]]:
        async with db.read() as session:
            states = None if state is None else [state]
            rows = await ranking.cases(session, states=states, after=None, limit=console.SHOWN)
            return rows, await ranking.steps_of(session, [row.TailCase.id for row in rows])

    rows, steps = console.run(context, work)
    for row in rows:
        it = row.TailCase
        until = "" if it.appeal_until is None else f", appeal until {_time(it.appeal_until)}"
        say(f"{it.id}  {row.Distributor.code} {row.Distributor.name}  {it.state}, strikes {it.strikes}{until}")
        for step in steps[it.id]:
            taken = step.TailStep
            said = f": {taken.said}" if taken.said else ""
            who = "" if taken.person_id is None else f" by person {taken.person_id}"
            say(f"    {_time(taken.at)} {taken.kind}{who}{said}")


@app.command()
def answer(
    context: typer.Context,
    case: int,
    reason: str,
    upheld: Annotated[bool, typer.Option("--uphold/--reject", help="Whether the appeal holds.")],
    by: By = None,
) -> None:
    """Answer an appeal, once."""
    _decide(context, by, lambda session, who: ranking.answer_appeal(session, case, reason, upheld=upheld, **who))


@app.command()
def spare(context: typer.Context, case: int, reason: str, by: By = None) -> None:
    """Decide after a notice that a distributor stays."""
    _decide(context, by, lambda session, who: ranking.spare(session, case, reason, **who))


@app.command()
def eliminate(
    context: typer.Context,
    case: int,
    reason: str,
    by: Annotated[str, typer.Option("--as", help="The phone of the operator who decides.")],
) -> None:
    """Decide that a distributor goes: `s2b2c network elimination` tells all that followed."""
    _decide(context, by, lambda session, who: ranking.eliminate(session, case, reason, **who))


def _decide(context: typer.Context, phone: str | None, step: Any) -> None:
    async def work(db: Database) -> TailCase:
        async with db.write() as session:
            made: TailCase = await step(session, await _who(session, phone))
            return made

    made = console.run(context, work)
    say(f"Case {made.id} is {made.state}.")


@app.command()
def exempt(context: typer.Context, code: str, start: From, end: To, reason: str, by: By = None) -> None:
    """Let a distributor off in a tail place of any period with one of these days."""

    async def work(db: Database) -> int:
        for name, day in (("--from", start.date()), ("--to", end.date())):
            check_day(name, day)
        async with db.write() as session:
            who = await console.acting(session, by, "operator")
            key = await _distributor(session, code)
            days = {"start": start.date(), "end": end.date()}
            made = await ranking.exempt(session, key, **days, reason=reason, by=who, now=datetime.now(UTC))
            return made.id

    say(f"Exemption {console.run(context, work)}: {code}, {ranking.period(start.date(), end.date())}.")


@app.command()
def exemptions(context: typer.Context) -> None:
    """Who is let off, newest first."""

    async def work(db: Database) -> Sequence[AnyRow]:
        async with db.read() as session:
            return await ranking.exemptions(session, after=None, limit=console.SHOWN)

    for row in console.run(context, work):
        days = ranking.period(row.start, row.end)
        say(f"{row.id}  {row.distributor.code} {row.distributor.name}  {days}  {row.reason}")
