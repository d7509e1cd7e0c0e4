"""What is refused before it runs, and what a client is told when something breaks."""

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query, parse
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import stores
from s2b2c.api.connections import MAX_FIRST
from s2b2c.api.limits import (
    MAX_BODY_BYTES,
    MAX_CHARACTERS,
    MAX_COST,
    MAX_ERRORS,
    MAX_TOKENS,
    _Measure,
    read,
)
from s2b2c.api.schema import schema
from s2b2c.config import resource
from tests.api.client import Api
from tests.databases import cut_off


async def _post(api: Api, body: bytes) -> httpx.Response:
    return await api.http.post("/graphql", content=body, headers={"Content-Type": "application/json"})


async def _refused(api: Api, query: str, **variables: Any) -> str:
    """What the one error says, by which a limit refuses a request before it runs."""
    answer = await api.ask(query, **variables)
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "LIMIT_EXCEEDED"}
    assert "data" not in answer
    assert api.statements == []
    return str(error["message"])


async def _is_within(api: Api, query: str, **variables: Any) -> bool:
    """No limit refuses it, whatever else does."""
    errors = (await api.ask(query, **variables)).get("errors", [])
    return all(error["extensions"] != {"code": "LIMIT_EXCEEDED"} for error in errors)


def _some(part: str, count: int) -> str:
    """The part so many times, each with its number at the place of #."""
    return " ".join(part.replace("#", str(number)) for number in range(count))


def _nested(levels: int) -> str:
    return "{ a " * levels + "}" * levels


DOCUMENTS: list[tuple[Callable[[int], str], int, str]] = [
    (lambda n: f"{{{'x' * (n - 2)}}}", 10_000, "10,001 characters; at most 10,000 are allowed"),
    (lambda n: f"{{a(b:[{_some('1', n - 9)}])}}", 512, "more than 512 tokens"),
    (lambda n: f"{{a(b:{'[' * (n - 2)}{']' * (n - 2)})}}", 40, "41 brackets in one another; at most 40 are allowed"),
    (lambda n: _some("query A# { __typename }", n), 10, "11 operations; at most 10 are allowed"),
    (lambda n: "{a}" + _some("fragment A# on Query { a }", n), 20, "21 fragments; at most 20 are allowed"),
    (lambda n: f"{{a {_some('@b#', n)}}}", 20, "21 directives; at most 20 are allowed"),
    (lambda n: f"{{a(b: {'9' * n})}}", 30, "31 digits in one number; at most 30 are allowed"),
    (_nested, 20, "21 levels of fields and fragments; at most 20 are allowed"),
    (
        lambda n: f"{{{_some('a#', n)}}}",
        300,
        "301 fields and fragments, each as often as it is used; at most 300 are allowed",
    ),
    (
        lambda n: f"{{{_some('a#: b', n)}}}",
        30,
        "31 aliases, each as often as it is used; at most 30 are allowed",
    ),
    (lambda n: f"{{{_some('a', n + 1)}}}", 30, "31 fields that are asked for already; at most 30 are allowed"),
    (
        lambda n: f"{{__schema{{types{'{fields{type' * n}{{name}}{'}}' * n}}}}}",
        1,
        "2 levels of lists in its introspection; at most 1 are allowed",
    ),
]


async def test_what_a_document_may_have(api: Api) -> None:
    for document, most, told in DOCUMENTS:
        assert await _is_within(api, document(most)), told
        assert await _refused(api, document(most + 1)) == f"The request has {told}."


async def test_what_is_too_deep_to_be_parsed(api: Api) -> None:
    for document in (_nested(250), f"{{ a(b: {'[' * 250}{']' * 250}) }}"):
        assert await _refused(api, document) == "The request has more than 200 brackets in one another."


async def test_a_fragment_counts_as_often_as_it_is_used(api: Api) -> None:
    spread = f"fragment A on Query {{ ...B }} fragment B on Query {{ {_some('a#', 73)} }}"
    assert await _is_within(api, _some("query Q# { ...A }", 4) + spread)
    message = await _refused(api, _some("query Q# { ...A }", 5) + spread)
    assert message.startswith("The request has 375 fields and fragments")


