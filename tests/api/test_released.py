"""A released schema grows and does not break: what goes was deprecated in a release before."""

import pytest
from graphql import (
    GraphQLSchema,
    Node,
    Visitor,
    VisitorAction,
    build_ast_schema,
    build_schema,
    is_object_type,
    parse,
    visit,
)
from graphql.language import REMOVE
from graphql.utilities import find_breaking_changes

from s2b2c.api.schema import sdl
from s2b2c.config import resource


class _Deprecated(Visitor):
    def enter(self, node: Node, *_: object) -> VisitorAction:
        directives = getattr(node, "directives", None) or ()
        return REMOVE if any(directive.name.value == "deprecated" for directive in directives) else None


def _promised(released: str) -> GraphQLSchema:
    """What of a released schema must stay: what was not deprecated in it, and the types that leads to."""
    schema = build_ast_schema(visit(parse(released), _Deprecated()))
    led_to = GraphQLSchema(schema.query_type, schema.mutation_type)
    members = [
        type_
        for type_ in schema.type_map.values()
        if is_object_type(type_) and any(interface.name in led_to.type_map for interface in type_.interfaces)
    ]
    return GraphQLSchema(schema.query_type, schema.mutation_type, types=members)


def breaks(released: str, now: str) -> list[str]:
    """What breaks for those who use the released schema."""
    return [change.description for change in find_breaking_changes(_promised(released), build_schema(now))]


def test_nothing_breaks_that_was_released() -> None:
    released = (resource("graphql") / "released.graphql").read_text(encoding="utf-8")
    assert breaks(released, sdl()) == [], "deprecate it first; the README says how"


RELEASED = """
interface Node { id: ID! }
type Query { shop(slug: String, old: Int @deprecated): Shop, gone: Gone @deprecated(reason: "use shop") }
type Shop implements Node { id: ID!, title: String!, name: String @deprecated(reason: "use title"), state: State }
type Gone { one: Int }
type Only implements Node { id: ID! }
enum State { OPEN CLOSED SHUT @deprecated(reason: "use CLOSED") }
extend type Query { node: Node }
"""


@pytest.mark.parametrize(
    ("before", "after", "broken"),
    [
        ("title: String!", "title: String!, subtitle: String", []),
        (', name: String @deprecated(reason: "use title")', "", []),
        (', gone: Gone @deprecated(reason: "use shop")', "", []),
        ("type Gone { one: Int }", "", []),
        (", old: Int @deprecated", "", []),
        (' SHUT @deprecated(reason: "use CLOSED")', "", []),
        (" title: String!,", "", ["Field Shop.title was removed."]),
        ("title: String!", "title: String", ["Field Shop.title changed type from String! to String."]),
        ("slug: String", "slug: String!", ["Argument Query.shop(slug:) has changed type from String to String!."]),
        ("slug: String, ", "", ["Argument Query.shop(slug:) was removed."]),
        ("slug: String", "slug: String, at: Int!", ["A required argument Query.shop(at:) was added."]),
        ("OPEN CLOSED", "OPEN", ["Enum value State.CLOSED was removed."]),
        ("type Only implements Node { id: ID! }", "", ["Only was removed."]),
    ],
)
def test_what_breaks(before: str, after: str, broken: list[str]) -> None:
    assert before in RELEASED
    now = RELEASED.replace(before, after)
    if before.startswith("type Gone"):
        now = now.replace(', gone: Gone @deprecated(reason: "use shop")', "")
    assert breaks(RELEASED, now) == broken
