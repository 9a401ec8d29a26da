"""What can be asked of alerts and events: filters, orders and pages, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Generic, TypeVar

from alertgraph.core.actor import ActorKind
from alertgraph.core.alert import AlertStatus, AlertVerdict, match_values
from alertgraph.core.cursor import LogCursor
from alertgraph.core.errors import InputError
from alertgraph.core.event import ADMIN_SUBJECT_TYPES, CONFIG_KINDS, EventKind, StoredEvent
from alertgraph.core.ids import AlertId, IncidentId, ResponderId, RuleId
from alertgraph.core.incident import IncidentStatus
from alertgraph.core.labels import Matcher, matches_all
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Role

PAGE_SIZE = 50
PAGE_SIZE_MAX = 100
TOTAL_COUNT_MAX = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list.

    Attributes:
        size: 1 to 100.
        after: Begin behind this cursor; what it says depends on the list.
        before: End before this cursor.
        backward: Whether the last `size` of what is between the cursors is wanted, rather than the first.
    """

    size: int = PAGE_SIZE
    after: str | None = None
    before: str | None = None
    backward: bool = False


def page_request(
    first: int | None, after: str | None, last: int | None = None, before: str | None = None
) -> PageRequest:
    """Return the part of a list that Relay's four arguments name.

    Raises:
        InputError: first and last are both given, or out of 1 to 100.
    """
    if first is not None and last is not None:
        raise InputError("Give first or last, never both.", "last")
    for name, value in (("first", first), ("last", last)):
        if value is not None and not 1 <= value <= PAGE_SIZE_MAX:
            raise InputError(f"{name} is 1 to {PAGE_SIZE_MAX}; this is {value}.", name)
    size = first if first is not None else last
    return PageRequest(PAGE_SIZE if size is None else size, after, before, backward=last is not None)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, in the list's order whichever way it was asked for.

    Attributes:
        items: Each with the text of its cursor; only the first and the last where nobody asked for all of them.
        as_of: The log as the page saw it; None where nobody asked.
        total_count: In all pages, capped at 10,000; None where counting takes too long or was not asked for.
    """

    items: Sequence[tuple[str, T]]
    has_next: bool
    has_previous: bool
    as_of: LogCursor | None
    total_count: int | None = None


class AlertOrderField(IntEnum):
    """What alerts can be ordered by; equal ones by id."""

    TRIGGERED_AT = 1
    LAST_SEEN_AT = 2
    SEVERITY = 3
    INCIDENT_PROBABILITY = 4


@dataclass(frozen=True, slots=True)
class AlertOrder:
    """Order of alerts."""

    field: AlertOrderField = AlertOrderField.TRIGGERED_AT
    descending: bool = True


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts. Every field given must hold; of a list, one value is enough; None is not given.

    An empty list, unlike None, matches nothing.

    Attributes:
        incident: In one of these incidents.
        escalation_rule: On the ladder of one of these rules, be it the default where none matched.
        acknowledged_by: Taken by one of these people.
        silenced: Whether a silence covers it now; a resolved alert is covered by none.
        inhibited: Whether a bigger alert covers it now; a resolved alert is covered by none.
        incident_probability_min: Predicted at this chance or more; of which nothing was said, is none of them.
    """

    status: tuple[AlertStatus, ...] | None = None
    severity: tuple[Severity, ...] | None = None
    monitored_service: tuple[str, ...] | None = None
    source: tuple[str, ...] | None = None
    dedup_key: tuple[str, ...] | None = None
    matchers: tuple[Matcher, ...] = ()
    search: str | None = None
    triggered_after: datetime | None = None
    triggered_before: datetime | None = None
    resolved_after: datetime | None = None
    resolved_before: datetime | None = None
    incident: tuple[IncidentId, ...] | None = None
    escalation_rule: tuple[RuleId, ...] | None = None
    escalation_level_min: int | None = None
    acknowledged_by: tuple[ResponderId, ...] | None = None
    assignee: tuple[ResponderId, ...] | None = None
    sla_breached: bool | None = None
    silenced: bool | None = None
    inhibited: bool | None = None
    verdict: tuple[AlertVerdict, ...] | None = None
    incident_probability_min: float | None = None


