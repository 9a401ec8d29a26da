"""One and the same alert, by every way in and out."""

from __future__ import annotations

from tests.running import RunningService

CREATE = """mutation Create($input: CreateAlertInput!) {
  createAlert(input: $input) { created alert { id version title severity } errors { code path } }
}"""


def test_rest_graphql_and_alertmanager_show_one_alert(service: RunningService) -> None:
    labels = {"alertname": "DiskFull", "host": "db-1"}
    draft = {"title": "Disk full", "severity": "CRITICAL", "labels": labels}

    created = service.data(CREATE, {"input": draft}, key=service.ingest_key)["createAlert"]
    with service.client() as client:
        by_rest = client.get(f"/api/v1/critical-alerts/{created['alert']['id']}").json()
        folded = client.post("/api/v2/alerts", json=[{"labels": labels, "annotations": {"summary": "Disk full"}}])
        by_alertmanager = client.get("/api/v2/alerts").json()

    assert created["created"]
    assert by_rest["title"] == "Disk full"
    assert folded.status_code == 200
    assert [alert["labels"] for alert in by_alertmanager] == [labels]
    listed = service.data("{ alerts { nodes { id occurrenceCount } } }")["alerts"]["nodes"]
    assert listed == [{"id": created["alert"]["id"], "occurrenceCount": 2}]
