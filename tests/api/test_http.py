"""GraphQL over HTTP: what is asked how, and what is refused before GraphQL sees it."""

import json
from typing import Any

import httpx
import pytest
from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport

from s2b2c.api.http import JSON, MAX_JSON_DEPTH, MAX_JSON_VALUES, RESPONSE
from s2b2c.api.limits import MAX_BODY_BYTES
from s2b2c.app import create_app
from s2b2c.db import MAX_INT64, Database
from tests import factories
from tests.api.client import SECRET, Api
from tests.serving import serving

TEXT = "query($s: String!) { shop { store(slug: $s) { id } } }"


async def post(api: Api, body: object, accept: str = JSON, content_type: str = JSON) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.http.post("/graphql", content=content, headers={"Accept": accept, "Content-Type": content_type})


def refused(response: httpx.Response) -> tuple[int, str]:
    """(status, code) of an answer that is one error and nothing else."""
    answer = response.json()
    assert answer.keys() == {"errors"}, answer
    (error,) = answer["errors"]
    assert error["message"]
    assert error["extensions"].keys() == {"code"}
    assert response.headers["content-type"].endswith("; charset=utf-8")
    return response.status_code, error["extensions"]["code"]


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (RESPONSE, RESPONSE),
        (RESPONSE.upper(), RESPONSE),
        (f"{RESPONSE}; charset=utf-8, {JSON}; charset=utf-8", RESPONSE),
        (f"{JSON}, {RESPONSE}", JSON),
        (f"{JSON};q=0.9, {RESPONSE}", RESPONSE),
        (f"{RESPONSE};q=0.1, */*;q=0.5", JSON),
        (f"{RESPONSE}, */*;q=0.5", RESPONSE),
        (f"{JSON};q=0, */*", RESPONSE),
        (f"text/plain, {RESPONSE};q=0.1", RESPONSE),
        (f'{JSON};charset="UTF-8"', JSON),
        (f"{JSON};charset=latin-1, {RESPONSE}", RESPONSE),
    ],
)
async def test_the_answer_is_what_is_accepted(api: Api, accept: str, answered: str) -> None:
    response = await post(api, {"query": "{ __typename }"}, accept)
    assert (response.status_code, response.headers["content-type"]) == (200, f"{answered}; charset=utf-8")
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "accept", ["text/plain", "image/*", f"{JSON};q=0", f"{JSON};charset=gbk", "nonsense", f"{JSON};q=x"]
)
async def test_nothing_is_answered_that_is_not_accepted(api: Api, accept: str) -> None:
    assert refused(await post(api, {"query": "{ __typename }"}, accept)) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        f"text/plain; {JSON}",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        RESPONSE,
        "application/jsonx",
        f"{JSON}; charset=gbk",
    ],
)
async def test_what_a_page_can_send_unasked_is_refused(api: Api, content_type: str) -> None:
    response = await post(api, {"query": "mutation { enterAsGuest { __typename } }"}, content_type=content_type)
    assert refused(response) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert api.statements == []


async def test_a_body_without_a_type_is_refused(api: Api) -> None:
    assert refused(await api.http.post("/graphql", content=b'{"query": "{ __typename }"}'))[0] == 415


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"])
async def test_other_methods(api: Api, method: str) -> None:
    response = await api.http.request(method, "/graphql", json={"query": "{ __typename }"})
    assert refused(response) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("query", ["{ __typename }", "mutation { enterAsGuest { __typename } }", ""])
