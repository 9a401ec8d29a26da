"""Calendar feeds: whose token opens what, and what is told."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import replace

import pytest
from icalendar import Calendar

from alertgraph.core.catalog import Catalog
from alertgraph.core.ids import NodeKind, OverrideId, ResponderId, ScheduleId, TenantId, pack, unpack
from alertgraph.core.responder import Responder
from alertgraph.core.schedule import Rotation, Schedule, ShiftOverride
from alertgraph.services import calendars
from alertgraph.services.calendars import CalendarFeeds
from alertgraph.services.ports import SnapshotSource
from tests.factories import ADA as SOMEBODY
from tests.factories import DAY, HOUR, T0, TENANT, a_config, an_id
from tests.memory_catalog import CatalogSnapshots
from tests.memory_log import MemoryLog
from tests.virtual import VirtualClock

OTHER = TenantId(an_id(2))
ADA = Responder(ResponderId(an_id(30)), "Ada", email="sealed")
BOB = Responder(ResponderId(an_id(31)), "Bob")
DAILY = Schedule(ScheduleId(an_id(40)), "daily", rotations=(Rotation((ADA.id, BOB.id), T0, DAY),))
WEEKLY = Schedule(ScheduleId(an_id(41)), "weekly", rotations=(Rotation((ADA.id,), T0, 7 * DAY),))
STAND_IN = ShiftOverride(OverrideId(an_id(50)), DAILY.id, BOB.id, T0, T0 + HOUR, SOMEBODY)


def sign(claim: bytes) -> bytes:
    return hmac.digest(b"key", claim, hashlib.sha256)


class Feeds:
    """Two tenants with the same people and schedules."""

    def __init__(self) -> None:
        self.clock = VirtualClock(T0 + HOUR / 2)
        self.log = MemoryLog(self.clock, TENANT, OTHER)
        catalog = Catalog(
            responders={ADA.id: ADA, BOB.id: BOB},
            schedules={DAILY.id: DAILY, WEEKLY.id: WEEKLY},
            overrides=(STAND_IN,),
        )
        for rows in self.log.tenants.values():
            rows.config = a_config(catalog=catalog)
        self.snapshots: SnapshotSource = CatalogSnapshots(self.log)  # type: ignore[assignment]  # what feeds read
        self.feeds = CalendarFeeds(self.log, self.snapshots, self.clock, sign, "https://alerts.example.com/")

    def token(self, kind: NodeKind, key: ScheduleId | ResponderId, tenant_id: TenantId = TENANT) -> str:
        """Return the token in a feed's address."""
        url = self.feeds.url(tenant_id, kind, key)
        assert url.startswith("https://alerts.example.com/calendars/")
        return url.removeprefix("https://alerts.example.com/calendars/").removesuffix(".ics")

    async def events(self, token: str) -> list[tuple[str, object, object]]:
        """Return what a feed tells."""
        feed = await self.feeds.read(token)
        assert feed is not None
        return [
            (str(event["SUMMARY"]), event["DTSTART"].dt - T0, event["DTEND"].dt - event["DTSTART"].dt)
            for event in Calendar.from_ical(feed).walk("VEVENT")
        ]


@pytest.fixture
def feeds() -> Feeds:
    return Feeds()


async def test_a_schedules_feed_tells_a_hundred_days_of_everybody(feeds: Feeds) -> None:
    events = await feeds.events(feeds.token(NodeKind.SCHEDULE, DAILY.id))

    assert events[:3] == [
        ("Bob on call: daily", 0 * DAY, HOUR),
        ("Ada on call: daily", HOUR, DAY - HOUR),
        ("Bob on call: daily", DAY, DAY),
    ]
    assert len(events) == 101


async def test_a_persons_feed_tells_their_shifts_on_all_schedules(feeds: Feeds) -> None:
    events = await feeds.events(feeds.token(NodeKind.RESPONDER, ADA.id))

    assert events[:3] == [
        ("Ada on call: weekly", 0 * DAY, 7 * DAY),
        ("Ada on call: daily", HOUR, DAY - HOUR),
        ("Ada on call: daily", 2 * DAY, DAY),
    ]
    assert not [event for event in events if "Bob" in event[0]]


async def test_a_feed_reaches_a_week_back(feeds: Feeds) -> None:
    feeds.clock.advance(30 * DAY)

    events = await feeds.events(feeds.token(NodeKind.SCHEDULE, DAILY.id))

    assert events[0][1] == 23 * DAY
    assert events[-1][1] == 129 * DAY


