"""An alert: one open or closed condition, and what a sender may say of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

import orjson

from alertgraph.core.actor import Actor
from alertgraph.core.dedup import dedup_key_of
from alertgraph.core.errors import ErrorCode, Problem
from alertgraph.core.ids import AlertId, ChannelId, IncidentId, ResponderId
from alertgraph.core.prediction import Advice
from alertgraph.core.rule import Ladder
from alertgraph.core.severity import Severity
from alertgraph.core.slo import NO_MARKS, SlaClocks, SlaMark, next_mark
from alertgraph.core.value import quick

TITLE_LENGTH_MAX = 1024
DESCRIPTION_LENGTH_MAX = 25_000
NOTE_LENGTH_MAX = 25_000
NAME_LENGTH_MAX = 256
DEDUP_KEY_LENGTH_MAX = 512
LABEL_COUNT_MAX = 64
LABEL_NAME_LENGTH_MAX = 256
LABEL_VALUE_LENGTH_MAX = 4096
ANNOTATIONS_BYTES_MAX = 65_536
# The log keeps them some levels deeper, and JSON is written to a depth of 254.
ANNOTATIONS_DEPTH_MAX = 64
LINK_COUNT_MAX = 20
HREF_LENGTH_MAX = 2048
# What an Int of GraphQL and an integer of the store can tell.
OCCURRENCE_COUNT_MAX = 2**31 - 1
TRIGGERED_AT_MIN = datetime(2000, 1, 1, tzinfo=UTC)
# A sender's clock may run ahead; by more than this it is a mistake.
FUTURE_MAX = timedelta(days=1)
# Short of the last year there is, so that it can be told in any time zone.
ENDS_AT_MAX = datetime(9999, 1, 1, tzinfo=UTC)

# Control characters but tab, line feed and carriage return: PostgreSQL refuses NUL, and no reader wants the rest.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# NUL as JSON writes it, rather than a backslash followed by the letters u0000.
_WRITTEN_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class AlertStatus(IntEnum):
    """Where an alert stands. The numbers are stored: never reuse one."""

    TRIGGERED = 1
    ACKNOWLEDGED = 2
    RESOLVED = 3


# A member is found by a descriptor in Python each time; this one is asked for with every alert.
_RESOLVED = AlertStatus.RESOLVED


class HoldReason(IntEnum):
    """Why an open alert has no next escalation. The numbers are stored: never reuse one."""

    ACKNOWLEDGED = 1
    SILENCED = 2
    INHIBITED = 3
    NO_MATCHING_RULE = 4
    NOBODY_ON_CALL = 5
    LADDER_EXHAUSTED = 6
    PREDICTED_NOISE = 7


class AlertVerdict(IntEnum):
    """A person's judgement of an alert. The numbers are stored: never reuse one."""

    ACTIONABLE = 1
    NOISE = 2


@quick
@dataclass(frozen=True, slots=True)
class Link:
    """A link to look at."""

    href: str
    text: str


@quick
@dataclass(frozen=True, slots=True)
class Draft:
    """What a sender says of an alert. None means: not said, so a repeat leaves it as it is.

    Attributes:
        source: What sends it; never None, the edge fills in the credential's name.
        dedup_key: None to derive it from the labels.
        triggered_at: When it began; None for now.
        ends_at: When the sender holds it to be over unless it fires again; None where the sender names no end.
        ends_by_timeout: Whether `ends_at` is the dialect's time-out rather than the sender's word;
            an explicit end beats a time-out.
        timeout: How long after it was last seen the dialect ends an alert with no `ends_at`, where the tenant
            sets no time-out of its own; None for never.
    """

    title: str
    severity: Severity
    source: str
    description: str | None = None
    monitored_service: str | None = None
    dedup_key: str | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, object] | None = None
    links: tuple[Link, ...] | None = None
    triggered_at: datetime | None = None
    ends_at: datetime | None = None
    ends_by_timeout: bool = False
    timeout: timedelta | None = None

    @property
    def key(self) -> str:
        """The dedup key given, or the one that follows from the contents."""
        if self.dedup_key is not None:
            return self.dedup_key
        return dedup_key_of(
            self.labels or {},
            title=self.title,
            source=self.source,
            monitored_service=self.monitored_service,
        )