async def test_a_level_of_a_fragment_counts_where_it_is_used(api: Api) -> None:
    document = "{ a { ...A } } fragment A on Query { a { ... { ...B } } } fragment B on Query "
    assert await _is_within(api, document + _nested(15))
    assert (await _refused(api, document + _nested(16))).startswith("The request has 21 levels")


async def test_what_nobody_uses_counts_too(api: Api) -> None:
    """It is validated like all the rest."""
    message = await _refused(api, f"{{ __typename }} fragment A on Query {_nested(30)}")
    assert message.startswith("The request has 30 levels")
    message = await _refused(api, f"{{ __typename }} fragment A on Query {{ {_some('a', 100)} }}")
    assert message.startswith("The request has 99 fields that are asked for already")


async def test_the_same_field_in_many_pieces(api: Api) -> None:
    """What is compared with one another may stand in fragments and below other fields."""
    message = await _refused(api, f"{{ {_some('shop { store(slug: 1) { id } }', 12)} }}")
    assert message == "The request has 33 fields that are asked for already; at most 30 are allowed."
    message = await _refused(api, f"{{ {_some('...A', 20)} {_some('... {a}', 20)} }} fragment A on Query {{ a }}")
    assert message == "The request has 39 fields that are asked for already; at most 30 are allowed."


async def test_fragments_that_double_cost_nothing(api: Api) -> None:
    doubling = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(15))
    message = await _refused(api, f"{{ ...F0 }} {doubling} fragment F15 on Query {{ a }}")
    assert message.startswith(f"The request has {3 * 2**15 - 1:,} fields and fragments")


async def test_fragments_in_a_circle(api: Api) -> None:
    answer = await api.ask("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }")
    (error,) = answer["errors"]
    assert error["message"] == "Cannot spread fragment 'A' within itself."
    assert error["extensions"] == {"code": "BAD_REQUEST"}


async def test_two_fragments_with_one_name(api: Api) -> None:
    """Only one of them would be measured, but both would be validated."""
    answer = await api.ask(f"{{ ...A }} fragment A on Query {{ {_some('a', 100)} }} fragment A on Query {{ a }}")
    (error,) = answer["errors"]
    assert error["message"] == "There can be only one fragment named 'A'."


async def test_not_every_mistake_is_told(api: Api) -> None:
    errors = (await api.ask(f"{{ {_some('a#', 300)} }}"))["errors"]
    assert [error["extensions"]["code"] for error in errors] == ["BAD_REQUEST"] * (MAX_ERRORS + 1)
    assert errors[-1]["message"] == "Too many validation errors, error limit reached. Validation aborted."


RUNS = """
query Runs($runs: Int! = 24, $statements: Int! = 24, $lines: Int! = 24) { finance {
  runs(first: $runs) { edges { node { statements(payee: BRAND, first: $statements) { edges { node {
    lines(first: $lines) { edges { node { id } } } } } } } } }
} }
"""
"""Answers 2 + 3 runs + 3 runs statements + 3 runs statements lines."""


def _cost(query: str, **variables: Any) -> int:
    document = read(schema._schema, query)
    assert document.errors == []
    (cost,) = document.costs.values()
    return cost.of(variables)


async def test_the_cost_of_pages_in_pages(api: Api) -> None:
    most = {"runs": 36, "statements": 36, "lines": 36}
    assert _cost(RUNS, **most) == 2 + 3 * 36 + 3 * 36**2 + 3 * 36**3 == 143_966
    assert await _is_within(api, RUNS, **most)
    message = await _refused(api, RUNS, **most | {"runs": 38})
    assert message == f"The request has {2 + 38 * 3999:,} fields to answer; at most 150,000 are allowed."
    assert await _refused(api, RUNS, runs=100, statements=100, lines=100)


