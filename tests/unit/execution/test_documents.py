"""Documents are kept by the hash of their text, within two bounds, and operations are chosen by name."""

from __future__ import annotations

import hashlib

import pytest

from alertgraph.execution.documents import DocumentStore
from alertgraph.execution.errors import RefusedError
from tests.conformance import toy


def store(**options: int) -> DocumentStore:
    return DocumentStore(toy.schema._schema, **options)  # type: ignore[arg-type]


def test_the_same_text_is_compiled_once() -> None:
    documents = store()

    first = documents.get("{hello}")

    assert documents.get("{hello}") is first
    assert documents.get("{ hello }") is not first
    assert first.id == hashlib.sha256(b"{hello}").hexdigest()
    assert len(documents) == 2


def test_the_one_used_longest_ago_goes_first() -> None:
    documents = store(count_max=2)
    first, second = documents.get("{a:hello}"), documents.get("{b:hello}")
    documents.get("{a:hello}")

    documents.get("{c:hello}")

    assert documents.get("{a:hello}") is first
    assert documents.get("{b:hello}") is not second
    assert len(documents) == 2


def test_weight_is_bounded_and_given_back() -> None:
    one = store().get("{hello}").weight
    documents = store(weight_max=3 * one)

    for n in range(10):
        documents.get(f"{{a{n}:hello}}")
        assert documents.weight <= 3 * one

    assert 1 <= len(documents) <= 3


def test_a_document_heavier_than_the_store_is_used_but_not_kept() -> None:
    documents = store(weight_max=1)

    assert documents.get("{hello}").operation(None)
    assert len(documents) == 0
    assert documents.weight == 0


def test_what_is_refused_takes_no_room() -> None:
    documents = store()

    for n in range(50):
        with pytest.raises(RefusedError):
            documents.get(f"{{nope{n}}}")

    assert len(documents) == 0
    assert documents.weight == 0


def test_one_operation_needs_no_name() -> None:
    assert store().get("query A{hello}").operation(None).name.value == "A"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["B", "a", "", "x" * 10_000, "A\x00"])
def test_a_name_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="no operation named") as refused:
        store().get("query A{hello}").operation(name)

    assert refused.value.code == "BAD_REQUEST"
    assert len(str(refused.value)) < 200


def test_one_of_several_operations_must_be_named() -> None:
    document = store().get("query A{hello} query B{item{number}}")

    with pytest.raises(RefusedError, match="several operations") as refused:
        document.operation(None)
    assert refused.value.code == "BAD_REQUEST"
    assert document.operation("B").name.value == "B"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "PARSE_FAILED"),
        ("", "PARSE_FAILED"),
        ("{hello\x00}", "PARSE_FAILED"),
        ("query {hello} {hello}", "VALIDATION_FAILED"),
        ("query A{hello} query A{hello}", "VALIDATION_FAILED"),
        ("subscription{count forever}", "VALIDATION_FAILED"),
        ("{hello @nope}", "VALIDATION_FAILED"),
        ("{item}", "VALIDATION_FAILED"),
        ("{hello{x}}", "VALIDATION_FAILED"),
        ("{hello(name:1,name:2)}", "VALIDATION_FAILED"),
        ("{part(input:{number:1,number:2})}", "VALIDATION_FAILED"),
        ("query($a:Int,$a:Int){hello}", "VALIDATION_FAILED"),
        ("{...Nope}", "VALIDATION_FAILED"),
        ("{hello} {", "PARSE_FAILED"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_place(text: str, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        store().get(text)

    assert refused.value.code == code
    assert refused.value.errors[0].locations
    assert len(refused.value.errors) <= 21
