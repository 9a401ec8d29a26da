"""Anomaly rules: which series are watched, when one of them has gone wrong, and the alert that says so.

How unusual a point is, is told by whoever scores it; here it is decided what follows. An event begins with a point
that is unusual enough, is told of once it has lasted as long as the rule asks, and ends after some ordinary points
on end. After its beginning the next one waits, so that one trouble is one alert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final

from alertgraph.core.alert import (
    DESCRIPTION_LENGTH_MAX,
    LABEL_COUNT_MAX,
    LABEL_NAME_LENGTH_MAX,
    NAME_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    Draft,
    Link,
    check_labels,
    check_links,
    check_text,
)
from alertgraph.core.errors import ErrorCode, Problem, RefusedError
from alertgraph.core.ids import AnomalyRuleId, NodeKind, encode_id
from alertgraph.core.labels import Matcher, check_matcher, matches_all
from alertgraph.core.points import METRIC_NAME, Series
from alertgraph.core.severity import Severity

SOURCE: Final = "anomaly"
# What the dedup keys of all its alerts begin with, whatever their rule.
DEDUP_PREFIX: Final = f"{SOURCE}:{NodeKind.ANOMALY_RULE.value}_"
SERVICE: Final = "@service"
MATCHER_COUNT_MAX: Final = 20
LINK_COUNT_MAX: Final = 10
MIN_DURATION_MAX: Final = timedelta(hours=6)
# Of its own on each alert: what was measured, and the rule.
RULE_LABEL: Final = "anomaly_rule"
METRIC_LABEL: Final = "metric"
# A point that is older when it comes in says what was, and wakes nobody.
ALERT_AGE_MAX: Final = timedelta(minutes=15)
# So many times as far as in the mean a point may lie from what is expected, and be usual.
USUAL_SPREADS: Final = 3.0
# An event whose series falls silent is over after this long.
SILENCE: Final = timedelta(minutes=15)


class AnomalyTarget(IntEnum):
    """What a rule watches. The numbers are stored: never reuse one."""

    SERIES = 1
    ALERT_RATE = 2


class AnomalySensitivity(IntEnum):
    """How unusual is unusual enough. The numbers are stored: never reuse one."""

    LOW = 1
    NORMAL = 2
    HIGH = 3


class AnomalyDirection(IntEnum):
    """On which side of the usual. The numbers are stored: never reuse one."""

    BOTH = 1
    UP = 2
    DOWN = 3


@dataclass(frozen=True, slots=True)
class AnomalyRule:
    """Raises an alert for each series that it watches while that series is unusual.

    Attributes:
        name: Unique in the tenant.
        target: Series that are sent, or how many alerts come by monitored service.
        matchers: On the labels of a series, `__name__` among them, at least one; of alert rates on @service alone.
        severity: Of the alerts.
        monitored_service: Of the alerts; None to take it from `service_label`.
        service_label: Whose value names the monitored service; None for `service`, else `job`.
        min_duration: How long it has to last before anybody is told.
        links: Of the alerts, such as a runbook.
        version: Number of the last event that changed it.
    """

    id: AnomalyRuleId
    name: str
    target: AnomalyTarget = AnomalyTarget.SERIES
    matchers: tuple[Matcher, ...] = ()
    severity: Severity = Severity.MEDIUM
    monitored_service: str | None = None
    service_label: str | None = None
    sensitivity: AnomalySensitivity = AnomalySensitivity.NORMAL
    direction: AnomalyDirection = AnomalyDirection.BOTH
    min_duration: timedelta = timedelta(0)
    links: tuple[Link, ...] = ()
    enabled: bool = True
    version: int = 0

    def watches(self, series: Series) -> bool:
        """Say whether it watches a series."""
        return self.enabled and self.target is AnomalyTarget.SERIES and matches_all(self.matchers, series.labels)

    def watches_rate(self, service: str) -> bool:
        """Say whether it watches how many alerts come of a monitored service; empty for those of none."""
        return (
            self.enabled
            and self.target is AnomalyTarget.ALERT_RATE
            and matches_all(self.matchers, {SERVICE: service})
        )

    def dedup_key(self, digest: str) -> str:
        """Return the key of its alert about one series, whatever the rule is called by now."""
        return f"{self.dedup_prefix}{digest}"

    @property
    def dedup_prefix(self) -> str:
        """What the keys of its alerts begin with."""
        return f"{SOURCE}:{encode_id(NodeKind.ANOMALY_RULE, self.id)}:"


def check_anomaly_rule(rule: AnomalyRule) -> AnomalyRule:
    """Return the rule if it can be kept.

    Raises:
        InputError, RefusedError: It can't; the path names what is wrong.
    """
    problems = check_text(rule.name, "name", NAME_LENGTH_MAX, length_min=1, one_line=True)
    if rule.monitored_service is not None:
        problems += check_text(
            rule.monitored_service, "monitoredService", NAME_LENGTH_MAX, length_min=1, one_line=True
        )
        if rule.service_label is not None:
            problems.append(_invalid("Either monitoredService or serviceLabel, not both.", "serviceLabel"))
    if rule.service_label is not None:
        problems += check_text(
            rule.service_label, "serviceLabel", LABEL_NAME_LENGTH_MAX, length_min=1, one_line=True
        )
    if not timedelta(0) <= rule.min_duration <= MIN_DURATION_MAX:
        problems.append(_invalid("minDuration is PT0S to PT6H.", "minDuration"))
    if len(rule.links) > LINK_COUNT_MAX:
        problems.append(_invalid(f"links has at most {LINK_COUNT_MAX} entries.", "links"))
    else:
        problems += check_links(rule.links)
    problems += _check_target(rule)
    if problems:
        raise RefusedError(problems)
    for index, matcher in enumerate(rule.matchers):
        check_matcher(matcher, "matchers", str(index))
    return rule


def _check_target(rule: AnomalyRule) -> list[Problem]:
    if len(rule.matchers) > MATCHER_COUNT_MAX:
        return [_invalid(f"There are at most {MATCHER_COUNT_MAX} matchers.", "matchers")]
    if rule.target is AnomalyTarget.SERIES:
        if not rule.matchers:
            return [_invalid("A rule about series has at least one matcher, such as on __name__.", "matchers")]
        return [
            _invalid("A series has labels and no built-ins.", "matchers", str(index), "label")
            for index, matcher in enumerate(rule.matchers)
            if matcher.label.startswith("@")
        ]
    problems = [
        _invalid(
            f"Alerts are counted by service: {SERVICE} is all there is to match.", "matchers", str(i), "label"
        )
        for i, matcher in enumerate(rule.matchers)
        if matcher.label != SERVICE
    ]
    if rule.direction is AnomalyDirection.DOWN:
        problems.append(_invalid("Of alerts only more than usual is told: UP or BOTH.", "direction"))
    if rule.service_label is not None:
        problems.append(_invalid("Alerts are counted by service already.", "serviceLabel"))
    return problems


def _invalid(message: str, *path: str) -> Problem:
    return Problem(ErrorCode.INVALID_INPUT, message, path)


# ---------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When events begin and end, in terms of a level that is 1 where one usually begins.

    Attributes:
        begin: An event begins with a level of this or more …
        quiet: … and ends after levels below this …
        quiet_count: … so many points on end.
        rest_count: Points after its beginning before the next one can begin.
    """

    begin: float
    quiet: float
    quiet_count: int
    rest_count: int


