"""The three sessions, and what the app's role may do."""

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from s2b2c import models
from s2b2c.db import Database
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


async def test_many_rows_are_one_insert(db: Database) -> None:
    """Without `autoincrement=True` on the key each row would be a statement of its own."""
    statements: list[str] = []
    event.listen(db._engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    async with db.write() as session:
        session.add_all([models.Customer(ref=f"c{number}") for number in range(50)])
    assert len(statements) == 1


async def test_a_snapshot_sees_one_state_and_writes_nothing(db: Database) -> None:
    async with db.snapshot() as reader:
        assert await reader.scalar(text("SELECT count(*) FROM brands")) == 0
        async with db.write() as session:
            await factories.a_brand(session)
        assert await reader.scalar(text("SELECT count(*) FROM brands")) == 0
        with pytest.raises(DBAPIError, match="read-only"):
            await factories.a_brand(reader)
    async with db.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM brands")) == 1


async def test_the_app_works_in_its_own_role(db: Database) -> None:
    async with db.read() as session:
        assert await session.scalar(text("SELECT current_user")) == "s2b2c_app"


async def test_an_error_names_no_values(db: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with db.read() as session:
            await session.execute(text("SELECT 1 / (length(:secret) - 6)"), {"secret": "s3cret"})
    assert "s3cret" not in str(caught.value)
