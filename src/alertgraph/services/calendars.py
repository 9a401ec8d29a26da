"""Calendar feeds: who is on call when, for calendars that can't sign in.

A feed's address holds a token that says whose feed it is and that we made it. Nothing is kept of it, it is good
for nothing else, and it ends with the person or schedule it is of.
"""

from __future__ import annotations

import asyncio
import hmac
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from alertgraph.core.calendar import CalendarShift, write_calendar
from alertgraph.core.catalog import Catalog
from alertgraph.core.ids import NodeKind, ResponderId, ScheduleId, TenantId, pack, unpack
from alertgraph.core.schedule import Schedule, Shift, ShiftOverride, shifts
from alertgraph.services.ports import Clock, SnapshotSource, TenantLog
from alertgraph.services.schedules import shifts_of, span_of_overrides

PATH = "/calendars"
AHEAD = timedelta(days=100)
BEHIND = timedelta(days=7)
KEPT_BYTES_MAX = 16 << 20
# What the signature covers besides, so that it is none of anything else signed with the same key.
_DOMAIN = b"alertgraph calendar feed 1\x00"
_CLAIM = struct.Struct(">B16s16s")
_CODES = {NodeKind.RESPONDER: 1, NodeKind.SCHEDULE: 2}
_KINDS = {code: kind for kind, code in _CODES.items()}
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Claim:
    """Whose feed it is."""

    kind: NodeKind
    tenant_id: TenantId
    key: UUID


# A feed as of a version of the configuration and an hour.
_Key: TypeAlias = tuple[_Claim, int, datetime]


class CalendarFeeds:
    """Gives feeds their addresses, and writes them.

    Args:
        log: Where the tenant's configuration is read.
        snapshots: Where it is read who stood in.
        clock: What the days told of are counted from.
        sign: A keyed hash of at least 16 bytes that only this installation can make.
        public_url: Where the service is reached; None for addresses without a host.
    """

    def __init__(
        self,
        log: TenantLog,
        snapshots: SnapshotSource,
        clock: Clock,
        sign: Callable[[bytes], bytes],
        public_url: str | None,
    ) -> None:
        self._log = log
        self._snapshots = snapshots
        self._clock = clock
        self._sign = sign
        self._public_url = (public_url or "").rstrip("/")
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._turn = asyncio.Lock()

    def url(self, tenant_id: TenantId, kind: NodeKind, key: UUID) -> str:
        """Return the address of a responder's or a schedule's feed, the same at all times."""
        claim = _CLAIM.pack(_CODES[kind], tenant_id.bytes, key.bytes)
        return f"{self._public_url}{PATH}/{pack(claim + self._signature(claim))}.ics"

    async def read(self, token: str) -> bytes | None:
        """Return the feed that a token is of, as iCalendar; None where it is of none that there is.

        Raises:
            DependencyError: The store is away.
        """
        claim = self._claim(token)
        config = await self._log.config(claim.tenant_id) if claim is not None else None
        if claim is None or config is None:
            return None
        # The same text for an hour, unless somebody changes what is set up.
        made_at = self._clock.now().replace(minute=0, second=0, microsecond=0)
        key = (claim, config.version, made_at)
        if (kept := self._used(key)) is not None:
            return kept
        since, until = made_at - BEHIND, made_at + AHEAD
        async with self._snapshots.snapshot(claim.tenant_id) as snapshot:
            overrides = await snapshot.overrides(
                *span_of_overrides(config.catalog.schedules.values(), since, until)
            )
        # Thousands of shifts take seconds to write: once for all who ask, one after the other, and in a thread, so
        # that whatever else is asked is answered meanwhile.
        async with self._turn:
            if (kept := self._used(key)) is not None:
                return kept
            feed = await asyncio.to_thread(_written, config.catalog, overrides, claim, made_at)
            if feed is not None:
                self._keep(key, feed)
        return feed

    def _used(self, key: _Key) -> bytes | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: _Key, feed: bytes) -> None:
        self._kept[key] = feed
        while sum(map(len, self._kept.values())) > KEPT_BYTES_MAX:
            self._kept.popitem(last=False)

    def _claim(self, token: str) -> _Claim | None:
        raw = unpack(token) if token.isascii() else None
        if raw is None or len(raw) != _CLAIM.size + _SIGNATURE_BYTES:
            return None
        signed, signature = raw[: _CLAIM.size], raw[_CLAIM.size :]
        if not hmac.compare_digest(signature, self._signature(signed)):
            return None
        code, tenant, key = _CLAIM.unpack(signed)
        kind = _KINDS.get(code)
        return _Claim(kind, TenantId(UUID(bytes=tenant)), UUID(bytes=key)) if kind is not None else None

    def _signature(self, claim: bytes) -> bytes:
        return self._sign(_DOMAIN + claim)[:_SIGNATURE_BYTES]


def _written(catalog: Catalog, overrides: Sequence[ShiftOverride], claim: _Claim, at: datetime) -> bytes | None:
    since, until = at - BEHIND, at + AHEAD
    if claim.kind is NodeKind.SCHEDULE:
        schedule = catalog.schedules.get(ScheduleId(claim.key))
        if schedule is None:
            return None
        found = [(schedule, shift) for shift in shifts(schedule, overrides, since, until)]
        return write_calendar(schedule.name, _entries(catalog, found), at)
    responder = catalog.responders.get(ResponderId(claim.key))
    if responder is None:
        return None
    found = shifts_of(catalog.schedules.values(), overrides, responder.id, since, until)
    return write_calendar(responder.name, _entries(catalog, found), at)


def _entries(catalog: Catalog, found: Iterable[tuple[Schedule, Shift]]) -> Iterator[CalendarShift]:
    for schedule, shift in found:
        responder = catalog.responders.get(shift.responder_id)
        if responder is not None:
            yield CalendarShift(schedule.id, schedule.name, responder.name, shift)
