"""What an operator sees: structured logs and the figures on /metrics."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from alertgraph.core.errors import AlertGraphError
from alertgraph.core.ids import TenantId
from alertgraph.edge.graphql import OperationReport
from alertgraph.services.ports import LostCommitError

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LATENESS_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
# The same complaint of the same part is written once a second at most; the counter counts them all.
COMPLAINT_EVERY_SECONDS = 1.0
STORE_DRIVERS = {"asyncpg", "redis"}
ECS_VERSION = "8.17.0"


def configure_logging(log_format: str | None, level: str, *, process: str | None = None) -> None:
    """Have everything that is logged, by libraries too, come out as one line each on standard error.

    Args:
        log_format: `console` for people, `json` for machines (Elastic Common Schema); None to choose by
            whether standard error is a terminal.
        level: The least level that is written.
        process: Which of several this is; told on each line.
    """
    chosen = log_format or ("console" if sys.stderr.isatty() else "json")
    shared: list[Any] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _add_request_id,
        *([_adding(process)] if process is not None else []),
    ]
    last: list[Any] = (
        [structlog.processors.format_exc_info, _to_ecs, structlog.processors.JSONRenderer()]
        if chosen == "json"
        # Told plainly: a traceback with the values of variables would tell secrets, too.
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Strawberry prints the whole source of a bad document: that floods, and leaks what is in it.
    logging.getLogger("strawberry.execution").setLevel(logging.CRITICAL + 1)
    # They tell of every request with its URL, and of its headers: both may be a provider's secrets.
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # Each migration is told of by its docstring's first line: too much for every start.
    logging.getLogger("alembic").setLevel(max(logging.WARNING, root.level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _adding(process: str) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    def add(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        fields.setdefault("process", process)
        return fields

    return add


def _add_request_id(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    current = request_id.get()
    if current is not None:
        fields.setdefault("request_id", current)
    return fields


def _to_ecs(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give the fields the names of the Elastic Common Schema; what it has no name for goes under labels."""
    ecs: dict[str, Any] = {
        "@timestamp": fields.pop("timestamp", None),
        "log.level": fields.pop("level", "info"),
        "message": fields.pop("event", ""),
        "ecs.version": ECS_VERSION,
        "service.name": "alertgraph",
        "log.logger": fields.pop("logger", "alertgraph"),
    }
    if "request_id" in fields:
        ecs["http.request.id"] = fields.pop("request_id")
    if "exception" in fields:
        ecs["error.stack_trace"] = fields.pop("exception")
    if "error" in fields:
        ecs["error.message"] = str(fields.pop("error"))
    if fields:
        ecs["labels"] = {
            name: value if isinstance(value, bool | int | float) else str(value) for name, value in fields.items()
        }
    return ecs


class _Counted(Collector):
    """A counter that is kept elsewhere."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name = name
        self._text = text
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Return it as it is now."""
        return [CounterMetricFamily(self._name.removesuffix("_total"), self._text, value=self._read())]


