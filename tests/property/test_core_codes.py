"""Laws of ids and cursors: what is written reads back, and one text names one thing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.cursor import LogCursor, decode_log_cursor
from alertgraph.core.errors import InputError
from alertgraph.core.ids import (
    EventKey,
    NodeKind,
    decode_id,
    encode_event_id,
    encode_id,
    from_microseconds,
    pack,
    to_microseconds,
    unpack,
    uuid7,
    uuid7_floor,
)
from tests.factories import T0

instants = st.datetimes(timezones=st.just(UTC))
kinds = st.sampled_from([kind for kind in NodeKind if kind is not NodeKind.EVENT])
numbers = st.integers(0, 2**63 - 1)
event_keys = st.builds(EventKey, numbers, instants)
cursors = st.builds(LogCursor, st.integers(0, 2**32 - 1), numbers, instants, st.binary(min_size=4, max_size=4))
ids = st.builds(encode_id, kinds, st.uuids()) | st.builds(encode_event_id, event_keys)
base64_like = st.text("ABCabc019-_=+/ \n", max_size=30)


def encode(decoded: tuple[NodeKind, UUID | EventKey]) -> str:
    kind, key = decoded
    return encode_event_id(key) if isinstance(key, EventKey) else encode_id(kind, key)


def altered(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return texts with one character replaced, left out or added."""

    @st.composite
    def one(draw: st.DrawFn) -> str:
        text = draw(texts)
        at = draw(st.integers(0, len(text) - 1))
        new = draw(st.sampled_from(["", "A", "B", "_", "=", " ", "\n", "é"]))
        return text[:at] + new + text[at + draw(st.integers(0, 1)) :]

    return one()


@given(kinds, st.uuids())
def test_an_id_reads_back(kind: NodeKind, key: UUID) -> None:
    assert decode_id(encode_id(kind, key)) == (kind, key)


@given(event_keys)
def test_an_events_id_reads_back(key: EventKey) -> None:
    assert decode_id(encode_event_id(key)) == (NodeKind.EVENT, key)


@given(altered(ids) | st.builds(lambda kind, rest: f"{kind.value}_{rest}", st.sampled_from(NodeKind), base64_like))
def test_no_two_texts_are_one_id(text: str) -> None:
    decoded = decode_id(text)

    assert decoded is None or encode(decoded) == text


@given(cursors)
def test_a_cursor_reads_back(cursor: LogCursor) -> None:
    assert decode_log_cursor(cursor.encode()) == cursor


@given(altered(cursors.map(LogCursor.encode)) | base64_like)
def test_no_two_texts_are_one_cursor(text: str) -> None:
    try:
        cursor = decode_log_cursor(text)
    except InputError:
        return
    assert cursor.encode() == text


@given(st.text())
def test_any_text_is_an_id_or_none(text: str) -> None:
    decoded = decode_id(text)

    assert decoded is None or encode(decoded) == text


@given(st.binary(max_size=40))
def test_bytes_read_back(raw: bytes) -> None:
    assert unpack(pack(raw)) == raw


@given(instants)
def test_microseconds_are_exact(at: datetime) -> None:
    assert from_microseconds(to_microseconds(at)) == at


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 2**80), st.integers(0, 2**80))
def test_ids_are_ordered_by_their_millisecond(one: int, other: int, bits: int, other_bits: int) -> None:
    at, other_at = (T0 + timedelta(microseconds=n) for n in (one, other))
    first, second = uuid7(at, bits), uuid7(other_at, other_bits)

    assert uuid7_floor(at) <= first < uuid7_floor(at + timedelta(milliseconds=1))
    if one // 1000 < other // 1000:
        assert first < second
