"""A set told to a service that runs elsewhere, as Prometheus would, in real time: the service says what came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from alertgraph.edge.client import asked, send_firing
from alertgraph.edge.replay.sets import Said

TOLD_EVERY = timedelta(seconds=10)
FIGURES = """query Replayed($since: DateTime!, $until: DateTime!) {
  alertMetrics(since: $since, until: $until) { createdCount resolvedCount escalatedCount mtta mttr noiseRatio }
  predictionStatus { state noiseHoldingArmed heldCount regretCount regret }
}"""
DEFINITIONS = {
    "createdCount": "alerts that the service opened since the replay began, whoever sent them",
    "escalatedCount": "levels that alerts reached: each is a page to whom the level names",
    "mtta": "mean time to acknowledge, as the service counts it: of whoever really acknowledged",
    "mttr": "mean time to resolve, likewise",
}


def tell(url: str, key: str, stream: Iterable[Said], speed: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Return what a running service says that came of a set: nobody is played, and its people are really paged.

    Args:
        url: Of the service.
        key: Of a tenant in it; may send and read.
        stream: What is sent.
        speed: How many seconds of the set pass in one.
        say: Takes a line on how far it is.

    Raises:
        ClientError: The service can't be reached, or refuses.
    """
    begun = datetime.now(UTC)
    told_at = begun
    count = 0
    for said in stream:
        now = datetime.now(UTC)
        wait = said.at / speed - (now - begun)
        if wait > timedelta(0):
            time.sleep(wait.total_seconds())
            now = datetime.now(UTC)
        send_firing(url, key, _labels(said), ends_at=now if said.ends else None)
        count += 1
        if now - told_at >= TOLD_EVERY:
            told_at = now
            say(f"{count} messages, {said.at / timedelta(days=1):.1f} days of the set")
    until = datetime.now(UTC) + timedelta(seconds=1)
    found = asked(url, key, FIGURES, {"since": begun.isoformat(), "until": until.isoformat()})
    return {
        "messages": count,
        "speed": speed,
        "seconds": round((until - begun).total_seconds(), 1),
        "definitions": DEFINITIONS,
        "figures": {
            **found["alertMetrics"],
            **found["predictionStatus"],
        },
    }


def _labels(said: Said) -> dict[str, str]:
    return {"alertname": said.title, "severity": "high", "service": said.service, "key": said.key}
