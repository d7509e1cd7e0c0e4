"""Files are stored whole or not at all, and forgotten when their time is over."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import select, text

from s2b2c import files, models
from s2b2c.accounts.viewer import account_of
from s2b2c.config import Settings, settings
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused
from s2b2c.models import File
from tests import factories

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
KEPT = timedelta(days=settings().file_days)


async def a_brand(db: Database) -> dict[str, int]:
    """Whose a file is: a new brand, and its account."""
    async with db.write() as session:
        brand = await factories.a_brand(session)
        return {"brand_id": brand.id, "account_id": await account_of(session, "brand", brand.id)}


async def pieces(of: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in of:
        yield piece


async def saved(
    db: Database,
    of: Sequence[bytes] = (b"a",),
    *,
    now: datetime = NOW,
    most: int | None = None,
    whose: dict[str, int] | None = None,
) -> File:
    owner = whose or await a_brand(db)
    return await files.save(
        db, pieces(of), kind="catalogue", name="商品.csv", brand_id=owner["brand_id"], account_id=owner["account_id"],
        now=now, most=most,
    )  # fmt: skip


async def content(file: File) -> bytes:
    return b"".join([bytes(piece) async for piece in await files.read(file)])


def _mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


async def kept(db: Database) -> list[int]:
    async with db.read() as session:
        return list(await session.scalars(select(File.id).order_by(File.id)))


def objects(store: Path) -> list[str]:
    return [path.name for path in store.iterdir()]


def _lose(store: Path, file: File) -> None:
    (store / file.object_name).unlink()


async def nothing_is_kept(db: Database, store: Path) -> bool:
    return await kept(db) == [] and objects(store) == []


@pytest.mark.parametrize("of", [[], [b""], [b"a"], [b"ab", b"", "一二三".encode()], [b"x" * 1_000_000] * 25])
async def test_what_is_stored_is_read_again(db: Database, store: Path, of: list[bytes]) -> None:
    file = await saved(db, of, most=25_000_000)
    whole = b"".join(of)
    assert (file.size, file.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert await content(file) == whole
    assert objects(store) == [file.object_name]
    async with db.read() as session:
        found = await files.find(session, file.id, brand_id=file.brand_id, kind="catalogue")
    assert (found.size, found.sha256, found.name, found.created_at) == (file.size, file.sha256, "商品.csv", NOW)


async def test_a_file_that_is_too_large_leaves_nothing(db: Database, store: Path) -> None:
    for of in ([b"x" * 11], [b"x" * 10, b"x"], [b"x" * 6_000_000] * 3):
        with pytest.raises(files.TooLarge):
            await saved(db, of, most=10)
    assert await nothing_is_kept(db, store)
    assert (await saved(db, [b"x" * 10], most=10)).size == 10


async def test_who_goes_away_leaves_nothing(db: Database, store: Path) -> None:
    async def broken(pieces_before: int) -> AsyncIterator[bytes]:
        for _ in range(pieces_before):
            yield b"x" * 3_000_000
        raise ConnectionResetError("gone")

    for before in (0, 1, 5):
        with pytest.raises(ConnectionResetError, match="gone"):
            await files.save(db, broken(before), kind="catalogue", name="a.csv", now=NOW, **await a_brand(db))
    assert await nothing_is_kept(db, store)


async def test_who_is_stopped_leaves_nothing(db: Database, store: Path) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 6_000_000
        begun.set()
        await asyncio.Event().wait()

    whose = await a_brand(db)
    task = asyncio.create_task(files.save(db, endless(), kind="catalogue", name="a.csv", now=NOW, **whose))
    await begun.wait()
    assert len(await kept(db)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await kept(db) == []
    async with asyncio.timeout(10):
        while objects(store):  # noqa: ASYNC110  the library takes its part away behind our back
            await asyncio.sleep(0.01)


async def test_a_file_that_is_not_whole_or_not_theirs_is_not_found(db: Database, store: Path) -> None:
    file = await saved(db)
    stranger = (await a_brand(db))["brand_id"]
    async with db.write() as session:
        assert (await files.find(session, file.id, brand_id=None)).id == file.id
        for brand_id, kind in ((stranger, None), (stranger, "catalogue"), (file.brand_id, "import_report")):
            with pytest.raises(Refused) as caught:
                await files.find(session, file.id, brand_id=brand_id, kind=kind)
            assert isinstance(caught.value.refusal, NotFound)
        await session.execute(text("UPDATE files SET size = NULL, sha256 = NULL"))
        with pytest.raises(Refused):
            await files.find(session, file.id, brand_id=file.brand_id)
    _lose(store, file)
    with pytest.raises(Refused) as caught:
        await files.read(file)
    assert isinstance(caught.value.refusal, NotFound)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a/b", "a\\b", "a\0", "a\nb", "\ud800", "a\u202eb"])
def test_a_name_that_no_file_may_have(name: str) -> None:
    with pytest.raises(Refused) as caught:
        files.check_name(name)
    assert isinstance(caught.value.refusal, BadArgument)


def test_a_name_is_kept_as_it_is() -> None:
    assert files.check_name(" 秋季 商品 (1).csv ") == "秋季 商品 (1).csv"
    assert files.check_name("x" * 200) == "x" * 200


async def forget(db: Database, now: datetime, limit: int = 10) -> int:
    async with db.write() as session:
        return await files.forget(session, now=now, limit=limit)


async def test_old_files_are_forgotten_with_their_bytes(db: Database, store: Path) -> None:
    whose = await a_brand(db)
    first, second, third = [await saved(db, now=NOW + timedelta(seconds=number), whose=whose) for number in range(3)]
    _lose(store, second)
    assert await forget(db, NOW + KEPT) == 0
    assert await forget(db, NOW + KEPT + timedelta(seconds=5), limit=2) == 2
    assert await kept(db) == [third.id]
    assert objects(store) == [third.object_name]
    assert first.object_name != third.object_name
    assert await forget(db, NOW + KEPT + timedelta(seconds=5)) == 1
    assert await nothing_is_kept(db, store)


@pytest.mark.parametrize(("state", "forgotten"), [("waiting", 0), ("running", 0), ("failed", 1), ("done", 1)])
async def test_a_file_that_an_import_waits_for_is_kept(db: Database, store: Path, state: str, forgotten: int) -> None:
    whose = await a_brand(db)
    file = await saved(db, whose=whose)
    done = {"started_at": NOW, "finished_at": NOW} if state == "done" else {}
    async with db.write() as session:
        run = models.BulkRun(
            kind="import",
            name=file.name,
            file_id=file.id,
            is_dry_run=False,
            language="zh",
            state=state,
            **whose,
            **done,
        )
        session.add(run)
    assert await forget(db, NOW + 2 * KEPT) == forgotten
    assert len(objects(store)) == 1 - forgotten
    async with db.read() as session:
        assert await session.scalar(select(models.BulkRun.file_id)) == (None if forgotten else file.id)


async def test_what_never_became_whole_is_forgotten_after_a_day(db: Database, store: Path) -> None:
    await saved(db)
    async with db.write() as session:
        await session.execute(text("UPDATE files SET size = NULL, sha256 = NULL"))
    assert await forget(db, NOW + timedelta(days=1)) == 0
    assert await forget(db, NOW + timedelta(days=1, seconds=1)) == 1
    assert await nothing_is_kept(db, store)


@pytest.mark.parametrize("of", ["file", "state"])
async def test_where_files_are_kept_is_a_setting(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    files._store.cache_clear()
    folder = tmp_path / "mine" / "files"
    url = folder.as_uri() if of == "file" else None
    monkeypatch.setattr(files, "settings", lambda: Settings(files_url=url))
    monkeypatch.setattr(files, "state_dir", lambda: tmp_path / "mine")
    file = await saved(db, [b"kept"])
    assert objects(folder) == [file.object_name]
    assert await content(file) == b"kept"
    assert (_mode(folder) == 0o700) == (of == "state")
    files._store.cache_clear()


@pytest.mark.parametrize("url", ["ftp://x/y", "file://x/y", "/a/folder", "s3:bucket", "s3://"])
def test_a_place_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="must be file:///folder"):
        Settings(files_url=url)
