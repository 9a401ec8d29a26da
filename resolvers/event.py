"""The log as the API shows it: the stream, the timeline and the audit trail at once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Self, TypeAlias
from uuid import UUID

import orjson
import strawberry

from alertgraph.core import event as core
from alertgraph.core import query
from alertgraph.core.cursor import LogCursor
from alertgraph.core.event import StoredEvent
from alertgraph.core.ids import (
    DeliveryId,
    EventKey,
    IncidentId,
    NodeKind,
    decode_alert_id,
    decode_id,
    decode_key,
    encode_event_id,
)
from alertgraph.core.query import Page
from alertgraph.core.summary import summary
from resolvers.actor import Actor
from resolvers.alert import AS_OF, CriticalAlert, alerts_by_id, incidents_by_id, shown_alert, shown_incident
from resolvers.configured import all_configured, configured
from resolvers.context import Info
from resolvers.delivery import Delivery, deliveries_by_id, shown_delivery
from resolvers.fields import computed
from resolvers.matcher import LabelMatcherInput, check_length, check_text, matchers_of, texts_of
from resolvers.paging import UNSET, After, Before, First, Last, Node, PageInfo, given, page_of
from resolvers.permissions import reads
from resolvers.relations import relation
from resolvers.scalars import JSON, Cursor, Long
from resolvers.words import ActorKind, EventKind, HoldReason, Role, Severity

if TYPE_CHECKING:
    from resolvers.incident import Incident


@strawberry.type(description="A field before and after.")
class FieldChange:
    """A field before and after."""

    field: str = strawberry.field(description="Name as in this schema.")
    before: JSON | None = strawberry.field(description="Null where it was empty.")
    after: JSON | None = strawberry.field(description="Null where it is empty.")

    @classmethod
    def of(cls, change: core.FieldChange) -> Self:
        """Return a change as the API shows it."""
        return cls(field=change.field, before=change.before, after=change.after)


def delivery_key(entry: "LogEvent") -> DeliveryId | None:
    """Return the delivery that an event is about; None where it is about none."""
    told = entry.stored.event.detail.get("delivery")
    key = decode_key(told, NodeKind.DELIVERY) if isinstance(told, str) else None
    return DeliveryId(key) if key is not None else None


def sealed_note(entry: "LogEvent") -> str | None:
    """Return what a person wrote with an event, as it is kept: unreadable."""
    return entry.stored.event.note


async def notes(info: Info, keys: Sequence[str]) -> Mapping[str, str]:
    """Return notes opened with the tenant's key, as far as they can be."""
    return await info.context.reading.notes(keys)


Subject: TypeAlias = tuple[NodeKind, UUID]


def subject_key(entry: "LogEvent") -> Subject | None:
    """Return the configured thing that an event is about; None where it is about none."""
    told = entry.stored.event.subject_id
    decoded = decode_id(told) if told is not None else None
    if decoded is None:
        return None
    kind, key = decoded
    return (kind, key) if isinstance(key, UUID) else None


async def subjects(info: Info, keys: Sequence[Subject]) -> Mapping[Subject, Node]:
    """Return configured things as they are now, as far as the caller may see them."""
    return await all_configured(info.context, keys)


