"""GraphQL documents that a tenant has registered, named by their hash; where it wants so, only they are executed.

Nothing here knows GraphQL: a document is a text, and its name is the SHA-256 of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from alertgraph.core.errors import InputError

MANIFEST_FORMAT: Final = "apollo-persisted-query-manifest"
MANIFEST_VERSION: Final = 1
MANIFEST_COUNT_MAX: Final = 5_000
MANIFEST_BYTES_MAX: Final = 16 * 1024 * 1024
AUTOMATIC_COUNT_MAX: Final = 1_000
AUTOMATIC_BYTES_MAX: Final = 4 * 1024 * 1024

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPERATION_TYPES: Final = ("query", "mutation", "subscription")


class DocumentMode(IntEnum):
    """Which documents are executed. The numbers are stored: never reuse one."""

    OPEN = 1
    APQ = 2
    TRUSTED_ONLY = 3


class DocumentSource(IntEnum):
    """How a document came to be registered. The numbers are stored: never reuse one."""

    APQ = 1
    MANIFEST = 2


@dataclass(frozen=True, slots=True)
class TrustedDocument:
    """A registered document.

    Attributes:
        sha256: Of its text, UTF-8.
        name: Of its operation; None where it has none.
        size: Bytes of its text.
        used_at: When it was used last, to the hour.
    """

    sha256: bytes
    name: str | None
    source: DocumentSource
    size: int
    created_at: datetime
    used_at: datetime

    @property
    def id(self) -> str:
        """How requests name it."""
        return document_id(self.sha256)


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One document of a manifest, whose hash is that of its text.

    Attributes:
        name: Of the operation; None where the manifest does not say.
        type: query, mutation or subscription; None where the manifest does not say.
    """

    sha256: bytes
    body: str
    name: str | None = None
    type: str | None = None

    @property
    def title(self) -> str:
        """What to call it in a sentence."""
        return self.name or document_id(self.sha256)


def document_id(sha256: bytes) -> str:
    """Return how requests name the document with this hash."""
    return f"sha256:{sha256.hex()}"


def read_document_id(text: str) -> bytes | None:
    """Return the hash that a document's id names, with its prefix or without; None where it is no such id."""
    hash_ = text.removeprefix("sha256:")
    return bytes.fromhex(hash_) if _SHA256.fullmatch(hash_) else None


def read_manifest(manifest: object) -> tuple[ManifestEntry, ...]:
    """Return the documents of a manifest, each once.

    Args:
        manifest: Decoded JSON, either `{"format": "apollo-persisted-query-manifest", "version": 1, "operations":
            [{"id", "name", "type", "body"}]}` or hashes with their texts, `{"<sha256>": "text"}`.

    Raises:
        InputError: It is neither, or a hash is not that of its text; the message names the operation.
    """
    if not isinstance(manifest, dict):
        raise InputError("A manifest is a JSON object.")
    entries = tuple({entry.sha256: entry for entry in _entries(manifest)}.values())
    if not entries:
        raise InputError("The manifest has no documents.")
    return entries


def _entries(manifest: Mapping[str, object]) -> Iterator[ManifestEntry]:
    if "format" not in manifest and "operations" not in manifest:
        for id_, body in manifest.items():
            yield _entry(f"The document {_cut(id_)}", id_, body)
        return
    if manifest.get("format") != MANIFEST_FORMAT:
        raise InputError(f"format must be {MANIFEST_FORMAT}.", "format")
    version = manifest.get("version")
    if version != MANIFEST_VERSION or isinstance(version, bool):
        raise InputError(f"version must be {MANIFEST_VERSION}.", "version")
    operations = manifest.get("operations")
    if not isinstance(operations, list):
        raise InputError("operations must be a list.", "operations")
    for number, operation in enumerate(operations):
        subject = f"Operation {number + 1}"
        if not isinstance(operation, dict):
            raise InputError(f"{subject} is not an object.", "operations", str(number))
        name, type_ = operation.get("name"), operation.get("type")
        if not isinstance(name, str) or not name:
            raise InputError(f"{subject} has no name.", "operations", str(number), "name")
        subject = f"Operation {_cut(name)}"
        if type_ not in _OPERATION_TYPES:
            raise InputError(
                f"{subject}: type is query, mutation or subscription.", "operations", str(number), "type"
            )
        yield _entry(subject, operation.get("id"), operation.get("body"), name, str(type_))


def _entry(
    subject: str, id_: object, body: object, name: str | None = None, type_: str | None = None
) -> ManifestEntry:
    if not isinstance(body, str):
        raise InputError(f"{subject} has no text.", "body")
    sha256 = read_document_id(id_) if isinstance(id_, str) else None
    if sha256 is None:
        raise InputError(f"{subject}: its id must be a SHA-256 in 64 lower-case hexadecimal digits.", "id")
    try:
        found = hashlib.sha256(body.encode()).digest()
    except UnicodeEncodeError:
        raise InputError(f"{subject} is not valid Unicode.", "body") from None
    if found != sha256:
        raise InputError(f"{subject}: its id is not the SHA-256 of its text, {found.hex()}.", "id")
    return ManifestEntry(sha256, body, name, type_)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
