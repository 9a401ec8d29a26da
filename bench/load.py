"""A load generator: raw sockets on epoll, requests built beforehand, answers read no further than they must be.

It runs as a process of its own (`python -m bench.load`), reads one job as JSON and prints one result as JSON. It
imports nothing of alertgraph, and no HTTP client: what it takes from the two cores is told in its result.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

NUMBER = b"%010d"
"""Stands in a body where each request has a number of its own; as wide as the number itself."""

DRAIN_SECONDS = 30.0
_STRIDE = 1_000_000


@dataclass(frozen=True)
class Target:
    """One request to be sent again and again.

    Attributes:
        path: With its query string.
        body: Text in which each `%010d` becomes a number; holds no other per cent sign.
        numbers: How many there are of those.
        headers: Beside host and length.
    """

    path: str
    body: str = ""
    numbers: int = 0
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """What to send, and how.

    Attributes:
        port: On 127.0.0.1.
        connections: Kept alive throughout.
        targets: Each connection sends them in turn, beginning at another one.
        seconds: No request is begun later than this.
        count_max: No more requests than this.
        rate: Requests a second, sent when they are due whether or not others are answered; None for a closed
            loop, in which each connection sends as soon as it has its answer.
        modulo: Numbers go round below this, so that requests repeat; None for ever new ones.
        expect: Text that the answer to each request must hold.
        warm_up: Requests on each connection before the clock starts.
    """

    port: int
    connections: int
    targets: list[Target]
    seconds: float
    count_max: int = 1_000_000
    rate: float | None = None
    modulo: int | None = None
    expect: str = ""
    warm_up: int = 1

    def as_json(self) -> str:
        """Return the form that the process reads."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Load:
    """What came of a job.

    Attributes:
        count: Requests answered as expected.
        failed: Those answered otherwise; `sample` is the first such answer.
        seconds: From the first request to the last answer.
        p50_ms: From sending (or, with a rate, from when it was due) to the last byte of the answer.
        client_cpu_s: What this process itself used.
    """

    count: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    answer_bytes: int
    client_cpu_s: float
    sample: str

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.count / self.seconds if self.seconds else 0.0


