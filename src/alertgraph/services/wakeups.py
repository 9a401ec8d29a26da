"""What every way of waking other processes has in common: batches, listeners, and coming back by itself.

An adapter brings the link alone: how to open one, say something over it, and notice that it is dead.
"""

from __future__ import annotations

import asyncio
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol, Self, TypeVar

from alertgraph.core.errors import DependencyError
from alertgraph.core.hint import ORIGIN_SIZE, Hint, HintBuffer, decode_hints, pause_before
from alertgraph.core.ids import TenantId
from alertgraph.services.ports import Clock, Dice, Observer

# One message at most per this long; whatever comes in between travels together.
BATCH_INTERVAL = timedelta(milliseconds=5)
# Hints sent at once: a few milliseconds of work, so that a flood does not hold up the event loop.
BATCH_SIZE_MAX = 4096
OPEN_TIMEOUT = timedelta(seconds=5)
SEND_TIMEOUT = timedelta(seconds=5)
CHECK_INTERVAL = timedelta(seconds=10)
CHECK_TIMEOUT = timedelta(seconds=5)
PAUSE_MIN = timedelta(milliseconds=100)
PAUSE_MAX = timedelta(seconds=5)
# A link that held this long was sound: the next pause is a short one again.
STEADY_AFTER = timedelta(seconds=10)

_T = TypeVar("_T")

Receive = Callable[[bytes], bool]


class Link(Protocol):
    """One way to the other processes. Broken, it is closed and another one is opened.

    A link hands every message it receives to the `receive` it was opened with, which tells whether
    this process itself sent it. All methods but `close` may raise anything where the link is broken.
    """

    async def send(self, hints: Sequence[Hint]) -> None:
        """Tell all processes."""
        ...

    async def run(self) -> None:
        """Receive until the link breaks, then raise."""
        ...

    async def check(self) -> None:
        """Return once it is proved that what is sent now would be received."""
        ...

    async def close(self) -> None:
        """Give back what the link holds; never raises, takes a few seconds at most."""
        ...


class Listener:
    """Yields hints until it is closed; between two turns only the highest number of each tenant is kept."""

    def __init__(self) -> None:
        self._hints = HintBuffer()
        self._arrived = asyncio.Event()
        self._closed = False

    def add(self, tenant_id: TenantId, number: int) -> None:
        """Have a hint yielded."""
        self._hints.add(tenant_id, number)
        self._arrived.set()

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Hint:
        while not self._closed and not self._hints:
            self._arrived.clear()
            await self._arrived.wait()
        if self._closed:
            raise StopAsyncIteration
        (hint,) = self._hints.take(1)
        return hint


class Audience:
    """The listeners of one process. One that nobody holds any more is forgotten by itself."""

    def __init__(self) -> None:
        self._listeners: weakref.WeakSet[Listener] = weakref.WeakSet()
        self._closed = False

    def listen(self) -> Listener:
        """Return a new listener: it yields what is told from now on."""
        listener = Listener()
        if self._closed:
            listener.close()
        else:
            self._listeners.add(listener)
        return listener

    def tell(self, tenant_id: TenantId, number: int) -> None:
        """Hand a hint to every listener."""
        for listener in self._listeners:
            listener.add(tenant_id, number)

    def close(self) -> None:
        """End every listener, and those to come."""
        self._closed = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


