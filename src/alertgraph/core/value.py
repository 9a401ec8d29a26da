"""Values that are made by the thousand: frozen dataclasses, at the price of plain ones.

A frozen dataclass sets each field by a call past its own lock. For an alert with its forty fields that is a
third of what a decision costs. So a value here is filled in while it is of a twin class without a lock, with the
same slots, and then becomes what it is: CPython lets an object change to a class of the same layout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["partial", "quick", "replace"]

T = TypeVar("T")

# What values are filled in as, by their class.
_TWINS: dict[type, type] = {}
# How a value is copied with some fields changed, by its class.
_CHANGED: dict[type, Callable[[Any, dict[str, Any]], Any]] = {}

if TYPE_CHECKING:
    # Checked as what it stands for: names and types of the fields.
    from dataclasses import replace
else:

    def replace(value: T, /, **changes: Any) -> T:
        """Return the value with some fields changed, as `dataclasses.replace` does, for quick ones at once."""
        changed = _CHANGED.get(value.__class__)
        return dataclasses.replace(value, **changes) if changed is None else changed(value, changes)


def quick(cls: type[T]) -> type[T]:
    """Return a frozen dataclass with slots whose values are made and changed quickly; all else stays as it is."""
    assert cls.__bases__ == (object,), "what is inherited would be left out"
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # a dataclass, which a type can't say
    # The keys of the dictionary of slots are what the layout is made of.
    twin = type(f"{cls.__name__}InTheMaking", (), {"__slots__": tuple(cls.__slots__)})  # type: ignore[attr-defined]
    known: dict[str, Any] = {"_Twin": twin, "_Value": cls, "_new": object.__new__, "_set": object.__setattr__}
    parameters = ["self"]
    filled: list[str] = []
    for field in fields:
        assert not field.kw_only, "parameters stand in the order of the fields"
        name = field.name
        if not field.init:
            continue
        if field.default is not MISSING:
            known[f"_default_{name}"] = field.default
            parameters.append(f"{name}=_default_{name}")
            filled.append(f"self.{name} = {name}")
        elif field.default_factory is not MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameters.append(f"{name}=_make_{name}")
            filled.append(f"self.{name} = _make_{name}() if {name} is _make_{name} else {name}")
        else:
            parameters.append(name)
            filled.append(f"self.{name} = {name}")
    finish = ["self.__class__ = _Value"]
    derives = hasattr(cls, "__post_init__")
    if derives:
        finish.append("self.__post_init__()")
    _compile(
        f"def __init__({', '.join(parameters)}):",
        ["_set(self, '__class__', _Twin)", *filled, *finish],
        known,
    )
    made = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = dict(cls.__init__.__annotations__)
    _TWINS[cls] = twin
    setattr(cls, "__init__", made)  # noqa: B010  (which the type checker would take for a mistake)
    if not derives:
        # What follows from other fields has to be worked out anew: such values are made anew altogether.
        _compile(
            "def _changed(value, changes):",
            [
                "made = _new(_Twin)",
                *(f"made.{field.name} = value.{field.name}" for field in fields),
                "for name, now in changes.items(): setattr(made, name, now)",
                "made.__class__ = _Value",
                "return made",
            ],
            known,
        )
        _CHANGED[cls] = known["_changed"]
    return cls


def partial(cls: type[T], names: Sequence[str]) -> Callable[..., T]:
    """Return what makes values of which only some fields are known; to read any other is an AttributeError.

    Args:
        cls: A dataclass in which nothing follows from other fields; a frozen one is quick.
        names: Of the fields whose values the maker takes, in this order.
    """
    unknown = set(names) - {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # as above
    assert not unknown, f"{cls.__name__} has no {unknown}"
    assert not hasattr(cls, "__post_init__"), "what follows from fields needs them all"
    known: dict[str, Any] = {"_Made": _TWINS.get(cls, cls), "_Value": cls, "_new": object.__new__}
    finish = ["_value.__class__ = _Value"] if cls in _TWINS else []
    _compile(
        f"def _made({', '.join(names)}):",
        ["_value = _new(_Made)", *(f"_value.{name} = {name}" for name in names), *finish, "return _value"],
        known,
    )
    made: Callable[..., T] = known["_made"]
    return made


def _compile(head: str, body: list[str], known: dict[str, Any]) -> None:
    lines = "".join(f"\n    {line}" for line in body)
    exec(f"{head}{lines}", known)  # noqa: S102  (names of our own fields, as dataclasses itself does)
