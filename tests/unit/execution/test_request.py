"""What a client sent becomes one request, or an error that names the part at fault."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.execution.errors import RefusedError
from alertgraph.execution.request import (
    GraphQLRequest,
    is_nested_deeper,
    read_body,
    read_payload,
    read_query_string,
)


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_a_full_body_is_read() -> None:
    body = b'{"query":"{a}","operationName":"A","variables":{"n":1},"extensions":{"x":2},"other":3}'

    assert read_body(body) == GraphQLRequest("{a}", "A", {"n": 1}, {"x": 2})


@pytest.mark.parametrize("member", ["operationName", "variables", "extensions"])
def test_null_means_that_the_member_is_left_out(member: str) -> None:
    assert read_payload({"query": "{a}", member: None}, "The body") == GraphQLRequest("{a}")


def test_an_empty_operation_name_means_none() -> None:
    assert read_payload({"query": "{a}", "operationName": ""}, "The body").operation_name is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"5", "not a number"),
        (b"null", "not null"),
        (b'"x"', "not text"),
        (b"true", "not a boolean"),
        (b"[]", "batches are not supported"),
        (b'[{"query":"{a}"}]', "batches are not supported"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{", "not valid JSON"),
        (b'{"query":"{a}"} x', "not valid JSON"),
        (b"\xff\xfe", "not valid UTF-8 at byte 0"),
        (b'{"query":"\xc3("}', "not valid UTF-8 at byte 10"),
        (b'{"query":"\\ud800"}', "not valid JSON"),
        (b'{"query":"a\x00b"}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"{}", "`query` is missing"),
        (b'{"query":null}', "`query` is missing"),
        (b'{"query":5}', "`query` must be text, not a number"),
        (b'{"query":["{a}"]}', "`query` must be text, not a list"),
        (b'{"query":"{a}","operationName":5}', "`operationName` must be text"),
        (b'{"query":"{a}","operationName":{}}', "`operationName` must be text, not an object"),
        (b'{"query":"{a}","variables":"x"}', "`variables` must be an object, not text"),
        (b'{"query":"{a}","variables":[1]}', "`variables` must be an object, not a list"),
        (b'{"query":"{a}","variables":false}', "`variables` must be an object, not a boolean"),
        (b'{"query":"{a}","extensions":0}', "`extensions` must be an object"),
        (b'{"query":"{a}","query":"{b}"}', "has the member `query` twice in one object"),
        (b'{"query":"{a}","variables":{"n":[{"x":1,"y":2,"x":3}]}}', "has the member `x` twice"),
        (b'{"query":"{a}","variables":{"a:b":1,"\\u0061\\u003ab":2}}', "has the member `a:b` twice"),
        (b'{"query":"{a}","extensions":' + b"[" * 300 + b"]" * 300 + b"}", "nested too deeply"),
    ],
)
def test_a_malformed_body_is_refused_by_name(body: bytes, named: str) -> None:
    with pytest.raises(RefusedError, match=named) as refused:
        read_body(body)

    assert refused.value.code == "BAD_REQUEST"


@pytest.mark.parametrize(
    "body", [b'{"query":":","variables":{"a":{"a":1},"b":{"a:":"\\u003a"}}}', b' { "query" : "a:b" } ']
)
def test_one_name_in_several_objects_is_fine(body: bytes) -> None:
    assert read_or_code(lambda: read_body(body)) == "read"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b'{"query":' + b"[" * 100_000])
def test_endless_nesting_is_refused_at_once(body: bytes) -> None:
    begun = time.thread_time()

    with pytest.raises(RefusedError, match="not valid JSON"):
        read_body(body)

    assert time.thread_time() - begun < 0.05


def test_variables_may_be_nested_32_levels_and_no_more() -> None:
    assert read_payload({"query": "{a}", "variables": {"v": nested(31)}}, "The body").variables

    with pytest.raises(RefusedError, match="`variables` is nested more than 32 levels"):
        read_payload({"query": "{a}", "variables": {"v": nested(32)}}, "The body")


@given(st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_depth_is_counted_as_by_recursion(value: object) -> None:
    def depth(item: object) -> int:
        if isinstance(item, dict):
            return 1 + max((depth(each) for each in item.values()), default=0)
        if isinstance(item, list):
            return 1 + max((depth(each) for each in item), default=0)
        return 0

    assert not is_nested_deeper(value, depth(value))
    assert depth(value) == 0 or is_nested_deeper(value, depth(value) - 1)


def test_parameters_of_a_url_are_read() -> None:
    request = read_query_string(b"query=%7Ba%7D&variables=%7B%22n%22%3A1%7D&operationName=A&extensions=&x=1")

    assert request == GraphQLRequest("{a}", "A", {"n": 1})


@pytest.mark.parametrize(
    ("query_string", "named"),
    [
        (b"", "`query` is missing"),
        (b"query=%ff", "not valid UTF-8"),
        (b"query=\xff", "not valid UTF-8"),
        (b"query=a&query=b", "more than one parameter `query`"),
        (b"query=a&variables=x", "`variables` is not valid JSON"),
        (b"query=a&variables=5", "`variables` must be an object, not a number"),
        (b"query=a&variables=%7B%22n%22:1,%22n%22:2%7D", "`variables` has the member `n` twice"),
        (b"&".join(b"a%d=1" % n for n in range(30)), "more than 20 parameters"),
    ],
)
def test_malformed_parameters_are_refused_by_name(query_string: bytes, named: str) -> None:
    with pytest.raises(RefusedError, match=named):
        read_query_string(query_string)


def read_or_code(read: Callable[[], GraphQLRequest]) -> str:
    try:
        request = read()
    except RefusedError as refused:
        return refused.code
    assert isinstance(request.query, str)
    return "read"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    assert read_or_code(lambda: read_body(body)) in ("read", "BAD_REQUEST")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional={"query": JSON, "operationName": JSON, "variables": JSON}))
def test_any_object_is_read_or_refused(payload: dict[str, object]) -> None:
    assert read_or_code(lambda: read_payload(payload, "The body")) in ("read", "BAD_REQUEST")
