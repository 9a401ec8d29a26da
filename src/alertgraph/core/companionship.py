"""What a tenant's log says of which alerts belong together, and what the model therefore wants of incidents.

One of these takes a tenant's events in order and decides; whoever carries out what it wants says how that went.
All it knows comes from events, so the same events lead to the same state and the same wishes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from alertgraph.core.actor import ActorKind
from alertgraph.core.alert_link import AlertLink
from alertgraph.core.correlation import (
    DAY_ONE,
    THRESHOLD,
    Arrival,
    CandidateIndex,
    ChanceTable,
    Correlator,
    Evidence,
    GroupLimits,
    Hops,
    Link,
    PairScorer,
    Threshold,
    Weighed,
    gap_bucket,
    hops_between,
    key_of,
    root_alert,
    title_template,
)
from alertgraph.core.event import Event, EventKind, StoredEvent
from alertgraph.core.ids import EPOCH, AlertId, IncidentId, NodeKind, TenantId, decode_key, encode_id, uuid7
from alertgraph.core.incident_action import AddAlerts, Grounds, Lead, OpenIncident
from alertgraph.core.monitored_service import SUBJECT_TYPE, Dependencies, read_changes, with_changes
from alertgraph.core.pair_labels import PairExample, PairLabels, fact_of

FORM: Final = 2
"""Of what `told` returns."""
KEY_COUNT_MAX: Final = 4_000
ENTRY_COUNT_MAX: Final = 20_000
RECENT_COUNT_MAX: Final = 2_000
"""Alerts of which it is remembered what they were paired with: what people say of them is learned from."""
GROUP_COUNT_MAX: Final = 500
ORIGIN_COUNT_MAX: Final = 2_000
MERGE_SCORE_MIN: Final = 0.7
"""Two groups are joined by better links than one alert is: what they cost, all of their alerts pay."""
PAIR_COUNT_MAX: Final = 4
"""Candidates of an alert that are remembered, the likeliest."""
NAME_LENGTH_MAX: Final = 128
SWEEP_EVERY: Final = 64

# What an alert is about, as senders say it: the first that it has.
ENTITY_LABELS: Final = ("instance", "host", "hostname", "node", "pod", "device", "container", "queue")
_PEOPLE: Final = frozenset({ActorKind.PERSON, ActorKind.API_KEY})


def arrival_of(stored: StoredEvent) -> Arrival:
    """Return a new alert as correlation sees it, from the event of its beginning."""
    event = stored.event
    labels = event.labels
    named = next((labels[name] for name in ENTITY_LABELS if labels.get(name)), None)
    return Arrival(
        alert=str(event.alert_id),
        at=(stored.recorded_at - EPOCH).total_seconds(),
        rule=_shortened(labels.get("alertname") or title_template(event.title)),
        # Where nothing is named, it is about what its key stands for, and about nothing else.
        entity=_shortened(named or event.service_after or event.dedup_key),
        service=event.service_after,
    )


def _shortened(text: str) -> str:
    """Return a text that its end tells from others, however long it was: thousands of these are remembered."""
    if len(text) <= NAME_LENGTH_MAX:
        return text
    return f"{text[: NAME_LENGTH_MAX - 9]}…{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the model wants of incidents because an alert came.

    Attributes:
        number: Of the event in which it came.
        group: The group that it joined.
        action: What it wants first.
        into: The incident that the group shall be.
        merges: Incidents that shall end in it, once the action is done.
        grounds: Why.
    """

    number: int
    group: int
    alert: str
    action: OpenIncident | AddAlerts
    into: IncidentId
    merges: tuple[IncidentId, ...]
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class Taken:
    """What an event led to.

    Attributes:
        links: Of a new alert to those that were there before, to be kept.
        wish: What the model wants; None for nothing.
    """

    links: tuple[AlertLink, ...] = ()
    wish: Wish | None = None


