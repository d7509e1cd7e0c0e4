"""Trusted documents: their ids, who may ask for them how, and that nothing else runs where they are all that does."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from graphql import FieldNode, OperationType

from s2b2c.api import documents, limits
from s2b2c.api.http import CACHED_S, JSON, RESPONSE
from s2b2c.api.limits import read
from s2b2c.api.schema import schema
from s2b2c.app import create_app
from s2b2c.config import resource
from s2b2c.db import Database
from tests import factories
from tests.api.client import SECRET, Api
from tests.commands import cli, start

IDS = documents.named()
STOREFRONT = IDS["shop/Storefront"]


@pytest.fixture
async def trusted(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    """The app as in production."""
    transport = httpx.ASGITransport(create_app(db, token_secret=SECRET, trusted_only=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


def refused(response: httpx.Response) -> tuple[int, str]:
    answer = response.json()
    assert answer.keys() == {"errors"}, answer
    (error,) = answer["errors"]
    return response.status_code, error["extensions"]["code"]


async def a_slug(db: Database) -> str:
    async with db.write() as session:
        return (await factories.a_store(session)).slug


def test_the_file_is_current() -> None:
    assert (resource("graphql") / "operations.json").read_text("utf-8") == documents.as_json(), "run `make schema`"


def test_an_id_is_the_hash_of_the_bytes_of_the_file() -> None:
    folder = resource("graphql") / "operations"
    files = {str(file.relative_to(folder).with_suffix("")): file for file in folder.rglob("*.graphql")}
    assert len(files) > 80
    hashes = {name: f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for name, file in files.items()}
    assert json.loads(documents.as_json()) == hashes
    assert set(documents.load(schema)) == set(hashes.values())


def test_the_id_of_the_specification() -> None:
    text = "query ($id: ID!) {\n  user(id: $id) {\n    name\n  }\n}"
    assert documents._id_of(text) == "sha256:7dba4bd717b41f10434822356a93c32b1fb4907b983e854300ad839f84cdcd6e"


def test_what_a_get_may_ask_for_reads_at_the_door_of_customers() -> None:
    loaded = documents.load(schema)
    public = {name for name, id_ in IDS.items() if loaded[id_].public}
    assert public == {
        f"shop/{name}"
        for name in (
            *("Cart", "Decoration", "Labels", "Me", "Node", "Order", "Orders", "OwnNode", "Personas", "Product"),
            *("MovedTo", "Storefront", "OpenSeats", "MyApplications"),
        )
    }
    for name in public:
        (operation,) = read(schema._schema, loaded[IDS[name]]).operations
        assert operation.operation is OperationType.QUERY
        roots = operation.selection_set.selections
        assert [root.name.value for root in roots if isinstance(root, FieldNode)] == ["shop"], name


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{ nothing }",
        "query A { __typename } query B { __typename }",
        "fragment A on Query { __typename }",
        "{ shop { " + "store { " * 20 + "id" + " }" * 20 + " } }",
    ],
)
def test_a_document_that_cannot_run_is_told_at_the_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "texts", lambda: {"shop/Odd": text})
    with pytest.raises(ValueError, match=r"^graphql/operations/shop/Odd.graphql is no document of one operation: "):
        documents.load.__wrapped__(schema)


async def test_by_its_id_a_document_answers_as_by_its_text(api: Api) -> None:
    slug = await a_slug(api.db)
    by_text = await api.run("shop/Storefront", slug=slug)
    assert by_text["data"]["shop"]["store"]["slug"] == slug
    for accept in (JSON, RESPONSE):
        by_id = await api.http.post(
            "/graphql", json={"documentId": STOREFRONT, "variables": {"slug": slug}}, headers={"Accept": accept}
        )
        assert (by_id.status_code, by_id.json()) == (200, by_text)
        assert by_id.headers["content-type"] == f"{accept}; charset=utf-8"
    named = {"documentId": STOREFRONT, "operationName": "Storefront", "variables": {"slug": slug}}
    assert (await api.http.post("/graphql", json=named)).json() == by_text


async def test_a_document_is_parsed_and_validated_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def again(*_: object, **__: object) -> None:
        raise AssertionError("parsed or validated again")

    slug = await a_slug(api.db)
    for name in ("parse", "validate"):
        monkeypatch.setattr(limits, name, again)
    asked = {"documentId": STOREFRONT, "variables": {"slug": slug}}
    assert (await api.http.post("/graphql", json=asked)).json()["data"]["shop"]["store"]["slug"] == slug
    answer = await api.http.post("/graphql", json={"query": "{ anew: __typename }"})
    assert refused(answer) == (200, "INTERNAL"), "or this test looks at nothing"


async def test_the_wrong_variables_of_a_document_are_refused(api: Api) -> None:
    for accept, status in ((JSON, 200), (RESPONSE, 400)):
        answer = await api.http.post(
            "/graphql", json={"documentId": STOREFRONT, "variables": {"slug": 5}}, headers={"Accept": accept}
        )
        assert refused(answer) == (status, "BAD_REQUEST")


async def test_ids_that_name_nothing(trusted: httpx.AsyncClient) -> None:
    for name in ("", "x", "sha256:", f"sha256:{'0' * 64}", STOREFRONT.upper(), STOREFRONT[7:], "shop/Storefront"):
        for accept, status in ((JSON, 200), (RESPONSE, 400)):
            answer = await trusted.post("/graphql", json={"documentId": name}, headers={"Accept": accept})
            assert refused(answer) == (status, "DOCUMENT_NOT_FOUND"), name
            if name:
                answer = await trusted.get("/graphql", params={"documentId": name}, headers={"Accept": accept})
                assert refused(answer) == (status, "DOCUMENT_NOT_FOUND"), name
                assert answer.headers["cache-control"] == "no-store"


async def test_trusted_documents_are_all_that_runs(trusted: httpx.AsyncClient, db: Database) -> None:
    """What else there is, is not even parsed."""
    text = (resource("graphql") / "operations" / "shop" / "Storefront.graphql").read_text("utf-8")
    for query in ("{ __typename }", "{ __schema { types { name } } }", "{", "{ a " * 1_000, text):
        for accept, status in ((JSON, 200), (RESPONSE, 403)):
            answer = await trusted.post("/graphql", json={"query": query}, headers={"Accept": accept})
            assert refused(answer) == (status, "DOCUMENT_NOT_TRUSTED"), query[:20]
    both = await trusted.post("/graphql", json={"query": text, "documentId": STOREFRONT})
    assert refused(both) == (400, "BAD_REQUEST")
    slug = await a_slug(db)
    answer = await trusted.post("/graphql", json={"documentId": STOREFRONT, "variables": {"slug": slug}})
    assert answer.json()["data"]["shop"]["store"]["slug"] == slug
    entered = await trusted.post("/graphql", json={"documentId": IDS["shop/EnterAsGuest"]})
    assert entered.json()["data"]["enterAsGuest"]["token"]


async def test_where_only_trusted_documents_run_there_is_no_explorer(trusted: httpx.AsyncClient) -> None:
    answer = await trusted.get("/graphql", headers={"Accept": "text/html"})
    assert refused(answer) == (406, "NOT_ACCEPTABLE")


def by_url(id_: str, **variables: Any) -> str:
    return str(httpx.URL("/graphql", params={"documentId": id_, "variables": json.dumps(variables)}))


async def test_a_cache_may_keep_what_a_get_reads(trusted: httpx.AsyncClient, db: Database) -> None:
    slug = await a_slug(db)
    url = by_url(STOREFRONT, slug=slug)
    answer = await trusted.get(url)
    assert answer.json()["data"]["shop"]["store"]["slug"] == slug
    assert answer.headers["cache-control"] == f"public, max-age={CACHED_S}"
    assert answer.headers["vary"] == "Accept, Authorization"
    head = await trusted.head(url)
    for told in (head, answer):
        del told.headers["x-request-id"]
    assert (head.status_code, head.headers) == (200, answer.headers)
    named = await trusted.get(f"{url}&operationName=&extensions=")
    assert named.json() == answer.json()


async def test_no_cache_keeps_what_is_not_for_everybody(api: Api, trusted: httpx.AsyncClient) -> None:
    """What a token had a part in, and what went wrong."""
    url = by_url(STOREFRONT, slug=await a_slug(api.db))
    known = await trusted.get(url, headers={"Authorization": f"Bearer {await api.token('operator')}"})
    assert known.json()["data"]["shop"]["store"]
    assert known.headers["cache-control"] == "no-store"
    wrong = await trusted.get(by_url(STOREFRONT, slug=5))
    assert refused(wrong) == (200, "BAD_REQUEST")
    assert wrong.headers["cache-control"] == "no-store"
    unknown = await trusted.get(by_url(IDS["shop/Me"]))
    assert unknown.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    assert unknown.headers["cache-control"] == "no-store"


async def test_a_get_changes_nothing_and_knows_one_door(api: Api) -> None:
    for name, id_ in IDS.items():
        if documents.load(schema)[id_].public:
            continue
        answer = await api.http.get(by_url(id_))
        assert refused(answer) == (405, "METHOD_NOT_ALLOWED"), name
        assert answer.headers["allow"] == "POST"
    assert api.statements == []


async def test_the_setting_reaches_the_server(database_url: str) -> None:
    assert "S2B2C_DOCUMENTS: " in cli(database_url, "serve", code=1, S2B2C_DOCUMENTS="some")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start(database_url, "serve", S2B2C_DOCUMENTS="trusted", S2B2C_PORT=str(port))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http, asyncio.timeout(60):
            while not await _answers(http):  # noqa: ASYNC110  it sends no events
                await asyncio.sleep(0.1)
            answer = await http.post("/graphql", json={"query": "{ __typename }"})
            assert refused(answer) == (200, "DOCUMENT_NOT_TRUSTED")
    finally:
        process.terminate()
        process.communicate()


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).is_success
    except httpx.TransportError:
        return False
