"""Another process: prints the wake-ups it hears and announces what it is told to."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from alertgraph.cache.live_updates import RedisWakeups
from alertgraph.core.ids import TenantId
from alertgraph.storage.notify import PostgresWakeups


class SystemClock:
    """Real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds())


class SystemDice:
    """Real chance."""

    def bits(self, count: int) -> int:
        return random.SystemRandom().getrandbits(count)

    def fraction(self) -> float:
        return random.random()


class Reports:
    """An observer that remembers failures."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, BaseException]] = []

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None: ...

    def queued(self, seconds: float) -> None: ...

    def streamed(self, *, events: int, source: str) -> None: ...

    def failed(self, part: str, error: BaseException) -> None:
        self.failures.append((part, error))


async def main(arguments: Sequence[str]) -> None:
    way, url = arguments
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    links = {"notify": PostgresWakeups, "redis": RedisWakeups}
    wakeups = links[way](url, SystemClock(), SystemDice(), Reports())
    await wakeups.start()
    heard = wakeups.listen()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    sys.stdout.write("ready\n")
    sys.stdout.flush()

    async def print_heard() -> None:
        async for tenant_id, number in heard:
            sys.stdout.write(f"{tenant_id} {number}\n")
            sys.stdout.flush()

    printing = asyncio.create_task(print_heard())
    async for line in lines:
        tenant_id, number = line.decode().split()
        await wakeups.announce(TenantId(UUID(tenant_id)), int(number))
    await wakeups.close()
    await printing


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
