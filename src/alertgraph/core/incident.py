"""An incident: alerts that people handle together because they share a cause, and what follows from them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from uuid import UUID

import orjson

from alertgraph.core.alert import (
    LABEL_NAME_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    Alert,
    AlertStatus,
    alert_match_values,
    check_text,
)
from alertgraph.core.errors import ErrorCode, InputError, Problem
from alertgraph.core.ids import AlertId, IncidentId, uuid7
from alertgraph.core.severity import Severity
from alertgraph.core.value import quick, replace

SERVICE_COUNT_MAX = 100
# How many alerts one call names, and how many incidents one merges.
ALERT_COUNT_MAX = 1000
MERGE_COUNT_MAX = 100
GROUPING_LABEL_COUNT_MAX = 10
GROUPING_WINDOW_MIN = timedelta(minutes=1)
GROUPING_WINDOW_MAX = timedelta(days=30)
# Beside labels: what matchers see of every alert, but for the dedup key, by which no two open alerts are equal.
_GROUPING_BUILT_INS = frozenset({"@title", "@severity", "@source", "@service"})

NO_OPEN_ALERTS = (0,) * len(Severity)


class IncidentStatus(IntEnum):
    """Where an incident stands. The numbers are stored: never reuse one."""

    OPEN = 1
    ACKNOWLEDGED = 2
    RESOLVED = 3


@quick
@dataclass(frozen=True, slots=True)
class Incident:
    """Alerts that belong together, as after the event numbered `version`.

    Attributes:
        opened_at: When its first alert joined.
        last_joined_at: When an alert joined last: from then on the window counts in which it takes in equal ones.
        resolved_at: When its last alert ended or left; None while one is open.
        alert_count: Its alerts, open and closed; those that retention has removed still count.
        open_counts: Its open alerts by severity, INFO first.
        triggered_count: How many of the open ones nobody has.
        worst: The worst severity that any of its alerts ever had in it.
        services: Things watched that were involved, as they came, at most 100.
        root_alert_id: The alert it probably began with; None where nobody can say.
        merged_into: The incident that took it over.
        group_key: What alerts that it takes in by themselves have in common; None where none does.
        version: 0 on one that was decided but not yet appended.
    """

    id: IncidentId
    title: str
    opened_at: datetime
    last_joined_at: datetime
    resolved_at: datetime | None
    alert_count: int
    open_counts: tuple[int, ...]
    triggered_count: int
    worst: Severity
    services: tuple[str, ...]
    root_alert_id: AlertId | None
    merged_into: IncidentId | None = None
    group_key: bytes | None = None
    version: int = 0

    @property
    def open_count(self) -> int:
        """How many of its alerts are open."""
        return sum(self.open_counts)

    @property
    def status(self) -> IncidentStatus:
        """Where it stands; follows from its alerts."""
        if self.triggered_count:
            return IncidentStatus.OPEN
        return IncidentStatus.ACKNOWLEDGED if any(self.open_counts) else IncidentStatus.RESOLVED

    @property
    def severity(self) -> Severity:
        """The worst of its open alerts, else the worst it had."""
        return next((severity for severity in reversed(Severity) if self.open_counts[severity - 1]), self.worst)

    @property
    def takes_in(self) -> bool:
        """Whether alerts may join it: a resolved one never takes in another."""
        return any(self.open_counts)


# ---------------------------------------------------------------------------------------- membership


def opened(
    incident_id: IncidentId,
    title: str,
    severity: Severity,
    now: datetime,
    *,
    root: AlertId | None = None,
    group_key: bytes | None = None,
) -> Incident:
    """Return an incident that has no alert yet; `severity` is that of any that joins it at once."""
    return Incident(
        id=incident_id,
        title=title,
        opened_at=now,
        last_joined_at=now,
        resolved_at=None,
        alert_count=0,
        open_counts=NO_OPEN_ALERTS,
        triggered_count=0,
        worst=severity,
        services=(),
        root_alert_id=root,
        group_key=group_key,
    )


def is_counted_alike(before: Alert, after: Alert) -> bool:
    """Say whether an incident looks the same with an alert of it as it was and as it is."""
    return (
        before.status is after.status
        and before.severity is after.severity
        and before.monitored_service == after.monitored_service
    )


def with_alert(incident: Incident, before: Alert | None, after: Alert | None, now: datetime) -> Incident:
    """Return an incident after one of its alerts has changed.

    Args:
        incident: As it was.
        before: The alert as it was; None where it joins.
        after: The alert as it is; None where it leaves.
        now: When.
    """
    counts = list(incident.open_counts)
    triggered_count, alert_count = incident.triggered_count, incident.alert_count
    if before is not None:
        alert_count -= 1
        if before.is_open:
            counts[before.severity - 1] -= 1
            triggered_count -= before.status is AlertStatus.TRIGGERED
    services, worst = incident.services, incident.worst
    if after is not None:
        alert_count += 1
        worst = max(worst, after.severity)
        service = after.monitored_service
        if service is not None and service not in services and len(services) < SERVICE_COUNT_MAX:
            services = (*services, service)
        if after.is_open:
            counts[after.severity - 1] += 1
            triggered_count += after.status is AlertStatus.TRIGGERED
    leaves = after is None and before is not None and before.id == incident.root_alert_id
    return replace(
        incident,
        last_joined_at=max(now, incident.last_joined_at) if before is None else incident.last_joined_at,
        alert_count=alert_count,
        open_counts=tuple(counts),
        triggered_count=triggered_count,
        worst=worst,
        services=services,
        root_alert_id=None if leaves else incident.root_alert_id,
    )


def ended(incident: Incident, ended_at: datetime | None, now: datetime) -> Incident:
    """Return an incident with the time of its end, where it has one: set once, since no alert joins it again.

    Args:
        incident: With its alerts counted.
        ended_at: When the alert ended that was the last open one; None where it left.
        now: When that was decided.
    """
    if incident.takes_in or incident.resolved_at is not None:
        return incident
    return replace(incident, resolved_at=max(ended_at or now, incident.opened_at))


# ------------------------------------------------------------------------------------------ grouping


def group_key_of(labels: Sequence[str], alert: Alert) -> bytes:
    """Return the digest by which alerts are found that are equal in all these labels.

    Args:
        labels: Names of labels or built-ins, in any order; what an alert lacks is empty.
        alert: Whose values.
    """
    values = alert_match_values(alert)
    pairs = [[name, values.get(name, "")] for name in sorted(set(labels))]
    return hashlib.sha256(orjson.dumps(pairs)).digest()


def incident_id_for(alert_id: AlertId, now: datetime) -> IncidentId:
    """Return the id of the incident that opens with an alert: it follows from the alert's own dice."""
    digest = hashlib.sha256(b"incident" + UUID(int=alert_id.int).bytes).digest()
    return IncidentId(uuid7(now, int.from_bytes(digest[:10], "big")))


