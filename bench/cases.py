"""Every list, filter, order and figure of the contract as one read: to be timed, and to have its plan checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import AlertStatus, AlertVerdict
from alertgraph.core.catalog import Catalog
from alertgraph.core.delivery import DeliveryQuery, DeliveryStatus
from alertgraph.core.event import EventKind
from alertgraph.core.ids import (
    AlertId,
    ChannelId,
    IncidentId,
    InhibitionRuleId,
    NodeKind,
    ResponderId,
    RuleId,
    SilenceId,
    TenantId,
    encode_id,
)
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.metrics import MetricsWindow
from alertgraph.core.query import (
    AlertFilter,
    AlertOrder,
    AlertOrderField,
    AlertQuery,
    EventFilter,
    EventQuery,
    Page,
    PageRequest,
    TimelineQuery,
)
from alertgraph.core.severity import Severity
from alertgraph.core.silence import Silence
from alertgraph.storage import delivery_pages, event_pages, figures, search
from alertgraph.storage.alert_pages.counts import matching_count
from alertgraph.storage.alert_pages.judging import matching_alerts
from alertgraph.storage.alert_pages.pages import alert_page
from alertgraph.storage.alerts import load_alerts
from alertgraph.storage.filling import made_up_id
from alertgraph.storage.reader import Reader

PAGE = 100
OPEN = (AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED)
CLOSED = (AlertStatus.RESOLVED,)
NOBODY = UUID(int=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Case:
    """One read.

    Attributes:
        part: Which table of results it is told in.
        names: The filter's fields that it is about.
        unbounded: Why it may take longer than others; empty where it may not.
        read: Reads it once.
    """

    part: str
    name: str
    names: frozenset[str]
    read: Callable[[Reader], Awaitable[Any]]
    unbounded: str = ""


@dataclass(frozen=True)
class Known:
    """What cases are put together from: things that are there in one tenant.

    Attributes:
        host: Of a label that few alerts have.
        title: Of some alert.
        key: A dedup key that many closed alerts have had.
        places: Cursors in the middle of each order's list, by order.
        ids: Of some alerts, some of them with events in the log.
    """

    tenant: TenantId
    now: datetime
    host: str
    service: str
    title: str
    key: str
    ids: Sequence[AlertId]
    logged: Sequence[AlertId]


ORDERS = tuple(AlertOrder(order, descending) for order in AlertOrderField for descending in (True, False))


def order_name(order: AlertOrder) -> str:
    """Return an order in words."""
    return f"{order.field.name} {'DESC' if order.descending else 'ASC'}"


# ------------------------------------------------------------------------------------------ alerts

_REGEX = "REGEX and NOT matchers are judged row by row"
_FAR = "the time of the list's order says nothing of the one that is asked for: a month may be read past"
_LOOKED = "no index knows what few events say: they are looked at one by one"
_COMMON = "a word or label of very many alerts is no selection: rows are judged one by one"


def alert_filters(known: Known) -> Iterator[tuple[str, AlertFilter, str]]:
    """Yield filters with their names, and why a filter can't always be quick."""
    now, tenant = known.now, known.tenant

    def person(number: int) -> ResponderId:
        return ResponderId(made_up_id(tenant, NodeKind.RESPONDER, number))

    def rule(number: int) -> RuleId:
        return RuleId(made_up_id(tenant, NodeKind.ESCALATION_RULE, number))

    def label(name: str, value: str, operator: MatchOperator = MatchOperator.EQUAL) -> AlertFilter:
        return AlertFilter(matchers=(Matcher(name, operator, value),))

    yield "none", AlertFilter(), ""
    yield "open", AlertFilter(status=OPEN), ""
    yield "triggered", AlertFilter(status=OPEN[:1]), ""
    yield "acknowledged", AlertFilter(status=OPEN[1:]), ""
    yield "resolved", AlertFilter(status=CLOSED), ""
    yield "critical", AlertFilter(severity=(Severity.CRITICAL,)), ""
    yield "critical or high", AlertFilter(severity=(Severity.CRITICAL, Severity.HIGH)), ""
    yield "open, critical", AlertFilter(status=OPEN, severity=(Severity.CRITICAL,)), ""
    yield "triggered, critical or high", AlertFilter(OPEN[:1], (Severity.CRITICAL, Severity.HIGH)), ""
    yield "service", AlertFilter(monitored_service=(known.service,)), ""
    yield "service of none", AlertFilter(monitored_service=("nobody's",)), ""
    yield "open, service", AlertFilter(status=OPEN, monitored_service=(known.service,)), ""
    yield "three services", AlertFilter(monitored_service=(known.service, "search", "media")), ""
    yield "source, common", AlertFilter(source=("prometheus",)), ""
    yield "source, rare", AlertFilter(source=("manual",)), ""
    yield "source of none", AlertFilter(source=("nobody",)), ""
    yield "dedup key", AlertFilter(dedup_key=(known.key,)), ""
    yield "dedup key of none", AlertFilter(dedup_key=("nothing",)), ""
    yield "label, rare", label("host", known.host), ""
    yield "label, common", label("env", "production"), _COMMON
    yield "label of none", label("host", "nobody"), ""
    yield (
        "two labels",
        AlertFilter(matchers=(*label("host", known.host).matchers, *label("env", "production").matchers)),
        "",
    )
    yield "label of built-in service", label("@service", known.service), ""
    yield "title", label("@title", known.title), ""
    yield "title of none", label("@title", "nothing"), ""
    yield "label, NOT_EQUAL", label("env", "production", MatchOperator.NOT_EQUAL), _REGEX
    yield "label, REGEX, some", label("host", f"{known.service}-.*1", MatchOperator.REGEX), _REGEX
    yield "label, REGEX, none", label("host", "nobody.*", MatchOperator.REGEX), _REGEX
    yield "search, one word", AlertFilter(search=known.service), _COMMON
    yield "search, three words", AlertFilter(search=f"{known.title.split()[0]} {known.host.replace('-', ' ')}"), ""
    yield "search, no find", AlertFilter(search="nowhere"), ""
    yield "triggered in the last day", AlertFilter(triggered_after=now - DAY), ""
    yield "triggered half a year ago", AlertFilter(triggered_before=now - 180 * DAY), ""
    yield "triggered on a day", AlertFilter(triggered_after=now - 100 * DAY, triggered_before=now - 99 * DAY), ""
    yield (
        "resolved in an hour",
        AlertFilter(resolved_after=now - 50 * DAY, resolved_before=now - 50 * DAY + HOUR),
        "",
    )
    yield "resolved in the last month", AlertFilter(resolved_after=now - 30 * DAY), _FAR
    yield "resolved half a year ago", AlertFilter(resolved_before=now - 180 * DAY), ""
    yield "rule, common", AlertFilter(escalation_rule=(rule(0),)), ""
    yield "rule, rare", AlertFilter(escalation_rule=(rule(3),)), ""
    yield "rule of none", AlertFilter(escalation_rule=(RuleId(NOBODY),)), ""
    yield "incident of none", AlertFilter(incident=(IncidentId(NOBODY),)), ""
    yield "level 1 or above", AlertFilter(escalation_level_min=1), ""
    yield "level 3 or above", AlertFilter(escalation_level_min=3), ""
    yield "level 9 or above", AlertFilter(escalation_level_min=9), ""
    yield "acknowledged by", AlertFilter(acknowledged_by=(person(0),)), ""
    yield "acknowledged by nobody", AlertFilter(acknowledged_by=(ResponderId(NOBODY),)), ""
    yield "assignee", AlertFilter(assignee=(person(0),)), ""
    yield "assignee, nobody", AlertFilter(assignee=(ResponderId(NOBODY),)), ""
    yield "SLA missed", AlertFilter(sla_breached=True), ""
    yield "SLA kept", AlertFilter(sla_breached=False), ""
    yield "open, SLA missed", AlertFilter(status=OPEN, sla_breached=True), ""
    yield "silenced", AlertFilter(silenced=True), _REGEX
    yield "not silenced", AlertFilter(silenced=False), _REGEX
    yield "inhibited", AlertFilter(inhibited=True), _REGEX
    yield "not inhibited", AlertFilter(inhibited=False), _REGEX
    yield "verdict", AlertFilter(verdict=(AlertVerdict.NOISE,)), ""
    yield "verdicts", AlertFilter(verdict=tuple(AlertVerdict)), ""
    yield "open, verdict", AlertFilter(status=OPEN, verdict=(AlertVerdict.ACTIONABLE,)), ""
    for chance in (0.5, 0.9, 0.99, 0.9999):
        yield f"predicted at {chance:g} or more", AlertFilter(incident_probability_min=chance), ""
    yield "predicted, none", AlertFilter(incident_probability_min=1.0), ""
    yield "open, predicted at 0.9 or more", AlertFilter(status=OPEN, incident_probability_min=0.9), ""


