"""What an operator sees of a learning process: its figures, apart from those that every process has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alertgraph.core.errors import DependencyError
from alertgraph.core.ids import TenantId
from alertgraph.edge.telemetry import LATENCY_BUCKETS, Telemetry
from alertgraph.services.following import ReaderFigures

_READERS: tuple[tuple[str, str, Callable[[ReaderFigures], float]], ...] = (
    ("alertgraph_learning_tenants", "Tenants whose log is read.", lambda one: one.tenant_count),
    ("alertgraph_learning_failing_tenants", "Tenants put off after a failure.", lambda one: one.failing_count),
    ("alertgraph_learning_behind_events", "Events not read yet, of all tenants.", lambda one: one.behind),
    (
        "alertgraph_learning_behind_seconds",
        "How long the tenant that waits longest has waited.",
        lambda one: one.behind_seconds,
    ),
    ("alertgraph_learning_state_bytes", "Saved states, of all tenants.", lambda one: one.state_size),
)


class LearningFigures:
    """Counts and measures what learns. Fulfils `services.ports.LearningObserver`.

    Args:
        telemetry: Of the process: it logs, and counts failures.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._log = structlog.get_logger("alertgraph")
        self.registry = registry = CollectorRegistry()
        self._events = Counter(
            "alertgraph_learning_events_total", "Events taken, by reader.", ("reader",), registry=registry
        )
        self._take_seconds = Histogram(
            "alertgraph_learning_take_duration_seconds",
            "How long batches took, by reader.",
            ("reader",),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._failures = Counter(
            "alertgraph_learning_failures_total",
            "Readings that failed and were put off, by reader.",
            ("reader",),
            registry=registry,
        )
        self._begun_anew = Counter(
            "alertgraph_learning_begun_anew_total",
            "Readings that forgot what they were, by reader; the log says why.",
            ("reader",),
            registry=registry,
        )

    def show(self, readers: Callable[[], dict[str, ReaderFigures]], why_not: Callable[[], str | None]) -> None:
        """Show how readers do, and why no predictions are made where none are."""
        self.registry.register(_Shown(readers, why_not))

    def page(self) -> bytes:
        """Return the figures in Prometheus' text format."""
        return generate_latest(self.registry)

    # ---------------------------------------------------------------- ports.LearningObserver

    def took(self, reader: str, *, events: int, seconds: float) -> None:
        """A reader took a batch."""
        self._events.labels(reader).inc(events)
        self._take_seconds.labels(reader).observe(seconds)

    def put_off(self, tenant_id: TenantId, reader: str, error: BaseException, pause: timedelta) -> None:
        """A tenant's reading failed, and is opened again after that long."""
        self._failures.labels(reader).inc()
        self._telemetry.failed(f"learning {reader}", error)
        if not isinstance(error, DependencyError):
            self._log.warning(
                f"{reader} failed and is opened anew",
                tenant_id=str(tenant_id),
                error=f"{type(error).__name__}: {error}",
                seconds=round(pause.total_seconds(), 1),
            )

    def begun_anew(self, tenant_id: TenantId, reader: str, why: str) -> None:
        """A tenant's reading forgot what it was, for the reason given."""
        self._begun_anew.labels(reader).inc()
        self._log.warning(f"{reader} begins anew: {why}", tenant_id=str(tenant_id))

    def failed(self, part: str, error: BaseException) -> None:
        """A loop caught an error and goes on."""
        self._telemetry.failed(f"learning {part}", error)


class _Shown(Collector):
    def __init__(self, readers: Callable[[], dict[str, ReaderFigures]], why_not: Callable[[], str | None]) -> None:
        self._readers = readers
        self._why_not = why_not

    def collect(self) -> Iterable[Metric]:
        """Return the figures as they are now."""
        figures = self._readers()
        for name, text, read in _READERS:
            family = GaugeMetricFamily(name, text, labels=("reader",))
            for reader, one in figures.items():
                family.add_metric((reader,), read(one))
            yield family
        why_not = self._why_not()
        predicting = GaugeMetricFamily(
            "alertgraph_predicting", "1 while predictions are made; else why_not says why.", labels=("why_not",)
        )
        predicting.add_metric((why_not or "",), float(why_not is None))
        yield predicting
