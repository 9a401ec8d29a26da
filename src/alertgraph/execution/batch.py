"""Relations that are read for a whole column at once, as fields declare them.

A field says so in its Strawberry metadata, under the key `batch`:

    @strawberry.field(metadata={"batch": Batch(key=attrgetter("owner_id"), load=owners_of, make=Owner.of)})
    async def owner(self, info: Info) -> Owner | None: ...

The ordinary resolver stays, a coroutine: graphql-core runs it wherever no plan does, and it has to give the same
values. Where it is no coroutine, or an extension or permissions stand around it, it is run in plans, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

METADATA_KEY: Final = "batch"

Key = Callable[[Any], Hashable]
Load = Callable[..., Awaitable[Mapping[Any, Any]]]
Make = Callable[[Any, Any], object]


def as_loaded(_info: object, value: object) -> object:
    """Return what was loaded, which is what the field shows."""
    return value


def nothing() -> object:
    """Return null."""
    return None


@dataclass(frozen=True, slots=True)
class Batch:
    """How the values of one field are read for many parents at once.

    Attributes:
        key: Takes a parent and returns what its value is found by; None where there is nothing to be found.
            It is called once for each parent, so it neither waits nor asks who is asking.
        load: Takes info, the distinct keys in the order of their parents, and the field's arguments by their
            Python names; returns values by key. What it leaves out is missing; an exception as a value fails
            the parents with that key, and one that is raised fails them all.
        make: Takes info and a loaded value and returns what the field shows, once for each key: parents with the
            same key share it, so it must not depend on anything but its arguments.
        missing: Returns what the field shows where the key is None or nothing was loaded.
        authorise: Takes info and raises where the caller may not read this field; asked once for each column.
    """

    key: Key
    load: Load
    make: Make = as_loaded
    missing: Callable[[], object] = nothing
    authorise: Callable[[Any], None] | None = None


def batch_of(metadata: Mapping[Any, Any] | None) -> Batch | None:
    """Return what a field's metadata declares; None where it declares nothing."""
    batch = (metadata or {}).get(METADATA_KEY)
    assert batch is None or isinstance(batch, Batch), f"metadata[{METADATA_KEY!r}] must be a Batch"
    return batch


def distinct(keys: Sequence[Hashable]) -> list[Hashable]:
    """Return each key once, in order, without None."""
    return [key for key in dict.fromkeys(keys) if key is not None]
