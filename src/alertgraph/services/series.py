"""Watches series of metrics for anomalies.

Points of series come out of a feed in batches. Each batch is scored, what follows is told, and only then noted as
taken; what it taught is saved later, group by group, and until then the batch stays. So a process may end at any
moment: whoever comes after reads the batches since each group was saved once more, says nothing about those that
were taken, and stands exactly where the other one stood.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson

from alertgraph.core.action import Clear, Fire
from alertgraph.core.anomaly import (
    LEVEL_FLOOR,
    AnomalyEvent,
    AnomalyRule,
    AnomalyTarget,
    Judged,
    Phase,
    PointVerdict,
    Turn,
    event_json,
    event_of,
    fall_silent,
    follow,
    series_draft,
)
from alertgraph.core.errors import DependencyError
from alertgraph.core.event import StoredEvent
from alertgraph.core.ids import EPOCH, AnomalyRuleId, TenantId
from alertgraph.core.points import Increases, Series, unpack_points
from alertgraph.services.anomalies import AnomalyTeller, is_about_rules
from alertgraph.services.following import Reading, StateMismatch
from alertgraph.services.ports import (
    AnomalyObserver,
    Clock,
    FeedPlace,
    PointBatch,
    PointBuffer,
    SeriesShard,
    SeriesShards,
    SeriesState,
)

WITHOUT_NUMPY: Final = (
    "metrics are not watched, since numpy is not installed where the learning process runs: "
    "pip install 'alertgraph[ml]' brings it."
)
BATCH_COUNT: Final = 64
"""Batches read at once."""
TURN_POINT_COUNT: Final = 100_000
"""Points taken in one turn; what is left waits for the next, so that other readings have theirs."""
SAVE_EVERY: Final = timedelta(minutes=5)
SAVE_COUNT: Final = 2
"""Groups saved in one turn, where nothing presses."""
RETAINED_SIZE_MAX: Final = 64 * 1024 * 1024
"""Bytes of batches that wait for what they taught to be saved; more are not needed to save it all now."""
WAITING_AGE_MAX: Final = timedelta(milliseconds=500)
CLEAN_EVERY: Final = timedelta(minutes=10)
# How long a series may be silent before it is forgotten: where there is room, and where there is none.
SILENT_MAX: Final = timedelta(days=35)
SILENT_MAX_FULL: Final = timedelta(days=1)

T = TypeVar("T")


@dataclass(slots=True)
class _Group:
    """Some of a tenant's series, saved together.

    Attributes:
        last_at: By series, its newest point.
        events: By series and rule.
        number: The last batch that it knows.
        saved_number: The last batch that what is saved knows.
    """

    shard: int
    bank: SeriesShard
    last_at: dict[str, int] = field(default_factory=dict)
    events: dict[str, dict[AnomalyRuleId, AnomalyEvent]] = field(default_factory=dict)
    increases: Increases = field(default_factory=Increases)
    number: int = 0
    saved_number: int = 0
    saved_at: datetime = EPOCH
    is_changed: bool = False

    def packed(self) -> bytes:
        """Return all that is needed to go on from here."""
        head = orjson.dumps(
            {
                "v": 1,
                "last": self.last_at,
                "counters": self.increases.told(),
                "events": {
                    text: {str(rule_id): event_json(event) for rule_id, event in events.items()}
                    for text, events in self.events.items()
                },
            }
        )
        return b"".join((len(head).to_bytes(8, "big"), head, self.bank.state()))


@dataclass(slots=True)
class _Column:
    """Points of one group, in columns, each with its batch."""

    texts: list[str] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    batches: list[PointBatch] = field(default_factory=list)


class WaitingFeeds:
    """Whose points wait, asked for once for all tenants of a process."""

    def __init__(self, buffer: PointBuffer, clock: Clock) -> None:
        self._buffer = buffer
        self._clock = clock
        self._found: Mapping[TenantId, bool] = {}
        self._found_at = EPOCH
        self._lock = asyncio.Lock()

    async def of(self, tenant_id: TenantId) -> bool | None:
        """Say whether points of a tenant wait, as of half a second ago at most; None where it never sent any."""
        async with self._lock:
            if not timedelta(0) <= self._clock.now() - self._found_at < WAITING_AGE_MAX:
                self._found = await self._buffer.waiting()
                self._found_at = self._clock.now()
        return self._found.get(tenant_id)


class SeriesBudget:
    """How many series this process watches, of all tenants: what bounds its memory."""

    def __init__(self, series_max: int) -> None:
        self._series_max = series_max
        self.count = 0

    def share(self, owner: object) -> SeriesShare:
        """Return the part of one tenant's watch; where the watch is dropped, its places are free."""
        share = SeriesShare(self)
        weakref.finalize(owner, share.change, None)
        return share

    @property
    def is_spent(self) -> bool:
        """Whether there is no place left."""
        return self.count >= self._series_max


