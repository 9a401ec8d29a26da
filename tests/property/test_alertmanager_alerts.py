"""Whatever is posted becomes alerts that can be kept, or is refused in a sentence: nothing in between."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.action import Clear, Fire
from alertgraph.core.alert import check_draft
from alertgraph.core.dedup import dedup_key_of
from alertgraph.core.errors import AlertGraphError, InputError
from alertgraph.edge.intake.alertmanager import action_of, alert_json, check_posted, fingerprint_of, matcher_of
from tests.factories import DAY, T0, an_alert

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10).filter(
    lambda name: name.strip() and not name.startswith("@")
)
VALUE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
INSTANTS = st.integers(0, 25 * 365 * 86_400 * 1_000_000).map(lambda back: T0 + DAY - timedelta(microseconds=back))
TIMES = (
    INSTANTS.map(lambda at: at.isoformat())
    | st.sampled_from(["", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-23T11:00"])
    | st.none()
)
LABELS = st.dictionaries(NAME, VALUE | st.none(), max_size=5)
ALERTS = st.fixed_dictionaries(
    {"labels": LABELS},
    optional={
        "annotations": st.dictionaries(TEXT, TEXT | st.none(), max_size=4),
        "startsAt": TIMES,
        "endsAt": TIMES,
        "generatorURL": st.sampled_from(["", "http://p/graph", "/graph"]),
        "unknown": JSON,
    },
)


def action(alert: dict[str, Any]) -> Fire | Clear | str:
    value = orjson.loads(orjson.dumps([alert]))
    check_posted(value, 0)
    return action_of(value[0], T0, "prometheus")


@given(
    st.lists(
        JSON
        | st.dictionaries(st.sampled_from(["labels", "annotations", "startsAt", "endsAt", "generatorURL"]), JSON),
        max_size=3,
    )
)
def test_any_json_is_taken_or_refused(value: list[Any]) -> None:
    posted = orjson.loads(orjson.dumps(value))
    with suppress(AlertGraphError):
        check_posted(posted, 0)
        for alert in posted:
            assert isinstance(action_of(alert, T0, "prometheus"), Fire | Clear | str)


@given(ALERTS)
def test_an_alert_of_the_right_types_can_be_kept_or_says_why_not(alert: dict[str, Any]) -> None:
    became = action(alert)

    labels = {name: value for name, value in alert["labels"].items() if value}
    if isinstance(became, str):
        assert not labels or "start" in became
        return
    key = became.dedup_key if isinstance(became, Clear) else became.draft.key
    assert key == dedup_key_of(labels, title="", source="", monitored_service=None)
    if isinstance(became, Fire):
        faults = check_draft(became.draft, T0)
        # An end in the year 9999 is the one thing that Alertmanager takes and we do not.
        assert {problem.path for problem in faults} <= {("endsAt",)}
        assert became.draft.ends_at is None or became.draft.ends_at > T0
    else:
        assert became.ended_at <= T0


@given(ALERTS)
def test_an_alert_resolves_what_it_fired(alert: dict[str, Any]) -> None:
    firing = action({**alert, "startsAt": None, "endsAt": None})
    clearing = action({**alert, "startsAt": None, "endsAt": "2026-11-23T11:59:00Z"})

    assert isinstance(firing, Fire) == isinstance(clearing, Clear)
    if isinstance(firing, Fire) and isinstance(clearing, Clear):
        assert firing.draft.key == clearing.dedup_key


@given(st.dictionaries(NAME, VALUE.filter(bool), min_size=1, max_size=6), st.randoms())
def test_the_fingerprint_knows_no_order(labels: dict[str, str], chance: Any) -> None:
    names = list(labels)
    chance.shuffle(names)

    fingerprint = fingerprint_of({name: labels[name] for name in names})

    assert fingerprint == fingerprint_of(labels) == alert_json(an_alert(labels=labels))["fingerprint"]
    assert len(fingerprint) == 16
    assert fingerprint != fingerprint_of({**labels, names[0]: labels[names[0]] + "x"})


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@given(TEXT.filter(bool), st.sampled_from(["=", "!=", "=~", "!~"]), TEXT)
def test_a_quoted_matcher_says_what_was_quoted(label: str, operator: str, value: str) -> None:
    matcher = matcher_of(f"{quoted(label)}{operator}{quoted(value)}")

    assert (matcher.label, matcher.value) == (label, value)
    assert matcher.operator == ["=", "!=", "=~", "!~"].index(operator) + 1


@given(st.text(st.sampled_from('ab=!~",{}\\ \nu0x') | st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_text_is_a_matcher_or_refused(text: str) -> None:
    with suppress(InputError):
        assert matcher_of(text).label
