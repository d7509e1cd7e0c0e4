"""The database: the base of every table, and the three ways to open a session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVarTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from asyncpg.exceptions import LockNotAvailableError, UndefinedTableError
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Connection,
    DateTime,
    MetaData,
    Row,
    Select,
    Sequence,
    SQLColumnExpression,
    Text,
    and_,
    event,
    literal,
    or_,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from s2b2c import logs
from s2b2c.config import resource

APP_ROLE = "s2b2c_app"
MAX_INT64 = 2**63 - 1
Row_ = TypeVarTuple("Row_")

# For a transaction that reads most of the tables it joins. Right after a load or a settlement the planner knows nothing
# of the new rows and would look them up one by one, or join a whole table in a loop: hours instead of seconds.
PLAN_FOR_BULK = text("SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', '128MB', true)")

# For work that looks everything up by its key: each statement is planned once for a connection, and in a way that does
# not depend on how large the tables were then.
_BY_KEY = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
BY_KEY = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _BY_KEY.items())
"""What to SELECT in the first statement of such a transaction."""


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads a plain dict here
        int: BigInteger,
        str: Text,
        datetime: DateTime(timezone=True),
        list[int]: ARRAY(BigInteger),
        list[str]: ARRAY(Text),
    }


def key(table: str) -> Mapped[int]:
    """The `id` of a table, from a sequence of its own (an IDENTITY column could not be distributed)."""
    sequence = Sequence(f"{table}_id_seq", metadata=Base.metadata)
    return mapped_column(
        BigInteger, sequence, server_default=sequence.next_value(), primary_key=True, autoincrement=True
    )


def number(table: str) -> Mapped[int]:
    """The `id` of a table with a natural key: rows are listed by it, in the order they were written."""
    sequence = Sequence(f"{table}_id_seq", metadata=Base.metadata)
    return mapped_column(BigInteger, sequence, server_default=sequence.next_value())


def one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


AnyRow: TypeAlias = Row[*tuple[Any, ...]]

SortKey = tuple[SQLColumnExpression[Any], Literal["up", "down"]]
"""An integer column that is never NULL, and which way it runs."""


def page(query: Select[*Row_], *order: SortKey, after: tuple[int, ...] | None, limit: int | None) -> Select[*Row_]:
    """The `limit` rows of `query` behind the key `after`, in this order; without a limit all of them.

    Together the columns name a row. A page is found by the key of the last row before it,
    so rows that come and go elsewhere do not move it.
    """
    if after is not None:
        columns, ways = zip(*order, strict=True)
        if len(set(ways)) == 1:  # PostgreSQL finds a row comparison in an index
            ours, theirs = tuple_(*columns), tuple_(*map(literal, after))
            query = query.where(ours > theirs if ways[0] == "up" else ours < theirs)
        else:
            query = query.where(_behind(list(zip(order, after, strict=True))))
    return query.order_by(*(column if way == "up" else column.desc() for column, way in order)).limit(limit)


def _behind(keys: list[tuple[SortKey, int]]) -> ColumnElement[bool]:
    ((column, way), value), *rest = keys
    further = column > value if way == "up" else column < value
    return or_(further, and_(column == value, _behind(rest))) if rest else further


class Connections(NamedTuple):
    """How many of a pool are at work, and how many it has at most."""

    used: int
    most: int


class Database:
    """Sessions on one PostgreSQL. Business code gets a session and never commits it."""

    def __init__(
        self,
        url: str,
        *,
        statement_timeout: timedelta = timedelta(0),
        pool_size: int = 10,
        reuse_plans: bool = True,
        by_key: bool = False,
    ) -> None:
        """`statement_timeout` is the backstop behind every deadline; 0 (for long work) means none.

        `reuse_plans` suits small statements alone: a plan for some batch of orders takes any batch to be small.
        `by_key` is for transactions that look everything up by its key.
        """
        self.url = url
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            connect_args={
                **({} if reuse_plans else {"prepared_statement_cache_size": 0}),
                "server_settings": {
                    "role": APP_ROLE,
                    "application_name": "s2b2c",
                    "statement_timeout": str(int(statement_timeout.total_seconds() * 1000)),
                    **(_BY_KEY if by_key else {}),
                },
            },
        )
        event.listen(self._engine.sync_engine, "before_cursor_execute", logs.count_statement)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._snapshot = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Short reads: every statement sees what is committed when it starts."""
        async with AsyncSession(self._autocommit, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncSession]:
        """Every statement sees the same state: exports, audit, drill-downs."""
        async with AsyncSession(self._snapshot, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @property
    def connections(self) -> Connections:
        pool = self._engine.pool
        assert isinstance(pool, AsyncAdaptedQueuePool)
        return Connections(pool.checkedout(), pool.size())

    async def close(self) -> None:
        await self._engine.dispose()


class MigrationError(Exception):
    """The database is not up to date, or cannot be brought there; the message says what to do."""


async def migrate(owner_url: str, revision: str = "head") -> None:
    """Create the app role and bring the schema to the newest revision, or to a given one, as the owner of the schema.

    Raises MigrationError when the owner may not create the role or the extension, the server is too old, or somebody
    holds a table for too long; then it can be run again.
    """
    engine = create_async_engine(owner_url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            version = await connection.scalar(text("SELECT current_setting('server_version_num')::int"))
            if version < 150000:
                raise MigrationError(f"PostgreSQL 15 or newer is needed, this one is {version // 10000}.")
            await _prepare(connection)
            try:
                await connection.run_sync(_upgrade, revision)
            except DBAPIError as error:
                if isinstance(error.driver_exception, LockNotAvailableError):
                    raise MigrationError(
                        "Somebody holds a table that must be changed: try again when no long transaction runs."
                    ) from error
                raise
    finally:
        await engine.dispose()


async def check_current(owner_url: str) -> None:
    """Raises MigrationError when the schema is not at the newest revision."""
    engine = create_async_engine(owner_url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            revision = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    finally:
        await engine.dispose()
    if revision != revisions()[0]:
        raise MigrationError("The database is not up to date: run `s2b2c migrate` first.")


async def is_usable(session: AsyncSession) -> bool:
    """Whether the schema is one that this program works on: at the newest revision, or at one of a newer program, which
    takes the place of this one soon."""
    try:
        revision = await session.scalar(text("SELECT version_num FROM alembic_version"))
    except DBAPIError as error:
        if isinstance(error.driver_exception, UndefinedTableError):
            return False
        raise
    return revision is not None and revision not in revisions()[1:]


@cache
def revisions() -> tuple[str, ...]:
    """Of the schema, as this program knows them, the newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions())


async def _prepare(connection: AsyncConnection) -> None:
    """The role and the extension belong to the server and the database, not to a revision of the schema."""
    wanted = [
        ("SELECT 1 FROM pg_roles WHERE rolname = :name", APP_ROLE, f"CREATE ROLE {APP_ROLE} NOLOGIN"),
        (
            "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR pg_has_role(oid, :name, 'MEMBER'))",
            APP_ROLE,
            f"GRANT {APP_ROLE} TO CURRENT_USER",
        ),
        *(
            ("SELECT 1 FROM pg_extension WHERE extname = :name", extension, f"CREATE EXTENSION {extension}")
            for extension in ("btree_gin", "btree_gist")
        ),
    ]
    for question, name, statement in wanted:
        if await connection.scalar(text(question), {"name": name}):
            continue
        try:
            await connection.execute(text(statement))
            await connection.commit()
        except DBAPIError as error:
            await connection.rollback()
            if await connection.scalar(text(question), {"name": name}):  # another migration was faster
                continue
            raise MigrationError(f"An administrator must run: {statement};") from error
    await connection.rollback()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resource("migrations")).replace("%", "%%"))
    return config


def _upgrade(connection: Connection, revision: str = "head") -> None:
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    connection.commit()
