"""What a filter and a scope ask, sorted by who can judge it: columns, the search index, a look at each alert."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

from alertgraph.core.alert import AlertStatus
from alertgraph.core.catalog import Catalog
from alertgraph.core.ids import NodeKind, ResponderId, encode_id
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.query import AlertFilter
from alertgraph.core.search import label_term, search_words
from alertgraph.core.severity import Severity
from alertgraph.core.silence import window_at
from alertgraph.storage.statement import is_storable

# More silences or rules than this are told apart by a look at each alert.
COVER_COUNT_MAX = 16
# No ladder is higher, whatever an installation allows.
LEVEL_MAX = 100
TIME_MIN, TIME_MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
OPEN_STATUSES = frozenset({AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED})
_TAKEN_STATUSES = frozenset({AlertStatus.ACKNOWLEDGED, AlertStatus.RESOLVED})

# What conditions are called in a filter.
_FILTER_NAMES: Final[Mapping[str, str]] = {
    "matchers": "matchers",
    "equals": "matchers",
    "words": "search",
    "titles": "matchers",
    "takers": "acknowledgedById",
    "assignees": "assigneeId",
    "incidents": "incidentId",
    "verdicts": "verdict",
    "rules": "escalationRuleId",
    "level_min": "escalationLevelMin",
    "sources": "source",
    "services": "monitoredService",
    "resolved_after": "resolvedAfter",
    "resolved_before": "resolvedBefore",
    "sla_breached": "slaBreached",
    "probability_min": "incidentProbabilityMin",
    "triggered_before": "triggeredBefore",
    "triggered_after": "triggeredAfter",
    "severities": "severity",
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Conditions:
    """A filter and a scope, sorted by who can judge them. A set of columns' values is None where any will do.

    Attributes:
        services: None in the set stands for alerts that name none.
        terms: Words and labels that the search index knows; all must hold.
        words: The words among the terms.
        equals: The matchers that became terms.
        takers: The actors, by reference, one of whom must have taken it.
        covers: For each sort of cover that is asked for, the matchers of each that there is: of one of them, all
            must hold.
        matchers: What only a look at each row can tell.
        silences: The matchers of each silence whose window it is, where a look at each row must tell.
        inhibitions: The rules that are applied, the same.
    """

    statuses: frozenset[AlertStatus]
    severities: frozenset[Severity] | None = None
    services: frozenset[str | None] | None = None
    sources: frozenset[str] | None = None
    dedup_keys: frozenset[str] | None = None
    titles: frozenset[str] | None = None
    verdicts: frozenset[int] | None = None
    rules: frozenset[UUID] | None = None
    takers: frozenset[str] | None = None
    assignees: frozenset[UUID] | None = None
    incidents: frozenset[UUID] | None = None
    triggered_after: datetime | None = None
    triggered_before: datetime | None = None
    resolved_after: datetime | None = None
    resolved_before: datetime | None = None
    level_min: int | None = None
    probability_min: float | None = None
    sla_breached: bool | None = None
    terms: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    equals: tuple[Matcher, ...] = ()
    covers: tuple[tuple[tuple[Matcher, ...], ...], ...] = ()
    matchers: tuple[Matcher, ...] = ()
    silenced: bool | None = None
    silences: tuple[tuple[Matcher, ...], ...] = ()
    inhibited: bool | None = None
    inhibitions: tuple[InhibitionRule, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What rows are looked at for one by one, as the filter calls it; what there is least of comes first."""
        asked = (
            name for field, name in _FILTER_NAMES.items() if getattr(self, field) not in (None, (), frozenset())
        )
        return tuple(dict.fromkeys(asked))

    @property
    def satisfiable(self) -> bool:
        """Whether any alert at all could satisfy these."""
        sets = (
            self.severities,
            self.services,
            self.sources,
            self.dedup_keys,
            self.titles,
            self.verdicts,
            self.rules,
            self.takers,
            self.assignees,
            self.incidents,
            self.levels,
        )
        return bool(self.statuses) and all(values is None or values for values in sets)

    @property
    def named_services(self) -> frozenset[str] | None:
        """The services asked for; None where alerts that name none are asked for, too."""
        if self.services is None or None in self.services:
            return None
        return frozenset(service for service in self.services if service is not None)

    @property
    def levels(self) -> frozenset[int] | None:
        """The levels asked for, where some do not come into question; none is beyond the highest there can be."""
        if not self.level_min or self.level_min < 1:
            return None
        return frozenset(range(self.level_min, LEVEL_MAX + 1))

    @property
    def judged(self) -> bool:
        """Whether a look at each row is needed."""
        return bool(self.matchers or self.words) or self.silenced is not None or self.inhibited is not None


def _either(before: frozenset[T] | None, now: Collection[T] | None) -> frozenset[T] | None:
    if now is None:
        return before
    return frozenset(now) if before is None else before & frozenset(now)


