"""A walk through the whole schema, made from the schema: whatever is added to it is asked for, too.

A case is one operation with its variables, and perhaps a slot: the place of one value by which something can be
named, such as an id, a cursor, a key or a word to look for. Tests put into the slot what the caller has no right
to. Where a new argument or input field is of a sort that the walk has never met, it fails and says what to teach
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, NoReturn

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)
from graphql.type import GraphQLList, GraphQLNonNull

from resolvers.schema import print_sdl

Path = tuple[str | int, ...]

YESTERDAY, TOMORROW = (
    (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (-1, 1)
)

ROOTS = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}
# How a type whose fields take arguments is reached: by `{route} { field }`, with these variables; what a route
# leaves open is closed behind the field.
ROUTES: Mapping[str, tuple[str, str]] = {
    "CriticalAlert": ("$own: ID!", "alert(id: $own)"),
    "Incident": ("$own: ID!", "incident(id: $own)"),
    "MonitoredService": ("", "monitoredServices(first: 1) { nodes"),
    "AlertMetrics": ("", f'alertMetrics(since: "{YESTERDAY}", until: "{TOMORROW}")'),
    "OnCallSchedule": ("$own: ID!", "onCallSchedule(id: $own)"),
    "Responder": ("$own: ID!", "responder(id: $own)"),
    "SilencePreview": ("", 'silencePreview(matchers: [{label: "@title", operator: REGEX, value: ".+"}])'),
}
# For arguments in the middle of an answer, which have no slot there.
WRITTEN_FIRST = 3
WRITTEN_ARGUMENTS = {
    "bucket": '"P1D"',
    "by": "MONITORED_SERVICE",
    "first": str(WRITTEN_FIRST),
    "since": f'"{YESTERDAY}"',
    "until": f'"{TOMORROW}"',
}

# Arguments of which exactly one is given, by their field; the first where the walk does not mind.
ALTERNATIVES: Mapping[str, tuple[str, ...]] = {"Query.escalationForecast": ("draft", "alertId")}

# Entries of a thousand at once: what hangs on them would cost too much.
COUNTED_BY_THOUSANDS = ("AlertOutcome", "CreateAlertOutcome")
# Batches of a hundred and more, and what is told of each entry of a batch, but nothing below that.
BATCHES = ("LogEventBatch", "AlertsActionPayload", "CreateAlertsPayload")
ENTRIES = (*COUNTED_BY_THOUSANDS, "LogEvent")
# What hangs on more answers than these is left out.
ENTRIES_MAX = 99

# What sort of thing a value names, by the name of its argument or input field; ids are known by their type.
HANDLES = {
    "after": "cursor",
    "before": "cursor",
    "dedupKey": "dedup_key",
    "dedupKeys": "dedup_key",
    "idempotencyKey": "idempotency_key",
}
# Texts that are looked for, not kept: the walk looks for words of somebody else's there.
SEARCHED = ("AlertFilter", "EventFilter", "IncidentFilter", "MetricsFilter", "DeliveryFilter", "LabelMatcherInput")
# What an id is of, where it is not of what the field is about.
KINDS = {
    "alertId": "alert",
    "alertIds": "alert",
    "rootAlertId": "alert",
    "incidentId": "incident",
    "incidentIds": "incident",
    "intoId": "incident",
    "channelId": "channel",
    "fallbackId": "channel",
    "deadManChannelId": "channel",
    "responderId": "responder",
    "responderIds": "responder",
    "scheduleId": "schedule",
    "defaultEscalationRuleId": "rule",
}
# The kind of thing that a field is about, by a part of its name in lower case; else it is about an alert.
ABOUT = {
    "incident": "incident",
    "savedview": "view",
    "apikey": "key",
    "escalationrule": "rule",
    "inhibitionrule": "inhibition",
    "notification": "channel",
    "shiftoverride": "override",
    "schedule": "schedule",
    "responder": "responder",
    "silence": "silence",
    "monitor": "monitor",
    "anomalyrule": "anomaly",
}
# What may do without matchers. Whatever else has some is for no alert there is: a walk is to silence nothing.
UNMATCHED = ("ApiKeyInput", "AlertFilter", "EventFilter")
NEVER = {"label": "walk", "operator": "EQUAL", "value": "never"}
# What stands for an id of the caller's own, of what the field is about or of a kind, and for a key or a name that
# nobody used before.
OWN, OWN_OF, FRESH = "\x00own", "\x00own of ", "\x00fresh"
# What to put where nothing is named, by the name of the argument or input field.
PLAIN: Mapping[str, Any] = {
    "title": "Walked over",
    "description": "By a walk",
    "source": "walker",
    "monitoredService": "paths",
    "labels": {"walk": "yes"},
    "annotations": {"walk": "yes"},
    "href": "https://walk.example/",
    "text": "Walk",
    "triggeredAt": YESTERDAY,
    "note": "A note of the walk",
    "until": TOMORROW,
    "since": YESTERDAY,
    "expiresAt": TOMORROW,
    "level": 1,
    "name": "\x00fresh",
    "shared": False,
    "costBudget": 600_000,
    "expectedVersion": None,
    "overlap": "P1D",
    "resolveTimeout": "PT1H",
    "groupingLabels": "walk",
    "earlierSize": 1,
    # Instead of a service, which it gives.
    "serviceLabel": None,
    "minDuration": "PT1M",
    "groupingWindow": "PT1H",
    "correlationEnabled": False,
    "noiseHoldMax": "PT1M",
    "noiseRegretBudget": "PT1H",
    "retention": "P30D",
    "service": "paths",
    "dependsOn": "pavement",
    "replaceAll": False,
    "first": 100,
    "last": 100,
    "bucket": "P1D",
    "window": "P1D",
    "every": "PT1S",
    "at": None,
    # What is set up is used for nothing: nobody is to be told anything by a walk.
    "enabled": False,
    "position": 1,
    "incidentProbabilityMin": 0.5,
    "repeatCount": 1,
    "escalateOnSla": True,
    "delay": "PT5M",
    "interval": "P30D",
    "equalLabels": "walk",
    "timeZone": "Europe/Berlin",
    "shiftLength": "P7D",
    "calendar": None,
    "startsAt": YESTERDAY,
    "endsAt": TOMORROW,
    "recurrence": "FREQ=WEEKLY;COUNT=2",
    "endOnResolve": True,
    "comment": "By a walk",
    "email": f"{FRESH}@walk.example",
    "address": "walker@example.com",
    "template": "By a walk",
    "botToken": "xoxb-walk",
    "signingSecret": "walkwalkwalkwalkwalkwalkwalkwalk",
    "channel": "#walk",
    # Where a host is named it is looked for at once, and there is none that a walk could name.
    "apiUrl": None,
    "workflowUrl": "https://walk.example/workflow",
    "routingKey": "walkwalkwalkwalkwalkwalkwalkwalk",
    "eventsUrl": None,
    "url": "https://walk.example/hook",
    "to": "walk@walk.example",
    "headers": {"X-Walk": "yes"},
}
# Of an enum the first value, where no other does the job better.
CHOSEN = {"role": "INGEST", "by": "MONITORED_SERVICE", "status": "TRIGGERED"}
_ID = re.compile(
    r"(?:tnt|alr|key|vew|evt|rul|inh|sil|chn|rsp|sch|ovr|mon|dlv|inc|ano|mdl)_[A-Za-z0-9_-]{22}"
    r"|svc_[A-Za-z0-9_-]+"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f-]{17}"
)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_VARYING = frozenset(
    (
        *("version", "number", "currentVersion", "requestId", "remaining", "resetAt", "prefix", "secret"),
        *("cursor", "startCursor", "endCursor", "asOf"),
    )
)

_fresh = count(1)


def teach(what: str) -> NoReturn:
    """Fail: the schema has something that the walk does not know how to ask for."""
    pytest.fail(f"teach the walk {what} (tests/e2e/walk.py)")


@cache
def schema() -> GraphQLSchema:
    """Return the schema as it is published."""
    return build_schema(print_sdl())


@dataclass(frozen=True, slots=True)
class Slot:
    """The place in a case's variables of a value that names something.

    Attributes:
        kind: id, cursor, dedup_key, idempotency_key, word or matcher.
        place: The argument or input field, such as EventFilter.alertIds.
        is_list: Whether a list of them stands there.
    """

    path: Path
    kind: str
    place: str
    is_list: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One operation."""

    root: str
    field: str
    document: str
    variables: Mapping[str, Any]
    slot: Slot | None = None

    def __str__(self) -> str:
        return f"{self.field} {self.slot.place if self.slot else 'plainly'}"

    @property
    def about(self) -> str:
        """What kind of thing the field is about."""
        name = self.field.lower()
        return next((kind for part, kind in ABOUT.items() if part in name), "alert")

    def request(self, own: str, value: Any = None, others: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the body of a request with keys and names that nobody used before.

        Args:
            own: An id of the caller's own, of what the field is about.
            value: For the slot.
            others: Ids of the caller's own by kind; `own` for each where left out.
        """
        variables = _filled_in(self.variables, own, others or {})
        if self.slot is not None:
            put(variables, self.slot.path, [value] if self.slot.is_list else value)
        return {"query": self.document, "variables": variables}


def put(variables: Any, path: Path, value: Any) -> None:
    """Set the value at a place in variables."""
    *way, last = path
    for step in way:
        variables = variables[step]
    variables[last] = value


def _filled_in(value: Any, own: str, others: Mapping[str, str]) -> Any:
    """Return a copy of variables with keys and ids in place of what stands for them."""
    match value:
        case dict():
            return {name: _filled_in(each, own, others) for name, each in value.items()}
        case list():
            return [_filled_in(each, own, others) for each in value]
        case str() if value == OWN:
            return own
        case str() if value.startswith(OWN_OF):
            return others.get(value.removeprefix(OWN_OF), own)
        case str() if value.startswith(FRESH):
            return f"walk-{next(_fresh)}{value.removeprefix(FRESH)}"
    return value


# ------------------------------------------------------------------------------------------- cases


def fields(root: str) -> Mapping[str, GraphQLField]:
    """Return the fields of query, mutation or subscription."""
    type_ = schema().type_map[ROOTS[root]]
    assert isinstance(type_, GraphQLObjectType)
    return type_.fields


def plain_cases(root: str) -> Iterator[Case]:
    """Yield each field of a root, asked for without slots and with nothing that hangs on its answer."""
    for name, field in fields(root).items():
        body = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
        form = f"{root} {{declared}}{{{{ {name}{{given}}{body.replace('{', '{{').replace('}', '}}')} }}}}"
        yield next(_cases(root, name, field, form, ""))


def cases(root: str) -> Iterator[Case]:
    """Yield each field plainly, and once for each of its slots; for queries, fields further in, too."""
    for name, field in fields(root).items():
        yield from _cases(root, name, field, f"{root} {{declared}}{{{{ {name}{{given}}{{body}} }}}}", "")
    if root != "query":
        return
    for type_ in schema().type_map.values():
        if isinstance(type_, GraphQLObjectType) and type_.name not in (*ROOTS.values(), "__Type"):
            for name, field in type_.fields.items():
                if field.args and not type_.name.startswith("__"):
                    if type_.name not in ROUTES:
                        teach(f"how to reach {type_.name}, whose field {name} takes arguments")
                    declared, route = ROUTES[type_.name]
                    closing = "}" * (1 + route.count("{") - route.count("}"))
                    route = route.replace("{", "{{").replace("}", "}}")
                    ends = closing.replace("}", "}}")
                    form = f"query {{declared}}{{{{ {route} {{{{ {name}{{given}}{{body}} }}}} {ends}"
                    yield from _cases(root, f"{type_.name}.{name}", field, form, declared)


def _cases(root: str, name: str, field: GraphQLField, form: str, declared: str) -> Iterator[Case]:
    place = name if "." in name else f"{ROOTS[root]}.{name}"
    everything = root == "mutation"
    for variables, slot in _filled(field.args, place, everything=everything):
        given = {each: field.args[each] for each in variables}
        written = [declared, *(f"${each}: {argument.type}" for each, argument in given.items())]
        header = ", ".join(filter(None, written))
        body = selection(field.type, 1 if "ids" in field.args else _size(field, first=50))
        document = form.format(
            declared=f"({header}) " if header else "",
            given=f"({', '.join(f'{each}: ${each}' for each in given)})" if given else "",
            body=f" {body}" if body else "",
        )
        reached = {"own": OWN} if "$own" in declared else {}
        yield Case(root, name, document, {**reached, **variables}, slot)


def _filled(
    arguments: Mapping[str, GraphQLArgument], place: str, *, everything: bool
) -> Iterator[tuple[dict[str, Any], Slot | None]]:
    """Yield arguments without a slot, then with each slot there is.

    Args:
        everything: Whether what may be left out is given, too, so that a mutation would really do something.
    """

    alternatives = ALTERNATIVES.get(place, ())

    def plain(chosen: str | None = None) -> dict[str, Any]:
        one = chosen if chosen in alternatives else next(iter(alternatives), None)
        return {
            name: _plain(argument.type, f"{place}({name}:)", name, everything=everything)
            for name, argument in arguments.items()
            if is_required_argument(argument) or everything or name == one
        }

    yield plain(), None
    for name, argument in arguments.items():
        for slot in _slots(argument.type, (name,), f"{place}({name}:)", name, searched=not everything):
            variables = plain(name)
            _make_way(variables, slot.path, argument.type, everything=everything)
            yield variables, slot


def _slots(
    type_: GraphQLInputType, path: Path, place: str, name: str, *, searched: bool, is_list: bool = False
) -> Iterator[Slot]:
    match type_:
        case GraphQLNonNull():
            yield from _slots(type_.of_type, path, place, name, searched=searched, is_list=is_list)
        case GraphQLList():
            inner = get_named_type(type_)
            if isinstance(inner, GraphQLInputObjectType) and inner.name != "LabelMatcherInput":
                yield from _slots(inner, (*path, 0), place, name, searched=searched)
            else:
                yield from _slots(type_.of_type, path, place, name, searched=searched, is_list=True)
        case GraphQLInputObjectType(name="LabelMatcherInput"):
            # Of the matchers of a key nothing is found: they are kept.
            if searched:
                yield Slot(path, "matcher", place, is_list)
        case GraphQLInputObjectType():
            inside = searched or type_.name in SEARCHED
            for each, field in type_.fields.items():
                yield from _slots(field.type, (*path, each), f"{type_.name}.{each}", each, searched=inside)
        case GraphQLScalarType(name="ID"):
            yield Slot(path, "id", place, is_list)
        case GraphQLScalarType(name="String" | "Cursor") if name in HANDLES:
            yield Slot(path, HANDLES[name], place, is_list)
        case GraphQLScalarType(name="String"):
            if searched:
                yield Slot(path, "word", place, is_list)
        case GraphQLScalarType(name="Cursor"):
            teach(f"what sort of cursor {place} is")
        case GraphQLScalarType() | GraphQLEnumType():
            return
        case _:
            teach(f"to look for slots in {type_}, at {place}")


def _make_way(variables: dict[str, Any], path: Path, type_: GraphQLInputType, *, everything: bool) -> None:
    """Fill in the objects on the way to a slot; of a @oneOf nothing but the way."""
    name = str(path[0])
    rest = path[1:]
    if not rest:
        return
    inner = get_named_type(type_)
    assert isinstance(inner, GraphQLInputObjectType), "only objects have something further in"
    if rest[0] == 0:
        if not variables.get(name):
            variables[name] = [_object(inner, everything=everything)]
        _make_way_below(variables[name][0], rest[1:], inner, everything=everything)
        return
    if variables.get(name) is None:
        # A search of our own has to be as narrow as the slot makes it.
        variables[name] = _object(inner, everything=everything and inner.name not in SEARCHED)
    _make_way_below(variables[name], rest, inner, everything=everything)


def _make_way_below(value: dict[str, Any], path: Path, type_: GraphQLInputObjectType, *, everything: bool) -> None:
    name = str(path[0])
    if type_.is_one_of:
        value.clear()
    _make_way(value, path, type_.fields[name].type, everything=everything)


def _object(type_: GraphQLInputObjectType, *, everything: bool) -> dict[str, Any]:
    if type_.is_one_of:
        name, field = next(iter(type_.fields.items()))
        return {name: _plain(field.type, f"{type_.name}.{name}", name, everything=everything)}
    return {
        name: _plain(field.type, f"{type_.name}.{name}", name, everything=everything)
        for name, field in type_.fields.items()
        if is_required_input_field(field) or (everything and _is_said(name))
    }


def _is_said(name: str) -> bool:
    return name not in PLAIN or PLAIN[name] is not None


def _plain(type_: GraphQLInputType, place: str, name: str, *, everything: bool) -> Any:
    """Return a value that says nothing of anybody else."""
    match type_:
        case GraphQLNonNull():
            return _plain(type_.of_type, place, name, everything=everything)
        case GraphQLList():
            inner = get_named_type(type_)
            if name == "links" and not everything:
                return []
            if isinstance(inner, GraphQLInputObjectType) and inner.name in SEARCHED:
                return [] if place.startswith(UNMATCHED) else [NEVER]
            return [_plain(type_.of_type, place, name, everything=everything)]
        case GraphQLInputObjectType():
            return _object(type_, everything=everything and type_.name not in SEARCHED)
        case GraphQLEnumType():
            return CHOSEN[name] if CHOSEN.get(name) in type_.values else next(iter(type_.values))
        case GraphQLScalarType(name="ID"):
            return f"{OWN_OF}{KINDS[name]}" if name in KINDS else OWN
        case GraphQLScalarType(name="LocalTime"):
            return {"startsAt": "09:00", "endsAt": "17:00"}[name]
        case GraphQLScalarType() if name in ("dedupKey", "dedupKeys", "idempotencyKey"):
            return FRESH
        case GraphQLScalarType() if name in ("after", "before"):
            return None
        case GraphQLScalarType(name="Boolean") if name not in PLAIN:
            return False
        case GraphQLScalarType():
            if name not in PLAIN:
                teach(f"what to put into {place}")
            return PLAIN[name]
    teach(f"what to put into {place}")


# -------------------------------------------------------------------------------------- selections


def selection(type_: GraphQLOutputType, entries: int = 1) -> str:
    """Return a selection of everything that hangs on a type; what occurs again, without what hangs on it.

    Args:
        type_: Of a field.
        entries: How many answers of this type there may be; of many not everything is asked, which would cost too
            much.
    """
    return _selection(get_named_type(type_), set(), entries)


def _selection(type_: Any, met: set[str], entries: int, *, aliased: Set[str] = frozenset()) -> str:
    """Return a selection of a type's fields, those in `aliased` under names that no other type has."""
    if is_leaf_type(type_):
        return ""
    if not isinstance(type_, GraphQLInterfaceType | GraphQLObjectType | GraphQLUnionType):
        teach(f"to select from {type_}")
    first = type_.name not in met
    if entries <= ENTRIES_MAX or type_.name in ENTRIES:
        met.add(type_.name)
    chosen = ["__typename"]
    for name, field in {} if isinstance(type_, GraphQLUnionType) else type_.fields.items():
        inner = get_named_type(field.type)
        size = 1 if type_.name.endswith("Connection") else _size(field)
        is_bearable = (
            entries * size <= ENTRIES_MAX or type_.name in BATCHES or (size == 1 and type_.name in ENTRIES)
        )
        if is_leaf_type(inner) or (first and is_bearable):
            below = _selection(inner, met, entries * size)
            alias = f"{name}Of{type_.name}: " if name in aliased else ""
            chosen.append(f"{alias}{name}{_written(field, f'{type_.name}.{name}')}{below}")
    if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType) and first and entries <= ENTRIES_MAX:
        kinds = schema().get_possible_types(type_)
        conflicting = _conflicting(kinds)
        chosen += [f"... on {kind} {_selection(kind, met, entries, aliased=conflicting)}" for kind in kinds]
    return f"{{ {' '.join(chosen)} }}"


