"""A provider on loopback: a real HTTP server that answers well, badly, slowly or not at all."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# However a test ends, nothing of the server outlives this.
LIFETIME_S = 60.0


@dataclass(frozen=True)
class Received:
    """One request; names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    from_port: int

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of_json(cls, status: int, content: object, **headers: str) -> Reply:
        return cls(status, {"Content-Type": "application/json", **headers}, orjson.dumps(content))


Play = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def answers(status: int = 200, body: bytes = b"", **headers: str) -> Play:
    """Answer with a status; an underscore in a header's name stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def play(_: Received, writer: asyncio.StreamWriter) -> None:
        await _write(writer, Reply(status, named, body))

    return play


def checks(judge: Callable[[Received], Reply]) -> Play:
    """Answer what a judge says of the request: a provider that knows its own documentation."""

    async def play(received: Received, writer: asyncio.StreamWriter) -> None:
        await _write(writer, judge(received))

    return play


async def hangs(_: Received, writer: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await asyncio.sleep(LIFETIME_S)


async def resets(_: Received, writer: asyncio.StreamWriter) -> None:
    """Reset the connection in the place of an answer."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def closes(_: Received, writer: asyncio.StreamWriter) -> None:
    """Close the connection politely, without an answer."""
    writer.close()


async def babbles(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with something that is no HTTP."""
    writer.write(b"220 mail.example.com ESMTP\r\n")
    await writer.drain()
    writer.close()


def drips(head: bytes = b"HTTP/1.1 200 OK\r\nX-Slow: ", every_s: float = 0.02) -> Play:
    """Send a head's first bytes at once, then a byte now and then, without an end."""

    async def play(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(every_s)

    return play


def giant(status: int = 200, size: int = 1 << 30) -> Play:
    """Answer with a body that nobody should read to its end."""

    async def play(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(_head(Reply(status), size))
        chunk = b"x" * 65_536
        for _index in range(size // len(chunk)):
            writer.write(chunk)
            await writer.drain()

    return play


class Provider:
    """The server. Each request takes the next play; the last one is repeated."""

    def __init__(self, *plays: Play, tls: ssl.SSLContext | None = None) -> None:
        self.plays = list(plays) or [answers()]
        self.received: list[Received] = []
        self.connection_count = 0
        self._tls = tls
        self._arrived = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Its address; with TLS by the name in its certificate."""
        return f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> Received:
        return self.received[-1]

    async def wait_for(self, count: int) -> None:
        """Return once that many requests have arrived."""
        async with self._arrived, asyncio.timeout(LIFETIME_S):
            await self._arrived.wait_for(lambda: len(self.received) >= count)

    async def __aenter__(self) -> Provider:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connection_count += 1
        try:
            async with asyncio.timeout(LIFETIME_S):
                while (received := await _read(reader, writer)) is not None:
                    async with self._arrived:
                        self.received.append(received)
                        self._arrived.notify_all()
                    play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
                    await play(received, writer)
                    if writer.is_closing():
                        return
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    request, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = request.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body, writer.get_extra_info("peername")[1])


def _head(reply: Reply, length: int) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unheard of"
    lines = [f"HTTP/1.1 {reply.status} {phrase}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(_head(reply, len(reply.body)) + reply.body)
    with suppress(OSError):
        await writer.drain()


@asynccontextmanager
async def provider(*plays: Play) -> AsyncIterator[Provider]:
    """Run a provider for the length of the context."""
    async with Provider(*plays) as running:
        yield running


def certificate(directory: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server shows that has these names, and what a client needs to believe it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [*map(x509.DNSName, names), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "provider.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
