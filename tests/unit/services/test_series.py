"""Who watches series: what is told, once, whatever ends in between."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from alertgraph.core.alert import Alert
from alertgraph.core.anomaly import AnomalyDirection, AnomalyRule, AnomalySensitivity
from alertgraph.core.errors import DependencyError
from alertgraph.core.event import EventKind
from alertgraph.core.points import Points, Series, pack_points
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Role
from alertgraph.services.anomalies import AnomalyTeller
from alertgraph.services.anomaly_rules import AnomalyRuleService
from alertgraph.services.lanes import Lanes
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.series import (
    WITHOUT_NUMPY,
    SeriesBudget,
    SeriesReader,
    SeriesWatch,
    WaitingFeeds,
    Watching,
)
from tests.factories import HOUR, MINUTE, SECOND, TENANT, a_config_event, a_matcher, stored
from tests.memory_catalog import CatalogSnapshots, SetUp, a_caller
from tests.memory_points import MemoryPoints, PlainShards
from tests.unit.services.test_lanes import Watcher
from tests.virtual import SeededDice

ADMIN = a_caller(Role.ADMIN)
ROOM = 1_000_000


class Counted(Watcher):
    """Counts what is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.told: list[bool] = []

    def points_taken(self, counts: Mapping[str, int], seconds: float) -> None:
        for status, count in counts.items():
            self.counts[status] = self.counts.get(status, 0) + count

    def points_received(self, counts: Mapping[str, int]) -> None:
        raise AssertionError("nobody sends here")

    def anomaly_told(self, *, began: bool) -> None:
        self.told.append(began)


class Watched(SetUp):
    """A tenant with a rule about queues, and the processes that watch its series one after the other."""

    def __init__(self, series_max: int = 10, total_max: int = 100) -> None:
        super().__init__()
        self.points = MemoryPoints(self.clock)
        self.watcher = Counted()
        self.rules = AnomalyRuleService(self.changes)
        self.executor = ThreadPoolExecutor(1)
        self.series_max, self.total_max = series_max, total_max
        self.watch = self.process()

    def process(self, *, with_numpy: bool = True) -> SeriesWatch:
        """A process that has begun and not looked at anything yet."""
        dice = SeededDice(len(self.log.tenants[TENANT].events))
        lanes = Lanes(
            self.log, OpenAlerts(), self.clock, dice, self.watcher, lambda _: None, lambda _: None, level_max=5
        )
        self.teller = AnomalyTeller(lanes, CatalogSnapshots(self.log), self.clock, dice, self.watcher)
        self.watching = Watching(
            self.points,
            PlainShards() if with_numpy else None,
            self.teller,
            self.watcher,
            self.clock,
            self.executor,
            WaitingFeeds(self.points, self.clock),
            SeriesBudget(self.total_max),
            self.series_max,
        )
        return SeriesWatch(self.watching, TENANT)

    async def restart(self, **options: Any) -> None:
        """Have another process go on, as after a crash."""
        self.process(**options)
        watch = await SeriesReader(self.watching).open(TENANT, b"", self.clock.now())
        assert isinstance(watch, SeriesWatch)
        self.watch = watch

    async def rule(self, **fields: Any) -> AnomalyRule:
        made = await self.rules.create(
            ADMIN, **{"name": "queues", "matchers": (a_matcher("__name__", "queue"),), **fields}
        )
        await self.heard()
        return made

    async def heard(self) -> None:
        """Let the watch hear that rules have changed."""
        await self.watch.take([stored(a_config_event(subject_type="AnomalyRule"))])

    async def send(self, *values: float, every: timedelta = SECOND, **labels: str) -> None:
        """Send values, each a while after the other, and have them taken."""
        text = Series.of({"__name__": "queue", **labels}).text
        for value in values:
            points = Points()
            points.add(text, [(int(self.clock.now().timestamp()), value)])
            await self.points.put(TENANT, pack_points(points), ROOM)
            self.clock.advance(every)
        await self.tick()

    async def tick(self) -> None:
        self.clock.advance(SECOND)
        await self.watch.tick(self.clock.now())

    @property
    def open(self) -> list[Alert]:
        return list(self.log.tenants[TENANT].open.values())

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events if event.alert_id is not None]


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.executor.shutdown()


