"""The index of followers: whoever wants an event is found, and hardly anybody else is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.event import EventKind
from alertgraph.core.ids import IncidentId
from alertgraph.core.interest import InterestIndex
from alertgraph.core.labels import MatchOperator
from alertgraph.core.query import EventFilter, EventVisibility
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Role
from tests.factories import a_config_event, a_matcher, an_event, an_id, stored

SOME = [an_id(number) for number in range(1, 5)]
alert_ids = st.sampled_from(SOME)
services = st.sampled_from([None, "checkout", "search"])
severities = st.sampled_from([None, Severity.CRITICAL, Severity.LOW])
incident_ids = st.sampled_from([None, *map(IncidentId, SOME)])
kinds = st.sampled_from([EventKind.TRIGGERED, EventKind.RESOLVED, EventKind.HELD])
labels = st.dictionaries(st.sampled_from(["job", "team"]), st.sampled_from(["a", "b", ""]), max_size=2)
matchers = st.lists(
    st.builds(
        a_matcher,
        st.sampled_from(["job", "team", "@severity", "@source"]),
        st.sampled_from(["", "a", "b", "LOW", "prometheus"]),
        st.sampled_from([MatchOperator.EQUAL, MatchOperator.NOT_EQUAL]),
    ),
    max_size=2,
).map(tuple)


def sets(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | st.frozensets(values.filter(lambda value: value is not None), max_size=2)


filters = st.builds(
    EventFilter,
    kinds=sets(kinds),
    severity=sets(severities),
    monitored_service=sets(services),
    source=sets(st.sampled_from(["prometheus", "people"])),
    matchers=matchers,
    alert_ids=sets(alert_ids),
    incident_ids=sets(incident_ids),
    subject_id=st.sampled_from([None, "vew_1", "vew_2"]),
    subject_type=sets(st.sampled_from(["SavedView", "ApiKey"])),
)
about_alerts = st.builds(
    an_event,
    kind=kinds,
    alert_id=alert_ids,
    severity_before=severities,
    severity_after=severities,
    service_before=services,
    service_after=services,
    source=st.sampled_from(["prometheus", "people", ""]),
    labels=labels,
    incident_id=incident_ids,
)
about_configuration = st.builds(
    a_config_event,
    subject_type=st.sampled_from(["SavedView", "ApiKey"]),
    subject_id=st.sampled_from(["vew_1", "vew_2"]),
)


@given(
    wanted=st.lists(st.tuples(filters, matchers), max_size=8),
    events=st.lists(about_alerts | about_configuration, min_size=1, max_size=8),
    leaving=st.sets(st.integers(0, 7)),
)
def test_whoever_wants_an_event_is_among_those_who_may(
    wanted: list[tuple[EventFilter, tuple[object, ...]]], events: list[object], leaving: set[int]
) -> None:
    index: InterestIndex[int] = InterestIndex()
    removals = [index.add(number, *each) for number, each in enumerate(wanted)]  # type: ignore[arg-type]
    for number, remove in enumerate(removals):
        if number in leaving:
            remove()
    for event in events:
        one = stored(event)  # type: ignore[arg-type]
        found = set(index.candidates(one))
        expected = {
            number
            for number, (each, scope) in enumerate(wanted)
            if number not in leaving and each.matches(one) and EventVisibility(Role.ADMIN, scope).sees(one)  # type: ignore[arg-type]
        }
        assert expected <= found
        assert not found & leaving
    for number, remove in enumerate(removals):
        if number not in leaving:
            remove()
    assert not any(index.candidates(stored(event)) for event in events)  # type: ignore[arg-type]


def test_an_event_is_looked_at_only_by_those_who_may_want_it() -> None:
    index: InterestIndex[str] = InterestIndex()
    low = frozenset({Severity.LOW})
    index.add("everything", EventFilter())
    index.add("another alert", EventFilter(alert_ids=frozenset({SOME[1]}), severity=low))
    index.add("this alert", EventFilter(alert_ids=frozenset({SOME[0]}), severity=frozenset({Severity.CRITICAL})))
    index.add("another service", EventFilter(monitored_service=frozenset({"search"})))
    index.add("another kind", EventFilter(kinds=frozenset({EventKind.RESOLVED})))
    index.add("this kind, another job", EventFilter(matchers=(a_matcher("job", "web"),)))
    index.add("another scope", EventFilter(), (a_matcher("team", "b"),))
    index.add("this scope", EventFilter(), (a_matcher("team", "a"),))
    index.add("nothing", EventFilter(kinds=frozenset()))

    event = an_event(alert_id=SOME[0], severity_after=Severity.LOW, labels={"job": "api", "team": "a"})

    assert set(index.candidates(stored(event))) == {"everything", "this alert", "this scope"}
