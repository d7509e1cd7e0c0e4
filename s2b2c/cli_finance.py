"""What the commands of finance and of rankings share: who acts, and amounts as people type them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar

import typer
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import accounts
from s2b2c.db import Database
from s2b2c.errors import BadArgument, Forbidden, Refused
from s2b2c.models import Membership
from s2b2c.money import parse_signed_yuan

T = TypeVar("T")
DAY = ["%Y-%m-%d"]
SHOWN = 100
"""The most rows that a command shows."""

out = Console()
err = Console(stderr=True)

By = Annotated[str | None, typer.Option("--as", help="The phone of who acts, one of finance; the command line itself.")]


def run(context: typer.Context, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do it on the database of the settings, and tell a refusal in one line."""
    done: Callable[[Callable[[Database], Awaitable[T]]], T] = context.obj
    return done(work)


def say(words: str) -> None:
    out.print(words, markup=False, highlight=False, soft_wrap=True)


async def acting(
    session: AsyncSession, phone: str | None, role: Literal["finance", "operator"] = "finance"
) -> int | None:
    """The person who acts in this role, None for the command line. Raises Refused: BadArgument, NotFound, Forbidden."""
    if phone is None:
        return None
    person_id = await accounts.person_of(session, phone)
    held = select(Membership.person_id).where(Membership.person_id == person_id, Membership.role == role)
    if await session.scalar(held) is None:
        none = "no operator" if role == "operator" else "none of finance"
        raise Refused(Forbidden(f"This person is {none}: an operator invites it first."))
    return person_id


def fen(yuan: str) -> int:
    """Of an amount like 12.50 or -12.50. Raises Refused(BadArgument)."""
    try:
        return parse_signed_yuan(yuan)
    except ValueError as error:
        raise Refused(BadArgument(f"{yuan[:40]!r} {error}.")) from None
