"""What a tenant's log says of its noise: how alerts of each sort ended, what was held, and what that has cost.

A fold: the same events in the same order give the same memory, whenever it was saved in between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from alertgraph.core.actor import ActorKind
from alertgraph.core.alert import AlertVerdict, HoldReason
from alertgraph.core.event import Event, EventKind, instant_of, instant_text
from alertgraph.core.ids import AlertId
from alertgraph.core.noise import (
    JUDGED_WITHIN,
    KEY_STRENGTH,
    KIND_STRENGTH,
    SPARED_SHARE,
    TENANT_STRENGTH,
    Basis,
    Ends,
    History,
    HoldRecord,
    Label,
    is_spared,
    key_of,
    kind_of,
    opened_at,
    threshold_of,
)
from alertgraph.core.severity import Severity
from alertgraph.core.value import replace

KEY_COUNT_MAX = 10_000
FOLLOWED_COUNT_MAX = 20_000
LABEL_COUNT_MAX = 4_000
NOISE_PRIOR = 0.5
PROMPT_SHARE_MIN = 0.5
"""A model that is in time with fewer of the latest alerts is not waited for."""
PROMPT_FADES = 0.9

_MACHINES = frozenset({ActorKind.SENDER, ActorKind.ENGINE, ActorKind.MODEL})
_STATE_FORM = 1


@dataclass(slots=True)
class Followed:
    """An alert whose end is awaited, or may still be judged.

    Attributes:
        history: What the tenant's own past gave as its probability of noise when it came.
        model: What the model gave; None where it said nothing.
        needed: Whether somebody was needed, as far as is known.
        was_noise: How its end was counted; None while it is open.
        hold: Of its page; None where that was not held.
    """

    key: bytes
    kind: bytes
    severity: Severity
    history: float
    model: float | None = None
    needed: bool = False
    verdict: AlertVerdict | None = None
    was_noise: bool | None = None
    hold: HoldRecord | None = None


@dataclass(slots=True)
class NoiseMemory:
    """One tenant's.

    Attributes:
        spare_key: Of the hash that picks who is told all the same.
        changed_keys: Sorts whose past has changed since somebody cleared this; gone ones among them.
        changed_holds: Holds that have changed, likewise.
    """

    spare_key: bytes
    all: Ends = field(default_factory=Ends)
    kinds: OrderedDict[bytes, Ends] = field(default_factory=OrderedDict)
    keys: OrderedDict[bytes, tuple[bytes, Ends]] = field(default_factory=OrderedDict)
    followed: OrderedDict[AlertId, Followed] = field(default_factory=OrderedDict)
    labels: dict[Basis, OrderedDict[AlertId, Label]] = field(
        default_factory=lambda: {basis: OrderedDict() for basis in Basis}
    )
    thresholds: dict[Basis, float | None] = field(default_factory=lambda: dict.fromkeys(Basis))
    prompt_share: float = 0.0
    changed_keys: set[bytes] = field(default_factory=set)
    changed_holds: dict[AlertId, HoldRecord] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------ events

    def take(self, event: Event) -> None:
        """Take the next event of the log."""
        alert_id = event.alert_id
        if alert_id is None:
            return
        match event.kind:
            case EventKind.TRIGGERED | EventKind.REOPENED:
                self._opened(alert_id, event)
                return
        one = self.followed.get(alert_id)
        if one is None:
            return  # from before what is remembered
        if event.severity_after is not None:
            one.severity = event.severity_after
        by_person = event.actor.kind not in _MACHINES
        match event.kind:
            case EventKind.PREDICTED:
                self._predicted(alert_id, one, event)
            case EventKind.HELD if event.hold_reason is HoldReason.PREDICTED_NOISE:
                self._held(alert_id, one, event)
            case EventKind.ESCALATED | EventKind.ACKNOWLEDGED | EventKind.ASSIGNED if by_person:
                self._needed(alert_id, one, event.decided_at)
            case EventKind.ESCALATED:
                self._let_go(alert_id, one, event.decided_at)
            case EventKind.SILENCED | EventKind.INHIBITED:
                self._ended_hold(alert_id, one, event.decided_at)
            case EventKind.FEEDBACK_GIVEN:
                self._judged(alert_id, one, event)
            case EventKind.RESOLVED:
                if by_person:
                    self._needed(alert_id, one, event.decided_at)
                self._ended(alert_id, one, event, by_person=by_person)

    def _opened(self, alert_id: AlertId, event: Event) -> None:
        if alert_id in self.followed:
            return
        key, kind = key_of(event.dedup_key), kind_of(event.source, event.title)
        severity = event.severity_after or Severity.INFO
        self.followed[alert_id] = Followed(key, kind, severity, self._probability(key, kind))
        # Until its prediction comes in time, it counts as one that has none.
        self.prompt_share *= PROMPT_FADES
        while len(self.followed) > FOLLOWED_COUNT_MAX:
            self.followed.popitem(last=False)

    def _predicted(self, alert_id: AlertId, one: Followed, event: Event) -> None:
        chance = event.detail.get("incidentProbability")
        if one.model is not None or not isinstance(chance, int | float):
            return
        if not event.detail.get("abstained"):
            one.model = 1 - float(chance)
        if event.decided_at - opened_at(alert_id) <= JUDGED_WITHIN:
            self.prompt_share += 1 - PROMPT_FADES

    def _held(self, alert_id: AlertId, one: Followed, event: Event) -> None:
        until = event.detail.get("until")
        end = instant_of(until) if isinstance(until, str) else None
        if one.hold is not None:
            # Held again, as after a silence: one hold, from its first moment.
            self._keep(alert_id, one, replace(one.hold, until=end, ended_at=None))
            return
        probability = float(event.detail.get("noiseProbability", 1.0))
        basis = Basis[event.detail.get("basis", Basis.HISTORY.name)]
        self._keep(alert_id, one, HoldRecord(alert_id, event.decided_at, end, probability, basis))

    def _keep(self, alert_id: AlertId, one: Followed, hold: HoldRecord) -> None:
        one.hold = self.changed_holds[alert_id] = hold

    def _ended_hold(self, alert_id: AlertId, one: Followed, at: datetime) -> HoldRecord | None:
        """Note that a page waits no more; return its hold, where it had one."""
        hold = one.hold
        if hold is not None and hold.ended_at is None:
            hold = replace(hold, ended_at=at)
            self._keep(alert_id, one, hold)
        return hold

    def _regretted(self, alert_id: AlertId, one: Followed, hold: HoldRecord) -> None:
        if hold.regret is None and hold.ended_at is not None:
            regret = max(timedelta(0), hold.ended_at - hold.held_at)
            self._keep(alert_id, one, replace(hold, regret=regret))

    def _let_go(self, alert_id: AlertId, one: Followed, at: datetime) -> None:
        """The engine told somebody: of a hold, the alert was open at its end, or it was let go sooner."""
        was_held = one.hold is not None and one.hold.ended_at is None
        hold = self._ended_hold(alert_id, one, at)
        if was_held and hold is not None and hold.until is not None and at >= hold.until:
            self._regretted(alert_id, one, hold)

    def _needed(self, alert_id: AlertId, one: Followed, at: datetime) -> None:
        """Somebody did something about it."""
        hold = self._ended_hold(alert_id, one, at)
        if one.verdict is AlertVerdict.NOISE:
            return
        one.needed = True
        if hold is not None:
            self._regretted(alert_id, one, hold)
        self._label(alert_id, one, needed=True)

    def _judged(self, alert_id: AlertId, one: Followed, event: Event) -> None:
        verdict = _verdict_of(event)
        one.verdict = verdict
        hold = one.hold
        if verdict is AlertVerdict.NOISE:
            one.needed = False
            if hold is not None and hold.regret is not None:
                # Whoever was told of it too late says that nobody was needed.
                self._keep(alert_id, one, replace(hold, regret=None))
            self._label(alert_id, one, needed=False)
        elif verdict is AlertVerdict.ACTIONABLE:
            one.needed = True
            hold = self._ended_hold(alert_id, one, event.decided_at)
            if hold is not None:
                self._regretted(alert_id, one, hold)
            self._label(alert_id, one, needed=True)
        if one.was_noise is not None and one.was_noise == one.needed:
            self._revise(one, -1 if one.was_noise else 1)
            one.was_noise = not one.needed

    def _ended(self, alert_id: AlertId, one: Followed, event: Event, *, by_person: bool) -> None:
        if one.was_noise is not None:
            return
        self._ended_hold(alert_id, one, event.decided_at)
        acted = one.needed or by_person or one.verdict is not None
        length = (event.elapsed_ms or 0) / 1000
        one.was_noise = not one.needed
        for ends in self._circles(one):
            ends.add(is_noise=one.was_noise, quiet_seconds=None if acted else length)
        if one.hold is None or acted:
            # What ended while its page waited was seen by nobody: it says nothing of what is hidden.
            self._label(alert_id, one, needed=one.needed)

    # ---------------------------------------------------------------------------------- the past

    def _circles(self, one: Followed) -> Iterator[Ends]:
        yield self.all
        kind = self.kinds.setdefault(one.kind, Ends())
        self.kinds.move_to_end(one.kind)
        yield kind
        _, ends = self.keys.setdefault(one.key, (one.kind, Ends()))
        self.keys.move_to_end(one.key)
        yield ends
        self.changed_keys |= {one.key, one.kind}
        for circle in (self.kinds, self.keys):
            while len(circle) > KEY_COUNT_MAX:
                gone, _ = circle.popitem(last=False)
                self.changed_keys.add(gone)

    def _revise(self, one: Followed, change: int) -> None:
        known = [self.all, self.kinds.get(one.kind)]
        if one.key in self.keys:
            known.append(self.keys[one.key][1])
        for ends in known:
            if ends is not None:
                ends.revise(change)
        self.changed_keys |= {one.key, one.kind}

    def _probability(self, key: bytes, kind: bytes) -> float:
        share = self.all.noise_share(NOISE_PRIOR, TENANT_STRENGTH)
        if kind in self.kinds:
            share = self.kinds[kind].noise_share(share, KIND_STRENGTH)
        if key in self.keys:
            share = self.keys[key][1].noise_share(share, KEY_STRENGTH)
        return share

    def history(self, key: bytes) -> History | None:
        """Return the past of alerts of one key or kind; None where none of them has ended."""
        if key in self.kinds:
            return self.kinds[key].history(self._probability(b"", key))
        found = self.keys.get(key)
        if found is None:
            return None
        kind, ends = found
        return ends.history(self._probability(key, kind))

    # --------------------------------------------------------------------------------- the labels

    def _label(self, alert_id: AlertId, one: Followed, *, needed: bool) -> None:
        if one.severity is Severity.CRITICAL:
            return  # never held, so it is no measure of what may be
        for basis, probability in ((Basis.MODEL, one.model), (Basis.HISTORY, one.history)):
            if probability is None:
                continue
            labels, threshold = self.labels[basis], self.thresholds[basis]
            would_be_held = threshold is not None and probability > threshold and one.hold is None
            # Of those that would be held only the spared are seen: each stands for all of its sort.
            is_rare = would_be_held and is_spared(alert_id, self.spare_key)
            known = labels.get(alert_id)
            weight = known.weight if known is not None else 1 / SPARED_SHARE if is_rare else 1.0
            labels[alert_id] = Label(probability, needed, weight)
            while len(labels) > LABEL_COUNT_MAX:
                labels.popitem(last=False)

    def learn(self) -> None:
        """Set the thresholds by the labels there are."""
        for basis, labels in self.labels.items():
            self.thresholds[basis] = threshold_of(tuple(labels.values()))

    @property
    def predicts(self) -> bool:
        """Whether a model answers in time at present."""
        return self.prompt_share >= PROMPT_SHARE_MIN

    @property
    def label_count(self) -> int:
        """How many outcomes the thresholds rest on, of the basis that has the most."""
        return max(len(labels) for labels in self.labels.values())

    # ---------------------------------------------------------------------------------- as it is kept

    def state(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {
            "form": _STATE_FORM,
            "spareKey": self.spare_key.hex(),
            "all": _ends_state(self.all),
            "kinds": [[key.hex(), _ends_state(ends)] for key, ends in self.kinds.items()],
            "keys": [[key.hex(), kind.hex(), _ends_state(ends)] for key, (kind, ends) in self.keys.items()],
            "followed": [_followed_state(alert_id, one) for alert_id, one in self.followed.items()],
            "labels": {
                basis.name: [[str(id_), one.probability, one.needed, one.weight] for id_, one in labels.items()]
                for basis, labels in self.labels.items()
            },
            "thresholds": {basis.name: threshold for basis, threshold in self.thresholds.items()},
            "promptShare": self.prompt_share,
            "changedKeys": sorted(key.hex() for key in self.changed_keys),
            "changedHolds": [_hold_state(hold) for hold in self.changed_holds.values()],
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> NoiseMemory:
        """Return the memory that a state describes.

        Raises:
            ValueError: It describes none.
        """
        if state.get("form") != _STATE_FORM:
            raise ValueError(f"its form is {state.get('form')}, not {_STATE_FORM}")
        try:
            memory = cls(bytes.fromhex(state["spareKey"]), _ends_of(state["all"]))
            memory.kinds.update((bytes.fromhex(key), _ends_of(ends)) for key, ends in state["kinds"])
            memory.keys.update(
                (bytes.fromhex(key), (bytes.fromhex(kind), _ends_of(ends))) for key, kind, ends in state["keys"]
            )
            memory.followed.update(map(_followed_of, state["followed"]))
            for basis in Basis:
                memory.labels[basis].update(
                    (AlertId(UUID(id_)), Label(*rest)) for id_, *rest in state["labels"][basis.name]
                )
                memory.thresholds[basis] = state["thresholds"][basis.name]
            memory.prompt_share = state["promptShare"]
            memory.changed_keys = {bytes.fromhex(key) for key in state["changedKeys"]}
            holds = [_hold_of(hold) for hold in state["changedHolds"]]
            memory.changed_holds = {hold.alert_id: hold for hold in holds}
        except (LookupError, TypeError) as error:
            raise ValueError("this is no memory of noise") from error
        return memory


def _verdict_of(event: Event) -> AlertVerdict | None:
    for change in event.changes:
        if change.field == "verdict":
            return AlertVerdict[change.after] if change.after is not None else None
    return None


def _ends_state(ends: Ends) -> list[Any]:
    return [ends.count, ends.noise, ends.quiet, list(ends.lengths)]


def _ends_of(state: list[Any]) -> Ends:
    count, noise, quiet, lengths = state
    return Ends(count, noise, quiet, tuple(lengths))


def _text(at: datetime | None) -> str | None:
    return instant_text(at) if at is not None else None


def _at(text: str | None) -> datetime | None:
    return instant_of(text) if text is not None else None


def _hold_state(hold: HoldRecord) -> list[Any]:
    return [
        str(hold.alert_id),
        instant_text(hold.held_at),
        _text(hold.until),
        hold.probability,
        int(hold.basis),
        _text(hold.ended_at),
        hold.regret.total_seconds() if hold.regret is not None else None,
    ]


def _hold_of(state: list[Any]) -> HoldRecord:
    id_, held_at, until, probability, basis, ended_at, regret = state
    return HoldRecord(
        AlertId(UUID(id_)),
        instant_of(held_at),
        _at(until),
        probability,
        Basis(basis),
        _at(ended_at),
        timedelta(seconds=regret) if regret is not None else None,
    )


def _followed_state(alert_id: AlertId, one: Followed) -> list[Any]:
    return [
        str(alert_id),
        one.key.hex(),
        one.kind.hex(),
        int(one.severity),
        one.history,
        one.model,
        one.needed,
        int(one.verdict) if one.verdict is not None else None,
        one.was_noise,
        _hold_state(one.hold) if one.hold is not None else None,
    ]


def _followed_of(state: list[Any]) -> tuple[AlertId, Followed]:
    id_, key, kind, severity, history, model, needed, verdict, was_noise, hold = state
    return AlertId(UUID(id_)), Followed(
        bytes.fromhex(key),
        bytes.fromhex(kind),
        Severity(severity),
        history,
        model,
        needed,
        AlertVerdict(verdict) if verdict is not None else None,
        was_noise,
        _hold_of(hold) if hold is not None else None,
    )