@strawberry.type(
    description=(
        "One entry of the tenant's event log, which is the stream, the timeline and the audit trail at once."
    )
)
class LogEvent(Node):
    """One entry of the log; what takes work is made only where it is asked for."""

    stored: strawberry.Private[StoredEvent]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    cursor: Cursor = strawberry.field(description="Give it as `after` to go on behind it.")
    number: Long = strawberry.field(
        description="Position in the log: 1, 2, 3 … without gaps. A filtered view skips numbers."
    )
    kind: EventKind = strawberry.field(description="What happened.")
    occurred_at: datetime = strawberry.field(description="When it was committed.")
    actor: Actor = strawberry.field(description="Who did it.", metadata={"cost": 0})
    hold_reason: HoldReason | None = strawberry.field(description="For HELD: why.")
    subject_type: str | None = strawberry.field(
        description="Type of the configured thing it is about, such as EscalationRule."
    )
    subject_id: strawberry.ID | None = strawberry.field(description="Id of that thing, also after it was deleted.")

    @computed("One English sentence for a timeline.")
    def summary(self) -> str:
        """Return the event as a sentence."""
        return summary(self.stored.event)

    @computed(
        "The alert it is about, as it is now (see its version), not as it was then.",
        batch=relation(attrgetter("stored.event.alert_id"), alerts_by_id, shown_alert),
    )
    @reads(Role.VIEWER)
    async def alert(self, info: Info) -> CriticalAlert | None:
        """Return the alert, read together with those of the sibling events."""
        alert_id = self.stored.event.alert_id
        if alert_id is None:
            return None
        found = await info.context.loaders.alert.load(alert_id)
        return CriticalAlert.of(found, info.context.reading.now) if found is not None else None

    @computed(
        "The incident it is about.",
        batch=relation(attrgetter("stored.event.incident_id"), incidents_by_id, shown_incident),
    )
    @reads(Role.VIEWER)
    async def incident(self, info: Info) -> Annotated["Incident", strawberry.lazy("resolvers.incident")] | None:
        """Return the incident, read together with those of the sibling events."""
        key = self.stored.event.incident_id
        found = await info.context.loaders.incident.load(key) if key is not None else None
        return shown_incident(info, found) if found is not None else None

    @computed("The delivery it is about.", batch=relation(delivery_key, deliveries_by_id, shown_delivery))
    @reads(Role.VIEWER)
    async def delivery(self, info: Info) -> Delivery | None:
        """Return the delivery, read together with those of the sibling events."""
        key = delivery_key(self)
        found = await info.context.loaders.delivery.load(key) if key is not None else None
        return Delivery.of(found) if found is not None else None

    @computed("What a person wrote with it.", batch=relation(sealed_note, notes))
    @reads(Role.VIEWER)
    async def note(self, info: Info) -> str | None:
        """Return the note, opened with the tenant's key; None where it was made unreadable."""
        sealed = sealed_note(self)
        return (await notes(info, [sealed])).get(sealed) if sealed is not None else None

    # Views that are not shared are seen by their owners only.
    @computed("That thing as it is now; null once deleted.", personal=True, batch=relation(subject_key, subjects))
    @reads(Role.VIEWER)
    async def subject(self, info: Info) -> Node | None:
        """Return the configured thing; None also where the caller may not see it."""
        # The settings have no id of their own: their subject is the tenant.
        key = subject_key(self)
        return await configured(info.context, *key) if key is not None else None

    @computed("Fields that changed, secrets left out.", cost=0, page_size_default=1)
    def changes(self) -> list[FieldChange]:
        """Return the fields that changed."""
        return [FieldChange.of(change) for change in self.stored.event.changes]

    @computed("The whole content as it was hashed.")
    def detail(self) -> JSON:
        """Return the content, a note in it as the ciphertext that was hashed."""
        return JSON(orjson.loads(self.stored.content))

    @property
    def resume_cursor(self) -> str:
        """Where a stream goes on behind this event."""
        return self.cursor

    @classmethod
    def of(cls, stored: StoredEvent, cursor: str) -> Self:
        """Return an event as the API shows it.

        Args:
            stored: In its place in the log.
            cursor: That place, as text.
        """
        event = stored.event
        return cls(
            stored=stored,
            id=strawberry.ID(encode_event_id(EventKey(stored.number, stored.recorded_at))),
            cursor=Cursor(cursor),
            number=Long(stored.number),
            kind=event.kind,
            occurred_at=stored.recorded_at,
            actor=Actor.of(event.actor),
            hold_reason=event.hold_reason,
            subject_type=event.subject_type,
            subject_id=strawberry.ID(event.subject_id) if event.subject_id is not None else None,
        )


def cursor_of(stored: StoredEvent, log_epoch: int) -> str:
    """Return the text of the position behind an event."""
    return LogCursor(log_epoch, stored.number, stored.recorded_at, stored.leaf[:4]).encode()


