"""What services need of the world, as protocols. The wiring alone knows who fulfils them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.alert_link import AlertLink, Related
from alertgraph.core.anomaly import Judged
from alertgraph.core.catalog import Change
from alertgraph.core.channel import Channel, ChannelKind, WebhookPreset
from alertgraph.core.checkpoint import Checkpoint, SignedCheckpoint
from alertgraph.core.correlation import PairScorer
from alertgraph.core.cursor import LogCursor
from alertgraph.core.delivery import Attempt, ChannelHealth, Claim, Delivery, DeliveryQuery, Place, Reach, Retry
from alertgraph.core.document import DocumentMode, DocumentSource, ManifestEntry, TrustedDocument
from alertgraph.core.event import EventKind, SealedEvent, StoredEvent
from alertgraph.core.flush import (
    Appended,
    Flush,
    Head,
    IdempotencyKey,
    Incidents,
    Loaded,
    StoredAnswer,
    TenantConfig,
)
from alertgraph.core.health import EngineFigures
from alertgraph.core.ids import (
    AlertId,
    ApiKeyId,
    ChannelId,
    DeliveryId,
    EventKey,
    FlushId,
    IncidentId,
    ModelId,
    MonitorId,
    SavedViewId,
    SilenceId,
    TenantId,
)
from alertgraph.core.incident import Incident
from alertgraph.core.inhibition import InhibitionKey
from alertgraph.core.labels import Matcher
from alertgraph.core.learning import Example, ModelFigures, Outcome, Scored, Taken
from alertgraph.core.merkle import TileAt, Tiles
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.core.metrics import MetricsWindow, Tally
from alertgraph.core.monitored_service import Dependencies, MonitoredService
from alertgraph.core.noise import History, HoldRecord, NoiseEvidence, NoiseFigures, NoisePolicy
from alertgraph.core.pair_labels import PairExample
from alertgraph.core.prediction import FeatureContribution, Prediction
from alertgraph.core.prediction_model import PredictionModel
from alertgraph.core.query import (
    AlertQuery,
    EventQuery,
    EventVisibility,
    IncidentQuery,
    Page,
    PageRequest,
    TimelineQuery,
)
from alertgraph.core.schedule import ShiftOverride
from alertgraph.core.sealing import Growth, Refusal, TreeState
from alertgraph.core.silence import Silence, SilenceState
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import ApiKey, SavedView, Tenant, TenantSettings


class Clock(Protocol):
    """The one clock."""

    def now(self) -> datetime:
        """Return the present instant, aware and in UTC."""
        ...

    async def sleep(self, duration: timedelta) -> None:
        """Return after that long, by this clock."""
        ...


class Dice(Protocol):
    """The one source of randomness."""

    def bits(self, count: int) -> int:
        """Return that many random bits, fit for secrets."""
        ...

    def fraction(self) -> float:
        """Return a number from 0 to 1, 1 not included."""
        ...


class TenantLog(Protocol):
    """The write side: a tenant's log and what is derived from it.

    Every method raises DependencyError where the store is away.
    """

    async def config(self, tenant_id: TenantId) -> TenantConfig | None:
        """Return the tenant's configuration; None where there is no such tenant."""
        ...

    async def open_alerts(self, tenant_id: TenantId, limit: int) -> tuple[Sequence[Alert], bool]:
        """Return open alerts, newest first, and whether these are all."""
        ...

    async def load(
        self,
        tenant_id: TenantId,
        keys: Collection[str],
        alert_ids: Collection[AlertId],
        idempotency_keys: Collection[IdempotencyKey],
        delivery_ids: Collection[DeliveryId] = (),
    ) -> Loaded:
        """Return the state that some commands are about, in one round trip and without a lock."""
        ...

    async def load_incidents(
        self, tenant_id: TenantId, ids: Collection[IncidentId], group_keys: Collection[bytes]
    ) -> Incidents:
        """Return incidents that decisions turned out to be about, in one round trip and without a lock."""
        ...

    async def append(self, tenant_id: TenantId, flush: Flush) -> Appended:
        """Write a flush: all of it or nothing, in one call.

        Args:
            tenant_id: Whose log.
            flush: What was decided.

        Raises:
            StaleDecisionError: Something the flush relied on has changed; nothing was written.
            LostCommitError: The connection broke while the answer was awaited: see `find_flush`.
            PoisonError: The store refuses these very rows, whatever the state; nothing was written.
            DependencyError: The store is away; nothing was written.
        """
        ...

    async def append_locked(
        self,
        tenant_id: TenantId,
        keys: Collection[str],
        alert_ids: Collection[AlertId],
        idempotency_keys: Collection[IdempotencyKey],
        decide: Callable[[TenantConfig, Loaded], Flush],
        delivery_ids: Collection[DeliveryId] = (),
        incident_ids: Collection[IncidentId] = (),
        group_keys: Collection[bytes] = (),
    ) -> tuple[Flush, Appended]:
        """Load, decide and write while the head's lock is held: the slow way, after repeated refusals.

        Raises:
            The same as `append`; StaleDecisionError only where `decide` relied on what it had not asked for.
        """
        ...

    async def find_flush(self, tenant_id: TenantId, flush: Flush) -> Appended | None:
        """Return what became of a flush whose answer was lost, once it can't be under way any more.

        Takes the head's lock, so that a commit still in progress is waited for. None: it was not written.
        """
        ...

    async def head(self, tenant_id: TenantId) -> Head | None:
        """Return where the tenant's log ends; None where there is no such tenant."""
        ...

    async def heads(self, tenant_ids: Collection[TenantId]) -> Mapping[TenantId, int]:
        """Return the number of the last event of each tenant: what the sweep for lost hints reads."""
        ...

    async def events_after(self, tenant_id: TenantId, after: LogCursor, limit: int) -> Sequence[StoredEvent]:
        """Return the events behind a position, in order and without a gap."""
        ...

    async def check_cursor(self, tenant_id: TenantId, cursor: LogCursor) -> None:
        """Return where one can read on from the cursor.

        Raises:
            CursorExpiredError: What is behind it is gone, or it is of another log.
        """
        ...


