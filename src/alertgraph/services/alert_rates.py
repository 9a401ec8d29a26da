"""Watches how many alerts come, by monitored service, for anomalies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from alertgraph.core.action import Clear, Fire
from alertgraph.core.anomaly import (
    SOURCE,
    AnomalyEvent,
    AnomalyRule,
    AnomalyTarget,
    Phase,
    PointVerdict,
    Turn,
    event_json,
    event_of,
    fall_silent,
    follow,
    rate_digest,
    rate_draft,
)
from alertgraph.core.event import EventKind, StoredEvent
from alertgraph.core.ids import AnomalyRuleId, TenantId
from alertgraph.core.rate import RateSettings, RateVerdict, RateWatch
from alertgraph.services.anomalies import AnomalyTeller, is_about_rules
from alertgraph.services.following import Reading, StateMismatch

RATE_SERVICE_COUNT_MAX: Final = 1000
"""Monitored services whose alerts are counted; beyond it, the one that was silent longest gives way."""
# An alert may be recorded a little before those that were recorded earlier can be read.
RATE_MARGIN: Final = timedelta(seconds=30)


class RateReader:
    """Watches how many alerts come, by monitored service. Fulfils `services.following.Reader`."""

    name = "alert_rates"

    def __init__(self, teller: AnomalyTeller, settings: RateSettings | None = None) -> None:
        self._teller = teller
        self._settings = settings or RateSettings()

    async def open(self, tenant_id: TenantId, state: bytes | None, now: datetime) -> Reading:  # noqa: ARG002
        """Return a tenant's watch as its state says.

        Raises:
            StateMismatch: It is of another form.
        """
        watch = RateReading(self._teller, tenant_id, self._settings)
        if state is not None:
            watch.recall(state)
        return watch


class RateReading:
    """The watch over one tenant's alert rates. Fulfils `services.following.Reading`."""

    def __init__(self, teller: AnomalyTeller, tenant_id: TenantId, settings: RateSettings) -> None:
        self._teller = teller
        self._tenant_id = tenant_id
        self._settings = settings
        # By monitored service, the one that was silent longest first; empty for alerts of none.
        self._watches: dict[str, RateWatch] = {}
        self._events: dict[str, dict[AnomalyRuleId, AnomalyEvent]] = {}
        self._rules: Mapping[AnomalyRuleId, AnomalyRule] | None = None
        # When the newest event was recorded that came since the last tick.
        self._heard_at: datetime | None = None
        self._is_reconciled = False

    async def take(self, events: Sequence[StoredEvent]) -> None:
        """Count alerts that are new, by when they were recorded."""
        if is_about_rules(events):
            self._rules = None
        self._heard_at = events[-1].recorded_at
        verdicts: list[tuple[str, RateVerdict]] = []
        for stored in events:
            event = stored.event
            # What is raised here must not be what is counted here.
            if event.kind is EventKind.TRIGGERED and event.source != SOURCE:
                verdicts += self._counted(event.service_after or "", stored.recorded_at)
        await self._follow(verdicts, self._teller.now())

    async def tick(self, now: datetime) -> None:
        """Judge the intervals that are over."""
        heard_at, self._heard_at = self._heard_at, None
        settled_at = now - RATE_MARGIN
        # While old events come there are more of them to come: until then the present is not judged.
        if heard_at is None or heard_at >= settled_at:
            verdicts = [
                (service, verdict)
                for service, watch in self._watches.items()
                for verdict in watch.advance(settled_at.timestamp())
            ]
            await self._follow(verdicts, now)
            await self._end_silent(now)
            if not self._is_reconciled:
                await self._reconcile(now)

    def _counted(self, service: str, at: datetime) -> list[tuple[str, RateVerdict]]:
        watch = self._watches.pop(service, None)
        if watch is None:
            if len(self._watches) >= RATE_SERVICE_COUNT_MAX:
                del self._watches[next(iter(self._watches))]
            watch = RateWatch(self._settings)
        self._watches[service] = watch
        return [(service, verdict) for verdict in watch.take(at.timestamp())]

    async def _follow(self, verdicts: Sequence[tuple[str, RateVerdict]], now: datetime) -> None:
        """Let the rules' events go on by some intervals, and tell what follows."""
        rules = await self._known_rules(now)
        fires: list[Fire] = []
        clears: list[Clear] = []
        interval = timedelta(seconds=self._settings.interval_seconds)
        for service, told in verdicts:
            verdict = self._verdict_of(told)
            events = self._events.get(service, {})
            for rule in rules.values():
                if not rule.watches_rate(service):
                    continue
                event, turn = follow(events.get(rule.id), verdict, rule, now)
                if event is None:
                    events.pop(rule.id, None)
                else:
                    events[rule.id] = event
                if turn is Turn.RAISE:
                    assert event is not None, "what is told of is there"
                    fires.append(Fire(rate_draft(rule, service, interval, event, verdict)))
                elif turn is Turn.END:
                    clears.append(Clear(rule.dedup_key(rate_digest(service)), verdict.at + interval))
            if events:
                self._events[service] = events
            else:
                self._events.pop(service, None)
        if fires or clears:
            await self._teller.tell(self._tenant_id, fires, clears)

    def _verdict_of(self, told: RateVerdict) -> PointVerdict:
        settings = self._settings
        level = 0.0
        if told.count >= settings.count_min:
            level = math.log10(max(told.chance, 1e-300)) / math.log10(settings.begin_chance)
        return PointVerdict(
            datetime.fromtimestamp(told.at, UTC),
            level,
            level,
            float(told.count),
            told.expected,
            math.sqrt(max(told.expected, 0.25)),
            warming=told.warming,
        )

    async def _known_rules(self, now: datetime) -> Mapping[AnomalyRuleId, AnomalyRule]:
        """Return the rules, read anew where they have changed; the events of those that are gone end."""
        if self._rules is not None:
            return self._rules
        rules = await self._teller.rules(self._tenant_id)

        def is_gone(service: str, rule_id: AnomalyRuleId, _: AnomalyEvent) -> bool:
            rule = rules.get(rule_id)
            return rule is None or not rule.watches_rate(service)

        await self._end(is_gone, now)
        self._rules = rules
        return rules

    async def _end_silent(self, now: datetime) -> None:
        await self._end(lambda *one: fall_silent(one[2], now), now)

    async def _end(self, is_over: Callable[[str, AnomalyRuleId, AnomalyEvent], bool], now: datetime) -> None:
        clears: list[Clear] = []
        for service, events in list(self._events.items()):
            for rule_id, event in list(events.items()):
                if not is_over(service, rule_id, event):
                    continue
                del events[rule_id]
                if event.phase is Phase.TOLD:
                    clears.append(Clear(AnomalyRule(rule_id, "").dedup_key(rate_digest(service)), now))
            if not events:
                del self._events[service]
        if clears:
            await self._teller.tell(self._tenant_id, (), clears)

    async def _reconcile(self, now: datetime) -> None:
        rules = await self._known_rules(now)
        told = {
            AnomalyRule(rule_id, "").dedup_key(rate_digest(service))
            for service, events in self._events.items()
            for rule_id, event in events.items()
            if event.phase is Phase.TOLD
        }
        await self._teller.end_others(self._tenant_id, rules.values(), AnomalyTarget.ALERT_RATE, told, now)
        self._is_reconciled = True

    def state(self) -> bytes:
        """Return the state as JSON."""
        return orjson.dumps(
            {
                "v": 1,
                "interval": self._settings.interval_seconds,
                "watches": {service: watch.told() for service, watch in self._watches.items()},
                "events": {
                    service: {str(rule_id): event_json(event) for rule_id, event in events.items()}
                    for service, events in self._events.items()
                },
            }
        )

    def recall(self, state: bytes) -> None:
        """Take a state on.

        Raises:
            StateMismatch: It is of another form.
        """
        try:
            told = orjson.loads(state)
            if (told["v"], told["interval"]) != (1, self._settings.interval_seconds):
                raise StateMismatch("alert rates were counted in another way")
            for service, watched in told["watches"].items():
                watch = self._watches[service] = RateWatch(self._settings)
                watch.recall(watched)
            self._events = {
                service: {AnomalyRuleId(UUID(rule)): event_of(event) for rule, event in events.items()}
                for service, events in told["events"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateMismatch("alert rates are written in another form") from error
