"""Incidents: read, opened, changed, taken, ended, merged and split."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Self

import strawberry
from strawberry import Maybe

from alertgraph.core import incident as core
from alertgraph.core import query
from alertgraph.core.action import Unset
from alertgraph.core.alert import Alert
from alertgraph.core.errors import NotFoundError, RefusedError
from alertgraph.core.event import StoredEvent
from alertgraph.core.ids import AlertId, IncidentId, NodeKind, decode_alert_id, decode_key, encode_id
from alertgraph.core.query import Page
from resolvers.alert import (
    AS_OF,
    CriticalAlert,
    CriticalAlertConnection,
    Kinds,
    alerts_by_id,
    showing,
    shown_alert,
    shown_events,
    shown_incident,
)
from resolvers.context import Info
from resolvers.errors import MutationError, errors_of
from resolvers.event import LogEventConnection
from resolvers.fields import computed
from resolvers.matcher import check_length, texts_of
from resolvers.paging import (
    UNSET,
    After,
    Before,
    First,
    Last,
    Node,
    PageInfo,
    Which,
    given,
    page_of,
    selects,
)
from resolvers.patch import cleared, patched
from resolvers.permissions import reads, writes
from resolvers.relations import in_parts, relation
from resolvers.scalars import Cursor, Long
from resolvers.words import EventKind, IncidentStatus, Role, Severity


def incident_id_of(text: str | None) -> IncidentId | None:
    """Return the incident that an id names; None where it names none."""
    key = decode_key(text, NodeKind.INCIDENT) if text is not None else None
    return IncidentId(key) if key is not None else None


async def last_incidents(info: Info, keys: Sequence[IncidentId]) -> Mapping[IncidentId, core.Incident]:
    """Return the incidents in which merges ended."""
    return await in_parts(info.context.reading.last_incidents, keys)


async def alerts_by_incident(
    info: Info,
    keys: Sequence[IncidentId],
    first: int | None = UNSET,
    after: str | None = UNSET,
    last: int | None = UNSET,
    before: str | None = UNSET,
) -> Mapping[IncidentId, Page[Alert]]:
    """Return the same page of each incident's alerts."""
    page, reading = page_of(first, after, last, before), info.context.reading
    return await in_parts(lambda part: reading.alerts_by_incident(part, page), keys)


def shown_alerts(info: Info, page: Page[Alert]) -> CriticalAlertConnection:
    """Return a page of alerts as the API shows it."""
    return CriticalAlertConnection.of(page, info.context.reading.now, showing(None), with_edges=True)


async def events_by_incident(
    info: Info,
    keys: Sequence[IncidentId],
    kinds: list[EventKind] | None = UNSET,
    first: int | None = UNSET,
    after: str | None = UNSET,
    last: int | None = UNSET,
    before: str | None = UNSET,
) -> Mapping[IncidentId, Page[StoredEvent]]:
    """Return the same page of each incident's timeline."""
    page, reading = page_of(first, after, last, before), info.context.reading
    asked = given(kinds)
    only = frozenset(asked) if asked is not None else None
    return await in_parts(lambda part: reading.incident_timelines(part, only, page), keys)


