"""What a caller may still spend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from alertgraph.core.ids import to_microseconds

# A budget is points in this time; they come back evenly, not all at the end of it.
PERIOD = timedelta(minutes=1)
LIMIT_MAX = 100_000_000

_MICROSECOND = timedelta(microseconds=1)
PERIOD_MICROSECONDS = PERIOD // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Budget:
    """A key's cost points, as they stand once the present request is paid for.

    Attributes:
        cost: Points of this request.
        limit: Points a minute.
        remaining: Points left.
        reset_at: When all points are back.
    """

    cost: int
    limit: int
    remaining: int
    reset_at: datetime


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What became of a wish to spend points.

    Attributes:
        allowed: Whether they were spent; refused, nothing was.
        remaining: Whole points left now.
        reset_at: When all points are back, if nothing more is spent.
        retry_after: When it will be allowed, if nothing else is spent meanwhile; zero where it was allowed.
        exceeds_limit: Whether the cost is above the whole limit: then no waiting helps, and `retry_after` is a
            whole period to keep away those who don't look.
    """

    allowed: bool
    remaining: int
    reset_at: datetime
    retry_after: timedelta
    exceeds_limit: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """How much is missing from a budget.

    In whole numbers, so that every store computes the same: a point is `PERIOD_MICROSECONDS` units, and each
    microsecond gives back as many units as the limit has points.

    Attributes:
        debt: Units missing.
        at: As of when, in microseconds since 1970; never goes back.
    """

    debt: int = 0
    at: int = 0


def spend(bucket: Bucket, cost: int, limit: int, now: datetime) -> tuple[Bucket, BudgetState]:
    """Return the bucket after paying for something, or after refusing to, and how it stands.

    In any length of time, no more is spent than the limit and what came back meanwhile.

    Args:
        bucket: As it was left; a new one is full.
        cost: Points wished for.
        limit: Points a minute; where it was lowered, no more is missing than all of it.
        now: The present. A clock that lags behind gives nothing back until it has caught up.
    """
    assert cost >= 0
    assert limit <= LIMIT_MAX
    present = to_microseconds(now)
    room = max(limit, 0) * PERIOD_MICROSECONDS
    elapsed = max(present - bucket.at, 0)
    debt = max(min(bucket.debt, room) - max(limit, 0) * elapsed, 0)
    allowed = debt + cost * PERIOD_MICROSECONDS <= room
    if allowed and cost > 0:
        debt += cost * PERIOD_MICROSECONDS
        bucket = Bucket(debt, max(present, bucket.at))
    return bucket, state_of(debt, cost, limit, now, allowed=allowed)


def state_of(debt: int, cost: int, limit: int, now: datetime, *, allowed: bool) -> BudgetState:
    """Return how a bucket stands after a wish to spend.

    Args:
        debt: Units missing, with the cost where it was allowed.
        cost: Points that were wished for.
        limit: Points a minute.
        now: The present.
        allowed: Whether they were spent.
    """
    exceeds_limit = cost > max(limit, 0)
    room = max(limit, 0) * PERIOD_MICROSECONDS
    if exceeds_limit:
        retry_after = PERIOD
    elif allowed:
        retry_after = timedelta(0)
    else:
        retry_after = _time_for(debt + cost * PERIOD_MICROSECONDS - room, limit)
    return BudgetState(
        allowed,
        max(room - debt, 0) // PERIOD_MICROSECONDS,
        now + _time_for(debt, limit),
        retry_after,
        exceeds_limit,
    )


def _time_for(units: int, limit: int) -> timedelta:
    """Return how long it takes to get that many units back; rounded up, so that they are back by then."""
    return -(-units // limit) * _MICROSECOND if limit > 0 else timedelta(0)
