"""The law of budgets: what is spent never exceeds the limit and what came back; what came back can be spent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import assume, example, given
from hypothesis import strategies as st

from alertgraph.core.budget import LIMIT_MAX, PERIOD, Bucket, spend

T0 = datetime(2026, 11, 23, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

limits = st.one_of(st.integers(1, 20), st.integers(1, LIMIT_MAX))
pauses = st.one_of(
    st.just(timedelta(0)),
    st.timedeltas(timedelta(0), timedelta(seconds=2)),
    st.timedeltas(timedelta(0), 3 * PERIOD),
)


@st.composite
def wishes(draw: st.DrawFn) -> tuple[int, list[tuple[timedelta, int]]]:
    """A limit, and costs with the pauses before them."""
    limit = draw(limits)
    costs = st.one_of(st.integers(0, max(limit // 4, 1)), st.integers(0, limit + 2))
    return limit, draw(st.lists(st.tuples(pauses, costs), max_size=40))


@given(wishes())
@example((7, [(timedelta(0), 1)] * 8))
def test_it_is_the_bucket_of_the_textbook(case: tuple[int, list[tuple[timedelta, int]]]) -> None:
    limit, costs = case
    bucket, now = Bucket(), T0
    left, left_at = Fraction(limit), T0

    for pause, cost in costs:
        now += pause
        left = min(Fraction(limit), left + Fraction((now - left_at) // MICROSECOND * limit, PERIOD // MICROSECOND))
        left_at = now
        bucket, state = spend(bucket, cost, limit, now)
        assert state.allowed == (cost <= left)
        if state.allowed:
            left -= cost
        assert state.remaining == left // 1
        assert state.exceeds_limit == (cost > limit)


@given(wishes())
def test_no_window_holds_more_than_the_limit_and_what_came_back(
    case: tuple[int, list[tuple[timedelta, int]]],
) -> None:
    limit, costs = case
    bucket, now, spent = Bucket(), T0, []
    for pause, cost in costs:
        now += pause
        bucket, state = spend(bucket, cost, limit, now)
        if state.allowed:
            spent.append((now, cost))

    for first in range(len(spent)):
        total = 0
        for at, cost in spent[first:]:
            total += cost
            came_back = Fraction((at - spent[first][0]) // MICROSECOND * limit, PERIOD // MICROSECOND)
            assert total <= limit + came_back


@given(wishes(), st.integers(0, LIMIT_MAX))
def test_retry_after_is_when_it_is_allowed_and_not_earlier(
    case: tuple[int, list[tuple[timedelta, int]]], cost: int
) -> None:
    limit, costs = case
    bucket, now = Bucket(), T0
    for pause, each in costs:
        now += pause
        bucket, _ = spend(bucket, each, limit, now)
    _, state = spend(bucket, cost, limit, now)
    assume(not state.exceeds_limit)

    assert spend(bucket, cost, limit, now + state.retry_after)[1].allowed
    if state.retry_after:
        assert not spend(bucket, cost, limit, now + state.retry_after - MICROSECOND)[1].allowed


@given(wishes())
def test_reset_at_is_when_all_points_are_back_and_not_earlier(
    case: tuple[int, list[tuple[timedelta, int]]],
) -> None:
    limit, costs = case
    bucket, now = Bucket(), T0
    for pause, cost in costs:
        now += pause
        bucket, state = spend(bucket, cost, limit, now)
        assert spend(bucket, limit, limit, state.reset_at)[1].allowed
        assert state.reset_at <= now + PERIOD
        if state.reset_at > now:
            assert not spend(bucket, limit, limit, state.reset_at - MICROSECOND)[1].allowed


@given(wishes(), st.timedeltas(-PERIOD, timedelta(0)), st.integers(0, 100))
def test_a_clock_that_lags_gives_nothing_back(
    case: tuple[int, list[tuple[timedelta, int]]], lag: timedelta, cost: int
) -> None:
    limit, costs = case
    bucket, now = Bucket(), T0
    for pause, each in costs:
        now += pause
        bucket, _ = spend(bucket, each, limit, now)
    at = T0 if not bucket.at else datetime.fromtimestamp(0, UTC) + bucket.at * MICROSECOND

    late_bucket, late = spend(bucket, cost, limit, at + lag)
    on_time_bucket, on_time = spend(bucket, cost, limit, at)

    assert replace(late, reset_at=T0) == replace(on_time, reset_at=T0)
    if bucket.at:
        assert late_bucket == on_time_bucket


@given(wishes(), limits)
def test_a_lowered_limit_is_back_within_a_period(
    case: tuple[int, list[tuple[timedelta, int]]], new_limit: int
) -> None:
    limit, costs = case
    bucket = Bucket()
    for _, cost in costs:
        bucket, _ = spend(bucket, cost, limit, T0)

    _, state = spend(bucket, 0, new_limit, T0)

    assert 0 <= state.remaining <= new_limit
    assert state.reset_at <= T0 + PERIOD
    assert spend(bucket, new_limit, new_limit, T0 + PERIOD)[1].allowed


def test_without_a_limit_nothing_but_nothing_is_allowed() -> None:
    for limit in (0, -1):
        assert spend(Bucket(), 0, limit, T0)[1].allowed
        refused = spend(Bucket(), 1, limit, T0)[1]
        assert (refused.allowed, refused.exceeds_limit, refused.retry_after) == (False, True, PERIOD)


def test_a_cost_above_the_limit_is_told_from_one_that_can_wait() -> None:
    spent, _ = spend(Bucket(), 6, 10, T0)

    too_large, too_soon = (spend(spent, cost, 10, T0)[1] for cost in (11, 5))

    assert (too_large.allowed, too_large.exceeds_limit, too_large.remaining) == (False, True, 4)
    assert (too_soon.allowed, too_soon.exceeds_limit, too_soon.remaining) == (False, False, 4)
    assert too_soon.retry_after == timedelta(seconds=6)