@quick
@dataclass(frozen=True, slots=True)
class Alert:
    """One condition, open or closed, as after the event numbered `version`.

    Attributes:
        first_acknowledged_at: Unlike `acknowledged_at` it is kept when the alert is given back: SLA and
            MTTA count the first acknowledgement.
        occurrence_count: How often it fired while open, up to OCCURRENCE_COUNT_MAX.
        resolve_at: When it ends by itself unless it fires again; None for never.
        resolve_by_timeout: Whether `resolve_at` is a time-out rather than the sender's word.
        held: Why there is no next escalation; None while there is one and after it is resolved.
        ladder: What it climbs, frozen when it triggered; None where no rule matched.
        escalation_round: How often the whole ladder was climbed before.
        resumes: Whether the level it has is told again before it climbs further: it was given back.
        next_escalation_at: When the next level is reached if nobody reacts; None while it is held.
        judge_at: When a hold is looked at again, such as at the end of a silence; None where nothing is to be
            expected by itself.
        sla_marks: Which SLA times have been told of.
        assignee: Who has to deal with it.
        told: Channels that are to know of it: what was told there is kept up to date.
        incident_id: The incident it belongs to.
        advice: What the model expects of it; None where it said nothing, or not yet.
        version: 0 on an alert that was decided but not yet appended.
    """

    id: AlertId
    dedup_key: str
    title: str
    description: str
    severity: Severity
    status: AlertStatus
    source: str
    monitored_service: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, object]
    links: tuple[Link, ...]
    occurrence_count: int
    triggered_at: datetime
    last_seen_at: datetime
    acknowledged_at: datetime | None
    acknowledged_until: datetime | None
    acknowledged_by: Actor | None
    first_acknowledged_at: datetime | None
    resolved_at: datetime | None
    resolved_by: Actor | None
    escalation_level: int
    held: HoldReason | None
    sla: SlaClocks
    resolve_at: datetime | None
    resolve_by_timeout: bool
    verdict: AlertVerdict | None
    version: int
    ladder: Ladder | None = None
    escalation_round: int = 0
    resumes: bool = False
    next_escalation_at: datetime | None = None
    judge_at: datetime | None = None
    sla_marks: SlaMark = NO_MARKS
    assignee: ResponderId | None = None
    told: tuple[ChannelId, ...] = ()
    incident_id: IncidentId | None = None
    advice: Advice | None = None

    @property
    def is_open(self) -> bool:
        """Whether the condition still holds."""
        return self.status is not _RESOLVED

    @property
    def due_at(self) -> datetime | None:
        """The earliest of its timers; None where nothing will happen by itself."""
        if self.status is _RESOLVED:
            return None
        sla = next_mark(self.sla, self.triggered_at, self.sla_marks, self.first_acknowledged_at)
        due_at = None if sla is None else sla[1]
        for at in (self.resolve_at, self.acknowledged_until, self.next_escalation_at, self.judge_at):
            if at is not None and (due_at is None or at < due_at):
                due_at = at
        return due_at


def match_values(
    *,
    title: str,
    severity: Severity | None,
    source: str,
    monitored_service: str | None,
    dedup_key: str,
    labels: Mapping[str, str],
) -> dict[str, str]:
    """Return what matchers look at: the labels and the built-ins."""
    return {
        **labels,
        "@title": title,
        "@severity": severity.name if severity is not None else "",
        "@source": source,
        "@service": monitored_service or "",
        "@dedup_key": dedup_key,
    }


def alert_match_values(alert: Alert) -> dict[str, str]:
    """Return what matchers look at in a kept alert."""
    return match_values(
        title=alert.title,
        severity=alert.severity,
        source=alert.source,
        monitored_service=alert.monitored_service,
        dedup_key=alert.dedup_key,
        labels=alert.labels,
    )


def draft_match_values(draft: Draft) -> dict[str, str]:
    """Return what matchers look at in what a sender says."""
    return match_values(
        title=draft.title,
        severity=draft.severity,
        source=draft.source,
        monitored_service=draft.monitored_service,
        dedup_key=draft.key,
        labels=draft.labels or {},
    )