def asked(value: object) -> frozenset[str]:
    """Return the names of the fields of a filter that ask for something."""
    return frozenset(
        each.name
        for each in fields(value)  # type: ignore[arg-type]
        if getattr(value, each.name) != each.default
    )


def catalog(known: Known) -> Catalog:
    """Return what is set up: a silence of a host, one by an expression, and a rule of inhibition."""

    def silence(number: int, matcher: Matcher) -> Silence:
        return Silence(
            SilenceId(UUID(int=number)),
            (matcher,),
            known.now - DAY,
            known.now + DAY,
            "measured",
            Actor(ActorKind.PERSON, "Ada", "person:ada"),
        )

    return Catalog(
        silences=(
            silence(1, Matcher("host", MatchOperator.EQUAL, known.host)),
            silence(2, Matcher("host", MatchOperator.REGEX, f"{known.service}-0.*")),
        ),
        inhibitions=(
            InhibitionRule(
                InhibitionRuleId(UUID(int=3)),
                "measured",
                (Matcher("@severity", MatchOperator.EQUAL, "CRITICAL"),),
                (Matcher("@severity", MatchOperator.EQUAL, "LOW"),),
                ("region",),
            ),
        ),
    )


def alert_cases(known: Known, orders: Sequence[AlertOrder] = ORDERS) -> Iterator[Case]:
    """Yield each filter in each order, read from the front and from the back."""
    set_up = catalog(known)

    async def read(query: AlertQuery, reader: Reader) -> Page[Any]:
        return await alert_page(reader, query, set_up)

    for name, wanted, why in alert_filters(known):
        for order in orders:
            for backward in (False, True):
                # From the back is the other direction, from the front of a list without cursors.
                if backward and order.descending:
                    continue
                query = AlertQuery(wanted, order, PageRequest(PAGE, backward=backward), known.now)
                way = "last" if backward else "first"
                yield Case(
                    "alerts", f"{name} | {order_name(order)}, {way}", asked(wanted), partial(read, query), why
                )


