"""Pages of alerts: whatever is asked for, walking them either way gives what sorting and filtering all would."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict, alert_match_values
from alertgraph.core.catalog import Catalog
from alertgraph.core.event import EventKind, FieldChange
from alertgraph.core.ids import (
    AlertId,
    InhibitionRuleId,
    NodeKind,
    ResponderId,
    RuleId,
    SilenceId,
    TenantId,
    encode_id,
)
from alertgraph.core.inhibition import InhibitionRule, source_keys
from alertgraph.core.labels import Matcher, MatchOperator, matches_all
from alertgraph.core.prediction import Advice
from alertgraph.core.query import AlertFilter, AlertOrder, AlertOrderField, AlertQuery, Page, PageRequest
from alertgraph.core.rule import Ladder
from alertgraph.core.search import alert_words, search_words
from alertgraph.core.severity import Severity
from alertgraph.core.silence import Silence
from alertgraph.core.slo import SlaClocks, acknowledge_breached, resolve_breached
from alertgraph.storage import search
from alertgraph.storage.alert_pages import selections
from alertgraph.storage.alert_pages.pages import alert_page
from alertgraph.storage.database import Database
from alertgraph.storage.reader import Reader
from alertgraph.storage.search import PostgresSearchIndex
from alertgraph.storage.snapshot import PostgresSnapshotSource
from tests.factories import ADA, DAY, HOUR, MINUTE, an_alert, an_event
from tests.kept import Keeper, keeping
from tests.servers import DatabaseServer
from tests.thoroughness import examples

SERVICES = ("checkout", "payments", "search")
SOURCES = ("prometheus", "script")
WORDS = ("disk", "full", "Größe", "latency", "p99", "node_cpu", "東京", "a")
PEOPLE = tuple(ResponderId(UUID(int=number)) for number in range(1, 4))
RULES = tuple(RuleId(UUID(int=number)) for number in range(11, 14))
TAKERS = (
    *(Actor(ActorKind.PERSON, "Somebody", encode_id(NodeKind.RESPONDER, person)) for person in PEOPLE),
    # Whoever has such a name is not for that reason the person.
    Actor(ActorKind.API_KEY, "A key", encode_id(NodeKind.RESPONDER, PEOPLE[0])),
    ADA,
)
# Few, so that many are equally likely.
ADVICE = [Advice(chance, 0.5) for chance in (0.0, 0.1, 0.5, 1.0)]
LABELS = {"host": ("web-1", "web-2", ""), "team": ("core", "x" * 300), "env\u00a0x": ("prod",)}


def some_alerts(keeper: Keeper, dice: random.Random, count: int) -> list[Alert]:
    """Return alerts of every sort, with many ties and some so old that their month has no partition."""
    instants = [keeper.now - timedelta(hours=hours) for hours in range(12)]

    def at_random(chance: float) -> datetime | None:
        return dice.choice(instants) if dice.random() < chance else None

    alerts = []
    for number in range(count):
        status = dice.choice(list(AlertStatus))
        # None begins long after it was taken in, which its id tells.
        age = 900 * DAY if dice.random() < 0.2 else timedelta(0)
        made_at = keeper.now - age - dice.random() * 2 * DAY
        closed, triggered_at = status is AlertStatus.RESOLVED, dice.choice(instants) - age
        taken = status is AlertStatus.ACKNOWLEDGED or (closed and dice.random() < 0.5)
        alerts.append(
            an_alert(
                id=AlertId(keeper.id_at(made_at)),
                status=status,
                # Closed alerts share keys, as an alert's history does.
                dedup_key=f"key-{number % 5}" if closed else f"open-{number}",
                severity=dice.choice(list(Severity)),
                monitored_service=dice.choice((*SERVICES, None)),
                source=dice.choice(SOURCES),
                title=" ".join(dice.choices(WORDS, k=2)),
                description=" ".join(dice.choices(WORDS, k=dice.randrange(4))),
                labels={name: dice.choice(values) for name, values in LABELS.items() if dice.random() < 0.6},
                triggered_at=triggered_at,
                # Several within an hour, and on its edges.
                last_seen_at=dice.choice(instants) - dice.choice((0, 0, 1, 30)) * MINUTE,
                acknowledged_by=dice.choice(TAKERS) if taken else None,
                first_acknowledged_at=at_random(0.4),
                resolved_at=max(triggered_at, dice.choice(instants)) if closed else None,
                resolved_by=ADA if closed else None,
                escalation_level=dice.randrange(4),
                sla=SlaClocks(dice.choice(instants), dice.choice(instants)),
                verdict=dice.choice((None, *AlertVerdict)),
                ladder=dice.choice((None, *(Ladder(rule_id, ()) for rule_id in RULES))),
                assignee=dice.choice((None, *PEOPLE)),
                advice=dice.choice((None, *ADVICE)),
            )
        )
    return alerts


async def rewritten(keeper: Keeper, tenant_id: UUID, alert: Alert) -> Alert:
    """Give an alert other texts and labels, as an update does, and return it as it is then."""
    changed = replace(alert, title="rewritten disk", labels={"host": "web-2"})
    table = "alert_open" if alert.is_open else "alert_closed"
    for name in (table, "alert_closed_late"):
        await keeper.connection.execute(
            f"UPDATE {name} SET title = $3, labels = $4 WHERE tenant_id = $1 AND id = $2",
            tenant_id,
            alert.id,
            changed.title,
            changed.labels,
        )
    change = FieldChange("labels", dict(alert.labels), dict(changed.labels))
    event = an_event(kind=EventKind.UPDATED, alert_id=alert.id, labels=changed.labels, changes=(change,))
    await keeper.events(tenant_id, [event])
    return changed


def matcher(label: str, value: str, operator: MatchOperator = MatchOperator.EQUAL) -> Matcher:
    """Return a matcher, of equality where nothing else is said."""
    return Matcher(label, operator, value)


def some_silences(now: datetime) -> list[Silence]:
    """Return silences of every sort: of one alert and of many, and two whose time is not now."""

    def silence(number: int, *matchers: Matcher, begins: timedelta = -HOUR) -> Silence:
        starts_at = now + begins
        return Silence(SilenceId(UUID(int=number)), matchers, starts_at, starts_at + 2 * HOUR, "Because.", ADA)

    return [
        silence(1, matcher("host", "web-1")),
        silence(2, matcher("@dedup_key", "open-3")),
        silence(3, matcher("@dedup_key", "open-10"), matcher("@severity", "INFO", MatchOperator.NOT_EQUAL)),
        silence(4, matcher("team", "co.*", MatchOperator.REGEX), matcher("@source", "script")),
        silence(5, matcher("host", "web-2"), begins=-2 * HOUR),
        silence(6, matcher("host", "web-2"), begins=HOUR),
        silence(7, matcher("team", "core"), matcher("absent", "")),
        silence(8, matcher("env\u00a0x", "prod"), matcher("@service", "checkout")),
    ]


INHIBITIONS = [
    InhibitionRule(InhibitionRuleId(UUID(int=number)), f"rule {number}", sources, targets, equal, enabled)
    for number, sources, targets, equal, enabled in (
        (1, (matcher("@severity", "CRITICAL"),), (matcher("@source", "script"),), ("@service",), True),
        # What matches both sides is covered by what matches one.
        (2, (matcher("host", "web-1"),), (matcher("host", "web-.", MatchOperator.REGEX),), ("team",), True),
        (3, (matcher("@dedup_key", "open-3"),), (matcher("@dedup_key", "open-10"),), (), True),
        (4, (matcher("@source", "script"),), (matcher("@source", "prometheus"),), (), False),
        (5, (matcher("team", "core"),), (matcher("env\u00a0x", "prod"),), ("host", "@severity"), True),
    )
]


async def keep_sources(keeper: Keeper, tenant_id: UUID, alerts: Sequence[Alert]) -> None:
    """Keep what open alerts are a source of, as the engine does."""
    rows = [
        (tenant_id, key.rule_id, key.digest, alert.id)
        for alert in alerts
        if alert.is_open
        for key in source_keys(INHIBITIONS, alert_match_values(alert))
    ]
    columns = ("tenant_id", "rule_id", "digest", "alert_id")
    await keeper.connection.copy_records_to_table(
        "inhibitor", schema_name="alertgraph", columns=columns, records=rows
    )


def is_silenced(alert: Alert, silences: Sequence[Silence], now: datetime) -> bool:
    """Say whether a silence that comes once covers an alert."""
    values = alert_match_values(alert)
    return alert.is_open and any(
        silence.starts_at <= now < silence.ends_at and matches_all(silence.matchers, values)
        for silence in silences
    )


def is_inhibited(alert: Alert, rules: Sequence[InhibitionRule], alerts: Sequence[Alert]) -> bool:
    """Say whether another alert covers an alert, looking at each there is."""
    return alert.is_open and any(
        _covers(rule, other, alert) for rule in rules if rule.enabled for other in alerts if other.is_open
    )


def _covers(rule: InhibitionRule, source: Alert, target: Alert) -> bool:
    above, below = alert_match_values(source), alert_match_values(target)
    two_sided = [
        matches_all(rule.source_matchers, values) and matches_all(rule.target_matchers, values)
        for values in (above, below)
    ]
    return (
        source.id != target.id
        and matches_all(rule.source_matchers, above)
        and matches_all(rule.target_matchers, below)
        and all(above.get(label, "") == below.get(label, "") for label in rule.equal_labels)
        and not all(two_sided)
    )


def is_wanted(
    alert: Alert,
    wanted: AlertFilter,
    scope: tuple[Matcher, ...],
    now: datetime,
    catalog: Catalog = Catalog(),  # noqa: B008 - a value
    alerts: Sequence[Alert] = (),
) -> bool:
    """Say what the contract says of a filter, one alert at a time."""
    ended, seen = alert.resolved_at, alert.first_acknowledged_at
    breached = acknowledge_breached(alert.sla, seen, ended, now) or resolve_breached(alert.sla, ended, now)
    values, taker = alert_match_values(alert), alert.acknowledged_by
    return (
        (wanted.status is None or alert.status in wanted.status)
        and (wanted.severity is None or alert.severity in wanted.severity)
        and (wanted.monitored_service is None or alert.monitored_service in wanted.monitored_service)
        and (wanted.source is None or alert.source in wanted.source)
        and (wanted.dedup_key is None or alert.dedup_key in wanted.dedup_key)
        and matches_all((*wanted.matchers, *scope), values)
        and (wanted.search is None or search_words(wanted.search) <= alert_words(alert.title, alert.description))
        and (wanted.triggered_after is None or alert.triggered_at >= wanted.triggered_after)
        and (wanted.triggered_before is None or alert.triggered_at < wanted.triggered_before)
        and (wanted.resolved_after is None or (ended is not None and ended >= wanted.resolved_after))
        and (wanted.resolved_before is None or (ended is not None and ended < wanted.resolved_before))
        and (
            wanted.escalation_rule is None
            or (alert.ladder is not None and alert.ladder.rule_id in wanted.escalation_rule)
        )
        and (wanted.escalation_level_min is None or alert.escalation_level >= wanted.escalation_level_min)
        and (
            wanted.acknowledged_by is None
            or any(taker == TAKERS[PEOPLE.index(person)] for person in wanted.acknowledged_by)
        )
        and (wanted.assignee is None or alert.assignee in wanted.assignee)
        and (wanted.sla_breached is None or breached is wanted.sla_breached)
        and (wanted.silenced is None or is_silenced(alert, catalog.silences, now) is wanted.silenced)
        and (wanted.inhibited is None or is_inhibited(alert, catalog.inhibitions, alerts) is wanted.inhibited)
        and (wanted.verdict is None or alert.verdict in wanted.verdict)
        and (
            wanted.incident_probability_min is None
            or (alert.advice is not None and alert.advice.incident_probability >= wanted.incident_probability_min)
        )
    )


def in_order(alerts: Sequence[Alert], order: AlertOrder) -> list[Alert]:
    """Return alerts sorted by an order, equal ones by id."""

    def place(alert: Alert) -> tuple[datetime | float, UUID]:
        match order.field:
            case AlertOrderField.TRIGGERED_AT:
                return alert.triggered_at, alert.id
            case AlertOrderField.LAST_SEEN_AT:
                return alert.last_seen_at, alert.id
            case AlertOrderField.SEVERITY:
                return alert.severity, alert.id
            case AlertOrderField.INCIDENT_PROBABILITY:
                assert alert.advice is not None, "those of which nothing was said come last"
                return alert.advice.incident_probability, alert.id

    told, untold = list(alerts), []
    if order.field is AlertOrderField.INCIDENT_PROBABILITY:
        told = [alert for alert in alerts if alert.advice is not None]
        untold = [alert for alert in alerts if alert.advice is None]
    return [
        *sorted(told, key=place, reverse=order.descending),
        *sorted(untold, key=lambda alert: alert.id, reverse=order.descending),
    ]


def lists(values: Sequence[object]) -> st.SearchStrategy[tuple[object, ...]]:
    """Return some of the values: seldom none of them, which matches nothing."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(tuple) | st.just(())


