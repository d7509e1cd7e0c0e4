"""The commands for people: `s2b2c operator --help`, `s2b2c person --help`."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from s2b2c import accounts, privacy
from s2b2c.db import Database

T = TypeVar("T")

out = Console()
person_app = typer.Typer(no_args_is_help=True, help="What is held of somebody who asks by letter.")
app = typer.Typer(no_args_is_help=True, help="Who may run the network.")


@app.callback()
def _group() -> None:
    """With one command alone the group would be that command."""


@app.command()
def create(
    context: typer.Context,
    phone: Annotated[str, typer.Option(prompt=True, help="A mobile phone, which signs in with the password.")],
) -> None:
    """Make somebody an operator: the first one, or one that has forgotten its password. The password is asked for, or
    is the first line of the standard input where that is no terminal."""
    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")

    async def work(db: Database) -> bool:
        return await accounts.create_operator(db, phone, password, datetime.now(UTC))

    out.print(
        "The operator was made." if _run(context, work) else "This person is an operator and has this password now."
    )


Phone = Annotated[str, typer.Option(help="One that the person signs in with.")]


@person_app.command()
def export(
    context: typer.Context,
    phone: Phone,
    file: Annotated[Path, typer.Option("--out", help="Where to; its owner alone can read it.")],
) -> None:
    """Write all that is held of a person, as JSON. That it was written goes on record."""

    async def work(db: Database) -> int:
        async with db.read() as session:
            person_id = await accounts.person_of(session, phone)
        return await privacy.write_holdings(db, person_id, file, reader=privacy.Reader(), at=datetime.now(UTC))

    out.print(f"{file}: {_run(context, work):,} records", highlight=False, soft_wrap=True)


@person_app.command()
def erase(
    context: typer.Context,
    phone: Phone,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,  # noqa: FBT002  a flag
) -> None:
    """Erase all that says who a person is, for good; orders and money stay. That it was done goes on record."""
    if not yes:
        typer.confirm("Nothing brings it back. Erase this person?", abort=True)

    async def work(db: Database) -> None:
        async with db.write() as session:
            person_id = await accounts.person_of(session, phone)
            await privacy.erase(session, person_id, reader=privacy.Reader(), at=datetime.now(UTC))

    _run(context, work)
    out.print("The person is erased.")


def _run(context: typer.Context, work: Callable[[Database], Awaitable[T]]) -> T:
    run: Callable[[Callable[[Database], Awaitable[T]]], T] = context.obj
    return run(work)