class _Connection:
    __slots__ = ("begun", "buffer", "index", "need", "out", "sent_count", "socket")

    def __init__(self, port: int, index: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.index = index
        self.buffer = bytearray()
        self.need = 0
        self.out = memoryview(b"")
        self.begun = 0.0
        self.sent_count = 0


class _Requests:
    """Makes the bytes of each request from its parts."""

    def __init__(self, job: Job) -> None:
        self._modulo = job.modulo
        self._parts: list[tuple[bytes, int]] = []
        for target in job.targets:
            body = target.body.encode()
            length = len(body) + target.numbers * (10 - len(NUMBER))
            lines = [f"{target.method} {target.path} HTTP/1.1", "host: 127.0.0.1"]
            lines += [f"{name}: {value}" for name, value in target.headers.items()]
            if body:
                lines += ["content-type: application/json", f"content-length: {length}"]
            head = ("\r\n".join(lines) + "\r\n\r\n").encode()
            # A per cent sign in a path or a header is none of ours.
            self._parts.append(
                (head.replace(b"%", b"%%") + body if target.numbers else head + body, target.numbers)
            )

    def make(self, connection: _Connection) -> bytes:
        """Return the next request of a connection."""
        template, numbers = self._parts[(connection.index + connection.sent_count) % len(self._parts)]
        first = connection.index * _STRIDE + connection.sent_count * max(1, numbers)
        connection.sent_count += 1
        if not numbers:
            return template
        if self._modulo is not None:
            return template % tuple((first + n) % self._modulo for n in range(numbers))
        return template % tuple(range(first, first + numbers))


class _Generator:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._requests = _Requests(job)
        self._expect = job.expect.encode()
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._latencies: list[float] = []
        self._failed = 0
        self._bytes = 0
        self._sample = ""
        for index in range(job.connections):
            connection = _Connection(job.port, index)
            self._connections[connection.socket.fileno()] = connection
            self._poll.register(connection.socket.fileno(), select.EPOLLIN)

    def run(self) -> Load:
        """Send everything and return what came of it."""
        for _ in range(self._job.warm_up):
            self._warm_up()
        if self._failed:
            return self._result(0.0, 0.0)
        self._latencies.clear()
        self._bytes = 0
        cpu = _cpu_seconds()
        started = time.perf_counter()
        if self._job.rate is None:
            self._closed_loop(started)
        else:
            self._paced(started, self._job.rate)
        seconds = time.perf_counter() - started
        return self._result(seconds, _cpu_seconds() - cpu)

    def _warm_up(self) -> None:
        waiting = 0
        for connection in self._connections.values():
            self._send(connection, time.perf_counter())
            waiting += 1
        deadline = time.perf_counter() + DRAIN_SECONDS
        while waiting:
            waiting -= len(self._answered(deadline))

    def _closed_loop(self, started: float) -> None:
        until = started + self._job.seconds
        deadline = until + DRAIN_SECONDS
        left = self._job.count_max
        waiting = 0
        for connection in self._connections.values():
            if left > 0:
                self._send(connection, time.perf_counter())
                left -= 1
                waiting += 1
        while waiting:
            for connection in self._answered(deadline):
                now = time.perf_counter()
                if left > 0 and now < until:
                    self._send(connection, now)
                    left -= 1
                else:
                    waiting -= 1

    def _paced(self, started: float, rate: float) -> None:
        idle = deque(self._connections.values())
        total = min(self._job.count_max, int(self._job.seconds * rate))
        deadline = started + self._job.seconds + DRAIN_SECONDS
        sent = answered = 0
        while answered < total:
            now = time.perf_counter()
            while sent < total and idle and started + sent / rate <= now:
                # Counted from when it was due: a server that falls behind does not thin out what it is asked.
                self._send(idle.popleft(), started + sent / rate)
                sent += 1
            pause = started + sent / rate - now if sent < total and idle else 0.05
            done = self._answered(deadline, max(0.0, pause))
            answered += len(done)
            idle.extend(done)

    def _send(self, connection: _Connection, begun: float) -> None:
        connection.begun = begun
        connection.out = memoryview(self._requests.make(connection))
        self._push(connection)

    def _push(self, connection: _Connection) -> None:
        descriptor = connection.socket.fileno()
        try:
            sent = connection.socket.send(connection.out)
        except BlockingIOError:
            sent = 0
        connection.out = connection.out[sent:]
        if connection.out:
            self._poll.modify(descriptor, select.EPOLLIN | select.EPOLLOUT)

    def _answered(self, deadline: float, patience: float = 1.0) -> list[_Connection]:
        """Return the connections whose answer is complete."""
        done: list[_Connection] = []
        if time.perf_counter() > deadline:
            raise TimeoutError("the server did not answer in time")
        for descriptor, mask in self._poll.poll(patience):
            connection = self._connections[descriptor]
            if mask & select.EPOLLOUT:
                self._push(connection)
                if not connection.out:
                    self._poll.modify(descriptor, select.EPOLLIN)
            if mask & ~select.EPOLLOUT and self._read(connection):
                done.append(connection)
        return done

    def _read(self, connection: _Connection) -> bool:
        try:
            data = connection.socket.recv(262_144)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionError("the server closed a connection")
        buffer = connection.buffer
        buffer += data
        if not connection.need:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = bytes(buffer[:end]).lower()
            at = head.find(b"\r\ncontent-length:")
            if at < 0:
                raise ValueError("an answer without a length")
            connection.need = end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])
        if len(buffer) < connection.need:
            return False
        self._latencies.append(time.perf_counter() - connection.begun)
        self._bytes += connection.need
        if buffer[9:10] != b"2" or (self._expect and self._expect not in buffer):
            self._failed += 1
            self._sample = self._sample or bytes(buffer[:600]).decode(errors="replace")
        del buffer[: connection.need]
        connection.need = 0
        return True

    def _result(self, seconds: float, cpu: float) -> Load:
        ordered = sorted(self._latencies)
        return Load(
            count=len(ordered) - self._failed,
            failed=self._failed,
            seconds=seconds,
            p50_ms=percentile(ordered, 0.5),
            p99_ms=percentile(ordered, 0.99),
            max_ms=percentile(ordered, 1.0),
            answer_bytes=self._bytes // max(1, len(ordered)),
            client_cpu_s=cpu,
            sample=self._sample,
        )


def percentile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank percentile in milliseconds; 0 where there is nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _job_of(raw: dict[str, Any]) -> Job:
    return Job(**{**raw, "targets": [Target(**target) for target in raw["targets"]]})


def main() -> None:
    """Carry out the job on standard input."""
    print(json.dumps(asdict(_Generator(_job_of(json.load(sys.stdin))).run())))


if __name__ == "__main__":
    main()