def paging_cases(known: Known) -> Iterator[Case]:
    """Yield pages in the middle of a list, and counts of all."""

    async def middle(wanted: AlertFilter, order: AlertOrder, reader: Reader) -> None:
        page = PageRequest(PAGE)
        first = await alert_page(reader, AlertQuery(wanted, order, page, known.now), Catalog())
        if first.has_next:
            after = PageRequest(PAGE, after=first.items[-1][0])
            await alert_page(reader, AlertQuery(wanted, order, after, known.now), Catalog())

    async def counted(wanted: AlertFilter, reader: Reader) -> None:
        query = AlertQuery(wanted, AlertOrder(), PageRequest(PAGE), known.now, with_total=True)
        await alert_page(reader, query, Catalog())

    old = AlertFilter(triggered_before=known.now - 180 * DAY)
    for order in ORDERS:
        yield Case(
            "paging", f"two pages | {order_name(order)}", frozenset(), partial(middle, AlertFilter(), order)
        )
    yield Case("paging", "two pages, half a year ago", frozenset(), partial(middle, old, AlertOrder()))
    for name, wanted in (
        ("all", AlertFilter()),
        ("open", AlertFilter(status=OPEN)),
        ("open, critical", AlertFilter(status=OPEN, severity=(Severity.CRITICAL,))),
        ("service", AlertFilter(monitored_service=(known.service,))),
    ):
        yield Case("paging", f"with totalCount, {name}", frozenset(), partial(counted, wanted))


