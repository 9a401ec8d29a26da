"""Many requests decided as one: the fold that turns them into a single flush."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import orjson

from alertgraph.core import inhibition
from alertgraph.core.action import Action, ById, Fire, Reopen, check_action, target_of
from alertgraph.core.actor import Actor
from alertgraph.core.alert import Alert, alert_match_values
from alertgraph.core.decision import Decision, Situation
from alertgraph.core.delivery import Delivery, DeliveryStatus, Finish, Purpose
from alertgraph.core.errors import ErrorCode, Problem
from alertgraph.core.event import Event, seal
from alertgraph.core.flush import (
    AlertWrite,
    Flush,
    IdempotencyKey,
    IncidentWrite,
    Loaded,
    NewPrediction,
    Reliance,
    StoredAnswer,
    TenantConfig,
    Touch,
)
from alertgraph.core.grouping import Grouped, decide_incident, followed, group
from alertgraph.core.ids import (
    AlertId,
    DeliveryId,
    FlushId,
    IncidentId,
    NodeKind,
    decode_alert_id,
    decode_key,
    encode_id,
)
from alertgraph.core.incident import Incident, group_key_of, is_counted_alike
from alertgraph.core.incident_action import IncidentAction, alerts_named, incidents_named
from alertgraph.core.inhibition import InhibitionKey
from alertgraph.core.labels import Matcher
from alertgraph.core.lifecycle import decide
from alertgraph.core.metrics import tally
from alertgraph.core.value import quick, replace

# Where a decision makes no alert.
_NO_ALERT = AlertId(UUID(int=0))


@quick
@dataclass(frozen=True, slots=True)
class Request:
    """Actions that one caller wants done together, each for itself but in one flush.

    Attributes:
        new_ids: One id for each action, for those that make an alert.
        scope: Matchers of the caller's key.
        incident: An action on incidents, where that is what is wanted; then there are no others.
    """

    actions: tuple[Action, ...]
    new_ids: tuple[AlertId, ...]
    actor: Actor
    scope: tuple[Matcher, ...] = ()
    idempotency: IdempotencyKey | None = None
    incident: IncidentAction | None = None

    @property
    def size(self) -> int:
        """How many actions it is worth: one on incidents counts by its alerts."""
        return len(self.actions) if self.incident is None else max(1, len(alerts_named(self.incident)))


@quick
@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one action.

    Attributes:
        alert: As it is afterwards; None where refused or where there was none.
        alert_id: Set also where an earlier answer is given again and the alert has to be read anew.
        incident: Of an action on incidents, as it is afterwards; None where refused.
        incident_id: Like alert_id.
    """

    alert: Alert | None
    created: bool = False
    changed: bool = False
    problem: Problem | None = None
    alert_id: AlertId | None = None
    incident: Incident | None = None
    incident_id: IncidentId | None = None


@dataclass(slots=True)
class _State:
    """An alert as the batch has it so far, beside what it was loaded as.

    Attributes:
        fired: Whether it was fired again, perhaps beyond what is counted.
        counted: By how much its count has grown.
        skips_pages: Whether pages about it that wait are not wanted any more.
        only_advice: Whether nothing of it changed but the advice.
    """

    base: Alert | None
    alert: Alert
    event_index: int | None = None
    fired: bool = False
    counted: int = 0
    skips_pages: bool = False
    only_advice: bool = False


@dataclass(slots=True)
class _IncidentState:
    """An incident as the batch has it so far, beside what it was loaded as."""

    base: Incident | None
    incident: Incident
    event_index: int | None = None

    @property
    def is_changed(self) -> bool:
        """Whether it is not what was loaded, be it only by its version."""
        return self.event_index is not None or self.incident is not self.base


