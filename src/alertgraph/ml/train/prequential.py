"""Replays what happened in the order in which it became known: first answer, then wait, then learn.

An outcome is used from the moment on when a service would have known it, never from the moment when it happened.
Models, blends, calibration and thresholds of a day are made from what was known when the day began.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.artifact import LINEAR, NETWORK, TREES
from alertgraph.ml.blend import Blend, choose_blend
from alertgraph.ml.calibration import Abstention, Conformal, choose_abstention, fit_platt, weighted_limit
from alertgraph.ml.features import DAY_SECONDS, Ended, FeatureSchema, FeatureState, Observation, Told, TurnedOut
from alertgraph.ml.model import Examples, Fitting, time_quantile
from alertgraph.ml.train.members import Members, Recipe, fit_members
from alertgraph.ml.train.provisional import provisional_answers

Floats = NDArray[np.float64]
HOUR_SECONDS = 3_600.0
# Nothing lasts shorter: clocks of sources tell minutes at best.
HOURS_MIN = 1 / 60
# One that is open counts for these shares of what alerts came to that had lasted as long.
OPEN_SHARES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


@dataclass(frozen=True, slots=True)
class Maturing:
    """An outcome that features learn from, and when it becomes known.

    Attributes:
        outcome: One of the schema's outcomes.
        value: What it turns out to be.
        at: When that is known, in seconds since 1970.
    """

    outcome: str
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Case:
    """An alert, and what became of it.

    Attributes:
        seen: What was known when it came in.
        ended_at: When its end became known; None while it is open.
        outcomes: What the state of features learns later.
    """

    seen: Observation
    ended_at: float | None = None
    outcomes: Sequence[Maturing] = ()


class MaturityQueue:
    """Gives back what was put in once its time has come, earliest first, and among equals in the order put in."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Case, Maturing | None]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, case: Case) -> None:
        """Wait for everything that will become known of a case; its end comes as None."""
        for maturing in case.outcomes:
            self._push(maturing.at, case, maturing)
        if case.ended_at is not None:
            self._push(case.ended_at, case, None)

    def due(self, until: float) -> Iterator[tuple[float, Case, Maturing | None]]:
        """Yield what becomes known up to and including this moment."""
        while self._waiting and self._waiting[0][0] <= until:
            at, _, case, maturing = heapq.heappop(self._waiting)
            yield at, case, maturing

    def _push(self, at: float, case: Case, maturing: Maturing | None) -> None:
        heapq.heappush(self._waiting, (max(at, case.seen.at), self._count, case, maturing))
        self._count += 1


