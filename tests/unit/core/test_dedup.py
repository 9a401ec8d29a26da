"""What makes repeats one alert."""

from __future__ import annotations

from typing import Any

import pytest

from alertgraph.core.dedup import dedup_key_of


def key_of(labels: Any, title: str = "a", source: str = "s", monitored_service: str | None = None) -> str:
    return dedup_key_of(labels, title=title, source=source, monitored_service=monitored_service)


def test_labels_alone_decide() -> None:
    assert key_of({"job": "api"}, title="a", source="script") == key_of(
        {"job": "api"}, title="b", source="prometheus"
    )


def test_the_order_of_labels_does_not_matter() -> None:
    assert key_of({"a": "1", "b": "2"}) == key_of({"b": "2", "a": "1"})


def test_a_label_is_not_confused_with_its_neighbour() -> None:
    assert key_of({"a": "1,b=2"}) != key_of({"a": "1", "b": "2"})


def test_without_labels_title_source_and_service_tell_alerts_apart() -> None:
    keys = {key_of({}, "a"), key_of({}, "b"), key_of({}, "a", "t"), key_of({}, "a", "s", "checkout")}

    assert len(keys) == 4


def test_an_alert_without_labels_is_not_taken_for_one_with_a_label_called_title() -> None:
    assert key_of({}) != key_of({"title": "a", "source": "s"})


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "labels",
    [{"a": "\ud800"}, {"\udfff": "a"}, {"a": 1 << 70}, {"a": object()}, {1: "a"}, nested(2000)],
    ids=["surrogate", "surrogate name", "large number", "object", "numbered name", "nested"],
)
def test_what_no_label_may_hold_still_has_a_key(labels: Any) -> None:
    # It is refused where it is checked; until then nothing may fail, or neighbours in a flush fail with it.
    assert len(key_of(labels)) == 64
