"""Laws of what may be kept: nothing that is sent makes the core fail, and what passes can be written."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from alertgraph.core.action import Fire
from alertgraph.core.alert import (
    DESCRIPTION_LENGTH_MAX,
    Draft,
    Link,
    check_annotations,
    check_draft,
    check_labels,
    check_text,
)
from alertgraph.core.dedup import dedup_key_of
from alertgraph.core.event import parse_canonical, seal
from alertgraph.core.lifecycle import decide
from alertgraph.core.severity import Severity
from tests.factories import T0, a_draft, a_situation
from tests.strategies import instants, json_objects, wild_texts

# Also what no JSON text can say, since GraphQL literals are read by another parser.
wild_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | wild_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(wild_texts, inner, max_size=3),
    max_leaves=6,
)
wild_drafts = st.builds(
    Draft,
    title=wild_texts,
    severity=st.sampled_from(Severity),
    source=wild_texts,
    description=st.none() | wild_texts,
    monitored_service=st.none() | wild_texts,
    dedup_key=st.none() | wild_texts,
    labels=st.none() | st.dictionaries(wild_texts, wild_values, max_size=3),
    annotations=st.none() | st.dictionaries(wild_texts, wild_values, max_size=3),
    links=st.none() | st.lists(st.builds(Link, wild_texts, wild_texts), max_size=2).map(tuple),
    triggered_at=st.none() | st.datetimes(timezones=st.timezones()),
    ends_at=st.none() | st.datetimes(timezones=st.timezones()),
)


@given(wild_drafts)
def test_a_draft_is_refused_in_words_or_can_be_kept(draft: Draft) -> None:
    problems = check_draft(draft, T0)
    assert orjson.dumps([[problem.message, problem.path] for problem in problems])
    if problems:
        return

    decision = decide(Fire(draft), None, a_situation())

    assert decision.alert is not None
    for event in decision.events:
        assert parse_canonical(seal(event).content) == event
    stored = orjson.dumps([decision.alert.labels, decision.alert.annotations])
    assert orjson.loads(stored) == [decision.alert.labels, decision.alert.annotations]
    for text in (decision.alert.title, decision.alert.dedup_key, decision.alert.description):
        assert "\x00" not in text.encode().decode()


@given(wild_texts)
@example("\x85")
@example("\u2028")
def test_a_text_passes_unless_it_holds_what_no_reader_wants(text: str) -> None:
    forbidden = any((c < " " and c not in "\t\n\r") or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in text)

    assert bool(check_text(text, "description", DESCRIPTION_LENGTH_MAX)) is forbidden


@given(st.dictionaries(wild_texts, wild_texts, max_size=4))
def test_labels_pass_or_fail_one_by_one(labels: dict[str, str]) -> None:
    faulty = {problem.path[-1] for problem in check_labels(labels)}
    alone = {problem.path[-1] for name, value in labels.items() for problem in check_labels({name: value})}

    assert faulty == alone
    assert all(
        check_labels({name: labels[name]}) == [] for name in labels if name not in faulty and name.isascii()
    )


@given(json_objects)
def test_whatever_json_holds_may_be_an_annotation(annotations: dict[str, Any]) -> None:
    assert check_annotations(annotations) == []
    assert orjson.loads(orjson.dumps(annotations)) == annotations


@given(json_objects, st.sampled_from([float("nan"), float("inf"), 1 << 64, "\x00", "\udc00"]), wild_texts)
def test_one_value_that_json_cannot_hold_is_found_wherever_it_stands(
    annotations: dict[str, Any], bad: object, name: str
) -> None:
    assert check_annotations({"deep": [annotations, {"in": [bad]}]})


@given(st.dictionaries(wild_texts, wild_values, max_size=4), wild_texts)
def test_every_draft_has_a_key(labels: dict[str, Any], title: str) -> None:
    key = dedup_key_of(labels, title=title, source="s", monitored_service=None)

    assert len(bytes.fromhex(key)) == 32


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), min_size=1, max_size=5).flatmap(
        lambda labels: st.tuples(st.just(labels), st.permutations(list(labels.items())))
    )
)
def test_a_key_does_not_depend_on_the_order_of_labels(both: tuple[dict[str, str], list[tuple[str, str]]]) -> None:
    labels, shuffled = both

    assert key_of(labels) == key_of(dict(shuffled))


sound_texts = st.text("ab", min_size=1, max_size=3)
sound_drafts = st.builds(
    a_draft,
    title=sound_texts,
    source=sound_texts,
    description=st.none() | sound_texts,
    monitored_service=st.none() | sound_texts,
    labels=st.none() | st.dictionaries(sound_texts, sound_texts, max_size=2),
    annotations=st.none() | json_objects,
    links=st.sampled_from([None, (), (Link("https://a", "b"),)]),
)
said_of_both = st.sampled_from([field.name for field in fields(Draft) if field.name != "dedup_key"])


@given(sound_drafts, wild_drafts, st.sets(said_of_both))
@example(a_draft(annotations={"count": 1e20}), a_draft(annotations={"count": 10**20}), set())
@example(a_draft(annotations={"more": {"count": 1e20}}), a_draft(annotations={"more": {"count": 10**20}}), set())
def test_a_repeat_is_checked_as_a_first_message_is(before: Draft, now: Draft, repeated: set[str]) -> None:
    known = decide(Fire(before), None, a_situation()).alert
    draft = replace(now, **{name: getattr(before, name) for name in repeated})

    assert check_draft(draft, T0, known) == check_draft(draft, T0)
    assert check_draft(before, T0, known) == []


@given(*[st.dictionaries(st.text(max_size=3), st.text(max_size=3), min_size=1, max_size=3)] * 2)
def test_other_labels_have_another_key(one: dict[str, str], other: dict[str, str]) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


def key_of(labels: dict[str, str]) -> str:
    return dedup_key_of(labels, title="t", source="s", monitored_service=None)


@given(instants)
def test_an_instant_is_judged_the_same_in_every_time_zone(at: Any) -> None:
    drafts = [
        Draft(title="t", severity=Severity.LOW, source="s", triggered_at=one, ends_at=one)
        for one in (at, at.astimezone(T0.tzinfo))
    ]

    paths = [[problem.path for problem in check_draft(draft, T0)] for draft in drafts]
    assert paths[0] == paths[1]
