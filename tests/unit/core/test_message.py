"""What providers said, made fit to be kept."""

from __future__ import annotations

import pytest

from alertgraph.core.message import ERROR_LENGTH_MAX, RECEIPT_LENGTH_MAX, SendResult


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("HTTP 500", "HTTP 500"),
        ("no\x00 answer", "no\ufffd answer"),
        ("half \ud83d", "half ?"),
        ("x" * 5000, "x" * (ERROR_LENGTH_MAX - 1) + "…"),
        (None, None),
    ],
)
def test_an_error_can_be_kept_whatever_it_says(said: str | None, kept: str | None) -> None:
    assert SendResult(False, error=said).error == kept


@pytest.mark.parametrize(
    ("called", "kept"),
    [
        ('{"ts":"1"}', '{"ts":"1"}'),
        ('{"ts":"\udc80"}', '{"ts":"?"}'),
        # A part of it would be no JSON any more.
        ("x" * (RECEIPT_LENGTH_MAX + 1), None),
    ],
)
def test_a_receipt_can_be_kept_or_there_is_none(called: str, kept: str | None) -> None:
    assert SendResult(True, receipt=called).receipt == kept
