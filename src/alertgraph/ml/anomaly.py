"""How unusual the newest point of a time series is, for thousands of series at once, in bounded memory.

Numpy alone: the process that takes metrics in scores them without loading torch.

A series is a row of arrays, and what happens to a row depends on that row alone: whoever shares the bank, in
whatever order, changes not one bit. Four experts watch each series:

- *season*: distance from what is usual at this hour of the week, of the day, or lately: from whichever errs least;
- *residual*: distance from what eight points before foretell (recursive least squares with forgetting);
- *shape*, twice: distance of the last stretch from the stretches most like it (nearest neighbours in a reservoir),
  once as long as the period that the autocorrelation shows, once of a fixed length.

Each distance is told as a multiple of its own mean so far. The shape experts count for nothing until they have
seen many of their windows: on a month of hourly points they would be guessing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SEGMENTS: Final = 8
"""How finely a window is drawn: its means over this many parts."""
LAGS: Final = 8
"""How many points the residual's prediction looks back."""
WEEK_HOURS: Final = 168
HOUR_SECONDS: Final = 3600
VALUE_MAX: Final = 1e18
"""Larger magnitudes are refused: their squares would leave single precision."""
CORRELATED_ALL: Final = 640
"""Up to here every point is taken into the autocorrelation, later every eighth."""
CHUNK: Final = 64
"""Rows whose reservoirs are searched in one go: about what a core's cache holds."""
RATIO_MAX: Final = 1e3
LEVEL, DAY, WEEK = 0, 1, 2

_VERSION: Final = 1
_MAGIC: Final = b"AGSB"


class PointStatus(IntEnum):
    """What became of a point."""

    SCORED = 0
    WARMING = 1
    """Scored, but no event can begin yet."""
    INVALID = 2
    """Not a finite number, or beyond `VALUE_MAX`: left out."""
    DUPLICATE = 3
    """As old as the newest point of its series: left out."""
    LATE = 4
    """Older than the newest point of its series: left out."""


class Reason(IntEnum):
    """Which expert made a point stand out most."""

    SEASON = 0
    SHAPE = 1


@dataclass(frozen=True, slots=True)
class BankSettings:
    """What a bank of series is made with. The defaults were measured (docs/learning.md).

    Attributes:
        series_max: Rows at most; beyond it, the series that was silent longest gives way.
        ring_count: Points remembered as they were; bounds the longest period that can be found.
        reservoir_count: Windows remembered per shape expert.
        neighbour_count: How many of the nearest windows a distance is the mean of.
        window_min: The shortest window in points: shorter ones see noise.
        window_fixed: The window of the second shape expert, in points.
        lag_max: The longest period looked for, in points.
        forgetting: Of the recursive least squares.
        season_visit_count: Weeks remembered for each hour of the week.
        trust_windows: Shape counts for nothing below the first number of windows seen, fully from the second on.
        alert_trust_windows: The same for events, which ask a ratio of several times the mean.
        shape_weight: Weight of shape in the score.
        persistence: Share of the newest point in the moving mean of the season's ratio.
        persistence_weight: Weight of that mean in the score.
        record_ratio: An event begins where the season's distance is this many times the greatest so far.
        record_decay: What is kept of that greatest distance from point to point.
        shape_ratio: An event begins where shape is this many times its mean.
        refractory_count: Points after the beginning of an event before the next can begin.
        quiet_level: An event ends below this share of what begins one …
        quiet_count: … for this many points on end.
        warmup_count: Points of a series before an event can begin; two windows where that is more.
        gap_windows: A silence longer than this many windows of the series begins its windows afresh.
    """

    series_max: int = 10_000
    ring_count: int = 1024
    reservoir_count: int = 128
    neighbour_count: int = 8
    window_min: int = 64
    window_fixed: int = 128
    lag_max: int = 300
    forgetting: float = 0.999
    season_visit_count: int = 4
    trust_windows: tuple[float, float] = (8.0, 32.0)
    alert_trust_windows: tuple[float, float] = (2.0, 8.0)
    shape_weight: float = 16.0
    persistence: float = 0.2
    persistence_weight: float = 2.0
    record_ratio: float = 1.25
    record_decay: float = 0.9995
    shape_ratio: float = 5.0
    refractory_count: int = 150
    quiet_level: float = 0.5
    quiet_count: int = 5
    warmup_count: int = 144
    gap_windows: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            ValueError: A window or a period would not fit into what is remembered.
        """
        longest = max(self.window_min, self.window_fixed, self.lag_max + 1)
        if self.ring_count <= longest:
            raise ValueError(f"ring_count has to be above {longest}")
        if self.window_min < SEGMENTS or self.window_fixed < SEGMENTS:
            raise ValueError(f"a window has at least {SEGMENTS} points")
        if not 0 < self.neighbour_count <= self.reservoir_count:
            raise ValueError("neighbour_count lies between 1 and reservoir_count")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was found about points, each array as long as they are many.

    Attributes:
        status: `PointStatus` of each; where a point was left out, the rest says nothing (nan, False).
        score: How unusual, for ordering: 0 upwards; about 4 is ordinary.
        level: How near to an event: from 1 on, one begins where none is under way or has just been.
        tail: Estimated chance of a score this high on that series.
        reason: `Reason`: what counted most for `level`.
        began: Whether an event begins with this point.
        ended: Whether an event ends with this point.
        expected: What the best of the seasonal expectations was.
        spread: How far points have lain from it, in the mean.
        season_level: What of `level` the season alone says.
    """

    status: NDArray[np.int8]
    score: Floats
    level: Floats
    tail: Floats
    reason: NDArray[np.int8]
    began: Flags
    ended: Flags
    expected: Floats
    spread: Floats
    season_level: Floats