# ------------------------------------------------------------------------------------------ checks


def _invalid(message: str, *path: str) -> Problem:
    return Problem(ErrorCode.INVALID_INPUT, message, path)


def check_text(
    text: str, name: str, length_max: int, *, length_min: int = 0, one_line: bool = False
) -> list[Problem]:
    """Return what is wrong with a text, at the path of its name: length, control or broken characters."""
    if length_min <= len(text) <= length_max and text.isprintable() and (not length_min or not text.isspace()):
        return []
    if not length_min <= len(text) <= length_max:
        return [_invalid(f"{name} has {length_min} to {length_max:,} characters; this has {len(text):,}.", name)]
    if _CONTROL.search(text) or (one_line and ("\n" in text or "\r" in text)):
        return [_invalid(f"{name} contains a control character, such as NUL or a line break.", name)]
    if _SURROGATE.search(text):
        return [_invalid(f"{name} contains half of a surrogate pair, which is no character.", name)]
    if length_min and not text.strip():
        return [_invalid(f"{name} is blank.", name)]
    return []


def _are_plain(labels: Mapping[str, str]) -> bool:
    """Whether labels are beyond doubt, as nearly all are: looked at together, far sooner than one by one."""
    names = "".join(labels)
    try:
        values = "".join(labels.values())
    except TypeError:
        return False
    return (
        len(names) <= LABEL_NAME_LENGTH_MAX
        and len(values) <= LABEL_VALUE_LENGTH_MAX
        and names.isprintable()
        and values.isprintable()
        and "@" not in names
        and " " not in names
        and "" not in labels
    )


