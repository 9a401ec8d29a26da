"""What is set up, in memory, beside a log in memory: for services whose behaviour SQL has no part in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, get_args
from uuid import UUID

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Alert, alert_match_values
from alertgraph.core.anomaly import AnomalyRule
from alertgraph.core.catalog import Catalog, Change, Item
from alertgraph.core.channel import Channel
from alertgraph.core.event import Event
from alertgraph.core.flush import Appended, Flush, Reliance, StoredAnswer, TenantConfig
from alertgraph.core.ids import FlushId, MonitorId, TenantId
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.labels import Matcher, matches_all
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.core.responder import Responder
from alertgraph.core.rule import EscalationRule
from alertgraph.core.schedule import Schedule, ShiftOverride
from alertgraph.core.silence import Silence, until
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.services.catalog_changes import CatalogChanges
from alertgraph.services.ports import AnsweredError, Clock
from tests.factories import TENANT
from tests.memory_log import MemoryLog
from tests.virtual import SeededDice, VirtualClock

KEPT_AFTER_END = timedelta(days=1)


class MemoryCatalog:
    """Fulfils `services.ports.Configuration` as far as the catalog goes."""

    def __init__(self, log: MemoryLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._dice = SeededDice(7)

    async def change(
        self,
        tenant_id: TenantId,
        decide: Callable[[TenantConfig], Change | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[TenantConfig, Appended | None]:
        """Change what is set up for paging; None from `decide` changes nothing."""
        rows = self._log.tenants[tenant_id]
        answers = (answer,) if answer is not None else ()
        async with rows.lock:
            if answer is not None:
                stored = rows.answers.get((answer.key.operation, answer.key.subject, answer.key.key))
                if stored is not None:
                    raise AnsweredError(stored)
            read = catalog_of(items_of(rows.config.catalog), self._clock.now())
            rows.config = replace(rows.config, catalog=read)
            change = decide(rows.config)
            # It may be asked again, and must say the same.
            assert decide(rows.config) == change
            flush_id = FlushId(UUID(int=self._dice.bits(128)))
            if change is None:
                if answers:
                    self._log.write(tenant_id, Flush(flush_id, Reliance(), answers=answers))
                return rows.config, None
            flush = Flush(flush_id, Reliance(), (change.event,), answers=answers, raises_config_version=True)
            appended = self._log.write(tenant_id, flush)
            items = {(type(item), item.id): item for item in items_of(rows.config.catalog)}
            for gone in change.deleted:
                del items[type(gone), gone.id]
            for written in change.written:
                items[type(written), written.id] = replace(written, version=appended.first_number)
            settings = rows.config.settings
            if change.settings is not None:
                settings = replace(change.settings, version=appended.first_number)
            rows.config = replace(
                rows.config, settings=settings, catalog=catalog_of(items.values(), self._clock.now())
            )
            return rows.config, appended


def items_of(catalog: Catalog) -> list[Item]:
    """Return everything in a catalog."""
    return [
        *catalog.rules,
        *catalog.inhibitions,
        *catalog.silences,
        *catalog.channels.values(),
        *catalog.responders.values(),
        *catalog.schedules.values(),
        *catalog.overrides,
        *catalog.monitors.values(),
        *catalog.anomaly_rules.values(),
    ]


def catalog_of(items: Iterable[Item], now: datetime) -> Catalog:
    """Return the catalog that a store would read: in order, and without what was over a day ago."""
    kinds: dict[type[Item], list[Any]] = {kind: [] for kind in get_args(Item)}
    for item in items:
        ends_at = until(item) if isinstance(item, Silence) else getattr(item, "ends_at", None)
        if ends_at is None or ends_at > now - KEPT_AFTER_END:
            kinds[type(item)].append(item)

    def of(kind: type[Item], *order: str) -> list[Any]:
        found = sorted(kinds[kind], key=attrgetter(*order, "id"))
        names = [item.name for item in found if hasattr(item, "name") and kind is not Responder]
        assert len(names) == len(set(names)), "two items have one name"
        return found

    rules = tuple(of(EscalationRule, "position"))
    assert len({rule.position for rule in rules}) == len(rules), "two rules are in one place"
    return Catalog(
        rules=rules,
        inhibitions=tuple(of(InhibitionRule)),
        silences=tuple(of(Silence)),
        channels={channel.id: channel for channel in of(Channel)},
        responders={responder.id: responder for responder in of(Responder)},
        schedules={schedule.id: schedule for schedule in of(Schedule)},
        overrides=tuple(of(ShiftOverride, "starts_at")),
        monitors={monitor.id: monitor for monitor in of(HeartbeatMonitor)},
        anomaly_rules={rule.id: rule for rule in of(AnomalyRule)},
    )


class CatalogSnapshots:
    """Opens snapshots in which the configuration can be read."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    @asynccontextmanager
    async def snapshot(self, tenant_id: TenantId) -> AsyncIterator[CatalogSnapshot]:
        """Return a context in which one moment can be read."""
        rows = self._log.tenants[tenant_id]
        yield CatalogSnapshot(tenant_id, rows.config, list(rows.open.values()))


