"""What is refused before it runs: documents that are too long, too deep, or that grow too large."""

from graphql import (
    ASTValidationRule,
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
)

MAX_BODY_BYTES = 512 * 1024
MAX_TOKENS = 1000
MAX_DEPTH = 12
MAX_FIELDS = 400


class Limits(ASTValidationRule):
    """Counts an operation as it will run, fragments written out. Each fragment is measured once, so a short document
    whose fragments double again and again costs no time here."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._fragments: dict[str, tuple[int, int]] = {}
        for definition in context.document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                depth, fields = self._measure(definition.selection_set)
                if depth > MAX_DEPTH:
                    self._refuse(definition, f"fields in fields, {depth} deep; at most {MAX_DEPTH} are answered.")
                if fields > MAX_FIELDS:
                    self._refuse(definition, f"more than {MAX_FIELDS} fields; ask in several requests.")

    def _refuse(self, operation: OperationDefinitionNode, problem: str) -> None:
        self.report_error(
            GraphQLError(f"The operation has {problem}", operation, extensions={"code": "LIMIT_EXCEEDED"})
        )

    def _measure(self, selections: SelectionSetNode | None) -> tuple[int, int]:
        """(depth, fields). Introspection adds no depth: graphql-core's own rule bounds it."""
        depth = fields = 0
        for selection in selections.selections if selections else ():
            inner = (0, 0)
            if isinstance(selection, FieldNode):
                inner = self._measure(selection.selection_set)
                fields += 1
                inner = (0 if selection.name.value.startswith("__") else inner[0] + 1, inner[1])
            elif isinstance(selection, InlineFragmentNode):
                inner = self._measure(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                inner = self._measure_fragment(selection.name.value)
            depth = max(depth, inner[0])
            fields += inner[1]
        return depth, fields

    def _measure_fragment(self, name: str) -> tuple[int, int]:
        if name not in self._fragments:
            self._fragments[name] = (0, 0)  # where a cycle comes back to; other rules refuse it
            fragment = self.context.get_fragment(name)
            self._fragments[name] = self._measure(fragment.selection_set if fragment else None)
        return self._fragments[name]