# ------------------------------------------------------------------------------------------ events


def event_filters(known: Known) -> Iterator[tuple[str, EventFilter, str]]:
    """Yield filters of the log with their names, and why one can't always be quick."""
    now = known.now

    def label(name: str, value: str, operator: MatchOperator = MatchOperator.EQUAL) -> EventFilter:
        return EventFilter(matchers=(Matcher(name, operator, value),))

    rule = encode_id(NodeKind.ESCALATION_RULE, made_up_id(known.tenant, NodeKind.ESCALATION_RULE, 0))
    yield "none", EventFilter(), ""
    yield "frequent kind", EventFilter(kinds=frozenset({EventKind.RESOLVED})), ""
    yield "rare kind", EventFilter(kinds=frozenset({EventKind.ACKNOWLEDGED})), ""
    yield "kind of none", EventFilter(kinds=frozenset({EventKind.REOPENED})), ""
    yield "frequent and rare kinds", EventFilter(kinds=frozenset({EventKind.TRIGGERED, EventKind.REOPENED})), ""
    yield "severity", EventFilter(severity=frozenset({Severity.CRITICAL})), ""
    yield "service", EventFilter(monitored_service=frozenset({known.service})), ""
    yield "service of none", EventFilter(monitored_service=frozenset({"nobody's"})), _LOOKED
    yield "source, common", EventFilter(source=frozenset({"prometheus"})), ""
    yield "source, rare", EventFilter(source=frozenset({"manual"})), _LOOKED
    yield "source of none", EventFilter(source=frozenset({"nobody"})), _LOOKED
    yield "alerts", EventFilter(alert_ids=frozenset(known.logged)), ""
    yield "alerts of none", EventFilter(alert_ids=frozenset({AlertId(NOBODY)})), ""
    yield "alerts, kind", EventFilter(kinds=frozenset({EventKind.RESOLVED}), alert_ids=frozenset(known.logged)), ""
    yield "incident of none", EventFilter(incident_ids=frozenset({IncidentId(NOBODY)})), ""
    yield "subject", EventFilter(subject_id=rule), ""
    yield "subject of none", EventFilter(subject_id="nothing"), ""
    yield "type of subject", EventFilter(subject_type=frozenset({"EscalationRule"})), ""
    yield "actors, people", EventFilter(actor_kind=frozenset({ActorKind.PERSON})), ""
    yield "actors, operator", EventFilter(actor_kind=frozenset({ActorKind.OPERATOR})), _LOOKED
    yield "actors of none", EventFilter(actor_kind=frozenset({ActorKind.MODEL})), _LOOKED
    yield "occurred in the last day", EventFilter(occurred_after=now - DAY), ""
    yield "occurred on a day", EventFilter(occurred_after=now - 20 * DAY, occurred_before=now - 19 * DAY), ""
    yield "occurred half a year ago", EventFilter(occurred_before=now - 180 * DAY), ""
    yield "label", label("host", known.host), _LOOKED
    yield "label of none", label("host", "nobody"), _LOOKED
    yield "label, REGEX", label("host", f"{known.service}-.*1", MatchOperator.REGEX), _LOOKED


