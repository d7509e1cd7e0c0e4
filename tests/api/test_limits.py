"""What is refused before it runs, and what a client is told when something breaks."""

import json
import logging

import httpx
import pytest
from graphql import get_introspection_query
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import stores
from s2b2c.api.limits import MAX_BODY_BYTES, MAX_FIELDS
from tests.api.client import Api
from tests.databases import cut_off


async def _post(api: Api, body: bytes) -> httpx.Response:
    return await api.http.post("/graphql", content=body, headers={"Content-Type": "application/json"})


def _deep(levels: int) -> str:
    """The schema is not that deep: the limit stands before what the document means."""
    return "{ shop { " + "store { " * levels + "id" + " }" * levels + " } }"


async def test_depth(api: Api) -> None:
    errors = (await api.ask(_deep(11)))["errors"]
    assert errors[0]["message"] == "The operation has fields in fields, 13 deep; at most 12 are answered."
    assert errors[0]["extensions"] == {"code": "LIMIT_EXCEEDED"}
    assert not [error for error in (await api.ask(_deep(10)))["errors"] if "deep" in error["message"]]


async def test_depth_counts_through_fragments(api: Api) -> None:
    document = (
        '{ shop { ...A } } fragment A on ShopQuery { store(slug: "") { ... { ...B } } } fragment B on Storefront { '
    )
    document += "listings { edges { node { product " * 3 + "{ id }" + " } } }" * 3 + " }"
    errors = (await api.ask(document))["errors"]
    assert errors[0]["message"].startswith("The operation has fields in fields, 13 deep")


async def test_breadth(api: Api) -> None:
    fields = " ".join(f"f{number}: __typename" for number in range(MAX_FIELDS))
    assert await api.code(f"{{ {fields} }}") == "BAD_REQUEST"  # more tokens than a document may have
    halves = "{ ...A b: shop { ...B ...C } } fragment A on Query { shop { ...B ...C } } "
    halves += f"fragment B on ShopQuery {{ {' '.join(['__typename'] * (MAX_FIELDS // 2 - 2))} }} "
    assert "data" in await api.ask(halves + "fragment C on ShopQuery { a: __typename }")
    assert await api.code(halves + "fragment C on ShopQuery { a: __typename b: __typename }") == "LIMIT_EXCEEDED"


async def test_fragments_that_double_cost_nothing(api: Api) -> None:
    """2 to the power of 90 fields in a document of 900 words."""
    doubling = " ".join(f"fragment F{n} on ShopQuery {{ ...F{n + 1} ...F{n + 1} }}" for n in range(90))
    document = f"{{ shop {{ ...F0 }} }} {doubling} fragment F90 on ShopQuery {{ __typename }}"
    assert await api.code(document) == "LIMIT_EXCEEDED"


async def test_documents_that_make_no_sense(api: Api) -> None:
    for document in [
        "{",
        "{ shop { nothing } }",
        "{ shop }",
        "{ shop { ...Missing } }",
        "{ shop { ...A } } fragment A on ShopQuery { ...A }",
        "{ a" * 300,
        "{ shop { store(slug: 5) { id } } }",
        '{ shop { store(slug: "") { listings(first: 99999999999) { edges { cursor } } } } }',
        "mutation { shop }",
        "subscription { shop }",
    ]:
        assert await api.code(document) == "BAD_REQUEST", document


async def test_bodies_that_make_no_sense(api: Api) -> None:
    for body in [b"", b"5", b"null", b"[]", b"\xff", b"{", b"[" * 100_000, b'{"query": 5}', b'{"query": ""}']:
        response = await _post(api, body)
        assert response.status_code == 400, body[:20]
        assert "Traceback" not in response.text
    assert (await api.http.post("/graphql", content=b"{}")).status_code == 400


async def test_the_body_has_a_size(api: Api) -> None:
    fits = json.dumps({"query": "{ __typename }"}).encode()
    fits += b" " * (MAX_BODY_BYTES - len(fits))
    assert (await _post(api, fits)).json() == {"data": {"__typename": "Query"}}
    assert (await _post(api, fits + b" ")).status_code == 413


async def test_introspection_is_allowed(api: Api) -> None:
    answer = await api.ask(get_introspection_query())
    assert answer["data"]["__schema"]["queryType"] == {"name": "Query", "kind": "OBJECT"}
    assert "errors" not in answer


async def test_what_breaks_inside_stays_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(session: AsyncSession, slug: str) -> None:
        raise RuntimeError(f"not at {slug}")

    monkeypatch.setattr(stores, "open_store", broken)
    with caplog.at_level(logging.ERROR):
        answer = await api.run("shop/Storefront", slug="hunter2")
    assert answer == {
        "data": {"shop": {"store": None}},
        "errors": [
            {
                "message": "Something broke on our side; it is in our log.",
                "locations": [{"line": 4, "column": 5}],
                "path": ["shop", "store"],
                "extensions": {"code": "INTERNAL"},
            }
        ],
    }
    (record,) = caplog.records
    assert record.exc_info is None
    told = record.getMessage()
    assert told.startswith("at ['shop', 'store']: RuntimeError\n")
    assert "in broken" in told
    assert "hunter2" not in caplog.text


async def test_a_database_that_is_away(
    api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line a question, and the client learns that it may ask again."""

    async def dead(session: AsyncSession, slug: str) -> None:
        await cut_off(database_url, session)

    monkeypatch.setattr(stores, "open_store", dead)
    with caplog.at_level(logging.ERROR):
        answer = await api.run("shop/Storefront", slug="here")
    (error,) = answer["errors"]
    assert error["message"] == "The database does not answer: try again in a moment."
    assert error["extensions"] == {"code": "UNAVAILABLE"}
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert "the database does not answer (" in record.getMessage()


async def test_refusals_and_bad_requests_are_not_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await api.ask("{ brand { name } }", "not a token")
        await api.ask("{ nothing }")
        await api.ask("{")
    assert caplog.records == []
