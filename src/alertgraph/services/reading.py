"""What a caller reads: one moment of the tenant's data, narrowed to what the caller may see."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from alertgraph.core.action import Fire
from alertgraph.core.alert import Alert, Draft, alert_match_values
from alertgraph.core.alert_link import Related
from alertgraph.core.checkpoint import SignedCheckpoint
from alertgraph.core.cursor import LogCursor
from alertgraph.core.delivery import Attempt, ChannelHealth, Delivery, DeliveryQuery
from alertgraph.core.errors import AccessDeniedError, DependencyError, InputError, RefusedError
from alertgraph.core.event import EventKind, StoredEvent, leaf_hash
from alertgraph.core.flush import TenantConfig
from alertgraph.core.forecast import HORIZON, STEP_COUNT_MAX, Forecast, alert_to_come, forecast
from alertgraph.core.health import Health, health_of
from alertgraph.core.ids import (
    AlertId,
    ApiKeyId,
    ChannelId,
    DeliveryId,
    EventKey,
    IncidentId,
    ModelId,
    MonitorId,
    SavedViewId,
    SilenceId,
    uuid7_floor,
)
from alertgraph.core.incident import Incident
from alertgraph.core.labels import Matcher, check_matcher, matches_all
from alertgraph.core.merkle import BrokenTreeError
from alertgraph.core.metrics import MINUTES_KEPT, SERIES_LENGTH_MAX, WINDOW_MAX, MetricsWindow, Tally
from alertgraph.core.monitored_service import MonitoredService
from alertgraph.core.noise import NO_EVIDENCE, REGRET_PERIOD, NoiseEvidence, may_be_held
from alertgraph.core.prediction import Prediction
from alertgraph.core.prediction_model import PredictionModel, PredictionStanding, prediction_state
from alertgraph.core.proof import (
    ConsistencyProof,
    InclusionProof,
    consistency_tiles,
    inclusion_tiles,
    prove_consistency,
    prove_inclusion,
)
from alertgraph.core.query import (
    PAGE_SIZE_MAX,
    TOTAL_COUNT_MAX,
    AlertFilter,
    AlertOrder,
    AlertQuery,
    EventFilter,
    EventQuery,
    EventVisibility,
    IncidentFilter,
    IncidentQuery,
    Page,
    PageRequest,
    TimelineQuery,
)
from alertgraph.core.schedule import ShiftOverride
from alertgraph.core.silence import Silence, SilenceState
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import ApiKey, Principal, Role, SavedView, Tenant, TenantSettings
from alertgraph.services.alerts import NOTE_PURPOSE
from alertgraph.services.ports import Clock, LearningHealth, Snapshot, Vault

# How often an incident was merged into one that was merged itself, as far as anybody follows it.
MERGE_DEPTH_MAX = 100
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LABEL_SUGGESTION_COUNT_MAX = 100
# The catalog has what has been over for less than a day; by another clock than ours.
SET_UP_KEPT = timedelta(hours=12)


class Reading:
    """One operation's reads. Every method takes turns with the others on one snapshot.

    Methods need VIEWER where nothing else is said, and raise AccessDeniedError below it.
    """

    def __init__(self, snapshot: Snapshot, principal: Principal, clock: Clock, vault: Vault) -> None:
        self._snapshot = snapshot
        self._principal = principal
        self._vault = vault
        self._clock = clock
        # One instant for the whole operation, so that two fields can't disagree on what is late.
        self.now: datetime = clock.now()

    async def renew(self) -> None:
        """Read as of now from here on: a mutation shall see what the one before it in the document did."""
        await self._snapshot.renew()
        self.now = self._clock.now()

    @property
    def visibility(self) -> EventVisibility:
        """Which events the caller may see."""
        return EventVisibility(self._principal.role, self._principal.scope)

    async def as_of(self) -> LogCursor:
        """Return where the log ended at the snapshot's moment."""
        return await self._snapshot.as_of()

    async def tenant(self) -> Tenant:
        """Return the caller's tenant. INGEST."""
        return await self._snapshot.tenant()

    async def settings(self) -> TenantSettings:
        """Return what an ADMIN may set."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.settings()

    async def config(self) -> TenantConfig:
        """Return settings and promises with everything that is set up for paging."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.config()

    async def silence_page(self, page: PageRequest, states: frozenset[SilenceState] | None) -> Page[Silence]:
        """Return silences in these states, all where None is given, latest end first."""
        self._principal.require(Role.VIEWER)
        if states is not None and not states:
            return Page((), has_next=False, has_previous=False, as_of=await self.as_of(), total_count=0)
        return await self._snapshot.silence_page(page, states or (), self.now)

    async def silences(self, ids: Collection[SilenceId]) -> Mapping[SilenceId, Silence]:
        """Return the silences that exist among the ids, those that are over included."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.silences(ids)

    async def matching(self, matchers: Sequence[Matcher]) -> Sequence[Alert]:
        """Return up to a page of open alerts that match and that the caller may see, worst first, then newest.

        Args:
            matchers: All must hold.
        """
        self._principal.require(Role.VIEWER)
        return await self._snapshot.matching((*matchers, *self._principal.scope), None, PAGE_SIZE_MAX)

    async def matching_count(self, matchers: Sequence[Matcher], since: datetime | None) -> int:
        """Return how many alerts match and may be seen by the caller; 10,000 stands for that many or more.

        Args:
            matchers: All must hold.
            since: None for open alerts; else for all that were triggered since then.
        """
        self._principal.require(Role.VIEWER)
        return await self._snapshot.matching_count((*matchers, *self._principal.scope), since, TOTAL_COUNT_MAX)

    async def last_beats(self, ids: Collection[MonitorId]) -> Mapping[MonitorId, datetime]:
        """Return when monitors beat last; one that never did is absent. INGEST, of one that the caller beat."""
        return await self._snapshot.last_beats(ids)

    async def open_alerts_by_key(self, keys: Collection[str]) -> Mapping[str, Alert]:
        """Return the open alerts with these dedup keys that the caller may see."""
        self._principal.require(Role.VIEWER)
        found = await self._snapshot.open_alerts_by_key(keys)
        return {key: alert for key, alert in found.items() if self.sees(alert)}

    async def sla_targets(self) -> Sequence[SlaTarget]:
        """Return the promise per severity, worst first."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.sla_targets()

    async def alerts(self, ids: Collection[AlertId]) -> Mapping[AlertId, Alert]:
        """Return those of the alerts that the caller may see."""
        self._principal.require(Role.VIEWER)
        found = await self._snapshot.alerts(ids)
        return {alert_id: alert for alert_id, alert in found.items() if self.sees(alert)}

    def sees(self, alert: Alert) -> bool:
        """Say whether an alert is within the scope of the caller's key."""
        scope = self._principal.scope
        return not scope or matches_all(scope, alert_match_values(alert))

    async def alert_page(
        self,
        wanted: AlertFilter,
        order: AlertOrder,
        page: PageRequest,
        *,
        with_total: bool,
        with_as_of: bool = True,
        with_cursors: bool = True,
        fields: frozenset[str] | None = None,
    ) -> Page[Alert]:
        """Return a page of alerts, with as much of it as AlertQuery says.

        Raises:
            InputError: A filter or cursor can't be used; the path names it.
        """
        self._principal.require(Role.VIEWER)
        _check_matchers(wanted.matchers)
        return await self._snapshot.alert_page(
            AlertQuery(
                wanted,
                order,
                page,
                self.now,
                self._principal.scope,
                with_total=with_total,
                with_as_of=with_as_of,
                with_cursors=with_cursors,
                fields=fields,
            )
        )

    async def incidents(self, ids: Collection[IncidentId]) -> Mapping[IncidentId, Incident]:
        """Return those of the incidents that the caller may see: none for a key that is limited by matchers.

        An incident tells of all its alerts: how many there are, how bad, of what.
        """
        self._principal.require(Role.VIEWER)
        return {} if self._principal.scope else await self._snapshot.incidents(ids)

    async def last_incidents(self, ids: Collection[IncidentId]) -> Mapping[IncidentId, Incident]:
        """Return for each of these the incident that has its alerts now: where merges led, the last one."""
        found = dict(await self.incidents(ids))
        for _ in range(MERGE_DEPTH_MAX):
            after = {incident.merged_into for incident in found.values() if incident.merged_into is not None}
            if not after:
                break
            then = await self.incidents(after)
            # Where retention was faster, there is nothing to be shown.
            found = {
                key: incident if incident.merged_into is None else then[incident.merged_into]
                for key, incident in found.items()
                if incident.merged_into is None or incident.merged_into in then
            }
        return found

    async def incident_page(
        self, wanted: IncidentFilter, page: PageRequest, *, with_total: bool
    ) -> Page[Incident]:
        """Return a page of incidents, newest first.

        Raises:
            AccessDeniedError: The caller's key is limited by matchers.
            InputError: A cursor can't be used.
        """
        self._require_unscoped()
        return await self._snapshot.incident_page(IncidentQuery(wanted, page, with_total))

    async def service_page(self, prefix: str, page: PageRequest) -> Page[MonitoredService]:
        """Return a page of things watched whose names begin so, by name.

        Raises:
            AccessDeniedError: The caller's key is limited by matchers.
            InputError: The cursor can't be used.
        """
        self._require_unscoped()
        return await self._snapshot.service_page(prefix, page)

    async def services(self, names: Collection[str]) -> Mapping[str, MonitoredService]:
        """Return those of the things watched that there are: none for a key that is limited by matchers."""
        self._principal.require(Role.VIEWER)
        return {} if self._principal.scope else await self._snapshot.services(names)

    async def services_beside(
        self, names: Collection[str], limit: int, *, dependents: bool
    ) -> Mapping[str, Sequence[MonitoredService]]:
        """Return up to `limit` things that each of these needs, or that need it, by name."""
        self._require_unscoped()
        return await self._snapshot.services_beside(names, limit, dependents=dependents)

    async def related(self, alert_ids: Collection[AlertId], limit: int) -> Mapping[AlertId, Sequence[Related]]:
        """Return up to `limit` links of each of these alerts; one at which the model has not looked is absent.

        They name alerts beyond the scope of the caller's key, too: read those by `alerts`, which leaves them out.
        """
        self._principal.require(Role.VIEWER)
        found = await self._snapshot.related(alert_ids, limit)
        if len(found) == len(set(alert_ids)):
            return found
        until = await self._snapshot.correlated_until()
        looked_at = uuid7_floor(until + timedelta(milliseconds=1)) if until is not None else None
        return {
            alert_id: found.get(alert_id, ())
            for alert_id in alert_ids
            if alert_id in found or (looked_at is not None and alert_id < looked_at)
        }

    async def alerts_by_incident(
        self, ids: Collection[IncidentId], page: PageRequest
    ) -> Mapping[IncidentId, Page[Alert]]:
        """Return the same page of several incidents' alerts, newest first, for incidents the caller was shown."""
        self._require_unscoped()
        return await self._snapshot.alerts_by_incident(ids, page)

    async def incident_timelines(
        self, ids: Collection[IncidentId], kinds: frozenset[EventKind] | None, page: PageRequest
    ) -> Mapping[IncidentId, Page[StoredEvent]]:
        """Return the same page of several incidents' timelines, for incidents the caller was shown."""
        self._require_unscoped()
        return await self._snapshot.incident_timelines(ids, kinds, page, self.visibility)

    async def event_page(self, wanted: EventFilter, page: PageRequest) -> Page[StoredEvent]:
        """Return a page of the log, oldest first: what the caller's role may see of it."""
        self._principal.require(Role.VIEWER)
        _check_matchers(wanted.matchers)
        return await self._snapshot.event_page(EventQuery(wanted, page, self.visibility))

    async def timelines(
        self, alert_ids: Sequence[AlertId], kinds: frozenset[EventKind] | None, page: PageRequest
    ) -> Mapping[AlertId, Page[StoredEvent]]:
        """Return the same page of several alerts' timelines, for alerts the caller was shown.

        What happened to an alert while it was beyond the scope of the caller's key is left out.
        """
        self._principal.require(Role.VIEWER)
        return await self._snapshot.timelines(TimelineQuery(tuple(alert_ids), kinds, page, self.visibility))

    async def events(self, keys: Collection[EventKey]) -> Mapping[EventKey, StoredEvent]:
        """Return those of the events that the caller may see."""
        self._principal.require(Role.VIEWER)
        found = await self._snapshot.events(keys)
        return {key: stored for key, stored in found.items() if self.visibility.sees(stored)}

    async def audit_head(self) -> SignedCheckpoint | None:
        """Return the newest signed state of the log; None where there is none yet."""
        self._require_unscoped()
        return await self._snapshot.audit_head()

    async def audit_proof(self, stored: StoredEvent | None) -> InclusionProof | None:
        """Return the proof of an event that the caller was shown; None where no signed state covers it yet.

        None also where there is no such event.

        Raises:
            DependencyError: The event or the tree is not what was signed.
        """
        head = await self.audit_head()
        if head is None or stored is None or not head.checkpoint.covers(stored.number):
            return None
        tiles = await self._snapshot.audit_tiles(inclusion_tiles(head, stored.number))
        try:
            # Of what is shown, not of what a column beside it says.
            return prove_inclusion(head, stored.number, leaf_hash(stored.content), tiles)
        except BrokenTreeError as error:
            raise _tampered() from error

    async def audit_consistency(self, earlier_size: int) -> ConsistencyProof | None:
        """Return the proof that the log only added to an earlier one; None where nothing of it is signed yet.

        Raises:
            InputError: The log has not been that large.
            DependencyError: The tree is not what was signed.
        """
        head = await self.audit_head()
        if head is None:
            return None
        if earlier_size > head.checkpoint.size:
            raise InputError(
                f"The newest signed head covers {head.checkpoint.size:,} events, no {earlier_size:,}: "
                "a larger one is of another log, or of a time that this one was taken back to.",
                "earlierSize",
            )
        tiles = await self._snapshot.audit_tiles(consistency_tiles(head, earlier_size))
        try:
            return prove_consistency(head, earlier_size, tiles)
        except BrokenTreeError as error:
            raise _tampered() from error

    async def notes(self, sealed: Collection[str]) -> Mapping[str, str]:
        """Return what people wrote with events, for events the caller was shown.

        Args:
            sealed: Notes as events hold them; one that was made unreadable is absent in the result.
        """
        self._principal.require(Role.VIEWER)
        tenant_id = self._principal.tenant.id
        opened = {each: await self._vault.open(tenant_id, NOTE_PURPOSE, each) for each in sealed}
        return {each: note for each, note in opened.items() if note is not None}

    async def deliveries(self, ids: Collection[DeliveryId]) -> Mapping[DeliveryId, Delivery]:
        """Return those of the deliveries that the caller may see: of a scoped key, those about its alerts."""
        self._principal.require(Role.VIEWER)
        found = await self._snapshot.deliveries(ids)
        if not self._principal.scope:
            return found
        alerts = await self.alerts({each.alert_id for each in found.values() if each.alert_id is not None})
        return {key: delivery for key, delivery in found.items() if delivery.alert_id in alerts}

    async def delivery_page(self, wanted: DeliveryQuery | None) -> Page[Delivery]:
        """Return deliveries over all alerts, newest first; an empty page where None can be asked for."""
        self._require_unscoped()
        if wanted is None:
            return Page((), has_next=False, has_previous=False, as_of=await self.as_of())
        return await self._snapshot.delivery_page(wanted)

    async def deliveries_of(
        self, alert_ids: Collection[AlertId], page: PageRequest
    ) -> Mapping[AlertId, Page[Delivery]]:
        """Return the same page of several alerts' deliveries, oldest first, for alerts the caller was shown."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.deliveries_of(alert_ids, page)

    async def attempts_of(self, ids: Collection[DeliveryId]) -> Mapping[DeliveryId, Sequence[Attempt]]:
        """Return each try, oldest first, of deliveries the caller was shown."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.attempts_of(ids)

    async def overrides(self, since: datetime, until: datetime) -> Sequence[ShiftOverride]:
        """Return the overrides of all schedules that touch [since, until), by begin."""
        self._principal.require(Role.VIEWER)
        if since > self.now - SET_UP_KEPT:
            return (await self._snapshot.config()).catalog.overrides
        return await self._snapshot.overrides(since, until)

    async def inhibitors(self, alert_ids: Collection[AlertId], limit: int) -> Mapping[AlertId, Sequence[AlertId]]:
        """Return up to `limit` open alerts that cover each of these now; of an alert that none covers, nothing.

        It names alerts beyond the scope of the caller's key, too: read them by `alerts`, which leaves them out.
        """
        self._principal.require(Role.VIEWER)
        return await self._snapshot.inhibitors(alert_ids, limit)

    async def forecast(self, alert: Alert) -> Forecast:
        """Return who would be told of an alert that the caller was shown, and when, if nobody reacted."""
        self._principal.require(Role.VIEWER)
        config = await self._snapshot.config()
        health = await self._snapshot.channel_health()
        inhibitors = await self._snapshot.inhibitors([alert.id], 1)
        waiting = await self._snapshot.waiting_deliveries(alert.id, STEP_COUNT_MAX)
        noise = await self._noise_of(alert, config)
        # Off the loop: a year of decisions can take a while.
        return await asyncio.to_thread(
            forecast,
            alert,
            config,
            self.now,
            health,
            inhibited_by=inhibitors.get(alert.id, ()),
            waiting=waiting,
            noise=noise,
        )

    async def _noise_of(self, alert: Alert, config: TenantConfig) -> NoiseEvidence:
        """Return what is known of an alert's being noise, where its page may be held for that."""
        if not config.settings.noise.is_armed or not may_be_held(alert):
            return NO_EVIDENCE
        return (await self._snapshot.noise_evidence([alert])).get(alert.id, NO_EVIDENCE)

    async def forecast_draft(self, draft: Draft, at: datetime | None) -> Forecast:
        """Return who would be told, and when, of an alert that a sender might send.

        It is taken for a new one, as though none with its dedup key was open.

        Args:
            draft: What the sender would say.
            at: When; None for now. What is open now covers what is sent now: of another time nothing is known.

        Raises:
            RefusedError: createAlert would refuse it, too; the path begins at `draft`. Or `at` is too far away.
        """
        self._principal.require(Role.VIEWER)
        if at is not None and not self.now - SET_UP_KEPT <= at <= self.now + HORIZON:
            bounds = f"{SET_UP_KEPT // HOUR} hours ago to {HORIZON.days} days ahead"
            raise InputError(f"at is from {bounds}: {at.isoformat()}.", "at")
        config = await self._snapshot.config()
        then = at if at is not None else self.now
        try:
            alert = alert_to_come(Fire(draft), config, then, self._principal.scope)
        except RefusedError as error:
            raise RefusedError([problem.below("draft") for problem in error.problems]) from error
        health = await self._snapshot.channel_health()
        covering = await self._snapshot.inhibitors_of(alert_match_values(alert), 1) if at is None else ()
        noise = await self._noise_of(alert, config)
        return await asyncio.to_thread(forecast, alert, config, then, health, inhibited_by=covering, noise=noise)

    async def channel_health(self) -> Mapping[ChannelId, ChannelHealth]:
        """Return how the tenant's channels do; one that was never used is absent."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.channel_health()

    async def engine_health(self) -> Health:
        """Return whether the engine keeps its promises for the tenant."""
        self._require_unscoped()
        return health_of(await self._snapshot.engine_figures(self.now), self.now)

    async def label_suggestions(self, label: str | None, prefix: str, limit: int) -> Sequence[str]:
        """Return names of labels in use, or one label's values, the commonest first."""
        self._require_unscoped()
        if not 1 <= limit <= LABEL_SUGGESTION_COUNT_MAX:
            raise InputError(f"first is 1 to {LABEL_SUGGESTION_COUNT_MAX}.", "first")
        for name, text in (("label", label or ""), ("prefix", prefix)):
            if "\x00" in text or len(text) > 4096:
                raise InputError(f"{name} is too long or contains a NUL character.", name)
        return await self._snapshot.label_suggestions(label, prefix, limit)

    async def tally(self, window: MetricsWindow) -> Tally:
        """Return the counters and durations of a window."""
        self._require_unscoped()
        _check_window(window)
        return await self._snapshot.tally(window)

    async def open_counts(self, window: MetricsWindow) -> Tally:
        """Return how many were open at the window's end, by group."""
        self._require_unscoped()
        _check_window(window)
        return await self._snapshot.open_counts(window)

    async def tally_series(self, window: MetricsWindow, bucket: timedelta) -> Sequence[tuple[datetime, Tally]]:
        """Return a window's figures cut into buckets, zeros included.

        Raises:
            InputError: The bucket is no number of whole hours or days, is too fine for figures older than
                48 hours, or there would be more than 500.
        """
        self._require_unscoped()
        _check_window(window)
        if bucket < HOUR or bucket % HOUR or (bucket > DAY and bucket % DAY):
            raise InputError("bucket is a number of whole hours up to P1D, or of whole days.", "bucket")
        if bucket % DAY and window.since < self.now - MINUTES_KEPT:
            raise InputError("A bucket finer than a day reaches back 48 hours at most.", "bucket")
        if (window.until - window.since) / bucket > SERIES_LENGTH_MAX:
            raise InputError(f"There would be more than {SERIES_LENGTH_MAX} buckets.", "bucket")
        return await self._snapshot.tally_series(window, bucket)

    async def saved_view_page(self, page: PageRequest) -> Page[SavedView]:
        """Return the caller's views and the shared ones, by name."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.saved_view_page(page, self._principal.subject)

    async def saved_views(self, ids: Collection[SavedViewId]) -> Mapping[SavedViewId, SavedView]:
        """Return those of the views that the caller may see."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.saved_views(ids, self._principal.subject)

    async def predictions(self, alert_ids: Collection[AlertId]) -> Mapping[AlertId, Prediction]:
        """Return what the model said of alerts the caller was shown; one of which it said nothing is absent."""
        self._principal.require(Role.VIEWER)
        return await self._snapshot.predictions(alert_ids)

    async def model_page(self, page: PageRequest) -> Page[PredictionModel]:
        """Return versions of the model, newest first.

        Raises:
            AccessDeniedError: The caller's key is limited by matchers: figures tell of all alerts.
            InputError: A cursor can't be used.
        """
        self._require_unscoped()
        return await self._snapshot.model_page(page)

    async def models(self, ids: Collection[ModelId]) -> Mapping[ModelId, PredictionModel]:
        """Return those of the versions that there are: none for a key that is limited by matchers."""
        self._principal.require(Role.VIEWER)
        return {} if self._principal.scope else await self._snapshot.models(ids)

    async def prediction_standing(self, health: LearningHealth) -> PredictionStanding:
        """Return how predictions and noise holding stand for the tenant.

        Args:
            health: How learning stands, for whatever tenant.
        """
        self._require_unscoped()
        label_count = await self._snapshot.label_count()
        state, reason = prediction_state(
            is_enabled=health.is_enabled, why_not=health.why_not, label_count=label_count
        )
        return PredictionStanding(
            state,
            reason,
            label_count,
            await self._snapshot.active_model(),
            (await self._snapshot.settings()).noise.is_armed,
            await self._snapshot.noise_figures(self.now - REGRET_PERIOD),
        )

    async def api_key_page(self, page: PageRequest) -> Page[ApiKey]:
        """Return the tenant's keys, newest first. ADMIN."""
        self._principal.require(Role.ADMIN)
        return await self._snapshot.api_key_page(page)

    async def api_keys(self, ids: Collection[ApiKeyId]) -> Mapping[ApiKeyId, ApiKey]:
        """Return those of the keys that the caller may see: none below ADMIN."""
        if self._principal.role < Role.ADMIN:
            return {}
        return await self._snapshot.api_keys(ids)

    def _require_unscoped(self) -> None:
        self._principal.require(Role.VIEWER)
        if self._principal.scope:
            # Counters know no labels: they would tell of alerts that the key may not see.
            raise AccessDeniedError("A key that is limited by matchers can't read what tells of all alerts.")


def _tampered() -> DependencyError:
    return DependencyError(
        "audit",
        retryable=False,
        message="The stored log or its tree is not what was signed; `alertgraph audit verify` tells where.",
    )


def _check_matchers(matchers: Sequence[Matcher]) -> None:
    for index, matcher in enumerate(matchers):
        check_matcher(matcher, "filter", "matchers", str(index))


def _check_window(window: MetricsWindow) -> None:
    if window.until <= window.since:
        raise InputError("until is not after since.", "until")
    if window.until - window.since > WINDOW_MAX:
        raise InputError(f"A window is at most {WINDOW_MAX.days} days.", "since")
