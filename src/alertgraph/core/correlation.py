"""Which alerts belong together: candidates, what chance would have brought, groups, and the words for it.

One of these per tenant. Nothing here needs a label or a trained model: a table compares how often two kinds of
alert are seen that close together with how often they would be if each came when it liked. What a trained scorer
says (`ml.pairs`) can take the table's place as the score of a link; everything else stays the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice
from operator import itemgetter
from typing import Any, Final, NamedTuple
from zlib import crc32

from alertgraph.core.value import quick

GAP_BOUNDS: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0)
"""Seconds between two alerts at which a new bucket begins."""
BURST_SECONDS: Final = (10.0, 60.0)
NEVER: Final = 1e6
"""Stands for the quiet before the first alert of a kind, in seconds."""

_GAP: Final = itemgetter(2)
_NUMBERED = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}(?:-[0-9a-f]{4,})*|\d+", re.IGNORECASE)


class Relation(IntEnum):
    """How near two alerts are in what they are about; the smaller, the nearer."""

    ENTITY = 0
    SERVICE = 1
    ONE_HOP = 2
    TWO_HOPS = 3
    ELSEWHERE = 4


# As plain numbers, which are compared thousands of times for each alert.
_ENTITY: Final = int(Relation.ENTITY)
_SERVICE: Final = int(Relation.SERVICE)
_ELSEWHERE: Final = int(Relation.ELSEWHERE)


class EvidenceKind(IntEnum):
    """What speaks for a link."""

    TOPOLOGY = 0
    TIME = 1
    HISTORY = 2
    TITLE = 3
    MODEL = 4


@quick
@dataclass(frozen=True, slots=True)
class Arrival:
    """An alert as correlation sees it.

    Attributes:
        alert: Its id.
        at: When it came, in seconds.
        rule: What kind it is: the rule that it comes from, or the template of its title.
        entity: What it is about: host, pod, device, queue.
        service: The monitored service, where one is named.
    """

    alert: str
    at: float
    rule: str
    entity: str
    service: str | None = None


Hops = Callable[[str, str], int | None]
"""How many dependencies lie between two services; None where they are strangers, or too far apart."""


class PairFacts(NamedTuple):
    """What is known of an arrival and an earlier alert. All of it was known when the arrival came.

    Attributes:
        earlier: The earlier alert.
        relation: How near the two are.
        gap: Seconds between them.
        same_rule: Whether they are of one kind.
        quiet: Seconds since the arrival's key was last seen.
        earlier_quiet: The last quiet of a minute or more before the earlier alert's key came again.
        seen: How often the arrival's key was seen before.
        earlier_seen: How often the earlier alert's key was seen.
        rule_seen: How often the arrival's kind was seen before.
        earlier_rule_seen: How often the earlier alert's kind was seen.
        burst: Alerts of the arrival's key in about the last ten seconds, those longer ago fading.
        earlier_burst: The same for the earlier alert's key.
        wave: Alerts of the arrival's key in about the last minute.
        earlier_wave: The same for the earlier alert's key.
        candidate_count: How many candidates the arrival has.
        arrival_count: How many alerts came before.
    """

    earlier: Arrival
    relation: int
    gap: float
    same_rule: bool
    quiet: float
    earlier_quiet: float
    seen: int
    earlier_seen: int
    rule_seen: int
    earlier_rule_seen: int
    burst: float
    earlier_burst: float
    wave: float
    earlier_wave: float
    candidate_count: int
    arrival_count: int


def title_template(title: str) -> str:
    """Return a title with its numbers and identifiers masked: what alerts of one kind have in common."""
    return " ".join(_NUMBERED.sub("#", title).casefold().split())


def gap_bucket(seconds: float) -> int:
    """Return which bucket a gap falls into, from 0 for under a second."""
    bucket = 0
    for bound in GAP_BOUNDS:
        if seconds < bound:
            break
        bucket += 1
    return bucket


def hops_between(depends_on: Mapping[str, Iterable[str]]) -> Hops:
    """Return what tells how many dependencies, either way, lie between two services: 0, 1, 2 or None."""
    near: dict[str, set[str]] = {}
    for service, needed in depends_on.items():
        for name in needed:
            near.setdefault(service, set()).add(name)
            near.setdefault(name, set()).add(service)

    def hops(left: str, right: str) -> int | None:
        if left == right:
            return 0
        beside = near.get(left, set())
        if right in beside:
            return 1
        return 2 if beside & near.get(right, set()) else None

    return hops


class _KeyState:
    """What is remembered of the alerts of one kind about one entity."""

    __slots__ = ("burst", "latest", "quiet", "seen", "wave")

    def __init__(self, latest: Arrival, seen: int, quiet: float, burst: float, wave: float) -> None:
        self.latest, self.seen, self.quiet, self.burst, self.wave = latest, seen, quiet, burst, wave


Near = tuple[_KeyState, int, float]
"""What is remembered of a candidate's key, how near it is, and the seconds between."""


class Surroundings(NamedTuple):
    """What an arrival finds.

    Attributes:
        near: Its candidates, the nearest in time first.
        quiet: Seconds since its key was last seen.
        quiet_before: The quiet before that; None where its key is new.
        seen: How often its key was seen.
        burst: Alerts of its key in about the last ten seconds.
        wave: The same for the last minute.
    """

    near: list[Near]
    quiet: float
    quiet_before: float | None
    seen: int
    burst: float
    wave: float


