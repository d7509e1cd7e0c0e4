"""The schema as a whole: its file, its operations, its doors."""

from collections.abc import Iterator

import pytest
from graphql import (
    FieldNode,
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    is_interface_type,
    is_object_type,
    is_union_type,
    parse,
    validate,
    visit,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types.field import StrawberryField

from s2b2c.api import access
from s2b2c.api.schema import Mutation, Query, sdl
from s2b2c.api.shop import ShopQuery
from s2b2c.api.types.ids import decode, encode
from s2b2c.api.types.money import INT64
from s2b2c.config import resource
from s2b2c.db import MAX_INT64
from tests.api.operations import FOLDER

SEES_SUPPLY = {access.BrandDoor, access.FinanceDoor, access.OperatorDoor, access.SupplyDoor}


def test_the_file_is_current() -> None:
    assert (resource("graphql") / "schema.graphql").read_text(encoding="utf-8") == sdl(), "run `make schema`"


def test_the_operations_fit_the_schema() -> None:
    folder = resource("graphql") / "operations"
    files = sorted(folder.rglob("*.graphql"))
    answered = {str(file.relative_to(FOLDER)).split(".", maxsplit=1)[0] for file in FOLDER.rglob("*.json")}
    assert {str(file.relative_to(folder).with_suffix("")) for file in files} == answered
    schema = build_schema(sdl())
    for file in files:
        assert validate(schema, parse(file.read_text(encoding="utf-8"))) == [], file


def _fields(root: type) -> set[tuple[str, StrawberryField]]:
    """(name in GraphQL, field)."""
    definition = root.__strawberry_definition__  # type: ignore[attr-defined]  # the decorator adds it
    names = StrawberryConfig().name_converter
    return {(names.get_graphql_name(field), field) for field in definition.fields}


def test_every_mutation_has_a_door() -> None:
    assert {field.permission_classes[0] for _, field in _fields(Mutation)} == {
        access.Shopper,
        access.CustomerDoor,
        access.PartnerDoor,
        access.BrandDoor,
        access.FinanceDoor,
        access.OperatorDoor,
        access.NoticeDoor,
        access.PayoutDoor,
        access.FinanceDoor,
        access.InviteDoor,
        access.SupplyDoor,
        access.SignedIn,
    }
    assert {name for name, field in _fields(Mutation) if field.permission_classes[0] is access.Shopper} == {
        "enterAsGuest",
        "requestCode",
        "signInWithCode",
        "signInWithPassword",
        "signInWithWechat",
        "refreshSession",
        "acceptInvitation",
    }
    assert all(len(field.permission_classes) == 1 for _, field in _fields(Mutation))


def test_every_root_field_has_a_door() -> None:
    doors = {name: field.permission_classes for name, field in _fields(Query)}
    assert [field.permission_classes for name, field in _fields(ShopQuery) if name == "me"] == [[access.CustomerDoor]]
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
    """No field behind their doors is even named like it, also not in what a mutation of theirs answers."""
    schema = build_schema(sdl())
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    doors = {name: field.permission_classes for name, field in _fields(Query) | _fields(Mutation)}
    walked: set[tuple[str, str]] = set()
    for root in (schema.query_type, schema.mutation_type):
        for name, field in root.fields.items():
            if doors[name][0] in SEES_SUPPLY:
                continue
            type_ = get_named_type(field.type)
            for start in schema.get_possible_types(type_) if is_union_type(type_) else [type_]:
                walked |= set(_reachable(schema, start))
    assert {"Order", "SoldOrder", "OrderLine", "Cart", "RefusedTouch", "PayoutAccount"} <= {
        owner for owner, _ in walked
    }
    assert {"Storefront", "OwnListing", "OfferedVariant", "LineEarning", "StatementLine", "TeamBranch"} <= {
        owner for owner, _ in walked
    }
    allowed = {
        ("CatalogueProduct", "cost"),  # of the tier of who is asking, as the next
        ("OfferedVariant", "cost"),
        ("CommissionExplanation", "cost"),
        ("CommissionExplanation", "base"),  # which of the two it is
        ("CommissionExplanation", "baseAmount"),  # null of a margin
    }
    secret = {"supply", "cost", "margin", "base", "platform", "payable"}
    assert {(owner, name) for owner, name in walked if secret & set(_words(name))} == allowed


def test_every_field_of_a_door_is_in_an_operation_on_the_sample() -> None:
    """So that `test_no_supply_price_reaches` sees the value of each."""
    schema = build_schema(sdl())
    assert schema.query_type is not None
    folder = resource("graphql") / "operations"
    for door in ("shop", "partner"):
        asked: set[tuple[str, str]] = set()
        for file in folder.glob(f"{door}/*.graphql"):
            asked |= _asked(schema, file.read_text(encoding="utf-8"))
        every = set(_reachable(schema, get_named_type(schema.query_type.fields[door].type)))
        assert {pair for pair in every - asked if pair[0] != "PageInfo"} == set()


def _asked(schema: GraphQLSchema, document: str) -> set[tuple[str, str]]:
    """(type, field) of what an operation asks for."""
    found: set[tuple[str, str]] = set()
    types = TypeInfo(schema)

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: object) -> None:
            parent = types.get_parent_type()
            assert parent is not None
            found.add((parent.name, node.name.value))

    visit(parse(document), TypeInfoVisitor(types, Fields()))
    return found


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
