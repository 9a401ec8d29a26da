"""What is known of an alert when it comes in, as numbers and hashed tokens. The same code trains and serves.

`FeatureState` is the only part that remembers: counters that fade, what was last seen where, and how alerts like
this one ended, as far as that is known by now. It belongs to one tenant, keeps keyed hashes in the place of names,
holds no more than its schema allows, and never reads a clock: time is what its observations say.

References:
    Micci-Barreca, *A preprocessing scheme for high-cardinality categorical attributes*, 2001 (shrunken rates).
    Weinberger et al., *Feature hashing for large scale multitask learning*, 2009.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import itemgetter

import numpy as np
import orjson
from numpy.typing import NDArray

from alertgraph.ml.key_table import NOBODY, KeyTable

Floats = NDArray[np.float64]

FORMAT = b"AGFS0001"
DAY_SECONDS = 86_400.0
# Older than this, or never seen: the same to us.
RECENCY_SECONDS_MAX = 90 * DAY_SECONDS
# Below this a faded counter is as good as none.
FADED = 1.0 / 64.0
SALT_SIZE = 16
# Of each part of an alert.
HASHES_KEPT_MAX = 4_096
# What is worked on at once: bounds the memory that it takes.
TAKEN_MAX = 1_024
# Longer ago than anything, and still a number that can be multiplied by nothing.
NEVER = -1e18
# What a row begins with; counters, weights and sums follow.
LAST, OPEN, KNOWN_AT = 0, 1, 2

# Fields that say how an alert ended, whatever the source calls them. Training on one of them makes figures that
# no running service can reach.
FUTURE = re.compile(
    r"^(closed|resolved|acknowledged|ended|cleared|recovered)(_|$)"
    r"|^(end|finish|clear)_(time|timestamp|at)$"
    r"|^(made_sla|reassignment_count|reopen_count|sys_mod_count|incident_state|state|active|duration|label"
    r"|event_label|time_label|outcome)$"
)


class PeekingError(ValueError):
    """Features would know what is not known yet; the message names the field or the times."""


class StateMismatchError(ValueError):
    """Bytes are not a state of this schema; the message says what differs."""


@dataclass(frozen=True, slots=True)
class Observation:
    """An alert as it was known when it came in.

    Attributes:
        at: When it became known, in seconds since 1970.
        service: The monitored service or device it is about.
        kind: The type of alert: a rule's name, an alarm's number.
        fields: Other properties by name: labels, source, severity.
        numbers: Properties that are numbers, by name.
        tokens: Words of its text, numbers and ids masked (see `words`).
        neighbours: The services next to its own.
    """

    at: float
    service: str
    kind: str
    fields: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    tokens: Sequence[str] = ()
    neighbours: Sequence[str] = ()

    def value(self, name: str) -> str:
        """Return a property by name; service and kind are properties too. Empty where it has none."""
        if name == "service":
            return self.service
        if name == "kind":
            return self.kind
        return self.fields.get(name, "")


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """Which features there are, in which order. What was trained with one schema is served with no other.

    Attributes:
        fields: Properties whose values are embedded, one token each.
        shared: Those of `fields` whose values mean the same at every tenant (a severity, not a host's name):
            they are hashed without the tenant's salt.
        crosses: Pairs of properties embedded together.
        groups: What is counted apart: tuples of properties; the empty one is the tenant as a whole.
        half_lives: Seconds after which a counted alert counts half; one counter for each.
        outcomes: Names of what becomes known later; a faded mean per group each.
        outcome_half_life: Seconds after which a known outcome counts half.
        outcome_strength: How many outcomes the mean of the wider group weighs in a group's own mean.
        numbers: Names of the observations' own numbers.
        kind_windows: Half-lives, in seconds, of "this kind was seen on this service".
        neighbour_window: The same for the services next to it; 0 leaves them out.
        kinds: Kinds that have a place of their own in every state, in order.
        kind_count: Places for kinds; those beyond `kinds` are given as kinds appear, then shared.
        token_count: How many words of a text are kept.
        bucket_count: Buckets that tokens are hashed into; bucket 0 is "nothing here".
        key_count_max: How many keys a group remembers; the one not seen for longest is forgotten.
        clock: Whether the hour and the day of the week are features.
    """

    fields: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    crosses: tuple[tuple[str, str], ...] = ()
    groups: tuple[tuple[str, ...], ...] = ((),)
    half_lives: tuple[float, ...] = (300.0, 3_600.0, DAY_SECONDS)
    outcomes: tuple[str, ...] = ()
    outcome_half_life: float = 14 * DAY_SECONDS
    outcome_strength: float = 10.0
    numbers: tuple[str, ...] = ()
    kind_windows: tuple[float, ...] = (300.0, 3_600.0)
    neighbour_window: float = 900.0
    kinds: tuple[str, ...] = ()
    kind_count: int = 32
    token_count: int = 0
    bucket_count: int = 16_384
    key_count_max: int = 4_096
    clock: bool = True

    def __post_init__(self) -> None:
        """Refuse a schema that knows the future, or that is none.

        Raises:
            PeekingError: A property is one that is only known at the end.
            ValueError: Counts or windows make no sense.
        """
        named = {*self.fields, *self.numbers, *(name for pair in self.crosses for name in pair)}
        named |= {name for group in self.groups for name in group}
        for name in sorted(named):
            if FUTURE.search(name):
                raise PeekingError(f"{name} is known only when the alert has ended; it cannot be a feature")
        if self.groups[:1] != ((),):
            raise ValueError("the first group is the empty one: the tenant as a whole")
        if any(seconds <= 0 for seconds in (*self.half_lives, *self.kind_windows, self.outcome_half_life)):
            raise ValueError("half-lives are positive")
        if len(self.kinds) > self.kind_count or self.bucket_count < 2 or self.key_count_max < 1:
            raise ValueError("there must be room for the kinds, a bucket and a key")

    def digest(self) -> str:
        """Return a hash of everything that decides what the features mean."""
        told = orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(FORMAT + told).hexdigest()

    def number_names(self) -> tuple[str, ...]:
        """Return the name of each number of a row, in order; words that a person can read."""
        names: list[str] = []
        for group in self.groups:
            about = " and ".join(group) or "tenant"
            names += [f"alerts of the same {about}, fading by half in {_span(s)}" for s in self.half_lives]
            names += [f"time since the last alert of the same {about}", f"open alerts of the same {about}"]
            names += [f"{outcome} of the same {about}" for outcome in self.outcomes]
            if self.outcomes:
                names.append(f"known outcomes of the same {about}")
        names += [
            "flaps of the same service and kind",
            "time since the same service and kind ended",
            "time since the same service and kind began",
            "usual time between alerts of the same service and kind",
        ]
        for seconds in self.kind_windows:
            names.append(f"kinds active on the service within {_span(seconds)}")
            names += [
                f"{self._kind_name(i)} on the service within {_span(seconds)}" for i in range(self.kind_count)
            ]
        if self.neighbour_window:
            names.append(f"kinds active next to it within {_span(self.neighbour_window)}")
            names += [f"{self._kind_name(i)} next to it" for i in range(self.kind_count)]
        if self.clock:
            names += ["hour (sine)", "hour (cosine)", "hour", "day of the week", "weekend"]
        return (*names, *self.numbers)

    def token_names(self) -> tuple[str, ...]:
        """Return the name of each token of a row, in order."""
        crosses = (f"{left} and {right}" for left, right in self.crosses)
        return (*self.fields, *crosses, *("the text",) * self.token_count)

    def _kind_name(self, place: int) -> str:
        return self.kinds[place] if place < len(self.kinds) else f"kind {place}"


@dataclass(frozen=True, slots=True)
class Trace:
    """What is needed of an observed alert to tell later how it went on: hashes in the place of names.

    Attributes:
        at: When it became known.
        keys: Its key in each group.
        entity: Its kind on its service.
    """

    at: float
    keys: tuple[int, ...]
    entity: int


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """The features of one alert.

    Attributes:
        numbers: (number_count,) float32, unscaled.
        tokens: (token_count,) int32 in [0, bucket_count); 0 where there is none.
    """

    numbers: NDArray[np.float32]
    tokens: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """The features of several alerts.

    Attributes:
        numbers: (n, number_count) float32, unscaled.
        tokens: (n, token_count) int32 in [0, bucket_count); 0 where there is none.
    """

    numbers: NDArray[np.float32]
    tokens: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> FeatureRow:
        """Return those of one alert."""
        return FeatureRow(self.numbers[place], self.tokens[place])


@dataclass(frozen=True, slots=True)
class Ended:
    """An alert is over.

    Attributes:
        seen: The alert as it was observed, or its trace.
        at: When its end became known.
    """

    seen: Observation | Trace
    at: float


@dataclass(frozen=True, slots=True)
class TurnedOut:
    """It is known how an alert turned out.

    Attributes:
        seen: The alert as it was observed, or its trace.
        outcomes: By name: 0 or 1, or a quantity such as the logarithm of hours.
        at: When that became known; never before the alert.
    """

    seen: Observation | Trace
    outcomes: Mapping[str, float]
    at: float


@dataclass(frozen=True, slots=True)
class Recognised:
    """An alert whose names were hashed: `FeatureState.recognise` gives it, and only that state may take it.

    Attributes:
        seen: The alert.
        keys: Its key in each group.
        entity: Its kind on its service.
        service: Its service.
        tokens: Of fields and crosses.
    """

    seen: Observation
    keys: tuple[int, ...]
    entity: int
    service: int
    tokens: tuple[int, ...]

    @property
    def at(self) -> float:
        """When it became known."""
        return self.seen.at

    @property
    def trace(self) -> Trace:
        """What is needed to tell later how it went on, without its names."""
        return Trace(self.seen.at, self.keys, self.entity)


Told = Observation | Recognised | Ended | TurnedOut


@dataclass(slots=True)
class _Entity:
    """What is remembered of one kind on one service."""

    began: float
    ended: float
    flaps: float
    gap: float


_Picked = str | tuple[str, ...]
# Picks its part of an alert's properties; those hashed lately; hashes another one.
_Hasher = tuple[Callable[[tuple[str, ...]], _Picked], dict[_Picked, int], Callable[[tuple[str, ...]], int]]


class FeatureState:
    """One tenant's memory for features. Not safe for threads: one writer owns it.

    What is remembered of a key is a row of numbers. What happened is told in batches (`take`): by how much each
    counter fades in between, and what a row makes of features, is worked out for a whole batch at once. Only the
    sums themselves are done one after the other, so that a batch comes to the same bits as its parts.
    """

    def __init__(self, schema: FeatureSchema, salt: bytes) -> None:
        """Begin with nothing known.

        Args:
            schema: Which features there are.
            salt: Sixteen secret bytes of the tenant: its names hash to other buckets than anyone else's.
        """
        if len(salt) != SALT_SIZE:
            raise ValueError(f"a salt has {SALT_SIZE} bytes")
        self.schema = schema
        self.salt = salt
        self.at = -math.inf
        self.observed_count = 0
        counted, known = len(schema.half_lives), len(schema.outcomes)
        # What a row holds: counters as of `LAST`, sums as of `KNOWN_AT`.
        self._counts = slice(3, 3 + counted)
        self._weights = slice(3 + counted, 3 + counted + known)
        self._sums = slice(3 + counted + known, 3 + counted + 2 * known)
        nothing = np.zeros(3 + counted + 2 * known)
        nothing[[LAST, KNOWN_AT]] = NEVER
        self._keyed = KeyTable(len(schema.groups), nothing, schema.key_count_max)
        self._kinds = KeyTable(1, np.full(schema.kind_count, -math.inf), schema.key_count_max)
        self._half_lives = np.array(schema.half_lives)
        self._wider = [_wider(schema.groups, group) for group in schema.groups]
        self._names = _names_of(schema)
        self._number_count = len(schema.number_names())
        self._entities: dict[int, _Entity] = {}
        self._places: dict[int, int] = {}
        # What was hashed lately.
        self._hashers = tuple(self._hashers_of(schema))
        self._words: dict[str, int] = {}
        self._services: dict[str, int] = {}
        self._kind_places: dict[str, int] = {}
        for kind in schema.kinds:
            self._places[self._hash(("kind", kind))] = len(self._places)

    # What is asked.

    def ask(self, seen: Sequence[Observation | Recognised]) -> FeatureRows:
        """Return the features of alerts that may be observed next; the state stays as it is.

        Raises:
            PeekingError: The state already knows later things than one of them.
        """
        for each in seen:
            self._check(each.at, self.at)
        if not seen:
            return self._nothing()
        known = [each if isinstance(each, Recognised) else self.recognise(each) for each in seen]
        rows = [[self._keyed.find(ring, key) for ring, key in enumerate(each.keys)] for each in known]
        entities = [self._entity_as_it_is(each.entity) for each in known]
        kinds = [self._kinds_around(each) for each in known]
        return FeatureRows(self._numbers(known, self._keyed.rows[rows], entities, kinds), self._tokens(known))

    def features(self, seen: Observation) -> FeatureRow:
        """Return the features of one alert, as `ask` does."""
        return self.ask([seen])[0]

    # What is told.

    def take(self, told: Sequence[Told]) -> FeatureRows:
        """Remember what happened, in order; return the features of the alerts among it as each came in.

        However a sequence is cut into batches, state and features come out the same, bit by bit.

        Raises:
            PeekingError: The state already knows later things, or an outcome would be known before its alert.
                Nothing of it was remembered.
        """
        at = self.at
        for one in told:
            self._check(one.at, at)
            at = one.at
            if isinstance(one, TurnedOut) and at < one.seen.at:
                named = " and ".join(one.outcomes)
                raise PeekingError(f"{named} cannot be known at {at:.0f}, before the alert at {one.seen.at:.0f}")
        parts = [self._take(told[start : start + TAKEN_MAX]) for start in range(0, len(told), TAKEN_MAX)]
        if len(parts) == 1:
            return parts[0]
        return FeatureRows(
            np.concatenate([self._nothing().numbers, *(part.numbers for part in parts)]),
            np.concatenate([self._nothing().tokens, *(part.tokens for part in parts)]),
        )

    def observe(self, seen: Observation) -> None:
        """Remember that one alert came in, as `take` does."""
        self.take([seen])

    def close(self, seen: Observation | Trace, at: float) -> None:
        """Remember that one alert ended, as `take` does."""
        self.take([Ended(seen, at)])

    def settle(self, seen: Observation | Trace, outcome: str, value: float, at: float) -> None:
        """Remember how one alert turned out, as `take` does."""
        self.take([TurnedOut(seen, {outcome: value}, at)])

    # What is kept.

    def to_bytes(self) -> bytes:
        """Return the state as bytes; the same state gives the same bytes."""
        groups = [self._keyed.held(ring) for ring in range(len(self.schema.groups))]
        services, active = self._kinds.held(0)
        is_active = active > -math.inf
        # Each service is followed by the kinds that were seen on it.
        each = np.column_stack([np.ones(len(services), bool), is_active])
        named = np.empty(each.shape, np.uint64)
        named[:, 0] = services
        named[:, 1:] = np.arange(self.schema.kind_count, dtype=np.uint64)
        sizes = [
            *(len(keys) for keys, _ in groups),
            len(self._entities),
            len(services),
            *is_active.sum(1).tolist(),
            len(self._places),
        ]
        entities = [(each.began, each.ended, each.flaps, each.gap) for each in self._entities.values()]
        keys = np.concatenate(
            [
                *(keys for keys, _ in groups),
                np.fromiter(self._entities, np.uint64, len(self._entities)),
                named[each],
                np.array(list(self._places.items()), np.uint64).ravel(),
            ]
        )
        numbers = np.concatenate(
            [
                np.array([self.at]),
                *(rows.ravel() for _, rows in groups),
                np.array(entities, np.float64).ravel(),
                active[is_active],
            ]
        )
        sized = struct.pack(f"<{len(sizes)}Q", *sizes)
        head = struct.pack("<QQQQ", self.observed_count, len(sized), len(keys) * 8, len(numbers) * 8)
        content = sized + keys.astype("<u8").tobytes() + numbers.astype("<f8").tobytes()
        body = bytes.fromhex(self.schema.digest()) + self.salt + head + content
        return FORMAT + hashlib.sha256(body).digest() + body

    @classmethod
    def from_bytes(cls, schema: FeatureSchema, kept: bytes) -> FeatureState:
        """Return the state that `to_bytes` wrote.

        Raises:
            StateMismatchError: The bytes were damaged, cut off, or written with another schema or format.
        """
        if kept[:8] != FORMAT:
            raise StateMismatchError("these bytes are no state of features, or one of another format")
        body = kept[40:]
        if hashlib.sha256(body).digest() != kept[8:40]:
            raise StateMismatchError("the state of features is damaged: its checksum differs")
        if body[:32].hex() != schema.digest():
            raise StateMismatchError("the state of features was written with another schema")
        state = cls(schema, body[32:48])
        observed_count, sizes_length, keys_length, numbers_length = struct.unpack_from("<QQQQ", body, 48)
        start = 80
        sizes = struct.unpack_from(f"<{sizes_length // 8}Q", body, start)
        keys = np.frombuffer(body, "<u8", keys_length // 8, start + sizes_length)
        numbers = np.frombuffer(body, "<f8", numbers_length // 8, start + sizes_length + keys_length)
        state.observed_count = observed_count
        state._read(sizes, keys.astype(np.uint64), numbers.astype(np.float64))
        return state

    def _read(self, sizes: Sequence[int], keys: NDArray[np.uint64], numbers: Floats) -> None:
        own_keys, own_numbers = 0, 0

        def next_keys(count: int) -> NDArray[np.uint64]:
            nonlocal own_keys
            own_keys += count
            return keys[own_keys - count : own_keys]

        def next_numbers(count: int, width: int = 1) -> Floats:
            nonlocal own_numbers
            own_numbers += count * width
            return numbers[own_numbers - count * width : own_numbers].reshape(count, width)

        groups, width = len(self.schema.groups), self._keyed.rows.shape[1]
        self.at = float(next_numbers(1)[0, 0])
        for ring, count in enumerate(sizes[:groups]):
            self._keyed.fill(ring, next_keys(count).tolist(), next_numbers(count, width))
        entity_count, service_count = sizes[groups : groups + 2]
        entities = zip(next_keys(entity_count).tolist(), next_numbers(entity_count, 4).tolist(), strict=True)
        self._entities = {hashed: _Entity(*values) for hashed, values in entities}
        services = []
        active = np.full((service_count, self.schema.kind_count), -math.inf)
        for row, count in enumerate(sizes[groups + 2 : groups + 2 + service_count]):
            services.append(int(next_keys(1)[0]))
            active[row, next_keys(count).astype(np.intp)] = next_numbers(count)[:, 0]
        self._kinds.fill(0, services, active)
        places = next_keys(2 * sizes[-1]).tolist()
        self._places = dict(zip(places[::2], places[1::2], strict=True))

    # Hashes.

    def _hash(self, parts: tuple[str, ...], *, shared: bool = False) -> int:
        """Return 64 bits for a tuple of texts, keyed with the tenant's salt unless they are shared."""
        hashed = hashlib.blake2b(digest_size=8, key=b"" if shared else self.salt)
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            hashed.update(len(encoded).to_bytes(4, "little") + encoded)
        return int.from_bytes(hashed.digest(), "little")

    def recognise(self, seen: Observation) -> Recognised:
        """Return an alert with its names hashed, to be taken then or later."""
        fields = seen.fields
        values = (seen.service, seen.kind, *[fields.get(name, "") for name in self._names])
        found = []
        for pick, known, make in self._hashers:
            picked = pick(values)
            hashed = known.get(picked)
            if hashed is None:
                if len(known) >= HASHES_KEPT_MAX:
                    # Only saves time: what is dropped is hashed again.
                    known.clear()
                hashed = known[picked] = make((picked,) if isinstance(picked, str) else picked)
            found.append(hashed)
        groups = len(self.schema.groups)
        return Recognised(
            seen, tuple(found[:groups]), found[groups], found[groups + 1], tuple(found[groups + 2 :])
        )

    def _hashers_of(self, schema: FeatureSchema) -> Iterator[_Hasher]:
        """Yield how each part of an alert is hashed, in the order in which `recognise` has them."""
        names = ("service", "kind", *self._names)

        def hasher(parts: tuple[str, ...], make: Callable[[tuple[str, ...]], int]) -> _Hasher:
            pick = itemgetter(*map(names.index, parts)) if parts else _none
            return pick, {}, make

        def of_group(group: tuple[str, ...]) -> Callable[[tuple[str, ...]], int]:
            return lambda values: self._hash(
                ("group", *(f"{name}={value}" for name, value in zip(group, values, strict=True)))
            )

        def of_tokens(parts: tuple[str, ...]) -> Callable[[tuple[str, ...]], int]:
            shared = all(name in schema.shared for name in parts)

            def make(values: tuple[str, ...]) -> int:
                if len(parts) == 1 and not values[0]:
                    return 0
                pairs = zip(parts, values, strict=True)
                return self._bucket(tuple(text for pair in pairs for text in pair), shared=shared)

            return make

        for group in schema.groups:
            yield hasher(group, of_group(group))
        yield hasher(("service", "kind"), lambda values: self._hash(("entity", *values)))
        yield hasher(("service",), lambda values: self._hash(("service", *values)))
        for name in schema.fields:
            yield hasher((name,), of_tokens((name,)))
        for pair in schema.crosses:
            yield hasher(pair, of_tokens(pair))

    def _bucket(self, parts: tuple[str, ...], *, shared: bool = False) -> int:
        return 1 + self._hash(("token", "shared" if shared else "own", *parts), shared=shared) % (
            self.schema.bucket_count - 1
        )

    def _word(self, word: str) -> int:
        known = self._words.get(word)
        if known is None:
            if len(self._words) >= HASHES_KEPT_MAX:
                # Only saves time, as above.
                self._words.clear()
            known = self._words[word] = self._bucket(("word", word))
        return known

    def _service(self, name: str) -> int:
        known = self._services.get(name)
        if known is None:
            if len(self._services) >= HASHES_KEPT_MAX:
                # Only saves time, as above.
                self._services.clear()
            known = self._services[name] = self._hash(("service", name))
        return known

    def _place(self, kind: str) -> int:
        """Return the place of a kind: its own, the next free one, or one that it shares."""
        known = self._kind_places.get(kind)
        if known is not None:
            return known
        hashed = self._hash(("kind", kind))
        place = self._places.get(hashed)
        if place is None:
            if len(self._places) >= self.schema.kind_count:
                place = hashed % self.schema.kind_count
            else:
                place = self._places[hashed] = len(self._places)
        if len(self._kind_places) >= HASHES_KEPT_MAX:
            # Only saves time, as above.
            self._kind_places.clear()
        self._kind_places[kind] = place
        return place

    # Remembering.

    def _check(self, at: float, known_at: float) -> None:
        if at < known_at:
            raise PeekingError(
                f"the state already knows what happened until {known_at:.3f}; {at:.3f} is before that"
            )

    def _take(self, told: Sequence[Told]) -> FeatureRows:
        """Take what is in order by its times: find rows, then go through them, then look at all alerts at once."""
        at = np.array([one.at for one in told])
        rows: list[list[int]] = []
        known: list[Recognised] = []
        entities: list[tuple[float, float, float, float]] = []
        kinds: list[tuple[Floats, Floats | None]] = []
        for one in told:
            if isinstance(one, Ended | TurnedOut):
                trace = one.seen if isinstance(one.seen, Trace) else self.recognise(one.seen).trace
                # What was forgotten meanwhile has no row; a key that matters comes again.
                rows.append([self._keyed.find(ring, key) for ring, key in enumerate(trace.keys)])
                if isinstance(one, Ended):
                    entity = self._entities.get(trace.entity)
                    if entity is not None:
                        entity.ended = one.at
                continue
            own = one if isinstance(one, Recognised) else self.recognise(one)
            known.append(own)
            rows.append([self._keyed.use(ring, key) for ring, key in enumerate(own.keys)])
            entities.append(self._observe_entity(own.entity, one.at))
            kinds.append(self._kinds_around(own))
            row = self._kinds.use(0, own.service)
            self._kinds.rows[row, self._place(own.seen.kind)] = one.at
        before = self._go_through(told, at, np.array(rows, np.intp))
        self._keyed.reclaim()
        self._kinds.reclaim()
        self.at = float(at[-1])
        self.observed_count += len(known)
        if not known:
            return self._nothing()
        return FeatureRows(self._numbers(known, before, entities, kinds), self._tokens(known))

    def _go_through(self, told: Sequence[Told], at: Floats, rows: NDArray[np.intp]) -> Floats:
        """Bring rows up to date, in order.

        Args:
            told: What happened.
            at: (n,) when.
            rows: (n, group_count) which rows each is about.

        Returns:
            (observed_count, group_count, width): rows as alerts found them.
        """
        table = self._keyed.rows
        shape = (*rows.shape, table.shape[1])
        # What happens makes `row * factors + addends` of a row.
        factors, addends = np.ones(shape), np.zeros(shape)
        is_alert = np.array([not isinstance(one, Ended | TurnedOut) for one in told])
        is_end = np.array([isinstance(one, Ended) for one in told])
        settles = np.flatnonzero(~is_alert & ~is_end)
        if is_alert.any():
            came = at[is_alert]
            since = _since(table, rows[is_alert], came, LAST)
            factors[is_alert, :, self._counts] = _fade(since[..., None], self._half_lives)
            factors[is_alert, :, LAST] = 0.0
            addends[is_alert, :, LAST] = came[:, None]
            addends[is_alert, :, OPEN] = 1.0
            addends[is_alert, :, self._counts] = 1.0
        addends[is_end, :, OPEN] = -1.0
        if len(settles):
            known_at = at[settles]
            since = _since(table, rows[settles], known_at, KNOWN_AT)
            fade = _fade(since, self.schema.outcome_half_life)[..., None]
            factors[settles, :, self._weights] = fade
            factors[settles, :, self._sums] = fade
            factors[settles, :, KNOWN_AT] = 0.0
            addends[settles, :, KNOWN_AT] = known_at[:, None]
            weight, total = self._weights.start, self._sums.start
            for place, one in enumerate(told):
                for name, value in one.outcomes.items() if isinstance(one, TurnedOut) else ():
                    outcome = self.schema.outcomes.index(name)
                    addends[place, :, weight + outcome] = 1.0
                    addends[place, :, total + outcome] = value
        nobody = rows == NOBODY
        if nobody.any():
            factors[nobody], addends[nobody] = 1.0, 0.0
        before = np.empty(shape)
        for own, found, factor, addend, ends in zip(rows, before, factors, addends, is_end.tolist(), strict=True):
            table.take(own, 0, found)
            after = found * factor
            after += addend
            if ends:
                np.maximum(after[:, OPEN], 0.0, out=after[:, OPEN])
            table[own] = after
        found_by_alerts: Floats = before[is_alert]
        return found_by_alerts

    def _entity_as_it_is(self, hashed: int) -> tuple[float, float, float, float]:
        entity = self._entities.get(hashed)
        if entity is None:
            return -math.inf, -math.inf, 0.0, 0.0
        return entity.began, entity.ended, entity.flaps, entity.gap

    def _observe_entity(self, hashed: int, at: float) -> tuple[float, float, float, float]:
        """Remember that a kind is seen on a service, and return what was known of it."""
        before = self._entity_as_it_is(hashed)
        began, ended, flaps, gap = before
        entity = self._entities.pop(hashed, None)
        if entity is None:
            entity = _Entity(at, -math.inf, 0.0, 0.0)
        else:
            between = math.log1p(at - began)
            entity.gap = between if gap == 0.0 else 0.8 * gap + 0.2 * between
            entity.flaps = flaps * 0.5 ** ((at - began) / 3_600.0)
            if at - ended <= 900.0:
                # It ended and is back within a quarter of an hour.
                entity.flaps += 1.0
            entity.began = at
        self._entities[hashed] = entity
        if len(self._entities) > self.schema.key_count_max:
            del self._entities[next(iter(self._entities))]
        return before

    def _kinds_around(self, known: Recognised) -> tuple[Floats, Floats | None]:
        """Return when each kind was last seen on an alert's service, and on those next to it."""
        table = self._kinds.rows
        own = table[self._kinds.find(0, known.service)].copy()
        if not self.schema.neighbour_window:
            return own, None
        around = [self._kinds.find(0, self._service(name)) for name in known.seen.neighbours]
        return own, table[around or [NOBODY]].max(0)

    # Reading.

    def _nothing(self) -> FeatureRows:
        return FeatureRows(
            np.zeros((0, self._number_count), np.float32),
            np.zeros((0, len(self.schema.token_names())), np.int32),
        )

    def _numbers(
        self,
        known: Sequence[Recognised],
        rows: Floats,
        entities: Sequence[tuple[float, float, float, float]],
        kinds: Sequence[tuple[Floats, Floats | None]],
    ) -> NDArray[np.float32]:
        """Return the numbers of alerts, (n, number_count).

        Args:
            known: The alerts.
            rows: (n, group_count, width) what was known in each of their groups.
            entities: What was known of each one's kind on its service.
            kinds: When kinds were last seen on and next to each one's service.
        """
        schema, seen = self.schema, [each.seen for each in known]
        numbers = np.empty((len(seen), self._number_count), np.float32)
        at = np.array([each.at for each in seen])
        counted, outcomes = len(schema.half_lives), len(schema.outcomes)
        width = counted + 2 + (outcomes + 1 if outcomes else 0)
        end = width * len(schema.groups)
        groups = numbers[:, :end].reshape(len(seen), len(schema.groups), width)
        since = at[:, None] - rows[:, :, LAST]
        groups[:, :, :counted] = np.log1p(rows[:, :, self._counts] * _fade(since[..., None], self._half_lives))
        groups[:, :, counted] = _recency(since)
        groups[:, :, counted + 1] = np.log1p(rows[:, :, OPEN])
        if outcomes:
            fade = _fade(at[:, None] - rows[:, :, KNOWN_AT], schema.outcome_half_life)[..., None]
            weights, sums = rows[:, :, self._weights] * fade, rows[:, :, self._sums] * fade
            means = np.zeros((len(schema.groups), len(seen), outcomes))
            for place, wider in enumerate(self._wider):
                prior, strength = (0.0, 1.0) if wider is None else (means[wider], schema.outcome_strength)
                means[place] = (sums[:, place] + strength * prior) / (weights[:, place] + strength)
            groups[:, :, counted + 2 : counted + 2 + outcomes] = means.transpose(1, 0, 2)
            groups[:, :, -1] = np.log1p(weights.max(2))
        numbers[:, :end] = groups.reshape(len(seen), end)
        began, ended, flaps, gap = np.array(entities).T
        numbers[:, end] = flaps * _fade(at - began, 3_600.0)
        numbers[:, end + 1] = _recency(at - ended)
        numbers[:, end + 2] = _recency(at - began)
        numbers[:, end + 3] = gap
        end += 4
        own = at[:, None] - np.array([each for each, _ in kinds])
        for seconds in schema.kind_windows:
            end = _active(numbers, end, own, seconds)
        if schema.neighbour_window:
            around = at[:, None] - np.array([each for _, each in kinds])
            end = _active(numbers, end, around, schema.neighbour_window)
        if schema.clock:
            numbers[:, end : end + 5] = _clock(at)
            end += 5
        if schema.numbers:
            numbers[:, end:] = [[each.numbers.get(name, 0.0) for name in schema.numbers] for each in seen]
        return numbers

    def _tokens(self, known: Sequence[Recognised]) -> NDArray[np.int32]:
        count = self.schema.token_count
        tokens = []
        for own in known:
            words_kept = [self._word(word) for word in own.seen.tokens[:count]]
            tokens.append([*own.tokens, *words_kept, *[0] * (count - len(words_kept))])
        return np.array(tokens, dtype=np.int32)


MASKED = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b|\d+",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W_]+|0")


