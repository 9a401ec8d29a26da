"""Which alerts belong together, read from a log in memory: links, incidents, what people say, and crashes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import orjson
import pytest

from alertgraph.core import correlation, pair_labels
from alertgraph.core.action import Action, ByKey, Fire, Resolve
from alertgraph.core.actor import CORRELATION, Actor
from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.alert_link import AlertLink
from alertgraph.core.batch import Request
from alertgraph.core.correlation import Arrival, PairFacts, PairScorer, Relation
from alertgraph.core.event import Event, EventKind
from alertgraph.core.ids import AlertId, IncidentId, TenantId
from alertgraph.core.incident import Incident, IncidentStatus
from alertgraph.core.incident_action import IncidentAction, OpenIncident, SplitIncident, UpdateIncident
from alertgraph.core.learning import ForeignStateError
from alertgraph.core.monitored_service import Dependencies
from alertgraph.core.pair_labels import PairExample
from alertgraph.core.summary import summary
from alertgraph.services.correlation import CorrelationReader, CorrelationReading
from alertgraph.services.following import StateMismatch
from alertgraph.services.lanes import Lanes
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import Configuration, PairScorers, Snapshot
from tests.factories import ADA, SENDER, T0, TENANT, a_config, a_draft, a_request
from tests.memory_log import MemoryLog, TenantRows
from tests.unit.services.test_lanes_of_incidents import Unwatched
from tests.virtual import SeededDice, VirtualClock

SECOND = timedelta(seconds=1)
NEEDS: Dependencies = {"web": ("api",), "api": ("db",), "mail": ("smtp",)}
OTHER = TenantId(UUID(int=2))


@dataclass
class Links:
    """Keeps links in memory."""

    kept: dict[tuple[AlertId, AlertId], AlertLink] = field(default_factory=dict)
    until: datetime | None = None

    async def keep(self, tenant_id: TenantId, links: Sequence[AlertLink], until: datetime) -> None:
        assert tenant_id in (TENANT, OTHER)
        for link in links:
            self.kept.setdefault((link.alert, link.earlier), link)
        self.until = max(until, self.until or until)


class Store:
    """What is set up beside the log, and a snapshot of incidents."""

    def __init__(self, log: MemoryLog, needs: Dependencies) -> None:
        self._log, self._needs = log, needs

    async def dependencies(self, tenant_id: TenantId) -> Dependencies:
        return self._needs if tenant_id == TENANT else {}

    @asynccontextmanager
    async def snapshot(self, tenant_id: TenantId) -> AsyncIterator[Snapshot]:
        yield cast("Snapshot", _Snapshot(self._log.tenants[tenant_id]))


class _Snapshot:
    def __init__(self, rows: TenantRows) -> None:
        self._rows = rows

    async def incidents(self, ids: Collection[IncidentId]) -> Mapping[IncidentId, Incident]:
        return {each: self._rows.incidents[each] for each in ids if each in self._rows.incidents}

    async def alerts_in(
        self, ids: Collection[IncidentId], statuses: Collection[AlertStatus], limit: int
    ) -> Sequence[AlertId]:
        alerts = (*self._rows.open.values(), *self._rows.closed.values())
        return [alert.id for alert in alerts if alert.incident_id in ids and alert.status in statuses][:limit]


class World:
    """A tenant whose alerts come one by one, and who reads them."""

    def __init__(
        self,
        *,
        enabled: bool = True,
        needs: Dependencies = NEEDS,
        seed: int = 0,
        scorers: PairScorers | None = None,
    ) -> None:
        self.clock = VirtualClock(T0)
        self.log = MemoryLog(self.clock, TENANT, OTHER)
        for tenant_id in (TENANT, OTHER):
            config = a_config()
            settings = replace(config.settings, correlation_enabled=enabled)
            self.log.tenants[tenant_id].config = replace(config, settings=settings)
        self.links = Links()
        self.store = Store(self.log, needs)
        self.watcher = Unwatched()
        self.lanes = Lanes(
            self.log, OpenAlerts(), self.clock, SeededDice(seed), self.watcher, lambda _: None, lambda _: None
        )
        self.reader = CorrelationReader(
            self.lanes,
            self.log,
            cast("Configuration", self.store),
            self.store,
            self.links,
            self.clock,
            scorers,
        )
        self.reading: CorrelationReading | None = None
        self.taken = 0
        self._ids = 0

    @property
    def rows(self) -> TenantRows:
        return self.log.tenants[TENANT]

    @property
    def incidents(self) -> list[Incident]:
        return sorted(self.rows.incidents.values(), key=lambda one: one.id)

    @property
    def unresolved(self) -> list[Incident]:
        return [one for one in self.incidents if one.merged_into is None and one.takes_in]

    def alert(self, key: str) -> Alert:
        alerts = (*self.rows.open.values(), *self.rows.closed.values())
        return max((alert for alert in alerts if alert.dedup_key == key), key=lambda alert: alert.id)

    def members(self, incident: Incident) -> set[str]:
        alerts = (*self.rows.open.values(), *self.rows.closed.values())
        return {alert.dedup_key for alert in alerts if alert.incident_id == incident.id}

    def events(self, *kinds: EventKind) -> list[Event]:
        return [stored.event for stored in self.rows.events if stored.event.kind in kinds]

    async def do(self, *actions: Action, tenant_id: TenantId = TENANT) -> None:
        self._ids += len(actions)
        await self.lanes.submit(tenant_id, a_request(*actions, first_id=self._ids - len(actions)))

    async def fire(self, key: str, service: str | None = None, after: float = 1.0, **labels: str) -> None:
        """Have an alert come some seconds later, and the reading take it."""
        await self.quietly(key, service, after, **labels)
        await self.read()

    async def quietly(self, key: str, service: str | None = None, after: float = 1.0, **labels: str) -> None:
        self.pass_time(after)
        labels = {"alertname": key.partition("-")[0], **labels}
        draft = a_draft(dedup_key=key, title=key, monitored_service=service, labels=labels)
        await self.do(Fire(draft))

    async def resolve(self, *keys: str) -> None:
        await self.do(*(Resolve(ByKey(key)) for key in keys))
        await self.read()

    async def by_hand(self, action: IncidentAction, actor: Actor = ADA) -> Incident:
        (outcome,) = await self.lanes.submit(TENANT, Request((), (), actor, incident=action))
        assert outcome.problem is None, outcome.problem
        assert outcome.incident is not None
        await self.read()
        return outcome.incident

    def pass_time(self, seconds: float) -> None:
        self.clock._now += timedelta(seconds=seconds)

    async def opened(self, state: bytes | None = None) -> CorrelationReading:
        return await self.reader.open(TENANT, state, self.clock.now())

    async def read(self) -> None:
        """Have the reading take what is new, its own doings included."""
        if self.reading is None:
            self.reading = await self.opened()
        while self.taken < len(self.rows.events):
            events = self.rows.events[self.taken :]
            await self.reading.take(events)
            self.taken += len(events)

    async def ordinary_hours(self, seed: int = 7, count: int = 300) -> None:
        """Have unrelated alerts come and go, as they do."""
        dice = random.Random(seed)
        for number in range(count):
            service = dice.choice(["web", "api", "db", "mail", "smtp", "batch", "search"])
            key = f"{dice.choice(['Slow', 'Errors', 'Full', 'Restarted'])}-{service}-{number}"
            await self.fire(key, service, after=dice.expovariate(1 / 240), host=f"{service}-{dice.randrange(4)}")
            await self.do(Resolve(ByKey(key)))
        self.pass_time(1800)
        await self.read()


async def cascade(world: World, word: str = "") -> None:
    """Have a database fail, and what needs it after it."""
    await world.fire(f"DiskFull-{word}db", "db")
    await world.fire(f"Errors-{word}api", "api", after=4)
    await world.fire(f"Slow-{word}web", "web", after=5)


async def test_a_cascade_becomes_one_incident_that_says_why() -> None:
    world = World()
    await world.ordinary_hours()
    before = len(world.incidents)

    await world.fire("Backup-mail", "mail")
    await cascade(world)
    await world.fire("Late-batch", "batch")

    (incident,) = world.incidents[before:]
    assert world.members(incident) == {"DiskFull-db", "Errors-api", "Slow-web"}
    assert incident.title == "DiskFull-db"
    assert incident.root_alert_id == world.alert("DiskFull-db").id
    opened = world.events(EventKind.INCIDENT_OPENED)[-1]
    assert opened.actor == CORRELATION
    link = opened.detail["link"]
    assert link["score"] >= link["threshold"]
    assert {"kind", "weight", "text"} == set(link["evidence"][0])
    assert "api and db depend on each other directly" in [each["text"] for each in link["evidence"]]
    kept = {(link.alert, link.earlier) for link in world.links.kept.values()}
    assert (world.alert("Errors-api").id, world.alert("DiskFull-db").id) in kept
    assert world.links.until == world.rows.events[-1].recorded_at


async def test_a_cascade_is_known_for_one_on_the_first_day() -> None:
    world = World()
    await cascade(world)

    (incident,) = world.incidents
    assert world.members(incident) == {"DiskFull-db", "Errors-api", "Slow-web"}


async def test_the_root_follows_what_is_known() -> None:
    world = World()
    await world.fire("Slow-web", "web")
    await world.fire("Errors-api", "api", after=3)
    assert world.incidents[0].title == "Errors-api"

    await world.fire("DiskFull-db", "db", after=3)

    (incident,) = world.incidents
    assert incident.title == "DiskFull-db"
    assert incident.root_alert_id == world.alert("DiskFull-db").id


async def test_what_people_say_of_the_root_stands() -> None:
    world = World()
    await world.fire("Slow-web", "web")
    await world.fire("Errors-api", "api", after=3)
    (incident,) = world.incidents
    await world.by_hand(UpdateIncident(incident.id, root_alert_id=world.alert("Slow-web").id))

    await world.fire("DiskFull-db", "db", after=3)

    (incident,) = world.incidents
    assert incident.alert_count == 3
    assert incident.root_alert_id == world.alert("Slow-web").id


async def test_where_nobody_asked_there_are_links_and_no_incidents() -> None:
    world = World(enabled=False)
    await cascade(world)

    assert world.incidents == []
    assert len(world.links.kept) >= 2


async def test_a_resolved_incident_takes_in_nothing() -> None:
    world = World()
    await cascade(world)
    (first,) = world.incidents
    await world.resolve("DiskFull-db", "Errors-api", "Slow-web")
    assert world.incidents[0].status is IncidentStatus.RESOLVED

    await cascade(world, "again-")

    assert [world.members(one) for one in world.incidents] == [
        {"DiskFull-db", "Errors-api", "Slow-web"},
        {"DiskFull-again-db", "Errors-again-api", "Slow-again-web"},
    ]
    assert world.incidents[0].alert_count == first.alert_count


async def test_one_that_is_resolved_at_this_moment_takes_in_nothing() -> None:
    world = World()
    await world.fire("DiskFull-db", "db")
    await world.fire("Errors-api", "api", after=3)
    # Before the reading has seen the alert that comes next.
    await world.quietly("Slow-web", "web", after=2)
    await world.do(Resolve(ByKey("DiskFull-db")), Resolve(ByKey("Errors-api")))
    await world.read()
    assert world.incidents[0].alert_count == 2
    assert world.alert("Slow-web").incident_id is None

    await world.fire("Errors-api-2", "api", after=2)

    assert world.members(world.incidents[-1]) == {"Slow-web", "Errors-api-2"}


async def test_what_people_have_split_is_not_put_together_again() -> None:
    world = World()
    await cascade(world)
    (incident,) = world.incidents
    await world.by_hand(SplitIncident(incident.id, IncidentId(UUID(int=99)), (world.alert("Slow-web").id,)))
    await world.resolve("DiskFull-db", "Errors-api", "Slow-web")
    count = len(world.incidents)

    await world.fire("DiskFull-db", "db", after=600)
    await world.fire("Errors-api", "api", after=3)
    await world.fire("Slow-web", "web", after=2)

    (again,) = world.incidents[count:]
    assert world.members(again) == {"DiskFull-db", "Errors-api"}
    assert world.alert("Slow-web").incident_id is None


async def test_what_people_merge_makes_such_pairs_likelier() -> None:
    world = World(needs={})
    await world.ordinary_hours(count=100)
    count = len(world.incidents)

    async def beside() -> None:
        await world.fire("Lag-queue", "queue", after=120)
        await world.fire("Late-report", "report", after=20)

    for number in range(6):
        await beside()
        queue, report = world.alert("Lag-queue"), world.alert("Late-report")
        if queue.incident_id is not None:
            break
        opened = await world.by_hand(
            OpenIncident(IncidentId(UUID(int=1000 + number)), "by hand", (queue.id, report.id))
        )
        assert opened.alert_count == 2
        await world.resolve("Lag-queue", "Late-report")
        world.pass_time(3600)
    else:
        pytest.fail("nothing was learned from what people did")
    assert number >= 1, "once was enough, or nothing was needed"
    assert world.members(world.incidents[-1]) == {"Lag-queue", "Late-report"}
    assert len(world.incidents) > count


async def test_labels_and_people_keep_what_they_have() -> None:
    world = World()
    config = world.rows.config
    world.rows.config = replace(config, settings=replace(config.settings, grouping_labels=("alertname",)))
    await cascade(world)

    assert len(world.incidents) == 3, "each stays where its labels have put it"
    assert world.events(EventKind.INCIDENT_MERGED) == []
    assert len(world.links.kept) >= 2


async def test_the_model_adds_to_what_people_have_opened_and_ends_none_of_it() -> None:
    world = World()
    await world.fire("DiskFull-db", "db")
    theirs = await world.by_hand(OpenIncident(IncidentId(UUID(int=5)), "Ada's", (world.alert("DiskFull-db").id,)))

    await world.fire("Errors-api", "api", after=3)
    await world.fire("Slow-web", "web", after=3)

    (incident,) = world.incidents
    assert incident.id == theirs.id
    assert (incident.title, incident.alert_count) == ("Ada's", 3)


async def test_two_incidents_are_merged_once_two_pairs_agree() -> None:
    # Two cascades that turn out to have a cause in common: each of two alerts is about both of them.
    world = World(needs={"a1": ("a2",), "b1": ("b2",), "c": ("b1",), "d": ("a2",)})
    await world.fire("A1", "a1", host="one")
    await world.fire("A2", "a2")
    await world.fire("B1", "b1")
    await world.fire("B2", "b2", host="two")
    assert len(world.unresolved) == 2

    await world.fire("C", "c", host="one")
    assert len(world.unresolved) == 2, "one pair is not enough"
    await world.fire("D", "d", host="two")

    (incident,) = world.unresolved
    assert world.members(incident) == {"A1", "B1", "A2", "B2", "C", "D"}
    merged = world.events(EventKind.INCIDENT_MERGED)
    assert [event.actor for event in merged] == [CORRELATION]
    assert "link" in merged[0].detail


async def test_the_past_is_linked_and_left_alone() -> None:
    world = World()
    await world.quietly("DiskFull-db", "db")
    await world.quietly("Errors-api", "api", after=3)
    world.pass_time(3600)
    await world.read()

    assert world.incidents == []
    assert len(world.links.kept) == 1


@pytest.mark.parametrize("seed", range(6))
async def test_killed_at_any_moment_it_comes_to_the_same(seed: int) -> None:
    dice = random.Random(seed)

    async def story(world: World, chaos: Callable[[], bool]) -> bytes:
        state: bytes | None = None
        begun = 0
        for number in range(120):
            service = dice_of_story.choice(["web", "api", "db", "mail", "smtp", "batch"])
            key = f"{dice_of_story.choice(['Slow', 'Errors'])}-{service}-{number % 9}"
            await world.fire(key, service, after=dice_of_story.choice([2.0, 9.0, 300.0]))
            if number % 7 == 3 and world.unresolved:
                await world.resolve(*world.members(world.unresolved[0]))
            if number % 31 == 30 and world.unresolved and world.unresolved[0].alert_count > 1:
                split = sorted(world.members(world.unresolved[0]))[0]
                await world.by_hand(
                    SplitIncident(
                        world.unresolved[0].id, IncidentId(UUID(int=7000 + number)), (world.alert(split).id,)
                    )
                )
            assert world.reading is not None
            if number % 10 == 0:
                state, begun = world.reading.state(), world.taken
            if chaos():
                world.reading = await world.opened(state)
                world.taken = begun
                await world.read()
        assert world.reading is not None
        return world.reading.state()

    dice_of_story = random.Random(100 + seed)
    calm = World()
    expected = await story(calm, lambda: False)
    dice_of_story = random.Random(100 + seed)
    killed = World()
    found = await story(killed, lambda: dice.random() < 0.2)

    assert orjson.loads(found) == orjson.loads(expected)
    assert [one.members for one in _told(killed)] == [one.members for one in _told(calm)]
    assert killed.links.kept == calm.links.kept
    assert [stored.event.kind for stored in killed.rows.events] == [
        stored.event.kind for stored in calm.rows.events
    ]


@dataclass(frozen=True)
class _Told:
    members: frozenset[str]


def _told(world: World) -> list[_Told]:
    return [_Told(frozenset(world.members(one))) for one in world.incidents]


class Scorers:
    """Fits at once: what is a hop apart belongs together, whatever else is so."""

    def __init__(self) -> None:
        self.fitted: list[int] = []

    def fit(self, examples: Sequence[PairExample]) -> str:
        self.fitted.append(len(examples))
        return f"of {len(examples)}"

    def load(self, fitted: str) -> PairScorer:
        if not fitted.startswith("of "):
            raise ForeignStateError("unknown")

        def score(_: Arrival, facts: Sequence[PairFacts]) -> Sequence[float]:
            return [0.97 if fact.relation <= Relation.ONE_HOP else 0.02 for fact in facts]

        return score


async def test_a_scorer_is_fitted_on_what_people_say_and_takes_over_once_it_is_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pair_labels, "LABELS_MIN", 6)
    monkeypatch.setattr(pair_labels, "LABELS_EACH", 6)
    monkeypatch.setattr(pair_labels, "CONTEST_LENGTH_MIN", 5)
    scorers = Scorers()
    world = World(needs={"web": ("api",)}, scorers=scorers)
    # Of what is taught the table makes nothing here, and each kind comes but once.
    monkeypatch.setattr(correlation, "TAUGHT_WEIGHT", 0.0)
    for number in range(24):
        # People part what is merely close in time, and put together what is a dependency apart, minutes later.
        web, api, batch = keys = f"Slow{number}-web", f"Errors{number}-api", f"Noise{number}-batch"
        await world.fire(web, "web", after=4000)
        await world.fire(api, "api", after=400)
        await world.fire(batch, "batch", after=1)
        if world.alert(web).incident_id is not None:
            break
        ids = tuple(world.alert(key).id for key in (keys if number % 2 else keys[:2]))
        opened = OpenIncident(IncidentId(UUID(int=5000 + number)), "x", ids)
        if number % 2:
            # Grouped by whatever it was, and parted by people.
            await world.by_hand(opened, SENDER)
            await world.by_hand(
                SplitIncident(opened.id, IncidentId(UUID(int=9000 + number)), (world.alert(batch).id,))
            )
        else:
            await world.by_hand(opened)
        await world.resolve(*keys)
    assert world.reading is not None
    companionship = world.reading.companionship

    assert scorers.fitted
    assert companionship.labels.does_win
    assert world.members(world.incidents[-1]) == {web, api}
    again = await world.opened(world.reading.state())
    assert again.companionship.fitted == companionship.fitted
    assert again.state() == world.reading.state()
    # Where the scorer can't be read any more, the table does without.
    told = orjson.loads(world.reading.state())
    told["fitted"] = "something else"
    assert (await world.opened(orjson.dumps(told))).companionship.fitted is None


async def test_a_state_of_another_form_is_told() -> None:
    world = World()
    for state in (b"", b"[]", b'{"form": 99}', orjson.dumps({"form": 1})):
        with pytest.raises(StateMismatch):
            await world.opened(state)


async def test_nothing_of_one_tenant_reaches_another() -> None:
    async def told(*, with_other: bool) -> tuple[Any, list[Any]]:
        world = World()
        other = await world.reader.open(OTHER, None, world.clock.now())
        taken = 0
        for number in range(40):
            await world.fire(f"Slow-canary-{number % 5}", "web", after=7, host="canary-host")
            if with_other:
                await world.do(
                    Fire(a_draft(dedup_key=f"canary-{number}", title="canary", monitored_service="web")),
                    tenant_id=OTHER,
                )
                events = world.log.tenants[OTHER].events[taken:]
                await other.take(events)
                taken += len(events)
        assert world.reading is not None
        return orjson.loads(world.reading.state()), [
            (link.score, link.evidence) for link in world.links.kept.values() if link.alert in world.rows.open
        ]

    # Ids are drawn from the same dice, so only what they say is compared.
    alone, beside = await told(with_other=False), await told(with_other=True)
    assert alone[0]["correlator"]["table"]["pairs"] == beside[0]["correlator"]["table"]["pairs"]
    assert alone[0]["correlator"]["table"]["related"] == beside[0]["correlator"]["table"]["related"]
    assert alone[1] == beside[1]


async def test_long_names_are_remembered_by_their_beginning_and_told_apart() -> None:
    world = World()
    for number in range(3):
        await world.fire("K-x", "web", after=4000, alertname="A" * 4000 + str(number), host="h" * 4000)
        await world.resolve("K-x")
    assert world.reading is not None
    told = world.reading.companionship.told()
    kinds = {key[2] for key in told["correlator"]["index"]["keys"]}
    assert (len(kinds), {len(kind) for kind in kinds}) == (3, {128})
    assert len(world.reading.state()) < 20_000


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from alertgraph.core import companionship

    monkeypatch.setattr(companionship, "RECENT_COUNT_MAX", 50)
    monkeypatch.setattr(companionship, "KEY_COUNT_MAX", 40)
    monkeypatch.setattr(companionship, "GROUP_COUNT_MAX", 20)
    world = World()
    for number in range(200):
        await world.fire(f"K{number}-x", "web", after=100)
    assert world.reading is not None
    told = world.reading.companionship.told()
    assert len(told["recent"]) == 50
    assert len(told["correlator"]["index"]["keys"]) == 40
    assert len(told["correlator"]["groups"]["groups"]) <= 20
    assert len(told["bound"]) <= 20


async def test_the_log_says_in_words_why() -> None:
    world = World()
    await cascade(world)

    told = [summary(event) for event in world.events(EventKind.INCIDENT_OPENED, EventKind.INCIDENT_UPDATED)]

    assert told[0] == (
        "The correlation opened the incident “DiskFull-db”: api and db depend on each other directly, 4 s apart."
    )
    assert told[1].startswith("The correlation changed ")
    assert told[1].endswith("the incident: web and api depend on each other directly, 5 s apart.")