class _Pair(NamedTuple):
    """An earlier alert, and what was known and said of the pair when the later one came.

    Attributes:
        by_scorer: What the scorer said; None where there was none.
        numbers: The facts but for the earlier alert.
    """

    other: str
    by_table: float
    by_scorer: float | None
    earlier_rule: str
    numbers: tuple[Any, ...]


@dataclass(slots=True)
class _Recent:
    """An alert of late.

    Attributes:
        incident: The incident that it is in, as the log says.
        pairs: Earlier alerts it was weighed against.
    """

    arrival: Arrival
    title: str
    incident: str | None = None
    pairs: list[_Pair] = field(default_factory=list)


@dataclass(slots=True)
class _Bound:
    """The incident that a group is.

    Attributes:
        by_model: Whether the model opened it: only such a one it may end in another.
        root: The alert that the model says it began with; None where that is for others to say.
        title: As the model gave it.
    """

    incident: str
    by_model: bool = False
    root: str | None = None
    title: str = ""


class Companionship:
    """A tenant's alerts, and which of them belong together.

    Args:
        tenant_id: Whose they are: ids of incidents are made from it.
        dependencies: What services need, as of when the first event is taken.
        is_enabled: Whether the model may group, likewise; links are found in any case.
    """

    def __init__(self, tenant_id: TenantId, dependencies: Dependencies, *, is_enabled: bool) -> None:
        self._tenant_id = tenant_id
        self._limits = GroupLimits(THRESHOLD, MERGE_SCORE_MIN, group_count_max=GROUP_COUNT_MAX)
        self._correlator = Correlator(
            self._limits,
            CandidateIndex(key_count_max=KEY_COUNT_MAX),
            ChanceTable(entry_count_max=ENTRY_COUNT_MAX, beliefs=DAY_ONE),
        )
        self._threshold = Threshold()
        self._dependencies: dict[str, tuple[str, ...]] = dict(dependencies)
        self._hops: Hops = hops_between(self._dependencies)
        self._is_enabled = is_enabled
        self._recent: dict[str, _Recent] = {}
        self._bound: dict[int, _Bound] = {}
        self._number_of: dict[str, int] = {}
        # Incidents as the log has told of their beginning; one that a group is, is the very same.
        self._origins: dict[str, _Bound] = {}
        # Alerts that people have moved in the flush that is being read, with the incident each was in before.
        self._moved: dict[str, str | None] = {}
        self._arrival_count = 0
        self._labels = PairLabels()
        self._scorer: PairScorer | None = None
        self._fitted: str | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether the model may group."""
        return self._is_enabled

    @property
    def threshold(self) -> float:
        """From which score on alerts are grouped."""
        return self._limits.score_min

    @property
    def labels(self) -> PairLabels:
        """What people have said of pairs."""
        return self._labels

    @property
    def fitted(self) -> str | None:
        """The scorer that was fitted last, as its maker has written it; None where there is none."""
        return self._fitted

    def adopt(self, scorer: PairScorer | None, fitted: str | None) -> None:
        """Let a scorer have its say from now on: beside the table, and in its place while it does better.

        Args:
            scorer: None where none can be had, though there may be one.
            fitted: What it is made from, to be kept.
        """
        self._scorer, self._fitted = scorer, fitted

    def begin_fit(self) -> Sequence[PairExample]:
        """Return what a scorer is to be fitted on, and count it as done."""
        self._labels.fitted_count = self._labels.label_count
        return tuple(self._labels.examples)

    # ----------------------------------------------------------------------------------- events

    def take(self, stored: StoredEvent, *, may_act: bool) -> Taken:
        """Take the next event.

        Args:
            stored: In the log's order.
            may_act: Whether anything may be wanted: of what is long past, nothing is.
        """
        event = stored.event
        taken = Taken()
        match event.kind:
            case EventKind.TRIGGERED | EventKind.REOPENED:
                taken = self._take_arrival(stored, may_act=may_act)
            case EventKind.UNGROUPED | EventKind.GROUPED:
                self._take_move(event)
            case EventKind.INCIDENT_OPENED:
                self._take_opening(event)
            case EventKind.INCIDENT_UPDATED:
                self._take_lead(event)
            case EventKind.INCIDENT_RESOLVED:
                self._close(str(event.incident_id))
            case EventKind.CONFIG_UPDATED:
                self._take_settings(event)
            case _:
                pass
        if stored.link is not None:
            self._learn_moves(stored.number)
        return taken

    def _take_arrival(self, stored: StoredEvent, *, may_act: bool) -> Taken:
        arrival = arrival_of(stored)
        if arrival.alert in self._recent:
            return Taken()
        self._arrival_count += 1
        if self._arrival_count % SWEEP_EVERY == 0:
            self._sweep(arrival.at)
        active = self._scorer if self._labels.does_win else None
        weighed = self._correlator.weigh(arrival, self._hops, active)
        self._remember(arrival, stored.event.title, weighed)
        floor = min(THRESHOLD, self.threshold)
        links = [one.link(arrival) for one in weighed if one.score >= floor]
        own = _alert_id(arrival.alert)
        kept = tuple(AlertLink(own, _alert_id(link.earlier.alert), link.score, link.evidence) for link in links)
        # What labels have grouped, the event says; where it went comes with the next events.
        if not self._is_enabled or stored.event.incident_id is not None:
            return Taken(kept)
        return Taken(kept, self._place(stored, arrival, links, may_act=may_act))

    def _place(
        self, stored: StoredEvent, arrival: Arrival, links: Sequence[Link], *, may_act: bool
    ) -> Wish | None:
        groups = self._correlator.groups
        placement = groups.place(arrival, links, self._may_join)
        if placement.link is None:
            return None
        number = groups.group_of(arrival.alert)
        assert number is not None, "it has just been placed"
        joined = [self._unbind(one) for one in sorted({placement.group, *placement.merged, number})]
        bound = [one for one in joined if one is not None]
        # People's incidents, and those of labels, stay; of its own, the model keeps the oldest.
        kept = next((one for one in bound if not one.by_model), bound[0] if bound else None)
        if kept is not None:
            self._bind(number, kept)
        if not may_act:
            return None
        group = groups.group(number)
        assert group is not None, "it is open"
        grounds = Grounds(_told(arrival, placement.link, threshold=self.threshold))
        root = root_alert(list(group.alerts.values()), self._dependencies)
        assert root is not None, "there are two alerts at least"
        free = tuple(_alert_id(alert) for alert in group.alerts if not self._is_member(alert))
        if kept is None:
            incident_id = self._incident_id(stored)
            opening = OpenIncident(incident_id, self._title(root), free, _alert_id(root.alert), grounds)
            return Wish(stored.number, number, arrival.alert, opening, incident_id, (), grounds)
        incident_id = IncidentId(UUID(kept.incident))
        adding = AddAlerts(incident_id, free, grounds=grounds, lead=self._lead(kept, root))
        merges = tuple(IncidentId(UUID(one.incident)) for one in bound if one is not kept)
        return Wish(stored.number, number, arrival.alert, adding, incident_id, merges, grounds)

    def _lead(self, bound: _Bound, root: Arrival) -> Lead | None:
        if not bound.by_model or bound.root is None or bound.root == root.alert:
            return None
        return Lead(_alert_id(bound.root), bound.title, _alert_id(root.alert), self._title(root))

    def settle(self, wish: Wish, *, is_done: bool) -> None:
        """Take note of what became of a wish: where it was refused, the alert stands alone."""
        groups = self._correlator.groups
        if not is_done:
            group = groups.group(wish.group)
            if group is not None and wish.alert in group.alerts:
                groups.open([group.alerts[wish.alert]], group.newest_at)
            self._drop_closed()
            return
        action = wish.action
        bound = self._bound.get(wish.group)
        if isinstance(action, OpenIncident):
            assert action.root_alert_id is not None, "the model says what it began with"
            self._bind(wish.group, _Bound(str(action.id), True, str(action.root_alert_id), action.title))
        elif action.lead is not None and bound is not None and bound.root is not None:
            bound.root, bound.title = str(action.lead.root), action.lead.title
        for alert_id in action.alert_ids:
            recent = self._recent.get(str(alert_id))
            if recent is not None and recent.incident is None:
                recent.incident = str(action.id)

    # ------------------------------------------------------------------------------------ moves

    def _take_move(self, event: Event) -> None:
        """Follow an alert from one incident to another, whoever has moved it."""
        alert, incident = str(event.alert_id), str(event.incident_id)
        recent = self._recent.get(alert)
        if recent is None:
            return
        if event.actor.kind in _PEOPLE:
            self._moved.setdefault(alert, recent.incident)
        recent.incident = incident if event.kind is EventKind.GROUPED else None
        if not self._is_enabled or event.kind is EventKind.UNGROUPED:
            return
        groups = self._correlator.groups
        number, present = self._number_of.get(incident), groups.group_of(alert)
        if event.actor.kind is ActorKind.MODEL:
            # Its own doing, which it knows of; unless that was before it had to begin anew.
            if present is not None and present not in self._bound and number is None:
                self._bind(present, self._bound_to(incident))
            return
        if present is not None and present == number:
            return
        if number is None or groups.group(number) is None:
            number = groups.open((), recent.arrival.at)
            self._bind(number, self._bound_to(incident))
        groups.move(recent.arrival, number)
        self._drop_closed()

    def _learn_pair(self, number: int, recent: _Recent, pair: _Pair, *, together: bool) -> None:
        said = pair.by_table if pair.by_scorer is None or not self._labels.does_win else pair.by_scorer
        self._threshold.learn(said, together=together)
        fact, rule = fact_of(pair.earlier_rule, pair.numbers), recent.arrival.rule
        self._correlator.table.teach(
            pair.earlier_rule, rule, fact.relation, gap_bucket(fact.gap), together=together
        )
        self._labels.learn(PairExample(rule, fact, together, number), pair.by_table, pair.by_scorer)

    def _learn_moves(self, number: int) -> None:
        """Learn from what people have moved in a flush, now that all of it is known."""
        if not self._moved:
            return
        before = {alert: incident for alert, incident in self._moved.items() if alert in self._recent}
        self._moved = {}
        for alert, recent in self._recent.items():
            for pair in recent.pairs:
                beside = self._recent.get(pair.other)
                if beside is None or not (alert in before or pair.other in before):
                    continue
                was = before.get(alert, recent.incident), before.get(pair.other, beside.incident)
                were_together = was[0] is not None and was[0] == was[1]
                are_together = recent.incident is not None and recent.incident == beside.incident
                if were_together == are_together:
                    continue
                if not are_together and (recent.incident is None or beside.incident is None):
                    continue
                self._learn_pair(number, recent, pair, together=are_together)
                one, two = key_of(recent.arrival), key_of(beside.arrival)
                if are_together:
                    self._correlator.groups.apart.let(one, two)
                else:
                    self._correlator.groups.apart.keep(one, two)
        self._limits = replace(self._limits, score_min=self._threshold.value)
        self._correlator.groups.limits = self._limits

    def _close(self, incident: str) -> None:
        """A resolved incident takes in nothing: its alerts are no candidates any more."""
        number = self._number_of.get(incident)
        if number is None:
            return
        self._unbind(number)
        self._correlator.resolve(number)

    def _take_opening(self, event: Event) -> None:
        incident = str(event.incident_id)
        if event.actor.kind is not ActorKind.MODEL:
            self._keep_origin(_Bound(incident))
            return
        self._keep_origin(
            _Bound(incident, True, _alert_text(event.detail.get("rootAlert")), str(event.detail.get("title", "")))
        )

    def _take_lead(self, event: Event) -> None:
        """Follow what is said of an incident's root and title: once people say so, the model says nothing more."""
        said = {change.field: change.after for change in event.changes if change.field in ("title", "rootAlert")}
        incident = str(event.incident_id)
        number = self._number_of.get(incident)
        known = self._bound[number] if number is not None else self._origins.get(incident)
        if not said or known is None or known.root is None:
            return
        if event.actor.kind is not ActorKind.MODEL:
            known.root = None
            return
        known.root = _alert_text(said.get("rootAlert")) or known.root
        known.title = str(said.get("title") or known.title)

    def _take_settings(self, event: Event) -> None:
        if event.subject_type == SUBJECT_TYPE:
            self._dependencies = with_changes(self._dependencies, read_changes(event.changes))
            self._hops = hops_between(self._dependencies)
        elif event.subject_type == "TenantSettings":
            for change in event.changes:
                if change.field == "correlationEnabled":
                    self._is_enabled = bool(change.after)
                    for group in self._correlator.groups.groups():
                        self._correlator.groups.close(group.id)
                    self._drop_closed()

    # ------------------------------------------------------------------------------------ groups

    def _may_join(self, one: int, other: int) -> bool:
        """Say whether two groups may be joined: never two incidents that somebody else has opened."""
        bound, beside = self._bound.get(one), self._bound.get(other)
        return bound is None or beside is None or bound.by_model or beside.by_model

    def _bound_to(self, incident: str) -> _Bound:
        """Return an incident that a group turns out to be, as the log has told of it."""
        return self._origins.get(incident) or _Bound(incident)

    def _bind(self, number: int, bound: _Bound) -> None:
        self._bound[number] = bound
        self._number_of[bound.incident] = number

    def _unbind(self, number: int) -> _Bound | None:
        bound = self._bound.pop(number, None)
        if bound is not None:
            self._number_of.pop(bound.incident, None)
        return bound

    def _drop_closed(self) -> None:
        for number in [number for number in self._bound if self._correlator.groups.group(number) is None]:
            self._unbind(number)

    def _sweep(self, at: float) -> None:
        """Close groups that nothing can join any more: none of their alerts is a candidate."""
        groups = self._correlator.groups
        for group in groups.groups():
            if at - group.newest_at > self._correlator.index.window_seconds:
                groups.close(group.id)
        self._drop_closed()

    def _keep_origin(self, bound: _Bound) -> None:
        number = self._number_of.get(bound.incident)
        self._origins[bound.incident] = self._bound[number] if number is not None else bound
        while len(self._origins) > ORIGIN_COUNT_MAX:
            del self._origins[next(iter(self._origins))]

    def _remember(self, arrival: Arrival, title: str, weighed: Iterable[Weighed]) -> None:
        chosen = list(weighed)[:PAIR_COUNT_MAX]
        said: Sequence[float | None] = [None] * len(chosen)
        if self._scorer is not None and chosen:
            said = list(self._scorer(arrival, [one.fact for one in chosen]))
        pairs = [
            _Pair(one.fact.earlier.alert, one.by_table, score, one.fact.earlier.rule, tuple(one.fact[1:]))
            for one, score in zip(chosen, said, strict=True)
        ]
        self._recent[arrival.alert] = _Recent(arrival, title, None, pairs)
        while len(self._recent) > RECENT_COUNT_MAX:
            del self._recent[next(iter(self._recent))]

    def _is_member(self, alert: str) -> bool:
        recent = self._recent.get(alert)
        return recent is not None and recent.incident is not None

    def _title(self, arrival: Arrival) -> str:
        recent = self._recent.get(arrival.alert)
        return recent.title if recent is not None else arrival.rule

    def _incident_id(self, stored: StoredEvent) -> IncidentId:
        """Return the id of the incident that opens because of an event: the same, whenever it is taken again."""
        digest = hashlib.sha256(b"correlation" + self._tenant_id.bytes + stored.number.to_bytes(8, "big")).digest()
        return IncidentId(uuid7(stored.recorded_at, int.from_bytes(digest[:10], "big")))

    # ------------------------------------------------------------------------------------- state

    def told(self) -> dict[str, Any]:
        """Return the state as plain values for JSON."""
        return {
            "form": FORM,
            "is_enabled": self._is_enabled,
            "dependencies": self._dependencies,
            "correlator": self._correlator.told(),
            "threshold": self._threshold.told(),
            "recent": [
                [
                    *(recent.arrival.alert, recent.arrival.at, recent.arrival.rule, recent.arrival.entity),
                    *(recent.arrival.service, recent.title, recent.incident, list(map(list, recent.pairs))),
                ]
                for recent in self._recent.values()
            ],
            "bound": [
                [number, bound.incident, bound.by_model, bound.root, bound.title]
                for number, bound in self._bound.items()
            ],
            "origins": [
                [bound.incident, bound.by_model, bound.root, bound.title] for bound in self._origins.values()
            ],
            "moved": list(self._moved.items()),
            "arrival_count": self._arrival_count,
            "labels": self._labels.told(),
            "fitted": self._fitted,
        }

    @classmethod
    def recalled(cls, tenant_id: TenantId, told: Mapping[str, Any]) -> Companionship:
        """Return what has told this of itself.

        Raises:
            ValueError: It is of another form.
        """
        if told.get("form") != FORM:
            raise ValueError(f"it is of form {told.get('form')}, not {FORM}")
        dependencies = {service: tuple(needs) for service, needs in told["dependencies"].items()}
        self = cls(tenant_id, dependencies, is_enabled=told["is_enabled"])
        self._correlator.recall(told["correlator"])
        self._threshold.recall(told["threshold"])
        self._limits = replace(self._limits, score_min=self._threshold.value)
        self._correlator.groups.limits = self._limits
        for alert, at, rule, entity, service, title, incident, pairs in told["recent"]:
            arrival = Arrival(alert, at, rule, entity, service)
            told_pairs = [
                _Pair(other, by_table, by_scorer, earlier_rule, tuple(numbers))
                for other, by_table, by_scorer, earlier_rule, numbers in pairs
            ]
            self._recent[alert] = _Recent(arrival, title, incident, told_pairs)
        for incident, by_model, root, title in told["origins"]:
            self._origins[incident] = _Bound(incident, by_model, root, title)
        for number, incident, by_model, root, title in told["bound"]:
            self._bind(number, self._origins.get(incident) or _Bound(incident, by_model, root, title))
        self._moved = dict(told["moved"])
        self._arrival_count = told["arrival_count"]
        self._labels = PairLabels.recalled(told["labels"])
        self._fitted = told["fitted"]
        return self


def evidence_told(evidence: Iterable[Evidence]) -> list[dict[str, Any]]:
    """Return what speaks for a link as the log tells it."""
    return [
        {"kind": each.kind.name.lower(), "weight": round(each.weight, 4), "text": each.text} for each in evidence
    ]


def _told(arrival: Arrival, link: Link, *, threshold: float) -> dict[str, Any]:
    return {
        "link": {
            "alert": encode_id(NodeKind.ALERT, _alert_id(arrival.alert)),
            "earlier": encode_id(NodeKind.ALERT, _alert_id(link.earlier.alert)),
            "score": round(link.score, 4),
            "threshold": threshold,
            "evidence": evidence_told(link.evidence),
        }
    }


@lru_cache(maxsize=8_192)
def _alert_id(text: str) -> AlertId:
    return AlertId(UUID(text))


def _alert_text(opaque: object) -> str | None:
    key = decode_key(opaque, NodeKind.ALERT) if isinstance(opaque, str) else None
    return str(key) if key is not None else None