COMPARED = [
    ("host", "web-1"),
    ("host", ""),
    ("team", "core"),
    ("team", "x" * 300),
    ("env\u00a0x", "prod"),
    ("host", "web-.|core"),
    ("absent", ""),
    ("absent", ".*"),
    ("@severity", "HIGH"),
    ("@severity", "high"),
    ("@service", "checkout"),
    ("@service", ""),
    ("@source", "script"),
    ("@title", "rewritten disk"),
    ("@title", ".*disk.*"),
    ("@dedup_key", "key-1"),
    ("host", "\x00"),
]
MATCHERS = st.builds(
    lambda compared, operator: Matcher(compared[0], operator, compared[1]),
    st.sampled_from(COMPARED),
    st.sampled_from([MatchOperator.EQUAL, *MatchOperator]),
)


COVERED = ("silenced", "inhibited")


def filters(now: datetime, *, covered: bool) -> st.SearchStrategy[AlertFilter]:
    """Return filters over what `some_alerts` makes; with `covered` all of them ask who covers an alert."""
    instants = st.integers(-2, 14).map(lambda hours: now - hours * HOUR)
    fields: dict[str, st.SearchStrategy[object]] = {
        "status": lists(list(AlertStatus)),
        "severity": lists(list(Severity)),
        "monitored_service": lists([*SERVICES, "nothing", "\x00"]),
        "source": lists([*SOURCES, "\ud800"]),
        "dedup_key": lists(["key-0", "key-1", "open-3", "open-10"]),
        "matchers": st.lists(MATCHERS, min_size=1, max_size=2).map(tuple),
        "search": st.lists(st.sampled_from(WORDS[:-1]), min_size=1, max_size=2).map(" ".join),
        "triggered_after": instants,
        "triggered_before": instants,
        "resolved_after": instants,
        "resolved_before": instants,
        "escalation_rule": lists(RULES),
        "escalation_level_min": st.integers(-1, 4),
        "acknowledged_by": lists(PEOPLE),
        "assignee": lists(PEOPLE),
        "sla_breached": st.booleans(),
        "silenced": st.booleans(),
        "inhibited": st.booleans(),
        "verdict": lists(list(AlertVerdict)),
        "incident_probability_min": st.sampled_from([0.0, 0.1, 0.3, 1.0]),
    }
    # A few at a time: all together they would match nothing.
    names = st.sets(st.sampled_from(sorted(fields)), max_size=1 if covered else 3)
    if covered:
        names = st.builds(set.union, names, st.sets(st.sampled_from(COVERED), min_size=1))
    return names.flatmap(lambda names: st.builds(AlertFilter, **{name: fields[name] for name in sorted(names)}))


