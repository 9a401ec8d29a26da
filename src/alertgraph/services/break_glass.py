"""Tells the operator past everything else where the engine has been without its store for too long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import NoReturn

import orjson

from alertgraph.core.message import SendResult
from alertgraph.services.ports import Clock, WatchObserver

SILENT_MAX = timedelta(seconds=60)
CHECK_EVERY = timedelta(seconds=1)
TELL_EVERY = timedelta(minutes=5)
TRY_EVERY = timedelta(seconds=30)
"""When it is told again after it could not be told."""
STEP_MAX = timedelta(seconds=15)
"""What one look at the clock adds at most: who was stopped, or whose clock was set, has heard no silence."""


class BreakGlass:
    """Watches over the engine by what it hears of it, and needs nothing of what the engine needs.

    Args:
        post: Makes one attempt to bring a JSON object to the operator; None where no address is set.
        host: What the operator calls this machine.
    """

    def __init__(
        self,
        post: Callable[[bytes], Awaitable[SendResult]] | None,
        host: str,
        clock: Clock,
        observer: WatchObserver,
    ) -> None:
        self._post = post
        self._host = host
        self._clock = clock
        self._observer = observer
        self._silent = timedelta(0)
        self._checked_at = clock.now()
        # Since when there is an outage of which the operator is to know, and when to tell next.
        self._since: datetime | None = None
        self._tells_at = self._checked_at
        self._is_known = False
        self._back_at: datetime | None = None

    @property
    def works(self) -> bool:
        """Whether the engine has had an answer within the time that is given to it."""
        return self._silent < SILENT_MAX

    def silent_seconds(self) -> float:
        """Return how long the engine has not had an answer of its store, as far as it was watched."""
        return self._silent.total_seconds()

    def worked(self) -> None:
        """Learn that the store has answered the engine."""
        self._silent = timedelta(0)
        self._checked_at = self._clock.now()

    async def run(self) -> NoReturn:
        """Watch, for as long as it runs."""
        while True:
            try:
                await self.check()
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure)
                self._observer.failed("break glass", error)
            await self._clock.sleep(CHECK_EVERY)

    async def check(self) -> None:
        """Look at the clock once, and tell the operator what there is to tell."""
        now = self._clock.now()
        self._silent += min(max(now - self._checked_at, timedelta(0)), STEP_MAX)
        self._checked_at = now
        if not self.works:
            await self._tell_of_silence(now)
        elif self._since is not None:
            await self._tell_of_end(now, self._since)

    async def _tell_of_silence(self, now: datetime) -> None:
        self._back_at = None
        if self._since is None:
            self._since, self._tells_at, self._is_known = now - self._silent, now, False
        if now < self._tells_at:
            return
        told = await self._tell(
            f"alertgraph on {self._host} has had no answer of its database since "
            f"{self._since:%Y-%m-%d %H:%M:%S} UTC: this process pages nobody.",
            self._since,
        )
        self._is_known = self._is_known or told
        self._tells_at = now + (TELL_EVERY if told else TRY_EVERY)

    async def _tell_of_end(self, now: datetime, since: datetime) -> None:
        if self._back_at is None:
            self._back_at = self._tells_at = now
        if now < self._tells_at:
            return
        # Who was never told of the outage needs no end of it; nor does anybody who can't be reached for long.
        done = not self._is_known or now - self._back_at >= TELL_EVERY
        if not done:
            done = await self._tell(f"alertgraph on {self._host} has its database back, and pages again.", since)
        if done:
            self._since = self._back_at = None
        else:
            self._tells_at = now + TRY_EVERY

    async def _tell(self, summary: str, since: datetime) -> bool:
        if self._post is None:
            self._observer.broke_glass(outcome="unset", why=summary)
            return True
        content = {"summary": summary, "since": since.isoformat(), "host": self._host}
        result = await self._post(orjson.dumps(content))
        if not result.delivered:
            self._observer.broke_glass(outcome="failed", why=f"{summary} ({result.error})")
            return False
        self._observer.broke_glass(outcome="sent", why=summary)
        return True