async def test_a_feed_stays_the_same_for_an_hour(feeds: Feeds) -> None:
    token = feeds.token(NodeKind.SCHEDULE, DAILY.id)
    first = await feeds.feeds.read(token)
    feeds.clock.advance(HOUR / 4)

    assert await feeds.feeds.read(token) == first

    rows = feeds.log.tenants[TENANT]
    rows.config = replace(rows.config, version=9, catalog=replace(rows.config.catalog, overrides=()))
    assert await feeds.feeds.read(token) != first


async def test_a_feed_is_written_once_for_all_who_ask(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = calendars._written, []

    def counted(*arguments: object) -> bytes | None:
        written.append(arguments)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(calendars, "_written", counted)
    token = feeds.token(NodeKind.SCHEDULE, DAILY.id)
    answers = await asyncio.gather(*(feeds.feeds.read(token) for _ in range(5)))
    assert len(set(answers)) == len(written) == 1

    # What does not fit any more is forgotten, the oldest first.
    monkeypatch.setattr(calendars, "KEPT_BYTES_MAX", len(answers[0] or b""))
    await feeds.feeds.read(feeds.token(NodeKind.SCHEDULE, WEEKLY.id))
    await feeds.feeds.read(feeds.token(NodeKind.SCHEDULE, WEEKLY.id))
    assert len(written) == 2
    await feeds.feeds.read(token)
    assert len(written) == 3


async def test_a_feed_tells_nothing_personal(feeds: Feeds) -> None:
    feed = await feeds.feeds.read(feeds.token(NodeKind.RESPONDER, ADA.id))

    assert feed is not None
    assert b"sealed" not in feed
    assert b"mailto" not in feed


async def test_an_address_is_the_same_each_time_and_nobody_elses(feeds: Feeds) -> None:
    tokens = [
        feeds.token(kind, key, tenant)
        for tenant in (TENANT, OTHER)
        for kind, key in (
            (NodeKind.SCHEDULE, DAILY.id),
            (NodeKind.SCHEDULE, WEEKLY.id),
            (NodeKind.RESPONDER, ADA.id),
            (NodeKind.RESPONDER, ResponderId(DAILY.id)),
        )
    ]

    assert len(set(tokens)) == 8
    assert feeds.token(NodeKind.SCHEDULE, DAILY.id) == tokens[0]


async def test_an_installation_without_an_address_tells_the_path(feeds: Feeds) -> None:
    local = CalendarFeeds(feeds.log, feeds.snapshots, feeds.clock, sign, None)

    url = local.url(TENANT, NodeKind.SCHEDULE, DAILY.id)

    assert url == f"/calendars/{feeds.token(NodeKind.SCHEDULE, DAILY.id)}.ics"


async def test_every_changed_bit_spoils_a_token(feeds: Feeds) -> None:
    raw = unpack(feeds.token(NodeKind.SCHEDULE, DAILY.id))
    assert raw is not None

    for index in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[index // 8] ^= 1 << index % 8
        assert await feeds.feeds.read(pack(bytes(changed))) is None
    for token in ("", "x", "ä", pack(raw[:-1]), pack(raw + b"\x00"), pack(bytes(len(raw)))):
        assert await feeds.feeds.read(token) is None


async def test_a_token_of_another_key_opens_nothing(feeds: Feeds) -> None:
    other = CalendarFeeds(
        feeds.log, feeds.snapshots, feeds.clock, lambda claim: hmac.digest(b"other", claim, "sha256"), None
    )
    url = other.url(TENANT, NodeKind.SCHEDULE, DAILY.id)

    assert await feeds.feeds.read(url.removeprefix("/calendars/").removesuffix(".ics")) is None


async def test_a_feed_ends_with_what_it_is_of(feeds: Feeds) -> None:
    tokens = [
        feeds.token(NodeKind.SCHEDULE, DAILY.id),
        feeds.token(NodeKind.RESPONDER, ADA.id),
        feeds.token(NodeKind.SCHEDULE, DAILY.id, TenantId(an_id(3))),
        feeds.token(NodeKind.RESPONDER, ResponderId(DAILY.id)),
    ]
    feeds.log.tenants[TENANT].config = a_config(catalog=Catalog())

    for token in tokens:
        assert await feeds.feeds.read(token) is None
