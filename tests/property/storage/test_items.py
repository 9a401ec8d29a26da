"""Items of what is set up come back from their stored form as they were, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.alert import Link
from alertgraph.core.anomaly import AnomalyDirection, AnomalyRule, AnomalySensitivity, AnomalyTarget
from alertgraph.core.catalog import Item
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
from alertgraph.core.ids import MonitorId
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.rule import ChannelTarget, EscalationRule, Level, ResponderTarget, ScheduleTarget
from alertgraph.core.schedule import Rotation, Schedule, ShiftOverride, WeeklyWindow
from alertgraph.core.silence import Silence
from alertgraph.storage.items import ITEM_KIND_OF, ItemKind, body_of, item_of, name_of, until_of
from tests.factories import ADA, DAY, HOUR, MINUTE, T0, a_matcher
from tests.strategies import actors, instants, plain_texts, severities

ids: Any = st.uuids()
durations = st.integers(-(10**15), 10**15).map(lambda count: timedelta(microseconds=count))
versions = st.integers(0, 2**63 - 1)
small = st.integers(-(2**31), 2**31 - 1)
minutes = st.integers(0, 1440)


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=3).map(tuple)


matchers = some(st.builds(Matcher, plain_texts, st.sampled_from(MatchOperator), plain_texts))
targets = st.builds(ResponderTarget, ids) | st.builds(ScheduleTarget, ids) | st.builds(ChannelTarget, ids)
configs = (
    st.builds(SlackConfig, plain_texts, st.none() | plain_texts)
    | st.builds(TeamsConfig, plain_texts)
    | st.builds(PagerDutyConfig, plain_texts, st.none() | plain_texts)
    | st.builds(WebhookConfig, plain_texts, some(plain_texts), st.none() | st.sampled_from(WebhookPreset))
    | st.builds(EmailConfig, some(plain_texts))
)

items: st.SearchStrategy[Item] = st.one_of(
    st.builds(
        EscalationRule,
        id=ids,
        name=plain_texts,
        position=small,
        levels=some(st.builds(Level, durations, some(targets))),
        enabled=st.booleans(),
        matchers=matchers,
        severities=some(severities),
        incident_probability_min=st.none() | st.floats(0, 1),
        repeat_count=small,
        escalate_on_sla=st.booleans(),
        version=versions,
    ),
    st.builds(InhibitionRule, ids, plain_texts, matchers, matchers, some(plain_texts), st.booleans(), versions),
    st.builds(
        Silence,
        id=ids,
        matchers=matchers,
        starts_at=instants,
        ends_at=instants,
        comment=plain_texts,
        created_by=actors,
        recurrence=st.none() | plain_texts,
        time_zone=plain_texts,
        end_on_resolve=st.booleans(),
        over_at=st.none() | instants,
        version=versions,
    ),
    st.builds(
        Channel,
        id=ids,
        name=plain_texts,
        kind=st.sampled_from(ChannelKind),
        config=configs,
        enabled=st.booleans(),
        fallback_id=st.none() | ids,
        template=st.none() | plain_texts,
        sealed=st.none() | plain_texts,
        version=versions,
    ),
    st.builds(
        Responder,
        id=ids,
        name=plain_texts,
        time_zone=plain_texts,
        email=st.none() | plain_texts,
        contact_methods=some(st.builds(ContactMethod, ids, st.none() | plain_texts, durations)),
        version=versions,
    ),
    st.builds(
        Schedule,
        id=ids,
        name=plain_texts,
        time_zone=plain_texts,
        rotations=some(
            st.builds(
                Rotation,
                some(ids),
                instants,
                durations,
                some(st.builds(WeeklyWindow, some(st.integers(0, 6)), minutes, minutes)),
            )
        ),
        version=versions,
    ),
    st.builds(ShiftOverride, ids, ids, ids, instants, instants, actors, versions),
    st.builds(
        HeartbeatMonitor,
        ids,
        plain_texts,
        durations,
        severities,
        st.dictionaries(plain_texts, plain_texts, max_size=3),
        versions,
    ),
    st.builds(
        AnomalyRule,
        ids,
        plain_texts,
        st.sampled_from(AnomalyTarget),
        matchers,
        severities,
        st.none() | plain_texts,
        st.none() | plain_texts,
        st.sampled_from(AnomalySensitivity),
        st.sampled_from(AnomalyDirection),
        durations,
        some(st.builds(Link, plain_texts, plain_texts)),
        st.booleans(),
        versions,
    ),
)


def stored(item: Item) -> Any:
    """Return an item's body as the store gives it back."""
    return orjson.loads(orjson.dumps(body_of(item)))


