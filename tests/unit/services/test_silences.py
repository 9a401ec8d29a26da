"""Silences: who may make which, what may be changed, and how they end."""

from __future__ import annotations

from typing import Any

import pytest

from alertgraph.core.alert import alert_match_values
from alertgraph.core.errors import AccessDeniedError, ErrorCode, Problem, RefusedError
from alertgraph.core.event import EventKind, FieldChange
from alertgraph.core.ids import SilenceId
from alertgraph.core.labels import matches_all
from alertgraph.core.silence import Silence, SilenceState, state_at, until
from alertgraph.core.tenant import Role
from alertgraph.services.silences import SilenceService
from tests.factories import DAY, HOUR, MINUTE, T0, a_matcher, an_alert
from tests.memory_catalog import SetUp, a_caller

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
