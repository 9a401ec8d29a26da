"""Between items of what is set up and the rows that keep them: one exact JSON form for each type.

A body says everything of an item but its id and its version, which are columns. It is read strictly: an unknown
field, a missing one or another form is an error, never a guess about whom to page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Generic, TypeVar, assert_never, cast, get_args
from uuid import UUID

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Link
from alertgraph.core.anomaly import AnomalyDirection, AnomalyRule, AnomalySensitivity, AnomalyTarget
from alertgraph.core.catalog import SUBJECT_TYPE_OF, Item
from alertgraph.core.channel import (
    Channel,
    ChannelKind,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    TeamsConfig,
    WebhookConfig,
    WebhookPreset,
)
from alertgraph.core.errors import DependencyError
from alertgraph.core.event import instant_of, instant_text
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.rule import ChannelTarget, EscalationRule, Level, ResponderTarget, ScheduleTarget
from alertgraph.core.schedule import Rotation, Schedule, ShiftOverride, WeeklyWindow
from alertgraph.core.severity import Severity
from alertgraph.core.silence import Silence, until
from alertgraph.storage.database import DEPENDENCY

T = TypeVar("T")

BODY_VERSION = 1
_MICROSECOND = timedelta(microseconds=1)


class ItemKind(IntEnum):
    """Which type an item is of. The numbers are stored: never reuse one."""

    RULE = 1
    INHIBITION = 2
    SILENCE = 3
    CHANNEL = 4
    RESPONDER = 5
    SCHEDULE = 6
    OVERRIDE = 7
    MONITOR = 8
    ANOMALY_RULE = 9


ITEM_KIND_OF: Mapping[type[Item], ItemKind] = {
    EscalationRule: ItemKind.RULE,
    InhibitionRule: ItemKind.INHIBITION,
    Silence: ItemKind.SILENCE,
    Channel: ItemKind.CHANNEL,
    Responder: ItemKind.RESPONDER,
    Schedule: ItemKind.SCHEDULE,
    ShiftOverride: ItemKind.OVERRIDE,
    HeartbeatMonitor: ItemKind.MONITOR,
    AnomalyRule: ItemKind.ANOMALY_RULE,
}
assert set(ITEM_KIND_OF) == set(get_args(Item)), "every type of item is kept"


# --------------------------------------------------------------------------------------- parts


class _FormError(ValueError):
    """A stored value has not the form that this release writes; the message names the place, not the value."""


@dataclass(frozen=True, slots=True)
class _Codec(Generic[T]):
    """How values of one type are written as JSON.

    Attributes:
        decode: Raises _FormError, or ValueError and the like where a value is none of the type's.
    """

    encode: Callable[[T], Any]
    decode: Callable[[Any], T]


def _plain(kind: type[T]) -> _Codec[T]:
    def decode(value: Any) -> T:
        # Exactly this type: true is no number here, though it is one to Python.
        if type(value) is not kind:
            raise _FormError(f"is no {kind.__name__}")
        return value

    return _Codec(kind, decode)


def _optional(codec: _Codec[T]) -> _Codec[T | None]:
    return _Codec(
        lambda value: None if value is None else codec.encode(value),
        lambda value: None if value is None else codec.decode(value),
    )


def _many(codec: _Codec[T]) -> _Codec[tuple[T, ...]]:
    def decode(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise _FormError("is no list")
        return tuple(map(codec.decode, value))

    return _Codec(lambda values: list(map(codec.encode, values)), decode)


def _number_of(enum: type[T]) -> _Codec[T]:
    members: dict[int, T] = {int(member): member for member in cast(Any, enum)}

    def decode(value: Any) -> T:
        if type(value) is not int or value not in members:
            raise _FormError(f"is no {enum.__name__}")
        return members[value]

    return _Codec(cast("Callable[[T], int]", int), decode)


def _fields(cls: type[Any], **fields: _Codec[Any]) -> _Codec[Any]:
    """Return how the fields of a dataclass are written: an object under their own names, no more and no less.

    It writes a value of the class, and reads the fields to make one from; an item's id and version are not among
    them.
    """
    known = {field.name for field in dataclasses.fields(cls)}
    assert fields.keys() == known - ({"id", "version"} if cls in ITEM_KIND_OF else set()), f"all of {cls} is kept"
    names = frozenset(fields)
    parts = tuple((name, codec.encode, codec.decode) for name, codec in fields.items())

    def encode(value: Any) -> dict[str, Any]:
        return {name: write(getattr(value, name)) for name, write, _ in parts}

    def decode(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _FormError("is no object")
        if value.keys() != names:
            raise _FormError(f"has not the known fields: {', '.join(sorted(value.keys() ^ names))}")
        found = {}
        name = ""
        try:
            for name, _, read in parts:
                found[name] = read(value[name])
        except (ValueError, OverflowError) as error:
            reason = str(error) if isinstance(error, _FormError) else "can't be read"
            raise _FormError(f"{name} {reason}") from error
        return found

    return _Codec(encode, decode)


def _record(cls: type[T], **fields: _Codec[Any]) -> _Codec[T]:
    """Return how a value is written that is a part of an item."""
    codec = _fields(cls, **fields)
    return _Codec(codec.encode, lambda value: cls(**codec.decode(value)))


def _one_of(**variants: tuple[type[Any], _Codec[Any]]) -> _Codec[Any]:
    """Return how one of several types is written: an object of one field, whose name says which."""
    names = {cls: name for name, (cls, _) in variants.items()}

    def encode(value: Any) -> dict[str, Any]:
        name = names[type(value)]
        return {name: variants[name][1].encode(value)}

    def decode(value: Any) -> Any:
        if not isinstance(value, dict) or len(value) != 1:
            raise _FormError("is no object of one field")
        [(name, inner)] = value.items()
        if name not in variants:
            raise _FormError("is of a type that is unknown here")
        return variants[name][1].decode(inner)

    return _Codec(encode, decode)


def _labels_of(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _FormError("is no object")
    return {name: _TEXT.decode(text) for name, text in value.items()}


_TEXT = _plain(str)
_INT = _plain(int)
_BOOL = _plain(bool)
_ID: _Codec[Any] = _Codec(str, lambda value: UUID(_TEXT.decode(value)))
_INSTANT: _Codec[datetime] = _Codec(instant_text, lambda value: instant_of(_TEXT.decode(value)))
_DURATION: _Codec[timedelta] = _Codec(
    lambda value: value // _MICROSECOND, lambda value: _INT.decode(value) * _MICROSECOND
)
# The store keeps numbers as decimals: 1.0 may come back as 1.
_SHARE: _Codec[float] = _Codec(float, lambda value: _plain(float).decode(float(value)))
_LABELS: _Codec[Mapping[str, str]] = _Codec(dict, _labels_of)

_ACTOR = _record(Actor, kind=_number_of(ActorKind), name=_TEXT, reference=_TEXT)
_MATCHERS = _many(_record(Matcher, label=_TEXT, operator=_number_of(MatchOperator), value=_TEXT))
_TARGET = _one_of(
    responder=(ResponderTarget, _record(ResponderTarget, responder_id=_ID)),
    schedule=(ScheduleTarget, _record(ScheduleTarget, schedule_id=_ID)),
    channel=(ChannelTarget, _record(ChannelTarget, channel_id=_ID)),
)
_CHANNEL_CONFIG = _one_of(
    slack=(SlackConfig, _record(SlackConfig, channel=_TEXT, api_url=_optional(_TEXT))),
    teams=(TeamsConfig, _record(TeamsConfig, host=_TEXT)),
    pagerduty=(
        PagerDutyConfig,
        _record(PagerDutyConfig, routing_key_end=_TEXT, events_url=_optional(_TEXT)),
    ),
    webhook=(
        WebhookConfig,
        _record(WebhookConfig, url=_TEXT, header_names=_many(_TEXT), preset=_optional(_number_of(WebhookPreset))),
    ),
    email=(EmailConfig, _record(EmailConfig, to=_many(_TEXT))),
)

# --------------------------------------------------------------------------------------- items

_BODIES: Mapping[ItemKind, tuple[type[Item], _Codec[Any]]] = {
    ItemKind.RULE: (
        EscalationRule,
        _fields(
            EscalationRule,
            name=_TEXT,
            position=_INT,
            levels=_many(_record(Level, delay=_DURATION, targets=_many(_TARGET))),
            enabled=_BOOL,
            matchers=_MATCHERS,
            severities=_many(_number_of(Severity)),
            incident_probability_min=_optional(_SHARE),
            repeat_count=_INT,
            escalate_on_sla=_BOOL,
        ),
    ),
    ItemKind.INHIBITION: (
        InhibitionRule,
        _fields(
            InhibitionRule,
            name=_TEXT,
            source_matchers=_MATCHERS,
            target_matchers=_MATCHERS,
            equal_labels=_many(_TEXT),
            enabled=_BOOL,
        ),
    ),
    ItemKind.SILENCE: (
        Silence,
        _fields(
            Silence,
            matchers=_MATCHERS,
            starts_at=_INSTANT,
            ends_at=_INSTANT,
            comment=_TEXT,
            created_by=_ACTOR,
            recurrence=_optional(_TEXT),
            time_zone=_TEXT,
            end_on_resolve=_BOOL,
            over_at=_optional(_INSTANT),
        ),
    ),
    ItemKind.CHANNEL: (
        Channel,
        _fields(
            Channel,
            name=_TEXT,
            kind=_number_of(ChannelKind),
            config=_CHANNEL_CONFIG,
            enabled=_BOOL,
            fallback_id=_optional(_ID),
            template=_optional(_TEXT),
            sealed=_optional(_TEXT),
        ),
    ),
    ItemKind.RESPONDER: (
        Responder,
        _fields(
            Responder,
            name=_TEXT,
            time_zone=_TEXT,
            email=_optional(_TEXT),
            contact_methods=_many(
                _record(ContactMethod, channel_id=_ID, address=_optional(_TEXT), delay=_DURATION)
            ),
        ),
    ),
    ItemKind.SCHEDULE: (
        Schedule,
        _fields(
            Schedule,
            name=_TEXT,
            time_zone=_TEXT,
            rotations=_many(
                _record(
                    Rotation,
                    responder_ids=_many(_ID),
                    starts_at=_INSTANT,
                    shift_length=_DURATION,
                    windows=_many(_record(WeeklyWindow, days=_many(_INT), starts_at=_INT, ends_at=_INT)),
                )
            ),
        ),
    ),
    ItemKind.OVERRIDE: (
        ShiftOverride,
        _fields(
            ShiftOverride,
            schedule_id=_ID,
            responder_id=_ID,
            starts_at=_INSTANT,
            ends_at=_INSTANT,
            created_by=_ACTOR,
        ),
    ),
    ItemKind.MONITOR: (
        HeartbeatMonitor,
        _fields(HeartbeatMonitor, name=_TEXT, interval=_DURATION, severity=_number_of(Severity), labels=_LABELS),
    ),
    ItemKind.ANOMALY_RULE: (
        AnomalyRule,
        _fields(
            AnomalyRule,
            name=_TEXT,
            target=_number_of(AnomalyTarget),
            matchers=_MATCHERS,
            severity=_number_of(Severity),
            monitored_service=_optional(_TEXT),
            service_label=_optional(_TEXT),
            sensitivity=_number_of(AnomalySensitivity),
            direction=_number_of(AnomalyDirection),
            min_duration=_DURATION,
            links=_many(_record(Link, href=_TEXT, text=_TEXT)),
            enabled=_BOOL,
        ),
    ),
}
assert {kind: cls for cls, kind in ITEM_KIND_OF.items()} == {kind: cls for kind, (cls, _) in _BODIES.items()}

# The columns that `item_of` reads, in their order.
ITEM_COLUMNS = ("kind", "id", "version", "body")
ITEM_SELECT = ", ".join(ITEM_COLUMNS)


def body_of(item: Item) -> dict[str, Any]:
    """Return everything of an item but its id and version, as JSON."""
    _, codec = _BODIES[ITEM_KIND_OF[type(item)]]
    return {"v": BODY_VERSION, **codec.encode(item)}


def item_of(row: Sequence[Any]) -> Item:
    """Return the item that a row holds whose fields are ITEM_COLUMNS.

    Raises:
        DependencyError: It is not as this release writes it, such as one of a later release.
    """
    kind, id_, version, body = row
    try:
        cls, codec = _BODIES[ItemKind(kind)]
    except ValueError as error:
        raise _unreadable(f"item {id_}", f"is of kind {kind}, which is unknown here") from error
    try:
        if not isinstance(body, dict) or body.get("v") != BODY_VERSION:
            raise _FormError("is written in another form")
        fields = codec.decode({name: value for name, value in body.items() if name != "v"})
    except _FormError as error:
        raise _unreadable(f"{SUBJECT_TYPE_OF[cls]} {id_}", str(error)) from error
    return cls(id=id_, version=version, **fields)


def name_of(item: Item) -> str | None:
    """Return the name that no other item of its type has in the tenant; None where names may be shared."""
    match item:
        case EscalationRule() | InhibitionRule() | Channel() | Schedule() | HeartbeatMonitor() | AnomalyRule():
            return item.name
        case Responder() | Silence() | ShiftOverride():
            return None
        case _:
            assert_never(item)


def until_of(item: Item) -> datetime | None:
    """Return when an item is over for good; None where it never is by itself."""
    match item:
        case Silence():
            return until(item)
        case ShiftOverride():
            return item.ends_at
        case (
            EscalationRule()
            | InhibitionRule()
            | Channel()
            | Responder()
            | Schedule()
            | HeartbeatMonitor()
            | AnomalyRule()
        ):
            return None
        case _:
            assert_never(item)


def _unreadable(what: str, reason: str) -> DependencyError:
    # Better no answer than paging by half of what was set up.
    message = f"The stored {what} can't be read by this release: it {reason}."
    return DependencyError(DEPENDENCY, retryable=False, message=message)
