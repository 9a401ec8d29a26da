"""What may leave as a GraphQL error: a stable code, a sentence, the request id, and nothing of our insides."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from graphql import FieldNode, GraphQLError, OperationDefinitionNode

INTERNAL_MESSAGE = "Internal error; quote the request id."
MESSAGE_LENGTH_MAX = 500

_CODE = re.compile(r"[A-Z][A-Z_]{2,39}")


class Code(StrEnum):
    """The codes that this library gives by itself; the application's own errors bring theirs."""

    BAD_REQUEST = "BAD_REQUEST"
    PARSE_FAILED = "PARSE_FAILED"
    VALIDATION_FAILED = "VALIDATION_FAILED"
    COST_EXCEEDED = "COST_EXCEEDED"
    DOCUMENT_NOT_FOUND = "DOCUMENT_NOT_FOUND"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


@runtime_checkable
class CodedError(Protocol):
    """An exception made for the caller's eyes.

    It may also carry `retry_after`, a timedelta: how long to wait before the next try.
    """

    @property
    def code(self) -> str:
        """A stable name in upper case, such as RATE_LIMITED."""

    @property
    def message(self) -> str:
        """A sentence for a person."""


Report = Callable[[BaseException, str], None]
"""Takes an exception whose text was kept from the caller, and the request id that the caller may quote."""

FormattedError = dict[str, object]
"""One entry of `errors` in a response."""


class RefusedError(Exception):
    """A request was refused before its execution began; nothing has happened.

    Attributes:
        errors: At least one, each with `extensions.code`.
    """

    def __init__(self, errors: Iterable[GraphQLError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(error.message for error in self.errors))

    @property
    def code(self) -> str:
        """The code of the first error, by which the request is answered and counted."""
        return str((self.errors[0].extensions or {}).get("code", Code.BAD_REQUEST))


class FailedStreamError(Exception):
    """A subscription could not begin, or its source ended in an error; it yields nothing more.

    Attributes:
        errors: At least one, ready to be sent.
    """

    def __init__(self, errors: list[FormattedError]) -> None:
        self.errors = errors
        super().__init__("; ".join(str(error["message"]) for error in errors))

    @property
    def code(self) -> str:
        """The code of the first error."""
        return code_of(self.errors[0])


def refusal(code: Code, message: str) -> RefusedError:
    """Return a refusal with one error that has no place in the document."""
    return RefusedError([GraphQLError(message, extensions={"code": code})])


def shortened(message: str) -> str:
    """Return the message, cut where a value that the caller sent has made it long."""
    if len(message) <= MESSAGE_LENGTH_MAX:
        return message
    return message[: MESSAGE_LENGTH_MAX - 1] + "…"


def is_coded(error: object) -> bool:
    """Return whether an exception says by its code and message that it is meant for the caller.

    INTERNAL is not: it names a failure of ours, and the text says how.
    """
    if not isinstance(error, Exception) or not isinstance(error, CodedError):
        return False
    code, message = error.code, error.message
    return (
        isinstance(code, str)
        and isinstance(message, str)
        and code != Code.INTERNAL
        and _CODE.fullmatch(code) is not None
    )


def code_of(error: FormattedError) -> str:
    """Return the code of an error that is ready to be sent."""
    extensions = error.get("extensions")
    return str(extensions["code"]) if isinstance(extensions, dict) else str(Code.INTERNAL)


def format_exception(error: BaseException, request_id: str, report: Report) -> FormattedError:
    """Return any exception as an error of a response; unless it is coded, its text goes to `report` only."""
    if isinstance(error, CodedError) and is_coded(error):
        extensions: dict[str, object] = {"code": str(error.code), "requestId": request_id}
        retry_after = getattr(error, "retry_after", None)
        if isinstance(retry_after, timedelta):
            extensions["retryAfter"] = seconds_up(retry_after)
        return {"message": shortened(error.message), "extensions": extensions}
    report(error, request_id)
    return {"message": INTERNAL_MESSAGE, "extensions": {"code": str(Code.INTERNAL), "requestId": request_id}}


def format_graphql_error(error: GraphQLError, request_id: str, report: Report) -> FormattedError:
    """Return what graphql-core or a resolver raised as an error of a response, with its path and places."""
    given = error.extensions or {}
    cause = root_cause(error)
    if "code" in given:
        formatted: FormattedError = {
            "message": shortened(error.message),
            "extensions": {**given, "code": str(given["code"]), "requestId": request_id},
        }
    elif cause is not None and not isinstance(cause, GraphQLError):
        formatted = format_exception(cause, request_id, report)
    elif _is_about_input(cause if isinstance(cause, GraphQLError) else error):
        formatted = {
            "message": shortened(error.message),
            "extensions": {"code": str(Code.VALIDATION_FAILED), "requestId": request_id},
        }
    else:
        formatted = format_exception(error, request_id, report)
    if error.path is not None:
        formatted["path"] = list(error.path)
    if error.locations:
        formatted["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    return formatted


def root_cause(error: GraphQLError) -> BaseException | None:
    """Return the innermost exception that a GraphQLError was made of; None where it was made of none."""
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def seconds_up(duration: timedelta) -> int:
    """Return the whole seconds to wait, at least one: a fraction rounded down would come too early."""
    return max(1, -int(-duration.total_seconds() // 1))


def _is_about_input(error: GraphQLError) -> bool:
    # graphql-core points at the argument or value where it refuses an input during execution; where it
    # refuses what a resolver returned it points at nothing, and once located, at the field.
    return any(not isinstance(node, FieldNode | OperationDefinitionNode) for node in error.nodes or ())
