"""Hints between processes."""

from __future__ import annotations

import base64
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.cache.live_updates import CHANNELS, channel_of
from alertgraph.core.hint import HintBuffer, decode_hints, encode_hints, pause_before
from alertgraph.core.ids import TenantId
from alertgraph.storage.notify import MESSAGE_SIZE_MAX

ORIGIN = bytes(range(8))

tenant_ids = st.uuids().map(TenantId)
numbers = st.integers(0, (1 << 63) - 1)


def tenant(number: int) -> TenantId:
    return TenantId(UUID(int=number))


@given(st.lists(st.tuples(tenant_ids, numbers), max_size=50), st.integers(33, 200))
def test_what_is_said_is_heard(hints: list[tuple[TenantId, int]], size_max: int) -> None:
    messages = encode_hints(ORIGIN, hints, size_max)

    assert all(len(message) <= size_max for message in messages)
    heard = [decode_hints(message) for message in messages]
    assert {origin for origin, _ in heard} == {ORIGIN}
    assert [hint for _, part in heard for hint in part] == hints


@given(st.binary(max_size=100))
def test_whatever_is_received_is_either_ours_or_refused(message: bytes) -> None:
    try:
        origin, hints = decode_hints(message)
    except ValueError:
        return
    assert encode_hints(origin, list(hints), 1000) == [message]


def test_the_largest_notification_is_one_that_postgresql_takes() -> None:
    messages = encode_hints(ORIGIN, [(tenant(number), number) for number in range(1000)], MESSAGE_SIZE_MAX)

    assert len(base64.b64encode(messages[0])) < 8000
    assert len(messages) == 5


def test_the_buffer_keeps_the_highest_number_and_the_order_of_waiting() -> None:
    buffer = HintBuffer()
    for tenant_id, number in [(tenant(1), 5), (tenant(2), 1), (tenant(1), 6), (tenant(1), 4)]:
        buffer.add(tenant_id, number)

    assert len(buffer) == 2
    assert buffer.take(1) == [(tenant(1), 6)]
    assert buffer.take(9) == [(tenant(2), 1)]
    assert buffer.take(9) == []


def test_a_full_buffer_loses_the_hint_that_waited_longest() -> None:
    buffer = HintBuffer(tenant_count_max=2)
    for number in (1, 2, 3):
        buffer.add(tenant(number), number)
    buffer.add(tenant(3), 4)

    assert buffer.take(9) == [(tenant(2), 2), (tenant(3), 4)]


@pytest.mark.parametrize(
    ("attempt", "fraction", "seconds"),
    [(1, 0.0, 0.05), (1, 1.0, 0.1), (2, 1.0, 0.2), (5, 0.0, 0.8), (7, 1.0, 5.0), (10**6, 1.0, 5.0)],
)
def test_pauses_double_up_to_a_bound(attempt: int, fraction: float, seconds: float) -> None:
    pause = pause_before(attempt, fraction, timedelta(seconds=0.1), timedelta(seconds=5))

    assert pause == timedelta(seconds=seconds)


def test_tenants_are_spread_over_all_channels_and_keep_theirs() -> None:
    used = [channel_of(tenant(number << 80)) for number in range(1000)]

    assert set(used) == set(CHANNELS)
    assert used == [channel_of(tenant(number << 80)) for number in range(1000)]