class CatalogSnapshot:
    """The configuration and the open alerts as of one moment."""

    def __init__(self, tenant_id: TenantId, config: TenantConfig, opened: Sequence[Alert]) -> None:
        self._tenant_id = tenant_id
        self._config = config
        self._open = opened

    async def tenant(self) -> Tenant:
        """Return the tenant."""
        return Tenant(self._tenant_id, "acme", "Acme", Tier.STANDARD)

    async def config(self) -> TenantConfig:
        """Return settings, promises and the catalog."""
        return self._config

    async def overrides(self, since: datetime, until: datetime) -> Sequence[ShiftOverride]:
        """Return the overrides that touch a stretch of time, as far as the catalog has them."""
        found = self._config.catalog.overrides
        return [each for each in found if each.starts_at < until and each.ends_at > since]

    async def matching(self, matchers: Sequence[Matcher], since: datetime | None, limit: int) -> Sequence[Alert]:
        """Return open alerts that match, worst first."""
        assert since is None, "what is closed is not at hand here"
        found = [alert for alert in self._open if matches_all(tuple(matchers), alert_match_values(alert))]
        return sorted(found, key=lambda alert: (alert.severity, alert.id), reverse=True)[:limit]

    async def matching_count(self, matchers: Sequence[Matcher], since: datetime | None, limit: int) -> int:
        """Return how many open alerts match."""
        return len(await self.matching(matchers, since, limit))


@dataclass(slots=True)
class _Beats:
    last_beat_at: datetime
    due_at: datetime
    raised: bool = False


class MemoryMonitors:
    """Fulfils `services.ports.Monitors`."""

    def __init__(self) -> None:
        self._beats: dict[tuple[TenantId, MonitorId], _Beats] = {}

    async def beat(self, tenant_id: TenantId, monitor_id: MonitorId, at: datetime, due_at: datetime) -> bool:
        """Keep a beat; return whether the monitor's alert was raised."""
        before = self._beats.get((tenant_id, monitor_id))
        if before is not None and before.last_beat_at >= at:
            return False
        self._beats[tenant_id, monitor_id] = _Beats(at, due_at)
        return before is not None and before.raised

    async def due(self, now: datetime, limit: int) -> Sequence[tuple[TenantId, MonitorId, datetime]]:
        """Return monitors whose beat stayed out, since when, and whose alert was not raised yet."""
        found = [
            (*key, beats.due_at) for key, beats in self._beats.items() if beats.due_at <= now and not beats.raised
        ]
        return sorted(found, key=lambda each: each[2])[:limit]

    async def raised(self, tenant_id: TenantId, monitor_id: MonitorId, due_at: datetime) -> None:
        """Keep that the alert was raised of the beat that was due then."""
        beats = self._beats[tenant_id, monitor_id]
        if beats.due_at == due_at:
            beats.raised = True


class SetUp:
    """One tenant in memory with nothing set up but what a test puts there, and the way to change it."""

    def __init__(self, catalog: Catalog | None = None) -> None:
        self.clock = VirtualClock()
        self.log = MemoryLog(self.clock, TENANT)
        self.log.change_config(TENANT, replace(self.config, catalog=catalog or Catalog()))
        self.told: list[tuple[TenantId, int]] = []
        self.changes = CatalogChanges(
            MemoryCatalog(self.log, self.clock),
            PlainVault(),
            self.clock,
            SeededDice(),
            lambda tenant_id, number: self.told.append((tenant_id, number)),
        )

    @property
    def config(self) -> TenantConfig:
        """The configuration as it is now."""
        return self.log.tenants[TENANT].config

    @property
    def events(self) -> list[Event]:
        """Everything the log says."""
        return [stored.event for stored in self.log.tenants[TENANT].events]

    def set(self, **settings: Any) -> None:
        """Change the tenant's settings, past the services."""
        self.log.change_config(TENANT, replace(self.config, settings=replace(self.config.settings, **settings)))


class PlainVault:
    """Writes the tenant and the purpose beside the text, so that a mix-up shows."""

    async def seal(self, tenant_id: TenantId, purpose: str, plaintext: str) -> str:
        """Return the text with what it is bound to."""
        return f"{tenant_id}|{purpose}|{plaintext}"

    async def open(self, tenant_id: TenantId, purpose: str, sealed: str) -> str | None:
        """Return the text; None where it is bound to something else."""
        prefix = f"{tenant_id}|{purpose}|"
        return sealed.removeprefix(prefix) if sealed.startswith(prefix) else None


def a_caller(role: Role = Role.ADMIN, *scope: Matcher) -> Principal:
    """Return somebody of the tenant with a role."""
    tenant = Tenant(TENANT, "acme", "Acme", Tier.STANDARD)
    return Principal(tenant, role, "key:1", Actor(ActorKind.API_KEY, "terraform", "key:1"), scope)
