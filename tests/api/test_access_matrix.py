"""Every field of the schema x every role: whom the doors admit is asked, and what lies behind each is walked."""

from collections import defaultdict
from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    build_schema,
    get_named_type,
    is_interface_type,
    is_leaf_type,
    is_object_type,
    is_union_type,
)

from s2b2c.api.schema import sdl
from tests.api import access_matrix
from tests.api.access_matrix import EVERYBODY, HARMLESS, WATCHED
from tests.api.access_ranking import RANKING, RANKING_SECRETS
from tests.api.client import Api
from tests.api.doors import OF_A_SESSION, WHO, signed_in
from tests.api.test_nonsense import NONSENSE, _value

SCHEMA = build_schema(sdl())
ROLES = EVERYBODY.split()
DOORS = {
    "Query": (),
    "ShopQuery": ("shop",),
    "Customer": ("shop", "me"),
    "PartnerQuery": ("partner",),
    "BrandQuery": ("brand",),
    "FinanceQuery": ("finance",),
    "OperatorQuery": ("operator",),
    "Mutation": (),
}
"""The types whose fields are asked for by each role, and the fields that lead there."""
KEPT_OUT = {"UNAUTHENTICATED", "FORBIDDEN"}

ROWS = [
    (roles, type_, fields)
    for matrix in (access_matrix.MATRIX, RANKING)
    for roles, types in matrix.items()
    for type_, fields in types.items()
]
SECRETS = access_matrix.SECRETS | RANKING_SECRETS

Cell = tuple[str, str]


def _table() -> dict[Cell, set[str]]:
    """The roles that the table admits to each (type, field)."""
    return {(type_, field): set(roles.split()) for roles, type_, fields in ROWS for field in fields.split()}


TABLE = _table()


def _expected(type_: str, field: str) -> set[str] | None:
    """None where no row has it. The pages of a list are for whom its rows are."""
    rows = type_.removesuffix("Connection").removesuffix("Edge")
    if (type_, field) in TABLE or rows == type_:
        return TABLE.get((type_, field))
    return next((roles for (name, _), roles in TABLE.items() if name == rows), None)


def _members(type_: GraphQLOutputType) -> Iterator[GraphQLObjectType]:
    named = get_named_type(type_)
    if is_object_type(named):
        yield named
    elif is_union_type(named) or is_interface_type(named):
        yield from SCHEMA.get_possible_types(named)


def _walk(owner: str, name: str, field: GraphQLField, roles: set[str], found: dict[Cell, set[str]]) -> None:
    """Note who gets to this field and to all behind it; one of a door is for whom the door admits, at most."""
    if owner in DOORS:
        roles = roles & TABLE.get((owner, name), set())
    if roles <= found[owner, name]:
        return
    found[owner, name] |= roles
    named = get_named_type(field.type)
    if is_interface_type(named):
        for inner in named.fields:
            found[named.name, inner] |= roles
    for member in _members(field.type):
        for inner, it in member.fields.items():
            _walk(member.name, inner, it, roles, found)


def _reached() -> dict[Cell, set[str]]:
    found: dict[Cell, set[str]] = defaultdict(set)
    for root in (SCHEMA.query_type, SCHEMA.mutation_type):
        assert root is not None
        for name, field in root.fields.items():
            _walk(root.name, name, field, set(ROLES), found)
    return found


def test_no_cell_is_untested() -> None:
    """Each field of each type is in one row, each row has a field, and the roles are exactly who gets there."""
    fields = {  # of Node itself no field is
        (type_.name, name)
        for type_ in SCHEMA.type_map.values()
        if (is_object_type(type_) or is_interface_type(type_)) and not type_.name.startswith("__")
        if type_.name != "Node"
        for name in type_.fields
    }
    rows = [(type_, field) for _, type_, names in ROWS for field in names.split()]
    assert len(rows) == len(set(rows)), "a field is in two rows"
    assert {cell for cell in fields if _expected(*cell) is None} == set(), "say who may see it: access_matrix.py"
    assert set(rows) - fields == set(), "a row is of a field that is not there"
    reached = _reached()
    assert fields - set(reached) == set(), "nobody gets there"
    wrong = {cell: (reached[cell], _expected(*cell)) for cell in reached if reached[cell] != _expected(*cell)}
    assert wrong == {}, "(who gets there, who should)"
    assert len(fields) * len(ROLES) > 4_000


