"""The commands for people: `s2b2c operator --help`."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from s2b2c import accounts
from s2b2c.db import Database

out = Console()
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

    run: Callable[[Callable[[Database], Awaitable[bool]]], bool] = context.obj
    is_new = run(work)
    out.print("The operator was made." if is_new else "This person is an operator and has this password now.")
