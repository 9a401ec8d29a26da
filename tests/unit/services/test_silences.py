"""Silences: who may make which, what may be changed, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from alertgraph.core.action import Action, Clear, Fire
from alertgraph.core.actor import ActorKind
from alertgraph.core.alert import alert_match_values
from alertgraph.core.batch import Request
from alertgraph.core.errors import AccessDeniedError, DependencyError, ErrorCode, Problem, RefusedError
from alertgraph.core.event import EventKind, FieldChange
from alertgraph.core.ids import AlertId, SilenceId, uuid7
from alertgraph.core.labels import matches_all
from alertgraph.core.silence import Silence, SilenceState, state_at, until
from alertgraph.core.tenant import Role
from alertgraph.services.lanes import Lanes
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import CommittedEvents
from alertgraph.services.silences import SilenceEnds, SilenceService
from tests.factories import DAY, HOUR, MINUTE, SECOND, SENDER, T0, TENANT, a_draft, a_matcher, an_alert
from tests.memory_catalog import CatalogSnapshots, SetUp, a_caller
from tests.unit.services.test_lanes import Watcher
from tests.virtual import SeededDice

CALLER = a_caller(Role.RESPONDER)
TEAM = a_matcher("team", "db")


class Silences(SetUp):
    """Silences of a tenant."""

    def __init__(self) -> None:
        super().__init__()
        self.service = SilenceService(self.changes)

    async def make(self, **fields: Any) -> Silence:
        wanted = {"matchers": (TEAM,), "ends_at": T0 + HOUR, "comment": "maintenance", **fields}
        return await self.service.create(wanted.pop("caller", CALLER), **wanted)

    @property
    def kept(self) -> tuple[Silence, ...]:
        return self.config.catalog.silences


async def refusal(awaitable: Any) -> Problem:
    with pytest.raises(RefusedError) as refused:
        await awaitable
    return refused.value.problems[0]


async def test_it_begins_now_where_nothing_is_said() -> None:
    silences = Silences()

    made = await silences.make()

    assert made.starts_at == T0
    assert made.created_by == CALLER.actor
    assert silences.events[0].kind is EventKind.CONFIG_CREATED


async def test_the_same_said_again_later_is_the_same() -> None:
    silences = Silences()
    first = await silences.make(idempotency_key="once")
    silences.clock.advance(MINUTE)

    assert await silences.make(idempotency_key="once") == first


async def test_what_cannot_be_used_is_refused() -> None:
    silences = Silences()

    assert (await refusal(silences.make(ends_at=T0))).path == ("endsAt",)
    assert (await refusal(silences.make(matchers=()))).path == ("matchers",)
    assert (await refusal(silences.make(recurrence="daily"))).path == ("recurrence",)
    assert (await refusal(silences.make(time_zone="Nowhere"))).path == ("timeZone",)
    assert silences.kept == ()


async def test_one_that_is_not_over_can_be_changed() -> None:
    silences = Silences()
    made = await silences.make()

    changed = await silences.service.update(
        CALLER, made.id, ends_at=T0 + 2 * HOUR, recurrence="FREQ=DAILY", expected_version=made.version
    )

    assert (changed.ends_at, changed.recurrence) == (T0 + 2 * HOUR, "FREQ=DAILY")
    once = await silences.service.update(CALLER, made.id, recurrence=None)
    assert once.recurrence is None
    assert silences.events[-1].changes == (FieldChange("recurrence", "FREQ=DAILY", None),)
    assert (await refusal(silences.service.update(CALLER, made.id, ends_at=T0))).path == ("endsAt",)


async def test_one_that_is_over_stays_over() -> None:
    silences = Silences()
    made = await silences.make()
    silences.clock.advance(HOUR)

    for attempt in (
        silences.service.update(CALLER, made.id, ends_at=T0 + DAY),
        silences.service.expire(CALLER, made.id),
    ):
        problem = await refusal(attempt)
        assert (problem.code, problem.path) == (ErrorCode.CONFLICT, ("id",))
    assert silences.kept == (made,)


@pytest.mark.parametrize("begins_in", [-MINUTE, MINUTE])
async def test_one_that_is_expired_is_over_at_once(begins_in: Any) -> None:
    silences = Silences()
    made = await silences.make(starts_at=T0 + begins_in, recurrence="FREQ=WEEKLY")
    before = state_at(made, T0).name

    ended = await silences.service.expire(CALLER, made.id, expected_version=made.version)

    assert until(ended) == T0
    assert state_at(ended, T0) is SilenceState.EXPIRED
    assert silences.events[-1].kind is EventKind.CONFIG_DELETED
    assert silences.events[-1].changes == (FieldChange("state", before, "EXPIRED"),)


async def test_a_button_silences_exactly_the_alert() -> None:
    silences = Silences()
    alert, other = an_alert(dedup_key="disk:a"), an_alert(dedup_key="disk:ab")

    made = await silences.service.silence_alert(CALLER, alert, HOUR, idempotency_key="button")

    assert until(made) == T0 + HOUR
    assert matches_all(made.matchers, alert_match_values(alert))
    assert not matches_all(made.matchers, alert_match_values(other))
    silences.clock.advance(MINUTE)
    problem = await refusal(silences.service.silence_alert(CALLER, other, HOUR, idempotency_key="button"))
    assert problem.code is ErrorCode.IDEMPOTENCY_KEY_REUSED


async def test_a_limited_key_silences_only_what_it_sees() -> None:
    silences = Silences()
    limited = a_caller(Role.RESPONDER, TEAM)
    all_db = await silences.make()
    everything = await silences.make(matchers=(a_matcher("job", "api"),))

    with pytest.raises(AccessDeniedError):
        await silences.make(caller=limited, matchers=(a_matcher("job", "api"),))
    both = await silences.make(caller=limited, matchers=(a_matcher("job", "api"), TEAM))
    assert (await silences.service.update(limited, all_db.id, comment="longer")).comment == "longer"
    widened = await refusal(silences.service.update(limited, both.id, matchers=(a_matcher("job", "api"),)))
    assert widened.path == ("matchers",)
    hidden = await refusal(silences.service.expire(limited, everything.id))
    assert hidden.code is ErrorCode.NOT_FOUND
    button = await silences.service.silence_alert(limited, an_alert(labels={"team": "db"}), HOUR)
    assert TEAM in button.matchers


async def test_who_only_reads_silences_nothing() -> None:
    silences = Silences()
    made = await silences.make()
    viewer = a_caller(Role.VIEWER)

    with pytest.raises(AccessDeniedError):
        await silences.make(caller=viewer)
    with pytest.raises(AccessDeniedError):
        await silences.service.update(viewer, made.id, comment="x")
    with pytest.raises(AccessDeniedError):
        await silences.service.expire(viewer, made.id)
    with pytest.raises(AccessDeniedError):
        await silences.service.silence_alert(viewer, an_alert(), HOUR)


async def test_what_does_not_exist_is_not_found() -> None:
    silences = Silences()
    unknown = SilenceId(silences.changes.new_id())

    assert (await refusal(silences.service.update(CALLER, unknown, comment="x"))).code is ErrorCode.NOT_FOUND
    assert (await refusal(silences.service.expire(CALLER, unknown))).code is ErrorCode.NOT_FOUND


# -------------------------------------------------------------------------------- ending by itself


class Ending(Silences):
    """Silences of a tenant whose alerts come and go in one process."""

    def __init__(self) -> None:
        super().__init__()
        self.watcher, self.memory, self.dice = Watcher(), OpenAlerts(), SeededDice(5)
        self.ends = SilenceEnds(self.changes, CatalogSnapshots(self.log), self.clock, self.watcher)
        self.lanes = Lanes(
            self.log, self.memory, self.clock, self.dice, self.watcher, self.committed, lambda _: None
        )

    def committed(self, committed: CommittedEvents) -> None:
        memory = self.memory.get(committed.tenant_id)
        self.ends.hear(committed.tenant_id, memory.config if memory is not None else None, committed.events)

    async def make(self, **fields: Any) -> Silence:
        made = await super().make(**fields)
        self.memory.drop(TENANT)  # as the process does when it hears of a change
        return made

    async def do(self, *actions: Action) -> None:
        ids = tuple(AlertId(uuid7(self.clock.now(), self.dice.bits(74))) for _ in actions)
        await self.lanes.submit(TENANT, Request(actions, ids, SENDER))
        await self.ends.settle()

    async def fire(self, *keys: str, **labels: str) -> None:
        await self.do(*(Fire(a_draft(dedup_key=key, labels={"team": "db", **labels})) for key in keys))

    async def clear(self, key: str) -> None:
        await self.do(Clear(key, self.clock.now()))


async def test_it_ends_with_the_last_alert_under_it() -> None:
    ending = Ending()
    kept = await ending.make(comment="until its end")
    made = await ending.make(end_on_resolve=True, recurrence="FREQ=DAILY")
    await ending.fire("a", "b")
    await ending.fire("web", team="web")

    await ending.clear("web")
    await ending.clear("a")
    assert {silence.over_at for silence in ending.kept} == {None}
    ending.clock.advance(MINUTE)
    await ending.clear("b")

    states = {silence.id: silence.over_at for silence in ending.kept}
    assert states == {kept.id: None, made.id: T0 + MINUTE}
    event = ending.events[-1]
    assert (event.kind, event.actor.kind) == (EventKind.CONFIG_DELETED, ActorKind.ENGINE)
    assert event.detail == {"reason": "Its last alert was resolved."}
    assert event.changes == (FieldChange("state", "ACTIVE", "EXPIRED"),)


async def test_between_its_windows_it_does_not_end() -> None:
    ending = Ending()
    await ending.make(end_on_resolve=True, recurrence="FREQ=DAILY")
    await ending.fire("a")
    ending.clock.advance(2 * HOUR)

    await ending.clear("a")

    assert ending.kept[0].over_at is None


async def test_an_end_that_fails_is_tried_again() -> None:
    ending = Ending()
    await ending.make(end_on_resolve=True)
    await ending.fire("a")
    change = ending.changes.update
    failures = [DependencyError("memory", retryable=True)]

    async def failing_once(*arguments: Any, **named: Any) -> Any:
        if failures:
            raise failures.pop()
        return await change(*arguments, **named)

    ending.changes.update = failing_once  # type: ignore[method-assign]
    cleared = asyncio.create_task(ending.clear("a"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(ending.watcher.failures) == 1
    ending.clock.advance(SECOND)
    await cleared

    assert ending.kept[0].over_at is not None


async def test_where_none_would_end_nothing_is_read() -> None:
    ending = Ending()
    await ending.make()
    await ending.fire("a")
    ending.ends._end = None  # type: ignore[method-assign, assignment]

    await ending.clear("a")

    assert ending.watcher.failures == []
