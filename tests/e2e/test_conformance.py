"""Other people's suites and clients, from npm, against the whole service."""

from __future__ import annotations

import hashlib

import pytest

from tests.conformance.node import failed, run_suite
from tests.running import RunningService

QUERY = "{ viewer { role } }"
HASH = hashlib.sha256(QUERY.encode()).hexdigest()
PERSISTED = {"persistedQuery": {"version": 1, "sha256Hash": HASH}}
CREATE = 'mutation { createAlert(input: {title: "t", severity: LOW}) { created } }'


@pytest.fixture
def operations(service: RunningService) -> dict[str, object]:
    """Documents for the clients; the endless one yields the tenant's own beginnings at once."""
    start = service.data("{ alerts { asOf } }")["alerts"]["asOf"]
    for number in range(5):
        title = f"alert {number}"
        service.data(
            "mutation($t: String!) { createAlert(input: {title: $t, severity: LOW}) { created } }", {"t": title}
        )
    service.data("mutation { updateTenantSettings(input: {documentMode: APQ}) { errors { message } } }")
    with service.client() as client:
        assert "data" in client.post("/graphql", json={"query": QUERY, "extensions": PERSISTED}).json()
    endless = f'subscription {{ alertEvents(after: "{start}") {{ number kind }} }}'
    return {
        "query": QUERY,
        "mutation": CREATE,
        "endless": endless,
        "first": 3,
        "named": [{"documentId": f"sha256:{HASH}"}, {"extensions": PERSISTED}],
    }


def test_the_audit_of_graphql_over_http_is_passed_in_full(service: RunningService) -> None:
    checks = run_suite("http_audit.mjs", f"{service.url}/graphql", f"Bearer {service.admin_key}")

    assert failed(checks) == []
    assert len(checks) == 61


def test_the_client_graphql_ws_works_with_us(service: RunningService, operations: dict[str, object]) -> None:
    checks = run_suite("ws_client.mjs", service.websocket_url, f"Bearer {service.admin_key}", operations)

    assert failed(checks) == []
    assert len(checks) >= 13


@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
def test_the_client_graphql_sse_works_with_us(
    service: RunningService, operations: dict[str, object], path: str
) -> None:
    checks = run_suite("sse_client.mjs", service.url + path, f"Bearer {service.admin_key}", operations)

    assert failed(checks) == []
    assert len(checks) >= 7
