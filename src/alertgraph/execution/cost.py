"""What a document will cost: objects to be fetched, multiplied by the list sizes asked for, before anything runs.

A scalar costs 0 and an object 1. What stands in a list counts once for each entry the list may have: the value of
`first` or `last`, the length of `ids`, or a default. The schema may say otherwise for a field, in its Strawberry
metadata:

    cost                 points for the field, or for each entry of its list
    page_size_default    entries where neither first nor last is given, or of a list without such arguments
    size_argument        another argument that says how many entries there will be: a number or a list
    surcharges           by a path into the arguments, such as "filter.search": what a value given there adds, once
                         for the field, however long its list; a function of the value, since what some filters let
                         through costs more to find than to fetch
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_introspection_type,
    is_list_type,
    is_non_null_type,
    value_from_ast_untyped,
)

from alertgraph.execution.selections import Conditions, Occurrence, SelectionBudget, collected

_PAGE_ARGUMENTS: Final = ("first", "last")
_ID_ARGUMENT: Final = "ids"
_PAGED_FIELDS: Final = ("edges", "nodes")

CompositeType = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType


@dataclass(frozen=True, slots=True)
class Prices:
    """What things cost where the schema does not say.

    Attributes:
        page_size_default: Entries of a list that takes first or last, where neither is given.
        page_size_max: More than that is never fetched, whatever is asked for.
        list_size_default: Entries of any other list.
        introspection_list: Points for each list that is read of the schema itself.
    """

    page_size_default: int = 50
    page_size_max: int = 100
    list_size_default: int = 10
    introspection_list: int = 50


@dataclass(frozen=True, slots=True)
class Size:
    """How many entries a field may have.

    Attributes:
        fixed: Where the document says so, or nothing does.
        variables: Where variables say so: by name, with the number meant by a missing or null one.
        page_size_max: Cap on numbers; lengths of lists are taken as they are.
    """

    fixed: int
    variables: tuple[tuple[str, int], ...] = ()
    page_size_max: int = 100

    def resolve(self, variables: Mapping[str, object]) -> int:
        """Return the number of entries with these coerced variables."""
        size = self.fixed
        for name, default in self.variables:
            value = variables.get(name)
            size = max(size, default if value is None else _entries(value, self.page_size_max))
        return size


Surcharge: TypeAlias = Callable[[Any], int]


@dataclass(frozen=True, slots=True)
class PricedArgument:
    """An argument that may cost something by itself.

    Attributes:
        node: What the document gives it.
        path: Into its value.
        price: Takes what stands there, which is neither null nor absent.
    """

    node: ValueNode
    path: tuple[str, ...]
    price: Surcharge

    def points(self, variables: Mapping[str, object]) -> int:
        """Return what it costs with these coerced variables."""
        value = value_from_ast_untyped(self.node, dict(variables))
        for name in self.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return 0 if value is None or value is Undefined else self.price(value)


@dataclass(frozen=True, slots=True)
class PricedField:
    """A field that costs something, or has something below it that does.

    Attributes:
        points: For each entry.
        size: Entries of the field's own list; for a connection, of its page.
        is_connection: Whether only `edges` and `nodes` below are multiplied by the size, not the field itself.
        is_page: Whether it is one of those; its own entries are the connection's.
        conditions: Any of these alternatives selects it; empty for a field that is always selected.
        children: What is below.
        surcharges: Of its arguments.
    """

    points: int
    size: Size
    is_connection: bool
    is_page: bool
    conditions: tuple[Conditions, ...]
    children: tuple[PricedField, ...]
    surcharges: tuple[PricedArgument, ...] = ()


@dataclass(frozen=True, slots=True)
class CostPlan:
    """The priced skeleton of an operation, made once for a document."""

    roots: tuple[PricedField, ...]

    def points(self, variables: Mapping[str, object]) -> int:
        """Return what the operation costs with these coerced variables, at least 1."""
        return max(1, _sum(self.roots, variables, page_size=1))


def plan_cost(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    prices: Prices,
    selection_count_max: int,
) -> CostPlan:
    """Return the cost plan of a valid operation that keeps the limits of a document.

    Args:
        schema: Made by Strawberry, whose fields may carry prices as metadata.
        operation: One of the document's.
        fragments: The document's.
        prices: For fields that carry none.
        selection_count_max: The same limit that the document was checked against.
    """
    root = schema.get_root_type(operation.operation)
    assert root is not None, "the document was validated"
    planner = _Planner(schema, fragments, prices, SelectionBudget(selection_count_max))
    return CostPlan(planner.fields([(operation.selection_set, None)], root))


class _Planner:
    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        prices: Prices,
        budget: SelectionBudget,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._prices = prices
        self._budget = budget

    def fields(
        self, selection_sets: Sequence[tuple[SelectionSetNode, str | None]], parent: CompositeType
    ) -> tuple[PricedField, ...]:
        """Return what is priced among the merged selections; recursion is bounded by the document's depth."""
        priced: list[PricedField] = []
        for occurrences in collected(selection_sets, self._fragments, self._budget).values():
            # Equal response keys on different types are different fields, of which only one will be run;
            # counting each is an upper bound.
            by_type: dict[str | None, list[Occurrence]] = {}
            for occurrence in occurrences:
                by_type.setdefault(occurrence.type_name, []).append(occurrence)
            for type_name, group in by_type.items():
                on = self._schema.get_type(type_name) if type_name is not None else parent
                assert isinstance(on, CompositeType), "the document was validated"
                field = self._field(group, on)
                if field is not None:
                    priced.append(field)
        return tuple(priced)

    def _field(self, group: Sequence[Occurrence], parent: CompositeType) -> PricedField | None:
        node = group[0].node
        definition = self._schema.get_field(parent, node.name.value)
        assert definition is not None, "the document was validated"
        named = get_named_type(definition.type)
        children: tuple[PricedField, ...] = ()
        if isinstance(named, CompositeType):
            nested = [(each.node.selection_set, None) for each in group if each.node.selection_set]
            children = self.fields(nested, named)
        metadata = _metadata(definition)
        introspecting = is_introspection_type(named) or is_introspection_type(parent)
        points = self._points(metadata, parent, node, definition, introspecting=introspecting)
        surcharges = tuple(_surcharges(metadata, node))
        if points == 0 and not children and not surcharges:
            return None
        always = any(not each.conditions for each in group)
        return PricedField(
            points=points,
            size=Size(1) if introspecting else self._size(metadata, group, definition),
            is_connection=_is_connection(named),
            is_page=_is_connection(parent) and node.name.value in _PAGED_FIELDS,
            conditions=() if always else tuple(each.conditions for each in group),
            children=children,
            surcharges=surcharges,
        )

    def _points(
        self,
        metadata: Mapping[str, Any],
        parent: CompositeType,
        node: FieldNode,
        definition: GraphQLField,
        *,
        introspecting: bool,
    ) -> int:
        if introspecting:
            return self._prices.introspection_list if _is_list(definition.type) else 0
        if "cost" in metadata:
            return int(metadata["cost"])
        if not is_composite_type(get_named_type(definition.type)):
            return 0
        # An edge is a wrapper around its node, and costs no fetch of its own.
        return 0 if _is_connection(parent) and node.name.value == "edges" else 1

    def _size(self, metadata: Mapping[str, Any], group: Sequence[Occurrence], definition: GraphQLField) -> Size:
        size_argument = metadata.get("size_argument")
        if size_argument is not None:
            names: tuple[str, ...] = (size_argument,)
        elif any(name in definition.args for name in _PAGE_ARGUMENTS):
            names = tuple(name for name in _PAGE_ARGUMENTS if name in definition.args)
        elif _ID_ARGUMENT in definition.args:
            names = (_ID_ARGUMENT,)
        else:
            names = ()
        is_paged = bool(names) or _is_connection(get_named_type(definition.type))
        if not is_paged and not _is_list(definition.type):
            return Size(1)
        default = int(
            metadata.get(
                "page_size_default",
                self._prices.page_size_default if is_paged else self._prices.list_size_default,
            )
        )
        fixed: int | None = None
        variables: list[tuple[str, int]] = []
        # Merged fields have equal arguments, so the first place speaks for all.
        for argument in group[0].node.arguments or ():
            if argument.name.value not in names or isinstance(argument.value, NullValueNode):
                continue
            if isinstance(argument.value, VariableNode):
                in_schema = definition.args[argument.name.value].default_value
                variables.append((argument.value.name.value, in_schema if isinstance(in_schema, int) else default))
            else:
                size = _literal_entries(argument.value, self._prices.page_size_max)
                fixed = size if fixed is None else max(fixed, size)
        if fixed is None and not variables:
            given = [definition.args[name].default_value for name in names]
            known = [value for value in given if value is not None and value is not Undefined]
            sizes = [_entries(value, self._prices.page_size_max) for value in known]
            fixed = max(sizes, default=default)
        return Size(fixed or 0, tuple(variables), self._prices.page_size_max)


