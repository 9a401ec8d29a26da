"""What becomes of incidents as alerts join, leave and end and people act, and the events that say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from alertgraph.core.action import Unset
from alertgraph.core.alert import Alert
from alertgraph.core.decision import Situation, alert_event
from alertgraph.core.errors import ErrorCode, Problem
from alertgraph.core.event import Event, EventKind, FieldChange
from alertgraph.core.ids import AlertId, IncidentId, NodeKind, encode_id
from alertgraph.core.incident import Incident, IncidentStatus, ended, incident_id_for, opened, with_alert
from alertgraph.core.incident_action import (
    AddAlerts,
    Grounds,
    IncidentAction,
    Lead,
    MergeIncidents,
    OpenIncident,
    SplitIncident,
    UpdateIncident,
)
from alertgraph.core.value import replace

SUBJECT_TYPE = "Incident"

# What is told where an incident's status has moved.
_MOVED = {
    IncidentStatus.OPEN: EventKind.INCIDENT_UPDATED,
    IncidentStatus.ACKNOWLEDGED: EventKind.INCIDENT_ACKNOWLEDGED,
    IncidentStatus.RESOLVED: EventKind.INCIDENT_RESOLVED,
}


@dataclass(slots=True)
class IncidentDecision:
    """What an action on incidents comes to.

    Attributes:
        incident: The one that is answered, as it is afterwards; None where refused.
        alerts: Alerts that have moved, as they are afterwards, with the index of the last event about each.
        incidents: Incidents that have changed, likewise; no index where no event tells of it.
        new: Those of them that there were not before.
        problem: Why it was refused; then nothing else is set.
    """

    incident: Incident | None = None
    events: list[Event] = field(default_factory=list)
    alerts: dict[AlertId, tuple[Alert, int]] = field(default_factory=dict)
    incidents: dict[IncidentId, tuple[Incident, int | None]] = field(default_factory=dict)
    new: set[IncidentId] = field(default_factory=set)
    problem: Problem | None = None

    def tell(self, event: Event) -> int:
        """Add an event and return its index."""
        self.events.append(event)
        return len(self.events) - 1


def _refused(code: ErrorCode, message: str, *path: str, version: int | None = None) -> IncidentDecision:
    return IncidentDecision(problem=Problem(code, message, path, version))


# ------------------------------------------------------------------------------------------- events


def _alert_text(alert_id: AlertId | None) -> str | None:
    return encode_id(NodeKind.ALERT, alert_id) if alert_id is not None else None


def incident_text(incident_id: IncidentId) -> str:
    """Return an incident's id as the log's subjects and details have it."""
    return encode_id(NodeKind.INCIDENT, incident_id)


def _changes(before: Incident, after: Incident) -> tuple[FieldChange, ...]:
    """Return what is different afterwards, of what is worth telling."""
    told = (
        ("title", before.title, after.title),
        ("status", before.status.name, after.status.name),
        ("severity", before.severity.name, after.severity.name),
        ("rootAlert", _alert_text(before.root_alert_id), _alert_text(after.root_alert_id)),
    )
    return tuple(FieldChange(name, was, is_now) for name, was, is_now in told if was != is_now)


def _incident_event(
    kind: EventKind,
    incident: Incident,
    situation: Situation,
    *,
    changes: tuple[FieldChange, ...] = (),
    note: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Event:
    return Event(
        kind=kind,
        actor=situation.actor,
        decided_at=situation.now,
        subject_type=SUBJECT_TYPE,
        subject_id=incident_text(incident.id),
        changes=changes,
        note=note,
        detail=detail or {},
        incident_id=incident.id,
    )


def _opened_event(incident: Incident, situation: Situation, **detail: Any) -> Event:
    told: dict[str, Any] = {"title": incident.title, **detail}
    if incident.root_alert_id is not None:
        told["rootAlert"] = _alert_text(incident.root_alert_id)
    if incident.group_key is not None:
        told["groupKey"] = incident.group_key.hex()
    return _incident_event(EventKind.INCIDENT_OPENED, incident, situation, detail=told)


def _grouped_event(before: Alert, after: Alert, situation: Situation) -> Event:
    return alert_event(EventKind.GROUPED, before, after, situation)


def _ungrouped_event(before: Alert, situation: Situation) -> Event:
    """Tell that an alert leaves the incident it is in, in words of that incident."""
    return alert_event(EventKind.UNGROUPED, before, before, situation)


def moved(before: Incident, after: Incident, situation: Situation) -> Event | None:
    """Return what the log shall say where an incident's status, severity or root has moved with its alerts."""
    changes = _changes(before, after)
    if not changes:
        return None
    kind = _MOVED[after.status] if before.status is not after.status else EventKind.INCIDENT_UPDATED
    return _incident_event(kind, after, situation, changes=changes)


