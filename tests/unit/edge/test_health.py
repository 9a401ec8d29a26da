"""The page of figures with those of the learning process on it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from alertgraph.edge.health import merged


def a_page(part: str, waited: float | None, queue: float) -> bytes:
    registry = CollectorRegistry()
    Counter("alertgraph_failures_total", "Failures.", ("part",), registry=registry).labels(part).inc()
    histogram = Histogram("alertgraph_wait_seconds", "Waits.", registry=registry)
    if waited is not None:
        histogram.observe(waited)
    Gauge("alertgraph_queue_length", "Queue.", registry=registry).set(queue)
    Gauge("process_threads", "Of the process.", registry=registry).set(queue)
    return generate_latest(registry)


def values(page: bytes) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            key = f"{sample.name}{sorted(sample.labels.items())}"
            assert key not in found, f"{key} stands there twice"
            found[key] = sample.value
    return found


def test_each_figure_stands_there_once_with_what_either_knows() -> None:
    found = values(merged(a_page("own", None, 0.0), a_page("other", 2.0, 5.0)))

    assert found["alertgraph_failures_total[('part', 'own')]"] == 1
    assert found["alertgraph_failures_total[('part', 'other')]"] == 1
    assert found["alertgraph_wait_seconds_count[]"] == 1
    assert found["alertgraph_wait_seconds_sum[]"] == 2
    assert found["alertgraph_queue_length[]"] == 0
    assert found["process_threads[]"] == 0


def test_what_the_page_has_counted_itself_stays() -> None:
    found = values(merged(a_page("own", 1.0, 3.0), a_page("own", 2.0, 5.0)))

    assert (found["alertgraph_wait_seconds_sum[]"], found["alertgraph_queue_length[]"]) == (1, 3)


def test_without_the_other_it_is_the_page_itself() -> None:
    page = a_page("own", 1.0, 3.0)

    assert merged(page, b"") == page
    assert values(merged(b"", page))["alertgraph_queue_length[]"] == 3
