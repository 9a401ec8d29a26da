"""Where Redis is: read once from its URL, then connected to as one server, by Sentinel, or as a cluster."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

SCHEMES = {
    "redis": "single",
    "rediss": "single",
    "unix": "single",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
PORT = 6379
SENTINEL_PORT = 26379
SOCKET_TIMEOUT_SECONDS = 2.0
# What a call of a client can raise where Redis is away or refuses; not all of redis-py's errors have one root.
REDIS_ERRORS = (RedisError, RedisClusterException, OSError, TimeoutError)

_BAD_HOST = (
    "A host of the Redis URL is not of the form host:port or [address]:port; "
    "special characters of a password are written in percent form, such as %40 for @."
)

Host = tuple[str, int]


class Layout(Enum):
    """How the servers are arranged."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address, with its password: it is left out of the representation.

    Attributes:
        hosts: Of the server; of the sentinels; of any nodes of the cluster, from which the others are found.
        service: What the sentinels call the master.
        options: What else the URL says: user, password, database, certificates.
    """

    layout: Layout
    hosts: tuple[Host, ...]
    service: str = ""
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    def connect(self) -> Redis:
        """Return a client of the one server that takes writes; it connects at the first command."""
        options = self._options()
        if self.layout is Layout.SENTINEL:
            encrypted = options.pop("connection_class", None) is SSLConnection
            sockets = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl_"))}
            sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
                self.hosts, sentinel_kwargs={**sockets, "ssl": encrypted, "protocol": 2}
            )
            client: Redis = sentinel.master_for(self.service, ssl=encrypted, **options)
            return client
        if self.hosts:
            host, port = self.hosts[0]
            options |= {"host": host, "port": port}
        return Redis.from_pool(ConnectionPool(**options))

    def connect_to(self, host: Host) -> Redis:
        """Return a client of one node of the cluster."""
        return Redis.from_pool(ConnectionPool(**self._options(), host=host[0], port=host[1]))

    def connect_cluster(self, known: Collection[Host] = ()) -> RedisCluster:
        """Return a client of the whole cluster.

        Args:
            known: Nodes met before: those that the URL names may be gone by now.
        """
        options = self._options()
        encrypted = options.pop("connection_class", None) is SSLConnection
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in dict.fromkeys((*self.hosts, *known))],
            ssl=encrypted,
            require_full_coverage=False,
            **options,
        )

    def _options(self) -> dict[str, Any]:
        return {
            "socket_timeout": SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
            "client_name": "alertgraph",
            **self.options,
            # Hints are bytes; the old protocol is spoken by every server and needs no push handling; and who
            # calls decides whether to try again: waiting for Redis inside the client would hold a request up.
            "decode_responses": False,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
        }


def connect(address: RedisAddress) -> Redis | RedisCluster:
    """Return a client that reaches whatever server a key is on; it connects at the first command."""
    return address.connect_cluster() if address.layout is Layout.CLUSTER else address.connect()


async def disconnect(client: Redis | RedisCluster) -> None:
    """Close all connections of a client, those to sentinels too, which redis-py forgets."""
    await client.aclose()
    if isinstance(client, Redis) and isinstance(client.connection_pool, SentinelConnectionPool):
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def parse_redis_url(url: str) -> RedisAddress:
    """Return the address that a URL names.

    `redis://`, `rediss://` (TLS) and `unix://` name one server; `redis+cluster://host:port,host:port` some nodes
    of a cluster; `redis+sentinel://host:port,host:port/service/database` the sentinels. User and password stand
    before the @, what redis-py takes besides (such as ssl_ca_certs) behind the question mark.

    Raises:
        ValueError: It names none; the message holds nothing of the URL but its scheme.
    """
    scheme, colon, _ = url.partition("://")
    if not colon or scheme not in SCHEMES:
        raise ValueError(f"A Redis URL begins with one of {', '.join(f'{known}://' for known in SCHEMES)}.")
    layout = Layout(SCHEMES[scheme])
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(_BAD_HOST) from error
    userinfo, at, places = parts.netloc.rpartition("@")
    hosts = _hosts(places, SENTINEL_PORT if layout is Layout.SENTINEL else PORT) if scheme != "unix" else ()
    path, service = parts.path, ""
    if layout is Layout.SENTINEL:
        service, _, database = path.strip("/").partition("/")
        path = f"/{database}"
        if not service:
            raise ValueError(
                "A Redis URL of sentinels names the service behind the hosts: …/mymaster or …/mymaster/0."
            )
    if scheme != "unix" and path.strip("/") and not path.strip("/").isdecimal():
        raise ValueError("The path of a Redis URL is the number of a database, such as /0.")
    # redis-py reads everything but the hosts, of which it knows only one.
    netloc = f"{userinfo}{at}" if scheme != "unix" else parts.netloc
    try:
        options = dict(parse_url(urlunsplit((scheme.partition("+")[0], netloc, path, parts.query, ""))))
    except ValueError as error:
        raise ValueError("An option behind the ? of the Redis URL has a value that can't be used.") from error
    if layout is Layout.CLUSTER and options.pop("db", 0):
        raise ValueError("A Redis cluster has no databases but 0: leave the path out of the URL.")
    return RedisAddress(layout, hosts, service, options)


def _hosts(places: str, default_port: int) -> tuple[Host, ...]:
    hosts: list[Host] = []
    for place in places.split(","):
        try:
            parts = urlsplit(f"//{place}")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(_BAD_HOST) from error
        hosts.append((host or "localhost", port or default_port))
    return tuple(hosts)