# --------------------------------------------------------------------------------------- by itself


def followed(
    incident: Incident, before: Alert, after: Alert, situation: Situation
) -> tuple[Incident, Event | None]:
    """Return an incident after one of its alerts has changed, and what the log shall say of that."""
    changed = ended(with_alert(incident, before, after, situation.now), after.resolved_at, situation.now)
    return changed, moved(incident, changed, situation)


@dataclass(frozen=True, slots=True)
class Grouped:
    """A new alert in its incident.

    Attributes:
        events: All that is told of the alert, that of its beginning included; also that the incident opened.
        follow: What the log shall say of the incident besides.
        is_new: Whether the incident opened with it.
        outgrown: The incident of the same key that takes in no more, where it has to give up the key.
    """

    alert: Alert
    incident: Incident
    events: tuple[Event, ...]
    follow: Event | None
    is_new: bool
    outgrown: Incident | None = None


def group(
    alert: Alert, events: Iterable[Event], key: bytes, found: Incident | None, situation: Situation
) -> Grouped:
    """Return a new alert in the incident that it belongs to: one that is equal and recent enough, or a new one.

    Args:
        alert: As it begins.
        events: What is told of its beginning.
        key: The digest of what equal ones have in common.
        found: The incident of that key that is not resolved.
        situation: As the alert met it.
    """
    now, window = situation.now, situation.config.settings.grouping_window
    if found is not None and found.takes_in and now - found.last_joined_at <= window:
        joined = replace(alert, incident_id=found.id)
        after = with_alert(found, None, joined, now)
        told = (*_within(events, found.id), _grouped_event(alert, joined, situation))
        return Grouped(joined, after, told, moved(found, after, situation), is_new=False)
    incident_id = incident_id_for(alert.id, now)
    new = opened(incident_id, alert.title, alert.severity, now, root=alert.id, group_key=key)
    joined = replace(alert, incident_id=incident_id)
    told = (
        *_within(events, incident_id),
        _opened_event(new, situation),
        _grouped_event(alert, joined, situation),
    )
    # Of each key there is one that takes in: the newest.
    outgrown = replace(found, group_key=None) if found is not None and found.takes_in else None
    return Grouped(joined, with_alert(new, None, joined, now), told, None, is_new=True, outgrown=outgrown)


def _within(events: Iterable[Event], incident_id: IncidentId) -> list[Event]:
    """Return the events of an alert's beginning as part of its incident's timeline."""
    return [replace(event, incident_id=incident_id) for event in events]


# ----------------------------------------------------------------------------------------- by hand


def decide_incident(
    action: IncidentAction,
    alerts: Mapping[AlertId, Alert | None],
    incidents: Mapping[IncidentId, Incident | None],
    situation: Situation,
) -> IncidentDecision:
    """Return what an action on incidents comes to, all of it or a refusal.

    Args:
        action: What somebody wants.
        alerts: Those that it names; None where there is none.
        incidents: Those that it names, and those of the alerts; None where there is none.
        situation: When, by whom.
    """
    match action:
        case OpenIncident():
            return _open(action, alerts, incidents, situation)
        case UpdateIncident():
            return _update(action, alerts, incidents, situation)
        case AddAlerts():
            return _add(action, alerts, incidents, situation)
        case MergeIncidents():
            return _merge(action, alerts, incidents, situation)
        case SplitIncident():
            return _split(action, alerts, incidents, situation)
        case _:
            assert_never(action)


def _unknown_incident(*path: str) -> IncidentDecision:
    return _refused(ErrorCode.NOT_FOUND, "There is no such incident.", *path)