def _size(field: GraphQLField, first: int = WRITTEN_FIRST) -> int:
    """Return how many answers a field may have, as its cost is counted."""
    inner = get_named_type(field.type)
    if inner.name in COUNTED_BY_THOUSANDS:
        return 1000
    if "first" in field.args:
        return first
    is_list = isinstance(field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type, GraphQLList)
    if is_list and inner.name == "LogEvent":
        return 100
    return 10 if is_list or inner.name.endswith("Connection") else 1


def _conflicting(kinds: Sequence[GraphQLObjectType]) -> Set[str]:
    """Return the names of fields that are of different types in these, which one selection can't hold."""
    types: dict[str, str] = {}
    return {
        name
        for kind in kinds
        for name, field in kind.fields.items()
        if types.setdefault(name, str(field.type)) != str(field.type)
    }


def _written(field: GraphQLField, place: str) -> str:
    given = {}
    for name, argument in field.args.items():
        if name in WRITTEN_ARGUMENTS:
            given[name] = WRITTEN_ARGUMENTS[name]
        elif is_required_argument(argument):
            teach(f"what to write for {place}({name}:)")
    return f"({', '.join(f'{name}: {text}' for name, text in given.items())})" if given else ""


# ------------------------------------------------------------------------------------- comparisons


def shape(answer: Any, sent: Mapping[str, str]) -> Any:
    """Return an answer without what differs between any two requests.

    Args:
        answer: As it was decoded.
        sent: Texts that were sent, with what stands for them.
    """
    match answer:
        case dict():
            return {
                name: type(value).__name__ if name in _VARYING else shape(value, sent)
                for name, value in answer.items()
            }
        case list():
            return [shape(value, sent) for value in answer]
        case str():
            for text, placeholder in sent.items():
                answer = answer.replace(text, placeholder)
            return _INSTANT.sub("<instant>", _ID.sub("<id>", re.sub(r"walk-\d+", "<fresh>", answer)))
    return answer