class SeriesShare:
    """Places that one watch has taken."""

    def __init__(self, budget: SeriesBudget) -> None:
        self._budget = budget
        self._count = 0

    def take(self) -> bool:
        """Take a place; False where there is none."""
        if self._budget.is_spent:
            return False
        self.change(1)
        return True

    def change(self, by: int | None) -> None:
        """Take or give back places, whether there are any or not; all are given back where none are named."""
        by = -self._count if by is None else by
        self._count += by
        self._budget.count += by


@dataclass(frozen=True, slots=True)
class Watching:
    """What watching series needs of the process.

    Attributes:
        shards: Makes groups of series; None where what scores is not installed.
        executor: Where points are scored: one thread, so that watching takes one core at most.
        series_max: Of one tenant.
    """

    buffer: PointBuffer
    shards: SeriesShards | None
    teller: AnomalyTeller
    observer: AnomalyObserver
    clock: Clock
    executor: Executor
    waiting: WaitingFeeds
    budget: SeriesBudget
    series_max: int


class SeriesReader:
    """Watches the series of every tenant. Fulfils `services.following.Reader`."""

    name = "series"

    def __init__(self, watching: Watching) -> None:
        self._watching = watching

    async def open(self, tenant_id: TenantId, state: bytes | None, now: datetime) -> Reading:  # noqa: ARG002
        """Return a tenant's watch; what is known of its series is kept by itself, group by group."""
        return await SeriesWatch.opened(self._watching, tenant_id, now)