async def test_what_is_unusual_is_an_alert_until_it_is_usual_again(watched: Watched) -> None:
    rule = await watched.rule(severity=Severity.CRITICAL, service_label="app")
    began_at = watched.clock.now() + 3 * SECOND
    await watched.send(1, 1, 1, 25, 24, app="checkout")

    [alert] = watched.open
    assert alert.title == "queue is unusually high: 25 (usually 0 to 3)"
    assert "It has been unusual since 2026-11-23 12:00:03 UTC." in alert.description
    assert 'Series: queue{app="checkout"}' in alert.description
    assert (alert.severity, alert.source, alert.monitored_service) == (Severity.CRITICAL, "anomaly", "checkout")
    assert alert.labels == {"app": "checkout", "metric": "queue", "anomaly_rule": "queues"}
    assert alert.dedup_key == rule.dedup_key(Series.of({"__name__": "queue", "app": "checkout"}).digest)
    assert alert.triggered_at == began_at
    assert alert.occurrence_count == 1
    await watched.send(1, 1, 1, 1, app="checkout")
    assert watched.open
    await watched.send(1, app="checkout")
    assert watched.open == []
    assert watched.kinds == [EventKind.TRIGGERED, EventKind.HELD, EventKind.RESOLVED]
    assert watched.watcher.told == [True, False]


async def test_each_series_has_an_alert_of_its_own_and_each_rule_too(watched: Watched) -> None:
    await watched.rule()
    await watched.rule(name="dear ones", matchers=(a_matcher("app", "a"),), sensitivity=AnomalySensitivity.LOW)
    for app in ("a", "b", "c"):
        await watched.send(1, app=app)
    await watched.send(15, app="a")
    await watched.send(25, app="b")
    assert sorted(alert.labels["app"] for alert in watched.open) == ["a", "b"]

    await watched.send(26, app="a")

    assert sorted((alert.labels["app"], alert.labels["anomaly_rule"]) for alert in watched.open) == [
        ("a", "dear ones"),
        ("a", "queues"),
        ("b", "queues"),
    ]


async def test_a_trouble_that_is_short_is_not_told(watched: Watched) -> None:
    await watched.rule(min_duration=MINUTE)
    await watched.send(1, 25, 1, 1, 1, 1, 1, *[1] * 100)
    assert watched.open == []
    await watched.send(*[1] * 60)

    await watched.send(*[25] * 60)
    assert watched.open == []
    await watched.send(25)
    assert len(watched.open) == 1


async def test_only_the_wanted_side_counts(watched: Watched) -> None:
    await watched.rule(direction=AnomalyDirection.DOWN)
    await watched.send(1, 25)
    assert watched.open == []

    await watched.send(-25)

    assert watched.open[0].title == "queue is unusually low: -25 (usually -3 to 3)"


async def test_the_next_event_waits_so_that_one_trouble_is_one_alert(watched: Watched) -> None:
    await watched.rule()
    await watched.send(1, 25, 1, 1, 1, 1, 1, 25, 25)
    assert watched.open == []

    await watched.send(*[1] * 150, 25)

    assert len(watched.open) == 1


async def test_what_is_long_past_is_learnt_and_not_told(watched: Watched) -> None:
    await watched.rule()
    points = Points()
    begin = int((watched.clock.now() - HOUR).timestamp())
    points.add(Series.of({"__name__": "queue"}).text, [(begin, 1.0), (begin + 1, 50.0), (begin + 2, 50.0)])
    await watched.points.put(TENANT, pack_points(points), ROOM)
    await watched.tick()
    assert watched.open == []
    assert watched.watcher.counts["scored"] == 2

    await watched.send(50)

    assert watched.open[0].triggered_at == watched.clock.now() - 2 * SECOND


