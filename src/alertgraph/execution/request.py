"""Reads what a transport received into one GraphQL request, or says which part of it is malformed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

import orjson

from alertgraph.execution.errors import Code, RefusedError, refusal

VARIABLES_DEPTH_MAX: Final = 32
"""Lists and objects inside one another; deeper ones could be read, but never be written as JSON again."""

_QUERY_STRING_FIELDS_MAX: Final = 20

_KINDS: Final = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One operation as a client asked for it; nothing of it is checked against a schema yet.

    Attributes:
        query: The text of the document.
        operation_name: Which of its operations; None where it has only one.
        variables: Raw JSON values by name.
        extensions: What the client sent beside them.
    """

    query: str
    operation_name: str | None = None
    variables: Mapping[str, object] = field(default_factory=dict)
    extensions: Mapping[str, object] = field(default_factory=dict)


def read_body(body: bytes) -> GraphQLRequest:
    """Return the request in a JSON body.

    Raises:
        RefusedError: BAD_REQUEST, naming what is wrong.
    """
    return read_payload(read_json(body, "The body"), "The body")


def read_query_string(query_string: bytes) -> GraphQLRequest:
    """Return the request in the parameters of a URL, where variables and extensions are JSON text.

    Raises:
        RefusedError: BAD_REQUEST, naming what is wrong.
    """
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_QUERY_STRING_FIELDS_MAX,
        )
    except UnicodeDecodeError:
        raise _bad("The parameters of the URL are not valid UTF-8.") from None
    except ValueError:
        raise _bad(f"The URL has more than {_QUERY_STRING_FIELDS_MAX} parameters.") from None
    payload: dict[str, object] = {}
    for name, text in pairs:
        if name in payload:
            raise _bad(f"The URL has more than one parameter `{shown(name)}`.")
        is_json = name in ("variables", "extensions") and text != ""
        payload[name] = read_json(text.encode(), f"`{name}`") if is_json else text
    for name in ("variables", "extensions"):
        if payload.get(name) == "":
            payload[name] = None
    return read_payload(payload, "The URL")


def read_json(data: bytes, subject: str) -> object:
    """Return the value of a JSON text.

    Args:
        data: The text, UTF-8.
        subject: How to call it in an error, such as "The body".

    Raises:
        RefusedError: BAD_REQUEST: not UTF-8, not JSON, nested too deeply to be read, or with a member of an object
            that is there twice.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise _bad(f"{subject} is not valid UTF-8 at byte {error.start}.") from None
    if not data.strip():
        raise _bad(f"{subject} is empty; a JSON object is expected.")
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _bad(f"{subject} is not valid JSON: {error}.") from None
    try:
        repeated = repeated_member(data, value)
    except TypeError:
        raise _bad(f"{subject} is nested too deeply.") from None
    if repeated is not None:
        raise _bad(twice(subject, repeated))
    return value


def repeated_member(data: bytes, value: object) -> str | None:
    """Return the name of a member that occurs twice in one object of a JSON text; None where there is none.

    Parsers keep one of the two, and not all of them the same one.

    Args:
        data: The text.
        value: What was read from it.

    Raises:
        TypeError: The value is nested too deeply to be written again.
    """
    # Written again, the text has lost the colon of what was there twice; colons inside texts stay, unless they
    # were escaped. A hook on each object would cost three times as much as the parsing itself.
    if orjson.dumps(value).count(b":") == data.count(b":") and b"\\u003" not in data:
        return None
    repeated: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                repeated.append(name)
            names.add(name)

    json.loads(data, object_pairs_hook=note)
    return repeated[0] if repeated else None


def twice(subject: str, name: str) -> str:
    """Return what to say of a member that occurs twice."""
    return f"{subject} has the member `{shown(name)}` twice in one object."


def read_payload(payload: object, subject: str) -> GraphQLRequest:
    """Return the request in a decoded JSON value.

    Args:
        payload: Any JSON value.
        subject: How to call it in an error, such as "The body".

    Raises:
        RefusedError: BAD_REQUEST, naming the member at fault.
    """
    if isinstance(payload, list):
        raise _bad(f"{subject} is a list; batches are not supported, send one operation per request.")
    if not isinstance(payload, dict):
        raise _bad(f"{subject} must be a JSON object, not {_kind(payload)}.")
    query = payload.get("query")
    if query is None:
        raise _bad("`query` is missing; it must be the text of a GraphQL document.")
    if not isinstance(query, str):
        raise _bad(f"`query` must be text, not {_kind(query)}.")
    operation_name = payload.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise _bad(f"`operationName` must be text, not {_kind(operation_name)}.")
    variables = _object(payload, "variables")
    if is_nested_deeper(variables, VARIABLES_DEPTH_MAX):
        raise _bad(f"`variables` is nested more than {VARIABLES_DEPTH_MAX} levels deep.")
    return GraphQLRequest(
        query=query,
        # Some clients write "" where they mean that there is no name.
        operation_name=operation_name or None,
        variables=variables,
        extensions=_object(payload, "extensions"),
    )


def is_nested_deeper(value: object, depth_max: int) -> bool:
    """Return whether lists and objects stand more than `depth_max` levels inside one another."""
    level: list[object] = [value]
    for _ in range(depth_max):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return any(isinstance(item, dict | list) for item in level)


def shown(text: str) -> str:
    """Return a name that a client chose, short enough to be put into a message."""
    return text if len(text) <= 60 else text[:59] + "…"


def _object(payload: dict[str, object], name: str) -> Mapping[str, object]:
    value = payload.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad(f"`{name}` must be an object, not {_kind(value)}.")
    return value


def _kind(value: object) -> str:
    return "null" if value is None else _KINDS.get(type(value), "something else")


def _bad(message: str) -> RefusedError:
    return refusal(Code.BAD_REQUEST, message)
