"""Metrics on their way in: what is kept, what is left out, and what is said of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from alertgraph.core.errors import AccessDeniedError, DependencyError
from alertgraph.core.points import Series, unpack_points
from alertgraph.core.tenant import Role
from alertgraph.services import metric_intake
from alertgraph.services.anomaly_rules import AnomalyRuleService
from alertgraph.services.metric_intake import UNWATCHED, MetricIntake, SentSeries, Taken
from tests.factories import DAY, MINUTE, TENANT, a_matcher
from tests.memory_catalog import CatalogSnapshots, SetUp, a_caller
from tests.memory_points import MemoryPoints

ADMIN = a_caller(Role.ADMIN)
SENDER = a_caller(Role.INGEST)
QUEUE = {"__name__": "queue", "app": "a"}


class Intake(SetUp):
    """A tenant that watches its queues."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.points = MemoryPoints(self.clock)
        self.rules = AnomalyRuleService(self.changes)
        self.received: Counter[str] = Counter()
        self.intake = MetricIntake(
            self.points, CatalogSnapshots(self.log), self.clock, self, **{"series_max": 10, **options}
        )

    def points_received(self, counts: Mapping[str, int]) -> None:
        self.received.update(counts)

    def points_taken(self, counts: Mapping[str, int], seconds: float) -> None:
        raise AssertionError("nobody takes any here")

    def anomaly_told(self, *, began: bool) -> None:
        raise AssertionError("nobody is told of any here")

    def failed(self, part: str, error: BaseException) -> None:
        raise error

    async def rule(self, label: str = "__name__", value: str = "queue", **fields: Any) -> None:
        await self.rules.create(ADMIN, name=f"{label} {value}", matchers=(a_matcher(label, value),), **fields)
        self.intake.forget(TENANT)

    @property
    def now(self) -> int:
        return round(self.clock.now().timestamp() * 1000)

    async def send(self, *series: tuple[Any, Sequence[tuple[int, float]]]) -> Taken:
        memory = await self.intake.memory(SENDER)
        sent = [
            SentSeries(memory.learn(labels), points, ("series", str(index)))
            for index, (labels, points) in enumerate(series)
        ]
        return await self.intake.take(SENDER, sent)

    @property
    def kept(self) -> list[list[tuple[str, int, float]]]:
        """What was kept, batch by batch: series, second, value."""
        feed = self.points.feeds.get(TENANT)
        batches = [unpack_points(batch.content) for batch in feed.batches] if feed is not None else []
        return [
            [(each.texts[s], at, value) for s, at, value in zip(each.series, each.at, each.values, strict=True)]
            for each in batches
        ]


@pytest.fixture
async def taking() -> Intake:
    taking = Intake()
    await taking.rule()
    return taking


