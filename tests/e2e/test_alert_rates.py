"""More alerts than usual are an alert of their own, from the way in to its end, beside a service that runs.

The learning process is the real one with shorter times: an interval is a second, two days to warm up are twelve.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.running import RunningService, ServiceProcess, environment_of, new_tenant
from tests.servers import DatabaseServers, short_directory

pytestmark = pytest.mark.timeout(300)
DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
LAUNCHER = """
from datetime import timedelta
from alertgraph.core.rate import RateSettings
from alertgraph.services import alert_rates
alert_rates.RateSettings = lambda: RateSettings(interval_seconds=1, warmup_count=12)
alert_rates.RATE_MARGIN = timedelta(seconds=2)
from alertgraph.edge.cli import app
app()
"""
CREATE = "mutation ($input: [CreateAlertInput!]!) { createAlerts(input: $input) { createdCount } }"
TOLD = """{ alerts(filter: { source: ["anomaly"] }, first: 20) { nodes {
    title description status severity monitoredService labels resolvedBy { name } } } }"""


class Shop:
    """A tenant whose services raise alerts."""

    def __init__(self, tenant: RunningService) -> None:
        self.tenant = tenant
        self._count = 0

    def raises(self, service: str, count: int) -> None:
        """Let so many things go wrong in a service at once."""
        alerts = []
        for _ in range(count):
            self._count += 1
            alerts.append(
                {
                    "title": "queue is full",
                    "severity": "LOW",
                    "monitoredService": service,
                    "dedupKey": f"{service}/{self._count}",
                }
            )
        made = self.tenant.data(CREATE, {"input": alerts})["createAlerts"]
        assert made["createdCount"] == count

    def told(self) -> list[dict[str, Any]]:
        """Return the alerts that rules about anomalies have raised."""
        return list(self.tenant.data(TOLD)["alerts"]["nodes"])


@contextmanager
def learning(environment: dict[str, str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    launcher = directory / "launcher.py"
    launcher.write_text(LAUNCHER)
    command = [sys.executable, str(launcher), "serve", "--role", "predictor"]
    with (directory / "learning").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(30) == 0, (directory / "learning").read_text()


def until(is_so: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.2)


def test_a_storm_of_one_service_is_an_alert_until_it_is_over(database_servers: DatabaseServers) -> None:
    with database_servers.get("wheel").database(migrated=True) as url, short_directory() as directory:
        environment = environment_of(
            url, CRITICAL_ALERT_ML_ENABLED="true", CRITICAL_ALERT_DATA_DIR=str(directory / "data")
        )
        service = ServiceProcess(environment, None, "--role", "api").start(directory / "log")
        try:
            shop = Shop(new_tenant(service.url, environment, "shop"))
            other = Shop(new_tenant(service.url, environment, "other"))
            for one in (shop, other):
                made = one.tenant.data(rule_of_the_document())["createAnomalyRule"]
                assert made["errors"] == []
            with learning(environment, directory):
                # As usual: about one a second in each of two services.
                for _ in range(25):
                    shop.raises("checkout", 1)
                    shop.raises("search", 1)
                    other.raises("checkout", 1)
                    time.sleep(0.8)
                assert shop.told() == []

                shop.raises("checkout", 60)

                until(lambda: bool(shop.told()))
                [alert] = shop.told()
                assert alert["status"] == "TRIGGERED"
                assert (alert["severity"], alert["monitoredService"]) == ("HIGH", "checkout")
                assert alert["labels"]["anomaly_rule"] == "storms"
                assert re.search(r"\b6[0-9]\b", alert["title"] + alert["description"]), alert

                until(lambda: shop.told()[0]["status"] == "RESOLVED")
                [alert] = shop.told()
                assert alert["resolvedBy"] == {"name": "anomaly detection"}
                assert other.told() == [], "its own service was as always"
        finally:
            assert service.stop() == 0


def rule_of_the_document() -> str:
    """Return the mutation that docs/metrics.md prints for this."""
    printed = re.findall(r"```graphql\n(.*?)```", DOCUMENT, re.DOTALL)
    [storms] = [block for block in printed if "ALERT_RATE" in block]
    return str(storms)