class LinkedWakeups(ABC):
    """Wake-ups over a link to other processes. Fulfils `ports.Wakeups`.

    While the link is broken, announcements are dropped: the other processes find the events by their sweep.

    Args:
        dependency: Name of what the link is made of, such as redis.
        clock: Paces batches, checks and retries.
        dice: Draws the name of this process and the length of pauses.
        observer: Told of every lost link and failed try, as part "wakeups".
        check_interval: How often the link has to prove that it lives.
        check_timeout: How long it may take to; then it is given up.
    """

    def __init__(
        self,
        dependency: str,
        clock: Clock,
        dice: Dice,
        observer: Observer,
        *,
        check_interval: timedelta = CHECK_INTERVAL,
        check_timeout: timedelta = CHECK_TIMEOUT,
    ) -> None:
        self._dependency = dependency
        self._clock = clock
        self._dice = dice
        self._observer = observer
        self._check_interval = check_interval
        self._check_timeout = check_timeout
        self._origin = dice.bits(8 * ORIGIN_SIZE).to_bytes(ORIGIN_SIZE, "big")
        self._audience = Audience()
        self._waiting = HintBuffer()
        self._announced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._healthy = False

    @property
    def healthy(self) -> bool:
        """Whether the link is open and has proved itself at the last check."""
        return self._healthy

    async def start(self) -> None:
        """Open the link and keep it open from now on.

        Raises:
            DependencyError: It can't be opened; nothing was started.
        """
        assert self._task is None, "wake-ups are started once"
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(opened), name="wakeups")
        try:
            await opened
        except Exception as error:
            await self.close()
            raise DependencyError(
                self._dependency,
                retryable=True,
                message=f"{self._dependency} can't carry wake-ups between processes: {error}",
            ) from error

    async def close(self) -> None:
        """Close the link and end all listeners."""
        self._audience.close()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._healthy = False

    async def announce(self, tenant_id: TenantId, number: int) -> None:
        """Have all other processes told, some milliseconds later, together with what else is announced."""
        if self._healthy:
            self._waiting.add(tenant_id, number)
            self._announced.set()

    def listen(self) -> AsyncIterator[Hint]:
        """Return an iterator over what other processes announce from now on."""
        return self._audience.listen()

    @abstractmethod
    async def _open(self, receive: Receive) -> Link:
        """Return an open link that hands its messages to `receive`; leave nothing open where it fails."""

    def _receive(self, message: bytes) -> bool:
        """Hand a message on; return whether it was our own."""
        try:
            origin, hints = decode_hints(message)
        except ValueError as error:
            self._observer.failed("wakeups", error)
            return False
        if origin == self._origin:
            return True
        for tenant_id, number in hints:
            self._audience.tell(tenant_id, number)
        return False

    async def _keep(self, opened: asyncio.Future[None]) -> None:
        """Open one link after the other, and tell `opened` how it went with the first."""
        failed_count = 0
        while True:
            began_at = self._clock.now()
            try:
                link = await _within(OPEN_TIMEOUT, self._open(self._receive), "connecting")
                await self._use(link, opened)
            except Exception as caught:  # noqa: BLE001 a worker loop outlives whatever a driver raises
                error = _root(caught)
                if not opened.done():
                    opened.set_exception(error)
                self._observer.failed("wakeups", error)
            failed_count = 1 if self._clock.now() - began_at >= STEADY_AFTER else failed_count + 1
            await self._clock.sleep(pause_before(failed_count, self._dice.fraction(), PAUSE_MIN, PAUSE_MAX))

    async def _use(self, link: Link, opened: asyncio.Future[None]) -> None:
        """Serve a link until it breaks, then raise."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(link.run())
                await _within(self._check_timeout, link.check(), "the first sign of life")
                self._healthy = True
                if not opened.done():
                    opened.set_result(None)
                group.create_task(self._send_batches(link))
                group.create_task(self._check_often(link))
        finally:
            self._healthy = False
            self._waiting.clear()
            await link.close()

    async def _send_batches(self, link: Link) -> None:
        while True:
            await self._announced.wait()
            self._announced.clear()
            while self._waiting:
                hints = self._waiting.take(BATCH_SIZE_MAX)
                await _within(SEND_TIMEOUT, link.send(hints), "sending")
                await self._clock.sleep(BATCH_INTERVAL)

    async def _check_often(self, link: Link) -> None:
        while True:
            await self._clock.sleep(self._check_interval)
            await _within(self._check_timeout, link.check(), "a sign of life")


async def _within(longest: timedelta, work: Awaitable[_T], what: str) -> _T:
    """Return what the work returns; raises ConnectionError where it takes longer."""
    try:
        async with asyncio.timeout(longest.total_seconds()):
            return await work
    except TimeoutError as error:
        raise ConnectionError(f"{what} took longer than {longest.total_seconds():g} s") from error


def _root(error: BaseException) -> BaseException:
    """Return the error that came first out of a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