async def test_get_runs_no_query(api: Api, query: str) -> None:
    response = await api.http.get("/graphql", params={"query": query})
    if query:
        assert refused(response) == (405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == "POST"
    else:
        assert refused(response) == (400, "BAD_REQUEST")
    assert response.headers["cache-control"] == "no-store"
    assert api.statements == []


@pytest.mark.parametrize(
    "body",
    [
        {"query": "{"},
        {"query": " "},
        {"query": "{ nothing }"},
        {"query": "query($id: ID!) { __typename }", "variables": {"id": None}},
        {"query": "query A { __typename } query B { __typename }"},
        {"query": "query A { __typename }", "operationName": "B"},
        {"query": "query A { __typename } query B { __typename }", "operationName": ""},
        {"query": "fragment A on Query { __typename }"},
        {"query": "subscription { nothing }"},
    ],
)
async def test_what_cannot_run_is_told_as_its_media_type_has_it(api: Api, body: dict[str, Any]) -> None:
    for accept, status in ((JSON, 200), (RESPONSE, 400)):
        assert refused(await post(api, body, accept)) == (status, "BAD_REQUEST")


async def test_of_several_operations_one_runs(api: Api) -> None:
    query = "query A { a: __typename } query B { b: __typename }"
    answer = await post(api, {"query": query, "operationName": "B"})
    assert answer.json() == {"data": {"b": "Query"}}


async def test_part_of_an_answer_is_an_answer(api: Api) -> None:
    response = await post(api, {"query": "{ shop { __typename } brand { name } }"}, RESPONSE)
    assert response.status_code == 200
    assert response.json()["data"] is None, "a door is not null, so nothing is left"
    assert response.json()["errors"][0]["path"] == ["brand"]


@pytest.mark.parametrize("accept", [JSON, RESPONSE])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"query": "{ __typename }"} more', "not JSON"),
        (b'{"query": "\x00"}', "not JSON"),
        (b'\xef\xbb\xbf{"query": "{ __typename }"}', "not JSON"),
        (b'{"query": "{ __typename }", "variables": {"a": NaN}}', "NaN"),
        (b'{"query": "{ __typename }", "variables": {"a": -Infinity}}', "Infinity"),
        (b'{"query": "\xff"}', "not UTF-8"),
        (b'{"query": "\xed\xa0\x80"}', "not UTF-8"),
        ('{"query": "{ __typename }"}'.encode("utf-16"), "not UTF-8"),
        (b"5", "one JSON object"),
        (b"null", "one JSON object"),
        (b'"{ __typename }"', "one JSON object"),
        (b"[]", "One request at a time"),
        (b'[{"query": "{ __typename }"}]', "One request at a time"),
        (b"{}", "no query"),
        (b'{"query": null}', "no query"),
        (b'{"query": ""}', "no query"),
        (b'{"qeury": "{ __typename }"}', "no query"),
        (b'{"query": 5}', "query must be a string"),
        (b'{"query": ["{ __typename }"]}', "query must be a string"),
        (b'{"documentId": 5}', "documentId must be a string"),
        (b'{"query": "{ __typename }", "operationName": {}}', "operationName must be a string"),
        (b'{"query": "{ __typename }", "variables": []}', "variables must be an object"),
        (b'{"query": "{ __typename }", "variables": "{}"}', "variables must be an object"),
        (b'{"query": "{ __typename }", "extensions": 0}', "extensions must be an object"),
        (b'{"query": "{ __typename }", "query": "{ __typename }"}', "stands twice"),
        (b'{"query": "{ __typename }", "variables": {"a": 1, "a": 1}}', "stands twice"),
        (b'{"query": "{ __typename \\u0000 }"}', "NUL"),
        (b'{"query": "{ __typename }", "variables": {"a": ["\\u0000"]}}', "NUL"),
        (b'{"query": "{ __typename }", "variables": {"\\u0000": 1}}', "NUL"),
        (b'{"query": "{ __typename }", "variables": {"a": {"b": "\\ud800"}}}', "surrogate"),
        (b'{"query": "{ __typename }", "variables": {"a": "\\udc00\\ud800"}}', "surrogate"),
        (b'{"query": "{ __typename }", "ignored": "\\udfff"}', "surrogate"),
        (b'{"query": "{ __typename }", "variables": {"a": 1e400}}', "too large"),
        (b'{"query": "{ __typename }", "variables": {"a": -1e400}}', "too large"),
        (b'{"query": "{ __typename }", "variables": {"a": %d}}' % (MAX_INT64 + 1), "64 bits"),
        (b'{"query": "{ __typename }", "variables": {"a": %d}}' % (-MAX_INT64 - 2), "64 bits"),
        (b'{"query": "{ __typename }", "variables": {"a": %s}}' % (b"9" * 100_000), "64 bits"),
    ],
)
async def test_what_is_no_request(api: Api, body: bytes, message: str, accept: str) -> None:
    response = await post(api, body, accept)
    assert refused(response) == (400, "BAD_REQUEST")
    assert message in response.json()["errors"][0]["message"]
    assert api.statements == []


async def test_the_widest_numbers_and_letters_are_read(api: Api) -> None:
    for number in (MAX_INT64, -MAX_INT64 - 1):
        body = b'{"query": "query($n: Int64) { __typename @skip(if: $n) }", "variables": {"n": %d}}' % number
        (error,) = (await post(api, body)).json()["errors"]
        assert error["message"].startswith("Variable '$n' of type 'Int64' used in position expecting type")
    body = b'{"query": "%s", "variables": {"s": "\\ud83c\\udfc3 \\\\u0000"}}' % TEXT.encode()
    assert (await post(api, body)).json() == {"data": {"shop": {"store": None}}}


