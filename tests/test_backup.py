"""What is backed up comes back to the last byte, or not at all."""

import asyncio
import json
import os
import shutil
import stat
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import asyncpg
import pytest
from sqlalchemy import insert, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import backup, jobs, models, ranking
from s2b2c.backup import BackupError
from s2b2c.config import CHECKOUT
from s2b2c.db import Database, _prepare, _upgrade, check_current, revisions
from tests import factories, imports
from tests.commands import cli, start
from tests.databases import as_owner, create_database, drop_database
from tests.snapshot import snapshot
from tests.test_migrations import _dump

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
ODD = 'a\tb\\N\n"王小明" \U0001f35c\\'
"""What COPY must escape."""
_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'variants'::regclass"


async def _fingerprint(url: str) -> dict[str, object]:
    """A hash of all rows of every table, as they print, and where each sequence stands."""
    names = await as_owner(
        url,
        "SELECT relname, relkind::text FROM pg_class "
        "WHERE relkind IN ('r', 'S') AND relnamespace = 'public'::regnamespace",
    )
    found: dict[str, object] = {}
    for name, kind in names:
        query = (
            f"SELECT last_value, is_called FROM {name}"
            if kind == "S"
            else f"SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")) FROM {name} AS t"
        )
        found[str(name)] = (await as_owner(url, query))[0]
    return found


@pytest.fixture(scope="module")
async def world(server_url: str, template: str) -> str:
    """The URL of a database with the sample network in it, ranked and settled, and odd rows where it has none."""
    url = await create_database(server_url, f"{template}_world", template=template)
    db = Database(url)
    for kind in imports.ORDER:
        report, _ = await imports.load(db, kind, CHECKOUT / "seed" / "sample" / f"{kind}.csv", now=NOW)
        assert report is not None
    async with db.write() as session:
        await ranking.roll_up(session)
    async with db.write() as session:
        policy = await ranking.in_force(session, now=datetime.now(UTC))
        await ranking.rank(session, start=date(2026, 10, 1), end=date(2026, 11, 1), policy=policy)
        await factories.a_settlement(session, cutoff=datetime(2026, 10, 31, 16, tzinfo=UTC), now=NOW)
        await jobs.enqueue(session, "work", {"odd": ODD})
        odd = {"type": "refund.updated", "created_at": NOW, "received_at": NOW, "payload": {"odd": [ODD, None]}}
        await session.execute(insert(models.StripeEvent), [{"id": f"evt_{ODD}", **odd}])
    await db.close()
    return url


