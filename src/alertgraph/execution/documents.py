"""Documents: parsed, bounded, validated and priced once, then kept by the hash of their text."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from sys import getsizeof
from typing import Final, cast

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)

from alertgraph.execution.cost import CostPlan, Prices, plan_cost
from alertgraph.execution.errors import Code, CodedError, RefusedError, is_coded, refusal, root_cause, shortened
from alertgraph.execution.inputs import StrictInputRule, VariableUse
from alertgraph.execution.limits import DocumentLimits, check_limits
from alertgraph.execution.request import shown
from alertgraph.execution.selections import fragments_of
from alertgraph.execution.sharing import Facts

_ERROR_COUNT_MAX: Final = 20
_BYTES_PER_TOKEN: Final = 400
"""What a parsed token takes in memory, measured: 330 bytes, and some for its share of the cost plan."""
_BYTES_PER_DOCUMENT: Final = 2_000
"""What a document takes, however short it is."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that may be executed.

    Attributes:
        id: SHA-256 of its text, in hex.
        node: The parsed document.
        operations: Its operations by name; None for one without a name.
        fragments: Its fragments by name.
        uses: By operation: variables that must not be null.
        costs: What each operation costs.
        weight: About how many bytes it takes in memory.
        facts: What subscriptions in it say by themselves, by name, as far as it was asked for.
    """

    id: str
    node: DocumentNode
    operations: Mapping[str | None, OperationDefinitionNode]
    fragments: Mapping[str, FragmentDefinitionNode]
    uses: Mapping[str | None, Sequence[VariableUse]]
    costs: Mapping[str | None, CostPlan]
    weight: int
    facts: dict[str | None, Facts | None] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        """The name of its only operation; None where that has none, or where there are several."""
        return next(iter(self.operations)) if len(self.operations) == 1 else None

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Return the operation that a request means.

        Raises:
            RefusedError: BAD_REQUEST: there are several and none is named, or the named one is not there.
        """
        if name is None:
            if len(self.operations) > 1:
                raise refusal(
                    Code.BAD_REQUEST,
                    "The document has several operations; name the one to execute with `operationName`.",
                )
            return next(iter(self.operations.values()))
        operation = self.operations.get(name)
        if operation is None:
            raise refusal(Code.BAD_REQUEST, f"The document has no operation named '{shown(name)}'.")
        return operation


@dataclass(slots=True)
class DocumentStore:
    """Compiles documents for one schema and keeps those used last.

    Only valid documents are kept, so what is refused takes no room; two bounds hold at once.

    Attributes:
        schema: The schema they are validated against.
        limits: How large they may be.
        prices: What their parts cost.
        introspection: Whether they may read the schema itself; if not, errors suggest no names either.
        count_max: How many are kept.
        weight_max: How many bytes they may take together, about.
    """

    schema: GraphQLSchema
    limits: DocumentLimits = field(default_factory=DocumentLimits)
    prices: Prices = field(default_factory=Prices)
    introspection: bool = False
    count_max: int = 1_000
    weight_max: int = 64 * 1024 * 1024
    _kept: OrderedDict[str, Document] = field(default_factory=OrderedDict)
    _weight: int = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def weight(self) -> int:
        """About how many bytes the kept documents take."""
        return self._weight

    def get(self, text: str) -> Document:
        """Return the document with this text.

        Raises:
            RefusedError: It is too large, cannot be parsed, or does not fit the schema.
        """
        if len(text) > self.limits.length_max:
            raise refusal(
                Code.COST_EXCEEDED,
                f"The document has {len(text)} characters; at most {self.limits.length_max} are allowed.",
            )
        return self.named(hashlib.sha256(text.encode()).hexdigest(), text)

    def named(self, id_: str, text: str) -> Document:
        """Return the document with this text, whose hash is known; one that is kept is not read again.

        Args:
            id_: SHA-256 of the text, in hex.
            text: Its text.

        Raises:
            RefusedError: It is too large, cannot be parsed, or does not fit the schema.
        """
        document = self._kept.get(id_)
        if document is None:
            document = self._compiled(id_, text)
            self._keep(document)
        else:
            self._kept.move_to_end(id_)
        return document

    def _keep(self, document: Document) -> None:
        if document.weight > self.weight_max:
            return
        self._kept[document.id] = document
        self._weight += document.weight
        while len(self._kept) > self.count_max or self._weight > self.weight_max:
            _, oldest = self._kept.popitem(last=False)
            self._weight -= oldest.weight

    def _compiled(self, id_: str, text: str) -> Document:
        node = self._parsed(text)
        check_limits(node, self.limits)
        uses: dict[str | None, list[VariableUse]] = {}
        self._validate(node, uses)
        fragments = fragments_of(node)
        operations = {
            definition.name.value if definition.name else None: definition
            for definition in node.definitions
            if isinstance(definition, OperationDefinitionNode)
        }
        if not operations:
            raise refusal(Code.VALIDATION_FAILED, "The document has no operation.")
        costs = {
            name: plan_cost(self.schema, operation, fragments, self.prices, self.limits.selection_count_max)
            for name, operation in operations.items()
        }
        # The text is there twice: as it came, and cut up into names and values.
        weight = _BYTES_PER_DOCUMENT + 2 * getsizeof(text) + node.token_count * _BYTES_PER_TOKEN
        return Document(id_, node, operations, fragments, uses, costs, weight)

    def _parsed(self, text: str) -> DocumentNode:
        token_count_max = self.limits.token_count_max
        try:
            return parse(text, max_lexical_tokens=token_count_max, max_comments=token_count_max)
        except GraphQLSyntaxError as error:
            if "more than" in error.message and "Parsing aborted" in error.message:
                raise refusal(
                    Code.COST_EXCEEDED, f"The document has more than {token_count_max} words and signs."
                ) from None
            raise RefusedError([_with_code(error, Code.PARSE_FAILED)]) from None
        except GraphQLError as error:
            raise RefusedError([_with_code(error, Code.PARSE_FAILED)]) from None

    def _validate(self, node: DocumentNode, uses: dict[str | None, list[VariableUse]]) -> None:
        rules = [*specified_rules, cast("type[ASTValidationRule]", partial(StrictInputRule, uses=uses))]
        if not self.introspection:
            rules.append(NoSchemaIntrospectionCustomRule)
        errors = validate(
            self.schema, node, rules, max_errors=_ERROR_COUNT_MAX, hide_suggestions=not self.introspection
        )
        if errors:
            raise RefusedError([_with_code(input_error(error), Code.VALIDATION_FAILED) for error in errors])


def input_error(error: GraphQLError) -> GraphQLError:
    """Return an error about an input value without the text of an exception that was not made for callers.

    A scalar refuses a value with a ValueError, a GraphQLError or a coded error, whose words are kept; of any other
    exception graphql-core would show the text.
    """
    cause = root_cause(error)
    if cause is None or isinstance(cause, GraphQLError):
        return error
    head, separator, _ = error.message.partition(", but encountered error '")
    if not separator:
        return error
    if isinstance(cause, CodedError) and is_coded(cause):
        message = f"{head}: {cause.message}"
    elif isinstance(cause, ValueError):
        message = f"{head}: {cause}"
    else:
        message = f"{head}."
    return GraphQLError(
        message, nodes=error.nodes, source=error.source, positions=error.positions, extensions=error.extensions
    )


def _with_code(error: GraphQLError, code: Code) -> GraphQLError:
    return GraphQLError(
        shortened(error.message),
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        extensions={"code": code, **(error.extensions or {})},
    )
