"""As much of JSON Schema 2020-12 as the OpenAPI document uses: what is wrong with a value, and with a schema."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
KEYWORDS = {
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "properties",
    "propertyNames",
    "required",
    "type",
}


def resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference stands for, with the keywords beside it."""
    if "$ref" not in schema:
        return schema
    target: Any = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**target, **{name: value for name, value in schema.items() if name != "$ref"}}


def faults(value: object, schema: dict[str, Any], document: dict[str, Any], at: str = "$") -> Iterator[str]:
    """Yield why a value is none of a schema's, each with the way to it."""
    schema = resolved(schema, document)
    types = schema.get("type")
    if types is not None:
        names = [types] if isinstance(types, str) else types
        if not any(_is(value, name) for name in names):
            yield f"{at} is no {names}: {value!r}"
            return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at} is none of {schema['enum']}: {value!r}"
    for part in schema.get("allOf", ()):
        yield from faults(value, part, document, at)
    for keyword, most in (("anyOf", None), ("oneOf", 1)):
        if keyword in schema:
            found = [list(faults(value, part, document, at)) for part in schema[keyword]]
            fitting = sum(not fault for fault in found)
            if not 1 <= fitting <= (most or fitting):
                yield f"{at} is not {keyword}: {found}"
    if isinstance(value, str):
        yield from _text_faults(value, schema, at)
    if isinstance(value, int) and not isinstance(value, bool) and value < schema.get("minimum", value):
        yield f"{at} is below {schema['minimum']}"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{at} has {len(value)} items"
        for index, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), document, f"{at}[{index}]")
    if isinstance(value, dict):
        yield from _object_faults(value, schema, document, at)


def _is(value: object, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _text_faults(value: str, schema: dict[str, Any], at: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{at} has {len(value)} characters"
    if schema.get("format") == "date-time":
        try:
            assert datetime.fromisoformat(value).tzinfo is not None
        except (ValueError, AssertionError):
            yield f"{at} is no instant: {value}"


def _object_faults(
    value: dict[str, Any], schema: dict[str, Any], document: dict[str, Any], at: str
) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if len(value) > schema.get("maxProperties", len(value)):
        yield f"{at} has {len(value)} members"
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}.{name} is missing"
    for name, item in value.items():
        yield from faults(name, schema.get("propertyNames", {}), document, f"{at} {name}")
        if name in properties:
            yield from faults(item, properties[name], document, f"{at}.{name}")
        elif others is False:
            yield f"{at}.{name} is unknown"
        elif isinstance(others, dict):
            yield from faults(item, others, document, f"{at}.{name}")


def schema_faults(schema: Any, document: dict[str, Any], at: str) -> Iterator[str]:
    """Yield what is wrong with a schema itself: unknown keywords and types, references to nothing."""
    unknown = schema.keys() - KEYWORDS
    if unknown:
        yield f"{at} has {unknown}"
    if "$ref" in schema:
        try:
            resolved(schema, document)
        except KeyError:
            yield f"{at} refers to nothing: {schema['$ref']}"
    types = schema.get("type", [])
    if not set([types] if isinstance(types, str) else types) <= TYPES.keys():
        yield f"{at} has the types {types}"
    for name in schema.get("required", ()):
        if name not in schema["properties"]:
            yield f"{at} requires {name}, which it does not describe"
    parts = {f"{at}/{name}": part for name, part in schema.get("properties", {}).items()}
    for keyword in ("items", "additionalProperties", "propertyNames"):
        if isinstance(schema.get(keyword), dict):
            parts[f"{at}/{keyword}"] = schema[keyword]
    for keyword in ("allOf", "anyOf", "oneOf"):
        parts |= {f"{at}/{keyword}/{index}": part for index, part in enumerate(schema.get(keyword, ()))}
    for place, part in parts.items():
        yield from schema_faults(part, document, place)
