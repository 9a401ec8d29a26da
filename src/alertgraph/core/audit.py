"""The proof of a log: every leaf, every link and every number checked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alertgraph.core.event import Event, StoredEvent, canonical, leaf_hash, next_link
from alertgraph.core.flush import Head


@dataclass(frozen=True, slots=True)
class EventColumns:
    """What an event's row keeps beside its content to be searched by; all of it follows from the content."""

    kind: int
    actor_kind: int
    alert_id: str | None
    severity_before: int | None
    severity_after: int | None
    service_before: str | None
    service_after: str | None
    source: str
    subject_type: str | None
    subject_id: str | None


def columns_of(event: Event) -> EventColumns:
    """Return what an event's row must keep beside its content."""
    return EventColumns(
        kind=int(event.kind),
        actor_kind=int(event.actor.kind),
        alert_id=str(event.alert_id) if event.alert_id is not None else None,
        severity_before=int(event.severity_before) if event.severity_before is not None else None,
        severity_after=int(event.severity_after) if event.severity_after is not None else None,
        service_before=event.service_before,
        service_after=event.service_after,
        source=event.source,
        subject_type=event.subject_type,
        subject_id=event.subject_id,
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a log is not what was written.

    Attributes:
        number: Of the event at fault.
        text: What is wrong, in a sentence.
    """

    number: int
    text: str


@dataclass(slots=True)
class ChainCheck:
    """Goes through a log from where retention left off to its head, event by event.

    Attributes:
        head: Where the log says that it ends.
        checked: How many events were found unchanged.
    """

    head: Head
    checked: int = 0
    _number: int = field(init=False)
    _link: bytes = field(init=False)
    _recorded_at: datetime | None = field(init=False, default=None)
    _flush: list[StoredEvent] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._number = self.head.pruned_number
        self._link = self.head.pruned_link

    def take(self, rows: Sequence[tuple[StoredEvent | str, EventColumns]]) -> Fault | None:
        """Check the next events and return the first fault; None where all are as they were written.

        Args:
            rows: In order of their numbers; a text in place of an event says why its content can't be read.
        """
        for stored, columns in rows:
            expected = self._number + 1
            if isinstance(stored, str):
                return Fault(expected, stored)
            fault = self._check(stored, columns, expected)
            if fault is not None:
                return fault
            self._number = stored.number
            self._recorded_at = stored.recorded_at
            self._flush.append(stored)
            if stored.link is not None:
                first = self._flush[0]
                leaves = [event.leaf for event in self._flush]
                self._link = next_link(self._link, first.number, first.recorded_at, first.flush_id, leaves)
                if self._link != stored.link:
                    return Fault(stored.number, f"The chain breaks between event {first.number} and this one.")
                self._flush.clear()
            self.checked += 1
        return None

    def finish(self) -> Fault | None:
        """Check that the log ends where its head says; None where it does."""
        if self._flush:
            return Fault(self._number, "The last flush has no link: its end was cut off.")
        if self._number != self.head.number:
            return Fault(self._number + 1, f"The log ends here, but its head says {self.head.number}.")
        if self._link != self.head.link:
            return Fault(self._number, "The chain does not end in the head's link.")
        return None

    def _check(self, stored: StoredEvent, columns: EventColumns, expected: int) -> Fault | None:
        number = stored.number
        if number != expected:
            return Fault(expected, f"Event {expected} is missing; the next one there is {number}.")
        if leaf_hash(stored.content) != stored.leaf:
            return Fault(number, "The content is not what was hashed.")
        if not _is_canonical(stored):
            return Fault(number, "The content is not in canonical form.")
        if columns_of(stored.event) != columns:
            return Fault(number, "The columns beside the content say something else than the content.")
        if self._recorded_at is not None and stored.recorded_at < self._recorded_at:
            return Fault(number, "It was recorded before the event in front of it.")
        if self._flush and (
            stored.flush_id != self._flush[0].flush_id or stored.recorded_at != self._flush[0].recorded_at
        ):
            return Fault(number, "It is of another flush than the events that it was written with.")
        return None


def _is_canonical(stored: StoredEvent) -> bool:
    try:
        return canonical(stored.event) == stored.content
    except (TypeError, ValueError, AttributeError):
        # A content that somebody made up may have a number where an object belongs.
        return False
