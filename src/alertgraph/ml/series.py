"""Groups of series for the learning process: a bank of a bounded size, and its verdicts as plain values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from alertgraph.core.anomaly import Judged, PointVerdict
from alertgraph.ml.anomaly import BankSettings, PointStatus, Reason, SeriesBank

SERIES_MAX: Final = 512
"""Of one group: what is saved together, some 13 MB of it."""
_STATUSES: Final = (
    PointStatus.SCORED,
    PointStatus.WARMING,
    PointStatus.INVALID,
    PointStatus.DUPLICATE,
    PointStatus.LATE,
)


class BankShard:
    """A group of series. Fulfils `services.ports.SeriesShard`."""

    def __init__(self, bank: SeriesBank) -> None:
        self._bank = bank

    def observe(
        self,
        texts: Sequence[str],
        at: Sequence[int],
        values: Sequence[float],
        followed: Collection[str],
        level_min: float,
    ) -> Judged:
        """Take points in, in order, and return what is said of those that matter."""
        verdicts = self._bank.observe(texts, np.array(at, np.int64), np.array(values, np.float64))
        counts = np.bincount(verdicts.status, minlength=len(PointStatus))
        is_taken = (verdicts.status == PointStatus.SCORED) | (verdicts.status == PointStatus.WARMING)
        matters = is_taken & (verdicts.level >= level_min)
        # What begins with one of these points may end with a later one.
        chosen = {*followed, *(texts[index] for index in np.flatnonzero(matters).tolist())}
        if chosen:
            matters = is_taken & np.fromiter((text in chosen for text in texts), np.bool_, len(texts))
        told = [
            (
                index,
                PointVerdict(
                    datetime.fromtimestamp(at[index], UTC),
                    float(verdicts.level[index]),
                    float(verdicts.season_level[index]),
                    float(values[index]),
                    float(verdicts.expected[index]),
                    float(verdicts.spread[index]),
                    bool(verdicts.reason[index] == Reason.SHAPE),
                    bool(verdicts.status[index] == PointStatus.WARMING),
                ),
            )
            for index in np.flatnonzero(matters).tolist()
        ]
        return Judged(told, tuple(int(counts[status]) for status in _STATUSES))

    def state(self) -> bytes:
        """Return all that is needed to go on from here."""
        return self._bank.dump()

    def only(self, texts: Collection[str]) -> BankShard:
        """Return a group of these series alone, each as it is here."""
        return BankShard(SeriesBank.load(self._bank.dump(list(texts))))

    @property
    def memory_bytes(self) -> int:
        """How much it takes up."""
        return self._bank.memory_bytes


class BankShards:
    """Makes groups of series. Fulfils `services.ports.SeriesShards`."""

    series_max = SERIES_MAX

    def __init__(self) -> None:
        self._settings = BankSettings(series_max=SERIES_MAX)

    def new(self) -> BankShard:
        """Return a group without any."""
        return BankShard(SeriesBank(self._settings))

    def load(self, state: bytes) -> BankShard:
        """Return the group whose state this is.

        Raises:
            ValueError: It is of another release, or broken.
        """
        bank = SeriesBank.load(state)
        if bank.settings != self._settings:
            raise ValueError("a state of series that were scored by other settings")
        return BankShard(bank)