def _found_alerts(
    ids: Sequence[AlertId], alerts: Mapping[AlertId, Alert | None]
) -> tuple[list[Alert], IncidentDecision | None]:
    """Return the alerts, each once, or a refusal where one of them is not there."""
    found: dict[AlertId, Alert] = {}
    for index, alert_id in enumerate(ids):
        alert = alerts.get(alert_id)
        if alert is None:
            return [], _refused(ErrorCode.NOT_FOUND, "There is no such alert.", "alertIds", str(index))
        found[alert_id] = alert
    return list(found.values()), None


def _first(alerts: Sequence[Alert]) -> Alert:
    """Return the alert that began first: the root of what is opened by hand, until somebody knows better."""
    return min(alerts, key=lambda alert: (alert.triggered_at, alert.id))


def _open(
    action: OpenIncident,
    alerts: Mapping[AlertId, Alert | None],
    incidents: Mapping[IncidentId, Incident | None],
    situation: Situation,
) -> IncidentDecision:
    if action.grounds is not None:
        found = _free(action.alert_ids, alerts)
        if not _may_group(situation) or len(found) < 2 or not any(alert.is_open for alert in found):
            return _refused(ErrorCode.CONFLICT, "There is nothing that the model may group.", "alertIds")
    else:
        found, refusal = _found_alerts(action.alert_ids, alerts)
        if refusal is not None:
            return refusal
    decision = IncidentDecision()
    first = next((alert for alert in found if alert.id == action.root_alert_id), None) or _first(found)
    incident = opened(action.id, action.title, first.severity, situation.now, root=first.id)
    decision.new.add(incident.id)
    index = decision.tell(_opened_event(incident, situation, **_told(action.grounds)))
    decision.incidents[incident.id] = (incident, index)
    _move(decision, found, incident, incidents, situation)
    return _answered(decision, incident.id)


def _told(grounds: Grounds | None) -> Mapping[str, Any]:
    return grounds.told if grounds is not None else {}


def _may_group(situation: Situation) -> bool:
    """Say whether the model may group here, which may have changed since it made up its mind."""
    return situation.config.settings.correlation_enabled


def _free(ids: Sequence[AlertId], alerts: Mapping[AlertId, Alert | None]) -> list[Alert]:
    """Return the alerts that there are and that belong nowhere yet: the model takes none from anybody."""
    found = (alerts.get(alert_id) for alert_id in dict.fromkeys(ids))
    return [alert for alert in found if alert is not None and alert.incident_id is None]


def _led(
    incident: Incident, lead: Lead | None, alerts: Mapping[AlertId, Alert | None], joining: Sequence[Alert]
) -> Incident:
    """Return an incident with the root that the model sees, unless people have said what it is, or its title."""
    if lead is None or incident.root_alert_id != lead.root_before or incident.title != lead.title_before:
        return incident
    root = alerts.get(lead.root)
    if root is None or (root.incident_id != incident.id and root not in joining):
        return incident
    return replace(incident, root_alert_id=root.id, title=lead.title)


def _update(
    action: UpdateIncident,
    alerts: Mapping[AlertId, Alert | None],
    incidents: Mapping[IncidentId, Incident | None],
    situation: Situation,
) -> IncidentDecision:
    incident = incidents.get(action.id)
    if incident is None:
        return _unknown_incident("id")
    if action.expected_version is not None and action.expected_version != incident.version:
        return _refused(
            ErrorCode.VERSION_CONFLICT,
            "The incident was changed since.",
            "expectedVersion",
            version=incident.version or None,
        )
    patched = incident
    if not isinstance(action.title, Unset):
        patched = replace(patched, title=action.title)
    root_id = action.root_alert_id
    if not isinstance(root_id, Unset):
        root = alerts.get(root_id) if root_id is not None else None
        if root_id is not None and root is None:
            return _refused(ErrorCode.NOT_FOUND, "There is no such alert.", "rootAlertId")
        if root is not None and root.incident_id != incident.id:
            return _refused(ErrorCode.CONFLICT, "The alert is not one of the incident's.", "rootAlertId")
        patched = replace(patched, root_alert_id=root_id)
    changes = _changes(incident, patched)
    decision = IncidentDecision(incident)
    if changes:
        index = decision.tell(_incident_event(EventKind.INCIDENT_UPDATED, patched, situation, changes=changes))
        decision.incidents[incident.id] = (patched, index)
        decision.incident = patched
    return decision