class CandidateIndex:
    """The latest alert of each key, and with them the candidates of an arrival."""

    def __init__(
        self,
        window_seconds: float = 900.0,
        candidate_count_max: int = 48,
        key_count_max: int = 10_000,
        scan_count_max: int = 128,
    ) -> None:
        self.window_seconds = window_seconds
        self.candidate_count_max = candidate_count_max
        self.key_count_max = key_count_max
        self.scan_count_max = scan_count_max
        # In the order in which keys were last seen: the newest are at the end, the first to go at the beginning.
        self._keys: dict[tuple[str, str], _KeyState] = {}
        self._rules: dict[str, int] = {}
        self._arrival_count = 0

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, arrival: Arrival, hops: Hops | None = None) -> list[PairFacts]:
        """Return an arrival's candidates, the nearest in time first, and remember it as one for those to come.

        Args:
            arrival: Not before the one taken last; an earlier one counts as though it came with that one.
            hops: How far services are apart; without it, services are the same or strangers.
        """
        surroundings = self.look(arrival, hops)
        facts = self.facts(arrival, surroundings, range(len(surroundings.near)))
        self.keep(arrival, surroundings)
        return facts

    def look(self, arrival: Arrival, hops: Hops | None = None) -> Surroundings:
        """Return what an arrival finds, as `take` does, but remember nothing."""
        state = self._keys.get((arrival.rule, arrival.entity))
        near = self._near(arrival, hops)
        if state is None:
            return Surroundings(near, NEVER, None, 0, 0.0, 0.0)
        quiet = max(0.0, arrival.at - state.latest.at)
        burst, wave = _faded(state.burst, quiet, 0), _faded(state.wave, quiet, 1)
        return Surroundings(near, quiet, state.quiet, state.seen, burst, wave)

    def facts(self, arrival: Arrival, surroundings: Surroundings, places: Iterable[int]) -> list[PairFacts]:
        """Return all that is known of some of an arrival's candidates, by place; asked before it is kept."""
        near, quiet, _, seen, burst, wave = surroundings
        rules, rule_seen, count, (short, long) = (
            self._rules,
            self._rules.get(arrival.rule, 0),
            len(near),
            BURST_SECONDS,
        )
        facts = []
        for place in places:
            state, relation, gap = near[place]
            earlier = state.latest
            facts.append(
                PairFacts(
                    earlier,
                    relation,
                    gap,
                    earlier.rule == arrival.rule,
                    quiet,
                    state.quiet,
                    seen,
                    state.seen,
                    rule_seen,
                    rules.get(earlier.rule, 0),
                    burst,
                    state.burst * math.exp(-gap / short),
                    wave,
                    state.wave * math.exp(-gap / long),
                    count,
                    self._arrival_count,
                )
            )
        return facts

    def keep(self, arrival: Arrival, surroundings: Surroundings) -> None:
        """Remember an arrival as a candidate of those to come."""
        key = (arrival.rule, arrival.entity)
        _, quiet, quiet_before, seen, burst, wave = surroundings
        # A quiet under a minute is within a burst: what was before the burst says more.
        before = quiet_before if quiet_before is not None and quiet <= 60.0 else quiet
        self._keys.pop(key, None)
        self._keys[key] = _KeyState(arrival, seen + 1, before, burst + 1.0, wave + 1.0)
        self._rules[arrival.rule] = self._rules.pop(arrival.rule, 0) + 1
        self._arrival_count += 1
        while len(self._keys) > self.key_count_max:
            del self._keys[next(iter(self._keys))]
        while len(self._rules) > self.key_count_max:
            del self._rules[next(iter(self._rules))]

    def forget(self, alerts: Iterable[str]) -> None:
        """Let alerts be no candidates any more, as when their incident is resolved."""
        gone = set(alerts)
        for key in [key for key, state in self._keys.items() if state.latest.alert in gone]:
            del self._keys[key]

    def ages(self, at: float) -> list[tuple[Arrival, float]]:
        """Return the latest alert of each key within the window before an instant, and how old it is then."""
        found: list[tuple[Arrival, float]] = []
        for state in reversed(self._keys.values()):
            age = at - state.latest.at
            if age > self.window_seconds or len(found) >= self.candidate_count_max:
                break
            found.append((state.latest, max(0.0, age)))
        return found

    def _near(self, arrival: Arrival, hops: Hops | None) -> list[Near]:
        found: list[Near] = []
        strangers: list[Near] = []
        at, rule, window, count_max = arrival.at, arrival.rule, self.window_seconds, self.candidate_count_max
        entity, service = arrival.entity, arrival.service
        knows_hops = hops is not None and service is not None
        for state in islice(reversed(self._keys.values()), self.scan_count_max):
            earlier = state.latest
            gap = at - earlier.at
            if gap > window:
                break
            # What nearly all are is told here: the same, or strangers.
            if earlier.entity == entity:
                relation = _ENTITY
            elif service is not None and earlier.service == service:
                relation = _SERVICE
            else:
                relation = int(relation_of(arrival, earlier, hops)) if knows_hops else _ELSEWHERE
            if relation != _ELSEWHERE or earlier.rule == rule:
                found.append((state, relation, gap if gap > 0.0 else 0.0))
                if len(found) >= count_max:
                    break
            elif len(strangers) < count_max:
                strangers.append((state, relation, gap if gap > 0.0 else 0.0))
        # Strangers of another kind only where there is room; told by age all the same.
        room = self.candidate_count_max - len(found)
        if strangers and room:
            found = sorted(found + strangers[:room], key=_GAP)
        return found

    def told(self) -> dict[str, Any]:
        """Return the state as plain values for JSON."""
        return {
            "arrivals": self._arrival_count,
            "rules": list(self._rules.items()),
            "keys": [
                [
                    *(state.latest.alert, state.latest.at, state.latest.rule, state.latest.entity),
                    *(state.latest.service, state.seen, state.quiet, state.burst, state.wave),
                ]
                for state in self._keys.values()
            ],
        }

    def recall(self, told: Mapping[str, Any]) -> None:
        """Take a state on; the bounds stay as they are."""
        self._arrival_count = told["arrivals"]
        self._rules = dict(told["rules"])
        self._keys = {}
        for alert, at, rule, entity, service, seen, quiet, burst, wave in told["keys"]:
            latest = Arrival(alert, at, rule, entity, service)
            self._keys[rule, entity] = _KeyState(latest, seen, quiet, burst, wave)


