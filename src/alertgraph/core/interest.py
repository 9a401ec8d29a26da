"""Who may want an event: found by what the event tells, without asking everybody."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from alertgraph.core.event import Event, StoredEvent
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.query import EventFilter, event_match_values

T = TypeVar("T", bound=Hashable)


def _wanted_alerts(wanted: EventFilter) -> Collection[Hashable] | None:
    return wanted.alert_ids


def _wanted_incidents(wanted: EventFilter) -> Collection[Hashable] | None:
    return wanted.incident_ids


def _wanted_subject(wanted: EventFilter) -> Collection[Hashable] | None:
    return (wanted.subject_id,) if wanted.subject_id is not None else None


def _wanted_services(wanted: EventFilter) -> Collection[Hashable] | None:
    return wanted.monitored_service


def _wanted_sources(wanted: EventFilter) -> Collection[Hashable] | None:
    return wanted.source


def _wanted_subject_types(wanted: EventFilter) -> Collection[Hashable] | None:
    return wanted.subject_type


def _wanted_kinds(wanted: EventFilter) -> Collection[Hashable] | None:
    return wanted.kinds


def _wanted_severities(wanted: EventFilter) -> Collection[Hashable] | None:
    return wanted.severity


# From what is true of fewest events to what is true of most: each follower stands where its filter names least.
_SHELVES: tuple[
    tuple[Callable[[EventFilter], Collection[Hashable] | None], Callable[[Event], Iterable[Hashable]]], ...
] = (
    (_wanted_alerts, lambda event: (event.alert_id,)),
    (_wanted_incidents, lambda event: (event.incident_id,)),
    (_wanted_subject, lambda event: (event.subject_id,)),
    (_wanted_services, lambda event: (event.service_before, event.service_after)),
    (_wanted_sources, lambda event: (event.source,)),
    (_wanted_subject_types, lambda event: (event.subject_type,)),
    (_wanted_kinds, lambda event: (event.kind,)),
    (_wanted_severities, lambda event: (event.severity_before, event.severity_after)),
)
_LABELS_BEFORE = 4


class InterestIndex(Generic[T]):
    """Followers by the narrowest thing that their filters ask for, so that most are never looked at.

    It may name followers whose filter refuses the event in the end, and never leaves out one whose filter lets it
    through.
    """

    def __init__(self) -> None:
        self._shelves: tuple[dict[Hashable, dict[T, None]], ...] = tuple({} for _ in _SHELVES)
        self._labels: dict[Hashable, dict[T, None]] = {}
        self._anything: dict[T, None] = {}

    def add(self, follower: T, wanted: EventFilter, scope: tuple[Matcher, ...] = ()) -> Callable[[], None]:
        """Put a follower in its place, and return what takes it out again.

        Args:
            follower: Not in the index yet.
            wanted: What it asks for.
            scope: Matchers that must hold besides.
        """
        shelf, keys = self._place(wanted, (*wanted.matchers, *scope))
        if shelf is None:
            self._anything[follower] = None
            return lambda: self._anything.pop(follower, None)
        for key in keys:
            shelf.setdefault(key, {})[follower] = None

        def remove() -> None:
            for key in keys:
                others = shelf.get(key)
                if others is not None:
                    others.pop(follower, None)
                    if not others:
                        del shelf[key]

        return remove

    def candidates(self, stored: StoredEvent) -> Mapping[T, None]:
        """Return the followers that may want an event, each once."""
        event = stored.event
        found = dict(self._anything)
        for shelf, (_, told) in zip(self._shelves, _SHELVES, strict=True):
            if shelf:
                for key in told(event):
                    if key in shelf:
                        found.update(shelf[key])
        if self._labels and event.alert_id is not None:
            for asked in event_match_values(stored).items():
                if asked in self._labels:
                    found.update(self._labels[asked])
        return found

    def _place(
        self, wanted: EventFilter, matchers: tuple[Matcher, ...]
    ) -> tuple[dict[Hashable, dict[T, None]] | None, Collection[Hashable]]:
        for number, (shelf, (ask, _)) in enumerate(zip(self._shelves, _SHELVES, strict=True)):
            if number == _LABELS_BEFORE:
                # What an absent label equals, too, is no text to be found by.
                asked = (each for each in matchers if each.operator is MatchOperator.EQUAL and each.value)
                first = next(asked, None)
                if first is not None:
                    return self._labels, ((first.label, first.value),)
            keys = ask(wanted)
            if keys is not None:
                return shelf, keys
        return None, ()