@given(items)
def test_an_item_comes_back_as_it_was(item: Item) -> None:
    kind = ITEM_KIND_OF[type(item)]

    found = item_of((int(kind), item.id, item.version, stored(item)))

    assert found == item
    assert type(found) is type(item)
    assert body_of(found) == body_of(item)


def parts_of(value: Any) -> list[dict[str, Any]]:
    """Return every object in a JSON value."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    found = [part for one in inner for part in parts_of(one)]
    return [*found, value] if isinstance(value, dict) else found


@given(items, st.data())
def test_another_form_is_refused(item: Item, data: st.DataObject) -> None:
    body = stored(item)
    # Labels may have any name.
    parts = [part for part in parts_of(body) if part is not body.get("labels")]
    part = data.draw(st.sampled_from(parts))
    fault = data.draw(st.sampled_from(["unknown", "missing", "wrong"]))
    name = data.draw(st.sampled_from(sorted(part)))
    if fault == "unknown":
        part["more"] = None
    elif fault == "missing":
        del part[name]
    else:
        part[name] = [[]]

    with pytest.raises(DependencyError, match="can't be read by this release") as caught:
        item_of((int(ITEM_KIND_OF[type(item)]), item.id, item.version, body))
    assert not caught.value.retryable


MONITOR = HeartbeatMonitor(MonitorId(UUID(int=1)), "backup", DAY, labels={"team": "ops"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("v", None),
        ("name", None),
        ("interval", "P1D"),
        ("interval", True),
        ("interval", 1.5),
        ("interval", 10**40),
        ("severity", 99),
        ("severity", "HIGH"),
        ("labels", []),
        ("labels", {"team": 1}),
    ],
)
def test_a_value_of_another_type_is_refused(field: str, value: Any) -> None:
    body = {**stored(MONITOR), field: value}
    with pytest.raises(DependencyError, match="HeartbeatMonitor 00000000-0000-0000-0000-000000000001"):
        item_of((int(ItemKind.MONITOR), MONITOR.id, 1, body))


def test_a_refusal_names_the_place_and_no_value() -> None:
    body = {**stored(MONITOR), "labels": {"secret": 1}}
    with pytest.raises(DependencyError, match="it labels is no str") as caught:
        item_of((int(ItemKind.MONITOR), MONITOR.id, 1, body))
    assert "secret" not in caught.value.message


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(DependencyError, match="kind 99"):
        item_of((99, MONITOR.id, 1, stored(MONITOR)))


ID: Any = MONITOR.id
SILENCE = Silence(ID, (a_matcher("team", "ops"),), T0, T0 + HOUR, "", ADA)


def test_some_names_are_unique() -> None:
    named = [EscalationRule(ID, "n", 1, ()), InhibitionRule(ID, "n", (), ()), Schedule(ID, "n"), MONITOR]
    assert [name_of(item) for item in named] == ["n", "n", "n", "backup"]
    assert name_of(Channel(ID, "n", ChannelKind.TEAMS, TeamsConfig("h"))) == "n"
    # Two people may be called the same.
    assert [name_of(item) for item in (Responder(ID, "n"), SILENCE)] == [None, None]


def test_silences_and_overrides_are_over_at_some_time() -> None:
    assert until_of(SILENCE) == T0 + HOUR
    assert until_of(replace(SILENCE, over_at=T0 + MINUTE)) == T0 + MINUTE
    assert until_of(replace(SILENCE, recurrence="FREQ=DAILY")) is None
    assert until_of(replace(SILENCE, recurrence="FREQ=DAILY;COUNT=3")) == T0 + HOUR + 2 * DAY
    assert until_of(ShiftOverride(ID, ID, ID, T0, T0 + DAY, ADA)) == T0 + DAY
    assert until_of(MONITOR) is None
