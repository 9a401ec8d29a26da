"""Wake-ups in one process, and between processes by Redis. Losing Redis loses speed, never an event."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ResponseError

from alertgraph.cache.connection import REDIS_ERRORS, Host, Layout, disconnect, parse_redis_url
from alertgraph.core.hint import Hint, encode_hints
from alertgraph.core.ids import TenantId
from alertgraph.services.ports import Clock, Dice, Observer
from alertgraph.services.wakeups import CHECK_INTERVAL, CHECK_TIMEOUT, Audience, Link, LinkedWakeups, Receive

# Hash-tagged, so that a cluster spreads them over its nodes; a tenant's hints stay in one of them.
CHANNELS = tuple(f"ag:wakeups:{{{index}}}" for index in range(16))
MESSAGE_SIZE_MAX = 16_384

_CLOSE_TIMEOUT = timedelta(seconds=1)

_log = structlog.get_logger("alertgraph.wakeups")


def channel_of(tenant_id: TenantId) -> str:
    """Return the channel that carries a tenant's hints."""
    return CHANNELS[zlib.crc32(tenant_id.bytes) % len(CHANNELS)]


class InProcessExchange:
    """What several services within one process are connected by."""

    def __init__(self) -> None:
        self._members: dict[int, Audience] = {}

    def join(self, member: object, audience: Audience) -> None:
        """Have an audience told what other members announce."""
        self._members[id(member)] = audience

    def leave(self, member: object) -> None:
        """Forget a member."""
        self._members.pop(id(member), None)

    def announce(self, member: object, tenant_id: TenantId, number: int) -> None:
        """Tell all others; who has left, or not joined yet, is not heard."""
        if id(member) in self._members:
            for key, audience in self._members.items():
                if key != id(member):
                    audience.tell(tenant_id, number)


class InProcessWakeups:
    """Wake-ups where there is no other process. Fulfils `ports.Wakeups`.

    Args:
        exchange: Shared by several services that run in this one process; alone, nothing is ever heard.
    """

    def __init__(self, exchange: InProcessExchange | None = None) -> None:
        self._exchange = exchange or InProcessExchange()
        self._audience = Audience()

    @property
    def healthy(self) -> bool:
        """True: there is nothing that could break."""
        return True

    async def start(self) -> None:
        """Hear the others from now on."""
        self._exchange.join(self, self._audience)

    async def close(self) -> None:
        """Hear and say no more; all listeners end."""
        self._exchange.leave(self)
        self._audience.close()

    async def announce(self, tenant_id: TenantId, number: int) -> None:
        """Tell the other services of this process."""
        self._exchange.announce(self, tenant_id, number)

    def listen(self) -> AsyncIterator[Hint]:
        """Return an iterator over what the others announce from now on."""
        return self._audience.listen()


