"""Hostile documents are refused in milliseconds, honest ones are not."""

from __future__ import annotations

import time

import pytest
from graphql import get_introspection_query, parse

from alertgraph.execution.documents import DocumentStore
from alertgraph.execution.errors import RefusedError
from alertgraph.execution.limits import DocumentLimits, check_limits
from tests.conformance import toy


def store(*, introspection: bool = False) -> DocumentStore:
    return DocumentStore(toy.schema._schema, introspection=introspection)


def refused_code(text: str, *, introspection: bool = False) -> str:
    with pytest.raises(RefusedError) as refused:
        store(introspection=introspection).get(text)
    return refused.value.code


def doubling(fragment_count: int) -> str:
    """Each fragment selects the next one twice: 2^n objects from a few hundred bytes."""
    links = " ".join(
        f"fragment A{n} on Item {{ kids {{ ...A{n + 1} }} x: kids {{ ...A{n + 1} }} }}"
        for n in range(fragment_count)
    )
    return f"{{item{{...A0}}}} {links} fragment A{fragment_count} on Item {{ number }}"


CHAIN = (
    "{item{...F0}}"
    + "".join(f"fragment F{n} on Item{{...F{n + 1}}}" for n in range(240))
    + ("fragment F240 on Item{number}")
)
HOSTILE = {
    "same scalar": "{item{" + "number " * 1_990 + "}}",
    "same scalar beyond tokens": "{item{" + "number " * 3_000 + "}}",
    "same object": "{" + "item{number} " * 490 + "}",
    "same object nested": "{" + ("item{" + "kids{number} " * 20 + "} ") * 20 + "}",
    "aliases": "{item{" + " ".join(f"a{n}:number" for n in range(600)) + "}}",
    "aliases at the root": "{" + " ".join(f"a{n}:hello" for n in range(31)) + "}",
    "directives": "{hello " + "@include(if:true) " * 2_000 + "}",
    "directives within tokens": "{hello " + "@skip(if:false) " * 60 + "}",
    "unknown directives": "{hello " + "@x " * 900 + "}",
    "deep": "{item{" + "kids{" * 12 + "number" + "}" * 12 + "}}",
    "deep as the parser goes": "{item{" + "kids{" * 195 + "number" + "}" * 195 + "}}",
    "deeper than the parser goes": "{item{" + "kids{" * 900 + "number" + "}" * 900 + "}}",
    "inline fragments inside one another": "{item{" + "...{" * 150 + "kids{" * 12 + "number" + "}" * 163 + "}",
    "inline fragments deeper than the parser goes": "{" + "...{" * 900 + "hello" + "}" * 900 + "}",
    "doubling fragments": doubling(10),
    "doubling fragments, many": doubling(16),
    "doubling fragments, wide": "{item{...A0}}"
    + "".join(f"fragment A{n} on Item{{" + f"kids(first:3){{...A{n + 1}}} " * 20 + "}" for n in range(10))
    + "fragment A10 on Item{number}",
    "chain of fragments": CHAIN,
    "fragments on fragments": "{item{"
    + " ".join(f"...F{n}" for n in range(140))
    + "}}"
    + "".join(f"fragment F{n} on Item{{number kids{{number}}}}" for n in range(140)),
    "cycle of fragments": "{item{...A}} fragment A on Item{...B} fragment B on Item{...A}",
    "fragment in itself": "{item{...A}} fragment A on Item{kids{...A}}",
    "unused cycle": "{hello} fragment A on Item{...B} fragment B on Item{...A}",
    "list literal": "{item{kids(first:" + "[" * 300 + "]" * 300 + "){number}}}",
    "list literal as the parser goes": "{item{kids(first:" + "[" * 100 + "]" * 100 + "){number}}}",
    "object literal": "{part(input:" + "{parts:" * 90 + "null" + "}" * 90 + ")}",
    "long list literal": "{nodes(ids:[" + "1 " * 1_990 + "]){number}}",
    "long number": "{span(count:" + "9" * 5_000 + ")}",
    "infinite number": "{span(times:1e999)}",
    "many entries": "{items(first:300000){nodes{items(first:300000){nodes{number}}}}}",
    "unknown fields": "{" + " ".join(f"q{n}" for n in range(1_900)) + "}",
    "unused variables": "query(" + " ".join(f"$v{n}:Int" for n in range(480)) + "){hello}",
    "operations": " ".join(f"query Q{n}{{hello}}" for n in range(380)),
    "spaces": "{hello" + " " * 250_000 + "}",
    "comments": "{hello" + "#\n" * 30_000 + "}",
    "long text": '{hello(name:"' + "x" * 250_000 + '")}',
    "long name": "{" + "x" * 60_000 + "}",
    "endless brackets": "[" * 60_000,
    "endless braces": "{" * 60_000,
    "nul": "{hello\x00}",
    "lone surrogate": '{hello(name:"\\ud800")}',
    "nothing": "",
    "no operation": "fragment A on Item{number}",
    "definition of a type": "type X{a:Int}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_in_milliseconds(name: str) -> None:
    executor = toy.executor()
    fastest = 1.0
    for _ in range(3):
        # Time of this thread only, and the best of three: other work on the machine is no fault of the document.
        begun = time.thread_time()
        with pytest.raises(RefusedError) as refused:
            executor.prepare(toy.request(HOSTILE[name]))
        fastest = min(fastest, time.thread_time() - begun)

    assert refused.value.code in ("COST_EXCEEDED", "VALIDATION_FAILED", "PARSE_FAILED")
    assert all(len(error.message) <= 500 for error in refused.value.errors)
    assert fastest < 0.05


def test_doubling_fragments_of_612_bytes_cost_too_much() -> None:
    assert len(doubling(10)) < 800
    with pytest.raises(RefusedError) as refused:
        toy.executor().prepare(toy.request(doubling(10)))
    assert refused.value.code == "COST_EXCEEDED"


@pytest.mark.parametrize(
    ("within", "beyond", "message"),
    [
        (
            "{item{" + "parent{" * 10 + "number" + "}" * 11 + "}",
            "{item{" + "parent{" * 11 + "number" + "}" * 12 + "}",
            "12 levels",
        ),
        (
            "{item{" + " ".join(f"a{n}:number" for n in range(30)) + "}}",
            "{item{" + " ".join(f"a{n}:number" for n in range(31)) + "}}",
            "31 aliases; at most 30",
        ),
        (
            "{" + " ".join(f"a{n}:hello" for n in range(20)) + "}",
            "{" + " ".join(f"a{n}:hello" for n in range(21)) + "}",
            "21 fields at its root; at most 20",
        ),
        (
            "{" + "hello @skip(if:false) " * 50 + "}",
            "{" + "hello @skip(if:false) " * 51 + "}",
            "51 directives; at most 50",
        ),
        (
            "{nodes(ids:[" + "1 " * 1_984 + "]){number}}",
            "{nodes(ids:[" + "1 " * 1_990 + "]){number}}",
            "2000 words",
        ),
        (
            "".join(f"query Q{n}{{hello}}" for n in range(100)),
            "".join(f"query Q{n}{{hello}}" for n in range(101)),
            "101 operations and fragments; at most 100",
        ),
        (
            '{hello(name:"' + "x" * 65_519 + '")}',
            '{hello(name:"' + "x" * 65_524 + '")}',
            "characters; at most 65536",
        ),
        (
            "{item{" + "number " * 100 + "}}",
            "{item{" + "number " * 101 + "}}",
            "same fields too often, such as 'number'",
        ),
    ],
)
def test_a_limit_is_exact(within: str, beyond: str, message: str) -> None:
    check_limits(parse(within), DocumentLimits())
    with pytest.raises(RefusedError, match=message):
        store().get(beyond)


def test_introspection_has_a_depth_of_its_own() -> None:
    assert store(introspection=True).get(get_introspection_query(descriptions=True, input_value_deprecation=True))
    of_type = "ofType{" * 17 + "name" + "}" * 17
    assert (
        refused_code("{__schema{types{name fields{type{" + of_type + "}}}}}", introspection=True)
        == "COST_EXCEEDED"
    )


def test_without_introspection_the_schema_is_not_told() -> None:
    with pytest.raises(RefusedError) as refused:
        store().get("{__schema{types{name}}}")
    assert refused.value.code == "VALIDATION_FAILED"

    with pytest.raises(RefusedError, match=r"Cannot query field 'helo' on type 'Query'\.$"):
        store().get("{helo}")
    with pytest.raises(RefusedError, match="Did you mean 'hello'"):
        store(introspection=True).get("{helo}")
    assert store().get("{__typename}")


def test_equal_selections_are_merged_before_they_are_counted() -> None:
    text = "{item{...A0}}" + "".join(
        f"fragment A{n} on Item{{" + f"parent{{...A{n + 1}}} " * 20 + "}" for n in range(9)
    )

    prepared = toy.executor().prepare(toy.request(text + "fragment A9 on Item{number}"))

    assert prepared.cost == 10


def test_a_fragment_used_often_is_counted_once_in_one_place() -> None:
    text = "{item{" + "...F " * 500 + "}} fragment F on Item{number}"

    assert store().get(text)