def event_cases(known: Known) -> Iterator[Case]:
    """Yield each filter of the log, oldest and newest first, and what is read of single alerts."""

    async def read(query: EventQuery, reader: Reader) -> Page[Any]:
        return await event_pages.event_page(reader, query)

    async def timelines(query: TimelineQuery, reader: Reader) -> Mapping[AlertId, Any]:
        return await event_pages.timelines(reader, query)

    for name, wanted, why in event_filters(known):
        for backward in (True, False):
            query = EventQuery(wanted, PageRequest(PAGE, backward=backward))
            way = "last" if backward else "first"
            yield Case("events", f"{name} | {way}", asked(wanted), partial(read, query), why)
    for backward in (True, False):
        one = TimelineQuery(tuple(known.logged[:1]), None, PageRequest(50, backward=backward))
        many = TimelineQuery(tuple(known.logged), None, PageRequest(10, backward=backward))
        way = "last" if backward else "first"
        yield Case("events", f"timeline of one alert | {way}", frozenset(), partial(timelines, one))
        yield Case("events", f"timelines of a page of alerts | {way}", frozenset(), partial(timelines, many))


# ------------------------------------------------------------------------------------------ figures


def figure_cases(known: Known) -> Iterator[Case]:
    """Yield the figures of windows, whole and in buckets, with and without a filter."""

    async def tally(window: MetricsWindow, reader: Reader) -> None:
        await figures.read_tally(reader, window)

    async def everything(window: MetricsWindow, reader: Reader) -> None:
        await figures.read_tally(reader, window)
        await figures.read_open_counts(reader, window)

    async def series(window: MetricsWindow, bucket: timedelta, reader: Reader) -> None:
        await figures.read_series(reader, window, bucket)

    severity, service = frozenset({Severity.CRITICAL}), frozenset({known.service})
    for days in (1, 30, 365):
        window = MetricsWindow(known.now - days * DAY, known.now)
        past = MetricsWindow(known.now - (days + 5) * DAY, known.now - 5 * DAY)
        yield Case("figures", f"{days} d", frozenset(), partial(everything, window))
        yield Case("figures", f"{days} d, ended 5 d ago", frozenset(), partial(everything, past))
        for name, filtered in (
            ("severity", MetricsWindow(window.since, window.until, severity)),
            ("monitored_service", MetricsWindow(window.since, window.until, frozenset(), service)),
        ):
            yield Case("figures", f"{days} d, {name}", frozenset({name}), partial(tally, filtered))
        bucket = HOUR if days == 1 else DAY
        yield Case("figures", f"{days} d, series", frozenset(), partial(series, window, bucket))
    yield Case("figures", "open alerts", frozenset(), figures.read_open_alert_count)


# ------------------------------------------------------------------------------------------ the rest


