"""The tree of errors: each carries facts, a stable code and a sentence for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ErrorCode(StrEnum):
    """A stable name for what went wrong; the first seven appear in payloads."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    IN_USE = "IN_USE"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    LIMIT_REACHED = "LIMIT_REACHED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    RATE_LIMITED = "RATE_LIMITED"
    COST_EXCEEDED = "COST_EXCEEDED"
    PARSE_FAILED = "PARSE_FAILED"
    VALIDATION_FAILED = "VALIDATION_FAILED"
    BAD_REQUEST = "BAD_REQUEST"
    DOCUMENT_NOT_FOUND = "DOCUMENT_NOT_FOUND"
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    SLOW_CONSUMER = "SLOW_CONSUMER"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something the caller can mend.

    Attributes:
        code: One of the first seven codes.
        message: A sentence for a person.
        path: The way to the input at fault, such as ("labels", "host"); empty where no one value is.
            Relative to the command it is about; who read the command puts its own place in front.
        current_version: For VERSION_CONFLICT: the version it has now.
    """

    code: ErrorCode
    message: str
    path: tuple[str, ...] = ()
    current_version: int | None = None

    def below(self, *prefix: str) -> Problem:
        """Return the same problem with its path continued to the left."""
        return Problem(self.code, self.message, (*prefix, *self.path), self.current_version)


class AlertGraphError(Exception):
    """Root of the errors that alertgraph raises on purpose."""

    code = ErrorCode.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RefusedError(AlertGraphError):
    """A command that the caller can mend; answered as data, never as a failure of the request."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = tuple(problems)
        self.code = self.problems[0].code


class InputError(RefusedError):
    """A value is refused."""

    def __init__(self, message: str, *path: str) -> None:
        super().__init__([Problem(ErrorCode.INVALID_INPUT, message, path)])


class NotFoundError(RefusedError):
    """No such thing for this caller."""

    def __init__(self, message: str, *path: str) -> None:
        super().__init__([Problem(ErrorCode.NOT_FOUND, message, path)])


class ConflictError(RefusedError):
    """The present state does not allow that."""

    def __init__(self, message: str, *path: str) -> None:
        super().__init__([Problem(ErrorCode.CONFLICT, message, path)])


class AccessDeniedError(AlertGraphError):
    """The role or the key's scope does not allow it."""

    code = ErrorCode.FORBIDDEN


class UnauthenticatedError(AlertGraphError):
    """No valid credentials."""

    code = ErrorCode.UNAUTHENTICATED


class CursorExpiredError(AlertGraphError):
    """The log before this cursor is gone, or the cursor is of another log."""

    code = ErrorCode.CURSOR_EXPIRED


class RateLimitedError(AlertGraphError):
    """Too much in too short a time.

    Attributes:
        retry_after: How long to wait before the next try.
    """

    code = ErrorCode.RATE_LIMITED

    def __init__(self, message: str, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CostExceededError(AlertGraphError):
    """It costs more than may ever be spent at once: ask for less."""

    code = ErrorCode.COST_EXCEEDED


class DependencyError(AlertGraphError):
    """A store is away or failed.

    Attributes:
        dependency: Its name, such as postgresql.
        retryable: Whether the same call may go through later.
    """

    code = ErrorCode.UNAVAILABLE

    def __init__(self, dependency: str, *, retryable: bool, message: str | None = None) -> None:
        super().__init__(message or f"{dependency} is not available; try again")
        self.dependency = dependency
        self.retryable = retryable


class StaleDecisionError(AlertGraphError):
    """What a decision relied on has changed; nothing was written. Load and decide again."""

    code = ErrorCode.CONFLICT
