"""Ids of others' things, of nothing and of no form, at every field that takes an id: the short form of the soak."""

import json

from graphql import (
    FieldNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    is_input_object_type,
    is_object_type,
    parse,
    visit,
)

from s2b2c.api.schema import sdl
from tests.api.client import Api
from tests.api.foreign import ROLES, Asker, document, leaks_nothing, places, world

SCHEMA = build_schema(sdl())
DRAWS = 300
AFTER_A_PROOF = {("Mutation", f"signInWith{how}") for how in ("Code", "Password", "Wechat")}
"""They look at the id of a membership as refreshSession does, once a code or a password was right: test_sign_in.py."""


async def test_foreign_ids_lead_nowhere(own_sample: Api) -> None:
    assert await leaks_nothing(own_sample, seed=1, draws=DRAWS) > DRAWS // 6


async def test_own_ids_lead_somewhere(own_sample: Api) -> None:
    """Else the answers to foreign ones would be alike for another reason."""
    operations = await world(own_sample)
    asker = Asker(own_sample, operations, 1)
    await asker.ready()
    for operation, variables in operations.items():
        token = asker.tokens[ROLES[operation.partition("/")[0]]]
        answer = json.loads(await asker.ask(operation, variables, token))
        assert "errors" not in answer, (operation, answer)
        found = answer["data"]
        while isinstance(found, dict) and len(found) == 1:
            (found,) = found.values()
        assert found is not None, (operation, answer)
        assert not isinstance(found, dict) or found.get("code") not in {"NOT_FOUND", "BAD_ARGUMENT"}, (
            operation,
            answer,
        )


async def test_every_field_that_takes_an_id_is_asked(own_sample: Api) -> None:
    taking = {
        (type_.name, name)
        for type_ in SCHEMA.type_map.values()
        if is_object_type(type_) and not type_.name.startswith("__")
        for name, field in type_.fields.items()
        if any(_holds_id(argument.type) for argument in field.args.values())
    }
    asked: set[tuple[str, str]] = set()
    types = TypeInfo(SCHEMA)

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: object) -> None:
            parent = types.get_parent_type()
            assert parent is not None
            asked.add((parent.name, node.name.value))

    for operation, variables in (await world(own_sample)).items():
        assert list(places(variables)), operation
        visit(parse(document(operation)), TypeInfoVisitor(types, Fields()))
    assert taking - asked == AFTER_A_PROOF
    assert len(taking) > 40


def _holds_id(type_: object) -> bool:
    named = get_named_type(type_)  # type: ignore[call-overload]  # of any argument
    if is_input_object_type(named):
        return any(_holds_id(field.type) for field in named.fields.values())
    return bool(named.name == "ID")