def relation_of(arrival: Arrival, earlier: Arrival, hops: Hops | None = None) -> int:
    """Return how near two alerts are."""
    if arrival.entity == earlier.entity:
        return Relation.ENTITY
    if arrival.service is None or earlier.service is None:
        return Relation.ELSEWHERE
    if arrival.service == earlier.service:
        return Relation.SERVICE
    count = None if hops is None else hops(arrival.service, earlier.service)
    if count == 1:
        return Relation.ONE_HOP
    return Relation.TWO_HOPS if count == 2 else Relation.ELSEWHERE


def _faded(amount: float, seconds: float, which: int) -> float:
    return amount * math.exp(-seconds / BURST_SECONDS[which])


@quick
@dataclass(frozen=True, slots=True)
class Chance:
    """What the table says of a pair.

    Attributes:
        ratio: How many times more often such a pair is seen than chance would bring it, drawn towards `nearness`
            while little was seen.
        together: How often this pair of kinds was seen so near and so close together.
        by_chance: How often it would have been if each came when it liked.
        nearness: The same ratio over all kinds, for that relation and gap.
        relation: The same ratio over all kinds and gaps, for that relation.
    """

    ratio: float
    together: float
    by_chance: float
    nearness: float
    relation: float


_UNSEEN: Final = (0.0, 0.0)
Beliefs = Sequence[Sequence[float]]
"""How many times more often than chance, by relation and bucket of gaps, before anything was seen."""
BELIEF_WEIGHT: Final = 5.0
"""What is believed counts as much as so many pairs that chance brought."""
BELIEF_BUCKET: Final = 4
"""Stands for a relation at any gap."""
DAY_ONE: Final[Beliefs] = (
    (60.0, 60.0, 50.0, 40.0, 25.0, 8.0, 3.0, 1.0),
    (40.0, 40.0, 30.0, 25.0, 15.0, 5.0, 2.0, 1.0),
    (40.0, 40.0, 30.0, 25.0, 15.0, 5.0, 2.0, 1.0),
    (15.0, 15.0, 12.0, 10.0, 5.0, 2.0, 1.0, 1.0),
    (2.0, 1.5, 1.2, 1.0, 1.0, 1.0, 1.0, 1.0),
)
"""What a tenant begins with: whose services depend on each other, and within a minute, is likely about one thing.

Without it a cascade would have to happen once before it is known for one. A few hundred alerts outweigh it.
"""


