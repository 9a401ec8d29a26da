"""The alerts of these measurements as Alerta takes them."""

from __future__ import annotations

from typing import Any

from bench.load import NUMBER
from bench.peers.alerta.peer import SEVERITY_NAMES
from bench.words import alert_input, prometheus_alert

_ALERTA_SEVERITIES = {severity.name: name for severity, name in SEVERITY_NAMES.items()}


def alerta_alert(number: int, prefix: str) -> dict[str, Any]:
    """Return the same as Alerta's own API takes it."""
    said = alert_input(number)
    return {
        "resource": f"{prefix}-{NUMBER.decode()}",
        "event": said["labels"]["alertname"],
        "environment": "Production",
        "severity": _ALERTA_SEVERITIES[said["severity"]],
        "service": [said["monitoredService"]],
        "text": f"{said['title']}: {said['description']}",
        "tags": [f"{name}={value}" for name, value in said["labels"].items()],
        "attributes": said["annotations"],
        "origin": "bench",
        "type": "exceptionAlert",
    }


def alerta_webhook_alert(number: int, prefix: str) -> dict[str, Any]:
    """Return the same as Alertmanager would hand it on to Alerta."""
    handed_on = prometheus_alert(number, prefix)
    severity = _ALERTA_SEVERITIES[handed_on["labels"]["severity"].upper()]
    return {
        **handed_on,
        "labels": {**handed_on["labels"], "severity": severity},
        "status": "firing",
        "endsAt": "0001-01-01T00:00:00Z",
    }
