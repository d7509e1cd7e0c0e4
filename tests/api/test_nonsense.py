"""Every operation, with every value that a type allows and nobody means: an answer or a refusal, never a breakdown."""

import json
from typing import Any

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    build_schema,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    parse,
    type_from_ast,
)

from s2b2c.api.schema import sdl
from s2b2c.api.types.ids import encode
from s2b2c.config import resource
from s2b2c.db import MAX_INT64
from tests.api.client import Api
from tests.snapshot import snapshot

WHO = {
    "shop": {"role": "customer", "customer": "kh-32001"},
    "partner": {"role": "distributor", "distributor": "ZJ-HZ"},
    "brand": {"role": "brand", "brand": "澄露原述"},
    "finance": {"role": "finance"},
    "operator": {"role": "operator"},
}
NONSENSE: dict[str, list[Any]] = {
    "String": ["", "\x01", "%_\\'\"; --", "９" * 3000, "\u202e\u200b"],
    "ID": ["", "\x01", "garbage", encode("store", MAX_INT64), encode("product", -MAX_INT64), "9" * 3000],
    "Int": [-(2**31), -1, 0, 1, 100, 101, 2**31 - 1],
    "Int64": [-MAX_INT64 - 1, -1, 0, MAX_INT64],
    "Date": ["0001-01-01", "1900-01-01", "2026-09-01", "9999-12-31"],
    "DateTime": [
        "0001-01-01T00:00:00+14:00",
        "2026-09-01T00:00:00Z",
        "2026-09-01T00:00:00",
        "9999-12-31T23:59:59-14:00",
    ],
    "Boolean": [True, False],
}
SENSE: dict[str, list[Any]] = {
    "String": ["hangzhou", "猫粮", "浙江", "SO26103103489"],
    "ID": [
        encode(kind, 1) for kind in ("store", "product", "brand", "distributor", "statement", "settlement-run", "tier")
    ]
    + [encode(kind, 1) for kind in ("ledger-account", "plan", "notice", "variant", "address")]
    + [encode(kind, 1, 1) for kind in ("order", "supply-order")]
    + [encode("commission", 1, 1, 0)],
    "Int": [1, 24],
    "Int64": [12_000],
    "Date": ["2026-09-01", "2026-10-01"],
    "DateTime": ["2026-09-01T00:00:00Z"],
    "Boolean": [True],
}
TOLD = {"BAD_ARGUMENT", "BAD_REQUEST", "LIMIT_EXCEEDED", "PRICE_OUT_OF_BAND"}
_FOLDER = resource("graphql") / "operations"


Values = dict[str, list[Any]]


def _value(type_: Any, values: Values, turn: int) -> Any:
    """The `turn`-th value of a type, its parts turned one on from another."""
    if is_non_null_type(type_):
        return _value(type_.of_type, values, turn)
    if is_list_type(type_):
        return [_value(type_.of_type, values, turn + number) for number in range(turn % 4)]
    named = get_named_type(type_)
    if is_enum_type(named):
        return sorted(named.values)[turn % len(named.values)]
    if is_input_object_type(named):
        assert isinstance(named, GraphQLInputObjectType)
        fields = enumerate(named.fields.items())
        return {name: _value(field.type, values, turn + place) for place, (name, field) in fields}
    return values[named.name][turn % len(values[named.name])]


def _variables(schema: GraphQLSchema, operation: OperationDefinitionNode, values: Values, turn: int) -> dict[str, Any]:
    return {
        definition.variable.name.value: _value(type_from_ast(schema, definition.type), values, turn + 3 * place)
        for place, definition in enumerate(operation.variable_definitions or ())
    }


@pytest.mark.parametrize("door", WHO)
async def test_nonsense_is_refused_and_changes_nothing(own_sample: Api, door: str) -> None:
    """Mutations get nonsense alone; queries also nonsense beside what leads somewhere."""
    schema = build_schema(sdl())
    who = WHO[door]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {await own_sample.token(**who)}"}
    before = await snapshot(own_sample.db)
    codes: set[str] = set()
    for file in sorted(_FOLDER.glob(f"{door}/*.graphql")):
        if file.stem == "EnterAsGuest":  # nothing to say, and it makes a customer
            continue
        document = file.read_text(encoding="utf-8")
        (operation,) = [node for node in parse(document).definitions if isinstance(node, OperationDefinitionNode)]
        values = NONSENSE
        if operation.operation is OperationType.QUERY:
            values = {name: [*SENSE[name], *NONSENSE[name]] for name in NONSENSE}
        for turn in range(max(map(len, values.values()))):
            variables = _variables(schema, operation, values, turn)
            body = json.dumps({"query": document, "variables": variables})
            response = await own_sample.http.post("/graphql", content=body, headers=headers)
            errors = response.json().get("errors") or []
            found = {error["extensions"]["code"] for error in errors}
            assert found <= TOLD, (file.name, variables, errors)
            codes |= found
    assert "BAD_ARGUMENT" in codes
    assert await snapshot(own_sample.db) == before
