"""How refusals are told: as data where a caller can mend them, else as an error with a code."""

from collections.abc import Iterable
from typing import Self

import strawberry

from alertgraph.core.errors import AlertGraphError, NotFoundError, Problem, RefusedError
from resolvers.scalars import Long
from resolvers.words import ErrorCode


@strawberry.type(
    description="Something the caller can mend; anything else is a GraphQL error with extensions.code."
)
class MutationError:
    """Something the caller can mend."""

    code: ErrorCode = strawberry.field(description="Stable name.")
    message: str = strawberry.field(description="A sentence for a person.")
    path: list[str] | None = strawberry.field(
        description="The way to the input at fault, such as input, levels, 0, delay; null where no one value is."
    )
    current_version: Long | None = strawberry.field(description="For VERSION_CONFLICT: the version it has now.")

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Return a problem as the API tells it."""
        version = problem.current_version
        return cls(
            code=problem.code,
            message=problem.message,
            path=list(problem.path) or None,
            current_version=Long(version) if version is not None else None,
        )


def errors_of(error: RefusedError) -> list[MutationError]:
    """Return why a mutation was refused; paths begin at its `input`."""
    return input_errors(error.problems)


def input_errors(problems: Iterable[Problem]) -> list[MutationError]:
    """Return what is wrong with a mutation's input; a problem of no one value keeps its empty path."""
    return [MutationError.of(problem.below("input") if problem.path else problem) for problem in problems]


class BadRequestError(AlertGraphError):
    """An argument of a field that reads is refused: there is no payload to tell it in."""

    code = ErrorCode.BAD_REQUEST

    @classmethod
    def of(cls, error: RefusedError) -> Self:
        """Return a refusal as an error of the request, which names the arguments at fault."""
        return cls("; ".join(_placed(problem) for problem in error.problems))


def _placed(problem: Problem) -> str:
    return f"{'.'.join(problem.path)}: {problem.message}" if problem.path else problem.message


def unknown(thing: str, *path: str) -> NotFoundError:
    """Return the refusal of an id that names nothing the caller may see."""
    return NotFoundError(f"There is no such {thing}.", *path)