def _storable(values: Collection[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(value for value in values if is_storable(value))


def _clamped(at: datetime | None) -> datetime | None:
    # Beyond these nothing is kept, and the driver has no room for time zones at the ends of time.
    return None if at is None else min(max(at, TIME_MIN), TIME_MAX)


def conditions_of(wanted: AlertFilter, scope: Sequence[Matcher]) -> Conditions:
    """Return what a filter and a scope ask, but for who covers an alert."""
    words = frozenset() if wanted.search is None else search_words(wanted.search, "filter", "search")
    conditions = Conditions(
        statuses=frozenset(AlertStatus if wanted.status is None else wanted.status),
        severities=_either(None, wanted.severity),
        services=_either(None, _storable(wanted.monitored_service)),
        sources=_storable(wanted.source),
        dedup_keys=_storable(wanted.dedup_key),
        verdicts=_either(None, wanted.verdict),
        rules=_either(None, wanted.escalation_rule),
        takers=_either(None, _references(wanted.acknowledged_by)),
        assignees=_either(None, wanted.assignee),
        incidents=_either(None, wanted.incident),
        triggered_after=_clamped(wanted.triggered_after),
        triggered_before=_clamped(wanted.triggered_before),
        resolved_after=_clamped(wanted.resolved_after),
        resolved_before=_clamped(wanted.resolved_before),
        # Levels are small: beyond this no alert ever climbs, and the column could not hold the number.
        level_min=None if wanted.escalation_level_min is None else min(wanted.escalation_level_min, 1_000_000),
        probability_min=None
        if wanted.incident_probability_min is None
        else float(wanted.incident_probability_min),
        sla_breached=wanted.sla_breached,
        terms=words,
        words=words,
    )
    if wanted.acknowledged_by is not None:
        conditions = replace(conditions, statuses=conditions.statuses & _TAKEN_STATUSES)
    for matcher in (*wanted.matchers, *scope):
        conditions = _with_matcher(conditions, matcher)
    if conditions.resolved_before is not None:
        # No alert ends before it begins, so a list in order of that need not look at what began later.
        known = conditions.triggered_before or conditions.resolved_before
        conditions = replace(conditions, triggered_before=min(known, conditions.resolved_before))
    if conditions.resolved_after is not None or conditions.resolved_before is not None:
        conditions = replace(conditions, statuses=conditions.statuses & {AlertStatus.RESOLVED})
    return conditions


def _references(people: Sequence[ResponderId] | None) -> list[str] | None:
    return None if people is None else [encode_id(NodeKind.RESPONDER, person) for person in people]


def with_covers(conditions: Conditions, wanted: AlertFilter, catalog: Catalog, now: datetime) -> Conditions:
    """Return the conditions with what a filter asks of who covers an alert now."""
    if wanted.silenced is not None:
        silences = tuple(each.matchers for each in catalog.silences if window_at(each, now) is not None)
        conditions = _with_cover(conditions, silences, wanted=wanted.silenced)
        # Of one silence alone, its matchers have told all there is to tell.
        if len(silences) > 1 or (silences and not wanted.silenced):
            conditions = replace(conditions, silenced=wanted.silenced, silences=silences)
    if wanted.inhibited is not None:
        rules = tuple(rule for rule in catalog.inhibitions if rule.enabled)
        conditions = _with_cover(
            conditions, tuple(rule.target_matchers for rule in rules), wanted=wanted.inhibited
        )
        if rules:
            conditions = replace(conditions, inhibited=wanted.inhibited, inhibitions=rules)
    return conditions


def _with_cover(
    conditions: Conditions, alternatives: tuple[tuple[Matcher, ...], ...], *, wanted: bool
) -> Conditions:
    """Return the conditions for alerts that one of these can cover, as far as that can be told beforehand."""
    if not wanted:
        return conditions
    # What is resolved is covered by nothing.
    conditions = replace(conditions, statuses=conditions.statuses & OPEN_STATUSES if alternatives else frozenset())
    if len(alternatives) == 1:
        for matcher in alternatives[0]:
            conditions = _with_matcher(conditions, matcher)
        return conditions
    keys = [asked_key(matchers) for matchers in alternatives]
    if None not in keys:
        return replace(
            conditions, dedup_keys=_either(conditions.dedup_keys, {key for key in keys if key is not None})
        )
    if _is_few(alternatives) and all(asked_key(each) or asked_labels(each) for each in alternatives):
        return replace(conditions, covers=(*conditions.covers, alternatives))
    return conditions


def asked_key(matchers: Sequence[Matcher]) -> str | None:
    """Return the dedup key that matchers ask for; None where they let several pass."""
    return next((value for label, value in _asked(matchers) if label == "@dedup_key"), None)


def asked_labels(matchers: Sequence[Matcher]) -> dict[str, str]:
    """Return labels that any alert has of which the matchers hold."""
    return {label: value for label, value in _asked(matchers) if not label.startswith("@")}


def _asked(matchers: Sequence[Matcher]) -> list[tuple[str, str]]:
    return [(each.label, each.value) for each in matchers if each.operator is MatchOperator.EQUAL and each.value]


def _with_matcher(conditions: Conditions, matcher: Matcher) -> Conditions:
    if matcher.operator is not MatchOperator.EQUAL:
        return replace(conditions, matchers=(*conditions.matchers, matcher))
    if not is_storable(matcher.value) or not is_storable(matcher.label):
        return replace(conditions, statuses=frozenset())
    value = {matcher.value}
    match matcher.label:
        case "@severity":
            severities = {severity for severity in Severity if severity.name == matcher.value}
            return replace(conditions, severities=_either(conditions.severities, severities))
        case "@service":
            services: set[str | None] = {matcher.value or None}
            return replace(conditions, services=_either(conditions.services, services))
        case "@source":
            return replace(conditions, sources=_either(conditions.sources, value))
        case "@dedup_key":
            return replace(conditions, dedup_keys=_either(conditions.dedup_keys, value))
        case "@title":
            return replace(conditions, titles=_either(conditions.titles, value))
        case _ if matcher.value:
            return replace(
                conditions,
                terms=conditions.terms | {label_term(matcher.label, matcher.value)},
                equals=(*conditions.equals, matcher),
            )
        case _:
            # An absent label reads as empty text, and no index knows what is absent.
            return replace(conditions, matchers=(*conditions.matchers, matcher))


def _is_few(values: Collection[object]) -> bool:
    return len(values) <= COVER_COUNT_MAX