@pytest.fixture(scope="module")
async def file(world: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("backup") / "world.zip"
    await backup.write(world, file)
    return file


@pytest.fixture
async def nothing(server_url: str, database_url: str) -> AsyncIterator[str]:
    """The URL of a database without a table."""
    name = f"{make_url(database_url).database}_nothing"
    yield await create_database(server_url, name)
    await drop_database(server_url, name)


async def test_everything_comes_back(world: str, file: Path, nothing: str, tmp_path: Path) -> None:
    before = await _fingerprint(world)
    assert len([name for name in before if not name.endswith("_seq")]) > 40
    manifest = await backup.restore(nothing, file)
    assert await _fingerprint(nothing) == before
    assert _dump(nothing) == _dump(world)
    assert {name: table.rows for name, table in manifest.tables.items()} == {
        name: found[0]  # type: ignore[index]  # of a table: its count
        for name, found in before.items()
        if not name.endswith("_seq") and name != "alembic_version"
    }
    dbs = Database(world), Database(nothing)
    first, second = [await snapshot(db) for db in dbs]
    for db in dbs:
        await db.close()
    assert first == second
    again = tmp_path / "again.zip"
    assert (await backup.write(nothing, again)).tables == manifest.tables


async def test_it_is_one_moment_though_others_go_on(database_url: str, nothing: str, tmp_path: Path) -> None:
    """What is written between two tables is in neither."""
    db = Database(database_url)

    async def add(number: int) -> None:
        async with db.write() as session:
            await session.execute(insert(models.Brand).values(name=f"b{number}"))
            await session.execute(insert(models.Tier).values(code=f"t{number}", rank=number, name="x", is_leader=False))

    await add(1)
    adding: list[asyncio.Task[None]] = []

    def tell(_done: int, _total: int) -> None:
        adding.append(asyncio.create_task(add(len(adding) + 2)))

    await backup.write(database_url, tmp_path / "x.zip", tell)
    await asyncio.gather(*adding)
    assert len(adding) > 40
    await db.close()
    await backup.restore(nothing, tmp_path / "x.zip")
    counted = "SELECT (SELECT string_agg(name, ',') FROM brands), (SELECT string_agg(code, ',') FROM tiers)"
    assert await as_owner(nothing, counted) == [("b1", "t1")]
    (row,) = await as_owner(nothing, "INSERT INTO brands (name) VALUES ('b2') RETURNING id")
    assert row[0] in range(2, len(adding) + 3), "sequences are as far on as the rows, or further"


async def test_a_backup_is_for_its_owner_alone_and_takes_the_place_of_the_last(world: str, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    file.write_text("the last one")
    await backup.write(world, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [file]  # noqa: ASYNC240  a folder of one file
    with ZipFile(file) as archive:
        assert archive.testzip() is None


async def test_a_database_without_our_tables_is_not_backed_up(nothing: str, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="The database is empty"):
        await backup.write(nothing, tmp_path / "x.zip")
    await as_owner(nothing, "CREATE TABLE theirs (id bigint)")
    with pytest.raises(BackupError, match="they are not ours"):
        await backup.write(nothing, tmp_path / "x.zip")
    assert [*tmp_path.iterdir()] == []  # noqa: ASYNC240  an empty folder


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1000)


def _flip(file: Path) -> None:
    """One bit in the middle of the largest table."""
    with ZipFile(file) as archive:
        entry = max(archive.infolist(), key=lambda entry: entry.compress_size)
    data = bytearray(file.read_bytes())
    data[entry.header_offset + entry.compress_size // 2] ^= 1
    file.write_bytes(data)


def _rewrite(file: Path, changed: str, change: object) -> None:
    """With other bytes under a name; none at all where `change` says nothing."""
    with ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert callable(change)
    changed_to = change(members.pop(changed))
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, data in members.items() | ({(changed, changed_to)} if changed_to is not None else set()):
            archive.writestr(name, data)


def _less_a_row(file: Path) -> None:
    _rewrite(file, "tables/order_lines.txt", lambda data: b"\n".join(data.split(b"\n")[1:]))


def _other_price(file: Path) -> None:
    _rewrite(file, "tables/listings.txt", lambda data: data.replace(b"\t4890\t", b"\t4891\t", 1))


def _no_number_and_no_end(file: Path) -> None:
    """What the server refuses, and behind it what cannot be read."""
    _rewrite(file, "tables/transfers.txt", lambda data: b"x" + data[1:])
    _flip(file)


def _no_table(file: Path) -> None:
    _rewrite(file, "tables/commissions.txt", lambda _: None)


def _of_the_future(file: Path) -> None:
    _rewrite(file, "manifest.json", lambda data: data.replace(revisions()[0].encode(), b"9999"))


def _of_another_schema(file: Path) -> None:
    def change(data: bytes) -> bytes:
        manifest = json.loads(data)
        manifest["tables"]["brands"]["columns"].append("password")
        return json.dumps(manifest).encode()

    _rewrite(file, "manifest.json", change)


def _no_backup(file: Path) -> None:
    with ZipFile(file, "w") as archive:
        archive.writestr("hello.txt", "hello")


def _no_zip(file: Path) -> None:
    file.write_bytes(b"-- PostgreSQL database dump\n" * 1000)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut, "damaged, or no backup"),
        (_flip, "damaged"),
        (_no_number_and_no_end, "damaged"),
        (_less_a_row, "order_lines is not as it was written"),
        (_other_price, "listings is not as it was written"),
        (_no_table, "its tables are not those of its manifest"),
        (_of_the_future, "written by a newer program"),
        (_of_another_schema, "has other tables than revision"),
        (_no_backup, "is no backup of s2b2c"),
        (_no_zip, "damaged, or no backup"),
    ],
)
async def test_a_file_that_is_not_right_changes_nothing(
    file: Path, database_url: str, tmp_path: Path, damage: object, said: str
) -> None:
    """With all that the database holds still in it, and none of the file."""
    await as_owner(database_url, "INSERT INTO brands (name) VALUES ('kept')")
    before, schema = await _fingerprint(database_url), _dump(database_url)
    bad = tmp_path / "bad.zip"
    shutil.copy(file, bad)
    assert callable(damage)
    damage(bad)
    with pytest.raises(BackupError, match=said):
        await backup.restore(database_url, bad, replace=True)
    assert await _fingerprint(database_url) == before
    assert _dump(database_url) == schema


async def test_what_is_there_is_replaced_only_when_that_is_said(world: str, file: Path, database_url: str) -> None:
    await as_owner(database_url, "INSERT INTO brands (name) VALUES ('there before')")
    before = await _fingerprint(database_url)
    with pytest.raises(BackupError, match=r"not empty \(brands\): --replace"):
        await backup.restore(database_url, file)
    assert await _fingerprint(database_url) == before
    await backup.restore(database_url, file, replace=True)
    assert await _fingerprint(database_url) == await _fingerprint(world)