def catalogs(now: datetime) -> st.SearchStrategy[Catalog]:
    """Return what may be set up to cover alerts."""
    silences = some_silences(now)
    # Those by which SQL can tell what they leave alone.
    telling = [silence for silence in silences if silence.matchers[0].operator is MatchOperator.EQUAL]
    some = st.lists(st.sampled_from(silences), max_size=3, unique=True)
    rules = st.one_of(
        st.lists(st.sampled_from(INHIBITIONS), max_size=2, unique=True),
        st.just(INHIBITIONS),
        # What one of few asks for by a regular expression, no value is.
        st.just(INHIBITIONS[1:3]),
    )
    return st.builds(
        Catalog,
        silences=st.one_of(some, st.just(telling), st.just(silences)).map(tuple),
        inhibitions=rules.map(tuple),
    )


async def walked(
    read: Callable[[AlertQuery], Awaitable[Page[Alert]]], query: AlertQuery, *, backward: bool
) -> list[Alert]:
    """Return all pages of a list, one after the other, in the list's order; each says what lies around it."""
    found: list[Alert] = []
    cursor: str | None = None
    while True:
        request = replace(query.page, backward=backward, **{"before" if backward else "after": cursor})
        page = await read(replace(query, page=request))
        alerts = [alert for _, alert in page.items]
        found = alerts + found if backward else found + alerts
        more, came_from = (page.has_previous, page.has_next) if backward else (page.has_next, page.has_previous)
        assert came_from is (cursor is not None)
        if not more:
            return found
        assert len(alerts) == query.page.size
        cursor = page.items[0 if backward else -1][0]