class SeriesWatch:
    """The watch over one tenant's series. Fulfils `services.following.Reading`."""

    def __init__(self, watching: Watching, tenant_id: TenantId) -> None:
        self._watching = watching
        self._tenant_id = tenant_id
        self._share = watching.budget.share(self)
        self._groups: list[_Group] = []
        self._group_of: dict[str, _Group] = {}
        self._place: FeedPlace | None = None
        self._number = 0
        self._rules: Mapping[AnomalyRuleId, AnomalyRule] | None = None
        self._rules_of: dict[str, tuple[AnomalyRule, ...]] = {}
        self._series: dict[str, Series] = {}
        # Batches that were taken and whose teachings are not all saved: number and size, in order.
        self._retained: deque[tuple[int, int]] = deque()
        self._cleaned_at = EPOCH
        self._is_reconciled = False

    @classmethod
    async def opened(cls, watching: Watching, tenant_id: TenantId, now: datetime) -> SeriesWatch:
        """Return the watch as it was saved; batches since are read by its first turns."""
        watch = cls(watching, tenant_id)
        watch._cleaned_at = now
        states = await watching.buffer.states(tenant_id) if watching.shards is not None else ()
        if states:
            await watch._find_place()
            for state in states:
                await watch._load(state, now)
            watch._number = min((group.number for group in watch._groups), default=0)
        return watch

    @property
    def series_count(self) -> int:
        """How many series are known."""
        return len(self._group_of)

    @property
    def memory_bytes(self) -> int:
        """How much what is known of them takes up, as far as it grows with them."""
        return sum(group.bank.memory_bytes for group in self._groups)

    async def take(self, events: Sequence[StoredEvent]) -> None:
        """Notice that rules have changed; of alerts themselves nothing is learnt here."""
        if is_about_rules(events):
            self._rules = None

    async def tick(self, now: datetime) -> None:
        """Take the points that wait, end what is over, and save what is due."""
        waits = await self._watching.waiting.of(self._tenant_id)
        if self._place is None and waits is None:
            return
        place = self._place or await self._find_place()
        if self._watching.shards is None:
            return
        await self._learn_rules(now)
        if waits or self._number < place.taken:
            await self._take_waiting()
        await self._end_silent(now)
        if not self._is_reconciled and self._number >= self._known_place.taken:
            await self._reconcile(now)
        await self._clean(now)
        await self._save_due(now)

    def state(self) -> bytes:
        """Return nothing: groups of series are saved one by one, past the log's own pace."""
        return b""

    # ------------------------------------------------------------------------------------ state

    @property
    def _known_place(self) -> FeedPlace:
        assert self._place is not None, "it was found"
        return self._place

    async def _find_place(self) -> FeedPlace:
        why_not = WITHOUT_NUMPY if self._watching.shards is None else None
        self._place = await self._watching.buffer.place(self._tenant_id, why_not)
        return self._place

    async def _load(self, state: SeriesState, now: datetime) -> None:
        shards = self._watching.shards
        assert shards is not None, "else nothing is loaded"
        start = 8 + int.from_bytes(state.content[:8], "big")
        try:
            head: dict[str, Any] = orjson.loads(state.content[8:start])
            if head["v"] != 1:
                raise StateMismatch(f"what is known of series is of version {head['v']}, not 1")
            bank = await self._apart(lambda: shards.load(state.content[start:]))
            counters = {text: (at, value) for text, (at, value) in head["counters"].items()}
            group = _Group(
                state.shard,
                bank,
                head["last"],
                {
                    text: {AnomalyRuleId(UUID(rule)): event_of(event) for rule, event in events.items()}
                    for text, events in head["events"].items()
                },
                Increases(counters),
                # Of another feed it knows nothing: that one was lost.
                number=state.number if state.feed_id == self._known_place.feed_id else 0,
                saved_at=now,
            )
        except (ValueError, KeyError, TypeError, StateMismatch) as error:
            # These series begin anew, without alarms while they warm up.
            self._watching.observer.failed("series", error)
            return
        group.saved_number = group.number
        self._share.change(len(group.last_at))
        self._groups.append(group)
        self._group_of.update(dict.fromkeys(group.last_at, group))

    async def _save_due(self, now: datetime) -> None:
        """Save what is due, the longest unsaved first: little in one turn, unless too many batches wait for it."""
        changed = sorted((group for group in self._groups if group.is_changed), key=lambda one: one.saved_number)
        retained = sum(size for _, size in self._retained)
        if retained <= RETAINED_SIZE_MAX:
            is_pressed = retained > RETAINED_SIZE_MAX // 2
            due = [one for one in changed if is_pressed or not timedelta(0) <= now - one.saved_at < SAVE_EVERY]
            changed = due[:SAVE_COUNT]
        if changed:
            await self._save(changed, now)

    async def _save(self, groups: Sequence[_Group], now: datetime) -> None:
        place = self._known_place
        for group in groups:
            content = await self._apart(group.packed)
            await self._watching.buffer.save(
                self._tenant_id, SeriesState(group.shard, place.feed_id, self._number, content)
            )
            group.saved_number = self._number
            group.saved_at = now
            group.is_changed = False
        # What has not changed since it was saved knows all there was about it.
        number = min((group.saved_number for group in self._groups if group.is_changed), default=self._number)
        await self._watching.buffer.drop(self._tenant_id, place.feed_id, number)
        while self._retained and self._retained[0][0] <= number:
            self._retained.popleft()

    async def _apart(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._watching.executor, work)

    # ----------------------------------------------------------------------------------- points

    async def _take_waiting(self) -> None:
        """Take batches until none waits, or one turn's worth is taken."""
        count = 0
        while count < TURN_POINT_COUNT:
            place = self._known_place
            batches = await self._watching.buffer.batches(
                self._tenant_id, place.feed_id, self._number, BATCH_COUNT
            )
            if not batches:
                await self._find_place()
                if self._known_place.feed_id != place.feed_id:
                    raise DependencyError("series", retryable=True, message="The feed of points was lost.")
                # What was taken and dropped is known.
                self._number = max(self._number, self._known_place.taken)
                return
            count += await self._take_batches(batches)
            if len(batches) < BATCH_COUNT:
                return

    async def _take_batches(self, batches: Sequence[PointBatch]) -> int:
        """Score some batches, tell what follows, and note them as taken; return how many points they have."""
        place, last = self._known_place, batches[-1].number
        counts = dict.fromkeys(("scored", "warming", "invalid", "duplicate", "late", "counter", "beyond"), 0)
        columns: dict[int, tuple[_Group, _Column]] = {}
        for batch in batches:
            self._sort(batch, columns, counts)
        fires: list[Fire] = []
        clears: list[Clear] = []
        for group, column in columns.values():
            followed = frozenset(group.events)
            scored: Judged = await self._apart(_observing(group, column, followed))
            for status, number in zip(counts, scored.counts, strict=False):
                counts[status] += number
            for index, verdict in scored.verdicts:
                self._follow(group, column.texts[index], verdict, column.batches[index], fires, clears)
            group.is_changed = True
        if fires or clears:
            await self._watching.teller.tell(self._tenant_id, fires, clears)
        if last > place.taken:
            if not await self._watching.buffer.took(self._tenant_id, place.feed_id, place.taken, last):
                raise DependencyError("series", retryable=True, message="Another process has taken these points.")
            self._place = FeedPlace(place.feed_id, last)
        self._number = last
        for group in self._groups:
            group.number = max(group.number, last)
        self._retained += [(batch.number, len(batch.content)) for batch in batches]
        waited = self._watching.clock.now() - batches[0].received_at
        self._watching.observer.points_taken(counts, waited.total_seconds())
        return sum(counts.values())

    def _sort(self, batch: PointBatch, columns: dict[int, tuple[_Group, _Column]], counts: dict[str, int]) -> None:
        """Put a batch's points with their groups; those that a group knows already are left out."""
        try:
            points = unpack_points(batch.content)
        except ValueError as error:
            # Of another release: these points are lost, and the next ones are not.
            self._watching.observer.failed("points", error)
            return
        found: list[tuple[_Group, _Column] | None] = []
        counters: set[int] = set()
        for index, text in enumerate(points.texts):
            group = self._group_of.get(text) or self._admit(text, batch.number)
            if group is None or batch.number <= group.number:
                counts["beyond"] += group is None
                found.append(None)
                continue
            if self._series_of(text).is_counter:
                counters.add(index)
            pair = columns.get(group.shard)
            if pair is None:
                pair = columns[group.shard] = (group, _Column())
            found.append(pair)
        for place, at, measured in zip(points.series, points.at, points.values, strict=True):
            pair = found[place]
            if pair is None:
                continue
            group, column = pair
            text = points.texts[place]
            group.last_at[text] = max(group.last_at[text], at)
            value = group.increases.take(text, at, measured) if place in counters else measured
            if value is None:
                counts["counter"] += 1
                continue
            column.texts.append(text)
            column.at.append(at)
            column.values.append(value)
            column.batches.append(batch)

    def _admit(self, text: str, number: int) -> _Group | None:
        """Return the group that a new series is put into; None where there is no room."""
        if len(self._group_of) >= self._watching.series_max or not self._share.take():
            return None
        shards = self._watching.shards
        assert shards is not None, "else nothing is taken"
        for group in self._groups:
            if len(group.last_at) < shards.series_max and group.number < number:
                break
        else:
            free = next(
                index for index in range(len(self._groups) + 1) if all(one.shard != index for one in self._groups)
            )
            now = self._watching.clock.now()
            group = _Group(free, shards.new(), number=number - 1, saved_number=number - 1, saved_at=now)
            self._groups.append(group)
        group.last_at[text] = 0
        self._group_of[text] = group
        return group

    def _follow(
        self,
        group: _Group,
        text: str,
        verdict: PointVerdict,
        batch: PointBatch,
        fires: list[Fire],
        clears: list[Clear],
    ) -> None:
        """Let every rule that watches a series go on by one point."""
        is_new = batch.number > self._known_place.taken
        events = group.events.get(text, {})
        for rule in self._rules_for(text):
            event, turn = follow(events.get(rule.id), verdict, rule, batch.received_at)
            if event is None:
                events.pop(rule.id, None)
            else:
                events[rule.id] = event
            if turn is Turn.NONE or not is_new:
                continue
            series = self._series_of(text)
            if turn is Turn.RAISE:
                assert event is not None, "what is told of is there"
                fires.append(Fire(series_draft(rule, series, event, verdict)))
            else:
                clears.append(Clear(rule.dedup_key(series.digest), verdict.at))
        if events:
            group.events[text] = events
        else:
            group.events.pop(text, None)

    def _series_of(self, text: str) -> Series:
        series = self._series.get(text)
        if series is None:
            series = self._series[text] = Series.read(text)
        return series

    # ------------------------------------------------------------------------------------- rules

    async def _learn_rules(self, now: datetime) -> None:
        """Read the rules where they have changed, and end the events of those that are gone."""
        if self._rules is not None:
            return
        rules = await self._watching.teller.rules(self._tenant_id)
        self._rules_of.clear()
        self._rules = rules
        clears: list[Clear] = []
        for group, text, rule_id, event in list(self._all_events()):
            rule = rules.get(rule_id)
            if rule is not None and rule.watches(self._series_of(text)):
                continue
            self._forget_event(group, text, rule_id)
            if event.phase is Phase.TOLD:
                gone = rule or AnomalyRule(rule_id, "")
                clears.append(Clear(gone.dedup_key(self._series_of(text).digest), now))
        if clears:
            await self._watching.teller.tell(self._tenant_id, (), clears)

    def _rules_for(self, text: str) -> tuple[AnomalyRule, ...]:
        rules = self._rules_of.get(text)
        if rules is None:
            assert self._rules is not None, "they were read"
            series = self._series_of(text)
            rules = tuple(rule for rule in self._rules.values() if rule.watches(series))
            self._rules_of[text] = rules
        return rules

    def _all_events(self) -> Iterable[tuple[_Group, str, AnomalyRuleId, AnomalyEvent]]:
        for group in self._groups:
            for text, events in group.events.items():
                for rule_id, event in events.items():
                    yield group, text, rule_id, event

    def _forget_event(self, group: _Group, text: str, rule_id: AnomalyRuleId) -> None:
        events = group.events[text]
        del events[rule_id]
        if not events:
            del group.events[text]
        group.is_changed = True

    async def _end_silent(self, now: datetime) -> None:
        """End events of series that nothing is heard of any more."""
        clears: list[Clear] = []
        for group, text, rule_id, event in list(self._all_events()):
            if not fall_silent(event, now):
                continue
            self._forget_event(group, text, rule_id)
            rule = (self._rules or {}).get(rule_id)
            if event.phase is Phase.TOLD and rule is not None:
                clears.append(Clear(rule.dedup_key(self._series_of(text).digest), now))
        if clears:
            await self._watching.teller.tell(self._tenant_id, (), clears)

    async def _reconcile(self, now: datetime) -> None:
        """End alerts that no event stands behind any more, such as after what was learnt was lost."""
        rules = self._rules or {}
        told = {
            rules[rule_id].dedup_key(self._series_of(text).digest)
            for _, text, rule_id, event in self._all_events()
            if event.phase is Phase.TOLD and rule_id in rules
        }
        await self._watching.teller.end_others(self._tenant_id, rules.values(), AnomalyTarget.SERIES, told, now)
        self._is_reconciled = True

    async def _clean(self, now: datetime) -> None:
        """Forget series that have been silent for long, sooner where there is no room for others."""
        if timedelta(0) <= now - self._cleaned_at < CLEAN_EVERY:
            return
        self._cleaned_at = now
        is_full = len(self._group_of) >= self._watching.series_max
        earliest = (now - (SILENT_MAX_FULL if is_full else SILENT_MAX)).timestamp()
        shards = self._watching.shards
        assert shards is not None, "else nothing is known"
        for group in list(self._groups):
            gone = [text for text, at in group.last_at.items() if at < earliest and text not in group.events]
            if not gone:
                continue
            for text in gone:
                del group.last_at[text]
                del self._group_of[text]
                self._series.pop(text, None)
                self._rules_of.pop(text, None)
                group.increases.forget(text)
            self._share.change(-len(gone))
            if not group.last_at:
                self._groups.remove(group)
                await self._watching.buffer.forget(self._tenant_id, group.shard)
                continue
            group.bank = await self._apart(_keeping(group.bank, frozenset(group.last_at)))
            group.is_changed = True


def _observing(group: _Group, column: _Column, followed: Collection[str]) -> Callable[[], Judged]:
    return lambda: group.bank.observe(column.texts, column.at, column.values, followed, LEVEL_FLOOR)


def _keeping(bank: SeriesShard, texts: Collection[str]) -> Callable[[], SeriesShard]:
    return lambda: bank.only(texts)