class ChanceTable:
    """Counts of pairs as they came, and of arrivals paired with what there was at another time.

    The second is what chance brings: the moments are drawn evenly from time, not from arrivals, so they know
    nothing of when anything comes. What comes again within seconds is not counted, or a flood would be the table.
    """

    def __init__(
        self,
        entry_count_max: int = 20_000,
        moment_count: int = 32,
        fresh_seconds: float = 10.0,
        shrinkage: float = 3.0,
        beliefs: Beliefs | None = None,
    ) -> None:
        self.beliefs = beliefs
        self.entry_count_max = entry_count_max
        self.moment_count = moment_count
        self.fresh_seconds = fresh_seconds
        self.shrinkage = shrinkage
        self._pairs: dict[tuple[str, str, int, int], list[float]] = {}
        self._near: dict[tuple[int, int], list[float]] = {}
        self._related = [[0.0, 0.0] for _ in Relation]
        self._moments: list[list[tuple[Arrival, float]]] = []
        self._next_moment_at: float | None = None
        self._moment_number = 0
        self._learned = 0

    def __len__(self) -> int:
        return len(self._pairs)

    def begin_stream(self) -> None:
        """Forget the moments kept, but not what was learned: another stream begins, with a clock of its own."""
        self._moments = []
        self._next_moment_at = None

    def look_around(self, at: float, index: CandidateIndex, every_seconds: float = 60.0) -> None:
        """Keep what there is at evenly spaced moments up to now; to be called before an arrival is taken."""
        if self._next_moment_at is None:
            self._next_moment_at = at
        due = self._next_moment_at
        # After a long silence only the last moments would be kept anyhow.
        if at - due > every_seconds * self.moment_count:
            due += (math.floor((at - due) / every_seconds) - self.moment_count) * every_seconds
        while due < at:
            ages = index.ages(due)
            if len(self._moments) < self.moment_count:
                self._moments.append(ages)
            else:
                self._moments[self._moment_number % self.moment_count] = ages
            self._moment_number += 1
            due += every_seconds
        self._next_moment_at = due

    def learn(self, arrival: Arrival, facts: Sequence[PairFacts], hops: Hops | None = None) -> None:
        """Count an arrival's pairs, and those that it would have made at another moment."""
        quiet = facts[0].quiet if facts else NEVER
        self.learn_of(arrival, quiet, [(fact.earlier, fact.relation, fact.gap) for fact in facts], hops)

    def learn_of(
        self, arrival: Arrival, quiet: float, pairs: Iterable[tuple[Arrival, int, float]], hops: Hops | None = None
    ) -> None:
        """Count as `learn` does, of pairs with their relations and gaps."""
        if not self._moments or quiet < self.fresh_seconds:
            return
        for earlier, relation, gap in pairs:
            self._count(earlier.rule, arrival.rule, relation, gap_bucket(gap), 0)
        # Which moment is chance, but the same chance whenever this is done again.
        dice = crc32(f"{arrival.alert} {self._learned}".encode())
        for earlier, age in self._moments[dice % len(self._moments)]:
            self._count(earlier.rule, arrival.rule, relation_of(arrival, earlier, hops), gap_bucket(age), 1)
        self._learned += 1
        if len(self._pairs) > self.entry_count_max:
            self._thin()

    def ratios(self, arrival: Arrival, candidates: Sequence[Near]) -> list[float]:
        """Return of each candidate how many times more often than chance such a pair is seen."""
        pairs, shrinkage, rule = self._pairs, self.shrinkage, arrival.rule
        known: dict[tuple[int, int], float] = {}
        ratios = []
        for state, relation, gap in candidates:
            place = relation, gap_bucket(gap)
            nearness = known.get(place)
            if nearness is None:
                nearness = known[place] = self._nearness(*place)[0]
            together, by_chance = pairs.get((state.latest.rule, rule, *place), _UNSEEN)
            ratios.append((together + shrinkage * nearness) / (by_chance + shrinkage))
        return ratios

    def chance(self, arrival: Arrival, fact: PairFacts) -> Chance:
        """Return what the table says of an arrival and a candidate."""
        bucket = gap_bucket(fact.gap)
        nearness, relation = self._nearness(fact.relation, bucket)
        together, by_chance = self._pairs.get((fact.earlier.rule, arrival.rule, fact.relation, bucket), _UNSEEN)
        ratio = (together + self.shrinkage * nearness) / (by_chance + self.shrinkage)
        return Chance(ratio, together, by_chance, nearness, relation)

    def _nearness(self, relation: int, bucket: int) -> tuple[float, float]:
        """Return the ratio over all kinds of a relation and gap, and over all gaps of the relation."""
        near, far = self._near.get((relation, bucket), _UNSEEN)
        real, control = self._related[relation]
        if self.beliefs is None:
            related = (real + 1) / (control + 1)
            return (near + related) / (far + 1), related
        believed = self.beliefs[relation]
        related = (real + BELIEF_WEIGHT * believed[BELIEF_BUCKET]) / (control + BELIEF_WEIGHT)
        return (near + BELIEF_WEIGHT * believed[bucket]) / (far + BELIEF_WEIGHT), related

    def teach(self, earlier_rule: str, rule: str, relation: int, bucket: int, *, together: bool) -> None:
        """Count a pair of which people have said what chance can't: as seen together, or as brought by chance."""
        counts = self._pairs.setdefault((earlier_rule, rule, relation, bucket), [0.0, 0.0])
        counts[0 if together else 1] += TAUGHT_WEIGHT

    def _count(self, earlier_rule: str, rule: str, relation: int, bucket: int, side: int) -> None:
        counts = self._pairs.get((earlier_rule, rule, relation, bucket))
        if counts is None:
            counts = self._pairs[earlier_rule, rule, relation, bucket] = [0.0, 0.0]
        counts[side] += 1.0
        near = self._near.get((relation, bucket))
        if near is None:
            near = self._near[relation, bucket] = [0.0, 0.0]
        near[side] += 1.0
        self._related[relation][side] += 1.0

    def _thin(self) -> None:
        """Halve all counts and drop those left below one, so that the table forgets and stays bounded."""
        while len(self._pairs) > self.entry_count_max // 2:
            for key, counts in list(self._pairs.items()):
                counts[0] /= 2
                counts[1] /= 2
                if counts[0] + counts[1] < 1.0:
                    del self._pairs[key]
            for counts in (*self._near.values(), *self._related):
                counts[0] /= 2
                counts[1] /= 2

    def told(self) -> dict[str, Any]:
        """Return the state as plain values for JSON."""
        return {
            "learned": self._learned,
            "next_moment_at": self._next_moment_at,
            "moment_number": self._moment_number,
            "pairs": [[*key, *counts] for key, counts in self._pairs.items()],
            "near": [[*key, *counts] for key, counts in self._near.items()],
            "related": [list(counts) for counts in self._related],
            "moments": [
                [[one.alert, one.at, one.rule, one.entity, one.service, age] for one, age in ages]
                for ages in self._moments
            ],
        }

    def recall(self, told: Mapping[str, Any]) -> None:
        """Take a state on; the bounds stay as they are."""
        self._learned = told["learned"]
        self._next_moment_at = told["next_moment_at"]
        self._moment_number = told["moment_number"]
        self._pairs = {
            (earlier, rule, relation, bucket): [real, control]
            for earlier, rule, relation, bucket, real, control in told["pairs"]
        }
        self._near = {(relation, bucket): [real, control] for relation, bucket, real, control in told["near"]}
        self._related = [list(counts) for counts in told["related"]]
        self._moments = [
            [(Arrival(alert, at, rule, entity, service), age) for alert, at, rule, entity, service, age in ages]
            for ages in told["moments"]
        ]


