"""Input objects made from JSON by code that is compiled for their type.

Strawberry looks the fields of an input, their names and their types up anew for each object: for an alert of ten
fields that takes longer than deciding what becomes of it. Its hook `from_input` lets a type make its own objects.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, cast

import strawberry
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.relay import GlobalID
from strawberry.scalars import is_scalar
from strawberry.types.arguments import InputContext
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryObjectDefinition,
    StrawberryOptional,
    has_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.types.maybe import Some

MISSING = object()
"""Stands for a field that is not given."""

Constructor = Callable[[type, Mapping[str, Any], InputContext], Any]


def compile_inputs(schema: strawberry.Schema) -> int:
    """Have every input type of a schema make its objects by code of its own, and return how many do.

    The objects are those that Strawberry makes. A field of a kind that is not known here is still converted by
    Strawberry, and a type that makes its own objects already goes on doing so.
    """
    count = 0
    for type_ in schema.schema_converter.type_map.values():
        definition = type_.definition
        if (
            isinstance(definition, StrawberryObjectDefinition)
            and definition.is_input
            and definition.from_input is None
        ):
            definition.from_input = _Source(schema, definition).constructor()
            count += 1
    return count


class _Source:
    """The code that makes objects of one input type."""

    def __init__(self, schema: strawberry.Schema, definition: StrawberryObjectDefinition) -> None:
        self._schema = schema
        self._definition = definition
        # What the code refers to by names of ours: nothing of a schema stands in its text but as a quoted string.
        self._names: dict[str, Any] = {"Some": Some, "MISSING": MISSING, "refuse_null": _refuse_null}

    def constructor(self) -> Constructor:
        """Return a function that Strawberry calls in place of its own conversion."""
        lines = ["def construct(type_, value, context):", "    get = value.get"]
        given: list[str] = []
        for index, field in enumerate(self._definition.fields):
            name = self._schema.config.name_converter.from_field(field)
            variable = f"v{index}"
            lines.append(f"    {variable} = get({name!r}, MISSING)")
            converted = self._converted(variable, self._type_of(field), name)
            given.append(f"{field.python_name}={self._default(field)} if {variable} is MISSING else {converted}")
        lines.append(f"    return type_({', '.join(given)})")
        exec(compile("\n".join(lines), f"<input {self._definition.name}>", "exec"), self._names)  # noqa: S102
        return cast(Constructor, self._names["construct"])

    def _type_of(self, field: StrawberryField) -> Any:
        return field.resolve_type(type_definition=self._definition)

    def _default(self, field: StrawberryField) -> str:
        """Return what stands for a field that is not given, which is what Strawberry's constructor would take."""
        if field.default_factory is not dataclasses.MISSING:
            return f"{self._named(field.default_factory)}()"
        return "None" if field.default is dataclasses.MISSING else self._named(field.default)

    def _converted(self, variable: str, type_: Any, name: str, depth: int = 0) -> str:
        """Return an expression of a value that is given, which may be null."""
        if isinstance(type_, StrawberryMaybe):
            inner = self._converted(variable, type_.of_type, name, depth)
            if isinstance(type_.of_type, StrawberryOptional):
                return f"Some({inner})"
            return f"(refuse_null({name!r}) if {variable} is None else Some({inner}))"
        if isinstance(type_, StrawberryOptional):
            return self._converted(variable, type_.of_type, name, depth)
        if isinstance(type_, LazyType):
            return self._converted(variable, type_.resolve_type(), name, depth)
        if isinstance(type_, StrawberryList):
            item = f"i{depth}"
            made = self._converted(item, type_.of_type, name, depth + 1)
            # Also where nothing is converted the list is copied: a default is the same list in every request.
            items = f"list({variable})" if made == item else f"[{made} for {item} in {variable}]"
            return f"(None if {variable} is None else {items})"
        if self._is_leaf(type_):
            return variable
        if has_object_definition(type_):
            inner_definition = type_.__strawberry_definition__
            known = f"{self._named(inner_definition)}.from_input"
            return f"(None if {variable} is None else {known}({self._named(type_)}, {variable}, context))"
        return f"context.convert({variable}, {self._named(type_)}, {name!r})"

    def _is_leaf(self, type_: Any) -> bool:
        """Say whether graphql-core has made the value already what the resolver gets."""
        if type_ is GlobalID:
            return False
        is_enum = isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_)
        return is_enum or is_scalar(type_, self._schema.schema_converter.scalar_registry)

    def _named(self, thing: object) -> str:
        name = f"n{len(self._names)}"
        self._names[name] = thing
        return name


def _refuse_null(name: str) -> object:
    # Refused before anything runs (see inputs.py); whoever comes here has not asked there.
    raise StrawberryInputCoercionError(f"'{name}' may be left out, but not be null.")
