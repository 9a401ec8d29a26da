"""What one append writes: decided beforehand, so that nothing is decided under the lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from alertgraph.core.alert import Alert
from alertgraph.core.catalog import Catalog
from alertgraph.core.delivery import Delivery, Finish
from alertgraph.core.event import SealedEvent
from alertgraph.core.ids import AlertId, DeliveryId, FlushId, IncidentId
from alertgraph.core.incident import Incident
from alertgraph.core.inhibition import InhibitionKey
from alertgraph.core.metrics import Tally
from alertgraph.core.prediction import Prediction, ShadowPrediction
from alertgraph.core.severity import Severity
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import TenantSettings
from alertgraph.core.value import quick

COMMAND_COUNT_MAX = 256
EVENT_COUNT_MAX = 1000


@dataclass(frozen=True, slots=True)
class TenantConfig:
    """What decisions need of a tenant's configuration, as of `version` of it."""

    version: int
    settings: TenantSettings
    sla_targets: Mapping[Severity, SlaTarget]
    catalog: Catalog = field(default_factory=Catalog)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's promise that two requests are one.

    Attributes:
        operation: Such as createAlert; the same key means another thing for another operation or caller.
        subject: Whose key it is.
        key: As given, 1 to 255 characters.
        request_hash: SHA-256 of the request's contents.
    """

    operation: str
    subject: str
    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What was answered to an idempotency key the first time."""

    key: IdempotencyKey
    answer: str


@quick
@dataclass(frozen=True, slots=True)
class Reliance:
    """What a decision took for granted; the append refuses when any of it has changed.

    Attributes:
        config_version: None where no configuration mattered.
        keys: Dedup key to the version of its open alert, None where there was none.
        alerts: Alert to its version, open or closed.
        incidents: Incident to its version; None where there was none.
        group_keys: Group key to the version of the unresolved incident that has it; None where there was none.
    """

    config_version: int | None = None
    keys: Mapping[str, int | None] = field(default_factory=dict)
    alerts: Mapping[AlertId, int] = field(default_factory=dict)
    incidents: Mapping[IncidentId, int | None] = field(default_factory=dict)
    group_keys: Mapping[bytes, int | None] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class AlertWrite:
    """An alert as it is after the flush.

    Attributes:
        event_index: Index in the flush of the last event about it: its version is that event's number.
        occurrence_delta: Added to the stored count of one that exists, since repeats may be counted at
            the same time; a new alert is stored with its own count.
        is_new: Whether it has no row yet.
        was_closed: Whether its row is among the closed ones already (only verdict, incident, advice and version
            change then).
        inhibits: What it is a source of afterwards; None where no inhibition rule mattered, before or now.
        skips_pages: Whether pages about it that wait are not wanted any more.
        only_advice: Whether it is open and nothing of it changed but the advice, which stands in `predictions`.
    """

    alert: Alert
    event_index: int
    occurrence_delta: int = 0
    is_new: bool = False
    was_closed: bool = False
    inhibits: frozenset[InhibitionKey] | None = None
    skips_pages: bool = False
    only_advice: bool = False


@quick
@dataclass(frozen=True, slots=True)
class IncidentWrite:
    """An incident as it is after the flush.

    Attributes:
        event_index: Index in the flush of the last event about it: its version is that event's number. None where
            none tells of it, so that it keeps the version it has.
        is_new: Whether it has no row yet.
    """

    incident: Incident
    event_index: int | None
    is_new: bool = False


@quick
@dataclass(frozen=True, slots=True)
class NewPrediction:
    """What a model said of an alert, with all that is kept of it.

    Attributes:
        features: What it looked at, as it writes it.
        shadow: What a version said that is being tried beside the active one.
    """

    alert_id: AlertId
    prediction: Prediction
    features: bytes = b""
    shadow: ShadowPrediction | None = None


@quick
@dataclass(frozen=True, slots=True)
class Touch:
    """Repeats of an open alert that change nothing else, so that they need no event and no head.

    Attributes:
        version: The version it must still have.
        count: How many repeats.
        count_below: The stored count must stay below this: reaching a power of two is worth an event.
    """

    alert_id: AlertId
    version: int
    count: int
    count_below: int
    last_seen_at: datetime
    resolve_at: datetime | None
    resolve_by_timeout: bool


@quick
@dataclass(frozen=True, slots=True)
class Flush:
    """Everything that one append writes, for one tenant.

    Attributes:
        deliveries: New ones, to be sent from their due time on.
        finishes: Ends of deliveries; refused as stale where one is not open under its fence.
    """

    id: FlushId
    reliance: Reliance
    events: tuple[SealedEvent, ...] = ()
    writes: tuple[AlertWrite, ...] = ()
    touches: tuple[Touch, ...] = ()
    tally: Tally = field(default_factory=Tally)
    answers: tuple[StoredAnswer, ...] = ()
    raises_config_version: bool = False
    deliveries: tuple[Delivery, ...] = ()
    finishes: tuple[Finish, ...] = ()
    incidents: tuple[IncidentWrite, ...] = ()
    predictions: tuple[NewPrediction, ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class Appended:
    """What the append gave the flush.

    Attributes:
        first_number: Number of its first event; the head's number plus one where it has no event.
        recorded_at: Of all its events.
        link: The chain's hash behind it.
        occurrence_counts: The stored count of every alert that was written or touched.
    """

    first_number: int
    recorded_at: datetime
    link: bytes
    occurrence_counts: Mapping[AlertId, int]


@dataclass(frozen=True, slots=True)
class Head:
    """Where a tenant's log ends.

    Attributes:
        number: Of the last event; 0 for an empty log.
        leaf: Of the last event; zeros for an empty log.
        link: The chain's hash; zeros for an empty log.
        pruned_number: Of the last event that retention removed; 0 where none was.
        pruned_link: The chain's hash behind it: where a check of what is left begins.
    """

    number: int
    recorded_at: datetime
    leaf: bytes
    link: bytes
    config_version: int
    log_epoch: int
    pruned_number: int
    pruned_link: bytes


@dataclass(frozen=True, slots=True)
class Incidents:
    """What was asked for of incidents.

    Attributes:
        by_id: Every incident that was asked for; None where there is none.
        by_key: Every group key that was asked for, with the unresolved incident that has it.
    """

    by_id: Mapping[IncidentId, Incident | None] = field(default_factory=dict)
    by_key: Mapping[bytes, Incident | None] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Loaded:
    """The state that some commands are about.

    Attributes:
        by_key: The open alerts among the asked dedup keys.
        by_id: The open and closed alerts among the asked ids.
        answers: The stored answers among the asked idempotency keys, by (operation, subject, key).
        deliveries: The open deliveries among those asked for.
        incidents: Every incident that was asked for; None where there is none.
        groups: Every group key that was asked for, with the unresolved incident that has it.
    """

    by_key: Mapping[str, Alert]
    by_id: Mapping[AlertId, Alert]
    answers: Mapping[tuple[str, str, str], StoredAnswer]
    deliveries: Mapping[DeliveryId, Delivery] = field(default_factory=dict)
    incidents: Mapping[IncidentId, Incident | None] = field(default_factory=dict)
    groups: Mapping[bytes, Incident | None] = field(default_factory=dict)