def check_grouping(labels: Sequence[str], window: timedelta) -> None:
    """Let labels and a window pass by which alerts can be grouped.

    Raises:
        InputError: One can't be used; the path names it as in the API.
    """
    if len(labels) > GROUPING_LABEL_COUNT_MAX:
        raise InputError(
            f"groupingLabels has at most {GROUPING_LABEL_COUNT_MAX} entries; this has {len(labels):,}.",
            "groupingLabels",
        )
    for index, name in enumerate(labels):
        path = ("groupingLabels", str(index))
        faults = check_text(name, "name", LABEL_NAME_LENGTH_MAX, length_min=1, one_line=True)
        if faults:
            raise InputError(f"This is no name of a label: {faults[0].message}", *path)
        if name.startswith("@") and name not in _GROUPING_BUILT_INS:
            known = ", ".join(sorted(_GROUPING_BUILT_INS))
            raise InputError(f"Beside labels, alerts are grouped by {known}.", *path)
        if name in labels[:index]:
            raise InputError("This label is named twice.", *path)
    if not GROUPING_WINDOW_MIN <= window <= GROUPING_WINDOW_MAX:
        raise InputError("groupingWindow is PT1M to P30D.", "groupingWindow")


# ------------------------------------------------------------------------------------------- checks


def check_title(title: str) -> Problem | None:
    """Return what is wrong with an incident's title."""
    problems = check_text(title, "title", TITLE_LENGTH_MAX, length_min=1, one_line=True)
    return problems[0] if problems else None


def check_alert_count(count: int) -> Problem | None:
    """Return what is wrong with how many alerts are named at once."""
    if 1 <= count <= ALERT_COUNT_MAX:
        return None
    message = f"alertIds has 1 to {ALERT_COUNT_MAX:,} entries; this has {count:,}."
    return Problem(ErrorCode.INVALID_INPUT, message, ("alertIds",))
