"""Cost budgets: points a minute for each subject of a tenant, in this process or shared by Redis."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Protocol

from redis.exceptions import NoScriptError

from alertgraph.cache.connection import REDIS_ERRORS, connect, disconnect, parse_redis_url
from alertgraph.core.budget import (
    PERIOD_MICROSECONDS,
    Bucket,
    BudgetState,
    spend,
    state_of,
)
from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId, to_microseconds
from alertgraph.services.ports import Clock, Observer

# Buckets remembered by one process, some 30 MB. The one used longest ago goes first: unless so many are used
# within one minute, it is full again and nothing is forgotten.
BUCKET_COUNT_MAX = 100_000
# A request waits this long for Redis at most; then this process's own bucket decides.
ANSWER_TIMEOUT = timedelta(milliseconds=250)
# After a failure Redis is tried again this often, aside from the requests, and then may take its time.
AWAY_TIME = timedelta(seconds=1)
REACH_TIMEOUT = timedelta(seconds=5)
CONNECTION_COUNT_MAX = 32

# `core.budget.spend` once more, where all processes meet: every number is whole and below 2^53, so Lua's
# are exact. A full bucket needs no key; the extra minute is for clocks that differ.
_SPEND = """
local cost, limit, now, period = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local debt, at = 0, 0
local stored = redis.call('GET', KEYS[1])
if stored then
  local left, right = string.match(stored, '^(%d+) (%d+)$')
  debt, at = tonumber(left), tonumber(right)
end
local room = limit * period
local elapsed = math.min(math.max(now - at, 0), period)
debt = math.max(math.min(debt, room) - limit * elapsed, 0)
if debt + cost * period > room then return {0, debt} end
debt = debt + cost * period
if cost > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', debt, math.max(now, at)),
             'PX', string.format('%.0f', math.ceil((debt / limit + period) / 1000)))
