"""Who is on call in a replay: two people who look at one thing at a time, and what that comes to.

How people work is assumed, and said in every report (`MODEL`). What they are told, when and how often is not: that
is what the service does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alertgraph.core.action import Acknowledge, Action, ById, GiveFeedback, Resolve
from alertgraph.core.alert import AlertVerdict
from alertgraph.core.channel import Channel, ChannelKind, WebhookPreset
from alertgraph.core.delivery import Purpose
from alertgraph.core.event import EventKind, StoredEvent
from alertgraph.core.ids import AlertId, ChannelId
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.edge.replay.clock import ReplayClock
from alertgraph.services.ports import Notifier


def _in_minutes(length: timedelta) -> int:
    return length // timedelta(minutes=1)


LOOK = timedelta(minutes=1)
NOISE_TAKES = timedelta(minutes=5)
FIX_TAKES = timedelta(minutes=20)
MODEL = (
    "Two people are on call, the second from ten minutes after the first was paged and nobody has acknowledged. "
    f"Each looks at one page at a time, oldest first: after {_in_minutes(LOOK)} minute acknowledges it, unless it "
    f"is over; takes {_in_minutes(NOISE_TAKES)} minutes to find that nobody is needed and says so, or "
    f"{_in_minutes(FIX_TAKES)} minutes to mend a true incident, with all its alerts. Recorded data can't react: "
    "what comes of a mended incident afterwards is acknowledged as known."
)


@dataclass(slots=True)
class Truth:
    """What is so, and what was noticed of it.

    Attributes:
        incident_of: The true incident of each alert of the service; None where nobody is needed.
        began_at: When the first alert of a true incident was sent.
        reached_at: When somebody first acknowledged one of its alerts.
        mended_at: When somebody had mended it.
        paged_at: When a person was first told of each alert.
        messages: When people were told of anything, and of which alerts.
    """

    incident_of: dict[AlertId, str | None] = field(default_factory=dict)
    began_at: dict[str, datetime] = field(default_factory=dict)
    reached_at: dict[str, datetime] = field(default_factory=dict)
    mended_at: dict[str, datetime] = field(default_factory=dict)
    paged_at: dict[AlertId, datetime] = field(default_factory=dict)
    messages: list[tuple[datetime, tuple[AlertId, ...]]] = field(default_factory=list)


class OnCall:
    """Fulfils `services.ports.Notifier`: whoever is told works on it.

    Args:
        act: Has actions of a person carried out.
        channels: The channels of the people, in the order of the ladder.
        other: Knows templates and addresses, which a replay has none of.
    """

    def __init__(
        self,
        truth: Truth,
        clock: ReplayClock,
        act: Callable[[Sequence[Action]], Awaitable[None]],
        channels: Sequence[ChannelId],
        other: Notifier,
    ) -> None:
        self._truth = truth
        self._clock = clock
        self._act = act
        self._other = other
        self._open: dict[AlertId, bool] = {}
        self._coming: dict[ChannelId, list[AlertId]] = {channel_id: [] for channel_id in channels}
        self._level = dict(enumerate(channels, 1))
        self._pages: dict[ChannelId, deque[AlertId]] = {channel_id: deque() for channel_id in channels}
        self._woken = {channel_id: asyncio.Event() for channel_id in channels}

    def people(self) -> Sequence[Awaitable[None]]:
        """Return the work of everybody on call."""
        return [self._work(channel_id) for channel_id in self._pages]

    def hear(self, stored: StoredEvent) -> None:
        """Learn what has happened: which alerts are nobody's still, and of which a message is to come."""
        event = stored.event
        if event.alert_id is None:
            return
        match event.kind:
            case EventKind.TRIGGERED:
                self._open[event.alert_id] = True
            case EventKind.ACKNOWLEDGED:
                self._open[event.alert_id] = False
            case EventKind.RESOLVED:
                self._open.pop(event.alert_id, None)
            case EventKind.ESCALATED:
                # A storm is told in one message, which need not name all that it is of.
                channel_id = self._level.get(int(event.detail["level"]))
                if channel_id is not None:
                    self._coming[channel_id].append(event.alert_id)

    async def send(
        self,
        channel: Channel,
        secrets: Mapping[str, str],  # noqa: ARG002  (nobody outside is told)
        address: str | None,  # noqa: ARG002  (as above)
        message: Message,
    ) -> SendResult:
        """Tell a person, at once."""
        if message.purpose is Purpose.PAGE:
            now = self._clock.now()
            coming = self._coming[channel.id]
            if message.more_count or len(message.alerts) > 1:
                told, self._coming[channel.id] = tuple(coming), []
            else:
                told = tuple(alert.id for alert in message.alerts)
                self._coming[channel.id] = [alert_id for alert_id in coming if alert_id not in told]
            self._truth.messages.append((now, told))
            for alert_id in told:
                self._truth.paged_at.setdefault(alert_id, now)
            self._pages[channel.id].extend(told)
            self._woken[channel.id].set()
        return SendResult(True, 200)

    def render(self, channel: Channel, message: Message) -> Rendered:
        """Return what would be sent."""
        return self._other.render(channel, message)

    def check_template(self, kind: ChannelKind, preset: WebhookPreset | None, template: str) -> None:
        """Let a template pass that renders."""
        self._other.check_template(kind, preset, template)

    async def check_url(self, url: str, *path: str) -> None:
        """Let an address pass that may be posted to."""
        await self._other.check_url(url, *path)

    async def _work(self, channel_id: ChannelId) -> None:
        pages, woken = self._pages[channel_id], self._woken[channel_id]
        while True:
            while not pages:
                woken.clear()
                await woken.wait()
            alert_id = pages.popleft()
            if self._open.get(alert_id):
                await self._look_at(alert_id)

    async def _look_at(self, alert_id: AlertId) -> None:
        clock, truth = self._clock, self._truth
        await clock.sleep(LOOK)
        if not self._open.get(alert_id):
            return
        await self._act([Acknowledge(ById(alert_id))])
        incident = truth.incident_of.get(alert_id)
        if incident is None:
            await clock.sleep(NOISE_TAKES)
            incident = truth.incident_of.get(alert_id)
        if incident is None:
            await self._act([GiveFeedback(ById(alert_id), AlertVerdict.NOISE), *self._end(alert_id)])
            return
        truth.reached_at.setdefault(incident, clock.now())
        if incident not in truth.mended_at:
            await clock.sleep(FIX_TAKES)
            truth.mended_at.setdefault(incident, clock.now())
        alike = [id_ for id_ in self._open if truth.incident_of.get(id_) == incident]
        await self._act([action for id_ in alike[:500] for action in self._end(id_)])

    def _end(self, alert_id: AlertId) -> list[Action]:
        return [Resolve(ById(alert_id))] if alert_id in self._open else []
