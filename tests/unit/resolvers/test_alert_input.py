"""What callers send about alerts, turned into what services take."""

from typing import Any

import pytest
import strawberry
from strawberry import Some

from alertgraph.core.action import UNSET, ById
from alertgraph.core.alert import AlertVerdict, Draft, Link
from alertgraph.core.errors import ErrorCode, RefusedError
from alertgraph.core.ids import NodeKind, encode_id
from alertgraph.core.severity import Severity
from resolvers.alert import AlertFilter
from resolvers.alert_input import AlertSelector, CreateAlertInput, LinkInput, UpdateAlertInput
from resolvers.scalars import JSON
from tests.factories import an_id

ALERT = strawberry.ID(encode_id(NodeKind.ALERT, an_id()))


def an_input(**fields: Any) -> CreateAlertInput:
    names = [field.python_name for field in CreateAlertInput.__strawberry_definition__.fields]  # type: ignore[attr-defined]
    given = {"title": "Disk full", "severity": Severity.HIGH, **fields}
    return CreateAlertInput(**{name: given.get(name) for name in names})


def a_patch(**fields: Any) -> UpdateAlertInput:
    names = [field.python_name for field in UpdateAlertInput.__strawberry_definition__.fields]  # type: ignore[attr-defined]
    given = {"alert_id": ALERT, **fields}
    return UpdateAlertInput(**{name: given.get(name) for name in names})


def a_filter(**fields: Any) -> AlertFilter:
    names = [field.python_name for field in AlertFilter.__strawberry_definition__.fields]  # type: ignore[attr-defined]
    return AlertFilter(**{name: fields.get(name) for name in names})


def refusal(attempt: Any) -> list[tuple[ErrorCode, tuple[str, ...]]]:
    with pytest.raises(RefusedError) as refused:
        attempt()
    return [(problem.code, problem.path) for problem in refused.value.problems]


def test_the_least_that_can_be_sent() -> None:
    assert an_input().to_core("backup key") == Draft(
        title="Disk full", severity=Severity.HIGH, source="backup key"
    )


def test_everything_that_can_be_sent() -> None:
    draft = an_input(
        description="On /var",
        source="cron",
        monitored_service="db",
        dedup_key="disk",
        labels=JSON({"host": "a"}),
        annotations=JSON({"runbook": {"page": 7}}),
        links=[LinkInput(href="https://wiki/disk", text="Runbook")],
    ).to_core("backup key")

    assert draft == Draft(
        title="Disk full",
        severity=Severity.HIGH,
        source="cron",
        description="On /var",
        monitored_service="db",
        dedup_key="disk",
        labels={"host": "a"},
        annotations={"runbook": {"page": 7}},
        links=(Link("https://wiki/disk", "Runbook"),),
    )


@pytest.mark.parametrize("labels", [5, "host=a", [], ["host"], True, 1.5])
def test_labels_that_are_no_object_are_named(labels: object) -> None:
    given = an_input(labels=labels)

    assert refusal(lambda: given.to_core("key")) == [(ErrorCode.INVALID_INPUT, ("labels",))]


def test_each_label_that_is_no_text_is_named() -> None:
    given = an_input(labels={"host": "a", "port": 5432, "up": None, "tags": ["x"]}, annotations=7)

    assert refusal(lambda: given.to_core("key")) == [
        (ErrorCode.INVALID_INPUT, ("labels", "port")),
        (ErrorCode.INVALID_INPUT, ("labels", "up")),
        (ErrorCode.INVALID_INPUT, ("labels", "tags")),
        (ErrorCode.INVALID_INPUT, ("annotations",)),
    ]


def test_a_million_wrong_labels_do_not_make_a_million_errors() -> None:
    given = an_input(labels={f"label {n}": n for n in range(10_000)})

    assert len(refusal(lambda: given.to_core("key"))) == 64


def test_a_patch_leaves_out_what_is_left_out() -> None:
    action = a_patch(note="why").to_core()

    assert action.target == ById(an_id())
    assert action.note == "why"
    assert {action.severity, action.title, action.description, action.monitored_service} == {UNSET}
    assert (action.annotations, action.links) == (UNSET, UNSET)


def test_null_clears_what_may_be_empty() -> None:
    action = a_patch(description=Some(None), monitored_service=Some(None), links=Some(None)).to_core()

    assert (action.description, action.monitored_service, action.links) == ("", None, ())


@pytest.mark.parametrize("name", ["severity", "title", "annotations"])
def test_null_is_refused_where_nothing_may_be_empty(name: str) -> None:
    given = a_patch(**{name: Some(None)})

    assert refusal(given.to_core) == [(ErrorCode.INVALID_INPUT, (name,))]


def test_annotations_are_merged_so_they_are_an_object() -> None:
    assert a_patch(annotations=Some({"a": 1, "b": None})).to_core().annotations == {"a": 1, "b": None}
    assert refusal(a_patch(annotations=Some([1])).to_core) == [(ErrorCode.INVALID_INPUT, ("annotations",))]


def test_an_id_of_something_else_is_unknown() -> None:
    for other in ("", "alr_", "nonsense", encode_id(NodeKind.API_KEY, an_id())):
        given = a_patch(alert_id=other)
        assert refusal(given.to_core) == [(ErrorCode.NOT_FOUND, ("alertId",))]


def test_ids_are_selected_with_what_they_name() -> None:
    selection = AlertSelector(ids=[ALERT, strawberry.ID("nonsense")], dedup_keys=None, filter=None).to_core()

    assert selection.ids == ((ALERT, an_id()), ("nonsense", None))


def test_too_many_are_refused_before_anything_is_looked_up() -> None:
    by_ids = AlertSelector(ids=[ALERT] * 1001, dedup_keys=None, filter=None)
    by_keys = AlertSelector(ids=None, dedup_keys=["k"] * 1001, filter=None)

    assert refusal(by_ids.to_core) == [(ErrorCode.INVALID_INPUT, ("select", "ids"))]
    assert refusal(by_keys.to_core) == [(ErrorCode.INVALID_INPUT, ("select", "dedupKeys"))]


def test_what_no_alert_could_have_as_its_key_is_refused() -> None:
    for key in ("a\x00b", "k" * 513):
        selector = AlertSelector(ids=None, dedup_keys=["fine", key], filter=None)
        assert refusal(selector.to_core) == [(ErrorCode.INVALID_INPUT, ("select", "dedupKeys", "1"))]


def test_a_filter_of_a_selection_is_named_by_its_place() -> None:
    selector = AlertSelector(ids=None, dedup_keys=None, filter=a_filter(source=["a\x00b"]))

    assert refusal(selector.to_core) == [(ErrorCode.INVALID_INPUT, ("select", "filter", "source", "0"))]


def test_a_filter_asks_only_for_what_is_given() -> None:
    wanted = a_filter(verdict=[AlertVerdict.NOISE], status=[]).to_core("filter")

    assert (wanted.verdict, wanted.status, wanted.severity) == ((AlertVerdict.NOISE,), (), None)
