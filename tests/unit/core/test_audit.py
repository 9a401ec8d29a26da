"""The proof of a log: whatever is changed in it afterwards is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from alertgraph.core.audit import ChainCheck, EventColumns, Fault, columns_of
from alertgraph.core.event import GENESIS_LINK, StoredEvent, leaf_hash, next_link, parse_canonical, seal
from alertgraph.core.flush import Head
from alertgraph.core.severity import Severity
from tests.factories import MINUTE, T0, a_config_event, a_flush_id, an_event

Row = tuple[StoredEvent | str, EventColumns]


def a_chain() -> tuple[list[Row], Head]:
    """Return a log of three flushes of one, three and two events, and its head."""
    link, number, rows = GENESIS_LINK, 0, []
    for flush, size in enumerate((1, 3, 2), 1):
        sealed = [seal(an_event(title=f"{flush}.{n}") if n else a_config_event()) for n in range(size)]
        at = T0 + flush * MINUTE
        link = next_link(link, number + 1, at, a_flush_id(flush), [one.leaf for one in sealed])
        for index, one in enumerate(sealed):
            number += 1
            last = link if index == size - 1 else None
            stored = StoredEvent(number, at, a_flush_id(flush), one.event, one.content, one.leaf, last)
            rows.append((stored, columns_of(one.event)))
    last_stored = rows[-1][0]
    head = Head(number, last_stored.recorded_at, last_stored.leaf, link, 1, 1, 0, GENESIS_LINK)
    return list(rows), head


def fault_of(rows: list[Row], head: Head, page_size: int = 4) -> Fault | None:
    """Return the first fault, reading page by page."""
    check = ChainCheck(head)
    for start in range(0, len(rows), page_size):
        fault = check.take(rows[start : start + page_size])
        if fault is not None:
            return fault
    return check.finish()


def rewritten(stored: StoredEvent, change: Callable[[dict[str, Any]], object]) -> StoredEvent:
    """Return an event with another content whose leaf was made to fit."""
    data = orjson.loads(stored.content)
    change(data)
    content = orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode()
    return replace(stored, content=content, event=parse_canonical(content), leaf=leaf_hash(content))


def changed(**fields: Any) -> Callable[[StoredEvent], StoredEvent]:
    return lambda stored: replace(stored, **fields)


@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
def test_a_log_as_it_was_written_has_no_fault(page_size: int) -> None:
    rows, head = a_chain()

    assert fault_of(rows, head, page_size) is None


def test_what_is_left_after_retention_has_no_fault() -> None:
    rows, head = a_chain()
    first = rows[0][0]
    assert isinstance(first, StoredEvent)
    assert first.link is not None

    assert fault_of(rows[1:], replace(head, pruned_number=1, pruned_link=first.link)) is None
    assert fault_of(rows[1:], head) is not None


def test_an_empty_log_has_no_fault() -> None:
    assert fault_of([], Head(0, T0, GENESIS_LINK, GENESIS_LINK, 0, 1, 0, GENESIS_LINK)) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda s: replace(s, content=s.content.replace("HIGH", "INFO").replace("SavedView", "savedView")),
        lambda s: replace(s, content=s.content + " "),
        lambda s: rewritten(s, lambda data: data.update(note="bm90ZQ==")),
        lambda s: rewritten(s, lambda data: data["actor"].update(name="Eve")),
        lambda s: rewritten(s, lambda data: data.update(more=1)),
        lambda s: rewritten(s, lambda data: data.update(detail=5)),
        lambda s: rewritten(s, lambda data: data.update(v=2)),
        changed(leaf=bytes(32)),
        changed(number=17),
        changed(recorded_at=T0 + timedelta(microseconds=1)),
        changed(recorded_at=T0 + 90 * MINUTE),
        changed(link=bytes(32)),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("at", range(6))
def test_whatever_is_changed_is_found(at: int, change: Callable[[StoredEvent], StoredEvent]) -> None:
    rows, head = a_chain()
    stored, columns = rows[at]
    assert isinstance(stored, StoredEvent)
    rows[at] = (change(stored), columns)

    assert fault_of(rows, head) is not None


@pytest.mark.parametrize("at", range(6))
def test_what_is_missing_or_moved_is_found(at: int) -> None:
    rows, head = a_chain()

    assert fault_of(rows[:at] + rows[at + 1 :], head) is not None
    assert fault_of(rows[:at] + rows[at : at + 1] * 2 + rows[at + 1 :], head) is not None
    assert fault_of(rows[:at], head) is not None
    assert fault_of([*rows[1:], rows[0]], head) is not None


@pytest.mark.parametrize("at", range(1, 4))
def test_the_columns_say_what_the_content_says(at: int) -> None:
    rows, head = a_chain()
    stored, columns = rows[at]
    rows[at] = (stored, replace(columns, severity_after=int(Severity.INFO)))

    assert fault_of(rows, head) == Fault(
        at + 1, "The columns beside the content say something else than the content."
    )


def test_a_content_that_cannot_be_read_is_a_fault_at_its_place() -> None:
    rows, head = a_chain()
    rows[2] = ("The content is not that of an event.", rows[2][1])

    assert fault_of(rows, head) == Fault(3, "The content is not that of an event.")


def test_another_heads_log_is_found() -> None:
    rows, head = a_chain()

    assert fault_of(rows, replace(head, link=bytes(32))) is not None
    assert fault_of(rows, replace(head, number=7)) is not None