def test_where_the_size_of_a_page_stands() -> None:
    """In a variable, in its default, in the document, or nowhere: then it is that of the schema, which is 24."""
    whole = 2 + 3 * 24 + 3 * 24**2 + 3 * 24**3
    assert _cost(RUNS) == whole
    assert _cost(RUNS.replace(" = 24", " = 5"), runs=24, statements=24, lines=24) == whole
    assert _cost(RUNS.replace(" = 24", " = 5")) == 2 + 3 * 5 + 3 * 5**2 + 3 * 5**3
    written = RUNS.partition("{")[2].replace("first: $lines", "first: 7").replace(", first: $statements", "")
    assert _cost("{" + written.replace("$runs", "5")) == 2 + 3 * 5 + 3 * 5 * 24 + 3 * 5 * 24 * 7


def test_a_page_that_no_list_has_counts_as_one_that_there_is() -> None:
    """Its list refuses it, so its size is never a way around the limit, nor a way to break the reckoning."""
    one, largest = 2 + 3 + 3 + 3, 2 + 3 * 100 * 3
    for size, whole in [(0, one), (-5, one), (10**400, largest), (1e300, largest), (float("inf"), largest)]:
        assert _cost(RUNS, runs=size, statements=1, lines=1) == whole
    nonsense: list[Any] = [float("nan"), "many", None, [], {}, True]
    assert {_cost(RUNS, runs=size, statements=1, lines=1) for size in nonsense} == {one}
    digits = "9" * 30
    for query in (
        f"{{ finance {{ runs(first: {digits}) {{ edges {{ cursor }} }} }} }}",
        f"query($n: Int! = {digits}) {{ finance {{ runs(first: $n) {{ edges {{ cursor }} }} }} }}",
    ):
        assert read(schema._schema, query).costs[None].of({}) == 2 + 2 * 100


def test_a_list_without_pages_counts_as_three() -> None:
    variants = (
        '{ shop { store(slug: "") { listings(first: 10) { edges { node { variants { options { name } } } } } } } }'
    )
    assert _cost(variants) == 3 + 10 * (3 + 3 * (1 + 3))


def test_only_the_operation_that_runs_is_paid_for() -> None:
    document = read(schema._schema, RUNS + "query Small { __typename }")
    assert document.costs["Small"].of({}) == 1
    assert document.costs["Runs"].of({}) == _cost(RUNS)


def test_how_near_the_trusted_documents_come() -> None:
    """With each page in turn as large as there is one, and the others as they are by themselves."""
    nearest: dict[str, tuple[int, int, str]] = {}

    def note(count: int, what: str, most: int, name: str) -> None:
        nearest[what] = max(nearest.get(what, (0, most, "")), (count, most, name))

    for file in sorted((resource("graphql") / "operations").rglob("*.graphql")):
        query, name = file.read_text("utf-8"), file.stem
        (cost,) = read(schema._schema, query).costs.values()
        document = parse(query)
        note(len(query), "characters", MAX_CHARACTERS, name)
        note(document.token_count, "tokens", MAX_TOKENS, name)
        for counted in _Measure(schema._schema, document).counts():
            note(*counted, name)
        for page in cost.sizes:
            note(cost.of({page: MAX_FIRST}), "fields to answer", MAX_COST, name)
    assert {what: near for what, near in nearest.items() if near[0] > near[1] * 3 // 4} == {}
    assert len(nearest) == 13


async def test_documents_that_make_no_sense(api: Api) -> None:
    for document in [
        "{",
        "{ shop { nothing } }",
        "{ shop }",
        "{ shop { ...Missing } }",
        "{ shop { ...A } } fragment A on ShopQuery { ...A }",
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
    assert (await api.http.post("/graphql", content=b"{}")).status_code == 415


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
        logging.getLogger("s2b2c.api.telemetry").setLevel(logging.WARNING)  # each request is one line there
        await api.ask("{ brand { name } }", "not a token")
        await api.ask("{ nothing }")
        await api.ask("{")
    assert caplog.records == []