def replay(
    cases: Sequence[Case], schema: FeatureSchema, salt: bytes, learns_until: float = math.inf
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the features of each case as they were when it came in.

    Args:
        cases: In the order in which they came in.
        schema: Which features there are.
        salt: Of the state.
        learns_until: After this moment no outcome reaches the state: what a frozen service would see.

    Returns:
        (n, number_count) float32 and (n, token_count) int32.
    """
    queue = MaturityQueue()
    told: list[Told] = []
    for case in cases:
        for at, known, maturing in queue.due(case.seen.at):
            if maturing is None:
                told.append(Ended(known.seen, at))
            elif at <= learns_until:
                told.append(TurnedOut(known.seen, {maturing.outcome: maturing.value}, at))
        told.append(case.seen)
        queue.put(case)
    rows = FeatureState(schema, salt).take(told)
    return rows.numbers, rows.tokens


@dataclass(frozen=True, slots=True)
class Stream:
    """Everything about a sequence of alerts, with when it became known.

    Attributes:
        at: (n,) when each came in, ascending.
        began_at: (n,) when it began, which may be before anyone knew; durations count from here.
        numbers: (n, number_count)
        tokens: (n, token_count)
        answers: (n, question_count) 0 or 1: how it turned out in the end.
        known_at: (n, question_count) when that became known; inf where it never did.
        ended_at: (n,) when it ended; inf where it never did.
    """

    at: Floats
    began_at: Floats
    numbers: NDArray[np.float32]
    tokens: NDArray[np.int32]
    answers: Floats
    known_at: Floats
    ended_at: Floats


@dataclass(frozen=True, slots=True)
class Plan:
    """How models are kept up to date.

    Attributes:
        recipe: How they are fitted anew.
        horizons: By question: hours after which its answer is always known.
        refit_days: Every so many days everything is fitted anew.
        half_life_days: After how long a row counts half.
        belief_half_life_days: The same for what tells how outcomes not known yet will turn out.
        trees_half_life_days: The same for trees, which need more rows.
        replay_half_life_days: The same for what is repeated between refits.
        replay_share: Rows repeated for each new one.
        daily: How the network is brought up to date between refits.
        kept_max: How many outcomes calibration remembers.
        ranges_miss: Share of times that may lie outside the range given.
        certainty: Share of committed answers that has to be right.
    """

    recipe: Recipe
    horizons: Mapping[str, float]
    refit_days: int = 7
    half_life_days: float = 14.0
    belief_half_life_days: float = 7.0
    trees_half_life_days: float = 30.0
    replay_half_life_days: float = 10.0
    replay_share: float = 2.0
    daily: Fitting = field(default_factory=lambda: Fitting(epochs=1, rate=1e-3, batch_size=128))
    kept_max: int = 2_000
    ranges_miss: float = 0.2
    certainty: float = 0.95


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was answered when; nan where nothing was asked.

    Attributes:
        members: By model, (n, question_count): what each said.
        blended: (n, question_count) what they said together, calibrated.
        verdicts: (n, question_count) the conformal verdict, or None.
        commits: (n, question_count) whether the answer was given as certain.
        hours: (n, 3) lower end, middle and upper end of the time to an end.
    """

    members: Mapping[str, Floats]
    blended: Floats
    verdicts: NDArray[np.object_]
    commits: NDArray[np.bool_]
    hours: Floats


class SurvivalCurve:
    """How long alerts last, from some that have ended and some that have lasted so long at least.

    References:
        Kaplan and Meier, *Nonparametric estimation from incomplete observations*, 1958.
    """

    def __init__(self, hours: Floats, ended: NDArray[np.bool_]) -> None:
        order = np.argsort(hours, kind="stable")
        self._hours = hours[order]
        at_risk = np.arange(len(hours), 0, -1)
        self._open = np.cumprod(1.0 - ended[order] / at_risk)

    def later(self, lasted: float, shares: Floats) -> Floats:
        """Return by when these shares have ended of those that are open after so many hours: never before then."""
        place = int(np.searchsorted(self._hours, lasted, side="right"))
        still_open = self._open[place - 1] if place else 1.0
        ends = np.searchsorted(-self._open, -(still_open * (1.0 - shares)))
        return np.maximum(self._hours[np.minimum(ends, len(self._hours) - 1)], lasted)


def widening(
    lows: Floats, highs: Floats, rows: NDArray[np.int64], values: Floats, weights: Floats, miss_rate: float
) -> float:
    """Return what ranges have to be widened by at both ends to hold all but a share of what came.

    Args:
        lows: (n,) lower ends as the model gave them.
        highs: (n,) upper ends.
        rows: (m,) which range each value is of.
        values: (m,) what came, or may come.
        weights: (m,) how likely that is; those of a range add up to 1.
        miss_rate: The share that may lie outside.
    """
    scores = np.maximum(lows[rows] - values, values - highs[rows])
    limit = weighted_limit(scores, weights, miss_rate)
    return limit if math.isfinite(limit) else 0.0


@dataclass(slots=True)
class _Force:
    """The models in force, and how their answers are put together."""

    members: Members
    blends: list[Blend]
    abstentions: list[Abstention]
    conformal: list[Conformal]


class Prequential:
    """Answers a stream day by day, and learns in between."""

    def __init__(self, stream: Stream, plan: Plan) -> None:
        self.stream = stream
        self.plan = plan
        self._draw = np.random.default_rng(plan.recipe.seed)
        self._edges = np.asarray(plan.recipe.time_edges)
        # Ranges as the network gave them: what they are widened by is learnt from these.
        self._raw_hours = np.full((len(stream.at), 3), np.nan)

    def run(self, start: float, warm: float, end: float) -> Replayed:
        """Answer every alert that came in from `warm` to `end`.

        Args:
            start: Alerts before this moment are no examples.
            warm: When answering begins: long enough before what is scored that calibration has outcomes.
            end: When it ends.
        """
        stream, plan = self.stream, self.plan
        count, asked = len(stream.at), len(plan.recipe.questions)
        members = {name: np.full((count, asked), np.nan) for name in (NETWORK, TREES, LINEAR)}
        said = Replayed(
            members,
            np.full((count, asked), np.nan),
            np.full((count, asked), None, dtype=object),
            np.zeros((count, asked), dtype=bool),
            np.full((count, 3), np.nan),
        )
        force: _Force | None = None
        now, last, day = warm, -math.inf, 0
        while now < end:
            rows = np.flatnonzero((stream.at >= start) & (stream.at < now))
            examples = self.examples(rows, now)
            if force is None or day % plan.refit_days == 0:
                force = self._refitted(examples, rows, now)
            else:
                self._brought_up_to_date(force, examples, rows, last, now)
            self._calibrated(force, said, rows, examples, now)
            self._answered(force, said, now, min(now + DAY_SECONDS, end))
            last, now, day = now, now + DAY_SECONDS, day + 1
        return said

    def examples(self, rows: NDArray[np.int64], now: float) -> Examples:
        """Return rows as they look now: outcomes as far as they are known or believed."""
        stream, plan = self.stream, self.plan
        ended = stream.ended_at[rows] <= now
        until = np.where(ended, stream.ended_at[rows], now)
        hours = np.maximum((until - stream.began_at[rows]) / HOUR_SECONDS, 1e-3)
        ages = (now - stream.at[rows]) / HOUR_SECONDS
        weights = 0.5 ** (ages / 24 / plan.half_life_days)
        answers = np.full((len(rows), len(plan.recipe.questions)), np.nan)
        for place in range(len(plan.recipe.questions)):
            known_at = stream.known_at[rows, place]
            answers[:, place] = provisional_answers(
                stream.answers[rows, place],
                known_at <= now,
                (known_at - stream.at[rows]) / HOUR_SECONDS,
                hours,
                ended,
                ages,
                0.5 ** (ages / 24 / plan.belief_half_life_days),
                self._edges,
            )
        return Examples(stream.numbers[rows], stream.tokens[rows], answers, hours, ended, weights)

    def _refitted(self, examples: Examples, rows: NDArray[np.int64], now: float) -> _Force:
        plan = self.plan
        ages = (now - self.stream.at[rows]) / DAY_SECONDS
        members = fit_members(examples, plan.recipe, 0.5 ** (ages / plan.trees_half_life_days))
        asked = plan.recipe.questions
        equal = dict.fromkeys((NETWORK, TREES, LINEAR), 1 / 3)
        nothing = [Conformal(1 - plan.certainty, plan.kept_max) for _ in asked]
        return _Force(members, [Blend(equal) for _ in asked], [Abstention(1.0, 0.0) for _ in asked], nothing)

    def _brought_up_to_date(
        self, force: _Force, examples: Examples, rows: NDArray[np.int64], last: float, now: float
    ) -> None:
        """Learn on a copy from what became known since, and from some of the rest, then let it answer."""
        plan, stream = self.plan, self.stream
        known_at = np.column_stack([stream.known_at[rows], stream.ended_at[rows], stream.at[rows]])
        new = np.flatnonzero(((known_at > last) & (known_at <= now)).any(1))
        if not len(new):
            return
        shares = 0.5 ** ((now - stream.at[rows]) / DAY_SECONDS / plan.replay_half_life_days)
        old = self._draw.choice(len(rows), int(plan.replay_share * len(new)), p=shares / shares.sum())
        candidate = force.members.network.copy()
        seed = int(self._draw.integers(2**31))
        candidate.learn(examples.at(np.concatenate([new, old])), replace(plan.daily, seed=seed))
        force.members.network = candidate

    def _calibrated(
        self, force: _Force, said: Replayed, rows: NDArray[np.int64], examples: Examples, now: float
    ) -> None:
        """Choose blends and thresholds by the answers given so far, and by what is known of them now."""
        plan = self.plan
        recent = np.flatnonzero(~np.isnan(said.members[NETWORK][rows, 0]))[-plan.kept_max :]
        places = rows[recent]
        for place, question in enumerate(plan.recipe.questions):
            labels = examples.answers[recent, place]
            told = ~np.isnan(labels)
            answers = {name: values[places[told], place] for name, values in said.members.items()}
            blend = choose_blend(labels[told], answers, examples.weights[recent][told])
            # The models learnt from what is believed; only what is old enough to be known can straighten them.
            old = (now - self.stream.at[places[told]]) / HOUR_SECONDS >= plan.horizons[question]
            mean = blend.mean({name: values[old] for name, values in answers.items()})
            platt = fit_platt(labels[told][old], mean, examples.weights[recent][told][old])
            force.blends[place] = replace(blend, platt=platt)
            given = said.blended[places[told], place]
            force.abstentions[place] = choose_abstention(labels[told], given, plan.certainty)
            conformal = Conformal(1 - plan.certainty, plan.kept_max)
            conformal.restore(zip(given.tolist(), labels[told].tolist(), strict=True))
            force.conformal[place] = conformal

    def _answered(self, force: _Force, said: Replayed, start: float, end: float) -> None:
        """Answer the alerts of a day."""
        stream = self.stream
        today = np.flatnonzero((stream.at >= start) & (stream.at < end))
        if not len(today):
            return
        numbers, tokens = stream.numbers[today], stream.tokens[today]
        told, network = force.members.answers(numbers, tokens)
        for place, answers in enumerate(told.values()):
            for name, values in answers.items():
                said.members[name][today, place] = values
            blended = force.blends[place](answers)
            said.blended[today, place] = blended
            said.commits[today, place] = force.abstentions[place].commits(blended)
            said.verdicts[today, place] = force.conformal[place].verdicts(blended)
        if network.survival is not None:
            self._timed(said, network.survival, today, start)

    def _lasted(self, rows: NDArray[np.int64], now: float) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Return how long alerts have lasted, as far as is known: for each value its row, log hours and weight.

        One that is open counts for what alerts came to that had lasted as long, by Kaplan and Meier.
        """
        stream = self.stream
        came = np.flatnonzero(stream.at < now)
        curve = SurvivalCurve(*self._until(came, now))
        hours, ended = self._until(rows, now)
        places, values, weights = [np.flatnonzero(ended)], [hours[ended]], [np.ones(int(ended.sum()))]
        for place in np.flatnonzero(~ended):
            later = curve.later(float(hours[place]), OPEN_SHARES)
            places.append(np.full(len(later), place))
            values.append(later)
            weights.append(np.full(len(later), 1 / len(later)))
        return np.concatenate(places), np.log(np.concatenate(values)), np.concatenate(weights)

    def _until(self, rows: NDArray[np.int64], now: float) -> tuple[Floats, NDArray[np.bool_]]:
        """Return for how many hours alerts have lasted by now, and whether they have ended."""
        stream = self.stream
        hours = (np.minimum(stream.ended_at[rows], now) - stream.began_at[rows]) / HOUR_SECONDS
        return np.maximum(hours, HOURS_MIN), stream.ended_at[rows] <= now

    def _timed(self, said: Replayed, survival: Floats, today: NDArray[np.int64], now: float) -> None:
        """Give ranges of time, widened by how far earlier ones were off."""
        stream, plan = self.stream, self.plan
        miss = plan.ranges_miss
        edge = plan.recipe.time_edges[-1]
        raw = np.column_stack(
            [
                np.minimum(time_quantile(survival, plan.recipe.time_edges, share), edge)
                for share in (miss / 2, 0.5, 1 - miss / 2)
            ]
        )
        self._raw_hours[today] = raw
        said.hours[today] = raw
        # Judged by all alerts older than a day, the open ones among them: to leave those out, or to take them as
        # ended, would be to believe that everything ends soon.
        told = np.flatnonzero(~np.isnan(self._raw_hours[:, 0]) & (stream.at < now - DAY_SECONDS))[-plan.kept_max :]
        lows, _, highs = np.log(np.maximum(self._raw_hours[told], HOURS_MIN)).T
        widened = math.exp(widening(lows, highs, *self._lasted(told, now), miss))
        said.hours[today, 0] /= widened
        said.hours[today, 2] *= widened