@dataclass(slots=True)
class Batch:
    """Requests of one tenant, decided one after the other on what was loaded before.

    The result depends on the arguments alone; `flush` may be asked for once all are applied and nothing is
    missing.

    Attributes:
        missing_incidents: Incidents that came into play and were not asked for: load them, too, and decide anew.
        missing_groups: The same, by group key.
    """

    loaded: Loaded
    config: TenantConfig
    now: datetime
    level_max: int
    _events: list[Event] = field(default_factory=list)
    _states: dict[AlertId, _State] = field(default_factory=dict)
    _open: dict[str, AlertId | None] = field(default_factory=dict)
    _keys: dict[str, int | None] = field(default_factory=dict)
    _ids: dict[AlertId, int] = field(default_factory=dict)
    _answers: dict[tuple[str, str, str], StoredAnswer] = field(default_factory=dict)
    _new_answers: list[StoredAnswer] = field(default_factory=list)
    _deliveries: list[Delivery] = field(default_factory=list)
    _finishes: dict[DeliveryId, Finish] = field(default_factory=dict)
    _unwanted: set[DeliveryId] = field(default_factory=set)
    _predictions: list[NewPrediction] = field(default_factory=list)
    missing_incidents: set[IncidentId] = field(default_factory=set)
    missing_groups: set[bytes] = field(default_factory=set)
    _incidents: dict[IncidentId, _IncidentState] = field(default_factory=dict)
    _incident_versions: dict[IncidentId, int | None] = field(default_factory=dict)
    _groups: dict[bytes, IncidentId | None] = field(default_factory=dict)
    _group_versions: dict[bytes, int | None] = field(default_factory=dict)

    def apply(self, request: Request) -> tuple[Outcome, ...]:
        """Decide a request's actions in order and return what became of each."""
        key = request.idempotency
        if key is not None:
            slot = (key.operation, key.subject, key.key)
            stored = self._answers.get(slot) or self.loaded.answers.get(slot)
            if stored is not None:
                return repeat_answer(stored, key, len(request.actions))
        if request.incident is not None:
            outcomes: tuple[Outcome, ...] = (self._act_on_incidents(request.incident, request),)
        else:
            outcomes = tuple(
                self._act(action, new_id, request)
                for action, new_id in zip(request.actions, request.new_ids, strict=True)
            )
        if key is not None and not all(outcome.problem for outcome in outcomes):
            # A request that was refused altogether may be mended and sent again under its key.
            answer = StoredAnswer(key, _write_answer(outcomes))
            self._answers[(key.operation, key.subject, key.key)] = answer
            self._new_answers.append(answer)
        return outcomes

    @property
    def is_decided(self) -> bool:
        """Whether everything was there that the requests came to."""
        return not (self.missing_incidents or self.missing_groups)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self._events
            or self._new_answers
            or self._finishes
            or any(state.fired for state in self._states.values())
        )

    def flush(self, flush_id: FlushId) -> Flush:
        """Return everything that was decided, as one flush."""
        writes: list[AlertWrite] = []
        touches: list[Touch] = []
        for state in self._states.values():
            alert, base = state.alert, state.base
            if state.event_index is not None:
                writes.append(
                    AlertWrite(
                        alert,
                        state.event_index,
                        occurrence_delta=state.counted if base is not None else 0,
                        is_new=base is None,
                        was_closed=base is not None and not base.is_open,
                        # What it is a source of follows from what matchers see, and that has not changed.
                        inhibits=None if state.only_advice else self._inhibits(alert),
                        skips_pages=state.skips_pages,
                        only_advice=state.only_advice,
                    )
                )
            elif state.fired and base is not None:
                touches.append(
                    Touch(
                        alert.id,
                        base.version,
                        state.counted,
                        count_below=1 << base.occurrence_count.bit_length(),
                        last_seen_at=alert.last_seen_at,
                        resolve_at=alert.resolve_at,
                        resolve_by_timeout=alert.resolve_by_timeout,
                    )
                )
        return Flush(
            id=flush_id,
            reliance=Reliance(
                self.config.version if self._events else None,
                self._keys,
                self._ids,
                self._incident_versions,
                self._group_versions,
            ),
            events=tuple(seal(event) for event in self._events),
            writes=tuple(writes),
            touches=tuple(touches),
            tally=tally(self._events),
            answers=tuple(self._new_answers),
            deliveries=tuple(self._deliveries),
            finishes=tuple(self._finishes.values()),
            incidents=tuple(
                IncidentWrite(state.incident, state.event_index, is_new=state.base is None)
                for state in self._incidents.values()
                if state.is_changed
            ),
            predictions=tuple(self._predictions),
        )

    def incidents(self) -> Mapping[IncidentId, tuple[Incident, int | None]]:
        """Return every incident that the batch has changed, with the index of the last event about it, if any."""
        return {
            incident_id: (state.incident, state.event_index)
            for incident_id, state in self._incidents.items()
            if state.is_changed
        }

    def alerts(self) -> Mapping[AlertId, tuple[Alert, int | None]]:
        """Return every alert the batch looked at, as it is now, with the index of its last event."""
        return {alert_id: (state.alert, state.event_index) for alert_id, state in self._states.items()}

    def _inhibits(self, alert: Alert) -> frozenset[InhibitionKey] | None:
        rules = self.config.catalog.inhibitions
        if not rules:
            return None
        return inhibition.source_keys(rules, alert_match_values(alert)) if alert.is_open else frozenset()

    def _act(self, action: Action, new_id: AlertId, request: Request) -> Outcome:
        known = self.loaded.by_key.get(action.target.dedup_key) if isinstance(action, Fire) else None
        refused = check_action(action, self.now, known)
        if refused is not None:
            return Outcome(None, problem=refused)
        target = target_of(action)
        alert = self._by_id(target.alert_id) if isinstance(target, ById) else self._by_key(target.dedup_key)
        situation = Situation(
            self.now, self.config, request.actor, new_id, request.scope, self.level_max, self._open_deliveries
        )
        if isinstance(action, Reopen) and alert is not None and not alert.is_open and situation.sees(alert):
            # It may fire already: reopening it then comes to the open one.
            alert = self._by_key(alert.dedup_key) or alert
        decision = decide(action, alert, situation)
        if decision.problem is not None:
            return Outcome(decision.alert, problem=decision.problem)
        grouped = None
        if decision.created and self.config.settings.grouping_labels:
            grouped = self._grouped(decision, situation)
            if grouped is not None:
                decision = replace(decision, alert=grouped.alert, events=grouped.events)
        self._keep(alert, decision)
        after = decision.alert
        if grouped is not None:
            self._enter(grouped)
        elif after is not None and after.incident_id is not None and alert is not None:
            self._follow(alert, after, situation)
        return Outcome(after, decision.created, decision.changed, alert_id=after.id if after is not None else None)

    def _act_on_incidents(self, action: IncidentAction, request: Request) -> Outcome:
        alerts = {alert_id: self._by_id(alert_id) for alert_id in alerts_named(action)}
        ids = [
            alert.incident_id for alert in alerts.values() if alert is not None and alert.incident_id is not None
        ]
        incidents = {incident_id: self._incident(incident_id) for incident_id in (*incidents_named(action), *ids)}
        if not self.is_decided:
            return Outcome(None)
        situation = Situation(self.now, self.config, request.actor, _NO_ALERT)
        for incident_id, known in incidents.items():
            if known is not None and self._incidents[incident_id].is_changed:
                # It has changed in this very flush, and its version is not known yet.
                incidents[incident_id] = replace(known, version=0)
        decision = decide_incident(action, alerts, incidents, situation)
        if decision.problem is not None:
            return Outcome(None, problem=decision.problem)
        before = len(self._events)
        self._events.extend(decision.events)
        for alert_id, (alert, index) in decision.alerts.items():
            state = self._states[alert_id]
            state.alert, state.event_index, state.only_advice = alert, before + index, False
        for incident_id, (incident, at) in decision.incidents.items():
            kept = self._incidents.get(incident_id)
            if kept is None:
                kept = self._incidents[incident_id] = _IncidentState(None, incident)
            kept.incident = incident
            kept.event_index = before + at if at is not None else kept.event_index
            if incident.group_key is not None and incident.takes_in:
                self._groups[incident.group_key] = incident_id
        answered = decision.incident
        assert answered is not None, "what is not refused is about an incident"
        return Outcome(
            None,
            created=answered.id in decision.new,
            changed=bool(decision.events),
            incident=answered,
            incident_id=answered.id,
        )

    def _grouped(self, decision: Decision, situation: Situation) -> Grouped | None:
        """Return a new alert in its incident; None where that one has to be loaded first."""
        assert decision.alert is not None, "it is new"
        key = group_key_of(self.config.settings.grouping_labels, decision.alert)
        if key not in self._groups:
            if key not in self.loaded.groups:
                self.missing_groups.add(key)
                return None
            known = self.loaded.groups[key]
            self._group_versions[key] = known.version if known is not None else None
            self._groups[key] = known.id if known is not None else None
            if known is not None and known.id not in self._incidents:
                self._incidents[known.id] = _IncidentState(known, known)
        incident_id = self._groups[key]
        found = self._incidents[incident_id].incident if incident_id is not None else None
        return group(decision.alert, decision.events, key, found, situation)

    def _enter(self, grouped: Grouped) -> None:
        """Keep the incident of a new alert, about which the last event told."""
        incident = grouped.incident
        if grouped.is_new:
            self._incidents[incident.id] = _IncidentState(None, incident)
            assert incident.group_key is not None, "it opened for what has this key"
            self._groups[incident.group_key] = incident.id
        if grouped.outgrown is not None:
            self._incidents[grouped.outgrown.id].incident = grouped.outgrown
        self._change(incident, grouped.follow)

    def _follow(self, before: Alert, after: Alert, situation: Situation) -> None:
        """Keep what a change of an alert comes to for its incident."""
        assert after.incident_id is not None, "it is in one"
        if is_counted_alike(before, after):
            return
        incident = self._incident(after.incident_id)
        if incident is not None:
            self._change(*followed(incident, before, after, situation))

    def _change(self, incident: Incident, event: Event | None) -> None:
        """Keep an incident about which the last event told, and this one where there is one."""
        if event is not None:
            self._events.append(event)
        state = self._incidents[incident.id]
        state.incident, state.event_index = incident, len(self._events) - 1

    def _incident(self, incident_id: IncidentId) -> Incident | None:
        state = self._incidents.get(incident_id)
        if state is not None:
            return state.incident
        if incident_id not in self.loaded.incidents:
            self.missing_incidents.add(incident_id)
            return None
        incident = self.loaded.incidents[incident_id]
        self._incident_versions[incident_id] = incident.version if incident is not None else None
        if incident is not None:
            self._incidents[incident_id] = _IncidentState(incident, incident)
        return incident

    @property
    def _open_deliveries(self) -> Mapping[DeliveryId, Delivery]:
        if not (self._finishes or self._unwanted):
            return self.loaded.deliveries
        return {
            id_: replace(delivery, wanted=False) if id_ in self._unwanted else delivery
            for id_, delivery in self.loaded.deliveries.items()
            if id_ not in self._finishes
        }

    def _keep(self, before: Alert | None, decision: Decision) -> None:
        after = decision.alert
        if decision.skips_pages and after is not None:
            self._skip_pages(after.id)
        self._deliveries += decision.deliveries
        self._finishes.update({finish.delivery_id: finish for finish in decision.finishes})
        if decision.prediction is not None:
            self._predictions.append(decision.prediction)
        if after is None:
            return
        if decision.created:
            state = self._states[after.id] = _State(None, after)
        elif before is not None and (decision.events or decision.counted):
            state = self._states[after.id]
            state.only_advice = (
                decision.only_advises and after.is_open and state.event_index is None and not state.fired
            )
            state.alert = after
            state.fired |= decision.counted
            state.counted += after.occurrence_count - before.occurrence_count
        else:
            return
        state.skips_pages |= decision.skips_pages
        if decision.aside:
            self._events.extend(decision.events)
            return
        if decision.events:
            self._events.extend(decision.events)
            state.event_index = len(self._events) - 1
        if decision.created or (before is not None and before.is_open):
            # What was closed before tells nothing of its key: another alert may be open under it.
            self._open[after.dedup_key] = after.id if after.is_open else None

    def _skip_pages(self, alert_id: AlertId) -> None:
        """Also what this batch decided, or loaded before somebody reacted in it, is not wanted any more."""
        self._deliveries = [
            replace(delivery, wanted=False, status=DeliveryStatus.SKIPPED, due_at=self.now)
            if delivery.alert_id == alert_id and delivery.purpose is Purpose.PAGE
            else delivery
            for delivery in self._deliveries
        ]
        self._unwanted.update(
            delivery.id
            for delivery in self.loaded.deliveries.values()
            if delivery.alert_id == alert_id and delivery.purpose is Purpose.PAGE
        )

    def _by_id(self, alert_id: AlertId) -> Alert | None:
        state = self._states.get(alert_id)
        if state is not None:
            return state.alert
        alert = self.loaded.by_id.get(alert_id)
        if alert is not None:
            self._meet(alert)
            self._ids[alert_id] = alert.version
            if alert.is_open:
                self._open.setdefault(alert.dedup_key, alert.id)
        return alert

    def _by_key(self, key: str) -> Alert | None:
        if key not in self._open:
            alert = self.loaded.by_key.get(key)
            self._keys[key] = alert.version if alert is not None else None
            self._open[key] = alert.id if alert is not None else None
            if alert is not None:
                self._meet(alert)
        alert_id = self._open[key]
        return self._states[alert_id].alert if alert_id is not None else None

    def _meet(self, alert: Alert) -> None:
        if alert.id not in self._states:
            self._states[alert.id] = _State(alert, alert)