def check_labels(labels: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong with labels; each problem's path ends in the label's name."""
    if len(labels) > LABEL_COUNT_MAX:
        return [_invalid(f"labels has at most {LABEL_COUNT_MAX} entries; this has {len(labels):,}.", "labels")]
    if _are_plain(labels):
        return []
    problems: list[Problem] = []
    for name, value in labels.items():
        if (
            isinstance(value, str)
            and len(value) <= LABEL_VALUE_LENGTH_MAX
            and value.isprintable()
            and 0 < len(name) <= LABEL_NAME_LENGTH_MAX
            and name.isprintable()
            and name[0] not in "@ "
        ):
            continue  # beyond doubt, as nearly all are
        shown = name[:64].encode(errors="replace").decode()
        if not isinstance(value, str):
            problems.append(_invalid(f"The label {shown} is not a text.", "labels", shown))
            continue
        faults = check_text(name, "name", LABEL_NAME_LENGTH_MAX, length_min=1, one_line=True)
        if name.startswith("@"):
            faults.append(_invalid("A label's name does not begin with @, which marks built-ins.", "name"))
        faults += check_text(value, "value", LABEL_VALUE_LENGTH_MAX)
        problems += [
            _invalid(f"The label {shown!r} is refused: {fault.message}", "labels", shown) for fault in faults
        ]
    return problems


def check_annotations(annotations: Mapping[str, object]) -> list[Problem]:
    """Return what is wrong with annotations: anything that JSON can hold, within 64 KiB and 64 levels."""
    if not annotations:
        return []
    try:
        raw = orjson.dumps(annotations)
    except (TypeError, orjson.JSONEncodeError) as error:
        return [_invalid(f"annotations cannot be kept as JSON: {error}.", "annotations")]
    if len(raw) > ANNOTATIONS_BYTES_MAX:
        return [_invalid(f"annotations has at most {ANNOTATIONS_BYTES_MAX:,} bytes as JSON.", "annotations")]
    # jsonb refuses NUL wherever it stands.
    if b"\\u0000" in raw and _WRITTEN_NUL.search(raw):
        return [_invalid("annotations contains a NUL character.", "annotations")]
    if raw.count(b"{") + raw.count(b"[") > ANNOTATIONS_DEPTH_MAX and _depth(annotations) > ANNOTATIONS_DEPTH_MAX:
        return [_invalid(f"annotations has at most {ANNOTATIONS_DEPTH_MAX} levels.", "annotations")]
    # JSON knows no infinity: it is written as null, which would not be what was sent.
    if b"null" in raw and not _is_finite(annotations):
        return [_invalid("annotations contains a number that is not finite.", "annotations")]
    return []


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _depth(value: object) -> int:
    """Return how many levels of objects and lists a JSON value has."""
    if not isinstance(value, dict | list | tuple):
        return 0
    return 1 + max(map(_depth, _children(value)), default=0)


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return all(map(_is_finite, _children(value)))


def check_links(links: Sequence[Link]) -> list[Problem]:
    """Return what is wrong with links; each problem's path is links, index, field."""
    if len(links) > LINK_COUNT_MAX:
        return [_invalid(f"links has at most {LINK_COUNT_MAX} entries; this has {len(links):,}.", "links")]
    problems: list[Problem] = []
    for index, link in enumerate(links):
        faults = check_text(link.href, "href", HREF_LENGTH_MAX, length_min=1, one_line=True)
        if not faults and not link.href.lower().startswith(("http://", "https://")):
            faults.append(_invalid("href begins with http:// or https://.", "href"))
        faults += check_text(link.text, "text", TITLE_LENGTH_MAX, one_line=True)
        problems += [fault.below("links", str(index)) for fault in faults]
    return problems


def check_instant(at: datetime, name: str, now: datetime) -> list[Problem]:
    """Return what is wrong with the time something is said to have begun."""
    if at < TRIGGERED_AT_MIN:
        return [_invalid(f"{name} is before the year 2000: {at.isoformat()}.", name)]
    if at > now + FUTURE_MAX:
        return [_invalid(f"{name} is more than a day in the future: {at.isoformat()}.", name)]
    return []


def check_dedup_key(dedup_key: str) -> list[Problem]:
    """Return what is wrong with a dedup key that a caller gives."""
    return check_text(dedup_key, "dedupKey", DEDUP_KEY_LENGTH_MAX, length_min=1, one_line=True)


def _is_word_for_word(said: Mapping[str, object], known: Mapping[str, object]) -> bool:
    # A text is equal to a text only; a number that can't be kept may equal one that can.
    return said == known and all(value.__class__ is str for value in said.values())


def check_draft(draft: Draft, now: datetime, known: Alert | None = None) -> list[Problem]:
    """Return everything that is wrong with what a sender says; paths are the names of the API's fields.

    Args:
        draft: What is said.
        now: When.
        known: The open alert with that key. What it says word for word was found sound when it came.
    """
    problems: list[Problem] = []
    if known is None or draft.title != known.title:
        problems += check_text(draft.title, "title", TITLE_LENGTH_MAX, length_min=1, one_line=True)
    if known is None or draft.source != known.source:
        problems += check_text(draft.source, "source", NAME_LENGTH_MAX, length_min=1, one_line=True)
    if draft.description is not None and (known is None or draft.description != known.description):
        problems += check_text(draft.description, "description", DESCRIPTION_LENGTH_MAX)
    service = draft.monitored_service
    if service is not None and (known is None or service != known.monitored_service):
        problems += check_text(service, "monitoredService", NAME_LENGTH_MAX, length_min=1, one_line=True)
    if draft.dedup_key is not None and (known is None or draft.dedup_key != known.dedup_key):
        problems += check_dedup_key(draft.dedup_key)
    if draft.labels is not None and not (known is not None and _is_word_for_word(draft.labels, known.labels)):
        problems += check_labels(draft.labels)
    if draft.annotations is not None and not (
        known is not None and _is_word_for_word(draft.annotations, known.annotations)
    ):
        problems += check_annotations(draft.annotations)
    if draft.links is not None and (known is None or draft.links != known.links):
        problems += check_links(draft.links)
    if draft.triggered_at is not None:
        problems += check_instant(draft.triggered_at, "triggeredAt", now)
    if draft.ends_at is not None and not TRIGGERED_AT_MIN <= draft.ends_at < ENDS_AT_MAX:
        problems.append(_invalid(f"endsAt is not within 2000 to 9998: {draft.ends_at.isoformat()}.", "endsAt"))
    return problems
