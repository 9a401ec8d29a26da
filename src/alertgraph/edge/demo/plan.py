"""What goes wrong in the demo, and when: values from a seed. The same seed gives the same plan, to the last label.

Nothing here waits, sends or reads a clock: `player` does.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from alertgraph.core.dedup import dedup_key_of
from alertgraph.core.severity import Severity
from alertgraph.edge.demo.companies import Company

STORM_LENGTH = timedelta(minutes=4)
"""How long one storm takes; the next one begins as it ends."""
SEED_MAX = 2**32 - 1
MONITOR = "nightly-backup"
BEAT_EVERY = timedelta(seconds=3)
CHAT = "chat"
FALLEN_CLUSTER = "core"
"""What all that falls together runs on; nothing else does."""


class Element(Enum):
    """What a storm is made of."""

    NOISE = "noise"
    FLAPPING = "flapping"
    CASCADE = "cascade"
    MAINTENANCE = "maintenance"
    NEGLECT = "neglect"
    CHANNEL_FAILURE = "channel failure"
    HEARTBEAT = "heartbeat"


class Dialect(Enum):
    """By which door an alert comes in."""

    GRAPHQL = "graphql"
    REST = "rest"
    ALERTMANAGER = "alertmanager"


@dataclass(frozen=True, slots=True)
class Fire:
    """An alert, or a repeat of one that is open."""

    dialect: Dialect
    key: str
    title: str
    description: str
    severity: Severity
    service: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Clear:
    """Its sender says that an alert is over."""

    fired: Fire


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Somebody takes alerts."""

    keys: Sequence[str]
    person: str
    note: str


@dataclass(frozen=True, slots=True)
class Resolve:
    """Somebody ends alerts."""

    keys: Sequence[str]
    person: str
    note: str


@dataclass(frozen=True, slots=True)
class Silence:
    """A maintenance window begins now."""

    service: str
    length: timedelta
    person: str
    comment: str


@dataclass(frozen=True, slots=True)
class Break:
    """A channel takes nothing for a while."""

    channel: str
    length: timedelta


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat monitor's sign of life."""

    name: str


