"""Alerts as the API shows them, and which of them are asked for."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias

import strawberry
from strawberry.utils.str_converters import to_camel_case

from alertgraph.core import alert as core
from alertgraph.core import query
from alertgraph.core.actor import Actor as CoreActor
from alertgraph.core.errors import InputError
from alertgraph.core.ids import (
    AlertId,
    IncidentId,
    NodeKind,
    ResponderId,
    RuleId,
    decode_alert_id,
    decode_key,
    encode_id,
)
from alertgraph.core.query import Page
from alertgraph.core.rule import Ladder
from alertgraph.core.search import search_words
from alertgraph.core.silence import covering
from alertgraph.core.slo import acknowledge_breached, resolve_breached
from alertgraph.core.value import partial
from alertgraph.execution.asked import asked_fields
from resolvers.actor import Actor, responders_by_id, shown_responder
from resolvers.context import Info
from resolvers.fields import computed
from resolvers.matcher import LabelMatcherInput, check_length, matchers_of, texts_of
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
from resolvers.permissions import reads
from resolvers.prediction import AlertPrediction, predictions_by_alert
from resolvers.related import RELATED_COUNT_DEFAULT, RelatedAlert, related_by_alert, shown_related
from resolvers.relations import in_parts, relation
from resolvers.scalars import JSON, Cursor, Long
from resolvers.words import (
    AlertOrderField,
    AlertStatus,
    AlertVerdict,
    EventKind,
    HoldReason,
    OrderDirection,
    Role,
    Severity,
)

if TYPE_CHECKING:
    from resolvers.delivery import DeliveryConnection
    from resolvers.event import LogEventConnection
    from resolvers.incident import Incident
    from resolvers.responder import Responder
    from resolvers.rule import EscalationLevel, EscalationRule
    from resolvers.silence import Silence

INHIBITOR_COUNT_DEFAULT = 10
AS_OF = "The log as this page saw it: subscribe with `after: asOf` and miss nothing."

Kinds: TypeAlias = Annotated[list[EventKind] | None, strawberry.argument(description="Only these kinds.")]


@strawberry.type(description="A link to look at.")
class Link:
    """A link to look at."""

    href: str = strawberry.field(description="Where to.")
    text: str = strawberry.field(description="What to call it.")


@strawberry.type(description="An alert's SLA clocks.")
class AlertSla:
    """An alert's SLA clocks."""

    acknowledge_by: datetime = strawberry.field(description="To be acknowledged by.")
    resolve_by: datetime = strawberry.field(description="To be resolved by.")
    acknowledge_breached: bool = strawberry.field(description="Was not acknowledged in time.")
    resolve_breached: bool = strawberry.field(description="Was not resolved in time.")

    @classmethod
    def of(cls, alert: core.Alert, now: datetime) -> Self:
        """Return the clocks of an alert as they stand at `now`."""
        return cls(
            acknowledge_by=alert.sla.acknowledge_by,
            resolve_by=alert.sla.resolve_by,
            acknowledge_breached=acknowledge_breached(
                alert.sla, alert.first_acknowledged_at, alert.resolved_at, now
            ),
            resolve_breached=resolve_breached(alert.sla, alert.resolved_at, now),
        )


def rule_key(alert: "CriticalAlert") -> RuleId | None:
    """Return the rule whose ladder an alert climbs; None where no rule is for it."""
    return alert.kept.ladder.rule_id if alert.kept.ladder is not None else None


def open_key(alert: "CriticalAlert") -> AlertId | None:
    """Return the id of an open alert; None once it is resolved."""
    return alert.kept.id if alert.kept.is_open else None


async def rules_by_id(info: Info, keys: Sequence[RuleId]) -> Mapping[RuleId, Any]:
    """Return the rules that there are today."""
    catalog = await info.context.catalog()
    found = ((key, catalog.rule(key)) for key in keys)
    return {key: rule for key, rule in found if rule is not None}


