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
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

FORMAT = b"AGFS0001"
DAY_SECONDS = 86_400.0
# Older than this, or never seen: the same to us.
RECENCY_SECONDS_MAX = 90 * DAY_SECONDS
# Below this a faded counter is as good as none.
FADED = 1.0 / 64.0
SALT_SIZE = 16
HASHES_KEPT_MAX = 65_536

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


@dataclass(slots=True)
class _Key:
    """What is remembered of one key of one group. Counters hold as of `last`; sums as of `known_at`."""

    last: float
    counts: list[float]
    open_count: float
    known_at: float
    weights: list[float]
    sums: list[float]


@dataclass(slots=True)
class _Entity:
    """What is remembered of one kind on one service."""

    began: float
    ended: float
    flaps: float
    gap: float


class FeatureState:
    """One tenant's memory for features. Not safe for threads: one writer owns it."""

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
        self._groups: list[dict[int, _Key]] = [{} for _ in schema.groups]
        self._wider = [_wider(schema.groups, group) for group in schema.groups]
        self._entities: dict[int, _Entity] = {}
        self._seen: dict[int, dict[int, float]] = {}
        self._places: dict[int, int] = {}
        self._hashes: dict[tuple[str, ...], int] = {}
        self._keyed: tuple[Observation, list[int]] | None = None
        for kind in schema.kinds:
            self._places[self._hash(("kind", kind))] = len(self._places)

    # What is asked.

    def features(self, seen: Observation) -> FeatureRow:
        """Return the features of an alert that is about to be observed; the state stays as it is.

        Raises:
            PeekingError: The state already knows later things than this alert.
        """
        self._check(seen.at)
        return FeatureRow(self._numbers(seen), self._tokens(seen))

    def trace(self, seen: Observation) -> Trace:
        """Return what `close` and `settle` need of an alert, without its names."""
        return Trace(seen.at, tuple(self._keys(seen)), self._hash(("entity", seen.service, seen.kind)))

    # What is told.

    def observe(self, seen: Observation) -> None:
        """Remember that an alert came in.

        Raises:
            PeekingError: The state already knows later things.
        """
        self._advance(seen.at)
        self.observed_count += 1
        for keys, hashed in zip(self._groups, self._keys(seen), strict=True):
            known = keys.pop(hashed, None)
            if known is None:
                known = self._new_key(seen.at)
            else:
                known.counts = self._faded(known, seen.at)
                known.last = seen.at
            known.counts = [count + 1.0 for count in known.counts]
            known.open_count += 1.0
            keys[hashed] = known
            _forget(keys, self.schema.key_count_max)
        self._observe_entity(seen)
        self._observe_kind(seen)

    def close(self, seen: Observation | Trace, at: float) -> None:
        """Remember that an alert ended.

        Args:
            seen: The alert as it was observed, or its trace.
            at: When its end became known.

        Raises:
            PeekingError: The state already knows later things.
        """
        self._advance(at)
        trace = seen if isinstance(seen, Trace) else self.trace(seen)
        for keys, hashed in zip(self._groups, trace.keys, strict=True):
            known = keys.get(hashed)
            if known is not None:
                known.open_count = max(known.open_count - 1.0, 0.0)
        entity = self._entities.get(trace.entity)
        if entity is not None:
            entity.ended = at

    def settle(self, seen: Observation | Trace, outcome: str, value: float, at: float) -> None:
        """Remember how an alert turned out, once that is known.

        Args:
            seen: The alert as it was observed, or its trace.
            outcome: One of the schema's outcomes.
            value: 0 or 1, or a quantity such as the logarithm of hours.
            at: When it became known; never before the alert.

        Raises:
            PeekingError: It would be known before the alert, or the state already knows later things.
        """
        if at < seen.at:
            raise PeekingError(f"{outcome} cannot be known at {at:.0f}, before the alert at {seen.at:.0f}")
        self._advance(at)
        place = self.schema.outcomes.index(outcome)
        trace = seen if isinstance(seen, Trace) else self.trace(seen)
        for keys, hashed in zip(self._groups, trace.keys, strict=True):
            known = keys.get(hashed)
            if known is None:
                # It was forgotten meanwhile; a key that matters comes again.
                continue
            fade = _fade(at - known.known_at, self.schema.outcome_half_life)
            known.weights = [weight * fade for weight in known.weights]
            known.sums = [total * fade for total in known.sums]
            known.known_at = at
            known.weights[place] += 1.0
            known.sums[place] += value

    # What is kept.

    def to_bytes(self) -> bytes:
        """Return the state as bytes; the same state gives the same bytes."""
        numbers = array("d", [self.at])
        keys = array("Q")
        sizes: list[int] = []
        for group in self._groups:
            sizes.append(len(group))
            for hashed, known in group.items():
                keys.append(hashed)
                numbers.extend([known.last, known.open_count, known.known_at])
                numbers.extend(known.counts)
                numbers.extend(known.weights)
                numbers.extend(known.sums)
        sizes.append(len(self._entities))
        for hashed, entity in self._entities.items():
            keys.append(hashed)
            numbers.extend([entity.began, entity.ended, entity.flaps, entity.gap])
        sizes.append(len(self._seen))
        for hashed, kinds in self._seen.items():
            keys.append(hashed)
            sizes.append(len(kinds))
            keys.extend(kinds)
            numbers.extend(kinds.values())
        sizes.append(len(self._places))
        for hashed, place in self._places.items():
            keys.extend([hashed, place])
        if sys.byteorder != "little":
            numbers.byteswap()
            keys.byteswap()
        sized = struct.pack(f"<{len(sizes)}Q", *sizes)
        head = struct.pack("<QQQQ", self.observed_count, len(sized), len(keys) * 8, len(numbers) * 8)
        body = bytes.fromhex(self.schema.digest()) + self.salt + head + sized + keys.tobytes() + numbers.tobytes()
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
        sizes = iter(struct.unpack_from(f"<{sizes_length // 8}Q", body, start))
        keys, numbers = array("Q"), array("d")
        keys.frombytes(body[start + sizes_length : start + sizes_length + keys_length])
        numbers.frombytes(body[start + sizes_length + keys_length :][:numbers_length])
        if sys.byteorder != "little":
            numbers.byteswap()
            keys.byteswap()
        state.observed_count = observed_count
        state._read(sizes, iter(keys), iter(numbers))
        return state

    def _read(self, sizes: Iterator[int], keys: Iterator[int], numbers: Iterator[float]) -> None:
        def take(count: int) -> list[float]:
            return [next(numbers) for _ in range(count)]

        counted, known = len(self.schema.half_lives), len(self.schema.outcomes)
        self.at = next(numbers)
        for group in self._groups:
            for _ in range(next(sizes)):
                hashed = next(keys)
                last, open_count, known_at = take(3)
                group[hashed] = _Key(last, take(counted), open_count, known_at, take(known), take(known))
        for _ in range(next(sizes)):
            self._entities[next(keys)] = _Entity(*take(4))
        for _ in range(next(sizes)):
            hashed, count = next(keys), next(sizes)
            places = [next(keys) for _ in range(count)]
            self._seen[hashed] = dict(zip(places, take(count), strict=True))
        self._places = {next(keys): next(keys) for _ in range(next(sizes))}

    # Time.

    def _check(self, at: float) -> None:
        if at < self.at:
            raise PeekingError(
                f"the state already knows what happened until {self.at:.3f}; {at:.3f} is before that"
            )

    def _advance(self, at: float) -> None:
        self._check(at)
        self.at = at

    # Hashes.

    def _hash(self, parts: tuple[str, ...], *, shared: bool = False) -> int:
        """Return 64 bits for a tuple of texts, keyed with the tenant's salt unless they are shared."""
        known = self._hashes.get(parts)
        if known is None:
            hashed = hashlib.blake2b(digest_size=8, key=b"" if shared else self.salt)
            for part in parts:
                encoded = part.encode("utf-8", "surrogatepass")
                hashed.update(len(encoded).to_bytes(4, "little") + encoded)
            known = int.from_bytes(hashed.digest(), "little")
            if len(self._hashes) >= HASHES_KEPT_MAX:
                # Only saves time: what is dropped is hashed again.
                self._hashes.clear()
            self._hashes[parts] = known
        return known

    def _keys(self, seen: Observation) -> list[int]:
        if self._keyed is None or self._keyed[0] is not seen:
            # Only saves time: the same alert is asked about, traced and observed in turn.
            keys = [
                self._hash(("group", *(f"{name}={seen.value(name)}" for name in group)))
                for group in self.schema.groups
            ]
            self._keyed = seen, keys
        return self._keyed[1]

    def _faded(self, known: _Key, at: float) -> list[float]:
        halves = self.schema.half_lives
        return [count * _fade(at - known.last, half) for count, half in zip(known.counts, halves, strict=True)]

    def _new_key(self, at: float) -> _Key:
        schema = self.schema
        nothing = [0.0] * len(schema.outcomes)
        return _Key(at, [0.0] * len(schema.half_lives), 0.0, at, nothing, list(nothing))

    def _place(self, kind: str) -> int:
        """Return the place of a kind: its own, the next free one, or one that it shares."""
        hashed = self._hash(("kind", kind))
        place = self._places.get(hashed)
        if place is None:
            if len(self._places) >= self.schema.kind_count:
                return hashed % self.schema.kind_count
            place = self._places[hashed] = len(self._places)
        return place

    # Remembering.

    def _observe_entity(self, seen: Observation) -> None:
        hashed = self._hash(("entity", seen.service, seen.kind))
        entity = self._entities.pop(hashed, None)
        if entity is None:
            entity = _Entity(seen.at, -math.inf, 0.0, 0.0)
        else:
            gap = math.log1p(seen.at - entity.began)
            entity.gap = gap if entity.gap == 0.0 else 0.8 * entity.gap + 0.2 * gap
            entity.flaps = entity.flaps * _fade(seen.at - entity.began, 3_600.0)
            if seen.at - entity.ended <= 900.0:
                # It ended and is back within a quarter of an hour.
                entity.flaps += 1.0
            entity.began = seen.at
        self._entities[hashed] = entity
        _forget(self._entities, self.schema.key_count_max)

    def _observe_kind(self, seen: Observation) -> None:
        hashed = self._hash(("service", seen.service))
        kinds = self._seen.pop(hashed, {})
        kinds[self._place(seen.kind)] = seen.at
        self._seen[hashed] = kinds
        _forget(self._seen, self.schema.key_count_max)

    # Reading.

    def _numbers(self, seen: Observation) -> NDArray[np.float32]:
        schema = self.schema
        numbers: list[float] = []
        means: list[list[float]] = []
        for keys, hashed, wider in zip(self._groups, self._keys(seen), self._wider, strict=True):
            known = keys.get(hashed)
            prior = [0.0] * len(schema.outcomes) if wider is None else means[wider]
            weight_max = 0.0
            if known is None:
                numbers += [0.0] * len(schema.half_lives)
                numbers += [math.log1p(RECENCY_SECONDS_MAX), 0.0]
                means.append(prior)
            else:
                numbers += [math.log1p(count) for count in self._faded(known, seen.at)]
                numbers += [_recency(seen.at - known.last), math.log1p(known.open_count)]
                fade = _fade(seen.at - known.known_at, schema.outcome_half_life)
                weight_max = fade * max(known.weights, default=0.0)
                strength = schema.outcome_strength if wider is not None else 1.0
                means.append(
                    [
                        (total * fade + strength * before) / (weight * fade + strength)
                        for weight, total, before in zip(known.weights, known.sums, prior, strict=True)
                    ]
                )
            if schema.outcomes:
                numbers += [*means[-1], math.log1p(weight_max)]
        entity = self._entities.get(self._hash(("entity", seen.service, seen.kind)))
        if entity is None:
            numbers += [0.0, math.log1p(RECENCY_SECONDS_MAX), math.log1p(RECENCY_SECONDS_MAX), 0.0]
        else:
            since = seen.at - entity.began
            numbers += [
                entity.flaps * _fade(since, 3_600.0),
                _recency(seen.at - entity.ended),
                _recency(since),
                entity.gap,
            ]
        own = self._seen.get(self._hash(("service", seen.service)), {})
        for seconds in schema.kind_windows:
            numbers += self._active([own], seen.at, seconds)
        if schema.neighbour_window:
            around = [self._seen.get(self._hash(("service", name)), {}) for name in seen.neighbours]
            numbers += self._active(around, seen.at, schema.neighbour_window)
        if schema.clock:
            numbers += _clock(seen.at)
        numbers += [float(seen.numbers.get(name, 0.0)) for name in schema.numbers]
        return np.array(numbers, dtype=np.float32)

    def _active(self, places: Sequence[Mapping[int, float]], at: float, half: float) -> list[float]:
        """Return how many kinds are active, then how freshly each place was seen: 1 now, 0 long ago."""
        fresh = [0.0] * self.schema.kind_count
        for kinds in places:
            for place, last in kinds.items():
                value = _fade(at - last, half)
                if value > FADED and value > fresh[place]:
                    fresh[place] = value
        return [math.log1p(sum(value > 0.0 for value in fresh)), *fresh]

    def _tokens(self, seen: Observation) -> NDArray[np.int32]:
        schema = self.schema
        tokens = []
        for name in schema.fields:
            value = seen.value(name)
            tokens.append(self._bucket((name, value), shared=name in schema.shared) if value else 0)
        for left, right in schema.crosses:
            shared = left in schema.shared and right in schema.shared
            tokens.append(self._bucket((left, seen.value(left), right, seen.value(right)), shared=shared))
        words_kept = list(seen.tokens)[: schema.token_count]
        tokens += [self._bucket(("word", word)) for word in words_kept]
        tokens += [0] * (schema.token_count - len(words_kept))
        return np.array(tokens, dtype=np.int32)

    def _bucket(self, parts: tuple[str, ...], *, shared: bool = False) -> int:
        return 1 + self._hash(("token", "shared" if shared else "own", *parts), shared=shared) % (
            self.schema.bucket_count - 1
        )


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


def _fade(seconds: float, half_life: float) -> float:
    return 0.5 ** (seconds / half_life)


def _recency(seconds: float) -> float:
    return math.log1p(min(seconds, RECENCY_SECONDS_MAX))


def _clock(at: float) -> list[float]:
    hour = (at % DAY_SECONDS) / 3_600.0
    turn = 2 * math.pi * hour / 24
    # 1970-01-01 was a Thursday; Monday is 0.
    day = (int(at // DAY_SECONDS) + 3) % 7
    return [math.sin(turn), math.cos(turn), hour, float(day), float(day >= 5)]


def _span(seconds: float) -> str:
    for unit, size in (("d", DAY_SECONDS), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _forget(table: dict[int, Any], count_max: int) -> None:
    """Drop what was not seen for longest where there is too much; tables are in the order of last use."""
    while len(table) > count_max:
        del table[next(iter(table))]
