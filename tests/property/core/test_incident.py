"""Laws of incidents, over a log that keeps the rules of the store: they follow from their alerts, always."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import event as seen
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.action import (
    Acknowledge,
    Action,
    ById,
    ByKey,
    Fire,
    Reopen,
    Resolve,
    Unacknowledge,
    Unset,
    Update,
    target_of,
)
from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.batch import Batch, Outcome, Request
from alertgraph.core.errors import ErrorCode
from alertgraph.core.event import EventKind, parse_canonical
from alertgraph.core.ids import AlertId, IncidentId
from alertgraph.core.incident import Incident, IncidentStatus
from alertgraph.core.incident_action import (
    AddAlerts,
    IncidentAction,
    MergeIncidents,
    OpenIncident,
    SplitIncident,
    UpdateIncident,
    alerts_named,
)
from alertgraph.core.severity import Severity
from tests.factories import ADA, LEVEL_MAX, T0, TENANT, a_config, a_draft, a_flush_id, an_id
from tests.memory_log import MemoryLog, TenantRows
from tests.virtual import VirtualClock

WINDOW = timedelta(minutes=30)


@dataclass(frozen=True)
class ByHand:
    """Something that a person does with incidents; which ones there are is known once it is their turn."""

    what: str
    incidents: tuple[int, ...]
    alerts: tuple[int, ...]
    stale: bool


@dataclass(frozen=True)
class OnAlert:
    """Something that is done with an alert that there is by then."""

    index: int
    make: Callable[[ById], Action]


KEYS = [f"key {number}" for number in range(6)]
fires = st.builds(
    lambda key, severity, job, service: Fire(
        a_draft(dedup_key=key, severity=severity, labels={"job": job}, monitored_service=service)
    ),
    st.sampled_from(KEYS),
    st.sampled_from(Severity),
    st.sampled_from(["a", "a", "b"]),
    st.sampled_from([None, "checkout", "billing"]),
)
changes = st.one_of(
    st.sampled_from([Acknowledge, Acknowledge, Unacknowledge, Resolve, Resolve, Reopen]),
    st.builds(lambda severity: lambda target: Update(target, severity=severity), st.sampled_from(Severity)),
    st.builds(lambda name: lambda target: Update(target, monitored_service=name), st.sampled_from(["x", None])),
)
on_alerts = st.builds(OnAlert, st.integers(0, 11), changes)
by_hand = st.builds(
    ByHand,
    st.sampled_from(["open", "open", "add", "add", "merge", "merge", "merge", "split", "split", "update"]),
    st.lists(st.integers(0, 5), min_size=2, max_size=3).map(tuple),
    st.lists(st.integers(0, 11), min_size=1, max_size=4, unique=True).map(tuple),
    st.sampled_from([False, False, False, True]),
)
steps = st.one_of(fires, on_alerts, by_hand)
turns = st.tuples(st.integers(0, 25), st.lists(steps, min_size=1, max_size=4))
flushes = st.builds(
    lambda begin, rest: [(0, begin), *rest],
    st.lists(fires, min_size=3, max_size=6),
    st.lists(turns, min_size=2, max_size=8),
)
groupings = st.sampled_from([(), ("job",), ("job", "zone"), ("@service",)])
plays = (groupings, flushes)


class Play:
    """A tenant whose requests are decided in flushes, or each in a flush of its own."""

    def __init__(self, labels: Sequence[str], *, apart: bool = False) -> None:
        self.clock = VirtualClock(T0)
        self.log = MemoryLog(self.clock, TENANT)
        config = a_config()
        self.config = replace(
            config, settings=replace(config.settings, grouping_labels=tuple(labels), grouping_window=WINDOW)
        )
        self.log.tenants[TENANT].config = self.config
        self.apart = apart
        self._ids = map(an_id, count(100))
        self._numbers = count(1)

    @property
    def rows(self) -> TenantRows:
        return self.log.tenants[TENANT]

    @property
    def alerts(self) -> dict[AlertId, Alert]:
        return {**self.rows.open, **self.rows.closed}

    def members(self, incident_id: IncidentId) -> list[Alert]:
        return sorted(
            (alert for alert in self.alerts.values() if alert.incident_id == incident_id),
            key=lambda alert: alert.id,
        )

    def request(self, step: Any, alerts: Sequence[AlertId], incidents: Sequence[Incident]) -> Request | None:
        """Return what a step comes to among the alerts and incidents that there were before the flush."""
        if isinstance(step, Fire):
            return Request((step,), (next(self._ids),), ADA)
        if isinstance(step, OnAlert):
            target = ById(alerts[step.index % len(alerts)])
            return Request((step.make(target),), (next(self._ids),), ADA)
        action = self.action(step, alerts, incidents)
        return Request((), (), ADA, incident=action) if action is not None else None

    def action(
        self, step: ByHand, alerts: Sequence[AlertId], incidents: Sequence[Incident]
    ) -> IncidentAction | None:
        if not alerts or (step.what != "open" and not incidents):
            return None
        new_id = IncidentId(next(self._ids))
        named = tuple(dict.fromkeys(alerts[index % len(alerts)] for index in step.alerts))
        if step.what == "open":
            return OpenIncident(new_id, "by hand", named)
        chosen = [incidents[index % len(incidents)] for index in step.incidents]
        own = tuple(alert.id for alert in self.members(chosen[0].id))
        match step.what:
            case "add":
                return AddAlerts(chosen[0].id, named)
            case "split":
                return SplitIncident(chosen[0].id, new_id, own[: len(step.alerts)] or named)
            case "update":
                root = named[0] if step.stale else next(iter(own), None)
                version = chosen[0].version + 1_000_000 if step.stale else None
                return UpdateIncident(chosen[0].id, f"title {step.alerts[0]}", root, version)
            case _:
                others = [other for other in dict.fromkeys(chosen[1:]) if step.stale or other.id != chosen[0].id]
                moving = [alert.id for other in others for alert in self.members(other.id)]
                complete = {} if step.stale else {other.id: other.version for other in others}
                ids = tuple(other.id for other in others)
                return MergeIncidents(chosen[0].id, ids, tuple(moving), complete)

    def follow(self, script: Sequence[tuple[int, Sequence[Any]]]) -> Iterator[list[Outcome]]:
        """Yield what became of each flush's requests, once they are written and before the next are decided."""
        for minutes, asked in script:
            self.clock.advance(timedelta(minutes=minutes))
            alerts = sorted(self.alerts)
            incidents = sorted(self.rows.incidents.values(), key=lambda incident: incident.id)
            requests = [one for step in asked if (one := self.request(step, alerts, incidents)) is not None]
            if self.apart:
                yield [outcome for request in requests for outcome in self.decide([request])]
            else:
                yield self.decide(requests)

    def decide(self, requests: Sequence[Request]) -> list[Outcome]:
        """Decide requests as one batch, asking for incidents for as long as some are missing, and write it."""
        targets = [target_of(action) for request in requests for action in request.actions]
        keys = {target.dedup_key for target in targets if isinstance(target, ByKey)} | set(KEYS)
        ids = {target.alert_id for target in targets if isinstance(target, ById)}
        ids |= {i for request in requests if request.incident for i in alerts_named(request.incident)}
        loaded = self.log.read(TENANT, keys, ids, [])
        asked: set[IncidentId] = set()
        groups: set[bytes] = set()
        while True:
            batch = Batch(loaded, self.config, self.clock.now(), LEVEL_MAX)
            outcomes = [outcome for request in requests for outcome in batch.apply(request)]
            if batch.is_decided:
                break
            assert not batch.missing_incidents & asked, "nothing has to be asked for twice"
            assert not batch.missing_groups & groups, "nothing has to be asked for twice"
            asked |= batch.missing_incidents
            groups |= batch.missing_groups
            found = self.log.read_incidents(TENANT, asked, groups)
            loaded = replace(loaded, incidents=found.by_id, groups=found.by_key)
        self.log.write(TENANT, batch.flush(a_flush_id(next(self._numbers))))
        return outcomes


