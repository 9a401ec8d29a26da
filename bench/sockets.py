"""A thousand websockets in one process: raw sockets on epoll, frames counted and no further understood.

Run as a process of its own (`python -m bench.sockets`): it reads one job as JSON, connects, subscribes, waits, has
events made, and prints when the last socket had the last of them. One clock measures both ends.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from bench.load import Target
from bench.machine import cpu_seconds, resident_kib

_TEXT, _CLOSE, _PING = 1, 8, 9
_UNANSWERED_MAX = 200
_FIRST_COUNT = 20
_READ_SIZE = 262_144


@dataclass(frozen=True)
class SocketJob:
    """What to do.

    Attributes:
        server_pid: Whose memory and processor time are looked at.
        authorization: For connection_init; empty for none.
        query: The subscription.
        trigger: A request that makes one event.
        burst: A request that makes `burst_count` events at once.
        event_count: How many single events are timed, one after the other.
    """

    port: int
    server_pid: int
    sockets: int
    authorization: str
    query: str
    trigger: Target
    burst: Target
    burst_count: int
    event_count: int

    def as_json(self) -> str:
        """Return the form that the process reads."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class FannedOut:
    """What came of it.

    Attributes:
        first_ms: From asking for an event to the first socket that has it.
        last_ms: The same to the last socket, for each event.
        burst_seconds: From asking for the burst to the last message of the last socket.
        idle_kib: Memory of the server for each idle, subscribed socket.
        cpu_us: Of the server, for each message of the burst.
        client_share: How much of one core this process used during the burst, 0 to 1.
    """

    first_ms: list[float]
    last_ms: list[float]
    burst_seconds: float
    messages_per_second: float
    message_bytes: int
    idle_kib: float
    cpu_us: float
    connect_seconds: float
    client_share: float