def _fields(settings: BankSettings) -> dict[str, tuple[tuple[int, ...], str, float]]:
    """Return shape, type and first value of each array of the state, for one row."""
    reservoir = settings.reservoir_count
    return {
        "salt": ((), "<i8", 0),
        "count": ((), "<i8", 0),
        "newest_at": ((), "<i8", 0),
        "step": ((), "<f8", 0),
        "base": ((), "<f8", 0),
        "ring": ((settings.ring_count,), "<f8", 0),
        "mean": ((), "<f8", 0),
        "variance": ((), "<f8", 0),
        "correlation": ((settings.lag_max + 1,), "<f8", 0),
        "correlation_count": ((settings.lag_max + 1,), "<f4", 0),
        "weights": ((LAGS + 1,), "<f8", 0),
        "precision": ((LAGS + 1, LAGS + 1), "<f8", 0),
        "residual_scale": ((), "<f8", 0),
        "window": ((2,), "<i8", 0),
        "fresh_since": ((), "<i8", 0),
        "segments": ((2, SEGMENTS), "<f8", 0),
        "reservoir": ((2, reservoir, SEGMENTS), "<f4", 0),
        "reservoir_at": ((2, reservoir), "<i8", -1),
        "reservoir_seen": ((2,), "<i8", 0),
        "hours": ((WEEK_HOURS, settings.season_visit_count), "<f4", np.nan),
        "hour": ((), "<i8", -1),
        "hour_sum": ((), "<f8", 0),
        "hour_count": ((), "<i8", 0),
        "expert_error": ((3,), "<f8", np.nan),
        "usual": ((), "<f8", 0),
        "ratio_sum": ((4,), "<f8", 0),
        "ratio_count": ((4,), "<i8", 0),
        "persisting": ((), "<f8", 0),
        "record": ((), "<f8", 0),
        "tail_threshold": ((), "<f8", np.nan),
        "tail_excess": ((), "<f8", 0.3),
        "tail_spread": ((), "<f8", 0.5),
        "tail_count": ((), "<i8", 0),
        "open": ((), "|b1", 0),
        "began_at": ((), "<i8", -(10**9)),
        "quiet": ((), "<i8", 0),
    }


SEASON, RESIDUAL, SHAPE_PERIOD, SHAPE_FIXED = 0, 1, 2, 3
TAIL_QUANTILE: Final = 0.95
"""Scores above this quantile are the peaks whose excess is fitted."""


