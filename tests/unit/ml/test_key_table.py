from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.key_table import FIRST_COUNT, NOBODY, KeyTable  # noqa: E402

NOTHING = np.array([-1.0, 0.0])


def test_a_key_keeps_its_row_and_rings_know_nothing_of_each_other() -> None:
    table = KeyTable(2, NOTHING, 10)

    first, other = table.use(0, 7), table.use(1, 7)

    assert table.use(0, 7) == table.find(0, 7) == first != other
    assert table.find(0, 8) == NOBODY
    assert table.rows[first].tolist() == [-1.0, 0.0]


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    table = KeyTable(1, NOTHING, 2)
    for hashed in (1, 2, 1, 3):
        table.use(0, hashed)

    assert table.find(0, 2) == NOBODY
    assert [table.find(0, hashed) != NOBODY for hashed in (1, 3)] == [True, True]


def test_a_forgotten_row_is_nobody_elses_until_it_is_reclaimed_and_empty_then() -> None:
    table = KeyTable(1, NOTHING, 1)
    row = table.use(0, 1)
    table.rows[row] = 5.0

    others = {table.use(0, hashed) for hashed in range(2, 2 * FIRST_COUNT)}
    assert row not in others
    assert table.rows[row].tolist() == [5.0, 5.0]

    table.reclaim()
    assert table.rows[row].tolist() == [-1.0, 0.0]
    assert row in {table.use(0, hashed) for hashed in range(3 * FIRST_COUNT, 6 * FIRST_COUNT)}


def test_a_ring_read_back_is_in_the_same_order() -> None:
    table, other = KeyTable(1, NOTHING, 200), KeyTable(1, NOTHING, 200)
    for hashed in [*range(100), 3]:
        row = table.use(0, hashed)
        table.rows[row] = float(hashed)

    hashes, rows = table.held(0)
    other.fill(0, hashes.tolist(), rows)

    assert [each.tolist() for each in other.held(0)] == [each.tolist() for each in (hashes, rows)]
    assert hashes.tolist()[-1] == 3
    assert rows[-1].tolist() == [3.0, 3.0]
