"""Makes the plan of an operation, or says why there is none."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from enum import StrEnum
from types import MemberDescriptorType
from typing import Any, Final

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from alertgraph.execution.batch import batch_of
from alertgraph.execution.columns import BatchColumn, CallColumn, Column, ReadColumn
from alertgraph.execution.completion import AbstractNode, LeafNode, ListNode, Node, ObjectNode
from alertgraph.execution.leaves import Leaf
from alertgraph.execution.plan import Plan
from alertgraph.execution.run import Field, Position

FIELD_COUNT_MAX: Final = 5_000
"""Fields of one plan, without those of types that it meets on the way."""

DEPTH_MAX: Final = 60
"""Objects inside one another in a plan; making one is recursive."""

_DEFINITION: Final = "strawberry-definition"


class Reason(StrEnum):
    """Why an operation has no plan, so that graphql-core runs it."""

    SWITCHED_OFF = "switched_off"
    INTROSPECTION = "introspection"
    DIRECTIVE = "directive"
    CONDITION = "condition"
    FRAGMENT_VARIABLES = "fragment_variables"
    TYPE_CHECK = "type_check"
    SIZE = "size"
    FAILED = "failed"
    EXECUTOR = "executor"
    SYNCHRONOUS = "synchronous"


class UnplannedError(Exception):
    """The operation has something that plans do not know.

    Attributes:
        reason: What it is.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Compiler:
    """Makes the plan of one operation with the values of the variables that its conditions depend on.

    Args:
        schema: Made by Strawberry or not; the operation is valid in it.
        fragments: The document's.
        operation: Without other directives than @skip and @include.
        variable_values: Coerced; only those in conditions are looked at.
        native: Whether leaves may be left to orjson, because the result is to become JSON.
        field_count_max: A larger plan is refused.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: dict[str, FragmentDetails],
        operation: OperationDefinitionNode,
        variable_values: VariableValues,
        *,
        native: bool,
        field_count_max: int = FIELD_COUNT_MAX,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._operation = operation
        self._variable_values = variable_values
        self._native = native
        self._fields_left: int | None = field_count_max
        self._depth = 0
        self.field_count = 0

    def plan(self) -> Plan:
        """Return the plan.

        Raises:
            UnplannedError: There is none, for a reason.
        """
        root = self._schema.get_root_type(self._operation.operation)
        if root is None:
            raise UnplannedError(Reason.FAILED)
        try:
            collected = collect_fields(
                self._schema, self._fragments, self._variable_values, root, self._operation
            ).grouped_field_set
        except (GraphQLError, RecursionError):
            raise UnplannedError(Reason.CONDITION) from None
        parts: dict[str, str | Column] = {}
        for key, details in collected.items():
            part = self._part(root, key, details, None, is_read_at_once=False)
            assert not isinstance(part, tuple), "at the root nothing is read at once"
            parts[key] = part
        # What types turn up in a response is not known yet; they are made when they do.
        self._fields_left = None
        return Plan(parts, self, is_serial=self._operation.operation is OperationType.MUTATION)

    def _object(self, type_: GraphQLObjectType, details: list[FieldDetails], position: Position) -> ObjectNode:
        definition = type_.extensions.get(_DEFINITION)
        if _has_own_type_check(type_):
            raise UnplannedError(Reason.TYPE_CHECK)
        self._depth += 1
        if self._fields_left is not None and self._depth > DEPTH_MAX:
            raise UnplannedError(Reason.SIZE)
        cls = definition.origin if isinstance(definition, StrawberryObjectDefinition) else None
        is_plain = cls is not None and not hasattr(cls, "__getattr__") and _has_usual_getattribute(cls)
        collected = collect_subfields(
            self._schema, self._fragments, self._variable_values, self._operation, type_, details
        ).grouped_field_set
        parts: dict[str, str | tuple[Node, str] | Column] = {}
        for key, found in collected.items():
            is_read_at_once = is_plain and _is_plain_attribute(cls, _python_name(type_, found))
            parts[key] = self._part(type_, key, found, position, is_read_at_once=is_read_at_once)
        self._depth -= 1
        return ObjectNode(type_, position, parts, cls if is_plain else None, _selected(parts.values()))

    def _part(
        self,
        parent: GraphQLObjectType,
        key: str,
        details: list[FieldDetails],
        above: Position | None,
        *,
        is_read_at_once: bool,
    ) -> Any:
        self._spend()
        nodes = [each.node for each in details]
        name = nodes[0].name.value
        if any(each.defer_usage is not None or each.fragment_variable_values is not None for each in details):
            raise UnplannedError(Reason.FRAGMENT_VARIABLES)
        if name == "__typename":
            return parent.name
        definition = self._schema.get_field(parent, name)
        if definition is None:
            raise UnplannedError(Reason.FAILED)
        if name.startswith("__"):
            raise UnplannedError(Reason.INTROSPECTION)
        field = Field(key, name, parent, definition, details, nodes)
        node = self._node(definition.type, field, above)
        strawberry_field = definition.extensions.get(_DEFINITION)
        if not isinstance(strawberry_field, StrawberryField):
            return CallColumn(field, node, None, is_coroutine=False)
        if getattr(definition.resolve, "__name__", "") == "_get_basic_result":
            # Nothing but an attribute.
            read, attribute = strawberry_field.default_resolver, strawberry_field.python_name
            if read is getattr and is_read_at_once and node.is_inline:
                return node, attribute
            return ReadColumn(key, lambda source: read(source, attribute), node)
        if strawberry_field.is_subscription:
            # What its resolver gave are the events; here it gives the event back.
            return ReadColumn(key, lambda event: event, node)
        is_bare = (
            strawberry_field.base_resolver is not None
            and not strawberry_field.extensions
            and not self._handles_exceptions()
        )
        # Where the resolver does not wait, nobody is ready to wait for a load either.
        batch = batch_of(strawberry_field.metadata) if is_bare and strawberry_field.is_async else None
        if batch is not None:
            return BatchColumn(field, node, strawberry_field, batch)
        direct = strawberry_field if is_bare and not strawberry_field.arguments else None
        return CallColumn(field, node, direct, is_coroutine=strawberry_field.is_async)

    def _node(
        self, type_: GraphQLOutputType, field: Field, above: Position | None, *, required: bool = False
    ) -> Node:
        if isinstance(type_, GraphQLNonNull):
            return self._node(type_.of_type, field, above, required=True)
        position = Position(field, above, required)
        if isinstance(type_, GraphQLList):
            return ListNode(self._node(type_.of_type, field, position), position)
        if is_leaf_type(type_):
            return LeafNode(Leaf(type_, native=self._native), position)
        if isinstance(type_, GraphQLObjectType):
            return self._object(type_, field.details, position)
        assert isinstance(type_, GraphQLAbstractType)
        # Which types turn up below is not known until they do, and then it is too late to refuse one.
        if any(_has_own_type_check(each) for each in self._schema.type_map.values()):
            raise UnplannedError(Reason.TYPE_CHECK)
        return AbstractNode(
            type_,
            position,
            lambda found: self._object(found, field.details, position),
            is_by_class=not _has_own_resolve_type(type_),
        )

    def _handles_exceptions(self) -> bool:
        schema = getattr(self._schema, "_strawberry_schema", None)
        return schema is None or bool(schema.schema_converter.exception_handlers)

    def _spend(self) -> None:
        self.field_count += 1
        if self._fields_left is not None:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise UnplannedError(Reason.SIZE)


def _selected(parts: Iterable[str | tuple[Node, str] | Column]) -> list[tuple[str, Node]]:
    nodes = [part[0] if isinstance(part, tuple) else part.node for part in parts if not isinstance(part, str)]
    return [(node.position.field.name, node) for node in nodes]


def _python_name(type_: GraphQLObjectType, details: list[FieldDetails]) -> str | None:
    definition = type_.fields.get(details[0].node.name.value)
    field = definition.extensions.get(_DEFINITION) if definition is not None else None
    return field.python_name if isinstance(field, StrawberryField) else None


def _is_plain_attribute(cls: type | None, name: str | None) -> bool:
    """Return whether reading an attribute of the class's objects runs no code, so that it may be read twice."""
    if cls is None or name is None:
        return False
    found = inspect.getattr_static(cls, name, None)
    return isinstance(found, MemberDescriptorType) or not hasattr(type(found), "__get__")


def _has_usual_getattribute(cls: type) -> bool:
    return cls.__getattribute__ is object.__getattribute__  # type: ignore[comparison-overlap]


def _has_own_type_check(type_: GraphQLNamedType) -> bool:
    """Return whether somebody has written how to tell a type's objects; Strawberry's own way is known."""
    is_type_of = type_.is_type_of if isinstance(type_, GraphQLObjectType) else None
    return is_type_of is not None and not getattr(is_type_of, "__qualname__", "").startswith(
        "GraphQLCoreConverter."
    )


def _has_own_resolve_type(type_: GraphQLAbstractType) -> bool:
    name = getattr(type_.resolve_type, "__qualname__", "")
    known = ("GraphQLCoreConverter.", "StrawberryUnion.")
    return not name.startswith(known)