class Deliveries(Protocol):
    """Messages to be sent, and how the channels do that they go over.

    New ones and ends are written by `TenantLog.append`, with the events that tell of them; what lies between,
    claims and attempts, is written here and is no event. Every method raises DependencyError where the store
    is away.
    """

    async def due_tenants(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants with deliveries to look at, those due longest first. Who has work is all that is told."""
        ...

    async def next_due_at(self) -> datetime | None:
        """Return the earliest due time of all tenants' deliveries."""
        ...

    async def due(self, tenant_id: TenantId, now: datetime, limit: int) -> Sequence[Delivery]:
        """Return a tenant's deliveries that are due, somebody's first news before all others, then the oldest.

        Among them are those whose attempt's lease ran out, and those that are not wanted any more.
        """
        ...

    async def health(self, tenant_id: TenantId) -> Mapping[ChannelId, ChannelHealth]:
        """Return how the tenant's channels do; one that was never used is absent."""
        ...

    async def reach(
        self, tenant_id: TenantId, places: Collection[Place], kept_since: datetime
    ) -> Mapping[Place, Reach]:
        """Return for each of these whether anybody knows of the alert.

        What is older than `kept_since` may be gone, so that an alert of before counts as told.
        """
        ...

    async def claim(
        self,
        tenant_id: TenantId,
        claims: Sequence[Claim],
        now: datetime,
        lease_until: datetime,
        next_send_at: Mapping[ChannelId, datetime],
    ) -> Collection[DeliveryId]:
        """Begin attempts: return those deliveries that are still wanted and as they were read.

        They are SENDING until `lease_until`; afterwards anybody may claim them again. Each attempt is a row from
        now on. `next_send_at` puts the channels' next turns off.
        """
        ...

    async def retry(self, tenant_id: TenantId, retries: Sequence[Retry]) -> None:
        """Put deliveries back whose attempt failed, under their fence; one not wanted any more is due at once."""
        ...

    async def put_off(self, tenant_id: TenantId, due_at: Mapping[DeliveryId, datetime], now: datetime) -> None:
        """Look at deliveries that wait for their channel's turn no earlier than then; those in work are left.

        One whose attempt's lease has run out by `now` waits, too.
        """
        ...

    async def note_health(
        self, tenant_id: TenantId, channel_id: ChannelId, decide: Callable[[ChannelHealth], ChannelHealth]
    ) -> ChannelHealth:
        """Change how a channel does, by what it is while nobody else changes it, and return it."""
        ...

    async def receipt(
        self, tenant_id: TenantId, alert_id: AlertId, channel_id: ChannelId, address: str | None
    ) -> str | None:
        """Return what the provider called the message about an alert, as JSON; None where none was sent."""
        ...

    async def record(self, tenant_id: TenantId, delivery: Delivery, attempt: Attempt) -> None:
        """Keep a delivery that was made past the queue, such as a test, with its only attempt."""
        ...


class Notifier(Protocol):
    """Speaks to providers, each channel in its own way."""

    async def send(
        self,
        channel: Channel,
        secrets: Mapping[str, str],
        address: str | None,
        message: Message,
    ) -> SendResult:
        """Make one attempt and return what came of it; raises nothing but cancellation."""
        ...

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return what would be sent, signatures and secrets left out.

        Raises:
            InputError: The channel's template can't be used; the message names line and column.
        """
        ...

    def check_template(self, kind: ChannelKind, preset: WebhookPreset | None, template: str) -> None:
        """Let a template pass that renders for any alert.

        Raises:
            InputError: It can't be used; the message names line and column, the path is `template`.
        """
        ...

    async def check_url(self, url: str, *path: str) -> None:
        """Let an address pass that may be posted to.

        Raises:
            InputError: It is no http(s) address, or private where the installation does not allow that.
        """
        ...


class Monitors(Protocol):
    """When monitors beat last: no configuration, and no events. Raises DependencyError where the store is away."""

    async def beat(self, tenant_id: TenantId, monitor_id: MonitorId, at: datetime, due_at: datetime) -> bool:
        """Keep a beat; return whether the monitor's alert was raised and is to be ended."""
        ...

    async def due(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, MonitorId, datetime]]:
        """Return monitors of all tenants whose beat stayed out, since when, and whose alert was not raised yet."""
        ...

    async def raised(self, tenant_id: TenantId, monitor_id: MonitorId, due_at: datetime) -> None:
        """Keep that the alert was raised of the beat that was due then; another beat meanwhile wins."""
        ...


