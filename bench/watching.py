"""What watching costs on one core: points of series a second, alerts put into groups a second, and memory.

`python -m bench.watching`. Processor time, not time on the wall: what else runs beside it does not count.
"""

from __future__ import annotations

import json
import os
import time

# Libraries read these when they load.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set

from alertgraph.core.correlation import Arrival, Correlator  # noqa: E402 - the same
from alertgraph.core.rate import RateWatch  # noqa: E402 - the same
from alertgraph.ml.anomaly import BankSettings, SeriesBank  # noqa: E402 - the same


def series(series_count: int, batch_points: int, rounds: int = 20, warm: int = 700) -> dict[str, float]:
    """Return how fast a bank takes points, once its windows are full.

    Args:
        series_count: Series, each with one point in every batch.
        batch_points: Points given in one call.
        rounds: Calls that are timed, for each series' turn.
        warm: Points of each series before.
    """
    bank = SeriesBank(BankSettings(series_max=max(16, series_count)))
    names = [f"series {number}" for number in range(series_count)]
    draw = np.random.default_rng(0)
    level = draw.normal(size=series_count) * 100

    def turn(number: int) -> int:
        at = np.full(series_count, number * 60)
        values = level + np.sin(number / 50) * 10 + draw.normal(size=series_count)
        for start in range(0, series_count, batch_points):
            part = slice(start, start + batch_points)
            bank.observe(names[part], at[part], values[part])
        return series_count

    for number in range(warm):
        turn(number)
    began = time.process_time()
    points = sum(turn(number) for number in range(warm, warm + rounds))
    seconds = time.process_time() - began
    return {
        "series": series_count,
        "batch": batch_points,
        "points_per_second": round(points / seconds),
        "kilobytes_per_series": round(bank.memory_bytes / len(bank) / 1000, 1),
        "state_kilobytes_per_series": round(len(bank.dump()) / len(bank) / 1000, 1),
    }


def correlation(alert_count: int = 20_000, kinds: int = 40, entities: int = 60) -> dict[str, float]:
    """Return how fast alerts are put into groups, by the table, with up to 48 candidates each."""
    draw = np.random.default_rng(0)
    correlator = Correlator()
    at = np.cumsum(draw.exponential(4.0, alert_count))
    chosen = draw.integers(0, (kinds, entities), (alert_count, 2))
    arrivals = [
        Arrival(str(number), float(moment), f"rule {kind}", f"host {entity}", f"service {entity % 12}")
        for number, (moment, (kind, entity)) in enumerate(zip(at, chosen, strict=True))
    ]
    began = time.process_time()
    for arrival in arrivals:
        correlator.take(arrival)
    seconds = time.process_time() - began
    told = json.dumps(correlator.told())
    return {
        "alerts": alert_count,
        "alerts_per_second": round(alert_count / seconds),
        "groups": len(correlator.groups),
        "table_entries": len(correlator.table),
        "state_kilobytes": round(len(told) / 1000),
    }


def rates(interval_count: int = 20_000) -> dict[str, float]:
    """Return how fast counts of alerts are judged."""
    watch = RateWatch()
    counts = np.random.default_rng(0).poisson(2.0, interval_count).tolist()
    began = time.process_time()
    for number, count in enumerate(counts):
        watch.take(300.0 * number, count)
    seconds = time.process_time() - began
    return {"intervals": interval_count, "intervals_per_second": round(interval_count / seconds)}


def main() -> None:
    """Print everything, one JSON value a line."""
    for series_count, batch in ((100, 100), (1_000, 1_000), (1_000, 10), (5_000, 5_000)):
        print(
            json.dumps(
                {"what": "series", **series(series_count, batch, warm=700 if series_count <= 1_000 else 150)}
            )
        )
    print(json.dumps({"what": "correlation", **correlation()}))
    print(json.dumps({"what": "rates", **rates()}))


if __name__ == "__main__":
    main()
