"""A JSON body means to us what it means to the standard library, and never more than one thing."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.edge.bodies import BodyError, read_json

NAMES = st.sampled_from(["a", "b", ":", 'q"', "é", "\\", "\\u003a"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | NAMES
)


def written(value: Any, draw: Any) -> str:
    """A value as JSON text, spaced and escaped by chance; a list of pairs is an object."""
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    if isinstance(value, list):
        return f"[{space}{','.join(written(item, draw) + space for item in value)}]"
    if isinstance(value, tuple):
        members = (f"{space}{written(name, draw)}{space}:{space}{written(item, draw)}" for name, item in value)
        return f"{{{','.join(members)}{space}}}"
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    return text.replace(":", "\\u003a") if draw(st.booleans()) else text


PAIRS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(NAMES, inner), max_size=4).map(tuple),
    max_leaves=10,
)


def has_twice(value: Any) -> bool:
    if isinstance(value, tuple):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(has_twice(item) for _, item in value)
    return isinstance(value, list) and any(map(has_twice, value))


@given(PAIRS, st.data())
def test_a_member_named_twice_is_always_found_and_nothing_else(value: Any, data: st.DataObject) -> None:
    text = written(value, data.draw)

    if has_twice(value):
        with pytest.raises(BodyError, match="occurs twice"):
            read_json(text.encode())
    else:
        assert read_json(text.encode()) == json.loads(text)


@given(st.binary(max_size=40) | st.text('{}[]",:\\u0a1e.- ntf\x00', max_size=40).map(str.encode))
def test_any_bytes_are_json_or_refused(raw: bytes) -> None:
    with suppress(BodyError):
        assert read_json(raw) == json.loads(raw)
