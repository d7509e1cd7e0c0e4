"""What is refused before it runs: documents too long, too deep or too wide, answers too large. And when time is up."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple, NoReturn

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Token,
    TokenKind,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    introspection_types,
    is_composite_type,
    is_list_type,
    parse,
    specified_rules,
    validate,
)
from graphql.language.parser import MAX_NESTING_DEPTH
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from s2b2c.api.connections import MAX_FIRST
from s2b2c.config import settings

MAX_BODY_BYTES = 512 * 1024
MAX_CHARACTERS = 10_000
MAX_TOKENS = 512
MAX_OPERATIONS = 10
MAX_FRAGMENTS = 20
MAX_DIRECTIVES = 20
MAX_DIGITS = 30
MAX_BRACKETS = 40
MAX_DEPTH = 20
MAX_SELECTIONS = 300
MAX_ALIASES = 30
MAX_REPEATS = 30
MAX_COST = 150_000
PAGE_SIZES = frozenset({"first", "last", "top"})
LIST = 3
"""What a list that has no pages counts as."""
MAX_ERRORS = 10
"""What is told of one document: to look for every mistake takes longer the more there are."""
DOCUMENTS = 256
"""Those that are remembered: all trusted ones, and then some."""

_OPENING = {TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L}
_CLOSING = {TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R}
_RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)


class Limits(SchemaExtension):
    """Parses and validates each document once; what depends on the values of its variables is checked every time."""

    _parsed: "Parsed"

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        assert context.query, "without one there is nothing to parse"
        self._parsed = read(context.schema._schema, context.query)  # noqa: SLF001  it has no public name
        context.graphql_document = self._parsed.node
        is_named = context._provided_operation_name is not None  # noqa: SLF001  its property makes one up
        if not is_named and len(self._parsed.operations) > 1:
            raise GraphQLError("Of several operations in one document, operationName says which one is to run.")
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        context.pre_execution_errors = self._parsed.errors
        if not self._parsed.errors:
            variables = context.variables or {}
            _check(self._parsed.costs[context.operation_name].of(variables), "fields to answer", MAX_COST)
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        seconds = settings().operation_seconds
        try:
            async with asyncio.timeout(seconds):  # cancels the SQL that is under way
                yield
        except TimeoutError:
            raise GraphQLError(
                f"The operation took longer than {seconds:g} seconds and was stopped. Ask for less; where it changes "
                "something, look first whether it did.",
                extensions={"code": "DEADLINE_EXCEEDED"},
            ) from None


class _Cost(NamedTuple):
    """How many fields an operation answers at most."""

    fields: Counter[tuple[str, ...]]
    """By the variables that they are multiplied with: the sizes of the pages that they are in."""
    sizes: dict[str, Any]
    """What each of these variables is where it is not given."""

    def of(self, variables: Mapping[str, Any]) -> int:
        sizes = {name: _rows(variables.get(name, default)) for name, default in self.sizes.items()}
        return sum(count * prod(sizes[name] for name in names) for names, count in self.fields.items())


class Parsed(NamedTuple):
    node: DocumentNode
    operations: Sequence[OperationDefinitionNode]
    errors: list[GraphQLError]
    costs: Mapping[str | None, _Cost]
    """By the name of the operation."""


@lru_cache(maxsize=DOCUMENTS)
def read(schema: GraphQLSchema, query: str) -> Parsed:
    """Takes time in proportion to the limits, whatever the query is. Raises GraphQLError."""
    _check(len(query), "characters", MAX_CHARACTERS)
    try:
        node = parse(query, max_tokens=MAX_TOKENS)
    except GraphQLSyntaxError as error:
        if not error.message.endswith("Parsing aborted."):
            raise
        is_long = "tokens" in error.message
        _refuse(f"more than {f'{MAX_TOKENS} tokens' if is_long else f'{MAX_NESTING_DEPTH} brackets in one another'}")
    measure = _Measure(schema, node)
    for count, what, most in measure.counts():
        _check(count, what, most)
    return Parsed(node, measure.operations, validate(schema, node, _RULES, max_errors=MAX_ERRORS), measure.costs)


class _Size(NamedTuple):
    """Of selections, fragments written out."""

    depth: int
    selections: int
    aliases: int


class _Measure:
    """Of a document that is not validated yet, and that is validated only if it is within the limits."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self.costs: dict[str | None, _Cost] = {}
        self.operations = [it for it in document.definitions if isinstance(it, OperationDefinitionNode)]
        self._schema = schema
        self._document = document
        self._fragments: dict[str, FragmentDefinitionNode] = {}
        self._sizes: dict[str, _Size | None] = {}

    def counts(self) -> Iterator[tuple[int, str, int]]:
        """What there is, and the limit; each bounds how long the next ones take. Raises GraphQLError."""
        definitions = self._document.definitions
        operations = self.operations
        yield len(operations), "operations", MAX_OPERATIONS
        yield len(definitions) - len(operations), "fragments", MAX_FRAGMENTS
        tokens = list(_tokens(self._document))
        yield sum(it.kind is TokenKind.AT for it in tokens), "directives", MAX_DIRECTIVES
        numbers = (it.value or "" for it in tokens if it.kind in {TokenKind.INT, TokenKind.FLOAT})
        yield max(map(len, numbers), default=0), "digits in one number", MAX_DIGITS
        brackets = accumulate((it.kind in _OPENING) - (it.kind in _CLOSING) for it in tokens)
        yield max(brackets), "brackets in one another", MAX_BRACKETS
        for it in definitions:
            if isinstance(it, FragmentDefinitionNode) and self._fragments.setdefault(it.name.value, it) is not it:
                raise GraphQLError(f"There can be only one fragment named '{it.name.value}'.", it)
        sizes = [self._size(it.selection_set) for it in operations]
        unused = [it for name, it in self._fragments.items() if name not in self._sizes]
        sizes += [self._size_of(it.name.value) for it in unused]  # nobody runs them, but they are validated
        yield max((it.depth for it in sizes), default=0), "levels of fields and fragments", MAX_DEPTH
        yield sum(it.selections for it in sizes), "fields and fragments, each as often as it is used", MAX_SELECTIONS
        yield sum(it.aliases for it in sizes), "aliases, each as often as it is used", MAX_ALIASES
        written = [_Written(self._schema, self._fragments, it) for it in operations]
        names = [it.name.value if it.name else None for it in operations]
        self.costs = {name: it.cost for name, it in zip(names, written, strict=True)}
        written += [_Written(self._schema, self._fragments, it) for it in unused]
        yield sum(it.repeats for it in written), "fields that are asked for already", MAX_REPEATS
        yield max((it.type_lists for it in written), default=0), "levels of lists in its introspection", 1

    def _size(self, selections: SelectionSetNode | None) -> _Size:
        depth = count = aliases = 0
        for selection in selections.selections if selections else ():
            if isinstance(selection, FragmentSpreadNode):
                inner = self._size_of(selection.name.value)
            else:
                assert isinstance(selection, FieldNode | InlineFragmentNode)
                inner = self._size(selection.selection_set)
                aliases += isinstance(selection, FieldNode) and selection.alias is not None
            depth = max(depth, inner.depth + 1)
            count += inner.selections + 1
            aliases += inner.aliases
        return _Size(depth, count, aliases)

    def _size_of(self, fragment: str) -> _Size:
        if fragment not in self._sizes:
            self._sizes[fragment] = None
            definition = self._fragments.get(fragment)
            self._sizes[fragment] = self._size(definition.selection_set if definition else None)
        size = self._sizes[fragment]
        if size is None:
            raise GraphQLError(f"Cannot spread fragment '{fragment}' within itself.", self._fragments[fragment])
        return size


