"""What the alerts of these measurements say, as each interface takes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from alertgraph.edge.bench.words import SEVERITIES, alert_input
from bench.load import NUMBER

__all__ = ("SEVERITIES", "alert_input", "compact", "keyed_input", "prometheus_alert")


def keyed_input(number: int, prefix: str) -> dict[str, Any]:
    """Return the same with a dedup key in which the load generator puts a number."""
    return {**alert_input(number), "dedupKey": f"{prefix}-{NUMBER.decode()}"}


def prometheus_alert(number: int, prefix: str) -> dict[str, Any]:
    """Return the same as Prometheus posts it: known by its labels, with no end."""
    said = alert_input(number)
    labels = {
        **said["labels"],
        "severity": said["severity"].lower(),
        "instance": f"{prefix}-{NUMBER.decode()}",
    }
    return {
        "labels": labels,
        "annotations": {**said["annotations"], "description": said["description"]},
        "startsAt": f"{datetime.now(UTC) - timedelta(minutes=5):%Y-%m-%dT%H:%M:00.000Z}",
        "generatorURL": "https://prometheus.example.com/graph?g0.expr=up",
    }


def compact(value: object) -> str:
    """Return JSON without white space."""
    return json.dumps(value, separators=(",", ":"))