@strawberry.type(description="One of a page of events.")
class LogEventEdge:
    """One of a page of events."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: LogEvent = strawberry.field(description="The thing.")


@strawberry.type(description="A page of events.")
class LogEventConnection:
    """A page of events."""

    edges: list[LogEventEdge] = strawberry.field(description="With cursors.")
    nodes: list[LogEvent] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    as_of: Cursor = strawberry.field(description=AS_OF)

    @classmethod
    def of(cls, page: Page[StoredEvent]) -> Self:
        """Return a page of events as the API shows it; their cursors are those of the log."""
        edges = [LogEventEdge(cursor=cursor, node=LogEvent.of(stored, cursor)) for cursor, stored in page.items]
        assert page.as_of is not None, "pages of the log always say where it ended"
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            as_of=Cursor(page.as_of.encode()),
        )


@strawberry.input(
    description=(
        "Which events; only what the event itself tells, so that a replay answers as the live stream did. "
        "Every field given must hold; of a list, one value is enough."
    )
)
class EventFilter:
    """Which events; a field that is null asks for nothing."""

    kinds: list[EventKind] | None = strawberry.field(description="Of these kinds.")
    severity: list[Severity] | None = strawberry.field(
        description="About alerts this bad before or after the event, so that a live list sees them leave too."
    )
    monitored_service: list[str] | None = strawberry.field(
        description="About alerts of these things watched, before or after the event."
    )
    source: list[str] | None = strawberry.field(description="About alerts from these senders.")
    matchers: list[LabelMatcherInput] | None = strawberry.field(
        description="About alerts with these labels; all must hold."
    )
    alert_ids: list[strawberry.ID] | None = strawberry.field(description="About these alerts, at most 100.")
    incident_id: strawberry.ID | None = strawberry.field(description="About this incident or its alerts.")
    subject_id: strawberry.ID | None = strawberry.field(description="About this configured thing.")
    subject_type: list[str] | None = strawberry.field(
        description="About configured things of this type, such as EscalationRule."
    )
    actor_kind: list[ActorKind] | None = strawberry.field(description="By these sorts of actors.")
    occurred_after: datetime | None = strawberry.field(description="At or after.")
    occurred_before: datetime | None = strawberry.field(description="Before.")

    def to_core(self, *path: str) -> query.EventFilter:
        """Return the filter as services take it.

        Args:
            path: Where the filter stands in the request, for the paths of what is refused.

        Raises:
            InputError: A field can't be used; the path names it.
        """
        for name, values in (
            ("kinds", self.kinds),
            ("severity", self.severity),
            ("alertIds", self.alert_ids),
            ("actorKind", self.actor_kind),
        ):
            check_length(values, *path, name)
        if self.subject_id is not None:
            check_text(self.subject_id, *path, "subjectId")
        services = texts_of(self.monitored_service, *path, "monitoredService")
        sources = texts_of(self.source, *path, "source")
        subject_types = texts_of(self.subject_type, *path, "subjectType")
        alert_ids = self.alert_ids
        return query.EventFilter(
            kinds=frozenset(self.kinds) if self.kinds is not None else None,
            severity=frozenset(self.severity) if self.severity is not None else None,
            monitored_service=frozenset(services) if services is not None else None,
            source=frozenset(sources) if sources is not None else None,
            matchers=matchers_of(self.matchers, *path, "matchers"),
            # An id that names nothing is left out: it can't be that of any alert.
            alert_ids=(
                frozenset(key for key in map(decode_alert_id, alert_ids) if key is not None)
                if alert_ids is not None
                else None
            ),
            incident_ids=_incidents_of(self.incident_id),
            subject_id=self.subject_id,
            subject_type=frozenset(subject_types) if subject_types is not None else None,
            actor_kind=frozenset(self.actor_kind) if self.actor_kind is not None else None,
            occurred_after=self.occurred_after,
            occurred_before=self.occurred_before,
        )


def _incidents_of(text: str | None) -> frozenset[IncidentId] | None:
    """Return the incident that is asked for; none, and so no event, where the id names nothing."""
    if text is None:
        return None
    key = decode_key(text, NodeKind.INCIDENT)
    return frozenset((IncidentId(key),)) if key is not None else frozenset()


@reads(Role.VIEWER)
async def events(
    info: Info,
    filter: Annotated[EventFilter | None, strawberry.argument(description="Which.")] = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> LogEventConnection:
    """Return a page of what the caller may see of the log."""
    wanted = given(filter)
    page = await info.context.reading.event_page(
        wanted.to_core("filter") if wanted is not None else query.EventFilter(),
        page_of(first, after, last, before),
    )
    return LogEventConnection.of(page)