async def test_counters_are_watched_by_their_increase(watched: Watched) -> None:
    await watched.rule(matchers=(a_matcher("__name__", "jobs_total"),))
    text = Series.of({"__name__": "jobs_total"}).text
    at = int(watched.clock.now().timestamp())
    points = Points()
    # One a second; then the process begins anew, and after that thirty a second.
    points.add(text, [(at, 1000.0), (at + 10, 1010.0), (at + 20, 5.0), (at + 30, 15.0), (at + 40, 315.0)])
    watched.clock.advance(MINUTE)
    await watched.points.put(TENANT, pack_points(points), ROOM)
    await watched.tick()

    [alert] = watched.open
    assert alert.title.startswith("jobs_total is unusually high: 30 ")
    assert "its increase a second" in alert.description
    assert watched.watcher.counts["counter"] == 1


async def test_a_series_that_falls_silent_ends_its_alert(watched: Watched) -> None:
    await watched.rule()
    await watched.send(1, 25)
    watched.clock.advance(14 * MINUTE)
    await watched.tick()
    assert watched.open

    watched.clock.advance(2 * MINUTE)
    await watched.tick()

    assert watched.open == []


@pytest.mark.parametrize("change", ["delete", "disable", "narrow"])
async def test_alerts_of_a_rule_that_is_gone_end(watched: Watched, change: str) -> None:
    rule = await watched.rule()
    await watched.send(1, 25)
    assert watched.open
    if change == "delete":
        await watched.rules.delete(ADMIN, rule.id)
    elif change == "disable":
        await watched.rules.update(ADMIN, rule.id, enabled=False)
    else:
        await watched.rules.update(ADMIN, rule.id, matchers=(a_matcher("__name__", "other"),))
    await watched.heard()

    await watched.tick()

    assert watched.open == []


# ------------------------------------------------------------------------------------- restarts


async def test_after_a_crash_nothing_is_told_twice_and_nothing_is_forgotten(watched: Watched) -> None:
    await watched.rule()
    await watched.send(1, 1, app="a")
    await watched.send(1, 25, app="b")
    kinds = watched.kinds

    for _ in range(3):
        await watched.restart()
        await watched.tick()
    assert watched.kinds == kinds
    assert watched.watch.series_count == 2
    await watched.send(1, 1, 1, 1, 1, app="b")

    assert watched.open == []
    assert watched.kinds == [*kinds, EventKind.RESOLVED]