def _closed(incident: Incident, path: str) -> IncidentDecision | None:
    """Return a refusal where an incident takes in nothing."""
    if incident.merged_into is not None:
        return _refused(ErrorCode.CONFLICT, "The incident was merged into another one.", path)
    if not incident.takes_in:
        message = "The incident is resolved, and a resolved one takes in no alert: open another."
        return _refused(ErrorCode.CONFLICT, message, path)
    return None


def _add(
    action: AddAlerts,
    alerts: Mapping[AlertId, Alert | None],
    incidents: Mapping[IncidentId, Incident | None],
    situation: Situation,
) -> IncidentDecision:
    incident = incidents.get(action.id)
    if incident is None:
        return _unknown_incident("id")
    refusal = _closed(incident, "id")
    if refusal is not None:
        return refusal
    if action.grounds is not None:
        joining = _free(action.alert_ids, alerts) if _may_group(situation) else []
    else:
        found, refusal = _found_alerts(action.alert_ids, alerts)
        if refusal is not None:
            return refusal
        joining = [alert for alert in found if alert.incident_id != incident.id]
    decision = IncidentDecision(incident)
    if joining:
        led = _led(incident, action.lead, alerts, joining)
        # Also says who added them, and why.
        told = (FieldChange("alertCount", incident.alert_count, incident.alert_count + len(joining)),)
        event = _incident_event(
            EventKind.INCIDENT_UPDATED,
            led,
            situation,
            changes=(*_changes(incident, led), *told),
            note=action.note,
            detail=_told(action.grounds),
        )
        index = decision.tell(event)
        incident = led
        decision.incidents[incident.id] = (incident, index)
        _move(decision, joining, incident, incidents, situation)
    return _answered(decision, incident.id)


def _merge(
    action: MergeIncidents,
    alerts: Mapping[AlertId, Alert | None],
    incidents: Mapping[IncidentId, Incident | None],
    situation: Situation,
) -> IncidentDecision:
    into = incidents.get(action.into_id)
    if into is None:
        return _unknown_incident("intoId")
    refusal = _closed(into, "intoId")
    if refusal is not None:
        return refusal
    sources: list[Incident] = []
    for place, incident_id in enumerate(action.incident_ids):
        path = ("incidentIds", str(place))
        source = incidents.get(incident_id)
        if source is None:
            return _unknown_incident(*path)
        if source.id == into.id:
            return _refused(ErrorCode.INVALID_INPUT, "An incident can't be merged into itself.", *path)
        if source.merged_into is not None and source.merged_into != into.id:
            return _refused(ErrorCode.CONFLICT, "The incident was merged into another one.", *path)
        if action.grounds is not None and not (_may_group(situation) and source.takes_in):
            return _refused(ErrorCode.CONFLICT, "There is nothing that the model may group.", *path)
        if source.merged_into is None:
            sources.append(source)
    decision = IncidentDecision(into)
    ids = {source.id for source in sources}
    # What has moved elsewhere meanwhile is left where it is.
    named = (alerts.get(alert_id) for alert_id in action.alert_ids)
    moving = [alert for alert in named if alert is not None and alert.incident_id in ids]
    ending = [source for source in sources if action.complete.get(source.id) == source.version]
    if not (moving or ending):
        return decision
    merged = [incident_text(source.id) for source in ending or sources]
    detail: dict[str, Any] = {"merged": merged, **_told(action.grounds)}
    if len(ending) < len(sources):
        detail["partly"] = True
    index = decision.tell(
        _incident_event(EventKind.INCIDENT_MERGED, into, situation, note=action.note, detail=detail)
    )
    key = next((source.group_key for source in ending if source.group_key and source.takes_in), None)
    if into.group_key is None and key is not None:
        # What would have joined the one that ends here joins this one from now on.
        into = replace(into, group_key=key)
    decision.incidents[into.id] = (into, index)
    _move(decision, moving, into, incidents, situation, ending=ending)
    return _answered(decision, into.id)


