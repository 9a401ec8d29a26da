"""Relations that are read for all objects of a list at once, past a call for each.

A field that declares one keeps its resolver, which gives the same, one by one: graphql-core calls it where no plan
is compiled.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from alertgraph.core.errors import RefusedError
from alertgraph.core.tenant import Role
from alertgraph.execution.batch import Batch, Key, Make, as_loaded, nothing
from resolvers.context import Info
from resolvers.errors import BadRequestError
from resolvers.loaders import BATCH_LENGTH_MAX

K = TypeVar("K")
T = TypeVar("T")


def relation(
    key: Key,
    load: Callable[..., Awaitable[Mapping[Any, Any]]],
    make: Make = as_loaded,
    missing: Callable[[], object] = nothing,
    role: Role = Role.VIEWER,
) -> Batch:
    """Return how a relation is read, for `computed(..., batch=...)`.

    Args:
        key: Takes an object and returns what its relation is found by; None where it has none.
        load: Takes info, the keys and the field's arguments, and returns by key what there is.
        make: Takes info and what was loaded, and returns it as the API shows it.
        missing: Returns what is shown where there is nothing.
        role: The least that may read it.
    """

    async def refusing(info: Info, keys: Sequence[Any], **arguments: Any) -> Mapping[Any, Any]:
        try:
            return await load(info, keys, **arguments)
        except RefusedError as error:
            raise BadRequestError.of(error) from error

    def authorise(info: Info) -> None:
        info.context.principal.require(role)

    return Batch(key=key, load=refusing, make=make, missing=missing, authorise=authorise)


async def in_parts(read: Callable[[Sequence[K]], Awaitable[Mapping[K, T]]], keys: Sequence[K]) -> Mapping[K, T]:
    """Return what is read by keys, as many at once as loaders ask for."""
    if len(keys) <= BATCH_LENGTH_MAX:
        return await read(keys)
    found: dict[K, T] = {}
    for start in range(0, len(keys), BATCH_LENGTH_MAX):
        found.update(await read(keys[start : start + BATCH_LENGTH_MAX]))
    return found
