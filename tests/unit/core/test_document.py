"""Manifests of documents: both forms that are read, and what is wrong with any other."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from alertgraph.core.document import ManifestEntry, document_id, read_document_id, read_manifest
from alertgraph.core.errors import InputError

BODY = "query Mine { viewer { role } }"
HASH = hashlib.sha256(BODY.encode()).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def operation(**changes: object) -> dict[str, Any]:
    return {"id": HASH, "name": "Mine", "type": "query", "body": BODY, **changes}


def apollo(*operations: object, **changes: object) -> dict[str, object]:
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": list(operations)}
    return {**manifest, **changes}


def test_a_manifest_of_apollo_names_its_operations() -> None:
    assert read_manifest(apollo(operation())) == (ManifestEntry(bytes.fromhex(HASH), BODY, "Mine", "query"),)


def test_hashes_with_their_texts_are_a_manifest_too() -> None:
    assert read_manifest({HASH: BODY}) == (ManifestEntry(bytes.fromhex(HASH), BODY),)
    assert read_manifest({f"sha256:{HASH}": BODY}) == read_manifest({HASH: BODY})


def test_what_is_there_twice_is_one_document() -> None:
    assert len(read_manifest(apollo(operation(), operation()))) == 1


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ([], "is a JSON object"),
        (None, "is a JSON object"),
        ({}, "no documents"),
        (apollo(), "no documents"),
        (apollo(format="relay"), "format must be"),
        (apollo(version=2), "version must be 1"),
        (apollo(version=True), "version must be 1"),
        (apollo(version="1"), "version must be 1"),
        (apollo(operations={}), "must be a list"),
        ({"operations": []}, "format must be"),
        (apollo("x"), "Operation 1 is not an object"),
        (apollo(operation(), operation(name=None)), "Operation 2 has no name"),
        (apollo(operation(type="fragment")), "Operation Mine: type"),
        (apollo(operation(type=["query"])), "Operation Mine: type"),
        (apollo(operation(body=None)), "Operation Mine has no text"),
        (apollo(operation(id=None)), "Operation Mine: its id must be"),
        (apollo(operation(id=HASH.upper())), "Operation Mine: its id must be"),
        (apollo(operation(id=OTHER)), f"Operation Mine: its id is not the SHA-256 of its text, {HASH}"),
        (apollo(operation(name="N" * 200, id=OTHER)), "Operation " + "N" * 79 + "…: its id"),
        ({HASH: 1}, f"The document {HASH} has no text"),
        ({OTHER: BODY}, f"The document {OTHER}: its id is not"),
        ({"mine": BODY}, "The document mine: its id must be"),
        ({HASH: "\ud800"}, "is not valid Unicode"),
    ],
)
def test_anything_else_is_told_by_name(manifest: object, told: str) -> None:
    with pytest.raises(InputError) as refused:
        read_manifest(manifest)

    assert told in refused.value.message


def test_ids_are_read_as_they_are_written() -> None:
    assert read_document_id(document_id(bytes.fromhex(HASH))) == bytes.fromhex(HASH)
    assert [
        read_document_id(text) for text in ("", "sha256:", HASH[1:], HASH + "0", HASH.upper(), "md5:" + HASH)
    ] == ([None] * 6)
