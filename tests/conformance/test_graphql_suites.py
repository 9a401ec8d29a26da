"""Suites and clients of other people, from npm, against our transports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.node import failed, run_suite
from tests.conformance.toy_app import GOOD, Running, served, toy_app

OPERATIONS: dict[str, object] = {
    "query": "{hello}",
    "mutation": "mutation{bump}",
    "finite": "subscription{count(to:3)}",
    "endless": "subscription{forever}",
}


@pytest.fixture
def running() -> Iterator[Running]:
    with served(toy_app()) as running:
        yield running


def test_the_audit_of_graphql_over_http_is_passed_in_full(running: Running) -> None:
    checks = run_suite("http_audit.mjs", running.url, GOOD)

    assert failed(checks) == []
    assert len(checks) == 61


def test_the_client_graphql_ws_works_with_us(running: Running) -> None:
    checks = run_suite("ws_client.mjs", running.ws_url, GOOD, OPERATIONS)

    assert failed(checks) == []
    assert len(checks) >= 16
    assert running.app.reported == []


@pytest.mark.parametrize("path", ["", "/stream"])
def test_the_client_graphql_sse_works_with_us(running: Running, path: str) -> None:
    checks = run_suite("sse_client.mjs", running.url + path, GOOD, OPERATIONS)

    assert failed(checks) == []
    assert len(checks) >= 9
    assert running.app.reported == []


def test_a_failed_check_is_seen(running: Running) -> None:
    """Without credentials nothing but the refusals is as it should be."""
    assert len(failed(run_suite("http_audit.mjs", running.url, "Bearer bad"))) > 20
    assert len(failed(run_suite("ws_client.mjs", running.ws_url, "Bearer bad"))) > 5
    assert len(failed(run_suite("sse_client.mjs", running.url, "Bearer bad"))) > 3
