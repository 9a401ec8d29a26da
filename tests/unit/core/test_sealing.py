"""What a sealer's turn comes to."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from alertgraph.core.checkpoint import Checkpoint, SignedCheckpoint, Tree, parse_note
from alertgraph.core.event import leaf_hash
from alertgraph.core.ids import TenantId
from alertgraph.core.merkle import grown, root
from alertgraph.core.sealing import Growth, Refusal, TreeState, grow, kept_note, tiles_for
from alertgraph.storage.secrets import MasterKey, is_signature
from tests.factories import MINUTE, T0

KEY = MasterKey(bytes(range(32))).signing_key(1)
KEYS = {KEY.public_key}
TREE = Tree(TenantId(UUID(int=7)), 1)
LEAVES = [leaf_hash(str(number)) for number in range(20)]
TILES = grown({}, 0, LEAVES)


def signed(size: int, tree: Tree = TREE) -> SignedCheckpoint:
    checkpoint = Checkpoint(tree, size, root(TILES, size), T0)
    return SignedCheckpoint(checkpoint, KEY.public_key, KEY.sign(checkpoint.text.encode()))


def a_state(size: int = 10, until: int = 15) -> TreeState:
    return TreeState(
        tree=TREE,
        size=size,
        newest=signed(size) if size else None,
        tiles=grown({}, 0, LEAVES[:size]),
        last_leaf=LEAVES[size - 1] if size else None,
        log_epoch=1,
        head_number=until,
        pruned_number=0,
        leaves=[(number, LEAVES[number - 1]) for number in range(size + 1, until + 1)],
    )


@pytest.mark.parametrize("size", [0, 1, 10])
def test_a_tree_grows_by_what_is_there(size: int) -> None:
    growth = grow(a_state(size), None, KEYS, is_signature, T0 + MINUTE)

    assert isinstance(growth, Growth)
    assert growth.checkpoint == Checkpoint(TREE, 15, root(TILES, 15), T0 + MINUTE)
    assert growth.count == 15 - size


def test_where_nothing_is_new_nothing_is_signed() -> None:
    assert grow(a_state(10, 10), None, KEYS, is_signature, T0) is None


def test_a_clock_that_is_behind_signs_no_earlier_than_the_one_before() -> None:
    growth = grow(a_state(), None, KEYS, is_signature, T0 - MINUTE)

    assert isinstance(growth, Growth)
    assert growth.checkpoint.signed_at == T0


@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        (replace(a_state(), head_number=9, leaves=[]), Refusal.CUT),
        (replace(a_state(), last_leaf=None), Refusal.CUT),
        (replace(a_state(), last_leaf=LEAVES[0]), Refusal.REWRITTEN),
        (replace(a_state(), leaves=[(12, LEAVES[11])]), Refusal.HOLE),
        (replace(a_state(), leaves=[]), Refusal.HOLE),
        (replace(a_state(), leaves=[(11, b"short")]), Refusal.HOLE),
        (replace(a_state(), newest=None), Refusal.CHECKPOINT),
        (replace(a_state(), newest=signed(9)), Refusal.CHECKPOINT),
        (replace(a_state(), newest=replace(signed(10), signature=bytes(64))), Refusal.CHECKPOINT),
        (replace(a_state(), newest=replace(signed(10), public_key=bytes(32))), Refusal.CHECKPOINT),
        (replace(a_state(0), newest=signed(9)), Refusal.CHECKPOINT),
        (replace(a_state(), tiles={}), Refusal.TREE),
        (replace(a_state(), tiles=grown({}, 0, LEAVES[1:11])), Refusal.TREE),
        (replace(a_state(), log_epoch=2), Refusal.EPOCH),
    ],
)
def test_what_contradicts_a_checkpoint_is_refused(state: TreeState, refusal: Refusal) -> None:
    assert grow(state, None, KEYS, is_signature, T0) is refusal
    assert refusal.text.endswith(".")


def test_an_event_that_is_retired_by_right_is_not_missed() -> None:
    state = replace(a_state(), last_leaf=None, pruned_number=10)

    assert isinstance(grow(state, None, KEYS, is_signature, T0), Growth)


@pytest.mark.parametrize(
    ("size", "tree", "refusal"),
    [
        (10, TREE, None),
        (3, TREE, None),
        (11, TREE, Refusal.REWOUND),
        (3, replace(TREE, first_number=2), Refusal.REWOUND),
        (3, replace(TREE, log_epoch=2), Refusal.REWOUND),
        (3, replace(TREE, tenant_id=TenantId(UUID(int=8))), None),
    ],
)
def test_what_is_kept_outside_has_to_be_of_this_log(size: int, tree: Tree, refusal: Refusal | None) -> None:
    kept = parse_note(signed(size, tree).note)

    found = grow(a_state(), kept, KEYS, is_signature, T0)

    assert found is refusal if refusal is not None else isinstance(found, Growth)


def test_another_history_of_the_same_length_is_found_out_by_what_is_kept_outside() -> None:
    kept = parse_note(signed(10).note)
    other = grown({}, 0, [LEAVES[0], *LEAVES[2:11]])
    checkpoint = Checkpoint(TREE, 10, root(other, 10), T0)
    newest = SignedCheckpoint(checkpoint, KEY.public_key, KEY.sign(checkpoint.text.encode()))
    state = replace(a_state(), tiles=other, newest=newest, last_leaf=LEAVES[10])

    assert grow(state, kept, KEYS, is_signature, T0) is Refusal.REWOUND


def test_a_log_that_was_begun_anew_follows_its_earlier_epochs() -> None:
    later = replace(TREE, log_epoch=3)

    assert later.may_follow(later.origin)
    assert later.may_follow(TREE.origin)
    assert not TREE.may_follow(later.origin)
    assert not later.may_follow(replace(later, first_number=5).origin)
    assert not later.may_follow(TREE.origin.replace("/1/1", "/x/1"))


def test_what_nobody_can_read_is_no_note() -> None:
    assert kept_note(None) is None
    assert kept_note("garbage") is None
    assert kept_note(signed(10).note) is not None


def test_no_more_tiles_are_read_than_a_turn_needs() -> None:
    assert tiles_for(0, None) == frozenset()
    assert {(at.level, at.index) for at in tiles_for(256, None)} == {(0, 0), (1, 0)}
    assert {(at.level, at.index) for at in tiles_for(700, 300)} == {(0, 1), (0, 2), (1, 0)}
