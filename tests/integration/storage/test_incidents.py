"""Incidents in the store: written with what changes their alerts, refused where stale, gone with the last one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from alertgraph.core.action import Action, ById, ByKey, Fire, GiveFeedback, Resolve, target_of
from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict
from alertgraph.core.batch import Batch, Request
from alertgraph.core.errors import StaleDecisionError
from alertgraph.core.event import EventKind
from alertgraph.core.flush import Flush
from alertgraph.core.ids import IncidentId, TenantId
from alertgraph.core.incident import Incident, IncidentStatus
from alertgraph.core.incident_action import IncidentAction, MergeIncidents, OpenIncident, alerts_named
from alertgraph.core.query import IncidentFilter, IncidentQuery, PageRequest
from alertgraph.core.severity import Severity
from alertgraph.services.lanes import Lanes
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.storage import incident_pages
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.partitions import Housekeeper
from alertgraph.storage.reader import Reader
from tests.factories import ADA, LEVEL_MAX, SENDER, T0, a_draft
from tests.integration.storage.world import World, a_world, new_flush_id, new_id
from tests.virtual import SeededDice, VirtualClock

pytestmark = pytest.mark.both_servers


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
async def tenant_id(world: World) -> TenantId:
    tenant_id = await world.tenant()
    await world.execute("UPDATE tenant_settings SET grouping_labels = '{job}' WHERE tenant_id = $1", tenant_id)
    return tenant_id


def fire(key: str, job: str = "api", **fields: object) -> Fire:
    return Fire(a_draft(dedup_key=key, labels={"job": job}, **fields))


_BY_HAND = (OpenIncident, MergeIncidents)


async def decided(world: World, tenant_id: TenantId, *actions: Action | IncidentAction) -> Flush:
    """Return what actions come to, with every incident loaded that they turn out to be about."""
    config = await world.log.config(tenant_id)
    assert config is not None
    requests = [
        Request((), (), ADA, incident=action)
        if isinstance(action, _BY_HAND)
        else Request((action,), (new_id(),), SENDER)
        for action in actions
    ]
    targets = [target_of(action) for request in requests for action in request.actions]
    keys = [target.dedup_key for target in targets if isinstance(target, ByKey)]
    ids = [target.alert_id for target in targets if isinstance(target, ById)]
    ids += [i for request in requests if request.incident is not None for i in alerts_named(request.incident)]
    loaded = await world.log.load(tenant_id, keys, ids, [])
    incidents: set[IncidentId] = set()
    groups: set[bytes] = set()
    while True:
        batch = Batch(loaded, config, T0, LEVEL_MAX)
        for request in requests:
            for outcome in batch.apply(request):
                assert outcome.problem is None, outcome.problem
        if batch.is_decided:
            return batch.flush(new_flush_id())
        incidents |= batch.missing_incidents
        groups |= batch.missing_groups
        found = await world.log.load_incidents(tenant_id, incidents, groups)
        loaded = replace(loaded, incidents=found.by_id, groups=found.by_key)


async def done(world: World, tenant_id: TenantId, *actions: Action | IncidentAction) -> Flush:
    flush = await decided(world, tenant_id, *actions)
    await world.log.append(tenant_id, flush)
    return flush


async def the_alert(world: World, tenant_id: TenantId, key: str) -> Alert:
    return (await world.log.load(tenant_id, [key], [], [])).by_key[key]


async def the_incident(world: World, tenant_id: TenantId, incident_id: IncidentId | None) -> Incident:
    assert incident_id is not None
    found = (await world.log.load_incidents(tenant_id, [incident_id], [])).by_id[incident_id]
    assert found is not None
    return found


# ----------------------------------------------------------------------------------------- appending


async def test_an_incident_is_written_with_what_its_alerts_become(world: World, tenant_id: TenantId) -> None:
    flush = await done(
        world,
        tenant_id,
        fire("a", severity=Severity.LOW, monitored_service="checkout"),
        fire("b", severity=Severity.CRITICAL),
    )
    (write,) = flush.incidents
    alert = await the_alert(world, tenant_id, "a")
    incident = await the_incident(world, tenant_id, alert.incident_id)

    assert write.event_index is not None
    assert incident == replace(write.incident, version=write.event_index + 1)
    assert (incident.alert_count, incident.open_count, incident.severity) == (2, 2, Severity.CRITICAL)
    last = max(n for n, sealed in enumerate(flush.events, 1) if sealed.event.alert_id == alert.id)
    assert (alert.version, flush.events[last - 1].event.kind) == (last, EventKind.GROUPED)
    by_key = (await world.log.load_incidents(tenant_id, [], [incident.group_key or b""])).by_key
    assert by_key == {incident.group_key: incident}

    await done(world, tenant_id, Resolve(ByKey("a")), Resolve(ByKey("b")))
    over = await the_incident(world, tenant_id, incident.id)
    assert (over.status, over.resolved_at, over.alert_count) == (IncidentStatus.RESOLVED, T0, 2)
    rows = await world.rows("SELECT status, severity FROM incident")
    assert [tuple(row) for row in rows] == [(IncidentStatus.RESOLVED, Severity.CRITICAL)]
    assert await world.value("SELECT count(*) FROM alert_closed WHERE incident_id IS NOT NULL") == 2
    # Resolved, it does not have its key any more.
    assert (await world.log.load_incidents(tenant_id, [], [incident.group_key or b""])).by_key == {
        incident.group_key: None
    }
    events = await world.rows("SELECT kind, alert_id IS NULL FROM event WHERE incident_id IS NOT NULL")
    assert (EventKind.INCIDENT_RESOLVED, True) in [tuple(row) for row in events]


async def test_a_closed_alert_moves_without_being_opened(world: World, tenant_id: TenantId) -> None:
    await done(world, tenant_id, fire("a"))
    alert = await the_alert(world, tenant_id, "a")
    await done(world, tenant_id, Resolve(ByKey("a")))
    await done(world, tenant_id, fire("b", job="web"))
    other = await the_alert(world, tenant_id, "b")
    first, into = alert.incident_id, other.incident_id
    assert first is not None
    assert into is not None
    seen = await the_incident(world, tenant_id, first)

    await done(world, tenant_id, MergeIncidents(into, (first,), (alert.id,), {first: seen.version}))
    await done(world, tenant_id, GiveFeedback(ById(alert.id), AlertVerdict.NOISE))

    moved = (await world.log.load(tenant_id, [], [alert.id], [])).by_id[alert.id]
    assert (moved.incident_id, moved.status, moved.verdict) == (into, AlertStatus.RESOLVED, AlertVerdict.NOISE)
    gone = await the_incident(world, tenant_id, first)
    assert (gone.merged_into, gone.alert_count) == (into, 0)


async def test_what_was_decided_on_a_stale_incident_is_refused(world: World, tenant_id: TenantId) -> None:
    await done(world, tenant_id, fire("a"), fire("b"))
    number = (await world.log.head(tenant_id)).number  # type: ignore[union-attr]  # it has a log
    # Decided beside each other: each is about another alert, and both about the incident.
    first = await decided(world, tenant_id, Resolve(ByKey("a")))
    second = await decided(world, tenant_id, Resolve(ByKey("b")))
    await world.log.append(tenant_id, first)

    with pytest.raises(StaleDecisionError):
        await world.log.append(tenant_id, second)

    head = await world.log.head(tenant_id)
    assert head is not None
    assert head.number == number + len(first.events)
    await world.log.append(tenant_id, await decided(world, tenant_id, Resolve(ByKey("b"))))
    (row,) = await world.rows("SELECT status, open_counts FROM incident")
    assert tuple(row) == (IncidentStatus.RESOLVED, [0, 0, 0, 0, 0])


async def test_two_decisions_never_open_two_incidents_for_one_key(world: World, tenant_id: TenantId) -> None:
    first = await decided(world, tenant_id, fire("a"))
    second = await decided(world, tenant_id, fire("b"))
    await world.log.append(tenant_id, first)

    with pytest.raises(StaleDecisionError):
        await world.log.append(tenant_id, second)

    await done(world, tenant_id, fire("b"))
    assert await world.value("SELECT count(*) FROM incident") == 1
    assert await world.value("SELECT count(DISTINCT incident_id) FROM alert_open") == 1


async def test_an_incident_of_another_tenant_is_none(world: World, tenant_id: TenantId) -> None:
    await done(world, tenant_id, fire("a"))
    alert = await the_alert(world, tenant_id, "a")
    incident = await the_incident(world, tenant_id, alert.incident_id)
    other = await world.tenant("other")

    found = await world.log.load_incidents(other, [incident.id], [incident.group_key or b""])

    assert found.by_id == {incident.id: None}
    assert found.by_key == {incident.group_key: None}
    async with Reader.open(world.database, other) as reader:
        assert await incident_pages.load_incidents(reader, [incident.id]) == {}
        page = await incident_pages.incident_page(reader, IncidentQuery(IncidentFilter(), PageRequest()))
        assert not page.items
        assert await incident_pages.alerts_in(reader, [incident.id], tuple(AlertStatus), 10) == []


# ------------------------------------------------------------------------------------- two processes


class Unwatched:
    """Looks at nothing."""

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None: ...

    def queued(self, seconds: float) -> None: ...

    def streamed(self, *, events: int, source: str) -> None: ...

    def failed(self, part: str, error: BaseException) -> None: ...


async def test_two_processes_race_for_one_key(world: World, tenant_id: TenantId) -> None:
    clock = VirtualClock(T0)
    processes = [
        Lanes(
            PostgresLog(world.database),
            OpenAlerts(),
            clock,
            SeededDice(seed),
            Unwatched(),
            lambda _: None,
            lambda _: None,
        )
        for seed in (1, 2)
    ]
    for turn in range(5):
        await asyncio.gather(
            *(
                lanes.submit(tenant_id, Request((fire(f"{turn} {number} {place}"),), (new_id(),), SENDER))
                for place, lanes in enumerate(processes)
                for number in range(10)
            )
        )
        ended = [Resolve(ByKey(f"{turn} {number} {place}")) for place in (0, 1) for number in range(0, 10, 2)]
        await asyncio.gather(
            *(
                lanes.submit(tenant_id, Request((action,), (new_id(),), SENDER))
                for action, lanes in zip(ended, processes * 5, strict=True)
            )
        )
    for lanes in processes:
        await lanes.drain()

    (row,) = await world.rows("SELECT alert_count, open_counts, triggered_count FROM incident")
    open_count = await world.value("SELECT count(*) FROM alert_open WHERE incident_id IS NOT NULL")
    assert (row["alert_count"], sum(row["open_counts"]), row["triggered_count"]) == (100, open_count, open_count)
    assert open_count == 50


# ------------------------------------------------------------------------------------------ the rest


async def test_an_incident_goes_with_its_last_alert(world: World, tenant_id: TenantId) -> None:
    keeper = Housekeeper(world.database, world.url)
    await done(world, tenant_id, fire("a"), fire("b", job="web"), fire("c", job="web"))
    await done(world, tenant_id, Resolve(ByKey("a")), Resolve(ByKey("b")))
    for table in ("alert_closed", "incident"):
        await world.execute(f"UPDATE {table} SET resolved_at = now() - interval '11 days' WHERE status = 3")
    await world.execute("UPDATE tenant_settings SET retention = '10 days'")

    retired = await keeper.retire()

    assert (retired.alerts, retired.incidents) == (2, 1)
    # One that has an open alert stays, also with what it counted.
    (row,) = await world.rows("SELECT alert_count, open_counts FROM incident")
    assert (row["alert_count"], sum(row["open_counts"])) == (2, 1)
    assert (await keeper.retire()).incidents == 0


async def test_what_still_has_an_alert_stays(world: World, tenant_id: TenantId) -> None:
    keeper = Housekeeper(world.database, world.url)
    await done(world, tenant_id, fire("a"))
    await done(world, tenant_id, Resolve(ByKey("a")))
    await world.execute("UPDATE incident SET resolved_at = now() - interval '11 days'")
    await world.execute("UPDATE tenant_settings SET retention = '10 days'")
    await world.execute("UPDATE alert_closed SET resolved_at = now()")

    assert (await keeper.retire()).incidents == 0


async def test_many_incidents_are_listed_by_an_index(world: World, tenant_id: TenantId) -> None:
    await world.execute(
        "INSERT INTO incident (tenant_id, id, version, title, status, severity, opened_at, last_joined_at, "
        "resolved_at, alert_count, open_counts, triggered_count, worst, services) "
        "SELECT $1, gen_random_uuid(), n, 'i' || n, CASE WHEN n % 500 = 0 THEN 1 ELSE 3 END, 1 + n % 5, "
        "now() - n * interval '1 minute', now(), CASE WHEN n % 500 = 0 THEN NULL ELSE now() END, 1, "
        "CASE WHEN n % 500 = 0 THEN '{1,0,0,0,0}'::int[] ELSE '{0,0,0,0,0}' END, (n % 500 = 0)::int, 1, '{}' "
        "FROM generate_series(1, 20000) n",
        tenant_id,
    )
    await world.execute("ANALYZE incident")
    async with Reader.open(world.database, tenant_id) as reader:
        wanted = IncidentQuery(IncidentFilter(), PageRequest(3), with_total=True)
        page = await incident_pages.incident_page(reader, wanted)
        assert [incident.title for _, incident in page.items] == ["i1", "i2", "i3"]
        assert page.total_count == 10_000
        still_open = IncidentFilter(status=(IncidentStatus.OPEN,))
        page = await incident_pages.incident_page(
            reader, IncidentQuery(still_open, PageRequest(2), with_total=True)
        )
        assert [incident.title for _, incident in page.items] == ["i500", "i1000"]
        assert page.total_count == 40
        after = page.items[-1][0]
        page = await incident_pages.incident_page(reader, IncidentQuery(still_open, PageRequest(2, after)))
        assert [incident.title for _, incident in page.items] == ["i1500", "i2000"]
