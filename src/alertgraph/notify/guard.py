"""Keeps what tenants have us call away from the inside of the network (server-side request forgery).

The judgement is made where the connection is: a name is looked up once, every address of the answer is judged, and
one of those very addresses is connected to. So a name that means another address a moment later gains nothing, and
neither does a redirect, which nobody follows. What is asked when a channel is saved (`check_url`) only tells its
author early.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address

import httpcore2
import httpx2

from alertgraph.core.errors import InputError

# Where services that take messages are found; with private addresses allowed, any port is.
PORTS = frozenset({80, 443, 8080, 8443})
URL_LENGTH_MAX = 2048
LOOKUP_TIMEOUT_SECONDS = 5.0
ADDRESS_COUNT_MAX = 4
CONNECTION_COUNT_MAX = 1000
"""More than are needed for all pages under way: whoever tells the operator past them waits for none."""
IDLE_CONNECTION_COUNT_MAX = 20
IDLE_SECONDS_MAX = 30.0

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What `is_global` calls global, in one release of Python or another, and nobody's public service has.
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible
        "64:ff9b:1::/48",  # NAT64 of one's own
        "100::/64",
        "2001::/23",  # Teredo among others
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
        "ff00::/8",
    )
)
# A last label that the system's resolver takes for a number, such as 2130706433, 0x7f.1 or 017700000001.
_NUMBER_LIKE = re.compile(r"(?:.*\.)?(?:0[xX][0-9a-fA-F]*|[0-9]+)\.?")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_.])?")
_LOCAL = re.compile(r"(?:.*\.)?localhost\.?", re.IGNORECASE)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class BlockedError(httpcore2.ConnectError):
    """The target is not to be called; the message says why and names nothing but the host."""


class Guard:
    """Says which addresses may be called."""

    def __init__(self, *, allow_private: bool = False, resolve: Resolve | None = None) -> None:
        """Set the rule.

        Args:
            allow_private: Lets every address and port pass, for closed networks.
            resolve: Returns all addresses of a host, or raises OSError; the system's resolver where left out.
        """
        self.allow_private = allow_private
        self._resolve = resolve or _look_up

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host, all of them allowed.

        Raises:
            BlockedError: The host, one of its addresses or the port is not allowed.
            OSError: The host has no address.
        """
        if not self.allow_private:
            if port not in PORTS:
                raise BlockedError(f"Port {port} is not allowed, only {', '.join(map(str, sorted(PORTS)))}.")
            if not _is_address(host) and (_NUMBER_LIKE.fullmatch(host) or not _NAME.fullmatch(host)):
                raise BlockedError(f"The host {host} is written in a form that is not allowed.")
            if _LOCAL.fullmatch(host):
                raise BlockedError(f"The host {host} is not allowed.")
        addresses = tuple(dict.fromkeys(await self._resolve(host, port)))
        if not addresses:
            raise OSError(f"{host} has no address")
        # One private address spoils the answer: whoever mixes them wants something.
        if not self.allow_private and not all(map(is_public, addresses)):
            raise BlockedError(f"The host {host} has an address that is private or reserved.")
        return addresses

    async def check_url(self, url: str, *path: str) -> None:
        """Let an address pass that may be posted to, as far as can be told now.

        Raises:
            InputError: It is no http(s) address, is not found, or is not allowed; it has this path.
        """
        host, port = _host_and_port(url, path)
        if self.allow_private:
            return
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_SECONDS):
                await self.addresses(host, port)
        except BlockedError as error:
            hint = "On a closed network the operator allows it by CRITICAL_ALERT_ALLOW_PRIVATE_TARGETS=true."
            raise InputError(f"{error} {hint}", *path) from None
        except (OSError, UnicodeError):
            raise InputError(f"The host {host} is not found.", *path) from None


def is_public(address: str) -> bool:
    """Say whether an IP address, as text, belongs to the public internet."""
    try:
        judged: IPv4Address | IPv6Address = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(judged, IPv6Address):
        if judged.scope_id is not None:
            return False
        inner = judged.ipv4_mapped
        if inner is None and judged in _NAT64:
            # What a network without IPv4 calls every other host.
            inner = IPv4Address(int(judged) & 0xFFFF_FFFF)
        judged = inner or judged
    if any(judged in network for network in _REFUSED if network.version == judged.version):
        return False
    return judged.is_global and not judged.is_multicast and not judged.is_reserved


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    # A zone is the name of one of our own interfaces.
    return "%" not in host


def _host_and_port(url: str, path: Sequence[str]) -> tuple[str, int]:
    if len(url) > URL_LENGTH_MAX:
        raise InputError(f"A URL has at most {URL_LENGTH_MAX:,} characters.", *path)
    try:
        parsed = httpx2.URL(url)
        host = parsed.raw_host.decode("ascii")
    except (httpx2.InvalidURL, UnicodeError, ValueError):
        raise InputError("This is no URL.", *path) from None
    port = parsed.port if parsed.port is not None else 443 if parsed.scheme == "https" else 80
    if not 0 < port < 65_536:
        raise InputError("A port is a number from 1 to 65535.", *path)
    if parsed.scheme not in ("http", "https") or not (_NAME.fullmatch(host) or _is_address(host)):
        raise InputError("A URL begins with https:// or http:// and names a host.", *path)
    if parsed.userinfo:
        raise InputError("User and password don't belong into a URL, but into a header.", *path)
    return host, port


async def _look_up(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to what the guard let pass, and to nothing else."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 # as httpcore has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Return a connection to one of the host's addresses, tried in order."""
        try:
            async with asyncio.timeout(timeout):
                addresses = (await self._guard.addresses(host, port))[:ADDRESS_COUNT_MAX]
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} is not found in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host} is not found") from error
        # An address that swallows everything leaves time for the next one.
        share = None if timeout is None else timeout / len(addresses)
        failure: Exception | None = None
        for address in addresses:
            try:
                # An address is not looked up again; the certificate is still held against the URL's host.
                return await self._plain.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None, "there is an address"
        raise failure

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 # as httpcore has it
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 # as httpcore has it
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 # as httpcore has it
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: behind a socket in the file system is always something private."""
        raise BlockedError("Unix sockets are not allowed.")

    async def sleep(self, seconds: float) -> None:
        """Return after that long."""
        await asyncio.sleep(seconds)


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """Carries requests to where the guard lets them go: no proxies, no retries, HTTP/1.1."""

    def __init__(self, guard: Guard, ssl_context: ssl.SSLContext | None = None) -> None:
        """Build the pool of connections.

        Args:
            guard: The rule.
            ssl_context: Which certificates count; where left out, those that SSL_CERT_FILE or the system names.
        """
        # Not the parent's constructor: it has no way to give the pool another backend.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context or httpx2.create_ssl_context(),
            max_connections=CONNECTION_COUNT_MAX,
            max_keepalive_connections=IDLE_CONNECTION_COUNT_MAX,
            keepalive_expiry=IDLE_SECONDS_MAX,
            http1=True,
            http2=False,
            network_backend=_GuardedBackend(guard),
        )