def _sum(fields: Sequence[PricedField], variables: Mapping[str, object], *, page_size: int) -> int:
    total = 0
    for field in fields:
        if field.conditions and not any(_holds(conditions, variables) for conditions in field.conditions):
            continue
        total += sum(each.points(variables) for each in field.surcharges)
        size = field.size.resolve(variables)
        if field.is_connection:
            total += field.points + _sum(field.children, variables, page_size=size)
        else:
            entries = page_size if field.is_page else size
            if entries:
                total += entries * (field.points + _sum(field.children, variables, page_size=1))
    return total


def _surcharges(metadata: Mapping[str, Any], node: FieldNode) -> Iterator[PricedArgument]:
    # Merged fields have equal arguments, so the first place speaks for all.
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    for path, price in metadata.get("surcharges", {}).items():
        name, *rest = path.split(".")
        if name in given:
            yield PricedArgument(given[name], tuple(rest), price)


def _holds(conditions: Conditions, variables: Mapping[str, object]) -> bool:
    return all(variables.get(condition.variable) is condition.wanted for condition in conditions)


def _entries(value: object, page_size_max: int) -> int:
    if isinstance(value, list | tuple):
        return len(value)
    if isinstance(value, int):
        return min(max(value, 0), page_size_max)
    return 1


def _literal_entries(node: object, page_size_max: int) -> int:
    if isinstance(node, ListValueNode):
        return len(node.values)
    if isinstance(node, IntValueNode):
        return min(max(int(node.value), 0), page_size_max)
    return 1


def _metadata(definition: GraphQLField) -> Mapping[str, Any]:
    strawberry_field = (definition.extensions or {}).get("strawberry-definition")
    metadata = getattr(strawberry_field, "metadata", None)
    return metadata if isinstance(metadata, Mapping) else {}


def _is_list(type_: GraphQLOutputType) -> bool:
    return is_list_type(type_.of_type if is_non_null_type(type_) else type_)


def _is_connection(type_: object) -> bool:
    """Return whether a type is a page of a list, as Relay draws it."""
    return (
        isinstance(type_, GraphQLObjectType)
        and "pageInfo" in type_.fields
        and any(name in type_.fields for name in _PAGED_FIELDS)
    )
