"""Opaque ids: what is inside, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from alertgraph.core.ids import (
    EventKey,
    NodeKind,
    decode_alert_id,
    decode_id,
    encode_event_id,
    encode_id,
    from_microseconds,
    uuid7,
    uuid7_floor,
)
from tests.factories import SECOND, T0, an_id


def test_a_uuid_carries_its_version_its_variant_and_its_millisecond() -> None:
    made = uuid7(T0 + timedelta(microseconds=1999), (1 << 80) - 1)

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == 1_795_435_200_001
    assert str(made).startswith("01a20846-fe01-7fff-bfff-ffffffffffff")


def test_later_ids_are_larger() -> None:
    assert uuid7(T0, (1 << 74) - 1) < uuid7(T0 + timedelta(milliseconds=1), 0)


def test_the_floor_of_a_millisecond_is_below_all_its_ids() -> None:
    assert uuid7_floor(T0) < uuid7(T0, 0)
    assert uuid7_floor(T0 + timedelta(milliseconds=1)) > uuid7(T0, (1 << 74) - 1)
    assert uuid7_floor(datetime(1, 1, 1, tzinfo=UTC)) == UUID(int=0)


def test_an_id_says_what_it_is_of() -> None:
    text = encode_id(NodeKind.ALERT, an_id())

    assert text == "alr_AaIIRv4AcACAAAAAAAAAAQ"
    assert decode_id(text) == (NodeKind.ALERT, an_id())
    assert decode_alert_id(text) == an_id()


def test_an_event_is_named_by_its_place() -> None:
    key = EventKey(17, T0 + SECOND)

    assert decode_id(encode_event_id(key)) == (NodeKind.EVENT, key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alr",
        "alr_",
        "alr_AaIIRv4AcACAAAAAAAAAAR",
        "alr_AaIIRv4AcACAAAAAAAAAAQ=",
        "alr_AaIIRv4AcACAAAAAAAAAAQ==",
        "alr_AaIIRv4AcACAAAAAAAAAA",
        "alr_AaIIRv4AcACAAAAAAAAAAQAA",
        " alr_AaIIRv4AcACAAAAAAAAAAQ",
        "alr_AaIIRv4AcACAAAAAAAAAA\n",
        "ALR_AaIIRv4AcACAAAAAAAAAAQ",
        "xyz_AaIIRv4AcACAAAAAAAAAAQ",
        "alr_AaIIRv4AcACAAAAAAAAA/Q",
        "alr_ÄaIIRv4AcACAAAAAAAAAAQ",
        "alr_\ud800",
        "evt__________________w",
        "evt_f_________9_________",
        "a" * 100_000,
    ],
    ids=lambda text: repr(text)[:30],
)
def test_any_other_text_is_no_id(text: str) -> None:
    assert decode_id(text) is None


def test_another_things_id_is_no_alerts_id() -> None:
    assert decode_alert_id(encode_id(NodeKind.API_KEY, an_id())) is None
    assert decode_alert_id(encode_event_id(EventKey(1, T0))) is None


def test_an_instant_beyond_the_last_year_is_none() -> None:
    with pytest.raises(OverflowError):
        from_microseconds(1 << 62)
