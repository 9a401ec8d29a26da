"""Answers of different servers are compared field by field, in the words of one of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.ids import NodeKind, encode_id
from bench.reads import first_difference, rows_of

ALERT, CHANNEL = UUID(int=7), UUID(int=8)
CHANNEL_SHOWN = {"id": encode_id(NodeKind.CHANNEL, CHANNEL), "name": "hook", "kind": "WEBHOOK", "enabled": True}


def _ours(**changed: Any) -> dict[str, Any]:
    node = {
        "id": encode_id(NodeKind.ALERT, ALERT),
        "title": "CPU",
        "severity": "HIGH",
        "status": "TRIGGERED",
        "triggeredAt": "2026-11-23T12:00:00.5Z",
        "occurrenceCount": 3,
        "escalationLevels": [{"targets": [CHANNEL_SHOWN]}],
        **changed,
    }
    return {"data": {"alerts": {"nodes": [node]}}}


def _graphile() -> dict[str, Any]:
    node = {
        "rowId": str(ALERT),
        "title": "CPU",
        "severity": 4,
        "status": 1,
        "triggeredAt": "2026-11-23T12:00:00.500000+00:00",
        "occurrenceCount": 3,
        "channelByChannelId": {"rowId": str(CHANNEL), "name": "hook", "kind": 4, "enabled": True},
    }
    return {"data": {"latestAlerts": {"nodes": [node]}}}


def test_postgraphile_says_the_same_in_other_words() -> None:
    assert (
        first_difference(rows_of("alertgraph", _ours()), rows_of("postgraphile", _graphile()), in_order=True)
        is None
    )


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"title": "memory"}, "title"),
        ({"severity": "LOW"}, "severity"),
        ({"triggeredAt": "2026-11-23T12:00:00.6Z"}, "triggeredAt"),
        ({"escalationLevels": []}, "channel"),
    ],
)
def test_each_difference_is_seen(changed: dict[str, Any], name: str) -> None:
    said = first_difference(
        rows_of("alertgraph", _ours(**changed)), rows_of("postgraphile", _graphile()), in_order=True
    )

    assert said is not None
    assert f"row 0, {name}:" in said


def test_alerta_is_compared_in_what_it_has() -> None:
    alerta = {"alerts": [{"id": str(ALERT), "severity": "major", "status": "open", "duplicateCount": 2}]}

    assert first_difference(rows_of("alertgraph", _ours()), rows_of("alerta", alerta), in_order=True) is None
    alerta["alerts"][0]["duplicateCount"] = 3
    assert first_difference(rows_of("alertgraph", _ours()), rows_of("alerta", alerta), in_order=True) is not None


def test_another_order_is_a_difference_only_where_one_is_promised() -> None:
    rows = [{"id": "a"}, {"id": "b"}]

    assert first_difference(rows, rows[::-1], in_order=False) is None
    assert first_difference(rows, rows[::-1], in_order=True) is not None


def test_fewer_rows_are_a_difference() -> None:
    assert first_difference([{"id": "a"}], [], in_order=False) == "1 and 0 rows"


def test_rows_without_anything_in_common_are_a_difference() -> None:
    assert first_difference([{"id": "a"}], [{"key": "a"}], in_order=True) is not None