class Telemetry:
    """Counts and measures; also the services' Observer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._log = structlog.get_logger("alertgraph")
        self._complained: dict[tuple[str, str], float] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "alertgraph_http_requests_total",
            "HTTP requests answered, by route and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "alertgraph_http_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            ("route",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.operations = Counter(
            "alertgraph_graphql_operations_total",
            "GraphQL operations finished, by type and outcome: ok or an error code.",
            ("type", "outcome"),
            registry=self.registry,
        )
        self.operation_seconds = Histogram(
            "alertgraph_graphql_operation_duration_seconds",
            "Execution of queries and mutations.",
            ("type",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._plan_hits = Counter(
            "alertgraph_graphql_plan_hits_total",
            "GraphQL operations for which a compiled plan was kept.",
            registry=self.registry,
        )
        self._plan_seconds = Histogram(
            "alertgraph_graphql_plan_compile_duration_seconds",
            "Compilations of GraphQL operations to plans.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._plan_fallbacks = Counter(
            "alertgraph_graphql_plan_fallbacks_total",
            "GraphQL operations without a plan, which graphql-core runs, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self._flushes = Counter(
            "alertgraph_flushes_total",
            "Writes to tenants' logs, by outcome: committed, touched (repeats only) or refused (decided anew).",
            ("outcome",),
            registry=self.registry,
        )
        self._commands = Counter(
            "alertgraph_commands_total", "Requests carried out by flushes.", registry=self.registry
        )
        self._events = Counter(
            "alertgraph_events_total", "Events appended by this process.", registry=self.registry
        )
        self._flush_seconds = Histogram(
            "alertgraph_ingest_duration_seconds",
            "From the begin of a flush to its commit.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._queue_seconds = Histogram(
            "alertgraph_queue_wait_seconds",
            "How long commands waited for their flush.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._streamed = Counter(
            "alertgraph_stream_events_total",
            "Events read for streams, from memory or from the table.",
            ("source",),
            registry=self.registry,
        )
        self._sockets_closed = Counter(
            "alertgraph_websockets_closed_total",
            "Websockets that ended, by close code.",
            ("code",),
            registry=self.registry,
        )
        self._sealed = Counter(
            "alertgraph_audit_sealed_events_total",
            "Events that a signed checkpoint of this process covers first.",
            registry=self.registry,
        )
        self._checkpoints = Counter(
            "alertgraph_audit_checkpoints_total", "Checkpoints that this process signed.", registry=self.registry
        )
        self._seal_refusals = Counter(
            "alertgraph_audit_refusals_total",
            "Times a log was not sealed, since it contradicts what was signed of it.",
            registry=self.registry,
        )
        self._judged = Counter(
            "alertgraph_alerts_judged_total", "Alerts whose time had come, decided on.", registry=self.registry
        )
        self._escalation_late_seconds = Histogram(
            "alertgraph_escalation_lateness_seconds",
            "How long the oldest alert of a turn of the engine had been due.",
            buckets=LATENESS_BUCKETS,
            registry=self.registry,
        )
        self._attempts = Counter(
            "alertgraph_delivery_attempts_total",
            "Attempts to tell somebody, by kind of channel and outcome: sent, retried or failed.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self._attempt_seconds = Histogram(
            "alertgraph_delivery_attempt_duration_seconds",
            "How long attempts took, by kind of channel.",
            ("kind",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._page_late_seconds = Histogram(
            "alertgraph_page_lateness_seconds",
            "From when a page was due to the begin of its first attempt.",
            buckets=LATENESS_BUCKETS,
            registry=self.registry,
        )
        self._beats = Counter(
            "alertgraph_dead_man_beats_total",
            "Dead-man beats that were due: sent, withheld since a promise is broken, or failed on their way.",
            ("outcome",),
            registry=self.registry,
        )
        self._glass = Counter(
            "alertgraph_break_glass_total",
            "Times the operator was told past the database: sent, failed, or unset where no address is.",
            ("outcome",),
            registry=self.registry,
        )
        self._received_points = Counter(
            "alertgraph_metric_points_received_total",
            "Points of metrics that were sent: accepted, watched (those among them), ignored or refused.",
            ("outcome",),
            registry=self.registry,
        )
        self._points = Counter(
            "alertgraph_metric_points_total",
            "Points of metrics taken by who watches them: scored, warming, counter (the first of one), invalid, "
            "duplicate, late, or beyond the limit of series.",
            ("status",),
            registry=self.registry,
        )
        self._point_wait_seconds = Histogram(
            "alertgraph_metric_point_wait_seconds",
            "How long the oldest points of a turn had waited to be taken.",
            buckets=LATENESS_BUCKETS,
            registry=self.registry,
        )
        self._noise_disarmed = Counter(
            "alertgraph_noise_disarmed_total",
            "How often a tenant's holding of likely noise cost more than it may and switched itself off.",
            registry=self.registry,
        )
        self._held_as_noise = Counter(
            "alertgraph_alerts_held_as_noise_total",
            "Alerts whose pages were held as likely noise.",
            registry=self.registry,
        )
        self._anomalies = Counter(
            "alertgraph_anomalies_total",
            "Alerts of anomalies, raised and ended.",
            ("change",),
            registry=self.registry,
        )
        self._failures = Counter(
            "alertgraph_failures_total",
            "Errors that a loop caught before it went on, by part.",
            ("part",),
            registry=self.registry,
        )

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a figure on /metrics that is read when somebody asks."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def count_of(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a figure that only grows, and is read when somebody asks; its name ends in `_total`."""
        self.registry.register(_Counted(name, text, read))

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        """Return a figure to be counted up; its name ends in `_total`."""
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """Return a figure to be set."""
        return Gauge(name, text, labels, registry=self.registry)

    def page(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)

    # ------------------------------------------------------------------ edge.graphql.Observer

    def operation_finished(self, report: OperationReport) -> None:
        """A GraphQL operation ended."""
        kind = report.type or "none"
        self.operations.labels(kind, report.code or "ok").inc()
        if kind in ("query", "mutation"):
            self.operation_seconds.labels(kind).observe(report.duration_s)
        if report.code is not None:
            # A GraphQL answer with errors is mostly a 200: by the id that it quotes, it is found here.
            self._log.info(
                "operation refused",
                code=report.code,
                type=kind,
                transport=report.transport,
                quoted=report.request_id,
                ms=round(report.duration_s * 1000, 1),
            )

    def socket_closed(self, code: int) -> None:
        """A websocket ended."""
        self._sockets_closed.labels(str(code)).inc()

    def masked(self, error: BaseException, quoted: str) -> None:
        """An error was kept from the caller, who can quote a request id."""
        self._failures.labels("request").inc()
        self._log.error("request failed", error=type(error).__name__, quoted=quoted, exc_info=error)

    # ------------------------------------------------------------- execution.plans.PlanObserver

    def plan_hit(self) -> None:
        """A kept plan was used."""
        self._plan_hits.inc()

    def plan_compiled(self, seconds: float) -> None:
        """A plan was made."""
        self._plan_seconds.observe(seconds)

    def plan_missing(self, reason: str) -> None:
        """Graphql-core runs an operation."""
        self._plan_fallbacks.labels(reason).inc()

    # ------------------------------------------------------------------------- ports.Observer

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None:
        """One flush ended."""
        self._flushes.labels(outcome).inc()
        if outcome != "refused":
            self._commands.inc(commands)
            self._events.inc(events)
            self._flush_seconds.observe(seconds)

    def queued(self, seconds: float) -> None:
        """A command waited that long for its flush."""
        self._queue_seconds.observe(max(0.0, seconds))

    def streamed(self, *, events: int, source: str) -> None:
        """Events were read for streams."""
        self._streamed.labels(source).inc(events)

    # ------------------------------------------------------------------ ports.SealingObserver

    def sealed(self, *, events: int) -> None:
        """A checkpoint was signed."""
        self._checkpoints.inc()
        self._sealed.inc(events)

    def seal_refused(self, tenant_id: TenantId, *, why: str) -> None:
        """A log contradicts what was signed of it."""
        self._seal_refusals.inc()
        self._log.error(
            f"the log is not sealed: {why} `alertgraph audit verify` tells where.", tenant_id=str(tenant_id)
        )

    # -------------------------------------------------------------------- ports.PagerObserver

    def judged(self, *, alerts: int, late_seconds: float) -> None:
        """The engine decided on alerts of one tenant."""
        self._judged.inc(alerts)
        self._escalation_late_seconds.observe(late_seconds)

    def delivered(self, *, kind: str, outcome: str, seconds: float, late_seconds: float, first: bool) -> None:
        """An attempt over a kind of channel ended."""
        self._attempts.labels(kind, outcome).inc()
        self._attempt_seconds.labels(kind).observe(seconds)
        if first:
            self._page_late_seconds.observe(max(0.0, late_seconds))

    def held_as_noise(self, *, alerts: int) -> None:
        """The engine held pages of one tenant."""
        self._held_as_noise.inc(alerts)

    # ------------------------------------------------------------------- ports.NoiseObserver

    def noise_disarmed(self, tenant_id: TenantId, regret: timedelta) -> None:
        """A tenant's holding has cost more than it may, and has switched itself off."""
        self._noise_disarmed.inc()
        self._log.warning(
            "holding likely noise has cost more than it may, and is off until an ADMIN sets noiseMode again",
            tenant_id=str(tenant_id),
            regret_seconds=regret.total_seconds(),
        )

    # ------------------------------------------------------------------ ports.AnomalyObserver

    def points_taken(self, counts: Mapping[str, int], seconds: float) -> None:
        """Points of metrics came in."""
        for status, count in counts.items():
            if count:
                self._points.labels(status).inc(count)
        self._point_wait_seconds.observe(max(0.0, seconds))

    def points_received(self, counts: Mapping[str, int]) -> None:
        """A sender's points were looked at."""
        for outcome, count in counts.items():
            if count:
                self._received_points.labels(outcome).inc(count)

    def anomaly_told(self, *, began: bool) -> None:
        """An alert of an anomaly was raised, or ended."""
        self._anomalies.labels("raised" if began else "ended").inc()

    # -------------------------------------------------------------------- ports.WatchObserver

    def beaten(self, tenant_id: TenantId, *, outcome: str, why: str | None = None) -> None:
        """A dead-man beat was sent, withheld or failed."""
        self._beats.labels(outcome).inc()
        if why is not None:
            self._log.warning(f"dead-man beat {outcome}: {why}", tenant_id=str(tenant_id))

    def broke_glass(self, *, outcome: str, why: str) -> None:
        """The operator was told past the store."""
        self._glass.labels(outcome).inc()
        self._log.error(f"break glass, {outcome}: {why}")

    def failed(self, part: str, error: BaseException) -> None:
        """A loop caught an error and goes on."""
        self._failures.labels(part).inc()
        kind = type(error).__name__
        now = time.monotonic()
        if now - self._complained.get((part, kind), -COMPLAINT_EVERY_SECONDS) >= COMPLAINT_EVERY_SECONDS:
            self._complained[(part, kind)] = now
            # A store that is away looks so; its driver's own stack tells nothing.
            expected = (
                isinstance(error, (asyncio.CancelledError, OSError, AlertGraphError, LostCommitError))
                or type(error).__module__.partition(".")[0] in STORE_DRIVERS
            )
            self._log.warning(f"{part}: {error}", part=part, error=kind, exc_info=None if expected else error)