# Of points: the level at which an event begins. 1 finds most on series of minutes (docs/learning.md); of a million
# points of mere noise it tells of 400, and of one at 1.5.
_SERIES_BEGIN: Final[Mapping[AnomalySensitivity, float]] = {
    AnomalySensitivity.LOW: 2.5,
    AnomalySensitivity.NORMAL: 1.5,
    AnomalySensitivity.HIGH: 1.0,
}
# Of counts: the exponent of the chance of as many alerts as came, 1 being one in a hundred thousand.
_RATE_BEGIN: Final[Mapping[AnomalySensitivity, float]] = {
    AnomalySensitivity.LOW: 1.6,
    AnomalySensitivity.NORMAL: 1.0,
    AnomalySensitivity.HIGH: 0.6,
}
LEVEL_FLOOR: Final = min(_SERIES_BEGIN.values())
"""Below this no event of any rule begins."""


def thresholds_of(rule: AnomalyRule) -> Thresholds:
    """Return when events of a rule begin and end."""
    if rule.target is AnomalyTarget.SERIES:
        return Thresholds(_SERIES_BEGIN[rule.sensitivity], 0.5, 5, 150)
    return Thresholds(_RATE_BEGIN[rule.sensitivity], 0.26, 2, 12)


class Phase(IntEnum):
    """Where an event stands. The numbers are stored: never reuse one."""

    BEGUN = 1
    """Unusual, but nobody was told yet."""
    TOLD = 2
    RESTING = 3
    """Over; the next one can't begin yet."""