class SeriesBank:
    """The state of many series, in arrays with a row for each."""

    def __init__(self, settings: BankSettings | None = None) -> None:
        self.settings = settings or BankSettings()
        self._fields = _fields(self.settings)
        self._rows: dict[str, int] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._grow(16)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    @property
    def memory_bytes(self) -> int:
        """How much the arrays take up."""
        return sum(array.nbytes for array in self._arrays.values())

    def observe(self, names: Sequence[str], at: Ints, values: Floats) -> Verdicts:
        """Return the verdicts on points, and take them in.

        Args:
            names: (n,) the series of each point. One series may occur more than once: its points are taken in
                this order.
            at: (n,) seconds since 1970.
            values: (n,) what was measured.

        Returns:
            One verdict per point, in the order given.
        """
        total = len(names)
        verdicts = Verdicts(
            status=np.full(total, PointStatus.INVALID, np.int8),
            score=np.full(total, np.nan),
            level=np.full(total, np.nan),
            tail=np.full(total, np.nan),
            reason=np.zeros(total, np.int8),
            began=np.zeros(total, np.bool_),
            ended=np.zeros(total, np.bool_),
            expected=np.full(total, np.nan),
            spread=np.full(total, np.nan),
            season_level=np.full(total, np.nan),
        )
        # A round holds each series once at most, so that a round can be one step of whole arrays.
        rounds: list[list[int]] = []
        rounds_of: dict[str, int] = {}
        for index, name in enumerate(names):
            turn = rounds_of.get(name, 0)
            rounds_of[name] = turn + 1
            if turn == len(rounds):
                rounds.append([])
            rounds[turn].append(index)
        for turn_indices in rounds:
            # A batch that names more series than there are rows is cut: a row serves one series at a time.
            for start in range(0, len(turn_indices), self.settings.series_max):
                places = np.array(turn_indices[start : start + self.settings.series_max], np.int64)
                self._round([names[index] for index in places], places, at, values, verdicts)
        return verdicts

    def _round(self, names: Sequence[str], places: Ints, at: Ints, values: Floats, verdicts: Verdicts) -> None:
        """Take in one point of each of these series."""
        valid = np.abs(values[places]) <= VALUE_MAX  # False for nan, too.
        known = np.flatnonzero(valid).tolist()
        if not known:
            return
        places = places[known]
        rows = self._rows_of([names[index] for index in known], at[places])
        moments = at[places]
        old = self._arrays["count"][rows] > 0
        newest = self._arrays["newest_at"][rows]
        verdicts.status[places[old & (moments == newest)]] = PointStatus.DUPLICATE
        verdicts.status[places[old & (moments < newest)]] = PointStatus.LATE
        new = ~old | (moments > newest)
        if new.any():
            self._step(rows[new], moments[new], values[places[new]], places[new], verdicts)

    def _rows_of(self, names: Sequence[str], moments: Ints) -> Ints:
        """Return the row of each series; one that is new gets a free row, or that of the longest silent."""
        rows = np.empty(len(names), np.int64)
        missing = []
        for index, name in enumerate(names):
            row = self._rows.get(name, -1)
            rows[index] = row
            if row < 0:
                missing.append(index)
        if not missing:
            return rows
        limit = self.settings.series_max
        spare = max(0, len(self._rows) + len(missing) - limit)
        if spare:
            wanted = set(names)
            idle = [
                (int(self._arrays["newest_at"][row]), name)
                for name, row in self._rows.items()
                if name not in wanted
            ]
            idle.sort()
            freed = [self._rows.pop(name) for _, name in idle[:spare]]
        else:
            freed = []
        for index in missing:
            if freed:
                row = freed.pop()
            else:
                row = len(self._rows)
                if row >= len(self._arrays["count"]):
                    self._grow(min(limit, max(16, 2 * row)))
            self._clear(row, names[index], int(moments[index]))
            self._rows[names[index]] = row
            rows[index] = row
        return rows

    def _grow(self, row_count: int) -> None:
        for name, (shape, kind, fill) in self._fields.items():
            old = self._arrays.get(name)
            grown = np.full((row_count, *shape), fill, np.dtype(kind))
            if old is not None:
                grown[: len(old)] = old
            self._arrays[name] = grown

    def _clear(self, row: int, name: str, at: int) -> None:
        for field, (_, _, fill) in self._fields.items():
            self._arrays[field][row] = fill
        arrays = self._arrays
        # The salt decides what the reservoir keeps: by the name, never by the place in the bank.
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        arrays["salt"][row] = int.from_bytes(digest, "little", signed=True)
        arrays["newest_at"][row] = at
        arrays["weights"][row, 0] = 1.0
        arrays["precision"][row] = np.eye(LAGS + 1) * 100.0
        arrays["window"][row] = (self.settings.window_min, self.settings.window_fixed)

    def _step(self, rows: Ints, moments: Ints, values: Floats, places: Ints, verdicts: Verdicts) -> None:
        """Score one point for each of these rows and take it in."""
        state = self._arrays
        count = state["count"][rows]
        first = count == 0
        base = np.where(first, values, state["base"][rows])
        state["base"][rows] = base
        # Everything below works on distances from the first value: a counter near 1e12 keeps its small changes.
        x = values - base
        self._keep_time(rows, moments, count, first)
        mean, deviation = self._spread(rows, x, count, first)
        distances = np.empty((len(rows), 4))
        distances[:, RESIDUAL] = self._residual(rows, x, count, mean, deviation)
        self._slide(rows, x, count)
        self._correlate(rows, x, count, mean, deviation)
        state["count"][rows] = count + 1
        for index in np.flatnonzero(self._relength_due(count + 1)):
            self._relength(int(rows[index]))
        distances[:, SHAPE_PERIOD:] = self._shape(rows, count)
        distances[:, SEASON], expected = self._season(rows, moments, x, first)
        spread = state["ratio_sum"][rows, SEASON] / np.maximum(state["ratio_count"][rows, SEASON], 1)
        floor = 1e-9 * (np.abs(mean) + deviation) + 1e-12
        self._judge(rows, count, distances, floor, places, verdicts)
        verdicts.expected[places] = expected + base
        verdicts.spread[places] = spread

    def _keep_time(self, rows: Ints, moments: Ints, count: Ints, first: Flags) -> None:
        """Learn how far apart points are; after a silence longer than a window, begin the windows afresh."""
        state = self._arrays
        passed = (moments - state["newest_at"][rows]).astype(np.float64)
        step = np.where(count == 1, passed, state["step"][rows])
        window = state["window"][rows, 0]
        silent = (count > 1) & (passed > step * window * self.settings.gap_windows)
        state["fresh_since"][rows] = np.where(silent, count, state["fresh_since"][rows])
        # Up and down by a share, so that one long silence does not move it far.
        state["step"][rows] = np.where(count > 1, step * np.where(passed > step, 1.02, 1 / 1.02), step)
        state["newest_at"][rows] = np.where(first, state["newest_at"][rows], moments)

    def _spread(self, rows: Ints, x: Floats, count: Ints, first: Flags) -> tuple[Floats, Floats]:
        """Return the mean and the standard deviation with this point, old points fading from the 500th on."""
        state = self._arrays
        mean = np.where(first, x, state["mean"][rows])
        share = np.maximum(1 / (count + 1), 0.002)
        away = x - mean
        mean = mean + share * away
        variance = np.where(first, 0.0, (1 - share) * (state["variance"][rows] + share * away * away))
        state["mean"][rows] = mean
        state["variance"][rows] = variance
        return mean, np.sqrt(variance) + 1e-9 * np.abs(mean) + 1e-12

    def _residual(self, rows: Ints, x: Floats, count: Ints, mean: Floats, deviation: Floats) -> Floats:
        """Return how far each point lies from what the points before foretold (recursive least squares)."""
        state, settings = self._arrays, self.settings
        steps = np.arange(LAGS)
        before = state["ring"][rows[:, None], (count[:, None] - 1 - steps) % settings.ring_count]
        inputs = np.ones((len(rows), LAGS + 1))
        standardised = (before - mean[:, None]) / deviation[:, None]
        inputs[:, :LAGS] = np.where(steps < count[:, None], np.clip(standardised, -8, 8), 0.0)
        weights, precision = state["weights"][rows], state["precision"][rows]
        error = (x - mean) / deviation - (weights * inputs).sum(1)
        scale = state["residual_scale"][rows]
        # One wild point must not bend the prediction: what is learned from is bounded.
        bound = np.where(count > 20, 5 * np.maximum(scale, 0.02), 10.0)
        bounded = np.clip(error, -bound, bound)
        turned = (precision * inputs[:, None, :]).sum(2)
        gain = turned / (settings.forgetting + (inputs * turned).sum(1))[:, None]
        state["weights"][rows] = weights + gain * bounded[:, None]
        precision = (precision - gain[:, :, None] * turned[:, None, :]) / settings.forgetting
        # Without this bound, a series that stands still lets the precision grow without end.
        trace = np.trace(precision, axis1=1, axis2=2)
        state["precision"][rows] = precision * np.minimum(1.0, 1e4 / trace)[:, None, None]
        state["residual_scale"][rows] = scale + np.maximum(1 / (count + 1), 0.005) * (np.abs(bounded) - scale)
        return np.where(count > LAGS, np.abs(error) * deviation, 0.0)

    def _slide(self, rows: Ints, x: Floats, count: Ints) -> None:
        """Move the windows on by one point: each part gains one at its young edge and loses one at the other."""
        state, ring_count = self._arrays, self.settings.ring_count
        state["ring"][rows, count % ring_count] = x
        edges = _edges(state["window"][rows])  # (rows, 2, SEGMENTS + 1)
        index = count[:, None, None] - edges
        moving = state["ring"][rows[:, None, None], index % ring_count]
        moving = np.where(index >= 0, moving, 0.0)
        state["segments"][rows] += moving[:, :, 1:] - moving[:, :, :-1]

    def _correlate(self, rows: Ints, x: Floats, count: Ints, mean: Floats, deviation: Floats) -> None:
        """Take the point into the autocorrelation; every eighth one is enough once there are many."""
        due = np.flatnonzero((count <= CORRELATED_ALL) | (count % 8 == 0))
        if not len(due):
            return
        state, settings = self._arrays, self.settings
        chosen = rows[due]
        index = count[due][:, None] - np.arange(settings.lag_max + 1)
        before = state["ring"][chosen[:, None], index % settings.ring_count]
        there = index >= 0
        centred = np.where(there, before - mean[due][:, None], 0.0)
        standard = ((x - mean) / (deviation * deviation))[due][:, None]
        state["correlation"][chosen] += standard * centred
        state["correlation_count"][chosen] += there

    def _relength_due(self, count: Ints) -> Flags:
        # At 600 points as well: with two periods of 288 (a day of five minutes) the period can first be told.
        return (count >= 256) & ((count & (count - 1)) == 0) | (count == 600)

    def _relength(self, row: int) -> None:
        """Choose the period's window anew, and where it changed, fill its reservoir from the points remembered."""
        state, settings = self._arrays, self.settings
        count = int(state["count"][row])
        period = _period(state["correlation"][row], state["correlation_count"][row], count)
        window = min(max(period, settings.window_min), count // 2, settings.ring_count - 1)
        if window == int(state["window"][row, 0]):
            return
        held = min(count, settings.ring_count)
        values = state["ring"][row, (count - held + np.arange(held)) % settings.ring_count]
        sums = np.append(0.0, np.cumsum(values))
        edges = _edges(np.array([window]))[0]
        ends = np.unique(
            np.linspace(window, held, min(settings.reservoir_count, held - window + 1)).astype(np.int64)
        )
        cuts = sums[ends[:, None] - edges]
        state["window"][row, 0] = window
        state["reservoir_at"][row, 0] = -1
        state["reservoir"][row, 0, : len(ends)] = (cuts[:, 1:] - cuts[:, :-1]) / (edges[:-1] - edges[1:])
        state["reservoir_at"][row, 0, : len(ends)] = count - held + ends - 1
        # As though every window so far had stood for a place, except where places are free.
        full = len(ends) == settings.reservoir_count
        state["reservoir_seen"][row, 0] = max(len(ends), count - window) if full else len(ends)
        newest = sums[held - edges]
        state["segments"][row, 0] = newest[1:] - newest[:-1]

    def _shape(self, rows: Ints, count: Ints) -> Floats:
        """Return (rows, 2) distances to the nearest windows that do not overlap; nan where there are too few."""
        state, settings = self._arrays, self.settings
        windows = state["window"][rows]
        edges = _edges(windows)
        drawn = (state["segments"][rows] / (edges[:, :, :-1] - edges[:, :, 1:])).astype(np.float32)
        whole = (count + 1 - state["fresh_since"][rows])[:, None] >= windows
        distances = np.empty((len(rows), 2))
        nearest = settings.neighbour_count
        for expert in (0, 1):
            squares = np.empty((len(rows), settings.reservoir_count), np.float32)
            for start in range(0, len(rows), CHUNK):
                part = slice(start, start + CHUNK)
                apart = state["reservoir"][rows[part], expert]
                apart -= drawn[part, expert, None, :]
                squares[part] = np.einsum("rwd,rwd->rw", apart, apart)
            stored_at = state["reservoir_at"][rows, expert]
            squares[(stored_at < 0) | (count[:, None] - stored_at < windows[:, expert, None])] = np.inf
            chosen = np.partition(squares, nearest - 1, axis=1)[:, :nearest]
            distance = np.sqrt(chosen.astype(np.float64) / SEGMENTS).mean(1)
            distances[:, expert] = np.where(whole[:, expert] & np.isfinite(distance), distance, np.nan)
            self._remember(
                rows[whole[:, expert]], expert, drawn[whole[:, expert], expert], count[whole[:, expert]]
            )
        return distances

    def _remember(self, rows: Ints, expert: int, drawn: NDArray[np.float32], count: Ints) -> None:
        """Give windows a place in the reservoir so that each window so far is there with the same chance."""
        state, places = self._arrays, self.settings.reservoir_count
        seen = state["reservoir_seen"][rows, expert]
        dice = _mix(
            state["salt"][rows].astype(np.uint64), count.astype(np.uint64) * np.uint64(2) + np.uint64(expert)
        )
        drawn_place = (dice % (seen + 1).astype(np.uint64)).astype(np.int64)
        place = np.where(seen < places, seen, drawn_place)
        kept = place < places
        state["reservoir"][rows[kept], expert, place[kept]] = drawn[kept]
        state["reservoir_at"][rows[kept], expert, place[kept]] = count[kept]
        state["reservoir_seen"][rows, expert] = seen + 1

    def _season(self, rows: Ints, moments: Ints, x: Floats, first: Flags) -> tuple[Floats, Floats]:
        """Return how far points lie from what is usual for their hour, and what that is."""
        state = self._arrays
        hour = (moments // HOUR_SECONDS) % WEEK_HOURS
        self._close_hours(rows, hour)
        hours = state["hours"]
        usual = np.where(first, x, state["usual"][rows])
        same_hour_of_days = hour[:, None] % 24 + 24 * np.arange(7)
        expected = np.stack(
            (usual, _medians(hours[rows[:, None], same_hour_of_days, 0]), _medians(hours[rows, hour])), axis=1
        )
        errors = np.abs(expected - x[:, None])
        usual_error = state["expert_error"][rows]
        # Whoever has erred least lately speaks; the level always can.
        standing = np.where(np.isfinite(usual_error) & np.isfinite(expected), usual_error, np.inf)
        standing[:, LEVEL] = np.minimum(standing[:, LEVEL], 1e300)
        best = np.argmin(standing, axis=1)
        each = np.arange(len(rows))
        bounded = np.minimum(errors, np.where(np.isfinite(usual_error), usual_error * 6 + 1e-12, np.inf))
        moved = np.where(np.isfinite(bounded), usual_error + 0.01 * (bounded - usual_error), usual_error)
        usual_error = np.where(np.isfinite(usual_error), moved, bounded)
        state["expert_error"][rows] = usual_error
        state["hour_sum"][rows] += x
        state["hour_count"][rows] += 1
        bound = 3 * np.maximum(usual_error[:, LEVEL], 1e-12)
        share = np.maximum(1 / (state["count"][rows]), 0.01)
        state["usual"][rows] = usual + share * np.clip(x - usual, -bound, bound)
        return errors[each, best], expected[each, best]

    def _close_hours(self, rows: Ints, hour: Ints) -> None:
        """Where a new hour began, file the mean of the old one among the visits of that hour of the week."""
        state = self._arrays
        before = state["hour"][rows]
        left = (before != hour) & (before >= 0)
        state["hour"][rows] = hour
        if not left.any():
            return
        chosen, old = rows[left], before[left]
        visits = state["hours"][chosen, old]
        visits[:, 1:] = visits[:, :-1]
        visits[:, 0] = state["hour_sum"][chosen] / state["hour_count"][chosen]
        state["hours"][chosen, old] = visits
        state["hour_sum"][chosen] = 0.0
        state["hour_count"][chosen] = 0

    def _judge(
        self, rows: Ints, count: Ints, distances: Floats, floor: Floats, places: Ints, verdicts: Verdicts
    ) -> None:
        """Make one score of the four distances, and say where events begin and end."""
        state, settings = self._arrays, self.settings
        told = np.where(np.isfinite(distances), distances, 0.0)
        sums = state["ratio_sum"][rows] + told
        counts = state["ratio_count"][rows] + (told > 0)
        state["ratio_sum"][rows] = sums
        state["ratio_count"][rows] = counts
        ratios = np.minimum(told / np.maximum(sums / np.maximum(counts, 1), floor[:, None]), RATIO_MAX)
        persisting = state["persisting"][rows]
        persisting = persisting + settings.persistence * (ratios[:, SEASON] - persisting)
        state["persisting"][rows] = persisting
        windows_seen = (count + 1)[:, None] / state["window"][rows]
        shapes = ratios[:, SHAPE_PERIOD:]
        shape = (_ramp(windows_seen, settings.trust_windows) * shapes).sum(1)
        score = (
            ratios[:, SEASON]
            + ratios[:, RESIDUAL]
            + settings.persistence_weight * persisting
            + settings.shape_weight * shape
        )
        alerting_shape = (_ramp(windows_seen, settings.alert_trust_windows) * shapes).sum(1) / settings.shape_ratio
        record = state["record"][rows]
        against_record = np.where(
            count > 50, ratios[:, SEASON] / np.maximum(record, 1e-9) / settings.record_ratio, 0.0
        )
        state["record"][rows] = np.maximum(record * settings.record_decay, ratios[:, SEASON])
        level = np.minimum(np.maximum(against_record, alerting_shape), RATIO_MAX)
        warming = count + 1 < np.maximum(settings.warmup_count, 2 * state["window"][rows, 0])
        verdicts.status[places] = np.where(warming, PointStatus.WARMING, PointStatus.SCORED)
        verdicts.score[places] = score
        verdicts.level[places] = level
        verdicts.season_level[places] = np.minimum(against_record, RATIO_MAX)
        verdicts.tail[places] = self._tail(rows, score)
        verdicts.reason[places] = np.where(against_record >= alerting_shape, Reason.SEASON, Reason.SHAPE)
        self._events(rows, count, level, warming, places, verdicts)

    def _events(
        self, rows: Ints, count: Ints, level: Floats, warming: Flags, places: Ints, verdicts: Verdicts
    ) -> None:
        state, settings = self._arrays, self.settings
        under_way = state["open"][rows]
        rested = count - state["began_at"][rows] > settings.refractory_count
        begins = ~under_way & (level >= 1.0) & rested & ~warming
        quiet = np.where(level < settings.quiet_level, state["quiet"][rows] + 1, 0)
        ends = under_way & (quiet >= settings.quiet_count)
        state["quiet"][rows] = np.where(begins, 0, quiet)
        state["began_at"][rows] = np.where(begins, count, state["began_at"][rows])
        state["open"][rows] = (under_way | begins) & ~ends
        verdicts.began[places] = begins
        verdicts.ended[places] = ends

    def _tail(self, rows: Ints, score: Floats) -> Floats:
        """Return the chance of a score this high: peaks over a moving threshold, their log-excess exponential.

        References:
            Hill, *A simple general approach to inference about the tail of a distribution* (1975): the mean
            log-excess over a high threshold estimates the tail's index; here both move with the series.
        """
        state = self._arrays
        told = np.log(np.maximum(score, 1e-12))
        threshold = state["tail_threshold"][rows]
        threshold = np.where(np.isnan(threshold), told, threshold)
        excess, spread, count = state["tail_excess"][rows], state["tail_spread"][rows], state["tail_count"][rows]
        over = told - threshold
        peak = over > 0
        chance = np.where(
            peak, (1 - TAIL_QUANTILE) * np.exp(-np.maximum(over, 0.0) / np.maximum(excess, 0.02)), 1.0
        )
        state["tail_excess"][rows] = np.where(
            peak, excess + 0.02 * (np.minimum(over, 6 * np.maximum(excess, 0.02)) - excess), excess
        )
        state["tail_spread"][rows] = spread + np.maximum(1 / (count + 1), 0.01) * (
            np.minimum(np.abs(over), 3) - spread
        )
        pull = np.where(peak, TAIL_QUANTILE, TAIL_QUANTILE - 1)
        state["tail_threshold"][rows] = threshold + np.maximum(1 / (count + 1), 0.01) * 6 * spread * pull
        state["tail_count"][rows] = count + 1
        return chance

    def dump(self, names: Sequence[str] | None = None) -> bytes:
        """Return the state of these series, all where none is named, as bytes that `load` takes."""
        chosen = sorted(self._rows if names is None else (name for name in set(names) if name in self._rows))
        rows = np.array([self._rows[name] for name in chosen], np.int64)
        head = json.dumps(
            {"version": _VERSION, "settings": asdict(self.settings), "names": chosen}, separators=(",", ":")
        ).encode()
        body = [np.ascontiguousarray(self._arrays[field][rows]).tobytes() for field in self._fields]
        return b"".join((_MAGIC, len(head).to_bytes(8, "big"), head, *body))

    @classmethod
    def load(cls, data: bytes) -> SeriesBank:
        """Return a bank that goes on exactly where the dumped one stood.

        Raises:
            ValueError: These bytes are no dump of this version, or are cut short.
        """
        if data[:4] != _MAGIC:
            raise ValueError("no state of series")
        start = 12 + int.from_bytes(data[4:12], "big")
        try:
            head = json.loads(data[12:start])
            names, version = head["names"], head["version"]
            told: dict[str, Any] = dict(head["settings"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("a state of series whose head cannot be read") from error
        if version != _VERSION:
            raise ValueError(f"a state of series of version {version}, not {_VERSION}")
        told.update({key: tuple(value) for key, value in told.items() if isinstance(value, list)})
        bank = cls(BankSettings(**told))
        bank._grow(max(16, len(names)))
        for field, (shape, kind, _) in bank._fields.items():
            array = np.dtype(kind)
            size = array.itemsize * int(np.prod(shape, dtype=np.int64)) * len(names)
            if len(data) < start + size:
                raise ValueError("a state of series that was cut short")
            read = np.frombuffer(data, array, count=size // array.itemsize, offset=start)
            bank._arrays[field][: len(names)] = read.reshape((len(names), *shape))
            start += size
        bank._rows = {name: row for row, name in enumerate(names)}
        return bank


def _edges(windows: Ints) -> Ints:
    """Return (…, SEGMENTS + 1) how many points back each part of a window begins, the oldest first, 0 last."""
    return (windows[..., None] * np.arange(SEGMENTS, -1, -1)) // SEGMENTS


def _period(correlation: Floats, count: NDArray[np.float32], point_count: int) -> int:
    """Return the lag of the highest hump of the autocorrelation; 125 where there is none.

    References:
        Paparrizos et al., *TSB-UAD* (2022), section 5: the window from the autocorrelation, 125 in doubt.
    """
    mean = correlation / np.maximum(count, 1)
    highest = min(len(mean) - 1, point_count // 2)
    curve = mean[3 : highest + 1] / max(float(mean[0]), 1e-12)
    humps = np.flatnonzero((curve[1:-1] > curve[:-2]) & (curve[1:-1] > curve[2:])) + 1
    if not len(humps):
        return 125
    hump = int(humps[np.argmax(curve[humps])])
    return hump + 3 if hump >= 3 else 125


def _medians(values: NDArray[np.float32]) -> Floats:
    """Return the median of each row's numbers, leaving out nan; nan where there is none."""
    ordered = np.sort(values, axis=1).astype(np.float64)  # nan last
    count = np.isfinite(ordered).sum(1)
    low = np.maximum((count - 1) // 2, 0)
    high = np.minimum(count // 2, values.shape[1] - 1)
    each = np.arange(len(values))
    high = np.where(count % 2 == 1, low, high)
    return np.where(count > 0, (ordered[each, low] + ordered[each, high]) / 2, np.nan)


def _ramp(values: Floats, bounds: tuple[float, float]) -> Floats:
    """Return 0 below the first bound, 1 above the second, and in between what lies between."""
    low, high = bounds
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def _mix(salt: NDArray[np.uint64], number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return well mixed bits of two numbers: dice that fall the same way whenever they are thrown again."""
    mixed = salt ^ (number * np.uint64(0x9E3779B97F4A7C15))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