TAUGHT_WEIGHT: Final = 10.0
"""What people say of a pair counts as often as so many that were only seen."""
LINK_COUNT_MAX: Final = 8
"""Links of an arrival that are told, with their evidence; more would only cost."""
RATIO_OF_EVEN_ODDS: Final = 10.0
"""So many times more often than chance, and a pair belongs together as likely as not."""


def chance_score(chance: Chance) -> float:
    """Return how sure the table is of a pair, 0 to 1."""
    return _score(chance.ratio)


def _score(ratio: float) -> float:
    return ratio / (ratio + RATIO_OF_EVEN_ODDS)


@quick
@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason for a link.

    Attributes:
        kind: Sort of reason.
        weight: Its share of what speaks for the link; the shares of a link come to 1.
        text: In words.
    """

    kind: EvidenceKind
    weight: float
    text: str


@quick
@dataclass(frozen=True, slots=True)
class Link:
    """A pair that may belong together.

    Attributes:
        earlier: The alert that was there before.
        score: How sure, 0 to 1.
        evidence: What speaks for it, strongest first; never empty.
    """

    earlier: Arrival
    score: float
    evidence: tuple[Evidence, ...]


def evidence_for(
    arrival: Arrival, fact: PairFacts, chance: Chance, model_score: float | None = None
) -> tuple[Evidence, ...]:
    """Return what speaks for a pair, in words, strongest first; only what was used, and at least one thing.

    Args:
        arrival: The alert that came.
        fact: The pair.
        chance: What the table says of it.
        model_score: What a scorer said, where its word counts: what it knows beyond the table is evidence, too.
    """
    topology, time = math.log(max(chance.relation, 1e-9)), math.log(max(chance.nearness / chance.relation, 1e-9))
    history = math.log(max(chance.ratio / max(chance.nearness, 1e-9), 1e-9))
    spoke: list[tuple[EvidenceKind, float, str]] = []
    if topology > 0 and (text := _topology_text(arrival, fact)):
        spoke.append((EvidenceKind.TOPOLOGY, topology, text))
    if time > 0:
        spoke.append((EvidenceKind.TIME, time, f"{_seconds_text(fact.gap)} apart"))
    if chance.together >= 1 and history > 0:
        text = f"seen like this {_times(chance.together)}; chance explains {chance.by_chance:.1f}"
        spoke.append((EvidenceKind.HISTORY, history, text))
    if fact.same_rule:
        spoke.append((EvidenceKind.TITLE, 0.25, f"the same kind of alert: {arrival.rule}"))
    if model_score is not None:
        sure = min(max(model_score, 1e-6), 1 - 1e-6)
        beyond = math.log(sure / (1 - sure)) - math.log(max(chance.ratio, 1e-9) / RATIO_OF_EVEN_ODDS)
        if beyond > 0:
            spoke.append((EvidenceKind.MODEL, beyond, "like alerts that people have put together"))
    if not spoke:  # The time was used whatever it says.
        spoke = [(EvidenceKind.TIME, 1.0, f"{_seconds_text(fact.gap)} apart")]
    total = sum(weight for _, weight, _ in spoke)
    evidence = [Evidence(kind, weight / total, text) for kind, weight, text in spoke]
    evidence.sort(key=lambda one: (-one.weight, one.kind))
    return tuple(evidence)


def _topology_text(arrival: Arrival, fact: PairFacts) -> str:
    match fact.relation:
        case Relation.ENTITY:
            return f"about the same thing: {arrival.entity}"
        case Relation.SERVICE:
            return f"on the same service: {arrival.service}"
        case Relation.ONE_HOP:
            return f"{arrival.service} and {fact.earlier.service} depend on each other directly"
        case Relation.TWO_HOPS:
            return f"{arrival.service} and {fact.earlier.service} have a dependency in common"
        case _:
            return ""


def _seconds_text(seconds: float) -> str:
    if seconds < 1:
        return "under a second"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _times(count: float) -> str:
    return "once" if round(count) == 1 else f"{count:.0f} times"


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """When a group takes no more, and when a link is one.

    Attributes:
        score_min: A link below this score joins nothing.
        merge_score_min: A link below this score says nothing of joining two groups.
        alert_count_max: Alerts of a group.
        age_seconds_max: From its first alert on.
        group_count_max: Open groups remembered; the one without news longest is closed beyond it.
        vote_count_max: Pairs remembered that speak for joining two groups.
    """

    score_min: float = 0.5
    merge_score_min: float = 0.5
    alert_count_max: int = 500
    age_seconds_max: float = 86_400.0
    group_count_max: int = 2_000
    vote_count_max: int = 1_000


@dataclass(slots=True)
class Group:
    """Alerts that are thought to belong together.

    Attributes:
        id: Its number; groups are numbered as they are opened.
        opened_at: When its first alert came.
        newest_at: When its newest alert came.
        alerts: Its alerts by id, in the order in which they came.
    """

    id: int
    opened_at: float
    newest_at: float
    alerts: dict[str, Arrival] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Placement:
    """Where an arrival went.

    Attributes:
        group: The group's number.
        link: Why it joined; None where it opened the group.
        merged: Groups that were joined to this one because two pairs agreed, by number.
    """

    group: int
    link: Link | None
    merged: tuple[int, ...] = ()


Key = tuple[str, str]
"""A kind of alert and what it is about."""
MayJoin = Callable[[int, int], bool]
"""Says of two groups, by number, whether they may be joined."""


def key_of(arrival: Arrival) -> Key:
    """Return by what alerts of one kind about one thing are known."""
    return arrival.rule, arrival.entity


class Apart:
    """Keys that people have split, and not put together since: what they told apart is not grouped again."""

    def __init__(self, pair_count_max: int = 2_000) -> None:
        self.pair_count_max = pair_count_max
        # Both ways, each in the order in which it was said last.
        self._others: dict[Key, dict[Key, None]] = {}
        self._pairs: dict[tuple[Key, Key], None] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    def keep(self, one: Key, other: Key) -> None:
        """Keep two keys apart from now on."""
        if one == other:
            # Of one kind and about one thing: what was meant is these alerts, not those to come.
            return
        self.let(one, other)
        self._pairs[min(one, other), max(one, other)] = None
        self._others.setdefault(one, {})[other] = None
        self._others.setdefault(other, {})[one] = None
        while len(self._pairs) > self.pair_count_max:
            self.let(*next(iter(self._pairs)))

    def let(self, one: Key, other: Key) -> None:
        """Let two keys be together again."""
        self._pairs.pop((min(one, other), max(one, other)), None)
        for key, beside in ((one, other), (other, one)):
            others = self._others.get(key)
            if others is not None:
                others.pop(beside, None)
                if not others:
                    del self._others[key]

    def parts(self, key: Key, alerts: Iterable[Arrival]) -> bool:
        """Say whether a key is kept apart from any of these alerts."""
        others = self._others.get(key)
        return others is not None and any(key_of(alert) in others for alert in alerts)

    def told(self) -> list[Any]:
        """Return the state as plain values for JSON."""
        return [[*one, *other] for one, other in self._pairs]

    def recall(self, told: Iterable[Sequence[str]]) -> None:
        """Take a state on; the bound stays as it is."""
        self._others, self._pairs = {}, {}
        for rule, entity, other_rule, other_entity in told:
            self.keep((rule, entity), (other_rule, other_entity))


class Grouping:
    """Groups that are open. One that was closed takes no alert ever again: its alerts are not known any more."""

    def __init__(self, limits: GroupLimits | None = None) -> None:
        self.limits = limits or GroupLimits()
        self.apart = Apart()
        self._groups: dict[int, Group] = {}
        self._group_of: dict[str, int] = {}
        self._votes: dict[tuple[int, int], list[tuple[tuple[str, str], tuple[str, str]]]] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._groups)

    def group(self, number: int) -> Group | None:
        """Return an open group; None where it is closed, was joined to another, or never was."""
        return self._groups.get(number)

    def group_of(self, alert: str) -> int | None:
        """Return the number of the open group that holds an alert."""
        return self._group_of.get(alert)

    def groups(self) -> list[Group]:
        """Return the open groups, in the order in which they were opened."""
        return list(self._groups.values())

    def place(self, arrival: Arrival, links: Sequence[Link], may_join: MayJoin | None = None) -> Placement:
        """Put an arrival into the group of its best link that can take it, else into a new one.

        Args:
            arrival: Not in a group yet; one that is stays where it is.
            links: In any order; those below the least score are passed over.
            may_join: Which groups may be joined to one another; any, where it is not given.
        """
        known = self._group_of.get(arrival.alert)
        if known is not None:
            return Placement(known, None)
        strong = sorted(
            (link for link in links if link.score >= self.limits.score_min),
            key=lambda link: (-link.score, -link.earlier.at, link.earlier.alert),
        )
        joined: Group | None = None
        via: Link | None = None
        for link in strong:
            group = self._groups.get(self._group_of.get(link.earlier.alert, 0))
            if (
                group is not None
                and self._takes(group, arrival.at, 1)
                and not self.apart.parts(key_of(arrival), group.alerts.values())
            ):
                joined, via = group, link
                break
        if joined is None:
            joined = Group(self._next_id, arrival.at, arrival.at)
            self._groups[joined.id] = joined
            self._next_id += 1
        self._add(joined, arrival)
        merged = self._vote(joined, arrival, strong, may_join) if via is not None else ()
        while len(self._groups) > self.limits.group_count_max:
            self.close(min(self._groups.values(), key=lambda group: (group.newest_at, group.id)).id)
        return Placement(joined.id, via, merged)

    def close(self, number: int) -> tuple[str, ...]:
        """Close a group and return its alerts; none where there is no such group."""
        group = self._groups.pop(number, None)
        if group is None:
            return ()
        for alert in group.alerts:
            del self._group_of[alert]
        for pair in [pair for pair in self._votes if number in pair]:
            del self._votes[pair]
        return tuple(group.alerts)

    def open(self, arrivals: Iterable[Arrival], at: float) -> int:
        """Open a group of alerts, each of which leaves the group it was in, and return its number."""
        group = Group(self._next_id, at, at)
        self._next_id += 1
        self._groups[group.id] = group
        for arrival in arrivals:
            self.move(arrival, group.id)
        return group.id

    def move(self, arrival: Arrival, number: int) -> None:
        """Put an alert into an open group, whatever the caps say: people or rules did; an empty one closes."""
        target = self._groups[number]
        known = self._group_of.get(arrival.alert)
        if known == number:
            return
        if known is not None:
            left = self._groups[known]
            del left.alerts[arrival.alert]
            if not left.alerts:
                self.close(known)
        self._add(target, arrival)
        target.opened_at = min(target.opened_at, arrival.at)

    def merge(self, into: int, other: int) -> bool:
        """Join one group to another, whatever the caps say: a person asked. False where either is not open."""
        target, source = self._groups.get(into), self._groups.get(other)
        if target is None or source is None or target is source:
            return False
        arrivals = list(source.alerts.values())
        self.close(other)
        target.opened_at = min(target.opened_at, source.opened_at)
        for arrival in arrivals:
            self._add(target, arrival)
        target.alerts = dict(sorted(target.alerts.items(), key=lambda one: one[1].at))
        return True

    def split(self, number: int, alerts: Iterable[str]) -> int | None:
        """Move alerts of a group into a new one and return its number; None where it would leave either empty."""
        group = self._groups.get(number)
        if group is None:
            return None
        moved = [group.alerts[alert] for alert in dict.fromkeys(alerts) if alert in group.alerts]
        if not moved or len(moved) == len(group.alerts):
            return None
        fresh = Group(self._next_id, moved[0].at, moved[0].at)
        self._next_id += 1
        self._groups[fresh.id] = fresh
        for arrival in sorted(moved, key=lambda one: one.at):
            del group.alerts[arrival.alert]
            self._add(fresh, arrival)
        fresh.opened_at = min(arrival.at for arrival in moved)
        for pair in [pair for pair in self._votes if number in pair]:
            del self._votes[pair]
        return fresh.id

    def _add(self, group: Group, arrival: Arrival) -> None:
        group.alerts[arrival.alert] = arrival
        group.newest_at = max(group.newest_at, arrival.at)
        self._group_of[arrival.alert] = group.id

    def _takes(self, group: Group, at: float, count: int) -> bool:
        return (
            len(group.alerts) + count <= self.limits.alert_count_max
            and at - group.opened_at <= self.limits.age_seconds_max
        )

    def _vote(
        self, joined: Group, arrival: Arrival, strong: Sequence[Link], may_join: MayJoin | None
    ) -> tuple[int, ...]:
        """Remember what links to other groups say, and join a group where two pairs that share no key agree."""
        merged = []
        key = (arrival.rule, arrival.entity)
        for link in strong:
            other = self._groups.get(self._group_of.get(link.earlier.alert, 0))
            if other is None or other is joined or link.score < self.limits.merge_score_min:
                continue
            pair = (min(joined.id, other.id), max(joined.id, other.id))
            earlier_key = (link.earlier.rule, link.earlier.entity)
            votes = self._votes.pop(pair, [])
            self._votes[pair] = votes
            agrees = any(not {key, earlier_key} & set(vote) for vote in votes)
            votes.append((key, earlier_key))
            del votes[:-4]
            if (
                agrees
                and self._takes(joined, arrival.at, len(other.alerts))
                and self._fits(joined, other, arrival.at)
                and (may_join is None or may_join(joined.id, other.id))
                and not any(
                    self.apart.parts(key_of(alert), other.alerts.values()) for alert in joined.alerts.values()
                )
            ):
                # The older one keeps its number: people may know it.
                keep, gone = (joined, other) if joined.id < other.id else (other, joined)
                self.merge(keep.id, gone.id)
                merged.append(gone.id)
                joined = keep
        while len(self._votes) > self.limits.vote_count_max:
            del self._votes[next(iter(self._votes))]
        return tuple(merged)

    def _fits(self, joined: Group, other: Group, at: float) -> bool:
        return at - min(joined.opened_at, other.opened_at) <= self.limits.age_seconds_max

    def told(self) -> dict[str, Any]:
        """Return the state as plain values for JSON."""
        return {
            "next_id": self._next_id,
            "groups": [
                [
                    group.id,
                    group.opened_at,
                    group.newest_at,
                    [[one.alert, one.at, one.rule, one.entity, one.service] for one in group.alerts.values()],
                ]
                for group in self._groups.values()
            ],
            "votes": [[*pair, votes] for pair, votes in self._votes.items()],
            "apart": self.apart.told(),
        }

    def recall(self, told: Mapping[str, Any]) -> None:
        """Take a state on; the limits stay as they are."""
        self._next_id = told["next_id"]
        self._groups, self._group_of = {}, {}
        for number, opened_at, newest_at, alerts in told["groups"]:
            group = Group(number, opened_at, newest_at)
            self._groups[number] = group
            for alert, at, rule, entity, service in alerts:
                self._add(group, Arrival(alert, at, rule, entity, service))
            group.newest_at = newest_at
        self._votes = {
            (low, high): [((one[0], one[1]), (other[0], other[1])) for one, other in votes]
            for low, high, votes in told["votes"]
        }
        self.apart.recall(told["apart"])


PairScorer = Callable[[Arrival, Sequence[PairFacts]], Sequence[float]]
"""Says how sure it is of an arrival and each of its candidates, 0 to 1."""


@quick
@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate of an arrival, and how likely the two belong together.

    Attributes:
        fact: The pair.
        chance: What the table said of it.
        score: How sure, 0 to 1.
        by_table: How sure the table alone was.
        is_scored: Whether a scorer took the table's place.
    """

    fact: PairFacts
    chance: Chance
    score: float
    by_table: float
    is_scored: bool

    def link(self, arrival: Arrival) -> Link:
        """Return the two as a link, with what speaks for it."""
        evidence = evidence_for(arrival, self.fact, self.chance, self.score if self.is_scored else None)
        return Link(self.fact.earlier, self.score, evidence)