def _deep(levels: int, opens: bytes = b"[", closes: bytes = b"]") -> bytes:
    return b'{"query": "{ __typename }", "variables": {"a": %s1%s}}' % (opens * levels, closes * levels)


async def test_json_has_a_depth(api: Api) -> None:
    assert (await post(api, _deep(MAX_JSON_DEPTH - 2))).json() == {"data": {"__typename": "Query"}}
    for levels in (MAX_JSON_DEPTH - 1, 100, 900, 990, 1_000, 5_000, MAX_JSON_VALUES - 100, 100_000):
        assert refused(await post(api, _deep(levels))) == (400, "LIMIT_EXCEEDED"), levels
        if levels < 50_000:
            assert refused(await post(api, _deep(levels, b'{"a":', b"}"))) == (400, "LIMIT_EXCEEDED"), levels
    assert refused(await post(api, b"[" * 100_000)) == (400, "LIMIT_EXCEEDED")


async def test_json_has_a_size(api: Api) -> None:
    def many(values: int) -> bytes:
        return b'{"query": "{ __typename }", "variables": {"a": [%s]}}' % b",".join([b"1"] * values)

    most = MAX_JSON_VALUES - 4  # and the brackets around them, one of the query too
    assert (await post(api, many(most))).json() == {"data": {"__typename": "Query"}}
    assert refused(await post(api, many(most + 1))) == (400, "LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    "url",
    [
        "?documentId=%ff",
        "?documentId=%ed%a0%80",
        "?documentId=%00",
        "?documentId=a&documentId=a",
        "?documentId=a&variables={",
        "?documentId=a&variables=[]",
        "?documentId=a&variables=%22%22",
        "?documentId=a&extensions=5",
        "?documentId=a&variables=" + "[" * 2_000,
        "?documentId=a&variables={%22a%22:1e400}",
        "?" + "&".join(f"a{number}=" for number in range(100)),
        "?",
        "?variables={}",
        "",
    ],
)
async def test_what_is_no_url(api: Api, url: str) -> None:
    response = await api.http.get(f"/graphql{url}", headers={"Accept": JSON})
    status, code = refused(response)
    assert status == 400
    assert code in {"BAD_REQUEST", "LIMIT_EXCEEDED"}
    assert response.headers["cache-control"] == "no-store"


async def test_large_bodies_over_real_http(db: Database) -> None:
    """Whether the client says how much it sends or not, and the next request has its answer."""

    async def parts() -> Any:
        for _ in range(20):
            yield b" " * 1024 * 1024

    headers = {"Content-Type": JSON}
    async with serving(create_app(db, token_secret=SECRET)) as address, httpx.AsyncClient(trust_env=False) as http:
        for body in (b" " * 20 * 1024 * 1024, parts(), b" " * (MAX_BODY_BYTES + 1)):
            assert refused(await http.post(f"{address}/graphql", content=body, headers=headers)) == (
                413,
                "LIMIT_EXCEEDED",
            )
            answer = await http.post(f"{address}/graphql", json={"query": "{ __typename }"})
            assert answer.json() == {"data": {"__typename": "Query"}}


async def test_a_public_client(api: Api) -> None:
    """Queries, mutations and errors through gql, with each of its two transports."""
    async with api.db.write() as session:
        store = await factories.a_store(session)
    token = await api.token("operator")
    async with serving(create_app(api.db, token_secret=SECRET)) as address:
        for transport in (AIOHTTPTransport, HTTPXAsyncTransport):
            url, headers = f"{address}/graphql", {"Authorization": f"Bearer {token}"}
            async with Client(transport=transport(url), fetch_schema_from_transport=True) as shop:
                query = gql("query($s: String!) { shop { store(slug: $s) { title } } }")
                query.variable_values = {"s": store.slug}
                assert await shop.execute(query) == {"shop": {"store": {"title": store.title}}}
                entered = await shop.execute(gql("mutation { enterAsGuest { token } }"))
                assert entered["enterAsGuest"]["token"]
                with pytest.raises(TransportQueryError) as raised:
                    await shop.execute(gql("{ brand { name } }"))
                assert raised.value.errors is not None
                assert raised.value.errors[0]["extensions"] == {"code": "UNAUTHENTICATED"}
            async with Client(transport=transport(url, headers=headers)) as operator:
                mutation = gql('mutation { suspendDistributor(id: "x", reason: "x") { __typename } }')
                assert (await operator.execute(mutation))["suspendDistributor"]["__typename"] == "BadArgument"
                with pytest.raises(TransportQueryError) as raised:
                    await operator.execute(gql("{ nothing }"))
                assert raised.value.errors is not None
                assert raised.value.errors[0]["extensions"] == {"code": "BAD_REQUEST"}
