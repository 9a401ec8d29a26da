"""Reads what a transport received into one GraphQL request, or says which part of it is malformed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl

import orjson

from alertgraph.execution.errors import Code, RefusedError, refusal

VARIABLES_DEPTH_MAX: Final = 32
"""Lists and objects inside one another; deeper ones could be read, but never be written as JSON again."""

_QUERY_STRING_FIELDS_MAX: Final = 20
_PERSISTED_QUERY_VERSION: Final = 1

_SHA256 = re.compile(r"[0-9a-f]{64}")

_KINDS: Final = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


class Convention(Enum):
    """How a request names a document, by the field that says so."""

    DOCUMENT_ID = "documentId"
    PERSISTED_QUERY = "extensions.persistedQuery.sha256Hash"


@dataclass(frozen=True, slots=True)
class Naming:
    """The name of a document.

    Attributes:
        id: SHA-256 of its text, in hex.
        convention: How the request said so.
    """

    id: str
    convention: Convention


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One operation as a client asked for it; nothing of it is checked against a schema yet.

    Attributes:
        query: The text of the document; None where it is only named.
        operation_name: Which of its operations; None where it has only one.
        variables: Raw JSON values by name.
        extensions: What the client sent beside them.
        naming: How it names its document; the text that it brings along is the one that is named.
    """

    query: str | None
    operation_name: str | None = None
    variables: Mapping[str, object] = field(default_factory=dict)
    extensions: Mapping[str, object] = field(default_factory=dict)
    naming: Naming | None = None


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
    if query is not None and not isinstance(query, str):
        raise _bad(f"`query` must be text, not {_kind(query)}.")
    extensions = _object(payload, "extensions")
    naming = _naming(payload.get("documentId"), extensions.get("persistedQuery"), query)
    if query is None and naming is None:
        raise _bad("`query` is missing; it must be the text of a GraphQL document, or `documentId` name one.")
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
        extensions=extensions,
        naming=naming,
    )


def _naming(document_id: object, persisted_query: object, text: str | None) -> Naming | None:
    """Return how a request names its document; None where it does not.

    Args:
        document_id: As the appendix "Persisted Documents" of GraphQL over HTTP has it.
        persisted_query: As Apollo has it.
        text: That came along.

    Raises:
        RefusedError: BAD_REQUEST, naming the field at fault.
    """
    namings: list[Naming] = []
    if document_id is not None:
        namings.append(Naming(_read_document_id(document_id), Convention.DOCUMENT_ID))
    if persisted_query is not None:
        namings.append(Naming(_read_persisted_query(persisted_query), Convention.PERSISTED_QUERY))
    if not namings:
        return None
    naming = namings[0]
    for other in namings[1:]:
        if other.id != naming.id:
            raise _bad(f"`{naming.convention.value}` and `{other.convention.value}` name different documents.")
    if text is not None and hashlib.sha256(text.encode()).hexdigest() != naming.id:
        raise _bad(f"`{naming.convention.value}` is not the SHA-256 of `query`.")
    return naming


def _read_document_id(value: object) -> str:
    if not isinstance(value, str):
        raise _bad(f"`documentId` must be text, not {_kind(value)}.")
    prefix, separator, hash_ = value.partition(":")
    if not separator or prefix != "sha256" or not _SHA256.fullmatch(hash_):
        raise _bad("`documentId` must be `sha256:` and 64 lower-case hexadecimal digits.")
    return hash_


def _read_persisted_query(value: object) -> str:
    if not isinstance(value, dict):
        raise _bad(f"`extensions.persistedQuery` must be an object, not {_kind(value)}.")
    version = value.get("version")
    if isinstance(version, bool) or version != _PERSISTED_QUERY_VERSION:
        raise _bad(f"`extensions.persistedQuery.version` must be {_PERSISTED_QUERY_VERSION}.")
    hash_ = value.get("sha256Hash")
    if not isinstance(hash_, str) or not _SHA256.fullmatch(hash_):
        raise _bad("`extensions.persistedQuery.sha256Hash` must be 64 lower-case hexadecimal digits.")
    return hash_


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