THRESHOLDS: Final = tuple(place / 20 for place in range(6, 20))
"""From which score on a pair may be grouped, as far as people have their say in it."""
THRESHOLD: Final = 0.5
_LABEL_COUNT_MAX = 200
# So many wrong ones are taken for each step away from even odds: one or two labels move nothing.
_STEP_COST = 1.0


class Threshold:
    """From which score on alerts are grouped: as people merge and split, it follows what they would have had."""

    def __init__(self) -> None:
        self.together: list[float] = []
        self.apart: list[float] = []

    @property
    def value(self) -> float:
        """The score with which the fewest of the latest labels would have been wrong."""
        if not (self.together or self.apart):
            return THRESHOLD

        def cost(threshold: float) -> float:
            wrong = sum(score < threshold for score in self.together)
            wrong += sum(score >= threshold for score in self.apart)
            return wrong + _STEP_COST * abs(threshold - THRESHOLD) * 20

        return min(THRESHOLDS, key=lambda threshold: (cost(threshold), abs(threshold - THRESHOLD)))

    def learn(self, score: float, *, together: bool) -> None:
        """Take note of what people made of a pair of that score."""
        labels = self.together if together else self.apart
        labels.append(score)
        del labels[:-_LABEL_COUNT_MAX]

    def told(self) -> list[list[float]]:
        """Return the state as plain values for JSON."""
        return [self.together, self.apart]

    def recall(self, told: Sequence[Sequence[float]]) -> None:
        """Take a state on."""
        self.together, self.apart = list(told[0]), list(told[1])