def _asked(type_: str, name: str, field: GraphQLField) -> tuple[str, dict[str, object]]:
    """A document that asks for one field of a door, with nothing sensible in it, and its variables."""
    empty = {**NONSENSE, "String": [""], "ID": [""]}
    variables = {argument: _value(it.type, empty, 0) for argument, it in field.args.items()}
    given = ", ".join(f"${argument}: {it.type}" for argument, it in field.args.items())
    passed = ", ".join(f"{argument}: ${argument}" for argument in field.args)
    asked = (
        name
        + (f"({passed})" if passed else "")
        + ("" if is_leaf_type(get_named_type(field.type)) else " { __typename }")
    )
    for outer in reversed(DOORS[type_]):
        asked = f"{outer} {{ {asked} }}"
    return f"{'mutation' if type_ == 'Mutation' else 'query'} {f'({given})' if given else ''} {{ {asked} }}", variables


@pytest.mark.parametrize("type_", DOORS)
async def test_a_door_admits_whom_the_table_says(own_sample: Api, type_: str) -> None:
    """By asking for every field of it with the token of each role: an answer, or the code of a door that is shut."""
    tokens = {role: await own_sample.token(**WHO[role]) if role in WHO else None for role in ROLES}
    owner = SCHEMA.type_map[type_]
    assert is_object_type(owner)
    for name, field in owner.fields.items():
        document, variables = _asked(type_, name, field)
        for role, named in tokens.items():
            token = await signed_in(own_sample, role) if named and name in OF_A_SESSION else named
            answer = await own_sample.ask(document, token, **variables)
            codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
            assert codes <= {*KEPT_OUT, "BAD_ARGUMENT", "PAYMENTS_OFF"}, (name, role, answer)
            shut = {"UNAUTHENTICATED" if token is None else "FORBIDDEN"}
            admitted = role in TABLE[type_, name]
            assert codes & KEPT_OUT == (set() if admitted else shut), (name, role)


def test_secrets_are_told_to_nobody_else() -> None:
    listed = [tuple(cell.split(".")) for secret in SECRETS.values() for cell in secret.fields.split()]
    assert len(listed) == len(set(listed))
    for what, secret in SECRETS.items():
        for cell in secret.fields.split():
            type_, field = cell.split(".")
            assert (type_, field) in TABLE, cell
            assert TABLE[type_, field] <= set(secret.roles.split()), (what, cell)


def test_no_field_that_sounds_like_a_secret_is_unlisted() -> None:
    def words(name: str) -> set[str]:
        return set("".join(f" {letter}" if letter.isupper() else letter for letter in name).lower().split())

    watched = {f"{type_}.{field}" for type_, field in TABLE if words(field) & set(WATCHED.split())}
    listed = {cell for secret in SECRETS.values() for cell in secret.fields.split()}
    assert watched - listed - set(HARMLESS) == set()
    assert set(HARMLESS) - watched == set()


def test_a_distributor_sees_of_others_names_and_totals_alone() -> None:
    """The one above it by name, and each direct downline by name with one total of its branch."""
    shown = {
        (type_.name, name)
        for type_ in SCHEMA.type_map.values()
        if is_object_type(type_)
        for name, field in type_.fields.items()
        if get_named_type(field.type).name in {"Distributor", "DistributorName", "DistributorDetail", "UplineMember"}
        and "distributor" in (_expected(type_.name, name) or ())
    }
    assert shown == {("PartnerQuery", "me"), ("Distributor", "parent"), ("TeamBranch", "distributor")}
    assert [fields for _, type_, fields in ROWS if type_ == "TeamBranch"] == [
        "distributor tier state members output orders"
    ]
