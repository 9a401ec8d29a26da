"""Strawberry's patches (`Maybe`) and one-of inputs, checked before a resolver runs and in words of the schema.

Strawberry would refuse the same values, but in the middle of an operation and with the names of Python types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    ArgumentNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    NonNullTypeNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ValidationContext,
    ValidationRule,
    VariableNode,
    get_named_type,
    is_input_object_type,
    is_input_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
)
from graphql.language import Node
from strawberry.types.base import StrawberryMaybe, StrawberryOptional

from alertgraph.execution.errors import Code


@dataclass(frozen=True, slots=True)
class VariableUse:
    """A variable that stands where its type alone does not keep out what must not be there.

    Attributes:
        variable: Its name.
        must_be_given: Whether it must not be missing either.
        message: What to say where it is null, or missing.
    """

    variable: str
    must_be_given: bool
    message: str


class StrictInputRule(ValidationRule):
    """Refuses literals that Strawberry would refuse later, and notes which variables must not be null.

    Args:
        context: Of the validation.
        uses: Filled with the notes, by the name of the operation.
    """

    def __init__(self, context: ValidationContext, uses: dict[str | None, list[VariableUse]]) -> None:
        super().__init__(context)
        self._uses = uses
        # By identity, as a node's own hash runs through everything below it.
        self._noted: dict[int, VariableUse] = {}
        self._operations: list[OperationDefinitionNode] = []
        self._current: OperationDefinitionNode | None = None

    def enter_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> None:
        """Remember the operation for its variables and for the end."""
        self._operations.append(node)
        self._current = node

    def leave_operation_definition(self, *_args: Any) -> None:
        """Forget whose variables they were."""
        self._current = None

    def enter_argument(self, node: ArgumentNode, *_args: Any) -> None:
        """Check an argument that is a patch by itself."""
        argument = self.context.get_argument()
        if argument is not None and _is_patch(argument.extensions):
            self._check_patched(node, f"Argument '{node.name.value}'")

    def enter_object_value(self, node: ObjectValueNode, *_args: Any) -> None:
        """Check the fields of an input object that is written out."""
        type_ = get_named_type(self.context.get_input_type())
        if not isinstance(type_, GraphQLInputObjectType):
            return
        if is_one_of(type_):
            self._check_one_of(node, type_)
            return
        for given in node.fields:
            field = type_.fields.get(given.name.value)
            if field is not None and _is_patch(field.extensions):
                self._check_patched(given, f"Field '{given.name.value}' of '{type_.name}'")

    def leave_document(self, *_args: Any) -> None:
        """Hand out the notes: a fragment's variables belong to each operation that spreads it."""
        for operation in self._operations:
            uses = [
                self._noted[id(usage.node)]
                for usage in self.context.get_recursive_variable_usages(operation)
                if id(usage.node) in self._noted
            ]
            if uses:
                self._uses[operation.name.value if operation.name else None] = uses

    def _check_patched(self, given: ArgumentNode | ObjectFieldNode, place: str) -> None:
        if isinstance(given.value, NullValueNode):
            self._refuse(_not_null(place), given)
        elif isinstance(given.value, VariableNode):
            self._note(given.value, _not_null(place), must_be_given=False)

    def _check_one_of(self, node: ObjectValueNode, type_: GraphQLInputObjectType) -> None:
        if len(node.fields) != 1:
            self._refuse(_exactly_one(type_, [field.name.value for field in node.fields]), node)
            return
        given = node.fields[0]
        place = f"Field '{given.name.value}' of '{type_.name}'"
        if isinstance(given.value, NullValueNode):
            self._refuse(f"{place} must not be null: it is the one that is given.", given)
        elif isinstance(given.value, VariableNode):
            name = given.value.name.value
            message = f"{place} needs a variable that is never null: declare '${name}' with '!'."
            # Within a fragment the variable is declared by operations that are not known here; its value is
            # checked when one of them is run.
            definitions = self._current.variable_definitions or () if self._current else ()
            if any(
                definition.variable.name.value == name and not isinstance(definition.type, NonNullTypeNode)
                for definition in definitions
            ):
                self._refuse(message, given)
            self._note(given.value, message, must_be_given=True)

    def _note(self, variable: VariableNode, message: str, *, must_be_given: bool) -> None:
        self._noted[id(variable)] = VariableUse(variable.name.value, must_be_given, message)

    def _refuse(self, message: str, node: Node) -> None:
        self.report_error(GraphQLError(message, nodes=node, extensions={"code": Code.VALIDATION_FAILED}))


