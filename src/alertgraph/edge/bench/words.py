"""What made-up alerts say: about what Prometheus says, six labels and two annotations."""

from __future__ import annotations

from typing import Any

SEVERITIES = ("INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL")
SERVICES = (
    "checkout",
    "payments",
    "search",
    "catalogue",
    "identity",
    "shipping",
    "notifications",
    "billing",
    "inventory",
    "gateway",
    "reports",
    "media",
)
SYMPTOMS = (
    "CPU above 95 percent",
    "Error rate above 2 percent",
    "Latency p99 above 800 ms",
    "Disk almost full",
    "Replication lag growing",
    "Pods restarting",
    "Certificate expires soon",
    "Queue backlog growing",
    "Memory pressure",
    "Connection pool exhausted",
)
REGIONS = ("eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-south-1")
HOST_COUNT = 400


def alert_input(number: int) -> dict[str, Any]:
    """Return the input of createAlert for the alert of a number, without a dedup key."""
    service = SERVICES[number % len(SERVICES)]
    symptom = SYMPTOMS[number // 3 % len(SYMPTOMS)]
    region = REGIONS[number // 7 % len(REGIONS)]
    host = f"{service}-{number * 31 % HOST_COUNT:03d}"
    return {
        "title": f"{symptom} on {host} for 5 minutes",
        "description": f"{symptom} on {host} in {region}; the last deployment of {service} was an hour before.",
        "severity": SEVERITIES[number % len(SEVERITIES)],
        "source": "bench",
        "monitoredService": service,
        "labels": {
            "alertname": symptom.replace(" ", ""),
            "host": host,
            "region": region,
            "service": service,
            "team": f"team-{number % 9}",
            "env": "production",
        },
        "annotations": {
            "summary": f"{symptom} on {host}",
            "runbook_url": f"https://runbooks.example.com/{service}/{number // 3 % len(SYMPTOMS)}",
        },
    }