async def test_a_crash_between_telling_and_noting_is_made_good(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watched.rule()
    await watched.send(1)

    async def lost(*_: object) -> bool:
        raise DependencyError("postgresql", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(watched.points, "took", lost)
        with pytest.raises(DependencyError):
            await watched.send(25)
    assert len(watched.open) == 1
    kinds = watched.kinds
    await watched.restart()
    await watched.tick()

    assert watched.kinds == kinds, "it was asked for twice, and told once"
    assert watched.open[0].occurrence_count == 1


async def test_what_is_saved_needs_its_batches_no_more(watched: Watched) -> None:
    await watched.rule()
    for app in ("a", "b", "c"):
        await watched.send(1, 2, app=app)
    feed = watched.points.feeds[TENANT]
    assert len(feed.batches) == 6

    watched.clock.advance(6 * MINUTE)
    await watched.tick()
    assert feed.batches == []
    assert sorted(watched.points.kept[TENANT]) == [0, 1]
    await watched.send(25, app="c")
    await watched.restart()
    await watched.tick()
    await watched.send(1, 1, 1, 1, 1, app="c")

    assert watched.open == []
    assert watched.watch.series_count == 3


async def test_a_feed_that_was_lost_costs_points_and_no_alarm(watched: Watched) -> None:
    await watched.rule()
    await watched.send(1, 1, app="a")
    watched.clock.advance(6 * MINUTE)
    await watched.tick()
    await watched.send(25, app="a")
    assert len(watched.open) == 1

    watched.points.crash()
    with pytest.raises(DependencyError, match="lost"):
        await watched.send(1, app="a")
    await watched.restart()
    await watched.tick()

    # What was saved knows nothing of the event: nobody would end it else.
    assert watched.open == []
    await watched.send(25, app="a")
    assert len(watched.open) == 1


async def test_two_processes_do_not_take_the_same_points(watched: Watched) -> None:
    await watched.rule()
    await watched.send(1)
    first = watched.watch
    await watched.restart()
    await watched.tick()
    await watched.send(25)
    assert len(watched.open) == 1

    text = Series.of({"__name__": "queue"}).text
    points = Points([text], [0], [int(watched.clock.now().timestamp())], [30.0])
    await watched.points.put(TENANT, pack_points(points), ROOM)
    with pytest.raises(DependencyError, match="Another process"):
        await first.tick(watched.clock.now() + SECOND)


async def test_a_state_of_another_release_begins_anew(watched: Watched) -> None:
    await watched.rule()
    await watched.send(1, 1)
    watched.clock.advance(6 * MINUTE)
    await watched.tick()
    state = watched.points.kept[TENANT][0]
    watched.points.kept[TENANT][0] = type(state)(state.shard, state.feed_id, state.number, b"what is this")

    await watched.restart()
    await watched.send(25)
    assert watched.open == [], "it warms up again"
    await watched.send(25)

    assert len(watched.open) == 1


# --------------------------------------------------------------------------------------- bounds


async def test_series_beyond_the_limit_are_left_out_and_counted() -> None:
    watched = Watched(series_max=3)
    await watched.rule()
    for app in "abcde":
        await watched.send(1, 25, app=app)

    assert watched.watch.series_count == 3
    assert sorted(alert.labels["app"] for alert in watched.open) == ["a", "b", "c"]
    assert watched.watcher.counts["beyond"] == 4
    assert watched.watch.memory_bytes == 300


async def test_all_tenants_together_are_bounded() -> None:
    watched = Watched(total_max=2)
    await watched.rule()
    for app in "abc":
        await watched.send(1, app=app)

    assert watched.watch.series_count == 2


async def test_a_watch_that_is_dropped_gives_its_places_back(watched: Watched) -> None:
    await watched.rule()
    for app in "ab":
        await watched.send(1, app=app)
    budget = watched.watching.budget
    assert budget.count == 2

    watched.watch = SeriesWatch(watched.watching, TENANT)
    gc.collect()

    assert budget.count == 0


async def test_series_that_are_long_silent_give_way(watched: Watched) -> None:
    watched.series_max = 3
    await watched.restart()
    await watched.rule()
    for app in "abc":
        await watched.send(1, app=app)
    watched.clock.advance(25 * HOUR)
    await watched.send(1, app="c")

    await watched.send(1, 25, app="d")

    assert watched.watch.series_count == 2
    assert [alert.labels["app"] for alert in watched.open] == ["d"]
    watched.clock.advance(HOUR)
    await watched.tick()
    await watched.restart()
    await watched.tick()
    assert watched.watch.series_count == 2
    assert watched.watching.budget.count == 2


async def test_without_numpy_senders_are_told(watched: Watched) -> None:
    await watched.rule()
    await watched.restart(with_numpy=False)
    await watched.send(1)

    with pytest.raises(DependencyError, match="numpy is not installed"):
        await watched.send(1)
    assert watched.points.feeds[TENANT].why_not == WITHOUT_NUMPY

    await watched.restart()
    await watched.tick()
    await watched.send(25)
    assert len(watched.open) == 1
