"""Many requests decided as one: the fold that turns them into a single flush."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from alertgraph.core import inhibition
from alertgraph.core.action import Action, ById, Reopen, check_action, target_of
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
    Loaded,
    Reliance,
    StoredAnswer,
    TenantConfig,
    Touch,
)
from alertgraph.core.ids import AlertId, DeliveryId, FlushId, NodeKind, decode_alert_id, encode_id
from alertgraph.core.inhibition import InhibitionKey
from alertgraph.core.labels import Matcher
from alertgraph.core.lifecycle import decide
from alertgraph.core.metrics import tally
from alertgraph.core.value import quick, replace


@quick
@dataclass(frozen=True, slots=True)
class Request:
    """Actions that one caller wants done together, each for itself but in one flush.

    Attributes:
        new_ids: One id for each action, for those that make an alert.
        scope: Matchers of the caller's key.
    """

    actions: tuple[Action, ...]
    new_ids: tuple[AlertId, ...]
    actor: Actor
    scope: tuple[Matcher, ...] = ()
    idempotency: IdempotencyKey | None = None


@quick
@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one action.

    Attributes:
        alert: As it is afterwards; None where refused or where there was none.
        alert_id: Set also where an earlier answer is given again and the alert has to be read anew.
    """

    alert: Alert | None
    created: bool = False
    changed: bool = False
    problem: Problem | None = None
    alert_id: AlertId | None = None


@dataclass(slots=True)
class _State:
    """An alert as the batch has it so far, beside what it was loaded as.

    Attributes:
        fired: Whether it was fired again, perhaps beyond what is counted.
        counted: By how much its count has grown.
        skips_pages: Whether pages about it that wait are not wanted any more.
    """

    base: Alert | None
    alert: Alert
    event_index: int | None = None
    fired: bool = False
    counted: int = 0
    skips_pages: bool = False


@dataclass(slots=True)
class Batch:
    """Requests of one tenant, decided one after the other on what was loaded before.

    The result depends on the arguments alone; `flush` may be asked for once all are applied.
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

    def apply(self, request: Request) -> tuple[Outcome, ...]:
        """Decide a request's actions in order and return what became of each."""
        key = request.idempotency
        if key is not None:
            slot = (key.operation, key.subject, key.key)
            stored = self._answers.get(slot) or self.loaded.answers.get(slot)
            if stored is not None:
                return repeat_answer(stored, key, len(request.actions))
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
                        inhibits=self._inhibits(alert),
                        skips_pages=state.skips_pages,
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
            reliance=Reliance(self.config.version if self._events else None, self._keys, self._ids),
            events=tuple(seal(event) for event in self._events),
            writes=tuple(writes),
            touches=tuple(touches),
            tally=tally(self._events),
            answers=tuple(self._new_answers),
            deliveries=tuple(self._deliveries),
            finishes=tuple(self._finishes.values()),
        )

    def alerts(self) -> Mapping[AlertId, tuple[Alert, int | None]]:
        """Return every alert the batch looked at, as it is now, with the index of its last event."""
        return {alert_id: (state.alert, state.event_index) for alert_id, state in self._states.items()}

    def _inhibits(self, alert: Alert) -> frozenset[InhibitionKey] | None:
        rules = self.config.catalog.inhibitions
        if not rules:
            return None
        return inhibition.source_keys(rules, alert_match_values(alert)) if alert.is_open else frozenset()

    def _act(self, action: Action, new_id: AlertId, request: Request) -> Outcome:
        refused = check_action(action, self.now)
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
        self._keep(alert, decision)
        after = decision.alert
        return Outcome(after, decision.created, decision.changed, alert_id=after.id if after is not None else None)

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
        if after is None:
            return
        if decision.created:
            state = self._states[after.id] = _State(None, after)
        elif before is not None and (decision.events or decision.counted):
            state = self._states[after.id]
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
    return Outcome(
        None,
        created=bool(item["created"]),
        changed=bool(item["changed"]),
        problem=problem,
        alert_id=decode_alert_id(alert_id) if isinstance(alert_id, str) else None,
    )
