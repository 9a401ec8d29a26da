"""Patches and one-of inputs are refused before anything runs, in words of the schema."""

from __future__ import annotations

import pytest

from alertgraph.execution.errors import RefusedError
from tests.conformance import toy

PART = "query($p:Part!){part(input:$p)}"
CHOICE = "query($c:Choice!){choose(choice:$c)}"
NAME = "query($n:String){part(input:{number:1,name:$n})}"
NOT_NULL = "Field 'name' of 'Part' may be left out, but not be null."
ONE = "Exactly one of the fields 'byName', 'byPart' of 'Choice' must be given; found "
GIVEN = "must not be null: it is the one that is given."


@pytest.mark.parametrize(
    ("query", "variables", "message"),
    [
        ("{part(input:{number:1,name:null})}", {}, NOT_NULL),
        ("{part(input:{number:1,parts:[{number:2,name:null}]})}", {}, NOT_NULL),
        ("{choose(choice:{byPart:{number:1,name:null}})}", {}, NOT_NULL),
        ("{choose(choice:{})}", {}, ONE + "none."),
        ('{choose(choice:{byName:"a",byPart:null})}', {}, ONE + "'byName', 'byPart'."),
        ("{choose(choice:{byName:null})}", {}, f"Field 'byName' of 'Choice' {GIVEN}"),
        (PART, {"p": {"number": 1, "name": None}}, f"Variable '$p' has an invalid value at 'name': {NOT_NULL}"),
        (
            PART,
            {"p": {"number": 1, "parts": [{"number": 1}, {"number": 2, "name": None}]}},
            f"Variable '$p' has an invalid value at 'parts[1].name': {NOT_NULL}",
        ),
        (
            PART,
            {"p": {"number": 1, "parts": {"number": 2, "name": None}}},
            f"Variable '$p' has an invalid value at 'parts[0].name': {NOT_NULL}",
        ),
        (NAME, {"n": None}, f"Variable '$n' has an invalid value: {NOT_NULL}"),
        (NAME.replace("String", "String=null"), {}, f"Variable '$n' has an invalid value: {NOT_NULL}"),
        (
            "query($n:String){...F} fragment F on Query{part(input:{number:1,name:$n})}",
            {"n": None},
            f"Variable '$n' has an invalid value: {NOT_NULL}",
        ),
        (CHOICE, {"c": {}}, f"Variable '$c' has an invalid value: {ONE}none."),
        (CHOICE, {"c": {"byName": "a", "byPart": None}}, ONE + "'byName', 'byPart'."),
        (CHOICE, {"c": {"byName": None}}, f"Variable '$c' has an invalid value at 'byName': it {GIVEN}"),
        (CHOICE, {"c": {"byPart": {"number": 1, "name": None}}}, "at 'byPart.name'"),
        ("query($n:String){choose(choice:{byName:$n})}", {"n": "a"}, "declare '$n' with '!'."),
        (
            "query($n:String){...F} fragment F on Query{choose(choice:{byName:$n})}",
            {},
            "Field 'byName' of 'Choice' needs a variable that is never null",
        ),
        # What graphql-core itself refuses.
        (CHOICE, {"c": {"nope": 1}}, "not to include unknown field 'nope'"),
        (CHOICE, {"c": {"byName": "a", "nope": 1}}, "not to include unknown field 'nope'"),
        (PART, {"p": 5}, "to be an object, found: 5."),
        (PART, {"p": {}}, "to include required field 'number'"),
        (PART, {"p": {"number": 1, "nope": 1}}, "not to include unknown field 'nope'"),
        (PART, {"p": {"number": "x"}}, "at .number: Int cannot represent non-integer value: 'x'"),
        (PART, {}, "Expected a value of non-null type 'Part!' to be provided."),
        ("query($n:Int!){span(count:$n)}", {"n": 2**31}, "non 32-bit signed integer"),
        ("query($n:Int!){span(count:$n)}", {"n": True}, "non-integer value: True"),
        ("{colour(of:BLUE)}", {}, "'BLUE' does not exist in 'Colour' enum."),
        # What a scalar refuses: its own words are kept, those of an accident are not.
        ('{span(of:"x")}', {}, "Expected value of type 'Span': a span is a number of seconds"),
        ("query($s:Span){span(of:$s)}", {"s": "x"}, "type 'Span': a span is a number of seconds"),
        ('{span(of:"crash")}', {}, "Expected value of type 'Span'."),
        ("query($s:Span){span(of:$s)}", {"s": "crash"}, "Expected value of type 'Span'."),
    ],
)
def test_refused(query: str, variables: dict[str, object], message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        toy.executor().prepare(toy.request(query, **variables))

    first = refused.value.errors[0]
    assert message in first.message
    assert "Maybe" not in first.message
    assert "secret" not in first.message
    assert "str'" not in first.message
    assert (first.extensions or {})["code"] == "VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("query", "variables", "answer"),
    [
        ('{part(input:{number:1,name:"a",note:null})}', {}, "1 a None"),
        ("{part(input:{number:1})}", {}, "1 None None"),
        (PART, {"p": {"number": 1, "name": "a", "note": None}}, "1 a None"),
        (PART, {"p": {"number": 1, "parts": [{"number": 2, "name": "b"}]}}, "1 None None"),
        (NAME, {}, "1 None None"),
        (NAME, {"n": "a"}, "1 a None"),
        (NAME.replace("String", 'String="d"'), {}, "1 d None"),
        ('{choose(choice:{byName:"a"})}', {}, "name"),
        (CHOICE, {"c": {"byPart": {"number": 1}}}, "part"),
        ("query($n:String!){choose(choice:{byName:$n})}", {"n": "a"}, "name"),
        (
            'query($n:String="a"){...F} fragment F on Query{choose(choice:{byName:$n})}',
            {},
            "name",
        ),
    ],
)
async def test_taken(query: str, variables: dict[str, object], answer: str) -> None:
    result = await toy.run(toy.executor(), query, **variables)

    assert result.code is None
    assert list(result.payload["data"].values()) == [answer]  # type: ignore[attr-defined]


async def test_a_variable_that_one_operation_must_not_null_may_be_null_in_another() -> None:
    query = "query A($n:String){part(input:{number:1,name:$n})} query B($n:String){part(input:{number:1,note:$n})}"
    executor = toy.executor()

    assert executor.prepare(toy.request(query, "B", n=None))
    with pytest.raises(RefusedError, match="may be left out"):
        executor.prepare(toy.request(query, "A", n=None))
