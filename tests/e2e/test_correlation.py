"""A cascade through a running service with its learning process: one incident, its root, and why."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.test_learning_process import children, is_learning, started, until
from tests.running import ServiceProcess

DEPENDENCIES = """mutation($input: SetServiceDependenciesInput!) { setServiceDependencies(input: $input) {
  dependencyCount errors { message } } }"""
SETTINGS = """mutation { updateTenantSettings(input: { correlationEnabled: true }) {
  settings { correlationEnabled } errors { message } } }"""
FIRE = """mutation($input: CreateAlertInput!) { createAlert(input: $input) { alert { id } errors { message } } }"""
INCIDENTS = """{ incidents(first: 10) { nodes { id title status alertCount rootAlert { title }
  alerts(first: 10) { nodes { title } } } } }"""
ALERTS = """{ alerts(first: 5) { nodes { title incident { title }
  relatedAlerts(first: 5) { score alert { title } evidence { kind weight text } } } } }"""
OPENING = """{ events(filter: { kinds: [INCIDENT_OPENED] }) { nodes { actor { kind name } detail } } }"""
RESOLVE = "mutation($input: IncidentActionInput!) { resolveIncident(input: $input) { errors { message } } }"


class Caller:
    """The first tenant's administrator."""

    def __init__(self, service: ServiceProcess, data_dir: Path) -> None:
        self._service = service
        self._key = (data_dir / "bootstrap_key").read_text().strip()

    def data(self, document: str, **variables: Any) -> dict[str, Any]:
        answer = httpx2.post(
            f"{self._service.url}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=20.0,
            trust_env=False,
        ).json()
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    def fire(self, title: str, service: str) -> None:
        input = {"title": title, "severity": "HIGH", "dedupKey": title, "monitoredService": service}
        assert self.data(FIRE, input=input)["createAlert"]["errors"] == []

    def incidents(self) -> list[dict[str, Any]]:
        return list(self.data(INCIDENTS)["incidents"]["nodes"])


def has(caller: Caller, title: str, count: int) -> Callable[[], bool]:
    return lambda: any(one["title"] == title and one["alertCount"] == count for one in caller.incidents())


def test_a_cascade_is_one_incident_whatever_ends_in_between(data_dir: Path, tmp_path: Path) -> None:
    with started(data_dir, tmp_path / "log") as service:
        until(lambda: is_learning(service))
        caller = Caller(service, data_dir)
        needs = [{"service": "web", "dependsOn": ["api"]}, {"service": "api", "dependsOn": ["db"]}]
        assert caller.data(DEPENDENCIES, input={"dependencies": needs})["setServiceDependencies"] == {
            "dependencyCount": 2,
            "errors": [],
        }
        assert caller.data(SETTINGS)["updateTenantSettings"]["settings"] == {"correlationEnabled": True}

        caller.fire("Disk is full", "db")
        caller.fire("Newsletter is late", "mail")
        caller.fire("Errors", "api")
        until(has(caller, "Disk is full", 2))
        (child,) = children(service.process.pid)
        os.kill(child, signal.SIGKILL)
        caller.fire("Slow", "web")
        until(has(caller, "Disk is full", 3))

        (incident,) = caller.incidents()
        assert incident["rootAlert"] == {"title": "Disk is full"}
        assert sorted(each["title"] for each in incident["alerts"]["nodes"]) == ["Disk is full", "Errors", "Slow"]
        alerts = {each["title"]: each for each in caller.data(ALERTS)["alerts"]["nodes"]}
        assert alerts["Newsletter is late"]["incident"] is None
        assert alerts["Newsletter is late"]["relatedAlerts"] == []
        related = alerts["Errors"]["relatedAlerts"]
        assert {each["alert"]["title"] for each in related} == {"Disk is full", "Slow"}
        texts = [why["text"] for each in related for why in each["evidence"]]
        assert "api and db depend on each other directly" in texts
        (opened,) = caller.data(OPENING)["events"]["nodes"]
        assert opened["actor"] == {"kind": "MODEL", "name": "correlation"}
        assert opened["detail"]["detail"]["link"]["evidence"]

        # What is over takes in nothing: the same again is another one.
        assert caller.data(RESOLVE, input={"id": incident["id"]})["resolveIncident"] == {"errors": []}
        caller.fire("Disk is full", "db")
        time.sleep(0.2)
        caller.fire("Errors", "api")
        until(lambda: len(caller.incidents()) == 2)
        again, first = caller.incidents()
        assert (again["status"], again["alertCount"]) == ("OPEN", 2)
        assert (first["status"], first["alertCount"]) == ("RESOLVED", 3)