@given(groupings, flushes)
def test_an_incident_is_what_its_alerts_come_to(labels: tuple[str, ...], script: Any) -> None:
    play = Play(labels)
    for _ in play.follow(script):
        for incident in play.rows.incidents.values():
            members = play.members(incident.id)
            still_open = [alert for alert in members if alert.is_open]
            assert incident.alert_count == len(members)
            assert incident.open_counts == tuple(
                sum(alert.severity is severity for alert in still_open) for severity in Severity
            )
            triggered = [alert for alert in still_open if alert.status is AlertStatus.TRIGGERED]
            assert incident.triggered_count == len(triggered)
            if triggered:
                assert incident.status is IncidentStatus.OPEN
            elif still_open:
                assert incident.status is IncidentStatus.ACKNOWLEDGED
            else:
                assert incident.status is IncidentStatus.RESOLVED
            assert (incident.resolved_at is not None) is (incident.status is IncidentStatus.RESOLVED)
            if still_open:
                assert incident.severity is max(alert.severity for alert in still_open)
            assert {a.monitored_service for a in members if a.monitored_service} <= set(incident.services)
            if incident.root_alert_id is not None:
                assert incident.root_alert_id in {alert.id for alert in members}
            if incident.merged_into is not None:
                assert not members
                assert incident.merged_into in play.rows.incidents
            seen(incident.status.name)
        assert {a.incident_id for a in play.alerts.values()} <= {None, *play.rows.incidents}


