"""All rows in one file, and back: between any two versions of PostgreSQL that the app runs on.

The file is a zip: what COPY writes of each table, all in one snapshot, and a manifest with their SHA-256 and the
positions of the sequences. The schema is not in it: the migrations make it, at the revision that the file is of. So an
old backup comes back under a newer program, and is migrated then. The keys of the settings are not in it either.
"""

import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from asyncpg.exceptions import LockNotAvailableError
from pydantic import BaseModel, ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c.atomic import replacing
from s2b2c.db import migrate, revisions
from s2b2c.settlements import Progress

_FORMAT = 1
_MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 << 18
_LEVEL = 1
"""Of compression: as fast as a disk."""

# What text looks like in COPY, whatever the server's settings are.
_PLAIN = text(
    "SELECT set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO', true), "
    "set_config('intervalstyle', 'postgres', true), set_config('bytea_output', 'hex', true), "
    "set_config('extra_float_digits', '3', true), set_config('lock_timeout', '5s', true)"
)
_REVISION = text("SELECT version_num FROM alembic_version")
_TABLES = text(
    """
    SELECT c.relname AS name, array_agg(a.attname ORDER BY a.attnum)::text[] AS columns,
           greatest(c.reltuples, 0)::bigint AS rows
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'
    GROUP BY c.oid ORDER BY c.relname
    """
)
_SEQUENCES = text(
    "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace ORDER BY relname"
)

# What slows a load down, in the order in which it may go: a foreign key may lean on an index. What belongs to a
# constraint stays.
_SLOW = text(
    """
    SELECT drop, make
    FROM (
        SELECT 1 AS place, format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
               format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
                   AS make
        FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
        UNION ALL
        SELECT 2, format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relnamespace = 'public'::regnamespace AND indrelid <> 'alembic_version'::regclass
          AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
    ) AS slow
    ORDER BY place, drop
    """
)


class BackupError(Exception):
    """Nothing was written or restored; the message is one line that says why."""


class Table(BaseModel):
    """What the file has of a table."""

    columns: list[str]
    rows: int
    sha256: str


class Sequence(BaseModel):
    last_value: int
    is_called: bool


class Manifest(BaseModel):
    format: int
    made_at: datetime
    server_version: str
    """Of PostgreSQL."""
    revision: str
    tables: dict[str, Table]
    sequences: dict[str, Sequence]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


class _Found(NamedTuple):
    """A table as the database has it."""

    name: str
    columns: list[str]
    rows: int
    """About."""