def other_cases(known: Known) -> Iterator[Case]:
    """Yield lists of deliveries, suggestions, previews of silences, reads by id, and the engine's health."""
    now = known.now

    async def deliveries(query: DeliveryQuery, reader: Reader) -> None:
        await delivery_pages.delivery_page(reader, query)

    channel = ChannelId(made_up_id(known.tenant, NodeKind.CHANNEL, 0))
    person = ResponderId(made_up_id(known.tenant, NodeKind.RESPONDER, 0))
    for name, query in (
        ("none", DeliveryQuery()),
        ("sent", DeliveryQuery(status=(DeliveryStatus.SENT,))),
        ("failed", DeliveryQuery(status=(DeliveryStatus.FAILED,))),
        ("failed or skipped", DeliveryQuery(status=(DeliveryStatus.FAILED, DeliveryStatus.SKIPPED))),
        ("pending", DeliveryQuery(status=(DeliveryStatus.PENDING,))),
        ("channel", DeliveryQuery(channel_ids=(channel,))),
        ("channel of none", DeliveryQuery(channel_ids=(ChannelId(NOBODY),))),
        ("responder", DeliveryQuery(responder_ids=(person,))),
        ("responder of none", DeliveryQuery(responder_ids=(ResponderId(NOBODY),))),
        ("created in the last day", DeliveryQuery(created_after=now - DAY)),
        ("created half a year ago", DeliveryQuery(created_before=now - 180 * DAY)),
        ("channel, failed", DeliveryQuery(channel_ids=(channel,), status=(DeliveryStatus.FAILED,))),
    ):
        for backward in (False, True):
            page = PageRequest(PAGE, backward=backward)
            asked_for = DeliveryQuery(
                page,
                query.status,
                query.channel_ids,
                query.responder_ids,
                query.created_after,
                query.created_before,
            )
            way = "last" if backward else "first"
            yield Case("deliveries", f"{name} | {way}", asked(query) - {"page"}, partial(deliveries, asked_for))

    async def of_alerts(reader: Reader) -> None:
        await delivery_pages.deliveries_of(reader, known.logged, PageRequest(10))

    async def by_id(reader: Reader) -> None:
        await load_alerts(reader, known.ids)

    async def health(reader: Reader) -> None:
        await delivery_pages.load_engine_figures(reader, now)

    async def labels(label: str | None, prefix: str, reader: Reader) -> None:
        await search.suggest_labels(reader, label, prefix, 20)

    async def preview(matcher: Matcher, since: datetime | None, reader: Reader) -> None:
        await matching_count(reader, (matcher,), since, 10_000)

    async def sample(matcher: Matcher, reader: Reader) -> None:
        await matching_alerts(reader, (matcher,), None, 100)

    yield Case("others", "deliveries of a page of alerts", frozenset(), of_alerts)
    yield Case("others", "100 alerts by id", frozenset(), by_id)
    yield Case("others", "engine health", frozenset(), health)
    yield Case("others", "names of labels", frozenset(), partial(labels, None, ""))
    yield Case("others", "values of a label", frozenset(), partial(labels, "host", ""))
    yield Case("others", "values of a label, prefix", frozenset(), partial(labels, "host", known.host[:5]))
    for name, matcher in (
        ("label, rare", Matcher("host", MatchOperator.EQUAL, known.host)),
        ("label, common", Matcher("env", MatchOperator.EQUAL, "production")),
        ("REGEX", Matcher("host", MatchOperator.REGEX, f"{known.service}-.*")),
    ):
        why = "" if name == "label, rare" else "what matches is counted by what labels say"
        for since, when in ((None, "open"), (now - 7 * DAY, "last week")):
            yield Case(
                "previews", f"silence preview, {name}, {when}", frozenset(), partial(preview, matcher, since), why
            )
        yield Case("previews", f"silence preview, {name}, some", frozenset(), partial(sample, matcher), why)


def all_cases(known: Known) -> list[Case]:
    """Return every case."""
    return [
        *alert_cases(known),
        *paging_cases(known),
        *event_cases(known),
        *figure_cases(known),
        *other_cases(known),
    ]


# ------------------------------------------------------------------------------------------ what is there

_SOME = """
    SELECT id, labels ->> 'host' AS host, monitored_service, title, dedup_key FROM alert_closed
    WHERE tenant_id = $1 ORDER BY triggered_at DESC LIMIT 100
"""
_LOGGED = """
    SELECT alert_id FROM event WHERE tenant_id = $1 AND alert_id IS NOT NULL ORDER BY number DESC LIMIT 400
"""


async def known_of(reader: Reader, now: datetime) -> Known:
    """Return what there is in a filled tenant."""
    rows = await reader.fetch(_SOME, reader.tenant_id)
    logged = await reader.fetch(_LOGGED, reader.tenant_id)
    first = rows[0]
    return Known(
        tenant=reader.tenant_id,
        now=now,
        host=first["host"],
        service=first["monitored_service"],
        title=first["title"],
        key=rows[1]["dedup_key"],
        ids=[AlertId(row["id"]) for row in rows],
        logged=list(dict.fromkeys(AlertId(row["alert_id"]) for row in logged))[:PAGE],
    )
