"""Heartbeat monitors: an alert when an expected beat stays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from alertgraph.core.alert import Draft
from alertgraph.core.ids import MonitorId, NodeKind, encode_id
from alertgraph.core.severity import Severity

INTERVAL_MIN = timedelta(seconds=10)
INTERVAL_MAX = timedelta(days=366)
SOURCE = "heartbeat"


@dataclass(frozen=True, slots=True)
class HeartbeatMonitor:
    """Raises an alert when an expected beat stays out, and resolves it when beats return.

    Attributes:
        name: Unique in the tenant; the sender beats by it.
        interval: The longest time between two beats.
        severity: Of the alert.
        labels: Of the alert.
        version: Number of the last event that changed it; beats are no events.
    """

    id: MonitorId
    name: str
    interval: timedelta
    severity: Severity = Severity.HIGH
    labels: Mapping[str, str] = field(default_factory=dict)
    version: int = 0

    @property
    def dedup_key(self) -> str:
        """Of its alert, whatever the monitor is called by now."""
        return f"heartbeat:{encode_id(NodeKind.MONITOR, self.id)}"

    @property
    def draft(self) -> Draft:
        """The alert of a beat that stayed out."""
        return Draft(
            title=f"No heartbeat from {self.name}",
            severity=self.severity,
            source=SOURCE,
            dedup_key=self.dedup_key,
            labels={**self.labels, "heartbeat": self.name},
        )
