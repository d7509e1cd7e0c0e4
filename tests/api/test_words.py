"""What the schema says of itself: a description of everything, labels of every enum, lists as Relay has them."""

import re
from collections.abc import Iterator

from graphql import (
    GraphQLNonNull,
    build_schema,
    get_introspection_query,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_introspection_type,
    is_object_type,
    is_specified_scalar_type,
)

from s2b2c.api.schema import schema, sdl
from s2b2c.api.types.glossary import ARGUMENTS, FIELDS, VALUES
from s2b2c.api.types.labels import LABELS
from tests.api.client import Api
from tests.api.operations import check

SCHEMA = build_schema(sdl())
TYPES = [it for it in SCHEMA.type_map.values() if not is_introspection_type(it) and not is_specified_scalar_type(it)]


def _described() -> Iterator[tuple[str, str | None]]:
    """(where, description) of everything that can have one."""
    for type_ in TYPES:
        yield type_.name, type_.description
        if is_enum_type(type_):
            for name, value in type_.values.items():
                yield f"{type_.name}.{name}", value.description
        elif is_object_type(type_) or is_interface_type(type_) or is_input_object_type(type_):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field.description
                for argument, value in getattr(field, "args", {}).items():
                    yield f"{type_.name}.{name}({argument}:)", value.description


def test_everything_has_a_description() -> None:
    described = dict(_described())
    assert len(described) > 1000
    assert [where for where, words in described.items() if not words] == []


def test_no_description_says_the_name_again() -> None:
    """`phone: "The phone."` tells nobody anything."""

    def words(text: str) -> list[str]:
        spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower()
        return [word for word in re.findall(r"[a-z]+", spaced) if word not in {"the", "a", "an", "of", "its", "this"}]

    said = {where: re.split(r"[.(]", where.rstrip(":)"))[-1] for where, _ in _described()}
    assert [where for where, text in _described() if text and words(text) == words(said[where]) != []] == []


def test_descriptions_are_short_sentences() -> None:
    for where, text in _described():
        assert text is not None
        assert text == text.strip(), where
        assert len(text) <= 400, where
        assert "  " not in text, where


def test_no_word_of_the_glossary_is_out_of_use() -> None:
    described = list(_described())
    said = {text for _, text in described}
    assert [name for name, text in {**FIELDS, **ARGUMENTS, **VALUES}.items() if text not in said] == []
    assert set(VALUES) <= {where for where, _ in described}


def test_every_value_of_an_enum_has_a_label_in_both_languages() -> None:
    enums = {type_.name: list(type_.values) for type_ in TYPES if is_enum_type(type_)}
    assert {name: list(values) for name, values in LABELS.items()} == enums
    for values in LABELS.values():
        for name, (chinese, english) in values.items():
            assert re.search(r"[\u4e00-\u9fff]", chinese), name
            assert re.fullmatch(r"[A-Z][\w' ,-]{1,40}", english), name
        assert len({chinese for chinese, _ in values.values()}) == len(values)
        assert len({english for _, english in values.values()}) == len(values)


async def test_labels_are_read_once_for_all(sample: Api) -> None:
    await check(sample, "shop/Labels", statements=0)


def test_lists_are_connections_as_relay_has_them() -> None:
    connections = [type_ for type_ in TYPES if type_.name.endswith("Connection")]
    assert len(connections) > 30
    for type_ in connections:
        assert is_object_type(type_)
        edge = get_named_type(type_.fields["edges"].type)
        assert (str(type_.fields["edges"].type), str(type_.fields["pageInfo"].type)) == (
            f"[{edge.name}!]!",
            "PageInfo!",
        )
        assert is_object_type(edge)
        assert str(edge.fields["cursor"].type) == "String!"
        assert isinstance(edge.fields["node"].type, GraphQLNonNull)
    page_info = SCHEMA.type_map["PageInfo"]
    assert is_object_type(page_info)
    assert {name: str(field.type) for name, field in page_info.fields.items()} == {
        "hasNextPage": "Boolean!",
        "hasPreviousPage": "Boolean!",
        "startCursor": "String",
        "endCursor": "String",
    }


def test_every_field_that_is_a_connection_goes_forward() -> None:
    found = 0
    for type_ in TYPES:
        for name, field in type_.fields.items() if is_object_type(type_) else ():
            if get_named_type(field.type).name.endswith("Connection"):
                arguments = {argument: str(it.type) for argument, it in field.args.items()}
                assert (arguments["first"], arguments["after"]) == ("Int!", "String"), (type_.name, name)
                found += 1
            else:
                assert not {"first", "after", "last", "before"} & set(field.args), (type_.name, name)
    assert found > 30


async def test_a_page_of_none_says_whether_there_is_any(sample: Api) -> None:
    """`first: 0` is a page, too: the specification refuses no more than what is below 0."""
    shown = "edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    token = await sample.token("operator")
    answer = await sample.ask(f"{{ operator {{ tiers(first: 0) {{ {shown} }} }} }}", token)
    assert answer["data"]["operator"]["tiers"] == {
        "edges": [],
        "pageInfo": {"hasNextPage": True, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }
    for wrong in (-1, 101):
        assert await sample.code(f"{{ operator {{ tiers(first: {wrong}) {{ {shown} }} }} }}", token) == "BAD_ARGUMENT"


async def test_introspection_tells_the_same() -> None:
    """The file is printed from what a client reads."""
    result = await schema.execute(get_introspection_query())
    assert result.data is not None
    introspected = result.data["__schema"]["types"]
    told = {it["name"]: it["description"] for it in introspected}
    assert told["OrderState"] == SCHEMA.type_map["OrderState"].description
    (order,) = [it for it in introspected if it["name"] == "Order"]
    (number,) = [field for field in order["fields"] if field["name"] == "orderNo"]
    assert number["description"] == FIELDS["orderNo"]
