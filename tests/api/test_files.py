"""Files over HTTP: who may send and fetch them, what is too much, and what a broken upload leaves: nothing."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from s2b2c import files, models
from s2b2c.api import files as routes
from s2b2c.api.rates import Rates
from s2b2c.api.types.ids import decode, encode
from s2b2c.app import create_app
from s2b2c.config import Settings
from s2b2c.db import Database
from tests import factories
from tests.api.client import SECRET, Api
from tests.serving import serving
from tests.test_files import kept, nothing_is_kept, objects

NAME = "秋季 商品\"'.csv"


@pytest.fixture
async def brands(api: Api, store: Path) -> dict[str, str]:
    """Tokens of two brands, and of everybody else who has one."""
    assert store.name == "store"
    async with api.db.write() as session:
        for name in ("一", "二"):
            await factories.a_brand(session, name)
        await factories.a_distributor(session)
        await factories.a_customer(session)
        code = await session.scalar(select(models.Distributor.code))
        ref = await session.scalar(select(models.Customer.ref))
    return {
        "one": await api.token("brand", brand="一"),
        "two": await api.token("brand", brand="二"),
        "operator": await api.token("operator"),
        "finance": await api.token("finance"),
        "distributor": await api.token("distributor", distributor=code),
        "customer": await api.token("customer", customer=ref),
    }


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def send(
    api: Api, token: str | None, body: Any = b"a,b\n1,2\n", *, kind: str = "catalogue", name: str = NAME, **headers: str
) -> httpx.Response:
    parameters = {"kind": kind, "name": name}
    return await api.http.post("/files", params=parameters, content=body, headers=bearer(token) | headers)


async def fetch(api: Api, token: str | None, file_id: str, method: str = "GET") -> httpx.Response:
    return await api.http.request(method, f"/files/{file_id}", headers=bearer(token))


def refused(answer: httpx.Response) -> tuple[int, str]:
    (error,) = answer.json().values()
    assert set(error) == {"code", "message"}
    assert "\n" not in error["message"]
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, error["code"]


async def test_what_is_sent_is_fetched_again(api: Api, brands: dict[str, str], store: Path) -> None:
    body = "编号,名称\n1,猫粮\n".encode() * 100_000
    sent = await send(api, brands["one"], body)
    assert sent.status_code == 201
    (file_id,) = await kept(api.db)
    digest = hashlib.sha256(body).hexdigest()
    assert sent.json() == {"id": encode("file", file_id), "name": NAME, "size": len(body), "sha256": digest}
    assert len(objects(store)) == 1
    for who in ("one", "operator"):
        api.statements.clear()
        got = await fetch(api, brands[who], sent.json()["id"])
        assert (got.status_code, got.content) == (200, body)
        assert len(api.statements) == 2
    told = {name: got.headers[name] for name in got.headers if name != "x-request-id"}
    assert told == {
        "content-type": "text/csv; charset=utf-8",
        "content-length": str(len(body)),
        "content-disposition": "attachment; filename*=UTF-8''%E7%A7%8B%E5%AD%A3%20%E5%95%86%E5%93%81%22%27.csv",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    head = await fetch(api, brands["one"], sent.json()["id"], "HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(body)))


async def test_anothers_file_is_not_found_like_one_that_is_not_there(api: Api, brands: dict[str, str]) -> None:
    sent = (await send(api, brands["one"])).json()["id"]
    theirs = await fetch(api, brands["two"], sent)
    nothing = await fetch(api, brands["two"], encode("file", 999_999))
    assert refused(theirs) == (404, "NOT_FOUND")
    assert (theirs.status_code, theirs.json()) == (nothing.status_code, nothing.json())


async def test_who_may_not(api: Api, brands: dict[str, str], store: Path) -> None:
    sent = (await send(api, brands["one"])).json()["id"]
    for who in ("finance", "distributor", "customer"):
        assert refused(await fetch(api, brands[who], sent)) == (403, "FORBIDDEN")
        assert refused(await send(api, brands[who])) == (403, "FORBIDDEN")
    assert refused(await send(api, brands["operator"])) == (403, "FORBIDDEN")
    for token in (None, "", "x", f"{brands['one']}x"):
        assert refused(await fetch(api, token, sent)) == (401, "UNAUTHENTICATED")
        assert refused(await send(api, token)) == (401, "UNAUTHENTICATED")
    assert len(objects(store)) == len(await kept(api.db)) == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [("", "a.csv"), ("import_report", "a.csv"), ("catalogue", ""), ("catalogue", "../a"), ("catalogue", "a\0b")],
)
async def test_what_cannot_be_stored(api: Api, brands: dict[str, str], store: Path, kind: str, name: str) -> None:
    assert refused(await send(api, brands["one"], kind=kind, name=name)) == (400, "BAD_ARGUMENT")
    assert await nothing_is_kept(api.db, store)


@pytest.mark.parametrize("file_id", ["x", "%00", "产品", encode("product", 1), "0" * 3000])
async def test_what_is_no_id(api: Api, brands: dict[str, str], file_id: str) -> None:
    assert refused(await fetch(api, brands["one"], file_id)) == (400, "BAD_ARGUMENT")


async def test_too_large_is_refused_told_or_not(
    api: Api, brands: dict[str, str], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "settings", lambda: Settings(upload_mib=1))
    mebibyte = 1024 * 1024

    async def untold(size: int) -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"x" * mebibyte
        yield b"x"

    for body in (b"x" * (mebibyte + 1), untold(1)):
        answer = await send(api, brands["one"], body)
        assert refused(answer) == (413, "TOO_LARGE")
        assert answer.json()["error"]["message"].startswith("The file is larger than 1 MiB")
    assert await nothing_is_kept(api.db, store)
    assert (await send(api, brands["one"], b"x" * mebibyte)).status_code == 201


async def test_so_many_an_hour(api: Api, brands: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "UPLOADS", routes.UPLOADS._replace(most=2))
    assert [(await send(api, brands["one"])).status_code for _ in range(3)] == [201, 201, 429]
    assert (await send(api, brands["two"])).status_code == 201
    again = await send(api, brands["one"])
    assert refused(again) == (429, "TOO_MANY_REQUESTS")
    assert int(again.headers["retry-after"]) > 0


async def test_requests_count_as_everywhere(db: Database, store: Path) -> None:
    app = create_app(db, token_secret=SECRET, rates=Rates(db, of_person=30, of_address=30))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        statuses = [(await http.get("/files/x")).status_code for _ in range(61)]
    assert set(statuses) == {401, 429}
    assert await nothing_is_kept(db, store)


async def test_what_breaks_is_told_without_content(
    api: Api, brands: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, name: str, **__: Any) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr(files, "save", broken)
    answer = await send(api, brands["one"], name="confidential.csv")
    assert refused(answer) == (500, "INTERNAL")
    assert "confidential" not in answer.text
    assert "confidential" not in "".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("files/upload: RuntimeError\n")


async def test_an_upload_that_takes_for_ever_is_ended(
    api: Api, brands: dict[str, str], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_WITHIN_S", 0.3)

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    assert refused(await send(api, brands["one"], slow())) == (400, "BAD_ARGUMENT")
    assert await nothing_is_kept(api.db, store)


async def test_a_client_that_goes_away_leaves_nothing(
    api: Api, brands: dict[str, str], store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Over a real connection, which ends in the middle of the body; then a whole file comes through the same server."""
    async with serving(create_app(Database(api.db.url), token_secret=SECRET)) as address:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /files?kind=catalogue&name=a.csv HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {brands['one']}\r\n"
            "Content-Length: 9000000\r\n\r\n"
        )
        writer.write(head.encode() + b"x" * 6_000_000)
        await writer.drain()
        async with asyncio.timeout(20):
            while not await kept(api.db):  # noqa: ASYNC110  it happens in the database
                await asyncio.sleep(0.01)
            writer.close()
            while not await nothing_is_kept(api.db, store):  # noqa: ASYNC110  it happens in the database
                await asyncio.sleep(0.01)
        assert await reader.read() == b""
        async with httpx.AsyncClient(base_url=address, headers=bearer(brands["one"])) as http:
            body = b"x" * 9_000_000
            sent = await http.post("/files", params={"kind": "catalogue", "name": "a.csv"}, content=body)
            assert (await http.get(f"/files/{sent.json()['id']}")).content == body
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_file_that_was_forgotten_is_not_found(api: Api, brands: dict[str, str]) -> None:
    sent = (await send(api, brands["one"])).json()["id"]
    (file_id,) = decode("file", sent, length=1)
    async with api.db.write() as session:
        made_at = await session.scalar(text(f"SELECT created_at FROM files WHERE id = {file_id}"))
        assert await files.forget(session, now=made_at + timedelta(days=31), limit=1) == 1
    assert refused(await fetch(api, brands["one"], sent)) == (404, "NOT_FOUND")
