"""What people upload and download: a row in the database, bytes in a store of objects, streamed both ways."""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

import obstore
from obstore.store import ObjectStore, from_url
from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.config import settings, state_dir
from s2b2c.db import Database
from s2b2c.errors import BadArgument, Forbidden, NotFound, Refused
from s2b2c.models import BulkRun, File, PayoutAttempt, RailReport

MAX_NAME = 200
PIECE = 1 << 20
_PARTS_AT_ONCE = 2
"""Of an upload to a distant store: what of a file is in memory, times 5 MiB."""
_GIVEN_UP = timedelta(days=1)
"""After which a file that is not whole never will be."""
_GONE = "There is no such file, or it is not kept any more."


_BEGINNINGS = {".pdf": b"%PDF-", ".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff", ".jpeg": b"\xff\xd8\xff"}
"""Of the files that may prove something."""


class TooLarge(Exception):
    """More bytes than a file of this kind may have."""


def check_name(name: str) -> str:
    """The name that a client gives a file. Raises Refused(BadArgument)."""
    if not (0 < len(name.strip()) <= MAX_NAME and name.isprintable()) or {"/", "\\"} & set(name):
        raise Refused(
            BadArgument(f"A file has a name of 1 to {MAX_NAME} characters, without slashes or control characters.")
        )
    return name.strip()


async def proof(name: str, pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a file that may prove something, by its name and its beginning. Raises Refused(BadArgument)."""
    beginning = _BEGINNINGS.get(Path(name).suffix.lower())
    if beginning is None:
        raise Refused(BadArgument("A proof is a .pdf, .png, .jpg or .jpeg file."))
    first, is_known = b"", False
    async for piece in pieces:
        if is_known:
            yield piece
            continue
        first += piece
        if len(first) >= len(beginning):
            if not first.startswith(beginning):
                break
            is_known = True
            yield first
    if not is_known:
        raise Refused(BadArgument("The file is not what its name says: a proof is a PDF, PNG or JPEG."))


async def save(
    db: Database,
    pieces: AsyncIterable[bytes],
    *,
    kind: str,
    name: str,
    brand_id: int | None,
    account_id: int,
    now: datetime,
    most: int | None = None,
) -> File:
    """Store what `pieces` yields, at most so many bytes, whole or not at all. Raises TooLarge, and what they raise."""
    async with db.write() as session:
        file = File(
            kind=kind,
            name=name,
            object_name=secrets.token_hex(16),
            brand_id=brand_id,
            account_id=account_id,
            created_at=now,
        )
        session.add(file)
    digest, size = hashlib.sha256(), 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal size
        async for piece in pieces:
            size += len(piece)
            if most is not None and size > most:
                raise TooLarge
            digest.update(piece)
            yield piece

    try:
        await obstore.put_async(_store(), file.object_name, counted(), max_concurrency=_PARTS_AT_ONCE)
        file.size, file.sha256 = size, digest.hexdigest()
        async with db.write() as session:
            await session.execute(update(File).where(File.id == file.id).values(size=file.size, sha256=file.sha256))
    except BaseException:
        with suppress(Exception):  # else `forget` does it
            async with db.write() as session:
                await _delete(await session.scalars(delete(File).where(File.id == file.id).returning(File.object_name)))
        raise
    return file


async def find(session: AsyncSession, file_id: int, *, brand_id: int | None, kind: str | None = None) -> File:
    """A whole file, of this brand and of this kind where they are given; else of any brand, but never one of finance,
    which a link alone leads to. Raises Refused(NotFound)."""
    wanted = select(File).where(File.id == file_id, File.sha256.is_not(None))
    wanted = wanted.where(File.brand_id.is_not(None) if brand_id is None else File.brand_id == brand_id)
    if kind is not None:
        wanted = wanted.where(File.kind == kind)
    if (file := await session.scalar(wanted)) is None:
        raise Refused(NotFound(_GONE))
    return file


LINK_LIFETIME = timedelta(minutes=10)


class Link(NamedTuple):
    """What lets anybody who has it download one file of finance or of a report, until it expires."""

    expires_at: datetime
    signature: str


def link(file_id: int, secret: str, *, now: datetime) -> Link:
    """A new link to a file that `find_by_link` finds; `secret` is what signs tokens."""
    expires_at = (now + LINK_LIFETIME).replace(microsecond=0)
    return Link(expires_at, _signature(file_id, int(expires_at.timestamp()), secret))


async def find_by_link(
    session: AsyncSession, file_id: int, secret: str, *, expires: str, signature: str, now: datetime
) -> File:
    """A whole file of finance or of a report that a link leads to: `expires` is in seconds since 1970.

    Raises Refused: Forbidden for a link that is not ours or has expired, NotFound.
    """
    is_ours = re.fullmatch(r"[0-9]{1,12}", expires, re.ASCII) is not None and hmac.compare_digest(
        signature.encode(), _signature(file_id, int(expires), secret).encode()
    )
    if not is_ours or now.timestamp() >= int(expires):
        raise Refused(Forbidden("The link is not right or has expired: read the export again for a new one."))
    wanted = select(File).where(
        File.id == file_id, File.sha256.is_not(None), or_(File.brand_id.is_(None), File.kind == "sales_export")
    )
    if (file := await session.scalar(wanted)) is None:
        raise Refused(NotFound(_GONE))
    return file


def _signature(file_id: int, expires: int, secret: str) -> str:
    """No token is signed over such a text: theirs has no line feed."""
    return hmac.new(secret.encode(), f"file\n{file_id}\n{expires}".encode(), hashlib.sha256).hexdigest()


async def read(file: File) -> AsyncIterator[bytes]:
    """Its bytes, in pieces. Raises Refused(NotFound) when they are not there, before the first one."""
    try:
        stored = await obstore.get_async(_store(), file.object_name)
    except FileNotFoundError:
        raise Refused(NotFound(_GONE)) from None
    return aiter(stored.stream(min_chunk_size=PIECE))


async def fetch(file: File, path: Path) -> None:
    """Copy its bytes to this machine. Raises Refused(NotFound) when they are not there."""
    with path.open("wb") as out:
        async for piece in await read(file):
            out.write(piece)


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """What `save` takes of a file on this machine."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


async def forget(session: AsyncSession, *, now: datetime, limit: int) -> int:
    """Delete the oldest files that are kept no longer, and what never became whole; returns how many.

    What a run still waits for is kept, and what proves a payout.
    """
    awaited = ["waiting", "running"]
    kept = select(BulkRun.id).where(BulkRun.file_id == File.id, BulkRun.state.in_(awaited)).exists()
    read = select(RailReport.id).where(RailReport.file_id == File.id, RailReport.state.in_(awaited)).exists()
    proves = select(PayoutAttempt.id).where(PayoutAttempt.proof_file_id == File.id).exists()
    over = or_(
        and_(File.created_at < now - timedelta(days=settings().file_days), ~kept, ~read, ~proves),
        and_(File.created_at < now - _GIVEN_UP, File.sha256.is_(None)),
    )
    oldest = select(File.id).where(over).order_by(File.created_at).limit(limit)
    gone = (await session.scalars(delete(File).where(File.id.in_(oldest)).returning(File.object_name))).all()
    await _delete(gone)
    return len(gone)


async def _delete(names: Iterable[str]) -> None:
    async def one(name: str) -> None:
        with suppress(FileNotFoundError):
            await obstore.delete_async(_store(), name)

    await asyncio.gather(*map(one, names))


@cache
def _store() -> ObjectStore:
    if url := settings().files_url:
        return from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)
    folder = state_dir() / "files"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return from_url(folder.as_uri())