def shown_rule(_info: Info, found: Any) -> "EscalationRule":
    """Return a rule as the API shows it."""
    from resolvers.rule import EscalationRule

    return EscalationRule.of(found)


async def levels_by_ladder(_info: Info, keys: Sequence[Ladder]) -> "Mapping[Ladder, list[EscalationLevel]]":
    """Return the levels of ladders."""
    # Here, since rules know people and schedules, which know who did something with an alert.
    from resolvers.rule import levels_of

    return {ladder: levels_of(ladder.levels) for ladder in keys}


MatchValues: TypeAlias = tuple[tuple[str, str], ...]


def match_key(alert: "CriticalAlert") -> MatchValues | None:
    """Return what silences look at in an open alert; None once it is resolved."""
    return tuple(core.alert_match_values(alert.kept).items()) if alert.kept.is_open else None


async def silences_by_values(info: Info, keys: Sequence[MatchValues]) -> "Mapping[MatchValues, list[Silence]]":
    """Return the silences whose window it is and that match."""
    # Here, since silences show the alerts that they would cover.
    from resolvers.silence import Silence

    silences, now = (await info.context.catalog()).silences, info.context.reading.now
    return {key: [Silence.of(found, now) for found, _ in covering(silences, dict(key), now)] for key in keys}


async def alerts_by_id(info: Info, keys: Sequence[AlertId]) -> Mapping[AlertId, core.Alert]:
    """Return the alerts that the caller may see."""
    return await in_parts(info.context.reading.alerts, keys)


def shown_alert(info: Info, found: core.Alert) -> "CriticalAlert":
    """Return an alert as the API shows it."""
    return CriticalAlert.of(found, info.context.reading.now)


async def inhibitors_by_alert(
    info: Info, keys: Sequence[AlertId], first: int = INHIBITOR_COUNT_DEFAULT
) -> Mapping[AlertId, Sequence[core.Alert]]:
    """Return the bigger alerts that cover each alert, as far as the caller may see them."""
    size = page_of(first, None, None, None).size
    reading = info.context.reading
    ids = await in_parts(lambda part: reading.inhibitors(part, size), keys)
    found = await alerts_by_id(info, list(dict.fromkeys(each for several in ids.values() for each in several)))
    return {key: [found[each] for each in several if each in found] for key, several in ids.items()}


def shown_alerts(info: Info, found: Sequence[core.Alert]) -> "list[CriticalAlert]":
    """Return alerts as the API shows them."""
    return [shown_alert(info, each) for each in found]


async def deliveries_by_alert(
    info: Info,
    keys: Sequence[AlertId],
    first: int | None = UNSET,
    after: str | None = UNSET,
    last: int | None = UNSET,
    before: str | None = UNSET,
) -> Mapping[AlertId, Any]:
    """Return the same page of each alert's deliveries."""
    page, reading = page_of(first, after, last, before), info.context.reading
    return await in_parts(lambda part: reading.deliveries_of(part, page), keys)


def shown_deliveries(_info: Info, page: Any) -> "DeliveryConnection":
    """Return a page of deliveries as the API shows it."""
    from resolvers.delivery import DeliveryConnection

    return DeliveryConnection.of(page)


async def events_by_alert(
    info: Info,
    keys: Sequence[AlertId],
    kinds: list[EventKind] | None = UNSET,
    first: int | None = UNSET,
    after: str | None = UNSET,
    last: int | None = UNSET,
    before: str | None = UNSET,
) -> Mapping[AlertId, Any]:
    """Return the same page of each alert's timeline."""
    page, reading = page_of(first, after, last, before), info.context.reading
    asked = given(kinds)
    only = frozenset(asked) if asked is not None else None
    return await in_parts(lambda part: reading.timelines(part, only, page), keys)


def shown_events(_info: Info, page: Any) -> "LogEventConnection":
    """Return a page of a timeline as the API shows it."""
    from resolvers.event import LogEventConnection

    return LogEventConnection.of(page)