class _Place(NamedTuple):
    """Where selections stand: their type, if it is known, and how often they are answered."""

    type: GraphQLNamedType | None
    times: int = 1
    pages: tuple[str, ...] = ()
    """The variables that this is multiplied with."""
    is_page: bool = False
    type_lists: int = 0


class _Written:
    """A definition with its fragments written out; that this is not large was seen before."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        definition: OperationDefinitionNode | FragmentDefinitionNode,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._defaults = {
            it.variable.name.value: int(it.default_value.value)
            for it in definition.variable_definitions or ()
            if isinstance(it.default_value, IntValueNode)
        }
        self.cost = _Cost(Counter(), {})
        self.repeats = 0
        self.type_lists = 0
        if isinstance(definition, OperationDefinitionNode):
            start = _Place(schema.get_root_type(definition.operation))
        else:
            start = _Place(schema.get_type(definition.type_condition.name.value))
        self._walk(definition.selection_set, start, {})

    def _walk(self, selections: SelectionSetNode | None, place: _Place, asked: dict[str, Any]) -> None:
        """`asked` are the fields that were met at this place, each with those below it."""
        for selection in selections.selections if selections else ():
            if isinstance(selection, FieldNode):
                name = (selection.alias or selection.name).value
                self.repeats += name in asked
                self.cost.fields[place.pages] += place.times
                self._walk(selection.selection_set, self._below(place, selection), asked.setdefault(name, {}))
                continue
            fragment: FragmentDefinitionNode | InlineFragmentNode | None
            if isinstance(selection, FragmentSpreadNode):
                fragment = self._fragments.get(selection.name.value)
            else:
                assert isinstance(selection, InlineFragmentNode)
                fragment = selection
            if fragment is not None:
                on = fragment.type_condition
                here = place._replace(type=self._schema.get_type(on.name.value)) if on else place
                self._walk(fragment.selection_set, here, asked)

    def _below(self, place: _Place, node: FieldNode) -> _Place:
        field = self._schema.get_field(place.type, node.name.value) if is_composite_type(place.type) else None
        if field is None:
            return place._replace(type=None)
        below = place._replace(type=get_named_type(field.type), is_page=False)
        sizes = PAGE_SIZES & field.args.keys()
        for name in sizes:
            given = {it.name.value: it.value for it in node.arguments or ()}.get(name)
            below = self._paged(below, given, field.args[name].default_value)
        if sizes or place.is_page or not is_list_type(get_nullable_type(field.type)):
            return below
        if place.type is introspection_types["__Type"]:
            below = below._replace(type_lists=place.type_lists + 1)
            self.type_lists = max(self.type_lists, below.type_lists)
        return below._replace(times=below.times * LIST)

    def _paged(self, below: _Place, size: ValueNode | None, default: object) -> _Place:
        if isinstance(size, VariableNode):
            name = size.name.value
            self.cost.sizes[name] = self._defaults.get(name, default)
            return below._replace(pages=(*below.pages, name), is_page=True)
        rows = _rows(int(size.value) if isinstance(size, IntValueNode) else default)
        return below._replace(times=below.times * rows, is_page=True)


def _rows(size: Any) -> int:
    """Of a page of this size; the list itself refuses one that it does not have."""
    return int(min(max(1, size), MAX_FIRST)) if isinstance(size, int | float) else 1


def _tokens(document: DocumentNode) -> Iterator[Token]:
    token = document.loc and document.loc.start_token
    while token:
        yield token
        token = token.next


def _check(count: int, what: str, most: int) -> None:
    if count > most:
        _refuse(f"{count:,} {what}; at most {most:,} are allowed")


def _refuse(problem: str) -> NoReturn:
    raise GraphQLError(f"The request has {problem}.", extensions={"code": "LIMIT_EXCEEDED"})
