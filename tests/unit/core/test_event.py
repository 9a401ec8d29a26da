"""The form in which events are hashed, and the chain."""

from __future__ import annotations

import hashlib
from datetime import timedelta, timezone
from typing import Any

import pytest

from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import HoldReason
from alertgraph.core.event import (
    GENESIS_LINK,
    EventKind,
    FieldChange,
    canonical,
    instant_of,
    instant_text,
    leaf_hash,
    next_link,
    parse_canonical,
    seal,
)
from alertgraph.core.severity import Severity
from tests.factories import SECOND, T0, a_config_event, a_flush_id, an_event


def test_the_canonical_form_is_sorted_json_without_what_is_empty() -> None:
    # Written out, so that a change of the form is seen: it would break every stored proof.
    assert canonical(an_event(labels={"b": "ä", "a": "1"}, severity_before=Severity.LOW)) == (
        '{"actor":{"kind":"SENDER","name":"prometheus key","reference":"key:1"},'
        '"alert":{"dedupKey":"latency","id":"01a20846-fe00-7000-8000-000000000001","labels":{"a":"1","b":"ä"},'
        '"service":[null,"checkout"],"severity":["LOW","HIGH"],"source":"prometheus","title":"High latency"},'
        '"decidedAt":"2026-11-23T12:00:00.000000Z","kind":"TRIGGERED","v":1}'
    )


def test_an_event_about_configuration_has_a_subject_and_no_alert() -> None:
    event = a_config_event(changes=(FieldChange("name", None, "b"),))

    assert canonical(event) == (
        '{"actor":{"kind":"PERSON","name":"Ada","reference":"oidc:ada"},'
        '"changes":[{"after":"b","before":null,"field":"name"}],'
        '"decidedAt":"2026-11-23T12:00:00.000000Z","kind":"CONFIG_UPDATED",'
        '"subject":{"id":"vew_1","type":"SavedView"},"v":1}'
    )
    assert parse_canonical(canonical(event)) == event


def test_everything_an_event_tells_reads_back() -> None:
    event = an_event(
        kind=EventKind.RESOLVED,
        actor=ENGINE,
        severity_before=Severity.HIGH,
        service_before="search",
        hold_reason=HoldReason.SILENCED,
        note="c2VhbGVk",
        changes=(FieldChange("status", "TRIGGERED", "RESOLVED"),),
        elapsed_ms=0,
        sla_met=False,
        self_resolved=True,
        detail={"a": [1, None, {"b": 0.5}]},
    )

    assert parse_canonical(canonical(event)) == event


@pytest.mark.parametrize(
    "content", ["{}", "[]", "5", '{"kind":"NONE"}', "nonsense", '{"kind":"NOTED","actor":{}}']
)
def test_what_is_no_event_is_not_read(content: str) -> None:
    with pytest.raises(ValueError):
        parse_canonical(content)


def test_an_instant_has_one_spelling() -> None:
    elsewhere = T0.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert instant_text(T0) == instant_text(elsewhere) == "2026-11-23T12:00:00.000000Z"
    assert instant_of(instant_text(elsewhere)) == T0


def test_a_leaf_hashes_a_zero_byte_and_the_text() -> None:
    sealed = seal(event := an_event())

    assert sealed.event is event
    assert sealed.leaf == hashlib.sha256(b"\x00" + sealed.content.encode()).digest()
    assert sealed.leaf == leaf_hash(sealed.content)


def test_a_link_covers_place_time_flush_and_every_leaf() -> None:
    leaves = [leaf_hash("a"), leaf_hash("b")]
    flush = a_flush_id(7)
    link = next_link(GENESIS_LINK, 1, T0, flush, leaves)

    assert (
        link
        == hashlib.sha256(
            bytes(32)
            + (1).to_bytes(8, "big")
            + (1_795_435_200_000_000).to_bytes(8, "big")
            + flush.bytes
            + b"".join(leaves)
        ).digest()
    )
    others: list[tuple[Any, ...]] = [
        (link, 1, T0, flush, leaves),
        (GENESIS_LINK, 2, T0, flush, leaves),
        (GENESIS_LINK, 1, T0 + SECOND, flush, leaves),
        (GENESIS_LINK, 1, T0, a_flush_id(8), leaves),
        (GENESIS_LINK, 1, T0, flush, leaves[::-1]),
        (GENESIS_LINK, 1, T0, flush, leaves[:1]),
    ]
    assert link not in {next_link(*other) for other in others}
