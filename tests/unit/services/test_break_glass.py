"""What the operator is told while the engine is without its store, second by second."""

from __future__ import annotations

from datetime import datetime, timedelta

import orjson
import pytest

from alertgraph.core.ids import TenantId
from alertgraph.core.message import SendResult
from alertgraph.services.break_glass import BreakGlass
from tests.factories import HOUR, MINUTE, SECOND, T0
from tests.virtual import VirtualClock


class Operator:
    """Takes what is posted, or does not, and remembers what was reported."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.reachable = True
        self.got: list[tuple[timedelta, dict[str, str]]] = []
        self.outcomes: list[str] = []
        self.failures: list[BaseException] = []
        self.try_count = 0

    async def post(self, content: bytes) -> SendResult:
        self.try_count += 1
        if not self.reachable:
            return SendResult(False, error="No connection.", retryable=True)
        self.got.append((self._clock.now() - T0, orjson.loads(content)))
        return SendResult(True, status_code=204)

    def beaten(self, tenant_id: TenantId, *, outcome: str, why: str | None = None) -> None:
        raise AssertionError("nobody beats here")

    def broke_glass(self, *, outcome: str, why: str) -> None:
        self.outcomes.append(outcome)

    def failed(self, part: str, error: BaseException) -> None:
        self.failures.append(error)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def operator(clock: VirtualClock) -> Operator:
    return Operator(clock)


@pytest.fixture
def glass(clock: VirtualClock, operator: Operator) -> BreakGlass:
    return BreakGlass(operator.post, "pager-1", clock, operator)


async def watched(glass: BreakGlass, clock: VirtualClock, duration: timedelta, *, works: bool = False) -> None:
    """Let time pass second by second, with or without an engine that works."""
    for _ in range(duration // SECOND):
        clock.advance(SECOND)
        if works:
            glass.worked()
        await glass.check()


async def test_an_engine_that_works_is_nothing_to_tell(
    glass: BreakGlass, clock: VirtualClock, operator: Operator
) -> None:
    await watched(glass, clock, 10 * MINUTE, works=True)

    assert operator.try_count == 0
    assert glass.works


async def test_after_a_minute_without_an_answer_the_operator_is_told_once(
    glass: BreakGlass, clock: VirtualClock, operator: Operator
) -> None:
    await watched(glass, clock, MINUTE, works=True)
    await watched(glass, clock, 59 * SECOND)
    assert operator.try_count == 0
    assert glass.works

    await watched(glass, clock, 4 * MINUTE)

    assert not glass.works
    ((after, told),) = operator.got
    assert after == 2 * MINUTE
    assert told.keys() == {"summary", "since", "host"}
    assert told["host"] == "pager-1"
    assert "pager-1" in told["summary"]
    assert datetime.fromisoformat(told["since"]) == T0 + MINUTE


async def test_while_it_lasts_it_is_told_every_five_minutes(
    glass: BreakGlass, clock: VirtualClock, operator: Operator
) -> None:
    await watched(glass, clock, 16 * MINUTE)

    assert [after for after, _ in operator.got] == [MINUTE, 6 * MINUTE, 11 * MINUTE, 16 * MINUTE]
    assert {told["since"] for _, told in operator.got} == {T0.isoformat()}


async def test_the_end_is_told_once_and_the_next_outage_anew(
    glass: BreakGlass, clock: VirtualClock, operator: Operator
) -> None:
    await watched(glass, clock, 2 * MINUTE)
    await watched(glass, clock, 10 * MINUTE, works=True)

    assert [after for after, _ in operator.got] == [MINUTE, 2 * MINUTE + SECOND]
    assert "back" in operator.got[1][1]["summary"]

    await watched(glass, clock, MINUTE)

    assert len(operator.got) == 3
    assert datetime.fromisoformat(operator.got[2][1]["since"]) == T0 + 12 * MINUTE


async def test_an_operator_who_is_not_reached_is_tried_again_sooner(
    glass: BreakGlass, clock: VirtualClock, operator: Operator
) -> None:
    operator.reachable = False
    await watched(glass, clock, 2 * MINUTE)
    assert operator.try_count == 3
    operator.reachable = True
    await watched(glass, clock, MINUTE)

    assert operator.outcomes == ["failed", "failed", "failed", "sent"]
    assert [after for after, _ in operator.got] == [2 * MINUTE + 30 * SECOND]


async def test_an_outage_that_nobody_heard_of_has_no_end_to_tell(
    glass: BreakGlass, clock: VirtualClock, operator: Operator
) -> None:
    operator.reachable = False
    await watched(glass, clock, 2 * MINUTE)
    operator.reachable = True
    await watched(glass, clock, MINUTE, works=True)

    assert operator.got == []


async def test_an_end_that_can_not_be_told_is_given_up_after_a_while(
    glass: BreakGlass, clock: VirtualClock, operator: Operator
) -> None:
    await watched(glass, clock, 2 * MINUTE)
    operator.reachable = False
    await watched(glass, clock, 4 * MINUTE, works=True)
    tries = operator.try_count
    assert tries > 2
    await watched(glass, clock, HOUR, works=True)

    assert operator.try_count <= tries + 2
    assert len(operator.got) == 1


async def test_a_process_that_was_stopped_has_heard_no_silence(
    glass: BreakGlass, clock: VirtualClock, operator: Operator
) -> None:
    await watched(glass, clock, 10 * SECOND, works=True)
    clock.advance(HOUR)
    await glass.check()

    assert operator.try_count == 0
    assert glass.works


async def test_a_clock_that_is_set_back_takes_nothing_away(
    glass: BreakGlass, clock: VirtualClock, operator: Operator
) -> None:
    await watched(glass, clock, 30 * SECOND)
    clock.advance(-HOUR)
    await watched(glass, clock, 31 * SECOND)

    assert operator.try_count == 1


async def test_without_an_address_the_log_is_told(clock: VirtualClock, operator: Operator) -> None:
    glass = BreakGlass(None, "pager-1", clock, operator)
    await watched(glass, clock, 7 * MINUTE)

    assert operator.outcomes == ["unset", "unset"]
    assert operator.try_count == 0
