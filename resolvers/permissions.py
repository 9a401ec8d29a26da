"""Who may run a resolver, and how a refusal of its arguments is told.

INGEST < VIEWER < RESPONDER < ADMIN. Services and reads check roles too; here they are checked before
anything else is looked at, so that a caller below the role learns nothing from the arguments it tries.
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from alertgraph.core.errors import RefusedError
from alertgraph.core.tenant import Role
from resolvers.context import Context
from resolvers.errors import BadRequestError

P = ParamSpec("P")
T = TypeVar("T")


def writes(role: Role) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Let only callers with at least `role` run a mutation, which tells refusals in its payload.

    Raises:
        AccessDeniedError: By the resolver, for a caller with a lower role.
    """

    def decorate(resolver: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(resolver)
        async def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            _require(kwargs, role)
            await _context(kwargs).renew()
            return await resolver(*args, **kwargs)

        return checked

    return decorate


def reads(role: Role) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Let only callers with at least `role` run a field that reads; a bad argument is a bad request.

    Raises:
        AccessDeniedError: By the resolver, for a caller with a lower role.
        BadRequestError: By the resolver, where an argument is refused.
    """

    def decorate(resolver: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(resolver)
        async def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            _require(kwargs, role)
            try:
                return await resolver(*args, **kwargs)
            except RefusedError as error:
                raise BadRequestError.of(error) from error

        return checked

    return decorate


def follows(
    role: Role,
) -> Callable[[Callable[P, AsyncGenerator[T, None]]], Callable[P, AsyncGenerator[T, None]]]:
    """Let only callers with at least `role` follow a subscription; a bad argument is a bad request.

    Raises:
        AccessDeniedError: By the resolver, for a caller with a lower role.
        BadRequestError: By the resolver, where an argument is refused.
    """

    def decorate(resolver: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, AsyncGenerator[T, None]]:
        @functools.wraps(resolver)
        async def checked(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
            _require(kwargs, role)
            events = resolver(*args, **kwargs)
            try:
                async for event in events:
                    yield event
            except RefusedError as error:
                raise BadRequestError.of(error) from error
            finally:
                # A client that leaves must not keep its place in the service until the garbage is collected.
                await events.aclose()

        return checked

    return decorate


def _require(arguments: dict[str, Any], role: Role) -> None:
    _context(arguments).principal.require(role)


def _context(arguments: dict[str, Any]) -> Context:
    context: Context = arguments["info"].context
    return context
