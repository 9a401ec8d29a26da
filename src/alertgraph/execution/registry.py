"""Registered documents: which document a request means, and whether whoever asks may have it executed."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from alertgraph.execution.documents import Document, DocumentStore
from alertgraph.execution.errors import Code, RefusedError, refusal
from alertgraph.execution.request import Convention, GraphQLRequest, Naming


class Register(Protocol):
    """The documents that one caller may name, and whether that caller is bound to them.

    What it raises, and is coded, is told to the caller.
    """

    @property
    def is_closed(self) -> bool:
        """Whether nothing is executed that is not registered."""

    @property
    def is_automatic(self) -> bool:
        """Whether clients register what they send along with its hash."""

    async def text(self, id_: str) -> str | None:
        """Return the text of the document with this hash, in hex; None where the caller has none."""

    async def add(self, id_: str, name: str | None, text: str) -> None:
        """Register a valid document of a client."""


class Registry(Protocol):
    """Where callers' documents are registered."""

    async def register(self, viewer: Any) -> Register:
        """Return what is registered for a caller."""


class EmptyRegister:
    """Has no documents, and binds nobody."""

    is_closed = False
    is_automatic = False

    async def text(self, id_: str) -> str | None:
        """Return None."""

    async def add(self, id_: str, name: str | None, text: str) -> None:
        """Never happens: it is not automatic."""


class EmptyRegistry:
    """Knows no documents, and everybody may send any."""

    async def register(self, viewer: Any) -> Register:  # noqa: ARG002 - the same for everybody
        """Return the empty one."""
        return EmptyRegister()


async def requested(register: Register, store: DocumentStore, request: GraphQLRequest) -> Document:
    """Return the document that a request means.

    A registered one that is kept is neither parsed nor validated. Whether somebody else has registered it makes no
    difference: what the caller has not, is not looked for.

    Raises:
        RefusedError: It is unknown, or not valid.
        Exception: What the register raises.
    """
    naming, text = request.naming, request.query
    if naming is not None and text is None:
        found = await register.text(naming.id)
        if found is None:
            raise _unknown(register, naming)
        return store.named(naming.id, found)
    assert text is not None, "a request names a document or brings its text"
    if register.is_closed:
        id_ = hashlib.sha256(text.encode()).hexdigest() if naming is None else naming.id
        if await register.text(id_) is None:
            raise refusal(
                Code.DOCUMENT_NOT_FOUND, "The document is not registered, and only registered ones are executed."
            )
        return store.named(id_, text)
    return store.get(text)


async def remember(register: Register, request: GraphQLRequest, document: Document) -> None:
    """Register the document of a request, where its client wants to name it from now on.

    Args:
        register: Of the caller.
        request: What came.
        document: What it brought, or named.

    Raises:
        Exception: What the register raises.
    """
    naming, text = request.naming, request.query
    if (
        register.is_automatic
        and naming is not None
        and text is not None
        and await register.text(naming.id) is None
    ):
        await register.add(naming.id, document.name, text)


def _unknown(register: Register, naming: Naming) -> RefusedError:
    if naming.convention is Convention.DOCUMENT_ID:
        return refusal(Code.DOCUMENT_NOT_FOUND, f"No document `sha256:{naming.id}` is registered.")
    # Apollo's clients go by these very words: after the first they send the text, too, after the second they send
    # no hashes any more, for which a client that can't register anything is better off.
    if register.is_automatic or register.is_closed:
        return refusal(Code.PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound")
    return refusal(Code.PERSISTED_QUERY_NOT_SUPPORTED, "PersistedQueryNotSupported")
