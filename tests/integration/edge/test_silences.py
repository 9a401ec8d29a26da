"""Silences of the running service that end with the last alert under them."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from tests.running import RunningService


def test_a_silence_ends_with_its_last_alert_whoever_resolves_it(service: RunningService) -> None:
    case = uuid.uuid4().hex
    headers = {"Authorization": f"Bearer {service.admin_key}"}
    with httpx2.Client(base_url=service.url, headers=headers, timeout=30) as http:

        def run(document: str, **variables: Any) -> dict[str, Any]:
            answer = http.post("/graphql", json={"query": document, "variables": variables}).json()
            assert "errors" not in answer, answer
            data: dict[str, Any] = answer["data"]
            return data

        silence = run(
            "mutation($input: SilenceInput!) { createSilence(input: $input) { silence { id state } } }",
            input={
                "matchers": [{"label": "case", "value": case}],
                "endsAt": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
                "endOnResolve": True,
                "comment": "until it is over",
            },
        )["createSilence"]["silence"]
        assert silence["state"] == "ACTIVE"
        alert = http.post(
            "/api/v1/critical-alerts", json={"title": "x", "severity": "HIGH", "labels": {"case": case}}
        ).json()
        run("mutation($id: ID!) { resolveAlert(input: { alertId: $id }) { changed } }", id=alert["id"])

        deadline = time.monotonic() + 20
        state = "ACTIVE"
        while state == "ACTIVE" and time.monotonic() < deadline:
            time.sleep(0.05)
            state = run("query($id: ID!) { silence(id: $id) { state } }", id=silence["id"])["silence"]["state"]
        assert state == "EXPIRED"