async def test_what_a_rule_watches_is_kept_and_the_rest_is_taken_and_gone(taking: Intake) -> None:
    taken = await taking.send((QUEUE, [(taking.now, 1.5)]), ({"__name__": "load"}, [(taking.now, 2.0)]))

    assert (taken.accepted, taken.watched, taken.refused) == (2, 1, 0)
    assert taking.kept == [[(Series.of(QUEUE).text, taking.now // 1000, 1.5)]]
    taken = await taking.send(({"__name__": "load"}, [(taking.now, 2.0)]))
    assert (taken.accepted, taken.watched) == (1, 0)
    assert len(taking.kept) == 1
    assert taking.received == {"accepted": 3, "watched": 1, "ignored": 0, "refused": 0}


async def test_without_a_rule_nothing_is_kept() -> None:
    taking = Intake()
    assert (await taking.send((QUEUE, [(taking.now, 1.0)]))).accepted == 1
    await taking.rule(enabled=False)
    assert (await taking.send((QUEUE, [(taking.now, 1.0)]))).watched == 0

    assert taking.kept == []


async def test_a_rule_that_changed_elsewhere_counts_within_seconds(taking: Intake) -> None:
    await taking.send((QUEUE, [(taking.now, 1.0)]))
    [rule] = taking.config.catalog.anomaly_rules.values()
    await taking.rules.update(ADMIN, rule.id, enabled=False)
    assert (await taking.send((QUEUE, [(taking.now, 1.0)]))).watched == 1

    taking.clock.advance(metric_intake.RULES_AGE_MAX + MINUTE)

    assert (await taking.send((QUEUE, [(taking.now, 1.0)]))).watched == 0


async def test_points_are_kept_in_order_and_those_without_a_value_are_left_out(taking: Intake) -> None:
    now = taking.now
    taken = await taking.send(
        (QUEUE, [(now, 3.0), (now - 2000, 1.0), (now - 1000, math.nan), (now - 1000, math.inf), (now, 4.0)])
    )

    assert (taken.accepted, taken.ignored, taken.refused) == (3, 2, 0)
    assert [point[1:] for point in taking.kept[0]] == [
        (now // 1000 - 2, 1.0),
        (now // 1000, 3.0),
        (now // 1000, 4.0),
    ]


@pytest.mark.parametrize(
    ("shift", "value", "path", "message"),
    [
        (11 * MINUTE, 1.0, "at", "ten minutes ahead"),
        (-31 * DAY, 1.0, "at", "30 days ago"),
        (0 * MINUTE, 1e19, "value", "1e18"),
        (0 * MINUTE, -1e19, "value", "1e18"),
    ],
)
async def test_a_point_that_is_wrong_is_named_and_the_others_are_kept(
    taking: Intake, shift: Any, value: float, path: str, message: str
) -> None:
    bad = (taking.now + round(shift.total_seconds() * 1000), value)

    taken = await taking.send((QUEUE, [(taking.now, 1.0), bad]))

    assert (taken.accepted, taken.refused) == (1, 1)
    [problem] = taken.problems
    assert problem.path == ("series", "0", "points", "1", path)
    assert message in problem.message
    assert len(taking.kept[0]) == 1


@pytest.mark.parametrize(
    ("labels", "path"),
    [
        ({}, ("labels",)),
        ({f"l{i}": "x" for i in range(63)}, ("labels",)),
        ({"": "x"}, ("labels", "")),
        ({"@x": "x"}, ("labels", "@x")),
        ({"a": "\x00"}, ("labels", "a")),
        ({"a": "x" * 5000}, ("labels", "a")),
        ("A label is not UTF-8.", ("labels",)),
    ],
)
async def test_labels_that_are_wrong_cost_their_series_alone(
    taking: Intake, labels: Any, path: tuple[str, ...]
) -> None:
    taken = await taking.send((labels, [(taking.now, 1.0)] * 2), (QUEUE, [(taking.now, 1.0)]))

    assert (taken.accepted, taken.refused) == (1, 2)
    assert taken.problems[0].path == ("series", "0", *path)


async def test_series_are_bounded_and_counted_anew_each_hour() -> None:
    taking = Intake(series_max=2)
    await taking.rule()
    for app in "abc":
        taken = await taking.send(({**QUEUE, "app": app}, [(taking.now, 1.0)]))
    assert (taken.accepted, taken.refused, taken.problems[0].code) == (0, 1, "LIMIT_REACHED")
    assert len(taking.kept) == 2
    assert (await taking.send((QUEUE, [(taking.now, 1.0)]))).watched == 1

    taking.clock.advance(metric_intake.COUNTED_EVERY + MINUTE)

    assert (await taking.send(({**QUEUE, "app": "c"}, [(taking.now, 1.0)]))).watched == 1


async def test_what_is_remembered_is_bounded(taking: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_intake, "KNOWN_COUNT_MAX", 5)
    memory = await taking.intake.memory(SENDER)
    for number in range(6):
        memory.known[b"%d" % number] = UNWATCHED
    assert len((await taking.intake.memory(SENDER)).known) == 0


async def test_problems_are_told_up_to_a_number(taking: Intake) -> None:
    taken = await taking.send((QUEUE, [(0, 1.0)] * 100))

    assert taken.refused == 100
    assert len(taken.problems) == metric_intake.PROBLEM_COUNT_MAX


async def test_who_may_send(taking: Intake) -> None:
    await taking.intake.memory(a_caller(Role.VIEWER))
    with pytest.raises(AccessDeniedError, match="limited by matchers"):
        await taking.intake.memory(a_caller(Role.ADMIN, a_matcher("team", "db")))


async def test_where_nobody_watches_nothing_is_kept() -> None:
    taking = Intake(why_not="Metrics are not watched: learning is switched off.")
    assert (await taking.send((QUEUE, [(taking.now, 1.0)]))).accepted == 1
    await taking.rule()

    with pytest.raises(DependencyError, match="switched off") as caught:
        await taking.send((QUEUE, [(taking.now, 1.0)]))
    assert not caught.value.retryable


async def test_too_much_that_waits_is_told(taking: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_intake, "BACKLOG_SIZE_MAX", 150)
    await taking.send((QUEUE, [(taking.now, 1.0)]))
    await taking.send((QUEUE, [(taking.now, 1.0)]))
    await taking.send((QUEUE, [(taking.now, 1.0)]))

    with pytest.raises(DependencyError) as caught:
        await taking.send((QUEUE, [(taking.now, 1.0)]))
    assert caught.value.retryable
