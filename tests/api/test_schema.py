"""The schema as a whole: its file, its operations, its doors."""

from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_interface_type,
    is_object_type,
    is_union_type,
    parse,
    validate,
)

from s2b2c.api import access
from s2b2c.api.schema import Query, sdl
from s2b2c.api.types.ids import MAX_INT64, decode, encode
from s2b2c.api.types.money import INT64
from s2b2c.config import resource

SEES_SUPPLY = {"brand", "finance", "operator"}


def test_the_file_is_current() -> None:
    assert (resource("graphql") / "schema.graphql").read_text(encoding="utf-8") == sdl(), "run `make schema`"


def test_the_operations_fit_the_schema() -> None:
    files = sorted((resource("graphql") / "operations").rglob("*.graphql"))
    assert len(files) > 30
    for file in files:
        assert validate(build_schema(sdl()), parse(file.read_text(encoding="utf-8"))) == [], file


def test_every_root_field_has_a_door() -> None:
    definition = Query.__strawberry_definition__  # type: ignore[attr-defined]  # the decorator adds it
    doors = {field.name: field.permission_classes for field in definition.fields}
    assert doors == {
        "shop": [access.Shopper],
        "partner": [access.PartnerDoor],
        "brand": [access.BrandDoor],
        "finance": [access.FinanceDoor],
        "operator": [access.OperatorDoor],
    }


def _reachable(schema: GraphQLSchema, start: GraphQLObjectType) -> Iterator[tuple[str, str]]:
    """(type, field) of everything that can be asked from this type on."""
    seen, waiting = {start}, [start]
    while waiting:
        current = waiting.pop()
        for name, field in current.fields.items():
            yield current.name, name
            type_ = get_named_type(field.type)
            members = [type_]
            if is_union_type(type_) or is_interface_type(type_):
                members = list(schema.get_possible_types(type_))
            for member in members:
                if is_object_type(member) and member not in seen:
                    seen.add(member)
                    waiting.append(member)


def test_customers_and_distributors_never_see_what_supply_costs() -> None:
    schema = build_schema(sdl())
    assert schema.query_type is not None
    walked = 0
    for door, field in schema.query_type.fields.items():
        if door in SEES_SUPPLY:
            continue
        for owner, name in _reachable(schema, get_named_type(field.type)):
            walked += 1
            assert not {"supply", "cost", "margin"} & set(_words(name)), f"{owner}.{name}"
    assert walked > 20


def _words(name: str) -> list[str]:
    return "".join(f" {letter}" if letter.isupper() else letter for letter in name).lower().split()


def test_opaque_names_come_back_as_they_went() -> None:
    assert encode("product", 12) == "cHJvZHVjdDoxMg=="
    assert decode("product", "cHJvZHVjdDoxMg==", length=1) == (12,)
    for key in [(0,), (-5, 7), (MAX_INT64, -MAX_INT64)]:
        assert decode("output", encode("output", *key), length=len(key)) == key


def test_only_what_encode_wrote_is_decoded() -> None:
    for text in [
        "",
        "garbage",
        "产品",
        "cHJvZHVjdDoxMg",
        "cHJvZHVjdDowMTI=",
        encode("brand", 12),
        encode("product", 2**63),
    ]:
        with pytest.raises(ValueError, match=r".+"):
            decode("product", text, length=1)


def test_int64_is_an_integer_of_64_bits() -> None:
    assert INT64.serialize is not None
    for value in [0, -1, MAX_INT64, -MAX_INT64 - 1]:
        assert INT64.serialize(value) == value
    for wrong in [MAX_INT64 + 1, -MAX_INT64 - 2, True, 1.0, "1", None]:
        with pytest.raises(ValueError, match="64 bits"):
            INT64.serialize(wrong)