def repeat_answer(stored: StoredAnswer, key: IdempotencyKey, action_count: int) -> tuple[Outcome, ...]:
    """Return the first answer again, or a refusal where the key was used with other contents."""
    if stored.key.request_hash != key.request_hash:
        problem = Problem(
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            "This idempotency key was used with other contents within the last 24 hours.",
            ("idempotencyKey",),
        )
        return tuple(Outcome(None, problem=problem) for _ in range(max(1, action_count)))
    return tuple(_read_outcome(item) for item in orjson.loads(stored.answer))


def _write_answer(outcomes: Sequence[Outcome]) -> str:
    items = []
    for outcome in outcomes:
        item: dict[str, object] = {"created": outcome.created, "changed": outcome.changed}
        if outcome.alert_id is not None:
            item["alert"] = encode_id(NodeKind.ALERT, outcome.alert_id)
        if outcome.incident_id is not None:
            item["incident"] = encode_id(NodeKind.INCIDENT, outcome.incident_id)
        if outcome.problem is not None:
            item["problem"] = [
                outcome.problem.code.value,
                outcome.problem.message,
                list(outcome.problem.path),
            ]
        items.append(item)
    return orjson.dumps(items).decode()


def _read_outcome(item: Mapping[str, object]) -> Outcome:
    problem = None
    stored = item.get("problem")
    if isinstance(stored, list):
        problem = Problem(ErrorCode(stored[0]), stored[1], tuple(stored[2]))
    alert_id = item.get("alert")
    incident_id = item.get("incident")
    incident_key = decode_key(incident_id, NodeKind.INCIDENT) if isinstance(incident_id, str) else None
    return Outcome(
        None,
        created=bool(item["created"]),
        changed=bool(item["changed"]),
        problem=problem,
        alert_id=decode_alert_id(alert_id) if isinstance(alert_id, str) else None,
        incident_id=IncidentId(incident_key) if incident_key is not None else None,
    )
