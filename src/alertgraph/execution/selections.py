"""Selection sets with their fragments spread and equal response keys merged, as an executor will see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
)

Fragments = Mapping[str, FragmentDefinitionNode]


@dataclass(frozen=True, slots=True)
class Condition:
    """An @include or @skip that a variable decides.

    Attributes:
        variable: Its name.
        wanted: The value with which the selection is made.
    """

    variable: str
    wanted: bool


Conditions = frozenset[Condition]
"""All of them must hold; empty for a selection that is always made."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One place where a field is selected.

    Attributes:
        node: The field.
        type_name: The type that the nearest fragment names; None where the field stands in no fragment.
        conditions: What must hold for the field to be selected here.
    """

    node: FieldNode
    type_name: str | None
    conditions: Conditions


class TooManySelectionsError(Exception):
    """The budget of selections is used up."""


class SelectionBudget:
    """How many selections may still be visited, so that no document can keep us busy."""

    def __init__(self, selection_count_max: int) -> None:
        self._left = selection_count_max

    def spend(self) -> None:
        """Count one selection.

        Raises:
            TooManySelectionsError: There were too many.
        """
        self._left -= 1
        if self._left < 0:
            raise TooManySelectionsError


_ALWAYS: Conditions = frozenset()


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """Return the fragments that a document defines, by name."""
    return {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }


def collected(
    selection_sets: Iterable[tuple[SelectionSetNode, str | None]], fragments: Fragments, budget: SelectionBudget
) -> dict[str, list[Occurrence]]:
    """Return by response key where each field of these merged selection sets is selected.

    What a literal @skip or @include leaves out for good is left out. The fragments must not form a cycle.

    Args:
        selection_sets: Each with the type that its nearest fragment names, or None.
        fragments: Those of the document; a spread of an unknown one is passed over.
        budget: Spent by one for each selection that is visited.

    Raises:
        TooManySelectionsError: The budget is used up.
    """
    found: dict[str, list[Occurrence]] = {}
    spread: set[tuple[str, Conditions]] = set()
    # A stack, since fragments may be chained a hundred times without growing any deeper in fields.
    waiting = [(selection_set, type_name, _ALWAYS) for selection_set, type_name in selection_sets]
    waiting.reverse()
    while waiting:
        selection_set, type_name, outer = waiting.pop()
        inner: list[tuple[SelectionSetNode, str | None, Conditions]] = []
        for selection in selection_set.selections:
            budget.spend()
            conditions = _conditions(selection.directives or (), outer)
            if conditions is None:
                continue
            if isinstance(selection, FieldNode):
                key = selection.alias.value if selection.alias else selection.name.value
                found.setdefault(key, []).append(Occurrence(selection, type_name, conditions))
            elif isinstance(selection, InlineFragmentNode):
                narrowed = selection.type_condition
                inner.append((selection.selection_set, narrowed.name.value if narrowed else type_name, conditions))
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                fragment = fragments.get(name)
                if fragment is not None and not spread & {(name, conditions), (name, _ALWAYS)}:
                    spread.add((name, conditions))
                    inner.append((fragment.selection_set, fragment.type_condition.name.value, conditions))
        waiting.extend(reversed(inner))
    return found


def below(occurrences: Iterable[Occurrence]) -> list[tuple[SelectionSetNode, str | None]]:
    """Return the selection sets of fields that are merged into one."""
    return [(occurrence.node.selection_set, None) for occurrence in occurrences if occurrence.node.selection_set]


def _conditions(directives: Iterable[DirectiveNode], outer: Conditions) -> Conditions | None:
    """Return what must hold for a selection to be made; None where it never is."""
    conditions = outer
    for directive in directives:
        if directive.name.value not in ("include", "skip"):
            continue
        is_include = directive.name.value == "include"
        for argument in directive.arguments or ():
            if argument.name.value != "if":
                continue
            if isinstance(argument.value, VariableNode):
                conditions = conditions | {Condition(argument.value.name.value, is_include)}
            elif isinstance(argument.value, BooleanValueNode) and argument.value.value is not is_include:
                return None
    return conditions