@dataclass(frozen=True, slots=True)
class PointVerdict:
    """What is said of a point.

    Attributes:
        at: Of the point.
        level: 1 where an event usually begins, below 0.5 ordinary.
        value_level: What of that the value alone says, whatever the course of the points before it.
        value: What was measured.
        expected: What is usual.
        spread: How far from that it usually lies.
        by_shape: Whether it is the course of the last points that is unusual, more than the value itself.
        warming: Whether too little is known for an event to begin.
    """

    at: datetime
    level: float
    value_level: float
    value: float
    expected: float
    spread: float
    by_shape: bool = False
    warming: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of many points.

    Attributes:
        verdicts: On those that matter, each with its place among the points.
        counts: How many were scored, warming, invalid, duplicate and late, in this order.
    """

    verdicts: Sequence[tuple[int, PointVerdict]]
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class AnomalyEvent:
    """What is known of one rule's newest event of one series.

    Attributes:
        began_at: Its first point.
        last_at: The newest point there was.
        point_count: Points since its beginning.
        quiet_count: Ordinary points on end.
        by_shape: Whether it began by the course of the points, not by a value; so it ends, too.
        expected: What was usual when it began.
        spread: How far from that points had lain.
    """

    phase: Phase
    began_at: datetime
    last_at: datetime
    point_count: int = 0
    quiet_count: int = 0
    by_shape: bool = False
    expected: float = 0.0
    spread: float = 0.0


class Turn(IntEnum):
    """What a point means for whoever is told."""

    NONE = 0
    RAISE = 1
    END = 2


def follow(
    event: AnomalyEvent | None, verdict: PointVerdict, rule: AnomalyRule, received_at: datetime
) -> tuple[AnomalyEvent | None, Turn]:
    """Return a rule's event after a point, and what is to be told.

    Args:
        event: As it was; None where there is none.
        verdict: On the point.
        rule: Whose event.
        received_at: When the point came in: of what is long past nobody is told any more.
    """
    thresholds = thresholds_of(rule)
    is_wanted = rule.direction is AnomalyDirection.BOTH or (
        (verdict.value > verdict.expected) is (rule.direction is AnomalyDirection.UP)
    )
    if event is None:
        if verdict.warming or not is_wanted or verdict.level < thresholds.begin:
            return None, Turn.NONE
        by_shape = verdict.value_level < thresholds.begin
        event = AnomalyEvent(
            Phase.BEGUN,
            verdict.at,
            verdict.at,
            by_shape=by_shape,
            expected=verdict.expected,
            spread=verdict.spread,
        )
    else:
        is_quiet = not is_wanted or _is_ordinary(event, verdict, rule, thresholds)
        event = replace(
            event,
            last_at=verdict.at,
            point_count=event.point_count + 1,
            quiet_count=event.quiet_count + 1 if is_quiet else 0,
        )
    if event.phase is Phase.RESTING:
        return (None if event.point_count >= thresholds.rest_count else event), Turn.NONE
    if event.quiet_count >= thresholds.quiet_count:
        turn = Turn.END if event.phase is Phase.TOLD else Turn.NONE
        return replace(event, phase=Phase.RESTING), turn
    is_told = event.phase is Phase.TOLD
    has_lasted = verdict.at - event.began_at >= rule.min_duration
    if is_told or not has_lasted or event.quiet_count or received_at - verdict.at > ALERT_AGE_MAX:
        return event, Turn.NONE
    return replace(event, phase=Phase.TOLD), Turn.RAISE


def _is_ordinary(event: AnomalyEvent, verdict: PointVerdict, rule: AnomalyRule, thresholds: Thresholds) -> bool:
    """Say whether a point of an event is one of those that end it.

    A value's level says nothing here: what lasts soon counts among what is usual. So a value is held against what
    was usual when the event began, or is expected by now: the new level of a series is, in the long run.
    """
    if event.by_shape or rule.target is AnomalyTarget.ALERT_RATE:
        return verdict.level < thresholds.quiet
    away = min(abs(verdict.value - event.expected), abs(verdict.value - verdict.expected))
    return away <= USUAL_SPREADS * event.spread


def fall_silent(event: AnomalyEvent, now: datetime) -> bool:
    """Say whether an event is over since nothing came of its series for so long."""
    return event.phase is not Phase.RESTING and now - event.last_at > SILENCE


def event_json(event: AnomalyEvent) -> list[Any]:
    """Return an event as plain values for JSON."""
    return [
        int(event.phase),
        event.began_at.timestamp(),
        event.last_at.timestamp(),
        event.point_count,
        event.quiet_count,
        event.by_shape,
        event.expected,
        event.spread,
    ]


def event_of(told: list[Any]) -> AnomalyEvent:
    """Return the event that `event_json` told.

    Raises:
        ValueError, TypeError, IndexError: It told none.
    """
    phase, began_at, last_at, point_count, quiet_count, by_shape, expected, spread = told
    return AnomalyEvent(
        Phase(phase),
        datetime.fromtimestamp(began_at, UTC),
        datetime.fromtimestamp(last_at, UTC),
        int(point_count),
        int(quiet_count),
        bool(by_shape),
        float(expected),
        float(spread),
    )


# ---------------------------------------------------------------------------------------- alerts


def series_draft(rule: AnomalyRule, series: Series, event: AnomalyEvent, verdict: PointVerdict) -> Draft:
    """Return the alert about a series that is unusual."""
    # A label may hold line breaks, and a title none.
    name = " ".join(series.labels.get(METRIC_NAME, "").split()) or rule.name
    low, high = usual_range(verdict)
    usually = f"usually {number_text(low)} to {number_text(high)}"
    value = number_text(verdict.value)
    if verdict.by_shape and low <= verdict.value <= high:
        title = f"{name} takes an unusual course: {value} ({usually})"
        first = f"The last points of {name} follow no course that was seen before; the newest is {value}."
    else:
        side = "high" if verdict.value > verdict.expected else "low"
        title = f"{name} is unusually {side}: {value} ({usually})"
        first = f"{name} was {value} at {_time_text(verdict.at)}."
    if series.is_counter:
        first += " It is a counter: what is told is its increase a second."
    service = _service_of(rule, series)
    lines = [
        first,
        f"Usual for this time is {number_text(verdict.expected)}, mostly between {number_text(low)} and "
        f"{number_text(high)}.",
        f"It has been unusual since {_time_text(event.began_at)}.",
        f"Watched by the anomaly rule {rule.name}. Series: {series.shown}",
    ]
    labels = {label: text for label, text in series.labels.items() if label != METRIC_NAME}
    if METRIC_NAME in series.labels:
        labels.setdefault(METRIC_LABEL, series.labels[METRIC_NAME])
    return _draft(rule, series.digest, title, lines, labels, service, event, verdict)


def rate_draft(
    rule: AnomalyRule, service: str, interval: timedelta, event: AnomalyEvent, verdict: PointVerdict
) -> Draft:
    """Return the alert about more alerts than usual."""
    whose = service or "no service"
    minutes = number_text(interval / timedelta(minutes=1))
    count, usual = number_text(verdict.value), number_text(verdict.expected)
    lines = [
        f"{count} alerts of {whose} came in the {minutes} minutes from {_time_text(verdict.at)}.",
        f"Usual for this hour are {usual}.",
        f"It has been more than usual since {_time_text(event.began_at)}.",
        f"Watched by the anomaly rule {rule.name}.",
    ]
    title = f"More alerts than usual of {whose}: {count} in {minutes} min (usually {usual})"
    return _draft(
        rule, rate_digest(service), title, lines, {}, rule.monitored_service or service or None, event, verdict
    )


def rate_digest(service: str) -> str:
    """Return what the alert rate of a monitored service is called in dedup keys."""
    return Series.of({SERVICE: service}).digest


def _draft(
    rule: AnomalyRule,
    digest: str,
    title: str,
    lines: list[str],
    labels: dict[str, str],
    service: str | None,
    event: AnomalyEvent,
    verdict: PointVerdict,
) -> Draft:
    labels[RULE_LABEL] = rule.name
    low, high = usual_range(verdict)
    return Draft(
        title=_cut(title, TITLE_LENGTH_MAX),
        severity=rule.severity,
        source=SOURCE,
        description=_cut("\n".join(lines), DESCRIPTION_LENGTH_MAX),
        monitored_service=service,
        dedup_key=rule.dedup_key(digest),
        labels=labels,
        annotations={
            "value": verdict.value,
            "expected": verdict.expected,
            "usualLow": low,
            "usualHigh": high,
            "level": round(verdict.level, 3),
        },
        links=rule.links,
        triggered_at=event.began_at,
    )


def _service_of(rule: AnomalyRule, series: Series) -> str | None:
    if rule.monitored_service is not None:
        return rule.monitored_service
    labels = series.labels
    name = labels.get(rule.service_label) if rule.service_label else labels.get("service") or labels.get("job")
    # Another label may hold what no service can be called.
    return name if name and not check_text(name, "", NAME_LENGTH_MAX, length_min=1, one_line=True) else None


def _cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"


def usual_range(verdict: PointVerdict) -> tuple[float, float]:
    """Return between what values a point usually lies."""
    reach = USUAL_SPREADS * verdict.spread
    low, high = verdict.expected - reach, verdict.expected + reach
    # What is never negative is not usually so.
    return (max(low, 0.0) if verdict.value >= 0 and verdict.expected >= 0 else low), high


def number_text(value: float) -> str:
    """Return a number as a person would write it, to about four digits."""
    if value == 0 or 1e-3 <= abs(value) < 1000:
        return f"{value:.4g}"
    if abs(value) < 1e15 and abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3e}"


def _time_text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def check_series_labels(labels: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong with the labels of a series: its alerts will have them, and two of their own."""
    if not labels:
        return [_invalid("A series has at least one label.", "labels")]
    if len(labels) > LABEL_COUNT_MAX - 2:
        return [_invalid(f"A series has at most {LABEL_COUNT_MAX - 2} labels; this has {len(labels)}.", "labels")]
    return check_labels(labels)