async def test_a_database_that_is_migrated_and_empty_will_do(world: str, file: Path, database_url: str) -> None:
    await backup.restore(database_url, file)
    assert await _fingerprint(database_url) == await _fingerprint(world)


async def test_a_database_of_others_is_left_alone(file: Path, nothing: str) -> None:
    await as_owner(nothing, "CREATE TABLE theirs (id bigint)")
    with pytest.raises(BackupError, match="they are not ours"):
        await backup.restore(nothing, file, replace=True)
    assert await as_owner(nothing, "SELECT count(*) FROM pg_class WHERE relname = 'brands'") == [(0,)]


async def test_a_database_in_use_is_not_waited_for(
    file: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PLAIN", text(backup._PLAIN.text.replace("'5s'", "'100ms'")))
    db = Database(database_url)
    async with db.write() as session:
        await session.execute(insert(models.Brand).values(name="somebody's"))
        with pytest.raises(BackupError, match="The database is in use"):
            await backup.restore(database_url, file)
    await db.close()


async def _migrated(url: str, revision: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        await _prepare(connection)
        await connection.run_sync(_upgrade, revision)
    await engine.dispose()


async def test_an_old_backup_comes_back_and_is_migrated(
    server_url: str, database_url: str, nothing: str, tmp_path: Path
) -> None:
    await _migrated(nothing, "0002")
    await as_owner(nothing, "INSERT INTO tiers (code, rank, name, is_leader) VALUES ('city', 1, '市级', false)")
    file = tmp_path / "old.zip"
    assert (await backup.write(nothing, file)).revision == "0002"
    with pytest.raises(BackupError, match=f"is of revision 0002 of the schema and the database at {revisions()[0]}"):
        await backup.restore(database_url, file)
    name = f"{make_url(database_url).database}_old"
    url = await create_database(server_url, name)
    await backup.restore(url, file)
    await check_current(url)
    assert await as_owner(url, "SELECT id, code, name FROM tiers") == [(1, "city", "市级")]
    assert _dump(url) == _dump(database_url)
    await drop_database(server_url, name)


async def test_the_commands_say_what_they_did_and_audit_it(world: str, nothing: str, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    said = cli(world, "backup", str(file))
    rows = sum(json.loads(ZipFile(file).read("manifest.json"))["tables"][name]["rows"] for name in ("orders", "brands"))
    assert rows > 1000
    assert said.startswith(f"{file}: ")
    assert said.endswith(f" rows, revision {revisions()[0]}\n")
    said = cli(nothing, "restore", str(file))
    assert "are back\nEvery invariant holds.\n" in said
    assert "The database is not empty (" in cli(nothing, "restore", str(file), code=1)
    missing = cli(nothing, "restore", str(tmp_path / "missing.zip"), code=1)
    assert "No such file or directory" in missing


async def test_what_was_broken_before_is_told_after(world: str, nothing: str, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    await backup.write(world, file)
    await backup.restore(nothing, file)
    await as_owner(
        nothing,
        "ALTER TABLE order_lines DISABLE TRIGGER closed",
        "UPDATE order_lines SET statement_id = NULL WHERE id = (SELECT min(id) FROM order_lines WHERE statement_id IS NOT NULL)",
        "ALTER TABLE order_lines ENABLE TRIGGER closed",
    )
    await backup.write(nothing, file)
    said = cli(nothing, "restore", str(file), "--replace", code=1)
    assert "are back" in said
    assert "invariants are broken" in said


async def test_killed_in_the_middle_it_leaves_no_file(world: str, tmp_path: Path) -> None:
    """Nor takes it the last one away."""
    file = tmp_path / "x.zip"
    file.write_text("the last one")
    address = make_url(world).set(drivername="postgresql").render_as_string(hide_password=False)
    holder = await asyncpg.connect(address)
    async with holder.transaction():
        await holder.execute("LOCK TABLE variants IN ACCESS EXCLUSIVE MODE")
        process = start(world, "backup", str(file))
        async with asyncio.timeout(60):
            while not await holder.fetchval(_WAITS):  # noqa: ASYNC110  it sends no events
                await asyncio.sleep(0.01)
        process.kill()
        process.communicate()
    await holder.close()
    assert file.read_text() == "the last one"
    (part,) = {*tmp_path.iterdir()} - {file}  # noqa: ASYNC240  a folder of two files
    assert part.name == f".x.zip.{process.pid}.part"
    with pytest.raises(BackupError, match="damaged, or no backup"):
        await backup.restore(world, part, replace=True)