class DeadManTurns(Protocol):
    """Whose dead-man beat is due: no event tells of it. Raises DependencyError where the store is away."""

    async def due(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants that have set up a beat and whose turn has come, those due longest first."""
        ...

    async def claim(self, tenant_id: TenantId, now: datetime, every: timedelta) -> bool:
        """Take a tenant's turn; False where somebody else has taken it. The next one comes a period later."""
        ...


class AlertLinks(Protocol):
    """Links between alerts that are believed to belong together; no events. A snapshot reads them."""

    async def keep(self, tenant_id: TenantId, links: Sequence[AlertLink], until: datetime) -> None:
        """Keep links, those that are kept already as they are, and that alerts were looked at up to `until`.

        Raises:
            DependencyError: The store is away; none of them is kept.
        """
        ...


@dataclass(frozen=True, slots=True)
class SealingTurn:
    """What came of a sealer's turn at one tenant's log.

    Attributes:
        signed: The new checkpoint; None where nothing was new, or it was refused.
        count: How many events it covers more than the one before.
        refusal: Why the log is not sealed.
        has_more: Whether events are left for another turn.
    """

    signed: SignedCheckpoint | None = None
    count: int = 0
    refusal: Refusal | None = None
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class AuditLag:
    """How far the trees are behind, over all tenants.

    Attributes:
        event_count: Events that no checkpoint covers yet.
        refused_count: Logs that are not sealed, since they contradict what was signed.
    """

    event_count: int
    refused_count: int


class AuditTrees(Protocol):
    """The Merkle trees that prove the logs. Every method raises DependencyError where the store is away."""

    async def due(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants whose log has grown for a minute or by a thousand events, the longest ago first."""
        ...

    async def keys(self, first_public_key: bytes) -> Sequence[tuple[int, bytes]]:
        """Return the installation's public keys by generation, the newest first; the first one is remembered."""
        ...

    async def lag(self) -> AuditLag:
        """Return how far all tenants' trees together are behind their logs."""
        ...

    async def turn(
        self,
        tenant_id: TenantId,
        kept_size: int | None,
        now: datetime,
        decide: Callable[[TreeState], Growth | Refusal | None],
        sign: Callable[[Checkpoint], SignedCheckpoint],
    ) -> SealingTurn | None:
        """Grow a tenant's tree by one step, all or nothing; None where another process is at it.

        Args:
            tenant_id: Whose.
            kept_size: Of the checkpoint that is kept outside, whose root `decide` will compare; None for none.
            now: When it is.
            decide: Pure; takes what there is.
            sign: Signs the checkpoint that was decided on.
        """
        ...


class Witness(Protocol):
    """Keeps the newest checkpoint of each tenant outside the database, which may be restored or rewritten.

    Each raises OSError where the place can't be read or written.
    """

    def newest(self, tenant_id: TenantId) -> str | None:
        """Return the note that was kept last; None where there is none."""
        ...

    def keep(self, tenant_id: TenantId, note: str) -> None:
        """Keep a note in place of the one before."""
        ...


class Signer(Protocol):
    """A key that signs checkpoints."""

    @property
    def public_key(self) -> bytes:
        """Ed25519, 32 bytes."""
        ...

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text."""
        ...


class PairScorers(Protocol):
    """Fits what says of two alerts whether they belong together, where the table is no longer the best."""

    def fit(self, examples: Sequence[PairExample]) -> str:
        """Return a scorer fitted on what people have said, as text; the same for the same. Takes seconds."""
        ...

    def load(self, fitted: str) -> PairScorer:
        """Return the scorer that a text is.

        Raises:
            ForeignStateError: It is of another form.
        """
        ...


class LostCommitError(Exception):
    """The connection broke while a commit was awaited: it may have happened or not."""


class PoisonError(Exception):
    """The store refuses a flush for what is in it; the message says what, without values."""


class DueWork(Protocol):
    """Which tenants have alerts whose time has come."""

    async def due_tenants(self, now: datetime, limit: int) -> Sequence[TenantId]:
        """Return tenants with something due, those due longest first. Who has work is all that is told."""
        ...

    async def next_due_at(self) -> datetime | None:
        """Return the earliest due time of all tenants; None where nothing is due by itself."""
        ...

    def claim(self, tenant_id: TenantId) -> AbstractAsyncContextManager[bool]:
        """Hold a tenant's work for the length of the context; False where another process has it."""
        ...

    async def due_alerts(self, tenant_id: TenantId, now: datetime, limit: int) -> Sequence[Alert]:
        """Return a tenant's alerts that are due, oldest due time first."""
        ...

    async def inhibitors(
        self, tenant_id: TenantId, keys: Collection[InhibitionKey]
    ) -> Mapping[InhibitionKey, Sequence[AlertId]]:
        """Return the open alerts, at most ten for each, that are a source under these keys."""
        ...

    async def unjudged_tenants(self, limit: int) -> Sequence[TenantId]:
        """Return tenants where a change may have set alerts free since the held ones were looked at."""
        ...

    async def judge_anew(self, tenant_id: TenantId, now: datetime, after: AlertId | None) -> AlertId | None:
        """Make the next thousand held alerts due now that another configuration may set free.

        Returns the id of the last one looked at, to go on behind; None once all were, and then this is kept.
        """
        ...

    async def sources(self, tenant_id: TenantId, after: AlertId | None, limit: int) -> Sequence[Alert]:
        """Return open alerts behind an id, in its order: to find what inhibits under changed rules."""
        ...

    async def keep_sources(
        self,
        tenant_id: TenantId,
        inhibits: Mapping[AlertId, frozenset[InhibitionKey]],
        versions: Mapping[AlertId, int],
    ) -> None:
        """Replace what these open alerts are a source of; one that is closed meanwhile is none.

        One that is not of its version any more is left as whoever rewrote it has left it.
        """
        ...

    async def open_alert_count(self) -> int:
        """Return how many alerts are open, of all tenants together."""
        ...

    async def rearm(self, tenant_id: TenantId, alerts: Sequence[Alert], due_at: datetime | None = None) -> None:
        """Set when alerts are looked at next, theirs or the one given, where they are unchanged."""
        ...


class Snapshot(Protocol):
    """One tenant's data as of one moment; closed when the operation ends.

    Methods may be called concurrently: they take turns on one connection. Each raises DependencyError
    where the store is away.
    """

    async def renew(self) -> None:
        """Let go of the moment: what is read from here on is as of the next read."""
        ...

    async def as_of(self) -> LogCursor:
        """Return where the log ended at that moment."""
        ...

    async def tenant(self) -> Tenant:
        """Return the tenant."""
        ...

    async def settings(self) -> TenantSettings:
        """Return what an ADMIN may set."""
        ...

    async def config(self) -> TenantConfig:
        """Return the settings, promises and the whole catalog; cached by its version."""
        ...

    async def silence_page(
        self, page: PageRequest, states: Collection[SilenceState], now: datetime
    ) -> Page[Silence]:
        """Return silences in these states (all where empty), latest end first, with the total count."""
        ...

    async def silences(self, ids: Collection[SilenceId]) -> Mapping[SilenceId, Silence]:
        """Return the silences that exist among the ids, those that are over included."""
        ...

    async def overrides(self, since: datetime, until: datetime) -> Sequence[ShiftOverride]:
        """Return the overrides of all schedules that touch [since, until), by begin, also those long over."""
        ...

    async def deliveries(self, ids: Collection[DeliveryId]) -> Mapping[DeliveryId, Delivery]:
        """Return the deliveries that exist among the ids."""
        ...

    async def delivery_page(self, query: DeliveryQuery) -> Page[Delivery]:
        """Return deliveries over all alerts, newest first."""
        ...

    async def deliveries_of(
        self, alert_ids: Collection[AlertId], page: PageRequest
    ) -> Mapping[AlertId, Page[Delivery]]:
        """Return the same page of several alerts' deliveries, oldest first."""
        ...

    async def attempts_of(self, ids: Collection[DeliveryId]) -> Mapping[DeliveryId, Sequence[Attempt]]:
        """Return each try of several deliveries, oldest first."""
        ...

    async def channel_health(self) -> Mapping[ChannelId, ChannelHealth]:
        """Return how the tenant's channels do; one that was never used is absent."""
        ...

    async def inhibitors(self, alert_ids: Collection[AlertId], limit: int) -> Mapping[AlertId, Sequence[AlertId]]:
        """Return up to `limit` open alerts that cover each of these open alerts under the rules of today."""
        ...

    async def inhibitors_of(self, values: Mapping[str, str], limit: int) -> Sequence[AlertId]:
        """Return up to `limit` open alerts that would cover a new one in which matchers see these values."""
        ...

    async def waiting_deliveries(self, alert_id: AlertId, limit: int) -> Sequence[Delivery]:
        """Return up to `limit` deliveries about an alert that have come to no end yet, oldest first."""
        ...

    async def last_beats(self, ids: Collection[MonitorId]) -> Mapping[MonitorId, datetime]:
        """Return when monitors beat last; one that never did is absent."""
        ...

    async def open_alerts_by_key(self, keys: Collection[str]) -> Mapping[str, Alert]:
        """Return the open alerts with these dedup keys."""
        ...

    async def matching(self, matchers: Sequence[Matcher], since: datetime | None, limit: int) -> Sequence[Alert]:
        """Return open alerts, or with `since` all triggered since then, that match; worst first, then newest."""
        ...

    async def engine_figures(self, now: datetime) -> EngineFigures:
        """Return what `engineHealth` is told from."""
        ...

    async def audit_head(self) -> SignedCheckpoint | None:
        """Return the newest signed state of the log; None where there is none yet."""
        ...

    async def audit_tiles(self, wanted: Collection[TileAt]) -> Tiles:
        """Return the tiles of the log's tree that exist among those wanted."""
        ...

    async def sla_targets(self) -> Sequence[SlaTarget]:
        """Return the promises, worst severity first."""
        ...

    async def alerts(self, ids: Collection[AlertId]) -> Mapping[AlertId, Alert]:
        """Return the alerts that exist among the ids, open and closed."""
        ...

    async def alert_page(self, query: AlertQuery) -> Page[Alert]:
        """Return a page of alerts.

        Raises:
            InputError: A cursor is not of this order, or a filter can't be used; the path names it.
        """
        ...

    async def incidents(self, ids: Collection[IncidentId]) -> Mapping[IncidentId, Incident]:
        """Return the incidents that exist among the ids."""
        ...

    async def incident_page(self, query: IncidentQuery) -> Page[Incident]:
        """Return a page of incidents, newest first.

        Raises:
            InputError: A cursor is not of this list.
        """
        ...

    async def alerts_by_incident(
        self, ids: Collection[IncidentId], page: PageRequest
    ) -> Mapping[IncidentId, Page[Alert]]:
        """Return the same page of several incidents' alerts, newest first, with their total counts.

        Raises:
            InputError: A cursor is not of such a list.
        """
        ...

    async def incident_timelines(
        self,
        ids: Collection[IncidentId],
        kinds: frozenset[EventKind] | None,
        page: PageRequest,
        visibility: EventVisibility,
    ) -> Mapping[IncidentId, Page[StoredEvent]]:
        """Return the same page of several incidents' timelines, of their alerts' too, oldest first."""
        ...

    async def alerts_in(
        self, ids: Collection[IncidentId], statuses: Collection[AlertStatus], limit: int
    ) -> Sequence[AlertId]:
        """Return up to `limit` alerts of these incidents that stand so, open ones first."""
        ...

    async def service_page(self, prefix: str, page: PageRequest) -> Page[MonitoredService]:
        """Return a page of things watched whose names begin so, by name, forward, with the total count.

        Raises:
            InputError: The cursor is not of this list.
        """
        ...

    async def services(self, names: Collection[str]) -> Mapping[str, MonitoredService]:
        """Return those of the things watched that an alert or a dependency has named."""
        ...

    async def services_beside(
        self, names: Collection[str], limit: int, *, dependents: bool
    ) -> Mapping[str, Sequence[MonitoredService]]:
        """Return up to `limit` things that each of these needs, or that need it, by name."""
        ...

    async def related(self, alert_ids: Collection[AlertId], limit: int) -> Mapping[AlertId, Sequence[Related]]:
        """Return up to `limit` links of each alert, from either end, best first; one without links is absent."""
        ...

    async def correlated_until(self) -> datetime | None:
        """Return up to when alerts have been looked at for links; None where nobody has looked at any."""
        ...

    async def event_page(self, query: EventQuery) -> Page[StoredEvent]:
        """Return a page of the log, oldest first."""
        ...

    async def timelines(self, query: TimelineQuery) -> Mapping[AlertId, Page[StoredEvent]]:
        """Return the same page of several alerts' timelines, in one round trip."""
        ...

    async def events(self, keys: Collection[EventKey]) -> Mapping[EventKey, StoredEvent]:
        """Return the events that exist among the keys."""
        ...

    async def label_suggestions(self, label: str | None, prefix: str, limit: int) -> Sequence[str]:
        """Return names of labels in use, or one label's values, the commonest first."""
        ...

    async def tally(self, window: MetricsWindow) -> Tally:
        """Return the counters and durations of a window, exact to the event."""
        ...

    async def tally_series(self, window: MetricsWindow, bucket: timedelta) -> Sequence[tuple[datetime, Tally]]:
        """Return the counters cut into buckets, zeros included, by start; durations are left out.

        Buckets begin on whole hours, or days where they last days: the first may be shorter.
        """
        ...

    async def open_counts(self, window: MetricsWindow) -> Tally:
        """Return how many were open at the window's end, by group, in `opened`."""
        ...

    async def open_alert_count(self) -> int:
        """Return how many alerts are open now."""
        ...

    async def saved_view_page(self, page: PageRequest, subject: str) -> Page[SavedView]:
        """Return a subject's own views and the shared ones, by name, with the total count."""
        ...

    async def saved_views(self, ids: Collection[SavedViewId], subject: str) -> Mapping[SavedViewId, SavedView]:
        """Return those of the views that the subject may see."""
        ...

    async def api_key_page(self, page: PageRequest) -> Page[ApiKey]:
        """Return the tenant's keys, newest first, with the total count."""
        ...

    async def api_keys(self, ids: Collection[ApiKeyId]) -> Mapping[ApiKeyId, ApiKey]:
        """Return the keys that exist among the ids."""
        ...

    async def predictions(self, alert_ids: Collection[AlertId]) -> Mapping[AlertId, Prediction]:
        """Return what the model said of those of the alerts of which it said anything."""
        ...

    async def model_page(self, page: PageRequest) -> Page[PredictionModel]:
        """Return versions of the model, newest first, with the total count."""
        ...

    async def models(self, ids: Collection[ModelId]) -> Mapping[ModelId, PredictionModel]:
        """Return the versions of the model that exist among the ids."""
        ...

    async def active_model(self) -> PredictionModel | None:
        """Return the version in use; None where there is none."""
        ...

    async def label_count(self) -> int:
        """Return of how many predicted alerts the outcome is known, up to a hundred thousand."""
        ...

    async def noise_evidence(self, alerts: Sequence[Alert]) -> Mapping[AlertId, NoiseEvidence]:
        """Return what is known of alerts' being noise besides themselves; nothing where nobody has learnt."""
        ...

    async def noise_figures(self, since: datetime) -> NoiseFigures:
        """Return what holding has come to of the pages held since then."""
        ...


class SnapshotSource(Protocol):
    """Opens snapshots."""

    def snapshot(self, tenant_id: TenantId) -> AbstractAsyncContextManager[Snapshot]:
        """Return a context in which one moment of a tenant's data can be read; connects at the first read."""
        ...


@dataclass(frozen=True, slots=True)
class KeySecret:
    """How a key's secret is kept: never the secret itself.

    Attributes:
        digest: HMAC-SHA-256 of the whole secret with the installation's pepper.
    """

    prefix: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as needed to check a credential.

    Attributes:
        digests: Those that are accepted: the present one, and during a rotation's overlap the one before.
    """

    tenant: Tenant
    key: ApiKey
    digests: Sequence[bytes]


class AnsweredError(Exception):
    """An idempotency key was answered before; nothing was written."""

    def __init__(self, stored: StoredAnswer) -> None:
        super().__init__("answered before")
        self.stored = stored


class Configuration(Protocol):
    """What people set up: each change is one event in the tenant's log and raises its config_version.

    Every method that changes something first calls `decide` with what there is, under the head's lock, and
    writes what it returns together with the events, in one transaction: `decide` may be called again
    and must be pure. What it raises (RefusedError) goes to the caller and nothing is written. With
    `answer`, AnsweredError is raised where its key has an answer already, else it is kept along with the change.
    """

    async def change_settings(
        self,
        tenant_id: TenantId,
        decide: Callable[[TenantSettings], tuple[TenantSettings, SealedEvent] | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[TenantSettings, Appended | None]:
        """Change the settings; None from `decide` changes nothing."""
        ...

    async def change_saved_view(
        self,
        tenant_id: TenantId,
        view_id: SavedViewId,
        decide: Callable[[SavedView | None], tuple[SavedView | None, SealedEvent] | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[SavedView | None, Appended | None]:
        """Create (None before), change, or delete (None after) a saved view."""
        ...

    async def change_api_key(
        self,
        tenant_id: TenantId,
        key_id: ApiKeyId,
        decide: Callable[[ApiKey | None], tuple[ApiKey, SealedEvent] | None],
        *,
        secret: KeySecret | None = None,
        old_secret_until: datetime | None = None,
        answer: StoredAnswer | None = None,
    ) -> tuple[ApiKey | None, Appended | None]:
        """Create or change a key; with `secret` it gets a new one, the old one working until then."""
        ...

    async def change(
        self,
        tenant_id: TenantId,
        decide: Callable[[TenantConfig], Change | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[TenantConfig, Appended | None]:
        """Change what is set up for paging; None from `decide` changes nothing. Returns it as it is afterwards."""
        ...

    async def change_dependencies(
        self,
        tenant_id: TenantId,
        decide: Callable[[Dependencies], tuple[Dependencies, SealedEvent] | None],
    ) -> tuple[Dependencies, Appended | None]:
        """Change what services need: `decide` returns those that change, as they are afterwards. Returns all."""
        ...

    async def dependencies(self, tenant_id: TenantId) -> Dependencies:
        """Return what the tenant's services need."""
        ...

    async def find_keys(self, prefix: str) -> Sequence[StoredKey]:
        """Return the keys, of any tenant, whose secret begins so; nothing else of them is readable here."""
        ...

    async def note_key_use(self, tenant_id: TenantId, key_id: ApiKeyId, at: datetime) -> None:
        """Remember the last use of a key, to the minute; no event."""
        ...

    async def answer(self, tenant_id: TenantId, key: IdempotencyKey) -> StoredAnswer | None:
        """Return what was answered to an idempotency key the first time."""
        ...


class Vault(Protocol):
    """Seals what is personal or secret with the tenant's data key."""

    async def seal(self, tenant_id: TenantId, purpose: str, plaintext: str) -> str:
        """Return ciphertext in base64, bound to the tenant and the purpose."""
        ...

    async def open(self, tenant_id: TenantId, purpose: str, sealed: str) -> str | None:
        """Return the plaintext; None where its key was destroyed or the text was moved or changed."""
        ...


class Wakeups(Protocol):
    """Hints between processes that a tenant's log has grown, sent after the commit. Any may be lost."""

    async def announce(self, tenant_id: TenantId, number: int) -> None:
        """Tell every process that the tenant's log now ends at `number`; never raises, may be batched."""
        ...

    def listen(self) -> AsyncIterator[tuple[TenantId, int]]:
        """Yield what other processes announce, for as long as it is iterated; reconnects by itself."""
        ...

    @property
    def healthy(self) -> bool:
        """Whether hints arrive at present; while not, the sweep alone finds events."""
        ...


@dataclass(frozen=True, slots=True)
class CommittedEvents:
    """Events that this process has just appended, for its own streams."""

    tenant_id: TenantId
    flush_id: FlushId
    events: Sequence[StoredEvent]


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """What becomes of registered documents, and the event that tells of it.

    Attributes:
        written: New ones, and such that were a client's before.
        deleted: Hashes of those that are not registered any more.
    """

    event: SealedEvent
    written: tuple[ManifestEntry, ...] = ()
    deleted: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A registered document, as it is executed."""

    text: str
    source: DocumentSource
    used_at: datetime


class Documents(Protocol):
    """The GraphQL documents that tenants have registered; a tenant's are nobody else's."""

    async def mode(self, tenant_id: TenantId) -> DocumentMode | None:
        """Return which documents a tenant executes; None where there is no such tenant."""
        ...

    async def find(self, tenant_id: TenantId, sha256: bytes) -> StoredDocument | None:
        """Return a registered document; None where there is none."""
        ...

    async def note_use(self, tenant_id: TenantId, sha256: bytes, at: datetime) -> None:
        """Remember the last use of a document; no event."""
        ...

    async def register(self, tenant_id: TenantId, sha256: bytes, name: str | None, body: str) -> None:
        """Keep a document of a client; those of clients that were used longest ago make room for it."""
        ...

    async def all(self, tenant_id: TenantId) -> Sequence[TrustedDocument]:
        """Return what is registered: documents of manifests first, by name."""
        ...


class DocumentRegistry(Protocol):
    """Where documents of a manifest are registered: each change is an event, as with all that is set up."""

    async def change_documents(
        self,
        tenant_id: TenantId,
        decide: Callable[[Sequence[TrustedDocument]], DocumentChange | None],
    ) -> tuple[Sequence[TrustedDocument], Appended | None]:
        """Change which documents are registered; None from `decide` changes nothing. Returns all afterwards."""
        ...


class Observer(Protocol):
    """Where services report what an operator watches; never raises and never waits."""

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None:
        """One flush ended: `outcome` is committed, touched, refused or failed."""
        ...

    def queued(self, seconds: float) -> None:
        """A command waited that long for its flush."""
        ...

    def streamed(self, *, events: int, source: str) -> None:
        """Events reached streams from `memory` or from the `table`."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...


@dataclass(frozen=True, slots=True)
class PointBatch:
    """Points of one request, as `core.points` packs them.

    Attributes:
        number: 1, 2, 3 … of its tenant, without gaps, until the store crashes: then a new feed begins.
        received_at: When they came in.
    """

    number: int
    received_at: datetime
    content: bytes


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """Where a tenant's feed of points stands.

    Attributes:
        feed_id: Another one begins where the store has lost the feed.
        taken: The number of the last batch whose effects there are.
    """

    feed_id: UUID
    taken: int


@dataclass(frozen=True, slots=True)
class SeriesState:
    """What is known of some series of a tenant, as of one batch.

    Attributes:
        shard: Which of the tenant's groups of series.
        number: The last batch that it knows, of that feed.
    """

    shard: int
    feed_id: UUID
    number: int
    content: bytes


class PointFeed(Protocol):
    """Where points wait for whoever watches their series. Raises DependencyError where the store is away."""

    async def put(self, tenant_id: TenantId, content: bytes, size_max: int) -> None:
        """Keep a batch of points until it was taken and what it taught was saved.

        Args:
            tenant_id: Whose.
            content: As `core.points` packs them.
            size_max: As many bytes may wait to be taken.

        Raises:
            DependencyError: So many wait, or whoever takes them can't; the message says so.
        """
        ...


class PointBuffer(Protocol):
    """The other end of the feed. Every method raises DependencyError where the store is away."""

    async def waiting(self) -> Mapping[TenantId, bool]:
        """Return the tenants that have a feed, and whether batches wait in it. Nothing else is told of them."""
        ...

    async def place(self, tenant_id: TenantId, why_not: str | None) -> FeedPlace:
        """Return where the feed stands, and have senders told why nothing is taken; None where all is well."""
        ...

    async def batches(self, tenant_id: TenantId, feed_id: UUID, after: int, limit: int) -> Sequence[PointBatch]:
        """Return batches behind a number, in order; none where the feed is another by now."""
        ...

    async def took(self, tenant_id: TenantId, feed_id: UUID, before: int, after: int) -> bool:
        """Note that there are the effects of all batches to `after`; False where somebody else took them."""
        ...

    async def drop(self, tenant_id: TenantId, feed_id: UUID, number: int) -> None:
        """Forget the batches up to a number: all they taught is saved."""
        ...

    async def states(self, tenant_id: TenantId) -> Sequence[SeriesState]:
        """Return what was saved of the tenant's series."""
        ...

    async def save(self, tenant_id: TenantId, state: SeriesState) -> None:
        """Keep what is known of a group of series in place of what was, unless that knows more."""
        ...

    async def forget(self, tenant_id: TenantId, shard: int) -> None:
        """Forget a group of series that is empty."""
        ...


class SeriesShard(Protocol):
    """Scores the points of a bounded number of series. Made where learning is installed; nothing of it awaits."""

    def observe(
        self,
        texts: Sequence[str],
        at: Sequence[int],
        values: Sequence[float],
        followed: Collection[str],
        level_min: float,
    ) -> Judged:
        """Take points in, in order, and return what is said of those that matter.

        Args:
            texts: The series of each point.
            at: Seconds since 1970.
            values: What was measured.
            followed: Series of which every point matters …
            level_min: … and so it does of those with a point that is this unusual.
        """
        ...

    def state(self) -> bytes:
        """Return all that is needed to go on from here."""
        ...

    def only(self, texts: Collection[str]) -> SeriesShard:
        """Return a group of these series alone, each as it is here."""
        ...

    @property
    def memory_bytes(self) -> int:
        """How much it takes up."""
        ...


class SeriesShards(Protocol):
    """Makes groups of series."""

    series_max: int
    """Series of one group."""

    def new(self) -> SeriesShard:
        """Return a group without any."""
        ...

    def load(self, state: bytes) -> SeriesShard:
        """Return the group whose state this is.

        Raises:
            ValueError: It is of another release, or broken.
        """
        ...


class AnomalyObserver(Protocol):
    """Where those who watch series report what an operator watches; never raises and never waits."""

    def points_taken(self, counts: Mapping[str, int], seconds: float) -> None:
        """Points came in: how many of each status, and for how long the oldest of them had waited."""
        ...

    def points_received(self, counts: Mapping[str, int]) -> None:
        """A sender's points were looked at: how many were accepted, watched, ignored and refused."""
        ...

    def anomaly_told(self, *, began: bool) -> None:
        """An alert of an anomaly was raised, or ended."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...


class PagerObserver(Protocol):
    """Where those who page report what an operator watches; never raises and never waits."""

    def judged(self, *, alerts: int, late_seconds: float) -> None:
        """The engine decided on alerts of one tenant, the oldest of which was due that long ago."""
        ...

    def held_as_noise(self, *, alerts: int) -> None:
        """Of these alerts of one tenant pages are held from now on, since nobody is likely to be needed."""
        ...

    def delivered(self, *, kind: str, outcome: str, seconds: float, late_seconds: float, first: bool) -> None:
        """An attempt over a kind of channel ended: `outcome` is sent, retried or failed.

        `late_seconds` is from when it was due to its begin; `first` says of a page that it was the first attempt.
        """
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...


class SealingObserver(Protocol):
    """Where the sealer reports what an operator watches; never raises and never waits."""

    def sealed(self, *, events: int) -> None:
        """A checkpoint was signed that covers so many events more."""
        ...

    def seal_refused(self, tenant_id: TenantId, *, why: str) -> None:
        """A log contradicts what was signed of it: it is not sealed."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...


class WatchObserver(Protocol):
    """Where those who watch over the engine report; never raises and never waits."""

    def beaten(self, tenant_id: TenantId, *, outcome: str, why: str | None = None) -> None:
        """A dead-man beat was sent, withheld or failed: `outcome` is one of the three words."""
        ...

    def broke_glass(self, *, outcome: str, why: str) -> None:
        """The operator was told past the store, of what `why` says: `outcome` is sent, failed or unset."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...


# ------------------------------------------------------------------------------------------ learning


class LeaseLostError(Exception):
    """Another process has the tenant now, or nobody will: nothing was saved."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """What a reading was when it had taken all events up to a position.

    Attributes:
        cursor: The position.
        content: Of a form that only the reader knows.
    """

    cursor: LogCursor
    content: bytes


class LearningStates(Protocol):
    """What is kept of readings, and whose turn it is to read: one process has a tenant at a time.

    Leases run by the store's own clock. Every method raises DependencyError where the store is away.
    """

    async def claim(self, lease: timedelta) -> tuple[Sequence[TenantId], int]:
        """Take tenants that nobody has, and return them and how many this process should have in all.

        Those that it had, unless their lease has run out, are not among them.
        """
        ...

    async def renew(self, lease: timedelta) -> Collection[TenantId]:
        """Hold what this process has for that long from now, and return it."""
        ...

    async def release(self, tenant_ids: Collection[TenantId]) -> None:
        """Let other processes have these tenants at once."""
        ...

    async def load(self, tenant_id: TenantId) -> Mapping[str, SavedState]:
        """Return a tenant's states by their readers' names."""
        ...

    async def save(self, tenant_id: TenantId, states: Mapping[str, SavedState]) -> None:
        """Keep states in place of those of the same names: all of them or none.

        Raises:
            LeaseLostError: Another process has the tenant; nothing was kept.
        """
        ...

    async def start_of(self, tenant_id: TenantId, since: datetime, length_max: int) -> LogCursor:
        """Return where to begin in a log: with what was recorded since then, and no more events than that."""
        ...


class NoiseBook(Protocol):
    """What holding likely noise goes by, and what it has cost: kept by who learns, read by the engine.

    Every method raises DependencyError where the store is away.
    """

    async def policy(self, tenant_id: TenantId) -> NoisePolicy | None:
        """Return what is kept of a tenant; None where nothing is."""
        ...

    async def evidence(self, tenant_id: TenantId, alerts: Sequence[Alert]) -> Mapping[AlertId, NoiseEvidence]:
        """Return what is known of alerts besides themselves; nothing where nobody has learnt."""
        ...

    async def figures(self, tenant_id: TenantId, since: datetime) -> NoiseFigures:
        """Return what holding has come to of the pages held since then."""
        ...

    async def keep(
        self,
        tenant_id: TenantId,
        policy: NoisePolicy,
        histories: Mapping[bytes, History | None],
        holds: Sequence[HoldRecord],
        now: datetime,
        *,
        anew: bool,
    ) -> None:
        """Write what has changed, all or nothing; histories of None are forgotten, with `anew` all others, too."""
        ...


class NoiseObserver(Protocol):
    """Where holding likely noise reports what an operator watches; never raises and never waits."""

    def noise_disarmed(self, tenant_id: TenantId, regret: timedelta) -> None:
        """A tenant's holding has cost more than it was allowed to, and has switched itself off."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...


class LearningObserver(Protocol):
    """Where those who follow logs report what an operator watches; never raises and never waits."""

    def took(self, reader: str, *, events: int, seconds: float) -> None:
        """A reader took a batch."""
        ...

    def put_off(self, tenant_id: TenantId, reader: str, error: BaseException, pause: timedelta) -> None:
        """A tenant's reading failed, and is opened again after that long."""
        ...

    def begun_anew(self, tenant_id: TenantId, reader: str, why: str) -> None:
        """A tenant's reading forgot what it was, for the reason given."""
        ...

    def failed(self, part: str, error: BaseException) -> None:
        """A loop of ours caught an error and goes on."""
        ...


@dataclass(frozen=True, slots=True)
class LearningReport:
    """How a learning process does, as it says itself every few seconds.

    Attributes:
        host: What the operator calls its machine.
        pid: On that machine.
        why_not: Why it makes no predictions; None where it does.
        tenant_count: How many tenants it follows.
        behind: Events that wait for it, of the tenant that is furthest behind.
        behind_seconds: How long the tenant has waited that waits longest.
    """

    host: str
    pid: int
    why_not: str | None
    tenant_count: int
    behind: int
    behind_seconds: float


class LearningReports(Protocol):
    """What learning processes say of themselves, for every other process. Raises DependencyError."""

    async def report(self, report: LearningReport) -> None:
        """Say how this process does."""
        ...

    async def withdraw(self) -> None:
        """Say that this process ends."""
        ...

    async def alive(self) -> Sequence[LearningReport]:
        """Return what those say that have said something in the last 15 seconds, by the store's clock."""
        ...


@dataclass(frozen=True, slots=True)
class LearningHealth:
    """Whether predictions are made at present, for whatever tenant.

    Attributes:
        is_enabled: Whether the operator wants them at all.
        why_not: Why there are none, in words; None where they are made.
    """

    is_enabled: bool
    why_not: str | None


class LearningWatch(Protocol):
    """Knows how learning stands; asks the store once every few seconds at most, and never raises."""

    async def health(self) -> LearningHealth:
        """Return how it stands."""
        ...


class PredictionModels(Protocol):
    """Versions of the model, one tenant's at a time. Raises DependencyError where the store is away."""

    async def models(self, tenant_id: TenantId) -> Sequence[PredictionModel]:
        """Return all versions of a tenant, newest first."""
        ...

    async def artifact(self, tenant_id: TenantId, model_id: ModelId) -> bytes | None:
        """Return what a version was saved as; None for the bundled one, and where it is not kept any more."""
        ...

    async def write(
        self,
        tenant_id: TenantId,
        models: Sequence[PredictionModel],
        artifacts: Mapping[ModelId, bytes] | None = None,
        event: SealedEvent | None = None,
        forgotten: Collection[ModelId] = (),
    ) -> Appended | None:
        """Write versions as they are now, and what the log shall say of it: all or nothing.

        Args:
            tenant_id: Whose. Nobody else writes them meanwhile: whoever trains holds the tenant's lease.
            models: New ones, and those of which state or figures have changed; one of all is active at most.
            artifacts: Of new ones; one without is the bundled one.
            event: Such as `core.prediction_model.model_event` returns; None to be silent.
            forgotten: Of which the artifact is kept no longer.

        Returns:
            Where the event stands, to be told to those who follow the log; None without one.

        Raises:
            DependencyError: The store is away, or its answer was lost: read what is there before going on.
        """
        ...


class TenantModel(Protocol):
    """A tenant's model at work. It follows from the events that it took alone; not safe for threads."""

    @property
    def version(self) -> str:
        """The version in use."""
        ...

    @property
    def trial(self) -> str | None:
        """The version that is being tried beside it; None where none is."""
        ...

    @property
    def watches(self) -> bool:
        """Whether there is a version beside the one in use, so that no other can be tried now."""
        ...

    @property
    def label_count(self) -> int:
        """Outcomes of the tenant so far."""
        ...

    def take(self, events: Sequence[StoredEvent], now: datetime) -> Taken:
        """Take in events in order; those that were taken before are passed over."""
        ...

    def peek(self, events: Sequence[StoredEvent], now: datetime) -> Sequence[Scored]:
        """Return what would be said of new alerts, without remembering them."""
        ...

    def try_out(self, version: str, content: bytes) -> None:
        """Let a version score the same alerts from now on, unseen.

        Raises:
            ForeignStateError: It can't be used here; the message says why.
        """
        ...

    def drop_trial(self, version: str) -> None:
        """Try a version no longer."""
        ...

    def explain(
        self, features: bytes, model_version: str, *, abstained: bool = False
    ) -> Sequence[FeatureContribution]:
        """Return what moved the chance of needing a person, strongest first; empty where nobody can tell."""
        ...

    def figures(self) -> Sequence[ModelFigures]:
        """Return how good the version in use is, and the one that is tried."""
        ...

    def state(self) -> bytes:
        """Return everything that is remembered; the same state gives the same bytes."""
        ...


class ModelHost(Protocol):
    """Opens the models of tenants."""

    @property
    def version(self) -> str:
        """The version that tenants begin with."""
        ...

    def open(
        self, tenant_id: TenantId, salt: bytes, state: bytes | None, contents: Mapping[str, bytes | None]
    ) -> TenantModel:
        """Return a tenant's model as its state says, or anew where there is none.

        Args:
            tenant_id: Whose it is.
            salt: The tenant's secret.
            state: As `TenantModel.state` gave it.
            contents: By version, what is kept of those that are in use or tried.

        Raises:
            ForeignStateError: The state can't be gone on from.
        """
        ...


class Outcomes(Protocol):
    """What became of alerts that something was predicted of, kept beside what was said.

    Every method raises DependencyError where the store is away.
    """

    async def settle(self, tenant_id: TenantId, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes; the last one of an alert holds, and what nothing was predicted of is passed over."""
        ...

    async def examples(self, tenant_id: TenantId, limit: int) -> Sequence[Example]:
        """Return the last matured examples, oldest first."""
        ...

    async def looked_at(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, tuple[str, bytes, bool]]:
        """Return which version looked at what of these alerts, and whether it abstained."""
        ...


class Predictor(Protocol):
    """Answers what only a learning process can: in such a process itself, or from afar.

    From afar it never raises and is bounded in time: what can't be had is absent.
    """

    async def explain(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, Sequence[FeatureContribution]]:
        """Return what speaks for and against in the stored predictions of these alerts, the strongest first."""
        ...

    async def score(self, tenant_id: TenantId, alert_ids: Sequence[AlertId]) -> Mapping[AlertId, Prediction]:
        """Return what is to be expected of alerts that nothing was predicted of."""
        ...
