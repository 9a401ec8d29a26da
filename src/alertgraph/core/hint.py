"""Hints between processes: which tenants' logs have grown, and how far. Ids only; any may be lost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from alertgraph.core.ids import TenantId

# Tenants remembered by one buffer, some 20 MB; beyond that the oldest hints are lost, which costs latency only.
TENANT_COUNT_MAX = 65_536
ORIGIN_SIZE = 8

_FORMAT = b"\x01"
_HEADER_SIZE = len(_FORMAT) + ORIGIN_SIZE
_NUMBER_SIZE = 8
_HINT_SIZE = 16 + _NUMBER_SIZE
_NUMBER_END = 1 << 63

Hint = tuple[TenantId, int]


class HintBuffer:
    """Hints that wait: of each tenant the highest number, whoever waits longest first.

    Args:
        tenant_count_max: Where it is full, the hint that waited longest is lost.
    """

    def __init__(self, tenant_count_max: int = TENANT_COUNT_MAX) -> None:
        self._numbers: OrderedDict[TenantId, int] = OrderedDict()
        self._tenant_count_max = tenant_count_max

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, tenant_id: TenantId, number: int) -> None:
        """Remember a hint; a lower number than the one remembered changes nothing."""
        known = self._numbers.get(tenant_id)
        if known is None and len(self._numbers) >= self._tenant_count_max:
            self._numbers.popitem(last=False)
        if known is None or number > known:
            self._numbers[tenant_id] = number

    def take(self, count: int) -> list[Hint]:
        """Remove and return at most that many hints."""
        return [self._numbers.popitem(last=False) for _ in range(min(count, len(self._numbers)))]

    def clear(self) -> None:
        """Forget all hints."""
        self._numbers.clear()


def encode_hints(origin: bytes, hints: Sequence[Hint], size_max: int) -> list[bytes]:
    """Return hints as messages; one that carries none, where there are none: it only says who speaks.

    Args:
        origin: Who speaks, `ORIGIN_SIZE` random bytes, so that a process knows its own voice.
        hints: What to say.
        size_max: Bytes in one message.
    """
    assert len(origin) == ORIGIN_SIZE
    header = _FORMAT + origin
    step = (size_max - _HEADER_SIZE) // _HINT_SIZE
    assert step > 0
    return [
        header
        + b"".join(
            tenant_id.bytes + number.to_bytes(_NUMBER_SIZE, "big")
            for tenant_id, number in hints[start : start + step]
        )
        for start in range(0, max(len(hints), 1), step)
    ]


def decode_hints(message: bytes) -> tuple[bytes, Iterable[Hint]]:
    """Return who speaks, and the hints.

    Raises:
        ValueError: It is no such message; who may write to the channel may write anything.
    """
    if message[:1] != _FORMAT or len(message) < _HEADER_SIZE or (len(message) - _HEADER_SIZE) % _HINT_SIZE:
        raise ValueError("a wake-up that is not ours was received and left out")
    hints: list[Hint] = []
    for start in range(_HEADER_SIZE, len(message), _HINT_SIZE):
        number = int.from_bytes(message[start + 16 : start + _HINT_SIZE], "big")
        if number >= _NUMBER_END:
            raise ValueError("a wake-up with a number out of range was received and left out")
        hints.append((TenantId(UUID(bytes=message[start : start + 16])), number))
    return message[len(_FORMAT) : _HEADER_SIZE], hints


def pause_before(attempt: int, fraction: float, shortest: timedelta, longest: timedelta) -> timedelta:
    """Return how long to wait before trying again: doubling up to a bound, the upper half of it by lot.

    Args:
        attempt: How many tries have failed in a row, from 1.
        fraction: From the dice, 0 to 1: so that processes that failed together don't come back together.
        shortest: The bound of the first pause.
        longest: The bound of all.
    """
    bound = min(longest, shortest * (1 << min(attempt - 1, 30)))
    return bound * (0.5 + fraction / 2)