Act = Fire | Clear | Acknowledge | Resolve | Silence | Break | Beat


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    Attributes:
        at: Since the begin of the storm.
        element: What it belongs to.
    """

    at: timedelta
    element: Element
    act: Act


@dataclass(frozen=True, slots=True)
class _Symptom:
    """What may be wrong with a thing: name for machines, words for people."""

    name: str
    words: str
    severity: Severity


_NOISE = (
    _Symptom("HighCpu", "CPU above 90 percent", Severity.LOW),
    _Symptom("DiskFilling", "Disk will be full in 3 days", Severity.LOW),
    _Symptom("SlowQueries", "Slow queries", Severity.MEDIUM),
    _Symptom("CertificateExpires", "Certificate expires in 20 days", Severity.INFO),
    _Symptom("PodRestarted", "Pod restarted twice", Severity.LOW),
    _Symptom("CacheMisses", "Cache hit rate below 80 percent", Severity.INFO),
    _Symptom("QueueGrows", "Queue backlog growing", Severity.MEDIUM),
    _Symptom("LoginFailures", "More failed logins than usual", Severity.MEDIUM),
    _Symptom("MemoryPressure", "Memory pressure", Severity.LOW),
    _Symptom("ErrorsInLog", "Errors in the log", Severity.LOW),
)
_ROOT = (
    _Symptom("PrimaryUnreachable", "Primary is unreachable", Severity.CRITICAL),
    _Symptom("ReplicationLag", "Replication lag above 30 s", Severity.HIGH),
    _Symptom("ConnectionsExhausted", "Connection pool exhausted", Severity.HIGH),
)
_FALLEN = (
    _Symptom("ErrorRate", "Error rate above 5 percent", Severity.HIGH),
    _Symptom("LatencyHigh", "Latency p99 above 2 s", Severity.HIGH),
    _Symptom("Timeouts", "Timeouts of a dependency", Severity.MEDIUM),
    _Symptom("QueueBacklog", "Requests pile up", Severity.MEDIUM),
)
_WORK = (
    _Symptom("NodeNotReady", "Node is not ready", Severity.HIGH),
    _Symptom("TargetDown", "Target is down", Severity.HIGH),
    _Symptom("ReplicasMissing", "Fewer replicas than wanted", Severity.MEDIUM),
)
_FINDINGS = (
    "Failing over to the replica.",
    "A long transaction holds a lock; ending it.",
    "The disk of the primary is gone; promoting the standby.",
    "Rolled the last change back.",
)


def storm(company: Company, seed: int, number: int) -> tuple[Step, ...]:
    """Return a company's storm, in order of time: it begins quietly and ends so.

    Args:
        company: Whose.
        seed: 0 to `SEED_MAX`; the same gives the same.
        number: Which of those that follow each other, from 0.
    """
    # A text, which Random digests in the same way in every process; a tuple it would not take.
    chance = random.Random(f"{seed}/{number}/{company.slug}")  # noqa: S311  (no secret)
    teller = _Teller(company, chance)
    steps = [
        *teller.noise(),
        *teller.flapping(),
        *teller.maintenance(),
        *teller.neglect(),
        *teller.cascade(),
        *teller.channel_failure(),
        *teller.heartbeat(),
    ]
    # Stable, so that what happens at one moment keeps its order.
    return tuple(sorted(steps, key=lambda step: step.at))


class _Teller:
    """Thinks out the parts of one storm."""

    def __init__(self, company: Company, chance: random.Random) -> None:
        self._company = company
        self._chance = chance

    def noise(self) -> Iterator[Step]:
        """What goes on all day, most of which ends by itself; the screen is not empty for long."""
        # Elsewhere than what falls, or it would be taken for a part of that.
        services = [name for name in self._company.needs if name not in self._company.distances()]
        at = 0.0
        count = 0
        last = STORM_LENGTH.total_seconds() - 20
        while at < last:
            dialect = self._chance.choice(tuple(Dialect))
            service = self._chance.choice(services)
            fire = self._fire(dialect, service, self._chance.choice(_NOISE))
            yield self._step(at, Element.NOISE, fire)
            if self._chance.random() < 0.3:
                again = min(at + self._chance.uniform(2, 12), last)
                yield self._step(again, Element.NOISE, fire)
            end = min(at + self._chance.uniform(12, 75), STORM_LENGTH.total_seconds() - 1)
            if self._chance.random() < 0.2:
                person = self._chance.choice(self._company.people)
                taken = at + (end - at) / 2
                note = "Known; it waits until tomorrow."
                yield self._step(taken, Element.NOISE, Acknowledge((fire.key,), person, note))
            yield self._step(end, Element.NOISE, Clear(fire))
            count += 1
            at += self._chance.uniform(0.2, 0.8) if count < 6 else self._chance.expovariate(1 / 8)

    def flapping(self) -> Iterator[Step]:
        """A check that fails and recovers, again and again."""
        symptom = _Symptom("HealthCheckFailed", "Health check failed", Severity.MEDIUM)
        fire = self._fire(Dialect.ALERTMANAGER, self._company.flapping, symptom, host=1)
        at = self._chance.uniform(4, 7)
        while at < 150:
            yield self._step(at, Element.FLAPPING, fire)
            at += self._chance.uniform(3, 6)
            yield self._step(at, Element.FLAPPING, Clear(fire))
            at += self._chance.uniform(4, 8)

    def maintenance(self) -> Iterator[Step]:
        """A window is announced, and then what is worked on complains."""
        service = self._company.maintained
        at = self._chance.uniform(8, 10)
        silence = Silence(
            service, timedelta(minutes=3), self._company.people[0], f"Planned: new kernels on {service}."
        )
        yield self._step(at, Element.MAINTENANCE, silence)
        for host in range(1, 7):
            at += self._chance.uniform(2, 6)
            symptom = _WORK[host % len(_WORK)]
            fire = self._fire(Dialect.ALERTMANAGER, service, symptom, host=host)
            yield self._step(at, Element.MAINTENANCE, fire)
            yield self._step(at + self._chance.uniform(40, 90), Element.MAINTENANCE, Clear(fire))

    def neglect(self) -> Iterator[Step]:
        """An alert that nobody takes until it has climbed all the way."""
        symptom = _Symptom("JobFailed", "Nightly job failed three times", Severity.HIGH)
        fire = self._fire(Dialect.GRAPHQL, self._company.neglected, symptom, host=1)
        yield self._step(2.5, Element.NEGLECT, fire)
        boss = self._company.people[-1]
        yield self._step(100, Element.NEGLECT, Acknowledge((fire.key,), boss, "I have it. Who was on call?"))
        yield self._step(
            self._chance.uniform(160, 200), Element.NEGLECT, Resolve((fire.key,), boss, "Started the job by hand.")
        )

    def cascade(self) -> Iterator[Step]:
        """The root fails, and a few seconds later what needs it, and what needs that."""
        begin = self._chance.uniform(18, 24)
        fired: list[Fire] = []
        for service, distance in self._company.distances().items():
            symptoms = _ROOT if distance == 0 else self._chance.sample(_FALLEN, self._chance.randint(2, 4))
            at = begin + distance * 4.5 + self._chance.uniform(0, 2)
            for symptom in symptoms:
                dialect = self._chance.choice(tuple(Dialect))
                fire = self._fire(dialect, service, symptom, host=1, cluster=FALLEN_CLUSTER)
                yield self._step(at, Element.CASCADE, fire)
                for _ in range(self._chance.randint(1, 4)):
                    yield self._step(at + self._chance.uniform(1, 25), Element.CASCADE, fire)
                fired.append(fire)
                at += self._chance.uniform(0.3, 1.5)
        person = self._company.people[1]
        taken = begin + self._chance.uniform(38, 46)
        finding = self._chance.choice(_FINDINGS)
        yield self._step(taken, Element.CASCADE, Acknowledge([fire.key for fire in fired[:3]], person, finding))
        rest = [fire.key for fire in fired[3:]]
        yield self._step(taken + 8, Element.CASCADE, Acknowledge(rest, person, "Follows from it."))
        at = begin + self._chance.uniform(95, 110)
        for fire in fired:
            yield self._step(at, Element.CASCADE, Clear(fire))
            at += self._chance.uniform(0.4, 2)

    def channel_failure(self) -> Iterator[Step]:
        """The chat is away for a while, and its fallback takes over."""
        yield self._step(self._chance.uniform(34, 40), Element.CHANNEL_FAILURE, Break(CHAT, timedelta(seconds=40)))

    def heartbeat(self) -> Iterator[Step]:
        """Signs of life that stay out for a while."""
        quiet_from, quiet_until = 45.0, 95.0
        at = 0.5
        while at < STORM_LENGTH.total_seconds() - 1:
            if not quiet_from <= at < quiet_until:
                yield self._step(at, Element.HEARTBEAT, Beat(MONITOR))
            at += BEAT_EVERY.total_seconds()

    def _step(self, at: float, element: Element, act: Act) -> Step:
        return Step(timedelta(milliseconds=round(at * 1000)), element, act)

    def _fire(
        self,
        dialect: Dialect,
        service: str,
        symptom: _Symptom,
        *,
        host: int | None = None,
        cluster: str | None = None,
    ) -> Fire:
        number = host if host is not None else self._chance.randint(1, 12)
        instance = f"{service}-{number}"
        labels = {
            "alertname": symptom.name,
            "instance": instance,
            "service": service,
            "cluster": cluster or service,
        }
        title = f"{symptom.words}: {instance}"
        if dialect is Dialect.ALERTMANAGER:
            labels["severity"] = symptom.severity.name.lower()
            key = dedup_key_of(labels, title=title, source="alertmanager", monitored_service=service)
        else:
            key = f"{symptom.name}/{instance}"
        text = f"{symptom.words} for {service}, seen by {instance}."
        return Fire(dialect, key, title, text, symptom.severity, service, labels)
