"""Leaves: scalars and enums, written by an expression where a value has the expected class, else by own rules.

A serialiser may say what it does to values of some classes, so that it need not be called for them:

    @serializes_to_itself(dict, list, str)     # the value is its own serialised form
    @written_by_orjson(datetime, tzinfo=UTC)   # orjson writes the very text that the serialiser returns
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import Any, Final, NoReturn, TypeVar
from uuid import UUID

import orjson
from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
    Undefined,
)
from graphql.pyutils import inspect

ORJSON_OPTIONS: Final = orjson.OPT_UTC_Z
"""How every response is written, so that a value looks the same whoever wrote it."""

PLAIN: Final[frozenset[type]] = frozenset(
    {str, int, float, bool, datetime, date, time, timedelta, Decimal, UUID, dict, list, tuple, bytes}
)
"""Classes whose values are neither null, nor exceptions, nor to be awaited, so that a serialiser may have them."""

_HINT: Final = "__leaf_hint__"

F = TypeVar("F", bound=Callable[..., Any])


class OddValueError(Exception):
    """A value is not of the expected sort: the exact way has to look at it."""


@dataclass(frozen=True, slots=True)
class _Hint:
    classes: tuple[type, ...]
    attributes: Mapping[str, object]
    is_for_orjson: bool


def serializes_to_itself(*classes: type) -> Callable[[F], F]:
    """Let a serialiser say that values of exactly these classes are their own serialised form."""
    return _hinting(_Hint(classes, {}, is_for_orjson=False))


def written_by_orjson(cls: type, **attributes: object) -> Callable[[F], F]:
    """Let a serialiser say that orjson writes values of exactly this class as it would, with Z for UTC.

    Args:
        cls: Of the value.
        attributes: The very objects that the value must have as attributes for that to be true.
    """
    return _hinting(_Hint((cls,), attributes, is_for_orjson=True))


def odd() -> NoReturn:
    """Leave the expression that a plan has made.

    Raises:
        OddValueError: Always.
    """
    raise OddValueError


class Leaf:
    """How the values of one scalar or enum are written.

    Args:
        type_: The scalar or enum.
        native: Whether values may be left to orjson.
    """

    def __init__(self, type_: GraphQLLeafType, *, native: bool) -> None:
        self.type = type_
        self._native = native
        self._coerce: Callable[[Any], Any] = type_.coerce_output_value

    def exact(self, value: object) -> object:
        """Return a value that is neither null nor to be awaited as graphql-core would serialise it.

        Raises:
            Exception: What the serialiser raises, or that it returned nothing.
        """
        written = self._coerce(value)
        if written is None or written is Undefined:
            raise TypeError(
                f"Expected `{inspect(self.type)}.coerce_output_value({inspect(value)})` to return"
                f" non-nullable value, returned: {inspect(written)}"
            )
        return written

    def expression(self, value: str, names: Names, *, nullable: bool) -> str:
        """Return source that gives the written form of a value, or raises where it is not of the expected class.

        Args:
            value: Source of the value; it is evaluated once.
            names: What the source may refer to; whatever it needs is added.
            nullable: Whether null may be there.
        """
        test, written = self._quick(names)
        if written == "v":
            null = " or v is None" if nullable else ""
            return f"(v if {test.replace('v', f'(v := {value})', 1)}{null} else odd())"
        null = f"None if (v := {value}) is None else " if nullable else ""
        first = "v" if nullable else f"(v := {value})"
        return f"({null}{written} if {test.replace('v', first, 1)} else odd())"

    def _quick(self, names: Names) -> tuple[str, str]:
        """Return a test of `v`, which begins with `v`, and what is written where it holds."""
        type_ = self.type
        if type_ is GraphQLString or type_ is GraphQLID:
            return "v.__class__ is str", "v"
        if type_ is GraphQLBoolean:
            return "v.__class__ is bool", "v"
        if type_ is GraphQLInt:
            return "v.__class__ is int and -2147483648 <= v <= 2147483647", "v"
        if type_ is GraphQLFloat:
            # Infinity and NaN differ from themselves in this way.
            return "v.__class__ is float and v - v == 0.0", "v"
        members = _members(type_)
        if members is not None:
            cls, texts = members
            is_same = all(key == text for key, text in texts.items())
            return f"v.__class__ is {names.add(cls)}", "v._name_" if is_same else f"{names.add(texts)}[v._name_]"
        hint: _Hint | None = getattr(self._coerce, _HINT, None)
        if hint is not None and (self._native or not hint.is_for_orjson):
            tests = [f"v.__class__ {_among(hint.classes, names)}"]
            tests += [f"v.{name} is {names.add(value)}" for name, value in hint.attributes.items()]
            return " and ".join(tests), "v"
        # Builtins of that name return what is already of their class.
        if self._coerce is str:
            classes: tuple[type, ...] = (str, UUID) if self._native else (str,)
            return f"v.__class__ {_among(classes, names)}", "v"
        if self._coerce is int:
            return "v.__class__ is int", "v"
        written = f"w if (w := {names.add(self._coerce)}(v)) is not None and w is not {names.add(Undefined)}"
        return f"v.__class__ in {names.add(PLAIN)}", f"({written} else odd())"


class Names:
    """The objects that generated source refers to, by the names that it gives them."""

    def __init__(self) -> None:
        self.globals: dict[str, object] = {"odd": odd}
        self._by_identity: dict[int, str] = {}

    def add(self, value: object) -> str:
        """Return a name of this object."""
        name = self._by_identity.get(id(value))
        if name is None:
            name = self._by_identity[id(value)] = self.fresh("k")
            self.globals[name] = value
        return name

    def fresh(self, prefix: str) -> str:
        """Return a name that nothing has."""
        name = f"{prefix}{len(self.globals)}"
        self.globals[name] = None
        return name


def _hinting(hint: _Hint) -> Callable[[F], F]:
    def decorate(serialize: F) -> F:
        setattr(serialize, _HINT, hint)
        return serialize

    return decorate


def _among(classes: tuple[type, ...], names: Names) -> str:
    return f"is {names.add(classes[0])}" if len(classes) == 1 else f"in {names.add(frozenset(classes))}"


def _members(type_: GraphQLLeafType) -> tuple[type, dict[str, str]] | None:
    """Return the class of an enum's members with what is written for each by its name; None for another leaf."""
    cls = getattr(type_, "wrapped_cls", None)
    if not isinstance(type_, GraphQLEnumType) or not isinstance(cls, type) or not issubclass(cls, Enum):
        return None
    # A combination of flags is of the class, too, but has no name of its own.
    if issubclass(cls, Flag):
        return None
    return cls, {member._name_: type_.coerce_output_value(member) for member in cls}
