"""Heartbeat monitors: read, made, changed, deleted, beaten."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Self

import strawberry
from strawberry import Maybe

from alertgraph.core import monitor as core
from alertgraph.core.action import UNSET as LEFT_OUT
from alertgraph.core.action import Unset
from alertgraph.core.alert import Alert
from alertgraph.core.errors import InputError, RefusedError
from alertgraph.core.ids import MonitorId, NodeKind, decode_key, encode_id
from alertgraph.core.query import Page
from resolvers.alert import CriticalAlert, shown_alert
from resolvers.context import Info
from resolvers.deletion import DeleteInput, DeletePayload
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.fields import computed
from resolvers.paging import UNSET, After, First, Node, PageInfo, listed, page_of
from resolvers.patch import patched
from resolvers.permissions import reads, writes
from resolvers.relations import in_parts, relation
from resolvers.scalars import JSON, Long
from resolvers.words import Role, Severity


async def last_beats(info: Info, keys: Sequence[MonitorId]) -> Mapping[MonitorId, datetime]:
    """Return when monitors beat last."""
    return await in_parts(info.context.reading.last_beats, keys)


async def alerts_by_key(info: Info, keys: Sequence[str]) -> Mapping[str, Alert]:
    """Return the open alerts with these dedup keys that the caller may see."""
    return await in_parts(info.context.reading.open_alerts_by_key, keys)


@strawberry.type(description="Raises an alert when an expected beat stays out, and resolves it when beats return.")
class HeartbeatMonitor(Node):
    """Raises an alert when an expected beat stays out, and resolves it when beats return."""

    kept: strawberry.Private[core.HeartbeatMonitor]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="Unique in the tenant; the sender beats by it.")
    interval: timedelta = strawberry.field(description="The longest time between two beats.")
    severity: Severity = strawberry.field(description="Severity of the alert.")
    labels: JSON = strawberry.field(description="Labels of the alert; object of strings.")
    version: Long = strawberry.field(description="See the rules at the top.")

    @computed(
        "When it beat last; null while it never did, and then no alert is raised.",
        batch=relation(attrgetter("kept.id"), last_beats, role=Role.INGEST),
    )
    @reads(Role.INGEST)
    async def last_beat_at(self, info: Info) -> datetime | None:
        """Return when it beat last, read together with its siblings'; who beats may know."""
        return await info.context.loaders.last_beat.load(self.kept.id)

    @computed(
        "The open alert; null while beats come.",
        batch=relation(attrgetter("kept.dedup_key"), alerts_by_key, shown_alert),
    )
    @reads(Role.VIEWER)
    async def alert(self, info: Info) -> CriticalAlert | None:
        """Return the open alert, read together with those of its siblings."""
        found = await info.context.loaders.open_alert.load(self.kept.dedup_key)
        return CriticalAlert.of(found, info.context.reading.now) if found is not None else None

    @classmethod
    def of(cls, monitor: core.HeartbeatMonitor) -> Self:
        """Return a monitor as the API shows it."""
        return cls(
            kept=monitor,
            id=strawberry.ID(encode_id(NodeKind.MONITOR, monitor.id)),
            name=monitor.name,
            interval=monitor.interval,
            severity=monitor.severity,
            labels=JSON(dict(monitor.labels)),
            version=Long(monitor.version),
        )


@strawberry.type(description="One of a page of heartbeat monitors.")
class HeartbeatMonitorEdge:
    """One of a page of heartbeat monitors."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: HeartbeatMonitor = strawberry.field(description="The thing.")


@strawberry.type(description="A page of heartbeat monitors.")
class HeartbeatMonitorConnection:
    """A page of heartbeat monitors."""

    edges: list[HeartbeatMonitorEdge] = strawberry.field(description="With cursors.")
    nodes: list[HeartbeatMonitor] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.HeartbeatMonitor]) -> Self:
        """Return a page of monitors as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [HeartbeatMonitorEdge(cursor=cursor, node=HeartbeatMonitor.of(one)) for cursor, one in page.items]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


@strawberry.input(description="A new heartbeat monitor.")
class HeartbeatMonitorInput:
    """A new heartbeat monitor."""

    name: str = strawberry.field(description="Unique in the tenant.")
    interval: timedelta = strawberry.field(description="PT10S or more.")
    severity: Severity = strawberry.field(default=Severity.HIGH, description="Of its alert.")
    labels: JSON | None = strawberry.field(description="Of its alert; object of strings.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch.")
