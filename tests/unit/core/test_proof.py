"""Proof files: what they prove, and that what is no proof is told so in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.checkpoint import Checkpoint, SignedCheckpoint, Tree, VerifierKey
from alertgraph.core.errors import InputError
from alertgraph.core.event import leaf_hash
from alertgraph.core.ids import TenantId
from alertgraph.core.merkle import BrokenTreeError, cut, grown, root
from alertgraph.core.proof import (
    check_file,
    consistency_file,
    inclusion_file,
    inclusion_tiles,
    prove_consistency,
    prove_inclusion,
)
from alertgraph.storage.secrets import MasterKey, is_signature
from tests.factories import T0

KEY = MasterKey(bytes(range(32))).signing_key(1)
TREE = Tree(TenantId(UUID(int=7)), 1, first_number=101)
CONTENTS = [f'{{"n":{number}}}' for number in range(300)]
TILES = grown({}, 0, [leaf_hash(content) for content in CONTENTS])
BELIEVED = [VerifierKey(TREE.origin, KEY.public_key)]


def head_of(size: int, tree: Tree = TREE) -> SignedCheckpoint:
    checkpoint = Checkpoint(tree, size, root(TILES, size), T0)
    return SignedCheckpoint(checkpoint, KEY.public_key, KEY.sign(checkpoint.text.encode()))


HEAD = head_of(300)
PROOF = inclusion_file(prove_inclusion(HEAD, 150, None, TILES), CONTENTS[49])
GROWN = consistency_file(prove_consistency(HEAD, 200, TILES))


def test_an_event_is_proved() -> None:
    finding = check_file(PROOF, BELIEVED, is_signature)

    assert finding.is_sound
    assert finding.text == (
        "Event 150 stands unchanged in the log of 300 events that was signed at 2026-11-23 12:00:00 UTC."
    )
    assert finding.signed_at == T0


def test_an_event_that_was_removed_is_proved_by_its_hash() -> None:
    finding = check_file({**PROOF, "content": None}, BELIEVED, is_signature)

    assert finding.is_sound
    assert "by its hash alone" in finding.text


def test_growth_is_proved_with_the_earlier_checkpoint() -> None:
    finding = check_file(GROWN, BELIEVED, is_signature, head_of(200).note)

    assert finding.is_sound
    assert finding.text.startswith("The log of 300 events")


@pytest.mark.parametrize(
    ("file", "earlier", "reason"),
    [
        ({**PROOF, "content": CONTENTS[48]}, None, "not what was hashed"),
        ({**PROOF, "number": 149}, None, "not the one of this place"),
        ({**PROOF, "number": 149, "leafIndex": 48}, None, "does not lead"),
        ({**PROOF, "inclusionPath": PROOF["inclusionPath"][1:]}, None, "does not lead"),
        ({**PROOF, "checkpoint": HEAD.note.replace("\n300\n", "\n301\n")}, None, "not signed"),
        (GROWN, head_of(199).note, "another size"),
        (GROWN, head_of(200).note.replace("12:00:00Z", "12:00:01Z"), "earlier checkpoint is not signed"),
        ({**GROWN, "path": GROWN["path"][1:]}, head_of(200).note, "does not begin"),
    ],
)
def test_what_is_not_proved_says_why(file: Mapping[str, Any], earlier: str | None, reason: str) -> None:
    finding = check_file(file, BELIEVED, is_signature, earlier)

    assert not finding.is_sound
    assert reason in finding.text
    assert finding.signed_at is None


def test_checkpoints_of_two_logs_prove_nothing_of_each_other() -> None:
    other = replace(TREE, log_epoch=2)
    believed = [*BELIEVED, VerifierKey(other.origin, KEY.public_key)]

    finding = check_file(GROWN, believed, is_signature, head_of(200, other).note)

    assert finding.text == "The two checkpoints are of different logs."


def test_nobody_is_believed_for_being_named_in_the_file() -> None:
    assert not check_file(PROOF, [], is_signature).is_sound


@pytest.mark.parametrize(
    "file",
    [
        {},
        {**PROOF, "format": "other"},
        {**PROOF, "checkpoint": 1},
        {**PROOF, "checkpoint": "none"},
        {**PROOF, "leafIndex": "49"},
        {**PROOF, "leafIndex": True},
        {**PROOF, "number": -1},
        {**PROOF, "leafHash": "zz"},
        {**PROOF, "leafHash": "00"},
        {**PROOF, "inclusionPath": "none"},
        {**PROOF, "inclusionPath": [1]},
        {**PROOF, "inclusionPath": ["00" * 32] * 129},
        {**PROOF, "content": 1},
        GROWN,
    ],
)
def test_what_is_no_proof_is_refused(file: Mapping[str, Any]) -> None:
    with pytest.raises(InputError):
        check_file(file, BELIEVED, is_signature)


def test_no_proof_is_made_of_what_was_changed() -> None:
    with pytest.raises(BrokenTreeError, match="event 150"):
        prove_inclusion(HEAD, 150, leaf_hash("another"), TILES)
    forged = replace(HEAD, checkpoint=replace(HEAD.checkpoint, root=bytes(32)))
    with pytest.raises(BrokenTreeError):
        prove_inclusion(forged, 150, None, TILES)
    with pytest.raises(BrokenTreeError):
        prove_consistency(forged, 200, TILES)
    with pytest.raises(BrokenTreeError):
        prove_inclusion(HEAD, 150, None, cut(TILES, 10))


def test_no_more_tiles_are_asked_for_than_are_needed() -> None:
    wanted = inclusion_tiles(HEAD, 150)

    assert prove_inclusion(HEAD, 150, None, {at: TILES[at] for at in wanted}).leaf == leaf_hash(CONTENTS[49])
    assert len(wanted) <= 3