@dataclass(frozen=True, slots=True)
class AlertQuery:
    """A page of alerts to read.

    Attributes:
        scope: Matchers of the caller's key, on top of the filter's.
        now: What `sla_breached` and `silenced` are judged by.
        with_total: Whether somebody asked for the total count.
        with_as_of: Whether somebody asked where the log ends.
        with_cursors: Whether somebody asked for every alert's cursor.
        fields: Those of `Alert` that are looked at, by their names: the rest need not be read, and raises
            AttributeError then. None for all.
    """

    filter: AlertFilter
    order: AlertOrder
    page: PageRequest
    now: datetime
    scope: tuple[Matcher, ...] = ()
    with_total: bool = False
    with_as_of: bool = True
    with_cursors: bool = True
    fields: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class EventVisibility:
    """Which events a caller may see: what alerts did needs VIEWER, configuration RESPONDER, keys ADMIN."""

    role: Role = Role.ADMIN
    scope: tuple[Matcher, ...] = ()

    def sees(self, stored: StoredEvent) -> bool:
        """Say whether the caller may see an event."""
        event = stored.event
        if self.role < Role.VIEWER:
            return False
        if event.alert_id is not None:
            return not self.scope or matches_all(self.scope, event_match_values(stored))
        if self.scope:
            # A key that is scoped to some alerts has no business with anything else.
            return False
        if event.kind in CONFIG_KINDS:
            if event.subject_type in ADMIN_SUBJECT_TYPES:
                return self.role >= Role.ADMIN
            return self.role >= Role.RESPONDER
        if event.kind is EventKind.PERSONAL_DATA_READ:
            return self.role >= Role.ADMIN
        return True


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events, by what the event itself tells. Every field given must hold; None is not given.

    Attributes:
        incident_ids: About one of these incidents, or about an alert while it is in one of them.
    """

    kinds: frozenset[EventKind] | None = None
    severity: frozenset[Severity] | None = None
    monitored_service: frozenset[str] | None = None
    source: frozenset[str] | None = None
    matchers: tuple[Matcher, ...] = ()
    alert_ids: frozenset[AlertId] | None = None
    incident_ids: frozenset[IncidentId] | None = None
    subject_id: str | None = None
    subject_type: frozenset[str] | None = None
    actor_kind: frozenset[ActorKind] | None = None
    occurred_after: datetime | None = None
    occurred_before: datetime | None = None

    def matches(self, stored: StoredEvent) -> bool:
        """Say whether an event satisfies the filter: the same answer live and in every replay."""
        event = stored.event
        return (
            (self.kinds is None or event.kind in self.kinds)
            and (
                self.severity is None
                or event.severity_after in self.severity
                or event.severity_before in self.severity
            )
            and (
                self.monitored_service is None
                or event.service_after in self.monitored_service
                or event.service_before in self.monitored_service
            )
            and (self.source is None or (event.alert_id is not None and event.source in self.source))
            and (self.alert_ids is None or event.alert_id in self.alert_ids)
            and (self.incident_ids is None or event.incident_id in self.incident_ids)
            and (self.subject_id is None or event.subject_id == self.subject_id)
            and (self.subject_type is None or event.subject_type in self.subject_type)
            and (self.actor_kind is None or event.actor.kind in self.actor_kind)
            and (self.occurred_after is None or stored.recorded_at >= self.occurred_after)
            and (self.occurred_before is None or stored.recorded_at < self.occurred_before)
            and (
                not self.matchers
                or (event.alert_id is not None and matches_all(self.matchers, event_match_values(stored)))
            )
        )


@dataclass(frozen=True, slots=True)
class EventQuery:
    """A page of the log to read, oldest first; cursors are those of the log."""

    filter: EventFilter
    page: PageRequest
    visibility: EventVisibility = field(default_factory=EventVisibility)


@dataclass(frozen=True, slots=True)
class TimelineQuery:
    """Pages of several alerts' timelines, read at once; cursors are those of the log."""

    alert_ids: tuple[AlertId, ...]
    kinds: frozenset[EventKind] | None
    page: PageRequest
    visibility: EventVisibility = field(default_factory=EventVisibility)


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents. Every field given must hold; of a list, one value is enough; None is not given.

    An empty list, unlike None, matches nothing.
    """

    status: tuple[IncidentStatus, ...] | None = None
    severity: tuple[Severity, ...] | None = None
    monitored_service: tuple[str, ...] | None = None
    opened_after: datetime | None = None
    opened_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class IncidentQuery:
    """A page of incidents to read, newest first.

    Attributes:
        with_total: Whether somebody asked for the total count.
    """

    filter: IncidentFilter
    page: PageRequest
    with_total: bool = False


def event_match_values(stored: StoredEvent) -> dict[str, str]:
    """Return what matchers look at in an event about an alert: the alert as it was then."""
    event = stored.event
    return match_values(
        title=event.title,
        severity=event.severity_after or event.severity_before,
        source=event.source,
        monitored_service=event.service_after or event.service_before,
        dedup_key=event.dedup_key,
        labels=event.labels,
    )