class _Socket:
    __slots__ = ("buffer", "count", "ready", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.count = 0
        self.ready = False


class _Crowd:
    def __init__(self, job: SocketJob) -> None:
        self._job = job
        self._poll = select.epoll()
        self._sockets: dict[int, _Socket] = {}
        self._bytes = 0
        # One for all: a new one for each read would cost more than the read.
        self._room = bytearray(_READ_SIZE)
        init: dict[str, Any] = {"type": "connection_init"}
        if job.authorization:
            init["payload"] = {"authorization": job.authorization}
        subscribe = {"id": "1", "type": "subscribe", "payload": {"query": job.query}}
        self._init, self._subscribe = _frame(init), _frame(subscribe)
        self._pong = _frame({"type": "pong"})

    def run(self) -> FannedOut:
        """Connect, measure, and return what came of it."""
        job = self._job
        control = socket.create_connection(("127.0.0.1", job.port), timeout=30)
        # What the first ones cost, and the first event, is not what each costs.
        self._connect(_FIRST_COUNT)
        self._await_all_following(control)
        before = resident_kib(job.server_pid)
        started = time.perf_counter()
        self._connect(job.sockets - _FIRST_COUNT)
        connected = time.perf_counter() - started
        # One event that is not timed shows that every socket follows.
        self._await_all_following(control)
        idle = (resident_kib(job.server_pid) - before) / (job.sockets - _FIRST_COUNT)
        first_ms: list[float] = []
        last_ms: list[float] = []
        for _ in range(job.event_count):
            first, last = self._timed(control, job.trigger, 1)
            first_ms.append(first * 1000)
            last_ms.append(last * 1000)
            time.sleep(0.05)
        self._bytes = 0
        cpu, own = cpu_seconds(job.server_pid), time.process_time()
        _, last = self._timed(control, job.burst, job.burst_count)
        used, own = cpu_seconds(job.server_pid) - cpu, time.process_time() - own
        messages = job.burst_count * job.sockets
        for each in self._sockets.values():
            each.socket.close()
        control.close()
        return FannedOut(
            first_ms,
            last_ms,
            last,
            messages / last,
            self._bytes // messages,
            idle,
            used * 1e6 / messages,
            connected,
            own / last,
        )

    def _connect(self, count: int) -> None:
        waiting: list[_Socket] = []
        for number in range(count):
            waiting.append(self._connected())
            if len(waiting) == _UNANSWERED_MAX or number == count - 1:
                self._until_ready(waiting)
                waiting.clear()

    def _connected(self) -> _Socket:
        each = _Socket(self._job.port)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /graphql HTTP/1.1",
            f"host: 127.0.0.1:{self._job.port}",
            "upgrade: websocket",
            "connection: Upgrade",
            f"sec-websocket-key: {key}",
            "sec-websocket-version: 13",
            "sec-websocket-protocol: graphql-transport-ws",
        ]
        each.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in each.buffer:
            each.buffer += _some(each.socket)
        if not each.buffer.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(bytes(each.buffer[:200]).decode(errors="replace"))
        del each.buffer[: each.buffer.index(b"\r\n\r\n") + 4]
        each.socket.sendall(self._init)
        each.socket.setblocking(False)
        descriptor = each.socket.fileno()
        self._sockets[descriptor] = each
        self._poll.register(descriptor, select.EPOLLIN)
        return each

    def _until_ready(self, waiting: list[_Socket]) -> None:
        deadline = time.perf_counter() + 60
        while not all(each.ready for each in waiting):
            self._turn(deadline)

    def _await_all_following(self, control: socket.socket) -> None:
        """Have events made until every socket has had one: a subscription is not acknowledged by itself."""
        deadline = time.perf_counter() + 60
        while True:
            for each in self._sockets.values():
                each.count = 0
            _send(control, self._job.trigger)
            until = min(deadline, time.perf_counter() + 3)
            while time.perf_counter() < until and not all(each.count for each in self._sockets.values()):
                self._turn(deadline)
            if all(each.count == 1 for each in self._sockets.values()):
                return

    def _timed(self, control: socket.socket, target: Target, count: int) -> tuple[float, float]:
        """Return when the first socket had its first message and when the last had its last, since the request."""
        for each in self._sockets.values():
            each.count = 0
        left = len(self._sockets)
        begun = time.perf_counter()
        _post(control, target)
        first = 0.0
        deadline = begun + 60
        while left:
            for each in self._turn(deadline):
                first = first or time.perf_counter() - begun
                if each.count == count:
                    left -= 1
                elif each.count > count:
                    raise RuntimeError("a socket had more messages than there were events")
        last = time.perf_counter() - begun
        _answered(control)
        return first, last

    def _turn(self, deadline: float) -> list[_Socket]:
        """Read what has arrived; return the sockets with new events."""
        if time.perf_counter() > deadline:
            raise TimeoutError("not every socket was served in time")
        grown: list[_Socket] = []
        for descriptor, _ in self._poll.poll(0.1):
            each = self._sockets[descriptor]
            try:
                size = each.socket.recv_into(self._room)
            except BlockingIOError:
                continue
            if not size:
                raise ConnectionError("the server closed a socket")
            before = each.count
            room = self._room
            if not each.buffer and room[0] == 0x81 and room[1] == 126 and size == 4 + (room[2] << 8 | room[3]):
                # One whole message, as nearly always.
                self._bytes += size - 4
                self._take(each, bytes(room[4:size]))
            else:
                each.buffer += memoryview(room)[:size]
                self._read_frames(each)
            if each.count != before:
                grown.append(each)
        return grown

    def _read_frames(self, each: _Socket) -> None:
        buffer, at, size = each.buffer, 0, len(each.buffer)
        while size - at >= 2:
            length, start = buffer[at + 1] & 127, at + 2
            if length == 126:
                if size - at < 4:
                    break
                (length,), start = struct.unpack_from(">H", buffer, at + 2), at + 4
            elif length == 127:
                if size - at < 10:
                    break
                (length,), start = struct.unpack_from(">Q", buffer, at + 2), at + 10
            if size - start < length:
                break
            opcode = buffer[at] & 15
            if opcode == _TEXT:
                self._take(each, bytes(buffer[start : start + length]))
            elif opcode == _PING:
                each.socket.send(
                    b"\x8a" + bytes([0x80 | length]) + bytes(4) + bytes(buffer[start : start + length])
                )
            elif opcode == _CLOSE:
                raise ConnectionError(bytes(buffer[start : start + length]).decode(errors="replace"))
            self._bytes += length
            at = start + length
        del buffer[:at]

    def _take(self, each: _Socket, message: bytes) -> None:
        if b'"next"' in message[:60] or b'"next"' in message[-30:]:
            if b'"errors"' in message:
                raise RuntimeError(message[:400].decode())
            each.count += 1
        elif b"connection_ack" in message:
            each.socket.send(self._subscribe)
            each.ready = True
        elif b'"ping"' in message:
            each.socket.send(self._pong)
        else:
            raise RuntimeError(message[:400].decode())


def _frame(message: dict[str, Any]) -> bytes:
    """Return a masked text frame; with a mask of zeros the text stands as it is."""
    raw = json.dumps(message, separators=(",", ":")).encode()
    head = (
        struct.pack(">BB", 0x81, 0x80 | len(raw)) if len(raw) < 126 else struct.pack(">BBH", 0x81, 0xFE, len(raw))
    )
    return head + bytes(4) + raw


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("the server closed a socket")
    return data


_numbers = itertools.count()


def _post(control: socket.socket, target: Target) -> None:
    body = target.body.encode()
    if target.numbers:
        body %= tuple(itertools.islice(_numbers, target.numbers))
    lines = [f"{target.method} {target.path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += ["content-type: application/json", *(f"{name}: {value}" for name, value in target.headers.items())]
    control.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)


def _answered(control: socket.socket) -> None:
    data = bytearray()
    while b"\r\n\r\n" not in data:
        data += _some(control)
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    if head[9:10] != b"2":
        raise RuntimeError(bytes(data[:400]).decode(errors="replace"))
    length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0])
    while len(rest) < length:
        rest += _some(control)


def _send(control: socket.socket, target: Target) -> None:
    _post(control, target)
    _answered(control)


def main() -> None:
    """Carry out the job on standard input."""
    raw = json.load(sys.stdin)
    job = SocketJob(**{**raw, "trigger": Target(**raw["trigger"]), "burst": Target(**raw["burst"])})
    print(json.dumps(asdict(_Crowd(job).run())))


if __name__ == "__main__":
    main()