class StrictInputs:
    """Finds in raw variables what Strawberry would refuse later."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._strict = _strict_types(schema)

    def problems(
        self,
        operation: OperationDefinitionNode,
        uses: Sequence[VariableUse],
        variables: Mapping[str, object],
    ) -> list[GraphQLError]:
        """Return an error for each value at fault; values of a wrong type are left to graphql-core.

        Args:
            operation: The one to be run, valid.
            uses: Its variables that must not be null, as the validation noted them.
            variables: Raw JSON values.
        """
        defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
            if definition.default_value is not None
        }
        errors: list[GraphQLError] = []
        for use in uses:
            default = defaults.get(use.variable)
            if use.variable in variables:
                is_wrong = variables[use.variable] is None
            elif default is not None:
                is_wrong = isinstance(default, NullValueNode)
            else:
                is_wrong = use.must_be_given
            if is_wrong:
                message = f"Variable '${use.variable}' has an invalid value: {use.message}"
                errors.append(GraphQLError(message, extensions={"code": Code.VALIDATION_FAILED}))
        for definition in operation.variable_definitions or ():
            name = definition.variable.name.value
            type_ = type_from_ast(self._schema, definition.type)
            if name in variables and is_input_type(type_) and get_named_type(type_).name in self._strict:
                errors.extend(
                    GraphQLError(
                        f"Variable '${name}' has an invalid value{_at(path)}: {message}",
                        nodes=definition,
                        extensions={"code": Code.VALIDATION_FAILED},
                    )
                    for path, message in _problems(variables[name], type_)
                )
        return errors


def is_one_of(type_: GraphQLInputObjectType) -> bool:
    """Return whether exactly one field of an input must be given; Strawberry does not tell graphql-core."""
    definition = type_.extensions.get("strawberry-definition")
    return bool(type_.is_one_of or getattr(definition, "is_one_of", False))


def _problems(value: object, type_: GraphQLInputType) -> Iterator[tuple[tuple[str | int, ...], str]]:
    waiting: list[tuple[object, GraphQLInputType, tuple[str | int, ...]]] = [(value, type_, ())]
    while waiting:
        value, type_, path = waiting.pop()
        if is_non_null_type(type_):
            type_ = type_.of_type
        if is_list_type(type_):
            # Graphql-core takes a lone value for a list of one.
            items = value if isinstance(value, list) else [value]
            waiting.extend((item, type_.of_type, (*path, index)) for index, item in enumerate(items))
        elif isinstance(type_, GraphQLInputObjectType) and isinstance(value, dict):
            if is_one_of(type_):
                given = [name for name in value if name in type_.fields]
                if len(given) < len(value):
                    # A field that there is not is for graphql-core to name.
                    continue
                if len(given) != 1:
                    yield path, _exactly_one(type_, given)
                elif value[given[0]] is None:
                    yield (*path, given[0]), "it must not be null: it is the one that is given."
            for name, field in type_.fields.items():
                if name not in value:
                    continue
                if value[name] is not None:
                    waiting.append((value[name], field.type, (*path, name)))
                elif not is_one_of(type_) and _is_patch(field.extensions):
                    yield (*path, name), _not_null(f"Field '{name}' of '{type_.name}'")


def _strict_types(schema: GraphQLSchema) -> frozenset[str]:
    """Return the input types with a patch or a choice anywhere inside; the others need no second look."""
    inputs = [type_ for type_ in schema.type_map.values() if is_input_object_type(type_)]
    strict = {
        type_.name
        for type_ in inputs
        if is_one_of(type_) or any(_is_patch(field.extensions) for field in type_.fields.values())
    }
    grew = True
    while grew:
        grew = False
        for type_ in inputs:
            if type_.name not in strict and any(
                get_named_type(field.type).name in strict for field in type_.fields.values()
            ):
                strict.add(type_.name)
                grew = True
    return frozenset(strict)


def _is_patch(extensions: Mapping[str, Any] | None) -> bool:
    """Return whether a field or argument is `Maybe[T]`: it may be left out, but not be null."""
    definition = (extensions or {}).get("strawberry-definition")
    type_ = getattr(definition, "type", None)
    return isinstance(type_, StrawberryMaybe) and not isinstance(type_.of_type, StrawberryOptional)


def _not_null(place: str) -> str:
    return f"{place} may be left out, but not be null."


def _exactly_one(type_: GraphQLInputObjectType, given: list[str]) -> str:
    names = ", ".join(f"'{name}'" for name in type_.fields)
    found = ", ".join(f"'{name}'" for name in given) if given else "none"
    return f"Exactly one of the fields {names} of '{type_.name}' must be given; found {found}."


def _at(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return f" at '{text.removeprefix('.')}'" if text else ""
