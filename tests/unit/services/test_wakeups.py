"""Listeners of wake-ups."""

from __future__ import annotations

import asyncio
import gc
from uuid import UUID

import pytest

from alertgraph.core.hint import TENANT_COUNT_MAX
from alertgraph.core.ids import TenantId
from alertgraph.services.wakeups import Audience


def tenant(number: int) -> TenantId:
    return TenantId(UUID(int=number))


async def test_what_is_told_between_two_turns_is_folded() -> None:
    audience = Audience()
    listener = audience.listen()

    for number in (3, 9, 8):
        audience.tell(tenant(1), number)
    audience.tell(tenant(2), 1)

    assert [await anext(listener), await anext(listener)] == [(tenant(1), 9), (tenant(2), 1)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(listener), 0.01)


async def test_a_turn_that_is_given_up_loses_nothing() -> None:
    audience = Audience()
    listener = audience.listen()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(listener), 0.001)

    audience.tell(tenant(1), 1)

    assert await anext(listener) == (tenant(1), 1)


async def test_a_listener_that_does_not_listen_stays_small() -> None:
    audience = Audience()
    listener = audience.listen()

    for number in range(TENANT_COUNT_MAX + 100):
        audience.tell(tenant(number), number)

    assert await anext(listener) == (tenant(100), 100)


async def test_a_listener_nobody_holds_is_forgotten() -> None:
    audience = Audience()
    kept = audience.listen()
    audience.listen()
    gc.collect()

    assert list(audience._listeners) == [kept]