@strawberry.type(description="Alerts that people handle together because they share a cause.")
class Incident(Node):
    """Alerts that people handle together; its relations are read together with those of its siblings."""

    kept: strawberry.Private[core.Incident]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    title: str = strawberry.field(description="One line.")
    status: IncidentStatus = strawberry.field(description="Where it stands; follows from its alerts.")
    severity: Severity = strawberry.field(description="Worst of its open alerts, else the worst it had.")
    opened_at: datetime = strawberry.field(description="When its first alert joined.")
    resolved_at: datetime | None = strawberry.field(description="When its last alert ended.")
    alert_count: int = strawberry.field(description="How many alerts it has.")
    open_alert_count: int = strawberry.field(description="How many of them are open.")
    monitored_services: list[str] = strawberry.field(
        description="Things watched that are involved, at most 100.", metadata={"cost": 0}
    )
    version: Long = strawberry.field(description="See the rules at the top.")

    @computed(
        "The alert it probably began with; null where nobody can say.",
        batch=relation(attrgetter("kept.root_alert_id"), alerts_by_id, shown_alert),
    )
    @reads(Role.VIEWER)
    async def root_alert(self, info: Info) -> CriticalAlert | None:
        """Return the alert, read together with those of the siblings."""
        if self.kept.root_alert_id is None:
            return None
        found = await info.context.loaders.alert.load(self.kept.root_alert_id)
        return CriticalAlert.of(found, info.context.reading.now) if found is not None else None

    @computed(
        "The incident that took it over.",
        batch=relation(attrgetter("kept.merged_into"), last_incidents, shown_incident),
    )
    @reads(Role.VIEWER)
    async def merged_into(self, info: Info) -> "Incident | None":
        """Return the incident that has its alerts now: where that one was merged, too, the last one."""
        key = self.kept.merged_into
        found = (await last_incidents(info, [key])).get(key) if key is not None else None
        return Incident.of(found) if found is not None else None

    @computed("Its alerts, newest first.", batch=relation(attrgetter("kept.id"), alerts_by_incident, shown_alerts))
    @reads(Role.VIEWER)
    async def alerts(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> CriticalAlertConnection:
        """Return a page of the incident's alerts."""
        found = await alerts_by_incident(info, [self.kept.id], first, after, last, before)
        return shown_alerts(info, found[self.kept.id])

    @computed(
        "Its timeline with that of its alerts, oldest first.",
        batch=relation(attrgetter("kept.id"), events_by_incident, shown_events),
    )
    @reads(Role.VIEWER)
    async def events(
        self,
        info: Info,
        kinds: Kinds = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> LogEventConnection:
        """Return a page of the incident's timeline: of its alerts, what happened while they were in it."""
        found = await events_by_incident(info, [self.kept.id], kinds, first, after, last, before)
        return LogEventConnection.of(found[self.kept.id])

    @classmethod
    def of(cls, incident: core.Incident) -> Self:
        """Return an incident as the API shows it."""
        return cls(
            kept=incident,
            id=strawberry.ID(encode_id(NodeKind.INCIDENT, incident.id)),
            title=incident.title,
            status=incident.status,
            severity=incident.severity,
            opened_at=incident.opened_at,
            resolved_at=incident.resolved_at,
            alert_count=incident.alert_count,
            open_alert_count=incident.open_count,
            monitored_services=list(incident.services),
            version=Long(incident.version),
        )


@strawberry.type(description="One of a page of incidents.")
class IncidentEdge:
    """One of a page of incidents."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: Incident = strawberry.field(description="The thing.")


@strawberry.type(description="A page of incidents.")
class IncidentConnection:
    """A page of incidents."""

    edges: list[IncidentEdge] = strawberry.field(description="With cursors.")
    nodes: list[Incident] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int | None = strawberry.field(
        description=(
            "Exact up to 10,000, which stands for that many or more; null where counting takes too long."
        ),
        metadata={"cost": 10},
    )
    as_of: Cursor = strawberry.field(description=AS_OF)

    @classmethod
    def of(cls, page: Page[core.Incident]) -> Self:
        """Return a page of incidents as the API shows it."""
        edges = [IncidentEdge(cursor=cursor, node=Incident.of(incident)) for cursor, incident in page.items]
        assert page.as_of is not None, "pages of incidents always say where the log ended"
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
            as_of=Cursor(page.as_of.encode()),
        )


@strawberry.input(description="Which incidents. Every field given must hold; of a list, one value is enough.")
class IncidentFilter:
    """Which incidents; a field that is null asks for nothing."""

    status: list[IncidentStatus] | None = strawberry.field(description="Where they stand.")
    severity: list[Severity] | None = strawberry.field(description="How bad.")
    monitored_service: list[str] | None = strawberry.field(description="Involving these things watched.")
    opened_after: datetime | None = strawberry.field(description="Opened at or after.")
    opened_before: datetime | None = strawberry.field(description="Opened before.")

    def to_core(self, *path: str) -> query.IncidentFilter:
        """Return the filter as services take it.

        Args:
            path: Where the filter stands in the request, for the paths of what is refused.

        Raises:
            InputError: A field can't be used; the path names it.
        """
        check_length(self.status, *path, "status")
        check_length(self.severity, *path, "severity")
        return query.IncidentFilter(
            status=tuple(self.status) if self.status is not None else None,
            severity=tuple(self.severity) if self.severity is not None else None,
            monitored_service=texts_of(self.monitored_service, *path, "monitoredService"),
            opened_after=self.opened_after,
            opened_before=self.opened_before,
        )


@reads(Role.VIEWER)
async def incident(info: Info, id: Which) -> Incident | None:
    """Return an incident; None where the caller sees none with that id."""
    key = incident_id_of(id)
    found = await info.context.loaders.incident.load(key) if key is not None else None
    return Incident.of(found) if found is not None else None


@reads(Role.VIEWER)
async def incidents(
    info: Info,
    filter: Annotated[IncidentFilter | None, strawberry.argument(description="Which.")] = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> IncidentConnection:
    """Return a page of incidents, counted only where somebody asks how many there are."""
    wanted = given(filter)
    page = await info.context.reading.incident_page(
        wanted.to_core("filter") if wanted is not None else query.IncidentFilter(),
        page_of(first, after, last, before),
        with_total=selects(info, {"totalCount"}),
    )
    return IncidentConnection.of(page)


# ------------------------------------------------------------------------------------------ changes


@strawberry.input(description="To open an incident by hand.")
class IncidentInput:
    """To open an incident by hand."""

    title: str = strawberry.field(description="One line.")
    alert_ids: list[strawberry.ID] = strawberry.field(
        description="1 to 1,000; each leaves the incident it was in."
    )
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch.")
class UpdateIncidentInput:
    """A patch of an incident."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    title: Maybe[str | None] = strawberry.field(description="One line.")
    root_alert_id: Maybe[strawberry.ID | None] = strawberry.field(
        description="The alert it began with; null for unknown."
    )


@strawberry.input(description="To do something with an incident.")
class IncidentActionInput:
    """To do something with an incident."""

    id: strawberry.ID = strawberry.field(description="Which.")
    note: str | None = strawberry.field(description="Kept on the timeline.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="To merge.")
class MergeIncidentsInput:
    """To merge."""

    into_id: strawberry.ID = strawberry.field(description="The one that stays.")
    incident_ids: list[strawberry.ID] = strawberry.field(description="1 to 100 that end in it.")
    note: str | None = strawberry.field(description="Why.")


@strawberry.input(description="To add or split off alerts.")
class IncidentAlertsInput:
    """To add or split off alerts."""

    id: strawberry.ID = strawberry.field(description="Which incident.")
    alert_ids: list[strawberry.ID] = strawberry.field(description="1 to 1,000.")
    note: str | None = strawberry.field(description="Why.")


@strawberry.type(description="Answer.")
class IncidentPayload:
    """What became of an action on an incident."""

    incident: Incident | None = strawberry.field(
        description="The incident; null where refused. For a split, the new one."
    )
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )


What = strawberry.argument(description="What.")


async def _answered(act: Callable[[], Awaitable[core.Incident]]) -> IncidentPayload:
    try:
        return IncidentPayload(incident=Incident.of(await act()), errors=[])
    except RefusedError as error:
        return IncidentPayload(incident=None, errors=errors_of(error))


def _alerts(texts: Sequence[str]) -> list[AlertId | None]:
    return [decode_alert_id(text) for text in texts]


def _root_of(text: str | Unset | None) -> AlertId | Unset | None:
    if text is None or isinstance(text, Unset):
        return text
    alert_id = decode_alert_id(text)
    if alert_id is None:
        raise NotFoundError("There is no such alert.", "rootAlertId")
    return alert_id


@writes(Role.RESPONDER)
async def create_incident(info: Info, input: Annotated[IncidentInput, What]) -> IncidentPayload:
    """Open an incident of alerts chosen by hand."""
    service, principal = info.context.services.incidents, info.context.principal
    return await _answered(
        lambda: service.open(principal, input.title, _alerts(input.alert_ids), input.idempotency_key)
    )


@writes(Role.RESPONDER)
async def update_incident(info: Info, input: Annotated[UpdateIncidentInput, What]) -> IncidentPayload:
    """Change an incident's title or root."""
    service, principal = info.context.services.incidents, info.context.principal

    async def act() -> core.Incident:
        return await service.update(
            principal,
            incident_id_of(input.id),
            title=patched(input.title, "title"),
            root_alert_id=_root_of(cleared(input.root_alert_id)),
            expected_version=input.expected_version,
        )

    return await _answered(act)


@writes(Role.RESPONDER)
async def acknowledge_incident(info: Info, input: Annotated[IncidentActionInput, What]) -> IncidentPayload:
    """Take all open alerts of an incident."""
    service, principal = info.context.services.incidents, info.context.principal
    return await _answered(
        lambda: service.acknowledge(principal, incident_id_of(input.id), input.note, input.idempotency_key)
    )


@writes(Role.RESPONDER)
async def resolve_incident(info: Info, input: Annotated[IncidentActionInput, What]) -> IncidentPayload:
    """End all open alerts of an incident."""
    service, principal = info.context.services.incidents, info.context.principal
    return await _answered(
        lambda: service.resolve(principal, incident_id_of(input.id), input.note, input.idempotency_key)
    )


@writes(Role.RESPONDER)
async def add_alerts_to_incident(info: Info, input: Annotated[IncidentAlertsInput, What]) -> IncidentPayload:
    """Add alerts to an incident."""
    service, principal = info.context.services.incidents, info.context.principal
    return await _answered(
        lambda: service.add(principal, incident_id_of(input.id), _alerts(input.alert_ids), input.note)
    )


@writes(Role.RESPONDER)
async def merge_incidents(info: Info, input: Annotated[MergeIncidentsInput, What]) -> IncidentPayload:
    """Make one incident of several."""
    service, principal = info.context.services.incidents, info.context.principal
    others = [incident_id_of(text) for text in input.incident_ids]
    return await _answered(lambda: service.merge(principal, incident_id_of(input.into_id), others, input.note))


@writes(Role.RESPONDER)
async def split_incident(info: Info, input: Annotated[IncidentAlertsInput, What]) -> IncidentPayload:
    """Move alerts of an incident to a new one."""
    service, principal = info.context.services.incidents, info.context.principal
    return await _answered(
        lambda: service.split(principal, incident_id_of(input.id), _alerts(input.alert_ids), input.note)
    )
