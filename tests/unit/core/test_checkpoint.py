"""Checkpoints as signed notes: written to the byte, read back, and believed only where the key is known."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta, timezone
from uuid import UUID

import pytest

from alertgraph.core.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    Tree,
    VerifierKey,
    checkpoint_text,
    is_signed,
    key_hash,
    parse_note,
)
from alertgraph.core.errors import InputError
from alertgraph.core.ids import TenantId
from alertgraph.storage.secrets import MasterKey, is_signature
from tests.factories import T0

KEY = MasterKey(bytes(range(32))).signing_key(1)
TREE = Tree(TenantId(UUID(int=7)), 1)
ROOT = bytes(range(32))
CHECKPOINT = Checkpoint(TREE, 12, ROOT, T0)
ORIGIN = "alertgraph/tnt_AAAAAAAAAAAAAAAAAAAABw/1/1"


def signed(checkpoint: Checkpoint = CHECKPOINT) -> SignedCheckpoint:
    return SignedCheckpoint(checkpoint, KEY.public_key, KEY.sign(checkpoint.text.encode()))


def test_the_text_is_the_one_of_the_format() -> None:
    # Written out: a change would make every signature that there is worthless.
    assert CHECKPOINT.text == (
        f"{ORIGIN}\n12\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nsignedAt 2026-11-23T12:00:00Z\n"
    )


def test_the_note_ends_in_a_line_of_its_signature() -> None:
    note = signed().note
    encoded = base64.b64encode(key_hash(ORIGIN, KEY.public_key) + KEY.sign(CHECKPOINT.text.encode())).decode()

    assert note == f"{CHECKPOINT.text}\n— {ORIGIN} {encoded}\n"


def test_a_tree_is_named_after_tenant_epoch_and_first_event() -> None:
    assert TREE.origin == ORIGIN
    others = (
        replace(TREE, log_epoch=2),
        replace(TREE, first_number=501),
        replace(TREE, tenant_id=TenantId(UUID(int=8))),
    )
    assert len({TREE.origin, *(other.origin for other in others)}) == 4
    assert Checkpoint(replace(TREE, first_number=501), 12, ROOT, T0).last_number == 512


def test_instants_are_written_in_utc_and_whole_seconds() -> None:
    east = (T0 + timedelta(milliseconds=999)).astimezone(timezone(timedelta(hours=2)))

    assert checkpoint_text(ORIGIN, 12, ROOT, east) == CHECKPOINT.text


def test_a_note_reads_back() -> None:
    note = parse_note(signed().note)

    assert (note.origin, note.size, note.root, note.signed_at) == (ORIGIN, 12, ROOT, T0)
    assert note.text == CHECKPOINT.text
    assert is_signed(note, VerifierKey(ORIGIN, KEY.public_key), is_signature)


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace("\n12\n", "\n13\n"),
        lambda note: note.replace("12:00:00Z", "12:00:01Z"),
        lambda note: note.replace("AAECAwQF", "AAECAwQG"),
        lambda note: note.replace("\n\n", "\nanother line\n\n"),
    ],
)
def test_what_was_changed_is_not_signed(change: object) -> None:
    assert callable(change)
    changed = parse_note(change(signed().note))

    assert not is_signed(changed, VerifierKey(ORIGIN, KEY.public_key), is_signature)


def test_another_key_or_another_name_is_not_believed() -> None:
    note = parse_note(signed().note)
    other = MasterKey(bytes(32)).signing_key(1).public_key

    assert not is_signed(note, VerifierKey(ORIGIN, other), is_signature)
    assert not is_signed(note, VerifierKey(ORIGIN + "0", KEY.public_key), is_signature)
    # Another tenant's note, renamed: neither its text nor its key is this one's.
    foreign = signed(replace(CHECKPOINT, tree=replace(TREE, tenant_id=TenantId(UUID(int=8)))))
    renamed = foreign.note.replace(foreign.checkpoint.tree.origin, ORIGIN)
    assert not is_signed(parse_note(renamed), VerifierKey(ORIGIN, KEY.public_key), is_signature)


def test_signatures_of_witnesses_do_no_harm() -> None:
    witnessed = signed().note + "— witness.example/w " + base64.b64encode(bytes(76)).decode() + "\n"

    assert is_signed(parse_note(witnessed), VerifierKey(ORIGIN, KEY.public_key), is_signature)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "no note",
        CHECKPOINT.text,
        CHECKPOINT.text + "\n",
        signed().note[:-1],
        signed().note.replace("\n12\n", "\n012\n"),
        signed().note.replace("\n12\n", "\n-12\n"),
        signed().note.replace("\n12\n", "\n٣\n"),
        signed().note.replace("\n12\n", f"\n{1 << 63}\n"),
        signed().note.replace("Hh8=", "Hh9="),
        signed().note.replace("Hh8=", "Hh8"),
        signed().note.replace("— ", "- "),
        f"{ORIGIN}\n12\n\n— {ORIGIN} AAAAAAAA\n",
        "a\n" * 40_000 + signed().note,
    ],
)
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no signed checkpoint"):
        parse_note(text)


def test_a_time_that_nobody_can_read_is_none() -> None:
    assert parse_note(signed().note.replace("T12:00:00Z", "T99:00:00Z")).signed_at is None
    assert parse_note(signed().note.replace("signedAt ", "whatever ")).signed_at is None


def test_keys_are_written_as_other_tools_write_them() -> None:
    # The example of golang.org/x/mod/sumdb/note.
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    encoded = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    raw = base64.b64decode(encoded)

    assert key.name == "PeterNeumann"
    assert raw[:4] == key_hash(key.name, key.public_key)
    assert is_signature(key.public_key, raw[4:], text.encode())
    assert str(key) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert VerifierKey.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8").name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a+b",
        "a+00000000+",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpcMQcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        VerifierKey.parse(text)


def test_each_generation_of_the_key_is_another_one_and_the_same_again() -> None:
    master_key = MasterKey(bytes(range(32)))

    assert master_key.signing_key(1).public_key == KEY.public_key
    assert master_key.signing_key(2).public_key != KEY.public_key
    assert signed().key_id == f"{ORIGIN}+{key_hash(ORIGIN, KEY.public_key).hex()}"