def words(text: str) -> list[str]:
    """Return the words of a text in order, small, with numbers and ids as "0"."""
    return WORD.findall(MASKED.sub("0", text.lower()))


def trigrams(text: str) -> list[str]:
    """Return the three-letter pieces of a text's words, marked at their ends."""
    pieces = []
    for word in words(text):
        marked = f"^{word}$"
        pieces += [marked[start : start + 3] for start in range(max(len(marked) - 2, 1))]
    return pieces


def _wider(groups: Sequence[tuple[str, ...]], group: tuple[str, ...]) -> int | None:
    """Return the place of the group that a group's means shrink towards: the widest part of it that is listed."""
    if not group:
        return None
    before = groups[: groups.index(group)]
    return -max((len(other), -place) for place, other in enumerate(before) if set(other) < set(group))[1]


def _none(_: tuple[str, ...]) -> tuple[str, ...]:
    return ()


def _names_of(schema: FeatureSchema) -> tuple[str, ...]:
    """Return the properties that the schema looks at, besides service and kind."""
    named = {*schema.fields, *(name for pair in schema.crosses for name in pair)}
    named |= {name for group in schema.groups for name in group}
    return tuple(sorted(named - {"service", "kind"}))


def _since(table: Floats, rows: NDArray[np.intp], at: Floats, column: int) -> Floats:
    """Return how long before each of several moments its rows were last written to, (n, group_count).

    Args:
        table: What rows hold before all of them.
        rows: (n, group_count) which are written to.
        at: (n,) ascending.
        column: Of the table, when a row was written to last.
    """
    last = table[rows, column].ravel()
    each = rows.ravel()
    times = np.repeat(at, rows.shape[1])
    order = np.argsort(each, kind="stable")
    again = each[order[1:]] == each[order[:-1]]
    last[order[1:][again]] = times[order[:-1][again]]
    return at[:, None] - last.reshape(rows.shape)


def _fade(seconds: Floats, half_life: Floats | float) -> Floats:
    faded: Floats = np.exp2(-seconds / half_life)
    return faded


def _recency(seconds: Floats) -> Floats:
    recent: Floats = np.log1p(np.minimum(seconds, RECENCY_SECONDS_MAX))
    return recent


def _active(numbers: NDArray[np.float32], start: int, since: Floats, half_life: float) -> int:
    """Write how many kinds are active and how freshly each was seen, 1 now, 0 long ago; return where it ends."""
    fresh = _fade(since, half_life)
    fresh[fresh <= FADED] = 0.0
    end = start + 1 + fresh.shape[1]
    numbers[:, start] = np.log1p((fresh > 0.0).sum(1))
    numbers[:, start + 1 : end] = fresh
    return end


def _clock(at: Floats) -> Floats:
    hour = (at % DAY_SECONDS) / 3_600.0
    turn = 2 * math.pi * hour / 24
    # 1970-01-01 was a Thursday; Monday is 0.
    day = (at // DAY_SECONDS + 3) % 7
    return np.column_stack([np.sin(turn), np.cos(turn), hour, day, day >= 5])


def _span(seconds: float) -> str:
    for unit, size in (("d", DAY_SECONDS), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
