"""Positions in the log."""

from __future__ import annotations

import pytest

from alertgraph.core.cursor import LogCursor, decode_log_cursor, log_start
from alertgraph.core.errors import ErrorCode, InputError
from alertgraph.core.ids import EPOCH
from tests.factories import T0


def test_a_position_reads_back() -> None:
    cursor = LogCursor(2, 17, T0, b"\x01\x02\x03\x04")

    assert decode_log_cursor(cursor.encode()) == cursor


def test_before_the_first_event_is_a_position() -> None:
    assert decode_log_cursor(log_start(1).encode()) == LogCursor(1, 0, EPOCH, b"\x00" * 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "AQ",
        log_start(1).encode() + "=",
        log_start(1).encode()[:-1],
        "AA" + log_start(1).encode()[2:],
        "\ud800",
    ],
)
def test_any_other_text_is_refused_by_its_path(text: str) -> None:
    with pytest.raises(InputError) as refused:
        decode_log_cursor(text, "input", "after")

    (problem,) = refused.value.problems
    assert (problem.code, problem.path) == (ErrorCode.INVALID_INPUT, ("input", "after"))


@pytest.mark.parametrize("cursor", [LogCursor(1, 1 << 63, T0, b"abcd"), LogCursor(1, (1 << 64) - 1, T0, b"abcd")])
def test_a_number_that_no_log_reaches_is_refused(cursor: LogCursor) -> None:
    with pytest.raises(InputError) as refused:
        decode_log_cursor(cursor.encode())

    assert refused.value.problems[0].path == ("after",)
