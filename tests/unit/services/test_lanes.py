"""The write path: what shares a flush, what is refused, lost or poisoned, and who is told what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from alertgraph.core.action import (
    Acknowledge,
    Action,
    AddNote,
    ById,
    ByKey,
    Clear,
    Escalate,
    Fire,
    Judge,
    Predict,
    Reopen,
    Resolve,
)
from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.batch import Outcome, Request
from alertgraph.core.catalog import Catalog
from alertgraph.core.errors import DependencyError, ErrorCode, NotFoundError, StaleDecisionError
from alertgraph.core.event import EventKind
from alertgraph.core.flush import Appended, Flush
from alertgraph.core.ids import TenantId
from alertgraph.core.severity import Severity
from alertgraph.core.slo import TIER_TARGETS
from alertgraph.core.tier import Tier
from alertgraph.services.lanes import CONFIG_AGE_MAX, QUEUE_LENGTH_MAX, Lanes
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import CommittedEvents
from tests.factories import (
    HOUR,
    MINUTE,
    SECOND,
    T0,
    TENANT,
    a_catalog,
    a_config,
    a_draft,
    a_level,
    a_prediction,
    a_request,
    a_rule,
    an_id,
    an_idempotency_key,
)
from tests.memory_log import Fault, MemoryLog
from tests.virtual import SeededDice, VirtualClock

OTHER_TENANT = TenantId(UUID(int=2))


@dataclass
class Watcher:
    """Remembers what an operator would see."""

    flushes: list[tuple[int, int, str]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None:
        self.flushes.append((commands, events, outcome))

    def queued(self, seconds: float) -> None:
        self.waits.append(seconds)

    def streamed(self, *, events: int, source: str) -> None:
        raise AssertionError("lanes have no streams")

    def failed(self, part: str, error: BaseException) -> None:
        self.failures.append(error)


class Process:
    """One process: its own memory and lanes over a log that it shares with others."""

    def __init__(self, log: MemoryLog, clock: VirtualClock, *, seed: int = 0, width: int = 4) -> None:
        self.log = log
        self.clock = clock
        self.watcher = Watcher()
        self.committed: list[CommittedEvents] = []
        self.scheduled: list[datetime] = []
        self.posted: list[datetime] = []
        self.memory = OpenAlerts()
        self.lanes = Lanes(
            log,
            self.memory,
            clock,
            SeededDice(seed),
            self.watcher,
            self.committed.append,
            self.scheduled.append,
            posted=self.posted.append,
            width=width,
        )
        self._ids = 1_000_000 * (seed + 1)

    def request(self, *actions: Action) -> Request:
        """Return a request whose new ids nobody else has."""
        first_id = self._ids
        self._ids += len(actions)
        return a_request(*actions, first_id=first_id)

    def start(self, *actions: Action, tenant_id: TenantId = TENANT) -> asyncio.Future[tuple[Outcome, ...]]:
        """Queue a request."""
        return self.lanes.enqueue(tenant_id, self.request(*actions))

    async def do(self, *actions: Action, tenant_id: TenantId = TENANT) -> tuple[Outcome, ...]:
        """Have a request carried out."""
        return await self.start(*actions, tenant_id=tenant_id)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def log(clock: VirtualClock) -> MemoryLog:
    return MemoryLog(clock, TENANT, OTHER_TENANT)


@pytest.fixture
def here(log: MemoryLog, clock: VirtualClock) -> Process:
    return Process(log, clock)


@pytest.fixture
def there(log: MemoryLog, clock: VirtualClock) -> Process:
    """Another process over the same log."""
    return Process(log, clock, seed=1)


def fire(key: str, **fields: object) -> Fire:
    return Fire(a_draft(dedup_key=key, **fields))


def alert_of(outcomes: Sequence[Outcome]) -> Alert:
    """Return the alert of the only outcome, which was no refusal."""
    (outcome,) = outcomes
    assert outcome.problem is None
    assert outcome.alert is not None
    return outcome.alert


def kinds(log: MemoryLog) -> list[EventKind]:
    return [stored.event.kind for stored in log.tenants[TENANT].events]


def titles(log: MemoryLog) -> list[str]:
    return [stored.event.title for stored in log.tenants[TENANT].events]


# ------------------------------------------------------------------------------------ coalescing


async def test_what_arrives_together_becomes_one_flush(here: Process) -> None:
    answers = await asyncio.gather(*[here.start(fire(f"k{n}")) for n in range(100)])

    assert here.log.calls["append"] == 1
    assert [alert_of(answer).version for answer in answers] == list(range(1, 101))
    assert [alert_of(answer).dedup_key for answer in answers] == [f"k{n}" for n in range(100)]


async def test_what_arrives_meanwhile_becomes_the_next_flush(here: Process) -> None:
    first = here.start(fire("k0"))
    later: list[asyncio.Future[tuple[Outcome, ...]]] = []

    async def pause() -> None:
        if here.log.calls["append"] == 1 and not later:
            later.extend(here.start(fire(f"k{n}")) for n in range(1, 51))
            assert here.lanes.queue_length == 50

    here.log.pause = pause
    await first
    await asyncio.gather(*later)

    assert [commands for commands, _, _ in here.watcher.flushes] == [1, 50]


async def test_a_flush_takes_256_commands_and_1000_events_at_most(here: Process) -> None:
    many = [here.start(fire(f"k{n}")) for n in range(300)]
    large = [here.start(*[fire(f"{m}-{n}") for n in range(400)]) for m in range(3)]

    await asyncio.gather(*many, *large)

    assert [(commands, events) for commands, events, _ in here.watcher.flushes] == [
        (256, 256),
        (46, 844),
        (1, 400),
    ]


async def test_repeats_of_one_key_in_one_flush_are_one_alert(here: Process) -> None:
    answers = await asyncio.gather(*[here.start(fire("k")) for _ in range(5)])

    assert {alert_of(answer).id for answer in answers} == {alert_of(answers[0]).id}
    assert [answer[0].created for answer in answers] == [True, False, False, False, False]
    assert alert_of(answers[-1]).occurrence_count == 5
    assert kinds(here.log) == [EventKind.TRIGGERED, EventKind.REPEATED, EventKind.REPEATED]


async def test_an_end_and_a_new_beginning_share_a_flush(here: Process) -> None:
    first = alert_of(await here.do(fire("k")))

    answers = await asyncio.gather(
        *[here.start(action) for action in (Clear("k", T0), fire("k"), Clear("k", T0), fire("k"))]
    )

    ids = [alert_of(answer).id for answer in answers]
    assert here.log.calls["append"] == 2
    assert ids[0] == first.id
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3
    assert [alert_of(answer).is_open for answer in answers] == [False, False, False, True]


async def test_an_unchanged_repeat_takes_the_short_way(here: Process) -> None:
    for _ in range(7):
        answer = await here.do(fire("k"))

    assert alert_of(answer).occurrence_count == 7
    assert kinds(here.log) == [EventKind.TRIGGERED, EventKind.REPEATED, EventKind.REPEATED]
    assert [outcome for _, _, outcome in here.watcher.flushes] == [
        "committed",
        "committed",
        "touched",
        "committed",
        "touched",
        "touched",
        "touched",
    ]
    # All that was needed of the store after the first look.
    assert (here.log.calls["load"], here.log.calls["open_alerts"], here.log.calls["config"]) == (0, 1, 1)


async def test_committed_events_are_passed_on_in_order_and_touches_are_not(here: Process) -> None:
    await here.do(fire("a"), fire("b"))
    await here.do(fire("a"))
    await here.do(fire("a"))

    assert [[stored.number for stored in one.events] for one in here.committed] == [[1, 2], [3]]
    assert [stored for one in here.committed for stored in one.events] == here.log.tenants[TENANT].events


async def test_the_engine_hears_of_the_earliest_due_time(here: Process) -> None:
    here.log.change_config(TENANT, a_config(catalog=Catalog()))
    await here.do(fire("a", ends_at=T0 + HOUR), fire("b", ends_at=T0 + MINUTE), fire("c"))

    assert here.scheduled == [T0 + MINUTE]


async def test_the_engine_hears_at_once_of_an_alert_that_is_to_climb(here: Process) -> None:
    await here.do(fire("a", ends_at=T0 + HOUR), fire("b"))

    assert here.scheduled == [T0]


async def test_the_sender_hears_of_what_is_to_be_sent_and_of_what_is_not_any_more(here: Process) -> None:
    alert = alert_of(await here.do(fire("a")))
    assert here.posted == []

    here.clock.advance(MINUTE)
    await here.do(Judge(ById(alert.id)))
    here.clock.advance(MINUTE)
    await here.do(Acknowledge(ById(alert.id)))
    await here.do(AddNote(ById(alert.id), "sealed"))

    assert here.posted == [T0 + MINUTE, T0 + 2 * MINUTE]


async def test_a_wait_is_measured_by_the_clock(here: Process) -> None:
    answered = here.start(fire("k"))
    here.clock.advance(3 * SECOND)

    later = here.start(fire("k"), tenant_id=OTHER_TENANT)
    here.clock.advance(SECOND)

    assert (here.lanes.oldest_wait(), here.lanes.queue_length) == (4 * SECOND, 2)
    await asyncio.gather(answered, later)
    assert here.watcher.waits == [4.0, 1.0]
    assert here.lanes.oldest_wait() == timedelta(0)
    assert here.lanes.queue_length == 0


# ------------------------------------------------------------------------- other processes, refusals


async def test_what_another_process_changed_is_decided_again(here: Process, there: Process) -> None:
    alert = alert_of(await here.do(fire("k")))
    await there.do(Acknowledge(ById(alert.id)))

    again = alert_of(await here.do(fire("k", severity=Severity.CRITICAL)))

    assert again.status is AlertStatus.ACKNOWLEDGED
    assert (again.severity, again.version) == (Severity.CRITICAL, 3)
    assert here.watcher.flushes[1:] == [(1, 0, "refused"), (1, 1, "committed")]


async def test_what_is_known_to_be_changed_is_looked_up_and_not_refused_first(
    here: Process, there: Process
) -> None:
    alert = alert_of(await here.do(fire("k")))
    await there.do(Predict(ById(alert.id), a_prediction()))
    memory = here.memory.get(TENANT)
    assert memory is not None
    assert memory.complete
    # As whoever follows the log here is told by it.
    memory.forget_changed(alert.id)

    again = alert_of(await here.do(fire("k")))

    assert (again.id, again.advice, again.occurrence_count) == (alert.id, a_prediction().advice, 2)
    assert [outcome for _, _, outcome in here.watcher.flushes] == ["committed", "committed"]
    loads = here.log.calls["load"]
    await here.do(fire("k"), fire("new"))
    assert here.log.calls["load"] == loads


async def test_two_processes_that_fire_one_key_make_one_alert(here: Process, there: Process) -> None:
    await asyncio.gather(here.do(fire("x")), there.do(fire("y")))

    answers = await asyncio.gather(here.do(fire("k")), there.do(fire("k")))

    assert sorted(answer[0].created for answer in answers) == [False, True]
    assert len({alert_of(answer).id for answer in answers}) == 1
    assert len(here.log.tenants[TENANT].open) == 3


async def test_the_end_of_an_alert_that_another_process_opened_is_not_taken_for_nothing(
    here: Process, there: Process
) -> None:
    await here.do(fire("x"))
    alert = alert_of(await there.do(fire("k")))

    ended = alert_of(await here.do(Clear("k", T0)))

    assert (ended.id, ended.status) == (alert.id, AlertStatus.RESOLVED)


async def test_what_would_change_nothing_is_told_of_the_present_state(here: Process, there: Process) -> None:
    here.log.change_config(TENANT, a_config(catalog=a_catalog(rules=(a_rule(a_level(MINUTE), a_level(MINUTE)),))))
    alert = alert_of(await here.do(fire("k")))
    await here.do(Escalate(ById(alert.id), 1))
    await there.do(Escalate(ById(alert.id), 2))

    (outcome,) = await here.do(Escalate(ById(alert.id), 1))

    assert outcome.changed
    assert alert_of([outcome]).version == 4


async def test_an_end_that_is_none_answers_without_writing(here: Process) -> None:
    await here.do(fire("x"))

    (outcome,) = await here.do(Clear("k", T0))

    assert (outcome.alert, outcome.changed, outcome.problem) == (None, False, None)
    assert here.log.calls["append"] == 1


async def test_a_count_that_another_process_raised_is_not_lost(here: Process, there: Process) -> None:
    await here.do(*[fire("k")] * 5)
    await there.do(fire("k"))
    await there.do(fire("k"))

    counted = [alert_of(await here.do(fire("k"))).occurrence_count for _ in range(2)]

    assert counted == [8, 9]
    assert kinds(here.log).count(EventKind.REPEATED) == 3


async def test_an_acknowledgement_does_not_take_back_a_later_end(here: Process, there: Process) -> None:
    alert = alert_of((await here.do(*[fire("k", ends_at=T0 + MINUTE)] * 5))[-1:])
    there.clock.advance(30 * SECOND)
    await there.do(fire("k", ends_at=T0 + 5 * MINUTE))

    await here.do(Acknowledge(ById(alert.id)))

    assert here.log.tenants[TENANT].open[alert.id].resolve_at == T0 + 5 * MINUTE


async def test_a_changed_configuration_is_decided_by(here: Process) -> None:
    await here.do(fire("x"))
    here.log.change_config(TENANT, replace(a_config(), sla_targets=TIER_TARGETS[Tier.ENTERPRISE]))

    alert = alert_of(await here.do(fire("k")))

    assert alert.sla.acknowledge_by == T0 + 15 * MINUTE
    assert here.watcher.flushes[1:] == [(1, 0, "refused"), (1, 1, "committed")]


async def test_configuration_that_nothing_proved_is_read_again(here: Process) -> None:
    await here.do(fire("k"))
    here.log.change_config(TENANT, a_config(resolve_timeout=HOUR))
    await here.do(fire("k"))
    here.clock.advance(CONFIG_AGE_MAX + SECOND)

    alert = alert_of(await here.do(fire("k")))

    assert alert.resolve_at == here.clock.now() + HOUR


async def test_configuration_that_an_append_proved_is_not_read_again(here: Process) -> None:
    for n in range(5):
        await here.do(fire(f"k{n}"))
        here.clock.advance(CONFIG_AGE_MAX - SECOND)

    assert here.log.calls["config"] == 1


async def test_a_refusal_that_never_ends_is_told_as_one_that_may(log: MemoryLog, clock: VirtualClock) -> None:
    class Restless(MemoryLog):
        """Something else has always changed by the time of the write."""

        def write(self, tenant_id: TenantId, flush: Flush) -> Appended:
            raise StaleDecisionError("always")

    process = Process(Restless(clock, TENANT), clock)

    with pytest.raises(DependencyError) as failed:
        await process.do(fire("k"))

    assert failed.value.retryable
    assert (process.log.calls["append"], process.log.calls["append_locked"]) == (3, 5)


async def test_after_three_refusals_a_flush_is_split_and_a_single_command_takes_the_slow_way(
    here: Process,
) -> None:
    here.log.faults = [*[Fault.STALE] * 6, None, *[Fault.STALE] * 3]

    answers = await asyncio.gather(here.start(fire("a")), here.start(fire("b")))

    assert [alert_of(answer).dedup_key for answer in answers] == ["a", "b"]
    assert [alert_of(answer).version for answer in answers] == [1, 2]
    assert here.log.calls["append"] == 9
    assert here.log.calls["append_locked"] == 2


async def test_the_slow_way_asks_for_what_a_decision_turns_out_to_need(here: Process, there: Process) -> None:
    closed = alert_of(await here.do(fire("k")))
    await here.do(Clear("k", T0))
    present = alert_of(await there.do(fire("k")))
    here.log.faults = [Fault.STALE] * 3

    (outcome,) = await here.do(Reopen(ById(closed.id)))

    assert (outcome.created, outcome.changed) == (False, False)
    assert alert_of([outcome]).id == present.id


async def test_a_key_beyond_what_is_remembered_is_looked_up(
    here: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alertgraph.services.lanes.TENANT_ALERT_COUNT_MAX", 4)
    await here.do(*[fire(f"k{n}") for n in range(6)])
    forgetful = Process(here.log, here.clock, seed=2)

    answers = [await forgetful.do(fire(f"k{n}")) for n in range(6)]

    assert [answer[0].created for answer in answers] == [False] * 6
    assert len(here.log.tenants[TENANT].open) == 6


# ------------------------------------------------------------------------------------ what fails


def refuses(title: str) -> object:
    """Return what says of a flush that it holds an event with that title."""

    def poison(flush: Flush) -> bool:
        return any(sealed.event.title == title for sealed in flush.events)

    return poison


async def test_a_poisoned_command_fails_alone(here: Process) -> None:
    here.log.poison = refuses("bad")  # type: ignore[assignment]

    answers = await asyncio.gather(
        *[here.start(fire(f"k{n}", title="bad" if n == 37 else f"good {n}")) for n in range(100)],
        return_exceptions=True,
    )

    failed = [n for n, answer in enumerate(answers) if isinstance(answer, BaseException)]
    assert failed == [37]
    assert isinstance(answers[37], DependencyError)
    assert not answers[37].retryable
    assert titles(here.log) == [f"good {n}" for n in range(100) if n != 37]
    assert here.log.calls["append"] < 20


async def test_a_command_that_cannot_be_decided_fails_alone(here: Process) -> None:
    targets = dict(a_config().sla_targets)
    del targets[Severity.LOW]
    here.log.tenants[TENANT].config = replace(a_config(), sla_targets=targets)

    answers = await asyncio.gather(
        *[here.start(fire(f"k{n}", severity=Severity.LOW if n == 5 else Severity.HIGH)) for n in range(16)],
        return_exceptions=True,
    )

    assert [n for n, answer in enumerate(answers) if isinstance(answer, BaseException)] == [5]
    assert len(here.log.tenants[TENANT].open) == 15
    assert here.watcher.failures


async def test_a_poisoned_command_on_the_slow_way_is_told_so(here: Process) -> None:
    here.log.poison = refuses("bad")  # type: ignore[assignment]
    here.log.faults = [Fault.STALE] * 3

    with pytest.raises(DependencyError) as failed:
        await here.do(fire("k", title="bad"))

    assert not failed.value.retryable


async def test_where_the_store_is_away_everybody_is_told_and_the_next_goes_through(here: Process) -> None:
    here.log.faults = [Fault.AWAY]
    answers = await asyncio.gather(*[here.start(fire(f"k{n}")) for n in range(3)], return_exceptions=True)

    assert all(isinstance(answer, DependencyError) and answer.retryable for answer in answers)
    assert alert_of(await here.do(fire("k0"))).version == 1
    assert here.watcher.flushes == [(3, 0, "failed"), (1, 1, "committed")]


async def test_an_unknown_tenant_is_not_found(here: Process) -> None:
    with pytest.raises(NotFoundError):
        await here.do(fire("k"), tenant_id=TenantId(UUID(int=9)))


async def test_a_key_that_no_store_takes_fails_alone(here: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alertgraph.services.lanes.TENANT_ALERT_COUNT_MAX", 2)
    await here.do(fire("a"), fire("b"), fire("c"))
    forgetful = Process(here.log, here.clock, seed=2)

    bad, good = await asyncio.gather(
        forgetful.start(Clear("a\x00", T0), Resolve(ByKey("\ud800"))), forgetful.start(fire("a"))
    )

    assert [outcome.problem.code for outcome in bad if outcome.problem] == [ErrorCode.INVALID_INPUT] * 2
    assert alert_of(good).occurrence_count == 2


# -------------------------------------------------------------------------------- lost commits


@pytest.mark.parametrize("fault", [Fault.LOST_WRITTEN, Fault.LOST_LATE])
async def test_a_commit_whose_answer_was_lost_is_found(here: Process, fault: Fault) -> None:
    here.log.faults = [fault]

    answers = await asyncio.gather(here.start(fire("a")), here.start(fire("b")))

    assert [alert_of(answer).version for answer in answers] == [1, 2]
    assert kinds(here.log) == [EventKind.TRIGGERED] * 2
    assert here.log.calls["append"] == 1
    assert [stored.number for one in here.committed for stored in one.events] == [1, 2]


async def test_a_commit_that_never_was_is_made_again(here: Process) -> None:
    here.log.faults = [Fault.LOST_UNWRITTEN]

    alert = alert_of(await here.do(fire("a")))

    assert alert.version == 1
    assert kinds(here.log) == [EventKind.TRIGGERED]
    assert here.log.calls["find_flush"] == 1


@pytest.mark.parametrize(("fault", "count"), [(Fault.LOST_WRITTEN, 6), (Fault.LOST_UNWRITTEN, 6)])
async def test_a_repeat_whose_answer_was_lost_is_counted_once(here: Process, fault: Fault, count: int) -> None:
    await here.do(*[fire("k")] * 5)
    here.clock.advance(SECOND)
    here.log.faults = [fault]

    assert alert_of(await here.do(fire("k"))).occurrence_count == count


@pytest.mark.parametrize("fault", [Fault.LOST_WRITTEN, Fault.LOST_UNWRITTEN])
async def test_a_commit_lost_on_the_slow_way_is_looked_up_too(here: Process, fault: Fault) -> None:
    here.log.faults = [Fault.STALE, Fault.STALE, Fault.STALE, fault]

    alert = alert_of(await here.do(fire("k")))

    assert alert.version == 1
    assert kinds(here.log) == [EventKind.TRIGGERED]
    assert here.log.calls["find_flush"] == 1


# -------------------------------------------------------------------------------- idempotency


def once(process: Process, *actions: Action, contents: bytes = b"contents") -> Request:
    return replace(process.request(*actions), idempotency=an_idempotency_key("once", contents))


async def test_the_same_request_in_one_flush_is_done_once(here: Process) -> None:
    first, again = await asyncio.gather(
        here.lanes.enqueue(TENANT, once(here, fire("k"))), here.lanes.enqueue(TENANT, once(here, fire("k")))
    )

    assert first[0].created
    assert (again[0].created, again[0].changed, again[0].alert_id) == (True, True, first[0].alert_id)
    assert kinds(here.log) == [EventKind.TRIGGERED]
    assert len(here.log.tenants[TENANT].answers) == 1


async def test_the_same_request_by_another_process_gets_the_first_answer(here: Process, there: Process) -> None:
    first, again = await asyncio.gather(
        here.lanes.submit(TENANT, once(here, fire("k"))), there.lanes.submit(TENANT, once(there, fire("k")))
    )

    assert first[0].alert_id == again[0].alert_id
    assert here.log.tenants[TENANT].open.keys() == {first[0].alert_id}
    assert alert_of([replace(first[0], alert=here.log.tenants[TENANT].by_key("k"))]).occurrence_count == 1


async def test_a_key_used_with_other_contents_is_refused(here: Process) -> None:
    await here.lanes.submit(TENANT, once(here, fire("a")))

    (outcome,) = await here.lanes.submit(TENANT, once(here, fire("b"), contents=b"other"))

    assert outcome.problem is not None
    assert outcome.problem.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
    assert len(here.log.tenants[TENANT].open) == 1


async def test_an_answer_about_nothing_changed_is_kept_too(here: Process, there: Process) -> None:
    alert = alert_of(await here.do(fire("k")))
    await here.do(Acknowledge(ById(alert.id)))
    await here.lanes.submit(TENANT, once(here, Acknowledge(ById(alert.id))))
    await there.do(Resolve(ById(alert.id)))

    (outcome,) = await here.lanes.submit(TENANT, once(here, Acknowledge(ById(alert.id))))

    assert (outcome.problem, outcome.changed, outcome.alert_id) == (None, False, alert.id)


# ------------------------------------------------------------------- bounds, fairness, going down


async def test_a_queue_that_is_full_refuses_at_once(here: Process) -> None:
    full = here.start(*[fire("k")] * QUEUE_LENGTH_MAX)

    with pytest.raises(DependencyError) as refused:
        here.start(fire("k"))

    assert refused.value.retryable
    assert alert_of(await here.do(fire("k"), tenant_id=OTHER_TENANT)).version == 1
    full.cancel()


async def test_a_tenant_with_much_to_write_does_not_keep_others_waiting(
    log: MemoryLog, clock: VirtualClock
) -> None:
    narrow = Process(log, clock, width=1)
    order: list[str] = []
    busy = [narrow.start(fire(f"k{n}")) for n in range(2000)]
    quiet = narrow.start(fire("k"), tenant_id=OTHER_TENANT)
    for answered in busy:
        answered.add_done_callback(lambda _: order.append("busy"))
    quiet.add_done_callback(lambda _: order.append("quiet"))

    await asyncio.gather(*busy, quiet)

    assert order.index("quiet") == 256


async def test_no_more_flushes_are_under_way_than_allowed_and_one_of_a_tenant(
    log: MemoryLog, clock: VirtualClock
) -> None:
    tenants = [TenantId(UUID(int=n)) for n in range(10, 18)]
    crowd = MemoryLog(clock, *tenants)
    process = Process(crowd, clock, width=3)
    under_way: list[TenantId] = []
    most = 0
    append = crowd.append

    async def watched(tenant_id: TenantId, flush: Flush) -> object:
        nonlocal most
        assert tenant_id not in under_way
        under_way.append(tenant_id)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        appended = await append(tenant_id, flush)
        under_way.remove(tenant_id)
        return appended

    crowd.append = watched  # type: ignore[assignment,method-assign]
    await asyncio.gather(*[process.do(fire(f"k{n}"), tenant_id=t) for n in range(5) for t in tenants])

    assert most == 3


async def test_going_down_answers_what_is_queued_and_takes_no_more(here: Process) -> None:
    answers = [here.start(fire(f"k{n}")) for n in range(600)]

    await here.lanes.drain()

    assert all(answer.done() for answer in answers)
    assert here.log.tenants[TENANT].number == 600
    with pytest.raises(DependencyError) as refused:
        here.start(fire("k"))
    assert refused.value.retryable


async def test_a_caller_who_goes_away_does_not_undo_the_command(here: Process) -> None:
    gone = asyncio.ensure_future(here.lanes.submit(TENANT, here.request(fire("k"))))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone

    await here.lanes.drain()

    assert titles(here.log) == ["High latency"]


async def test_a_listener_that_fails_does_not_fail_the_command(here: Process) -> None:
    def fail(events: CommittedEvents) -> None:
        raise RuntimeError("hub")

    lanes = Lanes(here.log, here.memory, here.clock, SeededDice(), here.watcher, fail, here.scheduled.append)

    (outcome,) = await lanes.submit(TENANT, here.request(fire("k")))

    assert outcome.created
    assert [str(error) for error in here.watcher.failures] == ["hub"]


async def test_a_note_on_a_closed_alert_changes_its_version_only(here: Process) -> None:
    alert = alert_of(await here.do(fire("k")))
    await here.do(Clear("k", T0))

    noted = alert_of(await here.do(AddNote(ById(alert.id), "sealed")))

    assert (noted.version, noted.status) == (3, AlertStatus.RESOLVED)
    assert here.log.tenants[TENANT].closed[alert.id].version == 3


async def test_an_unknown_id_is_not_found_and_writes_nothing(here: Process) -> None:
    (outcome,) = await here.do(Resolve(ById(an_id(77))))

    assert outcome.problem is not None
    assert outcome.problem.code is ErrorCode.NOT_FOUND
    assert here.log.calls["append"] == 0
