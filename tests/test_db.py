"""The three sessions, and what the app's role may do."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import Database, migrate
from tests import factories


async def test_write_commits_and_rolls_back(db: Database) -> None:
    async with db.write() as session:
        await factories.a_brand(session, "鲜宠")
    with pytest.raises(ZeroDivisionError):
        async with db.write() as session:
            await factories.a_brand(session, "半途")
            raise ZeroDivisionError
    async with db.read() as session:
        assert (await session.scalars(text("SELECT name FROM brands"))).all() == ["鲜宠"]


async def test_many_rows_are_one_insert(session: AsyncSession) -> None:
    """Without `autoincrement=True` on the key each row would be a statement of its own."""


async def test_migrating_twice_changes_nothing(database_url: str) -> None:
    await migrate(database_url)