@given(groupings, flushes)
def test_what_is_resolved_takes_nothing_in_and_stays_resolved(labels: tuple[str, ...], script: Any) -> None:
    play = Play(labels)
    over: dict[IncidentId, set[AlertId]] = {}
    for _ in play.follow(script):
        for incident_id, known in over.items():
            members = {alert.id for alert in play.members(incident_id)}
            assert members <= known
            assert play.rows.incidents[incident_id].status is IncidentStatus.RESOLVED
        over = {
            incident.id: {alert.id for alert in play.members(incident.id)}
            for incident in play.rows.incidents.values()
            if incident.status is IncidentStatus.RESOLVED
        }


@given(groupings, flushes)
def test_requests_in_one_flush_are_requests_one_after_the_other(labels: tuple[str, ...], script: Any) -> None:
    # What a person names is chosen among what was there before the flush, so it is the same in both.
    together, apart = Play(labels), Play(labels, apart=True)
    for at_once, in_turn in zip(together.follow(script), apart.follow(script), strict=True):
        assert [told(outcome) for outcome in at_once] == [told(outcome) for outcome in in_turn]
    one, other = together.rows, apart.rows
    assert [stored.content for stored in one.events] == [stored.content for stored in other.events]
    assert one.incidents == other.incidents
    assert one.open == other.open
    assert one.closed == other.closed


def told(outcome: Outcome) -> tuple[Any, ...]:
    alert = replace(outcome.alert, version=0) if outcome.alert is not None else None
    incident = replace(outcome.incident, version=0) if outcome.incident is not None else None
    problem = outcome.problem
    if problem is not None and problem.code is ErrorCode.VERSION_CONFLICT:
        problem = None  # Versions are given by the append: two flushes give other ones than one.
    return alert, outcome.alert_id, incident, outcome.changed, problem


@given(groupings, flushes)
def test_the_log_alone_tells_which_alerts_belong_together_and_where_incidents_stand(
    labels: tuple[str, ...], script: Any
) -> None:
    play = Play(labels)
    for _ in play.follow(script):
        pass
    incident_of: dict[AlertId, IncidentId | None] = {}
    state: dict[IncidentId, dict[str, Any]] = {}
    version: dict[IncidentId, int] = {}
    for stored in play.rows.events:
        event = parse_canonical(stored.content)
        assert event == stored.event
        if event.incident_id is None:
            continue
        if event.kind is EventKind.GROUPED:
            assert event.alert_id is not None
            incident_of[event.alert_id] = event.incident_id
        elif event.kind is EventKind.UNGROUPED:
            assert event.alert_id is not None
            assert incident_of[event.alert_id] == event.incident_id
            incident_of[event.alert_id] = None
        elif event.kind is EventKind.INCIDENT_OPENED:
            state[event.incident_id] = {"title": event.detail["title"]}
        version[event.incident_id] = stored.number
        if event.alert_id is None:
            assert event.subject_type == "Incident"
            state[event.incident_id] |= {change.field: change.after for change in event.changes}

    assert incident_of == {a.id: a.incident_id for a in play.alerts.values() if a.incident_id is not None}
    assert set(state) == set(play.rows.incidents)
    for incident in play.rows.incidents.values():
        assert state[incident.id]["title"] == incident.title
        assert incident.version <= version[incident.id]
        if "status" in state[incident.id] and incident.status is IncidentStatus.RESOLVED:
            assert state[incident.id]["status"] == "RESOLVED"


@given(st.sampled_from([("job",), ("job", "zone")]), flushes)
def test_of_each_key_one_incident_at_most_takes_alerts_in(labels: tuple[str, ...], script: Any) -> None:
    play = Play(labels)
    for outcomes in play.follow(script):
        for group_key in {each.group_key for each in play.rows.incidents.values()} - {None}:
            assert group_key is not None
            play.rows.by_group(group_key)  # which says where there are two
        for outcome in outcomes:
            if outcome.created and outcome.alert is not None:
                assert outcome.alert.incident_id is not None, "what begins where grouping is on belongs somewhere"
                seen("grouped")


def test_unset_is_not_null() -> None:
    assert UpdateIncident(IncidentId(an_id())).root_alert_id is Unset.UNSET
