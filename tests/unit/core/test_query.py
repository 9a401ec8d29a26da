"""Pages, filters of events, and who may see them."""

from __future__ import annotations

from typing import Any

import pytest

from alertgraph.core.actor import ActorKind
from alertgraph.core.errors import InputError
from alertgraph.core.event import EventKind
from alertgraph.core.labels import MatchOperator
from alertgraph.core.query import EventFilter, EventVisibility, PageRequest, page_request
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Role
from tests.factories import MINUTE, T0, a_config_event, a_matcher, an_event, an_id, stored


def test_fifty_come_where_nothing_is_said() -> None:
    assert page_request(None, None) == PageRequest(size=50, after=None, before=None, backward=False)


def test_last_reads_backward() -> None:
    assert page_request(None, None, 3, "c") == PageRequest(size=3, before="c", backward=True)


def test_both_cursors_bound_a_page() -> None:
    assert page_request(100, "a", None, "b") == PageRequest(size=100, after="a", before="b")


@pytest.mark.parametrize(
    ("first", "last", "path"),
    [
        (0, None, "first"),
        (-1, None, "first"),
        (101, None, "first"),
        (None, 0, "last"),
        (None, 101, "last"),
        (1, 1, "last"),
    ],
)
def test_a_page_of_no_or_too_many_or_both_ways_is_refused(first: int | None, last: int | None, path: str) -> None:
    with pytest.raises(InputError) as refused:
        page_request(first, None, last, None)

    assert refused.value.problems[0].path == (path,)


WORSE = an_event(
    kind=EventKind.UPDATED, severity_before=Severity.LOW, service_before="search", incident_id=an_id(7)
)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kinds": frozenset({EventKind.UPDATED, EventKind.RESOLVED})},
        {"severity": frozenset({Severity.HIGH})},
        {"severity": frozenset({Severity.LOW})},
        {"monitored_service": frozenset({"checkout"})},
        {"monitored_service": frozenset({"search"})},
        {"source": frozenset({"prometheus"})},
        {"alert_ids": frozenset({an_id()})},
        {"incident_ids": frozenset({an_id(7)})},
        {"actor_kind": frozenset({ActorKind.SENDER})},
        {"matchers": (a_matcher("job", "api"), a_matcher("@severity", "HIGH"))},
        {"occurred_after": T0, "occurred_before": T0 + MINUTE},
    ],
    ids=str,
)
def test_an_event_is_found_by_what_it_tells(fields: dict[str, Any]) -> None:
    assert EventFilter(**fields).matches(stored(WORSE))


@pytest.mark.parametrize(
    "fields",
    [
        {"kinds": frozenset()},
        {"kinds": frozenset({EventKind.RESOLVED})},
        {"severity": frozenset({Severity.MEDIUM})},
        {"severity": frozenset()},
        {"monitored_service": frozenset({""})},
        {"source": frozenset({"script"})},
        {"alert_ids": frozenset({an_id(2)})},
        {"incident_ids": frozenset({an_id()})},
        {"subject_id": "vew_1"},
        {"subject_type": frozenset({"SavedView"})},
        {"actor_kind": frozenset({ActorKind.PERSON})},
        {"matchers": (a_matcher("job", "api", MatchOperator.NOT_EQUAL),)},
        {"matchers": (a_matcher("@severity", "LOW"),)},
        {"occurred_after": T0 + MINUTE},
        {"occurred_before": T0},
    ],
    ids=str,
)
def test_every_field_of_a_filter_must_hold(fields: dict[str, Any]) -> None:
    assert not EventFilter(**fields).matches(stored(WORSE))


def test_configuration_is_found_by_its_subject_and_not_by_labels() -> None:
    event = stored(a_config_event())

    assert EventFilter(subject_id="vew_1", subject_type=frozenset({"SavedView"})).matches(event)
    assert not EventFilter(source=frozenset({""})).matches(event)
    assert not EventFilter(matchers=(a_matcher("job", ""),)).matches(event)
    assert not EventFilter(alert_ids=frozenset({an_id()})).matches(event)


@pytest.mark.parametrize(
    ("event", "role"),
    [
        (an_event(), Role.VIEWER),
        (a_config_event(), Role.RESPONDER),
        (a_config_event(subject_type="ApiKey", kind=EventKind.CONFIG_DELETED), Role.ADMIN),
        (a_config_event(kind=EventKind.PERSONAL_DATA_READ, subject_type="Responder"), Role.ADMIN),
        (a_config_event(kind=EventKind.MODEL_PROMOTED, subject_type=None, subject_id=None), Role.VIEWER),
    ],
    ids=lambda value: value.name if isinstance(value, Role) else value.kind.name,
)
def test_an_event_is_seen_from_its_role_on(event: Any, role: Role) -> None:
    assert [EventVisibility(r).sees(stored(event)) for r in Role] == [r >= role for r in Role]


def test_a_scoped_key_sees_its_alerts_and_no_configuration() -> None:
    ours = EventVisibility(Role.ADMIN, (a_matcher("job", "api"),))

    assert ours.sees(stored(an_event()))
    assert not ours.sees(stored(an_event(labels={"job": "db"})))
    assert not ours.sees(stored(a_config_event()))