async def write(owner_url: str, file: Path, progress: Progress | None = None) -> Manifest:
    """Write everything as it is at one moment. Others go on; `file` is replaced once the new one is whole.

    Raises BackupError for a database without our tables.
    """
    async with _connected(owner_url, isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
        found = await _tables(connection)
        if not found:
            raise BackupError("The database is empty: there is nothing to back up.")
        revision = await _revision(connection)
        driver: Any = (await connection.get_raw_connection()).driver_connection
        tables: dict[str, Table] = {}
        with replacing(file, mode=0o600) as raw, ZipFile(raw, "w", ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
            done, total = 0, sum(table.rows for table in found)
            for table in found:
                digest = hashlib.sha256()
                with archive.open(_entry(_member(table.name)), "w", force_zip64=True) as entry:

                    async def keep(data: bytes, entry: IO[bytes] = entry, digest: Any = digest) -> None:
                        digest.update(data)
                        entry.write(data)

                    status = await driver.copy_from_table(table.name, columns=table.columns, output=keep)
                rows = int(status.removeprefix("COPY "))
                tables[table.name] = Table(columns=table.columns, rows=rows, sha256=digest.hexdigest())
                if progress is not None:
                    progress(done := done + rows, max(done, total))
            manifest = Manifest(
                format=_FORMAT,
                made_at=datetime.now(UTC),
                server_version=str(await connection.scalar(text("SHOW server_version"))),
                revision=revision,
                tables=tables,
                sequences=await _sequences(connection),
            )
            archive.writestr(_entry(_MANIFEST), manifest.model_dump_json(indent=2))
    return manifest


_SEEDED = {"tax_brackets"}
"""What migrations fill."""


async def restore(owner_url: str, file: Path, *, replace: bool = False, progress: Progress | None = None) -> Manifest:
    """Put everything back, into a database that is empty, and migrate it to the newest revision.

    All rows in one transaction: when it fails the database holds what it held. With `replace` they take the place of
    what is in it. Raises BackupError for a file that is damaged, no backup, or of a newer program, and for a database
    that is not empty, in use, or at another revision than the file is of.
    """
    with _opened(file) as archive:
        manifest = _read(archive, file)
        _check(archive, manifest)
        async with _connected(owner_url) as connection:
            tables = await _tables(connection)
            revision = await _revision(connection) if tables else None
        if revision is None:
            await migrate(owner_url, manifest.revision)
        elif revision != manifest.revision:
            raise BackupError(
                f"{file.name} is of revision {manifest.revision} of the schema and the database at {revision}: "
                "restore into a new database without tables."
            )
        async with _connected(owner_url) as connection:
            await _take_over(connection, manifest, file, replace=replace)
            await _load(connection, archive, manifest, progress)
            await connection.commit()
    await migrate(owner_url)
    async with _connected(owner_url, isolation_level="AUTOCOMMIT") as connection:
        await connection.execute(text(f"ANALYZE {', '.join(manifest.tables)}"))
    return manifest


async def _take_over(connection: AsyncConnection, manifest: Manifest, file: Path, *, replace: bool) -> None:
    """Lock and empty every table that the file is for; nobody else is left in the database."""
    found = {table.name: table.columns for table in await _tables(connection)}
    wanted = {name: table.columns for name, table in manifest.tables.items()}
    if found != wanted or {*await connection.scalars(_SEQUENCES)} != {*manifest.sequences}:
        raise BackupError(f"{file.name} has other tables than revision {manifest.revision} of the schema.")
    names = ", ".join(found)
    try:
        await connection.execute(text(f"LOCK TABLE alembic_version, {names} IN ACCESS EXCLUSIVE MODE"))
    except DBAPIError as error:
        if isinstance(error.driver_exception, LockNotAvailableError):
            raise BackupError("The database is in use: stop whatever works with it.") from None
        raise
    if not replace:
        for name in found.keys() - _SEEDED:
            if await connection.scalar(text(f"SELECT EXISTS (SELECT FROM {name})")):  # noqa: S608  a name of the catalogue
                raise BackupError(f"The database is not empty ({name}): --replace puts the backup in its place.")
    await connection.execute(text(f"TRUNCATE {names}"))


async def _load(connection: AsyncConnection, archive: ZipFile, manifest: Manifest, progress: Progress | None) -> None:
    slow = (await connection.execute(_SLOW)).all()
    for row in slow:
        await connection.exec_driver_sql(row.drop)
    driver: Any = (await connection.get_raw_connection()).driver_connection
    done = 0
    for name, table in manifest.tables.items():
        with archive.open(_member(name)) as entry:
            status = await driver.copy_to_table(name, columns=table.columns, source=_chunks(entry))
        if status != f"COPY {table.rows}":
            raise _damaged(name)
        if progress is not None:
            progress(done := done + table.rows, manifest.rows)
    for row in reversed(slow):
        await connection.exec_driver_sql(row.make)
    for name, sequence in manifest.sequences.items():
        await connection.execute(
            text("SELECT setval(CAST(CAST(:name AS text) AS regclass), :last_value, :is_called)"),
            {"name": name, "last_value": sequence.last_value, "is_called": sequence.is_called},
        )


@asynccontextmanager
async def _connected(owner_url: str, **options: Any) -> AsyncIterator[AsyncConnection]:
    """A connection of the owner's, in a transaction that writes and reads everything in one way."""
    engine = create_async_engine(owner_url, poolclass=NullPool).execution_options(**options)
    try:
        async with engine.connect() as connection:
            await connection.execute(_PLAIN)
            yield connection
    finally:
        await engine.dispose()


async def _tables(connection: AsyncConnection) -> list[_Found]:
    return [_Found._make(row) for row in await connection.execute(_TABLES)]


async def _revision(connection: AsyncConnection) -> str:
    """Of a database that has tables."""
    if await connection.scalar(text("SELECT to_regclass('public.alembic_version')")) is not None:
        revision = await connection.scalar(_REVISION)
        if revision is not None:
            return str(revision)
    raise BackupError("The database has tables, and they are not ours.")


async def _sequences(connection: AsyncConnection) -> dict[str, Sequence]:
    """No snapshot holds them, but read after it they are as far on as its rows, or further."""
    names = (await connection.scalars(_SEQUENCES)).all()
    rows = [
        (await connection.execute(text(f"SELECT last_value, is_called FROM {name}"))).one()  # noqa: S608  a name of the catalogue
        for name in names
    ]
    return {name: Sequence(last_value=last, is_called=called) for name, (last, called) in zip(names, rows, strict=True)}


@contextmanager
def _opened(file: Path) -> Iterator[ZipFile]:
    try:
        with ZipFile(file) as archive:
            yield archive
    except (BadZipFile, zlib.error, EOFError) as error:
        raise BackupError(f"{file.name} is damaged, or no backup: {error}") from None


def _read(archive: ZipFile, file: Path) -> Manifest:
    """The manifest. Raises BackupError for one that this program cannot follow."""
    try:
        manifest = Manifest.model_validate_json(archive.read(_MANIFEST))
    except (KeyError, ValidationError):
        raise BackupError(f"{file.name} is no backup of s2b2c.") from None
    if manifest.format != _FORMAT or manifest.revision not in revisions():
        raise BackupError(f"{file.name} was written by a newer program: restore it with that one.")
    if {_MANIFEST, *map(_member, manifest.tables)} != set(archive.namelist()):
        raise BackupError(f"{file.name} is damaged: its tables are not those of its manifest.")
    return manifest


def _check(archive: ZipFile, manifest: Manifest) -> None:
    """Raises BackupError for what is not as it was written. Before any of it is loaded: asyncpg waits for ever when a
    source fails after the server has refused what came before.
    """
    for name, table in manifest.tables.items():
        with archive.open(_member(name)) as entry:
            digest = hashlib.sha256()
            while data := entry.read(_CHUNK_BYTES):
                digest.update(data)
        if digest.hexdigest() != table.sha256:
            raise _damaged(name)


def _damaged(table: str) -> BackupError:
    return BackupError(f"The file is damaged: {table} is not as it was written.")


def _member(table: str) -> str:
    return f"tables/{table}.txt"


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = ZIP_DEFLATED
    return entry


async def _chunks(entry: IO[bytes]) -> AsyncIterator[bytes]:
    while data := entry.read(_CHUNK_BYTES):
        yield data