def _split(
    action: SplitIncident,
    alerts: Mapping[AlertId, Alert | None],
    incidents: Mapping[IncidentId, Incident | None],
    situation: Situation,
) -> IncidentDecision:
    incident = incidents.get(action.id)
    if incident is None:
        return _unknown_incident("id")
    found, refusal = _found_alerts(action.alert_ids, alerts)
    if refusal is not None:
        return refusal
    for index, alert_id in enumerate(action.alert_ids):
        alert = alerts.get(alert_id)
        if alert is not None and alert.incident_id != incident.id:
            message = "The alert is not one of the incident's."
            return _refused(ErrorCode.CONFLICT, message, "alertIds", str(index))
    if len(found) >= incident.alert_count:
        return _refused(ErrorCode.CONFLICT, "These are all of its alerts: one at least has to stay.", "alertIds")
    first = _first(found)
    new = opened(action.new_id, first.title, first.severity, situation.now, root=first.id)
    decision = IncidentDecision()
    detail = {"into": incident_text(new.id), "alertCount": len(found)}
    index = decision.tell(
        _incident_event(EventKind.INCIDENT_SPLIT, incident, situation, note=action.note, detail=detail)
    )
    decision.incidents[incident.id] = (incident, index)
    index = decision.tell(_opened_event(new, situation, splitFrom=incident_text(incident.id)))
    decision.incidents[new.id] = (new, index)
    decision.new.add(new.id)
    _move(decision, found, new, incidents, situation)
    return _answered(decision, new.id)


def _move(
    decision: IncidentDecision,
    alerts: Sequence[Alert],
    into: Incident,
    incidents: Mapping[IncidentId, Incident | None],
    situation: Situation,
    *,
    ending: Sequence[Incident] = (),
) -> None:
    """Move alerts from wherever they are into an incident; those of `ending` that are left end in it."""
    now = situation.now
    before: dict[IncidentId, Incident] = {into.id: into}
    after: dict[IncidentId, Incident] = {into.id: into}
    told: dict[IncidentId, int] = {}
    for source in ending:
        before[source.id] = after[source.id] = source
    for alert in alerts:
        left = incidents.get(alert.incident_id) if alert.incident_id is not None else None
        if left is not None:
            before.setdefault(left.id, left)
            told[left.id] = decision.tell(_ungrouped_event(alert, situation))
            after[left.id] = with_alert(after.get(left.id, left), alert, None, now)
        joined = replace(alert, incident_id=into.id)
        told[into.id] = index = decision.tell(_grouped_event(alert, joined, situation))
        decision.alerts[joined.id] = (joined, index)
        after[into.id] = with_alert(after[into.id], None, joined, now)
    over = {source.id for source in ending}
    for incident_id, counted in after.items():
        was = before[incident_id]
        event: Event | None
        if incident_id in over and not counted.takes_in:
            # Also where retention has removed alerts that it counted.
            incident = ended(replace(counted, merged_into=into.id, alert_count=0), None, now)
            event = _merged_event(was, incident, situation)
        else:
            incident = ended(counted, None, now)
            event = _begun(incident, situation) if incident_id in decision.new else moved(was, incident, situation)
        if event is not None:
            told[incident_id] = decision.tell(event)
        known = decision.incidents.get(incident_id)
        last = told.get(incident_id, known[1] if known is not None else None)
        decision.incidents[incident_id] = (incident, last)


def _merged_event(before: Incident, after: Incident, situation: Situation) -> Event:
    """Return how the log tells of the end of an incident that went up in another one."""
    assert after.merged_into is not None, "it was merged"
    into = FieldChange("mergedInto", None, incident_text(after.merged_into))
    is_over = before.status is not after.status
    kind = EventKind.INCIDENT_RESOLVED if is_over else EventKind.INCIDENT_UPDATED
    return _incident_event(kind, after, situation, changes=(*_changes(before, after), into))


def _begun(incident: Incident, situation: Situation) -> Event | None:
    """Return what the log shall say of a new incident in which everything is taken or over already."""
    if incident.status is IncidentStatus.OPEN:
        return None
    return _incident_event(_MOVED[incident.status], incident, situation)


def _answered(decision: IncidentDecision, incident_id: IncidentId) -> IncidentDecision:
    found = decision.incidents.get(incident_id)
    if found is not None:
        decision.incident = found[0]
    return decision