class Correlator:
    """A tenant's correlation: candidates, table and groups, one arrival at a time."""

    def __init__(
        self,
        limits: GroupLimits | None = None,
        index: CandidateIndex | None = None,
        table: ChanceTable | None = None,
    ) -> None:
        self.index = CandidateIndex() if index is None else index
        self.table = ChanceTable() if table is None else table
        self.groups = Grouping(limits)

    def take(self, arrival: Arrival, hops: Hops | None = None, scorer: PairScorer | None = None) -> Placement:
        """Put an arrival into a group, new or not, and learn from it.

        Args:
            arrival: The alert.
            hops: How far services are apart.
            scorer: Takes the table's place where it is given.
        """
        links = self.links(arrival, hops, scorer)
        return self.groups.place(arrival, links)

    def links(self, arrival: Arrival, hops: Hops | None = None, scorer: PairScorer | None = None) -> list[Link]:
        """Return an arrival's strongest links to its candidates, the strongest first, and learn from it."""
        weighed = self.weigh(arrival, hops, scorer)
        return [one.link(arrival) for one in weighed if one.score >= self.groups.limits.score_min]

    def weigh(self, arrival: Arrival, hops: Hops | None = None, scorer: PairScorer | None = None) -> list[Weighed]:
        """Return the candidates that an arrival likely belongs with, the likeliest first, and learn from it."""
        self.table.look_around(arrival.at, self.index)
        surroundings = self.index.look(arrival, hops)
        near = surroundings.near
        scores = by_table = [_score(ratio) for ratio in self.table.ratios(arrival, near)]
        if scorer is not None:
            scores = list(scorer(arrival, self.index.facts(arrival, surroundings, range(len(near)))))
        order = sorted(range(len(near)), key=lambda place: -scores[place])[:LINK_COUNT_MAX]
        weighed = [
            Weighed(
                fact,
                self.table.chance(arrival, fact),
                scores[place],
                by_table[place],
                is_scored=scorer is not None,
            )
            for place, fact in zip(order, self.index.facts(arrival, surroundings, order), strict=True)
        ]
        self.index.keep(arrival, surroundings)
        # Whoever has no candidates counts as never seen: so it was learnt from the start.
        quiet = surroundings.quiet if near else NEVER
        pairs = [(state.latest, relation, gap) for state, relation, gap in near]
        self.table.learn_of(arrival, quiet, pairs, hops)
        return weighed

    def resolve(self, number: int) -> tuple[str, ...]:
        """Close a group for good and return its alerts: what comes later opens another one."""
        alerts = self.groups.close(number)
        self.index.forget(alerts)
        return alerts

    def told(self) -> dict[str, Any]:
        """Return the state as plain values for JSON."""
        return {"index": self.index.told(), "table": self.table.told(), "groups": self.groups.told()}

    def recall(self, told: Mapping[str, Any]) -> None:
        """Take a state on; bounds and limits stay as they are."""
        self.index.recall(told["index"])
        self.table.recall(told["table"])
        self.groups.recall(told["groups"])


def root_alert(alerts: Sequence[Arrival], depends_on: Mapping[str, Iterable[str]]) -> Arrival | None:
    """Return the alert that the others most likely follow from; None where there is none.

    The earliest alert of a service none of whose dependencies has an alert among them; of such services, that one
    which most of the others need, directly or through others. Without dependencies, simply the earliest.
    """
    if not alerts:
        return None
    troubled = {one.service for one in alerts if one.service is not None}
    needs = {service: set(depends_on.get(service, ())) - {service} for service in troubled}
    roots = {service for service in troubled if not needs[service] & troubled}
    # Where services need each other in a circle, none of them is free of blame.
    candidates = [one for one in alerts if one.service in roots] or list(alerts)
    needed_by = {
        root: sum(1 for service in troubled if service != root and _needs(service, root, depends_on))
        for root in roots
    }
    return min(candidates, key=lambda one: (-needed_by.get(one.service or "", 0), one.at, one.alert))


def _needs(service: str, other: str, depends_on: Mapping[str, Iterable[str]]) -> bool:
    seen, edge = {service}, [service]
    while edge:
        edge = [name for one in edge for name in depends_on.get(one, ()) if name not in seen]
        if other in edge:
            return True
        seen.update(edge)
    return False
