"""Bounds that a document must keep before anything else is done with it; checked in a few milliseconds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from alertgraph.execution.errors import Code, RefusedError
from alertgraph.execution.selections import (
    Fragments,
    SelectionBudget,
    TooManySelectionsError,
    below,
    collected,
    fragments_of,
)

_NUMBER_LENGTH_MAX = 64


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """How large and how entangled a document may be.

    Attributes:
        length_max: Characters of its text.
        token_count_max: Words and signs, and no more comments than that.
        definition_count_max: Operations and fragments.
        depth_max: Fields inside one another; a field of the root is 1.
        introspection_depth_max: The same below __schema and __type.
        alias_count_max: Aliases, as written.
        root_field_count_max: Different fields at the root of an operation.
        directive_count_max: Directives, as written.
        selection_count_max: Fields and fragments, with every fragment spread.
        repeat_count_max: Pairs of selections of the same field in the same place; validation compares each.
        value_depth_max: Lists and objects inside one another in an argument.
    """

    length_max: int = 65_536
    token_count_max: int = 2_000
    definition_count_max: int = 100
    depth_max: int = 12
    introspection_depth_max: int = 20
    alias_count_max: int = 30
    root_field_count_max: int = 20
    directive_count_max: int = 50
    selection_count_max: int = 5_000
    repeat_count_max: int = 5_000
    value_depth_max: int = 16


def check_limits(document: DocumentNode, limits: DocumentLimits) -> None:
    """Refuse a document that is too large, before it is validated.

    Args:
        document: Parsed; not yet validated, so nothing about it is known to fit the schema.
        limits: What is allowed.

    Raises:
        RefusedError: COST_EXCEEDED where a limit is passed, VALIDATION_FAILED for a fragment that contains itself
            and for a number that no field could take.
    """
    if len(document.definitions) > limits.definition_count_max:
        raise _too_many("operations and fragments", len(document.definitions), limits.definition_count_max)
    _check_written(document, limits)
    fragments = fragments_of(document)
    _check_cycles(fragments)
    budget = SelectionBudget(limits.selection_count_max)
    repeats = _Repeats(limits.repeat_count_max)
    try:
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                _check_operation(definition, fragments, budget, repeats, limits)
    except TooManySelectionsError:
        raise _refused(
            Code.COST_EXCEEDED,
            f"The document selects more than {limits.selection_count_max} fields once its fragments are spread.",
        ) from None


class _Repeats:
    """Counts comparisons of selections of one field."""

    def __init__(self, repeat_count_max: int) -> None:
        self._max = repeat_count_max
        self._count = 0

    def add(self, occurrence_count: int, node: FieldNode) -> None:
        self._count += occurrence_count * (occurrence_count - 1) // 2
        if self._count > self._max:
            name = node.name.value
            raise _refused(
                Code.COST_EXCEEDED, f"The document selects the same fields too often, such as '{name}'.", node
            )


def _check_operation(
    operation: OperationDefinitionNode,
    fragments: Fragments,
    budget: SelectionBudget,
    repeats: _Repeats,
    limits: DocumentLimits,
) -> None:
    waiting: list[tuple[list[tuple[SelectionSetNode, str | None]], int, bool]] = [
        ([(operation.selection_set, None)], 1, False)
    ]
    while waiting:
        selection_sets, depth, introspecting = waiting.pop()
        groups = collected(selection_sets, fragments, budget)
        if depth == 1 and len(groups) > limits.root_field_count_max:
            raise _too_many("fields at its root", len(groups), limits.root_field_count_max)
        for occurrences in groups.values():
            node = occurrences[0].node
            repeats.add(len(occurrences), node)
            inside = introspecting or (depth == 1 and node.name.value in ("__schema", "__type"))
            depth_max = limits.introspection_depth_max if inside else limits.depth_max
            if depth > depth_max:
                raise _refused(
                    Code.COST_EXCEEDED, f"The document nests fields more than {depth_max} levels deep.", node
                )
            children = below(occurrences)
            if children:
                waiting.append((children, depth + 1, inside))


def _check_written(document: DocumentNode, limits: DocumentLimits) -> None:
    """Check what can be counted in the document as it is written."""
    alias_count = directive_count = 0
    waiting: list[tuple[Node, int]] = [(definition, 0) for definition in document.definitions]
    while waiting:
        node, value_depth = waiting.pop()
        if isinstance(node, FieldNode) and node.alias:
            alias_count += 1
        elif isinstance(node, ListValueNode | ObjectValueNode):
            value_depth += 1
            if value_depth > limits.value_depth_max:
                raise _refused(
                    Code.COST_EXCEEDED,
                    f"An argument is nested more than {limits.value_depth_max} levels deep.",
                    node,
                )
        elif isinstance(node, IntValueNode | FloatValueNode):
            _check_number(node)
        directive_count += len(getattr(node, "directives", None) or ())
        waiting.extend((child, value_depth) for child in _children(node))
    if alias_count > limits.alias_count_max:
        raise _too_many("aliases", alias_count, limits.alias_count_max)
    if directive_count > limits.directive_count_max:
        raise _too_many("directives", directive_count, limits.directive_count_max)


def _check_number(node: IntValueNode | FloatValueNode) -> None:
    # Beyond some length Python refuses to convert a number, in words of its own; infinity is no number of GraphQL.
    if len(node.value) > _NUMBER_LENGTH_MAX:
        raise _refused(Code.VALIDATION_FAILED, f"A number has more than {_NUMBER_LENGTH_MAX} characters.", node)
    if isinstance(node, FloatValueNode) and math.isinf(float(node.value)):
        raise _refused(Code.VALIDATION_FAILED, f"The number {node.value} is too large.", node)


def _children(node: Node) -> Iterator[Node]:
    for key in node.keys:
        child = getattr(node, key, None)
        if isinstance(child, Node):
            yield child
        elif isinstance(child, list | tuple):
            yield from child


def _check_cycles(fragments: Fragments) -> None:
    """Refuse fragments that contain themselves, without recursion: a chain of them may be long."""
    spreads = {name: _spreads(fragment) for name, fragment in fragments.items()}
    done: set[str] = set()
    for start, contained in spreads.items():
        if start in done:
            continue
        path = [(start, iter(contained))]
        on_path = {start}
        while path:
            name, rest = path[-1]
            following = next((spread for spread in rest if spread in spreads and spread not in done), None)
            if following is None:
                path.pop()
                on_path.discard(name)
                done.add(name)
            elif following in on_path:
                raise _refused(
                    Code.VALIDATION_FAILED, f"Fragment '{following}' contains itself.", fragments[following]
                )
            else:
                path.append((following, iter(spreads[following])))
                on_path.add(following)


def _spreads(fragment: FragmentDefinitionNode) -> list[str]:
    names: list[str] = []
    waiting: list[SelectionSetNode] = [fragment.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                names.append(selection.name.value)
            else:
                nested = getattr(selection, "selection_set", None)
                if nested is not None:
                    waiting.append(nested)
    return names


def _too_many(what: str, count: int, count_max: int) -> RefusedError:
    return _refused(Code.COST_EXCEEDED, f"The document has {count} {what}; at most {count_max} are allowed.")


def _refused(code: Code, message: str, node: Node | None = None) -> RefusedError:
    return RefusedError([GraphQLError(message, nodes=node, extensions={"code": code})])