class RedisWakeups(LinkedWakeups):
    """Wake-ups by Redis or Valkey: sharded publish and subscribe, the plain one before Redis 7.

    Fulfils `ports.Wakeups`.

    Args:
        url: As `parse_redis_url` reads it; ValueError where it can't.
        clock: As in `LinkedWakeups`.
        dice: As in `LinkedWakeups`.
        observer: As in `LinkedWakeups`.
        check_interval: As in `LinkedWakeups`.
        check_timeout: As in `LinkedWakeups`.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        dice: Dice,
        observer: Observer,
        *,
        check_interval: timedelta = CHECK_INTERVAL,
        check_timeout: timedelta = CHECK_TIMEOUT,
    ) -> None:
        super().__init__(
            "redis", clock, dice, observer, check_interval=check_interval, check_timeout=check_timeout
        )
        self._address = parse_redis_url(url)
        self._nodes_known: tuple[Host, ...] = ()
        self._without_shards_logged = False

    async def _open(self, receive: Receive) -> Link:
        link = await self._subscribed(receive, sharded=True)
        if link is not None:
            return link
        if not self._without_shards_logged:
            self._without_shards_logged = True
            _log.warning(
                "This Redis has no sharded publish and subscribe, which came with 7.0: using the plain one."
            )
        link = await self._subscribed(receive, sharded=False)
        assert link is not None
        return link

    async def _subscribed(self, receive: Receive, *, sharded: bool) -> Link | None:
        """Return a link that hears all channels; None where the server does not know sharded ones."""
        link = _RedisLink(await self._nodes(sharded=sharded), self._origin, receive, sharded=sharded)
        try:
            await link.subscribe()
        except ResponseError as error:
            await link.close()
            if sharded and "unknown command" in str(error).lower():
                return None
            raise
        except BaseException:
            await link.close()
            raise
        return link

    async def _nodes(self, *, sharded: bool) -> list[_Node]:
        """Return which servers carry which channels."""
        if self._address.layout is not Layout.CLUSTER:
            return [_Node(self._address.connect(), CHANNELS)]
        cluster = self._address.connect_cluster(self._nodes_known)
        try:
            await cluster.initialize()
            self._nodes_known = tuple((node.host, int(node.port)) for node in cluster.get_nodes())
            channels: defaultdict[Host, list[str]] = defaultdict(list)
            for channel in CHANNELS:
                # Before Redis 7 any node passes a message on to all others.
                node = cluster.get_node_from_key(channel if sharded else CHANNELS[0])
                assert node is not None, "only a replica may be missing, and none was asked for"
                channels[node.host, int(node.port)].append(channel)
        finally:
            await cluster.aclose()
        return [_Node(self._address.connect_to(host), tuple(names)) for host, names in channels.items()]


class _Node:
    """One server: a pool of connections to speak on, a connection that listens, and the channels it carries."""

    def __init__(self, client: Redis, channels: tuple[str, ...]) -> None:
        self.client = client
        self.channels = channels
        self.subscriber: PubSub = client.pubsub()
        self.answered = asyncio.Event()

    async def close(self) -> None:
        with contextlib.suppress(*REDIS_ERRORS):
            async with asyncio.timeout(_CLOSE_TIMEOUT.total_seconds()):
                await self.subscriber.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
                await disconnect(self.client)


class _RedisLink:
    """All channels, on one server or spread over the nodes of a cluster."""

    def __init__(self, nodes: Sequence[_Node], origin: bytes, receive: Receive, *, sharded: bool) -> None:
        self._nodes = nodes
        self._origin = origin
        self._hand_on = receive
        self._sharded = sharded

    async def subscribe(self) -> None:
        for node in self._nodes:
            for channel in node.channels:
                # One at a time: a cluster takes no command about channels of several slots.
                await (node.subscriber.ssubscribe if self._sharded else node.subscriber.subscribe)(channel)
            missing = set(node.channels)
            while missing:
                message = await node.subscriber.get_message(timeout=None)
                if message is not None and message["type"] in {"ssubscribe", "subscribe"}:
                    missing.discard(message["channel"].decode())

    async def send(self, hints: Sequence[Hint]) -> None:
        by_channel: defaultdict[str, list[Hint]] = defaultdict(list)
        for hint in hints:
            by_channel[channel_of(hint[0])].append(hint)
        async with asyncio.TaskGroup() as group:
            for node in self._nodes:
                spoken = [channel for channel in node.channels if channel in by_channel]
                if spoken:
                    group.create_task(self._publish(node, {channel: by_channel[channel] for channel in spoken}))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for node in self._nodes:
                group.create_task(self._read(node))

    async def check(self) -> None:
        for node in self._nodes:
            node.answered.clear()
            await node.subscriber.ping()
            await node.answered.wait()

    async def close(self) -> None:
        await asyncio.gather(*(node.close() for node in self._nodes))

    async def _publish(self, node: _Node, by_channel: dict[str, list[Hint]]) -> None:
        command = "SPUBLISH" if self._sharded else "PUBLISH"
        pipeline = node.client.pipeline(transaction=False)
        for channel, hints in by_channel.items():
            for message in encode_hints(self._origin, hints, MESSAGE_SIZE_MAX):
                pipeline.execute_command(command, channel, message)
        await pipeline.execute()

    async def _read(self, node: _Node) -> None:
        while True:
            # None is no time-out here: redis-py returns it for replies that it keeps to itself.
            message = await node.subscriber.get_message(timeout=None)
            match message and message["type"]:
                case "smessage" | "message":
                    self._hand_on(message["data"])
                case "pong":
                    node.answered.set()
                case "sunsubscribe" | "unsubscribe":
                    raise ConnectionError("the server no longer carries a channel; its slot has moved")
            # redis-py does not wait while it has messages: a flood would hold up everything else.
            await asyncio.sleep(0)
