"""Patches: a field left out stays as it is, and null clears it only where it may be empty."""

from typing import Protocol, TypeVar

from alertgraph.core.action import UNSET, Unset
from alertgraph.core.errors import InputError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Given(Protocol[T_co]):
    """What a patch says of one field: Strawberry's Some."""

    @property
    def value(self) -> T_co:
        """The new value; None for null."""
        ...


def patched(field: Given[T | None] | None, *path: str) -> T | Unset:
    """Return the new value of a field that may not be empty; UNSET where it was left out.

    Raises:
        InputError: It is null.
    """
    if field is None:
        return UNSET
    if field.value is None:
        raise InputError(f"{path[-1]} may be left out, but not be null.", *path)
    return field.value


def cleared(field: Given[T | None] | None) -> T | Unset | None:
    """Return the new value of a field that null clears; UNSET where it was left out."""
    return UNSET if field is None else field.value