class UpdateHeartbeatMonitorInput:
    """A patch of a monitor."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    name: Maybe[str | None] = strawberry.field(description="Unique.")
    interval: Maybe[timedelta | None] = strawberry.field(description="PT10S or more.")
    severity: Maybe[Severity | None] = strawberry.field(description="Of its alert.")
    labels: Maybe[JSON | None] = strawberry.field(description="Replaces.")


@strawberry.input(description="A sign of life.")
class BeatInput:
    """A sign of life."""

    name: str = strawberry.field(description="The monitor's name.")


@strawberry.type(description="Answer.")
class HeartbeatMonitorPayload:
    """What became of a monitor."""

    heartbeat_monitor: HeartbeatMonitor | None = strawberry.field(description="Null where refused.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )

    @classmethod
    def done(cls, monitor: core.HeartbeatMonitor) -> Self:
        """Return the answer to what was done with a monitor."""
        return cls(heartbeat_monitor=HeartbeatMonitor.of(monitor), errors=[])

    @classmethod
    def refused(cls, error: RefusedError) -> Self:
        """Return the answer to what was refused."""
        return cls(heartbeat_monitor=None, errors=errors_of(error))


def _monitor_id_of(text: str) -> MonitorId:
    key = decode_key(text, NodeKind.MONITOR)
    if key is None:
        raise unknown("heartbeat monitor", "id")
    return MonitorId(key)


def _labels(value: JSON) -> dict[str, str]:
    """Return labels that are an object; what stands in it is for the core to judge."""
    if not isinstance(value, dict):
        raise InputError("labels is an object of strings.", "labels")
    return value


@reads(Role.VIEWER)
async def heartbeat_monitors(info: Info, first: First = UNSET, after: After = UNSET) -> HeartbeatMonitorConnection:
    """Return a page of monitors, by name."""
    found = (await info.context.catalog()).monitors.values()
    as_of = await info.context.reading.as_of()
    return HeartbeatMonitorConnection.of(
        listed(found, lambda monitor: monitor.name, page_of(first, after, None, None), as_of)
    )


@writes(Role.ADMIN)
async def create_heartbeat_monitor(
    info: Info, input: Annotated[HeartbeatMonitorInput, strawberry.argument(description="What.")]
) -> HeartbeatMonitorPayload:
    """Make a monitor."""
    context = info.context
    try:
        made = await context.services.monitors.create(
            context.principal,
            name=input.name,
            interval=input.interval,
            severity=input.severity,
            labels=_labels(input.labels) if input.labels is not None else None,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return HeartbeatMonitorPayload.refused(error)
    return HeartbeatMonitorPayload.done(made)


@writes(Role.ADMIN)
async def update_heartbeat_monitor(
    info: Info, input: Annotated[UpdateHeartbeatMonitorInput, strawberry.argument(description="What.")]
) -> HeartbeatMonitorPayload:
    """Change a monitor."""
    context = info.context
    try:
        labels = patched(input.labels, "labels")
        changed = await context.services.monitors.update(
            context.principal,
            _monitor_id_of(input.id),
            name=patched(input.name, "name"),
            interval=patched(input.interval, "interval"),
            severity=patched(input.severity, "severity"),
            labels=LEFT_OUT if isinstance(labels, Unset) else _labels(labels),
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return HeartbeatMonitorPayload.refused(error)
    return HeartbeatMonitorPayload.done(changed)


@writes(Role.ADMIN)
async def delete_heartbeat_monitor(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """Delete a monitor and resolve its alert."""
    context = info.context
    try:
        await context.services.monitors.delete(
            context.principal, _monitor_id_of(input.id), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])


@writes(Role.INGEST)
async def beat(
    info: Info, input: Annotated[BeatInput, strawberry.argument(description="What.")]
) -> HeartbeatMonitorPayload:
    """Keep a sign of life."""
    context = info.context
    try:
        monitor = await context.services.monitors.beat(context.principal, input.name)
    except RefusedError as error:
        return HeartbeatMonitorPayload.refused(error)
    return HeartbeatMonitorPayload.done(monitor)
