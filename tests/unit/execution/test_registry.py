"""Documents that are named: how a request says so, and what becomes of it under each way of keeping them."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from alertgraph.execution import documents
from alertgraph.execution.documents import DocumentStore
from alertgraph.execution.errors import RefusedError
from alertgraph.execution.registry import EmptyRegister, remember, requested
from alertgraph.execution.request import Convention, GraphQLRequest, Naming, read_payload, read_query_string
from tests.conformance import toy

TEXT = "query Greeting { hello }"
HASH = hashlib.sha256(TEXT.encode()).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
BY_ID = {"documentId": f"sha256:{HASH}"}
BY_HASH = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}}


class MemoryRegister:
    def __init__(self, *texts: str, is_closed: bool = False, is_automatic: bool = False) -> None:
        self.texts = {hashlib.sha256(text.encode()).hexdigest(): text for text in texts}
        self.is_closed = is_closed
        self.is_automatic = is_automatic
        self.asked: list[str] = []
        self.added: list[tuple[str, str | None, str]] = []

    async def text(self, id_: str) -> str | None:
        self.asked.append(id_)
        return self.texts.get(id_)

    async def add(self, id_: str, name: str | None, text: str) -> None:
        self.added.append((id_, name, text))


def a_store() -> DocumentStore:
    return toy.executor([]).documents


def a_request(**payload: object) -> GraphQLRequest:
    return read_payload(payload, "The body")


async def code_and_message(register: Any, request: GraphQLRequest) -> tuple[str, str]:
    with pytest.raises(RefusedError) as refused:
        await requested(register, a_store(), request)
    [error] = refused.value.errors
    return refused.value.code, error.message


# ---------------------------------------------------------------------------------------- requests


def test_both_ways_of_naming_are_read() -> None:
    assert a_request(**BY_ID).naming == Naming(HASH, Convention.DOCUMENT_ID)
    assert a_request(**BY_HASH).naming == Naming(HASH, Convention.PERSISTED_QUERY)
    assert a_request(**BY_ID, **BY_HASH).naming == Naming(HASH, Convention.DOCUMENT_ID)
    assert a_request(**BY_ID).query is None
    assert a_request(query=TEXT, **BY_HASH).query == TEXT
    assert a_request(query=TEXT, documentId=None, extensions={"persistedQuery": None}).naming is None


def test_a_url_names_documents_alike() -> None:
    parameters = {"documentId": f"sha256:{HASH}", "variables": '{"n":1}'}
    assert read_query_string(urlencode(parameters).encode()) == a_request(**BY_ID, variables={"n": 1})
    parameters = {"extensions": orjson.dumps(BY_HASH["extensions"]).decode()}
    assert read_query_string(urlencode(parameters).encode()) == a_request(**BY_HASH)


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({}, "`query` is missing"),
        ({"documentId": 1}, "`documentId` must be text, not a number"),
        ({"documentId": ""}, "`documentId` must be `sha256:`"),
        ({"documentId": HASH}, "`documentId` must be `sha256:`"),
        ({"documentId": f"md5:{HASH}"}, "`documentId` must be `sha256:`"),
        ({"documentId": f"sha256:{HASH.upper()}"}, "`documentId` must be `sha256:`"),
        ({"documentId": f"sha256:{HASH}\n"}, "`documentId` must be `sha256:`"),
        ({"documentId": f"sha256:{HASH[:-1]}"}, "`documentId` must be `sha256:`"),
        ({"documentId": f"sha256:{OTHER}", "query": TEXT}, "`documentId` is not the SHA-256 of `query`"),
        ({"documentId": f"sha256:{OTHER}", **BY_HASH}, "name different documents"),
        ({"extensions": {"persistedQuery": []}}, "`extensions.persistedQuery` must be an object, not a list"),
        ({"extensions": {"persistedQuery": {}}}, "`extensions.persistedQuery.version` must be 1"),
        (
            {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": HASH}}},
            "`extensions.persistedQuery.version` must be 1",
        ),
        (
            {"extensions": {"persistedQuery": {"version": True, "sha256Hash": HASH}}},
            "`extensions.persistedQuery.version` must be 1",
        ),
        (
            {"extensions": {"persistedQuery": {"version": 1}}},
            "`extensions.persistedQuery.sha256Hash` must be 64",
        ),
        (
            {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": f"sha256:{HASH}"}}},
            "`extensions.persistedQuery.sha256Hash` must be 64",
        ),
        (
            {"query": TEXT + " ", **BY_HASH},
            "`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`",
        ),
    ],
)
def test_a_name_that_is_none_is_told_with_its_field(payload: dict[str, object], field: str) -> None:
    with pytest.raises(RefusedError) as refused:
        a_request(**payload)

    assert refused.value.code == "BAD_REQUEST"
    assert field in refused.value.errors[0].message


# --------------------------------------------------------------------------------------- documents


@pytest.mark.parametrize("named", [BY_ID, BY_HASH])
@pytest.mark.parametrize("options", [{}, {"is_automatic": True}, {"is_closed": True}])
async def test_what_is_registered_needs_no_text(named: dict[str, object], options: dict[str, bool]) -> None:
    document = await requested(MemoryRegister(TEXT, **options), a_store(), a_request(**named))

    assert (document.id, document.name) == (HASH, "Greeting")


async def test_what_is_named_again_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store, register = a_store(), MemoryRegister(TEXT)
    document = await requested(register, store, a_request(query=TEXT))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was parsed again")

    monkeypatch.setattr(documents, "parse", never)
    monkeypatch.setattr(documents, "validate", never)

    assert await requested(register, store, a_request(**BY_ID)) is document
    assert await requested(register, store, a_request(**BY_HASH)) is document


async def test_what_is_unknown_is_told_as_each_convention_has_it() -> None:
    by_id, by_hash = a_request(**BY_ID), a_request(**BY_HASH)
    not_found = ("DOCUMENT_NOT_FOUND", f"No document `sha256:{HASH}` is registered.")
    for register in (EmptyRegister(), MemoryRegister(is_automatic=True), MemoryRegister(is_closed=True)):
        assert await code_and_message(register, by_id) == not_found

    apollo = ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
    assert await code_and_message(MemoryRegister(is_automatic=True), by_hash) == apollo
    assert await code_and_message(MemoryRegister(is_closed=True), by_hash) == apollo
    assert await code_and_message(EmptyRegister(), by_hash) == (
        "PERSISTED_QUERY_NOT_SUPPORTED",
        "PersistedQueryNotSupported",
    )


async def test_what_others_have_had_read_is_unknown_all_the_same() -> None:
    store = a_store()
    await requested(MemoryRegister(TEXT), store, a_request(**BY_ID))

    with pytest.raises(RefusedError):
        await requested(MemoryRegister(), store, a_request(**BY_ID))


@pytest.mark.parametrize("text", [TEXT, "{", "{ unknown }", "{ __schema { queryType { name } } }"])
async def test_a_closed_register_has_no_other_text_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "parse", lambda *_, **__: pytest.fail("it was parsed"))
    hash_ = hashlib.sha256(text.encode()).hexdigest()
    register = MemoryRegister(is_closed=True)

    for request in (a_request(query=text), a_request(query=text, documentId=f"sha256:{hash_}")):
        code, message = await code_and_message(register, request)
        assert (code, "only registered ones are executed" in message) == ("DOCUMENT_NOT_FOUND", True)


async def test_a_closed_register_executes_a_text_that_is_registered() -> None:
    document = await requested(MemoryRegister(TEXT, is_closed=True), a_store(), a_request(query=TEXT))

    assert document.id == HASH


@pytest.mark.parametrize("named", [BY_ID, BY_HASH])
async def test_a_client_registers_what_it_sends_along_with_its_hash(named: dict[str, object]) -> None:
    register, store = MemoryRegister(is_automatic=True), a_store()
    request = a_request(query=TEXT, **named)

    await remember(register, request, await requested(register, store, request))

    assert register.added == [(HASH, "Greeting", TEXT)]


async def test_only_what_is_new_valid_and_named_is_registered() -> None:
    store = a_store()
    known = MemoryRegister(TEXT, is_automatic=True)
    for register, request in (
        (known, a_request(query=TEXT, **BY_ID)),
        (known, a_request(**BY_ID)),
        (MemoryRegister(is_automatic=True), a_request(query=TEXT)),
        (MemoryRegister(), a_request(query=TEXT, **BY_ID)),
        (MemoryRegister(TEXT, is_closed=True), a_request(query=TEXT, **BY_ID)),
    ):
        await remember(register, request, await requested(register, store, request))
        assert register.added == []

    wrong = "{ unknown }"
    named = {"documentId": "sha256:" + hashlib.sha256(wrong.encode()).hexdigest()}
    code, _ = await code_and_message(MemoryRegister(is_automatic=True), a_request(query=wrong, **named))
    assert code == "VALIDATION_FAILED"
