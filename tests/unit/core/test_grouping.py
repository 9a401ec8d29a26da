"""Incidents decided: which alerts join, what is refused, and what the log says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from alertgraph.core.action import Acknowledge, ById, Fire, Resolve
from alertgraph.core.actor import CORRELATION
from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.batch import Batch, Outcome
from alertgraph.core.errors import ErrorCode, InputError
from alertgraph.core.event import EventKind
from alertgraph.core.flush import Flush, Loaded
from alertgraph.core.ids import IncidentId
from alertgraph.core.incident import Incident, IncidentStatus, check_grouping, group_key_of, opened, with_alert
from alertgraph.core.incident_action import (
    AddAlerts,
    Grounds,
    Lead,
    MergeIncidents,
    OpenIncident,
    SplitIncident,
    UpdateIncident,
)
from alertgraph.core.severity import Severity
from alertgraph.core.summary import summary
from tests.factories import (
    ADA,
    HOUR,
    LEVEL_MAX,
    MINUTE,
    T0,
    a_config,
    a_draft,
    a_flush_id,
    a_request,
    an_alert,
    an_id,
)

LABELS = ("job",)
NOW = T0 + HOUR
INCIDENT = IncidentId(an_id(50))
OTHER = IncidentId(an_id(51))


def an_incident(*alerts: Alert, **fields: Any) -> Incident:
    """Return an incident of these alerts, at version 9."""
    incident = opened(INCIDENT, "Disk", Severity.INFO, T0)
    for alert in alerts:
        incident = with_alert(incident, None, alert, T0)
    return replace(incident, **{"version": 9, **fields})


def a_member(number: int = 1, **fields: Any) -> Alert:
    return an_alert(**{"id": an_id(number), "dedup_key": f"key {number}", "incident_id": INCIDENT, **fields})


def a_batch(*alerts: Alert, incidents: tuple[Incident, ...] = (), labels: tuple[str, ...] = ()) -> Batch:
    """Return a batch in which everything was loaded that there is."""
    config = a_config()
    config = replace(config, settings=replace(config.settings, grouping_labels=labels, grouping_window=HOUR))
    loaded = Loaded(
        {alert.dedup_key: alert for alert in alerts if alert.is_open},
        {alert.id: alert for alert in alerts},
        {},
        incidents={INCIDENT: None, OTHER: None, **{each.id: each for each in incidents}},
        groups={KEY: None, **{each.group_key: each for each in incidents if each.group_key is not None}},
    )
    return Batch(loaded, config, NOW, LEVEL_MAX)


KEY = group_key_of(LABELS, an_alert(labels={"job": "api"}))
FIRE = Fire(a_draft(dedup_key="new", labels={"job": "api"}))


def by_hand(batch: Batch, action: Any) -> Outcome:
    (outcome,) = batch.apply(replace(a_request(), incident=action, actor=ADA))
    return outcome


def kinds(flush: Flush) -> list[EventKind]:
    return [sealed.event.kind for sealed in flush.events]


# ---------------------------------------------------------------------------------------- by labels


def test_what_is_equal_and_recent_joins() -> None:
    incident = an_incident(a_member(), group_key=KEY, last_joined_at=NOW - HOUR)
    batch = a_batch(incidents=(incident,), labels=LABELS)

    (outcome,) = batch.apply(a_request(FIRE))
    flush = batch.flush(a_flush_id())

    assert outcome.alert is not None
    assert outcome.alert.incident_id == INCIDENT
    assert kinds(flush) == [EventKind.TRIGGERED, EventKind.GROUPED]
    (write,) = flush.incidents
    assert (write.incident.alert_count, write.incident.last_joined_at, write.event_index) == (2, NOW, 1)
    assert flush.reliance.group_keys == {KEY: 9}
    assert flush.writes[0].event_index == 1


@pytest.mark.parametrize(
    "incident",
    [
        pytest.param(
            an_incident(a_member(), group_key=KEY, last_joined_at=NOW - HOUR - MINUTE), id="too long ago"
        ),
        pytest.param(None, id="none yet"),
    ],
)
def test_what_finds_no_equal_opens_an_incident(incident: Incident | None) -> None:
    batch = a_batch(incidents=(incident,) if incident is not None else (), labels=LABELS)

    (outcome,) = batch.apply(a_request(FIRE))
    flush = batch.flush(a_flush_id())

    assert outcome.alert is not None
    new = flush.incidents[-1].incident
    assert new.id == outcome.alert.incident_id != INCIDENT
    assert (new.title, new.root_alert_id, new.group_key) == ("High latency", outcome.alert.id, KEY)
    assert kinds(flush) == [EventKind.TRIGGERED, EventKind.INCIDENT_OPENED, EventKind.GROUPED]
    if incident is not None:
        # The old one gives up the key; no event tells of that, so its version stays.
        (old,) = [write for write in flush.incidents if not write.is_new]
        assert (old.incident.group_key, old.event_index) == (None, None)


def test_one_decision_of_equal_alerts_opens_one_incident() -> None:
    batch = a_batch(labels=LABELS)
    fires = [Fire(a_draft(dedup_key=f"new {number}", labels={"job": "api"})) for number in range(3)]

    outcomes = batch.apply(a_request(*fires))

    assert len({outcome.alert.incident_id for outcome in outcomes if outcome.alert is not None}) == 1
    (write,) = batch.flush(a_flush_id()).incidents
    assert (write.is_new, write.incident.alert_count) == (True, 3)


def test_where_nothing_is_grouped_nothing_is_asked_for() -> None:
    batch = Batch(Loaded({}, {}, {}), a_config(), NOW, LEVEL_MAX)

    batch.apply(a_request(FIRE))

    assert batch.is_decided
    assert batch.flush(a_flush_id()).incidents == ()


def test_what_was_not_loaded_is_asked_for() -> None:
    member = a_member()
    batch = Batch(Loaded({}, {member.id: member}, {}), a_config(), NOW, LEVEL_MAX)
    batch.apply(a_request(Resolve(ById(member.id))))

    assert (batch.is_decided, batch.missing_incidents) == (False, {INCIDENT})

    grouping = replace(a_config().settings, grouping_labels=LABELS)
    batch = Batch(Loaded({}, {}, {}), replace(a_config(), settings=grouping), NOW, LEVEL_MAX)
    batch.apply(a_request(FIRE))

    assert (batch.is_decided, batch.missing_groups) == (False, {KEY})


def test_a_missing_label_counts_as_empty_and_the_order_of_labels_for_nothing() -> None:
    alert = an_alert(labels={"job": "api"})
    assert group_key_of(("job", "zone"), alert) == group_key_of(("zone", "job"), alert)
    assert group_key_of(("job", "zone"), alert) == group_key_of(
        ("job", "zone"), replace(alert, labels={"job": "api", "zone": ""})
    )
    assert group_key_of(("job",), alert) != group_key_of(("job",), replace(alert, labels={"job": "web"}))
    assert group_key_of(("@service",), alert) != group_key_of(("@service",), replace(alert, monitored_service="x"))


def test_grouping_is_checked() -> None:
    check_grouping(("job", "@service"), timedelta(minutes=1))
    with pytest.raises(InputError, match="grouped by @service, @severity, @source, @title"):
        check_grouping(("@dedup_key",), HOUR)


# ------------------------------------------------------------------------------------------ following


def test_an_incident_moves_with_its_alerts_and_says_so() -> None:
    first, second = a_member(1, severity=Severity.CRITICAL), a_member(2, severity=Severity.LOW)
    batch = a_batch(first, second, incidents=(an_incident(first, second),))

    batch.apply(
        a_request(Acknowledge(ById(second.id)), Resolve(ById(first.id)), Resolve(ById(second.id)), actor=ADA)
    )
    flush = batch.flush(a_flush_id())

    told = [sealed.event for sealed in flush.events if sealed.event.alert_id is None]
    assert [event.kind for event in told] == [EventKind.INCIDENT_ACKNOWLEDGED, EventKind.INCIDENT_RESOLVED]
    assert [(c.field, c.before, c.after) for c in told[0].changes] == [
        ("status", "OPEN", "ACKNOWLEDGED"),
        ("severity", "CRITICAL", "LOW"),
    ]
    assert summary(told[1]) == "The last alert of the incident ended."
    (write,) = flush.incidents
    assert (write.incident.status, write.incident.severity) == (IncidentStatus.RESOLVED, Severity.CRITICAL)
    assert write.incident.resolved_at == NOW
    assert flush.reliance.incidents == {INCIDENT: 9}


# -------------------------------------------------------------------------------------------- by hand


def test_what_is_all_over_may_be_told_of_as_an_incident() -> None:
    closed = an_alert(id=an_id(1), resolved_at=T0)
    batch = a_batch(closed)

    outcome = by_hand(batch, OpenIncident(OTHER, "Post mortem", (closed.id,)))
    flush = batch.flush(a_flush_id())

    assert outcome.incident is not None
    assert outcome.incident.status is IncidentStatus.RESOLVED
    assert kinds(flush) == [EventKind.INCIDENT_OPENED, EventKind.GROUPED, EventKind.INCIDENT_RESOLVED]
    (write,) = flush.writes
    assert (write.was_closed, write.alert.incident_id) == (True, OTHER)


def test_a_merge_ends_what_it_saw_whole_and_nothing_else() -> None:
    member, other = a_member(), an_alert(id=an_id(2), dedup_key="b", incident_id=OTHER, severity=Severity.LOW)
    into = with_alert(opened(OTHER, "into", Severity.LOW, T0), None, other, T0)
    batch = a_batch(member, other, incidents=(an_incident(member), replace(into, version=4)))

    by_hand(batch, MergeIncidents(OTHER, (INCIDENT,), (member.id,), {INCIDENT: 8}))
    left = next(write.incident for write in batch.flush(a_flush_id()).incidents if write.incident.id == INCIDENT)
    # It has changed since: another alert may have joined that was not seen.
    assert left.merged_into is None

    batch = a_batch(member, other, incidents=(an_incident(member), replace(into, version=4)))
    outcome = by_hand(batch, MergeIncidents(OTHER, (INCIDENT,), (member.id,), {INCIDENT: 9}))
    flush = batch.flush(a_flush_id())
    gone = next(write.incident for write in flush.incidents if write.incident.id == INCIDENT)
    assert (gone.merged_into, gone.alert_count, gone.status) == (OTHER, 0, IncidentStatus.RESOLVED)
    assert outcome.incident is not None
    assert outcome.incident.alert_count == 2
    assert kinds(flush) == [
        EventKind.INCIDENT_MERGED,
        EventKind.UNGROUPED,
        EventKind.GROUPED,
        # What it takes over is worse than what it had.
        EventKind.INCIDENT_UPDATED,
        EventKind.INCIDENT_RESOLVED,
    ]


def test_one_alert_at_least_stays_in_what_is_split() -> None:
    member = a_member()
    outcome = by_hand(
        a_batch(member, incidents=(an_incident(member),)), SplitIncident(INCIDENT, OTHER, (member.id,))
    )
    assert outcome.problem is not None
    assert outcome.problem.code is ErrorCode.CONFLICT


def test_a_patch_of_what_has_changed_is_refused_with_its_version() -> None:
    member = a_member()
    batch = a_batch(member, incidents=(an_incident(member),))
    outcome = by_hand(batch, UpdateIncident(INCIDENT, "Other", expected_version=8))
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.current_version) == (ErrorCode.VERSION_CONFLICT, 9)
    assert batch.is_empty


# ---------------------------------------------------------------------------------- by the model

GROUNDS = Grounds({"link": {"score": 0.9}})


def by_model(*alerts: Alert, action: Any, incidents: tuple[Incident, ...] = (), enabled: bool = True) -> Any:
    """Return what an action of the model comes to, and the flush that it makes."""
    batch = a_batch(*alerts, incidents=incidents)
    settings = replace(batch.config.settings, correlation_enabled=enabled)
    batch.config = replace(batch.config, settings=settings)
    (outcome,) = batch.apply(replace(a_request(), incident=action, actor=CORRELATION))
    return outcome, batch.flush(a_flush_id())


def test_the_model_says_why_and_what_it_began_with() -> None:
    first, second = (a_member(number, incident_id=None) for number in (1, 2))
    action = OpenIncident(INCIDENT, "Disk", (first.id, second.id), second.id, GROUNDS)

    outcome, flush = by_model(first, second, action=action)

    assert (outcome.incident.alert_count, outcome.incident.root_alert_id) == (2, second.id)
    opened_event = flush.events[0].event
    assert (opened_event.actor, opened_event.detail["link"]) == (CORRELATION, {"score": 0.9})


@pytest.mark.parametrize(
    ("alerts", "enabled"),
    [
        pytest.param([{"incident_id": OTHER}, {"incident_id": None}], True, id="one is somebody else's"),
        pytest.param([{"incident_id": None}, {"incident_id": None}], False, id="it may not"),
        pytest.param(
            [{"incident_id": None, "status": AlertStatus.RESOLVED, "resolved_at": NOW}] * 2, True, id="all is over"
        ),
    ],
)
def test_the_model_opens_nothing_where_it_may_not(alerts: list[dict[str, Any]], enabled: bool) -> None:
    found = [a_member(number, **fields) for number, fields in enumerate(alerts, 1)]
    action = OpenIncident(INCIDENT, "Disk", tuple(alert.id for alert in found), None, GROUNDS)

    outcome, flush = by_model(*found, action=action, enabled=enabled)

    assert outcome.problem.code is ErrorCode.CONFLICT
    assert not flush.events


def test_the_model_adds_only_what_is_nobody_elses() -> None:
    member, free, theirs = a_member(), a_member(2, incident_id=None), a_member(3, incident_id=OTHER)
    other = replace(an_incident(theirs), id=OTHER)
    action = AddAlerts(INCIDENT, (free.id, theirs.id), grounds=GROUNDS)

    outcome, flush = by_model(member, free, theirs, action=action, incidents=(an_incident(member), other))

    assert outcome.incident.alert_count == 2
    assert [write.alert.id for write in flush.writes] == [free.id]
    nothing, empty = by_model(
        member, theirs, action=replace(action, alert_ids=(theirs.id,)), incidents=(an_incident(member), other)
    )
    assert (nothing.problem, empty.events) == (None, ())


@pytest.mark.parametrize("named", ["Disk", "Ada's"])
def test_the_model_says_another_root_only_where_nobody_has_said_one(named: str) -> None:
    member, free = a_member(), a_member(2, incident_id=None)
    incident = an_incident(member, root_alert_id=member.id, title=named)
    action = AddAlerts(INCIDENT, (free.id,), grounds=GROUNDS, lead=Lead(member.id, "Disk", free.id, "Database"))

    outcome, _ = by_model(member, free, action=action, incidents=(incident,))

    expected = (free.id, "Database") if named == "Disk" else (member.id, "Ada's")
    assert (outcome.incident.root_alert_id, outcome.incident.title) == expected


def test_the_model_merges_nothing_that_is_over() -> None:
    over = a_member(2, incident_id=OTHER, status=AlertStatus.RESOLVED, resolved_at=NOW)
    source = replace(an_incident(over), id=OTHER, resolved_at=NOW)
    member = a_member()
    action = MergeIncidents(INCIDENT, (OTHER,), (over.id,), {OTHER: 9}, grounds=GROUNDS)

    outcome, flush = by_model(member, over, action=action, incidents=(an_incident(member), source))

    assert outcome.problem.code is ErrorCode.CONFLICT
    assert not flush.events