@pytest.mark.both_servers
@pytest.mark.parametrize("covered", [False, True])
def test_pages_are_what_sorting_and_filtering_everything_gives(
    database_server: DatabaseServer, database_url: str, monkeypatch: pytest.MonkeyPatch, *, covered: bool
) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(Database.connect(database_url))

        async def prepare() -> tuple[UUID, list[Alert], datetime]:
            async with keeping(database_server, database_url) as keeper:
                tenant_id, other_id = await keeper.tenant(), await keeper.tenant()
                alerts = await keeper.alerts(tenant_id, some_alerts(keeper, random.Random(1), 240))
                others = await keeper.alerts(other_id, some_alerts(keeper, random.Random(2), 40))
                await keep_sources(keeper, other_id, others)
                # The index knows some of the alerts, and some of them as they were before.
                assert await PostgresSearchIndex(database).advance(tenant_id, 160) == 160
                for place in range(0, 160, 10):
                    alerts[place] = await rewritten(keeper, tenant_id, alerts[place])
                await keep_sources(keeper, tenant_id, alerts)
                await keeper.analyze()
                return tenant_id, alerts, keeper.now

        tenant_id, alerts, now = runner.run(prepare())

        @settings(max_examples=examples(50), suppress_health_check=list(HealthCheck))
        @given(
            wanted=filters(now, covered=covered),
            catalog=catalogs(now),
            order=st.builds(AlertOrder, st.sampled_from(AlertOrderField), st.booleans()),
            size=st.sampled_from([1, 3, 10, 60, 100]),
            scope=st.just(()) | MATCHERS.map(lambda matcher: (matcher,)),
            found_max=st.sampled_from([10, search.FOUND_MAX]),
            unread_max=st.sampled_from([10, search.UNREAD_MAX]),
            few_max=st.sampled_from([2, selections.FEW_MAX]),
        )
        def check(
            wanted: AlertFilter,
            catalog: Catalog,
            order: AlertOrder,
            size: int,
            scope: tuple[Matcher, ...],
            found_max: int,
            unread_max: int,
            few_max: int,
        ) -> None:
            monkeypatch.setattr(search, "FOUND_MAX", found_max)
            monkeypatch.setattr(search, "UNREAD_MAX", unread_max)
            # With so few, lists are read past what their filter leaves out.
            monkeypatch.setattr(selections, "FEW_MAX", few_max)
            found = [alert for alert in alerts if is_wanted(alert, wanted, scope, now, catalog, alerts)]
            expected = in_order(found, order)
            query = AlertQuery(wanted, order, PageRequest(max(size, len(expected) // 8)), now, scope, True)

            async def read() -> None:
                async with Reader.open(database, TenantId(tenant_id)) as reader:

                    async def page(query: AlertQuery) -> Page[Alert]:
                        return await alert_page(reader, query, catalog)

                    assert await walked(page, query, backward=False) == expected
                    assert await walked(page, query, backward=True) == expected
                    first = await page(query)
                    assert first.total_count in (None, len(expected))
                    if len(first.items) > 2:
                        # Between two cursors lies what lies between them.
                        request = PageRequest(100, first.items[0][0], first.items[-1][0])
                        between = await page(replace(query, page=request))
                        assert [alert for _, alert in between.items] == expected[1 : len(first.items) - 1]
                        assert between.has_previous
                        assert between.has_next

            runner.run(read())

        check()
        runner.run(database.close())


async def test_sla_is_judged_as_the_core_judges_it(database_server: DatabaseServer, database_url: str) -> None:
    dice = random.Random(3)
    database = await Database.connect(database_url)
    async with keeping(database_server, database_url) as keeper:
        tenant_id = await keeper.tenant()
        alerts = await keeper.alerts(tenant_id, some_alerts(keeper, dice, 400))
        for shift in (-20 * HOUR, -3 * HOUR, 0 * HOUR, MINUTE, 20 * HOUR):
            now = keeper.now + shift
            for breached in (True, False):
                wanted = AlertFilter(sla_breached=breached)
                query = AlertQuery(wanted, AlertOrder(), PageRequest(100), now)
                async with PostgresSnapshotSource(database).snapshot(tenant_id) as snapshot:
                    found = {alert.id for alert in await walked(snapshot.alert_page, query, backward=False)}
                assert found == {alert.id for alert in alerts if is_wanted(alert, wanted, (), now)}
    await database.close()
