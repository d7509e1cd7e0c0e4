"""Requests that schemathesis makes up from the schema, for each root field, and what no answer to them may be."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.graphql import nodes
from schemathesis.schemas import APIOperation
from strawberry.schema.config import StrawberryConfig
from strawberry.types import get_object_definition

from s2b2c.api.schema import Mutation, Query, sdl
from s2b2c.app import create_app
from s2b2c.db import MAX_INT64
from tests.api.client import SECRET, Api
from tests.api.doors import OF_A_SESSION, WHO, signed_in
from tests.api.test_nonsense import NONSENSE, SENSE
from tests.serving import serving

BROKEN = {"INTERNAL", "UNAVAILABLE"}

_TEXT = st.text(st.characters(codec="utf-8"))


def _mostly(sense: list[Any], nonsense: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What leads somewhere, three times of four: one argument that makes no sense hides what the others do."""
    return st.integers(0, 3).flatmap(lambda turn: st.sampled_from(sense) if turn else nonsense)


schemathesis.graphql.scalar("Int64", st.integers(-MAX_INT64 - 1, MAX_INT64).map(nodes.Int))
schemathesis.graphql.scalar("Int", _mostly([1, 3, 24], st.integers(-(2**31), 2**31 - 1)).map(nodes.Int))
schemathesis.graphql.scalar("String", _mostly(SENSE["String"], _TEXT).map(nodes.String))
schemathesis.graphql.scalar("ID", _mostly(SENSE["ID"], st.sampled_from(NONSENSE["ID"]) | _TEXT).map(nodes.String))


async def ask_what_is_generated(api: Api, examples: int) -> dict[str, Counter[str]]:
    """For each root field how many answers had data, and how many which code. Raises AssertionError for a broken one."""
    tokens = {field: await _token(api, field, role) for field, role in _doors().items()}
    async with serving(create_app(api.db, token_secret=SECRET)) as address:
        return await asyncio.to_thread(_ask, f"{address}/graphql", tokens, examples)


async def _token(api: Api, field: str, role: str) -> str:
    """Of a session where it takes one: what is asked may end that."""
    if field.removeprefix("Mutation.") in OF_A_SESSION:
        return await signed_in(api, role)
    return await api.token(**WHO[role])


def _ask(url: str, tokens: Mapping[str, str], examples: int) -> dict[str, Counter[str]]:
    told: dict[str, Counter[str]] = {}
    with requests.Session() as session:
        session.trust_env = False
        for result in schemathesis.graphql.from_file(sdl()).get_all_operations():
            assert isinstance(result, Ok)
            operation = result.ok()
            session.headers["Authorization"] = f"Bearer {tokens[operation.label]}"
            told[operation.label] = _ask_field(operation, url, session, examples)
    assert told.keys() == tokens.keys()
    return told


def _ask_field(
    operation: APIOperation[Any, Any, Any, Any], url: str, session: requests.Session, examples: int
) -> Counter[str]:
    told: Counter[str] = Counter()
    right, wrong = (operation.as_strategy(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))

    @hypothesis.settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @hypothesis.given(right | wrong)
    def ask(case: Case[Any]) -> None:
        response = case.call(base_url=url, session=session)
        assert response.status_code == 200, (case.body, response.text)
        answer = response.json()
        codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
        assert not codes & BROKEN, (case.body, answer)
        told.update(codes or {"data"})

    ask()
    return told


def _doors() -> dict[str, str]:
    """The role that each root field is asked in."""
    names = StrawberryConfig().name_converter
    doors = {}
    for root in (Query, Mutation):
        for field in get_object_definition(root, strict=True).fields:
            roles = getattr(field.permission_classes[0], "roles", ("customer",))
            doors[f"{root.__name__}.{names.get_graphql_name(field)}"] = roles[0]
    return doors