end
return {1, debt}
"""
_SPEND_SHA = hashlib.sha1(_SPEND.encode(), usedforsecurity=False).hexdigest()


class Budgets(Protocol):
    """Who may still spend how much."""

    async def spend(self, tenant_id: TenantId, subject: str, cost: int, limit: int, now: datetime) -> BudgetState:
        """Spend points, or refuse to where too few are left.

        Args:
            tenant_id: Whose subject.
            subject: Who spends, such as the id of an API key.
            cost: Points.
            limit: Points a minute, at most `core.budget.LIMIT_MAX`.
            now: The present.
        """
        ...


class InProcessBudgets:
    """Budgets that this process alone keeps. Fulfils `Budgets`.

    Args:
        bucket_count_max: Subjects remembered.
    """

    def __init__(self, bucket_count_max: int = BUCKET_COUNT_MAX) -> None:
        self._buckets: OrderedDict[tuple[TenantId, str], Bucket] = OrderedDict()
        self._bucket_count_max = bucket_count_max

    def __len__(self) -> int:
        return len(self._buckets)

    async def spend(self, tenant_id: TenantId, subject: str, cost: int, limit: int, now: datetime) -> BudgetState:
        """Spend points, or refuse to where too few are left."""
        key = (tenant_id, subject)
        bucket, state = spend(self._buckets.get(key, Bucket()), cost, limit, now)
        self._buckets[key] = bucket
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._bucket_count_max:
            self._buckets.popitem(last=False)
        return state


class RedisBudgets:
    """Budgets that all processes share, in one round trip. Fulfils `Budgets`.

    While Redis is away, each process counts for itself: a subject may then spend its limit at each of them,
    and nobody is refused, or kept waiting, for want of Redis.

    Args:
        url: As `parse_redis_url` reads it; ValueError where it can't.
        clock: Paces the attempts to reach Redis again.
        observer: Told when Redis fails, as part "budgets".
    """

    def __init__(self, url: str, clock: Clock, observer: Observer) -> None:
        self._client = connect(parse_redis_url(url))
        self._clock = clock
        self._observer = observer
        self._own = InProcessBudgets()
        self._connections = asyncio.Semaphore(CONNECTION_COUNT_MAX)
        self._calls: set[asyncio.Task[tuple[int, int]]] = set()
        self._returning: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """Whether the budgets are shared at present."""
        return self._returning is None

    async def start(self) -> None:
        """Reach Redis for the first time.

        Raises:
            DependencyError: It does not answer.
        """
        try:
            await self._reach()
        except REDIS_ERRORS as error:
            raise DependencyError(
                "redis", retryable=True, message=f"redis can't keep the budgets: {error or type(error).__name__}"
            ) from error

    async def close(self) -> None:
        """Close all connections."""
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.wait([self._returning])
        if self._calls:
            await asyncio.wait(self._calls)
        await disconnect(self._client)

    async def spend(self, tenant_id: TenantId, subject: str, cost: int, limit: int, now: datetime) -> BudgetState:
        """Spend points, or refuse to where too few are left."""
        if self._returning is not None:
            return await self._own.spend(tenant_id, subject, cost, limit, now)
        room = max(limit, 0)
        try:
            # More than the limit is refused, however much it is: this keeps Lua's numbers exact.
            allowed, debt = await self._answer(
                self._call(_key(tenant_id, subject), min(cost, room + 1), room, to_microseconds(now))
            )
        except REDIS_ERRORS as error:
            # A limit that is not shared for a while is better than no answer.
            if self._returning is None:
                self._observer.failed("budgets", error)
                self._returning = asyncio.create_task(self._return(), name="budgets")
            return await self._own.spend(tenant_id, subject, cost, limit, now)
        return state_of(debt, cost, limit, now, allowed=bool(allowed))

    async def _answer(self, call: Coroutine[None, None, tuple[int, int]]) -> tuple[int, int]:
        """Return what a call returns; raises TimeoutError in time, even where the call does not end.

        Cancelled while its connection hangs, redis-py may take seconds to give up: no request waits for that.
        """
        calling = asyncio.create_task(call)
        self._calls.add(calling)
        calling.add_done_callback(self._forget)
        try:
            done, _ = await asyncio.wait([calling], timeout=ANSWER_TIMEOUT.total_seconds())
        except asyncio.CancelledError:
            calling.cancel()
            raise
        if not done:
            calling.cancel()
            raise TimeoutError(f"no answer within {ANSWER_TIMEOUT.total_seconds():g} s")
        return calling.result()

    def _forget(self, call: asyncio.Task[tuple[int, int]]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            # Whoever still waits for it reads the error; else it is of no interest, and asyncio must not log it.
            call.exception()

    async def _call(self, key: str, cost: int, limit: int, now: int) -> tuple[int, int]:
        async with self._connections:
            try:
                allowed, debt = await self._client.evalsha(
                    _SPEND_SHA, 1, key, cost, limit, now, PERIOD_MICROSECONDS
                )
            except NoScriptError:
                allowed, debt = await self._client.eval(_SPEND, 1, key, cost, limit, now, PERIOD_MICROSECONDS)
        return allowed, debt

    async def _reach(self) -> None:
        async with asyncio.timeout(REACH_TIMEOUT.total_seconds()):
            await self._client.ping()

    async def _return(self) -> None:
        """Try to reach Redis until it answers; meanwhile this process counts for itself."""
        while True:
            await self._clock.sleep(AWAY_TIME)
            try:
                await self._reach()
            except REDIS_ERRORS as error:
                self._observer.failed("budgets", error)
            else:
                self._returning = None
                return


def _key(tenant_id: TenantId, subject: str) -> str:
    # Hashed, for a subject may be long and may name a person; the tag keeps a tenant's keys on one node.
    return f"ag:{{{tenant_id}}}:budget:{hashlib.blake2b(subject.encode(), digest_size=16).hexdigest()}"
