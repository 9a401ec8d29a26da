"""A tenant's log as it might be: alerts whose fate follows a rule that can be learnt, for drills and for load.

Made, not measured: it says whether the machinery does what it should, never how good a model is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from alertgraph.core.actor import ENGINE, Actor, ActorKind
from alertgraph.core.alert import AlertVerdict
from alertgraph.core.event import Event, EventKind, FieldChange, StoredEvent, instant_text
from alertgraph.core.ids import AlertId, FlushId
from alertgraph.core.severity import Severity

BEGINS = datetime(2026, 1, 5, tzinfo=UTC)
SENDER = Actor(ActorKind.SENDER, "prometheus")
PERSON = Actor(ActorKind.PERSON, "kim")
# How often what is so severe needs a person, in a world where that decides.
BY_SEVERITY = dict(zip(sorted(Severity), (0.03, 0.1, 0.35, 0.75, 0.95), strict=True))
FLUSH = FlushId(UUID(int=0))


@dataclass(frozen=True, slots=True)
class World:
    """How alerts of a made-up tenant turn out.

    Attributes:
        service_count: Services it watches.
        kind_count: Rules it has.
        gap_seconds: Between alerts, on average.
        seed: Of everything drawn.
        flip_share: Share of alerts that are judged the wrong way round, as by somebody who wants to mislead.
        turned: Whether what needed a person is now what resolves itself.
        by_severity: Whether its severity alone decides how an alert turns out: rates of its service and rule then
            say nothing.
        token: A text that is planted in every title, label and name of a service; empty for none.
    """

    service_count: int = 12
    kind_count: int = 8
    gap_seconds: float = 60.0
    seed: int = 7
    flip_share: float = 0.0
    turned: bool = False
    by_severity: bool = False
    token: str = ""


@dataclass(order=True, slots=True)
class _Waiting:
    at: float
    order: int
    event: Event = field(compare=False)


def made_log(
    world: World, alert_count: int, *, first_number: int = 1, begins: datetime = BEGINS
) -> Iterator[StoredEvent]:
    """Yield the events of so many alerts, in order and numbered without a gap.

    Args:
        world: How they turn out.
        alert_count: How many.
        first_number: Of the first event.
        begins: When the first alert comes in.
    """
    draw = np.random.default_rng(world.seed)
    needs = draw.beta(0.6, 0.9, (world.service_count, world.kind_count))
    waiting: list[_Waiting] = []
    number, order, at = first_number, 0, 0.0
    for place in range(alert_count):
        at += float(draw.exponential(world.gap_seconds))
        service, kind = int(draw.integers(world.service_count)), int(draw.integers(world.kind_count))
        severity = list(Severity)[int(draw.integers(len(Severity)))]
        chance = BY_SEVERITY[severity] if world.by_severity else float(needs[service, kind])
        bad = draw.random() < (1 - chance if world.turned else chance)
        alert_id = AlertId(UUID(int=(place + first_number << 32) | world.seed))
        for then, event in _life(world, draw, alert_id, begins, at, service, kind, severity, bad=bool(bad)):
            heapq.heappush(waiting, _Waiting(then, order, event))
            order += 1
        while waiting and waiting[0].at <= at:
            yield _stored(heapq.heappop(waiting), number, begins)
            number += 1
    while waiting:
        yield _stored(heapq.heappop(waiting), number, begins)
        number += 1


def batches(events: Sequence[StoredEvent], sizes: Sequence[int]) -> Iterator[Sequence[StoredEvent]]:
    """Yield events cut into batches of these sizes, over and over."""
    start, turn = 0, 0
    while start < len(events):
        size = sizes[turn % len(sizes)]
        yield events[start : start + size]
        start, turn = start + size, turn + 1


def _life(
    world: World,
    draw: np.random.Generator,
    alert_id: AlertId,
    begins: datetime,
    at: float,
    service: int,
    kind: int,
    severity: Severity,
    *,
    bad: bool,
) -> Iterator[tuple[float, Event]]:
    """Yield the events of one alert with the seconds at which they come."""
    token = world.token
    allowed = (900.0, 4 * 3600.0)
    triggered = begins + timedelta(seconds=at)

    def told(kind_of: EventKind, then: float, actor: Actor = SENDER, **rest: Any) -> tuple[float, Event]:
        return then, Event(
            kind=kind_of,
            actor=actor,
            decided_at=begins + timedelta(seconds=then),
            alert_id=alert_id,
            dedup_key=str(alert_id),
            title=f"{token}rule {kind} fires on host-{int(alert_id) >> 32}",
            severity_after=severity,
            service_after=f"{token}service-{service}",
            source="prometheus",
            labels={
                "alertname": f"{token}rule-{kind}",
                "team": f"team-{service % 3}",
                "instance": f"{token}h{service}",
            },
            **rest,
        )

    detail: Mapping[str, Any] = {
        "triggeredAt": instant_text(triggered),
        "acknowledgeBy": instant_text(triggered + timedelta(seconds=allowed[0])),
        "resolveBy": instant_text(triggered + timedelta(seconds=allowed[1])),
    }
    yield told(EventKind.TRIGGERED, at, detail=detail)
    lasts = float(draw.lognormal(np.log(5_400.0 if bad else 240.0), 0.7))
    if bad:
        taken = min(float(draw.lognormal(np.log(300.0), 0.6)), lasts * 0.9)
        if draw.random() < 0.7:
            level = {"level": 2}
            yield told(EventKind.ESCALATED, at + taken * 0.8, ENGINE, detail=level)
        yield told(EventKind.ACKNOWLEDGED, at + taken, PERSON, elapsed_ms=int(taken * 1000))
        if draw.random() < 0.3:
            yield told(EventKind.REPEATED, at + taken, detail={"occurrenceCount": 2})
    late = lasts > allowed[1]
    if late:
        yield told(EventKind.SLA_BREACHED, at + allowed[1], ENGINE, detail={"time": "resolve"})
    yield told(
        EventKind.RESOLVED,
        at + lasts,
        elapsed_ms=int(lasts * 1000),
        sla_met=not late,
        self_resolved=not bad,
    )
    flips = draw.random() < world.flip_share
    if flips or draw.random() < 0.1:
        verdict = AlertVerdict.ACTIONABLE if bad is not flips else AlertVerdict.NOISE
        change = FieldChange("verdict", None, verdict.name)
        yield told(EventKind.FEEDBACK_GIVEN, at + lasts + 60.0, PERSON, changes=(change,))


def _stored(waiting: _Waiting, number: int, begins: datetime) -> StoredEvent:
    recorded_at = begins + timedelta(seconds=waiting.at)
    return StoredEvent(number, recorded_at, FLUSH, waiting.event, "", b"", None)
