"""Checkpoints: signed states of a log's Merkle tree, as the signed notes of C2SP (tlog-checkpoint, signed-note).

The text that is signed is the origin, the size of the tree, its root in base64, and when it was signed, a line
each. Tools that know such notes check them without knowing alertgraph.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from alertgraph.core.errors import InputError
from alertgraph.core.ids import NodeKind, TenantId, encode_id
from alertgraph.core.merkle import HASH_BYTES

NAME = "alertgraph"
ED25519 = b"\x01"
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
SIZE_MAX = (1 << 63) - 1
NOTE_LENGTH_MAX = 64 * 1024
_KEY_ID_BYTES = 4
_SIGNED_AT = "signedAt "
_DASH = "— "

Verify: TypeAlias = Callable[[bytes, bytes, bytes], bool]
"""Takes an Ed25519 public key, a signature and a text; says whether the one with the key signed this text."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Which tree it is: a tenant's log has one, and another one from each time on that it was begun anew.

    Attributes:
        log_epoch: Raised when the log was begun anew, such as from a backup.
        first_number: Number of the event that is leaf 0: 1, where no event was removed before the tree was begun.
    """

    tenant_id: TenantId
    log_epoch: int
    first_number: int = 1

    @property
    def origin(self) -> str:
        """What a checkpoint names it by, which also is the name of the key."""
        return f"{self._name}/{self.log_epoch}/{self.first_number}"

    def may_follow(self, origin: str) -> bool:
        """Say whether what a signed checkpoint is of may have been before: this tree, or one of an earlier epoch.

        One of another tenant says nothing of this tree.
        """
        name, _, rest = origin.rpartition("/")
        name, _, epoch = name.rpartition("/")
        if origin == self.origin or name != self._name:
            return True
        return epoch.isdigit() and rest.isdigit() and int(epoch) < self.log_epoch

    @property
    def _name(self) -> str:
        return f"{NAME}/{encode_id(NodeKind.TENANT, self.tenant_id)}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: a tree as it was at one moment.

    Attributes:
        size: How many events it covers.
        root: Its hash.
        signed_at: Whole seconds, UTC.
    """

    tree: Tree
    size: int
    root: bytes
    signed_at: datetime

    @property
    def text(self) -> str:
        """The very text that is signed."""
        return checkpoint_text(self.tree.origin, self.size, self.root, self.signed_at)

    @property
    def last_number(self) -> int:
        """Number of the last event that it covers."""
        return self.tree.first_number + self.size - 1

    def covers(self, number: int) -> bool:
        """Say whether the event of that number is in the tree."""
        return self.tree.first_number <= number <= self.last_number


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with its signature.

    Attributes:
        public_key: Ed25519, 32 bytes.
        signature: 64 bytes.
    """

    checkpoint: Checkpoint
    public_key: bytes
    signature: bytes

    @property
    def key_id(self) -> str:
        """Name of the signing key: that of the tree, and what tells keys of the same name apart."""
        origin = self.checkpoint.tree.origin
        return f"{origin}+{key_hash(origin, self.public_key).hex()}"

    @property
    def note(self) -> str:
        """The signed note."""
        origin = self.checkpoint.tree.origin
        signed = base64.b64encode(key_hash(origin, self.public_key) + self.signature).decode()
        return f"{self.checkpoint.text}\n{_DASH}{origin} {signed}\n"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature of a note: whose it says it is."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note that was read, and not believed yet.

    Attributes:
        signed_at: None where it says no such thing: a note of somebody else's.
    """

    text: str
    origin: str
    size: int
    root: bytes
    signed_at: datetime | None
    signatures: Sequence[NoteSignature]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Who is believed: a public key under a name."""

    name: str
    public_key: bytes

    def __str__(self) -> str:
        encoded = base64.b64encode(ED25519 + self.public_key).decode()
        return f"{self.name}+{key_hash(self.name, self.public_key).hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Return the key that its text names, as Go's sumdb/note and the C2SP's tools write it.

        Raises:
            InputError: It is none.
        """
        # A plus may stand in the base64, too.
        name, _, rest = text.strip().partition("+")
        hashed, _, encoded = rest.partition("+")
        raw = _decoded(encoded)
        if not name or raw is None or len(raw) != 1 + PUBLIC_KEY_BYTES or raw[:1] != ED25519:
            raise InputError(
                "This is no key of a log: such a key is a name, eight hex digits and base64, joined by +.", "key"
            )
        key = cls(name, raw[1:])
        if key_hash(name, key.public_key).hex() != hashed.lower():
            raise InputError("The parts of the key do not belong together: it was mistyped or changed.", "key")
        return key


def key_hash(name: str, public_key: bytes) -> bytes:
    """Return the four bytes that tell keys of the same name apart."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:_KEY_ID_BYTES]


def checkpoint_text(origin: str, size: int, root: bytes, signed_at: datetime) -> str:
    """Return the text that is signed, from what `AuditHead` says, too."""
    at = signed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n{_SIGNED_AT}{at}\n"


def parse_note(note: str) -> Note:
    """Return what a signed note says; `is_signed` tells whether to believe it.

    Raises:
        InputError: It is no signed checkpoint.
    """
    if len(note) > NOTE_LENGTH_MAX:
        raise _no_note()
    # The text ends at the last empty line, which is not part of it.
    text, blank, tail = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or not tail.endswith("\n") or len(lines) < 3 or not all(lines):
        raise _no_note()
    size = lines[1]
    if not (size.isascii() and size.isdigit()) or (size != "0" and size[0] == "0") or int(size) > SIZE_MAX:
        raise _no_note()
    root = _decoded(lines[2])
    if root is None or len(root) != HASH_BYTES:
        raise _no_note()
    signatures = []
    for line in tail[:-1].split("\n"):
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        signed = _decoded(encoded)
        if not line.startswith(_DASH) or not name or signed is None or len(signed) <= _KEY_ID_BYTES:
            raise _no_note()
        signatures.append(NoteSignature(name, signed[:_KEY_ID_BYTES], signed[_KEY_ID_BYTES:]))
    return Note(text + "\n", lines[0], int(size), root, _signed_at(lines[3:]), tuple(signatures))


def is_signed(note: Note, key: VerifierKey, verify: Verify) -> bool:
    """Say whether a note is of the log that a key is named after, and signed by it."""
    hashed = key_hash(key.name, key.public_key)
    own = [each for each in note.signatures if each.name == key.name and each.key_hash == hashed]
    return (
        note.origin == key.name
        and bool(own)
        and all(verify(key.public_key, each.signature, note.text.encode()) for each in own)
    )


def _signed_at(extensions: Sequence[str]) -> datetime | None:
    for line in extensions:
        if line.startswith(_SIGNED_AT):
            try:
                return datetime.strptime(line.removeprefix(_SIGNED_AT), "%Y-%m-%dT%H:%M:%S%z").astimezone(UTC)
            except ValueError:
                return None
    return None


def _decoded(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def _no_note() -> InputError:
    return InputError("This is no signed checkpoint.", "checkpoint")
