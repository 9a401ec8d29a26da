"""Whatever bytes come, a message is read or refused; and one that was written is read as it was."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alertgraph.edge.intake.remote_write import FormError, LabelsRead, decompressed, read_v1, read_v2
from tests.remote_write import request_v1, request_v2, snappy

ROOM = 10_000
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
labels = st.dictionaries(names, names, max_size=4)
times = st.integers(-(2**63), 2**63 - 1) | st.integers(1_700_000_000_000, 1_800_000_000_000)
samples = st.tuples(times, st.floats(allow_nan=False))
series = st.lists(st.tuples(labels, st.lists(samples, max_size=3)), max_size=4)
# Bytes that look like messages more often than chance would have it.
scraps = st.lists(
    st.binary(max_size=12)
    | st.sampled_from(
        [b"\x0a", b"\x12\x10\x09", b"\x10", b"\x22", b"\x2a", b"\x08", b"\x80", b"\xff\xff\xff\xff\x0f"]
    )
    | series.map(lambda each: request_v1(*each)),
    max_size=12,
).map(b"".join)


def learned(found: LabelsRead) -> LabelsRead:
    return found


@given(series)
def test_what_was_written_is_read_as_it_was(told: list[Any]) -> None:
    known: dict[bytes, LabelsRead] = {}
    raw = request_v1(*told)

    assert read_v1(raw, known, learned, ROOM).series == told
    assert read_v1(raw, known, learned, ROOM).series == told, "labels are known now"
    assert read_v2(request_v2(*told), learned, ROOM).series == told
    assert decompressed(snappy(raw), 10_000_000) == raw


@given(scraps, scraps)
def test_any_bytes_are_read_or_refused_and_the_same_whatever_is_known(first: bytes, second: bytes) -> None:
    known: dict[bytes, LabelsRead] = {}
    with suppress(FormError):
        read_v1(first, known, learned, ROOM)

    def read(memory: dict[bytes, LabelsRead]) -> object:
        try:
            return repr(read_v1(second, memory, learned, ROOM))
        except FormError as error:
            return str(error)

    assert read(known) == read({})
    with suppress(FormError):
        read_v2(second, learned, ROOM)
    with suppress(FormError):
        decompressed(second, 10_000)


@given(series, st.data())
def test_a_message_that_was_cut_or_changed_is_read_or_refused(told: list[Any], data: st.DataObject) -> None:
    for raw in (request_v1(*told), request_v2(*told)):
        place = data.draw(st.integers(0, len(raw)))
        broken = raw[:place] + data.draw(st.binary(max_size=3)) + raw[place + data.draw(st.integers(0, 3)) :]
        for read in (lambda part: read_v1(part, {}, learned, ROOM), lambda part: read_v2(part, learned, ROOM)):
            with suppress(FormError):
                read(broken)
            with suppress(FormError):
                read(raw[:place])
