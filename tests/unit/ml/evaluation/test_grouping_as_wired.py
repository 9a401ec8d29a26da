"""Incidents as the service would make them of a stream, for the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from alertgraph.core.correlation import Arrival  # the rest needs torch
from alertgraph.ml.evaluation.grouping import Stream, as_wired


def a_stream(*arrivals: tuple[float, str, str]) -> Stream:
    """Return a stream of kinds about hosts."""
    count = len(arrivals)
    nodes = tuple(Arrival(str(node), at, rule, host, host) for node, (at, rule, host) in enumerate(arrivals))
    counts = np.ones((count, 1))
    return Stream(nodes, np.zeros(count, np.int64), counts, ("-",), (np.arange(count, dtype=float), counts))


def test_what_the_service_groups_is_chained_and_the_rest_stands_alone() -> None:
    # Begins late in a clock of its own, as the data does.
    stream = a_stream(
        (5000.0, "Scan", "web"),
        (5001.0, "Login", "mail"),
        (5003.0, "Shell", "web"),
        (5004.0, "Upload", "web"),
        (9000.0, "Shell", "web"),
    )

    (linked,) = as_wired([], [stream])

    assert linked.parents.tolist() == [-1, -1, 0, 2, -1]
    assert np.isfinite(linked.scores).tolist() == [False, False, True, True, False]


def test_what_was_read_before_counts() -> None:
    often = a_stream(
        *((600.0 * turn + gap, rule, rule) for turn in range(40) for gap, rule in ((0, "A"), (2, "B")))
    )
    once = a_stream((0.0, "A", "A"), (2.0, "B", "B"))

    assert as_wired([], [once])[0].parents.tolist() == [-1, -1]
    assert as_wired([often], [once])[0].parents.tolist() == [-1, 0]