async def incidents_by_id(info: Info, keys: Sequence[IncidentId]) -> Mapping[IncidentId, Any]:
    """Return the incidents that the caller may see."""
    return await in_parts(info.context.reading.incidents, keys)


def shown_incident(_info: Info, found: Any) -> "Incident":
    """Return an incident as the API shows it."""
    # Here, since incidents know their alerts.
    from resolvers.incident import Incident

    return Incident.of(found)


@strawberry.type(description="One open or closed condition: one per dedup key while open.")
class CriticalAlert(Node):
    """One open or closed condition; everything but its relations is read from one row."""

    kept: strawberry.Private[core.Alert]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    version: Long = strawberry.field(
        description=(
            "Number of the last event that changed it; of two states the one with the higher version is newer."
        )
    )
    dedup_key: str = strawberry.field(description="What makes repeats one alert while it is open.")
    title: str = strawberry.field(description="One line, 1 to 1,024 characters.")
    description: str = strawberry.field(description="More text, may be empty.")
    severity: Severity = strawberry.field(description="How bad.")
    status: AlertStatus = strawberry.field(description="Where it stands.")
    source: str = strawberry.field(description="What sent it, such as prometheus.")
    monitored_service: str | None = strawberry.field(description="Name of the thing watched.")
    labels: JSON = strawberry.field(description="Object of strings; what matchers look at.")
    annotations: JSON = strawberry.field(description="Object; free text and the sender's unknown fields.")
    links: list[Link] = strawberry.field(description="Runbooks, graphs.", metadata={"cost": 0})
    occurrence_count: int = strawberry.field(description="How often it fired while open, at least 1.")
    triggered_at: datetime = strawberry.field(description="When it began.")
    last_seen_at: datetime = strawberry.field(description="When it fired last.")
    acknowledged_at: datetime | None = strawberry.field(
        description="When somebody took it; null while nobody has it."
    )
    acknowledged_until: datetime | None = strawberry.field(
        description="When the acknowledgement runs out and it climbs again; null for never."
    )
    acknowledged_by: Actor | None = strawberry.field(description="Who took it.", metadata={"cost": 0})
    resolved_at: datetime | None = strawberry.field(description="When it ended.")
    resolved_by: Actor | None = strawberry.field(description="Who or what ended it.", metadata={"cost": 0})
    escalation_level: int = strawberry.field(description="0 until the first level is notified.")
    next_escalation_at: datetime | None = strawberry.field(
        description="When the next level is reached if nobody reacts."
    )
    hold_reason: HoldReason | None = strawberry.field(
        description="Why there is no next level; null while there is one and after it is resolved."
    )
    sla: AlertSla = strawberry.field(description="Its clocks.", metadata={"cost": 0})
    verdict: AlertVerdict | None = strawberry.field(description="What people said of it; null where nobody did.")

    @computed(
        "Who has to deal with it.", batch=relation(attrgetter("kept.assignee"), responders_by_id, shown_responder)
    )
    @reads(Role.VIEWER)
    async def assignee(self, info: Info) -> Annotated["Responder", strawberry.lazy("resolvers.responder")] | None:
        """Return the person whom the alert was given to."""
        # Here, since people know their channels, and channels the alerts that messages are about.
        from resolvers.responder import Responder

        if self.kept.assignee is None:
            return None
        found = (await info.context.catalog()).responders.get(self.kept.assignee)
        return Responder.of(found) if found is not None else None

    @computed(
        "The rule that matched, as it stands today; null where none did or it was deleted.",
        batch=relation(rule_key, rules_by_id, shown_rule),
    )
    @reads(Role.VIEWER)
    async def escalation_rule(
        self, info: Info
    ) -> Annotated["EscalationRule", strawberry.lazy("resolvers.rule")] | None:
        """Return the rule whose ladder the alert climbs: where none matched, that is the tenant's default rule."""
        # Here, since rules know people and schedules, which know who did something with an alert.
        from resolvers.rule import EscalationRule

        if self.kept.ladder is None:
            return None
        found = (await info.context.catalog()).rule(self.kept.ladder.rule_id)
        return EscalationRule.of(found) if found is not None else None

    @computed(
        "The ladder it climbs, frozen when it triggered.",
        cost=0,
        page_size_default=5,
        batch=relation(attrgetter("kept.ladder"), levels_by_ladder, missing=list),
    )
    @reads(Role.VIEWER)
    async def escalation_levels(
        self,
        info: Info,
    ) -> list[Annotated["EscalationLevel", strawberry.lazy("resolvers.rule")]]:
        """Return the ladder; empty where no rule is for the alert."""
        ladder = self.kept.ladder
        return (await levels_by_ladder(info, [ladder]))[ladder] if ladder is not None else []

    @computed(
        "Silences that cover it now.",
        page_size_default=1,
        batch=relation(match_key, silences_by_values, missing=list),
    )
    @reads(Role.VIEWER)
    async def silenced_by(self, info: Info) -> list[Annotated["Silence", strawberry.lazy("resolvers.silence")]]:
        """Return the silences whose window it is and that match the alert; none once it is resolved."""
        key = match_key(self)
        return (await silences_by_values(info, [key]))[key] if key is not None else []

    @computed(
        "Bigger alerts that cover it now.",
        page_size_default=INHIBITOR_COUNT_DEFAULT,
        batch=relation(open_key, inhibitors_by_alert, shown_alerts, missing=list),
    )
    @reads(Role.VIEWER)
    async def inhibited_by(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description="1 to 100.")] = INHIBITOR_COUNT_DEFAULT,
    ) -> list["CriticalAlert"]:
        """Return the open alerts that cover this one, oldest first, read together with those of its siblings."""
        size = page_of(first, None, None, None).size
        if not self.kept.is_open:
            return []
        loaders, now = info.context.loaders, info.context.reading.now
        ids = await loaders.inhibitors(size).load(self.kept.id)
        found = await loaders.alert.load_many(ids or ())
        # A key sees no alert beyond its scope, though it may cover one within.
        return [CriticalAlert.of(alert, now) for alert in found if alert is not None]

    @computed(
        "The incident it belongs to.",
        batch=relation(attrgetter("kept.incident_id"), incidents_by_id, shown_incident),
    )
    @reads(Role.VIEWER)
    async def incident(self, info: Info) -> Annotated["Incident", strawberry.lazy("resolvers.incident")] | None:
        """Return the incident, read together with those of its siblings."""
        if self.kept.incident_id is None:
            return None
        found = await info.context.loaders.incident.load(self.kept.incident_id)
        return shown_incident(info, found) if found is not None else None

    @computed(
        "Alerts believed to belong with it, best first; null where the model is off or late. Costs 10 each.",
        cost=10,
        page_size_default=RELATED_COUNT_DEFAULT,
        batch=relation(attrgetter("kept.id"), related_by_alert, shown_related),
    )
    @reads(Role.VIEWER)
    async def related_alerts(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description="1 to 50.")] = RELATED_COUNT_DEFAULT,
    ) -> list[RelatedAlert] | None:
        """Return the links of the alert; of a list of alerts they are read at once."""
        found = (await related_by_alert(info, [self.kept.id], first)).get(self.kept.id)
        return shown_related(info, found) if found is not None else None

    @computed(
        "What the model expects; null where it is off, late or new. Never an error.",
        batch=relation(attrgetter("kept.id"), predictions_by_alert),
    )
    @reads(Role.VIEWER)
    async def prediction(self, info: Info) -> AlertPrediction | None:
        """Return the prediction, read together with those of its siblings."""
        found = await info.context.loaders.prediction.load(self.kept.id)
        return AlertPrediction.of(self.kept.id, found) if found is not None else None

    @computed(
        "Who was told, and how, oldest first.",
        batch=relation(attrgetter("kept.id"), deliveries_by_alert, shown_deliveries),
    )
    @reads(Role.VIEWER)
    async def deliveries(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Annotated["DeliveryConnection", strawberry.lazy("resolvers.delivery")]:
        """Return a page of the alert's deliveries, read together with those of its siblings."""
        # Here, since deliveries know their alerts.
        from resolvers.delivery import DeliveryConnection

        loader = info.context.loaders.deliveries_of(page_of(first, after, last, before))
        return DeliveryConnection.of(await loader.load(self.kept.id))

    @computed("Its timeline, oldest first.", batch=relation(attrgetter("kept.id"), events_by_alert, shown_events))
    @reads(Role.VIEWER)
    async def events(
        self,
        info: Info,
        kinds: Kinds = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Annotated["LogEventConnection", strawberry.lazy("resolvers.event")]:
        """Return a page of the alert's timeline, read together with those of its siblings."""
        # Here, since events know alerts and alerts their events.
        from resolvers.event import LogEventConnection

        asked = given(kinds)
        loader = info.context.loaders.timeline(
            frozenset(asked) if asked is not None else None, page_of(first, after, last, before)
        )
        return LogEventConnection.of(await loader.load(self.kept.id))

    @classmethod
    def of(cls, alert: core.Alert, now: datetime) -> Self:
        """Return an alert as the API shows it.

        Args:
            alert: As it was stored.
            now: What its SLA clocks are judged by.
        """
        taken, ended = alert.acknowledged_by, alert.resolved_by
        return cls(
            kept=alert,
            id=strawberry.ID(encode_id(NodeKind.ALERT, alert.id)),
            version=Long(alert.version),
            dedup_key=alert.dedup_key,
            title=alert.title,
            description=alert.description,
            severity=alert.severity,
            status=alert.status,
            source=alert.source,
            monitored_service=alert.monitored_service,
            labels=JSON(alert.labels),
            annotations=JSON(alert.annotations),
            links=_links_of(alert),
            occurrence_count=alert.occurrence_count,
            triggered_at=alert.triggered_at,
            last_seen_at=alert.last_seen_at,
            acknowledged_at=alert.acknowledged_at,
            acknowledged_until=alert.acknowledged_until,
            acknowledged_by=Actor.of(taken) if taken is not None else None,
            resolved_at=alert.resolved_at,
            resolved_by=Actor.of(ended) if ended is not None else None,
            escalation_level=alert.escalation_level,
            next_escalation_at=alert.next_escalation_at,
            hold_reason=alert.held,
            sla=AlertSla.of(alert, now),
            verdict=alert.verdict,
        )


_OWN: Mapping[str, str] = {
    name: "held" if name == "hold_reason" else name
    for name in (
        "version",
        "dedup_key",
        "title",
        "description",
        "severity",
        "status",
        "source",
        "monitored_service",
        "labels",
        "annotations",
        "occurrence_count",
        "triggered_at",
        "last_seen_at",
        "acknowledged_at",
        "acknowledged_until",
        "resolved_at",
        "escalation_level",
        "next_escalation_at",
        "hold_reason",
        "verdict",
    )
}
"""What is shown as it was stored: the attribute, and the stored alert's."""

_MADE: Mapping[str, tuple[tuple[str, ...], Callable[[core.Alert, datetime], object]]] = {
    "id": (("id",), lambda alert, _: encode_id(NodeKind.ALERT, alert.id)),
    "links": (("links",), lambda alert, _: _links_of(alert)),
    "acknowledged_by": (("acknowledged_by",), lambda alert, _: _actor_of(alert.acknowledged_by)),
    "resolved_by": (("resolved_by",), lambda alert, _: _actor_of(alert.resolved_by)),
    "sla": (("sla", "first_acknowledged_at", "resolved_at"), AlertSla.of),
}
"""What is made for those who ask: the attribute, what of the stored alert it is made from, and how."""

_RELATED: Mapping[str, tuple[str, ...]] = {
    "assignee": ("assignee",),
    "escalation_rule": ("ladder",),
    "escalation_levels": ("ladder",),
    "silenced_by": ("status", "title", "severity", "source", "monitored_service", "dedup_key", "labels"),
    "inhibited_by": ("status", "id"),
    "incident": ("incident_id",),
    "related_alerts": ("id",),
    "prediction": ("id",),
    "deliveries": ("id",),
    "events": ("id",),
}
"""What resolvers find out, and what of the stored alert they look at."""

_ATTRIBUTES: Mapping[str, str] = {to_camel_case(name): name for name in (*_OWN, *_MADE, *_RELATED)}


def _links_of(alert: core.Alert) -> list[Link]:
    return [Link(href=link.href, text=link.text) for link in alert.links]


def _actor_of(who: CoreActor | None) -> Actor | None:
    return Actor.of(who) if who is not None else None


class Showing:
    """How alerts are shown of which some fields are asked for: no others are made.

    Args:
        asked: By their names in the schema; None for all.

    Attributes:
        fields: What has to be known of a stored alert for it; None for everything.
    """

    def __init__(self, asked: Collection[str] | None) -> None:
        self._is_whole = asked is None
        names = {_ATTRIBUTES[name] for name in asked or ()}
        own = [name for name in _OWN if name in names]
        made = [name for name in _MADE if name in names]
        self._read = [attrgetter(_OWN[name]) for name in own]
        self._make = [_MADE[name][1] for name in made]
        self._shown = partial(CriticalAlert, ("kept", *own, *made))
        self.fields: frozenset[str] | None = None
        if asked is not None:
            read = [_MADE[name][0] if name in _MADE else _RELATED.get(name, ()) for name in names]
            self.fields = frozenset(_OWN[name] for name in own).union(*read)

    def of(self, alerts: Sequence[core.Alert], now: datetime) -> list[CriticalAlert]:
        """Return alerts as the API shows them; to read of one what was not asked for is an AttributeError.

        Args:
            alerts: As they were stored, with `fields` at least.
            now: What their SLA clocks are judged by.
        """
        if self._is_whole:
            return [CriticalAlert.of(alert, now) for alert in alerts]
        # A column at a time: what is read is read without a step of Python's own.
        own = [map(read, alerts) for read in self._read]
        made = [[make(alert, now) for alert in alerts] for make in self._make]
        return list(map(self._shown, alerts, *own, *made))


@lru_cache(maxsize=1024)
def showing(asked: frozenset[str] | None) -> Showing:
    """Return how alerts are shown of which these fields are asked for; None for all."""
    return Showing(asked)


@strawberry.type(description="One of a page of alerts.")
class CriticalAlertEdge:
    """One of a page of alerts."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: CriticalAlert = strawberry.field(description="The thing.")


_UNREAD: Any = None
"""Stands for what nobody asked for; null may not stand there, so that a mistake would be an error."""


@strawberry.type(description="A page of alerts.")
class CriticalAlertConnection:
    """A page of alerts."""

    edges: list[CriticalAlertEdge] = strawberry.field(description="With cursors.")
    nodes: list[CriticalAlert] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int | None = strawberry.field(
        description=(
            "Exact up to 10,000, which stands for that many or more; null where counting takes too long."
        ),
        metadata={"cost": 10},
    )
    as_of: Cursor = strawberry.field(description=AS_OF)

    @classmethod
    def of(cls, page: Page[core.Alert], now: datetime, shown: Showing, *, with_edges: bool) -> Self:
        """Return a page of alerts as the API shows it.

        Args:
            page: Of stored alerts.
            now: What their SLA clocks are judged by.
            shown: What of each alert is asked for.
            with_edges: Whether edges are asked for.
        """
        nodes = shown.of([alert for _, alert in page.items], now)
        edges = [
            CriticalAlertEdge(cursor=cursor, node=node)
            for (cursor, _), node in zip(page.items, nodes if with_edges else (), strict=with_edges)
        ]
        return cls(
            edges=edges if with_edges else _UNREAD,
            nodes=nodes,
            page_info=PageInfo.of(page),
            total_count=page.total_count,
            as_of=Cursor(page.as_of.encode()) if page.as_of is not None else _UNREAD,
        )


@strawberry.input(description="Which alerts. Every field given must hold; of a list, one value is enough.")
class AlertFilter:
    """Which alerts; a field that is null asks for nothing."""

    status: list[AlertStatus] | None = strawberry.field(description="Where they stand.")
    severity: list[Severity] | None = strawberry.field(description="How bad.")
    monitored_service: list[str] | None = strawberry.field(description="Of these things watched.")
    source: list[str] | None = strawberry.field(description="From these senders.")
    dedup_key: list[str] | None = strawberry.field(
        description="With these dedup keys, open and closed: an alert's history."
    )
    matchers: list[LabelMatcherInput] | None = strawberry.field(description="With these labels; all must hold.")
    search: str | None = strawberry.field(description="Words to find in title and description; all must occur.")
    triggered_after: datetime | None = strawberry.field(description="Triggered at or after.")
    triggered_before: datetime | None = strawberry.field(description="Triggered before.")
    resolved_after: datetime | None = strawberry.field(description="Resolved at or after.")
    resolved_before: datetime | None = strawberry.field(description="Resolved before.")
    incident_id: strawberry.ID | None = strawberry.field(description="Of this incident.")
    escalation_rule_id: strawberry.ID | None = strawberry.field(description="Matched by this rule.")
    escalation_level_min: int | None = strawberry.field(description="At this level or above.")
    acknowledged_by_id: list[strawberry.ID] | None = strawberry.field(
        description="Acknowledged by these responders."
    )
    assignee_id: list[strawberry.ID] | None = strawberry.field(description="Given to these responders.")
    sla_breached: bool | None = strawberry.field(description="Whether any SLA time was missed.")
    silenced: bool | None = strawberry.field(description="Whether a silence covers it now.")
    inhibited: bool | None = strawberry.field(description="Whether a bigger alert covers it now.")
    verdict: list[AlertVerdict] | None = strawberry.field(description="What people said of it.")
    incident_probability_min: float | None = strawberry.field(
        description="Predicted at this chance or more, 0 to 1; leaves out those with no prediction."
    )

    def to_core(self, *path: str) -> query.AlertFilter:
        """Return the filter as services take it.

        Args:
            path: Where the filter stands in the request, for the paths of what is refused.

        Raises:
            InputError: A field can't be used; the path names it.
        """
        for name, values in (
            ("status", self.status),
            ("severity", self.severity),
            ("acknowledgedById", self.acknowledged_by_id),
            ("assigneeId", self.assignee_id),
            ("verdict", self.verdict),
        ):
            check_length(values, *path, name)
        if self.search is not None:
            search_words(self.search, *path, "search")
        if self.incident_probability_min is not None and not 0 <= self.incident_probability_min <= 1:
            raise InputError("incidentProbabilityMin is 0 to 1.", *path, "incidentProbabilityMin")
        return query.AlertFilter(
            status=tuple(self.status) if self.status is not None else None,
            severity=tuple(self.severity) if self.severity is not None else None,
            monitored_service=texts_of(self.monitored_service, *path, "monitoredService"),
            source=texts_of(self.source, *path, "source"),
            dedup_key=texts_of(self.dedup_key, *path, "dedupKey"),
            matchers=matchers_of(self.matchers, *path, "matchers"),
            search=self.search,
            triggered_after=self.triggered_after,
            triggered_before=self.triggered_before,
            resolved_after=self.resolved_after,
            resolved_before=self.resolved_before,
            incident=_incidents_of(self.incident_id),
            escalation_rule=_rules_of(self.escalation_rule_id),
            escalation_level_min=self.escalation_level_min,
            acknowledged_by=_people_of(self.acknowledged_by_id),
            assignee=_people_of(self.assignee_id),
            sla_breached=self.sla_breached,
            silenced=self.silenced,
            inhibited=self.inhibited,
            verdict=tuple(self.verdict) if self.verdict is not None else None,
            incident_probability_min=self.incident_probability_min,
        )


def _rules_of(text: str | None) -> tuple[RuleId, ...] | None:
    """Return the rule that is asked for; none, and so no alert, where the id names nothing."""
    if text is None:
        return None
    key = decode_key(text, NodeKind.ESCALATION_RULE)
    return (RuleId(key),) if key is not None else ()


def _incidents_of(text: str | None) -> tuple[IncidentId, ...] | None:
    """Return the incident that is asked for; none, and so no alert, where the id names nothing."""
    if text is None:
        return None
    key = decode_key(text, NodeKind.INCIDENT)
    return (IncidentId(key),) if key is not None else ()


def _people_of(texts: Sequence[str] | None) -> tuple[ResponderId, ...] | None:
    """Return the people who are asked for, without ids that name nothing; None where nobody asks."""
    if texts is None:
        return None
    keys = (decode_key(text, NodeKind.RESPONDER) for text in texts)
    return tuple(ResponderId(key) for key in keys if key is not None)


@strawberry.input(description="Order of alerts.")
class AlertOrder:
    """Order of alerts."""

    field: AlertOrderField = strawberry.field(default=AlertOrderField.TRIGGERED_AT, description="By what.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.DESC, description="Which way.")

    def to_core(self) -> query.AlertOrder:
        """Return the order as services take it."""
        return query.AlertOrder(self.field, descending=self.direction is OrderDirection.DESC)


@reads(Role.VIEWER)
async def alert(info: Info, id: Which) -> CriticalAlert | None:
    """Return an alert; None where the caller sees none with that id."""
    alert_id = decode_alert_id(id)
    if alert_id is None:
        return None
    found = await info.context.loaders.alert.load(alert_id)
    return CriticalAlert.of(found, info.context.reading.now) if found is not None else None


@reads(Role.VIEWER)
async def alerts(
    info: Info,
    filter: Annotated[AlertFilter | None, strawberry.argument(description="Which.")] = UNSET,
    order_by: Annotated[
        AlertOrder | None, strawberry.argument(description="Newest first where left out.")
    ] = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> CriticalAlertConnection:
    """Return a page of alerts, counted only where somebody asks how many there are."""
    wanted, order = given(filter), given(order_by)
    reading = info.context.reading
    edges, shown = asked_fields(info, "edges"), showing(_asked_of_alerts(info))
    page = await reading.alert_page(
        wanted.to_core("filter") if wanted is not None else query.AlertFilter(),
        order.to_core() if order is not None else query.AlertOrder(),
        page_of(first, after, last, before),
        with_total=selects(info, {"totalCount"}),
        with_as_of=selects(info, {"asOf"}),
        with_cursors=edges is None or "cursor" in edges,
        fields=shown.fields,
    )
    return CriticalAlertConnection.of(page, reading.now, shown, with_edges=edges is None or bool(edges))


def _asked_of_alerts(info: Info) -> frozenset[str] | None:
    """Return the fields that are asked for of a connection's alerts; None where that is not known."""
    nodes, in_edges = asked_fields(info, "nodes"), asked_fields(info, "edges", "node")
    return None if nodes is None or in_edges is None else nodes | in_edges


@reads(Role.VIEWER)
async def label_suggestions(
    info: Info,
    label: Annotated[str | None, strawberry.argument(description="Whose values.")] = UNSET,
    prefix: Annotated[str | None, strawberry.argument(description="Only those that begin so.")] = UNSET,
    first: Annotated[int, strawberry.argument(description="1 to 100.")] = 20,
) -> list[str]:
    """Return names of labels in use, or the values of one, the commonest first."""
    return list(await info.context.reading.label_suggestions(given(label), given(prefix) or "", first))
