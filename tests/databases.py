"""Databases of our own on a server: made, named and dropped by somebody with CREATEDB."""

from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool


def url_of(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


async def create_database(server_url: str, name: str, *, template: str = "template1") -> str:
    """The URL, as the owner, of a new database."""
    await _on_server(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    return url_of(server_url, name)


async def drop_database(server_url: str, name: str) -> None:
    """Drop it if it is there, whoever is connected.

    Not by force at first: a plain DROP asks an autovacuum worker to go, FORCE would need a superuser's right to end it.
    """
    try:
        await _on_server(server_url, f"DROP DATABASE IF EXISTS {name}")
    except DBAPIError:
        await _on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def cut_off(owner_url: str, session: AsyncSession) -> None:
    """End the connection of a session, and have it find out."""
    pid = await session.scalar(text("SELECT pg_backend_pid()"))
    await _on_server(owner_url, f"SELECT pg_terminate_backend({pid}, 5000)")
    await session.execute(text("SELECT 1"))


async def _on_server(url: str, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()


async def as_owner(url: str, *statements: str) -> list[tuple[object, ...]]:
    """The rows of the last statement."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()
